//! Grids of up to four dimensions taken apart by the parity of their indices, level by level.
//!
//! A level halves some dimensions of a grid: the points whose indices along those are all even are
//! the next, coarser grid; the others fall into classes, one for every other combination of
//! parities. A class is a dense grid of its own, so that neighbours of a row of points are rows
//! too. The order of classes is by the number of odd dimensions; every class can look at those
//! before it. See `spec/stages/interp.md`.

use std::ops::Range;

/// Dimensions of a grid; unused ones, in front, have the extent 1.
pub const DIMS: usize = 4;

/// Extents along each dimension, slowest first.
pub type Extents = [usize; DIMS];

/// Displacement along each dimension.
pub type Offset = [i32; DIMS];

/// Points on either side of a grid, along dimensions longer than 1, that may hold copies or extrapolations.
pub const HALO: usize = 2;

/// Points that are worked on at once; so many more may be read behind a row.
pub const SLACK: usize = 8;

/// Whether a level or a class has dimension `d`: bit `d` stands for the dimension `d` of [`Extents`].
pub fn has(set: u8, d: usize) -> bool {
    set >> d & 1 == 1
}

/// The levels of a grid, finest first: each halves every dimension longer than 1 that is not in
/// `whole`.
pub fn levels(mut n: Extents, whole: u8) -> Vec<u8> {
    let mut levels = Vec::new();
    loop {
        let level = (0..DIMS).filter(|&d| n[d] > 1 && !has(whole, d)).fold(0, |set, d| set | 1 << d);
        if level == 0 {
            return levels;
        }
        levels.push(level);
        n = class_extents(n, level, 0);
    }
}

/// The extents of a class of a level of a grid.
pub fn class_extents(n: Extents, level: u8, class: u8) -> Extents {
    std::array::from_fn(|d| match (has(level, d), has(class, d)) {
        (false, _) => n[d],
        (true, false) => n[d].div_ceil(2),
        (true, true) => n[d] / 2,
    })
}

/// The classes of a level in their order; the first, 0, is the coarser grid.
pub fn classes(level: u8) -> Vec<u8> {
    let mut classes: Vec<u8> = (0..1 << DIMS).filter(|class| class & !level == 0).collect();
    classes.sort_by_key(|&class| (class.count_ones(), std::cmp::Reverse(class)));
    classes
}

/// The class that holds the point `delta` away from a point of `class`, both in a grid that `level`
/// takes apart, and the difference of their indices in their classes.
pub fn neighbour(level: u8, class: u8, delta: Offset) -> (u8, Offset) {
    let mut there = 0;
    let offset = std::array::from_fn(|d| {
        if !has(level, d) {
            return delta[d];
        }
        let index = i32::from(has(class, d)) + delta[d];
        there |= ((index & 1) as u8) << d;
        index >> 1
    });
    (there, offset)
}

/// Points of a grid with its halo: a grid with several short dimensions is mostly halo.
pub fn padded(n: Extents) -> usize {
    n.iter().fold(1, |points: usize, &n| points.saturating_mul(if n > 1 { n + 2 * HALO } else { n }))
}

/// The indices of rows, in order.
#[derive(Clone, Debug)]
pub struct Rows {
    n: [usize; DIMS - 1],
    next: [usize; DIMS - 1],
    left: usize,
}

/// The rows of a grid; none where they have no points.
pub fn rows(n: Extents) -> Rows {
    let [i, j, k, x] = n;
    Rows { n: [i, j, k], next: [0; DIMS - 1], left: if x == 0 { 0 } else { i * j * k } }
}

impl Iterator for Rows {
    type Item = [usize; DIMS - 1];

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let row = self.next;
        self.next[2] += 1;
        if self.next[2] == self.n[2] {
            self.next = [row[0], row[1] + 1, 0];
            if self.next[1] == self.n[1] {
                self.next = [row[0] + 1, 0, 0];
            }
        }
        Some(row)
    }
}

/// A dense grid with a halo.
#[derive(Clone, Debug, Default)]
pub struct Grid<T> {
    /// Extents without the halo.
    pub n: Extents,
    halo: Extents,
    stride: Extents,
    origin: usize,
    data: Vec<T>,
}

impl<T: Copy + Default> Grid<T> {
    /// A grid of zeros, with a halo of `reach` points, at most [`HALO`], along the dimensions along which `whole`,
    /// the grid that it was taken from, is longer than 1.
    pub fn new(n: Extents, whole: Extents, reach: Extents) -> Self {
        let halo = std::array::from_fn(|d| if whole[d] > 1 { reach[d] } else { 0 });
        Grid::at(n, halo, Grid::<T>::strides(n, halo))
    }

