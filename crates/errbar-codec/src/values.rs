//! Values: the elements of a block as bit patterns, with their type.

use std::borrow::Cow;

use errbar_format::{DType, Error, Result};

use crate::codes::Word;
use crate::{Codes, Layout, Words, with_words};

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

    /// Elements from the bytes of a file. Bytes that are given away are not copied where words are
    /// bytes.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Usage`] if the bytes are not `shape` elements.
    pub fn from_bytes<'a>(dtype: DType, big_endian: bool, shape: &[u64], bytes: impl Into<Cow<'a, [u8]>>) -> Result<Values> {
        let bytes = bytes.into();
        let layout = Values::layout(dtype, shape)?;
        if bytes.len() != layout.bytes() {
            return Err(Error::usage(format!("{} bytes are not shape {shape:?} of {}", bytes.len(), dtype.name())));
        }
        let mut words = Words::from_le_bytes(layout.width, bytes);
        if big_endian {
            words.swap_bytes();
        }
        Ok(Values { dtype, bits: Codes::plain(layout.dims, words) })
    }

    /// The bytes of the elements, as a file holds them.
    pub fn to_bytes(&self, big_endian: bool) -> Vec<u8> {
        match big_endian {
            true => self.clone().into_bytes(true),
            false => self.bits.words.to_le_bytes().into_owned(),
        }
    }

    /// Appends what [`Values::to_bytes`] gives to `out`.
    pub fn put_bytes(&self, big_endian: bool, out: &mut Vec<u8>) {
        match big_endian {
            true => out.append(&mut self.to_bytes(true)),
            false => with_words!(&self.bits.words, v => Word::put_le(v, out)),
        }
    }

    /// As [`Values::to_bytes`], without a copy where words are bytes.
    pub fn into_bytes(mut self, big_endian: bool) -> Vec<u8> {
        if big_endian {
            self.bits.words.swap_bytes();
        }
        match self.bits.words {
            Words::U8(bytes) => bytes,
            words => words.to_le_bytes().into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_either_order_come_back() {
        let bytes: Vec<u8> = (0..48).collect();
        for &dtype in DType::ALL {
            for big_endian in [false, true] {
                let shape = [(48 / dtype.size()) as u64];
                let values = Values::from_bytes(dtype, big_endian, &shape, &bytes).expect("48 bytes");
                assert_eq!(values.to_bytes(big_endian), bytes);
                let mut put = vec![7];
                values.put_bytes(big_endian, &mut put);
                assert_eq!(put[1..], bytes);
                let swapped: Vec<u8> = bytes.chunks(dtype.word()).flat_map(|word| word.iter().rev().copied()).collect();
                assert_eq!(values.to_bytes(!big_endian), swapped);
                assert_eq!(values.into_bytes(!big_endian), swapped);
            }
        }
        assert!(Values::from_bytes(DType::U16, false, &[24], &bytes[1..]).is_err());
    }
}
