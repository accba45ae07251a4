//! The neighbours that predict, and the prediction of a row.

use std::ops::Range;

use errbar_format::Result;

use crate::bytes::take;
use crate::polyphase::{DIMS, Extents, Offset};
use crate::stage::bad_params;

/// Number of neighbours.
pub(super) const TAPS: usize = 18;
/// Those in the row itself come first: the one before, and those before that.
pub(super) const IN_ROW: usize = 3;
/// Taps are in units of 1 / 4096.
pub(super) const UNIT: f64 = 4096.0;
pub(super) const UNIT_BITS: u32 = 12;

/// Where the neighbours are, in grids of four dimensions.
const OFFSETS: [Offset; TAPS] = [
    [0, 0, 0, -1],
    [0, 0, 0, -2],
    [0, 0, 0, -3],
    [0, 0, -1, 0],
    [0, 0, -1, -1],
    [0, 0, -1, 1],
    [0, -1, 0, 0],
    [0, -1, 0, -1],
    [0, -1, 0, 1],
    [0, -1, -1, 0],
    [0, -1, 1, 0],
    [0, 0, -2, 0],
    [-1, 0, 0, 0],
    [-1, 0, 0, -1],
    [-1, 0, -1, 0],
    [-1, -1, 0, 0],
    [0, -2, 0, 0],
    [0, -1, -1, -1],
];

/// Rows of a grid in which there are so few of them that words further before in the row tell more than can be
/// missed: of sound, traces and other series.
const FEW_ROWS: usize = 16;

/// Where the neighbours are in a grid: those along dimensions that there are not are further before in the row,
/// if there are few rows.
pub(super) fn offsets(n: Extents) -> [Offset; TAPS] {
    let mut offsets = OFFSETS;
    if n[..DIMS - 1].iter().product::<usize>() <= FEW_ROWS {
        let unused = offsets.iter_mut().filter(|offset| (0..DIMS - 1).any(|d| offset[d] != 0 && n[d] == 1));
        unused.zip(IN_ROW as i32 + 1..).for_each(|(offset, lag)| *offset = [0, 0, 0, -lag]);
    }
    offsets
}

/// A linear predictor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    /// What neighbours are compared with; nothing: the code before, which keeps slopes exact where
    /// the taps, rounded as they are, do not quite sum up to 1.
    pub(super) mean: Option<u32>,
    pub(super) taps: [i16; TAPS],
}

impl Model {
    /// Takes one from the front of parameters.
    pub(super) fn take(params: &mut &[u8]) -> Result<Model> {
        let mut mean = || match take(params, 1)? {
            [0] => Some(None),
            [1] => Some(Some(u32::from_le_bytes(take(params, 4)?.try_into().ok()?))),
            _ => None,
        };
        let mean = mean().ok_or_else(|| bad_params("linear has a mean or none"))?;
        Ok(Model { mean, taps: take_taps(params)? })
    }

    pub(super) fn write(&self, params: &mut Vec<u8>) {
        params.push(self.mean.is_some().into());
        self.mean.iter().for_each(|mean| params.extend(mean.to_le_bytes()));
        write_taps(&self.taps, params);
    }
}

/// The predictors that parameters have to the end: one, or one for each component.
pub(super) fn models(mut params: &[u8], take: impl Fn(&mut &[u8]) -> Result<Model>) -> Result<Vec<Model>> {
    let mut models = vec![take(&mut params)?];
    while !params.is_empty() {
        models.push(take(&mut params)?);
    }
    Ok(models)
}

/// How many taps predictors have that are not 0, in words.
pub(super) fn describe(models: &[Model]) -> String {
    let used = |model: &Model| model.taps.iter().filter(|&&tap| tap != 0).count().to_string();
    format!("{} taps", models.iter().map(used).collect::<Vec<_>>().join(" + "))
}

pub(super) fn take_taps(params: &mut &[u8]) -> Result<[i16; TAPS]> {
    let bytes = take(params, 2 * TAPS).ok_or_else(|| bad_params("there are 18 taps"))?;
    Ok(std::array::from_fn(|k| i16::from_le_bytes([bytes[2 * k], bytes[2 * k + 1]])))
}

