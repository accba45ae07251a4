//! What can be told of a record from itself: limits, shapes, names, sums.

use std::collections::HashSet;

use super::{Block, BlockPlace, Body, Cell, Document, Entry, FileBody, Receipt, Segment, Variable};
use crate::dtype::n_elements;
use crate::limits::{MAX_BLOCK, MAX_BOUNDS, MAX_DIMS, MAX_DOCUMENT, MAX_INLINE, MAX_NAME, MAX_PARAMS, MAX_ROWS, MAX_TRANSFORMS};
use crate::{DType, Error, Result, path};

pub(super) fn check_shape(shape: &[u64], dtype: DType) -> Result<u64> {
    if shape.len() > MAX_DIMS {
        return Err(Error::limit("EB-B02", format!("{} dimensions; at most {MAX_DIMS}", shape.len())));
    }
    n_elements(shape)
        .and_then(|n| n.checked_mul(dtype.size() as u64))
        .ok_or_else(|| Error::limit("EB-B02", format!("shape {shape:?} of {} overflows 64 bits", dtype.name())))
}

impl Block {
    /// Checks limits and receipt (EB-B01 … EB-B03, EB-B06) and gives the number of decoded bytes.
    ///
    /// # Errors
    /// [`crate::Kind::Limit`] or [`crate::Kind::Corrupt`].
    pub fn check(&self) -> Result<u64> {
        let decoded_len = check_shape(&self.shape, self.dtype)?;
        if decoded_len > MAX_BLOCK {
            return Err(Error::limit("EB-B01", format!("block declares {decoded_len} decoded bytes; at most {MAX_BLOCK}")));
        }
        if self.pipeline.transforms.len() > MAX_TRANSFORMS {
            return Err(Error::limit("EB-B03", format!("{} transforms; at most {MAX_TRANSFORMS}", self.pipeline.transforms.len())));
        }
        for stage in std::iter::once(&self.pipeline.quantizer).chain(&self.pipeline.transforms).chain([&self.pipeline.coder]) {
            if stage.params.len() > MAX_PARAMS || stage.name.len() > MAX_NAME {
                return Err(Error::limit("EB-B03", "stage name or parameters are too long"));
            }
        }
        match &self.place {
            BlockPlace::Shared => {}
            BlockPlace::Run { path, .. } => path::check(path)?,
            BlockPlace::Box { path, origin, .. } => {
                path::check(path)?;
                if origin.len() != self.shape.len() {
                    return Err(Error::corrupt("EB-B02", "origin and shape differ in dimensions"));
                }
            }
        }
        if let Some(receipt) = &self.receipt {
            receipt.check(decoded_len / self.dtype.word() as u64)?;
        }
        Ok(decoded_len)
    }
}

impl Receipt {
    /// Checks that it does not contradict itself, or the number of words (EB-B06).
    ///
    /// # Errors
    /// [`crate::Kind::Corrupt`] otherwise.
    pub fn check(&self, words: u64) -> Result<()> {
        let counts = self.finite.checked_add(self.non_finite) == Some(words) && self.exact <= words && self.max_error_at < words.max(1);
        // Comparisons with NaN are false, so NaN is refused.
        let limits = [self.limit.absolute(), self.limit.relative()].into_iter().flatten().all(|limit| limit >= 0.0);
        let within = self.limit.absolute().is_none_or(|limit| self.max_error <= limit);
        let errors = limits && within && self.max_error >= 0.0 && self.rms_error >= 0.0;
        match counts && errors && (1..=MAX_BOUNDS).contains(&self.bounds.len()) {
            true => Ok(()),
            false => Err(Error::corrupt("EB-B06", "receipt contradicts itself or the number of words")),
        }
    }
}

