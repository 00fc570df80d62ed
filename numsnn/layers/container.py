"""Containers: layers that are made of other layers, here one after the other. In a backward pass they call their layers
in reverse order."""

from dataclasses import replace
from numbers import Integral
from typing import Any, cast

from numpy.lib.stride_tricks import as_strided

from ..shown import shown
from ..validate import instance, whole
from . import borders
from .base import Layer
from .mode import INFERENCE
from .names import children_names, title
from .plan import settle_in
from .recompute import Chain, allows, from_input


def name_children(what, layers):
    """Return names and layers as `children_names` does; refuse an object that is not a layer.

    Args:
        what: class and argument of the container, with which messages begin.
        layers: the layers.
    """
    for layer in layers:
        instance(what, layer, Layer, "layers, such as snn.LIF()")
    return children_names(what, layers)


class Container(Layer):
    """Base of the containers. A subclass calls `contain` at the end of its constructor, and declares for the plan how
    its parts are combined:

    - ``joins``: "chain" (one after the other), "sum" (side by side, outputs joined element by element), "channels"
      (side by side, outputs concatenated along the channels) or "graph" (see `Graph`);
    - ``parts()``: the layers; an entry None stands for the input itself.

    By default all children are built for the container's input, side by side.
    """

    container = True
    sums_steps = False
    """Whether the layers of a chain process the input once for all steps, so that gradients are sums over the steps."""

    def contain(self, named: list[tuple[str, Layer]]):
        """Make these layers the children, under these names."""
        self._named = named
        for k, (name, layer) in enumerate(named):
            if layer.input_names and (k or self.joins != "chain" or self.sums_steps):
                raise ValueError(
                    f"{type(self).__name__}: {name} takes several inputs ({', '.join(layer.input_names)}); it must be "
                    "the whole network or the first layer of a Sequential"
                )
        if named:
            self.device, self.dtype = borders.alike([layer for _, layer in named])
        settle_in(self)

    def __setstate__(self, state):
        super().__setstate__(state)
        settle_in(self)

    def parts(self) -> tuple:
        """Return the layers that are combined; an entry None stands for the input itself."""
        return tuple(layer for _, layer in self._named)

    def children(self):
        return self._named

    def construct(self, shape, rng):
        output_shape = self.infer(shape)
        for _, child in self._named:
            child.construct(shape, rng)
        self.input_shape, self.output_shape = shape, output_shape


def _written(key):
    """Return a slice as it is written between brackets."""
    ends = ["" if end is None else str(end) for end in (key.start, key.stop, key.step)]
    return "[" + ":".join(ends if ends[2] else ends[:2]) + "]"


class Sequential(Container):
    """Layers that follow one another. A `BatchNorm` and the neuron directly behind it are fused (see `layers.fused`).

    The first layer determines the shape of the input, the last one that of the output.

    Args:
        layers: at least one layer.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: there is no layer, two layers have one name, or a layer appears twice.
        TypeError: an argument is not a layer.
        ShapeError: on building, a layer does not fit the output of the layer before it.
    """

    joins = "chain"

    def __init__(self, *layers: Layer, name: str | None = None):
        super().__init__(name)
        if not layers:
            raise ValueError(f"{type(self).__name__}: needs at least one layer")
        self.layers = layers
        self.contain(name_children("Sequential: layers", layers))

    def __len__(self):
        return len(self.layers)

    def __bool__(self):
        return True  # a network is there, even if it has no layers

    def __iter__(self):
        return iter(self.layers)

    def __getitem__(self, key: Any) -> Any:
        """Return a layer by its number or its full name, or a new `Sequential` of the same layers for a slice.

        The new network shares the layers with this one, and with them their parameters.

        Raises:
            KeyError: there is no layer of this name.
            IndexError: there is no layer of this number.
            ValueError: the slice is empty.
            TypeError: the key is neither a name, nor a number, nor a slice.
        """
        if isinstance(key, slice):
            layers = self.layers[key]
            if not layers:
                raise ValueError(f"{title(self)}: there are no layers in {_written(key)}; it has {len(self)}")
            return Sequential(*layers)
        if isinstance(key, bool) or not isinstance(key, Integral):
            return super().__getitem__(cast(str, key))
        key = int(key)
        if not -len(self) <= key < len(self):
            raise IndexError(f"{title(self)} has no layer {shown(key)}; it has {len(self)} layers")
        return self.layers[key]

    def rebuild(self, chain, part):
        """Return a container like this one, with layers copied by chain (layers that follow one another) or part (a
        single layer)."""
        return Sequential(*chain(self.layers), name=self.name)

    @property
    def takes_pictures(self):
        return self.layers[0].takes_pictures

    @property
    def input_names(self):
        return self.layers[0].input_names

    @property
    def picture_inputs(self):
        return self.layers[0].picture_inputs

    def construct(self, shape, rng):
        Sequential.infer(self, shape)  # refuses a shape that does not fit before any parameter is made
        current = shape
        for layer in self.layers:
            layer.construct(current, rng)
            current = layer.output_shape
        self.input_shape, self.output_shape = shape, current

    def infer(self, shape):
        for layer in self.layers:
            shape = layer.infer(shape)
        return shape

    def compute(self, x, mode):
        # A batch normalisation computes its statistics over the real steps only, which fused layers cannot.
        single = mode.inspect or (mode.training and self.plan.padding is not None)
        passed = self.layers if single else self.plan.stages[self]
        dropped = self.plan.dropped.behind[self] if self.plan.lean else ()
        kept = Chain(self.plan.pool, passed, dropped) if mode.store else None
        for k, stage in enumerate(passed):
            y = stage.forward(x, mode)
            if k - 1 in dropped:
                passed[k - 1].drop(x, mode)
                if kept is None:
                    self.plan.pool.give(x)
                else:
                    stage.receive(None)
                    kept.lay_by(k - 1, x)
            x = y
        self.kept = kept
        return x

    def propagate(self, dy, need_dx):
        kept, lean = self.kept, self.plan.lean
        passed = kept.passed
        first = self.plan.first_needed(passed, need_dx)
        for k in range(len(passed) - 1, first - 1, -1):
            if lean:
                kept.prepare(k)
            dy = passed[k].backward(dy, need_dx or k > first)
            if lean:
                kept.settle(k, first)
        return dy

    # --- recomputing: see `layers.recompute` ---

    @property
    def recomputes(self):
        return allows(self.plan.stages[self][-1], "recomputes")

    @property
    def receives(self):
        return allows(self.plan.stages[self][0], "receives")

    @property
    def from_input(self):
        return from_input(self.plan.stages[self], self.plan.dropped.behind[self])

    def writer(self):
        return self.plan.stages[self][-1].writer()

    def again(self):
        return self.kept.again()

    def receive(self, x):
        self.kept.passed[0].receive(x)

    def drop(self, y, mode):
        self.output = None
        self.plan.stages[self][-1].drop(y, mode)


