use errbar_format::{DType, Error, Result};

use crate::check::surely_allows;
use crate::codes::Word;
use crate::float::Float;
use crate::stage::{Quantized, Quantizer, Stage, bad_params};
use crate::{Codes, Layout, Tolerance, Values, Words, with_words};

/// Rounds to a number of fraction bits, ties to even, and drops the others, which are zero
/// (Zender, Bit Grooming, Geosci. Model Dev. 2016; Klöwer et al., Nature Comput. Sci. 2021).
/// Serves relative limits. See `spec/stages/bitround.md`.
#[derive(Clone, Copy, Debug)]
pub struct BitRound;

/// Bits dropped by words of `dtype` under these parameters.
fn shift(dtype: DType, params: &[u8]) -> Result<u32> {
    let fraction = Float::of(dtype)?.fraction_bits();
    match params {
        &[keep] if u32::from(keep) <= fraction => Ok(fraction - u32::from(keep)),
        _ => Err(bad_params("bitround takes one byte, at most the fraction bits of the type")),
    }
}

/// The fewest bits whose rounding error, `2^-(bits + 1)` of the value, is within `limit`.
fn bits_for(limit: f64, fraction: u32) -> u32 {
    let mut error = 0.5;
    let mut bits = 0;
    while bits < fraction && error > limit {
        error *= 0.5;
        bits += 1;
    }
    bits
}

fn round<W: Word>(word: W, shift: u32) -> u64 {
    let bits = word.to_u64();
    if shift == 0 {
        return bits;
    }
    let half = 1u64 << (shift - 1);
    // A carry out of the largest exponent of a binary64 with its sign set cannot leave 64 bits:
    // the word is finite, so its exponent is not all ones.
    bits.wrapping_add(half - 1 + (bits >> shift & 1)) >> shift
}

/// Words looked at together.
const RUN: usize = 64;

struct Rounding<'a> {
    float: Float,
    shift: u32,
    tolerance: &'a Tolerance,
}

impl Rounding<'_> {
    /// Codes, and the positions that none serves.
    fn codes<W: Word>(&self, words: &[W], to_f64: impl Fn(W) -> f64) -> (Words, Vec<u32>) {
        let mut codes: Vec<W> = Vec::with_capacity(words.len());
        let mut exact = Vec::new();
        for run in words.chunks(RUN) {
            if let Some(run) = self.plain(run, &to_f64) {
                codes.extend_from_slice(&run);
                continue;
            }
            for &word in run {
                let (bits, code) = (word.to_u64(), round(word, self.shift));
                let y = code << self.shift;
                let fixed = !self.float.is_finite(bits) || self.tolerance.is_fill(bits);
                if fixed || !self.float.is_finite(y) || !self.tolerance.allows(to_f64(word), to_f64(W::from_u64(y))) {
                    exact.push(codes.len() as u32);
                    // The bits that the code can hold are as good a neighbour as any.
                    codes.push(W::from_u64(bits >> self.shift));
                } else {
                    codes.push(W::from_u64(code));
                }
            }
        }
        (W::wrap(codes), exact)
    }

    /// The codes of a whole run that all serve, surely: the usual case, without a branch.
    #[inline(always)]
    fn plain<W: Word>(&self, run: &[W], to_f64: impl Fn(W) -> f64) -> Option<[W; RUN]> {
        let run: &[W; RUN] = run.try_into().ok()?;
        let mut codes = *run;
        let mut sound = true;
        for code in &mut codes {
            let word = *code;
            *code = W::from_u64(round(word, self.shift));
            let rounded = W::from_u64(code.to_u64() << self.shift);
            let (x, y) = (to_f64(word), to_f64(rounded));
            sound &= self.float.is_finite(word.to_u64()) && self.float.is_finite(rounded.to_u64());
            sound &= x == y || surely_allows(self.tolerance.limit, x, (x - y).abs());
        }
        (sound && !self.tolerance.fill.iter().any(|&fill| run.contains(&W::from_u64(fill)))).then_some(codes)
    }
}

impl Stage for BitRound {
    fn name(&self) -> &'static str {
        "bitround"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "keeps some leading fraction bits of floats, rounded to nearest, ties to even"
    }

    fn parameters(&self) -> &'static str {
        "keep: u8, fraction bits kept"
    }

    fn guarantee(&self) -> &'static str {
        "relative error at most 2^-(keep + 1); other words exact"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        match params {
            [keep] => Ok(format!("keep {keep}")),
            _ => Err(bad_params("bitround takes one byte")),
        }
    }
}

impl Quantizer for BitRound {
    fn quantize(&self, values: &Values, tolerance: &Tolerance, _: &[u8]) -> Result<Quantized> {
        let Some(limit) = tolerance.limit.relative() else {
            return Err(Error::usage("bitround serves relative limits only"));
        };
        let float = Float::of(values.dtype)?;
        let keep = bits_for(limit, float.fraction_bits());
        let shift = float.fraction_bits() - keep;
        let rounding = Rounding { float, shift, tolerance };
        // One loop a type: the conversions are most of the work.
        let (words, exact) = match (float, &values.bits.words) {
            (Float::F32, Words::U32(v)) => rounding.codes(v, |w| f64::from(f32::from_bits(w))),
            (Float::F64, Words::U64(v)) => rounding.codes(v, f64::from_bits),
            (_, Words::U16(v)) => rounding.codes(v, |w| float.to_f64(w.into())),
            _ => return Err(Error::usage("words of another width than their type's")),
        };
        let codes = Codes::plain(values.bits.dims.clone(), words);
        Ok(Quantized { params: vec![keep as u8], codes, exact, absent: None })
    }

    fn code_layout(&self, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        shift(dtype, params).map(|_| layout.flat())
    }

    fn reconstruct(&self, mut codes: Codes, dtype: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
        let shift = shift(dtype, params)?;
        with_words!(&mut codes.words, v => v.iter_mut().for_each(|word| *word = Word::from_u64(word.to_u64() << shift)));
        Ok(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_bits_that_prove_the_limit() {
        assert_eq!([0.5, 0.25, 0.2, 1e-3, 1e-300].map(|limit| bits_for(limit, 23)), [0, 1, 2, 9, 23]);
    }

    #[test]
    fn ties_go_to_even() {
        assert_eq!(round(0b0110u16, 2), 0b10);
        assert_eq!(round(0b1010u16, 2), 0b10);
        assert_eq!(round(0b1011u16, 2), 0b11);
        assert_eq!(round(0xFFEF_FFFF_FFFF_FFFFu64, 52), 0xFFF);
    }
}
