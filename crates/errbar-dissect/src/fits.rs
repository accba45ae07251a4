//! FITS (Definition of the Flexible Image Transport System, version 4.0).

use std::collections::HashMap;

use errbar_format::{DType, Result};

use crate::strided::Strided;
use crate::{Array, Dissector, Layout, Packing, ReadAt, not_this};

/// Files are made of these.
const BLOCK: u64 = 2880;
/// Bytes of a card, the unit of a header.
const CARD: usize = 80;
/// Blocks of a header, at most.
const MAX_HEADER: u64 = 4096;
/// Headers of a file, at most.
const MAX_HDUS: u64 = 1 << 16;

/// The FITS format.
#[derive(Clone, Copy, Debug)]
pub struct Fits;

impl Dissector for Fits {
    fn name(&self) -> &'static str {
        "fits"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"SIMPLE  =") && head.get(10..30).is_some_and(|value| value.trim_ascii() == b"T")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut layout = Layout::default();
        let mut at = 0;
        for number in 0..MAX_HDUS {
            // What follows the last whole HDU may be anything.
            match Hdu::read(file, at, number) {
                Ok(hdu) if hdu.data + hdu.bytes <= file.size() => {
                    hdu.place(file.size(), &mut layout)?;
                    at = hdu.data + hdu.bytes.next_multiple_of(BLOCK);
                }
                Err(error) if number == 0 => return Err(error),
                _ => break,
            }
        }
        Ok(layout)
    }
}

/// A header and where its data lie.
struct Hdu {
    cards: HashMap<String, String>,
    number: u64,
    data: u64,
    bytes: u64,
}

impl Hdu {
    fn read(file: &dyn ReadAt, at: u64, number: u64) -> Result<Hdu> {
        let first: &[u8] = if number == 0 { b"SIMPLE  =" } else { b"XTENSION=" };
        let mut cards = HashMap::new();
        let mut block = [0; BLOCK as usize];
        for n in 0..MAX_HEADER {
            file.read_at(&mut block, at.saturating_add(n * BLOCK)).map_err(|_| not_this("file ends inside a header"))?;
            if n == 0 && !block.starts_with(first) {
                return Err(not_this("not a header"));
            }
            for card in block.chunks_exact(CARD) {
                if card.trim_ascii() == b"END" {
                    let mut hdu = Hdu { cards, number, data: at + (n + 1) * BLOCK, bytes: 0 };
                    hdu.bytes = hdu.size().filter(|bytes| *bytes < 1 << 62).ok_or_else(|| not_this("header without a size"))?;
                    return Ok(hdu);
                }
                if let Some((key, value)) = parse(card) {
                    cards.entry(key).or_insert(value);
                }
            }
        }
        Err(not_this("header is too long"))
    }

    fn text(&self, key: &str) -> &str {
        self.cards.get(key).map_or("", String::as_str)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.text(key).parse().ok()
    }

    /// The axes, the fastest first.
    fn axes(&self) -> Option<Vec<u64>> {
        let n = self.number("NAXIS").filter(|n| *n <= 999)?;
        (1..=n).map(|i| self.number(&format!("NAXIS{i}"))).collect()
    }

    fn dtype(&self) -> Option<DType> {
        Some(match self.text("BITPIX") {
            "8" => DType::U8,
            "16" => DType::I16,
            "32" => DType::I32,
            "64" => DType::I64,
            "-32" => DType::F32,
            "-64" => DType::F64,
            _ => return None,
        })
    }

    /// Whether the data are groups of parameters and an array each, which have a first axis of 0.
    fn has_groups(&self, axes: &[u64]) -> bool {
        self.number == 0 && self.text("GROUPS") == "T" && axes.first() == Some(&0)
    }

