//! A file as it will be restored: the original, and what is put over parts of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use errbar_dissect::ReadAt;
use errbar_format::Result;

use super::spool::Spool;

/// A file with other bytes in places. It is as long as the original.
pub(super) struct Overlay {
    original: Arc<File>,
    /// The other bytes, at their places.
    changed: Spool,
    /// Where they are: first byte, and one more than the last one.
    ranges: BTreeMap<u64, u64>,
}

impl Overlay {
    /// Nothing changed yet.
    ///
    /// # Errors
    /// As [`Spool::new`].
    pub(super) fn new(original: &Arc<File>) -> Result<Overlay> {
        Ok(Overlay { original: Arc::clone(original), changed: Spool::new()?, ranges: BTreeMap::new() })
    }

    /// Puts bytes over those from `at` on. Ranges may be put in twice, but not in part.
    ///
    /// # Errors
    /// As [`Spool::write`].
    pub(super) fn write(&mut self, bytes: &[u8], at: u64) -> Result<()> {
        self.changed.write(bytes, at)?;
        self.ranges.insert(at, at + bytes.len() as u64);
        Ok(())
    }
}

impl ReadAt for Overlay {
    fn size(&self) -> u64 {
        self.original.size()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.original.read_at(buffer, at)?;
        let end = at + buffer.len() as u64;
        let before = self.ranges.range(..at).next_back();
        for (&from, &to) in before.into_iter().chain(self.ranges.range(at..end)) {
            let (from, to) = (from.max(at), to.min(end));
            if from < to {
                self.changed.read(&mut buffer[(from - at) as usize..(to - at) as usize], from)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_put_over_a_file_is_read_wherever_reading_begins() {
        let file = tempfile::tempfile().expect("tmp");
        file.write_all_at(b"abcdefghij", 0).expect("written");
        let mut overlay = Overlay::new(&Arc::new(file)).expect("tmp");
        for (bytes, at) in [(&b"CDE"[..], 2), (b"x", 5), (b"F", 5), (b"IJ", 8)] {
            overlay.write(bytes, at).expect("written");
        }
        let whole = b"abCDEFghIJ";
        for from in 0..whole.len() {
            for to in from..=whole.len() {
                let mut buffer = vec![0; to - from];
                overlay.read_at(&mut buffer, from as u64).expect("inside");
                assert_eq!(buffer, whole[from..to], "{from}..{to}");
            }
        }
        assert!(overlay.read_at(&mut [0; 2], 9).is_err());
    }
}
