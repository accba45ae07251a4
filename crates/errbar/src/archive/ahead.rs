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
    let mut ranges = Vec::new();
    // Chunks of one block mostly stand together, as do parts of one.
    let mut last_of: HashMap<Option<u32>, u64> = HashMap::new();
    let mut once = |ranges: &mut Vec<Range<u64>>, of: Option<u32>, number: u64| {
        if last_of.insert(of, number) != Some(number) {
            ranges.push(number..number.saturating_add(1));
        }
    };
    for segment in &file.segments {
        match segment {
            Segment::Inline(_) | Segment::Hole { .. } | Segment::Stream { .. } => {}
            Segment::Part { block, .. } => once(&mut ranges, None, *block),
            Segment::Run { first_block, block_len, length } => {
                ranges.push(*first_block..first_block.saturating_add(length.div_ceil(*block_len)));
            }
            Segment::Variable { .. } | Segment::Records { .. } | Segment::Lines { .. } | Segment::Scanlines { .. } => {
                let fields = file.fields_of(segment).unwrap_or_default();
                fields.iter().filter_map(|field| field.part).for_each(|part| once(&mut ranges, None, part.block));
                let own = fields.iter().filter(|field| field.is_in_blocks() && field.n_blocks() != Some(0));
                // The blocks of several fields take turns.
                let together = own.clone().any(|field| field.n_blocks() != Some(1));
                let own: Vec<Range<u64>> = own.map(numbers).collect();
                match together {
                    true => ranges.extend(own.into_iter().reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))),
                    false => ranges.extend(own),
                }
            }
            Segment::Chunk { variable, index, .. } => {
                let of = &file.variables[*variable as usize];
                match of.part {
                    Some(part) => once(&mut ranges, None, part.block),
                    None if of.is_in_blocks() => {
                        once(&mut ranges, Some(*variable), of.block_number(of.block_of(&of.chunk_box(*index).0)));
                    }
                    None => {}
                }
            }
        }
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// From the first block of a variable, which has some, to the last one.
fn numbers(variable: &Variable) -> Range<u64> {
    let last = variable.n_blocks().unwrap_or(0).saturating_sub(1);
    variable.first_block..variable.block_number(last).saturating_add(1)
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
        loop {
            self.fill()?;
            if let Some(entry) = self.ahead.pop_front() {
                return entry.map(Some);
            }
            // All that is in flight belongs to a file that was given up: it makes room.
            if self.take_result()?.is_none() {
                return Ok(None);
            }
        }
    }

    /// The oldest result in flight.
    fn take_result(&mut self) -> Result<Option<(u64, Result<Decoded>)>> {
        let result = match self.result.take() {
            None => self.lane.next()?,
            result => result,
        };
        if result.is_some() {
            let (queue, sum) = &mut self.in_flight;
            *sum -= queue.pop_front().unwrap_or(0);
        }
        Ok(result)
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
            // Asked for out of order, which costs only speed.
            let Some((found, result)) = self.take_result()? else { return self.archive.decoded(number).map(Arc::new) };
            if found == number {
                let decoded = Arc::new(result?);
                self.last = Some((number, Arc::clone(&decoded)));
                return Ok(decoded);
            }
        }
    }
}
