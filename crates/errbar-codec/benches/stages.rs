//! Every registered stage, forward and inverse, on one thread.
//!
//! ```text
//! cargo bench -p errbar-codec                     all stages, on fields made here
//! cargo bench -p errbar-codec -- coder/crans      some of them
//! ERRBAR_BENCH_DIR=DIR cargo bench -p errbar-codec    also on the .npy arrays of a folder
//! ```
//!
//! Throughput is in bytes of what goes into `forward` and `encode`, and comes out of the inverse.
//! A stage that does not serve an input is left out there. A new stage needs nothing but its line in
//! the registry: its parameters are those that it chooses, or else the first of its examples.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use errbar_codec::conformance::SplitMix64;
use errbar_codec::float::Float;
use errbar_codec::{Codes, DType, Limit, Quantizer, Registry, Tolerance, Values, Words};
use errbar_format::record::Bound;

/// An array with what it may lose.
struct Field {
    name: String,
    values: Values,
    limits: Vec<Limit>,
}

/// Codes with a name.
struct Input {
    name: String,
    codes: Codes,
}

/// What shares of the range, and of each value, may be lost.
const SHARE: f64 = 1e-4;
/// Most words of an array that is read from a file: about a block's.
const MOST: usize = 1 << 20;

fn noise(seed: u64) -> impl Iterator<Item = f64> {
    SplitMix64(seed).map(|bits| (bits >> 40) as f64 / (1u64 << 24) as f64 - 0.5)
}

/// A wave that every machine draws alike: parabolas from node to node.
fn wave(x: f64) -> f64 {
    let phase = x - x.floor();
    let bump = |t: f64| 16.0 * t * (0.5 - t);
    if phase < 0.5 { bump(phase) } else { -bump(phase - 0.5) }
}

fn f32_field(name: &str, dims: &[usize], numbers: impl Iterator<Item = f64>) -> Field {
    let n = dims.iter().product();
    let words = numbers.take(n).map(|x| (x as f32).to_bits()).collect();
    let values = Values { dtype: DType::F32, bits: Codes::plain(dims.to_vec(), Words::U32(words)) };
    Field { name: name.to_owned(), limits: limits(&values), values }
}

/// An absolute and a relative limit.
fn limits(values: &Values) -> Vec<Limit> {
    let Ok(float) = Float::of(values.dtype) else { return Vec::new() };
    let numbers = words(&values.bits.words).into_iter().map(|bits| float.to_f64(bits)).filter(|x| x.abs() < 1e15);
    let (low, high) = numbers.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    if high > low { vec![Limit::Abs(SHARE * (high - low)), Limit::Relative(SHARE)] } else { Vec::new() }
}

fn words(words: &Words) -> Vec<u64> {
    use errbar_codec::codes::Word;
    errbar_codec::with_words!(words, v => v.iter().map(|word| word.to_u64()).collect())
}

/// A smooth field with noise in its last digits, and a drifting series, as simulations and stations
/// write them.
fn fields() -> Vec<Field> {
    let [nz, ny, nx] = [16usize, 128, 128];
    let mut random = noise(1);
    let smooth = (0..nz * ny * nx).map(move |i| {
        let [z, y, x] = [i / (ny * nx), i / nx % ny, i % nx].map(|i| i as f64);
        let large = wave(x / 128.0 + z / 64.0) * wave(y / 96.0);
        280.0 + 15.0 * large + 2.0 * wave((x + 2.0 * y) / 23.0 + z / 9.0) + 1e-3 * random.next().unwrap_or(0.0)
    });
    let mut random = noise(2);
    let (mut level, mut i) = (1000.0, 0.0);
    let series = std::iter::from_fn(move || {
        level += 0.05 * random.next()?;
        i += 1.0;
        Some(level + 3.0 * wave(i / 1440.0) + 0.02 * random.next()?)
    });
    vec![f32_field("field", &[nz, ny, nx], smooth), f32_field("series", &[1 << 18], series)]
}

/// Zigzag codes of residuals: most are small, one in some hundred is not.
fn residuals(width: usize) -> Input {
    let [nz, ny, nx] = [16usize, 128, 128];
    let code = |(i, bits): (usize, u64)| {
        let scale = 1 + (i / nx % ny) as u64 / 8;
        let small = (bits >> 8) % scale + (bits >> 24) % scale;
        if bits & 0xFF == 7 { small * 37 } else { small }
    };
    let codes = SplitMix64(3).take(nz * ny * nx).enumerate().map(code);
    let words = match width {
        2 => Words::U16(codes.map(|code| code as u16).collect()),
        _ => Words::U32(codes.map(|code| code as u32).collect()),
    };
    Input { name: format!("residuals{}", 8 * width), codes: Codes::plain(vec![nz, ny, nx], words) }
}

/// The first words of the arrays in a folder, whole along all dimensions but the first.
fn from_folder(folder: &Path) -> Vec<Field> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|item| item.path()).collect();
    paths.sort();
    paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "npy")).filter_map(|path| npy(&path)).collect()
}

