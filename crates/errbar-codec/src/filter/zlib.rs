//! zlib streams (RFC 1950, RFC 1951), made as stock zlib makes them.
//!
//! The one call of zlib that no safe crate offers is the choice of `memLevel`, which decides where
//! deflate's blocks end. Its safe twin, for the default of it, is `flate2`.

use errbar_format::{Error, Kind, Result};
use flate2::{Decompress, FlushDecompress, Status};

use super::not_made;

/// What zlib's `level` and `memLevel` make of `bytes`, in a window of 32 KiB.
pub(super) fn deflate(bytes: &[u8], level: u8, mem_level: u8) -> Result<Vec<u8>> {
    let no_memory = || Error::new(Kind::Limit, "zlib cannot get its memory");
    let Ok(len) = libz_sys::uInt::try_from(bytes.len()) else { return Err(no_memory()) };
    // Zeros and null pointers ask zlib for its own allocator, as its manual says.
    let mut stream = std::mem::MaybeUninit::<libz_sys::z_stream>::zeroed();
    let (stream, size) = (stream.as_mut_ptr(), size_of::<libz_sys::z_stream>() as i32);
    let (level, mem_level) = (i32::from(level), i32::from(mem_level));
    let (method, window_bits, strategy) = (libz_sys::Z_DEFLATED, 15, libz_sys::Z_DEFAULT_STRATEGY);
    // SAFETY: `stream` points to a z_stream as zlib asks for, which lives until after `deflateEnd`;
    // `next_in` and `next_out` point to as many bytes as `avail_in` and `avail_out` say, which live
    // longer than the one call that uses them.
    #[allow(unsafe_code)]
    unsafe {
        let version = libz_sys::zlibVersion();
        if libz_sys::deflateInit2_(stream, level, method, window_bits, mem_level, strategy, version, size) != libz_sys::Z_OK {
            return Err(no_memory());
        }
        let mut out = vec![0; libz_sys::deflateBound(stream, bytes.len() as libz_sys::uLong) as usize];
        (*stream).next_in = bytes.as_ptr().cast_mut();
        (*stream).avail_in = len;
        (*stream).next_out = out.as_mut_ptr();
        (*stream).avail_out = libz_sys::uInt::try_from(out.len()).unwrap_or(libz_sys::uInt::MAX);
        let result = libz_sys::deflate(stream, libz_sys::Z_FINISH);
        out.truncate((*stream).total_out as usize);
        libz_sys::deflateEnd(stream);
        if result == libz_sys::Z_STREAM_END { Ok(out) } else { Err(no_memory()) }
    }
}

/// The `len` bytes that a stream, which `bytes` must be to its end, was made from.
pub(super) fn inflate(bytes: &[u8], len: usize) -> Result<Vec<u8>> {
    // A byte of a stream makes at most 1032: nothing is allocated for what cannot be there.
    if len / 1032 > bytes.len() {
        return Err(not_made("it is too short"));
    }
    // One more, so that a stream of more bytes is told from one of as many.
    let mut out = vec![0; len + 1];
    let mut inflate = Decompress::new(true);
    let status = inflate.decompress(bytes, &mut out, FlushDecompress::Finish);
    let ends = matches!(status, Ok(Status::StreamEnd)) && inflate.total_in() as usize == bytes.len();
    match ends && inflate.total_out() as usize == len {
        true => {
            out.truncate(len);
            Ok(out)
        }
        false => Err(not_made("it is no zlib stream of so many bytes")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn samples() -> [Vec<u8>; 4] {
        let noise = (0..70_000u32).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8);
        [vec![], b"abcabcabcabcabcabcabcabcabc".to_vec(), (0..200_000u32).map(|i| (i / 700 % 50) as u8).collect(), noise.collect()]
    }

    #[test]
    fn streams_are_those_of_the_safe_twin() {
        for bytes in samples() {
            for level in 0..=9u8 {
                let mut twin = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level.into()));
                twin.write_all(&bytes).expect("to memory");
                let twin = twin.finish().expect("to memory");
                // How stored blocks are cut follows the sizes of buffers.
                if level > 0 {
                    assert_eq!(deflate(&bytes, level, 8).expect("memory"), twin, "level {level}");
                }
                assert_eq!(inflate(&twin, bytes.len()).expect("a stream"), bytes);
            }
        }
    }

    #[test]
    fn every_memory_level_makes_a_stream() {
        for bytes in samples() {
            for mem_level in 1..=9 {
                assert_eq!(inflate(&deflate(&bytes, 6, mem_level).expect("memory"), bytes.len()).expect("a stream"), bytes);
            }
        }
    }

    #[test]
    fn what_is_no_stream_of_that_length_is_refused() {
        let stream = deflate(&[7; 1000], 6, 8).expect("memory");
        for (bytes, len) in [(&stream[..], 999), (&stream, 1001), (&stream[1..], 1000), (&stream, usize::MAX / 2), (b"", 0)] {
            assert!(inflate(bytes, len).is_err());
        }
        for cut in 0..stream.len() {
            assert!(inflate(&stream[..cut], 1000).is_err());
        }
        assert!(inflate(&[&stream[..], b"x"].concat(), 1000).is_err());
    }
}
