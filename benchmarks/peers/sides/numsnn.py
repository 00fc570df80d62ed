"""numsnn itself."""

import sys
import time
from importlib import metadata

import numpy as np

import numsnn
from numsnn.kernels.types import Way
from numsnn.layers import TRAINING
from numsnn.measure import network, passes
from numsnn.measure.workloads import SURROGATES, Workload

from . import first


def load(threads, device):
    numsnn.set_num_threads(threads)
    Side.device = device
    if device == "cuda":
        load_device()
    versions = {name: metadata.version(name) for name in ("numba", "numpy", "scipy")}
    return {"numsnn": numsnn.__version__} | versions | {"python": sys.version.split()[0]}


def load_device():
    """Import the meter of devices, which needs a CUDA device."""
    global Meter
    numsnn.kernels.for_device("cuda")
    from numsnn.measure import device as Meter


def use(precision):
    Side.precision = precision


class Side(network.Network):
    device, precision = "cpu", "float32"

    @staticmethod
    def cannot(workload, what):
        return numsnn.kernels.for_device(Side.device).lacks(Way(precision=Side.precision), np.dtype(np.float32))

    def __init__(self, workload, arrays):
        super().__init__(Workload.from_dict(workload), arrays, Side.device, Side.precision)


class Passes(passes.Passes):
    def __init__(self, case, arrays):
        super().__init__(passes.Case(**case), arrays)


METHODS = {
    "fixed": lambda family: {},
    "psg+pda": lambda family: {"surrogate": numsnn.PSG(family, SURROGATES[family]), "pda": numsnn.PDA()},
}
"""Method of a recipe -> options of the neurons; a learned width starts at the fixed one."""


class Training:
    """`numsnn.Trainer`, one epoch per call. The recipe's seed gives the order of samples that is in the arrays."""

    def __init__(self, workload, arrays, recipe):
        self.workload, self.arrays, self.recipe = workload, arrays, recipe
        self.loss = numsnn.losses.RateCrossEntropy(label_smoothing=recipe["smoothing"])
        net = network.build(Workload.from_dict(workload), **METHODS[recipe["method"]](workload["surrogate"]))
        network.fill(net.build(arrays["x"][: recipe["batch"]].shape), arrays)
        self.trainer = numsnn.Trainer(
            net,
            self.loss,
            numsnn.optim.AdamW(recipe["lr"], weight_decay=recipe["weight_decay"]),
            numsnn.schedules.Cosine(),
            seed=recipe["seed"],
            batch_size=recipe["batch"],
            on_epoch=lambda trainer, metrics: True,
        )

    def epoch(self):
        start = time.perf_counter()
        train = self.arrays["x"], self.arrays["y"]
        history = self.trainer.fit(train, epochs=self.recipe["epochs"], resume=True, progress=False)
        seconds = time.perf_counter() - start
        accuracy = self.trainer.evaluate((self.arrays["test_x"], self.arrays["test_y"])).accuracy
        return {"seconds": seconds, "loss": history[-1]["train_loss"], "accuracy": accuracy}

    def outcome(self, samples):
        workload, arrays = first(self.workload, self.arrays, samples)
        step = network.Network(Workload.from_dict(workload), arrays)
        z = step.net.forward(step.x, TRAINING)
        losses, dz = self.loss(z, step.y, step.kernels)
        return step.outcome(True, np.array(dz)) | {"loss": losses.mean()}
