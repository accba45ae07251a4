//! The proof: every decoded value against the original, in arithmetic that cannot flatter.

use errbar_format::record::{Bound, Receipt};
use errbar_format::{Error, Result};

use crate::codes::Word;
use crate::float::Float;
use crate::{Values, with_words};

/// The limit that every finite value of a variable is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// `|x - x'| <= limit`.
    Abs(f64),
    /// `|x - x'| <= limit * |x|`.
    Relative(f64),
}

/// What may be lost of a variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Tolerance {
    /// What the user asked for.
    pub bound: Bound,
    /// What that comes to for this variable.
    pub limit: Limit,
    /// Bit patterns of missing values, ascending; kept exactly.
    pub fill: Vec<u64>,
}

impl Tolerance {
    /// Whether a bit pattern stands for a missing value.
    pub fn is_fill(&self, bits: u64) -> bool {
        !self.fill.is_empty() && self.fill.binary_search(&bits).is_ok()
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

impl Limit {
    /// Whether `y` may stand for the finite value `x`.
    pub fn allows(self, x: f64, y: f64) -> bool {
        match self {
            Limit::Abs(limit) => within_abs(x, y, limit),
            Limit::Relative(limit) => within_relative(x, y, limit),
        }
    }

    /// The number in it.
    pub fn value(self) -> f64 {
        match self {
            Limit::Abs(value) | Limit::Relative(value) => value,
        }
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
    let mut tally = Tally::default();
    let mut violations = Vec::new();
    let mut one = |i: usize, x: u64, y: u64| {
        if x == y {
            tally.same(float.is_finite(x));
            return;
        }
        let fixed = !float.is_finite(x) || tolerance.is_fill(x);
        if fixed || !float.is_finite(y) || !tolerance.limit.allows(float.to_f64(x), float.to_f64(y)) {
            violations.push(i as u32);
        }
        if !fixed {
            tally.add(i, float.to_f64(x), float.to_f64(y));
        } else {
            tally.non_finite += u64::from(!float.is_finite(x));
        }
    };
    match (&original.bits.words, &decoded.bits.words) {
        (crate::Words::U16(a), crate::Words::U16(b)) => zip(a, b, &mut one),
        (crate::Words::U32(a), crate::Words::U32(b)) => zip(a, b, &mut one),
        (crate::Words::U64(a), crate::Words::U64(b)) => zip(a, b, &mut one),
        _ => return Err(differs("words of one byte are no floats")),
    }
    Ok(Comparison { receipt: tally.receipt(tolerance), violations })
}

fn zip<W: Word>(a: &[W], b: &[W], one: &mut impl FnMut(usize, u64, u64)) {
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        one(i, x.to_u64(), y.to_u64());
    }
}

#[derive(Default)]
struct Tally {
    max_error: f64,
    max_error_at: u64,
    sum_of_squares: f64,
    finite: u64,
    non_finite: u64,
}

impl Tally {
    fn same(&mut self, finite: bool) {
        self.finite += u64::from(finite);
        self.non_finite += u64::from(!finite);
    }

    fn add(&mut self, at: usize, x: f64, y: f64) {
        self.finite += 1;
        let error = (x - y).abs();
        self.sum_of_squares += error * error;
        if error > self.max_error {
            self.max_error = error;
            self.max_error_at = at as u64;
        }
    }

    fn receipt(&self, tolerance: &Tolerance) -> Receipt {
        let limit = tolerance.limit.value();
        // One step up covers the rounding of the difference; where the exact error is proven to
        // be within the limit, the limit is the tighter truth.
        let mut max_error = if self.max_error == 0.0 { 0.0 } else { self.max_error.next_up() };
        if matches!(tolerance.limit, Limit::Abs(_)) && self.max_error <= limit {
            max_error = max_error.min(limit);
        }
        Receipt {
            bound: tolerance.bound,
            limit,
            max_error,
            max_error_at: self.max_error_at,
            rms_error: if self.finite == 0 { 0.0 } else { (self.sum_of_squares / self.finite as f64).sqrt() },
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
        ..*a
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
    fn relative_refuses_what_it_cannot_prove() {
        assert!(within_relative(0.0, 0.0, 0.1));
        assert!(!within_relative(0.0, 5e-324, 0.1));
        assert!(within_relative(100.0, 100.5, 0.01));
        assert!(!within_relative(100.0, 102.0, 0.01));
        assert!(!within_relative(5e-324, 0.0, 0.5));
    }
}
