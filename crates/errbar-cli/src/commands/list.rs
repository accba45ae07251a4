//! `errbar list`

use errbar::record::{Attributes, Body, Entry, FileHashes};
use errbar::{Archive, Error, Kind, Result};
use serde_json::{Value, json};

use crate::args::List;
use crate::message::{self, Exit};
use crate::output::{self, Out};
use crate::variables::{self, Stored};
use crate::{input, time};

pub fn run(args: &List) -> Result<Exit> {
    let archive = input::open_list(&args.archive)?;
    let paths: Vec<Vec<u8>> = args.paths.iter().map(|path| input::path(path)).collect();
    let mut found = vec![false; paths.len()];
    let mut problems: Vec<Error> = Vec::new();
    let mut out = Out::new();
    let mut table = variables::stored();
    for entry in archive.entries() {
        let entry = entry?;
        let mut wanted = paths.is_empty();
        for (path, found) in paths.iter().zip(&mut found) {
            let within = is_within(&entry.path, path);
            *found |= within;
            wanted |= within;
        }
        if !wanted {
            continue;
        }
        match (&entry.body, args.arrays) {
            (Body::File(file), true) => {
                for variable in &file.variables {
                    match Stored::new(&archive, &entry.path, variable) {
                        Ok(stored) if args.json => out.json(&stored.json())?,
                        Ok(stored) => stored.row(&mut table),
                        Err(problem) => problems.push(problem),
                    }
                }
            }
            (_, true) => {}
            (_, false) if args.json => {
                let hashes = archive.hashes(&entry).unwrap_or_else(|problem| {
                    problems.push(problem);
                    None
                });
                out.json(&json(&entry, hashes))?;
            }
            (_, false) => out.line(&line(&entry, args.long))?,
        }
    }
    out.table(&table)?;
    out.finish()?;
    let missing = paths.iter().zip(&found).filter(|(_, found)| !**found);
    problems.extend(missing.map(|(path, _)| Error::new(Kind::Differs, "no such entry in the archive").in_entry(path)));
    report(&archive, &problems, args.json)
}

fn report(archive: &Archive, problems: &[Error], json: bool) -> Result<Exit> {
    let all = || archive.damage().iter().chain(problems);
    all().try_for_each(|problem| message::report(problem, json))?;
    Ok(message::exit_of(all()))
}

fn is_within(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// An entry for people: its path, and with `long` what `ls -l` would say.
fn line(entry: &Entry, long: bool) -> String {
    let path = errbar::display_path(&entry.path);
    if !long {
        return path;
    }
    let (letter, size, target) = match &entry.body {
        Body::File(file) => {
            let same = file.same_as.as_ref().map(|path| format!(" same as {}", errbar::display_path(path)));
            ('-', file.size, same.unwrap_or_default())
        }
        Body::Directory => ('d', 0, String::new()),
        Body::Symlink { target } => ('l', 0, format!(" -> {}", errbar::display_path(target))),
        Body::HardLink { target } => ('h', 0, format!(" link to {}", errbar::display_path(target))),
    };
    let Some(attributes) = &entry.attributes else {
        return format!("{letter}{:<9}  {:<17}  {:>10}  {:<19}  {path}{target}", "", "", "", "");
    };
    let name = |name: &str, number: u32| if name.is_empty() { number.to_string() } else { output::safe(name) };
    let owner = format!("{}/{}", name(&attributes.user, attributes.uid), name(&attributes.group, attributes.gid));
    let size = output::size(size);
    format!("{letter}{}  {owner:<17}  {size:>10}  {}  {path}{target}", permissions(attributes), time::utc(attributes.mtime_s))
}

/// Permission bits as `ls -l` prints them.
fn permissions(attributes: &Attributes) -> String {
    let mode = attributes.mode;
    let letters = |shift: u32, special: bool, letter: char| {
        let has = |bit: u32| mode >> shift & bit != 0;
        let last = match (has(1), special) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        };
        [if has(4) { 'r' } else { '-' }, if has(2) { 'w' } else { '-' }, last]
    };
    let groups = [letters(6, mode & 0o4000 != 0, 's'), letters(3, mode & 0o2000 != 0, 's'), letters(0, mode & 0o1000 != 0, 't')];
    groups.into_iter().flatten().collect()
}

/// An entry for programs.
fn json(entry: &Entry, hashes: Option<FileHashes>) -> Value {
    let target = |kind: &str, target: &[u8]| match std::str::from_utf8(target) {
        Ok(text) => json!({ "type": kind, "target": text }),
        Err(_) => json!({ "type": kind, "target": errbar::display_path(target), "target_hex": output::hex(target) }),
    };
    let body = match &entry.body {
        Body::File(file) => json!({
            "type": "file",
            "size": file.size,
            "lossless": file.hashes.is_none_or(|hashes| hashes.original == hashes.restored),
            "original_hash": hashes.map(|hashes| output::hex(&hashes.original)),
            "restored_hash": hashes.map(|hashes| output::hex(&hashes.restored)),
            "n_variables": file.variables.len(),
            "same_as": file.same_as.as_deref().map(errbar::display_path),
        }),
        Body::Directory => json!({ "type": "directory" }),
        Body::Symlink { target: to } => target("symlink", to),
        Body::HardLink { target: to } => target("hardlink", to),
    };
    let attributes = entry.attributes.as_ref().map_or_else(
        || json!({}),
        |a| {
            json!({
                "mode": format!("{:04o}", a.mode),
                "mtime_s": a.mtime_s,
                "mtime_ns": a.mtime_ns,
                "uid": a.uid,
                "gid": a.gid,
                "user": a.user,
                "group": a.group,
                "xattrs": a.xattrs.iter().map(|(name, _)| errbar::display_path(name)).collect::<Vec<_>>(),
            })
        },
    );
    output::with(output::with(output::message("entry", &entry.path), body), attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_look_like_those_of_ls() {
        let of = |mode| permissions(&Attributes { mode, ..Attributes::default() });
        assert_eq!(
            [of(0o644), of(0o4755), of(0o2070), of(0o1777), of(0o1000)],
            ["rw-r--r--", "rwsr-xr-x", "---rws---", "rwxrwxrwt", "--------T"]
        );
    }

    #[test]
    fn a_folder_holds_what_lies_below_it() {
        assert!(is_within(b"a/b", b"a") && is_within(b"a", b"a") && !is_within(b"ab", b"a"));
    }
}
