//! NumPy's basic indexing without steps: `0:10,:,-1`.

use errbar::{Error, Range, Result};

/// One item of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// One index; the dimension goes.
    Index(i64),
    /// From, to; nothing: from the beginning, to the end.
    Span(Option<i64>, Option<i64>),
    /// As many whole dimensions as are left.
    Rest,
}

/// A slice as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    text: String,
    items: Vec<Item>,
}

/// A slice of an array of known shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// One range a dimension.
    pub ranges: Vec<Range>,
    /// The dimensions that remain.
    pub kept: Vec<bool>,
}

impl Slice {
    /// A slice without its brackets.
    ///
    /// # Errors
    /// [`errbar::Kind::Usage`] if it is none, or has a step other than 1.
    pub fn parse(text: &str) -> Result<Slice> {
        let bad = |why: &str| Error::usage(format!("slice '[{}]': {why}", crate::output::safe(text)));
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            digits => digits.parse::<i64>().map(Some).map_err(|_| bad("an index is a whole number")),
        };
        let item = |text: &str| match *text.split(':').collect::<Vec<_>>() {
            [index] if index.trim() == "..." => Ok(Item::Rest),
            [index] => number(index)?.map(Item::Index).ok_or_else(|| bad("an index is missing")),
            [start, stop] => Ok(Item::Span(number(start)?, number(stop)?)),
            [start, stop, step] if matches!(step.trim(), "" | "1") => Ok(Item::Span(number(start)?, number(stop)?)),
            [_, _, _] => Err(bad("steps are not supported").advise("get the whole range and take the steps from that")),
            _ => Err(bad("write start:stop")),
        };
        let inner = text.trim();
        // As in Python, a comma may end the list.
        let inner = inner.strip_suffix(',').unwrap_or(inner);
        let items: Vec<Item> = inner.split(',').map(item).collect::<Result<_>>()?;
        if items.iter().filter(|&&item| item == Item::Rest).count() > 1 {
            return Err(bad("only one '...' can be filled"));
        }
        Ok(Slice { text: text.to_owned(), items })
    }

    /// What it means for an array of `shape`. Spans are cut at the array's ends, as in NumPy.
    ///
    /// # Errors
    /// [`errbar::Kind::Usage`] if it has too many items, or an index is outside the array.
    pub fn resolve(&self, shape: &[u64]) -> Result<Resolved> {
        let bad = |why: String| Error::usage(format!("slice '[{}]' of shape {}: {why}", self.text, crate::output::shape(shape)));
        let given = self.items.iter().filter(|&&item| item != Item::Rest).count();
        let left = shape.len().checked_sub(given).ok_or_else(|| bad(format!("{given} items for {} dimensions", shape.len())))?;
        let whole = std::iter::repeat_n(Item::Span(None, None), left);
        let at = self.items.iter().position(|&item| item == Item::Rest).unwrap_or(self.items.len());
        let before = self.items[..at].iter().copied();
        let after = self.items.iter().skip(at + 1).copied();
        let mut resolved = Resolved { ranges: Vec::new(), kept: Vec::new() };
        for (axis, (item, &dim)) in before.chain(whole).chain(after).zip(shape).enumerate() {
            let from_end = |index: i64| if index < 0 { i128::from(index) + i128::from(dim) } else { i128::from(index) };
            let cut = |index: i64| from_end(index).clamp(0, i128::from(dim)) as u64;
            let range = match item {
                Item::Index(index) => match u64::try_from(from_end(index)) {
                    Ok(start) if start < dim => Range { start, stop: start + 1 },
                    _ => return Err(bad(format!("index {index} is outside dimension {axis}, which has {dim}"))),
                },
                Item::Span(start, stop) => {
                    let start = start.map_or(0, cut);
                    Range { start, stop: stop.map_or(dim, cut).max(start) }
                }
                Item::Rest => continue,
            };
            resolved.ranges.push(range);
            resolved.kept.push(!matches!(item, Item::Index(_)));
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use errbar::Kind;

    fn spans(text: &str, shape: &[u64]) -> Vec<(u64, u64, bool)> {
        let resolved = Slice::parse(text).and_then(|slice| slice.resolve(shape)).expect(text);
        resolved.ranges.iter().zip(resolved.kept).map(|(range, kept)| (range.start, range.stop, kept)).collect()
    }

    #[test]
    fn means_what_it_means_in_numpy() {
        assert_eq!(spans("0:10,:,5,-1", &[20, 3, 6, 7]), [(0, 10, true), (0, 3, true), (5, 6, false), (6, 7, false)]);
        assert_eq!(spans("-3:,:-1", &[10, 10]), [(7, 10, true), (0, 9, true)]);
        assert_eq!(spans("5:100", &[10, 2]), [(5, 10, true), (0, 2, true)]);
        assert_eq!(spans("7:3", &[10]), [(7, 7, true)]);
        assert_eq!(spans("-100:-50", &[10]), [(0, 0, true)]);
        assert_eq!(spans("...,1", &[4, 5, 6]), [(0, 4, true), (0, 5, true), (1, 2, false)]);
        assert_eq!(spans("2,...", &[4, 5]), [(2, 3, false), (0, 5, true)]);
        assert_eq!(spans("1:2:1,", &[4]), [(1, 2, true)]);
        assert_eq!(spans("...", &[]), []);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in ["", ":,,:", "a", "1.5", "0:10:2", "::-1", "1:2:3:4", "...,...", "99999999999999999999"] {
            assert_eq!(Slice::parse(bad).expect_err(bad).kind, Kind::Usage, "{bad}");
        }
        for (bad, shape) in [("10", &[10][..]), ("-11", &[10]), ("0,0", &[10]), ("0", &[]), ("0", &[0])] {
            let slice = Slice::parse(bad).expect(bad);
            assert_eq!(slice.resolve(shape).expect_err(bad).kind, Kind::Usage, "{bad} {shape:?}");
        }
    }
}
