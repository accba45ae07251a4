//! Arrays that stand in records, in chunks or in streams: the blocks of exact ones where their file has them,
//! those under a bound ahead of the file's bytes.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use errbar_dissect::{Array, Holds, Place, ReadAt};
use errbar_format::Result;
use errbar_format::record::Segment;

use super::blocks::Fate;
use super::chunks::ChunkReader;
use super::file::{AtWork, SMALL_GAP, record_bytes};
use super::load::unreadable;
use super::plan::{ArrayPlan, Plan};
use super::restore::restore;
use crate::planner::Precedent;

impl<W: Write> AtWork<'_, '_, W> {
    /// Codes the records, chunks and streams that a bound reaches, and finds what the file becomes by it: where an
    /// index stands before its chunks, no other order will do.
    pub(super) fn ahead(&mut self, plan: &mut Plan) -> Result<()> {
        if plan.arrays.iter().all(|array| array.spooled.is_none()) {
            return Ok(());
        }
        for place in &plan.layout.places {
            if let Holds::Records(fields) = &place.holds
                && are_bounded(fields, &plan.arrays)
            {
                self.record_blocks(fields.clone(), &plan.arrays, Some(place.offset))?;
            }
        }
        let in_streams = plan.streams.replaceable();
        for (index, array) in plan.layout.arrays.iter().enumerate() {
            if array.chunks.is_some() || in_streams.contains_key(&index) {
                self.spooled_blocks(index, &plan.arrays[index])?;
            }
        }
        self.run.blocks.settle()?;
        if self.problem.is_none() {
            match restore(self.run.packer, &self.run.pool, self.file, plan, &self.body.variables) {
                Ok(restored) => self.restored = Some(restored),
                Err(problem) => self.problem = Some(problem),
            }
        }
        Ok(())
    }

    /// The blocks of an array in chunks or in a stream, if a bound reaches it.
    fn spooled_blocks(&mut self, index: usize, plan: &ArrayPlan) -> Result<()> {
        let Some(spooled) = &plan.spooled else { return Ok(()) };
        self.body.variables[index].first_block = self.run.blocks.next_block();
        let mut precedent = None;
        for k in 0..self.body.variables[index].n_blocks().unwrap_or(0) {
            let (spool, at) = spooled.place(k);
            self.block(index, k, (spooled.block(k)?, Fate::Spooled(spool, at)), plan, &mut precedent)?;
        }
        Ok(())
    }

    /// Records, of `length` bytes together.
    pub(super) fn records(&mut self, fields: Range<usize>, length: u64, plans: &[ArrayPlan]) -> Result<()> {
        self.body.segments.push(Segment::Records { first: fields.start as u32, count: fields.len() as u32 });
        if are_bounded(&fields, plans) {
            self.pass(length);
            return Ok(());
        }
        self.record_blocks(fields, plans, None)
    }

    /// The blocks of records, some records at a time, those of their fields in turn: of the next ones of
    /// the file, or of those at `ahead`.
    fn record_blocks(&mut self, fields: Range<usize>, plans: &[ArrayPlan], mut ahead: Option<u64>) -> Result<()> {
        let widths: Vec<usize> = self.body.variables[fields.clone()].iter().map(record_bytes).collect();
        let rows = self.begin_rows(fields.clone());
        let mut precedents = vec![None; fields.len()];
        for (k, n) in (0..).zip(&rows) {
            let len = n * widths.iter().sum::<usize>() as u64;
            let bytes = match &mut ahead {
                None => self.read(len),
                Some(at) => self.look(std::mem::replace(at, *at + len), len),
            };
            let Some(bytes) = bytes else { break };
            if ahead.is_none() {
                self.exact(&bytes);
            }
            self.row(fields.clone(), (k, rows.len()), columns(&bytes, &widths), plans, &mut precedents)?;
        }
        Ok(())
    }

