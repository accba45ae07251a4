//! The command line: every command, every flag, one sentence each.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::message::{self, Exit};

const EXAMPLES: &str = "\
Examples:
  errbar pack data/ data.eba                      lossless, every byte comes back
  errbar pack data/ data.eba -b 'T.npy=abs=0.01'  lossy for T.npy alone, |x - x'| <= 0.01 guaranteed
  errbar list --arrays data.eba                   what is inside, and what was lost
  errbar get data.eba 'T.npy[0,:,:]' -o t0.npy    one slice of one variable
  errbar unpack data.eba out/                     restore
  errbar verify data.eba --against data/          check everything, values against the originals too

Exit codes:
  0  done; everything asked was verified
  1  the answer is no: a difference, damage, no such member, or something was not restored
  2  the arguments make no sense
  3  could not read or write, lacks a stage, or refused for safety";

/// Packs scientific data: lossless by default, lossy under a bound that is checked on every value.
#[derive(Parser)]
#[command(name = "errbar", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Pack a folder, or one file, into an archive.
    Pack(Pack),
    /// Restore an archive, or some of its entries.
    Unpack(Unpack),
    /// List the entries of an archive, or the arrays found in them.
    List(List),
    /// Say what an archive is and needs, what was lost in it, and why it has its stages.
    Info(Info),
    /// Check every checksum, decode every block and compare every hash.
    Verify(Verify),
    /// Write the content of one entry to standard output.
    Cat(Cat),
    /// Write one variable, or a slice of it, as .npy.
    Get(Get),
    /// Compare two archives, or an archive and a folder.
    Diff(Diff),
    /// List the quantizers, transforms and coders of this program.
    Codecs(Codecs),
    /// Measure size, processor time and error of coding .npy files in memory.
    Bench(Bench),
    /// Print a completion script for a shell.
    Completions(Completions),
    /// Print the manual, or write one page a command into a folder.
    Man(Man),
}

impl Command {
    /// Whether standard output is read by a program.
    pub fn json(&self) -> bool {
        match self {
            Command::Pack(args) => args.json,
            Command::Unpack(args) => args.json,
            Command::List(args) => args.json,
            Command::Info(args) => args.json,
            Command::Verify(args) => args.json,
            Command::Diff(args) => args.json,
            Command::Codecs(args) => args.json,
            Command::Bench(args) => args.json,
            Command::Cat(_) | Command::Get(_) | Command::Completions(_) | Command::Man(_) => false,
        }
    }
}

/// How much effort coding may take.
#[derive(Clone, Copy, Default, ValueEnum)]
pub enum Mode {
    /// As fast as memory allows.
    Fast,
    /// Small, in reasonable time.
    #[default]
    Balanced,
    /// As small as can be.
    Small,
}

impl From<Mode> for errbar::Mode {
    fn from(mode: Mode) -> errbar::Mode {
        match mode {
            Mode::Fast => errbar::Mode::Fast,
            Mode::Balanced => errbar::Mode::Balanced,
            Mode::Small => errbar::Mode::Small,
        }
    }
}

/// `errbar pack`
#[derive(Args)]
pub struct Pack {
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print why each variable under a bound has its stages.
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Replace the archive if it exists.
    #[arg(short, long)]
    pub force: bool,
    /// Threads to code with, 0 for one a processor; the archive does not depend on it.
    #[arg(short = 'T', long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Effort where no rule of the policy says otherwise.
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub mode: Mode,
    /// Allow a loss, as [PATH[:VARIABLE]=]BOUND; later rules win.
    ///
    /// A bound is abs=, rel=, pw_rel= or digits=, which every value keeps, or one target for a whole variable: psnr=
    /// or sqnr= in decibels, rmse=, or ratio=. Bounds joined by commas hold together, and where(>300)=abs=0.001 among
    /// them is about the values in a range: >A, >=A, <A, <=A or A..B.
    #[arg(short, long = "bound", value_name = "BOUND")]
    pub bounds: Vec<String>,
    /// Read rules from this TOML file; they come before those of --bound.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Record something about the data, such as creator=, licence= or doi=.
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = key_value)]
    pub items: Vec<(String, String)>,
    /// Embed the specification of the format and a reader in Python.
    #[arg(long)]
    pub with_spec: bool,
    /// Print what each variable would get and why, and pack nothing.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
    /// The folder or file to pack; paths are stored relative to it.
    #[arg(value_name = "DIR")]
    pub root: PathBuf,
    /// The archive to write, or - for standard output.
    #[arg(value_name = "ARCHIVE", required_unless_present = "dry_run")]
    pub archive: Option<PathBuf>,
}

