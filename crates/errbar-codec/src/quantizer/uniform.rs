use errbar_format::{DType, Error, Result};

use crate::codes::Word;
use crate::float::Float;
use crate::stage::{Quantized, Quantizer, Stage, bad_params};
use crate::{Codes, Layout, Limit, Tolerance, Values, Words, with_words};

/// Multiples of a step: `x' = k * step`, rounded once to the type of the values. Serves absolute
/// limits. See `spec/stages/uniform.md`.
#[derive(Clone, Copy, Debug)]
pub struct Uniform;

struct Params {
    step: f64,
    base: i64,
    width: usize,
}

impl Params {
    fn parse(params: &[u8]) -> Result<Params> {
        let bytes: &[u8; 17] = params.try_into().map_err(|_| bad_params("uniform takes 17 bytes"))?;
        let word = |at: usize| std::array::from_fn(|i| bytes[at + i]);
        let params = Params { step: f64::from_le_bytes(word(0)), base: i64::from_le_bytes(word(8)), width: bytes[16].into() };
        match params.step.is_finite() && params.step > 0.0 && matches!(params.width, 1 | 2 | 4 | 8) {
            true => Ok(params),
            false => Err(bad_params("uniform's step or width is impossible")),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&self.step.to_le_bytes()[..], &self.base.to_le_bytes(), &[self.width as u8]].concat()
    }
}

/// Multiples beyond this are not tried: their product with the step is not exact enough to choose by.
const MAX_MULTIPLE: f64 = (1u64 << 50) as f64;
/// Added and taken away again, it rounds a smaller value to an integer, ties to even; in between,
/// the integer stands in the low bits of the fraction.
const TO_INTEGER: f64 = (3u64 << 51) as f64;
/// Stands for a word that no multiple serves.
const NO_MULTIPLE: i64 = i64::MIN;

/// The largest step that keeps nearly every word of `values` within `limit`.
///
/// A multiple is at most half a step away, and rounding it to the type moves it by at most half
/// the spacing of floats there. Spacing is taken where all but one word in 1,000 lie below.
fn step_for(float: Float, values: &Values, limit: f64) -> f64 {
    let fraction = float.fraction_bits();
    let mut exponents = vec![0u32; 1 << 11];
    with_words!(&values.bits.words, v => for word in v {
        let exponent = (word.to_u64() & float.exponent_mask()) >> fraction;
        exponents[exponent as usize] += 1;
    });
    exponents[(float.exponent_mask() >> fraction) as usize] = 0;
    let finite: u64 = exponents.iter().map(|&n| u64::from(n)).sum();
    let mut left = finite - finite / 1000;
    let mut top = 0;
    for (exponent, &n) in exponents.iter().enumerate() {
        top = exponent as u64;
        left = left.saturating_sub(n.into());
        if left == 0 {
            break;
        }
    }
    // The difference of neighbours is exact.
    let spacing = float.to_f64(top << fraction | 1) - float.to_f64(top << fraction);
    let step = 2.0 * limit.min(f64::MAX / 2.0);
    // Where floats are nearly as coarse as the step, half of them would have to be kept exactly.
    match spacing < step * 0.75 {
        true => (step - spacing).next_down(),
        false => step,
    }
}

/// The multiple that serves `x`, if one does.
#[inline(always)]
fn multiple(x: f64, step: f64, reconstruct: impl Fn(f64) -> f64, limit: Limit) -> i64 {
    let ratio = x / step;
    if ratio.is_nan() || ratio.abs() >= MAX_MULTIPLE {
        return NO_MULTIPLE;
    }
    let rounded = ratio + TO_INTEGER;
    let nearest = rounded - TO_INTEGER;
    let serves = |k: f64| limit.allows(x, reconstruct(k * step));
    let k = rounded.to_bits().wrapping_sub(TO_INTEGER.to_bits()) as i64;
    if serves(nearest) {
        k
    } else if serves(nearest + 1.0) {
        k + 1
    } else if serves(nearest - 1.0) {
        k - 1
    } else {
        NO_MULTIPLE
    }
}

fn multiples(float: Float, words: &Words, step: f64, limit: Limit) -> Vec<i64> {
    // One loop a type: the conversions are the loop.
    fn each<W: Word>(words: &[W], step: f64, limit: Limit, to: impl Fn(W) -> f64, round: impl Fn(f64) -> f64) -> Vec<i64> {
        words.iter().map(|&word| multiple(to(word), step, &round, limit)).collect()
    }
    match (float, words) {
        (Float::F32, Words::U32(v)) => each(v, step, limit, |w| f64::from(f32::from_bits(w)), |x| f64::from(x as f32)),
        (Float::F64, Words::U64(v)) => each(v, step, limit, f64::from_bits, |x| x),
        (_, words) => with_words!(words, v => each(v, step, limit, |w| float.to_f64(w.to_u64()), |x| float.to_f64(float.from_f64(x)))),
    }
}