    fn strides(n: Extents, halo: Extents) -> Extents {
        let mut stride = [1; DIMS];
        for d in (0..DIMS - 1).rev() {
            stride[d] = stride[d + 1] * (n[d + 1] + 2 * halo[d + 1]);
        }
        stride
    }

    /// A grid of zeros of `n` points, at most one fewer along each dimension than this one has, whose
    /// points stand in memory as those of this one: so do all classes of a level, and what is to be
    /// done for all points of them can be done in one go, with the halo between the rows.
    pub fn beside<U: Copy + Default>(&self, n: Extents) -> Grid<U> {
        Grid::at(n, self.halo, self.stride)
    }

    fn at(n: Extents, halo: Extents, stride: Extents) -> Self {
        let origin = (0..DIMS).map(|d| halo[d] * stride[d]).sum();
        // A row of an empty grid is never asked for.
        let len = if n.contains(&0) { 0 } else { stride[0] * (n[0] + 2 * halo[0]) + SLACK };
        Grid { n, halo, stride, origin, data: vec![T::default(); len] }
    }

    /// Where the points stand, with the halo between them.
    #[inline(always)]
    pub fn span(&self) -> Range<usize> {
        if self.data.is_empty() {
            return 0..0;
        }
        let last = self.start([self.n[0] - 1, self.n[1] - 1, self.n[2] - 1]);
        self.origin..last + self.n[DIMS - 1]
    }

    /// The points of a row, and what stands behind it up to a multiple of [`SLACK`] points.
    #[inline(always)]
    pub fn wide_row(&self, at: [usize; DIMS - 1], step: isize) -> &[[T; SLACK]] {
        let start = self.start(at).wrapping_add_signed(step);
        self.data[start..start + self.n[DIMS - 1].next_multiple_of(SLACK)].as_chunks().0
    }

