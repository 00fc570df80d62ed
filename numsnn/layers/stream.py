"""Streams: networks that take one time step at a time, for long or endless inputs."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import replace
from math import prod
from typing import Any, ClassVar

import numpy as np

from ..errors import ShapeError
from ..kernels.types import ROUTES
from ..names import nearest
from ..portable import Portable, nothing
from ..shown import shown
from ..validate import flag, real_array, whole
from . import carry
from .borders import admit
from .inputs import by_name, each, extents, repeated, samples_of, shape_of, steps_of_part, timed
from .mode import INFERENCE, Mode
from .names import title
from .plan import plan_of
from .turn import taken

LITTLE_WORK = 20e6
"""Multiplications per pass, if every input is active, up to which one thread computes the pass. Starting more threads
takes longer than they save: about 0.03 ms per layer."""


def _no_input():
    return None, None


class Stream(Portable):
    """A network at inference that takes one time step after the other; ``net.stream()`` makes it.

    The spikes are the same as those for the whole sequence in one pass. Only the carried states, such as potentials,
    are stored between steps, so memory does not grow with time. The network itself may be used for other passes in the
    meantime, but a step is a RuntimeError while another thread uses the network: give each thread a copy of the
    network. A pass of little work, such as a step of one sample, is computed by the thread that asks for it alone.

    Streams can be copied with `copy.deepcopy` and pickled, together with their network. `state` and `load_state` take a
    stream to another process without the network.

    Args:
        net: a network whose layers all declare whether they carry a state from step to step.
        samples: N, the number of samples of every step. Default None: that of the first step after a start or a
            `reset`.
        warm: whether to make the first step as fast as the others, see `warm`; the network must be built. Default
            False.

    Attributes:
        steps: number of steps since the start or the last `reset`.

    Raises:
        TypeError: ``carries`` of a layer is None.
        ValueError: samples is not a whole number of at least 1.
        RuntimeError: warm is True and the network is not built.
    """

    _measured: Any
    """The shape of the input for whose work the context of passes was chosen, or None."""

    _threads: AbstractContextManager
    _mode: Mode | None

    _input: Any
    """The kernels of the device of the last step at inference, and its input, whose memory the next input takes; or
    (None, None)."""

    transient: ClassVar = {"_measured": nothing, "_threads": nullcontext, "_mode": nothing, "_input": _no_input}

    def __init__(self, net, samples: int | None = None, warm: bool = False):
        self._title = f"{title(net)}.stream"
        carry.need_declarations(net, self._title)
        self.net = net
        self.samples = None if samples is None else whole(f"{self._title}: samples", samples)
        self._fixed = [(name, layer) for name, layer in carry.stepped(net) if getattr(layer, "fixed_steps", False)]
        self._plain = not net.input_names and not net.takes_pictures
        self._measured, self._threads, self._mode, self._input = None, nullcontext(), None, _no_input()
        self.reset()
        if flag(f"{self._title}: warm", warm):
            self.warm()

    def __repr__(self):
        return f"{self._title}(): {self.steps} steps"

    def reset(self) -> None:
        """Start from rest again. The next input may have another number of samples, unless ``samples`` is given."""
        self.steps = 0
        self._shape = self._accepted = None
        self._carried: dict = {}

    def step(self, x) -> np.ndarray:
        """Return the output of one time step.

        Args:
            x: ``[N, C]`` or ``[N, H, W, C]``, uint8 or the network's float dtype. A network that begins with a `Repeat`
                or `Poisson` takes its picture at every step, and one with several inputs takes a dict of arrays.

        Returns:
            ``[N, K]`` or ``[N, H, W, K]``, a new array.

        Raises:
            ShapeError: the rank, the number of channels or the dtype is wrong, or the number of samples differs from
                that of the step before.
            ValueError: x holds NaN or inf, or a layer has parameters for a fixed number of steps (`BNTT`, `TEBN`).
        """
        try:
            plain = self._plain and type(x) is np.ndarray and x.dtype.kind in "biuf"
            return self.advance(x[None] if plain else repeated(self.net, x))[0]
        except ShapeError as error:
            raise self._explained(error, x, "step", False) from None

    def feed(self, x) -> np.ndarray:
        """Return the output ``[T, N, ...]`` of several steps ``[T, N, ...]`` in one pass; the errors are those of
        `step`. A network that begins with a `Repeat` or `Poisson` takes ``[N, ...]``, and computes a single step. A
        picture beside a sequence lasts as many steps as the sequence has."""
        try:
            return self.advance(x)
        except ShapeError as error:
            raise self._explained(error, x, "feed", not self.net.takes_pictures) from None

    def advance(self, x, mode: Mode = INFERENCE) -> np.ndarray:
        """Return the output of the steps in x, as `feed`, in a pass with other settings."""
        net = self.net
        with taken(net):
            kernels = net.kernels
            x = admit(net, x, self._input[1] if self._input[0] is kernels else None)
            self._input = (kernels, x) if mode is INFERENCE else _no_input()  # a stored pass needs its input longer
            shape = shape_of(x)
            step = self._shape if shape == self._accepted else self._step_of(x, shape)
            with self._threads if shape == self._measured else nullcontext():
                y = kernels.to_host(plan_of(net).forward_admitted(x, self._carrying(mode)))
            if shape != self._measured:
                self._measured, self._threads = shape, self._threads_for_work()
            self._shape, self._accepted = step, None if self._fixed else shape
            self.steps += len(y)
            return y

    def _carrying(self, mode):
        """Return the settings of a pass that carries the states of this stream."""
        if mode is not INFERENCE:
            return replace(mode, carried=self._carried)
        if self._mode is None or self._mode.carried is not self._carried:
            self._mode = replace(INFERENCE, carried=self._carried)
        return self._mode

    def _step_of(self, x, shape):
        """Return the shape of one step of an input of this shape, or refuse the input."""
        step = timed(self.net, shape, lambda one: one[1:])
        for part in step.values() if isinstance(step, Mapping) else (step,):
            if not part:
                raise ShapeError(f"{title(self.net)}: the input of a step must be [N, ...]; got a single number")
        samples = self.samples if self._shape is None else samples_of(self._shape)
        if samples not in (None, samples_of(step)):
            raise ShapeError(
                f"{title(self.net)}: the stream has {samples} samples; got {samples_of(step)}. Call reset()"
            )
        self._check_fixed(steps_of_part(self.net, x))
        return step

    def warm(self, shape: tuple[int, ...] | Mapping[str, tuple[int, ...]] | None = None) -> None:
        """Compile or load the machine code of a step and allocate its memory, so that the first step takes no longer
        than the others. The state of the stream does not change.

        Args:
            shape: shape of the input of a step, ``[N, C]`` or ``[N, H, W, C]``; for several inputs, one shape per name.
                Default None: that for which the network is built, with ``samples`` samples or, if they are not given,
                one sample.

        Raises:
            RuntimeError: shape is not given and the network is not built.
            ShapeError: the shape does not fit the network.
            ValueError: an extent is not a whole number of at least 1.
        """
        shape = self._step_shape() if shape is None else self._checked(f"{self._title}.warm", shape)
        rng, twin = np.random.default_rng(0), deepcopy(self.net)
        chosen = [layer for layer in twin.walk() if hasattr(layer, "way") and layer.way.route == "auto"]
        spikes = each(shape, lambda one: np.asarray(rng.random(one) < 0.3).astype(np.uint8))
        inputs = spikes, each(shape, lambda one: np.asarray(rng.random(one)).astype(self.net.dtype))
        for route in ROUTES:  # the share of active inputs decides later which route a step takes
            for layer in chosen:
                way = layer.way._replace(route=route)
                layer.way = layer.way if layer.kernels.lacks(way, layer.dtype) else way
            for x in inputs:
                Stream(twin).advance(self._all_steps(x))
        own = Stream(self.net)
        for x in inputs:
            own.reset()
            own.advance(self._all_steps(x))
        self._measured, self._threads = own._measured, own._threads

    # --- taking a stream to another process ---

    def state(self) -> dict[str, np.ndarray]:
        """Return the carried states as plain arrays on the host, for `load_state`; ``numpy.savez`` can store them.

        Returns:
            "steps", the number of steps so far; after the first step also "input", the shape of the input of a step
            ("input NAME" for each of several inputs), and an array "NAME.state" for every layer that carries a state,
            by its full name.
        """
        found = {"steps": np.array(self.steps, np.int64)}
        if self._shape is not None:
            shapes = self._shape if self.net.input_names else {"": self._shape}
            found |= {key: np.array(shapes[name], np.int64) for name, key in self._input_keys().items()}
        kernels = self.net.kernels
        return found | {f"{name}.state": kernels.to_host(own["state"]) for name, own in self._carried.items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state: what follows is, bit for bit, what followed in the stream that `state` was called of.

        Args:
            state: arrays by name, as `state` returns them or ``numpy.load`` reads them. The network must have the same
                layers and weights as the network of that stream.

        Raises:
            ValueError: the arrays are not the state of a stream.
            ShapeError: the state is that of another network or another number of samples; the stream is then unchanged.
        """
        who = f"{self._title}.load_state"
        if not isinstance(state, Mapping):
            raise ValueError(f"{who}: state must be arrays by name; got {type(state).__name__}")
        given = {name: self._array(who, name, array) for name, array in state.items()}
        keys = self._input_keys()
        needed = ("steps", *keys.values()) if len(given) > 1 else ("steps",)
        lacking = [key for key in needed if key not in given]
        if lacking:
            raise ValueError(f"{who}: these arrays are not the state of a stream; {lacking[0]!r} is missing")
        steps = whole(f"{who}: 'steps'", given.pop("steps").tolist(), 0)
        if not given:
            self.reset()
            return
        shapes = {name: extents(f"{who}: {key!r}", given.pop(key).tolist()) for name, key in keys.items()}
        shape, samples = shapes if self.net.input_names else shapes[""], samples_of(shapes)
        if self.samples not in (None, samples):
            raise ShapeError(f"{who}: the stream has {self.samples} samples; the state has {samples}")
        expected = self._carried_for(shape, who)
        for name in sorted(expected.keys() ^ given.keys()):
            problem = "is missing" if name in expected else f"is not part of this network{nearest(name, expected)}"
            raise ShapeError(f"{who}: the state is of another network: {name!r} {problem}")
        for name, array in expected.items():
            if given[name].shape != array.shape or given[name].dtype != array.dtype:
                raise ShapeError(
                    f"{who}: the state is of another network: {name!r} must be {array.dtype} of shape {array.shape}; "
                    f"got {given[name].dtype} of shape {given[name].shape}"
                )
        kernels = self.net.kernels
        arrays = {
            name.removesuffix(".state"): kernels.from_host(np.array(array), array.dtype)
            for name, array in given.items()
        }
        carried = {name: {"step": steps, "state": array} for name, array in arrays.items()}
        self._follow(steps, shape, carried)

    def follow(self, other: "Stream") -> None:
        """Take over the state of a stream of a copy of the network; the other stream must not be used any more."""
        self._follow(other.steps, other._shape, other._carried)

    # --- helpers ---

    @staticmethod
    def _array(who, name, value) -> np.ndarray:
        array = real_array(value)
        if array is None:
            raise ValueError(f"{who}: {shown(name)} must be an array of numbers; got {shown(value)}")
        return array

    def _follow(self, steps, shape, carried):
        layers = dict(self.net.named())
        self.steps, self._shape, self._accepted = steps, shape, None
        self._carried = {name: {**memory, "layer": layers[name]} for name, memory in carried.items()}

    def _carried_for(self, shape, who) -> dict[str, np.ndarray]:
        """Return arrays like those of a state for an input of this shape."""
        twin = Stream(deepcopy(self.net))
        x = each(shape, lambda one: np.zeros(one, self.net.dtype))
        try:
            twin.advance(self._all_steps(x))
        except ShapeError as error:
            raise ShapeError(f"{who}: the state is of another network: {error}") from None
        return {name: array for name, array in twin.state().items() if name.endswith(".state")}

    def _step_shape(self):
        """Return the shape of the input of a step for which the network is built."""
        if not self.net.built:
            raise RuntimeError(f"{self._title}: build the network first, or call stream.warm(shape)")
        shape = timed(self.net, self.net.input_shape, lambda one: one[1:])
        return each(shape, lambda one: (self.samples or 1, *one[1:]))

    def _checked(self, what, shape):
        """Check the shape of the input of a step, or the shapes by name."""
        if not self.net.input_names:
            return extents(what, shape)
        return {name: extents(f"{what}: {name}", one) for name, one in by_name(self.net, shape, "shape").items()}

    def _input_keys(self) -> dict[str, str]:
        """Return the name of every input, "" for a single one, with the key of its shape in a state."""
        return {name: f"input {name}" for name in self.net.input_names} or {"": "input"}

    def _all_steps(self, x):
        """Return the input of a pass in which every step is x: one step, unless a layer needs a fixed number."""
        return repeated(self.net, x, self._fixed[0][1].steps if self._fixed else 1)

    def _check_fixed(self, steps):
        for name, layer in self._fixed:
            if steps != layer.steps or self.steps:
                raise ValueError(
                    f"{title(self.net)}: {name} ({type(layer).__name__}) has parameters for {layer.steps} steps, which "
                    f"a stream takes in one call and then ends: stream.feed(x) with x [{layer.steps}, N, ...]. A "
                    "BatchNorm has no such limit"
                )

    def _threads_for_work(self) -> AbstractContextManager:
        """Return the context for passes of as much work as the last one."""
        if self.net.device != "cpu" or _work(self.net) > LITTLE_WORK:
            return nullcontext()
        from ..kernels.cpu.run.launch import SingleThread

        return SingleThread()

    def _explained(self, error, x, method, timed):
        """Return the error for an input of a method that does not fit; it says so if the input, which has a time axis
        if timed is true, lacks its first axis."""
        net = self.net
        if not net.built or net.input_names:
            return error
        array = real_array(x)
        if array is None or array.ndim != len(net.input_shape) - 1 - (not timed and not net.takes_pictures):
            return error
        form, missing = "[N, ...]", "no axis for samples. Add it: x[None]"
        if timed:
            form, missing = "[T, N, ...]", "no axis for time steps. Call step(x), or add the axis: x[None]"
        return ShapeError(f"{title(net)}: {method} takes {form}; got shape {np.shape(x)}, which has {missing}")


def _work(net) -> float:
    """Return the multiplications of the last pass if every input is active."""
    return sum(
        parameter.value.size * prod(layer.output_shape[:-1])
        for layer in net.walk()
        for parameter in layer.own_parameters()
        if parameter.group == "weight"
    )
