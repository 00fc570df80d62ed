"""Single layers: the three passes of convolutions and linear layers at chosen densities of their input."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from ..layers import TRAINING, Conv2d, Linear
from ..layers.shapes import pictures, rows

DENSITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

PASSES = ("forward", "weight_gradient", "input_gradient")


@dataclass(frozen=True)
class Case:
    """One layer and its input.

    Attributes:
        name: of the layer.
        kind: "conv" or "linear".
        numbers: (in, out, kernel, stride, padding), or (in, out).
        shape: of the input, ``[T, N, H, W, C]`` or ``[T, N, C]``.
        density: share of the inputs that are not 0. Default 0.05.
        pooled: the inputs are numbers in quarters, as average pooling gives them, instead of spikes. Default False.
    """

    name: str
    kind: str
    numbers: tuple
    shape: tuple
    density: float = 0.05
    pooled: bool = False

    def to_dict(self) -> dict:
        """As data that JSON can hold; `Case(**data)` makes the case again."""
        return asdict(self)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output, in numsnn's layout."""
        if self.kind == "linear":
            return (*self.shape[:2], self.numbers[1])
        _, channels, kernel, stride, padding = self.numbers
        sizes = [(extent + 2 * padding - kernel) // stride + 1 for extent in self.shape[2:4]]
        return (*self.shape[:2], *sizes, channels)


def cases(quick: bool = False) -> list[Case]:
    """All layers that are measured, without their densities."""

    def conv(before, channels, size, images, kernel=3, stride=1, pooled=False):
        extra = f"{' /' + str(stride) if stride > 1 else ''}{' pooled' if pooled else ''}"
        name = f"conv {kernel}x{kernel} {before}->{channels} {size}x{size}{extra}"
        numbers = (before, channels, kernel, stride, kernel // 2)
        return Case(name, "conv", numbers, (1, images, size, size, before), pooled=pooled)

    def linear(before, features, samples):
        return Case(f"linear {before}->{features}", "linear", (before, features), (4, samples // 4, before))

    if quick:
        return [conv(8, 16, 8, 2), conv(8, 16, 8, 2, 1, 2), linear(32, 16, 8)]
    return [
        conv(64, 128, 32, 16),
        conv(128, 256, 16, 32),
        conv(256, 256, 16, 32),
        conv(256, 256, 16, 32, pooled=True),
        conv(512, 512, 8, 64),
        conv(128, 256, 32, 16, 1, 2),
        conv(128, 256, 32, 16, 3, 2),
        linear(1024, 1024, 2048),
        linear(8192, 512, 512),
    ]


def densities(case: Case, quick: bool = False) -> list[Case]:
    """The case at every density."""
    return [replace(case, density=density) for density in ((0.05, 1.0) if quick else DENSITIES)]


def draw(case: Case, seed: int = 0) -> dict[str, np.ndarray]:
    """Input x, weight w and output gradient dy."""
    rng = np.random.default_rng(seed)
    fired = rng.random(case.shape, np.float32) < case.density
    x = fired.astype(np.uint8)
    if case.pooled:
        x = np.where(fired, rng.integers(1, 5, case.shape) / 4, 0).astype(np.float32)
    shape = case.numbers if case.kind == "linear" else (case.numbers[2], case.numbers[2], *case.numbers[:2])
    w = rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[:-1])))
    return {"x": x, "w": w, "dy": rng.standard_normal(case.output_shape, np.float32)}


class Passes:
    """numsnn's passes of a case.

    Args:
        case: what to run.
        arrays: those of `draw`.
    """

    def __init__(self, case: Case, arrays: dict[str, np.ndarray]):
        self.case, self.x, self.dy = case, arrays["x"], arrays["dy"]
        make = Conv2d if case.kind == "conv" else Linear
        self.layer = make(*case.numbers, bias=False).build(self.x.shape)
        self.layer.weight.value[...] = arrays["w"]
        self.dx = np.empty(self.x.shape, np.float32)
        self.forward()

    def forward(self) -> None:
        """y from x; keeps what the other passes need."""
        self.layer.forward(self.x, TRAINING)

    def weight_gradient(self) -> None:
        """dw from x and dy."""
        self.layer.backward(self.dy, need_dx=False)

    def input_gradient(self) -> None:
        """dx from dy, for every input."""
        kernels, w = self.layer.kernels, self.layer.weight.value
        if self.case.kind == "linear":
            kernels.linear_backward_input(rows(self.dy), w, rows(self.dx))
        else:
            kernels.conv2d_backward_input(pictures(self.dy), w, self.layer.geometry, pictures(self.dx))

    def outcome(self) -> dict[str, np.ndarray]:
        """What the passes compute, by name."""
        for name in PASSES:
            getattr(self, name)()
        return {"forward": self.layer.output, "weight_gradient": self.layer.weight.grad, "input_gradient": self.dx}
