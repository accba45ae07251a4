//! What the planner proposes for floats under an absolute limit.

use errbar_codec::polyphase::{DIMS, folded};
use errbar_codec::pipeline::{NONE, stage};
use errbar_codec::{DType, Values, coder, quantizer};
use errbar_format::record::PipelineRecord;

use crate::planner::pipeline;
use crate::policy::Mode;

/// A last dimension up to this may be components of one thing: it is tried as the first, whole.
const COMPONENTS: usize = 64;

/// Pipelines to choose from, for the modes that predict from reconstructed values.
pub(crate) fn candidates(values: &Values, mode: Mode) -> Vec<PipelineRecord> {
    let crans = || stage("crans", vec![]);
    let n = folded(&values.bits.dims);
    let first = n.iter().position(|&n| n > 1).unwrap_or(DIMS - 1);
    let axes = DIMS - first;
    let mut plans = Vec::new();
    let mut interp = |whole: u8, rotated| {
        let mut plan = pipeline("interp", &[], crans());
        plan.quantizer.params = quantizer::Interp::wanted(whole, rotated);
        plans.push(plan);
    };
    let every = (1u8 << DIMS) - (1 << first);
    interp(0, false);
    if mode == Mode::Small {
        (1..every).filter(|whole| whole & !every == 0).for_each(|whole| interp(whole, false));
        if axes > 1 {
            interp(0, true);
            interp(1 << first, true);
            interp(3 << first & every, true);
        }
    } else if axes > 1 {
        interp(1 << first, false);
        if axes > 2 {
            interp(3 << first, false);
        }
        if n[DIMS - 1] <= COMPONENTS {
            interp(1 << first, true);
        }
    }
    let lorenzo = |axes: usize| stage("lorenzo", vec![axes as u8]);
    let dims = values.bits.dims.len();
    for axes in 1..=dims.min(3) {
        plans.push(pipeline("uniform", &[&lorenzo(axes)], crans()));
        plans.push(pipeline("lattice", &[&lorenzo(axes)], crans()));
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
