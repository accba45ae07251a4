//! `errbar info`

use std::collections::BTreeMap;

use errbar::record::{Block, BlockPlace, BlockRef, Body, StageRecord, feature};
use errbar::{Archive, Error, Registry, Result};
use serde_json::{Value, json};

use crate::args::Info;
use crate::input;
use crate::message::{self, Exit};
use crate::output::{self, Align, Out, Table, count, safe};
use crate::variables::{self, Stored};

/// A kind of stage with a name and a version: how many blocks need it, and whether it is here.
#[derive(Default)]
struct Stages(BTreeMap<(&'static str, String, u16), (u64, bool)>);

impl Stages {
    fn add(&mut self, kind: &'static str, record: &StageRecord, known: bool) {
        let stage = self.0.entry((kind, safe(&record.name), record.version)).or_insert((0, known));
        stage.0 += 1;
    }

    fn add_block(&mut self, registry: &Registry, block: &Block) {
        let pipeline = &block.pipeline;
        self.add("quantizer", &pipeline.quantizer, registry.quantizer(&pipeline.quantizer).is_ok());
        for transform in &pipeline.transforms {
            self.add("transform", transform, registry.transform(transform).is_ok());
        }
        self.add("coder", &pipeline.coder, registry.coder(&pipeline.coder).is_ok());
    }
}

/// What goes through all blocks and entries adds up to.
#[derive(Default)]
struct Totals {
    stages: Stages,
    n_entries: u64,
    n_files: u64,
    file_bytes: u64,
    problems: Vec<Error>,
}

pub fn run(args: &Info) -> Result<Exit> {
    let archive = input::open_whole(&args.archive)?;
    let mut totals = Totals::default();
    let mut out = Out::new();
    let mut blocks = blocks_table();
    for number in archive.block_numbers() {
        let found = archive.block(number).and_then(|block| Ok((archive.find_block(number)?, block)));
        match found {
            Ok((place, block)) => {
                totals.stages.add_block(archive.registry(), &block);
                match (args.blocks, args.json) {
                    (false, _) => {}
                    (true, true) => out.json(&block_json(&archive, &place, &block))?,
                    (true, false) => block_row(&mut blocks, &archive, &place, &block),
                }
            }
            Err(problem) => totals.problems.push(problem),
        }
    }
    let (mut variables, mut reasons) = (variables::stored(), Vec::new());
    for entry in archive.entries() {
        let entry = entry?;
        totals.n_entries += 1;
        let Body::File(file) = &entry.body else { continue };
        totals.n_files += 1;
        totals.file_bytes = totals.file_bytes.saturating_add(file.size);
        let choices = entry.choices();
        for (i, variable) in file.variables.iter().enumerate() {
            match Stored::new(&archive, &entry.path, variable).and_then(|stored| stored.explain(&archive, &choices, i)) {
                Ok(stored) if args.json => out.json(&stored.json())?,
                Ok(stored) => {
                    stored.row(&mut variables);
                    reasons.extend(stored.reason());
                }
                Err(problem) => totals.problems.push(problem),
            }
        }
    }
    let facts = facts(&archive, &mut totals);
    if args.json {
        out.json(&facts)?;
    } else {
        print_facts(&mut out, &facts)?;
        let tables = [stages_table(&totals.stages).lines(), variables.lines(), reasons, blocks.lines()];
        for lines in tables.iter().filter(|lines| !lines.is_empty()) {
            out.line("")?;
            lines.iter().try_for_each(|line| out.line(line))?;
        }
    }
    out.finish()?;
    let problems = || archive.damage().iter().chain(&totals.problems);
    problems().try_for_each(|problem| message::report(problem, args.json))?;
    Ok(message::exit_of(problems()))
}

/// What is known of the archive as a whole. What cannot be read is a problem, and missing here.
fn facts(archive: &Archive, totals: &mut Totals) -> Value {
    let mut read = |problem: Error| totals.problems.push(problem);
    let head = archive.head().map_err(&mut read).ok();
    let meta = archive.meta().map_err(&mut read).ok();
    let documents = archive.documents().map_err(&mut read).unwrap_or_default();
    let tail = archive.tail();
    let format = head.as_ref().map(|head| head.format).or(tail.map(|tail| tail.format));
    let id = head.as_ref().map(|head| head.archive_id).or(tail.map(|tail| tail.archive_id));
    let required = head.as_ref().map(|head| head.required_features).or(tail.map(|tail| tail.required_features));
    let optional = head.as_ref().map(|head| head.optional_features).or(tail.map(|tail| tail.optional_features));
    let stages = totals.stages.0.iter().map(|((kind, name, version), (n_blocks, readable))| {
        json!({ "kind": kind, "name": name, "version": version, "n_blocks": n_blocks, "readable": readable })
    });
    json!({
        "message_type": "summary",
        "format": format.map(|(major, minor)| format!("{major}.{minor}")),
        "writer": meta.as_ref().map(|meta| &meta.writer),
        "mode": meta.as_ref().map(|meta| &meta.mode),
        "policy": meta.as_ref().map(|meta| meta.policy.lines().collect::<Vec<_>>()),
        "meta": meta.as_ref().map(|meta| meta.items.iter().map(|(key, value)| json!([key, value])).collect::<Vec<_>>()),
        "required_features": required.map(feature_names),
        "optional_features": optional.map(feature_names),
        "archive_id": id.map(|id| output::hex(&id)),
        "root_hash": archive.root_hash().map(|hash| output::hex(&hash)),
        "archive_bytes": archive.size(),
        "file_bytes": totals.file_bytes,
        "n_entries": totals.n_entries,
        "n_files": totals.n_files,
        "n_blocks": archive.n_blocks(),
        "documents": documents.iter().map(|(name, text)| json!({ "name": name, "bytes": text.len() })).collect::<Vec<_>>(),
        "stages": stages.collect::<Vec<_>>(),
    })
}

/// The names of feature bits; `bit 5` for one without.
fn feature_names(bits: u64) -> Vec<String> {
    let name = |bit: u64| feature::ALL.iter().find(|(known, _)| *known == bit).map(|(_, name)| (*name).to_owned());
    (0..u64::BITS).filter(|i| bits >> i & 1 == 1).map(|i| name(1 << i).unwrap_or_else(|| format!("bit {i}"))).collect()
}

fn print_facts(out: &mut Out, facts: &Value) -> Result<()> {
    let text = |field: &str| facts[field].as_str().map_or_else(|| "unknown".into(), safe);
    let number = |field: &str| facts[field].as_u64().unwrap_or(0);
    let words = |field: &str| facts[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(safe).collect::<Vec<_>>();
    let list = |words: Vec<String>, none: &str| if words.is_empty() { none.to_owned() } else { words.join(", ") };
    let (size, files) = (number("archive_bytes"), number("file_bytes"));
    let mut line = |name: &str, value: &str| out.line(&format!("{name:<12} {value}"));
    line("format", &text("format"))?;
    line("written by", &text("writer"))?;
    line("mode", &text("mode"))?;
    line("policy", &list(words("policy"), "lossless"))?;
    line("features", &list([words("required_features"), words("optional_features")].concat(), "none"))?;
    line("archive id", &text("archive_id"))?;
    line("root hash", &text("root_hash"))?;
    line("size", &format!("{}, files {}, ratio {}", output::size(size), output::size(files), output::ratio(files, size)))?;
    let (entries, n_files) = (count(number("n_entries"), "entry"), count(number("n_files"), "file"));
    line("holds", &format!("{entries} ({n_files}), {}", count(number("n_blocks"), "block")))?;
    for document in facts["documents"].as_array().into_iter().flatten() {
        let name = document["name"].as_str().map_or_else(String::new, safe);
        line("document", &format!("{name} ({})", output::size(document["bytes"].as_u64().unwrap_or(0))))?;
    }
    for item in facts["meta"].as_array().into_iter().flatten() {
        let [key, value] = [0, 1].map(|i| item[i].as_str().map_or_else(String::new, safe));
        line("meta", &format!("{key}={value}"))?;
    }
    Ok(())
}

fn stages_table(stages: &Stages) -> Table {
    let mut table = Table::new(&[("stage", Align::Left), ("kind", Align::Left), ("blocks", Align::Right), ("readable here", Align::Left)]);
    for ((kind, name, version), (n_blocks, readable)) in &stages.0 {
        let readable = if *readable { "yes" } else { "no" };
        table.row([format!("{name}/{version}"), (*kind).into(), n_blocks.to_string(), readable.into()]);
    }
    table
}

fn blocks_table() -> Table {
    let place = [("block", Align::Right), ("of", Align::Left), ("at", Align::Left), ("dtype", Align::Left), ("shape", Align::Left)];
    let cost = [("size", Align::Right), ("ratio", Align::Right), ("worst error", Align::Right), ("kept exact", Align::Right)];
    Table::new(&[&place[..], &cost, &[("pipeline", Align::Left)]].concat())
}

fn pipeline(archive: &Archive, block: &Block) -> String {
    safe(&errbar::describe(archive.registry(), &block.pipeline))
}

fn block_row(table: &mut Table, archive: &Archive, place: &BlockRef, block: &Block) {
    let numbers = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let (of, at) = match &block.place {
        BlockPlace::Shared => ("small files".into(), "-".into()),
        BlockPlace::Run { path, offset } => (errbar::display_path(path), format!("byte {offset}")),
        BlockPlace::Box { path, variable, origin } => (output::variable(path, variable), format!("[{}]", numbers(origin))),
    };
    let receipt = block.receipt.as_ref();
    table.row([
        block.number.to_string(),
        of,
        at,
        block.dtype.name().into(),
        output::shape(&block.shape),
        output::size(place.frame_len),
        output::ratio(place.decoded_len, place.frame_len),
        receipt.map_or_else(|| "-".into(), |receipt| output::number(receipt.max_error)),
        receipt.map_or_else(|| "all".into(), |receipt| receipt.exact.to_string()),
        pipeline(archive, block),
    ]);
}

fn block_json(archive: &Archive, place: &BlockRef, block: &Block) -> Value {
    let position = match &block.place {
        BlockPlace::Shared => json!({ "message_type": "block", "place": "shared" }),
        BlockPlace::Run { path, offset } => output::with(output::message("block", path), json!({ "place": "run", "offset": offset })),
        BlockPlace::Box { path, variable, origin } => {
            output::with(output::message("block", path), json!({ "place": "box", "variable": variable, "origin": origin }))
        }
    };
    let fields = json!({
        "block": block.number,
        "dtype": block.dtype.name(),
        "shape": block.shape,
        "raw_bytes": place.decoded_len,
        "coded_bytes": place.frame_len,
        "frame_offset": place.offset,
        "pipeline": pipeline(archive, block),
        "bound": block.receipt.as_ref().and_then(|receipt| output::bounds_json(&receipt.bounds)),
        "decoded_hash": output::hex(&block.decoded_hash),
    });
    output::with(output::with(position, fields), output::receipt(block.receipt.as_ref()))
}