pub(super) fn write_taps(taps: &[i16; TAPS], params: &mut Vec<u8>) {
    params.extend(taps.iter().flat_map(|tap| tap.to_le_bytes()));
}

/// A row at work.
pub(super) struct Line {
    /// What is added to every sum.
    constant: f64,
    /// What the neighbours outside the array, and what is compared with, count for.
    stand_in: f64,
    /// Taps in the row itself.
    near: [f64; IN_ROW],
    /// Taps in rows before, with their distance in memory and along the row; only those inside.
    far: Vec<(f64, usize, i32)>,
    /// Taps in the row itself before the near ones, with their distance.
    lags: Vec<(f64, usize)>,
    /// What stands in for the neighbours of the very first code.
    first: f64,
    /// Distance to what stands in for neighbours outside at the beginning of the row.
    before: Option<usize>,
    /// The points whose neighbours in rows that exist are all inside.
    pub(super) inner: Range<usize>,
    width: usize,
}

/// Taps in the row and a constant, as whole numbers.
pub(super) struct NearIntegers {
    pub(super) near: [i64; IN_ROW],
    pub(super) constant: i64,
}

/// Whether a neighbour's row exists, and how far before it is.
fn distance(n: Extents, row: [usize; DIMS - 1], offset: Offset) -> Option<usize> {
    let inside = (0..DIMS - 1).all(|d| (0..n[d] as i64).contains(&(row[d] as i64 + i64::from(offset[d]))));
    let strides = [n[1] * n[2] * n[3], n[2] * n[3], n[3], 1];
    let back: i64 = (0..DIMS).map(|d| -i64::from(offset[d]) * strides[d] as i64).sum();
    (inside && back > 0).then_some(back as usize)
}

impl Line {
    /// `offsets` are those of the grid.
    pub(super) fn new(model: &Model, offsets: &[Offset; TAPS], n: Extents, at: [usize; DIMS - 1]) -> Self {
        let near: [f64; IN_ROW] = std::array::from_fn(|k| f64::from(model.taps[k]));
        let (mut far, mut lags, mut missing) = (Vec::with_capacity(TAPS), Vec::new(), 0.0);
        for (offset, &tap) in offsets.iter().zip(&model.taps).skip(IN_ROW).filter(|(_, tap)| **tap != 0) {
            match distance(n, at, *offset) {
                Some(lag) if offset[..DIMS - 1] == [0; DIMS - 1] => lags.push((f64::from(tap), lag)),
                Some(back) => far.push((f64::from(tap), back, offset[DIMS - 1])),
                None => missing += f64::from(tap),
            }
        }
        let before = [[0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0]].into_iter().find_map(|offset| distance(n, at, offset));
        let left = UNIT - model.taps.iter().map(|&tap| f64::from(tap)).sum::<f64>();
        let (constant, stand_in) = match model.mean {
            Some(mean) => (left * f64::from(mean), missing),
            None => (0.0, missing + left),
        };
        let (width, first) = (n[DIMS - 1], lags.last().map_or(IN_ROW, |&(_, lag)| lag));
        let inner = first..width.saturating_sub(1).max(first);
        Line { constant, stand_in, near, far, lags, first: f64::from(model.mean.unwrap_or(0)), before, inner, width }
    }

    /// The sums over rows before, for the points whose neighbours there all exist.
    #[inline(always)]
    pub(super) fn sums(&self, codes: &[f64], start: usize, sums: &mut [f64]) {
        sums.fill(0.0);
        let Some(inner) = sums.len().checked_sub(2) else { return };
        let sums = &mut sums[1..=inner];
        for &(tap, back, _) in &self.far {
            let neighbours = &codes[start + 1 - back..][..inner];
            for (sum, code) in sums.iter_mut().zip(neighbours) {
                *sum += tap * code;
            }
        }
    }

