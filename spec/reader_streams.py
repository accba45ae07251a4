"""Streams of a file that are made again of their content (filters.md)."""

import base64
import zlib
from collections.abc import Iterator
from typing import Any

import reader_filters as filters
from reader_base import corrupt


def is_possible(m: Any, max_piece: int, max_filters: int) -> bool:
    if m.kind == "deflate":
        return 1 <= m.level <= 9 and 1 <= m.mem_level <= 9 and 9 <= m.window_bits <= 15 and m.strategy <= 4
    return 1 <= m.piece <= max_piece and len(m.filters) <= max_filters and filters.are_possible(m.filters)


def compresses(m: Any) -> bool:
    return m.kind == "deflate" or any(f.kind in filters.STREAMS for f in m.filters)


class Deflate:
    """zlib, which makes a raw deflate stream."""

    def __init__(self, m: Any) -> None:
        self.piece = 65536  # what zlib is given at a time
        self.zlib = zlib.compressobj(m.level, zlib.DEFLATED, -m.window_bits, m.mem_level, m.strategy)

    def make(self, piece: bytes) -> bytes:
        return self.zlib.compress(piece)

    def end(self) -> bytes:
        return self.zlib.flush()


class Filters:
    """Filters for each piece, whose bytes may be written as text."""

    def __init__(self, m: Any) -> None:
        self.piece, self.filters, self.is_text = m.piece, m.filters, m.base64
        self.left = b""  # fewer than three bytes that are no text yet

    def make(self, piece: bytes) -> bytes:
        for f in self.filters if piece else []:
            piece = filters.apply(f, piece)
        if not self.is_text:
            return piece
        piece = self.left + piece
        whole = len(piece) // 3 * 3
        self.left = piece[whole:]
        return base64.b64encode(piece[:whole])

    def end(self) -> bytes:
        return base64.b64encode(self.left)


class Stream:
    """A stream that is made again of its content."""

    def __init__(self, s: Any) -> None:
        self.maker = Deflate(s.maker) if s.maker.kind == "deflate" else Filters(s.maker)
        self.expected, self.held = (s.length, s.crc), bytearray()
        self.len, self.crc = 0, 0
        self.pieces = [(piece.length, piece.behind) for piece in reversed(s.pieces)]

    def made(self, data: bytes) -> bytes:
        self.len, self.crc = self.len + len(data), zlib.crc32(data, self.crc)
        if self.len > self.expected[0]:
            raise corrupt("EB-E10", "another stream is made of its content")
        return self.around(data)

    def around(self, data: bytes) -> bytes:
        """The next bytes of the stream with the other bytes of the file that stand in them."""
        out = bytearray()
        while self.pieces:
            length, behind = self.pieces.pop()
            out += data[:length]
            if length > len(data):
                self.pieces.append((length - len(data), behind))
                return bytes(out)
            out += behind
            data = data[length:]
        return bytes(out + data)

    def write(self, content: bytes) -> Iterator[bytes]:
        self.held += content
        piece = self.maker.piece
        whole = len(self.held) // piece * piece
        for at in range(0, whole, piece):
            yield self.made(self.maker.make(bytes(self.held[at : at + piece])))
        del self.held[:whole]

    def end(self) -> bytes:
        last = self.made(self.maker.make(bytes(self.held)) + self.maker.end())
        if (self.len, self.crc) != self.expected:
            raise corrupt("EB-E10", "another stream is made of its content")
        return last
