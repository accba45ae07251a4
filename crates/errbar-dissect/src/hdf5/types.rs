//! Datatype messages: numbers, and records of them.

use errbar_format::{DType, Result};

use super::file::{File, Piece};
use super::object::{Message, Object, kind};
use crate::not_this;

/// Types inside one another, at most.
const MAX_DEPTH: usize = 16;

/// A datatype.
#[derive(Clone, Debug)]
pub(super) struct Datatype {
    /// Bytes of an element.
    pub(super) size: u64,
    pub(super) form: Form,
}

/// What an element is.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Number(Number),
    Record(Vec<Member>),
    Array(Vec<u64>, Box<Datatype>),
    /// Nothing that is looked into.
    Other,
}

/// How numbers are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) dtype: DType,
    pub(super) big_endian: bool,
    /// Whether they stand for names.
    pub(super) labels: bool,
}

/// A member of a record.
#[derive(Clone, Debug)]
pub(super) struct Member {
    name: String,
    /// First byte in its record.
    at: u64,
    datatype: Datatype,
}

/// Numbers in a record.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    /// First byte in the record.
    pub(super) at: u64,
    /// Names of the members that lead to it, with slashes between them.
    pub(super) name: String,
    pub(super) number: Number,
    pub(super) extents: Vec<u64>,
}

/// The type of a dataset's elements.
pub(super) fn element(file: &File, message: &Message) -> Result<Datatype> {
    match message.shared {
        false => datatype(&mut message.read(file)?, 0),
        true => {
            let named = Object::read(file, message.shared_with(file)?)?;
            let message = named.first(kind::DATATYPE).ok_or_else(|| not_this("named type is missing"))?;
            datatype(&mut message.read(file)?, 0)
        }
    }
}

impl Datatype {
    /// The numbers in a record, and in records and arrays in it. Arrays of records are left out: their
    /// numbers do not stand side by side.
    pub(super) fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        self.collect(0, String::new(), Vec::new(), &mut fields);
        fields
    }

    fn collect(&self, at: u64, name: String, extents: Vec<u64>, fields: &mut Vec<Field>) {
        match &self.form {
            Form::Number(number) => fields.push(Field { at, name, number: *number, extents }),
            Form::Array(shape, of) => of.collect(at, name, [extents, shape.clone()].concat(), fields),
            Form::Record(members) if extents.is_empty() => {
                for member in members {
                    let name = if name.is_empty() { member.name.clone() } else { format!("{name}/{}", member.name) };
                    member.datatype.collect(at.saturating_add(member.at), name, Vec::new(), fields);
                }
            }
            Form::Record(_) | Form::Other => {}
        }
    }
}

/// A datatype message, versions 1 to 5, `depth` types inside others.
fn datatype(message: &mut Piece, depth: usize) -> Result<Datatype> {
    if depth > MAX_DEPTH {
        return Err(not_this("types stand too deep inside one another"));
    }
    let (head, bits, size) = (message.u8()?, message.uint(3)?, u64::from(message.u32()?));
    let (class, version) = (head & 15, head >> 4);
    let form = match class {
        0 | 1 | 4 => number(message, class, bits, size)?.map_or(Form::Other, Form::Number),
        // Times, then text and references, then bytes behind a tag.
        2 => skipped(message, 2),
        3 | 7 => Form::Other,
        5 => skipped(message, (bits & 0xff) as usize),
        6 => record(message, version, bits & 0xffff, size, depth)?,
        8 => {
            // The type of the values comes first, then their names, then the values.
            let base = datatype(message, depth + 1)?;
            // What stands behind all of a message need not be read.
            if depth > 0 {
                (0..bits & 0xffff).try_for_each(|_| name(message, version).map(drop))?;
                message.skip(usize::try_from(base.size.saturating_mul(bits & 0xffff)).unwrap_or(usize::MAX));
            }
            match base.form {
                Form::Number(number) if base.size == size && !number.labels => Form::Number(Number { labels: true, ..number }),
                _ => Form::Other,
            }
        }
        9 => {
            datatype(message, depth + 1)?;
            Form::Other
        }
        10 => {
            let rank = message.u8()?;
            message.skip(if version < 3 { 3 } else { 0 });
            let shape = (0..rank).map(|_| message.uint(4)).collect::<Result<Vec<_>>>()?;
            message.skip(if version < 3 { 4 * usize::from(rank) } else { 0 });
            array(shape, datatype(message, depth + 1)?, size)
        }
        11 => {
            let part = datatype(message, depth + 1)?;
            complex(&part, size).map_or(Form::Other, Form::Number)
        }
        _ => return Err(not_this("unknown class of types")),
    };
    Ok(Datatype { size, form })
}

