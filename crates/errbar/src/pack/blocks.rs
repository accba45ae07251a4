//! Blocks in flight: submitted in order, coded on any thread, written in order; entries follow
//! when their last block is written.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use errbar_codec::{DType, Registry, Tolerance, Values, check, pipeline};
use errbar_format::record::{
    Attributes, Block, BlockPlace, Body, Bound, Choice, Entry, FileBody, FileHashes, PartRef, RECORD_VERSION, Receipt, Segment, Tail,
};
use errbar_format::{Error, Result, frame, path, record};

use super::VariableReport;
use super::spool::Spool;
use super::twins::{Content, Glance, Twin, Twins};
use crate::parallel::{Lane, Pool};
use crate::planner::{PRECEDENT_BLOCKS, Planner, Precedent, Reason, encode_best, encode_bytes, encode_small_files};
use crate::policy::Mode;
use crate::probe::Numbers;
use crate::write::Writer;

/// Small files share a block until it holds this much: enough to compress well together, little
/// enough that a bad sector costs few files.
const SHARED_TARGET: usize = 256 << 10;
/// … and where the size is all that counts.
const LARGE_SHARED_TARGET: usize = 1 << 20;
/// Entries that may wait for a shared block to fill.
const MAX_WAITING: usize = 4096;

/// A block to code.
pub(crate) struct Job {
    pub(crate) place: BlockPlace,
    pub(crate) dtype: DType,
    pub(crate) big_endian: bool,
    pub(crate) shape: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) tolerance: Option<Arc<Tolerance>>,
    pub(crate) mode: Mode,
    /// The variable of the file at work that it belongs to.
    pub(crate) variable: Option<usize>,
    /// What becomes of the bytes that decoding gives.
    pub(crate) fate: Fate,
    /// How plain bytes may be numbers.
    pub(crate) numbers: Option<Numbers>,
    /// How a block of the variable before it was planned.
    pub(crate) precedent: Option<Arc<Precedent>>,
}

/// What becomes of the bytes that decoding a block gives.
pub(crate) enum Fate {
    /// Nothing: they are what they were, or nobody asks.
    Dropped,
    /// They are the next bytes of a file that is not restored as it was.
    Hashed,
    /// They go to this place until their file is put together.
    Spooled(Spool, u64),
}

impl Job {
    /// Gives block `k` of the `n` of a variable the precedent that the blocks before it had, or makes one
    /// for it and those behind it: where it stands decides, whatever the threads.
    pub(crate) fn follow(&mut self, registry: &Registry, planner: &dyn Planner, before: &mut Option<Arc<Precedent>>, k: u64, n: u64) {
        if k.is_multiple_of(PRECEDENT_BLOCKS) {
            let values = || Values::from_bytes(self.dtype, self.big_endian, &self.shape, &self.bytes[..]).ok();
            let precedent = |values| Precedent::of(registry, planner, &values, self.tolerance.as_deref(), self.mode);
            *before = if k + 1 < n { values().and_then(precedent).map(Arc::new) } else { None };
        }
        self.precedent.clone_from(before);
    }
}

/// A block, coded.
pub(crate) struct Coded {
    pub(crate) block: Block,
    payload: Vec<u8>,
    decoded_len: u64,
    n_words: u64,
    /// What decoding gives, to be hashed.
    decoded: Option<Vec<u8>>,
    variable: Option<usize>,
    pipeline: String,
    reason: Option<Reason>,
}

impl Coded {
    /// Bytes of its frame.
    ///
    /// # Errors
    /// Where the block cannot be written at all.
    pub(crate) fn frame_len(&self) -> Result<u64> {
        frame::write(&mut std::io::sink(), (frame::kind::BLOCK, 0), (0, 0), &record::encode(&self.block)?, &self.payload)
            .map_err(|e| Error::io("cannot count bytes", e))
    }
}

