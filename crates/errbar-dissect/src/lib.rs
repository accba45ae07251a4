//! File formats to variables and byte segments.
//!
//! A dissector looks at a file and says where its arrays lie. It never sees the archive and never
//! fails a pack: [`dissect`] runs it contained, checks that its pieces cover the file exactly, and
//! takes the file as plain bytes otherwise. To add a format: one file here, one line in
//! [`dissectors`], one page under `spec/formats`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fs, io};

use errbar_format::dtype::n_elements;
use errbar_format::limits::{MAX_DIMS, MAX_NAME};
use errbar_format::{DType, Error, Result};

mod npy;
mod raw;

pub use npy::{Npy, header as npy_header};
pub use raw::Raw;

/// Something that can be read at any place.
pub trait ReadAt {
    /// Bytes in it.
    fn size(&self) -> u64;
    /// Fills `buffer` from the byte `at` on.
    ///
    /// # Errors
    /// Any I/O error; [`io::ErrorKind::UnexpectedEof`] past the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
}

impl ReadAt for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..)?.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for fs::File {
    fn size(&self) -> u64 {
        self.metadata().map_or(0, |m| m.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, at)
    }
}

/// An array found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

impl Array {
    /// Bytes of all elements, or `None` if that does not fit 64 bits.
    pub fn bytes(&self) -> Option<u64> {
        n_elements(&self.shape)?.checked_mul(self.dtype.size() as u64)
    }

    /// Extent along each dimension, in the order in which the file's own readers index it.
    pub fn index_shape(&self) -> Vec<u64> {
        let mut shape = self.shape.clone();
        if self.column_major {
            shape.reverse();
        }
        shape
    }
}

/// A piece of a file, in file order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This many bytes that belong to no array.
    Bytes(u64),
    /// All elements of an array.
    Array(Array),
}

/// One file format.
pub trait Dissector: Sync {
    /// The format's usual name.
    fn name(&self) -> &'static str;
    /// Whether a file that begins with `head` (up to 512 bytes) is worth a closer look.
    fn probe(&self, head: &[u8]) -> bool;
    /// The pieces of the file, in order and without gap.
    ///
    /// # Errors
    /// Anything: the file is then taken as bytes.
    fn dissect(&self, file: &dyn ReadAt) -> Result<Vec<Piece>>;
}

/// Every format known, in the order they are tried.
pub fn dissectors() -> &'static [&'static dyn Dissector] {
    &[&Npy]
}

/// The pieces of `file` as the first fitting dissector of `all` finds them, and that dissector's
/// name; one piece of bytes if none fits, fails, panics or contradicts the file.
pub fn dissect(file: &dyn ReadAt, all: &[&dyn Dissector]) -> (Vec<Piece>, Option<&'static str>) {
    let size = file.size();
    let mut head = vec![0; size.min(512) as usize];
    if file.read_at(&mut head, 0).is_ok() {
        for dissector in all {
            let found = catch_unwind(AssertUnwindSafe(|| if dissector.probe(&head) { dissector.dissect(file).ok() } else { None }));
            if let Ok(Some(pieces)) = found
                && covers(&pieces, size)
            {
                return (pieces, Some(dissector.name()));
            }
        }
    }
    (vec![Piece::Bytes(size)], None)
}

/// Whether the pieces are within the limits and add up to `size` bytes.
fn covers(pieces: &[Piece], size: u64) -> bool {
    let len = |piece: &Piece| match piece {
        Piece::Bytes(n) => Some(*n),
        Piece::Array(a) if a.shape.len() <= MAX_DIMS && a.name.len() <= MAX_NAME => a.bytes(),
        Piece::Array(_) => None,
    };
    pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(len(piece)?)) == Some(size)
}

fn not_this(what: &str) -> Error {
    Error::new(errbar_format::Kind::Unsupported, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Careless(Vec<Piece>);
    impl Dissector for Careless {
        fn name(&self) -> &'static str {
            "careless"
        }
        fn probe(&self, head: &[u8]) -> bool {
            assert_ne!(head, b"panic", "planted");
            true
        }
        fn dissect(&self, _: &dyn ReadAt) -> Result<Vec<Piece>> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn pieces_that_do_not_cover_the_file_are_dropped() {
        for pieces in [vec![], vec![Piece::Bytes(4)], vec![Piece::Bytes(u64::MAX), Piece::Bytes(6)]] {
            assert_eq!(dissect(&&b"12345"[..], &[&Careless(pieces)]), (vec![Piece::Bytes(5)], None));
        }
        let right = vec![Piece::Bytes(2), Piece::Bytes(3)];
        assert_eq!(dissect(&&b"12345"[..], &[&Careless(right.clone())]), (right, Some("careless")));
    }

    #[test]
    fn a_panic_in_a_dissector_is_contained() {
        let all: &[&dyn Dissector] = &[&Careless(vec![Piece::Bytes(5)])];
        assert_eq!(dissect(&&b"panic"[..], all), (vec![Piece::Bytes(5)], None));
    }
}
