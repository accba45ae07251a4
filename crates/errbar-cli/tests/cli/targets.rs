//! Bounds that hold together and targets, as users of the program meet them.

use errbar::DType;
use serde_json::Value;

use crate::bench::{Bench, npy};

/// With one array in the tree, 100 x 200.
fn bench() -> Bench {
    let bench = Bench::empty();
    let numbers = (0..20_000).map(|i| (i as f32 * 0.01).sin() * 20.0 + (i / 200) as f32 * 0.1);
    bench.write("t/T.npy", &npy(DType::F32, &[100, 200], false, numbers.flat_map(f32::to_le_bytes).collect()));
    bench
}

#[test]
fn a_target_is_reported_with_the_limit_that_was_found() {
    let bench = bench();
    for (rule, asked) in [("psnr=60", "psnr=60.0"), ("T.npy=sqnr=40,abs=0.5", "sqnr=40.0,abs=0.5"), ("*:=ratio=9", "ratio=9.0")] {
        let packed = bench.run(&["pack", "--force", "--json", "-b", rule, "t", "a.eba"]);
        assert_eq!(packed.code, Some(0), "{}", packed.err);
        let limit = packed.json()[0]["limit"].as_f64().expect("a number");
        assert!(limit > 0.0, "{rule}");
        for command in [&["list", "--arrays", "--json", "a.eba"][..], &["info", "--blocks", "--json", "a.eba"]] {
            let lines = bench.run(command).json();
            let line = lines.iter().find(|line| line["bound"].is_string()).unwrap_or_else(|| panic!("{command:?}: {lines:?}"));
            assert_eq!((&line["bound"], &line["limit"]), (&asked.into(), &limit.into()), "{command:?}");
        }
        let planned = bench.run(&["pack", "--dry-run", "--json", "-b", rule, "t"]).json();
        assert_eq!((&planned[0]["bound"], &planned[0]["limit"]), (&asked.into(), &limit.into()));
        let verified = bench.run(&["verify", "--against", "t", "a.eba"]).well();
        assert!(verified.contains(asked), "{verified}");
    }
}

#[test]
fn both_limits_are_shown() {
    let bench = bench();
    let line = &bench.run(&["pack", "--json", "-b", "abs=0.25,pw_rel=0.01", "t", "a.eba"]).json()[0];
    assert_eq!((&line["limit"], &line["relative_limit"]), (&0.25.into(), &0.01.into()), "{line}");
    let listed = bench.run(&["list", "--arrays", "a.eba"]).well();
    assert!(listed.contains("2.5000e-1 and 1.0000e-2 |x|"), "{listed}");
}

#[test]
fn a_target_that_cannot_be_met_is_an_error_with_the_nearest() {
    let bench = bench();
    let packed = bench.run(&["pack", "-b", "ratio=1e7", "t", "a.eba"]);
    packed.fails(2, &["T.npy", "cannot be met", "give"]);
    assert!(!packed.err.contains("matched a bound"), "{}", packed.err);
    bench.run(&["bench", "-b", "ratio=1e7", "t/T.npy"]).fails(2, &["cannot be met"]);
    bench.run(&["pack", "-b", "psnr=50,ratio=3", "t", "b.eba"]).fails(2, &["usage: "]);
}

#[test]
fn a_benchmark_meets_targets_and_tells_the_noise() {
    let bench = bench();
    let lines = bench.run(&["bench", "--json", "-b", "sqnr=45", "t/T.npy"]).json();
    let sqnr = lines[0]["sqnr_db"].as_f64().expect("a number");
    assert!((45.0..46.0).contains(&sqnr), "{}", lines[0]);
    assert!(lines[0]["limit"].as_f64().is_some_and(|limit| limit >= lines[0]["max_error"].as_f64().unwrap_or(1e9)));
    let lines = bench.run(&["bench", "--json", "t/T.npy"]).json();
    assert_eq!((&lines[0]["sqnr_db"], &lines[0]["limit"]), (&Value::Null, &Value::Null));
}
