//! One file: its bytes, arrays, records and chunks, front to back.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use errbar_dissect::{Array, Holds, Layout, Place, ReadAt};
use errbar_format::dtype::n_elements;
use errbar_format::limits::MAX_INLINE;
use errbar_format::record::{self, BlockPlace, Body, Entry, FileBody, FileHashes, Piece, Segment, Variable};
use errbar_format::{DType, Error, Result, zstd_frame};

use super::Run;
use super::blocks::{Fate, Job, Slot, part_segment};
use super::load::{SMALL_FILE, is_plain, still_the_same, unreadable};
use super::overlay::Overlay;
use super::plan::{ArrayPlan, Plan, layout_of, plan_arrays};
use super::stream::Undone;
use super::twins::{Glance, Twin};
use crate::planner::Precedent;
use crate::policy::Mode;
use crate::probe::{self, Part};
use crate::source::{self, Found, Named};

/// Bytes of a block of plain bytes, and of those in which numbers are looked for together.
const BYTES_BLOCK: u64 = 4 << 20;
/// … where the size is all that counts: matches reach no farther than the block. lzma takes twelve
/// times as much memory.
const LARGE_BYTES_BLOCK: u64 = 16 << 20;
/// Segments of a file in whose plain bytes numbers are looked for: they all stand in its one entry.
const MAX_PARTS: usize = 512;
/// Records that are coded together, field by field, take this many bytes.
const RECORDS_BYTES: u64 = 16 << 20;
/// Bytes between arrays, and small arrays, up to this many may share blocks with those of other files.
pub(super) const SMALL_GAP: u64 = SMALL_FILE;
/// Bytes of a variable that a block of its own would not make smaller.
const SMALL_VARIABLE: usize = 1 << 10;
/// … and to which zstd makes larger ones that it would not: a block takes about so many bytes beside
/// its values.
const SMALL_CODED: usize = 256;
/// The bytes to which an array is cut: a slice reads little of small blocks, but what is predicted
/// across a block, and its tables, want large ones.
fn block_bytes(mode: Mode) -> u64 {
    match mode {
        Mode::Fast => 1 << 20,
        Mode::Balanced => 4 << 20,
        Mode::Small => 8 << 20,
    }
}

/// Where a file's data are; the rest of it is holes.
type Runs = Vec<(u64, u64)>;

/// Packs a regular file. The outer error is the archive's, the inner one the file's own.
pub(super) fn pack<W: Write>(run: &mut Run<'_, W>, found: &Found) -> Result<Result<()>> {
    let opened = (|| {
        let (file, metadata) = source::open(&found.place).map_err(unreadable)?;
        let runs = source::data_runs(&file, &metadata).map_err(unreadable)?;
        let attributes = run.names.attributes(Named::File(&file), &metadata)?;
        Ok((file, metadata, runs, attributes))
    })();
    let (file, metadata, runs, attributes) = match opened {
        Ok(opened) => opened,
        Err(problem) => return Ok(Err(problem)),
    };
    let size = metadata.len();
    let policy = Arc::clone(&run.packer.policy);
    let mut glance = None;
    if runs.is_none() && size > SMALL_FILE {
        let twin = Glance::at(&file, size, policy.rules_about(&found.path)).and_then(|at| {
            let content = run.blocks.twins.find(&file, glance.insert(at))?;
            still_the_same(&file, &metadata).map(|()| content)
        });
        match twin {
            Ok(None) => {}
            Ok(Some(content)) => {
                run.progress.bytes_done += size;
                return run.blocks.push_twin(Twin { path: found.path.clone(), attributes, content }).map(Ok);
            }
            Err(problem) => return Ok(Err(problem)),
        }
    }
    // An array with holes would lose them: sparse files are kept as bytes.
    let layout = if runs.is_some() { Layout::default() } else { layout_of(&file, found, &policy, run.packer.mode) };
    let file = Arc::new(file);
    let mut plan = match plan_arrays(run.packer, &run.pool, &file, layout, &found.path) {
        Ok(plan) => plan,
        Err(problem) => return Ok(Err(problem)),
    };
    if runs.is_none() && size <= SMALL_FILE && is_plain(&plan.layout) {
        let mut bytes = vec![0; size as usize];
        if let Err(problem) = file.read_at(&mut bytes, 0).map_err(unreadable).and_then(|()| still_the_same(&file, &metadata)) {
            return Ok(Err(problem));
        }
        let mode = policy.choice(&found.path, "").mode.unwrap_or(run.packer.mode);
        run.progress.bytes_done += size;
        return run.blocks.push_small(found.path.clone(), attributes, &bytes, mode).map(Ok);
    }
    let lossy = plan.arrays.iter().any(|array| array.tolerance.is_some());
    let id = run.blocks.begin_file(plan.arrays.iter().map(|array| array.bounds.clone()).collect(), lossy);
    let places = plan.layout.places.iter().chain(plan.streams.places());
    let variables = variables(&plan.layout.arrays, places, &plan.arrays);
    let mut body = FileBody { size, segments: Vec::new(), variables, hashes: None, same_as: None };
    let hasher = blake3::Hasher::new();
    let mut at_work = AtWork {
        run,
        found,
        file: &file,
        id,
        lossy,
        restored: None,
        at: 0,
        shift: 0,
        in_stream: false,
        hasher,
        body: &mut body,
        problem: None,
    };
    at_work.ahead(&mut plan)?;
    match runs {
        Some(runs) => at_work.sparse(&runs, size)?,
        None => at_work.layout(&plan, size)?,
    }
    let problem = at_work.problem.take().map_or_else(|| still_the_same(&file, &metadata), Err);
    let hash = *at_work.hasher.finalize().as_bytes();
    if let Err(problem) = problem {
        run.blocks.drop_file(id);
        return Ok(Err(problem));
    }
    body.hashes = Some(FileHashes::of(hash));
    let entry = Entry { path: found.path.clone(), body: Body::File(body), attributes: Some(attributes), extensions: Vec::new() };
    run.blocks.end_file(id, entry, glance).map(Ok)
}

