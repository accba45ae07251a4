//! The judge of any stage, the core's and everybody else's: nasty arrays there and back, promised
//! layouts, the bound, hostile parameters and hostile bytes.
//!
//! ```
//! use errbar_codec::{conformance, transform};
//! conformance::check_transform(&transform::Delta).expect("delta keeps the contract of a transform");
//! ```
//!
//! A stage that panics, panics here too: that is the report. Everything is the same at every run.

use errbar_format::limits::MAX_NAME;
use errbar_format::record::Bound;
use errbar_format::{Error, Kind};

use crate::check::{self, Limit, Tolerance};
use crate::codes::Word;
use crate::float::Float;
use crate::{Coder, Codes, DType, Layout, Quantized, Quantizer, Stage, Transform, Values, Words};

/// What a check says: nothing, or what is wrong and with which input.
pub type Verdict = Result<(), String>;

/// Numbers that look random and never change (Steele, Lea and Flood, SplitMix, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }

    fn codes(&mut self, layout: &Layout) -> Codes {
        let bytes = self.bytes(layout.bytes());
        Codes { dims: layout.dims.clone(), words: Words::from_le_bytes(layout.width, bytes) }
    }
}

/// An array that a stage has to cope with.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is, for messages.
    pub name: String,
    /// Its elements.
    pub values: Values,
}

const SHAPES: &[&[u64]] = &[
    &[],
    &[0],
    &[1],
    &[2],
    &[7],
    &[65],
    &[1021],
    &[3, 0, 5],
    &[31, 37],
    &[1, 1, 1],
    &[5, 7, 11],
    &[2, 3, 5, 7],
    &[3, 2, 3, 2, 3],
    &[2, 2, 3, 2, 2, 3],
    &[2, 1, 3, 2, 2, 1, 3],
    &[2, 1, 2, 3, 2, 1, 2, 3],
];

const PATTERNS: &[(&str, fn(DType, usize) -> u64)] = &[
    ("random bits", |_, i| Random(i as u64).next()),
    ("special values", special),
    ("zeros", |_, _| 0),
    ("ones", |_, _| u64::MAX),
    ("a constant", |dtype, _| number(dtype, 3.75)),
    ("alternating signs", |dtype, i| number(dtype, if i % 2 == 0 { 100.0 } else { -100.0 })),
    ("half steps", |dtype, i| number(dtype, (i as f64 - 50.0) * 0.5)),
    ("a smooth field", |dtype, i| number(dtype, smooth(i))),
    ("a smooth field with gaps", |dtype, i| if i % 13 == 5 { special(dtype, i) } else { number(dtype, smooth(i)) }),
];

/// A parabola with a little noise: neighbours resemble each other in their upper bits only.
fn smooth(i: usize) -> f64 {
    let x = i as f64 / 64.0 - 7.0;
    x * x + (Random(i as u64).next() % 1000) as f64 * 1e-5
}

/// A word of `dtype` for a number: rounded where the words are floats, cut where they are not.
fn number(dtype: DType, x: f64) -> u64 {
    Float::of(dtype).map_or(x as i64 as u64, |float| float.from_f64(x))
}

/// NaN with payloads, infinities, both zeros, subnormals, the largest and the smallest numbers.
fn special(dtype: DType, i: usize) -> u64 {
    let top = 1u64 << (8 * dtype.word() - 1);
    match Float::of(dtype) {
        Ok(float) => {
            let infinity = float.exponent_mask();
            let quiet = infinity | 1 << (float.fraction_bits() - 1);
            let least_normal = 1 << float.fraction_bits();
            let magnitudes = [0, infinity, 1, quiet, least_normal - 1, infinity - 1, quiet | 5, least_normal, infinity | 1, 3];
            magnitudes[i / 2 % magnitudes.len()] | if i % 2 == 0 { 0 } else { top }
        }
        Err(_) => [0, 1, top, top - 1, u64::MAX, top + 1, 0x55][i % 7],
    }
}

fn case(dtype: DType, shape: &[u64], (name, word): (&str, fn(DType, usize) -> u64)) -> Case {
    // The shapes are small, so that their layouts exist and their sizes fit.
    let dims: Vec<usize> = shape.iter().map(|&d| d as usize).chain((dtype.words() > 1).then_some(dtype.words())).collect();
    let bits = (0..dims.iter().product()).map(|i| word(dtype, i));
    let words = match dtype.word() {
        1 => Words::U8(bits.map(|w| w as u8).collect()),
        2 => Words::U16(bits.map(|w| w as u16).collect()),
        4 => Words::U32(bits.map(|w| w as u32).collect()),
        _ => Words::U64(bits.collect()),
    };
    Case { name: format!("{name}, {} {shape:?}", dtype.name()), values: Values { dtype, bits: Codes { dims, words } } }
}

