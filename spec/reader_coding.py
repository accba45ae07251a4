"""What several stages share, as coding.md states it: adaptive bits and grids."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product as pairs

import numpy as np

Model = list[int]  # [one, seen]
Extents = tuple[int, ...]  # of four dimensions
Offset = tuple[int, ...]
Rule = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


# ---------------------------------------------------------------- adaptive bits


def models(n: int) -> list[Model]:
    return [[1 << 15, 0] for _ in range(n)]


class Bits:
    """A reader of adaptive bits."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 4
        self.low, self.high = 0, (1 << 32) - 1
        self.number = int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def coded(self, p: int) -> int:
        low, high = self.low, self.high
        middle = low + ((high - low) * p >> 16)
        if self.number <= middle:
            bit, high = 1, middle
        else:
            bit, low = 0, middle + 1
        while (low ^ high) >> 24 == 0:
            low = low << 8 & 0xFFFFFFFF
            high = (high << 8 & 0xFFFFFFFF) | 255
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.number = (self.number << 8 & 0xFFFFFFFF) | byte
            self.at += 1
        self.low, self.high = low, high
        return bit

    def bit(self, model: Model) -> int:
        one, seen = model
        bit = self.coded(32 if one < 32 else 65504 if one > 65504 else one)
        if bit:
            model[0] = one + (65535 - one) // (seen + 2)
        else:
            model[0] = one - one // (seen + 2)
        if seen < 20:
            model[1] = seen + 1
        return bit

    def raw(self, n: int) -> int:
        number = 0
        for _ in range(n):
            number = number << 1 | self.coded(1 << 15)
        return number

    def tree(self, models: list[Model], n: int) -> int:
        node = 1
        for _ in range(n):
            node = node << 1 | self.bit(models[node])
        return node - (1 << n)

    def signed(self, models: list[Model]) -> int:
        length = self.tree(models, 5)
        z = (1 << length) + self.raw(length) - 1
        return -(z + 1) // 2 if z & 1 else z // 2


# ---------------------------------------------------------------- grids


def has(dimensions: int, d: int) -> bool:
    return dimensions >> d & 1 == 1


def folded(dims: tuple[int, ...]) -> Extents:
    if 0 in dims:
        return (1, 1, 1, 0)
    long = [n for n in dims if n != 1]
    while len(long) > 4:
        long[:2] = [long[0] * long[1]]
    return (*[1] * (4 - len(long)), *long)


def classes(level: int) -> list[int]:
    """The classes of a level in their order, the coarser grid first."""
    return sorted((c for c in range(16) if c & ~level == 0), key=lambda c: (c.bit_count(), -c))


def class_extents(n: Extents, level: int, c: int) -> Extents:
    return tuple((n[d] + (not has(c, d))) // 2 if has(level, d) else n[d] for d in range(4))


def levels_of(n: Extents, whole: int) -> tuple[int, ...]:
    levels = []
    while level := sum(1 << d for d in range(4) if n[d] > 1 and not has(whole, d)):
        levels.append(level)
        n = class_extents(n, level, 0)
    return tuple(levels)


def grids_of(n: Extents, levels: tuple[int, ...]) -> list[Extents]:
    """Extents of the grid that each level takes apart, and of the coarsest."""
    grids = [n]
    for level in levels:
        grids.append(class_extents(grids[-1], level, 0))
    return grids


def part(level: int, c: int) -> tuple[slice, ...]:
    """Where the points of a class are in the grid."""
    return tuple(slice(int(has(c, d)), None, 2) if has(level, d) else slice(None) for d in range(4))


def in_order_of_levels(grid: np.ndarray, levels: tuple[int, ...]) -> np.ndarray:
    pieces: list[np.ndarray] = []
    for level in levels:
        pieces[:0] = [grid[part(level, c)].reshape(-1) for c in classes(level)[1:]]
        grid = grid[part(level, 0)]
    return np.concatenate([grid.reshape(-1), *pieces])


def merged(n: Extents, level: int, parts: dict[int, np.ndarray]) -> np.ndarray:
    grid = np.empty(n, parts[0].dtype)
    for c in classes(level):
        grid[part(level, c)] = parts[c]
    return grid


def neighbour(level: int, c: int, delta: Offset) -> tuple[int, Offset]:
    there, offset = 0, list(delta)
    for d in range(4):
        if has(level, d):
            k = has(c, d) + delta[d]
            there |= (k & 1) << d
            offset[d] = k >> 1
    return there, tuple(offset)


def deltas(reach: list[int]) -> list[Offset]:
    return list(pairs(*[range(-r, r + 1) for r in reach]))


def components_of(n: Extents) -> tuple[int, int]:
    """The dimension along which a grid that no level takes apart has components, and how many."""
    d = next((d for d in range(3) if n[d] > 1), 0)
    return d, n[d] if n[d] <= 4 else 1


def halo_of(finest: Extents) -> list[int]:
    return [2 if n > 1 else 0 for n in finest]


def with_halo(grid: np.ndarray, finest: Extents, rule: Rule | None) -> np.ndarray:
    """The grid with two more points on either side along the dimensions of the finest grid; zeros without a rule."""
    halo = halo_of(finest)
    wide = np.zeros([n + 2 * h for n, h in zip(grid.shape, halo)], grid.dtype)
    wide[tuple(slice(h, h + n) for n, h in zip(grid.shape, halo))] = grid
    if rule is None or not grid.size:
        return wide
    for d in (d for d in (3, 2, 1, 0) if halo[d]):
        inside = [slice(h, h + n) if e < d else slice(None) for e, (n, h) in enumerate(zip(grid.shape, halo))]

        def at(i: int, d: int = d, inside: list[slice] = inside) -> tuple[slice | int, ...]:
            return (*inside[:d], i, *inside[d + 1 :])

        n = grid.shape[d]
        y, z = (wide[at(3)], wide[at(n)]) if n > 1 else (wide[at(2)], wide[at(2)])
        before, after = rule(wide[at(2)], y), rule(wide[at(n + 1)], z)
        wide[at(1)], wide[at(0)] = before
        wide[at(n + 2)], wide[at(n + 3)] = after
    return wide


def shifted(wide: np.ndarray, offset: Offset, n: Extents, finest: Extents) -> np.ndarray:
    """For each point of a class of extents n, what stands `offset` away in a grid with its halo."""
    return wide[tuple(slice(h + o, h + o + m) for h, o, m in zip(halo_of(finest), offset, n))]


def strides_of(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[d + 1 :]) for d in range(len(shape))]
