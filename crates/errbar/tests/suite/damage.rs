use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use errbar::{Kind, Verifier};

use crate::support::{Random, describe, field, open, pack, sample, unpack};

/// Unpacks a damaged archive: no panic, no wrong file, and every loss told.
fn survives(bytes: &[u8], original: &BTreeMap<Vec<u8>, String>, what: &str) -> usize {
    let out = tempfile::tempdir().expect("tmp");
    let result = catch_unwind(AssertUnwindSafe(|| match open(bytes) {
        Err(_) => (1, 1),
        Ok(archive) => {
            let verified = Verifier::new().threads(1).verify(&archive).map_or(1, |report| report.problems.len());
            (unpack(&archive, out.path(), 1) + archive.damage().len(), verified)
        }
    }));
    let (losses, problems) = result.unwrap_or_else(|_| panic!("panic: {what}"));
    let found = describe(out.path());
    let content = |text: &String| text.rsplit(' ').next().map(str::to_owned);
    for (path, text) in &found {
        assert_eq!(content(text), original.get(path).and_then(content), "{what}: wrong content of {:?}", String::from_utf8_lossy(path));
    }
    assert!(found.len() == original.len() || losses > 0, "{what}: {} entries are missing without a word", original.len() - found.len());
    assert!(problems > 0, "{what}: verify found nothing");
    found.len()
}

fn small() -> (Vec<u8>, BTreeMap<Vec<u8>, String>) {
    let dir = tempfile::tempdir().expect("tmp");
    for i in 0..6u8 {
        fs::write(dir.path().join(format!("file{i}")), vec![i; 100 * usize::from(i)]).expect("written");
    }
    let mut random = Random(5);
    fs::write(dir.path().join("noise"), random.bytes(70_000)).expect("written");
    (pack(dir.path(), &[]), describe(dir.path()))
}

/// Every place in the frames at both ends; a few of the noise in the middle, which is all alike.
fn interesting(len: usize) -> impl Iterator<Item = usize> {
    (0..len).filter(move |&at| at < 1200 || at > len - 2400 || at % 997 == 0)
}

#[test]
fn every_flipped_byte_of_a_small_archive_is_found_and_survived() {
    let (bytes, original) = small();
    for at in interesting(bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        survives(&damaged, &original, &format!("byte {at} flipped"));
    }
}

#[test]
fn every_cut_of_a_small_archive_is_found_and_survived() {
    let (bytes, original) = small();
    for len in interesting(bytes.len()) {
        survives(&bytes[..len], &original, &format!("cut to {len} bytes"));
    }
}

#[test]
fn sectors_zeroed_exchanged_inserted_and_taken_away() {
    let dir = tempfile::tempdir().expect("tmp");
    sample(dir.path());
    let (bytes, original) = (pack(dir.path(), &[]), describe(dir.path()));
    let n = bytes.len() / 4096;
    let mut random = Random(7);
    for round in 0..60 {
        let mut damaged = bytes.clone();
        let (at, other) = ((random.next() % n as u64) as usize * 4096, (random.next() % n as u64) as usize * 4096);
        match round % 4 {
            0 => damaged[at..at + 4096].fill(0),
            1 => {
                if damaged[at..at + 4096] == damaged[other..other + 4096] {
                    continue;
                }
                let copy = damaged[at..at + 4096].to_vec();
                damaged.copy_within(other..other + 4096, at);
                damaged[other..other + 4096].copy_from_slice(&copy);
            }
            2 => damaged.insert(at + 1000, 0x55),
            _ => {
                damaged.remove(at + 1000);
            }
        }
        let left = survives(&damaged, &original, &format!("round {round}, byte {at}"));
        // The two copies of so small an index may stand in one sector.
        assert!(left > 0 || at.max(other) + 3 * 4096 > bytes.len(), "round {round}, byte {at}, {other}: one sector took everything");
    }
}

#[test]
fn a_large_file_that_is_lost_takes_no_other_with_it() {
    let dir = tempfile::tempdir().expect("tmp");
    let array = field(&[40, 256, 1024]);
    fs::write(dir.path().join("a.npy"), array.to_npy()).expect("written");
    for i in 0..5 {
        fs::write(dir.path().join(format!("b{i}")), Random(i).bytes(100_000)).expect("written");
    }
    let mut policy = errbar::Policy::lossless();
    policy.add("abs=1").expect("a rule");
    let mut bytes = Vec::new();
    errbar::Packer::new().policy(policy).mode(errbar::Mode::Fast).pack(dir.path(), &mut bytes).expect("packed");
    let archive = open(&bytes).expect("sound");
    assert!(archive.n_blocks() > 40, "more blocks than are decoded ahead");
    let damaged = archive.find_block(1).expect("there").offset as usize;
    bytes[damaged + 200] ^= 1;
    for threads in [1, 2, 4] {
        let out = tempfile::tempdir().expect("tmp");
        assert_eq!(unpack(&open(&bytes).expect("readable"), out.path(), threads), 1);
        assert_eq!(describe(out.path()).len(), 5, "{threads} threads");
    }
}

#[test]
fn without_head_tail_or_index_everything_else_comes_back() {
    let dir = tempfile::tempdir().expect("tmp");
    sample(dir.path());
    let (bytes, original) = (pack(dir.path(), &[]), describe(dir.path()));
    let archive = open(&bytes).expect("sound");
    let index = archive.tail().expect("there").index_offset as usize;
    for (from, to, what) in [(0, 100, "head"), (bytes.len() - 272, bytes.len(), "tail"), (index, bytes.len(), "index and tail")] {
        let mut damaged = bytes.clone();
        damaged[from..to].fill(0);
        assert_eq!(survives(&damaged, &original, what), original.len(), "{what}");
    }
}

#[test]
fn eb_a01_frames_of_another_archive_are_not_taken_for_ours() {
    let dir = tempfile::tempdir().expect("tmp");
    let inner = dir.path().join("inner");
    sample(&inner);
    // Stored as it is: its frames stand in the payload of a block.
    fs::write(dir.path().join("stored.eba"), pack(&inner, &[])).expect("written");
    fs::remove_dir_all(&inner).expect("removed");
    let (bytes, original) = (pack(dir.path(), &[]), describe(dir.path()));
    let mut damaged = bytes.clone();
    let tail = bytes.len() - 272;
    damaged[tail..].fill(0);
    assert_eq!(survives(&damaged, &original, "outer tail"), original.len());
    damaged[..100].fill(0);
    survives(&damaged, &original, "outer head and tail");
}

#[test]
fn files_that_are_no_archive_are_refused_by_name() {
    for bytes in [&b""[..], b"\0", b"PK\x03\x04 a zip file", &[0; 100_000], errbar_format::frame::SYNC.as_slice()] {
        let error = open(bytes).map(|_| ()).expect_err("no archive");
        assert!(matches!(error.kind, Kind::Corrupt | Kind::Truncated), "{error}");
    }
}
