//! The elements of variables as their file has them: in one piece, in records, in chunks.

use std::borrow::Cow;
use std::sync::Arc;

use errbar_codec::scanlines::Scanlines;
use errbar_format::limits::MAX_ROWS;
use errbar_format::record::{Block, BlockPlace, Cell, Entry, Receipt, Variable};
use errbar_format::{Error, Result};

use super::Archive;
use super::content::{BlockSource, Decoded};
use crate::boxes::{self, Frame};

/// Bytes of decoded blocks that are kept because further chunks of them may be asked for.
const KEPT_BLOCKS: usize = 256 << 20;

/// Checks that a decoded block is the `k`-th box of a variable; gives the box.
pub(super) fn check_box(entry: &Entry, variable: &Variable, k: u64, block: &Block) -> Result<(Vec<u64>, Vec<u64>)> {
    let (origin, extent) = variable.block_box(k);
    let right = matches!(&block.place, BlockPlace::Box { path, variable: name, origin: at }
        if *path == entry.path_of_blocks() && *name == variable.name && *at == origin)
        && block.shape == extent
        && (block.dtype, block.big_endian) == (variable.dtype, variable.big_endian);
    match right {
        true => Ok((origin, extent)),
        false => Err(Error::corrupt("EB-B05", "block is not the box that its entry names").in_block(block.number)),
    }
}

/// A variable's elements in storage order, a row of blocks at a time: the blocks that together hold
/// one run of them, which begin at the same index of the first dimension that blocks have any
/// extent along (EB-V03).
pub(super) fn rows(
    entry: &Entry,
    variable: &Variable,
    blocks: &mut dyn BlockSource,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let n_blocks = variable.n_blocks().unwrap_or(0);
    let has_extent = |axis: usize| variable.shape[axis].min(variable.block_shape[axis]) > 1;
    let cut = (0..variable.shape.len()).find(|&axis| has_extent(axis)).map_or(variable.shape.len(), |axis| axis + 1);
    let per_row: u64 = variable.grid()[cut..].iter().product();
    let item = variable.dtype.size();
    let mut receipts = Receipts::default();
    let mut k = 0;
    while k < n_blocks {
        let decoded = blocks.decoded(variable.block_number(k))?;
        let (mut origin, mut extent) = check_box(entry, variable, k, &decoded.block)?;
        if per_row == 1 {
            receipts.add(&decoded.block);
            each(&decoded.bytes)?;
            k += 1;
            continue;
        }
        drop(decoded);
        for axis in cut..extent.len() {
            (origin[axis], extent[axis]) = (0, variable.shape[axis]);
        }
        let row = Frame { origin: &origin, shape: &extent };
        let len = extent.iter().product::<u64>() * item as u64;
        if len > MAX_ROWS {
            return Err(Error::limit("EB-V03", format!("a row of blocks takes {len} bytes; at most {MAX_ROWS}")));
        }
        // Grown block by block: a length declared costs nothing before its blocks are there.
        let mut bytes = Vec::new();
        for j in 0..per_row {
            let decoded = blocks.decoded(variable.block_number(k + j))?;
            let (origin, extent) = check_box(entry, variable, k + j, &decoded.block)?;
            receipts.add(&decoded.block);
            let end = last_offset(&row, &origin, &extent) * item;
            bytes.resize(bytes.len().max(end), 0);
            boxes::copy(&decoded.bytes, &Frame { origin: &origin, shape: &extent }, &mut bytes, &row, item);
        }
        each(&bytes)?;
        k += per_row;
    }
    receipts.check(variable, n_blocks)
}

/// The bytes of records, those of a row of blocks at a time.
pub(super) fn records(
    entry: &Entry,
    fields: &[Variable],
    kept: &mut Kept,
    blocks: &mut dyn BlockSource,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    each_row(entry, fields, (kept, blocks), &mut |n, elements| each(&interleave(n, elements)))
}

/// Scanlines, those of a row of blocks at a time, of their filter types and their pixels (EB-E14).
pub(super) fn scanlines(
    entry: &Entry,
    fields: &[Variable],
    kept: &mut Kept,
    blocks: &mut dyn BlockSource,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let pixels = &fields[1];
    let mut scanlines = Scanlines::of(&pixels.shape, pixels.dtype.size());
    each_row(entry, fields, (kept, blocks), &mut |_, elements| {
        let made = scanlines.filter(&elements[0], &elements[1]).map_err(|e| e.in_variable(&pixels.name))?;
        each(&made)
    })
}

/// Bytes of printed lines after which they are given on.
const PRINTED: usize = 256 << 10;

