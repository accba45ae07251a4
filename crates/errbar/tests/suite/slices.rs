use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use errbar::record::Body;
use errbar::{Archive, Array, DType, Kind, Range, ReadAt, Registry};

use crate::support::{field, open, pack};

/// Counts reads and the bytes they give.
struct Counting {
    bytes: Vec<u8>,
    reads: Arc<AtomicU64>,
    read: Arc<AtomicU64>,
}

impl ReadAt for Counting {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        (&self.bytes[..]).read_at(buffer, at)
    }
}

/// Noise that does not compress, so that the archive is as large as it looks.
fn noise(shape: &[u64]) -> Array {
    let mut random = crate::support::Random(3);
    let n = shape.iter().product::<u64>() as usize;
    let bytes = (0..n).flat_map(|_| (random.next() as u32).to_le_bytes()).collect();
    Array { dtype: DType::U32, big_endian: false, column_major: false, shape: shape.to_vec(), bytes }
}

#[test]
fn a_slice_of_a_large_archive_takes_four_reads_and_little_more_than_its_blocks() {
    let dir = tempfile::tempdir().expect("tmp");
    let array = noise(&[64, 512, 512]);
    fs::write(dir.path().join("a.npy"), array.to_npy()).expect("written");
    for i in 0..300 {
        fs::write(dir.path().join(format!("other{i}")), [i as u8; 40]).expect("written");
    }
    let bytes = pack(dir.path(), &[]);
    assert!(bytes.len() > 64 << 20);
    let (reads, read) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let storage = Counting { bytes, reads: Arc::clone(&reads), read: Arc::clone(&read) };
    let archive = Archive::with_registry(Box::new(storage), Registry::core()).expect("opens");
    let ranges = [Range { start: 31, stop: 32 }, Range { start: 0, stop: 512 }, Range { start: 0, stop: 512 }];
    let slice = archive.read_variable(b"a.npy", "", &ranges).expect("there");
    assert_eq!(slice.bytes, array.bytes[31 << 20..32 << 20]);
    assert!(reads.load(Ordering::Relaxed) <= 4, "{} reads", reads.load(Ordering::Relaxed));
    assert!(read.load(Ordering::Relaxed) <= 5 << 20, "{} bytes read", read.load(Ordering::Relaxed));
}

#[test]
fn every_slice_is_what_indexing_gives() {
    let dir = tempfile::tempdir().expect("tmp");
    let shape = [3u64, 700, 300];
    let array = field(&shape);
    fs::write(dir.path().join("c.npy"), array.to_npy()).expect("written");
    let fortran = Array { column_major: true, shape: vec![300, 700, 3], ..array.clone() };
    fs::write(dir.path().join("f.npy"), fortran.to_npy()).expect("written");
    let archive = open(&pack(dir.path(), &[])).expect("opens");
    let at = |i: [u64; 3]| {
        let from = ((i[0] * shape[1] + i[1]) * shape[2] + i[2]) as usize * 4;
        &array.bytes[from..from + 4]
    };
    for [a, b, c] in [
        [(0, 3), (0, 700), (0, 300)],
        [(1, 2), (350, 360), (5, 6)],
        [(2, 3), (699, 700), (0, 300)],
        [(0, 3), (0, 700), (299, 300)],
        [(1, 1), (0, 0), (0, 9)],
    ] {
        let ranges = [a, b, c].map(|(start, stop)| Range { start, stop });
        let mut expected = Vec::new();
        for i in a.0..a.1 {
            for j in b.0..b.1 {
                for k in c.0..c.1 {
                    expected.extend_from_slice(at([i, j, k]));
                }
            }
        }
        assert_eq!(archive.read_variable(b"c.npy", "", &ranges).expect("there").bytes, expected);
        let reversed = [ranges[2], ranges[1], ranges[0]];
        let slice = archive.read_variable(b"f.npy", "", &reversed).expect("there");
        assert_eq!((slice.bytes, slice.column_major), (expected, true));
    }
}

#[test]
fn what_is_not_there_is_named() {
    let dir = tempfile::tempdir().expect("tmp");
    fs::write(dir.path().join("a.npy"), field(&[4, 5]).to_npy()).expect("written");
    fs::write(dir.path().join("text"), "text").expect("written");
    let archive = open(&pack(dir.path(), &[])).expect("opens");
    let get = |path: &str, name: &str, ranges: &[Range]| archive.read_variable(path.as_bytes(), name, ranges).expect_err("not there");
    assert_eq!(get("b.npy", "", &[]).kind, Kind::Differs);
    assert_eq!(get("a.npy", "T", &[]).kind, Kind::Differs);
    assert_eq!(get("text", "", &[]).kind, Kind::Differs);
    assert_eq!(get("a.npy", "", &[Range { start: 0, stop: 1 }]).kind, Kind::Usage);
    assert_eq!(get("a.npy", "", &[Range { start: 0, stop: 5 }, Range { start: 0, stop: 5 }]).kind, Kind::Usage);
}

#[test]
fn arrays_of_every_shape_come_back_row_by_row() {
    let dir = tempfile::tempdir().expect("tmp");
    for (i, shape) in
        [&[1u64, 1_500_000][..], &[2, 700, 1100], &[3, 1, 600_000], &[1, 1, 2, 400_000], &[5, 0, 7], &[]].into_iter().enumerate()
    {
        fs::write(dir.path().join(format!("{i}.npy")), field(shape).to_npy()).expect("written");
    }
    let archive = open(&pack(dir.path(), &[])).expect("opens");
    assert!(errbar::Verifier::new().verify(&archive).expect("readable").problems.is_empty());
    for i in 0..6 {
        let name = format!("{i}.npy");
        assert_eq!(archive.read_file(name.as_bytes()).expect("there"), fs::read(dir.path().join(&name)).expect("there"), "{name}");
    }
}

#[test]
fn small_arrays_stand_in_blocks_of_their_own() {
    let dir = tempfile::tempdir().expect("tmp");
    fs::write(dir.path().join("a.npy"), field(&[4, 5]).to_npy()).expect("written");
    let archive = open(&pack(dir.path(), &[])).expect("opens");
    let entry = archive.entry(b"a.npy").expect("sound").expect("there");
    let Body::File(file) = entry.body else { panic!("a file") };
    assert_eq!(file.variables[0].shape, [4, 5]);
}
