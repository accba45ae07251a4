//! Blocks of 64 codes, each at its own number of bits. See `spec/stages/bitpack.md`.

mod kernel;

use errbar_format::{Error, Result, zstd_frame};

use self::kernel::{BLOCK, Head};
use crate::codes::Word;
use crate::stage::{Coder, Stage, no_params};
use crate::{Codes, Layout, Words, with_words};

/// Blocks of 64 codes, each at the number of bits that most of its codes need; the upper bits of
/// the others follow with their positions (patched frames of reference: Zukowski et al., ICDE
/// 2006; Lemire and Boytsov, Software: Practice and Experience 45(1), 2015).
#[derive(Clone, Copy, Debug)]
pub struct BitPack;

/// The heads' level in zstd: they are 3 bytes in 64 codes, and mostly runs.
const HEAD_LEVEL: i32 = 1;
/// Bytes of the length before the heads.
const LENGTH: usize = 4;

fn corrupt(what: &str) -> Error {
    Error::corrupt("EB-C02", format!("bitpack: {what}"))
}

fn encode<W: Word>(words: &[W]) -> Result<Vec<u8>> {
    let n_blocks = words.len().div_ceil(BLOCK);
    let mut heads = vec![0; 3 * n_blocks];
    let mut body = Vec::with_capacity(size_of_val(words) / 2);
    let (blocks, rest) = words.as_chunks::<BLOCK>();
    let mut last = [W::from_u64(0); BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    for (i, block) in blocks.iter().chain((!rest.is_empty()).then_some(&last)).enumerate() {
        let head = kernel::encode(block, &mut body);
        heads[i] = head.low;
        heads[n_blocks + i] = head.high;
        heads[2 * n_blocks + i] = head.patches;
    }
    let heads = zstd_frame::compress(&heads, HEAD_LEVEL)?;
    // A layout is at most a block of 64 MiB, so its heads are far below 4 GiB.
    let mut bytes = Vec::with_capacity(LENGTH + heads.len() + body.len());
    bytes.extend_from_slice(&(heads.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&heads);
    bytes.append(&mut body);
    Ok(bytes)
}

fn decode<W: Word>(bytes: &[u8], n: usize) -> Result<Vec<W>> {
    let n_blocks = n.div_ceil(BLOCK);
    let (length, rest) = bytes.split_first_chunk::<LENGTH>().ok_or_else(|| corrupt("too short"))?;
    let (heads, mut body) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(|| corrupt("too short"))?;
    let heads = zstd_frame::decompress(heads, 3 * n_blocks, "EB-C02")?;
    let (low, rest) = heads.split_at(n_blocks);
    let (high, patches) = rest.split_at(n_blocks);
    let mut words = vec![W::from_u64(0); n];
    let (blocks, rest) = words.as_chunks_mut::<BLOCK>();
    let mut last = [W::from_u64(0); BLOCK];
    let all = blocks.iter_mut().chain((!rest.is_empty()).then_some(&mut last));
    for (((block, &low), &high), &patches) in all.zip(low).zip(high).zip(patches) {
        let head = Head { low, high, patches };
        if !head.fits(W::BITS) {
            return Err(corrupt("impossible widths"));
        }
        let behind = body.get(head.bytes()..).ok_or_else(|| corrupt("too short"))?;
        kernel::decode(head, body, block);
        body = behind;
    }
    rest.copy_from_slice(&last[..rest.len()]);
    match body.is_empty() {
        true => Ok(words),
        false => Err(corrupt("bytes behind the last block")),
    }
}

impl Stage for BitPack {
    fn name(&self) -> &'static str {
        "bitpack"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "blocks of 64 codes at the bits that most of them need, and patches"
    }

    fn guarantee(&self) -> &'static str {
        "every code comes back"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Coder for BitPack {
    fn encode(&self, codes: &Codes, params: &[u8]) -> Result<Vec<u8>> {
        no_params(params)?;
        with_words!(&codes.words, v => encode(v))
    }

    fn decode(&self, bytes: &[u8], layout: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        let n = layout.len();
        let words = match layout.width {
            1 => Words::U8(decode(bytes, n)?),
            2 => Words::U16(decode(bytes, n)?),
            4 => Words::U32(decode(bytes, n)?),
            _ => Words::U64(decode(bytes, n)?),
        };
        Ok(layout.codes(words))
    }
}
