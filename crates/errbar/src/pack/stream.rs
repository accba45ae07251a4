//! Streams in a file, deflated bytes or text that stands for bytes: whether they can be made again, and the
//! arrays in their content.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use errbar_codec::Values;
use errbar_codec::deflate::{Deflater, Inflater, Step};
use errbar_codec::scanlines::Scanlines;
use errbar_codec::stream::Stream;
use errbar_dissect::{Array, Base64, Holds, Inside, Joined, Layout, Place, ReadAt, Window, Wrapper, gzip_header_len};
use errbar_format::Result;
use errbar_format::limits::MAX_INLINE;
use errbar_format::record::{Deflate, Maker};

use super::Packer;
use super::chunks::{MOST_SPARSE, SAMPLE, WORTH, makers_of_zlib};
use super::file::variable;
use super::load::{SMALL_FILE, unreadable};
use super::spool::{Spool, failed};
use crate::parallel::{Lane, Pool};
use crate::planner::{encode_best, encode_bytes};
use crate::policy::Mode;
use crate::probe;

/// What most programs tell zlib.
const USUAL: Deflate = Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 };
/// The levels that zlib may have been told, the likeliest first. One that is not the right one shows in
/// the first block of a stream.
const LEVELS: [u8; 9] = [6, 9, 1, 4, 5, 2, 3, 7, 8];
/// … and the memory levels.
const MEM_LEVELS: [u8; 2] = [8, 9];
/// Bytes that the streams of a file may inflate to, in all: they stand in a temporary file. What is
/// beyond stays as it is.
const MAX_PLAIN: u64 = 4 << 30;
/// Streams of a file that are undone, at most: they all stand in its one entry.
const MAX_STREAMS: usize = 1 << 14;
/// Bytes of the records of an array's variables and blocks, about.
const RECORDED: usize = 512;
/// Bytes read, or made, at a time.
const PIECE: usize = 256 << 10;
/// Bytes of a piece where pieces make no difference.
const TEXT_PIECE: u64 = 1 << 16;
/// Bytes of a gzip header that is looked at, at most.
const MAX_HEADER: u64 = 128 << 10;

/// A stream that can be made again.
pub(super) struct Undone {
    pub(super) maker: Maker,
    /// Bytes of the stream.
    pub(super) length: u64,
    /// CRC-32 of the stream.
    pub(super) crc: u32,
    /// How it stands in the file.
    wrapper: Arc<Wrapper>,
    /// Where its content is in the temporary file.
    pub(super) at: u64,
    /// Bytes of its content.
    pub(super) plain: u64,
    /// What its content holds, at places of the temporary file.
    pub(super) places: Vec<Place>,
}

impl Undone {
    /// Bytes of its pieces but the last, and bytes behind each.
    pub(super) fn cuts(&self) -> &[(u64, u64)] {
        self.wrapper.cuts()
    }
}

/// The streams of a file that can be made again.
#[derive(Default)]
pub(super) struct Streams {
    /// The temporary file, without a name, that they were inflated to.
    spool: Option<Spool>,
    /// By the place in the file at which they begin.
    undone: HashMap<u64, Undone>,
}

impl Streams {
    /// The stream that begins at this byte of the file, and the file that its content is in.
    pub(super) fn at(&self, offset: u64) -> Option<(&Undone, &Arc<File>)> {
        self.undone.get(&offset).zip(self.spool.as_ref().map(Spool::file))
    }

    /// What all of them hold.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.undone.values().flat_map(|undone| &undone.places)
    }

    /// Arrays in the place of whose elements others may stand, because their streams are as long whatever they
    /// hold, and where their elements are in a temporary file.
    pub(super) fn replaceable(&self) -> HashMap<usize, (&Spool, u64)> {
        let Some(spool) = &self.spool else { return HashMap::new() };
        let places = self.undone.values().filter(|undone| !undone.maker.compresses()).flat_map(|undone| &undone.places);
        let whole = |place: &Place| if let Holds::Array(array) = place.holds { Some((array, (spool, place.offset))) } else { None };
        places.filter_map(whole).collect()
    }

    /// Makes the streams again that hold one of some arrays, whose elements have changed in the temporary file:
    /// `put` gets the bytes of each, and where they go in the file.
    ///
    /// # Errors
    /// As `put`, and as reading the temporary file.
    pub(super) fn remake(&mut self, holds: impl Fn(usize) -> bool, mut put: impl FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        let Some(spool) = &self.spool else { return Ok(()) };
        for (&offset, undone) in &mut self.undone {
            if !undone.places.iter().any(|place| matches!(place.holds, Holds::Array(array) if holds(array))) {
                continue;
            }
            let (mut crc, mut at) = (crc32fast::Hasher::new(), offset);
            make(spool, (undone.at, undone.plain), &undone.maker, |made| {
                put(made, at)?;
                crc.update(made);
                at += made.len() as u64;
                Ok(true)
            })?;
            undone.crc = crc.finalize();
        }
        Ok(())
    }
}

