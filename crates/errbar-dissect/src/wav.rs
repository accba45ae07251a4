//! WAV: RIFF and RIFX (IBM and Microsoft, "Multimedia Programming Interface and Data Specifications
//! 1.0"), and RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088).

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Chunks that are looked at, at most.
const MAX_CHUNKS: usize = 4096;
/// A length that is not known, or stands elsewhere.
const UNKNOWN: u64 = u32::MAX as u64;

/// The WAV formats.
#[derive(Clone, Copy, Debug)]
pub struct Wav;

impl Dissector for Wav {
    fn name(&self) -> &'static str {
        "wav"
    }

    fn probe(&self, head: &[u8]) -> bool {
        let container = head.first_chunk().is_some_and(|id| matches!(id, b"RIFF" | b"RIFX" | b"RF64" | b"BW64"));
        container && head.get(8..12) == Some(b"WAVE")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let big_endian = Numbers::read(file, 0, 4, false)?.bytes(0, 4)? == b"RIFX";
        let (mut at, mut format, mut long_data) = (12, None, None);
        for _ in 0..MAX_CHUNKS {
            let head = Numbers::read(file, at, 8, big_endian)?;
            let mut length = u64::from(head.u32(4)?);
            let data = at + 8;
            match head.bytes(0, 4)? {
                b"ds64" => long_data = Some(Numbers::read(file, data, 16, big_endian)?.u64(8)?),
                b"fmt " => format = Some(Format::read(&Numbers::read(file, data, length.min(40), big_endian)?)?),
                b"data" => {
                    // Writers into a pipe do not know the length: the data then end with the file.
                    length = if length == UNKNOWN { long_data.unwrap_or(file.size() - data) } else { length };
                    let format = format.ok_or_else(|| not_this("no format before the data"))?;
                    let (dtype, rest) = samples(format.bits, format.is_float).ok_or_else(|| not_this("samples of no type known here"))?;
                    let frames = length / format.frame_bytes(dtype, rest)?;
                    return Ok(Layout::of(frames_of(frames, format.channels, dtype, rest, big_endian), data));
                }
                _ => (),
            }
            at = data.saturating_add(length).saturating_add(length % 2);
        }
        Err(not_this("too many chunks before the data"))
    }
}

#[derive(Clone, Copy)]
struct Format {
    channels: u64,
    frame: u64,
    bits: u16,
    is_float: bool,
}

impl Format {
    fn read(chunk: &Numbers) -> Result<Format> {
        // The extensible format has the code of the true one at the head of a GUID.
        let code = match chunk.u16(0)? {
            0xfffe => chunk.u16(24)?,
            code => code,
        };
        if !matches!(code, 1 | 3) {
            return Err(not_this("samples are coded"));
        }
        Ok(Format { channels: chunk.u16(2)?.into(), frame: chunk.u16(12)?.into(), bits: chunk.u16(14)?, is_float: code == 3 })
    }

    fn frame_bytes(&self, dtype: DType, rest: u64) -> Result<u64> {
        let bytes = self.channels * dtype.size() as u64 * rest.max(1);
        match bytes > 0 && bytes == self.frame {
            true => Ok(bytes),
            false => Err(not_this("frame of another size than its samples")),
        }
    }
}

/// Type of a sample, and its bytes if no type has as many.
fn samples(bits: u16, is_float: bool) -> Option<(DType, u64)> {
    Some(match (bits, is_float) {
        (1..=8, false) => (DType::U8, 0),
        (9..=16, false) => (DType::I16, 0),
        (17..=24, false) => (DType::U8, 3),
        (25..=32, false) => (DType::I32, 0),
        (32, true) => (DType::F32, 0),
        (64, true) => (DType::F64, 0),
        _ => return None,
    })
}

/// Sampled sound: an array of frames and, where there are several, channels; then of the bytes of a
/// sample, if it has three.
pub(crate) fn frames_of(frames: u64, channels: u64, dtype: DType, rest: u64, big_endian: bool) -> Array {
    let mut shape = vec![frames];
    if channels > 1 {
        shape.push(channels);
    }
    if rest > 0 {
        shape.push(rest);
    }
    Array::new("", dtype, big_endian && dtype.size() > 1, shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn format(code: u16, channels: u16, bits: u16) -> Vec<u8> {
        let frame = channels * bits.div_ceil(8);
        let mut bytes = [code.to_le_bytes(), channels.to_le_bytes()].concat();
        bytes.extend([0; 8]);
        bytes.extend([frame.to_le_bytes(), bits.to_le_bytes()].concat());
        bytes
    }

    fn found(id: &[u8; 4], chunks: &[(&[u8; 4], u32, &[u8])]) -> Layout {
        let mut file = [&id[..], &[0; 4], b"WAVE"].concat();
        for (id, length, bytes) in chunks {
            file.extend([&id[..], &length.to_le_bytes(), bytes].concat());
            file.resize(file.len().next_multiple_of(2), 0);
        }
        dissect(&&file[..], &[&Wav]).0
    }

    #[test]
    fn chunks_before_the_data_are_padded_to_even_lengths() {
        let layout = found(b"RIFF", &[(b"LIST", 3, &[0; 3]), (b"fmt ", 16, &format(1, 2, 16)), (b"data", 9, &[1; 9])]);
        assert_eq!((&layout.arrays[0].shape[..], layout.places[0].offset), (&[2, 2][..], 56));
    }

    #[test]
    fn lengths_may_be_unknown_or_stand_elsewhere() {
        let fmt = format(3, 1, 32);
        let piped = found(b"RIFF", &[(b"fmt ", 16, &fmt), (b"data", u32::MAX, &[1; 42])]);
        assert_eq!(piped.arrays[0].shape, [10]);
        let ds64 = [&[0; 8][..], &8u64.to_le_bytes(), &[0; 12]].concat();
        let long = found(b"RF64", &[(b"ds64", 28, &ds64), (b"fmt ", 16, &fmt), (b"data", u32::MAX, &[1; 42])]);
        assert_eq!(long.arrays[0].shape, [2]);
    }

    #[test]
    fn three_bytes_are_a_dimension() {
        let layout = found(b"RIFF", &[(b"fmt ", 16, &format(1, 1, 24)), (b"data", 12, &[1; 12])]);
        assert_eq!((layout.arrays[0].dtype, &layout.arrays[0].shape[..]), (DType::U8, &[4, 3][..]));
    }

    #[test]
    fn contradictions_are_bytes() {
        let data = (b"data", 8, &[1u8; 8][..]);
        let mut frame = format(1, 2, 16);
        frame[12] = 5;
        for fmt in [format(1, 0, 16), format(2, 1, 4), format(6, 1, 8), format(3, 1, 16), format(1, 1, 0), frame] {
            assert_eq!(found(b"RIFF", &[(b"fmt ", 16, &fmt), data]), Layout::default());
        }
        assert_eq!(found(b"RIFF", &[data]), Layout::default());
        assert_eq!(found(b"RIFF", &[(b"fmt ", 16, &format(1, 1, 8)), (b"data", 9, &[1; 8])]), Layout::default());
        let ds64 = [&[0; 8][..], &u64::MAX.to_le_bytes(), &[0; 12]].concat();
        assert_eq!(found(b"RF64", &[(b"ds64", 28, &ds64), (b"fmt ", 16, &format(1, 1, 8)), (b"data", u32::MAX, &[1])]), Layout::default());
    }
}
