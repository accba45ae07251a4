use errbar_format::Result;

use crate::codes::Word;
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
pub(super) fn difference_row<W: Word>(row: &mut [W]) {
    let mut before = W::from_u64(0);
    for code in row {
        let here = *code;
        *code = here.wsub(before).zigzag();
        before = here;
    }
}

/// Inverse of [`difference_row`].
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

fn difference<W: Word>(codes: &mut [W], axes: &[usize]) {
    if codes.is_empty() {
        return;
    }
    for axis in 0..axes.len() - 1 {
        let row: usize = axes[axis + 1..].iter().product();
        for plane in codes.chunks_exact_mut(axes[axis] * row) {
            // Backwards: a row's predecessor must still be whole.
            for at in (row..plane.len()).step_by(row).rev() {
                let (before, here) = plane[at - row..at + row].split_at_mut(row);
                here.iter_mut().zip(before).for_each(|(code, &mut before)| *code = code.wsub(before));
            }
        }
    }
    codes.chunks_exact_mut(axes[axes.len() - 1]).for_each(difference_row);
}

fn sum<W: Word>(codes: &mut [W], axes: &[usize]) {
    if codes.is_empty() {
        return;
    }
    codes.chunks_exact_mut(axes[axes.len() - 1]).for_each(sum_row);
    for axis in (0..axes.len() - 1).rev() {
        let row: usize = axes[axis + 1..].iter().product();
        for plane in codes.chunks_exact_mut(axes[axis] * row) {
            for at in (row..plane.len()).step_by(row) {
                let (before, here) = plane[at - row..at + row].split_at_mut(row);
                here.iter_mut().zip(before).for_each(|(code, &mut before)| *code = code.wadd(before));
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
        with_words!(&mut codes.words, v => difference(v, axes));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        let axes = axes(&codes.dims, params)?;
        with_words!(&mut codes.words, v => sum(v, axes));
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
        difference(&mut codes, &[4, 5]);
        let expected = |i: usize| match (i / 5 % 4, i % 5) {
            (0, 0) => 2 * (100 + 10 * (i / 20)),
            (0, _) => 6,
            (_, 0) => 14,
            _ => 0,
        };
        assert!(codes.iter().enumerate().all(|(i, &code)| usize::from(code) == expected(i)));
        sum(&mut codes, &[4, 5]);
        assert_eq!(codes, original);
    }
}
