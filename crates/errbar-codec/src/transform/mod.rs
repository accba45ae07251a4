//! Codes to codes, reversibly: they change what a coder sees and lose nothing.

mod bitshuffle;
mod delta;
mod linear;
mod lorenzo;
mod med;
mod repeat;
mod rotate;
mod shuffle;

pub use bitshuffle::BitShuffle;
pub use delta::Delta;
pub use linear::{FloatLinear, Linear};
pub use lorenzo::Lorenzo;
pub use med::Med;
pub use repeat::Repeat;
pub use rotate::Rotate;
pub use shuffle::Shuffle;
