//! Finds numbers in bytes of no known format: where they are, of which type and byte order, and how
//! long their rows are. What it says is only a proposal, from samples: whoever codes the bytes
//! compares, and every byte comes back whatever the proposal.

mod cost;
mod form;
mod rows;

use errbar_format::{DType, zstd_frame};

use self::cost::Costs;
use self::form::{FORMS, Form};

/// Bytes that are judged together.
const CELL: usize = 4 << 10;
/// Bytes of numbers that are worth a block of their own.
const LEAST: usize = 4 * CELL;
/// What a change of form costs, in bits: the headers of a block, and what a coder learns anew.
const CHANGE: u64 = 8 * 1200;
/// Bytes by which an end of numbers may be moved.
const REACH: usize = 2 * CELL;
/// Bytes of the largest block of numbers.
pub(crate) const NUMBERS_BLOCK: usize = 4 << 20;

/// How bytes are numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) dtype: DType,
    pub(crate) big_endian: bool,
    /// Extents along the inner dimensions, the last one fastest.
    pub(crate) inner: Vec<usize>,
}

impl Numbers {
    /// Bytes of one index of the first dimension.
    fn row(&self) -> usize {
        self.dtype.size() * self.inner.iter().product::<usize>()
    }

    /// The shape of `len` bytes of whole rows.
    pub(crate) fn shape(&self, len: usize) -> Vec<u64> {
        let inner = self.inner.iter().map(|&extent| extent as u64);
        std::iter::once((len / self.row()) as u64).chain(inner).collect()
    }
}

/// A run of bytes of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) len: usize,
    pub(crate) numbers: Option<Numbers>,
}

/// Bytes, cut into parts that cover them. Numbers are cut into whole rows and blocks of at most
/// [`NUMBERS_BLOCK`] bytes.
pub(crate) fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut parts = Parts(Vec::new());
    let mut at = 0;
    for (range, form) in ranges(bytes) {
        parts.plain(range.start - at);
        parts.numbers(&bytes[range.clone()], form);
        at = range.end;
    }
    parts.plain(bytes.len() - at);
    if parts.0.len() > 2 && repeat_each_other(bytes, &parts.0) {
        return vec![Part { len: bytes.len(), numbers: None }];
    }
    parts.0
}

/// What all parts take together, as a share of what they take one by one, below which they repeat each
/// other too much to be parted.
const TOGETHER: f64 = 0.6;

/// Whether parts are much like one another, such as the frames of a trajectory in which little moves.
fn repeat_each_other(bytes: &[u8], parts: &[Part]) -> bool {
    let size = |bytes: &[u8]| zstd_frame::compress(bytes, 1).map_or(bytes.len(), |frame| frame.len());
    let mut at = 0;
    let one_by_one: usize = parts
        .iter()
        .map(|part| {
            at += part.len;
            size(&bytes[at - part.len..at])
        })
        .sum();
    (size(bytes) as f64) < TOGETHER * one_by_one as f64
}

struct Parts(Vec<Part>);

impl Parts {
    fn plain(&mut self, len: usize) {
        match self.0.last_mut() {
            _ if len == 0 => {}
            Some(Part { len: last, numbers: None }) => *last += len,
            _ => self.0.push(Part { len, numbers: None }),
        }
    }

    fn numbers(&mut self, bytes: &[u8], form: &'static Form) {
        let numbers = Numbers { dtype: form.dtype(bytes), big_endian: form.big_endian, inner: rows::inner(bytes, form) };
        let row = numbers.row();
        let whole = bytes.len() / row * row;
        let block = (NUMBERS_BLOCK / row).max(1) * row;
        let mut left = whole;
        while left > 0 {
            let len = left.min(block);
            self.0.push(Part { len, numbers: Some(numbers.clone()) });
            left -= len;
        }
        self.plain(bytes.len() - whole);
    }
}

