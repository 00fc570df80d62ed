"""The plan of a network: names of its layers, fused layers, where gradients matter, and memory for gradients.

A plan is made once per network from what the layers declare:

- ``fires``, ``reads_spikes`` and ``passes``: where the gradient of a layer's input matters (see `needed`).
- ``joins`` and ``parts()``: how a container combines the layers inside it.
- ``hands_over`` and ``takes_over``: which neighbouring layers can be fused (see `fused`).

The plan of the outermost network applies to a pass. A layer may be part of several networks: if a pass enters through
another network than the pass before, the plan of that network takes over.
"""

from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from threading import get_ident

from . import borders, carry, sharing
from .fused import Pair, stages
from .inputs import steps_of_part
from .memory import Pool
from .mode import Mode
from .names import names_of
from .needed import behind
from .padding import Padding, padding_of
from .recompute import Chain, Dropped, dropped, drops, memory_for
from .turn import join, taken


class Plan:
    """The decisions and the memory that all layers of a network share in a pass.

    Attributes:
        net: the network.
        named: pairs (full name, layer) of the network and of all layers in it.
        pool: memory for gradients.
        entered: whether the network was built or used as a whole.
        running: the thread in which a pass is running (`threading.get_ident`), or None.
        stored_by: the thread that made the last forward pass, or None.
        part: number of steps of the running pass, if it is one of several that go through a sequence; otherwise None.
        inspected: whether the last pass kept the results of every layer (`Mode.inspect`).
        learning: the layers and pairs of fused layers that a backward pass must reach, because it has something to
            compute in them besides the gradient of their input. After a pass that kept the results of every layer, this
            is every layer.
        padding: which steps of the last pass are real, if there is padding (`Mode.lengths`); otherwise None.
        lean: whether the last pass dropped outputs inside the network (`Mode.recompute`).
        active, active_of: the list of active inputs that all layers share in such a pass, and the layer whose inputs
            were listed last.
    """

    def __init__(self, net):
        self.net, self.named, self.pool = net, names_of(net), Pool()
        join([layer for _, layer in self.named])
        self.entered = self.inspected = self.lean = False
        self.running: int | None = None
        self.stored_by: int | None = None
        self.part: int | None = None
        self.learning: set = set()
        self.padding: Padding | None = None
        self.active = self.active_of = None
        self._learning_for: tuple | None = None
        self._behind_learning: set = set()
        self._form = None

    @cached_property
    def stages(self) -> dict:
        """For every container whose layers follow one another: its layers, with a `Pair` for two fused ones."""
        return {layer: stages(layer.parts()) for _, layer in self.named if layer.joins == "chain"}

    @cached_property
    def read_once(self) -> set:
        """Every `Repeat` that stands in front of a neuron whose kernels read one step for all: those that also compute
        a normalisation."""
        neighbours = [pair for passed in self.stages.values() for pair in pairwise(passed)]
        return {
            one
            for one, behind in neighbours
            if getattr(one, "sums_steps", False) and getattr(behind, "takes_over", None) == "normalisation"
        }

    @cached_property
    def dropped(self) -> Dropped:
        """What a pass with `Mode.recompute` drops."""
        return dropped(self)

    @cached_property
    def stepped(self) -> list[tuple]:
        """Pairs (full name, layer) of the layers that go through the steps of a sequence: see `carry.stepped`."""
        return carry.stepped(self.net)

    @cached_property
    def declared(self) -> bool:
        """Whether all layers declare whether they carry a state from step to step."""
        return not carry.undeclared(self.net)

    @cached_property
    def owners(self) -> list[tuple]:
        """Pairs (full name, layer) of the layers to which parameters and statistics belong: see `sharing.owners`."""
        return sharing.owners(self.named)

    @cached_property
    def draws(self) -> bool:
        """Whether a layer may draw random numbers from the seed of a pass."""
        return any(layer.draws or layer.foreign for _, layer in self.named)

    @cached_property
    def readers(self) -> list[tuple]:
        """Pairs (layer that reads spikes, `needed.Source` of the mask for its input)."""
        found: list[tuple] = []
        behind(self.net, None, found)
        return found

    @cached_property
    def asked(self) -> dict:
        """For every neuron: pairs (layer that reads its spikes, number of spikes that one input element combines)."""
        found: dict = {}
        for layer, source in self.readers:
            for neuron, spikes in source.neurons():
                found.setdefault(neuron, []).append((layer, spikes))
        return found

    # --- passes that enter from outside ---

    def forward(self, x, mode: Mode):
        """Return the network's output for x."""
        with taken(self.net):
            return self.forward_admitted(x, mode, admitted=False)

    def forward_admitted(self, x, mode: Mode, admitted: bool = True):
        """Return the network's output for x, for a caller that has the network's turn.

        Args:
            x: an input that `admit` returned or, if admitted is false, any one.
            mode: the mode of the pass.
            admitted: see x. Default True.
        """
        if mode.carried is not None and not self.declared:
            carry.need_declarations(self.net, "a pass that is carried on")
        self.entered = True
        self.adopt()
        if not admitted:
            x = borders.arriving(self.net, x)
        self.padding = None if mode.lengths is None else padding_of(self.net, x, mode)
        if self.padding is None and mode.lengths is not None:  # all sequences are whole
            mode = replace(mode, lengths=None)
        part = None if mode.carried is None else steps_of_part(self.net, x)
        self.lean = drops(mode, self.padding)
        self.pool = memory_for(self.pool, mode, self.lean)
        try:
            self.inspected, self.running, self.part = mode.inspect, get_ident(), part
            self.stored_by = self.running
            y = self.net.forward(x, mode)
        except BaseException:
            if self.lean:  # outputs that no layer has given back
                self.pool.recall()
            raise
        finally:
            self.running = self.part = None
        if mode.carried is not None:
            carry.need_states(self.stepped, mode.carried)
        return y

    def backward(self, dy, need_dx: bool):
        """Return dL/dx for dL/dy of the network's last stored pass."""
        with taken(self.net):
            return self._backward(dy, need_dx)

    def _backward(self, dy, need_dx):
        net = self.net
        if self.stored_by not in (None, get_ident()):
            raise RuntimeError(
                f"{net.path}.backward: the last forward pass was made by another thread; repeat it in this thread, or "
                "give every thread a network of its own, made with net.copy() before the threads start"
            )
        need_stored(net)
        if away := [name for name, layer in self.named if layer.plan is not self]:
            raise RuntimeError(
                f"{net.path}.backward: {away[0]} has been used by another network since the forward pass; repeat that"
            )
        dy = borders.handed_back(net, dy, "dL/dy", net.output_shape)
        self.pool.recall()
        if self.lean:
            for container in self.stages:
                if isinstance(container.kept, Chain):
                    container.kept.forget()
        self._find_learning()
        masks: dict = {}
        for layer, source in self.readers:
            reached = need_dx or layer in self._behind_learning
            layer.needed = source.mask(masks) if reached and not self.inspected else None
        self.running = get_ident()
        try:
            net.input_gradient = net.backward(dy, need_dx)
        except BaseException:
            if self.lean:  # what was restored may lie in memory that is used for something else
                net.kept = None
            raise
        finally:
            self.running = None
        return net.input_gradient

    def _find_learning(self):
        """Find the layers and pairs that the next backward pass must reach, unless nothing has changed since the last
        one."""
        state = self.inspected, *[layer._frozen for _, layer in self.named]
        if state == self._learning_for:
            return
        self._learning_for = state
        found = {layer for _, layer in self.named if self.inspected or layer.learns()}
        for _, layer in reversed(self.named):  # from the inside to the outside
            if any(child in found for _, child in layer.children()):
                found.add(layer)
        leaves = [layer for _, layer in self.named if not layer.children()]
        first = next((k for k, layer in enumerate(leaves) if layer in found), len(leaves))
        self._behind_learning = set(leaves[first + 1 :])  # only these may have to hand a gradient back to a layer
        pairs = [stage for chain in self.stages.values() for stage in chain if isinstance(stage, Pair)]
        self.learning = found | {pair for pair in pairs if pair.first in found or pair.second in found}

    def first_needed(self, chain, need_dx: bool) -> int:
        """Return the number of the first layer or pair in a chain that a backward pass must reach; the length of the
        chain if it must reach none.

        Args:
            chain: layers that follow one another, with a `Pair` in place of two fused ones.
            need_dx: whether dL/dx is needed, so that the pass must reach all of them.
        """
        return next((k for k, stage in enumerate(chain) if need_dx or stage in self.learning), len(chain))

    def enter(self) -> None:
        """Prepare the network to be built or used; the errors are those of `adopt`."""
        self.entered = True
        self.adopt()

    def adopt(self) -> None:
        """Give all layers this plan, with their names, masks and memory in this network. A backward pass of this
        network cannot use what a pass of another network stored in the layers, so it is discarded.

        Raises:
            DeviceError: the layers are not all on one device.
            ValueError: the layers do not all have one dtype.
        """
        for _, layer in self.named:
            if layer.plan is not self:
                break
        else:
            return
        form = borders.alike([layer for _, layer in self.named])
        if form != self._form:
            self._form = form
            self.pool.clear()
            self.active = self.active_of = None
        for name, layer in self.named:
            layer.path, layer.plan, layer.needed, layer.kept = name, self, None, None

    # --- where gradients matter ---

    def asks(self, neuron) -> bool:
        """Return whether a neuron computes its visible mask in a stored pass.

        It does if the user asks for the mask, or if the width of the surrogate suggests that the mask saves a reader of
        the spikes more time than it costs. Skipping unused gradients changes rounding, so the choice must not depend on
        state that a checkpoint does not hold.
        """
        limits = [(layer.visible_limit if layer.built else 0, n) for layer, n in self.asked.get(neuron, ())]
        if neuron.want_visible or not any(limit for limit, _ in limits):
            return neuron.want_visible
        share = neuron.expected_share()
        return any(min(1.0, share * n) <= limit for limit, n in limits)


def need_stored(layer) -> None:
    """Refuse a backward pass through a layer whose last forward pass was not stored."""
    if layer.kept is None:
        raise RuntimeError(f"{layer.path}.backward: needs a forward pass with Mode(store=True) before it")


def plan_of(net) -> Plan:
    """Return the plan of a network that is entered from outside; the first call makes it."""
    if net.own_plan is None:
        net.own_plan = Plan(net)
    return net.own_plan


def settle_in(net) -> None:
    """Give the layers of a new container its plan, except layers of a network that is already in use."""
    plan = plan_of(net)
    inside = {layer for _, layer in plan.named}
    for name, layer in plan.named:
        if layer.plan is None or (layer.plan.net in inside and not layer.plan.entered):
            layer.path, layer.plan = name, plan
