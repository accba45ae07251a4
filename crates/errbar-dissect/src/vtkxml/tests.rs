use flate2::{Compress, Compression, FlushCompress, Status};

use super::*;
use crate::{Base64, Wrapper, dissect};

/// A file with this root and content, and these appended data.
fn file_of(root: &str, content: &str, encoding: &str, data: &[u8]) -> Vec<u8> {
    let xml = format!("<?xml version=\"1.0\"?>\n<VTKFile {root}>\n{content}\n<AppendedData encoding=\"{encoding}\">\n   _");
    [xml.as_bytes(), data, b"\n</AppendedData></VTKFile>"].concat()
}

/// Numbers of a header.
fn header(root: &str, numbers: &[u32]) -> Vec<u8> {
    let number = |n: &u32| if root.contains("UInt64") { u64::from(*n).to_le_bytes().to_vec() } else { n.to_le_bytes().to_vec() };
    numbers.iter().flat_map(number).collect()
}

/// The same with two arrays of 24 and 12 bytes.
fn file(root: &str, content: &str) -> Vec<u8> {
    file_of(root, content, "raw", &[header(root, &[24]), vec![1; 24], header(root, &[12]), vec![2; 12]].concat())
}

/// A file whose one array stands in the XML.
fn inline(root: &str, text: &str) -> Vec<u8> {
    let array = "<DataArray type=\"UInt16\" Name=\"a\" format=\"binary\">";
    format!("<VTKFile {root}>\n<PointData>{array}{text}</DataArray></PointData></VTKFile>").into_bytes()
}

fn data_array(name: &str, dtype: &str, more: &str) -> String {
    format!("<DataArray type=\"{dtype}\" {name} format=\"appended\" {more}/>")
}

fn text(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let (mut compress, mut out) = (Compress::new(Compression::new(5), true), Vec::with_capacity(200));
    assert_eq!(compress.compress_vec(bytes, &mut out, FlushCompress::Finish).expect("made"), Status::StreamEnd);
    out
}

/// Header and blocks of some bytes, in blocks of `piece` bytes.
fn blocks(root: &str, bytes: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>) {
    let streams: Vec<Vec<u8>> = bytes.chunks(piece).map(zlib).collect();
    let numbers = [streams.len(), piece, bytes.len() % piece].into_iter().chain(streams.iter().map(Vec::len));
    (header(root, &numbers.map(|n| n as u32).collect::<Vec<_>>()), streams.concat())
}

fn found(bytes: &[u8]) -> Vec<(String, DType, Vec<u64>)> {
    let layout = dissect(&bytes, &[&VtkXml]).0;
    let in_streams = layout.places.into_iter().filter_map(|place| match place.holds {
        Holds::Stream(_, Inside::Array(array, _)) => Some(*array),
        _ => None,
    });
    layout.arrays.into_iter().chain(in_streams).map(|array| (array.name, array.dtype, array.shape)).collect()
}

/// The one stream of a file: what stands at its place, how, and behind how many bytes its array.
fn stream(bytes: &[u8]) -> (&[u8], Wrapper, u64) {
    let (layout, _) = dissect(&bytes, &[&VtkXml]);
    let [Place { offset, length, holds: Holds::Stream(wrapper, Inside::Array(_, before)) }] = &layout.places[..] else {
        panic!("{layout:?}")
    };
    (&bytes[*offset as usize..][..*length as usize], wrapper.clone(), *before)
}

