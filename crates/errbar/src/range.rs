//! A look at a whole variable before it is coded: its range and its fill values.

use std::collections::HashMap;
use std::io;

use errbar_codec::float::Float;
use errbar_codec::{Limit, Result, Tolerance};
use errbar_dissect::ReadAt;
use errbar_format::DType;
use errbar_format::record::{Bound, Receipt};

/// A finite value this large may mean "missing".
const FILL_MAGNITUDE: f64 = 1e15;
/// … if at least one word in so many has its very bits.
const FILL_SHARE: u64 = 100;
/// Bytes read at once.
const CHUNK: u64 = 1 << 20;

/// Words of the sample that tells whether the least or the largest value may mean "missing", at most.
const SAMPLE: usize = 8192;
/// … which it may if it is so many times the others' range away from them.
const FAR: f64 = 10.0;

/// Words looked at together.
const RUN: usize = 64;
/// Words compared at a time.
const LANES: usize = 4;

/// Equal words in a row: counting them one by one costs a look-up each.
#[derive(Default)]
struct Repeated {
    bits: u64,
    times: u64,
}

impl Repeated {
    /// Takes the next word; gives those before it when it differs.
    fn next(&mut self, bits: u64) -> Option<(u64, u64)> {
        if bits == self.bits {
            self.times += 1;
            return None;
        }
        let before = std::mem::replace(self, Repeated { bits, times: 1 });
        Some((before.bits, before.times))
    }
}

/// Counts words; gives the range without fill values, and the fill values.
///
/// The candidates for fill values are found with the algorithm of Misra and Gries (Finding
/// repeated elements, 1982): 100 counters are enough for whatever makes up one word in 100.
pub(crate) struct Survey {
    float: Float,
    word: usize,
    big_endian: bool,
    n: u64,
    min: f64,
    max: f64,
    candidates: HashMap<u64, u64>,
    n_large: u64,
    /// The first word of every so many runs.
    sample: Vec<u64>,
    runs: usize,
    runs_a_sample: usize,
}

impl Survey {
    pub(crate) fn new(dtype: DType, big_endian: bool) -> Result<Survey> {
        Ok(Survey {
            float: Float::of(dtype)?,
            word: dtype.word(),
            big_endian,
            n: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            candidates: HashMap::new(),
            n_large: 0,
            sample: Vec::new(),
            runs: 0,
            runs_a_sample: 1,
        })
    }

    /// Runs of words, whatever their width and order of bytes.
    fn each_run(&mut self, bytes: &[u8], mut see: impl FnMut(&mut Survey, &[u64])) {
        fn runs<const N: usize>(bytes: &[u8], word: impl Fn([u8; N]) -> u64, mut see: impl FnMut(&[u64])) {
            let (words, _) = bytes.as_chunks();
            let mut bits = [0; RUN];
            for run in words.chunks(RUN) {
                bits.iter_mut().zip(run).for_each(|(bits, bytes)| *bits = word(*bytes));
                see(&bits[..run.len()]);
            }
        }
        let (word, big_endian) = (self.word, self.big_endian);
        let see = |run: &[u64]| see(self, run);
        match (word, big_endian) {
            (2, false) => runs(bytes, |w| u16::from_le_bytes(w).into(), see),
            (2, true) => runs(bytes, |w| u16::from_be_bytes(w).into(), see),
            (4, false) => runs(bytes, |w| u32::from_le_bytes(w).into(), see),
            (4, true) => runs(bytes, |w| u32::from_be_bytes(w).into(), see),
            (_, false) => runs(bytes, u64::from_le_bytes, see),
            (_, true) => runs(bytes, u64::from_be_bytes, see),
        }
    }

    /// First pass: range of the ordinary values, candidates for fill values.
    fn first_pass(&mut self, bytes: &[u8]) {
        match self.float {
            Float::F32 => self.each_run(bytes, |survey, run| survey.first_look(run, |bits| f64::from(f32::from_bits(bits as u32)))),
            Float::F64 => self.each_run(bytes, |survey, run| survey.first_look(run, f64::from_bits)),
            float => self.each_run(bytes, |survey, run| survey.first_look(run, |bits| float.to_f64(bits))),
        }
    }

