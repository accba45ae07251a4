//! Exact values: what stands behind the codes in a payload. Words that the codes leave out
//! altogether, such as missing values, are known before the codes are read; others are patched.

use std::sync::Arc;

use errbar_format::{Error, Result, zstd_frame};

use crate::binary::{Reader, Writer};
use crate::bytes::{take, take_length};
use crate::codes::Word;
use crate::{Codes, Layout, Words, mask, with_words};

const HAS_ABSENT: u8 = 1;
const HAS_PATCHES: u8 = 2;
const ARE_DIFFERENCES: u8 = 4;

/// Which words are exact.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exact {
    /// Words that the codes leave out, in the order of the values.
    pub(crate) absent: Option<Arc<[bool]>>,
    /// Positions, ascending, of words that stand in the place of what the codes give.
    pub(crate) patches: Vec<u32>,
}

/// What [`Exact::write`] makes of exact words.
#[derive(Clone, Debug)]
pub(crate) struct ExactBytes {
    /// Each empty if there are none.
    absent: Vec<u8>,
    patches: Vec<u8>,
    are_differences: bool,
}

impl ExactBytes {
    /// How many bytes there are, but for the flags.
    pub(crate) fn len(&self) -> usize {
        self.absent.len() + self.patches.len()
    }

    /// Those of absent words alone.
    pub(crate) fn without_patches(self) -> ExactBytes {
        ExactBytes { patches: Vec::new(), are_differences: false, ..self }
    }

    /// With patches: as they are or, if `given` is what else stands in their places, as differences, whatever takes
    /// less.
    pub(crate) fn with_patches(self, exact: &Exact, values: &Codes, given: Option<&Codes>) -> Result<ExactBytes> {
        let words = exact.write_patches(&values.words, None)?;
        let differences = given.map(|given| exact.write_patches(&values.words, Some(&given.words))).transpose()?;
        Ok(match differences.filter(|differences| differences.len() < words.len()) {
            Some(patches) => ExactBytes { patches, are_differences: true, ..self },
            None => ExactBytes { patches: words, are_differences: false, ..self },
        })
    }

    /// As they stand behind the codes.
    pub(crate) fn joined(&self) -> Vec<u8> {
        let flag = |set, flag| if set { flag } else { 0 };
        let kinds = flag(!self.absent.is_empty(), HAS_ABSENT) | flag(!self.patches.is_empty(), HAS_PATCHES);
        match kinds | flag(self.are_differences, ARE_DIFFERENCES) {
            0 => Vec::new(),
            flags => [&[flags], &self.absent[..], &self.patches].concat(),
        }
    }
}

/// Exact words as they were read.
pub(crate) struct ExactWords {
    exact: Exact,
    absent: Words,
    patches: Words,
    /// Whether patches are added to what the codes give.
    are_differences: bool,
}

fn too_short() -> Error {
    corrupt("too short")
}

fn corrupt(what: &str) -> Error {
    Error::corrupt("EB-C05", format!("exact values: {what}"))
}

impl Exact {
    /// How many words are exact.
    pub(crate) fn len(&self) -> u64 {
        let absent = self.absent.as_ref().map_or(0, |absent| absent.iter().filter(|absent| **absent).count());
        (absent + self.patches.len()) as u64
    }

    /// Adds positions.
    pub(crate) fn add_patches(&mut self, positions: &[u32]) {
        self.patches.extend_from_slice(positions);
        self.patches.sort_unstable();
        self.patches.dedup();
    }

    /// The bytes that keep these words of `values`, patches as they are.
    pub(crate) fn write(&self, values: &Codes) -> Result<ExactBytes> {
        let absent = self.absent.as_ref().filter(|absent| absent.contains(&true));
        let absent = absent.map(|absent| write_absent(absent, values)).transpose()?.unwrap_or_default();
        let patches = if self.patches.is_empty() { Vec::new() } else { self.write_patches(&values.words, None)? };
        Ok(ExactBytes { absent, patches, are_differences: false })
    }

    /// How many patches there are, where they stand, and their words or what these differ by from those given.
    fn write_patches(&self, values: &Words, given: Option<&Words>) -> Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(self.patches.len() * (4 + values.width()));
        let mut next = 0;
        for &position in &self.patches {
            plain.extend_from_slice(&(position - next).to_le_bytes());
            next = position + 1;
        }
        let places = || self.patches.iter().map(|&position| position as usize);
        with_words!(values, v => {
            let mut picked: Vec<_> = places().map(|place| v[place]).collect();
            if let Some(given) = given {
                let given = words_of(given);
                picked.iter_mut().zip(places()).for_each(|(word, place)| *word = word.wsub(given[place]).zigzag());
            }
            Word::put_le(&picked, &mut plain);
        });
        let frame = zstd_frame::compress(&plain, zstd_frame::LEVEL)?;
        Ok([&(self.patches.len() as u64).to_le_bytes()[..], &frame].concat())
    }

    /// What [`ExactBytes::joined`] gave of values of `layout` (EB-C05).
    pub(crate) fn read(mut bytes: &[u8], layout: &Layout) -> Result<ExactWords> {
        let none = || Words::from_le_bytes(layout.width, Vec::new());
        let mut read = ExactWords { exact: Exact::default(), absent: none(), patches: none(), are_differences: false };
        let Some((&flags, rest)) = bytes.split_first() else { return Ok(read) };
        let are_differences = flags & ARE_DIFFERENCES != 0;
        let is_known = flags & !(HAS_ABSENT | HAS_PATCHES | ARE_DIFFERENCES) == 0;
        if flags == 0 || !is_known || (are_differences && flags & HAS_PATCHES == 0) {
            return Err(corrupt("unknown flags"));
        }
        bytes = rest;
        if flags & HAS_ABSENT != 0 {
            (read.exact.absent, read.absent) = read_absent(&mut bytes, layout)?;
        }
        if flags & HAS_PATCHES != 0 {
            (read.exact.patches, read.patches) = read_patches(&mut bytes, layout)?;
            read.are_differences = are_differences;
        }
        match bytes {
            [] => Ok(read),
            _ => Err(corrupt("bytes behind them")),
        }
    }
}

