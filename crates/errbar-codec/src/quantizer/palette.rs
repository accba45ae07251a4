use errbar_format::{DType, Error, Result};

use crate::codes::Word;
use crate::quantizer::ordered::{Kind, absent};
use crate::stage::{Coder, Quantized, Quantizer, Stage, bad_params};
use crate::{Codes, Layout, Tolerance, Values, Words, coder, with_words};

/// Few different numbers as their ranks among each other: packed, rounded and counted values, whatever
/// became of their scale since. Loses nothing. See `spec/stages/palette.md`.
#[derive(Clone, Copy, Debug)]
pub struct Palette;

/// Most numbers of a palette.
const MOST: usize = 1 << 16;
/// Bits of words that there must be for each: listing one costs about its own bits, and each of its words
/// saves some of them.
const REPEATED_BITS: usize = 128;
/// Words that tell quickly that there are too many different ones, and the share of them that are there
/// twice where [`MOST`] numbers are equally frequent.
const GLANCE: usize = 4096;
const COLLIDE: usize = 2 * MOST / GLANCE;
/// Bits of numbers that are their own places in a table.
const DIRECT_BITS: u32 = 16;
/// Level of pco for the list of numbers.
const LEVEL: u8 = 8;

/// The numbers, ascending, as [`Kind::ordered`] gives them.
struct Numbers(Vec<u64>);

/// The number type of pco for words of `width` bytes.
fn pco_params(width: usize) -> Vec<u8> {
    coder::Pco::params(DType::unsigned(width), LEVEL)
}

/// How many numbers, and the list's bytes.
fn parts(params: &[u8]) -> Result<(usize, &[u8])> {
    let (&n, list) = params.split_first_chunk().ok_or_else(|| bad_params("palette ends early"))?;
    match u32::from_le_bytes(n) as usize {
        n @ 1..=MOST => Ok((n, list)),
        n => Err(bad_params(&format!("palette of {n} numbers"))),
    }
}

/// Bytes of a rank.
fn width(n: usize) -> usize {
    if n > 1 << 8 { 2 } else { 1 }
}

impl Numbers {
    fn parse(params: &[u8], dtype: DType) -> Result<Numbers> {
        let (n, list) = parts(params)?;
        let codes = coder::Pco.decode(list, &Layout::plain(dtype.word(), vec![n]), &pco_params(dtype.word()));
        let codes = codes.map_err(|error| bad_params(&format!("palette's list: {error}")))?;
        Ok(Numbers(with_words!(&codes.words, v => v.iter().map(|word| word.to_u64()).collect())))
    }

    fn to_params(&self, dtype: DType) -> Result<Vec<u8>> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|number| number.to_le_bytes()[..dtype.word()].to_vec()).collect();
        let codes = Codes::from_le_bytes(&Layout::plain(dtype.word(), vec![self.0.len()]), bytes)?;
        let mut params = (self.0.len() as u32).to_le_bytes().to_vec();
        params.extend(coder::Pco.encode(&codes, &pco_params(dtype.word()))?);
        Ok(params)
    }

    /// The numbers of words, if they are few.
    fn of<W: Word>(words: &[W], kind: Kind, absent: Option<&[bool]>) -> Option<Numbers> {
        let is_absent = |i: usize| absent.is_some_and(|absent| absent[i]);
        let numbers = |step: usize| (0..words.len()).step_by(step).filter(move |&i| !is_absent(i)).map(|i| kind.ordered(words[i]));
        let stride = (words.len() / GLANCE).max(1);
        let mut places = Places::new(W::BITS);
        let seen = numbers(stride).filter(|&number| places.find(number).is_some()).count();
        if seen - places.numbers.len() < seen / COLLIDE {
            return None;
        }
        let most = MOST.min(words.len() * W::BITS as usize / REPEATED_BITS);
        let fits = numbers(1).all(|number| places.find(number).is_some_and(|place| place < most));
        places.numbers.sort_unstable();
        (fits && !places.numbers.is_empty()).then_some(Numbers(places.numbers))
    }
}

/// Numbers by the order in which they were met: an open hash table.
struct Places {
    numbers: Vec<u64>,
    /// One more than the place of a number; 0 where there is none. A power of two of them, twice as
    /// many as numbers at least, or one for each number that there can be.
    slots: Vec<u32>,
    /// Whether numbers are their own slots.
    is_direct: bool,
}

impl Places {
    /// For numbers of so many bits.
    fn new(bits: u32) -> Places {
        let is_direct = bits <= DIRECT_BITS;
        Places { numbers: Vec::new(), slots: vec![0; if is_direct { 1 << bits } else { 1024 }], is_direct }
    }

    #[inline(always)]
    fn slot(&self, number: u64) -> usize {
        if self.is_direct {
            return number as usize;
        }
        let mask = self.slots.len() - 1;
        let mut at = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & mask;
        while self.slots[at] != 0 && self.numbers[self.slots[at] as usize - 1] != number {
            at = (at + 1) & mask;
        }
        at
    }

    /// The place of a number, which is added if it is new and there is room.
    fn find(&mut self, number: u64) -> Option<usize> {
        let at = self.slot(number);
        if self.slots[at] > 0 {
            return Some(self.slots[at] as usize - 1);
        }
        if self.numbers.len() == MOST {
            return None;
        }
        self.numbers.push(number);
        self.slots[at] = self.numbers.len() as u32;
        if !self.is_direct && 2 * self.numbers.len() > self.slots.len() {
            self.slots = vec![0; 2 * self.slots.len()];
            for place in 0..self.numbers.len() {
                let at = self.slot(self.numbers[place]);
                self.slots[at] = place as u32 + 1;
            }
        }
        Some(self.numbers.len() - 1)
    }
}

