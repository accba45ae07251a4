//! Codes in classes by what stands near them, each class a pco file. See `spec/stages/classes.md`.

use errbar_format::{Error, Result};
use pco::data_types::Number;

use super::pco::{self as files, Search};
use crate::codes::Word;
use crate::simd::{Work, widest};
use crate::stage::{Coder, Estimate, Stage, bad_params};
use crate::{Codes, Layout, Words, with_words};

/// Codes divided by the size of their neighbours in the row before, as residuals are large where
/// others are. The classes of a row do not depend on each other, so that it is told apart without
/// waiting for any code of its own: the contexts of a context model (Wu and Memon, IEEE
/// Transactions on Communications 45(4), 1997) at the speed of pco.
#[derive(Clone, Copy, Debug)]
pub struct Classes;

/// Most classes.
const MOST: usize = 8;
/// … where only their size is asked for.
const FEW: usize = 2;
/// Codes that a class must have, about: each brings a table of its own.
const WORTH: usize = 4096;
/// Sums of neighbours that thresholds are chosen by.
const LOOKS: usize = 4096;
/// Codes told apart at a time: their classes stay in the first-level cache.
const RUN: usize = 1024;
/// A last dimension up to this has components of one thing: their neighbours are of the same one.
const COMPONENTS: usize = 8;

/// Where the neighbours of a code stand.
#[derive(Clone, Copy)]
struct Near {
    /// Codes back to the one above.
    row: usize,
    /// Codes from this one to those beside it; at most `row`.
    step: usize,
}

impl Near {
    fn of(dims: &[usize], params: &[u8]) -> Result<(Near, u8)> {
        let &[axes, level] = params else { return Err(bad_params("classes takes two bytes")) };
        if !(1..=3).contains(&axes) || usize::from(axes) > dims.len() {
            return Err(bad_params("classes takes 1 to 3 axes, no more than there are"));
        }
        // Beside an extent of zero there may be any others.
        let row = dims[dims.len() - usize::from(axes)..].iter().fold(1usize, |row, &dim| row.saturating_mul(dim)).clamp(1, usize::MAX / 4);
        let last = dims[dims.len() - 1].max(1);
        let step = if axes > 1 && last <= COMPONENTS { last } else { 1 };
        Ok((Near { row, step: step.min(row) }, level))
    }

    /// Codes before which no neighbour stands that would be one.
    fn alone(self) -> usize {
        self.row - self.step
    }
}

/// A word of codes, as the sums of its neighbours are made of.
trait Neighbour: Word + Number {
    /// Has room for four of what [`Neighbour::cut`] gives.
    type Sum: Copy + Ord + Default + std::ops::Add<Output = Self::Sum>;
    /// More than any sum.
    const MOST: Self::Sum;
    /// The word, or the most that counts.
    fn cut(self) -> Self::Sum;
    fn sum(bits: u64) -> Self::Sum;
    fn bits(sum: Self::Sum) -> u64;
}

macro_rules! sized {
    ($word:ty, $sum:ty) => {
        impl Neighbour for $word {
            type Sum = $sum;
            const MOST: $sum = <$sum>::MAX;
            #[inline(always)]
            fn cut(self) -> $sum {
                u64::from(self).min(<$sum>::MAX as u64 >> 2) as $sum
            }
            fn sum(bits: u64) -> $sum {
                bits.min(<$sum>::MAX as u64) as $sum
            }
            fn bits(sum: $sum) -> u64 {
                sum as u64
            }
        }
    };
}

// Signed, as vectors compare signed numbers.
sized!(u8, i32);
sized!(u16, i32);
sized!(u32, i32);
sized!(u64, i64);

/// Sums above which codes are in the next class, ascending; behind the last, what no sum is above.
struct Thresholds<W: Neighbour>([W::Sum; MOST - 1]);

impl<W: Neighbour> Thresholds<W> {
    #[inline(always)]
    fn class(&self, sum: W::Sum) -> u8 {
        self.0.iter().map(|&threshold| u8::from(sum > threshold)).sum()
    }

