//! MATLAB's MAT-files, level 5 (MathWorks, MAT-File Format): full numeric arrays, as they are or in zlib
//! streams.

use errbar_format::dtype::n_elements;
use errbar_format::limits::MAX_DIMS;
use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Holds, Inside, Layout, Place, ReadAt, Wrapper, not_this, zlib};

/// Variables in a file, at most.
const MAX_VARIABLES: usize = 1 << 16;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// The MAT-file format.
#[derive(Clone, Copy, Debug)]
pub struct Mat;

impl Dissector for Mat {
    fn name(&self) -> &'static str {
        "mat"
    }

    fn probe(&self, head: &[u8]) -> bool {
        matches!(head.get(124..128), Some([0, 1, b'I', b'M'] | [1, 0, b'M', b'I']))
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let big_endian = Numbers::read(file, 126, 1, false)?.u8(0)? == b'M';
        let mut layout = Layout::default();
        let mut at = 128;
        for _ in 0..MAX_VARIABLES {
            if at == file.size() {
                break;
            }
            let element = Element::read(file, at, big_endian)?;
            if element.end > file.size() {
                return Err(not_this("variable is cut"));
            }
            if element.kind == MATRIX {
                // What is no plain array is bytes; the next variable may be one.
                matrix(file, &element, big_endian, &mut layout).ok();
            }
            if element.kind == COMPRESSED && element.bytes > zlib::HEADER {
                let (offset, length) = (element.data + zlib::HEADER, element.bytes - zlib::HEADER);
                let holds = Holds::Stream(Wrapper::Raw, Inside::Element { big_endian });
                layout.places.push(Place { offset, length, holds });
            }
            at = element.end;
        }
        Ok(layout)
    }
}

/// The data element that a compressed one holds.
pub(crate) struct Matrix {
    pub(crate) big_endian: bool,
}

impl Dissector for Matrix {
    fn name(&self) -> &'static str {
        "mat"
    }

    fn probe(&self, _: &[u8]) -> bool {
        true
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let element = Element::read(file, 0, self.big_endian)?;
        let mut layout = Layout::default();
        match element.kind == MATRIX && element.end <= file.size() {
            true => matrix(file, &element, self.big_endian, &mut layout).map(|()| layout),
            false => Err(not_this("no matrix, or a cut one")),
        }
    }
}

/// A data element: its type, where its bytes lie, where they end, and where the next element begins
/// inside a matrix, which is at a multiple of eight.
struct Element {
    kind: u32,
    data: u64,
    bytes: u64,
    end: u64,
    next: u64,
}

impl Element {
    fn read(file: &dyn ReadAt, at: u64, big_endian: bool) -> Result<Element> {
        let tag = Numbers::read(file, at, 8, big_endian)?;
        let kind = tag.u32(0)?;
        // Up to four bytes stand in the tag itself.
        let (kind, bytes, data, next) = match kind >> 16 {
            0 => {
                let bytes = u64::from(tag.u32(4)?);
                (kind, bytes, at + 8, at + 8 + bytes.next_multiple_of(8))
            }
            small @ 1..=4 => (kind & 0xffff, u64::from(small), at + 4, at + 8),
            _ => return Err(not_this("small element is too long")),
        };
        Ok(Element { kind, data, bytes, end: data + bytes, next })
    }
}

