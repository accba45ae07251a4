//! The frame grammar, the encoding of records, features, and the order of frames.

use errbar_format::frame::{ANCILLARY, PREFIX_LEN, kind};
use errbar_format::limits::{MAX_DOCUMENT, MAX_PAYLOAD, MAX_RECORD};
use errbar_format::record::{Document, FileHashes, PageContent, RECORD_VERSION, Segment};
use errbar_format::{Kind, frame};

use super::{text, three, three_builder, three_pages, write_text};
use crate::builder::{Archive, Builder, Leaf, TWO_TO_40, encode, zstd};
use crate::content::{body_mut, file, hashes_mut, inline, run_block};
use crate::vectors::Vector;

/// The frame of the block of `b.txt` in [`three`].
const B: usize = 3;

pub fn vectors() -> Vec<Vector> {
    [prefixes(), records(), features(), order(), tails(), critical(), documents()].into_iter().flatten().collect()
}

fn lost_b(kind: Kind, rule: &'static str, name: &str, archive: Archive, note: &str) -> Vector {
    Vector::damaged(kind, rule, name, archive, &["b.txt"], note)
}

fn prefixes() -> Vec<Vector> {
    let sound = || three("three");
    let payload = |archive: &Archive| archive.frames[B].1.head_len() as usize;
    let no_archive = |bytes: &[u8]| Archive { bytes: bytes.to_vec(), frames: Vec::new(), files: Vec::new() };
    let huge = |len| sound().with_prefix(B, |prefix| prefix.payload_len = len);
    let record_end = PREFIX_LEN + sound().frames[B].1.record_len as usize;
    let frame_len = sound().frames[B].1.frame_len() as usize;
    assert!(frame_len as u64 > sound().frames[B].1.head_len() + sound().frames[B].1.payload_len, "the frame has padding to break");
    vec![
        lost_b(Kind::Corrupt, "EB-F01", "sync-damaged", sound().flip(B, 0), "a frame is found by its sync bytes alone"),
        lost_b(Kind::Corrupt, "EB-F01", "sync-last-byte", sound().flip(B, 7), "all eight sync bytes count"),
        Vector::damaged(Kind::Corrupt, "EB-F01", "gap", gap(), &[], "nothing stands between frames"),
        Vector::refuse(Kind::Corrupt, "EB-F01", "text", no_archive(b"This is a text and no archive.\n"), "no frame was found"),
        Vector::refuse(Kind::Corrupt, "EB-F01", "nothing", no_archive(b""), "no frame was found"),
        Vector::refuse(Kind::Corrupt, "EB-F01", "zeros", no_archive(&[0; 4096]), "no frame was found"),
        lost_b(Kind::Corrupt, "EB-F02", "prefix-damaged", sound().flip(B, 33), "nothing in a prefix is believed before its checksum is"),
        lost_b(Kind::Corrupt, "EB-F02", "prefix-crc-damaged", sound().flip(B, 44), "the checksum itself may be damaged"),
        lost_b(Kind::Limit, "EB-F03", "payload-2-63", huge(1 << 63), "a length is refused before it is used"),
        lost_b(Kind::Limit, "EB-F03", "payload-2-64", huge(u64::MAX), "a length that would overflow when padded"),
        lost_b(Kind::Limit, "EB-F03", "payload-one-too-many", huge(MAX_PAYLOAD + 1), "the smallest length that is refused"),
        lost_b(
            Kind::Limit,
            "EB-F03",
            "record-one-too-many",
            sound().with_prefix(B, |prefix| prefix.record_len = MAX_RECORD + 1),
            "the smallest length that is refused",
        ),
        lost_b(
            Kind::Unsupported,
            "EB-F04",
            "unknown-flag",
            sound().with_prefix(B, |prefix| prefix.flags = 4),
            "an unknown flag may change all the rest",
        ),
        lost_b(Kind::Corrupt, "EB-F05", "record-damaged", sound().flip(B, PREFIX_LEN + 9), "a record's checksum covers the record"),
        lost_b(Kind::Corrupt, "EB-F05", "record-crc-damaged", sound().flip(B, record_end), "the checksum itself may be damaged"),
        lost_b(Kind::Corrupt, "EB-F06", "padding-damaged", sound().flip(B, frame_len - 1), "padding is zeros"),
        Vector::damaged(
            Kind::Corrupt,
            "EB-F06",
            "padding-without-payload",
            padding_of_head(sound()),
            &[],
            "a frame without payload has padding too",
        ),
        lost_b(Kind::Corrupt, "EB-F07", "payload-damaged", sound().flip(B, payload(&sound()) + 30), "one byte of a payload"),
        lost_b(Kind::Corrupt, "EB-F07", "payload-crc", sound().with_prefix(B, |prefix| prefix.payload_crc ^= 1), "another checksum"),
        Vector::damaged(Kind::Corrupt, "EB-F08", "meta-with-payload", meta_with_payload(), &[], "META has no payload"),
    ]
}

