//! Standard output: tables and sizes for people, JSON lines for programs.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use errbar::record::Limit;
use errbar::{Bound, Error, Reason, Receipt, Result};
use serde_json::{Value, json};

/// The error for output that cannot be written.
pub fn unwritable(e: io::Error) -> Error {
    Error::io("cannot write to standard output", e)
}

/// Standard output, written in large pieces. It ends with [`Out::finish`]: what is dropped before
/// that may be lost.
pub struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    /// Standard output.
    pub fn new() -> Out {
        Out(BufWriter::with_capacity(64 << 10, io::stdout().lock()))
    }

    /// A line.
    ///
    /// # Errors
    /// [`errbar::Kind::Io`] if it cannot be written.
    pub fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.0, "{line}").map_err(unwritable)
    }

    /// A JSON line.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn json(&mut self, value: &Value) -> Result<()> {
        self.line(&value.to_string())
    }

    /// A table, if it has rows.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn table(&mut self, table: &Table) -> Result<()> {
        table.lines().iter().try_for_each(|line| self.line(line))
    }

    /// Bytes as they are.
    pub fn bytes(&mut self) -> &mut dyn Write {
        &mut self.0
    }

    /// Makes sure that all of it was written.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn finish(mut self) -> Result<()> {
        self.0.flush().map_err(unwritable)
    }
}

/// A JSON line at once.
///
/// # Errors
/// As [`Out::line`].
pub fn json_line(value: Value) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).map_err(unwritable)
}

/// Refuses to write an archive or an array on a terminal.
///
/// # Errors
/// [`errbar::Kind::Usage`] if standard output is one.
pub fn refuse_terminal(what: &str, advice: &str) -> Result<()> {
    match io::stdout().is_terminal() {
        true => Err(Error::usage(format!("{what} is not written to a terminal")).advise(advice)),
        false => Ok(()),
    }
}

/// How a column is set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a header, in columns as wide as they need to be.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with one cell a column.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Its lines, the header first; none without rows.
    pub fn lines(&self) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let width = |text: &str| text.chars().count();
        let widest = |i: usize| self.rows.iter().map(|row| width(&row[i])).chain([width(self.columns[i].0)]).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(widest).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&widths).zip(&self.columns).map(|((cell, &width), (_, align))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let header = line(&mut self.columns.iter().map(|column| column.0));
        std::iter::once(header).chain(self.rows.iter().map(|row| line(&mut row.iter().map(String::as_str)))).collect()
    }
}

/// For programs, why a block has its stages; null where there was no choice.
pub fn reason(reason: Option<&Reason>) -> Value {
    reason.map_or(Value::Null, |reason| json!({ "chosen": reason.chosen, "over": reason.over, "saved": reason.saved }))
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        value /= 1024.0;
        unit = next;
        // 1023.996 would be set as 1024.00.
        if value < 1023.995 {
            break;
        }
    }
    format!("{value:.2} {unit}")
}

/// A number of things, such as `1 file` and `2 files`.
pub fn count(n: u64, thing: &str) -> String {
    match (n, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{n} {stem}ies"),
        _ => format!("{n} {thing}s"),
    }
}

/// How many times smaller, or a dash.
pub fn ratio(raw: u64, coded: u64) -> String {
    match coded {
        0 => "-".into(),
        _ => format!("{:.2}", raw as f64 / coded as f64),
    }
}

/// An error or a limit for people.
pub fn number(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:.4e}") }
}

/// Decibels for people; a dash where nothing was lost.
pub fn decibels(value: f64) -> String {
    if value.is_finite() { format!("{value:.1}") } else { "-".into() }
}

/// A shape such as `180x360`; `scalar` without dimensions.
pub fn shape(shape: &[u64]) -> String {
    match shape {
        [] => "scalar".into(),
        _ => shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x"),
    }
}

/// Bounds for people.
pub fn bounds(bounds: &[Bound]) -> String {
    if bounds.is_empty() { "exact".into() } else { errbar::policy::bounds_text(bounds) }
}

/// Bounds for programs; null without any.
pub fn bounds_json(bounds: &[Bound]) -> Option<String> {
    (!bounds.is_empty()).then(|| errbar::policy::bounds_text(bounds))
}

/// What bounds came to, for people: an error, or a share of the value.
pub fn limit(limit: Limit) -> String {
    match limit {
        Limit::Abs(value) | Limit::Relative(value) => number(value),
        Limit::Both { absolute, relative } => format!("{} and {} |x|", number(absolute), number(relative)),
    }
}

/// What bounds came to, as fields: `limit` is on the error, or on its share of the value where
/// that alone is limited; where both are, `relative_limit` is on the share.
pub fn limit_json(limit: Option<Limit>) -> Value {
    match limit {
        None => json!({ "limit": null }),
        Some(Limit::Abs(value) | Limit::Relative(value)) => json!({ "limit": value }),
        Some(Limit::Both { absolute, relative }) => json!({ "limit": absolute, "relative_limit": relative }),
    }
}

/// Text out of an archive, so that it cannot act on a terminal.
pub fn safe(text: &str) -> String {
    errbar::display_path(text.as_bytes())
}

/// A variable of an entry, as `get` takes it.
pub fn variable(path: &[u8], name: &str) -> String {
    match name {
        "" => errbar::display_path(path),
        _ => format!("{}:{}", errbar::display_path(path), safe(name)),
    }
}

/// Hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message of this type about a path; one that is not text is escaped, and given in hexadecimal
/// too.
pub fn message(message_type: &str, path: &[u8]) -> Value {
    match std::str::from_utf8(path) {
        Ok(text) => json!({ "message_type": message_type, "path": text }),
        Err(_) => json!({ "message_type": message_type, "path": errbar::display_path(path), "path_hex": hex(path) }),
    }
}

/// An object with the fields of both.
pub fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

/// What is known of the error of a variable, as fields. Numbers that are not finite are null.
pub fn receipt(receipt: Option<&Receipt>) -> Value {
    match receipt {
        None => json!({}),
        Some(r) => with(
            limit_json(Some(r.limit)),
            json!({
                "max_error": r.max_error,
                "max_error_at": r.max_error_at,
                "rms_error": r.rms_error,
                "finite": r.finite,
                "non_finite": r.non_finite,
                "exact": r.exact,
            }),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_units_at_their_limits() {
        let sizes = [0, 1023, 1024, 1536, (1 << 20) - 1, 1 << 20, u64::MAX];
        assert_eq!(sizes.map(size), ["0 B", "1023 B", "1.00 KiB", "1.50 KiB", "1.00 MiB", "1.00 MiB", "16.00 EiB"]);
    }

    #[test]
    fn counts_are_spelt() {
        assert_eq!([count(1, "entry"), count(2, "entry"), count(0, "file")], ["1 entry", "2 entries", "0 files"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right)]);
        table.row(["a".into(), "10".into()]);
        table.row(["längste".into(), "9".into()]);
        assert_eq!(table.lines(), ["name      n", "a        10", "längste   9"]);
    }
}
