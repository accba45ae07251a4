//! Files made by hand, for what libraries do not write.

use errbar_format::DType;
use errbar_format::record::Filter;

use super::Hdf5;
use super::object::kind;
use crate::{Array, Dissector, Holds, Layout, dissect};

/// Where a file's root, its dataset `x` and the data are.
const ROOT: u64 = 48;
const X: u64 = 0x100;
const DATA: u64 = 0x300;

type Message = (u16, Vec<u8>);

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An object header of version 2, without its checksum.
fn header(messages: &[Message]) -> Vec<u8> {
    let body: Vec<u8> =
        messages.iter().flat_map(|(kind, body)| joined(&[&[*kind as u8], &(body.len() as u16).to_le_bytes(), &[0], body])).collect();
    joined(&[b"OHDR\x02\x01", &(body.len() as u16).to_le_bytes(), &body])
}

fn link(name: &str, address: u64) -> Message {
    (kind::LINK, joined(&[&[1, 0, name.len() as u8], name.as_bytes(), &address.to_le_bytes()]))
}

/// Bytes at their addresses, zeros between them, behind a superblock of version 2.
fn file(parts: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let addresses = [0, u64::MAX, 0, ROOT].map(u64::to_le_bytes).concat();
    let mut file = joined(&[b"\x89HDF\r\n\x1a\n\x02\x08\x08\0", &addresses]);
    for (at, bytes) in parts {
        file.resize(file.len().max(*at as usize + bytes.len()), 0);
        file[*at as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    file
}

/// A file whose one dataset has these messages and is followed by these data.
fn with(messages: &[Message], data: &[u8]) -> Vec<u8> {
    file(&[(ROOT, header(&[link("x", X)])), (X, header(messages)), (DATA, data.to_vec())])
}

fn space(shape: &[u64]) -> Message {
    (kind::DATASPACE, joined(&[&[2, shape.len() as u8, 0, 1], &shape.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>()]))
}

const F32: &[u8] = &[0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0];
const U8: &[u8] = &[0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0];

fn element(bytes: &[u8]) -> Message {
    (kind::DATATYPE, bytes.to_vec())
}

fn whole(address: u64, len: u64) -> Message {
    (kind::LAYOUT, joined(&[&[3, 1], &address.to_le_bytes(), &len.to_le_bytes()]))
}

/// A layout of version 4 with chunks of bytes along one dimension.
fn chunked(flags: u8, chunk: u32, index: &[u8], address: u64) -> Message {
    let extents = joined(&[&chunk.to_le_bytes(), &1u32.to_le_bytes()]);
    (kind::LAYOUT, joined(&[&[4, 2, flags, 2, 4], &extents, index, &address.to_le_bytes()]))
}

/// A pipeline of version 2, each filter with its number and its values.
fn filters(filters: &[(u16, &[u32])]) -> Message {
    let each = filters.iter().flat_map(|(id, values)| {
        let name: &[u8] = if *id < 256 { &[] } else { &[0, 0] };
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        joined(&[&id.to_le_bytes(), name, &[0, 0], &((values.len() / 4) as u16).to_le_bytes(), &values])
    });
    (kind::FILTERS, [2, filters.len() as u8].into_iter().chain(each).collect())
}

fn found(file: &[u8]) -> Layout {
    let (layout, by) = dissect(&file, &[&Hdf5]);
    assert_eq!(by, Some("hdf5"));
    layout
}

fn arrays(file: &[u8]) -> Vec<Array> {
    found(file).arrays
}

#[test]
fn a_dataset_is_found_behind_any_user_block() {
    let file = with(&[space(&[2, 3]), element(F32), whole(DATA, 24)], &[7; 24]);
    for block in [0, 512, 1024, 4096] {
        let layout = found(&joined(&[&vec![b'u'; block], &file]));
        assert_eq!(layout.arrays, [Array::new("x", DType::F32, false, vec![2, 3])]);
        assert_eq!(layout.places[0].offset, DATA + block as u64);
    }
    for block in [1, 256, 1536] {
        assert_eq!(dissect(&&joined(&[&vec![b'u'; block], &file])[..], &[&Hdf5]).1, None);
    }
    for (at, value) in [(8, 4), (9, 3), (10, 0), (10, 16)] {
        let mut unknown = file.clone();
        unknown[at] = value;
        assert!(Hdf5.dissect(&&unknown[..]).is_err(), "version or width {value}");
    }
}

#[test]
fn a_file_cut_or_changed_anywhere_does_not_panic() {
    let index = [3, 10];
    let file = with(&[space(&[90]), element(U8), chunked(0, 4, &index, DATA), filters(&[(3, &[])])], b"FAHD\0\x01\x0e\x0a");
    for len in 0..file.len() {
        let _ = Hdf5.dissect(&&file[..len]);
    }
    for at in 0..file.len() {
        for value in [0, 1, 2, 8, 0x7f, 0x80, 0xff] {
            let mut changed = file.clone();
            changed[at] = value;
            let _ = Hdf5.dissect(&&changed[..]);
        }
    }
}

#[test]
fn what_one_dataset_gets_wrong_leaves_the_others() {
    let y = |layout| header(&[space(&[4]), element(U8), layout]);
    let two = |layout| {
        let x = header(&[space(&[8]), element(U8), whole(DATA, 8)]);
        file(&[(ROOT, header(&[link("y", 0x200), link("x", X)])), (X, x), (0x200, y(layout)), (DATA, vec![1; 8])])
    };
    let names = |file: &[u8]| arrays(file).into_iter().map(|array| array.name).collect::<String>();
    assert_eq!(names(&two(whole(ROOT, 4))), "xy");
    for wrong in [whole(DATA + 8, 4), whole(u64::MAX - 1, 4), whole(u64::MAX, 4), whole(ROOT, 5), (kind::LAYOUT, vec![9, 1])] {
        assert_eq!(names(&two(wrong)), "x");
    }
    // What lies in two datasets lies in none that can be trusted.
    assert_eq!(dissect(&&two(whole(DATA + 2, 4))[..], &[&Hdf5]).1, None);
}

#[test]
fn layouts_of_old_versions() {
    let address = DATA.to_le_bytes();
    let tree = joined(&[b"TREE\x01\0\x01\0", &[0xff; 16], &[4, 0, 0, 0, 0, 0, 0, 0], &[0; 16], &(DATA + 100).to_le_bytes()]);
    let data = joined(&[&tree, &[0; 104]]);
    for version in [1, 2] {
        let of = |rest: &[u8]| {
            let layout = (kind::LAYOUT, joined(&[&[version], rest]));
            found(&with(&[space(&[3]), element(U8), layout], &data)).places
        };
        let compact = of(&joined(&[&[1, 0, 0, 0, 0, 0, 0], &[3, 0, 0, 0], &[3, 0, 0, 0], b"abc"]));
        assert_eq!((compact[0].length, &compact[0].holds), (3, &Holds::Array(0)));
        let whole = of(&joined(&[&[1, 1, 0, 0, 0, 0, 0], &address, &[3, 0, 0, 0]]));
        assert_eq!((whole[0].offset, &whole[0].holds), (DATA, &Holds::Array(0)));
        let chunks = of(&joined(&[&[2, 2, 0, 0, 0, 0, 0], &address, &[4, 0, 0, 0, 1, 0, 0, 0]]));
        assert_eq!((chunks[0].offset, chunks[0].length), (DATA + 100, 4));
        assert_eq!(of(&[1, 3, 0, 0, 0, 0, 0]), []);
    }
}

#[test]
fn circles_end() {
    let group = header(&[link("again", ROOT), link("also", X)]);
    assert_eq!(arrays(&file(&[(ROOT, group.clone()), (X, group)])), []);
    // A header that goes on in itself, and a tree that is its own child.
    let continued = (kind::CONTINUATION, joined(&[&X.to_le_bytes(), &64u64.to_le_bytes()]));
    assert_eq!(arrays(&with(&[continued], &[])), []);
    let node = |level| joined(&[b"TREE\x01", &[level, 1, 0], &[0xff; 16], &[0; 24], &DATA.to_le_bytes(), &[0; 24]]);
    let old = joined(&[&[3, 2, 2], &DATA.to_le_bytes(), &[4, 0, 0, 0, 1, 0, 0, 0]]);
    let of = |node: Vec<u8>| with(&[space(&[4]), element(U8), (kind::LAYOUT, old.clone())], &node);
    assert_eq!(arrays(&of(node(1))), []);
    assert_eq!(arrays(&of(node(255))), []);
    let head = joined(&[b"BTHD\0\x0a", &512u32.to_le_bytes(), &[16, 0, 30, 0, 0, 0], &(DATA + 64).to_le_bytes(), &[9, 0]]);
    let pointer = joined(&[&(DATA + 64).to_le_bytes(), &[9; 12]]);
    let inner = joined(&[b"BTIN\0\x0a", &[0; 144], &pointer.repeat(10)]);
    let data = joined(&[&head, &vec![0; 64 - head.len()], &inner]);
    assert_eq!(arrays(&with(&[space(&[4]), element(U8), chunked(0, 4, &[5, 0, 0, 0, 0, 0, 0], DATA)], &data)), []);
}

#[test]
fn links_that_are_not_followed() {
    let soft = (kind::LINK, joined(&[&[1, 8, 1, 1], b"s", &[4, 0], b"/abc"]));
    let x = header(&[space(&[8]), element(U8), whole(DATA, 8)]);
    let of = |link| arrays(&file(&[(ROOT, header(&[link])), (0x400, x.clone()), (DATA, vec![0; 8])])).len();
    assert_eq!(of(soft), 0);
    assert_eq!(of(link(&"n".repeat(254), 0x400)), 1);
    assert_eq!(of(link(&"n".repeat(255), 0x400)), 0, "no variable may have the name");
}

#[test]
fn types_that_are_numbers_and_others() {
    let dtype = |bytes: &[u8]| {
        let size = u64::from(bytes[4]);
        arrays(&with(&[space(&[1]), element(bytes), whole(DATA, size)], &[0; 32])).pop()
    };
    let is = |bytes: &[u8]| dtype(bytes).map(|array| (array.dtype, array.big_endian, array.auxiliary));
    assert_eq!(is(F32), Some((DType::F32, false, false)));
    let mut other = F32.to_vec();
    other[1] = 0x21;
    assert_eq!(is(&other), Some((DType::F32, true, false)));
    for (at, value) in [(1, 0x61), (1, 0), (2, 30), (4, 8), (8, 1), (10, 31), (12, 22), (13, 7), (16, 126)] {
        let mut other = F32.to_vec();
        other[at] = value;
        assert_eq!(is(&other), None, "{at}");
    }
    assert_eq!(is(&[0x11, 0x20, 15, 0, 2, 0, 0, 0, 0, 0, 16, 0, 7, 8, 0, 7, 127, 0, 0, 0]), Some((DType::BF16, false, false)));
    assert_eq!(is(&[0x10, 9, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0]), Some((DType::I16, true, false)));
    assert_eq!(is(&[0x10, 1, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0]), Some((DType::U8, false, false)), "one byte has no order");
    assert_eq!(is(&[0x10, 0, 0, 0, 2, 0, 0, 0, 0, 0, 12, 0]), None, "12 bits in 16");
    let labels = joined(&[&[0x38, 2, 0, 0, 1, 0, 0, 0], U8, b"A\0B\0\0\x01"]);
    assert_eq!(is(&labels), Some((DType::U8, false, true)));
    assert_eq!(is(&[0x38, 0, 0, 0, 1, 0, 0, 0, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), None, "labels of labels");
    assert_eq!(is(&[0x13, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]), None, "text");
}

#[test]
fn filters_that_are_known_and_others() {
    let of = |pipeline: &[(u16, &[u32])]| {
        let layout = chunked(2, 8, &joined(&[&[1], &8u64.to_le_bytes(), &[0; 4]]), DATA);
        let chunks = arrays(&with(&[space(&[8]), element(U8), layout, filters(pipeline)], &[0; 16])).pop()?.chunks?;
        Some(chunks.filters)
    };
    assert_eq!(of(&[(2, &[1]), (1, &[9])]), Some(vec![Filter::Shuffle { item: 1 }, Filter::Deflate { level: 9, mem_level: 8 }]));
    for unknown in [&[(1, &[10][..])][..], &[(1, &[])], &[(2, &[0])], &[(4, &[1, 2])], &[(32001, &[])], &[(1, &[1][..]); 9]] {
        assert_eq!(of(unknown), None, "{unknown:?}");
    }
    // Nothing but deflate changes the length, and that by little.
    assert_eq!(of(&[(3, &[])]), None);
    assert_eq!(of(&[(2, &[1])]), Some(vec![Filter::Shuffle { item: 1 }]));
}

#[test]
fn chunks_at_the_edge_may_be_unfiltered() {
    for (flags, n, expected) in [(2, 7, 0), (3, 7, 1), (3, 8, 0)] {
        let layout = chunked(flags, 8, &joined(&[&[1], &8u64.to_le_bytes(), &[0; 4]]), DATA);
        let layout = found(&with(&[space(&[n]), element(U8), layout, filters(&[(1, &[1])])], &[0; 8]));
        assert_eq!(layout.places[0].holds, Holds::Chunk { array: 0, index: 0, skipped: expected });
    }
}

#[test]
fn what_a_few_bytes_say_is_large_stays_bytes() {
    let single = |n, chunk| arrays(&with(&[space(&[n]), element(U8), chunked(0, chunk, &[1], DATA)], &[0; 64]));
    assert_eq!(single(64, 64).len(), 1);
    assert_eq!(single(64, 0), []);
    assert_eq!(single(64, 65 << 20), []);
    // One chunk of many.
    assert_eq!(single(64 << 14, 64).len(), 1);
    assert_eq!(single(64 << 15, 64), []);
    assert_eq!(single(1 << 40, 64), []);
    assert_eq!(single(u64::MAX, 1), []);
    for index in [&[2][..], &[3, 10], &[4, 32, 4, 4, 16, 10], &[5, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(arrays(&with(&[space(&[1 << 40]), element(U8), chunked(0, 64, index, DATA)], &[0xff; 64])), []);
    }
    // Counts of an array of chunks, and of links.
    let head = joined(&[b"FAHD\0\0\x08\x3f", &[0xff; 7], &[0x7f], &(DATA + 40).to_le_bytes(), &[0; 12], b"FADB\0\0"]);
    assert_eq!(arrays(&with(&[space(&[64]), element(U8), chunked(0, 64, &[3, 63], DATA)], &head)), []);
}

#[test]
fn fill_values_of_every_version() {
    let of = |message: Message| {
        let layout = (kind::LAYOUT, joined(&[&[3, 2, 2], &u64::MAX.to_le_bytes(), &[4, 0, 0, 0, 1, 0, 0, 0]]));
        let chunks = arrays(&with(&[space(&[9]), element(U8), layout, message], &[])).pop()?.chunks?;
        Some((chunks.fill[0], chunks.padding[0]))
    };
    assert_eq!(of((kind::OLD_FILL, vec![1, 0, 0, 0, 5])), Some((5, 5)));
    assert_eq!(of((kind::FILL, vec![1, 2, 0, 1, 1, 0, 0, 0, 5])), Some((5, 5)));
    assert_eq!(of((kind::FILL, vec![2, 2, 2, 0])), Some((0, 0)));
    assert_eq!(of((kind::FILL, vec![2, 2, 1, 1, 1, 0, 0, 0, 5])), Some((5, 0)), "never written");
    assert_eq!(of((kind::FILL, vec![3, 0x2a, 1, 0, 0, 0, 5])), Some((5, 5)));
    assert_eq!(of((kind::FILL, vec![3, 0x26, 1, 0, 0, 0, 5])), Some((5, 0)), "never written");
    assert_eq!(of((kind::FILL, vec![3, 0x0a])), Some((0, 0)));
    assert_eq!(of((kind::FILL, vec![3, 0x2a, 2, 0, 0, 0, 5, 5])), None);
    assert_eq!(of((kind::FILL, vec![4, 0])), None);
}

#[test]
fn attributes_tell_coordinates_from_measurements() {
    let attribute = |name: &str, text: &str| {
        let lens = [name.len() + 1, 8, 4].map(|len| (len as u16).to_le_bytes()).concat();
        let kind = [0x13, 0, 0, 0, text.len() as u8, 0, 0, 0];
        (kind::ATTRIBUTE, joined(&[&[3, 0], &lens, &[0], name.as_bytes(), &[0], &kind, &[2, 0, 0, 0], text.as_bytes()]))
    };
    let of = |name: &str, text: &str| arrays(&with(&[space(&[8]), element(U8), whole(DATA, 8), attribute(name, text)], &[0; 8]));
    for (name, text, expected) in [
        ("CLASS", "DIMENSION_SCALE", true),
        ("CLASS", "IMAGE", false),
        ("units", "hours since 1900-01-01", true),
        ("units", "K", false),
        ("coordinates", "y x", true),
        ("coordinates", "/a/x", false),
        ("coordinates", "y z", false),
    ] {
        assert_eq!(of(name, text)[0].auxiliary, expected, "{name} {text}");
    }
    assert_eq!(of("NAME", "This is a netCDF dimension but not a netCDF variable.        12"), []);
    assert_eq!(super::shown("/_nc4_non_coord_x"), "x");
    assert_eq!(super::shown("/a/b"), "/a/b");
}

/// A compound type of version 3 of these members: name, first byte, type.
fn compound(size: u8, members: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let head = [0x36, members.len() as u8, 0, 0, size, 0, 0, 0];
    let members = members.iter().flat_map(|(name, at, of)| joined(&[name.as_bytes(), &[0, *at], of]));
    head.into_iter().chain(members).collect()
}

/// An array type of version 3 along one dimension.
fn array_of(n: u8, size: u8, of: &[u8]) -> Vec<u8> {
    joined(&[&[0x3a, 0, 0, 0, size, 0, 0, 0, 1, n, 0, 0, 0], of])
}

#[test]
fn numbers_in_records_are_columns() {
    let labels = joined(&[&[0x38, 2, 0, 0, 1, 0, 0, 0], U8, b"A\0B\0\0\x01"]);
    let text = [0x13, 0, 0, 0, 3, 0, 0, 0];
    let inner = compound(5, &[("x", 0, F32), ("y", 4, U8)]);
    let (three, pairs) = (array_of(3, 12, F32), array_of(2, 10, &inner));
    let members: &[(&str, u8, &[u8])] =
        &[("id", 0, U8), ("kind", 1, &labels), ("text", 2, &text), ("at", 8, &inner), ("v", 13, &three), ("p", 25, &pairs), ("z", 35, U8)];
    let layout = found(&with(&[space(&[2, 2]), element(&compound(36, members)), whole(DATA, 144)], &[0; 144]));
    let named = layout.arrays.iter().map(|array| (array.name.as_str(), array.dtype, &array.shape[..]));
    let column = |name, dtype| (name, dtype, &[4][..]);
    assert_eq!(
        named.collect::<Vec<_>>(),
        [
            column("x/id", DType::U8),
            column("x/kind", DType::U8),
            ("", DType::U8, &[4, 6]),
            column("x/at/x", DType::F32),
            column("x/at/y", DType::U8),
            ("x/v", DType::F32, &[4, 3]),
            ("", DType::U8, &[4, 10]),
            column("x/z", DType::U8),
        ]
    );
    assert!(layout.arrays.iter().filter(|array| !array.name.is_empty()).all(|array| array.auxiliary));
    assert_eq!((layout.places.len(), &layout.places[0].holds), (1, &Holds::Records(0..8)));
}

#[test]
fn records_of_old_versions() {
    let second = joined(&[&[0x26, 2, 0, 0, 5, 0, 0, 0], b"a\0\0\0\0\0\0\0", &[0; 4], U8, b"longname\0\0\0\0\0\0\0\0", &[1, 0, 0, 0], F32]);
    let first = |rank: u8, n: u32| {
        let shape = joined(&[&[rank], &[0; 11], &n.to_le_bytes(), &[0; 12]]);
        joined(&[&[0x16, 1, 0, 0, 8, 0, 0, 0], b"a\0\0\0\0\0\0\0", &[0; 4], &shape, F32])
    };
    let of = |element_of: &[u8], size: u64| {
        let arrays = arrays(&with(&[space(&[2]), element(element_of), whole(DATA, 2 * size)], &[0; 20]));
        arrays.into_iter().map(|array| (array.name, array.shape)).collect::<Vec<_>>()
    };
    assert_eq!(of(&second, 5), [("x/a".into(), vec![2]), ("x/longname".into(), vec![2])]);
    assert_eq!(of(&first(1, 2), 8), [("x/a".into(), vec![2, 2])]);
    assert_eq!(of(&first(0, 9), 8), [("x/a".into(), vec![2]), (String::new(), vec![2, 4])]);
}

#[test]
fn records_that_contradict_themselves_are_bytes() {
    let of = |element_of: &[u8], size: u64| arrays(&with(&[space(&[2]), element(element_of), whole(DATA, 2 * size)], &[0; 64])).len();
    assert_eq!(of(&compound(5, &[("a", 0, F32), ("b", 4, U8)]), 5), 2);
    assert_eq!(of(&compound(5, &[("a", 0, F32), ("b", 3, U8)]), 5), 0, "members overlap");
    assert_eq!(of(&compound(4, &[("a", 0, F32), ("b", 4, U8)]), 4), 0, "past the record");
    assert_eq!(of(&compound(5, &[("a", 0, F32), ("b", 4, U8)]), 6), 0, "more data than records");
    assert_eq!(of(&compound(4, &[("t", 0, &[0x13, 0, 0, 0, 4, 0, 0, 0])]), 4), 0, "no numbers");
    assert_eq!(of(&compound(0, &[]), 0), 0);
    let deep = (0..40).fold(U8.to_vec(), |of, _| compound(1, &[("d", 0, &of)]));
    assert_eq!(of(&deep, 1), 0);
    let deep = (0..8).fold(U8.to_vec(), |of, _| compound(1, &[("d", 0, &of)]));
    assert_eq!(of(&deep, 1), 1);
}

#[test]
fn pairs_of_floats_named_as_parts_are_complex() {
    let dtype = |element_of: &[u8]| {
        let found = arrays(&with(&[space(&[2]), element(element_of), whole(DATA, 2 * u64::from(element_of[4]))], &[0; 64]));
        found.into_iter().map(|array| (array.name, array.dtype)).collect::<Vec<_>>()
    };
    assert_eq!(dtype(&compound(8, &[("r", 0, F32), ("i", 4, F32)])), [("x".into(), DType::C64)]);
    assert_eq!(dtype(&joined(&[&[0x5b, 0, 0, 0, 8, 0, 0, 0], F32])), [("x".into(), DType::C64)]);
    assert_eq!(dtype(&compound(8, &[("i", 0, F32), ("r", 4, F32)])).len(), 2);
    assert_eq!(dtype(&compound(9, &[("r", 0, F32), ("i", 4, F32)]))[..2], [("x/r".into(), DType::F32), ("x/i".into(), DType::F32)]);
    assert_eq!(dtype(&compound(2, &[("r", 0, U8), ("i", 1, U8)])).len(), 2);
}
