//! Chunks that hold a stream and that a bound reaches: whether what becomes of them fits where they stand.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;

use errbar_codec::{Tolerance, Values, filter};
use errbar_dissect::{Array, Checksum, Chunks, Holds, Place, SizeField};
use errbar_format::Result;
use errbar_format::record::{Filter, Variable};

use super::Packer;
use super::chunks::{MOST_LEFT, is_sparse};
use super::load::unreadable;
use super::restore::chunk_of;
use super::spool::Spooled;
use crate::planner::encode_best;
use crate::policy::Mode;

/// The level at which zlib makes the shortest streams, if the file's own makes them too long.
const BEST: u8 = 9;

/// Why no bound can reach an array in chunks, if none can.
///
/// # Errors
/// As reading the file.
pub(super) fn obstacle(
    file: &File,
    array: &Array,
    places: &[&Place],
    sizes: &HashMap<u64, SizeField>,
    mode: Mode,
) -> Result<Option<&'static str>> {
    let Some(chunks) = &array.chunks else { return Ok(None) };
    if is_sparse(array, places.iter().map(|place| place.length).sum()) {
        return Ok(Some("almost all of it is not stored"));
    }
    let mut checksums: BTreeSet<Checksum> = BTreeSet::new();
    for place in places.iter().filter(|place| has_stream(&chunks.filters, place)) {
        if mode == Mode::Fast {
            return Ok(Some("its chunks are compressed, which the mode fast leaves as it is"));
        }
        match sizes.get(&place.offset) {
            Some(field) => checksums.extend(field.checksum),
            None => return Ok(Some("the lengths of its compressed chunks cannot be changed in its file")),
        }
    }
    for checksum in checksums {
        let (found, stored) = checksum.of(file).map_err(|e| unreadable(e).at(checksum.start))?;
        if found != stored {
            return Ok(Some("a checksum in its file is wrong"));
        }
    }
    Ok(None)
}

/// Whether a chunk is compressed.
pub(super) fn has_stream(filters: &[Filter], place: &Place) -> bool {
    let Holds::Chunk { skipped, .. } = place.holds else { return false };
    filters.iter().enumerate().any(|(i, filter)| filter.is_stream() && skipped >> i & 1 == 0)
}

/// The filters with which almost all chunks of an array, told from those of one block, are no longer
/// than they were once they hold what decoding gives; nothing if there are none.
///
/// # Errors
/// As coding, and as reading the temporary folder.
pub(super) fn fitting(
    packer: &Packer,
    (variable, mode): (&Variable, Mode),
    chunks: &Chunks,
    places: &[Place],
    (spooled, tolerance): (&Spooled, &Tolerance),
) -> Result<Option<Vec<Filter>>> {
    let k = variable.n_blocks().unwrap_or(0) / 2;
    let here = |place: &&Place| matches!(place.holds, Holds::Chunk { index, .. } if variable.block_of(&variable.chunk_box(index).0) == k);
    let sample: Vec<&Place> = places.iter().filter(here).collect();
    let values = Values::from_bytes(variable.dtype, variable.big_endian, &variable.block_box(k).1, spooled.block(k)?)?;
    let (encoded, _) = encode_best(&packer.registry, &*packer.planner, &values, Some(tolerance), mode, None)?;
    let block = encoded.decoded.into_bytes(variable.big_endian);
    let stored: u64 = sample.iter().map(|place| place.length).sum();
    for filters in [chunks.filters.clone(), at_level(&chunks.filters, BEST)] {
        let mut grown = 0;
        for place in &sample {
            let Holds::Chunk { index, skipped, .. } = place.holds else { continue };
            let made = filter::apply(&filters, skipped, chunk_of(variable, k, &block, index))?;
            if made.len() as u64 > place.length {
                grown += place.length;
            }
        }
        if grown <= stored / MOST_LEFT {
            return Ok(Some(filters));
        }
    }
    Ok(None)
}

/// Filters with another level for their stream.
fn at_level(filters: &[Filter], level: u8) -> Vec<Filter> {
    let at_level = |filter: &Filter| match *filter {
        Filter::Deflate { mem_level, .. } => Filter::Deflate { level, mem_level },
        Filter::Libdeflate { .. } => Filter::Libdeflate { level },
        other => other,
    };
    filters.iter().map(at_level).collect()
}
