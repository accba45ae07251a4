use std::io::{Read, Write};

use errbar_format::{Error, Result};
use lzma_rust2::{LzmaOptions, LzmaReader, LzmaWriter};

use crate::stage::{Coder, Stage, bad_params};
use crate::{Codes, Layout};

/// The codes as little-endian words in one LZMA stream without a header (LZMA SDK: LZMA
/// specification, Igor Pavlov, 2015). See `spec/stages/lzma.md`.
#[derive(Clone, Copy, Debug)]
pub struct Lzma;

/// Bytes of the least dictionary that encoders and decoders know.
const LEAST_DICTIONARY: usize = 1 << 12;
/// Bits of context of a literal, from the byte before and from the position, together: every decoder
/// takes so many.
const MOST_LITERAL_BITS: u8 = 4;
/// The largest number of position bits.
const MOST_POSITION_BITS: u8 = 4;
/// Efforts of the encoder.
const MOST_EFFORT: u8 = 9;

/// How literals and matches find their contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LzmaContexts {
    /// Bits of the byte before a literal, `lc`.
    pub literal: u8,
    /// Bits of a literal's position, `lp`: the logarithm of the bytes of a word.
    pub literal_position: u8,
    /// Bits of the position of a match, `pb`.
    pub position: u8,
}

impl LzmaContexts {
    /// What suits text.
    pub const TEXT: LzmaContexts = LzmaContexts { literal: 3, literal_position: 0, position: 2 };

    /// What suits words of so many bytes: at most 8.
    pub fn of_words(width: usize) -> LzmaContexts {
        match width.clamp(1, 8).ilog2() as u8 {
            0 => LzmaContexts { literal: 4, literal_position: 0, position: 0 },
            place => LzmaContexts { literal: 0, literal_position: place, position: place },
        }
    }

    fn properties(self) -> u8 {
        (self.position * 5 + self.literal_position) * 9 + self.literal
    }

    fn from_properties(properties: u8) -> Option<LzmaContexts> {
        let contexts = LzmaContexts { literal: properties % 9, literal_position: properties / 9 % 5, position: properties / 45 };
        let is_known = contexts.position <= MOST_POSITION_BITS && contexts.literal + contexts.literal_position <= MOST_LITERAL_BITS;
        is_known.then_some(contexts)
    }
}

impl Lzma {
    /// Parameters for contexts and an effort of the encoder from 0 to 9: up to 3 it takes the first
    /// match that is good, from 4 on it looks for the cheapest way through many.
    pub fn params(contexts: LzmaContexts, effort: u8) -> Vec<u8> {
        vec![contexts.properties(), effort]
    }
}

fn parse(params: &[u8]) -> Result<(LzmaContexts, u8)> {
    let &[properties, effort] = params else { return Err(bad_params("lzma takes two bytes")) };
    let contexts = LzmaContexts::from_properties(properties).ok_or_else(|| bad_params("contexts of lzma are impossible"))?;
    Ok((contexts, effort))
}

/// The dictionary of `n` bytes: all of them.
fn dictionary(n: usize) -> u32 {
    n.max(LEAST_DICTIONARY) as u32
}

impl Stage for Lzma {
    fn name(&self) -> &'static str {
        "lzma"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "far matches and adaptive bits of bytes, by LZMA"
    }

    fn parameters(&self) -> &'static str {
        "properties: u8, effort: u8, for information only"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        let of_words = LzmaContexts { literal: 0, literal_position: 2, position: 2 };
        vec![Lzma::params(LzmaContexts::TEXT, 6), Lzma::params(of_words, 1)]
    }

    fn guarantee(&self) -> &'static str {
        "every code comes back"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        parse(params).map(|(LzmaContexts { literal, literal_position, position }, effort)| {
            format!("effort {effort}, contexts {literal} {literal_position} {position}")
        })
    }
}

impl Coder for Lzma {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        let (contexts, effort) = parse(params)?;
        let bytes = codes.words.to_le_bytes();
        let options = LzmaOptions {
            dict_size: dictionary(bytes.len()),
            lc: contexts.literal.into(),
            lp: contexts.literal_position.into(),
            pb: contexts.position.into(),
            ..LzmaOptions::with_preset(effort.min(MOST_EFFORT).into())
        };
        let encode = || {
            let mut writer = LzmaWriter::new_no_header(Vec::new(), &options, false)?;
            writer.write_all(&bytes)?;
            writer.finish()
        };
        encode().map_err(|e| Error::io("lzma could not compress", e))
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        let (contexts, _) = parse(params)?;
        let n = layout.bytes();
        let decode = || {
            let mut reader = LzmaReader::new_with_props(bytes, n as u64, contexts.properties(), dictionary(n), None)?;
            // Not only the bytes must be there: the decoder must end as an encoder does.
            reader.set_relaxed_end_condition(false);
            let mut plain = vec![0; n];
            reader.read_exact(&mut plain)?;
            let is_over = reader.read(&mut [0])? == 0;
            let (unread, held) = reader.into_parts();
            Ok((is_over && unread.is_empty() && held.is_empty()).then_some(plain))
        };
        match decode() {
            Ok(Some(plain)) => Codes::from_le_bytes(layout, plain),
            Ok(None) => Err(Error::corrupt("EB-C02", "bytes do not end with the lzma stream")),
            Err(e) => {
                let _: std::io::Error = e;
                Err(Error::corrupt("EB-C02", "lzma stream is damaged, too long or too short"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Words;

    #[test]
    fn only_one_stream_of_the_right_length_is_read() {
        let codes = Codes::plain(vec![1000], Words::U8((0..1000u32).map(|i| (i * i / 7) as u8).collect()));
        let params = Lzma::params(LzmaContexts::TEXT, 6);
        let stream = Lzma.encode(&codes, &params).expect("compressing memory");
        let decoded = |bytes: &[u8], n: u64| Lzma.decode(bytes, &Layout::new(1, &[n]).expect("a small layout"), &params);
        assert_eq!(decoded(&stream, 1000).expect("a valid stream"), codes);
        for (bytes, n) in [
            (stream.clone(), 999),
            (stream.clone(), 1001),
            (stream.clone(), 0),
            ([&stream[..], &[0]].concat(), 1000),
            (stream[..stream.len() - 1].to_vec(), 1000),
            (Vec::new(), 0),
        ] {
            assert_eq!(decoded(&bytes, n).expect_err("not one stream of n bytes").rule, Some("EB-C02"));
        }
    }

    #[test]
    fn contexts_that_not_every_decoder_knows_are_refused() {
        let known = (0..=255).filter(|&properties| parse(&[properties, 6]).is_ok());
        // Pairs of up to four bits together, by five numbers of position bits.
        assert_eq!(known.count(), 15 * 5);
        assert!(parse(&[93]).is_err());
    }
}
