//! AIFF and AIFF-C (Apple, "Audio Interchange File Format AIFF-C", draft of 1991).

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::wav::frames_of;
use crate::{Dissector, Layout, ReadAt, not_this};

/// Chunks that are looked at, at most.
const MAX_CHUNKS: usize = 4096;

/// The AIFF formats.
#[derive(Clone, Copy, Debug)]
pub struct Aiff;

impl Dissector for Aiff {
    fn name(&self) -> &'static str {
        "aiff"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"FORM") && head.get(8..12).is_some_and(|kind| kind == b"AIFF" || kind == b"AIFC")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let is_coded = Numbers::read(file, 8, 4, true)?.bytes(0, 4)? == b"AIFC";
        let (mut at, mut format, mut sound) = (12u64, None, None);
        // The two chunks that count may come in either order.
        for _ in 0..MAX_CHUNKS {
            let head = Numbers::read(file, at, 8, true)?;
            let (length, data) = (u64::from(head.u32(4)?), at + 8);
            match head.bytes(0, 4)? {
                b"COMM" => format = Some(Numbers::read(file, data, length.min(22), true)?),
                b"SSND" => {
                    let skipped = u64::from(Numbers::read(file, data, 8, true)?.u32(0)?);
                    sound = Some((data + 8 + skipped, length.saturating_sub(8 + skipped)));
                }
                _ => (),
            }
            if let (Some(format), Some((start, bytes))) = (&format, sound) {
                return layout(format, is_coded, start, bytes);
            }
            at = data + length + length % 2;
        }
        Err(not_this("too many chunks"))
    }
}

fn layout(format: &Numbers, is_coded: bool, start: u64, bytes: u64) -> Result<Layout> {
    let (channels, frames, bits) = (u64::from(format.u16(0)?), u64::from(format.u32(2)?), format.u16(6)?);
    let coding = if is_coded { format.bytes(18, 4)? } else { b"NONE" };
    let is_little = coding == b"sowt";
    let (dtype, rest) = match (coding, bits) {
        (b"raw ", 1..=8) => (DType::U8, 0),
        (b"NONE" | b"twos" | b"sowt", 1..=8) => (DType::I8, 0),
        (b"NONE" | b"twos" | b"sowt", 9..=16) => (DType::I16, 0),
        (b"NONE" | b"twos" | b"sowt" | b"in24", 17..=24) => (DType::U8, 3),
        (b"NONE" | b"twos" | b"sowt" | b"in32", 25..=32) => (DType::I32, 0),
        (b"fl32" | b"FL32", _) => (DType::F32, 0),
        (b"fl64" | b"FL64", _) => (DType::F64, 0),
        _ => return Err(not_this("samples are coded")),
    };
    let array = frames_of(frames, channels, dtype, rest, !is_little);
    match channels > 0 && array.bytes().is_some_and(|needed| needed <= bytes) {
        true => Ok(Layout::of(array, start)),
        false => Err(not_this("fewer samples than the header says")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn found(kind: &[u8; 4], frames: u32, bits: u16, coding: &[u8], sound_first: bool) -> Layout {
        let common = [&2u16.to_be_bytes()[..], &frames.to_be_bytes(), &bits.to_be_bytes(), &[0; 10], coding].concat();
        let common = [b"COMM", &(common.len() as u32).to_be_bytes()[..], &common].concat();
        let sound = [b"SSND", &44u32.to_be_bytes()[..], &4u32.to_be_bytes(), &[0; 8], &[1; 32]].concat();
        let chunks = if sound_first { [sound, common] } else { [common, sound] };
        dissect(&&[b"FORM\0\0\0\0", &kind[..], &chunks.concat()].concat()[..], &[&Aiff]).0
    }

    #[test]
    fn chunks_come_in_either_order_and_the_data_after_an_offset() {
        let [plain, turned] = [false, true].map(|turn| found(b"AIFF", 8, 16, b"", turn));
        assert_eq!((plain.arrays.clone(), plain.places[0].offset), (turned.arrays, 12 + 26 + 20));
        assert_eq!((&plain.arrays[0].shape[..], plain.arrays[0].big_endian), (&[8, 2][..], true));
    }

    #[test]
    fn codings_are_types() {
        let array = |coding: &[u8], bits| found(b"AIFC", 4, bits, coding, false).arrays.pop().map(|a| (a.dtype, a.big_endian));
        assert_eq!(array(b"sowt", 16), Some((DType::I16, false)));
        assert_eq!(array(b"fl32", 32), Some((DType::F32, true)));
        assert_eq!(array(b"NONE", 20), Some((DType::U8, false)));
        assert_eq!(array(b"raw ", 8), Some((DType::U8, false)));
        assert_eq!(array(b"ulaw", 16), None);
        assert_eq!(array(b"fl64", 64), None, "more than there is");
    }
}
