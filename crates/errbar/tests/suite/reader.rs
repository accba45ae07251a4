//! The independent reader in `spec`, run in a virtual environment that is made here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{describe, pack, sample};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a command that must succeed; gives what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// A Python with what the reader needs, made once for every text of its requirements.
fn python() -> PathBuf {
    let requirements = root().join("spec/requirements.txt");
    let wanted = fs::read(&requirements).expect("requirements");
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reader-venv");
    if fs::read(venv.join("installed")).ok().as_ref() != Some(&wanted) {
        let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv));
        run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements));
        fs::write(venv.join("installed"), wanted).expect("written");
    }
    venv.join("bin/python")
}

/// One test, so that the environment is made once.
#[test]
fn the_independent_reader_agrees_on_every_vector_and_on_a_fresh_archive() {
    let (python, reader) = (python(), root().join("spec/reader.py"));
    let script = root().join("crates/errbar/tests/suite/vectors.py");
    let told = run(Command::new(&python).arg(script).arg(&reader).arg(crate::conformance::folder()));
    assert!(told.contains(" vectors agree"), "{told}");

    let dir = tempfile::tempdir().expect("tmp");
    let (tree, archive, theirs) = (dir.path().join("t"), dir.path().join("a.eba"), dir.path().join("theirs"));
    sample(&tree);
    for rules in [&[][..], &["*.npy=rel=1e-3"], &["digits=3"], &["pw_rel=1e-2"]] {
        fs::write(&archive, pack(&tree, rules)).expect("written");
        run(Command::new(&python).arg(&reader).arg("verify").arg(&archive));
        let _ = fs::remove_dir_all(&theirs);
        run(Command::new(&python).arg(&reader).arg("unpack").arg(&archive).arg(&theirs));
        let ours = dir.path().join("ours");
        let _ = fs::remove_dir_all(&ours);
        assert_eq!(crate::support::unpack(&crate::support::open(&fs::read(&archive).expect("there")).expect("opens"), &ours, 0), 0);
        assert_eq!(describe(&theirs), describe(&ours), "{rules:?}");
    }
}
