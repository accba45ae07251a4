use std::ops::{Add, Sub};

use errbar_format::Result;

use crate::codes::{Repeats, Scan, Word};
use crate::least_squares::bits;
use crate::polyphase::{DIMS, Extents, folded, sample_runs};
use crate::simd::{Work, widest};
use crate::stage::{Stage, Transform, bad_params};
use crate::{Codes, Layout, with_words};

/// Zigzag code of each code's difference to what the median edge detector predicts (Weinberger, Seroussi
/// and Sapiro, IEEE Transactions on Image Processing 9(8), 2000), of the codes or of their differences to
/// the plane before. See `spec/stages/med.md`.
#[derive(Clone, Copy, Debug)]
pub struct Med;

/// Codes looked at to choose what is predicted.
const SAMPLES: usize = 4096;

/// What is predicted: codes, or their differences to those at the same places of the plane before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Codes,
    Differences,
}

impl Mode {
    fn parse(params: &[u8]) -> Result<Mode> {
        match params {
            [0] => Ok(Mode::Codes),
            [1] => Ok(Mode::Differences),
            _ => Err(bad_params("med takes one byte: 0 or 1")),
        }
    }
}

fn check(layout: &Layout) -> Result<Extents> {
    match layout.width {
        1 | 2 | 4 => Ok(folded(&layout.dims)),
        _ => Err(bad_params("med takes codes of at most 32 bits")),
    }
}

/// A signed integer with room for sums of three differences of codes.
trait Signed: Copy + Ord + Default + Add<Output = Self> + Sub<Output = Self> {
    fn of(word: impl Word) -> Self;
    /// The low bits.
    fn word<W: Word>(self) -> W;
}

impl Signed for i32 {
    #[inline(always)]
    fn of(word: impl Word) -> i32 {
        word.to_u64() as i32
    }

    #[inline(always)]
    fn word<W: Word>(self) -> W {
        W::from_u64(self as u64)
    }
}

impl Signed for i64 {
    #[inline(always)]
    fn of(word: impl Word) -> i64 {
        word.to_u64() as i64
    }

    #[inline(always)]
    fn word<W: Word>(self) -> W {
        W::from_u64(self as u64)
    }
}

/// The median of west, north and the plane through all three.
#[inline(always)]
fn median<S: Signed>(west: S, north: S, north_west: S) -> S {
    let (least, most) = (west.min(north), west.max(north));
    least + most - north_west.max(least).min(most)
}

/// What rows are made of.
struct Geometry {
    width: usize,
    /// Rows of a plane.
    height: usize,
    mode: Mode,
}

impl Geometry {
    fn new(n: Extents, mode: Mode) -> Geometry {
        Geometry { width: n[DIMS - 1], height: n[DIMS - 2], mode }
    }

    /// Whether a row is the first of its plane.
    fn is_first(&self, row: usize) -> bool {
        row.is_multiple_of(self.height)
    }

    /// The row that a row is compared with, if it is.
    fn reference(&self, row: usize) -> Option<usize> {
        row.checked_sub(self.height).filter(|_| self.mode == Mode::Differences)
    }

    /// Where a row's codes are.
    fn row<'a, W>(&self, codes: &'a [W], row: usize) -> &'a [W] {
        &codes[row * self.width..][..self.width]
    }
}

/// What is predicted in a row.
#[inline(always)]
fn differences<W: Word, S: Signed>(row: &[W], reference: &[W], here: &mut [S]) {
    for ((difference, &word), &reference) in here.iter_mut().zip(row).zip(reference) {
        *difference = S::of(word) - S::of(reference);
    }
}

/// Codes to residuals.
#[inline(always)]
fn predict_row<W: Word, S: Signed>(row: &mut [W], reference: &[W], here: &[S], above: &[S]) {
    let n = row.len();
    let (reference, here, above) = (&reference[..n], &here[..n], &above[..n]);
    row[0] = row[0].wsub((above[0] + S::of(reference[0])).word()).zigzag();
    for x in 1..n {
        let predicted = median(here[x - 1], above[x], above[x - 1]) + S::of(reference[x]);
        row[x] = row[x].wsub(predicted.word()).zigzag();
    }
}

/// Residuals to codes; `here` becomes what was predicted.
#[inline(always)]
fn restore_row<W: Word, S: Signed>(row: &mut [W], reference: &[W], here: &mut [S], above: &[S]) {
    let (mut west, mut north_west) = (above[0], above[0]);
    for (((word, &reference), here), &north) in row.iter_mut().zip(reference).zip(here).zip(above) {
        let reference = S::of(reference);
        *word = word.unzigzag().wadd((median(west, north, north_west) + reference).word());
        (west, north_west) = (S::of(*word) - reference, north);
        *here = west;
    }
}

