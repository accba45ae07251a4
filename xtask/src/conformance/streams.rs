//! Deflate streams that are made again of their content.

use errbar_codec::stream::Stream;
use errbar_format::limits::{MAX_BLOCK, MAX_FILTERS, MAX_INLINE};
use errbar_format::record::{BlockPlace, Deflate, Entry, FileBody, FileHashes, Filter, Maker, PartRef, Segment, Variable};
use errbar_format::{DType, Kind};

use super::accept::counting;
use super::blocks::receipt;
use crate::builder::{Archive, Builder, hash};
use crate::content::{Coded, body_mut, file, pipeline, run_block, stored};
use crate::vectors::Vector;

/// What most writers of gzip and ZIP tell zlib.
pub const USUAL: Deflate = Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 };

pub fn vectors() -> Vec<Vector> {
    let mut all = vec![
        Vector::accept("accept-streams", streams(), "two streams in one file, of every kind of segment that a stream may hold"),
        Vector::accept(
            "accept-stream-settings",
            settings(),
            "streams of several pieces of 65,536 bytes, one for each of some settings of zlib",
        ),
        Vector::accept("accept-stream-filters", filters(), "streams that filters make piece by piece, as bytes and as text"),
        another("length", |_, length, _| *length -= 1, "as many bytes as the segment says"),
        another("crc", |_, _, crc| *crc ^= 1, "of the CRC-32 that the segment says"),
        another("level", |maker, _, _| *maker = Maker::Deflate(Deflate { level: 1, ..USUAL }), "made with the settings of the segment"),
        another("maker", |maker, _, _| *maker = text(9, &[]), "made by the maker of the segment"),
    ];
    all.push(compressed_with_receipt());
    all.extend(broken());
    all
}

/// The deflate stream of some content, and its segment, which `segments` segments of content follow.
pub fn stream(deflate: Deflate, segments: u32, content: &[u8]) -> (Segment, Vec<u8>) {
    stream_by(Maker::Deflate(deflate), segments, content)
}

/// The same by any maker.
fn stream_by(maker: Maker, segments: u32, content: &[u8]) -> (Segment, Vec<u8>) {
    let (mut stream, mut made) = (Stream::new(&maker).expect("memory"), Vec::new());
    stream.write(content, &mut made).and_then(|()| stream.finish(&mut made)).expect("memory");
    (Segment::Stream { segments, maker, length: made.len() as u64, crc: crc32fast::hash(&made), pieces: vec![] }, made)
}

/// Filters that make text.
fn text(piece: u64, filters: &[Filter]) -> Maker {
    Maker::Filters { piece, filters: filters.to_vec(), base64: true }
}

/// Text with matches, near and far.
fn words(len: usize) -> Vec<u8> {
    let words = (0u32..).flat_map(|i| format!("{} ", i.wrapping_mul(2_654_435_761) >> 25).into_bytes());
    words.take(len).collect()
}

/// Between a head and a tail, a stream that holds a run, a part and inline bytes, and one that holds a
/// variable in blocks, records and a variable in a shared block.
fn streams() -> Archive {
    let mut b = Builder::new("streams");
    let array = counting("f", DType::F32, &[5, 7]);
    let (field, other) = (counting("f", DType::U16, &[4]), counting("f", DType::U8, &[4]));
    let text = words(300);
    // Where runs stand, a stream counts as its content: behind it, and in it.
    let run = b.next_block();
    b.block(&run_block(run, "f", 4, &text), &text);
    let part = [b"shared".as_slice(), &field.bytes].concat();
    let shared = b.next_block();
    b.block(&stored(shared, BlockPlace::Shared, DType::Bytes, &[part.len() as u64], &part), &part);
    let block = b.next_block();
    let place = BlockPlace::Box { path: "f".into(), variable: "v".into(), origin: vec![0, 0] };
    b.block(&stored(block, place, array.dtype, &array.shape, &array.bytes), &array.bytes);
    let last = b.next_block();
    b.block(&run_block(last, "f", 4 + 300 + 6 + 3 + 12 + 140 + 1, b"behind"), b"behind");
    let records: Vec<u8> = (0..4).flat_map(|i| [field.bytes[2 * i], field.bytes[2 * i + 1], other.bytes[i]]).collect();
    let (first, first_made) = stream(USUAL, 3, &[&text[..], b"shared", b"end"].concat());
    let (second, second_made) = stream(Deflate { level: 9, mem_level: 9, ..USUAL }, 3, &[&records[..], &array.bytes, b"."].concat());
    let segments = vec![
        Segment::Inline(b"head".to_vec()),
        first,
        Segment::Run { first_block: run, block_len: 300, length: 300 },
        Segment::Part { block: shared, offset: 0, length: 6 },
        Segment::Inline(b"end".to_vec()),
        second,
        Segment::Records { first: 0, count: 2 },
        Segment::Variable { index: 2 },
        Segment::Inline(b".".to_vec()),
        Segment::Run { first_block: last, block_len: 6, length: 6 },
    ];
    let variables = vec![
        Variable { name: "field".into(), part: Some(PartRef { block: shared, offset: 6 }), ..field.variable(0) },
        Variable { name: "other".into(), inline: other.bytes.clone(), ..other.variable(0) },
        Variable { name: "v".into(), ..array.variable(block) },
    ];
    b.entry(file("f", segments, variables, &[b"head", &first_made[..], &second_made, b"behind"].concat()));
    b.finish()
}

