use errbar_format::{DType, Error, Result};
use pco::data_types::Number;

use crate::codes::Word;
use crate::stage::{Coder, Stage, bad_params};
use crate::{Codes, Layout, Words};

/// One standalone file of pcodec, whose words are taken as numbers of a type of the same size. See
/// `spec/stages/pco.md`.
#[derive(Clone, Copy, Debug)]
pub struct Pco;

impl Pco {
    /// Parameters for words that are numbers of `dtype`, at a level of 0 to 12. Only the encoder
    /// needs the level.
    pub fn params(dtype: DType, level: u8) -> Vec<u8> {
        vec![dtype.code(), level]
    }
}

/// Types that pcodec takes numbers of.
const NUMBERS: &[DType] =
    &[DType::U8, DType::U16, DType::U32, DType::U64, DType::I8, DType::I16, DType::I32, DType::I64, DType::F32, DType::F64];

fn parse(params: &[u8]) -> Result<(DType, u8)> {
    let &[code, level] = params else { return Err(bad_params("pco takes two bytes")) };
    match DType::try_from(code) {
        Ok(dtype) if NUMBERS.contains(&dtype) => Ok((dtype, level)),
        _ => Err(bad_params("pco takes no numbers of this type")),
    }
}

fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::corrupt("EB-C02", format!("pco: {what}"))
}

fn compress<W: Word, T: Number>(words: &[W], number: impl Fn(W) -> T, level: u8) -> Result<Vec<u8>> {
    let numbers: Vec<T> = words.iter().map(|&word| number(word)).collect();
    let config = pco::ChunkConfig::default().with_compression_level(level.min(12).into()).with_enable_8_bit(true);
    pco::standalone::simple_compress(&numbers, &config).map_err(|e| Error::usage(format!("pco cannot compress: {e}")))
}

fn decompress<W: Word, T: Number + Default>(bytes: &[u8], n: usize, word: impl Fn(T) -> W) -> Result<Words> {
    let mut numbers = vec![T::default(); n];
    // The crate checks its input, but promises no more than an error or a result for what is
    // damaged: a panic in it must not become one of ours.
    let progress = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pco::standalone::simple_decompress_into(bytes, &mut numbers)));
    let progress = progress.map_err(|_| corrupt("file makes no sense"))?.map_err(corrupt)?;
    match progress.finished && progress.n_processed == n {
        true => Ok(W::wrap(numbers.into_iter().map(word).collect())),
        false => Err(corrupt(format!("file does not hold {n} numbers"))),
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
        "one standalone pcodec file of the words as numbers"
    }

    fn parameters(&self) -> &'static str {
        "dtype: u8, code of the number type; level: u8, that of the encoder"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every word"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        parse(params).map(|(dtype, level)| format!("{}, level {level}", dtype.name()))
    }
}

impl Coder for Pco {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        let (dtype, level) = parse(params)?;
        match (&codes.words, dtype) {
            (Words::U8(v), DType::U8) => compress(v, |w| w, level),
            (Words::U8(v), DType::I8) => compress(v, |w| w as i8, level),
            (Words::U16(v), DType::U16) => compress(v, |w| w, level),
            (Words::U16(v), DType::I16) => compress(v, |w| w as i16, level),
            (Words::U32(v), DType::U32) => compress(v, |w| w, level),
            (Words::U32(v), DType::I32) => compress(v, |w| w as i32, level),
            (Words::U32(v), DType::F32) => compress(v, f32::from_bits, level),
            (Words::U64(v), DType::U64) => compress(v, |w| w, level),
            (Words::U64(v), DType::I64) => compress(v, |w| w as i64, level),
            (Words::U64(v), DType::F64) => compress(v, f64::from_bits, level),
            _ => Err(Error::usage(format!("pco cannot take {}-byte words as {}", codes.words.width(), dtype.name()))),
        }
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        let (dtype, _) = parse(params)?;
        if dtype.size() != layout.width {
            return Err(bad_params("pco's number type does not fit the words"));
        }
        let n = layout.len();
        let words = match dtype {
            DType::U8 => decompress(bytes, n, |x: u8| x),
            DType::I8 => decompress(bytes, n, |x: i8| x as u8),
            DType::U16 => decompress(bytes, n, |x: u16| x),
            DType::I16 => decompress(bytes, n, |x: i16| x as u16),
            DType::U32 => decompress(bytes, n, |x: u32| x),
            DType::I32 => decompress(bytes, n, |x: i32| x as u32),
            DType::F32 => decompress(bytes, n, f32::to_bits),
            DType::U64 => decompress(bytes, n, |x: u64| x),
            DType::I64 => decompress(bytes, n, |x: i64| x as u64),
            _ => decompress(bytes, n, f64::to_bits),
        }?;
        Ok(Codes { dims: layout.dims.clone(), words })
    }
}
