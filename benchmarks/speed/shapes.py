"""Layers of random shapes against PyTorch's dense ones, the worst first.

    python -m benchmarks.speed.shapes [--seed S] [--count N] [--sparse] [--routes] [--peers-python PYTHON] [--json FILE]

A seed determines all shapes: convolutions with kernels of 1 to 7 pixels (square or not), strides of 1 to 3, groups,
depthwise and transposed ones, linear layers; 1 to 512 channels, 5 to 128 pixels, 1 to 512 images (batch times steps),
1 to 60 % of the inputs active; spikes, quarters as from pooling, or numbers. With ``--sparse``, at most 10 % of the
inputs are active and there are 8 channels or more. Before a layer is timed, both sides must compute the same.

Both sides take turns in processes of their own. A pass for which PyTorch's own times spread by more than 20 % is
measured again. The table shows the ratio of the times (PyTorch's by numsnn's), numsnn's speed in operations of the
dense layer, its share of the speed of a large matrix product on the same machine, and the route that was taken. With
``--routes``, every other route is timed as well, and the table shows where the choice cost more than 10 %.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from math import exp, log
from pathlib import Path

import numpy as np

from numsnn.measure import passes
from numsnn.measure.host import load, summary
from numsnn.measure.passes import Case
from numsnn.measure.table import table, time_text

from ..common import OWN, need_positive, progress, ratio_text, write_json
from ..peers import agreement
from ..peers.driver import Worker, alternate
from ..peers.options import add_torch_python, interpreters
from .layers import DENSE, allowed, outcomes_of

TIMED = ("forward", "weight_gradient", "both_gradients")

KINDS = {"conv": 0.68, "depthwise": 0.06, "grouped": 0.06, "transposed": 0.08, "linear": 0.12}
"""Share of each kind of layer."""

OPERATIONS = 4e6, 8e9
"""Bounds of the operations of a dense pass. A smaller layer measures calls, a larger one takes too long."""

NUMBERS = 32e6
"""Largest number of entries of the input or the output."""

SPREAD = 0.2
"""If PyTorch's times spread by more than this share of their median, the pass is measured again."""

ATTEMPTS = 3

ROUTES = ("events", "winograd", "dense")

WORST = 10


def draw(count: int, seed: int, sparse: bool = False, largest: float = 1.0) -> list[Case]:
    """Return random layers.

    Args:
        count: number of layers.
        seed: of the choice. The first layers of a longer list are those of a shorter one.
        sparse: at most 10 % of the inputs are active, and there are at least 8 channels.
        largest: factor for the bounds of operations and entries. Default 1.
    """
    rng = np.random.default_rng(seed)
    found: list[Case] = []
    while len(found) < count:
        case = _case(rng, sparse)
        entries = max(np.prod(case.shape), np.prod(case.output_shape))
        fits = OPERATIONS[0] * min(1.0, largest) <= case.operations <= OPERATIONS[1] * largest
        if min(case.output_shape) > 0 and fits and entries <= NUMBERS * largest:
            found.append(case)
    return found


