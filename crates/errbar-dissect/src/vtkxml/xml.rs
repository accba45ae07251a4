//! The tags of an XML file, one after another, whatever stands between them.

use errbar_format::Result;

use crate::numbers::Numbers;
use crate::{ReadAt, not_this};

/// Bytes of a tag, at most.
const MAX_TAG: u64 = 1 << 16;
/// Tags of a file, at most.
const MAX_TAGS: usize = 1 << 20;
/// Bytes read at a time.
const STEP: u64 = 1 << 16;

/// A tag with its attributes.
pub(super) struct Tag {
    /// What stands between its brackets.
    inside: String,
    /// Where it begins in the file.
    pub(super) at: u64,
    /// The first byte behind it.
    pub(super) end: u64,
}

impl Tag {
    /// Its name; that of a closing one begins with a slash.
    pub(super) fn name(&self) -> &str {
        self.inside.split([' ', '\t', '\r', '\n']).next().unwrap_or("").trim_end_matches('/')
    }

    /// An attribute, as it is written.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let mut rest = &self.inside[self.name().len()..];
        while let Some((key, value)) = rest.split_once('=') {
            let value = value.trim_start();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let (value, after) = value[1..].split_once(quote)?;
            if key.trim() == name {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }
}

/// All tags of a file. Comments and instructions are not told apart: VTK writes no tags into them.
pub(super) struct Tags<'a> {
    file: &'a dyn ReadAt,
    /// Where the next tag is looked for.
    at: u64,
    found: usize,
    /// Some bytes of the file, and where they begin.
    window: (u64, Vec<u8>),
}

impl<'a> Tags<'a> {
    pub(super) fn new(file: &'a dyn ReadAt) -> Tags<'a> {
        Tags { file, at: 0, found: 0, window: (0, Vec::new()) }
    }

    pub(super) fn next(&mut self) -> Result<Option<Tag>> {
        let Some(at) = self.find(b'<', self.at, u64::MAX)? else { return Ok(None) };
        let end = self.find(b'>', at, MAX_TAG)?.ok_or_else(|| not_this("a tag does not end"))?;
        self.found += 1;
        if self.found > MAX_TAGS {
            return Err(not_this("too many tags"));
        }
        self.at = end + 1;
        let inside = Numbers::read(self.file, at + 1, end - at - 1, false)?;
        let inside = String::from_utf8_lossy(inside.bytes(0, (end - at - 1) as usize)?).into_owned();
        Ok(Some(Tag { inside, at, end: self.at }))
    }

    /// The first such byte among so many from `from` on.
    fn find(&mut self, byte: u8, mut from: u64, most: u64) -> Result<Option<u64>> {
        let stop = from.saturating_add(most).min(self.file.size());
        while from < stop {
            let (start, bytes) = &mut self.window;
            if from < *start || from - *start >= bytes.len() as u64 {
                let len = STEP.min(self.file.size() - from);
                (*start, *bytes) = (from, Numbers::read(self.file, from, len, false)?.bytes(0, len as usize)?.to_vec());
            }
            match bytes[(from - *start) as usize..].iter().position(|other| *other == byte) {
                Some(i) => return Ok(Some(from + i as u64).filter(|at| *at < stop)),
                None => from = *start + bytes.len() as u64,
            }
        }
        Ok(None)
    }
}

/// The text that an attribute stands for.
pub(super) fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}
