#!/usr/bin/env python3
"""A reader of errbar archives, written from the specification (errbar-1.md and stages/) alone.

    reader.py list A            what is in the archive
    reader.py verify A          every checksum, hash and rule
    reader.py unpack A DIR      restore the tree into DIR, which must not exist or be empty
    reader.py hash A            JSON: path -> BLAKE3 of the restored content outside holes
    reader.py cat A PATH        a file's content
    reader.py get A PATH VARIABLE OUT.npy    one variable as a .npy file

Exit status: 0 sound, 1 damaged or not there, 2 usage, 3 cannot be read.

It is meant to be read beside the specification, and to be the second opinion on every archive:
clarity comes before speed. Every byte of an archive is taken to be hostile.
"""

from __future__ import annotations

import errno
import json
import math
import mmap
import os
import struct
import sys
import tempfile
import zlib
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import blake3
import numpy as np
import reader_filters as filters
import reader_lines as lines
import reader_scanlines as scanlines
import reader_streams as streams
from reader_base import (
    DTYPES, MAX_BLOCK, MAX_BOUNDS, MAX_DIMS, MAX_DOCUMENT, MAX_FILTERS, MAX_INLINE, MAX_LEVEL, MAX_NAME, MAX_PAGE, MAX_PARAMS, MAX_PATH, MAX_PAYLOAD, MAX_RECORD, MAX_ROWS,
    MAX_TRANSFORMS, PAGE_TARGET, ArchiveError, DType, corrupt, limit, product, refused, unsupported, unzstd,
)  # fmt: skip
from reader_stages import decode_words

SYNC = b"\x89EBA\r\n\x1a\n"
PREFIX_LEN = 48
TAIL_FRAME_LEN = 272
HEAD, META, BLOCK, ENTRIES, INDEX, TAIL, DOCUMENT = range(1, 8)
ANCILLARY = 1
LOSSY = 1
RECORD_VERSION = 1
PATH_MAX = 4096  # of the system, not of the format

Data = bytes | mmap.mmap


def blake(data: bytes) -> bytes:
    return blake3.blake3(data).digest()


def show(path: bytes) -> str:
    """A path for people: nothing in it can act on a terminal."""
    text = path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def quote(path: bytes) -> str:
    """A path in a message, which must not be longer than a line."""
    return repr(show(path if len(path) <= 256 else path[:256] + b"..."))


