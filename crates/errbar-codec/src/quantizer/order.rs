use errbar_format::{DType, Result};

use crate::codes::Word;
use crate::quantizer::ordered::{Kind, absent};
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

    /// Those that suit `numbers`, of which `kind` made words of `width` bytes.
    #[inline(always)]
    fn of(numbers: &[u64], kind: Kind, width: usize) -> Params {
        let first = numbers.first().copied().unwrap_or(0);
        let (mut least, mut most, mut differing) = (first, first, 0);
        for &number in numbers {
            (least, most, differing) = (least.min(number), most.max(number), differing | (number ^ first));
        }
        let shift = if differing == 0 { 0 } else { differing.trailing_zeros() };
        let unit = match kind {
            // A fraction's lowest bits may all be zero, but exponents are no multiples of anything.
            Kind::Float => 1,
            _ => common_divisor(numbers, least, shift),
        };
        let span = ((most - least) >> shift) / unit;
        let narrow = [1, 2, 4].into_iter().find(|&narrow| span >> (8 * narrow) == 0).unwrap_or(8);
        Params { base: least, unit: unit << shift, width: narrow.min(width) }
    }

    /// Codes of numbers that these are for.
    fn codes(&self, numbers: &[u64]) -> Words {
        let (base, unit, shift) = (self.base, self.unit, self.unit.trailing_zeros());
        let code = |number: &u64| match unit.is_power_of_two() {
            true => (number - base) >> shift,
            false => (number - base) / unit,
        };
        match self.width {
            1 => Words::U8(numbers.iter().map(|number| code(number) as u8).collect()),
            2 => Words::U16(numbers.iter().map(|number| code(number) as u16).collect()),
            4 => Words::U32(numbers.iter().map(|number| code(number) as u32).collect()),
            _ => Words::U64(numbers.iter().map(code).collect()),
        }
    }
}

/// Words in order; in the place of an absent one, the one before.
fn numbers<W: Word>(words: &[W], kind: Kind, absent: Option<&[bool]>) -> Vec<u64> {
    let mut numbers: Vec<u64> = words.iter().map(|&word| kind.ordered(word)).collect();
    if let Some(absent) = absent {
        let mut last = absent.iter().position(|absent| !absent).map_or(0, |first| numbers[first]);
        for (number, &absent) in numbers.iter_mut().zip(absent) {
            last = if absent { last } else { *number };
            *number = last;
        }
    }
    numbers
}

/// The largest number that divides all differences to `base`, which are multiples of `2^shift`, by that.
fn common_divisor(numbers: &[u64], base: u64, shift: u32) -> u64 {
    let mut divisor = 0;
    for &number in numbers {
        let (mut p, mut q) = ((number - base) >> shift, divisor);
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
        let numbers = with_words!(&values.bits.words, v => numbers(v, kind, absent.as_deref()));
        let params = Params::of(&numbers, kind, values.dtype.word());
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
        let numbers = with_words!(&values.bits.words, v => numbers(v, kind, absent.as_deref()));
        let params = match wanted {
            [] => Params::of(&numbers, kind, values.dtype.word()),
            wanted => Params::parse(wanted)?,
        };
        Ok(Quantized::with_absent(params.to_bytes(), params.codes(&numbers), Vec::new(), absent, values))
    }

    fn code_layout(&self, _: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        let Params { width, .. } = Params::parse(params)?;
        let codes = Layout::new(width, &layout.dims.iter().map(|&d| d as u64).collect::<Vec<_>>())?;
        Ok(Layout { scan: layout.scan.clone(), ..codes })
    }

    fn reconstruct(&self, codes: Codes, dtype: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
        fn words<C: Word, W: Word>(codes: &[C], kind: Kind, Params { base, unit, .. }: Params) -> Words {
            let number = |code: &C| W::from_u64(base.wrapping_add(code.to_u64().wrapping_mul(unit)));
            W::wrap(codes.iter().map(|code| kind.word(number(code))).collect())
        }
        let (params, kind) = (Params::parse(params)?, Kind::of(dtype));
        let words = with_words!(&codes.words, v => match dtype.word() {
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
