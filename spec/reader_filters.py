"""What file formats do to the bytes of a chunk (filters.md)."""

import zlib
from typing import Any

import numpy as np
from reader_base import unsupported

STREAMS = ("deflate", "libdeflate", "lzw")


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
        case "lzw":
            return 259 <= f.full <= 4096
        case "bits":
            return 1 <= f.width <= 32
    return True


def are_possible(steps: list[Any]) -> bool:
    return all(map(is_possible, steps)) and sum(f.kind in STREAMS for f in steps) <= 1


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
        case "lzw":
            return lzw(f.full, f.gap, data)
        case "difference" | "float_difference":
            row = difference if f.kind == "difference" else float_difference
            return b"".join(row(f, data[at : at + f.row]) for at in range(0, len(data), f.row))
        case "bits":
            word = 1 if f.width <= 8 else 2 if f.width <= 16 else 4
            whole = len(data) // word * word
            bits = np.unpackbits(np.frombuffer(data[:whole], np.uint8).reshape(-1, word), axis=1)
            return np.packbits(bits[:, 8 * word - f.width :]).tobytes() + data[whole:]
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


def lzw(full: int, gap: int, data: bytes) -> bytes:
    bits, n_bits, width, out = 0, 0, 9, bytearray()

    def put(code: int) -> int:
        nonlocal bits, n_bits
        bits, n_bits = (bits & 0xFF) << width | code, n_bits + width
        while n_bits >= 8:
            n_bits -= 8
            out.append(bits >> n_bits & 0xFF)
        return width

    if data:
        table: dict[tuple[int, int], int] = {}
        following, taken, best, check = 258, 1, 0, gap
        made, string = put(256), data[0]
        for byte in data[1:]:
            taken += 1
            if (string, byte) in table:
                string = table[string, byte]
                continue
            made += put(string)
            table[string, byte] = following
            following, string, forget = following + 1, byte, following + 1 >= full
            if not forget and following >= 1 << width:
                width += 1
            elif not forget and gap and taken >= check:
                check = taken + gap
                ratio = (taken << 8) // made if taken < 1 << 23 else taken // (made >> 8) if made >> 8 else (1 << 31) - 1
                forget, best = ratio <= best, ratio
            if forget:
                table, following, taken, best = {}, 258, 0, 0
                made, width = put(256), 9
        put(string)
        if following + 1 >= full:
            put(256)
            width = 9
        elif following + 1 >= 1 << width:
            width += 1
    put(257)
    return bytes(out) + (bytes([bits << (8 - n_bits) & 0xFF]) if n_bits else b"")


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
