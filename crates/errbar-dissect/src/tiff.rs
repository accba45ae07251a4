//! TIFF 6.0 (Adobe, 1992) and BigTIFF (Aware Systems), of which GeoTIFF, OME-TIFF and COG are kinds.

use std::collections::{HashMap, HashSet};

use errbar_format::{DType, Result};

use self::grid::{Grid, Pieces};
use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, SizeField, not_this};

mod grid;

/// Images in a file, at most.
const MAX_IMAGES: usize = 1 << 16;
/// Fields, and numbers in them, of all directories, at most: many directories may name one long field.
const MAX_VALUES: u64 = 1 << 23;
/// What stands behind the head of a file whose strips or tiles GDAL has put sizes and copies of bytes around.
const GHOST: &[u8] = b"GDAL_STRUCTURAL_METADATA_SIZE=";

mod tag {
    pub const SUBFILE_TYPE: u16 = 254;
    pub const WIDTH: u16 = 256;
    pub const LENGTH: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_BYTES: u16 = 279;
    pub const PLANAR: u16 = 284;
    pub const PREDICTOR: u16 = 317;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_LENGTH: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_BYTES: u16 = 325;
    pub const SUB_IFDS: u16 = 330;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const SUBSAMPLING: u16 = 530;
    pub const DEPTH: u16 = 32997;
    pub const GDAL_NODATA: u16 = 42113;
}

/// The TIFF format.
#[derive(Clone, Copy, Debug)]
pub struct Tiff;

impl Dissector for Tiff {
    fn name(&self) -> &'static str {
        "tiff"
    }

    fn probe(&self, head: &[u8]) -> bool {
        [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| head.starts_with(*magic))
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let big_endian = Numbers::read(file, 0, 1, false)?.u8(0)? == b'M';
        let head = Numbers::read(file, 0, 8, big_endian)?;
        let wide = head.u16(2)? == 43;
        let first = match wide {
            true if head.u16(4)? == 8 => Numbers::read(file, 8, 8, big_endian)?.u64(0)?,
            true => return Err(not_this("BigTIFF with offsets of unknown size")),
            false => head.u32(4)?.into(),
        };
        let after_head = if wide { 16 } else { 8 };
        let text = Numbers::read(file, after_head, GHOST.len() as u64, big_endian);
        let sealed = text.is_ok_and(|text| text.bytes(0, GHOST.len()).is_ok_and(|text| text == GHOST));
        let mut tiff = Reader { file, big_endian, wide, sealed, values_left: MAX_VALUES };
        let mut layout = Layout::default();
        let mut seen = HashSet::new();
        let (mut next, mut images) = (first, 0);
        while next != 0 {
            let directory = tiff.directory(next, &mut seen)?;
            next = directory.next;
            // Thumbnails, pyramid levels and masks of this image; a chain of their own is not followed.
            for (sub, at) in tiff.values(&directory, tag::SUB_IFDS)?.unwrap_or_default().into_iter().enumerate() {
                let inner = tiff.directory(at, &mut seen)?;
                tiff.image(&inner, format!("{images}/{sub}"), &mut layout).ok();
            }
            tiff.image(&directory, images.to_string(), &mut layout).ok();
            images += 1;
        }
        if let ([only], 1) = (&mut layout.arrays[..], seen.len()) {
            only.name.clear();
        }
        Ok(layout)
    }
}

/// An image file directory: its fields by tag, each with type, count and the place of its values.
struct Directory {
    fields: HashMap<u16, (u16, u64, u64)>,
    next: u64,
}

struct Reader<'a> {
    file: &'a dyn ReadAt,
    big_endian: bool,
    wide: bool,
    /// Whether other bytes than the directories' say what strips or tiles hold.
    sealed: bool,
    values_left: u64,
}

