//! Slices of a grid that may each be something of its own.

use std::ops::Range;

use crate::polyphase::{DIMS, Extents};

/// Most of them: the axes of vectors, the colours of images, the halves of complex numbers.
const MOST: usize = 4;

/// The slices along the first dimension of several points, if they are few: each may have its own
/// statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Components {
    axis: usize,
    /// How many there are; 1 if there are none.
    pub(crate) count: usize,
}

impl Components {
    /// None.
    pub(crate) const NONE: Components = Components { axis: 0, count: 1 };

    /// Those of a grid, which levels must not take apart.
    pub(crate) fn new(n: Extents, levels: &[u8]) -> Components {
        let axis = (0..DIMS - 1).find(|&axis| n[axis] > 1);
        match axis.filter(|&axis| levels.is_empty() && n[axis] <= MOST) {
            Some(axis) => Components { axis, count: n[axis] },
            None => Components::NONE,
        }
    }

    /// Where the words of each stand among so many.
    pub(crate) fn ranges(self, n: usize) -> impl Iterator<Item = Range<usize>> {
        (0..self.count).map(move |component| component * n / self.count..(component + 1) * n / self.count)
    }

    /// The one that a row belongs to.
    #[inline(always)]
    pub(crate) fn of_row(self, row: [usize; DIMS - 1]) -> usize {
        if self.count > 1 { row[self.axis] } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_slices_are_components() {
        let count = |n: Extents| Components::new(n, &[]).count;
        assert_eq!([[1, 3, 50, 60], [1, 1, 2, 9], [4, 5, 6, 7], [1, 9, 3, 7], [1, 1, 1, 3]].map(count), [3, 2, 4, 1, 1]);
        assert_eq!(Components::new([1, 3, 50, 60], &[12]).count, 1);
        assert_eq!(Components::new([1, 3, 50, 60], &[]).of_row([0, 2, 7]), 2);
        assert_eq!(Components::new([9, 3, 50, 60], &[]).of_row([5, 2, 7]), 0);
    }
}