    /// Numbers the blocks of fields that take turns. Gives how many records each row of them holds.
    pub(super) fn begin_rows(&mut self, fields: Range<usize>) -> Vec<u64> {
        let mut next = self.run.blocks.next_block()..;
        let step = fields.len() as u64;
        let fields = &mut self.body.variables[fields];
        for variable in &mut *fields {
            (variable.first_block, variable.block_step) = (next.next().unwrap_or(0), step);
        }
        (0..fields[0].grid()[0]).map(|k| fields[0].block_box(k).1[0]).collect()
    }

    /// The `k`-th of `n_rows` rows of blocks, from the elements of each field.
    pub(super) fn row(
        &mut self,
        fields: Range<usize>,
        (k, n_rows): (u64, usize),
        columns: Vec<Vec<u8>>,
        plans: &[ArrayPlan],
        precedents: &mut [Option<Arc<Precedent>>],
    ) -> Result<()> {
        for ((index, column), precedent) in fields.zip(columns).zip(precedents) {
            if n_rows == 1 {
                if self.without_block(index, &column, &plans[index])? {
                    continue;
                }
                // Others may have come between.
                self.body.variables[index].first_block = self.run.blocks.next_block();
            }
            let fate = match plans[index].spooled.as_ref().map(|spooled| spooled.place(k)) {
                Some((spool, at)) => Fate::Spooled(spool, at),
                None => Fate::Dropped,
            };
            self.block(index, k, (column, fate), &plans[index], precedent)?;
        }
        Ok(())
    }

    /// Bytes of the file whose turn has not come; nothing after a failure.
    fn look(&mut self, at: u64, len: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        if self.problem.is_none()
            && let Err(e) = self.file.read_at(&mut bytes, at)
        {
            self.problem = Some(unreadable(e).at(at));
        }
        self.problem.is_none().then_some(bytes)
    }

    /// The blocks of an array that is stored in chunks and stays as it is.
    pub(super) fn chunked(&mut self, index: usize, array: &Array, chunks: &[&Place], plan: &ArrayPlan) -> Result<()> {
        if let Err(problem) = self.read_chunks(index, &ChunkReader::new(self.file, array, chunks), plan)? {
            self.problem.get_or_insert(problem);
        }
        Ok(())
    }

    /// The outer error is the archive's, the inner one the file's.
    fn read_chunks(&mut self, index: usize, reader: &ChunkReader<'_>, plan: &ArrayPlan) -> Result<Result<()>> {
        let shape = self.body.variables[index].shape.clone();
        if self.body.variables[index].bytes().is_some_and(|bytes| bytes <= SMALL_GAP) {
            match reader.read(&vec![0; shape.len()], &shape) {
                Ok(bytes) if self.without_block(index, &bytes, plan)? => return Ok(Ok(())),
                Ok(_) => {}
                Err(problem) => return Ok(Err(problem)),
            }
        }
        self.body.variables[index].first_block = self.run.blocks.next_block();
        for k in 0..self.body.variables[index].n_blocks().unwrap_or(0) {
            let (origin, shape) = self.body.variables[index].block_box(k);
            match reader.read(&origin, &shape) {
                Ok(bytes) => self.block(index, k, (bytes, Fate::Dropped), plan, &mut None)?,
                Err(problem) => return Ok(Err(problem)),
            }
        }
        Ok(Ok(()))
    }
}

/// Whether a bound reaches one of these fields of records.
fn are_bounded(fields: &Range<usize>, plans: &[ArrayPlan]) -> bool {
    plans[fields.clone()].iter().any(|plan| plan.spooled.is_some())
}

/// The bytes of each field, in fields of these widths.
pub(crate) fn columns(records: &[u8], widths: &[usize]) -> Vec<Vec<u8>> {
    let mut at = 0;
    widths
        .iter()
        .map(|&width| {
            at += width;
            column(records, widths.iter().sum(), at - width..at)
        })
        .collect()
}

/// The bytes of one field in records of `record` bytes.
pub(crate) fn column(records: &[u8], record: usize, field: Range<usize>) -> Vec<u8> {
    records.chunks_exact(record.max(1)).flat_map(|record| &record[field.clone()]).copied().collect()
}
