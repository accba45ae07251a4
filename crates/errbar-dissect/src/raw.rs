use errbar_format::{DType, Result};

use crate::{Array, Dissector, Piece, ReadAt, not_this};

/// A file that is one array, or ends with one, as its user declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Type of an element.
    pub dtype: DType,
    /// Whether the elements' bytes are big-endian.
    pub big_endian: bool,
    /// Extent along each dimension, slowest-varying first.
    pub shape: Vec<u64>,
    /// Bytes before the array.
    pub offset: u64,
}

impl Dissector for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn probe(&self, _: &[u8]) -> bool {
        true
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Vec<Piece>> {
        let array =
            Array { name: String::new(), dtype: self.dtype, big_endian: self.big_endian, column_major: false, shape: self.shape.clone() };
        let bytes = array.bytes().ok_or_else(|| not_this("declared shape overflows"))?;
        if self.offset.checked_add(bytes) != Some(file.size()) {
            return Err(not_this("declared shape does not fit the file's size"));
        }
        let gap = (self.offset > 0).then_some(Piece::Bytes(self.offset));
        Ok(gap.into_iter().chain([Piece::Array(array)]).collect())
    }
}
