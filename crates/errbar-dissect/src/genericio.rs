//! GenericIO (Argonne National Laboratory), the particle files of the cosmology code HACC: for each
//! rank, each variable followed by its checksum.

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Variables of all the ranks that wrote a file, at most.
const MAX_ARRAYS: u64 = 1 << 17;
/// Bytes of a variable's name, and of the checksum behind its values.
const NAME: usize = 256;
const CHECKSUM: u64 = 8;

const FLOAT: u64 = 1;
const SIGNED: u64 = 2;

/// The GenericIO format.
#[derive(Clone, Copy, Debug)]
pub struct GenericIo;

impl Dissector for GenericIo {
    fn name(&self) -> &'static str {
        "genericio"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"HACC01L\0") || head.starts_with(b"HACC01B\0")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let big_endian = Numbers::read(file, 6, 1, false)?.u8(0)? == b'B';
        let head = Numbers::read(file, 0, 152, big_endian)?;
        let [variables, variable_size, variables_at, ranks, rank_size, ranks_at] = {
            let word = |i: usize| head.u64(48 + 8 * i);
            [word(0)?, word(1)?, word(2)?, word(3)?, word(4)?, word(5)?]
        };
        let header_size = head.u64(96)?;
        // Newer headers are longer and name blocks, which may be compressed.
        let blocks = if header_size >= 168 { Numbers::read(file, 152, 16, big_endian)?.u64(0)? } else { 0 };
        if variables.saturating_mul(ranks) > MAX_ARRAYS || variable_size < NAME as u64 + 16 || rank_size < 40 || blocks > 0 {
            return Err(not_this("blocks may be compressed, or counts are out of bounds"));
        }
        let table = Numbers::read(file, variables_at, variables.saturating_mul(variable_size), big_endian)?;
        let variables: Vec<Variable> =
            (0..variables).map(|i| Variable::read(&table, (i * variable_size) as usize)).collect::<Result<_>>()?;
        let mut layout = Layout::default();
        let table = Numbers::read(file, ranks_at, ranks.saturating_mul(rank_size), big_endian)?;
        for i in 0..ranks {
            let rank = (i * rank_size) as usize;
            let prefix = if ranks > 1 { format!("{i}/") } else { String::new() };
            let (count, mut at) = (table.u64(rank + 24)?, table.u64(rank + 32)?);
            for variable in &variables {
                let bytes = count.checked_mul(variable.size).and_then(|bytes| bytes.checked_add(CHECKSUM));
                let end = bytes.and_then(|bytes| at.checked_add(bytes)).ok_or_else(|| not_this("values overflow"))?;
                if let Some(dtype) = variable.dtype {
                    let name = format!("{prefix}{}", variable.name);
                    let array = Array::new(name, dtype, big_endian && dtype.size() > 1, vec![count]);
                    // Integers are identifiers and masks. A checksum follows each array.
                    layout.array(at, if dtype.is_float() { array } else { array.auxiliary() }.sealed());
                }
                at = end;
            }
        }
        Ok(layout)
    }
}

struct Variable {
    name: String,
    size: u64,
    dtype: Option<DType>,
}

impl Variable {
    fn read(table: &Numbers, at: usize) -> Result<Variable> {
        let name = table.bytes(at, NAME)?.split(|byte| *byte == 0).next().unwrap_or(&[]);
        let (flags, size) = (table.u64(at + NAME)?, table.u64(at + NAME + 8)?);
        let dtype = match (flags & FLOAT != 0, flags & SIGNED != 0, size) {
            (true, _, 4) => Some(DType::F32),
            (true, _, 8) => Some(DType::F64),
            (false, true, 1) => Some(DType::I8),
            (false, true, 2) => Some(DType::I16),
            (false, true, 4) => Some(DType::I32),
            (false, true, 8) => Some(DType::I64),
            (false, false, 1) => Some(DType::U8),
            (false, false, 2) => Some(DType::U16),
            (false, false, 4) => Some(DType::U32),
            (false, false, 8) => Some(DType::U64),
            _ => None,
        };
        Ok(Variable { name: String::from_utf8_lossy(name).into_owned(), size, dtype })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    /// A file of two variables, f32 and u16, of ranks with these counts.
    fn file(big: bool, counts: &[u64]) -> Vec<u8> {
        let word = |n: u64| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let words = |words: &[u64]| words.iter().flat_map(|n| word(*n)).collect::<Vec<u8>>();
        let ranks_at = 168 + 2 * 272;
        let data_at = ranks_at + 48 * counts.len() as u64;
        let mut file = [&b"HACC01"[..], if big { b"B\0" } else { b"L\0" }].concat();
        file.extend(words(&[0, 0, 1, 1, counts.len() as u64, 2, 272, 168, counts.len() as u64, 48, ranks_at, 168]));
        file.extend([0; 64]);
        for (name, flags, size) in [("vx", FLOAT | SIGNED, 4), ("mask", 0, 2)] {
            file.extend(name.bytes().chain([0; NAME]).take(NAME));
            file.extend(words(&[flags, size]));
        }
        let mut at = data_at;
        for count in counts {
            file.extend(words(&[0, 0, 0, *count, at, 0]));
            at += count * 6 + 16;
        }
        file.resize(at as usize, 1);
        file
    }

    fn found(bytes: &[u8]) -> Vec<(String, DType, Vec<u64>)> {
        dissect(&bytes, &[&GenericIo]).0.arrays.into_iter().map(|array| (array.name, array.dtype, array.shape)).collect()
    }

    #[test]
    fn each_rank_has_its_variables() {
        assert_eq!(found(&file(true, &[5])), [("vx".into(), DType::F32, vec![5]), ("mask".into(), DType::U16, vec![5])]);
        let names: Vec<_> = found(&file(false, &[5, 7])).into_iter().map(|(name, _, shape)| (name, shape[0])).collect();
        assert_eq!(names, [("0/vx", 5), ("0/mask", 5), ("1/vx", 7), ("1/mask", 7)].map(|(name, n)| (name.to_owned(), n)));
    }

    #[test]
    fn blocks_large_counts_and_cut_files_are_bytes() {
        let whole = file(false, &[5]);
        for at in [48 + 5, 72 + 3, 152, 711 + 25 + 7] {
            let mut odd = whole.clone();
            odd[at] ^= 0x40;
            assert_eq!(found(&odd), [], "{at}");
        }
        for len in 0..whole.len() - 8 {
            assert_eq!(found(&whole[..len]), [], "{len}");
        }
    }
}
