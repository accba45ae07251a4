//! What the Climate and Forecast Conventions and older customs say of variables by their attributes.

use std::collections::{HashMap, HashSet};

use crate::Packing;

/// Attributes that only coordinates and labels have.
const MARKS: &[&str] = &["axis", "flag_values", "flag_masks", "flag_meanings", "_CoordinateAxisType"];
/// Attributes that name coordinates of a variable or, in UGRID, of a mesh.
const REFERENCES: &[&str] =
    &["bounds", "climatology", "coordinates", "grid_mapping", "node_coordinates", "edge_coordinates", "face_coordinates"];

/// Attributes that say how values are packed.
const PACKING: [&str; 2] = ["scale_factor", "add_offset"];

/// Whether an attribute with this name says anything of roles, or of packed values.
pub(crate) fn tells(attribute: &str) -> bool {
    ["units", "standard_name"].contains(&attribute)
        || PACKING.contains(&attribute)
        || MARKS.contains(&attribute)
        || REFERENCES.contains(&attribute)
}

/// Variables that are coordinates, times or labels of others, and how values are packed, as far as
/// attributes tell.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    auxiliary: HashSet<String>,
    /// By variable and attribute.
    packing: HashMap<(String, &'static str), f64>,
}

impl Roles {
    /// Takes note that `variable` is not a measurement.
    pub(crate) fn mark(&mut self, variable: &str) {
        self.auxiliary.insert(variable.to_owned());
    }

    /// Takes note of an attribute of a variable, or of the file, whose variable is empty. The text of
    /// an attribute that is one floating-point number is that in decimal, of others without text empty.
    pub(crate) fn attribute(&mut self, variable: &str, attribute: &str, text: &str) {
        let text = text.trim_end_matches('\0').trim();
        let itself = match attribute {
            "units" => text.contains(" since ") || is_degrees(text),
            "standard_name" => matches!(text, "time" | "latitude" | "longitude"),
            attribute => MARKS.contains(&attribute),
        };
        if let Some(attribute) = PACKING.into_iter().find(|name| *name == attribute)
            && let Ok(value) = text.parse()
        {
            self.packing.insert((variable.to_owned(), attribute), value);
        }
        if itself {
            self.mark(variable);
        }
        if REFERENCES.contains(&attribute) {
            text.split_whitespace().for_each(|name| self.mark(name));
        }
    }

    /// Whether `variable` is a coordinate, a time or a label.
    pub(crate) fn is_auxiliary(&self, variable: &str) -> bool {
        // Customs of trajectories, models and Exodus II meshes, which have no attributes.
        let by_name = matches!(variable, "time_whole" | "coord" | "coordx" | "coordy" | "coordz");
        by_name || self.auxiliary.contains(variable) || variable.eq_ignore_ascii_case("time")
    }

    /// How the values of `variable` are packed, if they are.
    pub(crate) fn packing(&self, variable: &str) -> Option<Packing> {
        let [scale, offset] = PACKING.map(|attribute| self.packing.get(&(variable.to_owned(), attribute)).copied());
        Packing::of(scale, offset)
    }
}

/// Whether these are units of latitude or longitude: `degrees_north`, `degree_E` and the like.
fn is_degrees(units: &str) -> bool {
    let direction = units.strip_prefix("degrees").or_else(|| units.strip_prefix("degree")).map(|rest| rest.trim_start_matches('_'));
    matches!(direction, Some("north" | "east" | "N" | "E"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_times_and_labels_are_told_from_measurements() {
        let mut roles = Roles::default();
        roles.attribute("t", "units", "days since 1850-01-01\0");
        roles.attribute("lat", "units", "degrees_north");
        roles.attribute("qc", "flag_values", "");
        roles.attribute("lon", "bounds", "lon_bnds");
        roles.attribute("temp", "coordinates", "TLAT TLONG");
        roles.attribute("mesh", "node_coordinates", "node_x node_y");
        roles.attribute("temp", "units", "degrees");
        roles.attribute("temp", "standard_name", "air_temperature");
        for name in ["t", "lat", "qc", "lon_bnds", "node_x", "TLAT", "TLONG", "Time", "coordx"] {
            assert!(roles.is_auxiliary(name), "{name}");
        }
        assert!(!roles.is_auxiliary("temp") && !roles.is_auxiliary("lon"));
        roles.attribute("temp", "scale_factor", "0.5");
        roles.attribute("lon", "scale_factor", "0");
        assert_eq!(roles.packing("temp"), Some(Packing { scale: 0.5, offset: 0.0 }));
        assert_eq!((roles.packing("lon"), roles.packing("lat")), (None, None));
    }
}
