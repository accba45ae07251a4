//! Lines of text, whose fields are arrays.

use std::io::Write;
use std::ops::Range;

use errbar_dissect::Lines;
use errbar_format::Result;
use errbar_format::record::Segment;

use super::file::AtWork;
use super::load::changed;
use super::plan::ArrayPlan;

/// Bytes of text that are read at once.
const TEXT: u64 = 1 << 20;

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