class Repeat(Sequential):
    """Direct encoding: a picture without a time axis becomes a sequence of ``steps`` equal inputs.

    ``[N, H, W, C]`` or ``[N, F]`` -> ``[T, N, ...]``. The layers inside process the picture once, as a single step, and
    not T times: put the first convolution and its normalisation here. Their backward pass gets the sum of the gradients
    over the steps. Layers inside that carry a state start from rest, also at every step of a stream. In front of a
    neuron, the steps of ``output`` share one memory at inference on the CPU.

    Args:
        steps: T, the number of steps.
        layers: layers that are computed once, before the repetition. There may be none.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: steps is not a whole number of at least 1.
        ShapeError: on building, the input has a time axis or does not fit the layers.
    """

    takes_pictures = sums_steps = True
    input_names = picture_inputs = ()

    def __init__(self, steps: int, *layers: Layer, name: str | None = None):
        Layer.__init__(self, name)
        self.steps = whole("Repeat: steps", steps)
        self.layers = layers
        self.contain(name_children("Repeat: layers", layers))

    def rebuild(self, chain, part):
        return Repeat(self.steps, *chain(self.layers), name=self.name)

    def infer(self, shape):
        if len(shape) not in (2, 4):
            self.refuse(shape, "a picture [N, H, W, C] or features [N, F], without a time axis")
        return (self.steps, *super().infer((1, *shape))[1:])

    def construct(self, shape, rng):
        output_shape = self.infer(shape)
        super().construct((1, *shape), rng)
        self.input_shape, self.output_shape = shape, output_shape

    def compute(self, x, mode):
        padding, self.plan.padding = self.plan.padding, None  # a picture is no sequence that could be over
        try:
            once = super().compute(x[None], replace(mode, carried=None))  # every pass of a stream computes it from rest
        finally:
            self.plan.padding = padding
        steps = self.steps if mode.carried is None else self.plan.part  # a stream gives one part after the other
        if mode.store:
            self.kept.repeated = once, steps
        elif steps > 1 and self.device != "cuda" and mode == INFERENCE and self in self.plan.read_once:
            return as_strided(once[0], (steps, *once.shape[1:]), (0, *once.strides[1:]))
        return self._repeated(once, steps)

    def _repeated(self, once, steps):
        if steps == 1:
            return once
        y = self.result("y", (steps, *once.shape[1:]), once.dtype)
        self.kernels.repeat(once.reshape(-1), y.reshape(steps, -1))
        return y

    # --- recomputing: see `layers.recompute` ---

    recomputes = True
    receives = from_input = False

    def writer(self):
        return self

    def again(self):
        return self._repeated(*self.kept.repeated)

    def drop(self, y, mode):
        Layer.drop(self, y, mode)

    def propagate(self, dy, need_dx):
        once = self.gradient((1, *dy.shape[1:]), "dy")
        self.kernels.sum_steps(dy.reshape(len(dy), -1), once.reshape(-1))
        self.plan.pool.give(dy)
        dx = super().propagate(once, need_dx)
        return dx[0] if need_dx else None
