//! The proof: every decoded value against the original, in arithmetic that cannot flatter.

use std::borrow::Cow;

pub use errbar_format::record::Limit;
use errbar_format::record::{Bound, Receipt};
use errbar_format::{Error, Result};

use crate::codes::Word;
use crate::float::Float;
use crate::simd::{Work, widest};
use crate::{Values, Words, with_words};

/// What may be lost of a variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Tolerance {
    /// What the user asked for; nothing: every bit is to be kept. Bounds on some values only are
    /// looked at here as they stand.
    pub bounds: Vec<Bound>,
    /// What the others come to for this variable.
    pub limit: Limit,
    /// Bit patterns of missing values, ascending; kept exactly.
    pub fill: Vec<u64>,
}

impl Tolerance {
    /// Nothing may be lost; `fill` are the bit patterns, ascending, of words that are better kept apart.
    pub const fn exact(fill: Vec<u64>) -> Tolerance {
        Tolerance { bounds: Vec::new(), limit: Limit::Abs(0.0), fill }
    }

    /// Whether every bit is to be kept.
    pub fn is_exact(&self) -> bool {
        self.bounds.is_empty()
    }

    /// Whether a bit pattern stands for a missing value.
    #[inline]
    pub fn is_fill(&self, bits: u64) -> bool {
        match self.fill.as_slice() {
            [] => false,
            [one] => bits == *one,
            many => many.binary_search(&bits).is_ok(),
        }
    }

    /// Whether `y` may stand for the finite value `x`.
    pub fn allows(&self, x: f64, y: f64) -> bool {
        if self.is_exact() {
            return x.to_bits() == y.to_bits();
        }
        allows(self.limit, x, y) && self.regions().all(|(from, to, abs)| !(from <= x && x <= to) || within_abs(x, y, abs))
    }

    /// What is allowed of `values`, with bounds on some values only held for all where there are such
    /// values.
    ///
    /// # Errors
    /// As [`Float::of`].
    pub fn for_block(&self, values: &Values) -> Result<Cow<'_, Tolerance>> {
        let regions: Vec<(f64, f64, f64)> = self.regions().collect();
        if regions.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let float = Float::of(values.dtype)?;
        let mut tightest = f64::INFINITY;
        with_words!(&values.bits.words, v => for word in v {
            let x = float.to_f64(word.to_u64());
            for &(from, to, abs) in &regions {
                if from <= x && x <= to && x.is_finite() {
                    tightest = tightest.min(abs);
                }
            }
        });
        if tightest == f64::INFINITY {
            return Ok(Cow::Borrowed(self));
        }
        let absolute = self.limit.absolute().map_or(tightest, |limit| limit.min(tightest));
        let limit = Limit::of(Some(absolute), self.limit.relative()).unwrap_or(self.limit);
        Ok(Cow::Owned(Tolerance { limit, ..self.clone() }))
    }

    /// Bounds on values from one number to another that the limit does not imply.
    fn regions(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        let is_implied = |abs: f64| self.limit.absolute().is_some_and(|limit| limit <= abs);
        self.bounds.iter().filter_map(move |bound| match *bound {
            Bound::Where { from, to, abs } if !is_implied(abs) => Some((from, to, abs)),
            _ => None,
        })
    }
}

/// Whether `|x - y| <= limit` holds for the exact difference of the two doubles.
///
/// Rounding is monotone, so a rounded difference strictly below or above `limit` decides. Only
/// when it equals `limit` does the rounding error count; Knuth's two-sum gives it exactly
/// (The Art of Computer Programming 2, 4.2.2, theorem B).
pub fn within_abs(x: f64, y: f64, limit: f64) -> bool {
    let (larger, smaller) = if x >= y { (x, y) } else { (y, x) };
    let difference = larger - smaller;
    if difference != limit {
        return difference < limit;
    }
    let b = difference - larger;
    let error = (larger - (difference - b)) + (-smaller - b);
    error <= 0.0
}

/// Whether `|x - y| <= limit * |x|` is certain. Values nearer to the limit than two roundings can
/// tell are refused.
pub fn within_relative(x: f64, y: f64, limit: f64) -> bool {
    if x == y {
        return true;
    }
    let allowed = (limit * x.abs()).next_down();
    allowed > 0.0 && (x - y).abs().next_up() <= allowed
}

