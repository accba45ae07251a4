//! `errbar diff`

use errbar::{Comparer, Error, Kind, Result};
use serde_json::json;

use crate::args::Diff;
use crate::message::{self, Exit};
use crate::output::{self, Out};
use crate::progress::Meter;
use crate::{input, interrupt, variables};

pub fn run(args: &Diff) -> Result<Exit> {
    if args.a.is_dir() {
        return Err(Error::usage("A is a folder; give the archive first"));
    }
    if input::is_dash(&args.a) && input::is_dash(&args.b) {
        return Err(Error::usage("only one of A and B can come from standard input"));
    }
    let a = input::open_whole(&args.a)?;
    let b = if args.b.is_dir() { None } else { Some(input::open_whole(&args.b)?) };
    let meter = Meter::new("diff", args.quiet, args.json);
    let mut comparer = Comparer::new().threads(args.threads).cancel(interrupt::watch()?);
    if let Some(callback) = meter.callback() {
        comparer = comparer.progress(callback);
    }
    let report = match &b {
        Some(b) => comparer.archives(&a, b)?,
        None => comparer.tree(&a, &args.b)?,
    };
    drop(meter);
    // That two things differ is this command's answer; everything else is an error.
    let (answers, errors): (Vec<&Error>, Vec<&Error>) = report.differences.iter().partition(|e| e.kind == Kind::Differs && !args.json);
    for error in errors {
        message::report(error, args.json)?;
    }
    let mut out = Out::new();
    for answer in answers.iter().filter(|_| !args.quiet) {
        out.line(&format!("{}: {}", answer.place, answer.what))?;
    }
    if args.json {
        variables::compared_json(&mut out, &report.variables)?;
        let fields = json!({ "message_type": "summary", "n_files": report.n_files, "n_differences": report.differences.len() });
        out.json(&fields)?;
    } else if !args.quiet {
        out.table(&variables::compared(&report.variables))?;
        let differences = output::count(report.differences.len() as u64, "difference");
        out.line(&format!("{differences} in {}", output::count(report.n_files, "file")))?;
    }
    out.finish()?;
    Ok(message::exit_of(&report.differences))
}
