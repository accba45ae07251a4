//! ENVI headers (the Harris user guide of ENVI, "ENVI Header Files").

use std::collections::HashMap;

use errbar_format::DType;

use super::{Described, Start, Stored};
use crate::Array;

/// The raster that a header describes.
pub(super) fn described(content: &[u8]) -> Option<Described> {
    let text = String::from_utf8_lossy(content.strip_prefix(b"ENVI")?);
    let fields = fields(&text);
    let number = |key: &str| fields.get(key)?.parse::<u64>().ok();
    let is_standard = fields.get("file type").is_none_or(|kind| kind.to_ascii_lowercase().starts_with("envi"));
    // Gaps between lines or bands, which hardly any writer leaves.
    if !is_standard || ["major frame offsets", "minor frame offsets"].iter().any(|key| fields.contains_key(*key)) {
        return None;
    }
    let (samples, lines, bands) = (number("samples")?, number("lines")?, number("bands").unwrap_or(1));
    let dtype = dtype(number("data type")?)?;
    let mut shape = match fields.get("interleave").map(|order| order.to_ascii_lowercase()).as_deref() {
        Some("bsq") | None => vec![bands, lines, samples],
        Some("bil") => vec![lines, bands, samples],
        Some("bip") => vec![lines, samples, bands],
        _ => return None,
    };
    if bands == 1 {
        shape = vec![lines, samples];
    }
    let big_endian = match fields.get("byte order").map_or("0", String::as_str) {
        "0" => false,
        "1" => dtype.size() > 1,
        _ => return None,
    };
    let offset = if fields.contains_key("header offset") { number("header offset")? } else { 0 };
    let stored = match fields.get("file compression").map_or("0", String::as_str) {
        "0" => Stored::Plain,
        "1" => Stored::Gzip,
        _ => return None,
    };
    let array = Array::new("", dtype, big_endian, shape);
    Some(Described { format: "envi", array, start: Start::At(offset), stored })
}

/// Values by their keys in lower case. A value in braces may go over several lines: those are left out, none
/// of them says where the numbers lie.
fn fields(text: &str) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    let mut in_braces = false;
    for line in text.lines() {
        if in_braces {
            in_braces = !line.contains('}');
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        in_braces = value.trim_start().starts_with('{') && !value.contains('}');
        if !in_braces {
            fields.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        } else if key.contains("frame offsets") {
            fields.insert(key.trim().to_ascii_lowercase(), String::new());
        }
    }
    fields
}

fn dtype(code: u64) -> Option<DType> {
    Some(match code {
        1 => DType::U8,
        2 => DType::I16,
        3 => DType::I32,
        4 => DType::F32,
        5 => DType::F64,
        6 => DType::C64,
        9 => DType::C128,
        12 => DType::U16,
        13 => DType::U32,
        14 => DType::I64,
        15 => DType::U64,
        _ => return None,
    })
}
