"""A workload in numsnn: the network, a training step, an inference pass, and what they compute."""

import numpy as np

from ..layers import (
    INFERENCE,
    LIF,
    TRAINING,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    Mode,
    Neuron,
    RecurrentLIF,
    Repeat,
    Residual,
    Sequential,
    set_precision,
)
from ..losses import RateCrossEntropy
from ..psg import Surrogate
from .workloads import SURROGATES, Workload, with_thresholds


def build(workload: Workload, record=(), momentum: float = 0.1, **options) -> Sequential:
    """The network of a workload, unbuilt.

    Args:
        workload: what to build.
        record: what the neurons record in every pass. Default nothing.
        momentum: of the normalisations' running statistics. Default 0.1.
        options: further arguments of the neurons, in place of the workload's.
    """
    surrogate = Surrogate(workload.surrogate, SURROGATES[workload.surrogate])
    neuron = {"decay_input": True, "detach_reset": workload.detach, "surrogate": surrogate, "record": record}
    neuron |= options
    makers = {
        "conv": lambda i, o, kernel, stride, padding: Conv2d(i, o, kernel, stride, padding),
        "norm": lambda channels: BatchNorm(channels, momentum=momentum),
        "lif": lambda tau, theta: LIF(tau, v_threshold=theta, **neuron),
        "recurrent": lambda channels, tau, theta: RecurrentLIF(tau=tau, v_threshold=theta, **neuron),
        "pool": AvgPool2d,
        "max_pool": MaxPool2d,
        "global_pool": GlobalAvgPool2d,
        "flatten": lambda pixels: Flatten(),
        "linear": lambda i, o, gain, bias: Linear(i, o, bias),
        "residual": lambda branch, side: Residual(*chain(branch), shortcut=Sequential(*chain(side)) if side else None),
    }

    def chain(layers):
        return [makers[kind](*numbers) for kind, *numbers in layers]

    if workload.encoding != "picture":
        return Sequential(*chain(workload.layers))
    once, rest = workload.layers[: workload.once], workload.layers[workload.once :]
    return Sequential(Repeat(workload.shape[0], *chain(once)), *chain(rest))


def fill(net: Layer, arrays: dict[str, np.ndarray]) -> None:
    """Give a built network the parameters p0, p1, ... of a workload. Learned widths, which no workload has, stay."""
    for k, parameter in enumerate(_shared(net)):
        net.kernels.put(arrays[f"p{k}"], parameter.value)


def initial(workload: Workload, seed: int) -> dict[str, np.ndarray]:
    """Parameters p0, p1, ... as numsnn draws them for training; `workloads.draw` draws them as PyTorch does."""
    net = build(workload)
    net.build(workload.shape[1:] if workload.encoding == "picture" else workload.shape, seed)
    return {f"p{k}": net.kernels.to_host(parameter.value).copy() for k, parameter in enumerate(_shared(net))}


def _shared(net):
    return [parameter for _, parameter in net.parameters() if parameter.group != "width"]