impl Variable {
    /// Checks shapes and names (EB-V01, EB-V04, EB-V05) and gives the number of bytes.
    ///
    /// # Errors
    /// [`crate::Kind::Limit`] or [`crate::Kind::Corrupt`].
    pub fn check(&self) -> Result<u64> {
        let bytes = check_shape(&self.shape, self.dtype)?;
        if self.name.len() > MAX_NAME {
            return Err(Error::limit("EB-V01", "variable name is too long"));
        }
        if self.block_shape.len() != self.shape.len() || self.block_shape.contains(&0) {
            return Err(Error::corrupt("EB-V01", format!("block shape {:?} does not fit shape {:?}", self.block_shape, self.shape)));
        }
        if check_shape(&self.block_shape, self.dtype)? > MAX_BLOCK {
            return Err(Error::limit("EB-B01", format!("block shape {:?} is too large", self.block_shape)));
        }
        let numbers = self.n_blocks().and_then(|n| n.checked_mul(self.block_step)).and_then(|n| self.first_block.checked_add(n));
        if numbers.is_none() || self.block_step == 0 {
            return Err(Error::limit("EB-V01", "block numbers overflow 64 bits, or do not rise"));
        }
        let inline = self.inline.is_empty() || (self.inline.len() as u64 == bytes && self.inline.len() <= MAX_INLINE);
        let part =
            self.part.is_none_or(|part| self.inline.is_empty() && part.offset.checked_add(bytes).is_some_and(|end| end <= MAX_BLOCK));
        if !inline || !part || (!self.is_in_blocks() && self.receipt.is_some()) {
            return Err(Error::corrupt(
                "EB-V05",
                "elements that stand in no block of their own are not those of the shape, too many, or have a receipt",
            ));
        }
        if let Some(chunks) = &self.chunks {
            chunks.check(self)?;
        }
        if let Some(receipt) = &self.receipt {
            receipt.check(bytes / self.dtype.word() as u64)?;
        }
        Ok(bytes)
    }

    /// Bytes of all elements, or `None` if that does not fit 64 bits.
    pub fn bytes(&self) -> Option<u64> {
        n_elements(&self.shape)?.checked_mul(self.dtype.size() as u64)
    }

    /// Extent along each dimension, in the order in which the file's own readers index it.
    pub fn index_shape(&self) -> Vec<u64> {
        let mut shape = self.shape.clone();
        if self.column_major {
            shape.reverse();
        }
        shape
    }

    /// Blocks along each dimension.
    pub fn grid(&self) -> Vec<u64> {
        grid(&self.shape, &self.block_shape)
    }

    /// Whether it has blocks of its own: its elements stand neither in the entry nor in a shared block.
    pub fn is_in_blocks(&self) -> bool {
        self.inline.is_empty() && self.part.is_none()
    }

    /// Blocks of its own, or `None` if their number does not fit 64 bits. An empty variable has none.
    pub fn n_blocks(&self) -> Option<u64> {
        if self.is_in_blocks() { n_elements(&self.grid()) } else { Some(0) }
    }

    /// Number of the `k`-th block.
    pub fn block_number(&self, k: u64) -> u64 {
        self.first_block.saturating_add(k.saturating_mul(self.block_step))
    }

    /// Origin and extent of the `k`-th block.
    pub fn block_box(&self, k: u64) -> (Vec<u64>, Vec<u64>) {
        nth_box(&self.shape, &self.block_shape, k)
    }

    /// Position, among the variable's blocks, of the one that the element at `origin` is in.
    pub fn block_of(&self, origin: &[u64]) -> u64 {
        let axes = self.grid().into_iter().zip(origin).zip(&self.block_shape);
        axes.fold(0, |k, ((n, at), block)| k * n + at / block)
    }

    /// Chunks along each dimension; none where it is not stored in chunks.
    pub fn chunk_grid(&self) -> Vec<u64> {
        self.chunks.as_ref().map_or_else(|| vec![0], |chunks| grid(&self.shape, &chunks.shape))
    }

    /// Origin of the `k`-th chunk, and its extent inside the variable.
    pub fn chunk_box(&self, k: u64) -> (Vec<u64>, Vec<u64>) {
        self.chunks.as_ref().map_or_else(Default::default, |chunks| nth_box(&self.shape, &chunks.shape, k))
    }