/// One file for each of some settings, of content that zlib is given in three pieces.
fn settings() -> Archive {
    let mut b = Builder::new("stream-settings");
    let some = [(1, 8, 15, 0), (3, 5, 15, 3), (4, 1, 9, 0), (6, 8, 12, 2), (6, 8, 15, 1), (7, 8, 14, 4), (9, 9, 15, 0)];
    for (level, mem_level, window_bits, strategy) in some {
        let deflate = Deflate { level, mem_level, window_bits, strategy };
        let (path, content) = (format!("{level}-{mem_level}-{window_bits}-{strategy}"), words(140_000));
        let (segment, made) = stream(deflate, 1, &content);
        let number = b.next_block();
        let mut block = run_block(number, &path, 0, &content);
        block.pipeline.coder = crate::content::stage("zstd", &[0]);
        b.block(&block, &crate::builder::zstd(&content));
        let length = content.len() as u64;
        b.entry(file(&path, vec![segment, Segment::Run { first_block: number, block_len: length, length }], vec![], &made));
    }
    b.finish()
}

/// One file for each of some makers, of content in two segments, the end of the first not being that of a piece; and one of
/// text that holds a variable which has lost something.
fn filters() -> Archive {
    let mut b = Builder::lossy("stream-filters");
    let (zlib, shuffle) = (Filter::Deflate { level: 5, mem_level: 8 }, Filter::Shuffle { item: 4 });
    let bounded = bounded("bounded", &mut b, text(1, &[]));
    b.entry(bounded);
    let makers = [
        ("bytes", Maker::Filters { piece: 100, filters: vec![zlib], base64: false }),
        ("one-piece", Maker::Filters { piece: MAX_BLOCK, filters: vec![shuffle, zlib], base64: false }),
        ("text", text(1, &[])),
        ("text-of-blocks", text(100, &[zlib])),
        ("text-of-sums", text(7, &[Filter::Fletcher32])),
        ("text-of-whole-pieces", text(200, &[zlib])),
    ];
    for (path, maker) in makers {
        let content = words(400);
        let (segment, made) = stream_by(maker, 2, &content);
        let (first, second) = content.split_at(251);
        let segments = vec![segment, Segment::Inline(first.to_vec()), Segment::Inline(second.to_vec()), Segment::Inline(b"<".to_vec())];
        b.entry(file(path, segments, vec![], &[&made[..], b"<"].concat()));
    }
    b.finish()
}

/// A file of a stream that holds some bytes and an array that has lost something.
fn bounded(path: &str, b: &mut Builder, maker: Maker) -> Entry {
    let array = counting(path, DType::F32, &[6]);
    let mut entry = b.array_entry(&array, |extent, bytes| {
        let (payload, receipt) = (bytes.to_vec(), Some(receipt(extent[0])));
        Coded { pipeline: pipeline("none", &[], "store"), exact_len: 0, receipt, decoded: payload.clone(), payload }
    });
    let header = 24u32.to_le_bytes();
    let (segment, made) = stream_by(maker, 2, &[&header[..], &array.bytes].concat());
    let body = body_mut(&mut entry);
    body.segments = vec![segment, Segment::Inline(header.to_vec()), Segment::Variable { index: 0 }];
    body.size = made.len() as u64;
    body.hashes = Some(FileHashes::of(hash(&made)));
    entry
}

