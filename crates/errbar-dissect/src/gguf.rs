//! GGUF ("GGUF", docs/gguf.md of github.com/ggml-org/ggml; blocks: src/ggml-common.h there).

use errbar_format::{DType, Result};

use crate::cursor::Cursor;
use crate::strided::Strided;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Tensors, at most.
const MAX_TENSORS: u64 = 1 << 16;
/// Bytes of a key or a tensor's name, at most.
const MAX_TEXT: u64 = 64 << 10;
/// Arrays that stand in one another, at most.
const MAX_DEPTH: u32 = 4;

/// The GGUF format.
#[derive(Clone, Copy, Debug)]
pub struct Gguf;

impl Dissector for Gguf {
    fn name(&self) -> &'static str {
        "gguf"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"GGUF") && head.len() >= 24
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut header = Cursor::new(file, 4, false);
        let version = header.u32()?;
        header.big_endian = version & 0xffff == 0;
        let version = if header.big_endian { version.swap_bytes() } else { version };
        if !matches!(version, 2 | 3) {
            return Err(not_this("unknown version of GGUF"));
        }
        let (n_tensors, n_values) = (header.u64()?, header.u64()?);
        let mut alignment = 32;
        for _ in 0..n_values {
            let key = text(&mut header)?;
            match header.u32()? {
                4 if key == "general.alignment" => alignment = header.u32()?.into(),
                kind => skip(&mut header, kind, 0)?,
            }
        }
        if n_tensors > MAX_TENSORS || alignment == 0 {
            return Err(not_this("too many tensors, or no alignment"));
        }
        let tensors = (0..n_tensors).map(|_| Tensor::read(&mut header)).collect::<Result<Vec<_>>>()?;
        let data = header.at.next_multiple_of(alignment);
        let mut layout = Layout::default();
        for tensor in tensors {
            tensor.place(data, header.big_endian, file.size(), &mut layout)?;
        }
        Ok(layout)
    }
}

fn text(header: &mut Cursor) -> Result<String> {
    let len = header.u64()?;
    if len > MAX_TEXT {
        return Err(not_this("name is too long"));
    }
    Ok(String::from_utf8_lossy(header.bytes(len)?).into_owned())
}

/// Leaves out a value of this kind.
fn skip(header: &mut Cursor, kind: u32, depth: u32) -> Result<()> {
    let width = match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        8 => header.u64()?,
        9 if depth < MAX_DEPTH => {
            let (kind, len) = (header.u32()?, header.u64()?);
            return match kind {
                8 | 9 => (0..len).try_for_each(|_| skip(header, kind, depth + 1)),
                0 | 1 | 7 => header.skip(len),
                2 | 3 => header.skip(len.saturating_mul(2)),
                4..=6 => header.skip(len.saturating_mul(4)),
                10..=12 => header.skip(len.saturating_mul(8)),
                _ => Err(not_this("value of an unknown kind")),
            };
        }
        _ => return Err(not_this("value of an unknown kind")),
    };
    header.skip(width)
}

struct Tensor {
    name: String,
    /// Slowest-varying first.
    shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

impl Tensor {
    fn read(header: &mut Cursor) -> Result<Tensor> {
        let name = text(header)?;
        let n_dims = header.u32()?;
        if n_dims > 8 {
            return Err(not_this("tensor has too many dimensions"));
        }
        let mut shape = (0..n_dims).map(|_| header.u64()).collect::<Result<Vec<_>>>()?;
        shape.reverse();
        Ok(Tensor { name, shape, kind: header.u32()?, offset: header.u64()? })
    }

