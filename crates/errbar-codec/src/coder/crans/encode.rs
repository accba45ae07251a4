//! From words to bytes.

use std::iter::once;
use std::ops::Range;

use super::context::{Bands, Context, GROUPS, PIECES, SMALL, Template, Trend, activity, bins, template};
use super::rans;
use super::raw::RawWriter;
use super::signs::{self, Signs};
use super::symbols::{NONE, Symbols};
use super::tables::{Clusters, Counts, Tables};
use super::token;
use super::zeros;
use super::{Activity, Geometry, Step, code_weights, first_word, fit, steps};
use crate::binary::{Binary, Bit, Writer};
use crate::codes::Word;
use crate::components::Components;
use crate::polyphase::{DIMS, Grid, SLACK};
use crate::simd::{Work, widest};
use crate::stage::Estimate;

/// What is known of words before they are coded.
pub(super) struct Model {
    symbols: Symbols,
    /// Those of every class.
    bands: Vec<Bands>,
    components: Components,
    raw: RawWriter,
    /// Whether what words take is all that is asked for.
    is_estimate: bool,
    /// Which runs are zero, if they are left out.
    zeros: Option<Vec<u8>>,
    /// With the weights in it.
    header: Writer,
}

/// The bytes of words.
pub(super) fn encode(words: &[u32], geometry: Geometry<'_>) -> Vec<u8> {
    widest(Modelling { words, geometry, is_estimate: false }).encode()
}

/// What they would take, nearly.
pub(super) fn estimate(words: &[u32], geometry: Geometry<'_>) -> Estimate {
    widest(Modelling { words, geometry, is_estimate: true }).estimate()
}

/// Looks at all words in their contexts.
struct Modelling<'a> {
    words: &'a [u32],
    geometry: Geometry<'a>,
    is_estimate: bool,
}

impl Work for Modelling<'_> {
    type Output = Model;

    #[inline(always)]
    fn run(self) -> Model {
        let Geometry { n, levels, absent } = self.geometry;
        let mut model = Model {
            symbols: Symbols::default(),
            bands: Vec::new(),
            components: Components::new(n, levels),
            raw: RawWriter::default(),
            is_estimate: self.is_estimate,
            zeros: None,
            header: Writer::default(),
        };
        let mut weight_models = [Bit::default(); 256];
        let mut around = Activity::new(n);
        let mut first = 0;
        model.symbols.tokens = tokens(self.words, absent);
        model.symbols.bins = vec![0; self.words.len()];
        let steps = steps(n, levels);
        for step in &steps {
            let here = first..first + step.n.iter().product::<usize>();
            let words = &self.words[here.clone()];
            let absent = absent.map(|absent| &absent[here.clone()]);
            first = here.end;
            let Class { own, active, bands, template } = model.class(step, words, here, absent, &around, &mut weight_models);
            if !self.is_estimate {
                model.symbols.around.extend(signs_around(step, &template, &bands, own.beside(step.n), words, absent));
                model.raw_bits(&bands, words, absent);
                model.bands.push(bands);
            }
            around.finish(step, active);
        }
        if !self.is_estimate {
            model.zeros = zeros::leave_out(&mut model.symbols, &steps, absent);
        }
        model
    }
}

/// Words whose tokens are found together.
const ROW: usize = 64;

/// The tokens of words.
#[inline(always)]
fn tokens(words: &[u32], absent: Option<&[bool]>) -> Vec<u8> {
    let mut tokens = vec![0; words.len()];
    for (tokens, words) in tokens.chunks_mut(ROW).zip(words.chunks(ROW)) {
        token::tokens(words, tokens);
    }
    if let Some(absent) = absent {
        tokens.iter_mut().zip(absent).filter(|(_, absent)| **absent).for_each(|(token, _)| *token = NONE);
    }
    tokens
}

/// What is known of a class as soon as the contexts of its words are.
struct Class {
    /// Magnitudes.
    own: Grid<u16>,
    /// If any class comes after it.
    active: Option<Grid<u16>>,
    bands: Bands,
    template: Template,
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
        let to = &mut around[first_word(step.n, place.row)..][..width];
        for piece in bands.pieces() {
            let left = &mut left[..piece.len() + 2];
            left[2..].copy_from_slice(&own.row(place.row)[piece.clone()]);
            let (to, above, before) = (&mut to[piece.clone()], &above[piece.clone()], &before[piece]);
            for (x, to) in to.iter_mut().enumerate() {
                *to = signs::around(left[x + 1], above[x], before[x], left[x]);
            }
        }
    }
    around
}