/// A file of a stream, which is made of the entry's bytes.
fn entry(path: &str) -> Entry {
    let content = words(400);
    let (segment, made) = stream(USUAL, 1, &content);
    file(path, vec![segment, Segment::Inline(content)], vec![], &made)
}

/// A stream that its content does not make.
fn another(name: &str, edit: impl FnOnce(&mut Maker, &mut u64, &mut u32), note: &str) -> Vector {
    let mut b = Builder::new(&format!("e10-{name}"));
    let mut bad = entry("bad");
    let body = body_mut(&mut bad);
    if let Segment::Stream { maker, length, crc, .. } = &mut body.segments[0] {
        edit(maker, length, crc);
        body.size = *length;
    }
    b.entry(bad);
    b.entry(entry("good"));
    Vector::damaged(Kind::Corrupt, "EB-E10", name, b.finish(), &["bad"], note)
}

fn compressed_with_receipt() -> Vector {
    let mut b = Builder::lossy("e11-receipt");
    let bad = bounded("a", &mut b, text(8, &[Filter::Deflate { level: 5, mem_level: 8 }]));
    b.entry(bad);
    Vector::refuse(Kind::Corrupt, "EB-E11", "receipt", b.finish(), "what is in a compressed stream is exact")
}

fn broken() -> Vec<Vector> {
    let with = |kind, rule: &'static str, name: &str, edit: &dyn Fn(&mut FileBody), note: &str| {
        let mut bad = entry("a");
        edit(body_mut(&mut bad));
        let mut b = Builder::new(&format!("{rule}-{name}"));
        b.entry(bad);
        Vector::refuse(kind, rule, name, b.finish(), note)
    };
    let e11 = |name: &str, edit: &dyn Fn(&mut FileBody), note: &str| with(Kind::Corrupt, "EB-E11", name, edit, note);
    let made_by = |name: &str, by: Maker, note: &str| {
        let edit = |body: &mut FileBody| match &mut body.segments[0] {
            Segment::Stream { maker, .. } => *maker = by.clone(),
            _ => unreachable!("the file begins with a stream"),
        };
        e11(name, &edit, note)
    };
    let settings = |name: &str, deflate: Deflate, note: &str| made_by(name, Maker::Deflate(deflate), note);
    let zlib = Filter::Deflate { level: 5, mem_level: 8 };
    let count = |n: u32| {
        move |body: &mut FileBody| match &mut body.segments[0] {
            Segment::Stream { segments, .. } => *segments = n,
            _ => unreachable!("the file begins with a stream"),
        }
    };
    let long = |body: &mut FileBody| {
        let most = 2 * 400 + MAX_INLINE as u64 + 1;
        match &mut body.segments[0] {
            Segment::Stream { length, .. } => *length = most,
            _ => unreachable!("the file begins with a stream"),
        }
        body.size = most;
    };
    let inside = |segment: Segment| {
        move |body: &mut FileBody| {
            body.segments.push(segment.clone());
            count(2)(body);
        }
    };
    let (nested, _) = stream(USUAL, 1, b"");
    vec![
        e11("no-content", &count(0), "a stream has content"),
        e11("content-missing", &count(2), "all of its content follows a stream"),
        e11("hole", &inside(Segment::Hole { length: 1 << 40 }), "no hole in a stream: it would be made of what is not there"),
        e11("nested", &inside(nested), "no stream in a stream"),
        settings("level", Deflate { level: 0, ..USUAL }, "levels 1 to 9"),
        settings("mem-level", Deflate { mem_level: 10, ..USUAL }, "memory levels 1 to 9"),
        settings("window-bits", Deflate { window_bits: 8, ..USUAL }, "zlib makes no raw stream in a window of 256 bytes"),
        settings("strategy", Deflate { strategy: 5, ..USUAL }, "strategies 0 to 4"),
        made_by("piece", text(0, &[zlib]), "pieces have bytes"),
        made_by("large-piece", text(MAX_BLOCK + 1, &[]), "pieces are no larger than blocks"),
        made_by("filter", text(1, &[Filter::Deflate { level: 10, mem_level: 8 }]), "filters are as those of chunks"),
        made_by("two-streams", text(1, &[zlib, zlib]), "at most one filter compresses"),
        made_by("filters", text(1, &[Filter::Fletcher32; MAX_FILTERS + 1]), "at most MAX_FILTERS filters"),
        with(Kind::Limit, "EB-E03", "stream", &long, "zlib makes no stream so long"),
    ]
}
