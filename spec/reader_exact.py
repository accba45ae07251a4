"""Exact values, as 7.3 of the format states them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from reader_base import Layout, corrupt, unzstd
from reader_coding import Bits, models

RUN = 32


def bad(what: str) -> Exception:
    return corrupt("EB-C05", f"exact values: {what}")


def read_mask(data: bytes, dims: tuple[int, ...]) -> np.ndarray:
    """Which words are absent, in C order."""
    if 0 in dims:
        return np.zeros(0, bool)
    long = [n for n in dims if n != 1]
    width = long[-1] if long else 1
    height = long[-2] if len(long) > 1 else 1
    n = int(np.prod(dims, dtype=np.int64))
    bits, front, up, single = Bits(data), models(4), models(4), models(4096)
    zeros = bytearray(width + 4)  # a row with a word that is not there before it, and three behind
    rows: list[bytearray] = []
    out = np.zeros((n // width, width), bool)
    f = u = 0
    for row in range(len(out)):
        has_f, has_u, has_uu = row >= height, row % height > 0, row % height > 1
        row_f = rows[-height] if has_f else zeros
        row_u = rows[-1] if has_u else zeros
        row_uu = rows[-2] if has_uu else zeros
        here = bytearray(width + 4)
        for first in range(1, width + 1, RUN):
            end = min(first + RUN, width + 1)
            if has_f:
                same = bits.bit(front[f])
                f = (2 * f + same) & 3
                if same:
                    here[first:end] = row_f[first:end]
                    continue
            if has_u:
                same = bits.bit(up[u])
                u = (2 * u + same) & 3
                if same:
                    here[first:end] = row_u[first:end]
                    continue
            for x in range(first, end):
                context = (
                    here[x - 1] + 2 * (here[x - 2] if x > 1 else 0) + 4 * (here[x - 3] if x > 2 else 0)
                    + 8 * row_u[x - 1] + 16 * row_u[x] + 32 * row_u[x + 1] + 64 * row_u[x + 2]
                    + 128 * row_uu[x] + 256 * row_f[x - 1] + 512 * row_f[x] + 1024 * row_f[x + 1] + 2048 * has_f
                )  # fmt: skip
                here[x] = bits.bit(single[context])
        out[row] = np.frombuffer(here, np.uint8)[1 : width + 1]
        rows.append(here)
        del rows[: -max(height, 2)]
    return out.reshape(-1)


@dataclass
class Exact:
    absent: np.ndarray | None
    absent_words: np.ndarray | None
    positions: np.ndarray
    patches: np.ndarray
    are_differences: bool = False

    def put(self, words: np.ndarray) -> np.ndarray:
        flat = words.reshape(-1)
        if self.absent is None and not len(self.positions):
            return words
        flat = flat.copy()
        if self.absent is not None:
            flat[self.absent] = self.absent_words
        patches = self.patches
        if self.are_differences:
            one = patches.dtype.type(1)
            halves = (patches >> one) ^ (~(patches & one) + one)
            patches = flat[self.positions] + halves  # modulo 2 to the number of bits
        flat[self.positions] = patches
        return flat.reshape(words.shape)


class Taker:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, n: int) -> bytes:
        if n > len(self.data):
            raise bad("too short")
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n), "little")


def read_exact(data: bytes, values: Layout) -> Exact:
    word = values.numpy
    exact = Exact(None, None, np.zeros(0, np.int64), np.zeros(0, word))
    if not data:
        return exact
    rest = Taker(data)
    flags = rest.number(1)
    if flags not in (1, 2, 3, 6, 7):
        raise bad("unknown flags")
    exact.are_differences = flags > 3
    if flags & 1:
        mask = rest.take(rest.number(4))
        exact.absent = read_mask(mask, values.dims)
        n = int(exact.absent.sum())
        if not n:
            raise bad("nothing is absent")
        form = rest.number(1)
        if form > 1:
            raise bad("unknown form of absent words")
        plain = rest.take(values.width) if form else unzstd(rest.take(rest.number(4)), n * values.width, "EB-C05")
        exact.absent_words = np.frombuffer(plain, word)
    if flags & 2:
        count = rest.number(8)
        if not 0 < count <= values.n:
            raise bad("impossible count")
        plain = unzstd(rest.take(len(rest.data)), count * (4 + values.width), "EB-C05")
        gaps = np.frombuffer(plain[: 4 * count], "<u4").astype(np.uint64)
        positions = np.cumsum(gaps + np.uint64(1)) - np.uint64(1)  # at most 2^26 gaps below 2^32: no overflow
        if positions[-1] >= values.n:
            raise bad("position outside the block")
        exact.positions, exact.patches = positions.astype(np.int64), np.frombuffer(plain[4 * count :], word)
    if rest.data:
        raise bad("bytes behind them")
    return exact
