//! The frame: a self-delimiting, checksummed piece of an archive.
//!
//! ```text
//! 0      8     10    12          16           24    32           40           44           48
//! | sync | kind| flags| record_len| archive_tag| seq | payload_len| payload_crc| prefix_crc |
//! | record | record_crc | payload | zeros to 8 |
//! ```
//!
//! Nothing in a prefix is believed before its checksum is.

use std::io;

use crate::limits::{MAX_PAYLOAD, MAX_RECORD};
use crate::{Error, Kind, Result};

/// The eight bytes that begin every frame, and so every archive. Not text, and no proper prefix
/// of it is a suffix of it, so that a scan needs no backtracking.
pub const SYNC: [u8; 8] = *b"\x89EBA\r\n\x1a\n";
/// Bytes of a prefix.
pub const PREFIX_LEN: usize = 48;

/// What a frame holds. The numbers are in `spec/registry.toml` and are never reused.
pub mod kind {
    /// First frame: format, features, archive id.
    pub const HEAD: u16 = 1;
    /// Provenance and options.
    pub const META: u16 = 2;
    /// One coded block.
    pub const BLOCK: u16 = 3;
    /// A batch of entries.
    pub const ENTRIES: u16 = 4;
    /// A page of the index.
    pub const INDEX: u16 = 5;
    /// Last frame: where the index is.
    pub const TAIL: u16 = 6;
    /// An embedded text, such as the specification.
    pub const DOCUMENT: u16 = 7;
    /// Every kind with its name.
    pub const ALL: &[(u16, &str)] =
        &[(HEAD, "HEAD"), (META, "META"), (BLOCK, "BLOCK"), (ENTRIES, "ENTRIES"), (INDEX, "INDEX"), (TAIL, "TAIL"), (DOCUMENT, "DOCUMENT")];
}

/// Flag: a reader that does not know the kind may skip the frame.
pub const ANCILLARY: u16 = 1;

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// One of [`kind`], or a later one.
    pub kind: u16,
    /// [`ANCILLARY`] or 0.
    pub flags: u16,
    /// Bytes of the record, its checksum not counted.
    pub record_len: u32,
    /// First eight bytes of the archive id: keeps a stored archive's frames apart from ours.
    pub archive_tag: u64,
    /// Position among the archive's frames, from 0.
    pub seq: u64,
    /// Bytes of the payload.
    pub payload_len: u64,
    /// CRC-32 of the payload.
    pub payload_crc: u32,
}