#[test]
fn text_and_blocks_are_streams_of_their_arrays() {
    for root in ["", "header_type=\"UInt64\""] {
        let width = header(root, &[0]).len() as u64;
        let plain = text(&[header(root, &[24]), vec![7; 24]].concat());
        let array = format!("<PointData>{}", data_array("Name=\"a\"", "UInt16", "offset=\"0\""));
        let appended = file_of(root, &array, "base64", plain.as_bytes());
        for file in [appended, inline(root, &format!("\n \t{plain}\r\n")), inline(root, &plain)] {
            assert_eq!(found(&file), [("a".to_owned(), DType::U16, vec![12])]);
            assert_eq!(stream(&file), (plain.as_bytes(), Wrapper::Base64, width));
        }
        let root = format!("{root} compressor=\"vtkZLibDataCompressor\"");
        for piece in [24, 16, 1, 8] {
            let (header, blocks) = blocks(&root, &[7; 24], piece);
            let [raw, text] = [[&header[..], &blocks].concat(), (text(&header) + &text(&blocks)).into_bytes()];
            let array = format!("<PointData>{}", data_array("Name=\"a\"", "UInt16", "offset=\"0\""));
            let wrapper = |base64| Wrapper::Zlib { piece: piece as u64, base64 };
            assert_eq!(stream(&file_of(&root, &array, "raw", &raw)), (&blocks[..], wrapper(false), 0));
            let expected = (self::text(&blocks).into_bytes(), wrapper(true));
            for file in [file_of(&root, &array, "base64", &text), inline(&root, &String::from_utf8_lossy(&text))] {
                assert_eq!(found(&file), [("a".to_owned(), DType::U16, vec![12])]);
                let (place, wrapper, before) = stream(&file);
                assert_eq!(((place.to_vec(), wrapper), before), (expected.clone(), 0));
            }
        }
    }
}

#[test]
fn arrays_without_elements_and_odd_texts_are_bytes() {
    let compressed = "compressor=\"vtkZLibDataCompressor\"";
    let whole = text(&[&[4, 0, 0, 0][..], b"abcd"].concat());
    assert_eq!(found(&inline("", &whole)).len(), 1);
    for odd in [
        "",
        " ",
        "AAAA",
        &text(&[0; 4]),
        &whole[..whole.len() - 1],
        &whole[..8],
        &(whole.clone() + "AAAA"),
        &(whole.clone() + " x"),
        &whole.replace('A', "-"),
        // The number of bytes overflows, and is odd.
        &text(&[255; 12]),
        &text(&[&[3, 0, 0, 0][..], b"abc"].concat()),
        // Padding in the middle.
        &(text(&[4, 0, 0, 0]) + &text(b"abcd")),
    ] {
        assert_eq!(found(&inline("", odd)), [], "{odd}");
        assert_eq!(found(&inline(compressed, odd)), [], "{odd}");
    }
    let numbers = |numbers: &[u32]| text(&header("", numbers)) + &text(b"streams.");
    assert_eq!(found(&inline(compressed, &numbers(&[1, 4, 0, 8]))).len(), 1);
    for odd in [
        &[0, 4, 0][..],
        &[2, 4, 0, 8],
        &[1, 4, 0, 10],
        &[1, 0, 0, 8],
        &[1, 4, 6, 8],
        &[1, u32::MAX, 0, 8],
        &[u32::MAX, 4, 0, 8],
        &[2, 4, 0, u32::MAX, 9],
        &[1, 3, 0, 8],
    ] {
        assert_eq!(found(&inline(compressed, &numbers(odd))), [], "{odd:?}");
    }
    let wide = format!("{compressed} header_type=\"UInt64\"");
    for n in [[u64::MAX, 4, 0, 8], [1 << 61, 4, 0, 8], [1, 4, 0, u64::MAX], [1, u64::MAX, 2, 8], [2, 1 << 63, 2, 8]] {
        let bytes: Vec<u8> = n.into_iter().flat_map(u64::to_le_bytes).collect();
        assert_eq!(found(&inline(&wide, &(text(&bytes) + &text(b"streams.")))), [], "{n:?}");
    }
}

#[test]
fn headers_that_overlap_cost_no_more_than_the_file() {
    let data: Vec<u8> = header("", &[40, 4, 0]).into_iter().chain([1; 160]).collect();
    let arrays: String = (0..200).map(|i| data_array("", "UInt8", &format!("offset=\"{}\"", i % 2))).collect();
    assert_eq!(found(&file_of("compressor=\"vtkZLibDataCompressor\"", &arrays, "raw", &data)), []);
    assert_eq!(Base64::text_len(4), Some(8));
}

