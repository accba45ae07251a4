//! Arrays that a file holds piece by piece: frames of a trajectory, fields of a forecast.

use std::collections::HashMap;

use errbar_format::limits::MAX_BLOCK;
use errbar_format::record::Filter;
use errbar_format::{DType, Result};

use crate::layout::{MAX_PLACES, MAX_RECORD};
use crate::strided::Strided;
use crate::{Array, Chunks, Holds, Layout, Place, not_this};

/// Bytes of a field below which it is not worth a place of its own.
const MIN_PLACE: u64 = 64;

/// What pieces of one array have in common.
type Key = (String, DType, bool, Vec<u64>, Option<u8>);

/// Pieces of equal name, type, shape and packing. They become one array, with the number of the piece in the
/// file as its first index; a piece without its like is an array of its own shape.
#[derive(Default)]
pub(crate) struct Stacks {
    stacks: Vec<(Array, Option<u8>, Vec<u64>)>,
    places: HashMap<Key, usize>,
    pieces: usize,
}

impl Stacks {
    /// Adds a piece that begins at `offset`.
    pub(crate) fn add(&mut self, offset: u64, piece: Array) -> Result<()> {
        self.add_packed(offset, piece, None)
    }

    /// Adds a piece whose numbers take so many bits each, from `offset` on, if that is not their words'.
    /// Its numbers must fit a chunk.
    pub(crate) fn add_packed(&mut self, offset: u64, piece: Array, width: Option<u8>) -> Result<()> {
        self.pieces += 1;
        if self.pieces > MAX_PLACES {
            return Err(not_this("too many pieces of arrays"));
        }
        let key = (piece.name.clone(), piece.dtype, piece.big_endian, piece.shape.clone(), width);
        let next = self.stacks.len();
        let at = *self.places.entry(key).or_insert(next);
        if at == next {
            self.stacks.push((piece, width, Vec::new()));
        }
        self.stacks[at].2.push(offset);
        Ok(())
    }

    /// Adds the arrays to `layout`.
    pub(crate) fn add_to(self, layout: &mut Layout) {
        for (piece, width, offsets) in self.stacks {
            let plain = piece.bytes().unwrap_or(u64::MAX);
            if width.is_none() {
                let follow = offsets.windows(2).all(|pair| pair[0].checked_add(plain) == Some(pair[1]));
                let shape = [&[offsets.len() as u64], &piece.shape[..]].concat();
                if offsets.len() == 1 || (plain > MAX_BLOCK && !follow) {
                    offsets.iter().for_each(|offset| layout.array(*offset, piece.clone()));
                    continue;
                }
                if follow {
                    layout.array(offsets[0], Array { shape, ..piece });
                    continue;
                }
            }
            in_chunks(layout, piece, width, &offsets);
        }
    }
}

/// Adds an array each of whose pieces is a chunk.
fn in_chunks(layout: &mut Layout, piece: Array, width: Option<u8>, offsets: &[u64]) {
    let plain = piece.bytes().unwrap_or(u64::MAX);
    let packed = |width| packed_bytes(plain / piece.dtype.size() as u64, width).unwrap_or(u64::MAX);
    let length = width.map_or(plain, packed);
    let filters = width.map(|width| Filter::Bits { width }).into_iter().collect();
    let stacked = |n: u64| if offsets.len() == 1 { piece.shape.clone() } else { [&[n], &piece.shape[..]].concat() };
    let (shape, chunk, zero) = (stacked(offsets.len() as u64), stacked(1), vec![0; piece.dtype.size()]);
    let array = layout.arrays.len();
    let chunks = Chunks { shape: chunk, filters, fill: zero.clone(), padding: zero };
    layout.arrays.push(Array { shape, chunks: Some(chunks), ..piece });
    layout.places.extend((0..).zip(offsets).map(|(index, &offset)| Place {
        offset,
        length,
        holds: Holds::Chunk { array, index, skipped: 0 },
    }));
}

/// Bytes that `count` numbers of `width` bits take, one behind another.
pub(crate) fn packed_bytes(count: u64, width: u8) -> Option<u64> {
    Some(count.checked_mul(u64::from(width))?.div_ceil(8))
}

/// Adds records as [`Layout::records`] does; where they are too long to be records, the long named
/// fields of each record become chunks of their arrays, and the rest is bytes.
pub(crate) fn frames(layout: &mut Layout, size: u64, start: u64, fields: Vec<Array>) -> Result<()> {
    let count = fields.first().and_then(|field| field.shape.first()).copied().unwrap_or(0);
    let mut stride = 0u64;
    let mut long = Vec::new();
    for field in &fields {
        let bytes = field.record_bytes().ok_or_else(|| not_this("record overflows"))?;
        if !field.name.is_empty() && bytes >= MIN_PLACE {
            long.push((stride, field.clone()));
        }
        stride = stride.checked_add(bytes).ok_or_else(|| not_this("record overflows"))?;
    }
    match stride <= MAX_RECORD {
        true => layout.records(start, fields),
        false => layout.strided(size, Strided { start, stride, count }, long),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(name: &str, shape: &[u64]) -> Array {
        Array::new(name, DType::U8, false, shape.to_vec())
    }

    #[test]
    fn like_pieces_are_one_array() {
        let mut stacks = Stacks::default();
        for (offset, name, n) in [(0, "a", 4), (4, "b", 4), (8, "a", 4), (12, "a", 3), (20, "c", 2), (22, "c", 2)] {
            stacks.add(offset, piece(name, &[n])).expect("few pieces");
        }
        let mut layout = Layout::default();
        stacks.add_to(&mut layout);
        assert!(layout.settle(24));
        let shapes: Vec<_> = layout.arrays.iter().map(|array| (array.name.as_str(), array.shape.clone(), array.chunks.is_some())).collect();
        let plain = |name, shape: &[u64]| (name, shape.to_vec(), false);
        assert_eq!(shapes, [("a", vec![2, 4], true), plain("b", &[4]), plain("a#2", &[3]), plain("c", &[2, 2])]);
        assert_eq!(layout.places.len(), 5);
    }

    #[test]
    fn pieces_larger_than_a_block_stay_apart() {
        let mut stacks = Stacks::default();
        for offset in [0, 1 << 30] {
            stacks.add(offset, piece("a", &[MAX_BLOCK + 1])).expect("few pieces");
        }
        let mut layout = Layout::default();
        stacks.add_to(&mut layout);
        assert!(layout.settle(1 << 31) && layout.arrays.len() == 2);
    }

    #[test]
    fn long_records_are_chunks_of_their_long_named_fields() {
        for (n, arrays, places) in [(MAX_RECORD - 6, 3, 1), (MAX_RECORD - 5, 1, 3)] {
            let mut layout = Layout::default();
            frames(&mut layout, 4 << 20, 1, vec![piece("", &[3, 4]), piece("i", &[3, 2]), piece("x", &[3, n])]).expect("equal counts");
            assert!(layout.settle(4 << 20));
            assert_eq!((layout.arrays.len(), layout.places.len()), (arrays, places));
        }
    }
}
