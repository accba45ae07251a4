//! Words that repeat others before them.

use errbar_codec::float::Float;
use errbar_codec::quantizer::Order;
use errbar_codec::transform::FloatLinear;
use errbar_codec::{Registry, Tolerance, Values, pipeline};
use errbar_format::{DType, Kind};

use super::stages::{abs, add, of_values, plan, with_bad, with_params};
use crate::builder::{Archive, Builder};
use crate::content::Array;
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    let mut all = vec![Vector::accept(
        "stage-repeat",
        repeats(),
        "labels, corners, indices and meshes of every width, before predictors and not, some words absent",
    )];
    all.extend(refused());
    all
}

/// Each word repeats the one before it.
const EACH: [u8; 6] = [1, 1, 0, 0, 0, 0x80];

/// Anything, the same for the same number.
fn any(i: u64) -> u64 {
    (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

/// Words of which each is what `number` makes of its place.
fn array(path: &str, dtype: DType, shape: &[u64], number: impl Fn(u64) -> u64) -> Array {
    let n = shape.iter().product::<u64>();
    Array::new(path, dtype, shape, (0..n).flat_map(|i| number(i).to_le_bytes()[..dtype.size()].to_vec()).collect())
}

fn repeats() -> Archive {
    let mut b = Builder::lossy("repeat");
    let before = |quantizer: &str, predictor: &str, coder: &str| plan(quantizer, &[("repeat", &[]), (predictor, &[])], coder, &[]);
    // Regions of 11 by 7 in slices of 40 by 30 that hardly change.
    let region = |i: u64| any(i % 40 / 11 + 9 * (i / 40 % 30 / 7) + u64::from(i % 97 == 3) * i);
    let corner = |i: u64| 0.01 * (i / 60 + i % 4 / 2) as f64 + 0.3 * (i % 60 / 4 + i % 4 % 2) as f64;
    add(&mut b, &of_values("corners", DType::F32, &[20, 15, 4], corner), &before("order", "linear", "carith"), None);
    let forgotten = plan("order", &[("repeat", &[]), ("rotate", &[]), ("linear", &[])], "crans", &[]);
    add(&mut b, &of_values("corners-forgotten", DType::F32, &[20, 15, 4], corner), &forgotten, None);
    let rotated = plan("order", &[("rotate", &[]), ("repeat", &[]), ("linear", &[])], "crans", &[]);
    add(&mut b, &of_values("corners-rotated", DType::F32, &[20, 15, 4], corner), &rotated, None);
    let mesh = |i: u64| 100.0 / (1 + i / 3 + any(i / 3) % 5) as f64;
    let holed = |i: u64| if i % 41 < 9 { f64::NAN } else { mesh(i / 4) };
    let exact = Tolerance::exact(vec![(f32::NAN).to_bits().into()]);
    add(&mut b, &of_values("holed", DType::F32, &[5, 200], holed), &before("order", "linear", "crans"), Some(&exact));
    for dtype in [DType::I16, DType::U32, DType::U8] {
        let labels = array(&format!("labels-{}", dtype.name()), dtype, &[4, 30, 40], region);
        add(&mut b, &labels, &before("order", "linear", "crans"), None);
    }
    let few = |i: u64| (region(i) % 64) as f64;
    add(&mut b, &of_values("lossy", DType::F32, &[30, 40], few), &before("uniform", "linear", "crans"), Some(&abs(0.5)));
    for (dtype, float) in [(DType::F16, Float::F16), (DType::F32, Float::F32), (DType::F64, Float::F64)] {
        let mut pack = before("order", "flinear", "carith");
        pack.quantizer.params = Order::whole(dtype);
        pack.transforms[1].params = FloatLinear::wanted(float);
        add(&mut b, &of_values(&format!("mesh-{}", dtype.name()), dtype, &[700], mesh), &pack, None);
    }
    add(&mut b, &array("nothing", DType::U16, &[9, 11], any), &plan("none", &[("repeat", &[0])], "store", &[]), None);
    add(&mut b, &array("stored", DType::U64, &[4, 30, 40], region), &plan("none", &[("repeat", &[])], "store", &[]), None);
    let triangle = |i: u64| if i.is_multiple_of(3) { i / 3 } else { (i / 3 + 1).saturating_sub(any(i) % 3) };
    add(&mut b, &array("triangles", DType::I32, &[300, 3], triangle), &before("order", "linear", "crans"), None);
    b.finish()
}

fn refused() -> Vec<Vector> {
    let mut all = Vec::new();
    let mut c04 = |name: &str, pipeline, note: &str| {
        let archive = with_bad(&format!("c04-{name}"), DType::U8, &[16], pipeline, &[0; 16], 0);
        all.push(Vector::damaged(Kind::Corrupt, "EB-C04", name, archive, &["bad"], note));
    };
    let thirteen: Vec<u8> = [&[13][..], &[1, 0, 0, 0].repeat(13)].concat();
    for (name, params, note) in [
        ("none", &[][..], "repeat has parameters"),
        ("short", &[2, 1, 0, 0, 0, 2, 0, 0], "two distances are eight bytes"),
        ("many", &thirteen, "there are at most twelve distances"),
        ("itself", &[1, 0, 0, 0, 0], "no word repeats itself"),
    ] {
        c04(&format!("repeat-{name}"), with_params(("none", &[]), &[("repeat", params)], "store", &[]), note);
    }
    let taken = with_params(("none", &[]), &[("repeat", &EACH), ("delta", &[])], "store", &[]);
    c04("repeat-delta", taken, "delta does not keep the words that repeat leaves out");

    // Word 31 is absent; the run behind it repeats it.
    let holed = of_values("", DType::F32, &[64], |i| if i == 31 { f64::NAN } else { 1.0 });
    let values = Values::from_bytes(DType::F32, false, &[64], &holed.bytes).expect("64 floats");
    let exact = Tolerance::exact(Vec::new());
    let good = pipeline::encode(&Registry::core(), &plan("order", &[], "store", &[]), &values, Some(&exact)).expect("floats");
    let mut repeated = good.pipeline;
    repeated.transforms = plan("", &[("repeat", &EACH)], "", &[]).transforms;
    let archive = with_bad("c04-repeat-absent", DType::F32, &[64], repeated, &good.payload, good.exact_len);
    all.push(Vector::damaged(Kind::Corrupt, "EB-C04", "repeat-absent", archive, &["bad"], "an absent word is not repeated"));
    all
}
