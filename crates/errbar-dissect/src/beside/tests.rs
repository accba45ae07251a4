use errbar_format::DType;

use super::*;
use crate::dissect;

/// Headers that stand at these levels under these names.
fn siblings(files: &[(usize, &str, &[u8])]) -> HashMap<(usize, Vec<u8>), Vec<u8>> {
    files.iter().map(|(up, name, content)| ((*up, name.as_bytes().to_vec()), content.to_vec())).collect()
}

/// The layout of a file of `size` bytes.
fn layout(path: &str, size: usize, files: &[(usize, &str, &[u8])]) -> Option<(Layout, &'static str)> {
    let described = described(path.as_bytes(), &siblings(files))?;
    let (layout, by) = dissect(&&vec![0; size][..], &[&described]);
    by.map(|by| (layout, by))
}

/// Name, shape and start of the one array in a file of `size` bytes.
fn array(path: &str, size: usize, files: &[(usize, &str, &[u8])]) -> Option<(String, Vec<u64>, u64)> {
    let (mut layout, _) = layout(path, size, files)?;
    let at = layout.places[0].offset;
    layout.arrays.pop().map(|array| (array.name.clone(), array.index_shape(), at))
}

const ENVI: &str = "ENVI\ndescription = {\n lines = 9,\n data }\nsamples = 4\nlines   = 3\nbands = 2\ndata type = 12\nbyte order = 1\n";

#[test]
fn envi_orders_its_bands_as_it_says() {
    let with = |more: &str, size| array("a/scene.dat", size, &[(0, "scene.hdr", format!("{ENVI}{more}").as_bytes())]);
    assert_eq!(with("", 48), Some((String::new(), vec![2, 3, 4], 0)));
    assert_eq!(with("interleave = BIL\nheader offset = 7\n", 55), Some((String::new(), vec![3, 2, 4], 7)));
    assert_eq!(with("interleave = bip\n", 48), Some((String::new(), vec![3, 4, 2], 0)));
    assert_eq!(with("bands = 1\n", 24), Some((String::new(), vec![3, 4], 0)));
    for more in [
        "interleave = tile\n",
        "data type = 7\n",
        "byte order = 2\n",
        "header offset = x\n",
        "samples = -4\n",
        "file type = TIFF\n",
        "major frame offsets = {0, 4}\n",
        "major frame offsets = {0,\n 4}\n",
        "file compression = 2\n",
    ] {
        assert_eq!(with(more, 48), None, "{more}");
    }
    assert_eq!((with("", 47), with("", 49), with("header offset = 1\n", 48)), (None, None, None));
    let (layout, by) = layout("scene", 9, &[(0, "scene.hdr", format!("{ENVI}file compression = 1\n").as_bytes())]).expect("a stream");
    assert_eq!((by, layout.places[0].length, layout.arrays.len()), ("envi", 9, 0));
}

const META: &str = "ObjectType = Image\nNDims = 2\nDimSize = 4 3\nElementType = MET_USHORT\n";

#[test]
fn headers_name_their_data() {
    let mhd = |more: &str, data: &str, size| {
        array(&format!("x/{data}"), size, &[(0, "a.mhd", format!("{META}{more}ElementDataFile = a.raw").as_bytes())])
    };
    assert_eq!(mhd("", "a.raw", 24), Some((String::new(), vec![3, 4], 0)));
    assert_eq!(mhd("HeaderSize = 5\n", "a.raw", 29).map(|(_, _, at)| at), Some(5));
    assert_eq!(mhd("HeaderSize = -1\n", "a.raw", 99).map(|(_, _, at)| at), Some(75));
    assert_eq!((mhd("", "a.RAW", 24), mhd("", "a.raw", 25), mhd("HeaderSize = -1\n", "a.raw", 23)), (None, None, None));

    let nrrd = "NRRD0004\ntype: short\ndimension: 2\nsizes: 3 4\nendian: little\nencoding: raw\ndata file: ";
    let nhdr = |more: &str, size| array("a.raw", size, &[(0, "a.nhdr", format!("{nrrd}{more}").as_bytes())]);
    assert_eq!(nhdr("./a.raw", 24), Some((String::new(), vec![3, 4], 0)));
    assert_eq!(nhdr("a.raw\nbyte skip: -1\n\n", 30).map(|(_, _, at)| at), Some(6));
    for more in ["b.raw", "../a.raw", "a.raw\nline skip: 1\n", "a.raw\nbyte skip: -2\n", "LIST\na.raw\n"] {
        assert_eq!(nhdr(more, 24), None, "{more}");
    }
}

