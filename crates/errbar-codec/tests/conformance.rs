//! Every stage of the core before the judge, and random pipelines of them.

use errbar_codec::check::{self, Limit, Tolerance};
use errbar_codec::pipeline::{self, stage};
use errbar_codec::{DType, Kind, Registry, Values, conformance};
use errbar_format::record::{Bound, PipelineRecord, StageRecord};
use proptest::prelude::*;

#[test]
fn quantizers_keep_their_contract() {
    for &quantizer in Registry::core().quantizers() {
        conformance::check_quantizer(quantizer).expect("quantizer of the core");
    }
}

#[test]
fn transforms_keep_their_contract() {
    for &transform in Registry::core().transforms() {
        conformance::check_transform(transform).expect("transform of the core");
    }
}

#[test]
fn coders_keep_their_contract() {
    for &coder in Registry::core().coders() {
        conformance::check_coder(coder).expect("coder of the core");
    }
}

#[test]
fn names_are_unique() {
    let registry = Registry::core();
    let mut names: Vec<_> = registry.quantizers().iter().map(|s| s.name()).collect();
    names.extend(registry.transforms().iter().map(|s| s.name()));
    names.extend(registry.coders().iter().map(|s| s.name()));
    let n = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n);
}

#[test]
fn an_unknown_stage_is_named() {
    let unknown = StageRecord { version: 2, ..stage("example.org/foo", vec![]) };
    let error = Registry::core().coder(&unknown).err().expect("not of the core");
    assert_eq!((error.kind, error.rule), (Kind::Unsupported, Some("EB-C01")));
    assert_eq!(error.what, "needs coder example.org/foo version 2");
}

fn any_transform() -> impl Strategy<Value = StageRecord> {
    prop_oneof![
        Just(stage("order", vec![])),
        Just(stage("delta", vec![])),
        (1u8..5).prop_map(|axes| stage("lorenzo", vec![axes])),
        Just(stage("shuffle", vec![])),
        Just(stage("bitshuffle", vec![])),
    ]
}

fn any_coder() -> impl Strategy<Value = StageRecord> {
    prop_oneof![
        Just(stage("store", vec![])),
        Just(stage("constant", vec![])),
        (-3i8..20).prop_map(|level| stage("zstd", errbar_codec::coder::Zstd::params(level))),
        (prop::sample::select(DType::ALL), 0u8..13).prop_map(|(dtype, level)| stage("pco", errbar_codec::coder::Pco::params(dtype, level))),
    ]
}

fn any_pipeline() -> impl Strategy<Value = PipelineRecord> {
    let quantizer = prop::sample::select(vec!["none", "uniform", "bitround"]);
    (quantizer, prop::collection::vec(any_transform(), 0..4), any_coder()).prop_map(|(quantizer, transforms, coder)| PipelineRecord {
        quantizer: stage(quantizer, vec![]),
        transforms,
        coder,
    })
}

fn any_tolerance() -> impl Strategy<Value = Option<Tolerance>> {
    let value = (-12i32..3).prop_map(|e| 10f64.powi(e));
    let limit = (value, any::<bool>()).prop_map(|(x, relative)| match relative {
        true => Tolerance { bound: Bound::PwRel(x), limit: Limit::Relative(x), fill: vec![0] },
        false => Tolerance { bound: Bound::Abs(x), limit: Limit::Abs(x), fill: vec![] },
    });
    prop_oneof![1 => Just(None), 3 => limit.prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_pipelines_give_back_what_they_promise(
        plan in any_pipeline(),
        tolerance in any_tolerance(),
        dtype in prop::sample::select(DType::ALL),
        shape in prop::collection::vec(0u64..9, 0..5),
        bytes in prop::collection::vec(any::<u8>(), 64),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u32..8), 8),
    ) {
        let registry = Registry::core();
        let size = Values::layout(dtype, &shape).expect("small").bytes();
        let bytes: Vec<u8> = bytes.into_iter().cycle().take(size).collect();
        let values = Values::from_bytes(dtype, false, &shape, &bytes).expect("as many bytes as the shape has");
        let encoded = match pipeline::encode(&registry, &plan, &values, tolerance.as_ref()) {
            Ok(encoded) => encoded,
            Err(e) => {
                prop_assert!(matches!(e.kind, Kind::Usage | Kind::Corrupt), "{e}");
                return Ok(());
            }
        };
        let decode = |payload: &[u8]| pipeline::decode(&registry, &encoded.pipeline, dtype, &shape, payload, encoded.exact_len);
        let decoded = decode(&encoded.payload).expect("what encode proved");
        prop_assert_eq!(&decoded, &encoded.decoded);
        match (&tolerance, &encoded.receipt) {
            (Some(tolerance), Some(receipt)) => {
                receipt.check(values.bits.words.len() as u64).expect("a receipt that agrees with itself");
                let found = check::compare(&values, &decoded, tolerance).expect("the same type and shape");
                prop_assert!(found.violations.is_empty());
                prop_assert_eq!(found.receipt.max_error, receipt.max_error);
            }
            _ => prop_assert_eq!(&decoded, &values),
        }
        for (index, bit) in flips {
            if encoded.payload.is_empty() {
                break;
            }
            let mut payload = encoded.payload.clone();
            payload[index.index(encoded.payload.len())] ^= 1 << bit;
            if let Ok(decoded) = decode(&payload) {
                prop_assert_eq!(decoded.bits.layout(), values.bits.layout());
            }
        }
    }
}
