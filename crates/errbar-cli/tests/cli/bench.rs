//! A folder where the program runs, what every test puts into it, and what came of a run.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use errbar::{Array, DType};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a tree `t` in it, where the program runs.
pub struct Bench {
    folder: TempDir,
}

pub struct Run {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Run {
    pub fn new(output: Output) -> Run {
        Run { code: output.status.code(), out: output.stdout, err: String::from_utf8(output.stderr).expect("messages are text") }
    }

    /// Standard output, after exit code 0 and without a word on standard error.
    pub fn well(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""));
        self.text()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.out.clone()).expect("output is text")
    }

    /// Standard output as JSON lines, but for those that tell how far a run has come: on a busy
    /// machine they may stand anywhere.
    pub fn json(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
        lines.filter(|line: &Value| line["message_type"] != "status").collect()
    }

    /// Checks the exit code, and that standard error has all of `words`.
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert!(self.err.starts_with("errbar: "), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "'{word}' is not in: {}", self.err);
        }
    }
}

/// Values that no short pattern explains.
pub fn noise(n: usize) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(0x9E37_79B9_7F4A_7C15u64), |&x| {
        let x = x ^ x << 13;
        let x = x ^ x >> 7;
        Some(x ^ x << 17)
    })
    .take(n)
}

pub fn npy(dtype: DType, shape: &[u64], column_major: bool, bytes: Vec<u8>) -> Vec<u8> {
    Array { dtype, big_endian: false, column_major, shape: shape.to_vec(), bytes }.to_npy()
}

/// A walk of small steps, 12 x 10 x 8.
pub fn field() -> Vec<u8> {
    let mut sum = 0.0f32;
    let steps = noise(960).map(|x| {
        sum += (x % 1000) as f32 * 1e-3 - 0.5;
        sum
    });
    npy(DType::F32, &[12, 10, 8], false, steps.flat_map(f32::to_le_bytes).collect())
}

impl Bench {
    /// With nothing in the tree.
    pub fn empty() -> Bench {
        let bench = Bench { folder: tempfile::tempdir().expect("there is room for a folder") };
        fs::create_dir(bench.path("t")).expect("the folder is new");
        bench
    }

    /// With a tree of four files, a folder and a link.
    pub fn new() -> Bench {
        let bench = Bench::empty();
        fs::create_dir(bench.path("t/sub")).expect("the folder is new");
        bench.write("t/notes.txt", b"every byte comes back\n");
        bench.write("t/T.npy", &field());
        // [[0, 1, 2], [3, 4, 5]], first index fastest.
        bench.write("t/F.npy", &npy(DType::I16, &[2, 3], true, [0i16, 3, 1, 4, 2, 5].into_iter().flat_map(i16::to_le_bytes).collect()));
        bench.write("t/sub/empty", b"");
        std::os::unix::fs::symlink("notes.txt", bench.path("t/link")).expect("links can be made");
        bench
    }

    /// With the tree packed into `a.eba`.
    pub fn packed(options: &[&str]) -> Bench {
        let bench = Bench::new();
        bench.run(&[&["pack", "-q", "t", "a.eba"], options].concat()).well();
        bench
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("the folder can be written");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect(name)
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_errbar"));
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        Run::new(self.command(args).output().expect("the program runs"))
    }

    /// Runs with `input` on standard input.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> Run {
        let mut child = self.spawn(args);
        child.stdin.take().expect("it is a pipe").write_all(input).expect("the program reads its input");
        Run::new(child.wait_with_output().expect("the program runs"))
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// Flips a bit of the archive.
    pub fn damage(&self, at: usize) {
        let mut bytes = self.read("a.eba");
        bytes[at] ^= 1;
        self.write("a.eba", &bytes);
    }

    /// Where a block's frame begins in the archive.
    pub fn block_at(&self, path: &str) -> usize {
        let blocks = self.run(&["info", "--blocks", "--json", "a.eba"]).json();
        let block = blocks.iter().find(|line| line["message_type"] == "block" && line["path"] == path).expect(path);
        block["frame_offset"].as_u64().expect("a number") as usize
    }
}
