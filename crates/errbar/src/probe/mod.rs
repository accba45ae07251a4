//! Finds numbers in bytes of no known format: where they are, of which type and byte order, and how
//! long their rows are. What it says is only a proposal, from samples: whoever codes the bytes
//! compares, and every byte comes back whatever the proposal.

mod cost;
mod form;
mod rows;

use errbar_format::DType;

use self::cost::Costs;
use self::form::{FORMS, Form};

/// Bytes that are judged together.
const CELL: usize = 4 << 10;
/// Bytes of numbers that are worth a block of their own.
const LEAST: usize = 4 * CELL;
/// What a change of form costs, in bits: the headers of a block.
const CHANGE: u64 = 8 * 500;
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
    parts.0
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
    let path = best_path(&Costs::new(bytes, n_cells));
    let mut found: Vec<(std::ops::Range<usize>, &'static Form)> = Vec::new();
    let mut start = 0;
    for run in path.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        if let Some(form) = FORMS.get(usize::from(run[0])) {
            let limit = if end == n_cells { bytes.len() } else { end * CELL };
            found.push((start * CELL..limit, form));
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
