//! The stage before the judge, and in archives that are read with it and without it.

use std::io::Write;
use std::path::Path;

use errbar::record::{PipelineRecord, StageRecord};
use errbar::{Archive, CorePlanner, Kind, Mode, Packer, Planner, Registry, Unpacker, Verifier};
use errbar_codec::pipeline::stage;
use errbar_codec::{Codes, DType, Stage, Tolerance, Transform, Values, Words, coder, conformance};
use negate::Negate;

const NEEDS: &str = "needs transform example.org/negate version 1";

/// Negates arrays and leaves everything else to errbar.
struct NegatePlanner;

impl Planner for NegatePlanner {
    fn families(&self, values: &Values, tolerance: &Tolerance, mode: Mode) -> Vec<Vec<PipelineRecord>> {
        if values.dtype == DType::Bytes {
            return CorePlanner.families(values, tolerance, mode);
        }
        let negate = StageRecord { name: Negate.name().into(), version: Negate.version(), params: Vec::new() };
        let zstd = stage("zstd", coder::Zstd::params(1));
        vec![vec![PipelineRecord { quantizer: stage("none", Vec::new()), transforms: vec![negate], coder: zstd }]]
    }
}

fn registry() -> Registry {
    Registry::core().with_transform(&Negate)
}

/// A version 1.0 .npy file of 300 by 40 numbers.
fn npy() -> Vec<u8> {
    let mut header = "{'descr': '<i4', 'fortran_order': False, 'shape': (300, 40), }".to_owned();
    header += &" ".repeat(117 - header.len());
    header.push('\n');
    let mut bytes = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    bytes.extend((0..300 * 40).flat_map(|i: i32| (i / 7).to_le_bytes()));
    bytes
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let log: String = (0..2000).map(|i| format!("step {i}: energy {}\n", i * i % 997)).collect();
    vec![
        ("README", b"two files and an array\n".to_vec()),
        ("data/field.npy", npy()),
        ("data/run.log", log.into_bytes()),
        ("empty", Vec::new()),
    ]
}

fn packed() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (path, content) in files() {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
        std::fs::write(path, content).expect("a file");
    }
    let mut archive = Vec::new();
    let report = Packer::new().registry(registry()).planner(NegatePlanner).pack(dir.path(), &mut archive).expect("packed");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    archive
}

fn with_stage(archive: &[u8]) -> Archive {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(archive).expect("written");
    Archive::with_registry(Box::new(file), registry()).expect("a sound archive").checked().expect("a sound index")
}

fn without_stage(archive: Vec<u8>) -> Archive {
    Archive::from_bytes(archive).expect("stages are not needed to open").checked().expect("nor to check the index")
}

fn restored(dir: &Path, path: &str) -> Option<Vec<u8>> {
    std::fs::read(dir.join(path)).ok()
}

#[test]
fn the_judge_of_stages_accepts_it() {
    assert_eq!(conformance::check_transform(&Negate), Ok(()));
}

#[test]
fn it_negates_modulo_two_to_the_bits() {
    let codes = Codes::plain(vec![3], Words::U16(vec![0, 1, 0x8000]));
    assert_eq!(Negate.forward(codes, &[]).expect("no parameters").words, Words::U16(vec![0, 0xFFFF, 0x8000]));
}

#[test]
fn with_the_stage_every_byte_comes_back() {
    let archive = with_stage(&packed());
    let negated =
        (0..archive.n_blocks()).filter(|&k| archive.block(k).expect("a block").pipeline.transforms.iter().any(|t| t.name == Negate.name()));
    assert_eq!(negated.count(), 1);
    assert!(Verifier::new().verify(&archive).expect("verified").problems.is_empty());
    let out = tempfile::tempdir().expect("a temporary directory");
    let report = Unpacker::new().unpack(&archive, &out.path().join("tree")).expect("unpacked");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    for (path, content) in files() {
        assert_eq!(restored(&out.path().join("tree"), path), Some(content), "{path}");
    }
}

#[test]
fn without_the_stage_everything_is_listed_and_all_else_is_read() {
    let archive = without_stage(packed());
    let paths: Vec<Vec<u8>> = archive.entries().map(|entry| entry.expect("an entry").path).collect();
    assert_eq!(paths, ["README", "data", "data/field.npy", "data/run.log", "empty"].map(|path| path.as_bytes().to_vec()));
    for (path, content) in files() {
        match archive.read_file(path.as_bytes()) {
            Ok(bytes) => assert_eq!((path != "data/field.npy", bytes), (true, content), "{path}"),
            Err(error) => {
                assert_eq!((path, error.kind, error.what.contains(NEEDS)), ("data/field.npy", Kind::Unsupported, true), "{error}")
            }
        }
    }
    let error = archive.read_variable(b"data/field.npy", "", &[]).expect_err("the stage is missing");
    assert_eq!((error.kind, error.what.contains(NEEDS)), (Kind::Unsupported, true), "{error}");
}

#[test]
fn without_the_stage_verifying_and_unpacking_lack_that_file_alone() {
    let archive = without_stage(packed());
    let problems = Verifier::new().verify(&archive).expect("verified").problems;
    assert!(!problems.is_empty());
    for error in &problems {
        assert_eq!((error.kind, error.what.contains(NEEDS)), (Kind::Unsupported, true), "{error}");
    }
    let out = tempfile::tempdir().expect("a temporary directory");
    let report = Unpacker::new().keep_going(true).unpack(&archive, &out.path().join("tree")).expect("unpacked in part");
    assert!(report.problems.iter().all(|error| error.kind == Kind::Unsupported && error.what.contains(NEEDS)), "{:?}", report.problems);
    assert_eq!(report.problems.len(), 1);
    for (path, content) in files() {
        let expected = (path != "data/field.npy").then_some(content);
        assert_eq!(restored(&out.path().join("tree"), path), expected, "{path}");
    }
}
