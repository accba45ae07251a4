//! `testdata/conformance`: one scenario a file, and beside it what a reader must say of it.

mod accept;
mod blocks;
mod entries;
mod exact;
mod frames;
mod grids;
mod index;
mod layouts;
mod lines;
mod repeats;
mod salvage;
mod scanlines;
mod stages;
mod streams;

use crate::builder::{Archive, Builder};
use crate::vectors::{Files, Vector};

/// Every vector.
pub fn vectors() -> Vec<Vector> {
    [
        accept::vectors(),
        stages::vectors(),
        grids::vectors(),
        repeats::vectors(),
        exact::vectors(),
        frames::vectors(),
        blocks::vectors(),
        entries::vectors(),
        layouts::vectors(),
        lines::vectors(),
        scanlines::vectors(),
        streams::vectors(),
        index::vectors(),
        salvage::vectors(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The folder's files.
pub fn files() -> Files {
    let mut files = Files::default();
    for vector in vectors() {
        files.vector(vector);
    }
    files
}

/// Text of 61 bytes, so that payloads need padding.
fn text(name: &str) -> Vec<u8> {
    format!("{name:.<60}\n").into_bytes()
}

/// Writes a file of one block: `a.txt` and the like.
fn write_text(b: &mut Builder, name: &str) {
    b.file(name, &text(name));
}

/// `a.txt`, `b.txt` and `c.txt` in frames 2, 3 and 4, then ENTRIES, META, INDEX, INDEX and TAIL.
fn three_builder(name: &str) -> Builder {
    let mut b = Builder::new(name);
    for name in ["a.txt", "b.txt", "c.txt"] {
        write_text(&mut b, name);
    }
    b
}

fn three(name: &str) -> Archive {
    three_builder(name).finish()
}

/// The same, but with a page of entries behind every block.
fn three_pages(name: &str) -> Builder {
    let mut b = Builder::new(name);
    for name in ["a.txt", "b.txt", "c.txt"] {
        write_text(&mut b, name);
        b.flush();
    }
    b
}
