//! Runs of words that are all zero, told before the words are coded and left out of these: where a field is smooth
//! beside its bound most words are in such runs, which are blots, and words one by one would cost more bits and time.

use std::iter::once;

use super::Step;
use super::context::Bands;
use super::symbols::{NONE, Symbols};
use crate::binary::{Binary, Bit, Reader, Writer};
use crate::polyphase::{DIMS, Extents};

/// Words of a run; the last one of a row, or of a piece of it, may have fewer.
pub(super) const RUN: usize = 16;
/// Words of runs of zeros among all, from which on telling them is thought of.
const LEAST_SHARE: (usize, usize) = (3, 8);
/// Runs around a run, each of which may be zero.
const AROUND: usize = 7;

/// Where a run stands, among all words of a block.
struct Run {
    first: usize,
    end: usize,
    /// A word of each of the runs around that are told before it.
    around: [Option<usize>; AROUND],
}

/// Tells which runs are zero and leaves their words out of the symbols, if that and what is left cost less than all
/// symbols do.
pub(super) fn leave_out(symbols: &mut Symbols, steps: &[Step], absent: Option<&[bool]>) -> Option<Vec<u8>> {
    let tokens = &symbols.tokens;
    let is_zero = |token: u8| token == 0 || token == NONE;
    let is_rare = |n_zero: usize| n_zero * LEAST_SHARE.1 < tokens.len() * LEAST_SHARE.0;
    if is_rare(tokens.iter().filter(|&&token| is_zero(token)).count()) {
        return None;
    }
    let (mut marks, mut n_zero) = (vec![false; tokens.len()], 0);
    each_run(steps, |Run { first, end, .. }| {
        if tokens[first..end].iter().all(|&token| is_zero(token)) {
            marks[first..end].fill(true);
            n_zero += end - first;
        }
    });
    if is_rare(n_zero) {
        return None;
    }
    let mut writer = Writer::default();
    code(&mut writer, steps, absent, &mut marks);
    let told = writer.finish();
    let shape = symbols.shape();
    let cost = |symbols: &Symbols| symbols.count::<1>(once(0..symbols.tokens.len()), shape).entropy();
    let cost_of_all = cost(symbols);
    let left = symbols.tokens.iter().zip(&marks).map(|(&token, &mark)| if mark { NONE } else { token }).collect();
    let all = std::mem::replace(&mut symbols.tokens, left);
    if cost(symbols) + (8 * told.len()) as f64 >= cost_of_all {
        symbols.tokens = all;
        return None;
    }
    Some(told)
}

/// Which words are in runs of zeros, by what [`leave_out`] wrote, or absent.
pub(super) fn told(bytes: &[u8], steps: &[Step], absent: Option<&[bool]>) -> Vec<bool> {
    let n_words = steps.iter().map(|step| step.n.iter().product::<usize>()).sum();
    let mut marks = vec![false; n_words];
    code(&mut Reader::new(bytes), steps, absent, &mut marks);
    if let Some(absent) = absent {
        marks.iter_mut().zip(absent).for_each(|(mark, absent)| *mark |= absent);
    }
    marks
}

/// Writes which words are in runs of zeros, or reads it. Runs without any word that is not absent are not asked for.
fn code(coder: &mut impl Binary, steps: &[Step], absent: Option<&[bool]>, marks: &mut [bool]) {
    let mut models = [Bit::default(); 1 << AROUND];
    each_run(steps, |Run { first, end, around }| {
        let is_zero = if absent.is_some_and(|absent| !absent[first..end].contains(&false)) {
            true
        } else {
            let set = around.iter().enumerate().map(|(i, at)| usize::from(at.is_some_and(|at| marks[at])) << i);
            coder.bit(marks[first], &mut models[set.sum::<usize>()])
        };
        marks[first..end].fill(is_zero);
    });
}

/// Visits the runs of all classes in the order of the words.
fn each_run(steps: &[Step], mut visit: impl FnMut(Run)) {
    // The first word and the extents of the class before, of the same level.
    let mut before: Option<(usize, Extents)> = None;
    let mut start = 0;
    for step in steps {
        let [_, planes, rows, width] = step.n;
        let n_rows = if width == 0 { 0 } else { step.n[..DIMS - 1].iter().product() };
        let bands = Bands::new(step.n);
        for row in 0..n_rows {
            let [i, j, k] = [row / rows / planes, row / rows % planes, row % rows];
            let in_class_before = before.filter(|(_, n)| i < n[0] && j < n[1] && k < n[2]);
            let in_class_before = in_class_before.map(|(first, n)| (first + ((i * n[1] + j) * n[2] + k) * n[3], n[3]));
            for piece in bands.pieces() {
                for x in piece.clone().step_by(RUN) {
                    let first = start + row * width + x;
                    let end = first + RUN.min(piece.end - x);
                    let is_last = end == start + (row + 1) * width;
                    let around = [
                        (x > 0).then(|| first - 1),
                        (k > 0).then(|| first - width),
                        (k > 0 && !is_last).then(|| end - width),
                        (k > 0 && x > 0).then(|| first - width - 1),
                        (j > 0).then(|| first - rows * width),
                        (i > 0).then(|| first - planes * rows * width),
                        in_class_before.and_then(|(first, width)| (x < width).then_some(first + x)),
                    ];
                    visit(Run { first, end, around });
                }
            }
        }
        before = Some((start, step.n)).filter(|_| !step.is_last);
        start += n_rows * width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coder::crans::steps;

    /// Words in blots, some of them absent.
    fn blots(n: Extents) -> (Symbols, Vec<bool>) {
        let len: usize = n.iter().product();
        let is_in_blot = |i: usize| i / 500 % 4 == 1 && i / 40 % 3 >= 1;
        let tokens = (0..len).map(|i| if i % 31 == 7 { NONE } else { u8::from(is_in_blot(i) && i.is_multiple_of(3)) });
        let tokens: Vec<u8> = tokens.collect();
        let absent = tokens.iter().map(|&token| token == NONE).collect();
        (Symbols { bins: vec![0; len], around: vec![0; len], tokens }, absent)
    }

    #[test]
    fn what_is_left_out_is_told() {
        for (n, levels) in [([1, 1, 90, 77], &[][..]), ([1, 5, 4, 403], &[]), ([4, 19, 23, 11], &[14, 14]), ([1, 1, 1, 5000], &[8])] {
            let (mut symbols, absent) = blots(n);
            let before = symbols.tokens.clone();
            let bytes = leave_out(&mut symbols, &steps(n, levels), Some(&absent)).expect("most are zero");
            let marks = told(&bytes, &steps(n, levels), Some(&absent));
            for (i, (&mark, &token)) in marks.iter().zip(&symbols.tokens).enumerate() {
                assert_eq!(mark, token == NONE, "{n:?} {i}");
                assert!(!mark || absent[i] || before[i] == 0, "{n:?} {i}");
            }
            assert!(marks.iter().filter(|mark| **mark).count() > before.len() / 2);
        }
    }

    #[test]
    fn single_zeros_are_left_in() {
        let tokens: Vec<u8> = (0..4000usize).map(|i| u8::from(i.wrapping_mul(2_654_435_761) >> 7 & 15 == 0)).collect();
        let mut symbols = Symbols { bins: vec![0; 4000], around: vec![0; 4000], tokens: tokens.clone() };
        assert!(leave_out(&mut symbols, &steps([1, 1, 40, 100], &[]), None).is_none());
        assert_eq!(symbols.tokens, tokens);
    }
}
