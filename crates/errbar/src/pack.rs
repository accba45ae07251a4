//! Packing: walk, read, dissect, plan, code, prove, write.

mod blocks;
mod chunks;
mod file;
pub(crate) mod gather;
mod judge;
mod lines;
mod load;
mod overlay;
mod plan;
mod refit;
mod restore;
mod scanlines;
mod scattered;
mod siblings;
mod spool;
mod stream;
mod twins;
mod units;

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use errbar_codec::Registry;
use errbar_format::record::{Body, Bound, Entry, Meta, RECORD_VERSION, Receipt, Tail};
use errbar_format::{DType, Error, Hash, Kind, Result};

use crate::atomic::{AtomicFile, EarlyFlush, Existing, parent};
use crate::parallel::Pool;
use crate::planner::{CorePlanner, Planner, Reason};
use crate::policy::{Mode, Policy};
use crate::source::{self, Found, Named, Names};
use blocks::Blocks;
pub(crate) use blocks::{Fate, Job, code};
pub(crate) use chunks::{ChunkReader, places};
pub(crate) use file::{record_bytes, variable};
pub(crate) use load::unreadable;
use load::{Batch, Item, Loader};
pub use plan::Planned;
pub(crate) use scattered::columns;
pub(crate) use spool::{Spool, Spooled, block_len};

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files finished.
    pub files_done: u64,
    /// Bytes read.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// The entry at work.
    pub path: Vec<u8>,
}

/// Called now and then during a long run, on the thread that started it.
pub type ProgressFn = Arc<dyn Fn(&Progress) + Send + Sync>;

/// What became of one variable that was stored under a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct VariableReport {
    /// Path of its entry.
    pub path: Vec<u8>,
    /// Its name in the entry; may be empty.
    pub name: String,
    /// Type of an element.
    pub dtype: DType,
    /// Extent along each dimension, in the order in which the file's own readers index it.
    pub shape: Vec<u64>,
    /// What was asked.
    pub bounds: Vec<Bound>,
    /// What was found by decoding; nothing where the variable was kept exact.
    pub receipt: Option<Receipt>,
    /// Bytes before coding.
    pub raw_bytes: u64,
    /// Bytes of its block frames.
    pub coded_bytes: u64,
    /// The stages of its first block.
    pub pipeline: String,
    /// Why its first block for which there was a choice has its stages.
    pub reason: Option<Reason>,
}

/// What packing did.
#[derive(Debug, Default)]
pub struct PackReport {
    /// Entries stored.
    pub n_entries: u64,
    /// Regular files among them.
    pub n_files: u64,
    /// Bytes of these files.
    pub raw_bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// The variables that a bound was asked for, in path order.
    pub variables: Vec<VariableReport>,
    /// Entries that are not in the archive because they could not be read, and why.
    pub problems: Vec<Error>,
    /// FIFOs, sockets and devices, which are never packed.
    pub skipped: Vec<Error>,
    /// BLAKE3 of the TAIL record: it proves everything in the archive.
    pub root_hash: Hash,
}

/// Packs directories.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let (tree, archive) = (dir.path().join("tree"), dir.path().join("tree.eba"));
/// std::fs::create_dir(&tree)?;
/// std::fs::write(tree.join("notes.txt"), "every byte comes back")?;
///
/// let report = errbar::Packer::new().pack_to_file(&tree, &archive, false)?;
/// assert!(report.problems.is_empty());
///
/// let archive = errbar::Archive::open(&archive)?;
/// assert_eq!(archive.read_file(b"notes.txt")?, b"every byte comes back");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Packer {
    registry: Arc<Registry>,
    planner: Arc<dyn Planner>,
    policy: Arc<Policy>,
    mode: Mode,
    threads: usize,
    items: Vec<(String, String)>,
    documents: Vec<(String, Vec<u8>)>,
    progress: Option<ProgressFn>,
    cancel: Arc<AtomicBool>,
}

