//! What the signs of words around tell of a word's own.
//!
//! Predictions from values that were rounded often are off to the other side the next time, and those of
//! edges and ramps to the same side; magnitudes do not tell. Two signs make nine pairs. Pairs that mirror
//! each other are of one kind, for which words count as they are or with the other sign.

use std::iter::once;

use super::context::{ABOVE, PLANE, Template};
use super::symbols::Symbols;
use super::tables::{Clusters, Counts};
use super::token::DIRECT;
use crate::components::Components;
use crate::polyphase::Grid;

/// Pairs of signs: three times that of the word to the left plus another one.
pub(super) const PAIRS: usize = 9;
/// Kinds of pairs.
pub(super) const KINDS: usize = 5;
/// The kind of each pair, and whether it is the one in which words have the other sign.
pub(super) const KIND_OF: [(usize, bool); PAIRS] =
    [(0, false), (1, false), (1, true), (2, false), (3, false), (4, false), (2, true), (4, true), (3, true)];

/// The word whose sign counts with that of the word to the left, as the header tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    /// No signs count.
    Ignored,
    /// The word in the row before.
    Above,
    /// The word in the plane before.
    Before,
    /// The word before the one to the left.
    Left2,
}

impl Signs {
    pub(super) const ALL: [Signs; 4] = [Signs::Ignored, Signs::Above, Signs::Before, Signs::Left2];

    /// Kinds of pairs that there are.
    pub(super) fn kinds(self) -> usize {
        if self == Signs::Ignored { 1 } else { KINDS }
    }

    /// How far away in memory the other word stands, and whether that may lead to another band; none where
    /// its sign is known from the row itself or does not count.
    pub(super) fn step<T: Copy + Default>(self, template: &Template, axis: usize, own: &Grid<T>) -> Option<(isize, bool)> {
        let group = match self {
            Signs::Above => ABOVE,
            Signs::Before => PLANE,
            Signs::Ignored | Signs::Left2 => return None,
        };
        template[group].first().map(|member| (own.step(member.offset), member.leaves(axis)))
    }

    /// The pair for all signs [around] a word.
    pub(super) fn pairs_around(self) -> [u8; 1 << 8] {
        std::array::from_fn(|around| {
            let [left, above, before, left2] = [1, 3, 9, 27].map(|place| (around / place % 3) as u8);
            match self {
                Signs::Ignored => 0,
                Signs::Above => 3 * left + above,
                Signs::Before => 3 * left + before,
                Signs::Left2 => 3 * left + left2,
            }
        })
    }
}

/// All signs that may count, of the words to the left, above, before and left of the left, as one number.
#[inline(always)]
pub(super) fn around(left: u8, above: u8, before: u8, left2: u8) -> u8 {
    left + 3 * above + 9 * before + 27 * left2
}

/// The sign of a word: none, positive, negative.
#[inline(always)]
pub(super) const fn sign(word: u32) -> u8 {
    if word == 0 { 0 } else { 1 + (word & 1) as u8 }
}

/// The sign of the words of a token.
#[inline(always)]
pub(super) const fn sign_of_token(token: u8) -> u8 {
    // Large words have the parity that their tokens do not have.
    if token == 0 { 0 } else { 1 + ((token ^ (token as u32 >= DIRECT) as u8) & 1) }
}

/// The token of the words that have the other sign.
#[inline(always)]
pub(super) fn mirrored(token: u8) -> u8 {
    // Odd ones are followed by their mirrors.
    if token == 0 { 0 } else { token - 1 + 2 * (token & 1) }
}

/// Tokens that decide which pair of signs is compared with none, at most.
const SAMPLES: usize = 1 << 15;
/// They are looked at in runs.
const RUN: usize = 1 << 8;
/// Bins that are taken together there: an octave.
const OCTAVE: usize = 4;

/// What signs must save there, to be looked at more closely: some of it is luck.
const WORTH: f64 = 0.99;

/// Tokens counted for every pair of signs, as they count for every kind.
fn of_kinds(pairs: &[Counts]) -> Vec<Counts> {
    let pairs = || pairs.iter().zip(KIND_OF);
    // The first pair of each kind is not the mirrored one.
    let mut kinds: Vec<Counts> = pairs().filter(|(_, (_, is_mirrored))| !is_mirrored).map(|(counts, _)| counts.clone()).collect();
    for (counts, (kind, _)) in pairs().filter(|(_, (_, is_mirrored))| *is_mirrored) {
        kinds[kind].add(counts, mirrored);
    }
    kinds
}

