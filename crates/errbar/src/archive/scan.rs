//! Reading an archive without its index: every whole frame, found by its sync bytes.

use std::collections::{BTreeMap, HashMap, HashSet};

use errbar_format::frame::{self, PREFIX_LEN, Prefix, SYNC, kind};
use errbar_format::limits::{MAX_PAYLOAD, MAX_RECORD};
use errbar_format::page::{self, Items};
use errbar_format::record::{self, Block, BlockRef, Entry, PageContent};
use errbar_format::{Error, Kind, Result, path};

use super::Cached;

/// Bytes read at once.
const CHUNK: u64 = 1 << 20;
/// Bytes of keys that a list of pages may take in memory.
const MAX_KEYS: usize = 64 << 20;

/// One whole frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameAt {
    pub(crate) offset: u64,
    pub(crate) prefix: Prefix,
}

/// What the frames alone say of an archive.
pub(crate) struct Scan {
    pub(crate) tag: u64,
    /// The features that HEAD or TAIL says are needed; nothing if both are lost.
    pub(super) features: Option<u64>,
    /// Every whole frame of the archive, in the order in which they stand.
    pub(crate) frames: Vec<FrameAt>,
    /// Pages of entries: first path and offset, in path order.
    pub(super) leaves: Vec<(Vec<u8>, u64)>,
    /// Whole block frames by number.
    pub(super) blocks: BTreeMap<u64, BlockRef>,
    /// What is wrong.
    pub(crate) problems: Vec<Error>,
}

impl Scan {
    /// Reads the whole storage.
    pub(super) fn run(storage: &Cached) -> Result<Scan> {
        let (whole, mut broken) = find_frames(storage)?;
        let tag = choose_tag(storage.size, &whole);
        let frames: Vec<FrameAt> = whole.into_iter().filter(|frame| frame.prefix.archive_tag == tag).collect();
        let mut problems = Vec::new();
        let (mut end, mut seq) = (0, 0);
        let gap = |end: u64, next: u64| Error::corrupt("EB-F01", format!("bytes {end} to {next} are no frame of this archive")).at(end);
        for found in &frames {
            if found.offset != end {
                problems.push(broken.remove(&end).unwrap_or_else(|| gap(end, found.offset)));
            }
            if found.prefix.seq != seq {
                let what = format!("frame {} stands where frame {seq} should", found.prefix.seq);
                problems.push(Error::corrupt("EB-A01", what).at(found.offset));
            }
            (end, seq) = (found.offset + found.prefix.frame_len(), found.prefix.seq.saturating_add(1));
        }
        let Some(last) = frames.last() else {
            let nothing = || Error::corrupt("EB-F01", "this is no errbar archive: no frame was found in it");
            return Err(broken.remove(&0).unwrap_or_else(nothing));
        };
        if last.prefix.kind != kind::TAIL {
            let cut = || Error { rule: Some("EB-A02"), ..Error::new(Kind::Truncated, "archive does not end with its TAIL") }.at(end);
            problems.push(broken.remove(&end).unwrap_or_else(cut));
        } else if end != storage.size {
            problems.push(Error::corrupt("EB-A02", format!("{} bytes follow the TAIL", storage.size - end)).at(end));
        }
        let mut scan = Scan { tag, features: None, frames, leaves: Vec::new(), blocks: BTreeMap::new(), problems };
        scan.read_records(storage)?;
        Ok(scan)
    }

    /// Finds blocks and pages of entries among the frames.
    fn read_records(&mut self, storage: &Cached) -> Result<()> {
        let mut seen = HashSet::new();
        let mut key_bytes = 0;
        for i in 0..self.frames.len() {
            let FrameAt { offset, prefix } = self.frames[i];
            let result = match prefix.kind {
                kind::BLOCK => self.read_block(storage, offset, &prefix),
                kind::ENTRIES | kind::INDEX => self.read_page(storage, offset, &prefix, &mut seen),
                kind::HEAD | kind::TAIL => self.read_features(storage, offset, &prefix),
                _ => check_kind(&prefix),
            };
            match result {
                Err(e) if matches!(e.kind, Kind::Unsupported | Kind::Refused) => return Err(e.at(offset)),
                Err(e) => self.problems.push(e.at(offset)),
                Ok(()) => {}
            }
            key_bytes += self.leaves.last().map_or(0, |(key, _)| key.len());
            if key_bytes > MAX_KEYS {
                return Err(Error::limit("EB-A05", "too many pages of entries to read without an index"));
            }
        }
        self.leaves.sort_by(|a, b| path::compare(&a.0, &b.0));
        Ok(())
    }

    fn read_features(&mut self, storage: &Cached, offset: u64, prefix: &Prefix) -> Result<()> {
        let head = storage.read(offset, prefix.head_len())?;
        let record = prefix.record(&head)?;
        let features = match prefix.kind {
            kind::HEAD => record::decode::<record::Head>(record)?.required_features,
            _ => record::decode::<record::Tail>(record)?.required_features,
        };
        record::check_features(features)?;
        self.features = Some(features);
        Ok(())
    }

    fn read_block(&mut self, storage: &Cached, offset: u64, prefix: &Prefix) -> Result<()> {
        let head = storage.read(offset, prefix.head_len())?;
        let block: Block = record::decode(prefix.record(&head)?)?;
        let (frame_len, decoded_len) = (prefix.frame_len(), block.check()?);
        let place = BlockRef { offset, frame_len, decoded_len, decoded_hash: block.decoded_hash };
        // The first one counts; that its number stands twice is found out of order by `verify`.
        self.blocks.entry(block.number).or_insert(place);
        Ok(())
    }

