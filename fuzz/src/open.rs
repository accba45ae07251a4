//! Any bytes, opened as an archive and asked for everything that is in them.

use std::io::{self, Write};

use errbar::record::Body;
use errbar::{Archive, Kind, Range, Unpacker, Verifier};

/// Bytes of one file, and of one variable, that are worth reading: more shows nothing more.
const MOST: u64 = 1 << 22;

/// Takes [`MOST`] bytes, then refuses: a hole of an exabyte costs nothing to declare.
struct Sink(u64);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        if self.0 > MOST { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens, lists, reads, verifies and unpacks. What verifies can be read, and nothing is ever
/// written beside the target folder.
pub fn open(data: &[u8]) {
    let Ok(archive) = Archive::from_bytes(data.to_vec()) else { return };
    // What can be asked of an archive whose index nobody has checked.
    for result in [archive.head().map(drop), archive.meta().map(drop), archive.documents().map(drop)] {
        drop(result);
    }
    read_all(&archive, false);
    let Ok(archive) = archive.checked() else { return };
    let verified = Verifier::new().threads(1).verify(&archive);
    let sound = archive.damage().is_empty() && verified.as_ref().is_ok_and(|report| report.problems.is_empty());
    read_all(&archive, sound);
    for number in 0..archive.n_blocks().min(64) {
        assert!(archive.block(number).is_ok() || !sound, "block {number} of an archive that verifies");
    }
    // Removing the temporary folder again recurses, so trees of thousands of levels are left out.
    let deep = |path: &[u8]| path.iter().filter(|&&byte| byte == b'/').count() > 500;
    if !archive.entries().any(|entry| entry.is_ok_and(|entry| deep(&entry.path))) {
        unpack(&archive, sound);
    }
}

fn read_all(archive: &Archive, sound: bool) {
    for entry in archive.entries() {
        let Ok(entry) = entry else {
            assert!(!sound, "the entries of an archive that verifies can be listed");
            return;
        };
        let Body::File(file) = &entry.body else { continue };
        let read = archive.write_file(&entry.path, &mut Sink(0));
        // In an unsound archive another entry may have the same path.
        assert!(!sound || read.as_ref().map_or_else(|e| e.kind == Kind::Io, |&size| size == file.size), "{read:?}");
        for variable in &file.variables {
            let bytes = variable.shape.iter().try_fold(variable.dtype.size() as u64, |bytes, &extent| bytes.checked_mul(extent));
            let whole = bytes.is_some_and(|bytes| bytes <= MOST).then(|| archive.read_variable(&entry.path, &variable.name, &[]));
            // The last index along each dimension, as the file's own readers count them.
            let mut corner: Vec<Range> = variable.shape.iter().map(|&n| Range { start: n.saturating_sub(1), stop: n }).collect();
            if variable.column_major {
                corner.reverse();
            }
            let last = archive.read_variable(&entry.path, &variable.name, &corner);
            if let (Some(Ok(whole)), Ok(last)) = (&whole, &last) {
                assert!(whole.bytes.ends_with(&last.bytes), "a slice differs from the whole");
            }
            assert!(!sound || (last.is_ok() && whole.is_none_or(|whole| whole.is_ok())), "a variable of an archive that verifies");
        }
    }
}

fn unpack(archive: &Archive, sound: bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = Unpacker::new().threads(1).keep_going(true).unpack(archive, &folder.path().join("out"));
    for item in std::fs::read_dir(folder.path()).expect("the temporary folder is still there") {
        assert_eq!(item.expect("it can be listed").file_name(), "out", "something was written beside the target");
    }
    if let (true, Ok(report)) = (sound, &report) {
        // The system may refuse a name or an attribute; damage there is none.
        assert!(report.problems.iter().all(|e| matches!(e.kind, Kind::Io | Kind::Refused | Kind::Unsupported)), "{:?}", report.problems);
    }
}