/// A file being cut into blocks, front to back.
pub(super) struct AtWork<'a, 'b, W: Write> {
    pub(super) run: &'a mut Run<'b, W>,
    found: &'a Found,
    /// What is read: the file or, in a stream, the one that holds its content.
    pub(super) file: &'a Arc<File>,
    pub(super) id: u64,
    lossy: bool,
    /// The file as it will be restored, but for lossy arrays in one piece; nothing where that is the file.
    pub(super) restored: Option<Overlay>,
    /// The next byte of `file`.
    pub(super) at: u64,
    /// What is to be added to `at`, modulo 2^64, for the offset of a run: there a stream counts as its
    /// content.
    shift: u64,
    /// Whether the content of a stream is at work.
    in_stream: bool,
    hasher: blake3::Hasher,
    pub(super) body: &'a mut FileBody,
    /// The first failure to read; everything after it is skipped.
    pub(super) problem: Option<Error>,
}

impl<'a, W: Write> AtWork<'a, '_, W> {
    /// The next `len` bytes as they will be restored, those of the file hashed; nothing after a failure.
    pub(super) fn read(&mut self, len: u64) -> Option<Vec<u8>> {
        if self.problem.is_some() {
            return None;
        }
        let mut bytes = vec![0; len as usize];
        if let Err(e) = self.file.read_at(&mut bytes, self.at) {
            self.problem = Some(unreadable(e).at(self.at));
            return None;
        }
        // Of a stream the bytes themselves were hashed.
        if !self.in_stream {
            self.hasher.update(&bytes);
            self.run.progress.bytes_done += len;
            if let Some(restored) = &self.restored
                && let Err(e) = restored.read_at(&mut bytes, self.at)
            {
                self.problem = Some(unreadable(e).at(self.at));
                return None;
            }
        }
        self.at += len;
        Some(bytes)
    }

    /// Bytes that are restored as they are, whatever block they stand in.
    pub(super) fn exact(&mut self, bytes: &[u8]) {
        if !self.in_stream {
            self.run.blocks.exact(self.id, bytes);
        }
    }

    fn sparse(&mut self, runs: &Runs, size: u64) -> Result<()> {
        for &(start, len) in runs {
            self.hole_until(start);
            self.bytes(len)?;
        }
        self.hole_until(size);
        Ok(())
    }

    fn hole_until(&mut self, end: u64) {
        if end > self.at {
            self.body.segments.push(Segment::Hole { length: end - self.at });
            self.run.progress.bytes_done += end - self.at;
            self.at = end;
        }
    }

    fn layout(&mut self, plan: &'a Plan, size: u64) -> Result<()> {
        let Layout { arrays, places, .. } = &plan.layout;
        self.places(plan, places, size)?;
        // Arrays that no place holds: empty ones, and those of whose chunks none is stored.
        let mut held = vec![false; arrays.len()];
        for place in places.iter().chain(plan.streams.places()) {
            match &place.holds {
                Holds::Array(array) | Holds::Chunk { array, .. } => held[*array] = true,
                Holds::Records(fields) | Holds::Lines(fields, _) | Holds::Scanlines(fields) => held[fields.clone()].fill(true),
                Holds::Stream(..) => {}
            }
        }
        for index in (0..arrays.len()).filter(|&index| !held[index]) {
            match arrays[index].chunks {
                Some(_) if plan.arrays[index].spooled.is_some() => {}
                Some(_) => self.chunked(index, &arrays[index], &[], &plan.arrays[index])?,
                None => self.array(index, &plan.arrays[index])?,
            }
        }
        Ok(())
    }

    /// What stands at these places, and the bytes around them, up to `end`.
    fn places(&mut self, plan: &'a Plan, places: &'a [Place], end: u64) -> Result<()> {
        let shared = places.len() > 1 || self.in_stream;
        let mut chunks: HashMap<usize, Vec<&Place>> = HashMap::new();
        for place in places {
            if let Holds::Chunk { array, .. } = place.holds {
                chunks.entry(array).or_default().push(place);
            }
        }
        for place in places {
            self.gap(place.offset - self.at, shared)?;
            match &place.holds {
                Holds::Stream(..) => self.stream(plan, place)?,
                Holds::Array(array) => self.array(*array, &plan.arrays[*array])?,
                Holds::Records(fields) => self.records(fields.clone(), place.length, &plan.arrays)?,
                Holds::Lines(fields, lines) => self.lines(fields.clone(), lines, place.length, &plan.arrays)?,
                Holds::Scanlines(fields) => self.scanlines(fields.clone(), &plan.arrays)?,
                Holds::Chunk { array, index, skipped } => {
                    // All blocks of an array stand together, where its first chunk does.
                    if let Some(chunks) = chunks.remove(array).filter(|_| plan.arrays[*array].spooled.is_none()) {
                        self.chunked(*array, &plan.layout.arrays[*array], &chunks, &plan.arrays[*array])?;
                    }
                    self.pass(place.length);
                    let (variable, length) = (*array as u32, place.length);
                    self.body.segments.push(Segment::Chunk { variable, index: *index, length, skipped: *skipped });
                }
            }
        }
        self.gap(end - self.at, shared)
    }

    /// A stream that was undone: what it is made of, in its place.
    fn stream(&mut self, plan: &'a Plan, place: &Place) -> Result<()> {
        let Some((undone, spool)) = plan.streams.at(place.offset) else { return Ok(()) };
        let content_at = self.at.wrapping_add(self.shift);
        let end = place.offset + place.length;
        let index = self.body.segments.len();
        let Undone { ref maker, length, crc, at, plain, ref places, .. } = *undone;
        let Some(pieces) = self.pieces(undone.cuts()) else { return Ok(()) };
        while self.at < end {
            let Some(bytes) = self.read((end - self.at).min(BYTES_BLOCK)) else { return Ok(()) };
            self.exact(&bytes);
        }
        self.body.segments.push(Segment::Stream { segments: 0, maker: maker.clone(), length, crc, pieces });
        let file = std::mem::replace(&mut self.file, spool);
        (self.at, self.shift, self.in_stream) = (at, content_at.wrapping_sub(at), true);
        let done = self.places(plan, places, at + plain);
        let content_end = self.at.wrapping_add(self.shift);
        (self.file, self.at, self.shift, self.in_stream) = (file, end, content_end.wrapping_sub(end), false);
        let count = self.body.segments.len() - index - 1;
        if let Some(Segment::Stream { segments, .. }) = self.body.segments.get_mut(index) {
            *segments = count as u32;
        }
        done
    }

    /// The next bytes of the file that are none of the stream which is cut so; nothing after a failure.
    fn pieces(&mut self, cuts: &[(u64, u64)]) -> Option<Vec<Piece>> {
        let mut at = self.at;
        let mut piece = |&(length, behind): &(u64, u64)| {
            let mut bytes = vec![0; behind as usize];
            at += length;
            self.file.read_at(&mut bytes, at).map_err(|e| unreadable(e).at(at))?;
            at += behind;
            Ok(Piece { length, behind: bytes })
        };
        match cuts.iter().map(&mut piece).collect() {
            Ok(pieces) => Some(pieces),
            Err(problem) => {
                self.problem.get_or_insert(problem);
                None
            }
        }
    }

    /// Bytes between arrays. A few of them share a block with others, if there are more of their
    /// kind: files of one format have headers much like one another's.
    fn gap(&mut self, len: u64, shared: bool) -> Result<()> {
        if !shared || len <= MAX_INLINE as u64 || len > SMALL_GAP {
            return self.bytes(len);
        }
        let Some(bytes) = self.read(len) else { return Ok(()) };
        let mode = self.mode();
        self.exact(&bytes);
        let part = self.run.blocks.share(self.id, Slot::Segment(self.body.segments.len()), &bytes, mode)?;
        self.body.segments.push(part_segment(part, &bytes));
        Ok(())
    }

    /// The mode of bytes that belong to no array.
    fn mode(&self) -> Mode {
        self.run.packer.policy.choice(&self.found.path, "").mode.unwrap_or(self.run.packer.mode)
    }

    /// Bytes that belong to no array: a few in the entry itself, more in blocks of their own, which
    /// are cut where numbers are found to begin and end.
    fn bytes(&mut self, len: u64) -> Result<()> {
        let mode = self.mode();
        let window = if mode == Mode::Small { LARGE_BYTES_BLOCK } else { BYTES_BLOCK };
        let mut left = len;
        let mut held = Vec::new();
        let mut open = None;
        while left > 0 || !held.is_empty() {
            let Some(read) = self.read(left.min(window - held.len() as u64)) else { return Ok(()) };
            left -= read.len() as u64;
            held.extend(read);
            let mut parts = match mode {
                Mode::Balanced | Mode::Small if self.body.segments.len() < MAX_PARTS => probe::parts(&held),
                _ => vec![Part { len: held.len(), numbers: None }],
            };
            // What ends within a row goes on.
            if left > 0 && parts.len() > 1 {
                parts.pop_if(|last| last.numbers.is_none() && last.len < held.len() / 2);
            }
            let mut at = 0;
            for part in parts {
                let bytes = held[at..at + part.len].to_vec();
                let offset = self.at.wrapping_add(self.shift) - held.len() as u64 + at as u64;
                at += part.len;
                self.part(offset, bytes, part, mode, &mut open)?;
            }
            held.drain(..at);
        }
        Ok(())
    }

    /// Bytes that are coded together. `open` is the run of blocks before them, if there is one.
    fn part(&mut self, offset: u64, bytes: Vec<u8>, part: Part, mode: Mode, open: &mut Option<u64>) -> Result<()> {
        let len = bytes.len() as u64;
        if bytes.len() <= MAX_INLINE {
            self.exact(&bytes);
            self.body.segments.push(Segment::Inline(bytes));
            *open = None;
            return Ok(());
        }
        let next = self.run.blocks.next_block();
        match self.body.segments.last_mut() {
            Some(Segment::Run { block_len, length, .. })
                if open.is_some_and(|end| end == next) && *length % *block_len == 0 && len <= *block_len =>
            {
                *length += len;
            }
            _ => self.body.segments.push(Segment::Run { first_block: next, block_len: len, length: len }),
        }
        *open = Some(next + 1);
        let job = Job {
            place: BlockPlace::Run { path: self.found.path.clone(), offset },
            dtype: DType::Bytes,
            big_endian: false,
            shape: vec![len],
            bytes,
            tolerance: None,
            mode,
            variable: None,
            fate: if self.lossy && !self.in_stream { Fate::Hashed } else { Fate::Dropped },
            numbers: part.numbers,
            precedent: None,
        };
        self.submit(job)
    }

    /// The next `len` bytes, which blocks hold that have been submitted.
    pub(super) fn pass(&mut self, mut len: u64) {
        while len > 0 {
            let Some(bytes) = self.read(len.min(BYTES_BLOCK)) else { return };
            self.run.blocks.exact(self.id, &bytes);
            len -= bytes.len() as u64;
        }
    }

    fn submit(&mut self, job: Job) -> Result<()> {
        self.run.packer.check_cancel()?;
        self.run.blocks.submit(Some(self.id), job)?;
        self.run.tick();
        Ok(())
    }

    /// Puts all elements of a variable into the entry or a shared block, if a block of their own would
    /// take more. Gives whether it did.
    pub(super) fn without_block(&mut self, index: usize, bytes: &[u8], plan: &ArrayPlan) -> Result<bool> {
        let small = (1..=SMALL_GAP as usize).contains(&bytes.len());
        if plan.tolerance.is_some() || !small || (bytes.len() > SMALL_VARIABLE && zstd_frame::compress(bytes, 1)?.len() > SMALL_CODED) {
            return Ok(false);
        }
        match bytes.len() <= MAX_INLINE {
            true => self.body.variables[index].inline = bytes.to_vec(),
            false => {
                let part = self.run.blocks.share(self.id, Slot::Variable(index), bytes, plan.mode)?;
                self.body.variables[index].part = Some(part);
            }
        }
        Ok(true)
    }

    /// The `k`-th block of a variable, numbered as the next one. It may follow the plan of another,
    /// `precedent`.
    pub(super) fn block(
        &mut self,
        index: usize,
        k: u64,
        (bytes, fate): (Vec<u8>, Fate),
        plan: &ArrayPlan,
        precedent: &mut Option<Arc<Precedent>>,
    ) -> Result<()> {
        let variable = &self.body.variables[index];
        let (origin, shape) = variable.block_box(k);
        let n_blocks = variable.n_blocks().unwrap_or(0);
        let mut job = Job {
            place: BlockPlace::Box { path: self.found.path.clone(), variable: variable.name.clone(), origin },
            dtype: variable.dtype,
            big_endian: variable.big_endian,
            shape,
            bytes,
            tolerance: plan.tolerance.clone(),
            mode: plan.mode,
            variable: Some(index),
            fate: if self.in_stream { Fate::Dropped } else { fate },
            numbers: None,
            precedent: None,
        };
        self.run.blocks.follow(&mut job, precedent, k, n_blocks);
        self.submit(job)
    }

    /// An array that stands in one piece.
    fn array(&mut self, index: usize, plan: &ArrayPlan) -> Result<()> {
        self.body.segments.push(Segment::Variable { index: index as u32 });
        let (mut first_block, mut precedent) = (None, None);
        let all = self.body.variables[index].bytes().unwrap_or(0);
        if plan.spooled.is_some() {
            // Its blocks went ahead.
            self.at += all;
            return Ok(());
        }
        if all <= SMALL_GAP {
            let Some(bytes) = self.read(all) else { return Ok(()) };
            if self.without_block(index, &bytes, plan)? {
                self.exact(&bytes);
                return Ok(());
            }
            first_block = Some(bytes);
        }
        self.body.variables[index].first_block = self.run.blocks.next_block();
        for k in 0..self.body.variables[index].n_blocks().unwrap_or(0) {
            let variable = &self.body.variables[index];
            let len = variable.block_box(k).1.iter().product::<u64>() * variable.dtype.size() as u64;
            let Some(bytes) = first_block.take().or_else(|| self.read(len)) else { break };
            let fate = if self.lossy { Fate::Hashed } else { Fate::Dropped };
            self.block(index, k, (bytes, fate), plan, &mut precedent)?;
        }
        Ok(())
    }
}

