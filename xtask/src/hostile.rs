//! `testdata/hostile`: archives that ask an unpacker for what it must not do, and beside each the
//! expectation that the containment test reads. Cases are named after its catalogue; a case of
//! several variants becomes several files with numbers.
//!
//! `refused` means there: exit code not 0, and no regular file in the target. `contained`: nothing
//! outside the target is touched, whatever the exit code. Where an expectation here is not the
//! catalogue's, the case says why.
//!
//! Four cases have no file. `block-cycle`: no block refers to another. `preplanted-target-link` and
//! the folder or FIFO of `zero-bytes` are about arguments, not archives. A million entries of
//! different names (`entries-million`) take more room than the whole folder may.

mod bytes;
mod tree;

use crate::builder::Archive;
use crate::vectors::Files;

/// One archive and its expectation.
struct Case {
    name: String,
    bytes: Vec<u8>,
    expect: String,
}

impl Case {
    /// No regular file may come out.
    fn refused(name: impl Into<String>, archive: Archive) -> Case {
        Case { name: name.into(), bytes: archive.bytes, expect: "refused\n".into() }
    }

    /// Whatever comes out stays inside.
    fn contained(name: impl Into<String>, archive: Archive) -> Case {
        Case { expect: "contained\n".into(), ..Case::refused(name, archive) }
    }

    /// The same, with a further line of the expectation.
    fn with(mut self, line: &str) -> Case {
        self.expect += &format!("{line}\n");
        self
    }
}

/// The folder's files.
pub fn files() -> Files {
    let mut files = Files::default();
    for case in tree::cases().into_iter().chain(bytes::cases()) {
        files.add(format!("{}.eba.expect", case.name), case.expect.into_bytes());
        files.add(format!("{}.eba", case.name), case.bytes);
    }
    files
}
