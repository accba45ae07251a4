//! Linear prediction in floating-point arithmetic.

use errbar_format::Result;

use super::fit::{self, Sampled};
use super::template::{Line, Model, TAPS, UNIT};
use crate::codes::Word;
use crate::float::Float;
use crate::least_squares::bits;
use crate::polyphase::{DIMS, Extents, folded};
use crate::quantizer::ordered::Kind;
use crate::simd::{Work, widest};
use crate::stage::{Stage, Transform, bad_params};
use crate::{Codes, Layout, with_words};

/// Zigzag code of each ordered float's distance to a linear prediction from the floats before it: the
/// prediction is made with floats, the difference is one of integers, so that numbers near zero are
/// predicted as well as others (Lindstrom and Isenburg, IEEE TVCG 12(5), 2006, who have fixed taps).
/// See `spec/stages/flinear.md`.
#[derive(Clone, Copy, Debug)]
pub struct FloatLinear;

/// The types in the order of their codes.
const TYPES: [Float; 4] = [Float::F16, Float::BF16, Float::F32, Float::F64];
/// Rounds of least squares.
const ROUNDS: usize = 3;

struct Params {
    float: Float,
    model: Model,
}

impl Params {
    fn parse(params: &[u8]) -> Result<Params> {
        let &[float, ref model @ ..] = params else { return Err(bad_params("flinear has none")) };
        let float = TYPES.get(usize::from(float)).ok_or_else(|| bad_params("flinear has no such type"))?;
        let model = Model::parse(model)?;
        match model.mean {
            None | Some(0) => Ok(Params { float: *float, model }),
            Some(_) => Err(bad_params("flinear compares with zero only")),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let float = TYPES.iter().position(|&float| float == self.float).unwrap_or(0);
        [&[float as u8][..], &self.model.to_bytes()].concat()
    }
}

/// Bytes of a word.
fn width(float: Float) -> usize {
    match float {
        Float::F16 | Float::BF16 => 2,
        Float::F32 => 4,
        Float::F64 => 8,
    }
}

/// Ordered codes to floats and back.
#[derive(Clone, Copy)]
struct Convert(Float);

impl Convert {
    /// The number of a code; those that are none count as zero.
    #[inline(always)]
    fn number<W: Word>(self, code: W) -> f64 {
        let x = self.0.to_f64(Kind::Float.word(code).to_u64());
        if x.is_finite() { x } else { 0.0 }
    }

    /// The code of the float nearest to a number.
    #[inline(always)]
    fn code<W: Word>(self, x: f64) -> W {
        let x = if x.is_nan() { 0.0 } else { x };
        W::from_u64(Kind::Float.ordered(W::from_u64(self.0.from_f64(x))))
    }
}

/// Codes there, residuals here: which of both is given decides the direction.
struct Pass<'a, W> {
    words: &'a mut [W],
    n: Extents,
    params: &'a Params,
    absent: Option<&'a [bool]>,
    forward: bool,
}

impl<W: Word> Work for Pass<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Pass { words, n, params, absent, forward } = self;
        match params.float {
            Float::F16 => rows(words, n, &params.model, absent, forward, Convert(Float::F16)),
            Float::BF16 => rows(words, n, &params.model, absent, forward, Convert(Float::BF16)),
            Float::F32 => rows(words, n, &params.model, absent, forward, Convert(Float::F32)),
            Float::F64 => rows(words, n, &params.model, absent, forward, Convert(Float::F64)),
        }
    }
}

#[inline(always)]
fn rows<W: Word>(words: &mut [W], n: Extents, model: &Model, absent: Option<&[bool]>, forward: bool, convert: Convert) {
    let width = n[DIMS - 1];
    let mut numbers = vec![0.0; words.len()];
    let mut sums = vec![0.0; width];
    for row in 0..words.len() / width.max(1) {
        let start = row * width;
        let line = Line::new(model, n, row);
        line.sums(&numbers, start, &mut sums);
        for x in 0..width {
            let predicted = line.unrounded(&numbers, start, x, sums[x]);
            let (code, word) = (convert.code::<W>(predicted), &mut words[start + x]);
            if absent.is_some_and(|absent| absent[start + x]) {
                // As good as predicted; what it was is kept elsewhere.
                numbers[start + x] = convert.number(code);
                *word = if forward { W::from_u64(0) } else { code };
            } else if forward {
                numbers[start + x] = convert.number(*word);
                *word = word.wsub(code).zigzag();
            } else {
                *word = word.unzigzag().wadd(code);
                numbers[start + x] = convert.number(*word);
            }
        }
    }
}

