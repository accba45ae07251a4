//! The context of a word: a weighted sum of the magnitudes around it.

use std::ops::Range;
use std::sync::OnceLock;

use super::signs::{Signs, sign_of_token};
use super::tables::BINS;
use super::token::{LINEAR, MAGNITUDES, MOST, OCTAVE};
use crate::polyphase::{DIMS, Extents, Grid, Offset, Rows, SLACK, classes, neighbour, rows};

/// Groups of neighbours, each with a weight.
pub(super) const GROUPS: usize = 13;
/// The two words before, in the row: the only ones a row cannot know in advance.
pub(super) const LEFT: usize = 0;
pub(super) const LEFT2: usize = 1;
/// The words of the row before.
pub(super) const ABOVE: usize = 2;
const BESIDE: usize = 3;
/// The first of those that are complete classes.
const KNOWN: usize = 7;
/// The first of those in planes before the row's own.
pub(super) const PLANE: usize = 4;
/// The running average of the rows before.
const TREND: usize = 12;
/// Groups that count where a class is too small for weights of its own.
const COARSE_GROUPS: [usize; 10] = [0, 2, 4, 6, 7, 8, 9, 10, 11, 12];
/// Words below which a class has no weights of its own.
pub(super) const SMALL: usize = 256;

/// Where a neighbour's magnitude stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In the class itself, before the word.
    Own,
    /// In a class that is complete.
    Class(u8),
    /// In the running average.
    Trend,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) source: Source,
    pub(super) offset: Offset,
}

impl Member {
    /// Whether, in the first slice of a band along an axis, it stands in another band.
    pub(super) fn leaves(&self, axis: usize) -> bool {
        self.offset[axis] < 0 && self.offset[..axis].iter().all(|&d| d == 0)
    }
}

/// Bits below which all sums of a word stay, those to the left included.
pub(super) const SUM_BITS: u32 = 24;

/// The members of each group; some groups have none.
pub(super) type Template = [Vec<Member>; GROUPS];

/// The neighbours of a class of `n` words, which `level` takes out of a grid; `whole` is the
/// extent of the finest grid.
pub(super) fn template(whole: Extents, level: u8, class: u8, n: Extents) -> Template {
    let mut groups: Template = Default::default();
    let own: [(usize, &[Offset]); 7] = [
        (LEFT, &[[0, 0, 0, -1]]),
        (LEFT2, &[[0, 0, 0, -2]]),
        (ABOVE, &[[0, 0, -1, 0]]),
        (BESIDE, &[[0, 0, -1, -1], [0, 0, -1, 1]]),
        (PLANE, &[[0, -1, 0, 0]]),
        (5, &[[0, -1, 0, -1], [0, -1, 0, 1], [0, -1, -1, 0], [0, -1, 1, 0]]),
        (6, &[[-1, 0, 0, 0]]),
    ];
    for (group, offsets) in own {
        let inside = offsets.iter().filter(|offset| (0..DIMS).all(|d| offset[d] == 0 || n[d] > 1));
        groups[group].extend(inside.map(|&offset| Member { source: Source::Own, offset }));
    }
    let known: Vec<u8> = classes(level).into_iter().take_while(|&c| c != class).collect();
    let reach = whole.map(|n| if n > 1 { -1..=1 } else { 0..=0 });
    let [i, j, k, x] = reach;
    let deltas = i.flat_map(|i| {
        let (k, x) = (k.clone(), x.clone());
        j.clone().flat_map(move |j| {
            let x = x.clone();
            k.clone().flat_map(move |k| x.clone().map(move |x| [i, j, k, x]))
        })
    });
    for delta in deltas {
        let (there, offset) = neighbour(level, class, delta);
        if !known.contains(&there) {
            continue;
        }
        let group = match (delta.iter().filter(|&&d| d != 0).count(), there) {
            (1, 1..) => 7,
            (1, 0) => 8,
            (2, 1..) => 9,
            (2, 0) => 10,
            (3, _) => 11,
            _ => continue,
        };
        groups[group].push(Member { source: Source::Class(there), offset });
    }
    if n[..DIMS - 1].iter().any(|&n| n > 1) && n[DIMS - 1] > 1 {
        groups[TREND].extend([-2, 0, 2].map(|x| Member { source: Source::Trend, offset: [0, 0, 0, x] }));
    }
    groups
}

