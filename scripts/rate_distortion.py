#!/usr/bin/env python3
"""Draws rate against distortion of several compressors as an SVG.

    rate_distortion.py CELLS.tsv OUT.svg PEER…

CELLS.tsv has a line for every array, bound and compressor, with the columns file, rel (the bound, a
share of the range), peer, raw_bytes, bytes and psnr (in dB). A point is a bound: the mean size of
the arrays that all PEERs coded, in per cent of the raw bytes, and the mean PSNR.
"""
import csv
import math
import sys
from collections import defaultdict

WIDTH, HEIGHT, MARGIN = 640, 400, 56
COLOURS = ["#c0392b", "#2c6fbb", "#2e8b57", "#8e6bbf", "#b8860b", "#555555"]


def read(path, peers):
    """PSNR and size by peer and bound, over the arrays that every peer has a finite figure for."""
    cells = defaultdict(dict)
    with open(path, newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            size, psnr = float(row["bytes"]), float(row["psnr"])
            if row["peer"] in peers and math.isfinite(size) and math.isfinite(psnr):
                cells[row["file"], float(row["rel"])][row["peer"]] = (size / float(row["raw_bytes"]), psnr)
    points = defaultdict(list)
    for rel in sorted({rel for _, rel in cells}, reverse=True):
        shared = [by_peer for (_, r), by_peer in cells.items() if r == rel and len(by_peer) == len(peers)]
        for peer in peers:
            sizes = [by_peer[peer][0] for by_peer in shared]
            size = 100 * math.exp(sum(map(math.log, sizes)) / len(sizes))
            points[peer].append((size, sum(by_peer[peer][1] for by_peer in shared) / len(shared)))
    return points, len({file for file, _ in cells})


def draw(points, arrays):
    sizes = [size for line in points.values() for size, _ in line]
    psnrs = [psnr for line in points.values() for _, psnr in line]
    low, high = math.log10(min(sizes) * 0.8), math.log10(max(sizes) * 1.25)
    bottom, top = 10 * math.floor(min(psnrs) / 10), 10 * math.ceil(max(psnrs) / 10)
    x = lambda size: MARGIN + (math.log10(size) - low) / (high - low) * (WIDTH - 2 * MARGIN)
    y = lambda psnr: HEIGHT - MARGIN - (psnr - bottom) / (top - bottom) * (HEIGHT - 2 * MARGIN)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for psnr in range(bottom, top + 1, 20):
        out.append(f'<path d="M{MARGIN} {y(psnr):.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>'
                   f'<text x="{MARGIN - 6}" y="{y(psnr) + 4:.1f}" text-anchor="end">{psnr}</text>')
    for size in (0.5, 1, 2, 5, 10, 20, 50, 100):
        if low <= math.log10(size) <= high:
            out.append(f'<path d="M{x(size):.1f} {MARGIN}V{HEIGHT - MARGIN}" stroke="#ddd"/>'
                       f'<text x="{x(size):.1f}" y="{HEIGHT - MARGIN + 16}" text-anchor="middle">{size:g}</text>')
    for i, (peer, line) in enumerate(points.items()):
        path = "L".join(f"{x(size):.1f} {y(psnr):.1f}" for size, psnr in line)
        colour = COLOURS[i % len(COLOURS)]
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x(size):.1f}" cy="{y(psnr):.1f}" r="3" fill="{colour}"/>' for size, psnr in line]
        out.append(f'<text x="{MARGIN + 12}" y="{MARGIN + 16 + 16 * i}" fill="{colour}">{peer}</text>')
    out.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">size in % of raw, geometric mean of {arrays} arrays'
               '</text>')
    out.append(f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">PSNR in dB, mean</text></svg>')
    return "\n".join(out) + "\n"


def main():
    path, target, *peers = sys.argv[1:]
    with open(target, "w") as file:
        file.write(draw(*read(path, peers)))


if __name__ == "__main__":
    main()
