//! Where the strips or tiles of an image lie, and what was done to their bytes.

use errbar_format::limits::MAX_BLOCK;
use errbar_format::record::{Filter, Raster};
use errbar_format::{DType, Result};

use crate::layout::MAX_PLACES;
use crate::{Array, Chunks, Holds, Layout, Place, SizeField, not_this};

/// What a writer did to the bytes of a strip or tile.
#[derive(Clone, Copy)]
pub(super) struct Coding {
    /// How they were compressed, if they were.
    stream: Option<Filter>,
    /// Which predictor came before that; 1 for none.
    predictor: u64,
}

impl Coding {
    /// What the fields Compression and Predictor mean for samples of a type.
    pub(super) fn of(compression: u64, predictor: u64, dtype: DType) -> Result<Coding> {
        let fits = match predictor {
            1 => true,
            2 => dtype.size() <= 8,
            3 => matches!(dtype, DType::F16 | DType::F32 | DType::F64),
            _ => false,
        };
        match compression {
            1 => Ok(Coding { stream: None, predictor: 1 }),
            5 if fits => Ok(Coding { stream: Some(Filter::Lzw { full: 4094, gap: 10_000 }), predictor }),
            8 | 32946 if fits => Ok(Coding { stream: Some(Filter::Deflate { level: 6, mem_level: 8 }), predictor }),
            _ => Err(not_this("image is compressed in another way")),
        }
    }

    fn filters(self, raster: Raster) -> Vec<Filter> {
        let predictor = match self.predictor {
            2 => Some(Filter::Difference(raster)),
            3 => Some(Filter::FloatDifference(raster)),
            _ => None,
        };
        predictor.into_iter().chain(self.stream).collect()
    }
}

/// An image cut into tiles, or into strips: tiles as wide as the image, the last one short.
pub(super) struct Grid {
    pub(super) planes: u64,
    pub(super) rows: u64,
    pub(super) columns: u64,
    pub(super) tiled: bool,
    pub(super) coding: Coding,
    pub(super) array: Array,
}

/// What the directory says of strips or tiles, of each in order.
pub(super) struct Pieces<'a> {
    pub(super) offsets: &'a [u64],
    pub(super) bytes: &'a [u64],
    /// Where it says how many bytes.
    pub(super) fields: &'a [SizeField],
}

impl Grid {
    pub(super) fn pieces(&self, length: u64, width: u64) -> Option<u64> {
        length.div_ceil(self.rows).checked_mul(width.div_ceil(self.columns))?.checked_mul(self.planes)
    }

    /// Adds the array of an image of `length` rows.
    pub(super) fn place(self, pieces: &Pieces, length: u64, layout: &mut Layout) -> Result<()> {
        let overflow = || not_this("image overflows");
        let [.., last_extent] = self.array.shape[..] else { return Err(overflow()) };
        let samples = if self.array.shape.len() == 3 && self.planes == 1 { last_extent } else { 1 };
        let item = self.array.dtype.size() as u64;
        let row = self.columns.checked_mul(samples).and_then(|n| n.checked_mul(item)).ok_or_else(overflow)?;
        let strips = length.div_ceil(self.rows);
        let last = length - (strips - 1) * self.rows;
        let rows_of = |i: usize| if !self.tiled && (i as u64 + 1).is_multiple_of(strips) { last } else { self.rows };
        let mut needed = Vec::with_capacity(pieces.offsets.len());
        for (i, (&offset, &bytes)) in pieces.offsets.iter().zip(pieces.bytes).enumerate() {
            let size = rows_of(i).checked_mul(row).ok_or_else(overflow)?;
            let is_absent = (offset, bytes) == (0, 0);
            if !is_absent && if self.coding.stream.is_some() { offset == 0 || bytes == 0 } else { bytes < size } {
                return Err(not_this("strip or tile is too short"));
            }
            needed.push(size);
        }
        let raster = || {
            let (samples, row) = (samples.try_into().ok()?, row.try_into().ok()?);
            Some(Raster { item: item as u8, big_endian: self.array.big_endian, samples, row })
        };
        match self.coding.stream.is_some() {
            true => {
                let filters = self.coding.filters(raster().ok_or_else(overflow)?);
                self.place_filtered(pieces, filters, (row, samples), layout)
            }
            false => self.place_plain(pieces.offsets, &needed, (row, samples), layout),
        }
    }

