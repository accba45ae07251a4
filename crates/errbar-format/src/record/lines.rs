//! How numbers are printed in lines of text. See `spec/lines.md`.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::dtype::Class;
use crate::limits::{MAX_DIGITS, MAX_INLINE, MAX_TEXTS};
use crate::{DType, Error, Result};

/// What stands for one field in every line: the elements of one row of its variable, each printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Text before the first element.
    pub before: Vec<u8>,
    /// Text between elements.
    pub between: Vec<u8>,
    /// How an element is printed.
    pub print: Print,
    /// What fills it up.
    pub pad: Pad,
}

/// How an element is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Print {
    /// An integer.
    Integer,
    /// A binary64 with so many digits behind the point.
    Fixed {
        /// Digits.
        digits: u8,
        /// What is printed for NaN.
        missing: Vec<u8>,
    },
    /// A binary64 as the fewest digits that tell it from all others.
    Shortest {
        /// Whether integers have a point and a zero.
        point: bool,
        /// What is printed for NaN.
        missing: Vec<u8>,
    },
    /// A binary64 with one digit before the point, so many behind it, and an exponent.
    Scientific {
        /// Digits behind the point.
        digits: u8,
        /// Whether the exponent's letter is `E`.
        upper: bool,
        /// What is printed for NaN.
        missing: Vec<u8>,
    },
    /// An unsigned integer that numbers texts.
    Text(Vec<Vec<u8>>),
}

/// What fills a printed element up to a width, if it is shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pad {
    /// Nothing.
    None,
    /// Spaces before it.
    Before(u16),
    /// Spaces behind it.
    Behind(u16),
    /// Zeros before its digits.
    Zeros(u16),
}

impl Cell {
    /// Whether elements of `dtype` can be printed so, within the limits (EB-E12).
    pub fn is_possible(&self, dtype: DType) -> bool {
        let (texts, digits) = match &self.print {
            Print::Integer => (0, 0),
            Print::Fixed { digits, missing } | Print::Scientific { digits, missing, .. } => (missing.len(), *digits),
            Print::Shortest { missing, .. } => (missing.len(), 0),
            Print::Text(list) => (list.iter().map(Vec::len).sum(), 0),
        };
        let of_type = match &self.print {
            Print::Integer => matches!(dtype.class(), Class::Signed | Class::Unsigned),
            Print::Text(_) => dtype.class() == Class::Unsigned && texts > 0,
            _ => dtype == DType::F64,
        };
        let width = if let Pad::Before(width) | Pad::Behind(width) | Pad::Zeros(width) = self.pad { width } else { 0 };
        let short = self.before.len() <= MAX_INLINE && self.between.len() <= MAX_INLINE && texts <= MAX_TEXTS;
        of_type && short && digits <= MAX_DIGITS && usize::from(width) <= MAX_INLINE
    }

    /// Appends the printed elements of a row, of which these are the bytes.
    ///
    /// # Errors
    /// [`crate::Kind::Corrupt`] (EB-E13) for a number of no text.
    pub fn print(&self, dtype: DType, big_endian: bool, row: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.before);
        for (k, element) in row.chunks_exact(dtype.size()).enumerate() {
            if k > 0 {
                out.extend_from_slice(&self.between);
            }
            let start = out.len();
            self.print.element(bits(element, big_endian), dtype, out)?;
            let len = out.len() - start;
            let sign = usize::from(out.get(start) == Some(&b'-'));
            let (at, width, byte) = match self.pad {
                Pad::None => continue,
                Pad::Before(width) => (start, width, b' '),
                Pad::Behind(width) => (start + len, width, b' '),
                Pad::Zeros(width) => (start + sign, width, b'0'),
            };
            out.splice(at..at, std::iter::repeat_n(byte, usize::from(width).saturating_sub(len)));
        }
        Ok(())
    }
}

