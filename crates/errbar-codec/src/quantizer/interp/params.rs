//! The parameters of `interp` as bytes.

use errbar_format::{Error, Result};

use super::levels::Plan;
use super::real::Real;
use super::taps::{TapCoder, Taps};
use super::template::{causal_groups, template};
use super::values::Survey;
use crate::binary::{Reader, Writer};
use crate::float::Float;
use crate::lattice::{self, Present};
use crate::polyphase::{self, Extents, class_extents, classes};
use crate::quantizer::step::{Step, step_for};
use crate::stage::bad_params;

/// Numbers that values are an integer multiple of, from an offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lattice {
    pub(super) offset: f64,
    pub(super) unit: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Params {
    /// Dimensions that no level halves.
    pub(super) whole: u8,
    /// Whether to work in binary64.
    pub(super) double: bool,
    /// Whether the last dimension comes first.
    pub(super) rotated: bool,
    pub(super) lattice: Option<Lattice>,
    /// In values, or in units of the lattice.
    pub(super) step: f64,
    pub(super) base: f64,
    pub(super) taps: Vec<Taps>,
}

const WHOLE: u8 = 0x0F;
const DOUBLE: u8 = 0x10;
const LATTICE: u8 = 0x20;
const ROTATED: u8 = 0x40;

/// The share of values that may miss the limit for the step: few, as nothing tells of them before the proof.
const MOST_MISSED: f64 = 1.0 / 512.0;
/// How much larger a step that misses some values must be.
const WORTH: f64 = 1.02;

/// What is wished of a lattice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wish {
    None,
    /// To be looked for.
    Any,
    /// As it was found already.
    This(lattice::Lattice),
}

/// What a caller of `quantize` may choose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) whole: u8,
    pub(super) rotated: bool,
    pub(super) lattice: Wish,
}

impl Wanted {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let flag = |set, flag| if set { flag } else { 0 };
        let mut bytes = vec![self.whole & WHOLE | flag(self.rotated, ROTATED) | flag(self.lattice != Wish::None, LATTICE)];
        if let Wish::This(lattice) = self.lattice {
            bytes.extend(lattice.to_bytes());
        }
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Wanted> {
        let bad = || bad_params("interp can be asked for whole and rotated dimensions and a lattice alone");
        let Some((&flags, given)) = bytes.split_first() else {
            return Ok(Wanted { whole: 0, rotated: false, lattice: Wish::Any });
        };
        let lattice = match (flags & LATTICE != 0, given) {
            (false, []) => Wish::None,
            (true, []) => Wish::Any,
            (true, given) => lattice::Lattice::from_bytes(given).map(Wish::This).ok_or_else(bad)?,
            (false, _) => return Err(bad()),
        };
        match flags & !(WHOLE | ROTATED | LATTICE) {
            0 => Ok(Wanted { whole: flags & WHOLE, rotated: flags & ROTATED != 0, lattice }),
            _ => Err(bad()),
        }
    }

    /// Chooses what the values decide; tells the share of words that are expected to miss the limit, too.
    pub(super) fn serve(self, survey: &Survey, present: Present<'_>, limit: f64) -> Result<(Params, f64)> {
        let float = present.float;
        let chosen = Params { whole: self.whole, rotated: self.rotated, ..Params::default() };
        let ulp = float.spacing(survey.largest);
        // Rounding to the type costs half a unit; working in the type itself a little more.
        let double = float == Float::F64 || (float == Float::F32 && limit < 256.0 * ulp);
        let is_wider = match float {
            Float::F64 => false,
            Float::F32 => double,
            Float::F16 | Float::BF16 => true,
        };
        let slack = if is_wider { 0.5 } else { 1.5 } * ulp;
        let step = (2.0 * (limit - slack)) * (1.0 - 1e-9);
        let found = match self.lattice {
            Wish::None => None,
            Wish::Any => present.lattice(limit, step),
            Wish::This(lattice) => Some(lattice),
        };
        if let Some(found) = found {
            // Predictions are rounded to integers, which must be exact in working numbers.
            let double = found.most > 4e6;
            let lattice = Lattice { offset: found.offset, unit: found.unit };
            let base = ((survey.first - found.offset) / found.unit).round_ties_even();
            return Ok((Params { double, lattice: Some(lattice), step: found.stride, base, ..chosen }, 0.0));
        }
        // What serves all values is near the best where codes are few.
        let safe = Step { size: step, missed: 0.0 };
        let best = if is_wider { Some(step_for(float, &survey.sample, limit, MOST_MISSED)) } else { None };
        let Step { size: step, missed } = best.filter(|best| best.size > safe.size * WORTH).unwrap_or(safe);
        if !(step > limit && step.is_finite()) {
            return Err(Error::usage("the limit is below the spacing of the values"));
        }
        let base = if double { survey.first } else { f64::from(survey.first as f32) };
        Ok((Params { double, step, base, ..chosen }, missed))
    }
}

