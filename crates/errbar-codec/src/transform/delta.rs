use errbar_format::Result;

use super::same;
use crate::codes::Word;
use crate::stage::{Stage, Transform, no_params};
use crate::{Codes, Layout, with_words};

/// Differences of neighbours in C order, whatever the dimensions. See `spec/stages/delta.md`.
#[derive(Clone, Copy, Debug)]
pub struct Delta;

impl Stage for Delta {
    fn name(&self) -> &'static str {
        "delta"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "differences of neighbours in C order, zigzag"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every word"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

/// Replaces words by their zigzag differences.
fn forward<W: Word>(words: &mut [W]) {
    let mut before = W::from_u64(0);
    for word in words {
        (*word, before) = (word.wsub(before).zigzag(), *word);
    }
}

fn inverse<W: Word>(words: &mut [W]) {
    let mut sum = W::from_u64(0);
    for word in words {
        sum = sum.wadd(word.unzigzag());
        *word = sum;
    }
}

impl Transform for Delta {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        same(input, params)
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        with_words!(&mut codes.words, v => forward(v));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        with_words!(&mut codes.words, v => inverse(v));
        Ok(codes)
    }
}
