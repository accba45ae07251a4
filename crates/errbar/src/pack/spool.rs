//! Files without a name. The elements of arrays that stand scattered in their file are gathered in one: a
//! bound is worked out from all of an array, more than once, and what decoding gives stands in their place
//! until the file is put together. Deflated content is inflated to another.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use errbar_format::record::Variable;
use errbar_format::{Error, Result};

/// A file in the temporary folder, gone when it is no longer in use.
#[derive(Clone)]
pub(crate) struct Spool {
    file: Arc<File>,
}

/// The elements of a variable in a spool, block by block.
#[derive(Clone)]
pub(crate) struct Spooled {
    spool: Spool,
    /// Where each block begins, and the last one ends.
    blocks: Arc<Vec<u64>>,
}

impl Spool {
    /// # Errors
    /// [`errbar_format::Kind::Io`] if there is no room for it.
    pub(crate) fn new() -> Result<Spool> {
        Ok(Spool { file: Arc::new(tempfile::tempfile().map_err(failed)?) })
    }

    /// # Errors
    /// [`errbar_format::Kind::Io`] if there is no room.
    pub(crate) fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(bytes, at).map_err(failed)
    }

    pub(crate) fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }
}

impl Spooled {
    /// Room for the blocks of a variable from `at` on.
    pub(crate) fn new(spool: &Spool, variable: &Variable, at: u64) -> Spooled {
        let mut blocks = vec![at];
        let mut end = at;
        for k in 0..variable.n_blocks().unwrap_or(0) {
            end += block_len(variable, k);
            blocks.push(end);
        }
        Spooled { spool: spool.clone(), blocks: Arc::new(blocks) }
    }

    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> u64 {
        self.blocks[0]
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> u64 {
        self.blocks[self.blocks.len() - 1]
    }

    /// Where block `k` goes.
    pub(crate) fn place(&self, k: u64) -> (Spool, u64) {
        (self.spool.clone(), self.blocks[k as usize])
    }

    /// Puts the bytes of block `k` in.
    ///
    /// # Errors
    /// As [`Spool::write`].
    pub(crate) fn write(&self, k: u64, bytes: &[u8]) -> Result<()> {
        self.spool.write(bytes, self.blocks[k as usize])
    }

    /// The bytes of block `k`.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Io`].
    pub(crate) fn block(&self, k: u64) -> Result<Vec<u8>> {
        let (start, end) = (self.blocks[k as usize], self.blocks[k as usize + 1]);
        let mut bytes = vec![0; (end - start) as usize];
        self.spool.read(&mut bytes, start).map_err(failed)?;
        Ok(bytes)
    }
}

impl errbar_dissect::ReadAt for Spool {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.read(buffer, at)
    }
}

/// Bytes of block `k` of a variable.
pub(crate) fn block_len(variable: &Variable, k: u64) -> u64 {
    variable.block_box(k).1.iter().product::<u64>() * variable.dtype.size() as u64
}

pub(crate) fn failed(e: io::Error) -> Error {
    Error::io("cannot use the temporary folder", e).advise("give TMPDIR a folder with more room")
}
