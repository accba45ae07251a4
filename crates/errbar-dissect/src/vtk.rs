//! VTK's legacy files (VTK File Formats, versions 1.0 to 5.1), binary: lines of text, each array behind
//! the line that announces it, big-endian.

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Bytes of a line of text, at most.
const MAX_LINE: u64 = 1024;
/// Lines in a file, at most.
const MAX_LINES: usize = 1 << 18;

/// The legacy VTK format.
#[derive(Clone, Copy, Debug)]
pub struct Vtk;

impl Dissector for Vtk {
    fn name(&self) -> &'static str {
        "vtk"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"# vtk DataFile Version ")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut reader = Reader { file, at: 0, lines: 0, grid: Vec::new(), on: On::Nothing, layout: Layout::default() };
        reader.line()?;
        reader.line()?;
        if reader.line()?.first().map(String::as_str) != Some("BINARY") {
            return Err(not_this("values are text"));
        }
        // What comes after something unknown is bytes.
        while reader.at < file.size() && reader.section().is_ok() {}
        Ok(reader.layout)
    }
}

/// What attributes belong to.
enum On {
    Nothing,
    Points(u64),
    Cells(u64),
}

struct Reader<'a> {
    file: &'a dyn ReadAt,
    at: u64,
    lines: usize,
    /// Points along each dimension of a structured grid, slowest first.
    grid: Vec<u64>,
    on: On,
    layout: Layout,
}

