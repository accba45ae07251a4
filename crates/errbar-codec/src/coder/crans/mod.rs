mod context;
mod fit;
mod rans;
mod tables;
mod token;

use errbar_format::{Error, Result};

use self::context::{Around, Bands, Context, GROUPS, SMALL, Template, Trend, activity, bin, plain_weights, template};
use self::tables::{BINS, Histogram, Tables};
use self::token::TOKENS;
use crate::binary::{Binary, Bit, Reader, Writer};
use crate::bytes::{take, take_length};
use crate::codes::{Scan, Word};
use crate::polyphase::{DIMS, Extents, Grid, class_extents, classes, folded, padded};
use crate::simd::{Work, widest};
use crate::stage::{Coder, Stage, no_params};
use crate::{Codes, Layout, Words, with_words};

/// Context-modelled range asymmetric numeral systems: static tables of token frequencies, chosen
/// for every word by the magnitudes of the words around it, with weights fitted for every class of
/// a level. Small codes should be likely, as zigzag codes of residuals are. See
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

/// Activity of the classes of the level at work; the coarser grid is the class 0.
struct Activity {
    finest: Extents,
    classes: Vec<Grid<u16>>,
}

/// Points beyond the edge are as active as the edge.
fn replicate(at: u16, _: u16) -> [u16; 2] {
    [at, at]
}

impl Activity {
    fn new(finest: Extents) -> Self {
        Activity { finest, classes: (0..1 << DIMS).map(|_| Grid::default()).collect() }
    }

