//! What the fast mode proposes where every bit is to be kept: few plans, told apart by the entropy
//! of boxes of the values before any of them is coded.

use errbar_codec::codes::Word;
use errbar_codec::pipeline::{NONE, stage};
use errbar_codec::{Coder, Codes, Quantizer, Registry, Result, Tolerance, Values, Words, coder, log2, quantizer, with_words};
use errbar_format::record::{PipelineRecord, StageRecord};

use super::{edges, natural, pipeline, sample};

/// Level of pco: below it pco takes too few bins for what is uneven, above it gains nothing.
const LEVEL: u8 = 8;
/// Levels of zstd for words of one byte and for the planes of others.
const BYTES_LEVEL: i8 = 9;
const SHUFFLED_LEVEL: i8 = 3;
/// Words of a box, those in a row, and where boxes are, in eighths of the way along each dimension: what
/// is calm here may be noisy there.
const BOX_WORDS: usize = 4096;
const RUN: usize = 1024;
const PLACES: [usize; 4] = [1, 3, 5, 7];
/// Words that tell quickly that there is no lattice.
const GLANCE: usize = 1024;
/// Axes that prediction is tried along.
const MAX_AXES: usize = 3;
/// Bits a word by which more axes must be better: their noise adds up.
const WORTH_AXIS: f64 = 0.02;
/// The share of the bits that the median edge detector must save: it is slower; and bits a word below which
/// what is left stands in few places, and boxes do not tell.
const WORTH_EDGES: f64 = 0.03;
const RARE: f64 = 0.5;
/// The share of the bits that classes must save: each more of them is a table to make and to read.
const WORTH_CLASSES: f64 = 0.015;
/// Codes of a row below which telling it apart by the one before takes more time than it saves.
const SHORT_ROW: usize = 8;
/// Classes looked at.
const CLASSES: usize = 4;
/// Every so many sums are enough to part them.
const SOME: usize = 8;
/// A last dimension up to this has components of one thing, as the coder `classes` takes it.
const COMPONENTS: usize = 8;

/// The plan that takes the fewest bytes on a sample.
pub(super) fn families(values: &Values, tolerance: &Tolerance) -> Vec<Vec<PipelineRecord>> {
    let zstd = |level| stage("zstd", coder::Zstd::params(level));
    let in_order = [
        pipeline(NONE, &[], stage("pco", coder::Pco::params(natural(values.dtype), LEVEL))),
        match values.dtype.word() {
            // Words of one byte are coded soon, and those that repeat are labels and masks.
            1 => pipeline(NONE, &[], zstd(BYTES_LEVEL)),
            _ => pipeline(NONE, &[&stage("shuffle", vec![])], zstd(SHUFFLED_LEVEL)),
        },
    ];
    let parts: Vec<Values> = PLACES.iter().map(|&place| sample::slab(values, RUN, BOX_WORDS, place)).collect();
    let registry = Registry::core();
    let predicted = predicted(&registry, values, tolerance, &parts);
    let joined = joined(&parts);
    let cost = |plan: &PipelineRecord| {
        let estimate = pipeline::estimate(&registry, plan, &joined, Some(tolerance), joined.bits.words.len());
        estimate.map_or(f64::MAX, |bytes| 8.0 * bytes / joined.bits.words.len().max(1) as f64)
    };
    let costs = predicted.into_iter().chain(in_order.map(|plan| (cost(&plan), plan)));
    let best = costs.min_by(|a, b| a.0.total_cmp(&b.0));
    vec![best.into_iter().map(|(_, plan)| plan).collect()]
}

/// Words of boxes, one box behind the other.
fn joined(parts: &[Values]) -> Values {
    let mut bytes = Vec::new();
    parts.iter().for_each(|part| bytes.extend_from_slice(&part.bits.words.to_le_bytes()));
    let (dtype, width) = (parts[0].dtype, parts[0].bits.words.width());
    Values { dtype, bits: Codes::plain(vec![bytes.len() / width], Words::from_le_bytes(width, bytes)) }
}

