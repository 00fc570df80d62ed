"""Single layers: the three passes of convolutions and linear layers at chosen densities of their input."""

from dataclasses import asdict, dataclass, replace
from math import prod

import numpy as np

from ..layers import TRAINING, Conv2d, ConvTranspose2d, Linear, set_route
from ..layers.shapes import pictures, rows

DENSITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

PASSES = ("forward", "weight_gradient", "input_gradient")

ROUTED = {"forward": "forward", "weight_gradient": "weight", "input_gradient": "input"}
"""Pass -> key in `Routed.routes`."""


@dataclass(frozen=True)
class Case:
    """One layer and its input.

    Attributes:
        name: of the layer.
        kind: "conv", "transposed" or "linear".
        numbers: (in, out), and for convolutions also (kernel, stride, padding, groups). Kernel, stride and padding are
            whole numbers or pairs (vertical, horizontal); groups may be left out.
        shape: of the input, ``[T, N, H, W, C]`` or ``[T, N, C]``.
        density: share of the inputs that are not 0. Default 0.05.
        values: what the inputs that are not 0 are. "spikes": ones, as uint8. "pooled": quarters, as average pooling
            gives them. "numbers": numbers from a normal distribution. Default "spikes".
    """

    name: str
    kind: str
    numbers: tuple
    shape: tuple
    density: float = 0.05
    values: str = "spikes"

    def to_dict(self) -> dict:
        """As data that JSON can hold; `Case(**data)` makes the case again."""
        return asdict(self)

    @property
    def window(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
        """Kernel, stride and padding of a convolution as pairs, and the number of its groups."""
        pairs = [(number, number) if isinstance(number, int) else tuple(number) for number in self.numbers[2:5]]
        return pairs[0], pairs[1], pairs[2], self.numbers[5] if len(self.numbers) > 5 else 1

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight, in numsnn's layout."""
        before, after = self.numbers[:2]
        if self.kind == "linear":
            return before, after
        kernel, _, _, groups = self.window
        return (*kernel, *((before // groups, after) if self.kind == "conv" else (after // groups, before)))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output, in numsnn's layout."""
        if self.kind == "linear":
            return (*self.shape[:2], self.numbers[1])
        sizes = [
            (extent + 2 * pad - reach) // step + 1 if self.kind == "conv" else (extent - 1) * step - 2 * pad + reach
            for extent, reach, step, pad in zip(self.shape[2:4], *self.window[:3], strict=True)
        ]
        return (*self.shape[:2], *sizes, self.numbers[1])

    @property
    def operations(self) -> int:
        """Multiplications and additions of one dense pass."""
        pixels = (
            1 if self.kind == "linear" else prod((self.shape if self.kind == "transposed" else self.output_shape)[2:4])
        )
        return 2 * self.shape[0] * self.shape[1] * pixels * prod(self.weight_shape)


def cases(quick: bool = False) -> list[Case]:
    """All layers that are measured, without their densities."""

    def conv(before, channels, size, images, kernel=3, stride=1, pooled=False):
        extra = f"{' /' + str(stride) if stride > 1 else ''}{' pooled' if pooled else ''}"
        name = f"conv {kernel}x{kernel} {before}->{channels} {size}x{size}{extra}"
        numbers = (before, channels, kernel, stride, kernel // 2)
        return Case(name, "conv", numbers, (1, images, size, size, before), values="pooled" if pooled else "spikes")

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
    if case.values == "pooled":
        x = np.where(fired, rng.integers(1, 5, case.shape) / 4, 0).astype(np.float32)
    elif case.values == "numbers":
        x = fired * rng.standard_normal(case.shape, np.float32)
    shape = case.weight_shape
    fan_in = np.float32(np.sqrt(np.prod(shape[:-1])))
    w = rng.standard_normal(shape, np.float32) / fan_in
    return {"x": x, "w": w, "dy": rng.standard_normal(case.output_shape, np.float32)}


class Passes:
    """numsnn's passes of a case.

    Args:
        case: what to run.
        arrays: those of `draw`.
    """

    def __init__(self, case: Case, arrays: dict[str, np.ndarray]):
        self.case, self.x, self.dy = case, arrays["x"], arrays["dy"]
        make = {"conv": Conv2d, "transposed": ConvTranspose2d, "linear": Linear}[case.kind]
        options = {} if case.kind == "linear" else {"groups": case.window[3]}
        self.layer = make(*case.numbers[:5], bias=False, **options).build(self.x.shape)
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
        layer, kernels = self.layer, self.layer.kernels
        w, dy, dx = layer.weight.value, self.dy, self.dx
        if self.case.kind == "linear":
            layer.routes["input"] = kernels.linear_backward_input(rows(dy), w, rows(dx), layer.way)
            return
        dy, dx = pictures(dy), pictures(dx)
        if self.case.kind == "conv":
            layer.routes["input"] = kernels.conv2d_backward_input(dy, w, layer.geometry, dx, layer.way)
        else:
            layer.routes["input"] = kernels.conv2d_forward(dy, w, None, layer.geometry, dx, None, layer.way)

    def both_gradients(self) -> None:
        """dw and dx, for every input."""
        self.weight_gradient()
        self.input_gradient()

    def outcome(self) -> dict[str, np.ndarray]:
        """What the passes compute, by name."""
        for name in PASSES:
            getattr(self, name)()
        return {"forward": self.layer.output, "weight_gradient": self.layer.weight.grad, "input_gradient": self.dx}

    def take(self, route: str) -> None:
        """Request a route for all passes, see `numsnn.set_route`."""
        set_route(self.layer, route)

    def routes(self) -> dict[str, str]:
        """The routes that the last passes took, by pass."""
        return {name: self.layer.routes[of] for name, of in ROUTED.items()}
