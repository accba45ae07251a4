//! Files whose content is that of an earlier file.

use std::collections::HashMap;
use std::fs::File;

use errbar_dissect::ReadAt;
use errbar_format::record::{Attributes, Body, Entry, FileBody, PathBytes};
use errbar_format::{Error, Hash, Kind, Result};

use super::load::unreadable;

/// Segments and variables of the files that are remembered, at most.
const MAX_REMEMBERED: usize = 1 << 20;
/// Bytes that are hashed at a time.
const PIECE: u64 = 1 << 20;

/// A content, and the rules of the policy that are about it: with others, other blocks would be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Content {
    pub(super) hash: Hash,
    pub(super) rules: Vec<usize>,
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
    /// By their size, so that few files are read for their hash alone.
    sizes: HashMap<u64, Vec<Content>>,
    /// Their entries, as written.
    entries: HashMap<Content, Entry>,
    remembered: usize,
}

impl Twins {
    /// Takes in a file that others may be the same as. Gives whether it is remembered.
    pub(super) fn add(&mut self, file: &FileBody, content: &Content) -> bool {
        let room = file.segments.len() + file.variables.len();
        let fits = self.remembered + room <= MAX_REMEMBERED;
        if fits {
            self.remembered += room;
            self.sizes.entry(file.size).or_default().push(content.clone());
        }
        fits
    }

    /// The content of this file, if an earlier one has the same.
    ///
    /// # Errors
    /// As reading the file.
    pub(super) fn find(&self, file: &File, size: u64, rules: &[usize]) -> Result<Option<Content>> {
        let Some(known) = self.sizes.get(&size).filter(|known| known.iter().any(|content| content.rules == rules)) else { return Ok(None) };
        let mut hasher = blake3::Hasher::new();
        let (mut at, mut bytes) = (0, Vec::new());
        while at < size {
            bytes.resize((size - at).min(PIECE) as usize, 0);
            file.read_at(&mut bytes, at).map_err(|e| unreadable(e).at(at))?;
            hasher.update(&bytes);
            at += bytes.len() as u64;
        }
        let content = Content { hash: *hasher.finalize().as_bytes(), rules: rules.to_vec() };
        Ok(known.contains(&content).then_some(content))
    }

    /// Keeps an entry as it is written.
    pub(super) fn keep(&mut self, content: Content, entry: &Entry) {
        self.entries.insert(content, entry.clone());
    }

    /// The entry of a file that is the same as an earlier one.
    ///
    /// # Errors
    /// None where that one was kept.
    pub(super) fn entry(&self, Twin { path, attributes, content }: Twin) -> Result<Entry> {
        let lost = || Error::new(Kind::Io, "the file with the same content is not there; please report this");
        let first = self.entries.get(&content).ok_or_else(lost)?;
        let Body::File(file) = &first.body else { return Err(lost()) };
        let body = Body::File(FileBody { same_as: Some(first.path.clone()), ..file.clone() });
        Ok(Entry { path, body, attributes: Some(attributes), extensions: first.extensions.clone() })
    }
}
