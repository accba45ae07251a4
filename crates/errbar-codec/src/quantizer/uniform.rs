use errbar_format::{DType, Error, Result};

use crate::codes::Word;
use crate::float::{Float, with_floats};
use crate::quantizer::step::step_for;
use crate::quantizer::words_nearest;
use crate::simd::{Work, widest};
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
/// Added and taken away again, it rounds a smaller value to an integer, ties to even.
const TO_INTEGER: f64 = (3u64 << 51) as f64;
/// Added to an integer from 0 to below itself, it leaves the integer in the bits of the fraction.
const TO_BITS: f64 = (1u64 << 52) as f64;
/// Words looked at together.
const RUN: usize = 64;
/// Numbers that are compared at a time.
const LANES: usize = 4;
/// Words that choose the step and the middle of the codes, at most about twice as many.
const SAMPLE: usize = 4096;

/// The share of words that may miss the limit for the step.
const MOST_MISSED: f64 = 1.0 / 16.0;

/// The words of a block as numbers.
struct Numbers<'a, W, T> {
    words: &'a [W],
    float: Float,
    to_f64: T,
    tolerance: &'a Tolerance,
    limit: f64,
}

/// Where the multiples of a step are that codes stand for: from `base` to `base + top`.
struct Grid {
    step: f64,
    base: f64,
    top: f64,
    width: usize,
}

