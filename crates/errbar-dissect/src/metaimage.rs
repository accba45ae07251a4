//! MetaImage, with its data in the same file or in another one (the documentation of MetaIO, itk.org/Wiki/MetaIO).

use errbar_format::{DType, Result};

use crate::cursor::Cursor;
use crate::{Array, Dissector, Inside, Layout, ReadAt, not_this, zlib};

/// Lines of a header, at most.
const MAX_LINES: usize = 4096;

/// The MetaImage format.
#[derive(Clone, Copy, Debug)]
pub struct MetaImage;

impl Dissector for MetaImage {
    fn name(&self) -> &'static str {
        "metaimage"
    }

    fn probe(&self, head: &[u8]) -> bool {
        let start = head.starts_with(b"ObjectType") || head.starts_with(b"NDims") || head.starts_with(b"Comment");
        start && head.windows(5).any(|word| word == b"NDims")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut cursor = Cursor::new(file, 0, false);
        let header = header(&mut cursor)?;
        match (header.data_file.as_str(), header.skipped) {
            (file, _) if !file.eq_ignore_ascii_case("LOCAL") => Err(not_this("data are in other files")),
            (_, Some(0)) if header.compressed => compressed_array(header.array, file.size(), cursor.at),
            (_, Some(0)) => Ok(Layout::of(header.array, cursor.at)),
            _ => Err(not_this("data begin elsewhere")),
        }
    }
}

/// What a header says.
pub(crate) struct Header {
    pub(crate) array: Array,
    /// Whether the elements stand in a zlib stream.
    pub(crate) compressed: bool,
    /// Bytes before the data in their file; nothing where the data end with it.
    pub(crate) skipped: Option<u64>,
    /// The file with the data.
    pub(crate) data_file: String,
}

/// Reads a header to its last line.
pub(crate) fn header(cursor: &mut Cursor) -> Result<Header> {
    let (mut dtype, mut shape, mut dimensions, mut channels) = (None, None, None, 1u64);
    // Images are binary where nothing is said.
    let (mut big_endian, mut binary, mut compressed, mut skipped) = (false, true, false, Some(0));
    for _ in 0..MAX_LINES {
        let line = cursor.line()?;
        let Some((key, value)) = line.split_once('=') else { return Err(not_this("line without a value")) };
        let value = value.trim();
        let is_true = value.eq_ignore_ascii_case("true");
        match key.trim() {
            "NDims" => dimensions = value.parse().ok(),
            "DimSize" => shape = value.split_whitespace().rev().map(|size| size.parse().ok()).collect::<Option<Vec<u64>>>(),
            "ElementType" => dtype = self::dtype(value),
            "ElementNumberOfChannels" => channels = value.parse().map_err(|_| not_this("channels are not a number"))?,
            "BinaryData" => binary = is_true,
            "BinaryDataByteOrderMSB" | "ElementByteOrderMSB" => big_endian = is_true,
            "CompressedData" => compressed = is_true,
            "HeaderSize" if value == "-1" => skipped = None,
            "HeaderSize" => skipped = Some(value.parse().map_err(|_| not_this("size of a header is not a number"))?),
            // By definition the last line of a header.
            "ElementDataFile" => {
                let (Some(dtype), Some(mut shape), true) = (dtype, shape, binary) else {
                    return Err(not_this("no binary array of a type known here"));
                };
                if dimensions != Some(shape.len()) {
                    return Err(not_this("other sizes than dimensions"));
                }
                if channels > 1 {
                    shape.push(channels);
                }
                let array = Array::new("", dtype, big_endian && dtype.size() > 1, shape);
                return Ok(Header { array, compressed, skipped, data_file: value.to_owned() });
            }
            _ => (),
        }
    }
    Err(not_this("header is too long"))
}

/// An array in the zlib stream that begins at `at`.
fn compressed_array(array: Array, size: u64, at: u64) -> Result<Layout> {
    let offset = at + zlib::HEADER;
    let length = size.checked_sub(offset).ok_or_else(|| not_this("data are cut"))?;
    Ok(zlib::stream(offset, length, Inside::Array(Box::new(array), 0)))
}

/// `MET_LONG` is left out: writers differ in its size.
fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "MET_CHAR" => DType::I8,
        "MET_UCHAR" => DType::U8,
        "MET_SHORT" => DType::I16,
        "MET_USHORT" => DType::U16,
        "MET_INT" => DType::I32,
        "MET_UINT" => DType::U32,
        "MET_LONG_LONG" => DType::I64,
        "MET_ULONG_LONG" => DType::U64,
        "MET_FLOAT" => DType::F32,
        "MET_DOUBLE" => DType::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Holds, Place, Wrapper, dissect};

    const FINE: &str = "NDims = 2\nDimSize = 3 2\nElementType = MET_SHORT\nBinaryData = True\nBinaryDataByteOrderMSB = True\n";

    fn found(fields: &str, file: &str) -> Option<Array> {
        let mut file = format!("ObjectType = Image\n{fields}ElementDataFile = {file}\n").into_bytes();
        file.resize(file.len() + 12, 1);
        dissect(&&file[..], &[&MetaImage]).0.arrays.pop()
    }

    #[test]
    fn rows_come_last_and_channels_within_them() {
        let array = found(FINE, "LOCAL").expect("found");
        assert_eq!((&array.shape[..], array.big_endian, array.column_major), (&[2, 3][..], true, false));
        let colours = FINE.replace("MET_SHORT", "MET_UCHAR") + "ElementNumberOfChannels = 2\n";
        assert_eq!(found(&colours, "LOCAL").expect("found").shape, [2, 3, 2]);
    }

    #[test]
    fn compressed_data_are_a_stream_of_the_array() {
        let file = format!("ObjectType = Image\nCompressedData = True\n{FINE}ElementDataFile = LOCAL\nzzstream");
        let (layout, _) = dissect(&file.as_bytes(), &[&MetaImage]);
        let [Place { offset, length: 6, holds: Holds::Stream(Wrapper::Raw, inside) }] = &layout.places[..] else { panic!("{layout:?}") };
        assert_eq!(*offset as usize, file.len() - 6);
        assert_eq!(inside.dissect(&&[1; 12][..]).arrays[0].shape, [2, 3]);
    }

    #[test]
    fn contradictions_are_bytes() {
        assert_eq!(found(FINE, "other.raw"), None);
        for more in ["ElementType = MET_LONG\n", "NDims = 3\n", "DimSize = 3 3\n", "HeaderSize = 7\n", "BinaryData = False\n", "no value\n"]
        {
            assert_eq!(found(&format!("{FINE}{more}"), "LOCAL"), None, "{more}");
        }
    }
}
