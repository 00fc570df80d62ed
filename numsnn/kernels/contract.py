"""The contract: the names of the functions that every device must have, by room.

A room is a module of the same name on every device. The modules of `reference` document the functions. `for_device`
collects the functions of one device by this list, and raises an error if one of them is missing.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError
from ..names import choice

DEVICES = ("reference", "cpu", "cuda")

ROOMS = {
    "activity": ("add_affine", "add_row", "rate_band", "rate_power"),
    "array": ("copy", "empty", "feed", "fill", "from_host", "put", "to_host", "zeros"),
    "bits": ("pack_bits", "unpack_bits"),
    "conv": (
        "active_inputs",
        "conv2d_backward_input",
        "conv2d_backward_weight",
        "conv2d_forward",
        "lacks",
        "visible_limit",
    ),
    "dropout": ("dropout",),
    "elementwise": (
        "add",
        "and_backward",
        "and_forward",
        "concat",
        "delay_backward",
        "delay_forward",
        "iand_backward",
        "iand_forward",
        "relu_backward",
        "relu_forward",
        "repeat",
        "split",
        "sum_steps",
    ),
    "encode": ("poisson",),
    "groupnorm": ("groupnorm_backward", "groupnorm_forward"),
    "integrator": ("integrator_backward", "integrator_forward"),
    "linear": ("bias_backward", "linear_backward_input", "linear_backward_weight", "linear_forward"),
    "loss": (
        "first_spike_cross_entropy",
        "max_membrane_cross_entropy",
        "membrane_mse",
        "pointwise",
        "rate_cross_entropy",
        "spike_count_mse",
        "temporal_cross_entropy",
    ),
    "neuron": ("neuron_backward", "neuron_forward", "neuron_reset"),
    "norm": (
        "batchnorm_backward",
        "batchnorm_factor",
        "batchnorm_fold",
        "batchnorm_forward",
        "moments",
        "running_update",
        "scale_steps_backward",
        "scale_steps_forward",
    ),
    "optim": ("adam_update", "scale", "sgd_update", "sum_squares"),
    "padding": ("clear_rows", "gather_rows", "scatter_rows"),
    "parametrise": (
        "free_backward",
        "free_forward",
        "positive_backward",
        "positive_forward",
        "unit_backward",
        "unit_forward",
    ),
    "pda": ("divergence", "merge_steps", "normalised_moments", "shift_update", "window_width"),
    "pool": ("max_pool2d_backward", "max_pool2d_forward", "sum_pool2d_backward", "sum_pool2d_forward"),
    "recurrent": ("recurrent_backward", "recurrent_forward"),
}
"""Name of a room -> names of its functions."""


class Device:
    """The functions of one device as attributes: ``kernels.neuron_forward`` and so on.

    Copying or pickling a `Device` stores its name only.

    Args:
        name: "reference", "cpu" or "cuda".

    Raises:
        ImportError: the device lacks a room or a function of the contract.
    """

    def __init__(self, name: str):
        self.name = name
        for room, functions in ROOMS.items():
            module = import_module(f"{__package__}.{name}.{room}")
            for function in functions:
                if not hasattr(module, function):
                    raise ImportError(f"kernels/{name}/{room}.py lacks {function}, which kernels/contract.py promises")
                setattr(self, function, getattr(module, function))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __reduce__(self):
        return for_device, (self.name,)

    def __repr__(self):
        return f"<kernels of {self.name!r}>"


def for_device(device: str) -> Device:
    """The kernels of one device. They are imported at the first call.

    Args:
        device: "reference", "cpu" or "cuda".

    Raises:
        ValueError: `device` is any other name.
        DeviceError: there is no CUDA device, a package that CUDA needs is not installed, or `device` is "cpu" and
            Numba must not compile.
    """
    choice("device", device, DEVICES)
    if device == "cuda":
        import_module(f"{__package__}.cuda.run.api").require_device()
    return _device(device)


@cache
def _device(name):
    if name == "cpu":
        from numba import config

        if config.DISABLE_JIT:
            raise DeviceError(
                "device 'cpu': its kernels have to be compiled, but NUMBA_DISABLE_JIT is set; unset it, or use "
                "device='reference', which is plain NumPy"
            )
    return Device(name)
