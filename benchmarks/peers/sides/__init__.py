"""One module per library. Each has ``load(threads, device)``, which returns its versions (device: "cpu" or "cuda"), and
a class ``Side``:

    Side(workload, arrays)      a workload's network (plain data, see `numsnn.measure.workloads`) with these numbers
    train(), infer()            a training step (forward and backward pass), an inference pass
    outcome(training, g)        what a pass computes, in numsnn's layouts (see `numsnn.measure.network.Network.outcome`)
    Side.cannot(workload, what) why it cannot do "train" or "infer" as numsnn does, or None

A side that also trains has a class ``Training``, on the CPU

    Training(workload, arrays, recipe)  arrays: parameters, pictures x and their labels y ``[N, ...]``, test_x, test_y,
                                        and order ``[epochs, N]``; recipe: see `benchmarks.tasks.PeerTask.recipe`
    epoch()                             trains one more epoch: {"seconds", "loss", "accuracy"}, the last on test_x
    outcome(samples)                    loss, spikes and gradients of a step on the first samples; nothing is updated

A side that has layers of its own to measure alone has a class ``Passes`` (see `numsnn.measure.passes.Passes`).

A side that also computes on "cuda" has ``use(precision)``, which sets one of `PRECISIONS` for what is built afterwards,
and ``Meter``, with the functions that `numsnn.measure.host` has for the host: seconds, resident, peak, forget_peak.
"""

import numpy as np

PRECISIONS = ("float32", "tf32", "bfloat16")
"""Precision of the factors of convolutions and matrix products; sums are always float32."""


def first(workload, arrays, samples):
    """Workload and arrays of a side for the first samples in the order of training."""
    rows = arrays["order"][0, :samples]
    batch = {"x": np.ascontiguousarray(arrays["x"][rows]), "y": arrays["y"][rows]}
    steps, _, *sample = workload["shape"]
    return workload | {"shape": (steps, samples, *sample)}, arrays | batch
