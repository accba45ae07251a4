//! Distances at which words of a block are repeated.

use super::MOST;
use crate::codes::Word;
use crate::polyphase::{DIMS, Extents};

/// Words looked at, about.
const LOOKS: usize = 1 << 13;
/// Logarithm of the number of words remembered while distances are collected.
const REMEMBERED_LOG2: u32 = 16;
/// Distances that are weighed against each other, besides those to neighbours.
const FREQUENT: usize = 14;
/// Words of so many that a distance must serve and no other before it, …
const RARE: usize = 512;
/// … and all of them together, to be worth their map.
const FEW: usize = 48;

/// The distances that serve most words, the one that serves most first; none if they serve few.
pub(super) fn distances<W: Word>(words: &[W], n: Extents, absent: Option<&[bool]>) -> Vec<usize> {
    if words.is_empty() {
        return Vec::new();
    }
    let is_absent = |at: usize| absent.is_some_and(|absent| absent[at]);
    // An odd step meets every component of a vector.
    let step = (words.len() / LOOKS) | 1;
    let looks: Vec<usize> = (0..words.len()).step_by(step).filter(|&at| !is_absent(at)).collect();
    let is_repeat =
        |at: usize, distance: usize| at.checked_sub(distance).is_some_and(|source| words[source] == words[at] && !is_absent(source));
    let mut pool = frequent(words, step, is_absent);
    let (row, slice, volume) = (n[DIMS - 1], n[DIMS - 1] * n[DIMS - 2], n[DIMS - 1] * n[DIMS - 2] * n[DIMS - 3]);
    for neighbour in [1, 2, row - 1, row, row + 1, slice, volume] {
        if neighbour > 0 && neighbour < words.len() && !pool.contains(&neighbour) {
            pool.push(neighbour);
        }
    }
    let mut left = looks.clone();
    let mut chosen = Vec::new();
    while chosen.len() < MOST && !pool.is_empty() {
        let served = |distance: usize| left.iter().filter(|&&at| is_repeat(at, distance)).count();
        let counts: Vec<usize> = pool.iter().map(|&distance| served(distance)).collect();
        // Of equals the first.
        let best = (0..pool.len()).fold(0, |best, i| if counts[i] > counts[best] { i } else { best });
        if counts[best] * RARE <= looks.len() {
            break;
        }
        let distance = pool.remove(best);
        left.retain(|&at| !is_repeat(at, distance));
        chosen.push(distance);
    }
    if (looks.len() - left.len()) * FEW <= looks.len() { Vec::new() } else { chosen }
}

/// The distances from words looked at to where they were last, the most frequent first.
fn frequent<W: Word>(words: &[W], step: usize, is_absent: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut last = vec![0u32; 1 << REMEMBERED_LOG2];
    let mut met: Vec<usize> = Vec::with_capacity(words.len() / step + 1);
    for (at, &word) in words.iter().enumerate() {
        let place = (word.to_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - REMEMBERED_LOG2)) as usize;
        let before = last[place] as usize;
        if at.is_multiple_of(step) && before < at && words[before] == word && !is_absent(at) && !is_absent(before) {
            met.push(at - before);
        }
        last[place] = at as u32;
    }
    met.sort_unstable();
    let mut counted: Vec<(usize, usize)> = met.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0])).collect();
    // The nearest of equals.
    counted.sort_by_key(|&(count, distance)| (std::cmp::Reverse(count), distance));
    counted.into_iter().take(FREQUENT).map(|(_, distance)| distance).collect()
}
