//! A quick look at what interpolation leaves of a block, by the dimensions that its levels halve.

use errbar_codec::codes::Word;
use errbar_codec::float::Float;
use errbar_codec::polyphase::{DIMS, Extents, folded};
use errbar_codec::{Tolerance, Values, with_words};

use super::fast::bits;

/// Levels looked at; those below hold few points.
const LEVELS: usize = 3;
/// Bits a point by which a level costs more than the finer one before it, where nobody looked.
const COARSER: f64 = 1.0;

/// Numbers of a box; those that are missing are NaN.
struct Field {
    n: Extents,
    stride: Extents,
    numbers: Vec<f64>,
}

/// For every set of dimensions that stay whole, a bit each, about what residuals of `parts` take
/// together, in bits. Nothing is fitted and nothing quantized: it tells sets apart, no more.
pub(super) fn outlooks(parts: &[Values], tolerance: &Tolerance, wholes: &[u8]) -> Vec<f64> {
    let limit = tolerance.limit.absolute().unwrap_or(1.0);
    let fields: Vec<Field> = parts.iter().filter_map(|part| Field::of(part, tolerance)).collect();
    wholes.iter().map(|&whole| fields.iter().map(|field| field.cost(limit, whole)).sum()).collect()
}

impl Field {
    fn of(values: &Values, tolerance: &Tolerance) -> Option<Field> {
        let float = Float::of(values.dtype).ok()?;
        let n = folded(&values.bits.dims);
        let stride = [n[1] * n[2] * n[3], n[2] * n[3], n[3], 1];
        let number = |bits: u64| if float.is_finite(bits) && !tolerance.is_fill(bits) { float.to_f64(bits) } else { f64::NAN };
        let numbers = with_words!(&values.bits.words, v => v.iter().map(|word| number(word.to_u64())).collect());
        Some(Field { n, stride, numbers })
    }

    fn cost(&self, limit: f64, whole: u8) -> f64 {
        let mut step = [1; DIMS];
        let (mut total, mut last, mut left) = (0.0, 0.0, self.numbers.len());
        for _ in 0..LEVELS {
            let halved = (0..DIMS).filter(|&d| self.n[d] > step[d] && whole >> d & 1 == 0).fold(0u8, |set, d| set | 1 << d);
            let (mut cost, mut points) = (0.0, 0);
            for class in (1..1 << DIMS).filter(|class| class & !halved == 0) {
                let (of_class, n) = self.cost_of_class(limit, step, halved, class);
                cost += of_class;
                points += n;
            }
            if points == 0 {
                break;
            }
            total += cost;
            last = cost / points as f64;
            left = left.saturating_sub(points);
            (0..DIMS).filter(|d| halved >> d & 1 == 1).for_each(|d| step[d] *= 2);
        }
        total + left as f64 * (last + COARSER)
    }

    /// Bits of the points that are odd along the dimensions in `class`, and how many there are:
    /// by cubics along one of those, or by the mean of these, whichever is best.
    fn cost_of_class(&self, limit: f64, step: Extents, halved: u8, class: u8) -> (f64, usize) {
        let odd: Vec<usize> = (0..DIMS).filter(|d| class >> d & 1 == 1).collect();
        let each = |d: usize| {
            let every = if halved >> d & 1 == 1 { 2 * step[d] } else { step[d] };
            (if class >> d & 1 == 1 { step[d] } else { 0 }..self.n[d]).step_by(every)
        };
        let (mut costs, mut counted, mut points) = ([0.0; DIMS + 1], 0usize, 0usize);
        for i in each(0) {
            for j in each(1) {
                for k in each(2) {
                    for x in each(3) {
                        let at = [i, j, k, x];
                        points += 1;
                        let place: usize = (0..DIMS).map(|d| at[d] * self.stride[d]).sum();
                        let mut sum = 0.0;
                        let mut residuals = [0.0; DIMS];
                        for (residual, &d) in residuals.iter_mut().zip(&odd) {
                            let predicted = self.along(d, at[d], place, step[d]);
                            *residual = self.numbers[place] - predicted;
                            sum += *residual;
                        }
                        if sum.is_nan() {
                            continue;
                        }
                        counted += 1;
                        costs[DIMS] += bits(sum / (odd.len() as f64 * limit));
                        if odd.len() > 1 {
                            costs.iter_mut().zip(&residuals[..odd.len()]).for_each(|(cost, r)| *cost += bits(r / limit));
                        }
                    }
                }
            }
        }
        let singles = if odd.len() > 1 { &costs[..odd.len()] } else { &[] };
        let best = singles.iter().copied().fold(costs[DIMS], f64::min);
        (if counted > 0 { best * points as f64 / counted as f64 } else { 0.0 }, points)
    }

    /// What is predicted along one dimension, of which this is the index: by a cubic, at the edges by
    /// a line or the point before.
    #[inline(always)]
    fn along(&self, d: usize, index: usize, place: usize, step: usize) -> f64 {
        let back = step * self.stride[d];
        let before = self.numbers[place - back];
        if index + step >= self.n[d] {
            return before;
        }
        let behind = self.numbers[place + back];
        if index < 3 * step || index + 3 * step >= self.n[d] {
            return (before + behind) / 2.0;
        }
        (9.0 * (before + behind) - (self.numbers[place - 3 * back] + self.numbers[place + 3 * back])) / 16.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use errbar_codec::conformance::SplitMix64;
    use errbar_codec::{Codes, DType, Words};
    use errbar_format::record::{Bound, Limit};

    #[test]
    fn a_dimension_without_smoothness_stays_whole() {
        let noise: Vec<f64> = SplitMix64(1).map(|r| (r >> 40) as f64 / 1e4).take(12).collect();
        let number = |i: usize| noise[i / 400] + ((i / 20 % 20) as f64 * 0.1).powi(2) + (i % 20) as f64 * 0.3;
        let words =
            Words::U32((0..12 * 400).map(|i| if i % 97 == 5 { f32::NAN.to_bits() } else { (number(i) as f32).to_bits() }).collect());
        let values = Values { dtype: DType::F32, bits: Codes::plain(vec![12, 20, 20], words) };
        let tolerance = Tolerance { bounds: vec![Bound::Abs(0.1)], limit: Limit::Abs(0.1), fill: Vec::new() };
        let costs = outlooks(&[values], &tolerance, &[0, 0b10, 0b100]);
        assert!(costs[1] < 0.9 * costs[0] && costs[0] < costs[2], "{costs:?}");
    }
}
