mod fit;
mod float;
mod template;

use errbar_format::Result;

pub use self::float::FloatLinear;

use self::template::{IN_ROW, Line, Model, TAPS, UNIT_BITS};
use crate::codes::{Repeats, Scan, Word};
use crate::components::Components;
use crate::polyphase::{DIMS, Extents, Offset, folded};
use crate::simd::{Work, widest};
use crate::stage::{Stage, Transform, bad_params};
use crate::{Codes, Layout, with_words};

/// Zigzag code of each code's difference to a linear prediction from its neighbours before it, with
/// taps fitted to the block. See `spec/stages/linear.md`.
#[derive(Clone, Copy, Debug)]
pub struct Linear;

fn check(layout: &Layout) -> Result<Extents> {
    match layout.width {
        1 | 2 | 4 => Ok(folded(&layout.dims)),
        _ => Err(bad_params("linear takes codes of at most 32 bits")),
    }
}

/// Codes there, residuals here: which of both is given decides the direction.
struct Pass<'a, W> {
    words: &'a mut [W],
    lines: Lines<'a>,
    absent: Option<&'a [bool]>,
    /// What absent words are, where that is known.
    repeats: Option<&'a Repeats>,
    forward: bool,
}

impl<'a, W> Pass<'a, W> {
    fn new(words: &'a mut [W], lines: Lines<'a>, scan: &'a Scan, forward: bool) -> Self {
        Pass { words, lines, absent: scan.absent.as_deref(), repeats: scan.repeats.as_deref(), forward }
    }
}

/// What predicts the rows of a grid.
struct Lines<'a> {
    n: Extents,
    offsets: [Offset; TAPS],
    /// One, or one for each component.
    models: &'a [Model],
    components: Components,
}

impl<'a> Lines<'a> {
    /// Refuses predictors that are neither one nor as many as there are components.
    fn new(models: &'a [Model], n: Extents) -> Result<Lines<'a>> {
        let components = Components::new(n, &[]);
        match models.len() == 1 || models.len() == components.count {
            true => Ok(Lines { n, offsets: template::offsets(n), models, components }),
            false => Err(bad_params("there are predictors for other components")),
        }
    }

    #[inline(always)]
    fn line(&self, row: usize) -> Line {
        let n = self.n;
        let at = [row / n[2] / n[1], row / n[2] % n[1], row % n[2]];
        let model = &self.models[self.components.of_row(at) % self.models.len()];
        Line::new(model, &self.offsets, n, at)
    }
}

impl<W: Word> Work for Pass<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        if let [model] = self.lines.models
            && model.taps.iter().all(|&tap| tap == 0)
            && self.repeats.is_none()
        {
            return self.run_without_taps(model.mean);
        }
        let Pass { words, lines, absent, repeats, forward } = self;
        let width = lines.n[DIMS - 1];
        // Codes as doubles: products and sums of theirs are exact.
        let mut codes = vec![0.0; words.len()];
        let mut sums = vec![0.0; width];
        for row in 0..words.len() / width.max(1) {
            let start = row * width;
            let line = lines.line(row);
            line.sums(&codes, start, &mut sums);
            let here = &mut words[start..start + width];
            match (absent.map(|absent| &absent[start..start + width]).filter(|absent| absent.contains(&true)), forward) {
                (Some(absent), _) => row_with_absent(&line, &mut codes, start, here, &mut sums, Gone { absent, repeats }, forward),
                (None, true) => difference_row(&line, &mut codes, start, here, &mut sums),
                (None, false) => sum_row(&line, &mut codes, start, here, &mut sums),
            }
        }
    }
}

