"""What every layer is: shapes, parameters, buffers, and a forward beside a backward."""

from math import prod

import numpy as np

from ..describe import Described
from ..errors import DeviceError, ShapeError
from ..kernels import for_device
from ..validate import whole
from .memory import Pool
from .mode import INFERENCE, Mode
from .parameter import Parameter
from .state import load_state


class Layer(Described):
    """Base of all layers.

    A layer is constructed without knowing sizes of time, batch or pictures, built for a shape (`build`, or by the first
    call), and then takes any shape with the same channels. All T steps go through at once. Every forward pass starts
    from rest: nothing but parameters and tracked statistics survives it.

    A subclass writes

    - ``infer(shape)``: the output's shape for an input's shape, or a ShapeError by `self.refuse`;
    - ``create(shape, rng)``: make parameters (`self.add_parameter`), if there are any;
    - ``compute(x, mode)``: the forward pass, into buffers from `self.buffer`, keeping in ``self.kept`` what the
      backward pass needs;
    - ``propagate(dy, need_dx)``: the backward pass: set ``parameter.grad``, return dx (None where need_dx is false).

    Buffers are the layer's own and are reused by its next pass of the same kind; `__call__` returns a copy. What the
    last pass left is found in ``output``. Gradients take turns in memory that the network lends (`self.gradient`,
    `self.overwrite`), so that ``input_gradient``, what the last `backward` returned, is left behind by the outermost
    layer alone, or by all after a pass with ``Mode(inspect=True)``; it is None where nobody needed it.

    A neuron does not look at the gradient of a spike whose potential the surrogate cannot see. `connect` finds out once
    who could make use of that; in a backward pass `visible` says where a layer's output gradient matters, and who
    computes that gradient finds it in ``needed``.
    """

    dtype = np.dtype(np.float32)
    device = "cpu"
    container = False
    growing_statistics: tuple[str, ...] = ()

    def __init__(self, name: str | None = None):
        self.name = name
        self.path = name or type(self).__name__.lower()
        self.input_shape = self.output_shape = None
        self.kept = self.output = self.input_gradient = self.needed = None
        self._parameters = []
        self._buffers = {}
        self._kernels = None
        self._inspected = False
        self.pool, self._outermost = Pool(), self

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

    # --- what a layer offers ---

    @property
    def kernels(self):
        """The functions of this layer's target."""
        if self._kernels is None:
            self._kernels = for_device(self.device)
        return self._kernels

    @property
    def takes_pictures(self) -> bool:
        """Whether the input has no time axis, as that of a network that begins with a `Repeat`."""
        return False

    @property
    def built(self) -> bool:
        """Whether the layer knows its shapes and has its parameters."""
        return self.input_shape is not None

    def build(self, shape: tuple[int, ...], seed: int = 0) -> "Layer":
        """Work out all shapes and make the parameters.

        Args:
            shape: of the input, ``[T, N, C]`` or ``[T, N, H, W, C]``; without T where the network begins with a
                `Repeat`.
            seed: of the initial weights.

        Returns:
            the layer itself.

        Raises:
            ShapeError: the shape does not fit; the layer, what came and what was expected are named.
        """
        shape = tuple(whole(f"{self.path}.build: every extent of shape {tuple(shape)}", n) for n in shape)
        self.construct(shape, np.random.default_rng(whole("build: seed", seed, 0)))
        return self

    def construct(self, shape, rng):
        """`build` with the generator that the whole network shares."""
        output_shape = self.infer(shape)
        if not self.built:
            self.create(shape, rng)
        self.input_shape, self.output_shape = shape, output_shape

    def enter(self, x, mode: Mode):
        """Before a pass: build for x or take its shape, and forget what the last pass left."""
        if isinstance(x, np.ndarray) != (self.device != "cuda"):
            raise DeviceError(
                f"{self.path}: the layer is on {self.device!r}, its input is not. Call the network itself with a NumPy "
                "array, or bring the input there: net.kernels.from_host(x, net.dtype)"
            )
        if not self.built:
            self.build(x.shape)
        if x.shape != self.input_shape:
            self.output_shape = self.infer(x.shape)
            self.input_shape = x.shape
        self.kept = self.input_gradient = None
        self._inspected = mode.inspect

    def forward(self, x, mode: Mode = INFERENCE):
        """The output for x; the array is the layer's own and is overwritten by the next pass."""
        self.enter(x, mode)
        self.output = self.compute(x, mode)
        return self.output

    def backward(self, dy, need_dx: bool = True, needed=None):
        """dL/dx for dL/dy of the last stored forward pass; sets the gradients of all parameters on the way.

        The array is the network's own and is overwritten by the next pass. dy is left as it is, unless it is such an
        array itself: a gradient within a network is used up.

        Args:
            dy: dL/dy.
            need_dx: whether dL/dx is needed at all.
            needed: where it is: uint8 of x's shape, 0 where nobody looks at dL/dx, which may be any number there;
                None (default) needs it everywhere.

        Raises:
            RuntimeError: no forward pass with ``Mode(store=True)`` came before.
        """
        if self.kept is None:
            raise RuntimeError(f"{self.path}.backward: needs a forward pass with Mode(store=True) before it")
        if self._outermost is self:
            self.pool.recall()
        self.needed = needed
        dx = self.propagate(dy, need_dx)
        if not self.container:  # children have seen to it
            self.pool.settle(dy, dx)
        self.input_gradient = dx if self._inspected or self._outermost is self else None
        return dx

    def __call__(self, x, training: bool = False):
        """The output for x, as a new NumPy array.

        Args:
            x: ``[T, N, C]`` or ``[T, N, H, W, C]``, uint8 or the network's float dtype; without T where the network
                begins with a `Repeat`.
            training: batch statistics and dropout, as in training; running statistics stay as they are.

        Raises:
            ShapeError: wrong rank, channels or dtype.
            ValueError: NaN or inf in x.
        """
        x = self.admit(x)
        return self.kernels.to_host(self.forward(x, Mode(training=training)))

    def admit(self, x):
        """Check an input at the network's door and bring it to the target's memory; errors as for `__call__`."""
        if not isinstance(x, np.ndarray):
            raise ShapeError(f"{self.path}: the input must be a NumPy array; got {type(x).__name__}")
        if x.dtype != np.uint8 and x.dtype != self.dtype:
            raise ShapeError(
                f"{self.path}: the input must be {self.dtype} or uint8; got {x.dtype}. "
                f"Convert it: x.astype({str(self.dtype)!r})"
            )
        if 0 in x.shape:
            raise ShapeError(f"{self.path}: the input is empty: shape {x.shape}")
        if x.dtype != np.uint8 and not np.isfinite(x).all():
            bad = tuple(int(k) for k in np.argwhere(~np.isfinite(x))[0])
            raise ValueError(f"{self.path}: the input holds {x[bad]} at index {bad}; every number must be finite")
        return self.kernels.from_host(x, x.dtype)

    def stream(self):
        """The network as a `Stream`, to be fed a time step at a time."""
        from .stream import Stream

        return Stream(self)

    def children(self) -> list[tuple[str, "Layer"]]:
        """Names and layers directly inside this one; none for a layer that is not a container."""
        return []

    def tree(self):
        """This layer and all layers inside it, in the order the data passes them."""
        yield self
        for _, child in self.children():
            yield from child.tree()

    def walk(self):
        """All layers that are not containers, in the order the data passes them."""
        return (layer for layer in self.tree() if not layer.container)

    def parameters(self) -> list[tuple[str, Parameter]]:
        """All trained arrays with their full names, such as "conv2d1.weight"."""
        return [(f"{layer.path}.{p.name}", p) for layer in self.walk() for p in layer.own_parameters()]

    def own_parameters(self):
        """This layer's trained arrays."""
        return self._parameters

    def statistics(self) -> dict[str, np.ndarray]:
        """All tracked, untrained arrays (running moments, PDA corrections) with their full names, as host copies."""
        return {
            f"{layer.path}.{name}": layer.kernels.to_host(value)
            for layer in self.walk()
            for name, value in layer.own_statistics().items()
        }

    def pieces(self):
        """For a layer with kinks or choices: on which smooth piece everything lay in the last stored pass, as an
        integer array; None otherwise. Finite differences hold only where it does not change."""
        return None

    def visible(self, before=None):
        """Where dL/d output matters, after a stored pass: uint8 of the output's shape, 0 where this layer's backward
        pass, and whoever uses what it returns, do not look at it; None (the default) where they look everywhere.

        Args:
            before: where dL/d input matters, likewise.
        """
        return None

    def connect(self, sources: tuple) -> tuple:
        """Tell the neurons in front of this layer who computes their spikes' gradient.

        Args:
            sources: the neurons that the input comes from, by way of layers that `visible` sees through, as pairs
                (neuron, spikes that an input is made of); () for anything else.

        Returns:
            the same of the output; () by default.
        """
        return ()

    def own_statistics(self) -> dict:
        """This layer's tracked arrays."""
        return {}

    def set_statistic(self, name: str, value: np.ndarray) -> None:
        """Set one of this layer's tracked arrays from a host array."""
        raise KeyError(f"{self.path} has no statistic {name!r}")

    def state(self) -> dict[str, np.ndarray]:
        """Host copies of all parameters and statistics, by full name: what a checkpoint stores."""
        values = {name: self.kernels.to_host(p.value) for name, p in self.parameters()}
        return values | self.statistics()

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Set all parameters and statistics.

        Raises:
            ShapeError: a name is missing, unknown, or its array has another shape; nothing is changed then.
        """
        load_state(self, state)

    def to(self, device: str | None = None, dtype=None) -> "Layer":
        """Move the network to another target or float dtype, in place.

        Args:
            device: "reference", "cpu" or "cuda"; None leaves it.
            dtype: "float32" (default of a new network) or "float64" (gradient checks); None leaves it.

        Raises:
            ValueError: another device or dtype.
            DeviceError: "cuda" where there is no CUDA device, or what is needed to use it is not installed.
        """
        device = self.device if device is None else device
        dtype = np.dtype(self.dtype if dtype is None else dtype)
        if dtype not in (np.float32, np.float64):
            raise ValueError(f"{self.path}.to: dtype must be float32 or float64; got {dtype}")
        kernels = for_device(device)
        for layer in self.tree():
            layer.move(kernels, dtype)
            layer.device, layer.dtype, layer._kernels = device, dtype, kernels
            layer._buffers, layer.kept, layer.output, layer.input_gradient = {}, None, None, None
            layer.pool.clear()
        return self

    def move(self, kernels, dtype):
        """Bring this layer's parameters and statistics to another target or dtype."""
        statistics = {name: self.kernels.to_host(value) for name, value in self.own_statistics().items()}
        for p in self._parameters:
            p.move(kernels, self.kernels, dtype)
        self._kernels, self.dtype = kernels, dtype
        for name, value in statistics.items():
            self.set_statistic(name, value)

    def fold(self) -> "Layer":
        """A new network for inference, batch normalisations folded into the weights before them: see `layers.fold`."""
        from .fold import fold

        return fold(self)

    # --- tools for subclasses ---

    def add_parameter(self, parameter):
        """Register a trained array and return it."""
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

    def lend(self, pool: Pool, outermost: "Layer"):
        """Let this layer and all inside it take gradients from the pool of the network they are part of."""
        for layer in self.tree():
            layer.pool, layer._outermost = pool, outermost

    def gradient(self, shape: tuple[int, ...], name: str = "dx"):
        """An uninitialised array for a gradient, lent by the network until whoever gets the gradient has used it."""
        if self._inspected:
            return self.buffer(name, shape)
        return self.pool.take(shape, self.dtype, self.kernels.empty)

    def overwrite(self, dy):
        """An array for a gradient of dy's shape: dy's own memory where nobody else needs it."""
        return dy if self.pool.alone(dy) and not self._inspected else self.gradient(dy.shape)

    def carried_state(self, mode: Mode, shape: tuple[int, ...], steps: int):
        """The state to carry on from and to leave behind, zeros at first, and the number of the pass's first step;
        (None, 0) where every pass starts from rest.

        Args:
            mode: the pass's mode.
            shape: of the state.
            steps: of the pass.
        """
        if mode.carried is None:
            return None, 0
        if self.path not in mode.carried:
            mode.carried[self.path] = {"step": 0, "state": self.kernels.zeros(shape, self.dtype)}
        memory = mode.carried[self.path]
        if memory["state"].shape != shape:
            raise ShapeError(
                f"{self.path}: the state carried on is of shape {memory['state'].shape}; this input needs {shape}"
            )
        first = memory["step"]
        memory["step"] += steps
        return memory["state"], first

    def refuse(self, shape, expected: str):
        """Raise the ShapeError of an input that does not fit."""
        raise ShapeError(f"{self.path} ({type(self).__name__}): input must be {expected}; got {tuple(shape)}")

    def keep_start(self, state, mode: Mode):
        """A copy of the state a stored pass is carried on from, for the backward pass; None from rest."""
        if state is None or not mode.store:
            return None
        start = self.buffer("start", state.shape)
        self.kernels.copy(state, start)
        return start

    def keep_channels(self, shape):
        """Refuse an input with other channels than the layer was built for."""
        if self.built and shape[-1] != self.input_shape[-1]:
            self.refuse(shape, f"[..., {self.input_shape[-1]}], the channels the layer was built for")

    def as_real(self, x):
        """x in the layer's dtype: spikes are copied into a buffer."""
        if x.dtype == self.dtype:
            return x
        real = self.buffer("real", x.shape)
        self.kernels.copy(x, real)
        return real

    def need_channels(self, shape, channels: int, ranks: tuple[int, ...]):
        """Refuse an input of another rank or with other than so many channels."""
        positions = {3: "", 4: "L, ", 5: "H, W, "}
        forms = " or ".join(f"[T, N, {positions[rank]}{channels}]" for rank in ranks)
        if len(shape) not in ranks or shape[-1] != channels:
            without_time = len(shape) not in ranks and len(shape) + 1 in ranks
            hint = ". Add a time axis (x[None]) or a Repeat" if without_time else ""
            self.refuse(shape, forms + hint)
