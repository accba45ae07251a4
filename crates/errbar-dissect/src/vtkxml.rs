//! VTK's XML files (VTK File Formats): arrays that are appended raw and not compressed.

use std::collections::HashMap;

use errbar_format::dtype::n_elements;
use errbar_format::{DType, Result};

use crate::layout::MAX_PLACES;
use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Bytes of XML before the appended data, at most.
const MAX_XML: u64 = 1 << 24;
const STEP: u64 = 1 << 16;
const APPENDED: &[u8] = b"<AppendedData";

/// The XML formats of VTK: `.vti`, `.vtr`, `.vts`, `.vtu`, `.vtp`.
#[derive(Clone, Copy, Debug)]
pub struct VtkXml;

impl Dissector for VtkXml {
    fn name(&self) -> &'static str {
        "vtkxml"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.windows(8).any(|window| window == b"<VTKFile")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let (xml, data) = before_data(file)?;
        let root = tags(&xml).find(|tag| tag.name == "VTKFile").ok_or_else(|| not_this("no VTKFile"))?;
        if root.text("compressor").is_some() {
            return Err(not_this("arrays are compressed"));
        }
        let wide = match root.text("header_type").unwrap_or("UInt32") {
            "UInt32" => false,
            "UInt64" => true,
            _ => return Err(not_this("unknown type of lengths")),
        };
        let big_endian = root.text("byte_order") == Some("BigEndian");
        let pieces = tags(&xml).filter(|tag| tag.name == "Piece").count();
        let mut scan = Scan::default();
        let mut layout = Layout::default();
        for tag in tags(&xml) {
            scan.enter(&tag);
            let appended = tag.name == "DataArray" && tag.text("format") == Some("appended");
            let Some((array, offset)) = appended.then(|| scan.array(&tag, pieces > 1)).flatten() else { continue };
            let at = data.checked_add(offset).ok_or_else(|| not_this("offset overflows"))?;
            let length = Numbers::read(file, at, if wide { 8 } else { 4 }, big_endian)?;
            let (length, at) = if wide { (length.u64(0)?, at + 8) } else { (length.u32(0)?.into(), at + 4) };
            if layout.arrays.len() == MAX_PLACES {
                return Err(not_this("too many arrays"));
            }
            if let Some(array) = scan.shaped(array, length) {
                layout.array(at, Array { big_endian: big_endian && array.dtype.size() > 1, ..array });
            }
        }
        Ok(layout)
    }
}

/// The text before the appended data, and where offsets count from.
fn before_data(file: &dyn ReadAt) -> Result<(String, u64)> {
    let mut text: Vec<u8> = Vec::new();
    loop {
        let from = text.len().saturating_sub(APPENDED.len());
        let len = STEP.min(file.size() - text.len() as u64);
        if len == 0 || text.len() as u64 > MAX_XML {
            return Err(not_this("no appended data"));
        }
        let more = Numbers::read(file, text.len() as u64, len, false)?;
        text.extend_from_slice(more.bytes(0, len as usize)?);
        if let Some(i) = text[from..].windows(APPENDED.len()).position(|window| window == APPENDED) {
            let at = (from + i) as u64;
            let len = 256.min(file.size() - at);
            let element = Numbers::read(file, at, len, false)?;
            let element = element.bytes(0, len as usize)?;
            let start = element.iter().position(|byte| *byte == b'_').ok_or_else(|| not_this("appended data do not begin"))?;
            if tags(&String::from_utf8_lossy(&element[..start])).next().is_none_or(|tag| tag.text("encoding") != Some("raw")) {
                return Err(not_this("appended data are text"));
            }
            text.truncate(at as usize);
            return Ok((String::from_utf8_lossy(&text).into_owned(), at + start as u64 + 1));
        }
    }
}

/// A tag with its attributes; the name of a closing one begins with a slash.
struct Tag<'a> {
    name: &'a str,
    attributes: HashMap<&'a str, &'a str>,
}

impl Tag<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).copied()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }
}

