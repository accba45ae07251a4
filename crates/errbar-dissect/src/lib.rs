//! File formats to variables and byte segments.
//!
//! A dissector looks at a file and says where its arrays lie: a [`Layout`]. It never sees the
//! archive and never fails a pack: [`dissect`] runs it contained, checks that the places fit the
//! file, and takes the file as plain bytes otherwise. To add a format: one file here, one line in
//! [`dissectors`], one page under `spec/formats`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{fs, io};

use errbar_format::{Error, Result};

mod aiff;
mod arrow;
mod base64;
mod beside;
mod bmp;
mod cf;
mod cursor;
mod dcd;
mod dicom;
mod fits;
mod flatbuffer;
mod genericio;
mod gguf;
mod grib;
mod gzip;
mod hdf5;
mod las;
mod layout;
mod mat;
mod mat4;
mod metaimage;
mod mrc;
mod netcdf3;
mod nifti;
mod npy;
mod nrrd;
mod numbers;
mod patch;
mod ply;
mod png;
mod pnm;
mod pp;
mod raw;
mod sac;
mod safetensors;
mod segy;
mod stack;
mod strided;
mod table;
mod tiff;
mod trr;
mod vtk;
mod vtkxml;
mod wav;
mod zip;
mod zlib;

pub use aiff::Aiff;
pub use arrow::Arrow;
pub use base64::Base64;
pub use beside::{Described, FORMATS as DESCRIBED_FORMATS, MAX_HEADER, Siblings, described};
pub use bmp::Bmp;
pub use dcd::Dcd;
pub use dicom::Dicom;
pub use fits::Fits;
pub use genericio::GenericIo;
pub use gguf::Gguf;
pub use grib::Grib;
pub use gzip::{Gzip, header_len as gzip_header_len};
pub use hdf5::Hdf5;
pub use las::Las;
pub use layout::{Array, Chunks, Holds, Inside, Layout, Packing, Place, Wrapper};
pub use mat::Mat;
pub use mat4::Mat4;
pub use metaimage::MetaImage;
pub use mrc::Mrc;
pub use netcdf3::NetCdf3;
pub use nifti::Nifti;
pub use npy::{Npy, header as npy_header};
pub use nrrd::Nrrd;
pub use patch::{Checksum, SizeField, lookup3};
pub use ply::Ply;
pub use png::Png;
pub use pnm::Pnm;
pub use pp::Pp;
pub use raw::Raw;
pub use sac::Sac;
pub use safetensors::SafeTensors;
pub use segy::Segy;
pub use table::{LineReader, Lines, Table, for_each_line};
pub use tiff::Tiff;
pub use trr::Trr;
pub use vtk::Vtk;
pub use vtkxml::VtkXml;
pub use wav::Wav;
pub use zip::Zip;
pub use zlib::Zlib;

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

/// The pieces of a file that are one stream, as if they stood together.
pub struct Joined<'a> {
    file: &'a dyn ReadAt,
    /// Where each piece begins, in the stream and in the file.
    starts: Vec<(u64, u64)>,
    len: u64,
}

impl<'a> Joined<'a> {
    /// The `len` bytes of a stream that begins at `at` and is cut as in [`Wrapper::Pieces`].
    pub fn new(file: &'a dyn ReadAt, (at, len): (u64, u64), cuts: &[(u64, u64)]) -> Joined<'a> {
        let mut starts = vec![(0, at)];
        starts.extend(cuts.iter().scan((0u64, at), |(stream, file), (piece, behind)| {
            *stream = stream.checked_add(*piece)?;
            *file = file.checked_add(*piece)?.checked_add(*behind)?;
            Some((*stream, *file))
        }));
        Joined { file, starts, len }
    }
}

impl ReadAt for Joined<'_> {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
        if at.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The last piece that begins there or before: the first one begins at 0.
        let mut piece = self.starts.partition_point(|(start, _)| *start <= at).saturating_sub(1);
        while !buffer.is_empty() {
            let (start, in_file) = self.starts[piece];
            let left = self.starts.get(piece + 1).map_or(u64::MAX, |(next, _)| next - at);
            let len = left.min(buffer.len() as u64) as usize;
            let (now, later) = std::mem::take(&mut buffer).split_at_mut(len);
            self.file.read_at(now, in_file + (at - start))?;
            (at, buffer, piece) = (at + now.len() as u64, later, piece + 1);
        }
        Ok(())
    }
}

/// One file format.
pub trait Dissector: Sync {
    /// The format's usual name.
    fn name(&self) -> &'static str;
    /// Whether a file that begins with `head` (up to 512 bytes) is worth a closer look.
    fn probe(&self, head: &[u8]) -> bool;
    /// Where the arrays of the file lie.
    ///
    /// # Errors
    /// Anything: the file is then taken as bytes.
    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout>;
}

