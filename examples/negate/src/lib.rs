//! A transform by a third party: what it takes to add a stage without touching errbar.
//!
//! 1. Take a name under a domain of yours; changed bytes are a new version.
//! 2. Implement [`Stage`], which describes, and [`Transform`], [`errbar_codec::Quantizer`] or
//!    [`errbar_codec::Coder`], which does. Take parameters, layouts and bytes of the decoding side
//!    for hostile: answer with an error, never with a panic or with codes of another layout.
//! 3. Let [`errbar_codec::conformance`] judge it.
//! 4. Give it to the registry of whoever packs and unpacks:
//!
//! ```
//! let registry = errbar_codec::Registry::core().with_transform(&negate::Negate);
//! # assert_eq!(registry.transforms().len(), errbar_codec::Registry::core().transforms().len() + 1);
//! ```
//!
//! Programs without the stage still read everything else in an archive, and say what they lack.

use errbar_codec::codes::Word;
use errbar_codec::stage::no_params;
use errbar_codec::{Codes, Layout, Result, Stage, Transform, with_words};

/// Each code's two's-complement negation, modulo 2^bits; its own inverse.
#[derive(Clone, Copy, Debug)]
pub struct Negate;

fn negate(codes: &mut Codes) {
    // Written once, compiled for words of every width.
    with_words!(&mut codes.words, v => v.iter_mut().for_each(|word| *word = Word::from_u64(word.to_u64().wrapping_neg())));
}

impl Stage for Negate {
    fn name(&self) -> &'static str {
        "example.org/negate"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "negation of every code"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every code: negation is modulo 2^bits"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Transform for Negate {
    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        no_params(params).map(|()| input.clone())
    }

    fn forward(&self, mut codes: Codes, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        negate(&mut codes);
        Ok(codes)
    }

    fn inverse(&self, mut codes: Codes, _: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        negate(&mut codes);
        Ok(codes)
    }
}