impl Default for Packer {
    fn default() -> Self {
        Packer::new()
    }
}

impl Packer {
    /// Lossless, balanced, one thread a processor, errbar's own stages.
    pub fn new() -> Packer {
        Packer {
            registry: Arc::new(Registry::core()),
            planner: Arc::new(CorePlanner),
            policy: Arc::new(Policy::lossless()),
            mode: Mode::default(),
            threads: 0,
            items: Vec::new(),
            documents: Vec::new(),
            progress: None,
            cancel: Arc::default(),
        }
    }

    /// Uses these stages.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Packer {
        self.registry = Arc::new(registry);
        self
    }

    /// Lets `planner` propose the pipelines.
    #[must_use]
    pub fn planner(mut self, planner: impl Planner + 'static) -> Packer {
        self.planner = Arc::new(planner);
        self
    }

    /// Gives variables the bounds and modes that `policy` says.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Packer {
        self.policy = Arc::new(policy);
        self
    }

    /// Effort where no rule says otherwise.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Packer {
        self.mode = mode;
        self
    }

    /// Threads to code with; 0: one a processor. The archive does not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Packer {
        self.threads = threads;
        self
    }

    /// Records something about the data: creator, licence, DOI.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Packer {
        self.items.push((key.into(), value.into()));
        self
    }

    /// Embeds a text, such as the specification, at most 16 MiB.
    #[must_use]
    pub fn document(mut self, name: impl Into<String>, text: impl Into<Vec<u8>>) -> Packer {
        self.documents.push((name.into(), text.into()));
        self
    }

    /// Calls `progress` after every file and block.
    #[must_use]
    pub fn progress(mut self, progress: ProgressFn) -> Packer {
        self.progress = Some(progress);
        self
    }

    /// Gives up, leaving nothing behind, once `cancel` is set.
    #[must_use]
    pub fn cancel(mut self, cancel: Arc<AtomicBool>) -> Packer {
        self.cancel = cancel;
        self
    }

    /// What each variable of a tree would get: bound, rule and mode, nothing written. A target is
    /// searched for as in earnest, which codes its variable several times.
    ///
    /// # Errors
    /// [`Kind::Io`] if the root cannot be listed; what fails below it is in the problems.
    pub fn dry_run(&self, root: &Path) -> Result<(Vec<Planned>, Vec<Error>)> {
        check_root(root)?;
        let pool = Pool::new(self.threads)?;
        let (mut planned, mut problems) = (Vec::new(), Vec::new());
        for found in source::walk(root) {
            let result = found.and_then(|found| plan::plan(self, &pool, &found, &mut planned));
            problems.extend(result.err());
        }
        Ok((planned, problems))
    }

    /// Packs the tree under `root` to `out`, front to back. Paths are stored relative to `root`.
    /// Entries that cannot be read are left out and listed in the report.
    ///
    /// # Errors
    /// [`Kind::Io`] if `root` cannot be listed or `out` not written.
    pub fn pack(&self, root: &Path, out: impl Write) -> Result<PackReport> {
        let (_, report) = self.run(root, out, None)?;
        Ok(report)
    }

    /// Packs to a file that appears under its name only when it is whole and on the disk.
    ///
    /// # Errors
    /// As [`Packer::pack`]; [`Kind::Refused`] if the file exists and `replace` is not set.
    pub fn pack_to_file(&self, root: &Path, archive: &Path, replace: bool) -> Result<PackReport> {
        let fail = |doing: &str| {
            let doing = format!("{doing} '{}'", errbar_format::path::display(archive.as_os_str().as_bytes()));
            move |e| Error::io(doing, e)
        };
        check_root(root)?;
        let old = archive.symlink_metadata().ok();
        let taken = || {
            Error::new(Kind::Refused, format!("'{}' exists already", errbar_format::path::display(archive.as_os_str().as_bytes())))
                .advise("choose another name, or replace it with --force")
        };
        if old.as_ref().is_some_and(std::fs::Metadata::is_dir) || (old.is_some() && !replace) {
            return Err(taken());
        }
        let (folder, name) = parent(archive).map_err(fail("cannot write to the folder of"))?;
        let file = AtomicFile::create(folder.as_fd()).map_err(fail("cannot create"))?;
        let own = old.map(|m| (m.dev(), m.ino()));
        let (out, report) = self.run(root, BufWriter::with_capacity(1 << 20, EarlyFlush::new(file.file())), own)?;
        drop(out);
        self.check_cancel()?;
        file.file().sync_all().map_err(fail("cannot write"))?;
        let existing = if replace { Existing::Replace } else { Existing::Keep };
        file.commit(&name, existing).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => taken(),
            _ => fail("cannot name")(e),
        })?;
        rustix::fs::fsync(&folder).map_err(|e| fail("cannot write the folder of")(e.into()))?;
        Ok(report)
    }

    fn check_cancel(&self) -> Result<()> {
        match self.cancel.load(Ordering::Relaxed) {
            true => Err(Error::new(Kind::Io, "interrupted")),
            false => Ok(()),
        }
    }

    fn run<W: Write>(&self, root: &Path, out: W, own: Option<(u64, u64)>) -> Result<(W, PackReport)> {
        check_root(root)?;
        let policy = self.policy.to_string();
        let mut outline = source::outline(root, &format!("{}\n{policy}\n{:?}", self.mode.word(), self.items));
        let meta = Meta {
            version: RECORD_VERSION,
            writer: concat!("errbar ", env!("CARGO_PKG_VERSION")).into(),
            mode: self.mode.word().into(),
            policy,
            items: self.items.clone(),
            extensions: Vec::new(),
        };
        let mut writer = crate::write::Writer::new(out, outline.id, self.policy.is_lossy(), meta)?;
        for (name, text) in &self.documents {
            writer.document(name, text)?;
        }
        let pool = Pool::new(self.threads)?;
        let mut loader = Loader::new(&pool, &self.policy, self.mode);
        let mut run = Run {
            packer: self,
            pool: pool.clone(),
            blocks: Blocks::new(writer, Arc::clone(&self.registry), Arc::clone(&self.planner), &pool),
            names: Names::default(),
            links: HashMap::new(),
            progress: Progress { bytes_total: outline.bytes, ..Progress::default() },
            report: PackReport::default(),
        };
        let is_own = |found: &Found| own.is_some_and(|own| own == (found.metadata.dev(), found.metadata.ino()));
        for found in outline.walk(root).filter(|found| !found.as_ref().is_ok_and(is_own)) {
            if let Some(batch) = loader.push(found)? {
                run.batch(batch)?;
            }
        }
        while let Some(batch) = loader.next()? {
            run.batch(batch)?;
        }
        run.finish()
    }
}

