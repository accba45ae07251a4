//! `errbar man`

use errbar::{Error, Result};

use crate::args::{self, Man};
use crate::message::Exit;
use crate::output::{self, Out};

/// The name and the text of every page.
fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut definition = args::definition();
    definition.build();
    let commands: Vec<clap::Command> = std::iter::once(&definition).chain(definition.get_subcommands()).cloned().collect();
    let page = |command: clap::Command| {
        let man = clap_mangen::Man::new(command);
        let mut text = Vec::new();
        man.render(&mut text).map_err(|e| Error::io("cannot write the manual", e))?;
        Ok((man.get_filename(), text))
    };
    commands.into_iter().map(page).collect()
}

pub fn run(args: &Man) -> Result<Exit> {
    let Some(folder) = &args.folder else {
        let mut out = Out::new();
        for (_, text) in pages()? {
            out.bytes().write_all(&text).map_err(output::unwritable)?;
        }
        out.finish()?;
        return Ok(Exit::Success);
    };
    let cannot = |e| Error::io(format!("cannot write to '{}'", errbar::display_path(folder.as_os_str().as_encoded_bytes())), e);
    std::fs::create_dir_all(folder).map_err(cannot)?;
    for (name, text) in pages()? {
        std::fs::write(folder.join(name), text).map_err(cannot)?;
    }
    Ok(Exit::Success)
}
