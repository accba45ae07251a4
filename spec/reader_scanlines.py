"""Scanlines of PNG: rows of bytes less what a filter predicts of them (filters.md)."""

import math
from typing import Any

import numpy as np
from reader_base import corrupt


def is_possible(fields: list[Any]) -> bool:
    """EB-E14: whether the variables are filter types and pixels."""
    types, pixels = fields
    return types.dtype.name == "u8" and len(types.shape) == 1 and len(pixels.shape) >= 2


class Scanlines:
    """The rows of an image from the top down."""

    def __init__(self, pixels: Any) -> None:
        self.pixel = max(math.prod(pixels.shape[2:]) * pixels.dtype.size, 1)
        self.above: np.ndarray | None = None

    def lines(self, types: np.ndarray, rows: np.ndarray) -> bytes:
        """The next scanlines, of [rows, 1] filter types and [rows, bytes] pixels."""
        if types.size and types.max() > 4:
            raise corrupt("EB-E14", f"there is no filter type {types.max()}")
        made = bytearray()
        for of, row in zip(types[:, 0], rows.astype(np.int32)):
            above = np.zeros_like(row) if self.above is None else self.above
            made += bytes([of]) + ((row - predicted(of, row, above, self.pixel)) & 0xFF).astype(np.uint8).tobytes()
            self.above = row
        return bytes(made)


def predicted(of: int, row: np.ndarray, above: np.ndarray, pixel: int) -> np.ndarray:
    def left(of_row: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros(pixel, np.int32), of_row])[: len(of_row)]

    a, b, c = left(row), above, left(above)
    to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    paeth = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))
    return [np.zeros_like(row), a, b, (a + b) // 2, paeth][of]
