use super::*;
use crate::Kind;
use crate::limits::MAX_BLOCK;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn sample_block() -> Block {
    let stage = |name: &str, params: &[u8]| StageRecord { name: name.into(), version: 1, params: params.into() };
    Block {
        version: 1,
        number: 2,
        place: BlockPlace::Box { path: b"a.npy".to_vec(), variable: String::new(), origin: vec![4] },
        dtype: DType::F32,
        big_endian: false,
        shape: vec![3],
        pipeline: PipelineRecord { quantizer: stage("none", &[]), transforms: vec![stage("delta", &[0])], coder: stage("store", &[]) },
        exact_len: 0,
        receipt: None,
        decoded_hash: [0xAB; 32],
        extensions: vec![],
    }
}

/// Of three words.
fn receipt() -> Receipt {
    Receipt {
        bounds: vec![Bound::Rel(0.5)],
        limit: Limit::Abs(1.0),
        max_error: 0.25,
        max_error_at: 7,
        rms_error: 0.125,
        finite: 2,
        non_finite: 1,
        exact: 2,
    }
}

/// The bytes are the format: a change here is a change of the specification.
#[test]
fn eb_r01_golden_block_record() {
    let golden = concat!(
        "01",
        "02",
        "02",
        "05612e6e7079",
        "00",
        "0104",
        "0c",
        "00",
        "0103",
        "046e6f6e65",
        "01",
        "00",
        "01",
        "0564656c7461",
        "01",
        "0100",
        "0573746f7265",
        "01",
        "00",
        "00",
        "00",
        "abababababababababababababababababababababababababababababababab",
        "00",
    );
    let bytes = encode(&sample_block()).expect("small");
    assert_eq!(hex(&bytes), golden);
    assert_eq!(decode::<Block>(&bytes).expect("golden"), sample_block());
}

#[test]
fn eb_r01_golden_receipt_and_entry() {
    let receipt = Receipt { finite: 9, ..receipt() };
    let golden =
        concat!("01", "01", "000000000000e03f", "00", "000000000000f03f", "000000000000d03f", "07", "000000000000c03f", "09", "01", "02",);
    assert_eq!(hex(&encode(&receipt).expect("small")), golden);

    let entry = Entry { path: b"l".to_vec(), body: Body::Symlink { target: b"t".to_vec() }, attributes: None, extensions: vec![] };
    assert_eq!(hex(&encode(&entry).expect("small")), "016c0201740000");
}

#[test]
fn eb_r01_only_the_canonical_form_is_read() {
    let bytes = encode(&sample_block()).expect("small");
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(decode::<Block>(&longer).expect_err("trailing byte").kind, Kind::Corrupt);
    for len in 0..bytes.len() {
        assert_eq!(decode::<Block>(&bytes[..len]).expect_err("cut").kind, Kind::Corrupt);
    }
    // A length of 2^40 must neither abort nor allocate.
    assert_eq!(decode::<Document>(&[1, 253, 0, 0, 0, 0, 0, 1, 0, 0]).expect_err("huge").kind, Kind::Corrupt);
}