fn field<const N: usize>(bytes: &[u8; PREFIX_LEN], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

impl Prefix {
    /// Reads a prefix: checksum first, then the limits.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] without the sync bytes (EB-F01) or with a wrong checksum (EB-F02),
    /// [`Kind::Limit`] for lengths beyond the limits (EB-F03), [`Kind::Unsupported`] for unknown
    /// flags (EB-F04); [`Kind::Corrupt`] for a payload where there is none (EB-F08).
    pub fn parse(bytes: &[u8; PREFIX_LEN]) -> Result<Prefix> {
        if bytes[..8] != SYNC {
            return Err(Error::corrupt("EB-F01", "no frame begins here"));
        }
        if crc32fast::hash(&bytes[..44]) != u32::from_le_bytes(field(bytes, 44)) {
            return Err(Error::corrupt("EB-F02", "frame prefix does not match its checksum"));
        }
        let prefix = Prefix {
            kind: u16::from_le_bytes(field(bytes, 8)),
            flags: u16::from_le_bytes(field(bytes, 10)),
            record_len: u32::from_le_bytes(field(bytes, 12)),
            archive_tag: u64::from_le_bytes(field(bytes, 16)),
            seq: u64::from_le_bytes(field(bytes, 24)),
            payload_len: u64::from_le_bytes(field(bytes, 32)),
            payload_crc: u32::from_le_bytes(field(bytes, 40)),
        };
        if prefix.record_len > MAX_RECORD || prefix.payload_len > MAX_PAYLOAD {
            return Err(Error::limit(
                "EB-F03",
                format!("frame declares a record of {} and a payload of {} bytes", prefix.record_len, prefix.payload_len),
            ));
        }
        if prefix.flags & !ANCILLARY != 0 {
            return Err(Error::unsupported("EB-F04", format!("frame has unknown flags {:#06x}", prefix.flags)));
        }
        if matches!(prefix.kind, kind::HEAD | kind::META | kind::TAIL) && prefix.payload_len > 0 {
            return Err(Error::corrupt("EB-F08", "frame of this kind has a payload"));
        }
        Ok(prefix)
    }

    /// The 48 bytes, checksum included.
    pub fn to_bytes(&self) -> [u8; PREFIX_LEN] {
        let mut bytes = [0; PREFIX_LEN];
        bytes[..8].copy_from_slice(&SYNC);
        bytes[8..10].copy_from_slice(&self.kind.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.flags.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.record_len.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.archive_tag.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.seq.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.payload_len.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..44]);
        bytes[44..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Bytes of prefix, record and its checksum: where the payload begins.
    pub fn head_len(&self) -> u64 {
        PREFIX_LEN as u64 + u64::from(self.record_len) + 4
    }

    /// Bytes of the whole frame. Cannot overflow: the lengths are within the limits.
    pub fn frame_len(&self) -> u64 {
        (self.head_len() + self.payload_len).next_multiple_of(8)
    }

    /// Checks a frame's head (everything before its payload) and gives its record.
    ///
    /// # Errors
    /// [`Kind::Truncated`] if `head` is shorter than [`Prefix::head_len`], [`Kind::Corrupt`] for a
    /// wrong record checksum (EB-F05).
    pub fn record<'a>(&self, head: &'a [u8]) -> Result<&'a [u8]> {
        let Some(rest) = head.get(PREFIX_LEN..self.head_len() as usize) else {
            return Err(Error::new(Kind::Truncated, "file ends inside a frame's record"));
        };
        let (record, crc) = rest.split_at(self.record_len as usize);
        if crc32fast::hash(record).to_le_bytes() != crc {
            return Err(Error::corrupt("EB-F05", "record does not match its checksum"));
        }
        Ok(record)
    }

    /// Checks a payload with the padding that follows it to the end of the frame, and gives the
    /// payload.
    ///
    /// # Errors
    /// [`Kind::Truncated`] if there are too few bytes, [`Kind::Corrupt`] for a wrong checksum
    /// (EB-F07) or padding that is not zero (EB-F06).
    pub fn payload<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let Some(bytes) = bytes.get(..(self.frame_len() - self.head_len()) as usize) else {
            return Err(Error::new(Kind::Truncated, "file ends inside a frame's payload"));
        };
        let (payload, padding) = bytes.split_at(self.payload_len as usize);
        if crc32fast::hash(payload) != self.payload_crc {
            return Err(Error::corrupt("EB-F07", "payload does not match its checksum"));
        }
        match padding.iter().all(|&byte| byte == 0) {
            true => Ok(payload),
            false => Err(Error::corrupt("EB-F06", "padding is not zero")),
        }
    }
}

/// A whole frame, checked.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its fixed part.
    pub prefix: Prefix,
    /// Its record's bytes.
    pub record: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// Those of [`Prefix::parse`], [`Prefix::record`] and [`Prefix::payload`].
    pub fn parse(bytes: &'a [u8]) -> Result<Frame<'a>> {
        let Some(head) = bytes.first_chunk() else {
            return Err(Error::new(Kind::Truncated, "file ends inside a frame's prefix"));
        };
        let prefix = Prefix::parse(head)?;
        let record = prefix.record(bytes)?;
        let payload = prefix.payload(&bytes[prefix.head_len() as usize..])?;
        Ok(Frame { prefix, record, payload })
    }
}

