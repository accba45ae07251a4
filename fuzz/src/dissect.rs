//! Any file, as every format: what is found lies in it.

use errbar_dissect::{Dissector, Layout, Raw, Siblings, described, dissect as with, dissectors};
use errbar_format::DType;

use super::input::Input;

fn check(layout: &Layout, size: u64) {
    let mut end = 0;
    for place in &layout.places {
        assert!(place.offset >= end, "places overlap");
        end = place.offset + place.length;
    }
    assert!(end <= size, "a place reaches past the file");
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

/// Takes the file apart: as what it says it is, and as what a policy might declare. Dissectors are
/// also called bare: a layout that does not fit is dropped, but a panic is a fault even if contained.
pub fn dissect(data: &[u8]) {
    let mut input = Input(data);
    let raw = Raw {
        dtype: input.pick(DType::ALL),
        big_endian: false,
        shape: (0..input.byte() % 10).map(|_| if input.byte() < 250 { u64::from(input.byte()) } else { input.u64() }).collect(),
        offset: if input.byte() < 250 { u64::from(input.byte()) } else { input.u64() },
    };
    // What the file says of another one, and of itself.
    for name in DESCRIBED {
        if let Some(described) = described(name, &Header(data)) {
            check(&with(&data, &[&described]).0, data.len() as u64);
        }
    }
    // The same bytes are a whole file, and the file behind the declaration.
    for file in [data, input.0] {
        for all in [dissectors(), &[&raw as &dyn Dissector]] {
            check(&with(&file, all).0, file.len() as u64);
            for dissector in all {
                let _ = dissector.dissect(&file);
            }
        }
    }
}
