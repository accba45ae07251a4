//! Numbers of a file's headers, at any place and in either byte order.

use errbar_format::Result;

use crate::{ReadAt, not_this};

/// Some bytes of a file and the order in which its numbers are written.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    bytes: Vec<u8>,
    /// Whether numbers are big-endian.
    pub(crate) big_endian: bool,
}

macro_rules! number {
    ($($name:ident),*) => {$(
        #[doc = concat!("The `", stringify!($name), "` whose first byte is at `at`.")]
        #[allow(dead_code, reason = "the set is complete; not every type is met in a header yet")]
        pub(crate) fn $name(&self, at: usize) -> Result<$name> {
            let bytes = *self.bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(ends)?;
            Ok(if self.big_endian { $name::from_be_bytes(bytes) } else { $name::from_le_bytes(bytes) })
        }
    )*};
}

fn ends() -> errbar_format::Error {
    not_this("file ends inside its header")
}

impl Numbers {
    /// `len` bytes of the file from `at` on. What the file does not have is not asked for, so that a
    /// length found in it may be given as it stands.
    pub(crate) fn read(file: &dyn ReadAt, at: u64, len: u64, big_endian: bool) -> Result<Numbers> {
        if at.checked_add(len).is_none_or(|end| end > file.size()) {
            return Err(ends());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| ends())?];
        file.read_at(&mut bytes, at).map_err(|_| ends())?;
        Ok(Numbers { bytes, big_endian })
    }

    /// Bytes `at..at + len`.
    pub(crate) fn bytes(&self, at: usize, len: usize) -> Result<&[u8]> {
        self.bytes.get(at..).and_then(|rest| rest.get(..len)).ok_or_else(ends)
    }

    number!(u8, u16, i16, u32, i32, u64, i64, f32, f64);
}
