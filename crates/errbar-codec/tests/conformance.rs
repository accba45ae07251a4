//! Every stage of the core before the judge, alone and in pipelines.

use errbar_codec::check::allows;
use errbar_codec::conformance::{self, Case, SplitMix64};
use errbar_codec::float::Float;
use errbar_codec::pipeline::{self, Encoded, stage};
use errbar_codec::simd::narrow;
use errbar_codec::{Codes, DType, Kind, Layout, Limit, Registry, Result, Stage, Tolerance, Transform, Values, Words, coder, with_words};
use errbar_format::record::{Bound, PipelineRecord, StageRecord};
use proptest::prelude::*;

fn plan(quantizer: &str, transforms: &[StageRecord], coder: StageRecord) -> PipelineRecord {
    PipelineRecord { quantizer: stage(quantizer, Vec::new()), transforms: transforms.to_vec(), coder }
}

fn store() -> StageRecord {
    stage("store", Vec::new())
}

fn tolerance(limit: Limit) -> Tolerance {
    let bounds = [limit.absolute().map(Bound::Abs), limit.relative().map(Bound::PwRel)].into_iter().flatten().collect();
    Tolerance { bounds, limit, fill: Vec::new() }
}

fn quantizer_for(limit: Limit) -> &'static str {
    if limit.absolute().is_some() { "uniform" } else { "bitround" }
}

/// Codes a list of words through `uniform` or `bitround`, decodes it again and has it judged.
fn judged(dtype: DType, words: Words, limit: Limit) -> Encoded {
    let values = Values { dtype, bits: Codes::plain(vec![words.len()], words) };
    let tolerance = tolerance(limit);
    let core = Registry::core();
    let encoded =
        pipeline::encode(&core, &plan(quantizer_for(limit), &[], store()), &values, Some(&tolerance)).expect("the limit is served");
    let shape = [values.bits.words.len() as u64];
    let decoded =
        pipeline::decode(&core, &encoded.pipeline, dtype, &shape, &encoded.payload, encoded.exact_len).expect("it was just coded");
    conformance::judge(&values, &decoded, &tolerance, encoded.receipt.as_ref())
        .unwrap_or_else(|what| panic!("{} {limit:?}: {what}", dtype.name()));
    encoded
}

fn exact(encoded: &Encoded) -> u64 {
    encoded.receipt.as_ref().expect("a bound was given").exact
}

/// Judges each stage on a thread of its own, because it takes a while.
fn all_conform<S: ?Sized + Sync>(stages: &[&'static S], check: fn(&'static S) -> std::result::Result<(), String>) {
    std::thread::scope(|scope| {
        for &stage in stages {
            scope.spawn(move || assert_eq!(check(stage), Ok(())));
        }
    });
}

#[test]
fn every_core_quantizer_conforms() {
    all_conform(Registry::core().quantizers(), conformance::check_quantizer);
}

#[test]
fn every_core_transform_conforms() {
    all_conform(Registry::core().transforms(), conformance::check_transform);
}

#[test]
fn every_core_coder_conforms() {
    all_conform(Registry::core().coders(), conformance::check_coder);
}

#[test]
fn no_two_stages_share_a_name_and_version() {
    let core = Registry::core();
    let mut names: Vec<(&str, u16)> = core.quantizers().iter().map(|s| (s.name(), s.version())).collect();
    names.extend(core.transforms().iter().map(|s| (s.name(), s.version())));
    names.extend(core.coders().iter().map(|s| (s.name(), s.version())));
    let n = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n);
}

/// A transform whose inverse loses the last code.
struct Short;

impl Stage for Short {
    fn name(&self) -> &'static str {
        "example.org/short"
    }
    fn version(&self) -> u16 {
        1
    }
    fn summary(&self) -> &'static str {
        "loses a code"
    }
    fn guarantee(&self) -> &'static str {
        "none"
    }
    fn describe(&self, _: &[u8]) -> Result<String> {
        Ok(String::new())
    }
}

impl Transform for Short {
    fn output(&self, input: &Layout, _: &[u8]) -> Result<Layout> {
        Ok(input.clone())
    }
    fn forward(&self, codes: Codes, _: &[u8]) -> Result<Codes> {
        Ok(codes)
    }
    fn inverse(&self, mut codes: Codes, _: &Layout, _: &[u8]) -> Result<Codes> {
        with_words!(&mut codes.words, v => v.truncate(v.len() - 1));
        Ok(codes)
    }
}

