//! Where entries and blocks are: in the trees of the index, or on the pages and frames that a
//! scan has found.

use std::cmp::Ordering;
use std::iter::Peekable;

use errbar_format::frame::kind;
use errbar_format::limits::{MAX_LEVEL, PAGE_TARGET};
use errbar_format::page::{self, Items};
use errbar_format::record::{BlockRef, Body, ChildPage, Entry, PageContent, PageRecord, PageRef, Tail};
use errbar_format::{Error, Kind, Result, path};

use super::scan::Scan;
use super::{Archive, Inner};

/// How entries and blocks are found.
pub(super) enum Index {
    /// By the trees that the TAIL names.
    Tree(Box<Tail>),
    /// By what a scan has found, because the TAIL or the trees are damaged.
    Scan(Scan),
}

/// Block references of one leaf, and the number of the first.
pub(super) type RefLeaf = (u64, Vec<BlockRef>);

/// A page that lists entries or blocks.
struct Leaf {
    /// The key that its parent gives it.
    key: Option<Vec<u8>>,
    at: u64,
    page: PageRecord,
    payload: Vec<u8>,
}

/// All leaves below a page, in order.
struct TreeWalk {
    root: Option<PageRef>,
    /// Pages of pages being read: what is left of each, its offset and its level.
    stack: Vec<(Peekable<Items<ChildPage>>, u64, u8)>,
}

impl TreeWalk {
    fn new(root: PageRef) -> TreeWalk {
        TreeWalk { root: (root.frame_len > 0).then_some(root), stack: Vec::new() }
    }

    fn next(&mut self, inner: &Inner) -> Result<Option<Leaf>> {
        let mut wanted = self.root.take().map(|root| (None, root, inner.storage.size, None));
        loop {
            let (key, place, before, level) = match wanted.take() {
                Some(wanted) => wanted,
                None => match self.stack.last_mut() {
                    None => return Ok(None),
                    Some((children, at, level)) => match children.next() {
                        None => {
                            self.stack.pop();
                            continue;
                        }
                        Some(child) => {
                            let child = child?;
                            (Some(child.key), child.page, *at, Some(*level - 1))
                        }
                    },
                },
            };
            let (page, payload) = inner.index_page(&place, before, level)?;
            match page.content {
                PageContent::Pages { level } => {
                    let mut children = Items::<ChildPage>::new(&page, page.content, &payload)?.peekable();
                    let sound = match (children.peek(), &key) {
                        (None, _) => false,
                        (Some(Ok(first)), Some(key)) => first.key == *key,
                        _ => true,
                    };
                    if !sound {
                        return Err(Error::corrupt("EB-I04", "page of pages is empty, or its key not the smallest below").at(place.offset));
                    }
                    self.stack.push((children, place.offset, level));
                }
                _ => return Ok(Some(Leaf { key, at: place.offset, page, payload })),
            }
        }
    }
}

impl Inner {
    /// The page of the index at `place`, to which something at `before` refers; its level must be
    /// `level`, where that is known. References point backwards, so no chain of them is a circle.
    fn index_page(&self, place: &PageRef, before: u64, level: Option<u8>) -> Result<(PageRecord, Vec<u8>)> {
        if !place.offset.is_multiple_of(8) || place.offset.checked_add(place.frame_len).is_none_or(|end| end > before) {
            return Err(Error::corrupt("EB-I04", "reference does not point backwards").at(place.offset));
        }
        let (record, payload) = self.page(place, kind::INDEX)?;
        let page = page::parse_record(&record).map_err(|e| e.at(place.offset))?;
        let found = match page.content {
            PageContent::Pages { level } => level,
            _ => 0,
        };
        match level {
            Some(level) if level != found => {
                Err(Error::corrupt("EB-I03", format!("page of level {found} where level {level} should be")).at(place.offset))
            }
            _ => Ok((page, payload)),
        }
    }

