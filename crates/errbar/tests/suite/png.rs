//! PNG: images found, read by slices, and files restored to the last bit.

use std::fs;

use errbar::record::{Body, FileBody, Segment};
use errbar::{Archive, Mode, Range};
use errbar_codec::scanlines::Scanlines;
use errbar_format::DType;
use errbar_format::record::Deflate;

use crate::streams::{USUAL, comes_back, deflated, pack, streams};
use crate::support::{Random, open};

/// An image of `height` × 150 pixels of some samples of `item` bytes, smooth with some noise.
fn pixels(height: usize, samples: usize, item: usize) -> Vec<u8> {
    let mut noise = Random(5);
    let noise = noise.bytes(height * 150 * samples);
    let value = |i: usize| {
        let (y, x, sample) = ((i / samples / 150) as f64, (i / samples % 150) as f64, (i % samples) as f64);
        let smooth = 120.0 + 60.0 * (y / 2.3).sin() + 50.0 * (x / 3.1 + sample).cos();
        (smooth * 256.0) as u16 + u16::from(noise[i] % 8) * if item == 1 { 200 } else { 20 }
    };
    (0..height * 150 * samples).flat_map(|i| value(i).to_be_bytes()[..item].to_vec()).collect()
}

/// A file with an image that its rows have been filtered and deflated to, in pieces of `cut` bytes.
fn png(pixels: &[u8], kind: (u8, u8), height: usize, types: &[u8], deflate: Deflate, cut: usize) -> Vec<u8> {
    let (bits, colour) = kind;
    let samples = [1, 0, 3, 1, 2, 0, 4][usize::from(colour)];
    let types: Vec<u8> = (0..height).map(|row| types[row % types.len()]).collect();
    let lines = Scanlines::of(&[height as u64, 150, samples], usize::from(bits / 8)).filter(&types, pixels).expect("known types");
    // The level as zlib tells it in the header, a multiple of 31.
    let flevel = match deflate {
        Deflate { strategy: 2.., .. } | Deflate { level: 1, .. } => 0x01,
        Deflate { level: 2..=5, .. } => 0x5e,
        Deflate { level: 6, .. } => 0x9c,
        _ => 0xda,
    };
    let stream = [&[0x78, flevel], &deflated(deflate, &lines)[..], b"adlr"].concat();
    let header = [&150u32.to_be_bytes()[..], &(height as u32).to_be_bytes(), &[bits, colour, 0, 0, 0]].concat();
    let chunk = |name: &[u8], data: &[u8]| {
        let sum = crc32fast::hash(&[name, data].concat());
        [&(data.len() as u32).to_be_bytes()[..], name, data, &sum.to_be_bytes()].concat()
    };
    let data: Vec<u8> = stream.chunks(cut).flat_map(|part| chunk(b"IDAT", part)).collect();
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header)[..], &data, &chunk(b"IEND", b"")].concat()
}

fn body(archive: &Archive, path: &str) -> FileBody {
    match archive.entry(path.as_bytes()).expect("readable").map(|entry| entry.body) {
        Some(Body::File(body)) => body,
        _ => panic!("{path} is a file"),
    }
}

#[test]
fn images_are_arrays_and_files_come_back() {
    let dir = tempfile::tempdir().expect("tmp");
    let mut expected = Vec::new();
    // As libpng, Pillow and OpenCV write them.
    for (level, mem_level, strategy, types) in
        [(6, 8, 1, &[1u8, 2, 3, 4][..]), (9, 9, 1, &[4]), (1, 8, 3, &[1]), (4, 8, 0, &[0]), (1, 9, 1, &[3, 0, 2]), (7, 8, 0, &[2])]
    {
        let deflate = Deflate { level, mem_level, strategy, ..USUAL };
        for (bits, colour) in [(8u8, 0u8), (16, 0), (8, 2), (16, 6), (8, 4)] {
            let samples = [1, 0, 3, 0, 2, 0, 4][usize::from(colour)];
            let pixels = pixels(200, samples, usize::from(bits / 8));
            let name = format!("{level}-{mem_level}-{strategy}-{bits}-{colour}.png");
            fs::write(dir.path().join(&name), png(&pixels, (bits, colour), 200, types, deflate, 8192)).expect("written");
            let shape = if samples == 1 { vec![200, 150] } else { vec![200, 150, samples as u64] };
            expected.push((name, shape, bits, pixels));
        }
    }
    for mode in [Mode::Balanced, Mode::Small] {
        let archive = open(&pack(dir.path(), mode, &["abs=9"])).expect("sound");
        for (name, shape, bits, pixels) in &expected {
            // Other settings may give the same bytes.
            assert_eq!(streams(&archive, name).len(), 1, "{name} {mode:?}");
            let read = archive.read_variable(name.as_bytes(), "", &[]).expect("a variable");
            let dtype = if *bits == 8 { DType::U8 } else { DType::U16 };
            assert_eq!((&read.bytes, &read.shape, read.dtype), (pixels, shape, dtype), "{name}");
            let mut slice: Vec<Range> = shape.iter().map(|&stop| Range { start: 0, stop }).collect();
            slice[0] = Range { start: 70, stop: 90 };
            let row = pixels.len() / 200;
            let read = archive.read_variable(name.as_bytes(), "", &slice).expect("a slice");
            assert_eq!(read.bytes, pixels[70 * row..90 * row], "{name}");
            let types = archive.read_variable(name.as_bytes(), "filter_types", &[]).expect("a variable");
            assert_eq!((types.shape, types.bytes.iter().max() <= Some(&4)), (vec![200], true));
        }
        comes_back(&archive, dir.path());
    }
    let archive = open(&pack(dir.path(), Mode::Fast, &[])).expect("sound");
    assert!(expected.iter().all(|(name, ..)| streams(&archive, name).is_empty()));
    comes_back(&archive, dir.path());
}

