//! The program as its users meet it: what it prints, what it leaves behind, how it exits.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use errbar::{Array, DType};
use serde_json::Value;
use tempfile::TempDir;

const COMMANDS: [&str; 12] = ["pack", "unpack", "list", "info", "verify", "cat", "get", "diff", "codecs", "bench", "completions", "man"];

/// A folder with a tree `t` in it, where the program runs.
struct Bench {
    folder: TempDir,
}

struct Run {
    code: Option<i32>,
    out: Vec<u8>,
    err: String,
}

impl Run {
    fn new(output: Output) -> Run {
        Run { code: output.status.code(), out: output.stdout, err: String::from_utf8(output.stderr).expect("messages are text") }
    }

    /// Standard output, after exit code 0 and without a word on standard error.
    fn well(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""));
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8(self.out.clone()).expect("output is text")
    }

    /// Standard output as JSON lines.
    fn json(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// Checks the exit code, and that standard error has all of `words`.
    fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert!(self.err.starts_with("errbar: "), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "'{word}' is not in: {}", self.err);
        }
    }
}

/// Values that no short pattern explains.
fn noise(n: usize) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(0x9E37_79B9_7F4A_7C15u64), |&x| {
        let x = x ^ x << 13;
        let x = x ^ x >> 7;
        Some(x ^ x << 17)
    })
    .take(n)
}

fn npy(dtype: DType, shape: &[u64], column_major: bool, bytes: Vec<u8>) -> Vec<u8> {
    Array { dtype, big_endian: false, column_major, shape: shape.to_vec(), bytes }.to_npy()
}

/// A walk of small steps, 12 x 10 x 8.
fn field() -> Vec<u8> {
    let mut sum = 0.0f32;
    let steps = noise(960).map(|x| {
        sum += (x % 1000) as f32 * 1e-3 - 0.5;
        sum
    });
    npy(DType::F32, &[12, 10, 8], false, steps.flat_map(f32::to_le_bytes).collect())
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { folder: tempfile::tempdir().expect("there is room for a folder") };
        fs::create_dir_all(bench.path("t/sub")).expect("the folder is new");
        bench.write("t/notes.txt", b"every byte comes back\n");
        bench.write("t/T.npy", &field());
        // [[0, 1, 2], [3, 4, 5]], first index fastest.
        bench.write("t/F.npy", &npy(DType::I16, &[2, 3], true, [0i16, 3, 1, 4, 2, 5].into_iter().flat_map(i16::to_le_bytes).collect()));
        bench.write("t/sub/empty", b"");
        std::os::unix::fs::symlink("notes.txt", bench.path("t/link")).expect("links can be made");
        bench
    }

    /// With the tree packed into `a.eba`.
    fn packed(options: &[&str]) -> Bench {
        let bench = Bench::new();
        bench.run(&[&["pack", "-q", "t", "a.eba"], options].concat()).well();
        bench
    }

    fn path(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("the folder can be written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect(name)
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_errbar"));
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        command
    }

    fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        Run::new(self.command(args).output().expect("the program runs"))
    }

    /// Runs with `input` on standard input.
    fn feed(&self, args: &[&str], input: &[u8]) -> Run {
        let mut child = self.spawn(args);
        child.stdin.take().expect("it is a pipe").write_all(input).expect("the program reads its input");
        Run::new(child.wait_with_output().expect("the program runs"))
    }

    fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// Flips a bit of the archive.
    fn damage(&self, at: usize) {
        let mut bytes = self.read("a.eba");
        bytes[at] ^= 1;
        self.write("a.eba", &bytes);
    }

    /// Where a block's frame begins in the archive.
    fn block_at(&self, path: &str) -> usize {
        let blocks = self.run(&["info", "--blocks", "--json", "a.eba"]).json();
        let block = blocks.iter().find(|line| line["message_type"] == "block" && line["path"] == path).expect(path);
        block["frame_offset"].as_u64().expect("a number") as usize
    }
}

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
fn the_first_screen_has_examples_commands_and_exit_codes() {
    let bench = Bench::new();
    let help = bench.run(&["--help"]).well();
    assert_eq!(help.lines().filter(|line| line.starts_with("  errbar ")).count(), 6);
    for command in COMMANDS {
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}");
        let own = bench.run(&[command, "--help"]).well();
        assert!(own.contains(&format!("Usage: errbar {command}")), "{own}");
    }
    assert!(help.contains("Exit codes:\n  0  "));
    assert_eq!(bench.run(&["--version"]).well(), concat!("errbar ", env!("CARGO_PKG_VERSION"), "\n"));
    let bare = bench.run::<&str>(&[]);
    assert_eq!((bare.code, bare.out.len()), (Some(2), 0));
    assert!(bare.err.contains("Usage: errbar <COMMAND>"));
}

