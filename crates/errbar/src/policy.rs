//! Rules that give each path and variable a bound and a mode.

mod bound;

use std::fmt;

use errbar_dissect::Raw;
use errbar_format::record::Bound;
use errbar_format::{DType, Error, Result};
use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;

pub(crate) use bound::bound_text;
pub use bound::{bounds_text, parse_bounds};

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
    /// Whether it stands for itself alone.
    literal: bool,
}

impl Pattern {
    fn new(text: &str) -> Result<Pattern> {
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        let matcher = glob.map_err(|e| Error::usage(format!("pattern '{text}': {}", e.kind())))?.compile_matcher();
        Ok(Pattern { matcher, whole: text.contains('/'), literal: !text.contains(['*', '?', '[', '{', '\\']) })
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
    /// Nothing where the rule says nothing of bounds.
    bounds: Option<Vec<Bound>>,
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
    /// The bounds, all of which hold; none: exact.
    pub bounds: Vec<Bound>,
    /// The rule's own mode.
    pub mode: Option<Mode>,
    /// The rule that decided about the bound, as written.
    pub rule: Option<String>,
    /// Whether that rule names the variable, and not only a pattern that it fits.
    pub by_name: bool,
}

/// An ordered list of rules; of those that match, the last one decides. Without rules everything
/// is exact.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
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

    /// Adds a rule `[PATH[:VARIABLE]=]BOUND`, such as `abs=0.01` or `*.npy=rel=1e-4,psnr=60`, with the
    /// bounds of [`parse_bounds`].
    ///
    /// # Errors
    /// [`errbar_format::Kind::Usage`] if it is none.
    ///
    /// ```
    /// let mut policy = errbar::Policy::lossless();
    /// policy.add("run*/T.npy=abs=0.01")?;
    /// assert!(!policy.choice(b"run7/T.npy", "").bounds.is_empty());
    /// assert!(policy.choice(b"run7/p.npy", "").bounds.is_empty());
    /// # Ok::<(), errbar::Error>(())
    /// ```
    pub fn add(&mut self, rule: &str) -> Result<()> {
        let (pattern, bounds) = rule.split_at(bound::start_of_bounds(rule));
        let (path, variable) = patterns(pattern.strip_suffix('=').unwrap_or(pattern))?;
        self.rules.push(Rule { text: rule.to_owned(), path, variable, bounds: Some(parse_bounds(bounds)?), mode: None, raw: None });
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
            let bounds = rule.bound.as_deref().map(parse_bounds).transpose()?;
            let mut text = rule.pattern;
            if let Some(words) = &rule.bound {
                text = format!("{text}={words}");
            }
            self.rules.push(Rule { text, path, variable, bounds, mode: rule.mode, raw });
        }
        Ok(())
    }

    /// What holds for a variable of an entry.
    pub fn choice(&self, path: &[u8], variable: &str) -> Choice {
        let mut choice = Choice::default();
        for rule in self.rules.iter().filter(|rule| rule.matches(path, Some(variable))) {
            if let Some(bounds) = &rule.bounds {
                choice.bounds.clone_from(bounds);
                choice.rule = Some(rule.text.clone());
                choice.by_name = rule.variable.as_ref().is_some_and(|pattern| pattern.literal);
            }
            choice.mode = rule.mode.or(choice.mode);
        }
        choice
    }

    /// The array that a rule declares for an entry.
    pub fn raw(&self, path: &[u8]) -> Option<&Raw> {
        self.rules.iter().rev().find(|rule| rule.raw.is_some() && rule.matches(path, None))?.raw.as_ref()
    }

    /// The rules that are about an entry or a variable in it, by their position.
    pub(crate) fn rules_about(&self, path: &[u8]) -> Vec<usize> {
        let is_about = |rule: &Rule| rule.path.as_ref().is_none_or(|pattern| pattern.matches(path));
        (0..).zip(&self.rules).filter(|(_, rule)| is_about(rule)).map(|(at, _)| at).collect()
    }

    /// Whether any rule allows a loss.
    pub fn is_lossy(&self) -> bool {
        self.rules.iter().any(|rule| rule.bounds.as_ref().is_some_and(|bounds| !bounds.is_empty()))
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
        let bound = |path: &str, variable: &str| policy.choice(path.as_bytes(), variable).bounds;
        assert_eq!(bound("x.dat", ""), [Bound::Abs(1.0)]);
        assert_eq!(bound("b/c.npy", ""), [Bound::Rel(1e-3)]);
        assert_eq!(bound("a/c.npy", ""), []);
        assert_eq!(bound("a/c.npy", "Temp"), [Bound::Digits(3)]);
    }

    #[test]
    fn a_name_is_told_from_a_pattern() {
        let policy = policy(&["*.nc=abs=1", "*.nc:lat=abs=2", "*.nc:t*=abs=3"]);
        let by_name = |variable| policy.choice(b"a.nc", variable).by_name;
        assert_eq!(["lat", "time", "x"].map(by_name), [true, false, false]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in ["", "abs", "abs=", "abs=nan", "abs=inf", "rel=-1", "digits=0", "digits=18", "foo=1", "[=abs=1", "abs=1,foo=2"] {
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
