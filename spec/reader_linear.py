"""The transform linear, as stages/linear.md states it."""

from __future__ import annotations

import math
import struct

import numpy as np
from reader_base import Layout, params, unzigzag
from reader_coding import Extents, Offset, folded, strides_of

OFFSETS: list[Offset] = [
    (0, 0, 0, -1), (0, 0, 0, -2), (0, 0, 0, -3),
    (0, 0, -1, 0), (0, 0, -1, -1), (0, 0, -1, 1),
    (0, -1, 0, 0), (0, -1, 0, -1), (0, -1, 0, 1), (0, -1, -1, 0), (0, -1, 1, 0),
    (0, 0, -2, 0),
    (-1, 0, 0, 0), (-1, 0, 0, -1), (-1, 0, -1, 0),
    (-1, -1, 0, 0), (0, -2, 0, 0),
]  # fmt: skip


class Linear:
    keeps_absent = True

    def parse(self, p: bytes) -> tuple[int | None, list[int]]:
        params(len(p) >= 1 and p[0] <= 1 and len(p) == 35 + 4 * p[0], "linear has a mean or none, and 17 taps")
        mean = int.from_bytes(p[1:5], "little") if p[0] else None
        return mean, list(struct.unpack("<17h", p[-34:]))

    def output(self, layout: Layout, p: bytes) -> Layout:
        self.parse(p)
        params(layout.width <= 4, "linear takes words of at most 4 bytes")
        return layout

    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        mean, taps = self.parse(p)
        n = folded(layout.dims)
        residuals = unzigzag(np.ascontiguousarray(codes)).reshape(-1, n[3]) if codes.size else codes
        absent = None if layout.absent is None else layout.absent.reshape(residuals.shape)
        words = np.zeros(residuals.shape, np.int64)
        for row in range(len(words) if codes.size else 0):
            gone = None if absent is None or not absent[row].any() else absent[row].tolist()
            words[row] = self.row(words, row, n, residuals[row], gone, mean, taps)
        return words.astype(layout.numpy).reshape(layout.dims)

    def row(
        self, words: np.ndarray, row: int, n: Extents, residuals: np.ndarray, gone: list[bool] | None, mean: int | None, taps: list[int]
    ) -> list[int]:
        """A row of words. What rows before add is summed up for all of it; the rest depends on the words before."""
        width, flat, start = n[3], words.reshape(-1), row * n[3]
        place = (row // n[2] // n[1], row // n[2] % n[1], row % n[2])
        strides = strides_of(n)
        # What the rows before give each word, and how often the stand-in counts instead.
        known, missing = np.full(width, 2048, np.int64), np.zeros(width, np.int64)
        for tap, offset in zip(taps[3:], OFFSETS[3:]):
            if not tap:
                continue
            along = offset[3]
            first, end = max(0, -along), min(width, width - along)
            if end <= first or not all(0 <= place[d] + offset[d] < n[d] for d in range(3)):
                missing += tap
                continue
            at = start + sum(o * s for o, s in zip(offset, strides))
            known[first:end] += tap * flat[at + first : at + end]
            missing[:first] += tap
            missing[end:] += tap
        left = 4096 - sum(taps)
        if mean is None:
            missing += left
        else:
            known += left * mean
        missing[:3] += [sum(taps[x:3]) for x in range(min(3, width))]
        stand_in = mean or 0
        for offset in ((0, 0, -1, 0), (0, -1, 0, 0), (-1, 0, 0, 0)):
            if all(0 <= place[d] + offset[d] < n[d] for d in range(3)):
                stand_in = int(flat[start + sum(o * s for o, s in zip(offset, strides))])
                break
        most = (1 << 8 * residuals.itemsize) - 1
        a, b, c = taps[:3]
        out: list[int] = []
        before = before2 = before3 = 0
        for x, (total, miss, residual) in enumerate(zip(known.tolist(), missing.tolist(), residuals.tolist())):
            if x:
                stand_in = before
            p = (total + miss * stand_in + a * before + b * before2 + c * before3) >> 12
            if gone and gone[x]:
                word = min(max(p, 0), most)
            else:
                word = residual + p & most
            out.append(word)
            before, before2, before3 = word, before, before2
        return out
