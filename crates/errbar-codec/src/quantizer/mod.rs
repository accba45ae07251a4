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

/// The words nearest to the values of codes.
fn words_nearest<C: Word>(codes: &[C], float: Float, value: impl Fn(u64) -> f64) -> Words {
    fn words_of<C: Word, O>(codes: &[C], word: impl Fn(u64) -> O) -> Vec<O> {
        codes.iter().map(|code| word(code.to_u64())).collect()
    }
    match float {
        Float::F32 => Words::U32(words_of(codes, |code| (value(code) as f32).to_bits())),
        Float::F64 => Words::U64(words_of(codes, |code| value(code).to_bits())),
        Float::F16 => Words::U16(words_of(codes, |code| Float::F16.from_f64(value(code)) as u16)),
        Float::BF16 => Words::U16(words_of(codes, |code| Float::BF16.from_f64(value(code)) as u16)),
    }
}
