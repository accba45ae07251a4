//! How long the rows of numbers are.

use super::cost::difference_bits;
use super::form::Form;

/// Words of the longest row.
const LONGEST: usize = 1 << 13;
/// Words compared for every length, and for those of the best few.
const GLANCE: usize = 96;
const LOOK: usize = 1024;
const BEST: usize = 12;
/// How much better two dimensions must be than one, and a short row than a long one, in 64ths.
const WORTH: u64 = 63;
const SHORTER: u64 = 65;

/// Extents along the inner dimensions; none if the numbers are best taken one behind another.
pub(super) fn inner(bytes: &[u8], form: &Form) -> Vec<usize> {
    let words = Sampled { bytes, form, n: bytes.len() / form.width };
    let straight = words.cost(LOOK, |words, i| words.difference(i, 1)).min(words.cost(LOOK, |words, i| words.between(i, 2, 1)));
    let Some((row, cost)) = words.best(2..LONGEST.min(words.n / 3), 1) else { return Vec::new() };
    if cost > straight / 64 * WORTH {
        return Vec::new();
    }
    let rows = words.n / row;
    match words.best((2..1024.min(rows / 2)).map(|rows| rows * row), row) {
        Some((plane, better)) if better < cost / 64 * WORTH => vec![plane / row, row],
        _ => vec![row],
    }
}

struct Sampled<'a> {
    bytes: &'a [u8],
    form: &'a Form,
    n: usize,
}

impl Sampled<'_> {
    fn word(&self, i: usize) -> u64 {
        self.form.word(self.bytes, i * self.form.width)
    }

    fn difference(&self, i: usize, lag: usize) -> u64 {
        if i < lag { 0 } else { difference_bits(self.word(i), self.word(i - lag), self.form.shift()) }
    }

    /// The difference to the word `lag` before, each first reduced by its neighbour `near` before.
    fn across(&self, i: usize, lag: usize, near: usize) -> u64 {
        if i < lag + near {
            return 0;
        }
        let here = self.word(i).wrapping_sub(self.word(i - near));
        let there = self.word(i - lag).wrapping_sub(self.word(i - lag - near));
        difference_bits(here, there, self.form.shift())
    }

    /// The difference to the mean of the words `lag` and `near` before.
    fn between(&self, i: usize, lag: usize, near: usize) -> u64 {
        if i < lag {
            return 0;
        }
        let mean = self.word(i - lag) / 2 + self.word(i - near) / 2;
        difference_bits(self.word(i), mean, self.form.shift())
    }

    fn cost(&self, looks: usize, of: impl Fn(&Self, usize) -> u64) -> u64 {
        (0..looks).map(|look| of(self, self.n - 1 - (self.n / 2) * look / looks)).sum()
    }

    /// Of lags, the best with its cost: of the difference alone or of that of differences.
    fn best(&self, lags: impl Iterator<Item = usize>, near: usize) -> Option<(usize, u64)> {
        let mut glances: Vec<(u64, usize)> = lags.map(|lag| (self.cost(GLANCE, |words, i| words.difference(i, lag)), lag)).collect();
        let n = BEST.min(glances.len());
        if n == 0 {
            return None;
        }
        glances.select_nth_unstable(n - 1);
        let look = |lag: usize| {
            let along = self.cost(LOOK, |words, i| words.difference(i, lag));
            let across = self.cost(LOOK, |words, i| words.across(i, lag, near));
            along.min(across).min(self.cost(LOOK, |words, i| words.between(i, lag, near)))
        };
        let looks: Vec<(usize, u64)> = glances[..n].iter().map(|&(_, lag)| (lag, look(lag))).collect();
        let least = looks.iter().map(|&(_, cost)| cost).min()?;
        looks.into_iter().filter(|&(_, cost)| cost <= least / 64 * SHORTER + 64).min()
    }
}
