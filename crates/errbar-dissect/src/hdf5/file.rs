//! Pieces of an HDF5 file and the numbers in them.

use std::cell::Cell;

use errbar_format::Result;
use errbar_format::limits::MAX_NAME;

use crate::numbers::Numbers;
use crate::{Checksum, ReadAt, SizeField, not_this};

const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// The address of what is not stored.
pub(super) const UNDEFINED: u64 = u64::MAX;
/// What reading a piece costs beside its bytes.
const PIECE_COST: u64 = 64;
/// What the pieces of a file may cost together, at most.
const MAX_BUDGET: u64 = 256 << 20;

/// An HDF5 file.
pub(super) struct File<'a> {
    file: &'a dyn ReadAt,
    /// Where address 0 is: behind the user block.
    base: u64,
    offset_size: usize,
    length_size: usize,
    /// What further pieces may cost. No loop can go on without reading, so this ends them all:
    /// trees that contain themselves, and lists that say they are longer than the file.
    budget: Cell<u64>,
}

impl<'a> File<'a> {
    /// The file and the address of its root group's object header.
    ///
    /// # Errors
    /// Where it has no superblock of versions 0 to 3.
    pub(super) fn open(file: &'a dyn ReadAt) -> Result<(File<'a>, u64)> {
        let mut opened = File { file, base: find(file)?, offset_size: 0, length_size: 0, budget: Cell::new(0) };
        opened.budget.set(file.size().saturating_mul(16).saturating_add(1 << 20).min(MAX_BUDGET));
        let mut start = opened.read(8, 8)?;
        let version = start.u8()?;
        let (sizes, rest) = match version {
            0 => (5, 24),
            1 => (5, 28),
            2 | 3 => (1, 12),
            _ => return Err(not_this("unknown version of the superblock")),
        };
        if version < 2 {
            start.skip(sizes - 1);
        }
        opened.offset_size = usize::from(start.u8()?);
        opened.length_size = usize::from(start.u8()?);
        if ![opened.offset_size, opened.length_size].iter().all(|size| [2, 4, 8].contains(size)) {
            return Err(not_this("addresses of unusual size"));
        }
        let mut addresses = opened.read(rest, 6 * opened.offset_size as u64)?;
        // Base, free space or extension, end; then the root, or the driver's block and the root's
        // entry in a symbol table, whose second field it is.
        addresses.skip(if version < 2 { 5 } else { 3 } * opened.offset_size);
        let root = addresses.address()?;
        Ok((opened, root))
    }

    /// Bytes of an address.
    pub(super) fn offset_size(&self) -> usize {
        self.offset_size
    }

    /// Bytes of a length.
    pub(super) fn length_size(&self) -> usize {
        self.length_size
    }

    /// `len` bytes from `address` on.
    pub(super) fn read(&self, address: u64, len: u64) -> Result<Piece> {
        let left = self.budget.get().checked_sub(len.saturating_add(PIECE_COST));
        self.budget.set(left.unwrap_or(0));
        left.ok_or_else(|| not_this("structures of the file take more than the file"))?;
        let at = address.checked_add(self.base).ok_or_else(|| not_this("address is out of range"))?;
        let numbers = Numbers::read(self.file, at, len, false)?;
        Ok(Piece { numbers, start: at, at: 0, checksum: None, offset_size: self.offset_size, length_size: self.length_size })
    }

    /// The `len` bytes behind the signature of a block at `address`. The checksum of a block is not
    /// looked at: the file is kept as it is, whatever it says.
    pub(super) fn block(&self, address: u64, signature: &[u8; 4], len: u64) -> Result<Piece> {
        let mut piece = self.read(address, len.saturating_add(4))?;
        match piece.bytes(4)? == signature {
            true => Ok(piece),
            false => Err(not_this("block has another signature")),
        }
    }

    /// That the `len` bytes from `address` on are followed by their checksum.
    pub(super) fn checksum(&self, address: u64, len: u64) -> Checksum {
        Checksum { start: address.saturating_add(self.base), length: len }
    }

