use errbar_format::Result;

use crate::codes::Word;
use crate::stage::{Stage, Transform, no_params};
use crate::{Codes, Layout, with_words};

/// Bit patterns of floats as unsigned integers in the order of the floats, so that neighbours in
/// value are neighbours as codes (Lindstrom and Isenburg, IEEE TVCG 12(5), 2006). See
/// `spec/stages/order.md`.
#[derive(Clone, Copy, Debug)]
pub struct Order;

fn forward<W: Word>(word: W) -> W {
    let (bits, top) = (word.to_u64(), 1 << (W::BITS - 1));
    W::from_u64(if bits & top == 0 { bits ^ top } else { !bits })
}

fn inverse<W: Word>(word: W) -> W {
    let (bits, top) = (word.to_u64(), 1 << (W::BITS - 1));
    W::from_u64(if bits & top == 0 { !bits } else { bits ^ top })
}

impl Stage for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "floats as integers in the same order"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every bit pattern"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Transform for Order {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        no_params(params).map(|()| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        with_words!(&mut codes.words, v => v.iter_mut().for_each(|word| *word = forward(*word)));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        with_words!(&mut codes.words, v => v.iter_mut().for_each(|word| *word = inverse(*word)));
        Ok(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_keep_their_order() {
        let floats = [f32::NEG_INFINITY, f32::MIN, -1.0, -f32::MIN_POSITIVE, -0.0, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY];
        let codes = floats.map(|x| forward(x.to_bits()));
        assert!(codes.is_sorted_by(|a, b| a < b));
        assert_eq!(codes.map(|code| f32::from_bits(inverse(code))), floats);
    }
}
