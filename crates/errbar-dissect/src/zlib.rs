//! Files that are one zlib stream (RFC 1950): chunks of Zarr, pickles, objects of other programs.

use errbar_format::Result;

use crate::{Dissector, Holds, Inside, Layout, Place, ReadAt, Wrapper};

/// Bytes of a zlib stream before its deflate stream.
pub(crate) const HEADER: u64 = 2;

/// A bare zlib stream.
#[derive(Clone, Copy, Debug)]
pub struct Zlib;

impl Dissector for Zlib {
    fn name(&self) -> &'static str {
        "zlib"
    }

    /// One file in some thousand begins so by chance, and mostly inflates to nothing: whoever looks
    /// inside finds out.
    fn probe(&self, head: &[u8]) -> bool {
        // Method 8, a window of 32 KiB, no dictionary, and a multiple of 31.
        matches!(head, [0x78, flags, ..] if flags & 0x20 == 0 && (0x7800 + u16::from(*flags)).is_multiple_of(31))
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        Ok(stream(HEADER, file.size().saturating_sub(HEADER), Inside::File(String::new())))
    }
}

/// A file with a deflate stream of at most `length` bytes from `offset` on, and no more that is known.
pub(crate) fn stream(offset: u64, length: u64, inside: Inside) -> Layout {
    Layout { places: vec![Place { offset, length, holds: Holds::Stream(Wrapper::Raw, inside) }], ..Layout::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    #[test]
    fn headers_of_every_level_are_known_and_others_are_not() {
        for (head, is_stream) in [
            ([0x78, 0x01], true),
            ([0x78, 0x5e], true),
            ([0x78, 0x9c], true),
            ([0x78, 0xda], true),
            ([0x78, 0x9d], false),
            ([0x78, 0x20], false),
            ([0x68, 0x81], false),
        ] {
            let file = [&head[..], b"stream"].concat();
            let (layout, by) = dissect(&&file[..], &[&Zlib]);
            assert_eq!(by.is_some(), is_stream, "{head:x?}");
            assert!(layout.places.iter().all(|place| (place.offset, place.length) == (2, 6)));
        }
        assert_eq!(dissect(&&b"\x78\x9c"[..], &[&Zlib]).0, Layout::default());
    }
}
