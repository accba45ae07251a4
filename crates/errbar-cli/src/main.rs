//! The program `errbar`: arguments in, tables, messages and exit codes out. Everything else is
//! the library's.

mod args;
mod commands;
mod input;
mod interrupt;
mod memory;
mod message;
mod output;
mod progress;
mod slice;
mod spec;
mod time;
mod variables;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::keep_freed();
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(code) => return code.into(),
    };
    let json = cli.command.json();
    let code = commands::run(cli.command).unwrap_or_else(|error| message::fatal(&error, json));
    code.into()
}
