//! Exact values: words that are absent, words that are patched, and lists of them that make no sense.

use errbar_codec::Tolerance;
use errbar_format::{DType, Kind};

use super::stages::{abs, add, of_values, plan, relative, smooth, special, uniform_params, with_bad, with_params};
use crate::builder::{Archive, Builder, zstd};
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    let mut all = vec![
        Vector::accept(
            "stage-exact-values",
            exacts(),
            "NaN payloads, infinities, huge values and -0 beside codes, and differences to what codes give",
        ),
        Vector::accept("exact-masks", masks(), "absent words in arrays of no to four dimensions, alike and not, in rows longer than a run"),
    ];
    all.extend(refused());
    all
}

fn exacts() -> Archive {
    let mut b = Builder::lossy("exact");
    let mut array = of_values("abs", DType::F64, &[60], special);
    array.bytes[16..24].copy_from_slice(&0x7FF0_0000_0000_0001u64.to_le_bytes());
    array.bytes[472..480].copy_from_slice(&0xFFF8_DEAD_BEEF_0000u64.to_le_bytes());
    add(&mut b, &array, &plan("uniform", &[("delta", &[])], "zstd", &[3]), Some(&abs(0.01)));
    // The larger numbers, which are few, are off the limit by a word where rounding puts them there.
    let coarse = of_values("differences", DType::F16, &[500], |i| if i % 11 == 0 { 0.75 } else { 0.375 } + smooth(i) / 512.0);
    add(&mut b, &coarse, &plan("uniform", &[], "zstd", &[3]), Some(&abs(3.4e-4)));
    let filled = of_values("fill", DType::F32, &[50], |i| if i % 4 == 1 { MISSING.into() } else { smooth(i) });
    add(&mut b, &filled, &plan("uniform", &[], "zstd", &[3]), Some(&missing(0.01)));
    let nothing_fits = of_values("only-exact", DType::F64, &[5], |_| f64::INFINITY);
    add(&mut b, &nothing_fits, &plan("uniform", &[], "constant", &[]), Some(&abs(0.01)));
    add(&mut b, &of_values("pw-rel", DType::F32, &[60], special), &plan("bitround", &[], "zstd", &[3]), Some(&relative(0.01)));
    b.finish()
}

const MISSING: f32 = 1e20;

/// A bound with [`MISSING`] for values that are not there.
fn missing(limit: f64) -> Tolerance {
    Tolerance { fill: vec![MISSING.to_bits().into()], ..abs(limit) }
}

/// Whether a point of rows of `width` is on land: blots, the same in every slice but for a corner.
fn is_land(i: u64, width: u64, height: u64) -> bool {
    let (x, y, slice) = (i % width, i / width % height, i / width / height);
    let blot = |cx: u64, cy: u64, r: u64| x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < r * r;
    blot(width / 3, height / 2, height / 3) || (blot(width.saturating_sub(3), 2, 4) && slice % 3 != 1) || (x * 31 + y * 17) % 53 == 0
}

fn masks() -> Archive {
    let mut b = Builder::lossy("masks");
    let uniform = plan("uniform", &[], "zstd", &[3]);
    let lorenzo = plan("uniform", &[("lorenzo", &[1])], "zstd", &[3]);
    add(&mut b, &of_values("0d", DType::F32, &[], |_| f64::NAN), &uniform, Some(&abs(0.01)));
    let line = of_values("1d", DType::F32, &[100], |i| if i / 7 % 3 == 0 { MISSING.into() } else { smooth(i) });
    add(&mut b, &line, &uniform, Some(&missing(0.01)));
    let plane = of_values("2d", DType::F64, &[30, 70], |i| if is_land(i, 70, 30) { f64::NAN } else { smooth(i) });
    add(&mut b, &plane, &lorenzo, Some(&abs(0.5)));
    let slices = of_values("3d", DType::F32, &[4, 12, 1, 45], |i| if is_land(i, 45, 12) { MISSING.into() } else { smooth(i) });
    add(&mut b, &slices, &lorenzo, Some(&missing(0.5)));
    let pairs = of_values("complex", DType::C64, &[2, 9, 11], |i| if is_land(i, 2, 11) { f64::INFINITY } else { smooth(i) });
    add(&mut b, &pairs, &uniform, Some(&abs(0.5)));
    // Fill values, infinities of both signs and NaN with payloads: absent words that differ.
    let mut mixed = of_values("mixed-and-patched", DType::F32, &[3, 50], |i| match i % 11 {
        3 => f64::INFINITY,
        4 => f64::NEG_INFINITY,
        7 => MISSING.into(),
        9 => smooth(i) * 1e19,
        _ => smooth(i),
    });
    mixed.bytes[12..16].copy_from_slice(&0x7FC0_BEEFu32.to_le_bytes());
    add(&mut b, &mixed, &uniform, Some(&missing(0.01)));
    b.finish()
}