/// All tags of a text. Comments and instructions are not told apart: VTK writes no tags into them.
fn tags(xml: &str) -> impl Iterator<Item = Tag<'_>> {
    xml.split('<').skip(1).map(|part| {
        let inside = part.split_once('>').map_or("", |(inside, _)| inside);
        let name = inside.split([' ', '\t', '\r', '\n']).next().unwrap_or("");
        let mut attributes = HashMap::new();
        let mut rest = &inside[name.len()..];
        while let Some((key, value)) = rest.split_once('=') {
            let value = value.trim_start();
            let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
            let Some((value, after)) = value[1..].split_once(quote) else { break };
            attributes.insert(key.trim(), value);
            rest = after;
        }
        Tag { name: name.trim_end_matches('/'), attributes }
    })
}

/// Where in the document a tag stands.
#[derive(Default)]
struct Scan {
    section: String,
    /// Arrays of this section so far.
    arrays: usize,
    piece: Option<usize>,
    /// Points along each dimension of a structured piece, slowest first.
    points: Vec<u64>,
}

impl Scan {
    fn enter(&mut self, tag: &Tag) {
        match tag.name {
            "PointData" | "CellData" | "Points" | "Cells" | "Verts" | "Lines" | "Strips" | "Polys" | "Coordinates" | "FieldData" => {
                (self.section, self.arrays) = (tag.name.to_owned(), 0);
            }
            "Piece" => {
                self.piece = Some(self.piece.map_or(0, |piece| piece + 1));
                let extent: Vec<i64> = tag.text("Extent").unwrap_or("").split_whitespace().filter_map(|text| text.parse().ok()).collect();
                let along = |pair: &[i64]| u64::try_from(pair[1].saturating_sub(pair[0]).saturating_add(1)).unwrap_or(0);
                self.points = if extent.len() == 6 { extent.chunks(2).rev().map(along).collect() } else { Vec::new() };
            }
            _ => {}
        }
    }

    /// An array without its shape, which has the number of components only, and its offset.
    fn array(&mut self, tag: &Tag, with_piece: bool) -> Option<(Array, u64)> {
        self.arrays += 1;
        let dtype = element_type(tag.text("type")?)?;
        let own = tag.text("Name").map(unescape).unwrap_or_else(|| self.arrays.to_string());
        let mut name = match self.section.as_str() {
            "PointData" | "CellData" | "Points" | "FieldData" => own,
            section => format!("{section}/{own}"),
        };
        if let (Some(piece), true) = (self.piece, with_piece) {
            name = format!("{piece}/{name}");
        }
        let components = tag.number("NumberOfComponents").unwrap_or(1);
        let array = Array::new(name, dtype, false, if components == 1 { Vec::new() } else { vec![components] });
        let measured = matches!(self.section.as_str(), "PointData" | "CellData") && !array.name.ends_with("vtkGhostType");
        Some((Array { auxiliary: !measured, ..array }, tag.number("offset")?))
    }

    /// The array with its whole shape, as its bytes and the piece's grid tell.
    fn shaped(&self, array: Array, length: u64) -> Option<Array> {
        let tuples = length.checked_div(array.bytes()?).filter(|tuples| tuples * array.bytes().unwrap_or(0) == length)?;
        let grid: Vec<u64> = match self.section.as_str() {
            "CellData" => self.points.iter().map(|points| points.saturating_sub(1).max(1)).collect(),
            _ => self.points.clone(),
        };
        let tuples = if !grid.is_empty() && n_elements(&grid) == Some(tuples) { grid } else { vec![tuples] };
        Some(Array { shape: [&tuples[..], &array.shape].concat(), ..array })
    }
}

