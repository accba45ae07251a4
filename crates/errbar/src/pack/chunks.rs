//! Arrays that a file stores in chunks: whether each chunk can be made again from its elements, and
//! the elements themselves.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use errbar_codec::{Values, filter};
use errbar_dissect::{Array, Chunks, Holds, Layout, Place, ReadAt};
use errbar_format::record::{Filter, Variable};
use errbar_format::{Error, Result};

use super::Packer;
use super::file::variable;
use super::load::{SMALL_FILE, unreadable};
use super::plan::ArrayPlan;
use super::refit::fitting;
use crate::boxes::{self, Frame};
use crate::parallel::{Lane, Pool};
use crate::planner::encode_best;
use crate::policy::Mode;

/// What zlib may have been told: its level, unless the file says which, and its memLevel.
const SETTINGS: [(u8, u8); 8] = [(6, 8), (9, 8), (1, 8), (4, 8), (6, 9), (9, 9), (1, 9), (4, 9)];
/// What libdeflate may have been told, the likeliest first: libtiff tells it 7 where users say nothing.
const LIBDEFLATE_LEVELS: [u8; 12] = [7, 6, 1, 9, 12, 8, 5, 4, 3, 2, 10, 11];
/// When writers of LZW forget: libtiff, and imagecodecs.
const LZW: [Filter; 2] = [Filter::Lzw { full: 4094, gap: 10_000 }, Filter::Lzw { full: 4096, gap: 0 }];
/// Chunks on which settings are tried before all chunks are.
const SAMPLES: usize = 8;
/// An array of which more bytes than one in so many cannot be made again is left as bytes: they would
/// be stored beside its elements.
pub(super) const MOST_LEFT: u64 = 16;
/// An array is left as bytes if it is so many times larger than what is stored of it: almost all of
/// it is not there.
pub(super) const MOST_SPARSE: u64 = 256;
/// Streams are undone in balanced if that is expected to save this share of them: unpacking has to
/// make them again.
pub(super) const WORTH: f64 = 0.1;
/// Bytes of the elements from which that is told.
pub(super) const SAMPLE: u64 = 512 << 10;

/// A chunk as it is stored.
struct Stored {
    index: u64,
    skipped: u32,
    bytes: Vec<u8>,
}

/// Reads the elements of an array in chunks.
pub(crate) struct ChunkReader<'a> {
    file: &'a File,
    array: &'a Array,
    chunks: Option<&'a Chunks>,
    places: HashMap<u64, &'a Place>,
}

