"""Measures the constants from which the CPU chooses its routes (`numsnn/kernels/cpu/costs.py`), and prints them.

    python -m benchmarks.speed.costs [--count N] [--seed S] [--json FILE] [--from FILE]

Layers of random shape (those of `shapes`, with one group), and the layers of `numsnn bench`, are computed on one thread
by every route that they can take.
The cost of a route is a sum of terms (`terms`) times constants that are not negative. The constants are those
with the least squares of the relative errors, so that small and large layers count alike, and too little counts as much
as too much. The table shows how far the estimates are from the measured times, and how much time the choice loses
against the fastest route.

``--json`` writes what was measured, and ``--from`` reads it again instead of measuring.
"""

import argparse
import json
import time
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from numsnn.kernels.cpu import conv
from numsnn.kernels.cpu.costs import COSTS, terms
from numsnn.kernels.cpu.run.launch import set_num_threads
from numsnn.kernels.cpu.ways import events, lines
from numsnn.kernels.types import Geometry, Way
from numsnn.measure.passes import Case, draw
from numsnn.measure.passes import cases as layers
from numsnn.measure.table import table

from ..common import need_positive, progress, write_json
from .shapes import draw as shapes

LARGEST = 0.15
"""Factor for the largest layer of `shapes`, so that many layers can be measured."""

SECONDS = 0.08
"""Seconds of timing per layer, pass and route."""

USUAL_DENSITIES, USUAL_WEIGHT = (0.01, 0.03, 0.08, 0.15, 0.3), 2
"""Shares of active inputs of the layers of `usual`, and how much each of them counts in the fit."""

ROUNDS = 20
"""Rounds of the fit."""

NEAR = 2
"""A route that takes longer than this many times the fastest one counts less, because it is not chosen anyway."""

LEAST_PRODUCT = 1 / 130
"""Least cost of a multiplication of a matrix product. In small layers it can hardly be told from other costs."""

DENSITIES = 0.01, 0.6
"""Bounds of the share of visible elements; the inputs have the shares of `shapes`."""