    #[inline(always)]
    fn finish(&mut self, step: &Step, mut activity: Grid<u16>) {
        activity.fill_halo(replicate);
        self.classes[usize::from(step.class)] = activity;
        if step.is_last && step.level != 0 && step.whole != self.finest {
            let mut whole = Grid::merged(step.whole, self.finest, step.level, &self.classes);
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

struct Encoding<'a>(&'a [u32], Geometry<'a>);

impl Work for Encoding<'_> {
    type Output = Vec<u8>;
    #[inline(always)]
    fn run(self) -> Vec<u8> {
        encode(self.0, self.1)
    }
}

struct Decoding<'a>(&'a [u8], Geometry<'a>);

impl Work for Decoding<'_> {
    type Output = Result<Vec<u32>>;
    #[inline(always)]
    fn run(self) -> Self::Output {
        decode(self.0, self.1)
    }
}

#[inline(always)]
fn encode(words: &[u32], Geometry { n, levels, absent }: Geometry<'_>) -> Vec<u8> {
    let mut header = Writer::default();
    let mut weight_models = [Bit::default(); 256];
    let mut symbols = Vec::with_capacity(words.len());
    let mut histograms: Box<[Histogram; BINS]> = Box::new([[0; TOKENS]; BINS]);
    let mut raw = rans::RawWriter::default();
    let mut around = Activity::new(n);
    let mut first = 0;
    for step in steps(n, levels) {
        let len: usize = step.n.iter().product();
        let here = &words[first..first + len];
        let absent = absent.map(|absent| &absent[first..first + len]);
        first += len;
        let template = template(n, step.level, step.class, step.n);
        let mut own: Grid<u16> = Grid::new(step.n, n);
        let width = step.n[DIMS - 1];
        for (number, (row, words)) in own.each_row().zip(here.chunks(width.max(1))).enumerate() {
            let magnitudes = own.row_mut(row);
            magnitudes.iter_mut().zip(words).for_each(|(to, &word)| *to = token::magnitude(word));
            if let Some(absent) = absent {
                let absent = &absent[number * width..][..width];
                magnitudes.iter_mut().zip(absent).filter(|(_, absent)| **absent).for_each(|(to, _)| *to = 0);
            }
        }
        let bands = Bands::new(step.n);
        let weights = if len < SMALL { [0; GROUPS] } else { fit::weights(&template, &own, &around.classes) };
        let weights = code_weights(&mut header, &template, step.n, &weights, &mut weight_models);
        let context = Context::new(&template, &weights, bands.axis, &own, &around.classes);
        let mut active: Grid<u16> = Grid::new(step.n, n);
        let mut bins = vec![0u8; len];
        let mut sums = vec![0; width];
        for band in 0..bands.count {
            let mut trend = Trend::new(width);
            for (row, first_slice) in (0..bands.waves()).filter_map(|wave| bands.row(band, wave)) {
                let seen = Around { own: &own, classes: &around.classes, trend: &trend };
                context.row(&seen, row, first_slice, &mut sums);
                let (magnitudes, active) = (own.row(row), active.row_mut(row));
                let bins = &mut bins[first_word(step.n, row)..][..width];
                for x in 0..width {
                    let left = |back: usize| if x >= back { magnitudes[x - back] } else { 0 };
                    let value = context.value(sums[x], left(1), left(2));
                    bins[x] = bin(value);
                    active[x] = activity(value, magnitudes[x]);
                }
                trend.learn(magnitudes);
            }
        }
        for wave in 0..bands.waves() {
            let rows: [Option<usize>; 4] = std::array::from_fn(|band| {
                let (row, _) = bands.row(band, wave).filter(|_| band < bands.count)?;
                Some(first_word(step.n, row))
            });
            for x in 0..width {
                for (lane, at) in rows.iter().enumerate().filter_map(|(lane, row)| Some((lane, (*row)? + x))) {
                    if absent.is_some_and(|absent| absent[at]) {
                        continue;
                    }
                    let (token, n, rest) = token::split(here[at]);
                    symbols.push((token, bins[at], state(lane, x, bands.count)));
                    histograms[usize::from(bins[at])][usize::from(token)] += 1;
                    if n > 0 {
                        raw.put(rest, n);
                    }
                }
            }
        }
        around.finish(&step, active);
    }
    let tables = Tables::write(&histograms, &mut header);
    let header = header.finish();
    let mut bytes = (header.len() as u32).to_le_bytes().to_vec();
    bytes.extend(header);
    if symbols.is_empty() {
        return bytes;
    }
    let coded = rans::encode(&symbols, &tables);
    bytes.extend((coded.len() as u32).to_le_bytes());
    Word::put_le(&coded, &mut bytes);
    bytes.extend(raw.finish());
    bytes
}

/// Where the first word of a row of a class stands among those of the class.
#[inline(always)]
fn first_word(n: Extents, row: [usize; DIMS - 1]) -> usize {
    ((row[0] * n[1] + row[1]) * n[2] + row[2]) * n[DIMS - 1]
}

/// The state that codes a word: those of a row take turns, and no two rows of a wave share any.
#[inline(always)]
fn state(lane: usize, x: usize, lanes: usize) -> u8 {
    ((lane + lanes * x) % rans::STATES) as u8
}

#[inline(always)]
fn decode(mut bytes: &[u8], Geometry { n, levels, absent }: Geometry<'_>) -> Result<Vec<u32>> {
    let length = take_length(&mut bytes).ok_or_else(too_short)?;
    let mut header = Reader::new(take(&mut bytes, length).ok_or_else(too_short)?);
    let total: usize = n.iter().product();
    let mut words = vec![0; total];
    if absent.map_or(total == 0, |absent| !absent.contains(&false)) {
        return if bytes.is_empty() { Ok(words) } else { Err(corrupt("bytes behind no words")) };
    }
    let steps = steps(n, levels);
    let mut models = [Bit::default(); 256];
    let mut coded_weights = |step: &Step| {
        let template = template(n, step.level, step.class, step.n);
        let weights = code_weights(&mut header, &template, step.n, &[0; GROUPS], &mut models);
        (template, weights)
    };
    let contexts: Vec<(Template, [u8; GROUPS])> = steps.iter().map(&mut coded_weights).collect();
    let tables = Tables::read(&mut header)?;
    let length = take_length(&mut bytes).ok_or_else(too_short)?.checked_mul(2).ok_or_else(|| corrupt("too many words"))?;
    let mut decoder = rans::Decoder::new(&tables, take(&mut bytes, length).ok_or_else(too_short)?, bytes, 4 * n[DIMS - 1])?;
    let mut around = Activity::new(n);
    let mut first = 0;
    for (step, (template, weights)) in steps.iter().zip(&contexts) {
        let len: usize = step.n.iter().product();
        let absent = absent.map(|absent| &absent[first..first + len]);
        let mut class = Class::new(step, template, weights, n, &around.classes);
        class.decode(&mut decoder, &around.classes, &mut words[first..first + len], absent);
        first += len;
        around.finish(step, class.active);
    }
    decoder.finish()?;
    Ok(words)
}

/// A class while it is decoded.
struct Class {
    n: Extents,
    bands: Bands,
    context: Context,
    own: Grid<u16>,
    active: Grid<u16>,
}

/// What a row of a band is decoded with.
struct Lane {
    sums: Vec<u32>,
    trend: Trend,
}

impl Class {
    fn new(step: &Step, template: &Template, weights: &[u8; GROUPS], finest: Extents, complete: &[Grid<u16>]) -> Self {
        let own = Grid::new(step.n, finest);
        let bands = Bands::new(step.n);
        let context = Context::new(template, weights, bands.axis, &own, complete);
        Class { n: step.n, bands, context, own, active: Grid::new(step.n, finest) }
    }

