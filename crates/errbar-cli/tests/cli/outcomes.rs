//! What goes wrong: damage, wrong use, files in the way, pipes, names that a terminal would obey.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use crate::bench::{Bench, Run, field};

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
