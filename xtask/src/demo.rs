//! The first run: builds the program and does the main job on `testdata/sample`.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

const SAMPLE: &str = "testdata/sample";

/// Packs the sample with its policy, verifies it against the originals, lists it, unpacks it and
/// compares. Gives nothing to complain about unless a command fails.
pub fn run() -> Result<Vec<String>> {
    run_command(Command::new("cargo").args(["build", "--quiet", "--release", "--locked", "--bin", "errbar"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = target.join("demo");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let (program, archive, out) = (target.join("release/errbar"), text(&folder.join("sample.eba"))?, text(&folder.join("sample"))?);

    let errbar = |arguments: &[&str]| {
        println!("\n$ errbar {}", arguments.join(" "));
        run_command(Command::new(&program).args(arguments))
    };
    errbar(&["pack", "--policy", "testdata/sample/errbar.toml", SAMPLE, &archive])?;
    errbar(&["verify", &archive, "--against", SAMPLE])?;
    errbar(&["list", "--long", &archive])?;
    errbar(&["list", "--arrays", &archive])?;
    errbar(&["unpack", &archive, &out])?;
    errbar(&["diff", &archive, &out])?;
    Ok(Vec::new())
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::other("the target folder's path is not text"))
}

fn run_command(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(Error::other(format!("{command:?}: {status}"))) }
}
