use errbar_format::{DType, Error, Result};

use crate::codes::Word;
use crate::float::{Float, with_floats};
use crate::lattice::{self, Present};
use crate::quantizer::ordered::absent;
use crate::quantizer::words_nearest;
use crate::stage::{Quantized, Quantizer, Stage, bad_params};
use crate::{Codes, Layout, Tolerance, Values, Words, with_words};

/// Values that sit on `offset + k * unit` as integers: exactly, or every so many of them together
/// under a limit that is coarser than the unit. See `spec/stages/lattice.md`.
#[derive(Clone, Copy, Debug)]
pub struct Lattice;

struct Params {
    offset: f64,
    /// Distance between the values of neighbouring codes.
    step: f64,
    /// The multiple of the step that code 0 stands for.
    base: i64,
}

impl Params {
    fn parse(params: &[u8]) -> Result<Params> {
        let bytes: &[u8; 24] = params.try_into().map_err(|_| bad_params("lattice takes 24 bytes"))?;
        let word = |at: usize| std::array::from_fn(|i| bytes[at + i]);
        let params = Params { offset: f64::from_le_bytes(word(0)), step: f64::from_le_bytes(word(8)), base: i64::from_le_bytes(word(16)) };
        match params.offset.is_finite() && params.step.is_finite() && params.step > 0.0 {
            true => Ok(params),
            false => Err(bad_params("lattice's offset or step is impossible")),
        }
    }

    fn value(&self, code: u64) -> f64 {
        self.offset + code.wrapping_add(self.base as u64) as i64 as f64 * self.step
    }

    fn to_bytes(&self) -> Vec<u8> {
        [self.offset.to_le_bytes(), self.step.to_le_bytes(), self.base.to_le_bytes()].concat()
    }
}

impl Lattice {
    /// The lattice that `values` are on, if it serves a limit better than multiples of twice the
    /// limit: what planners ask before they propose it. To be asked of [`Quantizer::quantize`], which
    /// then need not look for one.
    pub fn wanted(values: &Values, tolerance: &Tolerance) -> Option<Vec<u8>> {
        let (limit, float) = (tolerance.limit.absolute()?, Float::of(values.dtype).ok()?);
        let absent = absent(values, tolerance);
        let present = Present { values, float, absent: absent.as_deref() };
        present.lattice(limit, 2.0 * limit).map(lattice::Lattice::to_bytes)
    }
}

impl Stage for Lattice {
    fn name(&self) -> &'static str {
        "lattice"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "integers of values on a lattice"
    }

    fn parameters(&self) -> &'static str {
        "offset: f64; step: f64; base: i64, the multiple of code 0"
    }

    fn guarantee(&self) -> &'static str {
        "absolute error at most the limit, none where the limit is below the lattice's unit; other words exact"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        Params::parse(params).map(|params| format!("{:.6e} + k {:.6e}", params.offset, params.step))
    }
}

impl Quantizer for Lattice {
    fn quantize(&self, values: &Values, tolerance: &Tolerance, wanted: &[u8]) -> Result<Quantized> {
        let Some(limit) = tolerance.limit.absolute() else {
            return Err(Error::usage("lattice serves absolute limits only"));
        };
        let float = Float::of(values.dtype)?;
        let absent = absent(values, tolerance);
        let present = Present { values, float, absent: absent.as_deref() };
        let found = match wanted {
            // As good as multiples of twice the limit will do: values that come back exactly are worth more.
            [] => present.lattice(limit, limit).ok_or_else(|| Error::usage("the values are on no lattice"))?,
            wanted => lattice::Lattice::from_bytes(wanted).ok_or_else(|| bad_params("lattice can be asked for one alone"))?,
        };
        let step = found.unit * found.stride;
        let multiple = |bits: u64| lattice::nearest_integer((float.to_f64(bits) - found.offset) / step);
        let multiples: Vec<f64> = with_words!(&values.bits.words, v => v.iter().map(|w| multiple(w.to_u64())).collect());
        let is_absent = |i: usize| absent.as_ref().is_some_and(|absent| absent[i]);
        let base = multiples.iter().enumerate().filter(|(i, _)| !is_absent(*i)).fold(f64::MAX, |base, (_, &k)| base.min(k));
        let params = Params { offset: found.offset, step, base: if base < f64::MAX { base as i64 } else { 0 } };
        let mut last = 0;
        let mut exact = Vec::new();
        let codes: Vec<u32> = with_floats!(float, &values.bits.words, (words, to_f64, narrow) => {
            let each = words.iter().zip(&multiples).enumerate();
            each.map(|(i, (&word, &k))| {
                // Where there is none, the code before costs least, unless it need not be written at all.
                if !is_absent(i) {
                    last = (k - base) as u32;
                    // Coarse types round what lies between their own values.
                    if !tolerance.allows(to_f64(word), narrow(params.value(last.into()))) {
                        exact.push(i as u32);
                    }
                }
                last
            })
            .collect()
        })?;
        Ok(Quantized::with_absent(params.to_bytes(), Words::U32(codes), exact, absent, values))
    }

    fn code_layout(&self, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        Float::of(dtype)?;
        Params::parse(params)?;
        let codes = Layout::new(4, &layout.dims.iter().map(|&d| d as u64).collect::<Vec<_>>())?;
        Ok(Layout { scan: layout.scan.clone(), ..codes })
    }

    fn reconstruct(&self, codes: Codes, dtype: DType, _: &Layout, params: &[u8]) -> Result<Codes> {
        let float = Float::of(dtype)?;
        let params = Params::parse(params)?;
        let words = with_words!(&codes.words, v => words_nearest(v, float, |code| params.value(code)));
        Ok(Codes::plain(codes.dims, words))
    }
}
