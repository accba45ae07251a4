//! The order in which candidates are worth trying, by what they make of samples.

use errbar_codec::pipeline::{self, Coded, NONE};
use errbar_codec::{Codes, DType, Registry, Tolerance, Values, Words};
use errbar_format::record::PipelineRecord;

use super::{repeats, sample};
use crate::policy::Mode;

/// Words of a sample: enough for stable estimates, little beside a block.
pub(super) const SAMPLE_WORDS: usize = 1 << 14;
/// Words of a sample where little is left to code, and smaller ones tell nothing.
const WIDE_WORDS: usize = 8 * SAMPLE_WORDS;
/// How many times smaller what all candidates are glanced at is: what is far from the best shows.
const GLANCE: usize = 2;

/// What is near the best estimate, at the second look and after it, and how many at most are looked at
/// again.
const NEAR: f64 = 1.1;
const NEARER: f64 = 1.04;
const RARE_NEAR: f64 = 2.0;
const RARE_WHOLE: f64 = 8.0;
/// Bytes a word below which next to nothing is left to code.
const RARE: f64 = 0.06;
/// Samples of one block that cost so many times each other tell different things.
const UNLIKE: f64 = 4.0;
/// Samples at most.
const LOOKS: usize = 1;
const SMALL_LOOKS: usize = 3;
const MOST_NEAR: usize = 5;
/// … of which so many are compared on the whole block where it matters most, and so many where one of them
/// is the twin of another.
const MOST_WHOLE: usize = 3;
const MOST_WITH_TWIN: usize = 2;
/// How far from the best one may be that stands for a family whose others are looked at.
const FAMILY: f64 = 1.3;
const SMALL_FAMILY: f64 = 3.0;

/// How many times the bytes of the best candidate so far the least that exact words may take must be,
/// for these not to be tried.
const HOPELESS: f64 = 1.1;

/// Runs of a sample of plain bytes, which seldom are alike from end to end.
pub(super) const BYTE_RUNS: usize = 4;

/// All candidates, counted through the families.
pub(super) struct Ranking {
    /// The cheapest first.
    pub(super) order: Vec<usize>,
    /// What each was estimated at, in bytes, sample by sample; fewer samples for those that fell behind.
    pub(super) looks: Vec<Vec<f64>>,
    /// The whole block, coded by one of them, where it had to be.
    pub(super) coded: Option<(usize, Coded)>,
    /// Whether the first look is at less than the others, and tells nothing beside them.
    is_glance: bool,
}

impl Ranking {
    /// In the order of the planner's preference.
    pub(super) fn unseen(n: usize) -> Ranking {
        Ranking { order: (0..n).collect(), looks: vec![Vec::new(); n], coded: None, is_glance: false }
    }