#[test]
fn every_16_bit_float_keeps_every_bound() {
    for dtype in [DType::F16, DType::BF16] {
        let all = || Words::U16((0..=u16::MAX).collect());
        for limit in [1e-300, 1e-8, 1e-3, 0.1, 1.0, 100.0, 1e300] {
            judged(dtype, all(), Limit::Abs(limit));
        }
        for limit in [1e-300, 1e-3, 0.01, 0.3, 0.5, 2.0] {
            judged(dtype, all(), Limit::Relative(limit));
        }
    }
}

#[test]
fn values_between_two_codes_and_one_ulp_beside_keep_the_bound() {
    for (dtype, float) in [(DType::F32, Float::F32), (DType::F64, Float::F64)] {
        for limit in [0.5, 0.01, 1e-3, 1e-7, 3e5, 1e-300, 1e300] {
            let middles = (-300..=300).map(|k| float.from_f64(f64::from(2 * k + 1) * limit));
            let bits = middles.flat_map(|bits| [bits.wrapping_sub(1), bits, bits + 1]);
            let words = match float {
                Float::F32 => Words::U32(bits.map(|bits| bits as u32).collect()),
                _ => Words::U64(bits.collect()),
            };
            judged(dtype, words, Limit::Abs(limit));
        }
    }
}

#[test]
fn ordinary_values_under_an_ordinary_bound_are_served_by_codes() {
    let smooth: Vec<u32> = (0..10_000).map(|i| (280.0 + (i % 500) as f32 / 16.0).to_bits()).collect();
    for limit in [Limit::Abs(0.01), Limit::Relative(1e-3)] {
        assert_eq!(exact(&judged(DType::F32, Words::U32(smooth.clone()), limit)), 0);
    }
}

#[test]
fn a_bound_below_every_spacing_gives_every_bit_back_and_one_above_every_value_costs_nothing() {
    let random: Vec<u64> = SplitMix64(7).take(5000).map(|bits| bits & !(1 << 62)).collect();
    for limit in [Limit::Abs(1e-300), Limit::Relative(1e-300)] {
        let encoded = judged(DType::F64, Words::U64(random.clone()), limit);
        let error = encoded.receipt.as_ref().expect("a bound was given").max_error;
        assert!(error <= 1e-300, "{limit:?}: {error:e}");
    }
    assert_eq!(exact(&judged(DType::F64, Words::U64(random), Limit::Abs(1e300))), 0);
}

fn rule_of(result: Result<Values>) -> (Kind, Option<&'static str>) {
    let error = result.expect_err("it breaks a rule");
    (error.kind, error.rule)
}

fn decode(pipeline: &PipelineRecord, dtype: DType, n: u64, payload: &[u8], exact_len: u64) -> Result<Values> {
    pipeline::decode(&Registry::core(), pipeline, dtype, &[n], payload, exact_len)
}

#[test]
fn eb_c01_an_unknown_stage_or_version_is_unsupported_by_name() {
    let odd = |name: &str, version| StageRecord { name: name.into(), version, params: Vec::new() };
    for (pipeline, says) in [
        (plan("example.org/q", &[], store()), "needs quantizer example.org/q version 1"),
        (plan("none", &[odd("example.org/t", 1)], store()), "needs transform example.org/t version 1"),
        (plan("none", &[odd("delta", 2)], store()), "needs transform delta version 2"),
        (plan("none", &[], odd("example.org/c", 3)), "needs coder example.org/c version 3"),
    ] {
        let error = decode(&pipeline, DType::U8, 1, &[0], 0).expect_err("unknown");
        assert_eq!((error.kind, error.rule, error.what.as_str()), (Kind::Unsupported, Some("EB-C01"), says));
    }
}

#[test]
fn eb_c02_a_stage_that_gives_another_number_of_codes_is_refused() {
    for payload in [&[][..], &[1, 2, 3], &[1, 2, 3, 4, 5]] {
        for coder in [store(), stage("constant", Vec::new()), stage("zstd", vec![1]), stage("pco", coder::Pco::params(DType::U32, 8))] {
            assert_eq!(rule_of(decode(&plan("none", &[], coder), DType::F32, 1, payload, 0)), (Kind::Corrupt, Some("EB-C02")));
        }
    }
    let registry = Registry::core().with_transform(&Short);
    let result = pipeline::decode(&registry, &plan("none", &[stage(Short.name(), vec![])], store()), DType::U8, &[3], &[1, 2, 3], 0);
    assert_eq!(rule_of(result), (Kind::Corrupt, Some("EB-C02")));
}