/// Weights, in units of 1 / 256, for classes too small for their own.
pub(super) fn plain_weights(template: &Template) -> [u8; GROUPS] {
    let mut weights = [0; GROUPS];
    let used = COARSE_GROUPS.into_iter().filter(|&g| !template[g].is_empty());
    let count = used.clone().count();
    for group in used {
        weights[group] = (256 / count / template[group].len()).clamp(1, 255) as u8;
    }
    weights
}

/// A class at work: what its words' contexts are made of.
pub(super) struct Context {
    left: u32,
    left2: u32,
    near: Near,
    /// Groups of the class's planes before.
    far: Vec<Term>,
    /// What complete classes say of every word, in 256ths, and, as soon as a plane is begun, the planes
    /// before.
    known: Grid<u32>,
}

/// The groups of the row before, and the trend: weights, and distances in memory.
struct Near {
    above: u32,
    above_step: isize,
    beside: u32,
    beside_steps: [isize; 2],
    trend: u32,
    /// Whether the row before may be another band's.
    leaves: bool,
}

/// A group.
struct Term {
    weight: u32,
    /// Source, distance in memory, and whether that may lead to another band.
    members: Vec<(Source, isize, bool)>,
}

/// Points before the averages of a row, and behind them, that are those at its ends.
pub(super) const TREND_HALO: usize = 2;

/// The `n` points of the rows before a row, averaged with less and less weight, and a halo.
pub(super) struct Trend {
    points: Vec<u16>,
    n: usize,
}

impl Trend {
    pub(super) fn new(n: usize) -> Self {
        Trend { points: vec![0; n + 2 * TREND_HALO + SLACK], n }
    }

    /// The averages from so many before or behind the row's own.
    #[inline(always)]
    fn wide(&self, step: isize) -> &[[u16; SLACK]] {
        self.points[TREND_HALO.wrapping_add_signed(step)..][..self.n.next_multiple_of(SLACK)].as_chunks().0
    }

    /// The averages, with the halo.
    pub(super) fn points(&self) -> &[u16] {
        &self.points
    }

    /// Takes in magnitudes that stand in memory from `first` on.
    #[inline(always)]
    pub(super) fn learn(&mut self, own: &[u16], first: usize) {
        // Four magnitudes fit a `u16`.
        let blend = |old: u16, a: u16, b: u16, c: u16| -> u16 {
            let smooth = (a + 2 * b + c + 2) >> 2;
            (3 * old + smooth + 2) >> 2
        };
        let last = self.n - 1;
        let (row, points) = (&own[first..first + self.n], &mut self.points[TREND_HALO..]);
        let ends =
            [blend(points[0], row[0], row[0], row[1.min(last)]), blend(points[last], row[last.saturating_sub(1)], row[last], row[last])];
        if self.n > 2 {
            // What is beside the row and behind it does not count in the end.
            let wide = self.n.next_multiple_of(SLACK);
            let [before, here, after] = [first - 1, first, first + 1].map(|first| &own[first..first + wide]);
            let points = &mut points[..wide];
            for x in 0..wide {
                points[x] = blend(points[x], before[x], here[x], after[x]);
            }
        }
        (points[0], points[last]) = (ends[0], ends[1]);
        points[last + 1..last + 1 + TREND_HALO].fill(ends[1]);
        self.points[..TREND_HALO].fill(ends[0]);
    }
}

/// Words that one group is added to before the next, so that they stay in the nearest cache.
const PIECE: usize = 2048;

impl Context {
    /// `axis` is the one that bands cut; `own` is the grid of the class's magnitudes.
    #[inline(always)]
    pub(super) fn new(template: &Template, weights: &[u8; GROUPS], axis: usize, own: &Grid<u16>, classes: &[Grid<u16>]) -> Self {
        let weight = |group: usize| if template[group].is_empty() { 0 } else { u32::from(weights[group]) };
        let member = |m: &Member| match m.source {
            Source::Own => (m.source, own.step(m.offset), m.leaves(axis)),
            Source::Class(_) => (m.source, own.step(m.offset), false),
            Source::Trend => (m.source, m.offset[DIMS - 1] as isize, false),
        };
        let terms = |groups: Range<usize>| -> Vec<Term> {
            let used = groups.filter(|&group| weight(group) > 0);
            used.map(|group| Term { weight: weight(group), members: template[group].iter().map(member).collect() }).collect()
        };
        let mut known = own.beside(own.n);
        let span = known.span();
        for term in terms(KNOWN..TREND) {
            let points = |source| if let Source::Class(class) = source { classes[usize::from(class)].data() } else { &[] };
            add_span(known.data_mut(), span.clone(), term.weight, term.members.iter().map(|&(source, step, _)| (points(source), step)));
        }
        let step = |member: Option<&Member>| member.map_or(0, |m| own.step(m.offset));
        let near = Near {
            above: weight(ABOVE),
            above_step: step(template[ABOVE].first()),
            beside: weight(BESIDE),
            beside_steps: [0, 1].map(|i| step(template[BESIDE].get(i))),
            trend: weight(TREND),
            leaves: axis == DIMS - 2,
        };
        Context { left: weight(LEFT), left2: weight(LEFT2), near, far: terms(PLANE..KNOWN), known }
    }

