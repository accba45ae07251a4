//! What the cells of a column have in common.

use std::collections::HashMap;

use errbar_format::DType;
use errbar_format::record::Print;

/// Texts that stand for a number that is not there.
const MISSING: [&[u8]; 13] = [b"", b"NA", b"N/A", b"NaN", b"nan", b"NAN", b"null", b"NULL", b"None", b"-", b"--", b"?", b"*"];
/// Bytes of all texts of a column, and how many there may be of the lines for each text.
const MAX_TEXTS: usize = 32 << 10;
const REPEATS: u64 = 4;
/// Lines before that counts; in the end it counts half in fewer.
const FEW: u64 = 256;
/// Digits that binary64 keeps, whatever they are.
const KEPT_DIGITS: usize = 15;

/// How a number may have been printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    integer: Option<i64>,
    fixed: Option<u8>,
    /// Digits, and whether the letter is large.
    scientific: Option<(u8, bool)>,
    shortest: bool,
    /// The same with a point in integers.
    pointed: bool,
}

impl Form {
    /// Nothing where the text is no number, or has too many digits or superfluous ones.
    fn of(text: &[u8]) -> Option<Form> {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let (mantissa, exponent) = match digits.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e')) {
            Some(at) => (&digits[..at], Some((digits[at] == b'E', &digits[at + 1..]))),
            None => (digits, None),
        };
        let point = mantissa.iter().position(|&byte| byte == b'.');
        let (whole, fraction) = match point {
            Some(at) => (&mantissa[..at], Some(&mantissa[at + 1..])),
            None => (mantissa, None),
        };
        let all_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let canonical = all_digits(whole) && (whole.len() == 1 || whole[0] != b'0');
        if !canonical || fraction.is_some_and(|fraction| !all_digits(fraction)) {
            return None;
        }
        let fraction_digits = fraction.map_or(0, <[u8]>::len);
        let significant = whole.iter().chain(fraction.unwrap_or_default()).skip_while(|&&byte| byte == b'0').count();
        if exponent.is_none() && fraction.is_none() {
            // All of them fit an `i64`; as binary64 fewer do.
            let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            let integer = Some(number).filter(|_| text != b"-0");
            let shortest = significant <= KEPT_DIGITS;
            return Some(Form { integer, fixed: None, scientific: None, shortest, pointed: false });
        }
        if significant > KEPT_DIGITS {
            return None;
        }
        let trimmed = fraction.is_none_or(|fraction| fraction.last() != Some(&b'0'));
        let is_zero = significant == 0;
        match exponent {
            None => {
                let fraction = fraction.unwrap_or_default();
                // Smaller ones have an exponent.
                let is_small = whole == b"0" && fraction.iter().take_while(|&&byte| byte == b'0').count() > 3;
                let positional = !is_small || is_zero;
                let fixed = u8::try_from(fraction_digits).ok();
                let pointed = positional && (trimmed || fraction == b"0");
                Some(Form { integer: None, fixed, scientific: None, shortest: positional && trimmed, pointed })
            }
            Some((upper, exponent)) => {
                let (is_negative, digits) = match exponent {
                    [b'-', digits @ ..] => (true, digits),
                    [b'+', digits @ ..] => (false, digits),
                    _ => return None,
                };
                let size: i32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
                let is_printed_so = digits.len() == 2 || (digits.len() == 3 && digits[0] != b'0' && size < 300);
                if !is_printed_so || whole.len() != 1 || (whole == b"0" && !(is_zero && size == 0)) || (size == 0 && is_negative) {
                    return None;
                }
                let size = if is_negative { -size } else { size };
                let shortest = !upper && !is_zero && trimmed && !(-4..16).contains(&size);
                let scientific = Some((u8::try_from(fraction_digits).ok()?, upper));
                Some(Form { integer: None, fixed: None, scientific, shortest, pointed: shortest })
            }
        }
    }

    fn is_possible(self) -> bool {
        self.integer.is_some() || self.fixed.is_some() || self.scientific.is_some() || self.shortest || self.pointed
    }
}

