//! Every stage with several types and shapes, and what its decoder must refuse.

use errbar_codec::float::Float;
use errbar_codec::{Limit, Registry, Tolerance, Values, pipeline};
use errbar_format::record::{Bound, PipelineRecord};
use errbar_format::{DType, Kind};

use super::accept::counting;
use crate::builder::{Archive, Builder, zstd};
use crate::content::{Array, Coded, file, stage, stored, swapped};
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    let mut all = vec![
        Vector::accept("stage-none-store", each_width("none-store", &plan("none", &[], "store", &[])), "words as they are"),
        Vector::accept("stage-order", orders(), "floats and integers as ordered integers: negative, zero, NaN, infinite"),
        Vector::accept("stage-palette", palettes(), "few numbers of every type, with words that are not listed"),
        Vector::accept("stage-delta", each_width("delta", &plan("none", &[("delta", &[])], "store", &[])), "differences in C order"),
        Vector::accept("stage-lorenzo", lorenzo(), "residuals along one to four axes"),
        Vector::accept("stage-shuffle", each_width("shuffle", &plan("none", &[("shuffle", &[])], "store", &[])), "byte planes"),
        Vector::accept("stage-bitshuffle", each_width("bitshuffle", &plan("none", &[("bitshuffle", &[])], "store", &[])), "bit planes"),
        Vector::accept("stage-constant", constants(), "one word for all of them, and none for no words"),
        Vector::accept("stage-zstd", each_width("zstd", &plan("none", &[], "zstd", &[19])), "one zstd frame"),
        Vector::accept("stage-lzma", each_width("lzma", &plan("none", &[], "lzma", &[92, 6])), "one LZMA stream"),
        Vector::accept("stage-pco", pcos(), "every number type that pco takes"),
        Vector::accept(
            "stage-classes",
            classes(),
            "one class and several, of words of every width, of rows and of planes, of components and without",
        ),
        Vector::accept("stage-bitpack", bitpacks(), "groups of every width of words, with patches and without, whole and not"),
        Vector::accept("stage-uniform", uniforms(), "multiples of a step in every floating-point type, codes of 1 to 8 bytes"),
        Vector::accept("stage-bitround", bitrounds(), "fraction bits rounded away in every floating-point type"),
        Vector::accept("stage-log", logs(), "levels of both signs and zero in every floating-point type, codes of 1 to 4 bytes"),
        Vector::accept("stage-chains", chains(), "pipelines as writers choose them"),
        Vector::accept("receipt-bounds", receipts(), "receipts of every kind of bound"),
        Vector::accept("receipt-several-blocks", receipt_of_blocks(), "the variable's receipt is that of its blocks in one"),
    ];
    all.extend(refused());
    all
}

type Transforms<'a> = &'a [(&'a str, &'a [u8])];

/// A pipeline; quantizers choose their own parameters.
pub fn plan(quantizer: &str, transforms: Transforms<'_>, coder: &str, params: &[u8]) -> PipelineRecord {
    PipelineRecord {
        quantizer: stage(quantizer, &[]),
        transforms: transforms.iter().map(|(name, params)| stage(name, params)).collect(),
        coder: stage(coder, params),
    }
}

fn code(array: &Array, plan: &PipelineRecord, tolerance: Option<&Tolerance>, extent: &[u64], bytes: &[u8]) -> Coded {
    let values = Values::from_bytes(array.dtype, array.big_endian, extent, bytes).expect("the vector's shape fits its bytes");
    let encoded = pipeline::encode(&Registry::core(), plan, &values, tolerance).expect("the stages serve the vector's values");
    Coded {
        pipeline: encoded.pipeline,
        payload: encoded.payload,
        exact_len: encoded.exact_len,
        receipt: encoded.receipt,
        decoded: encoded.decoded.to_bytes(array.big_endian),
    }
}

/// Writes a file that is one array, coded.
pub fn add(b: &mut Builder, array: &Array, plan: &PipelineRecord, tolerance: Option<&Tolerance>) {
    let entry = b.array_entry(array, |extent, bytes| code(array, plan, tolerance, extent, bytes));
    b.entry(entry);
}

