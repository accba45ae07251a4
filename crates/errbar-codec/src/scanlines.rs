//! Scanlines of PNG (ISO/IEC 15948, clause 9): rows of bytes, each less what one of five filters
//! predicts of it, behind a byte that says which.
//!
//! Left of the first pixel, and above the first row, are zeros. See `spec/filters.md`.

use errbar_format::{Error, Result};

/// Goes through the rows of an image from the top down.
///
/// ```
/// use errbar_codec::scanlines::Scanlines;
/// let lines = Scanlines::of(&[3, 3], 1).filter(&[0, 2, 1], &[7, 8, 9, 8, 8, 8, 1, 2, 4])?;
/// assert_eq!(lines, [0, 7, 8, 9, 2, 1, 0, 255, 1, 1, 1, 2]);
/// assert_eq!(Scanlines::of(&[3, 3], 1).undo(&lines)?.1, [7, 8, 9, 8, 8, 8, 1, 2, 4]);
/// # Ok::<(), errbar_codec::Error>(())
/// ```
pub struct Scanlines {
    /// The row above the next one; nothing before the first, whose length is only declared.
    above: Vec<u8>,
    /// Bytes of a row.
    row: usize,
    /// Bytes from a sample to the same one of the next pixel.
    pixel: usize,
}

impl Scanlines {
    /// Of an image of this shape, whose samples have `item` bytes: rows, then pixels, then the samples of
    /// a pixel.
    pub fn of(shape: &[u64], item: usize) -> Scanlines {
        let bytes =
            |extents: &[u64]| extents.iter().fold(item, |n, extent| n.saturating_mul(usize::try_from(*extent).unwrap_or(usize::MAX)));
        let after = |axis: usize| bytes(shape.get(axis..).unwrap_or_default());
        Scanlines { above: Vec::new(), row: after(1), pixel: after(2).max(1) }
    }

    /// Bytes of a scanline: the filter type and the row.
    pub fn line(&self) -> usize {
        self.row.saturating_add(1)
    }

    /// The next scanlines: of each row its filter type and its filtered bytes.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Corrupt`] under EB-E14 where there is no such filter type, or rows are not whole.
    pub fn filter(&mut self, types: &[u8], pixels: &[u8]) -> Result<Vec<u8>> {
        let row = self.row;
        if types.len().checked_mul(row) != Some(pixels.len()) {
            return Err(Error::corrupt("EB-E14", format!("{} bytes of pixels for {} scanlines of {row}", pixels.len(), types.len())));
        }
        if !types.is_empty() {
            self.above.resize(row, 0);
        }
        let mut lines = Vec::with_capacity(types.len() + pixels.len());
        for (i, &of) in types.iter().enumerate() {
            let pixels = &pixels[i * row..][..row];
            lines.push(of);
            filter_row(of, pixels, &self.above, self.pixel, &mut lines)?;
            self.above.copy_from_slice(pixels);
        }
        Ok(lines)
    }

    /// Inverse of [`Scanlines::filter`]: the filter types and the bytes of the next rows.
    ///
    /// # Errors
    /// As [`Scanlines::filter`].
    pub fn undo(&mut self, lines: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
        let (row, pixel) = (self.row, self.pixel);
        let n = lines.len() / self.line();
        let (mut types, mut pixels) = (Vec::with_capacity(n), Vec::with_capacity(n * row));
        let whole = lines.chunks_exact(self.line());
        if !whole.remainder().is_empty() {
            return Err(Error::corrupt("EB-E14", format!("{} bytes are no scanlines of {row}", lines.len())));
        }
        if n > 0 {
            self.above.resize(row, 0);
        }
        for line in whole {
            types.push(line[0]);
            let start = pixels.len();
            pixels.extend_from_slice(&line[1..]);
            undo_row(line[0], &mut pixels[start..], &self.above, pixel)?;
            self.above.copy_from_slice(&pixels[start..]);
        }
        Ok((types, pixels))
    }
}

fn unknown(of: u8) -> Error {
    Error::corrupt("EB-E14", format!("there is no filter type {of}; the last is 4"))
}

fn average(left: u8, up: u8) -> u8 {
    ((u16::from(left) + u16::from(up)) / 2) as u8
}

/// The one of left, up and what is left of that which is nearest to left + up − it, the first of equals.
fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let [a, b, c] = [left, up, corner].map(i16::from);
    let (to_left, to_up, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    let far = if to_up <= to_corner { up } else { corner };
    if to_left <= to_up && to_left <= to_corner { left } else { far }
}

