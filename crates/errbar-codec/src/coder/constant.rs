use errbar_format::{Error, Result};

use crate::codes::Word;
use crate::stage::{Coder, Stage, no_params};
use crate::{Codes, Layout, Words, with_words};

/// One word that all codes equal; nothing when there are none. See `spec/stages/constant.md`.
#[derive(Clone, Copy, Debug)]
pub struct Constant;

impl Stage for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "one word for all codes, which are equal"
    }

    fn guarantee(&self) -> &'static str {
        "every code comes back"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Coder for Constant {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        no_params(params)?;
        with_words!(&codes.words, v => {
            let (first, rest) = v.split_at(v.len().min(1));
            if rest.iter().any(|code| *code != first[0]) {
                return Err(Error::usage("constant codes only words that are all equal"));
            }
            let mut bytes = Vec::new();
            Word::put_le(first, &mut bytes);
            Ok(bytes)
        })
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let n = layout.len();
        if bytes.len() != layout.width * n.min(1) {
            return Err(Error::corrupt("EB-C02", "constant is not one word"));
        }
        let words = with_words!(Words::from_le_bytes(layout.width, bytes), v => match v.first() {
            Some(&word) => Word::wrap(vec![word; n]),
            None => Word::wrap(v),
        });
        Ok(layout.codes(words))
    }
}