#[test]
fn a_tree_is_packed_listed_verified_and_restored() {
    let bench = Bench::new();
    let said = bench.run(&["pack", "t", "a.eba"]).well();
    assert!(said.starts_with("packed 6 entries (4 files), "), "{said}");
    assert_eq!(bench.run(&["list", "a.eba"]).well(), "F.npy\nT.npy\nlink\nnotes.txt\nsub\nsub/empty\n");
    assert_eq!(bench.run(&["list", "a.eba", "sub/", "link"]).well(), "link\nsub\nsub/empty\n");
    let long = bench.run(&["list", "-l", "a.eba"]).well();
    assert!(long.lines().any(|line| line.starts_with("lrwxrwxrwx") && line.ends_with("  link -> notes.txt")), "{long}");
    assert!(long.lines().any(|line| line.starts_with("-rw") && line.contains("22 B") && line.ends_with("  notes.txt")), "{long}");
    assert!(bench.run(&["verify", "a.eba", "--against", "t"]).well().starts_with("sound: 4 files in "));
    assert!(bench.run(&["verify", "--quick", "a.eba"]).well().starts_with("checksums right: 4 files in "));
    assert_eq!(bench.run(&["verify", "-q", "a.eba"]).well(), "");
    assert_eq!(bench.run(&["cat", "a.eba", "notes.txt"]).well(), "every byte comes back\n");
    assert!(bench.run(&["unpack", "a.eba", "out"]).well().starts_with("restored 6 entries (4 files), "));
    assert!(bench.run(&["diff", "a.eba", "out"]).well().ends_with("0 differences in 4 files\n"));
    for name in ["notes.txt", "T.npy", "F.npy", "sub/empty"] {
        assert_eq!(bench.read(&format!("t/{name}")), bench.read(&format!("out/{name}")), "{name}");
    }
    bench.run(&["unpack", "-q", "a.eba", "part", "sub"]).well();
    assert!(bench.path("part/sub/empty").exists() && !bench.path("part/notes.txt").exists());
}

#[test]
fn a_bound_is_reported_with_the_worst_error_found() {
    let bench = Bench::new();
    let run = bench.run(&["pack", "--json", "--bound", "*.npy=abs=0.01", "t", "a.eba"]);
    assert_eq!(run.code, Some(0));
    let lines = run.json();
    let [variable, summary] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(
        (&variable["message_type"], &variable["path"], &variable["bound"]),
        (&"variable".into(), &"T.npy".into(), &"abs=0.01".into())
    );
    let worst = variable["max_error"].as_f64().expect("a number");
    assert!(worst > 0.0 && worst <= 0.01, "{worst}");
    assert_eq!((&summary["message_type"], &summary["n_files"]), (&"summary".into(), &4.into()));

    let text = bench.run(&["pack", "--force", "-b", "*.npy=abs=0.01", "t", "a.eba"]).well();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("variable  bound") && lines[0].contains("worst error"), "{text}");
    assert!(lines[1].starts_with("T.npy     abs=0.01") && lines[1].contains("uniform(step"), "{text}");
    assert_eq!(lines.len(), 3, "{text}");

    // The same table afterwards, from the archive alone and against the originals.
    let info = bench.run(&["info", "a.eba"]).well();
    assert!(info.contains("policy       *.npy=abs=0.01\n") && info.contains("features     LOSSY\n"), "{info}");
    assert!(info.lines().any(|line| line.starts_with("T.npy") && line.contains("abs=0.01")), "{info}");
    let verified = bench.run(&["verify", "--json", "a.eba", "--against", "t"]).json();
    assert_eq!((&verified[0]["path"], &verified[0]["violations"]), (&"T.npy".into(), &0.into()));
    let again = verified[0]["max_error"].as_f64().expect("a number");
    assert!(again > 0.0 && again <= 0.01, "{again}");

    // To a comparison that knows no bounds, lossy is different.
    let differs = bench.run(&["diff", "a.eba", "t"]);
    assert_eq!((differs.code, differs.err.as_str()), (Some(1), ""));
    assert!(differs.text().starts_with("'T.npy'") && differs.text().ends_with("1 difference in 4 files\n"), "{}", differs.text());
}

