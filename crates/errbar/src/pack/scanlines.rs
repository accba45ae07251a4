//! Scanlines of an image, whose filter types and pixels are arrays.

use std::io::Write;
use std::ops::Range;

use errbar_codec::scanlines::Scanlines;
use errbar_format::Result;
use errbar_format::record::Segment;

use super::file::AtWork;
use super::plan::ArrayPlan;

impl<W: Write> AtWork<'_, '_, W> {
    /// Scanlines, some at a time, the blocks of their filter types and of their pixels in turn.
    pub(super) fn scanlines(&mut self, fields: Range<usize>, plans: &[ArrayPlan]) -> Result<()> {
        self.body.segments.push(Segment::Scanlines { first: fields.start as u32 });
        let pixels = &self.body.variables[fields.end - 1];
        let mut scanlines = Scanlines::of(&pixels.shape, pixels.dtype.size());
        let rows = self.begin_rows(fields.clone());
        let mut precedents = vec![None; fields.len()];
        for (k, &n) in (0..).zip(&rows) {
            let Some(bytes) = self.read(n * scanlines.line() as u64) else { return Ok(()) };
            self.exact(&bytes);
            let Ok((types, pixels)) = scanlines.undo(&bytes) else {
                self.changed();
                return Ok(());
            };
            self.row(fields.clone(), (k, rows.len()), vec![types, pixels], plans, &mut precedents)?;
        }
        Ok(())
    }
}
