"""Numbers printed in lines of text: spec/lines.md."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reader_base import corrupt

MAX_DIGITS, MAX_TEXTS = 30, 65_536


def is_possible(cell: Any, dtype: Any, max_inline: int) -> bool:
    """EB-E12: whether elements of a type can be printed so."""
    p = cell.print
    texts = sum(map(len, p.list)) if p.kind == "text" else 0 if p.kind == "integer" else len(p.missing)
    digits = p.digits if p.kind in ("fixed", "scientific") else 0
    width = 0 if cell.pad.kind == "none" else cell.pad.width
    of_type = {"integer": dtype.name[0] in "iu", "text": dtype.name[0] == "u" and texts > 0}.get(p.kind, dtype.name == "f64")
    short = max(len(cell.before), len(cell.between), width) <= max_inline and texts <= MAX_TEXTS
    return of_type and short and digits <= MAX_DIGITS


def print_element(p: Any, x: Any) -> bytes:
    if p.kind == "integer":
        return str(int(x)).encode()
    if p.kind == "text":
        if int(x) >= len(p.list):
            raise corrupt("EB-E13", f"no text has the number {int(x)}")
        return p.list[int(x)]
    x = float(x)
    if math.isnan(x):
        return p.missing
    if math.isinf(x):
        return b"-inf" if x < 0 else b"inf"
    if p.kind == "fixed":
        return f"{x:.{p.digits}f}".encode()
    if p.kind == "scientific":
        return f"{x:.{p.digits}{'E' if p.upper else 'e'}}".encode()
    shortest = repr(x)
    return (shortest if p.point else shortest.removesuffix(".0")).encode()


def print_rows(s: Any, fields: list[Any], columns: list[np.ndarray]) -> bytes:
    """The lines of some records; of each field the bytes of its elements, [records, bytes]."""
    elements = []
    for v, column in zip(fields, columns):
        dtype = f"{'>' if v.big_endian else '<'}{v.dtype.name[0]}{v.dtype.size}"
        elements.append(np.ascontiguousarray(column).view(dtype))
    out = bytearray()
    for row in range(len(columns[0])):
        for cell, column in zip(s.cells, elements):
            out += cell.before
            for k, x in enumerate(column[row]):
                text = print_element(cell.print, x)
                width = 0 if cell.pad.kind == "none" else cell.pad.width
                out += cell.between if k else b""
                out += {"before": bytes.rjust, "zeros": bytes.zfill}.get(cell.pad.kind, bytes.ljust)(text, width)
        out += s.end
    return bytes(out)