    fn read_page(&mut self, storage: &Cached, offset: u64, prefix: &Prefix, seen: &mut HashSet<[u8; 32]>) -> Result<()> {
        let bytes = storage.read(offset, prefix.frame_len())?;
        let frame = frame::Frame::parse(&bytes)?;
        let page = page::parse_record(frame.record)?;
        // The index repeats the pages that stand among the blocks.
        if page.content != PageContent::Entries || !seen.insert(crate::write::page_hash(frame.record, frame.payload)) {
            return Ok(());
        }
        let mut items: Items<Entry> = Items::new(&page, PageContent::Entries, frame.payload)?;
        if let Some(first) = items.next() {
            self.leaves.push((first?.path, offset));
        }
        Ok(())
    }
}

/// Refuses frames that are neither known nor ancillary (EB-A04).
pub(super) fn check_kind(prefix: &Prefix) -> Result<()> {
    let known = kind::ALL.iter().any(|&(kind, _)| kind == prefix.kind);
    match known || prefix.flags & frame::ANCILLARY != 0 {
        true => Ok(()),
        false => Err(Error::unsupported("EB-A04", format!("needs a reader for frames of kind {}", prefix.kind))),
    }
}

/// All whole frames in order, and what is wrong where a frame seems to begin but is none.
fn find_frames(storage: &Cached) -> Result<(Vec<FrameAt>, HashMap<u64, Error>)> {
    let (mut whole, mut broken) = (Vec::new(), HashMap::new());
    // Bytes that may be read: keeps lies that overlap from costing quadratic time.
    let mut budget = storage.size.saturating_mul(16).saturating_add(1 << 30);
    let mut at = Some(0);
    while let Some(offset) = at.filter(|&offset| offset < storage.size) {
        let next = match whole_frame(storage, offset) {
            Ok(prefix) => {
                whole.push(FrameAt { offset, prefix });
                offset + prefix.frame_len()
            }
            Err(e) if e.kind == Kind::Io => return Err(e),
            Err(e) => {
                let spent = match e.rule {
                    Some("EB-F01" | "EB-F02") => 0,
                    Some("EB-F05") => u64::from(MAX_RECORD),
                    _ => MAX_PAYLOAD.min(storage.size),
                };
                budget = budget.checked_sub(spent).ok_or_else(|| Error::limit("EB-A05", "too many damaged frames overlap").at(offset))?;
                broken.insert(offset, e);
                offset + 1
            }
        };
        at = find_sync(storage, next)?;
    }
    Ok((whole, broken))
}

/// The prefix of the frame at an offset, if every checksum of the frame is right.
fn whole_frame(storage: &Cached, offset: u64) -> Result<Prefix> {
    let bytes = storage.read(offset, (PREFIX_LEN as u64).min(storage.size - offset))?;
    if !bytes.starts_with(&SYNC) {
        return Err(Error::corrupt("EB-F01", "no frame begins here").at(offset));
    }
    let cut = || Error { rule: Some("EB-F01"), ..Error::new(Kind::Truncated, "file ends inside a frame's prefix") }.at(offset);
    let bytes = bytes.first_chunk().ok_or_else(cut)?;
    let prefix = Prefix::parse(bytes).map_err(|e| e.at(offset))?;
    let head = storage.read(offset, prefix.head_len())?;
    prefix.record(&head).map_err(|e| e.at(offset))?;
    let mut crc = crc32fast::Hasher::new();
    let (mut at, end) = (offset + prefix.head_len(), offset + prefix.head_len() + prefix.payload_len);
    while at < end {
        let bytes = storage.read(at, CHUNK.min(end - at))?;
        crc.update(&bytes);
        at += bytes.len() as u64;
    }
    if crc.finalize() != prefix.payload_crc {
        return Err(Error::corrupt("EB-F07", "payload does not match its checksum").at(offset));
    }
    let padding = storage.read(end, offset + prefix.frame_len() - end)?;
    match padding.iter().all(|&byte| byte == 0) {
        true => Ok(prefix),
        false => Err(Error::corrupt("EB-F06", "padding is not zero").at(offset)),
    }
}

/// The offset of the first sync bytes at or after `from`.
fn find_sync(storage: &Cached, mut from: u64) -> Result<Option<u64>> {
    // Most frames begin where the one before ends: a look at a few bytes saves reading many.
    let mut len = SYNC.len() as u64;
    while from < storage.size {
        let bytes = storage.read(from, len.min(storage.size - from))?;
        len = CHUNK;
        if let Some(at) = frame::find_sync(&bytes, 0) {
            return Ok(Some(from + at as u64));
        }
        if from + bytes.len() as u64 == storage.size {
            return Ok(None);
        }
        from += bytes.len() as u64 - (SYNC.len() as u64 - 1);
    }
    Ok(None)
}

/// The archive's tag: of its HEAD, else of its TAIL, else of the most bytes. An archive stored
/// in the archive has frames too.
fn choose_tag(size: u64, frames: &[FrameAt]) -> u64 {
    match (frames.first(), frames.last()) {
        (Some(first), _) if first.offset == 0 => return first.prefix.archive_tag,
        (_, Some(last)) if last.prefix.kind == kind::TAIL && last.offset + last.prefix.frame_len() == size => {
            return last.prefix.archive_tag;
        }
        _ => {}
    }
    let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
    for frame in frames {
        *sums.entry(frame.prefix.archive_tag).or_default() += frame.prefix.frame_len();
    }
    sums.into_iter().max_by_key(|&(tag, sum)| (sum, std::cmp::Reverse(tag))).map_or(0, |(tag, _)| tag)
}
