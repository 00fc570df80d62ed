"""What is measured, as plain data from which any library can build its own network.

A network is a tuple of layers, each a tuple of a name and its numbers:

    ("conv", in, out, kernel, stride, padding)     without bias
    ("norm", channels)                             batch normalisation
    ("lif", tau, threshold)                        input scaled by 1/tau, hard reset to 0
    ("recurrent", channels, tau, threshold)        the same with dense lateral weights
    ("pool", size)                                 average pooling
    ("max_pool", size)                             maximum pooling; of equal inputs the first one gets the gradient
    ("global_pool",)
    ("flatten", pixels)                            this number of pixels, with all channels, becomes the features
    ("linear", in, out, gain, bias)                weights of deviation gain / sqrt(3 in); bias: True or False
    ("residual", branch, shortcut)                 sum of two tuples of layers; an empty shortcut is the input itself

Arrays are numsnn's: ``[T, N, H, W, C]`` or ``[T, N, C]``, weights ``[kh, kw, in, out]`` and ``[in, out]``. Parameters
are listed in the order of the layers, the branch before the shortcut.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np

SURROGATES = {"arctan": 1 / np.pi, "triangle": 1.0}
"""Family -> width. The first is the ATan() of SpikingJelly and snnTorch; most of numsnn's recipes use the second."""


