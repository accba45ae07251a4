//! The same contexts, with probabilities that learn.

use errbar_format::Result;

use super::context::{Bands, Context, GROUPS, LINEAR_BINS, SMALL, Template, Trend, activity, bin, template};
use super::range::{Bit, Bits, Reader, Writer};
use super::tables::BINS;
use super::token::{self, LINEAR};
use super::{Activity, Geometry, Step, corrupt, first_word, fit, geometry, steps, too_short};
use crate::bytes::{take, take_length};
use crate::codes::Word;
use crate::polyphase::{DIMS, Grid, SLACK};
use crate::simd::{Work, widest};
use crate::stage::{Coder, Estimate, Stage, no_params};
use crate::{Codes, Layout, Words, with_words};

/// Context-modelled adaptive range coding: bit lengths of magnitudes, their signs and highest bits, each
/// with a probability that learns, chosen by the magnitudes of the words around. Slower than
/// [`Crans`](super::Crans) and smaller. Small codes should be likely, as zigzag codes of residuals are.
/// See `spec/stages/carith.md`.
#[derive(Clone, Copy, Debug)]
pub struct Carith;

/// Bit lengths that a magnitude may have.
const LENGTHS: usize = 65;
/// Bits below the highest that are modelled.
const MODELLED: u32 = 3;

/// Probabilities of all that is coded.
struct Models {
    /// Whether the bit length is above so many, in every bin.
    above: Vec<[Bit; LENGTHS]>,
    /// By the signs of the words to the left and above.
    sign: [Bit; 9],
    /// The highest bits below the highest, for every length: a tree.
    mantissa: [[Bit; 1 << MODELLED]; LENGTHS],
    weights: [Bit; 256],
}

impl Models {
    fn new() -> Models {
        Models {
            above: vec![[Bit::default(); LENGTHS]; BINS],
            sign: Default::default(),
            mantissa: [[Bit::default(); 1 << MODELLED]; LENGTHS],
            weights: [Bit::default(); 256],
        }
    }

    /// A word in the bin of its context.
    #[inline(always)]
    fn word<W: Word>(&mut self, bits: &mut impl Bits, word: W, bin: u8, signs: usize) -> W {
        let word = word.to_u64();
        let (magnitude, negative) = (word / 2 + (word & 1), word & 1 == 1);
        let given = u64::BITS - magnitude.leading_zeros();
        let above = &mut self.above[usize::from(bin) % BINS];
        // The length that is likely here; then one up or down after the other.
        let mut length = likely(bin).min(W::BITS - 1);
        if bits.bit(given > length, &mut above[length as usize % LENGTHS]) {
            length += 1;
            while length < W::BITS && bits.bit(given > length, &mut above[length as usize % LENGTHS]) {
                length += 1;
            }
        } else {
            while length > 0 && !bits.bit(given > length - 1, &mut above[(length - 1) as usize % LENGTHS]) {
                length -= 1;
            }
        }
        if length == 0 {
            return W::from_u64(0);
        }
        let negative = bits.bit(negative, &mut self.sign[signs % 9]);
        let below = length - 1;
        let modelled = below.min(MODELLED);
        let tree = &mut self.mantissa[length as usize % LENGTHS];
        let mut node = 1usize;
        for i in 1..=modelled {
            let bit = bits.bit(magnitude >> (below - i) & 1 == 1, &mut tree[node % (1 << MODELLED)]);
            node = node << 1 | usize::from(bit);
        }
        let rest = below - modelled;
        let magnitude = if rest == 0 { node as u64 } else { (node as u64) << rest | bits.raw(magnitude, rest) };
        W::from_u64((magnitude << 1).wrapping_sub(u64::from(negative)))
    }
}

/// The bit length that magnitudes have most often in a bin: contexts count them in sixteenths.
fn likely(bin: u8) -> u32 {
    match u32::from(bin).checked_sub(LINEAR_BINS) {
        None => (u32::from(bin) / 4).saturating_sub(2),
        Some(half_octaves) => LINEAR.ilog2() + 1 + half_octaves / 2,
    }
}

/// What a word tells about its sign: none, positive, negative.
#[inline(always)]
fn sign<W: Word>(word: W) -> usize {
    let word = word.to_u64();
    if word == 0 { 0 } else { 1 + (word & 1) as usize }
}

/// All words of a block, to be written or as they are read.
struct Pass<'a, W, B> {
    bits: B,
    models: &'a mut Models,
    words: &'a mut [W],
    geometry: Geometry<'a>,
}

impl<W: Word, B: Bits> Work for Pass<'_, W, B> {
    type Output = B;

    #[inline(always)]
    fn run(self) -> B {
        let Pass { mut bits, models, words, geometry: Geometry { n, levels, absent } } = self;
        let mut around = Activity::new(n);
        let mut first = 0;
        for step in steps(n, levels) {
            let len: usize = step.n.iter().product();
            let here = &mut words[first..first + len];
            let absent = absent.map(|absent| &absent[first..first + len]);
            first += len;
            let active = class(&mut bits, models, &step, here, absent, &around);
            around.finish(&step, active);
        }
        bits
    }
}

/// Writes the weights of a class, or reads them.
fn code_weights(bits: &mut impl Bits, models: &mut [Bit; 256], template: &Template, given: &[u8; GROUPS]) -> [u8; GROUPS] {
    std::array::from_fn(|g| {
        if template[g].is_empty() {
            return 0;
        }
        let node = (0..8).rev().fold(1usize, |node, i| node << 1 | usize::from(bits.bit(given[g] >> i & 1 == 1, &mut models[node])));
        node as u8
    })
}

