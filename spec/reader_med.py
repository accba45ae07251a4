"""The transform med, as stages/med.md states it."""

from __future__ import annotations

import numpy as np
from reader_base import Layout, params, unzigzag
from reader_coding import folded


class Med:
    keeps_absent = True

    def output(self, layout: Layout, p: bytes) -> Layout:
        params(p in (b"\0", b"\1"), "med takes one byte, 0 or 1")
        params(layout.width <= 4, "med takes words of at most 4 bytes")
        return layout

    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        _, _, height, width = folded(layout.dims)
        modulus = 1 << (8 * layout.width)
        residuals = unzigzag(np.ascontiguousarray(codes)).reshape(-1).tolist()
        absent = [False] * len(residuals) if layout.absent is None else layout.absent.tolist()
        sources = [-1] * len(residuals) if layout.sources is None else layout.sources.tolist()
        plane = height * width
        words: list[int] = []
        above = [0] * width
        for start in range(0, len(residuals), max(width, 1)):
            if start % plane == 0:
                above = [0] * width
            here: list[int] = []
            for x in range(width):
                at = start + x
                r = words[at - plane] if p == b"\1" and at >= plane else 0
                n = above[x]
                w, nw = (here[-1], above[x - 1]) if x else (n, n)
                low, high = min(w, n), max(w, n)
                predicted = low + high - min(max(nw, low), high) + r
                if sources[at] >= 0:
                    words.append(words[sources[at]])
                else:
                    words.append((predicted + (0 if absent[at] else residuals[at])) % modulus)
                here.append(words[at] - r)
            above = here
        return np.array(words, np.int64).astype(layout.numpy).reshape(layout.dims)
