mod find;
mod map;

use std::sync::Arc;

use errbar_format::limits::MAX_PARAMS;
use errbar_format::{Error, Result};

use crate::binary::{Reader, Writer};
use crate::bytes::take;
use crate::codes::{Repeats, Scan, Word};
use crate::polyphase::folded;
use crate::stage::{Stage, Transform, bad_params};
use crate::{Codes, Layout, with_words};

/// Tells which codes are the same as others some words before them, as in labels, masks, corners of
/// cells and mirrored meshes: they become absent, and what follows has only the others to code. See
/// `spec/stages/repeat.md`.
#[derive(Clone, Copy, Debug)]
pub struct Repeat;

/// Most distances at which words are repeated.
const MOST: usize = 12;

/// The distances, and the bits of the map.
fn parse(params: &[u8]) -> Result<(Vec<usize>, &[u8])> {
    let mut rest = params;
    let n = take(&mut rest, 1).map_or(usize::MAX, |n| n[0].into());
    let distances = if n <= MOST { take(&mut rest, 4 * n) } else { None };
    let distances: Vec<u32> = Word::get_le(distances.ok_or_else(|| bad_params("repeat has at most 12 distances"))?);
    match distances.contains(&0) {
        false => Ok((distances.into_iter().map(|distance| distance as usize).collect(), rest)),
        true => Err(bad_params("no word repeats itself")),
    }
}

/// Logarithm of the number of words that are remembered, wherever they stand.
const REMEMBERED_LOG2: u32 = 18;

/// How far before each word the one stands that it repeats: the first of the distances at which it can;
/// else the last of its kind, as far as it is remembered, if words are so long that telling where it
/// stands is cheaper than telling what it is.
fn given<W: Word>(words: &[W], distances: &[usize], absent: Option<&[bool]>) -> Vec<u32> {
    let is_absent = |at: usize| absent.is_some_and(|absent| absent[at]);
    let repeats = |at: usize, distance: usize| at.checked_sub(distance).is_some_and(|from| words[from] == words[at] && !is_absent(from));
    let near = |at: usize| distances.iter().find(|&&distance| repeats(at, distance)).map_or(0, |&distance| distance as u32);
    let mut last = vec![0u32; if W::BITS == u64::BITS { 1 << REMEMBERED_LOG2 } else { 0 }];
    let back = |at: usize| {
        if is_absent(at) {
            return 0;
        }
        let near = near(at);
        if last.is_empty() {
            return near;
        }
        let place = (words[at].to_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - REMEMBERED_LOG2)) as usize;
        let from = std::mem::replace(&mut last[place], at as u32);
        let distance = at - from as usize;
        if near == 0 && distance > 0 && repeats(at, distance) { distance as u32 } else { near }
    };
    (0..words.len()).map(back).collect()
}

/// What a look at all words finds: which of them repeat others, how many do, and the parameters that say so.
struct Found {
    params: Vec<u8>,
    repeats: Repeats,
    repeated: usize,
}

/// What repeats among words of a layout; nothing if hardly any word does, or no record could hold what says so.
fn find<W: Word>(words: &[W], layout: &Layout) -> Option<Found> {
    let (n, absent) = (folded(&layout.dims), layout.scan.absent.as_deref());
    let distances = find::distances(words, n, absent);
    if distances.is_empty() {
        return None;
    }
    let mut params = vec![distances.len() as u8];
    params.extend(distances.iter().flat_map(|&distance| (distance as u32).to_le_bytes()));
    let given = given(words, &distances, absent);
    let repeated = given.iter().filter(|&&back| back > 0).count();
    let mut writer = Writer::default();
    let repeats = map::code(&mut writer, n, &distances, absent, Some(&given)).ok()?;
    params.extend(writer.finish());
    // The map of large blocks of few values may be too long to be written down.
    (repeated > 0 && params.len() <= MAX_PARAMS).then_some(Found { params, repeats, repeated })
}

