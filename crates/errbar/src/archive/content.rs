//! A file's content, piece by piece.

use std::io;
use std::sync::Arc;

use errbar_format::record::{Block, BlockPlace, Body, Entry, FileBody, FileHashes, Segment};
use errbar_format::{Error, Hash, Kind, Result};

use super::streams::{Made, Streams};
use super::{Archive, elements};
use crate::parallel::Lane;

/// Bytes of holes that may be filled with zeros in memory.
const MAX_HOLES: u64 = 1 << 30;
/// Bytes of a shared block that is kept for the next file, which is often a part of it too.
const KEPT_SHARED: usize = 1 << 20;

/// A block, decoded and proven by its hash.
pub(crate) struct Decoded {
    pub(crate) block: Block,
    pub(crate) bytes: Vec<u8>,
}

/// Whoever decodes blocks.
pub(crate) trait BlockSource {
    /// The block with this number.
    fn decoded(&mut self, number: u64) -> Result<Arc<Decoded>>;

    /// Threads for chunks to be put through their filters, if there are any.
    fn lane(&self) -> Option<Lane<Result<Vec<u8>>>> {
        None
    }
}

/// A piece of a file's content.
pub(crate) enum Piece<'a> {
    /// Bytes, and the position of the variable that they are whole rows of.
    Bytes(&'a [u8], Option<usize>),
    /// So many zeros that take no room.
    Hole(u64),
}

impl Archive {
    /// A block, decoded.
    pub(crate) fn decoded(&self, number: u64) -> Result<Decoded> {
        let frame = self.block_frame(number)?;
        let bytes = self.decode(&frame)?;
        Ok(Decoded { block: frame.block, bytes })
    }