/// The arrays: every type; empty, one element, prime sizes, up to eight dimensions; constants,
/// alternating signs, half steps, special values, noise and smooth fields.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for &dtype in DType::ALL {
        cases.extend(SHAPES.iter().flat_map(|shape| [case(dtype, shape, PATTERNS[0]), case(dtype, shape, PATTERNS[8])]));
        cases.extend(PATTERNS[1..8].iter().flat_map(|&pattern| [case(dtype, &[1021], pattern), case(dtype, &[5, 7, 11], pattern)]));
    }
    cases
}

/// Parameters that a stage may like: those of the core are among them.
fn plausible_params() -> Vec<Vec<u8>> {
    let mut params = vec![Vec::new()];
    params.extend([0, 1, 2, 3, 4, 8, 19, 0x80, 0xFF].map(|byte| vec![byte]));
    params.extend((0..16).flat_map(|a| [vec![a, 0], vec![a, 8]]));
    params
}

/// Parameters that come from an enemy.
fn hostile_params(valid: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut random = Random(1);
    let mut params: Vec<Vec<u8>> = (0..=20).flat_map(|n| [vec![0; n], vec![0xFF; n], random.bytes(n), random.bytes(n)]).collect();
    for valid in valid {
        params.extend(damaged(valid));
    }
    params
}

