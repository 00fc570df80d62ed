"""Checkpoints: one HDF5 file with everything a network, and a run, is made of. Nothing is pickled.

    /network/NAME            every parameter and statistic, by full name
    /optimizer/NAME/SLOT     every moment of the optimiser
    attributes               format, numsnn_version, description (JSON), input_shape, training (JSON), digest

A file is written beside its place under a temporary name, flushed to the disk and renamed: whatever happens, the place
holds a whole checkpoint or the one before. The digest covers every array and attribute: damage does not go unseen.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from ..errors import CheckpointError, DivergenceError, ShapeError
from ..files import replacing
from ..layers import Layer
from ..version import __version__

FORMAT = "numsnn checkpoint 1"


def write(path, net: Layer, optimizer_arrays=None, training=None) -> None:
    """Write a checkpoint.

    Args:
        path: of the file; replaced if it exists.
        net: a built network.
        optimizer_arrays: moments by "parameter/slot".
        training: what a trainer needs to go on, as plain data.

    Raises:
        DivergenceError: an array holds NaN or inf; nothing is written.
        OSError: the place cannot be written to.
    """
    import h5py

    if not net.built:
        raise RuntimeError(f"{path}: the network is not built yet; call net.build(shape) or run it once first")
    groups = {"network": net.state(), "optimizer": optimizer_arrays or {}}
    for group, arrays in groups.items():
        for name, array in arrays.items():
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
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for group, arrays in groups.items():
            for name, array in arrays.items():
                file.create_dataset(f"{group}/{name}", data=array)
        file.attrs.update(header | {"digest": _digest(header, groups)})


def read(path) -> tuple[Layer, dict[str, np.ndarray], dict | None]:
    """The network, the optimiser's arrays and the training data of a checkpoint.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not a checkpoint, is truncated or damaged, or describes layers nobody has defined.
    """
    header, groups = _read_raw(path)
    try:
        net = Layer.from_description(json.loads(header["description"])).to(dtype=header["dtype"])
        net.build(tuple(json.loads(header["input_shape"])))
        net.load_state(groups["network"])
    except (ValueError, TypeError, ShapeError) as error:
        raise CheckpointError(f"{path}: the network cannot be rebuilt: {error}") from error
    return net, groups["optimizer"], json.loads(header["training"])


def _read_raw(path):
    """Attributes and arrays of a checkpoint, checked against its digest."""
    import h5py

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        with h5py.File(path, "r") as file:
            header = dict(file.attrs)
            if header.get("format") != FORMAT:
                raise CheckpointError(
                    f"{path}: not a numsnn checkpoint: its format is {header.get('format')!r}, expected {FORMAT!r}"
                )
            groups: dict[str, dict] = {"network": {}, "optimizer": {}}
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


def load(path, device: str = "cpu") -> Layer:
    """The network of a checkpoint, built and with its weights, statistics and PDA corrections.

    Args:
        path: a file written by `Trainer.save` or found in a run's folder.
        device: target to put it on. Default "cpu".

    Raises:
        FileNotFoundError, CheckpointError: no such file; not a checkpoint, damaged, or made of unknown layers.
    """
    return read(path)[0].to(device)