    /// Takes in what planes before say of the rows of a band in a plane: once, before the first of them.
    /// In the first slice of a band, nothing of the band before is known.
    #[inline(always)]
    fn begin(&mut self, own: &Grid<u16>, [i, j, _]: [usize; DIMS - 1], rows: Range<usize>, first_slice: bool) {
        let last = self.known.start([i, j, rows.end - 1]);
        let span = self.known.start([i, j, rows.start])..last + self.known.n[DIMS - 1];
        for term in &self.far {
            let members = term.members.iter().filter(|(_, _, leaves)| !(*leaves && first_slice));
            add_span(self.known.data_mut(), span.clone(), term.weight, members.map(|&(_, step, _)| (own.data(), step)));
        }
    }

    /// All that must be done at a row whose sums nobody asks for.
    #[inline(always)]
    pub(super) fn pass(&mut self, own: &Grid<u16>, place: &Place) {
        if let Some(rows) = place.begins.clone() {
            self.begin(own, place.row, rows, place.first_slice);
        }
    }

    /// The sums of a row without the words to the left, in 256ths, and what is behind the row, which
    /// means nothing. `own` has the magnitudes of the class, zero where they are not known yet. Rows of a
    /// band must be asked for in their order.
    #[inline(always)]
    pub(super) fn row(&mut self, own: &Grid<u16>, trend: &Trend, place: &Place, sums: &mut [[u32; SLACK]]) {
        let (row, first_slice) = (place.row, place.first_slice);
        self.pass(own, place);
        let Near { above, above_step, beside, beside_steps, trend: of_trend, leaves } = self.near;
        let is_known = u32::from(!(leaves && first_slice));
        let (above, beside) = (above * is_known, beside * is_known);
        // Where nothing is known, anything may stand, and what counts for nothing is the row itself.
        let step = |step: isize| if is_known == 1 { step } else { 0 };
        let points = own.wide_row(row, step(above_step)).iter();
        let points = points.zip(own.wide_row(row, step(beside_steps[0]))).zip(own.wide_row(row, step(beside_steps[1])));
        let trends = trend.wide(-2).iter().zip(trend.wide(0)).zip(trend.wide(2));
        let known = self.known.wide_row(row, 0).iter();
        for (((sums, known), ((&a, &b), &c)), ((&d, &e), &f)) in sums.iter_mut().zip(known).zip(points).zip(trends) {
            let mut sum = *known;
            add(&mut sum, above, a);
            add(&mut sum, beside, both(b, c));
            add(&mut sum, of_trend, both(both(d, e), f));
            *sums = sum.map(|sum| sum.min(MOST << 8));
        }
    }

    /// The context of a word from its row's sum and the magnitudes to the left.
    #[inline(always)]
    pub(super) fn value(&self, sum: u32, left: u32, left2: u32) -> u32 {
        (sum + self.left * left + self.left2 * left2) >> 8
    }

    /// What a word of each token adds to the sum of the next word, in the lower half, and of the one behind
    /// it, with the pair of signs above the sums.
    #[inline(always)]
    pub(super) fn of_tokens(&self, signs: Signs) -> [u64; 1 << 8] {
        let (of_left, of_left2) = match signs {
            Signs::Ignored => (0, 0),
            Signs::Above | Signs::Before => (3, 0),
            Signs::Left2 => (3, 1),
        };
        std::array::from_fn(|token| {
            let (magnitude, sign) = (u32::from(MAGNITUDES[token]), u32::from(sign_of_token(token as u8)));
            let adds = |weight: u32, of_sign: u32| u64::from(weight * magnitude + ((of_sign * sign) << SUM_BITS));
            adds(self.left2, of_left2) << 32 | adds(self.left, of_left)
        })
    }

    /// The contexts of a row from its sums and its magnitudes, two zeros before them.
    #[inline(always)]
    pub(super) fn add_left(&self, sums: &mut [u32], magnitudes: &[u16]) {
        let n = sums.len();
        let (left2, left) = (&magnitudes[..n], &magnitudes[1..n + 1]);
        for x in 0..n {
            sums[x] = self.value(sums[x], left[x].into(), left2[x].into());
        }
    }
}

