//! Arrays that have broken codecs before.

use errbar_format::DType;

use crate::float::Float;
use crate::{Codes, Values, Words};

/// An array with a name for the verdict.
#[derive(Clone, Debug)]
pub struct Case {
    /// Such as `f32[3, 5, 7] special values`.
    pub name: String,
    /// Extent along each dimension, in elements.
    pub shape: Vec<u64>,
    /// The elements.
    pub values: Values,
}

/// Pseudo-random numbers, the same everywhere (Steele, Lea and Flood, Fast splittable
/// pseudorandom number generators, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct SplitMix64(pub u64);

impl Iterator for SplitMix64 {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        Some(z ^ z >> 31)
    }
}

/// The low bits of each as words of `width` bytes.
pub(super) fn words(width: usize, bits: impl Iterator<Item = u64>) -> Words {
    match width {
        1 => Words::U8(bits.map(|b| b as u8).collect()),
        2 => Words::U16(bits.map(|b| b as u16).collect()),
        4 => Words::U32(bits.map(|b| b as u32).collect()),
        _ => Words::U64(bits.collect()),
    }
}

/// What each word of an array is, by its position: (name, bit pattern).
type Content = (&'static str, fn(DType, u64) -> u64);

const CONTENTS: &[Content] = &[
    ("zeros", |_, _| 0),
    ("one value", |dtype, _| number(dtype, 42.3)),
    ("alternating signs", |dtype, i| number(dtype, if i % 2 == 0 { 1.5 } else { -1.5 })),
    ("special values", |dtype, i| {
        let special = special_values(dtype);
        special[(i % special.len() as u64) as usize]
    }),
    ("half steps", |dtype, i| half_step(dtype, i)),
    ("random bits", |_, i| SplitMix64(i).next().unwrap_or(0)),
    ("smooth field", |dtype, i| number(dtype, 90.0 - (i % 61) as f64 * (i % 67) as f64 / 8.0)),
    ("smooth field with missing values", |dtype, i| match SplitMix64(!i).next() {
        Some(random) if random % 5 == 0 => number(dtype, 1e20),
        _ => number(dtype, 20.0 + (i % 251) as f64 / 16.0),
    }),
];

/// The largest extent; the product of three such does not fit 64 bits.
const LARGEST: u64 = u32::MAX as u64;

/// Shapes of up to eight dimensions, primes, ones and zeros among them.
const SHAPES: &[&[u64]] = &[
    &[],
    &[0],
    &[1],
    &[2],
    &[13],
    &[97],
    &[3, 0, 2],
    &[0, LARGEST, LARGEST, LARGEST],
    &[5, 7],
    &[3, 5, 7],
    &[2, 3, 5, 7],
    &[1; 8],
    &[2, 3, 1, 2, 1, 3, 2, 2],
];

/// The bit pattern of the number of `dtype` nearest to `x`.
fn number(dtype: DType, x: f64) -> u64 {
    Float::of(dtype).map_or_else(|_| x as i64 as u64, |float| float.from_f64(x))
}

/// Every kind of bit pattern that arithmetic treats specially.
fn special_values(dtype: DType) -> Vec<u64> {
    let sign = 1u64 << (8 * dtype.word() - 1);
    let Ok(float) = Float::of(dtype) else { return vec![0, 1, sign - 1, sign, sign + 1, u64::MAX] };
    let (infinity, quiet) = (float.exponent_mask(), 1 << (float.fraction_bits() - 1));
    let least_normal = 1 << float.fraction_bits();
    let one = float.from_f64(1.0);
    let positive = [
        0,
        1,
        2,
        least_normal - 1,
        least_normal,
        one - 1,
        one,
        one + 1,
        infinity - 1,
        infinity,
        infinity | 1,
        infinity | quiet,
        infinity | quiet | 1,
        infinity | (quiet - 1),
        infinity | quiet | (quiet - 1),
    ];
    positive.iter().flat_map(|&bits| [bits, bits | sign]).collect()
}

/// Odd multiples of a limit, where two codes are equally near, and the floats beside them.
fn half_step(dtype: DType, i: u64) -> u64 {
    let limit = [1.0, 0.5, 0.01, 1e-3][(i / 3 % 4) as usize];
    let middle = number(dtype, ((i / 12) as f64 * 2.0 - 25.0) * limit);
    match i % 3 {
        0 => middle,
        1 => middle.wrapping_add(1),
        _ => middle.wrapping_sub(1),
    }
}

fn case(dtype: DType, shape: &[u64], (content, bits): Content) -> Case {
    let name = format!("{}{shape:?} {content}", dtype.name());
    let mut dims: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
    if dtype.words() > 1 {
        dims.push(dtype.words());
    }
    let n: usize = dims.iter().product();
    let words = words(dtype.word(), (0..n as u64).map(|i| bits(dtype, i)));
    Case { name, shape: shape.to_vec(), values: Values { dtype, bits: Codes::plain(dims, words) } }
}

/// Arrays of every type, shape and content that a stage has to cope with: empty ones, single
/// elements, prime extents, zero to eight dimensions, NaN payloads, infinities, negative zeros,
/// subnormals, the largest values, constants, values between two codes, noise and smooth fields.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &dtype in DType::ALL {
        for &content in CONTENTS {
            if content.0 != "half steps" || dtype.is_float() {
                cases.extend(SHAPES.iter().map(|shape| case(dtype, shape, content)));
            }
        }
    }
    // Longer than the runs, pages and chunks that stages work in.
    for dtype in [DType::U8, DType::U16, DType::F32, DType::F64] {
        cases.extend([4099, (1 << 18) + 9].map(|n| case(dtype, &[n], CONTENTS[if n < 5000 { 5 } else { 6 }])));
    }
    cases
}
