//! One block through its stages, and back.

use std::borrow::Cow;

use errbar_format::limits::MAX_PARAMS;
use errbar_format::record::{PipelineRecord, Receipt, StageRecord};
use errbar_format::{DType, Error, Result};

use crate::check::{self, Tolerance};
use crate::codes::{Scan, Word};
use crate::exact::{Exact, ExactBytes, ExactWords};
use crate::float::Float;
use crate::{Codes, Layout, Registry, Transform, Values, with_words};

/// The quantizer that loses nothing.
pub const NONE: &str = "none";

/// A block, coded and proven.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The stages with the parameters they chose.
    pub pipeline: PipelineRecord,
    /// The coder's bytes, then the exact values.
    pub payload: Vec<u8>,
    /// Bytes of the exact values at the end of `payload`.
    pub exact_len: u64,
    /// What was found by decoding, if a tolerance was given.
    pub receipt: Option<Receipt>,
    /// What decoding gives.
    pub decoded: Values,
}

/// A stage for a pipeline.
pub fn stage(name: &str, params: Vec<u8>) -> StageRecord {
    StageRecord { name: name.to_owned(), version: 1, params }
}

/// What is allowed where nothing is said.
const EXACT: &Tolerance = &Tolerance::exact(Vec::new());

/// Codes `values` through `plan`, decodes the result and checks every value. The parameters that
/// `plan` has for the quantizer are what is wanted of it; it chooses its own. Without a tolerance
/// every bit is kept.
///
/// # Errors
/// The stage's own, such as [`errbar_format::Kind::Usage`], if it cannot serve the values, and
/// [`errbar_format::Kind::Differs`] if decoding did not give back what it must.
pub fn encode(registry: &Registry, plan: &PipelineRecord, values: &Values, tolerance: Option<&Tolerance>) -> Result<Encoded> {
    prove(registry, code(registry, plan, values, tolerance)?, values, tolerance)
}

/// A block, coded and not yet proven.
#[derive(Clone, Debug)]
pub struct Coded {
    pipeline: PipelineRecord,
    payload: Vec<u8>,
    exact: Exact,
    /// What [`Exact::write`] makes of the values.
    exact_bytes: ExactBytes,
}

impl Coded {
    /// Bytes of the codes, of the exact values and of the parameters of quantizer and transforms.
    pub fn len(&self) -> usize {
        let transforms: usize = self.pipeline.transforms.iter().map(|transform| transform.params.len()).sum();
        self.payload.len() + self.exact_bytes.len() + self.pipeline.quantizer.params.len() + transforms
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The first half of [`encode`].
///
/// # Errors
/// As [`encode`], but for the proof.
pub fn code(registry: &Registry, plan: &PipelineRecord, values: &Values, tolerance: Option<&Tolerance>) -> Result<Coded> {
    let Quantized { pipeline, codes, exact } = quantize(registry, plan, values, tolerance.unwrap_or(EXACT), false)?;
    let payload = registry.coder(&plan.coder)?.encode(&codes, &plan.coder.params)?;
    let exact_bytes = exact.write(&values.bits)?;
    Ok(Coded { pipeline, payload, exact, exact_bytes })
}

/// What a pipeline would make of `n_words` words that are like `sample`, in bytes, without the
/// proof: parameters, tables and weights are counted once, codes as often as there are more words.
///
/// # Errors
/// As [`encode`], but for the proof.
pub fn estimate(registry: &Registry, plan: &PipelineRecord, sample: &Values, tolerance: Option<&Tolerance>, n_words: usize) -> Result<f64> {
    let Quantized { pipeline, codes, exact } = quantize(registry, plan, sample, tolerance.unwrap_or(EXACT), true)?;
    let estimate = registry.coder(&plan.coder)?.estimate(&codes, &plan.coder.params)?;
    // What is absent costs every plan that leaves it out the same, and less in a block than in its parts.
    let patches = exact.patches.len() * (2 + sample.bits.words.width());
    let scale = n_words as f64 / sample.bits.words.len().max(1) as f64;
    let mut side = pipeline.quantizer.params.len() as f64 + estimate.side;
    for record in &pipeline.transforms {
        side += record.params.len() as f64 * if registry.transform(record)?.grows() { scale } else { 1.0 };
    }
    Ok(side + (estimate.codes + patches as f64) * scale)
}

/// A block as its coder is given it.
struct Quantized<'a> {
    pipeline: PipelineRecord,
    codes: Cow<'a, Codes>,
    exact: Exact,
}

fn quantize<'a>(
    registry: &Registry,
    plan: &PipelineRecord,
    values: &'a Values,
    tolerance: &Tolerance,
    is_rehearsal: bool,
) -> Result<Quantized<'a>> {
    let quantizer = registry.quantizer(&plan.quantizer)?;
    let mut pipeline = plan.clone();
    let mut exact = Exact::default();
    let mut codes = if plan.quantizer.name == NONE {
        pipeline.quantizer.params = Vec::new();
        Cow::Borrowed(&values.bits)
    } else {
        let wanted = &plan.quantizer.params;
        let quantized = match is_rehearsal {
            true => quantizer.rehearse(values, tolerance, wanted),
            false => quantizer.quantize(values, tolerance, wanted),
        }?;
        pipeline.quantizer.params = quantized.params;
        exact = Exact { absent: quantized.absent, patches: quantized.exact };
        Cow::Owned(quantized.codes)
    };
    if !plan.transforms.is_empty() {
        let scan = scan_for(registry, plan, &codes.scan)?;
        codes.to_mut().scan = scan;
    }
    for record in &mut pipeline.transforms {
        let transform = registry.transform(record)?;
        check_absent(transform, &codes.scan)?;
        let (params, transformed) = transform.fit(codes.into_owned(), &record.params)?;
        (record.params, codes) = (params, Cow::Owned(transformed));
    }
    for record in [&pipeline.quantizer].into_iter().chain(&pipeline.transforms) {
        if record.params.len() > MAX_PARAMS {
            let what = format!("{} takes {} bytes of parameters; a record has room for {MAX_PARAMS}", record.name, record.params.len());
            return Err(Error::usage(what));
        }
    }
    Ok(Quantized { pipeline, codes, exact })
}

