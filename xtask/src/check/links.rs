//! Links in the specification and the README lead to files and anchors that are there.

use std::fs;
use std::io;
use std::path::Path;

use super::files_below;

/// The targets of the inline links of a page, code blocks left out.
fn targets(page: &str) -> Vec<&str> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            found.extend(line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
        }
    }
    found
}

/// Whether a page has the anchor: a rule's, or that of a heading as renderers make it.
fn has_anchor(page: &str, anchor: &str) -> bool {
    let heading = |line: &str| {
        let text = line.strip_prefix('#')?.trim_start_matches('#').trim();
        let keep = text.to_lowercase().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>();
        Some(keep.replace(' ', "-"))
    };
    page.contains(&format!("<a id=\"{anchor}\">")) || page.lines().filter_map(heading).any(|name| name == anchor)
}

/// Links that lead nowhere, a line each.
pub fn check() -> io::Result<Vec<String>> {
    let mut pages = files_below(Path::new("spec"), &[".md"])?;
    pages.extend([Path::new("README.md").to_path_buf()].into_iter().filter(|page| page.is_file()));
    let mut problems = Vec::new();
    for path in pages {
        let page = fs::read_to_string(&path)?;
        for target in targets(&page).into_iter().filter(|target| !target.contains("://") && !target.starts_with("mailto:")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() { path.clone() } else { path.parent().unwrap_or(Path::new("")).join(file) };
            if !linked.exists() {
                problems.push(format!("{}: link to {target}, which is not there", path.display()));
            } else if !anchor.is_empty() && linked.is_file() && !has_anchor(&fs::read_to_string(&linked)?, anchor) {
                problems.push(format!("{}: link to {target}, which has no such anchor", path.display()));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_anchors_are_found() {
        assert_eq!(targets("see [a](b.md#c) and [d](e)\n```\n[no](link)\n```\n"), ["b.md#c", "e"]);
        let page = "# One\n## 3 Two words, three\n<a id=\"x\"></a>\n";
        assert!(has_anchor(page, "3-two-words-three") && has_anchor(page, "x") && !has_anchor(page, "two"));
    }
}
