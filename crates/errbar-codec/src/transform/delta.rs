use errbar_format::Result;

use super::lorenzo;
use crate::stage::{Stage, Transform, no_params};
use crate::{Codes, Layout, with_words};

/// Zigzag code of each code's difference to the one before it in C order, the first's to zero.
/// See `spec/stages/delta.md`.
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
        "differences of consecutive codes"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every code: differences are modulo 2^bits"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Transform for Delta {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        no_params(params).map(|()| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        with_words!(&mut codes.words, v => lorenzo::difference_row(v));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        with_words!(&mut codes.words, v => lorenzo::sum_row(v));
        Ok(codes)
    }
}
