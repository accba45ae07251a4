//! ZIP and ZIP64 (PKWARE's APPNOTE.TXT), NumPy's `.npz` among them: members that are deflated, or stored
//! as they are.

use errbar_format::Result;

use crate::cursor::Cursor;
use crate::layout::MAX_PLACES;
use crate::numbers::Numbers;
use crate::{Array, Dissector, Holds, Inside, Layout, Place, ReadAt, Window, Wrapper, dissect, not_this, plain_dissectors};

/// Bytes of the record at the end, without its comment.
const END: u64 = 22;
/// Bytes of a local header without its name and extra field.
const LOCAL: u64 = 30;
/// What a field of 32 bits holds where the true value stands in the extra field of ZIP64.
const ELSEWHERE: u64 = 0xffff_ffff;

/// The ZIP format.
#[derive(Clone, Copy, Debug)]
pub struct Zip;

impl Dissector for Zip {
    fn name(&self) -> &'static str {
        "zip"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"PK\x03\x04")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let (at, count) = directory(file)?;
        let mut cursor = Cursor::new(file, at, false);
        let mut layout = Layout::default();
        for _ in 0..count {
            let member = Member::read(&mut cursor)?;
            // Encrypted members, and those that are neither stored nor deflated, are bytes.
            if member.flags & 1 == 0 && matches!(member.method, 0 | 8) && member.len > 0 {
                member.add_to(&mut layout, file)?;
            }
            if layout.places.len() > MAX_PLACES {
                return Err(not_this("too many members"));
            }
        }
        Ok(layout)
    }
}

/// Where the central directory is, and how many members it lists.
fn directory(file: &dyn ReadAt) -> Result<(u64, u64)> {
    let size = file.size();
    let len = size.min(END + u64::from(u16::MAX));
    let tail = Numbers::read(file, size - len, len, false)?;
    // Its comment reaches to the end of the file.
    let reaches = |at: usize| tail.u16(at + 20).is_ok_and(|comment| at + END as usize + usize::from(comment) == len as usize);
    let ends = |at: &usize| tail.bytes(*at, 4).is_ok_and(|sign| sign == b"PK\x05\x06") && reaches(*at);
    let at = (0..=(len as usize).saturating_sub(END as usize)).rev().find(ends).ok_or_else(|| not_this("no end of a directory"))?;
    let (count, offset) = (u64::from(tail.u16(at + 10)?), u64::from(tail.u32(at + 16)?));
    if count != 0xffff && offset != ELSEWHERE {
        return Ok((offset, count));
    }
    // The record of ZIP64, which the one before the last record says the place of.
    let locator = at.checked_sub(20).ok_or_else(|| not_this("no record of ZIP64"))?;
    if tail.bytes(locator, 4)? != b"PK\x06\x07" {
        return Ok((offset, count));
    }
    let record = Numbers::read(file, tail.u64(locator + 8)?, 56, false)?;
    match record.bytes(0, 4)? == b"PK\x06\x06" {
        true => Ok((record.u64(48)?, record.u64(32)?)),
        false => Err(not_this("no record of ZIP64 where it should be")),
    }
}

/// What the directory says of a member.
struct Member {
    name: String,
    flags: u16,
    method: u16,
    /// Bytes as it is stored.
    len: u64,
    /// Where its local header is.
    offset: u64,
}

