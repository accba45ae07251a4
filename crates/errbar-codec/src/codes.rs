//! Codes: what flows between stages. Unsigned words of one width, with the geometry they have.

use std::borrow::Cow;
use std::sync::Arc;

use errbar_format::dtype::n_elements;
use errbar_format::limits::MAX_BLOCK;
use errbar_format::{Error, Result};

/// How the words of a grid follow each other, and which of them say nothing. The default: in C
/// order, and all of them count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// For every level of a grid that is taken apart by [parity classes](crate::polyphase), finest
    /// first: the dimensions that it halves, a bit each. The words stand level by level, coarsest
    /// first. Empty: C order.
    pub levels: Vec<u8>,
    /// Words that are zero and need not be written, in the order of the words.
    pub absent: Option<Arc<[bool]>>,
    /// Words that repeat an earlier one; they are absent too.
    pub repeats: Option<Arc<Repeats>>,
}

/// Which words are equal to which of those before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    /// How many words before each word the one stands that it repeats; 0 if it repeats none.
    pub back: Vec<u32>,
}

impl Repeats {
    /// Where the word stands that the one at a place repeats.
    #[inline(always)]
    pub fn source(&self, at: usize) -> Option<usize> {
        let back = self.back.get(at).copied().filter(|&back| back > 0)?;
        at.checked_sub(back as usize)
    }
}

/// Width and geometry of a list of codes, known before a single code is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a word: 1, 2, 4 or 8.
    pub width: usize,
    /// Extent along each dimension, in C order. No dimensions: one word.
    pub dims: Vec<usize>,
    /// Order of the words.
    pub scan: Scan,
}

impl Layout {
    /// A layout, checked against the limits.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Limit`] if the words take more than a block may (EB-B01).
    pub fn new(width: usize, dims: &[u64]) -> Result<Layout> {
        let bytes = n_elements(dims).and_then(|n| n.checked_mul(width as u64));
        match bytes {
            Some(bytes) if bytes <= MAX_BLOCK && dims.iter().all(|&d| d <= u64::from(u32::MAX)) => {
                Ok(Layout::plain(width, dims.iter().map(|&d| d as usize).collect()))
            }
            _ => Err(Error::limit("EB-B01", format!("shape {dims:?} of {width}-byte words exceeds a block"))),
        }
    }

    /// Words in C order that all count; unchecked.
    pub fn plain(width: usize, dims: Vec<usize>) -> Layout {
        Layout { width, dims, scan: Scan::default() }
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        // Extents beside a zero may be of any size.
        if self.dims.contains(&0) { 0 } else { self.dims.iter().product() }
    }

    /// Whether there are no words.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all words.
    pub fn bytes(&self) -> usize {
        self.len() * self.width
    }

    /// The same without an order of the words: what is left when a stage mixes them.
    #[must_use]
    pub fn flat(&self) -> Layout {
        Layout::plain(self.width, self.dims.clone())
    }

    /// Codes of this layout; the caller answers for their number and width.
    pub fn codes(&self, words: Words) -> Codes {
        Codes { dims: self.dims.clone(), scan: self.scan.clone(), words }
    }
}

/// The words themselves, no wider than needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// One byte each.
    U8(Vec<u8>),
    /// Two bytes each.
    U16(Vec<u16>),
    /// Four bytes each.
    U32(Vec<u32>),
    /// Eight bytes each.
    U64(Vec<u64>),
}

/// Runs `$body` with `$v` bound to the vector of whatever width.
#[macro_export]
macro_rules! with_words {
    ($words:expr, $v:ident => $body:expr) => {
        match $words {
            $crate::Words::U8($v) => $body,
            $crate::Words::U16($v) => $body,
            $crate::Words::U32($v) => $body,
            $crate::Words::U64($v) => $body,
        }
    };
}