    /// A file's content, in order. What is given may be wrong until all was given and the
    /// restored hash compared.
    pub(crate) fn content(
        &self,
        entry: &Entry,
        file: &FileBody,
        blocks: &mut dyn BlockSource,
        each: &mut dyn FnMut(Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        // Streams stand as their content in this count.
        let mut at = 0;
        let mut kept = elements::Kept::default();
        let mut out = Streams::new(blocks.lane(), each);
        // Segments that are still the content of a stream.
        let mut inside = 0;
        for (index, segment) in file.segments.iter().enumerate() {
            match segment {
                Segment::Stream { segments, maker, length, crc, pieces } => {
                    let made = Made { maker: maker.clone(), length: *length, crc: *crc, pieces: pieces.iter().cloned().collect() };
                    out.open(made, file.plain_len(index).unwrap_or(u64::MAX))?;
                    inside = *segments;
                    continue;
                }
                Segment::Inline(bytes) => out.piece(Piece::Bytes(bytes, None))?,
                Segment::Hole { length } => out.piece(Piece::Hole(*length))?,
                Segment::Part { block: number, offset, length } => {
                    let decoded = kept.block(*number, blocks)?;
                    out.piece(Piece::Bytes(elements::shared_part(&decoded, *offset, *length)?, None))?;
                }
                Segment::Run { first_block, block_len, length } => {
                    for k in 0..length.div_ceil(*block_len) {
                        let decoded = blocks.decoded(first_block + k)?;
                        let start = k * block_len;
                        let place = BlockPlace::Run { path: entry.path_of_blocks().to_vec(), offset: at + start };
                        if decoded.block.place != place || decoded.bytes.len() as u64 != (*block_len).min(length - start) {
                            let what = "block is not the run of bytes that its entry names";
                            return Err(Error::corrupt("EB-B05", what).in_block(first_block + k));
                        }
                        out.piece(Piece::Bytes(&decoded.bytes, None))?;
                    }
                }
                Segment::Variable { index } => {
                    let index = *index as usize;
                    let variable = &file.variables[index];
                    let mut give = |bytes: &[u8]| out.piece(Piece::Bytes(bytes, Some(index)));
                    let given = match variable.is_in_blocks() {
                        true => elements::rows(entry, variable, blocks, &mut give),
                        false => kept.elements(variable, blocks).and_then(|bytes| give(&bytes)),
                    };
                    given.map_err(|e| e.in_variable(&variable.name))?;
                }
                Segment::Records { .. } => {
                    let fields = file.fields_of(segment).unwrap_or_default();
                    elements::records(entry, fields, &mut kept, blocks, &mut |bytes| out.piece(Piece::Bytes(bytes, None)))?;
                }
                Segment::Lines { cells, end, length, .. } => {
                    let fields = file.fields_of(segment).unwrap_or_default();
                    elements::lines(entry, fields, (cells, end, *length), (&mut kept, blocks), &mut |bytes| {
                        out.piece(Piece::Bytes(bytes, None))
                    })?;
                }
                Segment::Scanlines { .. } => {
                    let fields = file.fields_of(segment).unwrap_or_default();
                    elements::scanlines(entry, fields, &mut kept, blocks, &mut |bytes| out.piece(Piece::Bytes(bytes, None)))?;
                }
                Segment::Chunk { variable, index, length, skipped } => {
                    let variable = &file.variables[*variable as usize];
                    let plain = kept.chunk(entry, variable, *index, blocks)?;
                    out.chunk(variable, plain, (*length, *skipped))?;
                }
            }
            at += file.segment_len(segment).unwrap_or(0);
            if inside == 1 {
                out.close()?;
            }
            inside = inside.saturating_sub(1);
        }
        out.finish()?;
        let mut in_chunks = file.variables.iter().filter(|variable| variable.chunks.is_some());
        in_chunks.try_for_each(|variable| elements::check_chunked(self, variable).map_err(|e| e.in_variable(&variable.name)))
    }

    /// A file's content to `out`, holes as zeros, its hash compared at the end. Gives its size.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if the archive is damaged there; `out` may have got a part of the content.
    pub fn write_file(&self, path: &[u8], out: &mut dyn io::Write) -> Result<u64> {
        let entry = self.file_entry(path)?;
        let Body::File(file) = &entry.body else { return Ok(0) };
        let write = |e| Error::io("cannot write the content", e);
        let mut hasher = blake3::Hasher::new();
        let zeros = [0; 64 << 10];
        self.content(&entry, file, &mut Direct::new(self), &mut |piece| match piece {
            Piece::Bytes(bytes, _) => {
                hasher.update(bytes);
                out.write_all(bytes).map_err(write)
            }
            Piece::Hole(mut length) => {
                while length > 0 {
                    let len = length.min(zeros.len() as u64);
                    out.write_all(&zeros[..len as usize]).map_err(write)?;
                    length -= len;
                }
                Ok(())
            }
        })
        .and_then(|()| check_hash(file, &hasher))
        .map_err(|e| e.in_entry(path))?;
        Ok(file.size)
    }

    /// Decodes a file's content and gives its BLAKE3 hash, holes not counted, which is found to be
    /// the recorded one.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if the archive is damaged there.
    pub fn hash_file(&self, path: &[u8]) -> Result<Hash> {
        let entry = self.file_entry(path)?;
        let Body::File(file) = &entry.body else { return Err(Error::new(Kind::Differs, "entry is no file").in_entry(path)) };
        self.hash_content(&entry, file, &mut Direct::new(self)).map_err(|e| e.in_entry(path))
    }

    /// BLAKE3 of a file's content, compared with the recorded one if there is one.
    fn hash_content(&self, entry: &Entry, file: &FileBody, blocks: &mut dyn BlockSource) -> Result<Hash> {
        let mut hasher = blake3::Hasher::new();
        self.content(entry, file, blocks, &mut |piece| {
            if let Piece::Bytes(bytes, _) = piece {
                hasher.update(bytes);
            }
            Ok(())
        })?;
        check_hash(file, &hasher)?;
        Ok(*hasher.finalize().as_bytes())
    }

    /// The hashes of a file of this archive: the recorded ones or, where a block proves the content
    /// in their place, that of the content.
    pub(crate) fn hashes_from(&self, entry: &Entry, file: &FileBody, blocks: &mut dyn BlockSource) -> Result<FileHashes> {
        match file.hashes {
            Some(hashes) => Ok(hashes),
            None => self.hash_content(entry, file, blocks).map(FileHashes::of),
        }
    }

    /// The hashes of a file's content, for `entry` of this archive. Decodes a block where they are
    /// not recorded, because that block's hash proves the content.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if the archive is damaged there.
    pub fn hashes(&self, entry: &Entry) -> Result<Option<FileHashes>> {
        match &entry.body {
            Body::File(file) => self.hashes_from(entry, file, &mut Direct::new(self)).map(Some).map_err(|e| e.in_entry(&entry.path)),
            _ => Ok(None),
        }
    }

    /// A file's whole content.
    ///
    /// # Errors
    /// As [`Archive::write_file`], and [`Kind::Limit`] if its holes would take more than 1 GiB.
    pub fn read_file(&self, path: &[u8]) -> Result<Vec<u8>> {
        let entry = self.file_entry(path)?;
        let Body::File(file) = &entry.body else { return Ok(Vec::new()) };
        // What blocks hold is there; holes are only said to be.
        let hole = |segment: &Segment| if let Segment::Hole { length } = segment { *length } else { 0 };
        if file.segments.iter().map(hole).fold(0, u64::saturating_add) > MAX_HOLES {
            return Err(Error::new(Kind::Limit, "the file's holes are too large for memory").in_entry(path).advise("unpack it instead"));
        }
        let mut bytes = Vec::new();
        self.write_file(path, &mut bytes)?;
        Ok(bytes)
    }

    /// The entry of a file; of the file it is another name of, if it is a hard link.
    pub(crate) fn file_entry(&self, path: &[u8]) -> Result<Entry> {
        let missing = |what: &str| Error::new(Kind::Differs, what).in_entry(path);
        let entry = self.entry(path)?.ok_or_else(|| missing("no such entry").advise("errbar list shows what is there"))?;
        match &entry.body {
            Body::File(_) => Ok(entry),
            Body::HardLink { target } => match self.entry(target)? {
                Some(target) if matches!(target.body, Body::File(_)) => Ok(target),
                _ => Err(missing("hard link's target is not there")),
            },
            _ => Err(missing("entry is no file")),
        }
    }
}

/// Compares a file's restored hash, if it has one: without one its block's was compared.
pub(crate) fn check_hash(file: &FileBody, hasher: &blake3::Hasher) -> Result<()> {
    match file.hashes {
        None => Ok(()),
        Some(hashes) if *hasher.finalize().as_bytes() == hashes.restored => Ok(()),
        Some(_) => Err(Error::corrupt("EB-E06", "restored content does not match its hash")),
    }
}

/// Decodes blocks where they are asked for; keeps the last one.
pub(crate) struct Direct<'a> {
    archive: &'a Archive,
    last: Option<(u64, Arc<Decoded>)>,
}

impl<'a> Direct<'a> {
    pub(crate) fn new(archive: &'a Archive) -> Direct<'a> {
        Direct { archive, last: archive.inner.last_shared() }
    }
}

impl BlockSource for Direct<'_> {
    fn decoded(&mut self, number: u64) -> Result<Arc<Decoded>> {
        if let Some((_, decoded)) = self.last.as_ref().filter(|(last, _)| *last == number) {
            return Ok(Arc::clone(decoded));
        }
        let decoded = Arc::new(self.archive.decoded(number)?);
        self.last = Some((number, Arc::clone(&decoded)));
        if decoded.block.place == BlockPlace::Shared && decoded.bytes.len() <= KEPT_SHARED {
            self.archive.inner.keep_shared(number, &decoded);
        }
        Ok(decoded)
    }
}
