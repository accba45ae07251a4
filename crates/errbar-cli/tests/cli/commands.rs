//! What each command does and says when all is well.

use std::fs;

use serde_json::Value;

use crate::bench::Bench;

const COMMANDS: [&str; 12] = ["pack", "unpack", "list", "info", "verify", "cat", "get", "diff", "codecs", "bench", "completions", "man"];

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
fn copies_are_listed_as_such() {
    let bench = Bench::new();
    let content: Vec<u8> = (0..80_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    bench.write("t/a", &content);
    bench.write("t/b", &content);
    bench.run(&["pack", "-q", "t", "a.eba"]).well();
    let entries = bench.run(&["list", "--json", "a.eba", "a", "b"]).json();
    assert_eq!((&entries[0]["same_as"], &entries[1]["same_as"]), (&Value::Null, &"a".into()));
    assert!(bench.run(&["list", "-l", "a.eba", "b"]).well().ends_with("  b same as a\n"));
    assert!(bench.run(&["verify", "a.eba", "--against", "t"]).well().starts_with("sound: 6 files in "));
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
