//! Elements that stand scattered in their file, read into a spool.

use std::fs::File;

use errbar_dissect::ReadAt;
use errbar_format::Result;
use errbar_format::record::Variable;

use super::chunks::ChunkReader;
use super::file::record_bytes;
use super::load::unreadable;
use super::scattered::column;
use super::spool::Spooled;

/// Gathers fields of records that begin at `at`: for each position among `fields` with room, its elements.
/// `check` is asked now and then whether to go on.
///
/// # Errors
/// As reading the file, as writing the spool, and those of `check`.
pub(crate) fn fields(
    (file, mut at): (&File, u64),
    fields: &[Variable],
    rooms: &[(usize, Spooled)],
    check: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let widths: Vec<usize> = fields.iter().map(record_bytes).collect();
    let record = widths.iter().sum::<usize>();
    if rooms.is_empty() {
        return Ok(());
    }
    for k in 0..fields[0].grid()[0] {
        check()?;
        let mut bytes = vec![0; fields[0].block_box(k).1[0] as usize * record];
        file.read_at(&mut bytes, at).map_err(|e| unreadable(e).at(at))?;
        at += bytes.len() as u64;
        for (field, room) in rooms {
            let start: usize = widths[..*field].iter().sum();
            room.write(k, &column(&bytes, record, start..start + widths[*field]))?;
        }
    }
    Ok(())
}

/// Gathers the elements of an array in chunks.
///
/// # Errors
/// As [`ChunkReader::read`], as writing the spool, and those of `check`.
pub(crate) fn chunks(reader: &ChunkReader<'_>, variable: &Variable, room: &Spooled, check: &dyn Fn() -> Result<()>) -> Result<()> {
    for k in 0..variable.n_blocks().unwrap_or(0) {
        check()?;
        let (origin, shape) = variable.block_box(k);
        room.write(k, &reader.read(&origin, &shape)?)?;
    }
    Ok(())
}
