use super::*;
use crate::Kind;

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

/// The bytes are the format: a change here is a change of the specification.
#[test]
fn eb_r01_golden_block_record() {
    let golden = concat!(
        "0100",
        "0200000000000000",
        "02000000",
        "0500000000000000",
        "612e6e7079",
        "0000000000000000",
        "0100000000000000",
        "0400000000000000",
        "0c",
        "00",
        "0100000000000000",
        "0300000000000000",
        "0400000000000000",
        "6e6f6e65",
        "0100",
        "0000000000000000",
        "0100000000000000",
        "0500000000000000",
        "64656c7461",
        "0100",
        "0100000000000000",
        "00",
        "0500000000000000",
        "73746f7265",
        "0100",
        "0000000000000000",
        "0000000000000000",
        "00",
        "abababababababababababababababababababababababababababababababab",
        "0000000000000000",
    );
    let bytes = encode(&sample_block()).expect("small");
    assert_eq!(hex(&bytes), golden);
    assert_eq!(decode::<Block>(&bytes).expect("golden"), sample_block());
}

#[test]
fn eb_r01_golden_receipt_and_entry() {
    let receipt = Receipt {
        bounds: vec![Bound::Rel(0.5)],
        limit: Limit::Abs(1.0),
        max_error: 0.25,
        max_error_at: 7,
        rms_error: 0.125,
        finite: 9,
        non_finite: 1,
        exact: 2,
    };
    let golden = concat!(
        "0100000000000000",
        "01000000",
        "000000000000e03f",
        "00000000",
        "000000000000f03f",
        "000000000000d03f",
        "0700000000000000",
        "000000000000c03f",
        "0900000000000000",
        "0100000000000000",
        "0200000000000000",
    );
    assert_eq!(hex(&encode(&receipt).expect("small")), golden);

    let entry = Entry { path: b"l".to_vec(), body: Body::Symlink { target: b"t".to_vec() }, attributes: None, extensions: vec![] };
    assert_eq!(hex(&encode(&entry).expect("small")), "01000000000000006c02000000010000000000000074000000000000000000");
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
    // A length of 2^40 in front of 8 bytes must neither abort nor allocate.
    assert_eq!(decode::<Document>(&[1, 0, 0, 0, 0, 0, 0, 1, 0, 0]).expect_err("huge").kind, Kind::Corrupt);
}

#[test]
fn eb_r03_a_later_version_is_unsupported_whatever_follows() {
    assert_eq!(decode::<Block>(&[2, 0, 99]).expect_err("version 2").rule, Some("EB-R03"));
    assert_eq!(decode::<Block>(&[1]).expect_err("cut").rule, Some("EB-R01"));
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
        receipt: None,
    };
    variable.check().expect("sound");
    let boxes: Vec<_> = (0..variable.n_blocks().expect("six")).map(|k| variable.block_box(k)).collect();
    assert_eq!(boxes.len(), 6);
    assert_eq!(boxes[0], (vec![0, 0], vec![2, 4]));
    assert_eq!(boxes[5], (vec![4, 4], vec![1, 3]));
    assert_eq!(boxes.iter().map(|(_, extent)| extent[0] * extent[1]).sum::<u64>(), 35);
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
fn a_block_reference_has_one_size() {
    let place = BlockRef { offset: 1, frame_len: 2, decoded_len: 3, decoded_hash: [4; 32] };
    assert_eq!(encode(&place).expect("small").len(), BlockRef::LEN);
}
