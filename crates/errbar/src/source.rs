//! The tree to pack: walking it, and what the file system says of each entry.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use errbar_format::record::Attributes;
use errbar_format::{Error, Hash, Result};
use rustix::fs::{Mode, OFlags, SeekFrom};

/// Something found in the tree.
pub(crate) struct Found {
    /// Where it is in the file system.
    pub(crate) place: PathBuf,
    /// Its path in the archive.
    pub(crate) path: Vec<u8>,
    /// What `lstat` says.
    pub(crate) metadata: Metadata,
}

/// Walks a tree in the order of entries: by name, a folder before its contents. Links are not
/// followed; a root that is a file is the only entry.
pub(crate) fn walk(root: &Path) -> impl Iterator<Item = Result<Found>> {
    let root_is_file = root.symlink_metadata().is_ok_and(|m| !m.is_dir());
    let base = if root_is_file { root.parent().unwrap_or(Path::new("")).to_path_buf() } else { root.to_path_buf() };
    walkdir::WalkDir::new(root).min_depth(usize::from(!root_is_file)).sort_by_file_name().into_iter().map(move |item| {
        let item = item.map_err(|e| {
            let place = e.path().map_or_else(Vec::new, |p| p.strip_prefix(&base).unwrap_or(p).as_os_str().as_bytes().to_vec());
            let source = e.into_io_error().unwrap_or_else(|| io::Error::other("links form a loop"));
            Error::io("cannot be listed", source).in_entry(&place)
        })?;
        let path = item.path().strip_prefix(&base).unwrap_or(item.path()).as_os_str().as_bytes().to_vec();
        let metadata = item.metadata().map_err(|e| {
            Error::io("cannot be examined", e.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into())).in_entry(&path)
        })?;
        Ok(Found { place: item.into_path(), path, metadata })
    })
}

/// What a first walk tells: enough to name the archive and to show progress.
pub(crate) struct Outline {
    /// Hash of names, types, sizes and times.
    pub(crate) id: Hash,
    /// Bytes of all regular files.
    pub(crate) bytes: u64,
}

/// Walks once without opening anything. Errors are left for the second walk to report.
pub(crate) fn outline(root: &Path, options: &str) -> Outline {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = 0;
    hasher.update(options.as_bytes());
    for found in walk(root).flatten() {
        let m = &found.metadata;
        hasher.update(&(found.path.len() as u64).to_le_bytes());
        hasher.update(&found.path);
        for number in [u64::from(m.mode()), m.len(), m.mtime() as u64, m.mtime_nsec() as u64] {
            hasher.update(&number.to_le_bytes());
        }
        if m.is_file() {
            bytes += m.len();
        }
    }
    Outline { id: *hasher.finalize().as_bytes(), bytes }
}

/// The word for a file that is not packed.
pub(crate) fn special_word(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_fifo() => "FIFO",
        () if kind.is_socket() => "socket",
        () if kind.is_char_device() => "character device",
        () if kind.is_block_device() => "block device",
        () => "special file",
    }
}

/// Opens a regular file for reading, without following a link and without waiting for a writer.
pub(crate) fn open(place: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(place, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("is no longer a regular file"));
    }
    Ok((file, metadata))
}

/// Whether a file was written to between two looks at it.
pub(crate) fn changed(before: &Metadata, after: &Metadata) -> bool {
    let key = |m: &Metadata| (m.len(), m.mtime(), m.mtime_nsec(), m.ino());
    key(before) != key(after)
}

/// The data runs `(offset, length)` of a file with holes; `None` for a file without.
pub(crate) fn data_runs(file: &File, metadata: &Metadata) -> io::Result<Option<Vec<(u64, u64)>>> {
    let size = metadata.len();
    if metadata.blocks().saturating_mul(512) >= size {
        return Ok(None);
    }
    let mut runs = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => break,
            Err(rustix::io::Errno::INVAL) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(size);
        if end <= start {
            break;
        }
        runs.push((start, end - start));
        at = end;
    }
    let data: u64 = runs.iter().map(|(_, len)| len).sum();
    Ok((data < size).then_some(runs))
}

/// Looks up owners' names once each.
#[derive(Default)]
pub(crate) struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
    /// Room for a list of extended attributes.
    list: Vec<u8>,
}

impl Names {
    fn user(&mut self, uid: u32) -> String {
        let look_up = || nix::unistd::User::from_uid(uid.into()).ok().flatten().map_or_else(String::new, |u| u.name);
        self.users.entry(uid).or_insert_with(look_up).clone()
    }

    fn group(&mut self, gid: u32) -> String {
        let look_up = || nix::unistd::Group::from_gid(gid.into()).ok().flatten().map_or_else(String::new, |g| g.name);
        self.groups.entry(gid).or_insert_with(look_up).clone()
    }

    /// Everything the file system says of an entry.
    pub(crate) fn attributes(&mut self, place: &Path, metadata: &Metadata) -> Result<Attributes> {
        Ok(Attributes {
            mode: metadata.mode() & 0o7777,
            mtime_s: metadata.mtime(),
            mtime_ns: metadata.mtime_nsec() as u32,
            uid: metadata.uid(),
            gid: metadata.gid(),
            user: self.user(metadata.uid()),
            group: self.group(metadata.gid()),
            xattrs: xattrs(place, &mut self.list).map_err(|e| Error::io("extended attributes cannot be read", e))?,
        })
    }
}

/// The most bytes that the system gives of a list of attributes or of a value.
const MAX_XATTR: usize = 64 << 10;

/// Extended attributes in the order of their names.
fn xattrs(place: &Path, names: &mut Vec<u8>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    use rustix::io::Errno;
    names.resize(MAX_XATTR, 0);
    let len = match rustix::fs::llistxattr(place, &mut names[..]) {
        Ok(len) => len,
        Err(Errno::OPNOTSUPP) => 0,
        Err(e) => return Err(e.into()),
    };
    let mut pairs = Vec::new();
    for name in names[..len].split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; MAX_XATTR];
        match rustix::fs::lgetxattr(place, OsStr::from_bytes(name), &mut value[..]) {
            Ok(len) => value.truncate(len),
            // Removed since it was listed, or of a kind that this user may not read.
            Err(Errno::NODATA | Errno::PERM) => continue,
            Err(e) => return Err(e.into()),
        }
        pairs.push((name.to_vec(), value));
    }
    pairs.sort_unstable();
    Ok(pairs)
}
