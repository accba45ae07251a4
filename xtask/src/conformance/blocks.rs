//! BLOCK records, and what ties a block to the entry that names it.

use errbar_codec::check;
use errbar_format::limits::{MAX_BLOCK, MAX_NAME, MAX_PARAMS};
use errbar_format::record::{Block, BlockPlace, Bound, FileHashes, Limit, Receipt, Segment};
use errbar_format::{DType, Kind};

use super::accept::counting;
use super::text;
use crate::builder::{Archive, Builder, encode, hash};
use crate::content::{Array, Coded, body_mut, file, pipeline, run_block, stage, stored};
use crate::vectors::Vector;

/// A vector's name, its note, and what it changes.
type Edit<T> = (&'static str, &'static str, fn(&mut T));

pub fn vectors() -> Vec<Vector> {
    [limits(), places(), receipts(), variables()].into_iter().flatten().collect()
}

/// `bad`, a run of one block that was edited, and `good`.
fn edited(name: &str, edit: impl FnOnce(&mut Block)) -> Archive {
    let mut b = Builder::lossy(name);
    let content = text("bad");
    let mut block = run_block(0, "bad", 0, &content);
    edit(&mut block);
    let length = content.len() as u64;
    b.block_record(&encode(&block), &content, length, block.decoded_hash);
    b.entry(file("bad", vec![Segment::Run { first_block: 0, block_len: length, length }], vec![], &content));
    b.file("good", &text("good"));
    b.finish()
}

fn bad(kind: Kind, rule: &'static str, name: &str, note: &str, edit: impl FnOnce(&mut Block)) -> Vector {
    Vector::damaged(kind, rule, name, edited(&format!("{rule}-{name}"), edit), &["bad"], note)
}

fn limits() -> Vec<Vector> {
    let many = |n| move |block: &mut Block| block.pipeline.transforms = vec![stage("delta", &[]); n];
    vec![
        bad(Kind::Limit, "EB-B01", "one-too-many", "64 MiB decoded at most", |block| block.shape = vec![MAX_BLOCK + 1]),
        bad(Kind::Limit, "EB-B01", "10-gib", "10 GiB of zeros out of nearly nothing", |block| block.shape = vec![10 << 30]),
        bad(Kind::Limit, "EB-B02", "nine-dimensions", "eight dimensions at most", |block| block.shape = vec![1; 9]),
        bad(Kind::Limit, "EB-B02", "product-overflows", "2^32 times 2^32 is no 0", |block| block.shape = vec![1 << 32, 1 << 32]),
        bad(Kind::Limit, "EB-B02", "bytes-overflow", "elements fit 64 bits, their bytes do not", |block| {
            (block.shape, block.dtype) = (vec![1 << 61], DType::C128);
        }),
        bad(Kind::Corrupt, "EB-B02", "origin", "origin and shape have as many dimensions", |block| {
            block.place = BlockPlace::Box { path: b"bad".to_vec(), variable: String::new(), origin: vec![0, 0] };
        }),
        bad(Kind::Limit, "EB-B03", "seven-transforms", "six transforms at most", many(7)),
        bad(Kind::Limit, "EB-B03", "parameters", "256 KiB of parameters at most", |block| {
            block.pipeline.coder.params = vec![0; MAX_PARAMS + 1];
        }),
        bad(Kind::Limit, "EB-B03", "name", "a name of 255 bytes at most", |block| {
            block.pipeline.quantizer.name = "q".repeat(MAX_NAME + 1);
        }),
        bad(Kind::Corrupt, "EB-B04", "hash", "a block decodes to the bytes of its hash", |block| block.decoded_hash = hash(b"other")),
        bad(Kind::Refused, "EB-P01", "block-path", "the path in a block's record is as strict as an entry's", |block| {
            block.place = BlockPlace::Run { path: b"../bad".to_vec(), offset: 0 };
        })
        .without_hashes(),
    ]
}

/// `bad` made of one segment over one block.
fn segment(name: &str, block: Block, content: &[u8], segments: Vec<Segment>) -> Archive {
    let mut b = Builder::new(name);
    b.block(&block, content);
    b.entry(file("bad", segments, vec![], content));
    b.file("good", &text("good"));
    b.finish()
}

