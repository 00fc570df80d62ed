"""Training a workload's network on pictures in a library on PyTorch, as its users do."""

import math
import time

import numpy as np
import torch
from torch import nn

from . import first


class TorchTraining:
    """See `benchmarks.peers.sides`; a subclass names its `Side`.

    AdamW's betas and eps are the defaults, which PyTorch and numsnn share.
    """

    Side = None

    def __init__(self, workload, arrays, recipe):
        self.workload, self.arrays, self.recipe = workload, arrays, recipe
        self.side = self.Side(*first(workload, arrays, recipe["batch"]))
        self.x, self.test_x = (
            torch.from_numpy(np.ascontiguousarray(np.moveaxis(arrays[name], -1, 1))) for name in ("x", "test_x")
        )
        self.y, self.test_y, self.order = (torch.from_numpy(arrays[name]) for name in ("y", "test_y", "order"))
        decayed, others = [], []
        for parameter in self.side.net.parameters():
            (decayed if parameter.ndim > 1 else others).append(parameter)
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": recipe["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
            recipe["lr"],
        )
        total = recipe["epochs"] * -(-len(self.x) // recipe["batch"])
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: (1 + math.cos(math.pi * step / total)) / 2
        )
        self.epochs = 0

    def _loss(self, z, y):
        return nn.functional.cross_entropy(z.mean(0), y, label_smoothing=self.recipe["smoothing"])

    def _readout(self, x):
        """``[T, N, K]`` of pictures ``[N, C, H, W]``, which are the input of every step."""
        self.side.x = x.expand(self.workload["shape"][0], *x.shape)
        return self.side.forward()

    def epoch(self):
        start, total = time.perf_counter(), 0.0
        self.side.net.train()
        for rows in self.order[self.epochs].split(self.recipe["batch"]):
            loss = self._loss(self._readout(self.x[rows]), self.y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            total += loss.item() * len(rows)
        self.epochs += 1
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "loss": total / len(self.x), "accuracy": self._accuracy()}

    @torch.no_grad()
    def _accuracy(self):
        self.side.net.eval()
        batches = zip(*(a.split(self.recipe["batch"]) for a in (self.test_x, self.test_y)), strict=True)
        right = sum((self._readout(x).mean(0).argmax(1) == y).sum().item() for x, y in batches)
        return right / len(self.test_y)

    def outcome(self, samples):
        side = self.Side(*first(self.workload, self.arrays, samples))
        z = side.forward().detach().requires_grad_()
        loss = self._loss(z, side.y)
        loss.backward()
        return side.outcome(True, z.grad.numpy()) | {"loss": loss.item()}
