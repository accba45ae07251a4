//! Rows of pixels that are put through the filters of PNG, and streams in pieces.

use errbar_format::limits::MAX_INLINE;
use errbar_format::record::{BlockPlace, Entry, FileBody, Piece, Segment, Variable};
use errbar_format::{DType, Kind};

use super::streams::{USUAL, stream};
use crate::builder::{Archive, Builder};
use crate::content::{Array, body_mut, file, stored, swapped};
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    let e14 = |name: &str, edit: &dyn Fn(&mut FileBody), note: &str| refused(Kind::Corrupt, "EB-E14", name, edit, note);
    vec![
        Vector::accept(
            "accept-scanlines",
            scanlines(),
            "a stream in pieces, of rows of every filter type in two rows of blocks; rows of one byte, and none",
        ),
        e14("signed", &|body| body.variables[0].dtype = DType::I8, "filter types are u8"),
        e14("no-rows", &|body| no_columns(&mut body.variables[1]), "pixels stand in rows"),
        refused(Kind::Corrupt, "EB-E08", "scanlines", &|body| drop(body.variables.pop()), "scanlines have two variables"),
        unknown(),
        pieces("long", 7, 1, "pieces are no longer than their stream"),
        pieces("behind", 1, MAX_INLINE + 1, "what stands behind a piece has a limit"),
    ]
}

fn inline_of(name: &str, array: &Array) -> Variable {
    Variable { name: name.into(), inline: array.bytes.clone(), ..array.variable(0) }
}

/// Two rows of two pixels of two samples.
fn small(path: &str) -> Entry {
    let types = Array::new(path, DType::U8, &[2], vec![1, 4]);
    let pixels = Array::new(path, DType::U8, &[2, 2, 2], vec![9, 8, 7, 8, 9, 9, 9, 9]);
    let (segments, content) = (vec![Segment::Scanlines { first: 0 }], [1, 9, 8, 254, 0, 4, 0, 1, 2, 0]);
    file(path, segments, vec![inline_of("types", &types), inline_of("", &pixels)], &content)
}

/// What the filters of PNG, written down once more, make of rows of big-endian words.
fn filtered(types: &[u8], pixels: &[u8], row: usize, pixel: usize) -> Vec<u8> {
    let at = |y: usize, x: usize, up: usize, back: usize| match (y.checked_sub(up), x.checked_sub(back)) {
        (Some(y), Some(x)) => i32::from(pixels[y * row + x]),
        _ => 0,
    };
    let mut made = Vec::new();
    for (y, &of) in types.iter().enumerate() {
        made.push(of);
        for x in 0..row {
            let (a, b, c) = (at(y, x, 0, pixel), at(y, x, 1, 0), at(y, x, 1, pixel));
            let nearest = [a, b, c].into_iter().min_by_key(|near| (a + b - c - near).abs()).unwrap_or(0);
            made.push((at(y, x, 0, 0) - [0, a, b, (a + b) / 2, nearest][usize::from(of)]) as u8);
        }
    }
    made
}

