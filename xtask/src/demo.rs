//! The first run: builds the program and does the main job on `testdata/sample`.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SAMPLE: &str = "testdata/sample";
/// What lines about its arrays begin with.
const ARRAYS: &str = "ocean/";

/// Packs the sample with its policy, verifies it against the originals, lists it, unpacks it and
/// compares. Complains about lines of the transcript in `README.md` that are no longer what is printed.
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
    let readme = std::fs::read_to_string("README.md")?;
    let mut complaints = Vec::new();
    for arguments in
        [&["pack", "--policy", "testdata/sample/errbar.toml", SAMPLE, &archive][..], &["verify", &archive, "--against", SAMPLE]]
    {
        let printed = errbar(arguments)?;
        let missing = printed.lines().filter(|line| line.starts_with(ARRAYS) && !readme.contains(line));
        complaints.extend(missing.map(|line| format!("README.md: its transcript has not the line that errbar prints:\n{line}")));
    }
    errbar(&["list", "--long", &archive])?;
    errbar(&["list", "--arrays", &archive])?;
    errbar(&["unpack", &archive, &out])?;
    errbar(&["diff", &archive, &out])?;
    Ok(complaints)
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::other("the target folder's path is not text"))
}

/// Runs a command and shows what it prints.
fn run_command(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output()?;
    let printed = String::from_utf8(output.stdout).map_err(Error::other)?;
    print!("{printed}");
    if output.status.success() { Ok(printed) } else { Err(Error::other(format!("{command:?}: {}", output.status))) }
}
