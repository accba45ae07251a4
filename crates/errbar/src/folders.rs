//! Folders below a root, opened component by component and never through a link.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use errbar_format::path;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::atomic::os;

/// Folders kept open: enough that neighbours in path order cost one call each, few enough for
/// any limit on open files.
const MAX_OPEN: usize = 128;

/// A tree being written to or read from.
pub(crate) struct Folders {
    root: OwnedFd,
    current: Vec<u8>,
    /// The deepest folders on the way to `current`: length of their path, and themselves.
    trail: VecDeque<(usize, OwnedFd)>,
}

/// What to do about folders that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make them.
    Create,
    /// An error.
    Fail,
}

fn open_folder(at: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, &*os(name), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

impl Folders {
    /// The tree below `root`, which the user names and which may therefore be a link.
    pub(crate) fn new(root: &Path) -> io::Result<Folders> {
        let root = rustix::fs::openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Folders { root, current: Vec::new(), trail: VecDeque::new() })
    }

    /// The folder with this path; the root for an empty one.
    pub(crate) fn open(&mut self, wanted: &[u8], missing: Missing) -> io::Result<BorrowedFd<'_>> {
        while let Some((len, _)) = self.trail.back() {
            if path::is_within(wanted, &self.current[..*len]) {
                break;
            }
            self.trail.pop_back();
        }
        self.current = wanted.to_vec();
        let mut done = self.trail.back().map_or(0, |(len, _)| *len);
        while done < wanted.len() {
            let start = if done == 0 { 0 } else { done + 1 };
            let end = wanted[start..].iter().position(|&b| b == b'/').map_or(wanted.len(), |n| start + n);
            let above = self.trail.back().map_or(self.root.as_fd(), |(_, fd)| fd.as_fd());
            let name = &wanted[start..end];
            let opened = match open_folder(above, name) {
                Err(Errno::NOENT) if missing == Missing::Create => {
                    match rustix::fs::mkdirat(above, &*os(name), Mode::from(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(e) => return Err(e.into()),
                    }
                    open_folder(above, name)
                }
                result => result,
            };
            let folder = opened.map_err(|e| match e {
                Errno::LOOP | Errno::NOTDIR => io::Error::new(io::ErrorKind::NotADirectory, "a link or file stands where a folder should"),
                e => e.into(),
            })?;
            if self.trail.len() == MAX_OPEN {
                self.trail.pop_front();
            }
            self.trail.push_back((end, folder));
            done = end;
        }
        Ok(self.trail.back().map_or(self.root.as_fd(), |(_, fd)| fd.as_fd()))
    }

    /// Makes a folder that only its owner may enter until its own mode is set. Tells whether it
    /// is new.
    pub(crate) fn create(&mut self, wanted: &[u8]) -> io::Result<bool> {
        let (above, name) = split(wanted);
        let above = self.open(above, Missing::Create)?;
        let new = match rustix::fs::mkdirat(above, &*os(name), Mode::from(0o700)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(e.into()),
        };
        self.open(wanted, Missing::Fail)?;
        Ok(new)
    }
}

/// A path's folder and its last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_trees_need_few_open_files_and_links_are_not_followed() {
        let root = tempfile::tempdir().expect("tmp");
        let mut folders = Folders::new(root.path()).expect("root");
        let deep: Vec<u8> = std::iter::repeat_n(&b"d"[..], 1000).collect::<Vec<_>>().join(&b'/');
        folders.open(&deep, Missing::Create).expect("made");
        for len in (1..deep.len()).step_by(2).rev() {
            folders.open(&deep[..len], Missing::Fail).expect("there");
        }
        std::os::unix::fs::symlink("/", root.path().join("link")).expect("link");
        assert_eq!(folders.open(b"link/tmp", Missing::Create).expect_err("not followed").kind(), io::ErrorKind::NotADirectory);
        assert!(folders.create(b"new").expect("made"));
        assert!(!folders.create(b"new").expect("there"));
    }
}