/// Smooth numbers with a little noise, made without any function that rounds differently elsewhere.
pub fn smooth(i: u64) -> f64 {
    let x = (i % 97) as f64 / 64.0 - 0.75;
    let noise = (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as f64 / 65536.0;
    (x - x * x * x) * 100.0 + noise
}

/// An array of [`smooth`] values.
pub fn floats(path: &str, dtype: DType, shape: &[u64]) -> Array {
    of_values(path, dtype, shape, smooth)
}

pub fn of_values(path: &str, dtype: DType, shape: &[u64], value: impl Fn(u64) -> f64) -> Array {
    let words = shape.iter().product::<u64>() * dtype.words() as u64;
    let float = Float::of(dtype).expect("a floating-point type");
    Array::new(path, dtype, shape, (0..words).flat_map(|i| float.from_f64(value(i)).to_le_bytes()[..dtype.word()].to_vec()).collect())
}

pub const FLOATS: [DType; 6] = [DType::BF16, DType::C128, DType::C64, DType::F16, DType::F32, DType::F64];

/// One archive of arrays of every width and several shapes, all through one pipeline.
fn each_width(name: &str, plan: &PipelineRecord) -> Archive {
    let mut b = Builder::new(name);
    add(&mut b, &counting("0d", DType::U32, &[]), plan, None);
    add(&mut b, &counting("bytes", DType::Bytes, &[100]), plan, None);
    add(&mut b, &counting("c128", DType::C128, &[3, 3]), plan, None);
    add(&mut b, &counting("c64", DType::C64, &[5]), plan, None);
    add(&mut b, &counting("f32-4d", DType::F32, &[2, 3, 4, 5]), plan, None);
    add(&mut b, &Array { big_endian: true, ..counting("f64-big-endian", DType::F64, &[3, 7]) }, plan, None);
    add(&mut b, &counting("i16", DType::I16, &[37]), plan, None);
    add(&mut b, &counting("u64", DType::U64, &[1]), plan, None);
    b.finish()
}

fn orders() -> Archive {
    let mut b = Builder::new("order");
    let plan = plan("order", &[], "store", &[]);
    let special = [0.0, -0.0, 1.5, -1.5, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -1e-300, 1e300];
    let doubles = special.iter().flat_map(|x| x.to_le_bytes()).chain(0xFFF8_0000_0000_1234u64.to_le_bytes());
    add(&mut b, &Array::new("f64-special", DType::F64, &[10], doubles.collect()), &plan, None);
    for dtype in [DType::I16, DType::I32, DType::I64, DType::I8] {
        add(&mut b, &counting(dtype.name(), dtype, &[33]), &plan, None);
    }
    let halves = [0u16, 0x8000, 0x7C00, 0xFC00, 0x7E01, 0xFE01, 1, 0x8001];
    add(&mut b, &Array::new("z-f16-special", DType::F16, &[2, 4], halves.iter().flat_map(|x| x.to_le_bytes()).collect()), &plan, None);
    b.finish()
}

fn palettes() -> Archive {
    let mut b = Builder::new("palette");
    let plan = plan("palette", &[], "store", &[]);
    for dtype in [DType::C64, DType::F16, DType::F64, DType::I32, DType::U8] {
        let few = |i: usize| if i == 77 { 40 } else { (i * i % 11) as u8 };
        let bytes = (0..400 * dtype.words()).flat_map(|i| [few(i)].into_iter().chain(std::iter::repeat_n(0, dtype.word() - 1)));
        add(&mut b, &Array::new(dtype.name(), dtype, &[20, 20], bytes.collect()), &plan, None);
    }
    let many: Vec<u8> = (0..9000u32).flat_map(|i| (i * 7919 % 1000 * 5).to_le_bytes()).collect();
    add(&mut b, &Array::new("z-many", DType::U32, &[9000], many), &plan, None);
    b.finish()
}

fn lorenzo() -> Archive {
    let mut b = Builder::new("lorenzo");
    for axes in 1..=4u8 {
        for (dtype, shape) in [(DType::I16, &[3u64, 4, 2, 5][..]), (DType::I64, &[1, 1, 1, 6]), (DType::U8, &[2, 0, 3, 1])] {
            add(
                &mut b,
                &counting(&format!("{axes}-{}", dtype.name()), dtype, shape),
                &plan("none", &[("lorenzo", &[axes])], "store", &[]),
                None,
            );
        }
    }
    let complex = Array { block_shape: vec![2], ..counting("complex", DType::C64, &[5]) };
    add(&mut b, &complex, &plan("none", &[("lorenzo", &[2])], "store", &[]), None);
    b.finish()
}

fn constants() -> Archive {
    let mut b = Builder::new("constant");
    let plan = plan("none", &[], "constant", &[]);
    add(&mut b, &Array::new("0d", DType::F64, &[], 1.5f64.to_le_bytes().to_vec()), &plan, None);
    add(&mut b, &Array::new("c64-equal-words", DType::C64, &[100], vec![0x40; 800]), &plan, None);
    add(&mut b, &Array::new("f16-big-endian", DType::F16, &[2, 300], [0x3C, 0x01].repeat(600)).big_endian(), &plan, None);
    add(&mut b, &Array::new("zeros", DType::Bytes, &[10_000], vec![0; 10_000]), &plan, None);
    b.finish()
}

fn pcos() -> Archive {
    let mut b = Builder::new("pco");
    let types = [DType::F32, DType::F64, DType::I16, DType::I32, DType::I64, DType::I8, DType::U16, DType::U32, DType::U64, DType::U8];
    for dtype in types {
        let plan = plan("none", &[], "pco", &[dtype.code(), 8]);
        let array = match dtype.is_float() {
            true => floats(dtype.name(), dtype, &[10, 30]),
            false => counting(dtype.name(), dtype, &[300]),
        };
        add(&mut b, &array, &plan, None);
    }
    add(&mut b, &counting("u8-as-i8", DType::U8, &[9]), &plan("none", &[], "pco", &[DType::I8.code(), 0]), None);
    b.finish()
}

pub fn abs(limit: f64) -> Tolerance {
    Tolerance { bounds: vec![Bound::Abs(limit)], limit: Limit::Abs(limit), fill: Vec::new() }
}

pub fn relative(limit: f64) -> Tolerance {
    Tolerance { bounds: vec![Bound::PwRel(limit)], limit: Limit::Relative(limit), fill: Vec::new() }
}

fn both(absolute: f64, relative: f64) -> Tolerance {
    let bounds = vec![Bound::Abs(absolute), Bound::PwRel(relative)];
    Tolerance { bounds, limit: Limit::Both { absolute, relative }, fill: Vec::new() }
}

fn uniforms() -> Archive {
    let mut b = Builder::lossy("uniform");
    let store = plan("uniform", &[], "store", &[]);
    add(&mut b, &floats("0d", DType::F32, &[]), &store, Some(&abs(0.5)));
    for dtype in FLOATS {
        add(&mut b, &floats(dtype.name(), dtype, &[9, 11]), &store, Some(&abs(0.25)));
    }
    add(&mut b, &floats("width-2", DType::F64, &[200]), &store, Some(&abs(0.01)));
    add(&mut b, &floats("width-4", DType::F64, &[200]), &store, Some(&abs(1e-7)));
    add(&mut b, &floats("width-8", DType::F64, &[200]), &store, Some(&abs(1e-11)));
    b.finish()
}

fn bitrounds() -> Archive {
    let mut b = Builder::lossy("bitround");
    let store = plan("bitround", &[], "store", &[]);
    for dtype in FLOATS {
        add(&mut b, &floats(dtype.name(), dtype, &[9, 11]), &store, Some(&relative(0.01)));
    }
    add(&mut b, &floats("keep-all", DType::F32, &[20]), &store, Some(&relative(1e-9)));
    add(&mut b, &floats("keep-none", DType::F64, &[20]), &store, Some(&relative(0.5)));
    b.finish()
}

fn logs() -> Archive {
    let mut b = Builder::lossy("log");
    let store = plan("log", &[], "store", &[]);
    add(&mut b, &floats("0d", DType::F32, &[]), &store, Some(&relative(0.01)));
    for dtype in FLOATS {
        add(&mut b, &floats(dtype.name(), dtype, &[9, 11]), &store, Some(&relative(0.02)));
    }
    let signed = |i: u64| if i.is_multiple_of(5) { 0.0 } else { smooth(i) };
    add(
        &mut b,
        &of_values("signs-and-zeros", DType::F64, &[50], signed),
        &plan("log", &[("delta", &[])], "store", &[]),
        Some(&relative(0.3)),
    );
    add(&mut b, &of_values("special", DType::F64, &[60], special), &store, Some(&relative(1e-3)));
    add(&mut b, &floats("width-4", DType::F64, &[60]), &store, Some(&relative(1e-8)));
    for dtype in FLOATS {
        let signed = |i: u64| if i.is_multiple_of(5) { 0.0 } else { smooth(i) };
        add(&mut b, &of_values(&format!("with-even-{}", dtype.name()), dtype, &[60], signed), &store, Some(&both(0.5, 0.05)));
    }
    b.finish()
}

/// Words that are large where those above them are.
fn uneven(path: &str, dtype: DType, shape: &[u64]) -> Array {
    let width = shape[shape.len() - 1];
    let word = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) & ((1 << (i % width % 7)) - 1);
    let bytes = (0..shape.iter().product()).flat_map(|i| word(i).to_le_bytes()[..dtype.size()].to_vec()).collect();
    Array::new(path, dtype, shape, bytes)
}

