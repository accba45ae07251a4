"""What the reader's modules share: errors, limits, element types, layouts, conversions, the one way to decompress zstd."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import zstandard

MAX_RECORD = 1 << 20
MAX_BLOCK = 64 << 20
MAX_PAYLOAD = MAX_BLOCK + (1 << 20)
MAX_PAGE = 16 << 20
PAGE_TARGET = 48 << 10
MAX_PATH = 65535
MAX_DIMS = 8
MAX_BOUNDS = 16
MAX_TRANSFORMS = 6
MAX_PARAMS = 256 << 10
MAX_NAME = 255
MAX_INLINE = 512
MAX_FILTERS = 8
MAX_ROWS = 128 << 20
MAX_LEVEL = 8
MAX_DOCUMENT = 16 << 20


class ArchiveError(Exception):
    """kind: corrupt, truncated, unsupported, limit, refused or io; rule: the rule that is broken, or nothing."""

    def __init__(self, kind: str, rule: str, what: str) -> None:
        super().__init__(f"{kind}: {what}" + (f" [{rule}]" if rule else ""))
        self.kind, self.rule, self.what = kind, rule, what


def corrupt(rule: str, what: str) -> ArchiveError:
    return ArchiveError("corrupt", rule, what)


def limit(rule: str, what: str) -> ArchiveError:
    return ArchiveError("limit", rule, what)


def unsupported(rule: str, what: str) -> ArchiveError:
    return ArchiveError("unsupported", rule, what)


def refused(rule: str, what: str) -> ArchiveError:
    return ArchiveError("refused", rule, what)


def product(*numbers: int) -> int | None:
    """The product, or None if a step of it, from the left, does not fit 64 bits."""
    n = 1
    for number in numbers:
        n *= number
        if n >= 1 << 64:
            return None
    return n


@dataclass(frozen=True)
class DType:
    name: str
    size: int
    word: int
    fraction_bits: int  # 0: its words are no floating-point numbers
    numpy: str  # of an element

    @property
    def is_float(self) -> bool:
        return self.fraction_bits > 0

    @property
    def is_signed(self) -> bool:
        return self.name in ("i8", "i16", "i32", "i64")


DTYPES = [
    DType("bytes", 1, 1, 0, "u1"), DType("bool", 1, 1, 0, "b1"),
    DType("u8", 1, 1, 0, "u1"), DType("u16", 2, 2, 0, "u2"), DType("u32", 4, 4, 0, "u4"), DType("u64", 8, 8, 0, "u8"),
    DType("i8", 1, 1, 0, "i1"), DType("i16", 2, 2, 0, "i2"), DType("i32", 4, 4, 0, "i4"), DType("i64", 8, 8, 0, "i8"),
    DType("f16", 2, 2, 10, "f2"), DType("bf16", 2, 2, 7, "u2"), DType("f32", 4, 4, 23, "f4"), DType("f64", 8, 8, 52, "f8"),
    DType("c64", 8, 4, 23, "c8"), DType("c128", 16, 8, 52, "c16"),
]  # fmt: skip


def from_ordered(numbers: np.ndarray, dtype: DType) -> np.ndarray:
    """Bit patterns of numbers that stand in order."""
    top = numbers.dtype.type(1 << (8 * numbers.dtype.itemsize - 1))
    if dtype.is_float:
        return np.where(numbers & top, numbers ^ top, ~numbers)
    return numbers ^ top if dtype.is_signed else numbers


def zstd_frame_len(data: bytes) -> int | None:
    """Bytes of the zstd frame at the start of `data` (RFC 8878, 3.1.1), or None if it is cut or none."""
    if len(data) < 5 or data[:4] != b"\x28\xb5\x2f\xfd":
        return None
    single, size_flag = data[4] >> 5 & 1, data[4] >> 6
    at = 5 + (1 - single) + (0, 1, 2, 4)[data[4] & 3] + ((single, 2, 4, 8)[size_flag])
    while at + 3 <= len(data):
        header = int.from_bytes(data[at : at + 3], "little")
        at += 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
        if header & 1:
            at += 4 * (data[4] >> 2 & 1)
            return at if at <= len(data) else None
    return None


def unzstd(data: bytes, n: int, rule: str) -> bytes:
    """Exactly n bytes out of exactly one zstd frame."""
    if zstd_frame_len(data) != len(data):
        raise corrupt(rule, "not exactly one zstd frame")
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data, read_across_frames=False) as reader:
            out = reader.read(n + 1)
    except zstandard.ZstdError as error:
        raise corrupt(rule, f"zstd: {error}") from None
    if len(out) != n:
        raise corrupt(rule, f"zstd frame does not hold the {n} bytes declared")
    return out


# ---------------------------------------------------------------- layouts and words


@dataclass(frozen=True, eq=False)
class Layout:
    """What is known of codes before any of them is. `absent` has a flag for every word, in their order, `sources`
    the place of the word that it repeats, or -1."""

    width: int
    dims: tuple[int, ...]
    absent: np.ndarray | None = None
    levels: tuple[int, ...] = ()
    sources: np.ndarray | None = None

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


def unzigzag(codes: np.ndarray) -> np.ndarray:
    one = codes.dtype.type(1)
    return (codes >> one) ^ (~(codes & one) + one)


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


def words_of(x: np.ndarray, dtype: DType) -> np.ndarray:
    """The words of a type nearest to binary64 numbers; the caller silences numpy's warnings."""
    if dtype.name == "bf16":
        return double_to_bf16(x)
    return x.astype(f"<f{dtype.word}").view(f"<u{dtype.word}")
