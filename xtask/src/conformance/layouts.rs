//! Variables that do not stand in one piece: in the entry, in records, in chunks.

use errbar_codec::filter;
use errbar_format::limits::{MAX_BLOCK, MAX_FILTERS, MAX_INLINE};
use errbar_format::record::{BlockPlace, Chunks, Entry, FileBody, FileHashes, Filter, PartRef, Raster, Receipt, Segment, Variable};
use errbar_format::{DType, Kind};

use super::accept::counting;
use super::blocks::receipt;
use super::text;
use crate::builder::{Archive, Builder, hash};
use crate::content::{Array, Coded, body_mut, file, pipeline, stored};
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    let mut all = vec![
        Vector::accept("accept-inline-variables", inline_variables(), "variables whose elements stand in the entry, one of them a scalar"),
        Vector::accept("accept-records", records(), "records of three fields in two rows of blocks, one of the fields in the entry"),
        Vector::accept(
            "accept-chunks",
            chunks(),
            "chunks past the faces, one missing, one that skips a filter, out of order; every filter, two settings of zlib; bits of all words",
        ),
        Vector::accept("accept-rasters", rasters(), "strips and tiles put through both predictors; libdeflate; chunks cut at the faces"),
        Vector::accept(
            "accept-chunks-under-a-bound",
            bounded_chunks(|_| {}),
            "a chunk put through its filters after a loss, zeros behind it",
        ),
        Vector::damaged(
            Kind::Corrupt,
            "EB-V02",
            "chunks",
            bounded_chunks(|receipt| (receipt.finite, receipt.non_finite) = (receipt.finite - 1, 1)),
            &["bad"],
            "the receipt of a variable in chunks is that of all its blocks",
        ),
        Vector::accept("accept-variables-in-a-shared-block", shared_variables(), "a variable, a field of records and a chunk in one block"),
        Vector::damaged(Kind::Corrupt, "EB-E09", "length", short_chunk(), &["bad"], "filters make as many bytes as the segment says"),
    ];
    all.extend(broken_records());
    all.extend(broken_chunks());
    all
}

/// A variable of an array, whose name is `name`.
fn named(name: &str, array: &Array, first_block: u64) -> Variable {
    Variable { name: name.into(), ..array.variable(first_block) }
}

fn inline_of(name: &str, array: &Array) -> Variable {
    Variable { inline: array.bytes.clone(), ..named(name, array, 0) }
}

/// Writes the block of the variable `name` at `origin`.
fn block(b: &mut Builder, path: &str, name: &str, array: &Array, (origin, extent): (&[u64], &[u64]), bytes: &[u8]) {
    let place = BlockPlace::Box { path: path.into(), variable: name.into(), origin: origin.into() };
    let block = stored(b.next_block(), place, array.dtype, extent, bytes);
    b.block(&block, bytes);
}

fn inline_variables() -> Archive {
    let mut b = Builder::new("inline-variables");
    let (scalar, most) = (counting("f", DType::F64, &[]), counting("f", DType::U8, &[2, MAX_INLINE as u64 / 2]));
    let segments = vec![Segment::Variable { index: 1 }, Segment::Inline(b"between".to_vec()), Segment::Variable { index: 0 }];
    let content = [&most.bytes[..], b"between", &scalar.bytes].concat();
    b.entry(file("f", segments, vec![inline_of("scalar", &scalar), inline_of("most", &most)], &content));
    b.finish()
}

