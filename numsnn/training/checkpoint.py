"""Checkpoints: one file with a network and the state of its training. Nothing is pickled.

    /network/NAME            every parameter and statistic, by full name
    /optimizer/NAME/SLOT     every moment of the optimiser
    /callbacks/NAME          arrays of callbacks, such as averaged weights
    attributes               format, numsnn_version, description (JSON), dtype, input_shape (JSON), training (JSON), and
                             frozen (JSON), the names of frozen layers, if there are any

A checkpoint is a sealed HDF5 file (see `numsnn.hdf5`), in which every changed bit is found. It is written under a
temporary name in the same folder, flushed to the disk and renamed. Its path therefore always holds a complete
checkpoint, the old one or the new one. Files of earlier versions, of the format "numsnn checkpoint 1", have no seal but
the attribute digest, and are read, too.
"""

import hashlib
import json

import numpy as np

from ..errors import CheckpointError, DivergenceError
from ..hdf5 import Damage, opened, sealing
from ..kernels import DEVICES
from ..layers import Layer
from ..layers.allowance import at_most
from ..names import choice
from ..plain_json import parsed
from ..shown import MESSAGE, one_line
from ..validate import path_of
from ..version import __version__

FORMAT = "numsnn checkpoint 2"
OLD_FORMAT = "numsnn checkpoint 1"
KEPT = ("optimizer", "callbacks")
"""Groups of arrays beside the network."""
NEEDED = ("description", "dtype", "input_shape", "training")
"""Attributes beside the format that every checkpoint has."""
DTYPES = ("float32", "float64")


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
        ValueError: its containers lie too deep inside each other.
        OSError: the file cannot be written.
    """
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
    try:
        parsed(header["description"])
    except ValueError as error:
        raise ValueError(f"{path} was not written: the network's {error}") from error
    with sealing(path, header) as file:
        for group, members in groups.items():
            for name, array in members.items():
                file.put(f"{group}/{name}", array)


def read(path) -> tuple[Layer, dict[str, dict[str, np.ndarray]], dict | None]:
    """Return the network, the arrays of the groups in `KEPT`, and the training state of a checkpoint.

    Raises:
        FileNotFoundError: the file does not exist.
        OSError: the file cannot be read, or the path does not lead to a file.
        CheckpointError: the file is not a checkpoint, is truncated or damaged, or describes an unknown layer.
    """
    try:
        header, groups = _read_raw(path)
        training = parsed(header["training"])
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such checkpoint") from None
    except ValueError as error:  # a `Damage`, or a text that is no JSON
        raise CheckpointError(f"{path}: {one_line(str(error), MESSAGE)}") from error
    if not isinstance(training, dict | None):
        raise CheckpointError(f"{path}: the training state must be an object; found {type(training).__name__}")
    try:
        net = _rebuilt(header, groups["network"])
    except Exception as error:  # what classes raise for arguments of a wrong kind is not foreseeable
        reason = f"{type(error).__name__} " if isinstance(error, LookupError | RecursionError | MemoryError) else ""
        raise CheckpointError(
            f"{path}: the network cannot be rebuilt: {reason}{one_line(str(error), MESSAGE)}"
        ) from error
    return net, {group: groups[group] for group in KEPT}, training


def _rebuilt(header, arrays):
    """Return the network of a checkpoint. No array is made that is larger than those in the file."""
    net = Layer.from_description(parsed(header["description"]))
    if not isinstance(net, Layer):
        raise TypeError(f"{type(net).__name__} is no layer")
    if header["dtype"] not in DTYPES:
        raise ValueError(f"the dtype must be float32 or float64; found {header['dtype']!r}")
    net.to(dtype=header["dtype"])
    shape = parsed(header["input_shape"])
    with at_most(sum(array.size for array in arrays.values())):
        net.build(shape)
    kinds = dict.fromkeys((name for name, _ in net.parameters()), np.dtype(net.dtype))
    kinds |= {name: mine.dtype for name, mine in net.statistics().items()}
    for name, kind in kinds.items():
        if name in arrays:  # `load_state` names what is missing
            _need_alike(name, arrays[name], kind)
    net.load_state(arrays)
    frozen = parsed(header.get("frozen", "[]"))
    if not isinstance(frozen, list):
        raise TypeError(f"frozen must be a list of names; found {frozen!r}")
    net.freeze_only(frozen)
    return net


def _need_alike(name, array, kind):
    """Refuse an array of another kind of dtype than that of the network, or with numbers that its dtype cannot hold.
    `load_state` refuses numbers that are not finite."""
    if array.dtype.kind != kind.kind:
        raise TypeError(f"{name!r} must be {kind}; found {array.dtype}")
    if array.dtype != kind and kind.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            bad = ~np.isfinite(array.astype(kind))
        if bad.any():
            raise ValueError(f"{name!r} must be finite as {kind}; found {array[bad][0]!s}")
    if name.endswith(".var") and array.size and array.min() < 0:
        raise ValueError(f"{name!r} must hold variances of at least 0; found {array.min()!s}")


def _read_raw(path):
    """Return the attributes and arrays of a checkpoint, which are those that were written."""
    with opened(path) as file:
        header = dict(file.attributes)
        wanted = FORMAT if file.sealed else OLD_FORMAT
        if header.get("format") != wanted:
            hint = (
                ". Its seal is missing: another program has written it anew" if header.get("format") == FORMAT else ""
            )
            found = header.get("format")
            raise Damage(f"not a numsnn checkpoint: its format is {found!r}, expected {wanted!r}{hint}")
        groups: dict[str, dict] = {group: {} for group in ("network", *KEPT)}
        for full in file.names():
            group, _, name = full.partition("/")
            if group not in groups or not name:
                raise Damage(f"it holds an array {full!r}, which belongs to no checkpoint")
            groups[group][name] = file[full][()]
    if not file.sealed and header.pop("digest", None) != _digest(header, groups):
        raise Damage("damaged: its contents do not match the digest written with them")
    for key in NEEDED:
        if not isinstance(header.get(key), str):
            raise Damage(f"damaged: it must have a text {key!r}; found {header.get(key)!r}")
    for group in KEPT:
        for name, array in groups[group].items():
            if not np.isfinite(array).all():
                raise Damage(f"{group} array {name!r} holds numbers that are not finite")
    return header, groups


def _digest(header, groups):
    """Return the digest of a checkpoint without a seal."""
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