/// Appends a row less what filter type `of` predicts of it.
fn filter_row(of: u8, row: &[u8], above: &[u8], pixel: usize, out: &mut Vec<u8>) -> Result<()> {
    let (first, rest) = row.split_at(pixel.min(row.len()));
    let (first_above, rest_above) = above.split_at(first.len());
    // What stands left of each byte of the rest, and of the one above it.
    let (left, corner) = (&row[..rest.len()], &above[..rest.len()]);
    match of {
        0 => out.extend_from_slice(row),
        1 => {
            out.extend_from_slice(first);
            out.extend(rest.iter().zip(left).map(|(x, a)| x.wrapping_sub(*a)));
        }
        2 => out.extend(row.iter().zip(above).map(|(x, b)| x.wrapping_sub(*b))),
        3 => {
            out.extend(first.iter().zip(first_above).map(|(x, b)| x.wrapping_sub(b / 2)));
            out.extend(rest.iter().zip(left).zip(rest_above).map(|((x, a), b)| x.wrapping_sub(average(*a, *b))));
        }
        4 => {
            out.extend(first.iter().zip(first_above).map(|(x, b)| x.wrapping_sub(*b)));
            let rest = rest.iter().zip(left).zip(rest_above.iter().zip(corner));
            out.extend(rest.map(|((x, a), (b, c))| x.wrapping_sub(paeth(*a, *b, *c))));
        }
        _ => return Err(unknown(of)),
    }
    Ok(())
}

/// Inverse of [`filter_row`], in place.
fn undo_row(of: u8, row: &mut [u8], above: &[u8], pixel: usize) -> Result<()> {
    let n = row.len();
    let first = pixel.min(n);
    match of {
        0 => {}
        1 => (first..n).for_each(|i| row[i] = row[i].wrapping_add(row[i - pixel])),
        2 => row.iter_mut().zip(above).for_each(|(x, b)| *x = x.wrapping_add(*b)),
        3 => {
            row[..first].iter_mut().zip(above).for_each(|(x, b)| *x = x.wrapping_add(b / 2));
            (first..n).for_each(|i| row[i] = row[i].wrapping_add(average(row[i - pixel], above[i])));
        }
        4 => {
            row[..first].iter_mut().zip(above).for_each(|(x, b)| *x = x.wrapping_add(*b));
            (first..n).for_each(|i| row[i] = row[i].wrapping_add(paeth(row[i - pixel], above[i], above[i - pixel])));
        }
        _ => return Err(unknown(of)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use errbar_format::Kind;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_come_back_however_they_are_cut(
            types in prop::collection::vec(0u8..5, 0..9),
            (width, samples, item) in (0u64..6, 0u64..4, 1usize..3),
            noise in prop::collection::vec(any::<u8>(), 300),
            cut in 0usize..9,
        ) {
            let new = || Scanlines::of(&[types.len() as u64, width, samples], item);
            let row = (width * samples) as usize * item;
            let pixels = &noise[..types.len() * row];
            let lines = new().filter(&types, pixels).expect("known types");
            prop_assert_eq!(lines.len(), types.len() * new().line());
            let (upper, lower) = types.split_at(cut.min(types.len()));
            let mut again = new();
            let parts = [again.filter(upper, &pixels[..upper.len() * row]), again.filter(lower, &pixels[upper.len() * row..])];
            prop_assert_eq!(parts.map(|part| part.expect("known types")).concat(), lines.clone());
            let (again_types, again_pixels) = new().undo(&lines).expect("just made");
            prop_assert_eq!((&again_types, &again_pixels[..]), (&types, pixels));
        }
    }

    /// Each filter's own definition, a byte at a time.
    #[test]
    fn predictions_are_those_of_the_standard() {
        let (above, row) = ([10u8, 200, 30, 40, 50, 60], [12u8, 190, 35, 41, 55, 250]);
        let at = |bytes: &[u8], i: usize, back: usize| i.checked_sub(back).map_or(0, |i| i32::from(bytes[i]));
        for of in 0..5u8 {
            let expected: Vec<u8> = (0..row.len())
                .map(|i| {
                    let (a, b, c) = (at(&row, i, 2), at(&above, i, 0), at(&above, i, 2));
                    let nearest = [a, b, c].into_iter().min_by_key(|x| (a + b - c - x).abs()).expect("three");
                    (i32::from(row[i]) - [0, a, b, (a + b) / 2, nearest][usize::from(of)]) as u8
                })
                .collect();
            let lines = Scanlines::of(&[2, 3, 2], 1).filter(&[0, of], &[above, row].concat()).expect("known types");
            assert_eq!(lines[8..], expected, "type {of}");
        }
    }

    #[test]
    fn eb_e14_other_types_and_rows_cut_are_refused() {
        let refused = |result: Result<()>| assert_eq!(result.expect_err("refused").kind, Kind::Corrupt);
        let new = || Scanlines::of(&[1, 3], 1);
        refused(new().filter(&[5], &[0; 3]).map(drop));
        refused(new().filter(&[0], &[0; 4]).map(drop));
        refused(new().undo(&[9, 0, 0, 0]).map(drop));
        refused(new().undo(&[0, 0, 0]).map(drop));
        refused(Scanlines::of(&[1, u64::MAX, u64::MAX], 8).filter(&[0], &[0; 4]).map(drop));
    }

    #[test]
    fn rows_that_are_only_declared_cost_nothing() {
        assert_eq!(Scanlines::of(&[0, u64::MAX], 8).filter(&[], &[]).expect("no rows"), [0u8; 0]);
    }
}
