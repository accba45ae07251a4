//! Taps fitted to samples of a block.

use super::template::{IN_ROW, Model, TAPS, UNIT, offsets};
use crate::codes::{Scan, Word};
use crate::components::Components;
use crate::least_squares::{Samples, bits};
use crate::polyphase::{DIMS, Extents, Offset, sample_runs};
use crate::simd::{Work, widest};
use crate::{Codes, with_words};

/// Samples that decide, at most …
const SAMPLES: usize = 8192;
/// … of so many times as many codes, and at least so many: the rest tells little more.
const SHARE: usize = 4;
const LEAST: usize = 2048;
/// How many times as many are looked at, at most, where many are known already.
const MOST_MORE: usize = 8;
/// Rounds of least squares.
const ROUNDS: usize = 3;
/// Largest tap that 16 bits hold with a little room.
const MOST: f64 = 7.9;
/// Half a step: what residuals are measured in.
const LIMIT: f64 = 0.5;

/// The best of fitted taps, of the plane through the nearest neighbours, of the code before and of
/// the median: one predictor, or one for each component where that serves better.
pub(super) fn models(codes: &Codes, n: Extents) -> Vec<Model> {
    with_words!(&codes.words, v => widest(Fitting { words: v, n, scan: &codes.scan }))
}

struct Fitting<'a, W> {
    words: &'a [W],
    n: Extents,
    scan: &'a Scan,
}

impl<W: Word> Work for Fitting<'_, W> {
    type Output = Vec<Model>;

    #[inline(always)]
    fn run(self) -> Vec<Model> {
        let sampled = sample(self.words, self.n, self.scan, |word| word.to_u64() as f64);
        best_models(&sampled, |sampled| [None, Some(sampled.median)], |_| judge)
    }
}

/// What a predictor is made from: the neighbours that there are, and samples of them.
pub(super) struct Sampled {
    /// Their places among the taps.
    used: Vec<usize>,
    offsets: [Offset; TAPS],
    samples: Samples,
    /// Of the codes looked at.
    median: u32,
    /// Where the samples of each component begin.
    starts: Vec<usize>,
}

/// What integers cost whose predictions leave residuals, and what samples then count in the next round,
/// for it to come nearer to least absolute residuals.
#[inline(always)]
fn judge(residuals: &[f64]) -> (f64, Vec<f64>) {
    // Predictions are rounded: what is nearly right is right.
    let residuals: Vec<f64> = residuals.iter().map(|r| r.round_ties_even()).collect();
    (bits(&residuals, LIMIT), residuals.iter().map(|r| 1.0 / (r.abs() + 0.5 * LIMIT)).collect())
}

/// What predictors of their own for components must save, to be taken.
const WORTH: f64 = 0.98;
/// What codes further before in the row must save, which cost a reader some time.
const WORTH_LAGS: f64 = 0.97;

/// The best predictor of samples, or that of each component. `means` are those that samples may be compared
/// with, `judge` what judges the residuals of samples.
#[inline(always)]
pub(super) fn best_models<J: Fn(&[f64]) -> (f64, Vec<f64>)>(
    sampled: &Sampled,
    means: impl Fn(&Sampled) -> [Option<u32>; 2],
    judge: impl Fn(&Samples) -> J,
) -> Vec<Model> {
    let of = |sampled: &Sampled| best_model(sampled, means(sampled), judge(&sampled.samples));
    let best = |sampled: &Sampled| match sampled.without_lags() {
        None => of(sampled),
        Some(near) => {
            let (near, far) = (of(&near), of(sampled));
            if far.1 < WORTH_LAGS * near.1 { far } else { near }
        }
    };
    let (together, cost) = best(sampled);
    if sampled.starts.len() > 1 {
        let (apart, costs): (Vec<Model>, Vec<f64>) = sampled.components().map(|component| best(&component)).unzip();
        if costs.iter().sum::<f64>() < WORTH * cost {
            return apart;
        }
    }
    vec![together]
}

