"""Copies and pickles of objects that hold arrays on a device and kernels, which are a module."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .kernels import for_device


class Portable:
    """Base of objects that `copy.deepcopy` and `pickle` can copy, with arrays on any device.

    A copy has its own arrays. An object that was on "cuda" can be unpickled only if there is a CUDA device.

    Attributes:
        transient: names of attributes that are not copied (working memory, and results of a pass), each with a function
            that makes the value of the attribute in a copy.
    """

    transient: ClassVar[dict[str, Callable[[], Any]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: _pack(value) for name, value in vars(self).items() if name not in self.transient}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: make() for name, make in self.transient.items()})
        vars(self).update({name: _unpack(value) for name, value in state.items()})


def on_device(value) -> bool:
    """Return whether this is an array on a CUDA device."""
    return hasattr(type(value), "__cuda_array_interface__")


def nothing() -> None:
    """Return None: the value in a copy of an attribute that is made when it is needed."""


class _Kernels(NamedTuple):
    """The kernels of a device in a pickle; a module itself cannot be pickled."""

    device: str


class _OnDevice(NamedTuple):
    """An array on a CUDA device in a pickle, as its host copy."""

    array: np.ndarray


def _pack(value):
    """Replace kernels and CUDA arrays, also inside containers, by objects that can be pickled."""
    if isinstance(value, ModuleType):
        return _Kernels(value.name)
    if on_device(value):
        return _OnDevice(for_device("cuda").to_host(value))
    return _each(value, _pack)


def _unpack(value):
    """Restore what `_pack` has replaced."""
    if isinstance(value, _Kernels):
        return for_device(value.device)
    if isinstance(value, _OnDevice):
        return for_device("cuda").from_host(value.array, value.array.dtype)
    return _each(value, _unpack)


def _each(value, change):
    """Return a plain dict, list or tuple with every entry changed, and any other value unchanged."""
    if type(value) is dict:
        return {key: change(entry) for key, entry in value.items()}
    return type(value)(map(change, value)) if type(value) in (list, tuple) else value