impl<'a> ChunkReader<'a> {
    pub(crate) fn new(file: &'a File, array: &'a Array, places: &[&'a Place]) -> ChunkReader<'a> {
        let places = places.iter().filter_map(|&place| match place.holds {
            Holds::Chunk { index, .. } => Some((index, place)),
            _ => None,
        });
        ChunkReader { file, array, chunks: array.chunks.as_ref(), places: places.collect() }
    }

    /// The elements of a box whose origin is that of a chunk. What is not stored is the fill value.
    pub(super) fn read(&self, origin: &[u64], shape: &[u64]) -> Result<Vec<u8>> {
        let Some(chunks) = self.chunks else { return Ok(Vec::new()) };
        let variable = variable(self.array, Mode::Fast);
        let mut bytes = boxes::filled(&chunks.fill, shape, variable.dtype.size());
        let wanted = Frame { origin, shape };
        let first: Vec<u64> = origin.iter().zip(&chunks.shape).map(|(at, chunk)| at / chunk).collect();
        let counts: Vec<u64> = shape.iter().zip(&chunks.shape).map(|(n, chunk)| n.div_ceil(*chunk)).collect();
        let grid: Vec<u64> = self.array.shape.iter().zip(&chunks.shape).map(|(n, chunk)| n.div_ceil(*chunk)).collect();
        for mut k in 0..counts.iter().product() {
            let mut at = first.clone();
            for axis in (0..at.len()).rev() {
                at[axis] += k % counts[axis];
                k /= counts[axis];
            }
            let index = at.iter().zip(&grid).fold(0, |index, (at, n)| index * n + at);
            let Some(place) = self.places.get(&index) else { continue };
            let (origin, shape) = (variable.chunk_box(index).0, variable.chunk_shape(index));
            let plain = plain(chunks, &variable, self.stored(place)?).map_err(|e| e.in_variable(&self.array.name).at(place.offset))?;
            boxes::copy(&plain, &Frame { origin: &origin, shape: &shape }, &mut bytes, &wanted, self.array.dtype.size());
        }
        Ok(bytes)
    }

    fn stored(&self, place: &Place) -> Result<Stored> {
        let Holds::Chunk { index, skipped, .. } = place.holds else { return Err(Error::usage("not a chunk")) };
        let mut bytes = vec![0; place.length as usize];
        self.file.read_at(&mut bytes, place.offset).map_err(|e| unreadable(e).at(place.offset))?;
        Ok(Stored { index, skipped, bytes })
    }
}

/// The bytes of all elements of a chunk.
fn plain(chunks: &Chunks, variable: &Variable, stored: Stored) -> Result<Vec<u8>> {
    let len = variable.chunk_shape(stored.index).iter().product::<u64>() as usize * variable.dtype.size();
    filter::undo(&chunks.filters, stored.skipped, stored.bytes, len)
}

/// Whether the chunk comes out as it is stored when the elements inside the array are put through the
/// filters, with padding around them.
fn comes_back(variable: &Variable, chunks: &Chunks, stored: Stored) -> bool {
    let Stored { index, skipped, bytes: expected } = stored;
    let stored = Stored { index, skipped, bytes: expected.clone() };
    let Ok(plain) = plain(chunks, variable, stored) else { return false };
    let again = around(variable, &chunks.padding, index, &plain);
    again == plain && filter::apply(&chunks.filters, skipped, again).is_ok_and(|made| made == expected)
}

/// The bytes of a chunk with padding around the elements inside the variable.
fn around(variable: &Variable, padding: &[u8], index: u64, plain: &[u8]) -> Vec<u8> {
    let ((origin, extent), shape) = (variable.chunk_box(index), variable.chunk_shape(index));
    let (whole, inside) = (Frame { origin: &origin, shape: &shape }, Frame { origin: &origin, shape: &extent });
    let item = variable.dtype.size();
    let mut elements = boxes::filled(&[], &extent, item);
    boxes::copy(plain, &whole, &mut elements, &inside, item);
    let mut again = boxes::filled(padding, &shape, item);
    boxes::copy(&elements, &inside, &mut again, &whole, item);
    again
}

/// The chunks of each array.
pub(crate) fn places(layout: &Layout) -> HashMap<usize, Vec<Place>> {
    let mut of: HashMap<usize, Vec<Place>> = HashMap::new();
    for place in &layout.places {
        if let Holds::Chunk { array, .. } = place.holds {
            of.entry(array).or_default().push(place.clone());
        }
    }
    of
}

/// Finds how the chunks of each array can be made again. Arrays whose chunks cannot, and arrays that
/// are not worth it, are bytes in what is left of the layout, and are given with their positions in the
/// old one; so are single chunks, but their elements stand in the array, too. Plans whose bounds cannot
/// be met so are exact.
///
/// # Errors
/// As reading the file.
pub(super) fn undo(
    packer: &Packer,
    pool: &Pool,
    file: &Arc<File>,
    mut layout: Layout,
    plans: &mut [ArrayPlan],
) -> Result<(Layout, BTreeMap<usize, Array>)> {
    let mut of = places(&layout);
    let (mut as_bytes, mut alone) = (BTreeMap::new(), HashSet::new());
    for (index, plan) in plans.iter_mut().enumerate() {
        if layout.arrays[index].chunks.is_none() {
            continue;
        }
        let array = layout.arrays[index].clone();
        let undoing = Undoing { packer, pool, file, places: of.remove(&index).unwrap_or_default(), mode: plan.mode };
        match undoing.settle(array, plan).map_err(|e| e.in_variable(&layout.arrays[index].name))? {
            Some((array, failed)) => {
                layout.arrays[index] = array;
                alone.extend(failed);
            }
            None => {
                if plan.spooled.is_some() {
                    plan.refuse("its chunks cannot be made again");
                }
                as_bytes.insert(index, layout.arrays[index].clone());
            }
        }
    }
    layout.places.retain(|place| !alone.contains(&place.offset));
    layout.remove(&as_bytes.keys().copied().collect());
    Ok((layout, as_bytes))
}

/// Whether almost all of an array is not there, of which so many bytes are stored.
pub(super) fn is_sparse(array: &Array, stored: u64) -> bool {
    array.bytes().is_none_or(|bytes| bytes / MOST_SPARSE > stored + SAMPLE)
}

/// An array in chunks that is looked at.
struct Undoing<'a> {
    packer: &'a Packer,
    pool: &'a Pool,
    file: &'a Arc<File>,
    places: Vec<Place>,
    mode: Mode,
}

impl Undoing<'_> {
    /// The array with the filters and the padding that its chunks were made with, and the offsets of
    /// chunks that do not come back so; nothing where it is left as bytes.
    fn settle(&self, array: Array, plan: &mut ArrayPlan) -> Result<Option<(Array, Vec<u64>)>> {
        let Some(chunks) = array.chunks.clone() else { return Ok(None) };
        let stored: u64 = self.places.iter().map(|place| place.length).sum();
        let has_stream = chunks.filters.iter().any(Filter::is_stream);
        if has_stream && let (Some(tolerance), Some(spooled)) = (&plan.tolerance, &plan.spooled) {
            let chunks = Chunks { padding: self.padding(&array, &chunks)?, ..chunks.clone() };
            let array = Array { chunks: Some(chunks.clone()), ..array.clone() };
            let variable = (&variable(&array, self.mode), self.mode);
            match fitting(self.packer, variable, &chunks, &self.places, (spooled, tolerance))? {
                Some(filters) => return Ok(Some((Array { chunks: Some(Chunks { filters, ..chunks }), ..array }, Vec::new()))),
                None => plan.refuse("its chunks would be longer than they are once compressed again"),
            }
        }
        if is_sparse(&array, stored) || (has_stream && self.mode == Mode::Fast) {
            return Ok(None);
        }
        let Some(chunks) = self.recognise(&array, chunks)? else { return Ok(None) };
        let array = Arc::new(Array { chunks: Some(chunks), ..array });
        let failed = self.failures(&array)?;
        let lost: u64 = failed.iter().map(|place| place.length).sum();
        if lost > stored / MOST_LEFT || (has_stream && self.mode == Mode::Balanced && !self.is_worth_it(&array)?) {
            return Ok(None);
        }
        Ok(Some((Arc::unwrap_or_clone(array), failed.iter().map(|place| place.offset).collect())))
    }

