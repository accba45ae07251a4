//! DICOM files (PS3.10) whose pixel data are native, that is, not encapsulated (PS3.5 Annex A).

use errbar_format::{DType, Result};

use crate::numbers::Numbers;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Elements in a file, and items in sequences, at most.
const MAX_ELEMENTS: usize = 1 << 21;
/// Sequences inside sequences, at most.
const MAX_DEPTH: usize = 64;
const UNDEFINED: u32 = u32::MAX;

/// The DICOM format.
#[derive(Clone, Copy, Debug)]
pub struct Dicom;

impl Dissector for Dicom {
    fn name(&self) -> &'static str {
        "dicom"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.get(128..132) == Some(b"DICM")
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        // The file's meta information is always explicit and little-endian.
        let mut reader = Reader { file, at: 132, big_endian: false, implicit: false, elements: 0 };
        let mut syntax = String::new();
        while let Ok(element) = reader.peek() {
            if element.group != 2 {
                break;
            }
            if element.number == 0x10 {
                syntax = reader.text(&element)?;
            }
            reader.at = element.end().ok_or_else(|| not_this("meta information has an undefined length"))?;
        }
        (reader.implicit, reader.big_endian) = match syntax.as_str() {
            "1.2.840.10008.1.2" => (true, false),
            "1.2.840.10008.1.2.1" => (false, false),
            "1.2.840.10008.1.2.2" => (false, true),
            _ => return Err(not_this("pixel data are encapsulated or deflated")),
        };
        let mut image = Image { samples: 1, frames: 1, ..Image::default() };
        while reader.at < file.size() {
            let element = reader.peek()?;
            match (element.group, element.number) {
                (0x28, 0x02) => image.samples = reader.short(&element)?,
                (0x28, 0x06) => image.planar = reader.short(&element)? == 1,
                (0x28, 0x08) => image.frames = reader.text(&element)?.parse().map_err(|_| not_this("number of frames"))?,
                (0x28, 0x10) => image.rows = reader.short(&element)?,
                (0x28, 0x11) => image.columns = reader.short(&element)?,
                (0x28, 0x100) => image.bits = reader.short(&element)?,
                (0x28, 0x103) => image.signed = reader.short(&element)? == 1,
                (0x7fe0, 0x08 | 0x09 | 0x10) => return image.layout(&element, reader.big_endian),
                _ => {}
            }
            match element.end() {
                Some(end) => reader.at = end,
                None => reader.skip_sequence(&element)?,
            }
        }
        Err(not_this("no pixel data"))
    }
}

/// What stands before an element's value, and where that lies.
struct Element {
    group: u16,
    number: u16,
    vr: [u8; 2],
    value: u64,
    length: u32,
}

impl Element {
    /// Where the next element begins, unless the length is undefined.
    fn end(&self) -> Option<u64> {
        (self.length != UNDEFINED).then(|| self.value.saturating_add(self.length.into()))
    }
}

struct Reader<'a> {
    file: &'a dyn ReadAt,
    at: u64,
    big_endian: bool,
    implicit: bool,
    elements: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Result<Element> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(not_this("too many elements"));
        }
        let head = Numbers::read(self.file, self.at, 8, self.big_endian)?;
        let (group, number) = (head.u16(0)?, head.u16(2)?);
        let vr = [head.u8(4)?, head.u8(5)?];
        let (length, head_len) = match &vr {
            // Items and delimiters have no type in any syntax.
            _ if self.implicit || group == 0xfffe => (head.u32(4)?, 8),
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV" => {
                (Numbers::read(self.file, self.at + 8, 4, self.big_endian)?.u32(0)?, 12)
            }
            _ if vr.iter().all(u8::is_ascii_uppercase) => (head.u16(6)?.into(), 8),
            _ => return Err(not_this("element without a type")),
        };
        Ok(Element { group, number, vr, value: self.at + head_len, length })
    }

    /// Goes behind a sequence, or an unknown value, of undefined length.
    fn skip_sequence(&mut self, element: &Element) -> Result<()> {
        let before = (self.implicit, self.big_endian);
        if &element.vr == b"UN" && !self.implicit {
            // PS3.5 6.2.2: such a value is written as if in the implicit syntax.
            (self.implicit, self.big_endian) = (true, false);
        }
        self.at = element.value;
        let mut depth = 1;
        while depth > 0 {
            let inner = self.peek()?;
            match (inner.group, inner.number, inner.end()) {
                (0xfffe, 0xe00d | 0xe0dd, _) => {
                    depth -= 1;
                    self.at = inner.value;
                }
                (_, _, Some(end)) => self.at = end,
                (_, _, None) if depth < MAX_DEPTH => {
                    depth += 1;
                    self.at = inner.value;
                }
                _ => return Err(not_this("sequences are too deep")),
            }
        }
        (self.implicit, self.big_endian) = before;
        Ok(())
    }

    fn short(&self, element: &Element) -> Result<u64> {
        Ok(Numbers::read(self.file, element.value, 2, self.big_endian)?.u16(0)?.into())
    }

    fn text(&self, element: &Element) -> Result<String> {
        let bytes = Numbers::read(self.file, element.value, element.length.min(64).into(), false)?;
        let bytes = bytes.bytes(0, element.length.min(64) as usize)?;
        Ok(String::from_utf8_lossy(bytes).trim_matches([' ', '\0']).to_owned())
    }
}

