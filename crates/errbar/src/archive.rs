//! An archive, opened: its entries, its blocks, its variables.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use errbar_codec::{Registry, pipeline};
use errbar_format::frame::{Frame, PREFIX_LEN, Prefix, kind};
use errbar_format::limits::{MAX_PAYLOAD, MAX_RECORD};
use errbar_format::record::{self, Block, BlockRef, Entry, Head, Meta, PageRef, Tail};
use errbar_format::{Error, Hash, Kind, Result, path};

use crate::storage::{Mapped, Memory, Seekable, Storage, open_file};

mod ahead;
mod content;
mod elements;
mod index;
mod scan;
mod streams;
mod variable;

pub(crate) use ahead::{Content, block_ranges};
pub(crate) use content::{BlockSource, Direct, Piece, check_hash};
pub use index::Entries;
pub(crate) use scan::{FrameAt, Scan};
pub use variable::{Array, Range};

use content::Decoded;
use index::{Index, RefLeaf};

/// Bytes read from the end at first: the tail, the roots, and for most archives the whole index.
const SUFFIX: u64 = 64 << 10;

/// An archive that can be read at any place.
///
/// Cheap to clone: clones share the storage.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # std::fs::create_dir(dir.path().join("t"))?;
/// # std::fs::write(dir.path().join("t/a"), "abc")?;
/// let mut bytes = Vec::new();
/// errbar::Packer::new().pack(&dir.path().join("t"), &mut bytes)?;
/// let archive = errbar::Archive::from_bytes(bytes)?;
/// for entry in archive.entries() {
///     println!("{}", errbar::display_path(&entry?.path));
/// }
/// assert_eq!(archive.read_file(b"a")?, b"abc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Archive {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Cached,
    registry: Registry,
    tag: u64,
    index: Index,
    /// What was found wrong while the archive was opened.
    damage: Vec<Error>,
    /// The part of the index that was used last.
    last_refs: Mutex<Option<RefLeaf>>,
    /// The shared block that was used last, and its number.
    last_shared: Mutex<Option<(u64, Arc<Decoded>)>>,
    /// Where blocks really are, once the index was found to be wrong about one.
    rescue: OnceLock<Option<Scan>>,
}

/// Storage whose last bytes are kept: the index is read more than once.
struct Cached {
    storage: Box<dyn Storage>,
    size: u64,
    suffix: Vec<u8>,
}

impl Cached {
    fn new(storage: Box<dyn Storage>) -> Result<Cached> {
        let size = storage.size();
        let mut suffix = vec![0; size.min(SUFFIX) as usize];
        let at = size - suffix.len() as u64;
        storage.read_at(&mut suffix, at).map_err(|e| Error::io("cannot read the archive", e))?;
        Ok(Cached { storage, size, suffix })
    }

    /// `len` bytes from `at`, within the file or an error. Allocates after that was checked.
    fn read(&self, at: u64, len: u64) -> Result<Vec<u8>> {
        if at.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(Error::new(Kind::Truncated, "archive ends before what it should hold").at(at));
        }
        let suffix_at = self.size - self.suffix.len() as u64;
        if at >= suffix_at {
            let from = (at - suffix_at) as usize;
            return Ok(self.suffix[from..from + len as usize].to_vec());
        }
        let mut bytes = vec![0; len as usize];
        self.storage.read_at(&mut bytes, at).map_err(|e| Error::io("cannot read the archive", e).at(at))?;
        Ok(bytes)
    }
}

/// A block's frame as it was read: its record, and where its payload lies in the bytes.
pub(crate) struct BlockFrame {
    pub(crate) block: Block,
    decoded_len: u64,
    bytes: Vec<u8>,
    payload_at: usize,
}

impl BlockFrame {
    fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_at..]
    }
}

impl Archive {
    /// Opens a file for random access, by mapping it.
    ///
    /// # Errors
    /// [`Kind::Io`] if it cannot be read, [`Kind::Corrupt`] if it is no archive or nothing of it
    /// is left, [`Kind::Unsupported`] if it needs features this version does not have.
    pub fn open(path: impl AsRef<Path>) -> Result<Archive> {
        let path = path.as_ref();
        let file = Archive::file(path)?;
        match file.metadata().is_ok_and(|m| m.len() > 0) {
            true => Archive::from_storage(Box::new(Mapped::new(file).map_err(|e| cannot_open(path, e))?)),
            // An empty file cannot be mapped.
            false => Archive::from_bytes(Vec::new()),
        }
        .map_err(|e| e.advise(not_an_archive_advice(path)))
    }

