//! The fuzz targets without a fuzzer: every finding again, and a few thousand seeded inputs.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

fn testdata(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(folder)
}

/// The files of a folder whose names end so, by name.
fn files(folder: &str, end: &str) -> Vec<(String, Vec<u8>)> {
    let items = fs::read_dir(testdata(folder)).expect("testdata is there").map(|item| item.expect("it can be listed"));
    let named = items.map(|item| (item.file_name().into_string().expect("names are text"), item.path()));
    let mut files: Vec<_> =
        named.filter(|(name, _)| name.ends_with(end)).map(|(name, path)| (name, fs::read(path).expect("it can be read"))).collect();
    files.sort();
    files
}

/// splitmix64 (Steele, Lea and Flood 2014): the same inputs on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Overwrites, inserts or removes a few bytes.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            let interesting = [0, 1, 0x7F, 0x80, 0xFF, self.next() as u8][self.below(6)];
            match self.below(4) {
                0 => bytes.insert(at, interesting),
                1 => drop(bytes.drain(at..(at + self.below(9)).min(bytes.len()))),
                _ if at < bytes.len() => bytes[at] = interesting,
                _ => bytes.push(interesting),
            }
        }
    }
}

#[test]
fn every_finding_stays_fixed() {
    for (name, bytes) in files("crashers", "").into_iter().filter(|(name, _)| name != "README.md") {
        let target = name.split_once('-').map_or(&*name, |(target, _)| target);
        let (_, run) = fuzz::TARGETS.iter().find(|(known, _)| *known == target).unwrap_or_else(|| panic!("no target for {name}"));
        run(&bytes);
    }
}

#[test]
fn mutated_archives_give_an_error_or_a_result() {
    let mut random = Random(1);
    let archives = files("conformance", ".eba");
    assert!(!archives.is_empty(), "conformance vectors are there");
    for (name, archive) in archives {
        for round in 0..4 {
            let mutated = fuzz::mutate::archive(&archive, random.next() as u32, &mut |bytes| random.change(bytes));
            let result = std::panic::catch_unwind(|| fuzz::open(&mutated));
            assert!(result.is_ok(), "mutation {round} of {name}");
        }
    }
}

#[test]
fn a_mutation_keeps_what_it_does_not_touch_whole() {
    let (_, archive) =
        files("conformance", ".eba").into_iter().find(|(name, _)| name.starts_with("stage-uniform")).expect("that vector is there");
    let same = fuzz::mutate::archive(&archive, 5, &mut |_| ());
    assert_eq!(same, archive, "frames are written as they were read");
    // The first block grows, so that every later frame moves; the index must follow.
    let moved = fuzz::mutate::archive(&archive, 9 | 2 << 8, &mut |payload| payload.extend_from_slice(&[0; 64]));
    let opened = errbar::Archive::from_bytes(moved).expect("the TAIL is where it belongs");
    assert!(opened.tail().is_some() && opened.entries().all(|entry| entry.is_ok()), "the index is read as a tree");
}

#[test]
fn seeded_inputs_break_no_contract() {
    let mut random = Random(2);
    for (name, run) in fuzz::TARGETS.iter().filter(|(name, _)| *name != "open") {
        for round in 0..3000 {
            let len = random.below(200);
            let input: Vec<u8> = (0..len).map(|_| random.next() as u8 >> (random.next() % 8)).collect();
            let result = std::panic::catch_unwind(|| run(&input));
            assert!(result.is_ok(), "round {round} of {name}: {input:?}");
        }
    }
}
