//! Streams in a file, deflated bytes or text that stands for bytes: whether they can be made again, and the
//! arrays in their content.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use errbar_codec::deflate::{Inflater, Step};
use errbar_codec::stream::Stream;
use errbar_dissect::{Base64, Holds, Inside, Joined, Layout, Place, ReadAt, Window, Wrapper, gzip_header_len};
use errbar_format::Result;
use errbar_format::limits::MAX_INLINE;
use errbar_format::record::{Deflate, Maker};

use super::chunks::{MOST_SPARSE, SAMPLE, levels, makers_of_zlib};
use super::judge::Judge;
use super::load::unreadable;
use super::spool::{Spool, failed};
use super::{Packer, lines};
use crate::parallel::{Lane, Pool};

/// What most programs tell zlib.
pub(super) const USUAL: Deflate = Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 };
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
/// Bytes read, or made, at a time.
const PIECE: usize = 256 << 10;
/// Bytes that are deflated before what they became is compared: settings that are not the right ones show
/// early, and some of them take a second for a mebibyte.
const TRIED: usize = 64 << 10;
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
pub(super) struct Inflated {
    inside: Inside,
    pub(super) wrapper: Arc<Wrapper>,
    /// FLEVEL of the first header of zlib, where the wrapper has such headers.
    flevel: u8,
    offset: u64,
    length: u64,
    pub(super) at: u64,
    pub(super) plain: u64,
}

impl Inflated {
    /// From the first byte of the file to the last.
    fn span(&self) -> u64 {
        self.wrapper.cuts().iter().fold(self.length, |sum, (_, behind)| sum + behind)
    }

    /// Bytes that it takes where it is not undone.
    pub(super) fn stored(&self) -> usize {
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
    if streams.is_empty() {
        return Ok((layout, Streams::default()));
    }
    let spool = Spool::new()?;
    let (mut len, mut found) = (0, Vec::new());
    for place in &streams {
        packer.check_cancel()?;
        inflate_all(file, place, (&spool, &mut len), &mut found)?;
    }
    found.retain(Inflated::is_possible);
    let mut wanted = Vec::new();
    for stream in found {
        packer.check_cancel()?;
        let window = Window::new(&spool, stream.at, stream.plain);
        let mut content = stream.inside.dissect(&window);
        lines::weigh(packer, &window, &mut content, path)?;
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
    let levels = flevel.map_or(&LEVELS[..], levels);
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
    let (mut stream, mut made, mut piece) = (Stream::new(maker)?, Vec::new(), vec![0; TRIED]);
    let (mut next, end) = (at, at + len);
    while next < end {
        let len = (end - next).min(TRIED as u64) as usize;
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
