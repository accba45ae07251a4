use std::marker::PhantomData;

use errbar_format::{DType, Result};

use crate::codes::Word;
use crate::quantizer::ordered::{Kind, absent, with_kind};
use crate::simd::{Work, widest};
use crate::stage::{Quantized, Quantizer, Stage, bad_params};
use crate::{Codes, Layout, Tolerance, Values, Words, with_words};

/// Numbers as the smallest unsigned integers in the same order: bit patterns put in order (for floats,
/// Lindstrom and Isenburg, IEEE TVCG 12(5), 2006), less the least of them, in units of what divides
/// all differences. Loses nothing. See `spec/stages/order.md`.
#[derive(Clone, Copy, Debug)]
pub struct Order;

struct Params {
    /// The number of code 0, and the difference of neighbouring codes.
    base: u64,
    unit: u64,
    /// Bytes of a code.
    width: usize,
}

impl Params {
    fn parse(params: &[u8]) -> Result<Params> {
        let (&[base, unit], &[width]) = params.as_chunks() else { return Err(bad_params("order takes 17 bytes")) };
        let params = Params { base: u64::from_le_bytes(base), unit: u64::from_le_bytes(unit), width: width.into() };
        match matches!(params.width, 1 | 2 | 4 | 8) && params.unit > 0 {
            true => Ok(params),
            false => Err(bad_params("order's unit or width is impossible")),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&self.base.to_le_bytes()[..], &self.unit.to_le_bytes(), &[self.width as u8]].concat()
    }

    /// Those that suit the words that are not absent.
    fn of<W: Word>(words: &[W], kind: Kind, absent: Option<&[bool]>) -> Params {
        let first = match absent {
            None => words.first(),
            Some(absent) => absent.iter().position(|absent| !absent).and_then(|first| words.get(first)),
        };
        let Some(&first) = first else { return Params { base: 0, unit: 1, width: 1 } };
        let Span { least, most, differing } = widest(Survey { words, kind, absent, first: kind.ordered(first) });
        let shift = if differing == 0 { 0 } else { differing.trailing_zeros() };
        let unit = match kind {
            // A fraction's lowest bits may all be zero, but exponents are no multiples of anything.
            Kind::Float => 1,
            _ => {
                let present = words.iter().enumerate().filter(|(i, _)| absent.is_none_or(|absent| !absent[*i]));
                common_divisor(present.map(|(_, &word)| (kind.ordered(word) - least) >> shift))
            }
        };
        let span = ((most - least) >> shift) / unit;
        let narrow = [1, 2, 4].into_iter().find(|&narrow| span >> (8 * narrow) == 0).unwrap_or(8);
        Params { base: least, unit: unit << shift, width: narrow.min(size_of::<W>()) }
    }

    /// Codes of words that these are for; in the place of an absent one, the one before.
    fn codes<W: Word>(&self, words: &[W], kind: Kind, absent: Option<&[bool]>) -> Words {
        fn of<W: Word, C: Word>(words: &[W], params: &Params, kind: Kind, absent: Option<&[bool]>) -> Words {
            let mut codes: Vec<C> = widest(Encode { words, kind, params, code: PhantomData });
            if let Some(absent) = absent {
                let first = absent.iter().position(|absent| !absent);
                let mut last = first.map_or(C::from_u64(0), |first| codes[first]);
                for (code, &absent) in codes.iter_mut().zip(absent) {
                    last = if absent { last } else { *code };
                    *code = last;
                }
            }
            C::wrap(codes)
        }
        match self.width {
            1 => of::<W, u8>(words, self, kind, absent),
            2 => of::<W, u16>(words, self, kind, absent),
            4 => of::<W, u32>(words, self, kind, absent),
            _ => of::<W, u64>(words, self, kind, absent),
        }
    }
}

/// What numbers have in common.
struct Span {
    least: u64,
    most: u64,
    /// Bits that are not the same in all of them.
    differing: u64,
}

/// Makes the span of the numbers of words that are not absent, `first` one of these.
struct Survey<'a, W> {
    words: &'a [W],
    kind: Kind,
    absent: Option<&'a [bool]>,
    first: u64,
}

impl<W: Word> Work for Survey<'_, W> {
    type Output = Span;

    #[inline(always)]
    fn run(self) -> Span {
        let Survey { words, kind, absent, first } = self;
        let start = W::from_u64(first);
        let (mut least, mut most, mut same_zeros, mut same_ones) = (start, start, start, start);
        let mut add = |number: W| {
            (least, most) = (least.min(number), most.max(number));
            (same_zeros, same_ones) = (same_zeros.or(number), same_ones.and(number));
        };
        with_kind!(kind, kind => match absent {
            None => words.iter().for_each(|&word| add(W::from_u64(kind.ordered(word)))),
            Some(absent) => words.iter().zip(absent).for_each(|(&word, &absent)| {
                add(if absent { start } else { W::from_u64(kind.ordered(word)) });
            }),
        });
        Span { least: least.to_u64(), most: most.to_u64(), differing: same_zeros.to_u64() & !same_ones.to_u64() }
    }
}

/// Makes the codes of words; those of absent words mean nothing.
struct Encode<'a, W, C> {
    words: &'a [W],
    kind: Kind,
    params: &'a Params,
    code: PhantomData<C>,
}

