//! Choices out of a fuzzer's bytes. Missing bytes read as zero, so that every input means something.

use errbar_codec::{DType, Layout, Values};

/// The bytes that are left.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Up to `len` bytes.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of a list that is not empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::from(self.byte()) % list.len()]
    }

    /// A shape of few elements, zero among the extents.
    pub fn shape(&mut self) -> Vec<u64> {
        let dims = self.byte() % 5;
        let most: u8 = [255, 255, 60, 16, 8][usize::from(dims)];
        (0..dims).map(|_| u64::from(self.byte() % most)).collect()
    }

    /// `len` bytes: those that are left, repeated, then zeros if there are none.
    pub fn fill(&mut self, len: usize) -> Vec<u8> {
        match self.0 {
            [] => vec![0; len],
            rest => rest.iter().copied().cycle().take(len).collect(),
        }
    }

    /// An array of any type and a shape of few elements.
    pub fn values(&mut self) -> Values {
        let dtype = self.pick(DType::ALL);
        let shape = self.shape();
        let layout = Values::layout(dtype, &shape).expect("few elements fit a block");
        let bytes = self.fill(layout.bytes());
        Values::from_bytes(dtype, false, &shape, &bytes).expect("as many bytes as the shape needs")
    }

    /// A layout of few words.
    pub fn layout(&mut self) -> Layout {
        let width = self.pick(&[1, 2, 4, 8]);
        Layout::new(width, &self.shape()).expect("few words fit a block")
    }

    /// Parameters: usually short, often none.
    pub fn params(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte() % 24);
        self.bytes(len)
    }
}