/// Bytes of a field in one record.
pub(crate) fn record_bytes(field: &Variable) -> usize {
    field.shape[1..].iter().product::<u64>() as usize * field.dtype.size()
}

/// The variables of a file, without their blocks.
pub(super) fn variables<'p>(arrays: &[Array], places: impl Iterator<Item = &'p Place>, plans: &[ArrayPlan]) -> Vec<Variable> {
    let mut variables: Vec<Variable> = arrays.iter().zip(plans).map(|(array, plan)| variable(array, plan.mode)).collect();
    for place in places {
        if let Holds::Records(fields) | Holds::Lines(fields, _) = &place.holds {
            let fields = &mut variables[fields.clone()];
            let record: u64 = fields.iter().map(|field| record_bytes(field) as u64).sum();
            let rows = (RECORDS_BYTES / record.max(1)).max(1);
            for field in fields {
                field.block_shape = field.shape.iter().map(|&n| n.max(1)).collect();
                field.block_shape[0] = rows.min(field.block_shape[0]);
            }
        }
        if let Holds::Scanlines(fields) = &place.holds
            && let [types, pixels] = &mut variables[fields.clone()]
        {
            // A row is shorter than any block.
            types.block_shape[0] = pixels.block_shape[0];
        }
    }
    variables
}