/// A part of a file that is taken for one.
pub struct Window<'a> {
    file: &'a dyn ReadAt,
    at: u64,
    len: u64,
}

impl<'a> Window<'a> {
    /// The `len` bytes of `file` from `at` on, which must be there.
    pub fn new(file: &'a dyn ReadAt, at: u64, len: u64) -> Window<'a> {
        Window { file, at, len }
    }
}

impl ReadAt for Window<'_> {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match at.checked_add(buffer.len() as u64).is_some_and(|end| end <= self.len) {
            true => self.file.read_at(buffer, self.at + at),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Every format known, in the order they are tried: those that hold other files, or one stream, first and,
/// because any file may begin like it, last.
static FORMATS: &[&dyn Dissector] = &[
    &Gzip,
    &Zip,
    &Png,
    &Npy,
    &NetCdf3,
    &Fits,
    &Nifti,
    &Gguf,
    &Nrrd,
    &Ply,
    &Wav,
    &Aiff,
    &Dicom,
    &Tiff,
    &Las,
    &Trr,
    &Dcd,
    &GenericIo,
    &Arrow,
    &Mat,
    &Vtk,
    &VtkXml,
    &Mrc,
    &MetaImage,
    &SafeTensors,
    &Pnm,
    &Bmp,
    &Pp,
    &Grib,
    &Sac,
    &Mat4,
    &Segy,
    &Hdf5,
    &Table,
    &Zlib,
];
/// Those of them that are tried on a file that stands in another one: they hold no other files, and give their
/// arrays names of their own.
const PLAIN: std::ops::Range<usize> = 3..FORMATS.len() - 1;

/// Every format known, in the order they are tried.
pub fn dissectors() -> &'static [&'static dyn Dissector] {
    FORMATS
}

/// What is tried on a file that stands in another one.
fn plain_dissectors() -> &'static [&'static dyn Dissector] {
    &FORMATS[PLAIN]
}

/// The layout of `file` as the first fitting dissector of `all` finds it, its places in file order,
/// and that dissector's name; an empty layout if none fits, fails, panics or contradicts the file.
pub fn dissect(file: &dyn ReadAt, all: &[&dyn Dissector]) -> (Layout, Option<&'static str>) {
    let size = file.size();
    let mut head = vec![0; size.min(512) as usize];
    if file.read_at(&mut head, 0).is_ok() {
        for dissector in all {
            let found = catch_unwind(AssertUnwindSafe(|| if dissector.probe(&head) { dissector.dissect(file).ok() } else { None }));
            if let Ok(Some(mut layout)) = found
                && layout.settle(size)
            {
                return (layout, Some(dissector.name()));
            }
        }
    }
    (Layout::default(), None)
}

fn not_this(what: &str) -> Error {
    Error::new(errbar_format::Kind::Unsupported, what)
}

#[cfg(test)]
mod tests {
    use errbar_format::DType;

    use super::*;

    struct Careless;
    impl Dissector for Careless {
        fn name(&self) -> &'static str {
            "careless"
        }
        fn probe(&self, head: &[u8]) -> bool {
            assert_ne!(head, b"panic", "planted");
            true
        }
        fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
            let array = Array::new("a", DType::U8, false, vec![4]);
            Ok(Layout::of(array, u64::from(numbers::Numbers::read(file, 0, 1, false)?.u8(0)?)))
        }
    }

    #[test]
    fn a_layout_that_does_not_fit_the_file_is_dropped() {
        let all: &[&dyn Dissector] = &[&Careless];
        assert_eq!(dissect(&&b"\x01ABCD"[..], all).1, Some("careless"));
        for file in [&b"\x02ABCD"[..], b"\xff", b""] {
            assert_eq!(dissect(&file, all), (Layout::default(), None));
        }
    }

    #[test]
    fn pieces_are_read_as_one() {
        let file = &b"..abc--d----efg"[..];
        let joined = Joined::new(&file, (2, 7), &[(3, 2), (1, 4), (0, 0)]);
        for from in 0..=7 {
            for to in from..=7 {
                let mut buffer = vec![0; to - from];
                joined.read_at(&mut buffer, from as u64).expect("inside");
                assert_eq!(buffer, b"abcdefg"[from..to]);
            }
        }
        assert!(joined.read_at(&mut [0; 2], 6).is_err() && joined.read_at(&mut [0; 2], u64::MAX).is_err());
    }

    #[test]
    fn a_panic_in_a_dissector_is_contained() {
        assert_eq!(dissect(&&b"panic"[..], &[&Careless]), (Layout::default(), None));
    }
}
