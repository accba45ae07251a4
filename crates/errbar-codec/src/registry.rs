use errbar_format::record::StageRecord;
use errbar_format::{Error, Result};

use crate::stage::{Coder, Quantizer, Stage, Transform};
use crate::{coder, quantizer, transform};

/// The list of stages. Adding one of the core's adds one line to [`Registry::core`]; anybody
/// else's is added to a value by its user.
#[derive(Clone)]
pub struct Registry {
    quantizers: Vec<&'static dyn Quantizer>,
    transforms: Vec<&'static dyn Transform>,
    coders: Vec<&'static dyn Coder>,
}

fn find<S: Stage + ?Sized>(stages: &[&'static S], what: &str, wanted: &StageRecord) -> Result<&'static S> {
    stages.iter().copied().find(|s| s.name() == wanted.name && s.version() == wanted.version).ok_or_else(|| {
        let name = errbar_format::path::display(wanted.name.as_bytes());
        Error::unsupported("EB-C01", format!("needs {what} {name} version {}", wanted.version))
            .advise("this program does not have that stage; other data in the archive can still be read")
    })
}

impl Registry {
    /// Every stage that errbar has itself, in the order of the specification's registry.
    pub fn core() -> Registry {
        Registry {
            quantizers: vec![
                &quantizer::None,
                &quantizer::Order,
                &quantizer::Palette,
                &quantizer::Uniform,
                &quantizer::BitRound,
                &quantizer::Log,
                &quantizer::Lattice,
                &quantizer::Decimal,
                &quantizer::Interp,
            ],
            transforms: vec![
                &transform::Delta,
                &transform::Lorenzo,
                &transform::Med,
                &transform::Linear,
                &transform::FloatLinear,
                &transform::Rotate,
                &transform::Repeat,
                &transform::Shuffle,
                &transform::BitShuffle,
            ],
            coders: vec![
                &coder::Store,
                &coder::Constant,
                &coder::Zstd,
                &coder::Pco,
                &coder::Classes,
                &coder::BitPack,
                &coder::Crans,
                &coder::Carith,
                &coder::Lzma,
            ],
        }
    }

    /// No stages but this quantizer and the coder `store`.
    pub(crate) fn of_one(quantizer: &'static dyn Quantizer) -> Registry {
        Registry { quantizers: vec![quantizer], transforms: Vec::new(), coders: vec![&coder::Store] }
    }

    /// The registry with one more quantizer.
    #[must_use]
    pub fn with_quantizer(mut self, stage: &'static dyn Quantizer) -> Registry {
        self.quantizers.push(stage);
        self
    }

    /// The registry with one more transform.
    #[must_use]
    pub fn with_transform(mut self, stage: &'static dyn Transform) -> Registry {
        self.transforms.push(stage);
        self
    }

    /// The registry with one more coder.
    #[must_use]
    pub fn with_coder(mut self, stage: &'static dyn Coder) -> Registry {
        self.coders.push(stage);
        self
    }

    /// All quantizers.
    pub fn quantizers(&self) -> &[&'static dyn Quantizer] {
        &self.quantizers
    }

    /// All transforms.
    pub fn transforms(&self) -> &[&'static dyn Transform] {
        &self.transforms
    }

    /// All coders.
    pub fn coders(&self) -> &[&'static dyn Coder] {
        &self.coders
    }

    /// The quantizer a record names.
    ///
    /// # Errors
    /// [`errbar_format::Kind::Unsupported`] if it is not registered (EB-C01).
    pub fn quantizer(&self, wanted: &StageRecord) -> Result<&'static dyn Quantizer> {
        find(&self.quantizers, "quantizer", wanted)
    }

    /// The transform a record names.
    ///
    /// # Errors
    /// As [`Registry::quantizer`].
    pub fn transform(&self, wanted: &StageRecord) -> Result<&'static dyn Transform> {
        find(&self.transforms, "transform", wanted)
    }

    /// The coder a record names.
    ///
    /// # Errors
    /// As [`Registry::quantizer`].
    pub fn coder(&self, wanted: &StageRecord) -> Result<&'static dyn Coder> {
        find(&self.coders, "coder", wanted)
    }
}
