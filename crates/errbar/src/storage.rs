//! Where an archive's bytes come from.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

pub use errbar_dissect::ReadAt;

mod map;

pub(crate) use map::Mapped;

/// An archive's bytes, readable at any place from any thread.
pub trait Storage: ReadAt + Send + Sync {}
impl<T: ReadAt + Send + Sync> Storage for T {}

/// Bytes in memory.
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl ReadAt for Memory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        (&self.0[..]).read_at(buffer, at)
    }
}

/// Anything that can seek, behind a lock.
pub(crate) struct Seekable<R> {
    reader: Mutex<R>,
    size: u64,
}

impl<R: Read + Seek> Seekable<R> {
    pub(crate) fn new(mut reader: R) -> io::Result<Seekable<R>> {
        let size = reader.seek(SeekFrom::End(0))?;
        Ok(Seekable { reader: Mutex::new(reader), size })
    }
}

impl<R: Read + Seek> ReadAt for Seekable<R> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        // A panic in another thread's read leaves the position unknown; it is set here anyway.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.seek(SeekFrom::Start(at))?;
        reader.read_exact(buffer)
    }
}

/// Opens a regular file, without waiting for a FIFO's writer.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}