#[test]
fn eb_r01_integers_have_one_spelling_each() {
    let spelled = [
        (0, &[0][..]),
        (250, &[250]),
        (251, &[251, 251, 0]),
        (65_535, &[251, 0xFF, 0xFF]),
        (65_536, &[252, 0, 0, 1, 0]),
        (u64::from(u32::MAX), &[252, 0xFF, 0xFF, 0xFF, 0xFF]),
        (1 << 32, &[253, 0, 0, 0, 0, 1, 0, 0, 0]),
        (u64::MAX, &[253, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
    ];
    for (value, bytes) in spelled {
        assert_eq!(encode(&value).expect("small"), bytes);
        assert_eq!(decode_first::<u64>(bytes).expect("canonical"), (value, bytes.len()));
        for longer in 251..=254 {
            let width = 1 << (longer - 250);
            let mut padded = vec![longer];
            padded.extend_from_slice(&u128::from(value).to_le_bytes()[..width]);
            if width + 1 > bytes.len() {
                assert_eq!(decode_first::<u64>(&padded).expect_err("longer").rule, Some("EB-R01"), "{padded:?}");
            }
        }
    }
    for (value, bytes) in [(0i64, &[0][..]), (-1, &[1]), (1, &[2]), (i64::MIN, &[253, 255, 255, 255, 255, 255, 255, 255, 255])] {
        assert_eq!(encode(&value).expect("small"), bytes);
    }
}

#[test]
fn eb_r03_a_later_version_is_unsupported_whatever_follows() {
    for later in [&[2, 99][..], &[251, 0, 1]] {
        assert_eq!(decode::<Block>(later).expect_err("later").rule, Some("EB-R03"));
    }
    for broken in [&[][..], &[1], &[251, 2, 0], &[252, 0, 0, 1, 0]] {
        assert_eq!(decode::<Block>(broken).expect_err("cut, or no version").rule, Some("EB-R01"));
    }
}

#[test]
fn eb_b01_b02_shapes_are_bounded() {
    let with_shape = |shape: &[u64]| Block { shape: shape.into(), place: BlockPlace::Shared, ..sample_block() };
    assert_eq!(with_shape(&[1 << 24]).check().expect("64 MiB"), 64 << 20);
    for shape in [&[(1 << 24) + 1][..], &[1 << 32, 1 << 32], &[u64::MAX], &[1; 9]] {
        assert_eq!(with_shape(shape).check().expect_err("too large").kind, Kind::Limit, "{shape:?}");
    }
}

#[test]
fn eb_v01_boxes_tile_the_variable() {
    let variable = Variable {
        name: "v".into(),
        dtype: DType::F64,
        big_endian: false,
        column_major: false,
        shape: vec![5, 7],
        block_shape: vec![2, 4],
        first_block: 0,
        block_step: 1,
        inline: vec![],
        part: None,
        chunks: None,
        receipt: None,
    };
    variable.check().expect("sound");
    let boxes: Vec<_> = (0..variable.n_blocks().expect("six")).map(|k| variable.block_box(k)).collect();
    assert_eq!(boxes.len(), 6);
    assert_eq!(boxes[0], (vec![0, 0], vec![2, 4]));
    assert_eq!(boxes[5], (vec![4, 4], vec![1, 3]));
    assert_eq!(boxes.iter().map(|(_, extent)| extent[0] * extent[1]).sum::<u64>(), 35);
}

fn variable(shape: &[u64], block_shape: &[u64]) -> Variable {
    let (shape, block_shape) = (shape.to_vec(), block_shape.to_vec());
    let name = String::new();
    Variable {
        name,
        dtype: DType::U16,
        big_endian: false,
        column_major: false,
        shape,
        block_shape,
        first_block: 0,
        block_step: 1,
        inline: vec![],
        part: None,
        chunks: None,
        receipt: None,
    }
}

fn broken(size: u64, segments: Vec<Segment>, variables: &[Variable]) -> Option<&'static str> {
    let file = FileBody { size, segments, variables: variables.to_vec(), hashes: Some(FileHashes::of([0; 32])), same_as: None };
    let entry = Entry { path: b"f".to_vec(), body: Body::File(file), attributes: None, extensions: vec![] };
    entry.check().err().map(|e| e.rule.expect("a rule"))
}

#[test]
fn eb_e08_records_are_whole_in_each_row_of_blocks() {
    let records = |fields: &[Variable]| broken(60, vec![Segment::Records { first: 0, count: fields.len() as u32 }], fields);
    let (a, b) = (variable(&[10, 2], &[4, 2]), variable(&[10], &[4]));
    assert_eq!(records(&[a.clone(), b.clone()]), None);
    for other in [variable(&[9], &[4]), variable(&[10], &[5]), variable(&[], &[]), variable(&[10, 2], &[4, 1])] {
        assert_eq!(records(&[a.clone(), other]), Some("EB-E08"));
    }
    assert_eq!(broken(60, vec![Segment::Records { first: 0, count: 0 }], &[]), Some("EB-E08"));
    let wide = variable(&[10, 4 << 20], &[8, 4 << 20]);
    assert_eq!(records(&vec![wide; 3]), Some("EB-E08"));
}

#[test]
fn eb_e04_every_variable_is_held_once() {
    let (a, b) = (variable(&[3], &[3]), variable(&[3], &[3]));
    let whole = |index| Segment::Variable { index };
    assert_eq!(broken(12, vec![whole(1), whole(0)], &[a.clone(), b.clone()]), None);
    for segments in [vec![whole(0)], vec![whole(0), whole(0)], vec![whole(0), Segment::Records { first: 0, count: 2 }], vec![whole(2)]] {
        assert_eq!(broken(12, segments, &[a.clone(), b.clone()]), Some("EB-E04"));
    }
    let chunks = Chunks { shape: vec![2], filters: vec![Filter::Shuffle { item: 2 }], padding: vec![0; 2] };
    let c = Variable { chunks: Some(chunks), ..variable(&[3], &[2]) };
    let chunk = |index| Segment::Chunk { variable: 0, index, length: 4, skipped: 0 };
    assert_eq!(broken(8, vec![chunk(1), chunk(0)], std::slice::from_ref(&c)), None);
    assert_eq!(broken(4, vec![chunk(1)], std::slice::from_ref(&c)), None, "a chunk may be missing");
    for segments in [vec![chunk(0), chunk(0)], vec![chunk(2)], vec![whole(0)]] {
        assert_eq!(broken(8, segments, std::slice::from_ref(&c)), Some("EB-E04"));
    }
}

#[test]
fn eb_e11_the_content_of_a_stream_follows_it() {
    let deflate = Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 };
    let made = |segments, maker, length| Segment::Stream { segments, maker, length, crc: 0, pieces: vec![] };
    let stream = |segments, length| made(segments, Maker::Deflate(deflate), length);
    let inline = |n| Segment::Inline(vec![0; n]);
    let whole = Segment::Variable { index: 0 };
    let of = [variable(&[3], &[3])];
    assert_eq!(broken(20, vec![inline(4), stream(2, 9), whole.clone(), inline(50), inline(7)], &of), None);
    for content in [vec![], vec![inline(9)], vec![inline(9), Segment::Hole { length: 1 }], vec![stream(1, 1), inline(1)]] {
        assert_eq!(broken(9, [vec![stream(2, 9)], content].concat(), &[]), Some("EB-E11"));
    }
    assert_eq!(broken(9, vec![stream(0, 9)], &[]), Some("EB-E11"));
    assert_eq!([530, 531].map(|length| broken(length, vec![stream(1, length), inline(9)], &[])), [None, Some("EB-E03")]);
    let lossy = Variable { receipt: Some(Receipt { max_error_at: 2, ..receipt() }), ..of[0].clone() };
    let lossy = std::slice::from_ref(&lossy);
    assert_eq!(broken(9, vec![stream(1, 9), whole.clone()], lossy), Some("EB-E11"));
    let filters = |piece, filters: &[Filter]| Maker::Filters { piece, filters: filters.to_vec(), base64: true };
    let zlib = Filter::Deflate { level: 5, mem_level: 8 };
    assert_eq!(broken(9, vec![made(1, filters(1, &[]), 9), whole.clone()], lossy), None);
    assert_eq!(broken(9, vec![made(1, filters(1, &[zlib]), 9), whole], lossy), Some("EB-E11"));
    for (maker, rule) in [
        (filters(MAX_BLOCK, &[zlib, Filter::Fletcher32]), None),
        (filters(0, &[zlib]), Some("EB-E11")),
        (filters(MAX_BLOCK + 1, &[]), Some("EB-E11")),
        (filters(1, &[zlib, zlib]), Some("EB-E11")),
        (filters(1, &[Filter::Deflate { level: 10, mem_level: 8 }]), Some("EB-E11")),
        (filters(1, &[Filter::Fletcher32; 9]), Some("EB-E11")),
    ] {
        assert_eq!(broken(9, vec![made(1, maker.clone(), 9), inline(9)], &[]), rule, "{maker:?}");
    }
    for deflate in [
        Deflate { level: 0, ..deflate },
        Deflate { level: 10, ..deflate },
        Deflate { mem_level: 0, ..deflate },
        Deflate { mem_level: 10, ..deflate },
        Deflate { window_bits: 8, ..deflate },
        Deflate { window_bits: 16, ..deflate },
        Deflate { strategy: 5, ..deflate },
    ] {
        assert_eq!(broken(9, vec![made(1, Maker::Deflate(deflate), 9), inline(9)], &[]), Some("EB-E11"));
    }
}

