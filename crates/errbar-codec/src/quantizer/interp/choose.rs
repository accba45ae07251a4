//! How a writer chooses the taps of a class, from samples of it.

use super::real::Real;
use super::taps::{Shape, Taps};
use super::template::{Group, TAP_UNIT, causal_groups, fixed_taps};
use crate::least_squares::{Samples, bits};
use crate::polyphase::{DIMS, Grid, RUN, sample_runs};

/// How much is done to find the taps of a class.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// Samples that decide.
    samples: usize,
    /// Rounds of least squares.
    rounds: usize,
}

impl Effort {
    /// More changes little.
    pub(super) const FULL: Effort = Effort { samples: 4096, rounds: 2 };
    /// What serves an estimate.
    pub(super) const LITTLE: Effort = Effort { samples: 1024, rounds: 1 };
}

/// Bits of a tap in the parameters, with some of what it costs to be wrong.
const TAP_BITS: f64 = 16.0;

/// Largest tap that 16 bits hold with a little room.
const MOST: f64 = 7.9;

/// Taps found, and the bits that the samples would cost with them.
struct Fitted {
    taps: Vec<i16>,
    bits: f64,
}

/// Sum of magnitudes of own-class taps, at most, where words are absent: nothing corrects errors there,
/// and they must not grow from point to point.
const CALM: f64 = 1.0;

impl Fitted {
    fn calmed(mut self, samples: &Samples, limit: f64) -> Fitted {
        let sum: f64 = self.taps.iter().map(|&tap| f64::from(tap.unsigned_abs())).sum();
        if sum > CALM * TAP_UNIT {
            self.taps.iter_mut().for_each(|tap| *tap = (f64::from(*tap) * CALM * TAP_UNIT / sum) as i16);
            let taps: Vec<f64> = self.taps.iter().map(|&t| f64::from(t) / TAP_UNIT).collect();
            self.bits = bits(&samples.residuals(&taps), limit);
        }
        self
    }
}

/// Taps by least squares, in the second round with weights that come nearer to least absolute residuals;
/// the better of both. `noise` is that of [`Samples::solve`].
#[inline(always)]
fn fit(samples: &Samples, limit: f64, noise: &[f64], rounds: usize) -> Option<Fitted> {
    let mut weights = vec![1.0; samples.len()];
    let mut best: Option<Fitted> = None;
    for _ in 0..rounds {
        let Some(solution) = samples.solve(&weights, noise) else { break };
        let taps: Vec<i16> = solution.iter().map(|t| (t.clamp(-MOST, MOST) * TAP_UNIT).round_ties_even() as i16).collect();
        let rounded: Vec<f64> = taps.iter().map(|&t| f64::from(t) / TAP_UNIT).collect();
        let residuals = samples.residuals(&rounded);
        let bits = bits(&residuals, limit);
        if best.as_ref().is_none_or(|best| bits < best.bits) {
            best = Some(Fitted { taps, bits });
        }
        weights.iter_mut().zip(&residuals).for_each(|(w, r)| *w = 1.0 / (r.abs() + 0.5 * limit));
    }
    best
}

/// The mean of a group's members for a run of points.
#[inline(always)]
fn mean<R: Real>(group: &Group, grids: &[Grid<R>], row: [usize; DIMS - 1], first: usize, out: &mut [f64]) {
    // Working numbers are as precise as predictions need.
    let mut sums = [R::default(); RUN];
    for member in &group.members {
        let grid = &grids[usize::from(member.class)];
        let start = (grid.start(row) + first).wrapping_add_signed(grid.step(member.offset));
        for (sum, x) in sums[..out.len()].iter_mut().zip(&grid.data()[start..]) {
            *sum += *x;
        }
    }
    let share = 1.0 / group.members.len() as f64;
    out.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = sum.to_f64() * share);
}

/// Appends those of `run` that are not absent.
fn push(column: &mut Vec<f64>, run: &[f64], absent: Option<&[bool]>) {
    match absent {
        None => column.extend_from_slice(run),
        Some(absent) => column.extend(run.iter().zip(absent).filter(|(_, absent)| !**absent).map(|(x, _)| x)),
    }
}

