//! The messages of a dataset: its shape, its filters, its fill value.

use errbar_format::Result;
use errbar_format::limits::MAX_FILTERS;
use errbar_format::record::Filter;

use super::file::{File, Piece};
use super::object::{Object, kind};
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
