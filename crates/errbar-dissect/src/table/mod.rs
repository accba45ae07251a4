//! Tables in text: lines of numbers and words that all look alike.

mod cells;
mod column;
mod run;

use std::collections::HashMap;

use errbar_format::record::{Cell, Print};
use errbar_format::{DType, Result};

use self::cells::Split;
use self::run::Run;
use crate::{Dissector, Holds, Layout, Place, ReadAt, not_this};

/// Tables in text (`spec/formats/table.md`).
#[derive(Clone, Copy, Debug)]
pub struct Table;

/// Bytes of a file that are no table, after which none is looked for.
const PATIENCE: u64 = 1 << 20;
/// Bytes that are read at once; lines are at most as long.
const WINDOW: usize = 1 << 20;
/// Bytes of text for each variable that make a table worth more than its text: a variable has a
/// record, and most often a block.
const WORTH: u64 = 8 << 10;
/// Arrays of a file, at most: they all stand in its one entry.
const MAX_ARRAYS: usize = 4096;

/// Lines of text as rows of fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// What stands for each field.
    pub cells: Vec<Cell>,
    /// What ends a line.
    pub end: Vec<u8>,
    split: Split,
    /// Elements that each field has in a line, and their type.
    elements: Vec<(usize, DType)>,
}

/// Reads the elements of lines.
#[derive(Debug)]
pub struct LineReader<'a> {
    lines: &'a Lines,
    /// The numbers of the texts of each field.
    texts: Vec<HashMap<&'a [u8], u64>>,
}

impl Lines {
    /// For reading them.
    pub fn reader(&self) -> LineReader<'_> {
        fn texts(cell: &Cell) -> HashMap<&[u8], u64> {
            match &cell.print {
                Print::Text(list) => list.iter().map(Vec::as_slice).zip(0..).collect(),
                _ => HashMap::new(),
            }
        }
        LineReader { lines: self, texts: self.cells.iter().map(texts).collect() }
    }
}

impl LineReader<'_> {
    /// Appends the elements of a line, in little-endian order, to those of each field. Gives whether the
    /// line is one of these.
    pub fn read(&self, line: &[u8], fields: &mut [Vec<u8>]) -> bool {
        let ending = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
        let Some((found, _)) = self.lines.split.line(&line[..line.len() - ending]) else { return false };
        let mut found = found.iter();
        let each = self.lines.cells.iter().zip(&self.lines.elements).zip(&self.texts).zip(fields);
        for (((cell, &(n, dtype)), texts), field) in each {
            for _ in 0..n {
                let Some(bits) = found.next().and_then(|found| column::bits(found.text, &cell.print, texts)) else { return false };
                field.extend_from_slice(&bits.to_le_bytes()[..dtype.size()]);
            }
        }
        found.next().is_none()
    }
}

/// Gives the lines of a file between two places with where each begins, until `each` says that it is
/// enough.
///
/// # Errors
/// As reading the file and as `each`; a line of more than 1 MiB.
pub fn for_each_line(file: &dyn ReadAt, from: u64, to: u64, each: &mut dyn FnMut(u64, &[u8]) -> Result<bool>) -> Result<()> {
    let (mut at, mut held) = (from, Vec::new());
    while at < to {
        let (kept, more) = (held.len(), (to - at).min((WINDOW - held.len()) as u64) as usize);
        if more == 0 {
            return Err(not_this("a line of text is too long"));
        }
        held.resize(kept + more, 0);
        file.read_at(&mut held[kept..], at).map_err(|e| errbar_format::Error::io("cannot read text", e))?;
        let first = at - kept as u64;
        at += more as u64;
        let mut start = 0;
        for line in held.split_inclusive(|&byte| byte == b'\n') {
            if line.last() != Some(&b'\n') && at < to {
                break;
            }
            if !each(first + start as u64, line)? {
                return Ok(());
            }
            start += line.len();
        }
        held.drain(..start);
    }
    Ok(())
}

impl Dissector for Table {
    fn name(&self) -> &'static str {
        "table"
    }

    fn probe(&self, head: &[u8]) -> bool {
        let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7E | 0x80..);
        !head.is_empty() && head.iter().all(is_text)
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        if file.size() < WORTH {
            return Err(not_this("less text than a table is worth"));
        }
        let mut layout = Layout::default();
        let (mut run, mut header, mut last, mut covered) = (Run::default(), Vec::new(), Vec::new(), 0);
        for_each_line(file, 0, file.size(), &mut |at, line| {
            if !run.take(at, line) {
                covered = covered.max(add(file, &mut layout, std::mem::take(&mut run), &header)?);
                header.clone_from(&last);
                run.take(at, line);
            }
            last.clear();
            last.extend_from_slice(line);
            Ok(run.rows() > 1 || at < covered + PATIENCE)
        })?;
        add(file, &mut layout, run, &header)?;
        match layout.arrays.is_empty() {
            true => Err(not_this("no lines that look alike")),
            false => Ok(layout),
        }
    }
}

/// Adds a run of lines to the layout if it is worth it and comes back. Gives where it ends, else 0.
fn add(file: &dyn ReadAt, layout: &mut Layout, run: Run, header: &[u8]) -> Result<u64> {
    let (offset, length) = (run.start, run.bytes);
    if length < WORTH {
        return Ok(0);
    }
    let Some((arrays, lines)) = run.finish(header) else { return Ok(0) };
    let has_room = layout.arrays.len() + arrays.len() <= MAX_ARRAYS;
    if !has_room || length / (arrays.len() as u64) < WORTH || !comes_back(file, offset, length, &lines)? {
        return Ok(0);
    }
    let first = layout.arrays.len();
    layout.places.push(Place { offset, length, holds: Holds::Lines(first..first + arrays.len(), lines.into()) });
    layout.arrays.extend(arrays);
    Ok(offset + length)
}

/// Whether the lines are what their elements are printed as.
fn comes_back(file: &dyn ReadAt, offset: u64, length: u64, lines: &Lines) -> Result<bool> {
    let reader = lines.reader();
    let (mut fields, mut printed, mut same) = (vec![Vec::new(); lines.cells.len()], Vec::new(), true);
    for_each_line(file, offset, offset + length, &mut |_, line| {
        fields.iter_mut().for_each(Vec::clear);
        printed.clear();
        same = reader.read(line, &mut fields);
        for ((cell, &(_, dtype)), row) in lines.cells.iter().zip(&lines.elements).zip(&fields) {
            same = same && cell.print(dtype, false, row, &mut printed).is_ok();
        }
        printed.extend_from_slice(&lines.end);
        same = same && printed == line;
        Ok(same)
    })?;
    Ok(same)
}

#[cfg(test)]
mod tests;
