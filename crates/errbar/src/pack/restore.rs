//! What a file becomes whose records, chunks or streams come back with errors: each array where it stood, chunks
//! put through their filters again, and the lengths of those that a filter has made shorter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use errbar_codec::filter;
use errbar_dissect::{Checksum, Holds, Place, ReadAt};
use errbar_format::record::Variable;
use errbar_format::{Error, Result};

use super::Packer;
use super::file::record_bytes;
use super::load::unreadable;
use super::overlay::Overlay;
use super::plan::{ArrayPlan, Plan};
use super::spool::Spooled;
use crate::boxes::{self, Frame};
use crate::parallel::{Lane, Pool};

/// The file with the elements that decoding gives, which are in the plan's spool. In the plan, chunks get
/// their new lengths; those that would no longer fit where they stand stay as they are, and are bytes.
///
/// # Errors
/// As reading the file and writing to the temporary folder.
pub(super) fn restore(packer: &Packer, pool: &Pool, file: &Arc<File>, plan: &mut Plan, variables: &[Variable]) -> Result<Overlay> {
    let mut restoring = Restoring { packer, file, arrays: &plan.arrays, variables, restored: Overlay::new(file)? };
    let mut chunks: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    for (i, place) in plan.layout.places.iter().enumerate() {
        match &place.holds {
            Holds::Records(fields) => restoring.records(place.offset, fields.clone())?,
            Holds::Chunk { array, index, .. } if plan.arrays[*array].spooled.is_some() => {
                chunks.insert((*array, *index), i);
            }
            _ => {}
        }
    }
    let made = restoring.chunks(pool, &plan.layout.places, &chunks)?;
    let mut restored = restoring.restored;
    plan.streams.remake(|array| plan.arrays[array].spooled.is_some(), |bytes, at| restored.write(bytes, at))?;
    let mut checksums: BTreeSet<Checksum> = BTreeSet::new();
    let mut kept = BTreeSet::new();
    for (&i, len) in chunks.values().zip(made) {
        let place = &mut plan.layout.places[i];
        let Some(len) = len else {
            kept.insert(i);
            continue;
        };
        place.length = len;
        if let Some(field) = plan.layout.sizes.get(&place.offset) {
            restored.write(&field.bytes(len), field.offset)?;
            checksums.extend(field.checksum);
        }
    }
    let mut i = 0..;
    plan.layout.places.retain(|_| i.next().is_none_or(|i| !kept.contains(&i)));
    for checksum in checksums {
        let (sum, _) = checksum.of(&restored).map_err(unreadable)?;
        restored.write(&sum.to_le_bytes(), checksum.start + checksum.length)?;
    }
    Ok(restored)
}

struct Restoring<'a> {
    packer: &'a Packer,
    file: &'a File,
    arrays: &'a [ArrayPlan],
    variables: &'a [Variable],
    restored: Overlay,
}

impl Restoring<'_> {
    /// Records, at `at` in the file, if a bound reaches any of their fields.
    fn records(&mut self, mut at: u64, fields: Range<usize>) -> Result<()> {
        let widths: Vec<usize> = self.variables[fields.clone()].iter().map(record_bytes).collect();
        let starts = widths.iter().scan(0, |next, width| Some(std::mem::replace(next, *next + width)));
        let spooled = |index: usize| self.arrays[index].spooled.as_ref();
        let bounded: Vec<(&Spooled, usize, usize)> =
            fields.clone().zip(starts).zip(&widths).filter_map(|((index, start), &width)| Some((spooled(index)?, start, width))).collect();
        let (record, first) = (widths.iter().sum::<usize>(), &self.variables[fields.start]);
        if bounded.is_empty() {
            return Ok(());
        }
        for k in 0..first.grid()[0] {
            self.packer.check_cancel()?;
            let mut bytes = vec![0; first.block_box(k).1[0] as usize * record];
            self.file.read_at(&mut bytes, at).map_err(|e| unreadable(e).at(at))?;
            for &(spooled, start, width) in &bounded {
                let column = spooled.block(k)?;
                for (record, element) in bytes.chunks_exact_mut(record).zip(column.chunks_exact(width)) {
                    record[start..start + width].copy_from_slice(element);
                }
            }
            self.restored.write(&bytes, at)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Makes the chunks, in the order of their arrays and of their positions in them, in which blocks
    /// are decoded once. Gives how long each is; nothing where it is longer than what it replaces.
    fn chunks(&mut self, pool: &Pool, places: &[Place], chunks: &BTreeMap<(usize, u64), usize>) -> Result<Vec<Option<u64>>> {
        let mut lane = Lane::on(pool);
        let (mut in_flight, mut made) = (chunks.values().map(|&i| &places[i]), Vec::new());
        let mut last = None;
        for (&(array, index), &i) in chunks {
            self.packer.check_cancel()?;
            let variable = &self.variables[array];
            let (Some(spooled), Holds::Chunk { skipped, .. }) = (&self.arrays[array].spooled, &places[i].holds) else { continue };
            let (plain, filters) = (plain(variable, spooled, (array, index), &mut last)?, filters(variable));
            let (name, skipped) = (variable.name.clone(), *skipped);
            let job = move || filter::apply(&filters, skipped, plain).map_err(|e| e.in_variable(&name));
            if let Some(bytes) = lane.submit(job)? {
                made.push(self.put(in_flight.next(), &bytes?)?);
            }
        }
        while let Some(bytes) = lane.next()? {
            made.push(self.put(in_flight.next(), &bytes?)?);
        }
        Ok(made)
    }

    /// Puts a chunk in its place, zeros behind it.
    fn put(&mut self, place: Option<&Place>, bytes: &[u8]) -> Result<Option<u64>> {
        let len = bytes.len() as u64;
        let Some(place) = place.filter(|place| len <= place.length) else { return Ok(None) };
        let mut whole = vec![0; place.length as usize];
        whole[..bytes.len()].copy_from_slice(bytes);
        self.restored.write(&whole, place.offset)?;
        Ok(Some(len))
    }
}

fn filters(variable: &Variable) -> Vec<errbar_format::record::Filter> {
    variable.chunks.as_ref().map_or_else(Vec::new, |chunks| chunks.filters.clone())
}

/// The bytes of a chunk before its filters, from the block that it lies in. `last` is the block used last.
fn plain(
    variable: &Variable,
    spooled: &Spooled,
    (array, index): (usize, u64),
    last: &mut Option<((usize, u64), Vec<u8>)>,
) -> Result<Vec<u8>> {
    let k = variable.block_of(&variable.chunk_box(index).0);
    if last.as_ref().is_none_or(|(which, _)| *which != (array, k)) {
        *last = Some(((array, k), spooled.block(k)?));
    }
    let Some((_, block)) = last else { return Err(Error::usage("no block")) };
    Ok(chunk_of(variable, k, block, index))
}

/// The bytes of a chunk before its filters, where the `k`-th block of its variable holds it.
pub(super) fn chunk_of(variable: &Variable, k: u64, block: &[u8], index: u64) -> Vec<u8> {
    let Some(chunks) = &variable.chunks else { return Vec::new() };
    let (shape, item) = (variable.chunk_shape(index), variable.dtype.size());
    let mut bytes = boxes::filled(&chunks.padding, &shape, item);
    let ((origin, _), (at, extent)) = (variable.chunk_box(index), variable.block_box(k));
    let (from, to) = (Frame { origin: &at, shape: &extent }, Frame { origin: &origin, shape: &shape });
    boxes::copy(block, &from, &mut bytes, &to, item);
    bytes
}
