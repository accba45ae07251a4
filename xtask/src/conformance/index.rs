//! The index against the frames. Frames win: whatever the index says, all files come back.

use errbar_format::frame::kind;
use errbar_format::limits::{MAX_LEVEL, MAX_PAGE};
use errbar_format::record::{BlockPlace, BlockRef, ChildPage, PageContent, PageRecord, PageRef, Segment, Tail};
use errbar_format::{DType, Kind, record};

use super::{text, three_builder, three_pages};
use crate::builder::{Archive, Builder, Leaf, above, hash, zstd};
use crate::content::{file, stored};
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    [tails(), pages(), trees()].into_iter().flatten().collect()
}

fn with_tail(name: &str, edit: impl FnOnce(&mut Tail)) -> Archive {
    three_builder(name).finish_with(edit)
}

fn all_restored(rule: &'static str, name: &str, archive: Archive, note: &str) -> Vector {
    Vector::damaged(Kind::Corrupt, rule, name, archive, &[], note)
}

fn tails() -> Vec<Vector> {
    let a03 = |name: &str, edit: fn(&mut Tail), note: &str| all_restored("EB-A03", name, with_tail(&format!("a03-{name}"), edit), note);
    let mut metas = three_builder("a03-metas");
    metas.flush();
    metas.meta.mode = "small".into();
    let mut head = three_builder("a03-head");
    head.head.required_features = record::feature::LOSSY;
    vec![
        a03("more-entries", |tail| tail.n_entries = 4, "TAIL counts one entry too many"),
        a03("fewer-entries", |tail| tail.n_entries = 2, "TAIL counts one entry too few"),
        a03("more-blocks", |tail| tail.n_blocks = 4, "TAIL counts one block too many"),
        a03("fewer-blocks", |tail| tail.n_blocks = 2, "TAIL counts one block too few"),
        a03("index-offset", |tail| tail.index_offset -= 8, "TAIL says where the index begins"),
        all_restored("EB-A03", "metas-differ", metas.finish(), "the second META is a copy of the first"),
        all_restored("EB-A03", "head-differs", head.finish(), "HEAD and TAIL ask for the same features"),
        all_restored(
            "EB-A03",
            "decoded-length",
            refs("a03-decoded", |refs| refs[1].decoded_len += 1),
            "the index says what blocks decode to",
        ),
        other_hash(),
        missing_page(),
    ]
}

/// The frame is whole and would be right by itself: what proves it is the index.
fn other_hash() -> Vector {
    let mut b = Builder::new("a03-hash");
    for path in ["bad", "good"] {
        let content = text(path);
        let (block, length) = (b.next_block(), content.len() as u64);
        b.block(&stored(block, BlockPlace::Shared, DType::Bytes, &[length], &content), &content);
        b.proven_by_block(file(path, vec![Segment::Part { block, offset: 0, length }], vec![], &content));
    }
    b.flush();
    b.blocks[0].decoded_hash[0] ^= 1;
    Vector::damaged(Kind::Corrupt, "EB-A03", "decoded-hash", b.finish(), &["bad"], "the index says what blocks hash to")
}

fn missing_page() -> Vector {
    let mut b = three_pages("a03-missing");
    let blocks = Leaf::of_blocks(0, &b.blocks.clone());
    let pages = b.pages.clone();
    let mut tail = b.index_of(&[blocks], &pages[..2]);
    tail.n_entries = 2;
    let archive = b.close(&tail);
    Vector::damaged(Kind::Corrupt, "EB-A03", "missing-page", archive, &["c.txt"], "the index leaves out entries that stand in ENTRIES")
        .without_lost()
}

/// `three` with edited block references.
fn refs(name: &str, edit: impl FnOnce(&mut Vec<BlockRef>)) -> Archive {
    let mut b = three_builder(name);
    b.flush();
    let mut refs = b.blocks.clone();
    edit(&mut refs);
    let entries = b.pages.clone();
    let tail = b.index_of(&[Leaf::of_blocks(0, &refs)], &entries);
    b.close(&tail)
}