/// How to predict a class from those before it.
#[inline(always)]
pub(super) fn interpolating<R: Real>(
    groups: &[Group],
    class: u8,
    grids: &[Grid<R>],
    original: &Grid<R>,
    absent: Option<&Grid<bool>>,
    step: R,
    effort: Effort,
) -> Taps {
    let limit = step.to_f64() / 2.0;
    let mut samples = Samples::with_capacity(effort.samples + RUN, groups.len().saturating_sub(1));
    let (mut first_mean, mut run) = ([0.0; RUN], [0.0; RUN]);
    for (row, first, len) in sample_runs(original.n, effort.samples) {
        let absent = absent.map(|a| &a.row(row)[first..first + len]);
        let (base, run) = (&mut first_mean[..len], &mut run[..len]);
        mean(&groups[0], grids, row, first, base);
        for (column, group) in samples.columns.iter_mut().zip(&groups[1..]) {
            mean(group, grids, row, first, run);
            run.iter_mut().zip(&*base).for_each(|(x, base)| *x -= base);
            push(column, run, absent);
        }
        for ((x, to), base) in original.row(row)[first..].iter().zip(&mut *run).zip(&*base) {
            *to = x.to_f64() - base;
        }
        push(&mut samples.target, run, absent);
    }
    let share = original.len() as f64 / samples.len().max(1) as f64;
    let fixed = |cubic| bits(&samples.residuals(&fixed_taps(groups, class, cubic)[1..]), limit);
    let (cubic, linear) = (fixed(true), fixed(false));
    let (shape, least) = if linear < cubic * 0.999 { (Shape::Linear, linear) } else { (Shape::Cubic, cubic) };
    let taps = samples.columns.len();
    if samples.len() >= 4 * taps + 16
        && let Some(fitted) = fit(&samples, limit, &[], effort.rounds)
        && (least - fitted.bits) * share > TAP_BITS * taps as f64 + 8.0
    {
        return Taps { shape: Shape::Fitted, interpolating: fitted.taps, causal: Vec::new() };
    }
    Taps { shape, ..Taps::default() }
}

/// Taps of the errors before a point, or none where they do not pay.
#[inline(always)]
pub(super) fn causal<R: Real>(predicted: &Grid<R>, original: &Grid<R>, absent: Option<&Grid<bool>>, step: R, effort: Effort) -> Vec<i16> {
    let n = original.n;
    let groups = causal_groups(n);
    if groups.is_empty() || original.len() < 64 {
        return Vec::new();
    }
    let mut errors: Grid<R> = predicted.beside(n);
    for row in original.each_row() {
        let to = errors.row_mut(row);
        for ((to, x), p) in to.iter_mut().zip(original.row(row)).zip(predicted.row(row)) {
            *to = *x - *p;
        }
        if let Some(absent) = absent {
            to.iter_mut().zip(absent.row(row)).filter(|(_, absent)| **absent).for_each(|(e, _)| *e = R::default());
        }
    }
    let errors = [errors];
    let mut samples = Samples::with_capacity(effort.samples + RUN, groups.len());
    let mut run = [0.0; RUN];
    for (row, first, len) in sample_runs(n, effort.samples) {
        let absent = absent.map(|a| &a.row(row)[first..first + len]);
        let run = &mut run[..len];
        for (column, group) in samples.columns.iter_mut().zip(&groups) {
            mean(group, &errors, row, first, run);
            push(column, run, absent);
        }
        for (x, to) in errors[0].row(row)[first..].iter().zip(&mut *run) {
            *to = x.to_f64();
        }
        push(&mut samples.target, run, absent);
    }
    let limit = step.to_f64() / 2.0;
    // The errors that a reader knows are off by its quantization, evenly over a step.
    let noise: Vec<f64> = groups.iter().map(|group| limit * limit / 3.0 / group.members.len() as f64).collect();
    let share = original.len() as f64 / samples.len().max(1) as f64;
    let without = bits(&samples.target, limit);
    let calm = |fitted: Fitted| if absent.is_some() { fitted.calmed(&samples, limit) } else { fitted };
    match fit(&samples, limit, &noise, effort.rounds).map(calm) {
        Some(fitted) if (without - fitted.bits) * share > TAP_BITS * groups.len() as f64 + 8.0 => fitted.taps,
        _ => Vec::new(),
    }
}
