use errbar_format::Result;

use super::{bytes, into_bytes};
use crate::stage::{Stage, Transform, no_params};
use crate::{Codes, Layout, Words};

/// Bit planes of all words but the last few, which do not fill a byte of every plane (after
/// Masui et al., A compression scheme for radio data, 2015). See `spec/stages/bitshuffle.md`.
#[derive(Clone, Copy, Debug)]
pub struct BitShuffle;

impl Stage for BitShuffle {
    fn name(&self) -> &'static str {
        "bitshuffle"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "bit planes, least significant first"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every word"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

/// Transposes 8 x 8 bits: bit `j` of byte `i` becomes bit `i` of byte `j` (Warren, Hacker's
/// Delight, 7-3).
fn transpose(mut x: u64) -> u64 {
    let mut t = (x ^ (x >> 7)) & 0x00AA_00AA_00AA_00AA;
    x ^= t ^ (t << 7);
    t = (x ^ (x >> 14)) & 0x0000_CCCC_0000_CCCC;
    x ^= t ^ (t << 14);
    t = (x ^ (x >> 28)) & 0x0000_0000_F0F0_F0F0;
    x ^ t ^ (t << 28)
}

/// Between words of `width` bytes and their bit planes: eight words are eight bytes of each lane,
/// eight planes of each lane are eight bytes of those.
fn exchange(from: &[u8], width: usize, to_planes: bool) -> Vec<u8> {
    let n = from.len() / width;
    let groups = n / 8;
    let mut to = vec![0; from.len()];
    for lane in 0..width {
        for group in 0..groups {
            let in_word = |i: usize| (group * 8 + i) * width + lane;
            let in_plane = |bit: usize| (lane * 8 + bit) * groups + group;
            let mut column = [0; 8];
            for (i, byte) in column.iter_mut().enumerate() {
                *byte = from[if to_planes { in_word(i) } else { in_plane(i) }];
            }
            for (i, byte) in transpose(u64::from_le_bytes(column)).to_le_bytes().into_iter().enumerate() {
                to[if to_planes { in_plane(i) } else { in_word(i) }] = byte;
            }
        }
    }
    let done = groups * 8 * width;
    to[done..].copy_from_slice(&from[done..]);
    to
}

impl Transform for BitShuffle {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        bytes(input, params)
    }

    fn forward(&self, codes: Codes, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let planes = exchange(&codes.words.to_le_bytes(), codes.words.width(), true);
        Ok(Codes { dims: vec![planes.len()], words: Words::U8(planes) })
    }

    fn inverse(&self, codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let words = exchange(&into_bytes(codes), input.width, false);
        Ok(Codes { dims: input.dims.clone(), words: Words::from_le_bytes(input.width, words) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_words_of_one_byte() {
        // Word i has only bit i set: plane i has only word i.
        let words: Vec<u8> = (0..8).map(|i| 1 << i).collect();
        assert_eq!(exchange(&words, 1, true), words);
        assert_eq!(exchange(&[1; 8], 1, true), [255, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(exchange(&[1; 9], 1, true), [255, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
