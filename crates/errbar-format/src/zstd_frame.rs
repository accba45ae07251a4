//! Zstandard frames (RFC 8878), as pages, documents, exact values and a coder hold them.

use std::io::Read;

use zstd::stream::read::Decoder;

use crate::{Error, Result};

/// The level for what is small beside the blocks (pages, documents, exact values), and holds hashes
/// that do not compress anyway.
pub const LEVEL: i32 = 3;
/// Bytes of the largest window that a reader has to hold.
const MAX_WINDOW: u64 = 1 << 27;

/// One frame, without checksum: the frame around it has one.
///
/// # Errors
/// [`crate::Kind::Io`] if zstd cannot allocate.
pub fn compress(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    zstd::bulk::compress(bytes, level).map_err(|e| Error::io("zstd could not compress", e))
}

/// As [`compress`], with matches of at least `min_match` bytes (3 to 7) only.
///
/// # Errors
/// As [`compress`].
pub fn compress_matching(bytes: &[u8], level: i32, min_match: u32) -> Result<Vec<u8>> {
    let compress = || {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        compressor.set_parameter(zstd::zstd_safe::CParameter::MinMatch(min_match))?;
        compressor.compress(bytes)
    };
    compress().map_err(|e| Error::io("zstd could not compress", e))
}

/// Bytes of the window of the frame that begins `frame`, if it is one with a window of its own
/// (RFC 8878, 3.1.1.1).
fn window(frame: &[u8]) -> Option<u64> {
    match *frame {
        [0x28, 0xB5, 0x2F, 0xFD, descriptor, ..] if descriptor & 0x20 != 0 => Some(0),
        [0x28, 0xB5, 0x2F, 0xFD, _, window, ..] => Some((8 + u64::from(window & 7)) << (7 + (window >> 3))),
        _ => None,
    }
}

/// Exactly `n` bytes out of exactly one zstd frame; breaking that breaks `rule`. The caller keeps `n`
/// within a limit of the format.
///
/// # Errors
/// [`crate::Kind::Corrupt`] otherwise.
pub fn decompress(frame: &[u8], n: usize, rule: &'static str) -> Result<Vec<u8>> {
    let corrupt = |what: &str| Error::corrupt(rule, what);
    // The library would pass over skippable frames, and in one call it takes any window.
    if window(frame).is_none_or(|bytes| bytes > MAX_WINDOW) || zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err(corrupt("not exactly one zstd frame with a window of at most 128 MiB"));
    }
    // With room for all of them, zstd writes the bytes straight to their place.
    let mut bytes = vec![0; n];
    let mut decoder = Decoder::with_buffer(frame).map_err(|e| Error::io("zstd could not start", e))?.single_frame();
    decoder.read_exact(&mut bytes).map_err(|_| corrupt("zstd frame is damaged or holds too few bytes"))?;
    match decoder.read(&mut [0]) {
        Ok(0) => Ok(bytes),
        Ok(_) => Err(corrupt("zstd frame holds too many bytes")),
        Err(_) => Err(corrupt("zstd frame is damaged")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_frame_of_the_right_length_is_read() {
        let frame = zstd::bulk::compress(&[7; 1000], 3).expect("compressing memory");
        assert_eq!(decompress(&frame, 1000, "EB-C02").expect("a valid frame"), [7; 1000]);
        let skippable = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0];
        for (bytes, n) in [
            (frame.clone(), 999),
            (frame.clone(), 1001),
            (frame.clone(), 0),
            ([&frame[..], &frame].concat(), 2000),
            ([&frame[..], &skippable].concat(), 1000),
            ([&frame[..], &[0]].concat(), 1000),
            (skippable.to_vec(), 0),
            (Vec::new(), 0),
        ] {
            assert_eq!(decompress(&bytes, n, "EB-C02").expect_err("not one frame of n bytes").rule, Some("EB-C02"));
        }
    }

    #[test]
    fn a_window_above_128_mib_is_refused() {
        // Magic, a content size of two bytes without single segment, window, size, one raw block.
        let frame = |window: u8| [&[0x28, 0xB5, 0x2F, 0xFD, 0x40, window, 44, 0, 0x61, 0x09, 0][..], &[7; 300]].concat();
        assert_eq!(window(&frame(17 << 3)), Some(1 << 27));
        assert_eq!(decompress(&frame(17 << 3), 300, "EB-C02").expect("128 MiB"), [7; 300]);
        assert!(decompress(&frame(17 << 3 | 1), 300, "EB-C02").is_err());
    }
}
