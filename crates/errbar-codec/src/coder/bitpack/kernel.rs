//! One block: its head, its bits, its patches. Loops over slices that know their sizes.

use crate::codes::Word;

/// Codes of a block.
pub(super) const BLOCK: usize = 64;
/// Bits of a position within a block.
const POSITION: u32 = BLOCK.ilog2();

/// How a block is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Low bits that every code has.
    pub(super) low: u8,
    /// Bits above them that a patch has.
    pub(super) high: u8,
    /// Patches, at most one less than codes.
    pub(super) patches: u8,
}

impl Head {
    /// Whether codes of so many bits can be meant.
    pub(super) fn fits(self, bits: u32) -> bool {
        let patched = (self.patches > 0, self.high > 0);
        u32::from(self.low) + u32::from(self.high) <= bits && usize::from(self.patches) < BLOCK && patched.0 == patched.1
    }

    /// Bytes of the block.
    pub(super) fn bytes(self) -> usize {
        let patch = POSITION as usize + usize::from(self.high);
        BLOCK / 8 * usize::from(self.low) + (usize::from(self.patches) * patch).div_ceil(8)
    }

    /// The head that makes the block smallest.
    fn choose<W: Word>(block: &[W; BLOCK]) -> Head {
        let union = block.iter().fold(W::from_u64(0), |union, code| union.or(*code));
        let full = u64::BITS - union.to_u64().leading_zeros();
        let mut best = Head { low: full as u8, high: 0, patches: 0 };
        let mut least = BLOCK as u32 * full;
        for low in (0..full).rev() {
            let mask = W::from_u64((1 << low) - 1);
            let patches = block.iter().map(|code| u8::from(*code > mask)).sum::<u8>();
            let cost = u32::from(patches) * (POSITION + full - low);
            // Fewer low bits only make patches more and wider.
            if cost >= least || usize::from(patches) == BLOCK {
                break;
            }
            if cost + BLOCK as u32 * low < least {
                least = cost + BLOCK as u32 * low;
                best = Head { low: low as u8, high: (full - low) as u8, patches };
            }
        }
        best
    }
}

/// Calls a macro with each index of a block, so that every shift is a constant.
macro_rules! each {
    ($step:ident) => {
        each!(@eight $step, 0 8 16 24 32 40 48 56)
    };
    (@eight $step:ident, $($at:literal)*) => {
        $($step!($at); $step!($at + 1); $step!($at + 2); $step!($at + 3); $step!($at + 4); $step!($at + 5); $step!($at + 6); $step!($at + 7);)*
    };
}

/// The low `BITS` bits, 1 to 32, of each code, without gaps from the least bit of the first byte up.
fn pack<const BITS: usize>(codes: &[u32; BLOCK], bytes: &mut [u8]) {
    let mut words = [0u64; 33];
    let mask = u32::MAX >> (32 - BITS);
    macro_rules! step {
        ($i:expr) => {{
            const I: usize = $i;
            let (at, shift) = (I * BITS / 64, I * BITS % 64);
            let code = u64::from(codes[I] & mask);
            words[at] |= code << shift;
            if shift + BITS > 64 {
                words[at + 1] |= code >> (64 - shift);
            }
        }};
    }
    each!(step);
    let (bytes, _) = bytes.as_chunks_mut::<8>();
    for (bytes, word) in bytes.iter_mut().zip(&words[..BITS]) {
        *bytes = word.to_le_bytes();
    }
}

/// Inverse of [`pack`].
fn unpack<const BITS: usize>(bytes: &[u8], codes: &mut [u32; BLOCK]) {
    let mut words = [0u64; 33];
    let (bytes, _) = bytes.as_chunks::<8>();
    for (bytes, word) in bytes.iter().zip(&mut words[..BITS]) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mask = u32::MAX >> (32 - BITS);
    macro_rules! step {
        ($i:expr) => {{
            const I: usize = $i;
            let (at, shift) = (I * BITS / 64, I * BITS % 64);
            let mut code = words[at] >> shift;
            if shift + BITS > 64 {
                code |= words[at + 1] << (64 - shift);
            }
            codes[I] = code as u32 & mask;
        }};
    }
    each!(step);
}

/// Runs a kernel for a number of bits from 1 to 32; other numbers do nothing.
macro_rules! dispatch {
    ($kernel:ident, $bits:expr, $a:expr, $b:expr) => {
        dispatch!(@ $kernel, $bits, $a, $b, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32)
    };
    (@ $kernel:ident, $bits:expr, $a:expr, $b:expr, $($n:literal)*) => {
        match $bits {
            $($n => $kernel::<$n>($a, $b),)*
            _ => {}
        }
    };
}

/// Bytes that must be left behind the last of a stream.
const SPARE: usize = 8;

/// A stream of bits, the least of each byte first.
struct Bits<'a> {
    bytes: &'a mut [u8],
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a mut [u8]) -> Bits<'a> {
        Bits { bytes, held: 0, count: 0 }
    }

    /// Appends `bits` bits, at most 56, of a value that has no others.
    fn put(&mut self, value: u64, bits: u32) {
        self.held |= value << self.count;
        self.count += bits;
        // Whole bytes stay; the others are written again with the bits that come to them.
        if let Some(place) = self.bytes.first_chunk_mut() {
            *place = self.held.to_le_bytes();
        }
        let full = (self.count / 8) as usize;
        self.bytes = std::mem::take(&mut self.bytes).get_mut(full..).unwrap_or_default();
        self.held >>= self.count & !7;
        self.count &= 7;
    }

    /// Appends `bits` bits, at most 64.
    fn put_wide(&mut self, value: u64, bits: u32) {
        let low = bits.min(32);
        self.put(value & mask(low), low);
        if bits > 32 {
            self.put(value >> 32, bits - 32);
        }
    }
}

