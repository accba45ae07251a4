//! Verifying: every checksum, every hash, every rule that ties frames, index and entries together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use errbar_format::frame::{Frame, kind};
use errbar_format::page::{self, Items};
use errbar_format::record::{self, Block, BlockRef, Body, Document, Entry, FileBody, PageContent, Tail, feature};
use errbar_format::{Error, Hash, Kind, Result, zstd_frame};

use crate::archive::{Archive, Content, FrameAt, Piece, Scan, block_ranges, check_hash};
use crate::pack::{Progress, ProgressFn};

/// What verifying found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Whole frames of the archive.
    pub n_frames: u64,
    /// Whole block frames.
    pub n_blocks: u64,
    /// Entries found.
    pub n_entries: u64,
    /// Regular files among them.
    pub n_files: u64,
    /// Everything that is wrong.
    pub problems: Vec<Error>,
    /// BLAKE3 of the TAIL record, which proves everything in the archive; nothing if that is lost.
    pub root_hash: Option<Hash>,
}

/// Verifies archives.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("a"), "abc")?;
/// # let mut bytes = Vec::new();
/// # errbar::Packer::new().pack(dir.path(), &mut bytes)?;
/// let archive = errbar::Archive::from_bytes(bytes.clone())?.checked()?;
/// assert!(errbar::Verifier::new().verify(&archive)?.problems.is_empty());
///
/// let middle = bytes.len() / 2;
/// bytes[middle] ^= 1;
/// let archive = errbar::Archive::from_bytes(bytes)?.checked()?;
/// assert!(!errbar::Verifier::new().verify(&archive)?.problems.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Verifier {
    threads: usize,
    quick: bool,
    progress: Option<ProgressFn>,
    cancel: Arc<AtomicBool>,
}

impl Verifier {
    /// Everything, one thread a processor.
    pub fn new() -> Verifier {
        Verifier::default()
    }

    /// Threads to decode with; 0: one a processor.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Verifier {
        self.threads = threads;
        self
    }

    /// Checks checksums and structure only; decodes nothing.
    #[must_use]
    pub fn quick(mut self, quick: bool) -> Verifier {
        self.quick = quick;
        self
    }

    /// Calls `progress` after every file and block.
    #[must_use]
    pub fn progress(mut self, progress: ProgressFn) -> Verifier {
        self.progress = Some(progress);
        self
    }

    /// Gives up once `cancel` is set.
    #[must_use]
    pub fn cancel(mut self, cancel: Arc<AtomicBool>) -> Verifier {
        self.cancel = cancel;
        self
    }

    /// Verifies an archive that was [checked](Archive::checked).
    ///
    /// # Errors
    /// [`Kind::Io`] if it cannot be read. What is wrong with it is in the report.
    pub fn verify(&self, archive: &Archive) -> Result<VerifyReport> {
        let mut scan = archive.scan()?;
        let sound = scan.problems.is_empty();
        // What opening found is found again where it lies in a frame.
        let known = |found: &Error| archive.damage().iter().any(|e| (e.rule, &e.place.offset) == (found.rule, &found.place.offset));
        let mut problems = archive.damage().to_vec();
        problems.extend(std::mem::take(&mut scan.problems).into_iter().filter(|found| !known(found)));
        problems.extend(check_frames(archive, &scan, sound).err());
        if let Some(tail) = archive.tail().filter(|_| sound) {
            problems.extend(check_index(archive, tail, &scan).err());
        }
        let n_blocks = scan.frames.iter().filter(|frame| frame.prefix.kind == kind::BLOCK).count() as u64;
        let n_frames = scan.frames.len() as u64;
        drop(scan);
        let mut report = VerifyReport { n_frames, n_blocks, problems, root_hash: archive.root_hash(), ..VerifyReport::default() };
        if self.quick {
            for entry in archive.entries() {
                report.n_entries += 1;
                report.n_files += u64::from(matches!(entry?.body, Body::File(_)));
            }
            return Ok(report);
        }
        self.contents(archive, &mut report)?;
        Ok(report)
    }

    /// Decodes every block and hashes every file.
    fn contents(&self, archive: &Archive, report: &mut VerifyReport) -> Result<()> {
        let lossless = archive.tail().is_some_and(|tail| tail.required_features & feature::LOSSY == 0);
        let mut progress = Progress { bytes_total: archive.used_bytes(), ..Progress::default() };
        let mut used = Used::default();
        let mut content = Content::new(archive, self.threads, |_: &Entry| true)?;
        while let Some(entry) = content.next_entry()? {
            report.n_entries += 1;
            let Body::File(file) = &entry.body else { continue };
            report.n_files += 1;
            used.add(file);
            let mut hasher = blake3::Hasher::new();
            let result = archive.content(&entry, file, &mut content, &mut |piece| {
                if self.cancel.load(Ordering::Relaxed) {
                    return Err(Error::new(Kind::Io, "interrupted"));
                }
                if let Piece::Bytes(bytes, _) = piece {
                    hasher.update(bytes);
                    progress.bytes_done += bytes.len() as u64;
                }
                if let Some(tick) = &self.progress {
                    tick(&progress);
                }
                Ok(())
            });
            match result.and_then(|()| check_hash(file, &hasher)) {
                Err(e) if self.cancel.load(Ordering::Relaxed) => return Err(e),
                Err(e) => report.problems.push(e.in_entry(&entry.path)),
                Ok(()) if lossless && file.hashes.is_some_and(|hashes| hashes.original != hashes.restored) => {
                    let what = "content is not the original's in an archive that says it has no loss";
                    report.problems.push(Error::corrupt("EB-H02", what).in_entry(&entry.path));
                }
                Ok(()) => {}
            }
            progress.files_done += 1;
            progress.path = entry.path;
        }
        for number in used.others(archive.block_numbers()) {
            // What nothing uses may be lost, but what is there must be right.
            if archive.find_block(number).is_ok() {
                report.problems.extend(archive.decoded(number).err());
            }
        }
        Ok(())
    }
}