impl Palette {
    /// The palette of `values`, if they have few different numbers, to be asked of
    /// [`Quantizer::quantize`]; and the bytes of its codes.
    pub fn wanted(values: &Values, tolerance: &Tolerance) -> Option<(Vec<u8>, usize)> {
        let absent = absent(values, tolerance);
        let kind = Kind::of(values.dtype);
        let numbers = with_words!(&values.bits.words, v => Numbers::of(v, kind, absent.as_deref()))?;
        Some((numbers.to_params(values.dtype).ok()?, width(numbers.0.len())))
    }
}

impl Stage for Palette {
    fn name(&self) -> &'static str {
        "palette"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "few different numbers as their ranks"
    }

    fn parameters(&self) -> &'static str {
        "n: u32; n numbers, ascending, as a pco file"
    }

    fn guarantee(&self) -> &'static str {
        "exact for every type; other words than those listed are exact values"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        Ok(format!("{} numbers", parts(params)?.0))
    }
}

impl Quantizer for Palette {
    fn quantize(&self, values: &Values, tolerance: &Tolerance, wanted: &[u8]) -> Result<Quantized> {
        let (absent, kind, dtype) = (absent(values, tolerance), Kind::of(values.dtype), values.dtype);
        let numbers = match wanted {
            [] => with_words!(&values.bits.words, v => Numbers::of(v, kind, absent.as_deref()))
                .ok_or_else(|| Error::usage("the values have too many different numbers for a palette"))?,
            wanted => Numbers::parse(wanted, dtype)?,
        };
        let mut places = Places::new(8 * dtype.word() as u32);
        for &number in &numbers.0 {
            places.find(number);
        }
        let (mut last, mut exact) = (0, Vec::new());
        let ranks: Vec<u16> = with_words!(&values.bits.words, v => {
            let rank = |(i, &word): (usize, _)| {
                if absent.as_deref().is_none_or(|absent| !absent[i]) {
                    match places.slots[places.slot(kind.ordered(word))] {
                        0 => exact.push(i as u32),
                        place => last = (place - 1) as u16,
                    }
                }
                last
            };
            v.iter().enumerate().map(rank).collect()
        });
        let codes = match width(numbers.0.len()) {
            1 => Words::U8(ranks.iter().map(|&rank| rank as u8).collect()),
            _ => Words::U16(ranks),
        };
        let params = if wanted.is_empty() { numbers.to_params(dtype)? } else { wanted.to_vec() };
        Ok(Quantized::with_absent(params, codes, exact, absent, values))
    }

    fn code_layout(&self, _: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        Ok(Layout { width: width(parts(params)?.0), ..layout.clone() })
    }

    fn reconstruct(&self, codes: Codes, dtype: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
        fn words<C: Word, W: Word>(codes: &[C], kind: Kind, numbers: &[u64]) -> Words {
            let list: Vec<W> = numbers.iter().map(|&number| kind.word(W::from_u64(number))).collect();
            let last = list.len() - 1;
            W::wrap(codes.iter().map(|code| list[(code.to_u64() as usize).min(last)]).collect())
        }
        let (Numbers(numbers), kind) = (Numbers::parse(params, dtype)?, Kind::of(dtype));
        let words = with_words!(&codes.words, v => match dtype.word() {
            1 => words::<_, u8>(v, kind, &numbers),
            2 => words::<_, u16>(v, kind, &numbers),
            4 => words::<_, u32>(v, kind, &numbers),
            _ => words::<_, u64>(v, kind, &numbers),
        });
        Ok(Codes::plain(codes.dims, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_numbers() {
        let floats: Vec<u8> = (0..100).flat_map(|i| [-0.5f32, 1e9, 0.25, -7.0][i * i % 4].to_le_bytes()).collect();
        let values = Values::from_bytes(DType::F32, false, &[100], floats).expect("100 floats");
        let quantized = Palette.quantize(&values, &Tolerance::exact(vec![]), &[]).expect("few numbers");
        let Words::U8(ranks) = &quantized.codes.words else { panic!("narrow ranks") };
        assert_eq!(ranks[..4], [0, 1, 0, 1]);
        let noise: Vec<u8> = (0..1000u32).flat_map(|i| i.to_le_bytes()).collect();
        let noise = Values::from_bytes(DType::U32, false, &[1000], noise).expect("1000 integers");
        assert!(Palette.quantize(&noise, &Tolerance::exact(vec![]), &[]).is_err());
    }

    #[test]
    fn wide_words_may_have_more_numbers() {
        let is_wanted = |dtype: DType, n_numbers: usize| {
            let number = |i: usize| (i * 7919 % n_numbers) as u64 * 1_000_003;
            let bytes: Vec<u8> = (0..9000).flat_map(|i| number(i).to_le_bytes()[..dtype.size()].to_vec()).collect();
            let values = Values::from_bytes(dtype, false, &[9000], bytes).expect("9,000 integers");
            Palette::wanted(&values, &Tolerance::exact(vec![])).is_some()
        };
        assert!(is_wanted(DType::U64, 4000) && !is_wanted(DType::U64, 5000));
        assert!(is_wanted(DType::U32, 2000) && !is_wanted(DType::U32, 3000));
    }
}
