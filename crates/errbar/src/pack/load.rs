//! Entries on their way from the walk to the archive: small files are read on other threads, many
//! at a time, because opening one takes longer than packing it.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use errbar_dissect::{Layout, ReadAt};
use errbar_format::{Error, Kind, Result};

use super::plan::layout_of;
use crate::parallel::{Lane, Pool};
use crate::policy::{Mode, Policy};
use crate::source::{self, Found, Named, Xattrs};

/// Files up to this size share blocks.
pub(super) const SMALL_FILE: u64 = 64 << 10;
/// Entries in a batch: enough that handing it over costs little beside reading it.
const BATCH: usize = 128;
/// Bytes of small files in a batch.
const BATCH_BYTES: u64 = 256 << 10;

/// A small file without arrays, read.
pub(super) struct Small {
    pub(super) metadata: Metadata,
    pub(super) xattrs: Xattrs,
    /// Where its content is among the bytes of its batch.
    pub(super) range: Range<usize>,
    pub(super) mode: Mode,
}

/// An entry of a batch.
pub(super) enum Item {
    Small(Found, Small),
    /// A small file that cannot be read.
    Failed(Found, Error),
    /// To be looked at in its turn.
    Other(Result<Found>),
}

/// Some entries in path order.
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    pub(super) bytes: Vec<u8>,
}

/// Entries being gathered into batches, and batches being read, in order.
pub(super) struct Loader {
    lane: Lane<Batch>,
    policy: Arc<Policy>,
    mode: Mode,
    gathered: Vec<Result<Found>>,
    bytes: u64,
}

impl Loader {
    pub(super) fn new(pool: &Pool, policy: &Arc<Policy>, mode: Mode) -> Loader {
        Loader { lane: Lane::on(pool), policy: Arc::clone(policy), mode, gathered: Vec::new(), bytes: 0 }
    }

    /// Takes the next entry of the walk; gives a batch if one is due.
    pub(super) fn push(&mut self, found: Result<Found>) -> Result<Option<Batch>> {
        self.bytes += found.as_ref().ok().filter(|found| is_small(found)).map_or(0, |found| found.metadata.len());
        self.gathered.push(found);
        if self.gathered.len() < BATCH && self.bytes < BATCH_BYTES { Ok(None) } else { self.submit() }
    }

    fn submit(&mut self) -> Result<Option<Batch>> {
        let (gathered, policy, mode) = (std::mem::take(&mut self.gathered), Arc::clone(&self.policy), self.mode);
        self.bytes = 0;
        self.lane.submit(move || load(gathered, &policy, mode))
    }

    /// The oldest batch, when the walk is over.
    pub(super) fn next(&mut self) -> Result<Option<Batch>> {
        if !self.gathered.is_empty()
            && let Some(batch) = self.submit()?
        {
            return Ok(Some(batch));
        }
        self.lane.next()
    }
}

/// A file with other names is not: which of these comes first is known in its turn only.
fn is_small(found: &Found) -> bool {
    found.metadata.is_file() && found.metadata.nlink() == 1 && found.metadata.len() <= SMALL_FILE
}

fn load(found: Vec<Result<Found>>, policy: &Policy, mode: Mode) -> Batch {
    let (mut bytes, mut names) = (Vec::new(), Vec::new());
    let item = |found| match found {
        Ok(found) if is_small(&found) => match small(&found, policy, mode, &mut bytes, &mut names) {
            Ok(Some(small)) => Item::Small(found, small),
            Ok(None) => Item::Other(Ok(found)),
            Err(problem) => Item::Failed(found, problem),
        },
        other => Item::Other(other),
    };
    let items = found.into_iter().map(item).collect();
    Batch { items, bytes }
}

/// Reads a file to the end of `bytes`, unless it has grown, has holes or holds arrays.
fn small(found: &Found, policy: &Policy, mode: Mode, bytes: &mut Vec<u8>, names: &mut Vec<u8>) -> Result<Option<Small>> {
    errbar_format::path::check(&found.path)?;
    let (file, metadata) = source::open(&found.place).map_err(unreadable)?;
    if metadata.len() > SMALL_FILE || source::data_runs(&file, &metadata).map_err(unreadable)?.is_some() {
        return Ok(None);
    }
    let xattrs = source::xattrs(Named::File(&file), names)?;
    let start = bytes.len();
    bytes.resize(start + metadata.len() as usize, 0);
    let content = &mut bytes[start..];
    let read = file.read_at(content, 0).map_err(unreadable).and_then(|()| still_the_same(&file, &metadata));
    match read.map(|()| is_plain(&layout_of(&&*content, found, policy, mode))) {
        Ok(true) => {
            let mode = policy.choice(&found.path, "").mode.unwrap_or(mode);
            Ok(Some(Small { metadata, xattrs, range: start..bytes.len(), mode }))
        }
        other => {
            bytes.truncate(start);
            other.map(|_| None)
        }
    }
}

/// Whether a file of this layout is bytes and nothing else.
pub(super) fn is_plain(layout: &Layout) -> bool {
    layout.arrays.is_empty() && layout.places.is_empty()
}

/// That a file was not written to since `before`.
pub(super) fn still_the_same(file: &File, before: &Metadata) -> Result<()> {
    match file.metadata() {
        Ok(now) if source::changed(before, &now) => Err(changed()),
        Ok(_) => Ok(()),
        Err(e) => Err(unreadable(e)),
    }
}

/// A file is not what it was.
pub(super) fn changed() -> Error {
    Error::new(Kind::Io, "changed while it was read; not packed")
}

pub(crate) fn unreadable(e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => Error::io("became shorter while it was read", e),
        _ => Error::io("cannot be read", e),
    }
}
