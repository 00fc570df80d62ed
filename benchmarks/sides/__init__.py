"""One module a library. Each has ``load(threads, device)``, which returns its versions (device: "cpu" or "cuda"), and a
class ``Side``:

    Side(workload, arrays)      the network of a workload (plain data, see `numsnn.bench.workloads`) with these numbers
    train(), infer()            a training step (forward and backward pass), an inference pass
    outcome(training, g)        what a pass computes, in numsnn's layouts (see `numsnn.bench.network.Network.outcome`)
    Side.cannot(workload, what) why it cannot do "train" or "infer" as numsnn does, or None

and, where it has layers of its own to measure alone, a class ``Passes`` (see `numsnn.bench.passes.Passes`).

Those that compute on "cuda", too, have ``use(precision)``, one of `PRECISIONS`, for what is built from then on, and
``Meter``, with functions as `numsnn.bench.measure` has them for the host: seconds, resident, peak, forget_peak.
"""

PRECISIONS = ("float32", "tf32", "bfloat16")
"""Of the factors of convolutions and matrix products; their sums are float32."""
