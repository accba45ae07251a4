//! Mutations of archives that get past checksums and hashes.
//!
//! A flipped bit in an archive is found by the first checksum over it, so plain mutation tests
//! little else. Here one part of one frame is changed, and every length, checksum, offset and page
//! hash that follows from it is made right again; only the hashes of decoded content are not.

use std::collections::HashMap;

use errbar_format::frame::{self, Frame, kind};
use errbar_format::record::{self, BlockRef, ChildPage, PageContent, PageRecord, PageRef, Tail};
use errbar_format::{page, zstd_frame};

/// Changes some bytes; may make them longer or shorter.
pub type Change<'a> = &'a mut dyn FnMut(&mut Vec<u8>);

/// A frame that can be changed: lengths and checksums come when it is written.
#[derive(Clone)]
struct Part {
    kind: u16,
    flags: u16,
    tag: u64,
    seq: u64,
    record: Vec<u8>,
    payload: Vec<u8>,
    /// Where it stood.
    at: u64,
}

/// The archive with one change; plain `change` where there is no frame to change.
pub fn archive(bytes: &[u8], seed: u32, change: Change<'_>) -> Vec<u8> {
    let (mut parts, rest) = parts(bytes);
    let which = (seed >> 8) as usize;
    if parts.is_empty() || seed.is_multiple_of(16) {
        let mut bytes = bytes.to_vec();
        change(&mut bytes);
        return bytes;
    }
    let which = which % parts.len();
    match seed % 16 {
        1 => drop(parts.remove(which)),
        2 => parts.insert(which, parts[which].clone()),
        3 if which > 0 => parts.swap(which - 1, which),
        4 => {
            let mut head =
                [&parts[which].kind.to_le_bytes()[..], &parts[which].flags.to_le_bytes(), &parts[which].seq.to_le_bytes()].concat();
            change(&mut head);
            head.resize(12, 0);
            parts[which].kind = u16::from_le_bytes([head[0], head[1]]);
            parts[which].flags = u16::from_le_bytes([head[2], head[3]]);
            parts[which].seq = u64::from_le_bytes(std::array::from_fn(|i| head[4 + i]));
        }
        5..=8 => change(&mut parts[which].record),
        9..=10 => change(&mut parts[which].payload),
        _ => items(&mut parts[which], change),
    }
    relink(parts, rest)
}

/// The whole frames at the front, and the bytes behind them.
fn parts(bytes: &[u8]) -> (Vec<Part>, &[u8]) {
    let (mut parts, mut at) = (Vec::new(), 0);
    while let Ok(Frame { prefix, record, payload }) = Frame::parse(&bytes[at..]) {
        let (record, payload) = (record.to_vec(), payload.to_vec());
        parts.push(Part {
            kind: prefix.kind,
            flags: prefix.flags,
            tag: prefix.archive_tag,
            seq: prefix.seq,
            record,
            payload,
            at: at as u64,
        });
        at += prefix.frame_len() as usize;
        if at >= bytes.len() {
            break;
        }
    }
    (parts, &bytes[at.min(bytes.len())..])
}

/// Changes what a page lists; of other frames the payload.
fn items(part: &mut Part, change: Change<'_>) {
    let Some((mut record, mut listed)) = open_page(part) else { return change(&mut part.payload) };
    change(&mut listed);
    record.decoded_len = listed.len() as u64;
    close_page(part, &record, &listed);
}

fn open_page(part: &Part) -> Option<(PageRecord, Vec<u8>)> {
    if !matches!(part.kind, kind::ENTRIES | kind::INDEX) {
        return None;
    }
    let record = page::parse_record(&part.record).ok()?;
    let listed = zstd_frame::decompress(&part.payload, record.decoded_len as usize, "EB-I02").ok()?;
    Some((record, listed))
}

fn close_page(part: &mut Part, record: &PageRecord, listed: &[u8]) {
    if let (Ok(record), Ok(payload)) = (record::encode(record), zstd_frame::compress(listed, zstd_frame::LEVEL)) {
        (part.record, part.payload) = (record, payload);
    }
}

/// Writes the frames, and lets every reference to one follow it. Children stand before their
/// parents, so one pass is enough.
fn relink(parts: Vec<Part>, rest: &[u8]) -> Vec<u8> {
    let mut moved: HashMap<u64, PageRef> = HashMap::new();
    let mut out = Vec::new();
    for mut part in parts {
        let follow = |page: &mut PageRef| {
            if let Some(&to) = moved.get(&page.offset) {
                *page = to;
            }
        };
        match open_page(&part) {
            Some((record, listed)) => {
                let listed = match record.content {
                    PageContent::Pages { .. } => each(&listed, |child: &mut ChildPage| follow(&mut child.page)),
                    PageContent::Blocks => each(&listed, |block: &mut BlockRef| {
                        if let Some(to) = moved.get(&block.offset) {
                            (block.offset, block.frame_len) = (to.offset, to.frame_len);
                        }
                    }),
                    PageContent::Entries => None,
                };
                if let Some(listed) = listed {
                    close_page(&mut part, &record, &listed);
                }
            }
            None if part.kind == kind::TAIL => {
                if let Ok(mut tail) = record::decode::<Tail>(&part.record) {
                    [&mut tail.entries, &mut tail.blocks, &mut tail.meta].into_iter().for_each(follow);
                    tail.index_offset = moved.get(&tail.index_offset).map_or(tail.index_offset, |to| to.offset);
                    part.record = record::encode(&tail).unwrap_or(part.record);
                }
            }
            None => {}
        }
        let mut hash = blake3::Hasher::new();
        hash.update(&part.record).update(&part.payload);
        let offset = out.len() as u64;
        let written = frame::write(&mut out, (part.kind, part.flags), (part.tag, part.seq), &part.record, &part.payload);
        let frame_len = written.expect("memory takes everything");
        moved.insert(part.at, PageRef { offset, frame_len, hash: *hash.finalize().as_bytes() });
    }
    out.extend_from_slice(rest);
    out
}

/// The items of a page, each changed; nothing if they cannot be read.
fn each<T: serde::Serialize + serde::de::DeserializeOwned>(listed: &[u8], mut change: impl FnMut(&mut T)) -> Option<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < listed.len() {
        let (mut item, len) = record::decode_first::<T>(&listed[at..]).ok()?;
        change(&mut item);
        out.extend(record::encode(&item).ok()?);
        at += len;
    }
    Some(out)
}