    #[inline(always)]
    fn sum(before: W, above: W, behind: W) -> W::Sum {
        before.cut() + above.cut() + above.cut() + behind.cut()
    }

    /// Classes of codes whose neighbours are these.
    #[inline(always)]
    fn run(&self, before: &[W], above: &[W], behind: &[W], classes: &mut [u8]) {
        for (((class, &before), &above), &behind) in classes.iter_mut().zip(before).zip(above).zip(behind) {
            *class = self.class(Self::sum(before, above, behind));
        }
    }

    /// Classes of the codes from `from` on, which stand in `words` as far as they are their neighbours.
    #[inline(always)]
    fn classes(&self, words: &[W], near: Near, from: usize, classes: &mut [u8]) {
        let Near { row, step } = near;
        let at = |from: usize| words.get(from..).unwrap_or_default();
        if from >= row + step {
            self.run(at(from - row - step), at(from - row), at(from - row + step), classes);
            return;
        }
        let word = |i: usize, back: usize| i.checked_sub(back).and_then(|i| words.get(i)).copied().unwrap_or(W::from_u64(0));
        for (i, class) in (from..).zip(classes) {
            *class = self.class(Self::sum(word(i, row + step), word(i, row), word(i, near.alone())));
        }
    }

    /// Thresholds that make `k` classes or fewer, of one size where sums are not too often the same.
    fn choose(words: &[W], near: Near, k: usize) -> Vec<W::Sum> {
        let first = near.row + near.step;
        let stride = (words.len().saturating_sub(first) / LOOKS).max(1);
        let at = (first..words.len()).step_by(stride);
        let mut sums: Vec<W::Sum> = at.map(|i| Self::sum(words[i - first], words[i - near.row], words[i - near.alone()])).collect();
        sums.sort_unstable();
        let (mut thresholds, mut rest) = (Vec::new(), &sums[..]);
        for left in (2..=k).rev() {
            let Some(&threshold) = rest.get(rest.len() / left) else { break };
            rest = &rest[rest.partition_point(|&sum| sum <= threshold)..];
            if rest.is_empty() {
                break;
            }
            thresholds.push(threshold);
        }
        thresholds
    }

    fn of(chosen: &[W::Sum]) -> Thresholds<W> {
        Thresholds(std::array::from_fn(|i| chosen.get(i).copied().unwrap_or(W::MOST)))
    }
}

/// The places of the next codes of each class, in codes that stand class by class.
type Places = [usize; MOST];

/// Codes class by class, and where classes end.
struct Divide<'a, W: Neighbour> {
    words: &'a [W],
    near: Near,
    thresholds: &'a Thresholds<W>,
}

impl<W: Neighbour> Work for Divide<'_, W> {
    type Output = (Vec<W>, Places);

    #[inline(always)]
    fn run(self) -> (Vec<W>, Places) {
        let Divide { words, near, thresholds } = self;
        let mut classes = vec![0u8; words.len()];
        // The first have no neighbours at all.
        let border = (near.row + near.step).min(words.len());
        let alone = near.alone().min(border);
        thresholds.classes(words, near, alone, &mut classes[alone..border]);
        thresholds.classes(words, near, near.row + near.step, &mut classes[border..]);
        let mut places = [0; MOST];
        classes.iter().for_each(|&class| places[usize::from(class) % MOST] += 1);
        let mut next = 0;
        for place in &mut places {
            (next, *place) = (next + *place, next);
        }
        let mut divided = vec![W::from_u64(0); words.len()];
        for (&word, &class) in words.iter().zip(&classes) {
            let place = &mut places[usize::from(class) % MOST];
            divided[*place] = word;
            *place += 1;
        }
        (divided, places)
    }
}

/// Inverse of [`Divide`]: `places` are where classes begin, and become where they were read to.
struct Unite<'a, W: Neighbour> {
    divided: &'a [W],
    near: Near,
    thresholds: &'a Thresholds<W>,
    places: &'a mut Places,
}