/// The plan that codes residuals, or codes as they are by their neighbours, in the fewest bits a word,
/// and in how many.
fn predicted(registry: &Registry, values: &Values, tolerance: &Tolerance, parts: &[Values]) -> Option<(f64, PipelineRecord)> {
    if values.bits.dims.is_empty() {
        return None;
    }
    let mut quantizers: Vec<(&str, &dyn Quantizer, Vec<u8>)> = Vec::new();
    // A few words that are on no lattice show it sooner than all of them do.
    let few = sample::boxes(values, tolerance, GLANCE, 1);
    if few.iter().any(|few| quantizer::Lattice::wanted(few, tolerance).is_some())
        && let Some(params) = quantizer::Lattice::wanted(values, tolerance)
    {
        quantizers.push(("lattice", &quantizer::Lattice, params));
    }
    if let Some((params, _)) = quantizer::Decimal::wanted(values, tolerance) {
        quantizers.push(("decimal", &quantizer::Decimal, params));
    }
    if quantizers.is_empty()
        && let Some((params, _)) = quantizer::Palette::wanted(values, tolerance)
    {
        quantizers.push(("palette", &quantizer::Palette, params));
    }
    quantizers.push(("order", &quantizer::Order, quantizer::Order::wanted(values, tolerance).0));
    let mut best: Option<(f64, PipelineRecord)> = None;
    for (name, quantizer, params) in quantizers {
        let codes = parts.iter().map(|part| Ok(quantizer.rehearse(part, tolerance, &params)?.codes)).collect::<Result<Vec<_>>>();
        let Ok(codes) = codes else { continue };
        let width = codes.first().map_or(1, |codes| codes.words.width());
        let Some(Prediction { bits, transforms, rows, .. }) = prediction(registry, Boxes { codes, has_colours: false }, values) else {
            continue;
        };
        let bits = bits + 8.0 * params.len() as f64 / values.bits.words.len().max(1) as f64;
        if best.as_ref().is_none_or(|(least, _)| bits < *least) {
            let coder = match rows {
                0 => stage("pco", coder::Pco::residual_params(width, LEVEL)),
                rows => stage("classes", coder::Classes::params(rows, LEVEL)),
            };
            best = Some((bits, PipelineRecord { quantizer: StageRecord { params, ..stage(name, Vec::new()) }, transforms, coder }));
        }
    }
    best
}

/// What codes cost.
struct Prediction {
    /// Bits a code.
    bits: f64,
    /// … of those in one class.
    plain: f64,
    /// What is coded.
    residuals: Boxes,
    /// How they are predicted.
    transforms: Vec<StageRecord>,
    /// Axes that make the rows by whose residuals the next ones are told apart; 0 where that is not
    /// worth it.
    rows: u8,
}

/// Ways to predict codes of so many bytes for these values.
fn predictors(values: &Values, width: usize) -> Vec<Vec<StageRecord>> {
    let n = values.bits.dims.len();
    let along = |axes: u8| if axes > 0 { vec![stage("lorenzo", vec![axes])] } else { Vec::new() };
    let mut all: Vec<Vec<StageRecord>> = (0..=n.min(MAX_AXES) as u8).map(along).collect();
    if let Some(edges) = edges::transforms(values).filter(|_| width <= edges::WIDTH) {
        all.push(edges);
    }
    all
}

/// The dimensions of codes of `dims` behind transforms.
fn behind(transforms: &[StageRecord], dims: &[usize]) -> Vec<usize> {
    let mut dims = dims.to_vec();
    if transforms.iter().any(|transform| transform.name == "rotate") {
        dims.rotate_right(1);
    }
    dims
}

/// Numbers of axes that may make the rows by whose residuals the next ones are told apart.
fn row_axes(dims: &[usize]) -> Vec<u8> {
    let row = |rows: u8| dims[dims.len() - usize::from(rows)..].iter().product::<usize>();
    let is_long = |rows: &u8| row(*rows) >= SHORT_ROW && dims[..dims.len() - usize::from(*rows)].iter().any(|&dim| dim > 1);
    (1..dims.len().min(MAX_AXES) as u8).filter(is_long).collect()
}

/// The cheapest way to code what boxes show of the codes of values.
fn prediction(registry: &Registry, boxes: Boxes, values: &Values) -> Option<Prediction> {
    let width = boxes.codes.first()?.words.width();
    let mut best: Option<Prediction> = None;
    for transforms in predictors(values, width) {
        let (residuals, transforms) = boxes.residuals(registry, &transforms)?;
        let plain = residuals.bits(0);
        let classes = row_axes(&behind(&transforms, &values.bits.dims)).into_iter().map(|rows| (residuals.bits(rows), rows));
        let classes = classes.filter(|(bits, _)| *bits < (1.0 - WORTH_CLASSES) * plain);
        let (bits, rows) = classes.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((plain, 0));
        let is_worth = |best: &Prediction| match transforms.last() {
            Some(last) if last.name == "med" => bits > RARE && bits < (1.0 - WORTH_EDGES) * best.bits,
            _ => bits + WORTH_AXIS < best.bits,
        };
        if best.as_ref().is_none_or(is_worth) {
            best = Some(Prediction { bits, plain, residuals, transforms, rows });
        }
    }
    // Entropies tell plans of one kind apart; others are compared by what coding gives.
    best.map(|best| Prediction {
        bits: best.residuals.coded().unwrap_or(f64::MAX) * (best.bits / best.plain.max(f64::MIN_POSITIVE)),
        ..best
    })
}

