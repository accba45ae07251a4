//! Finds the lattice that values sit on: `offset + k * unit` for integers `k`, rounded once to their
//! type. Packed and rounded data do, often unknown to those who have them.
//!
//! Two kinds are looked for: multiples of a power of two, and lattices with any unit and offset, by
//! Euclid's algorithm on the gaps of a sorted sample, with a tolerance, and least squares. Every
//! value is checked before a lattice is believed.

use crate::codes::Word;
use crate::float::Float;
use crate::least_squares::log2;
use crate::{Values, with_words};

/// Values that an affine lattice is looked for in.
const SAMPLE: usize = 20_000;
/// Values that tell quickly that there is no common power of two.
const GLANCE: usize = 500;
/// Room that strides of more than one unit must win: they fit less well what data have of their own.
const STRIDE_GAIN: f64 = 1.02;
/// Units below this share of the limit cannot win that room.
const FINE: f64 = 0.015;
/// Gaps that decide the greatest common divisor.
const GAPS: usize = 3000;
/// Integers up to this are exact, with room for sums, wherever they are worked with.
pub(crate) const MAX_INDEX: f64 = 1e9;

/// Where values are, and how much they may be moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lattice {
    pub(crate) offset: f64,
    pub(crate) unit: f64,
    /// Units that a code counts: an odd number, 1 if values come back exactly.
    pub(crate) stride: f64,
    /// The largest `|k|`.
    pub(crate) most: f64,
}

/// The values that count.
#[derive(Clone, Copy)]
pub(crate) struct Present<'a> {
    pub(crate) values: &'a Values,
    pub(crate) float: Float,
    /// Those that do not.
    pub(crate) absent: Option<&'a [bool]>,
}

