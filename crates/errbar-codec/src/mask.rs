//! Which words are absent, as adaptive bits. Masks of fields are blots with smooth shores, the same
//! in every time step: runs that repeat the row or the slice before them cost one bit that costs
//! little, others a bit a word in the context of its neighbours. See `spec/errbar-1.md`, 7.3.

use crate::binary::{Binary, Bit};

/// Words of a row that are looked at together.
const RUN: usize = 32;
/// Contexts of a single word.
const CONTEXTS: usize = 1 << 12;

struct Models {
    /// Whether a run repeats the slice before it, and the row; by whether the runs before it did.
    same: [[Bit; 4]; 2],
    single: Vec<Bit>,
}

/// Writes `mask`, or fills it with what is read. `dims` are those of the words.
pub(crate) fn code(coder: &mut impl Binary, dims: &[usize], mask: &mut [bool]) {
    let long: Vec<usize> = dims.iter().copied().filter(|&d| d != 1).collect();
    let width = long.last().copied().unwrap_or(1);
    let height = if long.len() > 1 { long[long.len() - 2] } else { 1 };
    let mut models = Models { same: [[Bit::default(); 4]; 2], single: vec![Bit::default(); CONTEXTS] };
    let (mut front_was_same, mut up_was_same) = (0, 0);
    for row in 0..mask.len() / width.max(1) {
        let (before, here) = mask.split_at_mut(row * width);
        let here = &mut here[..width];
        // The rows that a run may repeat: of the slice before, and the one above in its slice.
        let front = (row >= height).then(|| &before[(row - height) * width..][..width]);
        let up = (row % height > 0).then(|| &before[(row - 1) * width..]);
        let upper = (row % height > 1).then(|| &before[(row - 2) * width..][..width]);
        for first in (0..width).step_by(RUN) {
            let run = first..(first + RUN).min(width);
            let mut repeat = |which: usize, row: Option<&[bool]>, here: &mut [bool], was_same: &mut usize| {
                let Some(row) = row else { return false };
                let same = coder.bit(here[run.clone()] == row[run.clone()], &mut models.same[which][*was_same & 3]);
                *was_same = *was_same << 1 | usize::from(same);
                if same {
                    here[run.clone()].copy_from_slice(&row[run.clone()]);
                }
                same
            };
            if repeat(0, front, here, &mut front_was_same) || repeat(1, up, here, &mut up_was_same) {
                continue;
            }
            for x in run {
                let bit = |row: Option<&[bool]>, x: usize| usize::from(row.is_some_and(|row| row.get(x).is_some_and(|&b| b)));
                let left = |n: usize| usize::from(x >= n && here[x - n]);
                let context = left(1)
                    | left(2) << 1
                    | left(3) << 2
                    | (if x > 0 { bit(up, x - 1) } else { 0 }) << 3
                    | bit(up, x) << 4
                    | bit(up, x + 1) << 5
                    | bit(up, x + 2) << 6
                    | bit(upper, x) << 7
                    | (if x > 0 { bit(front, x - 1) } else { 0 }) << 8
                    | bit(front, x) << 9
                    | bit(front, x + 1) << 10
                    | usize::from(front.is_some()) << 11;
                here[x] = coder.bit(here[x], &mut models.single[context]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::{Reader, Writer};
    use crate::conformance::SplitMix64;

    fn there_and_back(dims: &[usize], mask: &[bool]) -> usize {
        let mut writer = Writer::default();
        code(&mut writer, dims, &mut mask.to_vec());
        let bytes = writer.finish();
        let mut back = vec![false; mask.len()];
        code(&mut Reader::new(&bytes), dims, &mut back);
        assert_eq!(back, mask);
        bytes.len()
    }

    #[test]
    fn masks_come_back_and_coasts_are_cheap() {
        let disc = |i: usize| (i / 300 % 200).abs_diff(90).pow(2) + (i % 300).abs_diff(140).pow(2) < 70 * 70;
        let two: Vec<bool> = (0..2 * 200 * 300).map(disc).collect();
        assert!(there_and_back(&[200, 300], &two[..60_000]) < 250);
        assert!(there_and_back(&[2, 200, 1, 300], &two) < 300);
        for dims in [&[][..], &[1], &[7, 5], &[3, 4, 70], &[0, 4], &[4, 0]] {
            let n = dims.iter().product();
            let noise: Vec<bool> = SplitMix64(3).map(|r| r & 1 == 1).take(n).collect();
            there_and_back(dims, &noise);
        }
    }
}
