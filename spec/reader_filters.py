"""What file formats do to the bytes of a chunk (filters.md)."""

import zlib
from typing import Any

import numpy as np
from reader_base import unsupported

STREAMS = ("deflate", "libdeflate")


def is_possible(f: Any) -> bool:
    match f.kind:
        case "shuffle":
            return f.item > 0
        case "deflate":
            return f.level <= 9 and 1 <= f.mem_level <= 9
        case "difference" | "float_difference":
            return f.item in (1, 2, 4, 8) and f.samples > 0 and f.row > 0
        case "libdeflate":
            return 1 <= f.level <= 12
    return True


def apply(f: Any, data: bytes) -> bytes:
    match f.kind:
        case "shuffle":
            whole = len(data) // f.item * f.item
            return np.frombuffer(data[:whole], np.uint8).reshape(-1, f.item).T.tobytes() + data[whole:]
        case "deflate":
            stream = zlib.compressobj(f.level, zlib.DEFLATED, 15, f.mem_level, zlib.Z_DEFAULT_STRATEGY)
            return stream.compress(data) + stream.flush()
        case "libdeflate":
            return libdeflate(f.level, data)
        case "difference" | "float_difference":
            row = difference if f.kind == "difference" else float_difference
            return b"".join(row(f, data[at : at + f.row]) for at in range(0, len(data), f.row))
        case _:
            return data + fletcher32(data).to_bytes(4, "little")


def difference(f: Any, row: bytes) -> bytes:
    whole = len(row) // f.item * f.item
    items = np.frombuffer(row[:whole], f"{'>' if f.big_endian else '<'}u{f.item}")
    made = items.copy()
    made[f.samples :] -= items[: max(len(items) - f.samples, 0)]
    return made.tobytes() + row[whole:]


def float_difference(f: Any, row: bytes) -> bytes:
    whole = len(row) // f.item * f.item
    items = np.frombuffer(row[:whole], np.uint8).reshape(-1, f.item)
    planes = (items if f.big_endian else items[:, ::-1]).T.flatten()
    made = planes.copy()
    made[f.samples :] -= planes[: max(len(planes) - f.samples, 0)]
    return made.tobytes() + row[whole:]


def libdeflate(level: int, data: bytes) -> bytes:
    try:
        import deflate
    except ImportError as error:
        raise unsupported("EB-E09", "a chunk is a stream of libdeflate: install the package deflate to restore its file") from error
    return bytes(deflate.zlib_compress(data, level))


def fletcher32(data: bytes) -> int:
    def fold(total: int) -> int:
        return (total & 0xFFFF) + (total >> 16)

    words = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data) - 1, 2)]
    runs = [words[i : i + 360] for i in range(0, len(words), 360)] + ([[data[-1] << 8]] if len(data) % 2 else [])
    low = high = 0
    for run in runs:
        for word in run:
            low += word
            high += low
        low, high = fold(low), fold(high)
    return fold(high) << 16 | fold(low)
