//! Quick looks at how much words repeat themselves: what coding them exactly takes at the least, and
//! whether it is worth while to tell which repeat which.

use errbar_codec::codes::Word;
use errbar_codec::{Tolerance, Values, log2, transform, with_words};
use errbar_format::record::{PipelineRecord, StageRecord};

use super::rank::SAMPLE_WORDS;
use super::sample;

/// The stage that tells what repeats.
pub(super) const REPEAT: &str = "repeat";
/// Words looked at.
pub(super) const LOOKS: usize = 8192;
/// Counters, of which words that differ may share one: then they only seem to repeat.
const COUNTERS_LOG2: u32 = 14;

/// Bits a word below which neither the words of a sample come, each by itself, nor their differences
/// to the word before, nor those of two rows: the entropy of so few tells no more than their number
/// allows, so that it is too low where there are many kinds of them.
pub(super) fn least_bits(sample: &Values) -> f64 {
    let width = sample.bits.dims.last().copied().unwrap_or(1).max(1);
    with_words!(&sample.bits.words, v => least_bits_of(&v[..v.len().min(LOOKS)], width))
}

/// Where to look, in eighths of the way along every dimension: what repeats often does so in places.
const PLACES: [usize; 5] = [4, 1, 7, 0, 8];
/// The share of what words take by themselves that may be spent on telling of one that it repeats
/// another: where few values occur many are the same by chance, and predicting them is better.
const CHEAP: f64 = 0.35;
/// The same for a glance at fewer words, from which less is learnt.
const CHEAP_AT_A_GLANCE: f64 = 3.0 * CHEAP;
const GLANCE: usize = SAMPLE_WORDS / 4;

/// Whether words repeat others in a way that is cheaper to tell than the words.
pub(super) fn are_worth_telling(values: &Values, tolerance: &Tolerance) -> bool {
    let absent = sample::absent(values, tolerance);
    if !transform::Repeat::are_many(&values.bits, absent.as_deref()) {
        return false;
    }
    let looks = if values.bits.words.len() > SAMPLE_WORDS { &PLACES[..] } else { &PLACES[..1] };
    let is_cheap = |n_words: usize, eighths: usize, share: f64| {
        let mut sample = sample::cut(values, n_words, eighths);
        sample.bits.scan.absent = sample::absent(&sample, tolerance);
        transform::Repeat::price(&sample.bits).is_some_and(|bits| bits < share * least_bits(&sample))
    };
    looks.iter().any(|&eighths| is_cheap(GLANCE, eighths, CHEAP_AT_A_GLANCE) && is_cheap(SAMPLE_WORDS, eighths, CHEAP))
}

/// The candidate that differs from another only in that one of both tells what repeats.
pub(super) fn twin(candidates: &[&PipelineRecord], of: usize) -> Option<usize> {
    let others = |plan: &PipelineRecord| -> Vec<StageRecord> {
        let is_other = |stage: &&StageRecord| stage.name != REPEAT;
        [&plan.quantizer].into_iter().chain(&plan.transforms).chain([&plan.coder]).filter(is_other).cloned().collect()
    };
    let is_twin = |&i: &usize| i != of && tells(candidates[i]) != tells(candidates[of]) && others(candidates[i]) == others(candidates[of]);
    (0..candidates.len()).find(is_twin)
}

/// Whether a plan tells what repeats.
pub(super) fn tells(plan: &PipelineRecord) -> bool {
    plan.transforms.iter().any(|transform| transform.name == REPEAT)
}

fn least_bits_of<W: Word>(words: &[W], width: usize) -> f64 {
    let along = |at: usize| if at > 0 { words[at].wsub(words[at - 1]) } else { words[at] };
    let across = |at: usize| if at > width { along(at).wsub(along(at - width)) } else { along(at) };
    let plain = entropy(words.iter().copied());
    let rest = 0..words.len();
    plain.min(entropy(rest.clone().map(along))).min(entropy(rest.map(across)))
}

/// The entropy of words as they occur, in bits a word, about.
fn entropy<W: Word>(words: impl Iterator<Item = W>) -> f64 {
    let mut counts = vec![0u32; 1 << COUNTERS_LOG2];
    let mut n = 0u32;
    for word in words {
        let place = word.to_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - COUNTERS_LOG2);
        counts[place as usize] += 1;
        n += 1;
    }
    let of_counts: f64 = counts.iter().filter(|&&count| count > 1).map(|&count| f64::from(count) * log2(f64::from(count))).sum();
    if n > 0 { log2(f64::from(n)) - of_counts / f64::from(n) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use errbar_codec::DType;
    use errbar_codec::conformance::SplitMix64;
    use errbar_codec::pipeline::stage;

    #[test]
    fn repeats_that_are_no_chance_are_worth_telling() {
        let is_worth = |word: &dyn Fn(usize) -> u32| {
            let bytes: Vec<u8> = (0..20_000).flat_map(|i| word(i).to_le_bytes()).collect();
            let values = Values::from_bytes(DType::U32, false, &[100, 200], bytes).expect("20,000 integers");
            are_worth_telling(&values, &Tolerance::exact(vec![7]))
        };
        let noise: Vec<u32> = SplitMix64(3).map(|r| r as u32).take(20_000).collect();
        assert!(!is_worth(&|i| noise[i]));
        assert!(is_worth(&|i| noise[i / 4 * 4]));
        let drift: Vec<usize> = (0..100).map(|row| (0..=row).map(|row| noise[row] as usize % 3).sum()).collect();
        assert!(is_worth(&|i| noise[i / 200 / 10 * 50 + (i % 200 + drift[i / 200]) / 10]));
        assert!(!is_worth(&|i| noise[i] % 8), "by chance");
        assert!(!is_worth(&|i| if i % 200 > 100 { 7 } else { noise[i] }), "missing");
    }

    #[test]
    fn twins_differ_in_repeats_alone() {
        let plan = |quantizer: &str, transforms: &[&str]| PipelineRecord {
            quantizer: stage(quantizer, vec![]),
            transforms: transforms.iter().map(|name| stage(name, vec![])).collect(),
            coder: stage("crans", vec![]),
        };
        let plans = [
            plan("order", &["linear"]),
            plan("palette", &["repeat", "linear"]),
            plan("order", &["rotate", "repeat", "linear"]),
            plan("order", &["repeat", "linear"]),
        ];
        let candidates: Vec<&PipelineRecord> = plans.iter().collect();
        assert_eq!([0, 1, 2, 3].map(|i| twin(&candidates, i)), [Some(3), None, None, Some(0)]);
    }

    #[test]
    fn what_repeats_in_any_way_comes_cheap() {
        let noise: Vec<u32> = SplitMix64(3).map(|r| r as u32).take(8192).collect();
        assert!(least_bits_of(&noise, 64) > 11.0);
        let few: Vec<u32> = noise.iter().map(|x| x % 16).collect();
        assert!((least_bits_of(&few, 64) - 4.0).abs() < 0.2);
        let ramp: Vec<u32> = (0..8192).map(|i| i * i).collect();
        assert!(least_bits_of(&ramp, 64) < 1.0);
        let rows: Vec<u32> = noise[..64].iter().copied().cycle().take(8192).collect();
        assert!(least_bits_of(&rows, 64) < 7.0);
        assert_eq!(least_bits_of::<u32>(&[], 1), 0.0);
    }
}
