"""What a trainer says when something is wrong: where numbers broke, in what two networks differ, where it may write."""

import json
import tempfile
from itertools import zip_longest

import numpy as np

from ..layers import Trace


def first_bad(net):
    """Name of the first layer that holds or made something that is not finite."""
    for layer in net.walk():
        for p in layer.own_parameters():
            if not np.isfinite(layer.kernels.to_host(p.value)).all():
                return f"{layer.path}.{p.name}"
        if any(_is_bad(layer, signal) for signal in _signals(layer)):
            return f"{layer.path}'s output"
    for layer in reversed(list(net.walk())):
        if any(_is_bad(layer, p.grad) for p in layer.own_parameters()) or _is_bad(layer, layer.input_gradient):
            return f"{layer.path}'s gradient"
    return "the loss itself"


def _signals(layer):
    """What a layer made in the last pass: its output, and what became of it within the layer."""
    yield layer.output
    if isinstance(layer.kept, Trace):
        yield layer.potentials()
        yield from vars(layer.kept).values()
    elif layer.output is None and layer.kept is not None:  # a normalisation run as one with its neuron
        yield from layer.kept


def _is_bad(layer, x):
    """Whether x is a float array with NaN or inf in it."""
    if not hasattr(x, "dtype") or x.dtype.kind != "f":
        return False
    return not np.isfinite(layer.kernels.to_host(x)).all()


def plain(value):
    """A value as JSON gives it back."""
    return json.loads(json.dumps(value))


def difference(theirs, mine):
    """The first layer in which two networks differ, in words."""
    pairs = zip_longest(theirs.walk(), mine.walk())
    for a, b in pairs:
        if a is None or b is None or a.description() != b.description():
            return f"the file has {a or 'no further layer'} where this one has {b or 'none'}"
    return "the layers agree, but are put together differently"


def writable_folder(folder):
    """Make the folder if it is missing, and find out now whether it can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"the run's folder {folder} cannot be written to: {error.strerror or error}") from error
    return folder
