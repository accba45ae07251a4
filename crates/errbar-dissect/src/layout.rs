//! Where the arrays of a file lie.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use errbar_format::dtype::n_elements;
use errbar_format::limits::{MAX_BLOCK, MAX_DIMS, MAX_NAME};
use errbar_format::record::Filter;
use errbar_format::{DType, Result};

use crate::mat::Matrix;
use crate::patch::{SizeField, are_apart};
use crate::{Lines, ReadAt, dissect, not_this, plain_dissectors, png};

/// Places in a file, at most: they all stand in its one entry.
pub(crate) const MAX_PLACES: usize = 1 << 18;
/// Bytes of a record, at most.
pub(crate) const MAX_RECORD: u64 = 1 << 20;

/// An array found in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its name in the file; empty where the file holds one nameless array.
    pub name: String,
    /// Type of an element.
    pub dtype: DType,
    /// Whether the elements' bytes are big-endian.
    pub big_endian: bool,
    /// Whether the first index varies fastest.
    pub column_major: bool,
    /// Extent along each dimension, slowest-varying first.
    pub shape: Vec<u64>,
    /// Whether a bound reaches it only by its name: coordinates, times, masks, labels, tables.
    pub auxiliary: bool,
    /// Whether the file vouches for its bytes in a way that is not followed, so that no bound reaches it.
    pub sealed: bool,
    /// What users see of its elements, if that is something else.
    pub packing: Option<Packing>,
    /// How it is stored in chunks, if it is.
    pub chunks: Option<Chunks>,
}

/// Values of which scale × x + offset is what users see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packing {
    /// Finite and not 0.
    pub scale: f64,
    /// Finite.
    pub offset: f64,
}

impl Packing {
    /// With what a file says of it; nothing where that makes no difference, or no sense.
    pub(crate) fn of(scale: Option<f64>, offset: Option<f64>) -> Option<Packing> {
        let (scale, offset) = (scale.unwrap_or(1.0), offset.unwrap_or(0.0));
        let makes_sense = scale.is_finite() && scale != 0.0 && offset.is_finite();
        (makes_sense && (scale, offset) != (1.0, 0.0)).then_some(Packing { scale, offset })
    }
}

/// An array cut into boxes that are stored apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// Extent of a chunk along each dimension.
    pub shape: Vec<u64>,
    /// What the file's writer did to the bytes of a chunk, in order.
    pub filters: Vec<Filter>,
    /// Bytes of the element that stands where no chunk is stored.
    pub fill: Vec<u8>,
    /// Bytes of the element that most likely fills chunks past the array's faces; none where chunks are
    /// cut there.
    pub padding: Vec<u8>,
}

impl Array {
    /// A plain array, neither column-major nor auxiliary.
    pub fn new(name: impl Into<String>, dtype: DType, big_endian: bool, shape: Vec<u64>) -> Array {
        Array {
            name: name.into(),
            dtype,
            big_endian,
            column_major: false,
            shape,
            auxiliary: false,
            sealed: false,
            packing: None,
            chunks: None,
        }
    }

    /// The same, reached by a bound only by its name.
    #[must_use]
    pub fn auxiliary(self) -> Array {
        Array { auxiliary: true, ..self }
    }

    /// The same, reached by no bound.
    #[must_use]
    pub fn sealed(self) -> Array {
        Array { sealed: true, ..self }
    }

    /// Bytes of all elements, or `None` if that does not fit 64 bits.
    pub fn bytes(&self) -> Option<u64> {
        n_elements(&self.shape)?.checked_mul(self.dtype.size() as u64)
    }

    /// Bytes of all elements that share one index of the first dimension.
    pub(crate) fn record_bytes(&self) -> Option<u64> {
        n_elements(self.shape.get(1..)?)?.checked_mul(self.dtype.size() as u64)
    }

    /// Extent along each dimension, in the order in which the file's own readers index it.
    pub fn index_shape(&self) -> Vec<u64> {
        let mut shape = self.shape.clone();
        if self.column_major {
            shape.reverse();
        }
        shape
    }

    /// Whether it is within the limits of the format.
    pub(crate) fn is_sound(&self) -> bool {
        let dims = self.shape.len() <= MAX_DIMS && self.bytes().is_some();
        let chunks = self.chunks.as_ref().is_none_or(|chunks| {
            let bytes = n_elements(&chunks.shape).and_then(|n| n.checked_mul(self.dtype.size() as u64));
            chunks.shape.len() == self.shape.len()
                && !chunks.shape.contains(&0)
                && bytes.is_some_and(|bytes| bytes <= MAX_BLOCK)
                && self.n_chunks().is_some()
                && chunks.fill.len() == self.dtype.size()
                && (chunks.padding.is_empty() || chunks.padding.len() == self.dtype.size())
        });
        dims && chunks && self.name.len() <= MAX_NAME
    }

