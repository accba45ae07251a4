//! Values to a grid of working numbers, and back.

use std::sync::Arc;

use errbar_format::{Error, Result};

use super::params::Params;
use super::real::Real;
use crate::codes::Word;
use crate::float::{Float, with_floats};
use crate::polyphase::{DIMS, Extents, Grid, HALO, folded};
use crate::{Tolerance, Values, Words, with_words};

/// How the dimensions of values become those of a grid.
pub(super) struct Fold {
    pub(super) n: Extents,
    /// Distance between neighbours along each dimension of the grid, in values.
    stride: Extents,
}

impl Fold {
    /// [`folded`]; then the last of the dimensions longer than 1 comes first if `rotated`.
    pub(super) fn new(dims: &[usize], rotated: bool) -> Fold {
        let mut n = folded(dims);
        let mut stride = [1; DIMS];
        for d in (1..DIMS).rev() {
            stride[d - 1] = stride[d] * n[d];
        }
        if rotated {
            let first = n.iter().position(|&n| n != 1).unwrap_or(0);
            n[first..].rotate_right(1);
            stride[first..].rotate_right(1);
        }
        Fold { n, stride }
    }

    fn start(&self, row: [usize; DIMS - 1]) -> usize {
        (0..DIMS - 1).map(|d| row[d] * self.stride[d]).sum()
    }

    /// A grid of anything that stands in the order of the values.
    pub(super) fn grid<T: Copy + Default>(&self, values: &[T]) -> Grid<T> {
        self.map(values, |value| value)
    }

    /// As [`Fold::grid`], of what `convert` makes of them.
    #[inline(always)]
    pub(super) fn map<T: Copy, U: Copy + Default>(&self, values: &[T], convert: impl Fn(T) -> U) -> Grid<U> {
        let mut grid = Grid::new(self.n, self.n, [HALO; DIMS]);
        let step = self.stride[DIMS - 1].max(1);
        for row in grid.each_row() {
            let start = self.start(row);
            let to = grid.row_mut(row);
            match step {
                1 => to.iter_mut().zip(&values[start..]).for_each(|(to, &value)| *to = convert(value)),
                _ => to.iter_mut().zip(values[start..].iter().step_by(step)).for_each(|(to, &value)| *to = convert(value)),
            }
        }
        grid
    }

    /// The inverse of [`Fold::map`].
    #[inline(always)]
    fn unmap<T: Copy + Default, U: Copy + Default>(&self, grid: &Grid<T>, convert: impl Fn(T) -> U) -> Vec<U> {
        let mut values = vec![U::default(); grid.len()];
        let step = self.stride[DIMS - 1].max(1);
        for row in grid.each_row() {
            let start = self.start(row);
            let from = grid.row(row);
            match step {
                1 => values[start..].iter_mut().zip(from).for_each(|(value, &x)| *value = convert(x)),
                _ => values[start..].iter_mut().step_by(step).zip(from).for_each(|(value, &x)| *value = convert(x)),
            }
        }
        values
    }
}

/// What decides the parameters.
pub(super) struct Survey {
    /// Values that are not numbers or are missing, if there are any.
    pub(super) absent: Option<Arc<[bool]>>,
    /// The first value that is neither; 0 if there is none.
    pub(super) first: f64,
    /// The largest magnitude of those.
    pub(super) largest: f64,
    /// Some of those, from all over the block.
    pub(super) sample: Vec<f64>,
}

/// Values in the sample, at most about twice as many.
const SAMPLE: usize = 1024;

impl Survey {
    pub(super) fn of(values: &Values, float: Float, tolerance: &Tolerance) -> Survey {
        with_words!(&values.bits.words, v => Survey::of_words(v, float, tolerance))
    }

    fn of_words<W: Word>(words: &[W], float: Float, tolerance: &Tolerance) -> Survey {
        let is_absent = |word: W| !float.is_finite(word.to_u64()) || tolerance.is_fill(word.to_u64());
        // Floats without their sign are in the order of their bits.
        let magnitude = W::from_u64(u64::MAX >> (65 - W::BITS));
        let largest = |words: &[W]| words.iter().fold(W::from_u64(0), |most, word| most.max(word.and(magnitude)));
        let sample = words.iter().step_by((words.len() / SAMPLE).max(1)).filter(|word| !is_absent(**word));
        let sample = sample.map(|word| float.to_f64(word.to_u64())).collect();
        if tolerance.fill.is_empty() {
            let most = largest(words);
            if float.is_finite(most.to_u64()) {
                let first = words.first().map_or(0.0, |word| float.to_f64(word.to_u64()));
                return Survey { absent: None, first, largest: float.to_f64(most.to_u64()), sample };
            }
        }
        let absent: Arc<[bool]> = words.iter().map(|&word| is_absent(word)).collect();
        let present = || words.iter().zip(absent.iter()).filter(|(_, absent)| !**absent).map(|(&word, _)| word);
        let first = present().next().map_or(0.0, |word| float.to_f64(word.to_u64()));
        let most = present().fold(W::from_u64(0), |most, word| most.max(word.and(magnitude)));
        let largest = float.to_f64(most.to_u64());
        Survey { absent: absent.contains(&true).then_some(absent), first, largest, sample }
    }
}

/// Working numbers of values; those of absent ones are 0.
#[inline(always)]
pub(super) fn to_grid<R: Real>(values: &Values, fold: &Fold, params: &Params, absent: Option<&[bool]>) -> Result<Grid<R>> {
    let float = Float::of(values.dtype)?;
    let place = |x: f64| match params.lattice {
        None => x,
        Some(lattice) => ((x - lattice.offset) / lattice.unit).round_ties_even(),
    };
    let mut grid = with_floats!(float, &values.bits.words, (words, to_f64, _narrow) => match params.lattice {
        None => fold.map(words, |w| R::from_f64(to_f64(w))),
        Some(_) => fold.map(words, |w| R::from_f64(place(to_f64(w)))),
    })?;
    if let Some(absent) = absent {
        // Whatever stands there must not spoil sums: NaN times zero is NaN.
        let absent = fold.grid(absent);
        for row in absent.each_row() {
            grid.row_mut(row).iter_mut().zip(absent.row(row)).filter(|(_, absent)| **absent).for_each(|(x, _)| *x = R::default());
        }
    }
    Ok(grid)
}

/// Bit patterns of values from working numbers.
#[inline(always)]
pub(super) fn from_grid<R: Real>(grid: &Grid<R>, float: Float, fold: &Fold, params: &Params) -> Words {
    let value = |x: R| match params.lattice {
        None => x.to_f64(),
        Some(lattice) => lattice.offset + lattice.unit * x.to_f64(),
    };
    match float {
        Float::F32 => Words::U32(fold.unmap(grid, |x| (value(x) as f32).to_bits())),
        Float::F64 => Words::U64(fold.unmap(grid, |x| value(x).to_bits())),
        Float::F16 | Float::BF16 => Words::U16(fold.unmap(grid, |x| {
            let x = value(x);
            if x.is_nan() { 0 } else { float.from_f64(x) as u16 }
        })),
    }
}