#[test]
fn steps_of_time_share_what_does_not_change() {
    let content = data_array("Name=\"a\"", "Float32", "offset=\"0\"");
    assert_eq!(found(&file("", &content.repeat(2))).len(), 1);
    let overlapping = content.clone() + &data_array("Name=\"b\"", "UInt8", "offset=\"4\"");
    assert_eq!(found(&file("", &overlapping)), []);
}

#[test]
fn tags_are_found_wherever_they_are_cut() {
    let array = inline("", &text(&[&[4, 0, 0, 0][..], b"abcd"].concat()));
    for before in [0, 65_500, 65_520, 65_535, 65_536, 65_537] {
        let mut file = array.clone();
        let at = file.iter().position(|byte| *byte == b'\n').expect("a line");
        file.splice(at..at, vec![b' '; before]);
        assert_eq!(found(&file).len(), 1, "{before}");
    }
    let long = [b"<VTKFile><".as_slice(), &[b'a'; 70_000], b">", &array].concat();
    assert_eq!(found(&long), []);
}

#[test]
fn arrays_of_grids_have_their_shape() {
    for (root, second) in [("type=\"ImageData\"", 28), ("type='ImageData' header_type = 'UInt64'", 32)] {
        let content = format!(
            "<Piece Extent=\"0 2 0 1 5 5\"><PointData>{}</PointData><CellData>{}</CellData></Piece>",
            data_array("Name=\"a &lt; b\"", "Float32", "offset=\"0\""),
            data_array("Name=\"v\"", "Int16", &format!("NumberOfComponents=\"3\" offset=\"{second}\"")),
        );
        let expected = [("a < b".to_owned(), DType::F32, vec![1, 2, 3]), ("v".to_owned(), DType::I16, vec![1, 1, 2, 3])];
        assert_eq!(found(&file(root, &content)), expected);
    }
}

#[test]
fn arrays_of_pieces_and_geometry_say_where_they_belong() {
    let piece = |section: &str, offset: &str| format!("<Piece><{section}>{}</{section}></Piece>", data_array("", "UInt8", offset));
    let content = piece("Cells", "offset=\"0\"") + &piece("Points", "offset=\"28\" NumberOfComponents=\"3\"");
    let expected = [("0/Cells/1".to_owned(), DType::U8, vec![24]), ("1/1".to_owned(), DType::U8, vec![4, 3])];
    assert_eq!(found(&file("", &content)), expected);
}

#[test]
fn other_compressors_and_odd_arrays_are_bytes() {
    let content = data_array("Name=\"a\"", "Float32", "offset=\"0\"");
    assert_eq!(found(&file("", &content)).len(), 1);
    assert_eq!(found(&file("compressor=\"vtkLZ4DataCompressor\"", &content)), []);
    assert_eq!(found(&file("compressor=\"vtkZLibDataCompressor\"", &content)), []);
    for encoding in ["base64", "hex"] {
        let text = String::from_utf8_lossy(&file("", &content)).replace("\"raw\"", &format!("\"{encoding}\""));
        assert_eq!(found(text.as_bytes()), []);
    }
    for more in [
        "offset=\"999999\"",
        "offset=\"18446744073709551615\"",
        "offset=\"0\" NumberOfComponents=\"7\"",
        "offset=\"0\" NumberOfComponents=\"0\"",
        "",
    ] {
        assert_eq!(found(&file("", &data_array("Name=\"a\"", "Float32", more))), [], "{more}");
    }
    assert_eq!(found(&file("", &data_array("Name=\"a\"", "Bit", "offset=\"0\""))), []);
}

#[test]
fn a_file_cut_anywhere_does_no_harm() {
    let whole = file("", &data_array("Name=\"a\"", "Float32", "offset=\"0\""));
    for len in 0..whole.len() {
        assert!(found(&whole[..len]).len() <= 1, "{len}");
    }
}
