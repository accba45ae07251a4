//! SAC, versions 6 and 7 ("SAC Data File Format", IRIS/EarthScope manuals).

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Bytes of the header: 70 floats, 40 integers, 192 bytes of text.
const HEADER: u64 = 632;
/// Bytes behind the data in version 7: 22 binary64.
const FOOTER: u64 = 176;
const VERSION: usize = 4 * 76;
const POINTS: usize = 4 * 79;
const KIND: usize = 4 * 85;
const EVEN: usize = 4 * 105;

/// The SAC format.
#[derive(Clone, Copy, Debug)]
pub struct Sac;

impl Dissector for Sac {
    fn name(&self) -> &'static str {
        "sac"
    }

    fn probe(&self, head: &[u8]) -> bool {
        // There is no magic: the version stands in the middle, in either byte order.
        head.get(VERSION..VERSION + 4).is_some_and(|version| matches!(version, [6 | 7, 0, 0, 0] | [0, 0, 0, 6 | 7]))
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut header = Numbers::read(file, 0, HEADER, false)?;
        header.big_endian = header.u8(VERSION)? == 0;
        let points = u64::from(header.u32(POINTS)?);
        let sections: &[&str] = match (header.u32(KIND)?, header.u32(EVEN)?) {
            (1, 1) | (51, 0 | 1) => &[""],
            (2, 0 | 1) => &["real", "imaginary"],
            (3, 0 | 1) => &["amplitude", "phase"],
            (4, 0 | 1) | (1, 0) => &["y", "x"],
            _ => return Err(not_this("unknown kind of data")),
        };
        let footer = if header.u32(VERSION)? == 7 { FOOTER } else { 0 };
        if points == 0 || HEADER + 4 * points * sections.len() as u64 + footer != file.size() {
            return Err(not_this("size of the file is not that of its data"));
        }
        let mut layout = Layout::default();
        for (i, name) in (0..).zip(sections) {
            let array = Array::new(*name, DType::F32, header.big_endian, vec![points]);
            layout.array(HEADER + 4 * points * i, if *name == "x" { array.auxiliary() } else { array });
        }
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn found(version: u32, kind: u32, even: u32, data: usize) -> Vec<(String, bool, bool)> {
        let mut file = vec![0; HEADER as usize];
        for (at, value) in [(VERSION, version), (POINTS, 5), (KIND, kind), (EVEN, even)] {
            file[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        file.resize(file.len() + data, 1);
        dissect(&&file[..], &[&Sac]).0.arrays.into_iter().map(|a| (a.name, a.big_endian, a.auxiliary)).collect()
    }

    #[test]
    fn kinds_have_one_or_two_sections() {
        assert_eq!(found(6, 1, 1, 20), [(String::new(), true, false)]);
        assert_eq!(found(7, 1, 1, 196), [(String::new(), true, false)]);
        assert_eq!(found(6, 1, 0, 40), [("y".into(), true, false), ("x".into(), true, true)]);
        assert_eq!(found(6, 2, 1, 40).len(), 2);
        assert_eq!(found(6, 3, 1, 40).len(), 2);
    }

    #[test]
    fn contradictions_are_bytes() {
        for (version, kind, even, data) in [(6, 1, 1, 21), (5, 1, 1, 20), (7, 1, 1, 20), (6, 9, 1, 20), (6, 1, 7, 20), (6, 4, 1, 20)] {
            assert_eq!(found(version, kind, even, data), []);
        }
    }
}
