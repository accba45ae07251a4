//! Variables under a bound that stand in records, in chunks or as text in their file.

use std::io;
use std::ops::Range;

use errbar_dissect::{Array, Base64, Layout, Place, ReadAt, dissect, dissectors};
use errbar_format::record::{Maker, Segment, Variable};
use errbar_format::{Error, Kind, Result};

use super::{FileComparison, Running, compare_values};
use crate::archive::{BlockSource, Direct};
use crate::pack::{ChunkReader, Spool, Spooled, block_len, columns, gather, places, record_bytes};

/// Where the elements of such variables are in the original, and what of it may be other bytes.
#[derive(Default)]
pub(super) struct Scattered {
    /// Records with such fields: where they stand, and all their fields.
    records: Vec<(Range<u64>, Range<usize>)>,
    /// Variables in chunks or as text, with their elements.
    encoded: Vec<(usize, Spooled)>,
    /// Bytes that follow from values: text, streams, their lengths, and checksums over these; ascending.
    free: Vec<Range<u64>>,
}

impl Scattered {
    /// Gathers the values of the original, and what they are held to in `running`.
    pub(super) fn new(of: &FileComparison<'_>, running: &mut [Option<Running>]) -> Result<Scattered> {
        let mut found = Scattered::default();
        let variables = &of.file.variables;
        if variables.iter().all(|variable| variable.receipt.is_none()) {
            return Ok(found);
        }
        let (spool, mut end) = (Spool::new()?, 0);
        let mut room = |variable: &Variable| {
            let room = Spooled::new(&spool, variable, end);
            end = room.end();
            room
        };
        let check = || Ok(());
        for (i, (segment, at)) in of.file.placed().enumerate() {
            // What stands in a compressed stream lost nothing.
            if let (Segment::Records { first, count }, Some(at)) = (segment, at) {
                let length = of.file.segment_len(segment).unwrap_or(0);
                let all = *first as usize..(*first + *count) as usize;
                let bounded = all.clone().filter(|&index| variables[index].receipt.is_some());
                let rooms: Vec<(usize, Spooled)> = bounded.map(|index| (index - all.start, room(&variables[index]))).collect();
                gather::fields((&of.other, at), &variables[all.clone()], &rooms, &check)?;
                for (field, room) in &rooms {
                    let index = all.start + field;
                    running[index] = of.running(&variables[index], (room.spool(), room.start()))?;
                }
                if !rooms.is_empty() {
                    found.records.push((at..at + length, all));
                }
            }
            if let (Segment::Stream { segments, maker: Maker::Filters { filters, base64: true, .. }, length, .. }, Some(at)) = (segment, at)
                && filters.is_empty()
            {
                let (mut next, content) = (0, &of.file.segments[i + 1..][..*segments as usize]);
                for segment in content {
                    if let Segment::Variable { index } = segment
                        && let variable = &variables[*index as usize]
                        && variable.receipt.is_some()
                    {
                        let (index, room) = (*index as usize, room(variable));
                        if as_text((&of.other, at, *length), next, variable, &room).map_err(|e| e.in_variable(&variable.name))? {
                            running[index] = of.running(variable, (room.spool(), room.start()))?;
                            if of.comparer.bounds {
                                let end = next + variable.bytes().unwrap_or(0);
                                found.free.push(at + next / 3 * 4..at + end.div_ceil(3) * 4);
                            }
                            found.encoded.push((index, room));
                        }
                    }
                    next += of.file.segment_len(segment).unwrap_or(0);
                }
            }
        }
        let in_chunks: Vec<usize> =
            (0..variables.len()).filter(|&index| variables[index].receipt.is_some() && variables[index].chunks.is_some()).collect();
        let (layout, _) = if in_chunks.is_empty() { Default::default() } else { dissect(&of.other, dissectors()) };
        let mut stored = places(&layout);
        for index in in_chunks {
            let variable = &variables[index];
            // An original without it differs anyway.
            let Some((array, at)) = layout.arrays.iter().zip(0..).find(|(array, _)| is_same(array, variable)) else { continue };
            let (stored, room) = (stored.remove(&at).unwrap_or_default(), room(variable));
            let reader = ChunkReader::new(&of.other, array, &stored.iter().collect::<Vec<_>>());
            match gather::chunks(&reader, variable, &room, &check) {
                Err(e) if e.kind == Kind::Io => return Err(e.in_variable(&variable.name)),
                Err(_) => continue,
                Ok(()) => {}
            }
            running[index] = of.running(variable, (room.spool(), room.start()))?;
            if of.comparer.bounds {
                found.free(&layout, &stored);
            }
            found.encoded.push((index, room));
        }
        found.free.sort_unstable_by_key(|range| range.start);
        found.free.dedup();
        Ok(found)
    }

