//! The maxima of the format. A reader refuses what exceeds them before it allocates anything.

/// Bytes in a record.
pub const MAX_RECORD: u32 = 1 << 20;
/// Bytes in a frame's payload.
pub const MAX_PAYLOAD: u64 = MAX_BLOCK + (1 << 20);
/// Bytes that a block decodes to.
pub const MAX_BLOCK: u64 = 64 << 20;
/// Bytes that a page of entries or of the index decodes to.
pub const MAX_PAGE: u64 = 16 << 20;
/// Bytes after which a writer starts a new page.
pub const PAGE_TARGET: usize = 48 << 10;
/// Bytes in a path.
pub const MAX_PATH: usize = 65_535;
/// Dimensions of a variable.
pub const MAX_DIMS: usize = 8;
/// Bounds in a receipt.
pub const MAX_BOUNDS: usize = 16;
/// Transforms in a pipeline.
pub const MAX_TRANSFORMS: usize = 6;
/// Filters of a variable's chunks.
pub const MAX_FILTERS: usize = 8;
/// Bytes of the blocks that a reader must hold together to give a file in order.
pub const MAX_ROWS: u64 = 128 << 20;
/// Bytes in a stage's parameters.
pub const MAX_PARAMS: usize = 256 << 10;
/// Bytes in the name of a stage, a variable, a document or an attribute.
pub const MAX_NAME: usize = 255;
/// Bytes stored in an inline segment.
pub const MAX_INLINE: usize = 512;
/// Digits behind the point of a printed number.
pub const MAX_DIGITS: u8 = 30;
/// Bytes of all texts of a field of lines.
pub const MAX_TEXTS: usize = 65_536;
/// Levels of an index tree.
pub const MAX_LEVEL: u8 = 8;
/// Bytes in an embedded document.
pub const MAX_DOCUMENT: u64 = 16 << 20;
