//! The traits that stages implement. Object-safe, so that the registry is a plain list.

use std::sync::Arc;

use errbar_format::{DType, Result};

use crate::codes::{Scan, Word};
use crate::float::Float;
use crate::{Codes, Layout, Tolerance, Values, Words, with_words};

/// What every stage says about itself. Changed bytes are a new version.
pub trait Stage: Sync {
    /// Registered name: a short word for the core, `domain/name` for everybody else's.
    fn name(&self) -> &'static str;
    /// Version of its bytes.
    fn version(&self) -> u16;
    /// What it does, in one line.
    fn summary(&self) -> &'static str;
    /// Its parameters' layout, in one line; empty when it has none.
    fn parameters(&self) -> &'static str {
        ""
    }
    /// Parameter sets worth testing, for [`crate::conformance`] alone. Quantizers choose their own.
    fn examples(&self) -> Vec<Vec<u8>> {
        vec![Vec::new()]
    }
    /// What it promises: of the error for a quantizer, of the inverse for the others.
    fn guarantee(&self) -> &'static str;
    /// The parameters for people, such as `step 0.02`; empty when there are none.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Corrupt`] if they are not well-formed.
    fn describe(&self, params: &[u8]) -> Result<String>;
}

/// What a quantizer makes of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantized {
    /// All that [`Quantizer::reconstruct`] needs to know.
    pub params: Vec<u8>,
    /// The codes.
    pub codes: Codes,
    /// Positions, ascending, of words that the codes carry but do not serve. They are stored as
    /// they are.
    pub exact: Vec<u32>,
    /// Words that the codes do not carry at all, such as missing values, in the order of the
    /// values; stored as they are. The layout that a decoder asks the code layout for has them as
    /// [`Scan::absent`](crate::codes::Scan::absent).
    pub absent: Option<Arc<[bool]>>,
}

impl Quantized {
    /// Words in the order of `values`, and the positions that they do not serve: among those, what
    /// no code could serve, such as missing values, is absent.
    ///
    /// # Errors
    /// As [`Float::of`].
    pub fn of_words(params: Vec<u8>, words: Words, unserved: Vec<u32>, values: &Values, tolerance: &Tolerance) -> Result<Quantized> {
        let float = Float::of(values.dtype)?;
        let is_fixed = |&at: &u32| {
            let bits = with_words!(&values.bits.words, v => v[at as usize].to_u64());
            !float.is_finite(bits) || tolerance.is_fill(bits)
        };
        let (fixed, exact): (Vec<u32>, Vec<u32>) = unserved.into_iter().partition(is_fixed);
        let absent = (!fixed.is_empty()).then(|| {
            let mut absent = vec![false; words.len()];
            fixed.iter().for_each(|&at| absent[at as usize] = true);
            absent
        });
        Ok(Quantized::with_absent(params, words, exact, absent, values))
    }

    /// Words in the order of `values`, of which those are absent and these exact.
    pub fn with_absent(params: Vec<u8>, words: Words, exact: Vec<u32>, absent: Option<Vec<bool>>, values: &Values) -> Quantized {
        let absent: Option<Arc<[bool]>> = absent.map(Into::into);
        let scan = Scan { absent: absent.clone(), ..Scan::default() };
        Quantized { params, codes: Codes { dims: values.bits.dims.clone(), scan, words }, exact, absent }
    }
}

/// Values to integer codes: the only step that may lose anything.
pub trait Quantizer: Stage {
    /// Codes for `values` such that reconstruction stays within `tolerance` wherever it can.
    /// Words it cannot serve go to [`Quantized::exact`] or [`Quantized::absent`]; the caller checks
    /// every word anyway.
    /// `wanted` is what a planner may choose of the parameters, in a form of the stage's own; empty
    /// leaves all to the quantizer.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Usage`] if this quantizer cannot serve the type or the tolerance.
    fn quantize(&self, values: &Values, tolerance: &Tolerance, wanted: &[u8]) -> Result<Quantized>;

