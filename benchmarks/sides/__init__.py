"""One module a library. Each has ``load(threads)``, which returns its versions, and a class ``Side``:

    Side(workload, arrays)      the network of a workload (plain data, see `numsnn.bench.workloads`) with these numbers
    train(), infer()            a training step (forward and backward pass), an inference pass
    outcome(training, g)        what a pass computes, in numsnn's layouts (see `numsnn.bench.network.Network.outcome`)
    Side.cannot(workload, what) why it cannot do "train" or "infer" as numsnn does, or None

and, where it has layers of its own to measure alone, a class ``Passes`` (see `numsnn.bench.passes.Passes`).
"""
