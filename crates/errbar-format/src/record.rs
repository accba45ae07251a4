//! The records: what each kind of frame says about itself.
//!
//! Serialized with bincode's `standard` configuration: integers, lengths and variant numbers take
//! one byte up to 250, else a byte that says how many follow; one byte for `u8`, `bool` and
//! `Option`. A block may be a few kilobytes small, so its record must not be half a kilobyte.
//! TAIL, which is found by its size, and references to pages, which stand in it, have integers of
//! full width. The specification states the bytes field by field, so no other reader needs bincode.
//! Fields are never reordered.

use bincode::error::DecodeError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::limits::MAX_PAGE;
use crate::{DType, Error, Hash, Result};

mod bound;
mod check;
mod chunks;
mod full_width;
mod lines;
mod segment;

pub use bound::{Bound, Limit, Receipt};
pub use chunks::{Chunks, Filter, Raster};
pub use lines::{Cell, Pad, Print};
pub use segment::{Deflate, Maker, Piece, Segment};

/// Features that a reader must know to read an archive. An unknown bit means: unsupported.
pub mod feature {
    /// A bound was asked for when the archive was packed: values may differ from the originals.
    pub const LOSSY: u64 = 1;
    /// Every bit this crate knows.
    pub const KNOWN: u64 = LOSSY;
    /// Every bit with its name.
    pub const ALL: &[(u64, &str)] = &[(LOSSY, "LOSSY")];
}

/// Tags of extensions that this crate knows.
pub mod extension {
    /// In an entry: why variables have their stages, a list of [`Choice`](super::Choice).
    pub const CHOICES: &str = "choices";
    /// Every tag with the record that it stands in.
    pub const ALL: &[(&str, &str)] = &[(CHOICES, "Entry")];
}

/// The version that every record of this edition begins with.
pub const RECORD_VERSION: u16 = 1;

/// A later version's addition to a record. Unknown tags are skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Registered name of the addition.
    pub tag: String,
    /// Its content.
    pub data: Vec<u8>,
}

/// HEAD: what must be known before anything else is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`RECORD_VERSION`].
    pub version: u16,
    /// Format edition, for reporting only. Bytes, because TAIL repeats it.
    pub format: (u8, u8),
    /// Bits of [`feature`] without which the archive cannot be read.
    pub required_features: u64,
    /// Bits that a reader may ignore.
    pub optional_features: u64,
    /// A hash of the packing options and of the tree's names, sizes and times.
    pub archive_id: Hash,
    /// Later additions.
    pub extensions: Vec<Extension>,
}

/// META: provenance and options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// [`RECORD_VERSION`].
    pub version: u16,
    /// Program and version that packed.
    pub writer: String,
    /// `fast`, `balanced` or `small`.
    pub mode: String,
    /// The bounds asked for, one rule a line; empty when everything is exact.
    pub policy: String,
    /// What the user said of the data, in the order given.
    pub items: Vec<(String, String)>,
    /// Later additions.
    pub extensions: Vec<Extension>,
}

/// Where a block's decoded bytes belong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockPlace {
    /// Parts of several entries, which name this block.
    Shared,
    /// A run of bytes of one entry.
    Run {
        /// The entry.
        path: PathBytes,
        /// First byte in the entry's content.
        offset: u64,
    },
    /// A box of one variable; its extent is the block's shape.
    Box {
        /// The entry.
        path: PathBytes,
        /// The variable's name.
        variable: String,
        /// First index along each dimension, in storage order.
        origin: Vec<u64>,
    },
}

/// A stage as a record names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Registered name, such as `lorenzo` or `example.org/negate`.
    pub name: String,
    /// Version of the stage's bytes.
    pub version: u16,
    /// The stage's parameters, in its own layout.
    pub params: Vec<u8>,
}

/// One quantizer, transforms in the order of encoding, one coder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRecord {
    /// What may be lost.
    pub quantizer: StageRecord,
    /// Reversible steps.
    pub transforms: Vec<StageRecord>,
    /// Codes to bytes.
    pub coder: StageRecord,
}

