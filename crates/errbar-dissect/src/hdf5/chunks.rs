//! Where the chunks of a dataset lie: its layout message and the indexes of chunks.

use errbar_format::Result;

use super::file::{File, Piece, UNDEFINED};
use super::tree;
use crate::{SizeField, not_this};

/// How a dataset is stored.
pub(super) enum Storage {
    /// In one piece at this address, of that many bytes where it says so.
    Whole(u64, Option<u64>),
    /// In the layout message, so many bytes from its start.
    Compact(u64, u64),
    /// In chunks.
    Chunked(Index),
    /// In a way that is not looked into: parts of other datasets.
    Other,
}

/// A dataset's chunks.
pub(super) struct Index {
    /// Extent of a chunk along each dimension, and last the bytes of an element.
    pub(super) extents: Vec<u64>,
    /// Whether chunks that reach past the dataset are stored without filters.
    pub(super) edges_unfiltered: bool,
    kind: Kind,
    address: u64,
}

enum Kind {
    /// A version 1 tree.
    Tree,
    /// One chunk, if it is filtered with its bytes, where they are said, and what filters it skipped.
    Single(Option<(u64, SizeField, u32)>),
    /// All chunks in one piece, in order.
    Implicit,
    FixedArray,
    ExtensibleArray,
    /// A version 2 tree.
    Records,
}

/// A data layout message, version 1 to 5.
pub(super) fn storage(message: &mut Piece) -> Result<Storage> {
    let version = message.u8()?;
    if version < 3 {
        let (rank, class) = (message.u8()?, message.u8()?);
        message.skip(5);
        let address = if class == 0 { UNDEFINED } else { message.address()? };
        let extents = (0..rank).map(|_| message.uint(4)).collect::<Result<Vec<_>>>()?;
        return match class {
            0 => compact(message, 4),
            1 => Ok(Storage::Whole(address, None)),
            2 => Ok(Storage::Chunked(Index { extents, edges_unfiltered: false, kind: Kind::Tree, address })),
            _ => Err(not_this("unknown layout")),
        };
    }
    match (version, message.u8()?) {
        (3..=5, 0) => compact(message, 2),
        (3..=5, 1) => Ok(Storage::Whole(message.address()?, Some(message.length()?))),
        (3, 2) => {
            let rank = message.u8()?;
            let address = message.address()?;
            let extents = (0..rank).map(|_| message.uint(4)).collect::<Result<_>>()?;
            Ok(Storage::Chunked(Index { extents, edges_unfiltered: false, kind: Kind::Tree, address }))
        }
        (4 | 5, 2) => Ok(Storage::Chunked(index(message)?)),
        (4 | 5, 3) => Ok(Storage::Other),
        _ => Err(not_this("unknown layout")),
    }
}

fn compact(message: &mut Piece, width: usize) -> Result<Storage> {
    let len = message.uint(width)?;
    Ok(Storage::Compact(message.at() as u64, len))
}

/// What a layout message of version 4 or 5 says of chunks.
fn index(message: &mut Piece) -> Result<Index> {
    let (flags, rank, width) = (message.u8()?, message.u8()?, usize::from(message.u8()?));
    let extents = (0..rank).map(|_| message.uint(width)).collect::<Result<_>>()?;
    let kind = match message.u8()? {
        1 if flags & 2 == 0 => Kind::Single(None),
        1 => {
            let field = message.size_field(message.length_size());
            Kind::Single(Some((message.length()?, field, message.u32()?)))
        }
        2 => Kind::Implicit,
        3 => {
            message.skip(1);
            Kind::FixedArray
        }
        4 => {
            message.skip(5);
            Kind::ExtensibleArray
        }
        5 => {
            message.skip(6);
            Kind::Records
        }
        _ => return Err(not_this("unknown index of chunks")),
    };
    Ok(Index { extents, edges_unfiltered: flags & 1 != 0, kind, address: message.address()? })
}

