//! Blocks of one variable are mostly alike: one of several is planned, and the others are coded as it was.

use errbar_codec::pipeline::{self, Encoded, NONE};
use errbar_codec::{DType, Registry, Tolerance, Values, quantizer};
use errbar_format::record::PipelineRecord;

use super::rank::{Ranking, SAMPLE_WORDS};
use super::{Choice, Planner, is_constant, proven, sample, tolerance_of};
use crate::policy::Mode;

/// Blocks that follow each other and may have one precedent.
pub(crate) const BLOCKS: u64 = 8;
/// Words of a sample that tells whether a block is like another.
const WORDS: usize = SAMPLE_WORDS / 2;
/// How many times as much a word may take, or as little, in a block that is like another.
const LIKE: f64 = 1.2;

/// How a block of a variable is best coded, for others of it.
#[derive(Clone, Debug)]
pub struct Precedent {
    plan: PipelineRecord,
    /// Bytes a word, estimated from a sample of the block.
    cost: f64,
    choice: Option<Choice>,
}

/// A plan for other values too, if what it wants holds for them: a lattice or a palette found in some may
/// not.
fn general(plan: &PipelineRecord, dtype: DType) -> Option<PipelineRecord> {
    let mut plan = plan.clone();
    let is_general = match plan.quantizer.name.as_str() {
        "interp" => plan.quantizer.params.len() <= 1,
        "uniform" | "log" | "bitround" | NONE => plan.quantizer.params.is_empty(),
        "order" => {
            // Least and unit are each block's own.
            if plan.quantizer.params != quantizer::Order::whole(dtype) {
                plan.quantizer.params.clear();
            }
            true
        }
        _ => false,
    };
    is_general.then_some(plan)
}

impl Precedent {
    /// The plan of a block under a tolerance, if others could share it: deterministic, as all plans are.
    pub fn of(registry: &Registry, planner: &dyn Planner, values: &Values, tolerance: Option<&Tolerance>, mode: Mode) -> Option<Precedent> {
        let of_block = tolerance_of(values, tolerance).ok()?;
        let is_own = tolerance.is_some_and(|tolerance| values.dtype.is_float() && *of_block != *tolerance);
        // The fast mode plans by a glance as it is; where size is all that counts, exact words of each block
        // are looked at.
        let is_planned_by_block = mode == Mode::Fast || of_block.is_exact() && mode == Mode::Small || values.dtype == DType::Bytes;
        if is_planned_by_block || is_own || is_constant(&values.bits.words) {
            return None;
        }
        let families = planner.families(values, &of_block, mode);
        let candidates: Vec<&PipelineRecord> = families.iter().flatten().collect();
        // Under a bound what blocks have of their own is mostly worth to be looked for.
        if !of_block.is_exact() && candidates.iter().any(|plan| general(plan, values.dtype).is_none()) {
            return None;
        }
        let ranking = Ranking::new(registry, &families, values, &of_block, mode);
        let best = *ranking.order.first()?;
        let plan = general(candidates.get(best)?, values.dtype)?;
        let choice = Choice::new(&candidates, &ranking.order, &ranking.looks, best);
        let cost = cost(registry, &plan, values, &of_block)?;
        Some(Precedent { plan, cost, choice })
    }

    /// Codes a block as the precedent was, if it is like that.
    pub(super) fn follow(
        &self,
        registry: &Registry,
        values: &Values,
        tolerance: &Tolerance,
        mode: Mode,
    ) -> Option<(Encoded, Option<Choice>)> {
        if is_constant(&values.bits.words) {
            return None;
        }
        let cost = cost(registry, &self.plan, values, tolerance)?;
        if !(self.cost / LIKE..=self.cost * LIKE).contains(&cost) {
            return None;
        }
        let coded = pipeline::code(registry, &self.plan, values, Some(tolerance)).ok()?;
        let encoded = proven(registry, &self.plan, coded, values, tolerance, mode).ok()?;
        (encoded.payload.len() < values.bits.layout().bytes()).then(|| (encoded, self.choice.clone()))
    }
}

/// Bytes a word that a plan takes on a sample.
fn cost(registry: &Registry, plan: &PipelineRecord, values: &Values, tolerance: &Tolerance) -> Option<f64> {
    let part = sample::boxes(values, tolerance, WORDS, 1).into_iter().next()?;
    let n_words = values.bits.words.len();
    pipeline::estimate(registry, plan, &part, Some(tolerance), n_words).ok().map(|bytes| bytes / n_words.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::{CorePlanner, encode_best};
    use errbar_codec::conformance::SplitMix64;
    use errbar_codec::{Codes, DType, Limit, Words};
    use errbar_format::record::Bound;

    fn waves(first: usize, height: f64) -> Values {
        // Where next to nothing is left to code, no two samples cost the same.
        let noise = |i: usize| ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 * 3e-9;
        let number = |i: usize| (height * ((i / 96) as f64 * 0.07).sin() * ((i % 96) as f64 * 0.05).cos() + noise(i)) as f32;
        let words = Words::U32((first..first + 96 * 96).map(|i| number(i).to_bits()).collect());
        Values { dtype: DType::F32, bits: Codes::plain(vec![96, 96], words) }
    }

    #[test]
    fn blocks_that_are_alike_are_coded_alike() {
        let registry = Registry::core();
        let tolerance = Tolerance { bounds: vec![Bound::Abs(1e-3)], limit: Limit::Abs(1e-3), fill: Vec::new() };
        let of = |values: &Values, tolerance| Precedent::of(&registry, &CorePlanner, values, tolerance, Mode::Balanced);
        let precedent = of(&waves(0, 10.0), Some(&tolerance)).expect("a lossy plan");
        let (like, other) = (waves(96 * 96, 10.0), waves(0, 1e5));
        let (encoded, choice) = precedent.follow(&registry, &like, &tolerance, Mode::Balanced).expect("as smooth as the first");
        assert_eq!((encoded.pipeline.quantizer.name, choice), (precedent.plan.quantizer.name.clone(), precedent.choice.clone()));
        assert!(precedent.follow(&registry, &other, &tolerance, Mode::Balanced).is_none());
        let (encoded, _) =
            encode_best(&registry, &CorePlanner, &other, Some(&tolerance), Mode::Balanced, Some(&precedent)).expect("planned by itself");
        assert!(encoded.payload.len() < other.bits.layout().bytes());
    }

    #[test]
    fn exact_blocks_share_a_plan_but_not_their_range() {
        let registry = Registry::core();
        let counts = |seed: u64| {
            let wave =
                |i: usize| (1e4 * (seed as f64 + 1.0) + 5e3 * ((i / 96) as f64 * 0.07).sin() * ((i % 96) as f64 * 0.05).cos()) as u64;
            let words = SplitMix64(seed).take(96 * 96).enumerate().map(|(i, noise)| (wave(i) + (noise >> 58)) as u16).collect();
            Values { dtype: DType::U16, bits: Codes::plain(vec![96, 96], Words::U16(words)) }
        };
        let of = |mode| Precedent::of(&registry, &CorePlanner, &counts(0), None, mode);
        let precedent = of(Mode::Balanced).expect("a plan for integers");
        assert!(precedent.plan.quantizer.params.is_empty(), "{:?}", precedent.plan);
        let other = counts(1);
        let exact = Tolerance::exact(Vec::new());
        let (encoded, _) = precedent.follow(&registry, &other, &exact, Mode::Balanced).expect("alike");
        assert_eq!((encoded.receipt, encoded.decoded), (None, other));
        assert!(of(Mode::Small).is_none());
    }
}