    /// Extent of the `k`-th chunk as its file has it: cut at the variable's faces or filled up past them.
    pub fn chunk_shape(&self, k: u64) -> Vec<u64> {
        match &self.chunks {
            Some(chunks) if !chunks.padding.is_empty() => chunks.shape.clone(),
            _ => self.chunk_box(k).1,
        }
    }
}

/// Boxes along each dimension.
fn grid(shape: &[u64], of: &[u64]) -> Vec<u64> {
    shape.iter().zip(of).map(|(&n, &b)| n.div_ceil(b)).collect()
}

/// Origin and extent of the `k`-th box of extent `of`, in C order of their grid, cut at the far faces.
fn nth_box(shape: &[u64], of: &[u64], mut k: u64) -> (Vec<u64>, Vec<u64>) {
    let grid = grid(shape, of);
    let mut origin = vec![0; grid.len()];
    for axis in (0..grid.len()).rev() {
        origin[axis] = (k % grid[axis].max(1)) * of[axis];
        k /= grid[axis].max(1);
    }
    let extent = (0..grid.len()).map(|a| of[a].min(shape[a].saturating_sub(origin[a]))).collect();
    (origin, extent)
}

impl Entry {
    /// Checks everything about an entry that can be told from itself (EB-P01, EB-E01 … EB-E05, EB-E07, EB-E08, EB-E11, EB-E12, EB-E14).
    ///
    /// # Errors
    /// The kind that the broken rule names.
    pub fn check(&self) -> Result<()> {
        self.check_inner().map_err(|e| e.in_entry(&self.path[..self.path.len().min(256)]))
    }

    fn check_inner(&self) -> Result<()> {
        path::check(&self.path)?;
        if let Some(attributes) = &self.attributes {
            if attributes.mode & !0o7777 != 0 || attributes.mtime_ns > 999_999_999 {
                return Err(Error::corrupt("EB-E01", "mode or nanoseconds are out of range"));
            }
            if attributes.xattrs.iter().any(|(name, _)| name.is_empty() || name.len() > MAX_NAME || name.contains(&0)) {
                return Err(Error::corrupt("EB-E01", "extended attribute has an impossible name"));
            }
        }
        match &self.body {
            Body::Directory => Ok(()),
            Body::Symlink { target } if target.is_empty() || target.contains(&0) || target.len() > 4095 => {
                Err(Error::corrupt("EB-E02", "symbolic link's target is empty, too long or contains NUL"))
            }
            Body::Symlink { .. } => Ok(()),
            Body::HardLink { target } => path::check(target),
            Body::File(file) => file.check(),
        }
    }
}

impl Document {
    /// Checks name and size (EB-D01).
    ///
    /// # Errors
    /// [`crate::Kind::Limit`] otherwise.
    pub fn check(&self) -> Result<()> {
        match self.decoded_len <= MAX_DOCUMENT && (1..=MAX_NAME).contains(&self.name.len()) {
            true => Ok(()),
            false => Err(Error::limit("EB-D01", format!("document declares {} bytes and a name of {}", self.decoded_len, self.name.len()))),
        }
    }
}

impl FileBody {
    /// Bytes of `segment`; nothing where they cannot be told.
    pub fn segment_len(&self, segment: &Segment) -> Option<u64> {
        match segment {
            Segment::Inline(bytes) => Some(bytes.len() as u64),
            Segment::Hole { length }
            | Segment::Part { length, .. }
            | Segment::Run { length, .. }
            | Segment::Lines { length, .. }
            | Segment::Chunk { length, .. } => Some(*length),
            Segment::Stream { length, pieces, .. } => {
                pieces.iter().try_fold(*length, |sum, piece| sum.checked_add(piece.behind.len() as u64))
            }
            Segment::Variable { .. } | Segment::Records { .. } | Segment::Scanlines { .. } => {
                self.fields_of(segment)?.iter().try_fold(0u64, |sum, field| sum.checked_add(field.bytes()?))
            }
        }
    }

