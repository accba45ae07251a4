//! How the bytes of an array are stored: behind a header that says how many they are, compressed or not, as
//! text or not.

use errbar_format::Result;
use errbar_format::limits::MAX_BLOCK;

use super::xml::Tag;
use crate::numbers::Numbers;
use crate::{Base64, ReadAt, Wrapper, not_this};

/// Bytes of white space before and behind a text that are looked at, at most.
const MAX_SPACE: u64 = 1 << 10;

/// What the root says of all arrays of a file.
pub(super) struct Form {
    /// Bytes of a number of headers.
    width: u64,
    pub(super) big_endian: bool,
    compressed: bool,
}

impl Form {
    pub(super) fn of(root: &Tag) -> Result<Form> {
        let width = match root.text("header_type").unwrap_or("UInt32") {
            "UInt32" => 4,
            "UInt64" => 8,
            _ => return Err(not_this("unknown type of lengths")),
        };
        let compressed = match root.text("compressor") {
            None => false,
            Some("vtkZLibDataCompressor") => true,
            Some(_) => return Err(not_this("arrays are compressed by other means")),
        };
        Ok(Form { width, big_endian: root.text("byte_order") == Some("BigEndian"), compressed })
    }
}

/// Where the elements of an array are.
pub(super) struct Stored {
    /// Bytes of all elements.
    pub(super) bytes: u64,
    /// First byte of the place in the file.
    pub(super) offset: u64,
    /// Bytes of the place.
    pub(super) length: u64,
    /// How they stand there, and behind how many bytes that are none of them; nothing where they stand as they are.
    pub(super) stream: Option<(Wrapper, u64)>,
}

/// Reads the headers of a file.
pub(super) struct Headers<'a> {
    pub(super) file: &'a dyn ReadAt,
    pub(super) form: Form,
    /// Bytes that may still be read: headers that stand apart are shorter than their file.
    pub(super) left: u64,
}

impl Headers<'_> {
    /// An array as bytes that begin with its header.
    pub(super) fn raw(&mut self, at: u64) -> Result<Stored> {
        if !self.form.compressed {
            let bytes = self.number(self.file, at)?;
            return Ok(Stored { bytes, offset: at.saturating_add(self.form.width), length: bytes, stream: None });
        }
        let blocks = self.blocks(self.file, at)?;
        Ok(blocks.stored(at.saturating_add(blocks.header), blocks.stored, false))
    }

    /// An array as text that begins with its header; how long it is follows from that.
    pub(super) fn text(&mut self, at: u64) -> Result<Stored> {
        // The least text that holds a number, and with it a header without a block.
        let head = Base64::text_len(self.form.width).unwrap_or(0);
        let start = Base64::new(self.file, at, head).map_err(|_| not_base64())?;
        if !self.form.compressed {
            let bytes = self.number(&start, 0)?;
            let length = bytes.checked_add(self.form.width).and_then(Base64::text_len).ok_or_else(overflow)?;
            return Ok(Stored { bytes, offset: at, length, stream: Some((Wrapper::Base64, self.form.width)) });
        }
        let n = self.number(&start, 0)?;
        let header = Base64::text_len(self.header_len(n)?).ok_or_else(overflow)?;
        let blocks = self.blocks(&Base64::new(self.file, at, header).map_err(|_| not_base64())?, 0)?;
        let length = Base64::text_len(blocks.stored).ok_or_else(overflow)?;
        Ok(blocks.stored(at.saturating_add(header), length, true))
    }

    /// The same where the text stands between two tags.
    pub(super) fn between(&mut self, from: u64, to: u64) -> Result<Stored> {
        let space = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count() as u64;
        let len = MAX_SPACE.min(to - from);
        let first = Numbers::read(self.file, from, len, false)?;
        let from = from + space(first.bytes(0, len as usize)?);
        let stored = self.text(from)?;
        let end = stored.offset.checked_add(stored.length).filter(|end| *end <= to && to - *end <= MAX_SPACE).ok_or_else(overflow)?;
        let last = Numbers::read(self.file, end, to - end, false)?;
        match space(last.bytes(0, (to - end) as usize)?) == to - end {
            true => Ok(stored),
            false => Err(not_this("there is more text than the array has")),
        }
    }

    fn number(&mut self, bytes: &dyn ReadAt, at: u64) -> Result<u64> {
        Ok(self.numbers(bytes, at, 1)?[0])
    }

    /// So many numbers, of which there is at least one.
    fn numbers(&mut self, bytes: &dyn ReadAt, at: u64, n: u64) -> Result<Vec<u64>> {
        let Form { width, big_endian, .. } = self.form;
        let len = n.checked_mul(width).ok_or_else(overflow)?;
        self.left = self.left.checked_sub(len).ok_or_else(|| not_this("headers overlap"))?;
        let read = Numbers::read(bytes, at, len, big_endian)?;
        (0..n as usize).map(|i| if width == 8 { read.u64(8 * i) } else { read.u32(4 * i).map(u64::from) }).collect()
    }

    /// Bytes of a header of so many blocks: their number, the bytes of each, those of the last one if it has fewer, and
    /// how many each is compressed to.
    fn header_len(&self, blocks: u64) -> Result<u64> {
        blocks.checked_add(3).and_then(|n| n.checked_mul(self.form.width)).ok_or_else(overflow)
    }

    fn blocks(&mut self, bytes: &dyn ReadAt, at: u64) -> Result<Blocks> {
        let n = self.number(bytes, at)?;
        let header = self.header_len(n)?;
        let all = self.numbers(bytes, at, header / self.form.width)?;
        let (piece, last) = (all[1], if all[2] == 0 { all[1] } else { all[2] });
        let plain = match n {
            0 => Some(0),
            n => piece.checked_mul(n - 1).and_then(|whole| whole.checked_add(last)),
        };
        let stored = all[3..].iter().try_fold(0u64, |sum, length| sum.checked_add(*length));
        match (plain, stored) {
            (Some(plain), Some(stored)) if n == 0 || ((1..=MAX_BLOCK).contains(&piece) && last <= piece) => {
                Ok(Blocks { piece, plain, header, stored })
            }
            _ => Err(not_this("blocks are of no size")),
        }
    }
}

/// What the header of a compressed array says.
struct Blocks {
    /// Bytes of each block but the last, and of all, before they are compressed.
    piece: u64,
    plain: u64,
    /// Bytes of the header.
    header: u64,
    /// Bytes of all blocks as they are stored.
    stored: u64,
}

impl Blocks {
    fn stored(&self, offset: u64, length: u64, base64: bool) -> Stored {
        let wrapper = Wrapper::Zlib { piece: self.piece, base64 };
        Stored { bytes: self.plain, offset, length, stream: Some((wrapper, 0)) }
    }
}

fn not_base64() -> errbar_format::Error {
    not_this("a text is not base64")
}

fn overflow() -> errbar_format::Error {
    not_this("lengths overflow, or reach past the text")
}
