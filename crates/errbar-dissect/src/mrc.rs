//! MRC and CCP4 maps (MRC2014: Cheng et al., Journal of Structural Biology 192, 2015).

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

const HEADER: u64 = 1024;

/// The MRC format.
#[derive(Clone, Copy, Debug)]
pub struct Mrc;

impl Dissector for Mrc {
    fn name(&self) -> &'static str {
        "mrc"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.get(208..212).is_some_and(|map| map == b"MAP " || map == b"MAP\0")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut header = Numbers::read(file, 0, HEADER, false)?;
        header.big_endian = match header.u8(212)? {
            0x44 => false,
            0x11 => true,
            // No machine stamp: modes are small numbers.
            _ => header.u32(12)? > 0xffff,
        };
        let number = |word: usize| header.u32(4 * word).map(u64::from);
        let (nx, ny, nz, mz) = (number(0)?, number(1)?, number(2)?, number(9)?);
        let (dtype, parts) = match number(3)? {
            0 => (DType::I8, 1),
            1 => (DType::I16, 1),
            2 => (DType::F32, 1),
            3 => (DType::I16, 2),
            4 => (DType::C64, 1),
            6 => (DType::U16, 1),
            12 => (DType::F16, 1),
            _ => return Err(not_this("mode of no type known here")),
        };
        let mut shape = match number(22)? {
            0 if nz == 1 => vec![ny, nx],
            401..=630 if mz > 0 && nz % mz == 0 => vec![nz / mz, mz, ny, nx],
            _ => vec![nz, ny, nx],
        };
        if parts > 1 {
            shape.push(parts);
        }
        Ok(Layout::of(Array::new("", dtype, header.big_endian && dtype.size() > 1, shape), HEADER + number(23)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn found(words: &[(usize, u32)], stamp: [u8; 2], data: usize) -> Option<(Array, u64)> {
        let mut file = vec![0; 1024];
        let is_big = stamp[0] == 0x11;
        for &(word, value) in [(0, 4), (1, 3), (2, 2), (3, 2), (9, 2)].iter().chain(words) {
            file[4 * word..4 * word + 4].copy_from_slice(&if is_big { value.to_be_bytes() } else { value.to_le_bytes() });
        }
        file[208..214].copy_from_slice(&[b"MAP ", &stamp[..]].concat());
        file.resize(1024 + data, 1);
        let mut layout = dissect(&&file[..], &[&Mrc]).0;
        Some((layout.arrays.pop()?, layout.places[0].offset))
    }

    #[test]
    fn shapes_follow_the_space_group() {
        let shape = |words: &[(usize, u32)]| found(words, [0x44, 0x44], 96).map(|(array, _)| array.shape);
        assert_eq!(shape(&[(22, 1)]), Some(vec![2, 3, 4]));
        assert_eq!(shape(&[]), Some(vec![2, 3, 4]));
        assert_eq!(shape(&[(2, 1)]), Some(vec![3, 4]));
        assert_eq!(shape(&[(22, 401), (9, 1)]), Some(vec![2, 1, 3, 4]));
        assert_eq!(shape(&[(3, 3)]), Some(vec![2, 3, 4, 2]));
    }

    #[test]
    fn byte_order_is_stamped_or_seen_in_the_mode() {
        assert!(found(&[(23, 80)], [0x11, 0x11], 176).is_some_and(|(array, at)| array.big_endian && at == 1104));
        assert!(found(&[], [0, 0], 96).is_some_and(|(array, _)| !array.big_endian));
    }

    #[test]
    fn contradictions_are_bytes() {
        for words in [[(3, 5)], [(3, 101)], [(0, 5)], [(23, 1)], [(0, u32::MAX)]] {
            assert_eq!(found(&words, [0x44, 0x44], 96), None);
        }
    }
}
