//! HDF5 and, which is HDF5 with conventions of its own, NetCDF-4 (HDF5 File Format Specification
//! Version 4.0, The HDF Group; NetCDF-4 in Appendix B of the NetCDF Users Guide).
//!
//! A reader that only finds: it follows headers and indexes and never decodes a value.

use std::collections::HashSet;

use errbar_format::Result;
use errbar_format::limits::MAX_NAME;

use crate::cf::{self, Roles};
use crate::layout::MAX_PLACES;
use crate::{Dissector, Layout, ReadAt, not_this};

mod attributes;
mod chunks;
mod dataset;
mod file;
mod group;
mod heap;
mod messages;
mod object;
#[cfg(test)]
mod tests;
mod tree;
mod types;

/// HDF5 and NetCDF-4.
#[derive(Clone, Copy, Debug)]
pub struct Hdf5;

impl Dissector for Hdf5 {
    fn name(&self) -> &'static str {
        "hdf5"
    }

    /// Any file: what identifies HDF5 may stand behind a block of the user's own.
    fn probe(&self, _: &[u8]) -> bool {
        true
    }

    fn dissect(&self, file: &dyn ReadAt) -> Result<Layout> {
        let (file, root) = file::File::open(file)?;
        let mut layout = Layout::default();
        let (mut roles, mut paths) = (Roles::default(), Vec::new());
        // Links may form circles; an object is found under the first of its names, as in h5py.
        let mut seen = HashSet::new();
        let mut ahead = vec![(String::new(), root)];
        while let Some((path, address)) = ahead.pop() {
            if !seen.insert(address) {
                continue;
            }
            // What one object gets wrong is no reason to give up the others.
            let Ok(object) = object::Object::read(&file, address) else { continue };
            for link in group::links(&file, &object).into_iter().rev() {
                // Longer names could not be told anyway.
                if path.len() + link.name.len() < MAX_NAME {
                    ahead.push((format!("{path}/{}", link.name), link.address));
                }
            }
            if ahead.len() > MAX_PLACES {
                return Err(not_this("too many links"));
            }
            if object.first(object::kind::LAYOUT).is_none() {
                continue;
            }
            let attributes = attributes::texts(&file, &object, &tells);
            attributes.iter().for_each(|(name, text)| roles.attribute(&path, name, text));
            let is = |attribute: &str, start: &str| attributes.iter().any(|(name, text)| name == attribute && text.starts_with(start));
            if is("CLASS", "DIMENSION_SCALE") {
                roles.mark(&path);
            }
            // Such a dataset has a length and no values.
            let is_bare_dimension = is("NAME", "This is a netCDF dimension but not a netCDF variable");
            if !is_bare_dimension && dataset::add(&file, &object, shown(&path), &mut layout).unwrap_or(false) {
                // A dataset of records is an array for each of their fields.
                paths.resize(layout.arrays.len(), path);
            }
        }
        for (array, path) in layout.arrays.iter_mut().zip(&paths) {
            // Attributes name others without the group that they are in.
            let name = path.rsplit('/').next().unwrap_or_default();
            array.auxiliary |= roles.is_auxiliary(path) || roles.is_auxiliary(name);
            array.packing = roles.packing(path);
        }
        Ok(layout)
    }
}

/// Whether an attribute is looked at.
fn tells(attribute: &str) -> bool {
    matches!(attribute, "CLASS" | "NAME") || cf::tells(attribute)
}

/// The name of a dataset as users know it: its path, but in the root group without a slash.
fn shown(path: &str) -> String {
    let (group, name) = path.rsplit_once('/').unwrap_or_default();
    // What NetCDF-4 calls a variable that has a dimension's name and is not its coordinate.
    let name = name.strip_prefix("_nc4_non_coord_").unwrap_or(name);
    if group.is_empty() { name.to_owned() } else { format!("{group}/{name}") }
}
