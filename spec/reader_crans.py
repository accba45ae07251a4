"""The coders crans and carith, as stages/crans.md and stages/carith.md state them."""

from __future__ import annotations

import dataclasses
import math
from itertools import repeat
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from reader_base import Layout, corrupt, params
from reader_coding import (
    Bits, Extents, Offset, class_extents, classes, components_of, deltas, folded, grids_of, halo_of, merged, models, neighbour, shifted, strides_of,
    with_halo,
)  # fmt: skip

TOKENS = 247
SCALE = 4096
MOST = 16383
SMALL = 256
BINS = 160
OWN: list[list[Offset]] = [
    [(0, 0, 0, -1)],
    [(0, 0, 0, -2)],
    [(0, 0, -1, 0)],
    [(0, 0, -1, -1), (0, 0, -1, 1)],
    [(0, -1, 0, 0)],
    [(0, -1, 0, -1), (0, -1, 0, 1), (0, -1, -1, 0), (0, -1, 1, 0)],
    [(-1, 0, 0, 0)],
]
TREND = 12
RUN = 16
COARSE = (0, 2, 4, 6, 7, 8, 9, 10, 11, 12)
ABSENT = -1


def bad(what: str) -> Exception:
    return corrupt("EB-C02", f"crans: {what}")


def bin_of(context: int) -> int:
    if context >= 1024:
        return min(32 + (context - 1024) // 128, BINS - 1)
    t = context + 4
    k = t.bit_length() - 1
    return min(4 * (k - 2) + (t >> (k - 2)) % 4, 32)


def magnitude(word: int) -> int:
    m = word // 2 + word % 2
    if m < 8:
        return 16 * m
    k = m.bit_length() - 1
    q = m >> (k - 2)
    return (16 * q << (k - 2)) + 8 * ((1 << (k - 2)) - 1) if k < 6 else 1024 + 256 * (k - 6) + 64 * (q - 4) + 32


def least_word(token: int) -> int:
    """The word of a token whose raw bits are 0."""
    q = token - 15
    return token if q < 0 else 2 * (4 + q // 2 % 4 << q // 8 + 1) - q % 2


MAGNITUDES = [magnitude(least_word(token)) for token in range(TOKENS)]


def sign(word: int) -> int:
    return 1 + word % 2 if word else 0


SIGNS = [sign(least_word(token)) for token in range(TOKENS)]
# Of each pair of signs, its kind, and whether words are mirrored.
KIND_OF = [(0, False), (1, False), (1, True), (2, False), (3, False), (4, False), (2, True), (4, True), (3, True)]
ABOVE, BEFORE, LEFT2 = 1, 2, 3
OTHER = {ABOVE: (0, 0, -1, 0), BEFORE: (0, -1, 0, 0)}


def edge(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x, x


# ---------------------------------------------------------------- the header


class Class:
    """One class: which, where its words are, and what its contexts look at."""

    def __init__(self, finest: Extents, level: int, c: int, n: Extents, whole: Extents, is_last: bool) -> None:
        self.level, self.c, self.n, self.whole, self.is_last = level, c, n, whole, is_last
        self.own = [[o for o in group if all(o[d] == 0 or n[d] > 1 for d in range(4))] for group in OWN]
        self.others: dict[int, list[tuple[int, Offset]]] = {g: [] for g in range(7, 12)}
        order = classes(level)
        known = set(order[: order.index(c)])
        for delta in deltas([int(m > 1) for m in finest]):
            there, offset = neighbour(level, c, delta)
            away = sum(k != 0 for k in delta)
            if there in known and 1 <= away <= 3:
                group = 11 if away == 3 else 5 + 2 * away + (there == 0)
                self.others[group].append((there, offset))
        self.has_trend = n[3] > 1 and max(n[:3]) > 1
        self.weights = [0] * 13

    def members(self, group: int) -> int:
        if group == TREND:
            return 3 * self.has_trend
        return len(self.own[group] if group < 7 else self.others[group])

    def read_weights(self, bits: Bits, shared: list[list[int]]) -> None:
        if math.prod(self.n) >= SMALL:
            self.weights = [bits.tree(shared, 8) if self.members(g) else 0 for g in range(13)]
            return
        used = [g for g in COARSE if self.members(g)]
        for g in used:
            self.weights[g] = min(max(256 // len(used) // self.members(g), 1), 255)


def class_list(n: Extents, levels: tuple[int, ...]) -> list[Class]:
    grids = grids_of(n, levels)
    found = [Class(n, 0, 0, grids[-1], grids[-1], True)]
    for level, whole in zip(reversed(levels), reversed(grids[:-1])):
        order = classes(level)
        found += [Class(n, level, c, class_extents(whole, level, c), whole, c == order[-1]) for c in order[1:]]
    return found


def settle(frequency: list[int]) -> None:
    while True:
        total = sum(frequency)
        m = frequency.index(max(frequency))
        if total <= SCALE:
            frequency[m] += SCALE - total
            return
        frequency[m] -= min(total - SCALE, frequency[m] // 2)


def mirrored(token: int) -> int:
    return token and (token + 1 if token % 2 else token - 1)


Slots = list[tuple[int, int, int]]


def read_tables(bits: Bits, signs: int, components: int) -> list[list[list[Slots]]]:
    """For each component, pair of signs and bin the table's slots: frequency, slot - start, token."""
    shared = [models(16) for _ in range(16)]
    tables: list[Slots] = []
    first_length = [0] * TOKENS
    each = [[read_kind(bits, shared, tables, first_length) for _ in range(5 if signs else 1)] for _ in range(components)]
    if not tables:
        raise bad("no tables")
    turned = [[(f, within, mirrored(token)) for f, within, token in table] for table in tables]
    return [[[(turned if turns else tables)[i] for i in kinds[kind]] for kind, turns in KIND_OF if kind < len(kinds)] for kinds in each]


def read_kind(bits: Bits, shared: list, tables: list[Slots], first_length: list[int]) -> list[int]:
    """The tables of a kind, to be appended, and the one of each bin; lengths of the first are left for the next kind."""
    length, first = list(first_length), 0
    of_bin = [0] * BINS
    for i in range(bits.raw(8)):
        last = bits.raw(8)
        if not first <= last < BINS:
            raise bad("tables out of order")
        of_bin[first : last + 1] = [len(tables)] * (last + 1 - first)
        first = last + 1
        top = min(bits.raw(8), TOKENS - 1)
        before, length, frequency = length, [0] * TOKENS, [0] * TOKENS
        for t in range(top + 1):
            length[t] = min(bits.tree(shared[before[t]], 4), 13)
            if length[t]:
                below = length[t] - 1
                kept = min(below, 4)
                frequency[t] = min((1 << kept) + bits.raw(kept) << below - kept, SCALE)
        settle(frequency)
        tables.append([(f, slot, token) for token, f in enumerate(frequency) for slot in range(f)])
        if i == 0:
            first_length[:] = length
    return of_bin


# ---------------------------------------------------------------- words


class Bands:
    def __init__(self, n: Extents, is_one: bool = False) -> None:
        many = None if is_one else next((a for a in (2, 1, 0) if n[a] >= 24), None)
        in_pieces = not is_one and many is None and n[3] >= 64
        is_one = is_one or in_pieces
        self.axis = 2 if is_one else max((2, 1, 0), key=lambda a: n[a]) if many is None else many
        self.count = 1 if is_one or n[self.axis] < 8 else 2 if n[self.axis] < 16 else 4
        # Where the words of each piece stand in a row, one piece after the other; -1 behind the shorter ones.
        self.pieces = None
        if in_pieces:
            length = n[3] // 4
            self.pieces = np.full((4, n[3] - 3 * length), -1)
            self.pieces[:3, :length] = np.arange(3 * length).reshape(3, length)
            self.pieces[3] = np.arange(3 * length, n[3])
        self.slices = -(-n[self.axis] // self.count)
        self.inner, self.outer = math.prod(n[self.axis + 1 : 3]), math.prod(n[: self.axis])


def runs_of(n: Extents) -> list[tuple[int, int]]:
    """Where the runs of a row of a class begin and end."""
    pieces = Bands(n).pieces
    ends = [(0, n[3])] if pieces is None else [(int(piece[0]), int(piece.max()) + 1) for piece in pieces]
    return [(x, min(x + RUN, end)) for first, end in ends for x in range(first, end, RUN)]


def read_zeros(data: bytes, found: list[Class], absent: np.ndarray | None) -> np.ndarray:
    """Which words are in runs of zeros or absent."""
    bits, contexts = Bits(data), models(128)
    parts: list[np.ndarray] = []
    at = 0
    for k in found:
        (outer, planes, rows, width), size = k.n, math.prod(k.n)
        gone = np.zeros(k.n, bool) if absent is None else absent[at : at + size].reshape(k.n)
        zero = np.zeros(k.n, bool)
        before = parts[-1] if parts and k.level and k.c != classes(k.level)[1] else np.zeros((0, 0, 0, 0), bool)
        runs = runs_of(k.n)
        for o, p, q in np.ndindex(outer, planes, rows):
            in_before = o < before.shape[0] and p < before.shape[1] and q < before.shape[2]
            for x, y in runs:
                if gone[o, p, q, x:y].all():
                    zero[o, p, q, x:y] = True
                    continue
                around = (
                    x > 0 and zero[o, p, q, x - 1],
                    q > 0 and zero[o, p, q - 1, x],
                    q > 0 and y < width and zero[o, p, q - 1, y],
                    q > 0 and x > 0 and zero[o, p, q - 1, x - 1],
                    p > 0 and zero[o, p - 1, q, x],
                    o > 0 and zero[o - 1, p, q, x],
                    in_before and x < before.shape[3] and before[o, p, q, x],
                )
                zero[o, p, q, x:y] = bits.bit(contexts[sum(bool(is_zero) << i for i, is_zero in enumerate(around))])
        parts.append(zero)
        at += size
    marks = np.concatenate([part.reshape(-1) for part in parts])
    return marks if absent is None else marks | absent


class Words:
    """The four states, and the words that they give."""

    def __init__(self, signs: int, tables: list[list[list[Slots]]], axis: int, data: bytes, raw: bytes) -> None:
        self.signs = signs
        bins = [bin_of(context) for context in range(3 * MOST)]
        self.components = [[[table[b] for b in bins] for table in of_pairs] for of_pairs in tables]
        self.axis, self.by_context = axis, self.components[0]
        self.words = np.frombuffer(data, "<u2").tolist()
        if len(self.words) < 8:
            raise bad("no states")
        self.states = [self.words[2 * i] << 16 | self.words[2 * i + 1] for i in range(4)]
        self.n_words, self.at = len(self.words), 8
        self.raw, self.raw_at, self.held, self.n_held = raw, 0, 0, 0

    def take_raw(self, n: int) -> int:
        while self.n_held < n:
            byte = self.raw[self.raw_at] if self.raw_at < len(self.raw) else 0
            self.held |= byte << self.n_held
            self.raw_at += 1
            self.n_held += 8
        bits = self.held & ((1 << n) - 1)
        self.held >>= n
        self.n_held -= n
        return bits

    def wave(self, sums: list[int], others: list[int], turns: list[int], rows: int, left: int, left2: int) -> tuple[list[int], list[int]]:
        """Words and magnitudes of the points of a wave, `rows` of each x side by side; `others` are the signs of
        other rows' words; a turn below 0: absent."""
        states, data, at, by_context = self.states, self.words, self.at, self.by_context
        signs = [0] * (2 * rows)
        of_left, of_left2 = 3 * bool(self.signs), int(self.signs == LEFT2)
        data.extend(repeat(0, max(0, at + len(sums) - len(data))))  # what is read in vain
        m = [0] * (2 * rows)
        out: list[int] = []
        for i, (total, turn) in enumerate(zip(sums, turns)):
            if turn < 0:
                out.append(0)
                m.append(0)
                signs.append(0)
                continue
            context = (total + left * m[i + rows] + left2 * m[i]) >> 8
            state = states[turn]
            pair = others[i] + of_left * signs[i + rows] + of_left2 * signs[i]
            frequency, within, token = by_context[pair][context][state & 4095]
            state = frequency * (state >> 12) + within
            if state < 65536:
                state = state << 16 | data[at]
                at += 1
            states[turn] = state
            out.append(token)
            m.append(MAGNITUDES[token])
            signs.append(SIGNS[token])
        if at > self.n_words:
            raise bad("16-bit words are missing")
        self.at = at
        # Raw bits stand row by row.
        for i in (i for row in range(rows) for i in range(row, len(out), rows) if out[i] >= 15):
            out[i] = least_word(out[i]) + 2 * self.take_raw((out[i] - 15) // 8 + 1)
        return out, m[2 * rows :]

    def bands(self, n: Extents) -> Bands:
        return Bands(n)

    def start_class(self, k: Class) -> None:
        pass

    def start_row(self, place: tuple[int, ...]) -> None:
        if len(self.components) > 1:
            self.by_context = self.components[place[self.axis]]

    def finish(self) -> None:
        if self.at != self.n_words or self.raw_at < len(self.raw) or self.held or self.states != [65536] * 4:
            raise bad("the states do not end where they began")


def side_by_side(flat: np.ndarray, count: int, apart: int) -> np.ndarray:
    """Views of a buffer, each beginning `apart` later than the one before."""
    n = len(flat) - (count - 1) * apart
    return as_strided(flat, (count, n), (apart * flat.itemsize, flat.itemsize))


def decode_class(k: Class, words: Words | AdaptiveWords, finest: Extents, activity: dict[int, np.ndarray], absent: np.ndarray | None) -> tuple:
    """Words and activity of a class; wave by wave, all bands of a wave side by side."""
    n, w, bands = k.n, k.weights, words.bands(k.n)
    axis, count, slices, width, pieces = bands.axis, bands.count, bands.slices, n[3], bands.pieces
    # What other classes say is known for all words at once.
    sums = np.zeros(n, np.int64)
    for g, members in k.others.items():
        for there, offset in members if w[g] else []:
            sums += w[g] * shifted(activity[there], offset, n, finest).astype(np.int64)
    halo = [2 if m > 1 else 0 for m in n]
    wide = [m + 2 * h for m, h in zip(n, halo)]
    strides, plain = strides_of(tuple(wide)), strides_of(n)
    apart, apart_plain = slices * strides[axis], slices * plain[axis]
    own_flat = np.zeros(math.prod(wide) + count * apart, np.int64)
    own = side_by_side(own_flat, count, apart)
    sums_flat = np.concatenate([sums.reshape(-1), np.zeros(count * apart_plain, np.int64)])
    sums = side_by_side(sums_flat, count, apart_plain)
    out_flat = np.zeros(len(sums_flat), np.uint64)
    out = side_by_side(out_flat, count, apart_plain)
    if absent is not None:
        absent = side_by_side(np.concatenate([absent, np.zeros(count * apart_plain, bool)]), count, apart_plain)

    def leads_away(o: Offset) -> bool:
        return o[axis] < 0 and not any(o[:axis])

    def ways(is_first: bool) -> list[tuple[int, list[int]]]:
        found = [(w[g], [o for o in k.own[g] if not (is_first and leads_away(o))]) for g in range(2, 7) if w[g]]
        return [(weight, [sum(a * s for a, s in zip(o, strides)) for o in group]) for weight, group in found if group]

    first_ways, later_ways = ways(True), ways(False)
    other = OTHER.get(words.signs)
    if other and any(o and n[d] == 1 for d, o in enumerate(other)):
        other = None
    other_step = sum(a * s for a, s in zip(other, strides)) if other else 0
    signs_flat = np.zeros(len(own_flat), np.int64)
    signs = side_by_side(signs_flat, count, apart)
    trend = np.zeros((count, width + 4), np.int64)
    uses_trend = bool(w[TREND]) and k.has_trend
    wave_turns = {r: list(range(r)) * width for r in range(count + 1)}
    for o in range(bands.outer):
        for s in range(slices):
            rows = sum(b * slices + s < n[axis] for b in range(count))
            for i in range(bands.inner):
                row = (o * n[axis] + s) * bands.inner + i
                at = row * width
                place = (row // n[2] // n[1], row // n[2] % n[1], row % n[2], 0)
                start = sum((p + h) * t for p, h, t in zip(place, halo, strides))
                here = sums[:rows, at : at + width]
                for weight, members in later_ways if s else first_ways:
                    total = own[:rows, start + members[0] : start + members[0] + width]
                    for m in members[1:]:
                        total = total + own[:rows, start + m : start + m + width]
                    here += weight * total
                if uses_trend:
                    here += w[TREND] * (trend[:rows, :width] + trend[:rows, 2 : width + 2] + trend[:rows, 4:])
                np.minimum(here, MOST << 8, out=here)
                turns = wave_turns[rows]
                if absent is not None and (gone := absent[:rows, at : at + width]).any():
                    turns = np.where(gone.T.reshape(-1), ABSENT, turns).tolist()
                words.start_row(place)
                others = np.zeros((rows, width), np.int64)
                if other and (s or not leads_away(other)):
                    others = signs[:rows, start + other_step : start + other_step + width]
                if pieces is not None:
                    here, others = here[:, pieces][0], others[:, pieces][0]
                    turns = np.where(pieces < 0, ABSENT, np.array(turns)[pieces]).T.reshape(-1)
                    turns = np.where(turns < 0, turns, np.tile(range(4), len(turns) // 4)).tolist()
                lanes = len(here)
                got, m = words.wave(here.T.reshape(-1).tolist(), others.T.reshape(-1).tolist(), turns, lanes, w[0], w[1])
                found = np.array(got, np.uint64).reshape(-1, lanes).T
                magnitudes = np.array(m, np.int64).reshape(-1, lanes).T
                if pieces is not None:
                    found, magnitudes = found[pieces >= 0][None], magnitudes[pieces >= 0][None]
                out[:rows, at : at + width] = found
                if other:
                    signs[:rows, start : start + width] = np.where(found > 0, 1 + found % 2, 0)
                own[:rows, start : start + width] = magnitudes
                if uses_trend:
                    learn(trend[:rows], magnitudes)
    size = math.prod(n)
    own = own_flat[: math.prod(wide)].reshape(wide)[tuple(slice(h, h + m) for h, m in zip(halo, n))]
    context = sums_flat[:size].reshape(n)
    left, left2 = np.zeros(n, np.int64), np.zeros(n, np.int64)
    left[..., 1:], left2[..., 2:] = own[..., :-1], own[..., :-2]
    for first in () if pieces is None else pieces[1:, 0]:
        left[..., first] = left2[..., first : first + 2] = 0
    context += w[0] * left + w[1] * left2
    active = (np.minimum(context >> 8, MOST) + 2 * own) // 3
    return out_flat[:size], active.astype(np.int16)


def learn(trend: np.ndarray, m: np.ndarray) -> None:
    padded = np.concatenate([m[:, :1], m, m[:, -1:]], axis=1)
    smooth = (padded[:, :-2] + 2 * m + padded[:, 2:] + 2) >> 2
    trend[:, 2:-2] = (3 * trend[:, 2:-2] + smooth + 2) >> 2
    trend[:, :2], trend[:, -2:] = trend[:, 2:3], trend[:, -3:-2]


def all_words(found: list[Class], words: Words | AdaptiveWords, n: Extents, layout: Layout) -> np.ndarray:
    out = np.empty(layout.n, np.uint64)
    parts: dict[int, np.ndarray] = {}
    wide: dict[int, np.ndarray] = {}
    at = 0
    for k in found:
        words.start_class(k)
        end = at + math.prod(k.n)
        absent = None if layout.absent is None else layout.absent[at:end]
        out[at:end], parts[k.c] = decode_class(k, words, n, wide, absent)
        at = end
        wide[k.c] = with_halo(parts[k.c], n, edge)
        if k.is_last and k.level and k.whole != n:
            parts[0] = merged(k.whole, k.level, parts)
            wide[0] = with_halo(parts[0], n, edge)
    return out


class Crans:
    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(p == b"", "crans takes none")
        if layout.width > 4 or (layout.levels and len(layout.dims) != 4):
            raise bad("impossible layout")
        header_len = int.from_bytes(data[:4], "little")
        if len(data) < 4 + header_len:
            raise bad("too short")
        header, rest = data[4 : 4 + header_len], data[4 + header_len :]
        if not layout.n or (layout.absent is not None and layout.absent.all()):
            if rest:
                raise bad("bytes behind no words")
            return np.zeros(layout.dims, layout.numpy)
        n = layout.dims if layout.levels else folded(layout.dims)
        bits, shared = Bits(header), models(256)
        found = class_list(n, layout.levels)
        for k in found:
            k.read_weights(bits, shared)
        signs = bits.raw(2)
        axis, count = components_of(n) if not layout.levels else (0, 1)
        apart = count > 1 and bits.raw(1)
        tables = read_tables(bits, signs, count if apart else 1)
        if bits.raw(1):
            zeros_end = 4 + int.from_bytes(rest[:4], "little")
            if len(rest) < zeros_end:
                raise bad("too short")
            layout = dataclasses.replace(layout, absent=read_zeros(rest[4:zeros_end], found, layout.absent))
            rest = rest[zeros_end:]
        end = 4 + 2 * int.from_bytes(rest[:4], "little")
        if len(rest) < max(end, 4):
            raise bad("too short")
        words = Words(signs, tables, axis, rest[4:end], rest[end:])
        out = all_words(found, words, n, layout)
        words.finish()
        return out.astype(layout.numpy).reshape(layout.dims)


# ---------------------------------------------------------------- carith


def likely(b: int) -> int:
    return max(b // 4 - 2, 0) if b < 32 else 7 + (b - 32) // 2


class AdaptiveWords:
    """Words by adaptive range coding."""

    def __init__(self, coded: bytes, raw: bytes, bits: int) -> None:
        def fresh(*sizes: int) -> Any:
            return [fresh(*sizes[1:]) for _ in range(sizes[0])] if sizes else [1 << 15, 1 << 15, 0]

        self.bits, self.signs = bits, 0
        self.above, self.sign, self.mantissa, self.weights = fresh(BINS, 65), fresh(9), fresh(65, 8), fresh(256)
        self.coded, self.at = coded, 4
        self.code, self.range = int.from_bytes(coded[:4].ljust(4, b"\0"), "big"), 0xFFFFFFFF
        self.raw, self.raw_at, self.held, self.n_held = raw, 0, 0, 0
        self.row: list[int] = []

    def bands(self, n: Extents) -> Bands:
        return Bands(n, is_one=True)

    def start_class(self, k: Class) -> None:
        k.read_weights(self, self.weights)

    def start_row(self, place: tuple[int, ...]) -> None:
        if place[2] == 0:
            self.row = []

    def bit(self, model: list[int]) -> bool:
        fast, slow, seen = model
        ones = self.range * min(max(fast + slow >> 1, 48), 65488) >> 16
        is_one = self.code < ones
        if is_one:
            self.range = ones
        else:
            self.code -= ones
            self.range -= ones
        while self.range < 1 << 24:
            self.range <<= 8
            self.code = (self.code << 8 | (self.coded[self.at] if self.at < len(self.coded) else 0)) & 0xFFFFFFFF
            self.at += 1
        early = (seen + 3).bit_length() - 1
        for i, rate in ((0, min(4, early)), (1, min(7, early))):
            model[i] += (65535 - model[i] >> rate) if is_one else -(model[i] >> rate)
        model[2] = min(seen + 1, 125)
        return is_one

    def tree(self, shared: list[list[int]], n: int) -> int:
        node = 1
        for _ in range(n):
            node = 2 * node + self.bit(shared[node])
        return node - (1 << n)

    take_raw = Words.take_raw

    def word(self, b: int, signs: int) -> int:
        above = self.above[b]
        length = min(likely(b), self.bits - 1)
        if self.bit(above[length]):
            length += 1
            while length < self.bits and self.bit(above[length]):
                length += 1
        else:
            while length > 0 and not self.bit(above[length - 1]):
                length -= 1
        if not length:
            return 0
        negative = self.bit(self.sign[signs])
        modelled = min(length - 1, 3)
        m = 1
        for _ in range(modelled):
            m = 2 * m + self.bit(self.mantissa[length][m])
        rest = length - 1 - modelled
        return 2 * (m << rest | self.take_raw(rest)) - negative & (1 << self.bits) - 1

    def wave(self, sums: list[int], _: list[int], turns: list[int], rows: int, left: int, left2: int) -> tuple[list[int], list[int]]:
        m, out, up = [0, 0], [0], self.row or [0] * len(sums)
        for x, (total, turn) in enumerate(zip(sums, turns)):
            context = (total + left * m[-1] + left2 * m[-2]) >> 8
            word = 0 if turn < 0 else self.word(bin_of(context), 3 * sign(out[-1]) + sign(up[x]))
            out.append(word)
            m.append(magnitude(word))
        self.row = out[1:]
        return out[1:], m[2:]

    def finish(self) -> None:
        if self.at != len(self.coded) or self.raw_at != len(self.raw) or self.held or self.n_held >= 8:
            raise bad("the bits do not end where their bytes do")


class Carith:
    def decode(self, data: bytes, layout: Layout, p: bytes) -> np.ndarray:
        params(p == b"", "carith takes none")
        if layout.levels and len(layout.dims) != 4:
            raise bad("impossible layout")
        end = 4 + int.from_bytes(data[:4], "little")
        if len(data) < max(4, end):
            raise bad("too short")
        n = layout.dims if layout.levels else folded(layout.dims)
        words = AdaptiveWords(data[4:end], data[end:], 8 * layout.width)
        out = all_words(class_list(n, layout.levels), words, n, layout)
        words.finish()
        return out.astype(layout.numpy).reshape(layout.dims)
