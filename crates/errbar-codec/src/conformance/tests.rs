//! The judge finds what is broken: each stage here breaks one promise.

use super::*;
use crate::stage::no_params;
use crate::{Quantized, Result, Words};

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
    /// There are no codes, and somebody counted on one.
    Panic,
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

/// Changes one of 105 codes in the last bit.
fn change_one(codes: &mut Codes) {
    match &mut codes.words {
        Words::U32(v) if v.len() == 105 => v[77] ^= 1,
        _ => {}
    }
}

fn first(codes: &Codes) -> u64 {
    with_words!(&codes.words, v => v[0].to_u64())
}

impl Transform for Faulty {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        no_params(params)?;
        match self.0 {
            Fault::Layout => Ok(Layout::plain(input.width, vec![input.len()])),
            _ => Ok(input.clone()),
        }
    }

    fn forward(&self, codes: Codes, params: &[u8]) -> Result<Codes> {
        no_params(params).map(|()| codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        match self.0 {
            Fault::Loss => change_one(&mut codes),
            Fault::Panic => assert_eq!(first(&codes), first(&codes)),
            _ => {}
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
            return Ok(layout.codes(Words::from_le_bytes(layout.width, bytes)));
        }
        let mut codes = Codes::from_le_bytes(layout, bytes)?;
        match self.0 {
            Fault::Loss => change_one(&mut codes),
            Fault::Layout => codes.dims.push(1),
            Fault::Panic => assert_eq!(first(&codes), first(&codes)),
            _ => {}
        }
        Ok(codes)
    }
}

impl Quantizer for Faulty {
    fn quantize(&self, values: &Values, _: &Tolerance, _: &[u8]) -> Result<Quantized> {
        Ok(Quantized { params: Vec::new(), codes: values.bits.clone(), exact: Vec::new(), absent: None })
    }

    fn code_layout(&self, _: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        if self.0 != Fault::Trust {
            no_params(params)?;
        }
        Ok(layout.flat())
    }

    fn reconstruct(&self, mut codes: Codes, dtype: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
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
    static SOUND: Faulty = Faulty(Fault::No);
    assert_eq!(check_quantizer(&SOUND), Ok(()));
    assert_eq!(check_transform(&SOUND), Ok(()));
    assert_eq!(check_coder(&SOUND), Ok(()));
}

#[test]
fn every_fault_is_found_and_told() {
    static FAULTY: [Faulty; 5] =
        [Faulty(Fault::Bound), Faulty(Fault::Trust), Faulty(Fault::Loss), Faulty(Fault::Layout), Faulty(Fault::Panic)];
    let [bound, trust, loss, layout, panic] = &FAULTY;
    let found = |verdict: Verdict, what: &str| {
        let message = verdict.expect_err(what);
        assert!(message.starts_with("example.org/faulty") && message.contains(what), "{message}");
    };
    found(check_quantizer(bound), "words miss the tolerance");
    found(check_quantizer(trust), "reconstruct gives");
    found(check_transform(loss), "inverse does not give the codes back");
    found(check_transform(layout), "forward gives");
    found(check_transform(panic), "inverse panics: index out of bounds");
    found(check_coder(loss), "decode does not give the codes back");
    found(check_coder(layout), "decode gives");
    found(check_coder(trust), "decode of the first 0 bytes gives");
    found(check_coder(panic), "decode panics: index out of bounds");
}
