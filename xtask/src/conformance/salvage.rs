//! What is left when a piece of the archive is lost.

use errbar_format::Kind;
use errbar_format::frame::kind;

use super::accept::nested_builder;
use super::{three, three_pages};
use crate::builder::Archive;
use crate::vectors::Vector;

pub fn vectors() -> Vec<Vector> {
    let pages = || three_pages("pages").finish();
    let wiped = |archive: Archive, kind, nth| {
        let frame = archive.find(kind, nth);
        archive.wipe(frame)
    };
    let gap = (Kind::Corrupt, Some("EB-F01"));
    let no_tail = (Kind::Truncated, Some("EB-A02"));
    let nested = || nested_builder().finish();
    let index_and_tail = wiped(wiped(wiped(pages(), kind::INDEX, 0), kind::INDEX, 1), kind::TAIL, 0);
    let everything_else = wiped(wiped(wiped(wiped(pages(), kind::HEAD, 0), kind::META, 0), kind::META, 1), kind::TAIL, 0);
    vec![
        Vector::salvage(gap, "salvage-head", wiped(three("three"), kind::HEAD, 0), &[], "TAIL says what HEAD said"),
        Vector::salvage(gap, "salvage-meta", wiped(three("three"), kind::META, 0), &[], "META is written twice"),
        Vector::salvage(gap, "salvage-second-meta", wiped(three("three"), kind::META, 1), &[], "META is written twice"),
        Vector::salvage(gap, "salvage-index-of-blocks", wiped(three("three"), kind::INDEX, 0), &[], "frames are found without the index"),
        Vector::salvage(gap, "salvage-index-of-entries", wiped(three("three"), kind::INDEX, 1), &[], "entries stand among the blocks, too"),
        Vector::salvage(gap, "salvage-entries", wiped(three("three"), kind::ENTRIES, 0), &[], "entries stand in the index, too"),
        Vector::salvage(no_tail, "salvage-tail", wiped(three("three"), kind::TAIL, 0), &[], "frames are found without TAIL"),
        Vector::salvage(no_tail, "salvage-index-and-tail", index_and_tail, &[], "frames are enough"),
        Vector::salvage(no_tail, "salvage-frames-only", everything_else, &[], "blocks and entries need no other frame"),
        Vector::salvage(gap, "salvage-one-block", wiped(pages(), kind::BLOCK, 1), &["b.txt"], "damage costs what it touches"),
        Vector::salvage(
            no_tail,
            "salvage-one-page-and-index",
            wiped(wiped(wiped(wiped(pages(), kind::ENTRIES, 1), kind::INDEX, 0), kind::INDEX, 2), kind::TAIL, 0),
            &["b.txt"],
            "without both copies of an entry its blocks have no use",
        )
        .without_lost(),
        Vector::salvage(
            gap,
            "salvage-nested-head",
            wiped(nested(), kind::HEAD, 0),
            &[],
            "TAIL tells the archive's frames from those of an archive in it",
        ),
        Vector::salvage(
            no_tail,
            "salvage-nested-tail",
            wiped(nested(), kind::TAIL, 0),
            &[],
            "HEAD tells the archive's frames from those of an archive in it",
        ),
    ]
}
