//! What a correct writer may write.

use errbar_format::DType;
use errbar_format::frame::{ANCILLARY, kind};
use errbar_format::record::{Attributes, BlockPlace, Choice, Document, Entry, Extension, FileHashes, RECORD_VERSION, Segment, extension};

use super::{text, three, three_builder, write_text};
use crate::builder::{Archive, Builder, Leaf, encode, hash, zstd};
use crate::content::{Array, Coded, attributes, directory, entry, file, hard_link, inline, pipeline, run_block, stored, swapped, symlink};
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    let mut all = vec![
        Vector::accept("accept-three-files", three("three"), "three files of one stored block each"),
        Vector::accept("accept-no-entries", Builder::new("empty").finish(), "an archive of an empty folder has no pages at all"),
        Vector::accept(
            "accept-kinds",
            kinds(),
            "folder, files, symbolic links that point anywhere, hard links before and after their file",
        ),
        Vector::accept("accept-attributes", all_attributes(), "every attribute, at the ends of its range"),
        Vector::accept("accept-names", names(), "names of any bytes but NUL and '/': they are not text"),
        Vector::accept("accept-deep-path", deep_path(), "a path of 65535 bytes, whose folders have no entries"),
        Vector::accept("accept-holes", holes(), "holes at the front, in the middle, at the end and alone"),
        Vector::accept("accept-inline", inlines(), "content in the entry: none, one byte, the most there may be, and in pieces"),
        Vector::accept(
            "accept-parts",
            parts(),
            "files that share a block, with hashes and without, and one made of parts of two, out of order",
        ),
        Vector::accept("accept-runs", runs(), "runs of two blocks, cut and whole, behind other segments"),
        Vector::accept("accept-run-of-numbers", run_of_numbers(), "a run whose blocks are numbers of two types, and bytes"),
        Vector::accept("accept-variable-between-bytes", npy(), "a .npy file: header in the entry, array in blocks"),
        Vector::accept("accept-two-variables", two_variables(), "two named arrays in one file with bytes between them"),
        Vector::accept("accept-choices", choices(), "a file that says why one of its variables has its stages"),
        Vector::accept("accept-choices-unreadable", unreadable_choices(), "choices that cannot be read are skipped as unknown tags are"),
        Vector::accept("accept-dtypes", dtypes(false), "every element type, stored"),
        Vector::accept("accept-big-endian", dtypes(true), "every element type, big-endian in the file: hashes are of the file's bytes"),
        Vector::accept("accept-column-major", column_major(), "an array whose first index varies fastest: blocks follow storage order"),
        Vector::accept("accept-shapes", shapes(), "no dimensions, no elements, eight dimensions, blocks cut at the far faces"),
        Vector::accept("accept-multi-level-index", multi_level(), "trees of pages of pages, with one or two items a page"),
        Vector::accept("accept-many-pages", many_pages(), "entries in several pages among the blocks"),
        Vector::accept("accept-document", document(), "embedded texts"),
        Vector::accept("accept-unknown-ancillary", ancillary(), "frames of an unknown ancillary kind are skipped wherever they stand"),
        Vector::accept("accept-extensions", extensions(), "unknown extension tags are skipped in every record that has them"),
        Vector::accept("accept-optional-features", optional(), "unknown optional features and a later format edition may be ignored"),
        Vector::accept("accept-metadata", metadata(), "META items keep their order and may repeat"),
        Vector::accept("accept-nested-archive", nested(), "an archive stored in an archive: its frames carry another tag"),
    ];
    all.push(Vector::accept("accept-six-transforms", six_transforms(), "the longest pipeline there may be"));
    all
}

fn kinds() -> Archive {
    let mut b = Builder::new("kinds");
    b.entry(hard_link("before", "dir/file"));
    b.entry(directory("dir"));
    b.entry(directory("dir/empty"));
    let file = b.file_entry("dir/file", &text("file"));
    b.entry(file);
    b.entry(symlink("dir/out", "../../outside"));
    b.entry(hard_link("dir/same", "dir/file"));
    b.entry(symlink("dir/self", "self"));
    b.entry(symlink("passwd", "/etc/passwd"));
    b.finish()
}

fn with_attributes(mut entry: Entry, attributes: Attributes) -> Entry {
    entry.attributes = Some(attributes);
    entry
}