#[test]
fn values_outside_the_bound_fail_verification_against_the_originals() {
    let bench = Bench::packed(&["-b", "*.npy=abs=0.01"]);
    let mut original = field();
    let end = original.len();
    original[end - 4..].copy_from_slice(&1e6f32.to_le_bytes());
    bench.write("t/T.npy", &original);
    bench.run(&["verify", "a.eba", "--against", "t"]).fails(1, &["differs", "in: 'T.npy'"]);
}

#[test]
fn a_bound_that_touches_nothing_is_noted() {
    let bench = Bench::new();
    let run = bench.run(&["pack", "-b", "other*.npy=abs=1", "t", "a.eba"]);
    assert_eq!(run.code, Some(0));
    assert!(run.err.contains("no floating-point variable matched a bound"), "{}", run.err);
}

#[test]
fn a_dry_run_says_what_and_why_and_writes_nothing() {
    let bench = Bench::new();
    bench.write("p.toml", b"[[rule]]\nmatch = '*.npy'\nbound = 'abs=5'\nmode = 'small'\n");
    let run = bench.run(&["pack", "-n", "--json", "--policy", "p.toml", "-b", "T.npy=abs=0.5", "t", "a.eba"]);
    assert_eq!(run.code, Some(0));
    let lines = run.json();
    let field = lines.iter().find(|line| line["path"] == "T.npy").expect("it is planned");
    // Rules of --bound come after those of the file, and the last one wins.
    assert_eq!((&field["bound"], &field["mode"]), (&"abs=0.5".into(), &"small".into()));
    let integers = lines.iter().find(|line| line["path"] == "F.npy").expect("it is planned");
    assert_eq!(integers["bound"], Value::Null);
    assert!(integers["why"].as_str().expect("text").contains("not floating-point"));
    assert!(bench.run(&["pack", "--dry-run", "t"]).well().ends_with("2 variables; nothing was packed\n"));
    assert!(!bench.path("a.eba").exists());
}

#[test]
fn metadata_and_the_specification_travel_along() {
    let bench = Bench::packed(&["--meta", "doi=10.1/x=y", "--meta", "creator=A", "--with-spec", "--mode", "fast"]);
    let lines = bench.run(&["info", "--json", "a.eba"]).json();
    let info = lines.last().expect("a summary");
    assert_eq!(info["meta"], serde_json::json!([["doi", "10.1/x=y"], ["creator", "A"]]));
    assert_eq!((&info["mode"], &info["n_entries"]), (&"fast".into(), &6.into()));
    let documents = info["documents"].as_array().expect("a list");
    let size = |name: &str| documents.iter().find(|d| d["name"] == name).map(|d| d["bytes"].as_u64());
    for name in ["errbar-1.md", "reader.py", "stages/uniform.md"] {
        assert!(size(name).flatten().is_some_and(|bytes| bytes > 100), "{name}");
    }
    let stages = info["stages"].as_array().expect("a list");
    assert!(stages.iter().any(|stage| stage["kind"] == "quantizer" && stage["name"] == "none" && stage["readable"] == true));
}

