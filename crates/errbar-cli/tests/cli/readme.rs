//! The README's table of commands says what `--help` says.

use std::collections::BTreeSet;

use crate::bench::Bench;

const README: &str = include_str!("../../../../README.md");

/// The long flags in a text. Flags in code are followed by a space, a quote, a comma or the end.
fn flags(text: &str) -> BTreeSet<&str> {
    let end = |c: char| !(c.is_ascii_lowercase() || c == '-');
    let found = text.split("--").skip(1).map(|rest| rest.split(end).next().unwrap_or(rest));
    found.filter(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase()) && *flag != "help").collect()
}

#[test]
fn every_command_has_its_row_with_exactly_its_flags() {
    let bench = Bench::empty();
    let commands: Vec<String> = bench
        .run(&["--help"])
        .well()
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .map_while(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in &commands {
        let help = bench.run(&[command, "--help"]).well();
        let (_, options) = help.split_once("Options:").expect("help lists options");
        // Only the words before a description are flags of the command.
        let own: String = options
            .lines()
            .filter(|line| line.trim_start().starts_with('-'))
            .map(|line| line.split("  ").find(|part| part.contains('-')).unwrap_or("").to_owned() + "\n")
            .collect();
        let row = README
            .lines()
            .find(|line| line.starts_with(&format!("| `{command}")))
            .unwrap_or_else(|| panic!("README has no row for {command}"));
        assert_eq!(flags(row), flags(&own), "{command}");
    }
}

#[test]
fn exit_codes_are_told_as_help_tells_them() {
    let help = Bench::empty().run(&["--help"]).well();
    let (_, codes) = help.split_once("Exit codes:").expect("help tells exit codes");
    for line in codes.lines().filter(|line| !line.trim().is_empty()) {
        let (code, meaning) = line.trim().split_once("  ").expect("a code and its meaning");
        let row = format!("| {code} | {} |", meaning.trim());
        assert!(README.contains(&row), "README lacks: {row}");
    }
}