/// The blocks that entries use, as ranges.
#[derive(Default)]
struct Used(Vec<std::ops::Range<u64>>);

impl Used {
    fn add(&mut self, file: &FileBody) {
        for range in block_ranges(file) {
            match self.0.last_mut() {
                Some(last) if range.start >= last.start && range.start <= last.end => last.end = last.end.max(range.end),
                _ => self.0.push(range),
            }
        }
    }

    /// Those of `numbers`, which ascend, that are in no range.
    fn others(mut self, numbers: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
        self.0.sort_unstable_by_key(|range| range.start);
        let mut ranges = self.0.into_iter().peekable();
        // One past the last number that any range so far holds.
        let mut used = 0;
        numbers.filter(move |&number| {
            while let Some(range) = ranges.next_if(|range| range.start <= number) {
                used = used.max(range.end);
            }
            number >= used
        })
    }
}

/// Record and payload of a frame.
fn read(archive: &Archive, frame: &FrameAt) -> Result<(Vec<u8>, Vec<u8>)> {
    let bytes = archive.read_raw(frame.offset, frame.prefix.frame_len())?;
    let parsed = Frame::parse(&bytes).map_err(|e| e.at(frame.offset))?;
    Ok((parsed.record.to_vec(), parsed.payload.to_vec()))
}

