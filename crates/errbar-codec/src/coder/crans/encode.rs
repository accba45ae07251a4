//! From words to bytes.

use super::context::{Bands, Context, GROUPS, SMALL, Template, Trend, activity, bins, template};
use super::rans::{self, Symbol};
use super::raw::RawWriter;
use super::signs::{self, Signs};
use super::tables::{BINS, Clusters, Histogram, Tables};
use super::token::{self, TOKENS};
use super::{Activity, Geometry, Step, code_weights, first_word, fit, steps};
use crate::binary::{Binary, Bit, Writer};
use crate::codes::Word;
use crate::components::Components;
use crate::polyphase::{DIMS, Grid, SLACK};
use crate::simd::{Work, widest};
use crate::stage::Estimate;

/// What is known of words before they are coded.
pub(super) struct Model {
    /// In the order of reading; none where their number is asked for alone.
    symbols: Vec<Symbol>,
    components: Components,
    /// How many tokens there are in each bin of every component, where that alone is asked for.
    histograms: Vec<[Histogram; BINS]>,
    raw: RawWriter,
    /// Bits that would stand in `raw`.
    raw_bits: u64,
    /// Whether few samples choose weights.
    is_estimate: bool,
    /// With the weights in it.
    header: Writer,
}

/// The bytes of words.
pub(super) fn encode(words: &[u32], geometry: Geometry<'_>) -> Vec<u8> {
    widest(Modelling { words, geometry, counts_only: false }).encode()
}

/// What they would take, nearly.
pub(super) fn estimate(words: &[u32], geometry: Geometry<'_>) -> Estimate {
    widest(Modelling { words, geometry, counts_only: true }).estimate()
}

/// Looks at all words in their contexts.
struct Modelling<'a> {
    words: &'a [u32],
    geometry: Geometry<'a>,
    /// Whether to count the words alone, without a list of them.
    counts_only: bool,
}

impl Work for Modelling<'_> {
    type Output = Model;

    #[inline(always)]
    fn run(self) -> Model {
        let Geometry { n, levels, absent } = self.geometry;
        let components = Components::new(n, levels);
        let mut model = Model {
            symbols: Vec::with_capacity(if self.counts_only { 0 } else { self.words.len() }),
            components,
            histograms: vec![[[0; TOKENS]; BINS]; if self.counts_only { components.count } else { 0 }],
            raw: RawWriter::default(),
            raw_bits: 0,
            is_estimate: self.counts_only,
            header: Writer::default(),
        };
        let mut weight_models = [Bit::default(); 256];
        let mut around = Activity::new(n);
        let mut first = 0;
        for step in steps(n, levels) {
            let len: usize = step.n.iter().product();
            let here = &self.words[first..first + len];
            let absent = absent.map(|absent| &absent[first..first + len]);
            first += len;
            let (active, bands, word_bins, template) = model.class(&step, here, absent, &around, &mut weight_models);
            match self.counts_only {
                true => model.count(here, &word_bins, absent),
                false => {
                    let around = signs_around(&step, &template, &bands, active.beside(step.n), here, absent);
                    model.list(&step, bands, here, &word_bins, &around, absent);
                }
            }
            around.finish(&step, active);
        }
        model
    }
}

/// Makes what is absent 0, in the row of a class with this number.
#[inline(always)]
fn clear_absent<T: Default>(row: &mut [T], number: usize, absent: Option<&[bool]>) {
    if let Some(absent) = absent {
        let absent = &absent[number * row.len()..][..row.len()];
        row.iter_mut().zip(absent).filter(|(_, absent)| **absent).for_each(|(to, _)| *to = T::default());
    }
}

/// Magnitudes of the words of a class, 0 where they are absent.
#[inline(always)]
fn magnitudes(step: &Step, mut own: Grid<u16>, words: &[u32], absent: Option<&[bool]>) -> Grid<u16> {
    let width = step.n[DIMS - 1];
    for (number, (row, words)) in own.each_row().zip(words.chunks(width.max(1))).enumerate() {
        let magnitudes = own.row_mut(row);
        token::magnitudes(words, magnitudes);
        clear_absent(magnitudes, number, absent);
    }
    own
}

/// The signs [around](signs::around) every word of a class; `own` is a grid of zeros for it.
#[inline(always)]
fn signs_around(step: &Step, template: &Template, bands: &Bands, mut own: Grid<u8>, words: &[u32], absent: Option<&[bool]>) -> Vec<u8> {
    let width = step.n[DIMS - 1];
    for (number, (row, words)) in own.each_row().zip(words.chunks(width.max(1))).enumerate() {
        let signs = own.row_mut(row);
        signs.iter_mut().zip(words).for_each(|(sign, &word)| *sign = signs::sign(word));
        clear_absent(signs, number, absent);
    }
    let steps = [Signs::Above, Signs::Before].map(|signs| signs.step(template, bands.axis, &own));
    let mut around = vec![0; words.len()];
    let (nothing, mut left) = (vec![0; width], vec![0; width + 2]);
    let places = (0..bands.count).flat_map(|band| bands.waves().filter_map(move |wave| bands.place(band, wave)));
    for place in places {
        let [above, before] = steps.map(|step| match step {
            Some((step, leaves)) if !(leaves && place.first_slice) => {
                &own.data()[own.start(place.row).wrapping_add_signed(step)..][..width]
            }
            _ => &nothing,
        });
        left[2..].copy_from_slice(own.row(place.row));
        let to = &mut around[first_word(step.n, place.row)..][..width];
        for (x, to) in to.iter_mut().enumerate() {
            *to = signs::around(left[x + 1], above[x], before[x], left[x]);
        }
    }
    around
}

