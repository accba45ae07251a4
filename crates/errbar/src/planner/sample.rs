//! Parts of a block that stand for all of it.

use std::sync::Arc;

use errbar_codec::codes::Word;
use errbar_codec::float::Float;
use errbar_codec::{Codes, Tolerance, Values, with_words};

/// A box of a block, of at most about `n_words` words: the longest dimensions are cut first, so that
/// it has as many neighbours in every direction as can be. `eighths` says how far along every
/// dimension it lies; 4 is the middle.
pub(super) fn cut(values: &Values, n_words: usize, eighths: usize) -> Values {
    let dims = &values.bits.dims;
    let mut extent = dims.clone();
    loop {
        let len: usize = extent.iter().product();
        let Some(longest) = (0..extent.len()).max_by_key(|&axis| extent[axis]).filter(|_| len > n_words.max(1)) else { break };
        // Down to the second longest, or to what is enough.
        let others = len / extent[longest];
        let second = (0..extent.len()).filter(|&axis| axis != longest).map(|axis| extent[axis]).max().unwrap_or(1);
        extent[longest] = (n_words / others).max(second.min(extent[longest] - 1)).max(1);
    }
    taken(values, extent, eighths)
}

/// A box of at most about `n_words` words whose rows are whole, or as long as `run`: for what sees words
/// in their order alone, and would find repeats in short rows that the block does not have. `eighths`
/// as for [`cut`].
pub(super) fn slab(values: &Values, run: usize, n_words: usize, eighths: usize) -> Values {
    let mut extent = values.bits.dims.clone();
    let mut len = 1;
    for axis in (0..extent.len()).rev() {
        // What is left when a row is long is shared by two dimensions of rows, if there are two.
        let room = match extent[..axis].iter().any(|&dim| dim > 1) {
            false => n_words / len,
            true if len < run / 8 => run / len,
            true => (n_words / len).isqrt(),
        };
        extent[axis] = extent[axis].min(room.max(1));
        len *= extent[axis].max(1);
    }
    taken(values, extent, eighths)
}

/// The box of this extent.
fn taken(values: &Values, extent: Vec<usize>, eighths: usize) -> Values {
    let dims = &values.bits.dims;
    let origin: Vec<usize> = dims.iter().zip(&extent).map(|(dim, extent)| (dim - extent) * eighths / 8).collect();
    let words = with_words!(&values.bits.words, v => {
        let mut picked = Vec::with_capacity(extent.iter().product());
        pick(v, dims, &origin, &extent, &mut picked);
        Word::wrap(picked)
    });
    Values { dtype: values.dtype, bits: Codes::plain(extent, words) }
}

/// The words of a part that are missing, if any are.
pub(super) fn absent(part: &Values, tolerance: &Tolerance) -> Option<Arc<[bool]>> {
    let float = Float::of(part.dtype).ok();
    let is_absent = |bits: u64| float.is_some_and(|float| !float.is_finite(bits)) || tolerance.is_fill(bits);
    let absent: Vec<bool> = with_words!(&part.bits.words, v => v.iter().map(|word| is_absent(word.to_u64())).collect());
    absent.contains(&true).then(|| absent.into())
}

/// Boxes as [`cut`] gives them, those with the most values that are not missing first; of equals, the
/// one in the middle, then those farthest from each other.
pub(crate) fn boxes(values: &Values, tolerance: &Tolerance, n_words: usize, count: usize) -> Vec<Values> {
    if values.bits.words.len() <= n_words {
        return vec![values.clone()];
    }
    let absent = |part: &Values| absent(part, tolerance).map_or(0, |absent| absent.iter().filter(|absent| **absent).count());
    let mut boxes: Vec<(usize, Values)> = Vec::new();
    for eighths in PLACES {
        let part = cut(values, n_words, eighths);
        // In eighths of the box: a few are everywhere.
        boxes.push((absent(&part) * 8 / n_words.max(1), part));
        if boxes.iter().filter(|(absent, _)| *absent == 0).count() == count {
            break;
        }
    }
    boxes.sort_by_key(|(absent, _)| *absent);
    boxes.into_iter().take(count).map(|(_, part)| part).collect()
}

/// Where to look, in eighths of the way along every dimension.
const PLACES: [usize; 7] = [4, 1, 7, 2, 6, 3, 5];

fn pick<W: Word>(words: &[W], dims: &[usize], origin: &[usize], extent: &[usize], out: &mut Vec<W>) {
    let (&[_, ref inner @ ..], &[first, ..], &[n, ..]) = (dims, origin, extent) else {
        out.extend_from_slice(words);
        return;
    };
    let stride: usize = inner.iter().product();
    match inner {
        [] => out.extend_from_slice(&words[first..first + n]),
        _ => (first..first + n).for_each(|i| pick(&words[i * stride..(i + 1) * stride], inner, &origin[1..], &extent[1..], out)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use errbar_codec::{DType, Words};

    fn numbered(dims: &[usize]) -> Values {
        let n = dims.iter().product::<usize>() as u32;
        Values { dtype: DType::U32, bits: Codes::plain(dims.to_vec(), Words::U32((0..n).collect())) }
    }

    #[test]
    fn a_box_is_as_cubic_as_can_be() {
        let dims = |dims: &[usize], n| cut(&numbered(dims), n, 4).bits.dims;
        assert_eq!(dims(&[], 10), [0usize; 0]);
        assert_eq!(dims(&[1000], 10), [10]);
        assert_eq!(dims(&[3, 1000], 60), [3, 20]);
        assert_eq!(dims(&[100, 90, 3], 300), [10, 10, 3]);
        let slab = |dims: &[usize]| slab(&numbered(dims), 96, 400, 4).bits.dims;
        assert_eq!([slab(&[5000]), slab(&[50, 30, 4]), slab(&[9, 40, 40])], [vec![400], vec![4, 24, 4], vec![3, 3, 40]]);
        let whole = numbered(&[4, 5]);
        assert_eq!(cut(&whole, 20, 4), whole);
        assert_eq!(cut(&numbered(&[4, 6]), 4, 4).bits.words, Words::U32(vec![8, 9, 14, 15]));
    }
}
