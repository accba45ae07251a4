//! Deflated bytes in a file: whether they can be made again, and the arrays in what they inflate to.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use errbar_codec::Values;
use errbar_codec::deflate::{Deflater, Inflater, Step};
use errbar_codec::scanlines::Scanlines;
use errbar_dissect::{Array, Holds, Inside, Joined, Layout, Place, ReadAt, Window, Wrapper, gzip_header_len};
use errbar_format::Result;
use errbar_format::record::Deflate;

use super::chunks::{MOST_SPARSE, SAMPLE, WORTH};
use super::file::variable;
use super::load::{SMALL_FILE, unreadable};
use super::spool::{Spool, failed};
use super::{Packer, lines};
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
/// Bytes of the records of an image's variables and blocks, about.
const RECORDED: usize = 512;
/// Bytes read, or made, at a time.
const PIECE: usize = 256 << 10;
/// Bytes that are deflated before what they became is compared: settings that are not the right ones show
/// early, and some of them take a second for a mebibyte.
const TRIED: usize = 64 << 10;
/// Bytes of a gzip header that is looked at, at most.
const MAX_HEADER: u64 = 128 << 10;

/// A stream that can be made again.
pub(super) struct Undone {
    pub(super) deflate: Deflate,
    /// Bytes of the stream.
    pub(super) length: u64,
    /// CRC-32 of the stream.
    pub(super) crc: u32,
    /// Bytes of its pieces but the last, and bytes behind each.
    pub(super) cuts: Arc<[(u64, u64)]>,
    /// Where its content is in the temporary file.
    pub(super) at: u64,
    /// Bytes of its content.
    pub(super) plain: u64,
    /// What its content holds, at places of the temporary file.
    pub(super) places: Vec<Place>,
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
}

/// A stream that was inflated.
#[derive(Clone)]
struct Inflated {
    inside: Inside,
    offset: u64,
    length: u64,
    /// As in [`Wrapper::Pieces`].
    cuts: Arc<[(u64, u64)]>,
    flevel: Option<u8>,
    at: u64,
    plain: u64,
}

impl Inflated {
    /// From the first byte of the file to the last.
    fn span(&self) -> u64 {
        self.cuts.iter().fold(self.length, |sum, (_, behind)| sum + behind)
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
    if streams.is_empty() || mode("") == Mode::Fast {
        return Ok((layout, Streams::default()));
    }
    let spool = Spool::new()?;
    let (mut len, mut found) = (0, Vec::new());
    for place in &streams {
        packer.check_cancel()?;
        inflate_all(file, place, (&spool, &mut len), &mut found)?;
    }
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
        let Some((deflate, crc)) = recognised else { continue };
        let span = stream.span();
        let Inflated { inside, offset, length, cuts, at, plain, .. } = stream;
        let places = layout.absorb(inside.name(), content);
        let places = places.into_iter().map(|place| Place { offset: at + place.offset, ..place }).collect();
        layout.places.push(Place { offset, length: span, holds: Holds::Stream(Wrapper::Raw, inside) });
        undone.insert(offset, Undone { deflate, length, crc, cuts, at, plain, places });
    }
    layout.places.sort_by_key(|place| (place.offset, place.length));
    layout.name_apart();
    Ok((layout, Streams { spool: Some(spool), undone }))
}

/// Inflates what stands at a place of the file.
/// `spool` has so many bytes already.
fn inflate_all(file: &File, place: &Place, (spool, len): (&Spool, &mut u64), found: &mut Vec<Inflated>) -> Result<()> {
    let end = place.offset + place.length;
    let Holds::Stream(wrapper, inside) = &place.holds else { return Ok(()) };
    let of = |offset: u64, length: u64, at: u64, plain: u64| {
        let (cuts, flevel) = match wrapper {
            Wrapper::Pieces { flevel, cuts } => (cuts.as_slice().into(), Some(*flevel)),
            Wrapper::Raw | Wrapper::Gzip => ([].into(), None),
        };
        Inflated { inside: inside.clone(), offset, length, cuts, flevel, at, plain }
    };
    let mut at = place.offset;
    while at < end && found.len() < MAX_STREAMS {
        let before = *len;
        match wrapper {
            Wrapper::Raw => {
                let stream_end = inflate(file, (at, end), (spool, len))?;
                found.extend(stream_end.filter(|_| *len > before).map(|stream_end| of(at, stream_end - at, before, *len - before)));
                break;
            }
            Wrapper::Pieces { cuts, .. } => {
                let length = cuts.iter().fold(place.length, |length, (_, behind)| length - behind);
                let stream_end = inflate(&Joined::new(file, (at, length), cuts), (0, length), (spool, len))?;
                // Pieces behind the end would be none.
                found.extend(stream_end.filter(|end| *end == length && *len > before).map(|_| of(at, length, before, *len - before)));
                break;
            }
            Wrapper::Gzip => {
                let mut head = vec![0; (end - at).min(MAX_HEADER) as usize];
                file.read_at(&mut head, at).map_err(|e| unreadable(e).at(at))?;
                let Some(header) = gzip_header_len(&head) else { break };
                at += header as u64;
                let Some(stream_end) = inflate(file, (at, end), (spool, len))? else { break };
                if *len > before {
                    found.push(of(at, stream_end - at, before, *len - before));
                }
                // The checksum and the length of the content.
                at = stream_end + 8;
            }
        }
    }
    Ok(())
}

