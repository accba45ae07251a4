//! Entries, blocks and arrays for the vectors: sound ones, to be broken one thing at a time.

use errbar_format::record::{
    Attributes, Block, BlockPlace, Body, Entry, FileBody, FileHashes, PipelineRecord, RECORD_VERSION, Receipt, Segment, StageRecord,
    Variable,
};
use errbar_format::{DType, dtype};

use crate::builder::{Builder, hash};

/// A stage of version 1.
pub fn stage(name: &str, params: &[u8]) -> StageRecord {
    StageRecord { name: name.into(), version: 1, params: params.into() }
}

/// A pipeline of stages without parameters.
pub fn pipeline(quantizer: &str, transforms: &[&str], coder: &str) -> PipelineRecord {
    PipelineRecord {
        quantizer: stage(quantizer, &[]),
        transforms: transforms.iter().map(|name| stage(name, &[])).collect(),
        coder: stage(coder, &[]),
    }
}

/// The record of a stored block of `bytes`.
pub fn stored(number: u64, place: BlockPlace, dtype: DType, shape: &[u64], bytes: &[u8]) -> Block {
    Block {
        version: RECORD_VERSION,
        number,
        place,
        dtype,
        big_endian: false,
        shape: shape.into(),
        pipeline: pipeline("none", &[], "store"),
        exact_len: 0,
        receipt: None,
        decoded_hash: hash(bytes),
        extensions: Vec::new(),
    }
}

/// The record of a stored run of bytes of one entry.
pub fn run_block(number: u64, path: &str, offset: u64, bytes: &[u8]) -> Block {
    let place = BlockPlace::Run { path: path.into(), offset };
    stored(number, place, DType::Bytes, &[bytes.len() as u64], bytes)
}

/// What the file system says of an ordinary file.
pub fn attributes() -> Attributes {
    Attributes { mode: 0o644, mtime_s: 1_700_000_000, ..Attributes::default() }
}

/// An entry with ordinary attributes; hard links have none.
pub fn entry(path: impl AsRef<[u8]>, body: Body) -> Entry {
    let mode = if matches!(body, Body::Directory) { 0o755 } else { 0o644 };
    let attributes = (!matches!(body, Body::HardLink { .. })).then(|| Attributes { mode, ..attributes() });
    Entry { path: path.as_ref().to_vec(), body, attributes, extensions: Vec::new() }
}

/// A folder.
pub fn directory(path: &str) -> Entry {
    entry(path, Body::Directory)
}

/// A symbolic link.
pub fn symlink(path: &str, target: impl AsRef<[u8]>) -> Entry {
    entry(path, Body::Symlink { target: target.as_ref().to_vec() })
}

/// A hard link.
pub fn hard_link(path: &str, target: &str) -> Entry {
    entry(path, Body::HardLink { target: target.into() })
}

/// A regular file whose content outside holes is `content`.
pub fn file(path: impl AsRef<[u8]>, segments: Vec<Segment>, variables: Vec<Variable>, content: &[u8]) -> Entry {
    let mut body = FileBody { size: 0, segments, variables, hashes: Some(FileHashes::of(hash(content))), same_as: None };
    let len = |(segment, at): (&Segment, Option<u64>)| at.and_then(|_| body.segment_len(segment)).unwrap_or(0);
    body.size = body.placed().map(len).fold(0, u64::wrapping_add);
    entry(path, Body::File(body))
}

/// A regular file whose content stands in its entry.
pub fn inline(path: impl AsRef<[u8]>, content: &[u8]) -> Entry {
    file(path, vec![Segment::Inline(content.into())], Vec::new(), content)
}

/// The body of a file's entry.
pub fn body_mut(entry: &mut Entry) -> &mut FileBody {
    match &mut entry.body {
        Body::File(file) => file,
        _ => unreachable!("the vector made a file"),
    }
}

/// The hashes in a file's entry.
pub fn hashes_mut(entry: &mut Entry) -> &mut FileHashes {
    body_mut(entry).hashes.as_mut().expect("the vector gave it hashes")
}

impl Builder {
    /// Writes a file as one stored run of bytes.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        let entry = self.file_entry(path, content);
        self.entry(entry);
    }

    /// Writes a file's block only; gives its entry.
    pub fn file_entry(&mut self, path: &str, content: &[u8]) -> Entry {
        let number = self.next_block();
        self.block(&run_block(number, path, 0, content), content);
        let length = content.len() as u64;
        file(path, vec![Segment::Run { first_block: number, block_len: length, length }], Vec::new(), content)
    }
}

/// An array to be stored as a variable.
#[derive(Clone)]
pub struct Array {
    /// Path of its entry; the variable itself is nameless.
    pub path: String,
    /// Type of an element.
    pub dtype: DType,
    /// Whether the bytes are big-endian.
    pub big_endian: bool,
    /// Whether the file's own readers see the dimensions the other way round.
    pub column_major: bool,
    /// Extent, in storage order.
    pub shape: Vec<u64>,
    /// Extent of a block.
    pub block_shape: Vec<u64>,
    /// The elements, in storage order.
    pub bytes: Vec<u8>,
}

