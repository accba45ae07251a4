//! A look at few words of a block under a bound, from all over: all that the fast mode plans by, and where the others see
//! whether exact words may be as cheap.

use errbar_codec::codes::Word;
use errbar_codec::float::Float;
use errbar_codec::{Values, with_words};

/// Words looked at: enough to tell apart what is worth telling apart, little beside a block.
const LOOKS: usize = 1024;
/// Words looked at as they are, to see whether they are worth a trial.
const GLANCES: usize = 128;
/// Axes of the Lorenzo predictor that are worth their time.
const MAX_AXES: usize = 3;
/// Numbers that are left out: most stand for missing values.
const HUGE: f64 = 1e15;
/// Bits a word by which more axes must be better: their noise adds up.
const WORTH: f64 = 0.03;

/// What residuals of a block would take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outlook {
    /// The axes, counted from the last, along which prediction leaves least.
    pub(super) axes: u8,
    /// Bits a word of multiples of the step, about, with that many axes.
    pub(super) lossy: f64,
    /// Bits a word of the words as they are, with the axes that suit them.
    pub(super) lossless: f64,
    /// The axes that suit the words as they are.
    pub(super) lossless_axes: u8,
}

/// Words that take fewer than so many times the bits of their multiples, and so many more, may come cheaper as they
/// are: a limit near their own spacing leaves many of them to be kept exactly, and what residuals take is rough.
const NEARLY: f64 = 1.4;
const MORE: f64 = 2.0;

impl Outlook {
    /// Whether words of so many bits are worth a trial as they are.
    pub(super) fn is_nearly(&self, bits: f64) -> bool {
        bits < NEARLY * self.lossy + MORE
    }
}

/// Looks at a block of floats of one dimension or more, under an absolute `limit`.
pub(super) fn outlook(values: &Values, limit: f64) -> Option<Outlook> {
    let float = Float::of(values.dtype).ok()?;
    with_words!(&values.bits.words, v => {
        let sign = 1u64 << (8 * values.dtype.word() - 1);
        let step = 2.0 * limit;
        // Codes count from the least of them: what is at an edge is not predicted, and costs that much.
        let stride = (v.len() / LOOKS).max(1);
        let numbers = v.iter().step_by(stride).map(|word| float.to_f64(word.to_u64())).filter(|x| x.abs() < HUGE);
        let least = numbers.fold(f64::INFINITY, f64::min);
        let multiple = |word: u64| (float.to_f64(word) - least) / step;
        // Floats in the order of their values are integers: as `order` makes them.
        let ordered = |word: u64| (if word & sign == 0 { word | sign } else { !word & (sign | (sign - 1)) }) as f64;
        let (axes, lossy) = best_axes(v, &values.bits.dims, LOOKS, multiple)?;
        let (lossless_axes, lossless) = best_axes(v, &values.bits.dims, GLANCES, ordered)?;
        Some(Outlook { axes, lossy, lossless, lossless_axes })
    })
}

/// The number of axes whose residuals take the fewest bits, and how many.
fn best_axes<W: Word>(words: &[W], dims: &[usize], looks: usize, number: impl Fn(u64) -> f64) -> Option<(u8, f64)> {
    let axes = dims.len().min(MAX_AXES);
    let extent = |axis: usize| if axis < dims.len() { dims[dims.len() - 1 - axis].max(1) } else { 1 };
    let (row, plane) = (extent(0), extent(0) * extent(1));
    let mut sums = [0.0; MAX_AXES];
    let mut n = 0.0;
    for look in 0..looks {
        let i = words.len() * look / looks;
        let (x, y, z) = (i % row, i / row % extent(1), i / plane % extent(2));
        // Outside of the block there are zeros.
        let at = |dz: usize, dy: usize, dx: usize| match dz > z || dy > y || dx > x {
            true => 0.0,
            false => words.get(i - dz * plane - dy * row - dx).map_or(0.0, |word| number(word.to_u64())),
        };
        let along = |dz, dy| at(dz, dy, 0) - at(dz, dy, 1);
        let across = |dz| along(dz, 0) - along(dz, 1);
        let residuals = [along(0, 0), across(0), across(0) - across(1)];
        if residuals.iter().all(|r| r.abs() < HUGE) {
            sums.iter_mut().zip(residuals).for_each(|(sum, r)| *sum += bits(round(r)));
            n += 1.0;
        }
    }
    if n == 0.0 || axes == 0 {
        return Some((1, f64::MAX)).filter(|_| axes > 0);
    }
    let mut best = (1, sums[0]);
    for (i, &sum) in sums.iter().enumerate().take(axes).skip(1) {
        if sum + WORTH * n < best.1 {
            best = (i as u8 + 1, sum);
        }
    }
    Some((best.0, best.1 / n))
}

/// The nearest integer, if it is below 2^51: what costs no library call.
fn round(x: f64) -> f64 {
    const TO_INTEGER: f64 = (3u64 << 51) as f64;
    (x + TO_INTEGER) - TO_INTEGER
}

/// `log2(1 + |residual|)`, about: what costs no library call, as plans must not depend on one.
#[inline(always)]
pub(super) fn bits(residual: f64) -> f64 {
    let bits = (1.0 + residual.abs()).to_bits();
    bits as f64 / (1u64 << 52) as f64 - 1023.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use errbar_codec::conformance::SplitMix64;
    use errbar_codec::{Codes, DType, Words};

    fn field(dims: &[usize], f: impl Fn(usize, usize, usize) -> f64) -> Values {
        let [nz, ny, nx] = dims else { panic!("three dimensions") };
        let at = |i: usize| (f(i / (ny * nx), i / nx % ny, i % nx) as f32).to_bits();
        let words = Words::U32((0..nz * ny * nx).map(at).collect());
        Values { dtype: DType::F32, bits: Codes::plain(dims.to_vec(), words) }
    }

    #[test]
    fn the_axes_that_predict_best_are_found() {
        let hash = |a: usize| (SplitMix64(a as u64).next().unwrap_or(0) & 1023) as f64;
        let sum_of_lines = field(&[8, 40, 50], |z, y, x| hash(x + 99 * z) + hash(y + 999 * z + 77));
        let sum_of_planes = field(&[8, 40, 50], |z, y, x| hash(x * 64 + y) + hash(y * 99 + z) + hash(x * 31 + z));
        let noise = field(&[8, 40, 50], |z, y, x| hash((z * 40 + y) * 50 + x));
        let axes = |values| outlook(&values, 0.5).map(|outlook| outlook.axes);
        let edges_only = field(&[80, 99, 2], |z, y, _| 1000.0 + (z + y) as f64);
        assert_eq!(axes(edges_only), Some(3));
        assert_eq!([sum_of_lines, sum_of_planes, noise].map(axes), [Some(2), Some(3), Some(1)]);
    }

    #[test]
    fn the_logarithm_is_near() {
        for (residual, expected) in [(0.0, 0.0), (1.0, 1.0), (-3.0, 2.0), (1023.0, 10.0)] {
            assert_eq!(bits(residual), expected);
        }
    }
}