@dataclass(frozen=True)
class Workload:
    """A network and the batch it is fed.

    Attributes:
        name: as given on the command line.
        layers: the network, see above.
        shape: of the input, ``[T, N, ...]``.
        encoding: "spikes" (drawn again at every step), "picture" (the same numbers at every step), "currents" (normal).
        density: share of spikes in the input, or of a picture's pixels that are not 0; 1 for currents.
        once: number of layers at the front that numsnn computes once for all steps of a picture (`Repeat`).
        detach: the backward pass treats the reset's spikes as constants.
        loss: "rate" (cross-entropy of the mean over time) or "sum" (the sum of all outputs).
        training: whether training is measured as well as inference.
        surrogate: family; its width is that of `SURROGATES`.
        rate: share of spikes to which the thresholds of all layers are adjusted; 0 leaves the thresholds.
    """

    name: str
    layers: tuple
    shape: tuple
    encoding: str = "spikes"
    density: float = 1.0
    once: int = 0
    detach: bool = True
    loss: str = "rate"
    training: bool = True
    surrogate: str = "arctan"
    rate: float = 0.0

    @property
    def classes(self) -> int:
        """Outputs of the last linear layer."""
        return next(layer[2] for layer in reversed(self.layers) if layer[0] == "linear")

    def cut(self, steps: int, samples: int) -> "Workload":
        """The same for fewer steps and samples."""
        return replace(self, shape=(steps, samples, *self.shape[2:]))

    def to_dict(self) -> dict:
        """As data that JSON can hold."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict) -> "Workload":
        """The workload that `to_dict` gave, also if JSON has turned its tuples into lists."""
        return Workload(**{name: _tuples(value) for name, value in data.items()})


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


# --- the workloads ---------------------------------------------------------------------------------------------------


VGG = 64, 128, "P", 256, 256, "P", 512, 512, "P"
NARROW = 24, "P", 32, "P", 32, 40, "P"
"""Channels of the convolutions, and "P" for a pooling."""


def vgg(name="vgg", steps=10, samples=16, width=1.0, size=32, widths=VGG, **options) -> Workload:
    """Convolutions of `widths` on events of two channels; the widths are multiplied by `width`. There are three
    poolings."""
    layers, before = [], 2
    for channels in widths:
        if channels == "P":
            layers.append(("pool", 2))
        else:
            channels = int(channels * width)
            layers += [("conv", before, channels, 3, 1, 1), ("norm", channels), ("lif", 2.0, 1.0)]
            before = channels
    layers += [("flatten", (size // 8) ** 2), ("linear", before * (size // 8) ** 2, 10, 1.0, True)]
    return Workload(name, tuple(layers), (steps, samples, size, size, 2), density=0.05, **options)


def small(name="small", steps=8, samples=64, width=1.0, size=28, once=2, colours=1, widths=(32, 64)) -> Workload:
    """32-P-64-P on still pictures of one channel, or other widths and colours."""
    layers, before = [], colours
    for channels in (int(channels * width) for channels in widths):
        layers += [("conv", before, channels, 3, 1, 1), ("norm", channels), ("lif", 2.0, 1.0), ("pool", 2)]
        before, pixels = channels, (size // 2 ** (len(layers) // 4)) ** 2
    layers += [("flatten", pixels), ("linear", before * pixels, 10, 1.0, True)]
    return Workload(name, tuple(layers), (steps, samples, size, size, colours), "picture", once=once)


def resnet(name="resnet", steps=4, samples=8, width=1.0, size=32, once=2) -> Workload:
    """ResNet-19: 3 + 3 + 2 blocks of 128, 256 and 512 channels, 256 hidden units, on still pictures."""
    widths = [int(channels * width) for channels in (128, 256, 512, 256)]
    layers, before = [("conv", 3, widths[0], 3, 1, 1), ("norm", widths[0]), ("lif", 2.0, 1.0)], widths[0]
    for stage, (channels, blocks) in enumerate(zip(widths, (3, 3, 2), strict=False)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            branch = (
                ("conv", before, channels, 3, stride, 1),
                ("norm", channels),
                ("lif", 2.0, 1.0),
                ("conv", channels, channels, 3, 1, 1),
                ("norm", channels),
            )
            shortcut = (("conv", before, channels, 1, stride, 0), ("norm", channels)) if before != channels else ()
            layers += [("residual", branch, shortcut), ("lif", 2.0, 1.0)]
            before = channels
    head = ("linear", before, widths[3], 20.0, True), ("lif", 2.0, 1.0), ("linear", widths[3], 10, 1.0, True)
    layers += [("global_pool",), ("flatten", 1), *head]
    return Workload(name, tuple(layers), (steps, samples, size, size, 3), "picture", once=once)


def fc(name="fc", steps=500, samples=16, units=1024, detach=True) -> Workload:
    """One linear layer and its neurons, on dense input: the benchmark of Open Neuromorphic, with weights so large
    that a few per cent of the neurons fire."""
    layers = ("linear", units, units, 4.0, True), ("lif", 5.0, 1.0)
    return Workload(name, layers, (steps, samples, units), "currents", detach=detach, loss="sum")


def recurrent(name="recurrent", steps=100, samples=64, features=700, units=256) -> Workload:
    """700-256-20 with lateral weights, on input as sparse as that of the Spiking Heidelberg Digits."""
    layers = (
        ("linear", features, units, 36.0, False),
        ("recurrent", units, 10.0, 1.0),
        ("linear", units, 20, 1.0, True),
    )
    return Workload(name, layers, (steps, samples, features), density=0.03)


def tutorial_fc(name="tutorial-fc", steps=25, samples=128, features=784, units=1000) -> Workload:
    """784-1000-10, the fully connected network of snnTorch's fifth tutorial, on still pictures of which a fifth of the
    pixels is not 0, as in MNIST. A factor of 0.95 per step is tau = 20. A tenth of the neurons fires."""
    layers = (
        ("linear", features, units, 1.0, True),
        ("lif", 20.0, 1.0),
        ("linear", units, 10, 1.0, True),
        ("lif", 20.0, 1.0),
    )
    return Workload(name, layers, (steps, samples, features), "picture", density=0.2, once=1, rate=0.1)


def tutorial_conv(name="tutorial-conv", steps=50, samples=128, width=1.0, size=28) -> Workload:
    """12c5-P2-64c5-P2-10, the convolutional network of snnTorch's sixth tutorial: maximum pooling in front of the
    neurons, and a factor of 0.5 per step, which is tau = 2. A tenth of the neurons fires."""
    first, second = (int(channels * width) for channels in (12, 64))
    side = ((size - 4) // 2 - 4) // 2
    layers = (
        ("conv", 1, first, 5, 1, 0),
        ("max_pool", 2),
        ("lif", 2.0, 1.0),
        ("conv", first, second, 5, 1, 0),
        ("max_pool", 2),
        ("lif", 2.0, 1.0),
        ("flatten", side**2),
        ("linear", second * side**2, 10, 1.0, True),
        ("lif", 2.0, 1.0),
    )
    return Workload(name, layers, (steps, samples, size, size, 1), "picture", once=2, rate=0.1)


def workloads(quick: bool = False) -> dict[str, Workload]:
    """All workloads by name.

    Args:
        quick: use tiny shapes, which show that everything works and measure nothing. Default False.
    """
    tiny = {"width": 1 / 8, "size": 8, "steps": 2, "samples": 2} if quick else {}
    one = tiny | {"samples": 1}
    dense = {"steps": 10, "samples": 2, "units": 32} if quick else {}
    sequences = {"steps": 10, "samples": 2, "features": 70, "units": 32} if quick else {}
    every = (
        vgg(**tiny),
        vgg("vgg-20%", rate=0.2, **tiny),
        vgg("vgg-one-sample", training=False, **one),
        vgg("narrow-one-sample", widths=NARROW, **one),
        resnet(**tiny),
        resnet("resnet-every-step", once=0, **tiny),
        small(**tiny),
        small("small-every-step", once=0, **tiny),
        fc(**dense),
        fc("fc-attached", detach=False, **dense),
        recurrent(**sequences),
        recurrent("recurrent-wide", **sequences if quick else {"steps": 250, "samples": 32, "units": 512}),
        tutorial_fc(**{"steps": 10, "samples": 2, "features": 49, "units": 32} if quick else {}),
        tutorial_conv(**{"steps": 4, "samples": 2, "width": 1 / 2, "size": 16} if quick else {}),
    )
    return {workload.name: workload for workload in every}


def scaling(quick: bool = False) -> dict[str, dict[str, Workload]]:
    """How time grows: series name -> what the series varies -> workload."""
    if quick:
        base = {"width": 1 / 8, "size": 8, "steps": 2, "samples": 2}
        return {"vgg T": {str(t): vgg(f"vgg T={t}", **base | {"steps": t}) for t in (1, 2)}}
    return {
        "vgg T": {str(t): vgg(f"vgg T={t}", steps=t) for t in (5, 10, 20)},
        "vgg N": {str(n): vgg(f"vgg N={n}", samples=n) for n in (4, 8, 16, 32)},
        "vgg width": {f"{w:g}": vgg(f"vgg width={w:g}", width=w) for w in (0.25, 0.5, 1.0)},
        "fc T": {str(t): fc(f"fc T={t}", steps=t) for t in (125, 250, 500, 1000)},
        "fc N": {str(n): fc(f"fc N={n}", samples=n) for n in (4, 8, 16, 32)},
        "fc units": {str(n): fc(f"fc units={n}", units=n) for n in (256, 512, 1024, 2048)},
        "recurrent T": {str(t): recurrent(f"recurrent T={t}", steps=t) for t in (50, 100, 200)},
    }


def on_device(quick: bool = False) -> list[tuple[Workload, Workload]]:
    """The workloads for a GPU, the most important first, each with a smaller one.

    On the smaller one the sides of a comparison show that they compute the same.

    Args:
        quick: use tiny shapes, for a simulated device. Default False.
    """
    if quick:
        tiny = {"samples": 1, "steps": 2}
        every = fc(units=8, **tiny), vgg(width=1 / 32, size=8, **tiny), resnet(width=1 / 64, size=4, **tiny)
        return [(workload, workload) for workload in every]
    dense, pictures, deep = fc(steps=100, samples=4), vgg(steps=4, samples=4), resnet(samples=2)
    return [
        (fc("fc n=16384", units=16384), dense),
        (vgg("vgg T=10 N=64", samples=64), pictures),
        (resnet("resnet T=4 N=128", samples=128), deep),
        (fc("fc n=8192", units=8192), dense),
        (fc("fc n=4096", units=4096), dense),
        (vgg("vgg T=10 N=256", samples=256), pictures),
    ]


ESSENTIAL = 3
"""Number of workloads of `on_device` that a short run measures."""


# --- numbers ---------------------------------------------------------------------------------------------------------


def leaves(layers):
    """All layers except residual blocks, whose parts it contains, in the order of their parameters."""
    for layer in layers:
        if layer[0] == "residual":
            yield from leaves(layer[1])
            yield from leaves(layer[2])
        else:
            yield layer


def operations(workload: Workload) -> int:
    """Multiplications and additions of a forward pass in which every input counts, at every step."""

    def chain(layers, size):
        """Operations per step and sample, and the size (height and width) of the output, for this size of the input."""
        total = 0
        for kind, *numbers in layers:
            if kind == "conv":
                before, channels, kernel, stride, padding = numbers
                size = (size + 2 * padding - kernel) // stride + 1
                total += 2 * before * channels * (kernel * size) ** 2
            elif kind == "linear":
                total += 2 * numbers[0] * numbers[1]
            elif kind == "recurrent":
                total += 2 * numbers[0] ** 2
            elif kind == "residual":
                branch, after = chain(numbers[0], size)
                total, size = total + branch + chain(numbers[1], size)[0], after
            elif kind in ("pool", "max_pool", "global_pool"):
                size = size // numbers[0] if numbers else 1
        return total, size

    steps, samples, *sample = workload.shape
    return steps * samples * chain(workload.layers, sample[0])[0]


def with_thresholds(workload: Workload, thresholds) -> Workload:
    """The same workload with these thresholds, one per layer of neurons."""
    rest = iter(thresholds)

    def renewed(layers):
        for layer in layers:
            if layer[0] == "residual":
                yield "residual", tuple(renewed(layer[1])), tuple(renewed(layer[2]))
            elif layer[0] in ("lif", "recurrent"):
                yield (*layer[:-1], float(next(rest)))
            else:
                yield layer

    return replace(workload, layers=tuple(renewed(workload.layers)))


def draw(workload: Workload, seed: int = 0) -> dict[str, np.ndarray]:
    """Input x, labels y, and parameters p0, p1, ...; a "picture" has no time axis."""
    rng = np.random.default_rng(seed)
    arrays = {"x": _input(workload, rng), "y": rng.integers(0, workload.classes, workload.shape[1])}
    count = 0
    for layer in leaves(workload.layers):
        for value in _parameters(layer, rng):
            arrays[f"p{count}"] = value.astype(np.float32)
            count += 1
    return arrays


def plain_statistics(workload: Workload) -> dict[str, np.ndarray]:
    """Mean 0 and variance 1 for every normalisation, for networks whose output does not matter."""
    widths = [layer[1] for layer in leaves(workload.layers) if layer[0] == "norm"]
    found = {}
    for k, channels in enumerate(widths):
        found |= {f"m{k}": np.zeros(channels, np.float32), f"v{k}": np.ones(channels, np.float32)}
    return found


def _input(workload, rng):
    if workload.encoding == "spikes":
        return (rng.random(workload.shape, np.float32) < workload.density).astype(np.uint8)
    if workload.encoding == "picture":
        picture = rng.random(workload.shape[1:], np.float32)
        if workload.density == 1:
            return picture
        return picture * (rng.random(picture.shape, np.float32) < workload.density)
    return rng.standard_normal(workload.shape, np.float32)


def _parameters(layer, rng):
    """Parameters of one layer, as PyTorch draws them: uniform with variance gain^2 / (3 fan_in)."""
    kind = layer[0]
    if kind == "conv":
        bound = (layer[3] ** 2 * layer[1]) ** -0.5
        return [rng.uniform(-bound, bound, (layer[3], layer[3], layer[1], layer[2]))]
    if kind == "linear":
        bound = layer[1] ** -0.5
        weight = rng.uniform(-bound, bound, (layer[1], layer[2])) * layer[3]
        return [weight, rng.uniform(-bound, bound, layer[2])] if layer[4] else [weight]
    if kind == "norm":
        return [np.ones(layer[1]), np.zeros(layer[1])]
    if kind == "recurrent":
        bound = (3 / layer[1]) ** 0.5
        return [rng.uniform(-bound, bound, (layer[1], layer[1]))]
    return []
