//! `errbar pack`

use std::io::{self, BufWriter, Write};
use std::path::Path;

use errbar::policy::bounds_text;
use errbar::{Error, PackReport, Packer, Policy, Result};
use serde_json::json;

use crate::args::Pack;
use crate::message::{self, Exit};
use crate::output::{self, Align, Out, Table};
use crate::progress::Meter;
use crate::{input, interrupt, spec};

pub fn run(args: &Pack) -> Result<Exit> {
    let policy = policy(args)?;
    let lossy = policy.is_lossy();
    let mut packer = Packer::new().policy(policy).mode(args.mode.into()).threads(args.threads);
    for (key, value) in &args.items {
        packer = packer.meta(key, value);
    }
    if args.with_spec {
        for (name, text) in spec::DOCUMENTS {
            packer = packer.document(*name, *text);
        }
    }
    let Some(archive) = args.archive.as_deref().filter(|_| !args.dry_run) else { return dry_run(&packer, args) };
    let piped = input::is_dash(archive);
    if piped && args.json {
        return Err(Error::usage("the archive and JSON lines cannot both go to standard output"));
    }
    let meter = Meter::new("pack", args.quiet, args.json);
    packer = packer.cancel(interrupt::watch()?);
    if let Some(callback) = meter.callback() {
        packer = packer.progress(callback);
    }
    let report = if piped { pack_to_stdout(&packer, args)? } else { packer.pack_to_file(&args.root, archive, args.force)? };
    drop(meter);
    for problem in &report.problems {
        message::report(problem, args.json)?;
    }
    for skipped in report.skipped.iter().filter(|_| !args.quiet || args.json) {
        message::note(skipped, args.json)?;
    }
    if args.json {
        print_json(&report, archive)?;
    } else if !args.quiet {
        // A file with a problem may have had one.
        if lossy && report.variables.is_empty() && report.problems.is_empty() {
            message::say("errbar: note: no floating-point variable matched a bound; everything is stored exactly");
        }
        print_report(&report, piped, args.verbose)?;
    }
    Ok(message::exit_of(&report.problems))
}

fn policy(args: &Pack) -> Result<Policy> {
    let mut policy = Policy::lossless();
    if let Some(path) = &args.policy {
        let name = errbar::display_path(path.as_os_str().as_encoded_bytes());
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(format!("cannot read the policy file '{name}'"), e))?;
        policy.add_toml(&text)?;
    }
    args.bounds.iter().try_for_each(|rule| policy.add(rule))?;
    Ok(policy)
}

fn pack_to_stdout(packer: &Packer, args: &Pack) -> Result<PackReport> {
    output::refuse_terminal("an archive", "redirect standard output, or name a file")?;
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout());
    let report = packer.pack(&args.root, &mut out)?;
    out.flush().map_err(output::unwritable)?;
    Ok(report)
}

fn print_report(report: &PackReport, piped: bool, verbose: bool) -> Result<()> {
    let columns = [
        ("variable", Align::Left),
        ("bound", Align::Left),
        ("limit", Align::Right),
        ("worst error", Align::Right),
        ("kept exact", Align::Right),
    ];
    let columns = [&columns[..], &[("ratio", Align::Right), ("size", Align::Right), ("pipeline", Align::Left)]].concat();
    let mut table = Table::new(&columns);
    for variable in &report.variables {
        let found = |field: fn(&errbar::Receipt) -> String| variable.receipt.as_ref().map_or_else(|| "-".into(), field);
        table.row([
            output::variable(&variable.path, &variable.name),
            bounds_text(&variable.bounds),
            found(|receipt| output::limit(receipt.limit)),
            variable.receipt.as_ref().map_or_else(|| "0".into(), |receipt| output::number(receipt.max_error)),
            variable.receipt.as_ref().map_or_else(|| "all".into(), |receipt| receipt.exact.to_string()),
            output::ratio(variable.raw_bytes, variable.coded_bytes),
            output::size(variable.coded_bytes),
            variable.pipeline.clone(),
        ]);
    }
    let mut lines = table.lines();
    for variable in report.variables.iter().filter(|_| verbose) {
        lines.extend(variable.reason.as_ref().map(|reason| format!("{}: {reason}", output::variable(&variable.path, &variable.name))));
    }
    lines.push(format!(
        "packed {} ({}), {} into {}, ratio {}",
        output::count(report.n_entries, "entry"),
        output::count(report.n_files, "file"),
        output::size(report.raw_bytes),
        output::size(report.archive_bytes),
        output::ratio(report.raw_bytes, report.archive_bytes),
    ));
    if piped {
        lines.iter().for_each(|line| message::say(line));
        return Ok(());
    }
    let mut out = Out::new();
    lines.iter().try_for_each(|line| out.line(line))?;
    out.finish()
}

fn print_json(report: &PackReport, archive: &Path) -> Result<()> {
    let mut out = Out::new();
    for variable in &report.variables {
        let fields = json!({
            "variable": variable.name,
            "dtype": variable.dtype.name(),
            "shape": variable.shape,
            "bound": bounds_text(&variable.bounds),
            "raw_bytes": variable.raw_bytes,
            "coded_bytes": variable.coded_bytes,
            "pipeline": variable.pipeline,
            "choice": output::reason(variable.reason.as_ref()),
        });
        let message = output::with(output::message("variable", &variable.path), fields);
        out.json(&output::with(message, output::receipt(variable.receipt.as_ref())))?;
    }
    let fields = json!({
        "n_entries": report.n_entries,
        "n_files": report.n_files,
        "raw_bytes": report.raw_bytes,
        "archive_bytes": report.archive_bytes,
        "root_hash": output::hex(&report.root_hash),
        "n_problems": report.problems.len(),
        "n_skipped": report.skipped.len(),
    });
    out.json(&output::with(output::message("summary", archive.as_os_str().as_encoded_bytes()), fields))?;
    out.finish()
}

fn dry_run(packer: &Packer, args: &Pack) -> Result<Exit> {
    let (planned, problems) = packer.dry_run(&args.root)?;
    for problem in &problems {
        message::report(problem, args.json)?;
    }
    let columns =
        [("variable", Align::Left), ("dtype", Align::Left), ("shape", Align::Left), ("bound", Align::Left), ("limit", Align::Right)];
    let mut table = Table::new(&[&columns[..], &[("mode", Align::Left), ("why", Align::Left)]].concat());
    let mut out = Out::new();
    for variable in &planned {
        if args.json {
            let fields = json!({
                "variable": variable.variable,
                "dtype": variable.dtype.name(),
                "shape": variable.shape,
                "bound": output::bounds_json(&variable.bounds),
                "mode": variable.mode.word(),
                "why": variable.why,
            });
            let fields = output::with(fields, output::limit_json(variable.limit));
            out.json(&output::with(output::message("variable", &variable.path), fields))?;
        }
        table.row([
            output::variable(&variable.path, &variable.variable),
            variable.dtype.name().into(),
            output::shape(&variable.shape),
            output::bounds(&variable.bounds),
            variable.limit.map_or_else(|| "-".into(), output::limit),
            variable.mode.word().into(),
            output::safe(&variable.why),
        ]);
    }
    if args.json {
        let fields = json!({ "n_variables": planned.len(), "n_problems": problems.len(), "dry_run": true });
        out.json(&output::with(output::message("summary", args.root.as_os_str().as_encoded_bytes()), fields))?;
    } else if !args.quiet {
        out.table(&table)?;
        out.line(&format!("{}; nothing was packed", output::count(planned.len() as u64, "variable")))?;
    }
    out.finish()?;
    Ok(message::exit_of(&problems))
}