    /// Opens a file that is to be read as a whole, or whose disk may be failing: by plain reads.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_plain(path: impl AsRef<Path>) -> Result<Archive> {
        let path = path.as_ref();
        Archive::from_storage(Box::new(Archive::file(path)?)).map_err(|e| e.advise(not_an_archive_advice(path)))
    }

    fn file(path: &Path) -> Result<File> {
        open_file(path).map_err(|e| cannot_open(path, e))
    }

    /// Opens an archive in memory.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Archive> {
        Archive::from_storage(Box::new(Memory(bytes)))
    }

    /// Opens anything that can seek.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn from_reader(reader: impl Read + Seek + Send + 'static) -> Result<Archive> {
        let seekable = Seekable::new(reader).map_err(|e| Error::io("cannot read the archive", e))?;
        Archive::from_storage(Box::new(seekable))
    }

    /// Opens any storage with errbar's own stages.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn from_storage(storage: Box<dyn Storage>) -> Result<Archive> {
        Archive::with_registry(storage, Registry::core())
    }

    /// Opens any storage with these stages.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn with_registry(storage: Box<dyn Storage>, registry: Registry) -> Result<Archive> {
        let storage = Cached::new(storage)?;
        match read_tail(&storage) {
            Ok((tag, tail)) => {
                record::check_features(tail.required_features)?;
                Ok(Archive::new(storage, registry, tag, Index::Tree(Box::new(tail)), Vec::new()))
            }
            Err(e) if matches!(e.kind, Kind::Unsupported | Kind::Io) => Err(e),
            Err(e) => {
                let mut scan = Scan::run(&storage)?;
                let damage = std::iter::once(e).chain(std::mem::take(&mut scan.problems)).collect();
                Ok(Archive::new(storage, registry, scan.tag, Index::Scan(scan), damage))
            }
        }
    }

    fn new(storage: Cached, registry: Registry, tag: u64, index: Index, damage: Vec<Error>) -> Archive {
        let (last_refs, last_shared, rescue) = (Mutex::default(), Mutex::default(), OnceLock::new());
        Archive { inner: Arc::new(Inner { storage, registry, tag, index, damage, last_refs, last_shared, rescue }) }
    }

    /// The same archive with its whole index checked, or, where that is damaged, read from the
    /// frames alone. Commands that go through the whole archive begin with this.
    ///
    /// # Errors
    /// [`Kind::Refused`] or another kind if the list of entries breaks a rule that no damage
    /// explains; [`Kind::Unsupported`] if it holds frames that must not be skipped;
    /// [`Kind::Io`] if the archive cannot be read.
    pub fn checked(self) -> Result<Archive> {
        let whole = match self.tail() {
            None => self,
            Some(tail) => {
                let end = tail.index_offset;
                self.inner.check_kinds(end)?;
                match self.check_index() {
                    Ok(()) => return self.with_head_checked(),
                    Err(e) if matches!(e.kind, Kind::Io | Kind::Refused | Kind::Unsupported | Kind::Limit) => return Err(e),
                    Err(e) => {
                        let inner = Arc::try_unwrap(self.inner).map_err(|_| Error::usage("an archive is checked before it is shared"))?;
                        let mut scan = Scan::run(&inner.storage)?;
                        let damage = inner.damage.into_iter().chain([e]).chain(std::mem::take(&mut scan.problems)).collect();
                        Archive::new(inner.storage, inner.registry, scan.tag, Index::Scan(scan), damage)
                    }
                }
            }
        };
        whole.check_index()?;
        Ok(whole)
    }

    /// Notes a HEAD that is damaged or contradicts the TAIL; everything can be read without it.
    fn with_head_checked(mut self) -> Result<Archive> {
        let problem = match (self.head(), self.tail()) {
            (Ok(head), Some(tail))
                if (head.archive_id, head.format, head.required_features, head.optional_features)
                    == (tail.archive_id, tail.format, tail.required_features, tail.optional_features) =>
            {
                None
            }
            (Ok(_), _) => Some(Error::corrupt("EB-A03", "HEAD and TAIL contradict each other").at(0)),
            (Err(e), _) => Some(e),
        };
        if let Some(problem) = problem {
            Arc::get_mut(&mut self.inner).ok_or_else(|| Error::usage("an archive is checked before it is shared"))?.damage.push(problem);
        }
        Ok(self)
    }

    /// What was found wrong while the archive was opened; empty for a sound one.
    pub fn damage(&self) -> &[Error] {
        &self.inner.damage
    }

    /// The stages it is read with.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Bytes of the archive.
    pub fn size(&self) -> u64 {
        self.inner.storage.size
    }

    /// BLAKE3 of the TAIL record, which proves everything in the archive; nothing if that is lost.
    pub fn root_hash(&self) -> Option<Hash> {
        crate::pack::root_hash(self.tail()?).ok()
    }

    /// The TAIL record, unless it is lost.
    pub fn tail(&self) -> Option<&Tail> {
        match &self.inner.index {
            Index::Tree(tail) => Some(tail),
            Index::Scan(_) => None,
        }
    }

    /// The HEAD record.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if it is damaged.
    pub fn head(&self) -> Result<Head> {
        let (_, record) = self.frame_head(0, kind::HEAD)?;
        record::decode(&record)
    }

    /// The META record: its first copy, or its second if that is damaged.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if both are lost.
    pub fn meta(&self) -> Result<Meta> {
        let first = (|| {
            let (head, _) = self.frame_head(0, kind::HEAD)?;
            self.frame_head(head.frame_len(), kind::META)
        })();
        let second =
            || self.tail().map_or_else(|| Err(Error::corrupt("EB-A02", "no TAIL")), |tail| self.frame_head(tail.meta.offset, kind::META));
        let (_, record) = first.or_else(|_| second())?;
        record::decode(&record)
    }

    /// The texts embedded at the front, such as the specification: name and content.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if one is damaged.
    pub fn documents(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut documents = Vec::new();
        let mut at = self.frame_head(0, kind::HEAD)?.0.frame_len();
        at += self.frame_head(at, kind::META)?.0.frame_len();
        while let Ok((prefix, record)) = self.frame_head(at, kind::DOCUMENT) {
            let document: record::Document = record::decode(&record)?;
            document.check().map_err(|e| e.at(at))?;
            let bytes = self.inner.storage.read(at, prefix.frame_len())?;
            let frame = Frame::parse(&bytes)?;
            documents.push((document.name, errbar_format::zstd_frame::decompress(frame.payload, document.decoded_len as usize, "EB-D01")?));
            at += prefix.frame_len();
        }
        Ok(documents)
    }

    /// Every entry, in path order. Reads the index page by page.
    pub fn entries(&self) -> Entries {
        Entries::new(self)
    }

    /// The entry with this path.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if the index is damaged.
    pub fn entry(&self, path: &[u8]) -> Result<Option<Entry>> {
        self.inner.find_entry(path)
    }

    /// Prefix and record of the frame at an offset, which must be of a kind and of this archive.
    fn frame_head(&self, at: u64, kind: u16) -> Result<(Prefix, Vec<u8>)> {
        self.inner.frame_head(at, Some(kind))
    }

    /// The frame of a block, its checksums checked, not decoded.
    pub(crate) fn block_frame(&self, number: u64) -> Result<BlockFrame> {
        self.at_block(number, |place| self.inner.block_frame(number, &place))
    }

    /// Does something where a block is: where the index says or, if it is not there, where a scan
    /// finds it.
    fn at_block<T>(&self, number: u64, read: impl Fn(BlockRef) -> Result<T>) -> Result<T> {
        let place = self.inner.find_block(number);
        let proof = place.as_ref().ok().map(|place| place.decoded_hash);
        place
            .and_then(&read)
            .or_else(|e| match self.inner.rescued(number, &e) {
                // Frames win over the index, but for the hash that proves them.
                Some(found) => read(BlockRef { decoded_hash: proof.unwrap_or(found.decoded_hash), ..found }),
                None => Err(e),
            })
            .map_err(|e| e.in_block(number))
    }

    /// A block's record, without its payload.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if it is damaged.
    pub fn block(&self, number: u64) -> Result<Block> {
        let inner = &self.inner;
        let head = |place: BlockRef| {
            let (_, record) = inner.frame_head(place.offset, Some(kind::BLOCK))?;
            inner.check_block(&record, number, &place)
        };
        self.at_block(number, head)
    }

    /// Decodes a block and checks its hash: the bytes as they stand in the entry.
    pub(crate) fn decode(&self, frame: &BlockFrame) -> Result<Vec<u8>> {
        let block = &frame.block;
        let values = pipeline::decode(&self.inner.registry, &block.pipeline, block.dtype, &block.shape, frame.payload(), block.exact_len)
            .map_err(|e| e.in_block(block.number))?;
        let bytes = values.to_bytes(block.big_endian);
        if bytes.len() as u64 != frame.decoded_len || blake3::hash(&bytes) != block.decoded_hash {
            return Err(Error::corrupt("EB-B04", "decoded bytes do not match their hash").in_block(block.number));
        }
        Ok(bytes)
    }

    /// Number of blocks; numbers are below it.
    pub fn n_blocks(&self) -> u64 {
        self.inner.n_blocks()
    }

    /// The numbers, ascending, of the blocks of an archive that was [checked](Archive::checked).
    pub fn block_numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.inner.block_numbers()
    }

    /// Where a block is.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if the index is damaged, or does not list it.
    pub fn find_block(&self, number: u64) -> Result<BlockRef> {
        self.inner.find_block(number).map_err(|e| e.in_block(number))
    }

    /// Walks every frame from front to back.
    pub(crate) fn scan(&self) -> Result<Scan> {
        Scan::run(&self.inner.storage)
    }

    /// Bytes of the archive as they stand.
    pub(crate) fn read_raw(&self, at: u64, len: u64) -> Result<Vec<u8>> {
        self.inner.storage.read(at, len)
    }
}