fn gap() -> Archive {
    let mut b = Builder::new("gap");
    write_text(&mut b, "a.txt");
    b.raw(&[0; 24]);
    write_text(&mut b, "b.txt");
    b.finish()
}

/// HEAD with padding that is not zero.
fn padding_of_head(archive: Archive) -> Archive {
    let prefix = &archive.frames[0].1;
    assert!(prefix.frame_len() > prefix.head_len(), "the frame has padding to break");
    let last = prefix.frame_len() as usize - 1;
    archive.flip(0, last)
}

fn meta_with_payload() -> Archive {
    let mut b = Builder::bare("f08");
    let (head, meta) = (encode(&b.head), encode(&b.meta));
    b.frame(kind::HEAD, 0, &head, &[]);
    b.frame(kind::META, 0, &meta, b"payload");
    write_text(&mut b, "a.txt");
    b.finish()
}

/// [`three`], the record of the second block edited as bytes.
fn edited(name: &str, edit: impl FnOnce(&mut Vec<u8>)) -> Archive {
    let mut b = Builder::new(&format!("record-{name}"));
    write_text(&mut b, "a.txt");
    let content = text("b.txt");
    let mut record = encode(&run_block(1, "b.txt", 0, &content));
    edit(&mut record);
    b.block_record(&record, &content, content.len() as u64, crate::builder::hash(&content));
    let length = content.len() as u64;
    b.entry(file("b.txt", vec![Segment::Run { first_block: 1, block_len: length, length }], vec![], &content));
    write_text(&mut b, "c.txt");
    b.finish()
}

// Where the fields of the record in `edited` begin.
const NUMBER: usize = 1;
const PLACE: usize = 2;
const PATH_LEN: usize = 3;
const DTYPE: usize = 10;
const BIG_ENDIAN: usize = 11;
const N_DIMS: usize = 12;
const QUANTIZER: usize = 15;

/// An entry with a variable of 2^21 dimensions, a byte each.
fn small_integers() -> Archive {
    let mut b = Builder::new("r02");
    write_text(&mut b, "a.txt");
    b.flush();
    // Path; a file of no bytes and no segments; one variable; its name, type and order.
    let mut item = [&[5][..], b"b.txt", &[0, 0, 0, 1], &[0, 2, 0, 0]].concat();
    item.extend_from_slice(&[252, 0, 0, 32, 0]);
    item.resize(item.len() + (1 << 21), 0);
    b.page(Leaf::new(PageContent::Entries, b"b.txt".to_vec(), &[item]));
    b.finish()
}

fn records() -> Vec<Vector> {
    let broken = |name: &str, note: &str, edit: &dyn Fn(&mut Vec<u8>)| lost_b(Kind::Corrupt, "EB-R01", name, edited(name, edit), note);
    let later =
        |name: &str, archive| Vector::refuse(Kind::Unsupported, "EB-R03", name, archive, "a later version may mean anything by its bytes");
    let mut head = Builder::bare("r03-head");
    head.head.version = 2;
    head.open();
    write_text(&mut head, "a.txt");
    vec![
        broken("flag", "a flag is 0 or 1", &|record| record[BIG_ENDIAN] = 2),
        broken("option", "so is the byte before an option", &|record| {
            let at = record.len() - 1 - 32 - 1;
            record[at] = 2;
        }),
        broken("dtype", "no such type", &|record| record[DTYPE] = 16),
        broken("variant", "no such variant", &|record| record[PLACE] = 3),
        broken("text", "a name is UTF-8", &|record| record[QUANTIZER] = 0xFF),
        broken("rest", "nothing follows the last field", &|record| record.push(0)),
        broken("short", "the last byte is missing", &|record| record.truncate(record.len() - 1)),
        broken("count-2-40", "a length is no reason to allocate", &|record| drop(record.splice(N_DIMS..=N_DIMS, TWO_TO_40))),
        broken("path-2-64", "a length that wraps", &|record| {
            record.splice(PATH_LEN..=PATH_LEN, [&[253][..], &[0xFF; 8]].concat());
        }),
        broken("long-integer", "an integer has no longer spelling", &|record| {
            record.splice(NUMBER..=NUMBER, [251, 1, 0]);
        }),
        broken("integer-254", "no integer has more than 64 bits", &|record| record[NUMBER] = 254),
        broken("wide-variant", "a variant number has at most 32 bits", &|record| {
            record.splice(PLACE..=PLACE, [253, 1, 0, 0, 0, 0, 0, 0, 0]);
        }),
        broken("nothing", "an empty record", &|record| record.clear()),
        Vector::damaged(Kind::Limit, "EB-R02", "small-integers", small_integers(), &["b.txt"], "16 MiB of integers in 2 MiB of bytes"),
        later("block", edited("version", |record| record[0] = 2)),
        later("head", head.finish()),
        later("tail", three_builder("r03-tail").finish_with(|tail| tail.version = 2)),
    ]
}

