mod choose;
mod levels;
mod params;
mod real;
mod taps;
mod template;
mod values;

use std::sync::Arc;

use errbar_format::{DType, Error, Result};

use self::choose::Effort;
use self::levels::Plan;
use self::params::{Params, Wanted, Wish};
use self::real::Real;
use self::taps::Taps;
use self::values::Fold;
use crate::codes::Scan;
use crate::float::Float;
use crate::lattice::{self, Present};
use crate::polyphase::{Extents, Grid, padded};
use crate::simd::{Work, widest};
use crate::stage::{Quantized, Quantizer, Stage, bad_params};
use crate::{Codes, Layout, Tolerance, Values, Words};

/// Interpolation of a grid level by level, by classes of parities, from what is reconstructed
/// already; codes count steps from the prediction. The predictors are fitted for every level and
/// class. See `spec/stages/interp.md`; the levels are those of Zhao et al., ICDE 2021 (SZ3), the
/// classes and the fitted predictors with own-class errors are errbar's.
#[derive(Clone, Copy, Debug)]
pub struct Interp;

impl Interp {
    /// What to ask of [`Quantizer::quantize`]: dimensions that stay whole, a bit each, the last
    /// dimension being bit 3; whether the last dimension is taken to the front first; and the lattice
    /// that [`Lattice::wanted`](super::Lattice::wanted) found, if any.
    pub fn wanted(whole: u8, rotated: bool, lattice: Option<&[u8]>) -> Vec<u8> {
        let lattice = lattice.and_then(lattice::Lattice::from_bytes).map_or(Wish::None, Wish::This);
        Wanted { whole, rotated, lattice }.to_bytes()
    }
}

/// Quantizes in working numbers of one type.
struct Quantizing<'a, R> {
    plan: Plan<R>,
    values: &'a Values,
    head: &'a Params,
    fold: &'a Fold,
    absent: Option<&'a [bool]>,
    effort: Effort,
}

impl<R: Real> Work for Quantizing<'_, R> {
    type Output = Result<(Vec<u32>, Vec<Taps>)>;
    #[inline(always)]
    fn run(self) -> Self::Output {
        let grid = values::to_grid(self.values, self.fold, self.head, self.absent)?;
        let absent = self.absent.map(|absent| self.fold.grid(absent));
        Ok(self.plan.quantize(grid, absent, self.effort))
    }
}

struct Reconstructing<'a, R> {
    plan: Plan<R>,
    words: &'a [u32],
    float: Float,
    params: &'a Params,
    fold: &'a Fold,
}

impl<R: Real> Work for Reconstructing<'_, R> {
    type Output = Words;
    #[inline(always)]
    fn run(self) -> Words {
        let grid = self.plan.reconstruct(self.words, &self.params.taps);
        values::from_grid(&grid, self.float, self.fold, self.params)
    }
}

impl Interp {
    /// As [`Quantizer::quantize`], with taps from as much effort; tells the share of words that are expected to miss
    /// the limit, too.
    fn quantize_by(values: &Values, tolerance: &Tolerance, wanted: &[u8], effort: Effort) -> Result<(Quantized, f64)> {
        let Some(limit) = tolerance.limit.absolute().filter(|limit| *limit > 0.0) else {
            return Err(Error::usage("interp serves absolute limits only"));
        };
        let float = Float::of(values.dtype)?;
        let wanted = Wanted::parse(wanted)?;
        let fold = Fold::new(&values.bits.dims, wanted.rotated);
        check_size(fold.n)?;
        let survey = values::Survey::of(values, float, tolerance);
        let absent = survey.absent.as_deref();
        let (head, missed) = wanted.serve(&survey, Present { values, float, absent }, limit)?;
        let (head, fold) = (&head, &fold);
        let (words, taps) = match head.double {
            true => widest(Quantizing::<f64> { plan: head.plan(fold.n), values, head, fold, absent, effort }),
            false => widest(Quantizing::<f32> { plan: head.plan(fold.n), values, head, fold, absent, effort }),
        }?;
        let params = Params { taps, ..head.clone() };
        let levels = params.levels(fold.n);
        let scan = absent.map(|absent| scanned(absent, fold, &levels));
        let codes = code_layout(fold.n, levels, scan).codes(Words::U32(words));
        let params = params.to_bytes(fold.n);
        Ok((Quantized { params, codes, exact: Vec::new(), absent: survey.absent }, missed))
    }
}

