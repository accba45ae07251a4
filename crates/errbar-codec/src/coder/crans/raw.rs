//! Raw bits: what words have below their tokens, the lowest bit of each byte first.

use super::token::{LEAST_WORDS, RAW_BITS, are_direct, are_small, split};
use crate::polyphase::SLACK;

/// Writes raw bits.
#[derive(Debug, Default)]
pub(super) struct RawWriter {
    bytes: Vec<u8>,
    held: u64,
    n: u32,
}

impl RawWriter {
    /// The raw bits of words.
    #[inline(always)]
    pub(super) fn words(&mut self, words: &[u32], absent: Option<&[bool]>) {
        if are_small(words) {
            return;
        }
        for (at, &word) in words.iter().enumerate() {
            let (_, n, raw) = split(word);
            if n > 0 && absent.is_none_or(|absent| !absent[at]) {
                self.put(raw, n);
            }
        }
    }

    /// The low `n` bits, at most 32.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, n: u32) {
        self.held |= (u64::from(bits) & ((1 << n) - 1)) << self.n;
        self.n += n;
        if self.n >= u32::BITS {
            self.bytes.extend_from_slice(&(self.held as u32).to_le_bytes());
            self.held >>= u32::BITS;
            self.n -= u32::BITS;
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let held = self.held.to_le_bytes();
        self.bytes.extend_from_slice(&held[..self.n.div_ceil(8) as usize]);
        self.bytes
    }
}

/// Reads raw bits.
pub(super) struct RawReader<'a> {
    bytes: &'a [u8],
    /// Bits read.
    at: usize,
}

impl<'a> RawReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        RawReader { bytes, at: 0 }
    }

    /// The words of tokens.
    #[inline(always)]
    pub(super) fn words(&mut self, tokens: &[u8], words: &mut [u32]) {
        let (wide_tokens, last_tokens) = tokens.as_chunks::<SLACK>();
        let (wide_words, last_words) = words.as_chunks_mut::<SLACK>();
        for (tokens, words) in wide_tokens.iter().zip(wide_words) {
            // Most words are small, and large ones stand together.
            if are_direct(tokens) {
                *words = tokens.map(u32::from);
            } else {
                self.large_words(tokens, words);
            }
        }
        self.large_words(last_tokens, last_words);
    }

    #[inline(always)]
    fn large_words(&mut self, tokens: &[u8], words: &mut [u32]) {
        let mut at = self.at;
        for (word, &token) in words.iter_mut().zip(tokens) {
            let n = RAW_BITS[usize::from(token)];
            let raw = (ahead(self.bytes, at / 8) >> (at % 8)) as u32 & ((1 << n) - 1);
            at += usize::from(n);
            *word = (LEAST_WORDS[usize::from(token)] as u32).wrapping_add(raw << 1);
        }
        self.at = at;
    }

    /// Whether all bytes were read, and all bits that are not 0.
    pub(super) fn is_finished(&self) -> bool {
        self.at.div_ceil(8) >= self.bytes.len() && self.bytes.get(self.at / 8).is_none_or(|&last| last >> (self.at % 8) == 0)
    }
}

/// Eight bytes; zeros behind the last of all.
#[inline(always)]
fn ahead(bytes: &[u8], first: usize) -> u64 {
    match bytes.get(first..first + 8).and_then(|bytes| bytes.first_chunk()) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => last(bytes, first),
    }
}

#[cold]
#[inline(never)]
fn last(bytes: &[u8], first: usize) -> u64 {
    bytes.get(first..).unwrap_or_default().iter().rev().fold(0, |ahead, &byte| ahead << 8 | u64::from(byte))
}
