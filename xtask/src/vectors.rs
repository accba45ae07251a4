//! The files of a folder of vectors: written, or compared with what is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use errbar_format::{Hash, Kind};

use crate::builder::Archive;

/// What a reader must say of an archive.
#[derive(Clone, Copy)]
pub enum Expect {
    /// Nothing is wrong.
    Accept,
    /// At least one problem of this kind that names this rule. A file that ends inside a frame
    /// breaks no rule.
    Problem(Kind, Option<&'static str>),
}

/// One scenario.
pub struct Vector {
    name: String,
    bytes: Vec<u8>,
    expect: Expect,
    hashes: Vec<(String, Hash)>,
    lost: Vec<String>,
    note: String,
}

impl Vector {
    /// An archive that a correct writer could write.
    pub fn accept(name: &str, archive: Archive, note: &str) -> Vector {
        Vector {
            name: name.into(),
            bytes: archive.bytes,
            expect: Expect::Accept,
            hashes: archive.files,
            lost: Vec::new(),
            note: note.into(),
        }
    }

    /// An archive of which nothing need be restored. It is called after the rule.
    pub fn refuse(kind: Kind, rule: &'static str, name: &str, archive: Archive, note: &str) -> Vector {
        Vector { hashes: Vec::new(), ..Vector::damaged(kind, rule, name, archive, &[], note) }
    }

    /// An archive of which everything but the entries in `lost` must be restored.
    pub fn damaged(kind: Kind, rule: &'static str, name: &str, archive: Archive, lost: &[&str], note: &str) -> Vector {
        let name = format!("{}-{name}", rule.trim_start_matches("EB-").to_lowercase());
        Vector::salvage((kind, Some(rule)), &name, archive, lost, note)
    }

    /// As [`Vector::damaged`], under a name of its own, and perhaps without a rule to be named.
    pub fn salvage((kind, rule): (Kind, Option<&'static str>), name: &str, archive: Archive, lost: &[&str], note: &str) -> Vector {
        let mut files = archive.files;
        files.retain(|(path, _)| !lost.contains(&path.as_str()));
        Vector {
            name: name.into(),
            bytes: archive.bytes,
            expect: Expect::Problem(kind, rule),
            hashes: files,
            lost: lost.iter().map(|&path| path.to_owned()).collect(),
            note: note.into(),
        }
    }

    /// The same without hashes: no part of the archive need be restored.
    #[must_use]
    pub fn without_hashes(self) -> Vector {
        Vector { hashes: Vec::new(), lost: Vec::new(), ..self }
    }

    /// The same without the list of what is lost: it may come back or not.
    #[must_use]
    pub fn without_lost(self) -> Vector {
        Vector { lost: Vec::new(), ..self }
    }

    /// The rule that a reader must name.
    pub fn rule(&self) -> Option<&'static str> {
        match self.expect {
            Expect::Accept => None,
            Expect::Problem(_, rule) => rule,
        }
    }

    fn header(&self) -> String {
        let mut text = match self.expect {
            Expect::Accept => "expect: accept\n".to_owned(),
            Expect::Problem(kind, None) => format!("expect: {}\n", kind.word()),
            Expect::Problem(kind, Some(rule)) => format!("expect: {}\nrule: {rule}\n", kind.word()),
        };
        for (path, hash) in &self.hashes {
            text += &format!("hash {path}: {}\n", blake3::Hash::from_bytes(*hash).to_hex());
        }
        for path in &self.lost {
            text += &format!("lost: {path}\n");
        }
        text + &format!("note: {}\n", self.note)
    }
}

/// A folder's files by name.
#[derive(Default)]
pub struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    /// Adds a file, whose name must be new.
    pub fn add(&mut self, name: String, content: Vec<u8>) {
        let before = self.0.insert(name.clone(), content);
        assert!(before.is_none(), "two vectors are called {name}");
    }

    /// Adds a vector's archive and its header.
    pub fn vector(&mut self, vector: Vector) {
        self.add(format!("{}.txt", vector.name), vector.header().into_bytes());
        self.add(format!("{}.eba", vector.name), vector.bytes);
    }

    /// Makes `folder` hold exactly these files; gives a line of summary.
    pub fn write(&self, folder: &Path) -> std::io::Result<String> {
        fs::create_dir_all(folder)?;
        for name in names(folder)?.iter().filter(|name| !self.0.contains_key(*name)) {
            fs::remove_file(folder.join(name))?;
        }
        for (name, content) in &self.0 {
            fs::write(folder.join(name), content)?;
        }
        let bytes: usize = self.0.values().map(Vec::len).sum();
        let archives = self.0.keys().filter(|name| name.ends_with(".eba")).count();
        Ok(format!("{}: {archives} archives, {} KiB", folder.display(), bytes / 1024))
    }

    /// What differs between `folder` and these files, a line each.
    pub fn differences(&self, folder: &Path) -> std::io::Result<Vec<String>> {
        let mut lines = Vec::new();
        for name in names(folder)?.iter().filter(|name| !self.0.contains_key(*name)) {
            lines.push(format!("{}: no vector makes this file", folder.join(name).display()));
        }
        for (name, content) in &self.0 {
            let path = folder.join(name);
            match fs::read(&path) {
                Ok(found) if found == *content => {}
                Ok(_) => lines.push(format!("{}: differs from what the code makes", path.display())),
                Err(e) => lines.push(format!("{}: {e}", path.display())),
            }
        }
        Ok(lines)
    }
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names: Vec<String> =
        fs::read_dir(folder)?.map(|item| Ok(item?.file_name().to_string_lossy().into_owned())).collect::<std::io::Result<_>>()?;
    names.sort();
    Ok(names)
}