fn skipped(message: &mut Piece, n: usize) -> Form {
    message.skip(n);
    Form::Other
}

/// The name of a member or of a value.
fn name(message: &mut Piece, version: u8) -> Result<String> {
    let start = message.at();
    let name = message.text()?;
    // The zero byte behind it.
    message.skip(1);
    if version < 3 {
        message.seek(start + (message.at() - start).next_multiple_of(8));
    }
    Ok(name)
}

/// An array type of `size` bytes.
fn array(shape: Vec<u64>, of: Datatype, size: u64) -> Form {
    let bytes = shape.iter().try_fold(of.size, |bytes, n| bytes.checked_mul(*n));
    match bytes == Some(size) && !shape.is_empty() {
        true => Form::Array(shape, Box::new(of)),
        false => Form::Other,
    }
}

/// Two floats that follow one another, which are a complex number of `size` bytes.
fn complex(part: &Datatype, size: u64) -> Option<Number> {
    let Form::Number(number) = part.form else { return None };
    let dtype = match number.dtype {
        DType::F32 => DType::C64,
        DType::F64 => DType::C128,
        _ => return None,
    };
    (2 * part.size == size).then_some(Number { dtype, ..number })
}

/// A compound type of `size` bytes: a record, or a complex number as h5py writes it.
fn record(message: &mut Piece, version: u8, count: u64, size: u64, depth: usize) -> Result<Form> {
    let offset_size = match size {
        0..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x100_0000 => 3,
        _ => 4,
    };
    let mut members = Vec::new();
    for _ in 0..count {
        let name = name(message, version)?;
        let at = message.uint(if version < 3 { 4 } else { offset_size })?;
        // Arrays had no type of their own at first.
        let mut shape = Vec::new();
        if version == 1 {
            let rank = usize::from(message.u8()?);
            message.skip(11);
            let extents = (0..4).map(|_| message.uint(4)).collect::<Result<Vec<_>>>()?;
            shape.extend(extents.into_iter().take(rank));
        }
        let of = datatype(message, depth + 1)?;
        let datatype = match shape.is_empty() {
            true => of,
            false => {
                let size = shape.iter().fold(of.size, |bytes, n| bytes.saturating_mul(*n));
                Datatype { size, form: array(shape, of, size) }
            }
        };
        members.push(Member { name, at, datatype });
    }
    if let [r, i] = &members[..]
        && (r.name.as_str(), i.name.as_str(), r.at, i.at) == ("r", "i", 0, r.datatype.size)
        && let (Form::Number(real), Form::Number(imaginary)) = (&r.datatype.form, &i.datatype.form)
        && real == imaginary
        && let Some(number) = complex(&r.datatype, size)
    {
        return Ok(Form::Number(number));
    }
    Ok(Form::Record(members))
}

/// The rest of a message of numbers as they are; nothing where they are of no known form.
fn number(message: &mut Piece, class: u8, bits: u64, size: u64) -> Result<Option<Number>> {
    let end = message.at() + if class == 1 { 12 } else { 4 };
    let (offset, precision) = (message.u16()?, u64::from(message.u16()?));
    let dtype = match (class, size, bits & 8 != 0) {
        // Whole numbers, and bits.
        (0 | 4, 1, false) => Some(DType::U8),
        (0 | 4, 2, false) => Some(DType::U16),
        (0 | 4, 4, false) => Some(DType::U32),
        (0 | 4, 8, false) => Some(DType::U64),
        (0, 1, true) => Some(DType::I8),
        (0, 2, true) => Some(DType::I16),
        (0, 4, true) => Some(DType::I32),
        (0, 8, true) => Some(DType::I64),
        // The byte order is not a VAX's, the first bit of the mantissa is implied.
        (1, ..) if bits & 0x70 == 0x20 => match (bits >> 8, message.u8()?, message.u8()?, message.u8()?, message.u8()?, message.u32()?) {
            (15, 10, 5, 0, 10, 15) => Some(DType::F16),
            (15, 7, 8, 0, 7, 127) => Some(DType::BF16),
            (31, 23, 8, 0, 23, 127) => Some(DType::F32),
            (63, 52, 11, 0, 52, 1023) => Some(DType::F64),
            _ => None,
        },
        _ => None,
    };
    message.seek(end);
    let fits = |dtype: &DType| dtype.size() as u64 == size && offset == 0 && precision == 8 * size;
    Ok(dtype.filter(fits).map(|dtype| Number { dtype, big_endian: bits & 1 != 0 && size > 1, labels: false }))
}
