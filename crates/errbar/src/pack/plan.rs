//! What each file's arrays are, and what the policy makes of them.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use errbar_codec::Tolerance;
use errbar_dissect::{Array, Dissector, Holds, Layout, ReadAt, dissect, dissectors};
use errbar_format::record::{Bound, Limit};
use errbar_format::{DType, Error, Result};

use super::load::unreadable;
use super::stream::{self, Streams};
use super::{Packer, chunks};
use crate::parallel::Pool;
use crate::policy::{Choice, Mode, Policy};
use crate::source::{self, Found};
use crate::target::{self, Trials};

/// What a variable would get.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Path of the entry.
    pub path: Vec<u8>,
    /// Name of the variable in it; may be empty.
    pub variable: String,
    /// Type of an element.
    pub dtype: DType,
    /// Extent along each dimension, in the order in which the file's own readers index it.
    pub shape: Vec<u64>,
    /// The bounds; none: exact.
    pub bounds: Vec<Bound>,
    /// What they come to; nothing: exact.
    pub limit: Option<Limit>,
    /// Effort.
    pub mode: Mode,
    /// Why, in words.
    pub why: String,
}

/// Where a file's arrays lie, and what the policy says of each.
pub(super) struct Plan {
    pub(super) layout: Layout,
    /// One item an array.
    pub(super) arrays: Vec<ArrayPlan>,
    /// The streams that are undone: the rest of them is bytes.
    pub(super) streams: Streams,
}

pub(super) struct ArrayPlan {
    pub(super) bounds: Vec<Bound>,
    pub(super) tolerance: Option<Arc<Tolerance>>,
    pub(super) mode: Mode,
    pub(super) why: String,
}

/// A file's layout: as a rule declares it, else as its own format says. Streams are left out where
/// `mode`, unless a rule gives another, never undoes them.
pub(super) fn layout_of(file: &dyn ReadAt, path: &[u8], policy: &Policy, mode: Mode) -> Layout {
    let declared = policy.raw(path).map(|raw| raw as &dyn Dissector);
    let all: Vec<&dyn Dissector> = declared.into_iter().chain(dissectors().iter().copied()).collect();
    let (mut layout, _) = dissect(file, &all);
    if policy.choice(path, "").mode.unwrap_or(mode) == Mode::Fast {
        layout.places.retain(|place| !matches!(place.holds, Holds::Stream(..)));
    }
    layout
}

/// The plan of a file with this layout. Chunks and streams that cannot be made again are bytes in it.
pub(super) fn plan_arrays(packer: &Packer, pool: &Pool, file: &Arc<File>, layout: Layout, path: &[u8]) -> Result<Plan> {
    let layout = chunks::undo(packer, pool, file, layout, path)?;
    let (layout, streams) = stream::undo(packer, pool, file, layout, path)?;
    let whole: HashMap<usize, u64> = layout
        .places
        .iter()
        .filter_map(|place| match place.holds {
            Holds::Array(array) => Some((array, place.offset)),
            _ => None,
        })
        .collect();
    let plan = |(index, array): (usize, &Array)| {
        let place = match whole.get(&index) {
            Some(at) => Stands::Whole(*at),
            None if index >= streams.first_array => Stands::InStream,
            None => Stands::InPieces,
        };
        plan_array(packer, pool, (file, place), path, array).map_err(|e| e.in_variable(&array.name))
    };
    let arrays = layout.arrays.iter().enumerate().map(plan).collect::<Result<_>>()?;
    Ok(Plan { layout, arrays, streams })
}

/// Where the elements of an array stand in its file.
enum Stands {
    /// In one piece, from here on.
    Whole(u64),
    InPieces,
    InStream,
}

fn plan_array(packer: &Packer, pool: &Pool, (file, place): (&File, Stands), path: &[u8], array: &Array) -> Result<ArrayPlan> {
    let Choice { bounds, mode, rule, by_name } = packer.policy.choice(path, &array.name);
    let mode = mode.unwrap_or(packer.mode);
    let rule = rule.unwrap_or_default();
    let exact = |bounds, why: String| Ok(ArrayPlan { bounds, tolerance: None, mode, why });
    if bounds.is_empty() {
        return exact(bounds, if rule.is_empty() { "no rule matches: exact".into() } else { format!("rule '{rule}'") });
    }
    if !array.dtype.is_float() {
        return exact(Vec::new(), format!("{} is not floating-point: exact, whatever '{rule}' says", array.dtype.name()));
    }
    if array.auxiliary && !by_name {
        return exact(Vec::new(), format!("coordinates and the like are exact unless a rule names them, which '{rule}' does not"));
    }
    let at = match place {
        Stands::Whole(at) => at,
        Stands::InPieces => return exact(Vec::new(), format!("its elements do not stand in one piece: exact, whatever '{rule}' says")),
        Stands::InStream => return exact(Vec::new(), format!("it stands in a deflated stream: exact, whatever '{rule}' says")),
    };
    let cancel = &packer.cancel;
    let trials = Trials { file, at, array, path, mode, registry: &packer.registry, planner: &packer.planner, pool, cancel };
    match trials.tolerance(&bounds)? {
        Some(tolerance) => Ok(ArrayPlan { bounds, tolerance: Some(Arc::new(tolerance)), mode, why: format!("rule '{rule}'") }),
        None => {
            let why = if target::of(&bounds).is_some() { "needs" } else { "allows" };
            exact(bounds, format!("rule '{rule}' {why} no error here: exact"))
        }
    }
}

/// What the variables of one entry would get.
pub(super) fn plan(packer: &Packer, pool: &Pool, found: &Found, planned: &mut Vec<Planned>) -> Result<()> {
    if !found.metadata.is_file() {
        return Ok(());
    }
    let named = |e: Error| e.in_entry(&found.path);
    let (file, _) = source::open(&found.place).map_err(|e| named(unreadable(e)))?;
    let layout = layout_of(&file, &found.path, &packer.policy, packer.mode);
    let plan = plan_arrays(packer, pool, &Arc::new(file), layout, &found.path).map_err(named)?;
    planned.extend(plan.layout.arrays.into_iter().zip(plan.arrays).map(|(array, plan)| Planned {
        path: found.path.clone(),
        dtype: array.dtype,
        shape: array.index_shape(),
        variable: array.name,
        bounds: plan.bounds,
        limit: plan.tolerance.map(|t| t.limit),
        mode: plan.mode,
        why: plan.why,
    }));
    Ok(())
}
