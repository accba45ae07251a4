//! Element types: the vocabulary that dissectors, codecs and records share.

use serde::{Deserialize, Serialize};

macro_rules! dtypes {
    ($($variant:ident $code:literal $name:literal $size:literal $word:literal $class:ident, $doc:literal;)*) => {
        /// The type of one element.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(into = "u8", try_from = "u8")]
        pub enum DType { $(#[doc = $doc] $variant,)* }

        impl DType {
            /// Every type, in the order of its code.
            pub const ALL: &[DType] = &[$(DType::$variant),*];
            /// The number that stands for the type in a record.
            pub fn code(self) -> u8 { match self { $(DType::$variant => $code),* } }
            /// The name used in the specification, in policies and in output.
            pub fn name(self) -> &'static str { match self { $(DType::$variant => $name),* } }
            /// Bytes of one element.
            pub fn size(self) -> usize { match self { $(DType::$variant => $size),* } }
            /// Bytes of one machine word of it: half an element for complex types.
            pub fn word(self) -> usize { match self { $(DType::$variant => $word),* } }
            /// How its words are to be read.
            pub fn class(self) -> Class { match self { $(DType::$variant => Class::$class),* } }
        }
    };
}

/// How the words of a type are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Plain bytes, with no numeric meaning.
    Bytes,
    /// Unsigned integers.
    Unsigned,
    /// Two's-complement integers.
    Signed,
    /// IEEE 754 binary16, binary32 or binary64.
    Float,
    /// The upper half of a binary32.
    Brain,
}

dtypes! {
    Bytes 0 "bytes" 1 1 Bytes, "Plain bytes.";
    Bool 1 "bool" 1 1 Unsigned, "One byte, 0 or 1 by convention; any byte is kept.";
    U8 2 "u8" 1 1 Unsigned, "8-bit unsigned integer.";
    U16 3 "u16" 2 2 Unsigned, "16-bit unsigned integer.";
    U32 4 "u32" 4 4 Unsigned, "32-bit unsigned integer.";
    U64 5 "u64" 8 8 Unsigned, "64-bit unsigned integer.";
    I8 6 "i8" 1 1 Signed, "8-bit signed integer.";
    I16 7 "i16" 2 2 Signed, "16-bit signed integer.";
    I32 8 "i32" 4 4 Signed, "32-bit signed integer.";
    I64 9 "i64" 8 8 Signed, "64-bit signed integer.";
    F16 10 "f16" 2 2 Float, "IEEE 754 binary16.";
    BF16 11 "bf16" 2 2 Brain, "The upper 16 bits of a binary32.";
    F32 12 "f32" 4 4 Float, "IEEE 754 binary32.";
    F64 13 "f64" 8 8 Float, "IEEE 754 binary64.";
    C64 14 "c64" 8 4 Float, "Complex: two binary32, real part first.";
    C128 15 "c128" 16 8 Float, "Complex: two binary64, real part first.";
}

impl DType {
    /// The type with this name.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.iter().copied().find(|t| t.name() == name)
    }

    /// The unsigned integers of `width` bytes; of eight for any width but 1, 2 and 4.
    pub fn unsigned(width: usize) -> DType {
        match width {
            1 => DType::U8,
            2 => DType::U16,
            4 => DType::U32,
            _ => DType::U64,
        }
    }

    /// Whether its words are floating-point numbers, the only ones that may be stored with loss.
    pub fn is_float(self) -> bool {
        matches!(self.class(), Class::Float | Class::Brain)
    }

    /// Words in one element: 2 for complex types, else 1.
    pub fn words(self) -> usize {
        self.size() / self.word()
    }
}

impl From<DType> for u8 {
    fn from(dtype: DType) -> u8 {
        dtype.code()
    }
}

impl TryFrom<u8> for DType {
    type Error = String;
    fn try_from(code: u8) -> Result<DType, String> {
        DType::ALL.get(usize::from(code)).copied().ok_or_else(|| format!("unknown dtype code {code}"))
    }
}

/// The number of elements of `shape`, or `None` if it does not fit 64 bits.
pub fn n_elements(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1u64, |n, &dim| n.checked_mul(dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dense_and_names_unique() {
        for (i, dtype) in DType::ALL.iter().enumerate() {
            assert_eq!(usize::from(dtype.code()), i);
            assert_eq!(DType::from_name(dtype.name()), Some(*dtype));
            assert_eq!(DType::try_from(dtype.code()), Ok(*dtype));
        }
        assert!(DType::try_from(16).is_err());
    }
}
