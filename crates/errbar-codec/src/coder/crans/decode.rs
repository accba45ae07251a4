//! From bytes to words.

use std::ops::Range;

use errbar_format::Result;

use super::context::{Bands, Context, GROUPS, PIECES, Place, SUM_BITS, Template, Trend, activity, template};
use super::raw::RawReader;
use super::signs::{Signs, sign_of_token};
use super::tables::Tables;
use super::token::magnitudes_of_tokens;
use super::zeros::{self, RUN};
use super::{Activity, Geometry, Step, code_weights, corrupt, first_word, rans, steps, too_short};
use crate::binary::{Binary, Bit, Reader};
use crate::bytes::{take, take_length};
use crate::components::Components;
use crate::polyphase::{DIMS, Extents, Grid, SLACK};
use crate::simd::{self, widest};

/// The words of a block.
pub(super) fn decode(bytes: &[u8], geometry: Geometry<'_>) -> Result<Vec<u32>> {
    widest(Decoding(bytes, geometry))
}

struct Decoding<'a>(&'a [u8], Geometry<'a>);

impl simd::Work for Decoding<'_> {
    type Output = Result<Vec<u32>>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Decoding(mut bytes, Geometry { n, levels, absent }) = self;
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
        let signs = Signs::ALL[header.raw(0, 2) as usize % Signs::ALL.len()];
        let components = Components::new(n, levels);
        let is_apart = components.count > 1 && header.raw(0, 1) == 1;
        let tables = Tables::read(&mut header, signs.kinds() * if is_apart { components.count } else { 1 })?;
        let mut marks = None;
        if header.raw(0, 1) == 1 {
            let length = take_length(&mut bytes).ok_or_else(too_short)?;
            let told = take(&mut bytes, length).ok_or_else(too_short)?;
            marks = Some(zeros::told(told, &steps, absent));
        }
        // What is in runs of zeros is as good as absent.
        let absent = marks.as_deref().or(absent);
        let length = take_length(&mut bytes).ok_or_else(too_short)?.checked_mul(2).ok_or_else(|| corrupt("too many words"))?;
        let mut decoder = rans::Decoder::new(&tables, signs, take(&mut bytes, length).ok_or_else(too_short)?, 4 * n[DIMS - 1])?;
        let mut raw = RawReader::new(bytes);
        let mut around = Activity::new(n);
        let mut first = 0;
        for (step, (template, weights)) in steps.iter().zip(&contexts) {
            let len: usize = step.n.iter().product();
            let absent = absent.map(|absent| &absent[first..first + len]);
            let mut class = Class::new(step, template, weights, signs, components, &around);
            class.decode(&mut decoder, &mut raw, &mut words[first..first + len], absent);
            first += len;
            around.finish(step, class.active);
        }
        decoder.finish()?;
        if raw.is_finished() { Ok(words) } else { Err(corrupt("bytes behind the last raw bits")) }
    }
}

/// A class while it is decoded.
struct Class {
    n: Extents,
    bands: Bands,
    components: Components,
    context: Context,
    own: Grid<u16>,
    active: Option<Grid<u16>>,
    signs: Signs,
    /// Where the word stands whose sign counts with that to the left, and the signs of all, if it is in
    /// another row.
    other_signs: Option<((isize, bool), Grid<u8>)>,
    work: Work,
    /// Contexts of a row.
    values: Vec<u16>,
    /// Tokens of a row.
    tokens: Vec<u8>,
}

/// A row of a wave.
#[derive(Clone, Copy, Default)]
struct Row {
    band: usize,
    at: [usize; DIMS - 1],
    /// Where its first word stands.
    first: usize,
}

/// What a row of a band is decoded with.
struct Lane {
    sums: Vec<[u32; SLACK]>,
    trend: Trend,
}

impl Class {
    fn new(step: &Step, template: &Template, weights: &[u8; GROUPS], signs: Signs, components: Components, around: &Activity) -> Self {
        let own = around.new_class(step);
        let bands = Bands::new(step.n);
        let context = Context::new(template, weights, bands.axis, &own, &around.classes);
        let width = step.n[DIMS - 1];
        let work = Work { sums: vec![[0; rans::STATES]; width], tokens: vec![[0; rans::STATES]; width] };
        let active = around.grid(step, &own);
        let other_signs = signs.step(template, bands.axis, &own).map(|step_to| (step_to, own.beside(step.n)));
        Class {
            n: step.n,
            bands,
            components,
            context,
            own,
            active,
            signs,
            other_signs,
            work,
            values: vec![0; width],
            tokens: vec![0; width],
        }
    }