    /// The element around the array in the first chunk that reaches past it, as far as it is one that is
    /// looked for; else the likeliest.
    fn padding(&self, array: &Array, chunks: &Chunks) -> Result<Vec<u8>> {
        let variable = variable(array, Mode::Fast);
        let reaches_past = |place: &&Place| matches!(place.holds, Holds::Chunk { index, .. } if variable.chunk_box(index).1 != variable.chunk_shape(index));
        let Some(place) = self.places.iter().find(reaches_past) else { return Ok(chunks.padding.clone()) };
        let stored = self.reader(array).stored(place)?;
        let (index, plain) = (stored.index, plain(chunks, &variable, stored)?);
        let fits = |padding: &Vec<u8>| around(&variable, padding, index, &plain) == plain;
        Ok(paddings(chunks).into_iter().find(fits).unwrap_or_else(|| chunks.padding.clone()))
    }

    fn reader<'a>(&'a self, array: &'a Array) -> ChunkReader<'a> {
        ChunkReader::new(self.file, array, &self.places.iter().collect::<Vec<_>>())
    }

    /// The filters and the padding with which the most of some chunks come back, the longest one among
    /// them; nothing if that one does not.
    fn recognise(&self, array: &Array, chunks: Chunks) -> Result<Option<Chunks>> {
        let (reader, variable) = (self.reader(array), variable(array, Mode::Fast));
        let samples = self.samples(&variable);
        let mut best: Option<(usize, Chunks)> = None;
        for filters in settings(&chunks.filters) {
            for padding in paddings(&chunks) {
                let trial = Chunks { filters: filters.clone(), padding, ..chunks.clone() };
                let mut back = 0;
                for (i, place) in samples.iter().enumerate() {
                    match comes_back(&variable, &trial, reader.stored(place)?) {
                        true => back += 1,
                        false if i == 0 => break,
                        false => {}
                    }
                }
                if back == samples.len() {
                    return Ok(Some(trial));
                }
                if back > best.as_ref().map_or(0, |(most, _)| *most) {
                    best = Some((back, trial));
                }
            }
        }
        Ok(best.map(|(_, chunks)| chunks))
    }

    /// Some chunks that no filter was skipped for: the longest of those inside the array, which tells the
    /// most of how it was made, then the longest that reaches past it, and some from all over.
    fn samples(&self, variable: &Variable) -> Vec<&Place> {
        let has_all = |place: &&Place| matches!(place.holds, Holds::Chunk { skipped: 0, .. });
        let all: Vec<&Place> = self.places.iter().filter(has_all).collect();
        let is_inside = |place: &Place| match place.holds {
            Holds::Chunk { index, .. } => variable.chunk_box(index).1 == variable.chunk_shape(index),
            _ => false,
        };
        let longest = |inside: bool| all.iter().filter(|place| is_inside(place) == inside).max_by_key(|place| place.length);
        let from_all_over = all.iter().step_by(all.len().div_ceil(SAMPLES).max(1));
        let mut samples: Vec<&Place> = Vec::new();
        for place in longest(true).into_iter().chain(longest(false)).chain(from_all_over) {
            if samples.iter().all(|sample| sample.offset != place.offset) {
                samples.push(place);
            }
        }
        samples
    }

