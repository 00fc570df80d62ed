"""The memory of a training step: what it keeps, with and without recomputing, and what recomputing costs in time.

    python -m benchmarks.speed.memory [WORKLOAD ...] [--layers] [--turns N] [--threads N] [--quick]

The table gives, per workload, the bytes that the layers keep from the forward to the backward pass (kept) and the bytes
that the network lends for gradients and for outputs that are dropped (lent), for `Mode(recompute=False)` and
`Mode(recompute=True)`. Parameters, their gradients and work arrays of the kernels are the same for both. The time is
that of the second kind divided by that of the first, the median of steps in turns. `--layers` lists the largest arrays.
"""

import argparse
from dataclasses import replace
from statistics import median

from numsnn import get_num_threads, set_num_threads
from numsnn.layers import TRAINING
from numsnn.layers.route import Routed
from numsnn.measure.host import load, processor, seconds
from numsnn.measure.network import Network, prepare
from numsnn.measure.table import bytes_text, table
from numsnn.measure.workloads import workloads

from ..common import need_positive

DEFAULT = "vgg", "resnet", "small", "fc", "recurrent"
"""The workloads of a run without names."""

LARGEST = 20
"""Number of arrays that `--layers` lists."""

LIST = "start", "channel", "value"
"""The arrays of a list of active inputs."""


def kept_arrays(net):
    """Return (bytes, layer, array) for all arrays that the layers of a network keep, the largest first."""
    found, lists = [], {}
    for name, layer in net.named():
        found += [(array.nbytes, name, key) for (key, _), array in layer._buffers.items()]
        found += [(array.nbytes, name, key) for key, (_, array) in layer._fixed.items()]
        if isinstance(layer, Routed):
            active = layer._active or layer.plan.active
            lists[id(active)] = name, active
    for name, active in lists.values():
        found += [(getattr(active, key).nbytes, name, f"list of active inputs: {key}") for key in LIST]
    return sorted(found, reverse=True)


def measure(workload, turns):
    """Return for both kinds of passes the kept arrays and the bytes that are lent, and the ratio of the times."""
    workload, arrays = prepare(workload)
    networks = [Network(workload, arrays) for _ in range(2)]
    steps = []
    for network, recompute in zip(networks, (False, True), strict=True):
        mode = replace(TRAINING, recompute=recompute)
        steps.append(lambda network=network, mode=mode: network.train(mode))
    for step in steps:
        seconds(step, 2)
    pairs = [[seconds(step, 1)[0] for step in steps] for _ in range(turns)]
    memory = [(kept_arrays(network.net), network.net.plan.pool.nbytes) for network in networks]
    return memory, median(lean / plain for plain, lean in pairs)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workloads", nargs="*", help=f"names of workloads (default: {' '.join(DEFAULT)})")
    parser.add_argument("--layers", action="store_true", help="list the largest arrays")
    parser.add_argument("--turns", type=int, default=10, help="steps of each kind (default: 10)")
    parser.add_argument("--threads", type=int, help="number of threads (default: all)")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, which measure nothing")
    chosen = parser.parse_args(arguments)
    need_positive(parser, chosen, "turns", "threads")
    known = {name: workload for name, workload in workloads(chosen.quick).items() if workload.training}
    if unknown := [name for name in chosen.workloads if name not in known]:
        parser.error(f"unknown workload {unknown[0]}; known: {', '.join(known)}")
    if chosen.threads:
        set_num_threads(chosen.threads)
    print(f"{processor()}, {get_num_threads()} threads, {chosen.turns} turns, load {load()}\n")
    rows, largest = [], []
    for name in chosen.workloads or DEFAULT:
        memory, ratio = measure(known[name], chosen.turns)
        row, sums = [name], []
        for arrays, lent in memory:
            kept = sum(nbytes for nbytes, *_ in arrays)
            sums.append(kept + lent)
            row += [bytes_text(kept), bytes_text(lent)]
        rows.append([*row, f"{100 * sums[1] / sums[0]:.0f} %", f"{ratio:.2f}"])
        largest += [[name, layer, key, bytes_text(nbytes)] for nbytes, layer, key in memory[0][0][:LARGEST]]
    print(table(["workload", "kept", "lent", "recompute: kept", "lent", "of both", "time"], rows))
    if chosen.layers:
        print(table(["workload", "layer", "array", "kept without recomputing"], largest))


if __name__ == "__main__":
    main()
