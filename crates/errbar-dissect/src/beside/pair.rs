//! Pairs of a header and its data, which share a stem.

use super::{Described, Siblings, Start, Stored, envi};
use crate::cursor::Cursor;
use crate::{metaimage, nifti, nrrd};

/// What the header of the file `name` says of it, if it has one.
pub(super) fn described(name: &[u8], siblings: &dyn Siblings) -> Option<Described> {
    candidates(name).into_iter().find_map(|(kind, header)| {
        let mut content = siblings.read(0, &header)?;
        if kind != Kind::Hdr {
            // The last line may not be ended.
            content.push(b'\n');
        }
        match kind {
            Kind::Hdr => envi::described(&content).or_else(|| nifti_pair(&content)),
            Kind::Mhd => metaimage_pair(&content, name),
            Kind::Nhdr => nrrd_pair(&content, name),
        }
    })
}

/// What headers are called.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Hdr,
    Mhd,
    Nhdr,
}

/// The names that the header of the file `name` may have. Few endings are followed, so that a tree of many
/// other files costs no look for headers that are not there.
fn candidates(name: &[u8]) -> Vec<(Kind, Vec<u8>)> {
    let (stem, ending) = cut(name);
    let lower = ending.map(<[u8]>::to_ascii_lowercase);
    let with = |stem: &[u8], kind, ending: &[u8]| (kind, [stem, b".", ending].concat());
    match lower.as_deref() {
        None => vec![with(name, Kind::Hdr, b"hdr")],
        Some(b"img" | b"dat" | b"bin" | b"bsq" | b"bil" | b"bip" | b"sli") => {
            vec![with(stem, Kind::Hdr, b"hdr"), with(name, Kind::Hdr, b"hdr")]
        }
        Some(b"raw") => vec![
            with(stem, Kind::Mhd, b"mhd"),
            with(stem, Kind::Nhdr, b"nhdr"),
            with(stem, Kind::Hdr, b"hdr"),
            with(name, Kind::Hdr, b"hdr"),
        ],
        Some(b"zraw") => vec![with(stem, Kind::Mhd, b"mhd")],
        Some(b"gz") => match cut(stem) {
            (stem, Some(ending)) if ending.eq_ignore_ascii_case(b"raw") => vec![with(stem, Kind::Nhdr, b"nhdr")],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// A name before its last point, and what follows it.
fn cut(name: &[u8]) -> (&[u8], Option<&[u8]>) {
    match name.iter().rposition(|&byte| byte == b'.') {
        Some(at) if at > 0 => (&name[..at], Some(&name[at + 1..])),
        _ => (name, None),
    }
}

/// NIfTI-1 and NIfTI-2 with their data in another file, and Analyze 7.5, whose header they extend.
fn nifti_pair(content: &[u8]) -> Option<Described> {
    let (array, offset) = nifti::header(&content, nifti::Data::Elsewhere).ok()?;
    Some(Described::plain("nifti", array, offset))
}

fn metaimage_pair(content: &[u8], name: &[u8]) -> Option<Described> {
    let header = metaimage::header(&mut Cursor::new(&content, 0, false)).ok()?;
    if header.data_file.as_bytes() != name {
        return None;
    }
    let start = header.skipped.map_or(Start::FromEnd, Start::At);
    let stored = if header.compressed { Stored::Zlib } else { Stored::Plain };
    Some(Described { format: "metaimage", array: header.array, start, stored })
}

fn nrrd_pair(content: &[u8], name: &[u8]) -> Option<Described> {
    let header = nrrd::header(&mut Cursor::new(&content, 0, false)).ok()?;
    let file = header.data_file.as_deref()?;
    // Lines to be skipped show in the data alone.
    if file.strip_prefix("./").unwrap_or(file).as_bytes() != name || header.lines > 0 {
        return None;
    }
    let (start, stored) = match (u64::try_from(header.skipped), header.encoding) {
        (Ok(skipped), nrrd::Encoding::Raw) => (Start::At(skipped), Stored::Plain),
        (Err(_), nrrd::Encoding::Raw) if header.skipped == -1 => (Start::FromEnd, Stored::Plain),
        // What is skipped is skipped in what they inflate to.
        (Ok(0), nrrd::Encoding::Gzip) => (Start::At(0), Stored::Gzip),
        _ => return None,
    };
    Some(Described { format: "nrrd", array: header.array, start, stored })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_looked_for_under_few_names() {
        let of = |name: &str| candidates(name.as_bytes()).into_iter().map(|(_, name)| String::from_utf8(name).expect("text"));
        let names = |name| of(name).collect::<Vec<_>>();
        assert_eq!(names("a.b.img"), ["a.b.hdr", "a.b.img.hdr"]);
        assert_eq!(names("a.RAW"), ["a.mhd", "a.nhdr", "a.hdr", "a.RAW.hdr"]);
        assert_eq!(names("scene"), ["scene.hdr"]);
        assert_eq!(names("a.raw.gz"), ["a.nhdr"]);
        assert_eq!(names("a.zraw"), ["a.mhd"]);
        assert_eq!(names(".raw"), [".raw.hdr"]);
        assert_eq!(names("a.tar.gz").len() + names("a.txt").len() + names("a.hdr").len(), 0);
    }
}
