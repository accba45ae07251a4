use errbar_format::{DType, Error, Result};

use crate::check::{allows, surely_allows};
use crate::codes::Word;
use crate::float::{Float, with_floats};
use crate::stage::{Quantized, Quantizer, Stage, bad_params};
use crate::{Codes, Layout, Tolerance, Values, Words, with_words};

/// Powers of two at multiples of a step: `x' = sign * 2^(k * step)`, rounded once to the type of
/// the values; zero has a code of its own. Serves relative limits. A code spans all numbers from
/// `x' / (1 + r)` to `x' / (1 - r)`, the widest cell that a limit r allows, which is half a bit a
/// word less than any cells of equal width within a binade. Where an absolute limit is the tighter one,
/// from some level on, levels are at multiples of an even step instead. See `spec/stages/log.md`.
#[derive(Clone, Copy, Debug)]
pub struct Log;

/// `2^f` for `|f| <= 1/2`, within 5.6e-11 of it: interpolation at the zeros of the Chebyshev
/// polynomial of degree 8, constant term first.
const POWER: [f64; 8] = [
    0.9999999999595618,
    0.6931471805568324,
    0.24022651213498092,
    0.055504109063258665,
    0.009618025613318034,
    0.0013333478473685416,
    0.00015469729214118296,
    1.5303700711365693e-5,
];
/// Relative error of [`power_of_two`], rounded up to cover its arithmetic.
const POWER_ERROR: f64 = 6e-11;
/// Added and taken away again, it rounds a smaller value to an integer, ties to even.
const TO_INTEGER: f64 = (3u64 << 51) as f64;
/// Added to an integer from 0 to below itself, it leaves the integer in the bits of the fraction.
const TO_BITS: f64 = (1u64 << 52) as f64;
/// Levels beyond this are refused: sums of two are far from where binary64 skips integers.
const MAX_LEVEL: i64 = 1 << 50;
/// Words looked at together.
const RUN: usize = 64;
/// Numbers compared at a time.
const LANES: usize = 4;
/// Cells are not made wider than those of this limit, so that all sides of a cell have one sign.
const WIDEST: f64 = 0.75;
/// A limit of which rounding to the type takes more than this share is better served by keeping bits.
const LEAST_SHARE: f64 = 0.25;

/// `2^z`, about: two steps that every machine does alike. `z` may be infinite, but not NaN.
#[inline(always)]
fn power_of_two(z: f64) -> f64 {
    // Comparisons, as `min` and `max` may cost a call.
    let z = if z < -1022.0 { -1022.0 } else { z };
    let z = if z > 1023.0 { 1023.0 } else { z };
    let shifted = z + TO_INTEGER;
    let f = z - (shifted - TO_INTEGER);
    let [c0, c1, c2, c3, c4, c5, c6, c7] = POWER;
    let fraction = ((((((c7 * f + c6) * f + c5) * f + c4) * f + c3) * f + c2) * f + c1) * f + c0;
    // The integer is in the low bits of the sum; the exponent field wants it 1023 higher.
    fraction * f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52))
}

/// `log2((1 + s) / (1 - s))` for `|s| <= 0.1716`, within 1e-12.
#[inline(always)]
fn log2_ratio(s: f64) -> f64 {
    let t = s * s;
    // 2 / ln 2 / (2 i + 1), of the series of the inverse hyperbolic tangent.
    let sum = (((((0.22195308321368667 * t + 0.2623081892525388) * t + 0.3205988979753252) * t + 0.4121985831111324) * t
        + 0.5770780163555853)
        * t
        + 0.9617966939259756)
        * t
        + 2.8853900817779268;
    sum * s
}

/// The binary logarithm of a normal positive number, within 1e-12. Encoders alone use it, but two
/// of them should write the same bytes.
#[inline(always)]
fn log2(x: f64) -> f64 {
    /// Bits of the square root of 1/2, below which a significand counts as one of the next binade.
    const LEAST: u64 = 0x3FE6_A09E_667F_3BCD;
    let field = x.to_bits().wrapping_sub(LEAST).wrapping_add(1023 << 52) >> 52;
    let significand = f64::from_bits(x.to_bits().wrapping_sub(field << 52).wrapping_add(1023 << 52));
    let exponent = f64::from_bits(field | TO_BITS.to_bits()) - (TO_BITS + 1023.0);
    exponent + log2_ratio((significand - 1.0) / (significand + 1.0))
}