/// A stored chunk.
pub(super) struct Chunk {
    pub(super) address: u64,
    pub(super) len: u64,
    /// Where that is said, if it is.
    pub(super) size: Option<SizeField>,
    /// Filters that it was not put through.
    pub(super) skipped: u32,
    /// Position in the grid of chunks, along each dimension.
    pub(super) at: Vec<u64>,
}

impl Chunk {
    /// One that is as long as its elements, somewhere in the grid.
    fn unfiltered(address: u64, len: u64) -> Chunk {
        Chunk { address, len, size: None, skipped: 0, at: Vec::new() }
    }
}

/// The grid of chunks in a dataset.
pub(super) struct Grid {
    /// Chunks along each dimension as the dataset is.
    pub(super) now: Vec<u64>,
    /// Chunks along each dimension as far as it may grow: `u64::MAX` without a limit.
    pub(super) most: Vec<u64>,
    /// Bytes of a chunk.
    pub(super) bytes: u64,
}

impl Grid {
    /// The position with this number in C order of the whole grid, one axis taken as the first.
    fn nth(&self, mut number: u64, first: usize) -> Option<Vec<u64>> {
        let mut at = vec![0; self.most.len()];
        for axis in (0..at.len()).rev().filter(|&axis| axis != first) {
            let n = self.most[axis];
            at[axis] = number.checked_rem(n)?;
            number /= n;
        }
        if let Some(rest) = at.get_mut(first) {
            *rest = number;
        }
        Some(at)
    }
}

impl Index {
    /// Visits every chunk that is stored, also such as the dataset does not reach (any more).
    pub(super) fn chunks(&self, file: &File, grid: &Grid, visit: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        if self.address == UNDEFINED {
            return Ok(());
        }
        let rank = grid.now.len();
        let mut numbered = |first: usize, number: u64, chunk: Chunk| match grid.nth(number, first) {
            Some(at) if chunk.address != UNDEFINED => visit(Chunk { at, ..chunk }),
            _ => Ok(()),
        };
        match self.kind {
            Kind::Tree => tree::version_1(file, self.address, 1, 8 * (rank + 2), &mut |node| {
                let size = Some(node.size_field(4));
                let (len, skipped) = (u64::from(node.u32()?), node.u32()?);
                let at = (0..=rank).map(|_| node.uint(8)).collect::<Result<Vec<_>>>()?;
                let at = at.iter().zip(&self.extents).take(rank).map(|(at, extent)| at / extent).collect();
                visit(Chunk { address: node.address()?, len, size, skipped, at })
            }),
            Kind::Records => tree::version_2(file, self.address, &mut |kind, record_len, record| {
                let address = record.address()?;
                let (len, size, skipped) = match kind {
                    10 => (grid.bytes, None, 0),
                    11 => {
                        let width = record_len.checked_sub(file.offset_size() + 4 + 8 * rank);
                        let width = width.ok_or_else(|| not_this("records are too short"))?;
                        let size = record.size_field(width);
                        (record.uint(width)?, Some(size), record.u32()?)
                    }
                    _ => return Err(not_this("tree does not list chunks")),
                };
                visit(Chunk { address, len, size, skipped, at: (0..rank).map(|_| record.uint(8)).collect::<Result<_>>()? })
            }),
            Kind::Single(filtered) => {
                let (len, size, skipped) = filtered.map_or((grid.bytes, None, 0), |(len, size, skipped)| (len, Some(size), skipped));
                visit(Chunk { address: self.address, len, size, skipped, at: vec![0; rank] })
            }
            Kind::Implicit => {
                // Each chunk takes room in the file, which ends this.
                let n = grid.most.iter().try_fold(1u64, |n, &along| n.checked_mul(along)).unwrap_or(u64::MAX);
                file.place(self.address, n.saturating_mul(grid.bytes))?;
                (0..n).try_for_each(|i| numbered(0, i, Chunk::unfiltered(self.address + i * grid.bytes, grid.bytes)))
            }
            Kind::FixedArray => fixed_array(file, self.address, grid.bytes, &mut |number, element| numbered(0, number, element)),
            Kind::ExtensibleArray => {
                // Its elements are in C order with the dimension that has no limit as the first.
                let first = grid.most.iter().position(|&n| n == u64::MAX).unwrap_or(0);
                extensible_array(file, self.address, grid.bytes, &mut |number, element| numbered(first, number, element))
            }
        }
    }
}

