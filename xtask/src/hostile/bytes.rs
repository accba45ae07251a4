//! Frames, pages and blocks that lie about lengths, places and content.

use errbar_format::DType;
use errbar_format::frame::{ANCILLARY, kind};
use errbar_format::limits::MAX_BLOCK;
use errbar_format::record::{Block, BlockPlace, FileHashes, PageContent, PageRef, Segment, Tail};

use super::Case;
use crate::builder::{Archive, Builder, Leaf, TWO_TO_40, encode, hash};
use crate::content::{body_mut, file, hashes_mut, inline, pipeline, run_block, stage, stored};

pub fn cases() -> Vec<Case> {
    [bombs(), lengths(), places(), stages(), whole_files()].into_iter().flatten().collect()
}

const CONTENT: &[u8] = b"content of the only file, in one block\n";

fn run(length: u64) -> Vec<Segment> {
    vec![Segment::Run { first_block: 0, block_len: length, length }]
}

/// The only file, its block edited, over a payload of any kind.
fn one_block(name: &str, payload: &[u8], edit: impl FnOnce(&mut Block)) -> Archive {
    let mut b = Builder::lossy(name);
    let mut block = run_block(0, "f", 0, CONTENT);
    edit(&mut block);
    b.block_record(&encode(&block), payload, CONTENT.len() as u64, block.decoded_hash);
    b.entry(file("f", run(CONTENT.len() as u64), vec![], CONTENT));
    b.finish()
}

fn one_file(name: &str) -> Archive {
    one_block(name, CONTENT, |_| {})
}

fn refused(name: &str, payload: &[u8], edit: impl FnOnce(&mut Block)) -> Case {
    Case::refused(name, one_block(name, payload, edit))
}