/// What transforms and coder are told of the order of the words.
fn scan_for(registry: &Registry, pipeline: &PipelineRecord, quantized: &Scan) -> Result<Scan> {
    let mut scan = quantized.clone();
    for record in &pipeline.transforms {
        scan.levels.clear();
        if !registry.transform(record)?.keeps_absent() {
            scan.absent = None;
        }
    }
    Ok(scan)
}

/// Refuses absent words where a transform does not keep them: those of the quantizer are none by then.
fn check_absent(transform: &dyn Transform, scan: &Scan) -> Result<()> {
    match scan.absent.is_some() && !transform.keeps_absent() {
        true => Err(Error::corrupt("EB-C04", format!("{} behind a transform that leaves words out", transform.name()))),
        false => Ok(()),
    }
}

/// The second half of [`encode`]: decodes what the coder gave, and moves every word found outside the
/// tolerance to the exact values.
///
/// # Errors
/// As [`encode`].
pub fn prove(registry: &Registry, coded: Coded, values: &Values, tolerance: Option<&Tolerance>) -> Result<Encoded> {
    let Coded { pipeline, mut payload, mut exact, exact_bytes } = coded;
    let tolerance = tolerance.unwrap_or(EXACT);
    let layout = values.bits.layout();
    let differs = || Error::new(errbar_format::Kind::Differs, "decoding a block did not give it back");
    let mut exact_bytes = exact_bytes.without_patches();
    let read = Exact::read(&exact_bytes.joined(), &layout)?;
    let mut decoded = Values { dtype: values.dtype, bits: decode_codes(registry, &pipeline, values.dtype, &layout, &payload, &read)? };
    read.put(&mut decoded.bits.words);
    let is_exact = tolerance.is_exact() || !values.dtype.is_float();
    let mut found = None;
    if !is_exact {
        let compared = check::compare(values, &decoded, tolerance)?;
        exact.add_patches(&compared.violations);
        found = Some(compared.receipt);
    }
    if !exact.patches.is_empty() {
        // What a NaN consists of differs between machines.
        let given = (!is_nan_among(&decoded, &exact.patches)).then_some(&decoded.bits);
        exact_bytes = exact_bytes.with_patches(&exact, &values.bits, given)?;
        Exact::read(&exact_bytes.joined(), &layout)?.put(&mut decoded.bits.words);
        if !is_exact {
            let compared = check::compare(values, &decoded, tolerance)?;
            if !compared.violations.is_empty() {
                return Err(differs());
            }
            found = Some(compared.receipt);
        }
    }
    if is_exact && decoded != *values {
        return Err(differs());
    }
    let exact_bytes = exact_bytes.joined();
    payload.extend_from_slice(&exact_bytes);
    let receipt = found.map(|receipt| Receipt { exact: exact.len(), ..receipt });
    Ok(Encoded { pipeline, exact_len: exact_bytes.len() as u64, payload, receipt, decoded })
}

