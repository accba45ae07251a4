//! NetCDF's classic formats CDF-1, CDF-2 and CDF-5 ("NetCDF Classic Format Specification" of the
//! NetCDF User's Guide; for CDF-5 also PnetCDF's "File Format Specification").

use errbar_format::{DType, Result};

use crate::cf::Roles;
use crate::cursor::Cursor;
use crate::strided::Strided;
use crate::{Array, Dissector, Layout, ReadAt, not_this};

/// Dimensions, variables or attributes of one list, at most.
const MAX_ITEMS: u64 = 1 << 16;
/// Bytes of a name or of an attribute's text that is looked at.
const MAX_TEXT: u64 = 64 << 10;

/// The NetCDF classic formats.
#[derive(Clone, Copy, Debug)]
pub struct NetCdf3;

impl Dissector for NetCdf3 {
    fn name(&self) -> &'static str {
        "netcdf3"
    }

    fn probe(&self, head: &[u8]) -> bool {
        head.len() >= 32 && head.starts_with(b"CDF") && matches!(head[3], 1 | 2 | 5)
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let mut header = Header::open(file)?;
        let numrecs = header.count()?;
        let dims = header.dims()?;
        header.attributes("")?;
        let variables = header.variables(&dims)?;
        let streaming = numrecs == if header.version == 5 { u64::MAX } else { u32::MAX.into() };
        layout(file.size(), (!streaming).then_some(numrecs), variables, &header.roles)
    }
}

struct Dim {
    name: String,
    /// 0 for the one dimension along which records are added.
    len: u64,
}

struct Variable {
    name: String,
    dtype: DType,
    shape: Vec<u64>,
    is_record: bool,
    begin: u64,
}

impl Variable {
    fn array(&self, roles: &Roles, numrecs: u64) -> Array {
        let mut array = Array::new(&self.name, self.dtype, self.dtype.size() > 1, self.shape.clone());
        array.auxiliary = roles.is_auxiliary(&self.name);
        array.packing = roles.packing(&self.name);
        if self.is_record {
            array.shape[0] = numrecs;
        }
        array
    }
}

/// Puts the variables where the header says. Without a number of records, there are as many as the
/// file has room for.
fn layout(size: u64, numrecs: Option<u64>, variables: Vec<Variable>, roles: &Roles) -> Result<Layout> {
    let mut layout = Layout::default();
    for variable in variables.iter().filter(|variable| !variable.is_record) {
        let array = variable.array(roles, 0);
        if array.is_sound() {
            layout.array(variable.begin, array);
        }
    }
    let records: Vec<_> = variables.iter().filter(|variable| variable.is_record).collect();
    let Some(start) = records.iter().map(|variable| variable.begin).min() else { return Ok(layout) };
    // The header's own sizes are not looked at: they cannot say more than 4 GiB, and writers differ.
    let lengths = records.iter().map(|variable| variable.array(roles, 1).bytes());
    let lengths = lengths.collect::<Option<Vec<_>>>().ok_or_else(|| not_this("variable overflows"))?;
    let stride = match lengths[..] {
        [alone] => Some(alone),
        _ => lengths.iter().try_fold(0u64, |sum, length| sum.checked_add(length.checked_next_multiple_of(4)?)),
    };
    let stride = stride.ok_or_else(|| not_this("record overflows"))?;
    let count = numrecs.unwrap_or_else(|| size.saturating_sub(start).checked_div(stride).unwrap_or(0));
    let fields = records.iter().map(|variable| (variable.begin - start, variable.array(roles, count))).collect();
    layout.strided(size, Strided { start, stride, count }, fields)?;
    Ok(layout)
}

struct Header<'a> {
    cursor: Cursor<'a>,
    version: u8,
    roles: Roles,
}

