//! Bytes that stand in a file as text: base64 (RFC 4648, section 4).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::ReadAt;

/// The bytes that a text stands for, as if they were a file. What is no base64 shows where it is read, as
/// [`io::ErrorKind::InvalidData`].
pub struct Base64<'a> {
    file: &'a dyn ReadAt,
    at: u64,
    /// Bytes that the text stands for.
    size: u64,
}

impl<'a> Base64<'a> {
    /// The text of `len` bytes of `file` from `at` on.
    ///
    /// # Errors
    /// As reading the end of the text, which tells how many bytes it stands for; [`io::ErrorKind::InvalidData`] if no
    /// text is so long.
    pub fn new(file: &'a dyn ReadAt, at: u64, len: u64) -> io::Result<Base64<'a>> {
        let end = at.checked_add(len).ok_or(io::ErrorKind::UnexpectedEof)?;
        if len == 0 {
            return Ok(Base64 { file, at, size: 0 });
        }
        if !len.is_multiple_of(4) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut last = [0; 2];
        file.read_at(&mut last, end - 2)?;
        let padding = last.iter().filter(|byte| **byte == b'=').count() as u64;
        Ok(Base64 { file, at, size: len / 4 * 3 - padding })
    }

    /// Bytes of the text that stands for `n` bytes; nothing where that does not fit 64 bits.
    pub fn text_len(n: u64) -> Option<u64> {
        n.div_ceil(3).checked_mul(4)
    }
}

impl ReadAt for Base64<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let end = at.checked_add(buffer.len() as u64).filter(|end| *end <= self.size).ok_or(io::ErrorKind::UnexpectedEof)?;
        if buffer.is_empty() {
            return Ok(());
        }
        // Four letters are three bytes.
        let (first, last) = (at / 3, end.div_ceil(3));
        let mut text = vec![0; (last - first) as usize * 4];
        self.file.read_at(&mut text, self.at + first * 4)?;
        let bytes = STANDARD.decode(text).map_err(|_| io::ErrorKind::InvalidData)?;
        let skipped = (at - first * 3) as usize;
        // Padding before the end of the text leaves too few.
        let wanted = bytes.get(skipped..skipped + buffer.len()).ok_or(io::ErrorKind::InvalidData)?;
        buffer.copy_from_slice(wanted);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_bytes_are_read() {
        for n in 0..12u8 {
            let bytes: Vec<u8> = (0..n).map(|i| i.wrapping_mul(37)).collect();
            let text = format!("..{}..", STANDARD.encode(&bytes));
            let file = text.as_bytes();
            let len = Base64::text_len(n.into()).expect("small");
            let decoded = Base64::new(&file, 2, len).expect("text");
            assert_eq!(decoded.size(), u64::from(n));
            for from in 0..=bytes.len() {
                for to in from..=bytes.len() {
                    let mut buffer = vec![0; to - from];
                    decoded.read_at(&mut buffer, from as u64).expect("inside");
                    assert_eq!(buffer, bytes[from..to]);
                }
            }
            assert!(decoded.read_at(&mut [0], n.into()).is_err() && decoded.read_at(&mut [0; 2], u64::MAX).is_err());
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let kind = |text: &str, n: u64| {
            let file = text.as_bytes();
            let read = Base64::new(&file, 0, file.len() as u64).and_then(|decoded| decoded.read_at(&mut vec![0; n as usize], 0));
            read.err().map(|e| e.kind())
        };
        assert_eq!(kind("QUJDREU=", 5), None);
        for (text, n) in [("QUJDREU", 5), ("QUI=QUJD", 6), ("QUI=QUJD", 5), ("QUJ D===", 3), ("QUJDREV=", 5), ("QU-D", 3), ("====", 1)] {
            assert_eq!(kind(text, n), Some(io::ErrorKind::InvalidData), "{text}");
        }
        assert!(Base64::new(&&b"QUJD"[..], 4, 4).is_err() && Base64::new(&&b"QUJD"[..], u64::MAX, 4).is_err());
        assert_eq!(Base64::text_len(u64::MAX), None);
    }
}