    /// Chunks that cover it.
    fn n_chunks(&self) -> Option<u64> {
        let chunks = self.chunks.as_ref()?;
        n_elements(&self.shape.iter().zip(&chunks.shape).map(|(n, c)| n.div_ceil(*c)).collect::<Vec<_>>())
    }
}

/// What stands at a place of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Holds {
    /// All elements of an array, in storage order.
    Array(usize),
    /// Records of equal length: of each of these arrays, in order, all elements that share one index
    /// of the first dimension.
    Records(Range<usize>),
    /// Lines of text: of each of these arrays, in order, all elements that share one index of the first
    /// dimension, printed.
    Lines(Range<usize>, Arc<Lines>),
    /// Scanlines of an image, as PNG filters them: of these two arrays, in order, the filter type of each
    /// and its pixels.
    Scanlines(Range<usize>),
    /// A chunk of an array, as its filters have left it.
    Chunk {
        /// The array.
        array: usize,
        /// Position in the grid of chunks, in C order.
        index: u64,
        /// Filters that this chunk was not put through, the first at bit 0.
        skipped: u32,
    },
    /// A stream: deflated bytes, or text that stands for bytes. It may hold arrays itself.
    Stream(Wrapper, Inside),
}

/// How a stream stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrapper {
    /// A raw stream begins there, and ends there or before the place does.
    Raw,
    /// Members of gzip, one behind another.
    Gzip,
    /// A raw stream in pieces, from the first byte of the place to the last.
    Pieces {
        /// FLEVEL of the zlib header before it, 0 to 3.
        flevel: u8,
        /// Bytes of each piece but the last, and bytes behind it that are none of the stream.
        cuts: Vec<(u64, u64)>,
    },
    /// Streams of zlib one behind another, which together are the place.
    Zlib {
        /// Bytes that each but the last one inflates to.
        piece: u64,
        /// Whether they stand there as text, base64.
        base64: bool,
    },
    /// Text that is the place: base64 of what is not deflated.
    Base64,
}

impl Wrapper {
    /// Whether what it holds is compressed.
    pub fn is_compressed(&self) -> bool {
        *self != Wrapper::Base64
    }

    /// Bytes of each piece but the last, and bytes behind it that are none of the stream.
    pub fn cuts(&self) -> &[(u64, u64)] {
        if let Wrapper::Pieces { cuts, .. } = self { cuts } else { &[] }
    }

    /// Whether a place of `length` bytes holds it.
    fn fits(&self, length: u64) -> bool {
        self.cuts()
            .iter()
            .try_fold(0u64, |sum, (piece, behind)| sum.checked_add(*piece)?.checked_add(*behind))
            .is_some_and(|sum| sum <= length)
    }
}

/// What a stream holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Inside {
    /// A file of this name: that of a member, or nothing where no other name is needed.
    File(String),
    /// A data element of a MAT-file.
    Element {
        /// Whether its numbers are big-endian.
        big_endian: bool,
    },
    /// The elements of this array, behind so many other bytes.
    Array(Box<Array>, u64),
    /// The scanlines of this image.
    Scanlines(Box<Array>),
}

impl Inside {
    /// The name of what it holds; nothing where that has none.
    pub fn name(&self) -> &str {
        if let Inside::File(name) = self { name } else { "" }
    }

    /// Where the arrays lie in what it holds. What a stream cannot hold, chunks and other
    /// streams, is left out.
    pub fn dissect(&self, content: &dyn ReadAt) -> Layout {
        let mut layout = match self {
            Inside::File(_) => dissect(content, plain_dissectors()).0,
            Inside::Element { big_endian } => dissect(content, &[&Matrix { big_endian: *big_endian }]).0,
            Inside::Array(array, at) => {
                Some(Layout::of((**array).clone(), *at)).filter(|l| l.clone().settle(content.size())).unwrap_or_default()
            }
            Inside::Scanlines(image) => png::scanlines(image, content).unwrap_or_default(),
        };
        layout.places.retain(|place| !matches!(place.holds, Holds::Stream(..)));
        let chunked = (0..layout.arrays.len()).filter(|&index| layout.arrays[index].chunks.is_some()).collect();
        layout.remove(&chunked);
        layout
    }
}

/// A place in a file that belongs to arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// What they are.
    pub holds: Holds,
}

