//! Interleaved static rANS (Duda, arXiv:1311.2540; Giesen, arXiv:1402.3392): states of 32 bits that
//! are refilled with words of 16 bits.

use errbar_format::Result;

use super::context::{CONTEXTS, all_bins};
use super::corrupt;
use super::signs::{KIND_OF, Signs, mirrored};
use super::symbols::NONE;
use super::tables::{BINS, Frequencies, SCALE_BITS, Tables};
use super::token::TOKENS;

/// States: each codes the words of a band, so that none waits for another's.
pub(super) const STATES: usize = 4;
/// Least value of a state.
const LEAST: u32 = 1 << 16;

/// Room for a pair of signs and a bin.
const PAIR_BITS: u32 = 4;
const PLACES: usize = 1 << (PAIR_BITS + 8);
/// The table of every bin and pair of signs.
type Places = [u16; PLACES];

#[inline(always)]
fn place(bin: u8, pair: u32) -> usize {
    (u32::from(bin) << PAIR_BITS | pair) as usize % PLACES
}

/// Of every component, or of all together, the table of every bin and pair of signs; tables behind the last are
/// copies, with all signs turned, of those that are given, too.
fn places(tables: &Tables, signs: Signs) -> (Vec<Places>, Vec<u16>) {
    let mut copies = Vec::new();
    let mut places_of = |kinds: &[[u16; BINS]]| {
        let mut places = [0; PLACES];
        for (pair, &(kind, is_mirrored)) in KIND_OF.iter().enumerate() {
            let Some(tables_of) = kinds.get(kind) else { continue };
            // The one before, and its copy.
            let mut last = None;
            for (bin, &table) in tables_of.iter().enumerate() {
                let found = match last {
                    Some((known, found)) if known == table => found,
                    _ if is_mirrored => {
                        copies.push(table);
                        (tables.tables.len() + copies.len() - 1) as u16
                    }
                    _ => table,
                };
                last = Some((table, found));
                places[place(bin as u8, pair as u32)] = found;
            }
        }
        places
    };
    (tables.of_bin.chunks(signs.kinds()).map(&mut places_of).collect(), copies)
}

/// A token's share of a table.
#[derive(Clone, Copy, Default)]
struct Part {
    frequency: u16,
    start: u16,
    /// The largest state that needs no room made for this.
    most: u32,
    /// Just above 2^[`INVERSE_BITS`] / frequency, to divide by it.
    inverse: u64,
}

/// A state is below 2^32, and the error of an inverse times the frequency at most 2^12: what is left is
/// below one unit, and quotients are exact.
const INVERSE_BITS: u32 = 32 + SCALE_BITS;

impl Part {
    fn new(start: u16, frequency: u16) -> Part {
        let most = ((u64::from(frequency) << (u32::BITS - SCALE_BITS)).wrapping_sub(1)) as u32;
        Part { frequency, start, most, inverse: (1 << INVERSE_BITS) / u64::from(frequency.max(1)) + 1 }
    }

    #[inline(always)]
    fn quotient(&self, state: u32) -> u32 {
        ((u128::from(state) * u128::from(self.inverse)) >> INVERSE_BITS) as u32
    }
}

/// Writes tokens, those that are read last first.
pub(super) struct Encoder {
    /// Of one table after the other.
    parts: Vec<Part>,
    token_bits: u32,
    places: Vec<Places>,
    /// The pair for all signs around a word.
    pair_of: [u8; 1 << 8],
    states: [u32; STATES],
    /// Filled from the end on.
    words: Vec<u16>,
    first_word: usize,
}

/// What is known of words that one state codes, from the first of them on.
#[derive(Clone, Copy)]
pub(super) struct Strand<'a> {
    pub(super) lane: usize,
    pub(super) tokens: &'a [u8],
    pub(super) bins: &'a [u8],
    pub(super) around: &'a [u8],
}

