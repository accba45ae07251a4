//! A second opinion on bounds, in integers wide enough for every binary64.

use std::array::from_fn;

use crate::Limit;

/// Bits below the binary point: the product of the two least binary64 is `2^-2148`.
const FRACTION_BITS: u32 = 2 * LEAST;
/// The least binary64 is `2^-LEAST`.
const LEAST: u32 = 1074;
/// The product of two binary64 is less than `2^2048`.
const WORDS: usize = (FRACTION_BITS as usize + 2048).div_ceil(64);

/// A number from 0 to `2^2048`, the most significant word first so that the derived order is its.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wide([u64; WORDS]);

/// `|x|` as `significand * 2^(exponent - LEAST)`.
fn parts(x: f64) -> (u64, u32) {
    let (field, fraction) = (x.to_bits() >> 52 & 0x7FF, x.to_bits() & ((1 << 52) - 1));
    match field {
        0 => (fraction, 0),
        field => (fraction | 1 << 52, field as u32 - 1),
    }
}

impl Wide {
    /// `significand * 2^(exponent - FRACTION_BITS)`.
    fn new(significand: u128, exponent: u32) -> Wide {
        let (skip, shift) = ((exponent / 64) as usize, exponent % 64);
        let low = significand << shift;
        let high = if shift == 0 { 0 } else { significand >> (128 - shift) };
        let mut words = [0; WORDS];
        for (i, word) in [low as u64, (low >> 64) as u64, high as u64].into_iter().enumerate() {
            if let Some(place) = (WORDS - 1).checked_sub(skip + i) {
                words[place] = word;
            }
        }
        Wide(words)
    }

    fn magnitude(x: f64) -> Wide {
        let (significand, exponent) = parts(x);
        Wide::new(significand.into(), exponent + FRACTION_BITS - LEAST)
    }

    fn product(x: f64, y: f64) -> Wide {
        let ((a, i), (b, j)) = (parts(x), parts(y));
        Wide::new(u128::from(a) * u128::from(b), i + j)
    }

    /// Both words by word from the least significant, with `step`'s carry.
    fn combine(self, other: Wide, step: impl Fn(u64, u64, bool) -> (u64, bool)) -> Wide {
        let mut carry = false;
        let mut words: [u64; WORDS] = from_fn(|i| {
            let at = WORDS - 1 - i;
            let (word, next) = step(self.0[at], other.0[at], carry);
            carry = next;
            word
        });
        words.reverse();
        Wide(words)
    }

    /// `|x - y|`.
    fn distance(x: f64, y: f64) -> Wide {
        let (a, b) = (Wide::magnitude(x), Wide::magnitude(y));
        if x.is_sign_negative() != y.is_sign_negative() {
            return a.combine(b, u64::carrying_add);
        }
        a.max(b).combine(a.min(b), u64::borrowing_sub)
    }
}

/// Whether `y` may stand for `x` under `limit`, without any rounding. All three must be finite and
/// the limit not negative.
///
/// [`crate::check`] decides the same faster. For relative limits it may refuse what lies within a
/// rounding of the limit; it must never allow what this refuses.
pub fn within(x: f64, y: f64, limit: Limit) -> bool {
    let error = Wide::distance(x, y);
    let absolute = limit.absolute().is_none_or(|limit| error <= Wide::magnitude(limit));
    absolute && limit.relative().is_none_or(|limit| error <= Wide::product(limit, x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_and_the_largest_numbers_are_told_apart() {
        let (least, most) = (5e-324, f64::MAX);
        assert!(within(least, 0.0, Limit::Abs(least)));
        assert!(!within(least, -least, Limit::Abs(least)));
        assert!(within(most, -most, Limit::Relative(2.0)));
        assert!(!within(most, -most, Limit::Relative(2f64.next_down())));
        assert!(!within(most, -most, Limit::Abs(most)));
        assert!(within(most, most.next_down(), Limit::Abs(most - most.next_down())));
        assert!(!within(1.0, -f64::EPSILON / 4.0, Limit::Abs(1.0)));
        assert!(within(least, 0.0, Limit::Relative(1.0)));
        assert!(!within(least, 0.0, Limit::Relative(1f64.next_down())));
        assert!(within(-0.0, 0.0, Limit::Relative(0.0)));
        assert!(within(8.0, 9.0, Limit::Both { absolute: 1.0, relative: 0.125 }));
        assert!(!within(8.0, 9.0, Limit::Both { absolute: 0.5, relative: 0.125 }));
        assert!(!within(8.0, 9.0, Limit::Both { absolute: 1.0, relative: 0.1 }));
    }
}