impl Reader<'_> {
    /// The next line, without its end.
    fn raw_line(&mut self) -> Result<String> {
        self.lines += 1;
        let len = MAX_LINE.min(self.file.size() - self.at);
        let text = Numbers::read(self.file, self.at, len, true)?;
        let text = text.bytes(0, len as usize)?;
        let end = text.iter().position(|byte| *byte == b'\n').filter(|_| self.lines <= MAX_LINES);
        let line = &text[..end.ok_or_else(|| not_this("no line of text"))?];
        self.at += line.len() as u64 + 1;
        Ok(std::str::from_utf8(line).map_err(|_| not_this("line is not text"))?.trim().to_owned())
    }

    /// The words of the next line that is not empty.
    fn line(&mut self) -> Result<Vec<String>> {
        loop {
            let line = self.raw_line()?;
            if !line.is_empty() {
                return Ok(line.split_whitespace().map(str::to_owned).collect());
            }
        }
    }

    /// A section: a line with a keyword, and what it announces.
    fn section(&mut self) -> Result<()> {
        let words = self.line()?;
        let word = |i: usize| words.get(i).map(String::as_str).ok_or_else(|| not_this("line is too short"));
        let count = |i: usize| number(word(i)?);
        let keyword = word(0)?.to_ascii_uppercase();
        match keyword.as_str() {
            "DATASET" | "SPACING" | "ORIGIN" | "ASPECT_RATIO" => Ok(()),
            "DIMENSIONS" => {
                self.grid = vec![count(3)?, count(2)?, count(1)?];
                Ok(())
            }
            "POINT_DATA" => {
                self.on = On::Points(count(1)?);
                Ok(())
            }
            "CELL_DATA" => {
                self.on = On::Cells(count(1)?);
                Ok(())
            }
            "POINTS" => {
                self.on = On::Points(count(1)?);
                self.geometry("points", word(2)?, count(1)?, 3)
            }
            "X_COORDINATES" | "Y_COORDINATES" | "Z_COORDINATES" => {
                self.on = On::Nothing;
                self.geometry(&keyword.to_lowercase(), word(2)?, count(1)?, 1)
            }
            "CELLS" | "VERTICES" | "LINES" | "POLYGONS" | "TRIANGLE_STRIPS" => self.cells(&keyword.to_lowercase(), count(1)?, count(2)?),
            "CELL_TYPES" => {
                self.on = On::Nothing;
                self.geometry("cell_types", "int", count(1)?, 1)
            }
            "SCALARS" => {
                let components = words.get(3).map_or(Ok(1), |text| number(text))?;
                self.line()?;
                self.attribute(word(1)?, word(2)?, components)
            }
            "COLOR_SCALARS" => self.attribute(word(1)?, "unsigned_char", count(2)?),
            "LOOKUP_TABLE" => {
                self.on = On::Nothing;
                self.geometry(word(1)?, "unsigned_char", count(2)?, 4)
            }
            "VECTORS" | "NORMALS" => self.attribute(word(1)?, word(2)?, 3),
            "TENSORS" => self.attribute(word(1)?, word(2)?, 9),
            "TENSORS6" => self.attribute(word(1)?, word(2)?, 6),
            "TEXTURE_COORDINATES" => self.attribute(word(1)?, word(3)?, count(2)?),
            "GLOBAL_IDS" | "PEDIGREE_IDS" | "EDGE_FLAGS" => self.attribute(word(1)?, word(2)?, 1),
            "FIELD" => (0..count(2)?).try_for_each(|_| self.field()),
            "METADATA" => self.metadata(),
            _ => Err(not_this("unknown keyword")),
        }
    }

    fn cells(&mut self, name: &str, count: u64, size: u64) -> Result<()> {
        self.on = On::Nothing;
        let before = self.at;
        // Since version 5 there are two arrays, each with a line of its own.
        if let Ok(words) = self.line()
            && let [keyword, dtype] = &words[..]
            && keyword == "OFFSETS"
        {
            self.geometry(&format!("{name}/offsets"), dtype, count, 1)?;
            let words = self.line()?;
            let dtype = words.get(1).filter(|_| words[0] == "CONNECTIVITY").ok_or_else(|| not_this("no connectivity"))?;
            return self.geometry(&format!("{name}/connectivity"), dtype, size, 1);
        }
        self.at = before;
        self.geometry(name, "int", size, 1)
    }

    /// An array of a field: name, components, tuples, type.
    fn field(&mut self) -> Result<()> {
        let mut words = self.line()?;
        if words[0] == "METADATA" {
            self.metadata()?;
            words = self.line()?;
        }
        let [name, components, tuples, dtype] = &words[..] else { return Err(not_this("array of a field")) };
        self.array(name, dtype, number(tuples)?, number(components)?, matches!(self.on, On::Nothing))
    }

    /// Lines up to an empty one.
    fn metadata(&mut self) -> Result<()> {
        while !self.raw_line()?.is_empty() {}
        Ok(())
    }

    fn geometry(&mut self, name: &str, dtype: &str, tuples: u64, components: u64) -> Result<()> {
        self.array(name, dtype, tuples, components, true)
    }

    fn attribute(&mut self, name: &str, dtype: &str, components: u64) -> Result<()> {
        let (On::Points(tuples) | On::Cells(tuples)) = self.on else { return Err(not_this("attribute of nothing")) };
        self.array(name, dtype, tuples, components, false)
    }

    /// Adds the array that begins here and goes behind it.
    fn array(&mut self, name: &str, dtype: &str, tuples: u64, components: u64, auxiliary: bool) -> Result<()> {
        let cells: Vec<u64> = self.grid.iter().map(|points| points.saturating_sub(1).max(1)).collect();
        let grid = match self.on {
            On::Points(_) => &self.grid,
            On::Cells(_) => &cells,
            On::Nothing => &Vec::new(),
        };
        let on_grid = !grid.is_empty() && errbar_format::dtype::n_elements(grid) == Some(tuples);
        let mut shape = if on_grid { grid.clone() } else { vec![tuples] };
        if components != 1 {
            shape.push(components);
        }
        let array = Array { auxiliary, ..Array::new(unescape(name), element_type(dtype)?, true, shape) };
        let end = array.bytes().and_then(|bytes| self.at.checked_add(bytes)).filter(|end| *end <= self.file.size());
        let end = end.ok_or_else(|| not_this("array is cut"))?;
        // A type's size may differ between machines: text must follow.
        let next = Numbers::read(self.file, end, (self.file.size() - end).min(1), true)?;
        if !next.u8(0).is_ok_and(|byte| byte == b'\n' || byte.is_ascii_uppercase()) && end < self.file.size() {
            return Err(not_this("array does not end where it should"));
        }
        self.layout.array(self.at, Array { big_endian: array.dtype.size() > 1, ..array });
        self.at = end;
        Ok(())
    }
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| not_this("not a number"))
}

fn element_type(name: &str) -> Result<DType> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "unsigned_char" => DType::U8,
        "char" | "signed_char" => DType::I8,
        "unsigned_short" => DType::U16,
        "short" => DType::I16,
        "unsigned_int" => DType::U32,
        // Identifiers are written as 32-bit integers.
        "int" | "vtkidtype" => DType::I32,
        "unsigned_long" | "vtktypeuint64" => DType::U64,
        "long" | "vtktypeint64" => DType::I64,
        "float" => DType::F32,
        "double" => DType::F64,
        _ => return Err(not_this("unknown type")),
    })
}

