"""The base of all layers: four methods that the author of a layer writes, and the tools for writing them."""

from math import prod
from threading import get_ident
from typing import Any, ClassVar

import numpy as np

from ..capacity import need_memory
from ..describe import Described
from ..errors import ShapeError
from ..portable import nothing
from . import borders, carry, moving, shapes
from .allowance import VECTORS, claim
from .inputs import shape_of
from .mode import INFERENCE, Mode
from .names import checked_name
from .network import Network
from .parameter import Parameter
from .plan import need_stored, plan_of
from .turn import Turn


class Layer(Described, Network):
    """Base of all layers.

    A layer is constructed without the sizes of time, batch and pictures. `build`, or the first call, builds it for a
    shape; from then on it takes every shape with the same channels. All T steps go through the layer at once. Every
    forward pass starts from rest: only parameters and tracked statistics remain after it.

    A subclass writes these methods:

    - ``infer(shape)`` returns the output's shape for an input's shape, or raises a ShapeError with `self.refuse`;
    - ``create(shape, rng)`` makes the parameters with `self.add_parameter`, if the layer has any;
    - ``compute(x, mode)`` is the forward pass. If ``mode.store`` is true, it stores in ``self.kept`` what the backward
      pass needs, if anything (a NamedTuple or another object), otherwise None;
    - ``propagate(dy, need_dx)`` is the backward pass. It fills ``parameter.grad`` of every parameter and returns dx,
      which is ignored if need_dx is false.

    A subclass declares these attributes:

    - ``carries``: whether the layer carries a state from one time step to the next. True: `compute` uses
      `self.carried_state`. False: every step is computed independently of the others. None (default): unknown, and
      `Stream` and truncated BPTT refuse the layer;
    - ``passes``, ``reads_spikes`` (optional): see `layers.needed`. By default every gradient is computed everywhere.
    - ``recomputes``, ``receives`` (optional): see `layers.recompute`. By default input and output are kept.

    A subclass may use

    - ``kernels``, ``device``, ``dtype``, ``input_shape``, ``output_shape``, and ``path``, which is the layer's name in
      the network of the last pass (before the first pass: in the first network that it was put into);
    - `buffer` for arrays that the next pass reuses, `result` for the output, and `fixed_array` for arrays whose numbers
      never change; `gradient` and `overwrite` for the gradient that it returns; `as_real`; `add_parameter`;
      `carried_state` and `keep_start`; `refuse`; ``frozen``, to omit gradients of parameters that are not needed.

    What `compute` and `propagate` return is converted to the layer's dtype and to C order if necessary. `__call__`
    returns a copy, and ``output`` holds what the last pass returned. ``input_gradient`` holds what the last `backward`
    returned for the outermost network, and for every layer after a pass with ``Mode(inspect=True)``; otherwise it is
    None.

    Layers can be copied with `copy.deepcopy` and pickled. A copy contains neither buffers nor results of a pass.
    `numsnn.testing.check_layer` checks all of this for a layer of your own.
    """

    transient: ClassVar = {
        "_buffers": dict,
        "_views": dict,
        "_fixed": dict,
        "further_uses": list,
        "turn": Turn,
        **dict.fromkeys(("_kernels", "kept", "output", "input_gradient", "needed", "plan", "own_plan"), nothing),
    }
    dtype = np.dtype(np.float32)
    device = "cpu"
    origin: Any = None
    _frozen = False
    growing_statistics: tuple[str, ...] = ()
    carries: bool | None = None
    draws = False
    """Whether a layer of the package draws random numbers from `Mode.seed`; any other layer may."""

    passes: str | None = None
    reads_spikes: Any = False
    fires = container = False
    recomputes: Any = False
    receives: Any = False
    reads_input: Any = True
    from_input: Any = True
    kept: Any
    output: Any
    input_gradient: Any
    needed: Any
    plan: Any
    output_shape: Any
    joins: str | None = None
    takes_over: str | None = None

    penalty: Any = 0.0
    """The term that the layer added to the loss in the last stored pass; a property in layers with a penalty."""

    foreign = False
    """Whether the class is defined outside the package, so that what it returns is checked."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.foreign = not cls.__module__.startswith(f"{__package__}.")

    def __init__(self, name: str | None = None):
        self.name = checked_name(type(self).__name__, name)
        self.path = name or type(self).__name__.lower()
        self.input_shape = self.output_shape = None
        self.kept = self.output = self.input_gradient = self.needed = None
        self.plan = self.own_plan = self._kernels = None
        self.turn = Turn()
        self.further_uses: list[Layer] = []
        self._parameters: list[Parameter] = []
        self._buffers: dict = {}
        self._views: dict = {}
        self._fixed: dict = {}

    # --- to be written by a subclass ---

    def infer(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the output's shape for an input of this shape; by default the same shape."""
        return shape

    def create(self, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Make the parameters for an input of this shape; by default there are none."""

    def compute(self, x, mode: Mode):
        """Run the forward pass and return the output for x."""
        raise TypeError(f"{type(self).__name__} has no compute(x, mode)")

    def propagate(self, dy, need_dx: bool):
        """Run the backward pass: fill the gradients of the parameters and return dL/dx for dL/dy."""
        raise TypeError(f"{type(self).__name__} has no propagate(dy, need_dx)")

    def own_parameters(self) -> list[Parameter]:
        """Return the trained arrays of this layer."""
        return self._parameters

    def own_statistics(self) -> dict:
        """Return the tracked arrays of this layer by name; by default there are none."""
        return {}

    def set_statistic(self, name: str, value: np.ndarray) -> None:
        """Set one of the tracked arrays of this layer from a host array."""
        raise KeyError(f"{self.path} has no statistic {name!r}")

    def move(self, kernels, dtype) -> None:
        """Move the parameters and statistics of this layer to another device or dtype."""
        moving.move(self, kernels, dtype)

    def pieces(self):
        """Return the smooth piece of the layer's function on which each number lay in the last stored pass.

        The result is an integer array for a layer whose function has kinks or jumps, and None for any other layer.
        Finite differences are valid only where no number moves to another piece."""
        return None

    def signals(self) -> list:
        """Return the arrays that the last pass made, to be searched for numbers that are not finite. An entry is None
        if its array was not stored."""
        return [self.output]

    # --- recomputing: see `layers.recompute` ---

    def writer(self):
        """Return the layer to whose pass the memory of the output belongs."""
        return self

    def again(self):
        """Return the output of the last stored pass once more, in an array of `result`."""
        raise TypeError(f"{type(self).__name__} has no again()")

    def receive(self, x) -> None:
        """Put the input of the last stored pass in its place again; None forgets it."""
        raise TypeError(f"{type(self).__name__} has no receive(x)")

    def lacks_output(self) -> bool:
        """Return whether the backward pass reads the output of the layer, and this was dropped."""
        return False

    def drop(self, y, mode: Mode) -> None:
        """Forget the output y of a pass, which the next layer has read."""
        self.output = None

    # --- passes ---

    def own_mode(self, mode: Mode) -> Mode:
        """Return the settings of a pass for this layer: those of the network, unless the layer is frozen."""
        return mode.frozen() if self._frozen and not self.container else mode

    def learns(self) -> bool:
        """Return whether the backward pass has something to compute in this layer, besides the gradient of its input.
        It is also true for layers from outside the package without parameters, which may do anything there."""
        return not self._frozen and (self.foreign or bool(self.own_parameters()))

    def construct(self, shape, rng):
        output_shape = self.infer(shape)
        if not self.built:
            if not self.container and isinstance(shape, tuple):
                claim(self, (VECTORS, shape[-1]))
            self.create(shape, rng)
        self.input_shape, self.output_shape = shape, output_shape

    def enter(self, x, mode: Mode):
        """Prepare a pass: build the layer for x or take x's shape, and discard what the last pass stored."""
        if type(x) is not np.ndarray or x.shape != self.input_shape:  # in most passes nothing has changed
            shape = shape_of(x)
            if not self.built:
                self.construct(shape, np.random.default_rng(0))
            if shape != self.input_shape:
                self.output_shape = self.infer(shape)
                self.input_shape = shape
        self.kept = self.input_gradient = None

    def forward(self, x, mode: Mode = INFERENCE):
        if self.plan is None or self.plan.running != get_ident():  # from outside a pass
            return plan_of(self).forward(x, mode)
        self.enter(x, mode)
        y = self.compute(x, self.own_mode(mode) if self._frozen else mode)
        if self.foreign and mode.store and self.kept is None:
            self.kept = ()  # a backward pass that needs nothing is possible, too
        self.output = y = borders.handed_on(self, y, mode.carried is not None) if self.foreign else y
        return y

    def backward(self, dy, need_dx: bool = True):
        """Return dL/dx for dL/dy of the last stored forward pass, and set the gradients of all parameters that are not
        frozen. For a network with several inputs, dL/dx is a dict of arrays by the names of the inputs.

        The network owns the returned array, and its next pass overwrites it. dy is not changed, unless it is such an
        array itself: within a network, the memory of a gradient is reused after its last use.

        Args:
            dy: dL/dy, of the output's shape.
            need_dx: whether dL/dx is needed. Default True; if False, None is returned.

        Raises:
            RuntimeError: there was no forward pass with ``Mode(store=True)``, or another network has used one of the
                layers since that pass.
        """
        if self.plan is None or self.plan.running != get_ident():  # from outside a pass
            return plan_of(self).backward(dy, need_dx)
        need_stored(self)
        if not need_dx and self not in self.plan.learning:
            self.plan.pool.give(dy)
            return None
        dx = self.propagate(dy, need_dx)
        if not self.container:  # the children of a container have settled their gradients themselves
            dx = self._settle(dy, dx, need_dx)
        self.input_gradient = dx if self.plan.inspected else None
        return dx

    def _settle(self, dy, dx, need_dx):
        """Return dx after a check, and give back the memory of gradients that are no longer needed."""
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
        """Register a trained array, convert it to the layer's dtype, and return it."""
        parameter.belong_to(self)
        self._parameters.append(parameter)
        return parameter

    def buffer(self, name: str, shape: tuple[int, ...], dtype=None):
        """Return an uninitialised array that belongs to this layer; its memory is reused while it is large enough."""
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        view = self._views.get((name, dtype))
        if view is not None and view.shape == shape:
            return view
        size, flat = prod(shape), self._buffers.get((name, dtype))
        if flat is None or flat.size < size:
            self._need_memory(name, shape, dtype)
            flat = self._buffers[name, dtype] = self.kernels.empty((size,), dtype)
        view = self._views[name, dtype] = flat[:size].reshape(shape)
        return view

    def _need_memory(self, name, shape, dtype):
        """Refuse to allocate an array that does not fit into the memory of the computer."""
        if self.device != "cuda":  # whose own memory raises a DeviceMemoryError
            need_memory(f"{self.path}: the array {name!r} of shape {shape}", dtype.itemsize * prod(shape), ShapeError)

    def result(self, name: str, shape: tuple[int, ...], dtype=None):
        """Return an uninitialised array for the output of a pass: a `buffer` or, if the pass drops this output (see
        `layers.recompute`), memory that the network lends until the next layer has read it."""
        plan = self.plan
        if not plan.lean or self not in plan.dropped.writers:
            return self.buffer(name, shape, dtype)
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        for arrays in (self._buffers, self._views):  # of an earlier pass that kept the output
            arrays.pop((name, dtype), None)

        def make(extents, kind):
            self._need_memory(name, shape, dtype)
            return self.kernels.empty(extents, kind)

        return plan.pool.take(shape, dtype, make)

    def fixed_array(self, name: str, key, make):
        """Return the array that `make` returns, whose numbers never change. It is kept for the next passes, until the
        key is another one or the layer moves to another device or dtype."""
        known, array = self._fixed.get(name, (None, None))
        if array is None or known != key:
            array = make()
            self._fixed[name] = key, array
        return array

    def gradient(self, shape: tuple[int, ...], name: str = "dx"):
        """Return an uninitialised array for a gradient; the network lends it until the gradient has been used."""
        if self.plan.inspected:
            return self.buffer(name, shape)
        return self.plan.pool.take(shape, self.dtype, self.kernels.empty)

    def gradient_of(self, parameter: Parameter):
        """Return the array for the gradient of a parameter, for kernels that compute it in any case: that of the
        parameter or, if the layer is frozen, working memory."""
        shape = parameter.value.shape
        return self.buffer(f"gradient of {parameter.name}", shape) if self._frozen else parameter.grad

    def overwrite(self, dy):
        """Return an array for a gradient of dy's shape: dy itself if nothing else needs it, otherwise a new one."""
        return dy if self.plan.pool.alone(dy) and not self.plan.inspected else self.gradient(dy.shape)

    def carried_state(self, mode: Mode, shape: tuple[int, ...], steps: int):
        """Return the carried state and the number of the first step of the pass.

        The state is zero at first. The layer starts from it and overwrites it in place with the state at the end of the
        pass. If every pass starts from rest, the result is (None, 0).

        Args:
            mode: the mode of the pass.
            shape: shape of the state.
            steps: number of steps in the pass.
        """
        return carry.carried_state(self, mode, shape, steps)

    def keep_start(self, state, mode: Mode):
        """Return a copy of the state that a stored pass starts from, for the backward pass; None for a pass that starts
        from rest or is not stored."""
        if state is None or not mode.store:
            return None
        start = self.buffer("start", state.shape)
        self.kernels.copy(state, start)
        return start

    def as_real(self, x):
        """Return x in the layer's dtype; spikes are converted into a buffer."""
        if x.dtype == self.dtype:
            return x
        real = self.buffer("real", x.shape)
        self.kernels.copy(x, real)
        return real

    def refuse(self, shape, expected: str):
        """Raise the ShapeError for an input whose shape does not fit."""
        shapes.refuse(self, shape, expected)