/// An unsigned machine word. Stages are written once, for every width.
pub trait Word: Copy + Eq + Ord + Send + Sync + std::fmt::Debug + 'static {
    /// Bits of the word.
    const BITS: u32;
    /// Wraps a vector.
    fn wrap(words: Vec<Self>) -> Words;
    /// The word in 64 bits.
    fn to_u64(self) -> u64;
    /// The low bits of `bits`.
    fn from_u64(bits: u64) -> Self;
    /// Bits set in both.
    fn and(self, other: Self) -> Self;
    /// Bits set in either.
    fn or(self, other: Self) -> Self;
    /// Sum modulo 2^BITS.
    fn wadd(self, other: Self) -> Self;
    /// Difference modulo 2^BITS.
    fn wsub(self, other: Self) -> Self;
    /// Two's-complement value to its zigzag code: 0, -1, 1, -2 … become 0, 1, 2, 3 …
    fn zigzag(self) -> Self;
    /// Inverse of [`Word::zigzag`].
    fn unzigzag(self) -> Self;
    /// The bytes in reverse order.
    fn swap(self) -> Self;
    /// Little-endian bytes appended to `out`.
    fn put_le(words: &[Self], out: &mut Vec<u8>);
    /// Words from little-endian bytes; a rest shorter than a word is dropped.
    fn get_le(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! word {
    ($t:ty, $signed:ty, $variant:ident) => {
        impl Word for $t {
            const BITS: u32 = <$t>::BITS;
            fn wrap(words: Vec<Self>) -> Words {
                Words::$variant(words)
            }
            fn to_u64(self) -> u64 {
                u64::from(self)
            }
            fn from_u64(bits: u64) -> Self {
                bits as $t
            }
            fn and(self, other: Self) -> Self {
                self & other
            }
            fn or(self, other: Self) -> Self {
                self | other
            }
            fn wadd(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn wsub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            fn zigzag(self) -> Self {
                (self << 1) ^ (((self as $signed) >> (<$t>::BITS - 1)) as $t)
            }
            fn unzigzag(self) -> Self {
                (self >> 1) ^ (self & 1).wrapping_neg()
            }
            fn swap(self) -> Self {
                self.swap_bytes()
            }
            fn put_le(words: &[Self], out: &mut Vec<u8>) {
                // Through a few bytes that stay in the first-level cache: nothing is written twice.
                let mut run = [[0; size_of::<$t>()]; 512];
                out.reserve(size_of_val(words));
                for part in words.chunks(run.len()) {
                    let run = &mut run[..part.len()];
                    run.iter_mut().zip(part).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
                    out.extend_from_slice(run.as_flattened());
                }
            }
            fn get_le(bytes: &[u8]) -> Vec<Self> {
                let (words, _) = bytes.as_chunks();
                words.iter().map(|&w| <$t>::from_le_bytes(w)).collect()
            }
        }
    };
}

word!(u8, i8, U8);
word!(u16, i16, U16);
word!(u32, i32, U32);
word!(u64, i64, U64);

impl Words {
    /// Number of words.
    pub fn len(&self) -> usize {
        with_words!(self, v => v.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one word.
    pub fn width(&self) -> usize {
        match self {
            Words::U8(_) => 1,
            Words::U16(_) => 2,
            Words::U32(_) => 4,
            Words::U64(_) => 8,
        }
    }

    /// All words as little-endian bytes.
    pub fn to_le_bytes(&self) -> Cow<'_, [u8]> {
        if let Words::U8(bytes) = self {
            return Cow::Borrowed(bytes);
        }
        let mut bytes = Vec::new();
        with_words!(self, v => Word::put_le(v, &mut bytes));
        Cow::Owned(bytes)
    }

    /// Words of `width` bytes (1, 2, 4 or 8) from little-endian bytes; a rest shorter than a word
    /// is dropped.
    pub fn from_le_bytes<'a>(width: usize, bytes: impl Into<Cow<'a, [u8]>>) -> Words {
        let bytes = bytes.into();
        match width {
            1 => Words::U8(bytes.into_owned()),
            2 => Words::U16(Word::get_le(&bytes)),
            4 => Words::U32(Word::get_le(&bytes)),
            _ => Words::U64(Word::get_le(&bytes)),
        }
    }

    /// Reverses the bytes of every word.
    pub fn swap_bytes(&mut self) {
        with_words!(self, v => v.iter_mut().for_each(|word| *word = word.swap()));
    }
}

/// Words with their geometry: `words.len()` is the product of `dims`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// Extent along each dimension, in C order.
    pub dims: Vec<usize>,
    /// Order of the words.
    pub scan: Scan,
    /// The words.
    pub words: Words,
}

impl Codes {
    /// Words in C order that all count.
    pub fn plain(dims: Vec<usize>, words: Words) -> Codes {
        Codes { dims, scan: Scan::default(), words }
    }

    /// Their layout.
    pub fn layout(&self) -> Layout {
        Layout { width: self.words.width(), dims: self.dims.clone(), scan: self.scan.clone() }
    }

    /// Codes of `layout` from little-endian bytes.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Corrupt`] if the number of bytes is another (EB-C02).
    pub fn from_le_bytes<'a>(layout: &Layout, bytes: impl Into<Cow<'a, [u8]>>) -> Result<Codes> {
        let bytes = bytes.into();
        if bytes.len() != layout.bytes() {
            return Err(Error::corrupt("EB-C02", format!("stage gave {} bytes, expected {}", bytes.len(), layout.bytes())));
        }
        Ok(layout.codes(Words::from_le_bytes(layout.width, bytes)))
    }
}
