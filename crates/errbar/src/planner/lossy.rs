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

/// Families of pipelines to choose from, for the modes that predict from reconstructed values.
pub(super) fn families(values: &Values, tolerance: &Tolerance, mode: Mode) -> Vec<Vec<PipelineRecord>> {
    let lattice = quantizer::Lattice::wanted(values, tolerance);
    let crans = || stage("crans", vec![]);
    let n = folded(&values.bits.dims);
    let first = n.iter().position(|&n| n > 1).unwrap_or(DIMS - 1);
    let axes = DIMS - first;
    let has_components = axes > 1 && n[DIMS - 1] <= COMPONENTS;
    // Dimensions too short to halve: what they number are different things.
    let short = (first..DIMS).filter(|&d| n[d] <= SHORT).fold(0u8, |set, d| set | 1 << d);
    let every = (0x0F << first) & 0x0F;
    let base = if short == every { 0 } else { short };
    let interp = |rotated: bool, wholes: Vec<u8>| {
        let mut plans: Vec<PipelineRecord> = Vec::new();
        for whole in wholes.into_iter().filter(|&whole| whole != every) {
            let mut plan = pipeline("interp", &[], crans());
            plan.quantizer.params = quantizer::Interp::wanted(whole, rotated, lattice.as_deref());
            if !plans.contains(&plan) {
                plans.push(plan);
            }
        }
        plans
    };
    let mut families = vec![interp(false, vec![base, 0])];
    if axes > 1 {
        let mut wholes = vec![base | 1 << first, base | 3 << first & every];
        if mode == Mode::Small {
            wholes.extend((0..=every).filter(|whole| whole & !every == 0));
        }
        families.push(interp(false, wholes));
    }
    if axes > 1 {
        families.push(interp(true, vec![0]));
        if mode == Mode::Small || has_components {
            families.push(interp(true, vec![1 << first, 3 << first & every]));
        }
    }
    let dims = values.bits.dims.len();
    let lorenzo = |axes: usize| stage("lorenzo", vec![axes as u8]);
    let (linear, rotate) = (stage("linear", vec![]), stage("rotate", vec![]));
    let predicted = |quantizer| {
        let mut plans = vec![pipeline(quantizer, &[&linear], crans())];
        if has_components {
            plans.push(pipeline(quantizer, &[&rotate, &linear], crans()));
        }
        plans
    };
    if let Some(lattice) = &lattice {
        let mut plans = predicted("lattice");
        plans.iter_mut().for_each(|plan| plan.quantizer.params.clone_from(lattice));
        families.push(plans);
    }
    let mut uniform = predicted("uniform");
    if dims > 0 {
        uniform.push(pipeline("uniform", &[&lorenzo(1)], crans()));
    }
    uniform.push(pipeline("uniform", &[], stage("pco", coder::Pco::params(DType::U32, 8))));
    families.push(uniform);
    let (word, unsigned) = match values.dtype.word() {
        2 => (DType::U16, DType::U16),
        4 => (DType::F32, DType::U32),
        _ => (DType::F64, DType::U64),
    };
    let mut exact = vec![pipeline(NONE, &[], stage("pco", coder::Pco::params(word, 8)))];
    if dims > 0 {
        exact.push(pipeline("order", &[&lorenzo(dims.min(2))], stage("pco", coder::Pco::params(unsigned, 8))));
    }
    families.push(exact);
    families.push(vec![pipeline(NONE, &[&stage("shuffle", vec![])], stage("zstd", coder::Zstd::params(9)))]);
    families.retain(|family| !family.is_empty());
    families
}
