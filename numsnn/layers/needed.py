"""Where gradients matter in a backward pass: masks that go from the neurons to the layers that read their spikes.

It follows from what the layers declare:

- ``fires``: the layer is a neuron. Its backward pass does not use dL/ds where its surrogate cannot see the potential.
- ``reads_spikes``: the layer computes the gradient of its input and can skip elements that are not needed. Its
  ``visible_limit`` is the needed share up to which skipping is faster. During a backward pass its attribute ``needed``
  holds the mask (uint8, of the input's shape), which is 0 where dL/dx may be any number, or None.
- ``passes``: how a mask of needed gradients goes through the layer: "same", "reshape", "window" (for a layer with a
  ``window``, which holds the pairs kernel size, stride and padding), or None if the layer needs the gradient of its
  output everywhere.
"""

import numpy as np

from .shapes import concatenate, pictures


class Source:
    """The origin of a layer's input, as far as it can be traced to spikes: its mask says where the gradient matters."""

    def neurons(self) -> list[tuple]:
        """Return pairs (neuron, number of spikes that one element combines)."""
        raise NotImplementedError

    def mask(self, known: dict):
        """Return where the gradient matters after a stored pass: a mask (uint8), or None for everywhere. A mask that is
        already in known is not computed again."""
        if self not in known:
            known[self] = self.evaluate(known)
        return known[self]

    def evaluate(self, known):
        """Compute the mask from the masks of the sources before this one."""
        raise NotImplementedError


class _Spikes(Source):
    """The output of a neuron."""

    def __init__(self, neuron):
        self.neuron = neuron

    def neurons(self):
        return [(self.neuron, 1)]

    def evaluate(self, known):
        return self.neuron.visible()


class _Through(Source):
    """The output of a layer that reshapes its input or slides a window over it."""

    def __init__(self, layer, before):
        self.layer, self.before = layer, before

    def neurons(self):
        if self.layer.passes == "reshape":
            return self.before.neurons()
        height, width = self.layer.window[0]
        return [(neuron, spikes * height * width) for neuron, spikes in self.before.neurons()]

    def evaluate(self, known):
        before, shape = self.before.mask(known), self.layer.output_shape
        if before is None or self.layer.passes == "reshape":
            return None if before is None else before.reshape(shape)
        window, y = self.layer.window, self.layer.buffer("visible", shape, np.uint8)
        index = self.layer.buffer("any", shape, window.index_dtype())
        self.layer.kernels.max_pool2d_forward(pictures(before), window, pictures(y), pictures(index))
        return y


class _Joined(Source):
    """The output of a container whose parts lie side by side. Its gradient matters wherever that of a part does."""

    def __init__(self, layer, parts):
        self.layer, self.parts = layer, parts

    def neurons(self):
        return [pair for part in self.parts for pair in part.neurons()]

    def evaluate(self, known):
        parts = [part.mask(known) for part in self.parts]
        if any(part is None for part in parts):
            return None
        y, kernels = self.layer.buffer("visible", self.layer.output_shape, np.uint8), self.layer.kernels
        if self.layer.joins == "sum":
            main, side = parts
            kernels.iand_forward(main, side, y)  # a or s = a + (1 - a) s
            kernels.add(main, y, y)
            return y
        concatenate(kernels, parts, y)
        return y


def behind(layer, before: Source | None, readers: list) -> Source | None:
    """Return the source of a layer's output, or None if the gradient of the output is needed everywhere.

    Args:
        layer: the layer or container.
        before: the source of its input.
        readers: list to which the pair (layer, source) of every layer that reads spikes is appended.
    """
    if layer.joins == "chain":
        source = None if layer.sums_steps else before
        for part in layer.parts():
            source = behind(part, source, readers)
        return None if layer.sums_steps else source
    if layer.joins == "graph":
        return _behind_graph(layer, before, readers)
    if layer.joins is not None:
        parts = [before if part is None else behind(part, before, readers) for part in layer.parts()]
        return None if any(part is None for part in parts) else _Joined(layer, parts)
    if layer.reads_spikes and before is not None:
        readers.append((layer, before))
    if layer.fires:
        return _Spikes(layer)
    if layer.passes is None or before is None:
        return None
    return before if layer.passes == "same" else _Through(layer, before)


def _behind_graph(graph, before, readers):
    """Return the source of a graph's output, as `behind` does. With several inputs, nothing is known about them."""
    sources = dict.fromkeys(graph.inputs, None if graph.input_names else before)
    for node in graph.order:
        given = [sources[name] for name in node.sources]
        if node.joins:
            known = all(part is not None for part in given) and (node.what == "concat" or len(given) == 2)
            sources[node.name] = _Joined(graph.joined(node), given) if known else None
        else:
            sources[node.name] = behind(graph.uses[node.name], given[0], readers)
    return sources[graph.order[-1].name]
