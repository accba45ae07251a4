//! From bytes to words.

use errbar_format::Result;

use super::context::{Bands, Context, GROUPS, Template, Trend, activity, bin, template};
use super::tables::Tables;
use super::{Activity, Geometry, Step, code_weights, corrupt, first_word, rans, steps, token, too_short};
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
    /// For every point of a wave the sums of its rows, then their words.
    points: Vec<u32>,
    /// … and their contexts.
    contexts: Vec<u32>,
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
        let points = vec![0; bands.count * step.n[DIMS - 1]];
        Class { n: step.n, bands, context, active: own.beside(step.n), own, contexts: points.clone(), points }
    }

    #[inline(always)]
    fn decode(&mut self, decoder: &mut rans::Decoder<'_>, words: &mut [u32], absent: Option<&[bool]>) {
        let width = self.n[DIMS - 1];
        let mut lanes: Vec<Lane> =
            (0..self.bands.count).map(|_| Lane { sums: vec![[0; SLACK]; width.div_ceil(SLACK)], trend: Trend::new(width) }).collect();
        let mut rows = Vec::with_capacity(self.bands.count);
        for wave in 0..self.bands.waves() {
            rows.clear();
            rows.extend((0..self.bands.count).filter_map(|band| self.bands.row(band, wave)));
            for (lane, &(row, first_slice)) in lanes.iter_mut().zip(&rows) {
                self.context.row(&self.own, &lane.trend, row, first_slice, &mut lane.sums);
            }
            decoder.start_wave();
            match (absent, rows.len()) {
                (None, 4) => self.wave::<4>(decoder, &lanes, &rows, words),
                (None, 3) => self.wave::<3>(decoder, &lanes, &rows, words),
                (None, 2) => self.wave::<2>(decoder, &lanes, &rows, words),
                (None, _) => self.wave::<1>(decoder, &lanes, &rows, words),
                (Some(absent), _) => self.wave_with_absent(decoder, &lanes, &rows, words, absent),
            }
            for (lane, &(row, _)) in lanes.iter_mut().zip(&rows) {
                lane.trend.learn(self.own.row(row));
            }
        }
    }

    /// Rows side by side, so that none waits for the other's words.
    #[inline(always)]
    fn wave<const LANES: usize>(
        &mut self,
        decoder: &mut rans::Decoder<'_>,
        lanes: &[Lane],
        rows: &[([usize; DIMS - 1], bool)],
        words: &mut [u32],
    ) {
        let width = self.n[DIMS - 1];
        let (points, _) = self.points.as_chunks_mut::<LANES>();
        let (contexts, _) = self.contexts.as_chunks_mut::<LANES>();
        let (points, contexts) = (&mut points[..width], &mut contexts[..width]);
        for (lane, Lane { sums, .. }) in lanes.iter().enumerate().take(LANES) {
            points.iter_mut().zip(sums.as_flattened()).for_each(|(point, &sum)| point[lane] = sum);
        }
        let mut states = decoder.states();
        let mut source = decoder.source();
        let (mut left, mut left2) = ([0u32; LANES], [0u32; LANES]);
        let context = &self.context;
        for (point, value) in points.iter_mut().zip(contexts) {
            for lane in 0..LANES {
                value[lane] = context.value(point[lane], left[lane], left2[lane]);
                point[lane] = source.word(&mut states[lane], bin(value[lane]));
                (left2[lane], left[lane]) = (left[lane], token::magnitude(point[lane]).into());
            }
        }
        let place = source.place();
        decoder.resume(states, place);
        for (lane, &(row, _)) in rows.iter().enumerate().take(LANES) {
            let at = first_word(self.n, row);
            let (own, active) = (self.own.row_mut(row), self.active.row_mut(row));
            let (points, _) = self.points.as_chunks::<LANES>();
            let (contexts, _) = self.contexts.as_chunks::<LANES>();
            for (((word, point), own), (active, value)) in
                words[at..at + width].iter_mut().zip(points).zip(own).zip(active.iter_mut().zip(contexts))
            {
                *word = point[lane];
                *own = token::magnitude(point[lane]);
                *active = activity(value[lane], *own);
            }
        }
    }

    /// As [`Class::wave`], for any number of rows, some of whose words are absent.
    fn wave_with_absent(
        &mut self,
        decoder: &mut rans::Decoder<'_>,
        lanes: &[Lane],
        rows: &[([usize; DIMS - 1], bool)],
        words: &mut [u32],
        absent: &[bool],
    ) {
        let mut states = decoder.states();
        let mut source = decoder.source();
        for x in 0..self.n[DIMS - 1] {
            for (number, (lane, &(row, _))) in lanes.iter().zip(rows).enumerate() {
                let own = self.own.row(row);
                let left = |back: usize| if x >= back { own[x - back].into() } else { 0 };
                let value = self.context.value(lane.sums.as_flattened()[x], left(1), left(2));
                let at = first_word(self.n, row) + x;
                let word = if absent[at] { 0 } else { source.word(&mut states[number], bin(value)) };
                let magnitude = token::magnitude(word);
                words[at] = word;
                self.own.row_mut(row)[x] = magnitude;
                self.active.row_mut(row)[x] = activity(value, magnitude);
            }
        }
        let place = source.place();
        decoder.resume(states, place);
    }
}
