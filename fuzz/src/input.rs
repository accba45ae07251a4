//! Choices out of a fuzzer's bytes. Missing bytes read as zero, so that every input means something.

use std::sync::Arc;

use errbar_codec::codes::Word;
use errbar_codec::float::Float;
use errbar_codec::polyphase::{Extents, levels};
use errbar_codec::{Codes, DType, Layout, Limit, Stage, Tolerance, Values, Words, with_words};
use errbar_format::record::Bound;

/// The bytes that are left.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Up to `len` bytes.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::from(self.byte()) % list.len()]
    }

    /// A shape of few elements, zero among the extents.
    pub fn shape(&mut self) -> Vec<u64> {
        let dims = self.byte() % 5;
        let most: u8 = [255, 255, 60, 16, 8][usize::from(dims)];
        (0..dims).map(|_| u64::from(self.byte() % most)).collect()
    }

    /// `len` bytes: those that are left, repeated, then zeros if there are none.
    pub fn fill(&mut self, len: usize) -> Vec<u8> {
        match self.0 {
            [] => vec![0; len],
            rest => rest.iter().copied().cycle().take(len).collect(),
        }
    }

    /// An array of any type and a shape of few elements: any bits, or what data look like.
    pub fn values(&mut self) -> Values {
        let dtype = self.pick(DType::ALL);
        let shape = self.shape();
        let layout = Values::layout(dtype, &shape).expect("few elements fit a block");
        let content = self.byte();
        if content.is_multiple_of(3) {
            let bytes = self.fill(layout.bytes());
            return Values::from_bytes(dtype, false, &shape, &bytes).expect("as many bytes as the shape needs");
        }
        let numbers = Numbers::new(self).all(&layout.dims, self.0);
        let float = Float::of(dtype).ok();
        let bits = numbers.into_iter().map(|x| float.map_or(x as i64 as u64, |float| float.from_f64(x)));
        Values { dtype, bits: layout.codes(words(layout.width, bits)) }
    }

    /// A layout of few words: plain, with absent words, or in levels as `interp` has them.
    pub fn layout(&mut self) -> Layout {
        let width = self.pick(&[1, 2, 4, 8]);
        let mut layout = match self.byte() % 3 {
            0 => {
                let n: Extents = [6, 10, 14, 80].map(|most| usize::from(self.byte() % most));
                let mut layout = Layout::plain(width, n.to_vec());
                layout.scan.levels = levels(n, self.byte() & 0x0F);
                layout
            }
            _ => Layout::new(width, &self.shape()).expect("few words fit a block"),
        };
        layout.scan.absent = self.absent(layout.len());
        layout
    }

    /// Which of `n` words are absent: often none, else runs of some length.
    pub fn absent(&mut self, n: usize) -> Option<Arc<[bool]>> {
        let run = usize::from(self.byte() % 24).checked_sub(12)? + 1;
        let pattern = self.u64() as u16;
        Some((0..n).map(|i| pattern >> (i / run % 16) & 1 == 1).collect())
    }

    /// Codes of `layout`: any, or small ones as residuals are. Absent words are zero.
    pub fn codes(&mut self, layout: &Layout) -> Codes {
        let small = self.byte() % 4;
        let bytes = self.fill(layout.bytes());
        let mut codes = Codes::from_le_bytes(layout, bytes).expect("as many bytes as the layout needs");
        let absent = layout.scan.absent.as_deref();
        with_words!(&mut codes.words, v => for (i, word) in v.iter_mut().enumerate() {
            // One in some keeps all its bits.
            let keep = [u64::MAX, 3, 15, 255][usize::from(small)];
            let mask = if i % 67 == 13 { u64::MAX } else { keep };
            *word = Word::from_u64(if absent.is_some_and(|absent| absent[i]) { 0 } else { word.to_u64() & mask });
        });
        codes
    }

    /// Parameters: the stage's own, the stage's own with some bytes changed, or any. `own` are those
    /// that an encoder chose, if one did.
    pub fn params(&mut self, stage: &(impl Stage + ?Sized), own: Option<Vec<u8>>) -> Vec<u8> {
        let form = self.byte() % 4;
        if form == 0 {
            let len = usize::from(self.byte() % 80);
            return self.bytes(len).to_vec();
        }
        let mut params = own.unwrap_or_else(|| {
            let mut examples = stage.examples();
            examples.swap_remove(usize::from(self.byte()) % examples.len())
        });
        if form == 1 {
            self.change(&mut params);
        }
        params
    }

    /// Overwrites some bytes, or removes the last ones.
    pub fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.byte() % 4 {
            let at = u16::from_le_bytes([self.byte(), self.byte()]);
            match bytes.len() {
                0 => bytes.push(self.byte()),
                len if at & 0x8000 != 0 => bytes.truncate(usize::from(at & 0x7FFF) % (len + 1)),
                len => bytes[usize::from(at) % len] = self.byte(),
            }
        }
    }

    /// A bound, or none.
    pub fn tolerance(&mut self) -> Option<Tolerance> {
        let kind = self.byte() % 5;
        let bits = self.u64();
        // Half of the bounds are of a size that data meet; the others are whatever the bits say.
        let usual = [1e-3, 0.5, 1.0, 1e-6, 1e5, 1e-30, 0.1, 0.01];
        let value = if bits.is_multiple_of(2) { usual[(bits / 2 % 8) as usize] } else { f64::from_bits(bits).abs() };
        if kind == 0 || !value.is_finite() || value == 0.0 {
            return None;
        }
        let mut fill: Vec<u64> = (0..self.byte() % 3).map(|_| self.u64()).collect();
        fill.sort_unstable();
        fill.dedup();
        Some(match kind {
            1 => Tolerance { bounds: vec![Bound::PwRel(value)], limit: Limit::Relative(value), fill },
            2 => {
                let relative = [1e-2, 1e-4][usize::from(self.byte() % 2)];
                let bounds = vec![Bound::Abs(value), Bound::PwRel(relative)];
                Tolerance { bounds, limit: Limit::Both { absolute: value, relative }, fill }
            }
            _ => Tolerance { bounds: vec![Bound::Abs(value)], limit: Limit::Abs(value), fill },
        })
    }
}

