//! Small files of every format that is looked into: packed, read value by value, restored.

use std::fs;
use std::path::{Path, PathBuf};

use errbar::{Archive, Array, Mode, Packer, Range};

use crate::support::{describe, open, pack, unpack};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/formats")
}

/// The elements little-endian and in C order of the shape that users see.
fn as_read(array: Array) -> Vec<u8> {
    let Array { mut bytes, shape, .. } = array;
    if array.big_endian {
        bytes.chunks_exact_mut(array.dtype.word()).for_each(<[u8]>::reverse);
    }
    if !array.column_major {
        return bytes;
    }
    let item = array.dtype.size();
    let mut all = Vec::with_capacity(bytes.len());
    for k in 0..shape.iter().product::<u64>() {
        let (mut rest, mut index) = (k, vec![0; shape.len()]);
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        let at = index.iter().zip(&shape).rev().fold(0, |at, (i, n)| at * n + i);
        all.extend_from_slice(&bytes[at as usize * item..][..item]);
    }
    all
}

/// Compares every array that the formats' own libraries read; gives how many there are.
fn compare(archive: &Archive, table: &str) -> usize {
    for row in table.lines() {
        let [file, name, dtype, shape, sum] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let dims: Vec<u64> = shape.split('x').filter_map(|n| n.parse().ok()).collect();
        // Arrays that one name in the file stands for are numbered.
        let names = [name.to_owned(), format!("{name}#2"), format!("{name}#3")];
        let read = |name: &String| archive.read_variable(file.as_bytes(), name, &[]).ok().map(|array| (name.clone(), array));
        let fits = |(_, array): &(String, Array)| (array.dtype.name(), &array.shape) == (dtype, &dims);
        let (name, array) = names.iter().filter_map(read).find(fits).unwrap_or_else(|| panic!("not found: {row}"));
        if let [n, ..] = array.shape[..] {
            let mut slice: Vec<Range> = array.shape.iter().map(|&stop| Range { start: 0, stop }).collect();
            slice[0].start = n / 2;
            let half = archive.read_variable(file.as_bytes(), &name, &slice).expect("a part of it");
            assert_eq!(half.shape[0], n - n / 2, "{row}");
        }
        assert_eq!(format!("{:08x}", crc32fast::hash(&as_read(array))), sum, "{row}");
    }
    table.lines().count()
}

#[test]
fn arrays_are_those_that_the_formats_libraries_read_and_files_come_back() {
    let table = fs::read_to_string(samples().join("expected.tsv")).expect("the table");
    for mode in [Mode::Fast, Mode::Balanced, Mode::Small] {
        let mut bytes = Vec::new();
        let report = Packer::new().mode(mode).pack(&samples(), &mut bytes).expect("packed");
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        let archive = open(&bytes).expect("sound");
        let out = tempfile::tempdir().expect("tmp");
        assert_eq!(unpack(&archive, out.path(), 2), 0);
        assert!(describe(out.path()) == describe(&samples()), "{mode:?}: the tree that comes back is another one");
        if mode != Mode::Fast {
            assert!(compare(&archive, &table) > 100);
        }
    }
}

/// Copies what is in a folder into another.
fn copy(from: &Path, to: &Path) {
    for item in fs::read_dir(from).expect("a folder") {
        let (from, to) = (item.as_ref().expect("an item").path(), to.join(item.expect("an item").file_name()));
        if from.is_dir() {
            fs::create_dir(&to).expect("created");
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("copied");
        }
    }
}

#[test]
fn a_bound_by_wildcard_leaves_coordinates_alone() {
    let dir = tempfile::tempdir().expect("tmp");
    copy(&samples(), dir.path());
    let archive = open(&pack(dir.path(), &["abs=0.01"])).expect("sound");
    let out = tempfile::tempdir().expect("tmp");
    assert_eq!(unpack(&archive, out.path(), 2), 0);
    let compared = errbar::Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
    assert!(compared.differences.is_empty(), "{:?}", compared.differences);
    assert!(compared.variables.iter().all(|variable| !["lat", "lon", "time"].contains(&variable.name.as_str())));
}
