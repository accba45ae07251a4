use errbar_format::record::{Filter, Raster};

use super::*;
use crate::{Holds, dissect};

/// A field: tag, type, values.
type Field = (u16, u16, Vec<u64>);

struct Writer {
    big: bool,
    wide: bool,
}

const PLAIN: Writer = Writer { big: false, wide: false };

impl Writer {
    fn int(&self, n: u64, size: usize) -> Vec<u8> {
        if self.big { n.to_be_bytes()[8 - size..].to_vec() } else { n.to_le_bytes()[..size].to_vec() }
    }

    fn word(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    /// A file of 64 bytes of head and data, and directories of fields, each behind the values of its own.
    fn file(&self, directories: &[Vec<Field>]) -> Vec<u8> {
        let mut file = [if self.big { b"MM" } else { b"II" }, &self.int(if self.wide { 43 } else { 42 }, 2)[..]].concat();
        if self.wide {
            file.extend([self.int(8, 2), self.int(0, 2)].concat());
        }
        let mut link = file.len();
        file.resize(64, 5);
        for fields in directories {
            let mut body = Vec::new();
            for (tag, kind, values) in fields {
                let mut bytes: Vec<u8> = values.iter().flat_map(|value| self.int(*value, size_of(*kind) as usize)).collect();
                if bytes.len() > self.word() {
                    let at = file.len() as u64;
                    file.extend(bytes);
                    bytes = self.int(at, self.word());
                }
                bytes.resize(self.word(), 0);
                body.extend(
                    [self.int((*tag).into(), 2), self.int((*kind).into(), 2), self.int(values.len() as u64, self.word()), bytes].concat(),
                );
            }
            let at = self.int(file.len() as u64, self.word());
            file[link..link + at.len()].copy_from_slice(&at);
            file.extend(self.int(fields.len() as u64, if self.wide { 8 } else { 2 }));
            file.extend(body);
            link = file.len();
            file.extend(self.int(0, self.word()));
        }
        file
    }
}

/// A grey image of 3 x 4 samples of 16 bits in one strip at 24, with these fields changed or added.
fn image(changes: &[Field]) -> Vec<Field> {
    let mut fields: Vec<Field> = vec![
        (tag::WIDTH, 3, vec![4]),
        (tag::LENGTH, 3, vec![3]),
        (tag::BITS, 3, vec![16]),
        (tag::COMPRESSION, 3, vec![1]),
        (tag::PHOTOMETRIC, 3, vec![1]),
        (tag::STRIP_OFFSETS, 4, vec![24]),
        (tag::STRIP_BYTES, 4, vec![24]),
    ];
    for change in changes {
        fields.retain(|(tag, ..)| *tag != change.0);
        fields.push(change.clone());
    }
    fields
}

fn layout(directories: &[Vec<Field>]) -> Layout {
    dissect(&&PLAIN.file(directories)[..], &[&Tiff]).0
}

fn one(changes: &[Field]) -> Option<Array> {
    let mut found = layout(&[image(changes)]).arrays;
    assert!(found.len() < 2);
    found.pop()
}

#[test]
fn both_byte_orders_and_sizes_of_offsets_are_read() {
    for (big, wide) in [(false, false), (true, false), (false, true), (true, true)] {
        let file = Writer { big, wide }.file(&[image(&[])]);
        let (layout, by) = dissect(&&file[..], &[&Tiff]);
        let [array] = &layout.arrays[..] else { panic!("one image") };
        assert_eq!(
            (by, &array.name[..], array.dtype, array.big_endian, &array.shape[..]),
            (Some("tiff"), "", DType::U16, big, &[3, 4][..])
        );
        assert_eq!((layout.places[0].offset, layout.places[0].length), (24, 24));
    }
}

#[test]
fn samples_of_whole_bytes_have_their_type() {
    for (format, bits, dtype) in [(1, 8, DType::U8), (2, 8, DType::I8), (3, 16, DType::F16), (6, 64, DType::C64), (4, 32, DType::U32)] {
        let fields = [(tag::SAMPLE_FORMAT, 3, vec![format]), (tag::BITS, 3, vec![bits]), (tag::WIDTH, 3, vec![1])];
        assert_eq!(one(&fields).expect("found").dtype, dtype);
    }
    for (format, bits) in [(1, 1), (1, 12), (3, 24), (5, 32), (3, 8)] {
        assert_eq!(one(&[(tag::SAMPLE_FORMAT, 3, vec![format]), (tag::BITS, 3, vec![bits])]), None);
    }
    assert_eq!(one(&[(tag::SAMPLES, 3, vec![2]), (tag::BITS, 3, vec![8, 16])]), None, "samples differ");
}

#[test]
fn strips_that_follow_are_one_array() {
    let strips = |offsets: Vec<u64>, bytes| {
        let n = offsets.len();
        layout(&[image(&[(tag::ROWS_PER_STRIP, 3, vec![2]), (tag::STRIP_OFFSETS, 4, offsets), (tag::STRIP_BYTES, 4, vec![bytes; n])])])
    };
    let places = |layout: &Layout| layout.places.iter().map(|place| (place.offset, place.length)).collect::<Vec<_>>();
    assert_eq!(places(&strips(vec![24, 40], 16)), [(24, 24)]);
    // The last strip is short.
    let apart = strips(vec![44, 20], 16);
    assert_eq!(places(&apart), [(20, 8), (44, 16)]);
    let chunks = apart.arrays[0].chunks.as_ref().expect("strips stand apart");
    assert_eq!((&chunks.shape[..], &chunks.padding[..]), (&[2, 4][..], &[][..]));
    let holds: Vec<_> = apart.places.iter().map(|place| place.holds.clone()).collect();
    assert_eq!(holds, [1, 0].map(|index| Holds::Chunk { array: 0, index, skipped: 0 }));
    for (offsets, bytes) in
        [(vec![24, 40], 15), (vec![24], 24), (vec![24, 40, 56], 16), (vec![24, 30], 16), (vec![24, u64::from(u32::MAX)], 16)]
    {
        assert_eq!(strips(offsets, bytes).arrays.len(), 0);
    }
}

#[test]
fn samples_are_the_last_dimension_or_planes() {
    let bits = (tag::BITS, 3, vec![8, 8]);
    let chunky = one(&[bits.clone(), (tag::SAMPLES, 3, vec![2])]).expect("chunky");
    assert_eq!(chunky.shape, [3, 4, 2]);
    let planar = |offsets| {
        let strips = (tag::STRIP_OFFSETS, 4, offsets);
        layout(&[image(&[
            bits.clone(),
            (tag::SAMPLES, 3, vec![2]),
            (tag::PLANAR, 3, vec![2]),
            strips,
            (tag::STRIP_BYTES, 4, vec![12, 12]),
        ])])
    };
    let (follow, apart) = (planar(vec![24, 36]), planar(vec![24, 40]));
    assert_eq!((&follow.arrays[0].shape[..], follow.places.len()), (&[2, 3, 4][..], 1));
    assert_eq!(apart.arrays[0].chunks.as_ref().map(|chunks| &chunks.shape[..]), Some(&[1, 3, 4][..]));
}

#[test]
fn tiles_are_chunks_and_may_be_missing() {
    let tiles = |offsets: Vec<u64>, bytes: Vec<u64>, more: &[Field]| {
        let tiles = [
            (tag::BITS, 3, vec![8]),
            (tag::TILE_WIDTH, 3, vec![3]),
            (tag::TILE_LENGTH, 3, vec![2]),
            (tag::TILE_OFFSETS, 4, offsets),
            (tag::TILE_BYTES, 4, bytes),
        ];
        layout(&[image(&[&tiles, more].concat())])
    };
    let all = tiles(vec![20, 30, 40, 50], vec![6; 4], &[]);
    assert_eq!((all.places.len(), &all.arrays[0].shape[..]), (4, &[3, 4][..]));
    assert_eq!(all.arrays[0].chunks.as_ref().map(|chunks| &chunks.shape[..]), Some(&[2, 3][..]));
    let sparse = |more: &[Field]| tiles(vec![20, 0, 40, 50], vec![6, 0, 6, 6], more);
    assert_eq!(sparse(&[]).places.len(), 3);
    assert_eq!(sparse(&[(tag::GDAL_NODATA, 2, vec![57, 0])]).arrays.len(), 0, "the missing value is not zero");
    assert_eq!(tiles(vec![20, 30, 40], vec![6; 3], &[]).arrays.len(), 0);
    assert_eq!(tiles(vec![20, 23, 40, 50], vec![6; 4], &[]).arrays.len(), 0, "tiles overlap");
}

#[test]
fn packed_and_odd_images_are_bytes() {
    for (tag, value) in [
        (tag::COMPRESSION, 7),
        (tag::FILL_ORDER, 2),
        (tag::DEPTH, 2),
        (tag::PHOTOMETRIC, 6),
        (tag::WIDTH, 0),
        (tag::LENGTH, 0),
        (tag::SAMPLES, 0),
        (tag::ROWS_PER_STRIP, 0),
        (tag::TILE_WIDTH, 0),
        (tag::WIDTH, 60000),
    ] {
        assert_eq!(one(&[(tag, 3, vec![value])]), None, "{tag} {value}");
    }
    assert_eq!(one(&[(tag::WIDTH, 11, vec![4])]), None, "a width that is no integer");
}

#[test]
fn compressed_strips_are_chunks_with_filters() {
    let compressed = |more: &[Field]| {
        let strips = [(tag::COMPRESSION, 3, vec![8]), (tag::STRIP_OFFSETS, 4, vec![20, 40]), (tag::STRIP_BYTES, 3, vec![9, 11])];
        layout(&[image(&[&strips[..], &[(tag::ROWS_PER_STRIP, 3, vec![2])], more].concat())])
    };
    let stream = Filter::Deflate { level: 6, mem_level: 8 };
    let raster = |item| Raster { item, big_endian: false, samples: 1, row: 4 * u32::from(item) };
    let float = [(tag::SAMPLE_FORMAT, 3, vec![3]), (tag::BITS, 3, vec![32])];
    for (more, filters) in [
        (vec![], vec![stream]),
        (vec![(tag::PREDICTOR, 3, vec![2])], vec![Filter::Difference(raster(2)), stream]),
        (vec![(tag::COMPRESSION, 3, vec![5])], vec![Filter::Lzw { full: 4094, gap: 10_000 }]),
        ([&float[..], &[(tag::PREDICTOR, 3, vec![3])]].concat(), vec![Filter::FloatDifference(raster(4)), stream]),
    ] {
        let found = compressed(&more);
        let chunks = found.arrays[0].chunks.as_ref().expect("chunks");
        assert_eq!((&chunks.shape[..], &chunks.filters[..], &chunks.padding[..]), (&[2, 4][..], &filters[..], &[][..]));
        let lengths: Vec<_> = found.places.iter().map(|place| (place.offset, place.length)).collect();
        assert_eq!(lengths, [(20, 9), (40, 11)]);
        // Two numbers of two bytes, in the directory itself.
        let fields = [20, 40].map(|offset| found.sizes[&offset]);
        assert_eq!((fields[1].offset - fields[0].offset, fields[0].width), (2, 2));
    }
    for more in [
        vec![(tag::PREDICTOR, 3, vec![3])],
        vec![(tag::PREDICTOR, 3, vec![4])],
        vec![(tag::COMPRESSION, 3, vec![7])],
        vec![(tag::STRIP_BYTES, 3, vec![9, 0])],
        vec![(tag::ROWS_PER_STRIP, 4, vec![1 << 25]), (tag::WIDTH, 4, vec![1 << 25])],
    ] {
        assert_eq!(compressed(&more).arrays.len(), 0, "{more:?}");
    }
}

#[test]
fn what_gdal_puts_around_tiles_seals_them() {
    let mut file = PLAIN.file(&[image(&[(tag::STRIP_OFFSETS, 4, vec![40])])]);
    assert!(!dissect(&&file[..], &[&Tiff]).0.arrays[0].sealed);
    file[8..8 + GHOST.len()].copy_from_slice(GHOST);
    assert!(dissect(&&file[..], &[&Tiff]).0.arrays[0].sealed);
}

#[test]
fn images_are_named_by_their_number() {
    let at = |offset| (tag::STRIP_OFFSETS, 4, vec![offset]);
    let small = [(tag::BITS, 3, vec![8]), (tag::STRIP_BYTES, 4, vec![12])];
    let directory = |offset, more: &[Field]| image(&[&small[..], &[at(offset)], more].concat());
    let found =
        layout(&[directory(10, &[]), directory(22, &[(tag::COMPRESSION, 3, vec![7])]), directory(34, &[(tag::SUBFILE_TYPE, 4, vec![4])])]);
    let names: Vec<_> = found.arrays.iter().map(|array| (&array.name[..], array.auxiliary)).collect();
    assert_eq!(names, [("0", false), ("2", true)]);
    // A directory below another: the first file's only one, behind its own header.
    let inner = PLAIN.file(&[directory(10, &[])]);
    let at = u64::from(u32::from_le_bytes(*inner[4..].first_chunk().expect("offset")));
    let mut file = PLAIN.file(&[directory(10, &[]), directory(22, &[(tag::SUB_IFDS, 13, vec![at])])]);
    let by = dissect(&&file[..], &[&Tiff]).1;
    assert_eq!(by, None, "one directory is met twice");
    file.truncate(40);
    assert_eq!(dissect(&&file[..], &[&Tiff]).1, None);
}

#[test]
fn a_loop_of_directories_ends() {
    let mut file = PLAIN.file(&[image(&[]), image(&[(tag::COMPRESSION, 3, vec![7])])]);
    let len = file.len();
    let first = file[4..8].to_vec();
    file[len - 4..].copy_from_slice(&first);
    assert_eq!(dissect(&&file[..], &[&Tiff]), (Layout::default(), None));
}

#[test]
fn a_file_cut_anywhere_does_no_harm() {
    for wide in [false, true] {
        let file = Writer { big: true, wide }.file(&[image(&[
            (tag::ROWS_PER_STRIP, 3, vec![2]),
            (tag::STRIP_OFFSETS, 4, vec![24, 40]),
            (tag::STRIP_BYTES, 4, vec![16, 8]),
        ])]);
        assert_eq!(dissect(&&file[..], &[&Tiff]).0.arrays.len(), 1);
        for len in 0..file.len() {
            assert_eq!(dissect(&&file[..len], &[&Tiff]).0.arrays.len(), 0, "{len}");
        }
    }
}