    #[inline(always)]
    fn decode(&mut self, decoder: &mut rans::Decoder<'_>, complete: &[Grid<u16>], words: &mut [u32], absent: Option<&[bool]>) {
        let width = self.n[DIMS - 1];
        let mut lanes: Vec<Lane> = (0..self.bands.count).map(|_| Lane { sums: vec![0; width], trend: Trend::new(width) }).collect();
        let mut rows = Vec::with_capacity(self.bands.count);
        for wave in 0..self.bands.waves() {
            rows.clear();
            rows.extend((0..self.bands.count).filter_map(|band| self.bands.row(band, wave)));
            for (lane, &(row, first_slice)) in lanes.iter_mut().zip(&rows) {
                let seen = Around { own: &self.own, classes: complete, trend: &lane.trend };
                self.context.row(&seen, row, first_slice, &mut lane.sums);
            }
            decoder.start_wave();
            match (absent, rows.len(), self.bands.count) {
                (None, 4, 4) => self.wave::<4>(decoder, &lanes, &rows, words),
                (None, 2, 2) => self.wave::<2>(decoder, &lanes, &rows, words),
                (None, 1, 1) => self.wave::<1>(decoder, &lanes, &rows, words),
                _ => self.any_wave(decoder, &lanes, &rows, words, absent),
            }
            for (lane, &(row, _)) in lanes.iter_mut().zip(&rows) {
                lane.trend.learn(self.own.row(row));
            }
        }
    }

    /// Rows side by side, so that none waits for the other's words.
    #[inline(always)]
    #[allow(unused_assignments)] // what the last step of a row leaves to the next
    fn wave<const LANES: usize>(
        &mut self,
        decoder: &mut rans::Decoder<'_>,
        lanes: &[Lane],
        rows: &[([usize; DIMS - 1], bool)],
        words: &mut [u32],
    ) {
        let width = self.n[DIMS - 1];
        let sums: [&[u32]; LANES] = std::array::from_fn(|lane| &lanes[lane].sums[..width]);
        let at: [usize; LANES] = std::array::from_fn(|lane| first_word(self.n, rows[lane].0));
        let own_at: [usize; LANES] = std::array::from_fn(|lane| self.own.start(rows[lane].0));
        // Bands are disjoint, and so are their rows.
        let Ok(words) = words.get_disjoint_mut(at.map(|at| at..at + width)) else { return };
        let Ok(own) = self.own.data_mut().get_disjoint_mut(own_at.map(|at| at..at + width)) else { return };
        let Ok(active) = self.active.data_mut().get_disjoint_mut(own_at.map(|at| at..at + width)) else { return };
        let (mut left, mut left2) = ([0; LANES], [0; LANES]);
        let mut states = decoder.states;
        let context = &self.context;
        // Written out, so that all of a lane stays in registers.
        macro_rules! step {
            ($x:expr, $lane:literal, $state:literal) => {
                if $lane < LANES {
                    let value = context.value(sums[$lane][$x], left[$lane], left2[$lane]);
                    let word = decoder.word(&mut states[$state], bin(value));
                    (left2[$lane], left[$lane]) = (left[$lane], token::magnitude(word));
                    words[$lane][$x] = word;
                    active[$lane][$x] = value as u16;
                }
            };
        }
        let mut x = 0;
        match LANES {
            4 => {
                while x + 2 <= width {
                    step!(x, 0, 0);
                    step!(x, 1, 1);
                    step!(x, 2, 2);
                    step!(x, 3, 3);
                    step!(x + 1, 0, 4);
                    step!(x + 1, 1, 5);
                    step!(x + 1, 2, 6);
                    step!(x + 1, 3, 7);
                    x += 2;
                }
                if x < width {
                    step!(x, 0, 0);
                    step!(x, 1, 1);
                    step!(x, 2, 2);
                    step!(x, 3, 3);
                }
            }
            2 => {
                while x + 2 <= width {
                    step!(x, 0, 0);
                    step!(x, 1, 1);
                    step!(x + 1, 0, 2);
                    step!(x + 1, 1, 3);
                    states.rotate_left(4);
                    x += 2;
                }
                if x < width {
                    step!(x, 0, 0);
                    step!(x, 1, 1);
                }
                states.rotate_right(4 * (width / 2 % 2));
            }
            _ => {
                while x < width {
                    step!(x, 0, 0);
                    states.rotate_left(1);
                    x += 1;
                }
                states.rotate_right(width % rans::STATES);
            }
        }
        decoder.states = states;
        for lane in 0..LANES {
            let (words, own, active) = (&words[lane][..width], &mut own[lane][..width], &mut active[lane][..width]);
            for x in 0..width {
                own[x] = token::magnitude(words[x]);
                active[x] = activity(active[x].into(), own[x]);
            }
        }
    }