impl<'a> Header<'a> {
    fn open(file: &'a dyn ReadAt) -> Result<Header<'a>> {
        let mut cursor = Cursor::new(file, 3, true);
        match cursor.u8()? {
            version @ (1 | 2 | 5) => Ok(Header { cursor, version, roles: Roles::default() }),
            _ => Err(not_this("unknown version of the NetCDF classic format")),
        }
    }

    fn count(&mut self) -> Result<u64> {
        if self.version == 5 { self.cursor.u64() } else { self.cursor.u32().map(u64::from) }
    }

    /// Length of a list that begins with `tag`, or with 0 if it is absent.
    fn list(&mut self, tag: u32) -> Result<u64> {
        let (found, len) = (self.cursor.u32()?, self.count()?);
        match (found == tag && len <= MAX_ITEMS) || (found == 0 && len == 0) {
            true => Ok(len),
            false => Err(not_this("list of the header has another tag or is too long")),
        }
    }

    /// `len` bytes as text, and what pads them to a multiple of 4. Long text is left out.
    fn text(&mut self, len: u64) -> Result<String> {
        let mut text = String::new();
        if len <= MAX_TEXT {
            text = String::from_utf8_lossy(self.cursor.bytes(len)?).into_owned();
        } else {
            self.cursor.skip(len)?;
        }
        self.cursor.skip(len.wrapping_neg() % 4)?;
        Ok(text)
    }

    fn name(&mut self) -> Result<String> {
        let len = self.count()?;
        self.text(len)
    }

    fn dims(&mut self) -> Result<Vec<Dim>> {
        let len = self.list(10)?;
        let dims = (0..len).map(|_| Ok(Dim { name: self.name()?, len: self.count()? })).collect::<Result<Vec<_>>>()?;
        match dims.iter().filter(|dim| dim.len == 0).count() {
            0 | 1 => Ok(dims),
            _ => Err(not_this("two record dimensions")),
        }
    }

    fn dtype(&mut self) -> Result<DType> {
        Ok(match self.cursor.u32()? {
            1 => DType::I8,
            2 | 7 => DType::U8,
            3 => DType::I16,
            4 => DType::I32,
            5 => DType::F32,
            6 => DType::F64,
            8 => DType::U16,
            9 => DType::U32,
            10 => DType::I64,
            11 => DType::U64,
            _ => return Err(not_this("unknown type")),
        })
    }

    /// Reads a list of attributes for what they say of variables.
    fn attributes(&mut self, variable: &str) -> Result<()> {
        for _ in 0..self.list(12)? {
            let name = self.name()?;
            let dtype = self.dtype()?;
            let count = self.count()?;
            let len = count.checked_mul(dtype.size() as u64).ok_or_else(|| not_this("attribute overflows"))?;
            let text = match (dtype, count) {
                (DType::F32, 1) => f64::from(self.cursor.f32()?).to_string(),
                (DType::F64, 1) => self.cursor.f64()?.to_string(),
                (DType::U8, _) => self.text(len)?,
                _ => self.text(len).map(|_| String::new())?,
            };
            self.roles.attribute(variable, &name, &text);
        }
        Ok(())
    }

    fn variables(&mut self, dims: &[Dim]) -> Result<Vec<Variable>> {
        let len = self.list(11)?;
        (0..len).map(|_| self.variable(dims)).collect()
    }

    fn variable(&mut self, dims: &[Dim]) -> Result<Variable> {
        let name = self.name()?;
        let n_dims = self.count()?;
        if n_dims > 1024 {
            return Err(not_this("variable has too many dimensions"));
        }
        let mut own = Vec::new();
        for _ in 0..n_dims {
            let dim = usize::try_from(self.count()?).ok().and_then(|dim| dims.get(dim));
            own.push(dim.ok_or_else(|| not_this("variable of an unknown dimension"))?);
        }
        if own.iter().skip(1).any(|dim| dim.len == 0) {
            return Err(not_this("record dimension is not the first"));
        }
        if let [dim] = own[..]
            && dim.name == name
        {
            self.roles.mark(&name);
        }
        self.attributes(&name)?;
        let dtype = self.dtype()?;
        self.count()?;
        let begin = if self.version == 1 { self.cursor.u32()?.into() } else { self.cursor.u64()? };
        let is_record = own.first().is_some_and(|dim| dim.len == 0);
        Ok(Variable { name, dtype, shape: own.iter().map(|dim| dim.len).collect(), is_record, begin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Holds, dissect};

    /// Name, dimensions, code of the type, and place of a variable.
    type Var<'a> = (&'a str, &'a [u32], u32, u64);

    fn header(version: u8, numrecs: u64, dims: &[(&str, u64)], vars: &[Var]) -> Vec<u8> {
        let count = |n: u64| if version == 5 { n.to_be_bytes().to_vec() } else { (n as u32).to_be_bytes().to_vec() };
        let name = |text: &str| {
            let mut bytes = [count(text.len() as u64), text.as_bytes().to_vec()].concat();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let list = |tag: u32, n: usize| [tag.to_be_bytes().to_vec(), count(n as u64)].concat();
        let mut file = [b"CDF".to_vec(), vec![version], count(numrecs), list(10, dims.len())].concat();
        dims.iter().for_each(|(text, len)| file.extend([name(text), count(*len)].concat()));
        file.extend([list(12, 1), name("history"), 2u32.to_be_bytes().to_vec(), name("today")].concat());
        file.extend(list(11, vars.len()));
        for (text, dims, kind, begin) in vars {
            file.extend([name(text), count(dims.len() as u64)].concat());
            dims.iter().for_each(|dim| file.extend(count((*dim).into())));
            file.extend([list(0, 0), kind.to_be_bytes().to_vec(), count(7)].concat());
            file.extend(if version == 1 { (*begin as u32).to_be_bytes().to_vec() } else { begin.to_be_bytes().to_vec() });
        }
        file
    }

    fn found(mut header: Vec<u8>, size: usize) -> Layout {
        header.resize(size, 1);
        dissect(&&header[..], &[&NetCdf3]).0
    }

    const DIMS: &[(&str, u64)] = &[("time", 0), ("x", 3)];

    #[test]
    fn several_record_variables_are_padded_and_a_single_one_is_not() {
        for version in [1, 2, 5] {
            let two = header(version, 2, DIMS, &[("a", &[0, 1], 3, 400), ("b", &[0], 1, 408)]);
            let layout = found(two, 424);
            let shapes: Vec<_> = layout.arrays.iter().map(|a| (&a.name[..], &a.shape[..])).collect();
            assert_eq!(shapes, [("a", &[2, 3][..]), ("", &[2, 2]), ("b", &[2]), ("", &[2, 3])]);
            assert_eq!((layout.places[0].offset, layout.places[0].length), (400, 24));
            let one = header(version, 2, DIMS, &[("a", &[0, 1], 3, 400)]);
            assert_eq!(found(one, 424).places[0].length, 12);
        }
    }

    #[test]
    fn records_not_counted_are_as_many_as_fit() {
        for (version, streaming) in [(1, u64::from(u32::MAX)), (5, u64::MAX)] {
            let file = header(version, streaming, DIMS, &[("a", &[0], 5, 400), ("b", &[0], 6, 404)]);
            assert_eq!(found(file, 400 + 12 * 3 + 5).arrays[0].shape, [3]);
        }
    }

    #[test]
    fn long_records_and_a_last_one_without_padding_are_chunks() {
        let dims = &[("time", 0), ("x", 300_000)];
        let layout = found(header(2, 2, dims, &[("a", &[0, 1], 5, 400), ("b", &[0], 6, 1_200_400)]), 2_400_416);
        assert_eq!((layout.places.len(), layout.arrays.len(), &layout.arrays[0].shape[..]), (4, 2, &[2, 300_000][..]));
        assert_eq!(layout.places[2].offset, 1_200_408);
        assert!(matches!(layout.places[2].holds, Holds::Chunk { array: 0, index: 1, skipped: 0 }));
        let cut = found(header(2, 2, DIMS, &[("a", &[0], 6, 400), ("b", &[0], 1, 408)]), 421);
        assert_eq!((cut.places.len(), cut.places[3].offset), (4, 420));
    }

    #[test]
    fn coordinates_are_known_by_their_dimension() {
        let layout = found(header(1, 0, DIMS, &[("x", &[1], 5, 400), ("zero", &[], 6, 412)]), 420);
        assert!(layout.arrays[0].auxiliary && !layout.arrays[1].auxiliary && layout.arrays[1].shape.is_empty());
    }

    #[test]
    fn contradictions_are_bytes() {
        let fine: &[Var] = &[("a", &[1], 5, 400)];
        assert!(!found(header(1, 0, DIMS, fine), 412).arrays.is_empty());
        for (file, size) in [
            (header(3, 0, DIMS, fine), 412),
            (header(1, 0, DIMS, fine), 411),
            (header(1, 0, DIMS, &[("a", &[2], 5, 400)]), 412),
            (header(1, 0, DIMS, &[("a", &[1], 12, 400)]), 412),
            (header(1, 0, DIMS, &[("a", &[1, 0], 5, 400)]), 412),
            (header(1, 0, DIMS, &[("a", &[1], 5, 400), ("b", &[1], 5, 404)]), 500),
            (header(1, 1, DIMS, &[("a", &[0], 5, 400), ("b", &[0], 5, 402)]), 500),
            (header(2, 1, DIMS, &[("a", &[0], 5, u64::MAX - 8)]), 500),
            (header(2, 3, DIMS, &[("a", &[0], 5, 400), ("b", &[0], 5, 404)]), 420),
            (header(5, 0, &[("x", u64::MAX), ("t", 0)], &[("a", &[1, 0], 5, 400)]), 412),
            (header(1, 0, &[("t", 0), ("u", 0)], fine), 412),
        ] {
            assert_eq!(found(file, size), Layout::default());
        }
    }

    #[test]
    fn a_variable_beyond_the_limits_is_bytes() {
        let layout = found(header(1, 0, DIMS, &[("a", &[1; 9], 5, 400), ("b", &[1], 5, 400)]), 412);
        assert_eq!(layout.arrays.len(), 1);
    }
}
