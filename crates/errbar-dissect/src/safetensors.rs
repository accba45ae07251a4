//! safetensors (the format's README at github.com/huggingface/safetensors).

use errbar_format::{DType, Result};
use serde_json::Value;

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Bytes of a header, at most. The format's own library allows 100 MB.
const MAX_HEADER: u64 = 16 << 20;

/// The safetensors format.
#[derive(Clone, Copy, Debug)]
pub struct SafeTensors;

impl Dissector for SafeTensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.get(8) == Some(&b'{') && head.first_chunk().is_some_and(|len| (2..=MAX_HEADER).contains(&u64::from_le_bytes(*len)))
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let len = Numbers::read(file, 0, 8, false)?.u64(0)?;
        if len > MAX_HEADER {
            return Err(not_this("header is too long"));
        }
        let header = Numbers::read(file, 8, len, false)?;
        let header: Value = serde_json::from_slice(header.bytes(0, len as usize)?).map_err(|_| not_this("header is not JSON"))?;
        let tensors = header.as_object().ok_or_else(|| not_this("header is not an object"))?;
        let mut layout = Layout::default();
        for (name, tensor) in tensors.iter().filter(|(name, _)| *name != "__metadata__") {
            let (from, to) = offsets(tensor).ok_or_else(|| not_this("tensor without a place"))?;
            let Some(array) = array(name, tensor).filter(Array::is_sound) else { continue };
            if array.bytes().and_then(|bytes| from.checked_add(bytes)) != Some(to) {
                return Err(not_this("tensor is longer or shorter than its place"));
            }
            layout.array(from.saturating_add(8 + len), array);
        }
        Ok(layout)
    }
}

fn offsets(tensor: &Value) -> Option<(u64, u64)> {
    match &tensor.get("data_offsets")?.as_array()?[..] {
        [from, to] => Some((from.as_u64()?, to.as_u64()?)),
        _ => None,
    }
}

/// The array that a tensor is; `None` for types whose elements are not whole bytes.
fn array(name: &str, tensor: &Value) -> Option<Array> {
    let dtype = match tensor.get("dtype")?.as_str()? {
        "BOOL" => DType::Bool,
        "U8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E5M2FNUZ" | "F8_E4M3FNUZ" => DType::U8,
        "I8" => DType::I8,
        "U16" => DType::U16,
        "I16" => DType::I16,
        "U32" => DType::U32,
        "I32" => DType::I32,
        "U64" => DType::U64,
        "I64" => DType::I64,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "F32" => DType::F32,
        "F64" => DType::F64,
        "C64" => DType::C64,
        _ => return None,
    };
    let shape = tensor.get("shape")?.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()?;
    Some(Array::new(name, dtype, false, shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn found(header: &str, data: usize) -> Layout {
        let mut file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
        file.resize(file.len() + data, 1);
        dissect(&&file[..], &[&SafeTensors]).0
    }

    fn tensor(name: &str, dtype: &str, shape: &str, from: u64, to: u64) -> String {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    }

    #[test]
    fn tensors_are_named_and_in_place() {
        let header = format!(
            r#"{{"__metadata__":{{"a":"b"}},{},{},{}}}    "#,
            tensor("w", "BF16", "[2,3]", 4, 16),
            tensor("four", "F4", "[8]", 0, 4),
            tensor(&"n".repeat(256), "U8", "[2]", 16, 18)
        );
        let layout = found(&header, 20);
        assert_eq!((layout.arrays.len(), layout.arrays[0].dtype, layout.places[0].offset), (1, DType::BF16, 12 + header.len() as u64));
    }

    #[test]
    fn contradictions_are_bytes() {
        let fine = tensor("w", "F32", "[2]", 0, 8);
        assert_eq!(found(&format!("{{{fine}}}"), 8).arrays.len(), 1);
        for header in [
            format!("{{{fine},{}}}", tensor("v", "F32", "[2]", 4, 12)),
            format!("{{{}}}", tensor("w", "F32", "[2]", 0, 7)),
            format!("{{{}}}", tensor("w", "F32", "[3]", 8, 20)),
            format!("{{{}}}", tensor("w", "F32", "[2]", u64::MAX, 7)),
            format!("{{{fine}"),
            format!("{{{fine},\"x\":1}}"),
            "[".repeat(1000),
            format!("{{\"a\":{}", "[".repeat(100_000)),
        ] {
            assert_eq!(found(&header, 12), Layout::default(), "{header:.80}");
        }
    }
}