/// `bits` bits, at most 56, from bit `at` on; zeros where the bytes have ended.
fn get(bytes: &[u8], at: usize, bits: u32) -> u64 {
    let bytes = bytes.get(at / 8..).unwrap_or_default();
    let word = match bytes.first_chunk() {
        Some(word) => *word,
        None => {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            word
        }
    };
    u64::from_le_bytes(word) >> (at % 8) & mask(bits)
}

/// `bits` bits, at most 64.
fn get_wide(bytes: &[u8], at: usize, bits: u32) -> u64 {
    match bits {
        0..=56 => get(bytes, at, bits),
        _ => get(bytes, at, 32) | get(bytes, at + 32, bits - 32) << 32,
    }
}

fn mask(bits: u32) -> u64 {
    if bits == 0 { 0 } else { u64::MAX >> (64 - bits) }
}

/// Appends a block to `body`.
pub(super) fn encode<W: Word>(block: &[W; BLOCK], body: &mut Vec<u8>) -> Head {
    let head = Head::choose(block);
    let (low, from) = (u32::from(head.low), body.len());
    body.resize(from + head.bytes() + SPARE, 0);
    if low > 32 {
        let mut bits = Bits::new(&mut body[from..]);
        block.iter().for_each(|code| bits.put_wide(code.to_u64() & mask(low), low));
    } else if low > 0 {
        let codes: &[u32; BLOCK] = &block.map(|code| code.to_u64() as u32);
        dispatch!(pack, low, codes, &mut body[from..]);
    }
    if head.patches > 0 {
        encode_patches(head, block, &mut body[from + BLOCK / 8 * low as usize..]);
    }
    body.truncate(from + head.bytes());
    head
}

fn encode_patches<W: Word>(head: Head, block: &[W; BLOCK], bytes: &mut [u8]) {
    let low = u32::from(head.low);
    let most = W::from_u64(mask(low));
    let flags = block.map(|code| u8::from(code > most));
    let (rows, _) = flags.as_chunks::<8>();
    // The product brings bit 8k, for k from 0 to 7, to bit 56 + k.
    let eight = |row: &[u8; 8]| u64::from_le_bytes(*row).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let patched = rows.iter().enumerate().fold(0, |all, (i, row)| all | eight(row) << (8 * i));
    let mut bits = Bits::new(bytes);
    let mut left = patched;
    while left != 0 {
        bits.put(left.trailing_zeros().into(), POSITION);
        left &= left - 1;
    }
    let mut left = patched;
    while left != 0 {
        bits.put_wide(block[left.trailing_zeros() as usize % BLOCK].to_u64() >> low, head.high.into());
        left &= left - 1;
    }
}

/// A block from the front of `bytes`, which are at least as many as its head asks for.
pub(super) fn decode<W: Word>(head: Head, bytes: &[u8], block: &mut [W; BLOCK]) {
    let low = u32::from(head.low);
    if low > 32 {
        block.iter_mut().enumerate().for_each(|(i, code)| *code = W::from_u64(get_wide(bytes, i * low as usize, low)));
    } else if low > 0 {
        let mut codes = [0; BLOCK];
        dispatch!(unpack, low, bytes, &mut codes);
        *block = codes.map(|code| W::from_u64(code.into()));
    }
    let (patches, high) = (usize::from(head.patches), usize::from(head.high));
    let positions = BLOCK * low as usize;
    let uppers = positions + patches * POSITION as usize;
    for i in 0..patches {
        let at = get(bytes, positions + i * POSITION as usize, POSITION) as usize;
        let upper = get_wide(bytes, uppers + i * high, high as u32);
        block[at] = W::from_u64(block[at].to_u64() | upper << low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::SplitMix64;

    fn round_trip<W: Word>(block: &[W; BLOCK]) -> Head {
        let mut body = vec![0xA5];
        let head = encode(block, &mut body);
        assert!(head.fits(W::BITS) && body.len() == 1 + head.bytes(), "{head:?}");
        let mut back = [W::from_u64(0); BLOCK];
        decode(head, &body[1..], &mut back);
        assert_eq!(back, *block, "{head:?}");
        head
    }

    #[test]
    fn every_width_with_and_without_patches_comes_back() {
        let mut random = SplitMix64(7);
        for bits in 0..=64 {
            for patches in [0, 1, 5, 63, 64] {
                let mut block: [u64; BLOCK] = std::array::from_fn(|_| random.next().unwrap_or(0) & mask(bits));
                for at in 0..patches {
                    block[at * 37 % BLOCK] = random.next().unwrap_or(0);
                }
                round_trip(&block);
                round_trip(&block.map(|code| code as u32));
                round_trip(&block.map(|code| code as u16));
                round_trip(&block.map(|code| code as u8));
            }
        }
    }

    #[test]
    fn one_large_code_does_not_widen_the_others() {
        let mut block = [1u16; BLOCK];
        assert_eq!(round_trip(&block), Head { low: 1, high: 0, patches: 0 });
        block[63] = 0x8001;
        assert_eq!(round_trip(&block), Head { low: 1, high: 15, patches: 1 });
        assert_eq!(round_trip(&[0u16; BLOCK]), Head::default());
    }
}