/// Lines of text whose cells are printed elements: `length` bytes (EB-E13).
pub(super) fn lines(
    entry: &Entry,
    fields: &[Variable],
    (cells, end, length): (&[Cell], &[u8], u64),
    source: (&mut Kept, &mut dyn BlockSource),
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let other = |what: &str| Error::corrupt("EB-E13", format!("lines of {what} bytes than the {length} that they are to have"));
    let mut left = length;
    each_row(entry, fields, source, &mut |n, elements| {
        let mut printed = Vec::new();
        for row in 0..n {
            for ((cell, field), elements) in cells.iter().zip(fields).zip(elements) {
                let width = elements.len() / n;
                let row = &elements[row * width..][..width];
                cell.print(field.dtype, field.big_endian, row, &mut printed).map_err(|e| e.in_variable(&field.name))?;
            }
            printed.extend_from_slice(end);
            if printed.len() >= PRINTED || row + 1 == n {
                left = left.checked_sub(printed.len() as u64).ok_or_else(|| other("more"))?;
                each(&printed)?;
                printed.clear();
            }
        }
        Ok(())
    })?;
    if left == 0 { Ok(()) } else { Err(other("fewer")) }
}

/// What is given how many indices of the first dimension a row of blocks holds, and the elements of each
/// field.
type EachRow<'a> = dyn FnMut(usize, &[Vec<u8>]) -> Result<()> + 'a;

/// Gives, for each row of blocks of fields that share their first dimension, how many of its indices
/// these hold, and the elements of each field.
fn each_row(entry: &Entry, fields: &[Variable], (kept, blocks): (&mut Kept, &mut dyn BlockSource), each: &mut EachRow<'_>) -> Result<()> {
    let mut receipts: Vec<Receipts> = fields.iter().map(|_| Receipts::default()).collect();
    for k in 0..fields[0].grid()[0] {
        let n = fields[0].block_box(k).1[0] as usize;
        let mut elements = Vec::new();
        for (field, receipts) in fields.iter().zip(&mut receipts) {
            elements.push(field_rows(entry, field, k, receipts, (kept, blocks)).map_err(|e| e.in_variable(&field.name))?);
        }
        each(n, &elements)?;
    }
    let n_rows = fields[0].grid()[0];
    fields.iter().zip(&receipts).try_for_each(|(field, receipts)| match field.is_in_blocks() {
        true => receipts.check(field, n_rows).map_err(|e| e.in_variable(&field.name)),
        false => Ok(()),
    })
}

/// The elements of a field in the `k`-th row of blocks.
fn field_rows(
    entry: &Entry,
    field: &Variable,
    k: u64,
    receipts: &mut Receipts,
    (kept, blocks): (&mut Kept, &mut dyn BlockSource),
) -> Result<Vec<u8>> {
    if !field.is_in_blocks() {
        let (origin, extent) = field.block_box(k);
        let elements = kept.elements(field, blocks)?;
        let record = elements.len() / field.shape[0] as usize;
        let start = origin[0] as usize * record;
        return Ok(elements[start..start + extent[0] as usize * record].to_vec());
    }
    let decoded = blocks.decoded(field.block_number(k))?;
    check_box(entry, field, k, &decoded.block)?;
    receipts.add(&decoded.block);
    Ok(decoded.bytes.clone())
}

/// `n` records of fields that hold as many elements, or groups of them, each.
fn interleave(n: usize, fields: &[Vec<u8>]) -> Vec<u8> {
    let record: usize = fields.iter().map(|field| field.len() / n.max(1)).sum();
    let mut bytes = vec![0; n * record];
    let mut at = 0;
    for field in fields.iter().filter(|field| !field.is_empty()) {
        let width = field.len() / n;
        for (record, part) in bytes.chunks_exact_mut(record).zip(field.chunks_exact(width)) {
            record[at..at + width].copy_from_slice(part);
        }
        at += width;
    }
    bytes
}

/// A part of a shared block (EB-B05).
pub(super) fn shared_part(decoded: &Decoded, offset: u64, length: u64) -> Result<&[u8]> {
    let range = usize::try_from(offset).ok().zip(offset.checked_add(length).and_then(|end| usize::try_from(end).ok()));
    match range.and_then(|(from, to)| decoded.bytes.get(from..to)) {
        Some(bytes) if decoded.block.place == BlockPlace::Shared => Ok(bytes),
        _ => Err(Error::corrupt("EB-B05", "block is not the shared block that its entry names").in_block(decoded.block.number)),
    }
}

/// Blocks that hold many chunks of a file, or many parts of it, are kept for the next ones.
#[derive(Default)]
pub(super) struct Kept {
    /// The last used is last.
    blocks: Vec<Arc<Decoded>>,
}

