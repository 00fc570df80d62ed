"""What a trainer says when something is wrong: where numbers broke, in what two networks differ, where it may write."""

import json
import tempfile
from itertools import zip_longest

import numpy as np


def first_bad(net):
    """Name of the first layer that holds or made something that is not finite."""
    leaves = [(name, layer) for name, layer in net.named() if not layer.container]
    for name, layer in leaves:
        for p in layer.own_parameters():
            if not np.isfinite(layer.kernels.to_host(p.value)).all():
                return f"{name}.{p.name}"
        if any(_is_bad(layer, signal) for signal in layer.signals()):
            return f"{name}'s output"
    for name, layer in reversed(leaves):
        if any(_is_bad(layer, p.grad) for p in layer.own_parameters()) or _is_bad(layer, layer.input_gradient):
            return f"{name}'s gradient"
    return "the loss itself"


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
