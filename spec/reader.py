#!/usr/bin/env python3
"""A reader of errbar archives, written from the specification (errbar-1.md and stages/) alone.

    reader.py list A            what is in the archive
    reader.py verify A          every checksum and hash (exit 0: sound, 1: damaged, 3: cannot be read)
    reader.py unpack A DIR      restore the tree into DIR, which must not exist or be empty
    reader.py hash A            JSON: path -> BLAKE3 of the restored content outside holes
    reader.py cat A PATH        a file's content
    reader.py get A PATH VARIABLE OUT.npy    one variable as a .npy file

It is meant to be read beside the specification, and to be the second opinion on every archive:
clarity comes before speed. Every byte of an archive is taken to be hostile.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import blake3
import numpy as np
import zstandard
from pcodec import standalone as pco

T = TypeVar("T")
SYNC = b"\x89EBA\r\n\x1a\n"
PREFIX_LEN = 48
TAIL_FRAME_LEN = 280
HEAD, META, BLOCK, ENTRIES, INDEX, TAIL, DOCUMENT = range(1, 8)
ANCILLARY = 1
LOSSY = 1
KNOWN_FEATURES = LOSSY
RECORD_VERSION = 1

MAX_RECORD = 1 << 20
MAX_BLOCK = 64 << 20
MAX_PAYLOAD = MAX_BLOCK + (1 << 20)
MAX_PAGE = 16 << 20
MAX_DOCUMENT = 16 << 20
MAX_PATH = 65535
MAX_DIMS = 8
MAX_TRANSFORMS = 6
MAX_PARAMS = 4096
MAX_NAME = 255
MAX_INLINE = 512
MAX_LEVEL = 8
MAX_SLAB = 8 << 30  # this reader's own limit: bytes of a variable held in memory at once


class ArchiveError(Exception):
    """kind: corrupt, truncated, unsupported, limit or refused; rule: the clause that was broken."""

    def __init__(self, kind: str, rule: str, what: str) -> None:
        super().__init__(f"{kind}: {what} [{rule}]")
        self.kind, self.rule, self.what = kind, rule, what


def corrupt(rule: str, what: str) -> ArchiveError:
    return ArchiveError("corrupt", rule, what)


def limit(rule: str, what: str) -> ArchiveError:
    return ArchiveError("limit", rule, what)


def unsupported(rule: str, what: str) -> ArchiveError:
    return ArchiveError("unsupported", rule, what)


def blake(data: bytes) -> bytes:
    return blake3.blake3(data).digest()


def show(path: bytes) -> str:
    """A path for people: nothing in it can act on a terminal."""
    text = path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def padded(n: int) -> int:
    return -(-n // 8) * 8


def product(numbers: list[int]) -> int | None:
    """The product, or None if a step of it from the left does not fit 64 bits."""
    n = 1
    for number in numbers:
        n *= number
        if n >= 1 << 64:
            return None
    return n


# ---------------------------------------------------------------- frames


@dataclass(frozen=True)
class Prefix:
    kind: int
    flags: int
    record_len: int
    tag: int
    seq: int
    payload_len: int
    payload_crc: int

    @property
    def head_len(self) -> int:
        return PREFIX_LEN + padded(self.record_len + 4)

    @property
    def frame_len(self) -> int:
        return self.head_len + padded(self.payload_len)


@dataclass(frozen=True)
class Frame:
    offset: int
    prefix: Prefix
    record: bytes

    def payload(self, data: Data) -> bytes:
        start = self.offset + self.prefix.head_len
        return data[start : start + self.prefix.payload_len]


Data = bytes | mmap.mmap


def read_prefix(data: Data, at: int) -> Prefix:
    raw = data[at : at + PREFIX_LEN]
    if len(raw) < PREFIX_LEN:
        raise ArchiveError("truncated", "EB-F01", "file ends inside a frame's prefix")
    if raw[:8] != SYNC:
        raise corrupt("EB-F01", f"no frame begins at byte {at}")
    *fields, crc = struct.unpack("<HHIQQQII", raw[8:])
    if zlib.crc32(raw[:44]) != crc:
        raise corrupt("EB-F02", "frame prefix does not match its checksum")
    prefix = Prefix(*fields)
    if prefix.record_len > MAX_RECORD or prefix.payload_len > MAX_PAYLOAD:
        raise limit("EB-F03", f"frame declares a record of {prefix.record_len} and a payload of {prefix.payload_len} bytes")
    if prefix.flags & ~ANCILLARY:
        raise unsupported("EB-F04", f"frame has unknown flags {prefix.flags:#x}")
    return prefix


def read_frame(data: Data, at: int) -> Frame:
    """The whole frame at `at`: three checksums, all padding."""
    prefix = read_prefix(data, at)
    if at + prefix.frame_len > len(data):
        raise ArchiveError("truncated", "EB-F01", "file ends inside a frame")
    head = data[at + PREFIX_LEN : at + prefix.head_len]
    record, rest = head[: prefix.record_len], head[prefix.record_len :]
    if zlib.crc32(record) != int.from_bytes(rest[:4], "little"):
        raise corrupt("EB-F05", "record does not match its checksum")
    body = data[at + prefix.head_len : at + prefix.frame_len]
    if zlib.crc32(memoryview(body)[: prefix.payload_len]) != prefix.payload_crc:
        raise corrupt("EB-F07", "payload does not match its checksum")
    if any(rest[4:]) or any(body[prefix.payload_len :]):
        raise corrupt("EB-F06", "padding is not zero")
    if prefix.kind in (HEAD, META, TAIL) and prefix.payload_len:
        raise corrupt("EB-F08", "a frame of this kind has no payload")
    return Frame(at, prefix, record)


# ---------------------------------------------------------------- records


class Cursor:
    """Reads the encoding of records. Being strict about flags and text, it reads only the canonical form."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        if n > len(self.data) - self.at:
            raise corrupt("EB-R01", "record ends too early")
        self.at += n
        return self.data[self.at - n : self.at]

    def unpack(self, code: str) -> int | float:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def i64(self) -> int:
        return int.from_bytes(self.take(8), "little", signed=True)

    def f64(self) -> float:
        return struct.unpack("<d", self.take(8))[0]

    def hash(self) -> bytes:
        return self.take(32)

    def blob(self) -> bytes:
        return self.take(self.u64())

    def text(self) -> str:
        try:
            return self.blob().decode("utf-8")
        except UnicodeDecodeError:
            raise corrupt("EB-R01", "text is not UTF-8") from None

    def flag(self) -> bool:
        value = self.u8()
        if value > 1:
            raise corrupt("EB-R01", f"flag is {value}")
        return value == 1

    def variant(self, n: int) -> int:
        value = self.u32()
        if value >= n:
            raise corrupt("EB-R01", f"unknown variant {value}")
        return value

    def option(self, read: Callable[[Cursor], T]) -> T | None:
        return read(self) if self.flag() else None

    def many(self, read: Callable[[Cursor], T]) -> list[T]:
        n = self.u64()
        if n > len(self.data) - self.at:  # every item takes a byte at least
            raise corrupt("EB-R01", f"list declares {n} items")
        return [read(self) for _ in range(n)]

    def numbers(self) -> list[int]:
        return self.many(Cursor.u64)

    def end(self) -> None:
        if self.at != len(self.data):
            raise corrupt("EB-R01", f"{len(self.data) - self.at} bytes follow the record")


