//! The pieces that a file's content is made of.

use serde::{Deserialize, Serialize};

use super::{Cell, Filter};
use crate::limits::{MAX_BLOCK, MAX_FILTERS};

/// A piece of a file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Segment {
    /// These bytes.
    Inline(Vec<u8>),
    /// Zeros that take no room on disk.
    Hole {
        /// Bytes.
        length: u64,
    },
    /// A part of one block.
    Part {
        /// The block's number.
        block: u64,
        /// First byte in its decoded bytes.
        offset: u64,
        /// Bytes.
        length: u64,
    },
    /// Consecutive blocks, all of one size but the last.
    Run {
        /// Number of the first block.
        first_block: u64,
        /// Decoded bytes of every block but the last.
        block_len: u64,
        /// Bytes in all.
        length: u64,
    },
    /// All elements of a variable, in storage order.
    Variable {
        /// Its position in [`FileBody::variables`](super::FileBody::variables).
        index: u32,
    },
    /// Records of equal length: of each of some variables, in order, all elements that share one
    /// index of the first dimension.
    Records {
        /// Position of the first of these variables in [`FileBody::variables`](super::FileBody::variables).
        first: u32,
        /// How many they are.
        count: u32,
    },
    /// A chunk of a variable, put through its filters.
    Chunk {
        /// The variable's position in [`FileBody::variables`](super::FileBody::variables).
        variable: u32,
        /// Position in the variable's grid of chunks, in C order.
        index: u64,
        /// Bytes that the filters make.
        length: u64,
        /// Filters that this chunk is not put through, the first at bit 0.
        skipped: u32,
    },
    /// A stream that is made again of its plain content: that of the segments that follow, which are no
    /// content of the file of their own.
    Stream {
        /// How many of the segments that follow are its plain content.
        segments: u32,
        /// What makes it.
        maker: Maker,
        /// Bytes of the stream.
        length: u64,
        /// CRC-32 of the stream: it tells a stream that another library makes otherwise from damage.
        crc: u32,
        /// Where other bytes of the file stand in the stream, front to back; what is left of it
        /// follows the last one.
        pieces: Vec<Piece>,
    },
    /// Lines of text: of each of some variables, in order, all elements that share one index of the
    /// first dimension, printed.
    Lines {
        /// Position of the first of these variables in [`FileBody::variables`](super::FileBody::variables).
        first: u32,
        /// Bytes of all lines.
        length: u64,
        /// What stands for each of them.
        cells: Vec<Cell>,
        /// What ends a line.
        end: Vec<u8>,
    },
    /// The scanlines of an image as PNG deflates them: of two variables, in order, the filter type of a
    /// scanline and its pixels, put through that filter.
    Scanlines {
        /// Position of the first of them in [`FileBody::variables`](super::FileBody::variables).
        first: u32,
    },
}

/// Bytes of a stream, and bytes of the file behind them that are none of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Bytes of the stream.
    pub length: u64,
    /// What stands behind them.
    pub behind: Vec<u8>,
}

/// What makes a stream of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Maker {
    /// zlib, a raw deflate stream (RFC 1951).
    Deflate(Deflate),
    /// Filters, one piece of the content after another.
    Filters {
        /// Bytes of each piece of the content but the last, which may have fewer.
        piece: u64,
        /// What is done to the bytes of a piece, in order.
        filters: Vec<Filter>,
        /// Whether what they make of all pieces is written as text (RFC 4648, base64).
        base64: bool,
    },
}

/// What zlib is told to make a raw deflate stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deflate {
    /// `level`, 1 to 9.
    pub level: u8,
    /// `memLevel`, 1 to 9.
    pub mem_level: u8,
    /// Base-2 logarithm of the window, 9 to 15.
    pub window_bits: u8,
    /// `strategy`, 0 to 4.
    pub strategy: u8,
}

impl Deflate {
    /// Whether zlib takes these settings for a raw stream. Level 0 is left out: how it cuts its blocks
    /// follows the sizes of buffers.
    pub fn is_possible(&self) -> bool {
        (1..=9).contains(&self.level) && (1..=9).contains(&self.mem_level) && (9..=15).contains(&self.window_bits) && self.strategy <= 4
    }
}

impl Maker {
    /// Whether it compresses, so that how long the stream is follows from the content.
    pub fn compresses(&self) -> bool {
        match self {
            Maker::Deflate(_) => true,
            Maker::Filters { filters, .. } => filters.iter().any(Filter::is_stream),
        }
    }

    /// Whether there is one with these settings (EB-E11).
    pub fn is_possible(&self) -> bool {
        match self {
            Maker::Deflate(deflate) => deflate.is_possible(),
            Maker::Filters { piece, filters, .. } => {
                (1..=MAX_BLOCK).contains(piece) && filters.len() <= MAX_FILTERS && Filter::are_possible(filters)
            }
        }
    }
}
