//! Files whose header is another file: which one that is shows in their names, and what it says makes a
//! dissector for them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use errbar_format::Result;

use crate::{Array, Dissector, Holds, Inside, Layout, Place, ReadAt, Wrapper, not_this, zlib};

mod envi;
mod pair;
mod zarr;

/// Bytes of a header, at most.
pub const MAX_HEADER: u64 = 1 << 20;
/// Names of what [`described`] knows and [`dissectors`](crate::dissectors) does not.
pub const FORMATS: [&str; 2] = ["envi", "zarr"];

/// The files around the one that is dissected.
pub trait Siblings {
    /// The content of the file `name`, which has no separator, in the folder `up` levels above the one of
    /// the dissected file; nothing where there is none, or none that may be read, or more than
    /// [`MAX_HEADER`] bytes.
    fn read(&self, up: usize, name: &[u8]) -> Option<Vec<u8>>;
}

/// Files by their level and name.
impl Siblings for HashMap<(usize, Vec<u8>), Vec<u8>> {
    fn read(&self, up: usize, name: &[u8]) -> Option<Vec<u8>> {
        self.get(&(up, name.to_vec())).cloned()
    }
}

/// What a header says of the file that it describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    format: &'static str,
    array: Array,
    start: Start,
    stored: Stored,
}

/// Where the data begin in their file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    At(u64),
    /// So that they end with the file.
    FromEnd,
}

/// How the data are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stored {
    Plain,
    Gzip,
    Zlib,
}

impl Described {
    fn plain(format: &'static str, array: Array, offset: u64) -> Described {
        Described { format, array, start: Start::At(offset), stored: Stored::Plain }
    }
}

impl Dissector for Described {
    fn name(&self) -> &'static str {
        self.format
    }

    fn probe(&self, _: &[u8]) -> bool {
        true
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let size = file.size();
        let bytes = self.array.bytes().ok_or_else(|| not_this("described array overflows"))?;
        let offset = match (self.start, self.stored) {
            (Start::At(offset), _) => Some(offset),
            (Start::FromEnd, Stored::Plain) => size.checked_sub(bytes),
            (Start::FromEnd, _) => None,
        };
        let offset = offset.filter(|offset| *offset <= size).ok_or_else(|| not_this("described data do not fit the file"))?;
        let inside = Inside::Array(Box::new(self.array.clone()), 0);
        match self.stored {
            // A header that speaks of another file mostly gives itself away here.
            Stored::Plain if offset.checked_add(bytes) != Some(size) => Err(not_this("described array is not what the file holds")),
            Stored::Plain => Ok(Layout::of(self.array.clone(), offset)),
            Stored::Gzip => {
                let holds = Holds::Stream(Wrapper::Gzip, inside);
                Ok(Layout { places: vec![Place { offset, length: size - offset, holds }], ..Layout::default() })
            }
            Stored::Zlib => {
                let after = (size - offset).checked_sub(zlib::HEADER).ok_or_else(|| not_this("zlib stream is cut"))?;
                Ok(zlib::stream(offset + zlib::HEADER, after, inside))
            }
        }
    }
}

/// What another file says of the one at `path`, whose components are separated by `/`: to be tried on it
/// before all that look for headers in it. Nothing where no header is found that describes it, or a parser
/// fails or panics.
pub fn described(path: &[u8], siblings: &dyn Siblings) -> Option<Described> {
    let components: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let found = || zarr::described(&components, siblings).or_else(|| pair::described(components.last()?, siblings));
    catch_unwind(AssertUnwindSafe(found)).ok().flatten().filter(|described| described.array.is_sound())
}

#[cfg(test)]
mod tests;
