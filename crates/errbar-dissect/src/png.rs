//! PNG (ISO/IEC 15948): one image, whose rows are filtered and deflated.

use errbar_format::{DType, Result};

use crate::layout::{MAX_PLACES, MAX_RECORD};
use crate::numbers::Numbers;
use crate::{Array, Dissector, Holds, Inside, Layout, Place, ReadAt, Wrapper, not_this};

/// The signature, and the beginning of the first chunk.
const START: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
/// Where the second chunk begins.
const SECOND: u64 = 33;
/// Bytes of a chunk before its data.
const HEAD: u64 = 8;
/// … and behind them: a CRC-32.
const CHECKSUM: u64 = 4;
/// Bytes that are looked at at a time.
const WINDOW: u64 = 1 << 20;

/// The PNG format.
#[derive(Clone, Copy, Debug)]
pub struct Png;

impl Dissector for Png {
    fn name(&self) -> &'static str {
        "png"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(START)
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let image = image(&Numbers::read(file, 0, SECOND, true)?)?;
        let mut data = data(file)?;
        let Some(first) = data.first_mut().filter(|(_, length)| *length >= 2) else { return Err(not_this("no zlib stream")) };
        let header = Numbers::read(file, first.0, 2, true)?;
        let (method, flags) = (header.u8(0)?, header.u8(1)?);
        // Deflate, without a dictionary.
        if method & 15 != 8 || flags & 0x20 != 0 || !header.u16(0)?.is_multiple_of(31) {
            return Err(not_this("no zlib stream"));
        }
        *first = (first.0 + 2, first.1 - 2);
        drop_end(&mut data, CHECKSUM);
        let (Some(&(offset, _)), Some(&(last, length))) = (data.first(), data.last()) else { return Err(not_this("no stream")) };
        let cuts = data.windows(2).map(|pair| (pair[0].1, pair[1].0 - pair[0].0 - pair[0].1)).collect();
        let holds = Holds::Stream(Wrapper::Pieces { flevel: flags >> 6, cuts }, Inside::Scanlines(Box::new(image)));
        Ok(Layout { places: vec![Place { offset, length: last + length - offset, holds }], ..Layout::default() })
    }
}

/// The image that the header describes: pixels of less than a byte as the bytes of their rows.
fn image(header: &Numbers) -> Result<Array> {
    let (width, height) = (u64::from(header.u32(16)?), u64::from(header.u32(20)?));
    let [bits, colour, compression, filter, interlace] = [24, 25, 26, 27, 28].map(|at| header.u8(at).unwrap_or(u8::MAX));
    if width == 0 || height == 0 || (compression, filter, interlace) != (0, 0, 0) {
        return Err(not_this("image is empty, interlaced or stored in another way"));
    }
    let (dtype, shape) = match (colour, bits) {
        (0 | 3, 1 | 2 | 4) => (DType::U8, vec![height, (width * u64::from(bits)).div_ceil(8)]),
        (0 | 3, 8) => (DType::U8, vec![height, width]),
        (0, 16) => (DType::U16, vec![height, width]),
        (2 | 4 | 6, 8 | 16) => {
            let samples = [3, 2, 4][usize::from(colour / 2 - 1)];
            (if bits == 8 { DType::U8 } else { DType::U16 }, vec![height, width, samples])
        }
        _ => return Err(not_this("no such kind of pixels")),
    };
    let image = Array::new("", dtype, bits == 16, shape);
    // Indices of colours.
    Ok(if colour == 3 { image.auxiliary() } else { image })
}

/// Where the data of each chunk IDAT stand, which follow one another.
fn data(file: &dyn ReadAt) -> Result<Vec<(u64, u64)>> {
    let (mut at, mut data) = (SECOND, Vec::new());
    for _ in 0..MAX_PLACES {
        let head = Numbers::read(file, at, HEAD, true)?;
        let length = u64::from(head.u32(0)?);
        let next = at + HEAD + length + CHECKSUM;
        match head.bytes(4, 4)? {
            b"IDAT" if next <= file.size() => data.push((at + HEAD, length)),
            _ if data.is_empty() && next <= file.size() => {}
            _ => return Ok(data),
        }
        at = next;
    }
    Err(not_this("too many chunks"))
}

/// Takes the last `n` bytes out.
fn drop_end(data: &mut Vec<(u64, u64)>, mut n: u64) {
    while n > 0
        && let Some((_, length)) = data.last_mut()
    {
        let now = n.min(*length);
        (*length, n) = (*length - now, n - now);
        if *length == 0 {
            data.pop();
        }
    }
}