/// `three`, its index made of these leaves for blocks and entries.
fn leaves(name: &str, edit: impl FnOnce(&mut Leaf, &mut Leaf)) -> Archive {
    let mut b = three_builder(name);
    b.flush();
    let (mut blocks, mut entries) = (Leaf::of_blocks(0, &b.blocks.clone()), b.pages[0].clone());
    edit(&mut blocks, &mut entries);
    let tail = b.index_of(&[blocks], &[entries]);
    b.close(&tail)
}

/// A page's record, whose limits are not checked.
fn set(leaf: &mut Leaf, edit: impl FnOnce(&mut PageRecord)) {
    *leaf = leaf.clone().edit(edit);
}

fn pages() -> Vec<Vector> {
    let i01 = |name: &str, archive, note: &str| Vector::refuse(Kind::Limit, "EB-I01", name, archive, note);
    let i02 = |name: &str, edit: &dyn Fn(&mut Leaf), note: &str| {
        all_restored("EB-I02", name, leaves(&format!("i02-{name}"), |blocks, _| edit(blocks)), note)
    };
    vec![
        i01(
            "decoded-length",
            leaves("i01-length", |_, entries| set(entries, |page| page.decoded_len = MAX_PAGE + 1)),
            "16 MiB in a page at most",
        ),
        i01(
            "count",
            leaves("i01-count", |_, entries| set(entries, |page| page.count = page.decoded_len + 1)),
            "an item takes a byte at least",
        ),
        i01(
            "count-2-40",
            leaves("i01-count-2-40", |blocks, _| set(blocks, |page| page.count = 1 << 40)),
            "a count is no reason to allocate",
        ),
        i01(
            "level",
            leaves("i01-level", |_, entries| set(entries, |page| page.content = PageContent::Pages { level: MAX_LEVEL + 1 })),
            "eight levels at most",
        ),
        i01(
            "level-zero",
            leaves("i01-level-0", |_, entries| set(entries, |page| page.content = PageContent::Pages { level: 0 })),
            "leaves list no pages",
        ),
        i01("many-blocks", many_blocks(), "98304 blocks in a page at most"),
        i02("garbage", &|leaf| leaf.payload = b"no zstd frame".to_vec(), "a page is one zstd frame"),
        i02("shorter", &|leaf| set(leaf, |page| page.decoded_len += 1), "the frame holds the bytes declared"),
        i02("longer", &|leaf| set(leaf, |page| page.decoded_len -= 1), "the frame holds no more than the bytes declared"),
        i02("two-frames", &two_frames, "exactly one frame"),
        i02("rest", &|leaf| leaf.payload.push(0), "nothing follows the frame"),
        all_restored(
            "EB-R01",
            "page-rest",
            leaves("r01-page", |blocks, _| set(blocks, |page| page.count -= 1)),
            "nothing follows a page's last item",
        ),
        all_restored("EB-I03", "exchanged", leaves("i03-exchanged", std::mem::swap), "the trees of entries and blocks are exchanged"),
        entries_of_blocks(),
    ]
}

/// Gives a page two zstd frames that hold the bytes declared together.
fn two_frames(leaf: &mut Leaf) {
    let len = errbar_format::page::parse_record(&leaf.record).expect("the page was sound so far").decoded_len as usize;
    leaf.payload = [zstd(&vec![0; len / 2]), zstd(&vec![0; len - len / 2])].concat();
}

/// A page of blocks that takes little room and says too much.
fn many_blocks() -> Archive {
    let mut b = three_builder("i01-many");
    b.flush();
    let entries = b.pages.clone();
    let none = BlockRef { offset: 0, frame_len: 0, decoded_len: 0, decoded_hash: [0; 32] };
    let tail = b.index_of(&[Leaf::of_blocks(0, &vec![none; 98_305])], &entries);
    b.close(&tail)
}

/// An ENTRIES frame whose page lists blocks.
fn entries_of_blocks() -> Vector {
    let mut b = three_builder("i03-entries");
    b.flush();
    let page = Leaf::of_blocks(0, &b.blocks.clone());
    b.frame(kind::ENTRIES, 0, &page.record, &page.payload);
    all_restored("EB-I03", "entries-list-blocks", b.finish(), "an ENTRIES frame lists entries")
}