struct Params {
    /// Binary logarithm of the ratio of neighbouring levels.
    step: f64,
    /// The level of the codes that stand for 1 and -1.
    lowest: i64,
    /// What code 0 stands for: positive for positive numbers, 0 for 0.
    base: i64,
    width: usize,
    even: Option<Even>,
}

/// Levels at an even distance.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Even {
    /// The last level that is a power of two.
    last: f64,
    /// Where the even ones would have this level.
    origin: f64,
    distance: f64,
}

/// None: all levels are powers of two.
const NOT_EVEN: Even = Even { last: f64::INFINITY, origin: 0.0, distance: 0.0 };

impl Params {
    fn parse(params: &[u8]) -> Result<Params> {
        let Some((bytes, even)) = params.split_first_chunk::<25>().filter(|(_, even)| matches!(even.len(), 0 | 24)) else {
            return Err(bad_params("log takes 25 or 49 bytes"));
        };
        let word = |at: usize| std::array::from_fn(|i| bytes[at + i]);
        let number = |i: usize| f64::from_le_bytes(std::array::from_fn(|j| even[8 * i + j]));
        let last = |even: &[u8]| i64::from_le_bytes(std::array::from_fn(|i| even[i]));
        let even = match even.is_empty() {
            true => None,
            false if last(even).unsigned_abs() > MAX_LEVEL as u64 => return Err(bad_params("log's last power is impossible")),
            false => Some(Even { last: last(even) as f64, origin: number(1), distance: number(2) }),
        };
        let params = Params {
            step: f64::from_le_bytes(word(0)),
            lowest: i64::from_le_bytes(word(8)),
            base: i64::from_le_bytes(word(16)),
            width: bytes[24].into(),
            even,
        };
        let even = even.is_none_or(|even| even.origin.is_finite() && even.distance.is_finite() && even.distance > 0.0);
        let sound = even && params.step.is_finite() && params.step > 0.0 && matches!(params.width, 1 | 2 | 4 | 8);
        match sound && params.lowest.unsigned_abs() <= MAX_LEVEL as u64 {
            true => Ok(params),
            false => Err(bad_params("log's step, lowest level or width is impossible")),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.step.to_le_bytes()[..], &self.lowest.to_le_bytes(), &self.base.to_le_bytes(), &[self.width as u8]].concat();
        if let Some(Even { last, origin, distance }) = self.even {
            bytes.extend([(last as i64).to_le_bytes(), origin.to_le_bytes(), distance.to_le_bytes()].concat());
        }
        bytes
    }
}

/// Cells of one limit.
struct Cells {
    step: f64,
    inverse: f64,
    /// Added to logarithms, it makes the nearest level that of the cell.
    shift: f64,
    even: Even,
    /// Magnitudes above this have even levels.
    even_from: f64,
}

/// The number that a level stands for.
#[inline(always)]
fn value_of<const EVEN: bool>(level: f64, step: f64, even: Even) -> f64 {
    let power = power_of_two(level * step);
    if EVEN && level > even.last { even.origin + (level - even.last) * even.distance } else { power }
}

impl Cells {
    /// The widest cells from which `float` keeps every number up to `largest` within both limits.
    fn new(float: Float, relative: f64, absolute: Option<f64>, largest: f64) -> Result<Cells> {
        let limit = relative.min(WIDEST);
        // Half a unit in the last place of a normal number is at most this share of it.
        let rounding = f64::from_bits(u64::from(1022 - float.fraction_bits()) << 52);
        let rest = (limit - (rounding + POWER_ERROR) * (1.0 + limit)) * (1.0 - 1e-9);
        if rest.is_nan() || rest < limit * LEAST_SHARE {
            return Err(Error::usage("log does not serve relative limits near the precision of the type"));
        }
        let step = if rest < 0.17 { log2_ratio(rest) } else { log2((1.0 + rest) / (1.0 - rest)) };
        let cells = Cells { step, inverse: 1.0 / step, shift: 0.5 * log2(1.0 - rest * rest), even: NOT_EVEN, even_from: f64::INFINITY };
        Ok(match absolute {
            Some(absolute) if limit * largest > absolute => cells.with_even(float, absolute.min(f64::MAX / 4.0), rest, largest),
            _ => cells,
        })
    }