/// Codes a block and proves it.
///
/// # Errors
/// As [`encode_best`].
pub(crate) fn code(registry: &Registry, planner: &dyn Planner, number: u64, job: Job) -> Result<Coded> {
    let (encoded, choice) = match job.dtype {
        DType::Bytes if job.place == BlockPlace::Shared => (encode_small_files(registry, planner, job.bytes, job.mode)?, None),
        DType::Bytes => encode_bytes(registry, planner, job.bytes, job.numbers.as_ref(), job.mode)?,
        _ => {
            let values = Values::from_bytes(job.dtype, job.big_endian, &job.shape, job.bytes)?;
            encode_best(registry, planner, &values, job.tolerance.as_deref(), job.mode, job.precedent.as_deref())?
        }
    };
    // Plain bytes may have been found to be numbers.
    let dtype = encoded.decoded.dtype;
    let (big_endian, shape) = match &job.numbers {
        Some(numbers) if dtype != job.dtype => (numbers.big_endian, numbers.shape(job.shape.iter().product::<u64>() as usize)),
        _ => (job.big_endian, job.shape),
    };
    let n_words = encoded.decoded.bits.words.len() as u64;
    let decoded = encoded.decoded.into_bytes(big_endian);
    let description = pipeline::describe(registry, &encoded.pipeline);
    if let Fate::Spooled(spool, at) = &job.fate {
        spool.write(&decoded, *at)?;
    }
    Ok(Coded {
        block: Block {
            version: RECORD_VERSION,
            number,
            place: job.place,
            dtype,
            big_endian,
            shape,
            pipeline: encoded.pipeline,
            exact_len: encoded.exact_len,
            receipt: encoded.receipt,
            decoded_hash: *blake3::hash(&decoded).as_bytes(),
            extensions: Vec::new(),
        },
        payload: encoded.payload,
        decoded_len: decoded.len() as u64,
        n_words,
        decoded: matches!(job.fate, Fate::Hashed).then_some(decoded),
        variable: job.variable,
        reason: choice.map(|choice| Reason::new(registry, &description, &choice)),
        pipeline: description,
    })
}

/// A piece of a file whose restored content is hashed as its blocks come back.
enum Piece {
    Bytes(Vec<u8>),
    Block,
}

/// What is known of a variable while its blocks come back.
#[derive(Default)]
struct Running {
    words: u64,
    coded_bytes: u64,
    pipeline: Option<String>,
    /// The number of the first block for which there was a choice, and why it was made.
    reason: Option<(u64, Reason)>,
    receipt: Option<Receipt>,
}

/// What of a file refers to a shared block.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    /// The segment at this position.
    Segment(usize),
    /// The variable at this position.
    Variable(usize),
}

/// An entry that waits for its blocks.
struct Waiting {
    entry: Option<Entry>,
    /// Blocks that must be written first; `None` while the file's end is open.
    after: Option<u64>,
    /// Parts of it that wait in the shared block that is being filled.
    open_parts: usize,
    /// Its other parts, and the shared blocks that they are in.
    parts: Vec<(Slot, u64)>,
    pieces: VecDeque<Piece>,
    /// Of a file that is not restored as it was.
    restored: Option<Box<blake3::Hasher>>,
    bounds: Vec<Vec<Bound>>,
    variables: Vec<Running>,
    dropped: bool,
    /// What others may be the same as.
    content: Option<Content>,
    /// The file, if it is the same as an earlier one; it has no entry then.
    twin: Option<Twin>,
}

/// Blocks and entries on their way to the writer.
pub(super) struct Blocks<W: Write> {
    writer: Writer<W>,
    lane: Lane<Result<Coded>>,
    registry: Arc<Registry>,
    planner: Arc<dyn Planner>,
    submitted: u64,
    written: u64,
    /// Which file each block in flight belongs to, oldest first.
    owners: VecDeque<Option<u64>>,
    shared: Vec<u8>,
    shared_mode: Mode,
    in_shared: Vec<(u64, Slot)>,
    waiting: VecDeque<Waiting>,
    /// Serial number of the first of `waiting`.
    first: u64,
    reports: Vec<VariableReport>,
    pub(super) twins: Twins,
}

impl<W: Write> Blocks<W> {
    pub(super) fn new(writer: Writer<W>, registry: Arc<Registry>, planner: Arc<dyn Planner>, pool: &Pool) -> Self {
        Blocks {
            writer,
            lane: Lane::on(pool),
            registry,
            planner,
            submitted: 0,
            written: 0,
            owners: VecDeque::new(),
            shared: Vec::new(),
            shared_mode: Mode::default(),
            in_shared: Vec::new(),
            waiting: VecDeque::new(),
            first: 0,
            reports: Vec::new(),
            twins: Twins::default(),
        }
    }