/// The scan of codes of which those that repeat others are left out.
fn scan_without(input: &Layout, repeats: Repeats) -> Scan {
    let mut scan = input.scan.clone();
    if repeats.back.iter().any(|&back| back > 0) {
        let absent = input.scan.absent.as_deref();
        let is_absent = |at: usize| absent.is_some_and(|absent| absent[at]);
        let gone = |(at, &back): (usize, &u32)| back > 0 || is_absent(at);
        scan.absent = Some(repeats.back.iter().enumerate().map(gone).collect());
        scan.repeats = Some(Arc::new(repeats));
    }
    scan
}

impl Repeat {
    /// Whether, as far as a quick look tells, more than a few of the codes that are not absent are the same
    /// as others.
    pub fn are_many(codes: &Codes, absent: Option<&[bool]>) -> bool {
        with_words!(&codes.words, v => !find::distances(v, folded(&codes.dims), absent).is_empty())
    }

    /// What it takes to tell of a code that it is the same as one before, in bits, the mean of all that
    /// are; none if few are.
    pub fn price(codes: &Codes) -> Option<f64> {
        let found = with_words!(&codes.words, v => find(v, &codes.layout()))?;
        Some(8.0 * found.params.len() as f64 / found.repeated as f64)
    }
}

impl Stage for Repeat {
    fn name(&self) -> &'static str {
        "repeat"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "leaves out words that are the same as others before them"
    }

    fn parameters(&self) -> &'static str {
        "n: u8; n distances: u32; adaptive bits"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        // Nothing repeats, or each word the one before it.
        vec![vec![0], vec![1, 1, 0, 0, 0, 0x80]]
    }

    fn guarantee(&self) -> &'static str {
        "reversible for the codes whose repeats its parameters tell"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        let (distances, _) = parse(params)?;
        Ok(distances.iter().map(usize::to_string).collect::<Vec<_>>().join(" "))
    }
}

impl Transform for Repeat {
    fn chooses(&self, codes: &Codes, _: &[u8]) -> Option<Vec<u8>> {
        with_words!(&codes.words, v => find(v, &codes.layout())).map(|found| found.params)
    }

    fn fit(&self, mut codes: Codes, wanted: &[u8]) -> Result<(Vec<u8>, Codes)> {
        let layout = codes.layout();
        match with_words!(&codes.words, v => find(v, &layout)) {
            Some(Found { params, repeats, .. }) => {
                codes.scan = scan_without(&layout, repeats);
                Ok((params, codes))
            }
            None => Ok((wanted.to_vec(), self.forward(codes, wanted)?)),
        }
    }

    fn grows(&self) -> bool {
        true
    }

    fn takes_any(&self) -> bool {
        false
    }