    fn place(self, data: u64, big_endian: bool, size: u64, layout: &mut Layout) -> Result<()> {
        let start = self.offset.checked_add(data).ok_or_else(|| not_this("tensor is past the file"))?;
        if let Some(dtype) = plain(self.kind) {
            let array = Array::new(self.name, dtype, big_endian && dtype.size() > 1, self.shape);
            if array.is_sound() {
                layout.array(start, array);
            }
            return Ok(());
        }
        // A tensor of a type that is not known here is bytes.
        let Some((elements, parts)) = block(self.kind) else { return Ok(()) };
        let n = errbar_format::dtype::n_elements(&self.shape).filter(|n| n % elements == 0);
        let count = n.ok_or_else(|| not_this("tensor is not of whole blocks"))? / elements;
        let (mut fields, mut stride) = (Vec::new(), 0);
        for &(part, dtype, width) in parts {
            let shape = if width == 1 { vec![count] } else { vec![count, width] };
            // Loss in a scale would be loss in every weight of its block.
            let array = Array::new(format!("{}/{part}", self.name), dtype, big_endian && dtype.size() > 1, shape).auxiliary();
            fields.push((stride, array));
            stride += width * dtype.size() as u64;
        }
        layout.strided(size, Strided { start, stride, count }, fields)
    }
}

/// The element type of tensors that are not quantized.
fn plain(kind: u32) -> Option<DType> {
    Some(match kind {
        0 => DType::F32,
        1 => DType::F16,
        24 => DType::I8,
        25 => DType::I16,
        26 => DType::I32,
        27 => DType::I64,
        28 => DType::F64,
        30 => DType::BF16,
        _ => return None,
    })
}

/// Name, type and number of the items of one part of a block.
type Part = (&'static str, DType, u64);

const D: Part = ("d", DType::F16, 1);
const M: Part = ("m", DType::F16, 1);
const DMIN: Part = ("dmin", DType::F16, 1);

const fn bytes(name: &'static str, width: u64) -> Part {
    (name, DType::U8, width)
}

/// Weights of a block and its parts in order, with the names that ggml has for them.
fn block(kind: u32) -> Option<(u64, &'static [Part])> {
    Some(match kind {
        2 => (32, const { &[D, bytes("qs", 16)] }),
        3 => (32, const { &[D, M, bytes("qs", 16)] }),
        6 => (32, const { &[D, bytes("qh", 4), bytes("qs", 16)] }),
        7 => (32, const { &[D, M, bytes("qh", 4), bytes("qs", 16)] }),
        8 => (32, const { &[D, ("qs", DType::I8, 32)] }),
        10 => (256, const { &[bytes("scales", 16), bytes("qs", 64), D, DMIN] }),
        11 => (256, const { &[bytes("hmask", 32), bytes("qs", 64), bytes("scales", 12), D] }),
        12 => (256, const { &[D, DMIN, bytes("scales", 12), bytes("qs", 128)] }),
        13 => (256, const { &[D, DMIN, bytes("scales", 12), bytes("qh", 32), bytes("qs", 128)] }),
        14 => (256, const { &[bytes("ql", 128), bytes("qh", 64), ("scales", DType::I8, 16), D] }),
        16 => (256, const { &[D, ("qs", DType::U16, 32)] }),
        17 => (256, const { &[D, ("qs", DType::U16, 32), bytes("scales", 8)] }),
        18 => (256, const { &[D, bytes("qs", 96)] }),
        19 => (256, const { &[D, bytes("qs", 32), ("qh", DType::U16, 8)] }),
        20 => (32, const { &[D, bytes("qs", 16)] }),
        21 => (256, const { &[D, bytes("qs", 64), bytes("qh", 8), bytes("signs", 32), bytes("scales", 4)] }),
        22 => (256, const { &[D, bytes("qs", 64), bytes("qh", 8), bytes("scales", 8)] }),
        23 => (256, const { &[D, ("scales_h", DType::U16, 1), bytes("scales_l", 4), bytes("qs", 128)] }),
        29 => (256, const { &[bytes("qs", 32), bytes("qh", 16), bytes("scales", 8)] }),
        34 => (256, const { &[bytes("qs", 48), bytes("qh", 4), D] }),
        35 => (256, const { &[bytes("qs", 64), D] }),
        39 => (32, const { &[bytes("e", 1), bytes("qs", 16)] }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn name(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    fn tensor(text: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
        let mut bytes = [name(text), (dims.len() as u32).to_le_bytes().to_vec()].concat();
        dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
        [bytes, kind.to_le_bytes().to_vec(), offset.to_le_bytes().to_vec()].concat()
    }

    fn found(values: &[Vec<u8>], tensors: &[Vec<u8>], data: usize) -> Layout {
        let counts = [tensors.len(), values.len()].map(|n| (n as u64).to_le_bytes()).concat();
        let mut file = [b"GGUF".to_vec(), vec![3, 0, 0, 0], counts, values.concat(), tensors.concat()].concat();
        file.resize(file.len().next_multiple_of(32) + data, 1);
        dissect(&&file[..], &[&Gguf]).0
    }

    fn value(key: &str, kind: u32, bytes: &[u8]) -> Vec<u8> {
        [name(key), kind.to_le_bytes().to_vec(), bytes.to_vec()].concat()
    }

    #[test]
    fn values_of_all_kinds_are_passed_over() {
        let list = |kind: u32, n: u64, items: &[u8]| [&kind.to_le_bytes()[..], &n.to_le_bytes(), items].concat();
        let words = [name("a"), name("bcd")].concat();
        let values = [
            value("byte", 0, &[1]),
            value("short", 2, &[1; 2]),
            value("float", 6, &[1; 4]),
            value("double", 12, &[1; 8]),
            value("text", 8, &name("some")),
            value("words", 9, &list(8, 2, &words)),
            value("numbers", 9, &list(5, 3, &[1; 12])),
            value("lists", 9, &list(9, 1, &list(1, 2, &[1; 2]))),
            value("general.alignment", 4, &8u32.to_le_bytes()),
        ];
        let layout = found(&values, &[tensor("w", &[3, 2], 0, 0), tensor("q", &[64], 2, 24), tensor("new", &[9], 99, 60)], 100);
        let names: Vec<_> = layout.arrays.iter().map(|a| (&a.name[..], &a.shape[..])).collect();
        assert_eq!(names, [("w", &[2, 3][..]), ("q/d", &[2]), ("q/qs", &[2, 16])]);
        assert_eq!((layout.places[0].offset % 8, layout.places[1].offset), (0, layout.places[0].offset + 24));
    }

    #[test]
    fn contradictions_are_bytes() {
        let fine = tensor("w", &[3], 0, 0);
        assert_eq!(found(&[], std::slice::from_ref(&fine), 32).arrays.len(), 1);
        let mut deep = 1u32.to_le_bytes().to_vec();
        (0..10).for_each(|_| deep = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes(), &deep].concat());
        for values in [
            value("general.alignment", 4, &[0; 4]),
            value("unknown", 13, &[]),
            value("deep", 9, &deep),
            value("long", 9, &[&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat()),
            value("long", 9, &[&12u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat()),
        ] {
            assert_eq!(found(&[values], std::slice::from_ref(&fine), 32), Layout::default());
        }
        for bad in [
            tensor("v", &[3], 0, 8),
            tensor("v", &[33], 2, 12),
            tensor("v", &[1; 9], 0, 12),
            tensor("v", &[u64::MAX, 32], 2, 12),
            tensor("v", &[1], 0, u64::MAX),
        ] {
            assert_eq!(found(&[], &[fine.clone(), bad], 32), Layout::default());
        }
    }
}
