//! What the fuzz targets do with their input, as ordinary functions.
//!
//! Each function takes any bytes and panics when a contract of errbar is broken. The targets hand
//! them a fuzzer's bytes; `crates/errbar/tests/crashers.rs` includes this file and hands them the
//! findings in `testdata/crashers` and mutated archives, so that `cargo test` needs no fuzzer.

mod decode_stage;
pub mod dissect;
mod input;
pub mod mutate;
mod open;
mod roundtrip;

pub use decode_stage::decode_stage;
pub use dissect::dissect;
pub use open::open;
pub use roundtrip::roundtrip;

/// A target: its name, and what it does with its input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[("open", open), ("decode_stage", decode_stage), ("roundtrip", roundtrip), ("dissect", dissect)];
