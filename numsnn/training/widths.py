"""The surrogate widths of a network."""

from ..layers import Layer, Neuron


def widths_of(net: Layer) -> dict[str, float | list[float]]:
    """Return the surrogate width of every neuron layer: a number, or a list if there is one width per channel.
    A network that is not built has none yet."""
    found = {}
    for name, layer in net.named():
        if isinstance(layer, Neuron) and layer.built:
            values = layer.kernels.to_host(layer.width.refresh())
            shared = layer.width.uniform or len(values) == 1
            found[name] = float(values[0]) if shared else [float(v) for v in values]
    return found
