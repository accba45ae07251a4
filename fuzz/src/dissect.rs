//! Any file, as every format: what is found lies in it.

use errbar_codec::filter;
use errbar_codec::scanlines::Scanlines;
use errbar_codec::stream::Stream;
use errbar_dissect::{
    Base64, Dissector, Holds, Inside, Joined, Layout, Place, Raw, ReadAt, Siblings, Wrapper, described, dissect as with, dissectors,
};
use errbar_format::DType;
use errbar_format::record::Maker;

use super::input::Input;

fn check(layout: &Layout, file: &[u8]) {
    let size = file.len() as u64;
    let mut end = 0;
    for place in &layout.places {
        assert!(place.offset >= end, "places overlap");
        end = place.offset + place.length;
    }
    assert!(end <= size, "a place reaches past the file");
    for place in &layout.places {
        match &place.holds {
            Holds::Chunk { .. } => undo(layout, file, place),
            Holds::Stream(wrapper, inside) => look_inside(place, wrapper, inside, file),
            _ => {}
        }
    }
}

/// Reads the pieces of a stream, and takes the file for what it inflates to.
fn look_inside(place: &Place, wrapper: &Wrapper, inside: &Inside, file: &[u8]) {
    match wrapper {
        Wrapper::Raw | Wrapper::Gzip | Wrapper::Zlib { base64: false, .. } => {}
        Wrapper::Pieces { cuts, .. } => {
            let length = cuts.iter().fold(place.length, |length, (_, behind)| length - behind);
            let mut stream = vec![0; length as usize];
            Joined::new(&file, (place.offset, length), cuts).read_at(&mut stream, 0).expect("pieces lie in the file");
        }
        Wrapper::Zlib { .. } | Wrapper::Base64 => decode(place, file),
    }
    let inner = inside.dissect(&file);
    for place in &inner.places {
        let Holds::Scanlines(fields) = &place.holds else { continue };
        let image = &inner.arrays[fields.end - 1];
        let lines = &file[place.offset as usize..][..place.length as usize];
        let new = || Scanlines::of(&image.shape, image.dtype.size());
        let (types, pixels) = new().undo(lines).expect("scanlines that were looked at");
        assert_eq!(new().filter(&types, &pixels).expect("just undone"), lines);
    }
}

/// Reads what a text stands for: it stands for that alone.
fn decode(place: &Place, file: &[u8]) {
    let Ok(decoded) = Base64::new(&file, place.offset, place.length) else { return };
    let mut bytes = vec![0; decoded.size() as usize];
    if decoded.read_at(&mut bytes, 0).is_ok() {
        let (maker, mut text) = (Maker::Filters { piece: 1, filters: vec![], base64: true }, Vec::new());
        let mut stream = Stream::new(&maker).expect("no memory is needed");
        stream.write(&bytes, &mut text).and_then(|()| stream.finish(&mut text)).expect("no memory is needed");
        assert_eq!(text, file[place.offset as usize..][..place.length as usize], "another text for the same bytes");
    }
}

/// Bytes of a chunk that are worth the time.
const MOST: usize = 1 << 20;

/// Takes a chunk out of its filters: what is given back has the length that was asked for, and goes through
/// them again.
fn undo(layout: &Layout, file: &[u8], place: &Place) {
    let Holds::Chunk { array, skipped, .. } = place.holds else { return };
    let array = &layout.arrays[array];
    let Some(chunks) = &array.chunks else { return };
    let len = chunks.shape.iter().product::<u64>() as usize * array.dtype.size();
    if chunks.filters.is_empty() || len > MOST {
        return;
    }
    let stored = file[place.offset as usize..][..place.length as usize].to_vec();
    if let Ok(plain) = filter::undo(&chunks.filters, skipped, stored, len) {
        assert_eq!(plain.len(), len, "a chunk of another length");
        filter::apply(&chunks.filters, skipped, plain).expect("memory for a stream");
    }
}

/// One header under every name that is asked for.
struct Header<'a>(&'a [u8]);

impl Siblings for Header<'_> {
    fn read(&self, _: usize, _: &[u8]) -> Option<Vec<u8>> {
        Some(self.0.to_vec())
    }
}

/// Names of files that are looked at for a header beside them, of each format that has one.
const DESCRIBED: [&[u8]; 8] = [b"a.img", b"a.raw", b"a.zraw", b"a.raw.gz", b"t/0.1", b"t/0/1", b"t/c/0/1", b"t/c"];

/// The file as one format alone: what its dissector finds where it takes the file for its own, and else
/// what it makes of it when it is called all the same.
pub fn dissect_as(dissector: &dyn Dissector, file: &[u8]) {
    if dissector.probe(&file[..file.len().min(512)]) {
        check(&with(&file, &[dissector]).0, file);
    } else {
        let _ = dissector.dissect(&file);
    }
}

/// Takes the file apart: as what it says it is, as one format that its last byte picks, as what a policy
/// might declare, and as what it says of a file beside it.
pub fn dissect(data: &[u8]) {
    check(&with(&data, dissectors()).0, data);
    let pick = usize::from(*data.last().unwrap_or(&0));
    dissect_as(dissectors()[pick % dissectors().len()], data);
    let mut input = Input(data);
    let raw = Raw {
        dtype: input.pick(DType::ALL),
        big_endian: false,
        shape: (0..input.byte() % 10).map(|_| if input.byte() < 250 { u64::from(input.byte()) } else { input.u64() }).collect(),
        offset: if input.byte() < 250 { u64::from(input.byte()) } else { input.u64() },
    };
    dissect_as(&raw, input.0);
    if let Some(described) = described(DESCRIBED[pick % DESCRIBED.len()], &Header(data)) {
        check(&with(&data, &[&described]).0, data);
    }
}