    /// All other points of a row.
    pub(super) fn edges(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.width.min(self.inner.start)).chain(self.inner.end..self.width)
    }

    /// Inner points, as many at once as have all their lags before them.
    pub(super) fn groups(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let Range { start, end } = self.inner;
        let step = if self.lags.is_empty() { end - start } else { IN_ROW + 1 };
        (start..end).step_by(step.max(1)).map(move |x| x..end.min(x + step))
    }

    /// Adds to the sums of inner points what their lags give.
    #[inline(always)]
    pub(super) fn add_lags(&self, codes: &[f64], start: usize, points: Range<usize>, sums: &mut [f64]) {
        let sums = &mut sums[points.clone()];
        for &(tap, lag) in &self.lags {
            let before = &codes[start + points.start - lag..][..sums.len()];
            sums.iter_mut().zip(before).for_each(|(sum, code)| *sum += tap * code);
        }
    }

    /// Makes predictions of the sums of all inner points of a row whose codes are known.
    #[inline(always)]
    pub(super) fn predict_inner(&self, codes: &[f64], start: usize, sums: &mut [f64]) {
        let Range { start: first, end } = self.inner;
        let n = end - first;
        let at = start + first;
        if n == 0 {
            return;
        }
        self.add_lags(codes, start, first..end, sums);
        let (a, b, c) = (&codes[at - 1..][..n], &codes[at - 2..][..n], &codes[at - 3..][..n]);
        let sums = &mut sums[first..end];
        for x in 0..n {
            sums[x] = self.finish(sums[x] + (self.near[0] + self.stand_in) * a[x] + (self.near[1] * b[x] + self.near[2] * c[x]));
        }
    }

    /// What inner points are predicted with in whole numbers, half a unit added.
    pub(super) fn near_integers(&self) -> NearIntegers {
        let near = [self.near[0] + self.stand_in, self.near[1], self.near[2]].map(|tap| tap as i64);
        NearIntegers { near, constant: self.constant as i64 + (1 << (UNIT_BITS - 1)) }
    }

    /// What the row itself gives an inner point.
    #[inline(always)]
    fn near(&self, codes: &[f64], at: usize) -> f64 {
        (self.near[0] + self.stand_in) * codes[at - 1] + (self.near[1] * codes[at - 2] + self.near[2] * codes[at - 3])
    }

    /// The prediction of a point as it is, not rounded to an integer, where nothing but zero is
    /// compared with; `sum` is that of [`Line::sums`].
    #[inline(always)]
    pub(super) fn unrounded(&self, codes: &[f64], start: usize, x: usize, sum: f64) -> f64 {
        let at = start + x;
        match self.inner.contains(&x) {
            true => (self.lags.iter().fold(sum, |sum, &(tap, lag)| sum + tap * codes[at - lag]) + self.near(codes, at)) / UNIT,
            false => self.sum_at_edge(codes, at, x) / UNIT,
        }
    }

    /// All of it is exact: integers below 2^53, then a binary fraction.
    #[inline(always)]
    fn finish(&self, sum: f64) -> f64 {
        ((sum + self.constant) / UNIT + 0.5).floor()
    }

    /// Neighbours outside are as the one that stands in for them.
    #[inline(always)]
    pub(super) fn predict_at_edge(&self, codes: &[f64], at: usize, x: usize) -> f64 {
        self.finish(self.sum_at_edge(codes, at, x))
    }

    fn sum_at_edge(&self, codes: &[f64], at: usize, x: usize) -> f64 {
        let stand_in = match (x, self.before) {
            (0, Some(back)) => codes[at - back],
            (0, None) => self.first,
            _ => codes[at - 1],
        };
        let mut sum = self.stand_in * stand_in;
        for (k, &tap) in self.near.iter().enumerate() {
            sum += tap * if x > k { codes[at - 1 - k] } else { stand_in };
        }
        for &(tap, lag) in &self.lags {
            sum += tap * if x >= lag { codes[at - lag] } else { stand_in };
        }
        for &(tap, back, along) in &self.far {
            let inside = (0..self.width as i64).contains(&(x as i64 + i64::from(along)));
            sum += tap * if inside { codes[at - back] } else { stand_in };
        }
        sum
    }
}