    fn keeps_absent(&self) -> bool {
        true
    }

    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        let ((distances, bits), absent) = (parse(params)?, input.scan.absent.as_deref());
        let repeats = map::code(&mut Reader::new(bits), folded(&input.dims), &distances, absent, None)?;
        Ok(Layout { scan: scan_without(input, repeats), ..input.clone() })
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        codes.scan = self.output(&codes.layout(), params)?.scan;
        let is_true = |repeats: &Repeats| {
            with_words!(&codes.words, v => {
                (0..v.len()).all(|at| repeats.source(at).is_none_or(|from| v[from] == v[at]))
            })
        };
        match codes.scan.repeats.as_deref().is_none_or(is_true) {
            true => Ok(codes),
            false => Err(Error::usage("repeat was told that words are the same that are not")),
        }
    }

    fn inverse(&self, mut codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        parse(params)?;
        if let Some(repeats) = codes.scan.repeats.take() {
            with_words!(&mut codes.words, v => for at in 0..v.len() {
                if let Some(from) = repeats.source(at) {
                    v[at] = v[from];
                }
            });
        }
        codes.scan = input.scan.clone();
        Ok(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::SplitMix64;
    use crate::pipeline::{self, stage};
    use crate::{DType, Registry, Tolerance, Values, Words};
    use errbar_format::record::PipelineRecord;

    /// What is left to code, beside the map.
    fn coded(values: &Values, transforms: &[&str], coder: &str, fill: Vec<u64>) -> usize {
        let transforms = transforms.iter().map(|name| stage(name, vec![])).collect();
        let plan = PipelineRecord { quantizer: stage("order", vec![]), transforms, coder: stage(coder, vec![]) };
        let encoded = pipeline::encode(&Registry::core(), &plan, values, Some(&Tolerance::exact(fill))).expect("integers");
        assert_eq!(encoded.decoded, *values);
        encoded.payload.len() + encoded.pipeline.transforms.iter().map(|record| record.params.len()).sum::<usize>()
    }

    fn integers(dims: &[u64], number: impl Fn(u64) -> u32) -> Values {
        let n = dims.iter().product();
        let bytes: Vec<u8> = (0..n).flat_map(|i| number(i).to_le_bytes()).collect();
        Values::from_bytes(DType::U32, false, dims, bytes).expect("as many integers as bytes")
    }

    #[test]
    fn each_number_is_coded_once() {
        let noise: Vec<u32> = SplitMix64(1).map(|r| r as u32 >> 4).take(10_000).collect();
        // The corners of cells: four for each, most of them those of other cells.
        let corner = |i: u64| noise[(i / 4 / 50 + i % 4 / 2) as usize * 51 + (i / 4 % 50 + i % 2) as usize];
        let corners = integers(&[40, 50, 4], corner);
        for (transforms, coder) in [(&["repeat", "linear"][..], "crans"), (&["repeat", "linear"], "carith"), (&["repeat"], "crans")] {
            let len = coded(&corners, transforms, coder, vec![]);
            assert!(len < 41 * 51 * 4 + 1000, "{len} {transforms:?}");
        }
        let labels = integers(&[60, 70], |i| noise[(i / 70 / 13 * 9 + i % 70 / 11) as usize]);
        assert!(coded(&labels, &["repeat", "linear"], "carith", vec![]) < 600);
        // Absent words repeat nothing, and nothing repeats them.
        let holed = integers(&[60, 70], |i| if noise[i as usize].is_multiple_of(5) { 9 } else { noise[i as usize / 7] });
        assert!(coded(&holed, &["repeat", "linear"], "crans", vec![9]) < 600 * 4 + 1200);
        assert!(coded(&holed, &["rotate", "repeat", "linear"], "crans", vec![9]) > 0);
    }

    #[test]
    fn a_map_above_the_limit_is_left_out() {
        let few = |n: usize| Codes::plain(vec![n], Words::U32(SplitMix64(1).map(|r| r as u32 % 2).take(n).collect()));
        assert!(Repeat.chooses(&few(1 << 16), &[]).expect("half of them repeat others").len() > 1 << 12);
        let too_many = few(8 * MAX_PARAMS * 5 / 4);
        assert_eq!((Repeat.chooses(&too_many, &[]), Repeat::price(&too_many)), (None, None));
        assert!(Repeat.fit(too_many, &[]).is_err());
    }

    #[test]
    fn noise_has_no_map_and_others_words_are_refused() {
        let noise = Codes::plain(vec![5000], Words::U32(SplitMix64(1).map(|r| r as u32).take(5000).collect()));
        assert_eq!(Repeat.chooses(&noise, &[]), None);
        let pairs = Codes::plain(vec![5000], Words::U32(SplitMix64(1).flat_map(|r| [r as u32; 2]).take(5000).collect()));
        let own = Repeat.chooses(&pairs, &[]).expect("half of them repeat the others");
        assert!(own.len() < 60, "{}", own.len());
        assert!(Repeat.forward(pairs, &own).is_ok());
        assert_eq!(Repeat.forward(noise, &own).expect_err("other words").kind, errbar_format::Kind::Usage);
    }
}
