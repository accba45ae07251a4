use std::panic::{AssertUnwindSafe, catch_unwind};

use errbar_format::{DType, Error, Result};
use pco::data_types::Number;
use pco::errors::PcoError;
use pco::standalone::{DecompressorItem, FileDecompressor, simple_compress};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use crate::stage::{Coder, Stage, bad_params};
use crate::{Codes, Layout, Words};

/// The codes as numbers of a type, in one standalone pco file (Loncaric, Jeppesen and Zinberg,
/// Pcodec, 2025). See `spec/stages/pco.md`.
#[derive(Clone, Copy, Debug)]
pub struct Pco;

impl Pco {
    /// Parameters for reading the codes as numbers of `dtype`, at a compression level of 0 to 12.
    pub fn params(dtype: DType, level: u8) -> Vec<u8> {
        vec![dtype.code(), level]
    }

    /// As [`Pco::params`], for unsigned codes of `width` bytes that are residuals: pco then looks for
    /// nothing but their distribution, which is faster.
    pub fn residual_params(width: usize, level: u8) -> Vec<u8> {
        vec![DType::unsigned(width).code(), level | RESIDUALS]
    }
}

/// The bit of the level that says that numbers are residuals.
const RESIDUALS: u8 = 0x80;

/// Types of numbers that a file may hold.
const NUMBERS: [DType; 10] =
    [DType::U8, DType::U16, DType::U32, DType::U64, DType::I8, DType::I16, DType::I32, DType::I64, DType::F32, DType::F64];

/// The number type and the level, if the type has words of `width` bytes.
fn parse(params: &[u8], width: Option<usize>) -> Result<(DType, u8)> {
    let &[code, level] = params else { return Err(bad_params("pco takes two bytes")) };
    let dtype = DType::try_from(code).map_err(|e| bad_params(&e))?;
    match NUMBERS.contains(&dtype) && width.is_none_or(|width| width == dtype.size()) {
        true => Ok((dtype, level)),
        false => Err(bad_params("pco has no such number type, or its width is not the codes'")),
    }
}

/// What an encoder looks for in numbers, beside their distribution.
#[derive(Clone, Copy)]
pub(super) enum Search {
    /// Nothing: they are residuals.
    None,
    /// Units, and differences.
    All,
}

pub(super) fn compress<T: Number>(numbers: &[T], level: u8, search: Search) -> Result<Vec<u8>> {
    let mut config = ChunkConfig::default().with_compression_level(level.into()).with_enable_8_bit(true);
    if let Search::None = search {
        config = config.with_mode_spec(ModeSpec::Classic).with_delta_spec(DeltaSpec::NoOp);
    }
    simple_compress(numbers, &config).map_err(|e| Error::usage(format!("pco: {e}")))
}

/// Exactly `n` numbers.
fn decompress<T: Number>(bytes: &[u8], n: usize, zero: T) -> Result<Vec<T>> {
    let mut numbers = vec![zero; n];
    match decompress_into(bytes, &mut numbers)? {
        found if found == n => Ok(numbers),
        _ => Err(too_many(n)),
    }
}

fn too_many(n: usize) -> Error {
    Error::corrupt("EB-C02", format!("pco file does not hold {n} numbers"))
}

/// Numbers of a file, chunk by chunk, whatever count it declares, and how many there are: no more
/// than there is room for.
pub(super) fn decompress_into<T: Number>(bytes: &[u8], numbers: &mut [T]) -> Result<usize> {
    let room = numbers.len();
    let read = || -> std::result::Result<Option<usize>, PcoError> {
        let mut left = numbers;
        let (file, mut bytes) = FileDecompressor::new(bytes)?;
        while let DecompressorItem::Chunk(mut chunk) = file.chunk_decompressor::<T, _>(bytes)? {
            let Some((here, behind)) = left.split_at_mut_checked(chunk.n()) else { return Ok(None) };
            chunk.read(here)?;
            left = behind;
            bytes = chunk.into_src();
        }
        Ok(Some(room - left.len()))
    };
    // pco has `expect` and `unreachable` behind checks of its own. Should a hostile file slip
    // through one, that is a damaged block, not the end of the program.
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(Some(found))) => Ok(found),
        Ok(Ok(None)) => Err(too_many(room)),
        Ok(Err(e)) => Err(Error::corrupt("EB-C02", format!("pco: {e}"))),
        Err(_) => Err(Error::corrupt("EB-C02", "pco file is damaged")),
    }
}

