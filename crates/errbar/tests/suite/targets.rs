//! Bounds that hold together, targets for whole variables, and bounds on ranges of values: judged by
//! sums of their own.

use std::fs;
use std::path::Path;

use errbar::record::Limit;
use errbar::{Array, Bound, Comparer, DType, Mode, PackReport, Packer, Policy};

use crate::support::{Random, field, open, pack_with};

/// Packs one array as `a.npy`.
fn packed(folder: &Path, array: &Array, rule: &str, mode: Mode) -> (Vec<u8>, PackReport) {
    fs::write(folder.join("a.npy"), array.to_npy()).expect("written");
    let mut policy = Policy::lossless();
    policy.add(rule).expect(rule);
    let mut bytes = Vec::new();
    let report = Packer::new().policy(policy).mode(mode).threads(2).pack(folder, &mut bytes).expect("packed");
    (bytes, report)
}

fn f64s(array: &Array) -> Vec<f64> {
    let words = array.bytes.as_chunks().0.iter().map(|&word| f64::from_le_bytes(word));
    match array.dtype {
        DType::F64 => words.collect(),
        _ => array.bytes.as_chunks().0.iter().map(|&word| f64::from(f32::from_le_bytes(word))).collect(),
    }
}

fn array(shape: &[u64], values: impl IntoIterator<Item = f64>) -> Array {
    let bytes = values.into_iter().flat_map(|x| (x as f32).to_le_bytes()).collect();
    Array { dtype: DType::F32, big_endian: false, column_major: false, shape: shape.to_vec(), bytes }
}

/// What the numbers of an array, and their errors, come to.
struct Figures {
    range: f64,
    power: f64,
    error: f64,
    count: f64,
}

fn figures(original: &[f64], restored: &[f64], fill: f64) -> Figures {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    let mut figures = Figures { range: 0.0, power: 0.0, error: 0.0, count: 0.0 };
    for (&x, &y) in original.iter().zip(restored) {
        if !x.is_finite() || x == fill {
            assert_eq!(x.to_bits(), y.to_bits(), "missing values keep every bit");
            continue;
        }
        (least, most) = (least.min(x), most.max(x));
        figures.power += x * x;
        figures.error += (x - y) * (x - y);
        figures.count += 1.0;
    }
    figures.range = if most > least { most - least } else { 0.0 };
    figures
}

/// Whether a target is met; where it allows nothing, nothing may be lost.
fn meets(bound: Bound, figures: &Figures, ratio: f64) -> bool {
    let Figures { range, power, error, count } = *figures;
    let rms = if count == 0.0 { 0.0 } else { (error / count).sqrt() };
    match bound {
        // What these sums and those of the program round differently is far below this.
        Bound::Psnr(db) => error == 0.0 || 20.0 * (range / rms).log10() >= db - 1e-9,
        Bound::Sqnr(db) => error == 0.0 || 10.0 * (power / error).log10() >= db - 1e-9,
        Bound::Rmse(most) => rms <= most * (1.0 + 1e-12),
        Bound::Ratio(least) => ratio >= least,
        _ => true,
    }
}

const FILL: f64 = -1e20f32 as f64;

/// Arrays of every kind that a search may stumble over.
fn arrays() -> Vec<(&'static str, Array)> {
    let mut random = Random(7);
    let mut noise = move || (random.next() >> 40) as f64 / f64::from(1 << 23) - 1.0;
    let smooth = |i: u64| (i as f64 * 0.01).sin() * 50.0 + (i / 100) as f64 * 0.3;
    let mut all = vec![("field", field(&[90, 100]))];
    all.push(("noise", array(&[4000], (0..4000).map(|_| noise()))));
    let holes = |i: u64| [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, FILL, FILL].get((i % 23) as usize).copied();
    all.push(("holes", array(&[70, 90], (0..6300).map(|i| holes(i).unwrap_or_else(|| smooth(i) + noise() * 0.1)))));
    all.push(("rounded", array(&[5000], (0..5000).map(|i| smooth(i).round()))));
    all.push(("constant", array(&[300], (0..300).map(|_| 2.5))));
    all.push(("zeros", array(&[300], (0..300).map(|_| 0.0))));
    all.push(("all missing", array(&[300], (0..300).map(|_| f64::NAN))));
    all.push(("spike", array(&[3000], (0..3000).map(|i| if i == 77 { 1e12 } else { noise() * 1e-3 }))));
    all.push(("tiny", array(&[2000], (0..2000).map(|_| noise() * 1e-39))));
    all.push(("one", array(&[1], [7.25])));
    all.push(("empty", array(&[0, 5], [])));
    let wide = (0..2000).flat_map(|_| (noise() * 1e300).to_le_bytes()).collect();
    all.push(("wide", Array { dtype: DType::F64, big_endian: false, column_major: false, shape: vec![2000], bytes: wide }));
    all
}