fn classes() -> Archive {
    let mut b = Builder::lossy("classes");
    let classes = |axes: u8| plan("none", &[], "classes", &[axes, 8]);
    add(&mut b, &uneven("few", DType::U16, &[7, 9]), &classes(1), None);
    add(&mut b, &uneven("line", DType::U16, &[10_000]), &classes(1), None);
    add(&mut b, &Array::new("nothing", DType::U8, &[3, 0], Vec::new()), &classes(1), None);
    for (dtype, shape, axes) in
        [(DType::U16, &[20, 15, 40][..], 2), (DType::U32, &[50, 60, 3], 2), (DType::U64, &[10, 10, 10, 9], 3), (DType::U8, &[150, 60], 1)]
    {
        add(&mut b, &uneven(dtype.name(), dtype, shape), &classes(axes), None);
    }
    add(&mut b, &floats("uniform", DType::F32, &[90, 100]), &plan("uniform", &[("lorenzo", &[2])], "classes", &[1, 8]), Some(&abs(0.05)));
    b.finish()
}

/// Words most of which are small, and a few of which are anything.
fn patchy(path: &str, dtype: DType, n: u64, bits: u32) -> Array {
    let word = |i: u64| {
        let random = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ i.wrapping_mul(0xD134_2543_DE82_EF95) >> 23;
        if i % 41 == 17 { random } else { (random >> 7) & ((1 << bits) - 1) }
    };
    Array::new(path, dtype, &[n], (0..n).flat_map(|i| word(i).to_le_bytes()[..dtype.size()].to_vec()).collect())
}