/// Tokens counted for every pair of signs, as they count where no signs do.
fn of_all(pairs: &[Counts]) -> Option<Counts> {
    let (first, rest) = pairs.split_first()?;
    let mut all = first.clone();
    rest.iter().for_each(|counts| all.add(counts, |token| token));
    Some(all)
}

/// Which signs make tokens cheapest, and what they are counted to be then, of all components together or of each
/// by itself.
pub(super) fn choose(symbols: &Symbols, components: Components) -> (Signs, Clusters) {
    let n = symbols.tokens.len();
    let shape = symbols.shape();
    let apart = RUN * n.div_ceil(SAMPLES).max(1);
    let sample = (0..n).step_by(apart).enumerate().map(|(number, from)| {
        // At places that no period of the data shares.
        let first = from + (number * 2_654_435_761) % (apart - RUN + 1);
        n.min(first)..n.min(first + RUN)
    });
    let ignored = symbols.count::<OCTAVE>(sample.clone(), shape).entropy();
    let best = [Signs::Above, Signs::Before, Signs::Left2].into_iter().fold((ignored * WORTH, None), |best, signs| {
        let pairs = symbols.count_pairs::<OCTAVE>(sample.clone(), shape, &signs.pairs_around());
        let entropy = of_kinds(&pairs).iter().map(Counts::entropy).sum();
        if entropy < best.0 { (entropy, Some(signs)) } else { best }
    });
    let of_components = components.ranges(n);
    let Some(signs) = best.1 else {
        let counts: Vec<Counts> = of_components.map(|words| symbols.count::<1>(once(words), shape)).collect();
        return (Signs::Ignored, Clusters::cheaper(&counts, 1));
    };
    let pairs = of_components.map(|words| symbols.count_pairs::<1>(once(words), shape, &signs.pairs_around()));
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for pairs in pairs {
        without.extend(of_all(&pairs));
        with.extend(of_kinds(&pairs));
    }
    let (without, with) = (Clusters::cheaper(&without, 1), Clusters::cheaper(&with, signs.kinds()));
    if with.cost() < without.cost() { (signs, with) } else { (Signs::Ignored, without) }
}

#[cfg(test)]
mod tests {
    use super::super::token::split;
    use super::*;
    use crate::conformance::SplitMix64;

    #[test]
    fn mirrors_have_the_other_sign() {
        for magnitude in [1u32, 2, 7, 8, 9, 100, 12_345, 1 << 30] {
            let (plus, minus) = (split(2 * magnitude).0, split(2 * magnitude - 1).0);
            assert_eq!((mirrored(plus), mirrored(minus)), (minus, plus), "{magnitude}");
            assert_eq!((sign_of_token(plus), sign_of_token(minus)), (1, 2), "{magnitude}");
        }
        assert_eq!((mirrored(0), sign_of_token(0)), (0, 0));
        assert!((0..1 << 20).all(|word| sign_of_token(split(word).0) == sign(word)));
    }

    #[test]
    fn pairs_that_mirror_each_other_are_of_one_kind() {
        let other = |sign: usize| [0, 2, 1][sign];
        for left in 0..3 {
            for second in 0..3 {
                let (kind, is_mirrored) = KIND_OF[3 * left + second];
                let mirror = KIND_OF[3 * other(left) + other(second)];
                assert_eq!(mirror, (kind, !is_mirrored && kind > 0));
                assert!(kind < KINDS && (kind == 0 || is_mirrored != mirror.1));
            }
        }
    }

    #[test]
    fn the_signs_that_tell_most_are_chosen() {
        let symbols = |tokens: &dyn Fn(u64) -> (u8, u8)| {
            let (tokens, around): (Vec<u8>, Vec<u8>) = SplitMix64(5).take(10_000).map(tokens).unzip();
            Symbols { bins: vec![20; tokens.len()], tokens, around }
        };
        let chosen = |other: usize| {
            let symbols = symbols(&|random| {
                // The word has the sign of another one.
                let signs = [0, 1, 2, 3].map(|bit| 1 + (random >> bit & 1) as u8);
                let [left, above, before, left2] = signs;
                (3 - signs[other], around(left, above, before, left2))
            });
            choose(&symbols, Components::NONE).0
        };
        assert_eq!([1, 2, 3].map(chosen), [Signs::Above, Signs::Before, Signs::Left2]);
        let noise = symbols(&|random| ((random % 7) as u8, (random >> 8) as u8 % 81));
        assert_eq!(choose(&noise, Components::NONE).0, Signs::Ignored);
        assert_eq!(choose(&Symbols::default(), Components::NONE).0, Signs::Ignored);
    }
}
