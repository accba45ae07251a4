"""The stages of a pipeline, each as its page under stages/ states it, and how a block goes through them.

Words are bit patterns: numpy arrays of unsigned integers. A quantizer has `layout` (of its codes) and
`reconstruct`, a transform `output` (the layout it gives) and `inverse`, a coder `decode`. A stage of another
module is added to one of the three tables below.
"""

from __future__ import annotations

import lzma
import math
import struct
from dataclasses import replace
from typing import Any

import numpy as np
from pcodec import standalone as pco
from reader_base import ArchiveError, DTYPES, DType, Layout, corrupt, from_ordered, need_float, params, unsupported, unzigzag, unzstd, words_of
from reader_crans import Carith, Crans
from reader_exact import read_exact
from reader_interp import Interp
from reader_linear import FloatLinear, Linear
from reader_med import Med
from reader_repeat import Repeat


# ---------------------------------------------------------------- quantizers


class NoneQuantizer:
    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        params(p == b"", "none takes none")
        return replace(values, absent=None)

    def reconstruct(self, codes: np.ndarray, dtype: DType, values: Layout, p: bytes) -> np.ndarray:
        return codes


class Order:
    def parse(self, p: bytes) -> tuple[int, int, int]:
        params(len(p) == 17, "order takes 17 bytes")
        base, unit, width = struct.unpack("<QQB", p)
        params(unit > 0 and width in (1, 2, 4, 8), "unit or width is impossible")
        return base, unit, width

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        return replace(values, width=self.parse(p)[2])

    def reconstruct(self, codes: np.ndarray, dtype: DType, values: Layout, p: bytes) -> np.ndarray:
        base, unit, _ = self.parse(p)
        numbers = np.uint64(base) + codes.astype(np.uint64) * np.uint64(unit)
        return from_ordered(numbers.astype(f"u{values.width}"), dtype)


class Palette:
    def parse(self, p: bytes) -> int:
        params(len(p) >= 4 and 1 <= int.from_bytes(p[:4], "little") <= 1 << 16, "palette has an impossible size")
        return int.from_bytes(p[:4], "little")

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        return replace(values, width=1 if self.parse(p) <= 256 else 2)

    def reconstruct(self, codes: np.ndarray, dtype: DType, values: Layout, p: bytes) -> np.ndarray:
        n, kind = self.parse(p), {1: 2, 2: 3, 4: 4, 8: 5}[values.width]
        try:
            numbers = Pco().decode(p[4:], Layout(values.width, (n,)), bytes([kind, 0]))
        except ArchiveError as error:
            raise corrupt("EB-C04", f"the palette's list: {error}") from error
        return from_ordered(numbers.reshape(-1)[np.minimum(codes, n - 1)], dtype)


class Uniform:
    def parse(self, p: bytes) -> tuple[float, int, int]:
        params(len(p) == 17, "uniform takes 17 bytes")
        step, base, width = struct.unpack("<dqB", p)
        params(math.isfinite(step) and step > 0 and width in (1, 2, 4, 8), "step or width is impossible")
        return step, base, width

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        need_float(dtype)
        return replace(values, width=self.parse(p)[2])

    def reconstruct(self, codes: np.ndarray, dtype: DType, values: Layout, p: bytes) -> np.ndarray:
        step, base, _ = self.parse(p)
        with np.errstate(all="ignore"):
            multiples = (codes.astype(np.uint64) + np.uint64(base % (1 << 64))).view(np.int64)
            x = multiples.astype(np.float64) * np.float64(step)
            return words_of(x, dtype)


class BitRound:
    def shift(self, dtype: DType, p: bytes) -> int:
        need_float(dtype)
        params(len(p) == 1 and p[0] <= dtype.fraction_bits, "bitround keeps an impossible number of bits")
        return dtype.fraction_bits - p[0]

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        self.shift(dtype, p)
        return replace(values, absent=None)

    def reconstruct(self, codes: np.ndarray, dtype: DType, values: Layout, p: bytes) -> np.ndarray:
        return codes << codes.dtype.type(self.shift(dtype, p))