/// What a dissector finds in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The arrays.
    pub arrays: Vec<Array>,
    /// Where their elements lie. Bytes that no place covers belong to no array.
    pub places: Vec<Place>,
    /// Where the file says how long the chunk is whose first byte is at such an offset: of chunks with
    /// filters, if all that can be changed.
    pub sizes: HashMap<u64, SizeField>,
}

impl Layout {
    /// The layout of a file with this one array, which begins at `offset`.
    pub fn of(array: Array, offset: u64) -> Layout {
        let mut layout = Layout::default();
        layout.array(offset, array);
        layout
    }

    /// Adds an array whose elements lie in one piece from `offset` on.
    pub fn array(&mut self, offset: u64, array: Array) {
        // A size that overflows never fits a file, which `settle` finds.
        let length = array.bytes().unwrap_or(u64::MAX);
        self.places.push(Place { offset, length, holds: Holds::Array(self.arrays.len()) });
        self.arrays.push(array);
    }

    /// Adds records of equal length that follow one another from `offset` on. A record holds, of
    /// each of `fields` in order, the elements that share one index of the first dimension: all
    /// fields have the number of records as their first extent.
    ///
    /// # Errors
    /// Where the fields differ in their first extents.
    pub fn records(&mut self, offset: u64, fields: Vec<Array>) -> Result<()> {
        let count = fields.first().and_then(|field| field.shape.first().copied());
        if count.is_none() || fields.iter().any(|field| field.shape.first().copied() != count) {
            return Err(not_this("fields of a record differ in their number of records"));
        }
        let length = fields.iter().try_fold(0u64, |sum, field| sum.checked_add(field.bytes()?)).unwrap_or(u64::MAX);
        let first = self.arrays.len();
        self.places.push(Place { offset, length, holds: Holds::Records(first..first + fields.len()) });
        self.arrays.extend(fields);
        Ok(())
    }

    /// Takes arrays that stand in chunks out, and the columns of lines, all of them together: their places
    /// are bytes then.
    pub fn remove(&mut self, arrays: &HashSet<usize>) {
        let below = |index: usize| (0..index).filter(|index| !arrays.contains(index)).count();
        self.places.retain(|place| match &place.holds {
            Holds::Chunk { array, .. } => !arrays.contains(array),
            Holds::Lines(fields, _) => !arrays.contains(&fields.start),
            _ => true,
        });
        for place in &mut self.places {
            match &mut place.holds {
                Holds::Array(array) | Holds::Chunk { array, .. } => *array = below(*array),
                Holds::Records(fields) | Holds::Lines(fields, _) | Holds::Scanlines(fields) => {
                    *fields = below(fields.start)..below(fields.end);
                }
                Holds::Stream(..) => {}
            }
        }
        let mut index = 0..;
        self.arrays.retain(|_| index.next().is_none_or(|index| !arrays.contains(&index)));
    }

    /// Adds the arrays of `inner`, the layout of a member of this name; gives its places with the arrays
    /// numbered as here. Names that are too long leave it out; those that are the same as others are left
    /// to [`Layout::name_apart`].
    pub fn absorb(&mut self, name: &str, inner: Layout) -> Vec<Place> {
        let first = self.arrays.len();
        let stem = name.strip_suffix(".npy").unwrap_or(name);
        let named = |array: Array| {
            let name = match (stem, array.name.as_str()) {
                ("", own) => own.to_owned(),
                (stem, "") => stem.to_owned(),
                (stem, own) => format!("{stem}/{own}"),
            };
            Array { name, ..array }
        };
        let arrays: Vec<Array> = inner.arrays.into_iter().map(named).collect();
        if arrays.iter().any(|array| array.name.len() > MAX_NAME) {
            return Vec::new();
        }
        self.arrays.extend(arrays);
        let renumber = |mut place: Place| {
            match &mut place.holds {
                Holds::Array(array) | Holds::Chunk { array, .. } => *array += first,
                Holds::Records(fields) | Holds::Lines(fields, _) | Holds::Scanlines(fields) => {
                    *fields = fields.start + first..fields.end + first;
                }
                Holds::Stream(..) => {}
            }
            place
        };
        inner.places.into_iter().map(renumber).collect()
    }