/// How an array is stored, its first block numbered 0.
pub(crate) fn variable(array: &Array, mode: Mode) -> Variable {
    let (item, bytes) = (array.dtype.size() as u64, block_bytes(mode));
    let of_chunks = |chunks: &errbar_dissect::Chunks| record::Chunks {
        shape: chunks.shape.clone(),
        filters: chunks.filters.clone(),
        padding: chunks.padding.clone(),
    };
    Variable {
        name: array.name.clone(),
        dtype: array.dtype,
        big_endian: array.big_endian,
        column_major: array.column_major,
        shape: array.shape.clone(),
        block_shape: match &array.chunks {
            None => block_shape(&array.shape, item, bytes),
            Some(chunks) => block_shape_of_chunks(&array.shape, &chunks.shape, item, bytes),
        },
        first_block: 0,
        block_step: 1,
        inline: Vec::new(),
        part: None,
        chunks: array.chunks.as_ref().map(of_chunks),
        receipt: None,
    }
}

/// The extent of a block: a run of the file, so that files of any size stream through. Inner
/// dimensions are whole, one is cut into equal parts, outer ones are 1.
fn block_shape(shape: &[u64], item: u64, bytes: u64) -> Vec<u64> {
    let mut block = vec![1; shape.len()];
    let mut inner = item;
    for axis in (0..shape.len()).rev() {
        let whole = inner.saturating_mul(shape[axis]);
        if whole > bytes {
            let parts = whole.div_ceil(bytes).min(shape[axis]);
            block[axis] = shape[axis].div_ceil(parts);
            break;
        }
        block[axis] = shape[axis].max(1);
        inner = whole.max(item);
    }
    block
}