/// Parts of the codes.
struct Boxes {
    codes: Vec<Codes>,
    /// Whether their first dimension is of components: the first of them counts as much as the others.
    has_colours: bool,
}

impl Boxes {
    /// What transforms make of them, with the parameters that suit the first.
    fn residuals(&self, registry: &Registry, transforms: &[StageRecord]) -> Option<(Boxes, Vec<StageRecord>)> {
        let (mut boxes, mut chosen) = (self.codes.clone(), transforms.to_vec());
        for record in &mut chosen {
            let transform = registry.transform(record).ok()?;
            if let Some(params) = transform.chooses(boxes.first()?, &record.params) {
                record.params = params;
            }
            boxes = boxes.into_iter().map(|codes| transform.forward(codes, &record.params).ok()).collect::<Option<Vec<_>>>()?;
        }
        let has_colours = chosen.iter().any(|record| record.name == "rotate");
        Some((Boxes { codes: boxes, has_colours }, chosen))
    }

    /// Bits a code, in one class.
    fn coded(&self) -> Option<f64> {
        let width = self.codes.first()?.words.width();
        let mut bytes = Vec::new();
        for codes in &self.codes {
            let (_, _, places) = places(codes, 0, self.has_colours);
            with_words!(&codes.words, v => Word::put_le(&places.iter().map(|&at| v[at]).collect::<Vec<_>>(), &mut bytes));
        }
        if bytes.is_empty() {
            return None;
        }
        let codes = Codes::plain(vec![bytes.len() / width], Words::from_le_bytes(width, bytes));
        let coded = coder::Pco.encode(&codes, &coder::Pco::residual_params(width, LEVEL)).ok()?;
        Some(8.0 * coded.len() as f64 / codes.words.len() as f64)
    }

    /// Bits a code, about, in classes by the row before where one is made of the last `rows`
    /// dimensions, and in one class where that is 0.
    fn bits(&self, rows: u8) -> f64 {
        let places: Vec<(&Codes, Near, Vec<usize>)> = self.codes.iter().map(|codes| places(codes, rows, self.has_colours)).collect();
        let mut sums = Vec::new();
        if rows > 0 {
            for (codes, near, places) in &places {
                with_words!(&codes.words, v => sums.extend(places.iter().map(|&at| near.sum(v, at))));
            }
        }
        let thresholds = thresholds(sums.iter().step_by(SOME).copied().collect());
        let mut classes = sums.into_iter().map(|sum| class(&thresholds, sum));
        let mut looks = Looks { counts: vec![[0; CLASSES]; BUCKETS], rest: 0 };
        for (codes, _, places) in &places {
            with_words!(&codes.words, v => {
                places.iter().for_each(|&at| looks.add(v[at].to_u64(), classes.next().unwrap_or(0)));
            });
        }
        looks.bits()
    }
}

/// Where neighbours stand, as the coder `classes` has it.
#[derive(Clone, Copy)]
struct Near {
    row: usize,
    step: usize,
}

impl Near {
    fn sum<W: Word>(self, words: &[W], at: usize) -> u64 {
        let size = |back: usize| words[at - back].to_u64().min(u64::MAX >> 2);
        size(self.row + self.step) + 2 * size(self.row) + size(self.row - self.step)
    }
}

/// Where a box shows what most of a block is like: no neighbour is missing.
fn places(codes: &Codes, rows: u8, has_colours: bool) -> (&Codes, Near, Vec<usize>) {
    let dims = &codes.dims;
    let extent = |axis: usize| if axis < dims.len() { dims[dims.len() - 1 - axis].max(1) } else { 1 };
    let (width, height) = (extent(0), extent(1));
    let row: usize = (0..rows.into()).map(extent).product();
    let step = if rows > 1 && width <= COMPONENTS { width } else { 1 };
    let near = Near { row, step: step.min(row) };
    // Where a dimension is one alone, nothing is predicted along it.
    let is_inside = |at: usize, extent: usize| at > 0 || extent == 1;
    let inside = |line: &usize| {
        let (y, z) = (line % height, line / height % extent(2));
        is_inside(y, height) && (has_colours || is_inside(z, extent(2))) && (rows == 0 || line * width >= near.row + near.step)
    };
    let lines = (0..codes.words.len() / width).filter(inside);
    (codes, near, lines.flat_map(|line| line * width + usize::from(width > 1)..(line + 1) * width).collect())
}

/// Buckets of codes: small ones alone, four to each power of two of the others.
const BUCKETS: usize = ALONE + 4 * 60;
/// Codes that are buckets of their own; 16, as the bucket behind them begins there.
const ALONE: usize = 16;