/// Adds the array that a matrix element holds.
fn matrix(file: &dyn ReadAt, matrix: &Element, big_endian: bool, layout: &mut Layout) -> Result<()> {
    let flags = Element::read(file, matrix.data, big_endian)?;
    let word = Numbers::read(file, flags.data, 4, big_endian)?.u32(0)?;
    let (class, complex, logical) = (word & 0xff, word & 0x800 != 0, word & 0x200 != 0);
    let dims = Element::read(file, flags.next, big_endian)?;
    let name = Element::read(file, dims.next, big_endian)?;
    if !(6..=15).contains(&class) || (flags.kind, flags.bytes, dims.kind, name.kind) != (6, 8, 5, 1) || dims.bytes > 4 * MAX_DIMS as u64 {
        return Err(not_this("not a full numeric array"));
    }
    let numbers = Numbers::read(file, dims.data, dims.bytes, big_endian)?;
    let mut shape: Vec<u64> = (0..dims.bytes as usize / 4).map(|i| numbers.u32(4 * i).map(u64::from)).collect::<Result<_>>()?;
    shape.reverse();
    let text = Numbers::read(file, name.data, name.bytes.min(255), big_endian)?;
    let text = String::from_utf8_lossy(text.bytes(0, name.bytes.min(255) as usize)?).into_owned();
    let mut at = name.next;
    for part in if complex { &[".real", ".imag"][..] } else { &[""] } {
        let values = Element::read(file, at, big_endian)?;
        // Values are stored in the smallest type that holds them, whatever the array's class.
        let dtype = match values.kind {
            1 => DType::I8,
            2 => DType::U8,
            3 => DType::I16,
            4 => DType::U16,
            5 => DType::I32,
            6 => DType::U32,
            7 => DType::F32,
            9 => DType::F64,
            12 => DType::I64,
            13 => DType::U64,
            _ => return Err(not_this("values of an unknown type")),
        };
        let bytes = n_elements(&shape).and_then(|n| n.checked_mul(dtype.size() as u64));
        if bytes != Some(values.bytes) || values.end > matrix.end {
            return Err(not_this("values are not as many as the dimensions say"));
        }
        let array = Array::new(format!("{text}{part}"), dtype, big_endian && dtype.size() > 1, shape.clone());
        layout.array(values.data, Array { column_major: true, auxiliary: logical, ..array });
        at = values.next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn word(n: u32, big: bool) -> [u8; 4] {
        if big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    fn element(kind: u32, bytes: &[u8], big: bool) -> Vec<u8> {
        let mut element = [&word(kind, big)[..], &word(bytes.len() as u32, big), bytes].concat();
        element.resize(element.len().next_multiple_of(8), 0);
        element
    }

    /// A matrix `ab` of 2 x 3 with parts of this type.
    fn matrix(flags: u32, kind: u32, parts: &[&[u8]], big: bool) -> Vec<u8> {
        let flags = element(6, &[word(flags, big), [0; 4]].concat(), big);
        let dims = element(5, &[word(2, big), word(3, big)].concat(), big);
        let name = [&word(2 << 16 | 1, big)[..], b"ab\0\0"].concat();
        let parts: Vec<u8> = parts.iter().flat_map(|part| element(kind, part, big)).collect();
        element(MATRIX, &[flags, dims, name, parts].concat(), big)
    }

    fn file(matrices: &[Vec<u8>], big: bool) -> Vec<u8> {
        let mut file = vec![b' '; 124];
        file.extend(if big { [1, 0, b'M', b'I'] } else { [0, 1, b'I', b'M'] });
        file.extend(matrices.concat());
        file
    }

    fn found(bytes: &[u8]) -> Vec<(String, DType, Vec<u64>)> {
        let arrays = dissect(&bytes, &[&Mat]).0.arrays;
        arrays.into_iter().map(|array| (array.name.clone(), array.dtype, array.index_shape())).collect()
    }

    #[test]
    fn values_have_the_type_they_are_stored_in() {
        for big in [false, true] {
            let matrices = [matrix(6, 2, &[&[1; 6]], big), matrix(6, 9, &[&[1; 48]], big), matrix(7, 7, &[&[1; 24]], big)];
            let arrays = dissect(&&file(&matrices, big)[..], &[&Mat]).0.arrays;
            let types: Vec<_> = arrays.iter().map(|array| (&array.name[..], array.dtype, array.index_shape(), array.big_endian)).collect();
            let of = |name, dtype, big| (name, dtype, vec![2, 3], big);
            assert_eq!(types, [of("ab", DType::U8, false), of("ab#2", DType::F64, big), of("ab#3", DType::F32, big)]);
        }
    }

    #[test]
    fn parts_of_complex_arrays_are_two_arrays() {
        let complex = matrix(0x806, 9, &[&[1; 48], &[2; 48]], false);
        let names: Vec<_> = found(&file(&[complex], false)).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["ab.real", "ab.imag"]);
    }

    #[test]
    fn other_variables_are_bytes_and_do_not_hide_the_next() {
        let plain = matrix(6, 9, &[&[1; 48]], false);
        let compressed = [&word(15, false)[..], &word(5, false), &[1; 5]].concat();
        for other in [matrix(1, 9, &[&[1; 48]], false), matrix(6, 9, &[&[1; 40]], false), matrix(6, 8, &[&[1; 48]], false), compressed] {
            assert_eq!(found(&file(&[other, plain.clone()], false)).len(), 1);
        }
    }

    #[test]
    fn compressed_variables_are_streams_of_one_matrix() {
        for big in [false, true] {
            let compressed = [&word(15, big)[..], &word(8, big), b"\x78\x9cstream"].concat();
            let file = file(&[compressed, matrix(6, 9, &[&[1; 48]], big)], big);
            let (layout, _) = dissect(&&file[..], &[&Mat]);
            let [Place { offset: 138, length: 6, holds: Holds::Stream(Wrapper::Raw, element) }, _] = &layout.places[..] else {
                panic!("{layout:?}")
            };
            let inside = matrix(6, 9, &[&[1; 48]], big);
            let inner = element.dissect(&&inside[..]);
            assert_eq!((inner.arrays[0].name.as_str(), inner.places[0].length, inner.arrays[0].big_endian), ("ab", 48, big));
            for cut in 0..inside.len() {
                assert_eq!(element.dissect(&&inside[..cut]), Layout::default());
            }
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_bytes() {
        let whole = file(&[matrix(6, 9, &[&[1; 48]], false)], false);
        for len in 0..whole.len() {
            assert_eq!(found(&whole[..len]), [], "{len}");
        }
    }
}