/// The ranges of numbers, in order, and their forms.
fn ranges(bytes: &[u8]) -> Vec<(std::ops::Range<usize>, &'static Form)> {
    let n_cells = bytes.len() / CELL;
    if bytes.len() < LEAST || n_cells == 0 {
        return Vec::new();
    }
    let costs = Costs::new(bytes, n_cells);
    let path = best_path(&costs);
    let mut found: Vec<(std::ops::Range<usize>, &'static Form)> = Vec::new();
    let mut start = 0;
    for run in path.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        let limit = if end == n_cells { bytes.len() } else { end * CELL };
        let range = start * CELL..limit;
        if let Some(form) = FORMS.get(usize::from(run[0])) {
            let bits = |state| (start..end).map(|cell| costs.of(cell, state)).sum();
            if !cost::repeats(&bytes[range.clone()], bits(run[0].into()), bits(cost::PLAIN)) {
                found.push((range, form));
            }
        }
        start = end;
    }
    settle(bytes, &mut found);
    found
}

/// Moves the ends of ranges to where numbers begin and end, and drops what is too short.
fn settle(bytes: &[u8], found: &mut Vec<(std::ops::Range<usize>, &'static Form)>) {
    for i in 0..found.len() {
        let before = if i == 0 { 0 } else { found[i - 1].0.end };
        let after = found.get(i + 1).map_or(bytes.len(), |next| next.0.start);
        let (range, form) = &mut found[i];
        let low = range.start.saturating_sub(REACH).max(before);
        let high = (range.start + REACH).min(range.end);
        range.start = form.align_up(cost::begin(bytes, form, low..high));
        let low = range.end.saturating_sub(REACH).max(range.start);
        let high = (range.end + REACH).min(after);
        // Bytes behind numbers at the end cost less than a block.
        let end = if range.end == bytes.len() { range.end } else { cost::end(bytes, form, low..high) };
        range.end = form.align_down(end).max(range.start);
    }
    found.retain(|(range, _)| range.len() >= LEAST);
}

/// The form of every cell, as its number among [`FORMS`], [`cost::PLAIN`] for none, by the way of
/// least cost through all of them.
fn best_path(costs: &Costs) -> Vec<u8> {
    let states = FORMS.len() + 1;
    let mut total = vec![0u64; states];
    let mut from: Vec<u8> = Vec::with_capacity(costs.n_cells * states);
    for cell in 0..costs.n_cells {
        let (best, &least) = total.iter().enumerate().min_by_key(|&(_, cost)| *cost).unwrap_or((0, &0));
        for (state, sum) in total.iter_mut().enumerate() {
            let stays = *sum <= least + CHANGE;
            from.push(if stays { state as u8 } else { best as u8 });
            *sum = (*sum).min(least + CHANGE) + costs.of(cell, state);
        }
    }
    let mut state = total.iter().enumerate().min_by_key(|&(_, cost)| *cost).map_or(0, |(state, _)| state);
    let mut path = vec![0; costs.n_cells];
    for cell in (0..costs.n_cells).rev() {
        path[cell] = state as u8;
        state = usize::from(from[cell * states + state]);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use errbar_codec::conformance::SplitMix64;

    /// A hill with waves and a little noise.
    fn field(rows: usize, columns: usize) -> Vec<f64> {
        let mut noise = SplitMix64(1);
        let mut at = |i: usize| {
            let (y, x) = ((i / columns) as f64 / rows as f64 - 0.4, (i % columns) as f64 / columns as f64 - 0.6);
            1000.0 / (1.0 + 3.0 * x * x + 5.0 * y * y)
                + 20.0 * (90.0 * x).sin() * (30.0 * y).cos()
                + (noise.next().unwrap_or(0) % 1000) as f64 / 20_000.0
        };
        (0..rows * columns).map(&mut at).collect()
    }

    fn text(len: usize) -> Vec<u8> {
        b"All that is told of the numbers behind it, in words and more words. ".iter().copied().cycle().take(len).collect()
    }

    #[test]
    fn numbers_behind_a_header_are_found_with_their_rows() {
        let numbers: Vec<u8> = field(200, 300).iter().flat_map(|&x| (x as f32).to_be_bytes()).collect();
        let bytes = [text(5003), numbers.clone(), text(40_000)].concat();
        let parts = parts(&bytes);
        assert_eq!(parts.iter().map(|part| part.len).sum::<usize>(), bytes.len());
        let found = parts.iter().find_map(|part| Some((part.len, part.numbers.as_ref()?))).expect("numbers are found");
        assert_eq!(found.1, &Numbers { dtype: DType::F32, big_endian: true, inner: vec![300] });
        assert!(found.0 > numbers.len() - 4 * 300, "{parts:?}");
    }

    #[test]
    fn parts_that_repeat_each_other_stay_together() {
        let numbers = |seed: f64| field(100, 300).iter().flat_map(|&x| ((x + seed) as f32).to_le_bytes()).collect::<Vec<u8>>();
        let frames = |seed: fn(i32) -> f64| (0..6).flat_map(|i| [text(20_000), numbers(seed(i))]).collect::<Vec<_>>().concat();
        assert_eq!(parts(&frames(|_| 0.0)), [Part { len: 6 * 140_000, numbers: None }]);
        assert!(parts(&frames(|i| 17.3 * f64::from(i))).iter().filter(|part| part.numbers.is_some()).count() > 3);
    }

    #[test]
    fn types_and_byte_orders_are_told_apart() {
        let field = field(200, 300);
        let found = |bytes: Vec<u8>| parts(&bytes).iter().find_map(|part| part.numbers.clone()).map(|n| (n.dtype, n.big_endian));
        assert_eq!(found(field.iter().flat_map(|x| x.to_le_bytes()).collect()), Some((DType::F64, false)));
        assert_eq!(found(field.iter().flat_map(|&x| ((60.0 * x - 30_000.0) as i16).to_be_bytes()).collect()), Some((DType::I16, true)));
        assert_eq!(found(field.iter().flat_map(|&x| ((x * 5000.0) as u32).to_le_bytes()).collect()), Some((DType::I32, false)));
        assert_eq!(found(SplitMix64(3).take(30_000).flat_map(u64::to_le_bytes).collect()), None);
        assert_eq!(found(text(200_000)), None);
    }

    #[test]
    fn mixtures_are_covered_by_whole_rows() {
        let mut random = SplitMix64(11);
        for _ in 0..40 {
            let mut bytes: Vec<u8> = Vec::new();
            for _ in 0..1 + random.next().unwrap_or(0) % 4 {
                let (kind, len) = (random.next().unwrap_or(0) % 6, (random.next().unwrap_or(0) % 30_000) as usize);
                let ramp = |i: usize| 1000.0 + (i as f64 * 0.01).sin() * (i % 77) as f64;
                match kind {
                    0 => bytes.extend(text(len)),
                    1 => bytes.extend((0..len / 4).flat_map(|i| (ramp(i) as f32).to_be_bytes())),
                    2 => bytes.extend((0..len / 8).flat_map(|i| ramp(i).to_le_bytes())),
                    3 => bytes.extend((0..len / 2).flat_map(|i| (ramp(i) as i16).to_le_bytes())),
                    4 => bytes.extend(std::iter::repeat_n(0, len)),
                    _ => bytes.extend(random.by_ref().take(len / 8).flat_map(u64::to_le_bytes)),
                }
                bytes.push(7);
            }
            let parts = parts(&bytes);
            assert_eq!(parts.iter().map(|part| part.len).sum::<usize>(), bytes.len());
            let whole = |part: &Part| part.numbers.as_ref().is_none_or(|numbers| part.len.is_multiple_of(numbers.row()));
            assert!(parts.iter().all(|part| part.len > 0 && whole(part)));
        }
    }

    #[test]
    fn any_bytes_are_covered() {
        let mut random = SplitMix64(5);
        for len in [0, 1, 7, CELL, LEAST - 1, LEAST, LEAST + 1, 9 * CELL + 3, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|i| ((random.next().unwrap_or(0) & 3) as usize + i / 9 + 70 * (i % 4)) as u8).collect();
            let parts = parts(&bytes);
            assert_eq!(parts.iter().map(|part| part.len).sum::<usize>(), len);
            for part in &parts {
                let row = part.numbers.as_ref().map_or(1, Numbers::row);
                assert!(part.len > 0 && part.len % row == 0);
            }
        }
    }
}
