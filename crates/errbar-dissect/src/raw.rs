use errbar_format::{DType, Result};

use crate::{Array, Dissector, Layout, ReadAt, not_this};

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

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let array = Array::new("", self.dtype, self.big_endian, self.shape.clone());
        let bytes = array.bytes().ok_or_else(|| not_this("declared shape overflows"))?;
        match self.offset.checked_add(bytes) == Some(file.size()) {
            true => Ok(Layout::of(array, self.offset)),
            false => Err(not_this("declared shape does not fit the file's size")),
        }
    }
}