    /// As [`Quantizer::quantize`], for an estimate: what is chosen may be a little worse where that is
    /// faster, and of exact words their number alone counts.
    ///
    /// # Errors
    /// As [`Quantizer::quantize`].
    fn rehearse(&self, values: &Values, tolerance: &Tolerance, wanted: &[u8]) -> Result<Quantized> {
        self.quantize(values, tolerance, wanted)
    }

    /// Whether [`Quantized::exact`] names every word that misses the tolerance. A quantizer whose
    /// last step is a rounding that it would only repeat to find them may leave a few to the caller.
    fn names_every_miss(&self) -> bool {
        true
    }

    /// The layout of the codes of values of `dtype` and `layout`.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Corrupt`] for parameters that no encoder writes.
    fn code_layout(&self, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Layout>;

    /// Bit patterns of `dtype` and `layout` from codes: the arithmetic that the specification
    /// states.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Corrupt`] for parameters that no encoder writes.
    fn reconstruct(&self, codes: Codes, dtype: DType, layout: &Layout, params: &[u8]) -> Result<Codes>;
}

/// Codes to codes, reversible for every input that is taken. Their order is the one of
/// [`dims`](Layout::dims): levels that a quantizer speaks of are for a coder that follows it
/// directly.
pub trait Transform: Stage {
    /// The parameters that suit `codes`, for a stage that fits itself to them; `wanted` are a plan's own.
    fn chooses(&self, _codes: &Codes, _wanted: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// The parameters that [`Transform::chooses`] gives, or else those that are wanted, and the codes that
    /// [`Transform::forward`] makes with them: for a stage to do in one go what both would do.
    ///
    /// # Errors
    /// Those of [`Transform::forward`].
    fn fit(&self, codes: Codes, wanted: &[u8]) -> Result<(Vec<u8>, Codes)> {
        let params = self.chooses(&codes, wanted).unwrap_or_else(|| wanted.to_vec());
        let codes = self.forward(codes, &params)?;
        Ok((params, codes))
    }

    /// Whether absent words stay what they are: not to be written. All other transforms are given
    /// codes none of which is absent.
    fn keeps_absent(&self) -> bool {
        false
    }

    /// Whether the parameters say something of every word, so that they are as much longer as there are
    /// more words.
    fn grows(&self) -> bool {
        false
    }

    /// Whether [`Transform::forward`] takes all codes; if not, it refuses those that its parameters were
    /// not chosen for.
    fn takes_any(&self) -> bool {
        true
    }

    /// The layout of [`Transform::forward`]'s result.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Corrupt`] if parameters and layout do not fit.
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout>;

    /// The transformed codes.
    ///
    /// # Errors
    /// Those of [`Transform::output`].
    fn forward(&self, codes: Codes, params: &[u8]) -> Result<Codes>;

    /// The codes that [`Transform::forward`] was given, whose layout was `input`.
    ///
    /// # Errors
    /// Those of [`Transform::output`].
    fn inverse(&self, codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes>;
}

/// What codes would take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// What would not grow with more codes of the same kind, such as tables.
    pub side: f64,
    /// The rest.
    pub codes: f64,
}

/// Codes to bytes and back.
pub trait Coder: Stage {
    /// The bytes.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Usage`] if this coder cannot write such codes.
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>>;

    /// What [`Coder::encode`] would take, about: for estimates from samples.
    ///
    /// # Errors
    /// Those of [`Coder::encode`].
    fn estimate(&self, codes: &Codes, params: &[u8]) -> Result<Estimate> {
        self.encode(codes, params).map(|bytes| Estimate { side: 0.0, codes: bytes.len() as f64 })
    }

    /// The codes of `layout`. Allocates no more than they and `bytes` need.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Corrupt`] for bytes that no encoder writes.
    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes>;
}

/// Refuses parameters where there must be none.
///
/// # Errors
/// [`errbar_format::Kind::Corrupt`] (EB-C04) if there are any.
pub fn no_params(params: &[u8]) -> Result<()> {
    match params {
        [] => Ok(()),
        _ => Err(bad_params("takes no parameters")),
    }
}

/// The error for parameters that no encoder writes (EB-C04).
pub fn bad_params(what: &str) -> errbar_format::Error {
    errbar_format::Error::corrupt("EB-C04", format!("stage parameters: {what}"))
}