impl Kept {
    /// The bytes of a chunk before its filters.
    pub(super) fn chunk(&mut self, entry: &Entry, variable: &Variable, index: u64, blocks: &mut dyn BlockSource) -> Result<Vec<u8>> {
        let Some(chunks) = &variable.chunks else { return Ok(Vec::new()) };
        let placed = |e: Error| e.in_variable(&variable.name);
        let (origin, extent) = variable.chunk_box(index);
        let item = variable.dtype.size();
        let shape = variable.chunk_shape(index);
        let mut bytes = boxes::filled(&chunks.padding, &shape, item);
        let whole = Frame { origin: &origin, shape: &shape };
        if variable.is_in_blocks() {
            let k = variable.block_of(&origin);
            let decoded = self.block(variable.block_number(k), blocks).map_err(placed)?;
            let (block_origin, block_extent) = check_box(entry, variable, k, &decoded.block).map_err(placed)?;
            boxes::copy(&decoded.bytes, &Frame { origin: &block_origin, shape: &block_extent }, &mut bytes, &whole, item);
        } else {
            let all = Frame { origin: &vec![0; extent.len()], shape: &variable.shape };
            boxes::copy(&self.elements(variable, blocks).map_err(placed)?, &all, &mut bytes, &whole, item);
        }
        Ok(bytes)
    }

    /// All elements of a variable that has no blocks of its own.
    pub(super) fn elements<'a>(&mut self, variable: &'a Variable, blocks: &mut dyn BlockSource) -> Result<Cow<'a, [u8]>> {
        match variable.part {
            None => Ok(Cow::Borrowed(&variable.inline)),
            Some(part) => {
                let decoded = self.block(part.block, blocks)?;
                shared_part(&decoded, part.offset, variable.bytes().unwrap_or(0)).map(|bytes| Cow::Owned(bytes.to_vec()))
            }
        }
    }

    /// A block, from the source if it is not kept.
    pub(super) fn block(&mut self, number: u64, source: &mut dyn BlockSource) -> Result<Arc<Decoded>> {
        let decoded = match self.blocks.iter().position(|kept| kept.block.number == number) {
            Some(at) => self.blocks.remove(at),
            None => source.decoded(number)?,
        };
        let mut sum = decoded.bytes.len();
        let last_too_many = self.blocks.iter().rposition(|kept| {
            sum = sum.saturating_add(kept.bytes.len());
            sum > KEPT_BLOCKS
        });
        self.blocks.drain(..last_too_many.map_or(0, |at| at + 1));
        self.blocks.push(Arc::clone(&decoded));
        Ok(decoded)
    }
}

/// Compares the receipt of a variable in chunks with those of its blocks: all of them, though the file may
/// need only some (EB-V02).
pub(super) fn check_chunked(archive: &Archive, variable: &Variable) -> Result<()> {
    let n_blocks = variable.n_blocks().unwrap_or(0);
    let mut receipts = Receipts::default();
    for k in 0..n_blocks {
        receipts.add(&archive.block(variable.block_number(k))?);
    }
    receipts.check(variable, n_blocks)
}

/// One more than the position, in a buffer of the whole row, of a box's last element.
fn last_offset(row: &Frame<'_>, origin: &[u64], extent: &[u64]) -> usize {
    let last = (0..extent.len()).fold(0, |offset, a| offset * row.shape[a] + (origin[a] + extent[a] - 1 - row.origin[a]));
    last as usize + 1
}

/// The sums of the blocks' receipts, to hold against the variable's (EB-V02).
#[derive(Default)]
struct Receipts {
    n: u64,
    finite: u64,
    non_finite: u64,
    exact: u64,
    max_error: f64,
}

impl Receipts {
    fn add(&mut self, block: &Block) {
        if let Some(receipt) = &block.receipt {
            self.n += 1;
            self.finite = self.finite.saturating_add(receipt.finite);
            self.non_finite = self.non_finite.saturating_add(receipt.non_finite);
            self.exact = self.exact.saturating_add(receipt.exact);
            self.max_error = self.max_error.max(receipt.max_error);
        }
    }

    fn check(&self, variable: &Variable, n_blocks: u64) -> Result<()> {
        let sound = match &variable.receipt {
            _ if n_blocks == 0 => true,
            None => self.n == 0,
            Some(Receipt { finite, non_finite, exact, max_error, .. }) => {
                let sums = (self.finite, self.non_finite, self.exact) == (*finite, *non_finite, *exact);
                self.n == n_blocks && sums && self.max_error == *max_error
            }
        };
        match sound {
            true => Ok(()),
            false => Err(Error::corrupt("EB-V02", "receipt of the variable is not that of its blocks")),
        }
    }
}