/// An archive of three pages of entries whose tree over them is made by `root`.
fn tree(name: &str, root: impl FnOnce(&mut Builder, Vec<Leaf>) -> PageRef) -> Archive {
    let mut b = three_pages(name);
    let pages = b.pages.clone();
    let meta = b.meta_frame();
    let index_offset = b.offset();
    let refs = b.blocks.clone();
    let blocks = b.tree(&[Leaf::of_blocks(0, &refs)]);
    let entries = root(&mut b, pages);
    let tail = b.tail_record(index_offset, blocks, entries, meta);
    b.close(&tail)
}

/// Writes the pages and gives what a parent says of them.
fn children(b: &mut Builder, pages: &[Leaf]) -> Vec<ChildPage> {
    pages.iter().map(|page| b.index_page(page)).collect()
}

fn trees() -> Vec<Vector> {
    let edited = |name: &str, edit: fn(&mut Vec<ChildPage>)| {
        tree(name, |b, pages| {
            let mut below = children(b, &pages);
            edit(&mut below);
            b.index_page(&above(1, &below)).page
        })
    };
    let level = tree("i03-level", |b, pages| {
        let below = children(b, &pages);
        let middle = b.index_page(&above(2, &below));
        middle.page
    });
    let empty = tree("i04-empty", |b, pages| {
        let mut below = children(b, &pages);
        below.push(b.index_page(&above(1, &[])));
        let first = b.index_page(&above(1, &below[..3]));
        b.index_page(&above(2, &[first, ChildPage { key: b"d".to_vec(), ..below[3].clone() }])).page
    });
    let i04 = |name: &str, archive, note: &str| all_restored("EB-I04", name, archive, note);
    vec![
        all_restored("EB-I03", "level", level, "a page of level 2 has pages of level 1 below it"),
        i04("key", edited("i04-key", |below| below[1].key = b"b.tx".to_vec()), "a key is the smallest below it"),
        i04("unaligned", edited("i04-unaligned", |below| below[1].page.offset += 1), "frames begin at multiples of eight"),
        i04("overflow", edited("i04-overflow", |below| below[1].page.offset = u64::MAX - 7), "offset and length wrap"),
        i04("empty-page", empty, "a page of pages lists pages"),
        i04("forwards", forwards(), "a reference points backwards, so that no chain of them is a circle"),
        i04("blocks-out-of-order", refs("i04-order", |refs| refs.swap(1, 2)), "blocks stand in the order of their numbers"),
        i04("overlapping-blocks", refs("i04-overlap", |refs| refs[2] = refs[1]), "no two blocks share bytes"),
        all_restored("EB-I05", "hash", with_tail("i05-root", |tail| tail.entries.hash[0] ^= 1), "a page has the hash that its parent says"),
        all_restored("EB-I05", "child-hash", edited("i05-child", |below| below[1].page.hash[0] ^= 1), "at every level"),
        all_restored("EB-I05", "record", other_record(), "the hash covers record and payload"),
    ]
}

/// A root whose child stands behind it.
fn forwards() -> Archive {
    tree("i04-forwards", |b, pages| {
        let mut below = children(b, &pages[..2]);
        let page_hash = hash(&[&pages[2].record[..], &pages[2].payload].concat());
        // The child's place depends on the length of the root before it, which a trial gives.
        let child = |offset, frame_len| ChildPage { key: pages[2].key.clone(), page: PageRef { offset, frame_len, hash: page_hash } };
        let page_len = |page: &Leaf| {
            let mut bytes = Vec::new();
            errbar_format::frame::write(&mut bytes, (kind::INDEX, 0), (0, 0), &page.record, &page.payload).expect("memory")
        };
        let frame_len = page_len(&pages[2]);
        let mut at = b.offset() + 400;
        let root = loop {
            below.truncate(2);
            below.push(child(at, frame_len));
            let root = above(1, &below);
            let end = b.offset() + page_len(&root);
            if end == at {
                break root;
            }
            at = end;
        };
        let root = b.index_page(&root);
        b.index_page(&pages[2]);
        root.page
    })
}

/// A leaf whose record is not the one that the root's hash was made of.
fn other_record() -> Archive {
    let mut b = three_builder("i05-record");
    b.flush();
    let blocks = b.blocks.clone();
    let pages = b.pages.clone();
    let mut tail = b.index_of(&[Leaf::of_blocks(0, &blocks)], &pages);
    tail.blocks.hash = hash(&Leaf::of_blocks(0, &blocks).payload);
    b.close(&tail)
}