/// The mask of absent words, and these.
fn write_absent(absent: &[bool], values: &Codes) -> Result<Vec<u8>> {
    let mut writer = Writer::default();
    mask::code(&mut writer, &values.dims, &mut absent.to_vec());
    let mask = writer.finish();
    let mut bytes = (mask.len() as u32).to_le_bytes().to_vec();
    bytes.extend(mask);
    with_words!(&values.words, v => {
        let words: Vec<_> = v.iter().zip(absent).filter(|(_, absent)| **absent).map(|(&word, _)| word).collect();
        // Missing values are usually one word: it is stored once.
        let all_same = words.windows(2).all(|pair| pair[0] == pair[1]);
        bytes.push(u8::from(all_same));
        let mut plain = Vec::new();
        Word::put_le(if all_same { &words[..1] } else { &words }, &mut plain);
        if all_same {
            bytes.extend(plain);
        } else {
            let frame = zstd_frame::compress(&plain, zstd_frame::LEVEL)?;
            bytes.extend((frame.len() as u32).to_le_bytes());
            bytes.extend(frame);
        }
    });
    Ok(bytes)
}

fn read_absent(bytes: &mut &[u8], layout: &Layout) -> Result<(Option<Arc<[bool]>>, Words)> {
    let length = take_length(bytes).ok_or_else(too_short)?;
    let mut absent = vec![false; layout.len()];
    mask::code(&mut Reader::new(take(bytes, length).ok_or_else(too_short)?), &layout.dims, &mut absent);
    let n = absent.iter().filter(|absent| **absent).count();
    if n == 0 {
        return Err(corrupt("nothing is absent"));
    }
    let words = match take(bytes, 1).ok_or_else(too_short)?[0] {
        0 => {
            let length = take_length(bytes).ok_or_else(too_short)?;
            Words::from_le_bytes(
                layout.width,
                zstd_frame::decompress(take(bytes, length).ok_or_else(too_short)?, n * layout.width, "EB-C05")?,
            )
        }
        1 => Words::from_le_bytes(layout.width, take(bytes, layout.width).ok_or_else(too_short)?),
        _ => return Err(corrupt("unknown form of absent words")),
    };
    Ok((Some(absent.into()), words))
}

fn read_patches(bytes: &mut &[u8], layout: &Layout) -> Result<(Vec<u32>, Words)> {
    let (count, frame) = bytes.split_first_chunk().ok_or_else(|| corrupt("too short"))?;
    let count = u64::from_le_bytes(*count);
    if count == 0 || count > layout.len() as u64 {
        return Err(corrupt("impossible count"));
    }
    let count = count as usize;
    let plain = zstd_frame::decompress(frame, count * (4 + layout.width), "EB-C05")?;
    *bytes = &[];
    let (gaps, words) = plain.split_at(count * 4);
    let mut next = 0u64;
    let mut positions = Vec::with_capacity(count);
    for gap in u32::get_le(gaps) {
        let position = next + u64::from(gap);
        if position >= layout.len() as u64 {
            return Err(corrupt("position outside the block"));
        }
        positions.push(position as u32);
        next = position + 1;
    }
    Ok((positions, Words::from_le_bytes(layout.width, words)))
}

/// Words of a width that is known.
fn words_of<W: Word>(words: &Words) -> Vec<W> {
    with_words!(words, v => v.iter().map(|word| W::from_u64(word.to_u64())).collect())
}

impl ExactWords {
    /// Words that the codes leave out.
    pub(crate) fn absent(&self) -> Option<&Arc<[bool]>> {
        self.exact.absent.as_ref()
    }

    /// Puts the words in their places.
    pub(crate) fn put(&self, words: &mut Words) {
        fn place<W: Word>(exact: &ExactWords, words: &mut [W]) {
            if let Some(absent) = &exact.exact.absent {
                let values = words_of(&exact.absent);
                let last = values.len() - 1;
                let places = words.iter_mut().zip(absent.iter()).filter(|(_, absent)| **absent);
                places.enumerate().for_each(|(i, (word, _))| *word = values[i.min(last)]);
            }
            for (&position, value) in exact.exact.patches.iter().zip(words_of::<W>(&exact.patches)) {
                let word = &mut words[position as usize];
                *word = if exact.are_differences { word.wadd(value.unzigzag()) } else { value };
            }
        }
        with_words!(words, v => place(self, v));
    }
}
