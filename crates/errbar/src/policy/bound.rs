//! Bounds as they are written on a command line and in a policy file.

use std::str::FromStr;

use errbar_format::limits::MAX_BOUNDS;
use errbar_format::record::Bound;
use errbar_format::{Error, Result};

/// The words before the first `=` of a bound.
const KINDS: [&str; 8] = ["abs", "rel", "pw_rel", "digits", "psnr", "rmse", "sqnr", "ratio"];

/// Bounds that hold together, separated by commas: `abs=0.01`, `rel=1e-4`, `pw_rel=1e-3` and
/// `digits=4` of single values; one target for the variable as a whole, `psnr=60`, `sqnr=30`,
/// `rmse=0.01` or `ratio=20`; and `where(>300)=abs=0.001` of the values in a range, which may be
/// `>A`, `>=A`, `<A`, `<=A` or `A..B` with both ends. `lossless` and bounds of zero are no bounds:
/// every bit is kept.
///
/// # Errors
/// [`errbar_format::Kind::Usage`] for anything else.
///
/// ```
/// use errbar::Bound;
/// use errbar::policy::parse_bounds;
/// assert_eq!(parse_bounds("abs=0.01").unwrap(), [Bound::Abs(0.01)]);
/// assert_eq!(parse_bounds("abs=0.1,pw_rel=1e-3").unwrap(), [Bound::Abs(0.1), Bound::PwRel(1e-3)]);
/// assert_eq!(parse_bounds("lossless").unwrap(), []);
/// assert!(parse_bounds("abs=-1").is_err());
/// ```
pub fn parse_bounds(text: &str) -> Result<Vec<Bound>> {
    let bad = |why: &str| {
        Error::usage(format!("bound '{text}': {why}"))
            .advise("write abs=0.01, rel=1e-4, pw_rel=1e-3, digits=4, psnr=60, rmse=0.01, sqnr=30, ratio=20 or lossless")
    };
    if text == "lossless" {
        return Ok(Vec::new());
    }
    let mut bounds = Vec::new();
    let mut is_exact = false;
    for part in text.split(',') {
        let bound = match part.strip_prefix("where(") {
            Some(region) => Some(parse_region(region).map_err(|why| bad(&why))?),
            None => parse_one(part).map_err(bad)?,
        };
        is_exact |= bound.is_none();
        bounds.extend(bound);
    }
    if bounds.len() > MAX_BOUNDS {
        return Err(bad(&format!("more than {MAX_BOUNDS} of them")));
    }
    let is_region = |bound: &Bound| matches!(bound, Bound::Where { .. });
    let kinds: Vec<_> = bounds.iter().filter(|bound| !is_region(bound)).map(std::mem::discriminant).collect();
    if kinds.iter().enumerate().any(|(i, kind)| kinds[..i].contains(kind)) {
        return Err(bad("the same bound twice"));
    }
    if bounds.iter().filter(|bound| bound.is_target()).count() > 1 {
        return Err(bad("one target at most: psnr, rmse, sqnr or ratio"));
    }
    // An error of at most zero is no error, whatever else holds.
    if is_exact {
        return Ok(Vec::new());
    }
    if bounds.iter().all(is_region) {
        return Err(bad("all other values need a bound, too"));
    }
    Ok(bounds)
}

/// A bound, or nothing where it allows no error.
fn parse_one(text: &str) -> std::result::Result<Option<Bound>, &'static str> {
    let (kind, value) = text.split_once('=').ok_or("no such bound")?;
    if kind == "digits" {
        return match value.parse::<u8>() {
            Ok(digits) if (1..=17).contains(&digits) => Ok(Some(Bound::Digits(digits))),
            _ => Err("digits must be 1 to 17"),
        };
    }
    if !KINDS.contains(&kind) {
        return Err("no such bound");
    }
    let value = number(value)?;
    let of_errors = matches!(kind, "abs" | "rel" | "pw_rel" | "rmse");
    match (of_errors, value) {
        (true, 0.0) => return Ok(None),
        (true, ..0.0) => return Err("must be finite and not negative"),
        (false, ..=0.0) => return Err("must be above 0"),
        _ => {}
    }
    Ok(Some(match kind {
        "abs" => Bound::Abs(value),
        "rel" => Bound::Rel(value),
        "pw_rel" => Bound::PwRel(value),
        "psnr" => Bound::Psnr(value),
        "rmse" => Bound::Rmse(value),
        "sqnr" => Bound::Sqnr(value),
        _ => Bound::Ratio(value),
    }))
}

/// What follows `where(`, such as `>300)=abs=0.001`.
fn parse_region(text: &str) -> std::result::Result<Bound, String> {
    let (range, abs) = text.split_once(")=abs=").ok_or("write where(>A)=abs=E, with >, >=, <, <= or A..B")?;
    let (from, to) = if let Some(from) = range.strip_prefix(">=") {
        (number(from)?, f64::INFINITY)
    } else if let Some(from) = range.strip_prefix('>') {
        (number(from)?.next_up(), f64::INFINITY)
    } else if let Some(to) = range.strip_prefix("<=") {
        (f64::NEG_INFINITY, number(to)?)
    } else if let Some(to) = range.strip_prefix('<') {
        (f64::NEG_INFINITY, number(to)?.next_down())
    } else {
        let (from, to) = range.split_once("..").ok_or("write where(>A)=abs=E, with >, >=, <, <= or A..B")?;
        (number(from)?, number(to)?)
    };
    let abs = number(abs)?;
    if abs <= 0.0 {
        return Err("an error in a range must be above 0".into());
    }
    if from > to {
        return Err("a range begins above its end".into());
    }
    Ok(Bound::Where { from, to, abs })
}

