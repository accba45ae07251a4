//! Floating-point words of every width to binary64 and back, the same on every machine.
//!
//! To binary64 is exact. Back is one rounding to nearest, ties to even, done on the bits for the
//! types that a processor may or may not know.

use errbar_format::dtype::Class;
use errbar_format::{DType, Error, Result};

/// How the words of a floating-point type become binary64 and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    /// IEEE 754 binary16.
    F16,
    /// Upper half of a binary32.
    BF16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
}

/// Runs `$body` with `$words` bound to the words of whatever floating-point type, and the
/// conversions to binary64 and to the nearest word's value as functions of that type alone: one
/// loop a type, as they are most of the work.
///
/// # Errors
/// [`errbar_format::Kind::Usage`] if the words have another width than their type's.
macro_rules! with_floats {
    ($float:expr, $given:expr, ($words:ident, $to_f64:ident, $narrow:ident) => $body:expr) => {
        match ($float, $given) {
            (Float::F32, Words::U32($words)) => {
                let ($to_f64, $narrow) = (|w: u32| f64::from(f32::from_bits(w)), |x: f64| f64::from(x as f32));
                Ok($body)
            }
            (Float::F64, Words::U64($words)) => {
                let ($to_f64, $narrow) = (f64::from_bits, |x: f64| x);
                Ok($body)
            }
            (Float::F16, Words::U16($words)) => {
                let to_f64 = |w: u16| Float::F16.to_f64(w.into());
                let ($to_f64, $narrow) = (to_f64, |x: f64| Float::F16.to_f64(Float::F16.from_f64(x)));
                Ok($body)
            }
            (Float::BF16, Words::U16($words)) => {
                let to_f64 = |w: u16| Float::BF16.to_f64(w.into());
                let ($to_f64, $narrow) = (to_f64, |x: f64| Float::BF16.to_f64(Float::BF16.from_f64(x)));
                Ok($body)
            }
            _ => Err(Error::usage("words of another width than their type's")),
        }
    };
}
pub(crate) use with_floats;

impl Float {
    /// The float in the words of `dtype`.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Corrupt`] if its words are no floats (EB-C03).
    pub fn of(dtype: DType) -> Result<Float> {
        match (dtype.class(), dtype.word()) {
            (Class::Brain, _) => Ok(Float::BF16),
            (Class::Float, 2) => Ok(Float::F16),
            (Class::Float, 4) => Ok(Float::F32),
            (Class::Float, 8) => Ok(Float::F64),
            _ => Err(Error::corrupt("EB-C03", format!("{} is not a floating-point type", dtype.name()))),
        }
    }

    /// Bits of the fraction field.
    pub fn fraction_bits(self) -> u32 {
        match self {
            Float::F16 => 10,
            Float::BF16 => 7,
            Float::F32 => 23,
            Float::F64 => 52,
        }
    }

    /// The exponent field, all ones: infinite or NaN when a word has it.
    pub fn exponent_mask(self) -> u64 {
        match self {
            Float::F16 => 0x7C00,
            Float::BF16 => 0x7F80,
            Float::F32 => 0x7F80_0000,
            Float::F64 => 0x7FF0_0000_0000_0000,
        }
    }

    /// The distance between neighbouring words around `value`.
    pub fn spacing(self, value: f64) -> f64 {
        let least = match self {
            Float::F16 => -14,
            Float::BF16 | Float::F32 => -126,
            Float::F64 => -1022,
        };
        let exponent = ((value.to_bits() >> 52 & 0x7FF) as i32 - 1023).max(least) - self.fraction_bits() as i32;
        // Below the normal doubles only where binary64 words are themselves.
        if exponent < -1022 { f64::from_bits(1) } else { f64::from_bits(((exponent + 1023) as u64) << 52) }
    }

    /// Whether the word is a finite number.
    pub fn is_finite(self, bits: u64) -> bool {
        bits & self.exponent_mask() != self.exponent_mask()
    }

