"""Make many calls with wrong arguments, and print those that do not end as they must.

python tests/arguments/run.py --count 100000 --seed 1     # random calls with one or two wrong arguments
python tests/arguments/run.py --all                       # every argument with every value
"""

import argparse
import collections
import os
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description="Call everything public with wrong arguments.")
    parser.add_argument("--count", type=int, default=10_000, help="number of random calls (default: 10,000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random calls (default: 0)")
    parser.add_argument("--all", action="store_true", help="every argument with every value, instead of random calls")
    parser.add_argument("--only", default="", help="only names that begin with this text")
    options = parser.parse_args(arguments)
    os.environ["MPLBACKEND"] = "Agg"
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    import tables
    from arguments import calls

    from numsnn import capacity

    capacity.memory = lambda: 1 << 28
    chosen = calls.every_single() if options.all else calls.drawn(options.seed, options.count)
    made, kinds, started = 0, collections.Counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder, calls.in_folder(folder), tables.kept():
        for call in chosen:
            if not call.name.startswith(options.only):
                continue
            made += 1
            if problem := call.run():
                kinds[problem.split(":")[0].split(" for ")[0]] += 1
                print(f"{call}: {problem}", flush=True)
    print(f"{made} calls, {kinds.total()} of them wrong, {time.process_time() - started:.0f} s of a processor")
    for kind, count in kinds.most_common():
        print(f"{count:7} {kind}")
    return min(kinds.total(), 1)


if __name__ == "__main__":
    sys.exit(main())
