//! Which words repeat which, as adaptive bits in the context of what words around repeat.

use errbar_format::Result;

use super::MOST;
use crate::binary::{Binary, Bit};
use crate::codes::Repeats;
use crate::polyphase::{DIMS, Extents};
use crate::stage::bad_params;

/// Words that are looked at together first.
const RUN: usize = 32;
/// Logarithm of the number of contexts of a single bit.
const CONTEXTS_LOG2: u32 = 16;
/// Words around that may be equal to one that might be repeated.
const AROUND: usize = 11;

/// What a word is that repeats no word at one of the distances: it repeats one elsewhere, it is absent or
/// there is none, it repeats nothing.
const ELSEWHERE: u8 = 13;
const NONE: u8 = 14;
const NOTHING: u8 = 15;

/// Distances to the words around in memory, 0 for those that there are none of.
struct Around {
    /// To words that may be equal.
    equal: [usize; AROUND],
    /// To words whose own repeats tell something.
    telling: [usize; 3],
    /// To runs whose own repeats tell something.
    runs: [usize; 3],
}

impl Around {
    fn new(n: Extents) -> Around {
        let row = n[DIMS - 1];
        let slice = row * n[DIMS - 2];
        let third = if n[DIMS - 3] > 1 { slice } else { 2 };
        Around {
            equal: [
                1,
                2,
                row,
                row + 1,
                row.saturating_sub(1),
                2 * row,
                slice,
                slice.saturating_sub(1),
                slice + 1,
                slice + row,
                slice - row,
            ],
            telling: [1, row, third],
            runs: [RUN, row, slice],
        }
    }
}

struct Models {
    /// Whether a run repeats the words at the first distance; by whether the runs around did.
    runs: [Bit; 8],
    single: Vec<Bit>,
    /// Whether a word repeats one elsewhere, by what words around repeat.
    elsewhere: Vec<Bit>,
    /// The logarithm of the distance then: a tree.
    octave: [Bit; 32],
}

/// What is known of the words so far.
struct Known {
    /// Words of one number are equal, as far as repeats tell; 0: nothing is known of a word.
    kinds: Vec<u32>,
    which: Vec<u8>,
    back: Vec<u32>,
    last: u32,
}

/// Writes which words repeat which, or reads it. `given` counts where it is written: how far before each
/// word the one stands that it repeats, 0 where there is none. Where a word can repeat one at any of
/// `distances`, it is the first of them.
pub(super) fn code(
    coder: &mut impl Binary,
    n: Extents,
    distances: &[usize],
    absent: Option<&[bool]>,
    given: Option<&[u32]>,
) -> Result<Repeats> {
    let len: usize = n.iter().product();
    let around = Around::new(n);
    let mut models = Models {
        runs: [Bit::default(); 8],
        single: vec![Bit::default(); 1 << CONTEXTS_LOG2],
        elsewhere: vec![Bit::default(); 1 << 12],
        octave: [Bit::default(); 32],
    };
    let with_room = || Vec::with_capacity(len);
    let mut known = Known { kinds: with_room(), which: Vec::with_capacity(len), back: with_room(), last: 0 };
    let is_absent = |at: usize| absent.is_some_and(|absent| absent[at]);
    let mut whole_runs: Vec<bool> = Vec::with_capacity(len.div_ceil(RUN));
    let Some(&first_distance) = distances.first() else {
        return Ok(Repeats { back: vec![0; len] });
    };
    for start in (0..len).step_by(RUN) {
        let run = start..(start + RUN).min(len);
        let was_whole = |back: usize| start.checked_sub(back).is_some_and(|at| whole_runs.get(at / RUN).is_some_and(|&whole| whole));
        let context = around.runs.iter().fold(0, |context, &back| context << 1 | usize::from(was_whole(back)));
        let is_given = given.is_some_and(|given| run.clone().all(|at| given[at] as usize == first_distance || is_absent(at)));
        let is_whole = start >= first_distance && coder.bit(is_given, &mut models.runs[context]);
        whole_runs.push(is_whole);
        for at in run {
            if is_absent(at) {
                known.push(0, NONE, 0);
            } else if is_whole {
                match known.kinds[at - first_distance] {
                    0 => return Err(bad_params("repeat of what is absent")),
                    kind => known.push(kind, 0, first_distance),
                }
            } else {
                single(coder, &mut models, &around, distances, &mut known, given.map_or(0, |given| given[at]))?;
            }
        }
    }
    Ok(Repeats { back: known.back })
}

impl Known {
    #[inline(always)]
    fn push(&mut self, kind: u32, which: u8, back: usize) {
        self.kinds.push(kind);
        self.which.push(which);
        self.back.push(back as u32);
    }

    /// The kind of a word so far before the next.
    #[inline(always)]
    fn kind(&self, back: usize) -> u32 {
        // Behind the last there is none, and none before the first.
        self.kinds.get(self.kinds.len().wrapping_sub(back)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn which(&self, back: usize) -> u8 {
        self.which.get(self.which.len().wrapping_sub(back)).copied().unwrap_or(NONE)
    }
}

/// What the next word repeats: one distance after the other is asked for, but for those at which stands
/// what another has been asked for already; then any.
#[inline(always)]
fn single(coder: &mut impl Binary, models: &mut Models, around: &Around, distances: &[usize], known: &mut Known, given: u32) -> Result<()> {
    let equal = around.equal.map(|back| known.kind(back));
    let told = around.telling.iter().rev().fold(0u32, |told, &back| told << 4 | u32::from(known.which(back)));
    let mut kinds = [0u32; MOST];
    for (i, &distance) in distances.iter().enumerate().take(MOST) {
        let kind = known.kind(distance);
        if kind == 0 || kinds[..i].contains(&kind) {
            continue;
        }
        kinds[i] = kind;
        let same = equal.iter().rev().fold(0u32, |same, &other| same << 1 | u32::from(other == kind));
        let key = i as u32 | same << 4 | told << (4 + AROUND);
        let context = key.wrapping_mul(0x9E37_79B1) >> (u32::BITS - CONTEXTS_LOG2);
        if coder.bit(given as usize == distance, &mut models.single[context as usize]) {
            known.push(kind, i as u8, distance);
            return Ok(());
        }
    }
    if coder.bit(given > 0, &mut models.elsewhere[told as usize]) {
        let octave = coder.tree(given.max(1).ilog2(), &mut models.octave);
        let distance = (1 << octave | coder.raw(given.into(), octave)) as usize;
        match known.kind(distance) {
            0 => return Err(bad_params("repeat of what is not there")),
            kind => known.push(kind, ELSEWHERE, distance),
        }
    } else {
        known.last += 1;
        known.push(known.last, NOTHING, 0);
    }
    Ok(())
}
