//! The arrays found in small files of each format against what the format's own library reads there:
//! `testdata/formats/make.py` makes both.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use errbar_dissect::{Array, Dissector, Holds, Layout, Siblings, described, dissect, dissectors};
use errbar_format::DType;
use errbar_format::record::Filter;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/formats")
}

/// Copies a box of `extent` elements of `item` bytes from one array, at `from`, into another, at `to`.
fn copy_box(source: &[u8], source_shape: &[u64], target: &mut [u8], target_shape: &[u64], to: &[u64], item: usize) {
    let n: u64 = source_shape.iter().product();
    for k in 0..n {
        let (mut rest, mut place, mut step, mut inside) = (k, 0, 1, true);
        for d in (0..source_shape.len()).rev() {
            let index = to[d] + rest % source_shape[d];
            rest /= source_shape[d];
            inside &= index < target_shape[d];
            place += index * step;
            step *= target_shape[d];
        }
        if inside {
            target[place as usize * item..][..item].copy_from_slice(&source[k as usize * item..][..item]);
        }
    }
}

/// What TIFF's LZW codes stand for.
fn unlzw(bytes: &[u8]) -> Vec<u8> {
    let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
    let (mut at, mut width, mut out) = (0, 9, Vec::new());
    let (mut strings, mut last): (Vec<Vec<u8>>, Vec<u8>) = Default::default();
    loop {
        let code = (at..at + width).fold(0, |code, at| code * 2 + bit(at));
        at += width;
        match code {
            257 => return out,
            256 => {
                strings = (0..258).map(|code| vec![code as u8]).collect();
                (width, last) = (9, Vec::new());
                continue;
            }
            _ => {}
        }
        let string = strings.get(code).cloned().unwrap_or_else(|| [&last[..], &last[..1]].concat());
        out.extend(&string);
        if !last.is_empty() {
            strings.push([&last[..], &string[..1]].concat());
        }
        last = string;
        if strings.len() + 1 >= 1 << width && width < 12 {
            width += 1;
        }
    }
}

/// The bytes of a chunk before its filters.
fn unfiltered(stored: &[u8], filters: &[Filter], skipped: u32) -> Vec<u8> {
    let mut bytes = stored.to_vec();
    for (_, filter) in filters.iter().enumerate().rev().filter(|(i, _)| skipped & (1 << i) == 0) {
        match *filter {
            Filter::Deflate { .. } | Filter::Libdeflate { .. } => {
                let mut inflated = Vec::new();
                flate2::read::ZlibDecoder::new(&bytes[..]).read_to_end(&mut inflated).expect("a zlib stream");
                bytes = inflated;
            }
            Filter::Lzw { .. } => bytes = unlzw(&bytes),
            Filter::Fletcher32 => bytes.truncate(bytes.len() - 4),
            Filter::Bits { width } => {
                let bit = |at: usize| u32::from(bytes[at / 8] >> (7 - at % 8) & 1);
                let numbers = 0..bytes.len() * 8 / usize::from(width);
                let number = |k| (0..usize::from(width)).fold(0, |number, i| number << 1 | bit(k * usize::from(width) + i));
                bytes = numbers.flat_map(|k| number(k).to_be_bytes()[4 - Filter::word_of(width)..].to_vec()).collect();
            }
            Filter::Shuffle { item } => {
                let items = bytes.len() / item as usize;
                let whole = items * item as usize;
                let first = |k: usize| (0..item as usize).map(move |byte| byte * items + k);
                let order = (0..items).flat_map(first).chain(whole..bytes.len());
                bytes = order.map(|from| bytes[from]).collect();
            }
            Filter::Difference(raster) => {
                // The least significant byte of a sample first, so that a carry goes from one to the next.
                let (item, pixel) = (usize::from(raster.item), usize::from(raster.item) * usize::from(raster.samples));
                for row in bytes.chunks_mut(raster.row as usize) {
                    for sample in (pixel..row.len()).step_by(item) {
                        let mut carry = 0;
                        for byte in 0..item {
                            let at = sample + if raster.big_endian { item - 1 - byte } else { byte };
                            let sum = u16::from(row[at]) + u16::from(row[at - pixel]) + carry;
                            (row[at], carry) = (sum as u8, sum >> 8);
                        }
                    }
                }
            }
            Filter::FloatDifference(raster) => {
                let item = usize::from(raster.item);
                for row in bytes.chunks_mut(raster.row as usize) {
                    (usize::from(raster.samples)..row.len())
                        .for_each(|i| row[i] = row[i].wrapping_add(row[i - usize::from(raster.samples)]));
                    let (planes, n) = (row.to_vec(), row.len() / item);
                    for (i, byte) in row.iter_mut().enumerate() {
                        let significance = if raster.big_endian { i % item } else { item - 1 - i % item };
                        *byte = planes[significance * n + i / item];
                    }
                }
            }
        }
    }
    bytes
}