fn bitpacks() -> Archive {
    let mut b = Builder::lossy("bitpack");
    let pack = plan("none", &[], "bitpack", &[]);
    add(&mut b, &Array::new("0d", DType::U32, &[], 7u32.to_le_bytes().to_vec()), &pack, None);
    add(&mut b, &Array::new("nothing", DType::U8, &[3, 0], Vec::new()), &pack, None);
    for (dtype, bits) in [(DType::U16, 5), (DType::U32, 11), (DType::U64, 40), (DType::U8, 2)] {
        add(&mut b, &patchy(dtype.name(), dtype, 333, bits), &pack, None);
    }
    add(&mut b, &floats("uniform", DType::F32, &[9, 30]), &plan("uniform", &[("lorenzo", &[2])], "bitpack", &[]), Some(&abs(0.05)));
    add(&mut b, &Array::new("zeros", DType::U16, &[500], vec![0; 1000]), &pack, None);
    b.finish()
}

pub fn special(i: u64) -> f64 {
    match i % 13 {
        3 => f64::INFINITY,
        5 => f64::NEG_INFINITY,
        7 => -0.0,
        11 => 1e30 * (i as f64 + 1.0),
        _ => smooth(i),
    }
}

fn chains() -> Archive {
    let mut b = Builder::lossy("chains");
    let abs = abs(0.05);
    let bitshuffled = plan("order", &[("delta", &[]), ("bitshuffle", &[])], "zstd", &[3]);
    add(&mut b, &floats("bitshuffle", DType::F64, &[100]), &bitshuffled, None);
    let rounded = plan("bitround", &[("shuffle", &[])], "zstd", &[3]);
    add(&mut b, &floats("bitshuffled-rounded", DType::F32, &[10, 10]), &rounded, Some(&relative(1e-3)));
    let ordered = plan("order", &[], "pco", &[DType::U32.code(), 8]);
    add(&mut b, &floats("order-pco", DType::F32, &[10, 10]), &ordered, None);
    let cube = Array { block_shape: vec![4, 4, 4], ..floats("uniform-lorenzo", DType::F32, &[6, 7, 8]) };
    add(&mut b, &cube, &plan("uniform", &[("lorenzo", &[3])], "zstd", &[3]), Some(&abs));
    let wide = plan("uniform", &[("lorenzo", &[2])], "pco", &[DType::U16.code(), 8]);
    add(&mut b, &floats("uniform-pco", DType::F64, &[12, 12]), &wide, Some(&self::abs(0.01)));
    b.finish()
}

