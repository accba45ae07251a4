//! Binary PLY, the Stanford polygon format (Turk, "The PLY Polygon File Format", 1994).

use errbar_format::{DType, Result};

use crate::cursor::Cursor;
use crate::numbers::Numbers;
use crate::strided::Strided;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Lines of a header, at most.
const MAX_LINES: usize = 4096;
/// Bytes read at once to compare the lengths of lists.
const PIECE: u64 = 1 << 20;

/// The PLY format.
#[derive(Clone, Copy, Debug)]
pub struct Ply;

impl Dissector for Ply {
    fn name(&self) -> &'static str {
        "ply"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"ply\n") || head.starts_with(b"ply\r\n")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut header = Cursor::new(file, 0, false);
        let (elements, big_endian) = elements(&mut header)?;
        let mut layout = Layout::default();
        let mut at = header.at;
        for element in elements.iter().filter(|element| element.count > 0) {
            let Record { stride, fields, lengths } = element.first_record(file, at, big_endian)?;
            let end = stride.checked_mul(element.count).and_then(|n| n.checked_add(at)).filter(|end| *end <= file.size());
            let end = end.ok_or_else(|| not_this("elements reach past the file"))?;
            let records = Strided { start: at, stride, count: element.count };
            // Where the lists end shows only where all are alike; what follows others is bytes.
            if !are_alike(file, records, &lengths)? {
                break;
            }
            layout.strided(file.size(), records, fields)?;
            at = end;
        }
        Ok(layout)
    }
}

/// Items of one kind, such as vertices.
struct Element {
    name: String,
    count: u64,
    properties: Vec<Property>,
}

struct Property {
    name: String,
    dtype: DType,
    /// Type of the number of items that precedes a list.
    list: Option<DType>,
}

/// One item as it lies in the file.
struct Record {
    stride: u64,
    fields: Vec<(u64, Array)>,
    /// Where it has the lengths of its lists, and their bytes.
    lengths: Vec<(u64, Vec<u8>)>,
}

fn elements(header: &mut Cursor) -> Result<(Vec<Element>, bool)> {
    let (mut elements, mut big_endian) = (Vec::<Element>::new(), None);
    for _ in 0..MAX_LINES {
        let line = header.line()?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["format", "binary_little_endian", "1.0"] => big_endian = Some(false),
            ["format", "binary_big_endian", "1.0"] => big_endian = Some(true),
            ["format", ..] => return Err(not_this("numbers are text")),
            ["element", name, count] => {
                let count = count.parse().map_err(|_| not_this("count is not a number"))?;
                elements.push(Element { name: name.into(), count, properties: Vec::new() });
            }
            ["property", ref rest @ ..] => {
                let (list, dtype, name) = match *rest {
                    ["list", list, dtype, name] => (Some(self::dtype(list)?), dtype, name),
                    [dtype, name] => (None, dtype, name),
                    _ => return Err(not_this("unknown kind of property")),
                };
                let property = Property { name: name.into(), dtype: self::dtype(dtype)?, list };
                elements.last_mut().ok_or_else(|| not_this("property of no element"))?.properties.push(property);
            }
            ["end_header"] => return Ok((elements, big_endian.ok_or_else(|| not_this("no format"))?)),
            _ => (),
        }
    }
    Err(not_this("header is too long"))
}

fn dtype(name: &str) -> Result<DType> {
    Ok(match name {
        "char" | "int8" => DType::I8,
        "uchar" | "uint8" => DType::U8,
        "short" | "int16" => DType::I16,
        "ushort" | "uint16" => DType::U16,
        "int" | "int32" => DType::I32,
        "uint" | "uint32" => DType::U32,
        "float" | "float32" => DType::F32,
        "double" | "float64" => DType::F64,
        _ => return Err(not_this("unknown type")),
    })
}

