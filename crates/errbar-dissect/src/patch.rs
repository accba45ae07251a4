//! Where a file says how many bytes a chunk takes, so that a chunk made anew may be shorter.

use std::collections::HashMap;
use std::ops::Range;

use crate::{Place, ReadAt};

/// A number of a file that is the length of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeField {
    /// Its first byte in the file.
    pub offset: u64,
    /// Its bytes, 1 to 8.
    pub width: u8,
    /// Whether it is big-endian.
    pub big_endian: bool,
    /// The checksum that covers it, if one does.
    pub checksum: Option<Checksum>,
}

/// Bytes of a file that are followed by their [`lookup3`] checksum, four bytes little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Checksum {
    /// The first byte.
    pub start: u64,
    /// Bytes, without the checksum's own.
    pub length: u64,
}

impl SizeField {
    /// The bytes of the field for this length.
    pub fn bytes(&self, len: u64) -> Vec<u8> {
        let width = usize::from(self.width).min(8);
        if self.big_endian { len.to_be_bytes()[8 - width..].to_vec() } else { len.to_le_bytes()[..width].to_vec() }
    }

    fn span(&self) -> Option<Range<u64>> {
        Some(self.offset..self.offset.checked_add(self.width.into())?)
    }

    /// Whether it lies in the bytes that its checksum covers.
    fn is_covered(&self) -> bool {
        let (Some(field), Some(sum)) = (self.span(), self.checksum) else { return self.checksum.is_none() };
        let covered = sum.start..sum.start.saturating_add(sum.length);
        (1..=8).contains(&self.width) && covered.start <= field.start && field.end <= covered.end
    }
}

impl Checksum {
    /// The checksum of the bytes as `file` has them, and the one that stands behind them.
    ///
    /// # Errors
    /// As reading the file.
    pub fn of(&self, file: &dyn ReadAt) -> std::io::Result<(u32, u32)> {
        let end = self.start.saturating_add(self.length);
        if end.checked_add(4).is_none_or(|end| end > file.size()) {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let (mut bytes, mut stored) = (vec![0; self.length as usize], [0; 4]);
        file.read_at(&mut bytes, self.start)?;
        file.read_at(&mut stored, end)?;
        Ok((lookup3(&bytes), u32::from_le_bytes(stored)))
    }

    fn span(&self) -> Option<Range<u64>> {
        Some(self.start..self.start.checked_add(self.length)?.checked_add(4)?)
    }
}

/// Whether lengths of chunks can be changed without a change to anything else: the numbers, what their
/// checksums cover, and all places lie apart from one another and within `size` bytes.
pub(crate) fn are_apart(sizes: &HashMap<u64, SizeField>, places: &[Place], size: u64) -> bool {
    let mut sums: Vec<Checksum> = sizes.values().filter_map(|field| field.checksum).collect();
    sums.sort_unstable();
    sums.dedup();
    let alone = sizes.values().filter(|field| field.checksum.is_none()).map(SizeField::span);
    let structures = sums.iter().map(Checksum::span).chain(alone);
    let places = places.iter().map(|place| Some(place.offset..place.offset.checked_add(place.length)?));
    sizes.values().all(SizeField::is_covered)
        && lie_apart(structures.chain(places).collect(), size)
        && lie_apart(sizes.values().map(SizeField::span).collect(), size)
}

fn lie_apart(spans: Vec<Option<Range<u64>>>, size: u64) -> bool {
    let Some(mut spans) = spans.into_iter().collect::<Option<Vec<_>>>() else { return false };
    spans.sort_unstable_by_key(|span| (span.start, span.end));
    spans.windows(2).all(|pair| pair[0].end <= pair[1].start) && spans.last().is_none_or(|last| last.end <= size)
}

/// The checksum of HDF5's newer structures: the hash lookup3 of Bob Jenkins (2006), byte by byte in
/// little-endian words, with a start value of 0.
pub fn lookup3(bytes: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(bytes.len() as u32);
    let mut state = [start; 3];
    // The last words, whole or not, are mixed in another way, so that they are kept back.
    let kept = match bytes.len() {
        0 => return start,
        len => (len - 1) / 12 * 12,
    };
    let (whole, rest) = bytes.split_at(kept);
    whole.as_chunks::<12>().0.iter().for_each(|chunk| {
        add(&mut state, chunk);
        mix(&mut state);
    });
    let mut last = [0; 12];
    last[..rest.len()].copy_from_slice(rest);
    add(&mut state, &last);
    finish(state)
}

fn add(state: &mut [u32; 3], chunk: &[u8; 12]) {
    for (word, bytes) in state.iter_mut().zip(chunk.as_chunks::<4>().0) {
        *word = word.wrapping_add(u32::from_le_bytes(*bytes));
    }
}

/// Six rounds of the same form; the words take turns.
fn mix(state: &mut [u32; 3]) {
    let [mut a, mut b, mut c] = *state;
    for turn in [4, 6, 8, 16, 19, 4] {
        a = a.wrapping_sub(c) ^ c.rotate_left(turn);
        c = c.wrapping_add(b);
        (a, b, c) = (b, c, a);
    }
    *state = [a, b, c];
}

/// Seven rounds, likewise.
fn finish([mut a, mut b, mut c]: [u32; 3]) -> u32 {
    for turn in [14, 11, 25, 16, 4, 14, 24] {
        c = (c ^ b).wrapping_sub(b.rotate_left(turn));
        (a, b, c) = (b, c, a);
    }
    // What the last round made is the word before the next in turn.
    b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Holds;

    /// Values that its author gives for a start value of 0.
    #[test]
    fn the_hash_is_that_of_its_author() {
        assert_eq!(lookup3(b""), 0xdead_beef);
        assert_eq!(lookup3(b"Four score and seven years ago"), 0x1777_0551);
    }

    #[test]
    fn fields_that_share_bytes_with_anything_are_refused() {
        let place = |offset, length| Place { offset, length, holds: Holds::Chunk { array: 0, index: 0, skipped: 0 } };
        let field = |offset, sum: Option<(u64, u64)>| SizeField {
            offset,
            width: 4,
            big_endian: false,
            checksum: sum.map(|(start, length)| Checksum { start, length }),
        };
        let apart = |fields: &[SizeField], size| {
            let sizes = fields.iter().enumerate().map(|(i, field)| (i as u64, *field)).collect();
            are_apart(&sizes, &[place(100, 50)], size)
        };
        assert!(apart(&[field(0, None), field(4, None), field(20, Some((16, 20))), field(24, Some((16, 20)))], 150));
        assert!(!apart(&[field(0, None), field(3, None)], 150), "one another");
        assert!(!apart(&[field(98, None)], 150), "a place");
        assert!(!apart(&[field(20, Some((16, 7)))], 150), "not what its checksum covers");
        assert!(!apart(&[field(80, Some((76, 24)))], 150), "the checksum is in a place");
        assert!(!apart(&[field(20, Some((16, 20))), field(30, Some((18, 20)))], 150), "two checksums");
        assert!(!apart(&[field(20, Some((16, 20))), field(32, None)], 150), "another's checksum");
        assert!(!apart(&[field(160, None)], 163) && !apart(&[field(u64::MAX, None)], 150), "past the end");
    }
}
