"""Putting saved arrays into a network."""

from ..errors import ShapeError


def load_state(net, state):
    """See `Layer.load_state`."""
    parameters = dict(net.parameters())
    expected = set(parameters) | set(net.statistics())
    if missing := expected - set(state):
        raise ShapeError(f"{net.path}.load_state: {sorted(missing)[0]!r} is missing")
    if unknown := set(state) - expected:
        raise ShapeError(f"{net.path}.load_state: {sorted(unknown)[0]!r} is not part of this network")
    expected = {name: p.value.shape for name, p in parameters.items()}
    expected |= {name: value.shape for name, value in net.statistics().items()}
    growing = {f"{layer.path}.{name}" for layer in net.walk() for name in layer.growing_statistics}
    for name, shape in expected.items():
        free = 1 if name in growing else 0  # a correction may have been tracked for any number of steps
        if len(state[name].shape) != len(shape) or state[name].shape[free:] != shape[free:]:
            raise ShapeError(f"{net.path}.load_state: {name!r} must have shape {shape}; got {state[name].shape}")
    for name, p in parameters.items():
        p.value = net.kernels.from_host(state[name], net.dtype)
    for layer in net.walk():
        for name in layer.own_statistics():
            layer.set_statistic(name, state[f"{layer.path}.{name}"])
