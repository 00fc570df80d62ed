"""Normalisation of every sample and step by itself: group and layer normalisation."""

from typing import NamedTuple

from ..kernels.types import Affine, Moments
from ..validate import flag, positive, whole
from .norm import AffineNorm


class _Groups(NamedTuple):
    """What a pass left: samples and steps ``[T N, positions, C]``, and the moments of their groups."""

    samples: object
    moments: Moments


class GroupNorm(AffineNorm):
    """Normalise every sample at every step by itself, over its positions and the channels of a group, then scale and
    shift every channel. Shape kept; channels last. Training and inference compute the same, for any batch size.

        y = gamma (x - mean) / sqrt(var + eps) + beta        mean, var: one for each sample, step and group

    Source: Wu and He 2018 (arXiv:1803.08494).

    Args:
        groups: into how many groups the channels are cut.
        channels: C, a multiple of groups.
        eps: added to the variance. Default 1e-5.
        affine: learn gamma and beta. Default True.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters: gamma ``[C]`` one, beta ``[C]`` zero, both without weight decay.

    Raises:
        ValueError: groups that do not divide the channels, values out of range.
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
            self.gamma.grad,
            self.beta.grad,
        )
        return None if dx is None else dx.reshape(dy.shape)


class LayerNorm(GroupNorm):
    """Normalise every sample at every step by itself, over all its positions and channels: `GroupNorm` with one group.

    Where there are positions, this is the layer normalisation of convolutional networks; PyTorch's ``LayerNorm(C)``
    would take every position by itself. Source: Ba, Kiros and Hinton 2016 (arXiv:1607.06450).

    Args:
        channels: C.
        eps: added to the variance. Default 1e-5.
        affine: learn gamma and beta, one a channel. Default True.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters: gamma ``[C]`` one, beta ``[C]`` zero, both without weight decay.
    """

    def __init__(self, channels: int, eps: float = 1e-5, affine: bool = True, name: str | None = None):
        super().__init__(1, channels, eps, affine, name)