def versioned(record: bytes) -> Cursor:
    cursor = Cursor(record)
    version = cursor.u16()
    if version != RECORD_VERSION:
        raise unsupported("EB-R03", f"needs a reader for record version {version}")
    return cursor


def read_extensions(c: Cursor) -> list[tuple[str, bytes]]:
    return c.many(lambda c: (c.text(), c.blob()))


@dataclass(frozen=True)
class Head:
    format: tuple[int, int]
    required_features: int
    optional_features: int
    archive_id: bytes

    @staticmethod
    def read(c: Cursor) -> Head:
        return Head((c.u16(), c.u16()), c.u64(), c.u64(), c.hash())

    @property
    def tag(self) -> int:
        return int.from_bytes(self.archive_id[:8], "little")

    def check(self) -> None:
        unknown = self.required_features & ~KNOWN_FEATURES
        if unknown:
            raise unsupported("EB-H01", f"needs features {unknown:#x}")


def read_head(record: bytes) -> Head:
    c = versioned(record)
    head = Head.read(c)
    read_extensions(c)
    c.end()
    head.check()
    return head


@dataclass(frozen=True)
class Meta:
    writer: str
    mode: str
    policy: str
    items: list[tuple[str, str]]


def read_meta(record: bytes) -> Meta:
    c = versioned(record)
    meta = Meta(c.text(), c.text(), c.text(), c.many(lambda c: (c.text(), c.text())))
    read_extensions(c)
    c.end()
    return meta


@dataclass(frozen=True)
class PageRef:
    offset: int
    frame_len: int
    hash: bytes

    @staticmethod
    def read(c: Cursor) -> PageRef:
        return PageRef(c.u64(), c.u64(), c.hash())


@dataclass(frozen=True)
class Tail:
    head: Head
    n_entries: int
    n_blocks: int
    index_offset: int
    entries: PageRef
    blocks: PageRef
    meta: PageRef


def read_tail(record: bytes) -> Tail:
    c = versioned(record)
    head = Head.read(c)
    tail = Tail(head, c.u64(), c.u64(), c.u64(), PageRef.read(c), PageRef.read(c), PageRef.read(c))
    c.end()
    head.check()
    return tail


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


def read_dtype(c: Cursor) -> DType:
    code = c.u8()
    if code >= len(DTYPES):
        raise corrupt("EB-R01", f"unknown dtype code {code}")
    return DTYPES[code]


@dataclass(frozen=True)
class Stage:
    name: str
    version: int
    params: bytes

    @staticmethod
    def read(c: Cursor) -> Stage:
        return Stage(c.text(), c.u16(), c.blob())


@dataclass(frozen=True)
class Receipt:
    bound: str
    asked: float
    limit: float
    max_error: float
    max_error_at: int
    rms_error: float
    finite: int
    non_finite: int
    exact: int

    @staticmethod
    def read(c: Cursor) -> Receipt:
        bound = ("abs", "rel", "pw_rel", "digits")[c.variant(4)]
        asked = c.u8() if bound == "digits" else c.f64()
        return Receipt(bound, asked, c.f64(), c.f64(), c.u64(), c.f64(), c.u64(), c.u64(), c.u64())

    def check(self, words: int) -> None:
        sound = self.finite + self.non_finite == words and self.exact <= words and self.max_error_at < max(words, 1)
        sound = sound and self.limit >= 0 and self.max_error >= 0
        if self.bound in ("abs", "rel"):
            sound = sound and self.max_error <= self.limit
        if not sound:
            raise corrupt("EB-B06", "receipt contradicts itself or the number of words")


@dataclass(frozen=True)
class Block:
    number: int
    place: str  # shared, run or box
    path: bytes
    offset: int
    variable: str
    origin: list[int]
    dtype: DType
    big_endian: bool
    shape: list[int]
    quantizer: Stage
    transforms: list[Stage]
    coder: Stage
    exact_len: int
    receipt: Receipt | None
    decoded_hash: bytes
    decoded_len: int


def check_shape(shape: list[int], dtype: DType) -> int:
    if len(shape) > MAX_DIMS:
        raise limit("EB-B02", f"{len(shape)} dimensions; at most {MAX_DIMS}")
    n = product([*shape, dtype.size])
    if n is None:
        raise limit("EB-B02", "shape overflows 64 bits")
    return n


