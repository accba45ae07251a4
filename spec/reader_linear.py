"""The transforms linear and flinear, as stages/linear.md and stages/flinear.md state them."""

from __future__ import annotations

import math
import struct

import numpy as np
from reader_base import DTYPES, DType, Layout, from_ordered, params, unzigzag, words_of
from reader_coding import Extents, Offset, components_of, folded, strides_of

OFFSETS: list[Offset] = [
    (0, 0, 0, -1), (0, 0, 0, -2), (0, 0, 0, -3),
    (0, 0, -1, 0), (0, 0, -1, -1), (0, 0, -1, 1),
    (0, -1, 0, 0), (0, -1, 0, -1), (0, -1, 0, 1), (0, -1, -1, 0), (0, -1, 1, 0),
    (0, 0, -2, 0),
    (-1, 0, 0, 0), (-1, 0, 0, -1), (-1, 0, -1, 0),
    (-1, -1, 0, 0), (0, -2, 0, 0), (0, -1, -1, -1),
]  # fmt: skip


Model = tuple[int | None, list[int]]


def offsets_of(n: Extents) -> list[Offset]:
    """Where the neighbours are: in grids of few rows, those along dimensions that there are not are lags."""
    if math.prod(n[:3]) > 16:
        return OFFSETS
    lags = iter(range(4, 19))
    return [(0, 0, 0, -next(lags)) if any(o and m == 1 for o, m in zip(offset[:3], n)) else offset for offset in OFFSETS]


