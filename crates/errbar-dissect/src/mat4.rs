//! MATLAB's MAT-files, level 4 (MathWorks, MAT-File Format), in which PhysioNet keeps signals: full
//! numeric matrices.

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Bytes of a matrix's header, before its name.
const HEADER: usize = 20;
/// Bytes of a name with the zero behind it, at most.
const MAX_LEN: u32 = 64;
/// Matrices in a file, at most.
const MAX_MATRICES: usize = 1 << 16;

/// The MAT-file format of level 4.
#[derive(Clone, Copy, Debug)]
pub struct Mat4;

impl Dissector for Mat4 {
    fn name(&self) -> &'static str {
        "mat4"
    }

    /// There is no magic, but a header and a name that leave little to chance; and the matrices fill
    /// the file.
    fn probe(&self, head: &[u8]) -> bool {
        Header::read(&head, 0).is_ok()
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut layout = Layout::default();
        let mut at = 0;
        for _ in 0..MAX_MATRICES {
            if at == file.size() {
                return Ok(layout);
            }
            let header = Header::read(file, at)?;
            let data = at + HEADER as u64 + header.name.len() as u64 + 1;
            for part in 0..header.parts {
                let name = match (header.parts, part) {
                    (1, _) => header.name.clone(),
                    (_, 0) => format!("{}.real", header.name),
                    _ => format!("{}.imag", header.name),
                };
                let array = Array::new(name, header.dtype, header.big_endian, vec![header.columns, header.rows]);
                if header.numeric {
                    layout.array(data + part * header.bytes, Array { column_major: true, ..array });
                }
            }
            at = data + header.parts * header.bytes;
        }
        Err(not_this("too many matrices"))
    }
}

struct Header {
    big_endian: bool,
    dtype: DType,
    /// Whether it is a matrix of numbers, not of characters.
    numeric: bool,
    rows: u64,
    columns: u64,
    /// Real and imaginary ones.
    parts: u64,
    /// Bytes of a part.
    bytes: u64,
    name: String,
}

impl Header {
    fn read(file: &dyn ReadAt, at: u64) -> Result<Header> {
        let mut head = Numbers::read(file, at, HEADER as u64, false)?;
        // The type is a number of four digits: byte order, 0, type of values, kind of matrix.
        head.big_endian = head.u32(0)? > 9999;
        let kind = head.u32(0)?;
        let (order, values, matrix) = (kind / 100, kind / 10 % 10, kind % 10);
        let dtype = match values {
            0 => DType::F64,
            1 => DType::F32,
            2 => DType::I32,
            3 => DType::I16,
            4 => DType::U16,
            5 => DType::U8,
            _ => return Err(not_this("unknown type of values")),
        };
        let (rows, columns, imaginary, len) = (head.u32(4)?, head.u32(8)?, head.u32(12)?, head.u32(16)?);
        if order != (if head.big_endian { 10 } else { 0 }) || matrix > 1 || imaginary > 1 || !(2..=MAX_LEN).contains(&len) {
            return Err(not_this("not a full matrix"));
        }
        let name = Numbers::read(file, at + HEADER as u64, len.into(), false)?;
        let (name, zero) = name.bytes(0, len as usize)?.split_at(len as usize - 1);
        let letters = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        if zero != [0] || !letters || !name[0].is_ascii_alphabetic() {
            return Err(not_this("name is not a variable's"));
        }
        let (rows, columns) = (u64::from(rows), u64::from(columns));
        let bytes = (rows * columns).checked_mul(dtype.size() as u64).filter(|bytes| *bytes < 1 << 60);
        Ok(Header {
            big_endian: head.big_endian && dtype.size() > 1,
            dtype,
            numeric: matrix == 0,
            rows,
            columns,
            parts: u64::from(imaginary) + 1,
            bytes: bytes.ok_or_else(|| not_this("matrix overflows"))?,
            name: String::from_utf8_lossy(name).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    /// A matrix `ab` with this kind, rows, columns, imaginary part, and values.
    fn matrix(kind: u32, rows: u32, columns: u32, imaginary: u32, bytes: usize) -> Vec<u8> {
        let words = [kind, rows, columns, imaginary, 3];
        let header: Vec<u8> = words.iter().flat_map(|word| if kind >= 1000 { word.to_be_bytes() } else { word.to_le_bytes() }).collect();
        [&header[..], b"ab\0", &vec![1; bytes]].concat()
    }

    fn found(bytes: &[u8]) -> Vec<(String, DType, bool, Vec<u64>)> {
        let arrays = dissect(&bytes, &[&Mat4]).0.arrays;
        arrays.into_iter().map(|array| (array.name.clone(), array.dtype, array.big_endian, array.index_shape())).collect()
    }

    #[test]
    fn matrices_fill_the_file() {
        let file = [matrix(30, 2, 3, 0, 12), matrix(1, 1, 4, 0, 32), matrix(10, 3, 1, 1, 24)].concat();
        let array = |name: &str, dtype, shape: [u64; 2]| (name.to_owned(), dtype, false, shape.to_vec());
        let expected = [array("ab", DType::I16, [2, 3]), array("ab.real", DType::F32, [3, 1]), array("ab.imag", DType::F32, [3, 1])];
        assert_eq!(found(&file), expected);
        assert_eq!(found(&[&file[..], &[0]].concat()), []);
        assert_eq!(found(&matrix(1000, 2, 2, 0, 32)), [("ab".into(), DType::F64, true, vec![2, 2])]);
    }

    #[test]
    fn other_files_are_bytes() {
        for kind in [2, 3, 60, 100, 2000, 10_000] {
            assert_eq!(found(&matrix(kind, 2, 2, 0, 32)), [], "{kind}");
        }
        assert_eq!(found(&matrix(0, 2, 2, 2, 32)), []);
        assert_eq!(found(&matrix(0, u32::MAX, u32::MAX, 1, 32)), []);
        for (at, byte) in [(20, b'1'), (21, b' '), (22, b'c'), (16, 1), (16, 65)] {
            let mut odd = matrix(0, 2, 2, 0, 32);
            odd[at] = byte;
            assert_eq!(found(&odd), [], "{at}");
        }
        let whole = matrix(0, 2, 2, 0, 32);
        for len in 0..whole.len() {
            assert_eq!(found(&whole[..len]), [], "{len}");
        }
    }
}
