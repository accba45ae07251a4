use errbar_format::{DType, Result};

use crate::stage::{Quantized, Quantizer, Stage, no_params};
use crate::{Codes, Layout, Tolerance, Values};

/// Codes are the bit patterns. Serves every type and every tolerance. See `spec/stages/none.md`.
#[derive(Clone, Copy, Debug)]
pub struct None;

impl Stage for None {
    fn name(&self) -> &'static str {
        crate::pipeline::NONE
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "keeps every bit"
    }

    fn guarantee(&self) -> &'static str {
        "exact for every type"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Quantizer for None {
    fn quantize(&self, values: &Values, _: &Tolerance, _: &[u8]) -> Result<Quantized> {
        Ok(Quantized { params: Vec::new(), codes: values.bits.clone(), exact: Vec::new(), absent: Option::None })
    }

    fn code_layout(&self, _: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        no_params(params).map(|()| layout.flat())
    }

    fn reconstruct(&self, codes: Codes, _: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params).map(|()| codes)
    }
}
