//! LAS point clouds (ASPRS, versions 1.0 to 1.4), point formats 0 to 10. LAZ stays bytes.

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::stack::frames;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Variable length records that are looked through for the description of extra bytes.
const MAX_RECORDS: u32 = 1 << 12;
/// Bytes of the description of one extra dimension.
const EXTRA: usize = 192;

type Fields = &'static [(&'static str, DType)];

const POINT: Fields = &[("X", DType::I32), ("Y", DType::I32), ("Z", DType::I32), ("intensity", DType::U16), ("bit_fields", DType::U8)];
const OLD: Fields =
    &[("raw_classification", DType::U8), ("scan_angle_rank", DType::I8), ("user_data", DType::U8), ("point_source_id", DType::U16)];
const NEW: Fields = &[
    ("classification_flags", DType::U8),
    ("classification", DType::U8),
    ("user_data", DType::U8),
    ("scan_angle", DType::I16),
    ("point_source_id", DType::U16),
];
const TIME: Fields = &[("gps_time", DType::F64)];
const COLOUR: Fields = &[("red", DType::U16), ("green", DType::U16), ("blue", DType::U16)];
const NIR: Fields = &[("nir", DType::U16)];
const WAVE: Fields = &[
    ("wavepacket_index", DType::U8),
    ("wavepacket_offset", DType::U64),
    ("wavepacket_size", DType::U32),
    ("return_point_wave_location", DType::F32),
    ("x_t", DType::F32),
    ("y_t", DType::F32),
    ("z_t", DType::F32),
];

/// What a record of each point format is made of.
const FORMATS: [&[Fields]; 11] = [
    &[POINT, OLD],
    &[POINT, OLD, TIME],
    &[POINT, OLD, COLOUR],
    &[POINT, OLD, TIME, COLOUR],
    &[POINT, OLD, TIME, WAVE],
    &[POINT, OLD, TIME, COLOUR, WAVE],
    &[POINT, NEW, TIME],
    &[POINT, NEW, TIME, COLOUR],
    &[POINT, NEW, TIME, COLOUR, NIR],
    &[POINT, NEW, TIME, WAVE],
    &[POINT, NEW, TIME, COLOUR, NIR, WAVE],
];

/// The LAS format.
#[derive(Clone, Copy, Debug)]
pub struct Las;

impl Dissector for Las {
    fn name(&self) -> &'static str {
        "las"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"LASF")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let head = Numbers::read(file, 0, 227, false)?;
        let format = FORMATS.get(usize::from(head.u8(104)?)).ok_or_else(|| not_this("unknown point format, or LAZ"))?;
        let minor = head.u8(25)?;
        if head.u8(24)? != 1 || minor > 4 {
            return Err(not_this("unknown version of LAS"));
        }
        let mut count = u64::from(head.u32(107)?);
        if minor == 4 {
            count = Numbers::read(file, 247, 8, false)?.u64(0)?;
        }
        let field = |name: &str, dtype| {
            let array = Array::new(name, dtype, false, vec![count]);
            // Time, and the waveform's own coordinates, are no measurements.
            if dtype.is_float() { array.auxiliary() } else { array }
        };
        let mut fields: Vec<Array> = format.iter().flat_map(|part| part.iter()).map(|&(name, dtype)| field(name, dtype)).collect();
        let size = |fields: &[Array]| fields.iter().map(|field| field.dtype.size() as u64).sum::<u64>();
        let record = u64::from(head.u16(105)?);
        let extra = record.checked_sub(size(&fields)).ok_or_else(|| not_this("records are shorter than their format"))?;
        let described: Vec<Array> = extra_fields(file, &head)
            .unwrap_or_default()
            .iter()
            .map(|(name, dtype)| Array::new(name, *dtype, false, vec![count]))
            .collect();
        match extra {
            0 => {}
            _ if size(&described) == extra => fields.extend(described),
            _ => fields.push(Array::new("", DType::U8, false, vec![count, extra])),
        }
        let mut layout = Layout::default();
        frames(&mut layout, file.size(), head.u32(96)?.into(), fields)?;
        Ok(layout)
    }
}