/// The low bits of each as words of `width` bytes.
fn words(width: usize, bits: impl Iterator<Item = u64>) -> Words {
    match width {
        1 => Words::U8(bits.map(|b| b as u8).collect()),
        2 => Words::U16(bits.map(|b| b as u16).collect()),
        4 => Words::U32(bits.map(|b| b as u32).collect()),
        _ => Words::U64(bits.collect()),
    }
}

/// A smooth field with noise, perhaps rounded to a lattice, perhaps with holes.
struct Numbers {
    scale: f64,
    slopes: [f64; 3],
    bend: f64,
    noise: f64,
    unit: f64,
    hole: f64,
    holes: u16,
    run: usize,
}

impl Numbers {
    fn new(input: &mut Input<'_>) -> Numbers {
        let mut signed = || f64::from(input.byte() as i8);
        let (slopes, bend) = ([signed(), signed(), signed()], signed() / 64.0);
        Numbers {
            scale: input.pick(&[1.0, 1e-3, 1e4, 1e-30, 1e30, 0.125]),
            slopes,
            bend,
            noise: input.pick(&[0.0, 1e-4, 0.01, 1.0, 100.0]),
            unit: input.pick(&[0.0, 0.0, 1.0, 0.1, 0.25, 1e-3]),
            hole: input.pick(&[f64::INFINITY, f64::NEG_INFINITY, 1e20, -9999.0]),
            holes: u16::from_le_bytes([input.byte(), input.byte()]) & if input.byte().is_multiple_of(2) { 0 } else { u16::MAX },
            run: usize::from(input.byte() % 40) + 1,
        }
    }

    fn all(&self, dims: &[usize], noise: &[u8]) -> Vec<f64> {
        let extent = |back: usize| dims.iter().rev().nth(back).copied().unwrap_or(1).max(1);
        let (row, rows) = (extent(0), extent(1));
        let n: usize = dims.iter().product();
        (0..n)
            .map(|i| {
                if self.holes >> (i / self.run % 16) & 1 == 1 {
                    return self.hole;
                }
                let at = [i % row, i / row % rows, i / row / rows].map(|i| i as f64);
                let smooth = at.iter().zip(self.slopes).map(|(x, slope)| x * slope).sum::<f64>() + self.bend * at[0] * (at[0] + at[1]);
                let random = noise.get(i % noise.len().max(1)).map_or(0.0, |&byte| f64::from(byte) / 256.0);
                let x = smooth + self.noise * random;
                self.scale * if self.unit > 0.0 { (x / self.unit).round_ties_even() * self.unit } else { x }
            })
            .collect()
    }
}