#[test]
fn targets_are_met_whatever_the_values() {
    let dir = tempfile::tempdir().expect("tmp");
    let targets = [Bound::Psnr(50.0), Bound::Psnr(7.5), Bound::Sqnr(30.0), Bound::Sqnr(0.5), Bound::Rmse(0.01), Bound::Rmse(1e-12)];
    for (name, array) in arrays() {
        for (i, target) in targets.into_iter().enumerate() {
            let rule = errbar::policy::bounds_text(&[target]);
            let mode = [Mode::Balanced, Mode::Fast, Mode::Small][i % 3];
            let (bytes, report) = packed(dir.path(), &array, &rule, mode);
            assert!(report.problems.is_empty(), "{name} {rule}: {:?}", report.problems);
            let archive = open(&bytes).expect("opens");
            let restored = archive.read_variable(b"a.npy", "", &[]).expect("there");
            if name == "wide" {
                // Squares of such numbers are beyond binary64.
                continue;
            }
            let found = figures(&f64s(&array), &f64s(&restored), FILL);
            let variable = &report.variables[0];
            assert!(meets(target, &found, 0.0), "{name} {rule}: {:?}", variable.receipt);
            if let Some(receipt) = &variable.receipt {
                assert_eq!(receipt.bounds, [target], "{name} {rule}");
                assert!(receipt.limit.absolute().is_some_and(|limit| receipt.max_error <= limit), "{name} {rule}");
            }
            let compared = Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
            assert!(compared.differences.is_empty(), "{name} {rule}: {:?}", compared.differences);
        }
    }
}

#[test]
fn targets_are_not_overdone() {
    let dir = tempfile::tempdir().expect("tmp");
    let mut random = Random(3);
    let noise: Vec<f64> = (0..600_000).map(|i| (i as f64 * 1e-4).sin() + (random.next() >> 44) as f64 * 1e-7).collect();
    let array = array(&[600, 1000], noise);
    for (rule, target) in [("psnr=55", Bound::Psnr(55.0)), ("sqnr=20", Bound::Sqnr(20.0)), ("rmse=1e-3", Bound::Rmse(1e-3))] {
        let (bytes, _) = packed(dir.path(), &array, rule, Mode::Fast);
        let restored = open(&bytes).expect("opens").read_variable(b"a.npy", "", &[]).expect("there");
        let found = figures(&f64s(&array), &f64s(&restored), FILL);
        let rms = (found.error / found.count).sqrt();
        assert!(meets(target, &found, 0.0), "{rule}");
        let over = match target {
            Bound::Psnr(db) => 20.0 * (found.range / rms).log10() - db,
            Bound::Sqnr(db) => 10.0 * (found.power / found.error).log10() - db,
            _ => 20.0 * (1e-3 / rms).log10(),
        };
        assert!(over < 0.05, "{rule}: {over} dB better than asked");
    }
}

#[test]
fn a_ratio_is_met_by_the_least_error_or_refused_with_the_nearest() {
    let dir = tempfile::tempdir().expect("tmp");
    for (name, array) in arrays() {
        for (i, least) in [1.01, 4.0, 9.0, 1e9].into_iter().enumerate() {
            let (bytes, report) = packed(dir.path(), &array, &format!("ratio={least}"), [Mode::Fast, Mode::Balanced][i % 2]);
            if let [problem] = &report.problems[..] {
                assert!(least > 1.01 || array.bytes.len() < 8192, "{name} {least}: {problem}");
                assert!(problem.what.contains("cannot be met") && problem.what.contains("give"), "{problem}");
                continue;
            }
            let variable = &report.variables[0];
            if variable.raw_bytes > 0 {
                assert!(variable.raw_bytes as f64 >= least * variable.coded_bytes as f64, "{name} {least}: {variable:?}");
            }
            let archive = open(&bytes).expect("opens");
            let compared = Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
            assert!(compared.differences.is_empty(), "{name} {least}: {:?}", compared.differences);
        }
    }
    // What the loss of nothing gives is not worth a loss.
    let zeros = array(&[90_000], (0..90_000).map(|i| f64::from(i / 30_000)));
    let (bytes, report) = packed(dir.path(), &zeros, "ratio=20", Mode::Balanced);
    assert!(report.variables[0].receipt.is_none());
    assert_eq!(open(&bytes).expect("opens").read_file(b"a.npy").expect("there"), zeros.to_npy());
}

