"""The transform repeat, as stages/repeat.md states it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from reader_base import Layout, params
from reader_coding import Bits, folded, models

RUN = 32


class Repeat:
    keeps_absent = True

    def parse(self, p: bytes) -> tuple[list[int], bytes]:
        params(len(p) >= 1 and p[0] <= 12 and len(p) >= 1 + 4 * p[0], "repeat has at most 12 distances")
        end = 1 + 4 * p[0]
        distances = [int(d) for d in np.frombuffer(p[1:end], "<u4")]
        params(0 not in distances, "no word repeats itself")
        return distances, p[end:]

    def sources(self, layout: Layout, p: bytes) -> np.ndarray:
        """For each word the place of the one that it repeats, or -1."""
        distances, data = self.parse(p)
        sources = np.full(layout.n, -1, np.int64)
        if not distances:
            return sources
        n = folded(layout.dims)
        row, slice_ = n[3], n[3] * n[2]
        equal = (1, 2, row, row + 1, row - 1, 2 * row, slice_, slice_ - 1, slice_ + 1, slice_ + row, slice_ - row)
        telling = (1, row, slice_ if n[1] > 1 else 2)
        gone = layout.absent.tolist() if layout.absent is not None else None
        bits, run_models, single, elsewhere, octaves = Bits(data), models(8), models(1 << 16), models(1 << 12), models(32)
        kinds: list[int] = []
        which: list[int] = []
        runs: list[int] = []
        last = 0

        def kind(at: int, back: int) -> int:
            return kinds[at - back] if 0 < back <= at else 0

        for start in range(0, layout.n, RUN):
            context = 0
            for back in (RUN, row, slice_):
                at = start - back
                context = 2 * context + (runs[at // RUN] if 0 <= at // RUN < len(runs) and at >= 0 else 0)
            whole = start >= distances[0] and bits.bit(run_models[context])
            runs.append(int(whole))
            for at in range(start, min(start + RUN, layout.n)):
                if gone is not None and gone[at]:
                    kinds.append(0)
                    which.append(14)
                    continue
                if whole:
                    same = kinds[at - distances[0]]
                    params(same > 0, "repeat of what is absent")
                    kinds.append(same)
                    which.append(0)
                    sources[at] = at - distances[0]
                    continue
                around = [kind(at, back) for back in equal]
                told = sum((which[at - back] if 0 < back <= at else 14) << 4 * i for i, back in enumerate(telling))
                asked: list[int] = []
                for i, distance in enumerate(distances):
                    candidate = kind(at, distance)
                    if candidate == 0 or candidate in asked:
                        continue
                    asked.append(candidate)
                    alike = sum((other == candidate) << b for b, other in enumerate(around))
                    key = (i | alike << 4 | told << 15) * 0x9E3779B1 % (1 << 32)
                    if bits.bit(single[key >> 16]):
                        kinds.append(candidate)
                        which.append(i)
                        sources[at] = at - distance
                        break
                else:
                    if bits.bit(elsewhere[told]):
                        octave = bits.tree(octaves, 5)
                        distance = (1 << octave) + bits.raw(octave)
                        same = kind(at, distance)
                        params(same > 0, "repeat of what is not there")
                        kinds.append(same)
                        which.append(13)
                        sources[at] = at - distance
                        continue
                    last += 1
                    kinds.append(last)
                    which.append(15)
        return sources

    def output(self, layout: Layout, p: bytes) -> Layout:
        sources = self.sources(layout, p)
        repeated = sources >= 0
        if not repeated.any():
            return layout
        return replace(layout, absent=repeated if layout.absent is None else repeated | layout.absent, sources=sources)

    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        flat = codes.reshape(-1).tolist()
        for at, source in enumerate(self.sources(layout, p).tolist()):
            if source >= 0:
                flat[at] = flat[source]
        return np.array(flat, codes.dtype).reshape(codes.shape)