/// The bucket of a code, and the bits that tell it from others there.
#[inline(always)]
fn bucket(code: u64) -> (usize, u32) {
    if code < ALONE as u64 {
        return (code as usize, 0);
    }
    let rest = code.ilog2() - 2;
    (ALONE + 4 * (rest as usize - 2) + (code >> rest & 3) as usize, rest)
}

/// Codes counted by their bucket and class.
struct Looks {
    counts: Vec<[u32; CLASSES]>,
    /// Bits below the buckets, of all codes.
    rest: u64,
}

impl Looks {
    fn add(&mut self, code: u64, class: usize) {
        let (bucket, rest) = bucket(code);
        self.counts[bucket][class] += 1;
        self.rest += u64::from(rest);
    }

    /// Bits a code: the entropy of buckets, each class for itself, and what is below them. The most where
    /// there are none.
    fn bits(&self) -> f64 {
        /// So few counts make every distribution look more uneven than it is: by half a nat for each
        /// (Miller, Information Theory in Psychology, 1955).
        const HALF_A_NAT: f64 = 0.7213;
        let weight = |count: u32| if count > 1 { f64::from(count) * log2(f64::from(count)) } else { 0.0 };
        let (mut bits, mut n) = (self.rest as f64, 0);
        for class in 0..CLASSES {
            let counts = || self.counts.iter().map(move |counts| counts[class]).filter(|&count| count > 0);
            let all: u32 = counts().sum();
            bits += weight(all) - counts().map(weight).sum::<f64>();
            bits += HALF_A_NAT * counts().count().saturating_sub(1) as f64;
            n += all;
        }
        if n == 0 { f64::MAX } else { bits / f64::from(n) }
    }
}

fn class(thresholds: &[u64; CLASSES - 1], sum: u64) -> usize {
    thresholds.iter().map(|&threshold| usize::from(sum > threshold)).sum()
}

/// What parts sums in equal shares, as far as they are not the same too often.
fn thresholds(mut sums: Vec<u64>) -> [u64; CLASSES - 1] {
    sums.sort_unstable();
    let mut rest = &sums[..];
    std::array::from_fn(|i| {
        let threshold = rest.get(rest.len() / (CLASSES - i)).copied().unwrap_or(u64::MAX);
        rest = &rest[rest.partition_point(|&sum| sum <= threshold)..];
        threshold
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use errbar_codec::conformance::SplitMix64;
    use errbar_codec::{DType, Words};

    /// What is proposed first for 128 by 128 numbers.
    fn first(dtype: DType, number: impl Fn(usize, usize, u64) -> u64) -> PipelineRecord {
        let words = SplitMix64(3).take(1 << 14).enumerate().map(|(i, random)| number(i / 128, i % 128, random >> 32));
        let words = match dtype.word() {
            2 => Words::U16(words.map(|word| word as u16).collect()),
            _ => Words::U32(words.map(|word| word as u32).collect()),
        };
        let values = Values { dtype, bits: Codes::plain(vec![128, 128], words) };
        families(&values, &Tolerance::exact(Vec::new())).remove(0).remove(0)
    }

    #[test]
    fn axes_edges_and_classes_are_found() {
        let smooth = first(DType::U16, |y, x, random| (y * y + x * x + x * y) as u64 + random % 16);
        assert_eq!((&smooth.transforms[0].params[..], &smooth.coder.name[..]), (&[2][..], "pco"));
        let calm_and_not = first(DType::U16, |y, x, random| (y + x) as u64 + if x / 16 % 2 == 0 { random % 999 } else { random % 2 });
        assert_eq!(calm_and_not.coder.name, "classes");
        let patch = |y: usize, x: usize| (y / 9 * 31 + x / 7 * 17) as u64 % 23 * 40;
        let edges = first(DType::U16, |y, x, random| patch(y, x) + random % 3);
        assert_eq!(edges.transforms[0].name, "med");
        let steps = first(DType::F32, |y, x, random| u64::from(((y + x) as f32 * 0.1 + (random % 8) as f32 * 0.1).to_bits()));
        assert_eq!(steps.quantizer.name, "lattice");
    }

    #[test]
    fn buckets_hold_every_code_once() {
        let edges = (0..2000).chain((9..60).flat_map(|shift| [(7 << shift) - 1, 7 << shift, (7 << shift) + 1]));
        let buckets: Vec<usize> = edges.map(|code| bucket(code).0).collect();
        assert!(buckets.is_sorted() && bucket(u64::MAX).0 == BUCKETS - 1);
        assert_eq!((bucket(15), bucket(16), bucket(19), bucket(20)), ((15, 0), (16, 2), (16, 2), (17, 2)));
    }
}
