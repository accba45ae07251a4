//! Every bit pattern of binary32 through the quantizers that compute word by word.
//!
//! What a pattern becomes must be within the limit, or the quantizer must have named the word to be
//! kept as it is. The judgement is one of this file's own, and does not ask [`errbar_codec::check`].

use std::io::Result;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use errbar_codec::conformance::within;
use errbar_codec::{Codes, DType, Limit, Quantizer, Tolerance, Values, Words, quantizer};
use errbar_format::record::Bound;

/// Patterns looked at together: what a block may hold, and little memory.
const CHUNK: u64 = 1 << 20;
const N_CHUNKS: u64 = (1 << 32) / CHUNK;
/// Odd, so that its multiples modulo [`N_CHUNKS`] visit every chunk; far from a small fraction of
/// it, so that a few of them are from all over.
const STRIDE: u64 = 2531;
/// Odd, so that its multiples modulo 2^32 are all patterns (Knuth's multiplicative hashing).
const SCATTER: u64 = 0x9E37_79B1;

/// How a limit follows from the chunk.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// An absolute limit.
    Abs(f64),
    /// An absolute limit, as a share of the chunk's largest magnitude.
    Share(f64),
    /// A relative limit.
    Relative(f64),
}

/// One quantizer under one kind of limit.
struct Way {
    quantizer: &'static dyn Quantizer,
    ask: Ask,
    /// Whether a chunk holds patterns from all over, rather than neighbours.
    scattered: bool,
}

const fn neighbours(quantizer: &'static dyn Quantizer, ask: Ask) -> Way {
    Way { quantizer, ask, scattered: false }
}

const fn scattered(quantizer: &'static dyn Quantizer, ask: Ask) -> Way {
    Way { quantizer, ask, scattered: true }
}

/// Neighbours have codes of few bits and go the way without branches; chunks from all over have
/// wide codes, far values and every special one. A quarter and an eighth make ties.
const WAYS: &[Way] = &[
    neighbours(&quantizer::Uniform, Ask::Abs(0.01)),
    neighbours(&quantizer::Uniform, Ask::Share(3e-5)),
    scattered(&quantizer::Uniform, Ask::Abs(0.25)),
    neighbours(&quantizer::BitRound, Ask::Relative(0.125)),
    neighbours(&quantizer::BitRound, Ask::Relative(1e-4)),
    scattered(&quantizer::BitRound, Ask::Relative(1e-2)),
    neighbours(&quantizer::Log, Ask::Relative(0.125)),
    neighbours(&quantizer::Log, Ask::Relative(1e-4)),
    scattered(&quantizer::Log, Ask::Relative(1e-2)),
];

/// The patterns of a chunk.
fn patterns(chunk: u64, scattered: bool) -> Vec<u32> {
    let numbers = chunk * CHUNK..(chunk + 1) * CHUNK;
    match scattered {
        true => numbers.map(|i| i.wrapping_mul(SCATTER) as u32).collect(),
        false => numbers.map(|i| i as u32).collect(),
    }
}

fn tolerance(ask: Ask, patterns: &[u32]) -> Tolerance {
    let abs = |limit| Tolerance { bounds: vec![Bound::Abs(limit)], limit: Limit::Abs(limit), fill: Vec::new() };
    match ask {
        Ask::Abs(limit) => abs(limit),
        Ask::Share(share) => {
            let magnitudes = patterns.iter().map(|&bits| f64::from(f32::from_bits(bits)).abs());
            let largest = magnitudes.filter(|x| x.is_finite()).fold(0.0, f64::max);
            // Chunks without a number get a limit, too.
            abs((share * largest).max(f64::MIN_POSITIVE))
        }
        Ask::Relative(limit) => Tolerance { bounds: vec![Bound::PwRel(limit)], limit: Limit::Relative(limit), fill: Vec::new() },
    }
}

/// Whether `y` may stand for `x`. Rounding is monotone: where it cannot tell, exact arithmetic does.
fn allowed(x: f32, y: f32, limit: Limit) -> bool {
    let (x, y) = (f64::from(x), f64::from(y));
    let error = (x - y).abs();
    let surely = match limit {
        Limit::Abs(limit) => error < limit,
        Limit::Relative(share) => error < share * x.abs() * (1.0 - 1e-9),
        Limit::Both { absolute, relative } => error < absolute.min(relative * x.abs() * (1.0 - 1e-9)),
    };
    surely || error == 0.0 || within(x, y, limit)
}

