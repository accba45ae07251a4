//! BMP without compression (Microsoft, "Bitmap Storage" and `BITMAPINFOHEADER`).

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::strided::Strided;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// The BMP format.
#[derive(Clone, Copy, Debug)]
pub struct Bmp;

impl Dissector for Bmp {
    fn name(&self) -> &'static str {
        "bmp"
    }

    fn probe(&self, head: &[u8]) -> bool {
        // The length of the second header is the version.
        head.starts_with(b"BM") && head.get(14..18).is_some_and(|len| matches!(len, [12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]))
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let header = Numbers::read(file, 0, 34, false)?;
        let (width, height, planes, bits, compression) = match header.u32(14)? {
            12 => (header.u16(18)?.into(), header.u16(20)?.into(), header.u16(22)?, header.u16(24)?, 0),
            _ => {
                // A negative height says that the rows come from the top down.
                let (width, height) = (header.u32(18)?.into(), (header.u32(22)? as i32).unsigned_abs().into());
                (width, height, header.u16(26)?, header.u16(28)?, header.u32(30)?)
            }
        };
        if planes != 1 || width == 0 || height == 0 || !matches!((compression, bits), (0, _) | (3 | 6, 16 | 32)) {
            return Err(not_this("no plain image"));
        }
        let (dtype, channels) = match bits {
            8 => (DType::U8, 1),
            16 => (DType::U16, 1),
            24 => (DType::U8, 3),
            32 => (DType::U8, 4),
            _ => return Err(not_this("pixels are not whole bytes")),
        };
        let mut shape = vec![height, width];
        if channels > 1 {
            shape.push(channels);
        }
        // Rows are padded to multiples of 4 bytes.
        let stride = (width * u64::from(bits / 8)).next_multiple_of(4);
        let mut layout = Layout::default();
        let records = Strided { start: header.u32(10)?.into(), stride, count: height };
        layout.strided(file.size(), records, vec![(0, Array::new("", dtype, false, shape))])?;
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn found(width: i32, height: i32, bits: u16, compression: u32, data: usize) -> Layout {
        let mut file = [b"BM".to_vec(), vec![0; 8], 54u32.to_le_bytes().to_vec(), 40u32.to_le_bytes().to_vec()].concat();
        file.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
        file.extend([[1, 0], bits.to_le_bytes()].concat());
        file.extend(compression.to_le_bytes());
        file.resize(54 + data, 1);
        dissect(&&file[..], &[&Bmp]).0
    }

    #[test]
    fn rows_are_padded_to_four_bytes() {
        let layout = found(3, 2, 24, 0, 24);
        assert_eq!((&layout.arrays[0].shape[..], &layout.arrays[1].shape[..]), (&[2, 3, 3][..], &[2, 3][..]));
        let layout = found(4, -2, 8, 0, 8);
        assert_eq!((layout.arrays.len(), &layout.arrays[0].shape[..]), (1, &[2, 4][..]));
        assert_eq!(found(2, 1, 32, 3, 8).arrays[0].shape, [1, 2, 4]);
        assert_eq!(found(2, 1, 16, 3, 8).arrays[0].dtype, DType::U16);
    }

    #[test]
    fn contradictions_are_bytes() {
        for (width, height, bits, compression) in [(3, 3, 24, 0), (0, 2, 24, 0), (8, 2, 4, 0), (3, 2, 8, 1), (-1, i32::MIN, 32, 0)] {
            assert_eq!(found(width, height, bits, compression, 24), Layout::default());
        }
    }
}
