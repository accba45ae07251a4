//! Entries: what one says of itself, paths, and the tree that all of them make.

use errbar_format::limits::{MAX_BLOCK, MAX_INLINE, MAX_NAME, MAX_PATH};
use errbar_format::record::{Attributes, BlockPlace, Entry, FileBody, FileHashes, Segment, Variable};
use errbar_format::{DType, Kind};

use super::accept::counting;
use super::text;
use crate::builder::{Archive, Builder, hash};
use crate::content::{attributes, body_mut, directory, file, hard_link, hashes_mut, inline, stored, symlink};
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    [paths(), trees(), attribute_ranges(), targets(), segments(), arrays(), same()].into_iter().flatten().collect()
}

fn archive(name: &str, entries: Vec<Entry>) -> Archive {
    let mut b = Builder::new(name);
    for entry in entries {
        b.entry(entry);
    }
    b.finish()
}

fn paths() -> Vec<Vector> {
    let p01 = |name: &str, path: &[u8], note: &str| {
        let entries = vec![Entry { path: path.to_vec(), ..inline("x", b"pwned") }];
        Vector::refuse(Kind::Refused, "EB-P01", name, archive(&format!("p01-{name}"), entries), note)
    };
    let mut all = vec![
        p01("absolute", b"/etc/passwd", "paths are relative"),
        p01("empty", b"", "a path has a component"),
        p01("slash", b"/", "a path has a component"),
        p01("double-slash", b"a//b", "one spelling each"),
        p01("trailing-slash", b"a/", "one spelling each"),
        p01("dot", b".", "one spelling each"),
        p01("dot-inside", b"a/./b", "one spelling each"),
        p01("dot-dot", b"../victim", "no way up"),
        p01("dot-dot-harmless", b"a/../b", "no way up, wherever it leads"),
        p01("nul", b"a\0b", "no NUL"),
        p01("too-long", &vec![b'a'; MAX_PATH + 1], "65535 bytes at most"),
    ];
    let link = archive("p01-link", vec![inline("f", b"x"), hard_link("h", "../victim")]);
    all.push(Vector::refuse(Kind::Refused, "EB-P01", "hard-link-target", link, "a hard link names an entry by its path"));
    all
}

fn trees() -> Vec<Vector> {
    let tree = |rule, name: &str, entries, note: &str| {
        Vector::refuse(Kind::Refused, rule, name, archive(&format!("{rule}-{name}"), entries), note)
    };
    let two_pages = |name: &str, first: Entry, second: Entry| {
        let mut b = Builder::new(name);
        b.entry(first);
        b.flush();
        b.entry(second);
        b.finish()
    };
    let f = |path: &str| inline(path, b"content");
    let twice = two_pages("t01-pages", f("a"), inline("a", b"other"));
    vec![
        tree("EB-T01", "twice", vec![f("a"), inline("a", b"other")], "a path stands once"),
        tree("EB-T01", "out-of-order", vec![f("b"), f("a")], "entries are in path order"),
        tree("EB-T01", "component-order", vec![f("a-b"), f("a/b")], "order is component by component"),
        Vector::refuse(Kind::Refused, "EB-T01", "twice-in-two-pages", twice, "a path stands once in the whole archive"),
        tree("EB-T02", "below-file", vec![f("a"), f("a/b")], "nothing lies below a file"),
        tree("EB-T02", "below-link", vec![symlink("a", ".."), f("a/b")], "nothing lies below a symbolic link"),
        tree("EB-T02", "below-hard-link", vec![hard_link("a", "z"), f("a/b"), f("z")], "nothing lies below a hard link"),
        tree("EB-T02", "far-below-link", vec![symlink("a", ".."), f("a/b/c/d")], "however far below"),
        tree("EB-T03", "missing", vec![f("a"), hard_link("h", "b")], "a hard link names a file of the archive"),
        tree("EB-T03", "self", vec![hard_link("h", "h")], "a hard link is not its own file"),
        tree(
            "EB-T03",
            "chain",
            vec![f("a"), hard_link("h", "i"), hard_link("i", "a")],
            "a hard link names the file, not another link to it",
        ),
        tree("EB-T03", "folder", vec![directory("d"), hard_link("h", "d")], "a hard link names no folder"),
        tree("EB-T03", "symbolic", vec![hard_link("h", "s"), symlink("s", "../victim")], "a hard link names no symbolic link"),
        Vector::refuse(Kind::Limit, "EB-T05", "one-block-many-files", overlap(), "files use more bytes of blocks than the blocks hold"),
        Vector::refuse(
            Kind::Limit,
            "EB-T05",
            "one-block-many-times",
            overlap_in_twin(),
            "a file that is the same as another may not, either",
        ),
    ]
}

