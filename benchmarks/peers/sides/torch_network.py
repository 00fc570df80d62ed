"""What the sides on PyTorch share: a workload's network as a torch module, its parameters, and its passes."""

import gc
import sys
from importlib import metadata

import numpy as np
import torch
from torch import nn


def load(threads, device, *libraries):
    """Prepare PyTorch; returns its version and those of these libraries."""
    torch.set_num_threads(threads)
    if device == "cuda":
        if not torch.cuda.is_available():
            raise RuntimeError("PyTorch sees no CUDA device")
        torch.backends.cudnn.benchmark = True
        use("float32")
    TorchSide.device = device
    versions = {name: metadata.version(name) for name in (*libraries, "torch", "numpy")}
    return versions | {"python": sys.version.split()[0]}


def use(precision):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
    TorchSide.mixed = precision == "bfloat16"


class Meter:
    """Times and memory on a device, see `benchmarks.peers.sides`."""

    @staticmethod
    def seconds(step, count):
        marks = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
        for start, end in marks:
            start.record()
            step()
            end.record()
        torch.cuda.synchronize()
        return [start.elapsed_time(end) / 1e3 for start, end in marks]

    @staticmethod
    def resident():
        return torch.cuda.memory_allocated()

    @staticmethod
    def peak():
        return torch.cuda.max_memory_allocated()

    @staticmethod
    def forget_peak():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


class Residual(nn.Module):
    """The sum of a branch and a shortcut."""

    def __init__(self, branch, shortcut):
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x):
        return self.branch(x) + (x if self.shortcut is None else self.shortcut(x))


class Steps(nn.Module):
    """A layer without memory applied to all steps ``[T, N, ...]`` at once, as if they were samples."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class TorchSide:
    """A workload in a library on PyTorch. A subclass makes the layers.

    Args:
        workload: plain data.
        arrays: numbers in numsnn's layouts.

    Attributes:
        device: where to compute; `load` sets it.
        mixed: whether products take bfloat16 numbers (autocast); `use` sets it.
    """

    device, mixed = "cpu", False

    def __init__(self, workload, arrays):
        self.workload = workload
        self.neurons, self._values, self._norms = [], [], []
        self._pixels = 1
        self.net = self.chain(workload["layers"]).to(self.device)
        for k, (parameter, there, _) in enumerate(self._values):
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(there(arrays[f"p{k}"]))))
        for k, norm in enumerate(self._norms):
            if f"m{k}" in arrays:
                norm.running_mean.copy_(torch.from_numpy(arrays[f"m{k}"]))
                norm.running_var.copy_(torch.from_numpy(arrays[f"v{k}"]))
        x = arrays["x"].astype(np.float32)
        if workload["encoding"] == "picture":
            x = np.broadcast_to(x, tuple(workload["shape"]))
        self.x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 2) if x.ndim == 5 else x)).to(self.device)
        self.y = torch.from_numpy(arrays["y"]).to(self.device)

    # --- the network -------------------------------------------------------------------------------------------------

    def stateless(self, kind, *arguments, **options):
        """A layer of torch.nn for all steps at once, and the module that owns its parameters."""
        inner = getattr(nn, kind)(*arguments, **options)
        return Steps(inner), inner

    def neuron(self, tau, theta):
        """Neurons for all steps ``[T, N, ...]``."""
        raise NotImplementedError

    def recurrent(self, lateral, tau, theta):
        """The same with lateral weights, a linear layer."""
        raise NotImplementedError

    def chain(self, layers):
        """A module for layers that follow one another."""
        return nn.Sequential(*[getattr(self, f"_{layer[0]}")(*layer[1:]) for layer in layers])

    def _own(self, parameter, there, back):
        self._values.append((parameter, there, back))

    def _conv(self, before, channels, kernel, stride, padding):
        layer, inner = self.stateless("Conv2d", before, channels, kernel, stride, padding, bias=False)
        self._own(inner.weight, lambda w: w.transpose(3, 2, 0, 1), lambda w: w.transpose(2, 3, 1, 0))
        return layer

    def _norm(self, channels):
        layer, inner = self.stateless("BatchNorm2d", channels)
        self._own(inner.weight, np.array, np.array)
        self._own(inner.bias, np.array, np.array)
        self._norms.append(inner)
        return layer

    def _linear(self, before, features, gain, bias):
        layer, inner = self.stateless("Linear", before, features, bias=bias)
        pixels, self._pixels = self._pixels, 1

        def there(w):  # rows behind a flattened picture: (pixel, channel) in numsnn, (channel, pixel) in torch
            return w.reshape(pixels, -1, features).transpose(2, 1, 0).reshape(features, -1)

        def back(w):
            return w.reshape(features, -1, pixels).transpose(2, 1, 0).reshape(-1, features)

        self._own(inner.weight, there, back)
        if bias:
            self._own(inner.bias, np.array, np.array)
        return layer

    def _pool(self, size):
        return self.stateless("AvgPool2d", size)[0]

    def _max_pool(self, size):
        return self.stateless("MaxPool2d", size)[0]

    def _global_pool(self):
        return self.stateless("AdaptiveAvgPool2d", 1)[0]

    def _flatten(self, pixels):
        self._pixels = pixels
        return self.stateless("Flatten")[0]

    def _lif(self, tau, theta):
        self.neurons.append(self.neuron(tau, theta))
        return self.neurons[-1]

    def _recurrent(self, channels, tau, theta):
        lateral = nn.Linear(channels, channels, bias=False)
        self._own(lateral.weight, np.transpose, np.transpose)
        self.neurons.append(self.recurrent(lateral, tau, theta))
        return self.neurons[-1]

    def _residual(self, branch, shortcut):
        return Residual(self.chain(branch), self.chain(shortcut) if shortcut else None)

    # --- passes ------------------------------------------------------------------------------------------------------

    def reset(self):
        """Reset the neurons' state; does nothing if they start from rest in every pass."""

    def forward(self):
        """The output for all steps ``[T, N, K]``."""
        self.reset()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            return self.net(self.x)

    def train(self):
        self.net.train()
        self.net.zero_grad(set_to_none=True)
        z = self.forward()
        loss = z.sum() if self.workload["loss"] == "sum" else nn.functional.cross_entropy(z.mean(0), self.y)
        loss.backward()

    def infer(self):
        self.net.eval()
        with torch.no_grad():
            self.forward()

    def outcome(self, training, g=None):
        self.net.train(training)
        self.net.zero_grad(set_to_none=True)
        spikes = {}

        def keep(module, inputs, output):
            s = output[0] if isinstance(output, tuple) else output
            spikes[self.neurons.index(module)] = s.detach().cpu().numpy()

        hooks = [neuron.register_forward_hook(keep) for neuron in self.neurons]
        with torch.set_grad_enabled(training):
            z = self.forward()
        for hook in hooks:
            hook.remove()
        found = {"z": z.detach().cpu().numpy()}
        for k, s in spikes.items():
            found[f"s{k}"] = (np.moveaxis(s, 2, -1) if s.ndim == 5 else s).astype(np.uint8)
        if training:
            z.backward(torch.from_numpy(g).to(self.device))
            for k, (parameter, _, back) in enumerate(self._values):
                found[f"p{k}"] = np.ascontiguousarray(back(parameter.grad.cpu().numpy()))
        return found