/// Writes one frame and returns its length in bytes.
///
/// # Errors
/// Those of `out`. The caller keeps record and payload within [`MAX_RECORD`] and [`MAX_PAYLOAD`].
pub fn write(
    out: &mut impl io::Write,
    (kind, flags): (u16, u16),
    (archive_tag, seq): (u64, u64),
    record: &[u8],
    payload: &[u8],
) -> io::Result<u64> {
    let prefix = Prefix {
        kind,
        flags,
        record_len: u32::try_from(record.len()).map_err(io::Error::other)?,
        archive_tag,
        seq,
        payload_len: payload.len() as u64,
        payload_crc: crc32fast::hash(payload),
    };
    let mut head = Vec::with_capacity(prefix.head_len() as usize);
    head.extend_from_slice(&prefix.to_bytes());
    head.extend_from_slice(record);
    head.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    out.write_all(&head)?;
    out.write_all(payload)?;
    out.write_all(&[0; 8][..(prefix.frame_len() - prefix.head_len() - prefix.payload_len) as usize])?;
    Ok(prefix.frame_len())
}

/// The offset of the first sync bytes in `bytes`, at or after `from`.
pub fn find_sync(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        at += rest.iter().position(|&byte| byte == SYNC[0])?;
        if bytes[at..].starts_with(&SYNC) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, (kind::BLOCK, ANCILLARY), (7, 3), b"record", b"payload of 21 bytes..").expect("to memory");
        out
    }

    #[test]
    fn a_frame_comes_back() {
        let bytes = sample();
        assert_eq!(bytes.len() % 8, 0);
        let frame = Frame::parse(&bytes).expect("whole");
        assert_eq!((frame.record, frame.payload), (&b"record"[..], &b"payload of 21 bytes.."[..]));
        assert_eq!((frame.prefix.kind, frame.prefix.seq, frame.prefix.archive_tag), (kind::BLOCK, 3, 7));
        assert_eq!(frame.prefix.frame_len(), bytes.len() as u64);
    }

    #[test]
    fn eb_f01_to_f07_every_flipped_bit_and_every_cut_is_seen() {
        let bytes = sample();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::parse(&damaged).expect_err("damaged").kind, Kind::Corrupt, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Frame::parse(&bytes[..len]).expect_err("cut").kind, Kind::Truncated, "length {len}");
        }
    }

    #[test]
    fn eb_f03_lengths_beyond_the_limits_are_refused_before_use() {
        let prefix = Frame::parse(&sample()).expect("whole").prefix;
        for payload_len in [1 << 63, u64::MAX, MAX_PAYLOAD + 1] {
            let huge = Prefix { payload_len, ..prefix };
            assert_eq!(Prefix::parse(&huge.to_bytes()).expect_err("huge").kind, Kind::Limit);
        }
        let huge = Prefix { record_len: MAX_RECORD + 1, ..prefix };
        assert_eq!(Prefix::parse(&huge.to_bytes()).expect_err("huge").kind, Kind::Limit);
    }

    #[test]
    fn eb_f08_some_kinds_have_no_payload() {
        let prefix = Frame::parse(&sample()).expect("whole").prefix;
        for kind in [kind::HEAD, kind::META, kind::TAIL] {
            assert_eq!(Prefix::parse(&Prefix { kind, ..prefix }.to_bytes()).expect_err("payload").rule, Some("EB-F08"));
            Prefix::parse(&Prefix { kind, payload_len: 0, ..prefix }.to_bytes()).expect("no payload");
        }
    }

    #[test]
    fn sync_is_found_where_it_is() {
        let mut bytes = b"\x89EB\x89\x89EBA\r\n\x1a\n".to_vec();
        assert_eq!(find_sync(&bytes, 0), Some(4));
        assert_eq!(find_sync(&bytes, 5), None);
        bytes.truncate(11);
        assert_eq!(find_sync(&bytes, 0), None);
    }
}