/// Names and types of dimensions that the file itself describes, in order. Fails where one is not
/// of a plain type.
fn extra_fields(file: &dyn ReadAt, head: &Numbers) -> Result<Vec<(String, DType)>> {
    let mut at = u64::from(head.u16(94)?);
    for _ in 0..head.u32(100)?.min(MAX_RECORDS) {
        let record = Numbers::read(file, at, 54, false)?;
        let length = record.u16(20)?;
        if record.bytes(2, 16)?.starts_with(b"LASF_Spec\0") && record.u16(18)? == 4 {
            let body = Numbers::read(file, at + 54, length.into(), false)?;
            return (0..usize::from(length) / EXTRA).map(|i| extra_field(&body, i * EXTRA)).collect();
        }
        at += 54 + u64::from(length);
    }
    Ok(Vec::new())
}

fn extra_field(body: &Numbers, at: usize) -> Result<(String, DType)> {
    const TYPES: [DType; 10] =
        [DType::U8, DType::I8, DType::U16, DType::I16, DType::U32, DType::I32, DType::U64, DType::I64, DType::F32, DType::F64];
    let code = usize::from(body.u8(at + 2)?).wrapping_sub(1);
    let dtype = *TYPES.get(code).ok_or_else(|| not_this("extra bytes of no plain type"))?;
    let name = String::from_utf8_lossy(body.bytes(at + 4, 32)?);
    Ok((name.trim_end_matches('\0').to_owned(), dtype))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn file(format: u8, record: u16, count: u8, records: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 227];
        bytes[..4].copy_from_slice(b"LASF");
        (bytes[24], bytes[25], bytes[94], bytes[104], bytes[107]) = (1, 2, 227, format, count);
        bytes[96..100].copy_from_slice(&(227 + records.len() as u32).to_le_bytes());
        bytes[100] = u8::from(!records.is_empty());
        bytes[105..107].copy_from_slice(&record.to_le_bytes());
        bytes.extend(records);
        bytes.resize(bytes.len() + usize::from(record) * usize::from(count), 3);
        bytes
    }

    fn fields(bytes: &[u8]) -> Vec<Array> {
        dissect(&bytes, &[&Las]).0.arrays
    }

    #[test]
    fn records_of_every_format_have_their_length() {
        let lengths = [20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67];
        for (format, length) in (0..).zip(lengths) {
            let found = fields(&file(format, length, 5, &[]));
            assert_eq!(found.iter().map(|field| field.dtype.size()).sum::<usize>(), usize::from(length), "{format}");
            assert!(found.iter().all(|field| field.shape == [5] && !field.name.is_empty()));
            assert_eq!(fields(&file(format, length - 1, 5, &[])), []);
        }
    }

    #[test]
    fn extra_bytes_have_their_names_if_the_file_says_them() {
        let bare = fields(&file(0, 26, 5, &[]));
        assert_eq!(bare.last().map(|field| (&field.name[..], &field.shape[..])), Some(("", &[5, 6][..])));
        let mut record = vec![0; 54 + 2 * EXTRA];
        record[2..11].copy_from_slice(b"LASF_Spec");
        record[18] = 4;
        record[20..22].copy_from_slice(&(2 * EXTRA as u16).to_le_bytes());
        for (i, (code, name)) in [(9, b"height"), (4, b"echoes")].into_iter().enumerate() {
            record[54 + i * EXTRA + 2] = code;
            record[54 + i * EXTRA + 4..][..6].copy_from_slice(name);
        }
        let named = fields(&file(0, 26, 5, &record));
        let last: Vec<_> = named[named.len() - 2..].iter().map(|field| (&field.name[..], field.dtype)).collect();
        assert_eq!(last, [("height", DType::F32), ("echoes", DType::I16)]);
        record[56] = 0;
        assert_eq!(fields(&file(0, 26, 5, &record)).last().map(|field| field.shape.len()), Some(2), "of no type");
    }

    #[test]
    fn compressed_unknown_and_cut_files_are_bytes() {
        for format in [11, 0x80, 0x83] {
            assert_eq!(fields(&file(format, 80, 5, &[])), []);
        }
        let whole = file(1, 28, 5, &[]);
        for len in 0..whole.len() {
            assert_eq!(fields(&whole[..len]), []);
        }
    }
}