/// A block of sixteen binary32, and exact values of one's own behind its codes.
fn refused() -> Vec<Vector> {
    let (words, step, mut all) = ([0; 64], uniform_params(0.5, 0, 4), Vec::new());
    let mut c05 = |name: &str, exact: &[u8], exact_len: u64, note: &str| {
        let payload = [&words[..], exact].concat();
        let pipeline = with_params(("uniform", &step), &[], "store", &[]);
        let archive = with_bad(&format!("c05-{name}"), DType::F32, &[16], pipeline, &payload, exact_len);
        all.push(Vector::damaged(Kind::Corrupt, "EB-C05", name, archive, &["bad"], note));
    };
    let plain = |words: &[u32]| zstd(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
    let patches = |count: u64, words: &[u32]| [&[2], &count.to_le_bytes()[..], &plain(words)].concat();
    // Bytes that stand for zeros alone mean that all words are absent.
    let absent = |mask: &[u8], form: &[u8]| [&[1], &(mask.len() as u32).to_le_bytes()[..], mask, form].concat();
    let several = |words: &[u32]| [&[0], &(plain(words).len() as u32).to_le_bytes()[..], &plain(words)].concat();
    let mut list = |name: &str, bytes: Vec<u8>, note: &str| c05(name, &bytes, bytes.len() as u64, note);
    list("no-flags", vec![0], "exact values that are none are left out");
    list("unknown-flag", vec![8], "three flags");
    list("differences-of-none", [&[5], &absent(&[], &[1, 0, 0, 0, 0])[1..]].concat(), "differences are of patches");
    list("no-count", patches(0, &[]), "an empty list of patches is left out");
    list("count-too-large", patches(17, &[0; 34]), "no more patches than words");
    list("count-huge", patches(1 << 40, &[0, 0]), "no more patches than words");
    list("position", patches(2, &[10, 5, 0, 0]), "the second position is one past the last word");
    list("too-few-bytes", patches(2, &[0, 0, 0]), "four bytes of position and a word for each");
    list("too-many-bytes", patches(1, &[0, 0, 0]), "nothing follows the last word");
    list("no-frame", [&[2], &1u64.to_le_bytes()[..], b"garbage"].concat(), "not a zstd frame");
    list("two-bytes", vec![2, 1, 0], "the count has eight bytes");
    list("rest", [&patches(1, &[0, 0])[..], b"x"].concat(), "nothing follows the zstd frame");
    list("no-mask-length", vec![1, 0, 0], "the length of the mask has four bytes");
    list("mask-too-long", vec![1, 255, 255, 255, 255, 0], "the mask is inside the bytes");
    list("nothing-absent", absent(&[255; 8], &[1, 0, 0, 0, 0]), "a mask of no absent word is left out");
    list("no-form", absent(&[], &[]), "the form follows the mask");
    list("unknown-form", absent(&[], &[2, 0, 0, 0, 0]), "absent words are alike, or each its own");
    list("half-a-word", absent(&[], &[1, 0, 0]), "the absent word is whole");
    list("too-few-absent", absent(&[], &several(&[7; 15])), "as many words as are absent");
    list("too-many-absent", absent(&[], &several(&[7; 17])), "as many words as are absent");
    list("absent-no-frame", absent(&[], &[0, 3, 0, 0, 0, 1, 2, 3]), "not a zstd frame");
    list("absent-too-long", absent(&[], &[0, 255, 0, 0, 0, 1, 2, 3]), "the frame is inside the bytes");
    list("behind-absent", absent(&[], &[1, 0, 0, 0, 0, 9]), "nothing follows the absent words");
    c05("longer-than-payload", &[], 65, "exact values are the end of the payload");
    all
}
