use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use errbar::record::{Body, FileHashes};
use errbar::{Archive, Comparer, Kind, Packer, Range, Unpacker, Verifier};

use crate::support::{Random, describe, open, pack, pack_with, sample, unpack};

#[test]
fn everything_comes_back_with_modes_times_and_links() {
    let dir = tempfile::tempdir().expect("tmp");
    let (root, out) = (dir.path().join("t"), dir.path().join("o"));
    sample(&root);
    symlink("notes.txt", root.join("link")).expect("made");
    symlink("/no/such\u{e9}", root.join("run/dangling")).expect("made");
    fs::hard_link(root.join("notes.txt"), root.join("run/same")).expect("made");
    fs::hard_link(root.join("run/noise.bin"), root.join("a-first-name")).expect("made");
    fs::write(root.join(OsStr::from_bytes(b"not \xff utf-8 \x1b[2J")), "n").expect("written");
    fs::write(root.join("n".repeat(255)), "long").expect("written");
    fs::set_permissions(root.join("run/table.csv"), Permissions::from_mode(0o640)).expect("set");
    fs::set_permissions(root.join("run/deep/er"), Permissions::from_mode(0o555)).expect("set");
    for (i, name) in ["notes.txt", "run/T.npy", "run/deep", "empty"].into_iter().enumerate() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + i as u64, 123_456_789);
        File::open(root.join(name)).expect("there").set_times(FileTimes::new().set_modified(time)).expect("set");
    }
    let archive = open(&pack(&root, &[])).expect("opens");
    assert!(Verifier::new().verify(&archive).expect("readable").problems.is_empty());
    assert_eq!(unpack(&archive, &out, 0), 0);
    assert_eq!(describe(&root), describe(&out));
    assert_eq!(fs::metadata(out.join("notes.txt")).expect("there").ino(), fs::metadata(out.join("run/same")).expect("there").ino());
    let compared = Comparer::new().tree(&archive, &root).expect("readable");
    assert!(compared.differences.is_empty(), "{:?}", compared.differences);
}

#[test]
fn copies_share_their_blocks_where_the_same_rules_are_about_them() {
    let dir = tempfile::tempdir().expect("tmp");
    let (root, out) = (dir.path().join("t"), dir.path().join("o"));
    sample(&root);
    let [once, noise] = ["run/deep/big.npy", "run/noise.bin"].map(|path| fs::read(root.join(path)).expect("there"));
    let alone = pack(&root, &[]).len();
    for (copy, of) in [("z/T-again.npy", &once), ("a.npy", &once), ("z/noise", &noise)] {
        fs::create_dir_all(root.join("z")).expect("made");
        fs::write(root.join(copy), of).expect("written");
    }
    let bytes = pack(&root, &[]);
    assert!(bytes.len() < alone + 4096, "{} {alone}", bytes.len());
    let archive = open(&bytes).expect("opens");
    let same_as = |path: &str| match archive.entry(path.as_bytes()).expect("readable").expect("there").body {
        Body::File(file) => file.same_as,
        _ => None,
    };
    assert_eq!(["a.npy", "run/deep/big.npy", "z/T-again.npy"].map(same_as), [None, Some(b"a.npy".to_vec()), Some(b"a.npy".to_vec())]);
    assert!(Verifier::new().verify(&archive).expect("readable").problems.is_empty());
    assert_eq!(archive.read_file(b"z/noise").expect("read"), noise);
    let part = |path: &[u8]| {
        archive.read_variable(path, "", &[1..2, 7..90, 0..500].map(|r| Range { start: r.start, stop: r.end })).expect("read").bytes
    };
    assert_eq!(part(b"z/T-again.npy"), part(b"a.npy"));
    assert_eq!(unpack(&archive, &out, 0), 0);
    assert_eq!(describe(&root), describe(&out));
    let archive = open(&pack(&root, &["z/*=abs=0.1"])).expect("opens");
    let bounded = |path: &str| match archive.entry(path.as_bytes()).expect("readable").expect("there").body {
        Body::File(file) => (file.same_as.is_some(), file.variables[0].receipt.is_some()),
        _ => (false, false),
    };
    assert_eq!(["run/deep/big.npy", "z/T-again.npy"].map(bounded), [(true, false), (false, true)]);
}

