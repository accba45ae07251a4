//! Bounds judged by arithmetic that has nothing to do with the crate's own.

use errbar_codec::check::{Limit, Tolerance};
use errbar_codec::codes::Word;
use errbar_codec::pipeline::{self, Encoded, stage};
use errbar_codec::{Codes, DType, Registry, Values, Words, coder};
use errbar_format::record::{Bound, PipelineRecord};

fn encode(values: &Values, quantizer: &str, coder: (&str, Vec<u8>), limit: Limit) -> Encoded {
    let bounds = [limit.absolute().map(Bound::Abs), limit.relative().map(Bound::PwRel)].into_iter().flatten().collect();
    let plan =
        PipelineRecord { quantizer: stage(quantizer, vec![]), transforms: vec![stage("lorenzo", vec![1])], coder: stage(coder.0, coder.1) };
    let registry = Registry::core();
    let encoded =
        pipeline::encode(&registry, &plan, values, Some(&Tolerance { bounds, limit, fill: vec![] })).expect("a float within a bound");
    let shape: Vec<u64> = values.bits.dims.iter().map(|&d| d as u64).collect();
    let decoded = pipeline::decode(&registry, &encoded.pipeline, values.dtype, &shape, &encoded.payload, encoded.exact_len)
        .expect("what was encoded");
    assert_eq!(decoded, encoded.decoded);
    encoded
}

fn values<W: Word>(dtype: DType, words: Vec<W>) -> Values {
    Values { dtype, bits: Codes::plain(vec![words.len()], W::wrap(words)) }
}

fn f16(bits: u16) -> f64 {
    let magnitude = match bits >> 10 & 31 {
        31 => return if bits & 0x3FF == 0 { f64::INFINITY } else { f64::NAN },
        0 => f64::from(bits & 0x3FF) / 16_777_216.0,
        e => f64::from(1024 + u32::from(bits & 0x3FF)) * 2f64.powi(i32::from(e) - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

fn bf16(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

#[test]
fn every_16_bit_float_stays_within_every_bound() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for (dtype, value) in [(DType::F16, f16 as fn(u16) -> f64), (DType::BF16, bf16)] {
        let original = values(dtype, all.clone());
        for limit in [0.0, 1e-9, 1e-4, 0.25, 0.3, 1.0, 1000.0]
            .iter()
            .flat_map(|&x| [Limit::Abs(x), Limit::Relative(x), Limit::Both { absolute: 0.01, relative: x }])
        {
            let quantizer = match limit {
                Limit::Abs(0.0) => "none",
                Limit::Abs(_) => "uniform",
                Limit::Both { relative: 0.25.., .. } => "log",
                Limit::Relative(_) | Limit::Both { .. } => "bitround",
            };
            let encoded = encode(&original, quantizer, ("zstd", coder::Zstd::params(1)), limit);
            let Words::U16(decoded) = &encoded.decoded.bits.words else { panic!("words of another width") };
            for (&x, &y) in all.iter().zip(decoded) {
                let (a, b) = (value(x), value(y));
                // Differences of binary16 are exact; those of bfloat16 are rounded by far less
                // than such numbers can lie beside these limits.
                let within = match limit {
                    Limit::Abs(limit) => (a - b).abs() <= limit,
                    Limit::Relative(limit) => (a - b).abs() <= limit * a.abs(),
                    Limit::Both { absolute, relative } => (a - b).abs() <= absolute.min(relative * a.abs()),
                };
                assert!(x == y || (a.is_finite() && within), "{} {limit:?}: {x:#06x} became {y:#06x}", dtype.name());
            }
        }
    }
}

/// `x` in units of 2^-100; panics if it is not a multiple of them below 2^27.
fn fixed(x: f64) -> i128 {
    let (exponent, fraction) = ((x.to_bits() >> 52 & 0x7FF) as i64, (x.to_bits() & ((1 << 52) - 1)) as i128);
    if x == 0.0 {
        return 0;
    }
    assert!(exponent > 0 && x.abs() < 2f64.powi(27));
    let shift = exponent - 1075 + 100;
    let significand = fraction | 1 << 52;
    let magnitude = if shift >= 0 { significand << shift } else { significand >> -shift };
    assert!(shift >= 0 || magnitude << -shift == significand, "{x:e} has bits below 2^-100");
    if x < 0.0 { -magnitude } else { magnitude }
}

/// Numbers half-way between multiples of `2 limit`, of `2 limit` less a little, and next to them.
fn half_steps(limit: f64) -> Vec<f64> {
    let mut numbers = Vec::new();
    for k in (-300..300).chain((1 << 18) - 5..(1 << 18) + 5) {
        for step in [2.0 * limit, (2.0 * limit).next_down(), 2.0 * limit * (1.0 - f64::from(f32::EPSILON))] {
            let x = (f64::from(k) + 0.5) * step;
            numbers.extend([x, x.next_up(), x.next_down(), f64::from(k) * step]);
        }
    }
    numbers
}

#[test]
fn half_steps_stay_within_the_bound_exactly() {
    for limit in [0.5, 0.1, 1e-3, 1.0 / 3.0, f64::from(1e-5f32), 7.0] {
        // Smaller numbers would have bits below 2^-100.
        let doubles: Vec<f64> = half_steps(limit).into_iter().filter(|x| *x == 0.0 || x.abs() > 1e-12).collect();
        let singles: Vec<f32> = doubles.iter().map(|&x| x as f32).collect();
        let wide = values(DType::F64, doubles.iter().map(|x| x.to_bits()).collect());
        let narrow = values(DType::F32, singles.iter().map(|x| x.to_bits()).collect());
        for original in [wide, narrow] {
            let encoded = encode(&original, "uniform", ("pco", coder::Pco::params(DType::U32, 4)), Limit::Abs(limit));
            let receipt = encoded.receipt.expect("a receipt");
            let number = |words: &Words| match words {
                Words::U32(v) => v.iter().map(|&w| f64::from(f32::from_bits(w))).collect::<Vec<f64>>(),
                Words::U64(v) => v.iter().map(|&w| f64::from_bits(w)).collect(),
                _ => panic!("words of another width"),
            };
            let mut worst = 0;
            for (x, y) in number(&original.bits.words).into_iter().zip(number(&encoded.decoded.bits.words)) {
                let error = (fixed(x) - fixed(y)).abs();
                assert!(error <= fixed(limit), "{x:e} became {y:e} within {limit:e}");
                worst = worst.max(error);
            }
            assert!(worst <= fixed(receipt.max_error), "the receipt says {:e}", receipt.max_error);
            // A quantizer that kept all of them would pass, too.
            assert!(receipt.exact * 10 < receipt.finite, "{} of {} kept exactly", receipt.exact, receipt.finite);
        }
    }
}

#[test]
fn a_bound_too_small_for_the_type_keeps_everything() {
    let words: Vec<u32> = (0..1000).map(|i| (1e8f32 + 8.0 * i as f32).to_bits()).collect();
    let original = values(DType::F32, words);
    let encoded = encode(&original, "uniform", ("zstd", coder::Zstd::params(3)), Limit::Abs(1e-3));
    assert_eq!(encoded.decoded, original);
    assert_eq!(encoded.receipt.map(|r| (r.max_error, r.finite)), Some((0.0, 1000)));
}
