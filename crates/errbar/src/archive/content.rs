//! A file's content, piece by piece.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use errbar_format::limits::{MAX_BLOCK, MAX_ROWS};
use errbar_format::record::{Block, BlockPlace, Body, Entry, FileBody, FileHashes, Receipt, Segment, Variable};
use errbar_format::{Error, Hash, Kind, Result};

use super::Archive;
use super::boxes::{self, Frame};
use super::index::Entries;
use crate::parallel::{Lane, Pool};

/// Bytes of holes that may be filled with zeros in memory.
const MAX_HOLES: u64 = 1 << 30;
/// Bytes of a shared block that is kept for the next file, which is often a part of it too.
const KEPT_SHARED: usize = 1 << 20;
/// Entries that may be looked at ahead of the one at work.
const MAX_AHEAD: usize = 4096;

/// A block, decoded and proven by its hash.
pub(crate) struct Decoded {
    pub(crate) block: Block,
    pub(crate) bytes: Vec<u8>,
}

/// Whoever decodes blocks.
pub(crate) trait BlockSource {
    /// The block with this number.
    fn decoded(&mut self, number: u64) -> Result<Arc<Decoded>>;
}

/// A piece of a file's content.
pub(crate) enum Piece<'a> {
    /// Bytes, and the position of the variable that they are whole rows of.
    Bytes(&'a [u8], Option<usize>),
    /// So many zeros that take no room.
    Hole(u64),
}

impl Archive {
    /// A block, decoded.
    pub(crate) fn decoded(&self, number: u64) -> Result<Decoded> {
        let frame = self.block_frame(number)?;
        let bytes = self.decode(&frame)?;
        Ok(Decoded { block: frame.block, bytes })
    }

