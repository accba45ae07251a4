//! The entries of an archive with their blocks decoded ahead.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use errbar_format::Result;
use errbar_format::limits::MAX_BLOCK;
use errbar_format::record::{Body, Entry, FileBody, Segment, Variable};

use super::Archive;
use super::content::{BlockSource, Decoded};
use super::index::Entries;
use crate::parallel::{Lane, Pool};

/// Entries that may be looked at ahead of the one at work.
const MAX_AHEAD: usize = 4096;

/// The numbers of the blocks that a file's content is made of, in the order of need, as ranges.
pub(crate) fn block_ranges(file: &FileBody) -> Vec<Range<u64>> {
    // Chunks of one block mostly stand together, as do parts of one.
    let mut last_of: HashMap<Option<u32>, u64> = HashMap::new();
    let mut once = |of: Option<u32>, number: u64| match last_of.insert(of, number) == Some(number) {
        true => 0..0,
        false => number..number.saturating_add(1),
    };
    let of = |segment: &Segment| match segment {
        Segment::Inline(_) | Segment::Hole { .. } => 0..0,
        Segment::Part { block, .. } => once(None, *block),
        Segment::Run { first_block, block_len, length } => *first_block..first_block.saturating_add(length.div_ceil(*block_len)),
        Segment::Variable { index } => numbers(&file.variables[*index as usize], &mut once),
        // The blocks of the fields take turns.
        Segment::Records { first, count } => {
            let fields = file.fields(*first, *count).unwrap_or_default();
            let first = fields.iter().find(|field| field.is_in_blocks()).or(fields.first());
            first.map_or(0..0, |field| numbers(field, &mut once))
        }
        Segment::Chunk { variable, index, .. } => {
            let of = &file.variables[*variable as usize];
            match of.is_in_blocks() {
                true => once(Some(*variable), of.block_number(of.block_of(&of.chunk_box(*index).0))),
                false => numbers(of, &mut once),
            }
        }
    };
    file.segments.iter().map(of).filter(|range| !range.is_empty()).collect()
}

/// The numbers of the blocks that hold a variable.
fn numbers(variable: &Variable, once: &mut impl FnMut(Option<u32>, u64) -> Range<u64>) -> Range<u64> {
    match variable.part {
        Some(part) => once(None, part.block),
        None => variable.first_block..variable.block_number(variable.n_blocks().unwrap_or(0)),
    }
}

/// The entries of an archive with their blocks decoded ahead, on several threads, in the order in
/// which they will be asked for.
pub(crate) struct Content<F> {
    archive: Archive,
    entries: Entries,
    pool: Pool,
    wanted: F,
    ahead: VecDeque<Result<Entry>>,
    /// The blocks of the last entry ahead that are not submitted yet.
    cursor: std::iter::Flatten<std::vec::IntoIter<Range<u64>>>,
    /// A block that waits for others to be taken.
    next: Option<(u64, u64)>,
    lane: Lane<(u64, Result<Decoded>)>,
    /// Decoded bytes of the blocks in the lane, oldest first, and their sum.
    in_flight: (VecDeque<u64>, u64),
    submitted: Option<u64>,
    result: Option<(u64, Result<Decoded>)>,
    last: Option<(u64, Arc<Decoded>)>,
}

impl<F: FnMut(&Entry) -> bool> Content<F> {
    /// The entries that are `wanted`.
    pub(crate) fn new(archive: &Archive, threads: usize, wanted: F) -> Result<Content<F>> {
        let pool = Pool::new(threads)?;
        Ok(Content {
            archive: archive.clone(),
            entries: archive.entries(),
            wanted,
            ahead: VecDeque::new(),
            cursor: Vec::new().into_iter().flatten(),
            next: None,
            lane: Lane::on(&pool),
            pool,
            in_flight: (VecDeque::new(), 0),
            submitted: None,
            result: None,
            last: None,
        })
    }

    /// The next block to submit, with its decoded bytes; looks at further entries as needed. A
    /// block that several neighbours need is submitted once.
    fn next_block(&mut self) -> Option<(u64, u64)> {
        loop {
            if let Some(number) = self.cursor.next() {
                if self.submitted.replace(number) != Some(number) {
                    return Some((number, self.archive.find_block(number).map_or(0, |place| place.decoded_len)));
                }
                continue;
            }
            if self.ahead.len() >= MAX_AHEAD {
                return None;
            }
            match self.entries.next()? {
                Ok(entry) if !(self.wanted)(&entry) => {}
                Ok(entry) => {
                    if let Body::File(file) = &entry.body {
                        self.cursor = block_ranges(file).into_iter().flatten();
                    }
                    self.ahead.push_back(Ok(entry));
                }
                Err(e) => self.ahead.push_back(Err(e)),
            }
        }
    }

    /// Keeps the lane full, but not so full that it takes much memory.
    fn fill(&mut self) -> Result<()> {
        while self.result.is_none() && self.lane.has_room() {
            let Some((number, len)) = self.next.take().or_else(|| self.next_block()) else { break };
            let (queue, sum) = &mut self.in_flight;
            if !queue.is_empty() && sum.saturating_add(len) > MAX_BLOCK {
                self.next = Some((number, len));
                break;
            }
            queue.push_back(len);
            *sum += len;
            let archive = self.archive.clone();
            self.result = self.lane.submit(move || (number, archive.decoded(number)))?;
        }
        Ok(())
    }

    /// The next entry wanted.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.fill()?;
        self.ahead.pop_front().transpose()
    }
}

impl<F: FnMut(&Entry) -> bool> BlockSource for Content<F> {
    fn lane(&self) -> Option<Lane<Result<Vec<u8>>>> {
        Some(Lane::on(&self.pool))
    }

    fn decoded(&mut self, number: u64) -> Result<Arc<Decoded>> {
        if let Some((_, decoded)) = self.last.as_ref().filter(|(last, _)| *last == number) {
            return Ok(Arc::clone(decoded));
        }
        self.last = None;
        // Results come in the order of need; those of a file that was given up are passed over.
        loop {
            self.fill()?;
            let result = match self.result.take() {
                None => self.lane.next()?,
                result => result,
            };
            // Asked for out of order, which costs only speed.
            let Some((found, result)) = result else { return self.archive.decoded(number).map(Arc::new) };
            let (queue, sum) = &mut self.in_flight;
            *sum -= queue.pop_front().unwrap_or(0);
            if found == number {
                let decoded = Arc::new(result?);
                self.last = Some((number, Arc::clone(&decoded)));
                return Ok(decoded);
            }
        }
    }
}
