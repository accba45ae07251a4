//! The writer: frames in order, then the index that points to them.

use std::io::{self, Read, Seek, Write};

use errbar_format::frame::{self, ANCILLARY, kind};
use errbar_format::limits::{MAX_DOCUMENT, PAGE_TARGET};
use errbar_format::page::PageBuilder;
use errbar_format::record::{
    self, Block, BlockRef, ChildPage, Document, Entry, Head, Meta, PageContent, PageRef, RECORD_VERSION, Tail, feature,
};
use errbar_format::{Error, Hash, Kind, Result, zstd_frame};

/// Format edition, for reporting.
pub const FORMAT: (u8, u8) = (1, 0);
/// Index pages stay in memory up to this many bytes, then go to an unnamed file.
const SPOOL_MEMORY: usize = 8 << 20;

/// A page of the index, kept until the frames before it are written.
struct Spooled {
    key: Vec<u8>,
    record: Vec<u8>,
    payload_len: usize,
}

/// Leaf pages in waiting: their payloads in a spool, the rest in memory.
struct Spool {
    pages: Vec<Spooled>,
    payloads: tempfile::SpooledTempFile,
}

impl Spool {
    fn new() -> Spool {
        Spool { pages: Vec::new(), payloads: tempfile::SpooledTempFile::new(SPOOL_MEMORY) }
    }

    fn push(&mut self, key: Vec<u8>, record: Vec<u8>, payload: &[u8]) -> Result<()> {
        self.payloads.write_all(payload).map_err(|e| Error::io("cannot spool the index to the temporary folder", e))?;
        self.pages.push(Spooled { key, record, payload_len: payload.len() });
        Ok(())
    }
}

/// Writes an archive front to back. No byte is ever written twice, so any pipe will do.
pub(crate) struct Writer<W: Write> {
    out: W,
    head: Head,
    meta: Meta,
    tag: u64,
    seq: u64,
    offset: u64,
    n_entries: u64,
    n_blocks: u64,
    batch: PageBuilder,
    batch_key: Vec<u8>,
    refs: PageBuilder,
    entries: Spool,
    blocks: Spool,
}

/// The hash by which others refer to a frame: of its record and its payload.
pub(crate) fn page_hash(record: &[u8], payload: &[u8]) -> Hash {
    *blake3::Hasher::new().update(record).update(payload).finalize().as_bytes()
}

