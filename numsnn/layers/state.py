"""The parameters and statistics of a network by their full names, as a checkpoint stores them."""

from ..errors import ShapeError
from .names import title


def parameters(net) -> list[tuple]:
    """See `Layer.parameters`."""
    return [(f"{name}.{p.name}", p) for name, layer in net.named() for p in layer.own_parameters()]


def trainable(net) -> list[tuple]:
    """See `Layer.trainable`."""
    return [(f"{name}.{p.name}", p) for name, layer in net.named() if not layer._frozen for p in layer.own_parameters()]


def statistics(net) -> dict:
    """See `Layer.statistics`."""
    return {
        f"{name}.{key}": layer.kernels.to_host(value)
        for name, layer in net.named()
        for key, value in layer.own_statistics().items()
    }


def state(net) -> dict:
    """See `Layer.state`."""
    return {name: net.kernels.to_host(p.value) for name, p in parameters(net)} | statistics(net)


def load_state(net, given) -> None:
    """See `Layer.load_state`."""
    trained, tracked = dict(parameters(net)), statistics(net)
    expected = {name: p.value.shape for name, p in trained.items()}
    expected |= {name: value.shape for name, value in tracked.items()}
    if missing := set(expected) - set(given):
        raise ShapeError(f"{title(net)}.load_state: {sorted(missing)[0]!r} is missing")
    if unknown := set(given) - set(expected):
        raise ShapeError(f"{title(net)}.load_state: {sorted(unknown)[0]!r} is not part of this network")
    growing = {f"{name}.{key}" for name, layer in net.named() for key in layer.growing_statistics}
    for name, shape in expected.items():
        free = 1 if name in growing else 0  # the first extent of a correction is the number of tracked steps
        if len(given[name].shape) != len(shape) or given[name].shape[free:] != shape[free:]:
            raise ShapeError(f"{title(net)}.load_state: {name!r} must have shape {shape}; got {given[name].shape}")
    for name, p in trained.items():
        p.place(net.kernels.from_host(given[name], net.dtype), p.grad)
    for name, layer in net.named():
        for key in layer.own_statistics():
            layer.set_statistic(key, given[f"{name}.{key}"])
