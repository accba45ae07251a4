//! From bytes to words.

use errbar_format::Result;

use super::context::{Bands, Context, GROUPS, Template, Trend, activity, template};
use super::tables::Tables;
use super::{Activity, Geometry, Step, code_weights, corrupt, first_word, rans, steps, too_short};
use crate::binary::{Bit, Reader};
use crate::bytes::{take, take_length};
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
        let tables = Tables::read(&mut header)?;
        let length = take_length(&mut bytes).ok_or_else(too_short)?.checked_mul(2).ok_or_else(|| corrupt("too many words"))?;
        let mut decoder = rans::Decoder::new(&tables, take(&mut bytes, length).ok_or_else(too_short)?, bytes, 4 * n[DIMS - 1])?;
        let mut around = Activity::new(n);
        let mut first = 0;
        for (step, (template, weights)) in steps.iter().zip(&contexts) {
            let len: usize = step.n.iter().product();
            let absent = absent.map(|absent| &absent[first..first + len]);
            let mut class = Class::new(step, template, weights, &around);
            class.decode(&mut decoder, &mut words[first..first + len], absent);
            first += len;
            around.finish(step, class.active);
        }
        decoder.finish()?;
        Ok(words)
    }
}

/// A class while it is decoded.
struct Class {
    n: Extents,
    bands: Bands,
    context: Context,
    own: Grid<u16>,
    active: Grid<u16>,
    /// Of the rows of a wave side by side: their sums; then their contexts, in the upper half, and
    /// magnitudes.
    work: Vec<[u32; rans::STATES]>,
    decoded: Vec<[u32; rans::STATES]>,
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
    fn new(step: &Step, template: &Template, weights: &[u8; GROUPS], around: &Activity) -> Self {
        let own = around.new_class(step);
        let bands = Bands::new(step.n);
        let context = Context::new(template, weights, bands.axis, &own, &around.classes);
        let rows = vec![[0; rans::STATES]; step.n[DIMS - 1]];
        Class { n: step.n, bands, context, active: own.beside(step.n), own, work: rows.clone(), decoded: rows }
    }

    #[inline(always)]
    fn decode(&mut self, decoder: &mut rans::Decoder<'_>, words: &mut [u32], absent: Option<&[bool]>) {
        let width = self.n[DIMS - 1];
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
                    rows[n_coded] = row;
                    n_coded += 1;
                }
            }
            decoder.start_wave();
            match (absent.filter(|_| some_absent), n_coded) {
                (None, 4) => self.wave::<4, false>(decoder, &mut lanes, rows, words, &[]),
                (None, 3) => self.wave::<3, false>(decoder, &mut lanes, rows, words, &[]),
                (None, 2) => self.wave::<2, false>(decoder, &mut lanes, rows, words, &[]),
                (None, 1) => self.wave::<1, false>(decoder, &mut lanes, rows, words, &[]),
                (Some(absent), 4) => self.wave::<4, true>(decoder, &mut lanes, rows, words, absent),
                (Some(absent), 3) => self.wave::<3, true>(decoder, &mut lanes, rows, words, absent),
                (Some(absent), 2) => self.wave::<2, true>(decoder, &mut lanes, rows, words, absent),
                (Some(absent), 1) => self.wave::<1, true>(decoder, &mut lanes, rows, words, absent),
                _ => {}
            }
            for (band, lane) in lanes.iter_mut().enumerate() {
                if let Some(place) = self.bands.place(band, wave) {
                    lane.trend.learn(self.own.row(place.row));
                }
            }
        }
    }

    /// A row without any word that counts.
    #[inline(always)]
    fn empty_row(&mut self, at: [usize; DIMS - 1], sums: &[[u32; SLACK]]) {
        let active = self.active.row_mut(at);
        active.iter_mut().zip(sums.as_flattened()).for_each(|(active, &sum)| *active = activity(self.context.value(sum, 0, 0), 0));
    }

    /// Rows side by side, so that none waits for the other's words; `ABSENT` tells whether some of them
    /// are absent.
    #[inline(always)]
    fn wave<const LANES: usize, const ABSENT: bool>(
        &mut self,
        decoder: &mut rans::Decoder<'_>,
        lanes: &mut [Lane],
        rows: [Row; rans::STATES],
        words: &mut [u32],
        absent: &[bool],
    ) {
        let width = self.n[DIMS - 1];
        let bands: [usize; LANES] = std::array::from_fn(|lane| rows[lane].band % rans::STATES);
        let (work, decoded) = (&mut self.work[..width], &mut self.decoded[..width]);
        let sums: [&[u32]; LANES] = std::array::from_fn(|lane| &lanes[bands[lane]].sums.as_flattened()[..width]);
        for x in 0..width {
            for lane in 0..LANES {
                work[x][lane] = sums[lane][x];
            }
        }
        let gone: [&[bool]; LANES] = std::array::from_fn(|lane| if ABSENT { &absent[rows[lane].first..][..width] } else { &[] });
        let mut all_states = decoder.states();
        let mut states: [u32; LANES] = std::array::from_fn(|lane| all_states[bands[lane]]);
        let mut source = decoder.source();
        let (mut left, mut left2) = ([0u32; LANES], [0u32; LANES]);
        let context = &self.context;
        for (x, (work, decoded)) in work.iter_mut().zip(&mut *decoded).enumerate() {
            for lane in 0..LANES {
                let value = context.value(work[lane], left[lane], left2[lane]);
                let is_gone = ABSENT && gone[lane][x];
                let (word, magnitude) = if is_gone { (0, 0) } else { source.word(&mut states[lane], value) };
                work[lane] = value << 16 | u32::from(magnitude);
                decoded[lane] = word;
                (left2[lane], left[lane]) = (left[lane], magnitude.into());
            }
        }
        bands.iter().zip(states).for_each(|(&band, state)| all_states[band] = state);
        let place = source.place();
        decoder.resume(all_states, place);
        for (lane, row) in rows.iter().enumerate().take(LANES) {
            words[row.first..][..width].iter_mut().zip(&*decoded).for_each(|(word, decoded)| *word = decoded[lane]);
            let (own, active) = (self.own.row_mut(row.at), self.active.row_mut(row.at));
            for ((own, active), work) in own.iter_mut().zip(active).zip(&*work) {
                *own = work[lane] as u16;
                *active = activity(work[lane] >> 16, *own);
            }
        }
    }
}