#[test]
fn eb_c03_quantizers_of_floats_refuse_other_types() {
    let uniform = [&1f64.to_le_bytes()[..], &[0; 8], &[1]].concat();
    let numbers = |n: usize| 1f64.to_le_bytes().repeat(n);
    let interp = [&[0][..], &numbers(2)].concat();
    let log = [&numbers(1)[..], &[0; 16], &[1]].concat();
    for (name, params) in [
        ("uniform", uniform),
        ("bitround", vec![3]),
        ("lattice", numbers(3)),
        ("decimal", vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("interp", interp),
        ("log", log),
    ] {
        let pipeline = PipelineRecord { quantizer: stage(name, params), ..plan(name, &[], store()) };
        for dtype in [DType::Bytes, DType::Bool, DType::U16, DType::I32, DType::I64] {
            assert_eq!(rule_of(decode(&pipeline, dtype, 1, &[0], 0)), (Kind::Corrupt, Some("EB-C03")));
        }
    }
}

#[test]
fn eb_c04_parameters_of_another_length_or_range_are_refused() {
    let uniform = |step: f64, width: u8| [&step.to_le_bytes()[..], &[0; 8], &[width]].concat();
    let with_quantizer = |name: &str, params| PipelineRecord { quantizer: stage(name, params), ..plan(name, &[], store()) };
    let with_transform = |name: &str, params| plan("none", &[stage(name, params)], store());
    let with_coder = |name: &str, params| plan("none", &[], stage(name, params));
    let mut bad = vec![
        with_quantizer("none", vec![0]),
        with_quantizer("bitround", vec![]),
        with_quantizer("bitround", vec![24]),
        with_quantizer("bitround", vec![3, 0]),
        with_quantizer("uniform", uniform(1.0, 1)[..16].to_vec()),
        with_quantizer("lattice", vec![0; 24]),
        with_quantizer("lattice", 1f64.to_le_bytes().repeat(3)[..23].to_vec()),
        with_quantizer("decimal", vec![1, 1, 0, 0, 0, 0, 0, 0, 0]),
        with_quantizer("decimal", vec![23, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        with_quantizer("decimal", vec![1, 3, 0, 0, 0, 0, 0, 0, 0, 0]),
        with_quantizer("interp", vec![]),
        with_quantizer("interp", [&[0][..], &1f64.to_le_bytes().repeat(2)[..15]].concat()),
        with_quantizer("interp", [&[0x80][..], &1f64.to_le_bytes().repeat(2)].concat()),
        with_quantizer("interp", [&[0][..], &[0; 16]].concat()),
        with_quantizer("interp", [&[0x20][..], &1f64.to_le_bytes().repeat(2), &[0; 16]].concat()),
        with_transform("linear", vec![]),
        with_transform("linear", vec![0; 34]),
        with_transform("linear", vec![1; 35]),
        with_transform("linear", vec![2; 39]),
        with_transform("med", vec![]),
        with_transform("med", vec![2]),
        with_transform("med", vec![0, 0]),
        with_transform("lorenzo", vec![]),
        with_transform("lorenzo", vec![0]),
        with_transform("lorenzo", vec![2]),
        with_transform("lorenzo", vec![5]),
        with_coder("store", vec![0]),
        with_coder("constant", vec![0]),
        with_coder("crans", vec![0]),
        with_coder("bitpack", vec![0]),
        with_coder("zstd", vec![]),
        with_coder("zstd", vec![1, 1]),
        with_coder("pco", vec![]),
        with_coder("pco", coder::Pco::params(DType::U16, 8)),
        with_coder("pco", coder::Pco::params(DType::C64, 8)),
        with_coder("pco", vec![200, 8]),
        with_coder("classes", vec![1]),
        with_coder("classes", vec![0, 8]),
        with_coder("classes", vec![2, 8]),
    ];
    bad.extend([0.0, -0.0, -1.0, f64::NAN, f64::INFINITY].map(|step| with_quantizer("uniform", uniform(step, 1))));
    bad.extend([0, 3, 5, 16, 255].map(|width| with_quantizer("uniform", uniform(1.0, width))));
    bad.extend(["delta", "rotate", "shuffle", "bitshuffle"].map(|name| with_transform(name, vec![0])));
    for pipeline in bad {
        assert_eq!(rule_of(decode(&pipeline, DType::F32, 1, &[0; 4], 0)), (Kind::Corrupt, Some("EB-C04")), "{pipeline:?}");
    }
}

#[test]
fn eb_c05_exact_values_that_do_not_fit_the_block_are_refused() {
    let exact_with = |flags: u8, count: u64, gaps: &[u32], values: &[u8]| {
        let plain: Vec<u8> = gaps.iter().flat_map(|gap| gap.to_le_bytes()).chain(values.iter().copied()).collect();
        let frame = errbar_format::zstd_frame::compress(&plain, errbar_format::zstd_frame::LEVEL).expect("zstd works");
        [&[flags], &count.to_le_bytes()[..], &frame].concat()
    };
    let exact = |count: u64, gaps: &[u32], values: &[u8]| exact_with(2, count, gaps, values);
    let with =
        |exact: &[u8]| decode(&plan("none", &[], store()), DType::U8, 4, &[&[10, 20, 30, 40][..], exact].concat(), exact.len() as u64);
    let good = exact(2, &[1, 1], &[7, 8]);
    assert_eq!(with(&good).expect("positions 1 and 3").bits.words, Words::U8(vec![10, 7, 30, 8]));
    let differences = with(&exact_with(6, 2, &[1, 1], &[1, 255])).expect("of -1 and -128");
    assert_eq!(differences.bits.words, Words::U8(vec![10, 19, 30, 168]));
    for bad in [
        good[..good.len() - 1].to_vec(),
        good[..8].to_vec(),
        [&good[..], &[0]].concat(),
        exact(0, &[], &[]),
        exact(5, &[0; 5], &[0; 5]),
        exact(u64::MAX, &[1, 1], &[7, 8]),
        exact(2, &[1, 2], &[7, 8]),
        exact(2, &[u32::MAX, u32::MAX], &[7, 8]),
        exact(2, &[1, 1], &[7]),
        exact(2, &[1, 1], &[7, 8, 9]),
        exact_with(4, 2, &[1, 1], &[7, 8]),
        exact_with(10, 2, &[1, 1], &[7, 8]),
    ] {
        assert_eq!(rule_of(with(&bad)), (Kind::Corrupt, Some("EB-C05")), "{bad:?}");
    }
    assert_eq!(rule_of(decode(&plan("none", &[], store()), DType::U8, 1, &[0], 2)), (Kind::Corrupt, Some("EB-C05")));
}

#[test]
fn wider_vectors_change_no_bit() {
    let core = Registry::core();
    let crans = || stage("crans", Vec::new());
    let with = |quantizer: &str, transforms: &[(&str, &[u8])]| {
        let transforms: Vec<StageRecord> = transforms.iter().map(|(name, params)| stage(name, params.to_vec())).collect();
        plan(quantizer, &transforms, crans())
    };
    let (limit, exact) = (tolerance(Limit::Abs(1e-3)), Tolerance::exact(Vec::new()));
    let plans = [
        (with("interp", &[]), &limit),
        (with("uniform", &[("linear", &[])]), &limit),
        (with("uniform", &[("lorenzo", &[1])]), &limit),
        (with("lattice", &[("linear", &[])]), &limit),
        (with("order", &[("repeat", &[]), ("linear", &[])]), &exact),
        (with("palette", &[]), &exact),
    ];
    let mut served = [0; 6];
    for case in conformance::cases() {
        for ((plan, limit), served) in plans.iter().zip(&mut served) {
            let encode = || pipeline::encode(&core, plan, &case.values, Some(limit));
            let (Ok(wide), Ok(narrow)) = (encode(), narrow::only(encode)) else { continue };
            *served += 1;
            assert_eq!((&wide.payload, &wide.pipeline), (&narrow.payload, &narrow.pipeline), "{}", case.name);
            assert_eq!(wide.receipt, narrow.receipt, "{}", case.name);
            let decode =
                || pipeline::decode(&core, &wide.pipeline, case.values.dtype, &case.shape, &wide.payload, wide.exact_len).expect("coded");
            assert_eq!((&decode(), &narrow::only(decode)), (&wide.decoded, &wide.decoded), "{}", case.name);
        }
    }
    assert!(served.iter().all(|&served| served > 10) && served.iter().sum::<usize>() > 300, "{served:?}");
}

fn any_case() -> impl Strategy<Value = Case> {
    let cases: Vec<Case> = conformance::cases().into_iter().filter(|case| case.values.bits.words.len() < 1000).collect();
    prop::sample::select(cases)
}

fn any_transforms() -> impl Strategy<Value = Vec<StageRecord>> {
    let all: Vec<StageRecord> = Registry::core()
        .transforms()
        .iter()
        .flat_map(|s| s.examples().into_iter().map(|params| StageRecord { name: s.name().into(), version: s.version(), params }))
        .collect();
    prop::collection::vec(prop::sample::select(all), 0..=4)
}

fn any_coder() -> impl Strategy<Value = StageRecord> {
    let all: Vec<StageRecord> = Registry::core()
        .coders()
        .iter()
        .flat_map(|s| s.examples().into_iter().map(|params| StageRecord { name: s.name().into(), version: s.version(), params }))
        .collect();
    prop::sample::select(all)
}

fn any_quantizer() -> impl Strategy<Value = &'static str> {
    let all: Vec<&'static str> = Registry::core().quantizers().iter().map(|s| s.name()).filter(|&name| name != "none").collect();
    prop::sample::select(all)
}

fn any_limit() -> impl Strategy<Value = Limit> {
    let value = prop_oneof![Just(1e-300), Just(1e300), 1e-6..2.0f64];
    (0..3, value.clone(), value).prop_map(|(kind, absolute, relative)| match kind {
        0 => Limit::Abs(absolute),
        1 => Limit::Relative(relative),
        _ => Limit::Both { absolute, relative },
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_lossless_pipelines_give_every_bit_back_or_refuse(case in any_case(), transforms in any_transforms(), coder in any_coder()) {
        match pipeline::encode(&Registry::core(), &plan("none", &transforms, coder), &case.values, None) {
            Ok(coded) => {
                let decoded = pipeline::decode(&Registry::core(), &coded.pipeline, case.values.dtype, &case.shape, &coded.payload, coded.exact_len);
                prop_assert_eq!(decoded.expect("it was just coded"), case.values);
                prop_assert!(coded.receipt.is_none());
            }
            Err(error) => prop_assert!(matches!(error.kind, Kind::Usage | Kind::Corrupt), "{}", error),
        }
    }

    #[test]
    fn random_lossy_pipelines_keep_the_bound_or_refuse(
        case in any_case(), quantizer in any_quantizer(), transforms in any_transforms(), coder in any_coder(), limit in any_limit(),
    ) {
        let tolerance = tolerance(limit);
        match pipeline::encode(&Registry::core(), &plan(quantizer, &transforms, coder), &case.values, Some(&tolerance)) {
            Ok(coded) => {
                let decoded = pipeline::decode(&Registry::core(), &coded.pipeline, case.values.dtype, &case.shape, &coded.payload, coded.exact_len);
                let decoded = decoded.expect("it was just coded");
                prop_assert_eq!(conformance::judge(&case.values, &decoded, &tolerance, coded.receipt.as_ref()), Ok(()));
                prop_assert_eq!(decoded, coded.decoded);
            }
            Err(error) => prop_assert!(matches!(error.kind, Kind::Usage | Kind::Corrupt), "{}", error),
        }
    }

    #[test]
    fn the_fast_check_never_allows_what_exact_arithmetic_refuses(x in any::<f64>(), steps in -3i64..=3, limit in any_limit()) {
        prop_assume!(x.is_finite());
        let most = limit.absolute().unwrap_or(f64::MAX).min(limit.relative().unwrap_or(f64::MAX) * x.abs());
        let edge = x + most;
        let y = f64::from_bits((edge.to_bits() as i64).wrapping_add(steps) as u64);
        prop_assume!(y.is_finite());
        let exact = conformance::within(x, y, limit);
        match limit {
            Limit::Abs(_) => prop_assert_eq!(allows(limit, x, y), exact),
            _ => prop_assert!(exact || !allows(limit, x, y)),
        }
    }

    #[test]
    fn damaged_payloads_decode_to_the_shape_asked_or_to_an_error(
        case in any_case(), transforms in any_transforms(), coder in any_coder(), at in any::<prop::sample::Index>(), bit in 0..8u32,
    ) {
        if let Ok(mut coded) = pipeline::encode(&Registry::core(), &plan("none", &transforms, coder), &case.values, None)
            && !coded.payload.is_empty()
        {
            let at = at.index(coded.payload.len());
            coded.payload[at] ^= 1 << bit;
            if let Ok(decoded) = pipeline::decode(&Registry::core(), &coded.pipeline, case.values.dtype, &case.shape, &coded.payload, 0) {
                prop_assert_eq!(decoded.bits.layout(), case.values.bits.layout());
                prop_assert_eq!(decoded.bits.words.len(), case.values.bits.words.len());
            }
        }
    }
}
