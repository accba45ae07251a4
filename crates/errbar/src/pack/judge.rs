//! Whether undoing a stream is worth it, told from some of its content.

use errbar_codec::Values;
use errbar_codec::deflate::Deflater;
use errbar_codec::scanlines::Scanlines;
use errbar_dissect::{Array, Holds, Layout, Place, Wrapper};
use errbar_format::Result;

use super::Packer;
use super::chunks::{SAMPLE, WORTH};
use super::file::variable;
use super::load::SMALL_FILE;
use super::spool::{Spool, failed};
use super::stream::{Inflated, USUAL};
use crate::planner::{encode_best, encode_bytes};
use crate::policy::Mode;
use crate::probe;

/// Bytes of the records of an array's variables and blocks, about.
const RECORDED: usize = 512;

/// Bytes to which most programs deflate these.
fn deflated(bytes: &[u8]) -> Result<usize> {
    let (mut deflater, mut stored) = (Deflater::new(USUAL)?, Vec::new());
    deflater.write(bytes, &mut stored)?;
    deflater.finish(&mut stored)?;
    Ok(stored.len())
}

/// A stream of which is to be told whether undoing it is worth it.
pub(super) struct Judge<'a> {
    pub(super) packer: &'a Packer,
    pub(super) spool: &'a Spool,
    pub(super) stream: &'a Inflated,
    pub(super) mode: Mode,
}

impl Judge<'_> {
    /// Whether it is worth it in this mode: in balanced, whether coding the content, told from some of it,
    /// saves enough of the stream.
    pub(super) fn is_worth_it(&self, inner: &Layout) -> Result<bool> {
        // Numbers as text are of no use to anybody.
        if !self.stream.wrapper.is_compressed() {
            return Ok(!inner.arrays.is_empty());
        }
        if self.mode == Mode::Fast {
            return Ok(false);
        }
        // One array, of which even small ones tell.
        let array = match &inner.places[..] {
            [Place { holds: Holds::Scanlines(fields), .. }] => Some(self.sample_of_image(&inner.arrays[fields.end - 1])),
            [place @ Place { holds: Holds::Array(array), .. }] if matches!(*self.stream.wrapper, Wrapper::Zlib { .. }) => {
                Some(self.sample_of_array(inner, place, *array))
            }
            _ => None,
        };
        if let Some(sample) = array {
            let (stored, coded) = sample?;
            let least = if self.mode == Mode::Small { 0.0 } else { WORTH };
            return Ok(((coded + RECORDED) as f64) < (1.0 - least) * stored as f64);
        }
        if self.mode == Mode::Small {
            return Ok(true);
        }
        // Columns of text gain more than any text does.
        if self.stream.plain <= SMALL_FILE || inner.places.iter().any(|place| matches!(place.holds, Holds::Lines(..))) {
            return Ok(true);
        }
        let whole = inner.places.iter().filter_map(|place| match place.holds {
            Holds::Array(array) => Some((place, array)),
            _ => None,
        });
        let largest = whole.max_by_key(|(place, _)| place.length).filter(|(place, _)| place.length >= self.stream.plain / 2);
        let (stored, coded) = match largest {
            Some((place, array)) => self.sample_of_array(inner, place, array)?,
            None => self.sample_of_bytes()?,
        };
        Ok((coded as f64) < (1.0 - WORTH) * stored as f64)
    }

    /// Bytes of a part of the content: as they are stored, or deflated as most programs do it, and coded by `code`.
    fn sample(&self, at: u64, len: u64, code: impl FnOnce(Vec<u8>) -> Result<usize>) -> Result<(usize, usize)> {
        let mut bytes = vec![0; len as usize];
        self.spool.read(&mut bytes, self.stream.at + at).map_err(failed)?;
        let stored = if len == self.stream.plain { self.stream.stored() } else { deflated(&bytes)? };
        Ok((stored, code(bytes)?))
    }

    /// Bytes of scanlines from the middle of an image: deflated, and their pixels coded. Those above have
    /// to be gone through, because rows are predicted from the ones before them.
    fn sample_of_image(&self, image: &Array) -> Result<(usize, usize)> {
        let mut scanlines = Scanlines::of(&image.shape, image.dtype.size());
        let line = scanlines.line() as u64;
        let rows = (SAMPLE / line).clamp(1, image.shape[0]);
        let first = (image.shape[0] - rows) / 2;
        let mut read = |row: u64, rows: u64| -> Result<(Vec<u8>, Vec<u8>)> {
            let mut lines = vec![0; (rows * line) as usize];
            self.spool.read(&mut lines, self.stream.at + row * line).map_err(failed)?;
            let (_, pixels) = scanlines.undo(&lines)?;
            Ok((lines, pixels))
        };
        for row in (0..first).step_by(rows as usize) {
            read(row, rows.min(first - row))?;
        }
        let (lines, pixels) = read(first, rows)?;
        let stored = if rows == image.shape[0] { self.stream.stored() } else { deflated(&lines)? };
        let shape: Vec<u64> = [rows].into_iter().chain(image.shape[1..].iter().copied()).collect();
        let values = Values::from_bytes(image.dtype, image.big_endian, &shape, pixels)?;
        let (encoded, _) = encode_best(&self.packer.registry, &*self.packer.planner, &values, None, self.mode, None)?;
        Ok((stored, encoded.payload.len()))
    }

    fn sample_of_array(&self, inner: &Layout, place: &Place, array: usize) -> Result<(usize, usize)> {
        let variable = variable(&inner.arrays[array], self.mode);
        let item = variable.dtype.size() as u64;
        let (origin, mut shape) = variable.block_box(variable.n_blocks().unwrap_or(0) / 2);
        for axis in 0..shape.len() {
            let bytes = shape.iter().product::<u64>() * item;
            shape[axis] = shape[axis].min((shape[axis].saturating_mul(SAMPLE) / bytes.max(1)).max(1));
        }
        // Blocks of an array in one piece are runs of it, and so is what begins where one does.
        let first = origin.iter().zip(&variable.shape).fold(0, |at, (i, n)| at * n + i) * item;
        self.sample(place.offset + first, shape.iter().product::<u64>() * item, |bytes| {
            let values = Values::from_bytes(variable.dtype, variable.big_endian, &shape, bytes)?;
            let (encoded, _) = encode_best(&self.packer.registry, &*self.packer.planner, &values, None, self.mode, None)?;
            Ok(encoded.payload.len())
        })
    }

    fn sample_of_bytes(&self) -> Result<(usize, usize)> {
        let len = self.stream.plain.min(SAMPLE);
        self.sample((self.stream.plain - len) / 2, len, |bytes| {
            let (mut coded, mut at) = (0, 0);
            for part in probe::parts(&bytes) {
                let part_bytes = bytes[at..at + part.len].to_vec();
                at += part.len;
                let (encoded, _) =
                    encode_bytes(&self.packer.registry, &*self.packer.planner, part_bytes, part.numbers.as_ref(), self.mode)?;
                coded += encoded.payload.len();
            }
            Ok(coded)
        })
    }
}