    /// Number of points; none of the default.
    pub fn len(&self) -> usize {
        self.n.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the first point of a row stands.
    #[inline(always)]
    pub fn start(&self, [i, j, k]: [usize; DIMS - 1]) -> usize {
        self.origin + i * self.stride[0] + j * self.stride[1] + k * self.stride[2]
    }

    /// The distance in memory between points that far apart.
    pub fn step(&self, offset: Offset) -> isize {
        (0..DIMS).map(|d| offset[d] as isize * self.stride[d] as isize).sum()
    }

    /// The points of a row.
    pub fn row(&self, at: [usize; DIMS - 1]) -> &[T] {
        let start = self.start(at);
        &self.data[start..start + self.n[DIMS - 1]]
    }

    /// The points of a row, to write.
    pub fn row_mut(&mut self, at: [usize; DIMS - 1]) -> &mut [T] {
        let start = self.start(at);
        &mut self.data[start..start + self.n[DIMS - 1]]
    }

    /// All points and the halo, in memory's order.
    #[inline(always)]
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// As [`Grid::data`], to write.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// Every row's indices in order.
    pub fn each_row(&self) -> Rows {
        rows(self.n)
    }

    /// Copies the points of `class` out of this grid.
    #[inline(always)]
    pub fn split(&self, level: u8, class: u8) -> Grid<T> {
        let even = Grid::<T>::strides(class_extents(self.n, level, 0), self.halo);
        let mut part = Grid::at(class_extents(self.n, level, class), self.halo, even);
        if part.is_empty() {
            return part;
        }
        let (at, skip) = Grid::<T>::places(level, class);
        for row in part.each_row() {
            let from = self.start(at(row)) + usize::from(has(class, DIMS - 1));
            let to = part.row_mut(row);
            if skip {
                // The last point of an even class may be the last of the grid.
                for (to, pair) in to.iter_mut().zip(self.data[from..].chunks(2)) {
                    *to = pair[0];
                }
            } else {
                let n = to.len();
                to.copy_from_slice(&self.data[from..from + n]);
            }
        }
        part
    }

    /// The classes of every level, which are the classes of the coarser grid of the level before, and
    /// the coarsest grid last. Class 0 of a level, the next coarser grid, is left empty.
    #[inline(always)]
    pub fn pyramid(self, levels: &[u8]) -> Vec<Vec<Grid<T>>> {
        let mut rest = self;
        let mut pyramid = Vec::with_capacity(levels.len() + 1);
        for &level in levels {
            let mut parts: Vec<Grid<T>> = (0..1 << DIMS).map(|_| Grid::default()).collect();
            for class in classes(level) {
                parts[usize::from(class)] = rest.split(level, class);
            }
            rest = std::mem::take(&mut parts[0]);
            pyramid.push(parts);
        }
        pyramid.push(vec![rest]);
        pyramid
    }

    /// The grid of `n` points that `level` takes apart into `parts`, which are by class; the others are those of
    /// [`Grid::new`].
    #[inline(always)]
    pub fn merged(n: Extents, whole: Extents, reach: Extents, level: u8, parts: &[Grid<T>]) -> Grid<T> {
        let mut grid = Grid::new(n, whole, reach);
        let last = 1 << (DIMS - 1);
        for class in classes(level).into_iter().filter(|class| class & last == 0) {
            let (at, skip) = Grid::<T>::places(level, class);
            let even = &parts[usize::from(class)];
            for row in even.each_row() {
                let start = grid.start(at(row));
                let evens = even.row(row);
                if !skip {
                    grid.data[start..start + evens.len()].copy_from_slice(evens);
                    continue;
                }
                let odds = parts[usize::from(class | last)].row(row);
                let to = &mut grid.data[start..start + evens.len() + odds.len()];
                let (pairs, rest) = to.as_chunks_mut::<2>();
                for ((pair, &even), &odd) in pairs.iter_mut().zip(evens).zip(odds) {
                    *pair = [even, odd];
                }
                if let [last] = rest {
                    *last = evens[evens.len() - 1];
                }
            }
        }
        grid
    }

    /// Where the rows of a class stand in its grid, and whether every other point of a row is meant.
    fn places(level: u8, class: u8) -> (impl Fn([usize; DIMS - 1]) -> [usize; DIMS - 1], bool) {
        let at = move |row: [usize; DIMS - 1]| {
            std::array::from_fn(|d| if has(level, d) { 2 * row[d] + usize::from(has(class, d)) } else { row[d] })
        };
        (at, has(level, DIMS - 1))
    }

    /// Fills the halo: along each dimension, the last first, `beyond` gives the nearer and the
    /// farther point outside from the outermost and the one inside of it.
    #[inline(always)]
    pub fn fill_halo(&mut self, beyond: impl Fn(T, T) -> [T; HALO]) {
        if self.data.is_empty() {
            return;
        }
        // Dimensions before the one at work are walked inside alone, those after it with their halo.
        for d in (0..DIMS).rev().filter(|&d| self.halo[d] > 0) {
            let (n, step, halo) = (self.n[d], self.stride[d], self.halo[d] * self.stride[d]);
            let [i, j, k] = std::array::from_fn(|e| if e < d { self.n[e] } else { 1 });
            let start = |e: usize, index: usize| if e < d { (index + self.halo[e]) * self.stride[e] } else { 0 };
            for i in 0..i {
                for j in 0..j {
                    for k in 0..k {
                        let first = start(0, i) + start(1, j) + start(2, k);
                        // The points inside and as many before them as behind.
                        let line = &mut self.data[first..first + 2 * halo + n * step];
                        match step {
                            1 => continue_row(line, self.halo[d], &beyond),
                            _ => continue_line(line, self.halo[d], step, n, &beyond),
                        }
                    }
                }
            }
        }
    }
}

/// Continues the points of a row by those of the halo on both sides.
#[inline(always)]
fn continue_row<T: Copy>(line: &mut [T], halo: usize, beyond: &impl Fn(T, T) -> [T; HALO]) {
    let last = line.len() - halo - 1;
    let second = if last > halo { 1 } else { 0 };
    let before = beyond(line[halo], line[halo + second]);
    let behind = beyond(line[last], line[last - second]);
    for (i, (before, behind)) in before.into_iter().zip(behind).enumerate().take(halo) {
        (line[halo - 1 - i], line[last + 1 + i]) = (before, behind);
    }
}

/// Continues `n` points, `step` apart and as many of them side by side, by those of the halo on both sides.
#[inline(always)]
fn continue_line<T: Copy>(line: &mut [T], halo: usize, step: usize, n: usize, beyond: &impl Fn(T, T) -> [T; HALO]) {
    let (before, rest) = line.split_at_mut(halo * step);
    let (points, behind) = rest.split_at_mut(n * step);
    let second = if n > 1 { 1 } else { 0 };
    for i in 0..halo {
        let sides = [(0, second, &mut before[(halo - 1 - i) * step..][..step]), (n - 1, n - 1 - second, &mut behind[i * step..][..step])];
        for (at, inside, to) in sides {
            let (at, inside) = (&points[at * step..][..step], &points[inside * step..][..step]);
            for ((to, &at), &inside) in to.iter_mut().zip(at).zip(inside) {
                *to = beyond(at, inside)[i];
            }
        }
    }
}

/// Most points of a row that are sampled together: few, as neighbours tell the same.
pub const RUN: usize = 16;

/// Runs of points spread over the rows of a grid, about `samples` points in all: the row, the first
/// point and how many.
pub fn sample_runs(n: Extents, samples: usize) -> impl Iterator<Item = ([usize; DIMS - 1], usize, usize)> {
    let [i, j, k, len] = n;
    let rows = if len == 0 { 0 } else { i * j * k };
    let run = len.min(RUN);
    // Long rows are looked at more than once where there are few.
    let used = (samples / run.max(1)).max(1).min(rows * len.div_ceil(run.max(1)));
    (0..used).map(move |r| {
        let row = (2 * r + 1) * rows / (2 * used);
        // A stride that no period of the data shares.
        let first = (r * 2_654_435_761) % (len - run + 1);
        ([row / k / j, row / k % j, row % k], first, run)
    })
}

/// The extents of a grid of at most [`DIMS`] dimensions with the same words in the same order:
/// dimensions of extent 1 are dropped, the first ones taken together until few enough are left.
pub fn folded(dims: &[usize]) -> Extents {
    if dims.contains(&0) {
        return [1, 1, 1, 0];
    }
    let mut long: Vec<usize> = dims.iter().copied().filter(|&d| d != 1).collect();
    while long.len() > DIMS {
        let first = long.remove(0);
        long[0] *= first;
    }
    let mut n = [1; DIMS];
    n[DIMS - long.len()..].copy_from_slice(&long);
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: Extents) -> Grid<i32> {
        let mut grid = Grid::new(n, n, [HALO; DIMS]);
        for (number, row) in grid.each_row().enumerate() {
            for (x, point) in grid.row_mut(row).iter_mut().enumerate() {
                *point = (number * n[3] + x) as i32 + 1;
            }
        }
        grid
    }

