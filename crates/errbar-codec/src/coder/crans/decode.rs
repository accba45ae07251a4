//! From bytes to words.

use errbar_format::Result;

use super::context::{Bands, Context, GROUPS, Place, SUM_BITS, Template, Trend, activity, template};
use super::raw::RawReader;
use super::signs::{Signs, sign_of_token};
use super::tables::Tables;
use super::token::magnitudes_of_tokens;
use super::{Activity, Geometry, Step, code_weights, corrupt, first_word, rans, steps, too_short};
use crate::binary::{Binary, Bit, Reader};
use crate::bytes::{take, take_length};
use crate::components::Components;
use crate::polyphase::{DIMS, Extents, Grid, SLACK};
use crate::simd::{Work, widest};

/// The words of a block.
pub(super) fn decode(bytes: &[u8], geometry: Geometry<'_>) -> Result<Vec<u32>> {
    widest(Decoding(bytes, geometry))
}

struct Decoding<'a>(&'a [u8], Geometry<'a>);

impl Work for Decoding<'_> {
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
    /// Of the rows of a wave side by side: their sums, the signs of other rows above them; then their
    /// contexts and, in the lowest byte, tokens.
    work: Vec<[[u32; rans::STATES]; SLACK]>,
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
        let work = vec![[[0; rans::STATES]; SLACK]; width.div_ceil(SLACK)];
        let active = around.grid(step, &own);
        let other_signs = signs.step(template, bands.axis, &own).map(|step_to| (step_to, own.beside(step.n)));
        Class { n: step.n, bands, components, context, own, active, signs, other_signs, work, tokens: vec![0; width] }
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
                self.context.row(&self.own, &lane.trend, &place, &mut lane.sums);
                let at = place.row;
                let row = Row { band, at, first: first_word(self.n, at) };
                let absent = absent.map(|absent| &absent[row.first..][..width]);
                if absent.is_some_and(|absent| !absent.contains(&false)) {
                    self.empty_row(at, &lane.sums);
                } else {
                    some_absent |= absent.is_some_and(|absent| absent.contains(&true));
                    self.add_signs(&place, &mut lane.sums);
                    rows[n_coded] = row;
                    n_coded += 1;
                }
            }
            decoder.start_wave();
            match (absent.filter(|_| some_absent), n_coded) {
                (None, 4) => self.wave::<4, false>(decoder, &lanes, rows, &of_tokens, &[]),
                (None, 3) => self.wave::<3, false>(decoder, &lanes, rows, &of_tokens, &[]),
                (None, 2) => self.wave::<2, false>(decoder, &lanes, rows, &of_tokens, &[]),
                (None, 1) => self.wave::<1, false>(decoder, &lanes, rows, &of_tokens, &[]),
                (Some(absent), 4) => self.wave::<4, true>(decoder, &lanes, rows, &of_tokens, absent),
                (Some(absent), 3) => self.wave::<3, true>(decoder, &lanes, rows, &of_tokens, absent),
                (Some(absent), 2) => self.wave::<2, true>(decoder, &lanes, rows, &of_tokens, absent),
                (Some(absent), 1) => self.wave::<1, true>(decoder, &lanes, rows, &of_tokens, absent),
                _ => {}
            }
            for (lane, row) in rows.iter().enumerate().take(n_coded) {
                self.finish_row(lane, row, raw, &mut words[row.first..][..width]);
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

    /// Tokens of rows side by side, so that none waits for the other's; `ABSENT` tells whether some of them
    /// are absent.
    #[inline(always)]
    fn wave<const LANES: usize, const ABSENT: bool>(
        &mut self,
        decoder: &mut rans::Decoder,
        lanes: &[Lane],
        rows: [Row; rans::STATES],
        of_tokens: &[u64; 1 << 8],
        absent: &[bool],
    ) {
        let width = self.n[DIMS - 1];
        let bands: [usize; LANES] = std::array::from_fn(|lane| rows[lane].band % rans::STATES);
        let work = &mut self.work;
        for (lane, &band) in bands.iter().enumerate() {
            for (work, sums) in work.iter_mut().zip(&lanes[band].sums) {
                for (work, &sum) in work.iter_mut().zip(sums) {
                    work[lane] = sum;
                }
            }
        }
        let gone: [&[bool]; LANES] = std::array::from_fn(|lane| if ABSENT { &absent[rows[lane].first..][..width] } else { &[] });
        let mut all_states = decoder.states();
        let mut states: [u32; LANES] = std::array::from_fn(|lane| all_states[bands[lane]]);
        // Bands never cut what has components.
        let mut source = decoder.source(self.components.of_row(rows[0].at));
        // What words to the left add to the sum of the next one, and of the one behind that.
        let (mut next, mut behind) = ([0u32; LANES], [0u32; LANES]);
        for (x, work) in work.as_flattened_mut()[..width].iter_mut().enumerate() {
            for lane in 0..LANES {
                let sum = work[lane] + next[lane];
                let context = (sum % (1 << SUM_BITS)) >> 8;
                let is_gone = ABSENT && gone[lane][x];
                let token = if is_gone { 0 } else { source.token(&mut states[lane], context, sum >> SUM_BITS) };
                work[lane] = context << 8 | u32::from(token);
                let adds = of_tokens[usize::from(token)];
                (next[lane], behind[lane]) = (behind[lane] + adds as u32, (adds >> 32) as u32);
            }
        }
        bands.iter().zip(states).for_each(|(&band, state)| all_states[band] = state);
        let next_word = source.next_word();
        decoder.resume(all_states, next_word);
    }

    /// The words of a row from its tokens, their magnitudes and activities.
    #[inline(always)]
    fn finish_row(&mut self, lane: usize, row: &Row, raw: &mut RawReader<'_>, words: &mut [u32]) {
        let (work, tokens) = (&self.work.as_flattened()[..words.len()], &mut self.tokens[..words.len()]);
        tokens.iter_mut().zip(work).for_each(|(token, work)| *token = work[lane] as u8);
        raw.words(tokens, words);
        if let Some((_, signs)) = &mut self.other_signs {
            signs.row_mut(row.at).iter_mut().zip(&*tokens).for_each(|(sign, &token)| *sign = sign_of_token(token));
        }
        let own = self.own.row_mut(row.at);
        magnitudes_of_tokens(tokens, own);
        if let Some(active) = &mut self.active {
            for ((active, work), &own) in active.row_mut(row.at).iter_mut().zip(work).zip(&*own) {
                *active = activity(work[lane] >> 8, own);
            }
        }
    }
}
