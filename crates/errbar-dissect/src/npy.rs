//! NumPy's `.npy`, versions 1 to 3 (NumPy Enhancement Proposal 1).

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy itself refuses to evaluate longer headers of untrusted files.
const MAX_HEADER: u64 = 10_000;

/// The `.npy` format.
#[derive(Clone, Copy, Debug)]
pub struct Npy;

impl Dissector for Npy {
    fn name(&self) -> &'static str {
        "npy"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(MAGIC) && head.len() >= 10
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let start = Numbers::read(file, 0, 12, false)?;
        let (header_len, data) = match start.u8(6)? {
            1 => (u64::from(start.u16(8)?), 10),
            2 | 3 => (u64::from(start.u32(8)?), 12),
            _ => return Err(not_this("unknown version of .npy")),
        };
        if header_len > MAX_HEADER {
            return Err(not_this("header is too long"));
        }
        let header = Numbers::read(file, data, header_len, false)?;
        let text = std::str::from_utf8(header.bytes(0, header_len as usize)?).map_err(|_| not_this("header is not text"))?;
        let array = Parser(text).array().ok_or_else(|| not_this("header is not of a plain array"))?;
        match array.bytes().and_then(|n| n.checked_add(data + header_len)) == Some(file.size()) {
            true => Ok(Layout::of(array, data + header_len)),
            false => Err(not_this("size of the file is not that of its array")),
        }
    }
}

/// A reader of the one Python dictionary that `.npy` headers are.
struct Parser<'a>(&'a str);

impl<'a> Parser<'a> {
    fn eat(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (inside, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        (!inside.contains('\\')).then_some(inside)
    }

    fn boolean(&mut self) -> Option<bool> {
        self.eat("True").map(|()| true).or_else(|| self.eat("False").map(|()| false))
    }

    fn shape(&mut self) -> Option<Vec<u64>> {
        self.eat("(")?;
        let mut shape = Vec::new();
        while self.eat(")").is_none() {
            let text = self.0.trim_start();
            let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            shape.push(text[..digits].parse().ok()?);
            self.0 = &text[digits..];
            if self.eat(",").is_none() {
                self.eat(")")?;
                return Some(shape);
            }
        }
        Some(shape)
    }

    fn array(mut self) -> Option<Array> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.eat("{")?;
        while self.eat("}").is_none() {
            let key = self.string()?;
            self.eat(":")?;
            match key {
                "descr" => descr = Some(self.string()?),
                "fortran_order" => fortran = Some(self.boolean()?),
                "shape" => shape = Some(self.shape()?),
                _ => return None,
            }
            if self.eat(",").is_none() {
                self.eat("}")?;
                break;
            }
        }
        if !self.0.trim().is_empty() {
            return None;
        }
        let (dtype, big_endian) = parse_descr(descr?)?;
        let (column_major, mut shape) = (fortran?, shape?);
        if column_major {
            shape.reverse();
        }
        Some(Array { column_major, ..Array::new("", dtype, big_endian, shape) })
    }
}

/// The type that NumPy describes so, and whether its bytes are big-endian.
pub(crate) fn parse_descr(descr: &str) -> Option<(DType, bool)> {
    let order = descr.chars().next()?;
    let dtype = match descr.get(1..)? {
        "b1" => DType::Bool,
        "u1" => DType::U8,
        "u2" => DType::U16,
        "u4" => DType::U32,
        "u8" => DType::U64,
        "i1" => DType::I8,
        "i2" => DType::I16,
        "i4" => DType::I32,
        "i8" => DType::I64,
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        "c8" => DType::C64,
        "c16" => DType::C128,
        _ => return None,
    };
    match order {
        '<' => Some((dtype, false)),
        '>' => Some((dtype, true)),
        '|' | '=' if dtype.size() == 1 => Some((dtype, false)),
        _ => None,
    }
}

/// The header of a version 1.0 `.npy` file for `shape`, given in the user's order: data follow it.
/// Types that NumPy does not have are named as unsigned integers of their size.
pub fn header(dtype: DType, big_endian: bool, column_major: bool, shape: &[u64]) -> Vec<u8> {
    let code = match dtype {
        DType::Bytes | DType::U8 => "u1",
        DType::Bool => "b1",
        DType::U16 | DType::BF16 => "u2",
        DType::U32 => "u4",
        DType::U64 => "u8",
        DType::I8 => "i1",
        DType::I16 => "i2",
        DType::I32 => "i4",
        DType::I64 => "i8",
        DType::F16 => "f2",
        DType::F32 => "f4",
        DType::F64 => "f8",
        DType::C64 => "c8",
        DType::C128 => "c16",
    };
    let order = match (dtype.size(), big_endian) {
        (1, _) => '|',
        (_, true) => '>',
        (_, false) => '<',
    };
    let fortran = if column_major { "True" } else { "False" };
    let dims: String = match shape {
        [one] => format!("{one},"),
        dims => dims.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    };
    let mut text = format!("{{'descr': '{order}{code}', 'fortran_order': {fortran}, 'shape': ({dims}), }}");
    // The data begin at a multiple of 64; the header ends with a line feed.
    let padding = 63 - (10 + text.len()) % 64;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut bytes = [MAGIC, &[1, 0], &(text.len() as u16).to_le_bytes()].concat();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn found(header_text: &str, data: usize) -> Option<Array> {
        let mut file = [MAGIC, &[1, 0], &(header_text.len() as u16).to_le_bytes(), header_text.as_bytes()].concat();
        file.resize(file.len() + data, 7);
        dissect(&&file[..], &[&Npy]).0.arrays.pop()
    }

    #[test]
    fn plain_arrays_of_every_type_order_and_endianness_are_found() {
        for &dtype in DType::ALL {
            for (big, fortran) in [(false, false), (true, false), (false, true)] {
                let mut file = header(dtype, big, fortran, &[2, 3]);
                assert_eq!(file.len() % 64, 0);
                file.resize(file.len() + 6 * dtype.size(), 1);
                let (layout, by) = dissect(&&file[..], &[&Npy]);
                let [array] = &layout.arrays[..] else { panic!("{dtype:?}") };
                assert_eq!((by, array.dtype.size(), array.column_major), (Some("npy"), dtype.size(), fortran));
                assert_eq!(array.shape, if fortran { [3, 2] } else { [2, 3] });
                assert_eq!(array.big_endian, big && dtype.size() > 1);
            }
        }
    }

    #[test]
    fn headers_as_others_write_them() {
        assert_eq!(found("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", 4).expect("0-d").shape, [0u64; 0]);
        assert_eq!(found("{\"shape\":(3,),\"descr\":\"|u1\",\"fortran_order\":False}", 3).expect("tight").shape, [3]);
        assert_eq!(found("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5)}", 0).expect("empty").shape, [0, 5]);
    }

    #[test]
    fn everything_else_is_bytes() {
        for (text, data) in [
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 4),
            ("{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }", 12),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 4),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 5),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 1), }", 0),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4),
            ("{'descr': '<f4', 'fortran_order': False, ", 4),
            ("", 4),
        ] {
            assert_eq!(found(text, data), None, "{text}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_bytes() {
        let mut file = header(DType::F64, false, false, &[4]);
        file.resize(file.len() + 32, 0);
        for len in 0..file.len() {
            assert_eq!(dissect(&&file[..len], &[&Npy]), (Layout::default(), None));
        }
    }
}
