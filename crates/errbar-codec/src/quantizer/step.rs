//! How far apart the multiples are that stand for numbers.

use crate::float::Float;
use crate::least_squares::log2;

/// A step.
pub(super) struct Step {
    pub(super) size: f64,
    /// The share of numbers that it is expected to miss the limit for.
    pub(super) missed: f64,
}

/// Bits that a word takes which misses the limit: where it stands, and a word or two that it is off.
const MISS_BITS: f64 = 12.0;
/// Below this share of the limit, spacings are all the same: next to nothing.
const LEAST_SPACING: f64 = 1.0 / (1u64 << 50) as f64;

/// The step at which numbers like those of a sample take least, with those that the limit keeps exactly.
///
/// Numbers are at most half a step away from what stands for them, evenly spread, and that is rounded to a word. Words
/// being `spacing` apart, the word is within the limit if it was less than half a spacing more than a whole number
/// of them away: where floats are coarse, a step of an odd number of spacings beats twice the limit. No larger share than
/// `most_missed` is to miss it: where many do, they are off by much.
pub(super) fn step_for(float: Float, sample: &[f64], limit: f64, most_missed: f64) -> Step {
    let mut spacings: Vec<f64> = sample.iter().map(|&x| float.spacing(x).max(limit * LEAST_SPACING)).collect();
    spacings.sort_unstable_by(f64::total_cmp);
    // How far what stands for a number may be away, and of how many numbers.
    let reaches: Vec<(f64, f64)> =
        spacings.chunk_by(|a, b| a == b).map(|same| (((limit / same[0]).floor() + 0.5) * same[0], same.len() as f64)).collect();
    let missed = |step: f64| {
        let missed: f64 = reaches.iter().map(|(reach, n)| n * (1.0 - 2.0 * reach / step).max(0.0)).sum();
        missed / sample.len() as f64
    };
    let steps = reaches.iter().map(|(reach, _)| 2.0 * reach * (1.0 - 1e-9)).filter(|step| step.is_normal());
    // The least of them misses none.
    let steps = steps.map(|size| Step { size, missed: missed(size) }).filter(|step| step.missed <= most_missed);
    let bits = |step: &Step| MISS_BITS * step.missed - log2(step.size);
    let most = Step { size: 2.0 * limit.min(f64::MAX / 2.0), missed: 0.0 };
    steps.min_by(|a, b| bits(a).total_cmp(&bits(b))).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_fit_the_spacing_of_words() {
        let step_for = |float, sample: &[f64], limit| step_for(float, sample, limit, 0.05);
        let near = |step: Step, expected: f64| assert!((step.size / expected - 1.0).abs() < 1e-8, "{} {expected}", step.size);
        // Of 1 and of the smaller numbers that are few.
        let unit = f64::from(f32::EPSILON);
        near(step_for(Float::F32, &[1.0; 4], 3.4 * unit), 7.0 * unit);
        near(step_for(Float::F32, &[1.0; 4], 0.4 * unit), unit);
        let few: Vec<f64> = [1.0; 1000].into_iter().chain([0.25; 1]).collect();
        near(step_for(Float::F32, &few, 3.3 * unit), 7.0 * unit);
        let many: Vec<f64> = [1.0; 1000].into_iter().chain([0.25; 1000]).collect();
        near(step_for(Float::F32, &many, 3.3 * unit), 6.75 * unit);
        near(step_for(Float::F64, &[1.0; 4], 0.1), 0.2);
        near(step_for(Float::F32, &[], 1e-3), 2e-3);
        let far: Vec<f64> = [1.0; 100].into_iter().chain([1e12; 5]).collect();
        near(step_for(Float::F32, &far, 0.5), 1.0 + unit);
        assert!(step_for(Float::F64, &[f64::MAX, 0.0], f64::MAX).size.is_finite() && step_for(Float::F64, &[5e-324], 5e-324).size > 0.0);
    }
}
