//! Chunks that are put through their filters on other threads while the content around them goes by.

use std::collections::VecDeque;

use errbar_codec::filter;
use errbar_format::record::Variable;
use errbar_format::{Error, Result};

use super::content::Piece;
use crate::parallel::Lane;

/// Bytes between chunks up to this many wait for the chunk before them.
const MAX_WAITING: usize = 64 << 10;

/// What has still to be given, in order.
enum Waiting {
    Bytes(Vec<u8>),
    /// The next result of the lane.
    Chunk,
}

/// A file's content on its way out, in order.
pub(super) struct Streams<'a> {
    lane: Option<Lane<Result<Vec<u8>>>>,
    waiting: VecDeque<Waiting>,
    each: &'a mut dyn FnMut(Piece<'_>) -> Result<()>,
}

impl<'a> Streams<'a> {
    /// With threads of a lane, or without.
    pub(super) fn new(lane: Option<Lane<Result<Vec<u8>>>>, each: &'a mut dyn FnMut(Piece<'_>) -> Result<()>) -> Streams<'a> {
        Streams { lane, waiting: VecDeque::new(), each }
    }

    /// Any content but chunks.
    pub(super) fn piece(&mut self, piece: Piece<'_>) -> Result<()> {
        match piece {
            Piece::Bytes(bytes, None) if !self.waiting.is_empty() && bytes.len() <= MAX_WAITING => {
                self.waiting.push_back(Waiting::Bytes(bytes.to_vec()));
                Ok(())
            }
            piece => {
                self.finish()?;
                (self.each)(piece)
            }
        }
    }

    /// The plain bytes of a chunk, of which its filters, but for those `skipped`, are to make `length`
    /// bytes (EB-E09).
    pub(super) fn chunk(&mut self, variable: &Variable, plain: Vec<u8>, (length, skipped): (u64, u32)) -> Result<()> {
        let filters = variable.chunks.as_ref().map_or_else(Vec::new, |chunks| chunks.filters.clone());
        let name = variable.name.clone();
        let make = move || {
            let made = filter::apply(&filters, skipped, plain).map_err(|e| e.in_variable(&name))?;
            match made.len() as u64 == length {
                true => Ok(made),
                false => {
                    let what = format!("filters make {} bytes of a chunk of {length}", made.len());
                    Err(Error::corrupt("EB-E09", what).in_variable(&name))
                }
            }
        };
        match &mut self.lane {
            None => (self.each)(Piece::Bytes(&make()?, None)),
            Some(lane) => {
                self.waiting.push_back(Waiting::Chunk);
                match lane.submit(make)? {
                    Some(made) => self.give(&made?),
                    None => Ok(()),
                }
            }
        }
    }

    /// Gives the oldest chunk, and what waited before it and behind it.
    fn give(&mut self, made: &[u8]) -> Result<()> {
        self.give_bytes()?;
        self.waiting.pop_front();
        (self.each)(Piece::Bytes(made, None))?;
        self.give_bytes()
    }

    fn give_bytes(&mut self) -> Result<()> {
        while let Some(Waiting::Bytes(bytes)) = self.waiting.front() {
            (self.each)(Piece::Bytes(bytes, None))?;
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Gives all that waits.
    pub(super) fn finish(&mut self) -> Result<()> {
        while let Some(made) = self.lane.as_mut().map(Lane::next).transpose()?.flatten() {
            self.give(&made?)?;
        }
        self.give_bytes()
    }
}