impl Params {
    pub(super) fn flags(&self) -> u8 {
        let flag = |set, flag| if set { flag } else { 0 };
        self.whole | flag(self.double, DOUBLE) | flag(self.lattice.is_some(), LATTICE) | flag(self.rotated, ROTATED)
    }

    pub(super) fn levels(&self, n: Extents) -> Vec<u8> {
        polyphase::levels(n, self.whole)
    }

    pub(super) fn plan<R: Real>(&self, n: Extents) -> Plan<R> {
        Plan { n, levels: self.levels(n), step: R::from_f64(self.step), base: R::from_f64(self.base), integers: self.lattice.is_some() }
    }

    /// Every class that has taps, in their order: the number of groups, and of own-class groups.
    fn classes(&self, n: Extents) -> impl Iterator<Item = (usize, usize)> {
        let levels = self.levels(n);
        let mut extents = vec![n];
        for &level in &levels {
            extents.push(class_extents(extents[extents.len() - 1], level, 0));
        }
        (0..levels.len()).rev().flat_map(move |l| {
            let (level, here) = (levels[l], extents[l]);
            let count = |&class: &u8| (template(n, level, class).len(), causal_groups(class_extents(here, level, class)).len());
            classes(level)[1..].iter().map(count).collect::<Vec<_>>()
        })
    }

    pub(super) fn to_bytes(&self, n: Extents) -> Vec<u8> {
        let mut bytes = vec![self.flags()];
        bytes.extend(self.step.to_le_bytes());
        bytes.extend(self.base.to_le_bytes());
        if let Some(lattice) = self.lattice {
            bytes.extend(lattice.offset.to_le_bytes());
            bytes.extend(lattice.unit.to_le_bytes());
        }
        let (mut coder, mut writer) = (TapCoder::new(), Writer::default());
        for (taps, (groups, causal)) in self.taps.iter().zip(self.classes(n)) {
            coder.code(&mut writer, taps, groups, causal);
        }
        bytes.extend(writer.finish());
        bytes
    }

    /// All but the taps, and the bytes of those.
    pub(super) fn head(bytes: &[u8]) -> Result<(Params, &[u8])> {
        let (&flags, mut rest) = bytes.split_first().ok_or_else(|| bad_params("interp has none"))?;
        if flags & 0x80 != 0 {
            return Err(bad_params("unknown flags of interp"));
        }
        let mut number = || -> Result<f64> {
            let (number, after) = rest.split_first_chunk().ok_or_else(|| bad_params("interp's end early"))?;
            rest = after;
            let number = f64::from_le_bytes(*number);
            if number.is_finite() { Ok(number) } else { Err(bad_params("a number of interp's is not finite")) }
        };
        let (step, base) = (number()?, number()?);
        let lattice = if flags & LATTICE != 0 { Some(Lattice { offset: number()?, unit: number()? }) } else { None };
        if step <= 0.0 || lattice.is_some_and(|lattice| lattice.unit <= 0.0) {
            return Err(bad_params("a step or unit of interp's is not positive"));
        }
        let (whole, double, rotated) = (flags & WHOLE, flags & DOUBLE != 0, flags & ROTATED != 0);
        Ok((Params { whole, double, rotated, lattice, step, base, taps: Vec::new() }, rest))
    }

    pub(super) fn parse(bytes: &[u8], n: Extents) -> Result<Params> {
        let (head, rest) = Params::head(bytes)?;
        let (mut coder, mut reader) = (TapCoder::new(), Reader::new(rest));
        let taps = head.classes(n).map(|(groups, causal)| coder.code(&mut reader, &Taps::default(), groups, causal)).collect();
        Ok(Params { taps, ..head })
    }

    pub(super) fn describe(&self) -> String {
        let mut text = format!("step {:.6e}", self.step);
        if let Some(Lattice { unit, .. }) = self.lattice {
            text += &format!(" of {unit:.6e}");
        }
        if self.whole != 0 {
            text += &format!(", whole {:04b}", self.whole.reverse_bits() >> 4);
        }
        if self.rotated {
            text += ", rotated";
        }
        text
    }
}