fn number(text: &str) -> std::result::Result<f64, &'static str> {
    let value = f64::from_str(text).map_err(|_| "not a number")?;
    if value.is_finite() { Ok(value) } else { Err("must be finite and not negative") }
}

/// Bounds in the words that [`parse_bounds`] reads.
pub fn bounds_text(bounds: &[Bound]) -> String {
    match bounds {
        [] => "lossless".into(),
        _ => bounds.iter().map(bound_text).collect::<Vec<_>>().join(","),
    }
}

/// One bound in words.
pub fn bound_text(bound: &Bound) -> String {
    let shorter = |a: String, b: String| if b.len() < a.len() { b } else { a };
    match bound {
        Bound::Abs(value) => format!("abs={value:?}"),
        Bound::Rel(value) => format!("rel={value:?}"),
        Bound::PwRel(value) => format!("pw_rel={value:?}"),
        Bound::Digits(digits) => format!("digits={digits}"),
        Bound::Psnr(value) => format!("psnr={value:?}"),
        Bound::Rmse(value) => format!("rmse={value:?}"),
        Bound::Sqnr(value) => format!("sqnr={value:?}"),
        Bound::Ratio(value) => format!("ratio={value:?}"),
        Bound::Where { from, to, abs } => {
            let range = if *to == f64::INFINITY {
                shorter(format!(">={from:?}"), format!(">{:?}", from.next_down()))
            } else if *from == f64::NEG_INFINITY {
                shorter(format!("<={to:?}"), format!("<{:?}", to.next_up()))
            } else {
                format!("{from:?}..{to:?}")
            };
            format!("where({range})=abs={abs:?}")
        }
    }
}

/// Where the bounds begin in `[PATH[:VARIABLE]=]BOUND`: the first place from which on all is bounds;
/// if there is none, where they were meant to begin.
pub(super) fn start_of_bounds(rule: &str) -> usize {
    let starts = || std::iter::once(0).chain(rule.match_indices('=').map(|(i, _)| i + 1));
    let is_kind = |at: &usize| {
        let rest = &rule[*at..];
        rest.starts_with("where(") || rest.split_once('=').is_some_and(|(kind, _)| KINDS.contains(&kind))
    };
    let parses = |at: &usize| parse_bounds(&rule[*at..]).is_ok();
    starts().find(parses).or_else(|| starts().find(is_kind)).unwrap_or_else(|| {
        let ends: Vec<usize> = starts().collect();
        ends[ends.len().saturating_sub(2)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_in_words_are_read_as_what_they_were() {
        for text in [
            "abs=0.5",
            "rel=0.001,pw_rel=0.25,digits=4,abs=3.0",
            "psnr=60.0,abs=0.1",
            "rmse=0.01",
            "sqnr=30.5",
            "ratio=20.0,pw_rel=0.1",
            "abs=0.01,where(>300.0)=abs=0.001",
            "abs=0.01,where(<=-5.5)=abs=0.001,where(1.0..2.0)=abs=0.002",
        ] {
            assert_eq!(bounds_text(&parse_bounds(text).expect(text)), text);
        }
        assert_eq!(bounds_text(&[]), "lossless");
    }

    #[test]
    fn bounds_that_make_no_sense_are_refused() {
        for bad in [
            "abs=1,abs=2",
            "psnr=60,ratio=3",
            "psnr=0",
            "sqnr=-3",
            "ratio=inf",
            "psnr=nan",
            "rmse=-1",
            "abs=1,",
            ",abs=1",
            "lossless,abs=1",
            "where(>1)=abs=0.1",
            "abs=1,where(>1)=abs=0",
            "abs=1,where(>x)=abs=1",
            "abs=1,where(2..1)=abs=1",
            "abs=1,where(>1)=rel=1",
            "abs=1,where(>1)abs=1",
        ] {
            assert_eq!(parse_bounds(bad).expect_err(bad).kind, errbar_format::Kind::Usage, "{bad}");
        }
        let many = format!("abs=1{}", ",where(>1)=abs=1".repeat(MAX_BOUNDS));
        assert!(parse_bounds(&many).is_err());
    }

    #[test]
    fn one_bound_of_zero_makes_all_exact() {
        for text in ["abs=0", "rmse=0", "abs=0,pw_rel=0.1", "psnr=60,abs=0"] {
            assert_eq!(parse_bounds(text).expect(text), [], "{text}");
        }
    }

    #[test]
    fn rules_are_split_where_bounds_begin() {
        let split = |rule: &'static str| &rule[start_of_bounds(rule)..];
        assert_eq!(split("abs=1,pw_rel=2"), "abs=1,pw_rel=2");
        assert_eq!(split("{a,b}.npy:T=abs=1,psnr=3,where(>1)=abs=2"), "abs=1,psnr=3,where(>1)=abs=2");
        assert_eq!(split("abs=abs=1"), "abs=1");
        assert_eq!(split("x=y=lossless"), "lossless");
        assert_eq!(split("x=abs=oops"), "abs=oops");
        assert_eq!(split("x=foo=1"), "foo=1");
    }
}