impl<W: Word, T: Fn(W) -> f64> Numbers<'_, W, T> {
    fn is_fixed(&self, word: W) -> bool {
        !self.float.is_finite(word.to_u64()) || self.tolerance.is_fill(word.to_u64())
    }

    #[inline(always)]
    fn has_fill(&self, run: &[W]) -> bool {
        self.tolerance.fill.iter().any(|&fill| run.contains(&W::from_u64(fill)))
    }

    /// Some numbers from all over the block, ascending.
    fn sample(&self) -> Vec<f64> {
        let stride = (self.words.len() / SAMPLE).max(1);
        let mut sample: Vec<f64> =
            self.words.iter().step_by(stride).filter(|&&word| !self.is_fixed(word)).map(|&word| (self.to_f64)(word)).collect();
        sample.sort_unstable_by(f64::total_cmp);
        sample
    }

    /// The least and the largest of the numbers from `low` to `high`, and how many lie elsewhere.
    #[inline(always)]
    fn range(&self, low: f64, high: f64) -> (f64, f64, usize) {
        // In lanes, so that one number need not wait for another.
        let (mut least, mut largest, mut outside) = ([f64::MAX; LANES], [f64::MIN; LANES], 0);
        for run in self.words.chunks(RUN) {
            let mut numbers = [f64::NAN; RUN];
            for (x, &word) in numbers.iter_mut().zip(run) {
                *x = (self.to_f64)(word);
            }
            if self.has_fill(run) {
                numbers.iter_mut().zip(run).filter(|(_, word)| self.is_fixed(**word)).for_each(|(x, _)| *x = f64::NAN);
            }
            let mut elsewhere = 0u64;
            for x in &mut numbers {
                let inside = (*x >= low) & (*x <= high);
                elsewhere += u64::from(!inside & (x.abs() <= f64::MAX));
                *x = if inside { *x } else { f64::NAN };
            }
            outside += elsewhere as usize;
            let (rows, _) = numbers.as_chunks::<LANES>();
            for row in rows {
                // False for NaN.
                for ((least, largest), &x) in least.iter_mut().zip(&mut largest).zip(row) {
                    *least = if x < *least { x } else { *least };
                    *largest = if x > *largest { x } else { *largest };
                }
            }
        }
        (least.into_iter().fold(f64::MAX, f64::min), largest.into_iter().fold(f64::MIN, f64::max), outside)
    }

    /// The step, and the least base and width that serve nearly all multiples: a few that lie far
    /// away are cheaper as exact values than as width of all the others.
    #[inline(always)]
    fn grid(&self) -> Grid {
        let sample = self.sample();
        let step = step_for(self.float, &sample, self.limit, MOST_MISSED).size;
        let multiple = |x: f64| (x / step).clamp(-MAX_MULTIPLE, MAX_MULTIPLE).round_ties_even();
        let (least, largest, _) = self.range(f64::MIN, f64::MAX);
        if least > largest {
            return Grid { step, base: 0.0, top: 255.0, width: 1 };
        }
        let median = multiple(sample.get(sample.len() / 2).copied().unwrap_or(least));
        for (width, top) in [(1, 255.0), (2, 65_535.0), (4, 4_294_967_295.0)] {
            if multiple(largest) - multiple(least) <= top {
                return Grid { step, base: multiple(least), top, width };
            }
            let low = median - (top - 1.0) / 2.0;
            // Where more of the sample lies outside than chance explains, so does more of the block.
            let below = sample.partition_point(|&x| x < low * step);
            let above = sample.len() - sample.partition_point(|&x| x <= (low + top) * step);
            if below + above > sample.len() / 250 + 4 {
                continue;
            }
            let (least, _, outside) = self.range(low * step, (low + top) * step);
            if outside <= self.words.len() / 1000 {
                return Grid { step, base: multiple(least), top, width };
            }
        }
        Grid { step, base: multiple(least), top: TO_BITS - 1.0, width: 8 }
    }

    /// Codes on a grid, and the positions that no code serves.
    #[inline(always)]
    fn codes<C: Word>(&self, grid: &Grid, narrow: impl Fn(f64) -> f64) -> (Words, Vec<u32>) {
        // What is sure of the limit is not of others.
        let sure = self.tolerance.limit == Limit::Abs(self.limit);
        let mut codes = Vec::with_capacity(self.words.len());
        let mut exact = Vec::new();
        let mut last = C::from_u64(0);
        for run in self.words.chunks(RUN) {
            let fill = self.has_fill(run);
            let (mut nearest, mut sound) = ([C::from_u64(0); RUN], [false; RUN]);
            if let Ok(run) = <&[W; RUN]>::try_from(run) {
                let mut all = sure && !fill;
                for (code, &word) in nearest.iter_mut().zip(run) {
                    let serves;
                    (*code, serves) = self.nearest(word, grid, &narrow);
                    all &= serves;
                }
                if all {
                    codes.extend_from_slice(&nearest);
                    last = nearest[RUN - 1];
                    continue;
                }
                // Asked again, as keeping the answers would cost all other runs their speed.
                sound = run.map(|word| sure && self.nearest::<C>(word, grid, &narrow).1);
            }
            for ((&word, code), sound) in run.iter().zip(nearest).zip(sound) {
                let found = match sound && !(fill && self.is_fixed(word)) {
                    true => Some((code, true)),
                    false => self.code(word, grid, &narrow),
                };
                if !found.is_some_and(|(_, serves)| serves) {
                    exact.push(codes.len() as u32);
                }
                // Where none is near, the code before it costs least.
                last = found.map_or(last, |(code, _)| code);
                codes.push(last);
            }
        }
        (C::wrap(codes), exact)
    }

    /// The code of the nearest multiple, and whether it surely serves: the usual case, without a
    /// branch.
    #[inline(always)]
    fn nearest<C: Word>(&self, word: W, grid: &Grid, narrow: impl Fn(f64) -> f64) -> (C, bool) {
        let x = (self.to_f64)(word);
        // Not always the nearest multiple, but then the check tells.
        let multiple = (x * (1.0 / grid.step) + TO_INTEGER) - TO_INTEGER;
        let offset = multiple - grid.base;
        // NaN and infinities fail every comparison.
        let serves = ((x - narrow(multiple * grid.step)).abs() < self.limit) & (offset >= 0.0) & (offset <= grid.top);
        (C::from_u64((offset + TO_BITS).to_bits() & (TO_BITS as u64 - 1)), serves)
    }

    /// The code that serves a word or, if none does, the nearest, and whether it serves; none far from all.
    fn code<C: Word>(&self, word: W, grid: &Grid, narrow: impl Fn(f64) -> f64) -> Option<(C, bool)> {
        if self.is_fixed(word) {
            return None;
        }
        let x = (self.to_f64)(word);
        let ratio = x / grid.step;
        if ratio.abs() >= MAX_MULTIPLE {
            return None;
        }
        let nearest = (ratio + TO_INTEGER) - TO_INTEGER;
        let is_there = |k: f64| (0.0..=grid.top).contains(&(k - grid.base));
        let serves = |k: f64| is_there(k) && self.tolerance.allows(x, narrow(k * grid.step));
        let serving = [nearest, nearest + 1.0, nearest - 1.0].into_iter().find(|&k| serves(k));
        let multiple = serving.or(Some(nearest).filter(|&k| is_there(k)))?;
        Some((C::from_u64((multiple - grid.base) as u64), serving.is_some()))
    }

    #[inline(always)]
    fn quantize(&self, narrow: impl Fn(f64) -> f64) -> Result<(Params, Words, Vec<u32>)> {
        let grid = self.grid();
        if !(grid.step.is_finite() && grid.step > 0.0) {
            return Err(Error::usage("no step is small enough for this limit"));
        }
        let (words, exact) = match grid.width {
            1 => self.codes::<u8>(&grid, narrow),
            2 => self.codes::<u16>(&grid, narrow),
            4 => self.codes::<u32>(&grid, narrow),
            _ => self.codes::<u64>(&grid, narrow),
        };
        Ok((Params { step: grid.step, base: grid.base as i64, width: grid.width }, words, exact))
    }
}

