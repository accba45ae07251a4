//! Files that appear under their name whole or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};

/// A file being written in the folder it will appear in, without a name where the system can do
/// that (so that even a killed process leaves nothing), else under a temporary one.
pub(crate) struct AtomicFile {
    folder: OwnedFd,
    file: File,
    temporary: Option<OsString>,
}

/// Writes on to a file and has the system begin to bring it to the disk meanwhile, so that little
/// is left to wait for when it is synced.
pub(crate) struct EarlyFlush<'a> {
    file: &'a File,
    written: u64,
    flushed: u64,
}

/// Bytes that may be written before the disk is set to work.
const FLUSH_STEP: u64 = 8 << 20;

impl<'a> EarlyFlush<'a> {
    pub(crate) fn new(file: &'a File) -> EarlyFlush<'a> {
        EarlyFlush { file, written: 0, flushed: 0 }
    }
}

impl io::Write for EarlyFlush<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write(bytes)?;
        self.written += len as u64;
        if self.written - self.flushed >= FLUSH_STEP {
            // Dirty pages that are not needed soon are written out. Only a hint: a refusal costs
            // time, no data.
            let range = NonZeroU64::new(self.written - self.flushed);
            let _ = rustix::fs::fadvise(self.file, self.flushed, range, rustix::fs::Advice::DontNeed);
            self.flushed = self.written;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What to do when the final name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Leave it: an error.
    Keep,
    /// Replace it, unless it is a folder.
    Replace,
}

pub(crate) fn temporary_name(attempt: u32) -> OsString {
    // Not a secret and never followed: O_EXCL settles collisions.
    OsString::from(format!(".errbar-{}-{attempt}.tmp", std::process::id()))
}

impl AtomicFile {
    /// A file in `folder`.
    pub(crate) fn create(folder: BorrowedFd<'_>) -> io::Result<AtomicFile> {
        let folder = folder.try_clone_to_owned()?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&folder, ".", flags | OFlags::TMPFILE, Mode::from(0o666)) {
            Ok(fd) => return Ok(AtomicFile { folder, file: File::from(fd), temporary: None }),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => {}
            Err(e) => return Err(e.into()),
        }
        for attempt in 0.. {
            let name = temporary_name(attempt);
            let new = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            match rustix::fs::openat(&folder, &name, flags | new, Mode::from(0o666)) {
                Ok(fd) => return Ok(AtomicFile { folder, file: File::from(fd), temporary: Some(name) }),
                Err(rustix::io::Errno::EXIST) if attempt < 10_000 => {}
                Err(e) => return Err(e.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The file, to write to.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name.
    pub(crate) fn commit(mut self, name: &std::ffi::OsStr, existing: Existing) -> io::Result<()> {
        if let Some(temporary) = &self.temporary {
            rename(self.folder.as_fd(), temporary, name, existing)?;
            self.temporary = None;
            return Ok(());
        }
        link(self.file.as_fd(), self.folder.as_fd(), name, existing)
    }
}

/// Gives an open file a name in a folder.
pub(crate) fn link(file: BorrowedFd<'_>, folder: BorrowedFd<'_>, name: &std::ffi::OsStr, existing: Existing) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |name: &std::ffi::OsStr| rustix::fs::linkat(CWD, &*own, folder, name, AtFlags::SYMLINK_FOLLOW);
    match link(name) {
        Err(rustix::io::Errno::EXIST) if existing == Existing::Replace => {}
        result => return result.map_err(io::Error::from),
    }
    // A link cannot replace: it gets a temporary name, and a rename does.
    for attempt in 0..10_000 {
        let temporary = temporary_name(attempt);
        match link(&temporary) {
            Err(rustix::io::Errno::EXIST) => continue,
            result => result?,
        }
        let renamed = rename(folder, &temporary, name, existing);
        if renamed.is_err() {
            // Nothing more can be done about a name that will not go.
            let _ = rustix::fs::unlinkat(folder, &*temporary, AtFlags::empty());
        }
        return renamed;
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn rename(folder: BorrowedFd<'_>, from: &std::ffi::OsStr, to: &std::ffi::OsStr, existing: Existing) -> io::Result<()> {
    match existing {
        Existing::Replace => rustix::fs::renameat(folder, from, folder, to)?,
        Existing::Keep => match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
            // File systems without RENAME_NOREPLACE: a hard link does not replace either.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                rustix::fs::linkat(folder, from, folder, to, AtFlags::empty())?;
                rustix::fs::unlinkat(folder, from, AtFlags::empty())?;
            }
            result => result?,
        },
    }
    Ok(())
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(name) = self.temporary.take() {
            // Nothing more can be done about a name that will not go.
            let _ = rustix::fs::unlinkat(&self.folder, name, AtFlags::empty());
        }
    }
}

/// The folder of `path`, opened, and the last component of `path`.
pub(crate) fn parent(path: &Path) -> io::Result<(OwnedFd, OsString)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let fd = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((fd, name))
}

/// Bytes as a name.
pub(crate) fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_name_is_given_once_and_replaced_only_on_request() {
        let folder = tempfile::tempdir().expect("tmp");
        let path = folder.path().join("x");
        let write = |text: &str, existing| {
            let (fd, name) = parent(&path)?;
            let file = AtomicFile::create(fd.as_fd())?;
            file.file().write_all(text.as_bytes())?;
            file.commit(&name, existing)
        };
        write("one", Existing::Keep).expect("new");
        assert_eq!(write("two", Existing::Keep).expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("there"), b"one");
        write("three", Existing::Replace).expect("replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"three");
        drop(AtomicFile::create(parent(&path).expect("folder").0.as_fd()).expect("new"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 1, "nothing else is left");
    }
}
