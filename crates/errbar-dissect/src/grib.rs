//! GRIB editions 1 and 2 (WMO Manual on Codes, WMO-No. 306): messages with simple packing, or with
//! IEEE values.

use errbar_format::limits::MAX_BLOCK;
use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::stack::{Stacks, packed_bytes};
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Bytes looked at in one go for the next message, at most.
const WINDOW: u64 = 1 << 16;
/// Messages in a file, and sections in a message, at most.
const MAX_MESSAGES: usize = 1 << 18;

/// The GRIB format.
#[derive(Clone, Copy, Debug)]
pub struct Grib;

impl Dissector for Grib {
    fn name(&self) -> &'static str {
        "grib"
    }

    /// Bulletins have a heading before their first message.
    fn probe(&self, head: &[u8]) -> bool {
        head.windows(8).any(|window| window.starts_with(b"GRIB") && matches!(window[7], 1 | 2))
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut stacks = Stacks::default();
        let mut at = 0;
        for _ in 0..MAX_MESSAGES {
            let Some(start) = next_message(file, at)? else { break };
            // What only looks like a message is passed over.
            at = message(file, start, &mut stacks).unwrap_or(start + 4);
        }
        let mut layout = Layout::default();
        stacks.add_to(&mut layout);
        match layout.arrays.is_empty() {
            false => Ok(layout),
            true => Err(not_this("no message with simple packing or IEEE values")),
        }
    }
}

/// Where the next message begins.
fn next_message(file: &dyn ReadAt, mut at: u64) -> Result<Option<u64>> {
    // Mostly at once; so little is read first.
    let mut window = 64;
    while at + 8 <= file.size() {
        let len = (file.size() - at).min(window);
        let bytes = Numbers::read(file, at, len, true)?;
        let bytes = bytes.bytes(0, len as usize)?;
        if let Some(i) = bytes.windows(8).position(|eight| eight.starts_with(b"GRIB") && matches!(eight[7], 1 | 2)) {
            return Ok(Some(at + i as u64));
        }
        at += len - 7;
        window = (window * 2).min(WINDOW);
    }
    Ok(None)
}

/// Adds the array of the message at `start` and gives where the message ends.
fn message(file: &dyn ReadAt, start: u64, stacks: &mut Stacks) -> Result<u64> {
    let head = Numbers::read(file, start, 16, true)?;
    let long = head.u8(7)? == 2;
    let length = if long { head.u64(8)? } else { u24(&head, 4)? };
    let end = start.checked_add(length).filter(|end| *end <= file.size()).ok_or_else(|| not_this("message is cut"))?;
    let body = if long { 16 } else { 8 };
    if length < body + 4 || Numbers::read(file, end - 4, 4, true)?.bytes(0, 4)? != b"7777" {
        return Err(not_this("message does not end where it says"));
    }
    // A message in sections that contradict one another is bytes; the next one may be sound.
    let found = if long { second(file, head.u8(6)?, start + 16, end - 4) } else { first(file, start + 8, end - 4) };
    for Field { offset, array, width } in found.unwrap_or_default() {
        // Numbers that are packed stand in a chunk, others need not.
        if width.is_none() || array.bytes().is_some_and(|bytes| bytes <= MAX_BLOCK) {
            stacks.add_packed(offset, array, width)?;
        }
    }
    Ok(end)
}

/// The values of a message, from `offset` on.
struct Field {
    offset: u64,
    array: Array,
    /// Bits of a number, if that is not its type's.
    width: Option<u8>,
}