/// The best of no taps, fitted taps and those of Lorenzo predictors, each against every one of `means`,
/// by what `judge` says of their residuals, the first of equals; and what it costs.
#[inline(always)]
fn best_model(sampled: &Sampled, means: [Option<u32>; 2], judge: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> (Model, f64) {
    let even = vec![1.0; sampled.samples.len()];
    let mut best = Best { cost: f64::MAX, model: Model::default(), weights: even.clone() };
    let offer = |best: &mut Best, relative: &Samples, mean, taps: &[f64]| {
        let (cost, weights) = judge(&relative.residuals(taps));
        best.offer(sampled, mean, taps, cost, weights)
    };
    for mean in means {
        let relative = sampled.relative(mean);
        offer(&mut best, &relative, mean, &vec![0.0; sampled.used.len()]);
        for taps in sampled.lorenzo() {
            offer(&mut best, &relative, mean, &taps);
        }
        if let Some(taps) = sampled.fit(&relative, &even) {
            offer(&mut best, &relative, mean, &taps);
        }
    }
    let mean = best.model.mean;
    let relative = sampled.relative(mean);
    for _ in 1..ROUNDS {
        let Some(taps) = sampled.fit(&relative, &best.weights) else { break };
        if !offer(&mut best, &relative, mean, &taps) {
            break;
        }
    }
    (best.model, best.cost)
}

/// The cheapest predictor so far.
struct Best {
    cost: f64,
    model: Model,
    /// What samples count in the next round.
    weights: Vec<f64>,
}

impl Best {
    /// Takes what is plainly better; tells whether it did.
    fn offer(&mut self, sampled: &Sampled, mean: Option<u32>, taps: &[f64], cost: f64, weights: Vec<f64>) -> bool {
        let is_better = cost < self.cost * 0.998;
        if is_better {
            let mut model = Model { mean, taps: [0; TAPS] };
            sampled.used.iter().zip(taps).for_each(|(&k, tap)| model.taps[k] = (tap * UNIT) as i16);
            *self = Best { cost, model, weights };
        }
        is_better
    }
}

impl Sampled {
    /// The samples of each component.
    fn components(&self) -> impl Iterator<Item = Sampled> {
        self.starts.iter().enumerate().map(|(component, &start)| {
            let end = self.starts.get(component + 1).copied().unwrap_or(self.samples.len());
            let of = |column: &Vec<f64>| column[start..end].to_vec();
            let samples = Samples { target: of(&self.samples.target), columns: self.samples.columns.iter().map(of).collect() };
            let median = median(samples.target.clone());
            Sampled { used: self.used.clone(), offsets: self.offsets, samples, median, starts: vec![0] }
        })
    }

    /// The same without codes further before in the row than are near, if there are such.
    fn without_lags(&self) -> Option<Sampled> {
        let is_near = |k: usize| k < IN_ROW || self.offsets[k][..DIMS - 1] != [0; DIMS - 1];
        if self.used.iter().all(|&k| is_near(k)) {
            return None;
        }
        let each = self.used.iter().zip(&self.samples.columns).filter(|(k, _)| is_near(**k));
        let (used, columns) = each.map(|(&k, column)| (k, column.clone())).unzip();
        let samples = Samples { target: self.samples.target.clone(), columns };
        Some(Sampled { used, offsets: self.offsets, samples, median: self.median, starts: vec![0] })
    }

    /// Samples less what they are compared with.
    #[inline(always)]
    fn relative(&self, mean: Option<u32>) -> Samples {
        let left = self.used.iter().position(|&k| k == 0).filter(|_| mean.is_none());
        let reference: Vec<f64> = match left {
            Some(left) => self.samples.columns[left].clone(),
            None => vec![f64::from(mean.unwrap_or(self.median)); self.samples.len()],
        };
        let against = |column: &Vec<f64>| column.iter().zip(&reference).map(|(x, r)| x - r).collect::<Vec<f64>>();
        Samples { target: against(&self.samples.target), columns: self.samples.columns.iter().map(against).collect() }
    }

    /// The taps of what Lorenzo predictors of two and three axes predict, where there are such.
    fn lorenzo(&self) -> impl Iterator<Item = Vec<f64>> {
        const PLANE: [Offset; 3] = [[0, 0, 0, -1], [0, 0, -1, 0], [0, 0, -1, -1]];
        const CUBE: [Offset; 7] = [PLANE[0], PLANE[1], PLANE[2], [0, -1, 0, 0], [0, -1, 0, -1], [0, -1, -1, 0], [0, -1, -1, -1]];
        [&PLANE[..], &CUBE].into_iter().filter_map(|offsets| {
            let mut taps = vec![0.0; self.used.len()];
            for offset in offsets {
                let place = self.used.iter().position(|&k| self.offsets[k] == *offset)?;
                // The sign of inclusion and exclusion.
                taps[place] = if offset.iter().sum::<i32>() % 2 == 0 { -1.0 } else { 1.0 };
            }
            Some(taps)
        })
    }

    #[inline(always)]
    fn fit(&self, relative: &Samples, weights: &[f64]) -> Option<Vec<f64>> {
        let enough = relative.len() >= 8 * self.used.len() + 64;
        let solution = enough.then(|| relative.solve(weights, &[]))??;
        Some(solution.iter().map(|t| (t.clamp(-MOST, MOST) * UNIT).round_ties_even() / UNIT).collect())
    }
}

/// Looks at codes and their neighbours, as a reader does: what is not there is as the one before along
/// the last axis that has one.
#[inline(always)]
pub(super) fn sample<W: Word>(words: &[W], n: Extents, scan: &Scan, number: impl Fn(W) -> f64) -> Sampled {
    let (absent, repeats) = (scan.absent.as_deref(), scan.repeats.as_deref());
    let strides = [n[1] * n[2] * n[3], n[2] * n[3], n[3], 1];
    let back = |offset: Offset| -> usize { (0..DIMS).map(|d| offset[d] as isize * strides[d] as isize).sum::<isize>().unsigned_abs() };
    // Only dimensions that there are.
    let offsets = offsets(n);
    let used: Vec<usize> = (0..TAPS).filter(|&k| (0..DIMS).all(|d| offsets[k][d] == 0 || n[d] > 1)).collect();
    let mut values = Vec::new();
    // As many that are there as there would be if all were.
    let gone = absent.map_or(0, |absent| absent.iter().filter(|absent| **absent).count());
    let more = if repeats.is_some() { (words.len() / (words.len() - gone).max(1)).clamp(1, MOST_MORE) } else { 1 };
    let n_samples = (words.len() / SHARE).clamp(LEAST, SAMPLES);
    let mut samples = Samples::with_capacity(n_samples, used.len());
    let components = Components::new(n, &[]);
    let mut starts = Vec::new();
    for (row, first, len) in sample_runs(n, n_samples * more) {
        let start = (0..DIMS - 1).map(|d| row[d] * strides[d]).sum::<usize>();
        // Rows are looked at in their order, so that those of a component come together.
        starts.resize(starts.len().max(components.of_row(row) + 1), samples.len());
        let has_row = |offset: Offset| (0..DIMS - 1).all(|d| (0..n[d] as i64).contains(&(row[d] as i64 + i64::from(offset[d]))));
        let is_inside =
            |offset: Offset, x: usize| has_row(offset) && (0..n[DIMS - 1] as i64).contains(&(x as i64 + i64::from(offset[DIMS - 1])));
        let is_whole = absent.is_none() && used.iter().all(|&k| is_inside(offsets[k], first) && is_inside(offsets[k], first + len - 1));
        if is_whole {
            let at = start + first;
            let numbers = |from: usize| words[from..from + len].iter().map(|&word| number(word));
            values.extend(numbers(at));
            samples.target.extend(numbers(at));
            samples.columns.iter_mut().zip(&used).for_each(|(column, &k)| column.extend(numbers(at - back(offsets[k]))));
            continue;
        }
        for x in first..first + len {
            let at = start + x;
            let is_present = |at: usize| absent.is_none_or(|absent| !absent[at]);
            if !is_present(at) {
                continue;
            }
            values.push(number(words[at]));
            let value = |offset: Offset| {
                let there = is_inside(offset, x).then(|| at - back(offset))?;
                let is_known = is_present(there) || repeats.is_some_and(|repeats| repeats.source(there).is_some());
                is_known.then(|| number(words[there]))
            };
            let before = [[0, 0, 0, -1], [0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0]];
            let Some(stand_in) = before.into_iter().find_map(value) else { continue };
            let neighbours = used.iter().map(|&k| value(offsets[k]).unwrap_or(stand_in));
            samples.target.push(number(words[at]));
            samples.columns.iter_mut().zip(neighbours).for_each(|(column, x)| column.push(x));
        }
    }
    starts.resize(components.count, samples.len());
    Sampled { used, offsets, samples, median: median(values), starts }
}

/// The median of numbers, as an integer; 0 where there are none.
fn median(mut values: Vec<f64>) -> u32 {
    let middle = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 as u32 }
}

