//! Picks the pipeline of each block from a sample.

mod bytes;
mod choice;
mod combined;
mod edges;
mod fast;
mod halving;
mod lossless;
mod lossy;
mod precedent;
mod quick;
mod rank;
mod repeats;
pub(crate) mod sample;

use std::borrow::Cow;

use errbar_codec::pipeline::{self, Coded, Encoded, NONE, stage};
use errbar_codec::{DType, Limit, Registry, Result, Tolerance, Values, Words, coder, with_words};
use errbar_format::record::{PipelineRecord, StageRecord};

pub(crate) use self::bytes::{encode as encode_bytes, encode_small_files};
pub use self::choice::{Choice, Reason};
pub(crate) use self::precedent::BLOCKS as PRECEDENT_BLOCKS;
pub use self::precedent::Precedent;
use self::rank::{BYTE_RUNS, Ranking, SAMPLE_WORDS};
use crate::policy::Mode;

/// Proposes pipelines for a block. Pure: the same values give the same proposals on every machine.
pub trait Planner: Send + Sync {
    /// Families of candidates, the preferred ones first where they cost the same. The smallest on a
    /// sample is used; the first of a family stands for it, the others are looked at where it comes
    /// near the best. Whatever fails is passed over, and storing the bytes is always tried last.
    fn families(&self, values: &Values, tolerance: &Tolerance, mode: Mode) -> Vec<Vec<PipelineRecord>>;

    /// The same for the bytes of many small files together.
    fn families_of_small_files(&self, values: &Values, mode: Mode) -> Vec<Vec<PipelineRecord>> {
        self.families(values, &Tolerance::exact(Vec::new()), mode)
    }
}

/// The planner of errbar's own stages.
#[derive(Clone, Copy, Debug, Default)]
pub struct CorePlanner;

fn pipeline(quantizer: &str, transforms: &[&StageRecord], coder: StageRecord) -> PipelineRecord {
    PipelineRecord { quantizer: stage(quantizer, Vec::new()), transforms: transforms.iter().map(|&t| t.clone()).collect(), coder }
}

fn pco_level(mode: Mode) -> u8 {
    match mode {
        Mode::Fast => 4,
        Mode::Balanced => 8,
        Mode::Small => 10,
    }
}

impl Planner for CorePlanner {
    fn families(&self, values: &Values, tolerance: &Tolerance, mode: Mode) -> Vec<Vec<PipelineRecord>> {
        if is_constant(&values.bits.words) {
            return vec![vec![pipeline(NONE, &[], stage("constant", vec![]))]];
        }
        if values.dtype == DType::Bytes {
            return vec![bytes::candidates(values, mode)];
        }
        if tolerance.is_exact() {
            return lossless::families(values, tolerance, mode);
        }
        let limit = combined::binding(values, tolerance);
        match (mode, limit) {
            (Mode::Fast, Limit::Abs(limit)) if let Some(plans) = fast_plans(values, limit) => vec![plans],
            (Mode::Balanced | Mode::Small, Limit::Abs(_)) => lossy::families(values, tolerance, mode),
            (Mode::Balanced | Mode::Small, Limit::Both { .. }) => {
                let mut families = lossy::families(values, tolerance, mode);
                // It leaves words that miss the relative limit for the proof to find: a sample does not tell.
                families.retain(|family| family.iter().all(|plan| plan.quantizer.name != "interp"));
                families.push(candidates(values, limit, mode));
                families
            }
            _ => {
                let mut plans = candidates(values, limit, mode);
                plans.extend(lossless::families(values, &Tolerance::exact(tolerance.fill.clone()), mode).into_iter().flatten());
                vec![plans]
            }
        }
    }

    fn families_of_small_files(&self, values: &Values, mode: Mode) -> Vec<Vec<PipelineRecord>> {
        vec![bytes::candidates_for_small_files(values, mode)]
    }
}