/// The array of an edition 1 message whose sections lie in `at..end`.
fn first(file: &dyn ReadAt, mut at: u64, end: u64) -> Result<Vec<Field>> {
    let product = Numbers::read(file, at, 28, true)?;
    let flags = product.u8(7)?;
    at += u24(&product, 0)?;
    let mut grid = None;
    if flags & 0x80 != 0 {
        let section = Numbers::read(file, at, 32, true)?;
        grid = Some((u64::from(section.u16(6)?), u64::from(section.u16(8)?), section.u8(27)?));
        at += u24(&section, 0)?;
    }
    if flags & 0x40 != 0 {
        at += u24(&Numbers::read(file, at, 3, true)?, 0)?;
    }
    let data = Numbers::read(file, at, 11, true)?;
    let (length, kind, bits) = (u24(&data, 0)?, data.u8(3)?, data.u8(10)?);
    // Spherical harmonics, complex packing and further flags are in the upper bits.
    if kind & 0xd0 != 0 || length < 11 || at + length > end {
        return Err(not_this("not simple packing"));
    }
    let packing = Packing::simple(bits)?;
    let unused = u64::from(kind & 15);
    let count = ((length - 11) * 8).checked_sub(unused).ok_or_else(|| not_this("fewer bits than unused ones"))? / u64::from(bits);
    let name = format!("{}.{}", product.u8(8)?, product.u8(3)?);
    Ok(vec![packing.field(at + 11, name, shape(grid, count))])
}

/// The arrays of an edition 2 message whose sections lie in `at..end`. Sections 2 to 7 may stand
/// several times.
fn second(file: &dyn ReadAt, discipline: u8, mut at: u64, end: u64) -> Result<Vec<Field>> {
    let (mut grid, mut name, mut packing) = (None, String::new(), None);
    let mut found = Vec::new();
    for _ in 0..MAX_MESSAGES {
        if at >= end {
            return Ok(found);
        }
        let head = Numbers::read(file, at, 5, true)?;
        let length = u64::from(head.u32(0)?);
        if length < 5 || length > end - at {
            return Err(not_this("section is longer than its message"));
        }
        match head.u8(4)? {
            3 => grid = grid_of(&Numbers::read(file, at, length.min(128), true)?),
            4 => {
                let section = Numbers::read(file, at, 11, true)?;
                name = format!("{discipline}.{}.{}", section.u8(9)?, section.u8(10)?);
            }
            5 => {
                let section = Numbers::read(file, at, length.min(21), true)?;
                let found = match section.u16(9)? {
                    0 => Packing::simple(section.u8(19)?).ok(),
                    4 => Packing::ieee(section.u8(11)?),
                    _ => None,
                };
                packing = found.map(|packing| (packing, u64::from(section.u32(5).unwrap_or(0))));
            }
            7 => {
                if let Some((packing, count)) = packing
                    && count > 0
                    && packing.bytes(count) == Some(length - 5)
                {
                    found.push(packing.field(at + 5, name.clone(), shape(grid, count)));
                }
            }
            _ => {}
        }
        at += length;
    }
    Err(not_this("too many sections"))
}

/// Points along a row, rows, and the scanning mode of a grid of rows and columns.
fn grid_of(section: &Numbers) -> Option<(u64, u64, u8)> {
    let scanning = match section.u16(12).ok()? {
        0..=3 | 40..=43 => 71,
        10 => 59,
        20 | 30 | 31 => 64,
        90 => 63,
        _ => return None,
    };
    Some((section.u32(30).ok()?.into(), section.u32(34).ok()?.into(), section.u8(scanning).ok()?))
}

/// The shape of `count` values on a grid. Points that a bitmap leaves out are not stored, and rows of
/// reduced grids differ: the values are then a list.
fn shape(grid: Option<(u64, u64, u8)>, count: u64) -> Vec<u64> {
    match grid {
        Some((along, rows, scanning)) if along.checked_mul(rows) == Some(count) => {
            if scanning & 0x20 == 0 {
                vec![rows, along]
            } else {
                vec![along, rows]
            }
        }
        _ => vec![count],
    }
}

/// What the values of a message are.
#[derive(Clone, Copy)]
struct Packing {
    dtype: DType,
    /// Bits of a number, if that is not its type's.
    width: Option<u8>,
}

