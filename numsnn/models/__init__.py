"""Ready-made networks, networks from a line of text or from trained networks, and summaries of networks."""

from .architecture import from_string
from .conversion import convert
from .summary import count_parameters, summary
from .zoo import densenet_bc, dvs_gesture_net, mlp, resnet19, sew_resnet18, shd_net, vgg_snn

__all__ = [
    "convert",
    "count_parameters",
    "densenet_bc",
    "dvs_gesture_net",
    "from_string",
    "mlp",
    "resnet19",
    "sew_resnet18",
    "shd_net",
    "summary",
    "vgg_snn",
]
