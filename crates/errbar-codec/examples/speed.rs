//! Megabytes per processor second and ratios of a few pipelines on one thread, encoding with its proof included.
//!
//! `cargo run --release -p errbar-codec --example speed`
#![allow(clippy::print_stdout, reason = "its table is all this program is for")]

use errbar_codec::conformance::SplitMix64;
use errbar_codec::pipeline::{self, stage};
use errbar_codec::{DType, Limit, Registry, Result, Tolerance, Values, coder};
use errbar_format::record::{Bound, PipelineRecord, StageRecord};
use rustix::time::{ClockId, clock_gettime};

/// Extents of the field: 1 MiB of binary32, the size of a block.
const SHAPE: [u64; 3] = [4, 256, 256];
/// The best of so many runs counts.
const RUNS: usize = 100;

/// A smooth field with noise in its last bits, as simulations write them.
fn field() -> Vec<u8> {
    let mut noise = SplitMix64(1).map(|bits| (bits >> 40) as f64 / (1u64 << 24) as f64);
    let [planes, rows, columns] = SHAPE.map(|n| n as i64);
    let bump = |i: i64, n: i64| (i * (n - i)) as f64 * 4.0 / (n * n) as f64;
    let mut bytes = Vec::new();
    for k in 0..planes {
        for j in 0..rows {
            for i in 0..columns {
                let wave = bump((i * 3 + k * 17) % columns, columns) * bump((j * 2) % rows, rows);
                let x = 280.0 + 15.0 * wave + 1e-3 * noise.next().unwrap_or(0.0);
                bytes.extend((x as f32).to_le_bytes());
            }
        }
    }
    bytes
}

/// Processor seconds that this process has taken: other programs cost it fewer of them than of the clock's.
fn processor_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// Processor seconds of the fastest of some runs, and what the last one gave.
fn fastest<T>(mut run: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut best = f64::INFINITY;
    let mut once = || {
        let start = processor_seconds();
        let result = run()?;
        best = best.min(processor_seconds() - start);
        Ok(result)
    };
    for _ in 1..RUNS {
        once()?;
    }
    let last = once()?;
    Ok((best, last))
}

fn main() -> Result<()> {
    let bytes = field();
    let mb = bytes.len() as f64 / 1e6;
    let tolerance = Tolerance { bounds: vec![Bound::Abs(0.01)], limit: Limit::Abs(0.01), fill: Vec::new() };
    let plan = |quantizer: &str, transforms: &[StageRecord], coder: StageRecord| PipelineRecord {
        quantizer: stage(quantizer, Vec::new()),
        transforms: transforms.to_vec(),
        coder,
    };
    let (order, lorenzo) = (stage("order", vec![]), stage("lorenzo", vec![3]));
    let (shuffle, bitshuffle) = (stage("shuffle", vec![]), stage("bitshuffle", vec![]));
    let pco = |dtype| stage("pco", coder::Pco::params(dtype, 8));
    let zstd = || stage("zstd", coder::Zstd::params(1));
    let plans = [
        plan("uniform", std::slice::from_ref(&lorenzo), pco(DType::U16)),
        plan("uniform", std::slice::from_ref(&lorenzo), stage("bitpack", vec![])),
        plan("uniform", std::slice::from_ref(&lorenzo), stage("store", vec![])),
        plan("none", &[order, lorenzo], pco(DType::U32)),
        plan("none", &[shuffle], zstd()),
        plan("none", &[bitshuffle], zstd()),
        plan("none", &[], stage("store", vec![])),
    ];
    let registry = Registry::core();
    println!("{:<58} {:>7} {:>12} {:>12}", "f32, 1 MiB", "ratio", "encode MB/s", "decode MB/s");
    for plan in plans {
        let (encoding, coded) = fastest(|| {
            let values = Values::from_bytes(DType::F32, false, &SHAPE, &bytes)?;
            pipeline::encode(&registry, &plan, &values, Some(&tolerance))
        })?;
        let (decoding, _) = fastest(|| {
            let values = pipeline::decode(&registry, &coded.pipeline, DType::F32, &SHAPE, &coded.payload, coded.exact_len)?;
            Ok(values.into_bytes(false))
        })?;
        let name = pipeline::describe(&registry, &coded.pipeline);
        println!("{name:<58} {:>7.2} {:>12.0} {:>12.0}", mb * 1e6 / coded.payload.len() as f64, mb / encoding, mb / decoding);
    }
    Ok(())
}
