//! Codes to bytes, and back without a difference.

mod bitpack;
mod classes;
mod constant;
mod crans;
mod lzma;
mod pco;
mod store;
mod zstd;

pub use bitpack::BitPack;
pub use classes::Classes;
pub use constant::Constant;
pub use crans::{Carith, Crans};
pub use lzma::{Lzma, LzmaContexts};
pub use pco::Pco;
pub use store::Store;
pub use zstd::Zstd;