#[test]
fn lines_that_repeat_others_stay_text() {
    let dir = tempfile::tempdir().expect("tmp");
    let mut random = Random(1);
    let mut lines = |n: usize| -> Vec<String> {
        let mut number = || format!("{:8.3}", random.next() as f64 / 2e16);
        (0..n).map(|_| (0..7).map(|_| number()).collect::<Vec<_>>().join(" ") + "\n").collect()
    };
    let (few, many) = (lines(200), lines(4000));
    let mut random = Random(2);
    let picked: String = (0..4000).map(|_| &*few[random.next() as usize % few.len()]).collect();
    fs::write(dir.path().join("picked"), picked).expect("written");
    fs::write(dir.path().join("other"), many.concat()).expect("written");
    let archive = open(&pack(dir.path(), &[])).expect("opens");
    let n_variables = |path: &str| match archive.entry(path.as_bytes()).expect("readable").expect("there").body {
        Body::File(file) => file.variables.len(),
        _ => 0,
    };
    assert_eq!(["picked", "other"].map(n_variables), [0, 7]);
}

#[test]
fn holes_stay_holes() {
    let dir = tempfile::tempdir().expect("tmp");
    let (root, out) = (dir.path().join("t"), dir.path().join("o"));
    fs::create_dir(&root).expect("made");
    let mut file = File::create(root.join("sparse")).expect("made");
    file.seek(SeekFrom::Start(8 << 20)).expect("sought");
    file.write_all(b"in the middle").expect("written");
    file.set_len(64 << 20).expect("set");
    drop(file);
    let bytes = pack(&root, &[]);
    assert!(bytes.len() < 20_000);
    assert_eq!(unpack(&open(&bytes).expect("opens"), &out, 0), 0);
    let restored = fs::metadata(out.join("sparse")).expect("there");
    assert!(restored.len() == 64 << 20 && restored.blocks() * 512 < 1 << 20);
    assert_eq!(fs::read(root.join("sparse")).expect("there"), fs::read(out.join("sparse")).expect("there"));
}

#[test]
fn extended_attributes_come_back_and_privileged_ones_do_not() {
    let dir = tempfile::tempdir().expect("tmp");
    let (root, out) = (dir.path().join("t"), dir.path().join("o"));
    fs::create_dir(&root).expect("made");
    fs::write(root.join("a"), "a").expect("written");
    let set = |name: &str| rustix::fs::setxattr(root.join("a"), name, b"value\0", rustix::fs::XattrFlags::empty());
    if set("user.unit").is_err() {
        return; // This file system has none.
    }
    let trusted = set("trusted.x").is_ok();
    assert_eq!(unpack(&open(&pack(&root, &[])).expect("opens"), &out, 0), 0);
    let mut value = [0; 16];
    assert_eq!(rustix::fs::getxattr(out.join("a"), "user.unit", &mut value[..]), Ok(6));
    assert!(!trusted || rustix::fs::getxattr(out.join("a"), "trusted.x", &mut value[..]).is_err());
}

#[test]
fn fifos_are_reported_and_never_opened() {
    let dir = tempfile::tempdir().expect("tmp");
    fs::write(dir.path().join("a"), "a").expect("written");
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().expect("mkfifo");
    assert!(made.success());
    let report = Packer::new().pack(dir.path(), &mut Vec::new()).expect("packed");
    assert_eq!((report.n_entries, report.skipped.len(), report.problems.len()), (1, 1, 0));
    assert!(report.skipped[0].to_string().contains("FIFO"));
}

#[test]
fn the_archive_does_not_depend_on_threads() {
    let dir = tempfile::tempdir().expect("tmp");
    sample(dir.path());
    let one = pack_with(dir.path(), &["*.npy=rel=1e-3"], 1);
    for threads in [2, 7] {
        assert_eq!(pack_with(dir.path(), &["*.npy=rel=1e-3"], threads), one);
    }
}

#[test]
fn eb_t04_existing_files_and_planted_links_stay_as_they_are() {
    let dir = tempfile::tempdir().expect("tmp");
    let (root, out) = (dir.path().join("t"), dir.path().join("o"));
    fs::create_dir_all(root.join("d")).expect("made");
    for name in ["d/inside", "file", "link"] {
        fs::write(root.join(name), "packed").expect("written");
    }
    let archive = open(&pack(&root, &[])).expect("opens");
    fs::create_dir_all(dir.path().join("outside")).expect("made");
    fs::create_dir(&out).expect("made");
    fs::write(out.join("file"), "mine").expect("written");
    fs::write(dir.path().join("victim"), "mine").expect("written");
    symlink("../victim", out.join("link")).expect("made");
    symlink("../outside", out.join("d")).expect("made");
    let report = Unpacker::new().unpack(&archive, &out).expect("unpacked");
    // The folder that is a link, what would be in it, the file and the link.
    assert_eq!(report.problems.len(), 4, "{:?}", report.problems);
    assert_eq!(fs::read(out.join("file")).expect("there"), b"mine");
    assert_eq!(fs::read(dir.path().join("victim")).expect("there"), b"mine");
    assert_eq!(fs::read_dir(dir.path().join("outside")).expect("there").count(), 0);
    Unpacker::new().replace(true).unpack(&archive, &out).expect("unpacked");
    assert_eq!(fs::read(out.join("file")).expect("there"), b"packed");
    assert_eq!(fs::read(out.join("link")).expect("there"), b"packed");
    assert_eq!(fs::read(dir.path().join("victim")).expect("there"), b"mine");
    assert_eq!(fs::read_dir(dir.path().join("outside")).expect("there").count(), 0);
}