fn all_attributes() -> Archive {
    let mut b = Builder::new("attributes");
    let least = Attributes { mode: 0, mtime_s: i64::MIN, ..attributes() };
    let most = Attributes {
        mode: 0o7777,
        mtime_s: i64::MAX,
        mtime_ns: 999_999_999,
        uid: u32::MAX,
        gid: u32::MAX,
        user: "ü".into(),
        group: "g".repeat(255),
        xattrs: vec![(b"user.a".to_vec(), Vec::new()), (b"user.b\xff".to_vec(), vec![0; 300])],
    };
    b.entry(with_attributes(inline("least", b"0"), least));
    b.entry(with_attributes(inline("most", b"1"), most.clone()));
    b.entry(Entry { attributes: None, ..inline("none", b"2") });
    b.entry(with_attributes(directory("sticky"), Attributes { mode: 0o1777, ..most }));
    b.finish()
}

fn names() -> Archive {
    let mut b = Builder::new("names");
    let names: [&[u8]; 8] =
        [b"\x01\x1b[2J\n", b" ", b"...", b"C:\\x", b"\\..\\x", b"a:b", "\u{202e}\u{e9}".as_bytes(), b"\xff\xfe\x80\xc0\xaf"];
    for name in names {
        // Links, so that no hash is listed: each reader escapes names in its own way.
        b.entry(Entry { path: name.to_vec(), ..symlink("x", "target") });
    }
    b.finish()
}

fn deep_path() -> Archive {
    let mut b = Builder::new("deep");
    let path = "d/".repeat(32_767) + "f";
    b.entry(Entry { path: path.into_bytes(), ..directory("x") });
    b.finish()
}

fn holes() -> Archive {
    let mut b = Builder::new("holes");
    let hole = |length| Segment::Hole { length };
    b.entry(file("alone", vec![hole(1 << 40)], vec![], b""));
    b.entry(file("around", vec![hole(4096), Segment::Inline(b"x".to_vec()), hole(4096)], vec![], b"x"));
    let content = text("block");
    let number = b.next_block();
    b.block(&run_block(number, "between", 3 + 8192, &content), &content);
    let run = Segment::Run { first_block: number, block_len: content.len() as u64, length: content.len() as u64 };
    b.entry(file("between", vec![Segment::Inline(b"abc".to_vec()), hole(8192), run], vec![], &[b"abc", &content[..]].concat()));
    b.finish()
}

fn inlines() -> Archive {
    let mut b = Builder::new("inline");
    b.entry(file("empty", vec![], vec![], b""));
    b.entry(inline("empty-segment", b""));
    b.entry(inline("most", &[7; 512]));
    b.entry(inline("one", b"x"));
    b.entry(file("pieces", vec![Segment::Inline(b"ab".to_vec()), Segment::Inline(b"c".to_vec())], vec![], b"abc"));
    b.finish()
}

fn shared(b: &mut Builder, bytes: &[u8]) -> u64 {
    let number = b.next_block();
    b.block(&stored(number, BlockPlace::Shared, DType::Bytes, &[bytes.len() as u64], bytes), bytes);
    number
}

fn parts() -> Archive {
    let mut b = Builder::new("parts");
    let first = shared(&mut b, b"the first block");
    let second = shared(&mut b, b"and the second");
    let part = |block, offset, length| Segment::Part { block, offset, length };
    b.entry(file("block", vec![part(first, 9, 6)], vec![], b" block"));
    b.entry(file("empty", vec![part(first, 15, 0)], vec![], b""));
    b.entry(file("mixed", vec![part(second, 4, 4), part(first, 4, 5)], vec![], b"the first"));
    b.proven_by_block(file("tail", vec![part(second, 8, 6)], vec![], b"second"));
    b.finish()
}

fn runs() -> Archive {
    let mut b = Builder::new("runs");
    for (path, before, len) in [("cut", &b""[..], 70), ("late", b"header", 100), ("whole", b"", 128)] {
        let content: Vec<u8> = (0..len).map(|i| i as u8 ^ 0x55).collect();
        let first_block = b.next_block();
        for (k, piece) in content.chunks(64).enumerate() {
            let number = b.next_block();
            b.block(&run_block(number, path, (before.len() + k * 64) as u64, piece), piece);
        }
        let run = Segment::Run { first_block, block_len: 64, length: len };
        let segments = if before.is_empty() { vec![run] } else { vec![Segment::Inline(before.to_vec()), run] };
        b.entry(file(path, segments, vec![], &[before, &content].concat()));
    }
    b.finish()
}