fn element_type(name: &str) -> Option<DType> {
    Some(match name {
        "UInt8" => DType::U8,
        "UInt16" => DType::U16,
        "UInt32" => DType::U32,
        "UInt64" => DType::U64,
        "Int8" => DType::I8,
        "Int16" => DType::I16,
        "Int32" => DType::I32,
        "Int64" => DType::I64,
        "Float32" => DType::F32,
        "Float64" => DType::F64,
        _ => return None,
    })
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    /// A file with this root and content; the appended data are two arrays of 24 and 12 bytes.
    fn file(root: &str, content: &str) -> Vec<u8> {
        let wide = root.contains("UInt64");
        let length = |n: u8| if wide { vec![n, 0, 0, 0, 0, 0, 0, 0] } else { vec![n, 0, 0, 0] };
        let xml = format!("<?xml version=\"1.0\"?>\n<VTKFile {root}>\n{content}\n<AppendedData encoding=\"raw\">\n   _");
        [xml.as_bytes(), &length(24), &[1; 24], &length(12), &[2; 12], b"\n</AppendedData></VTKFile>"].concat()
    }

    fn data_array(name: &str, dtype: &str, more: &str) -> String {
        format!("<DataArray type=\"{dtype}\" {name} format=\"appended\" {more}/>")
    }

    fn found(bytes: &[u8]) -> Vec<(String, DType, Vec<u64>)> {
        dissect(&bytes, &[&VtkXml]).0.arrays.into_iter().map(|array| (array.name, array.dtype, array.shape)).collect()
    }

    #[test]
    fn arrays_of_grids_have_their_shape() {
        for (root, second) in [("type=\"ImageData\"", 28), ("type='ImageData' header_type = 'UInt64'", 32)] {
            let content = format!(
                "<Piece Extent=\"0 2 0 1 5 5\"><PointData>{}</PointData><CellData>{}</CellData></Piece>",
                data_array("Name=\"a &lt; b\"", "Float32", "offset=\"0\""),
                data_array("Name=\"v\"", "Int16", &format!("NumberOfComponents=\"3\" offset=\"{second}\"")),
            );
            let expected = [("a < b".to_owned(), DType::F32, vec![1, 2, 3]), ("v".to_owned(), DType::I16, vec![1, 1, 2, 3])];
            assert_eq!(found(&file(root, &content)), expected);
        }
    }

    #[test]
    fn arrays_of_pieces_and_geometry_say_where_they_belong() {
        let piece = |section: &str, offset: &str| format!("<Piece><{section}>{}</{section}></Piece>", data_array("", "UInt8", offset));
        let content = piece("Cells", "offset=\"0\"") + &piece("Points", "offset=\"28\" NumberOfComponents=\"3\"");
        let expected = [("0/Cells/1".to_owned(), DType::U8, vec![24]), ("1/1".to_owned(), DType::U8, vec![4, 3])];
        assert_eq!(found(&file("", &content)), expected);
    }

    #[test]
    fn compressed_text_and_odd_arrays_are_bytes() {
        let content = data_array("Name=\"a\"", "Float32", "offset=\"0\"");
        assert_eq!(found(&file("", &content)).len(), 1);
        assert_eq!(found(&file("compressor=\"vtkZLibDataCompressor\"", &content)), []);
        let base64 = String::from_utf8_lossy(&file("", &content)).replace("\"raw\"", "\"base64\"");
        assert_eq!(found(base64.as_bytes()), []);
        for more in [
            "offset=\"999999\"",
            "offset=\"18446744073709551615\"",
            "offset=\"0\" NumberOfComponents=\"7\"",
            "offset=\"0\" NumberOfComponents=\"0\"",
            "",
        ] {
            assert_eq!(found(&file("", &data_array("Name=\"a\"", "Float32", more))), [], "{more}");
        }
        assert_eq!(found(&file("", &data_array("Name=\"a\"", "Bit", "offset=\"0\""))), []);
        assert_eq!(found(&file("", &content.repeat(2))), [], "two arrays in one place");
    }

    #[test]
    fn a_file_cut_anywhere_does_no_harm() {
        let whole = file("", &data_array("Name=\"a\"", "Float32", "offset=\"0\""));
        for len in 0..whole.len() {
            assert!(found(&whole[..len]).len() <= 1, "{len}");
        }
    }
}
