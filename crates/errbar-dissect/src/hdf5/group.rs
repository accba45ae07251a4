//! What a group holds.

use errbar_format::Result;

use super::file::{File, Piece};
use super::heap;
use super::object::{Object, kind};
use super::tree;
use crate::layout::MAX_PLACES;
use crate::not_this;

/// A name in a group, and the address of the object that it stands for.
pub(super) struct Link {
    pub(super) name: String,
    pub(super) address: u64,
}

/// The hard links of a group, in the order of their names. What another file or another path would
/// have to be looked for is left out, and so is what cannot be read.
pub(super) fn links(file: &File, object: &Object) -> Vec<Link> {
    let mut links = Vec::new();
    // What comes before an error is a part of the group all the same.
    if let Some(Ok(mut table)) = object.first(kind::SYMBOL_TABLE).map(|message| message.read(file)) {
        let _ = symbols(file, &mut table, &mut links);
    }
    links.extend(object.all(kind::LINK).filter_map(|message| link(&mut message.read(file).ok()?)));
    if let Some(Ok(mut info)) = object.first(kind::LINK_INFO).map(|message| message.read(file)) {
        let _ = heap::dense(file, &mut info, 8, &mut |mut message| {
            if links.len() <= MAX_PLACES {
                links.extend(link(&mut message));
            }
        });
    }
    links.sort_by(|a, b| a.name.cmp(&b.name));
    links
}

/// Links of an old group: nodes of a tree with symbols, whose names are in a heap.
fn symbols(file: &File, table: &mut Piece, links: &mut Vec<Link>) -> Result<()> {
    let (root, heap) = (table.address()?, table.address()?);
    let mut names = heap::local(file, heap)?;
    let entry_len = 2 * file.offset_size() + 24;
    tree::version_1(file, root, 0, file.length_size(), &mut |node| {
        node.skip(file.length_size());
        let address = node.address()?;
        let mut head = file.block(address, b"SNOD", 4)?;
        head.expect(1)?;
        head.skip(1);
        let count = usize::from(head.u16()?);
        let mut entries = file.read(address + 8, (count * entry_len) as u64)?;
        for i in 0..count {
            entries.seek(i * entry_len);
            let (name, address, cached) = (entries.uint(file.offset_size())?, entries.address()?, entries.u32()?);
            names.seek(usize::try_from(name).unwrap_or(usize::MAX));
            // 2: a symbolic link.
            if cached != 2
                && let Ok(name) = names.text()
            {
                links.push(Link { name, address });
            }
        }
        // One node may be named many times.
        match links.len() <= MAX_PLACES {
            true => Ok(()),
            false => Err(not_this("too many links")),
        }
    })
}

/// The link of a link message, if it is a hard one.
fn link(message: &mut Piece) -> Option<Link> {
    message.expect(1).ok()?;
    let flags = message.u8().ok()?;
    if flags & 8 != 0 && message.u8().ok()? != 0 {
        return None;
    }
    // The order of creation and the character set are of no use here.
    message.skip(if flags & 4 != 0 { 8 } else { 0 } + usize::from(flags & 16 != 0));
    let len = message.uint(1 << (flags & 3)).ok()?;
    let name = message.name(usize::try_from(len).ok()?).ok()?;
    let address = message.address().ok()?;
    Some(Link { name, address })
}