/// Five records of a pair, a time in the entry, and a byte; blocks of three records.
fn records() -> Archive {
    let mut b = Builder::new("records");
    let pair = Array { block_shape: vec![3, 2], ..counting("f", DType::I16, &[5, 2]) };
    let time = Array { block_shape: vec![3], ..counting("f", DType::F64, &[5]) };
    let flag = Array { block_shape: vec![3], ..counting("f", DType::U8, &[5]) };
    let first = b.next_block();
    for (from, n) in [(0, 3), (3, 2)] {
        block(&mut b, "f", "pair", &pair, (&[from, 0], &[n, 2]), &pair.bytes[from as usize * 4..][..n as usize * 4]);
        block(&mut b, "f", "flag", &flag, (&[from], &[n]), &flag.bytes[from as usize..][..n as usize]);
    }
    let content: Vec<u8> =
        (0..5).flat_map(|i| [&pair.bytes[i * 4..][..4], &time.bytes[i * 8..][..8], &flag.bytes[i..][..1]].concat()).collect();
    let variables = vec![
        Variable { block_step: 2, ..named("pair", &pair, first) },
        inline_of("time", &time),
        Variable { block_step: 2, ..named("flag", &flag, first + 1) },
    ];
    b.entry(file("f", vec![Segment::Records { first: 0, count: 3 }], variables, &content));
    b.finish()
}

/// The bytes of the 2-D chunk at `(row, column)` of the grid, `padding` past the faces.
fn chunk_of(array: &Array, chunk: [usize; 2], (row, column): (usize, usize), padding: &[u8]) -> Vec<u8> {
    let (rows, columns, item) = (array.shape[0] as usize, array.shape[1] as usize, array.dtype.size());
    let mut bytes = Vec::new();
    for y in row * chunk[0]..(row + 1) * chunk[0] {
        for x in column * chunk[1]..(column + 1) * chunk[1] {
            let inside = y < rows && x < columns;
            bytes.extend_from_slice(if inside { &array.bytes[(y * columns + x) * item..][..item] } else { padding });
        }
    }
    bytes
}

/// An array of 5 × 7 in chunks of 2 × 3 and blocks of 4 × 7, with these chunks in the file: position
/// and mask of filters that are skipped.
fn chunked(path: &str, b: &mut Builder, filters: Vec<Filter>, stored: &[(u64, u32)]) -> Entry {
    let array = Array { block_shape: vec![4, 7], ..counting(path, DType::I32, &[5, 7]) };
    let padding = vec![1, 2, 3, 4];
    let first = b.next_block();
    block(b, path, "v", &array, (&[0, 0], &[4, 7]), &array.bytes[..4 * 28]);
    block(b, path, "v", &array, (&[4, 0], &[1, 7]), &array.bytes[4 * 28..]);
    let (mut segments, mut content) = (Vec::new(), Vec::new());
    for &(index, skipped) in stored {
        let plain = chunk_of(&array, [2, 3], (index as usize / 3, index as usize % 3), &padding);
        let bytes = filter::apply(&filters, skipped, plain).expect("memory");
        segments.push(Segment::Chunk { variable: 0, index, length: bytes.len() as u64, skipped });
        content.extend(bytes);
    }
    let chunks = Chunks { shape: vec![2, 3], filters, padding };
    let variable = Variable { chunks: Some(chunks), ..named("v", &array, first) };
    file(path, segments, vec![variable], &content)
}