    /// Even steps from where `absolute` is less than a share of `rest` of the number.
    fn with_even(self, float: Float, absolute: f64, rest: f64, largest: f64) -> Cells {
        let half_spacing = 0.5 * float.spacing(largest);
        let room = if half_spacing < absolute * 0.5 { absolute - half_spacing } else { absolute };
        // The cells of powers end below where the limits cross.
        let crossing = (room / rest * (1.0 - rest)).max(f64::MIN_POSITIVE);
        let last = (log2(crossing) * self.inverse).floor();
        let end = power_of_two(last * self.step) / (1.0 - rest);
        Cells { even: Even { last, origin: end - room, distance: 2.0 * room }, even_from: end, ..self }
    }

    /// The level of a normal positive number, an integer.
    #[inline(always)]
    fn level<const EVEN: bool>(&self, x: f64) -> f64 {
        let power = ((log2(x) + self.shift) * self.inverse + TO_INTEGER) - TO_INTEGER;
        if EVEN && x > self.even_from {
            return self.even.last + ((x - self.even.origin) / self.even.distance).round_ties_even();
        }
        power
    }
}

/// Which codes there are: from `base` to `base + top`.
struct Grid {
    cells: Cells,
    lowest: f64,
    base: f64,
    top: f64,
    width: usize,
}

/// The words of a block as numbers.
struct Numbers<'a, W, T> {
    words: &'a [W],
    float: Float,
    to_f64: T,
    tolerance: &'a Tolerance,
    limit: f64,
}

