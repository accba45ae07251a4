//! What is said of a bound: before packing, with the archive, and against the originals.

use serde_json::Value;

use crate::bench::{Bench, field};

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
