//! Fields that come back at equal distances: records, rows of tables, blocks of quantized numbers.

use errbar_format::limits::MAX_BLOCK;
use errbar_format::{DType, Result};

use crate::layout::{MAX_PLACES, MAX_RECORD};
use crate::{Array, Chunks, Holds, Layout, Place, not_this};

/// Records of equal length that follow one another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strided {
    /// First byte of the first record.
    pub(crate) start: u64,
    /// Bytes of a record.
    pub(crate) stride: u64,
    /// Records.
    pub(crate) count: u64,
}

impl Layout {
    /// Adds records of which only some fields are known: each with its first byte in the record, and
    /// the number of records as its array's first extent. What is between the fields becomes nameless
    /// arrays of `u8`. A field beyond the format's limits stays between the others. Records longer than
    /// records may be, or whose last one `size` bytes of file do not hold whole, become chunks: each
    /// field of each record is one, the rest bytes.
    ///
    /// # Errors
    /// Where fields overlap or reach past a record, or chunks past the file.
    pub(crate) fn strided(&mut self, size: u64, records: Strided, mut fields: Vec<(u64, Array)>) -> Result<()> {
        let Strided { start, stride, count } = records;
        fields.retain(|(_, array)| array.is_sound());
        fields.sort_by_key(|(at, _)| *at);
        if fields.is_empty() {
            return Ok(());
        }
        let gap = |width: u64| Array::new("", DType::U8, false, vec![count, width]);
        let (mut all, mut end) = (Vec::new(), 0u64);
        for (at, array) in &fields {
            if *at < end {
                return Err(not_this("fields of a record overlap"));
            }
            if *at > end && count > 0 {
                all.push(gap(at - end));
            }
            end = array.record_bytes().and_then(|n| n.checked_add(*at)).ok_or_else(|| not_this("field of a record overflows"))?;
            all.push(array.clone());
        }
        if end > stride {
            return Err(not_this("fields reach past their record"));
        }
        if stride > end && count > 0 {
            all.push(gap(stride - end));
        }
        let whole = stride.checked_mul(count).and_then(|n| n.checked_add(start)).is_some_and(|stop| stop <= size);
        match &all[..] {
            [_] if whole && fields.len() == 1 => self.array(start, all.remove(0)),
            _ if whole && stride <= MAX_RECORD => self.records(start, all)?,
            _ => {
                for (at, array) in fields {
                    self.chunks(size, records, at, array)?;
                }
            }
        }
        Ok(())
    }