#[test]
fn eb_e03_pieces_lie_in_their_stream() {
    let deflate = Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 };
    let stream = |pieces: &[(u64, usize)]| {
        let pieces = pieces.iter().map(|&(length, behind)| Piece { length, behind: vec![0; behind] }).collect();
        vec![Segment::Stream { segments: 1, maker: Maker::Deflate(deflate), length: 9, crc: 0, pieces }, Segment::Inline(vec![0; 9])]
    };
    assert_eq!(broken(9 + 12 + 512, stream(&[(4, 12), (0, 0), (5, 512)]), &[]), None);
    for pieces in [&[(4, 12), (6, 0)][..], &[(u64::MAX, 0), (1, 12)], &[(1, 513)]] {
        assert_eq!(broken(21, stream(pieces), &[]), Some("EB-E03"), "{pieces:?}");
    }
}

#[test]
fn eb_e14_scanlines_are_filter_types_and_pixels() {
    let types = Variable { dtype: DType::U8, ..variable(&[3], &[3]) };
    let pixels = Variable { dtype: DType::U8, ..variable(&[3, 4, 2], &[3, 4, 2]) };
    let scanlines = |variables: &[Variable]| broken(27, vec![Segment::Scanlines { first: 0 }], variables);
    assert_eq!(scanlines(&[types.clone(), pixels.clone()]), None);
    assert_eq!(scanlines(std::slice::from_ref(&types)), Some("EB-E08"));
    for variables in [
        [Variable { dtype: DType::I8, ..types.clone() }, pixels.clone()],
        [Variable { shape: vec![3, 1], block_shape: vec![3, 1], ..types.clone() }, pixels],
        [types.clone(), types],
    ] {
        assert_eq!(scanlines(&variables), Some("EB-E14"));
    }
}