impl<W: Neighbour> Work for Unite<'_, W> {
    type Output = Vec<W>;

    #[inline(always)]
    fn run(self) -> Vec<W> {
        let Unite { divided, near, thresholds, places } = self;
        let mut words = vec![W::from_u64(0); divided.len()];
        let alone = near.alone().min(words.len());
        words[..alone].copy_from_slice(&divided[..alone]);
        places[0] += alone;
        let (mut classes, mut from) = ([0u8; RUN], alone);
        while from < words.len() {
            let to = words.len().min(from + near.alone().clamp(1, RUN));
            // What stands behind the border needs no look at where neighbours end.
            let to = if from < near.row + near.step { to.min(near.row + near.step) } else { to };
            let classes = &mut classes[..to - from];
            thresholds.classes(&words, near, from, classes);
            for (word, &class) in words[from..to].iter_mut().zip(&*classes) {
                let place = &mut places[usize::from(class) % MOST];
                // Damaged files may hold fewer codes of a class than are asked for.
                *word = divided.get(*place).copied().unwrap_or(W::from_u64(0));
                *place += 1;
            }
            from = to;
        }
        words
    }
}

fn corrupt(what: &str) -> Error {
    Error::corrupt("EB-C02", format!("classes: {what}"))
}

fn encode<W: Neighbour>(words: &[W], near: Near, level: u8, most: usize) -> Result<Vec<u8>> {
    let k = (words.len() / WORTH).clamp(1, most);
    let chosen = if near.alone() == 0 { Vec::new() } else { Thresholds::<W>::choose(words, near, k) };
    let (divided, ends) = widest(Divide { words, near, thresholds: &Thresholds::of(&chosen) });
    let mut bytes = vec![chosen.len() as u8 + 1];
    bytes.extend(chosen.iter().flat_map(|&threshold| W::bits(threshold).to_le_bytes()));
    let (mut parts, mut begin) = (Vec::new(), 0);
    for &end in &ends[..=chosen.len()] {
        let part = files::compress(&divided[begin..end], level, Search::None)?;
        // A layout is at most a block of 64 MiB, so a file is far below 4 GiB.
        bytes.extend((part.len() as u32).to_le_bytes());
        parts.extend(part);
        begin = end;
    }
    bytes.append(&mut parts);
    Ok(bytes)
}

/// The first `N` bytes, which are taken off.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (&first, rest) = bytes.split_first_chunk().ok_or_else(|| corrupt("too short"))?;
    *bytes = rest;
    Ok(first)
}

fn decode<W: Neighbour>(mut bytes: &[u8], n: usize, near: Near) -> Result<Vec<W>> {
    let [k] = take(&mut bytes)?;
    let k = Some(usize::from(k)).filter(|k| (1..=MOST).contains(k)).ok_or_else(|| corrupt("impossible number of classes"))?;
    let thresholds = (1..k).map(|_| Ok(W::sum(u64::from_le_bytes(take(&mut bytes)?)))).collect::<Result<Vec<_>>>()?;
    if !thresholds.is_sorted_by(|a, b| a < b) || thresholds.last() == Some(&W::MOST) || k > 1 && near.alone() == 0 {
        return Err(corrupt("impossible thresholds"));
    }
    let lengths = (0..k).map(|_| Ok(u32::from_le_bytes(take(&mut bytes)?) as usize)).collect::<Result<Vec<_>>>()?;
    let mut divided = vec![W::from_u64(0); n];
    let (mut places, mut ends, mut end) = ([n; MOST], [n; MOST], 0);
    for (class, length) in lengths.into_iter().enumerate() {
        let (file, rest) = bytes.split_at_checked(length).ok_or_else(|| corrupt("too short"))?;
        places[class] = end;
        end += files::decompress_into(file, &mut divided[end..])?;
        ends[class] = end;
        bytes = rest;
    }
    if end != n || !bytes.is_empty() {
        return Err(corrupt("the classes do not hold the codes"));
    }
    if k == 1 {
        return Ok(divided);
    }
    let words = widest(Unite { divided: &divided, near, thresholds: &Thresholds::of(&thresholds), places: &mut places });
    match places == ends {
        true => Ok(words),
        false => Err(corrupt("classes hold more or fewer codes than are of them")),
    }
}

