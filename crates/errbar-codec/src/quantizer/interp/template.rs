//! Which neighbours predict a point, and the prediction of a row of points.

use std::sync::OnceLock;

use super::real::Real;
use crate::polyphase::{DIMS, Extents, Grid, HALO, Offset, SLACK, classes, has, neighbour};

/// Groups of neighbours that a prediction may use.
const MAX_GROUPS: usize = 16;
/// Points that one term is added to before the next, so that they stay in the nearest cache.
const PIECE: usize = 2048;
/// Taps are in units of 1 / 4096.
pub(super) const TAP_UNIT: f64 = 4096.0;

/// A neighbour: its class, and how far its index in that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) class: u8,
    pub(super) offset: Offset,
}

/// Neighbours in the same distance along each dimension; they share a tap.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) distance: [u32; DIMS],
    pub(super) members: Vec<Member>,
}

fn offsets(reach: [i32; DIMS]) -> impl Iterator<Item = Offset> {
    let [a, b, c, d] = reach;
    (-a..=a).flat_map(move |i| (-b..=b).flat_map(move |j| (-c..=c).flat_map(move |k| (-d..=d).map(move |x| [i, j, k, x]))))
}

fn groups(long: u8, level: u8, class: u8) -> Vec<Group> {
    let order = classes(level);
    let known: Vec<u8> = order.iter().copied().take_while(|&c| c != class).collect();
    let reach = std::array::from_fn(|d| if has(level, d) { 3 } else { i32::from(has(long, d)) });
    let mut groups: Vec<Group> = Vec::new();
    for delta in offsets(reach) {
        let mut far = delta.map(i32::unsigned_abs);
        far.sort_unstable_by(|a, b| b.cmp(a));
        let fits = matches!(far, [1, _, _, 0] | [3, 0, 0, 0] | [2, 1, 0, 0]);
        if !fits {
            continue;
        }
        let (there, offset) = neighbour(level, class, delta);
        if !known.contains(&there) {
            continue;
        }
        let (distance, member) = (delta.map(i32::unsigned_abs), Member { class: there, offset });
        match groups.iter_mut().find(|group| group.distance == distance) {
            Some(group) => group.members.push(member),
            None => groups.push(Group { distance, members: vec![member] }),
        }
    }
    groups.sort_by_key(|group| group.distance.iter().map(|d| d * d).sum::<u32>());
    groups.truncate(MAX_GROUPS);
    groups
}

/// The groups of every class of every kind of level of every kind of grid, found once: they depend on
/// nothing but which dimensions there are.
static TEMPLATES: [OnceLock<Vec<Vec<Group>>>; 1 << (2 * DIMS)] = [const { OnceLock::new() }; 1 << (2 * DIMS)];

/// The neighbours of a class that are known before it, nearest first; `whole` is the finest grid.
pub(super) fn template(whole: Extents, level: u8, class: u8) -> &'static [Group] {
    let long = (0..DIMS).filter(|&d| whole[d] > 1).fold(0, |set, d| set | 1 << d);
    let of = |class: u8| if class & !level == 0 { groups(long, level, class) } else { Vec::new() };
    let classes = TEMPLATES[usize::from(long << DIMS | level)].get_or_init(|| (0..1 << DIMS).map(of).collect());
    &classes[usize::from(class)]
}

/// Own-class points before a row, by groups.
pub(super) fn causal_groups(n: Extents) -> Vec<Group> {
    const GROUPS: [&[Offset]; 6] = [
        &[[0, 0, -1, 0]],
        &[[0, 0, -1, -1], [0, 0, -1, 1]],
        &[[0, -1, 0, 0]],
        &[[0, -1, 0, -1], [0, -1, 0, 1], [0, -1, -1, 0], [0, -1, 1, 0]],
        &[[-1, 0, 0, 0]],
        &[[-1, -1, 0, 0], [-1, 1, 0, 0], [-1, 0, -1, 0], [-1, 0, 1, 0], [-1, 0, 0, -1], [-1, 0, 0, 1]],
    ];
    let inside = |offset: &&Offset| (0..DIMS).all(|d| offset[d] == 0 || n[d] > 1);
    GROUPS
        .iter()
        .map(|group| group.iter().filter(inside).map(|&offset| Member { class: 0, offset }).collect())
        .filter(|members: &Vec<Member>| !members.is_empty())
        .map(|members| Group { distance: [0; DIMS], members })
        .collect()
}

/// Taps that interpolate along every odd dimension, and take the mean: by cubics, or by lines.
pub(super) fn fixed_taps(groups: &[Group], class: u8, cubic: bool) -> Vec<f64> {
    let odd = f64::from(class.count_ones());
    let (near, far) = if cubic { (9.0 / 8.0, -1.0 / 8.0) } else { (1.0, 0.0) };
    let tap = |group: &Group| {
        let along = (0..DIMS).find(|&d| group.distance[d] > 0).unwrap_or(0);
        match (group.distance.iter().filter(|&&d| d > 0).count(), group.distance[along]) {
            (1, 1) if has(class, along) => near / odd,
            (1, 3) if has(class, along) => far / odd,
            _ => 0.0,
        }
    };
    groups.iter().map(tap).collect()
}

