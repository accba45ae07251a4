//! Files that hold deflated bytes: undone where that pays, and made again to the last bit.

use std::fs;
use std::path::Path;

use errbar::record::{Body, Segment};
use errbar::{Archive, Mode, Packer, Policy, Range};
use errbar_codec::deflate::Deflater;
use errbar_format::record::{Deflate, Maker};

use crate::support::{Random, describe, field, open, unpack};

pub const USUAL: Deflate = Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 };

pub fn deflated(settings: Deflate, content: &[u8]) -> Vec<u8> {
    let (mut deflater, mut made) = (Deflater::new(settings).expect("memory"), Vec::new());
    deflater.write(content, &mut made).and_then(|()| deflater.finish(&mut made)).expect("memory");
    made
}

/// A member of gzip.
fn gzip(settings: Deflate, content: &[u8]) -> Vec<u8> {
    let trailer = [crc32fast::hash(content), content.len() as u32].map(u32::to_le_bytes).concat();
    [b"\x1f\x8b\x08\x08\0\0\0\0\0\xffname\0", &deflated(settings, content)[..], &trailer].concat()
}

pub fn pack(root: &Path, mode: Mode, rules: &[&str]) -> Vec<u8> {
    let mut policy = Policy::lossless();
    rules.iter().for_each(|rule| policy.add(rule).expect("a rule"));
    let mut bytes = Vec::new();
    let report = Packer::new().mode(mode).policy(policy).pack(root, &mut bytes).expect("packed");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    bytes
}

/// Unpacks, and compares all files with those that were packed.
pub fn comes_back(archive: &Archive, root: &Path) {
    for threads in [1, 3] {
        let out = tempfile::tempdir().expect("tmp");
        assert_eq!(unpack(archive, out.path(), threads), 0);
        assert!(describe(out.path()) == describe(root), "another tree comes back with {threads} threads");
    }
}

/// The settings of the streams in a file.
pub fn streams(archive: &Archive, path: &str) -> Vec<Deflate> {
    let Some(Body::File(file)) = archive.entry(path.as_bytes()).expect("readable").map(|entry| entry.body) else {
        panic!("{path} is a file")
    };
    let settings = |segment: &Segment| match segment {
        Segment::Stream { maker: Maker::Deflate(deflate), .. } => Some(*deflate),
        _ => None,
    };
    file.segments.iter().filter_map(settings).collect()
}

#[test]
fn an_array_in_gzip_is_coded_as_an_array() {
    let dir = tempfile::tempdir().expect("tmp");
    let array = field(&[30, 200, 150]);
    let file = gzip(USUAL, &array.to_npy());
    fs::write(dir.path().join("T.npy.gz"), &file).expect("written");
    for (mode, undone) in [(Mode::Fast, false), (Mode::Balanced, true), (Mode::Small, true)] {
        let bytes = pack(dir.path(), mode, &[]);
        let archive = open(&bytes).expect("sound");
        assert_eq!(streams(&archive, "T.npy.gz"), if undone { vec![USUAL] } else { vec![] });
        comes_back(&archive, dir.path());
        if undone {
            assert!(bytes.len() * 2 < file.len(), "{} bytes of {}", bytes.len(), file.len());
            let read = archive.read_variable(b"T.npy.gz", "", &[]).expect("a variable");
            assert_eq!((&read.bytes, &read.shape), (&array.bytes, &array.shape));
            let slice = [Range { start: 7, stop: 9 }, Range { start: 0, stop: 200 }, Range { start: 149, stop: 150 }];
            let element = |i: usize| &array.bytes[(i / 200 * 30_000 + 7 * 30_000 + i % 200 * 150 + 149) * 4..][..4];
            let expected: Vec<u8> = (0..400).flat_map(|i| element(i).to_vec()).collect();
            assert_eq!(archive.read_variable(b"T.npy.gz", "", &slice).expect("a slice").bytes, expected);
        }
    }
}