class Log:
    C = tuple(struct.unpack(">d", bytes.fromhex(bits))[0] for bits in (
        "3feffffffffa7135", "3fe62e42fef9cc69", "3fcebfbe0aa03df0", "3fac6b08da70cce3",
        "3f83b29d8bb0b97e", "3f55d877598350de", "3f2446c79efd4834", "3ef00c0e4e15189c"))  # fmt: skip

    def parse(self, p: bytes) -> tuple[float, int, int, int, tuple[int, float, float] | None]:
        params(len(p) in (25, 49), "log takes 25 or 49 bytes")
        step, lowest, base, width = struct.unpack("<dqqB", p[:25])
        even = struct.unpack("<qdd", p[25:]) if len(p) == 49 else None
        if even:
            sound = abs(even[0]) <= 1 << 50 and math.isfinite(even[1]) and math.isfinite(even[2]) and even[2] > 0
            params(sound, "even levels are impossible")
        sound = math.isfinite(step) and step > 0 and abs(lowest) <= 1 << 50 and width in (1, 2, 4, 8)
        params(sound, "step, lowest level or width is impossible")
        return step, lowest, base, width, even

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        need_float(dtype)
        return replace(values, width=self.parse(p)[3])

    def reconstruct(self, codes: np.ndarray, dtype: DType, values: Layout, p: bytes) -> np.ndarray:
        step, lowest, base, _, even = self.parse(p)
        with np.errstate(all="ignore"):
            d = (codes.astype(np.uint64) + np.uint64(base % (1 << 64))).view(np.int64).astype(np.float64)
            level = np.abs(d) + np.float64(lowest - 1)
            z = np.clip(level * np.float64(step), -1022.0, 1023.0)
            n = np.rint(z)
            f = z - n
            x = np.full_like(f, self.C[7])
            for c in self.C[6::-1]:
                x = x * f + c
            x = x * np.ldexp(1.0, n.astype(np.int64))
            if even:
                last, origin, distance = np.float64(even[0]), np.float64(even[1]), np.float64(even[2])
                x = np.where(level > last, origin + (level - last) * distance, x)
            x = np.where(d == 0, 0.0, np.where(d < 0, -x, x))
            return words_of(x, dtype)


class Lattice:
    def parse(self, p: bytes) -> tuple[float, float, int]:
        params(len(p) == 24, "lattice takes 24 bytes")
        offset, step, base = struct.unpack("<ddq", p)
        params(math.isfinite(offset) and math.isfinite(step) and step > 0, "offset or step is impossible")
        return offset, step, base

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        need_float(dtype)
        self.parse(p)
        return replace(values, width=4)

    def reconstruct(self, codes: np.ndarray, dtype: DType, values: Layout, p: bytes) -> np.ndarray:
        offset, step, base = self.parse(p)
        with np.errstate(all="ignore"):
            k = (codes.astype(np.uint64) + np.uint64(base % (1 << 64))).view(np.int64)
            return words_of(np.float64(offset) + k.astype(np.float64) * np.float64(step), dtype)


class Decimal:
    def parse(self, p: bytes) -> tuple[int, int, int]:
        params(len(p) == 10, "decimal takes 10 bytes")
        digits, width, base = struct.unpack("<BBq", p)
        params(digits <= 22 and width in (1, 2, 4, 8), "digits or width are impossible")
        return digits, width, base

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        need_float(dtype)
        return replace(values, width=self.parse(p)[1])

    def reconstruct(self, codes: np.ndarray, dtype: DType, values: Layout, p: bytes) -> np.ndarray:
        digits, _, base = self.parse(p)
        k = (codes.astype(np.uint64) + np.uint64(base % (1 << 64))).view(np.int64)
        return words_of(k.astype(np.float64) / np.float64(10**digits), dtype)


# ---------------------------------------------------------------- transforms


class Same:
    """A transform that keeps width and dimensions and takes no parameters."""

    def output(self, layout: Layout, p: bytes) -> Layout:
        params(p == b"", "takes none")
        return layout


class Delta(Same):
    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        return np.cumsum(unzigzag(codes.reshape(-1)), dtype=codes.dtype).reshape(layout.dims)


class Lorenzo:
    def output(self, layout: Layout, p: bytes) -> Layout:
        params(len(p) == 1 and 1 <= p[0] <= min(4, len(layout.dims)), "lorenzo has an impossible number of axes")
        return layout

    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        codes = unzigzag(codes)
        for axis in range(len(layout.dims) - p[0], len(layout.dims)):
            codes = np.cumsum(codes, axis=axis, dtype=codes.dtype)
        return codes