fn scanlines() -> Archive {
    let mut b = Builder::new("scanlines");
    let types = Array { block_shape: vec![6], ..Array::new("f", DType::U8, &[10], vec![1, 2, 3, 4, 0, 4, 3, 2, 1, 4]) };
    let words = (0..10 * 7 * 3u32).map(|i| (i * 700 + i.wrapping_mul(2_654_435_761) / (1 << 24)) as u16);
    let pixels =
        Array { block_shape: vec![6, 7, 3], ..Array::new("f", DType::U16, &[10, 7, 3], words.flat_map(u16::to_be_bytes).collect()) };
    let pixels = pixels.big_endian();
    let first = b.next_block();
    // The blocks of both take turns.
    for (from, n) in [(0u64, 6u64), (6, 4)] {
        for (name, array) in [("types", &types), ("", &pixels)] {
            let width = array.bytes.len() / 10;
            let bytes = &array.bytes[from as usize * width..][..n as usize * width];
            let mut origin = vec![0; array.shape.len()];
            origin[0] = from;
            let shape: Vec<u64> = [n].into_iter().chain(array.shape[1..].iter().copied()).collect();
            let place = BlockPlace::Box { path: b"f".to_vec(), variable: name.into(), origin };
            let mut block = stored(b.next_block(), place, array.dtype, &shape, bytes);
            block.big_endian = array.big_endian;
            b.block(&block, &swapped(array.dtype, array.big_endian, bytes));
        }
    }
    let (mut segment, made) = stream(USUAL, 2, &[&filtered(&types.bytes, &pixels.bytes, 42, 6)[..], b"."].concat());
    let cut = |length: u64, behind: &[u8]| Piece { length, behind: behind.to_vec() };
    let last = made.len() as u64 - 150;
    let of_pieces = [cut(0, b"<"), cut(100, b"one"), cut(50, &[b'='; MAX_INLINE]), cut(0, b""), cut(last, b">")];
    let mut content = b"head".to_vec();
    let mut from = 0;
    for Piece { length, behind } in &of_pieces {
        content.extend([&made[from..][..*length as usize], behind].concat());
        from += *length as usize;
    }
    content.extend(b"tail");
    if let Segment::Stream { pieces, .. } = &mut segment {
        *pieces = of_pieces.to_vec();
    }
    let inline = |text: &[u8]| Segment::Inline(text.to_vec());
    let segments = vec![inline(b"head"), segment, Segment::Scanlines { first: 0 }, inline(b"."), inline(b"tail")];
    let of = |name: &str, array: &Array, first_block| Variable { name: name.into(), block_step: 2, ..array.variable(first_block) };
    b.entry(file("f", segments, vec![of("types", &types, first), of("", &pixels, first + 1)], &content));
    let narrow = [Array::new("g", DType::U8, &[2], vec![4, 3]), Array::new("g", DType::U8, &[2, 1], vec![5, 3])];
    let none = [Array::new("g", DType::U8, &[0], vec![]), Array::new("g", DType::F32, &[0, 5], vec![])];
    let variables = narrow.iter().chain(&none).zip(["a", "b", "c", "d"]).map(|(array, name)| inline_of(name, array)).collect();
    b.entry(file("g", vec![Segment::Scanlines { first: 0 }, Segment::Scanlines { first: 2 }], variables, &[4, 5, 3, 1]));
    b.finish()
}

fn refused(kind: Kind, rule: &'static str, name: &str, edit: &dyn Fn(&mut FileBody), note: &str) -> Vector {
    let mut entry = small("a");
    edit(body_mut(&mut entry));
    let mut b = Builder::new(&format!("{rule}-{name}"));
    b.entry(entry);
    Vector::refuse(kind, rule, name, b.finish(), note)
}

fn no_columns(pixels: &mut Variable) {
    (pixels.shape, pixels.block_shape, pixels.inline) = (vec![2], vec![2], vec![9, 9]);
}

/// A filter type that PNG does not have.
fn unknown() -> Vector {
    let mut b = Builder::new("e14-type");
    let mut bad = small("bad");
    body_mut(&mut bad).variables[0].inline[1] = 5;
    b.entry(bad);
    b.entry(small("good"));
    Vector::damaged(Kind::Corrupt, "EB-E14", "type", b.finish(), &["bad"], "filter types end at 4")
}

fn pieces(name: &str, length: u64, behind: usize, note: &str) -> Vector {
    let (mut segment, made) = stream(USUAL, 1, b"aaaaa");
    let behind = vec![b' '; behind];
    if let Segment::Stream { pieces, .. } = &mut segment {
        pieces.push(Piece { length, behind: behind.clone() });
    }
    let mut b = Builder::new(&format!("pieces-{name}"));
    b.entry(file("a", vec![segment, Segment::Inline(b"aaaaa".to_vec())], vec![], &[made, behind].concat()));
    Vector::refuse(Kind::Limit, "EB-E03", &format!("pieces-{name}"), b.finish(), note)
}