/// Whether `y` may stand for the finite value `x` under `limit`.
pub fn allows(limit: Limit, x: f64, y: f64) -> bool {
    limit.absolute().is_none_or(|limit| within_abs(x, y, limit)) && limit.relative().is_none_or(|limit| within_relative(x, y, limit))
}

/// Whether [`allows`] is certain from the rounded `error` alone; cheap.
#[inline(always)]
pub(crate) fn surely_allows(limit: Limit, x: f64, error: f64) -> bool {
    // Covers the steps that the exact check takes towards each other where floats are normal, and
    // is far from zero where they are not.
    let relative = |limit: f64| error * (1.0 + 4.0 * f64::EPSILON) + 1e-300 < limit * x.abs();
    match limit {
        Limit::Abs(limit) => error < limit,
        Limit::Relative(limit) => relative(limit),
        Limit::Both { absolute, relative: limit } => (error < absolute) & relative(limit),
    }
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The receipt, its `exact` still zero.
    pub receipt: Receipt,
    /// Positions, ascending, of the words outside the tolerance.
    pub violations: Vec<u32>,
}

/// Compares decoded values with the originals, word by word.
///
/// # Errors
/// [`errbar_format::Kind::Differs`] if their types or shapes differ, or they are no floats.
pub fn compare(original: &Values, decoded: &Values, tolerance: &Tolerance) -> Result<Comparison> {
    let differs = |what: &str| Error::new(errbar_format::Kind::Differs, what);
    if original.dtype != decoded.dtype || original.bits.layout() != decoded.bits.layout() {
        return Err(differs("decoded values have another type or shape"));
    }
    let float = Float::of(original.dtype)?;
    let comparer = Comparer { float, tolerance, tally: Tally::default(), violations: Vec::new() };
    // One loop a type: the conversion to binary64 is most of the work.
    let Comparer { tally, violations, .. } = match (float, &original.bits.words, &decoded.bits.words) {
        (Float::F32, Words::U32(a), Words::U32(b)) => widest(Comparing { comparer, a, b, to_f64: |w: u32| f64::from(f32::from_bits(w)) }),
        (Float::F64, Words::U64(a), Words::U64(b)) => widest(Comparing { comparer, a, b, to_f64: f64::from_bits }),
        (Float::F16, Words::U16(a), Words::U16(b)) => widest(Comparing { comparer, a, b, to_f64: |w: u16| Float::F16.to_f64(w.into()) }),
        (Float::BF16, Words::U16(a), Words::U16(b)) => widest(Comparing { comparer, a, b, to_f64: |w: u16| Float::BF16.to_f64(w.into()) }),
        _ => return Err(differs("words of another width than their type's")),
    };
    Ok(Comparison { receipt: tally.receipt(tolerance), violations })
}

/// Words looked at together.
const RUN: usize = 64;
/// Partial sums, so that additions need not wait for each other. Their number decides the last
/// bits of the RMS error: it is the same on every machine.
const LANES: usize = 8;

struct Comparer<'a> {
    float: Float,
    tolerance: &'a Tolerance,
    tally: Tally,
    violations: Vec<u32>,
}

/// A comparison of words of one type.
struct Comparing<'a, W, T> {
    comparer: Comparer<'a>,
    a: &'a [W],
    b: &'a [W],
    to_f64: T,
}

impl<'a, W: Word, T: Fn(W) -> f64> Work for Comparing<'a, W, T> {
    type Output = Comparer<'a>;

    #[inline(always)]
    fn run(mut self) -> Comparer<'a> {
        self.comparer.all(self.a, self.b, self.to_f64);
        self.comparer
    }
}