impl Reader<'_> {
    fn read(&self, at: u64, len: u64) -> Result<Numbers> {
        Numbers::read(self.file, at, len, self.big_endian)
    }

    fn directory(&mut self, at: u64, seen: &mut HashSet<u64>) -> Result<Directory> {
        if seen.len() == MAX_IMAGES || !seen.insert(at) {
            return Err(not_this("directories form a loop, or are too many"));
        }
        let (count, head, entry, inline) = match self.wide {
            true => (self.read(at, 8)?.u64(0)?, 8, 20, 8),
            false => (self.read(at, 2)?.u16(0)?.into(), 2, 12, 4),
        };
        self.values_left = self.values_left.checked_sub(count).ok_or_else(|| not_this("too many fields"))?;
        let body = self.read(at + head, count * entry + inline)?;
        let mut fields = HashMap::new();
        for i in 0..count {
            let from = (i * entry) as usize;
            let (kind, values) = (body.u16(from + 2)?, if self.wide { body.u64(from + 4)? } else { body.u32(from + 4)?.into() });
            let value = (entry - inline) as usize + from;
            let fits = values.checked_mul(size_of(kind)).is_some_and(|bytes| bytes <= inline);
            let place = match (fits, self.wide) {
                (true, _) => at + head + value as u64,
                (false, true) => body.u64(value)?,
                (false, false) => body.u32(value)?.into(),
            };
            fields.insert(body.u16(from)?, (kind, values, place));
        }
        let end = (count * entry) as usize;
        Ok(Directory { fields, next: if self.wide { body.u64(end)? } else { body.u32(end)?.into() } })
    }

    /// The unsigned integers of a field, or `None` if there is no such field.
    fn values(&mut self, directory: &Directory, tag: u16) -> Result<Option<Vec<u64>>> {
        let Some(&(kind, count, at)) = directory.fields.get(&tag) else { return Ok(None) };
        let size = size_of(kind);
        let left = self.values_left.checked_sub(count).filter(|_| matches!(kind, 1 | 3 | 4 | 13 | 16 | 18));
        self.values_left = left.ok_or_else(|| not_this("field is too long or not of unsigned integers"))?;
        let body = self.read(at, count * size)?;
        let value = |i: usize| match size {
            1 => body.u8(i).map(u64::from),
            2 => body.u16(2 * i).map(u64::from),
            4 => body.u32(4 * i).map(u64::from),
            _ => body.u64(8 * i),
        };
        (0..count as usize).map(value).collect::<Result<_>>().map(Some)
    }

    /// The one value of a field, or `default` if there is no such field.
    fn one(&mut self, directory: &Directory, tag: u16, default: u64) -> Result<u64> {
        match self.values(directory, tag)?.as_deref() {
            None => Ok(default),
            // Bits and formats are given for each sample; only equal ones make an array.
            Some([first, rest @ ..]) if rest.iter().all(|value| value == first) => Ok(*first),
            Some(_) => Err(not_this("field does not have one value")),
        }
    }

    /// Where the file has the values of a field, if it has it.
    fn value_fields(&self, directory: &Directory, tag: u16) -> Vec<SizeField> {
        let Some(&(kind, count, at)) = directory.fields.get(&tag) else { return Vec::new() };
        let size = size_of(kind);
        let field = |i| SizeField { offset: at + i * size, width: size as u8, big_endian: self.big_endian, checksum: None };
        (0..count).map(field).collect()
    }

    /// Adds the image of a directory, if it is stored plainly, deflated or with LZW.
    fn image(&mut self, directory: &Directory, name: String, layout: &mut Layout) -> Result<()> {
        let mut one = |tag, default| self.one(directory, tag, default);
        let dtype = sample_type(one(tag::SAMPLE_FORMAT, 1)?, one(tag::BITS, 1)?)?;
        let photometric = one(tag::PHOTOMETRIC, 1)?;
        let coding = grid::Coding::of(one(tag::COMPRESSION, 1)?, one(tag::PREDICTOR, 1)?, dtype)?;
        let plain = one(tag::FILL_ORDER, 1)? == 1
            && one(tag::DEPTH, 1)? == 1
            // Chroma is stored at half resolution unless said otherwise.
            && (photometric != 6 || one(tag::SUBSAMPLING, 2)? == 1);
        let (width, length, samples) = (one(tag::WIDTH, 0)?, one(tag::LENGTH, 0)?, one(tag::SAMPLES, 1)?);
        if !plain || width == 0 || length == 0 || samples == 0 {
            return Err(not_this("image is subsampled, deep or empty"));
        }
        let planar = one(tag::PLANAR, 1)? == 2 && samples > 1;
        let auxiliary = one(tag::SUBFILE_TYPE, 0)? & 4 != 0 || matches!(photometric, 3 | 4);
        let shape = match (samples, planar) {
            (1, _) => vec![length, width],
            (_, false) => vec![length, width, samples],
            (_, true) => vec![samples, length, width],
        };
        let array = Array { auxiliary, sealed: self.sealed, ..Array::new(name, dtype, self.big_endian, shape) };
        let tiled = directory.fields.contains_key(&tag::TILE_WIDTH);
        let (rows, columns, offsets_tag, bytes_tag) = match tiled {
            true => {
                let tile = (self.one(directory, tag::TILE_LENGTH, 0)?, self.one(directory, tag::TILE_WIDTH, 0)?);
                (tile.0, tile.1, tag::TILE_OFFSETS, tag::TILE_BYTES)
            }
            false => (self.one(directory, tag::ROWS_PER_STRIP, length)?.min(length), width, tag::STRIP_OFFSETS, tag::STRIP_BYTES),
        };
        if rows == 0 || columns == 0 {
            return Err(not_this("strips or tiles are empty"));
        }
        let offsets = self.values(directory, offsets_tag)?.unwrap_or_default();
        let bytes = self.values(directory, bytes_tag)?.unwrap_or_default();
        let planes = if planar { samples } else { 1 };
        let grid = Grid { planes, rows, columns, tiled, coding, array };
        if grid.pieces(length, width) != Some(offsets.len() as u64) || bytes.len() != offsets.len() {
            return Err(not_this("strips or tiles are not as many as the image needs"));
        }
        // Pieces without bytes are written by GDAL and stand for its missing value, which is 0 unless told.
        let absent = |(offset, bytes): (&u64, &u64)| *offset == 0 && *bytes == 0;
        if directory.fields.contains_key(&tag::GDAL_NODATA) && offsets.iter().zip(&bytes).any(absent) {
            return Err(not_this("image is sparse"));
        }
        let pieces = Pieces { offsets: &offsets, bytes: &bytes, fields: &self.value_fields(directory, bytes_tag) };
        grid.place(&pieces, length, layout)
    }
}

/// Bytes of a value of a field's type; 0 for types that do not exist.
fn size_of(kind: u16) -> u64 {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 0,
    }
}

fn sample_type(format: u64, bits: u64) -> Result<DType> {
    Ok(match (format, bits) {
        (1 | 4, 8) => DType::U8,
        (1 | 4, 16) => DType::U16,
        (1 | 4, 32) => DType::U32,
        (1 | 4, 64) => DType::U64,
        (2, 8) => DType::I8,
        (2, 16) => DType::I16,
        (2, 32) => DType::I32,
        (2, 64) => DType::I64,
        (3, 16) => DType::F16,
        (3, 32) => DType::F32,
        (3, 64) => DType::F64,
        (6, 64) => DType::C64,
        (6, 128) => DType::C128,
        _ => return Err(not_this("samples are not of whole bytes")),
    })
}

#[cfg(test)]
mod tests;
