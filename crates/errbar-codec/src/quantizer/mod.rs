//! Values to integer codes: what may be lost, and how much.

mod bitround;
mod log;
mod none;
mod uniform;

pub use bitround::BitRound;
pub use log::Log;
pub use none::None;
pub use uniform::Uniform;