/// The least base and the width that serve nearly all multiples: a few that lie far away are
/// cheaper as exact values than as width of all the others.
fn base_and_width(multiples: &[i64]) -> (i64, usize) {
    let stride = multiples.len().div_ceil(4096).max(1);
    let mut sample: Vec<i64> = multiples.iter().step_by(stride).copied().filter(|&k| k != NO_MULTIPLE).collect();
    sample.sort_unstable();
    let valid = || multiples.iter().copied().filter(|&k| k != NO_MULTIPLE);
    let (Some(min), Some(max)) = (valid().min(), valid().max()) else { return (0, 1) };
    let median = sample.get(sample.len() / 2).copied().unwrap_or(min);
    for width in [1usize, 2, 4] {
        let half = 1i64 << (8 * width - 1);
        if max - min < 2 * half {
            return (min, width);
        }
        let (low, high) = (median - half, median + (half - 1));
        let (mut outside, mut least) = (0, i64::MAX);
        for k in valid() {
            if k < low || k > high { outside += 1 } else { least = least.min(k) }
        }
        if outside <= multiples.len() / 1000 {
            return (least, width);
        }
    }
    (min, 8)
}

fn codes<W: Word>(multiples: &[i64], base: i64, exact: &mut Vec<u32>) -> Words {
    let mut last = W::from_u64(0);
    let mut codes = Vec::with_capacity(multiples.len());
    for (i, &k) in multiples.iter().enumerate() {
        let code = k.wrapping_sub(base) as u64;
        if k == NO_MULTIPLE || W::from_u64(code).to_u64() != code {
            // The code before it costs least.
            exact.push(i as u32);
        } else {
            last = W::from_u64(code);
        }
        codes.push(last);
    }
    W::wrap(codes)
}

impl Stage for Uniform {
    fn name(&self) -> &'static str {
        "uniform"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "nearest multiple of a step"
    }

    fn parameters(&self) -> &'static str {
        "step: f64; base: i64, the multiple of code 0; width: u8, bytes of a code"
    }

    fn guarantee(&self) -> &'static str {
        "absolute error at most the limit, correct in the last bit; other words exact"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        Params::parse(params).map(|params| format!("step {:.6e}", params.step))
    }
}

impl Quantizer for Uniform {
    fn quantize(&self, values: &Values, tolerance: &Tolerance) -> Result<Quantized> {
        let Limit::Abs(limit) = tolerance.limit else {
            return Err(Error::usage("uniform serves absolute limits only"));
        };
        let float = Float::of(values.dtype)?;
        let step = step_for(float, values, limit);
        if !(step.is_finite() && step > 0.0) {
            return Err(Error::usage("no step is small enough for this limit"));
        }
        let mut multiples = multiples(float, &values.bits.words, step, tolerance.limit);
        if !tolerance.fill.is_empty() {
            with_words!(&values.bits.words, v => for (k, word) in multiples.iter_mut().zip(v) {
                if tolerance.is_fill(word.to_u64()) {
                    *k = NO_MULTIPLE;
                }
            });
        }
        let (base, width) = base_and_width(&multiples);
        let mut exact = Vec::new();
        let words = match width {
            1 => codes::<u8>(&multiples, base, &mut exact),
            2 => codes::<u16>(&multiples, base, &mut exact),
            4 => codes::<u32>(&multiples, base, &mut exact),
            _ => codes::<u64>(&multiples, base, &mut exact),
        };
        let codes = Codes { dims: values.bits.dims.clone(), words };
        Ok(Quantized { params: Params { step, base, width }.to_bytes(), codes, exact })
    }

    fn code_layout(&self, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        Float::of(dtype)?;
        let dims: Vec<u64> = layout.dims.iter().map(|&d| d as u64).collect();
        Layout::new(Params::parse(params)?.width, &dims)
    }

    fn reconstruct(&self, codes: Codes, dtype: DType, params: &[u8]) -> Result<Codes> {
        let float = Float::of(dtype)?;
        let Params { step, base, .. } = Params::parse(params)?;
        let value = |code: u64| code.wrapping_add(base as u64) as i64 as f64 * step;
        let words = with_words!(&codes.words, v => {
            let values = v.iter().map(|code| value(code.to_u64()));
            match float {
                Float::F32 => Words::U32(values.map(|x| (x as f32).to_bits()).collect()),
                Float::F64 => Words::U64(values.map(f64::to_bits).collect()),
                Float::F16 | Float::BF16 => Words::U16(values.map(|x| float.from_f64(x) as u16).collect()),
            }
        });
        Ok(Codes { dims: codes.dims, words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_far_multiples_do_not_widen_the_others() {
        let mut multiples: Vec<i64> = (0..2000).map(|i| i % 200).collect();
        assert_eq!(base_and_width(&multiples), (0, 1));
        multiples[7] = 1 << 40;
        assert_eq!(base_and_width(&multiples), (0, 1));
        multiples[..100].fill(1 << 40);
        assert_eq!(base_and_width(&multiples), (0, 8));
        assert_eq!(base_and_width(&[NO_MULTIPLE]), (0, 1));
    }

    #[test]
    fn the_step_leaves_room_for_rounding_to_the_type() {
        let values = |x: f32| Values::from_bytes(DType::F32, false, &[4], &[x.to_le_bytes(); 4].concat()).expect("four floats");
        assert_eq!(step_for(Float::F32, &values(1.0), 0.5), (1.0 - f64::from(f32::EPSILON)).next_down());
        assert_eq!(step_for(Float::F32, &values(1e8), 1e-3), 2e-3);
    }
}
