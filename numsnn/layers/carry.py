"""State that layers carry from one pass to the next when a sequence is divided (`Stream`, truncated BPTT)."""

from ..errors import ShapeError
from .mode import Mode


def carried_state(layer, mode: Mode, shape: tuple[int, ...], steps: int):
    """See `Layer.carried_state`."""
    if mode.carried is None:
        return None, 0
    if layer.path not in mode.carried:
        state = layer.kernels.zeros(shape, layer.dtype)
        mode.carried[layer.path] = {"step": 0, "state": state, "layer": layer}
    memory = mode.carried[layer.path]
    if layer.plan.net is layer and memory["layer"] is not layer:
        raise ValueError(
            f"{layer.path}: another layer of this name has left its state here already; call both as parts of one "
            "network, or give them names"
        )
    if memory["state"].shape != shape:
        raise ShapeError(
            f"{layer.path}: the state carried on is of shape {memory['state'].shape}; this input needs {shape}"
        )
    first = memory["step"]
    memory["step"] += steps
    return memory["state"], first


def stepped(net) -> list[tuple]:
    """Return pairs (name, layer) of the layers that go through the steps of a sequence: all layers but containers, and
    those inside a `Repeat`, which compute a picture once."""
    once: set = set()
    for _, outer in net.named():
        if outer.container and outer.sums_steps:
            once.update(outer.tree())
    return [(name, layer) for name, layer in net.named() if not layer.container and layer not in once]


def undeclared(net) -> list[tuple]:
    """Return pairs (name, layer) of the layers that do not declare whether they carry a state from step to step."""
    return [(name, layer) for name, layer in stepped(net) if layer.carries is None]


def need_declarations(net, who: str) -> None:
    """Refuse a network with a layer that does not declare whether it carries a state from step to step.

    Args:
        net: the network.
        who: the operation that needs the declarations; the message begins with it.

    Raises:
        TypeError: ``carries`` of a layer is None.
    """
    for name, layer in undeclared(net):
        raise TypeError(
            f"{who}: {name} ({type(layer).__name__}) does not say whether it carries something from step to step; "
            "declare carries = True in its class and use self.carried_state, or carries = False"
        )


def need_states(layers: list[tuple], carried: dict) -> None:
    """Refuse, after a pass with carried states, a layer that declares ``carries = True`` but has left no state.

    Args:
        layers: pairs (name, layer) of the layers that go through the steps (`stepped`).
        carried: `Mode.carried` of the pass.

    Raises:
        TypeError: such a layer did not call `Layer.carried_state`.
    """
    for name, layer in layers:
        if layer.carries and name not in carried:
            raise TypeError(
                f"{name} ({type(layer).__name__}) declares carries = True, but its compute does not call "
                "self.carried_state"
            )
