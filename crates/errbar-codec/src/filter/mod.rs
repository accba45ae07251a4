//! What file formats do to the bytes of a chunk before they store it: undone when a file is packed,
//! so that its numbers can be coded as numbers, and done again when it is unpacked. Nothing is lost,
//! and what cannot be made again bit by bit is not undone. See `spec/filters.md`.

use errbar_format::record::Filter;
use errbar_format::{Error, Result};

mod bits;
mod difference;
mod fletcher32;
mod float_difference;
mod libdeflate;
mod lzw;
mod shuffle;
mod zlib;

/// Whether a chunk whose mask is `skipped` is not put through the filter at `at`.
fn is_skipped(skipped: u32, at: usize) -> bool {
    skipped >> at & 1 == 1
}

/// Puts the bytes of a chunk through `filters`, but for those whose bit is set in `skipped`.
///
/// # Errors
/// [`errbar_format::Kind::Limit`] where memory for a stream cannot be had.
///
/// ```
/// use errbar_codec::filter;
/// use errbar_format::record::Filter;
/// let filters = [Filter::Shuffle { item: 2 }, Filter::Fletcher32];
/// let stored = filter::apply(&filters, 0, vec![1, 0, 2, 0])?;
/// assert_eq!(stored, [1, 2, 0, 0, 2, 1, 4, 2]);
/// assert_eq!(filter::undo(&filters, 0, stored, 4)?, [1, 0, 2, 0]);
/// # Ok::<(), errbar_codec::Error>(())
/// ```
pub fn apply(filters: &[Filter], skipped: u32, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    for (_, filter) in filters.iter().enumerate().filter(|(at, _)| !is_skipped(skipped, *at)) {
        match filter {
            Filter::Shuffle { item } => bytes = shuffle::split(&bytes, *item as usize),
            Filter::Deflate { level, mem_level } => bytes = zlib::deflate(&bytes, *level, *mem_level)?,
            Filter::Fletcher32 => bytes.extend(fletcher32::checksum(&bytes).to_le_bytes()),
            Filter::Difference(raster) => difference::apply(&mut bytes, raster),
            Filter::FloatDifference(raster) => float_difference::apply(&mut bytes, raster),
            Filter::Libdeflate { level } => bytes = libdeflate::deflate(&bytes, *level)?,
            Filter::Lzw { full, gap } => bytes = lzw::encode(&bytes, *full, *gap),
            Filter::Bits { width } => bytes = bits::pack(&bytes, *width),
        }
    }
    Ok(bytes)
}

/// Undoes [`apply`], whose filters make at most one stream: the `len` bytes of a chunk from what is stored of it.
///
/// # Errors
/// [`errbar_format::Kind::Corrupt`] if the bytes are not what the filters make of so many.
pub fn undo(filters: &[Filter], skipped: u32, mut bytes: Vec<u8>, len: usize) -> Result<Vec<u8>> {
    for (at, filter) in filters.iter().enumerate().rev().filter(|(at, _)| !is_skipped(skipped, *at)) {
        match filter {
            Filter::Shuffle { item } => bytes = shuffle::join(&bytes, *item as usize),
            Filter::Difference(raster) => difference::undo(&mut bytes, raster),
            Filter::FloatDifference(raster) => float_difference::undo(&mut bytes, raster),
            Filter::Deflate { .. } | Filter::Libdeflate { .. } => bytes = zlib::inflate(&bytes, made_len(&filters[..at], skipped, len)?)?,
            Filter::Lzw { .. } => bytes = lzw::decode(&bytes, made_len(&filters[..at], skipped, len)?)?,
            Filter::Bits { width } => bytes = bits::unpack(&bytes, *width, made_len(&filters[..at], skipped, len)?)?,
            Filter::Fletcher32 => {
                let sum = bytes.split_off(bytes.len().saturating_sub(4));
                if sum != fletcher32::checksum(&bytes).to_le_bytes() {
                    return Err(not_made("its checksum is another"));
                }
            }
        }
    }
    match bytes.len() == len {
        true => Ok(bytes),
        false => Err(not_made("it has another length")),
    }
}