def read_block(record: bytes) -> Block:
    c = versioned(record)
    number = c.u64()
    place = ("shared", "run", "box")[c.variant(3)]
    path, offset, variable, origin = b"", 0, "", list[int]()
    if place != "shared":
        path = c.blob()
    if place == "run":
        offset = c.u64()
    if place == "box":
        variable, origin = c.text(), c.numbers()
    dtype, big_endian, shape = read_dtype(c), c.flag(), c.numbers()
    quantizer, transforms, coder = Stage.read(c), c.many(Stage.read), Stage.read(c)
    exact_len, receipt, decoded_hash = c.u64(), c.option(Receipt.read), c.hash()
    read_extensions(c)
    c.end()
    decoded_len = check_shape(shape, dtype)
    if decoded_len > MAX_BLOCK:
        raise limit("EB-B01", f"block declares {decoded_len} decoded bytes")
    if len(transforms) > MAX_TRANSFORMS:
        raise limit("EB-B03", f"{len(transforms)} transforms")
    if any(len(s.params) > MAX_PARAMS or len(s.name.encode()) > MAX_NAME for s in [quantizer, *transforms, coder]):
        raise limit("EB-B03", "stage name or parameters are too long")
    if place != "shared":
        check_path(path)
    if place == "box" and len(origin) != len(shape):
        raise corrupt("EB-B02", "origin and shape differ in dimensions")
    if receipt:
        receipt.check(decoded_len // dtype.word)
    return Block(number, place, path, offset, variable, origin, dtype, big_endian, shape, quantizer, transforms, coder,
                 exact_len, receipt, decoded_hash, decoded_len)  # fmt: skip


def check_path(path: bytes) -> None:
    if len(path) > MAX_PATH:
        raise ArchiveError("refused", "EB-P01", "path is longer than 65535 bytes")
    if b"\0" in path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise ArchiveError("refused", "EB-P01", f"path {show(path[:256])!r} is absolute or has an impossible component")


def path_key(path: bytes) -> list[bytes]:
    return path.split(b"/")


@dataclass(frozen=True)
class Segment:
    kind: str  # inline, hole, part, run or variable
    length: int = 0
    data: bytes = b""
    block: int = 0  # part: the block; run: the first block
    offset: int = 0
    block_len: int = 0
    index: int = 0

    @staticmethod
    def read(c: Cursor) -> Segment:
        match c.variant(5):
            case 0:
                data = c.blob()
                return Segment("inline", len(data), data)
            case 1:
                return Segment("hole", c.u64())
            case 2:
                block, offset, length = c.u64(), c.u64(), c.u64()
                return Segment("part", length, block=block, offset=offset)
            case 3:
                block, block_len, length = c.u64(), c.u64(), c.u64()
                return Segment("run", length, block=block, block_len=block_len)
            case _:
                return Segment("variable", index=c.u32())


@dataclass(frozen=True)
class Variable:
    name: str
    dtype: DType
    big_endian: bool
    column_major: bool
    shape: list[int]
    block_shape: list[int]
    first_block: int
    receipt: Receipt | None

    @staticmethod
    def read(c: Cursor) -> Variable:
        return Variable(c.text(), read_dtype(c), c.flag(), c.flag(), c.numbers(), c.numbers(), c.u64(), c.option(Receipt.read))

    def check(self) -> int:
        n = check_shape(self.shape, self.dtype)
        if len(self.name.encode()) > MAX_NAME:
            raise limit("EB-V01", "variable name is too long")
        if len(self.block_shape) != len(self.shape) or 0 in self.block_shape:
            raise corrupt("EB-V01", "block shape does not fit shape")
        if check_shape(self.block_shape, self.dtype) > MAX_BLOCK:
            raise limit("EB-B01", "block shape is too large")
        n_blocks = product(self.grid())
        if n_blocks is None or self.first_block + n_blocks >= 1 << 64:
            raise limit("EB-V01", "block numbers overflow 64 bits")
        if self.receipt:
            self.receipt.check(n // self.dtype.word)
        return n

    def grid(self) -> list[int]:
        return [-(-n // b) for n, b in zip(self.shape, self.block_shape)]

    def box(self, k: int) -> tuple[list[int], list[int]]:
        """Origin and extent of the k-th block: C order of the grid, cut at the far faces."""
        origin = [0] * len(self.shape)
        for axis in reversed(range(len(self.shape))):
            k, i = divmod(k, self.grid()[axis])
            origin[axis] = i * self.block_shape[axis]
        return origin, [min(b, n - o) for b, n, o in zip(self.block_shape, self.shape, origin)]


@dataclass(frozen=True)
class FileBody:
    size: int
    segments: list[Segment]
    variables: list[Variable]
    original_hash: bytes
    restored_hash: bytes

    @staticmethod
    def read(c: Cursor) -> FileBody:
        return FileBody(c.u64(), c.many(Segment.read), c.many(Variable.read), c.hash(), c.hash())

    def segment_len(self, segment: Segment) -> int:
        if segment.kind != "variable":
            return segment.length
        variable = self.variables[segment.index]
        return math.prod(variable.shape) * variable.dtype.size

    def check(self) -> None:
        for variable in self.variables:
            variable.check()
        size, seen = 0, 0
        for s in self.segments:
            if s.kind == "inline" and s.length > MAX_INLINE:
                raise limit("EB-E03", "inline segment is too long")
            if s.kind == "part" and s.offset + s.length > MAX_BLOCK:
                raise limit("EB-E03", "segment reaches past the largest block")
            if s.kind == "run" and not (0 < s.block_len <= MAX_BLOCK and s.block - (-s.length // s.block_len) < 1 << 64):
                raise limit("EB-E03", "run of blocks is impossible")
            if s.kind == "variable":
                if s.index != seen or seen >= len(self.variables):
                    raise corrupt("EB-E04", "variables and segments do not match")
                seen += 1
            size += self.segment_len(s)
            if size >= 1 << 64:
                raise limit("EB-E03", "segments overflow 64 bits")
        if seen != len(self.variables):
            raise corrupt("EB-E04", "variables and segments do not match")
        if size != self.size or size >= 1 << 63:
            raise corrupt("EB-E05", f"segments hold {size} bytes, the file {self.size}")

    def blocks(self) -> Iterator[range]:
        """The numbers of the blocks that the content is made of."""
        for s in self.segments:
            if s.kind == "part":
                yield range(s.block, s.block + 1)
            elif s.kind == "run":
                yield range(s.block, s.block - (-s.length // s.block_len))
            elif s.kind == "variable":
                v = self.variables[s.index]
                yield range(v.first_block, v.first_block + math.prod(v.grid()))


@dataclass(frozen=True)
class Attributes:
    mode: int
    mtime_s: int
    mtime_ns: int
    uid: int
    gid: int
    user: str
    group: str
    xattrs: list[tuple[bytes, bytes]]

    @staticmethod
    def read(c: Cursor) -> Attributes:
        return Attributes(c.u32(), c.i64(), c.u32(), c.u32(), c.u32(), c.text(), c.text(), c.many(lambda c: (c.blob(), c.blob())))

    def check(self) -> None:
        if self.mode & ~0o7777 or self.mtime_ns > 999_999_999:
            raise corrupt("EB-E01", "mode or nanoseconds are out of range")
        if any(not 0 < len(name) <= MAX_NAME or b"\0" in name for name, _ in self.xattrs):
            raise corrupt("EB-E01", "extended attribute has an impossible name")


@dataclass(frozen=True)
class Entry:
    path: bytes
    kind: str  # file, directory, symlink or hardlink
    file: FileBody | None
    target: bytes
    attributes: Attributes | None
    raw: bytes = field(repr=False)

    @staticmethod
    def read(c: Cursor) -> Entry:
        start = c.at
        path = c.blob()
        kind = ("file", "directory", "symlink", "hardlink")[c.variant(4)]
        file = FileBody.read(c) if kind == "file" else None
        target = c.blob() if kind.endswith("link") else b""
        attributes = c.option(Attributes.read)
        read_extensions(c)
        entry = Entry(path, kind, file, target, attributes, c.data[start : c.at])
        entry.check()
        return entry

    def check(self) -> None:
        check_path(self.path)
        if self.attributes:
            self.attributes.check()
        if self.kind == "symlink" and (not 0 < len(self.target) <= 4095 or b"\0" in self.target):
            raise corrupt("EB-E02", "symbolic link's target is empty, too long or contains NUL")
        if self.kind == "hardlink":
            check_path(self.target)
        if self.file:
            self.file.check()


@dataclass(frozen=True)
class BlockRef:
    offset: int
    frame_len: int
    decoded_len: int

    @staticmethod
    def read(c: Cursor) -> BlockRef:
        return BlockRef(c.u64(), c.u64(), c.u64())


@dataclass(frozen=True)
class ChildPage:
    key: bytes
    page: PageRef

    @staticmethod
    def read(c: Cursor) -> ChildPage:
        return ChildPage(c.blob(), PageRef.read(c))


@dataclass(frozen=True)
class Page:
    content: str  # entries, blocks or pages
    level: int
    items: list[Entry] | list[BlockRef] | list[ChildPage]


def read_page(frame: Frame, data: Data) -> Page:
    c = versioned(frame.record)
    content = ("entries", "blocks", "pages")[c.variant(3)]
    level = c.u8() if content == "pages" else 0
    count, decoded_len = c.u64(), c.u64()
    read_extensions(c)
    c.end()
    if decoded_len > MAX_PAGE or count > decoded_len:
        raise limit("EB-I01", f"page declares {count} items in {decoded_len} bytes")
    if content == "pages" and not 1 <= level <= MAX_LEVEL:
        raise limit("EB-I01", "index is too deep")
    items = Cursor(unzstd(frame.payload(data), decoded_len, "EB-I02"))
    read = {"entries": Entry.read, "blocks": BlockRef.read, "pages": ChildPage.read}[content]
    page = Page(content, level, [read(items) for _ in range(count)])
    items.end()
    if content == "entries":
        check_order(page.items)
    return page


def check_order(entries: list[Entry]) -> None:
    for a, b in zip(entries, entries[1:]):
        if path_key(a.path) >= path_key(b.path):
            raise ArchiveError("refused", "EB-T01", f"{show(b.path)!r} stands twice or out of order")


def read_document(frame: Frame, data: Data) -> tuple[str, bytes]:
    c = versioned(frame.record)
    name, decoded_len = c.text(), c.u64()
    read_extensions(c)
    c.end()
    if decoded_len > MAX_DOCUMENT or not 0 < len(name.encode()) <= MAX_NAME:
        raise limit("EB-D01", f"document declares {decoded_len} bytes")
    return name, unzstd(frame.payload(data), decoded_len, "EB-D01")


# ---------------------------------------------------------------- stages


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


@dataclass(frozen=True)
class Layout:
    """Width and dimensions of codes. The words themselves are numpy arrays of this shape."""

    width: int
    dims: tuple[int, ...]

    def __post_init__(self) -> None:
        n = product([*self.dims, self.width])
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


class NoneQuantizer:
    def layout(self, dtype: DType, values: Layout, p: bytes) -> Layout:
        params(p == b"", "none takes none")
        return values

    def reconstruct(self, codes: np.ndarray, dtype: DType, p: bytes) -> np.ndarray:
        return codes


def double_to_bf16(x: np.ndarray) -> np.ndarray:
    """One rounding to nearest even, in integers. By way of binary32 there would be two."""
    bits = x.view(np.uint64)
    field_ = (bits >> np.uint64(52) & np.uint64(0x7FF)).astype(np.int64)
    target = field_ - 1023 + 127
    significand = bits & np.uint64((1 << 52) - 1) | np.uint64(1 << 52)
    drop = np.minimum(np.where(target >= 1, 45, 46 - target), 63).astype(np.uint64)
    kept, half = significand >> drop, np.uint64(1) << (drop - np.uint64(1))
    rest = significand & ((np.uint64(1) << drop) - np.uint64(1))
    up = (rest > half) | ((rest == half) & (kept & np.uint64(1) == 1))
    base = (np.maximum(target - 1, 0) << 7).astype(np.uint64)
    word = np.minimum(base + kept + up, np.uint64(0x7F80))
    word = np.where(field_ == 0x7FF, np.uint64(0x7F80), np.where(field_ == 0, np.uint64(0), word))
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
            x = (codes.astype(np.uint64) + np.uint64(base % (1 << 64))).view(np.int64).astype(np.float64) * np.float64(step)
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
    NUMBERS = {"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"}

    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(len(p) == 2 and p[0] < len(DTYPES), "pco takes two bytes")
        dtype = DTYPES[p[0]]
        params(dtype.name in self.NUMBERS and dtype.size == layout.width, "pco's number type does not fit the words")
        out = np.zeros(layout.n, np.dtype(dtype.numpy))
        try:
            progress = pco.simple_decompress_into(data, out)
        except (RuntimeError, TypeError, ValueError) as error:
            raise corrupt("EB-C02", f"pco: {error}") from None
        if progress.n_processed != layout.n or not progress.finished:
            raise corrupt("EB-C02", f"pco file does not hold {layout.n} numbers")
        return out.view(layout.numpy).reshape(layout.dims)


QUANTIZERS = {("none", 1): NoneQuantizer(), ("uniform", 1): Uniform(), ("bitround", 1): BitRound()}
TRANSFORMS = {("order", 1): Order(), ("delta", 1): Delta(), ("lorenzo", 1): Lorenzo(), ("shuffle", 1): Shuffle(), ("bitshuffle", 1): BitShuffle()}
CODERS = {("store", 1): Store(), ("constant", 1): Constant(), ("zstd", 1): Zstd(), ("pco", 1): Pco()}


def find(stages: dict[tuple[str, int], T], what: str, stage: Stage) -> T:
    found = stages.get((stage.name, stage.version))
    if found is None:
        raise unsupported("EB-C01", f"needs {what} {stage.name!r} version {stage.version}")
    return found


def decode_words(block: Block, payload: bytes) -> np.ndarray:
    """The block's words (bit patterns), through its pipeline."""
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


def decode_block(block: Block, payload: bytes) -> bytes:
    """The decoded bytes, in the byte order of the entry, proven by their hash."""
    words = decode_words(block, payload).astype(f"<u{block.dtype.word}", copy=False)
    decoded = (words.byteswap() if block.big_endian else words).tobytes()
    if blake(decoded) != block.decoded_hash:
        raise corrupt("EB-B04", f"block {block.number} does not decode to the bytes of its hash")
    return decoded


# ---------------------------------------------------------------- archive


@dataclass
class Archive:
    data: Data
    tag: int
    features: int | None  # None: neither HEAD nor TAIL could be read
    entries: list[Entry]
    blocks: dict[int, int]  # number -> offset of the frame
    problems: list[ArchiveError] = field(default_factory=list)  # what is known to be damaged or lost
    cache: dict[int, bytes] = field(default_factory=dict)
    scanned: bool = False

    def entry(self, path: bytes) -> Entry:
        for entry in self.entries:
            if entry.path == path:
                return self.entry(entry.target) if entry.kind == "hardlink" and entry.target != path else entry
        raise ArchiveError("refused", "EB-T03", f"no entry {show(path)!r}")

    def block(self, number: int) -> tuple[Block, Frame]:
        offset = self.blocks.get(number)
        if offset is None:
            raise ArchiveError("truncated", "EB-A03", f"block {number} is not in the archive")
        try:
            frame = read_frame(self.data, offset)
            if frame.prefix.kind != BLOCK or frame.prefix.tag != self.tag:
                raise corrupt("EB-A03", f"the index names no block at byte {offset}")
            block = read_block(frame.record)
            if block.number != number:
                raise corrupt("EB-A03", f"block {number} of the index is block {block.number}")
        except ArchiveError as error:
            if self.scanned or error.kind == "unsupported":
                raise
            self.blocks, self.scanned = scan(self.data).find_blocks(), True  # frames win over the index
            return self.block(number)
        if self.features is not None and not self.features & LOSSY and (block.receipt or block.quantizer.name != "none"):
            raise corrupt("EB-H02", f"block {number} is lossy in an archive that says it has no loss")
        return block, frame

    def decode(self, block: Block, frame: Frame) -> bytes:
        decoded = self.cache.get(block.number)
        if decoded is None:
            decoded = decode_block(block, frame.payload(self.data))
            while len(self.cache) >= 4:
                self.cache.pop(next(iter(self.cache)))
            self.cache[block.number] = decoded
        return decoded

    def content(self, entry: Entry) -> Iterator[bytes | int]:
        """A file's content piece by piece: bytes, or the length of a hole."""
        assert entry.file
        at = 0
        for s in entry.file.segments:
            match s.kind:
                case "inline":
                    yield s.data
                case "hole":
                    yield s.length
                case "part":
                    block, frame = self.block(s.block)
                    if block.place != "shared" or s.offset + s.length > block.decoded_len:
                        raise corrupt("EB-B05", f"block {s.block} has no such part")
                    yield self.decode(block, frame)[s.offset : s.offset + s.length]
                case "run":
                    for k in range(-(-s.length // s.block_len)):
                        block, frame = self.block(s.block + k)
                        start = k * s.block_len
                        place = ("run", entry.path, at + start, min(s.block_len, s.length - start))
                        if (block.place, block.path, block.offset, block.decoded_len) != place:
                            raise corrupt("EB-B05", f"block {s.block + k} is not the run of bytes that its entry names")
                        yield self.decode(block, frame)
                case "variable":
                    for slab in self.slabs(entry, entry.file.variables[s.index]):
                        yield slab.tobytes()
            at += entry.file.segment_len(s)

    def slabs(self, entry: Entry, variable: Variable) -> Iterator[np.ndarray]:
        """A variable in storage order, as far as the blocks reach along its first dimension."""
        grid, shape = variable.grid(), variable.shape
        n_blocks = math.prod(grid)
        per_slab = math.prod(grid[1:])
        dtype = np.dtype(variable.dtype.numpy).newbyteorder(">" if variable.big_endian else "<")
        receipts = list[Receipt | None]()
        for first in range(0, n_blocks, max(per_slab, 1)):
            found = [self.block(variable.first_block + k) for k in range(first, first + per_slab)]  # before any allocation
            start, rows = variable.box(first)[0][:1], variable.box(first)[1][:1]
            if math.prod([*rows, *shape[1:]]) * variable.dtype.size > MAX_SLAB:
                raise limit("EB-V01", "variable is too large for this reader")
            slab = np.empty((*rows, *shape[1:]), dtype)
            for k, (block, frame) in enumerate(found, first):
                origin, extent = variable.box(k)
                place = ("box", entry.path, variable.name, origin, extent, variable.dtype, variable.big_endian)
                if (block.place, block.path, block.variable, block.origin, block.shape, block.dtype, block.big_endian) != place:
                    raise corrupt("EB-B05", f"block {block.number} is not the box that its entry names")
                where = tuple(slice(o - (start[0] if axis == 0 else 0), o - (start[0] if axis == 0 else 0) + e)
                              for axis, (o, e) in enumerate(zip(origin, extent)))  # fmt: skip
                slab[where] = np.frombuffer(self.decode(block, frame), dtype).reshape(extent)
                receipts.append(block.receipt)
            yield slab
        check_receipts(variable, receipts)

    def variable(self, entry: Entry, name: str) -> np.ndarray:
        """A variable, indexed as its file's own readers index it (bf16 as its 16-bit patterns)."""
        for v in entry.file.variables if entry.file else []:
            if v.name == name:
                slabs = list(self.slabs(entry, v))
                whole = np.concatenate(slabs) if len(slabs) > 1 else slabs[0] if slabs else np.empty(v.shape, v.dtype.numpy)
                return whole.T if v.column_major else whole
        raise ArchiveError("refused", "EB-V01", f"{show(entry.path)!r} has no variable {name!r}")

    def restored_hash(self, entry: Entry) -> bytes:
        """Reads all of a file and compares its hash."""
        assert entry.file
        hasher = blake3.blake3()
        for piece in self.content(entry):
            if isinstance(piece, bytes):
                hasher.update(piece)
        if hasher.digest() != entry.file.restored_hash:
            raise corrupt("EB-E06", f"content of {show(entry.path)!r} does not match its hash")
        if self.features is not None and not self.features & LOSSY and entry.file.original_hash != entry.file.restored_hash:
            raise corrupt("EB-H02", f"{show(entry.path)!r} differs from its original in an archive that says it has no loss")
        return hasher.digest()


def check_receipts(variable: Variable, receipts: list[Receipt | None]) -> None:
    found = [r for r in receipts if r]
    if not receipts:
        return
    v = variable.receipt
    sound = (v is None and not found) or (v is not None and len(found) == len(receipts))
    if v and found and sound:
        sums = (sum(r.finite for r in found), sum(r.non_finite for r in found), sum(r.exact for r in found))
        sound = sums == (v.finite, v.non_finite, v.exact) and v.max_error == max(r.max_error for r in found)
    if not sound:
        raise corrupt("EB-V02", f"receipt of variable {variable.name!r} is not that of its blocks")


@dataclass
class Scan:
    """All whole frames of an archive, in the order in which they stand, and what is wrong between them."""

    data: Data
    tag: int
    frames: list[Frame]
    problems: list[ArchiveError]

    def find_blocks(self) -> dict[int, int]:
        blocks = dict[int, int]()
        for frame in self.frames:
            if frame.prefix.kind == BLOCK and len(frame.record) >= 10:
                blocks.setdefault(int.from_bytes(frame.record[2:10], "little"), frame.offset)
        return blocks


def scan(data: Data) -> Scan:
    """Finds frames by their sync bytes, without any index."""
    whole, broken, at = list[Frame](), dict[int, ArchiveError](), 0
    budget = 16 * len(data) + (1 << 30)  # bytes checksummed: keeps overlapping lies from costing quadratic time
    while (at := data.find(SYNC, at)) >= 0:
        try:
            frame = read_frame(data, at)
            whole.append(frame)
            at += frame.prefix.frame_len
        except ArchiveError as error:
            broken[at] = error
            if error.rule not in ("EB-F01", "EB-F02"):
                budget -= MAX_PAYLOAD if error.rule == "EB-F07" else MAX_RECORD if error.rule == "EB-F05" else 0
            at += len(SYNC)
        if budget < 0:
            raise limit("EB-A05", "too many damaged frames overlap")
    tag = choose_tag(data, whole)
    frames = [frame for frame in whole if frame.prefix.tag == tag]
    problems, end, seq = list[ArchiveError](), 0, 0
    for frame in frames:
        if frame.offset != end:
            problems.append(broken.get(end) or corrupt("EB-F01", f"bytes {end} to {frame.offset} are no frame of this archive"))
        if frame.prefix.seq != seq:
            problems.append(corrupt("EB-A01", f"frame {frame.prefix.seq} stands where frame {seq} should"))
        end, seq = frame.offset + frame.prefix.frame_len, frame.prefix.seq + 1
    if not frames:
        raise broken.get(0) or corrupt("EB-F01", "no frame was found: this is no errbar archive")
    if frames[-1].prefix.kind != TAIL:
        problems.append(broken.get(end) or ArchiveError("truncated", "EB-A02", "archive does not end with its TAIL"))
    elif end != len(data):
        problems.append(corrupt("EB-A02", f"{len(data) - end} bytes follow the TAIL"))
    return Scan(data, tag, frames, problems)


def choose_tag(data: Data, frames: list[Frame]) -> int:
    """The archive's tag: of its HEAD, else of its TAIL, else of the most bytes."""
    if frames and frames[0].offset == 0:
        return frames[0].prefix.tag
    if frames and frames[-1].prefix.kind == TAIL and frames[-1].offset + frames[-1].prefix.frame_len == len(data):
        return frames[-1].prefix.tag
    sums = dict[int, int]()
    for frame in frames:
        sums[frame.prefix.tag] = sums.get(frame.prefix.tag, 0) + frame.prefix.frame_len
    return max(sums, key=lambda tag: sums[tag], default=0)


def open_archive(data: Data) -> Archive:
    """Opens by the index if that is sound, else by scanning."""
    try:
        return open_by_index(data)
    except ArchiveError as error:
        if error.rule == "EB-H01":
            raise
    return open_by_scan(data)


def referenced(data: Data, ref: PageRef, kind: int, tag: int, before: int) -> Frame:
    """The frame that a PageRef names. What is referred to stands before what refers to it."""
    if ref.offset % 8 or ref.offset + ref.frame_len > before:
        raise corrupt("EB-I04", "a reference leaves the part of the archive before it")
    frame = read_frame(data, ref.offset)
    if frame.prefix.kind != kind or frame.prefix.tag != tag or frame.prefix.frame_len != ref.frame_len:
        raise corrupt("EB-I04", "a reference names another frame")
    if blake(frame.record if kind == META else frame.payload(data)) != ref.hash:
        raise corrupt("EB-I05", "a page does not match its hash")
    return frame


def walk(data: Data, ref: PageRef, content: str, tag: int, before: int, level: int | None = None) -> Iterator[tuple[bytes, Page]]:
    """The leaves below a page, each with the key under which it was found."""
    frame = referenced(data, ref, INDEX, tag, before)
    page = read_page(frame, data)
    if level is not None and page.level != level:
        raise corrupt("EB-I03", f"page of level {page.level} where level {level} should be")
    if page.level == 0:
        if page.content != content:
            raise corrupt("EB-I03", f"page lists {page.content}, expected {content}")
        yield b"", page
        return
    if not page.items:
        raise corrupt("EB-I04", "page of pages is empty")
    for child in page.items:
        for i, (key, leaf) in enumerate(walk(data, child.page, content, tag, frame.offset, page.level - 1)):
            if i == 0 and key not in (b"", child.key):
                raise corrupt("EB-I04", "key is not the smallest key below it")
            yield (child.key if i == 0 else key), leaf


def read_index(data: Data) -> tuple[Tail, list[Entry], list[BlockRef]]:
    tail_at = len(data) - TAIL_FRAME_LEN
    if tail_at < 0:
        raise ArchiveError("truncated", "EB-A02", "file is too short to be an archive")
    frame = read_frame(data, tail_at)
    if frame.prefix.kind != TAIL:
        raise corrupt("EB-A02", "archive does not end with its TAIL")
    tail = read_tail(frame.record)
    tag = tail.head.tag
    head_frame = read_frame(data, 0)
    if head_frame.prefix.kind != HEAD or read_head(head_frame.record) != tail.head or {head_frame.prefix.tag, frame.prefix.tag} != {tag}:
        raise corrupt("EB-A03", "HEAD and TAIL contradict each other")
    referenced(data, tail.meta, META, tag, tail_at)
    entries, refs = list[Entry](), list[BlockRef]()
    for key, page in walk(data, tail.entries, "entries", tag, tail_at) if tail.entries.frame_len else ():
        if not page.items or key not in (b"", page.items[0].path):
            raise corrupt("EB-I04", "key is not the smallest key below it")
        if entries and path_key(entries[-1].path) >= path_key(page.items[0].path):
            raise corrupt("EB-I04", "pages of entries are out of order")
        entries += page.items
    for key, page in walk(data, tail.blocks, "blocks", tag, tail_at) if tail.blocks.frame_len else ():
        if not page.items or key not in (b"", len(refs).to_bytes(8, "big")):
            raise corrupt("EB-I04", "key is not the smallest key below it")
        for ref in page.items:
            if refs and refs[-1].offset >= ref.offset:
                raise corrupt("EB-I04", "blocks are out of order")
            refs.append(ref)
    if (len(entries), len(refs)) != (tail.n_entries, tail.n_blocks):
        raise corrupt("EB-A03", f"index lists {len(entries)} entries and {len(refs)} blocks, not what TAIL says")
    return tail, entries, refs


def open_by_index(data: Data) -> Archive:
    tail, entries, refs = read_index(data)
    blocks = {number: ref.offset for number, ref in enumerate(refs)}
    return Archive(data, tail.head.tag, tail.head.required_features, entries, blocks)


def open_by_scan(data: Data) -> Archive:
    """Salvage: entries from ENTRIES frames, then from the index's pages; blocks from BLOCK frames."""
    found = scan(data)
    archive = Archive(data, found.tag, None, [], found.find_blocks(), list(found.problems), scanned=True)
    entries = dict[bytes, Entry]()
    for frame in found.frames:
        kind = frame.prefix.kind
        try:
            if kind == HEAD:
                archive.features = read_head(frame.record).required_features
            elif kind == TAIL:
                archive.features = read_tail(frame.record).head.required_features
            elif kind in (ENTRIES, INDEX):
                page = read_page(frame, data)
                for entry in page.items if page.content == "entries" else ():
                    before = entries.setdefault(entry.path, entry)
                    if before.raw != entry.raw or (kind == ENTRIES and before is not entry):
                        archive.problems.append(ArchiveError("refused", "EB-T01", f"{show(entry.path)!r} stands twice"))
            elif kind > DOCUMENT and not frame.prefix.flags & ANCILLARY or kind == 0:
                raise unsupported("EB-A04", f"needs a reader for frames of kind {kind}")
        except ArchiveError as error:
            if error.kind in ("unsupported", "refused"):
                raise
            archive.problems.append(error)
    archive.entries = sorted(entries.values(), key=lambda e: path_key(e.path))
    twice = next((p for p in archive.problems if p.rule == "EB-T01"), None)
    if twice:
        raise twice
    return archive


def check_tree(archive: Archive) -> None:
    """Refuses a list of entries that no file tree has, before anything is written."""
    check_order(archive.entries)
    kinds = {entry.path: entry.kind for entry in archive.entries}
    for entry in archive.entries:
        parts = entry.path.split(b"/")
        for n in range(1, len(parts)):
            if kinds.get(b"/".join(parts[:n]), "directory") != "directory":
                raise ArchiveError("refused", "EB-T02", f"{show(entry.path)!r} lies below an entry that is no directory")
        if entry.kind == "hardlink" and kinds.get(entry.target) != "file" and not (archive.problems and entry.target not in kinds):
            raise ArchiveError("refused", "EB-T03", f"{show(entry.path)!r} is a hard link to no file of this archive")


# ---------------------------------------------------------------- verify


def verify(data: Data) -> list[ArchiveError]:
    """Everything that can be checked without the originals. An empty list: the archive is sound."""
    archive = open_by_scan(data)
    problems = list(archive.problems)

    def attempt(check: Callable[[], object]) -> None:
        try:
            check()
        except ArchiveError as error:
            problems.append(error)

    found = scan(data)
    attempt(lambda: check_frames(found))
    if not found.problems:
        attempt(lambda: check_index(found))
    attempt(lambda: check_tree(archive))
    used = set[int]()
    for entry in archive.entries:
        if entry.file:
            used.update(n for numbers in entry.file.blocks() for n in numbers[: len(archive.blocks)])
            attempt(lambda entry=entry: archive.restored_hash(entry))
    for number in archive.blocks.keys() - used:
        attempt(lambda number=number: archive.decode(*archive.block(number)))
    return problems


def check_frames(found: Scan) -> None:
    """The order of frames, and that everything an ENTRIES frame needs stands before it."""
    phase, n_blocks, metas, data = -1, 0, 0, found.data
    for i, frame in enumerate(found.frames):
        kind, before = frame.prefix.kind, phase
        if kind > DOCUMENT or kind == DOCUMENT:
            if kind == DOCUMENT:
                read_document(frame, data)
            continue
        if kind == META:
            metas += 1
            read_meta(frame.record)
        phase = {HEAD: 0, META: 1 if metas == 1 else 3, BLOCK: 2, ENTRIES: 2, INDEX: 4, TAIL: 5}[kind]
        if phase < before or (kind == HEAD) != (i == 0) or metas > 2 or before == 5:
            raise corrupt("EB-A01", f"frame {i} of kind {kind} is out of order")
        if kind == BLOCK:
            block = read_block(frame.record)
            if not found.problems and block.number != n_blocks:
                raise corrupt("EB-A01", f"block {block.number} stands where block {n_blocks} should")
            n_blocks += 1
        if kind == ENTRIES and not found.problems:
            page = read_page(frame, data)
            if page.content != "entries":
                raise corrupt("EB-I03", "ENTRIES frame lists no entries")
            for entry in page.items:
                if entry.file and any(numbers and numbers[-1] >= n_blocks for numbers in entry.file.blocks()):
                    raise corrupt("EB-A01", f"{show(entry.path)!r} stands before a block that it uses")


def check_index(found: Scan) -> None:
    """That the index says what the frames say."""
    tail, entries, refs = read_index(found.data)
    listed = list[Entry]()
    blocks, pages, metas = list[tuple[int, int, int]](), list[int](), list[Frame]()
    for frame in found.frames:
        if frame.prefix.kind == ENTRIES:
            listed += read_page(frame, found.data).items
        elif frame.prefix.kind == BLOCK:
            blocks.append((frame.offset, frame.prefix.frame_len, read_block(frame.record).decoded_len))
        elif frame.prefix.kind == INDEX:
            pages.append(frame.offset)
        elif frame.prefix.kind == META:
            metas.append(frame)
    if sorted(e.raw for e in listed) != sorted(e.raw for e in entries):
        raise corrupt("EB-A03", "the index's entries are not those of the ENTRIES frames")
    if blocks != [(r.offset, r.frame_len, r.decoded_len) for r in refs]:
        raise corrupt("EB-A03", "the index's blocks are not the BLOCK frames")
    if tail.index_offset != (pages[0] if pages else len(found.data) - TAIL_FRAME_LEN):
        raise corrupt("EB-A03", "TAIL does not say where the index begins")
    if len(metas) != 2 or metas[0].record != metas[1].record or metas[1].offset != tail.meta.offset:
        raise corrupt("EB-A03", "the second META is not a copy of the first")


# ---------------------------------------------------------------- unpack


def unpack(archive: Archive, target: str) -> list[ArchiveError]:
    """Restores the tree into a new or empty directory; gives what could not be restored."""
    check_tree(archive)
    os.makedirs(target, exist_ok=True)
    root = os.fsencode(os.path.realpath(target))
    if os.listdir(root):
        raise ArchiveError("refused", "EB-T04", f"{target} is not empty")
    problems, at = list(archive.problems), lambda path: os.path.join(root, path)
    done = set[bytes]()
    for entry in archive.entries:
        os.makedirs(os.path.dirname(at(entry.path)), exist_ok=True)
        if entry.kind == "directory":
            os.makedirs(at(entry.path), exist_ok=True)
        elif entry.file:
            temporary = at(entry.path)[: -len(os.path.basename(at(entry.path)))] + b".errbar-part"
            try:
                write_file(archive, entry, temporary)
                os.rename(temporary, at(entry.path))
                done.add(entry.path)
            except ArchiveError as error:
                os.unlink(temporary)
                problems.append(error)
    for entry in archive.entries:
        if entry.kind == "symlink":
            os.symlink(entry.target, at(entry.path))
        elif entry.kind == "hardlink":
            if entry.target in done:
                os.link(at(entry.target), at(entry.path), follow_symlinks=False)
            else:
                problems.append(corrupt("EB-T03", f"{show(entry.path)!r} is a hard link to a file that was lost"))
    for entry in reversed(archive.entries):  # contents before their directories
        a = entry.attributes
        if a and os.path.lexists(at(entry.path)):
            if entry.kind != "symlink":
                os.chmod(at(entry.path), a.mode & 0o777)  # set-id bits only ever on request
            try:
                os.utime(at(entry.path), ns=(a.mtime_s * 10**9 + a.mtime_ns,) * 2, follow_symlinks=False)
            except (OverflowError, OSError):
                print(f"note: {show(entry.path)}: modification time cannot be set", file=sys.stderr)
    return problems


def write_file(archive: Archive, entry: Entry, name: bytes) -> None:
    assert entry.file
    hasher = blake3.blake3()
    with open(name, "xb") as out:
        for piece in archive.content(entry):
            if isinstance(piece, int):
                out.seek(piece, os.SEEK_CUR)
            else:
                out.write(piece)
                hasher.update(piece)
        out.truncate(entry.file.size)
        if hasher.digest() != entry.file.restored_hash:
            raise corrupt("EB-E06", f"content of {show(entry.path)!r} does not match its hash")


# ---------------------------------------------------------------- program


def list_entries(archive: Archive) -> None:
    for entry in archive.entries:
        size = entry.file.size if entry.file else 0
        link = f" -> {show(entry.target)}" if entry.target else ""
        print(f"{entry.kind:9} {entry.attributes.mode if entry.attributes else 0:04o} {size:>14} {show(entry.path)}{link}")
        for v in entry.file.variables if entry.file else []:
            r = v.receipt
            asked = f"  {r.bound} {r.asked:g}, worst {r.max_error:g}" if r else ""
            print(f"    {v.name!r} {v.dtype.name} {v.shape}{' column-major' if v.column_major else ''}{asked}")


def run(arguments: list[str]) -> list[ArchiveError]:
    command, name, *rest = arguments
    with open(name, "rb") as file:
        data: Data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    match command, rest:
        case "verify", []:
            return verify(data)
        case "list", []:
            archive = open_archive(data)
            list_entries(archive)
        case "hash", []:
            archive = open_archive(data)
            hashes = {show(e.path): archive.restored_hash(e).hex() for e in archive.entries if e.file}
            print(json.dumps(hashes, sort_keys=True, indent=1))
        case "unpack", [target]:
            archive = open_archive(data)
            return unpack(archive, target)
        case "cat", [path]:
            archive = open_archive(data)
            entry = archive.entry(os.fsencode(path))
            for piece in archive.content(entry) if entry.file else ():
                while isinstance(piece, int) and piece > 1 << 20:
                    sys.stdout.buffer.write(bytes(1 << 20))
                    piece -= 1 << 20
                sys.stdout.buffer.write(bytes(piece))
        case "get", [path, variable, out]:
            archive = open_archive(data)
            np.save(out, archive.variable(archive.entry(os.fsencode(path)), variable))
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