/// A weighted sum over neighbours, in a fixed order of operations.
pub(super) struct Kernel<R> {
    terms: Vec<Term<R>>,
}

/// Four, two or one of a group's members.
struct Term<R> {
    weight: R,
    members: [(u8, isize); 4],
    len: usize,
}

impl<R: Real> Kernel<R> {
    /// Sums each group's members, weighted with the tap over their number. Points of all grids stand
    /// as those of `like`.
    pub(super) fn new(groups: &[Group], taps: &[f64], like: &Grid<R>) -> Self {
        let mut terms = Vec::new();
        for (group, &tap) in groups.iter().zip(taps).filter(|(_, tap)| **tap != 0.0) {
            let weight = R::from_f64(tap / group.members.len() as f64);
            let mut rest = group.members.as_slice();
            while !rest.is_empty() {
                let len = [4, 2, 1].into_iter().find(|&len| len <= rest.len()).unwrap_or(1);
                let (now, later) = rest.split_at(len);
                let mut members = [(0, 0); 4];
                for (place, member) in members.iter_mut().zip(now) {
                    *place = (member.class, like.step(member.offset));
                }
                terms.push(Term { weight, members, len });
                rest = later;
            }
        }
        Kernel { terms }
    }

    /// Adds the sum for each point of a class, whose points stand as those of `grids`, by class, do.
    #[inline(always)]
    pub(super) fn add(&self, grids: &[Grid<R>], class: &mut Grid<R>) {
        let span = class.span();
        for first in span.clone().step_by(PIECE) {
            let out = &mut class.data_mut()[first..span.end.min(first + PIECE)];
            for term in &self.terms {
                let slice = |i: usize| {
                    let (class, step) = term.members[i];
                    &grids[usize::from(class)].data()[first.wrapping_add_signed(step)..][..out.len()]
                };
                let w = term.weight;
                match term.len {
                    4 => {
                        let (a, b, c, d) = (slice(0), slice(1), slice(2), slice(3));
                        for x in 0..out.len() {
                            out[x] += w * ((a[x] + b[x]) + (c[x] + d[x]));
                        }
                    }
                    2 => {
                        let (a, b) = (slice(0), slice(1));
                        for x in 0..out.len() {
                            out[x] += w * (a[x] + b[x]);
                        }
                    }
                    _ => {
                        let a = slice(0);
                        for x in 0..out.len() {
                            out[x] += w * a[x];
                        }
                    }
                }
            }
        }
    }

    /// Adds the sum for each point of a row to `out`; what is behind the row means nothing. A loop for
    /// short rows, without a rest: that of [`Kernel::add`] takes a tenth less time where there is much.
    #[inline(always)]
    pub(super) fn add_row(&self, grids: &[Grid<R>], row: [usize; DIMS - 1], out: &mut [[R; SLACK]]) {
        for term in &self.terms {
            let slice = |i: usize| {
                let (class, step) = term.members[i];
                grids[usize::from(class)].wide_row(row, step)
            };
            let w = term.weight;
            match term.len {
                4 => {
                    let (ab, cd) = (slice(0).iter().zip(slice(1)), slice(2).iter().zip(slice(3)));
                    for (out, ((a, b), (c, d))) in out.iter_mut().zip(ab.zip(cd)) {
                        for x in 0..SLACK {
                            out[x] += w * ((a[x] + b[x]) + (c[x] + d[x]));
                        }
                    }
                }
                2 => {
                    for (out, (a, b)) in out.iter_mut().zip(slice(0).iter().zip(slice(1))) {
                        for x in 0..SLACK {
                            out[x] += w * (a[x] + b[x]);
                        }
                    }
                }
                _ => {
                    for (out, a) in out.iter_mut().zip(slice(0)) {
                        for x in 0..SLACK {
                            out[x] += w * a[x];
                        }
                    }
                }
            }
        }
    }
}

/// The points beyond the edge of a grid continue its slope.
#[inline(always)]
pub(super) fn beyond<R: Real>(at: R, inside: R) -> [R; HALO] {
    let slope = at - inside;
    [at + slope, at + (slope + slope)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_what_is_known_nearest_first() {
        let distances = |class| groups(12, 12, class).iter().map(|g| g.distance[2..].to_vec()).collect::<Vec<_>>();
        assert_eq!(distances(8), [[0, 1], [2, 1], [0, 3]]);
        assert_eq!(distances(4), [[1, 0], [1, 1], [1, 2], [3, 0]]);
        assert_eq!(distances(12), [[1, 0], [0, 1], [1, 1], [2, 1], [1, 2], [3, 0], [0, 3]]);
        assert_eq!(groups(12, 12, 12).iter().map(|g| g.members.len()).sum::<usize>(), 2 + 2 + 4 + 4 + 4 + 2 + 2);
    }
}
