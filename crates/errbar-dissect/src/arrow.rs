//! Arrow IPC files, which Feather 2 files are (Apache Arrow Columnar Format): buffers of columns of
//! fixed width that are not compressed.

use errbar_format::{DType, Result};

use crate::flatbuffer::Table;
use crate::layout::MAX_PLACES;
use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

const MAGIC: &[u8] = b"ARROW1";
/// Columns inside columns, at most.
const MAX_DEPTH: usize = 16;
/// Bytes of the footer and of a batch's message, at most.
const MAX_MESSAGE: u64 = 1 << 24;

/// The Arrow IPC file format.
#[derive(Clone, Copy, Debug)]
pub struct Arrow;

impl Dissector for Arrow {
    fn name(&self) -> &'static str {
        "arrow"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(b"ARROW1\0\0")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let end = file.size().checked_sub(10).ok_or_else(|| not_this("file is too short"))?;
        let last = Numbers::read(file, end, 10, false)?;
        let length = u64::from(last.u32(0)?);
        if last.bytes(4, 6)? != MAGIC || length > MAX_MESSAGE || length > end {
            return Err(not_this("no footer"));
        }
        let footer = Numbers::read(file, end - length, length, false)?;
        let footer = Table::root(&footer, 0)?;
        let schema = footer.table(1)?.ok_or_else(|| not_this("no schema"))?;
        let big_endian = schema.i16(0, 0)? != 0;
        let mut columns = Vec::new();
        for field in schema.tables(1)? {
            if !column(&field, "", MAX_DEPTH, &mut columns)? {
                break;
            }
        }
        let batches = footer.structs::<3>(3)?;
        let mut layout = Layout::default();
        // Many blocks may name one message, but together they are no longer than the file.
        let mut left = file.size();
        for (i, [offset, ..]) in batches.iter().enumerate() {
            let prefix = if batches.len() > 1 { format!("{i}/") } else { String::new() };
            let length = batch(file, *offset, &columns, big_endian, &prefix, &mut layout)?;
            left = left.checked_sub(length).filter(|_| layout.arrays.len() <= MAX_PLACES).ok_or_else(|| not_this("too many columns"))?;
        }
        Ok(layout)
    }
}

/// A column as it stands in a batch: its name, how many buffers it has, and the type of the values
/// in the last one if they are plain.
struct Column {
    name: String,
    buffers: usize,
    dtype: Option<DType>,
}

