//! DCD trajectories (CHARMM, NAMD, X-PLOR): Fortran records in either byte order, of which every
//! frame has the same.

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::stack::frames;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Bytes of the first record.
const HEADER: u64 = 84;

/// The DCD format.
#[derive(Clone, Copy, Debug)]
pub struct Dcd;

impl Dissector for Dcd {
    fn name(&self) -> &'static str {
        "dcd"
    }

    fn probe(&self, head: &[u8]) -> bool {
        start(head).is_some()
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let head = Numbers::read(file, 0, 12, false)?;
        let (marker, big_endian) = start(head.bytes(0, 12)?).ok_or_else(|| not_this("not a DCD"))?;
        let fortran = Fortran { file, marker, big_endian };
        let header = Numbers::read(file, marker + 4, 80, big_endian)?;
        let titles = fortran.end_of(0, Some(HEADER))?;
        let atoms_at = fortran.end_of(titles, None)?;
        let first = fortran.end_of(atoms_at, Some(4))?;
        let atoms = u64::from(Numbers::read(file, atoms_at + marker, 4, big_endian)?.u32(0)?);
        if atoms == 0 || header.i32(32)? != 0 {
            return Err(not_this("no atoms, or fixed ones, which later frames leave out"));
        }
        // Only CHARMM, which puts its version in the last word, has unit cells and a fourth dimension.
        let charmm = header.i32(76)? != 0;
        let cell = charmm && header.i32(40)? != 0;
        let fourth = charmm && header.i32(44)? != 0;
        let mut records = Vec::new();
        if cell {
            records.push(("unitcell", DType::F64, 6));
        }
        records.extend(["x", "y", "z", "w"][..if fourth { 4 } else { 3 }].iter().map(|name| (*name, DType::F32, atoms)));
        let bytes = |&(_, dtype, n): &(&str, DType, u64)| n * dtype.size() as u64;
        let frame = records.iter().map(|record| bytes(record) + 2 * marker).sum::<u64>();
        // The count in the header is often wrong; a last frame that is cut is bytes.
        let count = (file.size() - first) / frame;
        for i in 0..count {
            let mut at = first + i * frame;
            for record in &records {
                at = fortran.end_of(at, Some(bytes(record)))?;
            }
        }
        let markers = |n: u64| {
            let dtype = if marker == 8 { DType::U64 } else { DType::U32 };
            Array::new("", dtype, big_endian, if n == 1 { vec![count] } else { vec![count, n] }).auxiliary()
        };
        let mut fields = vec![markers(1)];
        for (i, (name, dtype, n)) in records.iter().enumerate() {
            let array = Array::new(*name, *dtype, big_endian, vec![count, *n]);
            fields.push(if *name == "unitcell" { array.auxiliary() } else { array });
            fields.push(markers(if i + 1 == records.len() { 1 } else { 2 }));
        }
        let mut layout = Layout::default();
        frames(&mut layout, file.size(), first, fields)?;
        Ok(layout)
    }
}

/// Bytes of a record's marker and byte order of a file that begins so.
fn start(head: &[u8]) -> Option<(u64, bool)> {
    let wide = |magic: &[u8]| matches!(magic, b"CORD" | b"VELD");
    match head {
        [84, 0, 0, 0, rest @ ..] if rest.get(..4).is_some_and(wide) => Some((4, false)),
        [0, 0, 0, 84, rest @ ..] if rest.get(..4).is_some_and(wide) => Some((4, true)),
        [84, 0, 0, 0, 0, 0, 0, 0, rest @ ..] if rest.get(..4).is_some_and(wide) => Some((8, false)),
        [0, 0, 0, 0, 0, 0, 0, 84, rest @ ..] if rest.get(..4).is_some_and(wide) => Some((8, true)),
        _ => None,
    }
}

/// A file of records with their length before and behind them.
struct Fortran<'a> {
    file: &'a dyn ReadAt,
    marker: u64,
    big_endian: bool,
}

