//! Any array through any pipeline under any bound: the bound holds, and without one every bit.

use errbar::{CorePlanner, Mode, Planner};
use errbar_codec::float::Float;
use errbar_codec::{Limit, Registry, Stage, Tolerance, Values, pipeline};
use errbar_format::Kind;
use errbar_format::record::{PipelineRecord, StageRecord};

use super::input::Input;

/// Encodes, decodes what was encoded, and compares by arithmetic of its own.
pub fn roundtrip(data: &[u8]) {
    let registry = Registry::core();
    let mut input = Input(data);
    let planned = input.byte();
    let built = (planned % 3 > 0).then(|| any_pipeline(&registry, &mut input));
    let tolerance = input.tolerance();
    let values = input.values();
    let plan = built.unwrap_or_else(|| {
        let mode = [Mode::Fast, Mode::Balanced, Mode::Small][usize::from(planned / 3 % 3)];
        let mut candidates = CorePlanner.families(&values, tolerance.as_ref().unwrap_or(&Tolerance::exact(Vec::new())), mode).concat();
        candidates.swap_remove(usize::from(planned / 9) % candidates.len())
    });

    let encoded = match pipeline::encode(&registry, &plan, &values, tolerance.as_ref()) {
        Ok(encoded) => encoded,
        // Stages that do not fit the values or each other, or parameters that mean nothing.
        Err(e) if matches!(e.kind, Kind::Usage | Kind::Limit) || matches!(e.rule, Some("EB-C03" | "EB-C04")) => return,
        Err(e) => panic!("{} failed: {e}", pipeline::describe(&registry, &plan)),
    };
    let shape: Vec<u64> = values.bits.dims[..values.bits.dims.len() - (values.dtype.words() - 1)].iter().map(|&d| d as u64).collect();
    let decoded = pipeline::decode(&registry, &encoded.pipeline, values.dtype, &shape, &encoded.payload, encoded.exact_len)
        .expect("what was encoded can be decoded");
    assert_eq!(decoded, encoded.decoded, "readers get what the encoder checked");
    match tolerance.filter(|_| values.dtype.is_float()) {
        Some(tolerance) => compare(&values, &decoded, &tolerance),
        None => assert_eq!(decoded, values, "without a bound every bit comes back"),
    }
}

/// Stages that may or may not fit each other.
fn any_pipeline(registry: &Registry, input: &mut Input<'_>) -> PipelineRecord {
    let quantizer = input.pick(registry.quantizers());
    // What a planner may want of a quantizer is a byte at most.
    let wanted = usize::from(input.byte() % 2);
    let quantizer = record(quantizer, input.bytes(wanted).to_vec());
    let transforms = (0..input.byte() % 4).map(|_| {
        let transform = input.pick(registry.transforms());
        record(transform, input.params(transform, None))
    });
    let transforms = transforms.collect();
    let coder = input.pick(registry.coders());
    PipelineRecord { quantizer, transforms, coder: record(coder, input.params(coder, None)) }
}

fn record(stage: &(impl Stage + ?Sized), params: Vec<u8>) -> StageRecord {
    StageRecord { name: stage.name().to_owned(), version: stage.version(), params }
}

fn compare(values: &Values, decoded: &Values, tolerance: &Tolerance) {
    let float = Float::of(values.dtype).expect("a floating-point type");
    let words = |values: &Values| -> Vec<u64> {
        let width = values.bits.words.width();
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        values.bits.words.to_le_bytes().chunks(width).map(word).collect()
    };
    for (i, (x, y)) in words(values).into_iter().zip(words(decoded)).enumerate() {
        if x == y {
            continue;
        }
        assert!(float.is_finite(x) && !tolerance.fill.contains(&x), "word {i}: {x:#x} must be kept exactly");
        assert!(float.is_finite(y), "word {i}: became {y:#x}");
        let (x, y) = (float.to_f64(x), float.to_f64(y));
        let within = match tolerance.limit {
            Limit::Abs(limit) => within_exactly(x, y, limit),
            Limit::Relative(limit) => within_relative(x, y, limit),
            Limit::Both { absolute, relative } => within_exactly(x, y, absolute) && within_relative(x, y, relative),
        };
        assert!(within, "word {i}: {x:e} became {y:e} under {:?}", tolerance.limit);
    }
}

/// `|x - y| <= limit * |x|`: the product of two doubles is not exact; one step beside it is a safe judgement.
fn within_relative(x: f64, y: f64, limit: f64) -> bool {
    (x - y).abs() <= (limit * x.abs()).next_up()
}

/// `|x - y| <= limit`, in integers.
fn within_exactly(x: f64, y: f64, limit: f64) -> bool {
    let parts = [x, -y, -limit].map(|v| {
        let bits = v.to_bits();
        let exponent = (bits >> 52 & 0x7FF) as i32;
        let mantissa = (bits & ((1 << 52) - 1)) | if exponent > 0 { 1 << 52 } else { 0 };
        (if bits >> 63 == 1 { -(mantissa as i128) } else { mantissa as i128 }, exponent.max(1))
    });
    let most = parts.iter().map(|part| part.1).max().unwrap_or(1);
    let least = parts.iter().map(|part| part.1).min().unwrap_or(1);
    if most - least > 70 {
        // Too far apart for 128 bits. Rounding to nearest keeps order, so this refuses no sound value.
        return (x - y).abs() <= limit;
    }
    let [x, minus_y, minus_limit] = parts.map(|(mantissa, exponent)| mantissa << (exponent - least));
    (x + minus_y).abs() + minus_limit <= 0
}
