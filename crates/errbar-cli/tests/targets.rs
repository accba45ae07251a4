//! Bounds that hold together and targets, as users of the program meet them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use errbar::{Array, DType};
use serde_json::Value;

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_errbar")).args(args).current_dir(folder).output().expect("the program runs")
}

fn json(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    // How far a run has come may be said at any time.
    lines.filter(|line: &Value| line["message_type"] != "status").collect()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("tmp");
    fs::create_dir(folder.path().join("t")).expect("made");
    let bytes = (0..20_000).flat_map(|i| ((i as f32 * 0.01).sin() * 20.0 + (i / 200) as f32 * 0.1).to_le_bytes()).collect();
    let array = Array { dtype: DType::F32, big_endian: false, column_major: false, shape: vec![100, 200], bytes };
    fs::write(folder.path().join("t/T.npy"), array.to_npy()).expect("written");
    folder
}

#[test]
fn a_target_is_reported_with_the_limit_that_was_found() {
    let folder = folder();
    for (rule, asked) in [("psnr=60", "psnr=60.0"), ("T.npy=sqnr=40,abs=0.5", "sqnr=40.0,abs=0.5"), ("*:=ratio=9", "ratio=9.0")] {
        let packed = run(folder.path(), &["pack", "--force", "--json", "-b", rule, "t", "a.eba"]);
        assert!(packed.status.success(), "{packed:?}");
        let limit = json(&packed)[0]["limit"].as_f64().expect("a number");
        assert!(limit > 0.0, "{rule}");
        for command in [&["list", "--arrays", "--json", "a.eba"][..], &["info", "--blocks", "--json", "a.eba"]] {
            let lines = json(&run(folder.path(), command));
            let line = lines.iter().find(|line| line["bound"].is_string()).unwrap_or_else(|| panic!("{command:?}: {lines:?}"));
            assert_eq!((&line["bound"], &line["limit"]), (&asked.into(), &limit.into()), "{command:?}");
        }
        let planned = json(&run(folder.path(), &["pack", "--dry-run", "--json", "-b", rule, "t"]));
        assert_eq!((&planned[0]["bound"], &planned[0]["limit"]), (&asked.into(), &limit.into()));
        let verified = run(folder.path(), &["verify", "--against", "t", "a.eba"]);
        assert!(verified.status.success() && String::from_utf8_lossy(&verified.stdout).contains(asked), "{verified:?}");
    }
}

#[test]
fn both_limits_are_shown() {
    let folder = folder();
    let packed = run(folder.path(), &["pack", "--json", "-b", "abs=0.25,pw_rel=0.01", "t", "a.eba"]);
    let line = &json(&packed)[0];
    assert_eq!((&line["limit"], &line["relative_limit"]), (&0.25.into(), &0.01.into()), "{line}");
    let listed = run(folder.path(), &["list", "--arrays", "a.eba"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("2.5000e-1 and 1.0000e-2 |x|"), "{listed:?}");
}

#[test]
fn a_target_that_cannot_be_met_is_an_error_with_the_nearest() {
    let folder = folder();
    let packed = run(folder.path(), &["pack", "-b", "ratio=1e7", "t", "a.eba"]);
    assert_ne!(packed.status.code(), Some(0));
    let message = String::from_utf8_lossy(&packed.stderr).into_owned();
    assert!(message.contains("T.npy") && message.contains("cannot be met") && message.contains("give"), "{message}");
    let benched = run(folder.path(), &["bench", "-b", "ratio=1e7", "t/T.npy"]);
    assert!(!benched.status.success());
    let wrong = run(folder.path(), &["pack", "-b", "psnr=50,ratio=3", "t", "b.eba"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

#[test]
fn a_benchmark_meets_targets_and_tells_the_noise() {
    let folder = folder();
    let lines = json(&run(folder.path(), &["bench", "--json", "-b", "sqnr=45", "t/T.npy"]));
    let sqnr = lines[0]["sqnr_db"].as_f64().expect("a number");
    assert!((45.0..46.0).contains(&sqnr), "{}", lines[0]);
    assert!(lines[0]["limit"].as_f64().is_some_and(|limit| limit >= lines[0]["max_error"].as_f64().unwrap_or(1e9)));
    let lines = json(&run(folder.path(), &["bench", "--json", "t/T.npy"]));
    assert_eq!((&lines[0]["sqnr_db"], &lines[0]["limit"]), (&Value::Null, &Value::Null));
}
