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
    /// Whether it is all that is packed: no other file belongs to it.
    pub(crate) is_root: bool,
}

/// Walks a tree in the order of entries: by name, a folder before its contents. Links are not
/// followed; a root that is a file is the only entry.
pub(crate) fn walk(root: &Path) -> impl Iterator<Item = Result<Found>> + use<> {
    let root_is_file = root.symlink_metadata().is_ok_and(|m| !m.is_dir());
    let base = if root_is_file { root.parent().unwrap_or(Path::new("")).to_path_buf() } else { root.to_path_buf() };
    walkdir::WalkDir::new(root).min_depth(usize::from(!root_is_file)).sort_by_file_name().into_iter().map(move |item| {
        let item = item.map_err(|e| {
            let place = e.path().map_or_else(Vec::new, |p| below(&base, p).to_vec());
            let source = e.into_io_error().unwrap_or_else(|| io::Error::other("links form a loop"));
            Error::io("cannot be listed", source).in_entry(&place)
        })?;
        let path = below(&base, item.path()).to_vec();
        let metadata = item.metadata().map_err(|e| {
            Error::io("cannot be examined", e.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into())).in_entry(&path)
        })?;
        Ok(Found { place: item.into_path(), path, metadata, is_root: root_is_file })
    })
}

/// The path of a place below `base`, which it begins with as it stands.
fn below<'a>(base: &Path, place: &'a Path) -> &'a [u8] {
    let (base, place) = (base.as_os_str().as_bytes(), place.as_os_str().as_bytes());
    let rest = place.strip_prefix(base).unwrap_or(place);
    match base.is_empty() {
        true => rest,
        false => rest.strip_prefix(b"/").unwrap_or(rest),
    }
}

/// What a first walk tells: enough to name the archive and to show progress.
pub(crate) struct Outline {
    /// Hash of names, types, sizes and times.
    pub(crate) id: Hash,
    /// Bytes of all regular files.
    pub(crate) bytes: u64,
    /// All that was found, if it is not too much to keep.
    found: Option<Vec<Result<Found>>>,
}

/// Bytes that keeping what a walk has found may take.
const KEPT: usize = 64 << 20;

/// Walks once without opening anything.
pub(crate) fn outline(root: &Path, options: &str) -> Outline {
    let mut hasher = blake3::Hasher::new();
    let (mut bytes, mut room, mut kept) = (0, KEPT, Some(Vec::new()));
    hasher.update(options.as_bytes());
    let mut text = Vec::new();
    for found in walk(root) {
        if let Ok(found) = &found {
            let m = &found.metadata;
            text.clear();
            text.extend_from_slice(&(found.path.len() as u64).to_le_bytes());
            text.extend_from_slice(&found.path);
            for number in [u64::from(m.mode()), m.len(), m.mtime() as u64, m.mtime_nsec() as u64] {
                text.extend_from_slice(&number.to_le_bytes());
            }
            hasher.update(&text);
            if m.is_file() {
                bytes += m.len();
            }
        }
        let len = found.as_ref().map_or(0, |found| found.path.len() + found.place.as_os_str().len());
        match room.checked_sub(size_of::<Result<Found>>() + len) {
            Some(left) => room = left,
            None => kept = None,
        }
        if let Some(kept) = &mut kept {
            kept.push(found);
        }
    }
    Outline { id: *hasher.finalize().as_bytes(), bytes, found: kept }
}

impl Outline {
    /// What is found in the tree: what the first walk did, or a second one, which tells of errors
    /// again.
    pub(crate) fn walk(&mut self, root: &Path) -> Box<dyn Iterator<Item = Result<Found>>> {
        match self.found.take() {
            Some(found) => Box::new(found.into_iter()),
            None => Box::new(walk(root)),
        }
    }
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
    pub(crate) fn attributes(&mut self, named: Named<'_>, metadata: &Metadata) -> Result<Attributes> {
        let xattrs = xattrs(named, &mut self.list)?;
        Ok(self.with_xattrs(metadata, xattrs))
    }

    /// The same, with extended attributes that have been read.
    pub(crate) fn with_xattrs(&mut self, metadata: &Metadata, xattrs: Xattrs) -> Attributes {
        Attributes {
            mode: metadata.mode() & 0o7777,
            mtime_s: metadata.mtime(),
            mtime_ns: metadata.mtime_nsec() as u32,
            uid: metadata.uid(),
            gid: metadata.gid(),
            user: self.user(metadata.uid()),
            group: self.group(metadata.gid()),
            xattrs,
        }
    }
}

/// The most bytes that the system gives of a list of attributes or of a value.
const MAX_XATTR: usize = 64 << 10;

/// Extended attributes: name and value, in the order of their names.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What has extended attributes.
#[derive(Clone, Copy)]
pub(crate) enum Named<'a> {
    /// What stands at a place, a link itself rather than what it points to.
    Place(&'a Path),
    /// An open file.
    File(&'a File),
}

/// Reads extended attributes; `names` is room for a list of them.
pub(crate) fn xattrs(named: Named<'_>, names: &mut Vec<u8>) -> Result<Xattrs> {
    read_xattrs(named, names).map_err(|e| Error::io("extended attributes cannot be read", e))
}

fn read_xattrs(named: Named<'_>, names: &mut Vec<u8>) -> io::Result<Xattrs> {
    use rustix::io::Errno;
    names.resize(MAX_XATTR, 0);
    let len = match named {
        Named::Place(place) => rustix::fs::llistxattr(place, &mut names[..]),
        Named::File(file) => rustix::fs::flistxattr(file, &mut names[..]),
    };
    let len = match len {
        Ok(len) => len,
        Err(Errno::OPNOTSUPP) => 0,
        Err(e) => return Err(e.into()),
    };
    let mut pairs = Vec::new();
    for name in names[..len].split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; MAX_XATTR];
        let of = OsStr::from_bytes(name);
        let len = match named {
            Named::Place(place) => rustix::fs::lgetxattr(place, of, &mut value[..]),
            Named::File(file) => rustix::fs::fgetxattr(file, of, &mut value[..]),
        };
        match len {
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