impl Packing {
    /// The integers of simple packing.
    fn simple(bits: u8) -> Result<Packing> {
        let dtype = match bits {
            1..=8 => DType::U8,
            9..=16 => DType::U16,
            17..=32 => DType::U32,
            _ => return Err(not_this("packed integers of no bits, or of more than 32")),
        };
        Ok(Packing { dtype, width: Some(bits).filter(|bits| usize::from(*bits) != 8 * dtype.size()) })
    }

    /// The values of IEEE packing.
    fn ieee(precision: u8) -> Option<Packing> {
        let dtype = [DType::F32, DType::F64].get(usize::from(precision.wrapping_sub(1)))?;
        Some(Packing { dtype: *dtype, width: None })
    }

    /// What `count` values take.
    fn bytes(self, count: u64) -> Option<u64> {
        packed_bytes(count, self.width.unwrap_or(8 * self.dtype.size() as u8))
    }

    fn field(self, offset: u64, name: String, shape: Vec<u64>) -> Field {
        Field { offset, array: Array::new(name, self.dtype, self.dtype.size() > 1, shape), width: self.width }
    }
}

fn u24(numbers: &Numbers, at: usize) -> Result<u64> {
    Ok(u64::from(numbers.u8(at)?) << 16 | u64::from(numbers.u16(at + 1)?))
}

#[cfg(test)]
mod tests {
    use errbar_format::record::Filter;

    use super::*;
    use crate::dissect;

    /// An edition 1 message of 2 x 3 values of `bits`; `flags` of sections that follow, `kind` of data.
    fn one(bits: u8, flags: u8, kind: u8, data: &[u8]) -> Vec<u8> {
        let mut product = [0; 28];
        (product[2], product[3], product[7], product[8]) = (28, 128, flags, 167);
        let mut grid = [0; 32];
        (grid[2], grid[7], grid[9]) = (32, 3, 2);
        let bitmap = [0, 0, 7, 0, 0, 0, 0xff];
        let mut body = product.to_vec();
        if flags & 0x80 != 0 {
            body.extend(grid);
        }
        if flags & 0x40 != 0 {
            body.extend(bitmap);
        }
        body.extend([0, 0, 11 + data.len() as u8, kind, 0, 0, 0, 0, 0, 0, bits]);
        body.extend(data);
        let length = body.len() as u8 + 12;
        [&b"GRIB\0\0"[..], &[length, 1], &body, b"7777"].concat()
    }

    fn section(number: u8, len: usize, values: &[(usize, u8)]) -> Vec<u8> {
        let mut section = vec![0; len];
        (section[3], section[4]) = (len as u8, number);
        values.iter().for_each(|&(at, value)| section[at] = value);
        section
    }

    /// An edition 2 message of sections.
    fn two(sections: &[Vec<u8>]) -> Vec<u8> {
        let body = sections.concat();
        let length = (body.len() as u64 + 20).to_be_bytes();
        [&b"GRIB\0\0\0\x02"[..], &length, &body, b"7777"].concat()
    }

    fn field(template: u8, bits: u8, data: usize) -> Vec<Vec<u8>> {
        let at = if template == 4 { 11 } else { 19 };
        vec![
            section(3, 72, &[(33, 3), (37, 2)]),
            section(4, 34, &[(9, 3), (10, 5)]),
            section(5, 21, &[(8, 6), (10, template), (at, bits)]),
            section(6, 6, &[(5, 255)]),
            section(7, 5 + data, &[]),
        ]
    }

    fn shapes(bytes: &[u8]) -> Vec<(String, DType, Vec<u64>)> {
        dissect(&bytes, &[&Grib]).0.arrays.into_iter().map(|array| (array.name, array.dtype, array.shape)).collect()
    }