fn features() -> Vec<Vector> {
    let mut unknown = Builder::bare("h01");
    unknown.head.required_features = 1 << 40;
    unknown.open();
    write_text(&mut unknown, "a.txt");

    let mut quantized = Builder::new("h02-receipt");
    write_text(&mut quantized, "a.txt");
    let content = text("b.txt");
    let mut block = run_block(1, "b.txt", 0, &content);
    block.receipt = Some(super::blocks::receipt(content.len() as u64));
    quantized.block(&block, &content);
    let length = content.len() as u64;
    quantized.entry(file("b.txt", vec![Segment::Run { first_block: 1, block_len: length, length }], vec![], &content));

    let mut differs = Builder::new("h02-hash");
    let mut entry = inline("a.txt", b"not what it was");
    hashes_mut(&mut entry).original[0] ^= 1;
    differs.entry(entry);
    vec![
        Vector::refuse(Kind::Unsupported, "EB-H01", "unknown-feature", unknown.finish(), "a required feature that no edition has yet"),
        lost_b(Kind::Corrupt, "EB-H02", "lossy-block", quantized.finish(), "no receipt without the feature bit for loss"),
        Vector::damaged(
            Kind::Corrupt,
            "EB-H02",
            "original-differs",
            differs.finish(),
            &[],
            "no differing content without the feature bit for it",
        )
        .without_hashes(),
    ]
}

fn order() -> Vec<Vector> {
    let a01 = |name: &str, archive, note: &str| Vector::damaged(Kind::Corrupt, "EB-A01", name, archive, &[], note);
    let mut two_heads = Builder::new("a01-two-heads");
    let head = encode(&two_heads.head);
    two_heads.frame(kind::HEAD, 0, &head, &[]);
    write_text(&mut two_heads, "a.txt");

    let mut early = Builder::new("a01-early-entries");
    let mut entry = inline("a.txt", b"");
    let content = text("a.txt");
    let length = content.len() as u64;
    let body = body_mut(&mut entry);
    (body.size, body.segments) = (length, vec![Segment::Run { first_block: 0, block_len: length, length }]);
    body.hashes = Some(FileHashes::of(crate::builder::hash(&content)));
    early.entry(entry);
    early.flush();
    early.block(&run_block(0, "a.txt", 0, &content), &content);

    let mut early_index = Builder::new("a01-early-index");
    early_index.index_page(&Leaf::of_blocks(0, &[]));
    write_text(&mut early_index, "a.txt");

    let mut number = Builder::new("a01-number");
    write_text(&mut number, "a.txt");
    let content = text("b.txt");
    number.block(&run_block(7, "b.txt", 0, &content), &content);
    number.entry(file("b.txt", vec![Segment::Run { first_block: 1, block_len: length, length }], vec![], &content));

    let mut third_meta = Builder::new("a01-three-metas");
    write_text(&mut third_meta, "a.txt");
    third_meta.flush();
    third_meta.meta_frame();
    let mut foreign = Builder::new("a01-foreign");
    write_text(&mut foreign, "a.txt");
    foreign.tag ^= 1;
    write_text(&mut foreign, "b.txt");
    foreign.tag ^= 1;
    vec![
        a01("gap-in-numbers", three("three").with_prefix(B, |prefix| prefix.seq = 9), "frames are numbered without gaps"),
        a01("two-heads", two_heads.finish(), "HEAD is the first frame and no other"),
        a01("entries-before-block", early.finish(), "an entry stands behind the blocks that it uses"),
        a01("index-among-blocks", early_index.finish(), "the index stands behind all blocks and entries"),
        a01("three-metas", third_meta.finish(), "META stands at the front and before the index"),
        lost_b(Kind::Corrupt, "EB-A01", "block-number", number.finish(), "blocks are numbered in the order in which they stand"),
        lost_b(Kind::Corrupt, "EB-A01", "foreign-frame", foreign.finish(), "a frame with another tag belongs to another archive"),
        Vector::salvage(
            (Kind::Corrupt, Some("EB-A01")),
            "a01-swapped-blocks",
            three("three").swap(B),
            &[],
            "two frames that changed places",
        ),
    ]
}

