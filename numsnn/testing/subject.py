"""The layer that is checked: new copies of it, inputs and gradients for it, and the results of its passes."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from ..layers import TRAINING, Layer, Mode
from ..layers.carry import stepped
from ..layers.inputs import each, first_timed

Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]


class CheckFailed(AssertionError):
    """A layer does not keep a part of the contract. The message is one line: the class of the layer, the name of the
    check, what was found, what is expected, and what to change."""


def normal(rng: np.random.Generator, shape: tuple[int, ...]):
    """Return normal numbers around 0.3, of both signs."""
    return rng.normal(0.3, 1, shape)


class Subject:
    """A layer that is checked, with the settings of the checks.

    Args:
        make: function that returns a new layer.
        shape: shape of the input, or one shape per name.
        output_shape: expected shape of the output; None for that which the layer itself infers.
        devices: targets that must agree.
        draw: function of a random number generator and a shape that returns an input.
        tolerance: largest relative difference between gradients and finite differences.
        seed: determines all random numbers.
    """

    def __init__(self, make, shape, output_shape, devices, draw: Draw, tolerance: float, seed: int):
        self.make, self.shape, self.output_shape, self.devices = make, shape, output_shape, devices
        self._draw, self.tolerance, self.seed = draw, tolerance, seed
        layer = make()
        self.kind, self.takes_pictures = type(layer).__name__, layer.takes_pictures
        self.pictures = layer.picture_inputs
        self.fixed_steps = any(getattr(part, "fixed_steps", False) for _, part in stepped(layer))

    # --- layers ---

    def layer(self, device: str | None = None, dtype="float64") -> Layer:
        """Return a new layer, built, with parameters that are all different and, if it tracks something, statistics of
        two batches."""
        layer = self.make().to("reference", dtype).build(self.shape, seed=self.seed + 1)
        rng = np.random.default_rng(self.seed)
        for _, parameter in layer.parameters():
            if parameter.group in ("weight", "bias", "norm"):
                parameter.value = parameter.value + rng.normal(0, 0.1, parameter.value.shape)
        if layer.statistics():
            for k in (7, 8):
                layer.forward(self.x(dtype, seed=k), TRAINING)
        device = device or self.devices[0]
        return layer if device == "reference" else layer.to(device)

    def twin(self, layer, shape=None) -> Layer:
        """Return a new layer that is built for a shape, with the parameters and statistics of another one."""
        other = (
            self.make().to(layer.device, layer.dtype).build(self.shape if shape is None else shape, seed=self.seed + 2)
        )
        other.load_state(layer.state())
        return other

    # --- arrays ---

    def x(self, dtype="float64", shape=None, seed: int = 0, spikes: bool = False):
        """Return an input, or one per name."""
        rng = np.random.default_rng((self.seed, seed))

        def one(extents):
            if spikes:
                return (rng.random(extents) < 0.4).astype(np.uint8)
            return np.ascontiguousarray(np.asarray(self._draw(rng, extents)), dtype)

        return each_shape(self.shape if shape is None else shape, one)

    def dy(self, shape, dtype="float64"):
        """Return a gradient of an output of this shape."""
        return np.random.default_rng((self.seed, 99)).normal(size=shape).astype(dtype)

    def with_samples(self, samples: int, steps: int | None = None):
        """Return the shape of an input with other numbers of samples and, if steps is given, of steps."""

        def one(shape, picture):
            if picture:
                return (samples, *shape[1:])
            return (shape[0] if steps is None else steps, samples, *shape[2:])

        if isinstance(self.shape, dict):
            return {name: one(shape, name in self.pictures) for name, shape in self.shape.items()}
        return one(self.shape, self.takes_pictures)

    def sequence(self) -> tuple[int, ...] | None:
        """Return the shape of the (first) input with a time axis, or None if there is none."""
        return first_timed(self.make(), self.shape)

    # --- passes ---

    def step(self, layer, x, mode: Mode = TRAINING, need_dx: bool = True, dy=None) -> dict[str, np.ndarray]:
        """Return copies of what a forward and a backward pass give: output, gradients, statistics and penalty."""
        kernels = layer.kernels
        y = layer.forward(each(x, lambda part: kernels.from_host(part, part.dtype)), mode)
        found = {"output": kernels.to_host(y).copy()}
        gradient = self.dy(y.shape, layer.dtype) if dy is None else dy
        dx = layer.backward(kernels.from_host(gradient, layer.dtype), need_dx)
        if isinstance(dx, dict):
            found |= {f"gradient of input {name}": kernels.to_host(part).copy() for name, part in dx.items()}
        elif dx is not None:
            found["gradient of the input"] = kernels.to_host(dx).copy()
        found |= {f"gradient of {name}": kernels.to_host(p.grad).copy() for name, p in layer.parameters()}
        return found | layer.statistics() | {"penalty": np.array(layer.total_penalty())}

    def fail(self, check: str, message: str):
        """Raise the error of a check."""
        raise CheckFailed(f"{self.kind}: {check}: {message}")

    def same(self, check: str, got: dict, want: dict, advice: str, promise: float = 0.0) -> None:
        """Fail if two results differ by more than a share of the largest number of an array."""
        wrong = difference(got, want, promise)
        if wrong is not None:
            self.fail(check, f"{wrong}; {advice}")


def each_shape(shape, make):
    """Return make(shape), or make of every shape by name."""
    return {name: make(one) for name, one in shape.items()} if isinstance(shape, dict) else make(shape)


def difference(got: dict, want: dict, promise: float = 0.0) -> str | None:
    """Return words for the first array in which two results differ, or None."""
    if got.keys() != want.keys():
        return f"there are other arrays: {', '.join(sorted(got.keys() ^ want.keys()))}"
    for name, expected in want.items():
        found = np.asarray(got[name])
        if found.shape != expected.shape:
            return f"{name} has shape {found.shape}, expected {expected.shape}"
        if not np.isfinite(found).all():
            return f"{name} holds NaN or inf"
        apart = np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(initial=0)
        largest = np.abs(expected.astype(np.float64)).max(initial=0)
        if not apart <= promise * max(1.0, largest):
            return f"{name} differs by {apart:.2g}, its largest number being {largest:.2g}"
    return None


def maker(layer) -> Callable[[], Layer]:
    """Return a function that makes new layers like this one, or the function itself if one is given."""
    if not isinstance(layer, Layer):
        return layer
    try:
        deepcopy(layer)
    except Exception:  # the check of copies reports it; all others can do without
        description = layer.description()
        return lambda: Layer.from_description(description)
    return lambda: deepcopy(layer)
