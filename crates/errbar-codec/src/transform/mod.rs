//! Codes to codes, reversibly: they change what a coder sees and lose nothing.

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