    /// Bytes of the data.
    fn size(&self) -> Option<u64> {
        let axes = self.axes()?;
        let counted = if self.has_groups(&axes) { &axes[1..] } else { &axes[..] };
        if counted.is_empty() {
            return Some(0);
        }
        let elements = counted.iter().try_fold(1u64, |n, axis| n.checked_mul(*axis))?;
        let (parameters, groups) = (self.number("PCOUNT").unwrap_or(0), self.number("GCOUNT").unwrap_or(1));
        elements.checked_add(parameters)?.checked_mul(groups)?.checked_mul(self.dtype()?.size() as u64)
    }

    /// Its name as users of the file know it: that in the header, with the version where it is not 1;
    /// else PRIMARY, or the extension's number.
    fn name(&self) -> String {
        match (self.text("EXTNAME"), self.text("EXTVER"), self.number) {
            ("", _, 0) => "PRIMARY".into(),
            ("", _, number) => number.to_string(),
            (name, "" | "1", _) => name.into(),
            (name, version, _) => format!("{name},{version}"),
        }
    }

    fn place(&self, size: u64, layout: &mut Layout) -> Result<()> {
        let axes = self.axes().unwrap_or_default();
        match self.text("XTENSION") {
            "" | "IMAGE" if self.has_groups(&axes) => self.place_groups(size, &axes[1..], layout),
            "" | "IMAGE" if !axes.is_empty() => {
                let shape = axes.iter().rev().copied().collect();
                let real = |key| self.text(key).replace('D', "E").parse().ok();
                let packing = Packing::of(real("BSCALE"), real("BZERO"));
                let image = self.dtype().map(|dtype| Array { packing, ..Array::new(self.name(), dtype, dtype.size() > 1, shape) });
                if let Some(image) = image.filter(|image| image.is_sound() && image.bytes() == Some(self.bytes)) {
                    layout.array(self.data, image);
                }
                Ok(())
            }
            // The rows of a compressed image only point to streams in the heap.
            "BINTABLE" if self.text("ZIMAGE") != "T" => self.place_table(size, layout),
            _ => Ok(()),
        }
    }

    fn place_table(&self, size: u64, layout: &mut Layout) -> Result<()> {
        let (Some(stride), Some(count)) = (self.number("NAXIS1"), self.number("NAXIS2")) else { return Ok(()) };
        let (mut columns, mut at) = (Vec::new(), 0u64);
        for i in 1..=self.number("TFIELDS").unwrap_or(0).min(999) {
            let Some((repeat, code)) = format(self.text(&format!("TFORM{i}"))) else { return Ok(()) };
            let dtype = match code {
                'L' | 'B' | 'A' | 'X' => DType::U8,
                'I' => DType::I16,
                'J' | 'P' => DType::I32,
                'K' | 'Q' => DType::I64,
                'E' => DType::F32,
                'D' => DType::F64,
                'C' => DType::C64,
                'M' => DType::C128,
                _ => return Ok(()),
            };
            // Bits fill whole bytes; a descriptor of an array in the heap is its length and its offset.
            let n = match code {
                'X' => repeat.div_ceil(8),
                'P' | 'Q' => repeat.min(1) * 2,
                _ => repeat,
            };
            let mut shape = vec![count];
            match self.dims(&format!("TDIM{i}"), n) {
                Some(dims) if !matches!(code, 'X' | 'P' | 'Q') => shape.extend(dims),
                _ if n != 1 => shape.push(n),
                _ => (),
            }
            let name = match self.text(&format!("TTYPE{i}")) {
                "" => format!("{}/col{i}", self.name()),
                name => format!("{}/{name}", self.name()),
            };
            let column = Array::new(name, dtype, dtype.size() > 1, shape).auxiliary();
            let Some(bytes) = n.checked_mul(dtype.size() as u64) else { return Ok(()) };
            columns.push((at, column));
            let Some(next) = at.checked_add(bytes).filter(|next| *next <= stride) else { return Ok(()) };
            at = next;
        }
        columns.retain(|(_, column)| column.record_bytes() != Some(0));
        layout.strided(size, Strided { start: self.data, stride, count }, columns)
    }

