//! Errors as people and programs read them, and the exit codes they come to.

use std::io::{self, Write};
use std::process::ExitCode;

use errbar::{Error, Kind, Place};
use serde_json::json;

use crate::{interrupt, output};

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Success,
    /// The answer is no, or damage was found.
    No,
    /// The arguments make no sense.
    Usage,
    /// Could not, or refused.
    Failure,
    /// Nobody reads the output any more.
    ClosedPipe,
    /// Stopped by this signal.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Success => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Failure => 3,
            Exit::ClosedPipe => 128 + 13,
            Exit::Signal(signal) => 128 + signal,
        })
    }
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Exit {
        match kind {
            Kind::Corrupt | Kind::Truncated | Kind::Differs => Exit::No,
            Kind::Usage => Exit::Usage,
            _ => Exit::Failure,
        }
    }
}

/// What a run comes to that met these problems: damage outweighs failures.
pub fn exit_of<'a>(problems: impl IntoIterator<Item = &'a Error>) -> Exit {
    let rank = |exit: &Exit| match exit {
        Exit::Success => 0,
        Exit::Usage => 1,
        Exit::Failure => 2,
        _ => 3,
    };
    problems.into_iter().map(|e| Exit::from(e.kind)).max_by_key(rank).unwrap_or(Exit::Success)
}

/// The error for people: what, then where and what to do, as far as they are known.
fn text(error: &Error) -> String {
    let mut text = format!("{}: {}", error.kind.word(), error.what);
    if let Some(source) = &error.source {
        text.push_str(&format!(": {source}"));
    }
    if let Some(rule) = error.rule {
        text.push_str(&format!(" [{rule}]"));
    }
    if *error.place != Place::default() {
        text.push_str(&format!("\n  in: {}", error.place));
    }
    if let Some(advice) = &error.advice {
        text.push_str(&format!("\n  try: {advice}"));
    }
    text
}

/// A line on standard error. That it cannot be written is nothing to write about.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Reports an error, on standard output too if a program reads that.
///
/// # Errors
/// If standard output cannot be written.
pub fn report(error: &Error, json: bool) -> errbar::Result<()> {
    say(&format!("errbar: {}", text(error)));
    if json { output::json_line(as_json(error, "error")) } else { Ok(()) }
}

/// Reports something that is no failure, as [`report`] does.
///
/// # Errors
/// If standard output cannot be written.
pub fn note(error: &Error, json: bool) -> errbar::Result<()> {
    say(&format!("errbar: note: {}", text(error)));
    if json { output::json_line(as_json(error, "note")) } else { Ok(()) }
}

fn as_json(error: &Error, severity: &str) -> serde_json::Value {
    let what = error.source.as_ref().map_or_else(|| error.what.clone(), |source| format!("{}: {source}", error.what));
    json!({
        "message_type": "error",
        "severity": severity,
        "kind": error.kind.word(),
        "rule": error.rule,
        "message": what,
        "path": error.place.path,
        "variable": error.place.variable,
        "block": error.place.block,
        "offset": error.place.offset,
        "advice": error.advice,
    })
}

/// Reports the error that ended a run.
pub fn fatal(error: &Error, json: bool) -> Exit {
    if let Some(signal) = interrupt::caught() {
        say("errbar: interrupted; nothing unfinished was left behind");
        return Exit::Signal(signal);
    }
    if error.source.as_ref().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return Exit::ClosedPipe;
    }
    // The exit code tells already, and there may be no output to tell it on.
    let _ = report(error, json);
    error.kind.into()
}

/// Prints what the command line's parser has to say: help, the version, or what is wrong.
pub fn command_line(error: &clap::Error) -> Exit {
    if error.use_stderr() {
        let text = error.render().to_string();
        match text.strip_prefix("error: ") {
            Some(text) => say(&format!("errbar: usage: {}", text.trim_end())),
            None => say(text.trim_end()),
        }
        return Exit::Usage;
    }
    match error.print().and_then(|()| io::stdout().flush()) {
        Ok(()) => Exit::Success,
        Err(e) => fatal(&output::unwritable(e), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_outweighs_failures() {
        let errors = |kinds: &[Kind]| kinds.iter().map(|&kind| Error::new(kind, "x")).collect::<Vec<_>>();
        assert_eq!(exit_of(&errors(&[])), Exit::Success);
        assert_eq!(exit_of(&errors(&[Kind::Io, Kind::Corrupt, Kind::Limit])), Exit::No);
        assert_eq!(exit_of(&errors(&[Kind::Usage, Kind::Refused])), Exit::Failure);
        assert_eq!(exit_of(&errors(&[Kind::Unsupported])), Exit::Failure);
    }

    #[test]
    fn a_message_says_what_where_and_what_to_do() {
        let error = Error::corrupt("EB-B04", "stored hash differs").in_entry(b"a\x1b[2J").in_block(41).advise("errbar repair");
        assert_eq!(text(&error), "corrupt: stored hash differs [EB-B04]\n  in: 'a\\u{1b}[2J', block 41\n  try: errbar repair");
    }
}
