//! Comparing an archive with a tree of files or with another archive.

mod scattered;

use std::cmp::Ordering;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};

use errbar_codec::check::{self, Limit, Tolerance};
use errbar_codec::{DType, Values};
use errbar_dissect::ReadAt;
use errbar_format::record::{Attributes, Body, Bound, Entry, FileBody, Receipt, Variable};
use errbar_format::{Error, Kind, Result, path};

use crate::archive::{Archive, BlockSource, Content, Piece, check_hash};
use crate::pack::{Progress, ProgressFn};
use crate::range::{Squares, Survey};
use crate::source::{self, Found};
use crate::target;
use scattered::{Scattered, compare_records};

/// Values compared at once.
const CHUNK: usize = 16 << 20;

/// How a variable of the archive differs from the original's values.
#[derive(Clone, Debug, PartialEq)]
pub struct VariableComparison {
    /// Path of its entry.
    pub path: Vec<u8>,
    /// Its name in the entry; may be empty.
    pub name: String,
    /// Type of an element.
    pub dtype: DType,
    /// Extent along each dimension, in the order in which the file's own readers index it.
    pub shape: Vec<u64>,
    /// The bounds it was stored under; none: exact.
    pub bounds: Vec<Bound>,
    /// What these come to for the original's values; nothing: exact.
    pub limit: Option<Limit>,
    /// Largest `|x - x'|` over the finite words, rounded up.
    pub max_error: f64,
    /// Root of the mean of `(x - x')²` over the finite words.
    pub rms_error: f64,
    /// `20 log10(range / rms error)` in decibels, missing values left out; infinite where nothing
    /// differs.
    pub psnr: f64,
    /// `10 log10(sum of x² / sum of (x - x')²)` in decibels, missing values left out; infinite where
    /// nothing differs.
    pub sqnr: f64,
    /// Words outside the limit, and missing or non-finite ones that are not what they were.
    pub violations: u64,
}

/// What comparing found.
#[derive(Debug, Default)]
pub struct CompareReport {
    /// Regular files compared.
    pub n_files: u64,
    /// What differs, one item a difference, [`Kind::Differs`] if not worse.
    pub differences: Vec<Error>,
    /// The floating-point variables that differ or were stored under a bound.
    pub variables: Vec<VariableComparison>,
}

/// Compares archives with trees and with each other.
#[derive(Default)]
pub struct Comparer {
    threads: usize,
    bounds: bool,
    progress: Option<ProgressFn>,
    cancel: Arc<AtomicBool>,
}

impl Comparer {
    /// Every difference counts.
    pub fn new() -> Comparer {
        Comparer::default()
    }