fn block_key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W, archive_id: Hash, lossy: bool, meta: Meta) -> Result<Writer<W>> {
        let head = Head {
            version: RECORD_VERSION,
            format: FORMAT,
            required_features: if lossy { feature::LOSSY } else { 0 },
            optional_features: 0,
            archive_id,
            extensions: Vec::new(),
        };
        let mut tag = [0; 8];
        tag.copy_from_slice(&archive_id[..8]);
        let mut writer = Writer {
            out,
            tag: u64::from_le_bytes(tag),
            seq: 0,
            offset: 0,
            n_entries: 0,
            n_blocks: 0,
            batch: PageBuilder::new(PageContent::Entries),
            batch_key: Vec::new(),
            refs: PageBuilder::new(PageContent::Blocks),
            entries: Spool::new(),
            blocks: Spool::new(),
            head,
            meta,
        };
        let head = record::encode(&writer.head)?;
        writer.frame(kind::HEAD, 0, &head, &[])?;
        writer.meta_frame()?;
        Ok(writer)
    }

    /// Writes a frame; gives its offset and length.
    fn frame(&mut self, kind: u16, flags: u16, record: &[u8], payload: &[u8]) -> Result<(u64, u64)> {
        let frame_len = frame::write(&mut self.out, (kind, flags), (self.tag, self.seq), record, payload)
            .map_err(|e| Error::io("cannot write the archive", e))?;
        let offset = self.offset;
        self.seq += 1;
        self.offset += frame_len;
        Ok((offset, frame_len))
    }

    /// Writes a frame that others refer to.
    fn page(&mut self, kind: u16, record: &[u8], payload: &[u8]) -> Result<PageRef> {
        let (offset, frame_len) = self.frame(kind, 0, record, payload)?;
        Ok(PageRef { offset, frame_len, hash: page_hash(record, payload) })
    }

    fn meta_frame(&mut self) -> Result<PageRef> {
        let meta = record::encode(&self.meta)?;
        if meta.len() > errbar_format::limits::MAX_RECORD as usize {
            return Err(Error::usage("the metadata and rules given take more than 1 MiB"));
        }
        self.page(kind::META, &meta, &[])
    }

    /// Embeds a text.
    pub(crate) fn document(&mut self, name: &str, text: &[u8]) -> Result<()> {
        if text.len() as u64 > MAX_DOCUMENT {
            return Err(Error::limit("EB-D01", format!("document '{name}' is larger than 16 MiB")));
        }
        let document = Document { version: RECORD_VERSION, name: name.into(), decoded_len: text.len() as u64, extensions: Vec::new() };
        self.frame(kind::DOCUMENT, ANCILLARY, &record::encode(&document)?, &zstd_frame::compress(text, zstd_frame::LEVEL)?)?;
        Ok(())
    }

    /// Writes a block; its number must be the next one. Gives the bytes of the frame.
    pub(crate) fn block(&mut self, block: &Block, decoded_len: u64, payload: &[u8]) -> Result<u64> {
        debug_assert_eq!(block.number, self.n_blocks);
        let (offset, frame_len) = self.frame(kind::BLOCK, 0, &record::encode(block)?, payload)?;
        let place = record::encode(&BlockRef { offset, frame_len, decoded_len, decoded_hash: block.decoded_hash })?;
        if self.refs.len() + place.len() > PAGE_TARGET {
            self.flush_refs()?;
        }
        self.refs.push_encoded(&place);
        self.n_blocks += 1;
        Ok(frame_len)
    }

    fn flush_refs(&mut self) -> Result<()> {
        let page = std::mem::replace(&mut self.refs, PageBuilder::new(PageContent::Blocks));
        if page.is_empty() {
            return Ok(());
        }
        let first = self.n_blocks - page.count();
        let (record, payload) = page.finish()?;
        self.blocks.push(block_key(first), record, &payload)
    }

    /// Adds an entry, in path order, whose blocks have been written.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<()> {
        entry.check()?;
        let bytes = record::encode(entry)?;
        if !self.batch.is_empty() && self.batch.len() + bytes.len() > PAGE_TARGET {
            self.flush_entries()?;
        }
        if self.batch.is_empty() {
            self.batch_key = entry.path.clone();
        }
        self.batch.push_encoded(&bytes);
        self.n_entries += 1;
        Ok(())
    }

    fn flush_entries(&mut self) -> Result<()> {
        let page = std::mem::replace(&mut self.batch, PageBuilder::new(PageContent::Entries));
        if page.is_empty() {
            return Ok(());
        }
        let (record, payload) = page.finish()?;
        self.frame(kind::ENTRIES, 0, &record, &payload)?;
        self.entries.push(std::mem::take(&mut self.batch_key), record, &payload)
    }

    /// Writes the index and the tail; gives back the output, the tail and the bytes written.
    pub(crate) fn finish(mut self) -> Result<(W, Tail, u64)> {
        self.flush_entries()?;
        self.flush_refs()?;
        let meta = self.meta_frame()?;
        let index_offset = self.offset;
        let entries = std::mem::replace(&mut self.entries, Spool::new());
        let blocks = std::mem::replace(&mut self.blocks, Spool::new());
        // The entries' tree stands nearer to the end: most readers want it first.
        let blocks = self.tree(blocks)?;
        let entries = self.tree(entries)?;
        let tail = Tail {
            version: RECORD_VERSION,
            format: self.head.format,
            required_features: self.head.required_features,
            optional_features: self.head.optional_features,
            archive_id: self.head.archive_id,
            n_entries: self.n_entries,
            n_blocks: self.n_blocks,
            index_offset,
            entries,
            blocks,
            meta,
        };
        self.frame(kind::TAIL, 0, &record::encode(&tail)?, &[])?;
        self.out.flush().map_err(|e| Error::io("cannot write the archive", e))?;
        Ok((self.out, tail, self.offset))
    }

    /// Writes leaf pages, then level upon level of pages over them, and gives the root.
    fn tree(&mut self, mut leaves: Spool) -> Result<PageRef> {
        let spool_error = |e: io::Error| Error::io("cannot read the spooled index back", e);
        leaves.payloads.rewind().map_err(spool_error)?;
        let mut level = Vec::with_capacity(leaves.pages.len());
        for leaf in leaves.pages {
            let mut payload = vec![0; leaf.payload_len];
            leaves.payloads.read_exact(&mut payload).map_err(spool_error)?;
            let page = self.page(kind::INDEX, &leaf.record, &payload)?;
            level.push(ChildPage { key: leaf.key, page });
        }
        for height in 1.. {
            match &level[..] {
                [] => return Ok(PageRef::default()),
                [root] => return Ok(root.page),
                _ => level = self.level(height, &level)?,
            }
        }
        Err(Error::new(Kind::Limit, "index is too deep"))
    }

    fn level(&mut self, height: u8, children: &[ChildPage]) -> Result<Vec<ChildPage>> {
        let mut parents = Vec::new();
        let mut page = PageBuilder::new(PageContent::Pages { level: height });
        let mut key = Vec::new();
        let mut in_page = 0;
        for (i, child) in children.iter().enumerate() {
            if in_page == 0 {
                key.clone_from(&child.key);
            }
            page.push_encoded(&record::encode(child)?);
            in_page += 1;
            // Two children at least, or long keys would make a tree without end.
            if (in_page > 1 && page.len() > PAGE_TARGET) || i + 1 == children.len() {
                let (record, payload) = std::mem::replace(&mut page, PageBuilder::new(PageContent::Pages { level: height })).finish()?;
                let page = self.page(kind::INDEX, &record, &payload)?;
                parents.push(ChildPage { key: std::mem::take(&mut key), page });
                in_page = 0;
            }
        }
        Ok(parents)
    }
}
