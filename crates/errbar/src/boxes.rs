//! Boxes of N-D arrays in C order, copied between buffers.

/// A box inside a buffer: the buffer's own origin and shape say what part of the array it holds.
pub(crate) struct Frame<'a> {
    pub(crate) origin: &'a [u64],
    pub(crate) shape: &'a [u64],
}

/// The part that two boxes share: origin and extent; nothing if they share none.
pub(crate) fn intersect(a: &Frame<'_>, b: &Frame<'_>) -> Option<(Vec<u64>, Vec<u64>)> {
    let mut origin = Vec::with_capacity(a.shape.len());
    let mut extent = Vec::with_capacity(a.shape.len());
    for axis in 0..a.shape.len() {
        let start = a.origin[axis].max(b.origin[axis]);
        let stop = (a.origin[axis] + a.shape[axis]).min(b.origin[axis] + b.shape[axis]);
        if start >= stop {
            return None;
        }
        origin.push(start);
        extent.push(stop - start);
    }
    Some((origin, extent))
}

/// A buffer of elements of `item` bytes that are all `element`, or zeros if that is empty.
pub(crate) fn filled(element: &[u8], shape: &[u64], item: usize) -> Vec<u8> {
    let n = shape.iter().product::<u64>() as usize;
    if element.iter().all(|&byte| byte == 0) { vec![0; n * item] } else { element.repeat(n) }
}

/// Copies what two buffers share of an array with elements of `item` bytes.
pub(crate) fn copy(from: &[u8], from_frame: &Frame<'_>, to: &mut [u8], to_frame: &Frame<'_>, item: usize) {
    let Some((origin, extent)) = intersect(from_frame, to_frame) else { return };
    // Trailing dimensions that both buffers hold whole are one run of bytes with the next one.
    let mut axis = extent.len();
    let mut run = item;
    while axis > 0 {
        axis -= 1;
        run *= extent[axis] as usize;
        if extent[axis] != from_frame.shape[axis] || extent[axis] != to_frame.shape[axis] {
            break;
        }
    }
    let offset = |frame: &Frame<'_>, at: &[u64]| {
        at.iter().enumerate().fold(0, |offset, (a, &i)| offset * frame.shape[a] as usize + (i - frame.origin[a]) as usize) * item
    };
    let mut at = origin.clone();
    loop {
        let (source, target) = (offset(from_frame, &at), offset(to_frame, &at));
        to[target..target + run].copy_from_slice(&from[source..source + run]);
        let mut outer = axis;
        loop {
            if outer == 0 {
                return;
            }
            outer -= 1;
            at[outer] += 1;
            if at[outer] < origin[outer] + extent[outer] {
                break;
            }
            at[outer] = origin[outer];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_box_of_a_small_array_is_copied_right() {
        let shape = [3u64, 4, 5];
        let whole: Vec<u8> = (0..60).collect();
        let all = Frame { origin: &[0, 0, 0], shape: &shape };
        for (origin, extent) in
            [([0, 0, 0], [3, 4, 5]), ([1, 0, 0], [2, 4, 5]), ([1, 1, 0], [1, 3, 5]), ([0, 2, 3], [3, 2, 2]), ([2, 3, 4], [1, 1, 1])]
        {
            let part = Frame { origin: &origin, shape: &extent };
            let mut cut = vec![255; extent.iter().product::<u64>() as usize];
            copy(&whole, &all, &mut cut, &part, 1);
            let mut expected = Vec::new();
            for z in 0..extent[0] {
                for y in 0..extent[1] {
                    for x in 0..extent[2] {
                        expected.push(((origin[0] + z) * 20 + (origin[1] + y) * 5 + origin[2] + x) as u8);
                    }
                }
            }
            assert_eq!(cut, expected, "{origin:?} {extent:?}");
            let mut back = whole.clone();
            copy(&cut, &part, &mut back, &all, 1);
            assert_eq!(back, whole);
        }
    }

    #[test]
    fn no_dimensions_and_no_overlap() {
        let scalar = Frame { origin: &[], shape: &[] };
        let mut to = [0; 2];
        copy(&[7, 8], &scalar, &mut to, &scalar, 2);
        assert_eq!(to, [7, 8]);
        assert!(intersect(&Frame { origin: &[0], shape: &[2] }, &Frame { origin: &[2], shape: &[2] }).is_none());
    }
}