/// A stream whose content stands in the temporary file.
#[derive(Clone)]
struct Inflated {
    inside: Inside,
    wrapper: Arc<Wrapper>,
    /// FLEVEL of the first header of zlib, where the wrapper has such headers.
    flevel: u8,
    offset: u64,
    length: u64,
    at: u64,
    plain: u64,
}

impl Inflated {
    /// From the first byte of the file to the last.
    fn span(&self) -> u64 {
        self.wrapper.cuts().iter().fold(self.length, |sum, (_, behind)| sum + behind)
    }

    /// Bytes that it takes where it is not undone.
    fn stored(&self) -> usize {
        let length = if matches!(*self.wrapper, Wrapper::Zlib { base64: true, .. }) { self.length / 4 * 3 } else { self.length };
        length as usize
    }

    /// Whether a segment may be such a stream (EB-E03).
    fn is_possible(&self) -> bool {
        self.plain > 0 && self.length <= 2 * self.plain + MAX_INLINE as u64
    }

    /// What may have made it, the likeliest first.
    fn makers(&self) -> Vec<Maker> {
        match &*self.wrapper {
            Wrapper::Raw | Wrapper::Gzip => deflaters(None),
            Wrapper::Pieces { flevel, .. } => deflaters(Some(*flevel)),
            Wrapper::Zlib { piece, base64 } => {
                makers_of_zlib(self.flevel).map(|filter| Maker::Filters { piece: *piece, filters: vec![filter], base64: *base64 }).collect()
            }
            Wrapper::Base64 => vec![Maker::Filters { piece: TEXT_PIECE, filters: Vec::new(), base64: true }],
        }
    }
}

/// Undoes the streams of a layout where they can be made again and that is worth it. Their places stay
/// in the layout, and the arrays in them are added to it; other streams are bytes.
///
/// # Errors
/// As reading the file and writing a temporary one.
pub(super) fn undo(packer: &Packer, pool: &Pool, file: &Arc<File>, mut layout: Layout, path: &[u8]) -> Result<(Layout, Streams)> {
    let (streams, places): (Vec<Place>, Vec<Place>) = layout.places.into_iter().partition(|place| matches!(place.holds, Holds::Stream(..)));
    layout.places = places;
    let mode = |name: &str| packer.policy.choice(path, name).mode.unwrap_or(packer.mode);
    let wanted = |place: &&Place| !matches!(&place.holds, Holds::Stream(wrapper, _) if wrapper.is_compressed()) || mode("") != Mode::Fast;
    let streams: Vec<&Place> = streams.iter().filter(wanted).collect();
    if streams.is_empty() {
        return Ok((layout, Streams::default()));
    }
    let spool = Spool::new()?;
    let (mut len, mut found) = (0, Vec::new());
    for place in streams {
        packer.check_cancel()?;
        inflate_all(file, place, (&spool, &mut len), &mut found)?;
    }
    found.retain(Inflated::is_possible);
    let mut wanted = Vec::new();
    for stream in found {
        packer.check_cancel()?;
        let content = stream.inside.dissect(&Window::new(&spool, stream.at, stream.plain));
        let judge = Judge { packer, spool: &spool, stream: &stream, mode: mode(stream.inside.name()) };
        if judge.is_worth_it(&content)? {
            wanted.push((stream, content));
        }
    }
    let recognised = recognise_all(packer, pool, (file, &spool), &wanted)?;
    let mut undone = HashMap::new();
    for ((stream, content), recognised) in wanted.into_iter().zip(recognised) {
        let Some((maker, crc)) = recognised else { continue };
        let span = stream.span();
        let Inflated { inside, wrapper, offset, length, at, plain, .. } = stream;
        let places = layout.absorb(inside.name(), content);
        let places = places.into_iter().map(|place| Place { offset: at + place.offset, ..place }).collect();
        layout.places.push(Place { offset, length: span, holds: Holds::Stream(Wrapper::Raw, inside) });
        undone.insert(offset, Undone { maker, length, crc, wrapper, at, plain, places });
    }
    layout.places.sort_by_key(|place| (place.offset, place.length));
    layout.name_apart();
    Ok((layout, Streams { spool: Some(spool), undone }))
}

