//! VTK's XML files: text and blocks are undone where that pays, and made again to the last bit.

use std::fs;

use errbar::record::{Body, Segment};
use errbar::{Archive, Mode, Packer, Policy};
use errbar_codec::stream::Stream;
use errbar_format::record::{Filter, Maker};

use crate::streams::{comes_back, pack};
use crate::support::{Random, field, open, unpack};

fn made(maker: &Maker, content: &[u8]) -> Vec<u8> {
    let (mut stream, mut made) = (Stream::new(maker).expect("memory"), Vec::new());
    stream.write(content, &mut made).and_then(|()| stream.finish(&mut made)).expect("memory");
    made
}

fn text(filters: &[Filter]) -> Maker {
    Maker::Filters { piece: 1 << 16, filters: filters.to_vec(), base64: true }
}

fn blocks(piece: u64, filter: Filter) -> Maker {
    Maker::Filters { piece, filters: vec![filter], base64: true }
}

const ZLIB: Filter = Filter::Deflate { level: 5, mem_level: 8 };

/// The text of an array as VTK writes it: with a header, and in blocks where the maker makes some.
fn data(maker: &Maker, elements: &[u8]) -> Vec<u8> {
    let number = |n: usize| (n as u32).to_le_bytes().to_vec();
    let Maker::Filters { piece, filters, .. } = maker else { panic!("VTK makes no such stream") };
    if filters.is_empty() {
        return made(maker, &[number(elements.len()), elements.to_vec()].concat());
    }
    let piece = *piece as usize;
    let lengths = elements.chunks(piece).map(|block| errbar_codec::filter::apply(filters, 0, block.to_vec()).expect("memory").len());
    let numbers = [elements.len().div_ceil(piece), piece, elements.len() % piece].into_iter().chain(lengths);
    [made(&text(&[]), &numbers.flat_map(number).collect::<Vec<_>>()), made(maker, elements)].concat()
}

/// A file with these texts as its arrays, `a`, `b` …
fn vtp(compressed: bool, texts: &[Vec<u8>]) -> Vec<u8> {
    let compressor = if compressed { " compressor=\"vtkZLibDataCompressor\"" } else { "" };
    let mut file = format!("<VTKFile type=\"PolyData\" byte_order=\"LittleEndian\"{compressor}>\n<Piece><PointData>\n").into_bytes();
    for (name, text) in ('a'..).zip(texts) {
        file.extend(format!("<DataArray type=\"Float32\" Name=\"{name}\" format=\"binary\">\n    ").bytes());
        file.extend_from_slice(text);
        file.extend(b"\n</DataArray>\n");
    }
    file.extend(b"</PointData></Piece></VTKFile>\n");
    file
}

fn makers(archive: &Archive, path: &str) -> Vec<Maker> {
    let Some(Body::File(file)) = archive.entry(path.as_bytes()).expect("readable").map(|entry| entry.body) else {
        panic!("{path} is a file")
    };
    let maker = |segment: &Segment| if let Segment::Stream { maker, .. } = segment { Some(maker.clone()) } else { None };
    file.segments.iter().filter_map(maker).collect()
}

#[test]
fn text_is_undone_in_every_mode_and_blocks_where_streams_are() {
    let dir = tempfile::tempdir().expect("tmp");
    let (a, b) = (field(&[90, 400]).bytes, field(&[60, 200]).bytes);
    let (plain, zlib) = (text(&[]), blocks(32_768, ZLIB));
    fs::write(dir.path().join("text.vtp"), vtp(false, &[data(&plain, &a), data(&plain, &b)])).expect("written");
    let file = vtp(true, &[data(&zlib, &a), data(&zlib, &b)]);
    fs::write(dir.path().join("zlib.vtp"), &file).expect("written");
    for mode in [Mode::Fast, Mode::Balanced, Mode::Small] {
        let archive = open(&pack(dir.path(), mode, &[])).expect("sound");
        assert_eq!(makers(&archive, "text.vtp"), [plain.clone(), plain.clone()]);
        assert_eq!(archive.read_variable(b"text.vtp", "b", &[]).expect("a variable").bytes, b);
        comes_back(&archive, dir.path());
        if mode == Mode::Fast {
            assert_eq!(makers(&archive, "zlib.vtp"), []);
            continue;
        }
        assert_eq!(makers(&archive, "zlib.vtp"), [zlib.clone(), zlib.clone()]);
        let read = archive.read_variable(b"zlib.vtp", "a", &[]).expect("a variable");
        assert_eq!((read.bytes, read.shape), (a.clone(), vec![90 * 400]));
    }
}