    /// Puts the places in file order. Gives whether they lie apart from one another and within `size`
    /// bytes, hold what they say, and together hold each array once.
    pub(crate) fn settle(&mut self, size: u64) -> bool {
        self.places.retain(|place| place.length > 0 || matches!(place.holds, Holds::Array(_)));
        self.places.sort_by_key(|place| (place.offset, place.length));
        self.name_apart();
        if !are_apart(&self.sizes, &self.places, size) {
            self.sizes.clear();
        }
        let mut end = 0;
        self.places.len() <= MAX_PLACES
            && self.arrays.iter().all(Array::is_sound)
            && self.places.iter().all(|place| {
                let apart = place.offset >= end;
                let Some(stop) = place.offset.checked_add(place.length) else { return false };
                end = stop;
                apart && stop <= size
            })
            && self.holds_each_once()
    }

    /// Gives arrays of one name numbers, from the second on.
    pub fn name_apart(&mut self) {
        let mut times: HashMap<String, u32> = HashMap::new();
        for array in self.arrays.iter_mut().filter(|array| !array.name.is_empty()) {
            let mut n = times.get(&array.name).map_or(1, |n| n + 1);
            let numbered = |n| if n > 1 { format!("{}#{n}", array.name) } else { array.name.clone() };
            // Another array may have been called so from the start.
            while n > 1 && times.contains_key(&numbered(n)) {
                n += 1;
            }
            let name = numbered(n);
            times.insert(std::mem::replace(&mut array.name, name), n);
            if n > 1 {
                times.insert(array.name.clone(), 1);
            }
        }
    }