/// A column of numbers.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    /// How all of them may have been printed; nothing before the first.
    form: Option<Form>,
    least: i64,
    most: i64,
    missing: Option<Vec<u8>>,
}

/// A column of texts of which many are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    numbers: HashMap<Vec<u8>, usize>,
    list: Vec<Vec<u8>>,
    bytes: usize,
}

/// What is known of a column.
#[derive(Clone, Debug)]
pub(super) enum Column {
    Numbers(Numbers),
    Texts(Texts),
    /// Digits of a time, always as many.
    Digits,
}

/// What a column becomes with one more cell.
pub(super) enum Next {
    Same,
    Numbers(Numbers),
    NewText,
}

pub(super) fn is_number(text: &[u8]) -> bool {
    Form::of(text).is_some()
}

impl Column {
    /// A column that begins with this cell, which is no part of a time.
    pub(super) fn new(text: &[u8]) -> Column {
        let none = Numbers { form: None, least: i64::MAX, most: i64::MIN, missing: None };
        match none.with(text) {
            Some(Next::Numbers(numbers)) => Column::Numbers(numbers),
            _ => {
                let mut texts = Texts::default();
                texts.add(text);
                Column::Texts(texts)
            }
        }
    }

    /// What it becomes with the cell of the next line, `row`; nothing if it is of another kind.
    pub(super) fn with(&self, text: &[u8], row: u64) -> Option<Next> {
        match self {
            Column::Numbers(numbers) => numbers.with(text),
            Column::Texts(texts) => texts.with(text, row),
            Column::Digits => Some(Next::Same),
        }
    }

    pub(super) fn become_next(&mut self, next: Next, text: &[u8]) {
        match (next, &mut *self) {
            (Next::Numbers(numbers), _) => *self = Column::Numbers(numbers),
            (Next::NewText, Column::Texts(texts)) => texts.add(text),
            _ => {}
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Column::Texts(_))
    }

    /// Whether its texts, if it has texts, repeat often enough in so many rows.
    pub(super) fn repeats_in(&self, rows: u64) -> bool {
        let repeats = if rows > FEW { REPEATS } else { REPEATS / 2 };
        match self {
            Column::Texts(texts) => texts.list.len() as u64 * repeats <= rows,
            _ => true,
        }
    }

    /// The type of its elements, and how they are printed.
    pub(super) fn print(&self) -> Option<(DType, Print)> {
        match self {
            Column::Numbers(numbers) => numbers.print(),
            Column::Digits => Some((DType::I32, Print::Integer)),
            Column::Texts(Texts { list, .. }) => {
                let dtype = if list.len() > 256 { DType::U16 } else { DType::U8 };
                Some((dtype, Print::Text(list.clone())))
            }
        }
    }
}

impl Numbers {
    fn with(&self, text: &[u8]) -> Option<Next> {
        let Some(form) = Form::of(text) else {
            let is_missing = match &self.missing {
                None => MISSING.contains(&text),
                Some(missing) => missing == text,
            };
            return match (is_missing, &self.missing) {
                (false, _) => None,
                (true, Some(_)) => Some(Next::Same),
                (true, None) => Some(Next::Numbers(Numbers { missing: Some(text.to_vec()), ..self.clone() })),
            };
        };
        let mut both = form;
        if let Some(before) = self.form {
            both = Form {
                integer: before.integer.and(form.integer),
                fixed: before.fixed.filter(|_| before.fixed == form.fixed),
                scientific: before.scientific.filter(|_| before.scientific == form.scientific),
                shortest: before.shortest && form.shortest,
                pointed: before.pointed && form.pointed,
            };
        }
        let (mut least, mut most) = (self.least, self.most);
        if let Some(number) = form.integer {
            (least, most) = (least.min(number), most.max(number));
        }
        if self.form == Some(both) && (least, most) == (self.least, self.most) {
            return Some(Next::Same);
        }
        both.is_possible().then(|| Next::Numbers(Numbers { form: Some(both), least, most, missing: self.missing.clone() }))
    }

