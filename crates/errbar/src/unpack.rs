//! Unpacking: decode, prove, write under no name, set what the file system should say, name.

mod attributes;

use std::collections::{HashMap, HashSet};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use errbar_format::record::{Attributes, Body, Entry, FileBody};
use errbar_format::{Error, Kind, Result, path};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::archive::{Archive, BlockSource, Content, Direct, Piece, check_hash};
use crate::atomic::{AtomicFile, Existing, os};
use crate::folders::{Folders, Missing, split};
use crate::pack::{Progress, ProgressFn};
use attributes::Restorer;

/// What unpacking did.
#[derive(Debug, Default)]
pub struct UnpackReport {
    /// Entries restored.
    pub n_entries: u64,
    /// Regular files among them.
    pub n_files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Entries that were not restored, and why.
    pub problems: Vec<Error>,
    /// Entries that were restored but for something that the file system says of them.
    pub notes: Vec<Error>,
}

/// Restores archives, whole or in part.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let (tree, out) = (dir.path().join("tree"), dir.path().join("out"));
/// # std::fs::create_dir(&tree)?;
/// # std::fs::write(tree.join("notes.txt"), "every byte comes back")?;
/// # let mut bytes = Vec::new();
/// # errbar::Packer::new().pack(&tree, &mut bytes)?;
/// let archive = errbar::Archive::from_bytes(bytes)?.checked()?;
/// let report = errbar::Unpacker::new().unpack(&archive, &out)?;
/// assert!(report.problems.is_empty());
/// assert_eq!(std::fs::read(out.join("notes.txt"))?, b"every byte comes back");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Unpacker {
    threads: usize,
    keep_going: bool,
    replace: bool,
    privileged: bool,
    paths: Vec<Vec<u8>>,
    progress: Option<ProgressFn>,
    cancel: Arc<AtomicBool>,
}

impl Unpacker {
    /// Everything, one thread a processor, nothing replaced, stopping at the first damage.
    pub fn new() -> Unpacker {
        Unpacker::default()
    }

    /// Threads to decode with; 0: one a processor.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Unpacker {
        self.threads = threads;
        self
    }

    /// Goes on after damage and restores whatever does not need it.
    #[must_use]
    pub fn keep_going(mut self, keep_going: bool) -> Unpacker {
        self.keep_going = keep_going;
        self
    }

    /// Replaces files that stand in the way. Folders are never replaced.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Unpacker {
        self.replace = replace;
        self
    }

    /// Also restores owners, set-id bits and attributes that only the system may set.
    #[must_use]
    pub fn privileged(mut self, privileged: bool) -> Unpacker {
        self.privileged = privileged;
        self
    }

    /// Restores only these entries and what lies below them; none: everything.
    #[must_use]
    pub fn paths(mut self, paths: Vec<Vec<u8>>) -> Unpacker {
        self.paths = paths;
        self
    }

    /// Calls `progress` after every entry and piece.
    #[must_use]
    pub fn progress(mut self, progress: ProgressFn) -> Unpacker {
        self.progress = Some(progress);
        self
    }

    /// Gives up, leaving no unfinished file, once `cancel` is set.
    #[must_use]
    pub fn cancel(mut self, cancel: Arc<AtomicBool>) -> Unpacker {
        self.cancel = cancel;
        self
    }

    /// Restores an archive that was [checked](Archive::checked) below `out`, which is made if it
    /// is not there. Files appear under their names only when their hashes are right.
    ///
    /// # Errors
    /// [`Kind::Io`] if `out` cannot be made or opened, [`Kind::Corrupt`] if the archive is damaged
    /// and nobody asked to go on. What concerns single entries is in the report.
    pub fn unpack(&self, archive: &Archive, out: &Path) -> Result<UnpackReport> {
        if let Some(damage) = archive.damage().first().filter(|_| !self.keep_going) {
            let what = format!("the archive is damaged; nothing was restored: {damage}");
            return Err(Error::new(Kind::Corrupt, what).advise("--keep-going restores what is left"));
        }
        let named = |doing: &str| format!("{doing} '{}'", path::display(out.as_os_str().as_encoded_bytes()));
        std::fs::create_dir_all(out).map_err(|e| Error::io(named("cannot make"), e))?;
        let folders = Folders::new(out).map_err(|e| Error::io(named("cannot open"), e))?;
        let mut run = Run {
            unpacker: self,
            archive,
            folders,
            restorer: Restorer::new(self.privileged),
            new_folders: HashSet::new(),
            targets: HashMap::new(),
            found: vec![false; self.paths.len()],
            report: UnpackReport::default(),
            progress: Progress { bytes_total: archive.used_bytes(), ..Progress::default() },
        };
        let whole = run.links_ahead().and_then(|()| run.files()).and_then(|()| run.hard_links()).and_then(|()| run.finish_folders());
        match whole {
            Err(e) if e.kind == Kind::Io && self.cancel.load(Ordering::Relaxed) => return Err(e),
            Err(e) => run.report.problems.push(e),
            Ok(()) => {}
        }
        for (path, _) in self.paths.iter().zip(&run.found).filter(|(_, found)| !**found) {
            run.report.problems.push(Error::new(Kind::Differs, "no such entry in the archive").in_entry(path));
        }
        Ok(run.report)
    }
}