class Rotate:
    keeps_absent = True

    def output(self, layout: Layout, p: bytes) -> Layout:
        params(p == b"", "takes none")
        absent = layout.absent
        if layout.dims and absent is not None:
            absent = np.moveaxis(absent.reshape(layout.dims), -1, 0).reshape(-1)
        return replace(layout, dims=layout.dims[-1:] + layout.dims[:-1], absent=absent, sources=None)

    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        return np.moveaxis(codes, 0, -1) if layout.dims else codes


class Shuffle:
    def output(self, layout: Layout, p: bytes) -> Layout:
        params(p == b"", "takes none")
        return Layout(1, (layout.n * layout.width,))

    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        planes = codes.reshape(layout.width, layout.n)
        return np.ascontiguousarray(planes.T).view(layout.numpy).reshape(layout.dims)


class BitShuffle(Shuffle):
    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        n, w = layout.n, layout.width
        m = n - n % 8
        planes = np.unpackbits(codes[: m * w].reshape(8 * w, m // 8), axis=1, bitorder="little")
        words = np.packbits(np.ascontiguousarray(planes.T), axis=1, bitorder="little").reshape(-1)
        return np.concatenate([words, codes[m * w :]]).view(layout.numpy).reshape(layout.dims)


# ---------------------------------------------------------------- coders


def words_from(data: bytes, layout: Layout) -> np.ndarray:
    if len(data) != layout.n * layout.width:
        raise corrupt("EB-C02", f"coder gave {len(data)} bytes, expected {layout.n * layout.width}")
    return np.frombuffer(data, layout.numpy).reshape(layout.dims)


class Store:
    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(p == b"", "store takes none")
        return words_from(data, layout)


class Constant:
    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(p == b"", "constant takes none")
        if len(data) != (layout.width if layout.n else 0):
            raise corrupt("EB-C02", "constant is not one word")
        word = np.frombuffer(data, layout.numpy)
        return np.full(layout.dims, word[0]) if layout.n else np.zeros(layout.dims, layout.numpy)


class Zstd:
    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(len(p) == 1, "zstd takes one byte")
        return words_from(unzstd(data, layout.n * layout.width, "EB-C02"), layout)


class Lzma:
    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(len(p) == 2, "lzma takes two bytes")
        lc, lp, pb = p[0] % 9, p[0] // 9 % 5, p[0] // 45
        params(lc + lp <= 4 and pb <= 4, "contexts of lzma are impossible")
        n = layout.n * layout.width
        header = struct.pack("<BIQ", p[0], max(n, 4096), n)
        decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE)
        try:
            plain = decoder.decompress(header + data)
        except lzma.LZMAError as error:
            raise corrupt("EB-C02", f"lzma: {error}") from None
        if len(plain) != n or not decoder.eof or decoder.unused_data:
            raise corrupt("EB-C02", f"lzma stream is not exactly the {n} bytes declared")
        return words_from(plain, layout)


def pco_numbers(data: bytes, out: np.ndarray) -> np.ndarray:
    """The numbers of a pco file: the beginning of `out`, which has room for them."""
    try:
        progress = pco.simple_decompress_into(data, out)
    except (RuntimeError, TypeError, ValueError) as error:
        raise corrupt("EB-C02", f"pco: {error}") from None
    except BaseException as error:  # a panic of the native library is of no class that Python has
        if type(error).__name__ != "PanicException":
            raise
        raise corrupt("EB-C02", "pco: file makes no sense") from None
    if not progress.finished:
        raise corrupt("EB-C02", f"pco file holds more than {len(out)} numbers")
    return out[: progress.n_processed]


class Pco:
    NUMBERS = frozenset({"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"})

    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(len(p) == 2 and p[0] < len(DTYPES), "pco takes two bytes")
        dtype = DTYPES[p[0]]
        params(dtype.name in self.NUMBERS and dtype.size == layout.width, "pco's number type does not fit the words")
        out = pco_numbers(data, np.zeros(layout.n, np.dtype(dtype.numpy)))
        if len(out) != layout.n:
            raise corrupt("EB-C02", f"pco file does not hold {layout.n} numbers")
        return out.view(layout.numpy).reshape(layout.dims)


class Classes:
    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(len(p) == 2 and 1 <= p[0] <= min(3, len(layout.dims)), "classes takes 1 to 3 axes and a level")
        last = max(layout.dims[-1], 1)
        row = max(math.prod(layout.dims[-p[0] :]), 1)
        step = min(last if p[0] > 1 and last <= 8 else 1, row)
        k = data[0] if data else 0
        begin = 1 + 8 * (k - 1) + 4 * k
        if not 1 <= k <= 8 or len(data) < begin:
            raise corrupt("EB-C02", "classes: impossible number of classes, or too short")
        *thresholds, = struct.unpack_from(f"<{k - 1}Q", data, 1)
        lengths = struct.unpack_from(f"<{k}I", data, 1 + 8 * (k - 1))
        bits = 63 if layout.width == 8 else 31
        rises = all(a < b for a, b in zip(thresholds, thresholds[1:]))
        if not rises or k > 1 and (thresholds[-1] >= 2**bits - 1 or row == step):
            raise corrupt("EB-C02", "classes: impossible thresholds")
        if begin + sum(lengths) != len(data):
            raise corrupt("EB-C02", "classes: the files are not what is there")
        parts, left = [], layout.n
        for length in lengths:
            parts.append(pco_numbers(data[begin : begin + length], np.zeros(left, layout.numpy)))
            begin, left = begin + length, left - len(parts[-1])
        if left:
            raise corrupt("EB-C02", f"classes: files do not hold {layout.n} numbers")
        return self.unite(parts, np.array(thresholds, np.int64), layout, row, step)

    def unite(self, parts: list[np.ndarray], thresholds: np.ndarray, layout: Layout, row: int, step: int) -> np.ndarray:
        if len(parts) == 1 or layout.n == 0:
            return parts[0].reshape(layout.dims)
        most = 2**61 - 1 if layout.width == 8 else 2**29 - 1
        words = np.zeros(layout.n, layout.numpy)
        near = np.zeros(row + step + layout.n, np.int64)  # as many zeros, then the words as sums take them
        places = [0] * len(parts)
        for i in range(0, layout.n, row - step):
            n = min(row - step, layout.n - i)
            above = [near[i + shift : i + shift + n] for shift in (0, step, 2 * step)]
            classes = np.searchsorted(thresholds, above[0] + 2 * above[1] + above[2], side="left")
            for c, part in enumerate(parts):
                here = i + np.flatnonzero(classes == c)
                if places[c] + len(here) > len(part):
                    raise corrupt("EB-C02", "classes: a file holds too few numbers")
                words[here] = part[places[c] : places[c] + len(here)]
                places[c] += len(here)
            near[row + step + i : row + step + i + n] = np.minimum(words[i : i + n].astype(np.uint64), most)
        if any(place != len(part) for place, part in zip(places, parts)):
            raise corrupt("EB-C02", "classes: a file holds too many numbers")
        return words.reshape(layout.dims)


def numbers(bits: np.ndarray, width: int) -> np.ndarray:
    """Numbers of `width` bits, one a row of bits, the least bit first."""
    places = np.uint64(1) << np.arange(width, dtype=np.uint64)
    return (bits[..., :width].astype(np.uint64) * places).sum(axis=-1, dtype=np.uint64)


class BitPack:
    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(p == b"", "bitpack takes none")
        groups, length = -(-layout.n // 64), int.from_bytes(data[:4], "little")
        if len(data) < 4 + length:
            raise corrupt("EB-C02", "bitpack: too short")
        heads = np.frombuffer(unzstd(data[4 : 4 + length], 3 * groups, "EB-C02"), np.uint8)
        low, high, patches = heads.reshape(3, groups).astype(np.int64)
        if np.any(low + high > 8 * layout.width) or np.any(patches > 63) or np.any((patches == 0) != (high == 0)):
            raise corrupt("EB-C02", "bitpack: impossible widths")
        tails = (patches * (6 + high) + 7) // 8
        ends = 4 + length + np.cumsum(8 * low + tails)
        if (ends[-1] if groups else 4 + length) != len(data):
            raise corrupt("EB-C02", "bitpack: bytes do not end with the last group")
        raw, starts = np.frombuffer(data, np.uint8), ends - tails - 8 * low
        words = np.zeros((groups, 64), np.uint64)
        for width in np.unique(low[low > 0]):  # all groups of one width at once
            rows = np.flatnonzero(low == width)
            packed = raw[starts[rows, None] + np.arange(8 * width)]
            bits = np.unpackbits(packed, axis=1, bitorder="little")
            words[rows] = numbers(bits.reshape(len(rows), 64, width), int(width))
        for i in np.flatnonzero(patches):
            n, width, shift = int(patches[i]), int(high[i]), np.uint64(low[i])
            bits = np.unpackbits(raw[ends[i] - tails[i] : ends[i]], bitorder="little")
            positions = numbers(bits[: 6 * n].reshape(n, 6), 6).astype(np.int64)
            uppers = numbers(bits[6 * n : (6 + width) * n].reshape(n, width), width)
            np.bitwise_or.at(words[i], positions, uppers << shift)
        return words.reshape(-1)[: layout.n].astype(layout.numpy).reshape(layout.dims)


# ---------------------------------------------------------------- the tables, and a block through them

QUANTIZERS: dict[tuple[str, int], Any] = {
    ("none", 1): NoneQuantizer(), ("order", 1): Order(), ("palette", 1): Palette(), ("uniform", 1): Uniform(), ("bitround", 1): BitRound(), ("log", 1): Log(), ("lattice", 1): Lattice(), ("decimal", 1): Decimal(),
    ("interp", 1): Interp(),
}  # fmt: skip
TRANSFORMS: dict[tuple[str, int], Any] = {
    ("delta", 1): Delta(), ("lorenzo", 1): Lorenzo(), ("med", 1): Med(), ("linear", 1): Linear(), ("flinear", 1): FloatLinear(), ("rotate", 1): Rotate(),
    ("repeat", 1): Repeat(), ("shuffle", 1): Shuffle(), ("bitshuffle", 1): BitShuffle(),
}  # fmt: skip
CODERS: dict[tuple[str, int], Any] = {
    ("store", 1): Store(), ("constant", 1): Constant(), ("zstd", 1): Zstd(), ("pco", 1): Pco(), ("classes", 1): Classes(), ("bitpack", 1): BitPack(),
    ("crans", 1): Crans(), ("carith", 1): Carith(), ("lzma", 1): Lzma(),
}  # fmt: skip


def find(stages: dict[tuple[str, int], Any], what: str, stage: Any) -> Any:
    found = stages.get((stage.name, stage.version))
    if found is None:
        raise unsupported("EB-C01", f"needs {what} {stage.name!r} version {stage.version}")
    return found


def decode_words(block: Any, payload: bytes) -> np.ndarray:
    """The words of a block, given its record and its payload."""
    dims = (*block.shape, 2) if block.dtype.size > block.dtype.word else tuple(block.shape)
    values = Layout(block.dtype.word, dims)
    quantizer, coder = find(QUANTIZERS, "quantizer", block.quantizer), find(CODERS, "coder", block.coder)
    transforms = [(find(TRANSFORMS, "transform", t), t.params) for t in block.transforms]
    if block.exact_len > len(payload):
        raise corrupt("EB-C05", "exact values are longer than the payload")
    split = len(payload) - block.exact_len
    exact = read_exact(payload[split:], values)
    layout = quantizer.layout(block.dtype, replace(values, absent=exact.absent), block.quantizer.params)
    if transforms:
        kept = all(getattr(transform, "keeps_absent", False) for transform, _ in transforms)
        layout = replace(layout, levels=(), absent=layout.absent if kept else None)
    layouts = [layout]
    for transform, p in transforms:
        kept = layouts[-1].absent is None or getattr(transform, "keeps_absent", False)
        params(kept, "a transform that takes all words behind one that leaves words out")
        layouts.append(transform.output(layouts[-1], p))
    codes = coder.decode(payload[:split], layouts[-1], block.coder.params)
    for (transform, p), layout in zip(reversed(transforms), reversed(layouts[:-1])):
        codes = transform.inverse(codes, layout, p)
    words = quantizer.reconstruct(codes, block.dtype, values, block.quantizer.params)
    if words.shape != values.dims or words.dtype.itemsize != values.width:
        raise corrupt("EB-C02", "pipeline gave words of another layout")
    return exact.put(words)
