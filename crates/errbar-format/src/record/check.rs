//! What can be told of a record from itself: limits, shapes, names, sums.

use super::{Block, BlockPlace, Body, Document, Entry, FileBody, Receipt, Segment, Variable};
use crate::dtype::n_elements;
use crate::limits::{MAX_BLOCK, MAX_BOUNDS, MAX_DIMS, MAX_DOCUMENT, MAX_INLINE, MAX_NAME, MAX_PARAMS, MAX_TRANSFORMS};
use crate::{DType, Error, Result, path};

fn check_shape(shape: &[u64], dtype: DType) -> Result<u64> {
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
    /// Checks shapes and names (EB-V01) and gives the number of bytes.
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
        if self.n_blocks().and_then(|n| self.first_block.checked_add(n)).is_none() {
            return Err(Error::limit("EB-V01", "block numbers overflow 64 bits"));
        }
        if let Some(receipt) = &self.receipt {
            receipt.check(bytes / self.dtype.word() as u64)?;
        }
        Ok(bytes)
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
        self.shape.iter().zip(&self.block_shape).map(|(&n, &b)| n.div_ceil(b)).collect()
    }

    /// Blocks in all, or `None` if that does not fit 64 bits. An empty variable has none.
    pub fn n_blocks(&self) -> Option<u64> {
        n_elements(&self.grid())
    }

    /// Origin and extent of the `k`-th block.
    pub fn block_box(&self, mut k: u64) -> (Vec<u64>, Vec<u64>) {
        let grid = self.grid();
        let mut origin = vec![0; grid.len()];
        for axis in (0..grid.len()).rev() {
            origin[axis] = (k % grid[axis].max(1)) * self.block_shape[axis];
            k /= grid[axis].max(1);
        }
        let extent = (0..grid.len()).map(|a| self.block_shape[a].min(self.shape[a].saturating_sub(origin[a]))).collect();
        (origin, extent)
    }
}

impl Entry {
    /// Checks everything about an entry that can be told from itself (EB-P01, EB-E01 … EB-E05, EB-E07).
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
    /// Bytes of `segment`, whose variable indices have been checked.
    pub fn segment_len(&self, segment: &Segment) -> Option<u64> {
        match segment {
            Segment::Inline(bytes) => Some(bytes.len() as u64),
            Segment::Hole { length } | Segment::Part { length, .. } | Segment::Run { length, .. } => Some(*length),
            Segment::Variable { index } => {
                let variable = self.variables.get(*index as usize)?;
                n_elements(&variable.shape)?.checked_mul(variable.dtype.size() as u64)
            }
        }
    }

    fn check(&self) -> Result<()> {
        for variable in &self.variables {
            variable.check()?;
        }
        let mut size = 0u64;
        let mut next_variable = 0;
        for segment in &self.segments {
            match segment {
                Segment::Inline(bytes) if bytes.len() > MAX_INLINE => return Err(Error::limit("EB-E03", "inline segment is too long")),
                Segment::Part { offset, length, .. } if offset.checked_add(*length).is_none_or(|end| end > MAX_BLOCK) => {
                    return Err(Error::limit("EB-E03", "segment reaches past the largest block"));
                }
                Segment::Run { block_len, length, first_block }
                    if *block_len == 0 || *block_len > MAX_BLOCK || first_block.checked_add(length.div_ceil(*block_len)).is_none() =>
                {
                    return Err(Error::limit("EB-E03", "run of blocks is impossible"));
                }
                Segment::Variable { index } => {
                    if *index != next_variable || *index as usize >= self.variables.len() {
                        return Err(Error::corrupt("EB-E04", "variables and segments do not match"));
                    }
                    next_variable += 1;
                }
                _ => {}
            }
            size = self
                .segment_len(segment)
                .and_then(|len| size.checked_add(len))
                .ok_or_else(|| Error::limit("EB-E03", "segments overflow 64 bits"))?;
        }
        if next_variable as usize != self.variables.len() {
            return Err(Error::corrupt("EB-E04", "variables and segments do not match"));
        }
        if size != self.size || size > i64::MAX as u64 {
            return Err(Error::corrupt("EB-E05", format!("segments hold {size} bytes, the file {}", self.size)));
        }
        if self.hashes.is_none() && !matches!(self.segments[..], [Segment::Part { .. }]) {
            return Err(Error::corrupt("EB-E07", "file has no hash, and no one block proves its content"));
        }
        Ok(())
    }
}
