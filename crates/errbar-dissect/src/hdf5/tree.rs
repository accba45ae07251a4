//! B-trees, versions 1 and 2.

use errbar_format::Result;

use super::file::{File, Piece};
use crate::not_this;

/// Levels of a tree of version 2, at most. Even trees of two branches would hold 2³² records.
const MAX_DEPTH: u16 = 32;

/// Nodes that wait to be visited, at most.
const MAX_AHEAD: usize = 1 << 20;

/// Visits the entries at the leaves of the version 1 tree at `root`. `leaf` gets a piece that stands
/// before a key, which has `key_len` bytes, and the address behind it.
pub(super) fn version_1(file: &File, root: u64, kind: u8, key_len: usize, leaf: &mut dyn FnMut(&mut Piece) -> Result<()>) -> Result<()> {
    let head_len = 4 + 2 * file.offset_size();
    let entry_len = key_len + file.offset_size();
    let mut nodes = vec![(root, None)];
    while let Some((address, expected)) = nodes.pop() {
        let mut head = file.block(address, b"TREE", head_len as u64)?;
        head.expect(kind)?;
        let (level, count) = (head.u8()?, usize::from(head.u16()?));
        if expected.is_some_and(|expected| expected != level) {
            return Err(not_this("level of a tree is out of order"));
        }
        let mut node = file.read(address + 4 + head_len as u64, (count * entry_len) as u64)?;
        for i in 0..count {
            node.seek(i * entry_len);
            match level.checked_sub(1) {
                None => leaf(&mut node)?,
                Some(below) => {
                    node.skip(key_len);
                    nodes.push((node.address()?, Some(below)));
                }
            }
        }
        room_for(&nodes)?;
    }
    Ok(())
}

/// Visits the records of the version 2 tree whose header is at `header`. `visit` gets the kind of
/// the records, their length and a piece that stands before one.
pub(super) fn version_2(file: &File, header: u64, visit: &mut dyn FnMut(u8, usize, &mut Piece) -> Result<()>) -> Result<()> {
    let mut head = file.block(header, b"BTHD", (14 + file.offset_size()) as u64)?;
    head.expect(0)?;
    let (kind, node_len, record_len, depth) = (head.u8()?, u64::from(head.u32()?), usize::from(head.u16()?), head.u16()?);
    head.skip(2);
    let (root, count) = (head.address()?, head.u16()?);
    if depth > MAX_DEPTH || record_len == 0 {
        return Err(not_this("tree is too deep, or of empty records"));
    }
    let widths = Widths::new(file, node_len, record_len as u64, depth);
    let mut nodes = vec![(root, u64::from(count), depth)];
    while let Some((address, count, level)) = nodes.pop() {
        if count == 0 && level == 0 {
            continue;
        }
        let (signature, pointers_len) = match level {
            0 => (b"BTLF", 0),
            _ => (b"BTIN", (count + 1) * widths.pointer(file, level)),
        };
        let records_len = count * record_len as u64;
        let len = 2 + records_len + pointers_len;
        let mut node = file.block(address, signature, len)?;
        node.checksum = Some(file.checksum(address, 4 + len));
        node.expect(0)?;
        node.expect(kind)?;
        let start = node.at();
        for i in 0..count as usize {
            node.seek(start + i * record_len);
            visit(kind, record_len, &mut node)?;
        }
        node.seek(start + records_len as usize);
        if level > 0 {
            for _ in 0..=count {
                let below = (node.address()?, node.uint(widths.count)?, level - 1);
                node.skip(widths.total(level));
                nodes.push(below);
            }
        }
        room_for(&nodes)?;
    }
    Ok(())
}

fn room_for<T>(nodes: &[T]) -> Result<()> {
    match nodes.len() <= MAX_AHEAD {
        true => Ok(()),
        false => Err(not_this("tree has too many nodes")),
    }
}

/// Bytes that counts of records take in a tree of version 2, as its node size makes them.
struct Widths {
    /// Of the records in a node.
    count: usize,
    /// Of the records in and below a node, by level.
    totals: Vec<usize>,
}

impl Widths {
    fn new(file: &File, node_len: u64, record_len: u64, depth: u16) -> Widths {
        // Signature, version, kind, checksum.
        let room = node_len.saturating_sub(10);
        let leaf = room / record_len;
        let mut widths = Widths { count: width(leaf), totals: vec![0] };
        let mut total = leaf;
        for level in 1..=depth {
            let pointer = widths.pointer(file, level);
            let most = room.saturating_sub(pointer) / (record_len + pointer);
            total = most.saturating_add(1).saturating_mul(total).saturating_add(most);
            widths.totals.push(width(total));
        }
        widths
    }

    /// Bytes of the total that stands with a pointer of a node of this level.
    fn total(&self, level: u16) -> usize {
        self.totals[usize::from(level) - 1]
    }

    fn pointer(&self, file: &File, level: u16) -> u64 {
        (file.offset_size() + self.count + self.total(level)) as u64
    }
}

/// Bytes that a number up to `most` takes.
pub(super) fn width(most: u64) -> usize {
    most.checked_ilog2().unwrap_or(0) as usize / 8 + 1
}
