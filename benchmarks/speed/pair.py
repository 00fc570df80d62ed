"""How much faster or slower numsnn is in this checkout than in another one: both in turns, in one run.

    python -m benchmarks.speed.pair OTHER_CHECKOUT                           # everything that `numsnn bench` has
    python -m benchmarks.speed.pair OTHER_CHECKOUT --workload small neurons  # some of them
    python -m benchmarks.speed.pair OTHER_CHECKOUT --quick                   # tiny shapes, to see that it works

Each side is a process that stays alive and is asked for one measurement at a time, in the order A B B A B A A B. So
other work on the machine, and a processor that slows down, affect both sides alike. Each side runs every pass before
the first measurement, so that everything is compiled. A ratio is this checkout's time divided by the other's, from two
measurements that follow one another. The table gives the median of the ratios and their quartiles: 0.9 means that this
checkout takes 10 % less time.

Each side has a cache of compiled kernels of its own, for each state of numsnn's source files.
"""

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from ..common import REPOSITORY, commit
from ..process import Asked, ProcessError

SIDE = Path(__file__).resolve().with_name("pair_side.py")
"""Started by its path, because PYTHONPATH leads to the checkout that is measured."""

LASTING = 0.5
"""Seconds that a measurement should last: shorter passes are repeated."""


class Side(Asked):
    """A checkout of numsnn in a process of its own.

    Args:
        checkout: the folder that holds the package's folder.
        threads: number of threads to compute with.
        quick: use tiny shapes.
    """

    def __init__(self, checkout: Path, threads: int, quick: bool):
        self.checkout = checkout.resolve()
        sources = sorted((self.checkout / "numsnn").rglob("*.py"))
        if not sources:
            raise SystemExit(f"{checkout} has no folder numsnn with source files")
        state = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
        cache = Path(tempfile.gettempdir()) / "numsnn-kernels" / state
        environment = os.environ | {
            "PYTHONPATH": str(self.checkout),
            "NUMBA_CACHE_DIR": str(cache),
            "NUMSNN_NUM_THREADS": str(threads),
        }
        super().__init__(self.checkout, [sys.executable, str(SIDE), *["--quick"] * quick], environment)

    def ask(self, do: str, **arguments) -> dict:
        """Send a command, wait for the answer and return it; an error ends the run."""
        try:
            return super().ask(do, **arguments)
        except ProcessError as error:
            raise SystemExit(f"{error}\n{self.printed()[-2000:]}") from None

    def describe(self) -> dict:
        """Versions, machine and commit; ends the run if the process has found numsnn in another place."""
        found = self.ask("hello")
        if Path(found["folder"]) != self.checkout / "numsnn":
            raise SystemExit(f"{self.checkout}: Python found numsnn in {found['folder']} instead")
        return found | {"commit": commit(self.checkout) or "unknown"}


def compare(this: Side, other: Side, name: str, rounds: int) -> dict:
    """Measure a workload on both sides in turns: pass -> seconds of both sides, and ratios, one value per round."""
    first = max(side.ask("load", name=name)["seconds"] for side in (this, other))
    count = max(1, min(50, round(LASTING / max(first, 1e-6))))
    measured = {this: [], other: []}
    for turn in range(rounds):
        swapped = (turn + turn // 2) % 2  # A B B A, then B A A B
        for side in (other, this) if swapped else (this, other):
            measured[side].append(side.ask("measure", count=count)["seconds"])
    found = {}
    for what in measured[this][0].keys() & measured[other][0].keys():
        mine, theirs = ([times[what] for times in measured[side]] for side in (this, other))
        ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
        found[what] = {"this": mine, "other": theirs, "ratios": ratios}
    return {what: found[what] for what in measured[this][0] if what in found}


def quartiles(values: list[float]) -> tuple[float, float]:
    """Lower and upper quartile; the extremes where there are fewer than four values."""
    if len(values) < 4:
        return min(values), max(values)
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, upper


ROW = "{:<18} {:<20} {:>12} {:>12} {:>8}   {}"


def lines(name: str, found: dict):
    """The table's lines of one workload."""
    for what, values in found.items():
        this, other, ratio = (statistics.median(values[key]) for key in ("this", "other", "ratios"))
        low, high = quartiles(values["ratios"])
        times = f"{this * 1e3:.3f} ms", f"{other * 1e3:.3f} ms"
        yield ROW.format(name, what, *times, f"{ratio:.3f}", f"{low:.3f} to {high:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, metavar="OTHER_CHECKOUT", help="the folder of the other checkout")
    parser.add_argument("--workload", nargs="+", metavar="NAME", help='workloads of `numsnn bench`, or "neurons"')
    parser.add_argument("--rounds", type=int, default=12, help="measurements of each side; default 12")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both sides; default: all cores")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, no measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        checkouts = REPOSITORY, arguments.other
        this, other = (stack.enter_context(Side(c, arguments.threads, arguments.quick)) for c in checkouts)
        sides = {"this": this.describe(), "other": other.describe()}
        known = [name for name in sides["this"]["names"] if name in sides["other"]["names"]]
        names = arguments.workload or known
        if unknown := set(names) - set(known):
            parser.error(f"unknown workload {', '.join(sorted(unknown))}; both sides have {', '.join(known)}")
        for key, side in sides.items():
            versions = ", ".join(f"{name} {number}" for name, number in side["versions"].items())
            print(f"{key}: numsnn {side['version']}, commit {side['commit']}, {side['folder']}, {versions}")
        machine = sides["this"]["machine"]
        print(f"{machine['processor']}, {machine['system']}, {arguments.threads} threads, load {machine['load']}\n")
        print(ROW.format("workload", "pass", "this", "other", "ratio", "quartiles of the ratio"), flush=True)
        results = {}
        for name in names:
            results[name] = compare(this, other, name, arguments.rounds)
            print(*lines(name, results[name]), sep="\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"sides": sides, "workloads": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