/// An array of 5 × 7 as images have it: strips of 2 × 7, the last one cut, and tiles of 2 × 3.
fn rasters() -> Archive {
    let mut b = Builder::new("rasters");
    let raster = |item, big_endian, samples, row| Raster { item, big_endian, samples, row };
    for (path, shape, filters, padding) in [
        ("strips", [2, 7], vec![Filter::Difference(raster(4, false, 1, 28)), Filter::Deflate { level: 6, mem_level: 8 }], vec![]),
        ("strips-big", [2, 7], vec![Filter::Difference(raster(2, true, 2, 10)), Filter::Libdeflate { level: 7 }], vec![]),
        ("tiles", [2, 3], vec![Filter::FloatDifference(raster(4, false, 1, 12)), Filter::Libdeflate { level: 12 }], vec![0; 4]),
        ("tiles-cut", [2, 3], vec![Filter::FloatDifference(raster(8, true, 3, 20)), Filter::Libdeflate { level: 1 }], vec![]),
        ("tiles-lzw", [2, 3], vec![Filter::Lzw { full: 4094, gap: 10_000 }], vec![0; 4]),
        ("whole", [5, 7], vec![Filter::Difference(raster(1, false, 3, 9)), Filter::Libdeflate { level: 9 }], vec![]),
        ("whole-full", [5, 7], vec![Filter::Lzw { full: 280, gap: 0 }], vec![]),
        ("whole-gap", [5, 7], vec![Filter::Lzw { full: 4096, gap: 29 }], vec![]),
    ] {
        let array = Array { block_shape: vec![4, 7], ..counting(path, DType::I32, &[5, 7]) };
        let array = if shape[0] == 5 { Array { block_shape: vec![5, 7], ..array } } else { array };
        let first = b.next_block();
        let rows = array.block_shape[0];
        block(&mut b, path, "v", &array, (&[0, 0], &[rows, 7]), &array.bytes[..rows as usize * 28]);
        if rows < 5 {
            block(&mut b, path, "v", &array, (&[rows, 0], &[5 - rows, 7]), &array.bytes[rows as usize * 28..]);
        }
        let columns = 7usize.div_ceil(shape[1]);
        let (mut segments, mut content) = (Vec::new(), Vec::new());
        for index in 0..5usize.div_ceil(shape[0]) * columns {
            let at = (index / columns, index % columns);
            let extent = [shape[0].min(5 - at.0 * shape[0]), shape[1].min(7 - at.1 * shape[1])];
            let whole = chunk_of(&array, shape, at, &[0; 4]);
            let inside = whole.chunks_exact(4 * shape[1]).take(extent[0]).flat_map(|row| row[..4 * extent[1]].to_vec()).collect();
            let bytes = filter::apply(&filters, 0, if padding.is_empty() { inside } else { whole }).expect("memory");
            segments.push(Segment::Chunk { variable: 0, index: index as u64, length: bytes.len() as u64, skipped: 0 });
            content.extend(bytes);
        }
        let chunks = Chunks { shape: shape.map(|n| n as u64).to_vec(), filters, padding };
        b.entry(file(path, segments, vec![Variable { chunks: Some(chunks), ..named("v", &array, first) }], &content));
    }
    b.finish()
}

fn chunks() -> Archive {
    let mut b = Builder::new("chunks");
    let (shuffle, fletcher) = (Filter::Shuffle { item: 4 }, Filter::Fletcher32);
    let deflate = |level, mem_level| Filter::Deflate { level, mem_level };
    let all = (0..9).map(|index| (index, 0)).collect::<Vec<_>>();
    let entries = [
        chunked("bits-12", &mut b, vec![Filter::Bits { width: 12 }], &all),
        chunked("bits-30", &mut b, vec![Filter::Bits { width: 30 }, deflate(6, 8)], &[(1, 0)]),
        chunked("bits-7", &mut b, vec![fletcher, Filter::Bits { width: 7 }], &[(1, 2), (0, 0)]),
        chunked("bits-behind", &mut b, vec![deflate(6, 8), Filter::Bits { width: 17 }], &[(0, 0)]),
        chunked("checked", &mut b, vec![fletcher, shuffle, deflate(4, 8)], &all),
        chunked("odd", &mut b, vec![Filter::Shuffle { item: 5 }, deflate(9, 1), fletcher], &all),
        chunked("plain", &mut b, vec![], &[(8, 0), (0, 0), (5, 0)]),
        chunked("skipped", &mut b, vec![shuffle, deflate(1, 9)], &[(3, 2), (2, 0), (1, 3), (0, 1)]),
    ];
    entries.into_iter().for_each(|entry| b.entry(entry));
    let small = counting("small", DType::U16, &[3, 2]);
    let chunks = Chunks { shape: vec![2, 3], filters: vec![shuffle], padding: vec![9, 9] };
    let bytes = filter::apply(&chunks.filters, 0, chunk_of(&small, [2, 3], (1, 0), &[9, 9])).expect("memory");
    let segment = Segment::Chunk { variable: 0, index: 1, length: bytes.len() as u64, skipped: 0 };
    b.entry(file("small", vec![segment], vec![Variable { chunks: Some(chunks), ..inline_of("v", &small) }], &bytes));
    b.finish()
}

