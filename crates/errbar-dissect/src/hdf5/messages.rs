//! The messages of a dataset: its shape, its type, its filters, its fill value.

use errbar_format::limits::MAX_FILTERS;
use errbar_format::record::Filter;
use errbar_format::{DType, Result};

use super::file::{File, Piece};
use super::object::{Message, Object, kind};
use crate::not_this;

/// Extents of a dataset and those that it may grow to: `u64::MAX` where there is no limit.
pub(super) struct Space {
    pub(super) shape: Vec<u64>,
    pub(super) max: Vec<u64>,
}

/// A dataspace message, version 1 or 2; nothing for a space without elements.
pub(super) fn space(message: &mut Piece) -> Result<Option<Space>> {
    let (version, rank, flags) = (message.u8()?, message.u8()?, message.u8()?);
    match (version, message.u8()?) {
        (1, _) => message.skip(4),
        (2, 0 | 1) => {}
        (2, 2) => return Ok(None),
        _ => return Err(not_this("unknown dataspace")),
    }
    let shape = (0..rank).map(|_| message.length()).collect::<Result<Vec<_>>>()?;
    let max = if flags & 1 != 0 { (0..rank).map(|_| message.limit()).collect::<Result<_>>()? } else { shape.clone() };
    Ok(Some(Space { shape, max }))
}

/// How elements are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) dtype: DType,
    pub(super) big_endian: bool,
    /// Whether the numbers stand for names.
    pub(super) labels: bool,
}

/// The type of a dataset's elements; nothing where they are not numbers of a known form.
pub(super) fn element(file: &File, message: &Message) -> Result<Option<Type>> {
    match message.shared {
        false => number(&mut message.read(file)?),
        true => {
            let named = Object::read(file, message.shared_with(file)?)?;
            let message = named.first(kind::DATATYPE).ok_or_else(|| not_this("named type is missing"))?;
            number(&mut message.read(file)?)
        }
    }
}

/// A datatype message of numbers as they are or of an enumeration.
fn number(message: &mut Piece) -> Result<Option<Type>> {
    let (head, bits, size) = (message.u8()?, message.uint(3)?, u64::from(message.u32()?));
    if head & 15 == 8 {
        // The type of the values comes first, then their names.
        let base = if message.clone().u8()? & 15 == 8 { None } else { number(message)? };
        return Ok(base.filter(|base| base.dtype.size() as u64 == size).map(|base| Type { labels: true, ..base }));
    }
    let (offset, precision) = (message.u16()?, u64::from(message.u16()?));
    if offset != 0 || precision != 8 * size {
        return Ok(None);
    }
    let dtype = match (head & 15, size, bits & 8 != 0) {
        // Whole numbers, and bits.
        (0 | 4, 1, false) => DType::U8,
        (0 | 4, 2, false) => DType::U16,
        (0 | 4, 4, false) => DType::U32,
        (0 | 4, 8, false) => DType::U64,
        (0, 1, true) => DType::I8,
        (0, 2, true) => DType::I16,
        (0, 4, true) => DType::I32,
        (0, 8, true) => DType::I64,
        // The byte order is not a VAX's, the first bit of the mantissa is implied.
        (1, ..) if bits & 0x70 == 0x20 => match (bits >> 8, message.u8()?, message.u8()?, message.u8()?, message.u8()?, message.u32()?) {
            (15, 10, 5, 0, 10, 15) => DType::F16,
            (15, 7, 8, 0, 7, 127) => DType::BF16,
            (31, 23, 8, 0, 23, 127) => DType::F32,
            (63, 52, 11, 0, 52, 1023) => DType::F64,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let found = Type { dtype, big_endian: bits & 1 != 0 && size > 1, labels: false };
    Ok((dtype.size() as u64 == size).then_some(found))
}

/// A filter pipeline message, version 1 or 2; nothing where a filter is not known or not as zlib
/// and HDF5's own library run it.
pub(super) fn filters(message: &mut Piece) -> Result<Option<Vec<Filter>>> {
    let (version, count) = (message.u8()?, usize::from(message.u8()?));
    match version {
        1 => message.skip(6),
        2 => {}
        _ => return Err(not_this("unknown version of the filters")),
    }
    if count > MAX_FILTERS {
        return Ok(None);
    }
    let mut filters = Vec::new();
    for _ in 0..count {
        let id = message.u16()?;
        let name_len = if version == 1 || id >= 256 { usize::from(message.u16()?) } else { 0 };
        message.skip(2);
        let n = usize::from(message.u16()?);
        message.skip(if version == 1 { name_len.next_multiple_of(8) } else { name_len });
        let values = (0..n).map(|_| message.u32()).collect::<Result<Vec<_>>>()?;
        if version == 1 && n % 2 == 1 {
            message.skip(4);
        }
        filters.push(match (id, &values[..]) {
            (1, &[level]) if level <= 9 => Filter::Deflate { level: level as u8, mem_level: 8 },
            (2, &[item]) if item > 0 => Filter::Shuffle { item },
            (3, _) => Filter::Fletcher32,
            _ => return Ok(None),
        });
    }
    Ok(Some(filters))
}

/// The bytes of the element that stands where nothing was written, zeros if none is defined; and of
/// the one that the library puts where a chunk reaches past the dataset.
pub(super) fn fill(file: &File, object: &Object, size: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    let (mut value, mut never) = (Vec::new(), false);
    if let Some(message) = object.first(kind::FILL) {
        let mut message = message.read(file)?;
        let there = match message.u8()? {
            1 | 2 => {
                message.skip(1);
                never = message.u8()? == 1;
                message.u8()? != 0
            }
            3 => {
                let flags = message.u8()?;
                never = flags >> 2 & 3 == 1;
                flags & 0x20 != 0
            }
            _ => return Err(not_this("unknown version of the fill value")),
        };
        if there {
            let len = message.u32()? as usize;
            value = message.bytes(len)?.to_vec();
        }
    } else if let Some(message) = object.first(kind::OLD_FILL) {
        let mut message = message.read(file)?;
        let len = message.u32()? as usize;
        value = message.bytes(len)?.to_vec();
    }
    match value.len() {
        0 => value = vec![0; size],
        len if len == size => {}
        _ => return Err(not_this("fill value is not of the elements' type")),
    }
    let padding = if never { vec![0; size] } else { value.clone() };
    Ok((value, padding))
}