impl Comparer<'_> {
    #[inline(always)]
    fn all<W: Word>(&mut self, a: &[W], b: &[W], to_f64: impl Fn(W) -> f64) {
        let limit = self.tolerance.limit;
        let regions: Vec<(f64, f64, f64)> = self.tolerance.regions().collect();
        if !regions.is_empty() {
            let in_regions = |x: f64, error: f64| regions.iter().all(|&(from, to, abs)| !(from <= x && x <= to) || error < abs);
            return self.runs(a, b, &to_f64, |x, error| surely_allows(limit, x, error) && in_regions(x, error));
        }
        // Which limit it is must not be asked in the loop.
        match limit {
            Limit::Abs(limit) => self.runs(a, b, &to_f64, |x, error| surely_allows(Limit::Abs(limit), x, error)),
            Limit::Relative(limit) => self.runs(a, b, &to_f64, |x, error| surely_allows(Limit::Relative(limit), x, error)),
            both @ Limit::Both { .. } => self.runs(a, b, &to_f64, |x, error| surely_allows(both, x, error)),
        }
    }

    #[inline(always)]
    fn runs<W: Word>(&mut self, a: &[W], b: &[W], to_f64: &impl Fn(W) -> f64, allows: impl Fn(f64, f64) -> bool) {
        for (run, (a, b)) in a.chunks(RUN).zip(b.chunks(RUN)).enumerate() {
            if !self.plain(run * RUN, a, b, to_f64, &allows) {
                for (i, (x, y)) in a.iter().zip(b).enumerate() {
                    self.one(run * RUN + i, *x, *y, to_f64);
                }
            }
        }
    }

    /// A whole run of finite words, none of them near the limit or beyond it, or of words that are
    /// the same: the usual case, without a branch.
    #[inline(always)]
    fn plain<W: Word>(&mut self, at: usize, a: &[W], b: &[W], to_f64: impl Fn(W) -> f64, surely_allows: impl Fn(f64, f64) -> bool) -> bool {
        let (Ok(a), Ok(b)) = (<&[W; RUN]>::try_from(a), <&[W; RUN]>::try_from(b)) else { return false };
        let mask = W::from_u64(self.float.exponent_mask());
        if a == b {
            let finite = a.iter().map(|x| u64::from(x.and(mask) != mask)).sum::<u64>();
            self.tally.finite += finite;
            self.tally.non_finite += RUN as u64 - finite;
            return true;
        }
        let mut errors = [0.0; RUN];
        let mut sound = true;
        for ((error, &x), &y) in errors.iter_mut().zip(a).zip(b) {
            let (x, y) = (to_f64(x), to_f64(y));
            // Where one of them is not finite, this is infinite or NaN, and no error allowed.
            *error = (x - y).abs();
            sound &= (*error == 0.0) | surely_allows(x, *error);
        }
        // Missing values must be the same; then they have no error.
        let changed = |fill: W| a.iter().zip(b).fold(false, |changed, (x, y)| changed | ((*x == fill) & (x != y)));
        if !sound || self.tolerance.fill.iter().any(|&fill| changed(W::from_u64(fill))) {
            return false;
        }
        self.tally.add_run(at, &errors);
        true
    }

    fn one<W: Word>(&mut self, at: usize, x: W, y: W, to_f64: impl Fn(W) -> f64) {
        let (bits, finite) = (x.to_u64(), self.float.is_finite(x.to_u64()));
        if x == y {
            self.tally.same(finite);
            return;
        }
        let fixed = !finite || self.tolerance.is_fill(bits);
        let (x, y, sound) = (to_f64(x), to_f64(y), self.float.is_finite(y.to_u64()));
        if fixed || !sound || !self.tolerance.allows(x, y) {
            self.violations.push(at as u32);
        }
        match fixed {
            false => self.tally.add(at, (x - y).abs()),
            true => self.tally.non_finite += u64::from(!finite),
        }
    }
}

#[derive(Default)]
struct Tally {
    max_error: f64,
    max_error_at: u64,
    sums_of_squares: [f64; LANES],
    finite: u64,
    non_finite: u64,
}

impl Tally {
    fn same(&mut self, finite: bool) {
        self.finite += u64::from(finite);
        self.non_finite += u64::from(!finite);
    }

    fn add(&mut self, at: usize, error: f64) {
        self.finite += 1;
        self.sums_of_squares[at % LANES] += error * error;
        if error > self.max_error {
            self.max_error = error;
            self.max_error_at = at as u64;
        }
    }

    /// As [`Tally::add`] for each of `errors`, the first of them at `at`, a multiple of the lanes.
    #[inline(always)]
    fn add_run(&mut self, at: usize, errors: &[f64; RUN]) {
        self.finite += RUN as u64;
        let mut largest = [0.0; LANES];
        let (rows, _) = errors.as_chunks::<LANES>();
        for row in rows {
            for ((sum, largest), &error) in self.sums_of_squares.iter_mut().zip(&mut largest).zip(row) {
                *sum += error * error;
                *largest = if error > *largest { error } else { *largest };
            }
        }
        if largest.iter().any(|&error| error > self.max_error) {
            self.max_error = largest.into_iter().fold(0.0, f64::max);
            self.max_error_at = (at + errors.iter().position(|&error| error == self.max_error).unwrap_or(0)) as u64;
        }
    }

