use std::sync::Arc;

use errbar_format::Result;

use crate::codes::{Scan, Word};
use crate::stage::{Stage, Transform, no_params};
use crate::{Codes, Layout, with_words};

/// The last axis first, so that components of a vector that stand side by side become fields of
/// their own. See `spec/stages/rotate.md`.
#[derive(Clone, Copy, Debug)]
pub struct Rotate;

/// Takes apart `items` whose last axis has the extent `n`.
fn apart<T: Copy>(items: &[T], n: usize) -> Vec<T> {
    if items.is_empty() {
        return Vec::new();
    }
    (0..n).flat_map(|i| items.iter().skip(i).step_by(n).copied()).collect()
}

/// Inverse of [`apart`].
fn together<T: Copy>(items: &[T], n: usize) -> Vec<T> {
    let each = items.len() / n.max(1);
    (0..each).flat_map(|i| items.iter().skip(i).step_by(each.max(1)).copied()).collect()
}

fn last(layout: &Layout) -> usize {
    layout.dims.last().copied().unwrap_or(1)
}

impl Stage for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn version(&self) -> u16 {
        1
    }

    fn summary(&self) -> &'static str {
        "the last axis first"
    }

    fn guarantee(&self) -> &'static str {
        "reversible for every code"
    }

    fn describe(&self, params: &[u8]) -> Result<String> {
        no_params(params).map(|()| String::new())
    }
}

impl Transform for Rotate {
    fn keeps_absent(&self) -> bool {
        true
    }

    fn output(&self, input: &Layout, params: &[u8]) -> Result<Layout> {
        no_params(params)?;
        let mut dims = input.dims.clone();
        if !dims.is_empty() {
            dims.rotate_right(1);
        }
        let absent: Option<Arc<[bool]>> = input.scan.absent.as_deref().map(|absent| apart(absent, last(input)).into());
        Ok(Layout { width: input.width, dims, scan: Scan { absent, ..Scan::default() } })
    }

    fn forward(&self, codes: Codes, params: &[u8]) -> Result<Codes> {
        let (input, output) = (codes.layout(), self.output(&codes.layout(), params)?);
        Ok(output.codes(with_words!(&codes.words, v => Word::wrap(apart(v, last(&input))))))
    }

    fn inverse(&self, codes: Codes, input: &Layout, params: &[u8]) -> Result<Codes> {
        no_params(params)?;
        Ok(input.codes(with_words!(&codes.words, v => Word::wrap(together(v, last(input))))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_become_fields() {
        assert_eq!(apart(&[1, 10, 2, 20, 3, 30], 2), [1, 2, 3, 10, 20, 30]);
        assert_eq!(together(&[1, 2, 3, 10, 20, 30], 2), [1, 10, 2, 20, 3, 30]);
        assert_eq!(apart(&[] as &[u8], 0), [0u8; 0]);
    }
}
