//! `errbar verify`

use errbar::{Comparer, Error, Result, VariableComparison, Verifier};
use serde_json::json;

use crate::args::Verify;
use crate::message::{self, Exit};
use crate::output::{self, Out};
use crate::progress::Meter;
use crate::{input, interrupt, variables};

pub fn run(args: &Verify) -> Result<Exit> {
    let archive = input::open_whole(&args.archive)?;
    let cancel = interrupt::watch()?;
    let meter = Meter::new("verify", args.quiet, args.json);
    let mut verifier = Verifier::new().threads(args.threads).quick(args.quick).cancel(cancel.clone());
    if let Some(callback) = meter.callback() {
        verifier = verifier.progress(callback);
    }
    let report = verifier.verify(&archive)?;
    drop(meter);
    let mut problems: Vec<&Error> = report.problems.iter().collect();
    let compared = match &args.against {
        None => None,
        Some(folder) => {
            let meter = Meter::new("compare", args.quiet, args.json);
            let mut comparer = Comparer::new().threads(args.threads).bounds(true).cancel(cancel);
            if let Some(callback) = meter.callback() {
                comparer = comparer.progress(callback);
            }
            Some(comparer.tree(&archive, folder)?)
        }
    };
    if let Some(compared) = &compared {
        // Damage that verifying found need not be told again.
        let told = !problems.is_empty();
        problems.extend(compared.differences.iter().filter(|e| !(told && input::is_damage(e))));
    }
    for problem in &problems {
        message::report(problem, args.json)?;
    }
    let compared_variables: &[VariableComparison] = compared.as_ref().map_or(&[], |compared| &compared.variables);
    let mut out = Out::new();
    if args.json {
        variables::compared_json(&mut out, compared_variables)?;
        let fields = json!({
            "n_frames": report.n_frames,
            "n_blocks": report.n_blocks,
            "n_entries": report.n_entries,
            "n_files": report.n_files,
            "n_compared": compared.as_ref().map(|compared| compared.n_files),
            "n_problems": problems.len(),
            "quick": args.quick,
            "root_hash": report.root_hash.map(|hash| output::hex(&hash)),
        });
        out.json(&output::with(output::message("summary", args.archive.as_os_str().as_encoded_bytes()), fields))?;
    } else if !args.quiet {
        out.table(&variables::compared(compared_variables))?;
        let verdict = match (problems.len(), args.quick) {
            (0, false) => "sound".into(),
            (0, true) => "checksums right".into(),
            (n, _) => output::count(n as u64, "problem"),
        };
        let (files, blocks) = (output::count(report.n_files, "file"), output::count(report.n_blocks, "block"));
        let against = match &compared {
            Some(compared) => format!(", {} compared with the originals", output::count(compared.n_files, "file")),
            None => String::new(),
        };
        out.line(&format!("{verdict}: {files} in {blocks}{against}"))?;
    }
    out.finish()?;
    Ok(message::exit_of(problems))
}