/// The words of a class; gives their activity, if it is wanted.
#[inline(always)]
fn class<W: Word, B: Bits>(
    bits: &mut B,
    models: &mut Models,
    step: &Step,
    words: &mut [W],
    absent: Option<&[bool]>,
    around: &Activity,
) -> Option<Grid<u16>> {
    let width = step.n[DIMS - 1];
    let template = template(around.finest, step.level, step.class, step.n);
    let mut own = around.new_class(step);
    if B::WRITES {
        for (number, (row, words)) in own.each_row().zip(words.chunks(width.max(1))).enumerate() {
            let absent = absent.map(|absent| &absent[number * width..][..width]);
            for (x, (to, &word)) in own.row_mut(row).iter_mut().zip(words).enumerate() {
                *to = if absent.is_some_and(|absent| absent[x]) { 0 } else { token::magnitude(word.to_u64()) };
            }
        }
    }
    let weights = if words.len() < SMALL {
        super::plain_weights(&template)
    } else {
        let given = if B::WRITES { fit::weights(&template, &own, &around.classes, fit::samples(words.len())) } else { [0; GROUPS] };
        code_weights(bits, &mut models.weights, &template, &given)
    };
    let bands = Bands::whole(step.n);
    let mut context = Context::new(&template, &weights, bands.axis, &own, &around.classes);
    let mut active = around.grid(step, &own);
    let mut trend = Trend::new(width);
    let mut sums = vec![[0; SLACK]; width.div_ceil(SLACK)];
    for place in bands.waves().filter_map(|wave| bands.place(0, wave)) {
        context.row(&own, &trend, &place, &mut sums);
        let row = place.row;
        let first = first_word(step.n, row);
        let (before, here) = words.split_at_mut(first);
        let here = &mut here[..width];
        let up = if row[DIMS - 2] > 0 { &before[first - width..] } else { &[] };
        let (mut left, mut left2, mut left_sign) = (0u32, 0u32, 0);
        for x in 0..width {
            let value = context.value(sums.as_flattened()[x], left, left2);
            let word = if absent.is_some_and(|absent| absent[first + x]) {
                here[x] = W::from_u64(0);
                here[x]
            } else {
                let signs = 3 * left_sign + up.get(x).map_or(0, |&up| sign(up));
                let word = models.word(bits, here[x], bin(value), signs);
                if !B::WRITES {
                    here[x] = word;
                }
                here[x]
            };
            let m = token::magnitude(word.to_u64());
            if let Some(active) = &mut active {
                active.row_mut(row)[x] = activity(value, m);
            }
            own.row_mut(row)[x] = m;
            (left2, left, left_sign) = (left, m.into(), sign(word));
        }
        trend.learn(own.data(), own.start(row));
    }
    active
}

/// Coded bits and others, of words that `models` go on to learn from.
fn written<W: Word>(words: &mut [W], geometry: Geometry<'_>, models: &mut Models) -> (Vec<u8>, Vec<u8>) {
    widest(Pass { bits: Writer::new(), models, words, geometry }).finish()
}

fn decode<W: Word>(mut bytes: &[u8], len: usize, geometry: Geometry<'_>) -> Result<Words> {
    let mut words = vec![W::from_u64(0); len];
    let length = take_length(&mut bytes).ok_or_else(too_short)?;
    let coded = take(&mut bytes, length).ok_or_else(too_short)?;
    widest(Pass { bits: Reader::new(coded, bytes), models: &mut Models::new(), words: &mut words, geometry }).finish()?;
    Ok(W::wrap(words))
}

impl Stage for Carith {
    fn name(&self) -> &'static str {
        "carith"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "small codes by adaptive range coding in the context of their neighbours' magnitudes"
    }

    fn guarantee(&self) -> &'static str {
        "gives back every code"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Coder for Carith {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        no_params(params)?;
        let (n, levels) = geometry(&codes.dims, &codes.scan)?;
        let geometry = Geometry { n, levels: &levels, absent: codes.scan.absent.as_deref() };
        let (coded, raw) = with_words!(&codes.words, v => written(&mut v.clone(), geometry, &mut Models::new()));
        Ok([&(coded.len() as u32).to_le_bytes()[..], &coded, &raw].concat())
    }

    fn estimate(&self, codes: &Codes, params: &[u8]) -> Result<Estimate> {
        no_params(params)?;
        let (n, levels) = geometry(&codes.dims, &codes.scan)?;
        let geometry = Geometry { n, levels: &levels, absent: codes.scan.absent.as_deref() };
        // The second time round, what is learnt once has been learnt.
        let mut models = Models::new();
        let mut bytes = || with_words!(&codes.words, v => written(&mut v.clone(), geometry, &mut models));
        let ((first, _), (coded, raw)) = (bytes(), bytes());
        Ok(Estimate { side: first.len().saturating_sub(coded.len()) as f64, codes: (coded.len() + raw.len()) as f64 })
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let (n, levels) = geometry(&layout.dims, &layout.scan).map_err(|error| corrupt(&error.to_string()))?;
        let geometry = Geometry { n, levels: &levels, absent: layout.scan.absent.as_deref() };
        let words = match layout.width {
            1 => decode::<u8>(bytes, layout.len(), geometry),
            2 => decode::<u16>(bytes, layout.len(), geometry),
            4 => decode::<u32>(bytes, layout.len(), geometry),
            _ => decode::<u64>(bytes, layout.len(), geometry),
        }?;
        Ok(layout.codes(words))
    }
}
