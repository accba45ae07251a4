//! Predictor 3 of TIFF: Adobe Photoshop TIFF Technical Note 3 (2005), "Floating point predictor".

use errbar_format::record::Raster;

/// Sorts the bytes of each row's samples by significance, the most significant ones first, and makes
/// each byte its difference from the one a pixel before it. Bytes behind the last whole sample stay.
pub(super) fn apply(bytes: &mut [u8], raster: &Raster) {
    each_row(bytes, raster, |row, sorted, stride| {
        for (at, byte) in places(row.len(), raster) {
            sorted[at] = row[byte];
        }
        row.copy_from_slice(sorted);
        for i in (stride..row.len()).rev() {
            row[i] = row[i].wrapping_sub(row[i - stride]);
        }
    });
}

/// Inverse of [`apply`].
pub(super) fn undo(bytes: &mut [u8], raster: &Raster) {
    each_row(bytes, raster, |row, sorted, stride| {
        for i in stride..row.len() {
            row[i] = row[i].wrapping_add(row[i - stride]);
        }
        sorted.copy_from_slice(row);
        for (at, byte) in places(row.len(), raster) {
            row[byte] = sorted[at];
        }
    });
}

/// Where each byte of a row of `len` bytes stands once sorted, and before.
fn places(len: usize, raster: &Raster) -> impl Iterator<Item = (usize, usize)> {
    let item = usize::from(raster.item);
    let significant = move |k: usize| if raster.big_endian { k } else { item - 1 - k };
    (0..item).flat_map(move |k| (0..len / item).map(move |i| (k * (len / item) + i, i * item + significant(k))))
}

fn each_row(bytes: &mut [u8], raster: &Raster, change: impl Fn(&mut [u8], &mut [u8], usize)) {
    let mut sorted = vec![0; bytes.len().min(raster.row as usize)];
    for row in bytes.chunks_mut(raster.row as usize) {
        let whole = row.len() / usize::from(raster.item) * usize::from(raster.item);
        change(&mut row[..whole], &mut sorted[..whole], usize::from(raster.samples));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_sorted_by_significance_and_made_differences() {
        let expected = [0x3f, 0x01, 0x40, 0x80, 0x01, 0x01, 9];
        for (big_endian, mut bytes) in [(true, [0x3f, 0x80, 0x01, 0x40, 0x00, 0x02, 9]), (false, [0x01, 0x80, 0x3f, 0x02, 0x00, 0x40, 9])] {
            // An item of three bytes is none that records may name, but shows the order.
            let raster = Raster { item: 3, big_endian, samples: 1, row: 7 };
            let before = bytes;
            apply(&mut bytes, &raster);
            assert_eq!(bytes, expected);
            undo(&mut bytes, &raster);
            assert_eq!(bytes, before);
        }
    }
}
