//! Adaptive binary range coding with carries (Martin, Video and Data Recording Conference, 1979; in the
//! form that LZMA made common), and bits beside it that are as likely one as zero.

use errbar_format::Result;

use super::corrupt;
use super::raw::RawWriter;

/// Bits of a probability.
const SCALE_BITS: u32 = 16;
/// A range below this is renewed.
const LEAST: u32 = 1 << 24;

/// Probability that the next bit of its kind is one: the mean of one that learns fast and one that
/// learns slowly, but for the first bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bit {
    fast: u16,
    slow: u16,
    seen: u8,
}

/// How much of what is new counts: 1 / 2^n.
const FAST: u32 = 4;
const SLOW: u32 = 7;

impl Default for Bit {
    fn default() -> Self {
        Bit { fast: 1 << 15, slow: 1 << 15, seen: 0 }
    }
}

impl Bit {
    /// The part of a range that stands for one; neither nothing nor all.
    #[inline(always)]
    fn share(self, range: u32) -> u32 {
        let one = ((u32::from(self.fast) + u32::from(self.slow)) >> 1).clamp(48, 65_488);
        ((u64::from(range) * u64::from(one)) >> SCALE_BITS) as u32
    }

    #[inline(always)]
    fn learn(&mut self, bit: bool) {
        let early = (u32::from(self.seen) + 3).ilog2();
        self.seen = self.seen.saturating_add(u8::from(self.seen < 125));
        let towards = |p: u16, rate: u32| if bit { p + ((u16::MAX - p) >> rate) } else { p - (p >> rate) };
        self.fast = towards(self.fast, FAST.min(early));
        self.slow = towards(self.slow, SLOW.min(early));
    }
}

/// A coder of bits: a writer gives back what it is given, a reader what was written.
pub(super) trait Bits {
    /// Whether what is given counts.
    const WRITES: bool;

    fn bit(&mut self, bit: bool, model: &mut Bit) -> bool;

    /// The low `n` bits of a number.
    fn raw(&mut self, number: u64, n: u32) -> u64;
}

/// Writes bits.
#[derive(Debug)]
pub(super) struct Writer {
    low: u64,
    range: u32,
    /// The last byte that is not written yet, and how many of 255 follow it: a carry changes them all.
    pending: Option<u8>,
    full: usize,
    coded: Vec<u8>,
    raw: RawWriter,
}

impl Writer {
    pub(super) fn new() -> Writer {
        Writer { low: 0, range: u32::MAX, pending: None, full: 0, coded: Vec::new(), raw: RawWriter::default() }
    }

    fn shift(&mut self) {
        let carry = (self.low >> 32) as u8;
        let byte = (self.low >> 24) as u8;
        if carry == 1 || byte != 255 {
            if let Some(pending) = self.pending {
                self.coded.push(pending.wrapping_add(carry));
            }
            self.coded.extend(std::iter::repeat_n(255u8.wrapping_add(carry), self.full));
            (self.pending, self.full) = (Some(byte), 0);
        } else {
            self.full += 1;
        }
        self.low = (self.low << 8) & 0xFFFF_FFFF;
    }

    /// The bytes of coded bits, and of the others.
    pub(super) fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        for _ in 0..5 {
            self.shift();
        }
        (self.coded, self.raw.finish())
    }
}

impl Bits for Writer {
    const WRITES: bool = true;

    #[inline(always)]
    fn bit(&mut self, bit: bool, model: &mut Bit) -> bool {
        let ones = model.share(self.range);
        if bit {
            self.range = ones;
        } else {
            self.low += u64::from(ones);
            self.range -= ones;
        }
        while self.range < LEAST {
            self.range <<= 8;
            self.shift();
        }
        model.learn(bit);
        bit
    }

    #[inline(always)]
    fn raw(&mut self, number: u64, n: u32) -> u64 {
        self.raw.put(number as u32, n.min(32));
        if n > 32 {
            self.raw.put((number >> 32) as u32, n - 32);
        }
        0
    }
}

/// Reads bits; zeros follow the last byte.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    code: u32,
    range: u32,
    coded: &'a [u8],
    next: usize,
    raw: &'a [u8],
    next_raw: usize,
    held: u64,
    n_held: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(coded: &'a [u8], raw: &'a [u8]) -> Reader<'a> {
        let mut reader = Reader { code: 0, range: u32::MAX, coded, next: 0, raw, next_raw: 0, held: 0, n_held: 0 };
        for _ in 0..4 {
            reader.shift();
        }
        reader
    }

    #[inline(always)]
    fn shift(&mut self) {
        self.code = self.code << 8 | u32::from(self.coded.get(self.next).copied().unwrap_or(0));
        self.next += 1;
    }

    /// Makes sure that all was read and nothing else.
    pub(super) fn finish(self) -> Result<()> {
        match self.next == self.coded.len() && self.next_raw == self.raw.len() && self.held == 0 && self.n_held < 8 {
            true => Ok(()),
            false => Err(corrupt("the bits do not end where their bytes do")),
        }
    }
}

impl Bits for Reader<'_> {
    const WRITES: bool = false;

    #[inline(always)]
    fn bit(&mut self, _: bool, model: &mut Bit) -> bool {
        let ones = model.share(self.range);
        let bit = self.code < ones;
        if bit {
            self.range = ones;
        } else {
            self.code -= ones;
            self.range -= ones;
        }
        while self.range < LEAST {
            self.range <<= 8;
            self.shift();
        }
        model.learn(bit);
        bit
    }

    #[inline(always)]
    fn raw(&mut self, _: u64, n: u32) -> u64 {
        let (mut number, mut done) = (0, 0);
        while done < n {
            let now = (n - done).min(32);
            while self.n_held < now {
                self.held |= u64::from(self.raw.get(self.next_raw).copied().unwrap_or(0)) << self.n_held;
                self.next_raw += 1;
                self.n_held += 8;
            }
            number |= (self.held & ((1 << now) - 1)) << done;
            self.held >>= now;
            self.n_held -= now;
            done += now;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::SplitMix64;

    #[test]
    fn bits_come_back() {
        for skew in [1, 2, 40, 1000, 100_000] {
            let given: Vec<u64> = SplitMix64(skew).take(50_000).collect();
            let mut writer = Writer::new();
            let mut models = [Bit::default(); 2];
            for (i, random) in given.iter().enumerate() {
                writer.bit(random % skew == 0, &mut models[i % 2]);
                writer.raw(random >> 3, (random % 62) as u32);
            }
            let (coded, raw) = writer.finish();
            let mut reader = Reader::new(&coded, &raw);
            let mut models = [Bit::default(); 2];
            for (i, random) in given.iter().enumerate() {
                assert_eq!(reader.bit(false, &mut models[i % 2]), random % skew == 0);
                let n = (random % 62) as u32;
                assert_eq!(reader.raw(0, n), random >> 3 & ((1 << n) - 1));
            }
            assert!(reader.finish().is_ok(), "{skew}");
        }
    }
}
