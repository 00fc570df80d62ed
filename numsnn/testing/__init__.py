"""Checks for layers and neurons of your own: whether they keep the whole contract of a layer.

    snn.testing.check_layer(Scale(), (4, 3, 5))

`check_layer` runs all checks and says which failed; `layer_checks` returns them one by one, for the parameters of a
test. Every check raises a `CheckFailed` that says what is expected and what to change. Nothing but NumPy is needed.
"""

from .checking import LayerReport, check_layer, layer_checks
from .subject import CheckFailed

__all__ = ["CheckFailed", "LayerReport", "check_layer", "layer_checks"]
