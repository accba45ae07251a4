//! Rules that give each path and variable a bound and a mode.

use std::fmt;
use std::str::FromStr;

use errbar_dissect::Raw;
use errbar_format::record::Bound;
use errbar_format::{DType, Error, Result};
use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;

/// How much effort coding may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Memory-bandwidth class.
    Fast,
    /// Small at a speed that nobody notices.
    #[default]
    Balanced,
    /// As small as can be.
    Small,
}

impl Mode {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Fast => "fast",
            Mode::Balanced => "balanced",
            Mode::Small => "small",
        }
    }
}

/// A pattern for names. Without a slash it is matched against the last component, with one
/// against the whole path; `*` stops at slashes, `**` does not.
#[derive(Clone, Debug)]
struct Pattern {
    matcher: GlobMatcher,
    whole: bool,
}

impl Pattern {
    fn new(text: &str) -> Result<Pattern> {
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        let matcher = glob.map_err(|e| Error::usage(format!("pattern '{text}': {}", e.kind())))?.compile_matcher();
        Ok(Pattern { matcher, whole: text.contains('/') })
    }

    fn matches(&self, name: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let name = if self.whole { name } else { name.rsplit(|&b| b == b'/').next().unwrap_or(name) };
        self.matcher.is_match(std::ffi::OsStr::from_bytes(name))
    }
}

/// One rule.
#[derive(Clone, Debug)]
struct Rule {
    text: String,
    path: Option<Pattern>,
    variable: Option<Pattern>,
    bound: Option<Option<Bound>>,
    mode: Option<Mode>,
    raw: Option<Raw>,
}

impl Rule {
    fn matches(&self, path: &[u8], variable: Option<&str>) -> bool {
        self.path.as_ref().is_none_or(|p| p.matches(path))
            && match (&self.variable, variable) {
                (Some(pattern), Some(name)) => pattern.matches(name.as_bytes()),
                (Some(_), None) => false,
                (None, _) => true,
            }
    }
}

/// What a policy says of a variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// The bound, or nothing: exact.
    pub bound: Option<Bound>,
    /// The rule's own mode.
    pub mode: Option<Mode>,
    /// The rule that decided about the bound, as written.
    pub rule: Option<String>,
}

/// An ordered list of rules; of those that match, the last one decides. Without rules everything
/// is exact.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// A bound as written on the command line: `abs=0.01`, `rel=1e-4`, `pw_rel=1e-3`, `digits=4`, or
/// `lossless` (`None`).
///
/// # Errors
/// [`errbar_format::Kind::Usage`] for anything else.
///
/// ```
/// use errbar::Bound;
/// assert_eq!(errbar::policy::parse_bound("abs=0.01").unwrap(), Some(Bound::Abs(0.01)));
/// assert_eq!(errbar::policy::parse_bound("lossless").unwrap(), None);
/// assert!(errbar::policy::parse_bound("abs=-1").is_err());
/// ```
pub fn parse_bound(text: &str) -> Result<Option<Bound>> {
    let bad =
        |why: &str| Error::usage(format!("bound '{text}': {why}")).advise("write abs=0.01, rel=1e-4, pw_rel=1e-3, digits=4 or lossless");
    if text == "lossless" {
        return Ok(None);
    }
    let (kind, value) = text.split_once('=').ok_or_else(|| bad("no such bound"))?;
    if kind == "digits" {
        return match value.parse::<u8>() {
            Ok(digits) if (1..=17).contains(&digits) => Ok(Some(Bound::Digits(digits))),
            _ => Err(bad("digits must be 1 to 17")),
        };
    }
    let value = f64::from_str(value).map_err(|_| bad("not a number"))?;
    if !value.is_finite() || value < 0.0 {
        return Err(bad("must be finite and not negative"));
    }
    let bound = match kind {
        "abs" => Bound::Abs(value),
        "rel" => Bound::Rel(value),
        "pw_rel" => Bound::PwRel(value),
        _ => return Err(bad("no such bound")),
    };
    // An error of at most zero is no error.
    Ok((value > 0.0).then_some(bound))
}

/// A bound in the words that [`parse_bound`] reads.
pub fn bound_text(bound: &Bound) -> String {
    match bound {
        Bound::Abs(value) => format!("abs={value:?}"),
        Bound::Rel(value) => format!("rel={value:?}"),
        Bound::PwRel(value) => format!("pw_rel={value:?}"),
        Bound::Digits(digits) => format!("digits={digits}"),
    }
}

fn patterns(text: &str) -> Result<(Option<Pattern>, Option<Pattern>)> {
    let (path, variable) = match text.rsplit_once(':') {
        Some((path, variable)) => (path, Some(variable)),
        None => (text, None),
    };
    let path = (!path.is_empty()).then(|| Pattern::new(path)).transpose()?;
    Ok((path, variable.map(Pattern::new).transpose()?))
}

impl Policy {
    /// Everything exact.
    pub fn lossless() -> Policy {
        Policy::default()
    }

