//! Archives made frame by frame, sound or not, with every checksum right unless a vector breaks it.
//!
//! This is a second writer beside the library's, made of [`errbar_format`] alone, so that a
//! mistake in the library's writer cannot hide in the vectors.

use std::ops::Range;

use errbar_format::frame::{self, ANCILLARY, PREFIX_LEN, Prefix, kind};
use errbar_format::record::{
    self, Block, BlockRef, ChildPage, Document, Entry, Head, Meta, PageContent, PageRecord, PageRef, RECORD_VERSION, Tail,
};
use errbar_format::zstd_frame;
use errbar_format::{Hash, page};

/// 2^40 as a record spells it.
pub const TWO_TO_40: [u8; 9] = [253, 0, 0, 0, 0, 0, 1, 0, 0];

const MEMORY: &str = "records and frames of a vector fit memory";

/// The bytes of a record.
pub fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    record::encode(value).expect(MEMORY)
}

/// One zstd frame.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd_frame::compress(bytes, zstd_frame::LEVEL).expect(MEMORY)
}

/// BLAKE3 of some bytes.
pub fn hash(bytes: &[u8]) -> Hash {
    *blake3::hash(bytes).as_bytes()
}

/// A page before it is a frame.
#[derive(Clone)]
pub struct Leaf {
    /// The smallest key in it.
    pub key: Vec<u8>,
    /// Its record.
    pub record: Vec<u8>,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Leaf {
    /// A page of items, each given as its record's bytes.
    pub fn new(content: PageContent, key: Vec<u8>, items: &[Vec<u8>]) -> Leaf {
        let bytes = items.concat();
        let page = PageRecord {
            version: RECORD_VERSION,
            content,
            count: items.len() as u64,
            decoded_len: bytes.len() as u64,
            extensions: Vec::new(),
        };
        Leaf { key, record: encode(&page), payload: zstd(&bytes) }
    }

    /// A page of entries under the first one's path.
    pub fn of_entries(entries: &[Entry]) -> Leaf {
        let key = entries.first().map(|entry| entry.path.clone()).unwrap_or_default();
        Leaf::new(PageContent::Entries, key, &entries.iter().map(encode).collect::<Vec<_>>())
    }

    /// A page of block references, the first one for block `first`.
    pub fn of_blocks(first: u64, refs: &[BlockRef]) -> Leaf {
        Leaf::new(PageContent::Blocks, first.to_be_bytes().to_vec(), &refs.iter().map(encode).collect::<Vec<_>>())
    }

    /// The same page with an edited record.
    #[must_use]
    pub fn edit(mut self, edit: impl FnOnce(&mut PageRecord)) -> Leaf {
        let mut page = page::parse_record(&self.record).expect("the page was sound so far");
        edit(&mut page);
        self.record = encode(&page);
        self
    }
}

/// An archive as it was made.
#[derive(Clone)]
pub struct Archive {
    /// The file.
    pub bytes: Vec<u8>,
    /// Every frame: where it begins, and its prefix.
    pub frames: Vec<(usize, Prefix)>,
    /// Path and restored hash of every regular file.
    pub files: Vec<(String, Hash)>,
}

impl Archive {
    /// Position in `frames` of the `nth` frame of a kind.
    pub fn find(&self, kind: u16, nth: usize) -> usize {
        let mut found = self.frames.iter().enumerate().filter(|(_, (_, prefix))| prefix.kind == kind);
        found.nth(nth).expect("the vector has that frame").0
    }

    /// The bytes of a frame.
    pub fn range(&self, frame: usize) -> Range<usize> {
        let (at, prefix) = &self.frames[frame];
        *at..at + prefix.frame_len() as usize
    }

    /// Edits a prefix; its checksum is made right again.
    #[must_use]
    pub fn with_prefix(mut self, frame: usize, edit: impl FnOnce(&mut Prefix)) -> Archive {
        let (at, prefix) = &mut self.frames[frame];
        edit(prefix);
        self.bytes[*at..*at + PREFIX_LEN].copy_from_slice(&prefix.to_bytes());
        self
    }

    /// Flips the bits of the byte at a position within a frame; mends nothing.
    #[must_use]
    pub fn flip(mut self, frame: usize, at: usize) -> Archive {
        let start = self.frames[frame].0;
        self.bytes[start + at] ^= 0xFF;
        self
    }

    /// Overwrites a frame with zeros, as a lost sector would be.
    #[must_use]
    pub fn wipe(mut self, frame: usize) -> Archive {
        let range = self.range(frame);
        self.bytes[range].fill(0);
        self
    }

