"""The fully connected layer."""

from ..kernels.types import Geometry
from ..validate import flag, whole
from .route import Routed
from .shapes import need_channels, rows


class Linear(Routed):
    """Fully connected layer: y = x w + b at every step. ``[T, N, in_features]`` -> ``[T, N, out_features]``.

    Args:
        in_features, out_features: numbers of input and output features.
        bias: whether to add b. Default True.
        name: shown in reports and errors. Default: the class's name and a number.

    Parameters: weight ``[in, out]``, uniform with variance 2 / in at the start (He et al. 2015, arXiv:1502.01852), and
    bias ``[out]``, zero at the start.

    Raises:
        ValueError: a number of features is not a whole number of at least 1.
        ShapeError: on building, the input has another rank or number of features.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, name: str | None = None):
        super().__init__(name)
        self.in_features = whole("Linear: in_features", in_features)
        self.out_features = whole("Linear: out_features", out_features)
        self.bias = flag("Linear: bias", bias)

    geometry, groups = Geometry(), 1
    absorbs = "normalisation"

    def taps(self, weight):
        """Return the weight in the form of a 1x1 convolution."""
        return weight.reshape(1, 1, *weight.shape)

    def infer(self, shape):
        need_channels(self, shape, self.in_features, (3,))
        return (*shape[:-1], self.out_features)

    def create(self, shape, rng):
        self.create_weight((self.in_features, self.out_features), self.in_features, self.out_features, rng)

    def compute(self, x, mode):
        if mode.store:
            self.keep(x)
        return self._multiplied(x, self.kept_weights(mode, self.weight.value))

    def _multiplied(self, x, kept=None):
        """Return the output for x; kept holds what the device keeps of weights that do not change, if anything."""
        y, inputs = self.result("y", self.output_shape), rows(x)
        bias, active = None if self.offset is None else self.offset.value, self.sense(inputs)
        self.routes["forward"] = self.kernels.linear_forward(
            inputs, self.weight.value, bias, rows(y), active, self.way, kept
        )
        return y

    def again(self):
        return self._multiplied(self.kept.x)

    def propagate(self, dy, need_dx):
        kernels = self.kernels
        if not self.frozen:
            inputs = rows(self.kept.x)
            self.routes["weight"] = kernels.linear_backward_weight(
                inputs, rows(dy), self.weight.grad, self.sensed(inputs), self.way
            )
        if self.offset is not None and not self.frozen:
            kernels.bias_backward(rows(dy), self.offset.grad)
        if not need_dx:
            return None
        dx = self.gradient(self.input_shape)
        self.routes["input"] = kernels.linear_backward_input(
            rows(dy), self.weight.value, rows(dx), self.way, None if self.needed is None else rows(self.needed)
        )
        return dx
