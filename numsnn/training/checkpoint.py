"""Checkpoints: one HDF5 file with a network and the state of its training. Nothing is pickled.

    /network/NAME            every parameter and statistic, by full name
    /optimizer/NAME/SLOT     every moment of the optimiser
    /callbacks/NAME          arrays of callbacks, such as averaged weights
    attributes               format, numsnn_version, description (JSON), input_shape, training (JSON), digest, and
                             frozen (JSON), the names of frozen layers, if there are any

A file is made in memory, written under a temporary name in the same folder, flushed to the disk and renamed. Its path
therefore always holds a complete checkpoint, the old one or the new one. The digest covers every array and attribute,
so that damage is detected.
"""

import hashlib
import io
import json
from pathlib import Path

import numpy as np

from ..errors import CheckpointError, DivergenceError, ShapeError
from ..files import write_file
from ..kernels import DEVICES
from ..layers import Layer
from ..names import choice
from ..shown import one_line
from ..validate import path_of
from ..version import __version__

FORMAT = "numsnn checkpoint 1"
KEPT = ("optimizer", "callbacks")
"""Groups of arrays beside the network."""


def write(path, net: Layer, arrays: dict[str, dict] | None = None, training=None) -> None:
    """Write a checkpoint.

    Args:
        path: path of the file, which is replaced if it exists.
        net: a built network.
        arrays: arrays of the groups "optimizer" and "callbacks" by their names. Default None: none.
        training: state of the trainer as plain data. Default None.

    Raises:
        DivergenceError: an array holds NaN or inf; nothing is written.
        RuntimeError: the network is not built.
        OSError: the file cannot be written.
    """
    import h5py

    if not net.built:
        raise RuntimeError(f"{path}: the network is not built yet; call net.build(shape) or run it once first")
    groups = {"network": net.state(), **{group: {} for group in KEPT}, **(arrays or {})}
    for group, members in groups.items():
        for name, array in members.items():
            if not np.isfinite(array).all():
                raise DivergenceError(f"{path} was not written: {group} array {name!r} holds NaN or inf")
    header = {
        "format": FORMAT,
        "numsnn_version": __version__,
        "description": json.dumps(net.description()),
        "dtype": str(net.dtype),
        "input_shape": json.dumps(net.input_shape),
        "training": json.dumps(training),
    }
    if frozen := net.frozen_layers():
        header["frozen"] = json.dumps(frozen)
    memory = io.BytesIO()  # HDF5 itself ends Python when the disk is full
    with h5py.File(memory, "w") as file:
        for group, members in groups.items():
            for name, array in members.items():
                file.create_dataset(f"{group}/{name}", data=array)
        file.attrs.update(header | {"digest": _digest(header, groups)})
    write_file(path, memory.getbuffer())


def read(path) -> tuple[Layer, dict[str, dict[str, np.ndarray]], dict | None]:
    """Return the network, the arrays of the groups in `KEPT`, and the training state of a checkpoint.

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointError: the file is not a checkpoint, is truncated or damaged, or describes an unknown layer.
    """
    header, groups = _read_raw(path)
    try:
        net = Layer.from_description(json.loads(header["description"])).to(dtype=header["dtype"])
        net.build(json.loads(header["input_shape"]))
        net.load_state(groups["network"])
        net.freeze_only(json.loads(header.get("frozen", "[]")))
    except (KeyError, ValueError, TypeError, ShapeError) as error:
        raise CheckpointError(f"{path}: the network cannot be rebuilt: {error}") from error
    return net, {group: groups[group] for group in KEPT}, json.loads(header["training"])


def _read_raw(path):
    """Return the attributes and arrays of a checkpoint after comparing them with its digest."""
    import h5py

    if not Path(path).is_file():
        raise FileNotFoundError(f"{one_line(str(path), 400)}: no such checkpoint")
    try:
        with h5py.File(path, "r") as file:
            header = dict(file.attrs)
            if header.get("format") != FORMAT:
                raise CheckpointError(
                    f"{path}: not a numsnn checkpoint: its format is {header.get('format')!r}, expected {FORMAT!r}"
                )
            groups: dict[str, dict] = {group: {} for group in ("network", *KEPT)}
            for group, arrays in groups.items():
                if group in file:
                    _collect(file[group], "", arrays, h5py)
    except CheckpointError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError and more for damaged files
        raise CheckpointError(f"{path}: not readable as HDF5, or truncated: {error}") from error
    if header.pop("digest", None) != _digest(header, groups):
        raise CheckpointError(f"{path}: damaged: its contents do not match the digest written with them")
    return header, groups


def _collect(group, prefix, arrays, h5py):
    for name, item in group.items():
        if isinstance(item, h5py.Dataset):
            arrays[prefix + name] = item[()]
        else:
            _collect(item, f"{prefix}{name}/", arrays, h5py)


def _digest(header, groups):
    digest = hashlib.sha256(repr(sorted(header.items())).encode())
    for group, arrays in sorted(groups.items()):
        for name, array in sorted(arrays.items()):
            digest.update(f"{group}/{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save(net: Layer, path) -> None:
    """Write a network to one HDF5 file, which `load` reads: its layers, weights, statistics and PDA corrections, and
    which layers are frozen. `Trainer.save` also writes the state of the training.

    Args:
        net: a built network.
        path: path of the file, which is replaced as a whole if it exists.

    Raises:
        TypeError: net is not a network.
        RuntimeError: the network is not built.
        DivergenceError: an array holds NaN or inf; nothing is written.
        OSError: the file cannot be written.
    """
    if not isinstance(net, Layer):
        raise TypeError(f"save: net must be a network; got {type(net).__name__}. Write save(net, path)")
    write(path_of("save: path", path), net)


def load(path, device: str = "cpu") -> Layer:
    """Return the network of a checkpoint, built, with its weights, statistics and PDA corrections.

    Args:
        path: a file written by `save` or `Trainer.save`, or a checkpoint in the folder of a run.
        device: "cpu" (default), "cuda" or "reference".

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointError: the file is not a checkpoint, is damaged, or describes an unknown layer.
    """
    choice("load: device", device, DEVICES)
    return read(path_of("load: path", path))[0].to(device)