#[cfg(test)]
mod tests {
    use super::super::Linear;
    use super::*;
    use crate::Words;
    use crate::conformance::SplitMix64;

    fn fitted(dims: &[usize], word: impl Fn(usize) -> u64) -> Vec<Model> {
        let words = (0..dims.iter().product()).map(|i| word(i) as u16).collect();
        let params = Linear::params(&Codes::plain(dims.to_vec(), Words::U16(words)));
        super::super::parse(&params).expect("its own parameters")
    }

    #[test]
    fn series_are_predicted_from_far_before() {
        let noise: Vec<u64> = SplitMix64(2).take(9000).collect();
        let period = |i: usize| 1000 * (noise[i % 11] % 40) + noise[i] % 4;
        let models = fitted(&[9000], period);
        assert!(models[0].taps[10] > 3000, "eleven before: {models:?}");
        let is_lag = |k: usize| k >= IN_ROW;
        let walk: Vec<u64> = noise.iter().scan(30_000, |at, step| Some(std::mem::replace(at, *at + step % 9 - 4))).collect();
        let models = fitted(&[9000], |i| walk[i]);
        assert!((0..TAPS).all(|k| !is_lag(k) || models[0].taps[k] == 0), "nothing to gain: {models:?}");
    }

    #[test]
    fn components_have_predictors_of_their_own_if_they_differ() {
        let noise: Vec<u64> = SplitMix64(3).take(3 * 80 * 90).collect();
        assert_eq!(fitted(&[3, 80, 90], |i| noise[i] % 900).len(), 1);
        let ramp = |i: usize| (i % 90 * 7 + i / 90 % 80 * 11) as u64 + noise[i] % 3;
        let one_is_noise = |i: usize| if i / 90 / 80 == 1 { noise[i] % 900 } else { ramp(i) };
        assert_eq!(fitted(&[3, 80, 90], one_is_noise).len(), 3);
        assert_eq!(fitted(&[5, 48, 90], one_is_noise).len(), 1, "too many to be components");
    }
}
