//! Interleaved static rANS (Duda, arXiv:1311.2540; Giesen, arXiv:1402.3392): states of 32 bits that
//! are refilled with words of 16 bits.

use errbar_format::Result;

use super::context::{CONTEXTS, all_bins};
use super::corrupt;
use super::signs::{AROUND, KIND_OF, Signs, mirrored};
use super::tables::{BINS, Frequencies, SCALE_BITS, Tables};
use super::token::TOKENS;

/// States: each codes the words of a band, so that none waits for another's.
pub(super) const STATES: usize = 4;
/// Least value of a state.
const LEAST: u32 = 1 << 16;

/// A token to code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    pub(super) token: u8,
    /// That of its context.
    pub(super) bin: u8,
    /// The signs [around](super::signs::around) it.
    pub(super) around: u8,
    /// The state that codes it.
    pub(super) lane: u8,
    /// The component that its word belongs to.
    pub(super) component: u8,
}

/// A token's share of a table.
#[derive(Clone, Copy, Default)]
struct Part {
    frequency: u32,
    start: u32,
    /// Just above 2^[`INVERSE_BITS`] / frequency, to divide by it.
    inverse: u64,
}

/// A state is below 2^32, and the error of an inverse times the frequency at most 2^12: what is left is
/// below one unit, and quotients are exact.
const INVERSE_BITS: u32 = 32 + SCALE_BITS;

impl Part {
    fn new(start: u32, frequency: u32) -> Part {
        Part { frequency, start, inverse: (1 << INVERSE_BITS) / u64::from(frequency.max(1)) + 1 }
    }

    #[inline(always)]
    fn quotient(&self, state: u32) -> u32 {
        ((u128::from(state) * u128::from(self.inverse)) >> INVERSE_BITS) as u32
    }
}

/// The words of symbols, in the order of reading.
pub(super) fn encode(symbols: &[Symbol], signs: Signs, tables: &Tables) -> Vec<u16> {
    // All components have those of one, unless each has its own.
    let of_component = |component: u8| if tables.of_bin.len() > signs.kinds() { signs.kinds() * usize::from(component) } else { 0 };
    let mut parts = vec![[Part::default(); 1 << 8]; tables.tables.len()];
    for (table, parts) in tables.tables.iter().zip(&mut parts) {
        let mut start = 0;
        for (part, &frequency) in parts.iter_mut().zip(table) {
            *part = Part::new(start, frequency.into());
            start += u32::from(frequency);
        }
    }
    let mut states = [LEAST; STATES];
    let mut words = Vec::with_capacity(symbols.len() / 2 + 2 * STATES);
    let kinds = signs.kinds_around();
    for &Symbol { token, bin, around, lane, component } in symbols.iter().rev() {
        let (kind, is_mirrored) = kinds[usize::from(around) % AROUND];
        let table = usize::from(tables.of_bin[of_component(component) + kind][usize::from(bin) % BINS]);
        let part = &parts[table][usize::from(if is_mirrored { mirrored(token) } else { token })];
        let state = &mut states[usize::from(lane) % STATES];
        // With a frequency of 2^12 a state never grows.
        if u64::from(*state) >= u64::from(part.frequency) << (32 - SCALE_BITS) {
            words.push(*state as u16);
            *state >>= 16;
        }
        let quotient = part.quotient(*state);
        *state = (quotient << SCALE_BITS) + (*state - quotient * part.frequency) + part.start;
    }
    for state in states.into_iter().rev() {
        words.extend([state as u16, (state >> 16) as u16]);
    }
    words.reverse();
    words
}

/// A table: what a state's remainder says, in as little memory as can be, for all tables to stay near.
struct Table {
    /// The token of every remainder.
    tokens: [u8; 1 << SCALE_BITS],
    /// Of every token the start of its range, in the upper half, and its frequency.
    ranges: [u32; 1 << 8],
}

impl Table {
    /// The same with all signs turned.
    fn mirror(&self) -> Table {
        let mut ranges = [0; 1 << 8];
        (0..TOKENS).for_each(|token| ranges[token] = self.ranges[usize::from(mirrored(token as u8))]);
        Table { tokens: self.tokens.map(mirrored), ranges }
    }
}