    fn print(&self) -> Option<(DType, Print)> {
        let missing = self.missing.clone().unwrap_or_else(|| b"nan".to_vec());
        let Some(form) = self.form else {
            return Some((DType::F64, Print::Shortest { point: false, missing }));
        };
        let print = match form {
            Form { integer: Some(_), .. } if self.missing.is_none() => {
                let dtype = if i32::try_from(self.least).is_ok() && i32::try_from(self.most).is_ok() { DType::I32 } else { DType::I64 };
                return Some((dtype, Print::Integer));
            }
            Form { fixed: Some(digits), .. } => Print::Fixed { digits, missing },
            Form { scientific: Some((digits, upper)), .. } => Print::Scientific { digits, upper, missing },
            Form { shortest: true, .. } => Print::Shortest { point: false, missing },
            Form { pointed: true, .. } => Print::Shortest { point: true, missing },
            _ => return None,
        };
        Some((DType::F64, print))
    }
}

impl Texts {
    fn with(&self, text: &[u8], row: u64) -> Option<Next> {
        if self.numbers.contains_key(text) {
            return Some(Next::Same);
        }
        let n = self.list.len() as u64 + 1;
        let fits = self.bytes + text.len() <= MAX_TEXTS && n <= 1 << 16 && (row < FEW || n * REPEATS <= row);
        fits.then_some(Next::NewText)
    }

    fn add(&mut self, text: &[u8]) {
        self.numbers.insert(text.to_vec(), self.list.len());
        self.list.push(text.to_vec());
        self.bytes += text.len();
    }
}

/// The bit pattern of the element that a text is printed for; nothing where it is printed for none.
pub(super) fn bits(text: &[u8], print: &Print, texts: &HashMap<&[u8], u64>) -> Option<u64> {
    let number = || std::str::from_utf8(text).ok();
    match print {
        Print::Integer => number()?.parse::<i64>().ok().map(|number| number as u64),
        Print::Text(_) => texts.get(text).copied(),
        Print::Fixed { missing, .. } | Print::Shortest { missing, .. } | Print::Scientific { missing, .. } => {
            let value = if text == missing { f64::NAN } else { number()?.parse().ok()? };
            Some(value.to_bits())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(texts: &[&str]) -> Option<Print> {
        let mut column = Column::new(texts[0].as_bytes());
        for (text, row) in texts.iter().zip(0..).skip(1) {
            let next = column.with(text.as_bytes(), row)?;
            column.become_next(next, text.as_bytes());
        }
        column.print().map(|(_, print)| print)
    }

    #[test]
    fn columns_are_what_all_their_cells_may_be() {
        let nan = || b"nan".to_vec();
        assert_eq!(print(&["1", "-20", "0"]), Some(Print::Integer));
        assert_eq!(print(&["1.50", "-0.00", "12.25"]), Some(Print::Fixed { digits: 2, missing: nan() }));
        assert_eq!(print(&["1.5", "2", "1e-05"]), Some(Print::Shortest { point: false, missing: nan() }));
        assert_eq!(print(&["1.5", "2.0", "0.25"]), Some(Print::Shortest { point: true, missing: nan() }));
        assert_eq!(print(&["", "", ""]), Some(Print::Shortest { point: false, missing: vec![] }));
        assert_eq!(print(&["1", "", "3"]), Some(Print::Shortest { point: false, missing: vec![] }));
        assert_eq!(print(&["1.50E-07", "-2.00E+00"]), Some(Print::Scientific { digits: 2, upper: true, missing: nan() }));
        assert_eq!(print(&["N", "CA", "N"]), Some(Print::Text(vec![b"N".to_vec(), b"CA".to_vec()])));
        for other in [&["1.5", "2", "3.50"][..], &["1", "x"], &["1", "", "NA"], &["007", "1", "1.5"]] {
            let found = print(other);
            assert!(found.is_none() || matches!(found, Some(Print::Text(_))), "{other:?} {found:?}");
        }
    }

    #[test]
    fn superfluous_digits_are_no_numbers() {
        for text in ["01", "+1", "1.", ".5", "1e5", "1e+5", "0.5e-01", "1.0e-00", "12.5e+01", "0.1234567890123456", "0x1", ""] {
            assert_eq!(Form::of(text.as_bytes()), None, "{text}");
        }
    }
}