    /// Threads to decode with; 0: one a processor.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Comparer {
        self.threads = threads;
        self
    }

    /// Whether values within the bound that a variable was stored under count as equal.
    #[must_use]
    pub fn bounds(mut self, bounds: bool) -> Comparer {
        self.bounds = bounds;
        self
    }

    /// Calls `progress` after every file.
    #[must_use]
    pub fn progress(mut self, progress: ProgressFn) -> Comparer {
        self.progress = Some(progress);
        self
    }

    /// Gives up once `cancel` is set.
    #[must_use]
    pub fn cancel(mut self, cancel: Arc<AtomicBool>) -> Comparer {
        self.cancel = cancel;
        self
    }

    /// Compares an archive with the tree below `root`: contents, modes, times and links.
    ///
    /// # Errors
    /// [`Kind::Io`] if the tree or the archive cannot be read at all.
    pub fn tree(&self, archive: &Archive, root: &Path) -> Result<CompareReport> {
        root.metadata().map_err(|e| Error::io(format!("cannot read '{}'", path::display(root.as_os_str().as_encoded_bytes())), e))?;
        let single = !root.is_dir();
        let base = if single { root.parent().unwrap_or(Path::new("")) } else { root };
        self.run(archive, &mut source::walk(root).map(|found| found.map(Other::Found)), &Side::Tree(base.to_path_buf()))
    }

    /// Compares two archives.
    ///
    /// # Errors
    /// [`Kind::Io`] if one cannot be read at all.
    pub fn archives(&self, ours: &Archive, theirs: &Archive) -> Result<CompareReport> {
        self.run(ours, &mut theirs.entries().map(|entry| entry.map(Other::Entry)), &Side::Archive(theirs))
    }

    fn run(&self, archive: &Archive, others: &mut dyn Iterator<Item = Result<Other>>, side: &Side<'_>) -> Result<CompareReport> {
        let mut report = CompareReport::default();
        report.differences.extend(archive.damage().iter().map(|e| Error::new(Kind::Corrupt, format!("the archive is damaged: {e}"))));
        let mut progress = Progress { bytes_total: archive.used_bytes(), ..Progress::default() };
        let mut content = Content::new(archive, self.threads, |_: &Entry| true)?;
        let (mut ours, mut theirs) = (content.next_entry()?, next(others, &mut report));
        while ours.is_some() || theirs.is_some() {
            if self.cancel.load(Atomic::Relaxed) {
                return Err(Error::new(Kind::Io, "interrupted"));
            }
            let order = match (&ours, &theirs) {
                (Some(ours), Some(theirs)) => path::compare(&ours.path, theirs.path()),
                (Some(_), None) => Ordering::Less,
                _ => Ordering::Greater,
            };
            let (mine, other) = match order {
                Ordering::Less => (ours.take(), None),
                Ordering::Greater => (None, theirs.take()),
                Ordering::Equal => (ours.take(), theirs.take()),
            };
            match (&mine, &other) {
                (Some(entry), Some(other)) => {
                    let result = self.entry(archive, entry, other, side, &mut content, &mut report);
                    report.differences.extend(result.err().map(|e| e.in_entry(&entry.path)));
                    if let Body::File(file) = &entry.body {
                        progress.bytes_done += file.size;
                        progress.files_done += 1;
                    }
                }
                (Some(entry), None) => report.differences.push(differs("is in the archive only").in_entry(&entry.path)),
                (None, Some(other)) if other.is_packable() => {
                    report.differences.push(differs("is not in the archive").in_entry(other.path()))
                }
                _ => {}
            }
            if let Some(tick) = &self.progress {
                tick(&progress);
            }
            if order != Ordering::Greater {
                ours = content.next_entry()?;
            }
            if order != Ordering::Less {
                theirs = next(others, &mut report);
            }
        }
        Ok(report)
    }

    fn entry(
        &self,
        archive: &Archive,
        entry: &Entry,
        other: &Other,
        side: &Side<'_>,
        blocks: &mut dyn BlockSource,
        report: &mut CompareReport,
    ) -> Result<()> {
        if let (Some(mine), Some(other)) = (&entry.attributes, other.attributes()?) {
            if mine.mode != other.mode && !matches!(entry.body, Body::Symlink { .. }) {
                report.differences.push(differs(&format!("mode is {:04o} and {:04o}", mine.mode, other.mode)).in_entry(&entry.path));
            }
            if (mine.mtime_s, mine.mtime_ns) != (other.mtime_s, other.mtime_ns) {
                let time = |a: &Attributes| format!("{}.{:09}", a.mtime_s, a.mtime_ns);
                let what = format!("modification time is {} and {} seconds since 1970", time(mine), time(&other));
                report.differences.push(differs(&what).in_entry(&entry.path));
            }
        }
        let target = |link: &[u8]| format!("'{}'", path::display(link));
        match (&entry.body, other.kind(side)?) {
            (Body::Directory, OtherKind::Directory) => Ok(()),
            (Body::Symlink { target: mine }, OtherKind::Symlink(other)) if *mine == other => Ok(()),
            (Body::Symlink { target: mine }, OtherKind::Symlink(other)) => {
                Err(differs(&format!("link points to {} and {}", target(mine), target(&other))))
            }
            (Body::HardLink { target: mine }, OtherKind::File { .. }) => match other.is_link_to(side, mine)? {
                true => Ok(()),
                false => Err(differs(&format!("is a hard link to {} in the archive only", target(mine)))),
            },
            (Body::File(file), OtherKind::File { hash, open }) => {
                report.n_files += 1;
                if hash.is_some() && hash == Some(archive.hashes_from(entry, file, blocks)?.restored) {
                    return Ok(());
                }
                let other = open()?;
                if ReadAt::size(&other) != file.size {
                    return Err(differs(&format!("size is {} and {} bytes", file.size, ReadAt::size(&other))));
                }
                FileComparison { comparer: self, archive, entry, file, other }.run(blocks, report)
            }
            (mine, other) => Err(differs(&format!("is a {} and a {}", kind_word(mine), other.word()))),
        }
    }
}

