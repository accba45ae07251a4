use errbar_format::{Error, Result};

use crate::codes::Word;
use crate::stage::{Stage, Transform, no_params};
use crate::{Codes, Layout, Words, with_words};

/// All lowest bytes of the codes, then all second ones, and so on (the filter of HDF5, Fortner,
/// HDF: The Hierarchical Data Format, 1998). See `spec/stages/shuffle.md`.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle;

/// Words whose bytes, and the planes they go to, stay in the first-level cache together.
const RUN: usize = 2048;

/// The layout of as many bytes as `input` has.
pub(super) fn bytes_of(input: &Layout, params: &[u8]) -> Result<Layout> {
    no_params(params)?;
    Layout::new(1, &[input.bytes() as u64])
}

/// The bytes of codes that must have been made from codes of `input`'s layout (EB-C02).
pub(super) fn planes_of(codes: Codes, input: &Layout) -> Result<Vec<u8>> {
    match codes.words {
        Words::U8(planes) if planes.len() == input.bytes() => Ok(planes),
        _ => Err(Error::corrupt("EB-C02", "byte planes have another size than the codes")),
    }
}

/// Splits words into as many planes as they have bytes; `planes` has one byte for each of theirs.
pub(super) fn split<W: Word>(words: &[W], planes: &mut [u8]) {
    for (run, part) in words.chunks(RUN).enumerate() {
        for (k, plane) in planes.chunks_exact_mut(words.len()).enumerate() {
            let plane = &mut plane[run * RUN..][..part.len()];
            plane.iter_mut().zip(part).for_each(|(byte, word)| *byte = (word.to_u64() >> (8 * k)) as u8);
        }
    }
}

/// Inverse of [`split`].
pub(super) fn join<W: Word>(planes: &[u8], n: usize) -> Vec<W> {
    let mut words = vec![W::from_u64(0); n];
    for (run, part) in words.chunks_mut(RUN).enumerate() {
        for (k, plane) in planes.chunks_exact(n).enumerate() {
            let plane = &plane[run * RUN..][..part.len()];
            part.iter_mut().zip(plane).for_each(|(word, &byte)| *word = W::from_u64(word.to_u64() | u64::from(byte) << (8 * k)));
        }
    }
    words
}

impl Stage for Shuffle {
    fn name(&self) -> &'static str {
        "shuffle"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "bytes of equal significance side by side"
    }

    fn guarantee(&self) -> &'static str {
        "reversible: only the order of bytes changes"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Transform for Shuffle {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        bytes_of(input, params)
    }

    fn forward(&self, codes: Codes, params: &[u8]) -> Result<Codes> {
        let dims = bytes_of(&codes.layout(), params)?.dims;
        if let Words::U8(_) = codes.words {
            return Ok(Codes::plain(dims, codes.words));
        }
        let mut planes = vec![0; dims[0]];
        with_words!(&codes.words, v => split(v, &mut planes));
        Ok(Codes::plain(dims, Words::U8(planes)))
    }

    fn inverse(&self, codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let planes = planes_of(codes, input)?;
        let n = input.len();
        let words = match input.width {
            1 => Words::U8(planes),
            2 => Words::U16(join(&planes, n)),
            4 => Words::U32(join(&planes, n)),
            _ => Words::U64(join(&planes, n)),
        };
        Ok(input.codes(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_begin_with_the_lowest_bytes() {
        let codes = Codes::plain(vec![3], Words::U16(vec![0x0102, 0x0304, 0x0506]));
        let planes = Shuffle.forward(codes, &[]).expect("three codes");
        assert_eq!(planes, Codes::plain(vec![6], Words::U8(vec![2, 4, 6, 1, 3, 5])));
    }
}
