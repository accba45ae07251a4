//! The stage before the judge, in a pipeline, and in a program that lacks it.

use errbar::record::PipelineRecord;
use errbar_codec::pipeline::{self, stage};
use errbar_codec::{Codes, DType, Kind, Registry, Transform, Values, Words, conformance};
use negate::Negate;

#[test]
fn it_keeps_the_contract_of_a_transform() {
    conformance::check_transform(&Negate).expect("negate");
}

#[test]
fn it_negates() {
    let codes = Codes { dims: vec![3], words: Words::U16(vec![0, 1, 0x8000]) };
    assert_eq!(Negate.forward(codes, &[]).expect("no parameters").words, Words::U16(vec![0, 0xFFFF, 0x8000]));
}

#[test]
fn a_registry_without_it_says_what_it_lacks() {
    let values = Values::from_bytes(DType::I16, true, &[4], &[0, 1, 0, 2, 0, 3, 0, 4]).expect("four integers");
    let (none, negate, store) = (stage("none", vec![]), stage("example.org/negate", vec![]), stage("store", vec![]));
    let plan = PipelineRecord { quantizer: none, transforms: vec![negate], coder: store };
    let with = Registry::core().with_transform(&Negate);
    let encoded = pipeline::encode(&with, &plan, &values, None).expect("lossless");
    let decode = |registry| pipeline::decode(registry, &encoded.pipeline, DType::I16, &[4], &encoded.payload, encoded.exact_len);
    assert_eq!(decode(&with).expect("the same registry"), values);
    let error = decode(&Registry::core()).expect_err("negate is not of the core");
    assert_eq!(error.kind, Kind::Unsupported);
    assert_eq!(error.what, "needs transform example.org/negate version 1");
}
