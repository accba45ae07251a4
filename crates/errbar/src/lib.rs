//! Archives of scientific data: lossless by default, lossy under a guaranteed bound on request.
//!
//! [`Packer`] packs a directory under a [`Policy`]; [`Archive`] lists, reads, verifies and
//! restores one. Files are cut into blocks that are coded, checksummed and decoded alone, so a
//! slice of a variable costs the blocks that hold it, and damage costs what it touches.
//!
//! The stages themselves are in [`errbar_codec`], the container's bytes in [`errbar_format`], the
//! file formats in [`errbar_dissect`]. This crate opens files and starts threads; it never prints
//! and never exits.

pub mod archive;
mod atomic;
pub mod bench;
mod boxes;
pub mod compare;
mod folders;
pub mod pack;
mod parallel;
pub mod planner;
pub mod policy;
mod probe;
mod range;
mod source;
pub mod storage;
mod target;
pub mod unpack;
pub mod verify;
mod write;

pub use archive::{Archive, Array, Range};
pub use compare::{CompareReport, Comparer, VariableComparison};
pub use errbar_codec::pipeline::describe;
pub use errbar_codec::{Registry, Stage};
pub use errbar_format::path::display as display_path;
pub use errbar_format::record::{self, Bound, Receipt};
pub use errbar_format::{DType, Error, Kind, Place, Result};
pub use pack::{PackReport, Packer, Planned, Progress, ProgressFn, VariableReport};
pub use planner::{CorePlanner, Planner, Reason};
pub use policy::{Mode, Policy};
pub use storage::{ReadAt, Storage};
pub use unpack::{UnpackReport, Unpacker};
pub use verify::{Verifier, VerifyReport};