/// Visits the element with a number, a chunk of which its place in the grid is not known yet.
type Visit<'v> = &'v mut dyn FnMut(u64, Chunk) -> Result<()>;

/// The elements of an array of chunks: an address each, and where chunks are filtered their bytes
/// and the filters that they skipped.
struct Elements<'a> {
    file: &'a File<'a>,
    /// Bytes of an element.
    len: u64,
    /// Elements in a page of a block that is too long to be read at once.
    page: u64,
    filtered: bool,
    /// Bytes of a chunk without filters.
    whole: u64,
}

impl<'a> Elements<'a> {
    fn new(file: &'a File<'a>, client: u8, len: u8, page_bits: u8, whole: u64) -> Result<Elements<'a>> {
        match (client, 1u64.checked_shl(page_bits.into())) {
            (0 | 1, Some(page)) => Ok(Elements { file, len: len.into(), page, filtered: client == 1, whole }),
            _ => Err(not_this("array does not list chunks")),
        }
    }

    /// Bytes of `n` elements.
    fn bytes(&self, n: u64) -> u64 {
        n.saturating_mul(self.len)
    }

    /// Bytes that say which pages of `n` elements were written; none where there are no pages.
    fn bitmap(&self, n: u64) -> u64 {
        if n <= self.page { 0 } else { n.div_ceil(self.page).div_ceil(8) }
    }

    /// Reads `n` elements, the first of which has this number.
    fn read(&self, piece: &mut Piece, n: u64, number: u64, visit: Visit) -> Result<()> {
        for i in 0..n {
            let address = piece.address()?;
            let mut chunk = Chunk::unfiltered(address, self.whole);
            if self.filtered {
                let width = (self.len as usize).checked_sub(self.file.offset_size() + 4);
                let width = width.ok_or_else(|| not_this("elements are too short"))?;
                chunk.size = Some(piece.size_field(width));
                (chunk.len, chunk.skipped) = (piece.uint(width)?, piece.u32()?);
            }
            visit(number.saturating_add(i), chunk)?;
        }
        Ok(())
    }

    /// Reads the `n` elements of the block at `start`, which begin `head` bytes behind it. Bits, the highest of a byte first, tell
    /// which of its pages were written, if it has pages; those before `bit` are of other blocks.
    fn block(&self, (start, head): (u64, u64), n: u64, (written, bit): (&[u8], usize), number: u64, visit: Visit) -> Result<()> {
        let at = start.saturating_add(head);
        if n <= self.page {
            let mut piece = self.file.read(at, self.bytes(n))?;
            piece.checksum = Some(self.file.checksum(start, head.saturating_add(self.bytes(n))));
            return self.read(&mut piece, n, number, visit);
        }
        // A checksum stands before the first page and behind each.
        let mut at = at.saturating_add(4);
        for (i, from) in (0..n).step_by(self.page as usize).enumerate() {
            let (here, bit) = (self.page.min(n - from), bit + i);
            if written.get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0) {
                let mut piece = self.file.read(at, self.bytes(here))?;
                piece.checksum = Some(self.file.checksum(at, self.bytes(here)));
                self.read(&mut piece, here, number.saturating_add(from), visit)?;
            }
            at = at.saturating_add(self.bytes(here)).saturating_add(4);
        }
        Ok(())
    }
}

