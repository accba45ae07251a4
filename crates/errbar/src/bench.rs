//! What coding a file costs and gives, measured in memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use errbar_codec::{DType, Registry, Values, check, pipeline};
use errbar_dissect::{Holds, ReadAt, dissect, dissectors};
use errbar_format::record::{Block, BlockPlace, Bound, Limit, RECORD_VERSION, Receipt};
use errbar_format::{Error, Kind, Result, frame, record};

use crate::compare::decibels;
use crate::pack::variable;
use crate::parallel::Pool;
use crate::planner::{CorePlanner, PRECEDENT_BLOCKS, Planner, Precedent, Reason, encode_best};
use crate::policy::Mode;
use crate::range::Survey;
use crate::source;
use crate::target::Trials;

/// What [`run`] measured.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchReport {
    /// Type of an element.
    pub dtype: DType,
    /// Extent along each dimension, in the order in which the file's own readers index it.
    pub shape: Vec<u64>,
    /// Bytes of the array.
    pub raw_bytes: u64,
    /// Bytes of all its block frames: prefixes, records, payloads and padding.
    pub coded_bytes: u64,
    /// Least processor seconds of the process to plan, encode and check all blocks.
    pub encode_s: f64,
    /// Least processor seconds of the process to decode them.
    pub decode_s: f64,
    /// Largest `|x - x'|` over the finite words; 0 for what is no float.
    pub max_error: f64,
    /// `20 log10(range / rms error)` in decibels, missing values left out; infinite when nothing was
    /// lost.
    pub psnr: f64,
    /// `10 log10(sum of x² / sum of (x - x')²)` in decibels, missing values left out; infinite when
    /// nothing was lost.
    pub sqnr: f64,
    /// What the bounds came to; nothing where no error was allowed.
    pub limit: Option<Limit>,
    /// The stages of the first block.
    pub pipeline: String,
    /// Why the first block for which there was a choice has its stages.
    pub reason: Option<Reason>,
}

/// What the records of blocks call the file.
const PATH: &[u8] = b"a.npy";

/// Processor seconds that this process has taken.
fn cpu_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

struct Coded {
    block: Block,
    payload: Vec<u8>,
}

/// Processor seconds that the runs of one array take at least: over fewer, what else the machine does
/// is part of the figure.
const LEAST_SECONDS: f64 = 0.5;