/// Six values in two blocks, only the first of whose chunks is stored, in a shorter stream than the
/// original's. `edit` changes their receipt.
fn bounded_chunks(edit: fn(&mut Receipt)) -> Archive {
    let mut b = Builder::lossy("bounded-chunks");
    let array = Array { block_shape: vec![4], ..counting("bad", DType::F32, &[6]) };
    let chunks = Chunks { shape: vec![2], filters: vec![Filter::Deflate { level: 6, mem_level: 8 }], padding: vec![0; 4] };
    let mut entry = b.array_entry(&array, |extent, bytes| {
        let (payload, receipt) = (bytes.to_vec(), Some(receipt(extent[0])));
        Coded { pipeline: pipeline("none", &[], "store"), exact_len: 0, receipt, decoded: payload.clone(), payload }
    });
    let made = filter::apply(&chunks.filters, 0, array.bytes[..8].to_vec()).expect("memory");
    let (body, zeros) = (body_mut(&mut entry), vec![0; 5]);
    body.variables[0].chunks = Some(chunks);
    body.variables[0].receipt.iter_mut().for_each(edit);
    let chunk = Segment::Chunk { variable: 0, index: 0, length: made.len() as u64, skipped: 0 };
    body.segments = vec![chunk, Segment::Inline(zeros.clone())];
    let content = [made, zeros].concat();
    body.size = content.len() as u64;
    body.hashes = Some(FileHashes::of(hash(&content)));
    b.entry(entry);
    b.file("good", &text("good"));
    b.finish()
}

fn short_chunk() -> Archive {
    let mut b = Builder::new("e09");
    let mut bad = chunked("bad", &mut b, vec![Filter::Fletcher32], &[(0, 0)]);
    let body = body_mut(&mut bad);
    if let [Segment::Chunk { length, .. }] = &mut body.segments[..] {
        *length -= 1;
    }
    body.size -= 1;
    b.entry(bad);
    let good = chunked("good", &mut b, vec![], &[(0, 0)]);
    b.entry(good);
    b.finish()
}

fn shared_variables() -> Archive {
    let mut b = Builder::new("shared-variables");
    let array = counting("whole", DType::F32, &[3, 4]);
    let (field, other) = (counting("records", DType::U16, &[4]), counting("records", DType::U8, &[4]));
    let bytes = [b"x", &array.bytes[..], &field.bytes].concat();
    let number = b.next_block();
    b.block(&stored(number, BlockPlace::Shared, DType::Bytes, &[bytes.len() as u64], &bytes), &bytes);
    let at = |name, array, offset| Variable { part: Some(PartRef { block: number, offset }), ..named(name, array, 0) };
    let records: Vec<u8> = (0..4).flat_map(|i| [other.bytes[i], field.bytes[2 * i], field.bytes[2 * i + 1]]).collect();
    let chunks = Chunks { shape: vec![2, 3], filters: vec![], padding: vec![0; 4] };
    let chunk = chunk_of(&array, [2, 3], (1, 1), &[0; 4]);
    let segment = Segment::Chunk { variable: 0, index: 3, length: chunk.len() as u64, skipped: 0 };
    // No byte of a block is used twice: the chunk has a block for itself.
    let alone = b.next_block();
    b.block(&stored(alone, BlockPlace::Shared, DType::Bytes, &[48], &array.bytes), &array.bytes);
    let part = Some(PartRef { block: alone, offset: 0 });
    b.entry(file("chunk", vec![segment], vec![Variable { chunks: Some(chunks), part, ..named("v", &array, 0) }], &chunk));
    let fields = vec![inline_of("other", &other), at("field", &field, 49)];
    b.entry(file("records", vec![Segment::Records { first: 0, count: 2 }], fields, &records));
    b.entry(file("whole", vec![Segment::Variable { index: 0 }], vec![at("v", &array, 1)], &array.bytes));
    b.finish()
}

/// One entry, sound but for what `edit` does to it.
fn broken(kind: Kind, rule: &'static str, name: &str, mut entry: Entry, edit: impl FnOnce(&mut FileBody), note: &str) -> Vector {
    edit(body_mut(&mut entry));
    let mut b = Builder::new(&format!("{rule}-{name}"));
    b.entry(entry);
    Vector::refuse(kind, rule, name, b.finish(), note)
}