#[test]
fn blocks_of_many_settings_are_made_again_and_others_are_bytes() {
    let dir = tempfile::tempdir().expect("tmp");
    let a = field(&[60, 400]).bytes;
    let deflate = |level, mem_level| Filter::Deflate { level, mem_level };
    let makers_of = [
        ("one.vtp", blocks(1 << 20, deflate(6, 8))),
        ("level-0.vtp", blocks(10_000, deflate(0, 8))),
        ("level-1.vtp", blocks(70, deflate(1, 8))),
        ("level-9.vtp", blocks(40_000, deflate(9, 9))),
        ("libdeflate.vtp", blocks(4096, Filter::Libdeflate { level: 6 })),
    ];
    for (name, maker) in &makers_of {
        fs::write(dir.path().join(name), vtp(true, &[data(maker, &a[..if *name == "level-1.vtp" { 700 } else { a.len() }])]))
            .expect("written");
    }
    let usual = data(&blocks(4096, ZLIB), &a);
    let end = usual.len();
    let short = data(&blocks(7, ZLIB), &a[..700]);
    let not_made = [
        ("memory.vtp", data(&blocks(40_000, deflate(6, 4)), &a)),
        // Twice as long as what it holds.
        ("short.vtp", short),
        ("cut.vtp", usual[..end - 4].to_vec()),
        ("longer.vtp", [&usual[..], b"AAAA"].concat()),
        ("letters.vtp", [&usual[..end / 2], b"....", &usual[end / 2 + 4..]].concat()),
        ("broken.vtp", [&usual[..end / 2], b"\nAAA", &usual[end / 2 + 4..]].concat()),
        ("padded.vtp", [&usual[..end / 8 * 4], b"AA==", &usual[end / 8 * 4 + 4..]].concat()),
    ];
    for (name, text) in &not_made {
        fs::write(dir.path().join(name), vtp(true, std::slice::from_ref(text))).expect("written");
    }
    let archive = open(&pack(dir.path(), Mode::Small, &[])).expect("sound");
    for (name, maker) in &makers_of {
        let found = makers(&archive, name);
        // Other settings may make the same streams of so little, or of what they do not look at.
        let [Maker::Filters { piece, .. }] = &found[..] else { panic!("{name}: {found:?}") };
        let Maker::Filters { piece: expected, .. } = maker else { continue };
        assert_eq!(piece, expected, "{name}");
    }
    for (name, _) in &not_made {
        assert_eq!(makers(&archive, name), [], "{name}");
    }
    comes_back(&archive, dir.path());
}

#[test]
fn what_saves_nothing_stays_as_it_is() {
    let dir = tempfile::tempdir().expect("tmp");
    let texts = [Random(7).bytes(300_000), field(&[50]).bytes].map(|elements| data(&blocks(32_768, ZLIB), &elements));
    fs::write(dir.path().join("noise.vtp"), vtp(true, &texts)).expect("written");
    for mode in [Mode::Balanced, Mode::Small] {
        let archive = open(&pack(dir.path(), mode, &[])).expect("sound");
        assert_eq!(makers(&archive, "noise.vtp"), []);
        comes_back(&archive, dir.path());
    }
}

#[test]
fn a_bound_changes_text_in_its_place_and_leaves_blocks_exact() {
    let dir = tempfile::tempdir().expect("tmp");
    let (a, b) = (field(&[90, 400]).bytes, field(&[700]).bytes);
    let plain = text(&[]);
    let [first, second] = [data(&plain, &a), data(&plain, &b)];
    let file = vtp(false, &[first.clone(), second]);
    fs::write(dir.path().join("text.vtp"), &file).expect("written");
    fs::write(dir.path().join("zlib.vtp"), vtp(true, &[data(&blocks(32_768, ZLIB), &a)])).expect("written");
    let mut policy = Policy::lossless();
    policy.add("abs=0.01").expect("a rule");
    let (planned, _) = Packer::new().policy(policy).dry_run(dir.path()).expect("a folder");
    let why: Vec<&str> = planned.iter().filter(|planned| planned.limit.is_none()).map(|planned| &planned.why[..]).collect();
    assert!(planned.len() == 3 && why.len() == 1 && why[0].contains("deflated stream: exact"), "{planned:?}");
    for mode in [Mode::Fast, Mode::Balanced] {
        let archive = open(&pack(dir.path(), mode, &["abs=0.01", "text.vtp:b=lossless"])).expect("sound");
        assert!(errbar::Verifier::new().verify(&archive).expect("readable").problems.is_empty());
        let out = tempfile::tempdir().expect("tmp");
        assert_eq!(unpack(&archive, out.path(), 2), 0);
        let compared = errbar::Comparer::new().bounds(true).tree(&archive, dir.path()).expect("readable");
        assert!(compared.differences.is_empty(), "{:?}", compared.differences);
        let read = archive.read_variable(b"text.vtp", "a", &[]).expect("a variable").bytes;
        assert_ne!(read, a);
        assert_eq!(archive.read_variable(b"text.vtp", "b", &[]).expect("a variable").bytes, b);
        // The file has the numbers that the variable has.
        let at = file.windows(first.len()).position(|window| window == first).expect("there");
        let expected = [&file[..at], &data(&plain, &read), &file[at + first.len()..]].concat();
        assert!(fs::read(out.path().join("text.vtp")).expect("unpacked") == expected);
        assert_eq!(fs::read(out.path().join("zlib.vtp")).expect("unpacked"), fs::read(dir.path().join("zlib.vtp")).expect("there"));
    }
}