impl Model {
    /// Chooses weights for the words of a class; gives their activity, their bands, the bins of their
    /// contexts, and where their neighbours stand.
    #[inline(always)]
    fn class(
        &mut self,
        step: &Step,
        words: &[u32],
        absent: Option<&[bool]>,
        around: &Activity,
        models: &mut [Bit; 256],
    ) -> (Grid<u16>, Bands, Vec<u8>, Template) {
        let whole = around.finest;
        let template = template(whole, step.level, step.class, step.n);
        let own = magnitudes(step, around.new_class(step), words, absent);
        let bands = Bands::new(step.n);
        let n_samples = if self.is_estimate { fit::FEW_SAMPLES } else { fit::samples(words.len()) };
        let weights = if words.len() < SMALL { [0; GROUPS] } else { fit::weights(&template, &own, &around.classes, n_samples) };
        let weights = code_weights(&mut self.header, &template, step.n, &weights, models);
        let mut context = Context::new(&template, &weights, bands.axis, &own, &around.classes);
        let width = step.n[DIMS - 1];
        let mut active: Grid<u16> = own.beside(step.n);
        let mut word_bins = vec![0u8; words.len()];
        // Two zeros before the row stand for what is before its first word.
        let (mut wide_sums, mut before) = (vec![[0; SLACK]; width.div_ceil(SLACK)], vec![0u16; width + 2]);
        for band in 0..bands.count {
            let mut trend = Trend::new(width);
            for place in bands.waves().filter_map(|wave| bands.place(band, wave)) {
                context.row(&own, &trend, &place, &mut wide_sums);
                let row = place.row;
                let sums = &mut wide_sums.as_flattened_mut()[..width];
                let magnitudes = own.row(row);
                before[2..].copy_from_slice(magnitudes);
                context.add_left(sums, &before);
                bins(sums, &mut word_bins[first_word(step.n, row)..][..width]);
                for ((to, &value), &magnitude) in active.row_mut(row).iter_mut().zip(&*sums).zip(magnitudes) {
                    *to = activity(value, magnitude);
                }
                trend.learn(magnitudes);
            }
        }
        (active, bands, word_bins, template)
    }

    /// Counts words in the bins of their contexts, in any order.
    #[inline(always)]
    fn count(&mut self, words: &[u32], bins: &[u8], absent: Option<&[bool]>) {
        // The words of a component stand side by side.
        let of_component = words.len().div_ceil(self.histograms.len()).max(1);
        for (at, (&word, &bin)) in words.iter().zip(bins).enumerate() {
            if absent.is_none_or(|absent| !absent[at]) {
                let (token, n, _) = token::split(word);
                self.raw_bits += u64::from(n);
                self.histograms[at / of_component][usize::from(bin) % BINS][usize::from(token) % TOKENS] += 1;
            }
        }
    }

    /// Takes in the words of a class in the order in which a reader asks for them.
    #[inline(always)]
    fn list(&mut self, step: &Step, bands: Bands, words: &[u32], bins: &[u8], around: &[u8], absent: Option<&[bool]>) {
        let width = step.n[DIMS - 1];
        let mut tokens = vec![[0u8; rans::STATES]; width];
        for wave in bands.waves() {
            let (mut rows, mut n_rows) = ([(0, 0); rans::STATES], 0);
            for band in 0..bands.count {
                if let Some(place) = bands.place(band, wave) {
                    rows[n_rows] = (band, first_word(step.n, place.row));
                    n_rows += 1;
                }
            }
            let rows = &rows[..n_rows];
            let component = self.components.of_row(wave) as u8;
            let is_coded = |at: usize| absent.is_none_or(|absent| !absent[at]);
            for (i, &(_, first)) in rows.iter().enumerate() {
                for (x, tokens) in tokens.iter_mut().enumerate().filter(|(x, _)| is_coded(first + x)) {
                    tokens[i] = self.raw.token(words[first + x]);
                }
            }
            for (x, tokens) in tokens.iter().enumerate() {
                for (&(lane, first), &token) in rows.iter().zip(tokens) {
                    let at = first + x;
                    if is_coded(at) {
                        self.symbols.push(Symbol { token, bin: bins[at], around: around[at], lane: lane as u8, component });
                    }
                }
            }
        }
    }

    fn encode(mut self) -> Vec<u8> {
        let (signs, clusters) = signs::choose(&self.symbols, self.components.count);
        self.header.raw(signs as u64, 2);
        if self.components.count > 1 {
            self.header.raw(clusters.are_apart(signs.kinds()).into(), 1);
        }
        let tables = Tables::write(&clusters, &mut self.header);
        let header = self.header.finish();
        let mut bytes = (header.len() as u32).to_le_bytes().to_vec();
        bytes.extend(header);
        if self.symbols.is_empty() {
            return bytes;
        }
        let coded = rans::encode(&self.symbols, signs, &tables);
        bytes.extend((coded.len() as u32).to_le_bytes());
        Word::put_le(&coded, &mut bytes);
        bytes.extend(self.raw.finish());
        bytes
    }

    fn estimate(mut self) -> Estimate {
        let tables = Tables::write(&Clusters::cheaper(&self.histograms, 1), &mut self.header);
        let bits = tables.bits(&self.histograms);
        let side = (self.header.finish().len() + 8 + 4 * rans::STATES) as f64;
        Estimate { side, codes: (bits + self.raw_bits as f64) / 8.0 }
    }
}