fn places() -> Vec<Vector> {
    let content = text("bad");
    let length = content.len() as u64;
    let run = || vec![Segment::Run { first_block: 0, block_len: length, length }];
    let part = |offset| vec![Segment::Part { block: 0, offset, length }];
    let b05 = |name: &str, block, segments, note: &str| {
        let archive = segment(&format!("b05-{name}"), block, &content, segments);
        Vector::damaged(Kind::Corrupt, "EB-B05", name, archive, &["bad"], note)
    };
    let shared = || stored(0, BlockPlace::Shared, DType::Bytes, &[length], &content);
    let mut all = vec![
        b05("run-of-other-path", run_block(0, "other", 0, &content), run(), "the block belongs to another entry"),
        b05("run-of-other-offset", run_block(0, "bad", 8, &content), run(), "the block belongs elsewhere in the entry"),
        b05("run-of-shared", shared(), run(), "a run is made of blocks that name their entry"),
        b05("part-of-run", run_block(0, "bad", 0, &content), part(0), "a part is of a shared block"),
        b05("part-past-end", shared(), part(1), "the part ends one byte behind the block"),
        b05(
            "run-block-length",
            run_block(0, "bad", 0, &content),
            vec![Segment::Run { first_block: 0, block_len: length - 1, length: length - 1 }],
            "a block of a run has no more bytes than the run",
        ),
    ];
    let boxes: [Edit<Block>; 7] = [
        ("box-of-other-path", "the block belongs to another entry", |block| set_box(block, "other", "", 0)),
        ("box-of-other-variable", "the block belongs to another variable", |block| set_box(block, "bad", "v", 0)),
        ("box-of-other-origin", "the block is another box of the variable", |block| set_box(block, "bad", "", 1)),
        ("box-of-other-shape", "the block has the box's extent", |block| block.shape = vec![6]),
        ("box-of-other-dtype", "the block has the variable's type", |block| (block.dtype, block.shape) = (DType::I16, vec![4])),
        ("box-of-other-order", "the block has the variable's byte order", |block| block.big_endian = true),
        ("box-of-run", "the block is no box", |block| block.place = BlockPlace::Run { path: b"bad".to_vec(), offset: 0 }),
    ];
    for (name, note, edit) in boxes {
        let array = counting("bad", DType::U16, &[4]);
        let mut b = Builder::new(&format!("b05-{name}"));
        let place = BlockPlace::Box { path: b"bad".to_vec(), variable: String::new(), origin: vec![0] };
        let mut block = stored(0, place, array.dtype, &array.shape, &array.bytes);
        edit(&mut block);
        let bytes = counting("bad", block.dtype, &block.shape).bytes;
        block.decoded_hash = hash(&crate::content::swapped(block.dtype, block.big_endian, &bytes));
        b.block(&block, &bytes);
        b.entry(file("bad", vec![Segment::Variable { index: 0 }], vec![array.variable(0)], &array.bytes));
        b.file("good", &text("good"));
        all.push(Vector::damaged(Kind::Corrupt, "EB-B05", name, b.finish(), &["bad"], note));
    }
    all
}

fn set_box(block: &mut Block, path: &str, variable: &str, origin: u64) {
    block.place = BlockPlace::Box { path: path.into(), variable: variable.into(), origin: vec![origin] };
}

pub fn receipt(words: u64) -> Receipt {
    Receipt {
        bounds: vec![Bound::Abs(0.5)],
        limit: Limit::Abs(0.5),
        max_error: 0.25,
        max_error_at: 1,
        rms_error: 0.1,
        finite: words,
        non_finite: 0,
        exact: 0,
    }
}

/// `bad`, an array of twelve binary32 in three blocks, whose receipts are edited; and `good`.
fn with_receipts(name: &str, mut each: impl FnMut(usize, &mut Option<Receipt>), whole: impl FnOnce(&mut Option<Receipt>)) -> Archive {
    let mut b = Builder::lossy(name);
    let array = Array { block_shape: vec![4], ..counting("bad", DType::F32, &[12]) };
    let mut k = 0;
    let mut entry = b.array_entry(&array, |extent, bytes| {
        let mut receipt = Some(receipt(extent[0]));
        each(k, &mut receipt);
        k += 1;
        Coded { pipeline: pipeline("none", &[], "store"), payload: bytes.to_vec(), exact_len: 0, receipt, decoded: bytes.to_vec() }
    });
    whole(&mut body_mut(&mut entry).variables[0].receipt);
    b.entry(entry);
    b.file("good", &text("good"));
    b.finish()
}

