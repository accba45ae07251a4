//! What the planner proposes where every bit is to be kept.

use errbar_codec::codes::Word;
use errbar_codec::float::Float;
use errbar_codec::pipeline::{NONE, stage};
use errbar_codec::{DType, Tolerance, Values, coder, quantizer, transform, with_words};
use errbar_format::dtype::Class;
use errbar_format::record::{PipelineRecord, StageRecord};

use super::bytes::{lzma, zstd_level};
use super::{edges, fast, natural, pco_level, quick, repeats, sample};
use crate::policy::Mode;

/// Families of pipelines to choose from.
pub(super) fn families(values: &Values, tolerance: &Tolerance, mode: Mode) -> Vec<Vec<PipelineRecord>> {
    if mode == Mode::Fast {
        return quick::families(values, tolerance);
    }
    let dims = &values.bits.dims;
    let zstd = || stage("zstd", coder::Zstd::params(zstd_level(mode)));
    // What finds words that are there again, however far away.
    let far = |width| if mode == Mode::Small { lzma(width) } else { zstd() };
    let pco = |dtype| stage("pco", coder::Pco::params(dtype, pco_level(mode)));
    let lorenzo = |axes: usize| stage("lorenzo", vec![axes as u8]);
    let (params, width) = quantizer::Order::wanted(values, tolerance);
    let order = stage("order", params);
    let none = stage(NONE, vec![]);
    let shuffle = stage("shuffle", vec![]);
    let mut plain = vec![plan(&none, &[], pco(natural(values.dtype)))];
    let predictors = Predictors::of(values);
    let predicted = |quantizer: &StageRecord| predictors.of_codes(quantizer, (quantizer.name == "order").then_some(width));
    let mut families = Vec::new();
    if width <= 4 {
        families.push(predicted(&order));
    }
    if let Ok(float) = Float::of(values.dtype) {
        families.push(predictors.of_floats(values.dtype, float));
    }
    if let Some(lattice) = quantizer::Lattice::wanted(values, tolerance) {
        let lattice = stage("lattice", lattice);
        families.push(predicted(&lattice));
    }
    // Lattices of decimal fractions come back but for the last bit of some.
    if let Some((digits, width)) = quantizer::Decimal::wanted(values, tolerance) {
        let decimal = stage("decimal", digits);
        let mut plans = if width <= 4 { predicted(&decimal) } else { Vec::new() };
        plans.push(plan(&decimal, &[], pco(DType::unsigned(width))));
        plans.extend((1..=dims.len().min(3)).map(|axes| plan(&decimal, &[&lorenzo(axes)], pco(DType::unsigned(width)))));
        families.push(plans);
    }
    if let Some((palette, width)) = quantizer::Palette::wanted(values, tolerance) {
        let palette = stage("palette", palette);
        let mut plans = predicted(&palette);
        plans.push(plan(&palette, &[], far(width)));
        families.push(plans);
    }
    if repeats::are_worth_telling(values, tolerance) {
        let repeating: Vec<_> = families.iter().map(|family| family.iter().filter_map(telling_repeats).collect()).collect();
        families.extend(repeating);
    }
    if !dims.is_empty() {
        plain.extend((1..=dims.len().min(3)).map(|axes| plan(&order, &[&lorenzo(axes)], pco(DType::unsigned(width)))));
    }
    families.push(plain);
    if width == 8 && !dims.is_empty() {
        // Times and other coordinates, whose steps are few.
        families.push(match mode {
            Mode::Small => vec![plan(&order, &[&lorenzo(1)], lzma(width))],
            _ => vec![plan(&order, &[&lorenzo(1), &shuffle], zstd())],
        });
    }
    families.push(vec![
        plan(&none, &[&shuffle], zstd()),
        plan(&none, &[], far(values.dtype.word())),
        plan(&none, &[&stage("bitshuffle", vec![])], zstd()),
    ]);
    families
}

/// Families of what comes back exactly that may take less than all that a bound allows: few different numbers, and
/// numbers that repeat others.
pub(super) fn rivals(values: &Values, tolerance: &Tolerance) -> Vec<Vec<PipelineRecord>> {
    let limit = tolerance.limit.absolute().unwrap_or(0.0);
    let is_near =
        fast::outlook(values, limit).is_none_or(|outlook| outlook.is_nearly(repeats::least_bits(&sample::cut(values, repeats::LOOKS, 4))));
    if !is_near {
        return Vec::new();
    }
    let predictors = Predictors::of(values);
    let mut families = Vec::new();
    if let Some((palette, _)) = quantizer::Palette::wanted(values, tolerance) {
        families.push(predictors.of_codes(&stage("palette", palette), None));
    }
    if let Ok(float) = Float::of(values.dtype)
        && repeats::are_worth_telling(values, tolerance)
    {
        let plain = families.concat().into_iter().chain(predictors.of_floats(values.dtype, float));
        families.push(plain.filter_map(|plan| telling_repeats(&plan)).collect());
    }
    families
}

