//! One module a command. Each gives the exit code that its answer comes to, or the error that
//! ended it.

mod bench;
mod cat;
mod codecs;
mod completions;
mod diff;
mod get;
mod info;
mod list;
mod man;
mod pack;
mod unpack;
mod verify;

use errbar::Result;

use crate::args::Command;
use crate::message::Exit;

/// Runs a command.
///
/// # Errors
/// Whatever ended it.
pub fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Pack(args) => pack::run(&args),
        Command::Unpack(args) => unpack::run(&args),
        Command::List(args) => list::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Codecs(args) => codecs::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