impl Encoder {
    /// For so many tokens at most.
    pub(super) fn new(signs: Signs, tables: &Tables, n: usize) -> Encoder {
        let (places, copies) = places(tables, signs);
        let last = tables.tables.iter().filter_map(|table| table.iter().rposition(|&n| n > 0)).max().unwrap_or(0);
        // The mirror of a token may be the next one.
        let token_bits = (last + 2).next_power_of_two().ilog2();
        let mut parts = Vec::with_capacity((tables.tables.len() + copies.len()) << token_bits);
        for table in &tables.tables {
            let mut start = 0;
            let frequencies = table.iter().copied().chain(std::iter::repeat(0));
            parts.extend(frequencies.take(1 << token_bits).map(|frequency| {
                start += frequency;
                Part::new(start - frequency, frequency)
            }));
        }
        for table in copies {
            let first = usize::from(table) << token_bits;
            parts.extend_from_within(first..first + (1 << token_bits));
            let copy = parts.len() - (1 << token_bits);
            // Zero is its own mirror, and the last one matters to nothing.
            parts[copy + 1..].chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        }
        let words = vec![0; n + 2 * STATES];
        Encoder { parts, token_bits, places, pair_of: signs.pairs_around(), states: [LEAST; STATES], first_word: words.len(), words }
    }

    /// Words of several strands, of each so many.
    #[inline(always)]
    pub(super) fn wave<const LANES: usize>(&mut self, strands: [Strand<'_>; LANES], component: usize, n: usize) {
        let strands = strands.map(|all| Strand { tokens: &all.tokens[..n], bins: &all.bins[..n], around: &all.around[..n], ..all });
        let places = &self.places[if component < self.places.len() { component } else { 0 }];
        let mut states: [u32; LANES] = std::array::from_fn(|i| self.states[strands[i].lane % STATES]);
        let (parts, words, mut first_word) = (self.parts.as_slice(), self.words.as_mut_slice(), self.first_word);
        for x in (0..n).rev() {
            for (strand, state) in strands.iter().zip(&mut states).rev() {
                let token = strand.tokens[x];
                if token == NONE {
                    continue;
                }
                let pair = self.pair_of[usize::from(strand.around[x])];
                let table = places[place(strand.bins[x], pair.into())];
                let part = &parts[usize::from(table) << self.token_bits | usize::from(token)];
                // Whether there is room is as good as random: better not to branch.
                let is_full = *state > part.most;
                words[first_word - 1] = *state as u16;
                first_word -= usize::from(is_full);
                let kept = if is_full { *state >> 16 } else { *state };
                let quotient = part.quotient(kept);
                *state = (quotient << SCALE_BITS) + (kept - quotient * u32::from(part.frequency)) + u32::from(part.start);
            }
        }
        strands.iter().zip(states).for_each(|(strand, state)| self.states[strand.lane % STATES] = state);
        self.first_word = first_word;
    }

    /// All words, in the order of reading.
    pub(super) fn finish(mut self) -> Vec<u16> {
        let first = self.first_word - 2 * STATES;
        for (state, words) in self.states.into_iter().zip(self.words[first..].chunks_exact_mut(2)) {
            words.copy_from_slice(&[(state >> 16) as u16, state as u16]);
        }
        self.words.drain(..first);
        self.words
    }
}

/// A token's frequency, and what is added to a state's remainder to make it one of the token's own.
#[derive(Clone, Copy, Default)]
struct Share {
    frequency: u32,
    minus_start: u32,
}

/// A table: what a state's remainder says, in as little memory as can be, for all tables to stay near.
struct Table {
    /// The token of every remainder.
    tokens: [u8; 1 << SCALE_BITS],
    /// Of every token.
    ranges: [Share; 1 << 8],
}

impl Table {
    /// The same with all signs turned.
    fn mirror(&self) -> Table {
        let mut ranges = [Share::default(); 1 << 8];
        (0..TOKENS).for_each(|token| ranges[token] = self.ranges[usize::from(mirrored(token as u8))]);
        Table { tokens: self.tokens.map(mirrored), ranges }
    }
}

/// Reads tokens.
pub(super) struct Decoder {
    tables: Vec<Table>,
    places: Vec<Places>,
    states: [u32; STATES],
    /// With as many zeros behind them as a wave may read in vain.
    words: Vec<u16>,
    n_words: usize,
    next_word: usize,
    /// Whether words were read that are not there.
    overrun: bool,
}

/// What the tokens of a wave come from: a copy, as what is in registers is not written with every word.
pub(super) struct Source<'a> {
    tables: &'a [Table],
    bins: &'static [u8; CONTEXTS],
    places: &'a Places,
    words: &'a [u16],
    next_word: usize,
}

