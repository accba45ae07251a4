use errbar_format::Result;

use crate::codes::Word;
use crate::simd::{Work, widest};
use crate::stage::{Stage, Transform, bad_params};
use crate::{Codes, Layout, with_words};

/// Zigzag code of each code's difference to its Lorenzo prediction over the last axes (Ibarria et
/// al., Computer Graphics Forum 22(3), 2003). Modulo 2^bits that is a difference along each axis
/// in turn, in any order, so every pass runs along memory. See `spec/stages/lorenzo.md`.
#[derive(Clone, Copy, Debug)]
pub struct Lorenzo;

/// The extents of the axes that take part, slowest first; never none.
fn axes<'a>(dims: &'a [usize], params: &[u8]) -> Result<&'a [usize]> {
    match params {
        &[n @ 1..=4] if usize::from(n) <= dims.len() => Ok(&dims[dims.len() - usize::from(n)..]),
        _ => Err(bad_params("lorenzo takes one byte: 1 to 4 axes, no more than there are")),
    }
}

/// Codes that stay in the first-level cache.
const RUN: usize = 1024;

/// Zigzag codes of the differences in a run of codes, the first one's to zero.
#[inline(always)]
pub(super) fn difference_row<W: Word>(row: &mut [W]) {
    let mut before = W::from_u64(0);
    for code in row {
        let here = *code;
        *code = here.wsub(before).zigzag();
        before = here;
    }
}

/// Inverse of [`difference_row`].
#[inline(always)]
pub(super) fn sum_row<W: Word>(row: &mut [W]) {
    let mut sum = W::from_u64(0);
    // The sum must wait for every code before it; the rest of the work need not.
    for run in row.chunks_mut(RUN) {
        run.iter_mut().for_each(|code| *code = code.unzigzag());
        for code in run {
            sum = sum.wadd(*code);
            *code = sum;
        }
    }
}

/// Both directions. An axis takes part as soon as a plane across it is complete, while its words are near.
struct Pass<'a, W> {
    codes: &'a mut [W],
    axes: &'a [usize],
    forward: bool,
}

impl<W: Word> Work for Pass<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Pass { codes, axes, forward } = self;
        if codes.is_empty() {
            return;
        }
        let width = axes[axes.len() - 1];
        // The words of a plane across each other axis, the innermost first.
        let planes = (0..axes.len() - 1).rev().map(|axis| (axes[axis], axes[axis + 1..].iter().product::<usize>()));
        let planes: Vec<(usize, usize)> = planes.collect();
        let completes = |end: usize, &(n, plane): &(usize, usize)| end.is_multiple_of(plane) && !(end / plane - 1).is_multiple_of(n);
        let neighbours = |codes: &mut [W], end: usize, plane: usize, change: fn(W, W) -> W| {
            let (before, here) = codes[end - 2 * plane..end].split_at_mut(plane);
            here.iter_mut().zip(before).for_each(|(code, &mut before)| *code = change(*code, before));
        };
        if forward {
            // Backwards: what is before must still be whole.
            for end in (1..=codes.len() / width).rev().map(|row| row * width) {
                for place in planes.iter().rev().filter(|place| completes(end, place)) {
                    neighbours(codes, end, place.1, |code, before| code.wsub(before));
                }
                difference_row(&mut codes[end - width..end]);
            }
        } else {
            for end in (1..=codes.len() / width).map(|row| row * width) {
                sum_row(&mut codes[end - width..end]);
                for place in planes.iter().filter(|place| completes(end, place)) {
                    neighbours(codes, end, place.1, |code, before| code.wadd(before));
                }
            }
        }
    }
}

impl Stage for Lorenzo {
    fn name(&self) -> &'static str {
        "lorenzo"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "differences to the prediction from neighbours along the last axes"
    }

    fn parameters(&self) -> &'static str {
        "axes: u8, 1 to 4, counted from the last"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        (1..=4).map(|axes| vec![axes]).collect()
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every code: differences are modulo 2^bits"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        axes(&[0; 4], params).map(|axes| axes.len().to_string())
    }
}

impl Transform for Lorenzo {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        axes(&input.dims, params).map(|_| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        let axes = axes(&codes.dims, params)?;
        with_words!(&mut codes.words, v => widest(Pass { codes: v, axes, forward: true }));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        let axes = axes(&codes.dims, params)?;
        with_words!(&mut codes.words, v => widest(Pass { codes: v, axes, forward: false }));
        Ok(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_leaves_its_corner_and_two_edges() {
        let mut codes: Vec<u16> = (0..3 * 4 * 5).map(|i| (100 + 10 * (i / 20) + 7 * (i / 5 % 4) + 3 * (i % 5)) as u16).collect();
        let original = codes.clone();
        Pass { codes: &mut codes, axes: &[4, 5], forward: true }.run();
        let expected = |i: usize| match (i / 5 % 4, i % 5) {
            (0, 0) => 2 * (100 + 10 * (i / 20)),
            (0, _) => 6,
            (_, 0) => 14,
            _ => 0,
        };
        assert!(codes.iter().enumerate().all(|(i, &code)| usize::from(code) == expected(i)));
        Pass { codes: &mut codes, axes: &[4, 5], forward: false }.run();
        assert_eq!(codes, original);
    }
}
