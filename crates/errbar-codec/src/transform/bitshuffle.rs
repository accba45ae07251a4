use errbar_format::Result;

use super::shuffle;
use crate::codes::Word;
use crate::stage::{Stage, Transform, no_params};
use crate::{Codes, Layout, Words, with_words};

/// All lowest bits of the codes, then all second ones, and so on; the codes behind the last whole
/// eight follow as they are (Masui et al., Astronomy and Computing 12, 2015). See
/// `spec/stages/bitshuffle.md`.
#[derive(Clone, Copy, Debug)]
pub struct BitShuffle;

/// Transposes eight by eight bits, bit `8 i + k` to bit `8 k + i`; its own inverse (Warren,
/// Hacker's Delight, 7-3).
fn transpose(mut bits: u64) -> u64 {
    for (shift, mask) in [(7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0x0000_0000_F0F0_F0F0)] {
        let swap = (bits ^ bits >> shift) & mask;
        bits ^= swap ^ swap << shift;
    }
    bits
}

/// Words that stay in the first-level cache with what becomes of them; a multiple of eight.
const RUN: usize = 2048;

/// The bit planes of words whose number is a multiple of eight: a byte of eight words makes a
/// group, and its bytes, once transposed, go to eight planes.
fn split<W: Word>(words: &[W], planes: &mut [u8]) {
    let (mut bytes, mut groups) = ([0u8; RUN], [0u64; RUN / 8]);
    for (run, part) in words.chunks(RUN).enumerate() {
        for (k, eight) in planes.chunks_exact_mut(words.len()).enumerate() {
            bytes.iter_mut().zip(part).for_each(|(byte, word)| *byte = (word.to_u64() >> (8 * k)) as u8);
            let (octets, _) = bytes.as_chunks();
            groups.iter_mut().zip(octets).for_each(|(group, &octet)| *group = transpose(u64::from_le_bytes(octet)));
            for (bit, plane) in eight.chunks_exact_mut(words.len() / 8).enumerate() {
                let plane = &mut plane[run * RUN / 8..][..part.len() / 8];
                plane.iter_mut().zip(&groups).for_each(|(byte, group)| *byte = (group >> (8 * bit)) as u8);
            }
        }
    }
}

/// Inverse of [`split`]. `n`, a multiple of eight, is the number of words.
fn join<W: Word>(planes: &[u8], n: usize) -> Vec<W> {
    let (mut bytes, mut groups) = ([0u8; RUN], [0u64; RUN / 8]);
    let mut words = vec![W::from_u64(0); n];
    for (run, part) in words.chunks_mut(RUN).enumerate() {
        for (k, eight) in planes.chunks_exact(n).enumerate() {
            groups.fill(0);
            for (bit, plane) in eight.chunks_exact(n / 8).enumerate() {
                let plane = &plane[run * RUN / 8..][..part.len() / 8];
                groups.iter_mut().zip(plane).for_each(|(group, &byte)| *group |= u64::from(byte) << (8 * bit));
            }
            let (octets, _) = bytes.as_chunks_mut();
            octets.iter_mut().zip(&groups).for_each(|(octet, &group)| *octet = transpose(group).to_le_bytes());
            part.iter_mut().zip(&bytes).for_each(|(word, &byte)| *word = W::from_u64(word.to_u64() | u64::from(byte) << (8 * k)));
        }
    }
    words
}

fn forward<W: Word>(words: &[W]) -> Vec<u8> {
    let (whole, rest) = words.split_at(words.len() & !7);
    let mut planes = vec![0; size_of_val(whole)];
    if !whole.is_empty() {
        split(whole, &mut planes);
    }
    Word::put_le(rest, &mut planes);
    planes
}

fn inverse<W: Word>(planes: &[u8], n: usize) -> Vec<W> {
    let whole = n & !7;
    let (planes, rest) = planes.split_at(whole * size_of::<W>());
    let mut words = if whole > 0 { join(planes, whole) } else { Vec::new() };
    words.extend(W::get_le(rest));
    words
}

impl Stage for BitShuffle {
    fn name(&self) -> &'static str {
        "bitshuffle"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "bits of equal significance side by side"
    }

    fn guarantee(&self) -> &'static str {
        "reversible: only the order of bits changes"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Transform for BitShuffle {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        shuffle::bytes_of(input, params)
    }

    fn forward(&self, codes: Codes, params: &[u8]) -> Result<Codes> {
        let dims = shuffle::bytes_of(&codes.layout(), params)?.dims;
        Ok(Codes::plain(dims, Words::U8(with_words!(&codes.words, v => forward(v)))))
    }

    fn inverse(&self, codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let planes = shuffle::planes_of(codes, input)?;
        let n = input.len();
        let words = match input.width {
            1 => Words::U8(inverse(&planes, n)),
            2 => Words::U16(inverse(&planes, n)),
            4 => Words::U32(inverse(&planes, n)),
            _ => Words::U64(inverse(&planes, n)),
        };
        Ok(input.codes(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_do_not_meet() {
        let words: Vec<u32> = (0..2 * RUN as u32 + 21).map(|i| i.wrapping_mul(0x9E37_79B9)).collect();
        let planes = forward(&words);
        let (n, bit, word) = (words.len() / 8, 13, RUN + 77);
        assert_eq!(u32::from(planes[bit * n + word / 8] >> (word % 8) & 1), words[word] >> bit & 1);
        assert_eq!(inverse::<u32>(&planes, words.len()), words);
    }

    #[test]
    fn one_bit_goes_to_its_plane() {
        for (word, bit) in [(0, 0), (5, 3), (9, 12), (15, 15)] {
            let mut words = [0u16; 17];
            words[word] = 1 << bit;
            words[16] = 0xABCD;
            let mut expected = [0; 34];
            expected[2 * bit + word / 8] = 1 << (word % 8);
            expected[32..].copy_from_slice(&[0xCD, 0xAB]);
            assert_eq!(forward(&words), expected);
            assert_eq!(inverse::<u16>(&expected, 17), words);
        }
    }
}
