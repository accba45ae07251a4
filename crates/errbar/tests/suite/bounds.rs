use std::fs;

use errbar::{Comparer, DType, Packer, Policy};

use crate::support::{field, open, pack};

fn f32s(npy: &[u8]) -> Vec<f32> {
    npy[128..].as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
}

#[test]
fn values_are_within_the_bound_and_missing_ones_keep_every_bit() {
    let dir = tempfile::tempdir().expect("tmp");
    let array = field(&[300, 400]);
    fs::write(dir.path().join("T.npy"), array.to_npy()).expect("written");
    let original = f32s(&array.to_npy());
    let finite = |v: &&f32| v.is_finite();
    let range =
        original.iter().filter(finite).copied().fold(f32::MIN, f32::max) - original.iter().filter(finite).copied().fold(f32::MAX, f32::min);
    let cases: [(&str, &dyn Fn(f64) -> f64); 5] = [
        ("abs=0.01", &|_| 0.01),
        ("rel=1e-3", &|_| 1e-3 * f64::from(range)),
        ("pw_rel=1e-2", &|x| 1e-2 * x.abs()),
        ("pw_rel=1e-4", &|x| 1e-4 * x.abs()),
        ("digits=3", &|x| 0.5 * 10f64.powf(x.abs().log10().floor() - 2.0)),
    ];
    for (rule, limit) in cases {
        let bytes = pack(dir.path(), &[rule]);
        let archive = open(&bytes).expect("opens");
        let restored = f32s(&archive.read_file(b"T.npy").expect("there"));
        assert!(bytes.len() * 2 < array.bytes.len(), "{rule}: {} bytes", bytes.len());
        for (x, y) in original.iter().zip(&restored) {
            match x.is_finite() {
                true => assert!((f64::from(*x) - f64::from(*y)).abs() <= limit(f64::from(*x)), "{rule}: {x} became {y}"),
                false => assert_eq!(x.to_bits(), y.to_bits(), "{rule}"),
            }
        }
        let compared = Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
        assert!(compared.differences.is_empty(), "{rule}: {:?}", compared.differences);
        let found = &compared.variables[0];
        assert!(found.violations == 0 && !found.bounds.is_empty(), "{rule}: {found:?}");
        assert!(found.max_error > 0.0, "{rule}: {found:?}");
        assert!(!Comparer::new().tree(&archive, dir.path()).expect("readable").differences.is_empty(), "{rule}");
    }
}

#[test]
fn receipts_are_in_blocks_entries_and_the_report() {
    let dir = tempfile::tempdir().expect("tmp");
    fs::write(dir.path().join("T.npy"), field(&[1400, 900]).to_npy()).expect("written");
    let mut policy = Policy::lossless();
    policy.add("abs=0.5").expect("a rule");
    let mut bytes = Vec::new();
    let report = Packer::new().policy(policy).pack(dir.path(), &mut bytes).expect("packed");
    let receipt = report.variables[0].receipt.as_ref().expect("lossy");
    assert!(receipt.max_error > 0.1 && receipt.max_error <= 0.5 && receipt.non_finite > 6000);
    let archive = open(&bytes).expect("opens");
    let blocks: Vec<_> = (0..archive.n_blocks()).filter_map(|n| archive.block(n).expect("there").receipt).collect();
    assert!(blocks.len() > 1);
    assert_eq!(blocks.iter().map(|r| r.finite + r.non_finite).sum::<u64>(), 1_260_000);
    assert_eq!(blocks.iter().map(|r| r.max_error).fold(0.0, f64::max), receipt.max_error);
}

#[test]
fn without_a_rule_for_it_a_file_is_exact() {
    let dir = tempfile::tempdir().expect("tmp");
    fs::write(dir.path().join("T.npy"), field(&[30, 40]).to_npy()).expect("written");
    fs::write(dir.path().join("p.npy"), field(&[30, 40]).to_npy()).expect("written");
    let archive = open(&pack(dir.path(), &["T.npy=abs=1"])).expect("opens");
    assert_eq!(archive.read_file(b"p.npy").expect("there"), fs::read(dir.path().join("p.npy")).expect("there"));
    assert_ne!(archive.read_file(b"T.npy").expect("there"), fs::read(dir.path().join("T.npy")).expect("there"));
}

#[test]
fn a_declared_raw_file_is_an_array() {
    let dir = tempfile::tempdir().expect("tmp");
    let array = field(&[50, 60]);
    fs::write(dir.path().join("wind.f32"), [&b"head"[..], &array.bytes].concat()).expect("written");
    let mut policy = Policy::lossless();
    policy
        .add_toml("[[rule]]\nmatch = '*.f32'\nraw = { dtype = 'f32', shape = [50, 60], offset = 4 }\nbound = 'abs=0.1'")
        .expect("a policy");
    let mut bytes = Vec::new();
    Packer::new().policy(policy).pack(dir.path(), &mut bytes).expect("packed");
    let archive = open(&bytes).expect("opens");
    let found = archive.read_variable(b"wind.f32", "", &[]).expect("there");
    assert_eq!((found.dtype, &found.shape[..]), (DType::F32, &[50u64, 60][..]));
    assert_eq!(archive.read_file(b"wind.f32").expect("there")[..4], *b"head");
}