    /// Where in the file `len` bytes at `address` are, if it has them.
    pub(super) fn place(&self, address: u64, len: u64) -> Result<u64> {
        let at = address.checked_add(self.base).filter(|at| at.checked_add(len).is_some_and(|end| end <= self.file.size()));
        at.ok_or_else(|| not_this("data are out of range"))
    }
}

/// Where the superblock is: at the start, or behind a user block of 512 bytes, twice that, …
fn find(file: &dyn ReadAt) -> Result<u64> {
    let starts = std::iter::successors(Some(0u64), |at| at.checked_mul(2).map(|twice| twice.max(512)));
    for at in starts.take_while(|at| at.checked_add(64).is_some_and(|end| end <= file.size())) {
        if Numbers::read(file, at, 8, false)?.bytes(0, 8)? == SIGNATURE {
            return Ok(at);
        }
    }
    Err(not_this("no superblock"))
}

/// Some bytes of the file, read from front to back.
#[derive(Clone)]
pub(super) struct Piece {
    numbers: Numbers,
    /// Its first byte in the file.
    start: u64,
    at: usize,
    /// The checksum that covers it, if one does.
    pub(super) checksum: Option<Checksum>,
    offset_size: usize,
    length_size: usize,
}

impl Piece {
    /// Bytes already read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next `width` bytes as what says the length of a chunk.
    pub(super) fn size_field(&self, width: usize) -> SizeField {
        SizeField { offset: self.start.saturating_add(self.at as u64), width: width as u8, big_endian: false, checksum: self.checksum }
    }

    /// Goes on `at` bytes from its start.
    pub(super) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// Bytes of a length of the file's own width.
    pub(super) fn length_size(&self) -> usize {
        self.length_size
    }

    /// Leaves out `n` bytes.
    pub(super) fn skip(&mut self, n: usize) {
        self.at = self.at.saturating_add(n);
    }

    /// The next `n` bytes.
    pub(super) fn bytes(&mut self, n: usize) -> Result<&[u8]> {
        let at = self.at;
        self.skip(n);
        self.numbers.bytes(at, n)
    }

    /// The next `n` bytes as one little-endian number.
    pub(super) fn uint(&mut self, n: usize) -> Result<u64> {
        let mut word = [0; 8];
        let into = word.get_mut(..n).ok_or_else(|| not_this("number of more than 8 bytes"))?;
        into.copy_from_slice(self.bytes(n)?);
        Ok(u64::from_le_bytes(word))
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.uint(1).map(|n| n as u8)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.uint(2).map(|n| n as u16)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.uint(4).map(|n| n as u32)
    }

    /// An address, or [`UNDEFINED`], at which nothing can be read.
    pub(super) fn address(&mut self) -> Result<u64> {
        self.uint_or_all_bits(self.offset_size)
    }

    /// A length or a count of the file's own width.
    pub(super) fn length(&mut self) -> Result<u64> {
        self.uint(self.length_size)
    }

    /// A length, or `u64::MAX` for no limit.
    pub(super) fn limit(&mut self) -> Result<u64> {
        self.uint_or_all_bits(self.length_size)
    }

    /// A number of `n` bytes; `u64::MAX` if all their bits are set.
    fn uint_or_all_bits(&mut self, n: usize) -> Result<u64> {
        let number = self.uint(n)?;
        Ok(if number == u64::MAX >> (64 - 8 * n) { u64::MAX } else { number })
    }

    /// A byte that must be this: a version.
    pub(super) fn expect(&mut self, version: u8) -> Result<()> {
        match self.u8()? == version {
            true => Ok(()),
            false => Err(not_this("structure has another version")),
        }
    }

    /// The text up to the next zero byte, of no more bytes than a variable's name has.
    pub(super) fn text(&mut self) -> Result<String> {
        let start = self.at;
        while self.u8()? != 0 {
            if self.at - start > MAX_NAME {
                return Err(not_this("name is too long"));
            }
        }
        let len = self.at - 1 - start;
        self.seek(start);
        self.name(len)
    }

    /// A text of `len` bytes, or up to a zero byte in them.
    pub(super) fn name(&mut self, len: usize) -> Result<String> {
        let bytes = self.bytes(len)?;
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(len);
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}
