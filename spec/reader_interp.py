"""The quantizer interp, as stages/interp.md states it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cache

import numpy as np
from reader_base import DType, Layout, corrupt, need_float, params, unzigzag, words_of
from reader_coding import (
    Bits, Extents, Offset, class_extents, classes, deltas, folded, grids_of, halo_of, has, in_order_of_levels, levels_of, merged, models,
    neighbour, shifted, strides_of, with_halo,
)  # fmt: skip

OWN_CLASS: list[list[Offset]] = [
    [(0, 0, -1, 0)],
    [(0, 0, -1, -1), (0, 0, -1, 1)],
    [(0, -1, 0, 0)],
    [(0, -1, 0, -1), (0, -1, 0, 1), (0, -1, -1, 0), (0, -1, 1, 0)],
    [(-1, 0, 0, 0)],
    [(-1, -1, 0, 0), (-1, 1, 0, 0), (-1, 0, -1, 0), (-1, 0, 1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1)],
]


@dataclass
class Group:
    distance: tuple[int, ...]
    members: list[tuple[int, Offset]]


@cache
def interpolating_groups(is_long: tuple[bool, ...], level: int, c: int) -> list[Group]:
    """For a finest grid whose extents are above 1 or not."""
    order = classes(level)
    known = set(order[: order.index(c)])
    groups: dict[tuple[int, ...], Group] = {}
    for delta in deltas([3 if has(level, d) else int(is_long[d]) for d in range(4)]):
        distance = tuple(abs(k) for k in delta)
        if sorted(distance) not in ([0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 3], [0, 0, 1, 2]):
            continue
        there, offset = neighbour(level, c, delta)
        if there in known:
            groups.setdefault(distance, Group(distance, [])).members.append((there, offset))
    return sorted(groups.values(), key=lambda g: sum(d * d for d in g.distance))[:16]


def own_class_groups(n: Extents) -> list[list[Offset]]:
    inside = [[o for o in group if all(o[d] == 0 or n[d] > 1 for d in range(4))] for group in OWN_CLASS]
    return [group for group in inside if group]


@dataclass
class ClassTaps:
    """Weights in binary64; none for the own class where it takes no part."""

    groups: list[Group]
    weights: list[float]
    own: list[list[Offset]]
    own_weights: list[float]


def i16(n: int) -> int:
    return (n + 0x8000 & 0xFFFF) - 0x8000


def fixed_weights(groups: list[Group], c: int, shape: int) -> list[float]:
    k = c.bit_count()
    near, far = (1.125 / k, -0.125 / k) if shape == 0 else (1.0 / k, 0.0)
    weights = []
    for group in groups:
        along = [d for d in range(4) if group.distance[d]]
        single = len(along) == 1 and has(c, along[0])
        weights.append({1: near, 3: far}.get(group.distance[along[0]], 0.0) if single else 0.0)
    return weights


class TapReader:
    def __init__(self, data: bytes) -> None:
        self.bits = Bits(data)
        self.shape, self.causal, self.lengths = models(4), models(1), models(32)

    def tap(self) -> float:
        return i16(self.bits.signed(self.lengths)) / 4096

    def read(self, n: Extents, level: int, c: int, extents: Extents) -> ClassTaps:
        groups, own = interpolating_groups(tuple(m > 1 for m in n), level, c), own_class_groups(extents)
        shape = self.bits.tree(self.shape, 2)
        weights = fixed_weights(groups, c, shape) if shape < 2 else [0.0] + [self.tap() for _ in groups[1:]]
        first = 1.0
        for weight in weights[1:]:
            first -= weight
        weights[0] = first
        takes_part = own and self.bits.bit(self.causal[0])
        return ClassTaps(groups, weights, own, [self.tap() for _ in own] if takes_part else [])


def terms(groups: list[list], weights: list[float], real: type) -> list[tuple]:
    """(weight, members), four, two or one of them, in order."""
    found = []
    for members, weight in zip(groups, weights):
        if weight == 0:
            continue
        w = real(weight / len(members))
        at = 0
        while at < len(members):
            take = next(k for k in (4, 2, 1) if k <= len(members) - at)
            found.append((w, members[at : at + take]))
            at += take
    return found


def add_term(total: np.ndarray, w: np.generic, m: list[np.ndarray]) -> None:
    if len(m) == 4:
        total += w * ((m[0] + m[1]) + (m[2] + m[3]))
    elif len(m) == 2:
        total += w * (m[0] + m[1])
    else:
        total += w * m[0]


def slope(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s = x - y
    return x + s, x + (s + s)


class Work:
    """Working numbers of a block."""

    def __init__(self, step: float, base: float, is_double: bool, is_lattice: bool) -> None:
        self.real = np.float64 if is_double else np.float32
        self.step, self.base, self.is_lattice = self.real(step), self.real(base), is_lattice
        self.magic = self.real(6755399441055744 if is_double else 12582912)

    def steps(self, codes: np.ndarray) -> np.ndarray:
        """step × k."""
        return self.step * unzigzag(codes).view(np.int32).astype(self.real)

    def restore(self, p: np.ndarray, steps: np.ndarray) -> np.ndarray:
        if self.is_lattice:
            p = (p + self.magic) - self.magic
        return p + steps

    def coarsest(self, steps: np.ndarray) -> np.ndarray:
        """Each point from the one before it: those that begin a line first, then lines side by side."""
        x = np.zeros_like(steps)
        if not x.size:
            return x
        x[0, 0, 0, 0] = self.restore(self.base, steps[0, 0, 0, 0])
        for d in range(4):
            for i in range(1, x.shape[d]):
                here = (*[slice(None)] * d, i, *[0] * (3 - d))
                before = (*[slice(None)] * d, i - 1, *[0] * (3 - d))
                x[here] = self.restore(x[before], steps[here])
        return x

    def one_class(self, taps: ClassTaps, steps: np.ndarray, wide: dict[int, np.ndarray], finest: Extents) -> np.ndarray:
        n = steps.shape
        q = np.zeros(n, self.real)
        for w, members in terms([g.members for g in taps.groups], taps.weights, self.real):
            add_term(q, w, [shifted(wide[there], offset, n, finest) for there, offset in members])
        own = terms(taps.own, taps.own_weights, self.real)
        if not own or not q.size:
            return self.restore(q, steps)
        return self.with_errors(own, q, steps, finest)

    def with_errors(self, own: list[tuple], q: np.ndarray, steps: np.ndarray, finest: Extents) -> np.ndarray:
        """Row by row, as each one needs the errors of those before."""
        n, halo = q.shape, halo_of(finest)
        shape = tuple(m + 2 * h for m, h in zip(n, halo))
        strides = strides_of(shape)
        error, x = np.zeros(math.prod(shape), self.real), np.empty_like(q)
        ways = [(w, [sum(o * s for o, s in zip(offset, strides)) for offset in members]) for w, members in own]
        for i, j, k in np.ndindex(*n[:3]):
            start = sum((at + h) * s for at, h, s in zip((i, j, k, 0), halo, strides))
            interpolated = q[i, j, k]
            p = interpolated.copy()
            for w, members in ways:
                add_term(p, w, [error[start + m : start + m + n[3]] for m in members])
            x[i, j, k] = restored = self.restore(p, steps[i, j, k])
            error[start : start + n[3]] = restored - interpolated
        return x


class Interp:
    def parse(self, p: bytes) -> tuple[int, list[float], bytes]:
        """Flags, numbers, taps."""
        params(len(p) >= 1 and p[0] < 0x80, "unknown flags of interp")
        n = 4 if p[0] & 0x20 else 2
        params(len(p) >= 1 + 8 * n, "interp's end early")
        numbers = list(struct.unpack(f"<{n}d", p[1 : 1 + 8 * n]))
        sound = all(map(math.isfinite, numbers)) and numbers[0] > 0 and (n == 2 or numbers[3] > 0)
        params(sound, "a number of interp's is impossible")
        return p[0], numbers, p[1 + 8 * n :]

    def grid(self, words: np.ndarray, dims: tuple[int, ...], is_rotated: bool) -> np.ndarray:
        """Words of the values as a grid; a view of `words`, if that is contiguous."""
        n = folded(dims)
        grid = words.reshape(n)
        first = next((d for d in range(4) if n[d] != 1), 0)
        return np.moveaxis(grid, 3, first) if is_rotated else grid

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        need_float(dtype)
        flags, _, _ = self.parse(p)
        places = self.grid(np.empty(values.n, bool) if values.absent is None else values.absent, values.dims, bool(flags & 0x40))
        levels = levels_of(places.shape, flags & 15)
        absent = None if values.absent is None else in_order_of_levels(places, levels)
        return Layout(4, places.shape, absent, levels)

    def reconstruct(self, codes: np.ndarray, dtype: DType, values: Layout, p: bytes) -> np.ndarray:
        flags, numbers, taps = self.parse(p)
        if codes.dtype.itemsize != 4:
            raise corrupt("EB-C02", "interp takes words of four bytes")
        out = np.empty(values.n, f"<u{dtype.word}")
        target = self.grid(out, values.dims, bool(flags & 0x40))
        n = target.shape
        work = Work(numbers[0], numbers[1], bool(flags & 0x10), bool(flags & 0x20))
        with np.errstate(all="ignore"):
            x = self.restore(work, codes.reshape(-1), n, levels_of(n, flags & 15), TapReader(taps)).astype(np.float64)
            if flags & 0x20:
                x = np.float64(numbers[2]) + np.float64(numbers[3]) * x
            if dtype.word == 2:
                x[np.isnan(x)] = 0
            target[...] = words_of(x, dtype)
        return out.reshape(values.dims)

    def restore(self, work: Work, codes: np.ndarray, n: Extents, levels: tuple[int, ...], taps: TapReader) -> np.ndarray:
        """The finest grid."""
        grids, at = grids_of(n, levels), 0

        def steps(extents: Extents) -> np.ndarray:
            nonlocal at
            at += math.prod(extents)
            return work.steps(codes[at - math.prod(extents) : at]).reshape(extents)

        grid = work.coarsest(steps(grids[-1]))
        for level, extents in zip(reversed(levels), reversed(grids[:-1])):
            parts, wide = {0: grid}, {0: with_halo(grid, n, slope)}
            for c in classes(level)[1:]:
                size = class_extents(extents, level, c)
                parts[c] = work.one_class(taps.read(n, level, c, size), steps(size), wide, n)
                wide[c] = with_halo(parts[c], n, slope)
            grid = merged(extents, level, parts)
        return grid
