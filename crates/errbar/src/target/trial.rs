//! What a limit comes to: all of a variable, or boxes of it, coded as they would be for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use errbar_codec::codes::Word;
use errbar_codec::float::Float;
use errbar_codec::{Registry, Tolerance, Values, with_words};
use errbar_dissect::ReadAt;
use errbar_format::record::{BlockPlace, Receipt, Variable};
use errbar_format::{Error, Kind, Result};

use crate::pack::{Fate, Job, block_len, code, unreadable};
use crate::parallel::{Lane, Pool};
use crate::planner::{Planner, encode_best, sample};
use crate::policy::Mode;

/// Words of a box; variables of fewer than so many are not sampled.
const BOX_WORDS: usize = 1 << 14;
const LEAST_WORDS: u64 = 1 << 18;
/// Words of the variable for each box, and boxes at most.
const WORDS_A_BOX: u64 = 1 << 18;
const BOXES: (u64, u64) = (4, 16);

/// How much there is to code.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Size {
    pub(super) words: u64,
    pub(super) bytes: u64,
}

/// What coding came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) size: Size,
    /// Words that are numbers and not missing.
    numbers: u64,
    /// Sum of the squared errors.
    squares: f64,
    /// Bytes of block frames; of boxes, of their payloads.
    pub(super) coded_bytes: u64,
}

impl Outcome {
    fn new(size: Size, numbers: u64) -> Outcome {
        Outcome { size, numbers, squares: 0.0, coded_bytes: 0 }
    }

    fn add(&mut self, receipt: Option<&Receipt>, coded_bytes: u64) {
        self.squares += receipt.map_or(0.0, |r| r.rms_error * r.rms_error * r.finite as f64);
        self.coded_bytes += coded_bytes;
    }

    /// Root mean square of the errors of the numbers.
    pub(super) fn rms(&self) -> f64 {
        if self.numbers == 0 { 0.0 } else { (self.squares / self.numbers as f64).sqrt() }
    }

    /// Bytes before coding over those after.
    pub(super) fn ratio(&self) -> f64 {
        self.size.bytes as f64 / self.coded_bytes.max(1) as f64
    }
}

/// A variable in its file, and all that decides how it is coded.
#[derive(Clone, Copy)]
pub(crate) struct Trials<'a> {
    pub(crate) file: &'a dyn ReadAt,
    /// Where the elements begin in it, block behind block.
    pub(crate) at: u64,
    pub(crate) variable: &'a Variable,
    /// Path of the entry, as records of blocks name it.
    pub(crate) path: &'a [u8],
    pub(crate) mode: Mode,
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) planner: &'a Arc<dyn Planner>,
    pub(crate) pool: &'a Pool,
    pub(crate) cancel: &'a AtomicBool,
}

