//! `cargo xtask check`: specification, code and vectors agree.

mod links;
mod registry;
mod rules;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::example;

/// The specification's main page.
const SPEC: &str = "spec/errbar-1.md";
/// What its worked example stands between.
const EXAMPLE_BEGIN: &str = "<!-- example:begin -->";
const EXAMPLE_END: &str = "<!-- example:end -->";

/// What does not agree, a line each.
pub fn run() -> io::Result<Vec<String>> {
    let registry: toml::Table =
        fs::read_to_string(registry::FILE)?.parse().map_err(|e| io::Error::other(format!("{}: {e}", registry::FILE)))?;
    let mut problems = registry::compare(&registry);
    problems.extend(registry::pages(&registry));
    problems.extend(rules::check(&registry)?);
    problems.extend(links::check()?);
    let spec = fs::read_to_string(SPEC)?;
    problems.extend(worked_example(&spec));
    problems.extend(worked_example_by_fields(&spec)?);
    Ok(problems)
}

/// The example in the specification is what the builder makes.
fn worked_example(spec: &str) -> Option<String> {
    let Some((shown, _)) = spec.split_once(EXAMPLE_BEGIN).and_then(|(_, rest)| rest.split_once(EXAMPLE_END)) else {
        return Some(format!("{SPEC}: no worked example between {EXAMPLE_BEGIN} and {EXAMPLE_END}"));
    };
    let shown: Vec<&str> = shown.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with("```")).collect();
    let made = example::text();
    let made: Vec<&str> = made.lines().collect();
    let first = (0..shown.len().max(made.len())).find(|&i| shown.get(i) != made.get(i))?;
    let line = |lines: &[&str]| lines.get(first).map_or("nothing".to_owned(), |line| format!("'{line}'"));
    Some(format!("{SPEC}: worked example has {} where the code makes {}; see cargo xtask example", line(&shown), line(&made)))
}

/// The listings behind the example, field by field, are its bytes and those of its page of entries.
fn worked_example_by_fields(spec: &str) -> io::Result<Vec<String>> {
    let page = errbar_format::record::encode(&example::entry()).map_err(io::Error::other)?;
    let listings = spec.split_once(EXAMPLE_END).map_or("", |(_, rest)| rest).split("```").skip(1).step_by(2);
    let compare = |(listing, bytes): (&str, Vec<u8>)| {
        let mut at = 0;
        for line in listing.lines() {
            let Some((offset, rest)) = line.split_once("  ").filter(|(offset, _)| offset.len() == 4) else { continue };
            let shown: Vec<u8> = rest.split(' ').map_while(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2)).collect();
            let is_right = usize::from_str_radix(offset, 16) == Ok(at) && bytes.get(at..at + shown.len()) == Some(&shown);
            if !is_right {
                return Some(format!("{SPEC}: worked example has other bytes than '{line}'; see cargo xtask example"));
            }
            at += shown.len();
        }
        (at != bytes.len()).then(|| format!("{SPEC}: a listing of the worked example ends at {at} of {} bytes", bytes.len()))
    };
    Ok(listings.zip([example::archive().bytes, page]).filter_map(compare).collect())
}

/// Every file below `folder` whose name ends with one of `endings`, in the order of names.
fn files_below(folder: &Path, endings: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder)? {
            let path = item?.path();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| path.as_os_str().as_encoded_bytes().ends_with(ending.as_bytes())) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_of_the_example_is_seen() {
        let spec = |text: &str| format!("<!-- example:begin -->\n```\n{text}```\n<!-- example:end -->\n");
        assert_eq!(worked_example(&spec(&example::text())), None);
        assert!(worked_example(&spec(&example::text().replacen("89", "88", 1))).is_some());
        assert!(worked_example(&spec(&(example::text() + "ffff  00\n"))).is_some());
        assert!(worked_example("no example").is_some());
    }
}