/// The elements of array number `which`, in storage order.
fn elements(file: &[u8], layout: &Layout, which: usize) -> Vec<u8> {
    let array = &layout.arrays[which];
    let item = array.dtype.size();
    let fill = array.chunks.as_ref().map_or(vec![0; item], |chunks| chunks.fill.clone());
    let mut all = fill.repeat(array.shape.iter().product::<u64>() as usize);
    for place in &layout.places {
        let bytes = &file[place.offset as usize..][..place.length as usize];
        match &place.holds {
            Holds::Array(found) if *found == which => all.copy_from_slice(bytes),
            Holds::Records(fields) if fields.contains(&which) => {
                let width = |array: &Array| (array.bytes().expect("fits") / array.shape[0]) as usize;
                let widths: Vec<_> = layout.arrays[fields.clone()].iter().map(width).collect();
                let (before, own) = (widths[..which - fields.start].iter().sum::<usize>(), widths[which - fields.start]);
                let records = bytes.chunks_exact(widths.iter().sum());
                all = records.flat_map(|record| record[before..before + own].to_vec()).collect();
            }
            Holds::Lines(fields, lines) if fields.contains(&which) => {
                let (reader, mut read) = (lines.reader(), vec![Vec::new(); fields.len()]);
                assert!(bytes.split_inclusive(|&byte| byte == b'\n').all(|line| reader.read(line, &mut read)));
                all.copy_from_slice(&read[which - fields.start]);
            }
            Holds::Chunk { array: found, index, skipped } if *found == which => {
                let chunks = array.chunks.as_ref().expect("a chunked array");
                let bytes = &unfiltered(bytes, &chunks.filters, *skipped);
                let (mut rest, mut origin) = (*index, vec![0; array.shape.len()]);
                for d in (0..origin.len()).rev() {
                    let grid = array.shape[d].div_ceil(chunks.shape[d]);
                    origin[d] = rest % grid * chunks.shape[d];
                    rest /= grid;
                }
                let inside = |d: usize| chunks.shape[d].min(array.shape[d] - origin[d]);
                let cut: Vec<u64> = (0..origin.len()).map(inside).collect();
                let shape = if chunks.padding.is_empty() { &cut } else { &chunks.shape };
                copy_box(bytes, shape, &mut all, &array.shape, &origin, item);
            }
            _ => (),
        }
    }
    all
}

/// The elements little-endian and in C order of the shape that users see.
fn as_read(array: &Array, mut stored: Vec<u8>) -> Vec<u8> {
    if array.big_endian {
        stored.chunks_exact_mut(array.dtype.word()).for_each(<[u8]>::reverse);
    }
    if !array.column_major {
        return stored;
    }
    let (item, shape) = (array.dtype.size(), &array.shape);
    let mut all = Vec::with_capacity(stored.len());
    let n: u64 = shape.iter().product();
    for k in 0..n {
        // The last index of the users' order is the first of the stored one.
        let (mut rest, mut place, mut step) = (k, 0, n);
        for extent in shape {
            step /= extent;
            place += rest % extent * step;
            rest /= extent;
        }
        all.extend_from_slice(&stored[place as usize * item..][..item]);
    }
    all
}

/// The files beside a sample.
struct Beside<'a>(&'a str);

impl Siblings for Beside<'_> {
    fn read(&self, up: usize, name: &[u8]) -> Option<Vec<u8>> {
        let path = folder().join(self.0);
        fs::read(path.ancestors().nth(up + 1)?.join(std::str::from_utf8(name).ok()?)).ok()
    }
}

/// The layout of a sample, as a header beside it says or its own format does.
fn layout_of(name: &str, file: &[u8]) -> (Layout, Option<&'static str>) {
    let beside = described(name.as_bytes(), &Beside(name));
    let beside = beside.as_ref().map(|described| described as &dyn Dissector);
    dissect(&file, &beside.into_iter().chain(dissectors().iter().copied()).collect::<Vec<_>>())
}

/// Samples whose arrays stand in streams: who packs undoes them, and finds the arrays then.
const IN_STREAMS: [&str; 20] = [
    "detached-gzip.raw.gz",
    "gzip-nifti.nii.gz",
    "mat-deflated.mat",
    "meta-z.zraw",
    "nrrd-gzip.nrrd",
    "png-16.png",
    "png-alpha.png",
    "png-bits.png",
    "png-grey.png",
    "png-palette.png",
    "png-rgb.png",
    "vtk-base64.vti",
    "vtk-base64.vtu",
    "vtk-zlib-base64.vti",
    "vtk-zlib-raw.vti",
    "vtk-zlib.vti",
    "zarr-2-gzip.zarr/0.0",
    "zarr-2-zlib.zarr/0",
    "zarr-3-gzip.zarr/c/0/0",
    "zip-deflated.npz",
];

