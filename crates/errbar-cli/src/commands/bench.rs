//! `errbar bench`

use errbar::{Error, Result, policy};
use serde_json::json;

use crate::args::Bench;
use crate::message::{self, Exit};
use crate::output::{self, Align, Out, Table};

pub fn run(args: &Bench) -> Result<Exit> {
    let bounds = args.bound.as_deref().map(policy::parse_bounds).transpose()?.unwrap_or_default();
    let columns = [("file", Align::Left), ("dtype", Align::Left), ("shape", Align::Left), ("ratio", Align::Right)];
    let more = [
        ("encode MB/s", Align::Right),
        ("decode MB/s", Align::Right),
        ("worst error", Align::Right),
        ("PSNR dB", Align::Right),
        ("SQNR dB", Align::Right),
    ];
    let mut table = Table::new(&[&columns[..], &more, &[("pipeline", Align::Left)]].concat());
    let (mut problems, mut reasons): (Vec<Error>, Vec<String>) = (Vec::new(), Vec::new());
    for path in &args.files {
        let report = match errbar::bench::run(path, &bounds, args.mode.into(), args.runs) {
            Ok(report) => report,
            Err(problem) => {
                message::report(&problem, args.json)?;
                problems.push(problem);
                continue;
            }
        };
        let name = path.as_os_str().as_encoded_bytes();
        if args.json {
            // A program may wait for each line: files take long.
            let fields = json!({
                "file": path.to_string_lossy(),
                "dtype": report.dtype.name(),
                "shape": report.shape,
                "raw_bytes": report.raw_bytes,
                "coded_bytes": report.coded_bytes,
                "encode_s": report.encode_s,
                "decode_s": report.decode_s,
                "max_error": report.max_error,
                "psnr": report.psnr,
                "sqnr_db": report.sqnr,
                "pipeline": report.pipeline,
                "choice": output::reason(report.reason.as_ref()),
            });
            output::json_line(output::with(fields, output::limit_json(report.limit)))?;
            continue;
        }
        reasons.extend(report.reason.filter(|_| args.verbose).map(|reason| format!("{}: {reason}", errbar::display_path(name))));
        let speed = |seconds: f64| if seconds > 0.0 { format!("{:.0}", report.raw_bytes as f64 / seconds / 1e6) } else { "-".into() };
        table.row([
            errbar::display_path(name),
            report.dtype.name().into(),
            output::shape(&report.shape),
            output::ratio(report.raw_bytes, report.coded_bytes),
            speed(report.encode_s),
            speed(report.decode_s),
            output::number(report.max_error),
            output::decibels(report.psnr),
            output::decibels(report.sqnr),
            report.pipeline,
        ]);
    }
    let mut out = Out::new();
    out.table(&table)?;
    reasons.iter().try_for_each(|reason| out.line(reason))?;
    out.finish()?;
    Ok(message::exit_of(&problems))
}