/// Two files of one content, and what is done to the second.
fn twins(name: &str, edit: impl Fn(&mut FileBody)) -> Archive {
    let mut b = Builder::new(name);
    let content = text("twins");
    let first = b.file_entry("a", &content);
    let mut second = Entry { path: b"b".to_vec(), ..first.clone() };
    body_mut(&mut second).same_as = Some(b"a".to_vec());
    edit(body_mut(&mut second));
    b.entry(first);
    b.entry(second);
    b.finish()
}

/// A file that has the block of another more often than that one.
fn overlap_in_twin() -> Archive {
    twins("t05-twin", |file| {
        file.segments = [file.segments.clone(), file.segments.clone()].concat();
        file.size *= 2;
    })
}

fn same() -> Vec<Vector> {
    let p01 = twins("p01-same-as", |file| file.same_as = Some(b"../a".to_vec()));
    let b05 = twins("b05-same-as", |file| file.same_as = Some(b"c".to_vec()));
    let b05_own = twins("b05-not-same-as", |file| file.same_as = None);
    vec![
        Vector::accept("same-as", twins("same-as", |_| {}), "a file that is the same as another has its blocks"),
        Vector::refuse(Kind::Refused, "EB-P01", "same-as", p01, "what a file is the same as is a path of the archive"),
        Vector::damaged(
            Kind::Corrupt,
            "EB-B05",
            "same-as-other",
            b05,
            &["b"],
            "the blocks bear the path of the file that it is the same as",
        ),
        Vector::refuse(Kind::Limit, "EB-T05", "not-same-as", b05_own, "files share blocks only if they say so"),
    ]
}

/// Many files, all of them the same bytes of one block.
fn overlap() -> Archive {
    let mut b = Builder::new("t05");
    let content = text("shared");
    let length = content.len() as u64;
    b.block(&stored(0, BlockPlace::Shared, DType::Bytes, &[length], &content), &content);
    for i in 0..10 {
        b.entry(file(format!("f{i}"), vec![Segment::Part { block: 0, offset: 0, length }], vec![], &content));
    }
    b.finish()
}

/// One entry that contradicts itself takes its page with it: nothing need be restored.
fn broken(kind: Kind, rule: &'static str, name: &str, entry: Entry, note: &str) -> Vector {
    Vector::refuse(kind, rule, name, archive(&format!("{rule}-{name}"), vec![entry]), note)
}

fn attribute_ranges() -> Vec<Vector> {
    let e01 = |name: &str, attributes, note: &str| {
        broken(Kind::Corrupt, "EB-E01", name, Entry { attributes: Some(attributes), ..inline("a", b"x") }, note)
    };
    let xattr = |name: &[u8]| Attributes { xattrs: vec![(name.to_vec(), b"value".to_vec())], ..attributes() };
    vec![
        e01("mode", Attributes { mode: 0o100_644, ..attributes() }, "permission bits only, no file type"),
        e01("nanoseconds", Attributes { mtime_ns: 1_000_000_000, ..attributes() }, "below one second"),
        e01("xattr-no-name", xattr(b""), "an extended attribute has a name"),
        e01("xattr-nul", xattr(b"user.a\0b"), "and no NUL in it"),
        e01("xattr-long-name", xattr(&[b'x'; MAX_NAME + 1]), "of 255 bytes at most"),
    ]
}

fn targets() -> Vec<Vector> {
    let e02 = |name: &str, target: &[u8], note: &str| broken(Kind::Corrupt, "EB-E02", name, symlink("a", target), note);
    vec![
        e02("empty-target", b"", "a symbolic link points somewhere"),
        e02("nul-target", b"a\0b", "no NUL"),
        e02("long-target", &[b'a'; 4096], "4095 bytes at most"),
    ]
}