/// The order of an absence along the words.
fn scanned(absent: &[bool], fold: &Fold, levels: &[u8]) -> Arc<[bool]> {
    let pyramid = fold.grid(absent).pyramid(levels);
    let mut words = Vec::with_capacity(absent.len());
    let mut push = |grid: &Grid<bool>| grid.each_row().for_each(|row| words.extend_from_slice(grid.row(row)));
    push(&pyramid[levels.len()][0]);
    for (parts, &level) in pyramid.iter().zip(levels).rev() {
        crate::polyphase::classes(level)[1..].iter().for_each(|&class| push(&parts[usize::from(class)]));
    }
    words.into()
}

/// Points, with the halo, of the largest grid: what a reader must be able to hold.
const MAX_PADDED: usize = 1 << 24;

fn check_size(n: Extents) -> Result<()> {
    match padded(n) {
        0..=MAX_PADDED => Ok(()),
        points => Err(bad_params(&format!("interp takes grids of at most {MAX_PADDED} points with their halo, this has {points}"))),
    }
}

fn code_layout(n: Extents, levels: Vec<u8>, absent: Option<Arc<[bool]>>) -> Layout {
    Layout { width: 4, dims: n.to_vec(), scan: Scan { levels, absent, ..Scan::default() } }
}

impl Stage for Interp {
    fn name(&self) -> &'static str {
        "interp"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "steps from a prediction by multi-level interpolation"
    }

    fn parameters(&self) -> &'static str {
        "flags: u8; step, base: f64; with a lattice its offset and unit: f64; the predictors' taps, coded"
    }

    fn guarantee(&self) -> &'static str {
        "absolute error at most the limit; other words exact"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        Params::head(params).map(|(params, _)| params.describe())
    }
}

impl Quantizer for Interp {
    fn quantize(&self, values: &Values, tolerance: &Tolerance, wanted: &[u8]) -> Result<Quantized> {
        Interp::quantize_by(values, tolerance, wanted, Effort::FULL).map(|(quantized, _)| quantized)
    }

    fn rehearse(&self, values: &Values, tolerance: &Tolerance, wanted: &[u8]) -> Result<Quantized> {
        let (quantized, missed) = Interp::quantize_by(values, tolerance, wanted, Effort::LITTLE)?;
        let missed = (missed * values.bits.words.len() as f64).ceil() as u32;
        Ok(Quantized { exact: (0..missed).collect(), ..quantized })
    }

    fn names_every_miss(&self) -> bool {
        false
    }

    fn code_layout(&self, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Layout> {
        Float::of(dtype)?;
        let (params, _) = Params::head(params)?;
        let fold = Fold::new(&layout.dims, params.rotated);
        check_size(fold.n)?;
        let levels = params.levels(fold.n);
        let absent = layout.scan.absent.as_deref().map(|absent| scanned(absent, &fold, &levels));
        // As many words as values, but wider than some.
        let layout = Layout::new(4, &fold.n.map(|n| n as u64))?;
        Ok(code_layout(fold.n, levels, absent).codes(Words::U32(Vec::new())).layout()).map(|l| Layout { width: layout.width, ..l })
    }

    fn reconstruct(&self, codes: Codes, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Codes> {
        let float = Float::of(dtype)?;
        let (head, _) = Params::head(params)?;
        let fold = &Fold::new(&layout.dims, head.rotated);
        let params = &Params::parse(params, fold.n)?;
        let Words::U32(words) = &codes.words else {
            return Err(Error::corrupt("EB-C02", "interp takes words of four bytes"));
        };
        let words = match params.double {
            true => widest(Reconstructing::<f64> { plan: params.plan(fold.n), words, float, params, fold }),
            false => widest(Reconstructing::<f32> { plan: params.plan(fold.n), words, float, params, fold }),
        };
        Ok(Codes::plain(layout.dims.clone(), words))
    }
}
