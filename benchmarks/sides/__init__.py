"""One module a library. Each has ``load(threads, device)``, which returns its versions (device: "cpu" or "cuda"), and a
class ``Side``:

    Side(workload, arrays)      the network of a workload (plain data, see `numsnn.bench.workloads`) with these numbers
    train(), infer()            a training step (forward and backward pass), an inference pass
    outcome(training, g)        what a pass computes, in numsnn's layouts (see `numsnn.bench.network.Network.outcome`)
    Side.cannot(workload, what) why it cannot do "train" or "infer" as numsnn does, or None

where it trains, too, a class ``Training`` on the CPU

    Training(workload, arrays, recipe)  arrays: parameters, pictures x and their labels y ``[N, ...]``, test_x, test_y,
                                        and order ``[epochs, N]``; recipe: see `accuracy_tasks.Task.recipe`
    epoch()                             trains one more epoch: {"seconds", "loss", "accuracy"}, the last on test_x
    outcome(samples)                    loss, spikes and gradients of a step on the first samples; nothing is updated

and, where it has layers of its own to measure alone, a class ``Passes`` (see `numsnn.bench.passes.Passes`).

Those that compute on "cuda", too, have ``use(precision)``, one of `PRECISIONS`, for what is built from then on, and
``Meter``, with functions as `numsnn.bench.measure` has them for the host: seconds, resident, peak, forget_peak.
"""

import numpy as np

PRECISIONS = ("float32", "tf32", "bfloat16")
"""Of the factors of convolutions and matrix products; their sums are float32."""


def first(workload, arrays, samples):
    """Workload and arrays of a side for the first samples that training is going to see."""
    rows = arrays["order"][0, :samples]
    batch = {"x": np.ascontiguousarray(arrays["x"][rows]), "y": arrays["y"][rows]}
    steps, _, *sample = workload["shape"]
    return workload | {"shape": (steps, samples, *sample)}, arrays | batch
