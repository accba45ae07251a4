//! What bytes would take as numbers of each form, and as bytes, about.

use std::ops::Range;

use errbar_codec::log2;
use errbar_format::zstd_frame;

use super::CELL;
use super::form::{FORMS, Form};

/// The state that is no form.
pub(super) const PLAIN: usize = FORMS.len();
/// Bytes whose matches are looked at together.
const GROUP: usize = 8;
/// Bytes looked at in a run, and from one run to the next.
const RUN: usize = 128;
const STEP: usize = 1024;
/// Words back to the one that a word is compared with: rows of up to so many components.
const LAGS: usize = 3;
/// Units of a bit.
const UNIT: u64 = 8;

/// Bits of every cell in every state.
pub(super) struct Costs {
    pub(super) n_cells: usize,
    costs: Vec<u32>,
}

impl Costs {
    pub(super) fn new(bytes: &[u8], n_cells: usize) -> Costs {
        let mut costs = vec![u32::MAX; n_cells * (PLAIN + 1)];
        for (group, rows) in costs.chunks_mut(GROUP * (PLAIN + 1)).enumerate() {
            let start = group * GROUP * CELL;
            let n = rows.len() / (PLAIN + 1);
            let part = &bytes[start..start + n * CELL];
            let counts = counts(part);
            if are_noise(&counts) {
                // There is no other state, whatever it costs.
                rows.chunks_mut(PLAIN + 1).for_each(|row| row[PLAIN] = 8 * CELL as u32);
                continue;
            }
            let planes = Planes::new(&counts);
            // Every cell has the share of the group's bytes that it would have alone.
            let plain = plain_bits(part);
            let alone: Vec<u64> = part.chunks(CELL).map(|cell| matched(cell, 1)).collect();
            let sum = alone.iter().sum::<u64>().max(1);
            rows.chunks_mut(PLAIN + 1).zip(alone).for_each(|(row, alone)| row[PLAIN] = (plain * alone / sum) as u32);
            for (i, form) in FORMS.iter().enumerate().filter(|(_, form)| planes.may_be(form)) {
                let split = planes.bits(form) / n as u64;
                for (cell, row) in rows.chunks_mut(PLAIN + 1).enumerate() {
                    row[i] = numbers_bits(bytes, start + cell * CELL, form).min(split) as u32;
                }
            }
        }
        Costs { n_cells, costs }
    }

    pub(super) fn of(&self, cell: usize, state: usize) -> u64 {
        u64::from(self.costs[cell * (PLAIN + 1) + state])
    }
}

/// Bits of a difference, in [`UNIT`]s: its length, and what the entropy of numbers of such lengths is
/// above that.
#[inline(always)]
pub(super) fn difference_bits(a: u64, b: u64, shift: u32) -> u64 {
    let difference = (a.wrapping_sub(b) as i64 >> shift).unsigned_abs();
    match difference {
        0 => UNIT / 2,
        _ => UNIT * u64::from(64 - difference.leading_zeros()) + UNIT * 5 / 4,
    }
}

/// Bits of a cell as differences of numbers, from runs of it.
fn numbers_bits(bytes: &[u8], at: usize, form: &Form) -> u64 {
    let (width, shift) = (form.width, form.shift());
    let mut sums = [0u64; LAGS];
    let mut n = 0u64;
    for run in (at..at + CELL).step_by(STEP) {
        let first = form.align_up(run);
        let mut back = [0; LAGS];
        for (lag, word) in back.iter_mut().enumerate() {
            *word = form.word(bytes, first + (LAGS - 1 - lag) * width);
        }
        let mut place = first + LAGS * width;
        while place + width <= run + RUN {
            let word = form.word(bytes, place);
            for (sum, &before) in sums.iter_mut().zip(&back) {
                *sum += difference_bits(word, before, shift);
            }
            back = [word, back[0], back[1]];
            n += 1;
            place += width;
        }
    }
    // Where words farther away do as well, it is because wider ones are numbers.
    let far = |lag: usize, sum: u64| if lag > 0 { sum / 128 * 131 } else { sum };
    let least = narrow(sums.into_iter().enumerate().map(|(lag, sum)| far(lag, sum)).min().unwrap_or(0), width);
    // No word takes more than its bits.
    (least * (CELL / width) as u64 / (UNIT * n.max(1))).min(8 * CELL as u64)
}

/// What a cost of narrow words counts for: where they do as well as wide ones, the wide ones are
/// numbers.
fn narrow(cost: u64, width: usize) -> u64 {
    match width {
        2 => cost / 128 * 132,
        4 => cost / 128 * 130,
        _ => cost,
    }
}

/// Bits of a group as bytes: by its matches, of which a better coder finds more.
fn plain_bits(bytes: &[u8]) -> u64 {
    matched(bytes, 1) * 8 * 15 / 16
}

/// Bytes that a level of zstd makes of bytes.
fn matched(bytes: &[u8], level: i32) -> u64 {
    zstd_frame::compress(bytes, level).map_or(bytes.len(), |frame| frame.len().min(bytes.len())) as u64
}