/// BLOCK: all that is needed to decode a block and to place it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// [`RECORD_VERSION`].
    pub version: u16,
    /// Position among the archive's blocks, from 0.
    pub number: u64,
    /// Where it belongs.
    pub place: BlockPlace,
    /// Type of an element.
    pub dtype: DType,
    /// Whether the elements' bytes are big-endian in the entry.
    pub big_endian: bool,
    /// Extent along each dimension, in storage order.
    pub shape: Vec<u64>,
    /// The stages.
    pub pipeline: PipelineRecord,
    /// Bytes at the end of the payload that hold the exact values (0: none).
    pub exact_len: u64,
    /// What was lost, or nothing if nothing could be.
    pub receipt: Option<Receipt>,
    /// BLAKE3 of the decoded bytes.
    pub decoded_hash: Hash,
    /// Later additions.
    pub extensions: Vec<Extension>,
}

/// ENTRIES and INDEX pages: how to read the payload, a zstd frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRecord {
    /// [`RECORD_VERSION`].
    pub version: u16,
    /// What the page lists.
    pub content: PageContent,
    /// Items in it.
    pub count: u64,
    /// Bytes the payload decodes to.
    pub decoded_len: u64,
    /// Later additions.
    pub extensions: Vec<Extension>,
}

/// What a page lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageContent {
    /// Entries, in path order.
    Entries,
    /// Where blocks are, in the order of their numbers.
    Blocks,
    /// Pages one level down, in key order; `level` counts from 1 above the leaves.
    Pages {
        /// Height above the leaves.
        level: u8,
    },
}

/// DOCUMENT: a text for people, payload a zstd frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// [`RECORD_VERSION`].
    pub version: u16,
    /// File name.
    pub name: String,
    /// Bytes the payload decodes to.
    pub decoded_len: u64,
    /// Later additions.
    pub extensions: Vec<Extension>,
}

/// Where a page is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// Byte offset of its frame in the archive.
    #[serde(with = "full_width")]
    pub offset: u64,
    /// Bytes of its frame; 0 when there is no such page.
    #[serde(with = "full_width")]
    pub frame_len: u64,
    /// BLAKE3 of its record's bytes followed by its payload's.
    pub hash: Hash,
}

/// TAIL: where the index is. Its size never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// [`RECORD_VERSION`].
    pub version: u16,
    /// As in [`Head`].
    pub format: (u8, u8),
    /// As in [`Head`].
    #[serde(with = "full_width")]
    pub required_features: u64,
    /// As in [`Head`].
    #[serde(with = "full_width")]
    pub optional_features: u64,
    /// As in [`Head`].
    pub archive_id: Hash,
    /// Entries in the archive.
    #[serde(with = "full_width")]
    pub n_entries: u64,
    /// Blocks in the archive.
    #[serde(with = "full_width")]
    pub n_blocks: u64,
    /// Bytes before the first page of the index.
    #[serde(with = "full_width")]
    pub index_offset: u64,
    /// Root of the tree of entries.
    pub entries: PageRef,
    /// Root of the tree of blocks.
    pub blocks: PageRef,
    /// The second copy of META.
    pub meta: PageRef,
}

/// A path as bytes; not every path is text.
pub type PathBytes = Vec<u8>;

/// One file, folder or link of the packed tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path, see [`crate::path`].
    pub path: PathBytes,
    /// What it is.
    pub body: Body,
    /// What the file system said of it. Hard links have none of their own.
    pub attributes: Option<Attributes>,
    /// Later additions.
    pub extensions: Vec<Extension>,
}

impl Entry {
    /// The path that the places of its blocks have.
    pub fn path_of_blocks(&self) -> &[u8] {
        match &self.body {
            Body::File(FileBody { same_as: Some(path), .. }) => path,
            _ => &self.path,
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A regular file.
    File(FileBody),
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points, as it stood.
        target: PathBytes,
    },
    /// Another name of a file in the same archive.
    HardLink {
        /// Path of an entry that is a file.
        target: PathBytes,
    },
}

/// A regular file's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileBody {
    /// Bytes; the lengths of the segments add up to it.
    pub size: u64,
    /// The content, piece by piece, without gap or overlap.
    pub segments: Vec<Segment>,
    /// The arrays found in it.
    pub variables: Vec<Variable>,
    /// What proves the content; nothing where that is one part of a shared block, whose own hash
    /// proves it.
    pub hashes: Option<FileHashes>,
    /// An earlier file with the same content, whose path the places of its blocks have in the place of its
    /// own.
    pub same_as: Option<PathBytes>,
}

