//! `errbar unpack`

use errbar::{Result, Unpacker};
use serde_json::json;

use crate::args::Unpack;
use crate::message::{self, Exit};
use crate::output::{self, Out};
use crate::progress::Meter;
use crate::{input, interrupt};

pub fn run(args: &Unpack) -> Result<Exit> {
    let archive = input::open_whole(&args.archive)?;
    let meter = Meter::new("unpack", args.quiet, args.json);
    let mut unpacker = Unpacker::new()
        .threads(args.threads)
        .keep_going(args.keep_going)
        .replace(args.force)
        .privileged(args.privileged)
        .paths(args.paths.iter().map(|path| input::path(path)).collect())
        .cancel(interrupt::watch()?);
    if let Some(callback) = meter.callback() {
        unpacker = unpacker.progress(callback);
    }
    let report = unpacker.unpack(&archive, &args.out)?;
    drop(meter);
    let problems = || archive.damage().iter().chain(&report.problems);
    for problem in problems() {
        message::report(problem, args.json)?;
    }
    for note in &report.notes {
        message::note(note, args.json)?;
    }
    let mut out = Out::new();
    if args.json {
        let fields = json!({
            "n_entries": report.n_entries,
            "n_files": report.n_files,
            "bytes": report.bytes,
            "n_problems": problems().count(),
            "n_notes": report.notes.len(),
        });
        out.json(&output::with(output::message("summary", args.out.as_os_str().as_encoded_bytes()), fields))?;
    } else if !args.quiet {
        let (entries, files) = (output::count(report.n_entries, "entry"), output::count(report.n_files, "file"));
        out.line(&format!("restored {entries} ({files}), {}", output::size(report.bytes)))?;
    }
    out.finish()?;
    Ok(message::exit_of(problems().chain(&report.notes)))
}
