//! Values to integer codes: what may be lost, and how much.

mod bitround;
mod decimal;
mod interp;
mod lattice;
mod log;
mod none;
mod order;
pub(crate) mod ordered;
mod palette;
mod step;
mod uniform;

pub use bitround::BitRound;
pub use decimal::Decimal;
pub use interp::Interp;
pub use lattice::Lattice;
pub use log::Log;
pub use none::None;
pub use order::Order;
pub use palette::Palette;
pub use uniform::Uniform;

use crate::Words;
use crate::codes::Word;
use crate::float::Float;
use crate::simd::{Work, widest};

/// A word for each code.
struct EachCode<'a, C, F> {
    codes: &'a [C],
    word: F,
}

impl<C: Word, O: Copy + Default, F: Fn(u64) -> O> Work for EachCode<'_, C, F> {
    type Output = Vec<O>;

    #[inline(always)]
    fn run(self) -> Vec<O> {
        let mut words = vec![O::default(); self.codes.len()];
        words.iter_mut().zip(self.codes).for_each(|(word, code)| *word = (self.word)(code.to_u64()));
        words
    }
}

/// The words nearest to the values of codes.
fn words_nearest<C: Word>(codes: &[C], float: Float, value: impl Fn(u64) -> f64) -> Words {
    match float {
        Float::F32 => Words::U32(widest(EachCode { codes, word: |code| (value(code) as f32).to_bits() })),
        Float::F64 => Words::U64(widest(EachCode { codes, word: |code| value(code).to_bits() })),
        Float::F16 => Words::U16(widest(EachCode { codes, word: |code| Float::F16.from_f64(value(code)) as u16 })),
        Float::BF16 => Words::U16(widest(EachCode { codes, word: |code| Float::BF16.from_f64(value(code)) as u16 })),
    }
}
