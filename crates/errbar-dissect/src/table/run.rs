//! Lines that look alike.

use errbar_format::record::{Cell, Pad, Print};

use super::Lines;
use super::cells::{Delimiter, cells};
use super::column::{Column, Next, is_number};
use crate::Array;

/// Cells of a line, at most, and fields that are made of them.
const MAX_CELLS: usize = 1 << 16;
const MAX_FIELDS: usize = 1024;
/// Columns side by side that are printed alike make one field if they are so many; integers always do
/// where no line names them.
const MATRIX: usize = 8;

/// Spaces between two cells, as all lines so far may have made them.
#[derive(Clone, Copy, Debug)]
struct Gap {
    /// Always so many.
    constant: Option<usize>,
    /// They fill the cell behind them up to this width.
    before: Option<usize>,
    /// They fill the cell before them.
    behind: Option<usize>,
    /// They fill both of them, together up to this width.
    both: Option<usize>,
    /// The longest text before them, and behind.
    longest: [usize; 2],
}

impl Gap {
    fn and(self, other: Gap) -> Gap {
        let same = |a: Option<usize>, b: Option<usize>| a.filter(|_| a == b);
        Gap {
            constant: same(self.constant, other.constant),
            before: same(self.before, other.before),
            behind: same(self.behind, other.behind),
            both: same(self.both, other.both),
            longest: [0, 1].map(|side| self.longest[side].max(other.longest[side])),
        }
    }

    fn is_possible(self) -> bool {
        self.constant.is_some() || self.before.is_some() || self.behind.is_some() || self.parted().is_some()
    }

    /// The widths of the cells on both sides, if spaces fill both.
    fn parted(self) -> Option<(usize, usize)> {
        let [before, behind] = self.longest;
        self.both.filter(|both| before + behind <= *both).map(|both| (before, both - before))
    }
}

/// The gaps of a line, one before each cell and one behind the last.
fn gaps(line: &[u8], delimiter: Delimiter) -> Vec<Gap> {
    let mut found = cells(line, delimiter);
    let (mut gaps, mut last) = (Vec::new(), None);
    let is_spaces = delimiter == Delimiter::Spaces;
    for cell in found.by_ref() {
        let behind = last.filter(|_| is_spaces).map(|len: usize| len + cell.gap);
        let len = cell.text.len();
        let longest = [last.unwrap_or(0), len];
        gaps.push(Gap { constant: Some(cell.gap), before: Some(cell.gap + len), behind, both: behind.map(|n| n + len), longest });
        last = Some(len);
    }
    let rest = found.rest();
    let behind = last.filter(|_| is_spaces).map(|len| len + rest);
    gaps.push(Gap { constant: Some(rest), before: None, behind, both: None, longest: [0; 2] });
    gaps
}

/// A run of lines.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) bytes: u64,
    rows: u64,
    delimiter: Option<Delimiter>,
    end: Vec<u8>,
    gaps: Vec<Gap>,
    columns: Vec<Column>,
}

/// What ends a line.
fn end(line: &[u8]) -> &[u8] {
    let n = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
    &line[line.len() - n..]
}

impl Run {
    /// Adds a line that begins at `at`. Gives whether it is one of these.
    pub(super) fn take(&mut self, at: u64, line: &[u8]) -> bool {
        let ending = end(line);
        let text = &line[..line.len() - ending.len()];
        let taken = match self.delimiter {
            None => self.begin(at, text, ending),
            Some(delimiter) => ending == self.end && self.add(text, delimiter),
        };
        self.rows += u64::from(taken);
        self.bytes += if taken { line.len() as u64 } else { 0 };
        taken
    }

    fn begin(&mut self, at: u64, text: &[u8], ending: &[u8]) -> bool {
        let delimiter = Delimiter::of(text);
        let n = cells(text, delimiter).take(MAX_CELLS + 1).count();
        if ending.is_empty() || n == 0 || n > MAX_CELLS {
            return false;
        }
        self.columns = cells(text, delimiter).map(|cell| Column::new(cell.text)).collect();
        (self.start, self.delimiter, self.end) = (at, Some(delimiter), ending.to_vec());
        self.gaps = gaps(text, delimiter);
        true
    }

