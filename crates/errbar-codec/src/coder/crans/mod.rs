mod adaptive;
mod context;
mod decode;
mod encode;
mod fit;
mod range;
mod rans;
mod raw;
mod signs;
mod symbols;
mod tables;
mod token;
mod zeros;

use errbar_format::{Error, Result};

pub use self::adaptive::Carith;

use self::context::{GROUPS, SMALL, Template, plain_weights};
use crate::binary::{Binary, Bit};
use crate::codes::{Scan, Word};
use crate::polyphase::{DIMS, Extents, Grid, HALO, class_extents, classes, folded, padded};
use crate::stage::{Coder, Estimate, Stage, no_params};
use crate::{Codes, Layout, Words, with_words};

/// Context-modelled range asymmetric numeral systems: static tables of token frequencies, chosen
/// for every word by the magnitudes of the words around it, with weights fitted for every class of
/// a level, and by the signs of two of them. Small codes should be likely, as zigzag codes of residuals are. See
/// `spec/stages/crans.md`.
#[derive(Clone, Copy, Debug)]
pub struct Crans;

fn too_short() -> Error {
    corrupt("too short")
}

fn corrupt(what: &str) -> Error {
    Error::corrupt("EB-C02", format!("crans: {what}"))
}

/// A class to code: which one of which level, and its extents.
struct Step {
    level: u8,
    class: u8,
    n: Extents,
    /// The grid that the level takes apart, after whose last class it is put together again.
    whole: Extents,
    is_last: bool,
}

/// All classes in the order of the words.
fn steps(n: Extents, levels: &[u8]) -> Vec<Step> {
    let mut extents = vec![n];
    for &level in levels {
        extents.push(class_extents(extents[extents.len() - 1], level, 0));
    }
    let coarsest = extents[levels.len()];
    let mut steps = vec![Step { level: 0, class: 0, n: coarsest, whole: coarsest, is_last: true }];
    for (&level, &whole) in levels.iter().zip(&extents).rev() {
        let odd = &classes(level)[1..];
        steps.extend(odd.iter().map(|&class| Step {
            level,
            class,
            n: class_extents(whole, level, class),
            whole,
            is_last: Some(&class) == odd.last(),
        }));
    }
    steps
}

/// Points of the halo of classes: neighbours are no farther away.
const REACH: Extents = [1, 1, 1, 2];

/// Activity of the classes of the level at work; the coarser grid is the class 0.
struct Activity {
    finest: Extents,
    classes: Vec<Grid<u16>>,
}

/// Points beyond the edge are as active as the edge.
fn replicate(at: u16, _: u16) -> [u16; HALO] {
    [at, at]
}

impl Activity {
    fn new(finest: Extents) -> Self {
        Activity { finest, classes: (0..1 << DIMS).map(|_| Grid::default()).collect() }
    }

    /// A grid of zeros for the class of a step, whose points stand as those of the classes before it.
    fn new_class(&self, step: &Step) -> Grid<u16> {
        match step.level {
            0 => Grid::new(step.n, self.finest, REACH),
            _ => self.classes[0].beside(step.n),
        }
    }

    /// A grid of zeros for the activity of a class whose magnitudes are `own`, if any class comes after it.
    fn grid(&self, step: &Step, own: &Grid<u16>) -> Option<Grid<u16>> {
        let is_last = step.is_last && step.whole == self.finest;
        (!is_last).then(|| own.beside(step.n))
    }

    /// Takes in the activity of a class, if any class comes after it.
    #[inline(always)]
    fn finish(&mut self, step: &Step, activity: Option<Grid<u16>>) {
        let Some(mut activity) = activity else { return };
        activity.fill_halo(replicate);
        self.classes[usize::from(step.class)] = activity;
        if step.is_last && step.level != 0 {
            let mut whole = Grid::merged(step.whole, self.finest, REACH, step.level, &self.classes);
            whole.fill_halo(replicate);
            self.classes[0] = whole;
        }
    }
}