/// A zstd frame of zeros, 128 KiB for every four bytes (RFC 8878, 3.1.1: RLE blocks).
fn zeros_of(blocks: u32, window: u8) -> Vec<u8> {
    const LEN: u32 = 128 << 10;
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0, window];
    for i in 1..=blocks {
        let header = LEN << 3 | 1 << 1 | u32::from(i == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// Exponent of 17 in a window descriptor.
const WINDOW_128_KIB: u8 = 7 << 3;
/// Exponent of 40.
const WINDOW_1_TIB: u8 = 30 << 3;
/// Zeros of 1 GiB in 32 KiB.
const BOMB: u32 = 8192;

fn bombs() -> Vec<Case> {
    let mut page = Leaf::of_entries(&[inline("f", CONTENT)]);
    page.payload = zeros_of(BOMB, WINDOW_128_KIB);
    let mut lying_page = Builder::new("bomb-header-lies-2");
    lying_page.page(page);
    let mut huge_page = Builder::new("bomb-header-huge-3");
    huge_page.page(Leaf::of_entries(&[inline("f", CONTENT)]).edit(|page| page.decoded_len = 1 << 40));
    let mut nested = Builder::new("bomb-quine");
    nested.file("archive.eba", &one_file("bomb-quine-inner").bytes);
    vec![
        // A block holds 64 MiB at most, so 10 GiB of it is a lie (2), and this is the largest truth (1).
        Case::contained("bomb-ratio-1", largest_block("bomb-ratio-1")).with("exit 0").with("variants clean"),
        refused("bomb-ratio-2", &[0], |block| (block.shape, block.pipeline.coder) = (vec![10 << 30], stage("constant", &[]))),
        refused("bomb-header-lies-1", &zeros_of(BOMB, WINDOW_128_KIB), |block| block.pipeline.coder = stage("zstd", &[3])),
        Case::refused("bomb-header-lies-2", lying_page.finish()),
        refused("bomb-header-huge-1", &CONTENT[..20], |block| block.shape = vec![1 << 40]),
        Case::refused("bomb-header-huge-2", one_file("bomb-header-huge-2").with_prefix(2, |prefix| prefix.payload_len = 1 << 40)),
        Case::refused("bomb-header-huge-3", huge_page.finish()),
        // No archive can hold itself, whose hash would stand in it; one level shows what unpackers do.
        Case::contained("bomb-quine", nested.finish()).with("exit 0"),
        // Refused where the catalogue allows more: entries may not use the same bytes again (EB-T05).
        Case::refused("bomb-overlap", overlap()),
        refused("bomb-dictionary", &zeros_of(1, WINDOW_1_TIB), |block| block.pipeline.coder = stage("zstd", &[3])),
        refused("bomb-dims-1", CONTENT, |block| block.shape = vec![1 << 32, 1 << 32]),
        refused("bomb-dims-2", CONTENT, |block| block.shape = vec![1; 255]),
        refused("bomb-dims-3", CONTENT, |block| block.shape = vec![0, 39]),
        refused("bomb-dims-4", CONTENT, |block| block.shape = vec![u64::MAX, u64::MAX, 0]),
    ]
}

/// A file of 64 MiB of zeros in a block of one byte.
fn largest_block(name: &str) -> Archive {
    let mut b = Builder::new(name);
    let zeros = vec![0; MAX_BLOCK as usize];
    let mut block = stored(0, BlockPlace::Run { path: b"f".to_vec(), offset: 0 }, DType::Bytes, &[MAX_BLOCK], &zeros);
    block.pipeline = pipeline("none", &[], "constant");
    b.block(&block, &[0]);
    b.entry(file("f", run(MAX_BLOCK), vec![], &zeros));
    b.finish()
}

/// Ten thousand files that all point at one block of 64 MiB.
fn overlap() -> Archive {
    let mut b = Builder::new("bomb-overlap");
    let zeros = vec![0; MAX_BLOCK as usize];
    let mut block = stored(0, BlockPlace::Shared, DType::Bytes, &[MAX_BLOCK], &zeros);
    block.pipeline = pipeline("none", &[], "constant");
    b.block(&block, &[0]);
    let same = file("f", vec![Segment::Part { block: 0, offset: 0, length: MAX_BLOCK }], vec![], &zeros);
    for i in 0..10_000 {
        let mut entry = same.clone();
        entry.path = format!("f{i:04}").into_bytes();
        b.entry(entry);
    }
    b.finish()
}

fn lengths() -> Vec<Case> {
    let cut = |name: &str, frame: usize| {
        let archive = one_file(name);
        let end = archive.range(frame).end - 16;
        Case::refused(name, archive.cut(end))
    };
    // The record of the block with a length of 2^40 for the byte at a place.
    let record = |name: &str, at: usize| {
        let mut record = encode(&run_block(0, "f", 0, CONTENT));
        record.splice(at..=at, TWO_TO_40);
        let mut b = Builder::new(name);
        b.block_record(&record, CONTENT, CONTENT.len() as u64, hash(CONTENT));
        b.entry(file("f", run(CONTENT.len() as u64), vec![], CONTENT));
        Case::refused(name, b.finish())
    };
    let page = |name: &str, item: Vec<u8>| {
        let mut b = Builder::new(name);
        b.page(Leaf::new(PageContent::Entries, b"f".to_vec(), &[item]));
        Case::refused(name, b.finish())
    };
    let entry_with = |at: usize| {
        let mut item = encode(&inline("f", CONTENT));
        item.splice(at..=at, TWO_TO_40);
        item
    };
    let payload = |name: &str, len| Case::refused(name, one_file(name).with_prefix(2, |prefix| prefix.payload_len = len));
    let wraps = |name: &str, segment| {
        let mut entry = file("f", vec![segment], vec![], CONTENT);
        body_mut(&mut entry).size = CONTENT.len() as u64;
        let mut b = Builder::new(name);
        b.block(&run_block(0, "f", 0, CONTENT), CONTENT);
        b.entry(entry);
        Case::refused(name, b.finish())
    };
    vec![
        record("bomb-strings-1", 3),           // path of the block
        record("bomb-strings-2", 8),           // number of dimensions
        page("bomb-strings-3", entry_with(0)), // path of the entry
        page("bomb-strings-4", entry_with(4)), // number of segments
        payload("length-2^63-1", 1 << 63),
        payload("length-2^63-2", u64::MAX),
        wraps("length-2^63-3", Segment::Part { block: 0, offset: u64::MAX - 1, length: CONTENT.len() as u64 }),
        wraps("length-2^63-4", Segment::Run { first_block: u64::MAX, block_len: 1, length: CONTENT.len() as u64 }),
        cut("length-past-end-1", 2),
        cut("length-past-end-2", 3),
    ]
}

/// The only file; its TAIL edited.
fn with_tail(name: &str, edit: impl FnOnce(&mut Tail)) -> Archive {
    let mut b = Builder::new(name);
    b.file("f", CONTENT);
    b.finish_with(edit)
}

/// Index and frames contradict each other. The catalogue refuses such archives; here frames win
/// over the index, and what they hold is proven by hashes, so a reader may restore it.
fn places() -> Vec<Case> {
    let frames_win = Case::contained;
    let longer = |name: &str| {
        let mut archive = one_file(name);
        archive.bytes.extend_from_slice(b"bytes after the end");
        archive
    };
    let count = |name: &str, count| {
        let mut b = Builder::new(name);
        b.page(Leaf::of_entries(&[inline("e", CONTENT), inline("f", CONTENT)]).edit(|page| page.count = count));
        // Both copies of the page lie, so nothing is left to win.
        Case::refused(name, b.finish())
    };
    let sized = |name: &str, size| {
        let mut entry = inline("f", CONTENT);
        body_mut(&mut entry).size = size;
        let mut b = Builder::new(name);
        b.entry(entry);
        Case::refused(name, b.finish())
    };
    vec![
        frames_win("overlapping-frames-1", same_bytes()),
        frames_win("overlapping-frames-2", frame_in_payload()),
        frames_win("offset-backwards-1", with_tail("offset-backwards-1", |tail| tail.entries = itself(tail))),
        // A circle of pages cannot be made, as each would need the other's hash; this one leads forwards.
        frames_win("offset-backwards-2", with_tail("offset-backwards-2", |tail| tail.entries.offset += 1 << 20)),
        frames_win("offset-backwards-3", with_tail("offset-backwards-3", |tail| tail.blocks.offset = u64::MAX - 7)),
        frames_win("count-mismatch-1", with_tail("count-mismatch-1", |tail| tail.n_entries += 1)),
        frames_win("count-mismatch-2", with_tail("count-mismatch-2", |tail| tail.n_entries -= 1)),
        frames_win("count-mismatch-3", longer("count-mismatch-3")),
        count("count-mismatch-4", 3),
        count("count-mismatch-5", 1),
        sized("segments-overlap-1", CONTENT.len() as u64 - 1),
        sized("segments-overlap-2", CONTENT.len() as u64 + 1),
    ]
}

fn itself(tail: &Tail) -> PageRef {
    // TAIL stands behind the root of the entries, with which the index ends.
    PageRef { offset: tail.entries.offset + tail.entries.frame_len, frame_len: 272, hash: hash(b"") }
}

/// Two references to the same block frame.
fn same_bytes() -> Archive {
    let mut b = Builder::new("overlapping-frames-1");
    b.file("e", CONTENT);
    b.file("f", CONTENT);
    b.blocks[1] = b.blocks[0];
    b.finish()
}

/// A block whose payload is the frame of another block, to which the index refers.
fn frame_in_payload() -> Archive {
    let mut inner = Builder::new("overlapping-frames-2");
    let at = inner.offset() as usize;
    inner.block(&run_block(1, "f", 0, CONTENT), CONTENT);
    let frame = inner.stop().bytes[at..].to_vec();

    let mut b = Builder::new("overlapping-frames-2");
    b.file("e", &frame);
    let mut place = b.blocks[0];
    place.offset += place.frame_len - frame.len() as u64;
    place.frame_len = frame.len() as u64;
    (place.decoded_len, place.decoded_hash) = (CONTENT.len() as u64, hash(CONTENT));
    b.blocks.push(place);
    let length = CONTENT.len() as u64;
    b.entry(file("f", vec![Segment::Run { first_block: 1, block_len: length, length }], vec![], CONTENT));
    b.finish()
}

fn stages() -> Vec<Case> {
    let uniform = |step: f64| [&step.to_le_bytes()[..], &0i64.to_le_bytes(), &[1]].concat();
    let params = |i: usize, quantizer: &str, quantizer_params: &[u8], transform: Option<(&str, &[u8])>, coder: (&str, &[u8])| {
        let name = format!("codec-params-{i}");
        let archive = one_block(&name, CONTENT, |block| {
            block.pipeline.quantizer = stage(quantizer, quantizer_params);
            block.pipeline.transforms = transform.iter().map(|(name, params)| stage(name, params)).collect();
            block.pipeline.coder = stage(coder.0, coder.1);
        });
        Case::refused(name, archive)
    };
    let store = ("store", &[][..]);
    let mut all: Vec<Case> = [0.0, f64::NAN, -1.0, f64::INFINITY]
        .into_iter()
        .enumerate()
        .map(|(i, step)| params(i + 1, "uniform", &uniform(step), None, store))
        .collect();
    all.extend([
        // A step below all normal numbers is legal, but not over bytes.
        params(5, "uniform", &uniform(5e-324), None, store),
        params(6, "none", &[], Some(("lorenzo", &[255])), store),
        params(7, "bitround", &[65], None, store),
        params(8, "none", &[], None, ("pco", &[255, 255])),
        params(9, "none", &[], None, ("pco", &[DType::U8.code(), 255])),
        params(10, "none", &[0; 4096], None, store),
    ]);
    let noise: Vec<u8> = (0..2000u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    for (i, (coder, coder_params)) in
        [("zstd", vec![3]), ("pco", vec![DType::U8.code(), 8]), ("store", vec![]), ("constant", vec![])].into_iter().enumerate()
    {
        let name = format!("wrong-hash-everywhere-{}", i + 1);
        let archive = one_block(&name, &noise, |block| (block.pipeline.coder, block.shape) = (stage(coder, &coder_params), vec![2000]));
        all.push(Case::contained(name, archive).with("exit 1"));
    }
    let unknown = {
        let mut b = Builder::new("unknown-codec");
        let mut block = run_block(0, "f", 0, CONTENT);
        block.pipeline.coder = stage("example.org/magic", &[]);
        b.block(&block, CONTENT);
        b.entry(file("f", run(CONTENT.len() as u64), vec![], CONTENT));
        b.file("g", b"the other file");
        b.finish()
    };
    all.push(Case::contained("unknown-codec", unknown).with("exit 3"));
    let mut wrong = Builder::new("checksum-right-data-wrong");
    let mut entry = inline("f", CONTENT);
    *hashes_mut(&mut entry) = FileHashes::of(hash(b"other content"));
    wrong.entry(entry);
    all.push(Case::refused("checksum-right-data-wrong", wrong.finish()).with("exit 1"));
    all
}

fn whole_files() -> Vec<Case> {
    let frame = |name: &str, flags| {
        let mut b = Builder::new(name);
        b.file("f", CONTENT);
        b.flush();
        b.frame(0x7777, flags, b"record", b"payload");
        b.finish()
    };
    let bytes = |bytes: &[u8]| Archive { bytes: bytes.to_vec(), frames: Vec::new(), files: Vec::new() };
    let mut format = Builder::bare("version-future-1");
    format.head.format = (255, 0);
    format.open();
    format.file("f", CONTENT);
    let mut head = Builder::bare("version-future-2");
    head.head.version = 255;
    head.open();
    head.file("f", CONTENT);
    let mut features = Builder::bare("version-future-4");
    features.head.required_features = u64::MAX;
    features.open();
    features.file("f", CONTENT);
    vec![
        Case::refused("unknown-critical", frame("unknown-critical", 0)).with("exit 3"),
        Case::contained("unknown-ancillary", frame("unknown-ancillary", ANCILLARY)).with("exit 0"),
        // Numbers of editions are for reports; features and versions of records decide.
        Case::contained("version-future-1", format.finish()).with("exit 0"),
        // HEAD is a copy of what TAIL says, so its loss need not cost anything.
        Case::contained("version-future-2", head.finish()),
        Case::refused("version-future-3", with_tail("version-future-3", |tail| tail.version = 255)),
        Case::refused("version-future-4", features.finish()).with("exit 3"),
        Case::contained("empty-archive", Builder::new("empty-archive").finish()).with("exit 0"),
        Case::refused("zero-bytes-1", bytes(b"")),
        Case::refused("zero-bytes-2", bytes(&[0; 4096])),
        Case::refused("zero-bytes-3", bytes(&errbar_format::frame::SYNC)),
        Case::refused("zero-bytes-4", one_file("zero-bytes-4").cut(47)),
        Case::refused("zero-bytes-5", only_tail()),
    ]
}

/// An archive that begins with its end.
fn only_tail() -> Archive {
    let archive = one_file("zero-bytes-5");
    let tail = archive.range(archive.find(kind::TAIL, 0));
    Archive { bytes: archive.bytes[tail].to_vec(), frames: Vec::new(), files: Vec::new() }
}
