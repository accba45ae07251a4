//! Datasets to arrays.

use std::collections::HashMap;

use errbar_format::Result;
use errbar_format::dtype::n_elements;
use errbar_format::limits::{MAX_BLOCK, MAX_INLINE};
use errbar_format::record::Filter;

use super::chunks::{Grid, Index, Storage, storage};
use super::file::{File, UNDEFINED};
use super::messages::{self, Space};
use super::object::{Message, Object, kind};
use super::types::{self, Field, Form, Number};
use crate::layout::MAX_PLACES;
use crate::strided::Strided;
use crate::{Array, Chunks, Holds, Layout, Place, not_this};

/// Bytes of chunks that are not stored which an array may have however little of it is stored.
const MAX_ABSENT: u64 = 1 << 20;

/// Adds the array of a dataset to `layout`, or those of the fields of its records. Gives whether it has any.
///
/// # Errors
/// Where the dataset contradicts itself or the file; nothing is added then.
pub(super) fn add(file: &File, object: &Object, name: String, layout: &mut Layout) -> Result<bool> {
    let message = |kind| object.first(kind).ok_or_else(|| not_this("a message is missing"));
    if object.first(kind::EXTERNAL_FILES).is_some() {
        return Ok(false);
    }
    let at = message(kind::LAYOUT)?;
    let Some(space) = messages::space(&mut message(kind::DATASPACE)?.read(file)?)? else { return Ok(false) };
    let element = types::element(file, message(kind::DATATYPE)?)?;
    let storage = storage(&mut at.read(file)?)?;
    match element.form {
        Form::Number(number) => {
            let array = array(name, number, space.shape.clone());
            let Some(bytes) = array.bytes().filter(|_| array.is_sound()) else { return Ok(false) };
            if let Storage::Chunked(index) = &storage {
                return chunked(file, object, index, &space, array, layout);
            }
            let Some(piece) = piece(file, at, &storage, bytes)?.filter(|_| layout.places.len() < MAX_PLACES) else { return Ok(false) };
            layout.array(piece.offset, Array { sealed: piece.sealed, ..array });
            Ok(true)
        }
        Form::Record(_) => {
            let Some(count) = n_elements(&space.shape) else { return Ok(false) };
            let Some(bytes) = count.checked_mul(element.size).filter(|bytes| *bytes > 0) else { return Ok(false) };
            let Some(piece) = piece(file, at, &storage, bytes)?.filter(|_| layout.places.len() < MAX_PLACES) else { return Ok(false) };
            let column = |field: Field| {
                let shape = [vec![count], field.extents].concat();
                let array = array(format!("{name}/{}", field.name), field.number, shape).auxiliary();
                (field.at, Array { sealed: piece.sealed, ..array })
            };
            let columns: Vec<_> = element.fields().into_iter().map(column).collect();
            let before = layout.arrays.len();
            let records = Strided { start: piece.offset, stride: element.size, count };
            layout.strided(piece.offset.saturating_add(bytes), records, columns)?;
            Ok(layout.arrays.len() > before)
        }
        Form::Array(..) | Form::Other => Ok(false),
    }
}

fn array(name: String, number: Number, shape: Vec<u64>) -> Array {
    Array { auxiliary: number.labels, ..Array::new(name, number.dtype, number.big_endian, shape) }
}

/// Where the elements of a dataset lie together.
struct Piece {
    offset: u64,
    /// Whether a checksum in the file covers them.
    sealed: bool,
}

/// The place of the `bytes` bytes of a dataset, if it has them in one piece.
fn piece(file: &File, at: &Message, storage: &Storage, bytes: u64) -> Result<Option<Piece>> {
    let (address, sealed) = match *storage {
        Storage::Whole(address, len) if len.is_none_or(|len| len == bytes) => (address, false),
        // The header's checksum would have to be made anew.
        Storage::Compact(start, len) if len == bytes => (at.address.saturating_add(start), at.checksum.is_some()),
        Storage::Chunked(_) | Storage::Other => return Ok(None),
        Storage::Whole(..) | Storage::Compact(..) => return Err(not_this("dataset has another size than its data")),
    };
    match (bytes, address) {
        // An empty array needs no room.
        (0, _) => Ok(Some(Piece { offset: 0, sealed })),
        (_, UNDEFINED) => Ok(None),
        _ => Ok(Some(Piece { offset: file.place(address, bytes)?, sealed })),
    }
}