/// Truncations of `bytes`, bit flips in them, and bytes behind them: all of them where they are
/// few, a fair selection where they are many.
fn damaged(bytes: &[u8]) -> Vec<Vec<u8>> {
    let step = bytes.len().div_ceil(24).max(1);
    let mut damaged = vec![[bytes, &[0]].concat(), [bytes, bytes].concat()];
    // The first bytes are where lengths and kinds stand.
    for at in (0..bytes.len()).filter(|at| at % step == 0 || *at < 12) {
        damaged.push(bytes[..at].to_vec());
        for mask in [1 << (at % 8), 0x80, 0xFF] {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= mask;
            damaged.push(flipped);
        }
    }
    damaged
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// Whether codes are what `layout` says.
fn has_layout(codes: &Codes, layout: &Layout) -> bool {
    codes.layout() == *layout && codes.words.len() == layout.len()
}

/// An answer to hostile input: an error that blames the input, or something of the right layout.
fn ensure_total(answer: Result<Codes, Error>, layout: &Layout, what: impl FnOnce() -> String) -> Verdict {
    let sound = match &answer {
        Ok(codes) => has_layout(codes, layout),
        Err(e) => matches!(e.kind, Kind::Corrupt | Kind::Limit | Kind::Truncated | Kind::Unsupported),
    };
    ensure(sound, || format!("{}: gave {:?}", what(), answer.map(|codes| codes.layout())))
}

/// Whether a layout obeys the limits of a block.
fn ensure_possible(layout: &Layout, what: impl FnOnce() -> String) -> Verdict {
    let dims: Vec<u64> = layout.dims.iter().map(|&d| d as u64).collect();
    ensure(matches!(layout.width, 1 | 2 | 4 | 8) && Layout::new(layout.width, &dims).is_ok(), || {
        format!("{}: {layout:?} is impossible", what())
    })
}

fn check_stage(stage: &dyn Stage) -> Verdict {
    let name = stage.name();
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._/".contains(&b));
    ensure(!name.is_empty() && name.len() <= MAX_NAME && plain(name), || format!("name {name:?} is not lower-case ASCII"))?;
    ensure(!stage.summary().is_empty() && !stage.guarantee().is_empty(), || "summary or guarantee is empty".into())?;
    for params in hostile_params(&[]) {
        // Text or an error, but no panic.
        let text = stage.describe(&params);
        ensure(text.is_err() || !params.is_empty() || text.is_ok_and(|text| text.is_empty()), || {
            "describes parameters that are not there".into()
        })?;
    }
    Ok(())
}

/// Judges a quantizer.
///
/// # Errors
/// What it broke, and with which array.
pub fn check_quantizer(quantizer: &dyn Quantizer) -> Verdict {
    check_stage(quantizer)?;
    let mut params: Vec<Vec<u8>> = Vec::new();
    let mut served = 0;
    for Case { name, values } in cases() {
        for limit in [0.0, 5e-324, 1e-12, 1e-3, 0.25, 0.5, 1.0, 70.0, 1e300].iter().flat_map(|&x| [Limit::Abs(x), Limit::Relative(x)]) {
            for fill in [vec![], vec![number(values.dtype, 100.0)]] {
                let bound = match limit {
                    Limit::Abs(value) => Bound::Abs(value),
                    Limit::Relative(value) => Bound::PwRel(value),
                };
                let tolerance = Tolerance { bound, limit, fill };
                let context = || format!("{}: {name} within {limit:?}, fill {:?}", quantizer.name(), tolerance.fill);
                match quantizer.quantize(&values, &tolerance) {
                    Ok(quantized) => {
                        served += 1;
                        check_quantized(quantizer, &values, &tolerance, &quantized).map_err(|what| format!("{}: {what}", context()))?;
                        if params.len() < 40 && !params.contains(&quantized.params) {
                            params.push(quantized.params);
                        }
                    }
                    // What it refuses to write cannot be wrong in a file, but it must say so.
                    Err(e) => ensure(matches!(e.kind, Kind::Usage | Kind::Corrupt), || format!("{}: {e}", context()))?,
                }
            }
        }
    }
    ensure(served > 0, || format!("{} serves no array within any tolerance", quantizer.name()))?;
    let mut random = Random(2);
    for params in hostile_params(&params) {
        for &dtype in DType::ALL {
            for dims in [&[][..], &[0], &[7, 5]] {
                let values = Layout { width: dtype.word(), dims: dims.to_vec() };
                let context = || format!("{}: parameters {params:?} for {} {dims:?}", quantizer.name(), dtype.name());
                let Ok(layout) = quantizer.code_layout(dtype, &values, &params) else { continue };
                ensure_possible(&layout, context)?;
                ensure_total(quantizer.reconstruct(random.codes(&layout), dtype, &params), &values, context)?;
            }
        }
    }
    Ok(())
}

fn check_quantized(quantizer: &dyn Quantizer, values: &Values, tolerance: &Tolerance, quantized: &Quantized) -> Verdict {
    let Quantized { params, codes, exact } = quantized;
    ensure(quantizer.quantize(values, tolerance).is_ok_and(|again| again == *quantized), || "another result the second time".into())?;
    let layout = values.bits.layout();
    let code_layout = quantizer.code_layout(values.dtype, &layout, params).map_err(|e| format!("code_layout: {e}"))?;
    ensure_possible(&code_layout, || "code_layout".into())?;
    ensure(has_layout(codes, &code_layout), || format!("codes {:?} where {code_layout:?} were promised", codes.layout()))?;
    ensure(exact.is_sorted_by(|a, b| a < b), || "exact positions do not ascend".into())?;
    ensure(exact.last().is_none_or(|&last| (last as usize) < layout.len()), || "exact position outside the block".into())?;
    quantizer.describe(params).map_err(|e| format!("describe: {e}"))?;
    let mut bits = quantizer.reconstruct(codes.clone(), values.dtype, params).map_err(|e| format!("reconstruct: {e}"))?;
    ensure(has_layout(&bits, &layout), || format!("values {:?} where {layout:?} were promised", bits.layout()))?;
    put(exact, &values.bits.words, &mut bits.words);
    let restored = Values { dtype: values.dtype, bits };
    if !values.dtype.is_float() {
        return ensure(restored == *values, || "integers changed".into());
    }
    let found = check::compare(values, &restored, tolerance).map_err(|e| e.to_string())?;
    ensure(found.violations.is_empty(), || format!("words {:?} are out of bounds", found.violations))
}

/// Puts the words of `original` into `words` at `positions`.
fn put(positions: &[u32], original: &Words, words: &mut Words) {
    fn each<W: Word>(positions: &[u32], original: &[W], words: &mut [W]) {
        positions.iter().for_each(|&at| words[at as usize] = original[at as usize]);
    }
    match (original, words) {
        (Words::U8(a), Words::U8(b)) => each(positions, a, b),
        (Words::U16(a), Words::U16(b)) => each(positions, a, b),
        (Words::U32(a), Words::U32(b)) => each(positions, a, b),
        (Words::U64(a), Words::U64(b)) => each(positions, a, b),
        _ => {}
    }
}

/// Judges a transform with the parameters it accepts out of a list of short ones.
///
/// # Errors
/// What it broke, and with which array.
pub fn check_transform(transform: &dyn Transform) -> Verdict {
    check_transform_with(transform, &plausible_params())
}

/// Judges a transform with parameters of its own; those that do not fit an array are passed over.
///
/// # Errors
/// As [`check_transform`].
pub fn check_transform_with(transform: &dyn Transform, valid: &[Vec<u8>]) -> Verdict {
    check_stage(transform)?;
    let mut served = 0;
    for Case { name, values } in cases() {
        let (codes, input) = (values.bits.clone(), values.bits.layout());
        for params in valid {
            let context = |what: &str| format!("{}: {name}, parameters {params:?}: {what}", transform.name());
            let forward = transform.forward(codes.clone(), params);
            let Ok(layout) = transform.output(&input, params) else {
                ensure(forward.is_err(), || context("transforms what output refuses"))?;
                continue;
            };
            served += 1;
            ensure_possible(&layout, || context("output"))?;
            let forward = forward.map_err(|e| context(&e.to_string()))?;
            ensure(has_layout(&forward, &layout), || context("codes of another layout than output promised"))?;
            ensure(transform.forward(codes.clone(), params).is_ok_and(|again| again == forward), || {
                context("another result the second time")
            })?;
            let back = transform.inverse(forward, &input, params).map_err(|e| context(&e.to_string()))?;
            ensure(back == codes, || context("the inverse does not give back the codes"))?;
            transform.describe(params).map_err(|e| context(&e.to_string()))?;
        }
    }
    ensure(served > 0, || format!("{} transforms no array with any parameters", transform.name()))?;
    let mut random = Random(3);
    for params in hostile_params(valid) {
        for width in [1, 2, 4, 8] {
            for dims in [&[][..], &[0], &[17], &[3, 0, 2], &[3, 4, 5], &[0xFFFF_FFFF, 0], &[0, 0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF]] {
                let input = Layout { width, dims: dims.to_vec() };
                let context = || format!("{}: parameters {params:?} for {input:?}", transform.name());
                let Ok(layout) = transform.output(&input, &params) else { continue };
                ensure_possible(&layout, context)?;
                ensure_total(transform.inverse(random.codes(&layout), &input, &params), &input, context)?;
            }
        }
    }
    Ok(())
}

/// Judges a coder with the parameters it accepts out of a list of short ones.
///
/// # Errors
/// What it broke, and with which array.
pub fn check_coder(coder: &dyn Coder) -> Verdict {
    check_coder_with(coder, &plausible_params())
}

/// Judges a coder with parameters of its own; those that do not fit an array are passed over.
///
/// # Errors
/// As [`check_coder`].
pub fn check_coder_with(coder: &dyn Coder, valid: &[Vec<u8>]) -> Verdict {
    check_stage(coder)?;
    let mut served = 0;
    for Case { name, values } in cases() {
        let (layout, codes) = (values.bits.layout(), values.bits);
        for params in valid {
            let context = |what: &str| format!("{}: {name}, parameters {params:?}: {what}", coder.name());
            let bytes = match coder.encode(&codes, params) {
                Ok(bytes) => bytes,
                Err(e) => {
                    ensure(matches!(e.kind, Kind::Usage | Kind::Corrupt), || context(&e.to_string()))?;
                    continue;
                }
            };
            served += 1;
            ensure(coder.encode(&codes, params).is_ok_and(|again| again == bytes), || context("other bytes the second time"))?;
            let decoded = coder.decode(&bytes, &layout, params).map_err(|e| context(&e.to_string()))?;
            ensure(decoded == codes, || context("decoding does not give back the codes"))?;
            coder.describe(params).map_err(|e| context(&e.to_string()))?;
            // Damage looks the same for all contents but these.
            if name.starts_with("a smooth field with gaps") || name.starts_with("a constant") {
                for bytes in damaged(&bytes) {
                    ensure_total(coder.decode(&bytes, &layout, params), &layout, || context("damaged"))?;
                }
                for layout in neighbours(&layout) {
                    ensure_total(coder.decode(&bytes, &layout, params), &layout, || context("read as another layout"))?;
                }
            }
        }
    }
    ensure(served > 0, || format!("{} codes no array with any parameters", coder.name()))?;
    let mut random = Random(4);
    for params in hostile_params(valid) {
        for width in [1, 2, 4, 8] {
            for dims in [&[][..], &[0], &[3, 4, 5], &[0, 0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF]] {
                let layout = Layout { width, dims: dims.to_vec() };
                for n in [0, width, 60 * width, 20] {
                    let context = || format!("{}: noise, parameters {params:?} for {layout:?}", coder.name());
                    ensure_total(coder.decode(&random.bytes(n), &layout, &params), &layout, context)?;
                }
            }
        }
    }
    Ok(())
}

/// Layouts that an honest encoding of `layout` is not.
fn neighbours(layout: &Layout) -> Vec<Layout> {
    let of = |width, n| Layout { width, dims: vec![n] };
    let n = layout.len();
    let mut layouts = vec![of(layout.width, n + 1), of(layout.width, n.saturating_sub(1)), of(layout.width, 0)];
    layouts.extend([1, 2, 4, 8].map(|width| of(width, n)));
    layouts
}

#[cfg(test)]
mod tests;