/// Whether one of the words at these positions is not a number.
fn is_nan_among(values: &Values, positions: &[u32]) -> bool {
    let Ok(float) = Float::of(values.dtype) else { return false };
    with_words!(&values.bits.words, v => positions.iter().any(|&position| float.to_f64(v[position as usize].to_u64()).is_nan()))
}

/// Decodes a payload into elements of `shape`. Nothing larger than the block and its codes is
/// allocated, whatever the bytes say.
///
/// # Errors
/// [`errbar_format::Kind::Unsupported`] for an unknown stage (EB-C01),
/// [`errbar_format::Kind::Corrupt`] for bytes that no encoder writes.
pub fn decode(
    registry: &Registry,
    pipeline: &PipelineRecord,
    dtype: DType,
    shape: &[u64],
    payload: &[u8],
    exact_len: u64,
) -> Result<Values> {
    decode_layout(registry, pipeline, dtype, &Values::layout(dtype, shape)?, payload, exact_len)
}

fn decode_layout(
    registry: &Registry,
    pipeline: &PipelineRecord,
    dtype: DType,
    layout: &Layout,
    payload: &[u8],
    exact_len: u64,
) -> Result<Values> {
    let split = (payload.len() as u64)
        .checked_sub(exact_len)
        .ok_or_else(|| Error::corrupt("EB-C05", "exact values are longer than the payload"))?;
    let (coded, exact) = payload.split_at(split as usize);
    let exact = Exact::read(exact, layout)?;
    let mut bits = decode_codes(registry, pipeline, dtype, layout, coded, &exact)?;
    exact.put(&mut bits.words);
    Ok(Values { dtype, bits })
}

/// What the codes give; words that are exact mean nothing yet.
fn decode_codes(
    registry: &Registry,
    pipeline: &PipelineRecord,
    dtype: DType,
    layout: &Layout,
    coded: &[u8],
    exact: &ExactWords,
) -> Result<Codes> {
    let quantizer = registry.quantizer(&pipeline.quantizer)?;
    let coder = registry.coder(&pipeline.coder)?;
    let mut present = layout.clone();
    present.scan.absent = exact.absent().cloned();
    let quantized = quantizer.code_layout(dtype, &present, &pipeline.quantizer.params)?;
    let mut layouts = vec![Layout { scan: scan_for(registry, pipeline, &quantized.scan)?, ..quantized.clone() }];
    let mut transforms = Vec::with_capacity(pipeline.transforms.len());
    for record in &pipeline.transforms {
        let transform = registry.transform(record)?;
        check_absent(transform, &layouts[layouts.len() - 1].scan)?;
        layouts.push(transform.output(&layouts[layouts.len() - 1], &record.params)?);
        transforms.push((transform, &record.params));
    }
    let expect = |codes: Codes, layout: &Layout| match codes.layout() == *layout && codes.words.len() == layout.len() {
        true => Ok(codes),
        false => Err(Error::corrupt("EB-C02", "stage gave codes of another layout")),
    };
    let mut codes = expect(coder.decode(coded, &layouts[layouts.len() - 1], &pipeline.coder.params)?, &layouts[layouts.len() - 1])?;
    for (i, (transform, params)) in transforms.iter().enumerate().rev() {
        codes = expect(transform.inverse(codes, &layouts[i], params)?, &layouts[i])?;
    }
    codes.scan = quantized.scan;
    expect(quantizer.reconstruct(codes, dtype, layout, &pipeline.quantizer.params)?, layout)
}

/// The stages in words, such as `uniform(step 0.02) lorenzo(2) pco`.
pub fn describe(registry: &Registry, pipeline: &PipelineRecord) -> String {
    let one = |record: &StageRecord, text: Result<String>| -> String {
        let name = if record.version == 1 { Cow::from(&record.name) } else { format!("{}/{}", record.name, record.version).into() };
        match text {
            Ok(text) if !text.is_empty() => format!("{name}({text})"),
            _ => name.into_owned(),
        }
    };
    let mut words =
        vec![one(&pipeline.quantizer, registry.quantizer(&pipeline.quantizer).and_then(|s| s.describe(&pipeline.quantizer.params)))];
    words.extend(pipeline.transforms.iter().map(|t| one(t, registry.transform(t).and_then(|s| s.describe(&t.params)))));
    words.push(one(&pipeline.coder, registry.coder(&pipeline.coder).and_then(|s| s.describe(&pipeline.coder.params))));
    words.join(" ")
}