fn broken_records() -> Vec<Vector> {
    let pair = || {
        let (a, b) = (counting("a", DType::U16, &[4]), counting("a", DType::U8, &[4]));
        let segments = vec![Segment::Records { first: 0, count: 2 }];
        file("a", segments, vec![named("a", &a, 0), named("b", &b, 1)], &[])
    };
    let e08 = |kind, name: &str, edit: fn(&mut FileBody), note: &str| broken(kind, "EB-E08", name, pair(), edit, note);
    let inline = |name: &str, edit: fn(&mut FileBody), note: &str| {
        let entry = file("a", vec![Segment::Variable { index: 0 }], vec![inline_of("v", &counting("a", DType::U16, &[4]))], &[]);
        broken(Kind::Corrupt, "EB-V05", name, entry, edit, note)
    };
    let wide = |body: &mut FileBody| {
        for field in &mut body.variables {
            (field.dtype, field.shape, field.block_shape) = (DType::U64, vec![4, 1 << 21], vec![4, 1 << 21]);
        }
        body.variables.push(body.variables[0].clone());
        body.segments = vec![Segment::Records { first: 0, count: 3 }];
    };
    vec![
        e08(Kind::Corrupt, "no-fields", |body| body.segments.push(Segment::Records { first: 0, count: 0 }), "records have fields"),
        e08(Kind::Corrupt, "no-such-fields", |body| body.segments = vec![Segment::Records { first: 1, count: 2 }], "of this file"),
        e08(
            Kind::Corrupt,
            "no-dimensions",
            |body| (body.variables[1].shape, body.variables[1].block_shape) = (vec![], vec![]),
            "a field counts records",
        ),
        e08(Kind::Corrupt, "counts", |body| body.variables[1].shape = vec![5], "fields have one number of records"),
        e08(Kind::Corrupt, "rows", |body| body.variables[1].block_shape = vec![2], "blocks of one position hold the same records"),
        e08(
            Kind::Corrupt,
            "cut",
            |body| (body.variables[1].shape, body.variables[1].block_shape) = (vec![4, 2], vec![4, 1]),
            "blocks hold whole records",
        ),
        e08(Kind::Limit, "wide", wide, "blocks that must be held together have a limit"),
        inline("short", |body| body.variables[0].inline.truncate(7), "all elements, or none"),
        inline(
            "many",
            |body| (body.variables[0].shape, body.variables[0].inline) = (vec![257], vec![0; 514]),
            "no more than an inline segment may have",
        ),
        inline("part-beside", |body| body.variables[0].part = Some(PartRef { block: 0, offset: 0 }), "in the entry, or in a block"),
        inline(
            "part-past-block",
            |body| {
                body.variables[0].inline.clear();
                body.variables[0].part = Some(PartRef { block: 0, offset: MAX_BLOCK - 7 });
            },
            "no block has so many bytes",
        ),
        broken(Kind::Limit, "EB-V01", "block-step", pair(), |body| body.variables[0].block_step = 0, "numbers of blocks rise"),
        broken(
            Kind::Corrupt,
            "EB-E04",
            "variable-in-records",
            pair(),
            |body| body.segments.push(Segment::Variable { index: 0 }),
            "every variable stands once",
        ),
    ]
}