#[test]
fn bounds_hold_together() {
    let dir = tempfile::tempdir().expect("tmp");
    let mut random = Random(11);
    let numbers = (0..40_000).map(|i| {
        let scale = [1e-3, 1.0, 50.0, 1e4][i / 10_000];
        let x = ((i as f64) * 0.003).sin() * scale + (random.next() >> 50) as f64 * 1e-5 * scale;
        if i % 1000 == 5 { 0.0 } else { x }
    });
    let array = array(&[200, 200], numbers);
    for (rule, absolute, relative) in
        [("abs=0.1,pw_rel=1e-2", 0.1, 1e-2), ("digits=3,abs=0.5", 0.5, 5e-3), ("pw_rel=1e-1,psnr=60", 1e9, 0.1)]
    {
        for mode in [Mode::Fast, Mode::Balanced, Mode::Small] {
            let (bytes, report) = packed(dir.path(), &array, rule, mode);
            let archive = open(&bytes).expect("opens");
            let restored = archive.read_variable(b"a.npy", "", &[]).expect("there");
            for (x, y) in f64s(&array).into_iter().zip(f64s(&restored)) {
                assert!((x - y).abs() <= (relative * x.abs()).min(absolute), "{rule}: {x} became {y}");
            }
            let receipt = report.variables[0].receipt.as_ref().expect("a loss");
            assert!(matches!(receipt.limit, Limit::Both { .. }) && receipt.bounds.len() == 2, "{receipt:?}");
            assert!(receipt.max_error > 0.0, "{rule}");
            let compared = Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
            assert!(compared.differences.is_empty(), "{rule}: {:?}", compared.differences);
        }
    }
}

#[test]
fn values_in_a_range_have_their_own_bound() {
    let dir = tempfile::tempdir().expect("tmp");
    // Large enough for several blocks; only the last has values above 300.
    let array = array(&[2000, 700], (0..1_400_000).map(|i| 250.0 + f64::from(i) * 4e-5 + (f64::from(i) * 0.05).sin()));
    let (bytes, report) = packed(dir.path(), &array, "abs=0.1,where(>300)=abs=0.001", Mode::Balanced);
    let archive = open(&bytes).expect("opens");
    let restored = archive.read_variable(b"a.npy", "", &[]).expect("there");
    let mut loose = 0f64;
    for (x, y) in f64s(&array).into_iter().zip(f64s(&restored)) {
        assert!((x - y).abs() <= if x > 300.0 { 0.001 } else { 0.1 }, "{x} became {y}");
        loose = loose.max((x - y).abs());
    }
    assert!(loose > 0.05);
    assert_eq!(report.variables[0].receipt.as_ref().map(|receipt| receipt.limit), Some(Limit::Abs(0.1)));
    let limits: Vec<Option<f64>> =
        (0..archive.n_blocks()).filter_map(|n| archive.block(n).expect("there").receipt).map(|r| r.limit.absolute()).collect();
    assert!(limits.contains(&Some(0.1)) && limits.contains(&Some(0.001)), "{limits:?}");
    let compared = Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
    assert!(compared.differences.is_empty(), "{:?}", compared.differences);
    // Against other originals the values above 300 are judged by their own bound.
    let moved = f64s(&restored).into_iter().map(|x| if x > 301.0 { x + 0.002 } else { x + 0.02 });
    fs::write(dir.path().join("a.npy"), self::array(&[2000, 700], moved).to_npy()).expect("written");
    let compared = Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
    let above = f64s(&restored).into_iter().filter(|x| *x > 301.0).count() as u64;
    let outside = compared.variables[0].violations;
    assert!(outside >= above && outside < above + 50_000, "{outside} of {above}");
}

#[test]
fn a_missed_target_is_a_difference() {
    let dir = tempfile::tempdir().expect("tmp");
    let array = array(&[100, 100], (0..10_000).map(|i| (f64::from(i) * 0.01).sin()));
    let (bytes, _) = packed(dir.path(), &array, "psnr=40", Mode::Balanced);
    let archive = open(&bytes).expect("opens");
    let restored = f64s(&archive.read_variable(b"a.npy", "", &[]).expect("there"));
    let further = f64s(&array).into_iter().zip(restored).map(|(x, y)| if x > y { x + 0.004 } else { x - 0.004 });
    fs::write(dir.path().join("a.npy"), self::array(&[100, 100], further).to_npy()).expect("written");
    let compared = Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
    assert!(compared.differences.iter().any(|e| e.what.contains("psnr=40")), "{:?}", compared.differences);
}

#[test]
fn a_target_gives_the_same_archive_whatever_the_threads() {
    let dir = tempfile::tempdir().expect("tmp");
    fs::write(dir.path().join("a.npy"), field(&[1400, 900]).to_npy()).expect("written");
    for rule in ["psnr=60", "ratio=12"] {
        let alone = pack_with(dir.path(), &[rule], 1);
        assert!(alone == pack_with(dir.path(), &[rule], 3), "{rule}");
    }
}