/// [`add`] for a dataset in chunks.
fn chunked(file: &File, object: &Object, index: &Index, space: &Space, array: Array, layout: &mut Layout) -> Result<bool> {
    let Some((&element_len, extents)) = index.extents.split_last() else { return Err(not_this("chunks without extent")) };
    let size = array.dtype.size();
    if element_len != size as u64 || extents.len() != space.shape.len() || space.max.len() != extents.len() || extents.contains(&0) {
        return Err(not_this("chunks do not fit their dataset"));
    }
    let filters = match object.first(kind::FILTERS) {
        Some(message) => messages::filters(&mut message.read(file)?)?,
        None => Some(Vec::new()),
    };
    let bytes = n_elements(extents).and_then(|n| n.checked_mul(size as u64)).filter(|&bytes| bytes <= MAX_BLOCK);
    let (Some(filters), Some(bytes)) = (filters, bytes) else { return Ok(false) };
    let count = |n: u64, chunk: u64| if n == u64::MAX { n } else { n.div_ceil(chunk) };
    let along = |extents_of: &[u64]| extents_of.iter().zip(extents).map(|(&n, &chunk)| count(n, chunk)).collect();
    let grid = Grid { now: along(&space.shape), most: along(&space.max), bytes };

    let (mut places, mut sizes, mut seen) = (Vec::new(), HashMap::new(), 0);
    index.chunks(file, &grid, &mut |chunk| {
        seen += 1;
        if seen + layout.places.len() > MAX_PLACES {
            return Err(not_this("too many chunks"));
        }
        if chunk.at.iter().zip(&grid.now).any(|(at, n)| at >= n) {
            return Ok(());
        }
        let number = chunk.at.iter().zip(&grid.now).fold(0, |number, (at, n)| number * n + at);
        let reach = |((at, chunk), n): ((&u64, &u64), &u64)| (at + 1).saturating_mul(*chunk) > *n;
        let at_edge = chunk.at.iter().zip(extents).zip(&space.shape).any(reach);
        let skipped = if index.edges_unfiltered && at_edge { u32::MAX } else { chunk.skipped };
        let skipped = skipped & ((1 << filters.len()) - 1);
        if !may_be(chunk.len, bytes, &filters, skipped) {
            return Err(not_this("chunk has an impossible length"));
        }
        let offset = file.place(chunk.address, chunk.len)?;
        sizes.extend(chunk.size.map(|size| (offset, size)));
        places.push(Place { offset, length: chunk.len, holds: Holds::Chunk { array: layout.arrays.len(), index: number, skipped } });
        Ok(())
    })?;

    // All of an array is coded: what a short file says is not stored must not make it a large one.
    let stored = (places.len() as u64).saturating_mul(bytes);
    let Some(total) = n_elements(&grid.now).and_then(|n| n.checked_mul(bytes)) else { return Ok(false) };
    if total.saturating_sub(stored) > stored.saturating_mul(3).saturating_add(MAX_ABSENT) {
        return Ok(false);
    }
    let (fill, padding) = messages::fill(file, object, size)?;
    let array = Array { chunks: Some(Chunks { shape: extents.to_vec(), filters, fill, padding }), ..array };
    if !array.is_sound() {
        return Ok(false);
    }
    layout.places.extend(places);
    layout.sizes.extend(sizes);
    layout.arrays.push(array);
    Ok(true)
}

/// Whether the filters can make `len` bytes of a chunk of `bytes`: not many more, but deflate makes
/// bytes of its own.
fn may_be(len: u64, bytes: u64, filters: &[Filter], skipped: u32) -> bool {
    let used = || filters.iter().enumerate().filter(|(i, _)| skipped & (1 << i) == 0).map(|(_, filter)| filter);
    let sums = used().filter(|filter| matches!(filter, Filter::Fletcher32)).count() as u64;
    match used().any(|filter| matches!(filter, Filter::Deflate { .. })) {
        true => (1..=MAX_BLOCK.min(2 * bytes + MAX_INLINE as u64)).contains(&len),
        false => len == bytes + 4 * sums,
    }
}