fn run_of_numbers() -> Archive {
    let mut b = Builder::new("run-of-numbers");
    let content: Vec<u8> = (0..160).map(|i| (i * 37 % 251) as u8).collect();
    let first_block = b.next_block();
    let kinds: [(DType, bool, &[u64]); 3] = [(DType::F32, true, &[2, 8]), (DType::I16, false, &[32]), (DType::Bytes, false, &[32])];
    for ((k, piece), (dtype, big_endian, shape)) in content.chunks(64).enumerate().zip(kinds) {
        let place = BlockPlace::Run { path: b"f".to_vec(), offset: k as u64 * 64 };
        let mut block = stored(b.next_block(), place, dtype, shape, piece);
        block.big_endian = big_endian;
        b.block(&block, &swapped(dtype, big_endian, piece));
    }
    let length = content.len() as u64;
    b.entry(file("f", vec![Segment::Run { first_block, block_len: 64, length }], vec![], &content));
    b.finish()
}

/// Elements whose bytes count up.
pub fn counting(path: &str, dtype: DType, shape: &[u64]) -> Array {
    let n = shape.iter().product::<u64>() as usize * dtype.size();
    Array::new(path, dtype, shape, (0..n).map(|i| (i * 37 % 251) as u8).collect())
}

fn npy() -> Archive {
    let mut b = Builder::new("npy");
    let array = Array { block_shape: vec![2, 5], ..counting("t.npy", DType::F32, &[6, 5]) };
    let header = errbar_dissect::npy_header(array.dtype, false, false, &array.shape);
    let mut entry = b.array_entry(&array, |_, bytes| plain(&array, bytes));
    let body = crate::content::body_mut(&mut entry);
    body.segments.insert(0, Segment::Inline(header.clone()));
    body.size += header.len() as u64;
    body.hashes = Some(FileHashes::of(hash(&[&header[..], &array.bytes].concat())));
    b.entry(entry);
    b.finish()
}

fn plain(array: &Array, bytes: &[u8]) -> Coded {
    Coded {
        payload: swapped(array.dtype, array.big_endian, bytes),
        pipeline: pipeline("none", &[], "store"),
        exact_len: 0,
        receipt: None,
        decoded: bytes.to_vec(),
    }
}

fn two_variables() -> Archive {
    two_variables_with("two-variables", |_| {})
}

fn choices() -> Archive {
    let choice = Choice { variable: 1, block: 1, over: "none delta zstd(level 6)".into(), saved: 0.125 };
    two_variables_with("choices", |entry| entry.add_choices(&[choice]).expect("a small record"))
}

fn unreadable_choices() -> Archive {
    let extension = Extension { tag: extension::CHOICES.into(), data: vec![0xFF; 11] };
    two_variables_with("choices-unreadable", |entry| entry.extensions.push(extension))
}

fn two_variables_with(name: &str, edit: impl FnOnce(&mut Entry)) -> Archive {
    let mut b = Builder::new(name);
    let path = "data.bin";
    let mut variables = Vec::new();
    let mut content = Vec::new();
    for (name, dtype) in [("lat", DType::F64), ("temp", DType::I16)] {
        let array = counting(path, dtype, &[3, 2]);
        let number = b.next_block();
        let place = BlockPlace::Box { path: path.into(), variable: name.into(), origin: vec![0, 0] };
        b.block(&stored(number, place, dtype, &array.shape, &array.bytes), &array.bytes);
        variables.push(errbar_format::record::Variable { name: name.into(), ..array.variable(number) });
        content.extend_from_slice(&array.bytes);
        content.extend_from_slice(b"----");
    }
    let gap = Segment::Inline(b"----".to_vec());
    let segments = vec![Segment::Variable { index: 0 }, gap.clone(), Segment::Variable { index: 1 }, gap];
    let mut entry = file(path, segments, variables, &content);
    edit(&mut entry);
    b.entry(entry);
    b.finish()
}

fn dtypes(big_endian: bool) -> Archive {
    let mut b = Builder::new(if big_endian { "big-endian" } else { "dtypes" });
    let mut all: Vec<DType> = DType::ALL.to_vec();
    all.sort_by_key(|dtype| dtype.name());
    for dtype in all {
        b.array(&Array { big_endian, ..counting(dtype.name(), dtype, &[2, 3]) });
    }
    b.finish()
}

fn column_major() -> Archive {
    let mut b = Builder::new("column-major");
    b.array(&Array { column_major: true, block_shape: vec![2, 3, 2], ..counting("fortran", DType::U16, &[4, 3, 5]) });
    b.finish()
}

