//! Why arrays have their stages is told when they are packed, and kept in the archive.

use errbar::DType;

use crate::bench::{Bench, npy};

/// A 40 x 50 field of binary32 that some stages predict better than others.
fn field() -> Vec<u8> {
    let numbers = (0..2000).map(|i| ((i % 50) * (i / 50)) as f32 * 0.03 + (i * i % 17) as f32 * 0.01);
    npy(DType::F32, &[40, 50], false, numbers.flat_map(f32::to_le_bytes).collect())
}

#[test]
fn a_choice_is_told_by_pack_bench_and_info() {
    let bench = Bench::empty();
    bench.write("t/T.npy", &field());
    let reason = |args: &[&str]| bench.run(args).well().lines().find(|line| line.contains(": chose ")).map(str::to_owned);
    let choice = |args: &[&str]| {
        let run = bench.run(args);
        assert_eq!(run.code, Some(0), "{args:?}: {}", run.err);
        run.json()[0]["choice"].clone()
    };

    let packed = reason(&["pack", "--verbose", "--bound", "abs=0.01", "t", "a.eba"]).expect("a reason");
    assert!(packed.starts_with("T.npy: chose ") && packed.contains(" over ") && packed.ends_with(" on the sample"), "{packed}");
    assert_eq!(reason(&["info", "a.eba"]).as_ref(), Some(&packed));
    let measured = reason(&["bench", "-v", "--bound", "abs=0.01", "t/T.npy"]).expect("a reason");
    assert_eq!(measured.strip_prefix("t/"), Some(&*packed));
    assert_eq!(reason(&["pack", "--force", "--bound", "abs=0.01", "t", "a.eba"]), None, "only when asked");

    let known = choice(&["info", "--json", "a.eba"]);
    let (chosen, over) = (known["chosen"].as_str().expect("text"), known["over"].as_str().expect("text"));
    assert!(packed.starts_with(&format!("T.npy: chose {chosen} over {over}: ")), "{known} {packed}");
    assert!(known["saved"].as_f64().is_some_and(|saved| (0.0..1.0).contains(&saved)), "{known}");
    assert_eq!(choice(&["bench", "--json", "--bound", "abs=0.01", "t/T.npy"]), known);
}