impl Member {
    fn read(cursor: &mut Cursor<'_>) -> Result<Member> {
        let head: [u8; 46] = cursor.bytes(46)?.try_into().map_err(|_| not_this("directory ends early"))?;
        let u16 = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let u32 = |at: usize| u64::from(u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        if !head.starts_with(b"PK\x01\x02") {
            return Err(not_this("no member where the directory should have one"));
        }
        let name = String::from_utf8_lossy(cursor.bytes(u16(28).into())?).into_owned();
        let extra = cursor.bytes(u16(30).into())?.to_vec();
        cursor.skip(u16(32).into())?;
        let (plain, mut len, mut offset) = (u32(24), u32(20), u32(42));
        let mut large = zip64(&extra);
        // Those that do not fit stand there, in this order.
        if plain == ELSEWHERE {
            large.next();
        }
        for value in [&mut len, &mut offset] {
            if *value == ELSEWHERE {
                *value = large.next().ok_or_else(|| not_this("no extra field of ZIP64"))?;
            }
        }
        Ok(Member { name, flags: u16(8), method: u16(10), len, offset })
    }

    fn add_to(&self, layout: &mut Layout, file: &dyn ReadAt) -> Result<()> {
        let local = Numbers::read(file, self.offset, LOCAL, false)?;
        if local.bytes(0, 4)? != b"PK\x03\x04" {
            return Err(not_this("no member where the directory says"));
        }
        let offset = self.offset + LOCAL + u64::from(local.u16(26)?) + u64::from(local.u16(28)?);
        if offset.checked_add(self.len).is_none_or(|end| end > file.size()) {
            return Err(not_this("member reaches past the file"));
        }
        if self.method == 8 {
            let holds = Holds::Stream(Wrapper::Raw, Inside::File(self.name.clone()));
            layout.places.push(Place { offset, length: self.len, holds });
            return Ok(());
        }
        let (mut inner, _) = dissect(&Window::new(file, offset, self.len), plain_dissectors());
        // Header and directory have a CRC-32 of the member.
        inner.arrays = inner.arrays.into_iter().map(Array::sealed).collect();
        let places = layout.absorb(&self.name, inner);
        layout.places.extend(places.into_iter().map(|place| Place { offset: offset + place.offset, ..place }));
        Ok(())
    }
}

/// The numbers in the extra field of ZIP64, if there is one.
fn zip64(extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut rest = extra;
    let mut found: &[u8] = &[];
    while let [a, b, c, d, fields @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*c, *d]));
        let Some((data, more)) = fields.split_at_checked(len) else { break };
        if [*a, *b] == [1, 0] {
            found = data;
            break;
        }
        rest = more;
    }
    found.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy_header;

    /// A member as a test writes it: name, method, bytes as they are stored.
    type Sample<'a> = (&'a str, u16, &'a [u8]);

    /// A file of these members, with sizes and offsets in ZIP64's fields if `large`.
    fn zip(members: &[Sample<'_>], large: bool) -> Vec<u8> {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for (name, method, data) in members {
            let offset = file.len() as u64;
            let (len, name_len) = (data.len() as u32, name.len() as u16);
            let sizes = |large: bool| if large { [u32::MAX; 2] } else { [len; 2] }.map(u32::to_le_bytes).concat();
            let middle = [&[20, 0, 0, 0][..], &method.to_le_bytes(), &[0; 8]].concat();
            file.extend(
                [b"PK\x03\x04", &middle[..], &sizes(false), &name_len.to_le_bytes(), &[2, 0], name.as_bytes(), b"xx", data].concat(),
            );
            let extra = match large {
                false => vec![],
                true => [&[7, 0, 1, 0, 9, 1, 0, 24, 0][..], &u64::from(len).to_le_bytes().repeat(2), &offset.to_le_bytes()].concat(),
            };
            let at = if large { u32::MAX } else { offset as u32 };
            directory.extend([b"PK\x01\x02", &[20, 0][..], &middle, &sizes(large), &name_len.to_le_bytes()].concat());
            directory.extend([&(extra.len() as u16).to_le_bytes()[..], &[1, 0], &[0; 8], &at.to_le_bytes()].concat());
            directory.extend([name.as_bytes(), &extra, b"c"].concat());
        }
        let (at, n) = (file.len() as u64, members.len() as u64);
        file.extend_from_slice(&directory);
        if large {
            let end = file.len() as u64;
            file.extend([b"PK\x06\x06", &[0; 28][..], &n.to_le_bytes(), &[0; 8], &at.to_le_bytes()].concat());
            file.extend([b"PK\x06\x07", &[0; 4][..], &end.to_le_bytes(), &[0; 4]].concat());
        }
        let (n, at) = if large { (0xffff, u32::MAX) } else { (n as u16, at as u32) };
        file.extend([b"PK\x05\x06", &[0; 6][..], &n.to_le_bytes(), &[0; 4], &at.to_le_bytes(), &[3, 0], b"end"].concat());
        file
    }

    fn array() -> Vec<u8> {
        let mut file = npy_header(errbar_format::DType::F32, false, false, &[2, 3]);
        file.resize(file.len() + 24, 1);
        file
    }

    #[test]
    fn members_are_streams_or_arrays_in_place() {
        let array = array();
        let members: [Sample<'_>; 5] =
            [("a.npy", 0, &array), ("empty", 0, b""), ("d/b.npy", 8, b"stream"), ("text", 0, b"no array"), ("lzma", 14, b"bytes")];
        for large in [false, true] {
            let file = zip(&members, large);
            let (layout, by) = dissect(&&file[..], &[&Zip]);
            assert_eq!((by, layout.arrays.len(), layout.places.len()), (Some("zip"), 1, 2), "{large}");
            assert_eq!((layout.arrays[0].name.as_str(), layout.arrays[0].shape.as_slice()), ("a", &[2, 3][..]));
            assert!(layout.arrays[0].sealed, "another member would need another checksum");
            let [in_place, stream] = &layout.places[..] else { panic!("two places") };
            assert_eq!(file[in_place.offset as usize..][..in_place.length as usize], array[array.len() - 24..]);
            assert_eq!(&file[stream.offset as usize..][..stream.length as usize], b"stream");
            assert_eq!(stream.holds, Holds::Stream(Wrapper::Raw, Inside::File("d/b.npy".into())));
        }
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_is_bytes_or_lies_in_itself() {
        let file = zip(&[("a.npy", 0, &array()), ("b", 8, b"stream")], true);
        for at in 0..file.len() {
            assert_eq!(dissect(&&file[..at], &[&Zip]), (Layout::default(), None));
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = file.clone();
                changed[at] = value;
                let (layout, _) = dissect(&&changed[..], &[&Zip]);
                assert!(layout.places.iter().all(|place| place.offset + place.length <= file.len() as u64));
            }
        }
    }
}
