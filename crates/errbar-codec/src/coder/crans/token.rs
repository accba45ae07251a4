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

/// Number of raw bits behind a token.
#[inline(always)]
pub(super) fn raw_bits(token: u8) -> u32 {
    let token = u32::from(token);
    if token < DIRECT { 0 } else { (token - DIRECT) / 8 + 1 }
}

/// The word of a token and its raw bits.
#[inline(always)]
pub(super) fn join(token: u8, raw: u32) -> u32 {
    let token = u32::from(token);
    if token < DIRECT {
        return token;
    }
    let (rest, octave) = (token - DIRECT, (token - DIRECT) / 8 + 3);
    let magnitude = (4 | (rest >> 1 & 3)) << (octave - 2) | raw;
    // Sign in the lowest bit: 2m for m, 2m - 1 for -m.
    magnitude.wrapping_mul(2).wrapping_sub(rest & 1)
}

/// Magnitudes below this are counted in sixteenths, others by octaves of [`OCTAVE`] units: residuals of
/// exact floats are large, and what their octaves are is all that neighbours tell of each other.
pub(super) const LINEAR: u32 = 64;
pub(super) const OCTAVE: u32 = 256;

/// Magnitude of a word as contexts count it; four of them fit a `u16`.
#[inline(always)]
pub(super) fn magnitude(word: u64) -> u16 {
    let magnitude = word / 2 + (word & 1);
    if magnitude < u64::from(LINEAR) {
        return 16 * magnitude as u16;
    }
    let octave = magnitude.ilog2() - LINEAR.ilog2();
    let rest = (magnitude >> octave) as u32 - LINEAR;
    (16 * LINEAR + octave * OCTAVE + rest * (OCTAVE / LINEAR)) as u16
}

/// As [`magnitude`], of a word below [`DIRECT`].
#[inline(always)]
pub(super) fn magnitude_of_small(word: u32) -> u16 {
    16 * word.div_ceil(2) as u16
}

/// The magnitudes of words.
#[inline(always)]
pub(super) fn magnitudes(words: &[u32], magnitudes: &mut [u16]) {
    // Where none is large, all of them come from vectors.
    if words.iter().fold(0, |all, word| all | word) < 2 * LINEAR - 1 {
        magnitudes.iter_mut().zip(words).for_each(|(to, &word)| *to = 16 * (word as u16).div_ceil(2));
    } else {
        magnitudes.iter_mut().zip(words).for_each(|(to, &word)| *to = magnitude(word.into()));
    }
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
            assert!(usize::from(token) < TOKENS && raw_bits(token) == n && (n == 32 || u64::from(raw) < 1 << n), "{word}");
            assert_eq!(join(token, raw), word);
        }
    }
}
