#!/usr/bin/env python3
"""Makes testdata/sample: a small directory such as an ocean model and a camera leave behind.

    python3 scripts/make_sample.py [FOLDER]

Needs numpy. All numbers are synthetic; the seed is fixed. The result is committed, so nobody
needs to run this to build or to test.
"""

import shutil
import sys
from pathlib import Path

import numpy as np

TIMES, LATS, LONS = 16, 40, 80

README = """\
Sample data
===========
Synthetic, made by scripts/make_sample.py. No measured value is in here.

ocean/temperature.npy  sea surface temperature, degrees Celsius, f32, time x latitude x longitude;
                       NaN over land; the sensor's noise is 0.02 degrees
ocean/pressure.npy     air pressure at sea level, hPa, f64, same grid, first half of the times
ocean/wind.f32         wind, m/s, raw little-endian f32, component x latitude x longitude;
                       its shape stands in errbar.toml alone
camera/frame-0001.npy  one exposure, counts, big-endian i16, row x column
station.csv            ten-minute readings of one station
run.log                what the model said while it ran
errbar.toml            the bounds that these data can bear
latest                 link to the newest temperature
DONE                   empty: the run has ended
"""

POLICY = """\
# How to pack this folder: errbar pack --policy errbar.toml FOLDER ARCHIVE
# Of the rules that match, the last one decides; what no rule matches stays exact.

[[rule]]
match = "ocean/temperature.npy"
bound = "abs=0.005"   # a quarter of the sensor's noise

[[rule]]
match = "ocean/pressure.npy"
bound = "rel=1e-5"    # of the range of the variable

[[rule]]
match = "*.f32"
raw = { dtype = "f32", shape = [2, 40, 80] }
bound = "abs=0.01"
"""


def ocean(rng):
    """Temperature (f32), pressure (f64) and wind (f32) on one grid of latitudes and longitudes."""
    lat = np.radians(np.linspace(-78, 78, LATS))[None, :, None]
    lon = np.radians(np.linspace(0, 355.5, LONS))[None, None, :]
    time = (np.arange(TIMES) / TIMES)[:, None, None]
    warm = 29 * np.cos(lat) ** 2 - 2
    eddies = 1.5 * np.sin(5 * lon + 4 * time) * np.cos(3 * lat) + 0.6 * np.sin(11 * lon - 7 * lat + 9 * time)
    temperature = warm + eddies + rng.normal(0, 0.02, (TIMES, LATS, LONS))
    land = np.sin(2 * lon + 0.7) + 0.6 * np.sin(3 * lon + 4 * lat) + 0.3 * np.cos(7 * lat) > 0.75
    temperature[np.broadcast_to(land, temperature.shape)] = np.nan
    half = time[: TIMES // 2]
    pressure = 1013.25 + 11 * np.sin(3 * lon + 2 * half) * np.sin(2 * lat) + 6 * np.cos(lat * 4 - half)
    pressure = pressure + rng.normal(0, 0.001, pressure.shape)
    wind = np.stack([9 * np.sin(4 * lat[0]) + 2 * np.cos(3 * lon[0]), 3 * np.sin(6 * lon[0]) * np.cos(lat[0])])
    wind += rng.normal(0, 0.05, wind.shape)
    return temperature.astype("<f4"), pressure.astype("<f8"), wind.astype("<f4")


def exposure(rng, rows=128, columns=160):
    """A sky with stars as a 14-bit camera sees it, i16."""
    y, x = np.mgrid[0:rows, 0:columns]
    counts = 310 + 0.2 * x + rng.normal(0, 6, (rows, columns))
    for row, column, peak in zip(rng.uniform(0, rows, 40), rng.uniform(0, columns, 40), rng.pareto(1.2, 40) * 250):
        counts += peak * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 5)
    return np.clip(np.rint(counts), 0, 16383).astype(">i2")


def station(rng, readings=432):
    """Three days of readings as CSV."""
    lines = ["time,temperature_C,humidity_percent,wind_m_s"]
    for i in range(readings):
        day, minute = divmod(i * 10, 1440)
        phase = 2 * np.pi * minute / 1440
        temperature = 14 - 6 * np.cos(phase) + rng.normal(0, 0.3)
        humidity = 70 + 18 * np.cos(phase) + rng.normal(0, 2)
        wind = abs(3 + rng.normal(0, 1.5))
        lines.append(f"2021-06-{day + 1:02}T{minute // 60:02}:{minute % 60:02}Z,{temperature:.1f},{humidity:.0f},{wind:.1f}")
    return "\n".join(lines) + "\n"


def log(rng, steps=200):
    """A model's log."""
    lines = ["ocean model, grid 40 x 80, step 900 s"]
    for step in range(1, steps + 1):
        lines.append(f"step {step:5}  cfl {rng.uniform(0.31, 0.42):.4f}  iterations {rng.integers(11, 19)}  residual {rng.uniform(1, 9):.3f}e-09")
    return "\n".join([*lines, "done"]) + "\n"


def main():
    default = Path(__file__).resolve().parent.parent / "testdata" / "sample"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    shutil.rmtree(folder, ignore_errors=True)
    for name in ["ocean", "camera"]:
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(20210601)
    temperature, pressure, wind = ocean(rng)
    np.save(folder / "ocean/temperature.npy", temperature)
    np.save(folder / "ocean/pressure.npy", pressure)
    wind.tofile(folder / "ocean/wind.f32")
    np.save(folder / "camera/frame-0001.npy", exposure(rng))
    texts = {"station.csv": station(rng), "run.log": log(rng), "README.txt": README, "errbar.toml": POLICY, "DONE": ""}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "latest").symlink_to("ocean/temperature.npy")


if __name__ == "__main__":
    main()
