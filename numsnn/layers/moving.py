"""Moving a network to another device or float dtype."""

from ..kernels import for_device
from ..validate import float_dtype
from .names import title
from .plan import plan_of
from .sharing import hand_out, uses


def to(net, device: str | None = None, dtype=None) -> None:
    """See `Layer.to`."""
    device = net.device if device is None else device
    dtype = net.dtype if dtype is None else float_dtype(f"{title(net)}.to: dtype", dtype)
    kernels = for_device(device)
    for _, layer in plan_of(net).owners:
        layer.move(kernels, dtype)
        layer.device, layer.dtype = device, dtype
        hand_out(layer)
        for use in uses(layer):
            use._kernels = kernels
            use._buffers, use._views, use._fixed = {}, {}, {}
            use.kept = use.output = use.input_gradient = None
            if use.plan is not None:
                use.plan.pool.clear()
    plan_of(net).adopt()


def move(layer, kernels, dtype) -> None:
    """See `Layer.move`."""
    statistics = {name: layer.kernels.to_host(value) for name, value in layer.own_statistics().items()}
    for p in layer.own_parameters():
        p.move(kernels, layer.kernels, dtype)
    layer._kernels, layer.dtype = kernels, dtype
    for name, value in statistics.items():
        layer.set_statistic(name, value)
