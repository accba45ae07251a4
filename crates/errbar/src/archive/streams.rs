//! Chunks that are put through their filters, and streams that are made again, on other threads while
//! the content around them goes by.

use std::collections::VecDeque;

use errbar_codec::filter;
use errbar_codec::stream::Stream;
use errbar_format::record::{Maker, Piece as Cut, Variable};
use errbar_format::{Error, Result};

use super::content::Piece;
use crate::parallel::Lane;

/// Bytes between chunks up to this many wait for the chunk before them.
const MAX_WAITING: usize = 64 << 10;
/// The stream of content up to this many bytes is made on another thread when all of it is there; that of
/// more as it comes.
const MAX_GATHERED: u64 = 16 << 20;

/// What has still to be given, in order.
enum Waiting {
    Bytes(Vec<u8>),
    /// The next result of the lane.
    Made,
}

/// What a stream is made to be.
pub(super) struct Made {
    pub(super) maker: Maker,
    pub(super) length: u64,
    pub(super) crc: u32,
    /// Where other bytes of the file stand in the rest of it.
    pub(super) pieces: VecDeque<Cut>,
}

/// A stream whose content is coming.
enum Open {
    Gathered(Made, Vec<u8>),
    AsItComes(Box<Making>),
}

/// A file's content on its way out, in order.
pub(super) struct Streams<'a> {
    lane: Option<Lane<Result<Vec<u8>>>>,
    waiting: VecDeque<Waiting>,
    open: Option<Open>,
    each: &'a mut dyn FnMut(Piece<'_>) -> Result<()>,
}

impl<'a> Streams<'a> {
    /// With threads of a lane, or without.
    pub(super) fn new(lane: Option<Lane<Result<Vec<u8>>>>, each: &'a mut dyn FnMut(Piece<'_>) -> Result<()>) -> Streams<'a> {
        Streams { lane, waiting: VecDeque::new(), open: None, each }
    }

    /// Any content but chunks and streams; that of the stream that is open, if one is.
    pub(super) fn piece(&mut self, piece: Piece<'_>) -> Result<()> {
        match (&mut self.open, piece) {
            (Some(Open::Gathered(_, content)), Piece::Bytes(bytes, _)) => {
                content.extend_from_slice(bytes);
                Ok(())
            }
            (Some(Open::AsItComes(making)), Piece::Bytes(bytes, _)) => {
                making.write(bytes)?;
                making.give(self.each)
            }
            (None, Piece::Bytes(bytes, None)) if !self.waiting.is_empty() && bytes.len() <= MAX_WAITING => {
                self.waiting.push_back(Waiting::Bytes(bytes.to_vec()));
                Ok(())
            }
            (_, piece) => {
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
        self.made(move || {
            let made = filter::apply(&filters, skipped, plain).map_err(|e| e.in_variable(&name))?;
            match made.len() as u64 == length {
                true => Ok(made),
                false => {
                    let what = format!("filters make {} bytes of a chunk of {length}", made.len());
                    Err(Error::corrupt("EB-E09", what).in_variable(&name))
                }
            }
        })
    }

    /// Opens a stream of `plain` bytes of content.
    pub(super) fn open(&mut self, made: Made, plain: u64) -> Result<()> {
        self.open = Some(match self.lane.is_some() && plain <= MAX_GATHERED {
            // Grown as the content comes: a length declared costs nothing.
            true => Open::Gathered(made, Vec::new()),
            false => {
                self.finish()?;
                Open::AsItComes(Box::new(Making::new(made)?))
            }
        });
        Ok(())
    }

    /// Ends the stream that is open (EB-E10).
    pub(super) fn close(&mut self) -> Result<()> {
        match self.open.take() {
            None => Ok(()),
            Some(Open::Gathered(made, content)) => self.made(move || {
                let mut making = Making::new(made)?;
                making.write(&content)?;
                making.end()
            }),
            Some(Open::AsItComes(making)) => {
                let last = making.end()?;
                (self.each)(Piece::Bytes(&last, None))
            }
        }
    }

    /// Gives what `make` makes, on another thread if there are any.
    fn made(&mut self, make: impl FnOnce() -> Result<Vec<u8>> + Send + 'static) -> Result<()> {
        match &mut self.lane {
            None => (self.each)(Piece::Bytes(&make()?, None)),
            Some(lane) => {
                self.waiting.push_back(Waiting::Made);
                match lane.submit(make)? {
                    Some(made) => self.give(&made?),
                    None => Ok(()),
                }
            }
        }
    }

    /// Gives the oldest result, and what waited before it and behind it.
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

/// A stream that is being made, and compared with what it is to be.
struct Making {
    stream: Stream,
    made: Made,
    /// Bytes of the stream before `out`.
    given: u64,
    crc: crc32fast::Hasher,
    out: Vec<u8>,
}

impl Making {
    fn new(made: Made) -> Result<Making> {
        Ok(Making { stream: Stream::new(&made.maker)?, made, given: 0, crc: crc32fast::Hasher::new(), out: Vec::new() })
    }

    fn write(&mut self, content: &[u8]) -> Result<()> {
        self.stream.write(content, &mut self.out)?;
        // No more is given, or held, than there is to be.
        match self.given + self.out.len() as u64 <= self.made.length {
            true => Ok(()),
            false => Err(another(&self.made)),
        }
    }

    /// Gives what there is so far.
    fn give(&mut self, each: &mut dyn FnMut(Piece<'_>) -> Result<()>) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.crc.update(&self.out);
        self.given += self.out.len() as u64;
        let out = self.made.around(std::mem::take(&mut self.out));
        each(Piece::Bytes(&out, None))
    }

    /// The rest of the stream.
    fn end(self) -> Result<Vec<u8>> {
        let Making { stream, mut made, given, mut crc, mut out } = self;
        stream.finish(&mut out)?;
        crc.update(&out);
        match given + out.len() as u64 == made.length && crc.finalize() == made.crc {
            true => Ok(made.around(out)),
            false => Err(another(&made)),
        }
    }
}

impl Made {
    /// The next bytes of the stream with the other bytes of the file that stand in them.
    fn around(&mut self, stream: Vec<u8>) -> Vec<u8> {
        if self.pieces.is_empty() {
            return stream;
        }
        let (mut rest, mut out) = (&stream[..], Vec::with_capacity(stream.len()));
        while let Some(piece) = self.pieces.front_mut() {
            let (now, later) = rest.split_at(piece.length.min(rest.len() as u64) as usize);
            out.extend_from_slice(now);
            piece.length -= now.len() as u64;
            rest = later;
            if piece.length > 0 {
                return out;
            }
            out.append(&mut piece.behind);
            self.pieces.pop_front();
        }
        out.extend_from_slice(rest);
        out
    }
}

fn another(made: &Made) -> Error {
    Error::corrupt("EB-E10", format!("another stream is made of its content than the one of {} bytes", made.length))
}