impl<W: Word, T: Fn(W) -> f64> Numbers<'_, W, T> {
    fn is_fixed(&self, word: W) -> bool {
        !self.float.is_finite(word.to_u64()) || self.tolerance.is_fill(word.to_u64())
    }

    fn has_fill(&self, run: &[W]) -> bool {
        self.tolerance.fill.iter().any(|&fill| run.contains(&W::from_u64(fill)))
    }

    /// Levels and signs of the numbers there are.
    fn grid<const EVEN: bool>(&self, cells: Cells) -> Grid {
        // The least and largest magnitudes of positive and of negative numbers.
        let (mut least, mut largest) = ([[f64::MAX; LANES]; 2], [[0.0; LANES]; 2]);
        let mut zeros = false;
        for run in self.words.chunks(RUN) {
            let mut numbers = [f64::NAN; RUN];
            numbers.iter_mut().zip(run).for_each(|(x, &word)| *x = (self.to_f64)(word));
            if self.has_fill(run) {
                numbers.iter_mut().zip(run).filter(|(_, word)| self.is_fixed(**word)).for_each(|(x, _)| *x = f64::NAN);
            }
            for row in numbers.as_chunks::<LANES>().0 {
                for (lane, &x) in row.iter().enumerate() {
                    zeros |= x == 0.0;
                    for (side, x) in [x, -x].into_iter().enumerate() {
                        // False for NaN.
                        let counts = (f64::MIN_POSITIVE..=f64::MAX).contains(&x);
                        least[side][lane] = if counts & (x < least[side][lane]) { x } else { least[side][lane] };
                        largest[side][lane] = if counts & (x > largest[side][lane]) { x } else { largest[side][lane] };
                    }
                }
            }
        }
        let least = least.map(|lanes| lanes.into_iter().fold(f64::MAX, f64::min));
        let largest = largest.map(|lanes| lanes.into_iter().fold(0.0, f64::max));
        // Even levels of numbers far beyond their distance are too many to count: those are kept exactly.
        let most = MAX_LEVEL as f64;
        let lowest = if largest == [0.0; 2] { 0.0 } else { cells.level::<EVEN>(least[0].min(least[1])).min(most) };
        // What a magnitude stands for, without its sign.
        let rank = |x: f64| (cells.level::<EVEN>(x) - lowest + 1.0).min(most);
        let has = largest.map(|x| x > 0.0);
        let from = if has[1] { -rank(largest[1]) } else { f64::from(!zeros && has[0]) };
        let to = if has[0] { rank(largest[0]) } else { -f64::from(!zeros && has[1]) };
        let top = to - from;
        let width = match top {
            ..=255.0 => 1,
            ..=65_535.0 => 2,
            ..=4_294_967_295.0 => 4,
            _ => 8,
        };
        Grid { cells, lowest, base: from, top, width }
    }

    /// Codes on a grid, and the positions that no code serves.
    fn codes<C: Word, const EVEN: bool>(&self, grid: &Grid, narrow: impl Fn(f64) -> f64) -> (Words, Vec<u32>) {
        let mut codes = Vec::with_capacity(self.words.len());
        let mut exact = Vec::new();
        let mut last = C::from_u64(0);
        for run in self.words.chunks(RUN) {
            if let Some(run) = self.plain::<C, EVEN>(run, grid, &narrow) {
                codes.extend_from_slice(&run);
                last = run[RUN - 1];
                continue;
            }
            for &word in run {
                match self.code::<C, EVEN>(word, grid, &narrow) {
                    Some(code) => last = code,
                    // The code before it costs least.
                    None => exact.push(codes.len() as u32),
                }
                codes.push(last);
            }
        }
        (C::wrap(codes), exact)
    }

    /// The codes of a whole run whose levels all serve: the usual case, without a branch.
    #[inline(always)]
    fn plain<C: Word, const EVEN: bool>(&self, run: &[W], grid: &Grid, narrow: impl Fn(f64) -> f64) -> Option<[C; RUN]> {
        let run: &[W; RUN] = run.try_into().ok()?;
        let limit = self.tolerance.limit;
        // Small loops, as the compiler has registers for.
        let numbers = run.map(&self.to_f64);
        let levels = numbers.map(|x| grid.cells.level::<EVEN>(x.abs()));
        let decoded = levels.map(|level| narrow(value_of::<EVEN>(level, grid.cells.step, grid.cells.even)));
        let mut sound = true;
        for (&x, y) in numbers.iter().zip(decoded) {
            // False for NaN and for infinities.
            sound &= (x == 0.0) | surely_allows(limit, x.abs(), (x.abs() - y).abs());
        }
        let mut codes = [C::from_u64(0); RUN];
        for ((code, &x), level) in codes.iter_mut().zip(&numbers).zip(levels) {
            let rank = level - grid.lowest + 1.0;
            sound &= (x == 0.0) | (rank >= 1.0);
            let signed = if x < 0.0 { -rank } else { rank };
            let offset = if x == 0.0 { 0.0 } else { signed } - grid.base;
            sound &= (offset >= 0.0) & (offset <= grid.top);
            *code = C::from_u64((offset + TO_BITS).to_bits() & (TO_BITS as u64 - 1));
        }
        (sound && !self.has_fill(run)).then_some(codes)
    }

    /// The code that serves a word, if one does.
    fn code<C: Word, const EVEN: bool>(&self, word: W, grid: &Grid, narrow: impl Fn(f64) -> f64) -> Option<C> {
        if self.is_fixed(word) {
            return None;
        }
        let number = (self.to_f64)(word);
        let x = number.abs();
        let inside = |signed: f64| {
            let offset = signed - grid.base;
            (0.0..=grid.top).contains(&offset).then(|| C::from_u64(offset as u64))
        };
        if x == 0.0 {
            return inside(0.0);
        }
        if x < f64::MIN_POSITIVE {
            return None;
        }
        let nearest = grid.cells.level::<EVEN>(x);
        [nearest, nearest - 1.0, nearest + 1.0].into_iter().find_map(|level| {
            let rank = level - grid.lowest + 1.0;
            let serves = rank >= 1.0 && allows(self.tolerance.limit, x, narrow(value_of::<EVEN>(level, grid.cells.step, grid.cells.even)));
            if serves { inside(rank.copysign(number)) } else { None }
        })
    }

    /// The largest magnitude of a number.
    fn largest(&self) -> f64 {
        let numbers = self.words.iter().filter(|&&word| !self.is_fixed(word));
        numbers.fold(0.0, |largest, &word| (self.to_f64)(word).abs().max(largest))
    }

    fn quantize(&self, narrow: impl Fn(f64) -> f64) -> Result<(Params, Words, Vec<u32>)> {
        let absolute = self.tolerance.limit.absolute();
        let largest = if absolute.is_some() { self.largest() } else { 0.0 };
        let cells = Cells::new(self.float, self.limit, absolute, largest)?;
        match cells.even == NOT_EVEN {
            true => self.quantize_in::<false>(cells, narrow),
            false => self.quantize_in::<true>(cells, narrow),
        }
    }

    fn quantize_in<const EVEN: bool>(&self, cells: Cells, narrow: impl Fn(f64) -> f64) -> Result<(Params, Words, Vec<u32>)> {
        let grid = self.grid::<EVEN>(cells);
        let (words, exact) = match grid.width {
            1 => self.codes::<u8, EVEN>(&grid, narrow),
            2 => self.codes::<u16, EVEN>(&grid, narrow),
            4 => self.codes::<u32, EVEN>(&grid, narrow),
            _ => self.codes::<u64, EVEN>(&grid, narrow),
        };
        let even = EVEN.then_some(grid.cells.even);
        Ok((Params { step: grid.cells.step, lowest: grid.lowest as i64, base: grid.base as i64, width: grid.width, even }, words, exact))
    }
}