    #[inline(always)]
    fn first_look(&mut self, run: &[u64], to_f64: impl Fn(u64) -> f64) {
        self.n += run.len() as u64;
        if self.runs.is_multiple_of(self.runs_a_sample) {
            self.sample.extend(run.first());
            if self.sample.len() == SAMPLE {
                self.sample = self.sample.iter().step_by(2).copied().collect();
                self.runs_a_sample *= 2;
            }
        }
        self.runs += 1;
        let mut ordinary = true;
        if let Ok(run) = <&[u64; RUN]>::try_from(run) {
            // The usual case, without a branch.
            let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
            for row in run.as_chunks::<LANES>().0 {
                for ((min, max), &bits) in min.iter_mut().zip(&mut max).zip(row) {
                    let value = to_f64(bits);
                    ordinary &= value.abs() < FILL_MAGNITUDE;
                    *min = if value < *min { value } else { *min };
                    *max = if value > *max { value } else { *max };
                }
            }
            if ordinary {
                self.min = min.into_iter().fold(self.min, f64::min);
                self.max = max.into_iter().fold(self.max, f64::max);
                return;
            }
        }
        let mut repeated = Repeated::default();
        for &bits in run {
            let value = to_f64(bits);
            if value.abs() < FILL_MAGNITUDE {
                self.min = self.min.min(value);
                self.max = self.max.max(value);
            } else if value.is_finite() {
                self.n_large += 1;
                if let Some((bits, times)) = repeated.next(bits) {
                    self.count_candidate(bits, times);
                }
            }
        }
        self.count_candidate(repeated.bits, repeated.times);
    }

