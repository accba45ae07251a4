//! Numbers of a few bits each, one behind another, as GRIB packs them: big-endian words without the
//! bits above, most significant bit first.

use errbar_format::record::Filter;

use super::not_made;
use crate::Result;

/// The low `width` bits, 1 to 32, of each word, zeros up to a byte, then the bytes behind the last
/// whole word as they stand.
pub(super) fn pack(words: &[u8], width: u8) -> Vec<u8> {
    match Filter::word_of(width) {
        1 => pack_words::<1>(words, width),
        2 => pack_words::<2>(words, width),
        _ => pack_words::<4>(words, width),
    }
}

fn pack_words<const N: usize>(bytes: &[u8], width: u8) -> Vec<u8> {
    let (words, rest) = bytes.as_chunks::<N>();
    let mut packed = Vec::with_capacity(packed_len(bytes.len(), width));
    // Bits that do not fill a byte yet, at most 7 before a word comes.
    let (mut held, mut n) = (0u64, 0);
    for word in words {
        held = held << width | u64::from(value(word) & mask(width));
        n += width;
        while n >= 8 {
            n -= 8;
            packed.push((held >> n) as u8);
        }
    }
    if n > 0 {
        packed.push((held << (8 - n)) as u8);
    }
    packed.extend_from_slice(rest);
    packed
}

/// Inverse of [`pack`]: `len` bytes, whose bits above `width` are 0.
///
/// # Errors
/// [`errbar_format::Kind::Corrupt`] if `packed` has not the bytes that so many become.
pub(super) fn unpack(packed: &[u8], width: u8, len: usize) -> Result<Vec<u8>> {
    if packed.len() != packed_len(len, width) {
        return Err(not_made("its numbers take another length"));
    }
    Ok(match Filter::word_of(width) {
        1 => unpack_words::<1>(packed, width, len),
        2 => unpack_words::<2>(packed, width, len),
        _ => unpack_words::<4>(packed, width, len),
    })
}

fn unpack_words<const N: usize>(packed: &[u8], width: u8, len: usize) -> Vec<u8> {
    let (bits, rest) = packed.split_at(packed.len() - len % N);
    let mut bytes = Vec::with_capacity(len);
    let (mut held, mut n, mut bits) = (0u64, 0, bits.iter());
    for _ in 0..len / N {
        while n < width {
            held = held << 8 | u64::from(bits.next().copied().unwrap_or(0));
            n += 8;
        }
        n -= width;
        bytes.extend_from_slice(&((held >> n) as u32 & mask(width)).to_be_bytes()[4 - N..]);
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// The bytes that `len` bytes become.
pub(super) fn packed_len(len: usize, width: u8) -> usize {
    let word = Filter::word_of(width);
    (len / word * usize::from(width)).div_ceil(8) + len % word
}

fn value<const N: usize>(word: &[u8; N]) -> u32 {
    word.iter().fold(0, |value, &byte| value << 8 | u32::from(byte))
}

fn mask(width: u8) -> u32 {
    u32::MAX >> (32 - u32::from(width).min(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_the_bits_above_and_rest_stays_behind() {
        assert_eq!(pack(&[0x0a, 0xbc, 0xf1, 0x23], 12), [0xab, 0xc1, 0x23]);
        assert_eq!(pack(&[1, 0, 1, 3], 1), [0b1011_0000]);
        assert_eq!(pack(&[0, 1, 2, 3, 9, 8], 24), [1, 2, 3, 9, 8]);
        assert_eq!(unpack(&[1, 2, 3, 9, 8], 24, 6).expect("just made"), [0, 1, 2, 3, 9, 8]);
        assert_eq!(unpack(&[0xff], 1, 3).expect("eight of them at most"), [1, 1, 1]);
        assert!(unpack(&[0xff], 1, 9).is_err() && unpack(&[0xff; 2], 1, 8).is_err());
    }

    #[test]
    fn every_width_keeps_its_bits() {
        for width in 1..=32 {
            let word = Filter::word_of(width);
            let numbers = (0..99u32).map(|i| i.wrapping_mul(0x9e37_79b9) & mask(width));
            let words: Vec<u8> = numbers.flat_map(|number| number.to_be_bytes()[4 - word..].to_vec()).collect();
            let packed = pack(&words, width);
            assert_eq!(packed.len(), packed_len(words.len(), width));
            assert_eq!(unpack(&packed, width, words.len()).expect("just made"), words, "{width}");
        }
    }
}
