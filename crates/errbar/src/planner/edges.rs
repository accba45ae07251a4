//! Where edges along rows and columns may foretell more than slopes do: images, and stacks of them.

use errbar_codec::Values;
use errbar_codec::pipeline::stage;
use errbar_format::record::StageRecord;

use super::lossy::COMPONENTS;

/// Bytes of codes up to which they are thought to be of an image: what counts more levels has no flat parts.
pub(super) const WIDTH: usize = 2;

/// Whether the last dimension is of components of one thing.
pub(super) fn has_components(dims: &[usize]) -> bool {
    dims.iter().filter(|&&d| d > 1).count() > 1 && dims.last().is_some_and(|&d| d <= COMPONENTS)
}

/// The transforms that predict edges, none where there are no planes. Components that are integers, as
/// colours are, first become planes; those of floats are vectors and corners, which have few edges.
pub(super) fn transforms(values: &Values) -> Option<Vec<StageRecord>> {
    let dims = &values.bits.dims;
    let has_components = has_components(dims);
    let is_plane = dims.iter().filter(|&&d| d > 1).count() > 1 + usize::from(has_components);
    let is_plane = is_plane && !(has_components && values.dtype.is_float());
    let names: &[&str] = if has_components { &["rotate", "med"] } else { &["med"] };
    is_plane.then(|| names.iter().map(|name| stage(name, Vec::new())).collect())
}
