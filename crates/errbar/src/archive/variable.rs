//! Variables: whole, or the part that a slice asks for.

use errbar_dissect::npy_header;
use errbar_format::frame::PREFIX_LEN;
use errbar_format::record::{Body, Variable};
use errbar_format::{DType, Error, Kind, Result};

use super::content::Direct;
use super::elements::{Kept, check_box};
use super::{Archive, BlockFrame};
use crate::boxes::{self, Frame};

/// Frames that stand one behind another are read at once, up to this many bytes.
const READ_AT_ONCE: u64 = 16 << 20;

/// Indices `start..stop` along one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first index.
    pub start: u64,
    /// One more than the last index.
    pub stop: u64,
}

/// An array as it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Type of an element.
    pub dtype: DType,
    /// Whether the elements' bytes are big-endian.
    pub big_endian: bool,
    /// Whether the first index varies fastest in `bytes`.
    pub column_major: bool,
    /// Extent along each dimension, in the order in which the file's own readers index it.
    pub shape: Vec<u64>,
    /// The elements.
    pub bytes: Vec<u8>,
}

impl Array {
    /// The array as a `.npy` file; bf16, which NumPy lacks, as u16.
    pub fn to_npy(&self) -> Vec<u8> {
        let mut file = npy_header(self.dtype, self.big_endian, self.column_major, &self.shape);
        file.extend_from_slice(&self.bytes);
        file
    }
}

impl Archive {
    /// The part of a variable that `slice` asks for: one range a dimension, in the order in which
    /// the file's own readers index it; no ranges: all of it. Reads only the blocks that hold it.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::create_dir(dir.path().join("t"))?;
    /// # let array = errbar::Array { dtype: errbar::DType::U8, big_endian: false, column_major: false,
    /// #     shape: vec![2, 3], bytes: vec![0, 1, 2, 3, 4, 5] };
    /// # std::fs::write(dir.path().join("t/a.npy"), array.to_npy())?;
    /// # let mut bytes = Vec::new();
    /// # errbar::Packer::new().pack(&dir.path().join("t"), &mut bytes)?;
    /// use errbar::Range;
    /// let archive = errbar::Archive::from_bytes(bytes)?;
    /// // a.npy holds [[0, 1, 2], [3, 4, 5]]
    /// let column = archive.read_variable(b"a.npy", "", &[Range { start: 0, stop: 2 }, Range { start: 1, stop: 2 }])?;
    /// assert_eq!((column.shape, column.bytes), (vec![2, 1], vec![1, 4]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::Differs`] if there is no such entry or variable, [`Kind::Usage`] if the slice does
    /// not fit its shape, [`Kind::Corrupt`] if a block that holds it is damaged.
    pub fn read_variable(&self, path: &[u8], name: &str, slice: &[Range]) -> Result<Array> {
        let entry = self.file_entry(path)?;
        let Body::File(file) = &entry.body else { return Err(Error::new(Kind::Differs, "entry is no file").in_entry(path)) };
        let Some(variable) = file.variables.iter().find(|variable| variable.name == name) else {
            let names: Vec<&str> = file.variables.iter().map(|variable| variable.name.as_str()).collect();
            let advice = match &names[..] {
                [] => "no array was found in this entry; errbar cat gives its bytes".into(),
                names => format!("its variables are: '{}'", names.join("', '")),
            };
            return Err(Error::new(Kind::Differs, "no such variable").in_entry(path).in_variable(name).advise(advice));
        };
        let placed = |e: Error| e.in_entry(path).in_variable(name);
        let mut ranges = whole_or(slice, variable).map_err(placed)?;
        let shape = ranges.iter().map(|range| range.stop - range.start).collect();
        if variable.column_major {
            ranges.reverse();
        }
        let bytes = self.read_box(&entry, variable, &ranges).map_err(placed)?;
        Ok(Array { dtype: variable.dtype, big_endian: variable.big_endian, column_major: variable.column_major, shape, bytes })
    }