fn next(others: &mut dyn Iterator<Item = Result<Other>>, report: &mut CompareReport) -> Option<Other> {
    loop {
        match others.next()? {
            Ok(other) => return Some(other),
            Err(e) => report.differences.push(e),
        }
    }
}

fn differs(what: &str) -> Error {
    Error::new(Kind::Differs, what)
}

fn kind_word(body: &Body) -> &'static str {
    match body {
        Body::File(_) => "file",
        Body::Directory => "directory",
        Body::Symlink { .. } => "symbolic link",
        Body::HardLink { .. } => "hard link",
    }
}

/// What an archive is compared with.
enum Side<'a> {
    Tree(PathBuf),
    Archive(&'a Archive),
}

/// An entry of it.
enum Other {
    Found(Found),
    Entry(Entry),
}

enum OtherKind<'a> {
    Directory,
    Symlink(Vec<u8>),
    HardLink,
    File { hash: Option<errbar_format::Hash>, open: Box<dyn Fn() -> Result<File> + 'a> },
    Special,
}

impl OtherKind<'_> {
    fn word(&self) -> &'static str {
        match self {
            OtherKind::Directory => "directory",
            OtherKind::Symlink(_) => "symbolic link",
            OtherKind::HardLink => "hard link",
            OtherKind::File { .. } => "file",
            OtherKind::Special => "special file",
        }
    }
}

impl Other {
    fn path(&self) -> &[u8] {
        match self {
            Other::Found(found) => &found.path,
            Other::Entry(entry) => &entry.path,
        }
    }

    /// Whether `pack` would store it.
    fn is_packable(&self) -> bool {
        match self {
            Other::Found(found) => found.metadata.is_file() || found.metadata.is_dir() || found.metadata.is_symlink(),
            Other::Entry(_) => true,
        }
    }

    fn attributes(&self) -> Result<Option<Attributes>> {
        Ok(match self {
            Other::Entry(entry) => entry.attributes.clone(),
            Other::Found(found) => {
                let m = &found.metadata;
                Some(Attributes { mode: m.mode() & 0o7777, mtime_s: m.mtime(), mtime_ns: m.mtime_nsec() as u32, ..Attributes::default() })
            }
        })
    }

    fn kind<'a>(&'a self, side: &'a Side<'a>) -> Result<OtherKind<'a>> {
        Ok(match (self, side) {
            (Other::Found(found), _) if found.metadata.is_dir() => OtherKind::Directory,
            (Other::Found(found), _) if found.metadata.is_symlink() => {
                let target = std::fs::read_link(&found.place).map_err(|e| Error::io("link cannot be read", e))?;
                OtherKind::Symlink(target.into_os_string().into_encoded_bytes())
            }
            (Other::Found(found), _) if found.metadata.is_file() => {
                let open = || source::open(&found.place).map(|(file, _)| file).map_err(|e| Error::io("cannot be read", e));
                OtherKind::File { hash: None, open: Box::new(open) }
            }
            (Other::Found(_), _) => OtherKind::Special,
            (Other::Entry(entry), side) => match &entry.body {
                Body::Directory => OtherKind::Directory,
                Body::Symlink { target } => OtherKind::Symlink(target.clone()),
                Body::HardLink { .. } => OtherKind::HardLink,
                Body::File(_) => {
                    let hashes = match side {
                        Side::Archive(archive) => archive.hashes(entry)?,
                        Side::Tree(_) => None,
                    };
                    OtherKind::File { hash: hashes.map(|hashes| hashes.restored), open: Box::new(move || restored(side, &entry.path)) }
                }
            },
        })
    }

    /// Whether it is another name of the file `target`.
    fn is_link_to(&self, side: &Side<'_>, target: &[u8]) -> Result<bool> {
        match (self, side) {
            (Other::Found(found), Side::Tree(root)) => {
                let target = root.join(crate::atomic::os(target)).symlink_metadata();
                Ok(target.is_ok_and(|m| (m.dev(), m.ino()) == (found.metadata.dev(), found.metadata.ino())))
            }
            (Other::Entry(entry), _) => Ok(matches!(&entry.body, Body::HardLink { target: theirs } if theirs == target)),
            _ => Ok(false),
        }
    }
}