/// Codes and decodes the array of a file on this thread, as packing and unpacking do, and checks what
/// comes back: `runs` times, and more often where that is done in less than half a second.
///
/// # Errors
/// [`Kind::Io`] if the file cannot be read, [`Kind::Usage`] if it holds no array or a target cannot be met.
pub fn run(path: &Path, bounds: &[Bound], mode: Mode, runs: u32) -> Result<BenchReport> {
    let named = |e: Error| e.in_entry(path.as_os_str().as_encoded_bytes());
    let (file, _) = source::open(path).map_err(|e| named(Error::io("cannot be read", e)))?;
    let (layout, _) = dissect(&file, dissectors());
    let whole = layout.places.iter().find_map(|place| match place.holds {
        Holds::Array(array) => Some((layout.arrays[array].clone(), place.offset)),
        _ => None,
    });
    let (array, at) = whole.ok_or_else(|| named(Error::usage("no array was found in one piece in the file")))?;
    let len = array.bytes().unwrap_or(0);
    let mut raw = vec![0; usize::try_from(len).map_err(|_| named(Error::usage("array does not fit memory")))?];
    file.read_at(&mut raw, at).map_err(|e| named(Error::io("cannot be read", e)))?;
    let bytes = &&raw[..];
    let (registry, planner): (Arc<Registry>, Arc<dyn Planner>) = (Arc::new(Registry::core()), Arc::new(CorePlanner));
    let (pool, cancel) = (Pool::new(1)?, AtomicBool::new(false));
    let variable = variable(&array, mode);
    let trials = Trials {
        file: bytes,
        at: 0,
        variable: &variable,
        path: PATH,
        mode,
        registry: &registry,
        planner: &planner,
        pool: &pool,
        cancel: &cancel,
    };
    let (mut best, mut coded) = ((f64::INFINITY, f64::INFINITY), Vec::new());
    let mut limit = None;
    let mut receipt: Option<Receipt> = None;
    let mut reason: Option<Reason> = None;
    let (mut run, begin) = (0, cpu_seconds());
    while run < runs.max(1) || cpu_seconds() - begin < LEAST_SECONDS {
        run += 1;
        let start = cpu_seconds();
        let is_bounded = array.dtype.is_float() && !bounds.is_empty();
        let tolerance = if is_bounded { trials.tolerance(bounds).map_err(named)? } else { None };
        limit = tolerance.as_ref().map(|tolerance| tolerance.limit);
        coded.clear();
        let mut from = 0;
        let (n_blocks, mut precedent) = (variable.n_blocks().unwrap_or(0), None);
        for k in 0..n_blocks {
            let (origin, shape) = variable.block_box(k);
            let to = from + shape.iter().product::<u64>() as usize * variable.dtype.size();
            let values = Values::from_bytes(variable.dtype, variable.big_endian, &shape, &raw[from..to])?;
            if k.is_multiple_of(PRECEDENT_BLOCKS) {
                let is_alone = k + 1 == n_blocks;
                precedent = if is_alone { None } else { Precedent::of(&registry, &*planner, &values, tolerance.as_ref(), mode) };
            }
            let (encoded, choice) = encode_best(&registry, &*planner, &values, tolerance.as_ref(), mode, precedent.as_ref())?;
            if let (None, Some(choice)) = (&reason, choice) {
                reason = Some(Reason::new(&registry, &pipeline::describe(&registry, &encoded.pipeline), &choice));
            }
            let decoded = encoded.decoded.into_bytes(variable.big_endian);
            let block = Block {
                version: RECORD_VERSION,
                number: k,
                place: BlockPlace::Box { path: PATH.to_vec(), variable: variable.name.clone(), origin },
                dtype: variable.dtype,
                big_endian: variable.big_endian,
                shape,
                pipeline: encoded.pipeline,
                exact_len: encoded.exact_len,
                receipt: encoded.receipt,
                decoded_hash: *blake3::hash(&decoded).as_bytes(),
                extensions: Vec::new(),
            };
            coded.push(Coded { block, payload: encoded.payload });
            from = to;
        }
        best.0 = best.0.min(cpu_seconds() - start);
        let start = cpu_seconds();
        let mut restored = Vec::with_capacity(raw.len());
        for Coded { block, payload } in &coded {
            let values = pipeline::decode(&registry, &block.pipeline, block.dtype, &block.shape, payload, block.exact_len)?;
            let from = restored.len();
            values.put_bytes(block.big_endian, &mut restored);
            if *blake3::hash(&restored[from..]).as_bytes() != block.decoded_hash {
                return Err(named(Error::new(Kind::Differs, "a block did not decode to what it was")));
            }
        }
        best.1 = best.1.min(cpu_seconds() - start);
        receipt = None;
        let mut words = 0;
        for Coded { block, .. } in &coded {
            receipt = match (receipt, block.receipt.clone()) {
                (Some(a), Some(b)) => Some(check::join(&a, &b, words)),
                (a, b) => a.or(b),
            };
            words += block.check()? / block.dtype.word() as u64;
        }
        if tolerance.is_none() && restored != raw {
            return Err(named(Error::new(Kind::Differs, "decoding did not give the array back")));
        }
    }
    let mut coded_bytes = 0;
    for Coded { block, payload } in &coded {
        coded_bytes += frame::write(&mut std::io::sink(), (frame::kind::BLOCK, 0), (0, 0), &record::encode(block)?, payload)
            .map_err(|e| Error::io("cannot count bytes", e))?;
    }
    let (mut range, mut signal, mut error) = (0.0, 0.0, 0.0);
    if let Some(receipt) = &receipt {
        let mut survey = Survey::new(array.dtype, array.big_endian)?;
        let fill = survey.all_passes(bytes, 0, len).map_err(|e| named(Error::io("cannot be read", e)))?;
        let power = survey.power(bytes, 0, len, &fill).map_err(|e| named(Error::io("cannot be read", e)))?;
        (range, signal, error) = (survey.range(), power.rms, power.rms_error(receipt));
    }
    Ok(BenchReport {
        dtype: array.dtype,
        shape: array.index_shape(),
        raw_bytes: len,
        coded_bytes,
        encode_s: best.0,
        decode_s: best.1,
        max_error: receipt.map_or(0.0, |receipt| receipt.max_error),
        psnr: decibels(range, error),
        sqnr: decibels(signal, error),
        limit,
        pipeline: coded.first().map_or_else(String::new, |coded| pipeline::describe(&registry, &coded.block.pipeline)),
        reason,
    })
}
