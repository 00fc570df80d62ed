"""Group and layer normalisation, which treat every sample and step independently."""

from typing import NamedTuple

from ..kernels.types import Affine, Moments
from ..validate import flag, positive, whole
from .norm import AffineNorm


class _Groups(NamedTuple):
    """What a pass keeps: its input ``[T N, positions, C]``, and the moments of the groups."""

    samples: object
    moments: Moments


class GroupNorm(AffineNorm):
    """Normalise every sample and step independently, over its positions and the channels of a group, then multiply
    every channel by gamma and add beta. Training and inference give the same result, for any batch size.

        y = gamma (x - mean) / sqrt(var + eps) + beta        one mean and one var per sample, step and group

    The input is ``[T, N, C]``, ``[T, N, L, C]`` or ``[T, N, H, W, C]``; the output has the same shape and the network's
    float dtype. Source: Wu and He 2018 (arXiv:1803.08494).

    Args:
        groups: number of groups into which the channels are divided.
        channels: C, the number of channels, a multiple of groups.
        eps: added to the variance. Default 1e-5.
        affine: whether to learn gamma and beta. Default True.
        name: shown in reports and errors. Default: the class's name and a number.

    Parameters: gamma ``[C]``, one at the start, and beta ``[C]``, zero at the start; weight decay does not act on them.

    Raises:
        ValueError: groups does not divide channels, or a value is out of range.
        ShapeError: on building, the input has another rank or number of channels.
    """

    def __init__(self, groups: int, channels: int, eps: float = 1e-5, affine: bool = True, name: str | None = None):
        super().__init__(name)
        kind = type(self).__name__
        self.groups = whole(f"{kind}: groups", groups)
        self.channels = whole(f"{kind}: channels", channels)
        self.eps = positive(f"{kind}: eps", eps)
        self.affine = flag(f"{kind}: affine", affine)
        if channels % groups:
            raise ValueError(f"{kind}: groups must divide the channels; got {groups} for {channels}")

    def _affine(self):
        return Affine(self.gamma.value, self.beta.value, self.eps)

    def compute(self, x, mode):
        samples = self.as_real(x).reshape(x.shape[0] * x.shape[1], -1, self.channels)
        y = self.buffer("y", x.shape)
        shape = len(samples), self.groups
        moments = Moments(self.buffer("mean", shape), self.buffer("var", shape))
        self.kernels.groupnorm_forward(samples, self._affine(), moments, y.reshape(samples.shape))
        if mode.store:
            self.kept = _Groups(samples, moments)
        return y

    def propagate(self, dy, need_dx):
        samples, moments = self.kept
        dx = self.gradient(samples.shape) if need_dx else None
        self.kernels.groupnorm_backward(
            dy.reshape(samples.shape),
            samples,
            self._affine(),
            moments,
            dx,
            self.gradient_of(self.gamma),
            self.gradient_of(self.beta),
        )
        return None if dx is None else dx.reshape(dy.shape)


class LayerNorm(GroupNorm):
    """Normalise every sample and step independently, over all positions and channels: `GroupNorm` with one group.

    For inputs with positions, this is the layer normalisation of convolutional networks; PyTorch's ``LayerNorm(C)``
    would normalise every position independently. Shapes and errors are those of `GroupNorm`. Source: Ba, Kiros and
    Hinton 2016 (arXiv:1607.06450).

    Args:
        channels: C, the number of channels.
        eps: added to the variance. Default 1e-5.
        affine: whether to learn gamma and beta, one of both per channel. Default True.
        name: shown in reports and errors. Default: the class's name and a number.

    Parameters: gamma ``[C]``, one at the start, and beta ``[C]``, zero at the start; weight decay does not act on them.
    """

    def __init__(self, channels: int, eps: float = 1e-5, affine: bool = True, name: str | None = None):
        super().__init__(1, channels, eps, affine, name)
