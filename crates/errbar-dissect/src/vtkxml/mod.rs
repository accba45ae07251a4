//! VTK's XML files (VTK File Formats): arrays that are appended or stand in the XML, as bytes or as base64,
//! plain or compressed by zlib. Arrays as plain text stay bytes.

use std::collections::HashSet;

use errbar_format::dtype::n_elements;
use errbar_format::{DType, Result};

use crate::layout::MAX_PLACES;
use crate::numbers::Numbers;
use crate::{Array, Dissector, Holds, Inside, Layout, Place, ReadAt, not_this};

mod stored;
#[cfg(test)]
mod tests;
mod xml;

use stored::{Form, Headers, Stored};
use xml::{Tag, Tags, unescape};

/// Bytes from the tag of appended data to where they begin, at most.
const MAX_BEFORE: u64 = 256;

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
        let mut tags = Tags::new(file);
        let root = loop {
            match tags.next()? {
                None => return Err(not_this("no VTKFile")),
                Some(tag) if tag.name() == "VTKFile" => break tag,
                Some(_) => {}
            }
        };
        let form = Form::of(&root)?;
        let big_endian = form.big_endian;
        let Document { arrays, appended, pieces } = Document::read(file, tags)?;
        let mut headers = Headers { file, form, left: file.size() };
        let mut seen = HashSet::new();
        let mut layout = Layout::default();
        for Declared { array, grid, piece, data } in arrays {
            let stored = match (data, &appended) {
                // Steps of time share what does not change.
                (Data::Appended(offset), Some(appended)) if seen.insert(offset) => {
                    let at = appended.at.checked_add(offset).ok_or_else(|| not_this("offset overflows"))?;
                    if appended.base64 { headers.text(at) } else { headers.raw(at) }
                }
                (Data::Inline { from, to }, _) => headers.between(from, to),
                (Data::Appended(_), _) => continue,
            };
            let Ok(Stored { bytes, offset, length, stream }) = stored else { continue };
            let Some(array) = shaped(array, &grid, bytes) else { continue };
            let name = if pieces > 1 { format!("{piece}/{}", array.name) } else { array.name.clone() };
            let array = Array { name, big_endian: big_endian && array.dtype.size() > 1, ..array };
            match stream {
                None => layout.array(offset, array),
                Some(_) if bytes == 0 => {}
                Some((wrapper, before)) => {
                    layout.places.push(Place { offset, length, holds: Holds::Stream(wrapper, Inside::Array(Box::new(array), before)) });
                }
            }
        }
        match layout.places.is_empty() {
            true => Err(not_this("no array that is not plain text")),
            false => Ok(layout),
        }
    }
}

/// What the tags of a file say.
#[derive(Default)]
struct Document {
    arrays: Vec<Declared>,
    appended: Option<Appended>,
    pieces: usize,
}

/// The data behind the XML.
struct Appended {
    /// Where offsets count from.
    at: u64,
    base64: bool,
}

/// An array as its tag declares it.
struct Declared {
    /// Its shape has the number of components only.
    array: Array,
    /// Tuples along each dimension if it lies on its piece's grid, slowest first.
    grid: Vec<u64>,
    piece: usize,
    data: Data,
}

/// Where the data of an array are.
enum Data {
    /// So many bytes behind the start of the appended data.
    Appended(u64),
    /// Between two tags.
    Inline { from: u64, to: u64 },
}

impl Document {
    fn read(file: &dyn ReadAt, mut tags: Tags<'_>) -> Result<Document> {
        let mut document = Document::default();
        let mut scan = Scan::default();
        // The array whose data end where the next tag begins.
        let mut open = false;
        while let Some(tag) = tags.next()? {
            if std::mem::take(&mut open)
                && let Some(Declared { data: Data::Inline { to, .. }, .. }) = document.arrays.last_mut()
            {
                *to = tag.at;
            }
            if tag.name() == "AppendedData" {
                document.appended = Appended::of(file, &tag)?;
                break;
            }
            scan.enter(&tag);
            if tag.name() != "DataArray" {
                continue;
            }
            scan.arrays += 1;
            let data = match tag.text("format") {
                Some("appended") => tag.number("offset").map(Data::Appended),
                Some("binary") => Some(Data::Inline { from: tag.end, to: tag.end }),
                _ => None,
            };
            if let Some((data, array)) = data.zip(scan.array(&tag)) {
                if document.arrays.len() == MAX_PLACES {
                    return Err(not_this("too many arrays"));
                }
                open = matches!(data, Data::Inline { .. });
                document.arrays.push(Declared { array, grid: scan.grid(), piece: scan.pieces.saturating_sub(1), data });
            }
        }
        document.pieces = scan.pieces;
        Ok(document)
    }
}

