//! Makes the test vectors and checks that specification and code agree.
//!
//! ```text
//! cargo xtask vectors            write testdata/conformance and testdata/hostile
//! cargo xtask vectors --check    compare them with what the code makes
//! cargo xtask example            the worked example of the specification
//! cargo xtask check              compare specification and code
//! cargo xtask demo               build the program and do its main job on testdata/sample
//! cargo xtask exhaustive SECONDS every bit pattern of binary32 through some quantizers; --all: all of them
//! ```

// A program for developers: what it prints is its result.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod builder;
mod check;
mod conformance;
mod content;
mod demo;
mod example;
mod exhaustive;
mod hostile;
mod vectors;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vectors::Files;

/// The folder that holds the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn folders() -> [(PathBuf, Files); 2] {
    let testdata = Path::new("testdata");
    [(testdata.join("conformance"), conformance::files()), (testdata.join("hostile"), hostile::files())]
}

fn vectors(check_only: bool) -> std::io::Result<Vec<String>> {
    let mut problems = Vec::new();
    for (folder, files) in folders() {
        match check_only {
            true => problems.extend(files.differences(&folder)?),
            false => println!("{}", files.write(&folder)?),
        }
    }
    Ok(problems)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Messages name files as seen from the workspace.
    let result = std::env::set_current_dir(root()).and_then(|()| match words[..] {
        ["vectors"] => vectors(false),
        ["vectors", "--check"] => vectors(true),
        ["example"] => {
            print!("{}", example::text());
            Ok(Vec::new())
        }
        ["check"] => check::run(),
        ["demo"] => demo::run(),
        ["exhaustive", share] => exhaustive::run(share),
        _ => Ok(vec!["usage: cargo xtask vectors [--check] | example | check | demo | exhaustive SECONDS | exhaustive --all".to_owned()]),
    });
    match result {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!("{} problems", problems.len());
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}