    /// The segments, each with the byte of the file at which it begins; nothing for those that are the
    /// plain content of a stream.
    pub fn placed(&self) -> impl Iterator<Item = (&Segment, Option<u64>)> {
        let (mut at, mut inside) = (0u64, 0);
        self.segments.iter().map(move |segment| {
            if inside > 0 {
                inside -= 1;
                return (segment, None);
            }
            if let Segment::Stream { segments, .. } = segment {
                inside = *segments;
            }
            let start = at;
            at = at.saturating_add(self.segment_len(segment).unwrap_or(u64::MAX));
            (segment, Some(start))
        })
    }

    /// Bytes of the plain content of the stream at position `at` of the segments; nothing where that is
    /// no stream, or cannot be told.
    pub fn plain_len(&self, at: usize) -> Option<u64> {
        let Segment::Stream { segments, .. } = self.segments.get(at)? else { return None };
        let inside = self.segments.get(at + 1..(at + 1).checked_add(*segments as usize)?)?;
        inside.iter().try_fold(0u64, |sum, segment| sum.checked_add(self.segment_len(segment)?))
    }

    /// Decoded bytes of blocks that a file, which has been checked, is made of.
    pub fn used_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| self.used(segment)).fold(0, u64::saturating_add)
    }

    /// Decoded bytes of blocks that `segment`, which has been checked, is made of.
    pub fn used(&self, segment: &Segment) -> u64 {
        let in_blocks = |variable: &Variable| if variable.inline.is_empty() { variable.bytes().unwrap_or(u64::MAX) } else { 0 };
        match segment {
            Segment::Inline(_) | Segment::Hole { .. } | Segment::Stream { .. } => 0,
            Segment::Part { length, .. } | Segment::Run { length, .. } => *length,
            Segment::Variable { index } => in_blocks(&self.variables[*index as usize]),
            Segment::Records { .. } | Segment::Lines { .. } | Segment::Scanlines { .. } => {
                self.fields_of(segment).unwrap_or_default().iter().map(in_blocks).fold(0, u64::saturating_add)
            }
            Segment::Chunk { variable, index, .. } => {
                let variable = &self.variables[*variable as usize];
                let elements = variable.chunk_box(*index).1.iter().product::<u64>();
                in_blocks(variable).min(elements * variable.dtype.size() as u64)
            }
        }
    }

    /// The variables of a segment of records.
    pub fn fields(&self, first: u32, count: u32) -> Option<&[Variable]> {
        self.variables.get(first as usize..first.checked_add(count)? as usize)
    }

    /// The variables that a segment holds whole; none where it holds none, or they are not there.
    pub fn fields_of(&self, segment: &Segment) -> Option<&[Variable]> {
        match segment {
            Segment::Variable { index } => self.fields(*index, 1),
            Segment::Records { first, count } => self.fields(*first, *count),
            Segment::Scanlines { first } => self.fields(*first, 2),
            Segment::Lines { first, cells, .. } => self.fields(*first, u32::try_from(cells.len()).ok()?),
            _ => None,
        }
    }

    fn check(&self) -> Result<()> {
        self.same_as.as_deref().map_or(Ok(()), path::check)?;
        for variable in &self.variables {
            variable.check()?;
        }
        let mut size = 0u64;
        let mut held = Held { whole: vec![false; self.variables.len()], chunks: HashSet::new() };
        let mut open: Option<OpenStream> = None;
        for segment in &self.segments {
            self.check_segment(segment, &mut held)?;
            let len = self.segment_len(segment).ok_or_else(overflow)?;
            match &mut open {
                Some(stream) => {
                    stream.take(self, segment, len)?;
                    if stream.segments == 0 {
                        open = None;
                    }
                }
                None => {
                    size = size.checked_add(len).ok_or_else(overflow)?;
                    open = OpenStream::of(segment)?;
                }
            }
        }
        if open.is_some() {
            return Err(Error::corrupt("EB-E11", "stream's content is not there"));
        }
        if self.variables.iter().zip(&held.whole).any(|(variable, held)| variable.chunks.is_none() && !held) {
            return Err(mismatch());
        }
        if size != self.size || size > i64::MAX as u64 {
            return Err(Error::corrupt("EB-E05", format!("segments hold {size} bytes, the file {}", self.size)));
        }
        if self.hashes.is_none() && !matches!(self.segments[..], [Segment::Part { .. }]) {
            return Err(Error::corrupt("EB-E07", "file has no hash, and no one block proves its content"));
        }
        Ok(())
    }

    fn check_segment(&self, segment: &Segment, held: &mut Held) -> Result<()> {
        match segment {
            Segment::Inline(bytes) if bytes.len() > MAX_INLINE => Err(Error::limit("EB-E03", "inline segment is too long")),
            Segment::Part { offset, length, .. } if offset.checked_add(*length).is_none_or(|end| end > MAX_BLOCK) => {
                Err(Error::limit("EB-E03", "segment reaches past the largest block"))
            }
            Segment::Run { block_len, length, first_block }
                if *block_len == 0 || *block_len > MAX_BLOCK || first_block.checked_add(length.div_ceil(*block_len)).is_none() =>
            {
                Err(Error::limit("EB-E03", "run of blocks is impossible"))
            }
            Segment::Inline(_) | Segment::Hole { .. } | Segment::Part { .. } | Segment::Run { .. } | Segment::Stream { .. } => Ok(()),
            Segment::Variable { index } => held.variable(self, *index as usize),
            Segment::Records { first, .. } | Segment::Lines { first, .. } | Segment::Scanlines { first } => {
                let fields = self.fields_of(segment).unwrap_or_default();
                (*first..).zip(fields).try_for_each(|(index, _)| held.variable(self, index as usize))?;
                check_records(fields)?;
                match segment {
                    Segment::Lines { cells, end, .. } => check_lines(fields, cells, end),
                    Segment::Scanlines { .. } => check_scanlines(fields),
                    _ => Ok(()),
                }
            }
            Segment::Chunk { variable, index, length, .. } => {
                let of = self.variables.get(*variable as usize);
                let chunked = of.and_then(|of| Some((of, of.chunks.as_ref()?))).ok_or_else(mismatch)?;
                // Deflate makes bytes that it cannot shrink longer by less than a thousandth.
                if *length > chunked.1.bytes(chunked.0.dtype).saturating_mul(2).saturating_add(MAX_INLINE as u64) {
                    return Err(Error::limit("EB-E03", "chunk is longer than its filters can make it"));
                }
                match n_elements(&chunked.0.chunk_grid()).is_some_and(|n| *index < n) && held.chunks.insert((*variable, *index)) {
                    true => Ok(()),
                    false => Err(mismatch()),
                }
            }
        }
    }
}

