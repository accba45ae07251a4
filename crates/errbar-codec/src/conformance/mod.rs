//! The judge of stages: what every quantizer, transform and coder must do, a third party's too.
//!
//! A stage that passes gives back what it promises for the arrays of [`cases`], keeps to the
//! layouts it announces, does the same twice, and answers parameters and bytes that nobody wrote
//! with an error or with a well-formed result, never with a panic. One test judges it:
//!
//! ```
//! use errbar_codec::{conformance, transform};
//!
//! assert_eq!(conformance::check_transform(&transform::Delta), Ok(()));
//! ```

mod cases;
mod exact;
mod scans;

use std::panic::{AssertUnwindSafe, catch_unwind};

use errbar_format::record::{Bound, PipelineRecord, Receipt};
use errbar_format::{DType, Kind};

pub use cases::{Case, SplitMix64, cases};
pub use exact::within;

use crate::codes::Word;
use crate::float::Float;
use crate::{Coder, Codes, Layout, Limit, Quantizer, Registry, Stage, Tolerance, Transform, Values, coder, pipeline, with_words};

/// Nothing, or what is wrong.
type Verdict = Result<(), String>;

/// Words up to which a case is damaged bit by bit.
const SMALL: usize = 40;

/// What `call` answers; it is wrong to panic.
fn answer<T>(what: &str, call: impl FnOnce() -> errbar_format::Result<T>) -> Result<errbar_format::Result<T>, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let said = panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
        format!("{what} panics: {}", said.unwrap_or_default())
    })
}

/// What `call` gives; it is wrong to fail.
fn demand<T>(what: &str, call: impl FnOnce() -> errbar_format::Result<T>) -> Result<T, String> {
    answer(what, call)?.map_err(|error| format!("{what} fails: {error}"))
}

