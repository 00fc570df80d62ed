"""The datasets that `load` knows by name."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from ..names import argument, choice, look_up
from . import digits_dvs
from .dataset import Dataset
from .formats import read_idx
from .frames import Frames
from .recordings import Recordings

_FILES = Path(__file__).parent / "files"
_TEN_DIGITS = tuple("0123456789")


def available() -> tuple[str, ...]:
    """Return the names that `load` knows."""
    return tuple(_BUILTIN)


@overload
def load(name: Literal["digits", "mnist"], **options: Any) -> tuple[Dataset, Dataset]: ...
@overload
def load(name: Literal["digits-dvs"], **options: Any) -> tuple[Frames, Frames]: ...
@overload
def load(name: str, **options: Any) -> tuple[Any, Any]: ...
def load(name: str, **options: Any) -> tuple[Any, Any]:
    """Return the two parts ``(train, test)`` of the dataset with this name.

    ==========  =================  ======================================================================
    name        options            samples
    ==========  =================  ======================================================================
    ``digits``  none               1,437 + 360 handwritten digits ``[8, 8, 1]`` uint8 in 0..16, scale
                                   1/16; ships with the package (UCI optical recognition of handwritten
                                   digits, Alpaydin and Kaynak 1998, CC BY 4.0)
    ``mnist``   ``dir`` (needed)   60,000 + 10,000 handwritten digits ``[28, 28, 1]`` uint8, scale 1/255
                                   (all samples of the files, if these hold another number); dir is the
                                   folder with the four IDX files under their official names, each with
                                   or without ``.gz``
    ``digits-   those of `Frames`  the digits as a simulated event camera sees them (`numsnn.data.dvs`): frames
    dvs``                          ``[T, 20, 20, 2]``, T = 10 by default
    ==========  =================  ======================================================================

    Raises:
        ValueError: the name is unknown, or the files do not belong together.
        TypeError: an option is unknown, or a needed option is missing.
        FileNotFoundError: a file is missing.
        FormatError: a file is damaged (`numsnn.data.formats.FormatError`).
    """
    function = look_up("load: dataset", name, _BUILTIN)
    known = inspect.signature(function).parameters
    for option in options:
        argument(f"load({name!r})", option, known, kind="option")
    for option, parameter in known.items():
        if option not in options and parameter.default is parameter.empty:
            raise TypeError(f"load({name!r}): option {option!r} is missing")
    return function(**options)


def _digits() -> tuple[Dataset, Dataset]:
    with np.load(_FILES / "digits.npz", allow_pickle=False) as file:
        train, test = (
            Dataset(file[f"x_{part}"], file[f"y_{part}"], _TEN_DIGITS, f"digits {part}", scale=1 / 16)
            for part in ("train", "test")
        )
    return train, test


def _mnist(dir: str | os.PathLike[str]) -> tuple[Dataset, Dataset]:
    return _mnist_part(Path(dir), "train", "train"), _mnist_part(Path(dir), "t10k", "test")


def _mnist_part(folder: Path, prefix: str, part: str) -> Dataset:
    x_file = _mnist_file(folder, f"{prefix}-images-idx3-ubyte")
    y_file = _mnist_file(folder, f"{prefix}-labels-idx1-ubyte")
    x, y = read_idx(x_file), read_idx(y_file)
    if x.ndim != 3 or x.shape[1:] != (28, 28) or x.dtype != np.uint8:
        raise ValueError(f"load('mnist'): {x_file} must hold uint8 [N, 28, 28]; got {x.dtype} {x.shape}")
    if y.ndim != 1 or y.dtype != np.uint8:
        raise ValueError(f"load('mnist'): {y_file} must hold uint8 [N]; got {y.dtype} {y.shape}")
    if len(x) != len(y):
        raise ValueError(
            f"load('mnist'): the numbers of pictures and labels differ: "
            f"{x_file} has {len(x)} pictures, {y_file.name} has {len(y)} labels"
        )
    return Dataset(x[..., None], y, _TEN_DIGITS, f"mnist {part}", scale=1 / 255)


def _mnist_file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"load('mnist'): neither {name} nor {name}.gz is in {folder}. This is one of the four files of the "
        "MNIST database of handwritten digits (LeCun, Cortes, Burges): train-images-idx3-ubyte, "
        "train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
    )


def takes_folder(name: str) -> bool:
    """Return whether `load` needs the option ``dir`` for the dataset with this name: the folder of its raw files.

    Raises:
        ValueError: the name is unknown.
    """
    return "dir" in inspect.signature(look_up("load: dataset", name, _BUILTIN)).parameters


def load_recordings(name: str) -> tuple[Recordings, Recordings]:
    """Return the event recordings ``(train, test)`` from which `load` makes the frames of this dataset.

    Args:
        name: "digits-dvs", the only built-in dataset of events.

    Raises:
        ValueError: another name.
    """
    choice("load_recordings: recordings", name, ("digits-dvs",))
    return digits_dvs.recordings(*_digits())


def _digits_dvs(
    steps: int | None = 10,
    by: str = "time",
    duration: int | None = None,
    pool: int = 1,
    binary: bool = False,
    start: int | None = None,
) -> tuple[Frames, Frames]:
    frames = functools.partial(digits_dvs.frames, steps=steps, by=by, duration=duration, pool=pool)
    return frames(*_digits(), binary=binary, start=start)


_BUILTIN: dict[str, Callable[..., tuple[Any, Any]]] = {
    "digits": _digits,
    "mnist": _mnist,
    "digits-dvs": _digits_dvs,
}
