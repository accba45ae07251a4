use errbar_format::{DType, Error, Result};

use crate::codes::Word;
use crate::float::{Float, with_floats};
use crate::lattice::nearest_integer;
use crate::quantizer::ordered::absent;
use crate::quantizer::words_nearest;
use crate::simd::{Work, widest};
use crate::stage::{Quantized, Quantizer, Stage, bad_params};
use crate::{Codes, Layout, Tolerance, Values, Words, with_words};

/// Values that were decimal fractions, `k / 10^digits` each rounded once to its type, as the integers `k`:
/// numbers out of tables of text, most of all. Loses nothing. See `spec/stages/decimal.md`; that a product
/// finds the integer and a check whether it was one is from Afroozeh, Kuffó and Boncz, "ALP", SIGMOD 2023.
#[derive(Clone, Copy, Debug)]
pub struct Decimal;

/// Powers of ten that are exact.
const MOST_DIGITS: u8 = 22;
/// Integers up to this are told apart by their type with room to spare: not every number is one.
const MOST: f64 = (1u64 << 50) as f64;
/// Values that tell how many digits there are.
const SAMPLE: usize = 256;
/// One in so many values may be another number.
const RARE: usize = 64;

/// 10 to the power of `digits`, at most [`MOST_DIGITS`]: exact, as its factors are.
fn power(digits: u8) -> f64 {
    (0..digits).fold(1.0, |power, _| power * 10.0)
}

/// The integer that a number times the power comes to, and the number that it stands for.
#[inline(always)]
fn nearest(x: f64, power: f64) -> (f64, f64) {
    let k = nearest_integer(x * power);
    (k, k / power)
}

struct Params {
    digits: u8,
    /// Bytes of a code.
    width: usize,
    /// The integer of code 0.
    base: i64,
}

impl Params {
    fn parse(params: &[u8]) -> Result<Params> {
        let Some((&[digits, width], base)) = params.split_first_chunk() else { return Err(bad_params("decimal takes 10 bytes")) };
        let base = i64::from_le_bytes(base.try_into().map_err(|_| bad_params("decimal takes 10 bytes"))?);
        match digits <= MOST_DIGITS && [1, 2, 4, 8].contains(&width) {
            true => Ok(Params { digits, width: width.into(), base }),
            false => Err(bad_params("decimal's digits or width are impossible")),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&[self.digits, self.width as u8][..], &self.base.to_le_bytes()].concat()
    }
}

/// What is known of the integers of values.
#[derive(Clone, Copy)]
struct Span {
    least: f64,
    most: f64,
    /// Values that are no such fractions.
    others: usize,
}

/// Looks for the integers of values of which `to_f64` and `narrow` make numbers.
struct Survey<'a, W, T, N> {
    words: &'a [W],
    absent: Option<&'a [bool]>,
    power: f64,
    to_f64: T,
    narrow: N,
}

impl<W: Word, T: Fn(W) -> f64, N: Fn(f64) -> f64> Work for Survey<'_, W, T, N> {
    type Output = Span;

    #[inline(always)]
    fn run(self) -> Span {
        let Survey { words, absent, power, to_f64, narrow } = self;
        let mut span = Span { least: f64::MAX, most: f64::MIN, others: 0 };
        for (i, &word) in words.iter().enumerate() {
            let x = to_f64(word);
            let (k, value) = nearest(x, power);
            let is_one = narrow(value).to_bits() == x.to_bits() && k.abs() < MOST;
            let counts = absent.is_none_or(|absent| !absent[i]);
            span.others += usize::from(counts && !is_one);
            let (low, high) = if counts && is_one { (k, k) } else { (f64::MAX, f64::MIN) };
            span.least = if low < span.least { low } else { span.least };
            span.most = if high > span.most { high } else { span.most };
        }
        span
    }
}

fn survey(values: &Values, float: Float, absent: Option<&[bool]>, digits: u8) -> Result<Span> {
    let power = power(digits);
    with_floats!(float, &values.bits.words, (words, to_f64, narrow) => widest(Survey { words, absent, power, to_f64, narrow }))
}

/// The fewest digits with which nearly all of some values come back.
fn digits(values: &Values, float: Float, absent: Option<&[bool]>) -> Option<u8> {
    let len = values.bits.words.len();
    let at = (0..len).step_by((len / SAMPLE).max(1)).filter(|&i| absent.is_none_or(|absent| !absent[i]));
    let sample: Vec<f64> = with_words!(&values.bits.words, v => at.map(|i| float.to_f64(v[i].to_u64())).collect());
    let is_one = |x: f64, power| {
        let (k, value) = nearest(x, power);
        float.to_f64(float.from_f64(value)).to_bits() == x.to_bits() && k.abs() < MOST
    };
    let fits = |digits: &u8| {
        let power = power(*digits);
        let others = sample.iter().filter(|&&x| !is_one(x, power)).take(sample.len() / RARE + 1).count();
        others <= sample.len() / RARE
    };
    (0..=MOST_DIGITS).find(fits).filter(|_| !sample.is_empty())
}

/// Bytes of the codes of such a span.
fn width(span: Span) -> usize {
    match span.most - span.least {
        n if n < f64::from(1 << 8) => 1,
        n if n < f64::from(1 << 16) => 2,
        n if n <= f64::from(u32::MAX) => 4,
        _ => 8,
    }
}

impl Decimal {
    /// What to ask of [`Quantizer::quantize`] if nearly all of `values` are decimal fractions: their digits,
    /// and the bytes of a code, which all of them need.
    pub fn wanted(values: &Values, tolerance: &Tolerance) -> Option<(Vec<u8>, usize)> {
        let float = Float::of(values.dtype).ok()?;
        let absent = absent(values, tolerance);
        let digits = digits(values, float, absent.as_deref())?;
        let span = survey(values, float, absent.as_deref(), digits).ok()?;
        (span.least <= span.most && span.others <= values.bits.words.len() / RARE).then(|| (vec![digits, width(span) as u8], width(span)))
    }
}