/// The same for an array in chunks, each of which lies in one block: as many chunks as may be, in C
/// order of their grid.
fn block_shape_of_chunks(shape: &[u64], chunk: &[u64], item: u64, bytes: u64) -> Vec<u64> {
    let mut block = chunk.to_vec();
    for axis in (0..shape.len()).rev() {
        block[axis] = 1;
        let rest = n_elements(&block).and_then(|n| n.checked_mul(item)).unwrap_or(u64::MAX);
        let most = (bytes / rest / chunk[axis]).max(1);
        block[axis] = (most * chunk[axis]).min(shape[axis].next_multiple_of(chunk[axis]).max(chunk[axis]));
        if block[axis] < shape[axis] {
            break;
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_runs_of_the_file_of_about_one_size() {
        assert_eq!(block_shape(&[], 8, 1 << 20), [0u64; 0]);
        assert_eq!(block_shape(&[0, 5], 4, 1 << 20), [1, 5]);
        assert_eq!(block_shape(&[100, 100], 4, 1 << 20), [100, 100]);
        assert_eq!(block_shape(&[1000, 512, 512], 4, 1 << 20), [1, 512, 512]);
        assert_eq!(block_shape(&[10, (1 << 18) + 1], 4, 1 << 20), [1, (1 << 17) + 1]);
        assert_eq!(block_shape(&[1 << 40], 8, 1 << 20), [1 << 17]);
        for shape in [&[7, 1 << 20][..], &[3, 5, 7, 100_000], &[1 << 33], &[2, 2, 2, 2, 2, 2, 2, 1 << 17]] {
            let block = block_shape(shape, 8, 1 << 20);
            assert!(block.iter().product::<u64>() * 8 <= 2 << 20, "{shape:?} {block:?}");
        }
    }
}