/// Codes some of which are absent.
struct Gappy<'a> {
    absent: &'a [bool],
    repeats: Option<&'a Repeats>,
    /// Whether residuals stand in the place of codes.
    restores: bool,
}

impl Gappy<'_> {
    /// As [`restore_row`]; absent codes become what they repeat, or else what is predicted.
    #[inline(always)]
    fn fill_row<W: Word, S: Signed>(&self, codes: &mut [W], start: usize, reference: Option<usize>, here: &mut [S], above: &[S]) {
        let (mut west, mut north_west) = (above[0], above[0]);
        for (x, (here, &north)) in here.iter_mut().zip(above).enumerate() {
            let at = start + x;
            let reference = reference.map_or(S::default(), |reference| S::of(codes[reference + x]));
            let predicted = (median(west, north, north_west) + reference).word();
            let source = self.repeats.and_then(|repeats| repeats.source(at));
            codes[at] = match (source, self.absent[at], self.restores) {
                (Some(source), ..) => codes[source],
                (None, true, _) => predicted,
                (None, false, true) => codes[at].unzigzag().wadd(predicted),
                (None, false, false) => codes[at],
            };
            (west, north_west) = (S::of(codes[at]) - reference, north);
            *here = west;
        }
    }
}

/// Codes there, residuals here: which of both is given decides the direction.
struct Pass<'a, W> {
    codes: &'a mut [W],
    geometry: Geometry,
    scan: &'a Scan,
    forward: bool,
}

impl<W: Word> Work for Pass<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        if self.codes.is_empty() {
            return;
        }
        match W::BITS {
            8 | 16 => self.go::<i32>(),
            _ => self.go::<i64>(),
        }
    }
}

impl<W: Word> Pass<'_, W> {
    #[inline(always)]
    fn go<S: Signed>(&mut self) {
        if !self.forward {
            return self.restore::<S>();
        }
        if self.scan.absent.is_some() {
            self.restore::<S>();
        }
        self.predict::<S>();
        if let Some(absent) = &self.scan.absent {
            self.codes.iter_mut().zip(&**absent).filter(|(_, absent)| **absent).for_each(|(code, _)| *code = W::from_u64(0));
        }
    }

    /// Backwards: what is before must still be whole.
    #[inline(always)]
    fn predict<S: Signed>(&mut self) {
        let (codes, geometry) = (&mut *self.codes, &self.geometry);
        let width = geometry.width;
        let zeros = vec![W::from_u64(0); width];
        let (mut here, mut above) = (vec![S::default(); width], vec![S::default(); width]);
        for row in (0..codes.len() / width).rev() {
            let (before, rest) = codes.split_at_mut(row * width);
            let reference = |row: usize| geometry.reference(row).map_or(&zeros[..], |row| geometry.row(before, row));
            match geometry.is_first(row) {
                true => above.fill(S::default()),
                false => differences(geometry.row(before, row - 1), reference(row - 1), &mut above),
            }
            differences(&rest[..width], reference(row), &mut here);
            predict_row(&mut rest[..width], reference(row), &here, &above);
        }
    }

    /// Residuals to codes, or gaps in codes filled.
    #[inline(always)]
    fn restore<S: Signed>(&mut self) {
        let (codes, geometry) = (&mut *self.codes, &self.geometry);
        let width = geometry.width;
        let zeros = vec![W::from_u64(0); width];
        let (mut here, mut above) = (vec![S::default(); width], vec![S::default(); width]);
        for row in 0..codes.len() / width {
            let start = row * width;
            if geometry.is_first(row) {
                above.fill(S::default());
            }
            match &self.scan.absent {
                Some(absent) if absent[start..start + width].contains(&true) || self.forward => {
                    let gappy = Gappy { absent, repeats: self.scan.repeats.as_deref(), restores: !self.forward };
                    gappy.fill_row(codes, start, geometry.reference(row).map(|row| row * width), &mut here, &above);
                }
                _ => {
                    let (before, rest) = codes.split_at_mut(start);
                    let reference = geometry.reference(row).map_or(&zeros[..], |row| geometry.row(before, row));
                    restore_row(&mut rest[..width], reference, &mut here, &above);
                }
            }
            std::mem::swap(&mut here, &mut above);
        }
    }
}

/// Which of both leaves less to code, by samples of rows that have rows and planes before them.
struct Choosing<'a, W> {
    codes: &'a [W],
    n: Extents,
    absent: Option<&'a [bool]>,
}