fn check_root(root: &Path) -> Result<()> {
    let named = |doing: &str| format!("{doing} '{}'", errbar_format::path::display(root.as_os_str().as_bytes()));
    let metadata = root.metadata().map_err(|e| Error::io(named("cannot read"), e))?;
    if metadata.is_dir() {
        std::fs::read_dir(root).map_err(|e| Error::io(named("cannot list"), e))?;
    }
    Ok(())
}

/// One packing in progress.
struct Run<'a, W: Write> {
    packer: &'a Packer,
    pool: Pool,
    blocks: Blocks<W>,
    names: Names,
    /// First path of every file with several names, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    progress: Progress,
    report: PackReport,
}

impl<W: Write> Run<'_, W> {
    /// Packs entries; what is wrong with one is a problem, what is wrong with the output an error.
    fn batch(&mut self, batch: Batch) -> Result<()> {
        for item in batch.items {
            self.packer.check_cancel()?;
            match item {
                Item::Small(found, small) => {
                    let attributes = self.names.with_xattrs(&small.metadata, small.xattrs);
                    let bytes = &batch.bytes[small.range];
                    self.progress.path.clone_from(&found.path);
                    self.progress.bytes_done += bytes.len() as u64;
                    self.blocks.push_small(found.path, attributes, bytes, small.mode)?;
                    self.count_file(bytes.len() as u64);
                    self.file_done();
                }
                Item::Failed(found, problem) => {
                    self.report.problems.push(problem.in_entry(&found.path));
                    self.progress.path = found.path;
                    self.file_done();
                }
                Item::Other(Ok(found)) => self.entry(&found)?,
                Item::Other(Err(error)) => self.report.problems.push(error),
            }
        }
        Ok(())
    }

    fn count_file(&mut self, len: u64) {
        self.report.n_entries += 1;
        self.report.n_files += 1;
        self.report.raw_bytes += len;
    }

    fn file_done(&mut self) {
        self.progress.files_done += 1;
        self.tick();
    }

    fn entry(&mut self, found: &Found) -> Result<()> {
        self.progress.path.clone_from(&found.path);
        match self.describe(found) {
            Ok(Some(entry)) => {
                self.blocks.push_entry(entry)?;
                self.report.n_entries += 1;
            }
            Ok(None) if found.metadata.is_file() => match file::pack(self, found)? {
                Ok(()) => {
                    self.count_file(found.metadata.len());
                    if found.metadata.nlink() > 1 {
                        self.links.insert((found.metadata.dev(), found.metadata.ino()), found.path.clone());
                    }
                }
                Err(problem) => self.report.problems.push(problem.in_entry(&found.path)),
            },
            Ok(None) => {
                let what = format!("{} is not packed", source::special_word(&found.metadata));
                self.report.skipped.push(Error::new(Kind::Refused, what).in_entry(&found.path));
            }
            Err(problem) => self.report.problems.push(problem.in_entry(&found.path)),
        }
        match found.metadata.is_file() {
            true => self.file_done(),
            false => self.tick(),
        }
        Ok(())
    }

    fn tick(&self) {
        if let Some(progress) = &self.packer.progress {
            progress(&self.progress);
        }
    }

    /// The entry, if it needs no content.
    fn describe(&mut self, found: &Found) -> Result<Option<Entry>> {
        errbar_format::path::check(&found.path)?;
        let m = &found.metadata;
        let body = if m.is_dir() {
            Body::Directory
        } else if m.is_symlink() {
            let target = std::fs::read_link(&found.place).map_err(|e| Error::io("link cannot be read", e))?;
            Body::Symlink { target: target.into_os_string().into_encoded_bytes() }
        } else if let Some(first) = self.links.get(&(m.dev(), m.ino())).filter(|_| m.is_file() && m.nlink() > 1) {
            let target = first.clone();
            return Ok(Some(Entry { path: found.path.clone(), body: Body::HardLink { target }, attributes: None, extensions: Vec::new() }));
        } else {
            return Ok(None);
        };
        let attributes = Some(self.names.attributes(Named::Place(&found.place), m)?);
        Ok(Some(Entry { path: found.path.clone(), body, attributes, extensions: Vec::new() }))
    }

    fn finish(mut self) -> Result<(W, PackReport)> {
        let (out, tail, archive_bytes, mut variables) = self.blocks.finish()?;
        variables.sort_by(|a, b| errbar_format::path::compare(&a.path, &b.path));
        self.report.variables = variables;
        self.report.archive_bytes = archive_bytes;
        self.report.root_hash = root_hash(&tail)?;
        Ok((out, self.report))
    }
}

/// The hash that proves everything in an archive.
pub(crate) fn root_hash(tail: &Tail) -> Result<Hash> {
    Ok(*blake3::hash(&errbar_format::record::encode(tail)?).as_bytes())
}
