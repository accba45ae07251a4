//! Variables that stand in lines of text.

use errbar_format::record::{BlockPlace, Cell, Entry, FileBody, Pad, Print, Segment, Variable};
use errbar_format::{DType, Kind};

use super::stages::of_values;
use crate::builder::{Archive, Builder};
use crate::content::{Array, body_mut, file, stored};
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    let e12 = |name: &str, edit: fn(&mut Vec<Cell>, &mut Vec<u8>), note: &str| refused("EB-E12", name, edit, note);
    vec![
        Vector::accept("accept-lines", lines(), "numbers of every kind and texts, printed in lines, in two rows of blocks"),
        e12("type", |cells, _| cells[0].print = Print::Integer, "integers are not f64"),
        e12("text", |cells, _| cells[0].print = Print::Text(vec![b"x".to_vec()]), "texts are numbered by unsigned integers"),
        e12("no-texts", |cells, _| cells[1].print = Print::Text(vec![vec![]]), "a list of texts has some"),
        e12("digits", |cells, _| cells[0].print = Print::Fixed { digits: 31, missing: vec![] }, "digits have a limit"),
        e12("before", |cells, _| cells[0].before = vec![b' '; 513], "text before a cell has a limit"),
        e12("width", |cells, _| cells[0].pad = Pad::Behind(513), "a width has a limit"),
        e12("end", |_, end| end.clear(), "a line ends with something"),
        refused("EB-E08", "cells", |cells, _| cells.push(cells[0].clone()), "as many variables as cells"),
        damaged("length", |body| edit_length(body, 1), "lines have as many bytes as the segment says"),
        damaged("text", |body| body.variables[1].inline[1] = 2, "texts that are numbered are there"),
    ]
}

fn cell(before: &str, print: Print, pad: Pad) -> Cell {
    Cell { before: before.into(), between: b"/".to_vec(), print, pad }
}

fn inline_of(name: &str, array: &Array) -> Variable {
    Variable { name: name.into(), inline: array.bytes.clone(), ..array.variable(0) }
}

/// Two lines with a number and a text.
fn small(path: &str) -> Entry {
    let number = of_values(path, DType::F64, &[2], |i| i as f64 - 0.5);
    let text = Array::new(path, DType::U8, &[2], vec![0, 1]);
    let cells = vec![
        cell("", Print::Fixed { digits: 1, missing: vec![] }, Pad::Before(5)),
        cell(" ", Print::Text(vec![b"N".to_vec(), b"CA".to_vec()]), Pad::Behind(3)),
    ];
    let content = b" -0.5 N  \n  0.5 CA \n";
    let segment = Segment::Lines { first: 0, length: content.len() as u64, cells, end: b"\n".to_vec() };
    file(path, vec![segment], vec![inline_of("number", &number), inline_of("text", &text)], content)
}

/// Five lines of numbers that are printed in every way, and blocks of three.
fn lines() -> Archive {
    let mut b = Builder::new("lines");
    let values = [0.0, -1.5, 1e-5, f64::NAN, 1e16, 12.0, f64::INFINITY, 1e-4, f64::NEG_INFINITY, -0.0];
    let pairs = Array { block_shape: vec![3, 2], ..of_values("f", DType::F64, &[5, 2], |i| values[i as usize]) };
    let first = b.next_block();
    for (from, n) in [(0u64, 3u64), (3, 2)] {
        let place = BlockPlace::Box { path: b"f".to_vec(), variable: "shortest".into(), origin: vec![from, 0] };
        let bytes = &pairs.bytes[from as usize * 16..][..n as usize * 16];
        b.block(&stored(b.next_block(), place, DType::F64, &[n, 2], bytes), bytes);
    }
    let integers = Array {
        block_shape: vec![3],
        ..Array::new("f", DType::I16, &[5], [0i16, -7, 300, 1, 9].iter().flat_map(|n| n.to_le_bytes()).collect())
    };
    let unsigned = Array {
        block_shape: vec![3],
        ..Array::new("f", DType::U32, &[5], [0u32, 7, u32::MAX, 1, 9].iter().flat_map(|n| n.to_be_bytes()).collect())
    }
    .big_endian();
    let fixed = Array { block_shape: vec![3], ..of_values("f", DType::F64, &[5], |i| [0.125, -0.0004, 1e15, f64::NAN, 2.5][i as usize]) };
    let texts = Array { block_shape: vec![3], ..Array::new("f", DType::U8, &[5], vec![0, 1, 1, 0, 1]) };
    let missing = || b"NA".to_vec();
    let cells = vec![
        cell("", Print::Shortest { point: true, missing: missing() }, Pad::None),
        cell(",", Print::Integer, Pad::Zeros(4)),
        cell(",", Print::Integer, Pad::Before(2)),
        cell(",", Print::Fixed { digits: 2, missing: missing() }, Pad::Behind(6)),
        cell(",", Print::Scientific { digits: 3, upper: true, missing: missing() }, Pad::None),
        cell(", ", Print::Shortest { point: false, missing: vec![] }, Pad::None),
        cell(",", Print::Text(vec![b"a b".to_vec(), vec![]]), Pad::None),
    ];
    let content = concat!(
        "0.0/-1.5,0000, 0,0.12  ,1.250E-01, 0.125,a b\r\n",
        "1e-05/NA,-007, 7,-0.00 ,-4.000E-04, -0.0004,\r\n",
        "1e+16/12.0,0300,4294967295,1000000000000000.00,1.000E+15, 1000000000000000,\r\n",
        "inf/0.0001,0001, 1,NA    ,NA, ,a b\r\n",
        "-inf/-0.0,0009, 9,2.50  ,2.500E+00, 2.5,\r\n",
    );
    let segment = Segment::Lines { first: 0, length: content.len() as u64, cells, end: b"\r\n".to_vec() };
    let pair = Variable { name: "shortest".into(), ..pairs.variable(first) };
    let others =
        [("integer", &integers), ("unsigned", &unsigned), ("fixed", &fixed), ("scientific", &fixed), ("plain", &fixed), ("text", &texts)];
    let variables = [pair].into_iter().chain(others.map(|(name, array)| inline_of(name, array))).collect();
    b.entry(file("f", vec![segment], variables, content.as_bytes()));
    let entry = small("small");
    b.entry(entry);
    b.finish()
}

fn refused(rule: &'static str, name: &str, edit: fn(&mut Vec<Cell>, &mut Vec<u8>), note: &str) -> Vector {
    let mut entry = small("a");
    if let [Segment::Lines { cells, end, .. }] = &mut body_mut(&mut entry).segments[..] {
        edit(cells, end);
    }
    let mut b = Builder::new(&format!("{rule}-{name}"));
    b.entry(entry);
    Vector::refuse(Kind::Corrupt, rule, name, b.finish(), note)
}

fn damaged(name: &str, edit: fn(&mut FileBody), note: &str) -> Vector {
    let mut b = Builder::new(&format!("e13-{name}"));
    let mut bad = small("bad");
    edit(body_mut(&mut bad));
    b.entry(bad);
    let good = small("good");
    b.entry(good);
    Vector::damaged(Kind::Corrupt, "EB-E13", name, b.finish(), &["bad"], note)
}

fn edit_length(body: &mut FileBody, more: u64) {
    if let [Segment::Lines { length, .. }] = &mut body.segments[..] {
        *length += more;
    }
    body.size += more;
}