    fn receipt(&self, tolerance: &Tolerance) -> Receipt {
        // One step up covers the rounding of the difference; where the exact error is proven to
        // be within the limit, the limit is the tighter truth.
        let mut max_error = if self.max_error == 0.0 { 0.0 } else { self.max_error.next_up() };
        if let Some(limit) = tolerance.limit.absolute().filter(|&limit| self.max_error <= limit) {
            max_error = max_error.min(limit);
        }
        let sum_of_squares: f64 = self.sums_of_squares.iter().sum();
        Receipt {
            bounds: tolerance.bounds.clone(),
            limit: tolerance.limit,
            max_error,
            max_error_at: self.max_error_at,
            rms_error: if self.finite == 0 { 0.0 } else { (sum_of_squares / self.finite as f64).sqrt() },
            finite: self.finite,
            non_finite: self.non_finite,
            exact: 0,
        }
    }
}

/// The receipts of two neighbouring pieces in one; `before` counts the words of the first.
pub fn join(a: &Receipt, b: &Receipt, before: u64) -> Receipt {
    let squares = |r: &Receipt| r.rms_error * r.rms_error * r.finite as f64;
    let finite = a.finite + b.finite;
    let later = b.max_error > a.max_error;
    Receipt {
        max_error: a.max_error.max(b.max_error),
        max_error_at: if later { before + b.max_error_at } else { a.max_error_at },
        rms_error: if finite == 0 { 0.0 } else { ((squares(a) + squares(b)) / finite as f64).sqrt() },
        finite,
        non_finite: a.non_finite + b.non_finite,
        exact: a.exact + b.exact,
        limit: a.limit.or(b.limit),
        bounds: a.bounds.clone(),
    }
}

/// The positions in `values` of the words whose bit patterns are in `fill`, or not finite.
pub fn fixed_positions(values: &Values, fill: &[u64]) -> Result<Vec<u32>> {
    let float = Float::of(values.dtype)?;
    let fixed = |bits: u64| !float.is_finite(bits) || fill.binary_search(&bits).is_ok();
    Ok(with_words!(&values.bits.words, v => v
        .iter()
        .enumerate()
        .filter(|(_, w)| fixed(w.to_u64()))
        .map(|(i, _)| i as u32)
        .collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ulp_decides() {
        // 1 + 2^-53 is not a double: the difference rounds to the limit, but exceeds it.
        assert!(!within_abs(1.0, -f64::EPSILON / 4.0, 1.0));
        assert!(within_abs(1.0, 0.0, 1.0));
        assert!(within_abs(1.0, f64::EPSILON / 4.0, 1.0));
        assert!(!within_abs(f64::MAX, -f64::MAX, f64::MAX));
        assert!(within_abs(5e-324, 0.0, 5e-324));
        assert!(!within_abs(1e-323, 0.0, 5e-324));
    }

    #[test]
    fn what_is_sure_is_allowed() {
        for x in [1.0, -3.5, 1e300, 2.3e-308, 5e-324, f64::MAX, 1e-290] {
            for limit in [0.5, 1e-3, 1e-15, 3e-16, 5e-324] {
                for y in
                    [x, x.next_up(), x * (1.0 + limit), (x * (1.0 + limit)).next_down(), x * (1.0 - limit), x * (1.0 - 0.9 * limit), 0.0]
                {
                    let both = Limit::Both { absolute: limit * x.abs(), relative: limit };
                    for limit in [Limit::Abs(limit * x.abs()), Limit::Relative(limit), both] {
                        let sure = surely_allows(limit, x, (x - y).abs());
                        assert!(!sure || allows(limit, x, y), "{x:e} {y:e} {limit:?}");
                    }
                }
            }
        }
        assert!(surely_allows(Limit::Relative(1e-3), 1.0, 0.999e-3));
        assert!(!surely_allows(Limit::Both { absolute: 1e-4, relative: 1e-3 }, 1.0, 0.999e-3));
    }

    #[test]
    fn relative_refuses_what_it_cannot_prove() {
        assert!(within_relative(0.0, 0.0, 0.1));
        assert!(!within_relative(0.0, 5e-324, 0.1));
        assert!(within_relative(100.0, 100.5, 0.01));
        assert!(!within_relative(100.0, 102.0, 0.01));
        assert!(!within_relative(5e-324, 0.0, 0.5));
    }
}
