//! Lines that look alike.

use errbar_format::limits::MAX_INLINE;
use errbar_format::record::{Cell, Pad, Print};

use super::Lines;
use super::cells::{Delimiter, Found, Split};
use super::column::{Column, Next, is_number};
use crate::Array;

/// Cells of a line, at most, and fields that are made of them.
const MAX_CELLS: usize = 1 << 16;
const MAX_FIELDS: usize = 1024;
/// Columns side by side that are printed alike make one field if they are so many, more of them where a
/// line names them; integers without names always do.
const MATRIX: usize = 8;
const NAMED_MATRIX: usize = 64;

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
fn gaps(found: &[Found<'_>], rest: usize, delimiter: Delimiter) -> impl Iterator<Item = Gap> {
    let is_spaces = delimiter == Delimiter::Spaces;
    let before = move |at: usize| at.checked_sub(1).map(|at| found[at].text.len());
    let gap = move |(at, cell): (usize, &Found<'_>)| {
        let (last, len) = (before(at), cell.text.len());
        let behind = last.filter(|_| is_spaces).map(|len| len + cell.gap);
        let longest = [last.unwrap_or(0), len];
        Gap { constant: Some(cell.gap), before: Some(cell.gap + len), behind, both: behind.map(|n| n + len), longest }
    };
    let behind = before(found.len()).filter(|_| is_spaces).map(|len| len + rest);
    let last = Gap { constant: Some(rest), before: None, behind, both: None, longest: [0; 2] };
    found.iter().enumerate().map(gap).chain([last])
}

/// A run of lines.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) bytes: u64,
    rows: u64,
    split: Option<Split>,
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
        let taken = match self.split.take() {
            None => self.begin(at, text, ending),
            Some(split) => {
                let taken = ending == self.end && self.add(text, &split);
                self.split = Some(split);
                taken
            }
        };
        self.rows += u64::from(taken);
        self.bytes += if taken { line.len() as u64 } else { 0 };
        taken
    }

    fn begin(&mut self, at: u64, text: &[u8], ending: &[u8]) -> bool {
        let Some(split) = Split::of(text, MAX_CELLS).filter(|split| !ending.is_empty() && !split.times.is_empty()) else { return false };
        let Some((found, rest)) = split.line(text) else { return false };
        let is_digits = split.times.iter().flat_map(|time| time.as_ref().map_or(vec![false], |time| vec![true; time.groups.len()]));
        let column = |(cell, is_digits): (&Found<'_>, bool)| if is_digits { Column::Digits } else { Column::new(cell.text) };
        self.columns = found.iter().zip(is_digits).map(column).collect();
        self.gaps = gaps(&found, rest, split.delimiter).collect();
        (self.start, self.split, self.end) = (at, Some(split), ending.to_vec());
        true
    }

    fn add(&mut self, text: &[u8], split: &Split) -> bool {
        let Some((found, rest)) = split.line(text).filter(|(found, _)| found.len() == self.columns.len()) else { return false };
        let mut next: Vec<(usize, Next)> = Vec::new();
        for (at, (cell, column)) in found.iter().zip(&self.columns).enumerate() {
            // The first line was the names of what follows.
            let is_header = self.rows == 1 && column.is_text() && is_number(cell.text);
            match column.with(cell.text, self.rows) {
                Some(_) if is_header => return false,
                None => return false,
                Some(Next::Same) => {}
                Some(other) => next.push((at, other)),
            }
        }
        let others = || gaps(&found, rest, split.delimiter);
        if !self.gaps.iter().zip(others()).all(|(gap, other)| gap.and(other).is_possible()) {
            return false;
        }
        self.gaps.iter_mut().zip(others()).for_each(|(gap, other)| *gap = gap.and(other));
        for (at, next) in next {
            self.columns[at].become_next(next, found[at].text);
        }
        true
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The fields of all lines, named by the line before them, and how they are printed; nothing where
    /// spaces are on both sides of a cell, all cells are texts, texts hardly repeat, or lines are beyond
    /// the format's limits.
    pub(super) fn finish(self, header: &[u8]) -> Option<(Vec<Array>, Lines)> {
        let split = self.split?;
        if self.columns.iter().any(|column| !column.repeats_in(self.rows)) {
            return None;
        }
        let prints: Vec<_> = self.columns.iter().map(Column::print).collect::<Option<_>>()?;
        if prints.iter().all(|(_, print)| matches!(print, Print::Text(_))) {
            return None;
        }
        let names = names(header, &split);
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
        let (literals, behind) = literals(&split, &spaces, &mut pads);
        let (mut arrays, mut cells, mut elements) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        while at < prints.len() {
            let (dtype, print) = &prints[at];
            let alike = |other: &usize| {
                prints[*other] == prints[at] && pads[*other] == pads[at] && (*other == at + 1 || literals[*other] == literals[at + 1])
            };
            let mut n = 1 + (at + 1..prints.len()).take_while(alike).count();
            let is_matrix = match names {
                None => n >= MATRIX || *print == Print::Integer,
                Some(_) => n >= NAMED_MATRIX,
            };
            if !is_matrix || matches!(print, Print::Text(_)) {
                n = 1;
            }
            let name = names.as_ref().map_or_else(|| format!("column{}", at + 1), |names| names[at].clone());
            let shape = [self.rows].into_iter().chain((n > 1).then_some(n as u64)).collect();
            arrays.push(Array::new(name, *dtype, false, shape).auxiliary());
            let between = if n > 1 { literals[at + 1].clone() } else { Vec::new() };
            cells.push(Cell { before: literals[at].clone(), between, print: print.clone(), pad: pads[at] });
            elements.push((n, *dtype));
            at += n;
        }
        let mut end = behind;
        end.resize(end.len() + spaces[prints.len()], b' ');
        end.extend(&self.end);
        let possible = end.len() <= MAX_INLINE && cells.iter().zip(&elements).all(|(cell, (_, dtype))| cell.is_possible(*dtype));
        (possible && arrays.len() <= MAX_FIELDS).then_some((arrays, Lines { cells, end, split, elements }))
    }
}

/// What stands before each cell, and behind the last; the digits of times are filled up with zeros.
fn literals(split: &Split, spaces: &[usize], pads: &mut [Pad]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut literals, mut behind) = (Vec::new(), Vec::new());
    for (raw, time) in split.times.iter().enumerate() {
        let mut literal = std::mem::take(&mut behind);
        if raw > 0
            && let Delimiter::Byte(byte) = split.delimiter
        {
            literal.push(byte);
        }
        literal.resize(literal.len() + spaces[literals.len()], b' ');
        match time {
            None => literals.push(literal),
            Some(time) => {
                for (before, n) in &time.groups {
                    literal.extend(before);
                    pads[literals.len()] = Pad::Zeros(*n as u16);
                    literals.push(std::mem::take(&mut literal));
                }
                behind.clone_from(&time.behind);
            }
        }
    }
    (literals, behind)
}

/// The names of columns, if the line has as many texts that are no numbers. The parts of a time have its name.
fn names(header: &[u8], split: &Split) -> Option<Vec<String>> {
    let text = &header[..header.len() - end(header).len()];
    let text = text.strip_prefix(b"#").unwrap_or(text);
    let name = |text: &[u8]| {
        let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
        let name = std::str::from_utf8(text).ok()?.trim();
        (!name.is_empty() && name.len() < 200 && !is_number(text)).then(|| name.to_owned())
    };
    let plain = Split { delimiter: split.delimiter, times: Vec::new() };
    let (cells, _) = plain.line(text)?;
    let names: Vec<String> = cells.iter().map(|cell| name(cell.text)).collect::<Option<_>>()?;
    let each = split.times.iter().map(|time| time.as_ref().map_or(1, |time| time.groups.len()));
    let repeated = names.iter().zip(each).flat_map(|(name, n)| std::iter::repeat_n(name.clone(), n)).collect();
    (names.len() == split.times.len()).then_some(repeated)
}
