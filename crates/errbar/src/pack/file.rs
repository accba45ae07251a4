//! One file: its pieces, its bounds, its blocks.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use errbar_codec::Tolerance;
use errbar_dissect::{Array, Dissector, Piece, ReadAt, dissect, dissectors};
use errbar_format::limits::MAX_INLINE;
use errbar_format::record::{BlockPlace, Body, Bound, Entry, FileBody, FileHashes, Limit, Segment, Variable};
use errbar_format::{DType, Error, Result};

use super::blocks::Job;
use super::load::{SMALL_FILE, is_plain, still_the_same, unreadable};
use super::{Packer, Run};
use crate::parallel::Pool;
use crate::policy::{Choice, Mode, Policy};
use crate::probe::{self, Part};
use crate::source::{self, Found, Named};
use crate::target::{self, Trials};

/// Bytes of a block of plain bytes, and of those in which numbers are looked for together.
const BYTES_BLOCK: u64 = 4 << 20;
/// … where the size is all that counts: matches reach no farther than the block. lzma takes twelve
/// times as much memory.
const LARGE_BYTES_BLOCK: u64 = 16 << 20;
/// Segments of a file in whose plain bytes numbers are looked for: they all stand in its one entry.
const MAX_PARTS: usize = 512;
/// The bytes to which an array is cut: a slice reads little of small blocks, but what is predicted
/// across a block, and its tables, want large ones.
fn block_bytes(mode: Mode) -> u64 {
    match mode {
        Mode::Fast => 1 << 20,
        Mode::Balanced => 4 << 20,
        Mode::Small => 8 << 20,
    }
}

/// What a variable would get.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Path of the entry.
    pub path: Vec<u8>,
    /// Name of the variable in it; may be empty.
    pub variable: String,
    /// Type of an element.
    pub dtype: DType,
    /// Extent along each dimension, in the order in which the file's own readers index it.
    pub shape: Vec<u64>,
    /// The bounds; none: exact.
    pub bounds: Vec<Bound>,
    /// What they come to; nothing: exact.
    pub limit: Option<Limit>,
    /// Effort.
    pub mode: Mode,
    /// Why, in words.
    pub why: String,
}

/// The pieces of a file and what the policy says of each array.
struct Plan {
    pieces: Vec<Piece>,
    /// One item an array, in order.
    arrays: Vec<ArrayPlan>,
}

struct ArrayPlan {
    bounds: Vec<Bound>,
    tolerance: Option<Arc<Tolerance>>,
    mode: Mode,
    why: String,
}

/// Where a file's data are; the rest of it is holes.
type Runs = Vec<(u64, u64)>;

/// A file's pieces: as a rule declares it, else as its own format says.
pub(super) fn pieces_of(file: &dyn ReadAt, path: &[u8], policy: &Policy) -> Vec<Piece> {
    let declared = policy.raw(path).map(|raw| raw as &dyn Dissector);
    let all: Vec<&dyn Dissector> = declared.into_iter().chain(dissectors().iter().copied()).collect();
    dissect(file, &all).0
}

fn plan_arrays(packer: &Packer, pool: &Pool, file: &File, pieces: Vec<Piece>, path: &[u8]) -> Result<Plan> {
    let mut arrays = Vec::new();
    let mut at = 0;
    for piece in &pieces {
        match piece {
            Piece::Bytes(len) => at += len,
            Piece::Array(array) => {
                let plan = plan_array(packer, pool, (file, at), path, array);
                arrays.push(plan.map_err(|e| e.in_variable(&array.name))?);
                at += array.bytes().unwrap_or(0);
            }
        }
    }
    Ok(Plan { pieces, arrays })
}