def of_rows(models: list[Model], dims: tuple[int, ...]) -> tuple[Extents, list[Model]]:
    """The grid, and the predictor of each row."""
    n = folded(dims)
    d, count = components_of(n)
    params(len(models) in (1, count), "there are predictors for other components")
    rows, inside = math.prod(n[:3]), math.prod(n[d + 1 : 3])
    return n, [models[row // inside % n[d] if len(models) > 1 else 0] for row in range(rows)]


class Linear:
    keeps_absent = True

    def parse(self, p: bytes) -> list[Model]:
        models: list[Model] = []
        while p or not models:
            params(len(p) >= 1 and p[0] <= 1 and len(p) >= 37 + 4 * p[0], "linear has a mean or none, and 18 taps")
            end = 37 + 4 * p[0]
            mean = int.from_bytes(p[1:5], "little") if p[0] else None
            models.append((mean, list(struct.unpack("<18h", p[end - 36 : end]))))
            p = p[end:]
        return models

    def output(self, layout: Layout, p: bytes) -> Layout:
        of_rows(self.parse(p), layout.dims)
        params(layout.width <= 4, "linear takes words of at most 4 bytes")
        return layout

    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        n, models = of_rows(self.parse(p), layout.dims)
        residuals = unzigzag(np.ascontiguousarray(codes)).reshape(-1, n[3]) if codes.size else codes
        absent = None if layout.absent is None else layout.absent.reshape(residuals.shape)
        words = np.zeros(residuals.shape, np.int64)
        for row in range(len(words) if codes.size else 0):
            gone = None if absent is None or not absent[row].any() else absent[row].tolist()
            sources = None if layout.sources is None else layout.sources[row * n[3] : (row + 1) * n[3]].tolist()
            words[row] = self.row(words, row, n, residuals[row], gone, sources, *models[row])
        return words.astype(layout.numpy).reshape(layout.dims)

    def row(
        self, words: np.ndarray, row: int, n: Extents, residuals: np.ndarray, gone: list[bool] | None, sources: list[int] | None,
        mean: int | None, taps: list[int],
    ) -> list[int]:  # fmt: skip
        """A row of words. What rows before add is summed up for all of it; the rest depends on the words before."""
        width, flat, start = n[3], words.reshape(-1), row * n[3]
        place = (row // n[2] // n[1], row // n[2] % n[1], row % n[2])
        strides = strides_of(n)
        # What the rows before give each word, and how often the stand-in counts instead.
        known, missing = np.full(width, 2048, np.int64), np.zeros(width, np.int64)
        lags: list[tuple[int, int]] = []
        for tap, offset in zip(taps[3:], offsets_of(n)[3:]):
            if not tap:
                continue
            along = offset[3]
            if not any(offset[:3]):
                lags.append((tap, -along))
                continue
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
            for tap, lag in lags:
                total += tap * (out[x - lag] if x >= lag else stand_in)
            p = (total + miss * stand_in + a * before + b * before2 + c * before3) >> 12
            if sources and (source := sources[x]) >= 0:
                word = out[source - start] if source >= start else int(flat[source])
            elif gone and gone[x]:
                word = min(max(p, 0), most)
            else:
                word = residual + p & most
            out.append(word)
            before, before2, before3 = word, before, before2
        return out


class FloatLinear:
    """The same neighbours and taps; predictions are floats."""

    keeps_absent = True

    def parse(self, p: bytes) -> tuple[DType, list[Model]]:
        params(len(p) >= 38 and len(p) % 37 == 1 and p[0] <= 3 and max(p[1::37]) <= 1, "flinear has a type, and each time zero or not and 18 taps")
        dtype = next(t for t in DTYPES if t.name == ("f16", "bf16", "f32", "f64")[p[0]])
        return dtype, [(0 if p[at] else None, list(struct.unpack("<18h", p[at + 1 : at + 37]))) for at in range(1, len(p), 37)]

    def output(self, layout: Layout, p: bytes) -> Layout:
        dtype, models = self.parse(p)
        of_rows(models, layout.dims)
        params(layout.width == dtype.word, "flinear's type is not as wide as the codes")
        return layout

    def numbers(self, codes: np.ndarray, dtype: DType) -> np.ndarray:
        bits = from_ordered(codes, dtype)
        if dtype.name == "bf16":
            x = (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        else:
            x = bits.view(f"f{dtype.word}").astype(np.float64)
        return np.where(np.isfinite(x), x, 0.0)

    def codes(self, x: np.ndarray, dtype: DType) -> np.ndarray:
        bits = words_of(np.where(np.isnan(x), 0.0, x), dtype)
        top = bits.dtype.type(1 << (8 * bits.dtype.itemsize - 1))
        return np.where(bits & top, ~bits, bits ^ top)

    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        dtype, models = self.parse(p)
        if not codes.size:
            return codes
        n, models = of_rows(models, layout.dims)
        residuals = unzigzag(np.ascontiguousarray(codes)).reshape(-1, n[3])
        absent = np.zeros(residuals.shape, bool) if layout.absent is None else layout.absent.reshape(residuals.shape)
        words = np.zeros(residuals.shape, residuals.dtype)
        numbers = np.zeros(residuals.shape, np.float64)
        with np.errstate(all="ignore"):
            for row in range(len(words)):
                self.row(words, numbers, row, n, residuals[row], absent[row], layout.sources, *models[row], dtype)
        return words.reshape(layout.dims)

    def row(
        self, words: np.ndarray, numbers: np.ndarray, row: int, n: Extents, residuals: np.ndarray, absent: np.ndarray,
        sources: np.ndarray | None, mean: int | None, taps: list[int], dtype: DType,
    ) -> None:  # fmt: skip
        width, flat, start = n[3], numbers.reshape(-1), row * n[3]
        place = (row // n[2] // n[1], row // n[2] % n[1], row % n[2])
        strides = strides_of(n)
        near, far, lags = [float(tap) for tap in taps[:3]], [], []
        stand_in_tap = float(4096 - sum(taps)) if mean is None else 0.0
        for tap, offset in zip(taps[3:], offsets_of(n)[3:]):
            if tap and not any(offset[:3]):
                lags.append((float(tap), -offset[3]))
            elif tap and all(0 <= place[d] + offset[d] < n[d] for d in range(3)):
                far.append((float(tap), sum(o * s for o, s in zip(offset, strides)), offset[3]))
            else:
                stand_in_tap += tap
        first = 0.0
        for offset in ((0, 0, -1, 0), (0, -1, 0, 0), (-1, 0, 0, 0)):
            if all(0 <= place[d] + offset[d] < n[d] for d in range(3)):
                first = float(flat[start + sum(o * s for o, s in zip(offset, strides))])
                break
        sums = np.zeros(width)
        for tap, at, _ in far:
            sums[1 : width - 1] += tap * flat[start + 1 + at : start + width - 1 + at]
        for x in range(width):
            at = start + x
            if sources is not None and (source := sources[at]) >= 0:
                words[row, x], numbers[row, x] = words.reshape(-1)[source], flat[source]
                continue
            if (lags[-1][1] if lags else 3) <= x < width - 1:
                total = sums[x]
                for tap, lag in lags:
                    total += tap * flat[at - lag]
                row_sum = (near[0] + stand_in_tap) * flat[at - 1] + (near[1] * flat[at - 2] + near[2] * flat[at - 3])
                total = total + row_sum
            else:
                stand_in = flat[at - 1] if x else first
                total = stand_in_tap * stand_in
                for k in range(3):
                    total += near[k] * (flat[at - 1 - k] if x > k else stand_in)
                for tap, lag in lags:
                    total += tap * (flat[at - lag] if x >= lag else stand_in)
                for tap, there, along in far:
                    total += tap * (flat[at + there] if 0 <= x + along < width else stand_in)
            code = self.codes(np.array([total / 4096]), dtype)
            words[row, x] = code[0] if absent[x] else (residuals[x : x + 1] + code)[0]
            numbers[row, x] = self.numbers(words[row, x : x + 1], dtype)[0]
