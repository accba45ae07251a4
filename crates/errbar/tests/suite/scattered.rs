//! Bounds on arrays in records and chunks: values within them, everything else as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use errbar::{Array, Comparer, Mode, Packer, Policy};
use errbar_dissect::{Holds, Layout, dissect, dissectors};
use errbar_format::record::{Body, Segment};

use crate::support::{open, pack_with, unpack};

/// Packs the samples of formats whose names begin with one of `starts`.
fn packed(starts: &[&str], rule: &str, mode: Mode) -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().expect("tmp");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/formats");
    for sample in fs::read_dir(samples).expect("a folder") {
        let sample = sample.expect("an item").path();
        let name = sample.file_name().expect("a name").to_str().expect("ASCII");
        if starts.iter().any(|start| name.starts_with(start)) && !name.ends_with(".tsv") {
            fs::copy(&sample, dir.path().join(name)).expect("copied");
        }
    }
    let mut policy = Policy::lossless();
    policy.add(rule).expect("a rule");
    let mut bytes = Vec::new();
    let report = Packer::new().policy(policy).mode(mode).pack(dir.path(), &mut bytes).expect("packed");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    (dir, bytes)
}

fn layout(path: &Path) -> Layout {
    let file = fs::read(path).expect("readable");
    dissect(&&file[..], dissectors()).0
}