class Network:
    """A workload that is ready to run.

    Args:
        workload: what to run.
        arrays: those of `workloads.draw`, and the statistics m0, v0, m1, ... of the normalisations if there are any.
        device: "cpu" (default) or "cuda".
        precision: see `numsnn.set_precision`. Default "float32".
    """

    def __init__(
        self, workload: Workload, arrays: dict[str, np.ndarray], device: str = "cpu", precision: str = "float32"
    ):
        self.workload, self.arrays, self.device, self.precision = workload, arrays, device, precision
        self.net = self._loaded(build(workload))
        self.kernels = self.net.kernels
        self.x, self.y = self.kernels.from_host(arrays["x"], arrays["x"].dtype), arrays["y"]
        self.folded = self.net.fold()
        self.loss = RateCrossEntropy()
        ones = np.ones(self.net.output_shape, np.float32)
        self.ones = None if workload.loss == "rate" else self.kernels.from_host(ones, np.float32)

    def _loaded(self, net) -> Layer:
        set_precision(net.build(self.arrays["x"].shape).to(self.device), self.precision)
        fill(net, self.arrays)
        if "m0" in self.arrays:
            for k, norm in enumerate(_of_kind(net, BatchNorm)):
                norm.set_statistic("mean", self.arrays[f"m{k}"])
                norm.set_statistic("var", self.arrays[f"v{k}"])
        return net

    def _here(self, x, dtype):
        """A copy on the host of one of the network's arrays."""
        return np.array(self.kernels.to_host(x), dtype)

    def train(self, mode: Mode = TRAINING) -> None:
        """A forward and a backward pass, which compute all gradients; parameters do not change."""
        z = self.net.forward(self.x, mode)
        dz = self.ones if self.ones is not None else self.loss(z, self.y, self.net.kernels)[1]
        self.net.backward(dz, need_dx=False)

    def infer(self) -> None:
        """A forward pass with running statistics, normalisations folded into the weights."""
        self.folded.forward(self.x, INFERENCE)

    def outcome(self, training: bool, g: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """What a pass computes: the output z, the spikes s0, s1, ... of the neurons in their order, and in training the
        gradients p0, p1, ... of sum(g z)."""
        net = self.net if training else self.folded
        found = {"z": self._here(net.forward(self.x, TRAINING if training else INFERENCE), np.float32)}
        found |= {f"s{k}": self._here(layer.output, np.uint8) for k, layer in enumerate(_of_kind(net, Neuron))}
        if training:
            net.backward(self.kernels.from_host(g, np.float32), need_dx=False)
            gradients = enumerate(parameter.grad for _, parameter in net.parameters())
            found |= {f"p{k}": self._here(gradient, np.float32) for k, gradient in gradients}
        return found

    def routes(self) -> list[str]:
        """The routes of convolutions and matrix products in the last training pass, see `numsnn.set_route`."""
        found = [layer.routes.values() for layer in self.net.walk() if hasattr(layer, "routes")]
        return sorted({route for routes in found for route in routes})

    def potentials(self, k: int, training: bool) -> np.ndarray:
        """Potentials of the neurons with number k, before their reset."""
        net = self._loaded(build(self.workload, record="u"))
        net = net if training else net.fold()
        net.forward(self.x, Mode(training=training))
        return _of_kind(net, Neuron)[k].recorded["u"]

    def rates(self) -> list[float]:
        """Share of spikes of every layer of neurons in training."""
        self.net.forward(self.x, Mode(training=True))
        return [float(np.mean(self.kernels.to_host(layer.output))) for layer in _of_kind(self.net, Neuron)]


def _of_kind(net, kind):
    return [layer for layer in net.walk() if isinstance(layer, kind)]


def statistics(workload: Workload, arrays, device: str = "cpu") -> dict[str, np.ndarray]:
    """Mean and variance m0, v0, m1, ... of every normalisation's input, for inference."""
    network = Network(workload, arrays, device)
    net = network._loaded(build(workload, momentum=1.0))
    net.forward(network.x, Mode(training=True, track=True))
    found = {}
    for k, norm in enumerate(_of_kind(net, BatchNorm)):
        found |= {f"{name[0]}{k}": network._here(norm.running[name], np.float32) for name in ("mean", "var")}
    return found


def calibrated(workload: Workload, arrays, halvings: int = 12) -> Workload:
    """The workload with thresholds at which the share `workload.rate` of every layer's neurons fires in training.

    They are found one layer after the other, because a layer's input depends only on the thresholds below it.
    """
    thresholds = []
    for k in range(sum(layer[0] == "lif" for layer in workload.layers)):
        low, high = 0.0, 1.0
        network = Network(with_thresholds(workload, [*thresholds, *[1.0] * 99]), arrays)
        network.net.forward(network.x, Mode(training=True, inspect=True))
        neurons = _of_kind(network.net, Neuron)[k]
        below = network.net.layers[network.net.layers.index(neurons) - 1].output
        for _ in range(halvings):
            middle = float(np.float32((low + high) / 2))
            trial = LIF(neurons.tau, v_threshold=middle, decay_input=True)
            low, high = (middle, high) if trial.forward(below).mean() > workload.rate else (low, middle)
        thresholds.append(middle)
    return with_thresholds(workload, thresholds)


def prepare(workload: Workload, seed: int = 0, device: str = "cpu") -> tuple[Workload, dict[str, np.ndarray]]:
    """A workload with its thresholds set (on the CPU), and all its arrays, including the statistics."""
    from .workloads import draw

    arrays = draw(workload, seed)
    if workload.rate:
        workload = calibrated(workload, arrays)
    return workload, arrays | statistics(workload, arrays, device)