def _case(rng, sparse):
    """One random layer, which may be too small or too large."""

    def between(low, high):
        return round(exp(rng.uniform(log(low), log(high))))

    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    least = 8 if sparse else 1
    before, after = between(least, 512), between(least, 512)
    density = round(exp(rng.uniform(log(0.01), log(0.1 if sparse else 0.6))), 3)
    values = str(rng.choice(["spikes", "pooled", "numbers"], p=[0.7, 0.2, 0.1]))
    images, height = between(1, 512), between(5, 128)
    width = height if rng.random() < 0.8 else between(5, 128)
    kernel = [int(k) for k in rng.choice([1, 2, 3, 4, 5, 7], p=[0.2, 0.05, 0.45, 0.05, 0.15, 0.1]) * np.ones(2)]
    if rng.random() < 0.15:
        kernel = [int(k) for k in rng.integers(1, 8, 2)]
    stride = [int(rng.choice([1, 2, 3], p=[0.65, 0.28, 0.07]))] * 2
    padding = [int(rng.integers(0, (k - 1) // 2 + 1)) if rng.random() < 0.25 else (k - 1) // 2 for k in kernel]
    if kind == "linear":
        before, after = between(8, 8192), between(8, 2048)
        return Case(f"linear {before}->{after}", kind, (before, after), (1, images, before), density, values)
    groups = 1
    if kind == "depthwise":
        groups = after = before
    elif kind == "grouped":
        groups = int(rng.choice([2, 4, 8]))
        before, after = (max(groups, n - n % groups) for n in (before, after))
    name = f"{'' if kind == 'conv' else kind + ' '}{kernel[0]}x{kernel[1]}/{stride[0]} {before}->{after}"
    name += f" {height}x{width} x{images}" + (f" groups {groups}" if kind == "grouped" else "")
    numbers = (before, after, kernel, stride, padding, groups)
    kind = "transposed" if kind == "transposed" else "conv"
    return Case(name, kind, numbers, (1, images, height, width, before), density, values)


class Sweep:
    """Measures layers on both sides.

    Args:
        pythons: side -> interpreter, with numsnn's and, to compare, PyTorch's under `layers.DENSE`.
        threads: number of threads of both sides.
        folder: folder for arrays.
        budget: seconds of timing per layer and pass.
        routes: also time the routes that were not chosen.
        say: called with a line of progress.
    """

    def __init__(self, pythons, threads, folder, budget, routes, say):
        self.folder, self.budget, self.routes, self.say = Path(folder), budget, routes, say
        self.stack = ExitStack()
        self.workers = {
            side: self.stack.enter_context(Worker(side, python, threads)) for side, python in pythons.items()
        }
        self.own = self.workers[OWN]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def measure(self, cases: list[Case]) -> Iterator[dict]:
        """Yield the result of every layer."""
        for number, case in enumerate(cases, 1):
            self.say(f"{number}/{len(cases)} {case.name}, {case.density:.1%} {case.values}")
            yield self._measure(case)

    def _measure(self, case):
        outcomes = outcomes_of(self.workers, case, lambda name: str(self.folder / f"{name}.npz"))
        result = case.to_dict() | {"operations": case.operations, "differences": {}, "passes": {}}
        agree = True
        for what, mine in outcomes[OWN].items():
            for theirs in (arrays[what] for side, arrays in outcomes.items() if side != OWN):
                difference = result["differences"][what] = agreement.relative(mine, theirs.reshape(mine.shape))
                agree &= difference <= allowed(case, mine.size)
        if not agree:
            self.say(f"{case.name}: the sides differ by {result['differences']}; not timed")
            return result
        for what in TIMED:
            result["passes"][what] = self._time(what)
        result["routes"] = self.own.ask("routes")["routes"]
        if self.routes:
            result["other_routes"] = self._other_routes(result)
        return result

    def _time(self, what):
        """Times of one pass on all sides in turns; the quietest of the attempts."""
        best = None
        for _ in range(ATTEMPTS):
            times = alternate(self.workers, what, self.budget, most=9)
            judge = times.get(DENSE, times[OWN])
            spread = float(np.subtract(*np.quantile(judge, (0.75, 0.25))) / np.median(judge))
            found = {side: summary(values) for side, values in times.items()} | {"spread": spread}
            if best is None or spread < best["spread"]:
                best = found
            if spread <= SPREAD:
                break
        if DENSE in best:
            best["ratio"] = best[DENSE]["median"] / best[OWN]["median"]
        return best

    def _other_routes(self, result):
        """Route -> pass -> median seconds, of the routes that were not chosen and that the layer can take."""
        found = {}
        for route in ROUTES:
            self.own.ask("take", route=route)
            self.own.ask("outcome", out=str(self.folder / "route.npz"))
            taken = self.own.ask("routes")["routes"]
            new = [what for what in passes.PASSES if taken[what] == route != result["routes"][what]]
            if new:
                times = {what: alternate({OWN: self.own}, what, self.budget / 3, most=5)[OWN] for what in new}
                found[route] = {what: summary(values)["median"] for what, values in times.items()}
        self.own.ask("take", route="auto")
        return found


# --- the report ---


def report(results: list[dict], rate: float) -> str:
    """Return the worst layers and the medians as text."""
    rows = []
    for result in results:
        for what, times in result["passes"].items():
            own = times[OWN]["median"]
            operations = result["operations"] * (2 if what == "both_gradients" else 1)
            rows.append((times.get("ratio", 0.0), result, what, own, operations / own))
    rows.sort(key=lambda row: row[0])
    lines = [
        [
            f"{result['name']}, {result['density']:.1%} {result['values']}",
            what.replace("_", " "),
            ratio_text(ratio or None),
            time_text(own),
            f"{speed / 1e9:.0f}",
            f"{speed / rate:.0%}",
            ", ".join(dict.fromkeys(route for name, route in result["routes"].items() if _part(name, what))),
        ]
        for ratio, result, what, own, speed in rows
    ]
    header = ["layer", "pass", "ratio", "time", "GFLOP/s", "of a product", "route"]
    found = [f"The worst {min(WORST, len(lines))} of {len(lines)} passes:", table(header, lines[:WORST]), ""]
    found += ["Ratios:", table(["pass", "layers", "median", "lowest", "below 1"], _medians(results)), ""]
    if wrong := _wrong_choices(results):
        found += ["Another route would have been faster by more than 10 %:", table(WRONG, wrong), ""]
    return "\n".join([*found, "All passes:", table(header, lines)])


def _part(name, what):
    """Whether a pass belongs to what was timed."""
    return name == what or (what == "both_gradients" and name != "forward")


def _medians(results):
    rows = []
    for what in TIMED:
        found = [result["passes"][what]["ratio"] for result in results if "ratio" in result["passes"].get(what, {})]
        if found:
            slow = sum(ratio < 1 for ratio in found)
            rows.append(
                [what.replace("_", " "), len(found), ratio_text(float(np.median(found))), ratio_text(min(found)), slow]
            )
    return rows


WRONG = ("layer", "pass", "chosen", "time", "faster", "time")


def _wrong_choices(results):
    rows = []
    for result in results:
        for route, times in result.get("other_routes", {}).items():
            for what, other in times.items():
                chosen = result["passes"].get(what)
                if chosen and other < 0.9 * chosen[OWN]["median"]:
                    own = time_text(chosen[OWN]["median"])
                    rows.append([result["name"], what, result["routes"][what], own, route, time_text(other)])
    return rows


def options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the shapes (default: 0)")
    parser.add_argument("--count", type=int, default=60, help="number of layers (default: 60)")
    parser.add_argument("--sparse", action="store_true", help="at most 10 %% active, 8 channels or more")
    parser.add_argument("--routes", action="store_true", help="time the routes that were not chosen, too")
    parser.add_argument("--threads", type=int, default=2, help="of both sides (default: 2)")
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of timing per layer and pass (default: 1)")
    parser.add_argument("--largest", type=float, default=1.0, help="factor for the largest layer (default: 1)")
    parser.add_argument("--peers", nargs="*", default=[DENSE], choices=[DENSE], help="what to compare with")
    add_torch_python(parser)
    parser.add_argument("--json", metavar="FILE", help="write the results")
    chosen = parser.parse_args(arguments)
    need_positive(parser, chosen, "count", "threads")
    return chosen


def main(arguments=None):
    chosen = options(arguments)
    cases = draw(chosen.count, chosen.seed, chosen.sparse, chosen.largest)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        parts = interpreters(chosen), chosen.threads, folder, chosen.budget, chosen.routes, progress
        with Sweep(*parts) as sweep:
            machine = sweep.own.ask("machine")["machine"]
            rate = sweep.own.ask("product")["rate"]
            about = {"seed": chosen.seed, "sparse": chosen.sparse, "machine": machine, "product_rate": rate}
            for result in sweep.measure(cases):
                results.append(result)
                if chosen.json:
                    write_json(Path(chosen.json), about | {"load_after": load(), "layers": results})
    print(f"{machine['processor']}, {chosen.threads} threads; a matrix product: {rate / 1e9:.0f} GFLOP/s\n")
    print(report(results, rate))


if __name__ == "__main__":
    main()