/// The layout of scanlines; nothing where `content` is too short for those of `image`, or one of them has
/// an unknown filter type.
pub(crate) fn scanlines(image: &Array, content: &dyn ReadAt) -> Option<Layout> {
    let rows = *image.shape.first()?;
    let line = image.record_bytes()?.checked_add(1).filter(|line| *line <= MAX_RECORD)?;
    let types = Array::new("filter_types", DType::U8, false, vec![rows]).auxiliary();
    let place = Place { offset: 0, length: rows.checked_mul(line)?, holds: Holds::Scanlines(0..2) };
    let layout = Layout { arrays: vec![types, image.clone()], places: vec![place], ..Layout::default() };
    if !layout.clone().settle(content.size()) {
        return None;
    }
    let at_once = WINDOW / line;
    for row in (0..rows).step_by(at_once as usize) {
        let mut lines = vec![0; (at_once.min(rows - row) * line) as usize];
        content.read_at(&mut lines, row * line).ok()?;
        if lines.chunks(line as usize).any(|line| line[0] > 4) {
            return None;
        }
    }
    Some(layout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        [&(data.len() as u32).to_be_bytes()[..], name, data, b"-CRC"].concat()
    }

    fn header(width: u32, height: u32, rest: [u8; 5]) -> Vec<u8> {
        [&START[..8], &chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &rest].concat())].concat()
    }

    fn found(header: &[u8], data: &[&[u8]]) -> Layout {
        let data: Vec<u8> = data.iter().flat_map(|data| chunk(b"IDAT", data)).collect();
        let file = [header, &chunk(b"tEXt", b"a\0b"), &data, &chunk(b"IEND", b"")].concat();
        dissect(&&file[..], &[&Png]).0
    }

    #[test]
    fn the_stream_is_what_the_data_hold_between_header_and_checksum() {
        let grey = header(3, 2, [8, 0, 0, 0, 0]);
        for (data, length, cuts) in [
            (&[&b"\x78\x9cstream1234"[..]][..], 6, vec![]),
            (&[b"\x78\x9c", b"str", b"", b"eam1234"], 6 + 3 * 12, vec![(0, 12), (3, 12), (0, 12)]),
            (&[b"\x78\x9cs", b"tream12", b"3", b"4"], 6 + 12, vec![(1, 12)]),
        ] {
            let layout = found(&grey, data);
            let [Place { offset: 58, length: found, holds: Holds::Stream(wrapper, Inside::Scanlines(image)) }] = &layout.places[..] else {
                panic!("{layout:?}")
            };
            assert_eq!((*found, wrapper), (length, &Wrapper::Pieces { flevel: 2, cuts }));
            assert_eq!((&image.shape[..], image.dtype), (&[2, 3][..], DType::U8));
        }
        assert_eq!(found(&grey, &[]), Layout::default());
        for data in [&b"\x78"[..], b"\x78\x9c12", b"\x78\x9d123456", b"\x78\xbb123456", b"\x79\x9c123456"] {
            assert_eq!(found(&grey, &[data]), Layout::default(), "{data:?}");
        }
    }

    #[test]
    fn pixels_are_elements_where_they_are_whole_bytes() {
        for (kind, dtype, shape) in [
            ([1, 0, 0, 0, 0], DType::U8, &[2u64, 2][..]),
            ([4, 3, 0, 0, 0], DType::U8, &[2, 5]),
            ([8, 3, 0, 0, 0], DType::U8, &[2, 9]),
            ([16, 0, 0, 0, 0], DType::U16, &[2, 9]),
            ([8, 2, 0, 0, 0], DType::U8, &[2, 9, 3]),
            ([16, 4, 0, 0, 0], DType::U16, &[2, 9, 2]),
            ([8, 6, 0, 0, 0], DType::U8, &[2, 9, 4]),
        ] {
            let image = image(&Numbers::read(&&header(9, 2, kind)[..], 0, SECOND, true).expect("a header")).expect("an image");
            assert_eq!((image.dtype, &image.shape[..], image.auxiliary), (dtype, shape, kind[1] == 3));
        }
        for kind in [[8, 0, 0, 0, 1], [16, 3, 0, 0, 0], [4, 2, 0, 0, 0], [8, 1, 0, 0, 0], [8, 0, 1, 0, 0], [8, 7, 0, 0, 0], [3, 0, 0, 0, 0]]
        {
            assert_eq!(found(&header(9, 2, kind), &[b"\x78\x9c12345678"]), Layout::default(), "{kind:?}");
        }
    }

    #[test]
    fn scanlines_are_rows_behind_known_filter_types() {
        let image = Array::new("", DType::U8, false, vec![2, 3]);
        let layout = scanlines(&image, &&b"\x00abc\x04def"[..]).expect("two lines");
        assert_eq!((layout.places[0].length, layout.arrays[0].shape.clone()), (8, vec![2]));
        assert_eq!(scanlines(&image, &&b"\x00abc\x05def"[..]), None);
        assert_eq!(scanlines(&image, &&b"\x00abc\x04de"[..]), None);
        assert_eq!(scanlines(&Array { shape: vec![1 << 31, (1 << 31) - 1], ..image.clone() }, &&b"\0"[..]), None);
        let wide = Array { shape: vec![1, 1 << 20], ..image };
        assert_eq!(scanlines(&wide, &&vec![0; (1 << 20) + 1][..]), None);
    }
}