/// A file of the other archive, in a file without a name.
fn restored(side: &Side<'_>, path: &[u8]) -> Result<File> {
    let Side::Archive(archive) = side else { return Err(differs("is not in the other archive")) };
    let fail = |e| Error::io("cannot write to the temporary folder", e);
    let mut file = tempfile::tempfile().map_err(fail)?;
    archive.write_file(path, &mut file)?;
    Ok(file)
}

/// One file of the archive against the original.
struct FileComparison<'a> {
    comparer: &'a Comparer,
    archive: &'a Archive,
    entry: &'a Entry,
    file: &'a FileBody,
    other: File,
}

/// What is known of a variable while its rows go by.
struct Running {
    tolerance: Tolerance,
    survey: Survey,
    fill: Vec<u64>,
    squares: Squares,
    words: u64,
    receipt: Option<Receipt>,
    violations: u64,
}

impl FileComparison<'_> {
    fn run(&self, blocks: &mut dyn BlockSource, report: &mut CompareReport) -> Result<()> {
        let mut running: Vec<Option<Running>> = self.file.variables.iter().map(|_| None).collect();
        for (segment, at) in self.file.placed() {
            if let (errbar_format::record::Segment::Variable { index }, Some(at)) = (segment, at) {
                let variable = &self.file.variables[*index as usize];
                running[*index as usize] = self.running(variable, (&self.other, at)).map_err(|e| e.in_variable(&variable.name))?;
            }
        }
        let scattered = Scattered::new(self, &mut running)?;
        let mut hasher = blake3::Hasher::new();
        let (mut at, mut first_difference) = (0, None);
        let mut buffer = Vec::new();
        self.archive.content(self.entry, self.file, blocks, &mut |piece| {
            let (bytes, variable) = match piece {
                Piece::Hole(mut length) => {
                    while length > 0 {
                        let len = length.min(1 << 20);
                        read(&self.other, at, len as usize, &mut buffer)?;
                        if first_difference.is_none() {
                            first_difference = buffer.iter().position(|&byte| byte != 0).map(|i| at + i as u64);
                        }
                        (at, length) = (at + len, length - len);
                    }
                    return Ok(());
                }
                Piece::Bytes(bytes, variable) => (bytes, variable),
            };
            hasher.update(bytes);
            if let Some(fields) = scattered.fields(at) {
                read(&self.other, at, bytes.len(), &mut buffer)?;
                if !compare_records(self, fields, &mut running, (&buffer, bytes))? && first_difference.is_none() {
                    first_difference = difference(&buffer, bytes, at);
                }
                at += bytes.len() as u64;
                return Ok(());
            }
            for chunk in bytes.chunks(CHUNK) {
                read(&self.other, at, chunk.len(), &mut buffer)?;
                scattered.allow(&mut buffer, chunk, at);
                match variable.and_then(|v| Some((&self.file.variables[v], running.get_mut(v)?.as_mut()?))) {
                    Some((variable, running)) => {
                        compare_values(variable, running, &buffer, chunk)?;
                        let counts = !self.comparer.bounds || variable.receipt.is_none();
                        if counts && first_difference.is_none() && buffer != chunk {
                            first_difference = difference(&buffer, chunk, at);
                        }
                    }
                    None if first_difference.is_none() && buffer != chunk => first_difference = difference(&buffer, chunk, at),
                    None => {}
                }
                at += chunk.len() as u64;
            }
            Ok(())
        })?;
        check_hash(self.file, &hasher)?;
        scattered.compare_encoded(self, &mut running)?;
        self.conclude(running, report)?;
        match first_difference {
            Some(at) => Err(differs(&format!("content differs from byte {at} on"))),
            None => Ok(()),
        }
    }

    fn conclude(&self, running: Vec<Option<Running>>, report: &mut CompareReport) -> Result<()> {
        for (variable, running) in self.file.variables.iter().zip(running) {
            let Some(Running { tolerance, survey, squares, receipt: Some(found), violations, .. }) = running else { continue };
            let bounds = variable.receipt.as_ref().map(|receipt| receipt.bounds.clone()).unwrap_or_default();
            let mut differ = |what: String| {
                report.differences.push(differs(&what).in_entry(&self.entry.path).in_variable(&variable.name));
            };
            if !bounds.is_empty() && violations > 0 {
                differ(format!("{violations} values are not within {}", crate::policy::bounds_text(&bounds)));
            }
            let power = survey.power_of(&squares);
            let rms = power.rms_error(&found);
            if let Some(target) = target::of(&bounds)
                && let Some(fault) = target::fault(target, &survey, power, rms, self.ratio(variable)?)
            {
                differ(fault);
            }
            if bounds.is_empty() && found.max_error == 0.0 && violations == 0 {
                continue;
            }
            let is_bounded = !bounds.is_empty();
            report.variables.push(VariableComparison {
                path: self.entry.path.clone(),
                name: variable.name.clone(),
                dtype: variable.dtype,
                shape: variable.index_shape(),
                bounds,
                limit: is_bounded.then_some(tolerance.limit),
                max_error: found.max_error,
                rms_error: found.rms_error,
                psnr: decibels(survey.range(), rms),
                sqnr: decibels(power.rms, rms),
                violations: if is_bounded { violations } else { 0 },
            });
        }
        Ok(())
    }

    /// Bytes of a variable over bytes of its block frames.
    fn ratio(&self, variable: &Variable) -> Result<f64> {
        let mut coded = 0;
        for k in 0..variable.n_blocks().unwrap_or(0) {
            coded += self.archive.find_block(variable.block_number(k))?.frame_len;
        }
        Ok(variable.check()? as f64 / coded.max(1) as f64)
    }

    /// What a variable's values are held to: its bound, worked out from the original's values.
    fn running(&self, variable: &Variable, (original, at): (&dyn ReadAt, u64)) -> Result<Option<Running>> {
        if !variable.dtype.is_float() {
            return Ok(None);
        }
        let mut survey = Survey::new(variable.dtype, variable.big_endian)?;
        let fill = survey.all_passes(original, at, variable.check()?).map_err(|e| Error::io("cannot be read", e))?;
        let tolerance = match &variable.receipt {
            Some(Receipt { bounds, limit, .. }) => {
                // What a target came to is guaranteed as well.
                let found = limit.absolute().filter(|_| target::of(bounds).is_some());
                let nothing = || Tolerance { bounds: bounds.clone(), limit: Limit::Abs(0.0), fill: Vec::new() };
                survey.tolerance(bounds, found, &fill).unwrap_or_else(nothing)
            }
            None => Tolerance { bounds: Vec::new(), limit: Limit::Abs(f64::INFINITY), fill: Vec::new() },
        };
        Ok(Some(Running { tolerance, survey, fill, squares: Squares::default(), words: 0, receipt: None, violations: 0 }))
    }
}

