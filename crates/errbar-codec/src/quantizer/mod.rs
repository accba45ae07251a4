//! Values to integer codes: what may be lost, and how much.

mod bitround;
mod interp;
mod lattice;
mod log;
mod none;
mod uniform;

pub use bitround::BitRound;
pub use interp::Interp;
pub use lattice::Lattice;
pub use log::Log;
pub use none::None;
pub use uniform::Uniform;
