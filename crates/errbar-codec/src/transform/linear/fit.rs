//! Taps fitted to samples of a block.

use super::template::{Model, OFFSETS, TAPS, UNIT};
use crate::codes::Word;
use crate::least_squares::{Samples, bits};
use crate::polyphase::{DIMS, Extents, Offset, RUN, sample_runs};
use crate::{Codes, with_words};

/// Samples that decide.
const SAMPLES: usize = 12_000;
/// Largest tap that 16 bits hold with a little room.
const MOST: f64 = 7.9;
/// Half a step: what residuals are measured in.
const LIMIT: f64 = 0.5;

/// The best of fitted taps, of the plane through the nearest neighbours, of the code before and of
/// the median.
pub(super) fn model(codes: &Codes, n: Extents) -> Model {
    with_words!(&codes.words, v => model_of(v, n, codes.scan.absent.as_deref()))
}

fn model_of<W: Word>(words: &[W], n: Extents, absent: Option<&[bool]>) -> Model {
    let strides = [n[1] * n[2] * n[3], n[2] * n[3], n[3], 1];
    let is_present = |at: usize| absent.is_none_or(|absent| !absent[at]);
    // Only dimensions that there are.
    let used: Vec<usize> = (0..TAPS).filter(|&k| (0..DIMS).all(|d| OFFSETS[k][d] == 0 || n[d] > 1)).collect();
    let (mut samples, mut values) = (Samples { target: Vec::new(), columns: vec![Vec::new(); used.len()] }, Vec::new());
    for (row, first, len) in sample_runs(n, SAMPLES.max(RUN)) {
        for x in first..first + len {
            let index = [row[0], row[1], row[2], x];
            let at: usize = (0..DIMS).map(|d| index[d] * strides[d]).sum();
            if !is_present(at) {
                continue;
            }
            values.push(words[at].to_u64() as f64);
            let value = |offset: Offset| {
                let inside = (0..DIMS).all(|d| (0..n[d] as i64).contains(&(index[d] as i64 + i64::from(offset[d]))));
                let there = inside.then(|| at.wrapping_add_signed((0..DIMS).map(|d| offset[d] as isize * strides[d] as isize).sum()))?;
                is_present(there).then(|| words[there].to_u64() as f64)
            };
            // As a reader does: what is not there is as the one before along the last axis that has one.
            let before = [[0, 0, 0, -1], [0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0]];
            let Some(stand_in) = before.into_iter().find_map(value) else { continue };
            let neighbours = used.iter().map(|&k| value(OFFSETS[k]).unwrap_or(stand_in));
            samples.target.push(words[at].to_u64() as f64);
            samples.columns.iter_mut().zip(neighbours).for_each(|(column, x)| column.push(x));
        }
    }
    values.sort_unstable_by(f64::total_cmp);
    let median = values.get(values.len() / 2).copied().unwrap_or(0.0);
    let left = used.iter().position(|&k| k == 0).map(|i| samples.columns[i].clone());
    let mut best: Option<(f64, Model)> = None;
    // Against the code before, then against the median: the first of equals.
    for mean in [None, Some(median as u32)] {
        let reference: Vec<f64> = match (mean, &left) {
            (None, Some(left)) => left.clone(),
            (None, None) => vec![median; samples.len()],
            (Some(mean), _) => vec![f64::from(mean); samples.len()],
        };
        let against = |column: &Vec<f64>| column.iter().zip(&reference).map(|(x, r)| x - r).collect::<Vec<f64>>();
        let relative = Samples { target: against(&samples.target), columns: samples.columns.iter().map(against).collect() };
        for taps in candidates(&relative, &used) {
            // Predictions are rounded: what is nearly right is right.
            let residuals: Vec<f64> = relative.residuals(&taps).iter().map(|r| r.round_ties_even()).collect();
            let cost = bits(&residuals, LIMIT);
            if best.as_ref().is_none_or(|(least, _)| cost < least * 0.998) {
                let mut model = Model { mean, taps: [0; TAPS] };
                used.iter().zip(&taps).for_each(|(&k, tap)| model.taps[k] = (tap * UNIT) as i16);
                best = Some((cost, model));
            }
        }
    }
    best.map(|(_, model)| model).unwrap_or_default()
}

/// Taps worth comparing: none, those of a plane, and three rounds of least squares.
fn candidates(samples: &Samples, used: &[usize]) -> Vec<Vec<f64>> {
    let place = |offset| used.iter().position(|&k| OFFSETS[k] == offset);
    let mut all = vec![vec![0.0; used.len()]];
    if let (Some(left), Some(up), Some(corner)) = (place([0, 0, 0, -1]), place([0, 0, -1, 0]), place([0, 0, -1, -1])) {
        let mut plane = vec![0.0; used.len()];
        (plane[left], plane[up], plane[corner]) = (1.0, 1.0, -1.0);
        all.push(plane);
    }
    let mut weights = vec![1.0; samples.len()];
    for _ in 0..3 {
        if samples.len() < 8 * used.len() + 64 {
            break;
        }
        let Some(solution) = samples.solve(&weights, &[]) else { break };
        let rounded: Vec<f64> = solution.iter().map(|t| (t.clamp(-MOST, MOST) * UNIT).round_ties_even() / UNIT).collect();
        weights.iter_mut().zip(samples.residuals(&rounded)).for_each(|(w, r)| *w = 1.0 / (r.abs() + 0.5 * LIMIT));
        all.push(rounded);
    }
    all
}