    /// The dimensions of a column's element, slowest first, if they hold its `n` values.
    fn dims(&self, key: &str, n: u64) -> Option<Vec<u64>> {
        let inside = self.text(key).strip_prefix('(')?.strip_suffix(')')?;
        let dims = inside.rsplit(',').map(|dim| dim.trim().parse().ok()).collect::<Option<Vec<u64>>>()?;
        (errbar_format::dtype::n_elements(&dims) == Some(n) && n > 0).then_some(dims)
    }

    fn place_groups(&self, size: u64, axes: &[u64], layout: &mut Layout) -> Result<()> {
        let (Some(dtype), Some(count)) = (self.dtype(), self.number("GCOUNT")) else { return Ok(()) };
        let parameters = self.number("PCOUNT").unwrap_or(0);
        if parameters > 999 {
            return Ok(());
        }
        let item = dtype.size() as u64;
        let array = |name: String, shape| Array::new(name, dtype, item > 1, shape);
        let mut fields: Vec<_> = (0..parameters)
            .map(|i| match self.text(&format!("PTYPE{}", i + 1)) {
                "" => (i * item, array(format!("PAR{}", i + 1), vec![count]).auxiliary()),
                name => (i * item, array(name.into(), vec![count]).auxiliary()),
            })
            .collect();
        fields.push((parameters * item, array("DATA".into(), [count].into_iter().chain(axes.iter().rev().copied()).collect())));
        layout.strided(size, Strided { start: self.data, stride: self.bytes.checked_div(count).unwrap_or(0), count }, fields)
    }
}

/// Keyword and value of a card; `None` of a comment.
fn parse(card: &[u8]) -> Option<(String, String)> {
    let card = std::str::from_utf8(card).ok()?;
    let (key, value) = (card.get(..8)?, card.get(8..)?.strip_prefix("= ")?);
    let value = match value.trim_start().strip_prefix('\'') {
        Some(text) => {
            let end = text.replace("''", "\0\0").find('\'')?;
            text[..end].replace("''", "'").trim_end().to_owned()
        }
        None => value.split('/').next()?.trim().to_owned(),
    };
    Some((key.trim_end().to_owned(), value))
}

