//! Linear prediction in floating-point arithmetic.

use errbar_format::Result;

use super::template::{self, Model};
use super::{Lines, Pass, fit};
use crate::bytes::take;
use crate::codes::{Scan, Word};
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
/// Residuals below this share of a typical number count alike in a fit.
const LEAST_SHARE: f64 = 1e-7;

struct Params {
    float: Float,
    /// One, or one for each component; those with a mean are compared with zero.
    models: Vec<Model>,
}

impl Params {
    fn parse(params: &[u8]) -> Result<Params> {
        let (&float, models) = params.split_first().ok_or_else(|| bad_params("flinear has none"))?;
        let float = TYPES.get(usize::from(float)).ok_or_else(|| bad_params("flinear has no such type"))?;
        let model = |params: &mut &[u8]| {
            let mean = match take(params, 1) {
                Some([0]) => None,
                Some([1]) => Some(0),
                _ => return Err(bad_params("flinear compares with zero or does not")),
            };
            Ok(Model { mean, taps: template::take_taps(params)? })
        };
        Ok(Params { float: *float, models: template::models(models, model)? })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let float = TYPES.iter().position(|&float| float == self.float).unwrap_or(0);
        let mut bytes = vec![float as u8];
        for model in &self.models {
            bytes.push(model.mean.is_some().into());
            template::write_taps(&model.taps, &mut bytes);
        }
        bytes
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

/// What linear does with integers.
struct FloatPass<'a, W>(Pass<'a, W>, Float);

impl<W: Word> Work for FloatPass<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        // One loop a type: the conversions are most of the work.
        match self.1 {
            Float::F16 => rows(self.0, Convert(Float::F16)),
            Float::BF16 => rows(self.0, Convert(Float::BF16)),
            Float::F32 => rows(self.0, Convert(Float::F32)),
            Float::F64 => rows(self.0, Convert(Float::F64)),
        }
    }
}

#[inline(always)]
fn rows<W: Word>(pass: Pass<'_, W>, convert: Convert) {
    let Pass { words, lines, absent, repeats, forward } = pass;
    let width = lines.n[DIMS - 1];
    let mut numbers = vec![0.0; words.len()];
    let mut sums = vec![0.0; width];
    for row in 0..words.len() / width.max(1) {
        let start = row * width;
        let line = lines.line(row);
        line.sums(&numbers, start, &mut sums);
        for x in 0..width {
            let predicted = line.unrounded(&numbers, start, x, sums[x]);
            let (code, word) = (convert.code::<W>(predicted), &mut words[start + x]);
            if let Some(from) = repeats.and_then(|repeats| repeats.source(start + x)) {
                numbers[start + x] = numbers[from];
                words[start + x] = if forward { W::from_u64(0) } else { words[from] };
            } else if absent.is_some_and(|absent| absent[start + x]) {
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

/// The best predictors of samples, by the differences of codes.
fn best_models<W: Word>(words: &[W], n: Extents, scan: &Scan, convert: Convert) -> Vec<Model> {
    let sampled = fit::sample(words, n, scan, |word| convert.number(word));
    let code = |x: f64| convert.code::<W>(x).to_u64();
    fit::best_models(
        &sampled,
        |_| [None, Some(0)],
        |samples| {
            let targets: Vec<(f64, u64)> = samples.target.iter().map(|&target| (target, code(target))).collect();
            let typical = targets.iter().map(|(x, _)| x.abs()).sum::<f64>() / targets.len().max(1) as f64;
            let least = typical * LEAST_SHARE + f64::MIN_POSITIVE;
            move |residuals: &[f64]| {
                let pairs = residuals.iter().zip(&targets);
                let distances: Vec<f64> = pairs.map(|(r, &(x, of_target))| of_target.abs_diff(code(x - r)) as f64).collect();
                (bits(&distances, 0.5), residuals.iter().map(|r| 1.0 / (r.abs() + least)).collect())
            }
        },
    )
}

fn check<'a>(layout: &Layout, params: &'a Params) -> Result<Lines<'a>> {
    match layout.width == width(params.float) {
        true => Lines::new(&params.models, folded(&layout.dims)),
        false => Err(bad_params("flinear's type is not as wide as the codes")),
    }
}

impl FloatLinear {
    /// What a plan asks for: predictions with floats like the words of a type.
    pub fn wanted(float: Float) -> Vec<u8> {
        Params { float, models: vec![Model::default()] }.to_bytes()
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
        "float: u8; once, or for each component: to_zero: u8; 18 taps: i16, in units of 1 / 4096"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        let of = |float, mean, taps: fn(usize) -> i16| {
            Params { float, models: vec![Model { mean, taps: std::array::from_fn(taps) }] }.to_bytes()
        };
        let mean = [None, Some(0), None];
        let models = mean.map(|mean| Model { mean, taps: std::array::from_fn(|k| if k == 0 { 4096 } else { 0 }) }).to_vec();
        vec![
            Params { float: Float::F32, models }.to_bytes(),
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
        Params::parse(params).map(|params| template::describe(&params.models))
    }
}

impl Transform for FloatLinear {
    fn chooses(&self, codes: &Codes, wanted: &[u8]) -> Option<Vec<u8>> {
        let Params { float, .. } = Params::parse(wanted).ok()?;
        let n = check(&codes.layout(), &Params { float, models: vec![Model::default()] }).ok()?.n;
        let models = with_words!(&codes.words, v => best_models(v, n, &codes.scan, Convert(float)));
        Some(Params { float, models }.to_bytes())
    }

    fn keeps_absent(&self) -> bool {
        true
    }

    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        check(input, &Params::parse(params)?).map(|_| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        let params = Params::parse(params)?;
        let lines = check(&codes.layout(), &params)?;
        with_words!(&mut codes.words, v => widest(FloatPass(Pass::new(v, lines, &codes.scan, true), params.float)));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        let params = Params::parse(params)?;
        let lines = check(input, &params)?;
        with_words!(&mut codes.words, v => widest(FloatPass(Pass::new(v, lines, &input.scan, false), params.float)));
        codes.scan = input.scan.clone();
        Ok(codes)
    }
}