impl Params {
    /// The words that codes stand for.
    fn words<const EVEN: bool>(&self, codes: &Words, float: Float) -> Words {
        let &Params { step, base, .. } = self;
        let (before, even) = ((self.lowest - 1) as f64, self.even.unwrap_or(NOT_EVEN));
        with_words!(codes, v => {
            let signed = |code: u64| code.wrapping_add(base as u64) as i64 as f64;
            let value = |signed: f64| {
                let magnitude = value_of::<EVEN>(signed.abs() + before, step, even);
                let magnitude = if signed == 0.0 { 0.0 } else { magnitude };
                if signed < 0.0 { -magnitude } else { magnitude }
            };
            match float {
                Float::F32 => Words::U32(in_runs(v, signed, value, |x| (x as f32).to_bits())),
                Float::F64 => Words::U64(in_runs(v, signed, value, f64::to_bits)),
                Float::F16 => Words::U16(in_runs(v, signed, value, |x| Float::F16.from_f64(x) as u16)),
                Float::BF16 => Words::U16(in_runs(v, signed, value, |x| Float::BF16.from_f64(x) as u16)),
            }
        })
    }
}

/// The words of codes, a run at a time: small loops, as the compiler has registers for.
fn in_runs<C: Word, O: Copy>(codes: &[C], signed: impl Fn(u64) -> f64, value: impl Fn(f64) -> f64, word: impl Fn(f64) -> O) -> Vec<O> {
    let mut words = Vec::with_capacity(codes.len());
    let (runs, rest) = codes.as_chunks::<RUN>();
    for run in runs {
        words.extend_from_slice(&run.map(|code| signed(code.to_u64())).map(&value).map(&word));
    }
    words.extend(rest.iter().map(|code| word(value(signed(code.to_u64())))));
    words
}

impl Stage for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "nearest power of two at a multiple of a step, with its sign"
    }

    fn parameters(&self) -> &'static str {
        "step: f64, of the binary logarithm; lowest: i64, level of 1 and -1; base: i64, what code 0 means; width: u8, bytes of a code; last: i64, origin and distance: f64, of even levels, if there are any"
    }

    fn guarantee(&self) -> &'static str {
        "errors at most the relative limit and an absolute one; zero stays zero; other words exact"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        Params::parse(params).map(|params| format!("step {:.6e}", params.step))
    }
}