/// Repeat count and type of a column.
fn format(form: &str) -> Option<(u64, char)> {
    let digits = form.len() - form.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let repeat = if digits == 0 { 1 } else { form[..digits].parse().ok()? };
    Some((repeat, form[digits..].chars().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn header(cards: &[&str]) -> Vec<u8> {
        let mut text: String = cards.iter().map(|card| format!("{card:80}")).collect();
        text += &format!("{:80}", "END");
        let len = text.len().next_multiple_of(BLOCK as usize);
        format!("{text:len$}").into_bytes()
    }

    fn found(parts: &[(&[&str], usize)]) -> Layout {
        let mut file = Vec::new();
        for (cards, data) in parts {
            file.extend(header(cards));
            file.resize(file.len() + data, 1);
        }
        dissect(&&file[..], &[&Fits]).0
    }

    const PRIMARY: &[&str] = &["SIMPLE  =                    T", "BITPIX  =   16", "NAXIS   = 2 / axes", "NAXIS1  = 3", "NAXIS2  = 2"];
    const NO_DATA: &[&str] = &["SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = 0"];

    #[test]
    fn what_follows_the_last_whole_image_is_bytes() {
        let image = &["XTENSION= 'IMAGE   '", "BITPIX  = -32", "NAXIS   = 1", "NAXIS1  = 4", "EXTNAME = 'a''b  ' / name", "EXTVER  = 3"];
        let layout = found(&[(PRIMARY, 2880), (image, 16)]);
        let names: Vec<_> = layout.arrays.iter().map(|a| (&a.name[..], &a.shape[..], a.dtype)).collect();
        assert_eq!(names, [("PRIMARY", &[2, 3][..], DType::I16), ("a'b,3", &[4], DType::F32)]);
        for (extension, bytes) in [(image, 15), (&["JUNK"; 6], 16)] {
            assert_eq!(found(&[(PRIMARY, 2880), (extension, bytes)]).arrays.len(), 1);
        }
    }

    #[test]
    fn columns_follow_one_another_in_rows() {
        let table = [
            ["XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 39", "NAXIS2  = 2", "PCOUNT  = 9", "GCOUNT  = 1"],
            [
                "TFIELDS = 6",
                "TFORM1  = '1D'",
                "TTYPE1  = 'TIME'",
                "TFORM2  = '6I'",
                "TDIM2   = '(3,2)'",
                "TFORM3  = '0A'",
                "TFORM4  = '9X'",
            ],
            ["TFORM5  = '1QE(5)'", "TFORM6  = 'L'", "TTYPE6  = 'OK'", "COMMENT", "COMMENT", "COMMENT", "COMMENT"],
        ]
        .concat();
        let layout = found(&[(NO_DATA, 0), (&table, 2 * 39 + 9)]);
        let names: Vec<_> = layout.arrays.iter().map(|a| (&a.name[..], &a.shape[..])).collect();
        assert_eq!(names, [("1/TIME", &[2][..]), ("1/col2", &[2, 2, 3]), ("1/col4", &[2, 2]), ("1/col5", &[2, 2]), ("1/OK", &[2])]);
        assert_eq!(layout.places[0].length, 78);
        let compressed = [&table[..], &["ZIMAGE  = T"]].concat();
        let wide = [&["XTENSION= 'BINTABLE'", "NAXIS1  = 38"], &table[1..]].concat();
        let unknown = [&["XTENSION= 'BINTABLE'", "TFORM6  = '1Z'"], &table[1..]].concat();
        for cards in [compressed, wide, unknown] {
            assert_eq!(found(&[(NO_DATA, 0), (&cards, 2 * 39 + 9)]), Layout::default());
        }
    }

    #[test]
    fn a_long_row_is_cut_into_its_columns() {
        let table =
            ["XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 2400008", "NAXIS2  = 1", "PCOUNT  = 0", "GCOUNT  = 1"];
        let columns = ["TFIELDS = 2", "TFORM1  = '300000D'", "TFORM2  = '2J'"];
        let layout = found(&[(NO_DATA, 0), (&[&table[..], &columns].concat(), 2_400_008)]);
        assert_eq!((layout.arrays.len(), layout.places.len(), layout.places[0].length), (2, 2, 2_400_000));
    }

    #[test]
    fn groups_have_parameters_and_an_array() {
        let groups = ["NAXIS1  = 0", "NAXIS2  = 3", "NAXIS   = 2", "PCOUNT  = 2", "GCOUNT  = 5", "GROUPS  = T", "PTYPE1  = 'UU'"];
        let layout = found(&[(&[&["SIMPLE  =                    T", "BITPIX  = -32"], &groups[..]].concat(), 100)]);
        let names: Vec<_> = layout.arrays.iter().map(|a| (&a.name[..], &a.shape[..], a.auxiliary)).collect();
        assert_eq!(names, [("UU", &[5][..], true), ("PAR2", &[5], true), ("DATA", &[5, 3], false)]);
    }

    #[test]
    fn contradictions_are_bytes() {
        let with = |card: &'static str| [&PRIMARY[..1], &[card], &PRIMARY[1..]].concat();
        for card in ["NAXIS   = 1000", "NAXIS   = 3", "NAXIS1  = -3", "NAXIS1  = 18446744073709551615", "BITPIX  = 17", "NAXIS   = 'T'"] {
            assert_eq!(found(&[(&with(card), 2880)]), Layout::default(), "{card}");
        }
        assert_eq!(found(&[(PRIMARY, 11)]), Layout::default());
        assert_eq!(found(&[(&with("PCOUNT  = 1"), 2880)]).arrays, [], "what the parameter is, nobody says");
    }
}