/// A stream whose plain content is being gone through (EB-E11; EB-E03 for its length).
struct OpenStream {
    /// Segments of its content still to come.
    segments: u32,
    /// Whether it is compressed.
    compresses: bool,
    /// Bytes of the stream.
    length: u64,
    /// Bytes of its content so far.
    plain: u64,
}

impl OpenStream {
    /// The stream that `segment` opens, if it is one.
    fn of(segment: &Segment) -> Result<Option<OpenStream>> {
        match segment {
            Segment::Stream { segments, maker, length, pieces, .. } if *segments > 0 && maker.is_possible() => {
                let in_pieces = pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(piece.length));
                match in_pieces.is_some_and(|n| n <= *length) && pieces.iter().all(|piece| piece.behind.len() <= MAX_INLINE) {
                    true => Ok(Some(OpenStream { segments: *segments, compresses: maker.compresses(), length: *length, plain: 0 })),
                    false => {
                        Err(Error::limit("EB-E03", format!("pieces are longer than their stream of {length} bytes, or too far apart")))
                    }
                }
            }
            Segment::Stream { .. } => Err(Error::corrupt("EB-E11", "stream has no content, or is made in no way that there is")),
            _ => Ok(None),
        }
    }

    /// The next segment of its content, of `len` bytes.
    fn take(&mut self, file: &FileBody, segment: &Segment, len: u64) -> Result<()> {
        let variables = match segment {
            Segment::Hole { .. } | Segment::Chunk { .. } | Segment::Stream { .. } => {
                return Err(Error::corrupt("EB-E11", "hole, chunk or stream in a stream"));
            }
            Segment::Inline(_) | Segment::Part { .. } | Segment::Run { .. } => None,
            Segment::Variable { .. } | Segment::Records { .. } | Segment::Lines { .. } | Segment::Scanlines { .. } => {
                file.fields_of(segment)
            }
        };
        if self.compresses && variables.unwrap_or_default().iter().any(|variable| variable.receipt.is_some()) {
            return Err(Error::corrupt("EB-E11", "variable in a compressed stream may have lost something"));
        }
        self.plain = self.plain.checked_add(len).ok_or_else(overflow)?;
        self.segments -= 1;
        // As for a chunk.
        match self.segments > 0 || self.length <= self.plain.saturating_mul(2).saturating_add(MAX_INLINE as u64) {
            true => Ok(()),
            false => Err(Error::limit("EB-E03", format!("stream of {} bytes is made of {}", self.length, self.plain))),
        }
    }
}