/// The finite values of an array of floats, and the bytes of any other.
fn floats(array: &Array) -> Vec<f64> {
    let word = array.dtype.word();
    let ordered = |word: &[u8]| {
        let mut word = word.to_vec();
        if array.big_endian {
            word.reverse();
        }
        word
    };
    let value = |word: Vec<u8>| match word[..] {
        [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => f64::NAN,
    };
    array.bytes.chunks(word).map(ordered).map(value).collect()
}

/// All arrays of an archive that is without loss.
fn arrays(dir: &Path) -> BTreeMap<(Vec<u8>, String), Array> {
    let mut bytes = Vec::new();
    Packer::new().mode(Mode::Small).pack(dir, &mut bytes).expect("packed");
    let archive = open(&bytes).expect("sound");
    let mut found = BTreeMap::new();
    for entry in archive.entries() {
        let entry = entry.expect("sound");
        if let Body::File(file) = &entry.body {
            for variable in &file.variables {
                let array = archive.read_variable(&entry.path, &variable.name, &[]).expect("there");
                found.insert((entry.path.clone(), variable.name.clone()), array);
            }
        }
    }
    found
}

#[test]
fn every_format_comes_back_with_its_arrays_within_the_bound() {
    let starts =
        ["arrow", "dcd", "fits", "gguf", "hdf5", "mat", "mrc", "netcdf", "nifti", "nrrd", "ply", "segy", "tiff", "trr", "vtk", "wav"];
    let (dir, bytes) = packed(&starts, "rel=1e-3", Mode::Balanced);
    let archive = open(&bytes).expect("sound");
    assert!(errbar::Verifier::new().verify(&archive).expect("readable").problems.is_empty());
    let out = tempfile::tempdir().expect("tmp");
    assert_eq!(unpack(&archive, out.path(), 2), 0);
    let compared = Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
    assert!(compared.differences.is_empty(), "{:?}", compared.differences);

    for sample in fs::read_dir(dir.path()).expect("a folder") {
        let name = sample.expect("an item").file_name();
        let (old, new) = (layout(&dir.path().join(&name)), layout(&out.path().join(&name)));
        assert_eq!(old.arrays, new.arrays, "{name:?}");
        let starts = |layout: &Layout| layout.places.iter().map(|place| (place.offset, place.holds.clone())).collect::<Vec<_>>();
        assert_eq!(starts(&old), starts(&new), "{name:?}");
    }
    let (old, new) = (arrays(dir.path()), arrays(out.path()));
    assert_eq!(old.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>());
    let mut changed = Vec::new();
    for (((path, name), old), new) in old.iter().zip(new.values()) {
        let place = format!("{}:{name}", String::from_utf8_lossy(path));
        if old.bytes == new.bytes {
            continue;
        }
        assert!(old.dtype.is_float(), "{place}");
        let (a, b) = (floats(old), floats(new));
        let numbers = || a.iter().copied().filter(|x| x.abs() < 1e15);
        let range = numbers().fold(f64::MIN, f64::max) - numbers().fold(f64::MAX, f64::min);
        let within = |(x, y): (&f64, &f64)| if x.abs() < 1e15 { (x - y).abs() <= 1e-3 * range } else { x.to_bits() == y.to_bits() };
        assert!(a.iter().zip(&b).all(within), "{place}");
        changed.push(place);
    }
    for wanted in ["hdf5-earliest.h5", "hdf5-latest.h5", "hdf5-v108.h5", "netcdf4.nc", "netcdf3-cdf1.nc", "fits-groups.fits", "trr.trr"] {
        assert!(changed.iter().any(|place| place.starts_with(wanted)), "no bound reached {wanted}: {changed:?}");
    }
}

#[test]
fn chunks_that_no_longer_fit_stay_as_they_are() {
    let (mut alone, mut all) = (0, 0);
    for rule in ["rel=1e-1", "rel=1e-2", "rel=1e-3", "rel=1e-4", "rel=1e-5", "psnr=40", "psnr=70"] {
        let (dir, bytes) = packed(&["hdf5", "netcdf"], rule, Mode::Small);
        let archive = open(&bytes).expect("sound");
        assert!(errbar::Verifier::new().verify(&archive).expect("readable").problems.is_empty(), "{rule}");
        let compared = Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
        assert!(compared.differences.is_empty(), "{rule}: {:?}", compared.differences);
        for entry in archive.entries() {
            let entry = entry.expect("sound");
            let Body::File(file) = &entry.body else { continue };
            let layout = layout(&dir.path().join(std::str::from_utf8(&entry.path).expect("ASCII")));
            for (index, variable) in file.variables.iter().enumerate() {
                let chunks =
                    file.segments.iter().filter(|segment| matches!(segment, Segment::Chunk { variable, .. } if *variable == index as u32));
                let of = layout.arrays.iter().position(|array| array.name == variable.name).expect("the same arrays");
                let places = layout.places.iter().filter(|place| matches!(place.holds, Holds::Chunk { array, .. } if array == of));
                match (&variable.chunks, &variable.receipt) {
                    (Some(_), Some(_)) => alone += places.count() - chunks.count(),
                    (Some(_), None) => all += usize::from(variable.dtype.is_float()),
                    _ => {}
                }
            }
        }
    }
    assert!(alone > 0, "no chunk is longer than it was");
    assert!(all > 0, "no array has many of them");
}

#[test]
fn the_archive_of_scattered_arrays_does_not_depend_on_threads() {
    let (dir, bytes) = packed(&["hdf5", "netcdf", "trr"], "psnr=60", Mode::Balanced);
    for threads in [1, 3] {
        assert!(pack_with(dir.path(), &["psnr=60"], threads) == bytes, "{threads} threads give another archive");
    }
}

#[test]
fn a_dry_run_says_why_an_array_stays_exact() {
    let (dir, bytes) = packed(&["hdf5-latest", "netcdf4", "dicom-big"], "rel=1e-3", Mode::Fast);
    let mut policy = Policy::lossless();
    policy.add("rel=1e-3").expect("a rule");
    let (planned, problems) = Packer::new().policy(policy).mode(Mode::Fast).dry_run(dir.path()).expect("readable");
    assert!(problems.is_empty(), "{problems:?}");
    let why = |path: &str, name: &str| {
        let found = planned.iter().find(|found| found.path == path.as_bytes() && found.variable == name);
        found.unwrap_or_else(|| panic!("{path}:{name}")).why.clone()
    };
    for (path, name, reason) in [
        ("hdf5-latest.h5", "/chunked/single filtered", "its chunks are compressed, which the mode fast leaves as it is"),
        ("hdf5-latest.h5", "compact", "u16 is not floating-point"),
        ("netcdf4.nc", "lat", "coordinates"),
        ("dicom-big.dcm", "PixelData", "u16 is not floating-point"),
    ] {
        assert!(why(path, name).starts_with(reason), "{path}:{name}: {}", why(path, name));
    }
    assert_eq!(why("hdf5-latest.h5", "/chunked/single"), "rule 'rel=1e-3'");
    let archive = open(&bytes).expect("sound");
    let file = archive.entry(b"hdf5-latest.h5").expect("sound").expect("there");
    let Body::File(file) = file.body else { panic!("a file") };
    let bounded = |name: &str| file.variables.iter().any(|variable| variable.name == name && variable.receipt.is_some());
    assert!(bounded("/chunked/single") && !bounded("/chunked/single filtered"));
}

#[test]
fn a_bound_on_scaled_floats_is_on_what_users_see() {
    let dir = tempfile::tempdir().expect("tmp");
    let cards = [("SIMPLE", "T"), ("BITPIX", "-32"), ("NAXIS", "1"), ("NAXIS1", "700"), ("BSCALE", "-1.0D-1"), ("BZERO", "5.0")];
    let cards: String = cards.iter().map(|(key, value)| format!("{key:8}= {value:>20}{:50}", "")).collect();
    let header = format!("{cards}{:len$}", "END", len = 2880 - cards.len());
    let values: Vec<u8> = (0..700u32).flat_map(|i| ((f64::from(i) * 0.01).sin() as f32 * 90.0).to_be_bytes()).collect();
    fs::write(dir.path().join("a.fits"), [header.as_bytes(), &values, &[0; 80]].concat()).expect("written");
    let plan = |rule: &str| {
        let mut policy = Policy::lossless();
        policy.add(rule).expect("a rule");
        let (planned, _) = Packer::new().policy(policy).dry_run(dir.path()).expect("readable");
        planned.into_iter().next().expect("an image")
    };
    let limit = plan("abs=0.05").limit.and_then(|limit| limit.absolute()).expect("a bound");
    assert!(limit <= 0.5 && limit > 0.499, "{limit}");
    let refused = plan("pw_rel=1e-2");
    assert!(refused.limit.is_none() && refused.why.contains("offset"), "{}", refused.why);
}
