"""Data on their way into a run: arrays become datasets, and what does not suit the network or the loss is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..data import Batch, Dataset, as_dataset
from ..data.samples import Samples
from ..data.targets import checked_array
from ..layers import Layer, Poisson, Repeat
from ..layers.inputs import by_name, first_timed, one_array
from ..losses import Loss
from ..validate import flag

NO_TIME = (
    "the samples have no time axis: begin the network with Repeat(steps) or Poisson(steps), or give sequences "
    "[N, T, ...] with timed=True"
)
"""What is said of samples without a time axis for a network whose input needs one."""


class Kind(NamedTuple):
    """What the targets of some data are.

    Attributes:
        target: "class", "labels" or "values".
        per_step: whether there is one target per step.
    """

    target: str
    per_step: bool


class Source(NamedTuple):
    """A source of batches whose targets suit the loss, and whose samples suit the network.

    Attributes:
        data: the source.
        kind: kind of its targets.
        name: name in messages.
    """

    data: Any
    kind: Kind
    name: str

    @property
    def whole_numbers(self) -> bool:
        """Whether the samples are stored as whole numbers."""
        kind = getattr(getattr(self.data, "x", self.data), "dtype", np.dtype(np.float32))
        return np.dtype(kind).kind in "iu"


def as_source(net: Layer, loss: Loss, data, name: str) -> Source:
    """Return the source of batches for anything that can be trained on.

    Args:
        net, loss: the network and the loss of the run.
        data: a dataset or another source of batches; or a tuple (x, y) of arrays, samples first. If the network takes
            inputs with a time axis, the second axis of x is time. For several inputs, x is a dict of arrays by name.
        name: name of the data in messages.

    Raises:
        TypeError: data is none of these, or its batches are no pairs.
        ValueError: the arrays do not pass the checks of `numsnn.data.Dataset`, the loss does not take such targets, or
            the samples have a time axis and the network takes none, or the reverse.
    """
    if isinstance(data, Source):
        return data
    pair = isinstance(data, tuple) and len(data) == 2
    if net.input_names and pair:
        data = Inputs(net, data[0], data[1], name)
    elif pair and isinstance(data[0], Mapping):
        one_array(net, data[0])
    elif isinstance(data, tuple) and data:
        _check_reading(net, data[0], name)
    data = as_dataset(data, name, timed=not net.takes_pictures)
    if not len(data):
        raise ValueError(f"{name}: holds no sample")
    _check_form(net, data, name)
    kind = _kind_of(net, data, name)
    loss.need(name, *kind)
    return Source(data, kind, name)


class Inputs:
    """Samples for a network with several inputs: a source of batches whose x is a dict of arrays by name.

    Args:
        net: the network.
        x: arrays by name, or in the order of the inputs, samples first; time is the second axis, except for inputs
            without a time axis.
        y: targets, as for `numsnn.data.Dataset`; None if nothing looks at them.
        name: name in messages.

    Attributes:
        target, per_step, classes: as in `numsnn.data.Dataset`.

    Raises:
        ShapeError: an input is missing or unknown.
        ValueError: the inputs differ in their number of samples, or as for `numsnn.data.Dataset`.
    """

    def __init__(self, net: Layer, x, y, name: str):
        arrays = {key: np.asarray(array) for key, array in by_name(net, x).items()}
        if len({array.shape[:1] for array in arrays.values()}) > 1:
            listed = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
            raise ValueError(f"{name}: all inputs must have the same number of samples; got {listed}")
        timed = [key for key in arrays if key not in net.picture_inputs]
        first = (timed or list(arrays))[0]  # the targets stand beside an input with a time axis, if there is one
        self._parts = {}
        for key, array in arrays.items():
            targets, classes = y, None
            if y is None or key != first:
                targets, classes = np.zeros(len(array) if array.ndim else 0, np.int64), ["0"]
            self._parts[key] = Dataset(array, targets, classes, name=f"{name}: {key}", timed=key in timed)
        self._with_y = own = self._parts[first]
        self.target, self.per_step, self.classes = own.target, own.per_step, own.classes

    def __len__(self) -> int:
        return len(self._with_y)

    def batch(self, indices) -> Batch:
        """Return the batch of the samples with these indices; its x is a dict of arrays by name."""
        x = {key: part.batch(indices).x for key, part in self._parts.items()}
        return Batch(x, self._with_y.batch(indices).y)


def _kind_of(net, data, name):
    """Return the kind of the targets; a source that does not say it is asked for its first sample."""
    if hasattr(data, "target"):
        return Kind(data.target, bool(getattr(data, "per_step", False)))
    batch = Batch.of(data.batch(np.arange(1)))
    if net.input_names and not isinstance(batch.x, Mapping):
        raise ValueError(f"{name}: x of a batch must be a dict of arrays by name; got {type(batch.x).__name__}")
    x, y = first_timed(net, batch.x), np.asarray(batch.y)
    # One sample comes as y [1, ...], or per step as [T, 1, ...].
    per_step = x is not None and y.ndim > 1 and len(y) == len(x) > 1
    if y.dtype.kind == "f":
        return Kind("values", per_step)
    return Kind("class" if y.ndim == 1 + per_step else "labels", per_step)


def _check_form(net, data, name):
    """Refuse samples with a time axis for a network that takes none, and the reverse; and arrays for several inputs."""
    if net.input_names:
        if isinstance(data, Samples):
            raise ValueError(
                f"{name}: a {type(data).__name__} holds one array per sample, but the network has the inputs "
                f"{', '.join(map(repr, net.input_names))}. Give a tuple (x, y) where x is a dict of arrays by name"
            )
        return
    timed = getattr(data, "timed", None)
    if timed is None or bool(timed) is not net.takes_pictures:
        return
    if timed:
        maker = next(type(layer).__name__ for layer in net.tree() if isinstance(layer, Repeat | Poisson))
        raise ValueError(
            f"{name}: the samples are sequences, but the network begins with {maker}, which makes the time axis: leave "
            "it out, or give the data without timed=True"
        )
    raise ValueError(f"{name}: {NO_TIME}")


def _check_reading(net, x, name):
    """Refuse an array without a time axis that would be read as sequences, for a network whose input has time."""
    shape: tuple[int, ...] = tuple(getattr(x, "shape", ()))
    if net.takes_pictures or len(shape) < 2 or _takes(net, (shape[1], 1, *shape[2:])):
        return
    if _takes(net, (1, 1, *shape[1:])):
        raise ValueError(f"{name}: {NO_TIME}; got x of shape {shape}")


def _takes(net, shape):
    """Return whether the network takes an input of this shape."""
    try:
        net.infer(shape)
    except Exception:  # layers of one's own may raise exceptions of any type
        return False
    return True


def samples_of(net: Layer, x, trained: Source | None):
    """Return a source of batches for samples without targets.

    Args:
        net: the network.
        x: a source of batches, or an array of samples; for several inputs, a dict of arrays by name.
        trained: data of the run, whose scale is that of an array of the same kind, or None.
    """
    if callable(getattr(x, "batch", None)):
        _check_form(net, x, "x")
        return x
    if net.input_names:
        return Inputs(net, x, None, "x")
    if isinstance(x, tuple):
        raise TypeError(f"x must be samples without targets, or a Dataset; got a tuple of {len(x)}")
    if isinstance(x, Mapping):
        one_array(net, x)
    x = checked_array(x, "x", "Trainer.predict")
    _check_reading(net, x, "x")
    scale = 1.0
    if trained is not None and trained.whole_numbers and x.dtype.kind in "iu":
        scale = getattr(trained.data, "scale", 1.0)
    targets = np.zeros(len(x) if x.ndim else 0, np.int64)
    return Dataset(x, targets, ["0"], name="x", scale=scale, timed=flag("timed", not net.takes_pictures))
