"""Checks of arrays that enter a network or go from one layer to the next.

Kernels take arrays in C order, of the network's float dtype or, in a forward pass, of uint8. The layers of the package
return only such arrays and are not checked. What a user's layer returns is converted here, or refused with the name of
the layer.
"""

import numpy as np

from ..errors import DeviceError, ShapeError
from ..portable import on_device
from .inputs import by_name, one_array
from .names import title

SPIKES = np.dtype(np.uint8)


def admit(net, x, memory=None):
    """Check an input from outside and copy it to the network's device.

    Args:
        net, x: the network and its input.
        memory: what an earlier call has returned and nobody needs any more. An array in it is overwritten and returned
            if it has the shape and the dtype of the input. Default None.

    Raises:
        ShapeError: x is not a NumPy array, is empty, or is neither uint8 nor of the network's dtype; or an input of
            several is missing or unknown.
        ValueError: x holds NaN or inf.
    """
    if net.input_names:
        old = memory or {}
        return {name: _admitted(net, part, f" {name!r}", old.get(name)) for name, part in by_name(net, x).items()}
    if type(x) is not np.ndarray:
        one_array(net, x)
    return _admitted(net, x, "", memory)


def _admitted(net, x, which, memory):
    """Check one array and copy it to the network's device; which names it in messages."""
    if not isinstance(x, np.ndarray):
        raise ShapeError(f"{title(net)}: the input{which} must be a NumPy array; got {type(x).__name__}")
    if x.dtype != SPIKES and x.dtype != net.dtype:
        raise ShapeError(
            f"{title(net)}: the input{which} must be {net.dtype} or uint8; got {x.dtype}. Convert it: "
            f"x.astype({str(net.dtype)!r})"
        )
    if 0 in x.shape:
        raise ShapeError(f"{title(net)}: the input{which} is empty: shape {x.shape}")
    if x.dtype != SPIKES and not np.isfinite(x).all():
        bad = tuple(int(k) for k in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(f"{title(net)}: the input{which} holds {x[bad]} at index {bad}; every number must be finite")
    if memory is None or memory.shape != x.shape or memory.dtype != x.dtype:
        return net.kernels.from_host(x, x.dtype)
    net.kernels.put(x, memory)
    return memory


def arriving(net, x):
    """Convert the input of a pass: bool becomes uint8, and other real numbers take the network's dtype."""
    if net.input_names:
        return {name: _arriving(net, part, f" {name!r}") for name, part in by_name(net, x).items()}
    return _arriving(net, x)


def _arriving(net, x, which=""):
    if _fits(net, x, spikes=True):
        return x
    if on_device(x) != (net.device == "cuda"):
        raise DeviceError(
            f"{net.path}: the layer is on {net.device!r}, but its input{which} is not. Call the network itself with a "
            "NumPy array, or copy the input there: net.kernels.from_host(x, net.dtype)"
        )
    return _converted(net, x, f"the input{which}", spikes=True)


def handed_on(layer, y, carried: bool):
    """Convert what ``compute`` returned: bool becomes uint8, and other real numbers take the layer's dtype.

    Args:
        layer: the layer that returned y.
        y: the output of the layer.
        carried: whether the pass is one of several, so that it may have fewer steps than `Layer.infer` says.
    """
    if not _fits(layer, y, spikes=True):
        y = _converted(layer, y, "what compute returns", spikes=True)
    if y.shape != layer.output_shape and not (carried and y.shape[1:] == layer.output_shape[1:]):
        raise ShapeError(_wrong_shape(layer, "what compute returns", layer.output_shape, y))
    return y


def handed_back(layer, dx, what: str = "what propagate returns", shape: tuple[int, ...] | None = None):
    """Convert a gradient to the layer's dtype. Its shape must be that of the layer's input, or shape if it is given."""
    shape = layer.input_shape if shape is None else shape
    if not _fits(layer, dx, spikes=False):
        dx = _converted(layer, dx, what, spikes=False)
    if dx.shape != shape:
        raise ShapeError(_wrong_shape(layer, what, shape, dx))
    return dx


def alike(layers) -> tuple[str, np.dtype]:
    """Return the device and dtype that all these layers share.

    Raises:
        DeviceError: the layers are on different devices.
        ValueError: the layers have different dtypes.
    """
    devices, dtypes = {layer.device for layer in layers}, {layer.dtype for layer in layers}
    if len(devices) > 1:
        raise DeviceError(f"layers of one network must be on one device; got {', '.join(sorted(devices))}")
    if len(dtypes) > 1:
        raise ValueError(f"layers of one network must have one dtype; got {', '.join(sorted(map(str, dtypes)))}")
    return devices.pop(), dtypes.pop()


def _fits(layer, x, spikes):
    """Return whether kernels can take x without a conversion. They also overwrite gradients."""
    if type(x) is np.ndarray:
        flags = x.flags
        if layer.device == "cuda" or not flags.c_contiguous or not flags.writeable:
            return False
    elif layer.device != "cuda" or not on_device(x):
        return False
    return x.dtype == layer.dtype or (spikes and x.dtype == SPIKES)


def _converted(layer, x, what, spikes):
    """Return x in the form that kernels take, or raise a ShapeError that says what x is."""
    wanted = f"{layer.dtype} or uint8" if spikes else str(layer.dtype)
    expected = f"{layer.path} ({type(layer).__name__}): {what} must be an array of {wanted} on {layer.device!r}"
    if layer.device == "cuda":
        raise ShapeError(f"{expected}; got {_told(x)}")
    try:
        array = np.asarray(x)
    except ValueError:  # nested lists of unequal lengths
        raise ShapeError(f"{expected}; got {_told(x)}") from None
    if array.dtype.kind not in "biuf":
        raise ShapeError(f"{expected}; got {_told(x)}")
    keeps = spikes and (array.dtype.kind == "b" or array.dtype == SPIKES)
    return np.require(array, SPIKES if keeps else layer.dtype, ["C_CONTIGUOUS", "WRITEABLE"])


def _told(x):
    """Describe an object for a message."""
    kind = type(x).__name__
    return f"{kind} of shape {x.shape} and dtype {x.dtype}" if hasattr(x, "dtype") else kind


def _wrong_shape(layer, what, shape, x):
    return f"{layer.path} ({type(layer).__name__}): {what} must have shape {shape}; got {x.shape}"
