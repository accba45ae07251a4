//! HDF5's Fletcher-32 (J. Fletcher, An arithmetic checksum for serial transmissions, 1982), over
//! big-endian words of 16 bits.

/// The sum of the words in the low half, the sum of these sums in the high half, both modulo 65,535
/// with 65,535 in the place of a zero that is reached by adding.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let fold = |sum: u32| (sum & 0xFFFF) + (sum >> 16);
    let (words, rest) = bytes.as_chunks::<2>();
    let rest = rest.first().map(|&byte| [byte, 0]);
    let (mut low, mut high) = (0, 0);
    // So many words cannot overflow 32 bits.
    for run in words.chunks(360).chain(rest.as_slice().chunks(1)) {
        for &word in run {
            low += u32::from(u16::from_be_bytes(word));
            high += low;
        }
        (low, high) = (fold(low), fold(high));
    }
    fold(high) << 16 | fold(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_that_hdf5_writes() {
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(&[0xFF; 6]), 0xFFFF_FFFF);
        assert_eq!(checksum(&[1]), 0x0100_0100);
        assert_eq!(checksum(&[1, 0, 2, 0]), 0x0400_0300);
    }
}