    /// The chunks that do not come back.
    fn failures(&self, array: &Arc<Array>) -> Result<Vec<&Place>> {
        let mut lane = Lane::on(self.pool);
        let mut results = Vec::new();
        for place in &self.places {
            self.packer.check_cancel()?;
            let (file, array, place) = (Arc::clone(self.file), Arc::clone(array), place.clone());
            let job = move || -> Result<bool> {
                let stored = ChunkReader::new(&file, &array, &[]).stored(&place)?;
                let variable = variable(&array, Mode::Fast);
                Ok(array.chunks.as_ref().is_some_and(|chunks| comes_back(&variable, chunks, stored)))
            };
            results.extend(lane.submit(job)?);
        }
        while let Some(result) = lane.next()? {
            results.push(result);
        }
        let mut failed = Vec::new();
        for (place, comes_back) in self.places.iter().zip(results) {
            if !comes_back? {
                failed.push(place);
            }
        }
        Ok(failed)
    }

    /// Whether coding the elements, told from some of them, saves enough of the streams.
    fn is_worth_it(&self, array: &Array) -> Result<bool> {
        let variable = variable(array, self.mode);
        let Some(chunks) = array.chunks.as_ref().filter(|_| array.bytes().is_some_and(|bytes| bytes > SMALL_FILE)) else { return Ok(true) };
        let (origin, mut shape) = variable.block_box(variable.n_blocks().unwrap_or(0) / 2);
        for axis in 0..shape.len() {
            let bytes = shape.iter().product::<u64>() * array.dtype.size() as u64;
            let most = (shape[axis].saturating_mul(SAMPLE) / bytes.max(1) / chunks.shape[axis]).max(1) * chunks.shape[axis];
            shape[axis] = shape[axis].min(most);
        }
        let inside = |place: &&Place| match place.holds {
            Holds::Chunk { index, .. } => {
                let at = variable.chunk_box(index).0;
                at.iter().zip(&origin).zip(&shape).all(|((at, origin), n)| at >= origin && at - origin < *n)
            }
            _ => false,
        };
        let stored: u64 = self.places.iter().filter(inside).map(|place| place.length).sum();
        let bytes = self.reader(array).read(&origin, &shape)?;
        let values = Values::from_bytes(array.dtype, array.big_endian, &shape, bytes)?;
        let (encoded, _) = encode_best(&self.packer.registry, &*self.packer.planner, &values, None, self.mode, None)?;
        Ok((encoded.payload.len() as f64) < (1.0 - WORTH) * stored as f64)
    }
}

/// Elements that may stand around the array, the likeliest first; an empty one where none do.
fn paddings(chunks: &Chunks) -> Vec<Vec<u8>> {
    let mut paddings = vec![chunks.padding.clone()];
    if !chunks.padding.is_empty() {
        paddings.extend([chunks.fill.clone(), vec![0; chunks.fill.len()]]);
        paddings.dedup();
    }
    paddings
}

/// Filters with what the maker of their stream may have been told, the likeliest first.
fn settings(filters: &[Filter]) -> Vec<Vec<Filter>> {
    let streams: Vec<Filter> = match filters.iter().find(|filter| filter.is_stream()) {
        None => return vec![filters.to_vec()],
        Some(Filter::Lzw { .. }) => LZW.to_vec(),
        Some(declared) => {
            let level = if let Filter::Deflate { level, .. } = declared { *level } else { SETTINGS[0].0 };
            let zlib = [(level, 8), (level, 9)].into_iter().chain(SETTINGS).map(|(level, mem_level)| Filter::Deflate { level, mem_level });
            zlib.chain(LIBDEFLATE_LEVELS.map(|level| Filter::Libdeflate { level })).collect()
        }
    };
    let with = |stream: Filter| filters.iter().map(|filter| if filter.is_stream() { stream } else { *filter }).collect();
    streams.into_iter().map(with).collect()
}

/// The levels that zlib says are FLEVEL in a header, the likeliest first.
pub(super) fn levels(flevel: u8) -> &'static [u8] {
    match flevel {
        0 => &[1],
        1 => &[5, 4, 3, 2],
        2 => &[6],
        _ => &[9, 8, 7],
    }
}

/// What may have made a stream of zlib whose header has this FLEVEL, the likeliest first.
pub(super) fn makers_of_zlib(flevel: u8) -> impl Iterator<Item = Filter> {
    let stored = (flevel == 0).then_some(&0);
    let levels = move || levels(flevel).iter().chain(stored);
    let zlib = [8, 9].into_iter().flat_map(move |mem_level| levels().map(move |&level| Filter::Deflate { level, mem_level }));
    zlib.chain(LIBDEFLATE_LEVELS.map(|level| Filter::Libdeflate { level }))
}