/// Whether bytes that would take `bits` as numbers, and `plain` with near matches alone, take less as
/// they are for matches from afar.
pub(super) fn repeats(bytes: &[u8], bits: u64, plain: u64) -> bool {
    let far = matched(bytes, 3) * 8;
    far <= bits && far <= plain / 16 * 13
}

/// Bits of the bytes at every position modulo 2, 4 and 8.
struct Planes([Vec<u64>; 3]);

/// Bits that bytes of these counts take, and their table.
fn entropy(counts: &[u32; 256]) -> u64 {
    let n: u32 = counts.iter().sum();
    let used = counts.iter().filter(|&&count| count > 0).count() as u64;
    let bits: f64 = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) * log2(f64::from(n) / f64::from(count))).sum();
    // Half the logarithm of its count for every symbol but one.
    bits as u64 + used * 4
}

/// How often each byte stands at every position modulo 8.
type Counts = [[u32; 256]; 8];

fn counts(bytes: &[u8]) -> Counts {
    let mut counts = [[0u32; 256]; 8];
    for eight in bytes.chunks_exact(8) {
        counts.iter_mut().zip(eight).for_each(|(counts, &byte)| counts[usize::from(byte)] += 1);
    }
    counts
}

/// Whether nothing tells one byte from another: they are compressed, or noise. At no position are two bytes
/// the same much more often than one time in 256; entropy is at least the logarithm of how seldom they are.
fn are_noise(counts: &Counts) -> bool {
    counts.iter().all(|counts| {
        let (n, pairs) = counts.iter().fold((0, 0), |(n, pairs), &count| (n + u64::from(count), pairs + u64::from(count).pow(2)));
        pairs * NOISE <= n * n
    })
}

/// 2^7.5.
const NOISE: u64 = 181;

impl Planes {
    fn new(counts: &Counts) -> Planes {
        let pooled = |width: usize| {
            let plane = |k: usize| {
                let mut sum = [0; 256];
                let same = counts.iter().skip(k).step_by(width);
                same.for_each(|counts| sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count));
                entropy(&sum)
            };
            (0..width).map(plane).collect()
        };
        Planes([2, 4, 8].map(pooled))
    }

    /// Of the bytes at position `k` modulo `width`.
    fn plane(&self, width: usize, k: usize) -> u64 {
        self.0[width.ilog2() as usize - 1][k % width]
    }

    /// Whether the first bytes of words of this form are those that vary least, or nearly.
    fn may_be(&self, form: &Form) -> bool {
        let width = form.width;
        let first = form.phase + if form.big_endian { 0 } else { width - 1 };
        let least = (0..width).map(|k| self.plane(width, k)).min().unwrap_or(0);
        let n: u64 = (GROUP * CELL / width) as u64;
        self.plane(width, first) <= least + n / 2
    }

    fn bits(&self, form: &Form) -> u64 {
        // Bytes of equal significance must be alike, which says nothing of order and phase but where
        // the first two bytes are.
        let width = form.width;
        let significance = |k: usize| if form.big_endian { k } else { width - 1 - k };
        let planes: Vec<u64> = (0..width).map(|k| self.plane(width, form.phase + significance(k))).collect();
        let ordered = planes.windows(2).take(2).all(|pair| pair[0] <= pair[1]);
        if ordered && form.float | (width == 2) { planes.iter().sum::<u64>() } else { u64::MAX }
    }
}

/// What a word of a form saves over plain bytes, in [`UNIT`]s; negative where it is none.
fn gain(bytes: &[u8], form: &Form, at: usize) -> i64 {
    let word = form.word(bytes, at);
    let before = |lag: usize| at.checked_sub(lag * form.width).map(|at| form.word(bytes, at));
    let cost = (1..=LAGS).filter_map(before).map(|before| difference_bits(word, before, form.shift())).min();
    // As numbers, bytes of a header take most of their bits. Of the first word nothing is known.
    cost.map_or(0, |cost| 27 * (UNIT * form.width as u64 / 4) as i64 - cost as i64)
}

/// Where numbers begin.
pub(super) fn begin(bytes: &[u8], form: &Form, range: Range<usize>) -> usize {
    best_end(bytes, form, range, true)
}

/// Where numbers end.
pub(super) fn end(bytes: &[u8], form: &Form, range: Range<usize>) -> usize {
    best_end(bytes, form, range, false)
}

fn best_end(bytes: &[u8], form: &Form, range: Range<usize>, begins: bool) -> usize {
    let (mut sum, mut best, mut place) = (0i64, 0i64, range.start);
    let mut at = form.align_up(range.start);
    while at + form.width <= range.end.min(bytes.len()) {
        let gain = gain(bytes, form, at);
        // What is before a beginning is lost, what is before an end is won.
        sum += if begins { -gain } else { gain };
        at += form.width;
        if sum >= best {
            (best, place) = (sum, at);
        }
    }
    place
}