    /// Takes note that these chunks may be others.
    fn free(&mut self, layout: &Layout, chunks: &[Place]) {
        for place in chunks {
            self.free.push(place.offset..place.offset + place.length);
            if let Some(field) = layout.sizes.get(&place.offset) {
                self.free.push(field.offset..field.offset + u64::from(field.width));
                let sum = |end: u64| end..end + 4;
                self.free.extend(field.checksum.map(|checksum| sum(checksum.start + checksum.length)));
            }
        }
    }

    /// The fields of the records that `at` is in.
    pub(super) fn fields(&self, at: u64) -> Option<Range<usize>> {
        self.records.iter().find(|(place, _)| place.contains(&at)).map(|(_, fields)| fields.clone())
    }

    /// Makes the bytes of the original at `at` those of the archive where these may be others.
    pub(super) fn allow(&self, original: &mut [u8], archived: &[u8], at: u64) {
        let end = at + original.len() as u64;
        let first = self.free.partition_point(|range| range.end <= at);
        for range in self.free[first..].iter().take_while(|range| range.start < end) {
            let part = (range.start.max(at) - at) as usize..(range.end.min(end) - at) as usize;
            original[part.clone()].copy_from_slice(&archived[part]);
        }
    }

    /// Compares the values of variables in chunks or as text, which the content does not give as they are.
    pub(super) fn compare_encoded(&self, of: &FileComparison<'_>, running: &mut [Option<Running>]) -> Result<()> {
        let mut blocks = Direct::new(of.archive);
        for (index, original) in &self.encoded {
            let variable = &of.file.variables[*index];
            let Some(running) = &mut running[*index] else { continue };
            for k in 0..variable.n_blocks().unwrap_or(0) {
                let decoded = blocks.decoded(variable.block_number(k))?;
                compare_values(variable, running, &original.block(k)?, &decoded.bytes)?;
            }
        }
        Ok(())
    }
}

/// Gathers the elements of a variable from the place `next` on in what a text of a file stands for; gives whether that
/// is a text which has them.
fn as_text((file, at, length): (&dyn ReadAt, u64, u64), mut next: u64, variable: &Variable, room: &Spooled) -> Result<bool> {
    let read = |e: io::Error| match e.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Ok(false),
        _ => Err(Error::io("cannot be read", e)),
    };
    let text = match Base64::new(file, at, length) {
        Ok(text) => text,
        Err(e) => return read(e),
    };
    for k in 0..variable.n_blocks().unwrap_or(0) {
        let mut bytes = vec![0; block_len(variable, k) as usize];
        if let Err(e) = text.read_at(&mut bytes, next) {
            return read(e);
        }
        room.write(k, &bytes)?;
        next += bytes.len() as u64;
    }
    Ok(true)
}

/// Compares records; gives whether what has to be equal is.
pub(super) fn compare_records(
    of: &FileComparison<'_>,
    fields: Range<usize>,
    running: &mut [Option<Running>],
    (original, archived): (&[u8], &[u8]),
) -> Result<bool> {
    let variables = &of.file.variables[fields.clone()];
    let widths: Vec<usize> = variables.iter().map(record_bytes).collect();
    let mut equal = true;
    let columns = columns(original, &widths).into_iter().zip(columns(archived, &widths));
    for ((variable, running), (original, archived)) in variables.iter().zip(&mut running[fields]).zip(columns) {
        match running {
            Some(running) => {
                compare_values(variable, running, &original, &archived)?;
                equal &= of.comparer.bounds || original == archived;
            }
            None => equal &= original == archived,
        }
    }
    Ok(equal)
}

/// Whether an array of the original is a variable of the archive.
fn is_same(array: &Array, variable: &Variable) -> bool {
    let chunks = |shape: &[u64]| variable.chunks.as_ref().is_some_and(|chunks| chunks.shape == shape);
    array.name == variable.name
        && (array.dtype, array.big_endian, &array.shape) == (variable.dtype, variable.big_endian, &variable.shape)
        && array.chunks.as_ref().is_some_and(|found| chunks(&found.shape))
}