def usual() -> list[Case]:
    """The layers of `numsnn.measure.passes`, which have many weights, and some smaller ones, all with few images."""
    found = []
    for before, channels, kernel, images in ((32, 64, 3, 64), (64, 64, 3, 64), (64, 64, 5, 32), (128, 256, 1, 64)):
        numbers = (before, channels, kernel, 1, kernel // 2)
        found.append(Case(f"{kernel}x{kernel} {before}->{channels}", "conv", numbers, (1, images, 16, 16, before)))
    found += layers()
    cases = []
    for case in found:
        steps, images, *others = case.shape
        shape = steps, max(1, images // 16), *others
        cases += [replace(case, shape=shape, density=density) for density in USUAL_DENSITIES]
    return cases


def fastest(run) -> float:
    """The least time of a call in nanoseconds, after one call that does not count.

    It is the thread's processor time, which other work on the machine affects less than the time of a clock.
    """
    run()
    times, end = [], time.perf_counter() + SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.thread_time_ns()
        run()
        times.append(time.thread_time_ns() - begin)
    return min(times)


def measure(case, rng, weight) -> list[dict]:
    """Time all passes of a layer on all routes: one entry per pass, with nanoseconds per output pixel.

    `weight` says how much the layer counts in the fit.
    """
    arrays = draw(case)
    x, w, dy = arrays["x"], arrays["w"], arrays["dy"]
    geometry = Geometry()
    if case.kind == "linear":
        x, w, dy = x.reshape(-1, 1, 1, x.shape[-1]), w[None, None], dy.reshape(-1, 1, 1, dy.shape[-1])
    else:
        _, stride, padding, _ = case.window
        geometry = Geometry(stride, padding)
        x, dy = (np.ascontiguousarray(a.reshape(-1, *a.shape[2:])) for a in (x, dy))
    stride, padding, _, dilation = geometry
    y, dx, dw = np.empty_like(dy), np.empty(x.shape, np.float32), np.empty_like(w)
    share = float(np.exp(rng.uniform(*np.log(DENSITIES))))
    visible = (rng.random(x.shape, np.float32) < share).astype(np.uint8)
    active = conv.active_inputs(x, w.dtype)
    active.list(x)
    runs = {
        ("forward", "events"): lambda: events.forward(active, w, None, stride, padding, dilation, y),
        ("forward", "lines"): lambda: lines.forward(active, w, None, stride, padding, dilation, y),
        ("weight", "events"): lambda: events.backward_weight(active, dy, stride, padding, dilation, dw),
        ("weight", "lines"): lambda: lines.backward_weight(active, dy, stride, padding, dilation, dw),
        ("input", "events"): lambda: conv.conv2d_backward_input(dy, w, geometry, dx, Way("events"), visible),
    }
    kept = {name: {} for name in COSTS}  # prepared weights
    again = {
        "events": lambda: events.forward(active, w, None, stride, padding, dilation, y, kept["events"]),
        "lines": lambda: lines.forward(active, w, None, stride, padding, dilation, y, kept["lines"]),
    }
    names = ["dense", *["winograd"] * (w.shape[:2] == (3, 3) and stride == (1, 1))]
    for name in names:
        way = Way(name)
        runs["forward", name] = lambda way=way: conv.conv2d_forward(x, w, None, geometry, y, active, way)
        again[name] = lambda way=way: conv.conv2d_forward(x, w, None, geometry, y, active, way, kept[way.route])
        runs["weight", name] = lambda way=way: conv.conv2d_backward_weight(x, dy, geometry, dw, active, way)
        runs["input", name] = lambda way=way: conv.conv2d_backward_input(dy, w, geometry, dx, way)
    found = []
    for passing in ("forward", "weight", "input"):
        times = {name: fastest(run) / prod(dy.shape[:3]) for (what, name), run in runs.items() if what == passing}
        density = share if passing == "input" else active.density
        found.append(
            {
                "name": case.name,
                "weight": weight,
                "pass": passing,
                "density": density,
                "weights": w.shape,
                "extent": dy.shape[:3],
                "stride": stride,
                "times": times,
            }
        )
        if passing == "forward":
            found[-1]["prepared"] = {name: fastest(run) / prod(dy.shape[:3]) for name, run in again.items()}
    return found


def constants_of(matrix, times, least=0.0, weights=1.0):
    """The numbers, none of them below `least`, whose products with the columns of a matrix come closest to the times.

    Every row counts by its weight, divided by the root of its time and of its estimate in the round before.
    """
    least = np.zeros(matrix.shape[1]) + least
    rest, scale = times - matrix @ least, times / weights
    for _ in range(ROUNDS):
        kept = np.ones(matrix.shape[1], bool)
        while True:
            found = np.zeros(matrix.shape[1])
            found[kept] = np.linalg.lstsq(matrix[:, kept] / scale[:, None], rest / scale, rcond=None)[0]
            if (found >= 0).all():
                break
            kept &= found >= 0
        found += least
        scale = np.sqrt(times * np.maximum(matrix @ found, times / 10)) / weights
    return found


def counts(name, one, prepared=False):
    """The terms of a route; without those that prepare weights if these are prepared."""
    call, prepare, *others = terms(name, one["pass"], one["density"], one["weights"], one["extent"], one["stride"])
    return call, prepare * (not prepared), *others


def fit(measured: list[dict]) -> dict:
    """Route -> pass -> constants."""
    found = {}
    for name, passes in COSTS.items():
        found[name] = {}
        for passing in passes:
            rows, times, weights = [], [], []
            for one in measured:
                for key in ("times", "prepared"):
                    if one["pass"] == passing and name in one.get(key, ()):
                        rows.append(counts(name, one, key == "prepared"))
                        times.append(one[key][name])
                        weights.append(one["weight"] * min(1.0, NEAR * min(one[key].values()) / times[-1]))
            least = np.zeros(len(rows[0]))
            if passing == "input":  # weights are prepared as for the forward pass, where this was measured by itself
                least[1] = found[name]["forward"][1]
            if name in ("dense", "winograd"):
                least[-1] = LEAST_PRODUCT
            constants = constants_of(np.array(rows, np.float64), np.array(times), least, np.array(weights))
            found[name][passing] = tuple(float(f"{constant:.2g}") for constant in constants)
    return found


def report(measured: list[dict], costs: dict) -> str:
    """How far the estimates are from the measured times, and what the choice loses."""
    rows = []
    for name, passes in costs.items():
        for passing, constants in passes.items():
            those = [one for one in measured if one["pass"] == passing and name in one["times"]]
            ratios = [np.dot(counts(name, one), constants) / one["times"][name] for one in those]
            low, middle, high = np.quantile(ratios, (0.1, 0.5, 0.9))
            rows.append([passing, name, str(len(those)), f"{low:.2f}", f"{middle:.2f}", f"{high:.2f}"])
    lost = []
    for passing in ("forward", "weight", "input"):
        losses = []
        for one in measured:
            if one["pass"] == passing:
                estimates = {name: np.dot(counts(name, one), costs[name][passing]) for name in one["times"]}
                losses.append(one["times"][min(estimates, key=estimates.get)] / min(one["times"].values()))
        wrong = np.mean(np.array(losses) > 1.1)
        lost.append([passing, f"{np.mean(losses) - 1:.1%}", f"{wrong:.0%}", f"{max(losses):.2f}"])
    header = ["pass", "route", "layers", "estimate / time: lower tenth", "median", "upper tenth"]
    choice = ["pass", "mean loss of the choice", "choices that lose more than 10 %", "largest loss"]
    return f"{table(header, rows)}\n\n{table(choice, lost)}"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=150, help="number of layers (default: 150)")
    parser.add_argument("--seed", type=int, default=100, help="of the shapes (default: 100)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument("--from", type=Path, dest="source", metavar="FILE", help="read what was measured")
    chosen = parser.parse_args(arguments)
    need_positive(parser, chosen, "count")
    if chosen.source:
        measured = json.loads(chosen.source.read_text())
    else:
        set_num_threads(1)
        rng = np.random.default_rng(chosen.seed)
        half = chosen.count // 2
        cases = shapes(half, chosen.seed, True, LARGEST) + shapes(chosen.count - half, chosen.seed + 1, False, LARGEST)
        common = usual()
        measured = []
        for number, case in enumerate(cases + common, 1):
            if case.kind == "linear" or (case.kind == "conv" and case.window[3] == 1):
                progress(f"{number}/{len(cases + common)} {case.name}")
                measured += measure(case, rng, USUAL_WEIGHT if number > len(cases) else 1)
        if chosen.json:
            write_json(chosen.json, measured)
    costs = fit(measured)
    print("COSTS = {")
    for name, passes in costs.items():
        print(f'    "{name}": {{')
        for passing, constants in passes.items():
            print(f'        "{passing}": ({", ".join(f"{c:g}" for c in constants)}),')
        print("    },")
    print("}\n\nOf the constants that the choice uses now:\n")
    print(report(measured, COSTS))
    print("\nOf those above:\n")
    print(report(measured, costs))


if __name__ == "__main__":
    main()
