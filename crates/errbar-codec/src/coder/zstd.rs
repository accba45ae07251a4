use errbar_format::{Result, zstd_frame};

use crate::stage::{Coder, Stage, bad_params};
use crate::{Codes, Layout};

/// The codes as little-endian words in one zstd frame (RFC 8878). See `spec/stages/zstd.md`.
#[derive(Clone, Copy, Debug)]
pub struct Zstd;

impl Zstd {
    /// A level for bytes such as tables of numbers, in which repetition is short and by chance: it
    /// takes long matches only. As small as level 6 there, in a third of its time; on text and
    /// programs 15 % larger.
    pub const LONG_MATCHES: i8 = 3;
    /// Bytes of a long match: shorter ones would break up runs of digits, which Huffman codes hold
    /// better.
    pub const LONG_MATCH: u32 = 7;

    /// Parameters for a compression level, of which zstd knows those up to 22.
    pub fn params(level: i8) -> Vec<u8> {
        level.to_le_bytes().to_vec()
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
        "matches and entropy of bytes, by Zstandard"
    }

    fn parameters(&self) -> &'static str {
        "level: i8, for information only"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        [-5, 1, 9, 19].map(Zstd::params).into()
    }

    fn guarantee(&self) -> &'static str {
        "every code comes back"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        level(params).map(|level| format!("level {level}"))
    }
}

impl Coder for Zstd {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        let bytes = codes.words.to_le_bytes();
        match level(params)? {
            Zstd::LONG_MATCHES => zstd_frame::compress_matching(&bytes, Zstd::LONG_MATCHES.into(), Zstd::LONG_MATCH),
            level => zstd_frame::compress(&bytes, level.into()),
        }
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        level(params)?;
        Codes::from_le_bytes(layout, zstd_frame::decompress(bytes, layout.bytes(), "EB-C02")?)
    }
}
