//! The taps of every class, as the parameters carry them.

use super::template::{Group, TAP_UNIT, fixed_taps};
use crate::binary::{Binary, Bit};

/// How a class is predicted from the classes before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// The mean of cubics along the odd dimensions.
    #[default]
    Cubic,
    /// The mean of lines along the odd dimensions.
    Linear,
    /// Taps of its own.
    Fitted,
}

/// The predictor of a class, in units of 1 / 4096.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taps {
    pub(super) shape: Shape,
    /// Of all groups but the first; empty unless [`Shape::Fitted`].
    pub(super) interpolating: Vec<i16>,
    /// Of the own-class groups; empty where they do not take part.
    pub(super) causal: Vec<i16>,
}

impl Taps {
    /// The tap of each group of interpolating neighbours; their sum is 1.
    pub(super) fn weights(&self, groups: &[Group], class: u8) -> Vec<f64> {
        let mut weights = match self.shape {
            Shape::Cubic => fixed_taps(groups, class, true),
            Shape::Linear => fixed_taps(groups, class, false),
            Shape::Fitted => std::iter::once(0.0).chain(self.interpolating.iter().map(|&tap| f64::from(tap) / TAP_UNIT)).collect(),
        };
        if let [first, others @ ..] = weights.as_mut_slice() {
            *first = others.iter().fold(1.0, |left, tap| left - tap);
        }
        weights
    }

    /// The tap of each own-class group.
    pub(super) fn causal_weights(&self) -> Vec<f64> {
        self.causal.iter().map(|&tap| f64::from(tap) / TAP_UNIT).collect()
    }
}

/// Models of the taps' bits, shared by all classes.
pub(super) struct TapCoder {
    shape: [Bit; 4],
    causal: Bit,
    lengths: [Bit; 32],
}

impl TapCoder {
    pub(super) fn new() -> Self {
        TapCoder { shape: [Bit::default(); 4], causal: Bit::default(), lengths: [Bit::default(); 32] }
    }

    /// Writes the taps of a class, or reads them; the groups tell how many there are.
    pub(super) fn code(&mut self, coder: &mut impl Binary, taps: &Taps, groups: usize, causal_groups: usize) -> Taps {
        let shape = match coder.tree(taps.shape as u32, &mut self.shape) {
            0 => Shape::Cubic,
            1 => Shape::Linear,
            _ => Shape::Fitted,
        };
        let fitted = if shape == Shape::Fitted { groups.saturating_sub(1) } else { 0 };
        let interpolating = self.numbers(coder, &taps.interpolating, fitted);
        let has_causal = causal_groups > 0 && coder.bit(!taps.causal.is_empty(), &mut self.causal);
        let causal = self.numbers(coder, &taps.causal, if has_causal { causal_groups } else { 0 });
        Taps { shape, interpolating, causal }
    }

    fn numbers(&mut self, coder: &mut impl Binary, given: &[i16], n: usize) -> Vec<i16> {
        (0..n).map(|i| coder.signed(given.get(i).copied().unwrap_or(0).into(), &mut self.lengths) as i16).collect()
    }
}
