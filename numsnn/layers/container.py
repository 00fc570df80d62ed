"""Containers: layers that are made of other layers. In a backward pass they call their layers in reverse order."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from ..errors import ShapeError
from ..names import choice
from ..validate import whole
from . import borders
from .base import Layer
from .names import children_names, title
from .plan import settle_in
from .shapes import concatenate


def _name_children(layers):
    """Return names and layers as `children_names` does; refuse an object that is not a layer."""
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(f"a network is made of layers; got {layer!r}")
    return children_names(layers)


class _Container(Layer):
    """Base of the containers. A subclass calls `contain` at the end of its constructor, and declares for the plan how
    its parts are combined:

    - ``joins``: "chain" (one after the other), "sum" (side by side, outputs joined element by element) or "channels"
      (side by side, outputs concatenated along the channels);
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
            if layer.input_names and (k or type(self).__name__ != "Sequential"):
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


class _Stages(NamedTuple):
    """What a chain keeps for its backward pass: its layers, with a `Pair` in place of two fused ones."""

    passed: Sequence[Any]


class Sequential(_Container):
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
        self.contain(_name_children(layers))

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
        if isinstance(key, bool) or not isinstance(key, int | np.integer):
            return super().__getitem__(cast(str, key))
        if not -len(self) <= key < len(self):
            raise IndexError(f"{title(self)} has no layer {key}; it has {len(self)} layers")
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
        passed = self.layers if mode.inspect else self.plan.stages[self]
        for stage in passed:
            x = stage.forward(x, mode)
        self.kept = _Stages(passed) if mode.store else None
        return x

    def propagate(self, dy, need_dx):
        passed = self.kept.passed
        first = self.plan.first_needed(passed, need_dx)
        for k in range(len(passed) - 1, first - 1, -1):
            dy = passed[k].backward(dy, need_dx or k > first)
        return dy


class Repeat(Sequential):
    """Direct encoding: a picture without a time axis becomes a sequence of ``steps`` equal inputs.

    ``[N, H, W, C]`` or ``[N, F]`` -> ``[T, N, ...]``. The layers inside process the picture once, as a single step, and
    not T times: put the first convolution and its normalisation here. Their backward pass gets the sum of the gradients
    over the steps.

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
        self.contain(_name_children(layers))

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
        once = super().compute(x[None], mode)
        if mode.carried is not None:  # a stream gives one step at a time, so the picture is repeated once
            return once
        y = self.buffer("y", (self.steps, *once.shape[1:]), once.dtype)
        self.kernels.repeat(once.reshape(-1), y.reshape(self.steps, -1))
        return y

    def propagate(self, dy, need_dx):
        once = self.gradient((1, *dy.shape[1:]), "dy")
        self.kernels.sum_steps(dy.reshape(self.steps, -1), once.reshape(-1))
        self.plan.pool.give(dy)
        dx = super().propagate(once, need_dx)
        return dx[0] if need_dx else None


class _Paths(NamedTuple):
    """What a `Residual` keeps for its backward pass: the outputs of both paths."""

    main: object
    side: object


class Residual(_Container):
    """A branch and a shortcut around it, whose outputs are joined element by element.

    With a = branch(x) and s = shortcut(x), the joins are those of SEW ResNet (Fang et al. 2021, arXiv:2102.04159):

        add    y = a + s
        and    y = a s           both fire
        iand   y = (1 - a) s     the shortcut fires and the branch does not

    The result has the shape of a and s. Spikes that are joined by "and" or "iand" give spikes (uint8); everything else
    gives the network's float dtype.

    Args:
        branch: layers of the branch, at least one.
        shortcut: a layer or Sequential in the other path. Default None: the input itself.
        join: "add" (default), "and" or "iand".
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: the branch has no layer, or the join is unknown.
        ShapeError: on building, the two paths have different output shapes.
    """

    joins = "sum"

    def __init__(self, *branch: Layer, shortcut: Layer | None = None, join: str = "add", name: str | None = None):
        super().__init__(name)
        if not branch:
            raise ValueError("Residual: needs at least one layer in the branch")
        self.branch, self.shortcut = branch, shortcut
        self.join = choice("Residual: join", join, ("add", "and", "iand"))
        self._main = Sequential(*branch)
        named = [("branch", self._main)] + ([] if shortcut is None else [("shortcut", shortcut)])
        _name_children([layer for _, layer in named])
        self.contain(named)

    def parts(self):
        return self._main, self.shortcut

    def rebuild(self, chain, part):
        branch = chain(self.branch)
        shortcut = None if self.shortcut is None else part(self.shortcut)
        return Residual(*branch, shortcut=shortcut, join=self.join, name=self.name)

    def infer(self, shape):
        main = self._main.infer(shape)
        side = shape if self.shortcut is None else self.shortcut.infer(shape)
        if main != side:
            raise ShapeError(
                f"{self.path} ({type(self).__name__}): branch and shortcut must give one shape; for the input {shape}, "
                f"the branch gives {main} and the shortcut {side}"
            )
        return main

    def compute(self, x, mode):
        main = self._main.forward(x, mode)
        side = x if self.shortcut is None else self.shortcut.forward(x, mode)
        spikes = self.join != "add" and main.dtype == side.dtype
        y = self.buffer("y", self.output_shape, main.dtype if spikes else self.dtype)
        forward = {"add": self.kernels.add, "and": self.kernels.and_forward, "iand": self.kernels.iand_forward}
        forward[self.join](main, side, y)
        if mode.store:
            self.kept = _Paths(main, side)
        return y

    def propagate(self, dy, need_dx):
        pool = self.plan.pool
        main = side = dy
        if self.join == "add":
            pool.hold(dy)  # both paths use dy
        else:
            backward = self.kernels.and_backward if self.join == "and" else self.kernels.iand_backward
            main, side = self.gradient(dy.shape, "da"), self.gradient(dy.shape, "ds")
            backward(dy, *self.kept, main, side)
            pool.give(dy)
        main = self._main.backward(main, need_dx)
        side = side if self.shortcut is None else self.shortcut.backward(side, need_dx)
        dx = None
        if need_dx:
            dx = self.gradient(self.input_shape)
            self.kernels.add(main, side, dx)
        pool.give(main)
        pool.give(side)
        return dx


class _Widths(NamedTuple):
    """What a `Concat` keeps for its backward pass: the shapes of its branches' outputs."""

    shapes: list


