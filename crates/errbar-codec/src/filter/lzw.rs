//! LZW as TIFF 6.0 (section 13) has it: codes of 9 to 12 bits, the most significant bit first.
//!
//! Any LZW encoder finds the longest strings that it knows (T. Welch, A technique for high-performance
//! data compression, 1984); they differ in when they forget them, which two parameters say.

use errbar_format::Result;

use super::not_made;

const CLEAR: u16 = 256;
const END: u16 = 257;
const FIRST: u16 = 258;
/// Bits of the shortest and the longest code.
const BITS: std::ops::RangeInclusive<u32> = 9..=12;
/// Strings that codes of so many bits can name.
const MOST_STRINGS: usize = (1 << *BITS.end()) - FIRST as usize;
/// Places of the table of strings, many more than there are strings.
const SLOTS: usize = 1 << 14;
/// No string: it would go on from code 4095, which no table has as long as it is looked into.
const EMPTY: u32 = u32::MAX;

/// The codes of `bytes`, from a table that is cleared when the next code would be `full`, and, unless
/// `gap` is 0, when `gap` bytes went by without a gain (see `spec/filters.md`).
pub(super) fn encode(bytes: &[u8], full: u16, gap: u16) -> Vec<u8> {
    let mut writer = Writer { out: Vec::with_capacity(bytes.len() / 2), held: 0, n_held: 0, width: *BITS.start() };
    let Some((&first, rest)) = bytes.split_first() else {
        writer.put(END);
        return writer.end();
    };
    let mut strings = Strings { slots: vec![EMPTY; SLOTS] };
    let (mut next, mut taken, mut made, mut best) = (FIRST, 1u64, 0, 0);
    let mut check_at = u64::from(gap);
    made += writer.put(CLEAR);
    let mut string = u16::from(first);
    for &byte in rest {
        taken += 1;
        if let Some(longer) = strings.find_or_add(string, byte, next) {
            string = longer;
            continue;
        }
        made += writer.put(string);
        string = byte.into();
        next += 1;
        let mut forget = next >= full;
        if !forget && u32::from(next) >= 1 << writer.width {
            writer.width += 1;
        } else if !forget && gap > 0 && taken >= check_at {
            check_at = taken + u64::from(gap);
            let ratio = ratio(taken, made);
            forget = ratio <= best;
            best = ratio;
        }
        if forget {
            strings.slots.fill(EMPTY);
            (next, taken, best) = (FIRST, 0, 0);
            made = writer.put(CLEAR);
            writer.width = *BITS.start();
        }
    }
    writer.put(string);
    next += 1;
    if next >= full {
        writer.put(CLEAR);
        writer.width = *BITS.start();
    } else if u32::from(next) >= 1 << writer.width {
        writer.width += 1;
    }
    writer.put(END);
    writer.end()
}

/// Bytes taken for bits made, times 256.
fn ratio(taken: u64, made: u64) -> u64 {
    match taken {
        // From here on libtiff fears for its 32 bits.
        0x80_0000.. => taken.checked_div(made >> 8).unwrap_or(0x7FFF_FFFF),
        _ => (taken << 8) / made,
    }
}

/// Strings by the string that they go on from and their last byte.
struct Strings {
    /// Code of the shorter string, byte, and code of the longer one: 12, 8 and 12 bits.
    slots: Vec<u32>,
}

impl Strings {
    fn find_or_add(&mut self, string: u16, byte: u8, code: u16) -> Option<u16> {
        let key = u32::from(string) << 8 | u32::from(byte);
        let mut at = (key.wrapping_mul(0x9E37_79B1) >> 18) as usize;
        loop {
            let slot = self.slots[at % SLOTS];
            if slot == EMPTY {
                self.slots[at % SLOTS] = key << 12 | u32::from(code);
                return None;
            }
            if slot >> 12 == key {
                return Some((slot & 0xFFF) as u16);
            }
            at += 1;
        }
    }
}

struct Writer {
    out: Vec<u8>,
    held: u32,
    n_held: u32,
    width: u32,
}

