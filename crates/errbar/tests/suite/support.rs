//! Trees to pack, and what every test does with them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use errbar::{Archive, Array, DType, Packer, Policy, Unpacker};

/// A small generator (Steele et al., Fast splittable pseudorandom number generators, 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// A smooth field of f32 with a hole of NaN, as a `.npy` file.
pub fn field(shape: &[u64]) -> Array {
    let n: u64 = shape.iter().product();
    let width = shape.last().copied().unwrap_or(1).max(1);
    let value = |i: u64| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        // Without noise, keeping every bit of a sum of two functions costs next to nothing.
        let noise = (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as f32 * 1e-5;
        if i % 97 == 13 { f32::NAN } else { 280.0 + (x * 0.05).sin() * 8.0 + (y * 0.03).cos() * 5.0 + noise }
    };
    let bytes = (0..n).flat_map(|i| value(i).to_le_bytes()).collect();
    Array { dtype: DType::F32, big_endian: false, column_major: false, shape: shape.to_vec(), bytes }
}

/// A tree with everything that a small test can hold.
pub fn sample(root: &Path) {
    let mut random = Random(1);
    fs::create_dir_all(root.join("run/deep/er")).expect("made");
    fs::create_dir(root.join("empty")).expect("made");
    let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).expect("written");
    write("nothing", b"");
    write("notes.txt", b"what was measured, and when\n".repeat(40).as_slice());
    write("run/noise.bin", &random.bytes(300_000));
    write("run/table.csv", (0..9000).map(|i| format!("{i},{}\n", i * i % 97)).collect::<String>().as_bytes());
    write("run/T.npy", &field(&[40, 60]).to_npy());
    write("run/deep/big.npy", &field(&[3, 400, 500]).to_npy());
    write("run/deep/er/x", b"x");
    for i in 0..30 {
        write(&format!("run/deep/small{i}"), &random.bytes(50 + i * 7));
    }
}

/// Packs a tree in memory.
pub fn pack(root: &Path, policy: &[&str]) -> Vec<u8> {
    pack_with(root, policy, 0)
}

pub fn pack_with(root: &Path, rules: &[&str], threads: usize) -> Vec<u8> {
    let mut policy = Policy::lossless();
    rules.iter().for_each(|rule| policy.add(rule).expect("a rule"));
    let mut bytes = Vec::new();
    let report = Packer::new().policy(policy).threads(threads).pack(root, &mut bytes).expect("packed");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    bytes
}

/// Opens and checks an archive in memory.
pub fn open(bytes: &[u8]) -> errbar::Result<Archive> {
    Archive::from_bytes(bytes.to_vec())?.checked()
}

/// Unpacks everything that can be unpacked; gives the number of entries that could not.
pub fn unpack(archive: &Archive, out: &Path, threads: usize) -> usize {
    Unpacker::new().threads(threads).keep_going(true).unpack(archive, out).expect("unpacked").problems.len()
}

/// Path, kind, mode, time and content of everything below a folder.
pub fn describe(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for item in fs::read_dir(&folder).expect("a folder") {
            let path = item.expect("an item").path();
            let m = path.symlink_metadata().expect("there");
            let content = if m.is_dir() {
                open.push(path.clone());
                "directory".into()
            } else if m.is_symlink() {
                format!("link {:?}", fs::read_link(&path).expect("a link"))
            } else {
                blake3::hash(&fs::read(&path).expect("a file")).to_string()
            };
            let mode = if m.is_symlink() { 0 } else { m.mode() };
            let text = format!("{mode:o} {}.{:09} {} {content}", m.mtime(), m.mtime_nsec(), if m.is_dir() { 0 } else { m.nlink() });
            found.insert(path.strip_prefix(root).expect("below").as_os_str().as_bytes().to_vec(), text);
        }
    }
    found
}
