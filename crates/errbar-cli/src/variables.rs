//! Tables and messages about variables, which several commands print.

use errbar::record::{Choice, Limit, Variable};
use errbar::{Archive, Reason, Result, VariableComparison};
use serde_json::{Value, json};

use crate::output::{self, Align, Out, Table};

/// A variable in an archive, with what its blocks say.
pub struct Stored<'a> {
    path: &'a [u8],
    variable: &'a Variable,
    raw_bytes: u64,
    /// Bytes of its block frames.
    coded_bytes: u64,
    /// The stages of its first block; `-` without blocks.
    pipeline: String,
    /// Why the first block for which there was a choice has its stages, if that is known.
    reason: Option<Reason>,
}

impl<'a> Stored<'a> {
    /// Looks up a variable's blocks.
    ///
    /// # Errors
    /// [`errbar::Kind::Corrupt`] if its first block or the index is damaged.
    pub fn new(archive: &Archive, path: &'a [u8], variable: &'a Variable) -> Result<Stored<'a>> {
        let n_blocks = variable.n_blocks().unwrap_or(0);
        let look = || {
            // What stands beside others is not counted apart.
            let aside = if variable.is_in_blocks() { 0 } else { variable.bytes().unwrap_or(0) };
            let (mut raw_bytes, mut coded_bytes) = (aside, aside);
            for k in 0..n_blocks {
                let place = archive.find_block(variable.block_number(k))?;
                raw_bytes = raw_bytes.saturating_add(place.decoded_len);
                coded_bytes = coded_bytes.saturating_add(place.frame_len);
            }
            let pipeline = match n_blocks {
                _ if variable.part.is_some() => "in a shared block".into(),
                _ if !variable.inline.is_empty() => "in the entry".into(),
                0 => "-".into(),
                _ => output::safe(&errbar::describe(archive.registry(), &archive.block(variable.first_block)?.pipeline)),
            };
            Ok(Stored { path, variable, raw_bytes, coded_bytes, pipeline, reason: None })
        };
        look().map_err(|e: errbar::Error| e.in_entry(path).in_variable(&variable.name))
    }

    /// Looks up why it has its stages, in the choices of its entry, in which it has the position
    /// `index`.
    ///
    /// # Errors
    /// [`errbar::Kind::Corrupt`] if the block that is spoken of is damaged.
    pub fn explain(mut self, archive: &Archive, choices: &[Choice], index: usize) -> Result<Stored<'a>> {
        let said = choices.iter().find(|choice| choice.variable as usize == index && (0.0..=1.0).contains(&choice.saved));
        let end = self.variable.block_number(self.variable.n_blocks().unwrap_or(0));
        if let Some(choice) = said.filter(|choice| (self.variable.first_block..end).contains(&choice.block)) {
            let block = archive.block(choice.block).map_err(|e| e.in_entry(self.path).in_variable(&self.variable.name))?;
            let chosen = output::safe(&errbar::describe(archive.registry(), &block.pipeline));
            self.reason = Some(Reason { chosen, over: output::safe(&choice.over), saved: choice.saved });
        }
        Ok(self)
    }

    /// Why it has its stages, a line; nothing where that is not known.
    pub fn reason(&self) -> Option<String> {
        self.reason.as_ref().map(|reason| format!("{}: {reason}", output::variable(self.path, &self.variable.name)))
    }

    /// The extent along each dimension, in the order in which the file's own readers index it.
    fn shape(&self) -> Vec<u64> {
        let mut shape = self.variable.shape.clone();
        if self.variable.column_major {
            shape.reverse();
        }
        shape
    }

    /// The message for programs.
    pub fn json(&self) -> Value {
        let variable = self.variable;
        let fields = json!({
            "variable": variable.name,
            "dtype": variable.dtype.name(),
            "shape": self.shape(),
            "big_endian": variable.big_endian,
            "column_major": variable.column_major,
            "n_blocks": variable.n_blocks(),
            "bound": variable.receipt.as_ref().and_then(|receipt| output::bounds_json(&receipt.bounds)),
            "raw_bytes": self.raw_bytes,
            "coded_bytes": self.coded_bytes,
            "pipeline": self.pipeline,
        });
        let choice = self.reason.as_ref().map_or_else(|| json!({}), |reason| json!({ "choice": output::reason(Some(reason)) }));
        let message = output::with(output::with(output::message("variable", self.path), fields), choice);
        output::with(message, output::receipt(variable.receipt.as_ref()))
    }

    /// Adds its row to a table of [`stored`].
    pub fn row(&self, table: &mut Table) {
        let receipt = self.variable.receipt.as_ref();
        table.row([
            output::variable(self.path, &self.variable.name),
            self.variable.dtype.name().into(),
            output::shape(&self.shape()),
            output::bounds(receipt.map_or(&[], |receipt| &receipt.bounds)),
            receipt.map_or_else(|| "-".into(), |receipt| output::limit(receipt.limit)),
            receipt.map_or_else(|| "-".into(), |receipt| output::number(receipt.max_error)),
            receipt.map_or_else(|| "all".into(), |receipt| receipt.exact.to_string()),
            output::ratio(self.raw_bytes, self.coded_bytes),
            output::size(self.coded_bytes),
            self.pipeline.clone(),
        ]);
    }
}

/// A table for variables in an archive.
pub fn stored() -> Table {
    let what = [("variable", Align::Left), ("dtype", Align::Left), ("shape", Align::Left)];
    let loss = [("bound", Align::Left), ("limit", Align::Right), ("worst error", Align::Right), ("kept exact", Align::Right)];
    let cost = [("ratio", Align::Right), ("size", Align::Right), ("pipeline", Align::Left)];
    Table::new(&[&what[..], &loss, &cost].concat())
}

/// The table of compared variables.
pub fn compared(variables: &[VariableComparison]) -> Table {
    let what = [("variable", Align::Left), ("dtype", Align::Left), ("shape", Align::Left), ("bound", Align::Left)];
    let found = [("limit", Align::Right), ("worst error", Align::Right), ("RMS error", Align::Right), ("PSNR dB", Align::Right)];
    let mut table = Table::new(&[&what[..], &found, &[("outside", Align::Right)]].concat());
    for variable in variables {
        table.row([
            output::variable(&variable.path, &variable.name),
            variable.dtype.name().into(),
            output::shape(&variable.shape),
            output::bounds(&variable.bounds),
            variable.limit.map_or_else(|| "0".into(), output::limit),
            output::number(variable.max_error),
            output::number(variable.rms_error),
            output::decibels(variable.psnr),
            variable.violations.to_string(),
        ]);
    }
    table
}

/// A message for every compared variable.
///
/// # Errors
/// [`errbar::Kind::Io`] if it cannot be written.
pub fn compared_json(out: &mut Out, variables: &[VariableComparison]) -> Result<()> {
    variables.iter().try_for_each(|variable| {
        let fields = json!({
            "variable": variable.name,
            "dtype": variable.dtype.name(),
            "shape": variable.shape,
            "bound": output::bounds_json(&variable.bounds),
            "max_error": variable.max_error,
            "rms_error": variable.rms_error,
            "psnr": variable.psnr,
            "sqnr": variable.sqnr,
            "violations": variable.violations,
        });
        let fields = output::with(fields, output::limit_json(variable.limit.or(Some(Limit::Abs(0.0)))));
        out.json(&output::with(output::message("variable", &variable.path), fields))
    })
}
