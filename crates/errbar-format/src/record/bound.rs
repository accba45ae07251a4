//! Bounds, the limits that they come to, and receipts.

use serde::{Deserialize, Serialize};

/// What the user asked. Several hold together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// `|x - x'| <= value`.
    Abs(f64),
    /// `|x - x'| <= value * (max - min)` of the variable.
    Rel(f64),
    /// `|x - x'| <= value * |x|`.
    PwRel(f64),
    /// Half a unit of the n-th significant decimal digit.
    Digits(u8),
    /// `20 log10((max - min) / rms error)` of the variable is at least this, in decibels.
    Psnr(f64),
    /// The root of the mean of `(x - x')²` over the variable is at most this.
    Rmse(f64),
    /// `10 log10(sum of x² / sum of (x - x')²)` of the variable is at least this, in decibels.
    Sqnr(f64),
    /// Bytes of the variable over bytes of its block frames are at least this.
    Ratio(f64),
    /// `|x - x'| <= abs` where `from <= x <= to`.
    Where {
        /// Least value that it is about; may be infinite.
        from: f64,
        /// Largest value that it is about; may be infinite.
        to: f64,
        /// Largest error of these values.
        abs: f64,
    },
}

/// What all bounds on single values came to: the limit that every finite word is held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Limit {
    /// `|x - x'| <= limit`.
    Abs(f64),
    /// `|x - x'| <= limit * |x|`.
    Relative(f64),
    /// Both.
    Both {
        /// `|x - x'| <= absolute`.
        absolute: f64,
        /// `|x - x'| <= relative * |x|`.
        relative: f64,
    },
}

/// What was found by decoding a block before it was written, or over all blocks of a variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The bounds asked for.
    pub bounds: Vec<Bound>,
    /// The limit every word was held to.
    pub limit: Limit,
    /// Largest `|x - x'|` over the finite words, rounded up.
    pub max_error: f64,
    /// Index, in C order of the words of the block or variable, where it was found.
    pub max_error_at: u64,
    /// Root of the mean of `(x - x')²` over the finite words.
    pub rms_error: f64,
    /// Words compared: the finite ones.
    pub finite: u64,
    /// NaN and infinite words, kept bit for bit.
    pub non_finite: u64,
    /// Words that the codes do not carry and that are stored as they were.
    pub exact: u64,
}

impl Bound {
    /// Whether it is about the variable as a whole, met by a limit that was searched for.
    pub fn is_target(&self) -> bool {
        matches!(self, Bound::Psnr(_) | Bound::Rmse(_) | Bound::Sqnr(_) | Bound::Ratio(_))
    }
}

impl Limit {
    /// The largest `|x - x'|`, if there is such a limit.
    pub fn absolute(self) -> Option<f64> {
        match self {
            Limit::Abs(value) | Limit::Both { absolute: value, .. } => Some(value),
            Limit::Relative(_) => None,
        }
    }

    /// The largest share of `|x|`, if there is such a limit.
    pub fn relative(self) -> Option<f64> {
        match self {
            Limit::Relative(value) | Limit::Both { relative: value, .. } => Some(value),
            Limit::Abs(_) => None,
        }
    }

    /// The limit made of both numbers; nothing without either.
    pub fn of(absolute: Option<f64>, relative: Option<f64>) -> Option<Limit> {
        match (absolute, relative) {
            (Some(absolute), Some(relative)) => Some(Limit::Both { absolute, relative }),
            (Some(absolute), None) => Some(Limit::Abs(absolute)),
            (None, Some(relative)) => Some(Limit::Relative(relative)),
            (None, None) => None,
        }
    }

    /// The limit that allows what either allows, of two for the same bounds.
    #[must_use]
    pub fn or(self, other: Limit) -> Limit {
        let larger = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.max(b));
        Limit::of(larger(self.absolute(), other.absolute()), larger(self.relative(), other.relative())).unwrap_or(self)
    }
}