fn receipts() -> Archive {
    let mut b = Builder::lossy("receipts");
    let uniform = plan("uniform", &[], "zstd", &[3]);
    let bitround = plan("bitround", &[], "zstd", &[3]);
    add(&mut b, &floats("abs", DType::F32, &[40]), &uniform, Some(&abs(0.1)));
    let digits = Tolerance { bounds: vec![Bound::Digits(3)], limit: Limit::Relative(5e-4f64.next_down()), fill: Vec::new() };
    add(&mut b, &floats("digits", DType::F32, &[40]), &bitround, Some(&digits));
    // Words kept by `none` under a bound have a receipt too: nothing was lost, and that is shown.
    add(&mut b, &floats("none-under-bound", DType::F32, &[40]), &plan("none", &[], "zstd", &[3]), Some(&abs(0.1)));
    add(&mut b, &floats("pw-rel", DType::F64, &[40]), &bitround, Some(&relative(1e-4)));
    let (least, most) = (0..40).map(smooth).fold((f64::MAX, f64::MIN), |(least, most), x| (least.min(x), most.max(x)));
    let limit = (0.001 * (most - least).next_down()).next_down();
    let rel = Tolerance { bounds: vec![Bound::Rel(0.001)], limit: Limit::Abs(limit), fill: Vec::new() };
    add(&mut b, &floats("rel", DType::F64, &[40]), &uniform, Some(&rel));
    b.finish()
}

fn receipt_of_blocks() -> Archive {
    let mut b = Builder::lossy("receipt-of-blocks");
    let array = Array { block_shape: vec![3, 4], ..of_values("boxes", DType::F32, &[7, 9], special) };
    add(&mut b, &array, &plan("uniform", &[("lorenzo", &[2])], "zstd", &[3]), Some(&abs(0.05)));
    b.finish()
}

/// A good file and one whose block is as given; the block's place is the whole of `bad`.
pub fn with_bad(name: &str, dtype: DType, shape: &[u64], pipeline: PipelineRecord, payload: &[u8], exact_len: u64) -> Archive {
    let mut b = Builder::lossy(name);
    let array = counting("bad", dtype, shape);
    let entry = b.array_entry(&array, |_, bytes| Coded {
        pipeline: pipeline.clone(),
        payload: payload.to_vec(),
        exact_len,
        receipt: None,
        decoded: bytes.to_vec(),
    });
    b.entry(entry);
    b.array(&counting("good", DType::U8, &[5]));
    b.finish()
}

pub fn with_params(quantizer: (&str, &[u8]), transforms: Transforms<'_>, coder: &str, params: &[u8]) -> PipelineRecord {
    PipelineRecord { quantizer: stage(quantizer.0, quantizer.1), ..plan("", transforms, coder, params) }
}

pub fn uniform_params(step: f64, base: i64, width: u8) -> Vec<u8> {
    [&step.to_le_bytes()[..], &base.to_le_bytes(), &[width]].concat()
}

fn log_params(step: f64, lowest: i64, base: i64, width: u8) -> Vec<u8> {
    [&step.to_le_bytes()[..], &lowest.to_le_bytes(), &base.to_le_bytes(), &[width]].concat()
}

/// With even levels.
fn even_params(last: i64, origin: f64, distance: f64) -> Vec<u8> {
    [log_params(0.5, 0, 0, 4), last.to_le_bytes().into(), origin.to_le_bytes().into(), distance.to_le_bytes().into()].concat()
}