    /// Counts a large value that came so many times in a row.
    fn count_candidate(&mut self, bits: u64, times: u64) {
        for time in 0..times {
            if let Some(count) = self.candidates.get_mut(&bits) {
                *count += times - time;
                return;
            }
            if (self.candidates.len() as u64) < FILL_SHARE {
                self.candidates.insert(bits, times - time);
                return;
            }
            self.candidates.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// Whether there are large values, so that a second pass is needed.
    fn needs_second_pass(&mut self) -> bool {
        self.candidates.values_mut().for_each(|count| *count = 0);
        self.n_large > 0
    }

    /// Second pass: counts the candidates.
    fn second_pass(&mut self, bytes: &[u8]) {
        self.each_run(bytes, |survey, run| {
            let mut add = |bits, times| {
                if let Some(count) = survey.candidates.get_mut(&bits) {
                    *count += times;
                }
            };
            let mut repeated = Repeated::default();
            for &bits in run.iter().filter(|&&bits| survey.float.to_f64(bits).abs() >= FILL_MAGNITUDE) {
                if let Some((bits, times)) = repeated.next(bits) {
                    add(bits, times);
                }
            }
            add(repeated.bits, repeated.times);
        });
    }

    /// Fill values found, ascending.
    fn fill(&self) -> Vec<u64> {
        let enough = |count: u64| count >= 2 && count.saturating_mul(FILL_SHARE) >= self.n;
        let mut fill: Vec<u64> = self.candidates.iter().filter(|(_, count)| enough(**count)).map(|(bits, _)| *bits).collect();
        fill.sort_unstable();
        fill
    }

    /// Third pass: large values that are no fill values count for the range.
    fn third_pass(&mut self, bytes: &[u8], fill: &[u64]) {
        self.each_run(bytes, |survey, run| {
            for &bits in run {
                let value = survey.float.to_f64(bits);
                if value.is_finite() && value.abs() >= FILL_MAGNITUDE && !fill.contains(&bits) {
                    survey.min = survey.min.min(value);
                    survey.max = survey.max.max(value);
                }
            }
        });
    }

    /// The least and the largest values that lie as far from all others as if they meant "missing",
    /// so far as a sample tells.
    fn far_suspects(&self) -> Vec<f64> {
        let mut values: Vec<f64> = self.sample.iter().map(|&bits| self.float.to_f64(bits)).filter(|x| x.abs() < FILL_MAGNITUDE).collect();
        values.sort_unstable_by(f64::total_cmp);
        let mut suspects = Vec::new();
        for end in [self.max, self.min] {
            let others: Vec<f64> = values.iter().copied().filter(|&x| x != end && !suspects.contains(&x)).collect();
            let enough = (values.len() - others.len()) as u64 * 2 * FILL_SHARE >= values.len() as u64;
            if let ([low, .., high], true) = (others.as_slice(), enough)
                && is_far(end, *low, *high)
            {
                suspects.push(end);
            }
        }
        suspects
    }

    /// Far values that are fill values, with their bit patterns; what is left is the range.
    fn far_fill(&mut self, suspects: &[f64], each: &mut Each<'_>) -> io::Result<Vec<u64>> {
        let mut counts: HashMap<u64, u64> = HashMap::new();
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        each(&mut |bytes| {
            self.each_run(bytes, |survey, run| {
                let mut repeated = Repeated::default();
                for &bits in run {
                    let x = survey.float.to_f64(bits);
                    if suspects.contains(&x) {
                        if let Some((bits, times)) = repeated.next(bits).filter(|(_, times)| *times > 0) {
                            *counts.entry(bits).or_default() += times;
                        }
                    } else if x.abs() < FILL_MAGNITUDE {
                        (min, max) = (min.min(x), max.max(x));
                    }
                }
                if repeated.times > 0 {
                    *counts.entry(repeated.bits).or_default() += repeated.times;
                }
            });
        })?;
        let enough = |count: u64| count >= 2 && count.saturating_mul(FILL_SHARE) >= self.n;
        let is_fill = |(bits, count): (&u64, &u64)| enough(*count) && is_far(self.float.to_f64(*bits), min, max);
        if !counts.iter().all(is_fill) {
            return Ok(Vec::new());
        }
        (self.min, self.max) = (min, max);
        Ok(counts.into_keys().collect())
    }

    /// Looks through `len` bytes of `file` from `at` on, as often as needed; gives the fill values
    /// found, ascending.
    pub(crate) fn all_passes(&mut self, file: &dyn ReadAt, at: u64, len: u64) -> io::Result<Vec<u64>> {
        let mut each = |see: &mut dyn FnMut(&[u8])| each_chunk(file, at, len, see);
        each(&mut |bytes| self.first_pass(bytes))?;
        let suspects = self.far_suspects();
        let mut fill = if suspects.is_empty() { Vec::new() } else { self.far_fill(&suspects, &mut each)? };
        if self.needs_second_pass() {
            each(&mut |bytes| self.second_pass(bytes))?;
            fill.extend(self.fill());
            each(&mut |bytes| self.third_pass(bytes, &fill))?;
        }
        fill.sort_unstable();
        Ok(fill)
    }

    /// Largest less smallest of the ordinary values.
    pub(crate) fn range(&self) -> f64 {
        if self.max > self.min { self.max - self.min } else { 0.0 }
    }

    /// The largest magnitude of the ordinary values.
    pub(crate) fn largest(&self) -> f64 {
        if self.max >= self.min { self.max.max(-self.min) } else { 0.0 }
    }

    /// What `bounds` come to for this variable, where `found` is the absolute limit by which a target
    /// among them is met; nothing if they allow no error.
    pub(crate) fn tolerance(&self, bounds: &[Bound], found: Option<f64>, fill: &[u64]) -> Option<Tolerance> {
        let (mut absolute, mut relative) = (found.unwrap_or(f64::INFINITY), f64::INFINITY);
        for bound in bounds {
            match *bound {
                Bound::Abs(value) => absolute = absolute.min(value),
                Bound::Rel(value) if self.max > self.min => absolute = absolute.min(share_of_range(value, self.min, self.max)),
                Bound::Rel(_) => return None,
                Bound::PwRel(value) => relative = relative.min(value),
                Bound::Digits(digits) => relative = relative.min(digits_limit(digits)),
                Bound::Psnr(_) | Bound::Rmse(_) | Bound::Sqnr(_) | Bound::Ratio(_) | Bound::Where { .. } => {}
            }
        }
        let finite = |limit: f64| limit.is_finite().then_some(limit);
        let limit = Limit::of(finite(absolute), finite(relative))?;
        (absolute > 0.0 && relative > 0.0).then(|| Tolerance { bounds: bounds.to_vec(), limit, fill: fill.to_vec() })
    }

    /// The power of a variable that was looked through, whose fill values are `fill`.
    pub(crate) fn power(&mut self, file: &dyn ReadAt, at: u64, len: u64, fill: &[u64]) -> io::Result<Power> {
        let mut squares = Squares::default();
        each_chunk(file, at, len, &mut |bytes| self.add_squares(bytes, fill, &mut squares))?;
        Ok(self.power_of(&squares))
    }

    /// Takes in values of the variable that was looked through; whole words.
    pub(crate) fn add_squares(&mut self, bytes: &[u8], fill: &[u64], squares: &mut Squares) {
        let unit = self.unit();
        self.each_run(bytes, |survey, run| {
            for (i, &bits) in run.iter().enumerate() {
                let x = survey.float.to_f64(bits);
                if x.is_finite() && (fill.is_empty() || fill.binary_search(&bits).is_err()) {
                    squares.sums[i % LANES] += (x / unit) * (x / unit);
                    squares.count += 1;
                }
            }
        });
    }

    /// What all values taken in come to.
    pub(crate) fn power_of(&self, squares: &Squares) -> Power {
        let (sum, count): (f64, u64) = (squares.sums.iter().sum(), squares.count);
        Power { count, rms: if count == 0 { 0.0 } else { self.unit() * (sum / count as f64).sqrt() } }
    }

    /// What squares are counted in: the square of the largest value may be beyond the largest binary64.
    fn unit(&self) -> f64 {
        if self.largest() > 0.0 { self.largest() } else { 1.0 }
    }
}

/// Sums for a [`Power`], while values go by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Squares {
    sums: [f64; LANES],
    count: u64,
}

/// The numbers of a variable: finite words that are no fill values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Power {
    /// How many there are.
    pub(crate) count: u64,
    /// The root of the mean of their squares.
    pub(crate) rms: f64,
}

