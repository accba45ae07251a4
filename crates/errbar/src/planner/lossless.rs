//! What the planner proposes where every bit is to be kept.

use errbar_codec::codes::Word;
use errbar_codec::float::Float;
use errbar_codec::pipeline::{NONE, stage};
use errbar_codec::{Tolerance, Values, coder, quantizer, transform, with_words};
use errbar_format::dtype::Class;
use errbar_format::record::{PipelineRecord, StageRecord};

use super::bytes::zstd_level;
use super::lossy::COMPONENTS;
use super::{natural, pco_level, unsigned};
use crate::policy::Mode;

/// Families of pipelines to choose from.
pub(super) fn families(values: &Values, tolerance: &Tolerance, mode: Mode) -> Vec<Vec<PipelineRecord>> {
    let dims = &values.bits.dims;
    let has_components = dims.iter().filter(|&&d| d > 1).count() > 1 && dims.last().is_some_and(|&d| d <= COMPONENTS);
    let zstd = || stage("zstd", coder::Zstd::params(zstd_level(mode)));
    let pco = |dtype| stage("pco", coder::Pco::params(dtype, pco_level(mode)));
    let lorenzo = |axes: usize| stage("lorenzo", vec![axes as u8]);
    let (params, width) = quantizer::Order::wanted(values, tolerance);
    let order = stage("order", params);
    let none = stage(NONE, vec![]);
    let shuffled = plan(&none, &[&stage("shuffle", vec![])], zstd());
    let mut plain = vec![plan(&none, &[], pco(natural(values.dtype)))];
    if mode == Mode::Fast {
        plain.extend((!dims.is_empty()).then(|| plan(&order, &[&lorenzo(dims.len().min(3))], pco(unsigned(width)))));
        plain.push(shuffled);
        return vec![plain];
    }
    let (linear, rotate) = (stage("linear", vec![]), stage("rotate", vec![]));
    let with = |quantizer: &StageRecord, predictor: &StageRecord, coder: &str| {
        let mut plans = vec![plan(quantizer, &[predictor], stage(coder, vec![]))];
        if has_components {
            plans.push(plan(quantizer, &[&rotate, predictor], stage(coder, vec![])));
        }
        plans
    };
    let predicted = |quantizer: &StageRecord| with(quantizer, &linear, "crans");
    let mut families = Vec::new();
    if width <= 4 {
        families.push(predicted(&order));
    }
    if let Ok(float) = Float::of(values.dtype) {
        let whole = stage("order", quantizer::Order::whole(values.dtype));
        let flinear = stage("flinear", transform::FloatLinear::wanted(float));
        // Only the one that learns takes codes of 64 bits.
        let coder = if values.dtype.word() == 8 { "carith" } else { "crans" };
        families.push(with(&whole, &flinear, coder));
    }
    if let Some(lattice) = quantizer::Lattice::wanted(values, tolerance) {
        let lattice = stage("lattice", lattice);
        families.push(predicted(&lattice));
    }
    if let Some(palette) = quantizer::Palette::wanted(values, tolerance) {
        let palette = stage("palette", palette);
        let mut plans = predicted(&palette);
        plans.push(plan(&palette, &[], zstd()));
        families.push(plans);
    }
    if !dims.is_empty() {
        plain.extend((1..=dims.len().min(3)).map(|axes| plan(&order, &[&lorenzo(axes)], pco(unsigned(width)))));
    }
    families.push(plain);
    families.push(vec![shuffled, plan(&none, &[], zstd()), plan(&none, &[&stage("bitshuffle", vec![])], zstd())]);
    families
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
    use errbar_codec::DType;

    use super::*;

    fn integers(numbers: &[i16]) -> Values {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        Values::from_bytes(DType::I16, false, &[numbers.len() as u64], bytes).expect("as many integers as bytes")
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