fn ensure(holds: bool, what: &str) -> Verdict {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn well_formed(what: &str, codes: &Codes, layout: &Layout) -> Verdict {
    let (given, n) = (codes.layout(), codes.words.len());
    ensure(given == *layout && n == layout.len(), &format!("{what} gives {n} words as {given:?}, not {layout:?}"))
}

/// Whether an error says that the stage does not serve what it was asked to.
fn is_refusal(error: &errbar_format::Error) -> bool {
    matches!(error.kind, Kind::Usage | Kind::Corrupt | Kind::Limit)
}

/// Parameters that nobody chose.
fn hostile_params() -> impl Iterator<Item = Vec<u8>> {
    (0..=20).flat_map(|len| {
        let random = |seed: u64| SplitMix64(seed << 8 | len as u64).take(len).map(|r| r as u8).collect();
        [vec![0; len], vec![1; len], vec![0xFF; len], random(1), random(2), random(3)]
    })
}

/// Codes of `layout` that nobody made.
fn hostile_codes(layout: &Layout) -> [Codes; 3] {
    let n = layout.len();
    let fill = |words| layout.codes(words);
    [
        fill(cases::words(layout.width, std::iter::repeat_n(0, n))),
        fill(cases::words(layout.width, std::iter::repeat_n(u64::MAX, n))),
        fill(cases::words(layout.width, SplitMix64(n as u64).take(n))),
    ]
}

fn is_small(case: &Case) -> bool {
    case.values.bits.words.len() <= SMALL
}

/// Judges what a stage says about itself.
fn check_stage(stage: &dyn Stage) -> Verdict {
    let name = stage.name();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_./".contains(&b);
    ensure(!name.is_empty() && name.len() <= errbar_format::limits::MAX_NAME && name.bytes().all(plain), "the name is no name")?;
    for (what, text) in [("summary", stage.summary()), ("guarantee", stage.guarantee())] {
        ensure(!text.is_empty() && !text.contains('\n'), &format!("the {what} is not one line"))?;
    }
    ensure(!stage.examples().is_empty(), "there are no examples of parameters")?;
    for params in hostile_params() {
        answer("describe", || stage.describe(&params))?.map_or_else(
            |error| ensure(error.kind == Kind::Corrupt, &format!("describe refuses {params:02x?} as {error}")),
            |text| ensure(!text.contains('\n'), &format!("describe gives several lines for {params:02x?}")),
        )?;
    }
    Ok(())
}

/// Runs `round_trip` over all cases with the stage's own examples of parameters, each of which must
/// serve some case, and over small ones with parameters that nobody chose.
fn each_case(stage: &dyn Stage, mut round_trip: impl FnMut(&[u8], &Case) -> Result<bool, String>) -> Verdict {
    let cases = cases();
    let mut run = |params: &[u8], case: &Case| {
        round_trip(params, case).map_err(|what| format!("{} with parameters {params:02x?}, {}: {what}", stage.name(), case.name))
    };
    for params in stage.examples() {
        demand("describe", || stage.describe(&params))?;
        let mut served = false;
        for case in &cases {
            served |= run(&params, case)?;
        }
        ensure(served, &format!("{} with parameters {params:02x?} serves no case", stage.name()))?;
    }
    for params in hostile_params() {
        for case in cases.iter().filter(|case| is_small(case)).step_by(7) {
            run(&params, case)?;
        }
    }
    Ok(())
}

/// Judges a transform: `inverse` undoes `forward` for every code, `output` tells the layout, and
/// codes that nobody made have some inverse or none, but no panic.
///
/// # Errors
/// What is wrong, with the parameters and the case.
pub fn check_transform(stage: &dyn Transform) -> Result<(), String> {
    check_stage(stage).map_err(|what| format!("{}: {what}", stage.name()))?;
    let chosen = |codes: &Codes| stage.chooses(codes, &[]);
    each_case(stage, |params, case| {
        if let Some(own) = chosen(&case.values.bits) {
            transform_case(stage, &own, &case.values.bits)?;
            fits_as_chosen(stage, own, &case.values.bits)?;
        }
        transform_case(stage, params, &case.values.bits)
    })?;
    each_scan(stage, |params, mut codes| {
        codes.scan.levels.clear();
        if let Some(own) = chosen(&codes).filter(|_| stage.keeps_absent()) {
            scanned_transform_case(stage, &own, codes.clone())?;
        }
        scanned_transform_case(stage, params, codes)
    })
}

/// Whether fitting gives what choosing and transforming give, or refuses what they refuse.
fn fits_as_chosen(stage: &dyn Transform, own: Vec<u8>, codes: &Codes) -> Result<(), String> {
    let forward = stage.forward(codes.clone(), &own).ok();
    match stage.fit(codes.clone(), &[]).ok() == forward.map(|forward| (own, forward)) {
        true => Ok(()),
        false => Err("fit gives something else than chooses and forward".to_owned()),
    }
}

/// Runs `round_trip` over codes with levels and absent words, with the stage's own examples of
/// parameters.
fn each_scan(stage: &dyn Stage, mut round_trip: impl FnMut(&[u8], Codes) -> Verdict) -> Verdict {
    for params in stage.examples() {
        for (name, codes) in scans::scanned() {
            round_trip(&params, codes).map_err(|what| format!("{} with parameters {params:02x?}, {name}: {what}", stage.name()))?;
        }
    }
    Ok(())
}

/// What a transform makes of codes as a pipeline gives them to it: without levels, and without
/// absent words unless it keeps those. What comes back in the place of an absent word is free.
fn scanned_transform_case(stage: &dyn Transform, params: &[u8], mut codes: Codes) -> Verdict {
    codes.scan.levels.clear();
    if !stage.keeps_absent() {
        codes.scan.absent = None;
    }
    let layout = codes.layout();
    let Ok(output) = answer("output", || stage.output(&layout, params))? else { return Ok(()) };
    let coded = match answer("forward", || stage.forward(codes.clone(), params))? {
        Err(error) if error.kind == Kind::Usage && !stage.takes_any() => return Ok(()),
        coded => coded.map_err(|error| format!("forward fails: {error}"))?,
    };
    well_formed("forward", &coded, &output)?;
    let mut back = demand("inverse", || stage.inverse(coded, &layout, params))?;
    well_formed("inverse", &back, &layout)?;
    if let Some(absent) = &layout.scan.absent {
        with_words!(&mut back.words, v => v.iter_mut().zip(&**absent).filter(|(_, absent)| **absent).for_each(|(word, _)| *word = 0));
    }
    ensure(back == codes, "inverse does not give the codes back")
}

fn transform_case(stage: &dyn Transform, params: &[u8], codes: &Codes) -> Result<bool, String> {
    let layout = codes.layout();
    let forward = || answer("forward", || stage.forward(codes.clone(), params));
    let (output, coded) = match (answer("output", || stage.output(&layout, params))?, forward()?) {
        (Ok(output), Ok(coded)) => (output, coded),
        (Err(a), Err(b)) => return ensure(is_refusal(&a) && is_refusal(&b), &format!("it refuses with {a}, {b}")).map(|()| false),
        (Ok(_), Err(error)) if error.kind == Kind::Usage && !stage.takes_any() => return Ok(false),
        (Ok(_), Err(error)) => return Err(format!("output accepts what forward refuses: {error}")),
        (Err(error), Ok(_)) => return Err(format!("forward accepts what output refuses: {error}")),
    };
    well_formed("forward", &coded, &output)?;
    ensure(forward()?.is_ok_and(|again| again == coded), "forward differs the second time")?;
    let back = demand("inverse", || stage.inverse(coded, &layout, params))?;
    well_formed("inverse", &back, &layout)?;
    ensure(back == *codes, "inverse does not give the codes back")?;
    if codes.words.len() <= SMALL {
        for codes in hostile_codes(&output) {
            if let Ok(codes) = answer("inverse of hostile codes", || stage.inverse(codes, &layout, params))? {
                well_formed("inverse of hostile codes", &codes, &layout)?;
            }
        }
    }
    Ok(true)
}

/// Judges a coder: `decode` gives back what `encode` was given, or `encode` refuses it, and bytes
/// that nobody wrote decode to codes of the layout asked or to an error.
///
/// # Errors
/// What is wrong, with the parameters and the case.
pub fn check_coder(stage: &dyn Coder) -> Result<(), String> {
    check_stage(stage).map_err(|what| format!("{}: {what}", stage.name()))?;
    let examples = stage.examples();
    each_case(stage, |params, case| {
        let codes = &case.values.bits;
        let Some(bytes) = coder_case(stage, params, codes)? else { return Ok(false) };
        if is_small(case) && examples.iter().any(|example| example == params) {
            hostile_bytes(stage, params, &bytes, &codes.layout())?;
        }
        Ok(true)
    })?;
    each_scan(stage, |params, codes| match coder_case(stage, params, &codes)? {
        Some(bytes) if codes.words.len() <= SMALL => hostile_bytes(stage, params, &bytes, &codes.layout()),
        _ => Ok(()),
    })
}

fn coder_case(stage: &dyn Coder, params: &[u8], codes: &Codes) -> Result<Option<Vec<u8>>, String> {
    let layout = codes.layout();
    let encode = || answer("encode", || stage.encode(codes, params));
    let bytes = match encode()? {
        Ok(bytes) => bytes,
        Err(error) => return ensure(is_refusal(&error), &format!("encode refuses as {error}")).map(|()| None),
    };
    ensure(encode()?.is_ok_and(|again| again == bytes), "encode differs the second time")?;
    let back = demand("decode", || stage.decode(&bytes, &layout, params))?;
    well_formed("decode", &back, &layout)?;
    ensure(back == *codes, "decode does not give the codes back")?;
    Ok(Some(bytes))
}

/// Every prefix of `bytes`, bytes with a bit flipped or something behind them, bytes of another
/// layout, and noise.
fn hostile_bytes(stage: &dyn Coder, params: &[u8], bytes: &[u8], layout: &Layout) -> Verdict {
    let decode = |bytes: &[u8], layout: &Layout, what: &str| -> Verdict {
        let decode = || answer(what, || stage.decode(bytes, layout, params));
        match decode()? {
            Ok(codes) => {
                well_formed(what, &codes, layout)?;
                ensure(decode()?.is_ok_and(|again| again == codes), &format!("{what} differs the second time"))
            }
            Err(error) => ensure(is_refusal(&error), &format!("{what} fails as {error}")),
        }
    };
    for len in 0..bytes.len() {
        decode(&bytes[..len], layout, &format!("decode of the first {len} bytes"))?;
    }
    for at in 0..bytes.len() {
        let bits = if at < 48 { 0..8 } else { at as u32 % 8..at as u32 % 8 + 1 };
        for bit in bits {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1 << bit;
            decode(&bytes, layout, &format!("decode with bit {bit} of byte {at} flipped"))?;
        }
    }
    decode(&[bytes, &[0]].concat(), layout, "decode with a byte behind")?;
    decode(&[bytes, bytes].concat(), layout, "decode of the bytes twice over")?;
    for dims in [vec![], vec![0], vec![layout.len() + 1], vec![layout.len().saturating_sub(1)], vec![1 << 16]] {
        for width in [1, 2, 4, 8] {
            decode(bytes, &Layout::plain(width, dims.clone()), "decode to another layout")?;
        }
    }
    for len in (0..=20).chain([100, 1000]) {
        let noise: Vec<u8> = SplitMix64(len).take(len as usize).map(|r| r as u8).collect();
        decode(&noise, layout, &format!("decode of {len} bytes of noise"))?;
    }
    Ok(())
}

/// Judges a quantizer: codes have the layout announced, and every word that they do not serve is
/// named. Through [`pipeline::encode`], with `store` behind it, every value keeps its bound, checked
/// [exactly](within) on what [`pipeline::decode`] gives, missing and non-finite values keep every
/// bit, and the receipt is true.
///
/// # Errors
/// What is wrong, with the tolerance and the case.
pub fn check_quantizer(stage: &'static dyn Quantizer) -> Result<(), String> {
    check_stage(stage).map_err(|what| format!("{}: {what}", stage.name()))?;
    let registry = Registry::of_one(stage);
    let cases = cases();
    let mut served = false;
    for case in &cases {
        for tolerance in tolerances(&case.values) {
            served |= quantizer_case(&registry, stage, case, &tolerance)
                .map_err(|what| format!("{} under {:?}, {}: {what}", stage.name(), tolerance.limit, case.name))?;
        }
    }
    ensure(served, &format!("{} serves no case", stage.name()))?;
    for case in &cases {
        exact_case(&registry, stage, case).map_err(|what| format!("{} without loss, {}: {what}", stage.name(), case.name))?;
    }
    for case in cases.iter().filter(|case| is_small(case)) {
        for params in hostile_params() {
            hostile_reconstruction(stage, &case.values, &params)
                .map_err(|what| format!("{} with parameters {params:02x?}, {}: {what}", stage.name(), case.name))?;
        }
    }
    Ok(())
}

/// Tolerances from hopeless to boundless, the last with two bit patterns that stand for missing values.
fn tolerances(values: &Values) -> Vec<Tolerance> {
    let abs = |value| Tolerance { bounds: vec![Bound::Abs(value)], limit: Limit::Abs(value), fill: Vec::new() };
    let relative = |value| Tolerance { bounds: vec![Bound::PwRel(value)], limit: Limit::Relative(value), fill: Vec::new() };
    let bits = |i: usize| with_words!(&values.bits.words, v => v.get(i).map(|word| word.to_u64()));
    let mut fill: Vec<u64> = [bits(0), bits(values.bits.words.len() / 2)].into_iter().flatten().collect();
    fill.sort_unstable();
    fill.dedup();
    let mut all: Vec<Tolerance> = [1e-300, 1e-3, 0.01, 0.5, 1.0, 1e300, f64::MAX].map(abs).into();
    all.extend([1e-300, 1e-3, 0.1, 0.5, 1e300].map(relative));
    let both = |absolute, relative| Tolerance {
        bounds: vec![Bound::Abs(absolute), Bound::PwRel(relative)],
        limit: Limit::Both { absolute, relative },
        fill: Vec::new(),
    };
    all.extend([both(0.01, 1e-3), both(1e-3, 0.5), both(1e300, 0.1), both(0.5, 1e-300)]);
    all.extend([abs(0.01), relative(1e-3), both(0.1, 1e-2)].map(|tolerance| Tolerance { fill: fill.clone(), ..tolerance }));
    all
}

fn quantizer_case(registry: &Registry, stage: &dyn Quantizer, case: &Case, tolerance: &Tolerance) -> Result<bool, String> {
    let (values, layout) = (&case.values, case.values.bits.layout());
    let quantize = || answer("quantize", || stage.quantize(values, tolerance, &[]));
    let quantized = match quantize()? {
        Ok(quantized) => quantized,
        Err(error) => return ensure(is_refusal(&error), &format!("quantize refuses as {error}")).map(|()| false),
    };
    ensure(quantize()?.is_ok_and(|again| again == quantized), "quantize differs the second time")?;
    let exact = &quantized.exact;
    let inside = exact.last().is_none_or(|&last| (last as usize) < layout.len());
    ensure(inside && exact.is_sorted_by(|a, b| a < b), "exact positions are not ascending or not inside")?;
    ensure(quantized.absent.as_ref().is_none_or(|absent| absent.len() == layout.len()), "absent words are not as many as values")?;
    let named = exact.len() + quantized.absent.iter().flat_map(|absent| absent.iter()).filter(|absent| **absent).count();
    let mut asked = layout.clone();
    asked.scan.absent = quantized.absent;
    let code_layout = demand("code_layout", || stage.code_layout(values.dtype, &asked, &quantized.params))?;
    well_formed("quantize", &quantized.codes, &code_layout)?;
    let raw = demand("reconstruct", || stage.reconstruct(quantized.codes, values.dtype, &layout, &quantized.params))?;
    well_formed("reconstruct", &raw, &layout)?;

    let plan = PipelineRecord { quantizer: record(stage, Vec::new()), transforms: Vec::new(), coder: record(&coder::Store, Vec::new()) };
    let coded = demand("the pipeline", || pipeline::encode(registry, &plan, values, Some(tolerance)))?;
    let decoded = demand("decoding the pipeline", || {
        pipeline::decode(registry, &coded.pipeline, values.dtype, &case.shape, &coded.payload, coded.exact_len)
    })?;
    ensure(decoded == coded.decoded, "decoding differs the second time")?;
    let rescued = coded.receipt.as_ref().is_some_and(|receipt| receipt.exact != named as u64);
    ensure(!rescued || !stage.names_every_miss(), "words miss the tolerance that are not among the exact ones")?;
    judge(values, &decoded, tolerance, coded.receipt.as_ref())?;
    Ok(true)
}

/// What is to keep every bit does, or refuses to serve.
fn exact_case(registry: &Registry, stage: &dyn Quantizer, case: &Case) -> Verdict {
    let plan = PipelineRecord { quantizer: record(stage, Vec::new()), transforms: Vec::new(), coder: record(&coder::Store, Vec::new()) };
    for tolerance in tolerances(&case.values) {
        let exact = Tolerance::exact(tolerance.fill);
        match answer("the pipeline", || pipeline::encode(registry, &plan, &case.values, Some(&exact)))? {
            Ok(coded) => ensure(coded.decoded == case.values && coded.receipt.is_none(), "something is lost")?,
            Err(error) => ensure(is_refusal(&error), &format!("the pipeline refuses as {error}"))?,
        }
    }
    Ok(())
}

fn record(stage: &dyn Stage, params: Vec<u8>) -> errbar_format::record::StageRecord {
    errbar_format::record::StageRecord { name: stage.name().to_owned(), version: stage.version(), params }
}

/// Judges decoded values and their receipt by exact arithmetic: finite values keep the limit, all
/// others and missing values every bit, and no error exceeds the largest that the receipt admits.
/// Values of a type that is not floating-point are all kept exactly.
///
/// # Errors
/// What is wrong, with the position.
pub fn judge(original: &Values, decoded: &Values, tolerance: &Tolerance, receipt: Option<&Receipt>) -> Result<(), String> {
    ensure(decoded.dtype == original.dtype, "decoded values have another type")?;
    well_formed("decoding", &decoded.bits, &original.bits.layout())?;
    let Ok(float) = Float::of(original.dtype) else { return ensure(original == decoded, "values of this type may not change") };
    let receipt = receipt.ok_or("there is no receipt")?;
    let in_bits = |values: &Values| -> Vec<u64> { with_words!(&values.bits.words, v => v.iter().map(|word| word.to_u64()).collect()) };
    let mut finite = 0;
    for (i, (x, y)) in in_bits(original).into_iter().zip(in_bits(decoded)).enumerate() {
        finite += u64::from(float.is_finite(x));
        if x == y {
            continue;
        }
        ensure(float.is_finite(x) && !tolerance.is_fill(x), &format!("word {i}, {x:#x}, should keep every bit, is {y:#x}"))?;
        let pair = (float.to_f64(x), float.to_f64(y));
        ensure(pair.1.is_finite() && within(pair.0, pair.1, tolerance.limit), &format!("word {i} exceeds the limit: {pair:?}"))?;
        ensure(within(pair.0, pair.1, Limit::Abs(receipt.max_error)), &format!("word {i} exceeds the receipt's error: {pair:?}"))?;
    }
    let n = original.bits.words.len() as u64;
    ensure(receipt.finite == finite && receipt.non_finite == n - finite, "the receipt counts finite values wrongly")?;
    ensure(receipt.exact <= n && receipt.limit == tolerance.limit, "the receipt does not belong to the values")
}

fn hostile_reconstruction(stage: &dyn Quantizer, values: &Values, params: &[u8]) -> Verdict {
    let layout = values.bits.layout();
    let reconstruct = |codes: Codes, dtype: DType| answer("reconstruct", || stage.reconstruct(codes, dtype, &layout, params));
    let Ok(code_layout) = answer("code_layout", || stage.code_layout(values.dtype, &layout, params))? else { return Ok(()) };
    for codes in hostile_codes(&code_layout) {
        if let Ok(bits) = reconstruct(codes, values.dtype)? {
            well_formed("reconstruct", &bits, &layout)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