/// Ways to predict codes.
struct Predictors {
    has_components: bool,
    edges: Option<Vec<StageRecord>>,
}

impl Predictors {
    fn of(values: &Values) -> Predictors {
        Predictors { has_components: edges::has_components(&values.bits.dims), edges: edges::transforms(values) }
    }

    /// Plans with a predictor, of components by themselves, too.
    fn with(&self, quantizer: &StageRecord, predictor: &StageRecord, coder: &str) -> Vec<PipelineRecord> {
        let mut plans = vec![plan(quantizer, &[predictor], stage(coder, vec![]))];
        if self.has_components {
            plans.push(plan(quantizer, &[&stage("rotate", vec![]), predictor], stage(coder, vec![])));
        }
        plans
    }

    /// Plans for floats as they are.
    fn of_floats(&self, dtype: DType, float: Float) -> Vec<PipelineRecord> {
        let whole = stage("order", quantizer::Order::whole(dtype));
        let flinear = stage("flinear", transform::FloatLinear::wanted(float));
        // Only the one that learns takes codes of 64 bits.
        self.with(&whole, &flinear, if dtype.word() == 8 { "carith" } else { "crans" })
    }

    /// Plans for codes of so many bytes, if that matters.
    fn of_codes(&self, quantizer: &StageRecord, width: Option<usize>) -> Vec<PipelineRecord> {
        let mut plans = self.with(quantizer, &stage("linear", vec![]), "crans");
        if let Some(edges) = self.edges.as_ref().filter(|_| width.is_none_or(|width| width <= edges::WIDTH)) {
            plans.push(plan(quantizer, &edges.iter().collect::<Vec<_>>(), stage("crans", vec![])));
        }
        plans
    }
}

/// The same plan, which tells before it predicts what needs no prediction.
fn telling_repeats(plan: &PipelineRecord) -> Option<PipelineRecord> {
    let predictor = plan.transforms.iter().position(|transform| transform.name == "linear" || transform.name == "flinear")?;
    let mut plan = plan.clone();
    plan.transforms.insert(predictor, stage(repeats::REPEAT, vec![]));
    Some(plan)
}

fn plan(quantizer: &StageRecord, transforms: &[&StageRecord], coder: StageRecord) -> PipelineRecord {
    PipelineRecord { quantizer: quantizer.clone(), transforms: transforms.iter().map(|&t| t.clone()).collect(), coder }
}

/// Words that must be missing of so many for it to matter.
const FEW: usize = 256;
/// Words that tell quickly that nothing is missing.
const GLANCE: usize = 4096;

/// The bit pattern that seems to stand for missing values: one that is there often, farther from all
/// others than these from each other.
pub(super) fn fill(values: &Values) -> Vec<u64> {
    let float = Float::of(values.dtype).ok();
    let is_signed = values.dtype.class() == Class::Signed;
    let number = |bits: u64| match float {
        Some(float) => float.to_f64(bits),
        None if is_signed => {
            let unused = 64 - 8 * values.dtype.word() as u32;
            ((bits << unused) as i64 >> unused) as f64
        }
        None => bits as f64,
    };
    with_words!(&values.bits.words, v => fill_of(v, number))
}

