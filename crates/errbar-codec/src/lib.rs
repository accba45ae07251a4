//! Quantizers, transforms and coders, and the registry that lists them.
//!
//! A block is coded in one direction: a [quantizer] turns values into integer codes
//! and answers for what is lost, [transforms](transform) and a [coder] write the codes and
//! lose nothing. [`pipeline::encode`] decodes what it has coded and [checks](check) every value
//! in exact arithmetic before anybody sees the result. This crate knows no archive. A [filter]
//! is no stage: it is what the format of the packed file did to its own bytes, made again; so are
//! [streams](stream) and [scanlines].
//!
//! To add a stage: one file under `quantizer`, `transform` or `coder`, one line in
//! [`Registry::core`], one page under `spec/stages`.

mod binary;
mod bytes;
pub mod check;
pub mod coder;
pub mod codes;
mod components;
pub mod conformance;
pub mod deflate;
mod exact;
pub mod filter;
pub mod float;
mod lattice;
mod least_squares;
mod mask;
pub mod pipeline;
pub mod polyphase;
pub mod quantizer;
mod registry;
pub mod scanlines;
pub mod simd;
pub mod stage;
pub mod stream;
pub mod transform;
pub mod values;

pub use check::{Limit, Tolerance};
pub use codes::{Codes, Layout, Words};
pub use least_squares::log2;
pub use registry::Registry;
pub use stage::{Coder, Estimate, Quantized, Quantizer, Stage, Transform};
pub use values::Values;

pub use errbar_format::{DType, Error, Kind, Result};