/// The bytes that `len` bytes of a chunk become.
///
/// # Errors
/// [`errbar_format::Kind::Unsupported`] behind a stream, whose length nothing tells.
fn made_len(filters: &[Filter], skipped: u32, len: usize) -> Result<usize> {
    let mut used = filters.iter().enumerate().filter(|(at, _)| !is_skipped(skipped, *at));
    used.try_fold(len, |len, (_, filter)| match *filter {
        Filter::Shuffle { .. } | Filter::Difference(_) | Filter::FloatDifference(_) => Ok(len),
        Filter::Fletcher32 => Ok(len + 4),
        Filter::Bits { width } => Ok(bits::packed_len(len, width)),
        Filter::Deflate { .. } | Filter::Libdeflate { .. } | Filter::Lzw { .. } => {
            Err(Error::new(errbar_format::Kind::Unsupported, "a stream has no length of its own to go by"))
        }
    })
}

fn not_made(what: &str) -> Error {
    Error::new(errbar_format::Kind::Corrupt, format!("a chunk is not what its filters make: {what}"))
}

#[cfg(test)]
mod tests {
    use errbar_format::record::Raster;
    use proptest::prelude::*;

    use super::*;

    fn raster() -> impl Strategy<Value = Raster> {
        let items = prop::sample::select(vec![1u8, 2, 4, 8]);
        (items, any::<bool>(), 1u16..5, 1u32..50).prop_map(|(item, big_endian, samples, row)| Raster { item, big_endian, samples, row })
    }

    fn filter() -> impl Strategy<Value = Filter> {
        prop_oneof![
            (1u32..20).prop_map(|item| Filter::Shuffle { item }),
            (0u8..10, 1u8..10).prop_map(|(level, mem_level)| Filter::Deflate { level, mem_level }),
            Just(Filter::Fletcher32),
            raster().prop_map(Filter::Difference),
            raster().prop_map(Filter::FloatDifference),
            (1u8..13).prop_map(|level| Filter::Libdeflate { level }),
            (259u16..4097, 0u16..100).prop_map(|(full, gap)| Filter::Lzw { full, gap }),
            (1u8..33).prop_map(|width| Filter::Bits { width }),
        ]
    }

    fn drops_bits(filter: &Filter) -> bool {
        matches!(filter, Filter::Bits { .. })
    }

    /// Filters as records may name them: at most one makes a stream. At most one drops bits, too: what a second one
    /// drops is part of what the first is to be undone from.
    fn filters() -> impl Strategy<Value = Vec<Filter>> {
        let any = prop::collection::vec(filter(), 0..5);
        let any = any.prop_filter("one stream", |filters| filters.iter().filter(|filter| filter.is_stream()).count() < 2);
        any.prop_filter("one that drops bits", |filters| filters.iter().filter(|filter| drops_bits(filter)).count() < 2)
    }

    proptest! {
        #[test]
        fn what_is_made_is_undone(filters in filters(), skipped: u32, bytes: Vec<u8>) {
            let stored = apply(&filters, skipped, bytes.clone()).expect("memory");
            let undone = undo(&filters, skipped, stored.clone(), bytes.len());
            if filters.iter().any(drops_bits) {
                let again = undone.ok().map(|plain| apply(&filters, skipped, plain).expect("memory"));
                prop_assert!(again.is_none_or(|again| again == stored));
            } else {
                prop_assert_eq!(undone.expect("just made"), bytes);
            }
        }

        #[test]
        fn anything_is_undone_or_refused(filters in filters(), bytes: Vec<u8>, len in 0usize..300) {
            if let Ok(plain) = undo(&filters, 0, bytes, len) {
                prop_assert_eq!(plain.len(), len);
            }
        }
    }
}
