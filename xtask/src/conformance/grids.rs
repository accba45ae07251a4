//! Stages that follow the levels of a grid, and what else comes with `crans`.

use errbar_codec::pipeline::{decode, encode};
use errbar_codec::transform::{FloatLinear, Linear, Rotate};
use errbar_codec::{Registry, Tolerance, Transform, Values, with_words};
use errbar_format::record::PipelineRecord;
use errbar_format::{DType, Kind};

use super::accept::counting;
use super::stages::{FLOATS, abs, add, of_values, plan, special, uniform_params, with_bad, with_params};
use crate::builder::{Archive, Builder};
use crate::content::{Array, Coded, stage};
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    let mut all = vec![
        Vector::accept("stage-interp", interps(), "grids of no to five dimensions in every floating-point type, through crans and not"),
        Vector::accept("stage-interp-lattice", interp_lattices(), "predictions that are rounded to a lattice, in binary32 and binary64"),
        Vector::accept("stage-interp-absent", interp_absent(), "absent words in the order of levels, whole and rotated dimensions"),
        Vector::accept("stage-decimal", decimals(), "decimal fractions as integers of every width, with other numbers"),
        Vector::accept("stage-lattice", lattices(), "integers of values on a lattice, one and several units a code"),
        Vector::accept("stage-flinear", float_linears(), "predictions with floats of every type, among them infinities and NaN"),
        Vector::accept("stage-linear", linears(), "all taps, with a mean and without, in arrays of no to five dimensions"),
        Vector::accept("stage-med", meds(), "edges in words and in differences of planes, absent and repeated words"),
        Vector::accept("stage-rotate", rotates(), "the last axis first"),
        Vector::accept("stage-carith", coder("carith"), "codes of one to eight bytes, small and large"),
        Vector::accept("stage-carith-absent", coder_absent("carith"), "absent words, straight from a quantizer and through transforms"),
        Vector::accept(
            "stage-crans",
            coder("crans"),
            "codes of one, two and four bytes, small and large, in one, two and four bands and in pieces, and of signs that others foretell",
        ),
        Vector::accept(
            "stage-crans-absent",
            coder_absent("crans"),
            "absent words, through transforms that keep them and one that does not",
        ),
    ];
    all.extend(refused());
    all
}

/// A hump between integers, without any function that rounds differently elsewhere.
fn hump(t: f64) -> f64 {
    let u = t - t.floor();
    let v = u * (1.0 - u);
    16.0 * v * v
}

