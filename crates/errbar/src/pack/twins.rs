//! Files whose content is that of an earlier file.

use std::collections::HashMap;
use std::fs::File;

use errbar_dissect::ReadAt;
use errbar_format::record::{self, Attributes, Body, Entry, FileBody, PathBytes};
use errbar_format::{Error, Hash, Kind, Result};

use super::load::unreadable;

/// Bytes that may be kept of the files that others may be the same as; later ones are not looked for.
const MAX_KEPT: usize = 64 << 20;
/// Bytes that a file takes beside its entry, about.
const BESIDE: usize = 256;
/// Bytes at the beginning of a file that tell most files of one size apart.
const HEAD: u64 = 64 << 10;
/// Bytes that are hashed at a time.
const PIECE: u64 = 1 << 20;

/// What little of a file tells, and the rules of the policy that are about it: with others, other blocks would
/// be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Glance {
    size: u64,
    head: Hash,
    rules: Vec<usize>,
}

impl Glance {
    /// At a file of `size` bytes that `rules` are about.
    ///
    /// # Errors
    /// As reading the file.
    pub(super) fn at(file: &File, size: u64, rules: Vec<usize>) -> Result<Glance> {
        Ok(Glance { size, head: hash(file, size.min(HEAD))?, rules })
    }
}

/// BLAKE3 of the first `len` bytes of a file.
fn hash(file: &File, len: u64) -> Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    let (mut at, mut bytes) = (0, Vec::new());
    while at < len {
        bytes.resize((len - at).min(PIECE) as usize, 0);
        file.read_at(&mut bytes, at).map_err(|e| unreadable(e).at(at))?;
        hasher.update(&bytes);
        at += bytes.len() as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// All that makes two files the same.
pub(super) struct Content {
    glance: Glance,
    hash: Hash,
}

/// A file that is the same as an earlier one.
pub(super) struct Twin {
    pub(super) path: PathBytes,
    pub(super) attributes: Attributes,
    pub(super) content: Content,
}

/// The files packed so far that others may be the same as.
#[derive(Default)]
pub(super) struct Twins {
    /// The record of each one's entry, when it is written: by what a glance tells, so that few files are read
    /// for their hash alone, and by their hash.
    entries: HashMap<Glance, HashMap<Hash, Vec<u8>>>,
    kept: usize,
}

impl Twins {
    /// Takes in a file; gives its content, unless there is no room for more.
    pub(super) fn add(&mut self, glance: Glance, hash: Hash) -> Option<Content> {
        if self.kept >= MAX_KEPT {
            return None;
        }
        self.kept += BESIDE;
        self.entries.entry(glance.clone()).or_default().insert(hash, Vec::new());
        Some(Content { glance, hash })
    }

    /// The content of this file, if an earlier one has the same.
    ///
    /// # Errors
    /// As reading the file.
    pub(super) fn find(&self, file: &File, glance: &Glance) -> Result<Option<Content>> {
        let Some(alike) = self.entries.get(glance) else { return Ok(None) };
        let hash = hash(file, glance.size)?;
        Ok(alike.contains_key(&hash).then(|| Content { glance: glance.clone(), hash }))
    }

    /// Keeps an entry as it is written.
    ///
    /// # Errors
    /// As [`record::encode`].
    pub(super) fn keep(&mut self, content: &Content, entry: &Entry) -> Result<()> {
        let bytes = record::encode(entry)?;
        self.kept += bytes.len();
        self.entries.entry(content.glance.clone()).or_default().insert(content.hash, bytes);
        Ok(())
    }

    /// The entry of a file that is the same as an earlier one.
    ///
    /// # Errors
    /// None where that one was kept.
    pub(super) fn entry(&self, Twin { path, attributes, content: Content { glance, hash } }: Twin) -> Result<Entry> {
        let lost = || Error::new(Kind::Io, "the file with the same content is not there; please report this");
        let kept = self.entries.get(&glance).and_then(|alike| alike.get(&hash)).ok_or_else(lost)?;
        let (first, _) = record::decode_first::<Entry>(kept)?;
        let Body::File(file) = first.body else { return Err(lost()) };
        let body = Body::File(FileBody { same_as: Some(first.path), ..file });
        Ok(Entry { path, body, attributes: Some(attributes), extensions: first.extensions })
    }
}
