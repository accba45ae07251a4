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

/// A stream of bits, the least of each byte first.
struct Bits {
    held: u128,
    count: u32,
}

impl Bits {
    fn new() -> Bits {
        Bits { held: 0, count: 0 }
    }

    /// Appends `bits` bits, at most 64.
    fn put(&mut self, value: u64, bits: u32, out: &mut Vec<u8>) {
        self.held |= u128::from(value) << self.count;
        self.count += bits;
        if self.count >= 64 {
            out.extend_from_slice(&(self.held as u64).to_le_bytes());
            self.held >>= 64;
            self.count -= 64;
        }
    }

    /// Appends what is left, up to a whole byte.
    fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.held as u64).to_le_bytes()[..self.count.div_ceil(8) as usize]);
    }

    /// The next `bits` bits, at most 64; zeros where the bytes have ended.
    fn take(&mut self, bits: u32, bytes: &mut &[u8]) -> u64 {
        if self.count < bits {
            let word = match bytes.split_first_chunk() {
                Some((word, rest)) => {
                    *bytes = rest;
                    *word
                }
                None => {
                    let mut word = [0; 8];
                    word[..bytes.len()].copy_from_slice(bytes);
                    *bytes = &[];
                    word
                }
            };
            self.held |= u128::from(u64::from_le_bytes(word)) << self.count;
            self.count += 64;
        }
        let value = self.held as u64 & mask(bits);
        self.held >>= bits;
        self.count -= bits;
        value
    }
}

fn mask(bits: u32) -> u64 {
    if bits == 0 { 0 } else { u64::MAX >> (64 - bits) }
}

/// Appends a block to `body`.
pub(super) fn encode<W: Word>(block: &[W; BLOCK], body: &mut Vec<u8>) -> Head {
    let head = Head::choose(block);
    let low = u32::from(head.low);
    if low > 32 {
        let mut bits = Bits::new();
        block.iter().for_each(|code| bits.put(code.to_u64() & mask(low), low, body));
        bits.finish(body);
    } else if low > 0 {
        let codes: &[u32; BLOCK] = &block.map(|code| code.to_u64() as u32);
        let at = body.len();
        body.resize(at + BLOCK / 8 * low as usize, 0);
        dispatch!(pack, low, codes, &mut body[at..]);
    }
    if head.patches > 0 {
        let most = W::from_u64(mask(low));
        let mut positions = [0u8; BLOCK];
        let mut n = 0;
        for (i, code) in block.iter().enumerate() {
            positions[n % BLOCK] = i as u8;
            n += usize::from(*code > most);
        }
        let (positions, mut bits) = (&positions[..n.min(BLOCK)], Bits::new());
        positions.iter().for_each(|&at| bits.put(at.into(), POSITION, body));
        let high = |at: u8| block[usize::from(at) % BLOCK].to_u64() >> low;
        positions.iter().for_each(|&at| bits.put(high(at), head.high.into(), body));
        bits.finish(body);
    }
    head
}

/// A block from the bytes that its head asks for.
pub(super) fn decode<W: Word>(head: Head, bytes: &[u8], block: &mut [W; BLOCK]) {
    let low = u32::from(head.low);
    let (packed, mut patches) = bytes.split_at((BLOCK / 8 * low as usize).min(bytes.len()));
    if low > 32 {
        let (mut packed, mut bits) = (packed, Bits::new());
        block.iter_mut().for_each(|code| *code = W::from_u64(bits.take(low, &mut packed)));
    } else if low > 0 {
        let mut codes = [0; BLOCK];
        dispatch!(unpack, low, packed, &mut codes);
        *block = codes.map(|code| W::from_u64(code.into()));
    }
    if head.patches > 0 {
        let (mut positions, mut bits) = ([0; BLOCK], Bits::new());
        let positions = &mut positions[..usize::from(head.patches) % BLOCK];
        positions.iter_mut().for_each(|at| *at = bits.take(POSITION, &mut patches) as usize);
        for at in positions {
            let code = &mut block[*at % BLOCK];
            *code = W::from_u64(code.to_u64() | bits.take(head.high.into(), &mut patches) << low);
        }
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
