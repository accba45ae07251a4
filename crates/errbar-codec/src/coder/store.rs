use errbar_format::Result;

use crate::stage::{Coder, Stage, no_params};
use crate::{Codes, Layout};

/// The codes as little-endian words. See `spec/stages/store.md`.
#[derive(Clone, Copy, Debug)]
pub struct Store;

impl Stage for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "codes as they are"
    }

    fn guarantee(&self) -> &'static str {
        "every code comes back"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Coder for Store {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        no_params(params).map(|()| codes.words.to_le_bytes().into_owned())
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        Codes::from_le_bytes(layout, bytes)
    }
}