type PathHash = [u8; 32];

fn hash_of(path: &[u8]) -> PathHash {
    *blake3::hash(path).as_bytes()
}

/// What became of a file that hard links name.
#[derive(Clone)]
enum Target {
    /// It was not asked for, or not met yet.
    Absent,
    /// It was restored here.
    Placed { path: Vec<u8>, device: u64, inode: u64 },
    /// It could not be restored.
    Failed(Kind),
}

struct Run<'a> {
    unpacker: &'a Unpacker,
    archive: &'a Archive,
    folders: Folders,
    restorer: Restorer,
    /// Folders made in this run, by the hash of their paths.
    new_folders: HashSet<PathHash>,
    /// Files that hard links name, by the hash of their paths.
    targets: HashMap<PathHash, Target>,
    /// Which of the paths asked for were seen.
    found: Vec<bool>,
    report: UnpackReport,
    progress: Progress,
}

/// Whether one of the paths asked for covers `path`.
fn is_wanted(paths: &[Vec<u8>], path: &[u8]) -> bool {
    paths.is_empty() || paths.iter().any(|wanted| path::is_within(path, wanted))
}

impl Run<'_> {
    fn problem(&mut self, e: Error, path: &[u8]) -> Result<()> {
        let damage = matches!(e.kind, Kind::Corrupt | Kind::Truncated);
        self.report.problems.push(e.in_entry(path));
        self.check_cancel()?;
        match damage && !self.unpacker.keep_going {
            true => Err(Error::new(Kind::Corrupt, "stopped at the first damage; what follows it was not restored")
                .advise("--keep-going restores the rest")),
            false => Ok(()),
        }
    }

    fn check_cancel(&self) -> Result<()> {
        match self.unpacker.cancel.load(Ordering::Relaxed) {
            true => Err(Error::new(Kind::Io, "interrupted")),
            false => Ok(()),
        }
    }

    fn tick(&mut self, path: &[u8], bytes: u64) {
        if let Some(progress) = &self.unpacker.progress {
            self.progress.bytes_done += bytes;
            if self.progress.path != path {
                self.progress.path = path.to_vec();
            }
            progress(&self.progress);
        }
    }

    /// Notes which files hard links will need.
    fn links_ahead(&mut self) -> Result<()> {
        for entry in self.archive.entries() {
            if let Body::HardLink { target } = &entry?.body {
                self.targets.insert(hash_of(target), Target::Absent);
            }
        }
        Ok(())
    }

    /// Everything but hard links.
    fn files(&mut self) -> Result<()> {
        let paths = &self.unpacker.paths;
        let mut content = Content::new(self.archive, self.unpacker.threads, |entry: &Entry| is_wanted(paths, &entry.path))?;
        while let Some(entry) = content.next_entry()? {
            self.check_cancel()?;
            for (path, found) in paths.iter().zip(&mut self.found) {
                *found |= path::is_within(&entry.path, path);
            }
            let result = match &entry.body {
                Body::Directory => self.folder(&entry),
                Body::Symlink { target } => self.symlink(&entry, target),
                Body::File(file) => self.file(&entry, file, &entry.path, entry.attributes.as_ref(), &mut content),
                Body::HardLink { .. } => continue,
            };
            match result {
                Ok(()) => self.report.n_entries += 1,
                Err(e) => {
                    if let Some(target) = self.targets.get_mut(&hash_of(&entry.path)) {
                        *target = Target::Failed(e.kind);
                    }
                    self.problem(e, &entry.path)?;
                }
            }
            self.tick(&entry.path, 0);
        }
        Ok(())
    }

    fn folder(&mut self, entry: &Entry) -> Result<()> {
        let new = self.folders.create(&entry.path).map_err(|e| Error::io("cannot make the folder", e))?;
        if new {
            self.new_folders.insert(hash_of(&entry.path));
        }
        Ok(())
    }

    fn symlink(&mut self, entry: &Entry, target: &[u8]) -> Result<()> {
        let fail = |e: io::Error| Error::io("cannot make the link", e);
        let (above, name) = split(&entry.path);
        let above = self.folders.open(above, Missing::Create).map_err(fail)?;
        let name = os(name);
        let make = |name: &std::ffi::OsStr| rustix::fs::symlinkat(&*os(target), above, name);
        match make(&name) {
            Err(rustix::io::Errno::EXIST) if self.unpacker.replace => {
                let temporary = crate::atomic::temporary_name(0);
                make(&temporary).map_err(|e| fail(e.into()))?;
                if let Err(e) = rustix::fs::renameat(above, &*temporary, above, &*name) {
                    // The name may be gone already; there is nothing better to say than the first error.
                    let _ = rustix::fs::unlinkat(above, &*temporary, AtFlags::empty());
                    return Err(fail(e.into()));
                }
            }
            result => result.map_err(|e| exists(fail, e.into()))?,
        }
        if let Some(attributes) = &entry.attributes {
            let failures = self.restorer.link(above, &name, attributes);
            self.note(failures, &entry.path);
        }
        Ok(())
    }

    fn note(&mut self, failures: Vec<Error>, path: &[u8]) {
        self.report.notes.extend(failures.into_iter().map(|e| e.in_entry(path)));
    }

    /// Writes the content of `entry` to `path`.
    fn file(
        &mut self,
        entry: &Entry,
        file: &FileBody,
        path: &[u8],
        attributes: Option<&Attributes>,
        blocks: &mut dyn BlockSource,
    ) -> Result<()> {
        let fail = |e: io::Error| Error::io("cannot write the file", e);
        let (above, name) = split(path);
        let above = self.folders.open(above, Missing::Create).map_err(fail)?;
        let existing = if self.unpacker.replace { Existing::Replace } else { Existing::Keep };
        // Told before the work is done, and settled when the name is given.
        if existing == Existing::Keep && rustix::fs::statat(above, &*os(name), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(exists(fail, io::ErrorKind::AlreadyExists.into()));
        }
        let out = AtomicFile::create(above).map_err(fail)?;
        let mut hasher = blake3::Hasher::new();
        let mut sink = out.file();
        self.archive.content(entry, file, blocks, &mut |piece| {
            self.check_cancel()?;
            match piece {
                Piece::Bytes(bytes, _) => {
                    hasher.update(bytes);
                    sink.write_all(bytes).map_err(fail)
                }
                Piece::Hole(length) => {
                    let length = i64::try_from(length).map_err(io::Error::other).map_err(fail)?;
                    sink.seek(SeekFrom::Current(length)).map(|_| ()).map_err(fail)
                }
            }
        })?;
        check_hash(file, &hasher)?;
        // A hole at the end is not there until the length is set.
        if sink.stream_position().map_err(fail)? != sink.metadata().map_err(fail)?.len() {
            sink.set_len(file.size).map_err(fail)?;
        }
        let failures = attributes.map(|attributes| self.restorer.opened(sink.as_fd(), attributes)).unwrap_or_default();
        let target = self.targets.get_mut(&hash_of(&entry.path));
        let metadata = target.as_ref().map(|_| sink.metadata()).transpose().map_err(fail)?;
        out.commit(&os(name), existing).map_err(|e| exists(fail, e))?;
        if let (Some(target), Some(m)) = (target, metadata) {
            *target = Target::Placed { path: path.to_vec(), device: m.dev(), inode: m.ino() };
        }
        self.note(failures, path);
        self.report.n_files += 1;
        self.report.bytes += file.size;
        self.progress.files_done += 1;
        self.tick(path, file.size);
        Ok(())
    }

    /// Hard links, when everything they can name is there.
    fn hard_links(&mut self) -> Result<()> {
        if self.targets.is_empty() {
            return Ok(());
        }
        for entry in self.archive.entries() {
            let entry = entry?;
            let Body::HardLink { target } = &entry.body else { continue };
            if !is_wanted(&self.unpacker.paths, &entry.path) {
                continue;
            }
            for (path, found) in self.unpacker.paths.iter().zip(&mut self.found) {
                *found |= path::is_within(&entry.path, path);
            }
            self.check_cancel()?;
            match self.hard_link(&entry.path, target) {
                Ok(()) => self.report.n_entries += 1,
                Err(e) => self.problem(e, &entry.path)?,
            }
        }
        Ok(())
    }

    fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let lost = |kind| Error::new(kind, format!("the file it is a hard link to, '{}', was not restored", path::display(target)));
        match self.targets.get(&hash_of(target)).cloned() {
            Some(Target::Placed { path: placed, device, inode }) => self.link_to(path, &placed, (device, inode)),
            Some(Target::Failed(kind)) => Err(lost(kind)),
            // The file itself was not asked for, or is lost: its first name asked for becomes one.
            _ => {
                let entry = self.archive.entry(target)?.ok_or_else(|| lost(Kind::Corrupt))?;
                let Body::File(file) = &entry.body else { return Err(lost(Kind::Refused)) };
                self.file(&entry, file, path, entry.attributes.as_ref(), &mut Direct::new(self.archive))
            }
        }
    }

    /// Links to a file of this run: whatever else may have its name by now is not linked to.
    fn link_to(&mut self, path: &[u8], placed: &[u8], identity: (u64, u64)) -> Result<()> {
        let fail = |e: io::Error| Error::io("cannot make the hard link", e);
        let (above, name) = split(placed);
        let above = self.folders.open(above, Missing::Fail).map_err(fail)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(above, &*os(name), flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        let stat = rustix::fs::fstat(&file).map_err(|e| fail(e.into()))?;
        if (stat.st_dev, stat.st_ino) != identity {
            return Err(Error::new(Kind::Refused, "the file it is a hard link to was exchanged meanwhile"));
        }
        let (above, name) = split(path);
        let above = self.folders.open(above, Missing::Create).map_err(fail)?;
        let existing = if self.unpacker.replace { Existing::Replace } else { Existing::Keep };
        crate::atomic::link(file.as_fd(), above, &os(name), existing).map_err(|e| exists(fail, e))
    }

    /// Modes and times of folders, each after everything below it. Folders that were there before
    /// keep theirs, unless things are to be replaced.
    fn finish_folders(&mut self) -> Result<()> {
        let mut open: Vec<(usize, Option<Attributes>)> = Vec::new();
        let mut current: Vec<u8> = Vec::new();
        for entry in self.archive.entries() {
            let entry = entry?;
            if !matches!(entry.body, Body::Directory) || !is_wanted(&self.unpacker.paths, &entry.path) {
                continue;
            }
            while let Some((len, _)) = open.last() {
                if path::is_within(&entry.path, &current[..*len]) {
                    break;
                }
                self.finish_folder(&current, open.pop());
            }
            let ours = self.new_folders.contains(&hash_of(&entry.path)) || self.unpacker.replace;
            open.push((entry.path.len(), entry.attributes.filter(|_| ours)));
            current = entry.path;
        }
        while let Some(last) = open.pop() {
            self.finish_folder(&current, Some(last));
        }
        Ok(())
    }

    fn finish_folder(&mut self, current: &[u8], folder: Option<(usize, Option<Attributes>)>) {
        let Some((len, Some(attributes))) = folder else { return };
        let path = &current[..len];
        let failures = match self.folders.open(path, Missing::Fail) {
            Ok(folder) => self.restorer.opened(folder, &attributes),
            // Its making failed before, and was reported.
            Err(_) => Vec::new(),
        };
        self.note(failures, path);
    }
}

fn exists(fail: impl Fn(io::Error) -> Error, e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::AlreadyExists => Error::new(Kind::Refused, "something stands there already").advise("--force replaces files"),
        _ => fail(e),
    }
}
