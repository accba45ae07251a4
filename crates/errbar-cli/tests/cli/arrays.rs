//! Arrays and parts of them, listed and taken out.

use std::fs;

use errbar::DType;
use serde_json::Value;

use crate::bench::{Bench, field, npy};

/// The elements of a little-endian `.npy` file and its shape as the header writes it.
fn elements<const N: usize>(npy: &[u8]) -> (String, Vec<[u8; N]>) {
    let header_len = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    let header = String::from_utf8_lossy(&npy[10..10 + header_len]).into_owned();
    let from = header.find("'shape': ").expect("a shape") + 9;
    let to = from + header[from..].find(')').expect("a tuple") + 1;
    let values = npy[10 + header_len..].chunks_exact(N).map(|chunk| chunk.try_into().expect("whole")).collect();
    (header[from..to].into(), values)
}

#[test]
fn arrays_are_listed_as_their_readers_index_them() {
    let bench = Bench::packed(&["-b", "T.npy=abs=0.01"]);
    let lines = bench.run(&["list", "--json", "--arrays", "a.eba"]).json();
    assert_eq!((&lines[0]["path"], &lines[0]["shape"], &lines[0]["bound"]), (&"F.npy".into(), &vec![2, 3].into(), &Value::Null));
    assert_eq!((&lines[1]["path"], &lines[1]["shape"], &lines[1]["dtype"]), (&"T.npy".into(), &vec![12, 10, 8].into(), &"f32".into()));
    let text = bench.run(&["list", "--arrays", "a.eba"]).well();
    assert!(text.lines().any(|line| line.starts_with("T.npy     f32    12x10x8  abs=0.01")), "{text}");
}

#[test]
fn slices_are_those_of_numpy() {
    let bench = Bench::packed(&[]);
    let get = |member: &str| {
        let run = bench.run(&["get", "a.eba", member]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{member}");
        run.out
    };
    assert_eq!(get("T.npy"), bench.read("t/T.npy"));
    let (_, all) = elements::<4>(&field());
    let at = |i: usize, j: usize, k: usize| all[(i * 10 + j) * 8 + k];
    let (shape, values) = elements::<4>(&get("T.npy[2:4,-1,1:3]"));
    assert_eq!((shape.as_str(), values), ("(2, 2)", vec![at(2, 9, 1), at(2, 9, 2), at(3, 9, 1), at(3, 9, 2)]));
    let (shape, values) = elements::<4>(&get("T.npy[...,7]"));
    assert_eq!((shape.as_str(), values.len(), values[13]), ("(12, 10)", 120, at(1, 3, 7)));
    assert_eq!(elements::<4>(&get("T.npy[11,9,7]")), ("()".into(), vec![at(11, 9, 7)]));
    assert_eq!(elements::<4>(&get("T.npy[5:2]")), ("(0, 10, 8)".into(), vec![]));
    // First index fastest: the column [1, 4], and the row [3, 4, 5].
    assert_eq!(elements::<2>(&get("F.npy[:,1]")), ("(2,)".into(), vec![[1, 0], [4, 0]]));
    assert_eq!(elements::<2>(&get("F.npy[1]")), ("(3,)".into(), vec![[3, 0], [4, 0], [5, 0]]));

    bench.run(&["get", "a.eba", "T.npy[0:4:2]"]).fails(2, &["steps are not supported"]);
    bench.run(&["get", "a.eba", "T.npy[12]"]).fails(2, &["index 12 is outside dimension 0, which has 12", "in: 'T.npy'"]);
    bench.run(&["get", "a.eba", "T.npy[0,0,0,0]"]).fails(2, &["4 items for 3 dimensions"]);
    bench.run(&["get", "a.eba", "T.npy:u[0]"]).fails(1, &["no variable 'u[0]'", "its array has no name"]);
    bench.run(&["get", "a.eba", "notes.txt"]).fails(1, &["no array was found", "errbar cat"]);
}

#[test]
fn names_with_colons_and_brackets_can_be_reached() {
    let bench = Bench::new();
    let numbers = |n: u8| npy(DType::U8, &[u64::from(n)], false, (0..n).collect());
    bench.write("t/a[1]", &numbers(3));
    bench.write("t/a:b[1]", &numbers(4));
    bench.write("t/a", &numbers(5));
    bench.run(&["pack", "-q", "t", "a.eba"]).well();
    let count = |member: &str| elements::<1>(&bench.run(&["get", "a.eba", member]).out).1.len();
    assert_eq!((count("a[1]"), count("a:b[1]"), count("a:b[1][1:3]"), count("a[1:]")), (3, 4, 2, 4));
}

#[test]
fn get_replaces_files_only_when_told() {
    let bench = Bench::packed(&[]);
    bench.run(&["get", "a.eba", "T.npy", "-o", "x.npy"]).well();
    assert_eq!(bench.read("x.npy"), field());
    bench.write("x.npy", b"mine");
    bench.run(&["get", "a.eba", "T.npy", "-o", "x.npy"]).fails(3, &["refused: 'x.npy' exists already", "try: "]);
    assert_eq!(bench.read("x.npy"), b"mine");
    bench.run(&["get", "a.eba", "T.npy", "-f", "-o", "x.npy"]).well();
    assert_eq!(bench.read("x.npy"), field());
    // A link is written through, never replaced.
    std::os::unix::fs::symlink("x.npy", bench.path("l.npy")).expect("links can be made");
    bench.run(&["get", "a.eba", "T.npy[0]", "-f", "-o", "l.npy"]).well();
    assert!(bench.path("l.npy").is_symlink());
    assert_eq!(elements::<4>(&bench.read("x.npy")).0, "(10, 8)");
    bench.run(&["get", "a.eba", "T.npy", "-o", "/dev/full"]).fails(3, &["cannot write '/dev/full'"]);
    let left: Vec<_> = fs::read_dir(bench.path("")).expect("it can be listed").map(|item| item.expect("it is there").file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}