impl Writer {
    /// Writes a code; gives its bits.
    fn put(&mut self, code: u16) -> u64 {
        self.held = self.held << self.width | u32::from(code);
        self.n_held += self.width;
        while self.n_held >= 8 {
            self.n_held -= 8;
            self.out.push((self.held >> self.n_held) as u8);
        }
        self.width.into()
    }

    fn end(mut self) -> Vec<u8> {
        if self.n_held > 0 {
            self.out.push((self.held << (8 - self.n_held)) as u8);
        }
        self.out
    }
}

/// The `len` bytes that codes stand for, whoever made them; what follows them is not looked at.
pub(super) fn decode(bytes: &[u8], len: usize) -> Result<Vec<u8>> {
    // A string is a place in what was decoded: the one it goes on from, and one byte.
    let mut strings: Vec<(usize, usize)> = Vec::with_capacity(MOST_STRINGS);
    let mut out: Vec<u8> = Vec::new();
    let (mut bits, mut n_bits, mut width) = (0u32, 0, *BITS.start());
    let mut last: Option<(usize, usize)> = None;
    for &byte in bytes {
        bits = bits << 8 | u32::from(byte);
        n_bits += 8;
        if n_bits < width {
            continue;
        }
        n_bits -= width;
        let code = (bits >> n_bits & ((1 << width) - 1)) as u16;
        if code == END {
            break;
        }
        if code == CLEAR {
            strings.clear();
            (width, last) = (*BITS.start(), None);
            continue;
        }
        if let Some((at, n)) = last
            && strings.len() < MOST_STRINGS
        {
            strings.push((at, n + 1));
        }
        let start = out.len();
        let string = code.checked_sub(FIRST).map(|known| strings.get(usize::from(known)).copied());
        let n = match string {
            None => 1,
            Some(Some((_, n))) => n,
            Some(None) => return Err(not_made("a code comes before its string")),
        };
        if n > len - start {
            return Err(not_made("its codes stand for more bytes"));
        }
        match string.flatten() {
            // The string may be the one that this code makes whole.
            Some((at, n)) => (at..at + n).for_each(|i| out.push(out[i])),
            None => out.push(code as u8),
        }
        last = Some((start, n));
        if FIRST as usize + strings.len() + 1 >= 1 << width && width < *BITS.end() {
            width += 1;
        }
    }
    match out.len() == len {
        true => Ok(out),
        false => Err(not_made("its codes stand for fewer bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the example of TIFF 6.0: 7 7 7 8 8 7 7 6 6, of which it gives the codes.
    #[test]
    fn the_example_of_the_standard_is_made() {
        let bytes = [7, 7, 7, 8, 8, 7, 7, 6, 6];
        let codes = [256u16, 7, 258, 8, 8, 258, 6, 6, 257];
        let mut writer = Writer { out: vec![], held: 0, n_held: 0, width: 9 };
        codes.iter().for_each(|&code| {
            writer.put(code);
        });
        let expected = writer.end();
        assert_eq!(encode(&bytes, 4094, 10_000), expected);
        assert_eq!(decode(&expected, 9).expect("codes"), bytes);
    }

    #[test]
    fn tables_fill_up_and_are_judged_by_what_they_gain() {
        let noise: Vec<u8> = (0..60_000u32).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
        let bytes = [&vec![3; 70_000][..], &noise, &vec![9; 50_000]].concat();
        let made = [(4094, 10_000), (4096, 0), (4094, 0), (259, 0), (300, 7)].map(|(full, gap)| {
            let made = encode(&bytes, full, gap);
            assert_eq!(decode(&made, bytes.len()).expect("just made"), bytes, "{full} {gap}");
            made
        });
        assert!(made[0] != made[2] && made[1] != made[2]);
        assert_eq!(encode(b"", 4094, 10_000), [0x80, 0x80]);
        assert_eq!(decode(&[0x80, 0x80], 0).expect("no bytes"), b"");
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let made = encode(b"abababab", 4094, 10_000);
        for (bytes, len) in [(&made[..], 7), (&made, 9), (&made[..4], 8), (&[0xFF; 9][..], 5), (&[0x80, 0x40, 0xC0], 3), (b"", 1)] {
            assert!(decode(bytes, len).is_err());
        }
    }
}
