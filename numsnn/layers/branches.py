"""Containers whose parts lie side by side: a branch with a shortcut, and branches that are concatenated."""

from typing import NamedTuple

from ..errors import ShapeError
from ..names import choice
from .base import Layer
from .container import Container, Sequential, name_children
from .recompute import allows
from .shapes import concatenate


class _Paths(NamedTuple):
    """What a `Residual` keeps for its backward pass: the outputs of both paths, or None for one that was dropped."""

    main: object
    side: object


class Residual(Container):
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
        name_children("Residual: branch", branch)
        self._main = Sequential(*branch)
        named = [("branch", self._main)] + ([] if shortcut is None else [("shortcut", shortcut)])
        name_children("Residual: branch and shortcut", [layer for _, layer in named])
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
        y = self.result("y", self.output_shape, main.dtype if spikes else self.dtype)
        forward = {"add": self.kernels.add, "and": self.kernels.and_forward, "iand": self.kernels.iand_forward}
        forward[self.join](main, side, y)
        paths = self.dropped_paths() if self.plan.lean else []
        for path in paths:
            output = main if path is self._main else side
            path.drop(output, mode)
            self.plan.pool.give(output)
        if mode.store:
            self.kept = _Paths(None if self._main in paths else main, None if self.shortcut in paths else side)
        return y

    # --- recomputing: see `layers.recompute` ---

    def dropped_paths(self) -> list:
        """Return the paths whose outputs a pass may drop. The backward pass of a sum does not read them."""
        if self.join != "add":
            return []
        return [path for path in (self._main, self.shortcut) if path is not None and allows(path, "recomputes")]

    @property
    def recomputes(self):
        return len(self.dropped_paths()) == len(self.children())

    @property
    def receives(self):
        return self.join == "add" and all(allows(path, "receives") for _, path in self.children())

    def again(self):
        pool, main = self.plan.pool, self._main.again()
        side = self.kept.side if self.shortcut is None else self.shortcut.again()
        y = self.result("y", self.output_shape)
        self.kernels.add(main, side, y)
        pool.give(main)
        if self.shortcut is not None:
            pool.give(side)
        return y

    def receive(self, x):
        for _, path in self.children():
            path.receive(x)
        if self.shortcut is None:
            self.kept = self.kept._replace(side=x)

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


class Concat(Container):
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
        named = name_children("Concat: branches", [branch for branch in branches if branch is not None])
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