/// Writes the weights of a class, or reads them.
fn code_weights(coder: &mut impl Binary, template: &Template, n: Extents, given: &[u8; GROUPS], models: &mut [Bit; 256]) -> [u8; GROUPS] {
    if n.iter().product::<usize>() < SMALL {
        return plain_weights(template);
    }
    std::array::from_fn(|g| if template[g].is_empty() { 0 } else { coder.tree(given[g].into(), models) as u8 })
}

/// Points, with the halo, of the largest grid: what a reader must be able to hold.
const MAX_PADDED: usize = 1 << 26;

/// The geometry that a scan describes.
fn geometry(dims: &[usize], scan: &Scan) -> Result<(Extents, Vec<u8>)> {
    let (n, levels) = match <Extents>::try_from(dims) {
        Ok(n) if !scan.levels.is_empty() => (n, scan.levels.clone()),
        _ if scan.levels.is_empty() => (folded(dims), Vec::new()),
        _ => return Err(Error::usage("crans takes levels of four dimensions")),
    };
    match padded(n) {
        0..=MAX_PADDED => Ok((n, levels)),
        points => Err(Error::usage(format!("crans takes grids of at most {MAX_PADDED} points with their halo, this has {points}"))),
    }
}

/// Where words stand.
#[derive(Clone, Copy)]
struct Geometry<'a> {
    n: Extents,
    levels: &'a [u8],
    absent: Option<&'a [bool]>,
}

/// Where the first word of a row of a class stands among those of the class.
#[inline(always)]
fn first_word(n: Extents, row: [usize; DIMS - 1]) -> usize {
    ((row[0] * n[1] + row[1]) * n[2] + row[2]) * n[DIMS - 1]
}

impl Stage for Crans {
    fn name(&self) -> &'static str {
        "crans"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "small codes by static rANS in the context of their neighbours' magnitudes and signs"
    }

    fn guarantee(&self) -> &'static str {
        "gives back every code of at most 32 bits"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

/// What `work` makes of the words of codes.
fn of_words<T>(codes: &Codes, work: impl Fn(&[u32], Geometry<'_>) -> T) -> Result<T> {
    let (n, levels) = geometry(&codes.dims, &codes.scan)?;
    let geometry = Geometry { n, levels: &levels, absent: codes.scan.absent.as_deref() };
    match &codes.words {
        Words::U64(_) => Err(Error::usage("crans takes codes of at most 32 bits")),
        Words::U32(words) => Ok(work(words, geometry)),
        words => {
            let words: Vec<u32> = with_words!(words, v => v.iter().map(|word| word.to_u64() as u32).collect());
            Ok(work(&words, geometry))
        }
    }
}

impl Coder for Crans {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        no_params(params)?;
        of_words(codes, encode::encode)
    }

    fn estimate(&self, codes: &Codes, params: &[u8]) -> Result<Estimate> {
        no_params(params)?;
        of_words(codes, encode::estimate)
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let (n, levels) = geometry(&layout.dims, &layout.scan).map_err(|error| corrupt(&error.to_string()))?;
        let geometry = Geometry { n, levels: &levels, absent: layout.scan.absent.as_deref() };
        if layout.width > 4 {
            return Err(corrupt("codes of more than 32 bits"));
        }
        let words = decode::decode(bytes, geometry)?;
        let words = match layout.width {
            1 => Words::U8(words.into_iter().map(|word| word as u8).collect()),
            2 => Words::U16(words.into_iter().map(|word| word as u16).collect()),
            _ => Words::U32(words),
        };
        Ok(layout.codes(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That of `spec/stages/crans.md`.
    #[test]
    fn the_example_is_what_is_written() {
        let codes = Codes::plain(vec![4], Words::U8(vec![1, 0, 2, 40]));
        let bytes = Crans.encode(&codes, &[]).expect("small codes");
        let header = [0xff, 0xbd, 0xf9, 0x93, 0xdf, 0xc4, 0xdd, 0xd0, 0x79, 0xf5];
        let words = [3, 1, 0, 0x84, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(bytes, [&[10, 0, 0, 0][..], &header, &[8, 0, 0, 0], &words, &[0]].concat());
    }
}
