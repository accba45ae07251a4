//! The judge finds what is broken: each stage here breaks one promise.

use super::*;
use crate::Result;
use crate::stage::no_params;

/// What a stage here does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing.
    No,
    /// One code of many comes back changed.
    Loss,
    /// Layouts are promised and not kept.
    Layout,
    /// Any bytes or parameters are taken, and the result has the wrong size.
    Trust,
    /// The error of a value exceeds the limit by a little.
    Bound,
}

struct Faulty(Fault);

impl Stage for Faulty {
    fn name(&self) -> &'static str {
        "example.org/faulty"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "breaks one promise"
    }

    fn guarantee(&self) -> &'static str {
        "to be found out"
    }

    fn describe(&self, _: &[u8]) -> Result<String> {
        Ok(String::new())
    }
}

fn change_one(codes: &mut Codes) {
    match &mut codes.words {
        Words::U32(v) if v.len() == 1021 => v[777] ^= 1,
        _ => {}
    }
}

impl Transform for Faulty {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        no_params(params)?;
        match self.0 {
            Fault::Layout => Ok(Layout { width: input.width, dims: vec![input.len()] }),
            _ => Ok(input.clone()),
        }
    }

    fn forward(&self, codes: Codes, params: &[u8]) -> Result<Codes> {
        no_params(params).map(|()| codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        if self.0 == Fault::Loss {
            change_one(&mut codes);
        }
        Ok(codes)
    }
}

impl Coder for Faulty {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        no_params(params).map(|()| codes.words.to_le_bytes().into_owned())
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        if self.0 == Fault::Trust {
            return Ok(Codes { dims: layout.dims.clone(), words: Words::from_le_bytes(layout.width, bytes) });
        }
        let mut codes = Codes::from_le_bytes(layout, bytes)?;
        match self.0 {
            Fault::Loss => change_one(&mut codes),
            Fault::Layout => codes.dims.push(1),
            _ => {}
        }
        Ok(codes)
    }
}

impl Quantizer for Faulty {
    fn quantize(&self, values: &Values, _: &Tolerance) -> Result<Quantized> {
        Ok(Quantized { params: Vec::new(), codes: values.bits.clone(), exact: Vec::new() })
    }

    fn code_layout(&self, _: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        if self.0 != Fault::Trust {
            no_params(params)?;
        }
        Ok(layout.clone())
    }

    fn reconstruct(&self, mut codes: Codes, dtype: DType, params: &[u8]) -> Result<Codes> {
        match self.0 {
            Fault::Trust if !params.is_empty() => codes.words = Words::U8(params.to_vec()),
            Fault::Bound if dtype == DType::F32 => change_one(&mut codes),
            _ => {}
        }
        Ok(codes)
    }
}

#[test]
fn a_sound_stage_passes() {
    check_quantizer(&Faulty(Fault::No)).expect("a sound quantizer");
    check_transform(&Faulty(Fault::No)).expect("a sound transform");
    check_coder(&Faulty(Fault::No)).expect("a sound coder");
}

#[test]
fn every_fault_is_found_and_told() {
    let found = |verdict: Verdict, what: &str| {
        let message = verdict.expect_err(what);
        assert!(message.starts_with("example.org/faulty") && message.contains(what), "{message}");
    };
    found(check_quantizer(&Faulty(Fault::Bound)), "out of bounds");
    found(check_quantizer(&Faulty(Fault::Trust)), "parameters [0]");
    found(check_transform(&Faulty(Fault::Loss)), "does not give back");
    found(check_transform(&Faulty(Fault::Layout)), "another layout");
    found(check_coder(&Faulty(Fault::Loss)), "does not give back");
    found(check_coder(&Faulty(Fault::Layout)), "does not give back");
    found(check_coder(&Faulty(Fault::Trust)), "damaged");
}