/// Adds a column and those inside it. Gives whether it is understood: if not, what follows it cannot
/// be found.
fn column(field: &Table, above: &str, depth: usize, columns: &mut Vec<Column>) -> Result<bool> {
    if depth == 0 {
        return Ok(false);
    }
    let name = format!("{above}{}", field.text(0)?);
    let kind = field.table(3)?;
    let of_kind = |number: usize, default: i32| kind.map_or(Ok(default), |kind| kind.i32(number, default));
    let unit = |default: i16| kind.map_or(Ok(default), |kind| kind.i16(0, default));
    let (buffers, dtype) = match (field.table(4)?, field.u8(2, 0)?) {
        // The values of a dictionary stand elsewhere; here are their numbers.
        (Some(dictionary), _) => {
            let dtype = dictionary.table(1)?.map_or(Ok(Some(DType::I32)), |index| integer(index.i32(0, 0)?, index.u8(1, 0)? != 0))?;
            columns.push(Column { name, buffers: 2, dtype });
            return Ok(true);
        }
        (None, 2) => (2, integer(of_kind(0, 0)?, kind.map_or(Ok(0), |kind| kind.u8(1, 0))? != 0)?),
        (None, 3) => (2, [DType::F16, DType::F32, DType::F64].get(usize::try_from(unit(0)?).unwrap_or(9)).copied()),
        // Dates in days or milliseconds; times of day in 32 or 64 bits.
        (None, 8) => (2, Some(if unit(1)? == 0 { DType::I32 } else { DType::I64 })),
        (None, 9) => (2, integer(of_kind(1, 32)?, true)?),
        (None, 10 | 18) => (2, Some(DType::I64)),
        // No values, lists, records and lists of one length.
        (None, 1) => (0, None),
        (None, 12 | 17 | 21) => (2, None),
        (None, 13 | 16) => (1, None),
        // Text, and values of other widths.
        (None, 4 | 5 | 19 | 20) => (3, None),
        (None, 6 | 7 | 11 | 15) => (2, None),
        _ => return Ok(false),
    };
    let above = format!("{name}/");
    columns.push(Column { name, buffers, dtype });
    if columns.len() > MAX_PLACES {
        return Ok(false);
    }
    for inner in field.tables(5)? {
        if !column(&inner, &above, depth - 1, columns)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn integer(bits: i32, signed: bool) -> Result<Option<DType>> {
    Ok(match (bits, signed) {
        (8, false) => Some(DType::U8),
        (16, false) => Some(DType::U16),
        (32, false) => Some(DType::U32),
        (64, false) => Some(DType::U64),
        (8, true) => Some(DType::I8),
        (16, true) => Some(DType::I16),
        (32, true) => Some(DType::I32),
        (64, true) => Some(DType::I64),
        _ => return Err(not_this("integers of an odd width")),
    })
}

/// Adds the arrays of the batch whose message is at `at`, and gives the length of that.
fn batch(file: &dyn ReadAt, at: u64, columns: &[Column], big_endian: bool, prefix: &str, layout: &mut Layout) -> Result<u64> {
    let head = Numbers::read(file, at, 8, false)?;
    // Older files have no mark before the length.
    let (length, start) = if head.u32(0)? == u32::MAX { (head.u32(4)?, 8) } else { (head.u32(0)?, 4) };
    let (length, start) = (u64::from(length), at + start);
    if length > MAX_MESSAGE {
        return Err(not_this("message is too long"));
    }
    let message = Numbers::read(file, start, length, false)?;
    let message = Table::root(&message, 0)?;
    let batch = message.table(2)?.filter(|_| message.u8(1, 0).is_ok_and(|kind| kind == 3)).ok_or_else(|| not_this("not a batch"))?;
    if batch.table(3)?.is_some() {
        return Err(not_this("buffers are compressed"));
    }
    let (nodes, buffers) = (batch.structs::<2>(1)?, batch.structs::<2>(2)?);
    let mut next = 0;
    for (column, [count, _]) in columns.iter().zip(&nodes) {
        next += column.buffers;
        let (Some(dtype), Some([offset, bytes])) = (column.dtype, buffers.get(next.wrapping_sub(1))) else { continue };
        let array = Array::new(format!("{prefix}{}", column.name), dtype, big_endian && dtype.size() > 1, vec![*count]);
        // A table's columns may be anything: only who names them may ask for a bound.
        if array.bytes().is_some_and(|needed| needed <= *bytes) {
            layout.array((start + length).saturating_add(*offset), array.auxiliary());
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    /// Writes a buffer from its end to its start, as a table needs what lies behind it.
    #[derive(Default)]
    struct Builder(Vec<u8>);

    impl Builder {
        /// Adds `bytes` before all others and gives their distance from the end.
        fn push(&mut self, bytes: &[u8]) -> usize {
            let padding = (8 - (self.0.len() + bytes.len()) % 8) % 8;
            self.0 = [bytes, &vec![0; padding], &self.0].concat();
            self.0.len()
        }

        /// A table of fields of eight bytes: numbers, or references to what was pushed.
        fn table(&mut self, fields: &[Option<Value>]) -> usize {
            let n = fields.len();
            let head = (4 + 2 * n).next_multiple_of(8);
            let len = head + 8 + 8 * n;
            let end = self.0.len() + len;
            let mut bytes = vec![0; len];
            bytes[..2].copy_from_slice(&(4 + 2 * n as u16).to_le_bytes());
            bytes[head..head + 4].copy_from_slice(&(head as u32).to_le_bytes());
            for (i, field) in fields.iter().enumerate() {
                let Some(field) = field else { continue };
                bytes[4 + 2 * i..6 + 2 * i].copy_from_slice(&(8 + 8 * i as u16).to_le_bytes());
                let at = head + 8 + 8 * i;
                let value = match field {
                    Value::Number(n) => *n,
                    Value::At(distance) => (end - at - distance) as u64,
                };
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            self.push(&bytes) - head
        }

        fn vector(&mut self, count: usize, bytes: &[u8]) -> usize {
            // Four bytes before the count keep the items aligned.
            self.push(&[&[0; 4], &(count as u32).to_le_bytes()[..], bytes].concat()) - 4
        }

        fn tables(&mut self, tables: &[usize]) -> usize {
            let len = (8 + 4 * tables.len()).next_multiple_of(8);
            let end = self.0.len() + len;
            let offsets: Vec<u8> =
                tables.iter().enumerate().flat_map(|(i, table)| ((end - 8 - 4 * i - table) as u32).to_le_bytes()).collect();
            self.vector(tables.len(), &offsets)
        }

        fn finish(mut self, root: usize) -> Vec<u8> {
            let len = self.0.len() + 8;
            self.push(&((len - root) as u64).to_le_bytes());
            self.0
        }
    }

    enum Value {
        Number(u64),
        At(usize),
    }
    use Value::{At, Number};

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// A file of a text column, a list of f32 and an i64 column, with one batch of three rows.
    fn file(compressed: bool) -> Vec<u8> {
        let mut message = Builder::default();
        let buffers: Vec<u64> = [(0, 0), (0, 16), (16, 5), (0, 0), (24, 16), (0, 0), (40, 20), (0, 0), (64, 24)]
            .iter()
            .flat_map(|&(at, len)| [at, len])
            .collect();
        let buffers = message.vector(9, &words(&buffers));
        let nodes = message.vector(4, &words(&[3, 0, 3, 0, 5, 0, 3, 0]));
        let compression = compressed.then(|| message.table(&[Some(Number(0))]));
        let batch = message.table(&[Some(Number(3)), Some(At(nodes)), Some(At(buffers)), compression.map(At)]);
        let message_root = message.table(&[Some(Number(4)), Some(Number(3)), Some(At(batch)), Some(Number(88))]);
        let message = message.finish(message_root);

        let mut footer = Builder::default();
        let blocks = footer.vector(1, &words(&[8, 8 + message.len() as u64, 88]));
        let text = footer.table(&[]);
        let single = footer.table(&[Some(Number(1))]);
        let long = footer.table(&[Some(Number(64)), Some(Number(1))]);
        let mut field = |name: &[u8], kind: u64, table: usize, inner: Option<usize>| {
            let name = footer.vector(name.len(), name);
            let inner = inner.map(|inner| footer.tables(&[inner]));
            footer.table(&[Some(At(name)), None, Some(Number(kind)), Some(At(table)), None, inner.map(At)])
        };
        let item = field(b"item", 3, single, None);
        let fields = [field(b"t", 5, text, None), field(b"l", 12, text, Some(item)), field(b"n", 2, long, None)];
        let fields = footer.tables(&fields);
        let schema = footer.table(&[None, Some(At(fields))]);
        let root = footer.table(&[Some(Number(4)), Some(At(schema)), None, Some(At(blocks))]);
        let footer = footer.finish(root);

        let head = [&u32::MAX.to_le_bytes()[..], &(message.len() as u32).to_le_bytes()].concat();
        let length = (footer.len() as u32).to_le_bytes();
        [&b"ARROW1\0\0"[..], &head, &message, &[7; 88], &footer, &length, MAGIC].concat()
    }

    fn found(bytes: &[u8]) -> Vec<(String, DType, Vec<u64>)> {
        dissect(&bytes, &[&Arrow]).0.arrays.into_iter().map(|array| (array.name, array.dtype, array.shape)).collect()
    }

    #[test]
    fn buffers_of_fixed_width_are_arrays() {
        assert_eq!(found(&file(false)), [("l/item".into(), DType::F32, vec![5]), ("n".into(), DType::I64, vec![3])]);
        assert_eq!(found(&file(true)), []);
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_does_no_harm() {
        let mut whole = file(false);
        for len in 0..whole.len() {
            assert_eq!(found(&whole[..len]), [], "{len}");
        }
        for at in 0..whole.len() {
            for turn in [1, 0x80, 0xff] {
                whole[at] ^= turn;
                assert!(found(&whole).len() <= 3, "{at}");
                whole[at] ^= turn;
            }
        }
    }
}
