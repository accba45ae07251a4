//! What is known of words before they are coded: their tokens, and what chooses the table of each.

use std::ops::Range;

use super::signs::PAIRS;
use super::tables::{BINS, Counts};
use super::token::TOKENS;

/// The token of words that are absent: there is nothing to code.
pub(super) const NONE: u8 = u8::MAX;

/// All words of a block in their order.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// Of every word; [`NONE`] where it is absent.
    pub(super) tokens: Vec<u8>,
    /// That of every word's context.
    pub(super) bins: Vec<u8>,
    /// The signs [around](super::signs::around) every word; none where they are not asked for.
    pub(super) around: Vec<u8>,
}

/// The least sizes of tables that have all bins and tokens.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    bins: usize,
    token_bits: u32,
}

impl Symbols {
    /// Whether all words are absent.
    pub(super) fn is_empty(&self) -> bool {
        self.tokens.iter().all(|&token| token == NONE)
    }

    pub(super) fn shape(&self) -> Shape {
        let last_bin = self.bins.iter().fold(0, |last, &bin| bin.max(last));
        // What is absent counts as 0. The mirror of a token may be the next one.
        let n_tokens = self.tokens.iter().fold(0, |n: u8, &token| n.max(token.wrapping_add(1)));
        let n_tokens = (usize::from(n_tokens) + 1).clamp(2, TOKENS);
        Shape { bins: usize::from(last_bin).min(BINS - 1) + 1, token_bits: n_tokens.next_power_of_two().ilog2() }
    }

    /// Counts the tokens of some words, `OCTAVE` bins as one.
    pub(super) fn count<const OCTAVE: usize>(&self, words: impl Iterator<Item = Range<usize>>, shape: Shape) -> Counts {
        let (bins, bits) = (shape.bins.div_ceil(OCTAVE), shape.token_bits);
        let mut counts = vec![0; bins << bits];
        for words in words {
            for (&token, &bin) in self.tokens[words.clone()].iter().zip(&self.bins[words]) {
                if token != NONE {
                    counts[(usize::from(bin) / OCTAVE) << bits | usize::from(token)] += 1;
                }
            }
        }
        Counts::new(counts, 1 << bits)
    }

    /// As [`count`](Self::count), for every pair of signs, which `pair_of` gives for those around.
    pub(super) fn count_pairs<const OCTAVE: usize>(
        &self,
        words: impl Iterator<Item = Range<usize>>,
        shape: Shape,
        pair_of: &[u8; 1 << 8],
    ) -> Vec<Counts> {
        let (bins, bits) = (shape.bins.div_ceil(OCTAVE), shape.token_bits);
        let first_bin: [u32; 1 << 8] = std::array::from_fn(|around| u32::from(pair_of[around]) * bins as u32);
        let mut counts = vec![0; (PAIRS * bins) << bits];
        for words in words {
            let symbols = self.tokens[words.clone()].iter().zip(&self.bins[words.clone()]).zip(&self.around[words]);
            for ((&token, &bin), &around) in symbols {
                if token != NONE {
                    let bin = first_bin[usize::from(around)] as usize + usize::from(bin) / OCTAVE;
                    counts[bin << bits | usize::from(token)] += 1;
                }
            }
        }
        counts.chunks_exact(bins << bits).map(|counts| Counts::new(counts.to_vec(), 1 << bits)).collect()
    }
}
