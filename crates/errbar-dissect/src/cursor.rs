//! Headers whose length shows only as they are read.

use errbar_format::Result;

use crate::{ReadAt, not_this};

/// Bytes read ahead.
const WINDOW: u64 = 16 << 10;
/// Bytes of one item of a header, at most.
const MAX_ITEM: u64 = 1 << 20;

/// A place in a file, from which items are read one after another.
pub(crate) struct Cursor<'a> {
    file: &'a dyn ReadAt,
    /// The next byte to be read.
    pub(crate) at: u64,
    /// Whether numbers are big-endian.
    pub(crate) big_endian: bool,
    window: Vec<u8>,
    window_at: u64,
}

macro_rules! number {
    ($($name:ident),*) => {$(
        #[doc = concat!("The next `", stringify!($name), "`.")]
        pub(crate) fn $name(&mut self) -> Result<$name> {
            let big_endian = self.big_endian;
            let bytes = *self.bytes(size_of::<$name>() as u64)?.first_chunk().ok_or_else(ends)?;
            Ok(if big_endian { $name::from_be_bytes(bytes) } else { $name::from_le_bytes(bytes) })
        }
    )*};
}

fn ends() -> errbar_format::Error {
    not_this("file ends inside its header")
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(file: &'a dyn ReadAt, at: u64, big_endian: bool) -> Cursor<'a> {
        Cursor { file, at, big_endian, window: Vec::new(), window_at: 0 }
    }

    fn rest(&self) -> u64 {
        self.file.size().saturating_sub(self.at)
    }

    /// Has the next `len` bytes in the window, and gives where they begin in it.
    fn fill(&mut self, len: u64) -> Result<usize> {
        if len > self.rest().min(MAX_ITEM) {
            return Err(ends());
        }
        let inside = self.at >= self.window_at && self.at + len <= self.window_at + self.window.len() as u64;
        if !inside {
            self.window.resize(self.rest().min(len.max(WINDOW)) as usize, 0);
            self.window_at = self.at;
            self.file.read_at(&mut self.window, self.at).map_err(|_| ends())?;
        }
        Ok((self.at - self.window_at) as usize)
    }

    /// The next `len` bytes, at most 1 MiB.
    pub(crate) fn bytes(&mut self, len: u64) -> Result<&[u8]> {
        let from = self.fill(len)?;
        self.at += len;
        Ok(&self.window[from..from + len as usize])
    }

    /// Leaves out `len` bytes, as many as there may be.
    pub(crate) fn skip(&mut self, len: u64) -> Result<()> {
        if len > self.rest() {
            return Err(ends());
        }
        self.at += len;
        Ok(())
    }

    /// The next line of text without its end, LF or CR LF. Has at most 16 KiB.
    pub(crate) fn line(&mut self) -> Result<String> {
        let ahead = self.rest().min(WINDOW);
        let from = self.fill(ahead)?;
        let bytes = &self.window[from..from + ahead as usize];
        let len = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(|| not_this("header is not lines of text"))?;
        let line = String::from_utf8_lossy(&bytes[..len]).trim_end_matches('\r').to_owned();
        self.at += len as u64 + 1;
        Ok(line)
    }

    number!(u8, u32, u64, f32, f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_across_windows() {
        let file: Vec<u8> = (0..40_000u32).flat_map(|i| (i as u8).to_le_bytes()).collect();
        let file = &&file[..];
        let mut cursor = Cursor::new(file, 3, true);
        assert_eq!(cursor.u32().expect("four bytes"), 0x0304_0506);
        cursor.skip(16_373).expect("inside");
        cursor.big_endian = false;
        assert_eq!((cursor.u32().expect("four bytes"), cursor.at), (0xfffe_fdfc, 16_384));
        assert_eq!(cursor.bytes(20_000).expect("more than a window").len(), 20_000);
        assert!(cursor.skip(u64::MAX).is_err() && cursor.bytes(3617).is_err());
        assert_eq!(cursor.bytes(3616).expect("the rest").len(), 3616);
        assert!(cursor.u8().is_err());
    }

    #[test]
    fn lines_end_with_lf_or_crlf() {
        let file = &&b"one\r\n\ntwo\nthree"[..];
        let mut cursor = Cursor::new(file, 0, false);
        let lines: Vec<_> = (0..3).map(|_| cursor.line().expect("a line")).collect();
        assert_eq!((lines, cursor.at), (vec!["one".into(), String::new(), "two".into()], 10));
        assert!(cursor.line().is_err());
    }
}