/// A name without the escapes `%20` that stand for characters that would end it.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        (bytes, rest) = match (first, code) {
            (b'%', Some(code)) => ([&bytes[..], &[code]].concat(), &tail[2..]),
            _ => ([&bytes[..], &[*first]].concat(), tail),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    /// A file of text, with `~` in the place of eight bytes of values.
    fn file(text: &str) -> Vec<u8> {
        let text = format!("# vtk DataFile Version 3.0\na title\nBINARY\n{text}");
        text.bytes().flat_map(|byte| if byte == b'~' { vec![1, 2, 3, 4, 5, 6, 7, 8] } else { vec![byte] }).collect()
    }

    fn found(bytes: &[u8]) -> Vec<(String, DType, Vec<u64>)> {
        dissect(&bytes, &[&Vtk]).0.arrays.into_iter().map(|array| (array.name, array.dtype, array.shape)).collect()
    }

    fn array(name: &str, dtype: DType, shape: &[u64]) -> (String, DType, Vec<u64>) {
        (name.into(), dtype, shape.to_vec())
    }

    #[test]
    fn attributes_of_structured_grids_have_its_shape() {
        let text = "DATASET STRUCTURED_POINTS\nDIMENSIONS 4 2 1\nSPACING 1 1 1\nORIGIN 0 0 0\nCELL_DATA 3\nSCALARS c double\nLOOKUP_TABLE default\n~~~\nPOINT_DATA 8\nSCALARS a%20b float 1\nLOOKUP_TABLE default\n~~~~\nVECTORS v short\n~~~~~~\nFIELD FieldData 1\nf 2 8 unsigned_char\n~~\nMETADATA\nINFORMATION 0\n\nCOLOR_SCALARS s 1\n~\n";
        let expected = [
            array("c", DType::F64, &[1, 1, 3]),
            array("a b", DType::F32, &[1, 2, 4]),
            array("v", DType::I16, &[1, 2, 4, 3]),
            array("f", DType::U8, &[1, 2, 4, 2]),
            array("s", DType::U8, &[1, 2, 4, 1][..3]),
        ];
        assert_eq!(found(&file(text)), expected);
    }

    #[test]
    fn cells_are_one_array_or_two() {
        let points = "DATASET POLYDATA\nPOINTS 2 float\n~~~\n";
        let old = found(&file(&format!("{points}POLYGONS 1 4\n~~\nCELL_TYPES 2\n~")));
        assert_eq!(old[1..], [array("polygons", DType::I32, &[4]), array("cell_types", DType::I32, &[2])]);
        let new = found(&file(&format!("{points}LINES 2 3\nOFFSETS vtktypeint64\n~~\nCONNECTIVITY vtktypeint64\n~~~\n")));
        assert_eq!(new[1..], [array("lines/offsets", DType::I64, &[2]), array("lines/connectivity", DType::I64, &[3])]);
    }

    #[test]
    fn what_follows_something_unknown_is_bytes() {
        for (text, arrays) in [
            ("DATASET POLYDATA\nPOINTS 2 float\n~~~\nNOVELTY 3\nPOINTS 2 float\n~~~\n", 1),
            ("DATASET POLYDATA\nPOINTS 2 string\n~~~\n", 0),
            ("DATASET POLYDATA\nPOINTS 1 float\n~~~\n", 0),
            ("DATASET POLYDATA\nPOINTS 18446744073709551615 float\n~~~\n", 0),
            ("SCALARS a float\nLOOKUP_TABLE default\n~~~\n", 0),
        ] {
            assert_eq!(found(&file(text)).len(), arrays, "{text}");
        }
        let text = file("DATASET POLYDATA\nPOINTS 2 float\n~~~\n");
        assert_eq!(found(&String::from_utf8_lossy(&text).replace("BINARY", "ASCII").into_bytes()), []);
    }

    #[test]
    fn a_file_cut_anywhere_does_no_harm() {
        let whole = file("DATASET POLYDATA\nPOINTS 2 float\n~~~\nMETADATA\nINFORMATION 0\n\nLINES 1 2\n~\n");
        for len in 0..whole.len() {
            assert!(found(&whole[..len]).len() <= 2, "{len}");
        }
        assert_eq!(found(&whole).len(), 2);
    }
}