impl Stage for Pco {
    fn name(&self) -> &'static str {
        "pco"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "numbers by bins of their distribution, by Pcodec"
    }

    fn parameters(&self) -> &'static str {
        "dtype: u8, code of the number type; level: u8, 128 more for residuals, for information only"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<_> = NUMBERS.iter().map(|&dtype| Pco::params(dtype, 8)).collect();
        all.extend([0, 12].map(|level| Pco::params(DType::U32, level)));
        all.push(Pco::residual_params(2, 8));
        all
    }

    fn guarantee(&self) -> &'static str {
        "every code comes back"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        let (dtype, level) = parse(params, None)?;
        let kind = if level & RESIDUALS == 0 { "" } else { ", residuals" };
        Ok(format!("{}, level {}{kind}", dtype.name(), level & !RESIDUALS))
    }
}

impl Coder for Pco {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        fn compress<T: Number>(numbers: &[T], level: u8) -> Result<Vec<u8>> {
            let search = if level & RESIDUALS == 0 { Search::All } else { Search::None };
            super::pco::compress(numbers, level & !RESIDUALS, search)
        }
        fn cast<W: Copy, T: Number>(words: &[W], number: impl Fn(W) -> T, level: u8) -> Result<Vec<u8>> {
            compress(&words.iter().map(|&word| number(word)).collect::<Vec<T>>(), level)
        }
        let (dtype, level) = parse(params, None)?;
        match (&codes.words, dtype) {
            (Words::U8(v), DType::U8) => compress(v, level),
            (Words::U16(v), DType::U16) => compress(v, level),
            (Words::U32(v), DType::U32) => compress(v, level),
            (Words::U64(v), DType::U64) => compress(v, level),
            (Words::U8(v), DType::I8) => cast(v, |word| word as i8, level),
            (Words::U16(v), DType::I16) => cast(v, |word| word as i16, level),
            (Words::U32(v), DType::I32) => cast(v, |word| word as i32, level),
            (Words::U64(v), DType::I64) => cast(v, |word| word as i64, level),
            (Words::U32(v), DType::F32) => cast(v, f32::from_bits, level),
            (Words::U64(v), DType::F64) => cast(v, f64::from_bits, level),
            (words, _) => Err(Error::usage(format!("codes of {} bytes are no {}", words.width(), dtype.name()))),
        }
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        let n = layout.len();
        let words = match parse(params, Some(layout.width))?.0 {
            DType::U8 => Words::U8(decompress(bytes, n, 0)?),
            DType::U16 => Words::U16(decompress(bytes, n, 0)?),
            DType::U32 => Words::U32(decompress(bytes, n, 0)?),
            DType::U64 => Words::U64(decompress(bytes, n, 0)?),
            DType::I8 => Words::U8(decompress(bytes, n, 0i8)?.into_iter().map(|x| x as u8).collect()),
            DType::I16 => Words::U16(decompress(bytes, n, 0i16)?.into_iter().map(|x| x as u16).collect()),
            DType::I32 => Words::U32(decompress(bytes, n, 0i32)?.into_iter().map(|x| x as u32).collect()),
            DType::I64 => Words::U64(decompress(bytes, n, 0i64)?.into_iter().map(|x| x as u64).collect()),
            DType::F32 => Words::U32(decompress(bytes, n, 0f32)?.into_iter().map(f32::to_bits).collect()),
            _ => Words::U64(decompress(bytes, n, 0f64)?.into_iter().map(f64::to_bits).collect()),
        };
        Ok(layout.codes(words))
    }
}
