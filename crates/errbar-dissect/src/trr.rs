//! TRR trajectories (GROMACS `fileio/trrio.cpp`): frames in XDR, each with a header of sizes.

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::stack::{Stacks, frames};
use crate::{Array, Dissector, Layout, ReadAt, not_this};

const MAGIC: &[u8] = b"\0\0\x07\xc9\0\0\0\x0d\0\0\0\x0cGMX_trn_file";
/// Frames in a file, at most.
const MAX_FRAMES: usize = 1 << 24;
/// Bytes of a frame's magic and of its 13 integers.
const FIXED: usize = MAGIC.len() + 52;

/// The TRR format.
#[derive(Clone, Copy, Debug)]
pub struct Trr;

impl Dissector for Trr {
    fn name(&self) -> &'static str {
        "trr"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut layout = Layout::default();
        let first = Frame::read(file, 0)?;
        let length = first.length()?;
        let count = file.size() / length;
        let equal = count * length == file.size()
            && (1..count).all(|i| Frame::read(file, i * length).is_ok_and(|frame| frame.sizes == first.sizes));
        if equal {
            frames(&mut layout, file.size(), 0, first.fields().into_iter().map(|field| of_frames(field, count)).collect())?;
            return Ok(layout);
        }
        // Velocities and forces may be written more rarely than positions.
        let mut stacks = Stacks::default();
        let mut at = 0;
        for _ in 0..MAX_FRAMES {
            // What follows the last whole frame is bytes.
            let Ok(frame) = Frame::read(file, at) else { break };
            let end = at + frame.length()?;
            for field in frame.fields() {
                let bytes = field.bytes().ok_or_else(|| not_this("frame overflows"))?;
                if frame.has_values(&field) && end <= file.size() {
                    stacks.add(at, field)?;
                }
                at += bytes;
            }
        }
        stacks.add_to(&mut layout);
        Ok(layout)
    }
}

/// The same field of `count` frames.
fn of_frames(field: Array, count: u64) -> Array {
    Array { shape: [&[count], &field.shape[..]].concat(), ..field }
}

/// A frame's header.
struct Frame {
    /// Sizes of blocks of bytes, then the number of atoms.
    sizes: [u64; 11],
    real: DType,
}

impl Frame {
    fn read(file: &dyn ReadAt, at: u64) -> Result<Frame> {
        let head = Numbers::read(file, at, FIXED as u64, true)?;
        let mut sizes = [0; 11];
        for (i, size) in sizes.iter_mut().enumerate() {
            *size = u64::try_from(head.i32(MAGIC.len() + 4 * i)?).map_err(|_| not_this("negative size"))?;
        }
        let [_, _, cell, _, _, _, _, x, v, f, atoms] = sizes;
        // As GROMACS finds the precision: from the size of what there is.
        let real = match (cell, [x, v, f].into_iter().find(|size| *size > 0), atoms) {
            (36, ..) => DType::F32,
            (72, ..) => DType::F64,
            (0, Some(size), 1..) if size == atoms * 12 => DType::F32,
            (0, Some(size), 1..) if size == atoms * 24 => DType::F64,
            _ => return Err(not_this("unknown precision")),
        };
        let whole = |size: &u64| *size == 0 || *size == atoms * 3 * real.size() as u64;
        match head.bytes(0, MAGIC.len())? == MAGIC && [x, v, f].iter().all(whole) {
            true => Ok(Frame { sizes, real }),
            false => Err(not_this("not a frame, or one of odd sizes")),
        }
    }

    /// All that the frame is made of, in order.
    fn fields(&self) -> Vec<Array> {
        let [ir, energies, cell, virial, pressure, topology, symbols, x, v, f, atoms] = self.sizes;
        let array = |name: &str, dtype, shape: &[u64]| Array::new(name, dtype, true, shape.to_vec());
        let mut fields = vec![
            array("", DType::U32, &[FIXED as u64 / 4 - 2]).auxiliary(),
            array("step", DType::I32, &[]).auxiliary(),
            array("", DType::U32, &[]).auxiliary(),
            array("time", self.real, &[]).auxiliary(),
            array("lambda", self.real, &[]).auxiliary(),
            Array::new("", DType::U8, false, vec![ir.saturating_add(energies)]),
            array("box", self.real, &if cell > 0 { [3, 3] } else { [0, 0] }).auxiliary(),
            Array::new("", DType::U8, false, vec![virial + pressure + topology + symbols]),
        ];
        for (name, size) in [("x", x), ("v", v), ("f", f)] {
            if size > 0 {
                fields.push(array(name, self.real, &[atoms, 3]));
            }
        }
        fields.retain(|field| field.bytes() != Some(0));
        fields
    }

    /// Whether a field is worth a place of its own where frames differ.
    fn has_values(&self, field: &Array) -> bool {
        matches!(field.name.as_str(), "x" | "v" | "f")
    }

    fn length(&self) -> Result<u64> {
        let bytes = self.fields().iter().try_fold(0u64, |sum, field| sum.checked_add(field.bytes()?));
        bytes.ok_or_else(|| not_this("frame overflows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    /// A frame of four atoms.
    fn frame(wide: bool, has: [bool; 4]) -> Vec<u8> {
        let real = if wide { 8 } else { 4 };
        let [cell, x, v, f] = has.map(i32::from);
        let sizes = [0, 0, cell * 9 * real, 0, 0, 0, 0, x * 12 * real, v * 12 * real, f * 12 * real, 4, 7, 0];
        let body = (cell * 9 + (x + v + f) * 12 + 2) * real;
        [MAGIC, &sizes.iter().flat_map(|size: &i32| size.to_be_bytes()).collect::<Vec<_>>(), &vec![5; body as usize]].concat()
    }

    fn named(bytes: &[u8]) -> Vec<(String, DType, Vec<u64>)> {
        let arrays = dissect(&bytes, &[&Trr]).0.arrays;
        arrays.into_iter().filter(|array| !array.name.is_empty()).map(|array| (array.name, array.dtype, array.shape)).collect()
    }

    #[test]
    fn equal_frames_are_records() {
        for (wide, real) in [(false, DType::F32), (true, DType::F64)] {
            let found = named(&frame(wide, [true, true, false, true]).repeat(3));
            let expected = [
                ("step", DType::I32, vec![3]),
                ("time", real, vec![3]),
                ("lambda", real, vec![3]),
                ("box", real, vec![3, 3, 3]),
                ("x", real, vec![3, 4, 3]),
                ("f", real, vec![3, 4, 3]),
            ];
            assert_eq!(found, expected.map(|(name, dtype, shape)| (name.to_owned(), dtype, shape)));
        }
        assert_eq!(named(&frame(true, [false, true, false, false]))[3].1, DType::F64, "precision without a box");
    }

    #[test]
    fn arrays_of_unequal_frames_are_put_together() {
        let (both, positions) = (frame(false, [true, true, true, false]), frame(false, [true, true, false, false]));
        let found = named(&[&both[..], &positions, &both, &[0; 9]].concat());
        assert_eq!(found, [("x".into(), DType::F32, vec![3, 4, 3]), ("v".into(), DType::F32, vec![2, 4, 3])]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let whole = frame(false, [true, true, false, false]);
        for at in [MAGIC.len() + 8, MAGIC.len() + 28, MAGIC.len() + 40] {
            let mut odd = whole.clone();
            odd[at + 3] ^= 1;
            assert_eq!(named(&odd), []);
            odd[at] = 0xff;
            assert_eq!(named(&odd), []);
        }
        for len in 0..whole.len() {
            assert_eq!(named(&whole[..len]), [], "{len}");
        }
    }
}