/// An array of a little-endian .npy file in C order; nothing if it is of another kind.
fn npy(path: &Path) -> Option<Field> {
    let bytes = std::fs::read(path).ok()?;
    let header_len = usize::from(u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]));
    let header = std::str::from_utf8(bytes.get(10..10 + header_len)?).ok()?;
    let dtype = [("'<f4'", DType::F32), ("'<f8'", DType::F64), ("'<f2'", DType::F16), ("'<i2'", DType::I16), ("'<i4'", DType::I32)];
    let (_, dtype) = dtype.into_iter().find(|(descr, _)| header.contains(descr)).filter(|_| header.contains("'fortran_order': False"))?;
    let (_, shape) = header.split_once("'shape': (")?;
    let mut shape: Vec<u64> = shape.split_once(')')?.0.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let inner: u64 = shape.iter().skip(1).product();
    let first = shape.first_mut()?;
    *first = (*first).min((MOST as u64).checked_div(inner)?.max(1));
    let len = shape.iter().product::<u64>() as usize * dtype.size();
    let values = Values::from_bytes(dtype, false, &shape, bytes.get(10 + header_len..)?.get(..len)?).ok()?;
    Some(Field { name: path.file_stem()?.to_string_lossy().into_owned(), limits: limits(&values), values })
}

fn group<'a>(c: &'a mut Criterion, name: String, bytes: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes as u64));
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn tolerance(limit: Limit) -> Tolerance {
    let bounds = match limit {
        Limit::Abs(value) => vec![Bound::Abs(value)],
        Limit::Relative(value) => vec![Bound::PwRel(value)],
        Limit::Both { absolute, relative } => vec![Bound::Abs(absolute), Bound::PwRel(relative)],
    };
    Tolerance { bounds, limit, fill: Vec::new() }
}

fn quantize(c: &mut Criterion, field: &Field, stage: &dyn Quantizer) {
    let (values, layout) = (&field.values, field.values.bits.layout());
    let served = field.limits.iter().find_map(|&limit| Some((limit, stage.quantize(values, &tolerance(limit), &[]).ok()?)));
    let Some((limit, quantized)) = served else { return };
    let mut group = group(c, format!("quantizer/{}/{}", stage.name(), field.name), layout.bytes());
    group.bench_function("quantize", |b| b.iter(|| stage.quantize(black_box(values), &tolerance(limit), &[])));
    group.bench_function("reconstruct", |b| {
        b.iter_with_setup(|| quantized.codes.clone(), |codes| stage.reconstruct(codes, values.dtype, &layout, &quantized.params));
    });
    group.finish();
}

fn stages(c: &mut Criterion) {
    let registry = Registry::core();
    let mut fields = fields();
    if let Some(folder) = std::env::var_os("ERRBAR_BENCH_DIR") {
        fields.extend(from_folder(Path::new(&folder)));
    }
    for stage in registry.quantizers() {
        fields.iter().for_each(|field| quantize(c, field, *stage));
    }
    // What transforms and coders get from the quantizers that are registered, and what is made up.
    let constant = Input { name: "constant".to_owned(), codes: Codes::plain(vec![1 << 18], Words::U32(vec![7; 1 << 18])) };
    let mut inputs = vec![residuals(2), residuals(4), constant];
    for field in &fields {
        inputs.push(Input { name: field.name.clone(), codes: field.values.bits.clone() });
    }
    for stage in registry.quantizers() {
        let field = &fields[0];
        let served = field.limits.iter().find_map(|&limit| stage.quantize(&field.values, &tolerance(limit), &[]).ok());
        inputs.extend(served.map(|quantized| Input { name: format!("{}-of-{}", stage.name(), field.name), codes: quantized.codes }));
    }
    for stage in registry.transforms() {
        for Input { name, codes } in &inputs {
            // As a pipeline gives them to a transform.
            let mut codes = codes.clone();
            codes.scan.levels.clear();
            let layout = codes.layout();
            let params = stage.chooses(&codes, &[]).unwrap_or_else(|| stage.examples().swap_remove(0));
            let Ok(there) = stage.forward(codes.clone(), &params) else { continue };
            let mut group = group(c, format!("transform/{}/{name}", stage.name()), layout.bytes());
            group.bench_function("forward", |b| b.iter_with_setup(|| codes.clone(), |codes| stage.forward(codes, &params)));
            group.bench_function("inverse", |b| b.iter_with_setup(|| there.clone(), |codes| stage.inverse(codes, &layout, &params)));
            group.finish();
        }
    }
    for stage in registry.coders() {
        for Input { name, codes } in &inputs {
            let layout = codes.layout();
            // The parameters of the examples differ in what they serve.
            let encode = |params: &Vec<u8>| stage.encode(codes, params).ok();
            let Some((params, bytes)) = stage.examples().into_iter().find_map(|params| encode(&params).map(|bytes| (params, bytes))) else {
                continue;
            };
            let mut group = group(c, format!("coder/{}/{name}", stage.name()), layout.bytes());
            group.bench_function("encode", |b| b.iter(|| stage.encode(black_box(codes), &params)));
            group.bench_function("decode", |b| b.iter(|| stage.decode(black_box(&bytes), &layout, &params)));
            group.finish();
        }
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
