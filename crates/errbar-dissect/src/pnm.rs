//! Raw PGM and PPM, one or more in a file, PAM (the manual pages pgm, ppm and pam of Netpbm), and PFM
//! (Debevec, "PFM Portable FloatMap Image Format").

use errbar_format::{DType, Result};

use crate::cursor::Cursor;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Images of a file, at most.
const MAX_IMAGES: usize = 1 << 16;
/// Bytes of a header, at most.
const MAX_HEADER: u64 = 16 << 10;

/// The PNM formats.
#[derive(Clone, Copy, Debug)]
pub struct Pnm;

impl Dissector for Pnm {
    fn name(&self) -> &'static str {
        "pnm"
    }

    fn probe(&self, head: &[u8]) -> bool {
        matches!(head, [b'P', b'5' | b'6' | b'7' | b'F' | b'f', space, ..] if space.is_ascii_whitespace())
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut layout = Layout::default();
        let mut at = 0;
        while at < file.size() && layout.arrays.len() < MAX_IMAGES {
            // What follows the last whole image may be anything.
            let found = image(file, at).and_then(|(start, array)| {
                let end = array.bytes().and_then(|bytes| bytes.checked_add(start)).filter(|end| *end <= file.size());
                Ok((start, array, end.ok_or_else(|| not_this("file ends inside an image"))?))
            });
            match found {
                Ok((start, array, end)) => {
                    layout.array(start, array);
                    at = end;
                }
                Err(error) if at == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if layout.arrays.len() > 1 {
            layout.arrays.iter_mut().enumerate().for_each(|(number, array)| array.name = number.to_string());
        }
        Ok(layout)
    }
}

/// The image whose header begins at `at`, and where its rows begin.
fn image(file: &dyn ReadAt, at: u64) -> Result<(u64, Array)> {
    let mut header = Cursor::new(file, at, false);
    match header.bytes(2)? {
        b"P5" => rows(&mut header, 1),
        b"P6" => rows(&mut header, 3),
        b"P7" => pam(&mut header),
        b"PF" => floats(&mut header, 3),
        b"Pf" => floats(&mut header, 1),
        _ => Err(not_this("not an image")),
    }
}

/// The next word of a header, and the one white space behind it. A comment runs from # to the end of
/// its line.
fn word(header: &mut Cursor, start: u64) -> Result<String> {
    let (mut word, mut comment) = (String::new(), false);
    while header.at - start < MAX_HEADER {
        let c = char::from(header.u8()?);
        match c {
            '#' => comment = true,
            c if comment && !matches!(c, '\n' | '\r') => (),
            c if !c.is_ascii_whitespace() => word.push(c),
            _ if !word.is_empty() => return Ok(word),
            _ => comment = false,
        }
    }
    Err(not_this("header is too long"))
}

fn number(header: &mut Cursor, start: u64) -> Result<u64> {
    word(header, start)?.parse().map_err(|_| not_this("not a number"))
}

fn rows(header: &mut Cursor, channels: u64) -> Result<(u64, Array)> {
    let start = header.at;
    let (width, height) = (number(header, start)?, number(header, start)?);
    let largest = number(header, start)?;
    samples(header.at, [height, width, channels], largest)
}

fn samples(at: u64, [height, width, channels]: [u64; 3], largest: u64) -> Result<(u64, Array)> {
    let dtype = match largest {
        1..=255 => DType::U8,
        256..=65535 => DType::U16,
        _ => return Err(not_this("largest value of no type known here")),
    };
    if height == 0 || width == 0 || channels == 0 {
        return Err(not_this("image without pixels"));
    }
    let mut shape = vec![height, width, channels];
    if channels == 1 {
        shape.pop();
    }
    Ok((at, Array::new("", dtype, dtype == DType::U16, shape)))
}

fn pam(header: &mut Cursor) -> Result<(u64, Array)> {
    let start = header.at;
    let mut numbers = [0; 4];
    while header.at - start < MAX_HEADER {
        let line = header.line()?;
        let (key, value) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let which = match key {
            "HEIGHT" => 0,
            "WIDTH" => 1,
            "DEPTH" => 2,
            "MAXVAL" => 3,
            "ENDHDR" => return samples(header.at, [numbers[0], numbers[1], numbers[2]], numbers[3]),
            _ => continue,
        };
        numbers[which] = value.trim().parse().map_err(|_| not_this("not a number"))?;
    }
    Err(not_this("header is too long"))
}

/// Rows from the bottom up; a negative scale says that they are little-endian.
fn floats(header: &mut Cursor, channels: u64) -> Result<(u64, Array)> {
    let start = header.at;
    let (width, height) = (number(header, start)?, number(header, start)?);
    let scale: f64 = word(header, start)?.parse().map_err(|_| not_this("not a number"))?;
    let (at, array) = samples(header.at, [height, width, channels], 255)?;
    Ok((at, Array { dtype: DType::F32, big_endian: scale > 0.0, ..array }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    fn found(header: &str, data: usize) -> Layout {
        let mut file = header.as_bytes().to_vec();
        file.resize(file.len() + data, b'P');
        dissect(&&file[..], &[&Pnm]).0
    }

    #[test]
    fn headers_are_words_between_white_space_and_comments() {
        for header in ["P5\n3 2\n255\n", "P5 # of 9\n#\n3\t2# end\n 255 ", "P5\r3\r2\r255\r"] {
            let layout = found(header, 6);
            assert_eq!((&layout.arrays[0].shape[..], layout.places[0].offset), (&[2, 3][..], header.len() as u64), "{header}");
        }
    }

    #[test]
    fn each_kind_has_its_type() {
        let kind = |header, data| found(header, data).arrays.pop().map(|a| (a.dtype, a.big_endian, a.shape));
        assert_eq!(kind("P6 3 2 256 ", 36), Some((DType::U16, true, vec![2, 3, 3])));
        assert_eq!(kind("PF\n3 2\n-1.0\n", 72), Some((DType::F32, false, vec![2, 3, 3])));
        assert_eq!(kind("Pf\n3 2\n1\n", 24), Some((DType::F32, true, vec![2, 3])));
        assert_eq!(
            kind("P7\nWIDTH 3\nHEIGHT 2\n# two\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n", 12),
            Some((DType::U8, false, vec![2, 3, 2]))
        );
    }

    #[test]
    fn images_that_follow_one_another_are_numbered() {
        let layout = found("P5 2 2 255 abcdP5 1 2 255 abP5 9 9 255 ", 80);
        assert_eq!(layout.arrays.iter().map(|array| &array.name[..]).collect::<Vec<_>>(), ["0", "1"]);
    }

    #[test]
    fn contradictions_are_bytes() {
        for header in
            ["P5 3 3 255 ", "P5 0 2 255 ", "P5 3 2 65536 ", "P5 3 2 0 ", "P5 3 x 255 ", "P5 3 2", "P4 8 2 ", "P7\nWIDTH 3\nENDHDR\n"]
        {
            assert_eq!(found(header, 6), Layout::default(), "{header}");
        }
        assert_eq!(found("P5 18446744073709551615 2 255 ", 6), Layout::default());
        assert_eq!(found(&format!("P5 {}", " ".repeat(20_000)), 6), Layout::default());
    }
}
