//! FlatBuffers (Google, FlatBuffers Internals), read where they lie; every step is checked.

use errbar_format::Result;

use crate::layout::MAX_PLACES;
use crate::not_this;
use crate::numbers::Numbers;

/// A table: the place of its fields is said by another table before it.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    numbers: &'a Numbers,
    at: usize,
}

impl<'a> Table<'a> {
    /// The table that begins a buffer at `at`.
    pub(crate) fn root(numbers: &'a Numbers, at: usize) -> Result<Table<'a>> {
        Ok(Table { numbers, at: follow(numbers, at)? })
    }

    /// Where the `field`th field lies, if it is there.
    fn field(&self, field: usize) -> Result<Option<usize>> {
        let back = i64::from(self.numbers.i32(self.at)?);
        let fields = usize::try_from(self.at as i64 - back).map_err(|_| not_this("table of fields lies outside"))?;
        if usize::from(self.numbers.u16(fields)?) < 6 + 2 * field {
            return Ok(None);
        }
        let offset = self.numbers.u16(fields + 4 + 2 * field)?;
        Ok((offset > 0).then(|| self.at + usize::from(offset)))
    }

    pub(crate) fn u8(&self, field: usize, default: u8) -> Result<u8> {
        self.field(field)?.map_or(Ok(default), |at| self.numbers.u8(at))
    }

    pub(crate) fn i16(&self, field: usize, default: i16) -> Result<i16> {
        self.field(field)?.map_or(Ok(default), |at| self.numbers.i16(at))
    }

    pub(crate) fn i32(&self, field: usize, default: i32) -> Result<i32> {
        self.field(field)?.map_or(Ok(default), |at| self.numbers.i32(at))
    }

    pub(crate) fn table(&self, field: usize) -> Result<Option<Table<'a>>> {
        let Some(at) = self.field(field)? else { return Ok(None) };
        Ok(Some(Table { numbers: self.numbers, at: follow(self.numbers, at)? }))
    }

    /// Where the items of a vector begin, and how many they are; each has `size` bytes.
    fn vector(&self, field: usize, size: usize) -> Result<(usize, usize)> {
        let Some(at) = self.field(field)? else { return Ok((0, 0)) };
        let at = follow(self.numbers, at)?;
        let count = self.numbers.u32(at)? as usize;
        self.numbers.bytes(at + 4, count.saturating_mul(size))?;
        Ok((at + 4, count))
    }

    pub(crate) fn text(&self, field: usize) -> Result<String> {
        let (at, len) = self.vector(field, 1)?;
        Ok(String::from_utf8_lossy(self.numbers.bytes(at, len)?).into_owned())
    }

    pub(crate) fn tables(&self, field: usize) -> Result<Vec<Table<'a>>> {
        let (at, count) = self.vector(field, 4)?;
        if count > MAX_PLACES {
            return Err(not_this("too many tables"));
        }
        (0..count).map(|i| Ok(Table { numbers: self.numbers, at: follow(self.numbers, at + 4 * i)? })).collect()
    }

    /// Items of `words` 64-bit words each.
    pub(crate) fn structs<const WORDS: usize>(&self, field: usize) -> Result<Vec<[u64; WORDS]>> {
        let (at, count) = self.vector(field, 8 * WORDS)?;
        let mut items = vec![[0; WORDS]; count];
        for (i, word) in items.iter_mut().flatten().enumerate() {
            *word = self.numbers.u64(at + 8 * i)?;
        }
        Ok(items)
    }
}

/// Where the offset at `at` leads.
fn follow(numbers: &Numbers, at: usize) -> Result<usize> {
    Ok(at + numbers.u32(at)? as usize)
}
