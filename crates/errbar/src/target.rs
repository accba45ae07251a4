//! Targets for a variable as a whole: a peak signal-to-noise ratio, a root mean square error, a
//! signal-to-quantization-noise ratio, or a compression ratio. Each becomes the absolute limit that
//! meets it: searched for on boxes of the variable, then on all of it until it holds.

mod solve;
mod trial;

use errbar_codec::Tolerance;
use errbar_format::record::Bound;
use errbar_format::{Error, Result};

use crate::pack::unreadable;
use crate::policy::bound_text;
use crate::range::{Power, Survey};
use solve::{Problem, Side, Start, octave, solve};
pub(crate) use trial::Trials;
use trial::{Outcome, Size};

/// What keeps a target in spite of roundings in the figures that it is compared with.
const ROUNDING: f64 = 1e-9;
/// Octaves by which an error may stay below its target: 0.02 dB.
const ERROR_SLACK: f64 = 0.003;
/// Share of the size by which it may stay below its target.
const SIZE_SLACK: f64 = 0.003;
/// Times at most that the boxes are coded, and the whole variable.
const SAMPLE_TRIALS: u32 = 12;
const WHOLE_TRIALS: u32 = 10;
/// The share of the ratio asked for from which on the boxes, without loss, make it worth trying the
/// whole variable without.
const NEARLY_LOSSLESS: f64 = 0.8;
/// Where a search for a ratio begins, of the largest limit.
const FIRST_LIMIT: f64 = 1.0 / 1024.0;

/// What a target comes to for a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Goal {
    /// The largest root mean square error.
    Error(f64),
    /// The least number of bytes for each coded byte.
    Ratio(f64),
}

impl Goal {
    /// What `target` comes to; nothing where it allows no error.
    fn of(target: Bound, survey: &Survey, power: Power) -> Option<Goal> {
        let below = |signal: f64, decibels: f64| signal.min(f64::MAX) * power_of_ten(-decibels / 20.0);
        let error = match target {
            Bound::Psnr(decibels) => below(survey.range(), decibels),
            Bound::Sqnr(decibels) => below(power.rms, decibels),
            Bound::Rmse(value) => value,
            Bound::Ratio(value) => return Some(Goal::Ratio(value)),
            _ => return None,
        };
        (error > 0.0 && power.count > 0).then_some(Goal::Error(error))
    }

    /// By how much an outcome exceeds the goal, in what grows by about 1 with every octave of the
    /// limit: octaves of the error, or bits a word that are left.
    fn excess(self, outcome: &Outcome) -> f64 {
        match self {
            Goal::Error(_) if outcome.rms() == 0.0 => f64::NEG_INFINITY,
            Goal::Error(most) => octave(outcome.rms() * (1.0 + ROUNDING)) - octave(most),
            Goal::Ratio(least) => bits_a_word(outcome.size, outcome.size.bytes as f64 / least - outcome.coded_bytes as f64),
        }
    }

    fn problem(self, size: Size, most: f64) -> Problem {
        match self {
            Goal::Error(_) => Problem { side: Side::Below, slack: ERROR_SLACK, most },
            Goal::Ratio(least) => {
                let slack = bits_a_word(size, SIZE_SLACK * size.bytes as f64 / least);
                Problem { side: Side::Above, slack, most }
            }
        }
    }
}

fn bits_a_word(size: Size, bytes: f64) -> f64 {
    8.0 * bytes / size.words.max(1) as f64
}

/// `10^x` by operations that every machine does alike, to a few units in the last place.
fn power_of_ten(x: f64) -> f64 {
    let x = x.clamp(-400.0, 400.0);
    let exponent = (x - x.floor()) * std::f64::consts::LN_10;
    let (mut power, mut term) = (1.0, 1.0);
    for i in 1..=40 {
        term *= exponent / f64::from(i);
        power += term;
    }
    for _ in 0..x.floor().abs() as u32 {
        power = if x < 0.0 { power / 10.0 } else { power * 10.0 };
    }
    power
}

/// The target among bounds.
pub(crate) fn of(bounds: &[Bound]) -> Option<Bound> {
    bounds.iter().copied().find(Bound::is_target)
}

/// What is wrong with a variable whose numbers have root mean square errors of `rms` and that takes
/// `ratio` times fewer bytes than before; nothing if it meets `target`.
pub(crate) fn fault(target: Bound, survey: &Survey, power: Power, rms: f64, ratio: f64) -> Option<String> {
    match Goal::of(target, survey, power) {
        None if rms == 0.0 => None,
        Some(Goal::Error(most)) if rms <= most => None,
        Some(Goal::Ratio(least)) if ratio >= least => None,
        Some(Goal::Ratio(_)) => Some(format!("the ratio is {ratio:.4}, and {} was asked", bound_text(&target))),
        _ => Some(format!("the RMS error is {rms:.4e}, and {} was asked", bound_text(&target))),
    }
}