/// Inflates a stream that begins at `from` and ends at `to` or before it, to the end of the spool; gives
/// where it ends. Nothing where that is no stream, or would be too much.
fn inflate(file: &dyn ReadAt, (from, to): (u64, u64), (spool, len): (&Spool, &mut u64)) -> Result<Option<u64>> {
    let (mut inflater, mut input, mut output) = (Inflater::default(), vec![0; PIECE], vec![0; PIECE]);
    let (mut at, mut plain, mut have) = (from, 0u64, 0..0);
    loop {
        if have.is_empty() {
            have = 0..(to - at).min(PIECE as u64) as usize;
            file.read_at(&mut input[have.clone()], at).map_err(|e| unreadable(e).at(at))?;
        }
        let Ok(Step { taken, made, ends }) = inflater.step(&input[have.clone()], &mut output) else { return Ok(None) };
        (at, have.start) = (at + taken as u64, have.start + taken);
        let next = *len + plain;
        plain += made as u64;
        // Almost all of what is far larger than its stream is not there.
        if *len + plain > MAX_PLAIN || plain / MOST_SPARSE > at - from + SAMPLE {
            return Ok(None);
        }
        spool.write(&output[..made], next)?;
        if ends {
            break;
        }
        // Cut: there was nothing more to take.
        if taken == 0 && made == 0 {
            return Ok(None);
        }
    }
    *len += plain;
    Ok(Some(at))
}

/// How each stream is made again, with its CRC-32; nothing for those that are not.
fn recognise_all(
    packer: &Packer,
    pool: &Pool,
    (file, spool): (&Arc<File>, &Spool),
    wanted: &[(Inflated, Layout)],
) -> Result<Vec<Option<(Deflate, u32)>>> {
    let Some(((first, _), rest)) = wanted.split_first() else { return Ok(Vec::new()) };
    // Streams of one file mostly have one writer.
    let mut results = vec![recognise(file, spool, first, None)?];
    let likely = results[0].map(|(deflate, _)| deflate);
    let mut lane = Lane::on(pool);
    for (stream, _) in rest {
        packer.check_cancel()?;
        let (file, spool, stream) = (Arc::clone(file), spool.clone(), stream.clone());
        if let Some(result) = lane.submit(move || recognise(&file, &spool, &stream, likely))? {
            results.push(result?);
        }
    }
    while let Some(result) = lane.next()? {
        results.push(result?);
    }
    Ok(results)
}

/// The first settings with which a stream is made again to its last bit.
fn recognise(file: &File, spool: &Spool, stream: &Inflated, likely: Option<Deflate>) -> Result<Option<(Deflate, u32)>> {
    // One that was tried is not tried again.
    let others = settings(stream.flevel).into_iter().filter(|settings| Some(*settings) != likely);
    for deflate in likely.into_iter().chain(others) {
        if let Some(crc) = comes_back(file, spool, stream, deflate)? {
            return Ok(Some((deflate, crc)));
        }
    }
    Ok(None)
}

/// What zlib may have been told, the likeliest first, where a header before the stream has this FLEVEL.
fn settings(flevel: Option<u8>) -> Vec<Deflate> {
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
            all.extend(levels.iter().map(|&level| Deflate { level, mem_level, strategy, ..USUAL }));
        }
    }
    all
}

/// The CRC-32 of a stream, if it is what zlib makes of its content with these settings.
fn comes_back(file: &File, spool: &Spool, stream: &Inflated, settings: Deflate) -> Result<Option<u32>> {
    let mut deflater = Deflater::new(settings)?;
    let joined = Joined::new(file, (stream.offset, stream.length), &stream.cuts);
    let (mut crc, mut compared) = (crc32fast::Hasher::new(), 0);
    let (mut made, mut expected) = (Vec::new(), Vec::new());
    let mut is_same = |made: &mut Vec<u8>| -> Result<bool> {
        if made.len() as u64 > stream.length - compared {
            return Ok(false);
        }
        expected.resize(made.len(), 0);
        joined.read_at(&mut expected, compared).map_err(|e| unreadable(e).at(stream.offset))?;
        compared += made.len() as u64;
        crc.update(made);
        let same = *made == expected;
        made.clear();
        Ok(same)
    };
    let mut piece = vec![0; TRIED];
    let mut at = 0;
    while at < stream.plain {
        let len = (stream.plain - at).min(TRIED as u64) as usize;
        spool.read(&mut piece[..len], stream.at + at).map_err(failed)?;
        deflater.write(&piece[..len], &mut made)?;
        at += len as u64;
        if !is_same(&mut made)? {
            return Ok(None);
        }
    }
    deflater.finish(&mut made)?;
    Ok((is_same(&mut made)? && compared == stream.length).then(|| crc.finalize()))
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
        let image = inner.places.iter().find_map(|place| match &place.holds {
            Holds::Scanlines(fields) => inner.arrays.get(fields.end - 1),
            _ => None,
        });
        if let Some(image) = image.filter(|_| self.mode != Mode::Fast) {
            let (stored, coded) = self.sample_of_image(image)?;
            let least = if self.mode == Mode::Small { 0.0 } else { WORTH };
            return Ok(((coded + RECORDED) as f64) < (1.0 - least) * stored as f64);
        }
        match self.mode {
            Mode::Fast => return Ok(false),
            Mode::Small => return Ok(true),
            Mode::Balanced => {}
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

    /// Bytes of a part of the content: deflated as most programs do it, and coded by `code`.
    fn sample(&self, at: u64, len: u64, code: impl FnOnce(Vec<u8>) -> Result<usize>) -> Result<(usize, usize)> {
        let mut bytes = vec![0; len as usize];
        self.spool.read(&mut bytes, self.stream.at + at).map_err(failed)?;
        Ok((deflated(&bytes)?, code(bytes)?))
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
        let stored = if rows == image.shape[0] { self.stream.length as usize } else { deflated(&lines)? };
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