impl<W: Word> Pass<'_, W> {
    /// Without taps a code is predicted by the one before it, or all of them by the mean.
    #[inline(always)]
    fn run_without_taps(self, mean: Option<u32>) {
        let Pass { words, lines: Lines { n, .. }, absent, forward, .. } = self;
        if let Some(mean) = mean {
            let (base, stand_in) = (W::from_u64(mean.into()), W::from_u64(u64::from(mean).min(most::<W>())));
            match forward {
                true => words.iter_mut().for_each(|word| *word = word.wsub(base).zigzag()),
                false => words.iter_mut().for_each(|word| *word = word.unzigzag().wadd(base)),
            }
            let gone = if forward { W::from_u64(0) } else { stand_in };
            if let Some(absent) = absent {
                words.iter_mut().zip(absent).for_each(|(word, &absent)| *word = if absent { gone } else { *word });
            }
            return;
        }
        let width = n[DIMS - 1].max(1);
        // What the first code of each row turned out to be.
        let mut firsts: Vec<W> = Vec::with_capacity(words.len() / width);
        for (row, words) in words.chunks_exact_mut(width).enumerate() {
            let at = [row / n[2] / n[1], row / n[2] % n[1], row % n[2]];
            let back = [1, n[2], n[2] * n[1]].into_iter().zip([at[2], at[1], at[0]]).find(|(_, index)| *index > 0);
            let mut before = back.map_or(W::from_u64(0), |(rows, _)| firsts[row - rows]);
            let absent = absent.map(|absent| &absent[row * width..][..width]).filter(|absent| absent.contains(&true));
            let mut step = |word: &mut W, is_absent: bool| {
                let code = if forward { *word } else { word.unzigzag().wadd(before) };
                let code = if is_absent { before } else { code };
                *word = match forward {
                    true if is_absent => W::from_u64(0),
                    true => code.wsub(before).zigzag(),
                    false => code,
                };
                before = code;
                code
            };
            let (first, rest) = words.split_at_mut(1);
            match absent {
                None => {
                    firsts.push(step(&mut first[0], false));
                    rest.iter_mut().for_each(|word| _ = step(word, false));
                }
                Some(absent) => {
                    firsts.push(step(&mut first[0], absent[0]));
                    rest.iter_mut().zip(&absent[1..]).for_each(|(word, &absent)| _ = step(word, absent));
                }
            }
        }
    }
}

/// The largest word.
fn most<W: Word>() -> u64 {
    u64::MAX >> (64 - W::BITS)
}

/// The word that a whole number is, modulo 2^bits.
#[inline(always)]
fn word<W: Word>(number: f64) -> W {
    W::from_u64((number + TO_BITS).to_bits())
}

/// Added to a whole number below 2^51, it leaves the number in the low bits.
const TO_BITS: f64 = (3u64 << 51) as f64;

#[inline(always)]
fn difference_row<W: Word>(line: &Line, codes: &mut [f64], start: usize, words: &mut [W], sums: &mut [f64]) {
    codes[start..start + words.len()].iter_mut().zip(&*words).for_each(|(code, word)| *code = word.to_u64() as f64);
    line.predict_inner(codes, start, sums);
    for x in line.edges() {
        sums[x] = line.predict_at_edge(codes, start + x, x);
    }
    words.iter_mut().zip(sums).for_each(|(code, predicted)| *code = code.wsub(word(*predicted)).zigzag());
}

#[inline(always)]
fn sum_row<W: Word>(line: &Line, codes: &mut [f64], start: usize, words: &mut [W], sums: &mut [f64]) {
    let at_edge = |codes: &mut [f64], words: &mut [W], x: usize| {
        words[x] = words[x].unzigzag().wadd(word(line.predict_at_edge(codes, start + x, x)));
        codes[start + x] = words[x].to_u64() as f64;
    };
    let inner = line.inner.clone();
    for x in line.edges().filter(|&x| x < inner.start) {
        at_edge(codes, words, x);
    }
    if !inner.is_empty() {
        // Whole numbers from here on: what each word waits for is a product, sums and a shift.
        let taps = line.near_integers();
        let mut before: [i64; IN_ROW] = std::array::from_fn(|k| words[inner.start - 1 - k].to_u64() as i64);
        for points in line.groups() {
            line.add_lags(codes, start, points.clone(), sums);
            for (code, sum) in words[points.clone()].iter_mut().zip(&sums[points.clone()]) {
                let far = (sum + TO_BITS).to_bits() as i64 - TO_BITS.to_bits() as i64;
                let sum = far + taps.constant + (taps.near[1] * before[1] + taps.near[2] * before[2]) + taps.near[0] * before[0];
                *code = code.unzigzag().wadd(W::from_u64((sum >> UNIT_BITS) as u64));
                before = [code.to_u64() as i64, before[0], before[1]];
            }
            let known = &mut codes[start + points.start..start + points.end];
            known.iter_mut().zip(&words[points]).for_each(|(code, word)| *code = word.to_u64() as f64);
        }
    }
    for x in line.edges().filter(|&x| x >= inner.start) {
        at_edge(codes, words, x);
    }
}

/// Which words of a row are absent, and what all of them repeat that repeat something.
#[derive(Clone, Copy)]
struct Gone<'a> {
    absent: &'a [bool],
    repeats: Option<&'a Repeats>,
}

