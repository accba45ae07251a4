//! The way from the coarsest grid to the finest, in both directions.

use super::choose;
use super::real::Real;
use super::taps::Taps;
use super::template::{Kernel, beyond, causal_groups, template};
use crate::polyphase::{DIMS, Extents, Grid, HALO, SLACK, class_extents, classes};

/// What both directions know.
#[derive(Clone, Debug)]
pub(super) struct Plan<R> {
    pub(super) n: Extents,
    /// Finest first.
    pub(super) levels: Vec<u8>,
    /// What a code counts, in working numbers.
    pub(super) step: R,
    /// What predicts the first point of the coarsest grid.
    pub(super) base: R,
    /// Whether working numbers are integers, and predictions are rounded to them.
    pub(super) integers: bool,
}

/// A code as the words carry it: 0, -1, 1, -2 … are 0, 1, 2, 3 …
#[inline(always)]
fn zigzag(code: i32) -> u32 {
    ((code << 1) ^ (code >> 31)) as u32
}

#[inline(always)]
fn unzigzag(word: u32) -> i32 {
    (word >> 1) as i32 ^ -((word & 1) as i32)
}

impl<R: Real> Plan<R> {
    /// Extents of the grid that `level` takes apart; `levels.len()` asks for the coarsest.
    pub(super) fn extents(&self, level: usize) -> Extents {
        self.levels[..level].iter().fold(self.n, |n, &level| class_extents(n, level, 0))
    }

    fn new_grid<T: Copy + Default>(&self, n: Extents) -> Grid<T> {
        Grid::new(n, self.n, [HALO; DIMS])
    }

    /// Codes and working numbers of a row from its predictions.
    #[inline(always)]
    fn quantize_row(&self, x: &[R], predicted: &[R], absent: Option<&[bool]>, words: &mut [u32], out: &mut [R]) {
        let (step, per_step, least) = (self.step, R::from_i32(1) / self.step, R::default() - R::MOST);
        let one = |x: R, p: R| {
            let p = if self.integers { p.nearest_integer() } else { p };
            let count = ((x - p) * per_step).bounded(least, R::MOST).nearest_integer();
            (zigzag(count.to_i32()), p + step * count)
        };
        let n = x.len();
        let (predicted, words, out) = (&predicted[..n], &mut words[..n], &mut out[..n]);
        match absent {
            None => {
                for i in 0..n {
                    (words[i], out[i]) = one(x[i], predicted[i]);
                }
            }
            Some(absent) => {
                for i in 0..n {
                    let p = predicted[i];
                    (words[i], out[i]) = if absent[i] { (0, one(p, p).1) } else { one(x[i], p) };
                }
            }
        }
    }

    /// The working number of a point from its code and its prediction.
    #[inline(always)]
    fn point(&self, word: u32, predicted: R) -> R {
        let p = if self.integers { predicted.nearest_integer() } else { predicted };
        p + self.step * R::from_i32(unzigzag(word))
    }

    /// What predicts a point of the coarsest grid: the point before it along the last dimension
    /// that has one.
    fn coarsest(&self, grid: &Grid<R>, row: [usize; DIMS - 1], x: usize) -> R {
        let [i, j, k] = row;
        match (x, k, j, i) {
            (0, 0, 0, 0) => self.base,
            (0, 0, 0, _) => grid.row([i - 1, j, k])[x],
            (0, 0, _, _) => grid.row([i, j - 1, k])[x],
            (0, _, _, _) => grid.row([i, j, k - 1])[x],
            _ => grid.row(row)[x - 1],
        }
    }

    /// The grid from its codes; `taps` are those of every class, in the order of [`Plan::quantize`].
    #[inline(always)]
    pub(super) fn reconstruct(&self, words: &[u32], taps: &[Taps]) -> Grid<R> {
        let mut words = words;
        let mut take = |n: usize| {
            let (now, later) = words.split_at(n);
            words = later;
            now
        };
        let mut taps = taps.iter();
        let mut coarse = self.new_grid(self.extents(self.levels.len()));
        for row in coarse.each_row() {
            for (x, word) in take(coarse.n[DIMS - 1]).iter().enumerate() {
                let predicted = self.coarsest(&coarse, row, x);
                coarse.row_mut(row)[x] = self.point(*word, predicted);
            }
        }
        for (l, &level) in self.levels.iter().enumerate().rev() {
            let n = self.extents(l);
            let mut parts = self.parts(coarse);
            for &class in &classes(level)[1..] {
                let chosen = taps.next().cloned().unwrap_or_default();
                let groups = template(self.n, level, class);
                let kernel = Kernel::new(groups, &chosen.weights(groups, class), &parts[0]);
                let mut part = parts[0].beside(class_extents(n, level, class));
                let mut causal = Causal::new(&part, &chosen);
                kernel.add(&parts, &mut part);
                for row in part.each_row() {
                    let part = part.row_mut(row);
                    let words = take(part.len());
                    match causal.corrected(row, part) {
                        None => part.iter_mut().zip(words).for_each(|(x, &word)| *x = self.point(word, *x)),
                        Some(predicted) => {
                            part.iter_mut().zip(words).zip(predicted).for_each(|((x, &word), p)| *x = self.point(word, *p));
                        }
                    }
                    causal.learn(row, part);
                }
                part.fill_halo(beyond);
                parts[usize::from(class)] = part;
            }
            coarse = Grid::merged(n, self.n, [HALO; DIMS], level, &parts);
        }
        coarse
    }