#[test]
fn segments_inside_a_stream_have_no_place_in_the_file() {
    let deflate = Deflate { level: 6, mem_level: 8, window_bits: 15, strategy: 0 };
    let inline = |n| Segment::Inline(vec![0; n]);
    let stream = Segment::Stream { segments: 2, maker: Maker::Deflate(deflate), length: 9, crc: 0, pieces: vec![] };
    let segments = vec![inline(4), stream, inline(5), inline(6), inline(7)];
    let file = FileBody { size: 20, segments, variables: vec![], hashes: None, same_as: None };
    assert_eq!(file.placed().map(|(_, at)| at).collect::<Vec<_>>(), [Some(0), Some(4), None, None, Some(13)]);
    assert_eq!([0, 1, 2, 9].map(|at| file.plain_len(at)), [None, Some(11), None, None]);
}

#[test]
fn eb_v04_chunks_lie_in_one_block_each() {
    let with = |shape: &[u64], filters: &[Filter], fill: usize| {
        let chunks = Chunks { shape: shape.to_vec(), filters: filters.to_vec(), padding: vec![0; fill] };
        Variable { chunks: Some(chunks), ..variable(&[6, 5], &[4, 5]) }.check().err().map(|e| e.rule.expect("a rule"))
    };
    assert_eq!(with(&[2, 3], &[], 2), None);
    for shape in [&[3, 3][..], &[0, 3], &[2], &[8, 3]] {
        assert_eq!(with(shape, &[], 2), Some("EB-V04"), "{shape:?}");
    }
    assert_eq!(with(&[4, 1 << 30], &[], 2), Some("EB-V04"));
    assert_eq!(with(&[2, 3], &[], 1), Some("EB-V04"));
    assert_eq!(with(&[2, 3], &[Filter::Fletcher32; 9], 2), Some("EB-V04"));
    let raster = Raster { item: 4, big_endian: false, samples: 1, row: 12 };
    assert_eq!(with(&[2, 3], &[Filter::Difference(raster), Filter::FloatDifference(raster)], 0), None, "chunks may be cut");
    let impossible = [
        Filter::Shuffle { item: 0 },
        Filter::Deflate { level: 10, mem_level: 8 },
        Filter::Deflate { level: 6, mem_level: 0 },
        Filter::Deflate { level: 6, mem_level: 10 },
        Filter::Libdeflate { level: 0 },
        Filter::Libdeflate { level: 13 },
        Filter::Lzw { full: 258, gap: 0 },
        Filter::Lzw { full: 4097, gap: 0 },
        Filter::Difference(Raster { item: 3, ..raster }),
        Filter::Difference(Raster { samples: 0, ..raster }),
        Filter::FloatDifference(Raster { row: 0, ..raster }),
        Filter::Bits { width: 0 },
        Filter::Bits { width: 33 },
    ];
    for filter in impossible {
        assert_eq!(with(&[2, 3], &[filter], 2), Some("EB-V04"));
    }
    let deflate = Filter::Deflate { level: 6, mem_level: 8 };
    let other = Filter::Libdeflate { level: 6 };
    assert_eq!(
        [&[deflate][..], &[deflate, deflate], &[deflate, other]].map(|filters| with(&[2, 3], filters, 2)),
        [None, Some("EB-V04"), Some("EB-V04")]
    );
}