fn refused() -> Vec<Vector> {
    let words = [0; 64];
    let none = ("none", &[][..]);
    let step = uniform_params(0.5, 0, 4);
    let corrupt = |rule, name: &str, archive, note: &str| Vector::damaged(Kind::Corrupt, rule, name, archive, &["bad"], note);
    let unknown = |name: &str, pipeline, note: &str| {
        let archive = with_bad(name, DType::U8, &[64], pipeline, &words, 0);
        Vector::damaged(Kind::Unsupported, "EB-C01", name, archive, &["bad"], note)
    };
    let mut later = plan("none", &[], "store", &[]);
    later.coder.version = 2;
    let mut all = vec![
        unknown("quantizer", plan("example.org/guess", &[], "store", &[]), "an unknown quantizer costs the files that need it"),
        unknown(
            "transform",
            plan("none", &[("example.org/negate", &[])], "store", &[]),
            "an unknown transform costs the files that need it",
        ),
        unknown("coder", plan("none", &[], "example.org/magic", &[]), "an unknown coder costs the files that need it"),
        unknown("later-version", later, "another version of a stage is another stage"),
        unknown("empty-name", plan("none", &[], "", &[]), "no stage has an empty name"),
        unknown("quantizer-as-coder", plan("store", &[], "none", &[]), "stages of different sorts do not share names"),
    ];
    let mut c02 = |name: &str, dtype, coder: &str, params: &[u8], payload: &[u8], note: &str| {
        let archive = with_bad(&format!("c02-{name}"), dtype, &[16], plan("none", &[], coder, params), payload, 0);
        all.push(corrupt("EB-C02", name, archive, note));
    };
    let pco = {
        let values = Values::from_bytes(DType::U32, false, &[15], &words[..60]).expect("fifteen words");
        pipeline::encode(&Registry::core(), &plan("none", &[], "pco", &[DType::U32.code(), 8]), &values, None).expect("words").payload
    };
    c02("store-short", DType::U32, "store", &[], &words[..63], "store holds all words");
    c02("store-long", DType::U16, "store", &[], &words[..33], "store holds nothing but the words");
    c02("constant-two-words", DType::U16, "constant", &[], &words[..4], "constant holds one word");
    c02("constant-nothing", DType::U16, "constant", &[], &[], "constant holds one word");
    c02("zstd-garbage", DType::U8, "zstd", &[3], b"no zstd frame at all", "not a zstd frame");
    c02("zstd-empty", DType::U8, "zstd", &[3], b"", "not a zstd frame");
    c02("zstd-short", DType::U8, "zstd", &[3], &zstd(&words[..15]), "the frame holds fewer bytes than the words need");
    c02("zstd-long", DType::U8, "zstd", &[3], &zstd(&words[..17]), "the frame holds more bytes than the words need");
    c02("zstd-two-frames", DType::U8, "zstd", &[3], &[zstd(&words[..8]), zstd(&words[..8])].concat(), "exactly one frame");
    c02("zstd-rest", DType::U8, "zstd", &[3], &[&zstd(&words[..16])[..], b"x"].concat(), "nothing follows the frame");
    let lzma = |words: &[u8]| {
        let values = Values::from_bytes(DType::U8, false, &[words.len() as u64], words).expect("bytes");
        pipeline::encode(&Registry::core(), &plan("none", &[], "lzma", &[93, 6]), &values, None).expect("bytes").payload
    };
    c02("lzma-garbage", DType::U8, "lzma", &[93, 6], b"no stream", "the first byte of a stream is zero");
    c02("lzma-empty", DType::U8, "lzma", &[93, 6], b"", "a stream has at least five bytes");
    c02("lzma-short", DType::U8, "lzma", &[93, 6], &lzma(&words[..15]), "the stream holds fewer bytes than the words need");
    c02("lzma-long", DType::U8, "lzma", &[93, 6], &lzma(&words[..17]), "the stream holds more bytes than the words need");
    c02("lzma-rest", DType::U8, "lzma", &[93, 6], &[&lzma(&words[..16])[..], b"x"].concat(), "nothing follows the stream");
    c02("pco-garbage", DType::U32, "pco", &[DType::U32.code(), 8], b"pco!no", "not a pcodec file");
    c02("pco-empty", DType::U32, "pco", &[DType::U32.code(), 8], b"", "not a pcodec file");
    c02("pco-short", DType::U32, "pco", &[DType::U32.code(), 8], &pco, "the file holds fewer numbers than there are words");

    let classes = |thresholds: &[u64], files: &[&[u8]]| {
        let thresholds = thresholds.iter().flat_map(|threshold| threshold.to_le_bytes());
        let lengths = files.iter().flat_map(|file| (file.len() as u32).to_le_bytes());
        [&[files.len() as u8][..], &thresholds.chain(lengths).collect::<Vec<u8>>(), &files.concat()].concat()
    };
    let all_of = |n: usize| {
        let values = Values::from_bytes(DType::U32, false, &[n as u64], &words[..4 * n]).expect("so many words");
        pipeline::encode(&Registry::core(), &plan("none", &[], "pco", &[DType::U32.code(), 8]), &values, None).expect("words").payload
    };
    c02("classes-empty", DType::U32, "classes", &[1, 8], b"", "the number of classes has a byte");
    c02("classes-none", DType::U32, "classes", &[1, 8], &classes(&[], &[]), "there is a class at least");
    c02(
        "classes-many",
        DType::U32,
        "classes",
        &[1, 8],
        &classes(&[1, 2, 3, 4, 5, 6, 7, 8], &[&all_of(1)[..]; 9]),
        "there are at most 8 classes",
    );
    c02("classes-order", DType::U32, "classes", &[1, 8], &classes(&[2, 2], &[&all_of(16), &all_of(0), &all_of(0)]), "thresholds rise");
    c02(
        "classes-top",
        DType::U32,
        "classes",
        &[1, 8],
        &classes(&[(1 << 31) - 1], &[&all_of(16), &all_of(0)]),
        "a sum can be above every threshold",
    );
    c02(
        "classes-short",
        DType::U32,
        "classes",
        &[1, 8],
        &classes(&[], &[&all_of(15)]),
        "the files hold fewer numbers than there are words",
    );
    c02(
        "classes-long",
        DType::U32,
        "classes",
        &[1, 8],
        &[&classes(&[], &[&all_of(16)])[..], b"x"].concat(),
        "nothing follows the last file",
    );
    c02(
        "classes-other",
        DType::U32,
        "classes",
        &[1, 8],
        &classes(&[5], &[&all_of(14), &all_of(2)]),
        "words without neighbours are of the first class",
    );

    // One group of 16 words and their patches, and whatever follows.
    let group = |heads: &[u8], rest: &[u8]| {
        let heads = zstd(heads);
        [&(heads.len() as u32).to_le_bytes(), &heads[..], rest].concat()
    };
    c02("bitpack-empty", DType::U16, "bitpack", &[], b"", "the length has four bytes");
    c02("bitpack-length", DType::U16, "bitpack", &[], &[255, 255, 255, 255, 0], "heads are inside the bytes");
    c02("bitpack-heads", DType::U16, "bitpack", &[], &group(&[1, 0], &words[..8]), "three bytes of heads for each group");
    c02("bitpack-short", DType::U16, "bitpack", &[], &group(&[1, 0, 0], &words[..7]), "eight bytes for each bit of low parts");
    c02("bitpack-long", DType::U16, "bitpack", &[], &group(&[1, 0, 0], &words[..9]), "nothing follows the last group");
    c02("bitpack-width", DType::U16, "bitpack", &[], &group(&[1, 16, 1], &words[..11]), "low and high parts fit a word");
    c02("bitpack-patches", DType::U16, "bitpack", &[], &group(&[0, 1, 64], &words[..56]), "at most 63 patches");
    c02("bitpack-no-high", DType::U16, "bitpack", &[], &group(&[1, 0, 1], &words[..9]), "patches have bits");
    c02("bitpack-no-patches", DType::U16, "bitpack", &[], &group(&[1, 1, 0], &words[..8]), "without patches they have no bits");

    let log = log_params(0.5, 0, 0, 4);
    for (name, quantizer) in [("uniform", ("uniform", &step[..])), ("bitround", ("bitround", &[3][..])), ("log", ("log", &log[..]))] {
        let archive = with_bad(&format!("c03-{name}"), DType::I32, &[16], with_params(quantizer, &[], "store", &[]), &words, 0);
        all.push(corrupt("EB-C03", &format!("{name}-of-integers"), archive, "a lossy quantizer serves floating-point types only"));
    }

    let mut c04 = |name: &str, pipeline, note: &str| {
        let archive = with_bad(&format!("c04-{name}"), DType::F32, &[4, 4], pipeline, &words, 0);
        all.push(corrupt("EB-C04", name, archive, note));
    };
    let steps = [("zero", 0.0), ("negative", -1.0), ("nan", f64::NAN), ("infinite", f64::INFINITY)];
    for (name, value) in steps {
        let params = uniform_params(value, 0, 4);
        c04(&format!("uniform-step-{name}"), with_params(("uniform", &params), &[], "store", &[]), "a step is a positive finite number");
    }
    c04("uniform-width", with_params(("uniform", &uniform_params(0.5, 0, 3)), &[], "store", &[]), "codes have 1, 2, 4 or 8 bytes");
    c04("uniform-short", with_params(("uniform", &step[..16]), &[], "store", &[]), "uniform has 17 bytes of parameters");
    for (name, value) in steps {
        let params = log_params(value, 0, 0, 4);
        c04(&format!("log-step-{name}"), with_params(("log", &params), &[], "store", &[]), "a step is a positive finite number");
    }
    c04("log-lowest", with_params(("log", &log_params(0.5, -(1 << 50) - 1, 0, 4)), &[], "store", &[]), "levels are within 2^50");
    c04("log-width", with_params(("log", &log_params(0.5, 0, 0, 5)), &[], "store", &[]), "codes have 1, 2, 4 or 8 bytes");
    c04("log-long", with_params(("log", &[&log[..], &[0]].concat()), &[], "store", &[]), "log has 25 or 49 bytes of parameters");
    for (name, params) in [
        ("last", even_params(1 << 51, 1.0, 1.0)),
        ("origin", even_params(3, f64::INFINITY, 1.0)),
        ("distance", even_params(3, 1.0, 0.0)),
        ("distance-nan", even_params(3, 1.0, f64::NAN)),
    ] {
        c04(&format!("log-even-{name}"), with_params(("log", &params), &[], "store", &[]), "even levels are where levels can be");
    }
    c04("classes-axes", with_params(none, &[], "classes", &[3, 8]), "a row has no more axes than there are");
    c04("classes-level", with_params(none, &[], "classes", &[1]), "classes has two bytes of parameters");
    c04("bitpack-params", with_params(none, &[], "bitpack", &[0]), "bitpack has no parameters");
    c04("bitround-keep", with_params(("bitround", &[24]), &[], "store", &[]), "binary32 has 23 fraction bits");
    c04("bitround-none", with_params(("bitround", &[]), &[], "store", &[]), "bitround has one byte of parameters");
    let order_params = |unit: u64, width| [&7u64.to_le_bytes()[..], &unit.to_le_bytes(), &[width]].concat();
    c04("order-short", with_params(("order", &[0; 16]), &[], "store", &[]), "order has 17 bytes of parameters");
    c04("order-unit", with_params(("order", &order_params(0, 4)), &[], "store", &[]), "no unit is 0");
    c04("order-width", with_params(("order", &order_params(1, 3)), &[], "store", &[]), "no code has three bytes");
    for (name, n) in [("short", &[1, 0, 0][..]), ("empty", &[0; 4]), ("large", &[1, 0, 1, 0])] {
        c04(&format!("palette-{name}"), with_params(("palette", n), &[], "store", &[]), "a palette lists 1 to 65,536 numbers");
    }
    c04("none-params", with_params(("none", &[0]), &[], "store", &[]), "none has no parameters");
    for name in ["delta", "shuffle", "bitshuffle"] {
        c04(&format!("{name}-params"), with_params(none, &[(name, &[0])], "store", &[]), "this transform has no parameters");
    }
    for (name, axes) in [("no-axes", 0), ("three-axes-of-two", 3), ("five-axes", 5)] {
        c04(
            &format!("lorenzo-{name}"),
            with_params(none, &[("lorenzo", &[axes])], "store", &[]),
            "one to four axes, no more than there are",
        );
    }
    c04("store-params", with_params(none, &[], "store", &[1]), "store has no parameters");
    c04("constant-params", with_params(none, &[], "constant", &[1]), "constant has no parameters");
    c04("lzma-params", with_params(none, &[], "lzma", &[93]), "lzma has two bytes of parameters");
    c04("lzma-contexts", with_params(none, &[], "lzma", &[94 + 4, 6]), "lc and lp are at most 4 together");
    c04("lzma-position", with_params(none, &[], "lzma", &[225, 6]), "pb is at most 4");
    c04("zstd-params", with_params(none, &[], "zstd", &[]), "zstd has one byte of parameters");
    c04("pco-other-width", with_params(none, &[], "pco", &[DType::U64.code(), 8]), "pco's number type is as wide as the words");
    c04("pco-no-number", with_params(none, &[], "pco", &[DType::C64.code(), 8]), "pco takes no complex numbers");
    c04("pco-unknown-type", with_params(none, &[], "pco", &[200, 8]), "no such type");
    let list = with_params(("palette", &[2, 0, 0, 0, 1, 2]), &[], "store", &[]);
    let archive = with_bad("c04-palette-list", DType::U8, &[16], list, &words[..16], 0);
    all.push(corrupt("EB-C04", "palette-list", archive, "a palette's numbers are a pco file"));
    all.push(unused_block());
    all
}

/// A block that no entry needs is decoded by a verifier all the same.
fn unused_block() -> Vector {
    let mut b = Builder::new("unused");
    let bytes = swapped(DType::U8, false, &[1, 2, 3]);
    let mut block = stored(0, errbar_format::record::BlockPlace::Shared, DType::U8, &[3], &bytes);
    block.decoded_hash[0] ^= 1;
    b.block(&block, &bytes);
    b.entry(file("empty", vec![], vec![], b""));
    let archive = b.finish();
    Vector::damaged(Kind::Corrupt, "EB-B04", "unused-block", archive, &[], "a verifier decodes blocks that no entry uses, too")
}
