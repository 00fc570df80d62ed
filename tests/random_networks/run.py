"""Random networks on demand: a thousand or more, on all cores, with a summary and the seeds that fail.

    python tests/random_networks/run.py --count 1000 --seed 1          reference and finite differences
    python tests/random_networks/run.py --count 200 --cpu              also the compiled kernels
    python tests/random_networks/run.py --count 1000 --cpu --few       the same with few kinds of neurons: much quicker
    python tests/random_networks/run.py --seed 17 --count 1 --shrink   one network again, as small as it still fails

The networks of seeds S, S + 1, ... are drawn (`networks.draw`). The exit status is 1 if one of them fails.
"""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]
os.environ.setdefault("NUMSNN_CHECK_ROLES", "1")  # read when the kernels are imported


def look_at(job) -> tuple:
    """Return the seed, what fails, and the kinds of the layers of one network; job is (seed, few, cpu)."""
    from random_networks import checks
    from random_networks.networks import draw

    seed, few, cpu = job
    case = draw(seed, few)
    chosen = checks.ON_REFERENCE | (checks.COMPILED if cpu else {})
    kinds = [type(layer).__name__ for layer in case.net.tree()] + [type(case.loss).__name__]
    return seed, checks.failures(case, chosen), kinds


def shrunk(seed: int, few: bool, name: str) -> str:
    """Return the text of the smallest case that was found in which the same check fails."""
    from random_networks import checks
    from random_networks.networks import draw
    from random_networks.shrink import fails_alike, shrink

    check, case = {name: (checks.ON_REFERENCE | checks.COMPILED)[name]}, draw(seed, few)
    case = shrink(case, fails_alike(case, check))
    return f"{case}\n    {checks.failures(case, check)[name]}"


def main(arguments=None) -> int:
    """Run the command and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="number of networks (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first network (default 0)")
    parser.add_argument("--cpu", action="store_true", help="compare the compiled kernels with the reference, too")
    parser.add_argument("--few", action="store_true", help="few kinds of neurons, so that few kernels are compiled")
    parser.add_argument("--shrink", action="store_true", help="make failing networks small")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    options = parser.parse_args(arguments)

    os.environ["NUMSNN_NUM_THREADS"] = "2" if options.cpu else "1"
    start, failed, kinds = time.monotonic(), {}, Counter()
    jobs = [(seed, options.few, options.cpu) for seed in range(options.seed, options.seed + options.count)]
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        for seed, wrong, inside in pool.map(look_at, jobs, chunksize=4):
            kinds.update(inside)
            if wrong:
                failed[seed] = wrong
                for name, told in wrong.items():
                    print(f"seed {seed}: {name}: {told}", flush=True)
    if options.shrink:
        for seed, wrong in failed.items():
            for name in wrong:
                print(f"\nseed {seed}, {name}, shrunk:\n{shrunk(seed, options.few, name)}", flush=True)
    print("\nlayers: " + ", ".join(f"{name} {count}" for name, count in sorted(kinds.items())))
    print(
        f"{options.count} networks from seed {options.seed} in {time.monotonic() - start:.0f} s: {len(failed)} failed"
        + (f", seeds {' '.join(map(str, failed))}" if failed else "")
    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
