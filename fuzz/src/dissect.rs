//! Any file, as every format: the pieces cover it.

use errbar_dissect::{Dissector, Piece, Raw, dissect as with, dissectors};
use errbar_format::DType;

use super::input::Input;

fn covered(pieces: &[Piece]) -> Option<u64> {
    pieces.iter().try_fold(0u64, |sum, piece| match piece {
        Piece::Bytes(n) => sum.checked_add(*n),
        Piece::Array(array) => sum.checked_add(array.bytes()?),
    })
}

/// Takes the file apart: as what it says it is, and as what a policy might declare. Dissectors are
/// also called bare: pieces that do not add up are dropped, but a panic is a fault even if contained.
pub fn dissect(data: &[u8]) {
    let mut input = Input(data);
    let raw = Raw {
        dtype: input.pick(DType::ALL),
        big_endian: false,
        shape: (0..input.byte() % 10).map(|_| if input.byte() < 250 { u64::from(input.byte()) } else { input.u64() }).collect(),
        offset: if input.byte() < 250 { u64::from(input.byte()) } else { input.u64() },
    };
    // The same bytes are a whole file, and the file behind the declaration.
    for file in [data, input.0] {
        let size = file.len() as u64;
        for all in [dissectors(), &[&raw as &dyn Dissector]] {
            assert_eq!(covered(&with(&file, all).0), Some(size));
            for dissector in all {
                let _ = dissector.dissect(&file);
            }
        }
    }
}