/// Writes the content of what stands at a place of the file to the end of the spool, which has so many
/// bytes already.
fn inflate_all(file: &File, place: &Place, (spool, len): (&Spool, &mut u64), found: &mut Vec<Inflated>) -> Result<()> {
    let Holds::Stream(wrapper, inside) = &place.holds else { return Ok(()) };
    let (mut at, end) = (place.offset, place.offset + place.length);
    let shared = Arc::new(wrapper.clone());
    let of = |offset: u64, length: u64, (at, plain): (u64, u64)| {
        let (inside, wrapper) = (inside.clone(), Arc::clone(&shared));
        Inflated { inside, wrapper, flevel: 0, offset, length, at, plain }
    };
    while at < end && found.len() < MAX_STREAMS {
        let before = *len;
        match wrapper {
            Wrapper::Gzip => {
                let mut head = vec![0; (end - at).min(MAX_HEADER) as usize];
                file.read_at(&mut head, at).map_err(|e| unreadable(e).at(at))?;
                let Some(header) = gzip_header_len(&head) else { break };
                at += header as u64;
                let Some(stream_end) = Source::new(file, (at, end)).inflate(spool, len)? else { break };
                found.push(of(at, stream_end - at, (before, *len - before)));
                // The checksum and the length of the content.
                at = stream_end + 8;
                continue;
            }
            Wrapper::Raw => {
                let stream_end = Source::new(file, (at, end)).inflate(spool, len)?;
                found.extend(stream_end.map(|stream_end| of(at, stream_end - at, (before, *len - before))));
            }
            Wrapper::Pieces { cuts, .. } => {
                let length = cuts.iter().fold(place.length, |length, (_, behind)| length - behind);
                let stream_end = Source::new(&Joined::new(file, (at, length), cuts), (0, length)).inflate(spool, len)?;
                // Pieces behind the end would be none.
                found.extend(stream_end.filter(|end| *end == length).map(|_| of(at, length, (before, *len - before))));
            }
            Wrapper::Zlib { piece, base64 } => {
                let flevel = match base64 {
                    false => inflate_pieces(&Window::new(file, at, place.length), *piece, (spool, len))?,
                    true => match Base64::new(file, at, place.length) {
                        Ok(decoded) => inflate_pieces(&decoded, *piece, (spool, len))?,
                        Err(_) => None,
                    },
                };
                found.extend(flevel.map(|flevel| Inflated { flevel, ..of(at, place.length, (before, *len - before)) }));
            }
            Wrapper::Base64 => {
                if let Ok(decoded) = Base64::new(file, at, place.length)
                    && copy(&decoded, (spool, len))?
                {
                    found.push(of(at, place.length, (before, *len - before)));
                }
            }
        }
        break;
    }
    Ok(())
}

/// Streams that are read front to back.
struct Source<'a> {
    file: &'a dyn ReadAt,
    /// The next byte, and the end.
    at: u64,
    end: u64,
    input: Vec<u8>,
    /// Bytes of `input` from the next one on.
    have: Range<usize>,
    output: Vec<u8>,
}

