//! Predictor 2 of TIFF 6.0 (section 14): each sample less the one of the pixel before it.

use errbar_format::record::Raster;

/// Takes differences in the rows of `bytes`. The first pixel of a row stays, and so do bytes behind the
/// last whole sample.
pub(super) fn apply(bytes: &mut [u8], raster: &Raster) {
    run(bytes, raster, true);
}

/// Inverse of [`apply`].
pub(super) fn undo(bytes: &mut [u8], raster: &Raster) {
    run(bytes, raster, false);
}

fn run(bytes: &mut [u8], raster: &Raster, forward: bool) {
    let rows = bytes.chunks_mut(raster.row as usize);
    let stride = raster.samples.into();
    match (raster.item, raster.big_endian) {
        (2, false) => rows.for_each(|row| change::<2, false>(row, stride, forward)),
        (4, false) => rows.for_each(|row| change::<4, false>(row, stride, forward)),
        (8, false) => rows.for_each(|row| change::<8, false>(row, stride, forward)),
        (2, true) => rows.for_each(|row| change::<2, true>(row, stride, forward)),
        (4, true) => rows.for_each(|row| change::<4, true>(row, stride, forward)),
        (8, true) => rows.for_each(|row| change::<8, true>(row, stride, forward)),
        _ => rows.for_each(|row| change::<1, true>(row, stride, forward)),
    }
}

/// Changes a row of samples of `N` bytes.
fn change<const N: usize, const BIG: bool>(row: &mut [u8], stride: usize, forward: bool) {
    let samples = row.as_chunks_mut::<N>().0;
    if forward {
        for i in (stride..samples.len()).rev() {
            samples[i] = bytes::<N, BIG>(number::<N, BIG>(samples[i]).wrapping_sub(number::<N, BIG>(samples[i - stride])));
        }
    } else {
        for i in stride..samples.len() {
            samples[i] = bytes::<N, BIG>(number::<N, BIG>(samples[i]).wrapping_add(number::<N, BIG>(samples[i - stride])));
        }
    }
}

fn number<const N: usize, const BIG: bool>(sample: [u8; N]) -> u64 {
    let mut word = [0; 8];
    if BIG {
        word[8 - N..].copy_from_slice(&sample);
        u64::from_be_bytes(word)
    } else {
        word[..N].copy_from_slice(&sample);
        u64::from_le_bytes(word)
    }
}

/// The low bytes of a number.
fn bytes<const N: usize, const BIG: bool>(number: u64) -> [u8; N] {
    let word = if BIG { number.to_be_bytes() } else { number.to_le_bytes() };
    let from = if BIG { 8 - N } else { 0 };
    std::array::from_fn(|i| word[from + i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_pixel_are_apart_and_rows_begin_anew() {
        let mut bytes = [1, 2, 4, 1, 9, 0, 7, 7, 8, 9, 5, 5, 3];
        apply(&mut bytes, &Raster { item: 1, big_endian: false, samples: 2, row: 6 });
        assert_eq!(bytes, [1, 2, 3, 255, 5, 255, 7, 7, 1, 2, 253, 252, 3]);
    }

    #[test]
    fn carries_follow_the_byte_order() {
        for big_endian in [false, true] {
            let word = |n: u16| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
            let mut bytes = [word(255), word(256), word(1)].concat();
            bytes.push(9);
            apply(&mut bytes, &Raster { item: 2, big_endian, samples: 1, row: 7 });
            assert_eq!(bytes, [&word(255)[..], &word(1), &word(0xFF01), &[9]].concat());
        }
    }
}
