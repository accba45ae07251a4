//! zlib streams (RFC 1950, RFC 1951), made as libdeflate makes them.

use errbar_format::{Error, Kind, Result};
use libdeflater::{CompressionLvl, Compressor};

/// What libdeflate's `level`, 1 to 12, makes of `bytes`.
pub(super) fn deflate(bytes: &[u8], level: u8) -> Result<Vec<u8>> {
    let refused = || Error::new(Kind::Limit, "libdeflate does not take its level, or cannot get its memory");
    let mut compressor = Compressor::new(CompressionLvl::new(level.into()).map_err(|_| refused())?);
    let mut out = vec![0; compressor.zlib_compress_bound(bytes.len())];
    let len = compressor.zlib_compress(bytes, &mut out).map_err(|_| refused())?;
    out.truncate(len);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libdeflate 1.26, as the specification names it.
    #[test]
    fn the_library_is_the_one_that_archives_were_made_with() {
        let bytes: Vec<u8> = (0..3000u32).flat_map(|i| (i * i / 7 % 1000).to_le_bytes()).collect();
        let found = [1, 6, 7, 12].map(|level| {
            let (mut crc, made) = (flate2::Crc::new(), deflate(&bytes, level).expect("memory"));
            crc.update(&made);
            crc.sum()
        });
        assert_eq!(found, [3_140_794_995, 2_525_144_473, 2_525_144_473, 2_136_846_667]);
        assert_eq!(deflate(b"aaaaa", 6).expect("memory"), b"\x78\x9c\x01\x05\x00\xfa\xff\x61\x61\x61\x61\x61\x05\xb4\x01\xe6");
    }
}