/// Room for a pair of signs and a bin.
const PAIR_BITS: u32 = 4;
const PLACES: usize = 1 << (PAIR_BITS + 8);

/// Reads tokens.
pub(super) struct Decoder {
    tables: Vec<Table>,
    /// For every component the table of every bin and pair of signs; those of one may be those of all.
    of_bin: Vec<[u16; PLACES]>,
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
    of_bin: &'a [u16; PLACES],
    words: &'a [u16],
    next_word: usize,
}

impl Source<'_> {
    /// The next token in this context, with this pair of signs.
    #[inline(always)]
    pub(super) fn token(&mut self, state: &mut u32, context: u32, pair: u32) -> u8 {
        let bin = u32::from(self.bins[context as usize % CONTEXTS]);
        let table = &self.tables[usize::from(self.of_bin[(bin << PAIR_BITS | pair) as usize % PLACES])];
        let slot = *state % (1 << SCALE_BITS);
        let token = table.tokens[slot as usize];
        let range = table.ranges[usize::from(token)];
        let next = (range & 0xFFFF).wrapping_mul(*state >> SCALE_BITS).wrapping_add(slot.wrapping_sub(range >> 16));
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
            let mut table = Table { tokens: [0; 1 << SCALE_BITS], ranges: [0; 1 << 8] };
            let (mut free, mut start) = (table.tokens.as_mut_slice(), 0);
            for (token, &frequency) in frequencies.iter().enumerate().filter(|(_, frequency)| **frequency > 0) {
                // Frequencies sum up to the scale.
                let (range, rest) = free.split_at_mut(usize::from(frequency).min(free.len()));
                range.fill(token as u8);
                table.ranges[token] = start << 16 | u32::from(frequency);
                (free, start) = (rest, start + u32::from(frequency));
            }
            table
        };
        let mut found: Vec<Table> = tables.tables.iter().map(table).collect();
        let mut places_of = |kinds: &[[u16; BINS]]| {
            let mut of_bin = [0; PLACES];
            for (pair, &(kind, is_mirrored)) in KIND_OF.iter().enumerate() {
                let Some(tables) = kinds.get(kind) else { continue };
                // The one before, and its mirror.
                let mut last = None;
                for (bin, &table) in tables.iter().enumerate() {
                    let place = match last {
                        Some((known, place)) if known == table => place,
                        _ if is_mirrored => {
                            found.extend(found.get(usize::from(table)).map(Table::mirror));
                            found.len() as u16 - 1
                        }
                        _ => table,
                    };
                    last = Some((table, place));
                    of_bin[bin << PAIR_BITS | pair] = place;
                }
            }
            of_bin
        };
        let of_bin: Vec<[u16; PLACES]> = tables.of_bin.chunks(signs.kinds()).map(&mut places_of).collect();
        let mut words: Vec<u16> = words.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        if words.len() < 2 * STATES || found.is_empty() || of_bin.is_empty() {
            return Err(corrupt("no states or no tables"));
        }
        let states = std::array::from_fn(|i| u32::from(words[2 * i]) << 16 | u32::from(words[2 * i + 1]));
        let n_words = words.len();
        words.resize(n_words + longest_wave + 1, 0);
        Ok(Decoder { tables: found, of_bin, states, words, n_words, next_word: 2 * STATES, overrun: false })
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
        let of_bin = &self.of_bin[if component < self.of_bin.len() { component } else { 0 }];
        Source { tables: &self.tables, bins: all_bins(), of_bin, words: &self.words, next_word: self.next_word }
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
        for frequency in 1..=1 << SCALE_BITS {
            let part = Part::new(0, frequency);
            let near = |state: u32| [state.wrapping_sub(1), state, state.wrapping_add(1)];
            let states = [0, LEAST, frequency, u32::MAX, u32::MAX / frequency * frequency, (1 << 20) * (frequency - 1)];
            assert!(states.into_iter().flat_map(near).all(|state| part.quotient(state) == state / frequency), "{frequency}");
        }
    }
}
