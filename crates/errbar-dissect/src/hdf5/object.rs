//! Object headers, versions 1 and 2: what a group or a dataset says about itself.

use errbar_format::Result;

use super::file::{File, Piece};
use crate::{Checksum, not_this};

/// Messages of an object, at most.
const MAX_MESSAGES: usize = 1 << 16;

/// The kinds of message that are read.
pub(super) mod kind {
    pub(crate) const DATASPACE: u16 = 1;
    pub(crate) const LINK_INFO: u16 = 2;
    pub(crate) const DATATYPE: u16 = 3;
    pub(crate) const OLD_FILL: u16 = 4;
    pub(crate) const FILL: u16 = 5;
    pub(crate) const LINK: u16 = 6;
    pub(crate) const EXTERNAL_FILES: u16 = 7;
    pub(crate) const LAYOUT: u16 = 8;
    pub(crate) const FILTERS: u16 = 11;
    pub(crate) const ATTRIBUTE: u16 = 12;
    pub(crate) const CONTINUATION: u16 = 16;
    pub(crate) const SYMBOL_TABLE: u16 = 17;
    pub(crate) const ATTRIBUTE_INFO: u16 = 21;
}

/// Where a message lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) kind: u16,
    /// Whether the content stands elsewhere.
    pub(super) shared: bool,
    pub(super) address: u64,
    len: u64,
    /// The checksum of the block that it stands in, if it has one.
    pub(super) checksum: Option<Checksum>,
}

impl Message {
    /// Its content.
    ///
    /// # Errors
    /// Where that is shared with other objects, or cannot be read.
    pub(super) fn read(&self, file: &File) -> Result<Piece> {
        match self.shared {
            false => {
                let mut piece = file.read(self.address, self.len)?;
                piece.checksum = self.checksum;
                Ok(piece)
            }
            true => Err(not_this("message is shared")),
        }
    }

    /// Address of the object whose message of the same kind this one stands for.
    ///
    /// # Errors
    /// Where it is not shared, or shared through the file's table of messages.
    pub(super) fn shared_with(&self, file: &File) -> Result<u64> {
        let mut piece = file.read(self.address, self.len)?;
        match (self.shared, piece.u8()?, piece.u8()?) {
            (true, 1, _) => piece.skip(6),
            (true, 2, _) | (true, 3, 2) => {}
            _ => return Err(not_this("message is shared in another way")),
        }
        piece.address()
    }
}

/// An object's header.
#[derive(Debug)]
pub(super) struct Object {
    messages: Vec<Message>,
}

impl Object {
    pub(super) fn read(file: &File, address: u64) -> Result<Object> {
        let mut start = file.read(address, 12)?;
        let mut object = Object { messages: Vec::new() };
        let (version, first) = match start.uint(4)?.to_le_bytes() {
            [b'O', b'H', b'D', b'R', ..] => (2, second_version(file, address)?),
            [1, ..] => {
                start.skip(4);
                (1, (address.saturating_add(16), u64::from(start.u32()?), 8))
            }
            _ => return Err(not_this("no object header")),
        };
        // Where each block begins, and its messages.
        let (mut blocks, head) = (vec![(address, first.0, first.1)], first.2);
        while let Some((start, address, len)) = blocks.pop() {
            let from = object.messages.len();
            object.block(file, (address, len), version, head)?;
            if version == 2 {
                let sum = file.checksum(start, address.saturating_add(len).saturating_sub(start));
                object.messages[from..].iter_mut().for_each(|message| message.checksum = Some(sum));
            }
            for message in &object.messages[from..] {
                if message.kind == kind::CONTINUATION {
                    let mut piece = message.read(file)?;
                    let (address, len) = (piece.address()?, piece.length()?);
                    blocks.push(match version {
                        1 => (address, address, len),
                        // A signature before the messages and a checksum behind them.
                        _ => {
                            file.block(address, b"OCHK", 0)?;
                            (address, address.saturating_add(4), len.saturating_sub(8))
                        }
                    });
                }
            }
        }
        Ok(object)
    }

    /// Adds the messages of one block, each behind `head` bytes of its own.
    fn block(&mut self, file: &File, (address, len): (u64, u64), version: u8, head: u64) -> Result<()> {
        let mut piece = file.read(address, len)?;
        // What is shorter than the head of a message is a gap.
        while (piece.at() as u64).saturating_add(head) <= len {
            let start = piece.at();
            let (kind, size) = match version {
                1 => (piece.u16()?, piece.u16()?),
                _ => (u16::from(piece.u8()?), piece.u16()?),
            };
            let shared = piece.u8()? & 2 != 0;
            let at = start as u64 + head;
            if at + u64::from(size) > len || self.messages.len() >= MAX_MESSAGES {
                return Err(not_this("message does not fit its header"));
            }
            self.messages.push(Message { kind, shared, address: address.saturating_add(at), len: size.into(), checksum: None });
            piece.skip(at as usize + usize::from(size) - piece.at());
        }
        Ok(())
    }

    /// All messages of a kind.
    pub(super) fn all(&self, kind: u16) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |message| message.kind == kind)
    }

    /// The first message of a kind.
    pub(super) fn first(&self, kind: u16) -> Option<&Message> {
        self.all(kind).next()
    }
}

/// Address and length of the first messages in a header of version 2, and what stands before each.
fn second_version(file: &File, address: u64) -> Result<(u64, u64, u64)> {
    let mut start = file.block(address, b"OHDR", 2)?;
    start.expect(2)?;
    let flags = start.u8()?;
    let times = if flags & 0x20 != 0 { 16 } else { 0 };
    let limits = if flags & 0x10 != 0 { 4 } else { 0 };
    let order = if flags & 4 != 0 { 2 } else { 0 };
    let (at, width) = (address.saturating_add(6 + times + limits), 1usize << (flags & 3));
    let len = file.read(at, width as u64)?.uint(width)?;
    Ok((at.saturating_add(width as u64), len, 4 + order))
}