impl Trials<'_> {
    /// What `bounds` come to for the variable; nothing where no error is allowed or needed.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Usage`] if a target among them cannot be met, with how near it is; else
    /// as reading and coding.
    pub(crate) fn tolerance(&self, bounds: &[Bound]) -> Result<Option<Tolerance>> {
        let (at, len) = (self.at, self.variable.bytes().unwrap_or(0));
        let mut survey = Survey::new(self.variable.dtype, self.variable.big_endian)?;
        let fill = survey.all_passes(self.file, at, len).map_err(unreadable)?;
        let Some(target) = of(bounds) else { return Ok(survey.tolerance(bounds, None, &fill)) };
        let power = survey.power(self.file, at, len, &fill).map_err(unreadable)?;
        search(bounds, target, (&survey, power, &fill), self)
    }
}

/// The tolerance that meets all of `bounds`, `target` among them, with the largest error for an error
/// as target, and with the least for a ratio; nothing where no error is allowed or needed.
///
/// # Errors
/// [`errbar_format::Kind::Usage`] if the target cannot be met, with how near it is; else as reading
/// and coding.
fn search(
    bounds: &[Bound],
    target: Bound,
    (survey, power, fill): (&Survey, Power, &[u64]),
    trials: &Trials<'_>,
) -> Result<Option<Tolerance>> {
    let under = |limit: f64| survey.tolerance(bounds, Some(limit), fill);
    // Beyond the range of the values nothing changes any more.
    let range = survey.range().max(survey.largest()).clamp(f64::MIN_POSITIVE, f64::MAX);
    let widest = under(range).filter(|_| power.count > 0);
    let (Some(goal), Some(widest)) = (Goal::of(target, survey, power), widest) else {
        return match target {
            Bound::Ratio(least) => exactly(least, trials.whole(None, 0)?, None),
            _ => Ok(None),
        };
    };
    let whole = |tolerance: Option<&Tolerance>| trials.whole(tolerance, power.count);
    let most = widest.limit.absolute().unwrap_or(range);
    let boxes = trials.boxes(&widest)?;
    let mut start = match goal {
        // The root mean square of errors that are spread evenly.
        Goal::Error(rms) => Start { limit: rms * 3f64.sqrt(), slope: 1.0 },
        Goal::Ratio(_) => Start { limit: most * FIRST_LIMIT, slope: 1.0 },
    };
    let mut worth_trying_exactly = true;
    if let Some(boxes) = &boxes {
        if let Goal::Ratio(least) = goal {
            worth_trying_exactly = trials.code(boxes, None)?.ratio() >= NEARLY_LOSSLESS * least;
        }
        let solved = solve(&goal.problem(boxes.size(), most), start, SAMPLE_TRIALS, |limit| {
            Ok(goal.excess(&trials.code(boxes, under(limit).as_ref())?))
        })?;
        start = Start { limit: solved.met.unwrap_or(solved.next.limit), ..solved.next };
    }
    let mut without_loss = None;
    if let Goal::Ratio(least) = goal
        && worth_trying_exactly
    {
        let outcome = whole(None)?;
        if outcome.ratio() >= least {
            return Ok(None);
        }
        without_loss = Some(outcome);
    }
    let mut best_ratio = 0f64;
    let solved = solve(&goal.problem(trials.size(), most), start, WHOLE_TRIALS, |limit| {
        let outcome = whole(under(limit).as_ref())?;
        best_ratio = best_ratio.max(outcome.ratio());
        Ok(goal.excess(&outcome))
    })?;
    match (solved.met, target) {
        (Some(limit), _) => Ok(under(limit)),
        (None, Bound::Ratio(least)) => exactly(least, without_loss.map_or_else(|| whole(None), Ok)?, Some(best_ratio)),
        (None, _) => Ok(None),
    }
}

/// No tolerance, for a ratio that is met without; `exact` is what coding without loss came to, `lossy`
/// the best ratio with errors.
fn exactly(least: f64, exact: Outcome, lossy: Option<f64>) -> Result<Option<Tolerance>> {
    if exact.size.bytes == 0 || exact.ratio() >= least {
        return Ok(None);
    }
    let nearest = match lossy {
        Some(lossy) => format!("the largest errors that may be give {:.4}", lossy.max(exact.ratio())),
        None => format!("no error is allowed here, which gives {:.4}", exact.ratio()),
    };
    Err(Error::usage(format!("a ratio of {least} cannot be met: {nearest}")).advise("ask for a smaller ratio, or allow larger errors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_are_as_near_as_they_say() {
        for i in -800..=800 {
            let x = f64::from(i) * 0.0437;
            assert!((power_of_ten(x) / 10f64.powf(x) - 1.0).abs() < 1e-13, "{x}");
        }
        assert_eq!([0.0, 1.0, 2.0, -1.0].map(power_of_ten), [1.0, 10.0, 100.0, 0.1]);
    }
}