fn broken_chunks() -> Vec<Vector> {
    let sound = || {
        let array = counting("a", DType::U16, &[5]);
        let chunks = Chunks { shape: vec![2], filters: vec![], padding: vec![0; 2] };
        let variable = Variable { chunks: Some(chunks), block_shape: vec![4], ..named("v", &array, 0) };
        file("a", vec![Segment::Chunk { variable: 0, index: 1, length: 4, skipped: 0 }], vec![variable], &[])
    };
    let v04 = |kind, name: &str, edit: fn(&mut Chunks), note: &str| {
        let edit = |body: &mut FileBody| body.variables[0].chunks.iter_mut().for_each(edit);
        broken(kind, "EB-V04", name, sound(), edit, note)
    };
    let e04 = |name: &str, segment, note: &str| broken(Kind::Corrupt, "EB-E04", name, sound(), |body| body.segments.push(segment), note);
    let chunk = |variable, index| Segment::Chunk { variable, index, length: 4, skipped: 0 };
    let long = Segment::Chunk { variable: 0, index: 0, length: 2 * 4 + MAX_INLINE as u64 + 1, skipped: 0 };
    vec![
        v04(Kind::Corrupt, "dimensions", |chunks| chunks.shape = vec![2, 2], "a chunk has the variable's dimensions"),
        v04(Kind::Corrupt, "chunk-of-nothing", |chunks| chunks.shape = vec![0], "a chunk has an extent"),
        v04(Kind::Corrupt, "across-blocks", |chunks| chunks.shape = vec![3], "a chunk lies in one block"),
        v04(Kind::Limit, "huge-chunk", |chunks| chunks.shape = vec![MAX_BLOCK], "64 MiB in a chunk at most"),
        v04(Kind::Limit, "many-filters", |chunks| chunks.filters = vec![Filter::Fletcher32; MAX_FILTERS + 1], "eight filters at most"),
        v04(Kind::Corrupt, "padding", |chunks| chunks.padding = vec![0], "padding is one element"),
        v04(Kind::Corrupt, "item", |chunks| chunks.filters = vec![Filter::Shuffle { item: 0 }], "an item has bytes"),
        v04(Kind::Corrupt, "level", |chunks| chunks.filters = vec![Filter::Deflate { level: 10, mem_level: 8 }], "levels 0 to 9"),
        v04(Kind::Corrupt, "mem-level", |chunks| chunks.filters = vec![Filter::Deflate { level: 6, mem_level: 0 }], "memory levels 1 to 9"),
        v04(Kind::Corrupt, "no-bits", |chunks| chunks.filters = vec![Filter::Bits { width: 0 }], "a number has bits"),
        v04(Kind::Corrupt, "many-bits", |chunks| chunks.filters = vec![Filter::Bits { width: 33 }], "a number has 32 bits at most"),
        v04(
            Kind::Corrupt,
            "two-streams",
            |chunks| chunks.filters = vec![Filter::Deflate { level: 6, mem_level: 8 }; 2],
            "no stream is put into another",
        ),
        v04(Kind::Corrupt, "libdeflate-level", |chunks| chunks.filters = vec![Filter::Libdeflate { level: 13 }], "levels 1 to 12"),
        v04(Kind::Corrupt, "lzw-full", |chunks| chunks.filters = vec![Filter::Lzw { full: 258, gap: 0 }], "a table has room for a string"),
        v04(
            Kind::Corrupt,
            "two-makers",
            |chunks| chunks.filters = vec![Filter::Deflate { level: 6, mem_level: 8 }, Filter::Libdeflate { level: 6 }],
            "no stream is put into another",
        ),
        v04(
            Kind::Corrupt,
            "sample-of-three-bytes",
            |chunks| chunks.filters = vec![Filter::Difference(Raster { item: 3, big_endian: false, samples: 1, row: 6 })],
            "samples of 1, 2, 4 or 8 bytes",
        ),
        v04(
            Kind::Corrupt,
            "pixel-of-nothing",
            |chunks| chunks.filters = vec![Filter::FloatDifference(Raster { item: 2, big_endian: false, samples: 0, row: 6 })],
            "a pixel has samples",
        ),
        v04(
            Kind::Corrupt,
            "row-of-nothing",
            |chunks| chunks.filters = vec![Filter::Difference(Raster { item: 2, big_endian: false, samples: 1, row: 0 })],
            "a row has bytes",
        ),
        e04("chunk-twice", chunk(0, 1), "a chunk stands once"),
        e04("no-such-chunk", chunk(0, 3), "a chunk of the grid"),
        e04("chunk-of-no-variable", chunk(1, 0), "a chunk of a variable of this file"),
        e04("chunked-in-one-piece", Segment::Variable { index: 0 }, "a variable with chunks stands in chunks"),
        broken(Kind::Limit, "EB-E03", "chunk", sound(), |body| body.segments = vec![long], "no filter makes a chunk so long"),
    ]
}