/// A header of `dims` i16 with this magic.
fn nifti(magic: &[u8; 4], dims: &[i16], offset: f32) -> Vec<u8> {
    let mut header = vec![0; 348];
    header[..4].copy_from_slice(&348u32.to_le_bytes());
    dims.iter().enumerate().for_each(|(i, dim)| header[40 + 2 * i..42 + 2 * i].copy_from_slice(&dim.to_le_bytes()));
    (header[70], header[72]) = (4, 16);
    header[108..112].copy_from_slice(&offset.to_le_bytes());
    header[112..116].copy_from_slice(&0.5f32.to_le_bytes());
    header[116..120].copy_from_slice(&9f32.to_le_bytes());
    header[344..].copy_from_slice(magic);
    header
}

#[test]
fn analyze_has_a_slope_and_nifti_an_intercept_too() {
    for (magic, offset) in [(b"ni1\0", 9.0), (b"\0\0\0\0", 0.0)] {
        let described = described(b"a.img", &siblings(&[(0, "a.hdr", &nifti(magic, &[2, 3, 4], 0.0))])).expect("a pair");
        assert_eq!(described.array.packing, Some(crate::Packing { scale: 0.5, offset }));
        assert_eq!(described.array.index_shape(), [3, 4]);
    }
    assert_eq!(array("a.img", 40, &[(0, "a.hdr", &nifti(b"ni1\0", &[2, 3, 4], 16.0))]).map(|(_, _, at)| at), Some(16));
}

const ZARRAY: &str = r#"{"zarr_format":2,"shape":[5,6],"chunks":[2,3],"dtype":">f4","order":"C","compressor":null,"filters":null"#;