    /// As [`Class::wave`], for any number of rows and with absent words.
    fn any_wave(
        &mut self,
        decoder: &mut rans::Decoder<'_>,
        lanes: &[Lane],
        rows: &[([usize; DIMS - 1], bool)],
        words: &mut [u32],
        absent: Option<&[bool]>,
    ) {
        for x in 0..self.n[DIMS - 1] {
            for (number, (lane, &(row, _))) in lanes.iter().zip(rows).enumerate() {
                let own = self.own.row(row);
                let left = |back: usize| if x >= back { own[x - back] } else { 0 };
                let value = self.context.value(lane.sums[x], left(1), left(2));
                let at = first_word(self.n, row) + x;
                let mut word = 0;
                if absent.is_none_or(|absent| !absent[at]) {
                    let turn = usize::from(state(number, x, self.bands.count));
                    let mut state = decoder.states[turn];
                    word = decoder.word(&mut state, bin(value));
                    decoder.states[turn] = state;
                }
                let magnitude = token::magnitude(word);
                words[at] = word;
                self.own.row_mut(row)[x] = magnitude;
                self.active.row_mut(row)[x] = activity(value, magnitude);
            }
        }
    }
}

impl Stage for Crans {
    fn name(&self) -> &'static str {
        "crans"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "small codes by static rANS in the context of their neighbours' magnitudes"
    }

    fn guarantee(&self) -> &'static str {
        "gives back every code of at most 32 bits"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Coder for Crans {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        no_params(params)?;
        let (n, levels) = geometry(&codes.dims, &codes.scan)?;
        let geometry = Geometry { n, levels: &levels, absent: codes.scan.absent.as_deref() };
        match &codes.words {
            Words::U64(_) => Err(Error::usage("crans takes codes of at most 32 bits")),
            Words::U32(words) => Ok(widest(Encoding(words, geometry))),
            words => {
                let words: Vec<u32> = with_words!(words, v => v.iter().map(|word| word.to_u64() as u32).collect());
                Ok(widest(Encoding(&words, geometry)))
            }
        }
    }

    fn side_len(&self, bytes: &[u8]) -> usize {
        // The lengths, the weights and tables, and the states.
        take_length(&mut &*bytes).map_or(0, |header| header + 8 + 4 * rans::STATES)
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let (n, levels) = geometry(&layout.dims, &layout.scan).map_err(|error| corrupt(&error.to_string()))?;
        let geometry = Geometry { n, levels: &levels, absent: layout.scan.absent.as_deref() };
        if layout.width > 4 {
            return Err(corrupt("codes of more than 32 bits"));
        }
        let words = widest(Decoding(bytes, geometry))?;
        let words = match layout.width {
            1 => Words::U8(words.into_iter().map(|word| word as u8).collect()),
            2 => Words::U16(words.into_iter().map(|word| word as u16).collect()),
            _ => Words::U32(words),
        };
        Ok(layout.codes(words))
    }
}
