//! What each file's arrays are, and what the policy makes of them.

use std::fs::File;
use std::sync::Arc;

use errbar_codec::Tolerance;
use errbar_dissect::{Array, Dissector, Holds, Layout, Place, ReadAt, described, dissect, dissectors};
use errbar_format::record::{Bound, Limit, Variable};
use errbar_format::{DType, Error, Kind, Result};

use super::chunks::ChunkReader;
use super::file::variables;
use super::load::unreadable;
use super::refit::obstacle;
use super::siblings::Around;
use super::spool::{Spool, Spooled};
use super::stream::{self, Streams};
use super::{Packer, chunks, gather, lines, units};
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
    /// Arrays that a bound was asked for and that stay bytes.
    left: Vec<(Array, ArrayPlan)>,
    /// The streams that are undone: the rest of them is bytes.
    pub(super) streams: Streams,
}

pub(super) struct ArrayPlan {
    pub(super) bounds: Vec<Bound>,
    pub(super) tolerance: Option<Arc<Tolerance>>,
    pub(super) mode: Mode,
    pub(super) why: String,
    /// Whether a rule asks for a bound.
    asked: bool,
    /// The elements, if errors are allowed and they do not stand in one piece.
    pub(super) spooled: Option<Spooled>,
}

impl ArrayPlan {
    /// What a rule asks for.
    fn asked(packer: &Packer, path: &[u8], array: &Array) -> ArrayPlan {
        let Choice { bounds, mode, rule, by_name } = packer.policy.choice(path, &array.name);
        let rule = rule.unwrap_or_default();
        let mode = mode.unwrap_or(packer.mode);
        let asked = !bounds.is_empty();
        let mut plan = ArrayPlan { bounds, tolerance: None, mode, why: format!("rule '{rule}'"), asked, spooled: None };
        if rule.is_empty() {
            plan.why = "no rule matches: exact".into();
        } else if asked && !array.dtype.is_float() {
            plan.refuse(&format!("{} is not floating-point", array.dtype.name()));
        } else if asked && array.sealed {
            plan.refuse("a checksum in its file covers it");
        } else if asked && array.auxiliary && !by_name {
            plan.bounds = Vec::new();
            plan.why = format!("coordinates and the like are exact unless a rule names them, which '{rule}' does not");
        } else if asked && let Some(packing) = array.packing {
            match units::stored(&plan.bounds, packing) {
                None => plan.refuse("its values have an offset, and shares of them are asked"),
                Some(bounds) => {
                    plan.bounds = bounds;
                    plan.why = format!("{}, on values {} times as large as the stored ones", plan.why, packing.scale.abs());
                }
            }
        }
        plan
    }

    /// Takes the bound back, which cannot be.
    pub(super) fn refuse(&mut self, obstacle: &str) {
        self.why = format!("{obstacle}: exact, whatever the {} says", self.why);
        (self.bounds, self.tolerance, self.spooled) = (Vec::new(), None, None);
    }
}

/// A file's layout: as a rule declares it, else as a header beside it or its own format says. Compressed streams are
/// left out where `mode`, unless a rule gives another, never undoes them.
pub(super) fn layout_of(file: &dyn ReadAt, found: &Found, policy: &Policy, mode: Mode) -> Layout {
    let path = &found.path;
    let declared = policy.raw(path).map(|raw| raw as &dyn Dissector);
    let described = described(path, &Around(found));
    let described = described.as_ref().map(|described| described as &dyn Dissector);
    let all: Vec<&dyn Dissector> = declared.into_iter().chain(described).chain(dissectors().iter().copied()).collect();
    let (mut layout, _) = dissect(file, &all);
    if policy.choice(path, "").mode.unwrap_or(mode) == Mode::Fast {
        layout.places.retain(|place| !matches!(&place.holds, Holds::Stream(wrapper, _) if wrapper.is_compressed()));
    }
    layout
}

/// The plan of a file with this layout. Lines whose text takes less than their columns, and chunks
/// and streams that cannot be made again, are bytes in it.
pub(super) fn plan_arrays(packer: &Packer, pool: &Pool, file: &Arc<File>, mut layout: Layout, path: &[u8]) -> Result<Plan> {
    lines::weigh(packer, &**file, &mut layout, path)?;
    let mut plans: Vec<ArrayPlan> = layout.arrays.iter().map(|array| ArrayPlan::asked(packer, path, array)).collect();
    if plans.iter().any(|plan| !plan.bounds.is_empty()) {
        let variables = variables(&layout.arrays, layout.places.iter(), &plans);
        Bounding { packer, pool, file, layout: &layout, variables: &variables, path }.all(&mut plans)?;
    }
    let (layout, mut as_bytes) = chunks::undo(packer, pool, file, layout, &mut plans)?;
    let (layout, streams) = stream::undo(packer, pool, file, layout, path)?;
    let mut plan = Plan { layout, arrays: Vec::new(), left: Vec::new(), streams };
    for (index, array) in plans.into_iter().enumerate() {
        match as_bytes.remove(&index) {
            Some(of) => plan.left.push((of, array)),
            None => plan.arrays.push(array),
        }
    }
    let first = plan.arrays.len();
    plan.arrays.extend(plan.layout.arrays[first..].iter().map(|array| ArrayPlan::asked(packer, path, array)));
    if plan.arrays[first..].iter().any(|plan| !plan.bounds.is_empty()) {
        let Plan { layout, arrays, streams, .. } = &mut plan;
        let variables = variables(&layout.arrays, layout.places.iter().chain(streams.places()), arrays);
        Bounding { packer, pool, file, layout, variables: &variables, path }.in_streams(streams, &mut arrays[first..], first)?;
    }
    Ok(plan)
}

