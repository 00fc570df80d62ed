"""Copies and pickles of objects that hold arrays of a device, and the modules that compute with them."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .kernels import for_device


class Portable:
    """Base of objects that `copy.deepcopy` and `pickle` take along, whatever device their arrays are on.

    A copy has arrays of its own. An object that was on "cuda" can only be unpickled where there is a CUDA device.

    Attributes:
        transient: attributes that are not taken along, with the function that makes what a copy begins with: working
            memory, and what only belongs to a pass that is under way.
    """

    transient: ClassVar[dict[str, Callable[[], Any]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: _pack(value) for name, value in vars(self).items() if name not in self.transient}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: make() for name, make in self.transient.items()})
        vars(self).update({name: _unpack(value) for name, value in state.items()})


def on_device(value) -> bool:
    """Whether this is an array on a CUDA device."""
    return hasattr(type(value), "__cuda_array_interface__")


def nothing() -> None:
    """What a copy begins with where an attribute is None until it is needed."""


class _Kernels(NamedTuple):
    """Stands for the kernels of a device, which are a module and cannot be pickled."""

    device: str


class _OnDevice(NamedTuple):
    """Stands for an array on a CUDA device."""

    array: np.ndarray


def _pack(value):
    """A value in which nothing is left that cannot be pickled, containers of it included."""
    if isinstance(value, ModuleType):
        return _Kernels(value.name)
    if on_device(value):
        return _OnDevice(for_device("cuda").to_host(value))
    return _each(value, _pack)


def _unpack(value):
    """What `_pack` was given."""
    if isinstance(value, _Kernels):
        return for_device(value.device)
    if isinstance(value, _OnDevice):
        return for_device("cuda").from_host(value.array, value.array.dtype)
    return _each(value, _unpack)


def _each(value, change):
    """A plain dict, list or tuple with every entry changed; anything else as it is."""
    if type(value) is dict:
        return {key: change(entry) for key, entry in value.items()}
    return type(value)(map(change, value)) if type(value) in (list, tuple) else value