class Concat(_Container):
    """Give the input to every branch and concatenate the outputs along the channels.

    ``[..., C]`` -> ``[..., C1 + C2 + ...]``; all other extents of the outputs must be equal. If a branch is None, the
    input itself is part of the output, as in DenseNet (Huang et al. 2017, arXiv:1608.06993):
    ``Concat(None, Sequential(...))``. The result holds spikes (uint8) if every branch gives spikes, otherwise numbers
    of the network's float dtype.

    Args:
        branches: layers, or None for the input itself; at least one layer.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: there is no layer among the branches.
        ShapeError: on building, the outputs of the branches differ in more than the number of channels.
    """

    joins = "channels"

    def __init__(self, *branches: Layer | None, name: str | None = None):
        super().__init__(name)
        self.branches = branches
        named = _name_children([branch for branch in branches if branch is not None])
        if not named:
            raise ValueError("Concat: needs at least one layer")
        self.contain(named)

    def parts(self):
        return self.branches

    def rebuild(self, chain, part):
        return Concat(*(None if branch is None else part(branch) for branch in self.branches), name=self.name)

    def infer(self, shape):
        shapes = [shape if branch is None else branch.infer(shape) for branch in self.branches]
        if len({part[:-1] for part in shapes}) > 1:
            raise ShapeError(
                f"{self.path} ({type(self).__name__}): the outputs of the branches may differ only in channels; for "
                f"the input {shape}, they are {', '.join(map(str, shapes))}"
            )
        return (*shapes[0][:-1], sum(part[-1] for part in shapes))

    def compute(self, x, mode):
        parts = [x if branch is None else branch.forward(x, mode) for branch in self.branches]
        alike = len({part.dtype for part in parts}) == 1
        y = self.buffer("y", self.output_shape, parts[0].dtype if alike else self.dtype)
        concatenate(self.kernels, parts, y)
        if mode.store:
            self.kept = _Widths([part.shape for part in parts])
        return y

    def propagate(self, dy, need_dx):
        pool = self.plan.pool
        parts, first = [], 0
        for k, shape in enumerate(self.kept.shapes):
            part = self.gradient(shape, f"dy{k}")
            self.kernels.split(dy.reshape(-1, dy.shape[-1]), first, part.reshape(-1, shape[-1]))
            first += shape[-1]
            parts.append(part)
        pool.give(dy)
        dx = None
        for k, (branch, part) in enumerate(zip(self.branches, parts, strict=True)):
            gradient = part if branch is None else branch.backward(part, need_dx)
            if not need_dx:
                pool.give(gradient)
                continue
            if dx is None:
                dx = gradient
                continue
            total = self.gradient(self.input_shape, f"dx{k}")
            self.kernels.add(dx, gradient, total)
            pool.give(dx)
            pool.give(gradient)
            dx = total
        return dx
