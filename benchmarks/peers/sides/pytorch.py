"""PyTorch's dense convolution and linear layer, which is what all peers on PyTorch run."""

import sys
from importlib import metadata

import numpy as np
import torch


def load(threads, device):
    torch.set_num_threads(threads)
    return {name: metadata.version(name) for name in ("torch", "numpy")} | {"python": sys.version.split()[0]}


class Passes:
    """The three passes of a case of `numsnn.measure.passes`, given as plain data.

    Args:
        case: what to run.
        arrays: numbers in numsnn's layouts.
    """

    def __init__(self, case, arrays):
        self.linear = case["kind"] == "linear"
        x, w, dy = arrays["x"].astype(np.float32), arrays["w"], arrays["dy"]
        if self.linear:
            self.x, self.dy = (torch.from_numpy(a.reshape(-1, a.shape[-1])) for a in (x, dy))
            self.w = torch.from_numpy(np.ascontiguousarray(w.T))
        else:
            self.x, self.dy = (
                torch.from_numpy(np.ascontiguousarray(a.reshape(-1, *a.shape[2:]).transpose(0, 3, 1, 2)))
                for a in (x, dy)
            )
            self.w = torch.from_numpy(np.ascontiguousarray(w.transpose(3, 2, 0, 1)))
            _, _, _, stride, padding = case["numbers"]
            self.window = [stride, stride], [padding, padding]

    def forward(self):
        with torch.no_grad():
            if self.linear:
                return torch.nn.functional.linear(self.x, self.w)
            return torch.nn.functional.conv2d(self.x, self.w, None, *self.window)

    def weight_gradient(self):
        with torch.no_grad():
            return self.dy.T @ self.x if self.linear else self._backward(1)

    def input_gradient(self):
        with torch.no_grad():
            return self.dy @ self.w if self.linear else self._backward(0)

    def _backward(self, which):
        """The backward function that autograd calls, for one of its results."""
        mask = [k == which for k in range(3)]
        return torch.ops.aten.convolution_backward(
            self.dy, self.x, self.w, None, *self.window, [1, 1], False, [0, 0], 1, mask
        )[which]

    def outcome(self):
        y, dw, dx = (a.numpy() for a in (self.forward(), self.weight_gradient(), self.input_gradient()))
        if self.linear:
            return {"forward": y, "weight_gradient": dw.T, "input_gradient": dx}
        found = {"forward": y.transpose(0, 2, 3, 1), "input_gradient": dx.transpose(0, 2, 3, 1)}
        return found | {"weight_gradient": dw.transpose(2, 3, 1, 0)}