fn segments() -> Vec<Vector> {
    let e03 = |name: &str, segments, note: &str| {
        let mut entry = file("a", segments, vec![], b"");
        hashes_mut(&mut entry).original = hash(b"");
        broken(Kind::Limit, "EB-E03", name, entry, note)
    };
    let run = |first_block, block_len, length| vec![Segment::Run { first_block, block_len, length }];
    let sized = |name: &str, size, note: &str| {
        let mut entry = inline("a", b"content");
        body_mut(&mut entry).size = size;
        broken(Kind::Corrupt, "EB-E05", name, entry, note)
    };
    let negative = file("a", vec![Segment::Hole { length: 1 << 63 }], vec![], b"");
    let mut other = Builder::new("e06");
    let mut entry = inline("bad", b"content");
    *hashes_mut(&mut entry) = FileHashes::of(hash(b"other content"));
    other.entry(entry);
    other.file("good", &text("good"));
    let e07 = |name: &str, segments, note: &str| {
        let mut b = Builder::new(&format!("EB-E07-{name}"));
        b.proven_by_block(file("a", segments, vec![], b""));
        Vector::refuse(Kind::Corrupt, "EB-E07", name, b.finish(), note)
    };
    let part = || Segment::Part { block: 0, offset: 0, length: 1 };
    vec![
        e07("empty", vec![], "no block proves a file without content"),
        e07("inline", vec![Segment::Inline(vec![0])], "no block proves bytes in an entry"),
        e07("two-parts", vec![part(), part()], "no one block proves their order"),
        e03("inline", vec![Segment::Inline(vec![0; MAX_INLINE + 1])], "512 bytes in an entry at most"),
        e03("part-past-block", vec![Segment::Part { block: 0, offset: MAX_BLOCK, length: 1 }], "no block has so many bytes"),
        e03("part-overflows", vec![Segment::Part { block: 0, offset: u64::MAX, length: 2 }], "offset and length wrap"),
        e03("run-of-nothing", run(0, 0, 8), "blocks of a run have bytes"),
        e03("run-of-huge-blocks", run(0, MAX_BLOCK + 1, 8), "no block has so many bytes"),
        e03("run-overflows", run(u64::MAX, 8, 16), "block numbers wrap"),
        e03("sum-overflows", vec![Segment::Hole { length: u64::MAX }, Segment::Hole { length: 2 }], "lengths wrap"),
        sized("gap", 8, "segments cover the file"),
        sized("overlap", 6, "segments cover the file, and no more"),
        broken(Kind::Corrupt, "EB-E05", "negative", negative, "no file system has files of 2^63 bytes"),
        Vector::damaged(Kind::Corrupt, "EB-E06", "hash", other.finish(), &["bad"], "content has the hash that its entry says"),
    ]
}

/// A file of one array of four elements, edited.
fn edited(edit: impl FnOnce(&mut FileBody)) -> Entry {
    let array = counting("a", DType::U16, &[4]);
    let mut entry = file("a", vec![Segment::Variable { index: 0 }], vec![array.variable(0)], &array.bytes);
    edit(body_mut(&mut entry));
    entry
}

fn arrays() -> Vec<Vector> {
    let e04 = |name: &str, edit: fn(&mut FileBody), note: &str| broken(Kind::Corrupt, "EB-E04", name, edited(edit), note);
    let v01 = |kind, rule, name: &str, edit: fn(&mut Variable), note: &str| {
        broken(kind, rule, name, edited(|body| edit(&mut body.variables[0])), note)
    };
    vec![
        e04("no-such-variable", |body| body.segments = vec![Segment::Variable { index: 1 }], "the index of a variable of this file"),
        e04("variable-twice", |body| body.segments = vec![Segment::Variable { index: 0 }; 2], "every variable stands once"),
        e04("variable-unused", |body| (body.segments, body.size) = (vec![], 0), "every variable stands once"),
        v01(Kind::Corrupt, "EB-V01", "block-of-nothing", |v| v.block_shape = vec![0], "a block has an extent"),
        v01(Kind::Corrupt, "EB-V01", "block-dimensions", |v| v.block_shape = vec![2, 2], "a block has the variable's dimensions"),
        v01(Kind::Limit, "EB-V01", "name", |v| v.name = "n".repeat(MAX_NAME + 1), "a name of 255 bytes at most"),
        v01(Kind::Limit, "EB-V01", "block-numbers", |v| (v.first_block, v.block_shape) = (u64::MAX - 2, vec![1]), "block numbers wrap"),
        v01(Kind::Limit, "EB-B01", "block-shape", |v| v.block_shape = vec![MAX_BLOCK], "64 MiB in a block at most"),
        v01(Kind::Limit, "EB-B02", "variable-overflows", |v| v.shape = vec![1 << 63], "bytes of a variable fit 64 bits"),
    ]
}
