use super::*;
use errbar_format::record::Pad;

fn layout(text: &str) -> Option<Layout> {
    let (layout, name) = crate::dissect(&text.as_bytes(), &[&Table]);
    name.map(|_| layout)
}

fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).map(|i| line(i) + "\n").collect()
}

#[test]
fn columns_are_named_typed_and_padded() {
    let text = "time,depth (m),flag\n".to_owned() + &lines(2000, |i| format!("{i},{:.2},{}", i as f64 / 7.0, ["good", "bad"][i % 2]));
    let found = layout(&text).expect("a table");
    let of = |array: &crate::Array| (array.name.clone(), array.dtype, array.shape.clone());
    let columns: Vec<_> = found.arrays.iter().map(of).collect();
    let expected = [("time", DType::I32), ("depth (m)", DType::F64), ("flag", DType::U8)];
    assert_eq!(columns, expected.map(|(name, dtype)| (name.to_owned(), dtype, vec![2000])));
    assert_eq!(found.places[0].offset, 20);

    let text = "ATOM\n\n".to_owned()
        + &lines(3000, |i| format!("ATOM {i:6} {:<4} {:8.3}{:8.3}{:8.3}  x", ["N", "CA"][i % 2], i as f64, -0.5, 0.125));
    let found = layout(&text).expect("a table");
    let Holds::Lines(_, lines) = &found.places[0].holds else { panic!("lines") };
    let pads: Vec<Pad> = lines.cells.iter().map(|cell| cell.pad).collect();
    assert_eq!(pads[1..5], [Pad::Before(7), Pad::Behind(2), Pad::Before(11), Pad::None]);
    assert_eq!(found.arrays.len(), 7);
}

#[test]
fn grids_are_matrices_and_other_lines_end_them() {
    let row = |i: usize| (0..40).map(|k| ((i * k) % 97).to_string()).collect::<Vec<_>>().join(" ");
    let text = "ncols 40\nnrows 200\n".to_owned() + &lines(200, row) + "end of the first\n" + &lines(300, row);
    let found = layout(&text).expect("two grids");
    assert_eq!(found.arrays.iter().map(|array| array.shape.clone()).collect::<Vec<_>>(), [vec![200, 40], vec![300, 40]]);
}

#[test]
fn prose_and_short_tables_stay_bytes() {
    let prose = lines(3000, |i| ["It was the best", "of times, it was the worst of times", "it was the age"][i % 3].to_owned());
    assert_eq!(layout(&prose), None);
    assert_eq!(layout(&lines(40, |i| format!("{i} {i}"))), None);
    assert_eq!(layout(&lines(5000, |i| format!("word{i} other{i}"))), None);
}

#[test]
fn texts_that_hardly_repeat_make_no_table() {
    let record = |i: usize| format!("module/{}.py,sha256={:016x},{}", i % 90, i.wrapping_mul(0x9E37_79B9_7F4A_7C15), i);
    assert_eq!(layout(&lines(256, record)), None);
    assert_eq!(layout(&lines(4000, record)), None);
    assert!(layout(&lines(4000, |i| format!("module/{}.py,sha256,{i}", i % 90))).is_some());
}

#[test]
fn times_are_their_parts() {
    let time = |i: usize| format!("2024-01-{:02}T{:02}:{:02}:00Z", 1 + i / 1440, i / 60 % 24, i % 60);
    let text = "when,what\n".to_owned() + &lines(5000, |i| format!("{},{:.1}", time(i), i as f64 * 0.3));
    let found = layout(&text).expect("a table");
    let names: Vec<&str> = found.arrays.iter().map(|array| &array.name[..]).collect();
    assert_eq!(names, ["when", "when#2", "when#3", "when#4", "when#5", "when#6", "what"]);
    let Holds::Lines(_, lines) = &found.places[0].holds else { panic!("lines") };
    assert_eq!((&lines.cells[1].before[..], lines.cells[1].pad), (&b"-"[..], Pad::Zeros(2)));
    assert_eq!(lines.cells[6].before, b"Z,");
}

#[test]
fn what_the_format_has_no_room_for_stays_bytes() {
    assert_eq!(layout(&lines(300, |i| format!("{i:600}"))), None);
    assert!(layout(&lines(300, |i| format!("{i:500}"))).is_some());
    let empty = layout(&lines(3000, |i| format!("{i},,{}", i * i))).expect("a table with an empty column");
    assert_eq!(empty.arrays[1].dtype, DType::F64);
}
