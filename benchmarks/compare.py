"""numsnn against its peers on the same numbers, in one run: see README.md.

    python benchmarks/compare.py [--only WORKLOAD ...] [--quick] [--peers-python PYTHON] [--jax-python PYTHON]
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from comparison import Comparison
from report import report

from numsnn.bench.measure import load
from numsnn.bench.workloads import SURROGATES, workloads
from numsnn.version import __version__

PEERS = ("spikingjelly", "snntorch", "norse", "jax")


def options(arguments=None):
    known = workloads()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="WORKLOAD", choices=list(known), help=", ".join(known))
    parser.add_argument("--quick", action="store_true", help="tiny shapes: whether everything works, no measurement")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS, help="who takes part (default: all)")
    parser.add_argument("--peers-python", default=sys.executable, metavar="PYTHON", help="interpreter with PyTorch's")
    parser.add_argument("--jax-python", default=sys.executable, metavar="PYTHON", help="interpreter with JAX")
    parser.add_argument("--surrogate", choices=list(SURROGATES), default="arctan")
    parser.add_argument("--threads", type=int, default=2, help="of every side (default: 2)")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of timing a pass (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of all numbers")
    parser.add_argument("--json", metavar="FILE", help="write the results")
    return parser.parse_args(arguments)


def main(arguments=None):
    chosen = options(arguments)
    pythons = {"numsnn": sys.executable}
    for peer in chosen.peers:
        pythons[peer] = chosen.jax_python if peer == "jax" else chosen.peers_python
    results = {
        "version": __version__, "quick": chosen.quick, "surrogate": chosen.surrogate, "threads": chosen.threads,
        "load_before": load(), "workloads": [],
    }  # fmt: skip

    def say(line):
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        with Comparison(pythons, chosen.threads, folder, 0.0 if chosen.quick else chosen.budget, say) as comparison:
            results |= {
                "machine": comparison.machine, "versions": comparison.versions, "missing": comparison.missing,
            }  # fmt: skip
            for name, workload in workloads(chosen.quick).items():
                if chosen.only is None or name in chosen.only:
                    workload = replace(workload, surrogate=chosen.surrogate)
                    results["workloads"].append(comparison.run(workload, seed=chosen.seed))
    print(report(results))
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(results, indent=1) + "\n")
    return results


if __name__ == "__main__":
    main()