impl Classes {
    /// Parameters for neighbours that stand the last `axes` dimensions back, at a compression level of
    /// 0 to 12.
    pub fn params(axes: u8, level: u8) -> Vec<u8> {
        vec![axes, level]
    }
}

impl Stage for Classes {
    fn name(&self) -> &'static str {
        "classes"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "codes in classes by the size of their neighbours, each class by Pcodec"
    }

    fn parameters(&self) -> &'static str {
        "axes: u8, 1 to 3, whose extents are a row; level: u8, for information only"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        (1..=3).map(|axes| Classes::params(axes, 8)).collect()
    }

    fn guarantee(&self) -> &'static str {
        "every code comes back"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        let (_, level) = Near::of(&[1; 3], params)?;
        Ok(format!("{}, level {level}", params[0]))
    }
}

impl Coder for Classes {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        let (near, level) = Near::of(&codes.dims, params)?;
        with_words!(&codes.words, v => encode(v, near, level, MOST))
    }

    fn estimate(&self, codes: &Codes, params: &[u8]) -> Result<Estimate> {
        let (near, level) = Near::of(&codes.dims, params)?;
        // Of a sample's bytes too many would be tables of many classes.
        let bytes = with_words!(&codes.words, v => encode(v, near, level, FEW))?;
        Ok(Estimate { side: 0.0, codes: bytes.len() as f64 })
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        let (near, n) = (Near::of(&layout.dims, params)?.0, layout.len());
        let words = match layout.width {
            1 => Words::U8(decode(bytes, n, near)?),
            2 => Words::U16(decode(bytes, n, near)?),
            4 => Words::U32(decode(bytes, n, near)?),
            _ => Words::U64(decode(bytes, n, near)?),
        };
        Ok(layout.codes(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::SplitMix64;
    use crate::simd::narrow;

    /// Columns whose words are small or large, each the same in all rows.
    fn uneven(n: usize, width: usize) -> Vec<u32> {
        let noise = SplitMix64(5).take(n).enumerate();
        noise.map(|(i, random)| if (i % width / 8).is_multiple_of(3) { random as u32 & 0xFFFF } else { random as u32 & 7 }).collect()
    }

    #[test]
    fn words_come_back_with_wide_vectors_and_without() {
        let words = uneven(40_000, 100);
        for (dims, axes) in [(&[400, 100][..], 1), (&[40, 10, 100], 2), (&[100, 100, 4], 2), (&[40_000], 1), (&[20_000, 2], 1)] {
            let codes = Codes::plain(dims.to_vec(), Words::U32(words.clone()));
            let bytes = Classes.encode(&codes, &Classes::params(axes, 8)).expect("codes");
            assert_eq!(bytes, narrow::only(|| Classes.encode(&codes, &Classes::params(axes, 8))).expect("codes"));
            let decode = || Classes.decode(&bytes, &codes.layout(), &Classes::params(axes, 8)).expect("as encoded");
            assert_eq!(decode(), codes, "{dims:?}");
            assert_eq!(narrow::only(decode), codes, "{dims:?}");
        }
    }

    #[test]
    fn neighbours_tell_large_from_small() {
        let codes = Codes::plain(vec![400, 100], Words::U32(uneven(40_000, 100)));
        let bytes = Classes.encode(&codes, &Classes::params(1, 8)).expect("codes").len();
        let alone = files::compress(&uneven(40_000, 100), 8, Search::None).expect("numbers").len();
        assert!(20 * bytes < 19 * alone, "{bytes} {alone}");
    }

    #[test]
    fn the_example_of_the_specification_is_divided_so() {
        let (near, _) = Near::of(&[2, 3], &[1, 8]).expect("two dimensions");
        let thresholds = Thresholds::<u8>::of(&[12]);
        let (divided, ends) = widest(Divide { words: &[1, 9, 1, 0, 7, 0], near, thresholds: &thresholds });
        assert_eq!((divided, ends[..2].to_vec()), (vec![1, 9, 1, 0, 0, 7], vec![5, 6]));
    }
}