impl<W: Word, C: Word> Work for Encode<'_, W, C> {
    type Output = Vec<C>;

    #[inline(always)]
    fn run(self) -> Vec<C> {
        let Encode { words, kind, params: &Params { base, unit, .. }, .. } = self;
        let shift = unit.trailing_zeros();
        with_kind!(kind, kind => {
            let number = |&word: &W| kind.ordered(word).wrapping_sub(base);
            match unit {
                1 => words.iter().map(|word| C::from_u64(number(word))).collect(),
                _ if unit.is_power_of_two() => words.iter().map(|word| C::from_u64(number(word) >> shift)).collect(),
                _ => words.iter().map(|word| C::from_u64(number(word) / unit)).collect(),
            }
        })
    }
}

/// Makes words of codes.
struct Decode<C, W> {
    codes: Vec<C>,
    kind: Kind,
    params: Params,
    word: PhantomData<W>,
}

impl<C: Word, W: Word> Work for Decode<C, W> {
    type Output = Vec<W>;

    #[inline(always)]
    fn run(self) -> Vec<W> {
        let Decode { codes, kind, params: Params { base, unit, .. }, .. } = self;
        with_kind!(kind, kind => {
            let word = |number: u64| kind.word(W::from_u64(number));
            match unit {
                1 => codes.into_iter().map(|code| word(base.wrapping_add(code.to_u64()))).collect(),
                _ => codes.into_iter().map(|code| word(base.wrapping_add(code.to_u64().wrapping_mul(unit)))).collect(),
            }
        })
    }
}

/// The largest number that divides all of them, or 1 if there is none.
fn common_divisor(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut divisor = 0;
    for number in numbers {
        let (mut p, mut q) = (number, divisor);
        while q > 0 {
            (p, q) = (q, p % q);
        }
        divisor = p;
        if divisor == 1 {
            break;
        }
    }
    divisor.max(1)
}

impl Order {
    /// Parameters for numbers as they are, as wide as words of `dtype`: what a stage needs that makes
    /// numbers of codes again.
    pub fn whole(dtype: DType) -> Vec<u8> {
        Params { base: 0, unit: 1, width: dtype.word() }.to_bytes()
    }

    /// Parameters for `values` and parts of them, to be asked of [`Quantizer::quantize`], and the bytes
    /// of a code.
    pub fn wanted(values: &Values, tolerance: &Tolerance) -> (Vec<u8>, usize) {
        let absent = absent(values, tolerance);
        let kind = Kind::of(values.dtype);
        let params = with_words!(&values.bits.words, v => Params::of(v, kind, absent.as_deref()));
        (params.to_bytes(), params.width)
    }
}

impl Stage for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "numbers as small integers in the same order"
    }

    fn parameters(&self) -> &'static str {
        "base: u64; unit: u64; width of a code in bytes: u8"
    }

    fn guarantee(&self) -> &'static str {
        "exact for every type"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        let Params { unit, .. } = Params::parse(params)?;
        Ok(if unit == 1 { String::new() } else { format!("unit {unit}") })
    }
}

impl Quantizer for Order {
    fn quantize(&self, values: &Values, tolerance: &Tolerance, wanted: &[u8]) -> Result<Quantized> {
        let absent = absent(values, tolerance);
        let kind = Kind::of(values.dtype);
        let (params, codes) = with_words!(&values.bits.words, v => {
            let params = match wanted {
                [] => Params::of(v, kind, absent.as_deref()),
                wanted => Params::parse(wanted)?,
            };
            let codes = params.codes(v, kind, absent.as_deref());
            (params, codes)
        });
        Ok(Quantized::with_absent(params.to_bytes(), codes, Vec::new(), absent, values))
    }

    fn code_layout(&self, _: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        let Params { width, .. } = Params::parse(params)?;
        let codes = Layout::new(width, &layout.dims.iter().map(|&d| d as u64).collect::<Vec<_>>())?;
        Ok(Layout { scan: layout.scan.clone(), ..codes })
    }

    fn reconstruct(&self, codes: Codes, dtype: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
        fn words<C: Word, W: Word>(codes: Vec<C>, kind: Kind, params: Params) -> Words {
            W::wrap(widest(Decode { codes, kind, params, word: PhantomData::<W> }))
        }
        let (params, kind) = (Params::parse(params)?, Kind::of(dtype));
        let words = with_words!(codes.words, v => match dtype.word() {
            1 => words::<_, u8>(v, kind, params),
            2 => words::<_, u16>(v, kind, params),
            4 => words::<_, u32>(v, kind, params),
            _ => words::<_, u64>(v, kind, params),
        });
        Ok(Codes::plain(codes.dims, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order() {
        let floats = [f32::NEG_INFINITY, f32::MIN, -1.0, -f32::MIN_POSITIVE, -0.0, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY];
        let codes = floats.map(|x| Kind::Float.ordered(x.to_bits()));
        assert!(codes.is_sorted_by(|a, b| a < b));
        assert_eq!(codes.map(|code| f32::from_bits(Kind::Float.word(code as u32))), floats);
        let integers = [i16::MIN, -1, 0, 1, i16::MAX].map(|x| Kind::Signed.ordered(x as u16));
        assert!(integers.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn codes_are_as_small_as_can_be() {
        let bytes: Vec<u8> = [-300i32, 0, 1200, -900].iter().flat_map(|x| x.to_le_bytes()).collect();
        let values = Values::from_bytes(DType::I32, false, &[4], bytes).expect("four integers");
        let quantized = Order.quantize(&values, &Tolerance::exact(vec![]), &[]).expect("any values");
        assert_eq!(quantized.codes.words, Words::U8(vec![2, 3, 7, 0]));
    }
}
