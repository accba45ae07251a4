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
    pub fn to_f64(self, bits: u64) -> f64 {
        match self {
            Float::F16 => f16_to_f64(bits as u16),
            Float::BF16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Float::F32 => f64::from(f32::from_bits(bits as u32)),
            Float::F64 => f64::from_bits(bits),
        }
    }

    /// The word nearest to a value that is not NaN, ties to even.
    pub fn from_f64(self, value: f64) -> u64 {
        match self {
            Float::F16 => narrow(value, 10, 5),
            Float::BF16 => narrow(value, 7, 8),
            Float::F32 => u64::from((value as f32).to_bits()),
            Float::F64 => value.to_bits(),
        }
    }
}

fn f16_to_f64(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (bits >> 10 & 31, f64::from(bits & 0x3FF));
    match exponent {
        0 => sign * fraction * f64::from_bits((1023 - 24) << 52),
        31 if bits & 0x3FF == 0 => sign * f64::INFINITY,
        31 => f64::NAN,
        // Powers of two are built from bits: the standard does not promise that powi is exact.
        e => sign * (1024.0 + fraction) * f64::from_bits(u64::from(e + 1023 - 25) << 52),
    }
}

/// Rounds to a float with `fraction` and `exponent` bits, at most 10 and 8, in integers alone.
fn narrow(value: f64, fraction: u32, exponent: u32) -> u64 {
    let bits = value.to_bits();
    let sign = (bits >> 63) << (fraction + exponent);
    let infinity = ((1u64 << exponent) - 1) << fraction;
    let bias = (1i64 << (exponent - 1)) - 1;
    let field = (bits >> 52 & 0x7FF) as i64;
    if field == 0x7FF {
        return sign | infinity;
    }
    if field == 0 {
        return sign; // binary64 subnormals are far below half the smallest word
    }
    let significand = (bits & ((1 << 52) - 1)) | 1 << 52;
    let target = field - 1023 + bias;
    // Subnormal targets drop more bits and carry no hidden one.
    let (drop, base) = match target {
        t if t >= 1 => (52 - i64::from(fraction), ((t - 1) as u64) << fraction),
        t => (52 - i64::from(fraction) + 1 - t, 0),
    };
    if drop > 54 {
        return sign;
    }
    let kept = significand >> drop;
    let rest = significand & ((1 << drop) - 1);
    let half = 1u64 << (drop - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    sign | (base + kept + u64::from(up)).min(infinity)
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
