//! `u64` fields that take eight bytes whatever their value: `#[serde(with = "full_width")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes the eight bytes.
pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    value.to_le_bytes().serialize(serializer)
}

/// Reads them.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    <[u8; 8]>::deserialize(deserializer).map(u64::from_le_bytes)
}
