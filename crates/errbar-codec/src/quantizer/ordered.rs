//! Numbers of every type as unsigned integers in the same order.

use errbar_format::DType;
use errbar_format::dtype::Class;

use crate::codes::Word;
use crate::float::Float;
use crate::simd::{Work, widest};
use crate::{Tolerance, Values, with_words};

/// How bit patterns become integers in the order of the numbers.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Unsigned,
    /// Two's complement.
    Signed,
    /// Sign and magnitude.
    Float,
}

impl Kind {
    pub(crate) fn of(dtype: DType) -> Kind {
        match dtype.class() {
            Class::Signed => Kind::Signed,
            Class::Float | Class::Brain => Kind::Float,
            _ => Kind::Unsigned,
        }
    }

    #[inline(always)]
    pub(crate) fn ordered<W: Word>(self, word: W) -> u64 {
        let (bits, top) = (word.to_u64(), 1 << (W::BITS - 1));
        match self {
            Kind::Unsigned => bits,
            Kind::Signed => bits ^ top,
            Kind::Float if bits & top == 0 => bits ^ top,
            Kind::Float => W::from_u64(!bits).to_u64(),
        }
    }

    /// Inverse of [`Kind::ordered`].
    #[inline(always)]
    pub(crate) fn word<W: Word>(self, number: W) -> W {
        let (bits, top) = (number.to_u64(), 1 << (W::BITS - 1));
        W::from_u64(match self {
            Kind::Unsigned => bits,
            Kind::Signed => bits ^ top,
            Kind::Float if bits & top == 0 => !bits,
            Kind::Float => bits ^ top,
        })
    }
}

/// Runs `$body` with `$kind` bound to each kind as a constant, so that loops over words ask for it once.
macro_rules! with_kind {
    ($value:expr, $kind:ident => $body:expr) => {
        match $value {
            Kind::Unsigned => {
                let $kind = Kind::Unsigned;
                $body
            }
            Kind::Signed => {
                let $kind = Kind::Signed;
                $body
            }
            Kind::Float => {
                let $kind = Kind::Float;
                $body
            }
        }
    };
}
pub(crate) use with_kind;

/// Words that are kept apart: missing ones, and those that are no numbers.
pub(crate) fn absent(values: &Values, tolerance: &Tolerance) -> Option<Vec<bool>> {
    let float = Float::of(values.dtype).ok();
    if float.is_none() && tolerance.fill.is_empty() {
        return None;
    }
    let is_absent = |bits: u64| float.is_some_and(|float| !float.is_finite(bits)) || tolerance.is_fill(bits);
    with_words!(&values.bits.words, v => {
        // Most often there are none.
        if tolerance.fill.is_empty() && float.is_some_and(|float| widest(AllFinite { words: v, float })) {
            return None;
        }
        let absent: Vec<bool> = v.iter().map(|word| is_absent(word.to_u64())).collect();
        absent.contains(&true).then_some(absent)
    })
}

/// Whether all words are numbers.
struct AllFinite<'a, W> {
    words: &'a [W],
    float: Float,
}

impl<W: Word> Work for AllFinite<'_, W> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        // The exponent of what is no number has all its bits set, and no other has.
        let special = W::from_u64(self.float.exponent_mask());
        self.words.iter().fold(true, |all, &word| all & (word.and(special) != special))
    }
}