    /// The word's value; exact.
    #[inline(always)]
    pub fn to_f64(self, bits: u64) -> f64 {
        match self {
            Float::F16 => f16_to_f64(bits as u16),
            Float::BF16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Float::F32 => f64::from(f32::from_bits(bits as u32)),
            Float::F64 => f64::from_bits(bits),
        }
    }

    /// The word nearest to a value that is not NaN, ties to even.
    #[inline(always)]
    pub fn from_f64(self, value: f64) -> u64 {
        match self {
            Float::F16 => narrow(value, 10, 5),
            Float::BF16 => narrow(value, 7, 8),
            Float::F32 => u64::from((value as f32).to_bits()),
            Float::F64 => value.to_bits(),
        }
    }
}

#[inline(always)]
fn f16_to_f64(bits: u16) -> f64 {
    let magnitude = u64::from(bits & 0x7FFF);
    // The fields where binary64 has them are a number 2^1008 times smaller, subnormals included:
    // exact, as is the product. Infinity and NaN get their exponent.
    let scaled = f64::from_bits(magnitude << 42) * f64::from_bits((1023 + 1008) << 52);
    let special = f64::from_bits(0x7FF << 52 | magnitude << 42);
    let value = if magnitude >= 0x7C00 { special } else { scaled };
    if bits >> 15 == 1 { -value } else { value }
}

/// Rounds to a float with `fraction` and `exponent` bits, at most 10 and 8, without a branch.
#[inline(always)]
fn narrow(value: f64, fraction: u32, exponent: u32) -> u64 {
    let bits = value.to_bits();
    let magnitude = bits & (u64::MAX >> 1);
    let sign = (bits >> 63) << (fraction + exponent);
    let infinity = ((1u64 << exponent) - 1) << fraction;
    let bias = (1u64 << (exponent - 1)) - 1;
    let drop = 52 - fraction;
    // Normal: to nearest, ties to even, then the exponent counted anew. A carry is right there.
    let rounded = (magnitude + ((1 << (drop - 1)) - 1) + (magnitude >> drop & 1)) >> drop;
    let normal = rounded.wrapping_sub((1023 - bias) << fraction).min(infinity);
    // Subnormal: where units of binary64 are as large as the least word, addition rounds to them.
    let units = (1023 + 53 - bias - u64::from(fraction)) << 52;
    let subnormal = (f64::from_bits(magnitude) + f64::from_bits(units)).to_bits().wrapping_sub(units);
    let least_normal = (1024 - bias) << 52;
    sign | if magnitude < least_normal { subnormal } else { normal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_is_the_distance_to_the_next() {
        for x in [1.0f32, 1.5, 3.0e-40, 1e30, 0.1] {
            assert_eq!(Float::F32.spacing(x.into()), f64::from(x.next_up()) - f64::from(x));
            assert_eq!(Float::F64.spacing(x.into()), f64::from(x).next_up() - f64::from(x));
        }
        assert_eq!((Float::F16.spacing(1.0), Float::BF16.spacing(2.0)), (1.0 / 1024.0, 1.0 / 64.0));
    }

    #[test]
    fn every_16_bit_word_comes_back_and_midpoints_tie_to_even() {
        for float in [Float::F16, Float::BF16] {
            let sign = 0x8000;
            for bits in (0..float.exponent_mask()).flat_map(|b| [b, b | sign]) {
                let value = float.to_f64(bits);
                assert_eq!(float.from_f64(value), bits, "{float:?} {bits:#06x}");
                let up = float.to_f64(bits + 1);
                if up.is_finite() {
                    let middle = (value + up) / 2.0; // exact: both have few bits
                    assert_eq!(float.from_f64(middle), bits + (bits & 1), "{float:?} above {bits:#06x}");
                    assert_eq!(float.from_f64(f64::from_bits(middle.to_bits() - 1)), bits);
                    assert_eq!(float.from_f64(f64::from_bits(middle.to_bits() + 1)), bits + 1);
                }
            }
            assert_eq!(float.from_f64(1e300), float.exponent_mask());
            assert_eq!(float.from_f64(-1e-300), sign);
        }
    }
}