/// `20 log10(signal / error)`.
pub(crate) fn decibels(signal: f64, error: f64) -> f64 {
    if error == 0.0 { f64::INFINITY } else { 20.0 * (signal / error).log10() }
}

fn read(file: &File, at: u64, len: usize, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.resize(len, 0);
    file.read_at(buffer, at).map_err(|e| Error::io("cannot be read", e))
}

fn difference(a: &[u8], b: &[u8], at: u64) -> Option<u64> {
    a.iter().zip(b).position(|(a, b)| a != b).map(|i| at + i as u64)
}

fn compare_values(variable: &Variable, running: &mut Running, original: &[u8], decoded: &[u8]) -> Result<()> {
    let values = |bytes: &[u8]| {
        let n = (bytes.len() / variable.dtype.size()) as u64;
        Values::from_bytes(variable.dtype, variable.big_endian, &[n], bytes)
    };
    let found = check::compare(&values(original)?, &values(decoded)?, &running.tolerance)?;
    running.survey.add_squares(original, &running.fill, &mut running.squares);
    running.violations += found.violations.len() as u64;
    running.receipt = Some(match &running.receipt {
        Some(before) => check::join(before, &found.receipt, running.words),
        None => found.receipt,
    });
    running.words += (decoded.len() / variable.dtype.word()) as u64;
    Ok(())
}