    fn holds_each_once(&self) -> bool {
        let mut whole = vec![false; self.arrays.len()];
        let mut chunks = HashSet::new();
        let mut first = |array: usize| whole.get_mut(array).is_some_and(|seen| !std::mem::replace(seen, true));
        let places = self.places.iter().all(|place| match &place.holds {
            Holds::Array(array) => {
                first(*array) && self.arrays[*array].chunks.is_none() && self.arrays[*array].bytes() == Some(place.length)
            }
            Holds::Records(fields) | Holds::Scanlines(fields) => {
                let Some(arrays) = self.arrays.get(fields.clone()).filter(|arrays| !arrays.is_empty()) else { return false };
                let record = arrays.iter().try_fold(0u64, |sum, array| sum.checked_add(array.record_bytes()?));
                let count = arrays[0].shape.first().copied();
                fields.clone().all(&mut first)
                    && arrays.iter().all(|array| array.shape.first().copied() == count && array.chunks.is_none())
                    && record.is_some_and(|record| {
                        (1..=MAX_RECORD).contains(&record) && record.checked_mul(count.unwrap_or(0)) == Some(place.length)
                    })
            }
            Holds::Lines(fields, lines) => {
                let Some(arrays) = self.arrays.get(fields.clone()).filter(|arrays| !arrays.is_empty()) else { return false };
                let count = arrays[0].shape.first().copied();
                fields.clone().all(&mut first)
                    && arrays.len() == lines.cells.len()
                    && count.is_some_and(|count| count > 0)
                    && arrays.iter().all(|array| array.shape.first().copied() == count && array.chunks.is_none())
                    && arrays.iter().try_fold(0u64, |sum, array| sum.checked_add(array.record_bytes()?)).is_some_and(|n| n <= MAX_RECORD)
            }
            Holds::Chunk { array, index, .. } => {
                let n = self.arrays.get(*array).and_then(Array::n_chunks);
                n.is_some_and(|n| *index < n) && chunks.insert((*array, *index)) && place.length <= MAX_BLOCK
            }
            Holds::Stream(wrapper, _) => wrapper.fits(place.length),
        });
        // What is empty, or not stored, needs no place.
        let needs_none = |array: &Array| array.chunks.is_some() || array.bytes() == Some(0);
        places && self.arrays.iter().zip(&whole).all(|(array, held)| *held || needs_none(array))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(name: &str, shape: &[u64]) -> Array {
        Array::new(name, DType::U8, false, shape.to_vec())
    }

    #[test]
    fn places_are_put_in_file_order() {
        let mut layout = Layout::default();
        layout.array(5, bytes("b", &[3]));
        layout.array(1, bytes("a", &[4]));
        layout.array(5, bytes("empty", &[0, 3]));
        assert!(layout.settle(8));
        assert_eq!(layout.places.iter().map(|place| (place.offset, place.length)).collect::<Vec<_>>(), [(1, 4), (5, 0), (5, 3)]);
    }

    #[test]
    fn arrays_of_one_name_are_told_apart() {
        let mut layout = Layout::default();
        for (offset, name) in ["t", "", "t", "u", "", "t"].into_iter().enumerate() {
            layout.array(offset as u64, bytes(name, &[1]));
        }
        assert!(layout.settle(6));
        assert_eq!(layout.arrays.iter().map(|array| array.name.as_str()).collect::<Vec<_>>(), ["t", "", "t#2", "u", "", "t#3"]);
    }

    #[test]
    fn arrays_of_a_member_are_named_after_it() {
        let mut layout = Layout::of(bytes("m/t", &[2]), 0);
        let mut inner = Layout::of(bytes("t", &[2]), 3);
        inner.array(9, bytes("", &[1]));
        let places = layout.absorb("m", inner.clone());
        layout.name_apart();
        assert_eq!(layout.arrays.iter().map(|array| array.name.as_str()).collect::<Vec<_>>(), ["m/t", "m/t#2", "m"]);
        assert_eq!(
            places.iter().map(|place| (place.offset, place.holds.clone())).collect::<Vec<_>>(),
            [(3, Holds::Array(1)), (9, Holds::Array(2))]
        );
        layout.absorb("m", inner.clone());
        layout.absorb("a.npy", Layout::of(bytes("", &[1]), 0));
        layout.name_apart();
        assert_eq!(layout.arrays[3..].iter().map(|array| array.name.as_str()).collect::<Vec<_>>(), ["m/t#3", "m#2", "a"]);
        assert_eq!((layout.absorb(&"n".repeat(254), inner), layout.arrays.len()), (vec![], 6));
    }

    #[test]
    fn what_overlaps_or_overflows_is_refused() {
        for places in [vec![(0, 4), (3, 1)], vec![(5, 4)], vec![(u64::MAX, 2)], vec![(0, u64::MAX)]] {
            let mut layout = Layout::default();
            places.iter().for_each(|&(offset, n)| layout.array(offset, bytes("", &[n])));
            assert!(!layout.settle(8), "{places:?}");
        }
        assert!(!Layout::of(bytes("", &[1 << 32, 1 << 32]), 0).settle(8));
        assert!(!Layout::of(bytes("", &[1; 9]), 0).settle(8));
        assert!(!Layout::of(bytes(&"n".repeat(256), &[1]), 0).settle(8));
    }

    #[test]
    fn records_are_fields_of_one_count() {
        let fields = |a: &[u64], b: &[u64]| vec![bytes("a", a), bytes("b", b)];
        let mut layout = Layout::default();
        layout.records(2, fields(&[3], &[3, 2])).expect("equal counts");
        assert!(layout.settle(11) && layout.clone().places[0].length == 9);
        assert!(Layout::default().records(0, fields(&[3], &[2])).is_err());
        assert!(Layout::default().records(0, fields(&[], &[])).is_err());
        assert!(Layout::default().records(0, vec![]).is_err());
        layout.places[0].holds = Holds::Records(0..1);
        assert!(!layout.settle(11), "a field is missing");
        layout.places[0].holds = Holds::Records(1..3);
        assert!(!layout.settle(11), "there is no third array");
    }

    #[test]
    fn what_is_removed_leaves_the_others_their_places() {
        let mut layout = Layout::of(bytes("a", &[2]), 0);
        let chunks = Chunks { shape: vec![2], filters: Vec::new(), fill: vec![0], padding: vec![0] };
        layout.arrays.push(Array { chunks: Some(chunks), ..bytes("b", &[2]) });
        layout.places.push(Place { offset: 2, length: 2, holds: Holds::Chunk { array: 1, index: 0, skipped: 0 } });
        layout.records(4, vec![bytes("c", &[2]), bytes("d", &[2])]).expect("equal counts");
        layout.remove(&HashSet::from([1]));
        assert!(layout.settle(8));
        assert_eq!(layout.arrays.iter().map(|array| array.name.as_str()).collect::<String>(), "acd");
        assert_eq!(layout.places[1].holds, Holds::Records(1..3));
    }

    #[test]
    fn chunks_stand_in_the_grid_once_each() {
        let chunks = Chunks { shape: vec![2, 2], filters: Vec::new(), fill: vec![0], padding: vec![0] };
        let array = Array { chunks: Some(chunks), ..bytes("a", &[3, 4]) };
        let chunk = |index| Place { offset: 4 * index, length: 4, holds: Holds::Chunk { array: 0, index, skipped: 0 } };
        let layout = |places| Layout { arrays: vec![array.clone()], places, ..Layout::default() };
        assert!(layout(vec![chunk(0), chunk(3)]).settle(16));
        assert!(!layout(vec![chunk(4)]).settle(32), "past the grid");
        let twice = Place { offset: 8, ..chunk(0) };
        assert!(!layout(vec![chunk(0), twice]).settle(16));
        assert!(!layout(vec![Place { offset: 0, length: 12, holds: Holds::Array(0) }]).settle(16), "chunked, so not in one piece");
    }
}