impl<'a> Source<'a> {
    fn new(file: &'a dyn ReadAt, (at, end): (u64, u64)) -> Source<'a> {
        Source { file, at, end, input: vec![0; PIECE], have: 0..0, output: vec![0; PIECE] }
    }

    /// Has some of the next bytes ready, if there are any; gives whether it could.
    fn fill(&mut self) -> Result<bool> {
        if self.have.is_empty() {
            self.have = 0..(self.end - self.at).min(PIECE as u64) as usize;
            match self.file.read_at(&mut self.input[self.have.clone()], self.at) {
                // What is no text is no stream.
                Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(false),
                read => read.map_err(|e| unreadable(e).at(self.at))?,
            }
        }
        Ok(true)
    }

    fn pass(&mut self, n: usize) {
        (self.at, self.have.start) = (self.at + n as u64, self.have.start + n);
    }

    /// So many of the next bytes; nothing where there are fewer.
    fn take(&mut self, n: usize) -> Result<Option<Vec<u8>>> {
        let mut taken = Vec::new();
        while taken.len() < n {
            if !self.fill()? || self.have.is_empty() {
                return Ok(None);
            }
            let some = &self.input[self.have.clone()];
            let some = &some[..some.len().min(n - taken.len())];
            taken.extend_from_slice(some);
            let n = some.len();
            self.pass(n);
        }
        Ok(Some(taken))
    }

    /// Inflates the raw stream that begins here to the end of the spool, which has so many bytes already;
    /// gives where the stream ends. Nothing where that is no stream, or would be too much.
    fn inflate(&mut self, spool: &Spool, len: &mut u64) -> Result<Option<u64>> {
        let (mut inflater, from, mut plain) = (Inflater::default(), self.at, 0u64);
        loop {
            if !self.fill()? {
                return Ok(None);
            }
            let Ok(Step { taken, made, ends }) = inflater.step(&self.input[self.have.clone()], &mut self.output) else { return Ok(None) };
            self.pass(taken);
            let next = *len + plain;
            plain += made as u64;
            // Almost all of what is far larger than its stream is not there.
            if *len + plain > MAX_PLAIN || plain / MOST_SPARSE > self.at - from + SAMPLE {
                return Ok(None);
            }
            spool.write(&self.output[..made], next)?;
            if ends {
                break;
            }
            // Cut: there was nothing more to take.
            if taken == 0 && made == 0 {
                return Ok(None);
            }
        }
        *len += plain;
        Ok(Some(self.at))
    }
}

/// Inflates streams of zlib, all of `piece` bytes of content but the last one, that together are a file.
/// Gives FLEVEL of the first; nothing where they are no such streams.
fn inflate_pieces(file: &dyn ReadAt, piece: u64, (spool, len): (&Spool, &mut u64)) -> Result<Option<u8>> {
    let (mut source, mut first) = (Source::new(file, (0, file.size())), None);
    let mut last = piece;
    while source.at < source.end {
        let before = *len;
        let Some(head) = source.take(2)? else { return Ok(None) };
        first.get_or_insert(head[1] >> 6);
        // Behind the stream there is a checksum of its content.
        if last != piece || source.inflate(spool, len)?.is_none() || source.take(4)?.is_none() {
            return Ok(None);
        }
        last = *len - before;
    }
    Ok(first.filter(|_| last <= piece))
}

/// Copies a file to the end of the spool; gives whether it is text, and not too much.
fn copy(file: &dyn ReadAt, (spool, len): (&Spool, &mut u64)) -> Result<bool> {
    if *len + file.size() > MAX_PLAIN {
        return Ok(false);
    }
    let mut source = Source::new(file, (0, file.size()));
    while source.at < source.end {
        if !source.fill()? {
            return Ok(false);
        }
        let some = &source.input[source.have.clone()];
        spool.write(some, *len + source.at)?;
        let n = some.len();
        source.pass(n);
    }
    *len += file.size();
    Ok(true)
}

/// How each stream is made again, with its CRC-32; nothing for those that are not.
fn recognise_all(
    packer: &Packer,
    pool: &Pool,
    (file, spool): (&Arc<File>, &Spool),
    wanted: &[(Inflated, Layout)],
) -> Result<Vec<Option<(Maker, u32)>>> {
    let Some(((first, _), rest)) = wanted.split_first() else { return Ok(Vec::new()) };
    // Streams of one file mostly have one writer.
    let mut results = vec![recognise(file, spool, first, None)?];
    let likely = results[0].as_ref().map(|(maker, _)| maker.clone());
    let mut lane = Lane::on(pool);
    for (stream, _) in rest {
        packer.check_cancel()?;
        let (file, spool, stream, likely) = (Arc::clone(file), spool.clone(), stream.clone(), likely.clone());
        if let Some(result) = lane.submit(move || recognise(&file, &spool, &stream, likely))? {
            results.push(result?);
        }
    }
    while let Some(result) = lane.next()? {
        results.push(result?);
    }
    Ok(results)
}

/// The first maker that makes a stream again to its last bit.
fn recognise(file: &File, spool: &Spool, stream: &Inflated, likely: Option<Maker>) -> Result<Option<(Maker, u32)>> {
    let mut makers = stream.makers();
    if let Some(i) = makers.iter().position(|maker| Some(maker) == likely.as_ref()) {
        makers[..=i].rotate_right(1);
    }
    for maker in makers {
        if let Some(crc) = comes_back(file, spool, stream, &maker)? {
            return Ok(Some((maker, crc)));
        }
    }
    Ok(None)
}

/// What may have made a raw stream, the likeliest first, where a header before it has this FLEVEL.
fn deflaters(flevel: Option<u8>) -> Vec<Maker> {
    let levels: &[u8] = match flevel {
        None => &LEVELS,
        Some(0) => &[1],
        Some(1) => &[5, 4, 3, 2],
        Some(2) => &[6],
        Some(_) => &[9, 8, 7],
    };
    // libpng asks for `Z_FILTERED` where it filters, and where nothing matches levels make no difference.
    let strategies: &[u8] = match flevel {
        None => &[0],
        Some(0) => &[1, 3, 0, 2],
        Some(_) => &[1, 0],
    };
    let mut all = Vec::new();
    for mem_level in MEM_LEVELS {
        for &strategy in strategies {
            all.extend(levels.iter().map(|&level| Maker::Deflate(Deflate { level, mem_level, strategy, ..USUAL })));
        }
    }
    all
}

/// The CRC-32 of a stream, if it is what this maker makes of its content.
fn comes_back(file: &File, spool: &Spool, stream: &Inflated, maker: &Maker) -> Result<Option<u32>> {
    let joined = Joined::new(file, (stream.offset, stream.length), stream.wrapper.cuts());
    let (mut crc, mut compared, mut expected) = (crc32fast::Hasher::new(), 0, Vec::new());
    let is_made = make(spool, (stream.at, stream.plain), maker, |made| {
        if made.len() as u64 > stream.length - compared {
            return Ok(false);
        }
        expected.resize(made.len(), 0);
        joined.read_at(&mut expected, compared).map_err(|e| unreadable(e).at(stream.offset))?;
        compared += made.len() as u64;
        crc.update(made);
        Ok(*made == expected)
    })?;
    Ok((is_made && compared == stream.length).then(|| crc.finalize()))
}

/// Makes the stream of `len` bytes of a temporary file from `at` on. Each part of it is given to `part`, until that says
/// no, which is given back.
fn make(spool: &Spool, (at, len): (u64, u64), maker: &Maker, mut part: impl FnMut(&[u8]) -> Result<bool>) -> Result<bool> {
    let (mut stream, mut made, mut piece) = (Stream::new(maker)?, Vec::new(), vec![0; PIECE]);
    let (mut next, end) = (at, at + len);
    while next < end {
        let len = (end - next).min(PIECE as u64) as usize;
        spool.read(&mut piece[..len], next).map_err(failed)?;
        stream.write(&piece[..len], &mut made)?;
        next += len as u64;
        if !part(&made)? {
            return Ok(false);
        }
        made.clear();
    }
    stream.finish(&mut made)?;
    part(&made)
}

/// Bytes to which most programs deflate these.
fn deflated(bytes: &[u8]) -> Result<usize> {
    let (mut deflater, mut stored) = (Deflater::new(USUAL)?, Vec::new());
    deflater.write(bytes, &mut stored)?;
    deflater.finish(&mut stored)?;
    Ok(stored.len())
}

/// A stream of which is to be told whether undoing it is worth it.
struct Judge<'a> {
    packer: &'a Packer,
    spool: &'a Spool,
    stream: &'a Inflated,
    mode: Mode,
}