impl Present<'_> {
    /// Some of them from all over, about `n`.
    fn sample(&self, n: usize) -> Vec<f64> {
        let len = self.values.bits.words.len();
        let stride = (len / n).max(1);
        let at = (0..len).step_by(stride).filter(|&i| self.absent.is_none_or(|absent| !absent[i]));
        with_words!(&self.values.bits.words, v => at.map(|i| self.float.to_f64(v[i].to_u64())).collect())
    }

    /// Whether all of them are as `test` says.
    #[inline(always)]
    fn all(&self, test: impl FnMut(f64) -> bool) -> bool {
        fn run<W: Word>(words: &[W], absent: Option<&[bool]>, to_f64: impl Fn(W) -> f64, mut test: impl FnMut(f64) -> bool) -> bool {
            match absent {
                None => words.iter().all(|&word| test(to_f64(word))),
                Some(absent) => words.iter().zip(absent).all(|(&word, &absent)| absent || test(to_f64(word))),
            }
        }
        let float = self.float;
        with_words!(&self.values.bits.words, v => run(v, self.absent, |word| float.to_f64(word.to_u64()), test))
    }

    /// The lattice whose codes are fewest for a limit, if it has fewer than multiples of `step`.
    pub(crate) fn lattice(&self, limit: f64, step: f64) -> Option<Lattice> {
        let powers = self.powers_of_two(limit).and_then(|lattice| lattice.with_stride(limit, 0.0));
        let affine = self.affine(limit, powers.map_or(0.0, |lattice| lattice.unit));
        let wider = |a: &Lattice| a.unit * a.stride;
        let best = [powers, affine].into_iter().flatten().max_by(|a, b| wider(a).total_cmp(&wider(b)))?;
        let gain = if best.stride > 1.0 { STRIDE_GAIN } else { 1.0005 };
        (wider(&best) > step * gain).then_some(best)
    }

    /// The largest power of two that all values are multiples of.
    fn powers_of_two(&self, limit: f64) -> Option<Lattice> {
        // Units far below the limit gain nothing.
        let least = exponent(limit) - 6;
        let sample = self.sample(GLANCE);
        let of = |x: f64| if x == 0.0 { i32::MAX } else { lowest_bit(x) };
        if sample.iter().any(|&x| of(x) < least) {
            return None;
        }
        let (mut lowest, mut largest) = (i32::MAX, 0f64);
        let fits = self.all(|x| {
            lowest = lowest.min(of(x));
            largest = largest.max(x.abs());
            lowest >= least
        });
        if !fits || !(-1000..1000).contains(&lowest) {
            return None;
        }
        let unit = power_of_two(lowest);
        let most = largest / unit;
        (most < MAX_INDEX).then_some(Lattice { offset: 0.0, unit, stride: 1.0, most })
    }

    /// A lattice of a unit above `known`.
    fn affine(&self, limit: f64, known: f64) -> Option<Lattice> {
        let sorted = |n: usize| {
            let mut sample = self.sample(n);
            sample.sort_unstable_by(f64::total_cmp);
            sample.dedup();
            sample
        };
        // What a few values rule out need not be looked for among many.
        let glance = sorted(GLANCE);
        let is_ruled_out = |tolerance: f64| {
            let tolerance = at_least_rounding(&glance, tolerance, self.float);
            let gaps = gaps(&glance, tolerance);
            gaps.len() > GLANCE / 4 && common_divisor(&gaps, tolerance).is_none()
        };
        if is_ruled_out(0.0) && (limit == 0.0 || is_ruled_out(limit / 16.0)) {
            return None;
        }
        let sample = sorted(SAMPLE);
        let line = |tolerance| Line::through(&sample, tolerance, self.float).filter(|line| line.unit > known.max(FINE * limit) * 1.01);
        let fits = |line: Option<Line>| {
            let (lattice, worst) = self.believe(line?)?;
            lattice.with_stride(limit, worst)
        };
        if limit == 0.0 {
            return fits(line(0.0));
        }
        // Values that are meant to be on a lattice are half a unit in the last place off; others
        // may be drawn to one that is coarser than the limit by far.
        match (line(limit / 16.0), line(0.0)) {
            (Some(loose), Some(tight)) if loose.unit <= tight.unit * 1.01 => fits(Some(tight)).or_else(|| fits(Some(loose))),
            (loose, tight) => fits(loose).or_else(|| fits(tight)),
        }
    }

    /// The lattice of a line if no value is farther from it than its tolerance, and how far the
    /// farthest is.
    fn believe(&self, line: Line) -> Option<(Lattice, f64)> {
        let Line { mut offset, unit, tolerance } = line;
        // Every value says where the offset may be: half a unit in its last place around.
        let (mut low, mut high) = (f64::MIN, f64::MAX);
        self.all(|x| {
            let (k, half) = (nearest_integer((x - offset) / unit), 0.5 * self.float.spacing(x));
            low = low.max(x - k * unit - half);
            high = high.min(x - k * unit + half);
            true
        });
        if high - low > -4.0 * tolerance {
            offset = (low + high) / 2.0;
        }
        let (mut worst, mut most) = (0f64, 0f64);
        let fits = self.all(|x| {
            let k = nearest_integer((x - offset) / unit);
            worst = worst.max((x - self.float.to_f64(self.float.from_f64(offset + k * unit))).abs());
            most = most.max(k.abs());
            worst <= tolerance
        });
        (fits && unit > 4.0 * tolerance && most < MAX_INDEX).then_some((Lattice { offset, unit, stride: 1.0, most }, worst))
    }
}

/// What a sample lies on.
#[derive(Clone, Copy)]
struct Line {
    offset: f64,
    unit: f64,
    /// How far values may be from it.
    tolerance: f64,
}

impl Line {
    /// The line no value of a sorted sample is farther from than `tolerance` or a few units in the
    /// last place.
    fn through(sample: &[f64], tolerance: f64, float: Float) -> Option<Line> {
        let tolerance = at_least_rounding(sample, tolerance, float);
        let gaps = gaps(sample, tolerance);
        let unit = common_divisor(&gaps, tolerance)?;
        let (offset, unit) = line_through(sample, refine(sample, &gaps, unit, tolerance)?)?;
        let unit = decimal_near(unit).unwrap_or(unit);
        let from_zero = sample.iter().map(|&x| x - nearest_integer((x - offset) / unit) * unit);
        let (low, high) = from_zero.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
        (high - low <= 4.0 * tolerance).then_some(Line { offset: (low + high) / 2.0, unit, tolerance })
    }
}