    /// The leaf below `root` that would hold what `compare` looks for; `compare` orders a key
    /// relative to it.
    fn descend(&self, root: PageRef, compare: impl Fn(&[u8]) -> Ordering) -> Result<Option<Leaf>> {
        if root.frame_len == 0 {
            return Ok(None);
        }
        let (mut key, mut place, mut before, mut level) = (None, root, self.storage.size, None);
        for _ in 0..=MAX_LEVEL {
            let (page, payload) = self.index_page(&place, before, level)?;
            let PageContent::Pages { level: height } = page.content else {
                return Ok(Some(Leaf { key, at: place.offset, page, payload }));
            };
            let mut chosen = None;
            for child in Items::<ChildPage>::new(&page, page.content, &payload)? {
                let child = child?;
                if compare(&child.key) == Ordering::Greater {
                    break;
                }
                chosen = Some(child);
            }
            let Some(child) = chosen else { return Ok(None) };
            (before, level) = (place.offset, Some(height - 1));
            (key, place) = (Some(child.key), child.page);
        }
        Err(Error::limit("EB-I01", "index is too deep"))
    }

    pub(super) fn find_entry(&self, wanted: &[u8]) -> Result<Option<Entry>> {
        let leaf = match &self.index {
            Index::Tree(tail) => self.descend(tail.entries, |key| path::compare(key, wanted))?,
            Index::Scan(scan) => match scan.leaves.partition_point(|(key, _)| path::compare(key, wanted) != Ordering::Greater) {
                0 => None,
                after => Some(self.scanned_leaf(scan.leaves[after - 1].1)?),
            },
        };
        let Some(leaf) = leaf else { return Ok(None) };
        for entry in leaf.entries()? {
            let entry = entry.map_err(|e| e.at(leaf.at))?;
            match path::compare(&entry.path, wanted) {
                Ordering::Less => {}
                Ordering::Equal => return entry.check().map(|()| Some(entry)),
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    fn scanned_leaf(&self, at: u64) -> Result<Leaf> {
        let (prefix, _) = self.frame_head(at, None)?;
        let bytes = self.storage.read(at, prefix.frame_len())?;
        let frame = errbar_format::frame::Frame::parse(&bytes).map_err(|e| e.at(at))?;
        let page = page::parse_record(frame.record).map_err(|e| e.at(at))?;
        Ok(Leaf { key: None, at, page, payload: frame.payload.to_vec() })
    }

    pub(super) fn n_blocks(&self) -> u64 {
        match &self.index {
            Index::Tree(tail) => tail.n_blocks,
            Index::Scan(scan) => scan.blocks.last_key_value().map_or(0, |(&number, _)| number.saturating_add(1)),
        }
    }

    /// The numbers of the blocks that the index lists or a scan has found, ascending.
    pub(super) fn block_numbers(&self) -> Box<dyn Iterator<Item = u64> + '_> {
        match &self.index {
            Index::Tree(tail) => Box::new(0..tail.n_blocks),
            // A number in a frame is only a claim: counting up to it might never end.
            Index::Scan(scan) => Box::new(scan.blocks.keys().copied()),
        }
    }

    pub(super) fn find_block(&self, number: u64) -> Result<BlockRef> {
        let missing = || Error::corrupt("EB-A03", "block is not in the archive");
        let tail = match &self.index {
            Index::Scan(scan) => return scan.blocks.get(&number).copied().ok_or_else(missing),
            Index::Tree(tail) => tail,
        };
        let within = |(first, refs): &RefLeaf| number.checked_sub(*first).and_then(|i| refs.get(i as usize)).copied();
        let mut last = self.last_refs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = last.as_ref().and_then(within) {
            return Ok(found);
        }
        let leaf = self.descend(tail.blocks, |key| key.cmp(&number.to_be_bytes()[..]))?.ok_or_else(missing)?;
        let leaf = leaf.refs()?;
        let found = within(&leaf);
        *last = Some(leaf);
        found.ok_or_else(missing)
    }
}

impl Leaf {
    fn entries(&self) -> Result<Items<Entry>> {
        Items::new(&self.page, PageContent::Entries, &self.payload).map_err(|e| e.at(self.at))
    }

    fn refs(&self) -> Result<RefLeaf> {
        let key = match &self.key {
            None => 0,
            Some(key) => {
                u64::from_be_bytes(key[..].try_into().map_err(|_| Error::corrupt("EB-I04", "key of a page of blocks is no number"))?)
            }
        };
        let items = Items::new(&self.page, PageContent::Blocks, &self.payload).map_err(|e| e.at(self.at))?;
        if items.left() > (PAGE_TARGET * 2) as u64 {
            return Err(Error::limit("EB-I01", "page lists too many blocks").at(self.at));
        }
        Ok((key, items.collect::<Result<_>>()?))
    }
}

/// Every entry of an archive, in path order.
pub struct Entries {
    archive: Archive,
    leaves: Leaves,
    items: Option<Items<Entry>>,
}

enum Leaves {
    Tree(TreeWalk),
    List(usize),
    Done,
}

impl Entries {
    pub(super) fn new(archive: &Archive) -> Entries {
        let leaves = match &archive.inner.index {
            Index::Tree(tail) => Leaves::Tree(TreeWalk::new(tail.entries)),
            Index::Scan(_) => Leaves::List(0),
        };
        Entries { archive: archive.clone(), leaves, items: None }
    }

    fn next_leaf(&mut self) -> Result<Option<Leaf>> {
        let inner = &self.archive.inner;
        match (&mut self.leaves, &inner.index) {
            (Leaves::Tree(walk), _) => walk.next(inner),
            (Leaves::List(next), Index::Scan(scan)) => {
                *next += 1;
                scan.leaves.get(*next - 1).map(|(_, at)| inner.scanned_leaf(*at)).transpose()
            }
            _ => Ok(None),
        }
    }

    fn step(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.items.as_mut().and_then(Iterator::next) {
                let entry = entry?;
                entry.check()?;
                return Ok(Some(entry));
            }
            match self.next_leaf()? {
                Some(leaf) => self.items = Some(leaf.entries()?),
                None => return Ok(None),
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let result = self.step().transpose();
        if !matches!(result, Some(Ok(_))) {
            (self.leaves, self.items) = (Leaves::Done, None);
        }
        result
    }
}

impl Archive {
    /// Checks that the index is sound, and that its entries make a tree of files.
    pub(super) fn check_index(&self) -> Result<()> {
        if let Index::Tree(tail) = &self.inner.index {
            self.check_keys(tail)?;
        }
        self.check_tree()
    }

    /// Keys, order and counts of both trees.
    fn check_keys(&self, tail: &Tail) -> Result<()> {
        let inner = &self.inner;
        let (mut n_entries, mut walk) = (0, TreeWalk::new(tail.entries));
        while let Some(leaf) = walk.next(inner)? {
            let mut entries = leaf.entries()?.peekable();
            let sound = match (entries.peek(), &leaf.key) {
                (None, _) => false,
                (Some(Ok(first)), Some(key)) => first.path == *key,
                _ => true,
            };
            if !sound {
                return Err(Error::corrupt("EB-I04", "key is not the smallest key below it").at(leaf.at));
            }
            n_entries += leaf.page.count;
        }
        let (mut n_blocks, mut end, mut walk) = (0, 0, TreeWalk::new(tail.blocks));
        while let Some(leaf) = walk.next(inner)? {
            let (first, refs) = leaf.refs()?;
            if first != n_blocks || refs.is_empty() {
                return Err(Error::corrupt("EB-I04", "pages of blocks do not count up").at(leaf.at));
            }
            for place in &refs {
                let next = place.offset.checked_add(place.frame_len).filter(|&next| next <= leaf.at && next > place.offset);
                end =
                    next.filter(|_| place.offset >= end).ok_or_else(|| Error::corrupt("EB-I04", "blocks are out of order").at(leaf.at))?;
            }
            n_blocks += refs.len() as u64;
        }
        if (n_entries, n_blocks) != (tail.n_entries, tail.n_blocks) {
            let what = format!("index lists {n_entries} entries and {n_blocks} blocks, TAIL says {} and {}", tail.n_entries, tail.n_blocks);
            return Err(Error::corrupt("EB-A03", what));
        }
        Ok(())
    }

    /// That no path stands twice, nothing lies below what is no folder, hard links name files, and
    /// no more bytes are used than the blocks hold (EB-T01 … EB-T03, EB-T05).
    fn check_tree(&self) -> Result<()> {
        let refuse = |rule, what: &str, path: &[u8]| Err(Error { rule: Some(rule), ..Error::new(Kind::Refused, what) }.in_entry(path));
        let mut before: Option<Vec<u8>> = None;
        let mut leaf_entry: Option<Vec<u8>> = None;
        let mut links = Vec::new();
        // By files that have blocks of their own, and by the largest of the others.
        let (mut used, mut most) = (0u64, 0u64);
        for entry in self.entries() {
            let entry = entry?;
            if before.is_some_and(|before| path::compare(&before, &entry.path) != Ordering::Less) {
                return refuse("EB-T01", "path stands twice or out of order", &entry.path);
            }
            if leaf_entry.as_ref().is_some_and(|above| path::is_within(&entry.path, above)) {
                return refuse("EB-T02", "entry lies below one that is no folder", &entry.path);
            }
            match &entry.body {
                Body::Directory => {}
                Body::File(file) => match file.same_as {
                    None => used = used.saturating_add(file.used_bytes()),
                    Some(_) => most = most.max(file.used_bytes()),
                },
                Body::HardLink { target } => links.push((target.clone(), entry.path.clone())),
                Body::Symlink { .. } => {}
            }
            if !matches!(entry.body, Body::Directory) {
                leaf_entry = Some(entry.path.clone());
            }
            before = Some(entry.path);
        }
        self.check_links(links)?;
        let used = used.max(most);
        match used > self.decoded_bytes()? && self.damage().is_empty() {
            true => Err(Error::limit("EB-T05", format!("entries use {used} bytes of blocks, which is more than the blocks hold"))),
            false => Ok(()),
        }
    }

    /// Bytes of blocks that all files together are made of; of those that can be read.
    pub(crate) fn used_bytes(&self) -> u64 {
        let of_file = |entry: Entry| if let Body::File(file) = entry.body { file.used_bytes() } else { 0 };
        self.entries().flatten().map(of_file).fold(0, u64::saturating_add)
    }

    /// Bytes that all blocks decode to.
    fn decoded_bytes(&self) -> Result<u64> {
        let mut sum = 0u64;
        match &self.inner.index {
            Index::Scan(scan) => sum = scan.blocks.values().fold(0, |sum, place| sum.saturating_add(place.decoded_len)),
            Index::Tree(tail) => {
                let mut walk = TreeWalk::new(tail.blocks);
                while let Some(leaf) = walk.next(&self.inner)? {
                    sum = leaf.refs()?.1.iter().fold(sum, |sum, place| sum.saturating_add(place.decoded_len));
                }
            }
        }
        Ok(sum)
    }

    /// Every hard link's target must be a file; in a damaged archive it may be lost.
    fn check_links(&self, mut links: Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        if links.is_empty() {
            return Ok(());
        }
        links.sort_by(|a, b| path::compare(&a.0, &b.0));
        let mut entries = self.entries().peekable();
        for (target, link) in &links {
            while let Some(Ok(entry)) = entries.peek()
                && path::compare(&entry.path, target) == Ordering::Less
            {
                entries.next();
            }
            let found = match entries.peek() {
                Some(Ok(entry)) if entry.path == *target => Some(matches!(entry.body, Body::File(_))),
                _ => None,
            };
            if found == Some(false) || (found.is_none() && self.damage().is_empty()) {
                let what = "hard link names no file of this archive";
                return Err(Error { rule: Some("EB-T03"), ..Error::new(Kind::Refused, what) }.in_entry(link));
            }
        }
        Ok(())
    }
}
