//! Met Office PP fields (Unified Model Documentation Paper F3): Fortran records of big-endian words of 4 bytes.

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::stack::Stacks;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Bytes of a field's header: 45 integers and 19 reals.
const HEADER: u32 = 256;
/// Bytes of a header and of the lengths around it and before the data.
const BEFORE_DATA: u64 = 268;

/// The PP format.
#[derive(Clone, Copy, Debug)]
pub struct Pp;

impl Dissector for Pp {
    fn name(&self) -> &'static str {
        "pp"
    }

    fn probe(&self, head: &[u8]) -> bool {
        let length = HEADER.to_be_bytes();
        head.starts_with(&length) && head.get(260..264) == Some(&length)
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut stacks = Stacks::default();
        let mut at = 0;
        while at < file.size() {
            let head = Numbers::read(file, at, BEFORE_DATA, true)?;
            let length = u64::from(head.u32(264)?);
            let data = at + BEFORE_DATA;
            let after = Numbers::read(file, data.saturating_add(length), 4, true)?;
            if (head.u32(0)?, head.u32(260)?) != (HEADER, HEADER) || u64::from(after.u32(0)?) != length {
                return Err(not_this("lengths around a record differ"));
            }
            if let Some(field) = field(&head, length)? {
                stacks.add(data, field)?;
            }
            at = data + length + 4;
        }
        let mut layout = Layout::default();
        stacks.add_to(&mut layout);
        Ok(layout)
    }
}

/// The array of a field whose data are not packed.
fn field(head: &Numbers, length: u64) -> Result<Option<Array>> {
    // Words are numbered from 1 in the documentation; the first stands behind the record's length.
    let word = |n: usize| head.i32(4 * n);
    let (rows, columns) = (i64::from(word(18)?), i64::from(word(19)?));
    let (extra, packing, code) = (i64::from(word(20)?), word(21)?, word(42)?);
    let dtype = match word(39)?.unsigned_abs() {
        1 => DType::F32,
        2 | 3 => DType::I32,
        _ => return Ok(None),
    };
    let fits = rows > 0
        && columns > 0
        && extra >= 0
        && (rows * columns).checked_add(extra).is_some_and(|n| n.checked_mul(4) == Some(length as i64));
    if packing != 0 || !fits {
        return Ok(None);
    }
    let name = format!("m{:02}s{:02}i{:03}", word(45)?, code.div_euclid(1000), code.rem_euclid(1000));
    let array = Array::new(name, dtype, true, vec![rows as u64, columns as u64]);
    // Logical values are masks.
    Ok(Some(if word(39)?.unsigned_abs() == 3 { array.auxiliary() } else { array }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    /// A field with these words, numbered from 1, and `data` words.
    fn record(words: &[(usize, i32)], data: usize) -> Vec<u8> {
        let mut header = [0i32; 64];
        words.iter().for_each(|&(n, value)| header[n - 1] = value);
        let header: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        let length = (data as u32 * 4).to_be_bytes();
        [&HEADER.to_be_bytes()[..], &header, &HEADER.to_be_bytes(), &length, &vec![1; data * 4], &length].concat()
    }

    const PLAIN: &[(usize, i32)] = &[(18, 2), (19, 3), (39, 1), (42, 16203), (45, 1)];

    fn shapes(bytes: &[u8]) -> Vec<(String, DType, Vec<u64>)> {
        dissect(&bytes, &[&Pp]).0.arrays.into_iter().map(|array| (array.name, array.dtype, array.shape)).collect()
    }

    #[test]
    fn equal_fields_are_one_array() {
        let with = |n, value| [PLAIN, &[(n, value)]].concat();
        let one = record(PLAIN, 6);
        assert_eq!(shapes(&one), [("m01s16i203".into(), DType::F32, vec![2, 3])]);
        let many = [one.clone(), record(&with(39, 3), 6), one.clone(), record(&with(20, 2), 8)].concat();
        assert_eq!(shapes(&many), [("m01s16i203".into(), DType::F32, vec![3, 2, 3]), ("m01s16i203#2".into(), DType::I32, vec![2, 3])]);
    }

    #[test]
    fn packed_fields_and_odd_lengths_are_bytes() {
        for (words, data) in
            [([(21, 1)], 6), ([(21, 120)], 6), ([(39, 9)], 6), ([(20, -1)], 6), ([(18, -2)], 6), ([(39, i32::MIN)], 6), ([(20, 0)], 7)]
        {
            let file = [record(&[PLAIN, &words].concat(), data), record(PLAIN, 6)].concat();
            assert_eq!(shapes(&file).len(), 1, "{words:?} {data}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_bytes() {
        let file = [record(PLAIN, 6), record(PLAIN, 6)].concat();
        for len in 0..file.len() {
            assert_eq!(shapes(&file[..len]).len(), usize::from(len == file.len() / 2), "{len}");
        }
    }
}
