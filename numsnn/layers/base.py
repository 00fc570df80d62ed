"""What every layer is: four methods that its author writes, and the tools that they are written with."""

from math import prod
from typing import Any, ClassVar

import numpy as np

from ..describe import Described
from ..portable import nothing
from . import borders, carry, moving, shapes
from .mode import INFERENCE, Mode
from .network import Network
from .parameter import Parameter
from .plan import need_stored, plan_of


class Layer(Described, Network):
    """Base of all layers.

    A layer is constructed without knowing sizes of time, batch or pictures, built for a shape (`build`, or by the first
    call), and then takes any shape with the same channels. All T steps go through at once. Every forward pass starts
    from rest: nothing but parameters and tracked statistics survives it.

    A subclass writes

    - ``infer(shape)``: the output's shape for an input's shape, or a ShapeError by `self.refuse`;
    - ``create(shape, rng)``: make parameters (`self.add_parameter`), if there are any;
    - ``compute(x, mode)``: the forward pass. If ``mode.store``, it leaves in ``self.kept`` a record (a NamedTuple or
      another object) of what the backward pass needs, otherwise None;
    - ``propagate(dy, need_dx)``: the backward pass: fill ``parameter.grad``, return dx (ignored if need_dx is false).

    It declares

    - ``carries``: whether it has a memory that goes on from one time step to the next. True: `compute` uses
      `self.carried_state`. False: every step is computed by itself. None (default): not said, and `Stream` and
      truncated BPTT refuse the layer;
    - ``passes``, ``reads_spikes`` (optional): see `layers.plan`. By default every gradient is computed everywhere.

    It may use

    - ``kernels``, ``device``, ``dtype``, ``input_shape``, ``output_shape``, and ``path``, its name in the network of
      the last pass (or in the first one it was put into);
    - `buffer`, for arrays of its own that the next pass reuses; `gradient` and `overwrite`, for the gradient it
      returns; `as_real`; `add_parameter`; `carried_state` and `keep_start`; `refuse`.

    What `compute` and `propagate` return is converted to the layer's dtype and C order where that is needed. `__call__`
    returns a copy; ``output`` is what the last pass returned. ``input_gradient`` is what the last `backward` returned:
    of the outermost network, or of all layers after a pass with ``Mode(inspect=True)``; None elsewhere.

    Layers can be copied with `copy.deepcopy` and pickled. Buffers and what a pass has left are not taken along.
    """

    transient: ClassVar = {
        "_buffers": dict,
        **dict.fromkeys(("_kernels", "kept", "output", "input_gradient", "needed", "plan", "own_plan"), nothing),
    }
    dtype = np.dtype(np.float32)
    device = "cpu"
    growing_statistics: tuple[str, ...] = ()
    carries: bool | None = None
    passes: str | None = None
    reads_spikes: Any = False
    fires = container = False
    kept: Any
    output: Any
    input_gradient: Any
    needed: Any
    plan: Any
    output_shape: Any
    joins: str | None = None
    takes_over: str | None = None

    foreign = False
    """Whether the class is not the package's own, so that what it returns is checked."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.foreign = not cls.__module__.startswith(f"{__package__}.")

    def __init__(self, name: str | None = None):
        self.name = name
        self.path = name or type(self).__name__.lower()
        self.input_shape = self.output_shape = None
        self.kept = self.output = self.input_gradient = self.needed = None
        self.plan = self.own_plan = self._kernels = None
        self._parameters: list[Parameter] = []
        self._buffers: dict = {}

    # --- to be written by a subclass ---

    def infer(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The output's shape for an input of this shape; the same by default."""
        return shape

    def create(self, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Make the parameters for an input of this shape; none by default."""

    def compute(self, x, mode: Mode):
        """The forward pass: the output for x."""
        raise TypeError(f"{type(self).__name__} has no compute(x, mode)")

    def propagate(self, dy, need_dx: bool):
        """The backward pass: dL/dx for dL/dy, parameters' gradients on the way."""
        raise TypeError(f"{type(self).__name__} has no propagate(dy, need_dx)")

    def own_parameters(self) -> list[Parameter]:
        """This layer's trained arrays."""
        return self._parameters

    def own_statistics(self) -> dict:
        """This layer's tracked arrays; none by default."""
        return {}

    def set_statistic(self, name: str, value: np.ndarray) -> None:
        """Set one of this layer's tracked arrays from a host array."""
        raise KeyError(f"{self.path} has no statistic {name!r}")

    def move(self, kernels, dtype) -> None:
        """Bring this layer's parameters and statistics to another target or dtype."""
        moving.move(self, kernels, dtype)

    def pieces(self):
        """For a layer with kinks or choices: on which smooth piece everything lay in the last stored pass, as an
        integer array; None otherwise. Finite differences hold only where it does not change."""
        return None

    def signals(self) -> list:
        """What the last pass made: arrays in which a number that is not finite shows first, None for one that is
        nowhere."""
        return [self.output]

    # --- passes ---

    def construct(self, shape, rng):
        output_shape = self.infer(shape)
        if not self.built:
            self.create(shape, rng)
        self.input_shape, self.output_shape = shape, output_shape

    def enter(self, x, mode: Mode):
        """Before a pass: build for x or take its shape, and forget what the last pass left."""
        if not self.built:
            self.construct(x.shape, np.random.default_rng(0))
        if x.shape != self.input_shape:
            self.output_shape = self.infer(x.shape)
            self.input_shape = x.shape
        self.kept = self.input_gradient = None

    def forward(self, x, mode: Mode = INFERENCE):
        if self.plan is None or not self.plan.running:  # from outside a pass
            return plan_of(self).forward(x, mode)
        self.enter(x, mode)
        y = self.compute(x, mode)
        self.output = y = borders.handed_on(self, y, mode.carried is not None) if self.foreign else y
        return y

    def backward(self, dy, need_dx: bool = True):
        """dL/dx for dL/dy of the last stored forward pass; sets the gradients of all parameters on the way.

        The array is the network's own and is overwritten by the next pass. dy is left as it is, unless it is such an
        array itself: a gradient within a network is used up.

        Args:
            dy: dL/dy.
            need_dx: whether dL/dx is needed at all; None is returned where it is not.

        Raises:
            RuntimeError: no forward pass with ``Mode(store=True)`` came before, or another network has used a layer of
                this one since.
        """
        if self.plan is None or not self.plan.running:  # from outside a pass
            return plan_of(self).backward(dy, need_dx)
        need_stored(self)
        dx = self.propagate(dy, need_dx)
        if not self.container:  # whose children have done the rest
            dx = self._settle(dy, dx, need_dx)
        self.input_gradient = dx if self.plan.inspected else None
        return dx

    def _settle(self, dy, dx, need_dx):
        """dx, checked; memory of gradients that nothing needs any more is given back."""
        pool = self.plan.pool
        if need_dx:
            dx = borders.handed_back(self, dx) if self.foreign else dx
        elif dx is not None:
            pool.settle(dx, dy)
            dx = None
        pool.settle(dy, dx)
        return dx

    # --- tools for subclasses ---

    def add_parameter(self, parameter: Parameter) -> Parameter:
        """Register a trained array, in the layer's dtype, and return it."""
        parameter.belong_to(self)
        self._parameters.append(parameter)
        return parameter

    def buffer(self, name: str, shape: tuple[int, ...], dtype=None):
        """An uninitialised array of this layer's own, allocated once and reused while it is large enough."""
        dtype = np.dtype(self.dtype if dtype is None else dtype)
        size = prod(shape)
        flat = self._buffers.get((name, dtype))
        if flat is None or flat.size < size:
            flat = self._buffers[name, dtype] = self.kernels.empty((size,), dtype)
        return flat[:size].reshape(shape)

    def gradient(self, shape: tuple[int, ...], name: str = "dx"):
        """An uninitialised array for a gradient, lent by the network until the gradient has been used."""
        if self.plan.inspected:
            return self.buffer(name, shape)
        return self.plan.pool.take(shape, self.dtype, self.kernels.empty)

    def overwrite(self, dy):
        """An array for a gradient of dy's shape: dy's own memory where nothing else needs it."""
        return dy if self.plan.pool.alone(dy) and not self.plan.inspected else self.gradient(dy.shape)

    def carried_state(self, mode: Mode, shape: tuple[int, ...], steps: int):
        """The state to carry on from and to leave behind (change it in place), zeros at first, and the number of the
        pass's first step; (None, 0) where every pass starts from rest.

        Args:
            mode: the pass's mode.
            shape: of the state.
            steps: of the pass.
        """
        return carry.carried_state(self, mode, shape, steps)

    def keep_start(self, state, mode: Mode):
        """A copy of the state a stored pass is carried on from, for the backward pass; None from rest."""
        if state is None or not mode.store:
            return None
        start = self.buffer("start", state.shape)
        self.kernels.copy(state, start)
        return start

    def as_real(self, x):
        """x in the layer's dtype: spikes are copied into a buffer."""
        if x.dtype == self.dtype:
            return x
        real = self.buffer("real", x.shape)
        self.kernels.copy(x, real)
        return real

    def refuse(self, shape, expected: str):
        """Raise the ShapeError of an input that does not fit."""
        shapes.refuse(self, shape, expected)