/// `errbar unpack`
#[derive(Args)]
pub struct Unpack {
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
    /// Restore everything that damage has left, and list the rest.
    #[arg(long)]
    pub keep_going: bool,
    /// Replace files that exist.
    #[arg(short, long)]
    pub force: bool,
    /// Also restore owners, set-id bits and attributes that only the system may set.
    #[arg(long)]
    pub privileged: bool,
    /// Threads to decode with, 0 for one a processor.
    #[arg(short = 'T', long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
    /// The archive, or - for standard input.
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
    /// The folder to restore into; made if it is not there.
    #[arg(value_name = "OUTDIR")]
    pub out: PathBuf,
    /// Restore only these entries and what lies below them.
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
}

/// `errbar list`
#[derive(Args)]
pub struct List {
    /// Print permissions, owner, size and time (UTC) too.
    #[arg(short, long)]
    pub long: bool,
    /// List the arrays, with type, shape, bound, worst error and stages.
    #[arg(long, visible_alias = "variables", conflicts_with = "long")]
    pub arrays: bool,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
    /// The archive, or - for standard input.
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
    /// List only these entries and what lies below them.
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
}

/// `errbar info`
#[derive(Args)]
pub struct Info {
    /// Print a line for every block: place, shape, bytes, stages, worst error.
    #[arg(long)]
    pub blocks: bool,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
    /// The archive, or - for standard input.
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
}

/// `errbar verify`
#[derive(Args)]
pub struct Verify {
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
    /// Check the checksums only, and decode nothing.
    #[arg(long, conflicts_with = "against")]
    pub quick: bool,
    /// Compare with the originals too, each variable within its bound.
    #[arg(long, value_name = "DIR")]
    pub against: Option<PathBuf>,
    /// Threads to decode with, 0 for one a processor.
    #[arg(short = 'T', long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
    /// The archive, or - for standard input.
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
}

/// `errbar cat`
#[derive(Args)]
pub struct Cat {
    /// The archive, or - for standard input.
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
    /// The entry.
    #[arg(value_name = "PATH")]
    pub path: OsString,
}

/// `errbar get`
#[derive(Args)]
pub struct Get {
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(short, long, requires = "output")]
    pub force: bool,
    /// The archive, or - for standard input.
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
    /// What to get; slices are NumPy's without steps, such as run7/T.npy[0:10,:,-1].
    #[arg(value_name = "PATH[:VARIABLE][[SLICE]]")]
    pub member: OsString,
}

/// `errbar diff`
#[derive(Args)]
pub struct Diff {
    /// Print nothing but errors; the exit code tells.
    #[arg(short, long)]
    pub quiet: bool,
    /// Threads to decode with, 0 for one a processor.
    #[arg(short = 'T', long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
    /// An archive.
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// An archive or a folder.
    #[arg(value_name = "B")]
    pub b: PathBuf,
}

/// `errbar codecs`
#[derive(Args)]
pub struct Codecs {
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
}

/// `errbar bench`
#[derive(Args)]
pub struct Bench {
    /// Print why each array has its stages.
    #[arg(short, long)]
    pub verbose: bool,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
    /// Threads to code with; processor time is measured on one.
    #[arg(short = 'T', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=1))]
    pub threads: u8,
    /// Effort.
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub mode: Mode,
    /// Allow a loss: abs=, rel=, pw_rel=, digits=, psnr=, sqnr=, rmse= or ratio=, joined by commas.
    #[arg(short, long, value_name = "BOUND")]
    pub bound: Option<String>,
    /// Least number of runs, of which the fastest counts.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..))]
    pub runs: u32,
    /// The .npy files.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// `errbar completions`
#[derive(Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `errbar man`
#[derive(Args)]
pub struct Man {
    /// Write the pages into this folder, which is made if it is not there.
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".into()),
    }
}

/// The command line's definition, for completions and the manual.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Reads the command line. What it prints instead of running, it has printed.
pub fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|e| message::command_line(&e))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_consistent_and_every_flag_is_explained() {
        let definition = super::definition();
        definition.clone().debug_assert();
        for command in definition.get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
