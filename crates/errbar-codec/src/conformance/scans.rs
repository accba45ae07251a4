//! Codes whose order and absent words are known, as quantizers announce them.

use std::sync::Arc;

use super::cases::{SplitMix64, words};
use crate::Codes;
use crate::codes::Scan;
use crate::polyphase::{Extents, levels};

/// Grids, and the dimensions that no level halves: even and odd extents, rows of one word, bands
/// of every number, classes with and without words of their own.
const GRIDS: &[(Extents, u8)] = &[
    ([1, 1, 1, 1], 0),
    ([1, 1, 1, 37], 0),
    ([1, 1, 5, 7], 0),
    ([1, 1, 0, 4], 0),
    ([2, 3, 2, 3], 0),
    ([1, 3, 4, 3], 8),
    ([1, 1, 70, 41], 0),
    ([1, 30, 9, 12], 2),
    ([26, 3, 5, 4], 0),
    ([5, 6, 26, 8], 3),
];

/// Dimensions whose words stand in C order.
const PLAIN: &[&[usize]] = &[&[], &[0], &[13], &[3, 0, 2], &[4, 9], &[300], &[50, 40], &[2, 3, 1, 2, 1, 3, 2, 2]];

/// Which words are absent, by their position.
type Absence = (&'static str, Option<fn(u64) -> bool>);

const ABSENCES: &[Absence] = &[
    ("nothing absent", None),
    ("one in five absent", Some(|i| i % 5 == 3)),
    ("runs absent", Some(|i| i % 150 < 60)),
    ("noise absent", Some(|i| SplitMix64(i).next().is_some_and(|random| random & 1 == 1))),
    ("everything absent", Some(|_| true)),
];

/// Small, as residuals are, but for one in 83.
fn residual(i: u64) -> u64 {
    let random = SplitMix64(!i).next().unwrap_or(0);
    if random % 83 == 7 { random >> 20 } else { (random >> 32) % (1 + i / 8 % 20) }
}

fn codes(width: usize, dims: &[usize], levels: &[u8], absence: Option<fn(u64) -> bool>) -> Codes {
    let n = dims.iter().product::<usize>() as u64;
    let is_absent = |i: u64| absence.is_some_and(|absence| absence(i));
    let words = words(width, (0..n).map(|i| if is_absent(i) { 0 } else { residual(i) }));
    let absent: Option<Arc<[bool]>> = absence.map(|absence| (0..n).map(absence).collect());
    Codes { dims: dims.to_vec(), scan: Scan { levels: levels.to_vec(), absent, ..Scan::default() }, words }
}

/// Codes of every width with the scans that quantizers announce, each with a name. Words that are
/// absent are zero.
pub(super) fn scanned() -> impl Iterator<Item = (String, Codes)> {
    let grids = GRIDS.iter().map(|&(n, whole)| (n.to_vec(), levels(n, whole)));
    let plain = PLAIN.iter().map(|dims| (dims.to_vec(), Vec::new()));
    grids.chain(plain).flat_map(|(dims, levels)| {
        [1, 2, 4, 8].into_iter().flat_map(move |width| {
            let (dims, levels) = (dims.clone(), levels.clone());
            ABSENCES.iter().map(move |&(name, absence)| {
                (format!("{dims:?} words of {width} bytes in levels {levels:?}, {name}"), codes(width, &dims, &levels, absence))
            })
        })
    })
}
