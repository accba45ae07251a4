//! What the planner proposes for floats under an absolute limit.

use errbar_codec::pipeline::{NONE, stage};
use errbar_codec::polyphase::{DIMS, folded};
use errbar_codec::{DType, Tolerance, Values, coder, quantizer};
use errbar_format::record::PipelineRecord;

use super::rank::SAMPLE_WORDS;
use super::{halving, lossless, natural, pipeline, sample};
use crate::policy::Mode;

/// A last dimension up to this may be components of one thing: it is tried as the first, whole.
pub(super) const COMPONENTS: usize = 64;
/// Dimensions up to this are not interpolated along at first.
const SHORT: usize = 4;

/// Sets of whole dimensions that may be the best: about so many times the cost of the one that seems
/// to be, and how many at most.
const NEAR_WHOLE: f64 = 1.15;
const MOST_WHOLES: usize = 2;
/// Boxes that tell.
const BOXES: usize = 2;

/// Sets of whole dimensions with what residuals take about, the most promising first.
fn by_outlook(values: &Values, tolerance: &Tolerance, wholes: &[u8]) -> Vec<(u8, f64)> {
    if wholes.len() < 2 {
        return wholes.iter().map(|&whole| (whole, 0.0)).collect();
    }
    let parts = sample::boxes(values, tolerance, SAMPLE_WORDS, BOXES);
    let costs = halving::outlooks(&parts, tolerance, wholes);
    let mut order: Vec<(u8, f64)> = wholes.iter().copied().zip(costs).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    order
}

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
    // What is whole where the last dimension is the first.
    let turned = |whole: u8| (whole & !(1 << (DIMS - 1))) << 1 | (whole >> (DIMS - 1)) << first;
    let mut families = Vec::new();
    if mode == Mode::Small {
        families.push(interp(false, vec![base, 0]));
        if axes > 1 {
            let wholes = [base | 1 << first, base | 3 << first & every].into_iter().chain(0..=every);
            families.push(interp(false, wholes.filter(|whole| whole & !every == 0).collect()));
            families.push(interp(true, vec![0]));
            families.push(interp(true, vec![1 << first, 3 << first & every]));
        }
    } else {
        let last = 1 << (DIMS - 1);
        let mut wholes = vec![base, base | 1 << first, base | 3 << first & every];
        // Components, turned to the front, stay whole alone or with the dimension behind them.
        let turnable = if has_components { vec![0, last, last | 1 << first] } else { vec![0] };
        wholes.extend(turnable.iter().filter(|_| axes > 1));
        wholes.retain(|&whole| whole != every);
        wholes.sort_unstable();
        wholes.dedup();
        let order = by_outlook(values, tolerance, &wholes);
        let best = order.first().map_or(0.0, |(_, cost)| *cost);
        let is_near = |cost: f64| cost <= NEAR_WHOLE * best;
        let upright = order.iter().filter(|(whole, _)| whole & base == base).enumerate();
        let upright: Vec<u8> =
            upright.filter(|(i, (_, cost))| *i == 0 || *i < MOST_WHOLES && is_near(*cost)).map(|(_, (w, _))| *w).collect();
        let mut plans: Vec<PipelineRecord> = upright.iter().flat_map(|&whole| interp(false, vec![whole])).collect();
        if axes > 1 {
            let best_turned = order.iter().map(|(whole, _)| *whole).find(|whole| turnable.contains(whole));
            for whole in best_turned.into_iter().chain(has_components.then_some(0)) {
                let plan = interp(true, vec![turned(whole)]);
                plans.extend(plan.into_iter().filter(|plan| !plans.contains(plan)).collect::<Vec<_>>());
            }
        }
        families.push(plans);
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
    // What the whole asks for: a part of it may do with narrower codes, which its coder does not take.
    let (params, width) = quantizer::Order::wanted(values, tolerance);
    let order = stage("order", params);
    let pco = |dtype| stage("pco", coder::Pco::params(dtype, 8));
    let mut exact = vec![pipeline(NONE, &[], pco(natural(values.dtype)))];
    exact.extend(
        (1..=dims.min(3))
            .map(|axes| PipelineRecord { quantizer: order.clone(), ..pipeline(NONE, &[&lorenzo(axes)], pco(DType::unsigned(width))) }),
    );
    families.push(exact);
    families.extend(lossless::rivals(values, tolerance));
    families.push(vec![pipeline(NONE, &[&stage("shuffle", vec![])], stage("zstd", coder::Zstd::params(9)))]);
    families.retain(|family| !family.is_empty());
    families
}

#[cfg(test)]
mod tests {
    use errbar_codec::{Limit, Registry, pipeline};

    use super::*;

    #[test]
    fn few_numbers_are_candidates_where_a_bound_leaves_more() {
        // Numbers far from any lattice, as packed ones are that were computed with since.
        let level = |i: u32| (1.0 + (i / 9 % 40 + i % 7) as f32 * 0.1).exp();
        let bytes: Vec<u8> = (0..100 * 300).flat_map(|i| level(i).to_le_bytes()).collect();
        let values = Values::from_bytes(DType::F32, false, &[100, 300], bytes).expect("30,000 floats");
        let has_palette = |limit: f64| {
            let tolerance = Tolerance { limit: Limit::Abs(limit), ..Tolerance::exact(Vec::new()) };
            families(&values, &tolerance, Mode::Balanced).iter().flatten().any(|plan| plan.quantizer.name == "palette")
        };
        assert!(has_palette(1e-4) && !has_palette(100.0));
    }

    #[test]
    fn exact_candidates_are_judged_by_parts_that_do_with_narrower_codes() {
        let bytes: Vec<u8> = (0..200 * 1000u32).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let values = Values::from_bytes(DType::F32, false, &[200, 1000], bytes).expect("200,000 floats");
        let tolerance = Tolerance { limit: Limit::Abs(1e-3), ..Tolerance::exact(Vec::new()) };
        let part = sample::cut(&values, SAMPLE_WORDS / 16, 4);
        let families = families(&values, &tolerance, Mode::Balanced);
        let exact: Vec<_> = families.iter().flatten().filter(|plan| plan.quantizer.name == "order").collect();
        assert_eq!(exact.len(), 2, "along one and two axes");
        for plan in exact {
            let estimate = pipeline::estimate(&Registry::core(), plan, &part, Some(&tolerance), values.bits.words.len());
            assert!(estimate.is_ok(), "{plan:?}: {estimate:?}");
        }
    }
}
