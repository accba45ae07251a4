//! Lines taken apart.

/// What parts the cells of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// Spaces, as many as there are.
    Spaces,
    /// One of these.
    Byte(u8),
}

impl Delimiter {
    /// The delimiter that a line most likely has.
    pub(super) fn of(line: &[u8]) -> Delimiter {
        [b'\t', b',', b';', b'|'].into_iter().find(|byte| line.contains(byte)).map_or(Delimiter::Spaces, Delimiter::Byte)
    }
}

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Spaces before it.
    pub(super) gap: usize,
    pub(super) text: &'a [u8],
}

/// The cells of a line, one after another.
#[derive(Clone, Debug)]
pub(super) struct Cells<'a> {
    rest: &'a [u8],
    delimiter: Delimiter,
    /// Whether a delimiter went before.
    more: bool,
}

pub(super) fn cells(line: &[u8], delimiter: Delimiter) -> Cells<'_> {
    Cells { rest: line, delimiter, more: delimiter != Delimiter::Spaces }
}

impl Cells<'_> {
    /// Spaces behind the last cell.
    pub(super) fn rest(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let gap = self.rest.iter().take_while(|&&byte| byte == b' ').count();
        let text = &self.rest[gap..];
        match self.delimiter {
            Delimiter::Spaces => {
                let len = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
                if len == 0 {
                    return None;
                }
                self.rest = &text[len..];
                Some(Found { gap, text: &text[..len] })
            }
            Delimiter::Byte(byte) => {
                if !self.more {
                    return None;
                }
                let len = text.iter().position(|&other| other == byte).unwrap_or(text.len());
                self.more = len < text.len();
                self.rest = text.get(len + 1..).unwrap_or_default();
                Some(Found { gap, text: &text[..len] })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<(usize, &str)> {
        let found = cells(line.as_bytes(), Delimiter::of(line.as_bytes()));
        found.map(|found| (found.gap, std::str::from_utf8(found.text).expect("text"))).collect()
    }

    #[test]
    fn cells_are_parted_by_spaces_or_a_delimiter() {
        assert_eq!(texts("  1.5 -2   x "), [(2, "1.5"), (1, "-2"), (3, "x")]);
        assert_eq!(texts("1, 2,,b c"), [(0, "1"), (1, "2"), (0, ""), (0, "b c")]);
        assert_eq!(texts("a\t"), [(0, "a"), (0, "")]);
        assert_eq!(texts("   "), []);
    }
}