/// Whether the array has this name in the file; of several with one name the later ones are numbered.
fn is_named(array: &Array, name: &str) -> bool {
    array.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
}

#[test]
fn arrays_are_those_that_the_reference_libraries_read() {
    let table = fs::read_to_string(folder().join("expected.tsv")).expect("the table");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert!(rows.is_sorted() && rows.len() > 50);
    for of_file in rows.chunk_by(|a, b| a[0] == b[0]) {
        let name = of_file[0][0];
        let file = fs::read(folder().join(name)).expect("a sample");
        let (layout, by) = layout_of(name, &file);
        assert!(by.is_some(), "{name} is taken for bytes");
        if IN_STREAMS.contains(&name) {
            assert!(layout.places.iter().any(|place| matches!(place.holds, Holds::Stream(..))), "{name}");
            continue;
        }
        for row in of_file {
            let [_, variable, dtype, shape, crc] = row[..] else { panic!("{name}: a row of {} items", row.len()) };
            let dtype = DType::from_name(dtype).expect("a type");
            let shape: Vec<u64> = shape.split('x').filter(|n| *n != "-").map(|n| n.parse().expect("an extent")).collect();
            let fits = |array: &Array| is_named(array, variable) && array.dtype == dtype && array.index_shape() == shape;
            let which = layout.arrays.iter().position(fits);
            let which = which.unwrap_or_else(|| panic!("{name}: no {variable:?} {dtype:?} {shape:?} among {:?}", layout.arrays));
            let stored = elements(&file, &layout, which);
            let found = format!("{:08x}", crc32fast::hash(&as_read(&layout.arrays[which], stored)));
            assert_eq!(found, crc, "{name}: values of {variable:?}");
        }
        let named = layout.arrays.iter().filter(|array| !array.name.is_empty());
        let extra: Vec<_> = named.filter(|array| !of_file.iter().any(|row| is_named(array, row[1]))).collect();
        assert!(extra.is_empty(), "{name}: not in the table: {extra:?}");
    }
}

/// What every dissector that wants the file makes of it, panics let through.
fn try_all(file: &[u8]) {
    let head = &file[..file.len().min(512)];
    for dissector in dissectors().iter().filter(|dissector| dissector.probe(head)) {
        let _ = dissector.dissect(&file);
    }
}

#[test]
fn samples_cut_anywhere_or_changed_do_not_panic() {
    let table = fs::read_to_string(folder().join("expected.tsv")).expect("the table");
    let mut names: Vec<_> = table.lines().filter_map(|line| line.split('\t').next()).collect();
    names.dedup();
    for name in names {
        let file = fs::read(folder().join(name)).expect("a sample");
        // All of the first kilobyte, and some of the rest. Text has no header, and is long.
        let (header, step) = if name.starts_with("table") { (64, 301) } else { (1024, 61) };
        for at in (0..file.len()).filter(|at| *at < header || at % step == 0) {
            try_all(&file[..at]);
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[at] = value;
                try_all(&changed);
            }
        }
    }
}

#[test]
fn lengths_of_filtered_chunks_stand_where_hdf5_says_and_their_checksums_hold() {
    let (mut chunks, mut sums) = (0, 0);
    for name in ["hdf5-earliest.h5", "hdf5-latest.h5", "hdf5-pages.h5", "hdf5-v108.h5", "netcdf4.nc"] {
        let file = fs::read(folder().join(name)).expect("a sample");
        let (layout, _) = dissect(&&file[..], dissectors());
        for place in &layout.places {
            let Holds::Chunk { array, skipped, .. } = place.holds else { continue };
            let filters = &layout.arrays[array].chunks.as_ref().expect("chunks").filters;
            let filtered = skipped + 1 < 1 << filters.len();
            let field = layout.sizes.get(&place.offset);
            assert!(field.is_some() || !filtered, "{name}: {place:?}");
            let Some(field) = field else { continue };
            let mut word = [0; 8];
            word[..usize::from(field.width)].copy_from_slice(&file[field.offset as usize..][..usize::from(field.width)]);
            assert_eq!(u64::from_le_bytes(word), place.length, "{name}: {field:?}");
            if let Some(checksum) = field.checksum {
                let (found, stored) = checksum.of(&&file[..]).expect("in the file");
                assert_eq!(found, stored, "{name}: {field:?}");
                sums += 1;
            }
            chunks += 1;
        }
    }
    assert!(sums >= 40 && sums < chunks, "{chunks} chunks, {sums} with a checksum");
}