    /// A file's content, in order. What is given may be wrong until all was given and the
    /// restored hash compared.
    pub(crate) fn content(
        &self,
        entry: &Entry,
        file: &FileBody,
        blocks: &mut dyn BlockSource,
        each: &mut dyn FnMut(Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        let misplaced = |number: u64, what: &str| {
            Err(Error::corrupt("EB-B05", format!("block is not the {what} that its entry names")).in_block(number))
        };
        let mut at = 0;
        for segment in &file.segments {
            match segment {
                Segment::Inline(bytes) => each(Piece::Bytes(bytes, None))?,
                Segment::Hole { length } => each(Piece::Hole(*length))?,
                Segment::Part { block: number, offset, length } => {
                    let decoded = blocks.decoded(*number)?;
                    let range = usize::try_from(*offset).ok().zip(offset.checked_add(*length).and_then(|end| usize::try_from(end).ok()));
                    match range.and_then(|(from, to)| decoded.bytes.get(from..to)) {
                        Some(bytes) if decoded.block.place == BlockPlace::Shared => each(Piece::Bytes(bytes, None))?,
                        _ => return misplaced(*number, "shared block"),
                    }
                }
                Segment::Run { first_block, block_len, length } => {
                    for k in 0..length.div_ceil(*block_len) {
                        let decoded = blocks.decoded(first_block + k)?;
                        let start = k * block_len;
                        let place = BlockPlace::Run { path: entry.path.clone(), offset: at + start };
                        if decoded.block.place != place || decoded.bytes.len() as u64 != (*block_len).min(length - start) {
                            return misplaced(first_block + k, "run of bytes");
                        }
                        each(Piece::Bytes(&decoded.bytes, None))?;
                    }
                }
                Segment::Variable { index } => {
                    let index = *index as usize;
                    let variable = &file.variables[index];
                    rows(entry, variable, blocks, &mut |bytes| each(Piece::Bytes(bytes, Some(index))))
                        .map_err(|e| e.in_variable(&variable.name))?;
                }
            }
            at += file.segment_len(segment).unwrap_or(0);
        }
        Ok(())
    }

    /// A file's content to `out`, holes as zeros, its hash compared at the end. Gives its size.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if the archive is damaged there; `out` may have got a part of the content.
    pub fn write_file(&self, path: &[u8], out: &mut dyn io::Write) -> Result<u64> {
        let entry = self.file_entry(path)?;
        let Body::File(file) = &entry.body else { return Ok(0) };
        let write = |e| Error::io("cannot write the content", e);
        let mut hasher = blake3::Hasher::new();
        let zeros = [0; 64 << 10];
        self.content(&entry, file, &mut Direct::new(self), &mut |piece| match piece {
            Piece::Bytes(bytes, _) => {
                hasher.update(bytes);
                out.write_all(bytes).map_err(write)
            }
            Piece::Hole(mut length) => {
                while length > 0 {
                    let len = length.min(zeros.len() as u64);
                    out.write_all(&zeros[..len as usize]).map_err(write)?;
                    length -= len;
                }
                Ok(())
            }
        })
        .and_then(|()| check_hash(file, &hasher))
        .map_err(|e| e.in_entry(path))?;
        Ok(file.size)
    }

    /// Decodes a file's content and gives its BLAKE3 hash, holes not counted, which is found to be
    /// the recorded one.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if the archive is damaged there.
    pub fn hash_file(&self, path: &[u8]) -> Result<Hash> {
        let entry = self.file_entry(path)?;
        let Body::File(file) = &entry.body else { return Err(Error::new(Kind::Differs, "entry is no file").in_entry(path)) };
        self.hash_content(&entry, file, &mut Direct::new(self)).map_err(|e| e.in_entry(path))
    }

    /// BLAKE3 of a file's content, compared with the recorded one if there is one.
    fn hash_content(&self, entry: &Entry, file: &FileBody, blocks: &mut dyn BlockSource) -> Result<Hash> {
        let mut hasher = blake3::Hasher::new();
        self.content(entry, file, blocks, &mut |piece| {
            if let Piece::Bytes(bytes, _) = piece {
                hasher.update(bytes);
            }
            Ok(())
        })?;
        check_hash(file, &hasher)?;
        Ok(*hasher.finalize().as_bytes())
    }

    /// The hashes of a file of this archive: the recorded ones or, where a block proves the content
    /// in their place, that of the content.
    pub(crate) fn hashes_from(&self, entry: &Entry, file: &FileBody, blocks: &mut dyn BlockSource) -> Result<FileHashes> {
        match file.hashes {
            Some(hashes) => Ok(hashes),
            None => self.hash_content(entry, file, blocks).map(FileHashes::of),
        }
    }

    /// The hashes of a file's content, for `entry` of this archive. Decodes a block where they are
    /// not recorded, because that block's hash proves the content.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if the archive is damaged there.
    pub fn hashes(&self, entry: &Entry) -> Result<Option<FileHashes>> {
        match &entry.body {
            Body::File(file) => self.hashes_from(entry, file, &mut Direct::new(self)).map(Some).map_err(|e| e.in_entry(&entry.path)),
            _ => Ok(None),
        }
    }

    /// A file's whole content.
    ///
    /// # Errors
    /// As [`Archive::write_file`], and [`Kind::Limit`] if its holes would take more than 1 GiB.
    pub fn read_file(&self, path: &[u8]) -> Result<Vec<u8>> {
        let entry = self.file_entry(path)?;
        let Body::File(file) = &entry.body else { return Ok(Vec::new()) };
        // What blocks hold is there; holes are only said to be.
        let hole = |segment: &Segment| if let Segment::Hole { length } = segment { *length } else { 0 };
        if file.segments.iter().map(hole).fold(0, u64::saturating_add) > MAX_HOLES {
            return Err(Error::new(Kind::Limit, "the file's holes are too large for memory").in_entry(path).advise("unpack it instead"));
        }
        let mut bytes = Vec::new();
        self.write_file(path, &mut bytes)?;
        Ok(bytes)
    }

    /// The entry of a file; of the file it is another name of, if it is a hard link.
    pub(crate) fn file_entry(&self, path: &[u8]) -> Result<Entry> {
        let missing = |what: &str| Error::new(Kind::Differs, what).in_entry(path);
        let entry = self.entry(path)?.ok_or_else(|| missing("no such entry").advise("errbar list shows what is there"))?;
        match &entry.body {
            Body::File(_) => Ok(entry),
            Body::HardLink { target } => match self.entry(target)? {
                Some(target) if matches!(target.body, Body::File(_)) => Ok(target),
                _ => Err(missing("hard link's target is not there")),
            },
            _ => Err(missing("entry is no file")),
        }
    }
}

/// Compares a file's restored hash, if it has one: without one its block's was compared.
pub(crate) fn check_hash(file: &FileBody, hasher: &blake3::Hasher) -> Result<()> {
    match file.hashes {
        None => Ok(()),
        Some(hashes) if *hasher.finalize().as_bytes() == hashes.restored => Ok(()),
        Some(_) => Err(Error::corrupt("EB-E06", "restored content does not match its hash")),
    }
}

/// Checks that a decoded block is the `k`-th box of a variable; gives the box.
pub(super) fn check_box(entry: &Entry, variable: &Variable, k: u64, block: &Block) -> Result<(Vec<u64>, Vec<u64>)> {
    let (origin, extent) = variable.block_box(k);
    let right = matches!(&block.place, BlockPlace::Box { path, variable: name, origin: at }
        if *path == entry.path && *name == variable.name && *at == origin)
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
fn rows(entry: &Entry, variable: &Variable, blocks: &mut dyn BlockSource, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let n_blocks = variable.n_blocks().unwrap_or(0);
    let has_extent = |axis: usize| variable.shape[axis].min(variable.block_shape[axis]) > 1;
    let cut = (0..variable.shape.len()).find(|&axis| has_extent(axis)).map_or(variable.shape.len(), |axis| axis + 1);
    let per_row: u64 = variable.grid()[cut..].iter().product();
    let item = variable.dtype.size();
    let mut receipts = Receipts::default();
    let mut k = 0;
    while k < n_blocks {
        let decoded = blocks.decoded(variable.first_block + k)?;
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
            let decoded = blocks.decoded(variable.first_block + k + j)?;
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

/// Decodes blocks where they are asked for; keeps the last one.
pub(crate) struct Direct<'a> {
    archive: &'a Archive,
    last: Option<(u64, Arc<Decoded>)>,
}

impl<'a> Direct<'a> {
    pub(crate) fn new(archive: &'a Archive) -> Direct<'a> {
        Direct { archive, last: archive.inner.last_shared() }
    }
}

impl BlockSource for Direct<'_> {
    fn decoded(&mut self, number: u64) -> Result<Arc<Decoded>> {
        if let Some((_, decoded)) = self.last.as_ref().filter(|(last, _)| *last == number) {
            return Ok(Arc::clone(decoded));
        }
        let decoded = Arc::new(self.archive.decoded(number)?);
        self.last = Some((number, Arc::clone(&decoded)));
        if decoded.block.place == BlockPlace::Shared && decoded.bytes.len() <= KEPT_SHARED {
            self.archive.inner.keep_shared(number, &decoded);
        }
        Ok(decoded)
    }
}

/// The numbers of the blocks that a file's content is made of, in order, as ranges.
pub(crate) fn block_ranges(file: &FileBody) -> Vec<Range<u64>> {
    let of = |segment: &Segment| match segment {
        Segment::Inline(_) | Segment::Hole { .. } => 0..0,
        Segment::Part { block, .. } => *block..block.saturating_add(1),
        Segment::Run { first_block, block_len, length } => *first_block..first_block.saturating_add(length.div_ceil(*block_len)),
        Segment::Variable { index } => {
            let variable = &file.variables[*index as usize];
            variable.first_block..variable.first_block.saturating_add(variable.n_blocks().unwrap_or(0))
        }
    };
    file.segments.iter().map(of).filter(|range| !range.is_empty()).collect()
}

/// The entries of an archive with their blocks decoded ahead, on several threads, in the order in
/// which they will be asked for.
pub(crate) struct Content<F> {
    archive: Archive,
    entries: Entries,
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
        Ok(Content {
            archive: archive.clone(),
            entries: archive.entries(),
            wanted,
            ahead: VecDeque::new(),
            cursor: Vec::new().into_iter().flatten(),
            next: None,
            lane: Lane::on(&Pool::new(threads)?),
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
