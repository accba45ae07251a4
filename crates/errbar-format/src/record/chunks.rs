//! Variables that their file stores in chunks, and what its format does to the bytes of a chunk.

use serde::{Deserialize, Serialize};

use super::Variable;
use super::check::check_shape;
use crate::dtype::n_elements;
use crate::limits::{MAX_BLOCK, MAX_FILTERS};
use crate::{DType, Error, Result};

/// How a variable stands in its file in chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunks {
    /// Extent of a chunk along each dimension.
    pub shape: Vec<u64>,
    /// What is done to the bytes of a chunk, in order.
    pub filters: Vec<Filter>,
    /// Bytes of the element that fills a chunk past the variable's faces; none where chunks are cut there.
    pub padding: Vec<u8>,
}

/// What a file's format does to the bytes of a chunk before they are stored; loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Filter {
    /// The first bytes of all items, then the second bytes, …; bytes behind the last whole item last.
    Shuffle {
        /// Bytes of an item.
        item: u32,
    },
    /// A zlib stream (RFC 1950), made as zlib makes it.
    Deflate {
        /// zlib's `level`, 0 to 9.
        level: u8,
        /// zlib's `memLevel`, 1 to 9.
        mem_level: u8,
    },
    /// The checksum of HDF5's Fletcher-32 filter behind the bytes.
    Fletcher32,
    /// Each sample less the one before it in its row: TIFF's predictor 2.
    Difference(Raster),
    /// The bytes of a row's samples by significance, each less the one before it: TIFF's predictor 3.
    FloatDifference(Raster),
    /// A zlib stream (RFC 1950), made as libdeflate makes it.
    Libdeflate {
        /// libdeflate's compression level, 1 to 12.
        level: u8,
    },
    /// The codes of TIFF's LZW.
    Lzw {
        /// The table is cleared when its next code would be this, 259 to 4096.
        full: u16,
        /// Bytes after which it is looked at whether the table is still worth keeping; 0 for never.
        gap: u16,
    },
    /// The low bits of big-endian words, most significant bit first, without a gap between them.
    Bits {
        /// Bits of a number, 1 to 32. Its word has 1, 2 or 4 bytes, as few as hold it.
        width: u8,
    },
}

/// How the samples of an image stand in the bytes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raster {
    /// Bytes of a sample: 1, 2, 4 or 8.
    pub item: u8,
    /// Whether a sample's first byte is the most significant one.
    pub big_endian: bool,
    /// Samples of a pixel; above 0.
    pub samples: u16,
    /// Bytes of a row; above 0.
    pub row: u32,
}

impl Chunks {
    /// Checks them against the variable that is stored in them (EB-V04).
    pub(super) fn check(&self, variable: &Variable) -> Result<()> {
        let bytes = check_shape(&self.shape, variable.dtype)?;
        if bytes > MAX_BLOCK || self.filters.len() > MAX_FILTERS {
            return Err(Error::limit("EB-V04", format!("chunks of {bytes} bytes with {} filters", self.filters.len())));
        }
        let whole = |((&chunk, &block), &n): ((&u64, &u64), &u64)| chunk > 0 && (block % chunk == 0 || block >= n);
        let in_blocks =
            self.shape.len() == variable.shape.len() && self.shape.iter().zip(&variable.block_shape).zip(&variable.shape).all(whole);
        let is_padding = self.padding.is_empty() || self.padding.len() == variable.dtype.size();
        if !in_blocks || !is_padding || n_elements(&variable.chunk_grid()).is_none() {
            return Err(Error::corrupt("EB-V04", format!("chunks {:?} do not fit blocks {:?}", self.shape, variable.block_shape)));
        }
        match Filter::are_possible(&self.filters) {
            true => Ok(()),
            false => Err(Error::corrupt("EB-V04", "filter has impossible parameters, or a stream is put into another")),
        }
    }

    /// Bytes of a whole chunk.
    pub fn bytes(&self, dtype: DType) -> u64 {
        self.shape.iter().product::<u64>() * dtype.size() as u64
    }
}

impl Filter {
    /// The names of all filters, each at the position that records give it.
    pub const NAMES: [&str; 8] = ["shuffle", "deflate", "fletcher32", "difference", "float_difference", "libdeflate", "lzw", "bits"];

    /// Bytes of the word that holds a number of `width` bits before they are packed.
    pub fn word_of(width: u8) -> usize {
        match width {
            ..=8 => 1,
            9..=16 => 2,
            _ => 4,
        }
    }

    /// Whether it makes a compressed stream, whose length follows from the content.
    pub fn is_stream(&self) -> bool {
        matches!(self, Filter::Deflate { .. } | Filter::Libdeflate { .. } | Filter::Lzw { .. })
    }

    /// Whether all have parameters that there are, and at most one of them makes a stream.
    pub(super) fn are_possible(filters: &[Filter]) -> bool {
        filters.iter().filter(|filter| filter.is_stream()).count() < 2 && filters.iter().all(Filter::is_possible)
    }

    fn is_possible(&self) -> bool {
        match self {
            Filter::Shuffle { item } => *item > 0,
            Filter::Deflate { level, mem_level } => *level <= 9 && (1..=9).contains(mem_level),
            Filter::Fletcher32 => true,
            Filter::Difference(raster) | Filter::FloatDifference(raster) => {
                matches!(raster.item, 1 | 2 | 4 | 8) && raster.samples > 0 && raster.row > 0
            }
            Filter::Libdeflate { level } => (1..=12).contains(level),
            Filter::Lzw { full, .. } => (259..=4096).contains(full),
            Filter::Bits { width } => (1..=32).contains(width),
        }
    }
}
