mod fit;
mod template;

use errbar_format::Result;

use self::template::{Line, Model};
use crate::codes::Word;
use crate::polyphase::{DIMS, Extents, folded};
use crate::simd::{Work, widest};
use crate::stage::{Stage, Transform, bad_params};
use crate::{Codes, Layout, with_words};

/// Zigzag code of each code's difference to a linear prediction from its neighbours before it, with
/// taps fitted to the block. See `spec/stages/linear.md`.
#[derive(Clone, Copy, Debug)]
pub struct Linear;

const WIDEST: u32 = 32;

fn check(layout: &Layout) -> Result<Extents> {
    match layout.width {
        1 | 2 | 4 => Ok(folded(&layout.dims)),
        _ => Err(bad_params("linear takes codes of at most 32 bits")),
    }
}

/// Codes there, residuals here: which of both is given decides the direction.
struct Pass<'a, W> {
    words: &'a mut [W],
    n: Extents,
    model: &'a Model,
    absent: Option<&'a [bool]>,
    forward: bool,
}

impl<W: Word> Work for Pass<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Pass { words, n, model, absent, forward } = self;
        let width = n[DIMS - 1];
        let most = f64::from(u32::MAX >> (WIDEST - W::BITS));
        // Codes as doubles: products and sums of theirs are exact.
        let mut codes = vec![0.0; words.len()];
        let mut sums = vec![0.0; width];
        for row in 0..words.len() / width.max(1) {
            let start = row * width;
            let line = Line::new(model, n, row);
            line.sums(&codes, start, &mut sums);
            for x in 0..width {
                let predicted = line.predict(&codes, start, x, sums[x]);
                let at = start + x;
                if absent.is_some_and(|absent| absent[at]) {
                    codes[at] = predicted.clamp(0.0, most);
                    words[at] = W::from_u64(if forward { 0 } else { codes[at] as u64 });
                    continue;
                }
                let p = W::from_u64(predicted as i64 as u64);
                if forward {
                    codes[at] = words[at].to_u64() as f64;
                    words[at] = words[at].wsub(p).zigzag();
                } else {
                    words[at] = words[at].unzigzag().wadd(p);
                    codes[at] = words[at].to_u64() as f64;
                }
            }
        }
    }
}

impl Linear {
    /// Parameters for codes like these.
    pub fn params(codes: &Codes) -> Vec<u8> {
        let Ok(n) = check(&codes.layout()) else { return Model::default().to_bytes() };
        fit::model(codes, n).to_bytes()
    }
}

impl Stage for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "differences to a linear prediction with fitted taps"
    }

    fn parameters(&self) -> &'static str {
        "has_mean: u8; mean: u32 if so; 17 taps: i16, in units of 1 / 4096"
    }

    fn examples(&self) -> Vec<Vec<u8>> {
        let plane = Model { mean: None, taps: std::array::from_fn(|k| [4096, 0, 0, 4096, -4096].get(k).copied().unwrap_or(0)) };
        let all = Model { mean: Some(7), taps: std::array::from_fn(|k| 1000 - 150 * k as i16) };
        vec![Model::default().to_bytes(), plane.to_bytes(), all.to_bytes()]
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every code: differences are modulo 2^bits"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        let model = Model::parse(params)?;
        Ok(format!("{} taps", model.taps.iter().filter(|&&tap| tap != 0).count()))
    }
}

impl Transform for Linear {
    fn chooses(&self, codes: &Codes) -> Option<Vec<u8>> {
        Some(Linear::params(codes))
    }

    fn keeps_absent(&self) -> bool {
        true
    }

    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        Model::parse(params)?;
        check(input).map(|_| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        let (n, model) = (check(&codes.layout())?, Model::parse(params)?);
        let absent = codes.scan.absent.as_deref();
        with_words!(&mut codes.words, v => widest(Pass { words: v, n, model: &model, absent, forward: true }));
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        let (n, model) = (check(input)?, Model::parse(params)?);
        let absent = input.scan.absent.as_deref();
        with_words!(&mut codes.words, v => widest(Pass { words: v, n, model: &model, absent, forward: false }));
        codes.scan = input.scan.clone();
        Ok(codes)
    }
}