fn overflow() -> Error {
    Error::limit("EB-E03", "segments overflow 64 bits")
}

/// What segments have named so far.
struct Held {
    /// For each variable, whether a segment holds all of it.
    whole: Vec<bool>,
    /// Variables and positions of chunks.
    chunks: HashSet<(u32, u64)>,
}

impl Held {
    fn variable(&mut self, file: &FileBody, index: usize) -> Result<()> {
        let held = self.whole.get_mut(index).ok_or_else(mismatch)?;
        match file.variables[index].chunks.is_none() && !std::mem::replace(held, true) {
            true => Ok(()),
            false => Err(mismatch()),
        }
    }
}

fn mismatch() -> Error {
    Error::corrupt("EB-E04", "variables and segments do not match")
}

/// Checks that elements of `fields` can be printed so (EB-E12).
fn check_lines(fields: &[Variable], cells: &[Cell], end: &[u8]) -> Result<()> {
    let possible = cells.iter().zip(fields).all(|(cell, field)| cell.is_possible(field.dtype));
    match possible && (1..=MAX_INLINE).contains(&end.len()) {
        true => Ok(()),
        false => Err(Error::corrupt("EB-E12", "elements cannot be printed as the lines say")),
    }
}

/// Checks that `fields` are the filter types and the pixels of scanlines (EB-E14).
fn check_scanlines(fields: &[Variable]) -> Result<()> {
    match fields {
        [types, pixels] if types.dtype == DType::U8 && types.shape.len() == 1 && pixels.shape.len() >= 2 => Ok(()),
        _ => Err(Error::corrupt("EB-E14", "scanlines are no filter types and pixels")),
    }
}

/// Checks that `fields` can stand in records, a row of blocks for some records (EB-E08).
fn check_records(fields: &[Variable]) -> Result<()> {
    let records = |field: &Variable| Some((*field.shape.first()?, *field.block_shape.first()?));
    let first = fields.first().and_then(records);
    let whole = |field: &Variable| field.shape.iter().zip(&field.block_shape).skip(1).all(|(n, block)| block >= n);
    if first.is_none() || !fields.iter().all(|field| records(field) == first && whole(field)) {
        return Err(Error::corrupt("EB-E08", "fields of records differ in their number of records, or their blocks cut records"));
    }
    let row = fields.iter().map(|field| field.block_box(0).1.iter().product::<u64>() * field.dtype.size() as u64).sum::<u64>();
    match row <= MAX_ROWS {
        true => Ok(()),
        false => Err(Error::limit("EB-E08", format!("blocks of the same records take {row} bytes; at most {MAX_ROWS}"))),
    }
}