impl Trials<'_> {
    /// How large the variable is.
    pub(super) fn size(&self) -> Size {
        let bytes = self.variable.bytes().unwrap_or(0);
        Size { words: bytes / self.variable.dtype.word() as u64, bytes }
    }

    fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Io, "interrupted"));
        }
        let mut bytes = vec![0; len as usize];
        self.file.read_at(&mut bytes, self.at + offset).map_err(unreadable)?;
        Ok(bytes)
    }

    /// Codes the whole variable, block by block, and keeps nothing of it.
    ///
    /// # Errors
    /// As reading and coding.
    pub(super) fn whole(&self, tolerance: Option<&Tolerance>, numbers: u64) -> Result<Outcome> {
        let variable = self.variable;
        let tolerance = tolerance.cloned().map(Arc::new);
        let mut outcome = Outcome::new(self.size(), numbers);
        let mut lane = Lane::on(self.pool);
        let mut offset = 0;
        let (n_blocks, mut precedent) = (variable.n_blocks().unwrap_or(0), None);
        for k in 0..n_blocks {
            let (origin, shape) = variable.block_box(k);
            let len = block_len(variable, k);
            let mut job = Job {
                place: BlockPlace::Box { path: self.path.to_vec(), variable: variable.name.clone(), origin },
                dtype: variable.dtype,
                big_endian: variable.big_endian,
                shape,
                bytes: self.read(offset, len)?,
                tolerance: tolerance.clone(),
                mode: self.mode,
                variable: None,
                fate: Fate::Dropped,
                numbers: None,
                precedent: None,
            };
            job.follow(self.registry, &**self.planner, &mut precedent, k, n_blocks);
            offset += len;
            let (registry, planner) = (Arc::clone(self.registry), Arc::clone(self.planner));
            let trial = move || -> Result<_> {
                let coded = code(&registry, &*planner, k, job)?;
                let frame_len = coded.frame_len()?;
                Ok((coded.block.receipt, frame_len))
            };
            if let Some(coded) = lane.submit(trial)? {
                let (receipt, frame_len) = coded?;
                outcome.add(receipt.as_ref(), frame_len);
            }
        }
        while let Some(coded) = lane.next()? {
            let (receipt, frame_len) = coded?;
            outcome.add(receipt.as_ref(), frame_len);
        }
        Ok(outcome)
    }

    /// Boxes from all over a large variable.
    ///
    /// # Errors
    /// As reading.
    pub(super) fn boxes(&self, tolerance: &Tolerance) -> Result<Option<Boxes>> {
        let variable = self.variable;
        let n_blocks = variable.n_blocks().unwrap_or(0);
        let words = self.size().words;
        if words < LEAST_WORDS || n_blocks == 0 {
            return Ok(None);
        }
        let wanted = (words / WORDS_A_BOX).clamp(BOXES.0, BOXES.1);
        let n = wanted.min(n_blocks);
        let mut boxes = Boxes { values: Vec::new(), numbers: 0, mode: self.mode };
        let mut blocks = 0..;
        let mut offset = 0;
        for i in 0..n {
            let k = (2 * i + 1) * n_blocks / (2 * n);
            offset += blocks.by_ref().take_while(|before| *before < k).map(|before| block_len(variable, before)).sum::<u64>();
            let (len, shape) = (block_len(variable, k), variable.block_box(k).1);
            let bytes = self.read(offset, len)?;
            offset += len;
            let values = Values::from_bytes(variable.dtype, variable.big_endian, &shape, bytes)?;
            boxes.values.extend(sample::boxes(&values, tolerance, BOX_WORDS, wanted.div_ceil(n) as usize));
        }
        let float = Float::of(variable.dtype)?;
        let is_number = |bits: u64| float.is_finite(bits) && !tolerance.is_fill(bits);
        for values in &boxes.values {
            boxes.numbers += with_words!(&values.bits.words, v => v.iter().filter(|word| is_number(word.to_u64())).count()) as u64;
        }
        Ok(Some(boxes))
    }

    /// Codes boxes of the variable.
    ///
    /// # Errors
    /// As coding.
    pub(super) fn code(&self, boxes: &Boxes, tolerance: Option<&Tolerance>) -> Result<Outcome> {
        let mut outcome = Outcome::new(boxes.size(), boxes.numbers);
        for values in &boxes.values {
            let (encoded, _) = encode_best(self.registry, &**self.planner, values, tolerance, boxes.mode, None)?;
            outcome.add(encoded.receipt.as_ref(), encoded.payload.len() as u64);
        }
        Ok(outcome)
    }
}

/// Parts of a variable that stand for all of it.
pub(super) struct Boxes {
    values: Vec<Values>,
    numbers: u64,
    mode: Mode,
}

impl Boxes {
    /// How large they are together.
    pub(super) fn size(&self) -> Size {
        self.values.iter().fold(Size::default(), |size, values| Size {
            words: size.words + values.bits.words.len() as u64,
            bytes: size.bytes + values.bits.layout().bytes() as u64,
        })
    }
}
