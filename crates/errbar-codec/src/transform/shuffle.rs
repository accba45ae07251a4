use errbar_format::Result;

use super::{bytes, into_bytes};
use crate::codes::Word;
use crate::stage::{Stage, Transform, no_params};
use crate::{Codes, Layout, Words, with_words};

/// Byte planes: the first bytes of all words, then the second ones (HDF5's shuffle filter). See
/// `spec/stages/shuffle.md`.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle;

impl Stage for Shuffle {
    fn name(&self) -> &'static str {
        "shuffle"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "byte planes, least significant first"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every word"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Transform for Shuffle {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        bytes(input, params)
    }

    fn forward(&self, codes: Codes, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let planes = with_words!(&codes.words, v => planes(v));
        Ok(Codes { dims: vec![planes.len()], words: Words::U8(planes) })
    }

    fn inverse(&self, codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let planes = into_bytes(codes);
        let words = match input.width {
            1 => Words::U8(planes),
            2 => Words::U16(words(&planes, input.len())),
            4 => Words::U32(words(&planes, input.len())),
            _ => Words::U64(words(&planes, input.len())),
        };
        Ok(Codes { dims: input.dims.clone(), words })
    }
}

fn planes<W: Word>(words: &[W]) -> Vec<u8> {
    (0..W::BITS).step_by(8).flat_map(|bit| words.iter().map(move |word| (word.to_u64() >> bit) as u8)).collect()
}

fn words<W: Word>(planes: &[u8], n: usize) -> Vec<W> {
    let mut words = vec![W::from_u64(0); n];
    if n > 0 {
        for (i, plane) in planes.chunks_exact(n).enumerate() {
            words.iter_mut().zip(plane).for_each(|(word, &byte)| *word = W::from_u64(word.to_u64() | u64::from(byte) << (8 * i)));
        }
    }
    words
}
