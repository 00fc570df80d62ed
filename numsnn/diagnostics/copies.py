"""Copies of networks, in which a diagnosis or a check runs its passes."""

from copy import deepcopy

from ..layers import Layer
from ..layers.inputs import shape_of


def built_copy(net: Layer, x) -> tuple[Layer, object]:
    """Return a copy of a network that is built for x, and x on the network's device.

    The copy shares no array with the network, so that passes of the copy do not change the network: neither its state
    nor the weights that a folded network has prepared. The copy computes as the network does, with the same routes and
    precisions. The network itself is built for x if it was not built yet.

    Raises:
        ShapeError, ValueError: as for the call of a network.
    """
    x = net.admit(x)
    if not net.built:
        net.build(shape_of(x))
    return deepcopy(net).build(shape_of(x)), x