/// Numbers to quantize; `narrow` rounds to their type.
struct Quantizing<'a, W, T, N> {
    numbers: Numbers<'a, W, T>,
    narrow: N,
}

impl<W: Word, T: Fn(W) -> f64, N: Fn(f64) -> f64> Work for Quantizing<'_, W, T, N> {
    type Output = Result<(Params, Words, Vec<u32>)>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        self.numbers.quantize(self.narrow)
    }
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
    fn quantize(&self, values: &Values, tolerance: &Tolerance, _: &[u8]) -> Result<Quantized> {
        let Some(limit) = tolerance.limit.absolute().filter(|limit| *limit > 0.0) else {
            return Err(Error::usage("uniform serves absolute limits only"));
        };
        let float = Float::of(values.dtype)?;
        let (params, words, exact) = with_floats!(float, &values.bits.words, (words, to_f64, narrow) => {
            widest(Quantizing { numbers: Numbers { words, float, to_f64, tolerance, limit }, narrow })
        })??;
        Quantized::of_words(params.to_bytes(), words, exact, values, tolerance)
    }

    fn code_layout(&self, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        Float::of(dtype)?;
        let dims: Vec<u64> = layout.dims.iter().map(|&d| d as u64).collect();
        let codes = Layout::new(Params::parse(params)?.width, &dims)?;
        Ok(Layout { scan: layout.scan.clone(), ..codes })
    }

    fn reconstruct(&self, codes: Codes, dtype: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
        let float = Float::of(dtype)?;
        let Params { step, base, .. } = Params::parse(params)?;
        let words = with_words!(&codes.words, v => {
            // The integers are exact either way; bytes are converted several at a time.
            match codes.words.width() == 1 && base.unsigned_abs() < 1 << 51 {
                true => {
                    let base = base as f64;
                    words_nearest(v, float, |code| (f64::from(code as i32) + base) * step)
                }
                false => words_nearest(v, float, |code| code.wrapping_add(base as u64) as i64 as f64 * step),
            }
        });
        Ok(Codes::plain(codes.dims, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantize(numbers: &[f32], limit: f64) -> (Params, Quantized) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let values = Values::from_bytes(DType::F32, false, &[numbers.len() as u64], &bytes).expect("as many floats as bytes");
        let tolerance = Tolerance { bounds: vec![errbar_format::record::Bound::Abs(limit)], limit: Limit::Abs(limit), fill: Vec::new() };
        let quantized = Uniform.quantize(&values, &tolerance, &[]).expect("a limit for floats");
        (Params::parse(&quantized.params).expect("its own parameters"), quantized)
    }

    #[test]
    fn a_few_far_numbers_do_not_widen_the_others() {
        let mut numbers: Vec<f32> = (0..2000).map(|i| (i % 200) as f32 - 30.0).collect();
        let (params, quantized) = quantize(&numbers, 0.5);
        assert_eq!((params.base, params.width, quantized.exact.len()), (-30, 1, 0));
        numbers[7] = 1e12;
        let (params, quantized) = quantize(&numbers, 0.5);
        assert_eq!((params.base, params.width, quantized.exact), (-30, 1, vec![7]));
        numbers[..100].fill(1e8);
        assert_eq!(quantize(&numbers, 0.5).0.width, 4);
        numbers[..100].fill(1e12);
        assert_eq!(quantize(&numbers, 0.5).0.width, 8);
        let (params, quantized) = quantize(&[f32::NAN, f32::INFINITY], 0.5);
        assert_eq!((params.base, params.width, quantized.absent.as_deref()), (0, 1, Some(&[true, true][..])));
    }
}
