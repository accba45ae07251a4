use errbar_format::Result;

use super::map;
use crate::codes::Word;
use crate::stage::{Stage, Transform, bad_params};
use crate::{Codes, Layout, with_words};

/// Residuals of the Lorenzo predictor along the last axes (Ibarria et al., Out-of-core compression
/// and decompression of large n-dimensional scalar fields, 2003): differences along one axis after
/// the other. See `spec/stages/lorenzo.md`.
#[derive(Clone, Copy, Debug)]
pub struct Lorenzo;

/// The most axes that are predicted along.
const MAX_AXES: usize = 4;

fn axes(dims: &[usize], params: &[u8]) -> Result<std::ops::Range<usize>> {
    match params {
        &[n] if n >= 1 && usize::from(n) <= MAX_AXES.min(dims.len()) => Ok(dims.len() - usize::from(n)..dims.len()),
        _ => Err(bad_params("lorenzo takes one byte: 1 to 4 axes, no more than there are")),
    }
}

/// Words between neighbours along an axis, and words in all planes of it.
fn stride(dims: &[usize], axis: usize) -> (usize, usize) {
    let stride = dims[axis + 1..].iter().product();
    (stride, stride * dims[axis])
}

fn difference<W: Word>(words: &mut [W], stride: usize, slab: usize) {
    if slab == 0 {
        return;
    }
    for slab in words.chunks_exact_mut(slab) {
        // From the end, so that what is taken away is still there.
        let mut end = slab.len();
        while end > stride {
            let (before, after) = slab[..end].split_at_mut(end - stride);
            let from = &before[before.len() - stride..];
            after.iter_mut().zip(from).for_each(|(word, before)| *word = word.wsub(*before));
            end -= stride;
        }
    }
}

fn sum<W: Word>(words: &mut [W], stride: usize, slab: usize) {
    if slab == 0 {
        return;
    }
    for slab in words.chunks_exact_mut(slab) {
        if stride == 1 {
            let mut sum = W::from_u64(0);
            for word in slab {
                sum = sum.wadd(*word);
                *word = sum;
            }
            continue;
        }
        let mut start = stride;
        while start < slab.len() {
            let (before, after) = slab.split_at_mut(start);
            let from = &before[start - stride..];
            // `from` ends the zip after one plane.
            after.iter_mut().zip(from).for_each(|(word, before)| *word = word.wadd(*before));
            start += stride;
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
        "residuals of the Lorenzo predictor along the last axes, zigzag"
    }

    fn parameters(&self) -> &'static str {
        "axes: u8, 1 to 4"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every word"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        match params {
            [axes] => Ok(axes.to_string()),
            _ => Err(bad_params("lorenzo takes one byte")),
        }
    }
}

impl Transform for Lorenzo {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        axes(&input.dims, params).map(|_| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        let axes = axes(&codes.dims, params)?;
        with_words!(&mut codes.words, v => {
            for axis in axes {
                let (stride, slab) = stride(&codes.dims, axis);
                difference(v, stride, slab);
            }
            map(v, Word::zigzag);
        });
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        let axes = axes(&codes.dims, params)?;
        with_words!(&mut codes.words, v => {
            map(v, Word::unzigzag);
            for axis in axes {
                let (stride, slab) = stride(&codes.dims, axis);
                sum(v, stride, slab);
            }
        });
        Ok(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Words;

    #[test]
    fn a_plane_leaves_only_its_corner() {
        let plane: Vec<u32> = (0..6).flat_map(|y| (0..5).map(move |x| 100 + 7 * y + 3 * x)).collect();
        let codes = Codes { dims: vec![6, 5], words: Words::U32(plane) };
        let Words::U32(residuals) = Lorenzo.forward(codes, &[2]).expect("two axes").words else { panic!("u32 stay u32") };
        assert_eq!(residuals.iter().filter(|&&r| r != 0).count(), 1 + 5 + 4);
        assert!(residuals.chunks(5).skip(1).all(|row| row[1..].iter().all(|&r| r == 0)));
    }
}