impl Judge<'_> {
    /// Whether it is worth it in this mode: in balanced, whether coding the content, told from some of it,
    /// saves enough of the stream.
    fn is_worth_it(&self, inner: &Layout) -> Result<bool> {
        // Numbers as text are of no use to anybody.
        if !self.stream.wrapper.is_compressed() {
            return Ok(!inner.arrays.is_empty());
        }
        if self.mode == Mode::Fast {
            return Ok(false);
        }
        // One array, of which even small ones tell.
        let array = match &inner.places[..] {
            [Place { holds: Holds::Scanlines(fields), .. }] => Some(self.sample_of_image(&inner.arrays[fields.end - 1])),
            [place @ Place { holds: Holds::Array(array), .. }] if matches!(*self.stream.wrapper, Wrapper::Zlib { .. }) => {
                Some(self.sample_of_array(inner, place, *array))
            }
            _ => None,
        };
        if let Some(sample) = array {
            let (stored, coded) = sample?;
            let least = if self.mode == Mode::Small { 0.0 } else { WORTH };
            return Ok(((coded + RECORDED) as f64) < (1.0 - least) * stored as f64);
        }
        if self.mode == Mode::Small {
            return Ok(true);
        }
        // Columns of text gain more than any text does.
        if self.stream.plain <= SMALL_FILE || inner.places.iter().any(|place| matches!(place.holds, Holds::Lines(..))) {
            return Ok(true);
        }
        let whole = inner.places.iter().filter_map(|place| match place.holds {
            Holds::Array(array) => Some((place, array)),
            _ => None,
        });
        let largest = whole.max_by_key(|(place, _)| place.length).filter(|(place, _)| place.length >= self.stream.plain / 2);
        let (stored, coded) = match largest {
            Some((place, array)) => self.sample_of_array(inner, place, array)?,
            None => self.sample_of_bytes()?,
        };
        Ok((coded as f64) < (1.0 - WORTH) * stored as f64)
    }

    /// Bytes of a part of the content: as they are stored, or deflated as most programs do it, and coded by `code`.
    fn sample(&self, at: u64, len: u64, code: impl FnOnce(Vec<u8>) -> Result<usize>) -> Result<(usize, usize)> {
        let mut bytes = vec![0; len as usize];
        self.spool.read(&mut bytes, self.stream.at + at).map_err(failed)?;
        let stored = if len == self.stream.plain { self.stream.stored() } else { deflated(&bytes)? };
        Ok((stored, code(bytes)?))
    }

    /// Bytes of scanlines from the middle of an image: deflated, and their pixels coded. Those above have
    /// to be gone through, because rows are predicted from the ones before them.
    fn sample_of_image(&self, image: &Array) -> Result<(usize, usize)> {
        let mut scanlines = Scanlines::of(&image.shape, image.dtype.size());
        let line = scanlines.line() as u64;
        let rows = (SAMPLE / line).clamp(1, image.shape[0]);
        let first = (image.shape[0] - rows) / 2;
        let mut read = |row: u64, rows: u64| -> Result<(Vec<u8>, Vec<u8>)> {
            let mut lines = vec![0; (rows * line) as usize];
            self.spool.read(&mut lines, self.stream.at + row * line).map_err(failed)?;
            let (_, pixels) = scanlines.undo(&lines)?;
            Ok((lines, pixels))
        };
        for row in (0..first).step_by(rows as usize) {
            read(row, rows.min(first - row))?;
        }
        let (lines, pixels) = read(first, rows)?;
        let stored = if rows == image.shape[0] { self.stream.stored() } else { deflated(&lines)? };
        let shape: Vec<u64> = [rows].into_iter().chain(image.shape[1..].iter().copied()).collect();
        let values = Values::from_bytes(image.dtype, image.big_endian, &shape, pixels)?;
        let (encoded, _) = encode_best(&self.packer.registry, &*self.packer.planner, &values, None, self.mode, None)?;
        Ok((stored, encoded.payload.len()))
    }

    fn sample_of_array(&self, inner: &Layout, place: &Place, array: usize) -> Result<(usize, usize)> {
        let variable = variable(&inner.arrays[array], self.mode);
        let item = variable.dtype.size() as u64;
        let (origin, mut shape) = variable.block_box(variable.n_blocks().unwrap_or(0) / 2);
        for axis in 0..shape.len() {
            let bytes = shape.iter().product::<u64>() * item;
            shape[axis] = shape[axis].min((shape[axis].saturating_mul(SAMPLE) / bytes.max(1)).max(1));
        }
        // Blocks of an array in one piece are runs of it, and so is what begins where one does.
        let first = origin.iter().zip(&variable.shape).fold(0, |at, (i, n)| at * n + i) * item;
        self.sample(place.offset + first, shape.iter().product::<u64>() * item, |bytes| {
            let values = Values::from_bytes(variable.dtype, variable.big_endian, &shape, bytes)?;
            let (encoded, _) = encode_best(&self.packer.registry, &*self.packer.planner, &values, None, self.mode, None)?;
            Ok(encoded.payload.len())
        })
    }

    fn sample_of_bytes(&self) -> Result<(usize, usize)> {
        let len = self.stream.plain.min(SAMPLE);
        self.sample((self.stream.plain - len) / 2, len, |bytes| {
            let (mut coded, mut at) = (0, 0);
            for part in probe::parts(&bytes) {
                let part_bytes = bytes[at..at + part.len].to_vec();
                at += part.len;
                let (encoded, _) =
                    encode_bytes(&self.packer.registry, &*self.packer.planner, part_bytes, part.numbers.as_ref(), self.mode)?;
                coded += encoded.payload.len();
            }
            Ok(coded)
        })
    }
}