/// The nearest integer to a number below 2^51, ties to even, without a call.
#[inline(always)]
pub(crate) fn nearest_integer(x: f64) -> f64 {
    const TO_INTEGER: f64 = (3u64 << 51) as f64;
    (x + TO_INTEGER) - TO_INTEGER
}

impl Lattice {
    /// For a quantizer that is told of it.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [self.offset, self.unit, self.stride, self.most].map(f64::to_le_bytes).concat()
    }

    /// What [`Lattice::to_bytes`] gave; nothing for what no lattice gives.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Lattice> {
        let (numbers, []) = bytes.as_chunks() else { return None };
        let &[offset, unit, stride, most] = numbers.iter().map(|&number| f64::from_le_bytes(number)).collect::<Vec<_>>().as_slice() else {
            return None;
        };
        let is_sound = offset.is_finite() && unit.is_finite() && unit > 0.0 && (1.0..MAX_INDEX).contains(&stride) && most < MAX_INDEX;
        is_sound.then_some(Lattice { offset, unit, stride, most })
    }

    /// Takes every so many points together as the limit allows where none is farther than `worst`
    /// from its point.
    fn with_stride(self, limit: f64, worst: f64) -> Option<Lattice> {
        if limit == 0.0 {
            return Some(self);
        }
        let room = ((limit - worst * 1.01) / self.unit).floor();
        (worst < limit && room >= 0.0).then_some(Lattice { stride: 2.0 * room + 1.0, ..self })
    }
}

fn exponent(x: f64) -> i32 {
    (x.to_bits() >> 52 & 0x7FF) as i32 - 1023
}

fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The exponent of the lowest bit set in a normal number.
fn lowest_bit(x: f64) -> i32 {
    let fraction = x.to_bits() & ((1 << 52) - 1) | 1 << 52;
    exponent(x) - 52 + fraction.trailing_zeros() as i32
}

/// A tolerance, or a few units in the last place of a sorted sample, whichever is more.
fn at_least_rounding(sample: &[f64], tolerance: f64, float: Float) -> f64 {
    let largest = sample.first().map_or(0.0, |low| low.abs().max(sample[sample.len() - 1].abs()));
    tolerance.max(2.0 * float.spacing(largest))
}

/// The gaps of a sorted sample that are more than rounding, the short ones first.
fn gaps(sample: &[f64], tolerance: f64) -> Vec<f64> {
    let mut gaps: Vec<f64> = sample.windows(2).map(|pair| pair[1] - pair[0]).filter(|&gap| gap > 2.0 * tolerance).collect();
    gaps.sort_unstable_by(f64::total_cmp);
    gaps
}

/// What all sorted gaps are nearly multiples of; nothing if it is near the tolerance.
fn common_divisor(gaps: &[f64], tolerance: f64) -> Option<f64> {
    let &[mut divisor, _, ..] = gaps else { return None };
    // A gap of many divisors tells the divisor more precisely than the least of all gaps does.
    let (mut products, mut squares) = (divisor, 1.0f64);
    for &gap in gaps.iter().take(GAPS) {
        let k = nearest_integer(gap / divisor);
        let slack = 2.0 * tolerance * (1.0 + k / squares.sqrt());
        if slack < divisor / 4.0 && (gap - k * divisor).abs() <= slack {
            products += gap * k;
            squares += k * k;
            divisor = products / squares;
            continue;
        }
        let (mut p, mut q) = (gap.max(divisor), gap.min(divisor));
        while q > 2.0 * tolerance {
            let rest = p - q * (p / q + 1e-9).floor();
            let rest = if rest < 2.0 * tolerance || q - rest < 2.0 * tolerance { 0.0 } else { rest };
            (p, q) = (q, rest);
        }
        divisor = p;
        (products, squares) = (divisor, 1.0);
        if divisor < 6.0 * tolerance {
            return None;
        }
    }
    Some(divisor)
}