fn plan_array(packer: &Packer, pool: &Pool, (file, at): (&File, u64), path: &[u8], array: &Array) -> Result<ArrayPlan> {
    let Choice { bounds, mode, rule } = packer.policy.choice(path, &array.name);
    let mode = mode.unwrap_or(packer.mode);
    let rule = rule.unwrap_or_default();
    let exact = |bounds, why: String| Ok(ArrayPlan { bounds, tolerance: None, mode, why });
    if bounds.is_empty() {
        return exact(bounds, if rule.is_empty() { "no rule matches: exact".into() } else { format!("rule '{rule}'") });
    }
    if !array.dtype.is_float() {
        return exact(Vec::new(), format!("{} is not floating-point: exact, whatever '{rule}' says", array.dtype.name()));
    }
    let cancel = &packer.cancel;
    let trials = Trials { file, at, array, path, mode, registry: &packer.registry, planner: &packer.planner, pool, cancel };
    match trials.tolerance(&bounds)? {
        Some(tolerance) => Ok(ArrayPlan { bounds, tolerance: Some(Arc::new(tolerance)), mode, why: format!("rule '{rule}'") }),
        None => {
            let why = if target::of(&bounds).is_some() { "needs" } else { "allows" };
            exact(bounds, format!("rule '{rule}' {why} no error here: exact"))
        }
    }
}

/// What the variables of one entry would get.
pub(super) fn plan(packer: &Packer, pool: &Pool, found: &Found, planned: &mut Vec<Planned>) -> Result<()> {
    if !found.metadata.is_file() {
        return Ok(());
    }
    let named = |e: Error| e.in_entry(&found.path);
    let (file, _) = source::open(&found.place).map_err(|e| named(unreadable(e)))?;
    let pieces = pieces_of(&file, &found.path, &packer.policy);
    let plan = plan_arrays(packer, pool, &file, pieces, &found.path).map_err(named)?;
    let arrays = plan.pieces.into_iter().filter_map(|piece| match piece {
        Piece::Array(array) => Some(array),
        Piece::Bytes(_) => None,
    });
    planned.extend(arrays.zip(plan.arrays).map(|(array, plan)| Planned {
        path: found.path.clone(),
        dtype: array.dtype,
        shape: array.index_shape(),
        variable: array.name,
        bounds: plan.bounds,
        limit: plan.tolerance.map(|t| t.limit),
        mode: plan.mode,
        why: plan.why,
    }));
    Ok(())
}

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
    // An array with holes would lose them: sparse files are kept as bytes.
    let pieces = if runs.is_some() { vec![Piece::Bytes(size)] } else { pieces_of(&file, &found.path, &policy) };
    if runs.is_none() && size <= SMALL_FILE && is_plain(&pieces) {
        let mut bytes = vec![0; size as usize];
        if let Err(problem) = file.read_at(&mut bytes, 0).map_err(unreadable).and_then(|()| still_the_same(&file, &metadata)) {
            return Ok(Err(problem));
        }
        let mode = policy.choice(&found.path, "").mode.unwrap_or(run.packer.mode);
        run.progress.bytes_done += size;
        return run.blocks.push_small(found.path.clone(), attributes, &bytes, mode).map(Ok);
    }
    let plan = match plan_arrays(run.packer, &run.pool, &file, pieces, &found.path) {
        Ok(plan) => plan,
        Err(problem) => return Ok(Err(problem)),
    };
    let lossy = plan.arrays.iter().any(|array| array.tolerance.is_some());
    let id = run.blocks.begin_file(plan.arrays.iter().map(|array| array.bounds.clone()).collect(), lossy);
    let mut body = FileBody { size, segments: Vec::new(), variables: Vec::new(), hashes: None };
    let mut at_work = AtWork { run, found, file: &file, id, lossy, at: 0, hasher: blake3::Hasher::new(), body: &mut body, problem: None };
    match runs {
        Some(runs) => at_work.sparse(&runs, size)?,
        None => at_work.pieces(plan)?,
    }
    let problem = at_work.problem.take().map_or_else(|| still_the_same(&file, &metadata), Err);
    let hash = *at_work.hasher.finalize().as_bytes();
    if let Err(problem) = problem {
        run.blocks.drop_file(id);
        return Ok(Err(problem));
    }
    body.hashes = Some(FileHashes::of(hash));
    let entry = Entry { path: found.path.clone(), body: Body::File(body), attributes: Some(attributes), extensions: Vec::new() };
    run.blocks.end_file(id, entry).map(Ok)
}