fn fixed_array(file: &File, header: u64, whole: u64, visit: Visit) -> Result<()> {
    let o = file.offset_size() as u64;
    let mut head = file.block(header, b"FAHD", 4 + file.length_size() as u64 + o)?;
    head.expect(0)?;
    let elements = Elements::new(file, head.u8()?, head.u8()?, head.u8()?, whole)?;
    let (n, address) = (head.length()?, head.address()?);
    if address == UNDEFINED {
        return Ok(());
    }
    // Version, client, address of the header.
    let head_len = 2 + o;
    let bitmap = elements.bitmap(n);
    let mut block = file.block(address, b"FADB", head_len.saturating_add(bitmap))?;
    block.skip(head_len as usize);
    let written = block.bytes(bitmap as usize)?;
    elements.block((address, 4 + head_len + bitmap), n, (written, 0), 0, visit)
}

/// An extensible array: some elements in its index block; then data blocks, in groups of which every
/// second has blocks of twice the size and every other twice the number of blocks. The blocks of the
/// first groups stand in the index block, those of each further group in a secondary block.
fn extensible_array(file: &File, header: u64, whole: u64, visit: Visit) -> Result<()> {
    let (o, l) = (file.offset_size() as u64, file.length_size());
    let mut head = file.block(header, b"EAHD", 8 + 6 * l as u64 + o)?;
    head.expect(0)?;
    let (client, len, bits) = (head.u8()?, head.u8()?, u32::from(head.u8()?));
    let (in_index, smallest, pointers) = (u64::from(head.u8()?), u64::from(head.u8()?), u64::from(head.u8()?));
    let elements = Elements::new(file, client, len, head.u8()?, whole)?;
    head.skip(6 * l);
    let index = head.address()?;
    if bits > 64 || !smallest.is_power_of_two() || !pointers.is_power_of_two() || bits < smallest.ilog2() {
        return Err(not_this("unusual extensible array"));
    }
    if index == UNDEFINED {
        return Ok(());
    }
    // Blocks of a group, and elements of each.
    let group = |k: u32| (1u64 << (k / 2), (1u64 << k.div_ceil(2)).saturating_mul(smallest));
    let groups = bits - smallest.ilog2() + 1;
    let in_first = (2 * pointers.ilog2()).min(groups);
    let first_blocks: u64 = (0..in_first).map(|k| group(k).0).sum();
    // Version, client, address of the header; then, but in the index block, the number of the block's
    // first element.
    let head_len = 2 + o;
    let data_head = head_len + u64::from(bits.div_ceil(8));

    let pointers_len = (first_blocks + u64::from(groups - in_first)) * o;
    let index_len = head_len + elements.bytes(in_index) + pointers_len;
    let mut block = file.block(index, b"EAIB", index_len)?;
    block.checksum = Some(file.checksum(index, 4 + index_len));
    block.skip(head_len as usize);
    elements.read(&mut block, in_index, 0, visit)?;
    let mut number = in_index;
    for k in 0..groups {
        let (n, len) = group(k);
        let bitmap = if k < in_first { 0 } else { elements.bitmap(len) };
        let mut table = match k < in_first {
            true => None,
            false => match block.address()? {
                // No block of the group is there.
                UNDEFINED => {
                    number = number.saturating_add(n.saturating_mul(len));
                    continue;
                }
                address => Some(file.block(address, b"EASB", data_head.saturating_add(n.saturating_mul(bitmap.saturating_add(o))))?),
            },
        };
        let written = match &mut table {
            None => Vec::new(),
            Some(table) => {
                table.skip(data_head as usize);
                table.bytes((n * bitmap) as usize)?.to_vec()
            }
        };
        for i in 0..n {
            let address = table.as_mut().unwrap_or(&mut block).address()?;
            if address != UNDEFINED {
                file.block(address, b"EADB", 0)?;
                // One bit behind the other, though there is room for whole bytes for each block.
                let bit = (i * (len / elements.page)) as usize;
                elements.block((address, 4 + data_head), len, (&written, bit), number, visit)?;
            }
            number = number.saturating_add(len);
        }
    }
    Ok(())
}
