//! NRRD with its data attached or in another file, raw or in gzip ("Definition of NRRD File Format", teem.sourceforge.net/nrrd).

use errbar_format::{DType, Result};

use crate::cursor::Cursor;
use crate::{Array, Dissector, Holds, Inside, Layout, Place, ReadAt, Wrapper, not_this};

/// Lines of a header, or lines to be left out before the data, at most.
const MAX_LINES: u64 = 1 << 16;

/// The NRRD format.
#[derive(Clone, Copy, Debug)]
pub struct Nrrd;

impl Dissector for Nrrd {
    fn name(&self) -> &'static str {
        "nrrd"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"NRRD000")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut cursor = Cursor::new(file, 0, false);
        let Header { array, encoding, skipped, lines, data_file } = header(&mut cursor)?;
        if data_file.is_some() {
            return Err(not_this("data are in another file"));
        }
        for _ in 0..lines.min(MAX_LINES) {
            cursor.line()?;
        }
        if encoding == Encoding::Gzip {
            // What is skipped before the data is skipped in what they inflate to.
            let length =
                file.size().checked_sub(cursor.at).filter(|_| skipped == 0).ok_or_else(|| not_this("bytes are skipped in gzip"))?;
            let holds = Holds::Stream(Wrapper::Gzip, Inside::Array(Box::new(array), 0));
            return Ok(Layout { places: vec![Place { offset: cursor.at, length, holds }], ..Layout::default() });
        }
        let at = match u64::try_from(skipped) {
            Ok(skipped) => cursor.at.checked_add(skipped),
            // -1: the data end with the file.
            Err(_) => array.bytes().and_then(|bytes| file.size().checked_sub(bytes)).filter(|at| skipped == -1 && *at >= cursor.at),
        };
        Ok(Layout::of(array, at.ok_or_else(|| not_this("data do not fit the file"))?))
    }
}

/// What a header says.
pub(crate) struct Header {
    pub(crate) array: Array,
    pub(crate) encoding: Encoding,
    /// Bytes before the data, behind `lines`; −1: the data end with their file.
    pub(crate) skipped: i64,
    /// Lines before the data.
    pub(crate) lines: u64,
    /// The file with the data, if that is another one.
    pub(crate) data_file: Option<String>,
}

/// Reads a header to the empty line behind it, or to its end where the data are in another file.
pub(crate) fn header(cursor: &mut Cursor) -> Result<Header> {
    cursor.line()?;
    let (mut dtype, mut shape, mut dimension, mut big_endian) = (None, None, None, None);
    let (mut encoding, mut skipped, mut lines, mut data_file) = (None, 0i64, 0u64, None);
    for n in 0.. {
        let line = match cursor.line() {
            Err(_) if data_file.is_some() => break,
            line => line?,
        };
        if line.is_empty() {
            break;
        }
        if n > MAX_LINES {
            return Err(not_this("header is too long"));
        }
        // Comments have no colon that counts; `key:=value` is the user's own.
        let Some((key, value)) = line.split_once(':').filter(|(key, value)| !key.starts_with('#') && !value.starts_with('=')) else {
            continue;
        };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "type" => dtype = self::dtype(value),
            "dimension" => dimension = value.parse().ok(),
            "sizes" => shape = value.split_whitespace().rev().map(|size| size.parse().ok()).collect::<Option<Vec<u64>>>(),
            "endian" => big_endian = Some(value.eq_ignore_ascii_case("big")),
            "encoding" => encoding = Encoding::named(value),
            "byte skip" | "byteskip" => skipped = value.parse().map_err(|_| not_this("byte skip is not a number"))?,
            "line skip" | "lineskip" => lines = value.parse().map_err(|_| not_this("line skip is not a number"))?,
            "data file" | "datafile" => data_file = Some(value.to_owned()),
            _ => (),
        }
    }
    let (Some(dtype), Some(shape), Some(encoding)) = (dtype, shape, encoding) else {
        return Err(not_this("no array of a type and an encoding known here"));
    };
    if dimension != Some(shape.len()) || (big_endian.is_none() && dtype.size() > 1) {
        return Err(not_this("sizes or byte order are missing"));
    }
    let array = Array { column_major: true, ..Array::new("", dtype, big_endian == Some(true) && dtype.size() > 1, shape) };
    Ok(Header { array, encoding, skipped, lines, data_file })
}