impl Inner {
    /// The shared block that was used last.
    fn last_shared(&self) -> Option<(u64, Arc<Decoded>)> {
        self.last_shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn keep_shared(&self, number: u64, decoded: &Arc<Decoded>) {
        *self.last_shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((number, Arc::clone(decoded)));
    }

    fn check_prefix(&self, prefix: &Prefix, kind: Option<u16>) -> Result<()> {
        if prefix.archive_tag != self.tag {
            return Err(Error::corrupt("EB-A01", "frame belongs to another archive"));
        }
        match kind {
            Some(kind) if kind != prefix.kind => {
                Err(Error::corrupt("EB-A03", format!("frame is of kind {}, expected {kind}", prefix.kind)))
            }
            _ => Ok(()),
        }
    }

    fn frame_head(&self, at: u64, kind: Option<u16>) -> Result<(Prefix, Vec<u8>)> {
        let read = || {
            let bytes = self.storage.read(at, PREFIX_LEN as u64)?;
            let Some(bytes) = bytes.first_chunk() else { return Err(Error::new(Kind::Truncated, "no prefix")) };
            let prefix = Prefix::parse(bytes)?;
            self.check_prefix(&prefix, kind)?;
            let head = self.storage.read(at, prefix.head_len())?;
            Ok((prefix, prefix.record(&head)?.to_vec()))
        };
        read().map_err(|e: Error| e.at(at))
    }

    /// A whole frame that somebody refers to: record and payload.
    fn page(&self, place: &PageRef, kind: u16) -> Result<(Vec<u8>, Vec<u8>)> {
        let read = || {
            if place.frame_len > errbar_format::limits::MAX_PAYLOAD {
                return Err(Error::limit("EB-F03", "page is too long"));
            }
            let bytes = self.storage.read(place.offset, place.frame_len)?;
            let frame = Frame::parse(&bytes)?;
            self.check_prefix(&frame.prefix, None)?;
            if frame.prefix.kind != kind
                || frame.prefix.frame_len() != place.frame_len
                || crate::write::page_hash(frame.record, frame.payload) != place.hash
            {
                return Err(Error::corrupt("EB-I05", "page is not the one referred to"));
            }
            Ok((frame.record.to_vec(), frame.payload.to_vec()))
        };
        read().map_err(|e: Error| e.at(place.offset))
    }

    fn check_block(&self, record: &[u8], number: u64, place: &BlockRef) -> Result<Block> {
        let block: Block = record::decode(record).map_err(|e| e.at(place.offset))?;
        let decoded_len = block.check().map_err(|e| e.at(place.offset))?;
        if block.number != number || decoded_len != place.decoded_len {
            return Err(Error::corrupt("EB-A03", format!("index and frame disagree: frame holds block {}", block.number)).at(place.offset));
        }
        if block.decoded_hash != place.decoded_hash {
            return Err(Error::corrupt("EB-A03", "index and frame disagree: the hash of the block is another").at(place.offset));
        }
        let features = match &self.index {
            Index::Tree(tail) => Some(tail.required_features),
            Index::Scan(scan) => scan.features,
        };
        let lossless = features.is_some_and(|features| features & record::feature::LOSSY == 0);
        if lossless && block.receipt.is_some() {
            return Err(Error::corrupt("EB-H02", "block is lossy in an archive that says it has no loss").at(place.offset));
        }
        Ok(block)
    }

    fn block_frame(&self, number: u64, place: &BlockRef) -> Result<BlockFrame> {
        let read = || {
            if place.frame_len > MAX_PAYLOAD + u64::from(MAX_RECORD) + 64 {
                return Err(Error::limit("EB-F03", "block's frame is too long"));
            }
            let bytes = self.storage.read(place.offset, place.frame_len)?;
            self.parse_block(number, place, bytes)
        };
        read().map_err(|e: Error| e.at(place.offset))
    }

    /// The frame in `bytes`, which must be all of it.
    fn parse_block(&self, number: u64, place: &BlockRef, mut bytes: Vec<u8>) -> Result<BlockFrame> {
        let frame = Frame::parse(&bytes)?;
        self.check_prefix(&frame.prefix, Some(kind::BLOCK))?;
        let block = self.check_block(frame.record, number, place)?;
        let payload_at = frame.prefix.head_len() as usize;
        let payload_end = payload_at + frame.payload.len();
        bytes.truncate(payload_end);
        Ok(BlockFrame { block, decoded_len: place.decoded_len, bytes, payload_at })
    }

    /// Where a block really is, if `error` says that the index is wrong about it: frames win.
    fn rescued(&self, number: u64, error: &Error) -> Option<BlockRef> {
        let misplaced =
            matches!(error.rule, Some("EB-F01" | "EB-F02" | "EB-A01" | "EB-A03" | "EB-I01" | "EB-I02" | "EB-I03" | "EB-I04" | "EB-I05"));
        if !misplaced || matches!(self.index, Index::Scan(_)) {
            return None;
        }
        self.rescue.get_or_init(|| Scan::run(&self.storage).ok()).as_ref()?.blocks.get(&number).copied()
    }

    /// Walks the prefixes before `end`, as far as they are whole, for kinds that must be known.
    fn check_kinds(&self, end: u64) -> Result<()> {
        let mut at = 0;
        while at < end {
            let Ok(bytes) = self.storage.read(at, PREFIX_LEN as u64) else { break };
            let Some(Ok(prefix)) = bytes.first_chunk().map(Prefix::parse) else { break };
            if prefix.archive_tag == self.tag {
                scan::check_kind(&prefix).map_err(|e| e.at(at))?;
            }
            at += prefix.frame_len();
        }
        Ok(())
    }
}

/// Bytes of a TAIL frame. Its record has no variable part.
fn tail_len() -> u64 {
    (PREFIX_LEN as u64 + Tail::LEN as u64 + 4).next_multiple_of(8)
}

/// The TAIL at the end of the storage, with the archive's tag.
fn read_tail(storage: &Cached) -> Result<(u64, Tail)> {
    let at = storage.size.checked_sub(tail_len()).ok_or_else(|| Error::new(Kind::Truncated, "file is too short for a TAIL"))?;
    let bytes = storage.read(at, tail_len())?;
    let frame = Frame::parse(&bytes).map_err(|e| e.at(at))?;
    if frame.prefix.kind != kind::TAIL || frame.prefix.frame_len() != tail_len() {
        return Err(Error::corrupt("EB-A02", "file does not end with a TAIL").at(at));
    }
    // Features come first in what is read: a later edition may have changed the rest.
    let tail: Tail = record::decode(frame.record).map_err(|e| e.at(at))?;
    let tag = frame.prefix.archive_tag;
    if tail.archive_id[..8] != tag.to_le_bytes() {
        return Err(Error::corrupt("EB-A01", "TAIL contradicts its own archive id").at(at));
    }
    Ok((tag, tail))
}

fn cannot_open(path: &Path, e: io::Error) -> Error {
    Error::io(format!("cannot open '{}'", path::display(path.as_os_str().as_bytes())), e)
}

fn not_an_archive_advice(path: &Path) -> String {
    format!("check that '{}' is a whole errbar archive", path::display(path.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eb_a02_a_tail_has_one_size() {
        let tail = Tail {
            version: 1,
            format: (1, 0),
            required_features: 0,
            optional_features: 0,
            archive_id: [0; 32],
            n_entries: 0,
            n_blocks: 0,
            index_offset: 0,
            entries: PageRef::default(),
            blocks: PageRef::default(),
            meta: PageRef::default(),
        };
        let mut bytes = Vec::new();
        let record = record::encode(&tail).expect("small");
        errbar_format::frame::write(&mut bytes, (kind::TAIL, 0), (0, 0), &record, &[]).expect("memory");
        assert_eq!(bytes.len() as u64, tail_len());
    }
}
