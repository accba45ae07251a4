//! Heaps: the local one of old groups, the fractal one of large groups and of many attributes, the
//! global one of strings of any length.

use errbar_format::Result;

use super::file::{File, Piece, UNDEFINED};
use super::tree::{self, width};
use crate::not_this;

/// The data segment of the local heap at `address`: names, each ended by a zero byte.
pub(super) fn local(file: &File, address: u64) -> Result<Piece> {
    let mut head = file.block(address, b"HEAP", (4 + 2 * file.length_size() + file.offset_size()) as u64)?;
    head.expect(0)?;
    head.skip(3);
    let len = head.length()?;
    head.skip(file.length_size());
    file.read(head.address()?, len)
}

/// An object of the global heap whose collection is at `address`.
pub(super) fn global(file: &File, address: u64, index: u32) -> Result<Piece> {
    let head_len = 8 + file.length_size() as u64;
    let mut head = file.block(address, b"GCOL", head_len - 4)?;
    head.expect(1)?;
    head.skip(3);
    let end = address.saturating_add(head.length()?);
    let mut at = address + head_len;
    while at < end {
        let mut object = file.read(at, head_len)?;
        let number = object.u16()?;
        object.skip(6);
        let len = object.length()?;
        match u32::from(number) {
            // Free room, up to the end.
            0 => break,
            number if number == index => return file.read(at + head_len, len),
            _ => at = at.saturating_add(head_len).saturating_add(len.saturating_add(7) & !7),
        }
    }
    Err(not_this("object of the global heap is missing"))
}

/// Visits the messages of an object that are not in its header: links, or attributes. The message
/// that says where they are has a version, flags, a number of `order_width` bytes if the first flag
/// is set, the address of a heap and that of a tree with the places in it.
pub(super) fn dense(file: &File, info: &mut Piece, order_width: usize, visit: &mut dyn FnMut(Piece)) -> Result<()> {
    info.expect(0)?;
    if info.u8()? & 1 != 0 {
        info.skip(order_width);
    }
    let (heap, names) = (info.address()?, info.address()?);
    if heap == UNDEFINED {
        return Ok(());
    }
    let heap = Fractal::open(file, heap)?;
    tree::version_2(file, names, &mut |kind, _, record| {
        match kind {
            // Links: a hash, then the identifier. Attributes begin with it.
            5 => record.skip(4),
            8 => {}
            _ => return Err(not_this("tree does not list names")),
        }
        if let Ok(message) = heap.object(file, record) {
            visit(message);
        }
        Ok(())
    })
}

/// A fractal heap whose blocks are not filtered: a table of blocks, of which the first two rows have
/// blocks of one size and every further row has blocks of twice the size of those before. Blocks past
/// the largest that hold objects are tables themselves.
pub(super) struct Fractal {
    /// Bytes of an object's offset in the heap.
    offset_width: usize,
    /// Bytes of an object's length.
    length_width: usize,
    /// Blocks in a row of a table.
    columns: u64,
    /// Bytes of the first blocks.
    first: u64,
    /// Rows of blocks that hold objects.
    direct_rows: u64,
    root: u64,
    /// Rows of the root; none where that is a block.
    rows: u64,
}

impl Fractal {
    pub(super) fn open(file: &File, address: u64) -> Result<Fractal> {
        let (o, l) = (file.offset_size(), file.length_size());
        let mut head = file.block(address, b"FRHP", (18 + 12 * l + 3 * o) as u64)?;
        head.expect(0)?;
        head.skip(2);
        let filters = head.u16()?;
        head.skip(1);
        let largest_object = u64::from(head.u32()?);
        // Counts of huge and tiny objects, free space.
        head.skip(10 * l + 2 * o);
        let (columns, first, largest, bits) = (u64::from(head.u16()?), head.length()?, head.length()?, head.u16()?);
        head.skip(2);
        let (root, rows) = (head.address()?, u64::from(head.u16()?));
        if filters != 0 || columns == 0 || bits > 64 || !first.is_power_of_two() || !largest.is_power_of_two() || first > largest {
            return Err(not_this("unusual fractal heap"));
        }
        let length_width = (largest.ilog2() as usize).div_ceil(8).min(width(largest_object));
        let direct_rows = u64::from(largest.ilog2() - first.ilog2()) + 2;
        Ok(Fractal { offset_width: usize::from(bits).div_ceil(8), length_width, columns, first, direct_rows, root, rows })
    }

    /// The object with this identifier, if it is stored in a block.
    pub(super) fn object(&self, file: &File, id: &mut Piece) -> Result<Piece> {
        // Version 0, a managed object. Links and attributes are rarely as large or as small as others.
        id.expect(0)?;
        let (mut offset, len) = (id.uint(self.offset_width)?, id.uint(self.length_width)?);
        let (mut at, mut rows) = (self.root, self.rows);
        // Every table is smaller than the one that it is found in.
        while rows > 0 {
            let (row, size, start) = self.row(offset)?;
            if row >= rows {
                return Err(not_this("object lies past its heap"));
            }
            let column = (offset - start) / size;
            offset = (offset - start) % size;
            // Signature, version, address of the header, offset of the block.
            let head = (5 + file.offset_size() + self.offset_width) as u64;
            let entry = row * self.columns + column;
            at = file.read(at.saturating_add(head + entry * file.offset_size() as u64), file.offset_size() as u64)?.address()?;
            let below = if row < self.direct_rows { 0 } else { self.rows_of(size) };
            if below >= rows {
                return Err(not_this("heap contains itself"));
            }
            rows = below;
        }
        file.read(at.saturating_add(offset), len)
    }

    /// The row of a table that `offset` is in, bytes of its blocks, and where it begins.
    fn row(&self, offset: u64) -> Result<(u64, u64, u64)> {
        let width = self.columns.checked_mul(self.first).ok_or_else(|| not_this("heap is too large"))?;
        Ok(match (offset / width).checked_ilog2() {
            None => (0, self.first, 0),
            Some(doublings) => (u64::from(doublings) + 1, self.first << doublings, width << doublings),
        })
    }

    /// Rows of a table that stands for a block of this size.
    fn rows_of(&self, size: u64) -> u64 {
        u64::from((size / self.columns / self.first).checked_ilog2().map_or(0, |rows| rows + 1))
    }
}