    #[inline(always)]
    fn decode(&mut self, decoder: &mut rans::Decoder, raw: &mut RawReader<'_>, words: &mut [u32], absent: Option<&[bool]>) {
        let width = self.n[DIMS - 1];
        let of_tokens = self.context.of_tokens(self.signs);
        let mut lanes: Vec<Lane> =
            (0..self.bands.count).map(|_| Lane { sums: vec![[0; SLACK]; width.div_ceil(SLACK)], trend: Trend::new(width) }).collect();
        for wave in self.bands.waves() {
            let (mut rows, mut n_coded, mut some_absent) = ([Row::default(); rans::STATES], 0, false);
            for (band, lane) in lanes.iter_mut().enumerate() {
                let Some(place) = self.bands.place(band, wave) else { continue };
                let at = place.row;
                let row = Row { band, at, first: first_word(self.n, at) };
                let absent = absent.map(|absent| &absent[row.first..][..width]);
                let is_empty = absent.is_some_and(|absent| !absent.contains(&false));
                if is_empty && self.active.is_none() {
                    self.context.pass(&self.own, &place);
                    continue;
                }
                self.context.row(&self.own, &lane.trend, &place, &mut lane.sums);
                if is_empty {
                    self.empty_row(at, &lane.sums);
                } else {
                    some_absent |= absent.is_some_and(|absent| absent.contains(&true));
                    self.add_signs(&place, &mut lane.sums);
                    rows[n_coded] = row;
                    n_coded += 1;
                }
            }
            decoder.start_wave();
            // Bands never cut what has components.
            let mut tokens = Tokens { decoder, of_tokens: &of_tokens, component: self.components.of_row(rows[0].at) };
            let strand = |row: &Row, from: usize, state: usize| Strand {
                state,
                sums: &lanes[row.band].sums.as_flattened()[from..],
                absent: absent.filter(|_| some_absent).map_or(&[], |absent| &absent[row.first + from..]),
            };
            if self.bands.in_pieces && n_coded > 0 {
                let (piece, all) = (self.bands.piece(), PIECES * self.bands.piece());
                let after = tokens.wave([0, 1, 2, 3].map(|i| strand(&rows[0], i * piece, i)), &mut self.work, piece, [0; PIECES]);
                (0..PIECES).for_each(|i| self.take(i, i * piece..(i + 1) * piece));
                tokens.wave([strand(&rows[0], all, PIECES - 1)], &mut self.work, width - all, [after[PIECES - 1]]);
                self.take(0, all..width);
                self.finish_row(&rows[0], raw, &mut words[rows[0].first..][..width]);
            } else {
                let strand = |i: usize| strand(&rows[i], 0, rows[i].band);
                let work = &mut self.work;
                match n_coded {
                    4 => _ = tokens.wave([0, 1, 2, 3].map(strand), work, width, [0; 4]),
                    3 => _ = tokens.wave([0, 1, 2].map(strand), work, width, [0; 3]),
                    2 => _ = tokens.wave([0, 1].map(strand), work, width, [0; 2]),
                    1 => _ = tokens.wave([0].map(strand), work, width, [0; 1]),
                    _ => {}
                }
                for (lane, row) in rows.iter().enumerate().take(n_coded) {
                    self.take(lane, 0..width);
                    self.finish_row(row, raw, &mut words[row.first..][..width]);
                }
            }
            for (band, lane) in lanes.iter_mut().enumerate() {
                if let Some(place) = self.bands.place(band, wave) {
                    lane.trend.learn(self.own.data(), self.own.start(place.row));
                }
            }
        }
    }

    /// Puts the signs of another row above the sums of a row.
    #[inline(always)]
    fn add_signs(&self, place: &Place, sums: &mut [[u32; SLACK]]) {
        let Some(((step, leaves), signs)) = &self.other_signs else { return };
        if *leaves && place.first_slice {
            return;
        }
        for (sums, signs) in sums.iter_mut().zip(signs.wide_row(place.row, *step)) {
            for x in 0..SLACK {
                sums[x] |= u32::from(signs[x]) << SUM_BITS;
            }
        }
    }

    /// A row without any word that counts.
    #[inline(always)]
    fn empty_row(&mut self, at: [usize; DIMS - 1], sums: &[[u32; SLACK]]) {
        if let Some(active) = &mut self.active {
            let active = active.row_mut(at).iter_mut();
            active.zip(sums.as_flattened()).for_each(|(active, &sum)| *active = activity(self.context.value(sum, 0, 0), 0));
        }
    }