fn noise(i: u64) -> f64 {
    (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / (1u64 << 24) as f64
}

/// A smooth field over rows of `width` in slices of `height` rows, with noise that rows share.
fn field(i: u64, width: u64, height: u64) -> f64 {
    let (x, y, z) = (i % width, i / width % height, i / width / height);
    let at = |k: u64, scale: f64| k as f64 / scale;
    let smooth = hump(at(x, 23.0) + at(y, 41.0)) + 2.0 * hump(at(y, 31.0) - at(z, 9.0)) + at(x, 50.0);
    30.0 * smooth + 2.0 * noise(x / 2 + (y / 3 + z) * 977) + 0.25 * noise(i + 12345)
}

fn fields(path: &str, dtype: DType, shape: &[u64]) -> Array {
    let words = if dtype.words() > 1 { &[shape, &[2]].concat()[..] } else { shape };
    let long: Vec<u64> = words.iter().copied().filter(|&n| n > 1).collect();
    let width = long.last().copied().unwrap_or(1);
    let height = if long.len() > 1 { long[long.len() - 2] } else { 1 };
    of_values(path, dtype, shape, |i| field(i, width, height))
}

/// `interp` with dimensions that stay whole, the last being bit 3, and 64 for the last one first.
fn interp(wanted: u8, coder: &str) -> PipelineRecord {
    let mut plan = plan("interp", &[], coder, &[]);
    plan.quantizer = stage("interp", &[wanted]);
    plan
}

const ROTATED: u8 = 64;

fn interps() -> Archive {
    let mut b = Builder::lossy("interp");
    for (name, dtype) in FLOATS.iter().map(|dtype| (dtype.name(), *dtype)) {
        let limit = [0.05, 0.5, 8.0][usize::from(dtype.word() == 2) + usize::from(dtype == DType::BF16)];
        add(&mut b, &fields(name, dtype, &[12, 31]), &interp(0, "store"), Some(&abs(limit)));
    }
    add(&mut b, &fields("g-0d", DType::F32, &[]), &interp(0, "crans"), Some(&abs(0.5)));
    add(&mut b, &Array::new("g-0d-empty", DType::F32, &[3, 0, 2], Vec::new()), &interp(0, "crans"), Some(&abs(0.5)));
    add(&mut b, &fields("g-1d", DType::F64, &[700]), &interp(0, "crans"), Some(&abs(0.01)));
    add(&mut b, &fields("g-2d", DType::F32, &[53, 90]), &interp(0, "crans"), Some(&abs(0.03)));
    add(&mut b, &fields("g-2d-in-binary64", DType::F32, &[40, 40]), &interp(0, "crans"), Some(&abs(1e-4)));
    add(&mut b, &fields("g-3d", DType::F32, &[9, 33, 35]), &interp(0, "crans"), Some(&abs(0.1)));
    add(&mut b, &fields("g-3d-first-whole", DType::F64, &[5, 30, 41]), &interp(2, "crans"), Some(&abs(0.1)));
    add(&mut b, &fields("g-3d-rotated", DType::F32, &[40, 50, 3]), &interp(ROTATED | 2, "crans"), Some(&abs(0.1)));
    add(&mut b, &fields("g-4d", DType::F32, &[6, 7, 17, 18]), &interp(0, "crans"), Some(&abs(0.1)));
    add(&mut b, &fields("g-4d-last-whole", DType::F32, &[3, 30, 9, 4]), &interp(8, "crans"), Some(&abs(0.1)));
    add(&mut b, &fields("g-5d", DType::F32, &[2, 3, 5, 11, 13]), &interp(0, "crans"), Some(&abs(0.2)));
    // A coder behind a transform knows no levels.
    let mut through = interp(0, "crans");
    through.transforms = vec![stage("delta", &[])];
    add(&mut b, &fields("g-delta", DType::F32, &[20, 30]), &through, Some(&abs(0.1)));
    b.finish()
}

fn interp_lattices() -> Archive {
    let mut b = Builder::lossy("interp-lattice");
    let plan = plan("interp", &[], "crans", &[]);
    let hundredths = |i| (field(i, 37, 29) * 100.0).floor() / 100.0;
    add(&mut b, &of_values("hundredths", DType::F32, &[29, 37], hundredths), &plan, Some(&abs(1e-3)));
    add(&mut b, &of_values("hundredths-f64", DType::F64, &[29, 37], hundredths), &plan, Some(&abs(1e-6)));
    add(&mut b, &of_values("large", DType::F64, &[29, 37], |i| (field(i, 37, 29) * 1e6).floor()), &plan, Some(&abs(0.25)));
    add(&mut b, &of_values("quarters", DType::F32, &[3, 20, 37], |i| (field(i, 37, 20) * 4.0).floor() / 4.0), &plan, Some(&abs(0.1)));
    add(&mut b, &of_values("strides", DType::F32, &[29, 37], |i| (field(i, 37, 29) * 4.0).floor()), &plan, Some(&abs(1.25)));
    b.finish()
}

fn interp_absent() -> Archive {
    let mut b = Builder::lossy("interp-absent");
    let hole = |i: u64| (i % 37).abs_diff(20).pow(2) + (i / 37 % 29).abs_diff(9).pow(2) < 50 || i.is_multiple_of(91);
    let holed = move |i| if hole(i) { f64::NAN } else { field(i, 37, 29) };
    for wanted in [0, 2, 8, ROTATED, ROTATED | 4] {
        add(&mut b, &of_values(&format!("f32-{wanted:02}"), DType::F32, &[3, 29, 37], holed), &interp(wanted, "crans"), Some(&abs(0.1)));
    }
    let missing = 1e20f32;
    let fill = Tolerance { fill: vec![missing.to_bits().into()], ..abs(0.05) };
    let quarters = |i| if hole(i) { f64::from(missing) } else { (field(i, 37, 29) * 4.0).floor() / 4.0 };
    add(&mut b, &of_values("g-fill-lattice", DType::F32, &[29, 37], quarters), &plan("interp", &[], "crans", &[]), Some(&fill));
    add(&mut b, &of_values("nothing-else", DType::F64, &[20, 30], |_| f64::NAN), &interp(0, "crans"), Some(&abs(0.05)));
    b.finish()
}

fn decimals() -> Archive {
    let mut b = Builder::new("decimal");
    let store = plan("decimal", &[], "store", &[]);
    let fraction = |most: u64, ten: f64| move |i: u64| if i == 77 { 1.0 / 3.0 } else { ((i * i * 7919 % most) as f64 - 100.0) / ten };
    let holed = |i: u64| if i % 9 < 2 { f64::NAN } else { fraction(60_000, 1e3)(i) };
    add(&mut b, &of_values("f16", DType::F16, &[200], |i| (i % 50) as f64 / 10.0), &store, None);
    add(&mut b, &of_values("f32", DType::F32, &[200], fraction(60_000, 1e2)), &store, None);
    add(&mut b, &of_values("f64-1", DType::F64, &[200], fraction(250, 1e22)), &store, None);
    add(&mut b, &of_values("f64-4", DType::F64, &[200], fraction(1 << 31, 1e6)), &store, None);
    add(&mut b, &of_values("f64-8", DType::F64, &[200], fraction(1 << 40, 1e9)), &store, None);
    add(&mut b, &of_values("holes", DType::F64, &[10, 50], holed), &plan("decimal", &[("linear", &[])], "crans", &[]), None);
    b.finish()
}

fn lattices() -> Archive {
    let mut b = Builder::lossy("lattice");
    let store = plan("lattice", &[], "store", &[]);
    let hundredths = |i| 271.5 + (field(i, 50, 1) * 100.0).floor() / 100.0;
    add(&mut b, &of_values("f16", DType::F16, &[200], |i| (field(i, 50, 1)).floor() / 4.0), &store, Some(&abs(0.01)));
    add(&mut b, &of_values("f32", DType::F32, &[200], hundredths), &store, Some(&abs(1e-3)));
    add(&mut b, &of_values("f64", DType::F64, &[200], hundredths), &store, Some(&abs(1e-9)));
    let holed = |i: u64| if i % 9 < 2 { f64::INFINITY } else { hundredths(i) };
    let linear = plan("lattice", &[("linear", &[])], "crans", &[]);
    add(&mut b, &of_values("holes", DType::F32, &[10, 50], holed), &linear, Some(&abs(1e-3)));
    add(&mut b, &of_values("strides", DType::F32, &[200], |i| (field(i, 50, 1) * 4.0).floor()), &store, Some(&abs(1.25)));
    b.finish()
}

/// Writes an array of integers through one transform with parameters of one's own.
fn add_through(b: &mut Builder, array: &Array, transform: &dyn Transform, params: &[u8]) {
    let entry = b.array_entry(array, |extent, bytes| {
        let values = Values::from_bytes(array.dtype, array.big_endian, extent, bytes).expect("the vector's shape fits its bytes");
        let codes = transform.forward(values.bits, params).expect("the transform serves the vector's values");
        let pipeline = plan("none", &[(transform.name(), params)], "store", &[]);
        let payload = codes.words.to_le_bytes().into_owned();
        let decoded = decode(&Registry::core(), &pipeline, array.dtype, extent, &payload, 0).expect("what was just coded");
        Coded { pipeline, payload, exact_len: 0, receipt: None, decoded: decoded.to_bytes(array.big_endian) }
    });
    b.entry(entry);
}

fn linear_params(mean: Option<u32>, taps: [i16; 18]) -> Vec<u8> {
    let mut params = vec![u8::from(mean.is_some())];
    mean.iter().for_each(|mean| params.extend(mean.to_le_bytes()));
    params.extend(taps.iter().flat_map(|tap| tap.to_le_bytes()));
    params
}

fn float_linear_params(float: u8, to_zero: u8, taps: [i16; 18]) -> Vec<u8> {
    [float, to_zero].into_iter().chain(taps.iter().flat_map(|tap| tap.to_le_bytes())).collect()
}

fn float_linears() -> Archive {
    let mut b = Builder::new("flinear");
    let all: [i16; 18] = std::array::from_fn(|k| 1000 - 150 * k as i16);
    let cube: [i16; 18] =
        std::array::from_fn(|k| if matches!(k, 0 | 3 | 6 | 17) { 4096 } else { -i16::from(matches!(k, 4 | 7 | 9)) * 4096 });
    let most: [i16; 18] = std::array::from_fn(|k| if k % 2 == 0 { i16::MAX } else { i16::MIN });
    let types = [(1, DType::BF16), (0, DType::F16), (2, DType::F32), (3, DType::F64)];
    let shapes: [&[u64]; 6] = [&[], &[0, 3], &[40], &[7, 9], &[3, 4, 2, 5], &[2, 2, 3, 3, 4]];
    for (number, shape) in shapes.into_iter().enumerate() {
        for (name, to_zero, taps) in [("all-zero", 1, all), ("cube", 0, cube), ("most", 0, most)] {
            for (float, dtype) in types {
                let params = float_linear_params(float, to_zero, taps);
                let unsigned = if dtype.word() == 2 {
                    DType::U16
                } else if dtype.word() == 4 {
                    DType::U32
                } else {
                    DType::U64
                };
                let numbers = of_values("", dtype, shape, special);
                let array = Array { path: format!("{number}-{name}-{}", dtype.name()), dtype: unsigned, ..numbers };
                add_through(&mut b, &array, &FloatLinear, &params);
            }
        }
    }
    let each = [float_linear_params(2, 1, all), float_linear_params(2, 0, cube)[1..].to_vec()].concat();
    for (path, shape) in [("components-rows", &[2, 40][..]), ("components-slices", &[2, 4, 5])] {
        let numbers = of_values("", DType::F32, shape, special);
        add_through(&mut b, &Array { path: path.into(), dtype: DType::U32, ..numbers }, &FloatLinear, &each);
    }
    b.finish()
}

fn linears() -> Archive {
    let mut b = Builder::new("linear");
    let all = std::array::from_fn(|k| 1000 - 150 * k as i16);
    let most = std::array::from_fn(|k| if k % 2 == 0 { i16::MAX } else { i16::MIN });
    let plane = std::array::from_fn(|k| [4096, 0, 0, 4096, -4096].get(k).copied().unwrap_or(0));
    let shapes: [&[u64]; 7] = [&[], &[0, 3], &[1], &[40], &[7, 9], &[3, 4, 2, 5], &[2, 2, 3, 3, 4]];
    for (number, shape) in shapes.into_iter().enumerate() {
        for (name, params) in [
            ("all-mean", linear_params(Some(7), all)),
            ("mean-most", linear_params(Some(u32::MAX), most)),
            ("most", linear_params(None, most)),
            ("plane", linear_params(None, plane)),
        ] {
            for dtype in [DType::I16, DType::U32, DType::U8] {
                add_through(&mut b, &counting(&format!("{number}-{name}-{}", dtype.name()), dtype, shape), &Linear, &params);
            }
        }
    }
    let each = [linear_params(None, plane), linear_params(Some(7), all), linear_params(None, most)];
    for (path, shape) in [("components-1-rows", &[3, 40][..]), ("components-2-slices", &[3, 4, 5]), ("components-3-cubes", &[3, 2, 4, 5])] {
        add_through(&mut b, &counting(path, DType::U16, shape), &Linear, &each.concat());
    }
    b.finish()
}

fn meds() -> Archive {
    let mut b = Builder::lossy("med");
    for of in [0u8, 1] {
        let name = |what: &str| format!("{of}-{what}");
        let counted =
            |dtype, shape: &[u64]| (counting(&name(DType::name(dtype)), dtype, shape), plan("none", &[("med", &[of])], "store", &[]));
        let holed = |i: u64| if i % 41 < 9 { f64::NAN } else { field(i, 41, 9) };
        let holed = of_values(&name("holed"), DType::F32, &[3, 9, 41], holed);
        add(&mut b, &holed, &plan("uniform", &[("med", &[of])], "crans", &[]), Some(&abs(0.1)));
        let steps = of_values(&name("repeats"), DType::F32, &[3, 20, 30], |i| (i % 30 / 7 + i / 30 % 20 / 6) as f64);
        let repeats = (steps, plan("order", &[("repeat", &[]), ("med", &[of])], "crans", &[]));
        let (cubes, none) = (counted(DType::I16, &[2, 3, 4, 5]), counted(DType::I8, &[3, 0, 2]));
        for (array, plan) in [cubes, none, repeats, counted(DType::U32, &[7, 1]), counted(DType::U8, &[])] {
            add(&mut b, &array, &plan, None);
        }
    }
    let colours = counting("z-colours", DType::U8, &[20, 30, 3]);
    add(&mut b, &colours, &plan("order", &[("rotate", &[]), ("med", &[])], "crans", &[]), None);
    b.finish()
}

fn rotates() -> Archive {
    let mut b = Builder::new("rotate");
    for (name, dtype, shape) in [
        ("0d", DType::U32, &[][..]),
        ("1d", DType::U8, &[7]),
        ("3d", DType::F64, &[2, 3, 5]),
        ("complex", DType::C64, &[6]),
        ("empty", DType::U16, &[3, 0]),
        ("pairs", DType::U16, &[9, 2]),
    ] {
        add_through(&mut b, &counting(name, dtype, shape), &Rotate, &[]);
    }
    b.finish()
}

/// Zigzag codes whose size changes from place to place; one in 97 is anything.
fn residuals(path: &str, dtype: DType, shape: &[u64]) -> Array {
    let width = shape.last().copied().unwrap_or(1);
    let word = |i: u64| {
        let random = i.wrapping_add(7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let scale = 1 + (12.0 * hump((i % width) as f64 / 70.0 + (i / width) as f64 / 33.0)) as u64;
        if random >> 8 & 127 == 97 { random >> 24 } else { (random >> 40) % (scale * scale) }
    };
    let n = shape.iter().product::<u64>();
    Array::new(path, dtype, shape, (0..n).flat_map(|i| word(i).to_le_bytes()[..dtype.size()].to_vec()).collect())
}

fn signs(b: &mut Builder, kind: &str, shape: [u64; 3], pack: &PipelineRecord) {
    let [_, height, width] = shape;
    for (other, back) in [("above", width), ("before", width * height), ("left2", 2)] {
        let mut codes = vec![0u8; shape.iter().product::<u64>() as usize];
        for i in 0..codes.len() {
            let random = (i as u32).wrapping_mul(2_654_435_761) >> 20;
            let sign = i.checked_sub(back as usize).map_or(random % 2, |at| u32::from(codes[at]) % 2);
            codes[i] = (2 - sign + random / 64 % 2 * 2) as u8;
        }
        add(b, &Array::new(&format!("{kind}-{other}"), DType::U8, &shape, codes), pack, None);
    }
}

/// Codes that are zero but in blots.
fn blots(path: &str, shape: &[u64]) -> Array {
    let n = shape.iter().product::<u64>();
    let is_in_blot = |i: u64| i / 700 % 5 == 1 && i / 36 % 3 >= 1;
    let code = |i: u64| if is_in_blot(i) { (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8 % 3 } else { 0 };
    Array::new(path, DType::U8, shape, (0..n).map(code).collect())
}

fn coder(name: &str) -> Archive {
    let mut b = Builder::lossy(name);
    let pack = plan("none", &[], name, &[]);
    add(&mut b, &Array::new("+0d", DType::U32, &[], u32::MAX.to_le_bytes().to_vec()), &pack, None);
    add(&mut b, &Array::new("+empty", DType::U8, &[3, 0], Vec::new()), &pack, None);
    let shapes: [&[u64]; 8] = [&[300], &[5, 60], &[9, 40], &[26, 31], &[3, 25, 11], &[30, 2, 3, 7], &[2, 3, 4, 5, 6], &[100, 1]];
    for (number, shape) in shapes.into_iter().enumerate() {
        for dtype in [DType::U16, DType::U32, DType::U8] {
            add(&mut b, &residuals(&format!("{number}-{}", dtype.name()), dtype, shape), &pack, None);
        }
    }
    // Components that want tables of their own: two rows, and three slices of two bands with signs.
    for (path, shape) in [("components-2", &[2, 4000][..]), ("components-3", &[3, 9, 300])] {
        let (count, len) = (shape[0], shape.iter().product::<u64>());
        let code = |i: u64| match (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40, i * count / len) {
            (random, 0) => (random % 5) as u8,
            (random, component) => (random % 2 * 6 * component) as u8 + (i % 2) as u8,
        };
        add(&mut b, &Array::new(path, DType::U8, shape, (0..len).map(code).collect()), &pack, None);
    }
    add(&mut b, &Array::new("ones", DType::U16, &[30, 30], [1, 0].repeat(900)), &pack, None);
    add(&mut b, &residuals("pieces-67", DType::U16, &[5, 67]), &pack, None);
    // Codes of one and two, even ones and odd ones, each of the sign of another: in bands and in pieces of rows.
    for (kind, shape) in [("pieces-signs", [3, 5, 301]), ("signs", [6, 25, 30])] {
        signs(&mut b, kind, shape, &pack);
    }
    let linear = plan("uniform", &[("linear", &[])], name, &[]);
    add(&mut b, &fields("uniform-linear", DType::F32, &[4, 30, 33]), &linear, Some(&abs(0.1)));
    if name == "carith" {
        add(&mut b, &residuals("wide", DType::U64, &[5, 60]), &pack, None);
        let levels = plan("interp", &[], name, &[]);
        add(&mut b, &fields("with-levels", DType::F32, &[9, 33, 35]), &levels, Some(&abs(0.1)));
    }
    // Blots among zeros: in bands, and in pieces of rows.
    for (path, shape) in [("zeros", &[3, 5, 30, 37][..]), ("zeros-pieces", &[4, 9, 171])] {
        add(&mut b, &blots(path, shape), &pack, None);
    }
    b.finish()
}

/// Writes an array whose codes, those of absent words zero, go from `uniform` straight to a coder.
fn add_straight(b: &mut Builder, array: &Array, coder: &str, tolerance: &Tolerance) {
    let core = Registry::core();
    let entry = b.array_entry(array, |extent, bytes| {
        let values = Values::from_bytes(array.dtype, array.big_endian, extent, bytes).expect("the vector's shape fits its bytes");
        let stored = encode(&core, &plan("uniform", &[], "store", &[]), &values, Some(tolerance)).expect("uniform serves the values");
        let mut pipeline = stored.pipeline;
        let quantizer = core.quantizer(&pipeline.quantizer).expect("uniform is there");
        let quantized = quantizer.quantize(&values, tolerance, &[]).expect("uniform serves the values");
        let (mut codes, absent) = (quantized.codes, quantized.absent.expect("words are absent"));
        with_words!(&mut codes.words, v => v.iter_mut().zip(&*absent).filter(|(_, gone)| **gone).for_each(|(word, _)| *word = 0));
        pipeline.coder = stage(coder, &[]);
        let coded = core.coder(&pipeline.coder).expect("the coder is there").encode(&codes, &[]).expect("small codes");
        let exact = &stored.payload[stored.payload.len() - stored.exact_len as usize..];
        let payload = [&coded, exact].concat();
        let decoded = decode(&core, &pipeline, array.dtype, extent, &payload, stored.exact_len).expect("what was just coded");
        assert_eq!(decoded, stored.decoded, "{coder} gives what store gives");
        Coded { pipeline, payload, exact_len: stored.exact_len, receipt: stored.receipt, decoded: decoded.to_bytes(array.big_endian) }
    });
    b.entry(entry);
}

fn coder_absent(coder: &str) -> Archive {
    let mut b = Builder::lossy(&format!("{coder}-absent"));
    let holed = |i: u64| if i % 41 < 9 || i % 300 < 40 { f64::NAN } else { field(i, 41, 27) };
    let array = |path: &str| of_values(path, DType::F32, &[2, 27, 41], holed);
    add_straight(&mut b, &array("a-straight"), coder, &abs(0.5));
    add(&mut b, &array("linear"), &plan("uniform", &[("linear", &[])], coder, &[]), Some(&abs(0.1)));
    add(&mut b, &array("lorenzo"), &plan("uniform", &[("lorenzo", &[2])], coder, &[]), Some(&abs(0.1)));
    let pieces = of_values("pieces", DType::F32, &[2, 3, 411], holed);
    add(&mut b, &pieces, &plan("uniform", &[("linear", &[])], coder, &[]), Some(&abs(0.1)));
    let both = plan("uniform", &[("rotate", &[]), ("linear", &[])], coder, &[]);
    add(&mut b, &array("rotate-linear"), &both, Some(&abs(0.1)));
    let mixed = plan("uniform", &[("linear", &[]), ("lorenzo", &[1])], coder, &[]);
    add(&mut b, &array("z-linear-lorenzo"), &mixed, Some(&abs(0.1)));
    let islands = |i: u64| match (i % 83, i / 2000 % 4) {
        (..9, _) => f64::NAN,
        (30..60, 1) => noise(i),
        _ => 0.0,
    };
    let zeros = of_values("zeros", DType::F32, &[3, 31, 83], islands);
    add(&mut b, &zeros, &plan("interp", &[], coder, &[]), Some(&abs(0.01)));
    b.finish()
}

fn interp_params(flags: u8, numbers: &[f64]) -> Vec<u8> {
    [flags].into_iter().chain(numbers.iter().flat_map(|x| x.to_le_bytes())).collect()
}

fn lattice_params(offset: f64, step: f64) -> Vec<u8> {
    [offset.to_le_bytes(), step.to_le_bytes(), 0i64.to_le_bytes()].concat()
}

/// What `crans` makes of sixteen words of two bytes.
fn coded() -> Vec<u8> {
    let array = residuals("", DType::U16, &[16]);
    let values = Values::from_bytes(DType::U16, false, &[16], &array.bytes).expect("sixteen words");
    encode(&Registry::core(), &plan("none", &[], "crans", &[]), &values, None).expect("words").payload
}

fn refused() -> Vec<Vector> {
    let (words, none, mut all) = ([0; 128], ("none", &[][..]), Vec::new());
    let corrupt = |rule, name: &str, archive, note: &str| Vector::damaged(Kind::Corrupt, rule, name, archive, &["bad"], note);
    let (interp, lattice, decimal) = (interp_params(0, &[0.5, 0.0]), lattice_params(0.0, 0.5), [1, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (name, params) in [("interp", &interp[..]), ("lattice", &lattice), ("decimal", &decimal)] {
        let quantizer = (name, params);
        let archive = with_bad(&format!("c03-{name}"), DType::I32, &[16], with_params(quantizer, &[], "store", &[]), &words[..64], 0);
        all.push(corrupt("EB-C03", &format!("{name}-of-integers"), archive, "a lossy quantizer serves floating-point types only"));
    }

    let mut c04 = |name: &str, dtype, pipeline, note: &str| {
        let archive = with_bad(&format!("c04-{name}"), dtype, &[4, 4], pipeline, &words[..16 * DType::size(dtype)], 0);
        all.push(corrupt("EB-C04", name, archive, note));
    };
    for (name, params, note) in [
        ("no-flags", vec![], "interp has parameters"),
        ("flag", interp_params(0x80, &[0.5, 0.0]), "interp has seven flags"),
        ("short", interp_params(0, &[0.5]), "step and base"),
        ("no-unit", interp_params(0x20, &[0.5, 0.0, 0.0]), "a lattice has offset and unit"),
        ("step-zero", interp_params(0, &[0.0, 0.0]), "a step is positive"),
        ("step-nan", interp_params(0, &[f64::NAN, 0.0]), "a step is finite"),
        ("base", interp_params(0, &[0.5, f64::INFINITY]), "a base is finite"),
        ("unit", interp_params(0x20, &[1.0, 0.0, 0.0, -1.0]), "a unit is positive"),
        ("offset", interp_params(0x20, &[1.0, 0.0, f64::NAN, 1.0]), "an offset is finite"),
    ] {
        c04(&format!("interp-{name}"), DType::F32, with_params(("interp", &params), &[], "store", &[]), note);
    }
    for (name, params, note) in [
        ("step", lattice_params(0.0, 0.0), "a step is positive"),
        ("offset", lattice_params(f64::INFINITY, 1.0), "an offset is finite"),
        ("short", lattice[..23].to_vec(), "lattice has 24 bytes of parameters"),
    ] {
        c04(&format!("lattice-{name}"), DType::F32, with_params(("lattice", &params), &[], "store", &[]), note);
    }
    for (name, params, note) in [
        ("digits", &[23, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], "no more powers of ten are exact"),
        ("width", &[1, 3, 0, 0, 0, 0, 0, 0, 0, 0], "codes have 1, 2, 4 or 8 bytes"),
        ("short", &[1, 1, 0, 0, 0, 0, 0, 0, 0], "decimal has 10 bytes of parameters"),
    ] {
        c04(&format!("decimal-{name}"), DType::F64, with_params(("decimal", params), &[], "store", &[]), note);
    }
    let linear = linear_params(None, [0; 18]);
    for (name, dtype, params, note) in [
        ("none", DType::U32, &[][..], "linear has parameters"),
        ("mean", DType::U32, &[&[2], &linear[1..]].concat(), "linear has a mean or none"),
        ("short", DType::U32, &linear[..36], "linear has 18 taps"),
        ("components", DType::U32, &linear.repeat(3), "there is one predictor, or one for each of the four rows"),
        ("long", DType::U32, &[&linear[..], &[0]].concat(), "linear has 18 taps"),
        ("wide", DType::U64, &linear, "linear takes words of at most four bytes"),
    ] {
        c04(&format!("linear-{name}"), dtype, with_params(none, &[("linear", params)], "store", &[]), note);
    }
    let flinear = float_linear_params(2, 0, [0; 18]);
    for (name, dtype, params, note) in [
        ("none", DType::U32, vec![], "flinear has parameters"),
        ("type", DType::U32, float_linear_params(4, 0, [0; 18]), "there are four types"),
        ("zero", DType::U32, float_linear_params(2, 2, [0; 18]), "flinear compares with zero or does not"),
        ("short", DType::U32, flinear[..37].to_vec(), "flinear has 18 taps"),
        ("wide", DType::U64, flinear, "the type is as wide as the words"),
    ] {
        c04(&format!("flinear-{name}"), dtype, with_params(none, &[("flinear", &params)], "store", &[]), note);
    }
    for (name, dtype, params, note) in [
        ("none", DType::U32, &[][..], "med has one byte of parameters"),
        ("two", DType::U32, &[2], "med predicts words or differences"),
        ("long", DType::U32, &[0, 0], "med has one byte of parameters"),
        ("wide", DType::U64, &[0], "med takes words of at most four bytes"),
    ] {
        c04(&format!("med-{name}"), dtype, with_params(none, &[("med", params)], "store", &[]), note);
    }
    c04("rotate-params", DType::U32, with_params(none, &[("rotate", &[0])], "store", &[]), "rotate has no parameters");
    c04("carith-params", DType::U32, with_params(none, &[], "carith", &[0]), "carith has no parameters");
    c04("crans-params", DType::U32, with_params(none, &[], "crans", &[0]), "crans has no parameters");

    let mut c02 = |name: &str, dtype, payload: &[u8], note: &str| {
        let archive = with_bad(&format!("c02-{name}"), dtype, &[16], plan("none", &[], "crans", &[]), payload, 0);
        all.push(corrupt("EB-C02", &format!("crans-{name}"), archive, note));
    };
    let good = coded();
    let header = 4 + usize::from(good[0]);
    let words_at = header + 4;
    let n_words = usize::from(good[header]);
    let with = |at: usize, byte: u8| [&good[..at], &[byte], &good[at + 1..]].concat();
    c02("empty", DType::U16, b"", "the length has four bytes");
    c02("header-too-long", DType::U16, &[255, 255, 255, 255, 0], "the header is inside the bytes");
    c02("no-tables", DType::U16, &[&[1, 0, 0, 0, 255], &good[header..]].concat(), "there is a table at least");
    c02("no-words", DType::U16, &good[..header], "words follow the header");
    c02("words-too-long", DType::U16, &with(header, 255), "the words are inside the bytes");
    c02("no-states", DType::U16, &[&good[..header], &[15, 0, 0, 0], &[1; 30]].concat(), "states are sixteen words");
    c02(
        "word-missing",
        DType::U16,
        &[&with(header, good[header] - 1)[..words_at + 2 * n_words - 2], &good[words_at + 2 * n_words..]].concat(),
        "no word is missing",
    );
    c02(
        "word-unread",
        DType::U16,
        &[&with(header, good[header] + 1)[..words_at + 2 * n_words], &[0, 0], &good[words_at + 2 * n_words..]].concat(),
        "all words are read",
    );
    c02("state", DType::U16, &with(words_at, good[words_at] ^ 1), "states end with what an encoder begins with");
    c02("raw-unread", DType::U16, &[&good[..], &[0]].concat(), "all raw bits are read");
    c02("wide", DType::U64, &good, "crans takes words of at most four bytes");
    let learnt = {
        let values = Values::from_bytes(DType::U16, false, &[16], &residuals("", DType::U16, &[16]).bytes).expect("sixteen words");
        encode(&Registry::core(), &plan("none", &[], "carith", &[]), &values, None).expect("words").payload
    };
    let end = 4 + usize::from(learnt[0]);
    let shorter = [&[learnt[0] - 1], &learnt[1..end - 1], &learnt[end..]].concat();
    let longer = [&[learnt[0] + 1], &learnt[1..end], &[0], &learnt[end..]].concat();
    for (name, payload, note) in [
        ("empty", vec![], "the length has four bytes"),
        ("too-long", vec![255, 255, 255, 255, 0], "the coded bits are inside the bytes"),
        ("byte-missing", shorter, "no byte is missing"),
        ("byte-unread", longer, "all bytes are read"),
        ("raw-unread", [&learnt[..], &[0]].concat(), "all raw bits are read"),
    ] {
        let archive = with_bad(&format!("c02-carith-{name}"), DType::U16, &[16], plan("none", &[], "carith", &[]), &payload, 0);
        all.push(corrupt("EB-C02", &format!("carith-{name}"), archive, note));
    }
    // An empty mask says that all words are absent, here all of them zero.
    let (uniform, exact) = (with_params(("uniform", &uniform_params(0.5, 0, 4)), &[], "crans", &[]), [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    let archive = with_bad("c02-behind-nothing", DType::F32, &[16], uniform, &[&[0, 0, 0, 0, 9], &exact[..]].concat(), 10);
    all.push(corrupt("EB-C02", "crans-behind-nothing", archive, "nothing follows the header of no words"));
    all
}