#[derive(Default)]
struct Image {
    samples: u64,
    planar: bool,
    frames: u64,
    rows: u64,
    columns: u64,
    bits: u64,
    signed: bool,
}

impl Image {
    fn layout(&self, element: &Element, big_endian: bool) -> Result<Layout> {
        let (name, dtype) = match (element.number, self.bits, self.signed) {
            (0x08, ..) => ("FloatPixelData", DType::F32),
            (0x09, ..) => ("DoubleFloatPixelData", DType::F64),
            // Bytes in big-endian words are swapped in pairs.
            (_, 8, _) if big_endian && &element.vr == b"OW" => return Err(not_this("bytes are stored in words")),
            (_, 8, false) => ("PixelData", DType::U8),
            (_, 8, true) => ("PixelData", DType::I8),
            (_, 16, false) => ("PixelData", DType::U16),
            (_, 16, true) => ("PixelData", DType::I16),
            (_, 32, false) => ("PixelData", DType::U32),
            (_, 32, true) => ("PixelData", DType::I32),
            _ => return Err(not_this("pixels are not of whole bytes")),
        };
        let mut shape = vec![self.frames, self.rows, self.columns];
        if self.samples > 1 {
            shape.insert(if self.planar { 1 } else { 3 }, self.samples);
        }
        if self.frames == 1 {
            shape.remove(0);
        }
        // Diagnoses rest on these values: only who names them may ask for a bound.
        let array = Array::new(name, dtype, big_endian, shape).auxiliary();
        // One byte may pad the value to an even length; chroma at half resolution makes it shorter.
        match array.bytes() {
            Some(bytes) if bytes > 0 && (bytes..=bytes + 1).contains(&u64::from(element.length)) => Ok(Layout::of(array, element.value)),
            _ => Err(not_this("pixel data are not as long as the image")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect;

    /// An element: short ones have a length of two bytes if explicit.
    fn element(tag: (u16, u16), vr: &str, value: &[u8], implicit: bool, big: bool) -> Vec<u8> {
        let u16s = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let u32s = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let length = value.len() as u32;
        let head = match (implicit, vr) {
            (true, _) | (_, "") => u32s(length).to_vec(),
            (_, "OB" | "OW" | "SQ" | "UN" | "OF") => [vr.as_bytes(), &[0, 0], &u32s(length)].concat(),
            _ => [vr.as_bytes(), &u16s(length as u16)].concat(),
        };
        [&u16s(tag.0)[..], &u16s(tag.1), &head, value].concat()
    }

    /// A file of this syntax with `middle` before the pixels, 2 x 3 of 16 bits.
    fn file(syntax: &str, middle: &[u8], pixels: &[u8]) -> Vec<u8> {
        let (implicit, big) = (syntax == "1.2.840.10008.1.2", syntax == "1.2.840.10008.1.2.2");
        let mut bytes = [&[0; 128][..], b"DICM"].concat();
        bytes.extend(element((2, 0x10), "UI", &[syntax.as_bytes(), &[0]].concat(), false, false));
        let short = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        for (number, value) in [(0x10, 2), (0x11, 3), (0x100, 16), (0x103, 1)] {
            bytes.extend(element((0x28, number), "US", &short(value), implicit, big));
        }
        bytes.extend(middle);
        bytes.extend(element((0x7fe0, 0x10), "OW", pixels, implicit, big));
        bytes
    }

    fn found(bytes: &[u8]) -> Option<Array> {
        dissect(&bytes, &[&Dicom]).0.arrays.pop()
    }

    #[test]
    fn all_native_syntaxes_are_read() {
        for (syntax, big) in [("1.2.840.10008.1.2", false), ("1.2.840.10008.1.2.1", false), ("1.2.840.10008.1.2.2", true)] {
            let array = found(&file(syntax, &[], &[7; 12])).expect(syntax);
            assert_eq!((array.dtype, array.big_endian, array.shape), (DType::I16, big, vec![2, 3]));
        }
        for syntax in ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.1.99", ""] {
            assert_eq!(found(&file(syntax, &[], &[7; 12])), None);
        }
    }

    #[test]
    fn sequences_of_undefined_length_are_passed_over() {
        let explicit = "1.2.840.10008.1.2.1";
        let undefined = [0xff; 4];
        // An icon with pixel data of its own, in an item of undefined length.
        let icon = element((0x7fe0, 0x10), "OW", &[1; 4], false, false);
        let (item, item_ends) = ([&[0xfe, 0xff, 0x00, 0xe0][..], &undefined].concat(), [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0]);
        let ends = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
        let head = [&[0x88, 0, 0, 2][..], b"SQ\0\0", &undefined].concat();
        let sequence = [&head[..], &item, &icon, &item_ends, &ends].concat();
        let bytes = file(explicit, &sequence, &[7; 12]);
        assert_eq!(found(&bytes).expect("found").shape, [2, 3]);
        // The same as an unknown value: implicit inside.
        let icon = element((0x7fe0, 0x10), "OW", &[1; 4], true, false);
        let head = [&[0x88, 0, 0, 2][..], b"UN\0\0", &undefined].concat();
        let sequence = [&head[..], &item, &icon, &item_ends, &ends].concat();
        assert_eq!(found(&file(explicit, &sequence, &[7; 12])).expect("found").shape, [2, 3]);
        // Sequences without end, one inside the other.
        let deep = head.repeat(2000);
        assert_eq!(found(&file(explicit, &deep, &[7; 12])), None);
    }

    #[test]
    fn frames_and_samples_are_dimensions() {
        let explicit = "1.2.840.10008.1.2.1";
        let frames = element((0x28, 8), "IS", b"5 ", false, false);
        assert_eq!(found(&file(explicit, &frames, &[7; 60])).expect("frames").shape, [5, 2, 3]);
        let samples = element((0x28, 2), "US", &[3, 0], false, false);
        assert_eq!(found(&file(explicit, &samples, &[7; 36])).expect("samples").shape, [2, 3, 3]);
        let planar = [samples, frames, element((0x28, 6), "US", &[1, 0], false, false)].concat();
        assert_eq!(found(&file(explicit, &planar, &[7; 180])).expect("planar").shape, [5, 3, 2, 3]);
    }

    #[test]
    fn bytes_in_words_are_swapped_and_stay_bytes() {
        let bits = |big| element((0x28, 0x100), "US", if big { &[0, 8] } else { &[8, 0] }, false, big);
        assert_eq!(found(&file("1.2.840.10008.1.2.2", &bits(true), &[7; 6])), None);
        assert_eq!(found(&file("1.2.840.10008.1.2.1", &bits(false), &[7; 6])).expect("bytes").dtype, DType::I8);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let explicit = "1.2.840.10008.1.2.1";
        for pixels in [0, 8, 11, 14] {
            assert_eq!(found(&file(explicit, &[], &vec![7; pixels])), None, "{pixels}");
        }
        let whole = file(explicit, &[], &[7; 12]);
        for len in 0..whole.len() {
            assert_eq!(found(&whole[..len]), None, "{len}");
        }
    }
}
