//! Adaptive binary arithmetic coding, for what is small beside the codes: masks, tables, weights.
//!
//! A carry-less range coder of 32 bits over adaptive probabilities of 16 bits. Writing and reading
//! are one trait, so that a structure is described once for both directions.

/// Probability that the next bit of its kind is one, learnt from those before.
#[derive(Clone, Copy, Debug)]
pub struct Bit {
    one: u16,
    seen: u8,
}

/// Bits seen after which the rate of learning stays as it is.
const SLOWEST: u8 = 20;

impl Default for Bit {
    fn default() -> Self {
        Bit { one: 1 << 15, seen: 0 }
    }
}

impl Bit {
    fn probability(self) -> u32 {
        u32::from(self.one).clamp(32, 65_504)
    }

    fn learn(&mut self, bit: bool) {
        let rate = u16::from(self.seen) + 2;
        self.seen = (self.seen + 1).min(SLOWEST);
        match bit {
            true => self.one += (u16::MAX - self.one) / rate,
            false => self.one -= self.one / rate,
        }
    }
}

/// A coder of bits: a writer gives back what it is given, a reader what was written.
pub trait Binary {
    /// A bit whose probability of being one is `one` / 65536.
    fn coded(&mut self, bit: bool, one: u32) -> bool;

    /// A bit with a probability that learns.
    fn bit(&mut self, bit: bool, model: &mut Bit) -> bool {
        let bit = self.coded(bit, model.probability());
        model.learn(bit);
        bit
    }

    /// The low `n` bits of a number, as likely one as zero, highest first.
    fn raw(&mut self, number: u64, n: u32) -> u64 {
        (0..n).rev().fold(0, |read, i| read << 1 | u64::from(self.coded(number >> i & 1 == 1, 1 << 15)))
    }

    /// The low bits of a number, highest first, each with a model for the bits before it: as many
    /// as `models.len()` is a power of two.
    fn tree(&mut self, number: u32, models: &mut [Bit]) -> u32 {
        let n = models.len().ilog2();
        let node = (0..n).rev().fold(1, |node, i| {
            let bit = self.bit(number >> i & 1 == 1, &mut models[node]);
            node << 1 | usize::from(bit)
        });
        (node - (1 << n)) as u32
    }

    /// A signed number below 2^30 in magnitude: the bit length of its zigzag code plus one through
    /// 32 models, then the bits below the highest.
    fn signed(&mut self, number: i32, models: &mut [Bit; 32]) -> i32 {
        let code = ((number << 1) ^ (number >> 31)) as u32 + 1;
        let length = self.tree(code.ilog2(), models);
        let code = (1u64 << length | self.raw(u64::from(code), length)) as u32 - 1;
        (code >> 1) as i32 ^ -((code & 1) as i32)
    }
}

/// Writes bits to bytes.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    low: u32,
    high: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Writer { bytes: Vec::new(), low: 0, high: u32::MAX }
    }
}

fn split(low: u32, high: u32, one: u32) -> u32 {
    low + ((u64::from(high - low) * u64::from(one)) >> 16) as u32
}

impl Writer {
    /// The bytes of all bits. Trailing zeros are left out: a reader supplies them.
    pub fn finish(mut self) -> Vec<u8> {
        // The shortest number inside the interval.
        let mut shift = 24;
        while shift > 0 && (self.high >> shift << shift) < self.low.max(1) {
            shift -= 8;
        }
        let number = if self.low == 0 { 0 } else { self.high >> shift << shift };
        self.bytes.extend_from_slice(&number.to_be_bytes());
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }
}

impl Binary for Writer {
    fn coded(&mut self, bit: bool, one: u32) -> bool {
        let middle = split(self.low, self.high, one);
        match bit {
            true => self.high = middle,
            false => self.low = middle + 1,
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.bytes.push((self.low >> 24) as u8);
            self.low <<= 8;
            self.high = self.high << 8 | 255;
        }
        bit
    }
}

/// Reads bits from bytes; zeros follow the last.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: std::slice::Iter<'a, u8>,
    low: u32,
    high: u32,
    number: u32,
}

impl<'a> Reader<'a> {
    /// A reader of what a [`Writer`] gave.
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut reader = Reader { bytes: bytes.iter(), low: 0, high: u32::MAX, number: 0 };
        for _ in 0..4 {
            reader.shift();
        }
        reader
    }

    fn shift(&mut self) {
        self.number = self.number << 8 | u32::from(self.bytes.next().copied().unwrap_or(0));
    }
}

impl Binary for Reader<'_> {
    fn coded(&mut self, _: bool, one: u32) -> bool {
        let middle = split(self.low, self.high, one);
        let bit = self.number <= middle;
        match bit {
            true => self.high = middle,
            false => self.low = middle + 1,
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.low <<= 8;
            self.high = self.high << 8 | 255;
            self.shift();
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::SplitMix64;

    fn both(coder: &mut impl Binary, numbers: &[u64]) -> Vec<u64> {
        let (mut bits, mut tree, mut lengths) = ([Bit::default(); 4], [Bit::default(); 64], [Bit::default(); 32]);
        let mut read = Vec::new();
        for (i, &number) in numbers.iter().enumerate() {
            read.push(u64::from(coder.bit(number % 3 == 0, &mut bits[i % 4])));
            read.push(coder.raw(number, 17));
            read.push(u64::from(coder.tree(number as u32 & 63, &mut tree)));
            read.push(coder.signed((number >> 30) as i32 >> (number & 31), &mut lengths) as u64);
        }
        read
    }

    #[test]
    fn what_is_written_is_read() {
        for n in [0, 1, 2, 3, 1000] {
            let numbers: Vec<u64> = SplitMix64(n as u64).map(|r| r & ((1 << 60) - 1)).take(n).collect();
            let mut writer = Writer::default();
            let written = both(&mut writer, &numbers);
            let bytes = writer.finish();
            assert_eq!(both(&mut Reader::new(&bytes), &numbers.iter().map(|_| 0).collect::<Vec<_>>()).len(), written.len());
            let mut reader = Reader::new(&bytes);
            assert_eq!(both(&mut reader, &vec![0; n]), written);
            assert_ne!(bytes.last(), Some(&0));
        }
    }

    #[test]
    fn likely_bits_cost_little() {
        let mut writer = Writer::default();
        let mut model = Bit::default();
        for _ in 0..100_000 {
            writer.bit(false, &mut model);
        }
        assert!(writer.finish().len() < 20);
    }
}