impl Appended {
    /// Nothing where they are in no form that is known.
    fn of(file: &dyn ReadAt, tag: &Tag) -> Result<Option<Appended>> {
        let len = MAX_BEFORE.min(file.size() - tag.end);
        let before = Numbers::read(file, tag.end, len, false)?;
        let start = before.bytes(0, len as usize)?.iter().position(|byte| *byte == b'_');
        let base64 = match tag.text("encoding") {
            Some("raw") => Some(false),
            Some("base64") => Some(true),
            _ => None,
        };
        Ok(start.zip(base64).map(|(start, base64)| Appended { at: tag.end + start as u64 + 1, base64 }))
    }
}

/// Where in the document a tag stands.
#[derive(Default)]
struct Scan {
    section: String,
    /// Arrays of this section so far.
    arrays: usize,
    /// Pieces so far.
    pieces: usize,
    /// Points along each dimension of a structured piece, slowest first.
    points: Vec<u64>,
}

impl Scan {
    fn enter(&mut self, tag: &Tag) {
        match tag.name() {
            "PointData" | "CellData" | "Points" | "Cells" | "Verts" | "Lines" | "Strips" | "Polys" | "Coordinates" | "FieldData" => {
                (self.section, self.arrays) = (tag.name().to_owned(), 0);
            }
            "Piece" => {
                self.pieces += 1;
                let extent: Vec<i64> = tag.text("Extent").unwrap_or("").split_whitespace().filter_map(|text| text.parse().ok()).collect();
                let along = |pair: &[i64]| u64::try_from(pair[1].saturating_sub(pair[0]).saturating_add(1)).unwrap_or(0);
                self.points = if extent.len() == 6 { extent.chunks(2).rev().map(along).collect() } else { Vec::new() };
            }
            _ => {}
        }
    }

    /// An array without its shape, which has the number of components only.
    fn array(&self, tag: &Tag) -> Option<Array> {
        let dtype = element_type(tag.text("type")?)?;
        let own = tag.text("Name").map(unescape).unwrap_or_else(|| self.arrays.to_string());
        let name = match self.section.as_str() {
            "PointData" | "CellData" | "Points" | "FieldData" => own,
            section => format!("{section}/{own}"),
        };
        let components = tag.number("NumberOfComponents").unwrap_or(1);
        let array = Array::new(name, dtype, false, if components == 1 { Vec::new() } else { vec![components] });
        let measured = matches!(self.section.as_str(), "PointData" | "CellData") && !array.name.ends_with("vtkGhostType");
        Some(Array { auxiliary: !measured, ..array })
    }

    /// Tuples along each dimension of an array of this section that lies on the piece's grid.
    fn grid(&self) -> Vec<u64> {
        match self.section.as_str() {
            "CellData" => self.points.iter().map(|points| points.saturating_sub(1).max(1)).collect(),
            _ => self.points.clone(),
        }
    }
}

/// The array with its whole shape, as its bytes and the grid tell.
fn shaped(array: Array, grid: &[u64], bytes: u64) -> Option<Array> {
    let tuples = bytes.checked_div(array.bytes()?).filter(|tuples| tuples * array.bytes().unwrap_or(0) == bytes)?;
    let tuples = if !grid.is_empty() && n_elements(grid) == Some(tuples) { grid } else { &[tuples] };
    Some(Array { shape: [tuples, &array.shape].concat(), ..array })
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