/// The order of frames, and that whatever a page of entries needs stands before it (EB-A01).
fn check_frames(archive: &Archive, scan: &Scan, sound: bool) -> Result<()> {
    let (mut phase, mut n_blocks, mut n_metas) = (-1, 0, 0);
    for (i, frame) in scan.frames.iter().enumerate() {
        let check = |phase: &mut i32, n_blocks: &mut u64, n_metas: &mut u64| -> Result<()> {
            let out_of_order = |what: String| Err(Error::corrupt("EB-A01", what));
            let now = match frame.prefix.kind {
                kind::HEAD => 0,
                kind::META => {
                    *n_metas += 1;
                    if *n_metas == 1 { 1 } else { 3 }
                }
                kind::BLOCK | kind::ENTRIES => 2,
                kind::INDEX => 4,
                kind::TAIL => 5,
                kind::DOCUMENT => {
                    let (record, payload) = read(archive, frame)?;
                    let document: Document = record::decode(&record)?;
                    document.check()?;
                    zstd_frame::decompress(&payload, document.decoded_len as usize, "EB-D01")?;
                    return Ok(());
                }
                _ => return Ok(()),
            };
            if now < *phase || *phase == 5 || (now == 0) != (i == 0) || *n_metas > 2 {
                return out_of_order(format!("frame of kind {} stands where it must not", frame.prefix.kind));
            }
            *phase = now;
            match frame.prefix.kind {
                kind::BLOCK => {
                    let head = archive.read_raw(frame.offset, frame.prefix.head_len())?;
                    let block: Block = record::decode(frame.prefix.record(&head)?)?;
                    if block.number != *n_blocks {
                        return out_of_order(format!("block {} stands where block {n_blocks} should", block.number));
                    }
                    *n_blocks += 1;
                }
                kind::ENTRIES => {
                    for entry in entries_of(archive, frame)? {
                        let entry = entry?;
                        entry.check()?;
                        if let Body::File(file) = &entry.body
                            && block_ranges(file).iter().any(|range| range.end > *n_blocks)
                        {
                            return Err(Error::corrupt("EB-A01", "entry stands before a block that it uses").in_entry(&entry.path));
                        }
                    }
                }
                _ => {}
            }
            Ok(())
        };
        let result = check(&mut phase, &mut n_blocks, &mut n_metas);
        // Where frames are missing, the order of the others says nothing.
        match result {
            Err(e) if sound || e.rule != Some("EB-A01") => return Err(e.at(frame.offset)),
            _ => {}
        }
    }
    Ok(())
}

fn entries_of(archive: &Archive, frame: &FrameAt) -> Result<Items<Entry>> {
    let (record, payload) = read(archive, frame)?;
    let page = page::parse_record(&record)?;
    Items::new(&page, PageContent::Entries, &payload)
}

/// That the index says what the frames say (EB-A03).
fn check_index(archive: &Archive, tail: &Tail, scan: &Scan) -> Result<()> {
    let differs = |what: &str, at: u64| Err(Error::corrupt("EB-A03", what).at(at));
    let mut indexed = archive.entries();
    let mut number = 0;
    let (mut first_index, mut metas) = (None, Vec::new());
    for frame in &scan.frames {
        match frame.prefix.kind {
            kind::ENTRIES => {
                for entry in entries_of(archive, frame).map_err(|e| e.at(frame.offset))? {
                    if indexed.next().transpose()? != Some(entry.map_err(|e| e.at(frame.offset))?) {
                        return differs("the index's entries are not those of the ENTRIES frames", frame.offset);
                    }
                }
            }
            kind::BLOCK => {
                let place = archive.find_block(number)?;
                let head = archive.read_raw(frame.offset, frame.prefix.head_len())?;
                let block: Block = record::decode(frame.prefix.record(&head)?)?;
                let decoded_len = block.check().map_err(|e| e.at(frame.offset))?;
                let found =
                    BlockRef { offset: frame.offset, frame_len: frame.prefix.frame_len(), decoded_len, decoded_hash: block.decoded_hash };
                if place != found {
                    return differs("the index's blocks are not the BLOCK frames", frame.offset);
                }
                number += 1;
            }
            kind::INDEX => {
                first_index.get_or_insert(frame.offset);
            }
            kind::META => metas.push(frame),
            kind::TAIL => {
                first_index.get_or_insert(frame.offset);
            }
            _ => {}
        }
    }
    if indexed.next().is_some() || number != tail.n_blocks {
        return differs("the index lists entries or blocks that are in no frame", tail.index_offset);
    }
    if first_index != Some(tail.index_offset) {
        return differs("TAIL does not say where the index begins", tail.index_offset);
    }
    match &metas[..] {
        [first, second] if second.offset == tail.meta.offset && read(archive, first)? == read(archive, second)? => Ok(()),
        _ => differs("the second META is not a copy of the first", tail.meta.offset),
    }
}
