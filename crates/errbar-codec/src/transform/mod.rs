//! Codes to codes, reversible for every input.

mod bitshuffle;
mod delta;
mod lorenzo;
mod order;
mod shuffle;

pub use bitshuffle::BitShuffle;
pub use delta::Delta;
pub use lorenzo::Lorenzo;
pub use order::Order;
pub use shuffle::Shuffle;

use errbar_format::Result;

use crate::stage::no_params;
use crate::{Codes, Layout};

/// The layout of a transform that changes none and takes no parameters.
fn same(input: &Layout, params: &[u8]) -> Result<Layout> {
    no_params(params).map(|()| input.clone())
}

/// The layout of a transform that gives plain bytes and takes no parameters.
fn bytes(input: &Layout, params: &[u8]) -> Result<Layout> {
    no_params(params).map(|()| Layout { width: 1, dims: vec![input.bytes()] })
}

/// Codes whose words are replaced one by one.
fn map<W: crate::codes::Word>(words: &mut [W], f: impl Fn(W) -> W) {
    words.iter_mut().for_each(|word| *word = f(*word));
}

/// The bytes in codes of one dimension and one byte a word.
fn into_bytes(codes: Codes) -> Vec<u8> {
    match codes.words {
        crate::Words::U8(bytes) => bytes,
        words => words.to_le_bytes(),
    }
}