/// The number type that pco takes the words of a type for.
fn natural(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::U16,
        DType::C64 => DType::F32,
        DType::C128 => DType::F64,
        other => other,
    }
}

/// What is tried for floats where no family is known.
fn candidates(values: &Values, limit: Limit, mode: Mode) -> Vec<PipelineRecord> {
    let zstd = || stage("zstd", coder::Zstd::params(bytes::zstd_level(mode)));
    let pco = |dtype| stage("pco", coder::Pco::params(dtype, pco_level(mode)));
    let (shuffle, bitshuffle) = (stage("shuffle", vec![]), stage("bitshuffle", vec![]));
    let lorenzo = stage("lorenzo", vec![values.bits.dims.len().clamp(1, 3) as u8]);
    let grid = !values.bits.dims.is_empty();
    let word = values.dtype.word();
    let mut plans = Vec::new();
    let quantizers: &[&str] = match limit {
        Limit::Abs(_) => &["uniform"],
        Limit::Relative(_) => &["log", "bitround"],
        Limit::Both { .. } if mode == Mode::Fast => &["log", "uniform"],
        Limit::Both { .. } => &["log"],
    };
    for &quantizer in quantizers {
        // Where a quantizer chooses the width with its step, the codes are tried at every width.
        let widths: &[usize] = match quantizer {
            "uniform" => &[2, 4, 8],
            "log" => &[2, 4],
            _ => &[word],
        };
        if mode == Mode::Fast && grid {
            plans.push(pipeline(quantizer, &[&lorenzo], stage("bitpack", vec![])));
            plans.push(pipeline(quantizer, &[&shuffle], zstd()));
            continue;
        }
        if quantizer == "log" {
            plans.push(pipeline(quantizer, &[&stage("linear", vec![])], stage("crans", vec![])));
        }
        for &width in widths {
            if grid {
                plans.push(pipeline(quantizer, &[&lorenzo], pco(DType::unsigned(width))));
            }
            plans.push(pipeline(quantizer, &[], pco(DType::unsigned(width))));
        }
        if grid {
            plans.push(pipeline(quantizer, &[&lorenzo], zstd()));
            plans.push(pipeline(quantizer, &[&lorenzo, &bitshuffle], zstd()));
        }
        plans.push(pipeline(quantizer, &[&shuffle], zstd()));
    }
    plans
}

/// One pipeline, unless keeping every bit may come as cheap.
fn fast_plans(values: &Values, limit: f64) -> Option<Vec<PipelineRecord>> {
    let outlook = fast::outlook(values, limit)?;
    let bitpack = || stage("bitpack", vec![]);
    let lorenzo = |axes| stage("lorenzo", vec![axes]);
    let mut plans = vec![pipeline("uniform", &[&lorenzo(outlook.axes)], bitpack())];
    if outlook.is_nearly(outlook.lossless) {
        plans.push(pipeline("order", &[&lorenzo(outlook.lossless_axes)], bitpack()));
        plans.push(pipeline(NONE, &[&stage("shuffle", vec![])], stage("zstd", coder::Zstd::params(bytes::zstd_level(Mode::Fast)))));
    }
    Some(plans)
}

fn is_constant(words: &Words) -> bool {
    with_words!(words, v => v.windows(2).all(|pair| pair[0] == pair[1]))
}

/// What a slower coder must save where the size is not all that counts.
const WORTH_WAITING: f64 = 0.95;

/// The same plan with a slower coder that may make less of a block, and what it must save: the one that learns
/// instead of the one that does not where size is all that counts, far matches where near ones made the least
/// of whole words.
fn slower(registry: &Registry, plan: &PipelineRecord, values: &Values, mode: Mode) -> Option<(PipelineRecord, f64)> {
    let (coder, share) = match (plan.coder.name.as_str(), mode) {
        ("crans", Mode::Small) => (stage("carith", vec![]), 1.0),
        ("zstd", Mode::Balanced) if plan.transforms.is_empty() && values.dtype != DType::Bytes => {
            let quantizer = &plan.quantizer;
            let layout = registry.quantizer(quantizer).ok()?.code_layout(values.dtype, &values.bits.layout(), &quantizer.params).ok()?;
            (bytes::lzma(layout.width), WORTH_WAITING)
        }
        _ => return None,
    };
    Some((PipelineRecord { coder, ..plan.clone() }, share))
}