fn shapes() -> Archive {
    let mut b = Builder::new("shapes");
    b.array(&counting("0d", DType::F64, &[]));
    b.array(&counting("1", DType::I8, &[1]));
    b.array(&Array { block_shape: vec![3], ..counting("1d-cut", DType::I32, &[7]) });
    b.array(&Array { block_shape: vec![2, 2, 2, 3], ..counting("4d-cut", DType::U16, &[3, 2, 3, 4]) });
    b.array(&Array { block_shape: vec![1, 2, 1, 1, 2, 1, 1, 1], ..counting("8d", DType::U8, &[1, 2, 1, 2, 2, 1, 1, 1]) });
    b.array(&Array { block_shape: vec![1, 1], ..counting("empty", DType::F32, &[0, 4]) });
    b.array(&Array { block_shape: vec![8], ..counting("wide-block", DType::U8, &[5]) });
    b.finish()
}

fn multi_level() -> Archive {
    let mut b = Builder::new("multi-level");
    b.per_page = 1;
    for i in 0..5 {
        write_text(&mut b, &format!("f{i}.txt"));
        b.flush();
    }
    b.finish()
}

fn many_pages() -> Archive {
    let mut b = Builder::new("many-pages");
    for i in 0..6 {
        write_text(&mut b, &format!("f{i}.txt"));
        if i % 2 == 1 {
            b.flush();
        }
    }
    b.finish()
}

fn document() -> Archive {
    let mut b = Builder::new("document");
    b.document("empty.txt", b"");
    b.document("README.md", "How to read this: ask an archaeologist.\n".repeat(10).as_bytes());
    write_text(&mut b, "a.txt");
    b.finish()
}

fn ancillary() -> Archive {
    let mut b = Builder::new("ancillary");
    b.frame(99, ANCILLARY, b"a record of any form", b"and a payload");
    write_text(&mut b, "a.txt");
    b.frame(0xFFFF, ANCILLARY, &[], &[]);
    write_text(&mut b, "b.txt");
    let tail = b.index();
    b.frame(100, ANCILLARY, b"between index and TAIL", &[]);
    b.close(&tail)
}

fn extensions() -> Archive {
    let extension =
        || vec![Extension { tag: "example.org/later".into(), data: vec![1, 2, 3] }, Extension { tag: "é".into(), data: vec![] }];
    let mut b = Builder::bare("extensions");
    b.head.extensions = extension();
    b.meta.extensions = extension();
    b.open();
    let spec = Document { version: RECORD_VERSION, name: "note.txt".into(), decoded_len: 4, extensions: extension() };
    b.frame(kind::DOCUMENT, ANCILLARY, &encode(&spec), &zstd(b"text"));
    let content = text("a.txt");
    let mut block = run_block(0, "a.txt", 0, &content);
    block.extensions = extension();
    b.block(&block, &content);
    let length = content.len() as u64;
    let mut entry = file("a.txt", vec![Segment::Run { first_block: 0, block_len: length, length }], vec![], &content);
    entry.extensions = extension();
    b.page(Leaf::of_entries(&[entry]).edit(|page| page.extensions = extension()));
    let blocks = Leaf::of_blocks(0, &b.blocks.clone()).edit(|page| page.extensions = extension());
    let pages = b.pages.clone();
    let tail = b.index_of(&[blocks], &pages);
    Archive { files: vec![("a.txt".into(), hash(&content))], ..b.close(&tail) }
}

fn optional() -> Archive {
    let mut b = Builder::bare("optional");
    b.head.optional_features = 1 << 63 | 1;
    b.head.format = (1, 255);
    b.open();
    write_text(&mut b, "a.txt");
    b.finish()
}

fn metadata() -> Archive {
    let mut b = Builder::bare("metadata");
    b.meta.items = [("creator", "Ada"), ("title", "Engine"), ("creator", "Charles")].map(|(k, v)| (k.into(), v.into())).to_vec();
    b.open();
    b.entry(entry("dir", errbar_format::record::Body::Directory));
    b.finish()
}

/// An archive in an archive, as a file.
pub fn nested_builder() -> Builder {
    let mut b = three_builder("outer");
    b.file("inner.eba", &three("inner").bytes);
    b
}

fn nested() -> Archive {
    nested_builder().finish()
}

fn six_transforms() -> Archive {
    let mut b = Builder::new("six-transforms");
    let array = counting("six", DType::U32, &[4, 5]);
    let plan = super::stages::plan(
        "none",
        &[("delta", &[]), ("rotate", &[]), ("lorenzo", &[2]), ("delta", &[]), ("shuffle", &[]), ("delta", &[])],
        "zstd",
        &[3],
    );
    super::stages::add(&mut b, &array, &plan, None);
    b.finish()
}