    /// Adds a rule `[PATH[:VARIABLE]=]BOUND`, such as `abs=0.01` or `*.npy=rel=1e-4`.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Usage`] if it is none.
    ///
    /// ```
    /// let mut policy = errbar::Policy::lossless();
    /// policy.add("run*/T.npy=abs=0.01")?;
    /// assert!(policy.choice(b"run7/T.npy", "").bound.is_some());
    /// assert!(policy.choice(b"run7/p.npy", "").bound.is_none());
    /// # Ok::<(), errbar::Error>(())
    /// ```
    pub fn add(&mut self, rule: &str) -> Result<()> {
        let equals: Vec<usize> = rule.match_indices('=').map(|(i, _)| i).collect();
        let lossless = rule == "lossless" || rule.ends_with("=lossless");
        // The bound is the last `MODE=VALUE`, or the last word.
        let cut = match (lossless, equals.len()) {
            (true, 0) | (false, 0 | 1) => None,
            (true, n) => Some(equals[n - 1]),
            (false, n) => Some(equals[n - 2]),
        };
        let (pattern, bound) = cut.map_or(("", rule), |at| (&rule[..at], &rule[at + 1..]));
        let (path, variable) = patterns(pattern)?;
        self.rules.push(Rule { text: rule.to_owned(), path, variable, bound: Some(parse_bound(bound)?), mode: None, raw: None });
        Ok(())
    }

    /// Adds the rules of a policy file (TOML). Each `[[rule]]` has `match = "PATH[:VARIABLE]"` and
    /// any of `bound`, `mode` and `raw = { dtype, shape, offset, big_endian }`.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Usage`] if it is none, with the line.
    ///
    /// ```
    /// let mut policy = errbar::Policy::lossless();
    /// policy.add_toml(r#"
    ///     [[rule]]
    ///     match = "*.f32"
    ///     raw = { dtype = "f32", shape = [180, 360] }
    ///     bound = "abs=0.01"
    /// "#)?;
    /// assert!(policy.raw(b"sst.f32").is_some());
    /// # Ok::<(), errbar::Error>(())
    /// ```
    pub fn add_toml(&mut self, text: &str) -> Result<()> {
        let file: File = toml::from_str(text).map_err(|e| Error::usage(format!("policy file: {e}")))?;
        for rule in file.rule {
            let (path, variable) = patterns(&rule.pattern)?;
            let raw = rule.raw.map(RawRule::check).transpose()?;
            let bound = rule.bound.as_deref().map(parse_bound).transpose()?;
            let mut text = rule.pattern;
            if let Some(words) = &rule.bound {
                text = format!("{text}={words}");
            }
            self.rules.push(Rule { text, path, variable, bound, mode: rule.mode, raw });
        }
        Ok(())
    }

    /// What holds for a variable of an entry.
    pub fn choice(&self, path: &[u8], variable: &str) -> Choice {
        let mut choice = Choice::default();
        for rule in self.rules.iter().filter(|rule| rule.matches(path, Some(variable))) {
            if let Some(bound) = rule.bound {
                choice.bound = bound;
                choice.rule = Some(rule.text.clone());
            }
            choice.mode = rule.mode.or(choice.mode);
        }
        choice
    }

    /// The array that a rule declares for an entry.
    pub fn raw(&self, path: &[u8]) -> Option<&Raw> {
        self.rules.iter().rev().find(|rule| rule.raw.is_some() && rule.matches(path, None))?.raw.as_ref()
    }

    /// Whether any rule allows a loss.
    pub fn is_lossy(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.bound, Some(Some(_))))
    }
}

/// One rule a line, as written.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self.rules.iter().map(|rule| rule.text.as_str()).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    #[serde(rename = "match")]
    pattern: String,
    bound: Option<String>,
    mode: Option<Mode>,
    raw: Option<RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    dtype: String,
    shape: Vec<u64>,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    big_endian: bool,
}

impl RawRule {
    fn check(self) -> Result<Raw> {
        let dtype = DType::from_name(&self.dtype).ok_or_else(|| Error::usage(format!("policy file: no dtype '{}'", self.dtype)))?;
        Ok(Raw { dtype, big_endian: self.big_endian, shape: self.shape, offset: self.offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[&str]) -> Policy {
        let mut policy = Policy::lossless();
        rules.iter().for_each(|rule| policy.add(rule).expect(rule));
        policy
    }

    #[test]
    fn the_last_matching_rule_decides() {
        let policy = policy(&["abs=1", "*.npy=rel=1e-3", "a/*.npy=lossless", "**:T*=digits=3"]);
        let bound = |path: &str, variable: &str| policy.choice(path.as_bytes(), variable).bound;
        assert_eq!(bound("x.dat", ""), Some(Bound::Abs(1.0)));
        assert_eq!(bound("b/c.npy", ""), Some(Bound::Rel(1e-3)));
        assert_eq!(bound("a/c.npy", ""), None);
        assert_eq!(bound("a/c.npy", "Temp"), Some(Bound::Digits(3)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in ["", "abs", "abs=", "abs=nan", "abs=inf", "rel=-1", "digits=0", "digits=18", "foo=1", "[=abs=1", "abs=1,pw_rel=2"] {
            assert_eq!(Policy::lossless().add(bad).expect_err(bad).kind, errbar_format::Kind::Usage, "{bad}");
        }
        for bad in ["[[rule]]\nmatch=1", "[[rule]]\nmatch='x'\nbond='abs=1'", "[[rule]]\nmatch='x'\nraw={dtype='f3',shape=[1]}", "x"] {
            assert_eq!(Policy::lossless().add_toml(bad).expect_err(bad).kind, errbar_format::Kind::Usage, "{bad}");
        }
    }

    #[test]
    fn a_bound_of_zero_is_exact() {
        assert!(!policy(&["abs=0", "rel=0.0"]).is_lossy());
    }
}