    /// Takes contexts and tokens of points of a row from a lane of work.
    #[inline(always)]
    fn take(&mut self, lane: usize, points: Range<usize>) {
        self.tokens[points.clone()].iter_mut().zip(&self.work.tokens).for_each(|(to, tokens)| *to = tokens[lane]);
        if self.active.is_some() {
            let values = self.values[points].iter_mut();
            values.zip(&self.work.sums).for_each(|(to, sums)| *to = ((sums[lane] % (1 << SUM_BITS)) >> 8) as u16);
        }
    }

    /// The words of a row from its contexts and tokens, their magnitudes and activities.
    #[inline(always)]
    fn finish_row(&mut self, row: &Row, raw: &mut RawReader<'_>, words: &mut [u32]) {
        let tokens = &self.tokens[..words.len()];
        raw.words(tokens, words);
        if let Some((_, signs)) = &mut self.other_signs {
            signs.row_mut(row.at).iter_mut().zip(tokens).for_each(|(sign, &token)| *sign = sign_of_token(token));
        }
        let own = self.own.row_mut(row.at);
        magnitudes_of_tokens(tokens, own);
        if let Some(active) = &mut self.active {
            for ((active, &value), &own) in active.row_mut(row.at).iter_mut().zip(&self.values).zip(&*own) {
                *active = activity(value.into(), own);
            }
        }
    }
}

/// Words that one state codes, from the first of them on.
struct Strand<'a> {
    state: usize,
    /// Their sums, without the words to the left.
    sums: &'a [u32],
    /// Which are absent, unless none is.
    absent: &'a [bool],
}

/// The strands of a wave, side by side.
struct Work {
    /// The signs of other rows above them.
    sums: Vec<[u32; rans::STATES]>,
    tokens: Vec<[u8; rans::STATES]>,
}

/// What the tokens of a wave come from.
struct Tokens<'a> {
    decoder: &'a mut rans::Decoder,
    of_tokens: &'a [u64; 1 << 8],
    component: usize,
}

impl Tokens<'_> {
    /// Whole sums and tokens of `n` words of several strands side by side, so that none waits for the other's.
    /// `left` is what words to the left add to the sum of the next one, in the lower half, and of the one behind
    /// that; so is what is given back.
    #[inline(always)]
    fn wave<const LANES: usize>(&mut self, strands: [Strand<'_>; LANES], work: &mut Work, n: usize, left: [u64; LANES]) -> [u64; LANES] {
        for (lane, strand) in strands.iter().enumerate() {
            work.sums[..n].iter_mut().zip(strand.sums).for_each(|(sums, &sum)| sums[lane] = sum);
        }
        let of_absent = !strands[0].absent.is_empty();
        if of_absent { self.run::<LANES, true>(strands, work, n, left) } else { self.run::<LANES, false>(strands, work, n, left) }
    }

    #[inline(always)]
    fn run<const LANES: usize, const ABSENT: bool>(
        &mut self,
        strands: [Strand<'_>; LANES],
        work: &mut Work,
        n: usize,
        mut left: [u64; LANES],
    ) -> [u64; LANES] {
        let gone = strands.each_ref().map(|strand| if ABSENT { &strand.absent[..n] } else { &[] });
        let mut all_states = self.decoder.states();
        let places = strands.map(|strand| strand.state % rans::STATES);
        let mut states = places.map(|place| all_states[place]);
        let mut source = self.decoder.source(self.component);
        let length = if ABSENT { RUN } else { n.max(1) };
        let runs = work.sums[..n].chunks_mut(length).zip(work.tokens[..n].chunks_mut(length));
        for (run, (sums, tokens)) in runs.enumerate() {
            let gone = gone.map(|gone| if ABSENT { &gone[run * length..][..sums.len()] } else { &[] });
            if ABSENT && gone.iter().all(|gone| !gone.contains(&false)) {
                tokens.fill([0; rans::STATES]);
                for sums in sums.iter_mut().take(2) {
                    for lane in 0..LANES {
                        sums[lane] += left[lane] as u32;
                        left[lane] >>= 32;
                    }
                }
                continue;
            }
            for (x, (sums, tokens)) in sums.iter_mut().zip(tokens).enumerate() {
                for lane in 0..LANES {
                    let sum = sums[lane] + left[lane] as u32;
                    let context = (sum % (1 << SUM_BITS)) >> 8;
                    let is_gone = ABSENT && gone[lane][x];
                    let token = if is_gone { 0 } else { source.token(&mut states[lane], context, sum >> SUM_BITS) };
                    (sums[lane], tokens[lane]) = (sum, token);
                    left[lane] = (left[lane] >> 32) + self.of_tokens[usize::from(token)];
                }
            }
        }
        places.into_iter().zip(states).for_each(|(place, state)| all_states[place] = state);
        let next_word = source.next_word();
        self.decoder.resume(all_states, next_word);
        left
    }
}
