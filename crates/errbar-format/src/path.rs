//! Paths in an archive: relative, bytes, `/` between components, one spelling each.

use std::cmp::Ordering;

use crate::{Error, Kind, Result, limits::MAX_PATH};

fn refuse(path: &[u8], what: &str) -> Error {
    Error { rule: Some("EB-P01"), ..Error::new(Kind::Refused, what) }.in_entry(path)
}

/// Checks that `path` is relative, in its one spelling, and within the limits (EB-P01).
///
/// # Errors
/// [`Kind::Refused`] for empty components, `.`, `..`, NUL or too many bytes.
pub fn check(path: &[u8]) -> Result<()> {
    if path.len() > MAX_PATH {
        return Err(refuse(&path[..64], "path is longer than 65535 bytes"));
    }
    if path.contains(&0) {
        return Err(refuse(path, "path contains a NUL byte"));
    }
    for component in path.split(|&b| b == b'/') {
        match component {
            b"" => return Err(refuse(path, "path is absolute or has an empty component")),
            b"." | b".." => return Err(refuse(path, "path contains '.' or '..'")),
            _ => {}
        }
    }
    Ok(())
}

/// The order of entries: component by component, each by its bytes; a folder before its contents.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    // A component holds no byte below 0x01, so '/' taken as 0x00 sorts component-wise.
    let key = |&byte: &u8| if byte == b'/' { 0 } else { byte };
    a.iter().map(key).cmp(b.iter().map(key))
}

/// Whether `path` is `folder` or lies below it.
pub fn is_within(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The path as text for people: control characters, bidirectional overrides and bytes that are
/// not UTF-8 are escaped, so that a name cannot act on a terminal or pass for another.
pub fn display(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            let invisible = matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
            if c.is_control() || invisible || c == '\\' {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eb_p01_one_spelling() {
        for bad in ["", "/a", "a/", "a//b", ".", "a/.", "..", "a/../b", "a\0b"] {
            assert_eq!(check(bad.as_bytes()).expect_err(bad).kind, Kind::Refused, "{bad:?}");
        }
        for good in ["a", "a/b", "...", ".hidden", "a\\..\\b", "C:\\x"] {
            check(good.as_bytes()).expect(good);
        }
    }

    #[test]
    fn order_is_component_wise() {
        let mut paths = vec!["a-b", "a/b", "a", "a/b/c", "b", "a.b", "a/b.c"];
        paths.sort_by(|x, y| compare(x.as_bytes(), y.as_bytes()));
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a/b.c", "a-b", "a.b", "b"]);
    }

    #[test]
    fn display_escapes_what_a_terminal_would_obey() {
        assert_eq!(display(b"a\x1b[2J\xff\n"), "a\\u{1b}[2J\\xff\\n");
        assert_eq!(display("é\u{202e}x".as_bytes()), "é\\u{202e}x");
    }
}