#[test]
fn rows_of_several_blocks_and_pieces_cut_anywhere() {
    let dir = tempfile::tempdir().expect("tmp");
    let pixels = pixels(12_000, 3, 1);
    let deflate = Deflate { level: 1, strategy: 1, ..USUAL };
    let file = png(&pixels, (8, 2), 12_000, &[4, 3, 4, 2, 1], deflate, 65_536);
    fs::write(dir.path().join("large.png"), &file).expect("written");
    let small = png(&pixels[..450 * 90], (8, 2), 90, &[4], deflate, 5);
    fs::write(dir.path().join("cut.png"), &small).expect("written");
    let bytes = pack(dir.path(), Mode::Balanced, &[]);
    assert!(bytes.len() < file.len(), "{} bytes of {}", bytes.len(), file.len());
    let archive = open(&bytes).expect("sound");
    let large = body(&archive, "large.png");
    assert!(large.variables[1].n_blocks() > Some(1) && large.variables[0].block_shape[0] == large.variables[1].block_shape[0]);
    assert_eq!(archive.read_variable(b"large.png", "", &[]).expect("a variable").bytes, pixels);
    let pieces = |segment: &Segment| if let Segment::Stream { pieces, .. } = segment { Some(pieces.len()) } else { None };
    assert!(body(&archive, "cut.png").segments.iter().find_map(pieces) > Some(1000));
    comes_back(&archive, dir.path());
}

#[test]
fn what_is_not_undone_is_bytes() {
    let dir = tempfile::tempdir().expect("tmp");
    let pixels = pixels(200, 1, 1);
    let sound = png(&pixels, (8, 0), 200, &[4], USUAL, 8192);
    let write = |name: &str, file: &[u8]| fs::write(dir.path().join(name), file).expect("written");
    // Made with settings that nobody has.
    write("memory.png", &png(&pixels, (8, 0), 200, &[4], Deflate { mem_level: 4, ..USUAL }, 8192));
    write("tiny.png", &png(&pixels[..150 * 2], (8, 0), 2, &[4], USUAL, 8192));
    write("short.png", &sound[..sound.len() / 2]);
    let mut interlaced = sound.clone();
    interlaced[28] = 1;
    write("interlaced.png", &interlaced);
    let noise = Random(3).bytes(200 * 150);
    write("noise.png", &png(&noise, (8, 0), 200, &[0], USUAL, 8192));
    // A stream that goes on behind the end of the image.
    let mut taller = sound.clone();
    taller[23] -= 1;
    write("taller.png", &taller);
    for mode in [Mode::Balanced, Mode::Small] {
        let archive = open(&pack(dir.path(), mode, &[])).expect("sound");
        for name in ["memory.png", "tiny.png", "short.png", "interlaced.png", "noise.png"] {
            assert_eq!((streams(&archive, name), body(&archive, name).variables), (vec![], vec![]), "{name}");
        }
        let image = archive.read_variable(b"taller.png", "", &[]).expect("what the header says");
        assert_eq!((image.shape, &image.bytes[..]), (vec![199, 150], &pixels[..199 * 150]));
        comes_back(&archive, dir.path());
    }
}
