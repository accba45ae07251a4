//! Working numbers: binary32 where it is precise enough, as it is twice as fast, else binary64.

use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// A floating-point type to predict in.
pub(super) trait Real:
    Copy + Default + PartialOrd + Send + Sync + Add<Output = Self> + AddAssign + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// Added and taken away again, it leaves the nearest integer, ties to even, of numbers below
    /// half of [`Real::MOST`].
    const TO_INTEGER: Self;
    /// Steps that a code may count, in either direction.
    const MOST: Self;
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn from_i32(x: i32) -> Self;
    /// An integer of at most [`Real::MOST`] in magnitude.
    fn to_i32(self) -> i32;
    fn bounded(self, least: Self, most: Self) -> Self;

    #[inline(always)]
    fn nearest_integer(self) -> Self {
        (self + Self::TO_INTEGER) - Self::TO_INTEGER
    }
}

impl Real for f32 {
    const TO_INTEGER: f32 = 12_582_912.0; // 1.5 * 2^23
    const MOST: f32 = 2_097_152.0;
    #[inline(always)]
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn from_i32(x: i32) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn to_i32(self) -> i32 {
        // The integer stands in the low bits of the sum; a cast would look for what cannot be.
        (self + Self::TO_INTEGER).to_bits() as i32 - Self::TO_INTEGER.to_bits() as i32
    }
    #[inline(always)]
    fn bounded(self, least: f32, most: f32) -> f32 {
        let x = if self < most { self } else { most };
        if x > least { x } else { least }
    }
}

impl Real for f64 {
    const TO_INTEGER: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
    const MOST: f64 = 1_073_741_823.0;
    #[inline(always)]
    fn from_f64(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn from_i32(x: i32) -> f64 {
        f64::from(x)
    }
    #[inline(always)]
    fn to_i32(self) -> i32 {
        (self + Self::TO_INTEGER).to_bits() as u32 as i32
    }
    #[inline(always)]
    fn bounded(self, least: f64, most: f64) -> f64 {
        let x = if self < most { self } else { most };
        if x > least { x } else { least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_integers_are_exact() {
        for k in [0, 1, -1, 2, -3, 1000, -1_000_003, 2_097_152, -2_097_152] {
            assert_eq!((f32::from_i32(k)).nearest_integer().to_i32(), k);
            assert_eq!((f64::from_i32(k) + 0.25).nearest_integer().to_i32(), k);
        }
        assert_eq!(f64::MOST.to_i32(), 1_073_741_823);
        assert_eq!((2.5f32).nearest_integer(), 2.0);
        assert_eq!(f32::NAN.bounded(-f32::MOST, f32::MOST), f32::MOST);
    }
}
