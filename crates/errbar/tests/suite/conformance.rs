//! The vectors in `testdata/conformance`: an archive, and a text that says what must happen.

use std::fs;
use std::path::{Path, PathBuf};

use errbar::Verifier;

use crate::support::open;

struct Vector {
    name: String,
    bytes: Vec<u8>,
    expect: String,
    rule: Option<String>,
    hashes: Vec<(Vec<u8>, String)>,
    lost: Vec<Vec<u8>>,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance")
}

/// A path as the texts write it: `\xNN` for what is not printable ASCII.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        bytes.push(u8::from_str_radix(&rest[at + 2..at + 4], 16).expect("two hex digits"));
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for item in fs::read_dir(folder()).expect("vectors") {
        let path = item.expect("an item").path();
        if path.extension().is_none_or(|e| e != "txt") {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a text");
        let bytes = fs::read(path.with_extension("eba")).expect("an archive");
        let mut vector = Vector { name, bytes, expect: String::new(), rule: None, hashes: Vec::new(), lost: Vec::new() };
        for (key, value) in text.lines().filter_map(|line| line.split_once(": ")) {
            match key.split_once(' ') {
                Some(("hash", path)) => vector.hashes.push((unescape(path), value.to_owned())),
                _ if key == "expect" => vector.expect = value.to_owned(),
                _ if key == "lost" => vector.lost.push(unescape(value)),
                _ if key == "rule" => vector.rule = Some(value.to_owned()),
                _ => {}
            }
        }
        vectors.push(vector);
    }
    vectors.sort_by(|a, b| a.name.cmp(&b.name));
    vectors
}

#[test]
fn every_vector_gives_what_its_text_says() {
    let vectors = vectors();
    assert!(vectors.len() > 60, "{} vectors", vectors.len());
    let mut wrong = Vec::new();
    for vector in &vectors {
        let mut found = Vec::new();
        match open(&vector.bytes) {
            Err(e) => found.push(e),
            Ok(archive) => {
                for (path, hash) in &vector.hashes {
                    let restored = archive.hash_file(path).map(|hash| hash.map(|byte| format!("{byte:02x}")).concat());
                    if restored.as_ref().ok() != Some(hash) {
                        wrong.push(format!("{}: {} is not {hash}: {restored:?}", vector.name, String::from_utf8_lossy(path)));
                    }
                }
                for path in vector.lost.iter().filter(|path| archive.hash_file(path).is_ok()) {
                    wrong.push(format!("{}: {} should be lost", vector.name, String::from_utf8_lossy(path)));
                }
                match Verifier::new().threads(1).verify(&archive) {
                    Ok(report) => found.extend(report.problems),
                    Err(e) => found.push(e),
                }
            }
        }
        let right = match (vector.expect.as_str(), &vector.rule) {
            ("accept", _) => found.is_empty(),
            (kind, None) => found.iter().any(|e| e.kind.word() == kind),
            (kind, Some(rule)) => found.iter().any(|e| e.kind.word() == kind && e.rule == Some(rule)),
        };
        if !right {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            wrong.push(format!("{}: expected {} {:?}, found {found:?}", vector.name, vector.expect, vector.rule));
        }
    }
    assert!(wrong.is_empty(), "{} of {} vectors:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}
