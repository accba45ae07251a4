//! Lines of text, whose fields are arrays.

use std::collections::HashSet;
use std::io::Write;
use std::ops::Range;

use errbar_codec::Values;
use errbar_dissect::{Array, Holds, Layout, Lines, Place, ReadAt, for_each_line};
use errbar_format::Result;
use errbar_format::record::Segment;

use super::Packer;
use super::file::AtWork;
use super::load::changed;
use super::plan::ArrayPlan;
use crate::planner::{encode_best, encode_bytes};
use crate::policy::Mode;

/// Bytes of text that are read at once.
const TEXT: u64 = 1 << 20;
/// Bytes of lines from which it is told whether their columns take less than their text: so many, and
/// more where there are many columns.
const SAMPLE: u64 = 512 << 10;
const SAMPLE_OF_COLUMN: u64 = 4 << 10;

/// Takes the lines out of a layout that take less room as text: those that repeat others far before them,
/// which columns do not show.
///
/// # Errors
/// As reading the file, and as coding.
pub(super) fn weigh(packer: &Packer, file: &dyn ReadAt, layout: &mut Layout, path: &[u8]) -> Result<()> {
    let mode = packer.policy.choice(path, "").mode.unwrap_or(packer.mode);
    if mode == Mode::Fast {
        return Ok(());
    }
    let (mut repeating, mut sample) = (HashSet::new(), Sample::default());
    for Place { offset, length, holds } in &layout.places {
        let Holds::Lines(fields, lines) = holds else { continue };
        let len = SAMPLE.max(SAMPLE_OF_COLUMN * fields.len() as u64).min(*length);
        sample.take(packer, file, (*offset, len), (lines, &layout.arrays[fields.clone()]), mode)?;
        sample.fields.extend(fields.clone());
        // Short runs one behind another may repeat each other.
        if sample.text.len() as u64 >= SAMPLE {
            repeating.extend(std::mem::take(&mut sample).repeating(packer, mode)?);
        }
    }
    repeating.extend(sample.repeating(packer, mode)?);
    if !repeating.is_empty() {
        layout.remove(&repeating);
    }
    Ok(())
}

/// Lines of some runs.
#[derive(Default)]
struct Sample {
    fields: Vec<usize>,
    text: Vec<u8>,
    /// Bytes that their columns take.
    in_columns: usize,
}

impl Sample {
    /// Adds the first lines at a place.
    fn take(
        &mut self,
        packer: &Packer,
        file: &dyn ReadAt,
        (offset, len): (u64, u64),
        (lines, arrays): (&Lines, &[Array]),
        mode: Mode,
    ) -> Result<()> {
        let (reader, mut columns, mut rows) = (lines.reader(), vec![Vec::new(); arrays.len()], 0);
        for_each_line(file, offset, offset + len, &mut |_, line| {
            let is_whole = line.ends_with(&lines.end) && reader.read(line, &mut columns);
            if is_whole {
                self.text.extend_from_slice(line);
                rows += 1;
            }
            Ok(is_whole)
        })?;
        for (array, column) in arrays.iter().zip(columns) {
            let shape: Vec<u64> = [rows].into_iter().chain(array.shape[1..].iter().copied()).collect();
            // Lines that changed meanwhile are found out when they are packed.
            let Ok(values) = Values::from_bytes(array.dtype, array.big_endian, &shape, column) else { continue };
            self.in_columns += encode_best(&packer.registry, &*packer.planner, &values, None, mode, None)?.0.payload.len();
        }
        Ok(())
    }

    /// Its fields, if its text takes less than they do.
    fn repeating(self, packer: &Packer, mode: Mode) -> Result<Vec<usize>> {
        if self.text.is_empty() {
            return Ok(Vec::new());
        }
        let as_text = encode_bytes(&packer.registry, &*packer.planner, self.text, None, mode)?.0.payload.len();
        Ok(if as_text < self.in_columns { self.fields } else { Vec::new() })
    }
}

impl<W: Write> AtWork<'_, '_, W> {
    /// Lines of text, `length` bytes of them, some at a time, the blocks of their fields in turn.
    pub(super) fn lines(&mut self, fields: Range<usize>, lines: &Lines, length: u64, plans: &[ArrayPlan]) -> Result<()> {
        let (cells, end) = (lines.cells.clone(), lines.end.clone());
        self.body.segments.push(Segment::Lines { first: fields.start as u32, length, cells, end });
        let rows = self.begin_rows(fields.clone());
        let (stop, reader) = (self.at + length, lines.reader());
        let (mut read, mut held) = (0, Vec::new());
        let mut precedents = vec![None; fields.len()];
        for (k, &n) in (0..).zip(&rows) {
            let mut columns = vec![Vec::new(); fields.len()];
            let mut missing = n;
            while missing > 0 {
                let Some(at) = held[read..].iter().position(|&byte| byte == b'\n') else {
                    held.drain(..std::mem::take(&mut read));
                    let Some(more) = self.read(TEXT.min(stop - self.at)) else { return Ok(()) };
                    held.extend(&more);
                    if more.is_empty() {
                        self.changed();
                        return Ok(());
                    }
                    self.exact(&more);
                    continue;
                };
                if !reader.read(&held[read..=read + at], &mut columns) {
                    self.changed();
                    return Ok(());
                }
                (read, missing) = (read + at + 1, missing - 1);
            }
            self.row(fields.clone(), (k, rows.len()), columns, plans, &mut precedents)?;
        }
        if (self.at, read) != (stop, held.len()) {
            self.changed();
        }
        Ok(())
    }

    /// The file is not what it was when it was looked at.
    pub(super) fn changed(&mut self) {
        self.problem.get_or_insert(changed().at(self.at));
    }
}