    #[test]
    fn integers_are_arrays_of_the_smallest_type() {
        assert_eq!(shapes(&one(16, 0x80, 0, &[1; 12])), [("167.128".into(), DType::U16, vec![2, 3])]);
        assert_eq!(shapes(&one(8, 0x80, 8, &[1; 7])), [("167.128".into(), DType::U8, vec![2, 3])]);
        assert_eq!(shapes(&one(16, 0, 0, &[1; 12])), [("167.128".into(), DType::U16, vec![6])]);
        assert_eq!(shapes(&one(16, 0xc0, 0, &[1; 8])), [("167.128".into(), DType::U16, vec![4])]);
        assert_eq!(shapes(&one(12, 0x80, 8, &[1; 10])), [("167.128".into(), DType::U16, vec![2, 3])]);
        assert_eq!(shapes(&one(24, 0x80, 0, &[1; 18])), [("167.128".into(), DType::U32, vec![2, 3])]);
        assert_eq!(shapes(&one(1, 0x80, 10, &[1; 2])), [("167.128".into(), DType::U8, vec![2, 3])]);
        for (bits, kind) in [(33, 0), (0, 0), (16, 0x80), (16, 0x40), (16, 0x10), (24, 0x40)] {
            assert_eq!(shapes(&one(bits, 0x80, kind, &[1; 12])), [], "{bits} {kind}");
        }
    }

    #[test]
    fn sections_may_stand_several_times() {
        let again = [field(0, 16, 12), field(0, 16, 12)[1..].to_vec(), field(4, 1, 24)].concat();
        let found = shapes(&two(&again));
        assert_eq!(found, [("0.3.5".into(), DType::U16, vec![2, 2, 3]), ("0.3.5#2".into(), DType::F32, vec![2, 3])]);
        assert_eq!(shapes(&two(&field(4, 2, 48)))[0].1, DType::F64);
        assert_eq!(shapes(&two(&field(0, 12, 9))), [("0.3.5".into(), DType::U16, vec![2, 3])]);
        for sections in [field(3, 16, 12), field(0, 12, 8), field(4, 3, 24), field(0, 16, 11), field(0, 16, 0)] {
            assert_eq!(shapes(&two(&sections)), []);
        }
    }

    #[test]
    fn packed_numbers_stand_in_chunks_of_their_own() {
        let messages = [one(12, 0x80, 8, &[1; 10]), one(12, 0x80, 0, &[1; 9]), one(11, 0x80, 6, &[1; 9])].concat();
        let (layout, _) = dissect(&&messages[..], &[&Grib]);
        let found = layout.arrays.iter().map(|array| (array.shape.clone(), array.chunks.clone().expect("chunks").filters));
        let bits = |width| vec![Filter::Bits { width }];
        assert_eq!(found.collect::<Vec<_>>(), [(vec![2, 2, 3], bits(12)), (vec![2, 3], bits(11))]);
        assert_eq!(layout.places.iter().map(|place| place.length).collect::<Vec<_>>(), [9; 3]);
    }

    #[test]
    fn grids_are_scanned_along_rows_or_columns() {
        let mut sections = field(0, 16, 12);
        sections[0][71] = 0x20;
        assert_eq!(shapes(&two(&sections))[0].2, [3, 2]);
        sections[0][13] = 101;
        assert_eq!(shapes(&two(&sections))[0].2, [6], "a grid without rows");
    }

    #[test]
    fn what_stands_between_messages_is_passed_over() {
        let message = one(16, 0x80, 0, &[1; 12]);
        let far = vec![b' '; 200];
        let file = [b"\x01\r\r\n123\r\r\nHXXX\r\r\nGRIB", &message[..], &far, b"GRIB\0\0\0\x02", &message, b"end"].concat();
        assert_eq!(shapes(&file), [("167.128".into(), DType::U16, vec![2, 2, 3])]);
    }

    #[test]
    fn a_message_cut_anywhere_is_bytes() {
        for whole in [one(16, 0x80, 0, &[1; 12]), two(&field(0, 16, 12))] {
            for len in 0..whole.len() {
                assert_eq!(shapes(&whole[..len]), [], "{len}");
            }
        }
    }
}