impl<W: Word> Work for Choosing<'_, W> {
    type Output = Mode;

    #[inline(always)]
    fn run(self) -> Mode {
        let [i, j, k, width] = self.n;
        let mut costs = [0.0; 2];
        for ([a, b, c], first, len) in sample_runs(self.n, SAMPLES) {
            let row = (a * j + b) * k + c;
            if i * j == 1 || row < k || c == 0 || first == 0 && len == 1 {
                continue;
            }
            let at = |row: usize, x: usize| self.codes[row * width + x].to_u64() as i64;
            let is_absent = |x: usize| self.absent.is_some_and(|absent| absent[row * width + x]);
            let places = || (first.max(1)..first + len).filter(|&x| !is_absent(x));
            for (cost, weight) in costs.iter_mut().zip([0, 1]) {
                let difference = |row: usize, x: usize| at(row, x) - weight * at(row - k, x);
                let above = |x: usize| at(row - 1, x) - if row > k { weight * at(row - 1 - k, x) } else { 0 };
                let residual = |x: usize| difference(row, x) - median(difference(row, x - 1), above(x), above(x - 1));
                let residuals: Vec<f64> = places().map(|x| residual(x) as f64).collect();
                *cost += bits(&residuals, 1.0);
            }
        }
        if costs[1] < costs[0] { Mode::Differences } else { Mode::Codes }
    }
}

impl Stage for Med {
    fn name(&self) -> &'static str {
        "med"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "differences to what the edges around a point predict"
    }

    fn parameters(&self) -> &'static str {
        "of: u8, 0 the codes, 1 their differences to the plane before"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        vec![vec![0], vec![1]]
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every code: differences are modulo 2^bits"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        Ok(match Mode::parse(params)? {
            Mode::Codes => String::new(),
            Mode::Differences => "to the plane before".into(),
        })
    }
}

impl Transform for Med {
    fn chooses(&self, codes: &Codes, wanted: &[u8]) -> Option<Vec<u8>> {
        let n = check(&codes.layout()).ok().filter(|_| wanted.is_empty())?;
        let absent = codes.scan.absent.as_deref();
        Some(vec![with_words!(&codes.words, v => widest(Choosing { codes: v, n, absent })) as u8])
    }

    fn keeps_absent(&self) -> bool {
        true
    }

    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        Mode::parse(params)?;
        check(input).map(|_| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        let geometry = Geometry::new(check(&codes.layout())?, Mode::parse(params)?);
        with_words!(&mut codes.words, v => widest(Pass { codes: v, geometry, scan: &codes.scan, forward: true }));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        let geometry = Geometry::new(check(input)?, Mode::parse(params)?);
        with_words!(&mut codes.words, v => widest(Pass { codes: v, geometry, scan: &input.scan, forward: false }));
        codes.scan = input.scan.clone();
        Ok(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Words;

    /// The residuals of codes, as numbers, and that they come back.
    fn residuals(dims: &[usize], codes: Vec<u8>, mode: u8) -> Vec<i8> {
        let codes = Codes::plain(dims.to_vec(), Words::U8(codes));
        let forward = Med.forward(codes.clone(), &[mode]).expect("any codes of a byte");
        assert_eq!(Med.inverse(forward.clone(), &codes.layout(), &[mode]).expect("what was made"), codes);
        let Words::U8(words) = forward.words else { panic!("words of a byte") };
        words.into_iter().map(|word| word.unzigzag() as i8).collect()
    }

    #[test]
    fn slopes_and_edges_are_foreseen() {
        let slope = (0..12).map(|i| 20 + 3 * (i / 4) + 2 * (i % 4)).collect();
        assert_eq!(residuals(&[3, 4], slope, 0), [20, 2, 2, 2, 3, 2, 2, 2, 3, 2, 2, 2]);
        let edge = [9, 9, 90, 90, 9, 9, 90, 90, 9, 9, 90, 90];
        assert_eq!(residuals(&[3, 4], edge.to_vec(), 0), [9, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_plane_that_another_foretells_leaves_nothing() {
        let noise = [7, 200, 31, 4, 99, 250];
        let codes: Vec<u8> = noise.into_iter().chain(noise.map(|x| x - 4)).collect();
        assert_eq!(residuals(&[2, 2, 3], codes.clone(), 1)[6..], [-4, 0, 0, 0, 0, 0]);
        let codes = Codes::plain(vec![2, 2, 3], Words::U8(codes));
        assert_eq!(Med.chooses(&codes, &[]), Some(vec![1]));
        assert_eq!(Med.chooses(&codes, &[0]), None);
    }
}