    /// A glance at the first of each family and at the others of those that come near the best; then
    /// longer looks at what is near.
    pub(super) fn new(
        registry: &Registry,
        families: &[Vec<PipelineRecord>],
        values: &Values,
        tolerance: &Tolerance,
        mode: Mode,
    ) -> Ranking {
        let candidates: Vec<&PipelineRecord> = families.iter().flatten().collect();
        let n_words = values.bits.words.len();
        let (sample_words, glance_words, looks, family) = match mode {
            // Size is all that counts: nothing is left out after a glance.
            Mode::Small => (4 * SAMPLE_WORDS, 4 * SAMPLE_WORDS, SMALL_LOOKS, SMALL_FAMILY),
            // Words that come back exactly differ more from place to place than what is left of them under a
            // bound: two places tell more than one that is twice as large.
            _ if tolerance.is_exact() => (SAMPLE_WORDS / 2, SAMPLE_WORDS / 2, 2 * LOOKS, FAMILY),
            _ => (SAMPLE_WORDS, SAMPLE_WORDS / GLANCE, LOOKS, FAMILY),
        };
        let parts = parts(values, tolerance, sample_words, looks);
        let cost = |i: usize, part: &Values| estimate(registry, candidates[i], part, tolerance, n_words);
        let mut ranking = Ranking::unseen(candidates.len());
        let Some(first) = parts.first() else { return ranking };
        // Coders of exact words look for repeats, and need all they can get.
        let is_cut = !tolerance.is_exact() && first.bits.words.len() > glance_words;
        let cut = is_cut.then(|| sample::cut(first, glance_words, 4));
        ranking.is_glance = is_cut;
        let (glance, longer) = match &cut {
            Some(cut) => (cut, &parts[..]),
            None => (first, &parts[1..]),
        };
        let firsts: Vec<usize> = families.iter().scan(0, |next, family| Some(std::mem::replace(next, *next + family.len()))).collect();
        for &i in &firsts {
            let best = firsts.iter().map(|&i| ranking.cost(i)).fold(f64::MAX, f64::min);
            let is_exact = candidates[i].quantizer.name == NONE && !tolerance.is_exact();
            let is_hopeless = is_exact && best < f64::MAX && repeats::least_bits(glance) * n_words as f64 > 8.0 * HOPELESS * best;
            ranking.looks[i].push(if is_hopeless { f64::MAX } else { cost(i, glance) });
        }
        let best = firsts.iter().map(|&i| ranking.cost(i)).fold(f64::MAX, f64::min);
        let family = if best < RARE * n_words as f64 { family.max(RARE_NEAR) } else { family };
        let limit = if families.len() > 1 { family * best } else { f64::MAX };
        for (&first, family) in firsts.iter().zip(families) {
            if ranking.cost(first) <= limit {
                (first + 1..first + family.len()).for_each(|i| ranking.looks[i].push(cost(i, glance)));
            }
        }
        ranking.sort(candidates.len());
        for part in longer {
            let near = ranking.near(n_words);
            if near < 2 {
                break;
            }
            let Ranking { order, looks, .. } = &mut ranking;
            let seen = looks[order[0]].len();
            order[..near].iter().for_each(|&i| looks[i].push(cost(i, part)));
            let (now, before) = (looks[order[0]][seen], looks[order[0]][seen - 1]);
            if (before / UNLIKE..=before * UNLIKE).contains(&now) {
                // The others keep their places.
                ranking.sort(near);
                continue;
            }
            // The glance has misled about all that were seen.
            for &i in &order[near..] {
                if looks[i].len() == seen && looks[i][seen - 1] < f64::MAX {
                    looks[i].push(cost(i, part));
                }
            }
            let fewer = |i: usize| looks[i].len() <= seen;
            let n_seen = order.iter().filter(|&&i| !fewer(i)).count();
            order.sort_by_key(|&i| fewer(i));
            ranking.sort(n_seen);
        }
        ranking.settle(registry, &candidates, values, tolerance, mode);
        ranking
    }

    /// Compares what is near on more than samples where they tell little: where next to nothing is left to
    /// code, or words repeat others, which they do in places.
    fn settle(&mut self, registry: &Registry, candidates: &[&PipelineRecord], values: &Values, tolerance: &Tolerance, mode: Mode) {
        let n_words = values.bits.words.len();
        let is_rare = self.is_rare(n_words);
        let near = match (mode, is_rare) {
            // The whole is soon coded.
            (Mode::Small, true) => self.within(RARE_WHOLE).min(MOST_NEAR),
            (_, true) => self.winners().max(self.within(RARE_NEAR)).min(MOST_WHOLE),
            _ => self.near(n_words).min(MOST_WHOLE),
        };
        let may_repeat = |&first: &usize| repeats::tells(candidates[first]) || repeats::twin(candidates, first).is_some();
        let some_repeat = self.order.first().is_some_and(may_repeat);
        let near = if some_repeat { self.with_twin(candidates, near, mode) } else { near };
        if near < 2 || !(mode == Mode::Small || some_repeat || is_rare) {
            return;
        }
        let Ranking { order, looks, coded, .. } = self;
        if mode != Mode::Small && !some_repeat && n_words > 4 * WIDE_WORDS {
            // The whole would tell little more than a large part of it, at several times the cost.
            for part in sample::boxes(values, tolerance, WIDE_WORDS, 1) {
                for &i in &order[..near] {
                    looks[i] = vec![estimate(registry, candidates[i], &part, tolerance, n_words)];
                }
            }
            self.is_glance = false;
            self.sort(near);
            return;
        }
        for &i in &order[..near] {
            let whole = pipeline::code(registry, candidates[i], values, Some(tolerance)).ok();
            // That a sample did not serve says nothing any more.
            looks[i].retain(|&bytes| bytes < f64::MAX);
            looks[i].push(whole.as_ref().map_or(f64::MAX, |coded| coded.len() as f64));
            if coded.as_ref().is_none_or(|(best, _)| looks[i].last() < looks[*best].last()) {
                *coded = whole.map(|coded| (i, coded));
            }
        }
        order[..near].sort_by(|&a, &b| looks[a].last().unwrap_or(&f64::MAX).total_cmp(looks[b].last().unwrap_or(&f64::MAX)));
    }