    #[test]
    fn classes_cover_a_grid() {
        for n in [[1, 1, 1, 1], [1, 1, 1, 7], [1, 5, 4, 3], [2, 3, 4, 5], [3, 1, 6, 2]] {
            let grid = numbered(n);
            for level in 0..16u8 {
                // Levels halve no dimension of extent 1.
                if (0..DIMS).any(|d| has(level, d) && n[d] == 1) {
                    continue;
                }
                let mut parts: Vec<Grid<i32>> = (0..1 << DIMS).map(|_| Grid::default()).collect();
                for class in classes(level) {
                    parts[usize::from(class)] = grid.split(level, class);
                }
                assert_eq!(parts.iter().map(Grid::len).sum::<usize>(), grid.len());
                let back = Grid::merged(n, n, [HALO; DIMS], level, &parts);
                assert!(grid.each_row().all(|row| grid.row(row) == back.row(row)), "{n:?} {level}");
            }
        }
    }

    #[test]
    fn levels_end_with_what_stays_whole() {
        assert_eq!(levels([1, 1, 1, 1], 0), [0u8; 0]);
        assert_eq!(levels([1, 1, 1, 5], 0), [8, 8, 8]);
        assert_eq!(levels([1, 3, 2, 5], 0b10), [12, 8, 8]);
    }

    #[test]
    fn neighbours_are_where_the_parities_say() {
        // Point 2·k+1 of a row; three to the left is 2·(k-1).
        assert_eq!(neighbour(8, 8, [0, 0, 0, -3]), (0, [0, 0, 0, -1]));
        assert_eq!(neighbour(8, 8, [0, 0, 1, 3]), (0, [0, 0, 1, 2]));
        assert_eq!(neighbour(12, 8, [0, 0, 1, 0]), (12, [0, 0, 0, 0]));
    }

    #[test]
    fn the_halo_continues_every_dimension() {
        let mut grid = numbered([1, 2, 3, 4]);
        grid.fill_halo(|at, inside| [2 * at - inside, 3 * at - 2 * inside]);
        let start = grid.start([0, 0, 0]);
        for offset in [[0, -2, -2, -2], [0, 3, 4, 5], [0, 1, -1, 0], [0, 0, 2, 5]] {
            let [_, j, k, x] = offset;
            let at = (start as isize + grid.step(offset)) as usize;
            assert_eq!(grid.data()[at], 1 + 12 * j + 4 * k + x, "{offset:?}");
        }
    }
}
