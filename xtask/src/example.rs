//! The worked example of the specification: a whole archive of one small file, byte by byte.

use errbar_format::record::Entry;

use crate::builder::{Archive, Builder};
use crate::content::inline;

/// The archive: one file whose content stands in its entry.
pub fn archive() -> Archive {
    let mut b = Builder::bare("example");
    b.meta.writer = "errbar 0.1.0".into();
    b.open();
    b.entry(entry());
    b.finish()
}

/// The entry, which is all of its page.
pub fn entry() -> Entry {
    inline("hello.txt", b"Hello, world\n")
}

/// Its bytes, sixteen a line behind their offset.
pub fn text() -> String {
    let line = |(i, bytes): (usize, &[u8])| {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:04x}  {}\n", i * 16, hex.join(" "))
    };
    archive().bytes.chunks(16).enumerate().map(line).collect()
}