// By value: what stands behind references that may be the same does not go into vectors.

#[inline(always)]
fn both(mut a: [u16; SLACK], b: [u16; SLACK]) -> [u16; SLACK] {
    for x in 0..SLACK {
        a[x] += b[x];
    }
    a
}

#[inline(always)]
fn add(sums: &mut [u32; SLACK], weight: u32, points: [u16; SLACK]) {
    for x in 0..SLACK {
        sums[x] += weight * u32::from(points[x]);
    }
}

/// Adds to sums what stands at other places: each the points of a grid that stand as the sums do, and a
/// distance in memory.
#[inline(always)]
fn add_span<'a>(sums: &mut [u32], span: Range<usize>, weight: u32, members: impl Iterator<Item = (&'a [u16], isize)> + Clone) {
    for first in span.clone().step_by(PIECE) {
        let sums = &mut sums[first..span.end.min(first + PIECE)];
        let (n, w) = (sums.len(), weight);
        let mut slices = members.clone().map(|(points, step)| &points[first.wrapping_add_signed(step)..][..n]);
        // Four activities fit a `u16`.
        loop {
            match (slices.next(), slices.next(), slices.next(), slices.next()) {
                (Some(a), Some(b), Some(c), Some(d)) => {
                    for x in 0..n {
                        sums[x] += w * u32::from(a[x] + b[x] + (c[x] + d[x]));
                    }
                }
                (Some(a), Some(b), Some(c), None) => {
                    for x in 0..n {
                        sums[x] += w * u32::from(a[x] + b[x] + c[x]);
                    }
                }
                (Some(a), Some(b), None, _) => {
                    for x in 0..n {
                        sums[x] += w * u32::from(a[x] + b[x]);
                    }
                }
                (Some(a), None, _, _) => {
                    for x in 0..n {
                        sums[x] += w * u32::from(a[x]);
                    }
                }
                (None, ..) => break,
            }
        }
    }
}

/// Contexts from here on are counted by octaves of magnitudes.
const BY_OCTAVES: u32 = 16 * LINEAR;
/// Bins before those.
pub(super) const LINEAR_BINS: u32 = 32;

/// The bin of a context: four an octave, then two an octave of magnitudes.
#[inline(always)]
pub(super) fn bin(value: u32) -> u8 {
    if value >= BY_OCTAVES {
        return (LINEAR_BINS + (value - BY_OCTAVES) / (OCTAVE / 2)).min(BINS as u32 - 1) as u8;
    }
    let t = value + 4;
    let octave = t.ilog2();
    (4 * (octave - 2) + (t >> (octave - 2) & 3)).min(LINEAR_BINS) as u8
}

/// More contexts than there are: the largest is below 2^16.
pub(super) const CONTEXTS: usize = 1 << 16;

/// The bin of every context there can be: a look-up costs less than the bin.
pub(super) fn all_bins() -> &'static [u8; CONTEXTS] {
    static ALL: OnceLock<Box<[u8; CONTEXTS]>> = OnceLock::new();
    ALL.get_or_init(|| Box::new(std::array::from_fn(|context| bin(context as u32))))
}

/// The bins of many contexts: exponent and highest bits of a float tell them, and come from
/// vectors.
#[inline(always)]
pub(super) fn bins(values: &[u32], bins: &mut [u8]) {
    const FIRST: u32 = 4.0f32.to_bits() >> 21;
    for (bin, &value) in bins.iter_mut().zip(values) {
        let quarter = (((value + 4) as i32 as f32).to_bits() >> 21).wrapping_sub(FIRST).min(LINEAR_BINS);
        let half = LINEAR_BINS + value.saturating_sub(BY_OCTAVES) / (OCTAVE / 2);
        *bin = if value >= BY_OCTAVES { half.min(BINS as u32 - 1) } else { quarter } as u8;
    }
}

/// What finished words tell later classes about their surroundings.
#[inline(always)]
pub(super) fn activity(value: u32, magnitude: u16) -> u16 {
    // The sum fits a `u16`.
    (value.min(MOST) as u16 + 2 * magnitude) / 3
}

/// How the words of a class are coded side by side, so that none waits for the one before it: the
/// slices along one axis are cut into bands, and the rows of all bands that are equally far from
/// the band's beginning are a wave; or, where there are too few slices, rows are cut into pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bands {
    /// The axis that is cut, if rows are not.
    pub(super) axis: usize,
    pub(super) count: usize,
    /// Slices of a band; the last may have fewer.
    slices: usize,
    /// Whether rows are cut into [`PIECES`].
    pub(super) in_pieces: bool,
    /// The extents of all.
    pub(super) n: Extents,
}

