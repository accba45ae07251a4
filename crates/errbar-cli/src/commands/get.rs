//! `errbar get`

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use errbar::record::Variable;
use errbar::{Archive, Error, Kind, Result};

use crate::args::Get;
use crate::input;
use crate::message::Exit;
use crate::output::{self, Out};
use crate::slice::Slice;

/// One way to read what the user wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading<'a> {
    path: &'a [u8],
    /// The variable's name; nothing: the only one.
    variable: Option<&'a [u8]>,
    /// What stood in brackets.
    slice: Option<&'a [u8]>,
}

/// A variable that was found, and the slice to take of it.
struct Found {
    path: Vec<u8>,
    variable: Variable,
    slice: Option<Slice>,
}

pub fn run(args: &Get) -> Result<Exit> {
    if args.output.is_none() {
        output::refuse_terminal("an array", "redirect standard output, or name a file with -o")?;
    }
    let member = args.member.as_bytes();
    let (archive, found) = input::find(&args.archive, |archive| look_up(archive, member))?;
    let mut shape = found.variable.shape.clone();
    if found.variable.column_major {
        shape.reverse();
    }
    let slice = found.slice.as_ref().map(|slice| slice.resolve(&shape)).transpose();
    let slice = slice.map_err(|e| match found.variable.name.as_str() {
        "" => e.in_entry(&found.path),
        name => e.in_entry(&found.path).in_variable(name),
    })?;
    let ranges = slice.as_ref().map_or(&[][..], |slice| &slice.ranges);
    let mut array = archive.read_variable(&found.path, &found.variable.name, ranges)?;
    if let Some(slice) = &slice {
        let mut kept = slice.kept.iter();
        array.shape.retain(|_| kept.next() == Some(&true));
    }
    let npy = array.to_npy();
    match &args.output {
        Some(path) => write_file(path, &npy, args.force)?,
        None => {
            let mut out = Out::new();
            out.bytes().write_all(&npy).map_err(output::unwritable)?;
            out.finish()?;
        }
    }
    Ok(Exit::Success)
}

/// Every way to read `PATH[:VARIABLE][[SLICE]]`, the literal ones first: names may hold `:` and `[`.
fn readings(member: &[u8]) -> Vec<Reading<'_>> {
    let split = |target| {
        let whole = Reading { path: target, variable: None, slice: None };
        let colons = target.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
        let parts = colons.rev().map(|at| Reading { path: &target[..at], variable: Some(&target[at + 1..]), slice: None });
        std::iter::once(whole).chain(parts).collect::<Vec<_>>()
    };
    let mut all = split(member);
    let bracket = member.iter().rposition(|&byte| byte == b'[').filter(|_| member.ends_with(b"]"));
    if let Some(at) = bracket {
        let slice = Some(&member[at + 1..member.len() - 1]);
        all.extend(split(&member[..at]).into_iter().map(|reading| Reading { slice, ..reading }));
    }
    all
}

/// The first reading that names a variable of the archive.
fn look_up(archive: &Archive, member: &[u8]) -> Result<Found> {
    let mut nearest = None;
    for reading in readings(member) {
        let Some((path, file)) = input::file(archive, reading.path)? else { continue };
        let found = match reading.variable {
            Some(name) => file.variables.iter().find(|variable| variable.name.as_bytes() == name),
            None if file.variables.len() == 1 => file.variables.first(),
            None => file.variables.iter().find(|variable| variable.name.is_empty()),
        };
        if let Some(variable) = found {
            let slice = reading.slice.map(|text| Slice::parse(&String::from_utf8_lossy(text))).transpose()?;
            return Ok(Found { path, variable: variable.clone(), slice });
        }
        nearest.get_or_insert_with(|| no_variable(&reading, &file.variables));
    }
    Err(nearest.unwrap_or_else(|| {
        let no_entry = Error::new(Kind::Differs, "no such file in the archive");
        no_entry.in_entry(member).advise("errbar list --arrays shows what is there")
    }))
}

fn no_variable(reading: &Reading<'_>, variables: &[Variable]) -> Error {
    let names = || variables.iter().map(|variable| format!("'{}'", output::safe(&variable.name))).collect::<Vec<_>>().join(", ");
    let error = match (reading.variable, variables) {
        (_, []) => Error::new(Kind::Differs, "no array was found in this file").advise("errbar cat gives its bytes"),
        (Some(name), _) => {
            let what = format!("no variable '{}' in this file", errbar::display_path(name));
            let advice = match variables {
                [only] if only.name.is_empty() => "its array has no name; leave out the colon and what follows it".into(),
                _ => format!("it has {}", names()),
            };
            Error::new(Kind::Differs, what).advise(advice)
        }
        (None, _) => Error::usage("the file holds several variables").advise(format!("name one of {}", names())),
    };
    error.in_entry(reading.path)
}

/// Writes a file that appears under its name only when it is whole. Pipes and devices are written to.
fn write_file(path: &Path, bytes: &[u8], replace: bool) -> Result<()> {
    let named = |doing: &str| format!("{doing} '{}'", errbar::display_path(path.as_os_str().as_bytes()));
    let cannot = |e| Error::io(named("cannot write"), e);
    let target = match path.symlink_metadata() {
        Ok(old) if old.is_symlink() => fs::canonicalize(path).map_err(cannot)?,
        _ => path.to_path_buf(),
    };
    match target.metadata() {
        Ok(old) if !old.is_file() => return File::create(&target).and_then(|mut file| file.write_all(bytes)).map_err(cannot),
        Ok(_) if !replace => return Err(taken(&named(""))),
        _ => {}
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let new = tempfile::Builder::new().prefix(".errbar-").permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder);
    let mut new = new.map_err(cannot)?;
    new.write_all(bytes).and_then(|()| new.as_file().sync_all()).map_err(cannot)?;
    let done = if replace { new.persist(&target) } else { new.persist_noclobber(&target) };
    done.map(drop).map_err(|e| match e.error.kind() {
        std::io::ErrorKind::AlreadyExists => taken(&named("")),
        _ => cannot(e.error),
    })
}

fn taken(name: &str) -> Error {
    Error::new(Kind::Refused, format!("{} exists already", name.trim_start())).advise("choose another name, or replace it with --force")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_readings_come_first() {
        let text = |reading: &Reading<'_>| {
            let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (part(reading.path), reading.variable.map(part), reading.slice.map(part))
        };
        let all: Vec<_> = readings(b"a:b:c[1:2]").iter().map(text).collect();
        let reading =
            |path: &str, variable: Option<&str>, slice: Option<&str>| (path.into(), variable.map(Into::into), slice.map(Into::into));
        assert_eq!(
            all,
            [
                reading("a:b:c[1:2]", None, None),
                reading("a:b:c[1", Some("2]"), None),
                reading("a:b", Some("c[1:2]"), None),
                reading("a", Some("b:c[1:2]"), None),
                reading("a:b:c", None, Some("1:2")),
                reading("a:b", Some("c"), Some("1:2")),
                reading("a", Some("b:c"), Some("1:2")),
            ]
        );
    }
}
