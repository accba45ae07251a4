//! Why arrays have their stages is told when they are packed, and kept in the archive.

use std::process::Command;

use serde_json::Value;

/// A 40 x 50 field of binary32 that some stages predict better than others.
fn npy() -> Vec<u8> {
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 50), }");
    let numbers = (0..2000).map(|i| ((i % 50) * (i / 50)) as f32 * 0.03 + (i * i % 17) as f32 * 0.01);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.into_bytes());
    bytes.extend(numbers.flat_map(f32::to_le_bytes));
    bytes
}

#[test]
fn a_choice_is_told_by_pack_bench_and_info() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("t")).expect("a new folder");
    std::fs::write(folder.path().join("t/T.npy"), npy()).expect("a file");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_errbar")).current_dir(folder.path()).args(args).output().expect("the program runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let reason = |text: String| text.lines().find(|line| line.contains(": chose ")).map(str::to_owned);
    let first = |text: String| -> Value { serde_json::from_str(text.lines().next().expect("a line")).expect("JSON") };

    let packed = reason(run(&["pack", "--verbose", "--bound", "abs=0.01", "t", "a.eba"])).expect("a reason");
    assert!(packed.starts_with("T.npy: chose ") && packed.contains(" over ") && packed.ends_with(" on the sample"), "{packed}");
    assert_eq!(reason(run(&["info", "a.eba"])).as_ref(), Some(&packed));
    let measured = reason(run(&["bench", "-v", "--bound", "abs=0.01", "t/T.npy"])).expect("a reason");
    assert_eq!(measured.strip_prefix("t/"), Some(&*packed));
    assert_eq!(reason(run(&["pack", "--force", "--bound", "abs=0.01", "t", "a.eba"])), None, "only when asked");

    let known = first(run(&["info", "--json", "a.eba"]))["choice"].clone();
    let (chosen, over) = (known["chosen"].as_str().expect("text"), known["over"].as_str().expect("text"));
    assert!(packed.starts_with(&format!("T.npy: chose {chosen} over {over}: ")), "{known} {packed}");
    assert!(known["saved"].as_f64().is_some_and(|saved| (0.0..1.0).contains(&saved)), "{known}");
    assert_eq!(first(run(&["bench", "--json", "--bound", "abs=0.01", "t/T.npy"]))["choice"], known);
}
