//! A mapped file: the one place with `unsafe`. Its safe twin is reading the file itself.

use std::fs::File;
use std::io;

use memmap2::{Advice, Mmap};

use super::ReadAt;

/// A file mapped into memory, for random access without a system call a read.
pub(crate) struct Mapped {
    file: File,
    map: Mmap,
}

impl Mapped {
    /// Maps a regular file.
    pub(crate) fn new(file: File) -> io::Result<Mapped> {
        // SAFETY: the map is read-only and never lent out; `read_at` copies out of it, and only
        // after the file was found long enough, so that the pages it touches have a file behind
        // them. Somebody who writes to the file meanwhile changes the bytes copied, which every
        // reader of an archive must expect and checks by hash.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file)? };
        // Slices are scattered; reading ahead would fetch what nobody asked for.
        map.advise(Advice::Random)?;
        Ok(Mapped { file, map })
    }
}

impl ReadAt for Mapped {
    fn size(&self) -> u64 {
        self.map.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let end = at.checked_add(buffer.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        // A file cut since it was mapped has no pages at its end: touching them would kill the
        // process. The twin's plain read would say UnexpectedEof, and so does this.
        if end > self.file.metadata()?.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from = self.map.get(at as usize..end as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(from);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_map_reads_what_its_twin_reads() {
        let mut file = tempfile::tempfile().expect("tmp");
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        file.write_all(&bytes).expect("written");
        let map = Mapped::new(file.try_clone().expect("handle")).expect("mapped");
        for (at, len) in [(0, 0), (0, 100_000), (99_999, 1), (100_000, 0), (99_999, 2), (4095, 2), (u64::MAX, 1)] {
            let (mut a, mut b) = (vec![0; len], vec![0; len]);
            let results = (map.read_at(&mut a, at), ReadAt::read_at(&file, &mut b, at));
            assert_eq!(results.0.is_ok(), results.1.is_ok(), "{at} {len}");
            // What a read that failed leaves behind is nobody's business.
            assert!(results.0.is_err() || a == b, "{at} {len}");
        }
    }

    #[test]
    fn a_file_cut_under_the_map_is_an_error_not_a_crash() {
        let mut file = tempfile::tempfile().expect("tmp");
        file.write_all(&[7; 50_000]).expect("written");
        let map = Mapped::new(file.try_clone().expect("handle")).expect("mapped");
        file.set_len(10_000).expect("cut");
        assert_eq!(map.read_at(&mut [0; 4], 40_000).expect_err("gone").kind(), io::ErrorKind::UnexpectedEof);
        map.read_at(&mut [0; 4], 9_996).expect("still there");
    }
}