/// The bit pattern of an element of at most eight bytes.
fn bits(element: &[u8], big_endian: bool) -> u64 {
    let from_last = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
    match big_endian {
        true => element.iter().fold(0, from_last),
        false => element.iter().rev().fold(0, from_last),
    }
}

impl Print {
    /// Appends an element.
    fn element(&self, bits: u64, dtype: DType, out: &mut Vec<u8>) -> Result<()> {
        let value = f64::from_bits(bits);
        match self {
            Print::Integer if dtype.class() == Class::Unsigned => append(out, format_args!("{bits}"))?,
            Print::Integer => {
                let unused = 64 - 8 * dtype.size() as u32;
                append(out, format_args!("{}", (bits << unused) as i64 >> unused))?;
            }
            Print::Text(list) => {
                let text = usize::try_from(bits).ok().and_then(|number| list.get(number));
                out.extend(text.ok_or_else(|| Error::corrupt("EB-E13", format!("no text has the number {bits}")))?);
            }
            Print::Fixed { missing, .. } | Print::Shortest { missing, .. } | Print::Scientific { missing, .. } if value.is_nan() => {
                out.extend(missing);
            }
            _ if value.is_infinite() => out.extend(if value < 0.0 { &b"-inf"[..] } else { b"inf" }),
            Print::Fixed { digits, .. } => append(out, format_args!("{value:.*}", usize::from(*digits)))?,
            Print::Shortest { point, .. } => shortest(value, *point, out)?,
            Print::Scientific { digits, upper, .. } => {
                exponential(&format!("{value:.*e}", usize::from(*digits)), if *upper { b'E' } else { b'e' }, out)?;
            }
        }
        Ok(())
    }
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) -> Result<()> {
    out.write_fmt(text).map_err(|e| Error::io("cannot print a number", e))
}

/// Digits and an exponent as Rust has them, but that with a sign and two digits at least.
fn exponential(text: &str, letter: u8, out: &mut Vec<u8>) -> Result<()> {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or((b'+', exponent), |exponent| (b'-', exponent));
    out.extend(digits.bytes().chain([letter, sign]));
    append(out, format_args!("{exponent:0>2}"))
}

/// As Python's `repr`, perhaps without the point of integers.
fn shortest(value: f64, point: bool, out: &mut Vec<u8>) -> Result<()> {
    let text = format!("{value:e}");
    let exponent: i32 = text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        return exponential(&text, b'e', out);
    }
    let start = out.len();
    append(out, format_args!("{value}"))?;
    if point && !out[start..].contains(&b'.') {
        out.extend(b".0");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(print: Print, value: f64) -> String {
        let mut out = Vec::new();
        print.element(value.to_bits(), DType::F64, &mut out).expect("a number");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn numbers_are_printed_as_other_programs_print_them() {
        let shortest = |point| Print::Shortest { point, missing: b"NA".to_vec() };
        let all = [0.1, 1e-4, 1e-5, 123.0, -0.0, 1e15, 1e16, 1.5e300, 5e-324, f64::NAN];
        let with_point = ["0.1", "0.0001", "1e-05", "123.0", "-0.0", "1000000000000000.0", "1e+16", "1.5e+300", "5e-324", "NA"];
        for (value, text) in all.into_iter().zip(with_point) {
            assert_eq!(printed(shortest(true), value), text);
            assert_eq!(printed(shortest(false), value), text.strip_suffix(".0").unwrap_or(text));
        }
        let fixed = Print::Fixed { digits: 3, missing: vec![] };
        assert_eq!([-0.0, 2.0006, 1e9].map(|value| printed(fixed.clone(), value)), ["-0.000", "2.001", "1000000000.000"]);
        let scientific = |upper| Print::Scientific { digits: 2, upper, missing: vec![] };
        assert_eq!([0.0, -1.004e-7, 1e100].map(|value| printed(scientific(true), value)), ["0.00E+00", "-1.00E-07", "1.00E+100"]);
        assert_eq!(printed(scientific(false), f64::NEG_INFINITY), "-inf");
    }
}