fn tails() -> Vec<Vector> {
    let sound = || three("three");
    let tail = sound().find(kind::TAIL, 0);
    let tail_at = sound().range(tail).start;
    let mut longer = sound();
    longer.bytes.extend_from_slice(b"a line that somebody appended\n");
    let mut doubled = sound();
    let again = doubled.bytes[tail_at..].to_vec();
    doubled.bytes.extend(again);
    let pages = three_pages("pages").finish();
    let third_block = pages.range(pages.find(kind::BLOCK, 2));
    let inside = pages.clone().cut(third_block.start + 60);
    vec![
        Vector::damaged(Kind::Corrupt, "EB-A02", "bytes-after-tail", longer, &[], "TAIL is the end"),
        Vector::damaged(Kind::Corrupt, "EB-A01", "two-tails", doubled, &[], "nothing follows TAIL, not even another"),
        Vector::damaged(Kind::Truncated, "EB-A02", "no-tail", sound().cut(tail_at), &[], "cut before TAIL"),
        Vector::damaged(Kind::Truncated, "EB-A02", "cut-between-frames", pages.cut(third_block.start), &["c.txt"], "cut before a block"),
        Vector::salvage((Kind::Truncated, None), "cut-inside-block", inside, &["c.txt"], "cut in the middle of a block"),
        Vector::salvage((Kind::Truncated, None), "cut-inside-tail", sound().cut(tail_at + 100), &[], "cut in the middle of TAIL"),
    ]
}

fn critical() -> Vec<Vector> {
    let with_frame = |kind, flags| {
        let mut b = Builder::new("a04");
        write_text(&mut b, "a.txt");
        b.frame(kind, flags, b"record", b"payload");
        b.finish()
    };
    let unknown = |name: &str, archive, note: &str| Vector::refuse(Kind::Unsupported, "EB-A04", name, archive, note);
    vec![
        unknown("unknown-critical", with_frame(99, 0), "a frame that may not be skipped"),
        unknown("kind-zero", with_frame(0, 0), "no kind is zero"),
        Vector::refuse(
            Kind::Limit,
            "EB-A05",
            "overlapping-frames",
            overlapping(),
            "false frames in one another must not cost quadratic time",
        ),
    ]
}

/// Prefixes, one behind the other, each of which claims the next ones as its record.
fn overlapping() -> Archive {
    let mut b = Builder::new("a05");
    let mut false_frame = Vec::new();
    frame::write(&mut false_frame, (kind::BLOCK, 0), (b.tag, 0), &[0; 100], &[]).expect("memory");
    for _ in 0..1200 {
        b.raw(&false_frame[..PREFIX_LEN]);
    }
    write_text(&mut b, "a.txt");
    b.finish()
}

fn documents() -> Vec<Vector> {
    let with = |name: &str, decoded_len, payload: &[u8]| {
        let document = Document { version: RECORD_VERSION, name: name.into(), decoded_len, extensions: Vec::new() };
        let mut b = Builder::new("d01");
        b.frame(kind::DOCUMENT, ANCILLARY, &encode(&document), payload);
        write_text(&mut b, "a.txt");
        b.finish()
    };
    let d01 = |kind, name: &str, archive, note: &str| Vector::damaged(kind, "EB-D01", name, archive, &[], note);
    vec![
        d01(Kind::Limit, "too-large", with("x.txt", MAX_DOCUMENT + 1, &zstd(b"x")), "16 MiB at most, and no reason to allocate them"),
        d01(Kind::Limit, "no-name", with("", 1, &zstd(b"x")), "a document has a name"),
        d01(Kind::Limit, "long-name", with(&"n".repeat(256), 1, &zstd(b"x")), "a name of 255 bytes at most"),
        d01(Kind::Corrupt, "other-length", with("x.txt", 2, &zstd(b"x")), "the payload decodes to the length declared"),
        d01(Kind::Corrupt, "no-frame", with("x.txt", 1, b"x"), "the payload is a zstd frame"),
    ]
}