/// Hashes of a file's content, holes not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHashes {
    /// BLAKE3 of the original content.
    pub original: Hash,
    /// BLAKE3 of the content that unpacking gives; equal to the original's when nothing was lost.
    pub restored: Hash,
}

/// A place in a shared block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRef {
    /// The block's number.
    pub block: u64,
    /// First byte in its decoded bytes.
    pub offset: u64,
}

/// An array found inside a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name in the file; empty where the file holds one nameless array.
    pub name: String,
    /// Type of an element.
    pub dtype: DType,
    /// Whether the elements' bytes are big-endian in the file.
    pub big_endian: bool,
    /// Whether the first index varies fastest in the file (Fortran order).
    pub column_major: bool,
    /// Extent along each dimension, in storage order: slowest-varying first.
    pub shape: Vec<u64>,
    /// Extent of a block along each dimension; blocks at the far faces are cut.
    pub block_shape: Vec<u64>,
    /// Number of the first block.
    pub first_block: u64,
    /// From each block's number to that of the next one, in C order of the grid.
    pub block_step: u64,
    /// All elements, where they are so few that they stand here and in no block.
    pub inline: Vec<u8>,
    /// Where all elements stand in a shared block, if they do and in no block of their own.
    pub part: Option<PartRef>,
    /// How it is stored in chunks; nothing where it stands in one piece or in records.
    pub chunks: Option<Chunks>,
    /// The receipts of its blocks in one, or nothing if nothing could be lost.
    pub receipt: Option<Receipt>,
}

/// Why a block of a variable has its stages: what else there was. For people; nothing is decided
/// by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The variable's position in [`FileBody::variables`].
    pub variable: u32,
    /// Number of the variable's first block for which there was a choice.
    pub block: u64,
    /// The stages of the runner-up in words, such as `uniform linear crans`.
    pub over: String,
    /// The share of the runner-up's bytes that the block's own stages save, estimated from samples.
    pub saved: f64,
}

/// What the file system says of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits, 07777.
    pub mode: u32,
    /// Modification time: seconds since 1970-01-01T00:00:00Z.
    pub mtime_s: i64,
    /// Modification time: nanoseconds below a second.
    pub mtime_ns: u32,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Owner's name, or empty.
    pub user: String,
    /// Group's name, or empty.
    pub group: String,
    /// Extended attributes (POSIX ACLs among them), in the order of their names.
    pub xattrs: Vec<(PathBytes, Vec<u8>)>,
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRef {
    /// Byte offset of its frame in the archive.
    pub offset: u64,
    /// Bytes of its frame.
    pub frame_len: u64,
    /// Bytes it decodes to.
    pub decoded_len: u64,
    /// BLAKE3 of these bytes.
    pub decoded_hash: Hash,
}

impl FileHashes {
    /// Of a file that is restored as it was.
    pub fn of(hash: Hash) -> FileHashes {
        FileHashes { original: hash, restored: hash }
    }
}

impl Entry {
    /// Adds why its variables have their stages.
    ///
    /// # Errors
    /// As [`encode`].
    pub fn add_choices(&mut self, choices: &[Choice]) -> Result<()> {
        if !choices.is_empty() {
            self.extensions.push(Extension { tag: extension::CHOICES.into(), data: encode(&choices)? });
        }
        Ok(())
    }

    /// Why its variables have their stages; nothing where that is not said, or not in a form that
    /// can be read.
    pub fn choices(&self) -> Vec<Choice> {
        let said = self.extensions.iter().find(|extension| extension.tag == extension::CHOICES);
        let read =
            said.and_then(|extension| decode_first::<Vec<Choice>>(&extension.data).ok().filter(|(_, len)| *len == extension.data.len()));
        read.map(|(choices, _)| choices).unwrap_or_default()
    }
}

