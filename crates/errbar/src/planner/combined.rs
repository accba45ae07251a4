//! Which of two limits that hold together counts in a block.

use errbar_codec::codes::Word;
use errbar_codec::float::Float;
use errbar_codec::{Limit, Tolerance, Values, with_words};

/// Products within this of a limit are not told apart.
const ROUNDING: f64 = 1e-12;

/// The limit to plan for: one of two where it implies the other for every value of the block.
pub(super) fn binding(values: &Values, tolerance: &Tolerance) -> Limit {
    let (Limit::Both { absolute, relative }, Ok(float)) = (tolerance.limit, Float::of(values.dtype)) else { return tolerance.limit };
    // A zero may have no error: its magnitude is the least of all.
    let (mut least, mut largest) = (f64::INFINITY, 0f64);
    with_words!(&values.bits.words, v => for word in v {
        let bits = word.to_u64();
        if float.is_finite(bits) && !tolerance.is_fill(bits) {
            let magnitude = float.to_f64(bits).abs();
            (least, largest) = (least.min(magnitude), largest.max(magnitude));
        }
    });
    if relative * least * (1.0 - ROUNDING) >= absolute {
        Limit::Abs(absolute)
    } else if relative * largest * (1.0 + ROUNDING) <= absolute {
        Limit::Relative(relative)
    } else {
        tolerance.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use errbar_codec::{Codes, DType, Words};

    #[test]
    fn a_limit_that_implies_the_other_counts_alone() {
        let limit = |numbers: &[f32], absolute, relative| {
            let words = Words::U32(numbers.iter().map(|x| x.to_bits()).collect());
            let values = Values { dtype: DType::F32, bits: Codes::plain(vec![numbers.len()], words) };
            let limit = Limit::Both { absolute, relative };
            binding(&values, &Tolerance { bounds: Vec::new(), limit, fill: vec![(-9f32).to_bits().into()] })
        };
        assert_eq!(limit(&[250.0, f32::NAN, -9.0, 300.0], 0.1, 1e-3), Limit::Abs(0.1));
        assert_eq!(limit(&[0.0, f32::INFINITY, 90.0], 0.1, 1e-3), Limit::Relative(1e-3));
        assert_eq!(limit(&[0.0, 300.0], 0.1, 1e-3), Limit::Both { absolute: 0.1, relative: 1e-3 });
        assert_eq!(limit(&[], 0.1, 1e-3), Limit::Abs(0.1));
    }
}
