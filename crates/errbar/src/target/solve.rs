//! Secant steps for a limit, in the binary logarithm of the limit.

use errbar_format::Result;

/// Slopes beyond these are taken for accidents of a few values.
const SLOPES: (f64, f64) = (0.1, 4.0);
/// Octaves that the first step without a value on either side goes at most; others go twice as far
/// as the one before.
const STRIDE: f64 = 8.0;
/// Octaves between two limits that are not told apart: 0.02 %.
const NARROW: f64 = 1.0 / 4096.0;
/// Steps after which every other one halves the interval.
const PATIENCE: u32 = 6;

/// On which side of zero the excess meets the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    /// What grows with the limit must stay small: an error.
    Below,
    /// What grows with the limit must become large: bytes to spare.
    Above,
}

/// What is searched for: a limit whose excess, which grows with it, is next to zero on one side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Problem {
    pub(super) side: Side,
    /// How far from zero is near enough.
    pub(super) slack: f64,
    /// The largest limit.
    pub(super) most: f64,
}

/// Where a search begins, and how much the excess grows by an octave there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) limit: f64,
    pub(super) slope: f64,
}

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Solved {
    /// The limit nearest to the target of those that meet it.
    pub(super) met: Option<f64>,
    /// Where the target is, as far as is known.
    pub(super) next: Start,
}

/// The binary logarithm, straight between powers of two. It is the bits of the number.
pub(super) fn octave(x: f64) -> f64 {
    x.to_bits() as f64 / (1u64 << 52) as f64
}

/// The number of an [`octave`].
fn number(octave: f64) -> f64 {
    f64::from_bits((octave * (1u64 << 52) as f64) as u64)
}

/// Tries limits, at most so many, until one is near enough.
///
/// # Errors
/// Those of `excess`.
pub(super) fn solve(problem: &Problem, start: Start, trials: u32, mut excess: impl FnMut(f64) -> Result<f64>) -> Result<Solved> {
    let Problem { side, slack, most } = *problem;
    let (meets, aim): (fn(f64) -> bool, f64) = match side {
        Side::Below => (|g| g <= 0.0, -slack / 2.0),
        Side::Above => (|g| g >= 0.0, slack / 2.0),
    };
    let nearer = if side == Side::Below { f64::max } else { f64::min };
    let (bottom, top) = (octave(f64::MIN_POSITIVE), octave(most));
    // Octaves with their excess.
    let [mut low, mut high, mut before]: [Option<(f64, f64)>; 3] = [None; 3];
    let mut met: Option<f64> = None;
    let (mut at, mut slope) = (octave(start.limit).clamp(bottom, top), start.slope);
    for trial in 0..trials {
        let g = excess(number(at))?;
        if meets(g) {
            met = Some(met.map_or(at, |best| nearer(best, at)));
        }
        if (meets(g) && g.abs() <= slack) || (g < aim && at >= top) || (g >= aim && at <= bottom) {
            break;
        }
        match g < aim {
            true => low = Some((at, g)),
            false => high = Some((at, g)),
        }
        if let Some((u, h)) = before
            && ((g - h) / (at - u)).is_finite()
        {
            slope = ((g - h) / (at - u)).clamp(SLOPES.0, SLOPES.1);
        }
        before = Some((at, g));
        at = match (low, high) {
            (Some((u, g)), Some((v, h))) => {
                if v - u < NARROW {
                    break;
                }
                let part = (aim - g) / (h - g);
                let halve = !part.is_finite() || (trial >= PATIENCE && trial % 2 == 1);
                let edge = 0.5 * NARROW / (v - u);
                u + (v - u) * if halve { 0.5 } else { part.clamp(edge, 1.0 - edge) }
            }
            _ => {
                let stride = STRIDE * f64::from(1 << trial.min(8));
                let step = ((aim - g) / slope).clamp(-stride, stride);
                (at + step + NARROW.copysign(step)).clamp(bottom, top)
            }
        };
    }
    Ok(Solved { met: met.map(number), next: Start { limit: number(at), slope } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(side: Side, start: f64, most: f64, excess: impl Fn(f64) -> f64) -> (Option<f64>, u32) {
        let mut trials = 0;
        let problem = Problem { side, slack: 1e-3, most };
        let solved = solve(&problem, Start { limit: start, slope: 1.0 }, 40, |limit| {
            trials += 1;
            Ok(excess(limit))
        });
        (solved.expect("nothing fails").met, trials)
    }

    #[test]
    fn logarithms_are_found_in_a_few_steps() {
        for target in [1e-300, 1e-9, 0.7, 3e10] {
            let (limit, trials) = found(Side::Below, 1.0, 1e30, |limit| (limit / target).log2());
            let limit = limit.expect("there is one");
            assert!(limit <= target && limit > target * 0.999, "{limit:e}");
            assert!(trials < 20, "{trials}");
        }
        let (limit, trials) = found(Side::Above, 1.0, 1e30, |limit| 0.3 * (limit / 50.0).log2() + (limit / 50.0 - 1.0).min(2.0));
        assert!((50.0..50.1).contains(&limit.expect("there is one")) && trials <= 12, "{limit:?} {trials}");
    }

    #[test]
    fn jumps_are_halved_down_and_ends_are_ends() {
        let step = |limit: f64| if limit > 0.25 { 1.0 } else { f64::NEG_INFINITY };
        let limit = found(Side::Below, 100.0, 1e9, step).0.expect("small ones do");
        assert!(limit <= 0.25 && limit > 0.24, "{limit}");
        assert_eq!(found(Side::Below, 1.0, 7.0, |_| -1.0).0, Some(7.0));
        assert_eq!(found(Side::Above, 1.0, 7.0, |_| -1.0), (None, 3));
        assert_eq!(found(Side::Below, 1.0, 7.0, |_| f64::INFINITY).0, None);
    }
}