#[test]
fn members_of_gzip_are_streams_of_their_own() {
    let dir = tempfile::tempdir().expect("tmp");
    let text: Vec<u8> = (0..20_000).flat_map(|i| format!("{i} {}\n", i * i % 977).into_bytes()).collect();
    let other = Deflate { level: 9, mem_level: 9, ..USUAL };
    let array = field(&[20, 30]);
    let members = [gzip(other, &text), gzip(other, &array.to_npy()), gzip(USUAL, &array.to_npy()), b"and what is no member".to_vec()];
    fs::write(dir.path().join("f.gz"), members.concat()).expect("written");
    fs::write(dir.path().join("cut.gz"), &members[0][..members[0].len() / 2]).expect("written");
    fs::write(dir.path().join("small.gz"), gzip(USUAL, b"a text that is small, a text that is small")).expect("written");
    fs::write(dir.path().join("empty.gz"), gzip(USUAL, b"")).expect("written");
    let archive = open(&pack(dir.path(), Mode::Small, &[])).expect("sound");
    // Other settings may make the same streams of so little.
    assert_eq!(streams(&archive, "f.gz").len(), 3);
    assert_eq!(archive.read_variable(b"f.gz", "", &[]).expect("the first").bytes, array.bytes);
    assert_eq!(streams(&archive, "small.gz").len(), 1);
    assert_eq!([streams(&archive, "cut.gz"), streams(&archive, "empty.gz")], [vec![], vec![]]);
    comes_back(&archive, dir.path());
}

#[test]
fn a_file_that_is_a_zlib_stream_is_undone() {
    let dir = tempfile::tempdir().expect("tmp");
    let text: Vec<u8> = (0..20_000u64).flat_map(|i| format!("{i} {}\n", i * i % 977).into_bytes()).collect();
    fs::write(dir.path().join("chunk"), [b"\x78\x9c", &deflated(USUAL, &text)[..], b"sums"].concat()).expect("written");
    fs::write(dir.path().join("none"), [b"\x78\x9c", &text[..]].concat()).expect("written");
    let archive = open(&pack(dir.path(), Mode::Small, &[])).expect("sound");
    assert_eq!([streams(&archive, "chunk"), streams(&archive, "none")], [vec![USUAL], vec![]]);
    comes_back(&archive, dir.path());
}

#[test]
fn streams_that_no_setting_makes_stay_bytes() {
    let dir = tempfile::tempdir().expect("tmp");
    let text: Vec<u8> = (0..90_000u64).flat_map(|i| format!("{}\n", i * i % 9973).into_bytes()).collect();
    // Another writer: blocks of its own.
    let (head, tail) = text.split_at(50_000);
    let settings = Deflate { strategy: 2, ..USUAL };
    fs::write(dir.path().join("huffman.gz"), gzip(settings, &text)).expect("written");
    let mut odd = gzip(USUAL, head);
    odd.extend(gzip(settings, tail));
    fs::write(dir.path().join("half.gz"), odd).expect("written");
    let archive = open(&pack(dir.path(), Mode::Small, &[])).expect("sound");
    assert_eq!((streams(&archive, "huffman.gz"), streams(&archive, "half.gz")), (vec![], vec![USUAL]));
    comes_back(&archive, dir.path());
}

#[test]
fn what_saves_little_is_undone_in_small_only() {
    let dir = tempfile::tempdir().expect("tmp");
    fs::write(dir.path().join("noise.gz"), gzip(USUAL, &Random(7).bytes(300_000))).expect("written");
    let archive = |mode| open(&pack(dir.path(), mode, &[])).expect("sound");
    assert_eq!([streams(&archive(Mode::Balanced), "noise.gz"), streams(&archive(Mode::Small), "noise.gz")], [vec![], vec![USUAL]]);
    comes_back(&archive(Mode::Small), dir.path());
}

#[test]
fn streams_larger_than_what_is_gathered_stream_through() {
    let dir = tempfile::tempdir().expect("tmp");
    let quick = Deflate { level: 1, ..USUAL };
    let large: Vec<u8> = (0..5u32 << 20).flat_map(|i| (i / 3).to_le_bytes()).collect();
    fs::write(dir.path().join("large.gz"), [gzip(quick, &large), gzip(quick, b"behind it, behind it")].concat()).expect("written");
    let archive = open(&pack(dir.path(), Mode::Balanced, &[])).expect("sound");
    assert_eq!(streams(&archive, "large.gz"), [quick; 2]);
    comes_back(&archive, dir.path());
}