/// What is wrong with a chunk, or how many of its patterns have to be kept as they are.
fn chunk(way: &Way, number: u64) -> std::result::Result<u64, String> {
    let name = way.quantizer.name();
    let patterns = patterns(number, way.scattered);
    let tolerance = tolerance(way.ask, &patterns);
    let values = Values { dtype: DType::F32, bits: Codes::plain(vec![patterns.len()], Words::U32(patterns)) };
    let Words::U32(patterns) = &values.bits.words else { return Err("words of another width".into()) };
    let failed = |doing: &str, e: errbar_format::Error| format!("{name}: {doing} fails under {:?}, chunk {number}: {e}", tolerance.limit);
    let quantized = way.quantizer.quantize(&values, &tolerance, &[]).map_err(|e| failed("quantize", e))?;
    let mut asked = values.bits.layout();
    asked.scan.absent.clone_from(&quantized.absent);
    let layout = way.quantizer.code_layout(DType::F32, &asked, &quantized.params).map_err(|e| failed("code_layout", e))?;
    if quantized.codes.layout() != layout || quantized.codes.words.len() != patterns.len() {
        return Err(format!("{name}: the codes have another layout than announced, chunk {number}"));
    }
    let decoded = way
        .quantizer
        .reconstruct(quantized.codes, DType::F32, &values.bits.layout(), &quantized.params)
        .map_err(|e| failed("reconstruct", e))?;
    let Words::U32(decoded) = &decoded.words else { return Err(format!("{name}: reconstruct gives words of another width")) };
    if decoded.len() != patterns.len() {
        return Err(format!("{name}: reconstruct gives {} words, chunk {number}", decoded.len()));
    }
    let mut kept = match &quantized.absent {
        Some(absent) => absent.to_vec(),
        None => vec![false; patterns.len()],
    };
    quantized.exact.iter().for_each(|&at| kept[at as usize] = true);
    for ((&before, &after), &kept) in patterns.iter().zip(decoded).zip(&kept) {
        let (x, y) = (f32::from_bits(before), f32::from_bits(after));
        let serves = x.is_finite() && y.is_finite() && allowed(x, y, tolerance.limit);
        if !(kept || serves) {
            return Err(format!("{name}: {before:#010x} ({x:e}) becomes {after:#010x} ({y:e}) under {:?}", tolerance.limit));
        }
    }
    Ok(kept.iter().filter(|kept| **kept).count() as u64)
}

/// What is asked for on the command line.
enum Share {
    All,
    Time(Duration),
}

fn share(word: &str) -> Option<Share> {
    match word {
        "--all" => Some(Share::All),
        seconds => seconds.parse().ok().map(|seconds| Share::Time(Duration::from_secs(seconds))),
    }
}

/// A name for the report.
fn title(way: &Way) -> String {
    let order = if way.scattered { "scattered" } else { "neighbours" };
    format!("{} {:?}, {order}", way.quantizer.name(), way.ask)
}

/// Problems after which more would tell nothing new.
const ENOUGH: usize = 20;

/// Runs chunks as long as there is time, from all over, and gives how many.
fn runs(share: &Share) -> (u64, Vec<String>) {
    let start = Instant::now();
    let is_over = || matches!(share, Share::Time(time) if start.elapsed() >= *time);
    let mut kept = vec![0; WAYS.len()];
    let (mut done, mut problems) = (0, Vec::new());
    while done < N_CHUNKS && problems.len() < ENOUGH && !is_over() {
        let number = done * STRIDE % N_CHUNKS;
        for (kept, way) in kept.iter_mut().zip(WAYS) {
            let found = catch_unwind(AssertUnwindSafe(|| chunk(way, number)));
            match found.unwrap_or_else(|_| Err(format!("{} panics, chunk {number}", title(way)))) {
                Ok(n) => *kept += n,
                Err(problem) => problems.push(problem),
            }
        }
        done += 1;
        if done % (N_CHUNKS / 16) == 0 {
            println!("{done} of {N_CHUNKS} chunks, {} s, {} problems", start.elapsed().as_secs(), problems.len());
        }
    }
    for (kept, way) in kept.iter().zip(WAYS) {
        println!("{:<40} {:>8.4} % kept as they are", title(way), 100.0 * *kept as f64 / (done.max(1) * CHUNK) as f64);
    }
    (done, problems)
}

/// Runs as many of the 2^32 patterns as there is time for, from all over; `--all`: every one. A
/// debug build, which would take hours, lets an optimised one do it.
///
/// # Errors
/// If cargo cannot be run.
pub fn run(word: &str) -> Result<Vec<String>> {
    let Some(share) = share(word) else { return Ok(vec!["usage: cargo xtask exhaustive SECONDS | --all".into()]) };
    if cfg!(debug_assertions) {
        let optimised = ["run", "--quiet", "--release", "--locked", "--bin", "xtask", "--", "exhaustive", word];
        let status = Command::new("cargo").args(optimised).status()?;
        return Ok(if status.success() { Vec::new() } else { vec!["not every pattern is served".into()] });
    }
    let (done, problems) = runs(&share);
    println!("{:.3} % of all patterns, {} ways: {} problems", 100.0 * done as f64 / N_CHUNKS as f64, WAYS.len(), problems.len());
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_visited_and_holds_every_pattern() {
        let visited: std::collections::BTreeSet<u64> = (0..N_CHUNKS).map(|k| k * STRIDE % N_CHUNKS).collect();
        assert_eq!(visited.len() as u64, N_CHUNKS);
        assert_eq!(patterns(1, false)[..2], [1 << 20, (1 << 20) + 1]);
        assert_eq!(SCATTER % 2, 1, "or its multiples would repeat");
        assert_eq!(patterns(0, true)[1], SCATTER as u32);
    }

    #[test]
    fn the_judge_is_strict() {
        let next = |x: f32| x.next_up();
        assert!(allowed(1.0, 1.5, Limit::Abs(0.5)) && !allowed(1.0, next(1.5), Limit::Abs(0.5)));
        assert!(allowed(1.0, 1.5, Limit::Relative(0.5)) && !allowed(1.0, next(1.5), Limit::Relative(0.5)));
        assert!(allowed(0.0, -0.0, Limit::Relative(0.5)) && !allowed(0.0, f32::from_bits(1), Limit::Relative(0.5)));
    }
}