/// Pieces of a row that is cut.
pub(super) const PIECES: usize = 4;
/// Slices that are many: bands lose next to nothing by what stands in others.
const MANY: usize = 24;
/// Words of a row that is cut, at least.
const LONG: usize = 64;

impl Bands {
    /// The last axis but the rows' own that is long enough; else the rows, if they are; else the longest.
    pub(super) fn new(n: Extents) -> Self {
        let axes = [2, 1, 0];
        if let Some(axis) = axes.into_iter().find(|&axis| n[axis] >= MANY) {
            return Bands { axis, count: 4, slices: n[axis].div_ceil(4), in_pieces: false, n };
        }
        if n[DIMS - 1] >= LONG {
            return Bands { in_pieces: true, ..Bands::whole(n) };
        }
        let axis = axes.into_iter().fold(2, |best, axis| if n[axis] > n[best] { axis } else { best });
        let count = match n[axis] {
            16.. => 4,
            8.. => 2,
            _ => 1,
        };
        Bands { axis, count, slices: n[axis].div_ceil(count), in_pieces: false, n }
    }

    /// All in one.
    pub(super) fn whole(n: Extents) -> Self {
        Bands { count: 1, slices: n[2], axis: 2, in_pieces: false, n }
    }

    /// Words that each piece of a row has; the last has what is left, too.
    pub(super) fn piece(&self) -> usize {
        self.n[DIMS - 1] / PIECES
    }

    /// Where the pieces of a row are; one, if rows are not cut.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let width = self.n[DIMS - 1];
        let (count, piece) = if self.in_pieces { (PIECES, self.piece()) } else { (1, width) };
        (0..count).map(move |i| i * piece..if i + 1 == count { width } else { (i + 1) * piece })
    }

    /// The row of each wave in the first band, in their order.
    pub(super) fn waves(&self) -> Rows {
        let mut n = self.n;
        n[self.axis] = self.slices;
        rows(n)
    }

    /// The row of a band in a wave.
    #[inline(always)]
    pub(super) fn place(&self, band: usize, wave: [usize; DIMS - 1]) -> Option<Place> {
        let mut row = wave;
        row[self.axis] += band * self.slices;
        let rows = match self.axis {
            2 => row[2]..self.n[2].min(row[2] + self.slices),
            _ => 0..self.n[2],
        };
        let begins = (wave[2] == 0).then_some(rows);
        (row[self.axis] < self.n[self.axis]).then_some(Place { row, first_slice: wave[self.axis] == 0, begins })
    }
}

/// A row of a band.
pub(super) struct Place {
    pub(super) row: [usize; DIMS - 1],
    /// Whether it is in the band's first slice.
    pub(super) first_slice: bool,
    /// The rows of the band in a plane, if it is the first of them.
    begins: Option<Range<usize>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_quarters_and_halves_of_octaves() {
        assert_eq!([0, 1, 3, 4, 5, 6, 12, 1023, 1024, 1152, MOST].map(bin), [0, 1, 3, 4, 4, 5, 8, 32, 32, 33, 151]);
        let values: Vec<u32> = (0..4 * MOST).collect();
        let mut all = vec![0; values.len()];
        bins(&values, &mut all);
        assert!(values.iter().zip(all).all(|(&value, wide)| bin(value) == wide && usize::from(wide) < BINS));
        assert!(values.iter().zip(all_bins()).all(|(&value, &known)| bin(value) == known));
    }

    #[test]
    fn bands_cover_every_row_once() {
        for n in [[1, 1, 1, 9], [1, 1, 2, 67], [1, 1, 50, 3], [1, 13, 4, 2], [49, 2, 3, 1], [1, 1, 11, 2], [2, 3, 25, 1]] {
            let bands = Bands::new(n);
            let mut rows: Vec<_> = bands
                .waves()
                .flat_map(|wave| (0..bands.count).filter_map(move |band| bands.place(band, wave)))
                .map(|place| place.row)
                .collect();
            rows.sort_unstable();
            assert_eq!(rows, Grid::<u8>::new(n, n, [0; DIMS]).each_row().collect::<Vec<_>>(), "{n:?}");
            assert_eq!(bands.pieces().flatten().collect::<Vec<_>>(), (0..n[3]).collect::<Vec<_>>(), "{n:?}");
        }
    }
}
