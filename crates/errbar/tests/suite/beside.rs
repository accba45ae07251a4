//! Data whose header stands in another file.

use std::fs;
use std::path::Path;

use errbar::{Archive, Packer};

use crate::support::{describe, open, pack, unpack};

const HEADER: &str = "ENVI\nsamples = 40\nlines = 30\nbands = 2\ndata type = 4\ninterleave = bil\nbyte order = 0\n";

/// A folder with a raster of 30 × 2 × 40 floats and a header.
fn raster(header: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("tmp");
    let data: Vec<u8> = (0..2400u32).flat_map(|i| (280.0 + (i as f32 * 0.01).sin()).to_le_bytes()).collect();
    fs::create_dir(dir.path().join("a")).expect("made");
    fs::write(dir.path().join("a/scene.img"), data).expect("written");
    fs::write(dir.path().join("a/scene.hdr"), header).expect("written");
    dir
}

fn comes_back(archive: &Archive, tree: &Path) {
    let out = tempfile::tempdir().expect("tmp");
    assert_eq!(unpack(archive, out.path(), 2), 0);
    assert!(describe(out.path()) == describe(tree));
}

#[test]
fn a_header_beside_its_data_says_what_they_are() {
    let dir = raster(HEADER);
    let archive = open(&pack(dir.path(), &[])).expect("sound");
    assert_eq!(archive.read_variable(b"a/scene.img", "", &[]).expect("an array").shape, [30, 2, 40]);
    comes_back(&archive, dir.path());
}

#[test]
fn a_header_that_is_wrong_or_elsewhere_leaves_bytes() {
    for wrong in [HEADER.replace("40", "41"), "ENVI".into(), HEADER.replace("= 4\n", "= 99\n"), "\0".repeat(348)] {
        let dir = raster(&wrong);
        let archive = open(&pack(dir.path(), &[])).expect("sound");
        assert!(archive.read_variable(b"a/scene.img", "", &[]).is_err(), "{wrong}");
        comes_back(&archive, dir.path());
    }
    let dir = raster(HEADER);
    let mut bytes = Vec::new();
    Packer::new().pack(&dir.path().join("a/scene.img"), &mut bytes).expect("packed");
    assert!(open(&bytes).expect("sound").read_variable(b"scene.img", "", &[]).is_err(), "the header is not packed");
}

#[test]
fn a_bound_reaches_data_beside_their_header() {
    let dir = raster(HEADER);
    let archive = open(&pack(dir.path(), &["abs=0.01"])).expect("sound");
    let compared = errbar::Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
    assert!(compared.differences.is_empty(), "{:?}", compared.differences);
    assert_eq!(compared.variables.len(), 1);
}
