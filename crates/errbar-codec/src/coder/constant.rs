use errbar_format::{Error, Result};

use crate::codes::Word;
use crate::stage::{Coder, Stage, no_params};
use crate::{Codes, Layout, Words, with_words};

/// One word that stands for all. See `spec/stages/constant.md`.
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
        "one word that stands for all"
    }

    fn guarantee(&self) -> &'static str {
        "reversible where all words are equal; serves nothing else"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Coder for Constant {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        no_params(params)?;
        let mut bytes = Vec::new();
        let equal = with_words!(&codes.words, v => {
            Word::put_le(&v[..v.len().min(1)], &mut bytes);
            v.windows(2).all(|pair| pair[0] == pair[1])
        });
        if equal { Ok(bytes) } else { Err(Error::usage("constant serves equal words only")) }
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let one = Layout { width: layout.width, dims: vec![layout.len().min(1)] };
        let words = match Codes::from_le_bytes(&one, bytes.to_vec())?.words {
            Words::U8(v) => Words::U8(repeat(&v, layout.len())),
            Words::U16(v) => Words::U16(repeat(&v, layout.len())),
            Words::U32(v) => Words::U32(repeat(&v, layout.len())),
            Words::U64(v) => Words::U64(repeat(&v, layout.len())),
        };
        Ok(Codes { dims: layout.dims.clone(), words })
    }
}

fn repeat<W: Word>(one: &[W], n: usize) -> Vec<W> {
    one.first().map_or_else(Vec::new, |&word| vec![word; n])
}
