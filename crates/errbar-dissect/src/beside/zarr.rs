//! Zarr, editions 2 and 3 (zarr-specs.readthedocs.io): each chunk is a file, what it holds stands in one
//! of a folder above.

use errbar_format::DType;
use errbar_format::limits::MAX_DIMS;
use serde_json::Value;

use super::{Described, Siblings, Start, Stored};
use crate::cf::{Roles, tells};
use crate::npy::parse_descr;
use crate::{Array, Packing};

/// What metadata say of every chunk of an array.
struct Chunk {
    dtype: DType,
    big_endian: bool,
    column_major: bool,
    /// Extents of the array and of a chunk, as users index them.
    array: Vec<u64>,
    shape: Vec<u64>,
    separator: char,
    /// Whether the key begins with `c`, as that of edition 3 does.
    marked: bool,
    stored: Stored,
}

/// What the metadata of the array whose chunk these path components name say of it.
pub(super) fn described(components: &[&[u8]], siblings: &dyn Siblings) -> Option<Described> {
    let (name, folders) = components.split_last()?;
    let last = std::str::from_utf8(name).ok()?;
    let in_name: Option<Vec<u64>> = last.strip_prefix("c.").unwrap_or(last).split('.').map(number).collect();
    let above = folders.iter().rev().map_while(|folder| number(std::str::from_utf8(folder).ok()?)).take(MAX_DIMS).collect::<Vec<_>>();
    let marked_folder = folders.len() > above.len() && folders[folders.len() - 1 - above.len()] == b"c";
    match in_name {
        None if last == "c" => of(components, &[], 0, siblings, true),
        None => None,
        Some(key) if last.contains('.') => of(components, &key, 0, siblings, last.starts_with("c.")),
        // Nested keys: each number but the last is a folder.
        Some(key) => {
            let nested = |up: usize| above[..up].iter().rev().copied().chain(key.iter().copied()).collect::<Vec<_>>();
            let below_mark = marked_folder.then(|| of(components, &nested(above.len()), above.len() + 1, siblings, true)).flatten();
            below_mark.or_else(|| (0..=above.len()).find_map(|up| of(components, &nested(up), up, siblings, false)))
        }
    }
}

/// A number as it stands in a key.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    text.parse().ok().filter(|_| plain)
}

/// What the metadata `up` folders above the chunk say, if they fit its key.
fn of(components: &[&[u8]], key: &[u64], up: usize, siblings: &dyn Siblings, marked: bool) -> Option<Described> {
    let json = |name: &[u8]| serde_json::from_slice::<Value>(&siblings.read(up, name)?).ok();
    let folder = components.len().checked_sub(2 + up).map_or(&b""[..], |at| components[at]);
    let name = String::from_utf8_lossy(folder).into_owned();
    let second = if marked { None } else { json(b".zarray") };
    let (chunk, attributes, dimensions) = match second {
        Some(array) => {
            let attributes = json(b".zattrs").unwrap_or_default();
            let dimensions = attributes.get("_ARRAY_DIMENSIONS").cloned();
            (edition_2(&array)?, attributes, dimensions)
        }
        None => {
            let array = json(b"zarr.json")?;
            let attributes = array.get("attributes").cloned().unwrap_or_default();
            (edition_3(&array)?, attributes, array.get("dimension_names").cloned())
        }
    };
    let nested = up > usize::from(marked);
    let separator_fits = key.len() < 2 || chunk.separator == if nested { '/' } else { '.' };
    if !separator_fits || !chunk.has(key, marked) {
        return None;
    }
    let roles = roles(&name, &attributes, dimensions.as_ref());
    let (auxiliary, packing) = (roles.is_auxiliary(&name), roles.packing(&name));
    Some(chunk.described(name, auxiliary, packing))
}

impl Chunk {
    /// Whether there is a chunk with this key.
    fn has(&self, key: &[u64], marked: bool) -> bool {
        let is_scalar = self.shape.is_empty() && (key == [0] || (self.marked && key.is_empty()));
        let sound = self.shape.len() == self.array.len() && !self.shape.contains(&0);
        let inside = key.len() == self.array.len()
            && key.iter().zip(&self.array).zip(&self.shape).all(|((k, n), chunk)| sound && *k < n.div_ceil(*chunk));
        sound && self.marked == marked && (is_scalar || inside)
    }