impl Power {
    /// The root mean square error of the numbers alone, from that of all finite words.
    pub(crate) fn rms_error(&self, receipt: &Receipt) -> f64 {
        if self.count == 0 { 0.0 } else { receipt.rms_error * (receipt.finite as f64 / self.count as f64).sqrt() }
    }
}

/// Shows `len` bytes of `file` from `at` on, piece by piece.
fn each_chunk(file: &dyn ReadAt, at: u64, len: u64, see: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut from = at;
    while from < at + len {
        // A multiple of every word's size.
        buffer.resize((at + len - from).min(CHUNK) as usize, 0);
        file.read_at(&mut buffer, from)?;
        see(&buffer);
        from += buffer.len() as u64;
    }
    Ok(())
}

/// Something that shows all bytes of a variable, piece by piece.
type Each<'a> = dyn FnMut(&mut dyn FnMut(&[u8])) -> io::Result<()> + 'a;

/// Whether `value` is too far from numbers between `low` and `high` to be one of them.
fn is_far(value: f64, low: f64, high: f64) -> bool {
    let span = high - low;
    let distance = if value > high { value - high } else { low - value };
    span > 0.0 && distance > FAR * span
}

/// `share * (max - min)`, rounded down.
fn share_of_range(share: f64, min: f64, max: f64) -> f64 {
    let range = max - min;
    if range.is_finite() {
        return (share * range.next_down()).next_down().min(f64::MAX);
    }
    // Halves cannot overflow, and at this size they are exact.
    (2.0 * (share * (max / 2.0 - min / 2.0).next_down()).next_down()).min(f64::MAX)
}

/// `0.5 * 10^-digits`, rounded down: half a unit of the last digit is never less than this share
/// of the value.
fn digits_limit(digits: u8) -> f64 {
    format!("5e-{}", u32::from(digits) + 1).parse::<f64>().map_or(0.0, f64::next_down)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(values: &[f64], bound: Bound) -> Option<Tolerance> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        let mut survey = Survey::new(DType::F64, true).expect("floats");
        let fill = survey.all_passes(&&bytes[..], 0, bytes.len() as u64).expect("memory");
        survey.tolerance(&[bound], None, &fill)
    }

    fn limit(tolerance: &Tolerance) -> f64 {
        tolerance.limit.absolute().expect("an absolute limit")
    }

    #[test]
    fn fill_values_do_not_stretch_the_range() {
        let mut values: Vec<f64> = (0..200).map(f64::from).collect();
        values.extend([1e20; 3]);
        values.push(f64::NAN);
        let tolerance = survey(&values, Bound::Rel(0.01)).expect("a range");
        assert_eq!(tolerance.fill, [1e20f64.to_bits()]);
        assert!(limit(&tolerance) <= 1.99 && limit(&tolerance) > 1.989999);
    }

    #[test]
    fn values_far_from_all_others_are_missing_if_there_are_many() {
        let mut values: Vec<f64> = (0..2000).map(|i| f64::from(i % 37)).collect();
        values.extend([-9999.0; 50]);
        let tolerance = survey(&values, Bound::Rel(0.01)).expect("a range");
        assert_eq!(tolerance.fill, [(-9999f64).to_bits()]);
        assert!(limit(&tolerance) <= 0.36 && limit(&tolerance) > 0.3599);
        values.truncate(2002);
        assert_eq!(survey(&values, Bound::Rel(0.01)).map(|t| t.fill), Some(Vec::new()));
    }

    #[test]
    fn a_single_large_value_is_data() {
        let mut values: Vec<f64> = (0..200).map(f64::from).collect();
        values.push(1e20);
        let tolerance = survey(&values, Bound::Rel(0.01)).expect("a range");
        assert!(tolerance.fill.is_empty());
        assert!(limit(&tolerance) > 9e17);
    }

    #[test]
    fn no_range_means_exact_and_overflow_is_no_range_of_infinity() {
        assert_eq!(survey(&[3.0; 9], Bound::Rel(0.1)), None);
        assert_eq!(survey(&[], Bound::Rel(0.1)), None);
        let limit = limit(&survey(&[f64::MAX, -f64::MAX, 0.0], Bound::Rel(0.25)).expect("a range"));
        assert!(limit <= f64::MAX / 2.0 && limit > f64::MAX * 0.499);
    }
}