fn receipts() -> Vec<Vector> {
    let edits: [Edit<Receipt>; 9] = [
        ("error-above-limit", "the largest error is within the limit", |receipt| receipt.max_error = 0.75),
        ("limit-nan", "a limit is a number", |receipt| receipt.limit = Limit::Abs(f64::NAN)),
        ("relative-limit-negative", "no limit is negative", |receipt| {
            receipt.limit = Limit::Both { absolute: 0.5, relative: -1.0 };
        }),
        ("no-bounds", "a receipt is about a bound", |receipt| receipt.bounds.clear()),
        ("many-bounds", "a receipt has at most MAX_BOUNDS bounds", |receipt| receipt.bounds = vec![Bound::Abs(0.5); 17]),
        ("negative-error", "an error is not negative", |receipt| receipt.max_error = -0.25),
        ("counts", "finite and other words are all words", |receipt| receipt.finite += 1),
        ("exact", "no more exact words than words", |receipt| receipt.exact = 5),
        ("place-of-error", "the largest error is at one of the words", |receipt| receipt.max_error_at = 4),
    ];
    let block = |(name, note, edit): Edit<Receipt>| {
        let sound = (0..3).map(|_| receipt(4)).reduce(|sum, next| check::join(&sum, &next, sum.finite));
        let archive = with_receipts(
            &format!("b06-{name}"),
            |k, receipt| {
                if let (1, Some(receipt)) = (k, receipt) {
                    edit(receipt);
                }
            },
            |whole| *whole = sound,
        );
        Vector::damaged(Kind::Corrupt, "EB-B06", name, archive, &["bad"], note)
    };
    let mut all: Vec<Vector> = edits.into_iter().map(block).collect();
    let whole = with_receipts(
        "b06-variable",
        |_, _| {},
        |whole| {
            if let Some(receipt) = whole {
                receipt.finite -= 1;
            }
        },
    );
    // An entry that contradicts itself takes its page with it.
    all.push(Vector::refuse(Kind::Corrupt, "EB-B06", "variable", whole, "a variable's receipt counts all its words"));
    all
}

fn variables() -> Vec<Vector> {
    let v02 = |name: &str, archive, note: &str| Vector::damaged(Kind::Corrupt, "EB-V02", name, archive, &["bad"], note);
    let smaller = |whole: &mut Option<Receipt>| {
        if let Some(receipt) = whole {
            receipt.max_error = 0.125;
        }
    };
    let moved = |whole: &mut Option<Receipt>| {
        if let Some(receipt) = whole {
            (receipt.finite, receipt.non_finite) = (receipt.finite - 1, 1);
        }
    };
    vec![
        v02("worst-error", with_receipts("v02-worst", |_, _| {}, smaller), "the variable's largest error is that of its worst block"),
        v02("counts", with_receipts("v02-counts", |_, _| {}, moved), "the variable's counts are the sums of its blocks'"),
        v02("missing", with_receipts("v02-missing", |_, _| {}, |whole| *whole = None), "blocks have receipts, the variable has none"),
        v02(
            "one-block-without",
            with_receipts(
                "v02-one-without",
                |k, receipt| {
                    if k == 2 {
                        *receipt = None;
                    }
                },
                |whole| *whole = Some(receipt(12)),
            ),
            "all blocks have receipts, or none has",
        ),
        Vector::damaged(Kind::Limit, "EB-V03", "wide-rows", wide_rows(), &["bad"], "a row of blocks that would take 192 MiB of memory"),
    ]
}

/// Three blocks of 64 MiB of one byte, side by side.
fn wide_rows() -> Archive {
    let mut b = Builder::new("v03");
    let n = MAX_BLOCK / 2;
    let zeros = vec![0; MAX_BLOCK as usize];
    let decoded_hash = hash(&zeros);
    let mut content = blake3::Hasher::new();
    for k in 0..3 {
        let place = BlockPlace::Box { path: b"bad".to_vec(), variable: String::new(), origin: vec![0, k * n] };
        let mut block = stored(k, place, DType::U8, &[2, n], &[]);
        (block.pipeline, block.decoded_hash) = (pipeline("none", &[], "constant"), decoded_hash);
        b.block(&block, &[0]);
        content.update(&zeros);
    }
    let array = Array { shape: vec![2, 3 * n], block_shape: vec![2, n], ..counting("bad", DType::U8, &[]) };
    let mut entry = file("bad", vec![Segment::Variable { index: 0 }], vec![array.variable(0)], &[]);
    let body = body_mut(&mut entry);
    body.hashes = Some(FileHashes::of(*content.finalize().as_bytes()));
    b.entry(entry);
    b.file("good", &text("good"));
    b.finish()
}
