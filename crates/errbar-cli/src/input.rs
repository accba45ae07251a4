//! Opening the archive that a command names.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use errbar::record::{Body, Entry, FileBody};
use errbar::{Archive, Error, Kind, Result};

/// Whether the name stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Standard input in a temporary file without a name: archives are read from their end.
fn spool() -> Result<File> {
    let failed = |doing: &'static str| move |e| Error::io(doing, e);
    let mut file = tempfile::tempfile().map_err(failed("cannot make a temporary file"))?;
    io::copy(&mut io::stdin().lock(), &mut file).map_err(failed("cannot read standard input"))?;
    file.flush().and_then(|()| file.rewind()).map_err(failed("cannot write a temporary file"))?;
    Ok(file)
}

/// The archive for reading here and there.
///
/// # Errors
/// Those of [`Archive::open`].
pub fn open(path: &Path) -> Result<Archive> {
    if is_dash(path) { Archive::from_reader(spool()?) } else { Archive::open(path) }
}

/// The archive for going through all of it, its index checked or rebuilt.
///
/// # Errors
/// Those of [`Archive::open_plain`] and [`Archive::checked`].
pub fn open_whole(path: &Path) -> Result<Archive> {
    let archive = if is_dash(path) { Archive::from_reader(spool()?)? } else { Archive::open_plain(path)? };
    archive.checked()
}

/// Whether the archive itself is damaged.
pub fn is_damage(error: &Error) -> bool {
    matches!(error.kind, Kind::Corrupt | Kind::Truncated)
}

/// The archive and what `look` finds in it; if its index turns out to be damaged, it is rebuilt
/// from the frames first.
///
/// # Errors
/// Those of [`open`], [`Archive::checked`] and `look`.
pub fn find<T>(path: &Path, look: impl Fn(&Archive) -> Result<T>) -> Result<(Archive, T)> {
    let archive = open(path)?;
    match look(&archive) {
        Err(e) if is_damage(&e) => {
            let archive = archive.checked()?;
            let found = look(&archive)?;
            Ok((archive, found))
        }
        found => Ok((archive, found?)),
    }
}

/// The archive for going through its list of entries.
///
/// # Errors
/// Those of [`find`].
pub fn open_list(path: &Path) -> Result<Archive> {
    find(path, |archive| archive.entries().try_for_each(|entry| entry.map(drop))).map(|(archive, ())| archive)
}

/// The file of this path, or that a hard link of this path stands for: its path and content.
///
/// # Errors
/// Those of [`Archive::entry`].
pub fn file(archive: &Archive, path: &[u8]) -> Result<Option<(Vec<u8>, FileBody)>> {
    let file = |entry: Option<Entry>| match entry {
        Some(Entry { body: Body::File(file), path, .. }) => Some((path, file)),
        _ => None,
    };
    match archive.entry(path)? {
        Some(Entry { body: Body::HardLink { target }, .. }) => archive.entry(&target).map(file),
        found => Ok(file(found)),
    }
}

/// A path as the user gave it, without the slashes that a shell adds to folders.
pub fn path(given: &OsStr) -> Vec<u8> {
    let bytes = given.as_bytes();
    let len = bytes.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    bytes[..len].to_vec()
}