/// Working out what bounds come to for the arrays of a file.
struct Bounding<'a> {
    packer: &'a Packer,
    pool: &'a Pool,
    file: &'a Arc<File>,
    layout: &'a Layout,
    variables: &'a [Variable],
    path: &'a [u8],
}

impl Bounding<'_> {
    fn all(&self, plans: &mut [ArrayPlan]) -> Result<()> {
        let chunks = chunks::places(self.layout);
        let check = || self.packer.check_cancel();
        let (mut spool, mut end) = (None, 0);
        let mut room = |index: usize| -> Result<Spooled> {
            let spool = match &spool {
                Some(spool) => spool,
                None => spool.insert(Spool::new()?),
            };
            let spooled = Spooled::new(spool, &self.variables[index], end);
            end = spooled.end();
            Ok(spooled)
        };
        for place in &self.layout.places {
            match &place.holds {
                Holds::Array(array) if !plans[*array].bounds.is_empty() => {
                    self.bound(*array, &mut plans[*array], (&**self.file, place.offset))?
                }
                Holds::Records(fields) => {
                    let asked = fields.clone().filter(|&index| !plans[index].bounds.is_empty());
                    let rooms = asked.map(|index| Ok((index - fields.start, room(index)?))).collect::<Result<Vec<_>>>()?;
                    gather::fields((self.file, place.offset), &self.variables[fields.clone()], &rooms, &check)?;
                    for (field, spooled) in rooms {
                        self.bound_spooled(fields.start + field, &mut plans[fields.start + field], spooled)?;
                    }
                }
                Holds::Lines(fields, _) => {
                    let asked = plans[fields.clone()].iter_mut().filter(|plan| !plan.bounds.is_empty());
                    asked.for_each(|plan| plan.refuse("its numbers are text, which has no room for others"));
                }
                _ => {}
            }
        }
        for (index, array) in self.layout.arrays.iter().enumerate().filter(|(_, array)| array.chunks.is_some()) {
            let plan = &mut plans[index];
            if plan.bounds.is_empty() {
                continue;
            }
            let places: Vec<&Place> = chunks.get(&index).into_iter().flatten().collect();
            if let Some(obstacle) = obstacle(self.file, array, &places, &self.layout.sizes, plan.mode)? {
                plan.refuse(obstacle);
                continue;
            }
            let (reader, spooled) = (ChunkReader::new(self.file, array, &places), room(index)?);
            match gather::chunks(&reader, &self.variables[index], &spooled, &check) {
                Ok(()) => self.bound_spooled(index, plan, spooled)?,
                Err(e) if e.kind == Kind::Io => return Err(e.in_variable(&array.name)),
                Err(_) => plan.refuse("not all of its chunks can be read"),
            }
        }
        Ok(())
    }

    /// The arrays from `first` on, which stand in streams.
    fn in_streams(&self, streams: &Streams, plans: &mut [ArrayPlan], first: usize) -> Result<()> {
        let replaceable = streams.replaceable();
        for (index, plan) in (first..).zip(plans).filter(|(_, plan)| !plan.bounds.is_empty()) {
            match replaceable.get(&index) {
                Some(&(spool, at)) => self.bound_spooled(index, plan, Spooled::new(spool, &self.variables[index], at))?,
                None => plan.refuse("it stands in a deflated stream"),
            }
        }
        Ok(())
    }

    fn bound_spooled(&self, index: usize, plan: &mut ArrayPlan, spooled: Spooled) -> Result<()> {
        self.bound(index, plan, (spooled.spool(), spooled.start()))?;
        plan.spooled = plan.tolerance.is_some().then_some(spooled);
        Ok(())
    }

    /// Works out what the bounds of an array come to whose elements are at `at` in `file`.
    fn bound(&self, index: usize, plan: &mut ArrayPlan, (file, at): (&dyn ReadAt, u64)) -> Result<()> {
        let Packer { registry, planner, cancel, .. } = self.packer;
        let (variable, path, mode, pool) = (&self.variables[index], self.path, plan.mode, self.pool);
        let trials = Trials { file, at, variable, path, mode, registry, planner, pool, cancel };
        plan.tolerance = trials.tolerance(&plan.bounds).map_err(|e| e.in_variable(&variable.name))?.map(Arc::new);
        if plan.tolerance.is_none() {
            let does = if target::of(&plan.bounds).is_some() { "needs" } else { "allows" };
            plan.why = format!("{} {does} no error here: exact", plan.why);
        }
        Ok(())
    }
}

/// What the variables of one entry would get.
pub(super) fn plan(packer: &Packer, pool: &Pool, found: &Found, planned: &mut Vec<Planned>) -> Result<()> {
    if !found.metadata.is_file() {
        return Ok(());
    }
    let named = |e: Error| e.in_entry(&found.path);
    let (file, _) = source::open(&found.place).map_err(|e| named(unreadable(e)))?;
    let layout = layout_of(&file, found, &packer.policy, packer.mode);
    let plan = plan_arrays(packer, pool, &Arc::new(file), layout, &found.path).map_err(named)?;
    let arrays = plan.layout.arrays.into_iter().zip(plan.arrays).chain(plan.left.into_iter().filter(|(_, plan)| plan.asked));
    planned.extend(arrays.map(|(array, plan)| Planned {
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