impl Fortran<'_> {
    fn marker(&self, at: u64) -> Result<u64> {
        let numbers = Numbers::read(self.file, at, self.marker, self.big_endian)?;
        if self.marker == 8 { numbers.u64(0) } else { numbers.u32(0).map(u64::from) }
    }

    /// Where the record at `at` ends, which must have this length if one is given.
    fn end_of(&self, at: u64, length: Option<u64>) -> Result<u64> {
        let found = self.marker(at)?;
        let behind = at.checked_add(self.marker).and_then(|at| at.checked_add(found)).ok_or_else(|| not_this("record overflows"))?;
        match self.marker(behind)? == found && length.is_none_or(|length| length == found) {
            true => Ok(behind + self.marker),
            false => Err(not_this("record has another length")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    struct Writer {
        wide: bool,
        big: bool,
    }

    impl Writer {
        fn record(&self, bytes: &[u8]) -> Vec<u8> {
            let n = bytes.len();
            let marker = match (self.wide, self.big) {
                (false, false) => (n as u32).to_le_bytes().to_vec(),
                (false, true) => (n as u32).to_be_bytes().to_vec(),
                (true, false) => (n as u64).to_le_bytes().to_vec(),
                (true, true) => (n as u64).to_be_bytes().to_vec(),
            };
            [&marker[..], bytes, &marker].concat()
        }

        fn int(&self, n: i32) -> [u8; 4] {
            if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
        }

        /// A file of five atoms whose header has these words.
        fn file(&self, words: &[(usize, i32)], frames: usize) -> Vec<u8> {
            let mut control = [0; 20];
            words.iter().for_each(|&(i, word)| control[i] = word);
            let header: Vec<u8> = b"CORD".iter().copied().chain(control.iter().flat_map(|word| self.int(*word))).collect();
            let mut file = [self.record(&header), self.record(&[1; 84]), self.record(&self.int(5))].concat();
            for _ in 0..frames {
                if control[10] != 0 {
                    file.extend(self.record(&[2; 48]));
                }
                (0..3).for_each(|_| file.extend(self.record(&[3; 20])));
            }
            file
        }
    }

    fn named(bytes: &[u8]) -> Vec<(String, Vec<u64>)> {
        let arrays = dissect(&bytes, &[&Dcd]).0.arrays;
        arrays.into_iter().filter(|array| !array.name.is_empty()).map(|array| (array.name, array.shape)).collect()
    }

    #[test]
    fn frames_are_records_with_either_markers_and_byte_order() {
        for (wide, big) in [(false, false), (false, true), (true, false), (true, true)] {
            let writer = Writer { wide, big };
            let axes = |n| ["x", "y", "z"].map(|name| (name.to_owned(), vec![n, 5])).to_vec();
            assert_eq!(named(&writer.file(&[], 4)), axes(4));
            let cell = named(&writer.file(&[(10, 1), (19, 24)], 3));
            assert_eq!(cell, [vec![("unitcell".into(), vec![3, 6])], axes(3)].concat());
        }
    }

    #[test]
    fn other_files_are_bytes() {
        let writer = Writer { wide: false, big: false };
        assert_eq!(named(&writer.file(&[(8, 2)], 4)), [], "fixed atoms");
        let mut odd = writer.file(&[], 4);
        let at = odd.len() - 1;
        odd[at] = 1;
        assert_eq!(named(&odd), [], "a marker is wrong");
    }

    #[test]
    fn a_frame_that_is_cut_is_bytes() {
        let file = Writer { wide: false, big: true }.file(&[], 2);
        for len in 0..file.len() {
            let whole = (len + 168 >= file.len()) as u64 + u64::from(len + 84 >= file.len());
            let n = named(&file[..len]).first().map_or(0, |(_, shape)| shape[0]);
            assert!(n <= whole, "{len}");
        }
        assert_eq!(named(&file[..file.len() - 1])[0].1, [1, 5]);
    }
}
