//! `errbar completions`

use errbar::Result;

use crate::args::{self, Completions};
use crate::message::Exit;
use crate::output::{self, Out};

pub fn run(args: &Completions) -> Result<Exit> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::definition(), "errbar", &mut script);
    let mut out = Out::new();
    out.bytes().write_all(&script).map_err(output::unwritable)?;
    out.finish()?;
    Ok(Exit::Success)
}