/// Codes there, residuals here, or the other way round; absent words are what they repeat, or else what
/// is predicted.
#[inline(always)]
fn row_with_absent<W: Word>(
    line: &Line,
    codes: &mut [f64],
    start: usize,
    words: &mut [W],
    sums: &mut [f64],
    gone: Gone<'_>,
    forward: bool,
) {
    let Gone { absent, repeats } = gone;
    let most = most::<W>();
    // The code that stands at a place from then on, and the word.
    let both = |word: W, absent: bool, repeated: Option<f64>, predicted: i64| -> (u64, W) {
        let predicted_word = W::from_u64(predicted as u64);
        let stand_in = repeated.map_or(predicted.max(0).unsigned_abs().min(most), |code| code as u64);
        let code = if forward { word } else { word.unzigzag().wadd(predicted_word) };
        let code = if absent { stand_in } else { code.to_u64() };
        let difference = if absent { W::from_u64(0) } else { word.wsub(predicted_word).zigzag() };
        (code, if forward { difference } else { W::from_u64(code) })
    };
    let repeated = |codes: &[f64], at: usize| repeats.and_then(|repeats| repeats.source(at)).map(|from| codes[from]);
    let at_edge = |codes: &mut [f64], words: &mut [W], x: usize| {
        let (code, word) = both(words[x], absent[x], repeated(codes, start + x), line.predict_at_edge(codes, start + x, x) as i64);
        codes[start + x] = code as f64;
        words[x] = word;
    };
    let inner = line.inner.clone();
    for x in line.edges().filter(|&x| x < inner.start) {
        at_edge(codes, words, x);
    }
    if !inner.is_empty() {
        let taps = line.near_integers();
        let mut before: [i64; IN_ROW] = std::array::from_fn(|k| codes[start + inner.start - 1 - k] as i64);
        for points in line.groups() {
            line.add_lags(codes, start, points.clone(), sums);
            let each = points.clone().zip(&mut words[points.clone()]).zip(&sums[points.clone()]).zip(&absent[points]);
            for (((x, word), sum), &absent) in each {
                let far = (sum + TO_BITS).to_bits() as i64 - TO_BITS.to_bits() as i64;
                let sum = far + taps.constant + (taps.near[1] * before[1] + taps.near[2] * before[2]) + taps.near[0] * before[0];
                let (code, changed) = both(*word, absent, repeated(codes, start + x), sum >> UNIT_BITS);
                *word = changed;
                codes[start + x] = code as f64;
                before = [code as i64, before[0], before[1]];
            }
        }
    }
    for x in line.edges().filter(|&x| x >= inner.start) {
        at_edge(codes, words, x);
    }
}

impl Linear {
    /// Parameters for codes like these.
    pub fn params(codes: &Codes) -> Vec<u8> {
        check(&codes.layout()).map_or_else(|_| to_bytes(&[Model::default()]), |n| to_bytes(&fit::models(codes, n)))
    }
}

fn to_bytes(models: &[Model]) -> Vec<u8> {
    let mut params = Vec::new();
    models.iter().for_each(|model| model.write(&mut params));
    params
}

fn parse(params: &[u8]) -> Result<Vec<Model>> {
    template::models(params, Model::take)
}

impl Stage for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "differences to a linear prediction with fitted taps"
    }

    fn parameters(&self) -> &'static str {
        "once, or for each component: has_mean: u8; mean: u32 if so; 18 taps: i16, in units of 1 / 4096"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        let plane = Model { mean: None, taps: std::array::from_fn(|k| [4096, 0, 0, 4096, -4096].get(k).copied().unwrap_or(0)) };
        let all = Model { mean: Some(7), taps: std::array::from_fn(|k| 1000 - 150 * k as i16) };
        let one = [Model::default(), plane.clone(), all.clone()].map(|model| to_bytes(&[model]));
        [&one[..], &[to_bytes(&[plane, Model::default(), all])]].concat()
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every code: differences are modulo 2^bits"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        parse(params).map(|models| template::describe(&models))
    }
}

impl Transform for Linear {
    fn chooses(&self, codes: &Codes, _: &[u8]) -> Option<Vec<u8>> {
        Some(Linear::params(codes))
    }

    fn keeps_absent(&self) -> bool {
        true
    }

    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        Lines::new(&parse(params)?, check(input)?).map(|_| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        let (n, models) = (check(&codes.layout())?, parse(params)?);
        let lines = Lines::new(&models, n)?;
        with_words!(&mut codes.words, v => widest(Pass::new(v, lines, &codes.scan, true)));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        let (n, models) = (check(input)?, parse(params)?);
        let lines = Lines::new(&models, n)?;
        with_words!(&mut codes.words, v => widest(Pass::new(v, lines, &input.scan, false)));
        codes.scan = input.scan.clone();
        Ok(codes)
    }
}
