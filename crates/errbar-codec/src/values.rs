//! Values: the elements of a block as bit patterns, with their type.

use errbar_format::{DType, Error, Result};

use crate::{Codes, Layout, Words};

/// The elements of a block. Complex elements are two words, along one more dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// Their type.
    pub dtype: DType,
    /// Their bit patterns, as words of [`DType::word`] bytes.
    pub bits: Codes,
}

impl Values {
    /// The layout of the bit patterns of `shape` elements.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Limit`] if they exceed a block.
    pub fn layout(dtype: DType, shape: &[u64]) -> Result<Layout> {
        let mut dims = shape.to_vec();
        if dtype.words() > 1 {
            dims.push(dtype.words() as u64);
        }
        Layout::new(dtype.word(), &dims)
    }

    /// Elements from the bytes of a file.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Usage`] if the bytes are not `shape` elements.
    pub fn from_bytes(dtype: DType, big_endian: bool, shape: &[u64], bytes: &[u8]) -> Result<Values> {
        let layout = Values::layout(dtype, shape)?;
        if bytes.len() != layout.bytes() {
            return Err(Error::usage(format!("{} bytes are not shape {shape:?} of {}", bytes.len(), dtype.name())));
        }
        let mut bytes = bytes.to_vec();
        if big_endian {
            swap(&mut bytes, layout.width);
        }
        Ok(Values { dtype, bits: Codes { dims: layout.dims, words: Words::from_le_bytes(layout.width, bytes) } })
    }

    /// The bytes of the elements, as a file holds them.
    pub fn to_bytes(&self, big_endian: bool) -> Vec<u8> {
        let mut bytes = self.bits.words.to_le_bytes();
        if big_endian {
            swap(&mut bytes, self.dtype.word());
        }
        bytes
    }
}

fn swap(bytes: &mut [u8], width: usize) {
    if width > 1 {
        bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}