def ceil_div(n: int, d: int) -> int:
    return -(-n // d)


# ---------------------------------------------------------------- frames


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose checksums are right. Its payload stays where it is."""

    offset: int
    kind: int
    flags: int
    tag: int
    seq: int
    payload_at: int
    payload_len: int
    end: int
    record: bytes

    @property
    def len(self) -> int:
        return self.end - self.offset

    def payload(self, data: Data) -> bytes:
        return data[self.payload_at : self.payload_at + self.payload_len]


def read_prefix(data: Data, at: int) -> tuple[int, ...]:
    """kind, flags, record_len, tag, seq, payload_len, payload_crc."""
    raw = data[at : at + PREFIX_LEN]
    if len(raw) < PREFIX_LEN:
        raise ArchiveError("truncated", "EB-F01", "file ends inside a frame's prefix")
    if raw[:8] != SYNC:
        raise corrupt("EB-F01", f"no frame begins at byte {at}")
    *prefix, crc = struct.unpack("<HHIQQQII", raw[8:])
    if zlib.crc32(raw[:44]) != crc:
        raise corrupt("EB-F02", "frame prefix does not match its checksum")
    kind, flags, record_len, _, _, payload_len, _ = prefix
    if record_len > MAX_RECORD or payload_len > MAX_PAYLOAD:
        raise limit("EB-F03", f"frame declares a record of {record_len} and a payload of {payload_len} bytes")
    if flags & ~ANCILLARY:
        raise unsupported("EB-F04", f"frame has unknown flags {flags:#x}")
    if kind in (HEAD, META, TAIL) and payload_len:
        raise corrupt("EB-F08", "a frame of this kind has no payload")
    return tuple(prefix)


def head_len(record_len: int) -> int:
    """Bytes of a frame before its payload."""
    return PREFIX_LEN + record_len + 4


def frame_len(record_len: int, payload_len: int) -> int:
    return ceil_div(head_len(record_len) + payload_len, 8) * 8


def read_frame(data: Data, at: int) -> Frame:
    """The whole frame at `at`: three checksums, the padding."""
    kind, flags, record_len, tag, seq, payload_len, payload_crc = read_prefix(data, at)
    payload_at, end = at + head_len(record_len), at + frame_len(record_len, payload_len)
    if end > len(data):
        raise ArchiveError("truncated", "EB-F01", "file ends inside a frame")
    head = data[at + PREFIX_LEN : payload_at]
    record, record_crc = head[:record_len], head[record_len:]
    if zlib.crc32(record) != int.from_bytes(record_crc, "little"):
        raise corrupt("EB-F05", "record does not match its checksum")
    body = memoryview(data[payload_at:end])
    if zlib.crc32(body[:payload_len]) != payload_crc:
        raise corrupt("EB-F07", "payload does not match its checksum")
    if any(body[payload_len:]):
        raise corrupt("EB-F06", "padding is not zero")
    return Frame(at, kind, flags, tag, seq, payload_at, payload_len, end, record)


# ---------------------------------------------------------------- encoding of records


class Cursor:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.room = MAX_PAGE  # of a record, each integer counted at its full width

    def take(self, n: int, width: int | None = None) -> bytes:
        """The next n bytes, which count as `width`."""
        if n > len(self.data) - self.at:
            raise corrupt("EB-R01", "record ends too early")
        self.room -= n if width is None else width
        if self.room < 0:
            raise limit("EB-R02", "record needs more than 16 MiB")
        self.at += n
        return self.data[self.at - n : self.at]


Kind = Callable[[Cursor], Any]  # reads one value, only from its canonical form


def number(code: str) -> Kind:
    unpack, size = struct.Struct("<" + code).unpack, struct.calcsize("<" + code)
    return lambda c: unpack(c.take(size))[0]


def integer(width: int) -> Kind:
    """One byte up to 250; else 251, 252 or 253, and as few of 2, 4 or 8 bytes as will do."""

    def read(c: Cursor) -> int:
        first = c.take(1, width)[0]
        if first <= 250:
            return first
        n = {251: 2, 252: 4, 253: 8}.get(first, 16)
        if n > width:
            raise corrupt("EB-R01", f"integer of {n} bytes where {width} are the most")
        value = int.from_bytes(c.take(n, 0), "little")
        if value <= 250 or (n > 2 and value < 1 << 4 * n):
            raise corrupt("EB-R01", f"{value} has a shorter spelling")
        return value

    return read


u8, fixed_u64, f64 = (number(code) for code in "BQd")
u16, u32, u64 = integer(2), integer(4), integer(8)


def i64(c: Cursor) -> int:
    z = u64(c)
    return z >> 1 ^ -(z & 1)


def hash32(c: Cursor) -> bytes:
    return c.take(32)


def blob(c: Cursor) -> bytes:
    return c.take(u64(c))


def text(c: Cursor) -> str:
    try:
        return blob(c).decode("utf-8")
    except UnicodeDecodeError:
        raise corrupt("EB-R01", "text is not UTF-8") from None


def flag(c: Cursor) -> bool:
    value = u8(c)
    if value > 1:
        raise corrupt("EB-R01", f"flag is {value}")
    return value == 1


def version(c: Cursor) -> int:
    value = u16(c)
    if value != RECORD_VERSION:
        raise unsupported("EB-R03", f"needs a reader for record version {value}")
    return value


def dtype(c: Cursor) -> DType:
    code = u8(c)
    if code >= len(DTYPES):
        raise corrupt("EB-R01", f"unknown dtype code {code}")
    return DTYPES[code]


def option(kind: Kind) -> Kind:
    return lambda c: kind(c) if flag(c) else None


def many(kind: Kind) -> Kind:
    def read(c: Cursor) -> list[Any]:
        n = u64(c)
        if n > len(c.data) - c.at:  # every item takes a byte at least
            raise corrupt("EB-R01", f"list declares {n} items")
        return [kind(c) for _ in range(n)]

    return read


def record(**fields: Kind) -> Kind:
    """Fields one behind another; gives a named tuple."""
    made, kinds = namedtuple("Record", fields), list(fields.values())  # type: ignore[misc]
    return lambda c: made(*[kind(c) for kind in kinds])


def one_of(**variants: dict[str, Kind]) -> Kind:
    """A number, then the fields of that variant; gives a named tuple whose `kind` is the variant's name."""
    readers = [record(kind=lambda _, name=name: name, **fields) for name, fields in variants.items()]  # type: ignore[misc]

    def read(c: Cursor) -> Any:
        value = u32(c)
        if value >= len(readers):
            raise corrupt("EB-R01", f"unknown variant {value}")
        return readers[value](c)

    return read


def parse(kind: Kind, data: bytes) -> Any:
    """The one value that `data` is."""
    c = Cursor(data)
    value = kind(c)
    if c.at != len(data):
        raise corrupt("EB-R01", f"{len(data) - c.at} bytes follow the record")
    return value


# ---------------------------------------------------------------- the records

EXTENSIONS = many(record(tag=text, data=blob))
EDITION = record(major=u8, minor=u8)
PAGE_REF = record(offset=fixed_u64, frame_len=fixed_u64, hash=hash32)
HEAD_RECORD = record(
    version=version, format=EDITION, required_features=u64, optional_features=u64, archive_id=hash32, extensions=EXTENSIONS
)
META_RECORD = record(
    version=version, writer=text, mode=text, policy=text, items=many(record(key=text, value=text)), extensions=EXTENSIONS
)
DOCUMENT_RECORD = record(version=version, name=text, decoded_len=u64, extensions=EXTENSIONS)
PAGE_RECORD = record(
    version=version,
    content=one_of(entries={}, blocks={}, pages={"level": u8}),
    count=u64,
    decoded_len=u64,
    extensions=EXTENSIONS,
)
TAIL_RECORD = record(
    version=version, format=EDITION, required_features=fixed_u64, optional_features=fixed_u64, archive_id=hash32,
    n_entries=fixed_u64, n_blocks=fixed_u64, index_offset=fixed_u64, entries=PAGE_REF, blocks=PAGE_REF, meta=PAGE_REF,
)  # fmt: skip
STAGE = record(name=text, version=u16, params=blob)
VALUE = {"value": f64}
BOUND = one_of(
    abs=VALUE, rel=VALUE, pw_rel=VALUE, digits={"value": u8}, psnr=VALUE, rmse=VALUE, sqnr=VALUE, ratio=VALUE,
    where={"low": f64, "high": f64, "value": f64},
)  # fmt: skip
RECEIPT = record(
    bounds=many(BOUND),
    limit=one_of(abs={"absolute": f64}, relative={"relative": f64}, both={"absolute": f64, "relative": f64}),
    max_error=f64, max_error_at=u64, rms_error=f64, finite=u64, non_finite=u64, exact=u64,
)  # fmt: skip
BLOCK_RECORD = record(
    version=version,
    number=u64,
    place=one_of(shared={}, run={"path": blob, "offset": u64}, box={"path": blob, "variable": text, "origin": many(u64)}),
    dtype=dtype,
    big_endian=flag,
    shape=many(u64),
    quantizer=STAGE,
    transforms=many(STAGE),
    coder=STAGE,
    exact_len=u64,
    receipt=option(RECEIPT),
    decoded_hash=hash32,
    extensions=EXTENSIONS,
)
MISSING = {"missing": blob}
CELL = record(
    before=blob,
    between=blob,
    print=one_of(
        integer={}, fixed={"digits": u8, **MISSING}, shortest={"point": flag, **MISSING},
        scientific={"digits": u8, "upper": flag, **MISSING}, text={"list": many(blob)},
    ),
    pad=one_of(none={}, before={"width": u16}, behind={"width": u16}, zeros={"width": u16}),
)  # fmt: skip
RASTER = {"item": u8, "big_endian": flag, "samples": u16, "row": u32}
FILTER = one_of(
    shuffle={"item": u32}, deflate={"level": u8, "mem_level": u8}, fletcher32={}, difference=RASTER, float_difference=RASTER,
    libdeflate={"level": u8}, lzw={"full": u16, "gap": u16}, bits={"width": u8},
)  # fmt: skip
MAKER = one_of(
    deflate={"level": u8, "mem_level": u8, "window_bits": u8, "strategy": u8},
    filters={"piece": u64, "filters": many(FILTER), "base64": flag},
)
SEGMENT = one_of(
    inline={"data": blob},
    hole={"length": u64},
    part={"block": u64, "offset": u64, "length": u64},
    run={"block": u64, "block_len": u64, "length": u64},
    variable={"index": u32},
    records={"first": u32, "count": u32},
    chunk={"variable": u32, "index": u64, "length": u64, "skipped": u32},
    stream={"segments": u32, "maker": MAKER, "length": u64, "crc": u32, "pieces": many(record(length=u64, behind=blob))},
    lines={"first": u32, "length": u64, "cells": many(CELL), "end": blob},
    scanlines={"first": u32},
)
HOLD_WHOLE = ("variable", "records", "lines", "scanlines")  # segments that hold all of their variables
CHUNKS = record(shape=many(u64), filters=many(FILTER), padding=blob)
VARIABLE = record(
    name=text, dtype=dtype, big_endian=flag, column_major=flag, shape=many(u64), block_shape=many(u64), first_block=u64,
    block_step=u64, inline=blob, part=option(record(block=u64, offset=u64)), chunks=option(CHUNKS), receipt=option(RECEIPT),
)  # fmt: skip
HASHES = record(original=hash32, restored=hash32)
FILE = {"size": u64, "segments": many(SEGMENT), "variables": many(VARIABLE), "hashes": option(HASHES), "same_as": option(blob)}
ATTRIBUTES = record(
    mode=u32, mtime_s=i64, mtime_ns=u32, uid=u32, gid=u32, user=text, group=text, xattrs=many(record(name=blob, value=blob))
)
CHOICES = many(record(variable=u32, block=u64, over=text, saved=f64))
ENTRY = record(
    path=blob,
    body=one_of(file=FILE, directory={}, symlink={"target": blob}, hardlink={"target": blob}),
    attributes=option(ATTRIBUTES),
    extensions=EXTENSIONS,
)
BLOCK_REF = record(offset=u64, frame_len=u64, decoded_len=u64, decoded_hash=hash32)
CHILD_PAGE = record(key=blob, page=PAGE_REF)


def tag_of(identity: Any) -> int:
    return int.from_bytes(identity.archive_id[:8], "little")


def read_identity(frame: Frame) -> Any:
    """A HEAD or TAIL whose features this reader has."""
    found = parse(HEAD_RECORD if frame.kind == HEAD else TAIL_RECORD, frame.record)
    if unknown := found.required_features & ~LOSSY:
        raise unsupported("EB-H01", f"needs features {unknown:#x}")
    if tag_of(found) != frame.tag:
        raise corrupt("EB-A01", "frame contradicts its own archive id")
    return found


def check_path(path: bytes) -> None:
    if len(path) > MAX_PATH:
        raise refused("EB-P01", "path is longer than 65535 bytes")
    if b"\0" in path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise refused("EB-P01", f"path {quote(path)} is absolute or has an impossible component")


def path_key(path: bytes) -> list[bytes]:
    return path.split(b"/")


def check_shape(shape: list[int], dtype: DType) -> int:
    """Gives the bytes of that many elements."""
    if len(shape) > MAX_DIMS:
        raise limit("EB-B02", f"{len(shape)} dimensions; at most {MAX_DIMS}")
    n = product(*shape, dtype.size)
    if n is None:
        raise limit("EB-B02", "shape overflows 64 bits")
    return n


def check_receipt(r: Any, words: int) -> None:
    sound = r.finite + r.non_finite == words and r.exact <= words and r.max_error_at < max(words, 1)
    limits = [getattr(r.limit, name) for name in ("absolute", "relative") if hasattr(r.limit, name)]
    sound = sound and all(limit >= 0 for limit in limits) and r.max_error >= 0 and r.rms_error >= 0  # false for NaN
    if r.limit.kind != "relative":
        sound = sound and r.max_error <= r.limit.absolute
    if not (sound and 1 <= len(r.bounds) <= MAX_BOUNDS):
        raise corrupt("EB-B06", "receipt contradicts itself or the number of words")


def decoded_len(block: Any) -> int:
    return math.prod(block.shape) * block.dtype.size


def read_block(frame: Frame) -> Any:
    block = parse(BLOCK_RECORD, frame.record)
    n = check_shape(block.shape, block.dtype)
    if n > MAX_BLOCK:
        raise limit("EB-B01", f"block declares {n} decoded bytes")
    if len(block.transforms) > MAX_TRANSFORMS:
        raise limit("EB-B03", f"{len(block.transforms)} transforms")
    if any(len(s.params) > MAX_PARAMS or len(s.name.encode()) > MAX_NAME for s in (block.quantizer, *block.transforms, block.coder)):
        raise limit("EB-B03", "stage name or parameters are too long")
    if block.place.kind != "shared":
        check_path(block.place.path)
    if block.place.kind == "box" and len(block.place.origin) != len(block.shape):
        raise corrupt("EB-B02", "origin and shape differ in dimensions")
    if block.receipt:
        check_receipt(block.receipt, n // block.dtype.word)
    return block


def grid(v: Any) -> list[int]:
    """Blocks along each dimension of a variable."""
    return boxes(v.shape, v.block_shape)


def boxes(shape: list[int], of: list[int]) -> list[int]:
    return [ceil_div(n, b) for n, b in zip(shape, of)]


def nth_box(shape: list[int], of: list[int], k: int) -> tuple[list[int], list[int]]:
    """Origin and extent of the k-th box of extent `of`: C order of their grid, cut at the far faces."""
    origin = [0] * len(shape)
    for axis, n in reversed(list(enumerate(boxes(shape, of)))):
        k, i = divmod(k, n)
        origin[axis] = i * of[axis]
    return origin, [min(b, n - o) for b, n, o in zip(of, shape, origin)]


def block_box(v: Any, k: int) -> tuple[list[int], list[int]]:
    return nth_box(v.shape, v.block_shape, k)


def is_in_blocks(v: Any) -> bool:
    """Whether it has blocks of its own."""
    return not v.inline and not v.part


def n_blocks(v: Any) -> int:
    return math.prod(grid(v)) if is_in_blocks(v) else 0


def block_number(v: Any, k: int) -> int:
    return v.first_block + k * v.block_step


def block_of(v: Any, origin: list[int]) -> int:
    """Position of the block that the element at `origin` is in."""
    k = 0
    for n, at, b in zip(grid(v), origin, v.block_shape):
        k = k * n + at // b
    return k


def check_variable(v: Any) -> None:
    n = check_shape(v.shape, v.dtype)
    if len(v.name.encode()) > MAX_NAME:
        raise limit("EB-V01", "variable name is too long")
    if len(v.block_shape) != len(v.shape) or 0 in v.block_shape:
        raise corrupt("EB-V01", "block shape does not fit shape")
    if check_shape(v.block_shape, v.dtype) > MAX_BLOCK:
        raise limit("EB-B01", "block shape is too large")
    blocks = product(*grid(v)) if is_in_blocks(v) else 0
    if blocks is None or blocks * v.block_step >= 1 << 64 or v.first_block + blocks * v.block_step >= 1 << 64 or v.block_step == 0:
        raise limit("EB-V01", "block numbers overflow 64 bits, or do not rise")
    inline = not v.inline or (len(v.inline) == n and n <= MAX_INLINE)
    part = not v.part or (not v.inline and v.part.offset + n <= MAX_BLOCK)
    if not (inline and part) or (v.receipt and not is_in_blocks(v)):
        raise corrupt("EB-V05", "elements that stand in no block of their own are not those of the shape, too many, or have a receipt")
    if v.chunks:
        check_chunks(v)
    if v.receipt:
        check_receipt(v.receipt, n // v.dtype.word)


def check_chunks(v: Any) -> None:
    chunk, steps = v.chunks.shape, v.chunks.filters
    if check_shape(chunk, v.dtype) > MAX_BLOCK or len(steps) > MAX_FILTERS:
        raise limit("EB-V04", "chunks are too large, or have too many filters")
    whole = len(chunk) == len(v.shape) and all(c > 0 and (b % c == 0 or b >= n) for c, b, n in zip(chunk, v.block_shape, v.shape))
    if not whole or len(v.chunks.padding) not in (0, v.dtype.size) or product(*boxes(v.shape, chunk)) is None:
        raise corrupt("EB-V04", "chunks do not fit the blocks")
    if not filters.are_possible(steps):
        raise corrupt("EB-V04", "filter has impossible parameters, or a stream is put into another")


def segment_len(file: Any, s: Any) -> int:
    if s.kind == "inline":
        return len(s.data)
    if s.kind == "stream":
        return s.length + sum(len(piece.behind) for piece in s.pieces)
    if s.kind in ("variable", "records", "scanlines"):
        return sum(math.prod(v.shape) * v.dtype.size for v in variables_of(file, s))
    return s.length


def variables_of(file: Any, s: Any) -> list[Any]:
    """The variables that a segment holds whole."""
    first, count = {
        "variable": lambda: (s.index, 1), "records": lambda: (s.first, s.count), "lines": lambda: (s.first, len(s.cells)),
        "scanlines": lambda: (s.first, 2),
    }[s.kind]()  # fmt: skip
    if first + count > len(file.variables):
        raise corrupt("EB-E04" if s.kind == "variable" else "EB-E08", "there are no such variables")
    return file.variables[first : first + count]


def used_bytes(file: Any, s: Any) -> int:
    """Decoded bytes of blocks that a segment is made of."""
    if s.kind in ("part", "run"):
        return s.length
    if s.kind in HOLD_WHOLE:
        return sum(math.prod(v.shape) * v.dtype.size for v in variables_of(file, s) if not v.inline)
    if s.kind == "chunk" and not (v := file.variables[s.variable]).inline:
        return math.prod(nth_box(v.shape, v.chunks.shape, s.index)[1]) * v.dtype.size
    return 0


class OpenStream:
    """A stream whose plain content is being gone through."""

    def __init__(self, s: Any) -> None:
        self.segments, self.length, self.plain = s.segments, s.length, 0
        self.compresses = streams.compresses(s.maker)
        if not (s.segments and streams.is_possible(s.maker, MAX_BLOCK, MAX_FILTERS)):
            raise corrupt("EB-E11", "stream has no content, or is made in no way that there is")
        if sum(piece.length for piece in s.pieces) > s.length or any(len(piece.behind) > MAX_INLINE for piece in s.pieces):
            raise limit("EB-E03", "pieces are longer than their stream, or too far apart")

    def take(self, file: Any, s: Any) -> bool:
        """The next segment of its content; gives whether it is the last."""
        if s.kind in ("hole", "chunk", "stream"):
            raise corrupt("EB-E11", f"{s.kind} in a stream")
        if self.compresses and s.kind in HOLD_WHOLE and any(v.receipt for v in variables_of(file, s)):
            raise corrupt("EB-E11", "variable in a compressed stream may have lost something")
        self.segments -= 1
        self.plain += segment_len(file, s)
        if self.plain >= 1 << 64:
            raise limit("EB-E03", "segments overflow 64 bits")
        if not self.segments and self.length > 2 * self.plain + MAX_INLINE:
            raise limit("EB-E03", f"stream of {self.length} bytes is made of {self.plain}")
        return not self.segments


def check_file(file: Any) -> None:
    for v in file.variables:
        check_variable(v)
    size, whole, chunks = 0, [], set()
    open_stream: OpenStream | None = None
    for s in file.segments:
        if s.kind == "inline" and len(s.data) > MAX_INLINE:
            raise limit("EB-E03", "inline segment is too long")
        if s.kind == "part" and s.offset + s.length > MAX_BLOCK:
            raise limit("EB-E03", "segment reaches past the largest block")
        if s.kind == "run" and not (0 < s.block_len <= MAX_BLOCK and s.block + ceil_div(s.length, s.block_len) < 1 << 64):
            raise limit("EB-E03", "run of blocks is impossible")
        if s.kind in HOLD_WHOLE:
            held = variables_of(file, s)
            whole += held
            if s.kind != "variable":
                if any(v.chunks for v in held):
                    raise corrupt("EB-E04", "variables and segments do not match")
                check_records(held)
            if s.kind == "lines" and not (
                1 <= len(s.end) <= MAX_INLINE and all(lines.is_possible(c, v.dtype, MAX_INLINE) for c, v in zip(s.cells, held))
            ):
                raise corrupt("EB-E12", "elements cannot be printed as the lines say")
            if s.kind == "scanlines" and not scanlines.is_possible(held):
                raise corrupt("EB-E14", "scanlines are no filter types and pixels")
        if s.kind == "chunk":
            v = file.variables[s.variable] if s.variable < len(file.variables) else None
            if not (v and v.chunks):
                raise corrupt("EB-E04", "variables and segments do not match")
            if s.length > 2 * math.prod(v.chunks.shape) * v.dtype.size + MAX_INLINE:
                raise limit("EB-E03", "chunk is longer than its filters can make it")
            if s.index >= math.prod(boxes(v.shape, v.chunks.shape)) or (s.variable, s.index) in chunks:
                raise corrupt("EB-E04", "variables and segments do not match")
            chunks.add((s.variable, s.index))
        if open_stream:
            if open_stream.take(file, s):
                open_stream = None
            continue
        if s.kind == "stream":
            open_stream = OpenStream(s)
        size += segment_len(file, s)
        if size >= 1 << 64:
            raise limit("EB-E03", "segments overflow 64 bits")
    if open_stream:
        raise corrupt("EB-E11", "stream's content is not there")
    if sorted(map(id, whole)) != sorted(id(v) for v in file.variables if not v.chunks):
        raise corrupt("EB-E04", "variables and segments do not match")
    if size != file.size or size >= 1 << 63:
        raise corrupt("EB-E05", f"segments hold {size} bytes, the file {file.size}")
    if not file.hashes and [s.kind for s in file.segments] != ["part"]:
        raise corrupt("EB-E07", "file has no hash, and no one block proves its content")


def check_records(fields: list[Any]) -> None:
    counts = {(v.shape[0], v.block_shape[0]) if v.shape else None for v in fields}
    if len(counts) != 1 or None in counts or any(b < n for v in fields for n, b in zip(v.shape[1:], v.block_shape[1:])):
        raise corrupt("EB-E08", "fields of records differ in their number of records, or their blocks cut records")
    if sum(math.prod(map(min, v.shape, v.block_shape)) * v.dtype.size for v in fields) > MAX_ROWS:
        raise limit("EB-E08", "blocks of the same records are too large")


def used_blocks(file: Any) -> Iterator[range]:
    """The numbers of the blocks that a file's content is made of."""
    for s in file.segments:
        if s.kind == "part":
            yield range(s.block, s.block + 1)
        elif s.kind == "run":
            yield range(s.block, s.block + ceil_div(s.length, s.block_len))
        elif s.kind in (*HOLD_WHOLE, "chunk"):
            for v in [file.variables[s.variable]] if s.kind == "chunk" else variables_of(file, s):
                if v.part:
                    yield range(v.part.block, v.part.block + 1)
                elif s.kind != "chunk":
                    yield range(v.first_block, block_number(v, n_blocks(v)), v.block_step)
                elif not v.inline:
                    k = block_of(v, nth_box(v.shape, v.chunks.shape, s.index)[0])
                    yield range(block_number(v, k), block_number(v, k) + 1)


def check_entry(entry: Any) -> None:
    check_path(entry.path)
    body, a = entry.body, entry.attributes
    if a and (a.mode & ~0o7777 or a.mtime_ns > 999_999_999):
        raise corrupt("EB-E01", "mode or nanoseconds are out of range")
    if a and any(not 0 < len(x.name) <= MAX_NAME or b"\0" in x.name for x in a.xattrs):
        raise corrupt("EB-E01", "extended attribute has an impossible name")
    if body.kind == "symlink" and (not 0 < len(body.target) <= 4095 or b"\0" in body.target):
        raise corrupt("EB-E02", "symbolic link's target is empty, too long or contains NUL")
    if body.kind == "hardlink":
        check_path(body.target)
    if body.kind == "file":
        if body.same_as is not None:
            check_path(body.same_as)
        check_file(body)


def path_in_places(entry: Any) -> bytes:
    """The path that the blocks of a file have in their places."""
    return entry.path if entry.body.same_as is None else entry.body.same_as


def check_order(entries: list[Any]) -> None:
    for a, b in pairwise(entries):
        if path_key(a.path) >= path_key(b.path):
            raise refused("EB-T01", f"{quote(b.path)} stands twice or out of order")


@dataclass(frozen=True)
class Page:
    content: str  # entries, blocks or pages
    level: int
    items: list[Any]


def parse_page(record: bytes, payload: bytes) -> Page:
    page = parse(PAGE_RECORD, record)
    content, level = page.content.kind, page.content.level if page.content.kind == "pages" else 0
    if page.decoded_len > MAX_PAGE or page.count > page.decoded_len:
        raise limit("EB-I01", f"page declares {page.count} items in {page.decoded_len} bytes")
    if content == "blocks" and page.count > 2 * PAGE_TARGET:
        raise limit("EB-I01", f"page lists {page.count} blocks")
    if content == "pages" and not 1 <= level <= MAX_LEVEL:
        raise limit("EB-I01", "index is too deep")
    item = {"entries": ENTRY, "blocks": BLOCK_REF, "pages": CHILD_PAGE}[content]
    plain = unzstd(payload, page.decoded_len, "EB-I02")

    def one(c: Cursor) -> Any:
        c.room = MAX_PAGE
        return item(c)

    items = parse(lambda c: [one(c) for _ in range(page.count)], plain)
    if content == "entries":
        for entry in items:
            check_entry(entry)
        check_order(items)
    return Page(content, level, items)


@cache  # the index repeats the pages of entries
def page_or_error(record: bytes, payload: bytes) -> Page | ArchiveError:
    try:
        return parse_page(record, payload)
    except ArchiveError as error:
        return error


def read_page(frame: Frame, data: Data) -> Page:
    page = page_or_error(frame.record, frame.payload(data))
    if isinstance(page, ArchiveError):
        raise page
    if frame.kind == ENTRIES and page.content != "entries":
        raise corrupt("EB-I03", "ENTRIES frame lists no entries")
    return page


def read_document(frame: Frame, data: Data) -> tuple[str, bytes]:
    document = parse(DOCUMENT_RECORD, frame.record)
    if document.decoded_len > MAX_DOCUMENT or not 0 < len(document.name.encode()) <= MAX_NAME:
        raise limit("EB-D01", f"document declares {document.decoded_len} bytes")
    return document.name, unzstd(frame.payload(data), document.decoded_len, "EB-D01")


# ---------------------------------------------------------------- archive


def decode_block(block: Any, payload: bytes) -> bytes:
    """The decoded bytes, in the byte order of the entry, proven by their hash."""
    words = decode_words(block, payload).astype(f"<u{block.dtype.word}", copy=False)
    decoded = (words.byteswap() if block.big_endian else words).tobytes()
    if blake(decoded) != block.decoded_hash:
        raise corrupt("EB-B04", f"block {block.number} does not decode to the bytes of its hash")
    return decoded


@dataclass
class Archive:
    data: Data
    tag: int
    features: int | None  # None: neither HEAD nor TAIL could be read
    entries: list[Any]
    blocks: dict[int, Any]  # number -> its BLOCK_REF
    problems: list[ArchiveError] = field(default_factory=list)  # what is known to be damaged or lost
    scanned: bool = False
    last: tuple[int, bytes] = (-1, b"")

    def file(self, path: bytes) -> Any:
        """The entry of a file, by one of its names."""
        for entry in self.entries:
            if entry.path == path and entry.body.kind == "file":
                return entry
            if entry.path == path and entry.body.kind == "hardlink" and entry.body.target != path:
                return self.file(entry.body.target)
        raise LookupError(f"no file {quote(path)}")

    def block(self, number: int, proof: bytes | None = None) -> tuple[Any, Frame]:
        """A block whose decoded bytes have the hash `proof`, or the one that the index gives it."""
        ref = self.blocks.get(number)
        proof = proof or (ref and ref.decoded_hash)
        try:
            if ref is None:
                raise corrupt("EB-A03", f"block {number} is not in the archive")
            frame = read_frame(self.data, ref.offset)
            if frame.kind != BLOCK or frame.tag != self.tag:
                raise corrupt("EB-A03", f"the index names no block at byte {ref.offset}")
            block = read_block(frame)
            if (block.number, frame.len, decoded_len(block)) != (number, ref.frame_len, ref.decoded_len):
                raise corrupt("EB-A03", f"block {number} is not what the index says")
            if block.decoded_hash != proof:
                raise corrupt("EB-A03", f"block {number} has not the hash that the index says")
        except ArchiveError as error:
            if self.scanned or error.kind == "unsupported":
                raise
            self.blocks, self.scanned = find_blocks(scan(self.data), []), True  # frames win over the index
            return self.block(number, proof)  # but not over what proves them
        if self.features is not None and not self.features & LOSSY and block.receipt:
            raise corrupt("EB-H02", f"block {number} is lossy in an archive that says it has no loss")
        return block, frame

    def decode(self, block: Any, frame: Frame) -> bytes:
        if self.last[0] != block.number:
            self.last = block.number, decode_block(block, frame.payload(self.data))
        return self.last[1]

    def content(self, entry: Any) -> Iterator[bytes | int]:
        """A file's content piece by piece: bytes, or the length of a hole."""
        at, file = 0, entry.body  # streams count as their content
        stream: streams.Stream | None = None
        inside = 0  # segments of its content still to come
        for s in file.segments:
            if s.kind == "stream":
                stream, inside = streams.Stream(s), s.segments
                continue
            for piece in self.segment(entry, s, at):
                if stream and isinstance(piece, bytes):
                    yield from stream.write(piece)
                else:
                    yield piece
            at += segment_len(file, s)
            if stream:
                inside -= 1
                if not inside:
                    yield stream.end()
                    stream = None
        for v in file.variables:
            if v.chunks and n_blocks(v):  # not every block has a chunk that is stored
                check_receipts(v, [self.block(block_number(v, k))[0].receipt for k in range(n_blocks(v))])

    def segment(self, entry: Any, s: Any, at: int) -> Iterator[bytes | int]:
        """The pieces of a segment that begins at `at`."""
        file = entry.body
        match s.kind:
            case "inline":
                yield s.data
            case "hole":
                yield s.length
            case "part":
                yield self.shared_part(s.block, s.offset, s.length)
            case "run":
                for k in range(ceil_div(s.length, s.block_len)):
                    block, frame = self.block(s.block + k)
                    start = k * s.block_len
                    if block.place[:3] != ("run", path_in_places(entry), at + start) or decoded_len(block) != min(s.block_len, s.length - start):
                        raise corrupt("EB-B05", f"block {s.block + k} is not the run of bytes that its entry names")
                    yield self.decode(block, frame)
            case "variable":
                yield from self.rows(entry, file.variables[s.index])
            case "records":
                for columns in self.records(entry, variables_of(file, s)):
                    yield np.concatenate(columns, axis=1).tobytes()
            case "lines":
                left = s.length
                for columns in self.records(entry, fields := variables_of(file, s)):
                    printed = lines.print_rows(s, fields, columns)
                    left -= len(printed)
                    yield printed
                if left:
                    raise corrupt("EB-E13", f"lines have {s.length - left} bytes in place of {s.length}")
            case "scanlines":
                rows = scanlines.Scanlines((fields := variables_of(file, s))[1])
                for types, pixels in self.records(entry, fields):
                    yield rows.lines(types, pixels)
            case "chunk":
                made = self.chunk(entry, file.variables[s.variable], s)
                if len(made) != s.length:
                    raise corrupt("EB-E09", f"filters make {len(made)} bytes of a chunk of {s.length}")
                yield made

    def shared_part(self, number: int, offset: int, length: int) -> bytes:
        block, frame = self.block(number)
        if block.place.kind != "shared" or offset + length > decoded_len(block):
            raise corrupt("EB-B05", f"block {number} has no such part")
        return self.decode(block, frame)[offset : offset + length]

    def elements(self, v: Any) -> bytes:
        """All elements of a variable that has no blocks of its own."""
        if v.part:
            return self.shared_part(v.part.block, v.part.offset, math.prod(v.shape) * v.dtype.size)
        return v.inline

    def box(self, entry: Any, v: Any, k: int) -> tuple[Any, bytes]:
        """The k-th block of a variable."""
        block, frame = self.block(block_number(v, k))
        origin, extent = block_box(v, k)
        if (*block.place, block.shape, block.dtype, block.big_endian) != (
            "box", path_in_places(entry), v.name, origin, extent, v.dtype, v.big_endian,
        ):  # fmt: skip
            raise corrupt("EB-B05", f"block {block.number} is not the box that its entry names")
        return block, self.decode(block, frame)

    def records(self, entry: Any, fields: list[Any]) -> Iterator[list[np.ndarray]]:
        """The bytes of the records of each field, [records, bytes], one row of blocks at a time."""
        receipts: list[list[Any]] = [[] for _ in fields]
        for k in range(grid(fields[0])[0]):
            (start, *_), (n, *_) = block_box(fields[0], k)
            columns = []
            for v, found in zip(fields, receipts):
                width = math.prod(v.shape[1:]) * v.dtype.size
                if not is_in_blocks(v):
                    column = self.elements(v)[start * width : (start + n) * width]
                else:
                    block, column = self.box(entry, v, k)
                    found.append(block.receipt)
                columns.append(np.frombuffer(column, np.uint8).reshape(n, width))
            yield columns
        for v, found in zip(fields, receipts):
            if found:
                check_receipts(v, found)

    def chunk(self, entry: Any, v: Any, s: Any) -> bytes:
        """A chunk of a variable as its file stores it."""
        origin, extent = nth_box(v.shape, v.chunks.shape, s.index)
        item = f"V{v.dtype.size}"
        if not is_in_blocks(v):
            at, held = [0] * len(origin), np.frombuffer(self.elements(v), item).reshape(v.shape)
        else:
            k = block_of(v, origin)
            at, shape = block_box(v, k)
            held = np.frombuffer(self.box(entry, v, k)[1], item).reshape(shape)
        shape = v.chunks.shape if v.chunks.padding else extent
        whole = np.frombuffer((v.chunks.padding or bytes(v.dtype.size)) * math.prod(shape), item).reshape(shape).copy()
        whole[tuple(map(slice, extent))] = held[tuple(slice(o - a, o - a + e) for o, a, e in zip(origin, at, extent))]
        made = whole.tobytes()
        for i, f in enumerate(v.chunks.filters):
            if not s.skipped >> i & 1:
                made = filters.apply(f, made)
        return made

    def rows(self, entry: Any, v: Any) -> Iterator[bytes]:
        """A variable's bytes in storage order, one row of blocks at a time."""
        if not is_in_blocks(v):
            yield self.elements(v)
        axis = next((a for a, (n, b) in enumerate(zip(v.shape, v.block_shape)) if min(n, b) > 1), max(len(v.shape) - 1, 0))
        per_row = math.prod(grid(v)[axis + 1 :])
        receipts = []
        for first in range(0, n_blocks(v), max(per_row, 1)):
            row_at, extent = block_box(v, first)
            shape = [*extent[: axis + 1], *v.shape[axis + 1 :]]
            if per_row > 1 and not v.chunks and math.prod(shape) * v.dtype.size > MAX_ROWS:
                raise limit("EB-V03", "a row of blocks is too large")
            row = np.empty(shape, f"V{v.dtype.size}") if per_row > 1 else None
            for k in range(first, first + per_row):
                block, decoded = self.box(entry, v, k)
                origin, extent = block_box(v, k)
                receipts.append(block.receipt)
                if row is None:
                    yield decoded
                else:
                    where = tuple(slice(o - at, o - at + e) for o, at, e in zip(origin, [*row_at[: axis + 1], *[0] * 8], extent))
                    row[where] = np.frombuffer(decoded, row.dtype).reshape(extent)
            if row is not None:
                yield row.tobytes()
        if receipts:
            check_receipts(v, receipts)

    def restored_hash(self, entry: Any) -> bytes:
        """Reads all of a file and compares its hash."""
        hasher = blake3.blake3()
        for piece in self.content(entry):
            if isinstance(piece, bytes):
                hasher.update(piece)
        check_hash(entry, hasher)
        return hasher.digest()

    def check_lossless(self, entry: Any) -> None:
        lossless = self.features is not None and not self.features & LOSSY
        if lossless and entry.body.hashes and entry.body.hashes.original != entry.body.hashes.restored:
            raise corrupt("EB-H02", f"{quote(entry.path)} differs from its original in an archive that says it has no loss")


def check_hash(entry: Any, hasher: Any) -> None:
    if entry.body.hashes and hasher.digest() != entry.body.hashes.restored:  # without, the block's was compared
        raise corrupt("EB-E06", f"content of {quote(entry.path)} does not match its hash")


def check_receipts(v: Any, receipts: list[Any]) -> None:
    found = [r for r in receipts if r]
    if v.receipt is None:
        sound = not found
    else:
        sums = [sum(r.finite for r in found), sum(r.non_finite for r in found), sum(r.exact for r in found)]
        sound = len(found) == len(receipts) and sums == [v.receipt.finite, v.receipt.non_finite, v.receipt.exact]
        sound = sound and v.receipt.max_error == max(r.max_error for r in found)
    if not sound:
        raise corrupt("EB-V02", f"receipt of variable {v.name!r} is not that of its blocks")


# ---------------------------------------------------------------- reading without an index


@dataclass
class Scan:
    """All whole frames of an archive, in the order in which they stand, and what is wrong between them."""

    data: Data
    tag: int
    frames: list[Frame]
    problems: list[ArchiveError]

    def of_kind(self, *kinds: int) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind in kinds]


def scan(data: Data) -> Scan:
    """Finds frames by their sync bytes."""
    whole, broken, at = list[Frame](), dict[int, ArchiveError](), 0
    budget = 16 * len(data) + (1 << 30)  # bytes checksummed: keeps overlapping lies from costing quadratic time
    while (at := data.find(SYNC, at)) >= 0:
        try:
            frame = read_frame(data, at)
            whole.append(frame)
            at = frame.end
        except ArchiveError as error:
            broken[at] = error
            if error.rule not in ("EB-F01", "EB-F02"):
                budget -= MAX_RECORD if error.rule == "EB-F05" else min(MAX_PAYLOAD, len(data))
            at += 1
        if budget < 0:
            raise limit("EB-A05", "too many damaged frames overlap")
    tag = choose_tag(data, whole)
    frames = [frame for frame in whole if frame.tag == tag]
    problems, end, seq = list[ArchiveError](), 0, 0
    for frame in frames:
        if frame.offset != end:
            problems.append(broken.get(end) or corrupt("EB-F01", f"bytes {end} to {frame.offset} are no frame of this archive"))
        if frame.seq != seq:
            problems.append(corrupt("EB-A01", f"frame {frame.seq} stands where frame {seq} should"))
        end, seq = frame.end, frame.seq + 1
    if not frames:
        raise broken.get(0) or corrupt("EB-F01", "no frame was found: this is no errbar archive")
    if frames[-1].kind != TAIL:
        problems.append(broken.get(end) or ArchiveError("truncated", "EB-A02", "archive does not end with its TAIL"))
    elif end != len(data):
        problems.append(corrupt("EB-A02", f"{len(data) - end} bytes follow the TAIL"))
    for frame in frames:
        check_kind(frame.kind, frame.flags)
    return Scan(data, tag, frames, problems)


def check_kind(kind: int, flags: int) -> None:
    if not HEAD <= kind <= DOCUMENT and not flags & ANCILLARY:
        raise unsupported("EB-A04", f"needs a reader for frames of kind {kind}")


def choose_tag(data: Data, frames: list[Frame]) -> int:
    """The archive's tag: of its HEAD, else of its TAIL, else of the most bytes."""
    if frames and frames[0].offset == 0:
        return frames[0].tag
    if frames and frames[-1].kind == TAIL and frames[-1].end == len(data):
        return frames[-1].tag
    sums = dict[int, int]()
    for frame in frames:
        sums[frame.tag] = sums.get(frame.tag, 0) + frame.len
    return min(sums, key=lambda tag: (-sums[tag], tag), default=0)


def find_blocks(found: Scan, problems: list[ArchiveError]) -> dict[int, Any]:
    blocks = dict[int, Any]()
    made = namedtuple("made", "offset frame_len decoded_len decoded_hash")
    for frame in found.of_kind(BLOCK):
        try:
            block = read_block(frame)
            blocks.setdefault(block.number, made(frame.offset, frame.len, decoded_len(block), block.decoded_hash))
        except ArchiveError as error:
            problems.append(error)
    return blocks


def open_by_scan(found: Scan) -> Archive:
    """Salvage: entries from ENTRIES frames, those lost there from the index's pages; blocks from BLOCK frames."""
    problems = list(found.problems)
    archive = Archive(found.data, found.tag, None, [], find_blocks(found, problems), problems, scanned=True)
    entries = dict[bytes, Any]()
    for frame in found.of_kind(HEAD, TAIL) + found.of_kind(ENTRIES) + found.of_kind(INDEX):
        try:
            if frame.kind in (HEAD, TAIL):
                archive.features = read_identity(frame).required_features
                continue
            page = read_page(frame, found.data)
            for entry in page.items if page.content == "entries" else ():
                if entries.setdefault(entry.path, entry) is not entry and frame.kind == ENTRIES:
                    raise refused("EB-T01", f"{quote(entry.path)} stands twice")
        except ArchiveError as error:
            if error.kind in ("unsupported", "refused"):
                raise
            problems.append(error)
    archive.entries = sorted(entries.values(), key=lambda entry: path_key(entry.path))
    return archive


# ---------------------------------------------------------------- reading by the index


def referenced(data: Data, ref: Any, kind: int, tag: int, before: int) -> Frame:
    """The frame that a reference names. What is referred to stands before what refers to it."""
    if ref.offset % 8 or ref.offset + ref.frame_len > before:
        raise corrupt("EB-I04", "a reference leaves the part of the archive before it")
    frame = read_frame(data, ref.offset)
    if frame.kind != kind or frame.tag != tag or frame.len != ref.frame_len:
        raise corrupt("EB-I05", "a reference names another frame")
    if blake(frame.record + frame.payload(data)) != ref.hash:
        raise corrupt("EB-I05", "a page does not match its hash")
    return frame


def walk(data: Data, ref: Any, content: str, tag: int, before: int, level: int | None = None) -> Iterator[tuple[bytes | None, Page, Frame]]:
    """The leaves below a page, each with the key under which it was found."""
    if not ref.frame_len:
        return
    frame = referenced(data, ref, INDEX, tag, before)
    page = read_page(frame, data)
    if level is not None and page.level != level:
        raise corrupt("EB-I03", f"page of level {page.level} where level {level} should be")
    if not page.items:
        raise corrupt("EB-I04", "page is empty")
    if page.level == 0:
        if page.content != content:
            raise corrupt("EB-I03", f"page lists {page.content}, expected {content}")
        yield None, page, frame
        return
    for child in page.items:
        for i, (key, leaf, at) in enumerate(walk(data, child.page, content, tag, frame.offset, page.level - 1)):
            if i == 0 and key not in (None, child.key):
                raise corrupt("EB-I04", "key is not the smallest key below it")
            yield (child.key if i == 0 else key), leaf, at


def read_tail(data: Data) -> tuple[Any, Frame]:
    if len(data) < TAIL_FRAME_LEN:
        raise ArchiveError("truncated", "EB-A02", "file is too short to be an archive")
    frame = read_frame(data, len(data) - TAIL_FRAME_LEN)
    if frame.kind != TAIL or frame.end != len(data):
        raise corrupt("EB-A02", "archive does not end with its TAIL")
    return read_identity(frame), frame


def read_index(data: Data) -> tuple[Any, list[Any], list[Any]]:
    """TAIL, entries and block references, all of the index checked."""
    tail, tail_frame = read_tail(data)
    tag, tail_at = tail_frame.tag, tail_frame.offset
    head_frame = read_frame(data, 0)
    if head_frame.kind != HEAD or read_identity(head_frame)[:5] != tail[:5]:
        raise corrupt("EB-A03", "HEAD and TAIL contradict each other")
    referenced(data, tail.meta, META, tag, tail_at)
    entries, refs = list[Any](), list[Any]()
    for key, page, _ in walk(data, tail.entries, "entries", tag, tail_at):
        if key not in (None, page.items[0].path):
            raise corrupt("EB-I04", "key is not the smallest key below it")
        entries += page.items
    check_order(entries)
    for key, page, frame in walk(data, tail.blocks, "blocks", tag, tail_at):
        if key not in (None, len(refs).to_bytes(8, "big")):
            raise corrupt("EB-I04", "key is not the smallest key below it")
        for ref in page.items:
            if ref.offset < (refs[-1].offset + refs[-1].frame_len if refs else 0) or not 0 < ref.frame_len <= frame.offset - ref.offset:
                raise corrupt("EB-I04", "blocks are out of order")
            refs.append(ref)
    if (len(entries), len(refs)) != (tail.n_entries, tail.n_blocks):
        raise corrupt("EB-A03", f"index lists {len(entries)} entries and {len(refs)} blocks, not what TAIL says")
    return tail, entries, refs


def open_archive(data: Data) -> Archive:
    """Opens by the index if that is sound, else by scanning."""
    try:
        tail, entries, refs = read_index(data)
        check_kinds(data, tail.index_offset)
        return Archive(data, tag_of(tail), tail.required_features, entries, dict(enumerate(refs)))
    except ArchiveError as error:
        if error.kind in ("unsupported", "refused"):
            raise
        archive = open_by_scan(scan(data))
        archive.problems = archive.problems or [error]
        return archive


def check_kinds(data: Data, end: int) -> None:
    """Walks the prefixes before the index, as far as they are whole, for kinds that must be known."""
    at = 0
    while at < end:
        try:
            kind, flags, record_len, _, _, payload_len, _ = read_prefix(data, at)
        except ArchiveError:
            return  # damage here costs only what stands here
        check_kind(kind, flags)
        at += frame_len(record_len, payload_len)


def check_tree(archive: Archive) -> None:
    """Refuses a list of entries that no file tree has, before anything is written."""
    kinds = {entry.path: entry.body.kind for entry in archive.entries}
    used, most, above = 0, 0, None
    for entry in archive.entries:
        if above is not None and entry.path.startswith(above + b"/"):
            raise refused("EB-T02", f"{quote(entry.path)} lies below an entry that is no directory")
        if entry.body.kind != "directory":
            above = entry.path
        lost = archive.problems and entry.body.kind == "hardlink" and entry.body.target not in kinds
        if entry.body.kind == "hardlink" and kinds.get(entry.body.target) != "file" and not lost:
            raise refused("EB-T03", f"{quote(entry.path)} is a hard link to no file of this archive")
        if entry.body.kind == "file":
            own = sum(used_bytes(entry.body, s) for s in entry.body.segments)
            used, most = (used + own, most) if entry.body.same_as is None else (used, max(most, own))
    if max(used, most) > sum(ref.decoded_len for ref in archive.blocks.values()) and not archive.problems:
        raise limit("EB-T05", "entries use more bytes of blocks than there are")


# ---------------------------------------------------------------- verify


def verify(data: Data) -> list[ArchiveError]:
    """Everything that can be checked without the originals. An empty list: the archive is sound."""
    found = scan(data)
    archive = open_by_scan(found)
    problems = list(archive.problems)

    def attempt(check: Callable[..., object], *arguments: Any) -> None:
        try:
            check(*arguments)
        except ArchiveError as error:
            problems.append(error)

    attempt(check_frames, found)
    if not found.problems:
        attempt(check_index, found)
    attempt(check_tree, archive)
    used = set[int]()
    for entry in archive.entries:
        if entry.body.kind == "file":
            used.update(n for numbers in used_blocks(entry.body) for n in numbers[: len(archive.blocks)])
            attempt(archive.restored_hash, entry)
            attempt(archive.check_lossless, entry)
    for number in archive.blocks.keys() - used:
        attempt(lambda number: archive.decode(*archive.block(number)), number)
    return problems


def check_frames(found: Scan) -> None:
    """The order of frames, and that everything an ENTRIES frame needs stands before it."""
    phase, n_blocks, metas, sound = -1, 0, 0, not found.problems
    for i, frame in enumerate(found.frames):
        kind, before = frame.kind, phase
        if kind == DOCUMENT:
            read_document(frame, found.data)
        if not HEAD <= kind <= TAIL:
            continue
        if kind == META:
            metas += 1
            parse(META_RECORD, frame.record)
        phase = {HEAD: 0, META: 1 if metas == 1 else 3, BLOCK: 2, ENTRIES: 2, INDEX: 4, TAIL: 5}[kind]
        if sound and (phase < before or (kind == HEAD) != (i == 0) or metas > 2 or before == 5):
            raise corrupt("EB-A01", f"frame {i} of kind {kind} is out of order")
        if kind == BLOCK:
            block = read_block(frame)
            if sound and block.number != n_blocks:
                raise corrupt("EB-A01", f"block {block.number} stands where block {n_blocks} should")
            n_blocks += 1
        if kind == ENTRIES:
            for entry in read_page(frame, found.data).items:
                late = entry.body.kind == "file" and any(numbers and numbers[-1] >= n_blocks for numbers in used_blocks(entry.body))
                if sound and late:
                    raise corrupt("EB-A01", f"{quote(entry.path)} stands before a block that it uses")


def check_index(found: Scan) -> None:
    """That the index says what the frames say."""
    tail, entries, refs = read_index(found.data)
    if [entry for frame in found.of_kind(ENTRIES) for entry in read_page(frame, found.data).items] != entries:
        raise corrupt("EB-A03", "the index's entries are not those of the ENTRIES frames")
    blocks = [(f, read_block(f)) for f in found.of_kind(BLOCK)]
    if [(f.offset, f.len, decoded_len(block), block.decoded_hash) for f, block in blocks] != refs:
        raise corrupt("EB-A03", "the index's blocks are not the BLOCK frames")
    if tail.index_offset != found.of_kind(INDEX, TAIL)[0].offset:
        raise corrupt("EB-A03", "TAIL does not say where the index begins")
    metas = found.of_kind(META)
    if len(metas) != 2 or metas[0].record != metas[1].record or metas[1].offset != tail.meta.offset:
        raise corrupt("EB-A03", "the second META is not a copy of the first")


# ---------------------------------------------------------------- unpack


def unpack(archive: Archive, target: str) -> list[ArchiveError]:
    """Restores the tree into a new or empty directory; gives what could not be restored.

    Symbolic links come last, so that nothing is ever written through one. Owners, set-id bits and
    extended attributes are not restored.
    """
    check_tree(archive)
    os.makedirs(target, exist_ok=True)
    root = os.fsencode(os.path.realpath(target))
    if os.listdir(root):
        raise refused("EB-T04", f"{target} is not empty")
    problems, done, made = list(archive.problems), set[bytes](), {root}

    def make_folder(at: bytes) -> None:
        missing = []
        while at not in made:
            missing.append(at)
            at = os.path.dirname(at)
        for folder in reversed(missing):
            os.mkdir(folder)
            made.add(folder)

    def restore(entry: Any) -> None:
        at = os.path.join(root, entry.path)
        if len(at) >= PATH_MAX:
            raise OSError(errno.ENAMETOOLONG, "path is too long for this system")
        make_folder(os.path.dirname(at))
        match entry.body.kind:
            case "directory":
                make_folder(at)
            case "file":
                write_file(archive, entry, at)
                done.add(entry.path)
            case "symlink":
                os.symlink(entry.body.target, at)
            case "hardlink" if entry.body.target in done:
                os.link(os.path.join(root, entry.body.target), at, follow_symlinks=False)
            case "hardlink":
                raise corrupt("EB-T03", f"{quote(entry.path)} is a hard link to a file that was lost")

    for kinds in ("directory", "file"), ("hardlink",), ("symlink",):
        for entry in archive.entries:
            if entry.body.kind in kinds:
                try:
                    restore(entry)
                except ArchiveError as error:
                    problems.append(error)
                except OSError as error:
                    problems.append(ArchiveError("io", "", f"{quote(entry.path)}: {error.strerror}"))
    for entry in reversed(archive.entries):  # contents before their directories
        a, at = entry.attributes, os.path.join(root, entry.path)
        if a and os.path.lexists(at):
            if entry.body.kind != "symlink":
                os.chmod(at, a.mode & 0o777)
            try:
                os.utime(at, ns=(a.mtime_s * 10**9 + a.mtime_ns,) * 2, follow_symlinks=False)
            except (OverflowError, OSError):
                print(f"note: {show(entry.path)}: modification time cannot be set", file=sys.stderr)
    return problems


def write_file(archive: Archive, entry: Any, at: bytes) -> None:
    """A file appears under its name when all of it is proven."""
    hasher = blake3.blake3()
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(at))
    try:
        with open(handle, "wb") as out:
            for piece in archive.content(entry):
                if isinstance(piece, int):
                    out.seek(piece, os.SEEK_CUR)
                else:
                    out.write(piece)
                    hasher.update(piece)
            out.truncate(entry.body.size)
        check_hash(entry, hasher)
        os.rename(temporary, at)
    except BaseException:
        os.unlink(temporary)
        raise


# ---------------------------------------------------------------- program


def choices(entry: Any) -> dict[int, str]:
    """Why variables have their stages, by their position; nothing that cannot be read."""
    for extension in entry.extensions:
        if extension.tag == "choices":
            try:
                return {c.variable: f"  rather than {c.over!r} ({c.saved:.1%})" for c in parse(CHOICES, extension.data)}
            except ArchiveError:
                return {}
    return {}


def list_entries(archive: Archive) -> None:
    for entry in archive.entries:
        body = entry.body
        link = f" -> {show(body.target)}" if body.kind.endswith("link") else ""
        size = body.size if body.kind == "file" else 0
        print(f"{body.kind:9} {entry.attributes.mode if entry.attributes else 0:04o} {size:>14} {show(entry.path)}{link}")
        why = choices(entry)
        for i, v in enumerate(body.variables if body.kind == "file" else []):
            r = v.receipt
            asked = f"  {', '.join(f'{b.kind} {b.value:g}' for b in r.bounds)}; worst {r.max_error:g}" if r else ""
            print(f"    {v.name!r} {v.dtype.name} {v.shape}{' column-major' if v.column_major else ''}{asked}{why.get(i, '')}")


def hashes(archive: Archive) -> list[ArchiveError]:
    found, problems = dict[str, str](), list(archive.problems)
    check_tree(archive)
    for entry in archive.entries:
        if entry.body.kind == "file":
            try:
                found[show(entry.path)] = archive.restored_hash(entry).hex()
            except ArchiveError as error:
                problems.append(error)
    print(json.dumps(found, sort_keys=True, indent=1))
    return problems


def cat(archive: Archive, path: bytes) -> None:
    entry, hasher = archive.file(path), blake3.blake3()
    for piece in archive.content(entry):
        zeros = piece if isinstance(piece, int) else 0
        for n in range(zeros, 0, -(1 << 20)):
            sys.stdout.buffer.write(bytes(min(n, 1 << 20)))
        if isinstance(piece, bytes):
            sys.stdout.buffer.write(piece)
            hasher.update(piece)
    check_hash(entry, hasher)


def get(archive: Archive, path: bytes, name: str, out: str) -> None:
    """A variable, indexed as its file's own readers index it (bf16 as its 16-bit patterns)."""
    entry = archive.file(path)
    for v in entry.body.variables:
        if v.name == name:
            header = {
                "descr": np.dtype(v.dtype.numpy).newbyteorder(">" if v.big_endian else "<").str,
                "fortran_order": v.column_major,
                "shape": tuple(reversed(v.shape) if v.column_major else v.shape),
            }
            with open(out, "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                file.writelines(archive.rows(entry, v))
            return
    raise LookupError(f"{quote(path)} has no variable {name!r}")


def run(arguments: list[str]) -> Iterable[ArchiveError]:
    command, name, *rest = arguments
    with open(name, "rb") as file:
        data: Data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    match command, rest:
        case "verify", []:
            return verify(data)
        case "list", []:
            list_entries(archive := open_archive(data))
        case "hash", []:
            return hashes(open_archive(data))
        case "unpack", [target]:
            return unpack(open_archive(data), target)
        case "cat", [path]:
            cat(archive := open_archive(data), os.fsencode(path))
        case "get", [path, variable, out]:
            get(archive := open_archive(data), os.fsencode(path), variable, out)
        case _:
            raise ValueError(command)
    return archive.problems


def main() -> int:
    try:
        problems = run(sys.argv[1:])
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    except ArchiveError as error:
        problems = [error]
    except LookupError as error:
        print(f"reader.py: {error.args[0]}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"reader.py: {error}", file=sys.stderr)
        return 3
    for problem in problems:
        print(f"reader.py: {problem}", file=sys.stderr)
    if any(p.kind in ("corrupt", "truncated") for p in problems):
        return 1
    return 3 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
