//! Tokens: the part of a word that is modelled. The rest are raw bits.

/// Number of tokens.
pub(super) const TOKENS: usize = 247;
/// Words below this are their own token.
pub(super) const DIRECT: u32 = 15;

/// Token, number of raw bits and those, of a word.
#[inline(always)]
pub(super) fn split(word: u32) -> (u8, u32, u32) {
    if word < DIRECT {
        return (word as u8, 0, 0);
    }
    // Magnitudes from 8 on: four tokens an octave and sign.
    let magnitude = word / 2 + (word & 1);
    let octave = magnitude.ilog2();
    let quarter = magnitude >> (octave - 2) & 3;
    let token = DIRECT + 2 * (4 * (octave - 3) + quarter) + (word & 1);
    (token as u8, octave - 2, magnitude & ((1 << (octave - 2)) - 1))
}

/// The tokens of words.
#[inline(always)]
pub(super) fn tokens(words: &[u32], tokens: &mut [u8]) {
    // Where none is large, all of them come from vectors.
    if are_small(words) {
        tokens.iter_mut().zip(words).for_each(|(to, &word)| *to = word as u8);
    } else {
        tokens.iter_mut().zip(words).for_each(|(to, &word)| *to = split(word).0);
    }
}

/// Whether all words are their own token.
#[inline(always)]
pub(super) fn are_small(words: &[u32]) -> bool {
    words.iter().fold(0, |most, &word| word.max(most)) < DIRECT
}

/// Number of raw bits behind every token.
pub(super) const RAW_BITS: [u8; 1 << 8] = {
    let mut bits = [0; 1 << 8];
    let mut token = DIRECT as usize;
    while token < TOKENS {
        bits[token] = ((token - DIRECT as usize) / 8 + 1) as u8;
        token += 1;
    }
    bits
};

/// The word of every token, its raw bits being 0; two for each unit of these are added to it. The last tokens have
/// words of 33 bits, which no code has.
pub(super) const LEAST_WORDS: [u64; 1 << 8] = {
    let mut words = [0; 1 << 8];
    let mut token = 0;
    while token < TOKENS {
        words[token] = match (token as u64).checked_sub(DIRECT as u64) {
            None => token as u64,
            Some(rest) => ((4 | (rest >> 1 & 3)) << (rest / 8 + 1)) * 2 - (rest & 1),
        };
        token += 1;
    }
    words
};

/// Magnitudes below this are counted in sixteenths, others by octaves of [`OCTAVE`] units: residuals of
/// exact floats are large, and what their octaves are is all that neighbours tell of each other.
pub(super) const LINEAR: u32 = 64;
pub(super) const OCTAVE: u32 = 256;

/// Magnitude of a word as contexts count it; four of them fit a `u16`. It is that of the middle of all
/// words of its token, so that nothing waits for raw bits.
#[inline(always)]
pub(super) const fn magnitude(word: u64) -> u16 {
    let magnitude = word / 2 + (word & 1);
    if magnitude < 8 {
        return 16 * magnitude as u16;
    }
    let octave = magnitude.ilog2();
    let quarter = (magnitude >> (octave - 2)) as u32 & 3;
    if magnitude < LINEAR as u64 {
        let raw = octave - 2;
        return (((4 | quarter) << (raw + 4)) + (8 << raw) - 8) as u16;
    }
    (16 * LINEAR + (octave - LINEAR.ilog2()) * OCTAVE + quarter * (OCTAVE / 4) + OCTAVE / 8) as u16
}

/// [`magnitude`] of the words of every token.
pub(super) const MAGNITUDES: [u16; 1 << 8] = {
    let mut magnitudes = [0; 1 << 8];
    let mut token = 0;
    while token < TOKENS {
        magnitudes[token] = magnitude(LEAST_WORDS[token]);
        token += 1;
    }
    magnitudes
};

/// The magnitudes of words.
#[inline(always)]
pub(super) fn magnitudes(words: &[u32], magnitudes: &mut [u16]) {
    if are_small(words) {
        magnitudes.iter_mut().zip(words).for_each(|(to, &word)| *to = 16 * (word as u16).div_ceil(2));
    } else {
        magnitudes.iter_mut().zip(words).for_each(|(to, &word)| *to = magnitude(word.into()));
    }
}

/// The magnitudes of tokens.
#[inline(always)]
pub(super) fn magnitudes_of_tokens(tokens: &[u8], magnitudes: &mut [u16]) {
    if are_direct(tokens) {
        magnitudes.iter_mut().zip(tokens).for_each(|(to, &token)| *to = 16 * u16::from(token).div_ceil(2));
    } else {
        magnitudes.iter_mut().zip(tokens).for_each(|(to, &token)| *to = MAGNITUDES[usize::from(token)]);
    }
}

/// Whether all words are their own token.
#[inline(always)]
pub(super) fn are_direct(tokens: &[u8]) -> bool {
    u32::from(tokens.iter().fold(0, |most, &token| token.max(most))) < DIRECT
}

/// Values of contexts and activities do not exceed this.
pub(super) const MOST: u32 = (1 << 14) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        let ends = (0..32).flat_map(|e| [(1u32 << e) - 1, 1 << e, (1 << e) + 1]);
        for word in (0..100_000).chain(ends).chain([u32::MAX - 1, u32::MAX]) {
            let (token, n, raw) = split(word);
            assert!(
                usize::from(token) < TOKENS && u32::from(RAW_BITS[usize::from(token)]) == n && (n == 32 || u64::from(raw) < 1 << n),
                "{word}"
            );
            assert_eq!(LEAST_WORDS[usize::from(token)] + 2 * u64::from(raw), u64::from(word));
            assert_eq!(MAGNITUDES[usize::from(token)], magnitude(word.into()), "{word}");
        }
    }
}