/// A file being cut into blocks, front to back.
struct AtWork<'a, 'b, W: Write> {
    run: &'a mut Run<'b, W>,
    found: &'a Found,
    file: &'a File,
    id: u64,
    lossy: bool,
    at: u64,
    hasher: blake3::Hasher,
    body: &'a mut FileBody,
    /// The first failure to read; everything after it is skipped.
    problem: Option<Error>,
}

impl<W: Write> AtWork<'_, '_, W> {
    /// The next `len` bytes, hashed; nothing after a failure.
    fn read(&mut self, len: u64) -> Option<Vec<u8>> {
        if self.problem.is_some() {
            return None;
        }
        let mut bytes = vec![0; len as usize];
        if let Err(e) = self.file.read_at(&mut bytes, self.at) {
            self.problem = Some(unreadable(e).at(self.at));
            return None;
        }
        self.at += len;
        self.hasher.update(&bytes);
        self.run.progress.bytes_done += len;
        Some(bytes)
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

    fn pieces(&mut self, plan: Plan) -> Result<()> {
        let mut arrays = plan.arrays.into_iter();
        for piece in plan.pieces {
            match (piece, &mut arrays) {
                (Piece::Bytes(len), _) => self.bytes(len)?,
                (Piece::Array(array), arrays) => {
                    let Some(plan) = arrays.next() else { continue };
                    self.array(array, &plan)?;
                }
            }
        }
        Ok(())
    }

    /// Bytes that belong to no array: a few in the entry itself, more in blocks of their own, which
    /// are cut where numbers are found to begin and end.
    fn bytes(&mut self, len: u64) -> Result<()> {
        let mode = self.run.packer.policy.choice(&self.found.path, "").mode.unwrap_or(self.run.packer.mode);
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
                let offset = self.at - held.len() as u64 + at as u64;
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
            self.run.blocks.inline(self.id, &bytes);
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
            lossy_file: self.lossy,
            numbers: part.numbers,
            precedent: None,
        };
        self.submit(job)
    }

    fn submit(&mut self, job: Job) -> Result<()> {
        self.run.packer.check_cancel()?;
        self.run.blocks.submit(Some(self.id), job)?;
        self.run.tick();
        Ok(())
    }

    fn array(&mut self, array: Array, plan: &ArrayPlan) -> Result<()> {
        let first_block = self.run.blocks.next_block();
        let variable = Variable { first_block, ..variable(&array, plan.mode) };
        let index = self.body.variables.len();
        self.body.segments.push(Segment::Variable { index: index as u32 });
        let (n_blocks, mut precedent) = (variable.n_blocks().unwrap_or(0), None);
        for k in 0..n_blocks {
            let (origin, shape) = variable.block_box(k);
            let len = shape.iter().product::<u64>() * variable.dtype.size() as u64;
            let Some(bytes) = self.read(len) else { break };
            let mut job = Job {
                place: BlockPlace::Box { path: self.found.path.clone(), variable: variable.name.clone(), origin },
                dtype: variable.dtype,
                big_endian: variable.big_endian,
                shape,
                bytes,
                tolerance: plan.tolerance.clone(),
                mode: plan.mode,
                variable: Some(index),
                lossy_file: self.lossy,
                numbers: None,
                precedent: None,
            };
            self.run.blocks.follow(&mut job, &mut precedent, k, n_blocks);
            self.submit(job)?;
        }
        self.body.variables.push(variable);
        Ok(())
    }
}

/// How an array is stored, its first block numbered 0.
pub(crate) fn variable(array: &Array, mode: Mode) -> Variable {
    Variable {
        name: array.name.clone(),
        dtype: array.dtype,
        big_endian: array.big_endian,
        column_major: array.column_major,
        shape: array.shape.clone(),
        block_shape: block_shape(&array.shape, array.dtype.size() as u64, block_bytes(mode)),
        first_block: 0,
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