    fn described(self, name: String, auxiliary: bool, packing: Option<Packing>) -> Described {
        let mut shape = self.shape;
        if self.column_major {
            shape.reverse();
        }
        let packing = packing.filter(|_| self.dtype.is_float());
        let (column_major, big_endian) = (self.column_major && shape.len() > 1, self.big_endian);
        let array = Array { column_major, auxiliary, packing, ..Array::new(name, self.dtype, big_endian, shape) };
        Described { format: "zarr", array, start: Start::At(0), stored: self.stored }
    }
}

fn edition_2(array: &Value) -> Option<Chunk> {
    let (dtype, big_endian) = parse_descr(array.get("dtype")?.as_str()?)?;
    let filters = array.get("filters").and_then(Value::as_array).is_some_and(|filters| !filters.is_empty());
    let stored = match array.get("compressor").unwrap_or(&Value::Null) {
        Value::Null => Stored::Plain,
        compressor => match compressor.get("id")?.as_str()? {
            "gzip" => Stored::Gzip,
            "zlib" => Stored::Zlib,
            _ => return None,
        },
    };
    let column_major = match array.get("order")?.as_str()? {
        "C" => false,
        "F" => true,
        _ => return None,
    };
    let separator = array.get("dimension_separator").map_or(Some("."), Value::as_str)?.chars().next()?;
    let (shape, chunks) = (extents(array.get("shape")?)?, extents(array.get("chunks")?)?);
    (!filters).then_some(Chunk { dtype, big_endian, column_major, array: shape, shape: chunks, separator, marked: false, stored })
}

fn edition_3(array: &Value) -> Option<Chunk> {
    let configured = |of: &Value, key: &str| of.get("configuration").and_then(|given| given.get(key)).cloned();
    if array.get("node_type")?.as_str()? != "array" || array.get("chunk_grid")?.get("name")?.as_str()? != "regular" {
        return None;
    }
    let dtype = dtype(array.get("data_type")?.as_str()?)?;
    let encoding = array.get("chunk_key_encoding")?;
    let marked = match encoding.get("name")?.as_str()? {
        "default" => true,
        "v2" => false,
        _ => return None,
    };
    let usual = if marked { "/" } else { "." };
    let separator = configured(encoding, "separator").unwrap_or(usual.into()).as_str()?.chars().next()?;
    let codecs = array.get("codecs")?.as_array()?;
    let (bytes, others) = codecs.split_first()?;
    if bytes.get("name")?.as_str()? != "bytes" {
        return None;
    }
    let big_endian = configured(bytes, "endian").is_some_and(|endian| endian == "big") && dtype.size() > 1;
    let stored = match others {
        [] => Stored::Plain,
        [only] => match only.get("name")?.as_str()? {
            "gzip" => Stored::Gzip,
            "numcodecs.zlib" => Stored::Zlib,
            _ => return None,
        },
        _ => return None,
    };
    let (shape, chunks) = (extents(array.get("shape")?)?, extents(&configured(array.get("chunk_grid")?, "chunk_shape")?)?);
    Some(Chunk { dtype, big_endian, column_major: false, array: shape, shape: chunks, separator, marked, stored })
}

fn extents(list: &Value) -> Option<Vec<u64>> {
    let extents = list.as_array()?;
    if extents.len() > MAX_DIMS { None } else { extents.iter().map(Value::as_u64).collect() }
}

fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "bool" => DType::Bool,
        "int8" => DType::I8,
        "int16" => DType::I16,
        "int32" => DType::I32,
        "int64" => DType::I64,
        "uint8" => DType::U8,
        "uint16" => DType::U16,
        "uint32" => DType::U32,
        "uint64" => DType::U64,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "float32" => DType::F32,
        "float64" => DType::F64,
        "complex64" => DType::C64,
        "complex128" => DType::C128,
        _ => return None,
    })
}

/// What attributes of an array, and the names of its dimensions, say of it.
fn roles(name: &str, attributes: &Value, dimensions: Option<&Value>) -> Roles {
    let mut roles = Roles::default();
    for (key, value) in attributes.as_object().into_iter().flatten().filter(|(key, _)| tells(key)) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        roles.attribute(name, key, &text);
    }
    // A variable along the dimension of its own name is its coordinate.
    if let Some([only]) = dimensions.and_then(Value::as_array).map(Vec::as_slice)
        && only == name
    {
        roles.mark(name);
    }
    roles
}