    fn push(&mut self, entry: Option<Entry>, after: Option<u64>, bounds: Vec<Vec<Bound>>, lossy: bool) -> u64 {
        let variables = bounds.iter().map(|_| Running::default()).collect();
        self.waiting.push_back(Waiting {
            entry,
            after,
            open_parts: 0,
            parts: Vec::new(),
            pieces: VecDeque::new(),
            restored: lossy.then(Box::default),
            bounds,
            variables,
            dropped: false,
            content: None,
            twin: None,
        });
        self.first + self.waiting.len() as u64 - 1
    }

    fn file(&mut self, id: u64) -> Option<&mut Waiting> {
        self.waiting.get_mut(id.checked_sub(self.first)? as usize)
    }

    /// An entry without content.
    pub(super) fn push_entry(&mut self, entry: Entry) -> Result<()> {
        let after = self.submitted;
        self.push(Some(entry), Some(after), Vec::new(), false);
        self.flush_if_crowded()?;
        self.write_ready()
    }

    fn flush_if_crowded(&mut self) -> Result<()> {
        if self.waiting.len() > MAX_WAITING { self.flush_shared() } else { Ok(()) }
    }

    /// A whole small file, to stand in a shared block.
    pub(super) fn push_small(&mut self, path: Vec<u8>, attributes: Attributes, bytes: &[u8], mode: Mode) -> Result<()> {
        let id = self.push(None, None, Vec::new(), false);
        let segments =
            if bytes.is_empty() { Vec::new() } else { vec![part_segment(self.share(id, Slot::Segment(0), bytes, mode)?, bytes)] };
        // The block's hash proves its parts: a hash each would be a tenth of the bytes of such files.
        let hashes = segments.is_empty().then(|| FileHashes::of(*blake3::hash(bytes).as_bytes()));
        let file = FileBody { size: bytes.len() as u64, segments, variables: Vec::new(), hashes, same_as: None };
        let entry = Entry { path, body: Body::File(file), attributes: Some(attributes), extensions: Vec::new() };
        let after = self.submitted;
        if let Some(file) = self.file(id) {
            (file.entry, file.after) = (Some(entry), Some(after));
        }
        self.flush_if_crowded()?;
        self.write_ready()
    }

    /// Bytes of a file to stand in a shared block, whose number is filled in when it is known.
    pub(super) fn share(&mut self, id: u64, slot: Slot, bytes: &[u8], mode: Mode) -> Result<PartRef> {
        let target = if mode == Mode::Small { LARGE_SHARED_TARGET } else { SHARED_TARGET };
        if self.shared.len() + bytes.len() > target || (mode != self.shared_mode && !self.shared.is_empty()) {
            self.flush_shared()?;
        }
        self.shared_mode = mode;
        let part = PartRef { block: u64::MAX, offset: self.shared.len() as u64 };
        self.shared.extend_from_slice(bytes);
        self.in_shared.push((id, slot));
        if let Some(file) = self.file(id) {
            file.open_parts += 1;
        }
        Ok(part)
    }

