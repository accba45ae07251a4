//! NIfTI-1 and NIfTI-2, in one file or in a pair of them (the headers `nifti1.h` and `nifti2.h` of the
//! NIfTI Data Format Working Group).

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, Packing, ReadAt, not_this};

/// The NIfTI formats.
#[derive(Clone, Copy, Debug)]
pub struct Nifti;

impl Dissector for Nifti {
    fn name(&self) -> &'static str {
        "nifti"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.len() >= 348 && (&head[344..348] == b"n+1\0" || &head[4..12] == b"n+2\0\r\n\x1a\n")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let (array, data) = header(file, Data::Behind)?;
        Ok(Layout::of(array, data))
    }
}

/// Where the data of a header are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Data {
    /// In the same file.
    Behind,
    /// In a file of their own.
    Elsewhere,
}

/// The array that a header describes, and where it begins in its file.
pub(crate) fn header(file: &dyn ReadAt, whence: Data) -> Result<(Array, u64)> {
    let mut header = Numbers::read(file, 0, 348, false)?;
    header.big_endian = !matches!(header.u32(0)?, 348 | 540);
    let (dims, code, bits, data, packing) = match header.u32(0)? {
        348 => {
            let dims = (0..8).map(|i| header.i16(40 + 2 * i).map(i64::from)).collect::<Result<Vec<_>>>()?;
            let data = header.f32(108)?;
            if data.fract() != 0.0 || !(0.0..1e9).contains(&data) {
                return Err(not_this("the data's offset is not a number of bytes"));
            }
            let packing = [112, 116].map(|at| header.f32(at).map(f64::from));
            // Analyze has no intercept, and for a slope what SPM has put into a field without a use.
            let is_nifti = whence == Data::Behind || header.bytes(344, 4)? == b"ni1\0";
            let packing = if is_nifti { packing } else { [header.f32(112).map(f64::from), Ok(0.0)] };
            (dims, header.u16(70)?, header.u16(72)?, data as u64, packing)
        }
        540 if whence == Data::Behind || header.bytes(4, 8)? == b"ni2\0\r\n\x1a\n" => {
            let dims = (0..8).map(|i| header.i64(16 + 8 * i)).collect::<Result<Vec<_>>>()?;
            (dims, header.u16(12)?, header.u16(14)?, header.u64(168)?, [176, 184].map(|at| header.f64(at)))
        }
        _ => return Err(not_this("header of another length")),
    };
    if whence == Data::Behind && data < u64::from(header.u32(0)?) + 4 {
        return Err(not_this("data begin inside the header"));
    }
    let n_dims = usize::try_from(dims[0]).ok().filter(|n| (1..=7).contains(n)).ok_or_else(|| not_this("no dimensions"))?;
    let extents = dims[1..=n_dims].iter().map(|&extent| u64::try_from(extent));
    let mut shape = extents.rev().collect::<std::result::Result<Vec<_>, _>>().map_err(|_| not_this("negative extent"))?;
    let (dtype, parts) = dtype(code).ok_or_else(|| not_this("elements of no type known here"))?;
    if parts > 1 {
        shape.push(parts);
    }
    if u64::from(bits) != 8 * parts * dtype.size() as u64 {
        return Err(not_this("bits of an element are not those of its type"));
    }
    let big_endian = header.big_endian && dtype.size() > 1;
    let [slope, intercept] = packing;
    let packing = Packing::of(Some(slope?), Some(intercept?));
    Ok((Array { column_major: true, packing, ..Array::new("", dtype, big_endian, shape) }, data))
}

/// Type of an element and how many of them make one voxel.
fn dtype(code: u16) -> Option<(DType, u64)> {
    Some(match code {
        2 => (DType::U8, 1),
        4 => (DType::I16, 1),
        8 => (DType::I32, 1),
        16 => (DType::F32, 1),
        32 => (DType::C64, 1),
        64 => (DType::F64, 1),
        128 => (DType::U8, 3),
        256 => (DType::I8, 1),
        512 => (DType::U16, 1),
        768 => (DType::U32, 1),
        1024 => (DType::I64, 1),
        1280 => (DType::U64, 1),
        1792 => (DType::C128, 1),
        2304 => (DType::U8, 4),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn nifti1(dims: &[i16], code: u16, bits: u16, data: f32) -> Vec<u8> {
        let mut file = vec![0; 352];
        file[..4].copy_from_slice(&348u32.to_be_bytes());
        dims.iter().enumerate().for_each(|(i, dim)| file[40 + 2 * i..42 + 2 * i].copy_from_slice(&dim.to_be_bytes()));
        file[70..72].copy_from_slice(&code.to_be_bytes());
        file[72..74].copy_from_slice(&bits.to_be_bytes());
        file[108..112].copy_from_slice(&data.to_be_bytes());
        file[344..348].copy_from_slice(b"n+1\0");
        file.resize(1000, 1);
        file
    }

    fn found(file: &[u8]) -> Layout {
        dissect(&file, &[&Nifti]).0
    }

    #[test]
    fn the_first_index_varies_fastest() {
        let layout = found(&nifti1(&[3, 4, 5, 6], 4, 16, 352.0));
        let array = &layout.arrays[0];
        assert_eq!((array.index_shape(), array.big_endian, layout.places[0].offset), (vec![4, 5, 6], true, 352));
        let layout = found(&nifti1(&[2, 4, 5, 9], 128, 24, 400.0));
        assert_eq!((layout.arrays[0].index_shape(), layout.places[0].offset), (vec![3, 4, 5], 400));
    }

    #[test]
    fn contradictions_are_bytes() {
        for (dims, code, bits, data) in [
            (&[3, 4, 5, 6][..], 4, 32, 352.0),
            (&[3, 4, 5, 60], 4, 16, 352.0),
            (&[3, 4, -5, 6], 4, 16, 352.0),
            (&[0, 4], 4, 16, 352.0),
            (&[8, 1, 1, 1, 1, 1, 1, 1], 4, 16, 352.0),
            (&[1, 4], 1536, 128, 352.0),
            (&[1, 4], 4, 16, 0.0),
            (&[1, 4], 4, 16, 352.5),
            (&[1, 4], 4, 16, f32::NAN),
            (&[1, 4], 4, 16, -352.0),
        ] {
            assert_eq!(found(&nifti1(dims, code, bits, data)), Layout::default());
        }
        let mut pair = nifti1(&[1, 4], 4, 16, 352.0);
        assert_eq!(found(&pair).arrays.len(), 1);
        pair[345] = b'i';
        assert_eq!(found(&pair), Layout::default(), "data are in another file");
    }
}
