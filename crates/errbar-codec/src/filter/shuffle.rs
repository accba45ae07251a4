//! HDF5's shuffle filter: bytes of equal significance side by side. Unlike the transform of that
//! name it takes items of any size, and bytes behind the last whole one.

/// The first bytes of all items of `item` bytes, then the second bytes, …; the rest as it stands.
pub(super) fn split(bytes: &[u8], item: usize) -> Vec<u8> {
    let n = bytes.len() / item;
    let (whole, rest) = bytes.split_at(n * item);
    let mut planes = vec![0; whole.len()];
    if n > 0 {
        for (k, plane) in planes.chunks_exact_mut(n).enumerate() {
            plane.iter_mut().zip(whole.chunks_exact(item)).for_each(|(byte, item)| *byte = item[k]);
        }
    }
    planes.extend_from_slice(rest);
    planes
}

/// Inverse of [`split`].
pub(super) fn join(planes: &[u8], item: usize) -> Vec<u8> {
    let n = planes.len() / item;
    let (whole, rest) = planes.split_at(n * item);
    let mut bytes = vec![0; whole.len()];
    if n > 0 {
        for (k, plane) in whole.chunks_exact(n).enumerate() {
            bytes.chunks_exact_mut(item).zip(plane).for_each(|(item, &byte)| item[k] = byte);
        }
    }
    bytes.extend_from_slice(rest);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_stays_behind() {
        assert_eq!(split(b"abcABC12", 3), b"aAbBcC12");
        assert_eq!(join(b"aAbBcC12", 3), b"abcABC12");
        assert_eq!((split(b"ab", 3), join(b"ab", 3)), (b"ab".to_vec(), b"ab".to_vec()));
    }
}