    fn flush_shared(&mut self) -> Result<()> {
        if self.shared.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.shared);
        let number = self.submitted;
        for (id, slot) in std::mem::take(&mut self.in_shared) {
            let Some(waiting) = self.file(id) else { continue };
            waiting.open_parts -= 1;
            waiting.parts.push((slot, number));
        }
        let job = Job {
            place: BlockPlace::Shared,
            dtype: DType::Bytes,
            big_endian: false,
            shape: vec![bytes.len() as u64],
            bytes,
            tolerance: None,
            mode: self.shared_mode,
            variable: None,
            fate: Fate::Dropped,
            numbers: None,
            precedent: None,
        };
        self.submit(None, job)
    }

    /// Begins a file whose blocks follow; `bounds` has one item a variable.
    pub(super) fn begin_file(&mut self, bounds: Vec<Vec<Bound>>, lossy: bool) -> u64 {
        self.push(None, None, bounds, lossy)
    }

    /// The number that the next block submitted will have.
    pub(super) fn next_block(&self) -> u64 {
        self.submitted
    }

    /// Bytes of a file at work that are restored as they are, whatever block they stand in.
    pub(super) fn exact(&mut self, id: u64, bytes: &[u8]) {
        let Some(file) = self.file(id) else { return };
        match &mut file.restored {
            Some(restored) if file.pieces.is_empty() => {
                restored.update(bytes);
            }
            Some(_) => file.pieces.push_back(Piece::Bytes(bytes.to_vec())),
            None => {}
        }
    }

    /// As [`Job::follow`].
    pub(super) fn follow(&self, job: &mut Job, before: &mut Option<Arc<Precedent>>, k: u64, n: u64) {
        job.follow(&self.registry, &*self.planner, before, k, n);
    }

    /// A block of a file at work, in file order.
    pub(super) fn submit(&mut self, owner: Option<u64>, job: Job) -> Result<()> {
        if matches!(job.fate, Fate::Hashed)
            && let Some(file) = owner.and_then(|id| self.file(id))
        {
            file.pieces.push_back(Piece::Block);
        }
        let (registry, planner, number) = (Arc::clone(&self.registry), Arc::clone(&self.planner), self.submitted);
        self.submitted += 1;
        self.owners.push_back(owner);
        match self.lane.submit(move || code(&registry, &*planner, number, job))? {
            Some(coded) => self.write(coded?),
            None => Ok(()),
        }
    }

    /// Waits until all blocks submitted are written.
    pub(super) fn settle(&mut self) -> Result<()> {
        while let Some(coded) = self.lane.next()? {
            self.write(coded?)?;
        }
        Ok(())
    }

    /// A file of the same content as an earlier one.
    pub(super) fn push_twin(&mut self, twin: Twin) -> Result<()> {
        let after = self.submitted;
        let id = self.push(None, Some(after), Vec::new(), false);
        if let Some(file) = self.file(id) {
            file.twin = Some(twin);
        }
        self.flush_if_crowded()?;
        self.write_ready()
    }

    /// Ends a file. `entry` has everything but the receipts and the restored hash of a lossy one. Others may be
    /// the same, if a `glance` was taken at it.
    pub(super) fn end_file(&mut self, id: u64, entry: Entry, glance: Option<Glance>) -> Result<()> {
        let after = self.submitted;
        let content = match (&entry.body, glance) {
            (Body::File(FileBody { hashes: Some(hashes), .. }), Some(glance)) => self.twins.add(glance, hashes.original),
            _ => None,
        };
        if let Some(file) = self.file(id) {
            (file.entry, file.content) = (Some(entry), content);
            file.after = Some(after);
        }
        self.write_ready()
    }

    /// Gives a file up; blocks already submitted stay without an owner.
    pub(super) fn drop_file(&mut self, id: u64) {
        let after = self.submitted;
        if let Some(file) = self.file(id) {
            file.dropped = true;
            file.after = Some(after);
        }
    }

    fn write(&mut self, coded: Coded) -> Result<()> {
        let frame_len = self.writer.block(&coded.block, coded.decoded_len, &coded.payload)?;
        self.written += 1;
        let owner = self.owners.pop_front().flatten();
        if let Some(file) = owner.and_then(|id| self.file(id)).filter(|file| !file.dropped) {
            if let Some(running) = coded.variable.and_then(|v| file.variables.get_mut(v)) {
                running.coded_bytes += frame_len;
                let number = coded.block.number;
                running.reason = running.reason.take().or(coded.reason.map(|reason| (number, reason)));
                running.pipeline.get_or_insert(coded.pipeline);
                running.receipt = match (running.receipt.take(), coded.block.receipt) {
                    (Some(a), Some(b)) => Some(check::join(&a, &b, running.words)),
                    (a, b) => a.or(b),
                };
                running.words += coded.n_words;
            }
            if let Some(decoded) = coded.decoded {
                if let (Some(Piece::Block), Some(restored)) = (file.pieces.pop_front(), &mut file.restored) {
                    restored.update(&decoded);
                }
                file.hash_bytes();
            }
        }
        self.write_ready()
    }

    /// Writes the entries at the front whose blocks are all written.
    fn write_ready(&mut self) -> Result<()> {
        while self.waiting.front().is_some_and(|waiting| waiting.is_ready(self.written)) {
            let Some(mut waiting) = self.waiting.pop_front() else { break };
            self.first += 1;
            if let Some(twin) = waiting.twin.take() {
                let entry = self.twins.entry(twin)?;
                self.report_twin(&entry);
                self.writer.entry(&entry)?;
                continue;
            }
            let Some(mut entry) = waiting.entry.take().filter(|_| !waiting.dropped) else { continue };
            let mut choices = Vec::new();
            if let Body::File(file) = &mut entry.body {
                for &(slot, number) in &waiting.parts {
                    match slot {
                        Slot::Segment(at) => {
                            if let Some(Segment::Part { block, .. }) = file.segments.get_mut(at) {
                                *block = number;
                            }
                        }
                        Slot::Variable(at) => {
                            if let Some(part) = file.variables.get_mut(at).and_then(|variable| variable.part.as_mut()) {
                                part.block = number;
                            }
                        }
                    }
                }
                let with_reasons = waiting.variables.iter().enumerate().filter_map(|(i, running)| Some((i, running.reason.as_ref()?)));
                choices.extend(with_reasons.map(|(i, (block, reason))| Choice {
                    variable: i as u32,
                    block: *block,
                    over: reason.over.clone(),
                    saved: reason.saved,
                }));
                for ((variable, running), bounds) in file.variables.iter_mut().zip(&waiting.variables).zip(&waiting.bounds) {
                    variable.receipt.clone_from(&running.receipt);
                    if !bounds.is_empty() {
                        self.reports.push(VariableReport {
                            path: entry.path.clone(),
                            name: variable.name.clone(),
                            dtype: variable.dtype,
                            shape: variable.index_shape(),
                            bounds: bounds.clone(),
                            receipt: running.receipt.clone(),
                            raw_bytes: variable.check()?,
                            coded_bytes: running.coded_bytes,
                            pipeline: running.pipeline.clone().unwrap_or_default(),
                            reason: running.reason.as_ref().map(|(_, reason)| reason.clone()),
                        });
                    }
                }
                waiting.hash_bytes();
                if let (Some(restored), Some(hashes)) = (&waiting.restored, &mut file.hashes) {
                    hashes.restored = *restored.finalize().as_bytes();
                }
            }
            entry.add_choices(&choices)?;
            if let Some(content) = &waiting.content {
                self.twins.keep(content, &entry)?;
            }
            self.writer.entry(&entry)?;
        }
        Ok(())
    }

    /// The variables of a file that has no blocks of its own.
    fn report_twin(&mut self, entry: &Entry) {
        // Reports come in the order of entries.
        let first = self.reports.partition_point(|report| path::compare(&report.path, entry.path_of_blocks()).is_lt());
        let of_twin = self.reports[first..].iter().take_while(|report| report.path == entry.path_of_blocks());
        let own: Vec<_> = of_twin.map(|report| VariableReport { path: entry.path.clone(), coded_bytes: 0, ..report.clone() }).collect();
        self.reports.extend(own);
    }

    /// Writes what is left, then index and tail.
    pub(super) fn finish(mut self) -> Result<(W, Tail, u64, Vec<VariableReport>)> {
        self.flush_shared()?;
        self.settle()?;
        self.write_ready()?;
        if !self.waiting.is_empty() {
            return Err(Error::new(errbar_format::Kind::Io, "an entry never got its blocks; please report this"));
        }
        let (out, tail, bytes) = self.writer.finish()?;
        Ok((out, tail, bytes, self.reports))
    }
}

/// The segment of bytes that stand in a shared block.
pub(super) fn part_segment(part: PartRef, bytes: &[u8]) -> Segment {
    Segment::Part { block: part.block, offset: part.offset, length: bytes.len() as u64 }
}

impl Waiting {
    /// Whether all its blocks are among the first `written`.
    fn is_ready(&self, written: u64) -> bool {
        let shared = self.parts.last().is_none_or(|&(_, number)| number < written);
        self.open_parts == 0 && shared && self.after.is_some_and(|after| after <= written)
    }

    /// Hashes the pieces at the front that need no block.
    fn hash_bytes(&mut self) {
        while let (Some(Piece::Bytes(bytes)), Some(restored)) = (self.pieces.front(), &mut self.restored) {
            restored.update(bytes);
            self.pieces.pop_front();
        }
    }
}