/// How the elements stand in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Encoding {
    Raw,
    Gzip,
}

impl Encoding {
    fn named(name: &str) -> Option<Encoding> {
        match name.to_ascii_lowercase().as_str() {
            "raw" => Some(Encoding::Raw),
            "gzip" | "gz" => Some(Encoding::Gzip),
            _ => None,
        }
    }
}

fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "signed char" | "int8" | "int8_t" => DType::I8,
        "uchar" | "unsigned char" | "uint8" | "uint8_t" => DType::U8,
        "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => DType::I16,
        "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => DType::U16,
        "int" | "signed int" | "int32" | "int32_t" => DType::I32,
        "uint" | "unsigned int" | "uint32" | "uint32_t" => DType::U32,
        "longlong" | "long long" | "long long int" | "signed long long" | "signed long long int" | "int64" | "int64_t" => DType::I64,
        "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => DType::U64,
        "float" => DType::F32,
        "double" => DType::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    const FINE: &str = "type: short\ndimension: 2\nsizes: 3 2\nendian: big\nencoding: raw\n";

    fn found(fields: &str, data: usize) -> Option<(Array, u64)> {
        let mut file = format!("NRRD0004\n# a: comment\nkey:=dimension: 7\n{fields}\n").into_bytes();
        let header = file.len() as u64;
        file.resize(file.len() + data, 10);
        let mut layout = dissect(&&file[..], &[&Nrrd]).0;
        Some((layout.arrays.pop()?, layout.places[0].offset - header))
    }

    #[test]
    fn the_first_index_varies_fastest() {
        let (array, at) = found(FINE, 12).expect("found");
        assert_eq!((array.index_shape(), array.big_endian, array.dtype, at), (vec![3, 2], true, DType::I16, 0));
    }

    #[test]
    fn lines_and_bytes_are_left_out() {
        for (skip, at) in [("byte skip: 5\n", 5), ("line skip: 2\nbyteskip: 1\n", 3), ("byte skip: -1\n", 8)] {
            assert_eq!(found(&format!("{FINE}{skip}"), 20).map(|(_, at)| at), Some(at), "{skip}");
        }
    }

    #[test]
    fn data_in_gzip_are_one_stream_of_the_array() {
        let place = |fields: &str| {
            let file = format!("NRRD0004\n{fields}\nstream");
            dissect(&file.as_bytes(), &[&Nrrd]).0.places.pop()
        };
        let gzip = FINE.replace("raw", "gzip");
        let Some(Place { offset, length: 6, holds: Holds::Stream(Wrapper::Gzip, inside) }) = place(&gzip) else { panic!("no stream") };
        assert_eq!(offset, gzip.len() as u64 + 10);
        assert_eq!(inside.dissect(&&[1; 12][..]).arrays[0].index_shape(), [3, 2]);
        assert_eq!(inside.dissect(&&[1; 11][..]), Layout::default(), "too few elements");
        assert_eq!(place(&format!("{gzip}byte skip: 4\n")), None);
    }

    #[test]
    fn contradictions_are_bytes() {
        for more in [
            "encoding: bzip2\n",
            "data file: a.raw\n",
            "type: block\n",
            "dimension: 3\n",
            "sizes: 3 -2\n",
            "sizes: 3 9\n",
            "byte skip: -2\n",
        ] {
            assert_eq!(found(&format!("{FINE}{more}"), 12), None, "{more}");
        }
        assert_eq!(found(&FINE.replace("endian: big\n", ""), 12), None);
        assert_eq!(found(&format!("{FINE}byte skip: -1\n"), 11), None, "not inside the header");
    }
}