    /// One piece, if strips follow one another; else chunks without filters.
    fn place_plain(self, offsets: &[u64], needed: &[u64], (row, samples): (u64, u64), layout: &mut Layout) -> Result<()> {
        let overflow = || not_this("image overflows");
        let whole = self.array.bytes() == needed.iter().try_fold(0u64, |sum, n| sum.checked_add(*n)) && (!self.tiled || offsets.len() == 1);
        let follow = (1..offsets.len()).all(|i| offsets[i - 1].checked_add(needed[i - 1]) == Some(offsets[i]));
        if whole && follow && offsets[0] > 0 {
            layout.array(offsets[0], self.array);
            return Ok(());
        }
        // Rows of a strip that is too large for a block may as well stand alone.
        let rows = if !self.tiled && self.rows.saturating_mul(row) > MAX_BLOCK { 1 } else { self.rows };
        let length = rows.checked_mul(row).ok_or_else(overflow)?;
        let parts = |needed: &u64| needed.div_ceil(length);
        if layout.places.len() as u64 + needed.iter().map(parts).sum::<u64>() > MAX_PLACES as u64 {
            return Err(not_this("too many strips or tiles"));
        }
        let array = layout.arrays.len();
        let mut index = 0;
        for (offset, needed) in offsets.iter().zip(needed) {
            for part in 0..parts(needed) {
                if *offset > 0 {
                    let offset = offset.checked_add(part * length).ok_or_else(overflow)?;
                    let length = length.min(needed - part * length);
                    layout.places.push(Place { offset, length, holds: Holds::Chunk { array, index, skipped: 0 } });
                }
                index += 1;
            }
        }
        layout.arrays.push(self.chunked(rows, samples, Vec::new()));
        Ok(())
    }

    /// Chunks that were put through filters.
    fn place_filtered(self, pieces: &Pieces, filters: Vec<Filter>, (row, samples): (u64, u64), layout: &mut Layout) -> Result<()> {
        let longest = pieces.bytes.iter().max().copied().unwrap_or(0).max(self.rows.saturating_mul(row));
        if longest > MAX_BLOCK || layout.places.len() + pieces.offsets.len() > MAX_PLACES {
            return Err(not_this("strips or tiles are too large, or too many"));
        }
        let array = layout.arrays.len();
        let all = pieces.offsets.iter().zip(pieces.bytes).zip(pieces.fields).zip(0..);
        for (((&offset, &length), &field), index) in all.filter(|(((offset, _), _), _)| **offset > 0) {
            layout.places.push(Place { offset, length, holds: Holds::Chunk { array, index, skipped: 0 } });
            layout.sizes.insert(offset, field);
        }
        let rows = self.rows;
        layout.arrays.push(self.chunked(rows, samples, filters));
        Ok(())
    }

    /// The array in chunks of so many rows. Tiles are filled up past the image, strips are not.
    fn chunked(self, rows: u64, samples: u64, filters: Vec<Filter>) -> Array {
        let shape = match (self.planes, self.array.shape.len()) {
            (1, 2) => vec![rows, self.columns],
            (1, _) => vec![rows, self.columns, samples],
            _ => vec![1, rows, self.columns],
        };
        let fill = vec![0; self.array.dtype.size()];
        let padding = if self.tiled { fill.clone() } else { Vec::new() };
        Array { chunks: Some(Chunks { shape, filters, fill, padding }), ..self.array }
    }
}
