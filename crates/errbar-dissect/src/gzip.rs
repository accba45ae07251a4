//! gzip (RFC 1952): members, each a header, a deflate stream and a trailer.

use errbar_format::Result;

use crate::{Dissector, Holds, Inside, Layout, Place, ReadAt, Wrapper};

const MAGIC: &[u8] = &[0x1f, 0x8b, 8];
/// Bytes of a header without its optional fields.
const FIXED: usize = 10;

/// The gzip format.
#[derive(Clone, Copy, Debug)]
pub struct Gzip;

impl Dissector for Gzip {
    fn name(&self) -> &'static str {
        "gzip"
    }

    fn probe(&self, head: &[u8]) -> bool {
        header_len(head).is_some()
    }

    /// Where members end shows only when they are inflated.
    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let place = Place { offset: 0, length: file.size(), holds: Holds::Stream(Wrapper::Gzip, Inside::File(String::new())) };
        Ok(Layout { places: vec![place], ..Layout::default() })
    }
}

/// Bytes of the gzip header at the start of `head`; nothing if there is none, or it is longer than that.
pub fn header_len(head: &[u8]) -> Option<usize> {
    let flags = *head.get(3).filter(|_| head.starts_with(MAGIC))?;
    // Bits that no edition gives a meaning.
    if flags & 0xe0 != 0 {
        return None;
    }
    let mut len = FIXED;
    if flags & 4 != 0 {
        let extra = head.get(len..len + 2)?;
        len += 2 + usize::from(u16::from_le_bytes([extra[0], extra[1]]));
    }
    // Name and comment end with a zero.
    for flag in [8, 16] {
        if flags & flag != 0 {
            len += head.get(len..)?.iter().position(|&byte| byte == 0)? + 1;
        }
    }
    if flags & 2 != 0 {
        len += 2;
    }
    (len <= head.len()).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn header(flags: u8, rest: &[u8]) -> Vec<u8> {
        [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 2, 255], rest].concat()
    }

    #[test]
    fn headers_are_as_long_as_their_fields() {
        assert_eq!(header_len(&header(0, b"x")), Some(10));
        assert_eq!(header_len(&header(8, b"a.nii\0x")), Some(16));
        assert_eq!(header_len(&header(31, b"\x02\0abname\0comment\0CC")), Some(29));
        assert_eq!(header_len(&header(16, b"\0")), Some(11));
    }

    #[test]
    fn what_is_cut_or_unknown_has_none() {
        let all = header(31, b"\x02\0abname\0comment\0CC");
        for len in 0..all.len() {
            assert_eq!(header_len(&all[..len]), None, "{len}");
        }
        assert_eq!(header_len(&header(0x20, b"x")), None);
        assert_eq!(header_len(&header(4, b"\xff\xffx")), None);
        assert_eq!(dissect(&&b"\x1f\x8b\x09\0\0\0\0\0\0\0\0"[..], &[&Gzip]), (Layout::default(), None));
    }

    #[test]
    fn a_file_is_one_place() {
        let (layout, by) = dissect(&&header(0, b"stream")[..], &[&Gzip]);
        assert_eq!((layout.places[0].offset, layout.places[0].length, by), (0, 16, Some("gzip")));
    }
}
