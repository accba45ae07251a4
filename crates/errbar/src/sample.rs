//! Parts of a block that stand for all of it.

use errbar_codec::codes::Word;
use errbar_codec::{Codes, Values, with_words};

/// A box from the middle of a block, of at most about `n_words` words: the longest dimensions are cut
/// first, so that it has as many neighbours in every direction as can be.
pub(crate) fn middle(values: &Values, n_words: usize) -> Values {
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
    let origin: Vec<usize> = dims.iter().zip(&extent).map(|(dim, extent)| (dim - extent) / 2).collect();
    let words = with_words!(&values.bits.words, v => {
        let mut picked = Vec::with_capacity(extent.iter().product());
        pick(v, dims, &origin, &extent, &mut picked);
        Word::wrap(picked)
    });
    Values { dtype: values.dtype, bits: Codes::plain(extent, words) }
}

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
    fn the_middle_is_as_cubic_as_can_be() {
        let dims = |dims: &[usize], n| middle(&numbered(dims), n).bits.dims;
        assert_eq!(dims(&[], 10), [0usize; 0]);
        assert_eq!(dims(&[1000], 10), [10]);
        assert_eq!(dims(&[3, 1000], 60), [3, 20]);
        assert_eq!(dims(&[100, 90, 3], 300), [10, 10, 3]);
        let whole = numbered(&[4, 5]);
        assert_eq!(middle(&whole, 20), whole);
        assert_eq!(middle(&numbered(&[4, 6]), 4).bits.words, Words::U32(vec![8, 9, 14, 15]));
    }
}