#[test]
fn a_part_is_restored_alone_and_a_hard_link_brings_its_content() {
    let dir = tempfile::tempdir().expect("tmp");
    let (root, out) = (dir.path().join("t"), dir.path().join("o"));
    sample(&root);
    for name in ["z1", "z2"] {
        fs::hard_link(root.join("notes.txt"), root.join(name)).expect("made");
    }
    let archive = open(&pack(&root, &[])).expect("opens");
    let wanted = [&b"run/deep"[..], b"z1", b"z2", b"missing"].map(<[u8]>::to_vec).to_vec();
    let report = Unpacker::new().paths(wanted).unpack(&archive, &out).expect("unpacked");
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].kind, Kind::Differs);
    let names: Vec<_> = fs::read_dir(&out).expect("there").map(|item| item.expect("there").file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(fs::read(out.join("z1")).expect("there"), fs::read(root.join("notes.txt")).expect("there"));
    assert_eq!(fs::metadata(out.join("z1")).expect("there").ino(), fs::metadata(out.join("z2")).expect("there").ino());
    assert_eq!(fs::read_dir(out.join("run/deep")).expect("there").count(), 32);
}

#[test]
fn differences_are_named() {
    let dir = tempfile::tempdir().expect("tmp");
    let root = dir.path().join("t");
    sample(&root);
    let before = open(&pack(&root, &[])).expect("opens");
    fs::write(root.join("new"), "new").expect("written");
    fs::remove_file(root.join("nothing")).expect("removed");
    fs::set_permissions(root.join("notes.txt"), Permissions::from_mode(0o600)).expect("set");
    let mut bytes = fs::read(root.join("run/T.npy")).expect("there");
    bytes[200] ^= 1;
    fs::write(root.join("run/T.npy"), bytes).expect("written");
    let after = open(&pack(&root, &[])).expect("opens");
    for report in [Comparer::new().tree(&before, &root), Comparer::new().archives(&before, &after)] {
        let report = report.expect("readable");
        let text: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        for part in [
            "is not in the archive — 'new'",
            "is in the archive only — 'nothing'",
            "mode is",
            "content differs from byte 200 on — 'run/T.npy'",
        ] {
            assert!(text.iter().any(|line| line.contains(part)), "{part}: {text:?}");
        }
        assert_eq!(report.variables.len(), 1);
    }
}

#[test]
fn an_archive_in_the_tree_is_not_packed_into_itself() {
    let dir = tempfile::tempdir().expect("tmp");
    sample(dir.path());
    let archive = dir.path().join("self.eba");
    Packer::new().pack_to_file(dir.path(), &archive, false).expect("packed");
    assert_eq!(Packer::new().pack_to_file(dir.path(), &archive, false).expect_err("there already").kind, Kind::Refused);
    Packer::new().pack_to_file(dir.path(), &archive, true).expect("packed again");
    let archive = Archive::open(&archive).expect("opens").checked().expect("sound");
    assert!(archive.entries().all(|entry| entry.expect("sound").path != b"self.eba"));
}

#[test]
fn eb_e07_small_files_have_the_hashes_of_their_content() {
    let dir = tempfile::tempdir().expect("tmp");
    sample(dir.path());
    let archive = open(&pack(dir.path(), &[])).expect("opens");
    let (mut proven_by_block, mut recorded) = (0, 0);
    for entry in archive.entries() {
        let entry = entry.expect("sound");
        let Body::File(file) = &entry.body else { continue };
        let content = fs::read(dir.path().join(OsStr::from_bytes(&entry.path))).expect("there");
        let hash = *blake3::hash(&content).as_bytes();
        assert_eq!(archive.hashes(&entry).expect("sound"), Some(FileHashes::of(hash)));
        assert_eq!(archive.hash_file(&entry.path).expect("sound"), hash);
        *(if file.hashes.is_none() { &mut proven_by_block } else { &mut recorded }) += 1;
    }
    assert!(proven_by_block >= 30 && recorded >= 3, "{proven_by_block} {recorded}");
}