#[test]
fn chunks_of_zarr_2_have_the_array_above_them() {
    let with = |path: &str, up, more: &str, size| array(path, size, &[(up, ".zarray", format!("{ZARRAY}{more}}}").as_bytes())]);
    assert_eq!(with("a/t/2.1", 0, "", 24), Some(("t".into(), vec![2, 3], 0)));
    assert_eq!(with("2.1", 0, "", 24), Some((String::new(), vec![2, 3], 0)));
    assert_eq!(with("a/t/0/1", 1, r#","dimension_separator":"/""#, 24), Some(("t".into(), vec![2, 3], 0)));
    for (path, more) in [
        ("t/3.0", ""),
        ("t/0.2", ""),
        ("t/0", ""),
        ("t/0.0.0", ""),
        ("t/00.0", ""),
        ("t/+1.0", ""),
        ("t/c.0.0", ""),
        ("t/0.0", r#","dimension_separator":"/""#),
        ("t/0.0", r#","filters":[{"id":"delta"}]"#),
        ("t/0.0", r#","compressor":{"id":"blosc"}"#),
        ("t/0.0", r#","dtype":"|S4""#),
        ("t/0.0", r#","chunks":[0,3]"#),
        ("t/0.0", r#","chunks":[2]"#),
    ] {
        assert_eq!(with(path, 0, more, 24), None, "{path} {more}");
    }
    let (column, _) = layout("t/0.0", 24, &[(0, ".zarray", format!("{ZARRAY},\"order\":\"F\"}}").as_bytes())]).expect("a chunk");
    assert_eq!((column.arrays[0].column_major, &column.arrays[0].shape[..]), (true, &[3, 2][..]));
    let gzip = format!("{ZARRAY},\"compressor\":{{\"id\":\"gzip\"}}}}");
    assert_eq!(layout("t/0.0", 9, &[(0, ".zarray", gzip.as_bytes())]).map(|(layout, _)| layout.places[0].length), Some(9));
    let zlib = gzip.replace("gzip", "zlib");
    assert_eq!(layout("t/0.0", 9, &[(0, ".zarray", zlib.as_bytes())]).map(|(layout, _)| layout.places[0].length), Some(7));
    assert_eq!(layout("t/0.0", 1, &[(0, ".zarray", zlib.as_bytes())]), None);
}

#[test]
fn attributes_of_zarr_tell_coordinates_and_packing() {
    let with = |attributes: &str| {
        let files = [(0, ".zarray", format!("{ZARRAY}}}").into_bytes()), (0, ".zattrs", attributes.as_bytes().to_vec())];
        let files: Vec<_> = files.iter().map(|(up, name, content)| (*up, *name, &content[..])).collect();
        let array = described(b"a/lat/0.0", &siblings(&files)).expect("a chunk").array;
        (array.auxiliary, array.packing.map(|packing| packing.scale))
    };
    assert_eq!(with(r#"{"_ARRAY_DIMENSIONS":["y","x"],"units":"K"}"#), (false, None));
    assert_eq!(with(r#"{"units":"degrees_north"}"#), (true, None));
    assert_eq!(with(r#"{"_ARRAY_DIMENSIONS":["lat"]}"#), (true, None));
    assert_eq!(with(r#"{"scale_factor":0.5}"#), (false, Some(0.5)));
    assert_eq!(with("no JSON"), (false, None));
}

const ZARR_JSON: &str = r#"{"zarr_format":3,"node_type":"array","shape":[5,6],"data_type":"uint16","chunk_grid":{"name":"regular",
"configuration":{"chunk_shape":[2,3]}},"chunk_key_encoding":{"name":"default"},"dimension_names":["y","x"],
"codecs":[{"name":"bytes","configuration":{"endian":"big"}}]"#;

#[test]
fn chunks_of_zarr_3_are_marked_unless_they_are_keyed_as_those_of_2() {
    let with = |path: &str, up, more: &str, size| array(path, size, &[(up, "zarr.json", format!("{ZARR_JSON}{more}}}").as_bytes())]);
    assert_eq!(with("t/c/2/1", 2, "", 12), Some(("t".into(), vec![2, 3], 0)));
    assert_eq!(with("c/2/1", 2, "", 12), Some((String::new(), vec![2, 3], 0)));
    let keys =
        |name: &str, separator: &str| format!(r#","chunk_key_encoding":{{"name":"{name}","configuration":{{"separator":"{separator}"}}}}"#);
    assert_eq!(with("t/c.2.1", 0, &keys("default", "."), 12).map(|(_, shape, _)| shape), Some(vec![2, 3]));
    assert_eq!(with("t/2/1", 1, &keys("v2", "/"), 12).map(|(_, shape, _)| shape), Some(vec![2, 3]));
    assert_eq!(with("t/2.1", 0, &keys("v2", "."), 12).map(|(_, shape, _)| shape), Some(vec![2, 3]));
    let scalar = r#","shape":[],"chunk_grid":{"name":"regular","configuration":{"chunk_shape":[]}}"#;
    assert_eq!(with("t/c", 0, scalar, 2), Some(("t".into(), vec![], 0)));
    for (path, up, more) in [
        ("t/c/3/1", 2, ""),
        ("t/c/1", 1, ""),
        ("t/d/0/1", 2, ""),
        ("t/0/1", 1, ""),
        ("t/c.0.1", 0, ""),
        ("t/c/0/1", 2, r#","node_type":"group""#),
        ("t/c/0/1", 2, r#","codecs":[]"#),
        ("t/c/0/1", 2, r#","codecs":[{"name":"bytes"},{"name":"zstd"}]"#),
        ("t/c/0/1", 2, r#","codecs":[{"name":"transpose"},{"name":"bytes"}]"#),
        ("t/c/0/1", 2, r#","chunk_grid":{"name":"rectilinear"}"#),
    ] {
        assert_eq!(with(path, up, more, 12), None, "{path} {more}");
    }
    let gzip = r#","codecs":[{"name":"bytes"},{"name":"gzip"}]"#;
    let (found, by) = layout("t/c/0/0", 9, &[(2, "zarr.json", format!("{ZARR_JSON}{gzip}}}").as_bytes())]).expect("a chunk");
    let Holds::Stream(Wrapper::Gzip, Inside::Array(array, 0)) = &found.places[0].holds else { panic!("{found:?}") };
    assert_eq!((array.dtype, &array.shape[..], by), (DType::U16, &[2, 3][..], "zarr"));
}

#[test]
fn headers_cut_or_changed_anywhere_do_not_panic() {
    let zarray = format!("{ZARRAY}}}");
    let zarr_json = format!("{ZARR_JSON}}}");
    let nrrd = "NRRD0004\ntype: short\ndimension: 2\nsizes: 3 4\nendian: little\nencoding: gzip\ndata file: a.raw\n";
    let mhd = format!("{META}ElementDataFile = a.raw\n");
    for (path, up, name, header) in [
        ("a.img", 0, "a.hdr", ENVI.as_bytes().to_vec()),
        ("a.img", 0, "a.hdr", nifti(b"ni1\0", &[2, 3, 4], 0.0)),
        ("a.raw", 0, "a.mhd", mhd.into_bytes()),
        ("a.raw", 0, "a.nhdr", nrrd.into()),
        ("t/2.1", 0, ".zarray", zarray.into_bytes()),
        ("t/c/2/1", 2, "zarr.json", zarr_json.into_bytes()),
    ] {
        // Without what contains a panic.
        let look = |header: &[u8]| {
            let siblings = siblings(&[(up, name, header)]);
            let components: Vec<&[u8]> = path.as_bytes().split(|&byte| byte == b'/').collect();
            let found = zarr::described(&components, &siblings).or_else(|| pair::described(components[components.len() - 1], &siblings));
            found.map(|described| described.dissect(&&[0; 64][..]))
        };
        assert!(look(&header).is_some(), "{path}");
        for at in 0..header.len() {
            look(&header[..at]);
            for value in [0, 1, b'-', b'9', b'[', 0x7f, 0xff] {
                let mut changed = header.clone();
                changed[at] = value;
                look(&changed);
            }
        }
    }
}
