use errbar_format::{Error, Result};

use crate::stage::{Coder, Stage, bad_params};
use crate::{Codes, Layout};

/// One Zstandard frame (RFC 8878) of the little-endian words. See `spec/stages/zstd.md`.
#[derive(Clone, Copy, Debug)]
pub struct Zstd;

impl Zstd {
    /// Parameters for a level, -128 to 22. Only the encoder needs it.
    pub fn params(level: i8) -> Vec<u8> {
        vec![level as u8]
    }
}

fn level(params: &[u8]) -> Result<i8> {
    match params {
        &[level] => Ok(level as i8),
        _ => Err(bad_params("zstd takes one byte")),
    }
}

impl Stage for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "one Zstandard frame of the little-endian words"
    }

    fn parameters(&self) -> &'static str {
        "level: i8, that of the encoder"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every word"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        level(params).map(|level| level.to_string())
    }
}

impl Coder for Zstd {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        let level = level(params)?;
        let bytes = match &codes.words {
            crate::Words::U8(bytes) => zstd::bulk::compress(bytes, level.into()),
            words => zstd::bulk::compress(&words.to_le_bytes(), level.into()),
        };
        bytes.map_err(|e| Error::io("zstd could not compress", e))
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        level(params)?;
        Codes::from_le_bytes(layout, errbar_format::page::decompress(bytes, layout.bytes() as u64, "EB-C02")?)
    }
}
