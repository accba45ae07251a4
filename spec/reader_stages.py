"""The stages of a pipeline, each as its page under stages/ states it, and how a block goes through them.

Words are bit patterns: numpy arrays of unsigned integers. A quantizer has `layout` (of its codes) and
`reconstruct`, a transform `output` (the layout it gives) and `inverse`, a coder `decode`. A stage of another
module is added to one of the three tables below.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from pcodec import standalone as pco
from reader_base import DTYPES, MAX_BLOCK, DType, corrupt, limit, product, unsupported, unzstd


@dataclass(frozen=True)
class Layout:
    """Width in bytes and dimensions of words."""

    width: int
    dims: tuple[int, ...]

    def __post_init__(self) -> None:
        n = product(*self.dims, self.width)
        if n is None or n > MAX_BLOCK or any(d >= 1 << 32 for d in self.dims):
            raise limit("EB-B01", f"shape {self.dims} of {self.width}-byte words exceeds a block")

    @property
    def n(self) -> int:
        return math.prod(self.dims)

    @property
    def numpy(self) -> str:
        return f"<u{self.width}"


def params(condition: bool, what: str) -> None:
    if not condition:
        raise corrupt("EB-C04", f"stage parameters: {what}")


def need_float(dtype: DType) -> None:
    if not dtype.fraction_bits:
        raise corrupt("EB-C03", f"{dtype.name} is not a floating-point type")


# ---------------------------------------------------------------- quantizers


class NoneQuantizer:
    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        params(p == b"", "none takes none")
        return values

    def reconstruct(self, codes: np.ndarray, dtype: DType, p: bytes) -> np.ndarray:
        return codes


def double_to_bf16(x: np.ndarray) -> np.ndarray:
    """One rounding to nearest even, in integers. By way of binary32 there would be two."""
    bits = x.view(np.uint64)
    exponent = (bits >> np.uint64(52) & np.uint64(0x7FF)).astype(np.int64)
    target = exponent - 1023 + 127
    significand = bits & np.uint64((1 << 52) - 1) | np.uint64(1 << 52)
    drop = np.minimum(np.where(target >= 1, 45, 46 - target), 63).astype(np.uint64)
    kept, half = significand >> drop, np.uint64(1) << (drop - np.uint64(1))
    rest = significand & ((np.uint64(1) << drop) - np.uint64(1))
    up = (rest > half) | ((rest == half) & (kept & np.uint64(1) == 1))
    base = (np.maximum(target - 1, 0) << 7).astype(np.uint64)
    word = np.minimum(base + kept + up, np.uint64(0x7F80))
    word = np.where(exponent == 0x7FF, np.uint64(0x7F80), np.where(exponent == 0, np.uint64(0), word))
    return (bits >> np.uint64(63) << np.uint64(15) | word).astype("<u2")


class Uniform:
    def parse(self, p: bytes) -> tuple[float, int, int]:
        params(len(p) == 17, "uniform takes 17 bytes")
        step, base, width = struct.unpack("<dqB", p)
        params(math.isfinite(step) and step > 0 and width in (1, 2, 4, 8), "step or width is impossible")
        return step, base, width

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        need_float(dtype)
        return Layout(self.parse(p)[2], values.dims)

    def reconstruct(self, codes: np.ndarray, dtype: DType, p: bytes) -> np.ndarray:
        step, base, _ = self.parse(p)
        with np.errstate(all="ignore"):
            multiples = (codes.astype(np.uint64) + np.uint64(base % (1 << 64))).view(np.int64)
            x = multiples.astype(np.float64) * np.float64(step)
            if dtype.name == "bf16":
                return double_to_bf16(x)
            return x.astype(f"<f{dtype.word}").view(f"<u{dtype.word}")


class BitRound:
    def shift(self, dtype: DType, p: bytes) -> int:
        need_float(dtype)
        params(len(p) == 1 and p[0] <= dtype.fraction_bits, "bitround keeps an impossible number of bits")
        return dtype.fraction_bits - p[0]

    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        self.shift(dtype, p)
        return values

    def reconstruct(self, codes: np.ndarray, dtype: DType, p: bytes) -> np.ndarray:
        return codes << codes.dtype.type(self.shift(dtype, p))


# ---------------------------------------------------------------- transforms


def unzigzag(codes: np.ndarray) -> np.ndarray:
    one = codes.dtype.type(1)
    return (codes >> one) ^ (~(codes & one) + one)


class Same:
    """A transform that keeps width and dimensions and takes no parameters."""

    def output(self, layout: Layout, p: bytes) -> Layout:
        params(p == b"", "takes none")
        return layout


class Order(Same):
    def inverse(self, codes: np.ndarray, layout: Layout, p: bytes) -> np.ndarray:
        top = codes.dtype.type(1 << (8 * layout.width - 1))
        return np.where(codes & top, codes ^ top, ~codes)


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


class Pco:
    NUMBERS = frozenset({"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"})

    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(len(p) == 2 and p[0] < len(DTYPES), "pco takes two bytes")
        dtype = DTYPES[p[0]]
        params(dtype.name in self.NUMBERS and dtype.size == layout.width, "pco's number type does not fit the words")
        out = np.zeros(layout.n, np.dtype(dtype.numpy))
        try:
            progress = pco.simple_decompress_into(data, out)
        except (RuntimeError, TypeError, ValueError) as error:
            raise corrupt("EB-C02", f"pco: {error}") from None
        except BaseException as error:  # a panic of the native library is of no class that Python has
            if type(error).__name__ != "PanicException":
                raise
            raise corrupt("EB-C02", "pco: file makes no sense") from None
        if progress.n_processed != layout.n or not progress.finished:
            raise corrupt("EB-C02", f"pco file does not hold {layout.n} numbers")
        return out.view(layout.numpy).reshape(layout.dims)


# ---------------------------------------------------------------- the tables, and a block through them

QUANTIZERS: dict[tuple[str, int], Any] = {("none", 1): NoneQuantizer(), ("uniform", 1): Uniform(), ("bitround", 1): BitRound()}
TRANSFORMS: dict[tuple[str, int], Any] = {
    ("order", 1): Order(), ("delta", 1): Delta(), ("lorenzo", 1): Lorenzo(), ("shuffle", 1): Shuffle(), ("bitshuffle", 1): BitShuffle(),
}  # fmt: skip
CODERS: dict[tuple[str, int], Any] = {("store", 1): Store(), ("constant", 1): Constant(), ("zstd", 1): Zstd(), ("pco", 1): Pco()}


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
    layouts = [quantizer.layout(block.dtype, values, block.quantizer.params)]
    for transform, p in transforms:
        layouts.append(transform.output(layouts[-1], p))
    if block.exact_len > len(payload):
        raise corrupt("EB-C05", "exact values are longer than the payload")
    split = len(payload) - block.exact_len
    codes = coder.decode(payload[:split], layouts[-1], block.coder.params)
    for (transform, p), layout in zip(reversed(transforms), reversed(layouts[:-1])):
        codes = transform.inverse(codes, layout, p)
    words = quantizer.reconstruct(codes, block.dtype, block.quantizer.params)
    if words.shape != values.dims or words.dtype.itemsize != values.width:
        raise corrupt("EB-C02", "pipeline gave words of another layout")
    return put_exact(payload[split:], words) if block.exact_len else words


def put_exact(data: bytes, words: np.ndarray) -> np.ndarray:
    count, width = int.from_bytes(data[:8], "little"), words.dtype.itemsize
    if len(data) < 8 or not 0 < count <= words.size:
        raise corrupt("EB-C05", "exact values: impossible count")
    plain = unzstd(data[8:], count * (4 + width), "EB-C05")
    gaps = np.frombuffer(plain[: 4 * count], "<u4").astype(np.uint64)
    positions = np.cumsum(gaps + np.uint64(1)) - np.uint64(1)  # at most 2^26 gaps below 2^32: no overflow
    if positions[-1] >= words.size:
        raise corrupt("EB-C05", "exact values: position outside the block")
    flat = words.reshape(-1).copy()
    flat[positions.astype(np.int64)] = np.frombuffer(plain[4 * count :], f"<u{width}")
    return flat.reshape(words.shape)
