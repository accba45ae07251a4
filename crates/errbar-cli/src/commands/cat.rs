//! `errbar cat`

use errbar::{Error, Kind, Result};

use crate::args::Cat;
use crate::input;
use crate::message::Exit;
use crate::output::Out;

pub fn run(args: &Cat) -> Result<Exit> {
    let path = input::path(&args.path);
    let (archive, found) = input::find(&args.archive, |archive| input::file(archive, &path))?;
    let Some((target, _)) = found else { return Err(no_file(&path)) };
    let mut out = Out::new();
    archive.write_file(&target, out.bytes())?;
    out.finish()?;
    Ok(Exit::Success)
}

fn no_file(path: &[u8]) -> Error {
    Error::new(Kind::Differs, "no such file in the archive").in_entry(path).advise("errbar list shows what is there")
}