#[test]
fn every_json_line_is_an_object_with_a_type() {
    let bench = Bench::packed(&["-b", "abs=0.01"]);
    let commands: [&[&str]; 8] = [
        &["pack", "--json", "-f", "t", "b.eba"],
        &["unpack", "--json", "a.eba", "out"],
        &["list", "--json", "a.eba"],
        &["list", "--json", "--arrays", "a.eba"],
        &["info", "--json", "--blocks", "a.eba"],
        &["verify", "--json", "a.eba"],
        &["diff", "--json", "a.eba", "b.eba"],
        &["codecs", "--json"],
    ];
    for command in commands {
        let run = bench.run(command);
        let lines = run.json();
        assert!(!lines.is_empty() && lines.iter().all(|line| line["message_type"].is_string()), "{command:?}");
    }
    let entries = bench.run(&["list", "--json", "a.eba"]).json();
    assert_eq!((&entries[2]["type"], &entries[2]["target"]), (&"symlink".into(), &"notes.txt".into()));
    assert_eq!((&entries[1]["lossless"], &entries[3]["lossless"]), (&false.into(), &true.into()));
    let differs = bench.run(&["diff", "--json", "a.eba", "b.eba"]);
    assert_eq!(differs.code, Some(1));
    let error = &differs.json()[0];
    assert_eq!((&error["message_type"], &error["kind"], &error["path"]), (&"error".into(), &"differs".into(), &"T.npy".into()));
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
    let left: Vec<_> =
        fs::read_dir(bench.folder.path()).expect("it can be listed").map(|item| item.expect("it is there").file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn archives_go_through_pipes() {
    let bench = Bench::packed(&[]);
    let piped = bench.run(&["pack", "t", "-"]);
    assert_eq!(piped.code, Some(0));
    assert!(piped.err.starts_with("packed 6 entries"), "{}", piped.err);
    assert_eq!(piped.out, bench.read("a.eba"));
    bench.feed(&["unpack", "-q", "-", "out"], &piped.out).well();
    assert_eq!(bench.read("out/T.npy"), field());
    assert_eq!(bench.feed(&["cat", "-", "notes.txt"], &piped.out).well(), "every byte comes back\n");
    bench.run(&["pack", "--json", "t", "-"]).fails(2, &["cannot both go to standard output"]);
}

#[test]
fn existing_files_stay() {
    let bench = Bench::packed(&[]);
    let before = bench.read("a.eba");
    bench.run(&["pack", "t", "a.eba"]).fails(3, &["refused: 'a.eba' exists already", "--force"]);
    assert_eq!(bench.read("a.eba"), before);
    fs::create_dir(bench.path("out")).expect("the name is free");
    bench.write("out/notes.txt", b"mine");
    bench.run(&["unpack", "--keep-going", "a.eba", "out"]).fails(3, &["in: 'notes.txt'", "--force"]);
    assert_eq!((bench.read("out/notes.txt"), bench.read("out/T.npy")), (b"mine".to_vec(), field()));
    bench.run(&["unpack", "-q", "--force", "a.eba", "out"]).well();
    assert_eq!(bench.read("out/notes.txt"), b"every byte comes back\n");
}

#[test]
fn damage_is_named_and_the_rest_restored() {
    let bench = Bench::packed(&[]);
    bench.damage(bench.block_at("T.npy") + 300);
    for command in [&["verify", "a.eba"][..], &["get", "a.eba", "T.npy"], &["unpack", "a.eba", "out"]] {
        bench.run(command).fails(1, &["corrupt: ", "T.npy"]);
    }
    bench.run(&["verify", "--quick", "a.eba"]).fails(1, &["corrupt: payload does not match its checksum"]);
    let run = bench.run(&["unpack", "--json", "--keep-going", "a.eba", "rest"]);
    run.fails(1, &["in: 'T.npy'"]);
    assert!(!bench.path("rest/T.npy").exists());
    assert_eq!(bench.read("rest/notes.txt"), b"every byte comes back\n");
    let lines = run.json();
    assert!(lines.iter().any(|line| line["message_type"] == "error" && line["kind"] == "corrupt" && line["path"] == "T.npy"), "{lines:?}");
    assert_eq!(lines.last().expect("a summary")["n_files"], 3);
}

#[test]
fn a_lost_end_is_damage_and_the_list_is_rebuilt() {
    let bench = Bench::packed(&[]);
    let bytes = bench.read("a.eba");
    bench.write("a.eba", &bytes[..bytes.len() - 40]);
    let run = bench.run(&["list", "a.eba"]);
    run.fails(1, &["errbar: "]);
    assert_eq!(run.text().lines().count(), 6);
    assert_eq!(bench.run(&["cat", "a.eba", "notes.txt"]).text(), "every byte comes back\n");
}

#[test]
fn exit_codes_tell_failures_apart() {
    let bench = Bench::packed(&[]);
    bench.run(&["frobnicate"]).fails(2, &["usage: unrecognized subcommand 'frobnicate'"]);
    bench.run(&["pack", "t"]).fails(2, &["usage: ", "<ARCHIVE>"]);
    bench.run(&["pack", "-b", "abs=-1", "t", "b.eba"]).fails(2, &["bound 'abs=-1'", "try: write abs=0.01"]);
    bench.run(&["pack", "--meta", "x", "t", "b.eba"]).fails(2, &["KEY=VALUE"]);
    bench.run(&["bench", "--threads", "2", "t/T.npy"]).fails(2, &["usage: "]);
    bench.run(&["diff", "t", "a.eba"]).fails(2, &["give the archive first"]);
    bench.run(&["pack", "nowhere", "b.eba"]).fails(3, &["io: ", "nowhere"]);
    bench.run(&["pack", "--policy", "nowhere.toml", "t", "b.eba"]).fails(3, &["cannot read the policy file 'nowhere.toml'"]);
    bench.run(&["list", "nowhere.eba"]).fails(3, &["cannot open 'nowhere.eba'"]);
    bench.run(&["list", "t/notes.txt"]).fails(1, &["errbar: ", "t/notes.txt"]);
    bench.run(&["list", "a.eba", "nope"]).fails(1, &["no such entry", "in: 'nope'"]);
    bench.run(&["cat", "a.eba", "nope"]).fails(1, &["no such file", "in: 'nope'"]);
    bench.run(&["cat", "a.eba", "sub"]).fails(1, &["in: 'sub'"]);
    bench.run(&["unpack", "a.eba", "out", "nope"]).fails(1, &["no such entry", "in: 'nope'"]);
    bench.run(&["verify", "a.eba", "--against", "nowhere"]).fails(3, &["nowhere"]);
    assert!(!bench.path("b.eba").exists());
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let bench = Bench::packed(&[]);
    let commands: [&[&str]; 10] = [
        &["list", "a.eba"],
        &["info", "a.eba"],
        &["verify", "--json", "a.eba"],
        &["cat", "a.eba", "notes.txt"],
        &["get", "a.eba", "T.npy"],
        &["codecs"],
        &["completions", "bash"],
        &["man"],
        &["pack", "-q", "t", "-"],
        &["--help"],
    ];
    for command in commands {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("the system has one");
        let run = Run::new(bench.command(command).stdout(full).output().expect("the program runs"));
        run.fails(3, &["io: ", "No space left on device"]);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::packed(&[]);
    for command in [&["list", "-"][..], &["info", "-"], &["cat", "-", "notes.txt"], &["verify", "-"]] {
        let mut child = bench.spawn(command);
        // It waits for its input, so its output is closed before it writes.
        drop(child.stdout.take());
        child.stdin.take().expect("it is a pipe").write_all(&bench.read("a.eba")).expect("the program reads its input");
        let run = Run::new(child.wait_with_output().expect("the program runs"));
        assert_eq!((run.code, run.err.as_str()), (Some(141), ""), "{command:?}");
    }
}

#[test]
fn names_cannot_act_on_a_terminal() {
    let bench = Bench::new();
    bench.write(Path::new("t").join(OsStr::from_bytes(b"\xff\x1b[2J\n")), b"x");
    bench.run(&["pack", "-q", "t", "a.eba"]).well();
    let text = bench.run(&["list", "a.eba"]).well();
    assert!(text.ends_with("\n\\xff\\u{1b}[2J\\n\n"), "{text}");
    let lines = bench.run(&["list", "--json", "a.eba"]).json();
    let odd = lines.last().expect("an entry");
    assert_eq!((&odd["path"], &odd["path_hex"]), (&"\\xff\\u{1b}[2J\\n".into(), &"ff1b5b324a0a".into()));
    let cat = bench.run(&[OsStr::new("cat"), OsStr::new("a.eba"), OsStr::from_bytes(b"\xff\x1b[2J\n")]);
    assert_eq!(cat.well(), "x");
    bench.run(&["cat", "a.eba", "no\x1b[2J"]).fails(1, &["in: 'no\\u{1b}[2J'"]);
}

#[test]
fn what_cannot_be_packed_is_noted_and_no_failure() {
    let bench = Bench::new();
    let made = Command::new("mkfifo").arg(bench.path("t/pipe")).status().expect("the system has mkfifo");
    assert!(made.success());
    let run = bench.run(&["pack", "t", "a.eba"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.starts_with("errbar: note: ") && run.err.contains("in: 'pipe'"), "{}", run.err);
    assert_eq!(bench.run(&["list", "a.eba"]).well().lines().count(), 6);
}

#[test]
fn archives_are_compared() {
    let bench = Bench::packed(&[]);
    bench.write("t/notes.txt", b"every byte comes baCk\n");
    bench.write("t/new", b"");
    bench.run(&["pack", "-q", "t", "b.eba"]).well();
    let run = bench.run(&["diff", "a.eba", "b.eba"]);
    assert_eq!((run.code, run.err.as_str()), (Some(1), ""));
    let text = run.text();
    assert!(text.lines().any(|line| line.starts_with("'notes.txt'")) && text.lines().any(|line| line.starts_with("'new'")), "{text}");
    let quiet = bench.run(&["diff", "-q", "a.eba", "t"]);
    assert_eq!((quiet.code, quiet.text().as_str()), (Some(1), ""));
    assert!(bench.run(&["diff", "b.eba", "t"]).well().ends_with("0 differences in 5 files\n"));
}

#[test]
fn stages_are_listed_from_the_registry() {
    let bench = Bench::new();
    let text = bench.run(&["codecs"]).well();
    let lines = bench.run(&["codecs", "--json"]).json();
    let registry = errbar::Registry::core();
    assert_eq!(lines.len(), registry.quantizers().len() + registry.transforms().len() + registry.coders().len());
    for line in &lines {
        let field = |name: &str| line[name].as_str().expect("text").to_owned();
        assert!(text.contains(&format!("{:<9}  {}/{}\n", field("kind"), field("name"), line["version"])), "{line}");
        assert!(!field("summary").is_empty() && !field("guarantee").is_empty(), "{line}");
    }
}

#[test]
fn a_benchmark_gives_one_object_a_file() {
    let bench = Bench::new();
    let run = bench.run(&["bench", "--json", "--threads", "1", "--bound", "abs=0.01", "t/T.npy", "t/F.npy"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let lines = run.json();
    let names: Vec<&String> = lines[0].as_object().expect("an object").keys().collect();
    let figures = ["raw_bytes", "coded_bytes", "encode_s", "decode_s", "max_error", "psnr", "sqnr_db"];
    assert_eq!(names, [&["file", "dtype", "shape"][..], &figures, &["pipeline", "choice", "limit"]].concat());
    let worst = lines[0]["max_error"].as_f64().expect("a number");
    assert!(worst > 0.0 && worst <= 0.01);
    assert_eq!((&lines[0]["raw_bytes"], &lines[1]["max_error"], &lines[1]["psnr"]), (&3840.into(), &0.0.into(), &Value::Null));
    let text = bench.run(&["bench", "t/T.npy"]).well();
    assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("t/T.npy  f32    12x10x8")), "{text}");
    bench.run(&["bench", "t/notes.txt"]).fails(2, &["in: 't/notes.txt'"]);
}

#[test]
fn completions_and_manual_are_generated() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.run(&["completions", shell]).well();
        assert!(script.contains("errbar") && script.contains("keep-going"), "{shell}");
    }
    bench.run(&["man", "pages"]).well();
    assert!(bench.run(&["man"]).well().contains(".TH errbar 1"));
    for command in COMMANDS {
        let page = String::from_utf8(bench.read(&format!("pages/errbar-{command}.1"))).expect("roff is text");
        assert!(page.contains(&format!(".TH errbar-{command} 1")) && page.contains(".SH SYNOPSIS"), "{page}");
    }
    assert_eq!(fs::read_dir(bench.path("pages")).expect("it was made").count(), COMMANDS.len() + 1);
}

/// Starts packing more than fits into pipes and queues, and waits until some of it has come out.
fn packing(bench: &Bench) -> Child {
    let bytes: Vec<u8> = noise(8 << 20).flat_map(u64::to_le_bytes).collect();
    bench.write("t/noise", &bytes);
    let mut child = bench.spawn(&["pack", "-q", "--mode", "fast", "--threads", "1", "t", "-"]);
    child.stdout.as_mut().expect("it is a pipe").read_exact(&mut [0]).expect("something comes out");
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("the system has kill");
    assert!(sent.success());
}

#[test]
fn a_signal_stops_a_run_in_order() {
    let bench = Bench::new();
    let child = packing(&bench);
    signal(&child, "TERM");
    let run = Run::new(child.wait_with_output().expect("the program runs"));
    run.fails(143, &["interrupted"]);
    assert!(run.out.len() < 64 << 20, "{}", run.out.len());
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let bench = Bench::new();
    let mut child = packing(&bench);
    signal(&child, "INT");
    signal(&child, "TERM");
    // Nobody reads its output, so it could not end otherwise.
    let status = child.wait().expect("the program runs");
    assert_eq!(status.code(), Some(143));
}