/// A sample of plain bytes that shrinks to more than this share stands for a block that is
/// compressed already, or noise: trying the whole of it would only cost time.
const HARDLY_SHRINKS: f64 = 0.985;

/// Proves a block that `plan` has coded, or what a slower coder makes of it where that is smaller.
fn proven(
    registry: &Registry,
    plan: &PipelineRecord,
    mut coded: Coded,
    values: &Values,
    tolerance: &Tolerance,
    mode: Mode,
) -> Result<Encoded> {
    if let Some((plan, share)) = slower(registry, plan, values, mode)
        && let Ok(other) = pipeline::code(registry, &plan, values, Some(tolerance))
        && (other.len() as f64) < share * coded.len() as f64
    {
        coded = other;
    }
    pipeline::prove(registry, coded, values, Some(tolerance))
}

/// What is allowed for a block: that no bit is lost where nothing is said.
fn tolerance_of<'a>(values: &Values, tolerance: Option<&'a Tolerance>) -> Result<Cow<'a, Tolerance>> {
    match tolerance.filter(|_| values.dtype.is_float()) {
        Some(tolerance) => tolerance.for_block(values),
        None if values.dtype == DType::Bytes => Ok(Cow::Owned(Tolerance::exact(Vec::new()))),
        None => Ok(Cow::Owned(Tolerance::exact(lossless::fill(values)))),
    }
}

/// Codes a block as its precedent was if it is like that, or else with the best of the planner's
/// candidates, by their size on a sample; and says what it was chosen over, if there was another.
///
/// # Errors
/// None that storing the values exactly does not cause: it is the last resort.
pub fn encode_best(
    registry: &Registry,
    planner: &dyn Planner,
    values: &Values,
    tolerance: Option<&Tolerance>,
    mode: Mode,
    precedent: Option<&Precedent>,
) -> Result<(Encoded, Option<Choice>)> {
    let tolerance = &*tolerance_of(values, tolerance)?;
    if let Some(followed) = precedent.and_then(|precedent| precedent.follow(registry, values, tolerance, mode)) {
        return Ok(followed);
    }
    let families = planner.families(values, tolerance, mode);
    let candidates: Vec<&PipelineRecord> = families.iter().flatten().collect();
    let raw = values.bits.layout().bytes();
    let is_long = values.dtype == DType::Bytes && raw >= 16 * BYTE_RUNS * SAMPLE_WORDS;
    let mut ranking = Ranking::unseen(candidates.len());
    if candidates.len() > 1 || is_long {
        ranking = Ranking::new(registry, &families, values, tolerance, mode);
        if is_long && ranking.least() > HARDLY_SHRINKS * raw as f64 {
            ranking.order.clear();
        }
    }
    for &i in &ranking.order {
        let coded = match ranking.coded.take() {
            Some((coded_by, coded)) if coded_by == i => Ok(coded),
            _ => pipeline::code(registry, candidates[i], values, Some(tolerance)),
        };
        let Ok(coded) = coded else { continue };
        if let Ok(encoded) = proven(registry, candidates[i], coded, values, tolerance, mode) {
            if encoded.payload.len() >= raw {
                break;
            }
            return Ok((encoded, Choice::new(&candidates, &ranking.order, &ranking.looks, i)));
        }
    }
    let stored = pipeline::encode(registry, &pipeline(NONE, &[], stage("store", Vec::new())), values, Some(tolerance))?;
    Ok((stored, None))
}
