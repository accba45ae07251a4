//! How a word of bytes may be a number.

use errbar_format::DType;

/// A width, a byte order, a position of the first byte modulo the width, and whether it is a float.
#[derive(Debug, PartialEq)]
pub(super) struct Form {
    pub(super) width: usize,
    pub(super) big_endian: bool,
    pub(super) phase: usize,
    pub(super) float: bool,
}

const N_FORMS: usize = 4 + 2 * 8 + 2 * 16;

/// All forms.
pub(super) static FORMS: [Form; N_FORMS] = all();

const fn all() -> [Form; N_FORMS] {
    let mut forms = [const { Form { width: 2, big_endian: false, phase: 0, float: false } }; N_FORMS];
    let mut i = 0;
    let mut width = 2;
    while width <= 8 {
        let mut k = 0;
        while k < if width == 2 { 2 * width } else { 4 * width } {
            forms[i] = Form { width, big_endian: k % 2 == 1, phase: k / 2 % width, float: k < 2 * width && width > 2 };
            i += 1;
            k += 1;
        }
        width *= 2;
    }
    forms
}

impl Form {
    /// The word at `at` as an integer in whose order the numbers stand, at the top of 64 bits, so
    /// that differences wrap as those of words do.
    #[inline(always)]
    pub(super) fn word(&self, bytes: &[u8], at: usize) -> u64 {
        let raw = match (bytes.get(at..at + self.width), self.big_endian) {
            (Some(&[a, b]), false) => u64::from(u16::from_le_bytes([a, b])),
            (Some(&[a, b]), true) => u64::from(u16::from_be_bytes([a, b])),
            (Some(&[a, b, c, d]), false) => u64::from(u32::from_le_bytes([a, b, c, d])),
            (Some(&[a, b, c, d]), true) => u64::from(u32::from_be_bytes([a, b, c, d])),
            (Some(&[a, b, c, d, e, f, g, h]), false) => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            (Some(&[a, b, c, d, e, f, g, h]), true) => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => 0,
        } << self.shift();
        let sign = 1 << 63;
        match self.float {
            true if raw & sign != 0 => !raw & (u64::MAX << self.shift()),
            true => raw | sign,
            false => raw,
        }
    }

    /// Bits below a word in what [`Form::word`] gives.
    pub(super) fn shift(&self) -> u32 {
        64 - 8 * self.width as u32
    }

    /// The first place at `at` or behind it where a word begins.
    pub(super) fn align_up(&self, at: usize) -> usize {
        at + (self.width + self.phase - at % self.width) % self.width
    }

    /// The last place at `at` or before it where a word begins; 0 where there is none.
    pub(super) fn align_down(&self, at: usize) -> usize {
        at.saturating_sub((at % self.width + self.width - self.phase) % self.width)
    }

    /// Whether most of the numbers that are not zero are of a usual magnitude.
    fn are_floats(&self, bytes: &[u8], step: usize) -> bool {
        let (bits, bias) = if self.width == 4 { (8, 127) } else { (11, 1023) };
        let (mut usual, mut n) = (0, 0);
        for at in (0..bytes.len().saturating_sub(self.width)).step_by(step) {
            let word = self.word(bytes, at);
            let raw = if word >> 63 == 1 { word << 1 } else { !word << 1 };
            let exponent = (raw >> (64 - bits)) as i64 - bias;
            if raw >> (1 + self.shift()) != 0 {
                n += 1;
                usual += usize::from(exponent.abs() < 100);
            }
        }
        usual * 8 >= n * 7
    }

    /// The type of the numbers. Integers are signed if they go through zero.
    pub(super) fn dtype(&self, bytes: &[u8]) -> DType {
        let step = (bytes.len() / self.width / 4096).max(1) * self.width;
        if self.float && self.are_floats(bytes, step) {
            return if self.width == 4 { DType::F32 } else { DType::F64 };
        }
        let tops = (0..bytes.len().saturating_sub(2 * self.width))
            .step_by(step)
            .map(|at| (self.word(bytes, at) >> 62, self.word(bytes, at + self.width) >> 62));
        let (mut zero, mut middle) = (0, 0);
        for pair in tops {
            match pair {
                (0, 3) | (3, 0) => zero += 1,
                (1, 2) | (2, 1) => middle += 1,
                _ => {}
            }
        }
        match (self.width, zero >= middle) {
            (2, true) => DType::I16,
            (2, false) => DType::U16,
            (4, true) => DType::I32,
            (4, false) => DType::U32,
            (_, true) => DType::I64,
            (_, false) => DType::U64,
        }
    }
}