    /// The codes of a grid, those of absent points zero, and the taps chosen for every class.
    #[inline(always)]
    pub(super) fn quantize(&self, original: Grid<R>, absent: Option<Grid<bool>>, effort: choose::Effort) -> (Vec<u32>, Vec<Taps>) {
        let mut words = vec![0; original.len()];
        let mut free = words.as_mut_slice();
        let mut take = |n: usize| {
            let (now, later) = std::mem::take(&mut free).split_at_mut(n);
            free = later;
            now
        };
        let mut all_taps = Vec::new();
        let originals = original.pyramid(&self.levels);
        let absences = absent.map(|grid| grid.pyramid(&self.levels));
        let absence = |l: usize, class: u8| absences.as_ref().map(|a| &a[l][usize::from(class)]);

        let bottom = self.levels.len();
        let (x, is_absent) = (&originals[bottom][0], absence(bottom, 0));
        let mut coarse = self.new_grid(x.n);
        for row in x.each_row() {
            let words = take(x.n[DIMS - 1]);
            for i in 0..words.len() {
                let predicted = self.coarsest(&coarse, row, i);
                let is_absent = is_absent.map(|a| &a.row(row)[i..=i]);
                self.quantize_row(&x.row(row)[i..=i], &[predicted], is_absent, &mut words[i..=i], &mut coarse.row_mut(row)[i..=i]);
            }
        }
        for (l, &level) in self.levels.iter().enumerate().rev() {
            let mut parts = self.parts(coarse);
            for &class in &classes(level)[1..] {
                let (x, is_absent) = (&originals[l][usize::from(class)], absence(l, class));
                let groups = template(self.n, level, class);
                let mut taps = choose::interpolating(groups, class, &parts, x, is_absent, self.step, effort);
                let kernel = Kernel::new(groups, &taps.weights(groups, class), &parts[0]);
                let mut predicted: Grid<R> = parts[0].beside(x.n);
                kernel.add(&parts, &mut predicted);
                taps.causal = choose::causal(&predicted, x, is_absent, self.step, effort);
                let mut causal = Causal::new(&predicted, &taps);
                let mut part = predicted.beside(x.n);
                for row in x.each_row() {
                    let predicted = predicted.row(row);
                    let predicted = causal.corrected(row, predicted).unwrap_or(predicted);
                    self.quantize_row(x.row(row), predicted, is_absent.map(|a| a.row(row)), take(predicted.len()), part.row_mut(row));
                    causal.learn(row, part.row(row));
                }
                all_taps.push(taps);
                part.fill_halo(beyond);
                parts[usize::from(class)] = part;
            }
            // Nobody asks for the finest grid.
            if l == 0 {
                break;
            }
            coarse = Grid::merged(self.extents(l), self.n, [HALO; DIMS], level, &parts);
        }
        (words, all_taps)
    }

    fn parts(&self, mut coarse: Grid<R>) -> Vec<Grid<R>> {
        coarse.fill_halo(beyond);
        let mut parts: Vec<Grid<R>> = (0..1 << DIMS).map(|_| Grid::default()).collect();
        parts[0] = coarse;
        parts
    }
}

/// The part of a prediction that comes from the errors made before it in its class.
enum Causal<R> {
    None,
    Some {
        /// One grid of errors, with zeros around it. The row at work stands there as interpolation
        /// predicts it.
        errors: [Grid<R>; 1],
        kernel: Kernel<R>,
        /// The row at work with what comes from the errors.
        corrected: Vec<[R; SLACK]>,
    },
}

impl<R: Real> Causal<R> {
    fn new(class: &Grid<R>, taps: &Taps) -> Self {
        if taps.causal.is_empty() {
            return Causal::None;
        }
        let errors = class.beside(class.n);
        let kernel = Kernel::new(&causal_groups(class.n), &taps.causal_weights(), &errors);
        let width = class.n[DIMS - 1];
        let corrected = vec![[R::default(); SLACK]; width.div_ceil(SLACK)];
        Causal::Some { errors: [errors], kernel, corrected }
    }

    /// Predictions of a row from those by interpolation, unless they stay as they are.
    #[inline(always)]
    fn corrected(&mut self, row: [usize; DIMS - 1], interpolated: &[R]) -> Option<&[R]> {
        let Causal::Some { errors, kernel, corrected } = self else { return None };
        errors[0].row_mut(row).copy_from_slice(interpolated);
        corrected.as_flattened_mut()[..interpolated.len()].copy_from_slice(interpolated);
        kernel.add_row(errors, row, corrected);
        Some(&corrected.as_flattened()[..interpolated.len()])
    }

    #[inline(always)]
    fn learn(&mut self, row: [usize; DIMS - 1], out: &[R]) {
        if let Causal::Some { errors, .. } = self {
            errors[0].row_mut(row).iter_mut().zip(out).for_each(|(error, x)| *error = *x - *error);
        }
    }
}