impl Tail {
    /// Bytes of its record: version, edition, features, id, numbers, three references.
    pub const LEN: usize = 1 + 2 + 2 * 8 + 32 + 3 * 8 + 3 * (2 * 8 + 32);
}

/// A page below another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildPage {
    /// Smallest key below: a path, or a block number as eight big-endian bytes.
    pub key: PathBytes,
    /// Where it is.
    pub page: PageRef,
}

type Config = bincode::config::Configuration<bincode::config::LittleEndian, bincode::config::Varint, bincode::config::Limit<MAX_LEN>>;

/// Bytes that a record or an item of a page takes at most, each integer counted at its full width.
/// bincode counts so when it reads, and the memory of typed values follows their widths: a list of
/// small integers must not ask for eight times the memory that its bytes suggest.
const MAX_LEN: usize = MAX_PAGE as usize;

fn config() -> Config {
    bincode::config::standard().with_limit()
}

/// The bytes of a record.
///
/// # Errors
/// [`crate::Kind::Limit`] if the record is larger than 16 MiB, each integer counted at its full
/// width (EB-R02).
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let unwritable = |e| Error::limit("EB-R02", format!("record cannot be written: {e}"));
    let bytes = bincode::serde::encode_to_vec(value, config()).map_err(unwritable)?;
    // The limit in `config` holds for reading alone. No integer takes less than an eighth of its
    // full width, so most records need not be counted.
    if bytes.len() > MAX_LEN / 8 {
        let len = bincode::serde::encode_to_vec(value, config().with_fixed_int_encoding()).map_err(unwritable)?.len();
        if len > MAX_LEN {
            return Err(Error::limit("EB-R02", format!("record takes {len} bytes")));
        }
    }
    Ok(bytes)
}

/// The record of a frame in `bytes`, which it must fill and be the only spelling of.
///
/// # Errors
/// [`crate::Kind::Unsupported`] for a version that is not [`RECORD_VERSION`] (EB-R03),
/// [`crate::Kind::Limit`] for a record that is too large (EB-R02), [`crate::Kind::Corrupt`]
/// otherwise (EB-R01).
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // First: a later version may have another layout.
    check_version(decode_first(bytes)?.0)?;
    let (value, consumed) = decode_first(bytes)?;
    match bytes.len() - consumed {
        0 => Ok(value),
        rest => Err(Error::corrupt("EB-R01", format!("{rest} bytes follow the record"))),
    }
}

/// The record at the start of `bytes`, and its length. Others may follow it.
///
/// # Errors
/// As [`decode`].
pub fn decode_first<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize)> {
    let corrupt = |what: String| Error::corrupt("EB-R01", what);
    let (value, consumed) = bincode::serde::decode_from_slice::<T, _>(bytes, config()).map_err(|e| match e {
        // Fewer bytes cannot exceed it: there it is a text that ends behind them.
        DecodeError::LimitExceeded if bytes.len() > MAX_LEN / 8 => Error::limit("EB-R02", "record needs more than 16 MiB"),
        e => corrupt(format!("record cannot be read: {e}")),
    })?;
    if encode(&value)? != bytes[..consumed] {
        return Err(corrupt("record is not in canonical form".into()));
    }
    Ok((value, consumed))
}

/// Checks a record's version (EB-R03).
///
/// # Errors
/// [`crate::Kind::Unsupported`] for any but [`RECORD_VERSION`].
fn check_version(version: u16) -> Result<()> {
    match version {
        RECORD_VERSION => Ok(()),
        _ => Err(Error::unsupported("EB-R03", format!("needs a reader for record version {version}"))),
    }
}

/// Checks the features that an archive needs (EB-H01).
///
/// # Errors
/// [`crate::Kind::Unsupported`] for unknown bits.
pub fn check_features(required: u64) -> Result<()> {
    match required & !feature::KNOWN {
        0 => Ok(()),
        unknown => Err(Error::unsupported("EB-H01", format!("needs features {unknown:#x}, which this reader does not have"))),
    }
}

#[cfg(test)]
mod tests;