impl Model {
    /// Chooses weights for the words of a class, which stand `here`, and finds the bins of their contexts.
    #[inline(always)]
    fn class(
        &mut self,
        step: &Step,
        words: &[u32],
        here: Range<usize>,
        absent: Option<&[bool]>,
        around: &Activity,
        models: &mut [Bit; 256],
    ) -> Class {
        let whole = around.finest;
        let template = template(whole, step.level, step.class, step.n);
        let own = magnitudes(step, around.new_class(step), words, absent);
        let bands = Bands::new(step.n);
        let n_samples = if self.is_estimate { fit::FEW_SAMPLES } else { fit::samples(words.len()) };
        let weights = if words.len() < SMALL { [0; GROUPS] } else { fit::weights(&template, &own, &around.classes, n_samples) };
        let weights = code_weights(&mut self.header, &template, step.n, &weights, models);
        let mut context = Context::new(&template, &weights, bands.axis, &own, &around.classes);
        let width = step.n[DIMS - 1];
        let mut active = around.grid(step, &own);
        let word_bins = &mut self.symbols.bins[here];
        // Two zeros before the row stand for what is before its first word.
        let (mut wide_sums, mut before) = (vec![[0; SLACK]; width.div_ceil(SLACK)], vec![0u16; width + 2]);
        for band in 0..bands.count {
            let mut trend = Trend::new(width);
            for place in bands.waves().filter_map(|wave| bands.place(band, wave)) {
                context.row(&own, &trend, &place, &mut wide_sums);
                let row = place.row;
                let sums = &mut wide_sums.as_flattened_mut()[..width];
                let magnitudes = own.row(row);
                for piece in bands.pieces() {
                    let before = &mut before[..piece.len() + 2];
                    before[2..].copy_from_slice(&magnitudes[piece.clone()]);
                    context.add_left(&mut sums[piece], before);
                }
                bins(sums, &mut word_bins[first_word(step.n, row)..][..width]);
                if let Some(active) = &mut active {
                    for ((to, &value), &magnitude) in active.row_mut(row).iter_mut().zip(&*sums).zip(magnitudes) {
                        *to = activity(value, magnitude);
                    }
                }
                trend.learn(own.data(), own.start(row));
            }
        }
        Class { own, active, bands, template }
    }

    /// Takes in the raw bits of the words of a class, in the order in which a reader asks for them.
    #[inline(always)]
    fn raw_bits(&mut self, bands: &Bands, words: &[u32], absent: Option<&[bool]>) {
        let width = bands.n[DIMS - 1];
        for wave in bands.waves() {
            for place in (0..bands.count).filter_map(|band| bands.place(band, wave)) {
                let here = first_word(bands.n, place.row)..first_word(bands.n, place.row) + width;
                self.raw.words(&words[here.clone()], absent.map(|absent| &absent[here]));
            }
        }
    }

    fn encode(mut self) -> Vec<u8> {
        let (signs, clusters) = signs::choose(&self.symbols, self.components);
        self.header.raw(signs as u64, 2);
        if self.components.count > 1 {
            self.header.raw(clusters.are_apart(signs.kinds()).into(), 1);
        }
        let tables = Tables::write(&clusters, &mut self.header);
        self.header.raw(self.zeros.is_some().into(), 1);
        let header = std::mem::take(&mut self.header).finish();
        let mut bytes = (header.len() as u32).to_le_bytes().to_vec();
        bytes.extend(header);
        if let Some(zeros) = self.zeros.take() {
            bytes.extend((zeros.len() as u32).to_le_bytes());
            bytes.extend(zeros);
        }
        if self.symbols.is_empty() {
            return bytes;
        }
        let coded = widest(Coding { model: &self, encoder: rans::Encoder::new(signs, &tables, self.symbols.tokens.len()) });
        bytes.extend((coded.len() as u32).to_le_bytes());
        Word::put_le(&coded, &mut bytes);
        bytes.extend(self.raw.finish());
        bytes
    }

    fn estimate(mut self) -> Estimate {
        let shape = self.symbols.shape();
        let of_components = self.components.ranges(self.symbols.tokens.len());
        let counts: Vec<Counts> = of_components.map(|words| self.symbols.count::<1>(once(words), shape)).collect();
        let tables = Tables::write(&Clusters::cheaper(&counts, 1), &mut self.header);
        let (bits, raw_bits) = (tables.bits(&counts), counts.iter().map(Counts::raw_bits).sum::<u64>());
        let side = (self.header.finish().len() + 8 + 4 * rans::STATES) as f64;
        Estimate { side, codes: (bits + raw_bits as f64) / 8.0 }
    }
}

/// Writes the tokens of all words.
struct Coding<'a> {
    model: &'a Model,
    encoder: rans::Encoder,
}

impl Work for Coding<'_> {
    type Output = Vec<u16>;

    #[inline(always)]
    fn run(self) -> Vec<u16> {
        let Coding { model: Model { symbols, bands, components, .. }, mut encoder } = self;
        let mut end = symbols.tokens.len();
        for bands in bands.iter().rev() {
            let width = bands.n[DIMS - 1];
            let first = end - bands.n.iter().product::<usize>();
            end = first;
            let strand = |lane: usize, at: usize| {
                let [tokens, bins, around] = [&symbols.tokens, &symbols.bins, &symbols.around].map(|all| &all[first + at..]);
                rans::Strand { lane, tokens, bins, around }
            };
            let row = |band: usize, wave| {
                let place = (band < bands.count).then(|| bands.place(band, wave))??;
                Some(strand(band, first_word(bands.n, place.row)))
            };
            let waves: Vec<_> = bands.waves().collect();
            for &wave in waves.iter().rev() {
                // Bands never cut what has components.
                let component = components.of_row(wave);
                if bands.in_pieces {
                    let at = first_word(bands.n, wave);
                    let (piece, all) = (bands.piece(), PIECES * bands.piece());
                    encoder.wave([strand(PIECES - 1, at + all)], component, width - all);
                    encoder.wave([0, 1, 2, 3].map(|i| strand(i, at + i * piece)), component, piece);
                    continue;
                }
                match [0, 1, 2, 3].map(|band| row(band, wave)) {
                    [Some(a), Some(b), Some(c), Some(d)] => encoder.wave([a, b, c, d], component, width),
                    [Some(a), Some(b), Some(c), None] => encoder.wave([a, b, c], component, width),
                    [Some(a), Some(b), None, _] => encoder.wave([a, b], component, width),
                    [Some(a), None, ..] => encoder.wave([a], component, width),
                    [None, ..] => {}
                }
            }
        }
        encoder.finish()
    }
}
