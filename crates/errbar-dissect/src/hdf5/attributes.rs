//! Attributes: what a dataset is said to be.

use errbar_format::Result;

use super::file::{File, Piece};
use super::heap;
use super::object::{Object, kind};

/// Bytes of an attribute's text that are read.
const MAX_TEXT: u64 = 4096;
/// Attributes that are taken of an object, at most.
const MAX_FOUND: usize = 1 << 10;

/// The attributes of an object whose names `wanted` picks, each with its text or its
/// one floating-point number; that is empty where the value is neither. What cannot be read is left out.
pub(super) fn texts(file: &File, object: &Object, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut take = |mut message: Piece| {
        if found.len() < MAX_FOUND {
            found.extend(attribute(file, &mut message, wanted).unwrap_or_default());
        }
    };
    object.all(kind::ATTRIBUTE).filter_map(|message| message.read(file).ok()).for_each(&mut take);
    if let Some(Ok(mut info)) = object.first(kind::ATTRIBUTE_INFO).map(|message| message.read(file)) {
        // What comes before an error has been found all the same.
        let _ = heap::dense(file, &mut info, 2, &mut take);
    }
    found
}

/// An attribute message, version 1 to 3.
fn attribute(file: &File, message: &mut Piece, wanted: &dyn Fn(&str) -> bool) -> Result<Option<(String, String)>> {
    let (version, flags) = (message.u8()?, message.u8()?);
    let lens = [usize::from(message.u16()?), usize::from(message.u16()?), usize::from(message.u16()?)];
    // Version 1 has no flags; its parts are padded. Version 3 names a character set.
    let [name_len, type_len, space_len] = if version == 1 { lens.map(|len| len.next_multiple_of(8)) } else { lens };
    message.skip(usize::from(version == 3));
    let name = message.name(name_len)?;
    if !(1..=3).contains(&version) || !wanted(&name) {
        return Ok(None);
    }
    let start = message.at();
    let (class, bits, size) = (message.u8()? & 15, message.uint(3)?, u64::from(message.u32()?));
    let shared = version > 1 && flags & 3 != 0;
    message.seek(start + type_len);
    let elements = elements(message.clone())?;
    message.seek(start + type_len + space_len);
    let text = match class {
        3 if !shared && elements == 1 => message.name(size.min(MAX_TEXT) as usize)?,
        // A text of any length: its length, and where it is in the global heap.
        9 if !shared && elements == 1 && bits & 15 == 1 => {
            let (len, address, index) = (u64::from(message.u32()?), message.address()?, message.u32()?);
            match len {
                0 => String::new(),
                len => heap::global(file, address, index)?.name(len.min(MAX_TEXT) as usize)?,
            }
        }
        // One number, in either order of bytes.
        1 if !shared && elements == 1 && matches!(size, 4 | 8) => {
            let word = message.uint(size as usize)?;
            let word = if bits & 1 == 0 { word } else { word.swap_bytes() >> (64 - 8 * size) };
            if size == 4 { f64::from(f32::from_bits(word as u32)).to_string() } else { f64::from_bits(word).to_string() }
        }
        _ => String::new(),
    };
    Ok(Some((name, text)))
}

/// Elements in a dataspace.
fn elements(mut space: Piece) -> Result<u64> {
    Ok(super::messages::space(&mut space)?.map_or(0, |space| space.shape.iter().product()))
}