/// A block's way into the archive, found by whoever codes it.
pub struct Coded {
    /// Its stages.
    pub pipeline: PipelineRecord,
    /// The coder's bytes, then the exact values.
    pub payload: Vec<u8>,
    /// Bytes of the exact values.
    pub exact_len: u64,
    /// What was lost.
    pub receipt: Option<Receipt>,
    /// What decoding gives, in the entry's byte order.
    pub decoded: Vec<u8>,
}

impl Array {
    /// A little-endian array in one block.
    pub fn new(path: &str, dtype: DType, shape: &[u64], bytes: Vec<u8>) -> Array {
        let block_shape = shape.iter().map(|&dim| dim.max(1)).collect();
        Array { path: path.into(), dtype, big_endian: false, column_major: false, shape: shape.into(), block_shape, bytes }
    }

    /// The same bytes, taken as big-endian.
    #[must_use]
    pub fn big_endian(self) -> Array {
        Array { big_endian: true, ..self }
    }

    /// The variable's record, its first block being `first_block`.
    pub fn variable(&self, first_block: u64) -> Variable {
        Variable {
            name: String::new(),
            dtype: self.dtype,
            big_endian: self.big_endian,
            column_major: self.column_major,
            shape: self.shape.clone(),
            block_shape: self.block_shape.clone(),
            first_block,
            block_step: 1,
            inline: Vec::new(),
            part: None,
            chunks: None,
            receipt: None,
        }
    }
}

/// Calls `each` with the offset of every run of elements of a box that lie side by side, and
/// their number.
fn runs(shape: &[u64], origin: &[u64], extent: &[u64], each: &mut dyn FnMut(usize, usize)) {
    let n = dtype::n_elements(extent).unwrap_or(0);
    let row = extent.last().copied().unwrap_or(1);
    for i in (0..n).step_by(row.max(1) as usize) {
        let (mut rest, mut offset, mut stride) = (i, 0, 1);
        for axis in (0..shape.len()).rev() {
            offset += (origin[axis] + rest % extent[axis]) * stride;
            rest /= extent[axis];
            stride *= shape[axis];
        }
        each(offset as usize, row as usize);
    }
}

impl Builder {
    /// Writes a file that is one array, each block coded by `code`; gives the entry.
    pub fn array_entry(&mut self, array: &Array, mut code: impl FnMut(&[u64], &[u8]) -> Coded) -> Entry {
        let mut variable = array.variable(self.next_block());
        let item = array.dtype.size();
        let mut restored = array.bytes.clone();
        let mut words = 0;
        for k in 0..variable.n_blocks().unwrap_or(0) {
            let (origin, extent) = variable.block_box(k);
            let mut bytes = Vec::new();
            runs(&array.shape, &origin, &extent, &mut |at, n| bytes.extend_from_slice(&array.bytes[at * item..][..n * item]));
            let coded = code(&extent, &bytes);
            let place = BlockPlace::Box { path: array.path.clone().into(), variable: String::new(), origin: origin.clone() };
            let block = Block {
                big_endian: array.big_endian,
                pipeline: coded.pipeline,
                exact_len: coded.exact_len,
                receipt: coded.receipt.clone(),
                ..stored(self.next_block(), place, array.dtype, &extent, &coded.decoded)
            };
            self.block(&block, &coded.payload);
            let mut from = 0;
            runs(&array.shape, &origin, &extent, &mut |at, n| {
                restored[at * item..][..n * item].copy_from_slice(&coded.decoded[from..][..n * item]);
                from += n * item;
            });
            if let Some(receipt) = coded.receipt {
                variable.receipt = Some(match variable.receipt {
                    Some(sum) => errbar_codec::check::join(&sum, &receipt, words),
                    None => receipt,
                });
            }
            words += (coded.decoded.len() / array.dtype.word()) as u64;
        }
        let mut entry = file(&array.path, vec![Segment::Variable { index: 0 }], vec![variable], &restored);
        hashes_mut(&mut entry).original = hash(&array.bytes);
        entry
    }

    /// Writes a file that is one array, stored.
    pub fn array(&mut self, array: &Array) {
        let entry = self.array_entry(array, |_, bytes| Coded {
            // Stored words are little-endian whatever the entry's order.
            payload: swapped(array.dtype, array.big_endian, bytes),
            pipeline: pipeline("none", &[], "store"),
            exact_len: 0,
            receipt: None,
            decoded: bytes.to_vec(),
        });
        self.entry(entry);
    }
}

/// Elements in the other byte order, if they are big-endian.
pub fn swapped(dtype: DType, big_endian: bool, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if big_endian {
        bytes.chunks_exact_mut(dtype.word()).for_each(<[u8]>::reverse);
    }
    bytes
}