impl Quantizer for Log {
    fn quantize(&self, values: &Values, tolerance: &Tolerance, _: &[u8]) -> Result<Quantized> {
        let Some(limit) = tolerance.limit.relative() else {
            return Err(Error::usage("log serves relative limits, alone or with an absolute one"));
        };
        let float = Float::of(values.dtype)?;
        let (params, words, exact) = with_floats!(float, &values.bits.words, (words, to_f64, narrow) => {
            Numbers { words, float, to_f64, tolerance, limit }.quantize(narrow)
        })??;
        Quantized::of_words(params.to_bytes(), words, exact, values, tolerance)
    }

    fn code_layout(&self, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        Float::of(dtype)?;
        let dims: Vec<u64> = layout.dims.iter().map(|&d| d as u64).collect();
        let codes = Layout::new(Params::parse(params)?.width, &dims)?;
        Ok(Layout { scan: layout.scan.clone(), ..codes })
    }

    fn reconstruct(&self, codes: Codes, dtype: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
        let float = Float::of(dtype)?;
        let params = Params::parse(params)?;
        let words = match params.even {
            None => params.words::<false>(&codes.words, float),
            Some(_) => params.words::<true>(&codes.words, float),
        };
        Ok(Codes::plain(codes.dims, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limit;

    #[test]
    fn powers_and_logarithms_are_as_near_as_they_say() {
        for i in -4000..4000 {
            let z = f64::from(i) * 0.2503;
            let power = power_of_two(z);
            assert!((power / z.exp2() - 1.0).abs() < POWER_ERROR, "{z}");
            assert!((log2(z.exp2()) - z).abs() < 2e-12 * z.abs().max(1.0), "{z}");
        }
        assert_eq!(power_of_two(f64::NEG_INFINITY), power_of_two(-1022.0));
        assert_eq!(power_of_two(f64::INFINITY), power_of_two(1023.0));
    }

    #[test]
    fn cells_are_as_wide_as_the_limit_allows() {
        let bytes: Vec<u8> = (1..40_000).flat_map(|i| (i as f32 * 0.37).to_le_bytes()).collect();
        let values = Values::from_bytes(DType::F32, false, &[39_999], &bytes).expect("as many floats as bytes");
        for limit in [0.3, 1e-2, 1e-3, 1e-5] {
            let tolerance =
                Tolerance { bounds: vec![errbar_format::record::Bound::PwRel(limit)], limit: Limit::Relative(limit), fill: Vec::new() };
            let quantized = Log.quantize(&values, &tolerance, &[]).expect("a limit for floats");
            assert_eq!(quantized.exact, Vec::<u32>::new(), "{limit}");
            let params = Params::parse(&quantized.params).expect("its own parameters");
            assert_eq!(params.base, 1, "positive numbers only");
            let ideal = ((1.0 + limit) / (1.0 - limit)).log2();
            assert!(params.step > ideal * 0.99 && params.step <= ideal, "{limit}: {} of {ideal}", params.step);
        }
    }

    #[test]
    fn signs_and_zeros_have_codes_when_they_are_there() {
        let base = |numbers: &[f32]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            let values = Values::from_bytes(DType::F32, false, &[numbers.len() as u64], &bytes).expect("as many floats as bytes");
            let tolerance =
                Tolerance { bounds: vec![errbar_format::record::Bound::PwRel(0.5)], limit: Limit::Relative(0.5), fill: Vec::new() };
            let quantized = Log.quantize(&values, &tolerance, &[]).expect("a limit for floats");
            assert_eq!(quantized.exact, Vec::<u32>::new());
            Params::parse(&quantized.params).expect("its own parameters").base
        };
        assert_eq!(base(&[1.0, 2.0]), 1);
        assert_eq!(base(&[0.0, 2.0]), 0);
        assert_eq!(base(&[-0.0, 0.0]), 0);
        assert_eq!(base(&[-1.0, -1.0]), -1);
        assert_eq!(base(&[-1.0, 0.0, 3.0, 1.0]), -1);
    }
}
