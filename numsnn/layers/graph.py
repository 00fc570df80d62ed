"""Graphs of layers: several inputs, shared layers, and paths that part and join under names."""

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import ShapeError
from .base import Layer
from .container import Container
from .graph_nodes import Node, input_names, read
from .inputs import by_name
from .names import check_disjoint
from .shapes import concatenate, rows
from .sharing import another_use, connect, hand_out, take_over


class _Sizes(NamedTuple):
    """What a `Graph` keeps for its backward pass: the shape of every input and of every node's output, by name."""

    shapes: dict


class Joined:
    """The output of a node that joins others, as a plan looks at it.

    Attributes:
        joins: "channels" for nodes that concatenate, "sum" for nodes that add.
    """

    def __init__(self, graph, node: Node):
        self._graph, self._node = graph, node
        self.joins = "channels" if node.what == "concat" else "sum"

    @property
    def kernels(self):
        """The kernels of the graph."""
        return self._graph.kernels

    @property
    def output_shape(self):
        """The shape of the output in the last stored pass."""
        return self._graph.kept.shapes[self._node.name]

    def buffer(self, name, shape, dtype):
        """Return a buffer of the graph that belongs to this node."""
        return self._graph.buffer(f"{self._node.name}: {name}", shape, dtype)


class Graph(Container):
    """A network of named nodes, for several inputs, for layers that are used several times, and for paths that part
    and join. For layers that follow one another, `Sequential` is shorter.

        net = snn.Graph(
            inputs=("eye", "ear"),
            nodes={
                "seen": (snn.Sequential(snn.Conv2d(2, 8, 3), snn.LIF(), snn.Flatten()), "eye"),
                "heard": (snn.Sequential(snn.Linear(40, 30), snn.LIF()), "ear"),
                "both": ("concat", "seen", "heard"),
                "readout": (snn.Linear(8 * 6 * 6 + 30, 10), "both"),
            },
        ).build({"eye": (4, 16, 8, 8, 2), "ear": (4, 16, 40)})
        net({"eye": frames, "ear": spectra})  # or net((frames, spectra)), in the order of the inputs

    A node is a tuple. ``(layer, name)`` gives an input or the output of another node to a layer or network;
    ``("concat", name, name, ...)`` concatenates along the channels, and ``("add", name, name, ...)`` adds. All other
    extents of what is concatenated, and all extents of what is added, must be equal. A concatenation of spikes gives
    spikes (uint8); everything else that is joined has the network's float dtype.

    A layer is used again if several nodes hold it, or if a node holds the name of the node with the layer:
    ``"right": ("left", "right picture")``. All uses have the same parameters and statistics. Gradients are summed over
    the uses, in training each of them updates the statistics in its turn, and each has its own potentials, dropped
    features and carried state. The parameters have the name of the node that holds the layer first.

    With one input the graph takes and returns arrays as every layer does, so that it may stand within other networks.
    With several inputs it must be the whole network or the first layer of a `Sequential`; `backward` then returns a
    dict of gradients. A batch normalisation is fused with a neuron behind it only within a `Sequential`.

    The output of the graph is that of the node that no other node reads.

    Args:
        inputs: names of the inputs, at least one.
        nodes: a dict from the names of the nodes to the tuples, in any order.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        TypeError: inputs, nodes or a node have another form.
        ValueError: a name is unknown, given twice or not allowed; no node reads an input; several nodes are not read;
            nodes form a circle; or a layer is part of several nodes.
        ShapeError: on building, an input is missing, inputs differ in the number of samples, or shapes cannot be
            joined.
    """

    joins = "graph"

    def __init__(self, inputs: Sequence[str], nodes: dict[str, tuple], name: str | None = None):
        super().__init__(name)
        self.inputs = input_names(inputs)
        self.order = read(self.inputs, nodes)
        held = {node.name: node.what for node in self.order if isinstance(node.what, Layer)}
        check_disjoint(list(held.values()), "Graph: nodes")
        self.uses = {
            node.name: held[node.name] if node.name in held else another_use(held[node.what])
            for node in self.order
            if not node.joins
        }
        placed = {node.name: (node.what, *node.sources) for node in self.order}
        self.nodes = {name: placed[name] for name in nodes}
        self.contain(list(self.uses.items()))

    def __setstate__(self, state):
        super().__setstate__(state)
        connect(self)

    def rebuild(self, chain, part):
        nodes = {
            name: (part(what) if isinstance(what, Layer) else what, *sources)
            for name, (what, *sources) in self.nodes.items()
        }
        return Graph(self.inputs, nodes, name=self.name)

    # --- inputs and shapes ---

    @property
    def input_names(self):
        return self.inputs if len(self.inputs) > 1 else ()

    @property
    def picture_inputs(self):
        return tuple(name for name in self.inputs if self._takes_pictures(name))

    @property
    def takes_pictures(self):
        return len(self.picture_inputs) == len(self.inputs)

    def _takes_pictures(self, name):
        """Return whether what reads an input or node takes pictures without a time axis."""
        readers = [node for node in self.order if name in node.sources]
        return bool(readers) and all(
            self._takes_pictures(node.name) if node.joins else self.uses[node.name].takes_pictures for node in readers
        )

    def _by_name(self, given):
        """Return arrays or shapes by the names of the inputs."""
        return dict(by_name(self, given, "shape")) if self.input_names else {self.inputs[0]: given}

    def infer(self, shape):
        shapes = self._by_name(shape)
        self._check_samples(shapes)
        for node in self.order:
            if node.joins:
                shapes[node.name] = self._joined_shape(node, [shapes[source] for source in node.sources])
            else:
                shapes[node.name] = self.uses[node.name].infer(shapes[node.sources[0]])
        self._check_uses(shapes)
        return shapes[self.order[-1].name]

    def _check_uses(self, shapes):
        """Refuse several uses of a layer with other channels, before the first of them is built."""
        given: dict[Layer, dict] = {}
        for node in self.order:
            if not node.joins:
                layer = self.uses[node.name]
                given.setdefault(layer.origin or layer, {})[node.name] = shapes[node.sources[0]]
        for found in given.values():
            if len({shape[-1] for shape in found.values()}) > 1:
                listed = ", ".join(f"{name} {shape}" for name, shape in found.items())
                raise ShapeError(f"{self.path} (Graph): all uses of one layer must get the same channels; got {listed}")

    def _check_samples(self, shapes):
        pictures = self.picture_inputs
        samples = {name: shape[:1] if name in pictures else shape[1:2] for name, shape in shapes.items()}
        if len(set(samples.values())) > 1:
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise ShapeError(f"{self.path} (Graph): all inputs must have the same number of samples; got {listed}")

    def _joined_shape(self, node, shapes):
        in_parts = self.plan is not None and self.plan.part is not None
        first = 1 if in_parts else 0  # a `Repeat` then repeats its picture less often than its `infer` says
        last = -1 if node.what == "concat" else None
        if len({shape[first:last] for shape in shapes}) > 1:
            listed = ", ".join(f"{name} {shape}" for name, shape in zip(node.sources, shapes, strict=True))
            may = "may differ only in channels" if node.what == "concat" else "must have one shape"
            raise ShapeError(f"{self.path} (Graph): what {node.name} ({node.what}) joins {may}; got {listed}")
        return shapes[0] if node.what == "add" else (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def construct(self, shape, rng):
        self.infer(shape)  # refuses a shape that does not fit before any parameter is made
        shapes = self._by_name(shape)
        for node in self.order:
            if node.joins:
                shapes[node.name] = self._joined_shape(node, [shapes[source] for source in node.sources])
                continue
            use, given = self.uses[node.name], shapes[node.sources[0]]
            self._build_original(use, given, rng)
            use.construct(given, rng)
            shapes[node.name] = use.output_shape
        self.input_shape, self.output_shape = shape, shapes[self.order[-1].name]

    def _build_original(self, use, shape, rng):
        """Build the layer of which this is a further use, if it is one, and take over what it has made."""
        if use.origin is None:
            return
        if not use.origin.built:
            use.origin.construct(shape, rng)
        for layer in use.tree():
            take_over(layer, layer.origin)
            if not layer.built:
                layer.input_shape, layer.output_shape = layer.origin.input_shape, layer.origin.output_shape

    # --- passes ---

    def joined(self, node: Node) -> Joined:
        """Return the output of a node that joins others, for a plan."""
        return Joined(self, node)

    def compute(self, x, mode):
        found = dict(x) if self.input_names else {self.inputs[0]: x}
        for node in self.order:
            given = [found[source] for source in node.sources]
            found[node.name] = self._join(node, given) if node.joins else self._use(node, given[0], mode)
        if mode.store:
            self.kept = _Sizes({name: array.shape for name, array in found.items()})
        return found[self.order[-1].name]

    def _use(self, node, x, mode):
        """Return the output of a layer for x; what the pass has tracked is then that of all uses of the layer."""
        layer = self.uses[node.name]
        y = layer.forward(x, mode)
        if layer.origin is not None or layer.further_uses:
            for inside in layer.tree():
                hand_out(inside)
        return y

    def _join(self, node, parts):
        first, *others = parts
        shape = self._joined_shape(node, [part.shape for part in parts])
        if node.what == "concat":
            alike = len({part.dtype for part in parts}) == 1
            y = self.buffer(node.name, shape, first.dtype if alike else self.dtype)
            concatenate(self.kernels, parts, y)
            return y
        y = self.buffer(node.name, shape)
        for part in others:
            self.kernels.add(first, part, y)
            first = y
        return y

    def propagate(self, dy, need_dx):
        needed = self._needed(need_dx)
        waiting = {self.order[-1].name: dy}
        done: set[Layer] = set()
        for node in reversed(self.order):
            if not needed[node.name]:
                continue
            dy, sources = waiting.pop(node.name), [source for source in node.sources if needed[source]]
            if node.joins:
                parts = self._part(node, dy, sources)
            else:
                dx = self._use_back(self.uses[node.name], dy, bool(sources), done)
                parts = dict.fromkeys(sources, dx)
            for source, part in parts.items():
                self._collect(waiting, source, part, node.name)
        if not need_dx:
            return None
        return {name: waiting[name] for name in self.inputs} if self.input_names else waiting[self.inputs[0]]

    def _needed(self, need_dx):
        """Return for every input and node whether the gradient of its output is needed."""
        needed = dict.fromkeys(self.inputs, need_dx)
        for node in self.order:
            learns = not node.joins and self.uses[node.name] in self.plan.learning
            needed[node.name] = learns or any(needed[source] for source in node.sources)
        return needed

    def _part(self, node, dy, sources):
        """Return the gradients of those sources of a join that need one."""
        pool, shapes = self.plan.pool, self.kept.shapes
        if node.what == "add":
            for _ in sources[1:]:
                pool.hold(dy)  # all of them use dy
            return dict.fromkeys(sources, dy)
        parts, first = {}, 0
        for source in node.sources:
            if source in sources:
                parts[source] = part = self.gradient(shapes[source], f"{node.name}: {source}")
                self.kernels.split(rows(dy), first, rows(part))
            first += shapes[source][-1]
        pool.give(dy)
        return parts

    def _use_back(self, layer, dy, need_dx, done):
        """Return dL/dx of one use of a layer, and add the gradients of its parameters to those of the uses before."""
        original = layer.origin or layer
        parameters: dict = {}
        if original in done:
            learning = [inside for inside in layer.tree() if not inside._frozen]
            parameters = {id(p): p for inside in learning for p in inside.own_parameters()}
        done.add(original)
        before = []
        for k, p in enumerate(parameters.values()):
            before.append(self.buffer(f"gradient {k}", p.grad.shape))
            self.kernels.copy(p.grad, before[-1])
        dx = layer.backward(dy, need_dx)
        for p, grad in zip(parameters.values(), before, strict=True):
            self.kernels.add(p.grad.reshape(-1), grad.reshape(-1), p.grad.reshape(-1))
        return dx

    def _collect(self, waiting, name, part, reader):
        """Add the gradient that a reader of an input or node hands back to those of its other readers."""
        before = waiting.get(name)
        if before is None:
            waiting[name] = part
            return
        waiting[name] = self.gradient(part.shape, f"{name} for {reader}")
        self.kernels.add(before, part, waiting[name])
        self.plan.pool.give(before)
        self.plan.pool.give(part)
