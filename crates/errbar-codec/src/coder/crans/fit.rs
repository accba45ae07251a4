//! Weights of a class's contexts, fitted to samples of it.

use std::ops::{Range, RangeInclusive};

use super::context::{GROUPS, Source, TREND_HALO, Template, Trend};
use crate::least_squares::Samples;
use crate::polyphase::{DIMS, Grid, RUN, sample_runs};

/// Samples that decide the weights, at least, and at most, of so many times as many words.
const SAMPLES: RangeInclusive<usize> = 3072..=6144;
const SHARE: usize = 16;
/// … where they only serve an estimate.
pub(super) const FEW_SAMPLES: usize = 384;

/// Samples that decide the weights of a class of so many words: they cost time, and the more words there
/// are, the more they save.
pub(super) fn samples(n_words: usize) -> usize {
    (n_words / SHARE).clamp(*SAMPLES.start(), *SAMPLES.end())
}
/// Rows after which the running average has forgotten what was before.
const TREND_ROWS: usize = 8;

/// The weights that predict magnitudes best, each sample counting as much as its surroundings are
/// quiet.
#[inline(always)]
pub(super) fn weights(template: &Template, own: &Grid<u16>, classes: &[Grid<u16>], n_samples: usize) -> [u8; GROUPS] {
    let mut samples = Samples::with_capacity(n_samples + RUN, GROUPS);
    for (row, first, len) in sample_runs(own.n, n_samples) {
        samples.target.extend(own.row(row)[first..first + len].iter().map(|&m| f64::from(m)));
        let has_trend = !template[GROUPS - 1].is_empty();
        let (trend, trend_first) = if has_trend { trend_before(own, row, first..first + len) } else { (Trend::new(0), 0) };
        let mut run = [0u32; RUN];
        for (column, members) in samples.columns.iter_mut().zip(template) {
            let run = &mut run[..len];
            run.fill(0);
            for member in members {
                let (points, start) = match member.source {
                    Source::Own => (own.data(), own.start(row).wrapping_add_signed(own.step(member.offset)) + first),
                    Source::Class(class) => {
                        let grid = &classes[usize::from(class)];
                        (grid.data(), grid.start(row).wrapping_add_signed(grid.step(member.offset)) + first)
                    }
                    Source::Trend => (trend.points(), (trend_first + 2).wrapping_add_signed(member.offset[DIMS - 1] as isize)),
                };
                run.iter_mut().zip(&points[start..]).for_each(|(sum, &m)| *sum += u32::from(m));
            }
            let share = 1.0 / members.len().max(1) as f64;
            column.extend(run.iter().map(|&sum| f64::from(sum) * share));
        }
    }
    let n = samples.len();
    let mean = samples.target.iter().sum::<f64>() / n.max(1) as f64;
    let mut importance = vec![0.0; n];
    for column in &samples.columns {
        importance.iter_mut().zip(column).for_each(|(sum, x)| *sum += x);
    }
    let groups = GROUPS as f64;
    for sum in &mut importance {
        let around = *sum + 0.15 * groups * (mean + 0.25);
        *sum = groups * groups / (around * around);
    }
    let solution = samples.solve_positive(&importance).unwrap_or_else(|| vec![0.0; GROUPS]);
    std::array::from_fn(|g| match template[g].len() {
        0 => 0,
        members => (256.0 * solution[g] / members as f64).round_ties_even().clamp(0.0, 255.0) as u8,
    })
}

/// The running average before some points of a row, nearly, and where the first of them stands in it.
fn trend_before(own: &Grid<u16>, row: [usize; DIMS - 1], points: Range<usize>) -> (Trend, usize) {
    let [_, j, k, n] = own.n;
    // With every row, what is beyond the ends of the points comes nearer by one.
    let reach = TREND_ROWS + TREND_HALO;
    let (first, end) = (points.start.saturating_sub(reach), (points.end + reach).min(n));
    let mut trend = Trend::new(end - first);
    let number = (row[0] * j + row[1]) * k + row[2];
    for before in number.saturating_sub(TREND_ROWS)..number {
        trend.learn(own.data(), own.start([before / k / j, before / k % j, before % k]) + first);
    }
    (trend, points.start - first)
}
