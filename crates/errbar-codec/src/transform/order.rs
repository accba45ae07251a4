use errbar_format::Result;

use super::{map, same};
use crate::codes::Word;
use crate::stage::{Stage, Transform, no_params};
use crate::{Codes, Layout, with_words};

/// Bit patterns of floats to integers in the same order as the numbers. See
/// `spec/stages/order.md`.
#[derive(Clone, Copy, Debug)]
pub struct Order;

fn top<W: Word>() -> W {
    W::from_u64(1 << (W::BITS - 1))
}

fn forward<W: Word>(words: &mut [W]) {
    map(words, |word| {
        let negative = word.to_u64() >> (W::BITS - 1) == 1;
        W::from_u64(if negative { !word.to_u64() } else { word.to_u64() ^ top::<W>().to_u64() })
    });
}

fn inverse<W: Word>(words: &mut [W]) {
    map(words, |word| {
        let positive = word.to_u64() >> (W::BITS - 1) == 1;
        W::from_u64(if positive { word.to_u64() ^ top::<W>().to_u64() } else { !word.to_u64() })
    });
}

impl Stage for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "bit patterns of floats as integers in the order of the numbers"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every word"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Transform for Order {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        same(input, params)
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        with_words!(&mut codes.words, v => forward(v));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        with_words!(&mut codes.words, v => inverse(v));
        Ok(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_sort_as_floats_do() {
        let floats = [f32::NEG_INFINITY, -1e30, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, 1e30, f32::INFINITY];
        let mut words = floats.map(f32::to_bits);
        forward(&mut words);
        assert!(words.windows(2).all(|pair| pair[0] < pair[1]));
        inverse(&mut words);
        assert_eq!(words, floats.map(f32::to_bits));
    }
}
