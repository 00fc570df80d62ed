"""The input of a network: one array, or one array per name for a network with several inputs.

A network with several inputs (`Network.input_names`) computes with a dictionary of arrays, in the order of the names,
and has a dictionary of shapes as its `input_shape`.
"""

from collections.abc import Mapping
from math import prod

import numpy as np

from ..capacity import need_memory
from ..errors import ShapeError
from ..names import nearest
from ..shown import one_line, shown
from ..validate import real_array, whole
from .names import title

FLOAT_BYTES = 4
"""Bytes of a number of a new network, float32."""


def shape_of(x):
    """Return the shape of an array, or the shape of every array by name."""
    if type(x) is np.ndarray:  # by far the most frequent case; the check for a mapping takes longer
        return x.shape
    return {name: part.shape for name, part in x.items()} if isinstance(x, Mapping) else x.shape


def each(x, change):
    """Return change(x) for an array, or change applied to every array by name."""
    if type(x) is np.ndarray:
        return change(x)
    return {name: change(part) for name, part in x.items()} if isinstance(x, Mapping) else change(x)


def by_name(net, given, what: str = "array") -> dict:
    """Return what is given for the inputs of a network with several inputs, by name and in the order of the names.

    Args:
        net: the network.
        given: a mapping from the names, or a tuple or list in their order.
        what: word for one of the things that are given, in messages.

    Raises:
        ShapeError: something else is given, or an input is missing or unknown.
    """
    names, who = net.input_names, title(net)
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise ShapeError(f"{who}: there is no input {shown(name)}{nearest(name, names) or _listed(names)}")
        for name in names:
            if name not in given:
                raise ShapeError(f"{who}: the input {name!r} is missing; got {one_line(', '.join(map(repr, given)))}")
        return {name: given[name] for name in names}
    if isinstance(given, tuple | list) and len(given) == len(names):
        return dict(zip(names, given, strict=True))
    got = f"{len(given)} of them" if isinstance(given, tuple | list) else type(given).__name__
    raise ShapeError(
        f"{who}: takes {len(names)} inputs; give one {what} for each of {', '.join(map(repr, names))}, as a dict or "
        f"tuple; got {got}"
    )


def _listed(names):
    return f"; the inputs are {', '.join(map(repr, names))}"


def checked_shape(net, shape):
    """Return the shape for which a network shall be built as a tuple of whole numbers, or one such tuple per name.

    Raises:
        ShapeError: an input is missing or unknown, or shape is no sequence.
        ValueError: an extent is not a whole number of at least 1.
    """
    if net.input_names:
        shapes = by_name(net, shape, "shape")
        return {name: extents(f"{net.path}.build: {name}", part) for name, part in shapes.items()}
    if isinstance(shape, Mapping):
        raise ShapeError(f"{net.path}.build: {_one_input(shape)}")
    return extents(f"{net.path}.build", shape)


def extents(who, shape) -> tuple[int, ...]:
    """Check for the shape of an input: a sequence of whole numbers of at least 1, for which there is memory."""
    sequence = isinstance(shape, tuple | list) or (isinstance(shape, np.ndarray) and shape.ndim == 1)
    if not sequence or not len(shape):
        raise ShapeError(f"{who}: a shape must be a sequence of whole numbers; got {shown(shape)}")
    found = tuple(whole(f"{who}: every extent of shape {shown(tuple(shape))}", extent) for extent in tuple(shape))
    need_memory(f"{who}: an input of shape {shown(shape)}", FLOAT_BYTES * prod(found), ShapeError)
    return found


def one_array(net, x):
    """Refuse an input that is not one array, for a network with one input."""
    if isinstance(x, np.ndarray):
        return
    who = f"{title(net)}: "
    if isinstance(x, Mapping):
        raise ShapeError(f"{who}{_one_input(x)}")
    if isinstance(x, tuple) and any(isinstance(part, np.ndarray) for part in x):
        raise ShapeError(f"{who}takes one input; got a tuple of {len(x)}. snn.Graph makes networks with several inputs")
    advice = ""
    if isinstance(x, list | tuple):
        advice = f". Convert it: np.asarray(x, {str(net.dtype)!r}), where all lists of one level have one length"
    raise ShapeError(f"{who}the input must be a NumPy array; got {type(x).__name__}{advice}")


def _one_input(given):
    names = one_line(", ".join(map(repr, given))) or "nothing"
    return f"takes one input; got a dict of {names}. snn.Graph makes networks with several inputs"


def timed(net, x, change):
    """Return change(x), for every input of a network that has a time axis; other inputs stay as they are."""
    if net.input_names:
        pictures = net.picture_inputs
        return {name: part if name in pictures else change(part) for name, part in x.items()}
    return x if net.takes_pictures else change(x)


def first_timed(net, x):
    """Return the input, or the first of several, that has a time axis; None if there is none."""
    if net.input_names:
        return next((part for name, part in x.items() if name not in net.picture_inputs), None)
    return None if net.takes_pictures else x


def steps_of_part(net, x) -> int:
    """Return the number of steps of a pass that is one of several: one, if no input has a time axis."""
    sequence = x if type(x) is np.ndarray and not net.takes_pictures else first_timed(net, x)
    return 1 if sequence is None else len(sequence)


def repeated(net, x, steps: int = 1):
    """Return the input of a sequence of equal steps for the input of a single one."""
    if net.input_names:
        x = by_name(net, x)
    elif isinstance(x, Mapping):
        return x  # `Network.admit` refuses it
    arrays = each(x, real_array)
    for part in arrays.values() if isinstance(arrays, Mapping) else (arrays,):
        if part is None:
            raise ShapeError(f"{title(net)}: the input must be an array of real numbers; got {shown(x)}")
    return timed(net, arrays, lambda part: part[None] if steps == 1 else np.repeat(part[None], steps, 0))


def samples_of(shape) -> int:
    """Return the number of samples in the shape, or in the shapes by name, of the input of a single step."""
    return (next(iter(shape.values())) if isinstance(shape, Mapping) else shape)[0]


def first_samples(net, x, samples: int):
    """Return the first samples of an input."""
    if net.input_names:
        pictures = net.picture_inputs
        return {name: part[:samples] if name in pictures else part[:, :samples] for name, part in x.items()}
    return x[:samples] if net.takes_pictures else x[:, :samples]