/// A better divisor: by least squares on the sorted gaps, the short ones first, whose multiples are sure.
fn refine(sample: &[f64], gaps: &[f64], divisor: f64, tolerance: f64) -> Option<f64> {
    let (mut unit, mut products, mut squares) = (divisor, 0.0, 0.0);
    let mut add = |distance: f64, unit: f64| {
        let k = nearest_integer(distance / unit);
        products += distance * k;
        squares += k * k;
        (k, products / squares)
    };
    for &gap in gaps {
        let (k, better) = add(gap, unit);
        if (gap - k * unit).abs() > 2.0 * tolerance + 0.05 * unit {
            return None;
        }
        unit = better;
    }
    let mut last = 0.0;
    for x in sample {
        let distance = x - sample[0];
        if nearest_integer(distance / unit) > last {
            (last, unit) = add(distance, unit);
        }
    }
    Some(unit)
}

/// Offset and unit of the line through the values of a sample over their multiples.
fn line_through(sample: &[f64], unit: f64) -> Option<(f64, f64)> {
    let first = *sample.first()?;
    let n = sample.len() as f64;
    let (mut k_sum, mut x_sum, mut kk, mut kx) = (0.0, 0.0, 0.0, 0.0);
    for &x in sample {
        let (x, k) = (x - first, nearest_integer((x - first) / unit));
        k_sum += k;
        x_sum += x;
        kk += k * k;
        kx += k * x;
    }
    let determinant = n * kk - k_sum * k_sum;
    if determinant <= 0.0 || determinant.is_nan() {
        return None;
    }
    let unit = (n * kx - k_sum * x_sum) / determinant;
    (unit > 0.0).then_some((first + (x_sum - unit * k_sum) / n, unit))
}

/// A power of two over a power of ten that close: what packed and printed numbers are made of.
fn decimal_near(unit: f64) -> Option<f64> {
    [1.0, 10.0, 100.0, 1e3, 1e4, 1e5].into_iter().find_map(|ten| {
        let scaled = unit * ten;
        let exponent = log2(scaled).round_ties_even() as i32;
        let near = power_of_two(exponent.clamp(-1000, 1000)) / ten;
        ((near / unit - 1.0).abs() < 2e-5).then_some(near)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::conformance::SplitMix64;

    fn lattice(numbers: &[f32], limit: f64) -> Option<Lattice> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let values = Values::from_bytes(DType::F32, false, &[numbers.len() as u64], &bytes).expect("as many floats as bytes");
        Present { values: &values, float: Float::F32, absent: None }.lattice(limit, 2.0 * limit)
    }

    fn steps(n: usize, most: u64) -> impl Iterator<Item = f64> {
        SplitMix64(1).map(move |r| (r % most) as f64).take(n)
    }

    #[test]
    fn packed_and_rounded_values_are_found() {
        let packed: Vec<f32> = steps(10_000, 30_000).map(|k| (233.17 + k * 0.001_742) as f32).collect();
        let found = lattice(&packed, 1e-4).expect("a lattice of scale and offset");
        assert!((found.unit / 0.001_742 - 1.0).abs() < 1e-5 && found.stride == 1.0, "{found:?}");
        let rounded: Vec<f32> = steps(10_000, 5000).map(|k| (k / 100.0) as f32).collect();
        assert_eq!(lattice(&rounded, 1e-3).map(|l| l.unit), Some(0.01));
        assert_eq!(lattice(&rounded, 0.024).map(|l| l.stride), Some(5.0));
        let grib: Vec<f32> = steps(10_000, 4096).map(|k| (271.5 + k / 64.0) as f32).collect();
        assert_eq!(lattice(&grib, 1e-3).map(|l| l.unit), Some(1.0 / 64.0));
    }

    #[test]
    fn few_values_far_apart_are_enough() {
        let few: Vec<f32> = steps(60, 300).map(|k| (k / 10.0) as f32).collect();
        assert_eq!(lattice(&few, 3e-5).map(|l| l.unit), Some(0.1));
    }

    #[test]
    fn noise_is_on_no_lattice() {
        let noise: Vec<f32> = SplitMix64(7).map(|r| (r >> 40) as f32 / 1e4).map(|x| x * x).take(10_000).collect();
        assert_eq!(lattice(&noise, 1.0), None);
        assert_eq!(lattice(&[], 1.0), None);
        assert_eq!(lattice(&[1.0], 0.1).map(|l| l.unit), Some(1.0));
    }
}