/// The best of fitted taps, the plane through the nearest neighbours, and the float before.
fn model<W: Word>(words: &[W], n: Extents, absent: Option<&[bool]>, convert: Convert) -> Model {
    let sampled = fit::sample(words, n, absent, |word| convert.number(word));
    let mut best = Best { cost: f64::MAX, model: Model::default(), weights: vec![1.0; sampled.samples.len()] };
    let zeros = vec![0.0; sampled.used.len()];
    for mean in [None, Some(0)] {
        for taps in [zeros.clone()].into_iter().chain(sampled.lorenzo()) {
            best.offer::<W>(&sampled, convert, mean, &taps);
        }
    }
    for mean in [None, Some(0)] {
        let relative = sampled.relative(mean);
        let mut weights = vec![1.0; relative.len()];
        for _ in 0..ROUNDS {
            let Some(taps) = sampled.fit(&relative, &weights) else { break };
            if !best.offer::<W>(&sampled, convert, mean, &taps) {
                break;
            }
            weights.clone_from(&best.weights);
        }
    }
    best.model
}

/// The cheapest predictor so far.
struct Best {
    cost: f64,
    model: Model,
    /// What samples count in the next round.
    weights: Vec<f64>,
}

impl Best {
    /// Takes what is plainly better; tells whether it did.
    fn offer<W: Word>(&mut self, sampled: &Sampled, convert: Convert, mean: Option<u32>, taps: &[f64]) -> bool {
        let residuals = sampled.relative(mean).residuals(taps);
        let targets = &sampled.samples.target;
        let code = |x: f64| convert.code::<W>(x).to_u64();
        let distances: Vec<f64> =
            residuals.iter().zip(targets).map(|(r, target)| code(*target).abs_diff(code(target - r)) as f64).collect();
        let cost = bits(&distances, 0.5);
        let is_better = cost < self.cost * 0.998;
        if is_better {
            let mut model = Model { mean, taps: [0; TAPS] };
            sampled.used.iter().zip(taps).for_each(|(&k, tap)| model.taps[k] = (tap * UNIT) as i16);
            let tiny = targets.iter().map(|x| x.abs()).sum::<f64>() / targets.len().max(1) as f64 * 1e-7 + f64::MIN_POSITIVE;
            let weights = residuals.iter().map(|r| 1.0 / (r.abs() + tiny)).collect();
            *self = Best { cost, model, weights };
        }
        is_better
    }
}

fn check(layout: &Layout, params: &Params) -> Result<Extents> {
    match layout.width == width(params.float) {
        true => Ok(folded(&layout.dims)),
        false => Err(bad_params("flinear's type is not as wide as the codes")),
    }
}

impl FloatLinear {
    /// What a plan asks for: predictions with floats like the words of a type.
    pub fn wanted(float: Float) -> Vec<u8> {
        Params { float, model: Model::default() }.to_bytes()
    }
}

impl Stage for FloatLinear {
    fn name(&self) -> &'static str {
        "flinear"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "differences to a linear prediction in floating-point arithmetic"
    }

    fn parameters(&self) -> &'static str {
        "float: u8; has_zero: u8; zero: u32 if so; 18 taps: i16, in units of 1 / 4096"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        let of = |float, mean, taps: fn(usize) -> i16| Params { float, model: Model { mean, taps: std::array::from_fn(taps) } }.to_bytes();
        vec![
            of(Float::F32, None, |k| [4096, 0, 0, 4096, -4096].get(k).copied().unwrap_or(0)),
            of(Float::F64, Some(0), |k| 1000 - 150 * k as i16),
            of(Float::F16, None, |k| 900 - 100 * k as i16),
            of(Float::BF16, Some(0), |_| 0),
        ]
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every code: differences are modulo 2^bits"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        let Params { model, .. } = Params::parse(params)?;
        Ok(format!("{} taps", model.taps.iter().filter(|&&tap| tap != 0).count()))
    }
}

impl Transform for FloatLinear {
    fn chooses(&self, codes: &Codes, wanted: &[u8]) -> Option<Vec<u8>> {
        let Params { float, .. } = Params::parse(wanted).ok()?;
        let n = check(&codes.layout(), &Params { float, model: Model::default() }).ok()?;
        let absent = codes.scan.absent.as_deref();
        let model = with_words!(&codes.words, v => model(v, n, absent, Convert(float)));
        Some(Params { float, model }.to_bytes())
    }

    fn keeps_absent(&self) -> bool {
        true
    }

    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        check(input, &Params::parse(params)?).map(|_| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        let params = Params::parse(params)?;
        let n = check(&codes.layout(), &params)?;
        let absent = codes.scan.absent.as_deref();
        with_words!(&mut codes.words, v => widest(Pass { words: v, n, params: &params, absent, forward: true }));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        let params = Params::parse(params)?;
        let n = check(input, &params)?;
        let absent = input.scan.absent.as_deref();
        with_words!(&mut codes.words, v => widest(Pass { words: v, n, params: &params, absent, forward: false }));
        codes.scan = input.scan.clone();
        Ok(codes)
    }
}
