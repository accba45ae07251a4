//! Bytes to typed frames and records, and back.
//!
//! This crate owns the container: the [frame grammar](frame), the [records](record), the
//! [pages](page) that hold entries and the index, and the [limits] that bound them all.
//! It treats stages as names and bytes, opens no file and starts no thread, so that an archive
//! can be listed, checked and salvaged when nobody has its codecs any more. The normative text
//! is `spec/errbar-1.md`; rule names such as `EB-F02` are anchors in it.

pub mod dtype;
mod error;
pub mod frame;
pub mod limits;
pub mod page;
pub mod path;
pub mod record;
pub mod zstd_frame;

pub use dtype::DType;
pub use error::{Error, Kind, Place, Result};

/// A BLAKE3-256 hash.
pub type Hash = [u8; 32];