    /// Adds a field of records as chunks. A field with more chunks than a file may have places for
    /// remains bytes.
    fn chunks(&mut self, size: u64, records: Strided, at: u64, array: Array) -> Result<()> {
        let item = array.dtype.size() as u64;
        let mut shape: Vec<u64> = array.shape.clone();
        for d in 0..shape.len() {
            let bytes = shape.iter().fold(item, |n, extent| n.saturating_mul(*extent));
            if d > 0 && bytes <= MAX_BLOCK {
                break;
            }
            shape[d] = 1;
        }
        let length = shape.iter().fold(item, |n, extent| n.saturating_mul(*extent));
        let per_record = array.record_bytes().and_then(|n| n.checked_div(length)).unwrap_or(0);
        if per_record == 0 || per_record.saturating_mul(records.count) > (MAX_PLACES - self.places.len().min(MAX_PLACES)) as u64 {
            return Ok(());
        }
        for record in 0..records.count {
            for part in 0..per_record {
                let offset = u128::from(record) * u128::from(records.stride) + u128::from(part * length);
                let offset = offset + u128::from(records.start) + u128::from(at);
                let offset = u64::try_from(offset).ok().filter(|offset| offset.checked_add(length).is_some_and(|stop| stop <= size));
                let offset = offset.ok_or_else(|| not_this("records reach past the file"))?;
                let holds = Holds::Chunk { array: self.arrays.len(), index: record * per_record + part, skipped: 0 };
                self.places.push(Place { offset, length, holds });
            }
        }
        let zero = vec![0; array.dtype.size()];
        let chunks = Chunks { shape, filters: Vec::new(), fill: zero.clone(), padding: zero };
        self.arrays.push(Array { chunks: Some(chunks), ..array });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(at: u64, name: &str, shape: &[u64]) -> (u64, Array) {
        (at, Array::new(name, DType::U16, true, shape.to_vec()))
    }

    #[test]
    fn gaps_become_bytes() {
        let mut layout = Layout::default();
        let records = Strided { start: 4, stride: 12, count: 3 };
        layout.strided(40, records, vec![field(6, "b", &[3, 2]), field(1, "a", &[3])]).expect("fits");
        let shapes: Vec<_> = layout.arrays.iter().map(|a| (&a.name[..], a.shape[1..].to_vec())).collect();
        assert_eq!(shapes, [("", vec![1]), ("a", vec![]), ("", vec![3]), ("b", vec![2]), ("", vec![2])]);
        assert!(layout.settle(40) && layout.places[0].length == 36);
        for fields in [vec![field(0, "a", &[3]), field(1, "b", &[3])], vec![field(11, "a", &[3])]] {
            assert!(Layout::default().strided(40, records, fields).is_err());
        }
    }

    #[test]
    fn one_field_without_gaps_is_an_array() {
        let mut layout = Layout::default();
        layout.strided(12, Strided { start: 0, stride: 4, count: 3 }, vec![field(0, "a", &[3, 2])]).expect("fits");
        assert_eq!(layout.places[0].holds, Holds::Array(0));
    }

    #[test]
    fn a_field_beyond_the_limits_is_a_gap() {
        let mut layout = Layout::default();
        let fields = |name: &str| vec![field(0, &"n".repeat(256), &[3]), field(2, name, &[3])];
        layout.strided(12, Strided { start: 0, stride: 4, count: 3 }, fields("a")).expect("fits");
        assert_eq!((layout.arrays.len(), &layout.arrays[0].shape[..]), (2, &[3, 2][..]));
        layout = Layout::default();
        layout.strided(12, Strided { start: 0, stride: 4, count: 3 }, fields(&"m".repeat(256))).expect("fits");
        assert_eq!(layout, Layout::default(), "nothing known");
    }

    #[test]
    fn records_that_are_long_or_cut_become_chunks() {
        for (stride, size) in [(2 << 20, 4 << 20), (8, 12)] {
            let mut layout = Layout::default();
            let records = Strided { start: 0, stride, count: 2 };
            layout.strided(size, records, vec![field(0, "a", &[2]), field(2, "b", &[2, 1])]).expect("fits");
            assert_eq!((layout.places.len(), layout.arrays.len()), (4, 2));
            assert!(layout.settle(size) && layout.places[3].offset == stride + 2);
            assert!(Layout::default().strided(stride + 1, records, vec![field(0, "a", &[2])]).is_err(), "past the file");
        }
    }

    #[test]
    fn long_fields_are_cut_into_blocks() {
        let mut layout = Layout::default();
        let records = Strided { start: 0, stride: 200 << 20, count: 2 };
        layout.strided(u64::MAX, records, vec![field(0, "a", &[2, 2, 3, 10 << 20])]).expect("fits");
        let chunks = layout.arrays[0].chunks.clone().expect("chunks");
        assert_eq!((chunks.shape, layout.places.len()), (vec![1, 1, 3, 10 << 20], 4));
        assert!(layout.settle(u64::MAX));
    }

    #[test]
    fn too_many_chunks_stay_bytes() {
        let mut layout = Layout::default();
        let records = Strided { start: 0, stride: 2 << 20, count: 1 << 40 };
        layout.strided(u64::MAX, records, vec![field(0, "a", &[1 << 40])]).expect("fits");
        assert_eq!(layout, Layout::default());
    }
}
