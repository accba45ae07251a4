//! Rules: each stands in the specification, in the registry, and is held by a vector or a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use toml::Table;

use super::files_below;
use super::registry::FILE;
use crate::conformance;

/// The rules that `text` names, such as EB-F03.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("EB-").filter_map(|(at, _)| {
        let rest = &text[at + 3..];
        let letters = rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let digits = rest.bytes().skip(letters).take_while(u8::is_ascii_digit).count();
        (letters > 0 && digits > 1).then(|| &text[at..at + 3 + letters + digits])
    })
}

/// The rules that `text` has an anchor for.
fn anchors(text: &str) -> impl Iterator<Item = &str> {
    text.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next()).filter(|id| id.starts_with("EB-"))
}

/// The rules in the names of the tests of `text`: `eb_b01_b02_shapes` is one for EB-B01 and EB-B02.
fn tested(text: &str) -> Vec<String> {
    let names = text.split("#[test]").skip(1).filter_map(|rest| rest.split("fn ").nth(1)?.split('(').next());
    let rule = |word: &str| {
        let digits = word.trim_start_matches(|c: char| c.is_ascii_lowercase());
        (!digits.is_empty() && digits.len() < word.len() && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| format!("EB-{}", word.to_uppercase()))
    };
    names.filter_map(|name| name.split_once("eb_")).flat_map(|(_, rest)| rest.split('_').map_while(rule).collect::<Vec<_>>()).collect()
}

/// Where everything stands, a file or a list for each rule.
#[derive(Default)]
struct Found {
    anchors: BTreeMap<String, usize>,
    used: BTreeMap<String, String>,
    registered: BTreeSet<String>,
    held: BTreeSet<String>,
}

impl Found {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let missing = self.used.iter().filter(|(rule, _)| !self.anchors.contains_key(*rule));
        problems.extend(missing.map(|(rule, file)| format!("{file}: {rule} has no anchor in the specification")));
        for (rule, n) in &self.anchors {
            if *n > 1 {
                problems.push(format!("spec: {rule} has {n} anchors"));
            }
            if !self.registered.contains(rule) {
                problems.push(format!("{FILE}: rules: {rule} is missing, or has no text of one line"));
            }
            if !self.held.contains(rule) {
                problems.push(format!("testdata/conformance: no vector for {rule}, and no test is called after it"));
            }
        }
        let unknown = self.registered.iter().filter(|rule| !self.anchors.contains_key(*rule));
        problems.extend(unknown.map(|rule| format!("{FILE}: rules: {rule} has no anchor in the specification")));
        problems
    }
}

/// What is missing, a line each.
pub fn check(registry: &Table) -> io::Result<Vec<String>> {
    let mut found = Found::default();
    for path in files_below(Path::new("spec"), &[".md"])? {
        for rule in anchors(&fs::read_to_string(path)?) {
            *found.anchors.entry(rule.to_owned()).or_default() += 1;
        }
    }
    for (folder, ending) in [("crates", ".rs"), ("examples", ".rs"), ("xtask", ".rs"), ("spec", ".py"), ("spec", ".md")] {
        for path in files_below(Path::new(folder), &[ending])? {
            let text = fs::read_to_string(&path)?;
            for rule in named(&text) {
                found.used.entry(rule.to_owned()).or_insert_with(|| path.display().to_string());
            }
            if ending == ".rs" {
                found.held.extend(tested(&text));
            }
        }
    }
    let rules = registry.get("rules").and_then(|rules| rules.as_array());
    found.registered = rules
        .into_iter()
        .flatten()
        .filter_map(|rule| {
            let text = rule.get("text")?.as_str()?;
            (!text.is_empty() && !text.contains('\n')).then(|| Some(rule.get("id")?.as_str()?.to_owned()))?
        })
        .collect();
    found.held.extend(conformance::vectors().iter().filter_map(|vector| vector.rule()).map(str::to_owned));
    Ok(found.problems())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Assembled, so that this file does not name rules that do not exist.
    fn rule(rest: &str) -> String {
        format!("EB-{rest}")
    }

    #[test]
    fn rules_are_found_where_they_stand() {
        let text = format!("({}, {}x), {}", rule("Q07"), rule("Q123"), rule("nothing"));
        assert_eq!(named(&text).collect::<Vec<_>>(), [rule("Q07"), rule("Q123")]);
        assert_eq!(anchors(&format!("<a id=\"{}\"></a> <a id=\"x\"></a>", rule("Q07"))).collect::<Vec<_>>(), [rule("Q07")]);
        let code = "#[test]\n fn eb_q01_q02_shapes_3() {}\n fn eb_q03() {}\n #[test] fn other() {}";
        assert_eq!(tested(code), [rule("Q01"), rule("Q02")]);
    }

    #[test]
    fn every_gap_is_told() {
        let rule = rule("Q07");
        let sound = || Found {
            anchors: [(rule.clone(), 1)].into(),
            used: [(rule.clone(), "a.rs".to_owned())].into(),
            registered: [rule.clone()].into(),
            held: [rule.clone()].into(),
        };
        assert_eq!(sound().problems(), Vec::<String>::new());
        assert_eq!(Found { anchors: [(rule.clone(), 2)].into(), ..sound() }.problems().len(), 1);
        assert_eq!(Found { anchors: BTreeMap::new(), ..sound() }.problems().len(), 2);
        assert_eq!(Found { registered: BTreeSet::new(), ..sound() }.problems().len(), 1);
        assert_eq!(Found { held: BTreeSet::new(), ..sound() }.problems().len(), 1);
    }
}
