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
        self.kind = case["kind"]
        x, w, dy = arrays["x"].astype(np.float32), arrays["w"], arrays["dy"]
        if self.kind == "linear":
            self.x, self.dy = (torch.from_numpy(a.reshape(-1, a.shape[-1])) for a in (x, dy))
            self.w = torch.from_numpy(np.ascontiguousarray(w.T))
        else:
            self.x, self.dy = (
                torch.from_numpy(np.ascontiguousarray(a.reshape(-1, *a.shape[2:]).transpose(0, 3, 1, 2)))
                for a in (x, dy)
            )
            self.w = torch.from_numpy(np.ascontiguousarray(w.transpose(3, 2, 0, 1)))
            stride, padding = ([n, n] if isinstance(n, int) else list(n) for n in case["numbers"][3:5])
            groups = case["numbers"][5] if len(case["numbers"]) > 5 else 1
            self.window = stride, padding, [1, 1], self.kind == "transposed", [0, 0], groups

    def forward(self):
        with torch.no_grad():
            if self.kind == "linear":
                return torch.nn.functional.linear(self.x, self.w)
            return torch.ops.aten.convolution(self.x, self.w, None, *self.window)

    def weight_gradient(self):
        return self._backward(False, True)[1]

    def input_gradient(self):
        return self._backward(True, False)[0]

    def both_gradients(self):
        return self._backward(True, True)

    def _backward(self, need_dx, need_dw):
        """The gradients as autograd computes them."""
        with torch.no_grad():
            if self.kind == "linear":
                return self.dy @ self.w if need_dx else None, self.dy.T @ self.x if need_dw else None
            mask = [need_dx, need_dw, False]
            return torch.ops.aten.convolution_backward(self.dy, self.x, self.w, None, *self.window, mask)

    def outcome(self):
        y, dw, dx = (a.numpy() for a in (self.forward(), self.weight_gradient(), self.input_gradient()))
        if self.kind == "linear":
            return {"forward": y, "weight_gradient": dw.T, "input_gradient": dx}
        found = {"forward": y.transpose(0, 2, 3, 1), "input_gradient": dx.transpose(0, 2, 3, 1)}
        return found | {"weight_gradient": dw.transpose(2, 3, 1, 0)}
