"""Copies of networks, in which a diagnosis or a check runs its passes."""

from copy import deepcopy
from typing import Any

from ..layers import Layer
from ..layers.inputs import shape_of
from ..losses import Loss, RateCrossEntropy
from ..shown import shown


def need_network(who: str, net) -> None:
    """Refuse an object that is not a network.

    Raises:
        TypeError: net is not a layer.
    """
    if not isinstance(net, Layer):
        raise TypeError(f"{who}: net must be a network, such as snn.Sequential(...); got {type(net).__name__}")


def loss_of(who: str, loss) -> Loss:
    """Return the loss, or `RateCrossEntropy` for None.

    Raises:
        TypeError: the object is not a loss.
    """
    loss = RateCrossEntropy() if loss is None else loss
    if not isinstance(loss, Loss):
        raise TypeError(f"{who}: loss must be a Loss, such as snn.losses.RateCrossEntropy(); got {shown(loss)}")
    return loss


def built_copy(who: str, net: Layer, x) -> tuple[Layer, Any]:
    """Return a copy of a network that is built for x, and x on the network's device.

    The copy shares no array with the network, so that passes of the copy do not change the network: neither its state
    nor the weights that a folded network has prepared. The copy computes as the network does, with the same routes and
    precisions. The network itself is built for x if it was not built yet.

    Args:
        who: name of the function that looks into the network; it begins the message for another object.
        net: the network.
        x: input as for the network's own call.

    Raises:
        TypeError: net is not a network.
        ShapeError, ValueError: as for the call of a network.
    """
    need_network(who, net)
    x = net.admit(x)
    if not net.built:
        net.build(shape_of(x))
    return deepcopy(net).build(shape_of(x)), x