impl Element {
    /// The record that begins at `start`, with fields for all of them.
    fn first_record(&self, file: &dyn ReadAt, start: u64, big_endian: bool) -> Result<Record> {
        let (mut at, mut fields, mut lengths) = (0u64, Vec::new(), Vec::new());
        for property in &self.properties {
            let mut shape = vec![self.count];
            let mut n = 1;
            if let Some(list) = property.list {
                let bytes = Numbers::read(file, start.saturating_add(at), list.size() as u64, big_endian)?;
                n = match list {
                    DType::U8 | DType::I8 => bytes.u8(0)?.into(),
                    DType::U16 | DType::I16 => bytes.u16(0)?.into(),
                    DType::U32 | DType::I32 => bytes.u32(0)?.into(),
                    _ => return Err(not_this("length of a list is not an integer")),
                };
                lengths.push((at, bytes.bytes(0, list.size())?.to_vec()));
                at += list.size() as u64;
                shape.push(n);
            }
            let array =
                Array::new(format!("{}/{}", self.name, property.name), property.dtype, big_endian && property.dtype.size() > 1, shape);
            if n > 0 {
                fields.push((at, array));
            }
            at = at.saturating_add(n * property.dtype.size() as u64);
        }
        Ok(Record { stride: at, fields, lengths })
    }
}

/// Whether every record has these bytes where the first one has them.
fn are_alike(file: &dyn ReadAt, records: Strided, lengths: &[(u64, Vec<u8>)]) -> Result<bool> {
    if lengths.is_empty() || records.count == 1 {
        return Ok(true);
    }
    if records.stride > PIECE {
        return Ok(false);
    }
    let per_piece = PIECE / records.stride;
    for first in (0..records.count).step_by(per_piece as usize) {
        let n = per_piece.min(records.count - first);
        let piece = Numbers::read(file, records.start + first * records.stride, n * records.stride, false)?;
        for record in piece.bytes(0, (n * records.stride) as usize)?.chunks_exact(records.stride as usize) {
            if lengths.iter().any(|(at, bytes)| !record[*at as usize..].starts_with(bytes)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    const VERTEX: &str = "element vertex 2\nproperty float x\nproperty uchar red\n";

    fn found(lines: &str, data: &[u8]) -> Option<Vec<(String, Vec<u64>)>> {
        let header = format!("ply\nformat binary_little_endian 1.0\ncomment none\n{lines}end_header\n");
        let (layout, by) = dissect(&&[header.as_bytes(), data].concat()[..], &[&Ply]);
        by.map(|_| layout.arrays.into_iter().map(|array| (array.name, array.shape)).collect())
    }

    #[test]
    fn lists_of_one_length_are_fields() {
        let faces =
            "element face 2\nproperty list uchar short vertex_indices\nproperty list ushort uchar none\nelement end 1\nproperty int n\n";
        let data = [&[0; 10][..], &[2, 7, 0, 8, 0, 0, 0], &[2, 9, 0, 8, 0, 0, 0], &[1; 4]].concat();
        let arrays = found(&format!("{VERTEX}{faces}"), &data).expect("found");
        let names: Vec<_> = arrays.iter().map(|(name, shape)| (&name[..], &shape[..])).collect();
        let vertex = [("vertex/x", &[2][..]), ("vertex/red", &[2])];
        assert_eq!(names[..2], vertex);
        assert_eq!(names[2..], [("", &[2, 1][..]), ("face/vertex_indices", &[2, 2]), ("", &[2, 2]), ("end/n", &[1])]);
    }

    #[test]
    fn lists_of_several_lengths_and_what_follows_are_bytes() {
        let faces = "element face 2\nproperty list uchar uchar vertex_indices\nelement end 1\nproperty int n\n";
        let data = [&[0; 10][..], &[1, 7, 2, 8, 9], &[1; 4]].concat();
        assert_eq!(found(&format!("{VERTEX}{faces}"), &data).expect("found").len(), 2);
    }

    #[test]
    fn contradictions_are_bytes() {
        assert!(found(VERTEX, &[0; 10]).is_some());
        for (lines, n) in [
            (VERTEX, 9),
            ("element vertex 99999999999999999999\n", 9),
            ("element vertex 18446744073709551615\nproperty double x\n", 9),
            ("property float x\n", 9),
            ("element vertex 1\nproperty text x\n", 9),
            ("element vertex 1\nproperty list float int x\n", 9),
            ("element vertex 1\nproperty list uint double x\n", 4),
            ("element vertex 1\nproperty list int double x\n", 9),
            ("format ascii 1.0\n", 9),
        ] {
            assert_eq!(found(lines, &vec![0xff; n]), None, "{lines}");
        }
    }

    #[test]
    fn elements_without_properties_have_no_bytes() {
        assert_eq!(found("element none 1000000\nelement vertex 1\nproperty uchar x\n", &[1]).expect("found").len(), 1);
    }
}