    /// A box of a variable, given in storage order.
    fn read_box(&self, entry: &errbar_format::record::Entry, variable: &Variable, ranges: &[Range]) -> Result<Vec<u8>> {
        let origin: Vec<u64> = ranges.iter().map(|range| range.start).collect();
        let shape: Vec<u64> = ranges.iter().map(|range| range.stop - range.start).collect();
        let wanted = Frame { origin: &origin, shape: &shape };
        let item = variable.dtype.size();
        if shape.contains(&0) {
            return Ok(Vec::new());
        }
        if !variable.is_in_blocks() {
            let elements = Kept::default().elements(variable, &mut Direct::new(self))?;
            let mut bytes = vec![0; shape.iter().product::<u64>() as usize * item];
            let all = Frame { origin: &vec![0; shape.len()], shape: &variable.shape };
            boxes::copy(&elements, &all, &mut bytes, &wanted, item);
            return Ok(bytes);
        }
        let n_blocks = variable.n_blocks().unwrap_or(u64::MAX);
        if n_blocks > self.n_blocks() {
            return Err(Error::corrupt("EB-A03", format!("variable needs {n_blocks} blocks, the archive has {}", self.n_blocks())));
        }
        let numbers = touched(variable, ranges, self.size() / PREFIX_LEN as u64)?;
        let mut bytes = Vec::new();
        let mut next = 0;
        while next < numbers.len() {
            let frames = self.read_ahead(variable, &numbers[next..])?;
            for frame in &frames {
                let decoded = self.decode(frame)?;
                let (block_origin, extent) = check_box(entry, variable, numbers[next], &frame.block)?;
                if bytes.is_empty() {
                    // Not before a first block has proven that the variable is more than a claim.
                    bytes = vec![0; self.affordable(&shape, item, numbers.len() as u64)?];
                }
                boxes::copy(&decoded, &Frame { origin: &block_origin, shape: &extent }, &mut bytes, &wanted, item);
                next += 1;
            }
        }
        Ok(bytes)
    }

    /// The bytes of an array of `shape`, if as many as that could come out of `n_blocks` blocks.
    fn affordable(&self, shape: &[u64], item: usize, n_blocks: u64) -> Result<usize> {
        let bytes = shape.iter().try_fold(item as u64, |bytes, &dim| bytes.checked_mul(dim));
        let most = n_blocks.min(self.n_blocks()).saturating_mul(errbar_format::limits::MAX_BLOCK);
        bytes
            .filter(|&bytes| bytes <= most)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(|| Error::limit("EB-V01", "array is larger than the blocks that should hold it"))
    }

    /// The frames of the first few of `numbers`, read in one piece where they stand in one.
    fn read_ahead(&self, variable: &Variable, numbers: &[u64]) -> Result<Vec<BlockFrame>> {
        let mut places = Vec::new();
        let mut end = None;
        let mut sum = 0u64;
        for &k in numbers {
            let Ok(place) = self.find_block(variable.block_number(k)) else { break };
            // Of an index that nobody has checked yet: places may be lies.
            let Some(place_end) = place.offset.checked_add(place.frame_len) else { break };
            sum = place.frame_len.saturating_add(sum);
            if end.is_some_and(|end| end != place.offset) || (sum > READ_AT_ONCE && !places.is_empty()) {
                break;
            }
            end = Some(place_end);
            places.push((variable.block_number(k), place));
        }
        let one_by_one = || Ok(vec![self.block_frame(variable.block_number(numbers[0]))?]);
        let Some((_, first)) = places.first().filter(|_| places.len() > 1 && sum <= 2 * READ_AT_ONCE) else { return one_by_one() };
        let Ok(bytes) = self.read_raw(first.offset, end.unwrap_or(first.offset) - first.offset) else { return one_by_one() };
        let mut frames = Vec::new();
        for (number, place) in &places {
            let from = (place.offset - first.offset) as usize;
            let frame = bytes[from..from + place.frame_len as usize].to_vec();
            match self.inner.parse_block(*number, place, frame) {
                Ok(frame) => frames.push(frame),
                Err(_) if frames.is_empty() => return one_by_one(),
                Err(_) => break,
            }
        }
        Ok(frames)
    }
}

/// The slice, checked against a variable's shape as its file's readers index it.
fn whole_or(slice: &[Range], variable: &Variable) -> Result<Vec<Range>> {
    let shape = variable.index_shape();
    if slice.is_empty() {
        return Ok(shape.iter().map(|&stop| Range { start: 0, stop }).collect());
    }
    let fits = slice.len() == shape.len() && slice.iter().zip(&shape).all(|(range, &dim)| range.start <= range.stop && range.stop <= dim);
    match fits {
        true => Ok(slice.to_vec()),
        false => Err(Error::usage(format!("slice does not fit shape {shape:?}"))),
    }
}

/// The positions, ascending, of the blocks that a box touches: no more than `most`, which is what
/// the archive has room for.
fn touched(variable: &Variable, ranges: &[Range], most: u64) -> Result<Vec<u64>> {
    let grid = variable.grid();
    let mut numbers = vec![0];
    for (axis, range) in ranges.iter().enumerate() {
        let cells = range.start / variable.block_shape[axis]..range.stop.div_ceil(variable.block_shape[axis]);
        if (numbers.len() as u64).checked_mul(cells.end - cells.start).is_none_or(|n| n > most) {
            return Err(Error::corrupt("EB-A03", format!("variable needs more than the {most} blocks that the archive has room for")));
        }
        numbers = numbers.iter().flat_map(|&k| cells.clone().map(move |cell| (k, cell))).map(|(k, cell)| k * grid[axis] + cell).collect();
    }
    Ok(numbers)
}