fn fill_of<W: Word>(words: &[W], number: impl Fn(u64) -> f64) -> Vec<u64> {
    let stride = (words.len() / GLANCE).max(1);
    let far = |step: usize, expected: Option<u64>| {
        let numbers = || words.iter().step_by(step).map(|word| number(word.to_u64())).filter(|x| x.is_finite());
        let (least, most) = numbers().fold((f64::MAX, f64::MIN), |(least, most), x| (least.min(x), most.max(x)));
        let candidate = |extreme: f64| {
            let others = || numbers().filter(|&x| x != extreme);
            let (low, high) = others().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
            let (same, all) = (numbers().filter(|&x| x == extreme).count(), words.len().div_ceil(step));
            let gap = (extreme - low).abs().min((extreme - high).abs());
            let bits = words.iter().step_by(step).find(|word| number(word.to_u64()) == extreme)?.to_u64();
            let is_far = low <= high && gap > 2.0 * (high - low) && same > all / FEW && same > 2;
            (is_far && expected.is_none_or(|expected| expected == bits)).then_some(bits)
        };
        [least, most].into_iter().find_map(candidate)
    };
    let found = far(stride, None).filter(|&bits| stride == 1 || far(1, Some(bits)).is_some());
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use errbar_codec::conformance::SplitMix64;
    use errbar_codec::{DType, Registry, pipeline};

    use super::*;
    use crate::planner::{CorePlanner, encode_best};

    fn integers(numbers: &[i16]) -> Values {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        Values::from_bytes(DType::I16, false, &[numbers.len() as u64], bytes).expect("as many integers as bytes")
    }

    /// The stages chosen for numbers on a grid of 40 by 500.
    fn stages(dtype: DType, mode: Mode, bytes: impl Iterator<Item = u8>) -> String {
        let values = Values::from_bytes(dtype, false, &[40, 500], bytes.collect::<Vec<_>>()).expect("20,000 numbers");
        let (encoded, _) = encode_best(&Registry::core(), &CorePlanner, &values, None, mode, None).expect("any numbers");
        assert_eq!(encoded.decoded, values);
        pipeline::describe(&Registry::core(), &encoded.pipeline)
    }

    #[test]
    fn each_kind_of_numbers_finds_its_stages() {
        let noise: Vec<u64> = SplitMix64(9).take(20_000).collect();
        let wave = |i: usize| ((i % 500) as f64 * 0.02).sin() * 90.0 + ((i / 500) as f64 * 0.2).cos() * 40.0;
        let noisy = |i: usize| wave(i) + (noise[i] % 1000) as f64 * 1e-4;
        let each = || 0..20_000usize;
        let floats = |number: &dyn Fn(usize) -> f32, mode| {
            stages(DType::F32, mode, each().flat_map(|i| number(i).to_le_bytes()).collect::<Vec<_>>().into_iter())
        };
        let tens = stages(DType::I32, Mode::Balanced, each().flat_map(|i| (10 * noisy(i) as i32).to_le_bytes()));
        assert!(tens.starts_with("order(unit 10) linear"), "{tens}");
        let few: Vec<f32> = (0..50).map(|i| (noise[i] >> 40) as f32 * 1e-3).collect();
        let few = floats(&|i| few[(wave(i) / 6.0) as usize % 50], Mode::Balanced);
        assert!(few.starts_with("palette("), "{few}");
        let rounded = floats(&|i| (noisy(i) * 100.0).round() as f32 / 100.0, Mode::Balanced);
        assert!(rounded.starts_with("decimal(2 digits) linear"), "{rounded}");
        let packed = floats(&|i| (3.7 + (noisy(i) * 90.0).round() * 0.0113) as f32, Mode::Balanced);
        assert!(packed.starts_with("lattice(") && packed.contains(" + k 1.130000e-2) linear"), "{packed}");
        let field = floats(&|i| noisy(i) as f32, Mode::Small);
        assert!(field.ends_with(" carith"), "{field}");
        // Borders that no row foretells.
        let region = |i: usize| (noise[i / 500 / 10 * 60 + (i % 500 + (noise[i] >> 50) as usize % 3) / 10] >> 40) as i32;
        let regions = stages(DType::I32, Mode::Balanced, each().flat_map(|i| region(i).to_le_bytes()));
        assert!(regions.contains(" repeat("), "{regions}");
        let patch = |i: usize| (noise[i / 500 / 7 * 60 + i % 500 / 9] >> 40) as u8 % 25 * 10;
        let edges = stages(DType::U8, Mode::Balanced, each().map(|i| patch(i) + (noise[i] >> 50) as u8 % 3));
        assert!(edges.ends_with(" med crans"), "{edges}");
        let doubles = stages(DType::F64, Mode::Balanced, each().flat_map(|i| noisy(i).to_le_bytes()));
        assert!(doubles.starts_with("order flinear") && doubles.ends_with(" carith"), "{doubles}");
    }

    #[test]
    fn doubles_that_repeat_or_step_evenly_find_bytes() {
        let noise: Vec<u64> = SplitMix64(4).take(20_000).collect();
        let steps = (0..20_000).map(|i| 2.046 + (noise[i % 11] % 3) as f64 * 1e-3);
        let times: Vec<f64> = steps.scan(0.0, |t, step| Some(std::mem::replace(t, *t + step))).collect();
        let times = |mode| stages(DType::F64, mode, times.iter().flat_map(|t| t.to_le_bytes()).collect::<Vec<_>>().into_iter());
        assert!(times(Mode::Balanced).contains(" lorenzo(1) shuffle zstd("), "{}", times(Mode::Balanced));
        assert!(times(Mode::Small).contains(" lorenzo(1) lzma("), "{}", times(Mode::Small));
        // Two in five runs of ten are those that begin at a multiple of fifty somewhere before.
        let source = |i: usize| if i / 10 % 5 < 3 { i } else { (noise[i / 10] as usize >> 20) % (i / 50 + 1) * 50 + i % 10 };
        let runs = |i: usize| f64::from_bits(noise[source(i)] >> 12 | 1023 << 52);
        for mode in [Mode::Balanced, Mode::Small] {
            let runs = stages(DType::F64, mode, (0..20_000).flat_map(|i| runs(i).to_le_bytes()).collect::<Vec<_>>().into_iter());
            assert!(runs.contains(" lzma("), "{runs}");
        }
    }

    #[test]
    fn what_is_far_and_frequent_is_missing() {
        let mut numbers: Vec<i16> = (0..10_000).map(|i| if i % 7 == 0 { -32768 } else { i % 500 - 100 }).collect();
        assert_eq!(fill(&integers(&numbers)), [0x8000]);
        numbers[1] = -20_000;
        assert_eq!(fill(&integers(&numbers)), [0u64; 0]);
        assert_eq!(fill(&integers(&[5; 100])), [0u64; 0]);
        assert_eq!(fill(&integers(&[])), [0u64; 0]);
    }
}