    fn add(&mut self, text: &[u8], delimiter: Delimiter) -> bool {
        let mut next: Vec<(usize, Next)> = Vec::new();
        let (mut n, mut found) = (0, cells(text, delimiter));
        for cell in found.by_ref() {
            let Some(column) = self.columns.get(n) else { return false };
            // The first line was the names of what follows.
            let is_header = self.rows == 1 && column.is_text() && is_number(cell.text);
            match column.with(cell.text, self.rows) {
                Some(_) if is_header => return false,
                None => return false,
                Some(Next::Same) => {}
                Some(other) => next.push((n, other)),
            }
            n += 1;
        }
        if n != self.columns.len() {
            return false;
        }
        let gaps: Vec<Gap> = self.gaps.iter().zip(gaps(text, delimiter)).map(|(gap, other)| gap.and(other)).collect();
        if !gaps.iter().all(|gap| gap.is_possible()) {
            return false;
        }
        self.gaps = gaps;
        let texts: Vec<&[u8]> = if next.is_empty() { Vec::new() } else { cells(text, delimiter).map(|cell| cell.text).collect() };
        for (at, next) in next {
            self.columns[at].become_next(next, texts[at]);
        }
        true
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The fields of all lines, named by the line before them, and how they are printed; nothing where
    /// spaces are on both sides of a cell, or all cells are texts.
    pub(super) fn finish(self, header: &[u8]) -> Option<(Vec<Array>, Lines)> {
        let delimiter = self.delimiter?;
        let prints: Vec<_> = self.columns.iter().map(Column::print).collect::<Option<_>>()?;
        if prints.iter().all(|(_, print)| matches!(print, Print::Text(_))) {
            return None;
        }
        let names = names(header, delimiter, prints.len());
        let mut pads = vec![Pad::None; prints.len()];
        let mut spaces = Vec::new();
        for (at, gap) in self.gaps.iter().enumerate() {
            let width = |width: usize| u16::try_from(width).ok();
            let mut pad = |pad, cell: usize| (std::mem::replace(&mut pads[cell], pad) == Pad::None).then_some(0);
            spaces.push(match *gap {
                Gap { constant: Some(n), .. } => n,
                Gap { before: Some(n), .. } => pad(Pad::Before(width(n)?), at)?,
                Gap { behind: Some(n), .. } => pad(Pad::Behind(width(n)?), at - 1)?,
                _ => {
                    let (behind, before) = gap.parted()?;
                    pad(Pad::Behind(width(behind)?), at - 1)?;
                    pad(Pad::Before(width(before)?), at)?
                }
            });
        }
        let (mut arrays, mut lines) = (Vec::new(), Lines { cells: Vec::new(), end: Vec::new(), delimiter, elements: Vec::new() });
        let literal = |at: usize| {
            let mut literal = if at > 0
                && let Delimiter::Byte(byte) = delimiter
            {
                vec![byte]
            } else {
                Vec::new()
            };
            literal.resize(literal.len() + spaces[at], b' ');
            literal
        };
        let mut at = 0;
        while at < prints.len() {
            let (dtype, print) = &prints[at];
            let alike = |other: &usize| {
                prints[*other] == prints[at] && pads[*other] == pads[at] && (*other == at + 1 || literal(*other) == literal(at + 1))
            };
            let mut n = 1 + (at + 1..prints.len()).take_while(alike).count();
            let is_matrix = n >= MATRIX || (names.is_none() && *print == Print::Integer);
            if !is_matrix || matches!(print, Print::Text(_)) {
                n = 1;
            }
            let name = names.as_ref().map_or_else(|| format!("column{}", at + 1), |names| names[at].clone());
            let shape = [self.rows].into_iter().chain((n > 1).then_some(n as u64)).collect();
            arrays.push(Array::new(name, *dtype, false, shape).auxiliary());
            let between = if n > 1 { literal(at + 1) } else { Vec::new() };
            lines.cells.push(Cell { before: literal(at), between, print: print.clone(), pad: pads[at] });
            lines.elements.push((n, *dtype));
            at += n;
        }
        lines.end = vec![b' '; spaces[prints.len()]];
        lines.end.extend(&self.end);
        (arrays.len() <= MAX_FIELDS).then_some((arrays, lines))
    }
}

/// The names of `n` columns, if the line has as many texts that are no numbers.
fn names(header: &[u8], delimiter: Delimiter, n: usize) -> Option<Vec<String>> {
    let text = &header[..header.len() - end(header).len()];
    let text = text.strip_prefix(b"#").unwrap_or(text);
    let name = |text: &[u8]| {
        let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
        let name = std::str::from_utf8(text).ok()?.trim();
        (!name.is_empty() && name.len() < 200 && !is_number(text)).then(|| name.to_owned())
    };
    let names: Vec<String> = cells(text, delimiter).map(|cell| name(cell.text)).collect::<Option<_>>()?;
    (names.len() == n).then_some(names)
}