impl Stage for Decimal {
    fn name(&self) -> &'static str {
        "decimal"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "decimal fractions as integers"
    }

    fn parameters(&self) -> &'static str {
        "digits: u8; width: u8, bytes of a code; base: i64, the integer of code 0"
    }

    fn guarantee(&self) -> &'static str {
        "exact; other words than decimal fractions of so many digits are exact values"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        Params::parse(params).map(|params| format!("{} digits", params.digits))
    }
}

impl Quantizer for Decimal {
    fn quantize(&self, values: &Values, tolerance: &Tolerance, wanted: &[u8]) -> Result<Quantized> {
        let float = Float::of(values.dtype).map_err(|_| Error::usage("decimal serves floating-point types only"))?;
        let absent = absent(values, tolerance);
        let (digits, least_width) = match wanted {
            [] => (digits(values, float, absent.as_deref()).ok_or_else(|| Error::usage("the values are no decimal fractions"))?, 1),
            &[digits, width] if digits <= MOST_DIGITS && [1, 2, 4, 8].contains(&width) => (digits, width.into()),
            _ => return Err(bad_params("decimal can be asked for digits and a width alone")),
        };
        let span = survey(values, float, absent.as_deref(), digits)?;
        let base = if span.least <= span.most { span.least } else { 0.0 };
        let params = Params { digits, width: width(span).max(least_width), base: base as i64 };
        let power = power(digits);
        let is_absent = |i: usize| absent.as_ref().is_some_and(|absent| absent[i]);
        let (mut last, mut exact) = (0, Vec::new());
        let codes: Vec<u64> = with_floats!(float, &values.bits.words, (words, to_f64, narrow) => {
            let code = |(i, &word): (usize, _)| {
                let x = to_f64(word);
                let (k, value) = nearest(x, power);
                // Where there is none, the code before costs least.
                if !is_absent(i) {
                    match narrow(value).to_bits() == x.to_bits() && k.abs() < MOST {
                        true => last = (k - base) as u64,
                        false => exact.push(i as u32),
                    }
                }
                last
            };
            words.iter().enumerate().map(code).collect()
        })?;
        let codes = match params.width {
            1 => Words::U8(codes.iter().map(|&code| code as u8).collect()),
            2 => Words::U16(codes.iter().map(|&code| code as u16).collect()),
            4 => Words::U32(codes.iter().map(|&code| code as u32).collect()),
            _ => Words::U64(codes),
        };
        Ok(Quantized::with_absent(params.to_bytes(), codes, exact, absent, values))
    }

    fn code_layout(&self, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        Float::of(dtype)?;
        Ok(Layout { width: Params::parse(params)?.width, ..layout.clone() })
    }

    fn reconstruct(&self, codes: Codes, dtype: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
        let float = Float::of(dtype)?;
        let Params { digits, base, .. } = Params::parse(params)?;
        let power = power(digits);
        let value = |code: u64| code.wrapping_add(base as u64) as i64 as f64 / power;
        let words = with_words!(&codes.words, v => words_nearest(v, float, value));
        Ok(Codes::plain(codes.dims, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::SplitMix64;
    use crate::simd::narrow;

    fn doubles(numbers: impl Iterator<Item = f64>) -> Values {
        let bytes: Vec<u8> = numbers.flat_map(f64::to_le_bytes).collect();
        Values::from_bytes(DType::F64, false, &[bytes.len() as u64 / 8], bytes).expect("as many numbers as bytes")
    }

    fn exact() -> Tolerance {
        Tolerance::exact(vec![])
    }

    #[test]
    fn fractions_that_text_had_come_back_as_their_integers() {
        for digits in [0, 1, 2, 5, 9, 14] {
            let integers: Vec<i64> = SplitMix64(digits).take(3000).map(|r| (r >> 34) as i64 - (1 << 29)).collect();
            let text = |k: i64| format!("{k}e-{digits}").parse::<f64>().expect("a number");
            let values = doubles(integers.iter().map(|&k| text(k)));
            let (wanted, width) = Decimal::wanted(&values, &exact()).expect("decimal fractions");
            assert_eq!((&wanted[..], width), (&[digits as u8, 4][..], 4));
            let quantized = Decimal.quantize(&values, &exact(), &wanted).expect("decimal fractions");
            let Words::U32(codes) = &quantized.codes.words else { panic!("codes of four bytes") };
            let base = integers.iter().min().copied().unwrap_or(0);
            assert!(codes.iter().zip(&integers).all(|(&code, &k)| i64::from(code) + base == k));
            assert_eq!(quantized.exact, [0u32; 0]);
            let narrow = narrow::only(|| Decimal.quantize(&values, &exact(), &wanted)).expect("decimal fractions");
            assert_eq!(narrow.codes, quantized.codes);
        }
    }

    #[test]
    fn other_numbers_are_exact_and_noise_is_refused() {
        let some = doubles((0..1000).map(|i| if i == 70 { -0.0 } else { f64::from(i) / 100.0 }).chain([1.0 / 3.0]));
        let quantized = Decimal.quantize(&some, &exact(), &[]).expect("nearly all of them");
        assert_eq!(quantized.exact, [70, 1000]);
        let noise = doubles(SplitMix64(7).take(1000).map(|r| (r >> 11) as f64 / (1u64 << 53) as f64));
        assert_eq!(Decimal::wanted(&noise, &exact()), None);
        assert_eq!(Decimal::wanted(&doubles([f64::NAN; 9].into_iter()), &exact()), None);
    }
}