    /// Ends the file before a byte.
    #[must_use]
    pub fn cut(mut self, len: usize) -> Archive {
        self.bytes.truncate(len);
        self
    }

    /// Exchanges the bytes of two neighbouring frames.
    #[must_use]
    pub fn swap(mut self, first: usize) -> Archive {
        let (a, b) = (self.range(first), self.range(first + 1));
        self.bytes[a.start..b.end].rotate_left(a.len());
        self
    }
}

/// Writes an archive front to back, in the order of the specification unless told otherwise.
pub struct Builder {
    bytes: Vec<u8>,
    frames: Vec<(usize, Prefix)>,
    /// The archive's tag on the frames to come.
    pub tag: u64,
    /// The number of the next frame.
    pub seq: u64,
    /// What HEAD says; TAIL repeats it.
    pub head: Head,
    /// What META says, twice.
    pub meta: Meta,
    /// Where the blocks so far are.
    pub blocks: Vec<BlockRef>,
    /// The pages of entries so far, for the index.
    pub pages: Vec<Leaf>,
    /// Block references in one leaf of the index, and children in a page above the leaves.
    pub per_page: usize,
    pending: Vec<Entry>,
    files: Vec<(String, Hash)>,
}

impl Builder {
    /// An archive with HEAD and META written. Its id is the hash of `name`.
    pub fn new(name: &str) -> Builder {
        let mut builder = Builder::bare(name);
        builder.open();
        builder
    }

    /// An archive that says it may hold loss.
    pub fn lossy(name: &str) -> Builder {
        let mut builder = Builder::bare(name);
        builder.head.required_features = record::feature::LOSSY;
        builder.meta.policy = "*=abs=0.01".into();
        builder.open();
        builder
    }