    /// Puts the twin of the first that tells repeats, if the first does not, among the `near` that are
    /// compared on the whole block, and gives the number of these then.
    fn with_twin(&mut self, candidates: &[&PipelineRecord], near: usize, mode: Mode) -> usize {
        let near = if mode == Mode::Small { near } else { near.min(MOST_WITH_TWIN - 1) };
        // Where samples repeat much, the whole does, too; not the other way round.
        let first = self.order.first().filter(|&&first| !repeats::tells(candidates[first]));
        let place = first.and_then(|&first| repeats::twin(candidates, first));
        match place.and_then(|twin| self.order.iter().position(|&i| i == twin)) {
            Some(place) if place >= near => {
                let twin = self.order.remove(place);
                let place = near.min(MOST_WHOLE - 1);
                self.order.insert(place, twin);
                place + 1
            }
            _ => near,
        }
    }

    /// Whether nearly nothing is left to code: it is what a sample seldom shows.
    fn is_rare(&self, n_words: usize) -> bool {
        self.least() < RARE * n_words as f64
    }

    /// What a candidate would take: the mean of the looks, but for a glance.
    fn cost(&self, i: usize) -> f64 {
        let looks = match self.looks[i].as_slice() {
            [_, longer @ ..] if self.is_glance && !longer.is_empty() => longer,
            looks => looks,
        };
        if looks.is_empty() { f64::MAX } else { looks.iter().sum::<f64>() / looks.len() as f64 }
    }

    /// Puts those first that came out best of any sample, and gives their number.
    fn winners(&mut self) -> usize {
        let n_looks = self.looks.iter().map(Vec::len).max().unwrap_or(0);
        let look = |i: usize, k: usize| self.looks[i].get(k).copied().unwrap_or(f64::MAX);
        let best: Vec<f64> = (0..n_looks).map(|k| (0..self.looks.len()).map(|i| look(i, k)).fold(f64::MAX, f64::min)).collect();
        let wins = |i: usize| (0..n_looks).any(|k| look(i, k) < f64::MAX && look(i, k) <= best[k]);
        let (mut order, others): (Vec<usize>, Vec<usize>) = self.order.iter().partition(|&&i| wins(i));
        let count = order.len();
        order.extend(others);
        self.order = order;
        count
    }

    /// What the first would take.
    pub(super) fn least(&self) -> f64 {
        self.order.first().map_or(f64::MAX, |&i| self.cost(i))
    }

    fn sort(&mut self, n: usize) {
        let mut order = std::mem::take(&mut self.order);
        order[..n].sort_by(|&a, &b| self.cost(a).total_cmp(&self.cost(b)));
        self.order = order;
    }

    /// Candidates whose costs are near enough to the first one's that another sample may turn them.
    fn near(&self, n_words: usize) -> usize {
        let looks = self.order.first().map_or(0, |&i| self.looks[i].len());
        let factor = match self.is_rare(n_words) {
            true => RARE_NEAR,
            false if self.is_glance && looks > 1 => NEARER,
            false => NEAR,
        };
        self.within(factor).min(MOST_NEAR)
    }

    /// Candidates that cost at most so many times as much as the first.
    fn within(&self, factor: f64) -> usize {
        let limit = factor * self.least();
        self.order.iter().take_while(|&&i| self.cost(i) <= limit).count()
    }
}

/// What a plan would make of so many words like those of a part, in bytes.
fn estimate(registry: &Registry, plan: &PipelineRecord, part: &Values, tolerance: &Tolerance, n_words: usize) -> f64 {
    pipeline::estimate(registry, plan, part, Some(tolerance), n_words).unwrap_or(f64::MAX)
}

/// Parts of the values: of plain bytes a few runs together, of others boxes.
fn parts(values: &Values, tolerance: &Tolerance, sample_words: usize, count: usize) -> Vec<Values> {
    let (DType::Bytes, Words::U8(bytes)) = (values.dtype, &values.bits.words) else {
        return sample::boxes(values, tolerance, sample_words, count);
    };
    let run = SAMPLE_WORDS.min(bytes.len() / BYTE_RUNS);
    let starts = (0..BYTE_RUNS).map(|i| (bytes.len() - run) / (BYTE_RUNS - 1) * i);
    let picked: Vec<u8> = starts.flat_map(|at| &bytes[at..at + run]).copied().collect();
    vec![Values { dtype: DType::Bytes, bits: Codes::plain(vec![picked.len()], Words::U8(picked)) }]
}