#[test]
fn eb_v05_elements_in_the_entry_are_all_of_them() {
    let rule = |variable: Variable| variable.check().err().map(|e| e.rule.expect("a rule"));
    let with = |n: u64, inline: usize| Variable { inline: vec![1; inline], ..variable(&[n], &[n]) };
    assert_eq!(rule(with(3, 6)), None);
    assert_eq!((with(3, 6).n_blocks(), with(3, 0).n_blocks()), (Some(0), Some(1)));
    assert_eq!([with(3, 5), with(257, 514)].map(rule), [Some("EB-V05"); 2]);
    let part = |offset, inline| Variable { part: Some(PartRef { block: 9, offset }), ..with(3, inline) };
    assert_eq!((rule(part(7, 0)), part(7, 0).n_blocks()), (None, Some(0)));
    assert_eq!([part(7, 6), part(crate::limits::MAX_BLOCK - 5, 0), part(u64::MAX, 0)].map(rule), [Some("EB-V05"); 3]);
}

#[test]
fn a_chunk_and_its_block_are_found_from_one_another() {
    let chunks = Chunks { shape: vec![2, 3], filters: vec![], padding: vec![0; 2] };
    let variable = Variable { chunks: Some(chunks), ..variable(&[6, 5], &[4, 5]) };
    assert_eq!(variable.chunk_grid(), [3, 2]);
    assert_eq!(variable.chunk_box(5), (vec![4, 3], vec![2, 2]));
    assert_eq!(variable.chunk_shape(5), [2, 3]);
    let cut = variable.chunks.clone().map(|chunks| Chunks { padding: vec![], ..chunks });
    assert_eq!(Variable { chunks: cut, ..variable.clone() }.chunk_shape(5), [2, 2]);
    assert_eq!([0, 1, 2, 3, 4, 5].map(|k| variable.block_of(&variable.chunk_box(k).0)), [0, 0, 0, 0, 1, 1]);
}

#[test]
fn eb_r02_no_record_above_16_mib_is_written() {
    let with_data = |len| Document {
        version: 1,
        name: "x".into(),
        decoded_len: 0,
        extensions: vec![Extension { tag: String::new(), data: vec![0; len] }],
    };
    assert_eq!(encode(&with_data(16 << 20)).expect_err("too large").rule, Some("EB-R02"));
    encode(&with_data(15 << 20)).expect("within the limit");
}

#[test]
fn choices_come_back_and_others_than_these_are_none() {
    let mut entry = Entry { path: b"l".to_vec(), body: Body::Directory, attributes: None, extensions: vec![] };
    entry.add_choices(&[]).expect("nothing to add");
    assert_eq!((entry.extensions.len(), entry.choices()), (0, vec![]));
    let choices = vec![Choice { variable: 1, block: 7, over: "uniform linear crans".into(), saved: 0.041 }];
    entry.add_choices(&choices).expect("small");
    assert_eq!(hex(&entry.extensions[0].data), "01010714".to_owned() + "756e69666f726d206c696e656172206372616e73" + "cba145b6f3fda43f");
    assert_eq!(entry.choices(), choices);
    entry.extensions[0].data.push(0);
    assert_eq!(entry.choices(), []);
    entry.extensions[0].data.truncate(12);
    assert_eq!(entry.choices(), []);
}

#[test]
fn eb_r02_small_integers_count_at_full_width() {
    let most = (1 << 21) - 1;
    let bytes = encode(&vec![0u64; most]).expect("16 MiB in all");
    assert_eq!(decode_first::<Vec<u64>>(&bytes).expect("16 MiB in all").1, most + 5);
    assert_eq!(encode(&vec![0u64; most + 1]).expect_err("too large").rule, Some("EB-R02"));
    let mut longer = vec![252, 0, 0, 32, 0];
    longer.resize(5 + (1 << 21), 0);
    assert_eq!(decode_first::<Vec<u64>>(&longer).expect_err("too large").rule, Some("EB-R02"));
}

#[test]
fn eb_a02_a_tail_has_one_size_whatever_it_says() {
    for n in [0, 250, 251, u64::MAX] {
        let page = PageRef { offset: n, frame_len: n, hash: [0; 32] };
        let tail = Tail {
            version: 1,
            format: (1, 255),
            required_features: n,
            optional_features: n,
            archive_id: [0xFF; 32],
            n_entries: n,
            n_blocks: n,
            index_offset: n,
            entries: page,
            blocks: page,
            meta: page,
        };
        let bytes = encode(&tail).expect("small");
        assert_eq!(bytes.len(), Tail::LEN);
        assert_eq!(decode::<Tail>(&bytes).expect("golden"), tail);
    }
}