impl Source<'_> {
    /// The next token in this context, with this pair of signs.
    #[inline(always)]
    pub(super) fn token(&mut self, state: &mut u32, context: u32, pair: u32) -> u8 {
        let table = &self.tables[usize::from(self.places[place(self.bins[context as usize % CONTEXTS], pair)])];
        let slot = *state % (1 << SCALE_BITS);
        let token = table.tokens[slot as usize];
        let range = table.ranges[usize::from(token)];
        let next = range.frequency.wrapping_mul(*state >> SCALE_BITS).wrapping_add(slot.wrapping_add(range.minus_start));
        let refilled = next << 16 | u32::from(self.words[self.next_word]);
        let is_low = next < LEAST;
        *state = if is_low { refilled } else { next };
        self.next_word += usize::from(is_low);
        token
    }

    /// Where the next word stands.
    pub(super) fn next_word(&self) -> usize {
        self.next_word
    }
}

impl Decoder {
    pub(super) fn new(tables: &Tables, signs: Signs, words: &[u8], longest_wave: usize) -> Result<Self> {
        let table = |frequencies: &Frequencies| {
            let mut table = Table { tokens: [0; 1 << SCALE_BITS], ranges: [Share::default(); 1 << 8] };
            let (mut free, mut start) = (table.tokens.as_mut_slice(), 0u32);
            for (token, &frequency) in frequencies.iter().enumerate().filter(|(_, frequency)| **frequency > 0) {
                // Frequencies sum up to the scale.
                let (range, rest) = free.split_at_mut(usize::from(frequency).min(free.len()));
                range.fill(token as u8);
                table.ranges[token] = Share { frequency: frequency.into(), minus_start: start.wrapping_neg() };
                (free, start) = (rest, start + u32::from(frequency));
            }
            table
        };
        let (places, copies) = places(tables, signs);
        let mut tables: Vec<Table> = tables.tables.iter().map(table).collect();
        for table in copies {
            tables.extend(tables.get(usize::from(table)).map(Table::mirror));
        }
        let mut words: Vec<u16> = words.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        if words.len() < 2 * STATES || tables.is_empty() || places.is_empty() {
            return Err(corrupt("no states or no tables"));
        }
        let states = std::array::from_fn(|i| u32::from(words[2 * i]) << 16 | u32::from(words[2 * i + 1]));
        let n_words = words.len();
        words.resize(n_words + longest_wave + 1, 0);
        Ok(Decoder { tables, places, states, words, n_words, next_word: 2 * STATES, overrun: false })
    }

    /// Before every wave: there are as many words to read in vain as a wave may need.
    pub(super) fn start_wave(&mut self) {
        self.overrun |= self.next_word > self.n_words;
        self.next_word = self.next_word.min(self.n_words);
    }

    /// One for each band.
    pub(super) fn states(&self) -> [u32; STATES] {
        self.states
    }

    /// What the tokens of a wave of a component come from.
    pub(super) fn source(&self, component: usize) -> Source<'_> {
        let places = &self.places[if component < self.places.len() { component } else { 0 }];
        Source { tables: &self.tables, bins: all_bins(), places, words: &self.words, next_word: self.next_word }
    }

    /// Goes on where a wave ended.
    pub(super) fn resume(&mut self, states: [u32; STATES], next_word: usize) {
        (self.states, self.next_word) = (states, next_word);
    }

    /// Makes sure that all was read and nothing else.
    pub(super) fn finish(self) -> Result<()> {
        let is_read = !self.overrun && self.next_word == self.n_words;
        if is_read && self.states == [LEAST; STATES] { Ok(()) } else { Err(corrupt("the states do not end where they began")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_exact() {
        for frequency in 1..=1u32 << SCALE_BITS {
            let part = Part::new(0, frequency as u16);
            let near = |state: u32| [state.wrapping_sub(1), state, state.wrapping_add(1)];
            let states = [0, LEAST, frequency, u32::MAX, u32::MAX / frequency * frequency, (1 << 20) * (frequency - 1)];
            assert!(states.into_iter().flat_map(near).all(|state| part.quotient(state) == state / frequency), "{frequency}");
        }
    }
}
