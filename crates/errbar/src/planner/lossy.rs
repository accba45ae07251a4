//! What the planner proposes for floats under an absolute limit.

use errbar_codec::pipeline::{NONE, stage};
use errbar_codec::polyphase::{DIMS, folded};
use errbar_codec::{DType, Tolerance, Values, coder, quantizer};
use errbar_format::record::PipelineRecord;

use super::pipeline;
use crate::policy::Mode;

/// A last dimension up to this may be components of one thing: it is tried as the first, whole.
const COMPONENTS: usize = 64;
/// Dimensions up to this are not interpolated along at first.
const SHORT: usize = 4;

/// Pipelines to choose from, for the modes that predict from reconstructed values.
pub(super) fn candidates(values: &Values, tolerance: &Tolerance, mode: Mode) -> Vec<PipelineRecord> {
    let on_lattice = quantizer::Lattice::serves(values, tolerance);
    let crans = || stage("crans", vec![]);
    let n = folded(&values.bits.dims);
    let first = n.iter().position(|&n| n > 1).unwrap_or(DIMS - 1);
    let axes = DIMS - first;
    // Dimensions too short to halve: what they number are different things.
    let short = (first..DIMS).filter(|&d| n[d] <= SHORT).fold(0u8, |set, d| set | 1 << d);
    let every = (0x0F << first) & 0x0F;
    let base = if short == every { 0 } else { short };
    let mut wholes = vec![base, base | 1 << first, base | 3 << first & every, 0];
    if mode == Mode::Small {
        wholes.extend((0..=every).filter(|whole| whole & !every == 0));
    }
    let mut variants: Vec<(u8, bool)> = wholes.into_iter().filter(|&whole| whole != every).map(|whole| (whole, false)).collect();
    if axes > 1 {
        variants.push((0, true));
        if mode == Mode::Small || n[DIMS - 1] <= COMPONENTS {
            variants.extend([1 << first, 3 << first & every].into_iter().filter(|&whole| whole != every).map(|whole| (whole, true)));
        }
    }
    let mut plans: Vec<PipelineRecord> = Vec::new();
    for (whole, rotated) in variants {
        let mut plan = pipeline("interp", &[], crans());
        plan.quantizer.params = quantizer::Interp::wanted(whole, rotated, on_lattice);
        if !plans.contains(&plan) {
            plans.push(plan);
        }
    }
    let lorenzo = |axes: usize| stage("lorenzo", vec![axes as u8]);
    let (linear, rotate) = (stage("linear", vec![]), stage("rotate", vec![]));
    let dims = values.bits.dims.len();
    let exact_or_not: &[&str] = if on_lattice { &["uniform", "lattice"] } else { &["uniform"] };
    for &quantizer in exact_or_not {
        plans.push(pipeline(quantizer, &[&linear], crans()));
        if axes > 1 && n[DIMS - 1] <= COMPONENTS {
            plans.push(pipeline(quantizer, &[&rotate, &linear], crans()));
        }
    }
    if dims > 0 {
        plans.push(pipeline("uniform", &[&lorenzo(1)], crans()));
    }
    plans.push(pipeline("uniform", &[], stage("pco", coder::Pco::params(DType::U32, 8))));
    let (word, unsigned) = match values.dtype.word() {
        2 => (DType::U16, DType::U16),
        4 => (DType::F32, DType::U32),
        _ => (DType::F64, DType::U64),
    };
    plans.push(pipeline(NONE, &[], stage("pco", coder::Pco::params(word, 8))));
    if dims > 0 {
        plans.push(pipeline(NONE, &[&stage("order", vec![]), &lorenzo(dims.min(2))], stage("pco", coder::Pco::params(unsigned, 8))));
    }
    plans.push(pipeline(NONE, &[&stage("shuffle", vec![])], stage("zstd", coder::Zstd::params(9))));
    plans
}
