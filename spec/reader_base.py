"""What the reader's modules share: errors, limits, element types, the one way to decompress zstd."""

from __future__ import annotations

from dataclasses import dataclass

import zstandard

MAX_RECORD = 1 << 20
MAX_BLOCK = 64 << 20
MAX_PAYLOAD = MAX_BLOCK + (1 << 20)
MAX_PAGE = 16 << 20
PAGE_TARGET = 48 << 10
MAX_PATH = 65535
MAX_DIMS = 8
MAX_TRANSFORMS = 6
MAX_PARAMS = 4096
MAX_NAME = 255
MAX_INLINE = 512
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


DTYPES = [
    DType("bytes", 1, 1, 0, "u1"), DType("bool", 1, 1, 0, "b1"),
    DType("u8", 1, 1, 0, "u1"), DType("u16", 2, 2, 0, "u2"), DType("u32", 4, 4, 0, "u4"), DType("u64", 8, 8, 0, "u8"),
    DType("i8", 1, 1, 0, "i1"), DType("i16", 2, 2, 0, "i2"), DType("i32", 4, 4, 0, "i4"), DType("i64", 8, 8, 0, "i8"),
    DType("f16", 2, 2, 10, "f2"), DType("bf16", 2, 2, 7, "u2"), DType("f32", 4, 4, 23, "f4"), DType("f64", 8, 8, 52, "f8"),
    DType("c64", 8, 4, 23, "c8"), DType("c128", 16, 8, 52, "c16"),
]  # fmt: skip


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