#[test]
fn what_inflates_to_far_more_than_it_is_stays_bytes() {
    let dir = tempfile::tempdir().expect("tmp");
    fs::write(dir.path().join("bomb.gz"), gzip(USUAL, &vec![0; 300 << 20])).expect("written");
    let archive = open(&pack(dir.path(), Mode::Small, &[])).expect("sound");
    assert_eq!(streams(&archive, "bomb.gz"), []);
    comes_back(&archive, dir.path());
}

#[test]
fn files_changed_or_cut_anywhere_come_back() {
    let dir = tempfile::tempdir().expect("tmp");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/formats");
    let mut random = Random(11);
    for name in [
        "gzip-nifti.nii.gz",
        "zip-deflated.npz",
        "zip-stored.npz",
        "mat-deflated.mat",
        "nrrd-gzip.nrrd",
        "vtk-base64.vti",
        "vtk-zlib.vti",
        "vtk-zlib-raw.vti",
        "vtk-zlib-base64.vti",
    ] {
        let file = fs::read(samples.join(name)).expect("a sample");
        for i in 0..40 {
            let mut changed = file.clone();
            for _ in 0..=i % 3 {
                let at = random.next() as usize % file.len();
                changed[at] = random.next() as u8;
            }
            if i % 4 == 3 {
                changed.truncate(random.next() as usize % file.len());
            }
            fs::write(dir.path().join(format!("{i} {name}")), changed).expect("written");
        }
    }
    comes_back(&open(&pack(dir.path(), Mode::Small, &[])).expect("sound"), dir.path());
}

#[test]
fn arrays_in_streams_and_under_checksums_are_exact_under_a_bound_and_others_are_not() {
    let dir = tempfile::tempdir().expect("tmp");
    let array = field(&[60, 400]);
    fs::write(dir.path().join("T.npy.gz"), gzip(USUAL, &array.to_npy())).expect("written");
    fs::write(dir.path().join("mixed.zip"), mixed_zip(&array.to_npy())).expect("written");
    fs::write(dir.path().join("plain.npy"), array.to_npy()).expect("written");
    let mut policy = Policy::lossless();
    policy.add("abs=0.01").expect("a rule");
    let (planned, _) = Packer::new().policy(policy).dry_run(dir.path()).expect("a folder");
    let why = |name: &str| planned.iter().find(|planned| planned.variable == name).map(|planned| planned.why.clone());
    assert!(why("deflated").is_some_and(|why| why.contains("deflated stream: exact")), "{planned:?}");
    let archive = open(&pack(dir.path(), Mode::Balanced, &["abs=0.01"])).expect("sound");
    assert_eq!(archive.read_variable(b"T.npy.gz", "", &[]).expect("a variable").bytes, array.bytes);
    assert_eq!(archive.read_variable(b"mixed.zip", "deflated", &[]).expect("a variable").bytes, array.bytes);
    // The directory has a CRC-32 of the member, which readers compare.
    assert!(why("stored").is_some_and(|why| why.contains("checksum")), "{planned:?}");
    assert_eq!(archive.read_variable(b"mixed.zip", "stored", &[]).expect("a variable").bytes, array.bytes);
    assert_ne!(archive.read_variable(b"plain.npy", "", &[]).expect("a variable").bytes, array.bytes);
    let compared = errbar::Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
    assert!(compared.differences.is_empty(), "{:?}", compared.differences);
    assert_eq!(compared.variables.iter().map(|variable| &variable.path[..]).collect::<Vec<_>>(), [b"plain.npy"]);
}

/// A ZIP file with the same file in it twice, deflated and stored.
fn mixed_zip(content: &[u8]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, method, data) in [("deflated.npy", 8u16, deflated(USUAL, content)), ("stored.npy", 0, content.to_vec())] {
        let crc = crc32fast::hash(content);
        let sizes = [crc, data.len() as u32, content.len() as u32].map(u32::to_le_bytes).concat();
        let common = [&[20, 0, 0, 0][..], &method.to_le_bytes(), &[0; 4], &sizes, &(name.len() as u16).to_le_bytes(), &[0; 2]].concat();
        let offset = file.len() as u32;
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &data].concat());
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat());
    }
    let at = file.len() as u32;
    let end = [b"PK\x05\x06\0\0\0\0\x02\0\x02\0", &(directory.len() as u32).to_le_bytes()[..], &at.to_le_bytes(), &[0; 2]].concat();
    [file, directory, end].concat()
}
