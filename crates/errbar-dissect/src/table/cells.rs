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
    fn of(line: &[u8]) -> Delimiter {
        [b'\t', b',', b';', b'|'].into_iter().find(|byte| line.contains(byte)).map_or(Delimiter::Spaces, Delimiter::Byte)
    }
}

/// Digits of a date or a time, at most.
const MAX_DIGITS: usize = 9;

/// A date, a time, or both: groups of digits, always as many in each, and the same text around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Time {
    /// Text before each group, and its digits.
    pub(super) groups: Vec<(Vec<u8>, usize)>,
    /// Text behind the last group.
    pub(super) behind: Vec<u8>,
}

impl Time {
    /// The time that a text most likely is: three groups at least, with nothing but what times have between.
    fn of(text: &[u8]) -> Option<Time> {
        let (mut groups, mut rest) = (Vec::new(), text);
        while let Some(from) = rest.iter().position(u8::is_ascii_digit) {
            let n = rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            groups.push((rest[..from].to_vec(), n));
            rest = &rest[from + n..];
        }
        let parts = |text: &[u8]| text.iter().all(|byte| b"-/:. TZUC+\"".contains(byte));
        let first = groups.first().is_some_and(|(before, _)| matches!(&before[..], b"" | b"\""));
        let alike = groups.iter().all(|(before, n)| parts(before) && (2..=MAX_DIGITS).contains(n)) && parts(rest);
        (groups.len() > 2 && first && alike).then(|| Time { groups, behind: rest.to_vec() })
    }

    /// The groups of a text that is such a time.
    fn split<'a>(&self, mut text: &'a [u8], found: &mut Vec<Found<'a>>, gap: usize) -> bool {
        for (k, (before, n)) in self.groups.iter().enumerate() {
            let Some(rest) = text.strip_prefix(&before[..]) else { return false };
            let Some((group, rest)) = rest.split_at_checked(*n) else { return false };
            if !group.iter().all(u8::is_ascii_digit) || rest.first().is_some_and(u8::is_ascii_digit) {
                return false;
            }
            found.push(Found { gap: if k == 0 { gap } else { 0 }, text: group });
            text = rest;
        }
        text == self.behind
    }
}

/// How lines are taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) delimiter: Delimiter,
    /// Of each cell, the time that it is.
    pub(super) times: Vec<Option<Time>>,
}

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Spaces before it.
    pub(super) gap: usize,
    pub(super) text: &'a [u8],
}

impl Split {
    /// How a line and those like it are most likely to be taken apart; nothing if they have more cells.
    pub(super) fn of(line: &[u8], most: usize) -> Option<Split> {
        let mut split = Split { delimiter: Delimiter::of(line), times: Vec::new() };
        let cells = split.cells(line);
        if cells.0.len() > most {
            return None;
        }
        split.times = cells.0.iter().map(|cell| Time::of(cell.text)).collect();
        Some(split)
    }

    /// The cells of a line, times as their groups of digits, and how many spaces are behind the last.
    /// Nothing where a time is none.
    pub(super) fn line<'a>(&self, line: &'a [u8]) -> Option<(Vec<Found<'a>>, usize)> {
        let (cells, rest) = self.cells(line);
        if self.times.iter().all(Option::is_none) {
            return Some((cells, rest));
        }
        let mut found = Vec::with_capacity(4 * cells.len());
        let times = self.times.iter().chain(std::iter::repeat(&None));
        for (cell, time) in cells.into_iter().zip(times) {
            match time {
                None => found.push(cell),
                Some(time) if time.split(cell.text, &mut found, cell.gap) => {}
                Some(_) => return None,
            }
        }
        Some((found, rest))
    }

    fn cells<'a>(&self, line: &'a [u8]) -> (Vec<Found<'a>>, usize) {
        let (mut cells, mut rest) = (Vec::with_capacity(self.times.len() + 1), line);
        loop {
            let gap = rest.iter().take_while(|&&byte| byte == b' ').count();
            let text = &rest[gap..];
            let byte = if let Delimiter::Byte(byte) = self.delimiter { byte } else { b' ' };
            let len = text.iter().position(|&other| other == byte).unwrap_or(text.len());
            if self.delimiter == Delimiter::Spaces && len == 0 {
                return (cells, gap);
            }
            cells.push(Found { gap, text: &text[..len] });
            rest = &text[len..];
            if self.delimiter != Delimiter::Spaces {
                match rest.split_first() {
                    None => return (cells, 0),
                    Some((_, behind)) => rest = behind,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<(usize, &str)> {
        let split = Split::of(line.as_bytes(), 100).expect("few cells");
        let (found, _) = split.line(line.as_bytes()).expect("its own split");
        found.into_iter().map(|found| (found.gap, std::str::from_utf8(found.text).expect("text"))).collect()
    }

    #[test]
    fn cells_are_parted_by_spaces_or_a_delimiter() {
        assert_eq!(texts("  1.5 -2   x "), [(2, "1.5"), (1, "-2"), (3, "x")]);
        assert_eq!(texts("1, 2,,b c"), [(0, "1"), (1, "2"), (0, ""), (0, "b c")]);
        assert_eq!(texts("a\t"), [(0, "a"), (0, "")]);
        assert_eq!(texts("   "), []);
    }

    #[test]
    fn times_are_groups_of_digits() {
        let parts = [(0, "2024"), (0, "01"), (0, "31"), (0, "06"), (0, "00"), (0, "30"), (1, "7.5")];
        assert_eq!(texts("2024-01-31T06:00:30Z, 7.5"), parts);
        for text in ["12.345", "1-2-3", "A12-13-14", "12:30", "192.168.01.17 is"] {
            assert_eq!(Time::of(text.as_bytes()), None, "{text}");
        }
        let time = Time::of(b"31/10/2011 06:15:00 UTC").expect("a time");
        for (text, is_one) in [
            ("01/11/2011 00:00:00 UTC", true),
            ("01/11/2011 00:00:00", false),
            ("1/11/2011 00:00:00 UTC", false),
            ("01/11/2011 00:00:000 UTC", false),
        ] {
            assert_eq!(time.split(text.as_bytes(), &mut Vec::new(), 0), is_one, "{text}");
        }
    }
}