    /// An archive with nothing written yet.
    pub fn bare(name: &str) -> Builder {
        let archive_id = hash(name.as_bytes());
        let head = Head {
            version: RECORD_VERSION,
            format: (1, 0),
            required_features: 0,
            optional_features: 0,
            archive_id,
            extensions: Vec::new(),
        };
        let meta = Meta {
            version: RECORD_VERSION,
            writer: "errbar vectors".into(),
            mode: "balanced".into(),
            policy: String::new(),
            items: Vec::new(),
            extensions: Vec::new(),
        };
        Builder {
            bytes: Vec::new(),
            frames: Vec::new(),
            tag: u64::from_le_bytes(std::array::from_fn(|i| archive_id[i])),
            seq: 0,
            head,
            meta,
            blocks: Vec::new(),
            pages: Vec::new(),
            per_page: 2000,
            pending: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Writes HEAD and META.
    pub fn open(&mut self) {
        let head = encode(&self.head);
        self.frame(kind::HEAD, 0, &head, &[]);
        self.meta_frame();
    }

    /// Bytes so far.
    pub fn offset(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Writes a frame; gives what others refer to it by.
    pub fn frame(&mut self, kind: u16, flags: u16, record: &[u8], payload: &[u8]) -> PageRef {
        let at = self.bytes.len();
        let frame_len = frame::write(&mut self.bytes, (kind, flags), (self.tag, self.seq), record, payload).expect(MEMORY);
        let prefix = Prefix {
            kind,
            flags,
            record_len: record.len() as u32,
            archive_tag: self.tag,
            seq: self.seq,
            payload_len: payload.len() as u64,
            payload_crc: crc32fast::hash(payload),
        };
        self.frames.push((at, prefix));
        self.seq += 1;
        PageRef { offset: at as u64, frame_len, hash: hash(&[record, payload].concat()) }
    }

    /// Writes bytes that are no frame.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes META.
    pub fn meta_frame(&mut self) -> PageRef {
        let meta = encode(&self.meta);
        self.frame(kind::META, 0, &meta, &[])
    }

    /// Embeds a text.
    pub fn document(&mut self, name: &str, text: &[u8]) {
        let document = Document { version: RECORD_VERSION, name: name.into(), decoded_len: text.len() as u64, extensions: Vec::new() };
        self.frame(kind::DOCUMENT, ANCILLARY, &encode(&document), &zstd(text));
    }

    /// The number of the next block.
    pub fn next_block(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// Writes a block as it is given.
    pub fn block(&mut self, block: &Block, payload: &[u8]) {
        let elements = block.shape.iter().fold(1u64, |n, &dim| n.wrapping_mul(dim));
        self.block_record(&encode(block), payload, elements.wrapping_mul(block.dtype.size() as u64), block.decoded_hash);
    }

    /// Writes a block whose record is given as bytes.
    pub fn block_record(&mut self, record: &[u8], payload: &[u8], decoded_len: u64, decoded_hash: Hash) {
        let place = self.frame(kind::BLOCK, 0, record, payload);
        self.blocks.push(BlockRef { offset: place.offset, frame_len: place.frame_len, decoded_len, decoded_hash });
    }

    /// Adds an entry to the next page.
    pub fn entry(&mut self, entry: Entry) {
        if let record::Body::File(file) = &entry.body {
            let hashes = file.hashes.expect("the entry has hashes");
            self.files.push((errbar_format::path::display(&entry.path), hashes.restored));
        }
        self.pending.push(entry);
    }

    /// Adds an entry of a file without the hashes it is given with: its block proves the content.
    pub fn proven_by_block(&mut self, mut entry: Entry) {
        self.entry(entry.clone());
        self.pending.pop();
        if let record::Body::File(file) = &mut entry.body {
            file.hashes = None;
        }
        self.pending.push(entry);
    }

    /// Writes the entries so far as a page.
    pub fn flush(&mut self) {
        if !self.pending.is_empty() {
            let page = Leaf::of_entries(&std::mem::take(&mut self.pending));
            self.page(page);
        }
    }

    /// Writes a page of entries as it is given.
    pub fn page(&mut self, page: Leaf) {
        self.frame(kind::ENTRIES, 0, &page.record, &page.payload);
        self.pages.push(page);
    }

    /// Writes the second META and the index; gives the TAIL to be written.
    pub fn index(&mut self) -> Tail {
        self.flush();
        let chunks = self.blocks.chunks(self.per_page).enumerate();
        let blocks: Vec<Leaf> = chunks.map(|(i, refs)| Leaf::of_blocks((i * self.per_page) as u64, refs)).collect();
        let pages = self.pages.clone();
        self.index_of(&blocks, &pages)
    }

    /// As [`Builder::index`], with these leaves.
    pub fn index_of(&mut self, blocks: &[Leaf], entries: &[Leaf]) -> Tail {
        let meta = self.meta_frame();
        let index_offset = self.offset();
        let blocks = self.tree(blocks);
        let entries = self.tree(entries);
        self.tail_record(index_offset, blocks, entries, meta)
    }

    /// The TAIL that belongs to roots of one's own making.
    pub fn tail_record(&self, index_offset: u64, blocks: PageRef, entries: PageRef, meta: PageRef) -> Tail {
        Tail {
            version: RECORD_VERSION,
            format: self.head.format,
            required_features: self.head.required_features,
            optional_features: self.head.optional_features,
            archive_id: self.head.archive_id,
            n_entries: self.pages.iter().map(|page| page::parse_record(&page.record).map_or(0, |page| page.count)).sum(),
            n_blocks: self.next_block(),
            index_offset,
            entries,
            blocks,
            meta,
        }
    }

    /// Writes a page of the index.
    pub fn index_page(&mut self, leaf: &Leaf) -> ChildPage {
        ChildPage { key: leaf.key.clone(), page: self.frame(kind::INDEX, 0, &leaf.record, &leaf.payload) }
    }

    /// Writes leaves and level upon level of pages over them; gives the root.
    pub fn tree(&mut self, leaves: &[Leaf]) -> PageRef {
        let mut level: Vec<ChildPage> = leaves.iter().map(|leaf| self.index_page(leaf)).collect();
        let mut height = 0;
        while level.len() > 1 {
            height += 1;
            let groups: Vec<Vec<ChildPage>> = level.chunks(self.per_page.max(2)).map(<[_]>::to_vec).collect();
            level = groups.iter().map(|children| self.index_page(&above(height, children))).collect();
        }
        level.first().map(|root| root.page).unwrap_or_default()
    }

    /// Writes the index and its TAIL.
    pub fn finish(self) -> Archive {
        self.finish_with(|_| {})
    }

    /// As [`Builder::finish`], with an edited TAIL.
    pub fn finish_with(mut self, edit: impl FnOnce(&mut Tail)) -> Archive {
        let mut tail = self.index();
        edit(&mut tail);
        self.close(&tail)
    }

    /// Writes a TAIL; the archive ends.
    pub fn close(mut self, tail: &Tail) -> Archive {
        self.frame(kind::TAIL, 0, &encode(tail), &[]);
        self.stop()
    }

    /// Ends the archive as it stands.
    pub fn stop(self) -> Archive {
        Archive { bytes: self.bytes, frames: self.frames, files: self.files }
    }
}

/// A page of pages, `height` above the leaves.
pub fn above(height: u8, children: &[ChildPage]) -> Leaf {
    let key = children.first().map(|child| child.key.clone()).unwrap_or_default();
    Leaf::new(PageContent::Pages { level: height }, key, &children.iter().map(encode).collect::<Vec<_>>())
}
