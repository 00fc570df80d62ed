"""Encoders: numbers into spike trains, time first.

Functions of samples ``[N, ...]`` with values in [0, 1] that give uint8 spikes ``[T, N, ...]`` (`direct` repeats the
values, `delta` takes a sequence). None looks at more than one sample at a time, and chance is a function of (seed,
sample, step, feature): a sample is encoded alike in any batch. `numsnn.Repeat` and `numsnn.Poisson` do the same for
`direct` and `poisson` inside a network.

Overviews: Eshraghian et al. 2023 (arXiv:2109.12894), whose library's vocabulary is kept where the meaning is the same.
"""

import numpy as np

from .kernels import for_device
from .names import choice
from .validate import flag, positive, whole, within

SAMPLES = 2**24
"""Numbers of samples that chance tells apart (2^40 steps times features for each)."""

LATENCY_MARGIN = 1e-7
"""What a value is at least above the threshold in the logarithmic code, where at the threshold it would never fire."""

SMALLEST_RESPONSE = 0.1
"""Response of a receptive field below which a population's latency code is silent."""


def direct(x, steps: int) -> np.ndarray:
    """The values themselves at every step.

    Args:
        x: ``[N, ...]``, any values and dtype.
        steps: T.

    Returns:
        ``[T, N, ...]`` of x's dtype, C-contiguous.

    Raises:
        ValueError: x is not an array of numbers; steps below 1.
    """
    x = _numbers("direct", x)
    return np.ascontiguousarray(np.broadcast_to(x, (whole("direct: steps", steps), *x.shape)))


def poisson(x, steps: int, seed: int = 0, indices=None, device: str = "cpu") -> np.ndarray:
    """Rate coding: at every step a feature fires with its value as probability (snnTorch's ``rate``).

    Args:
        x: firing probabilities ``[N, ...]`` in [0, 1].
        steps: T. The first steps of a longer train are the shorter one.
        seed: of the noise. Default 0.
        indices: the samples' numbers ``[N]``, such as their places in the dataset, to which their noise belongs; 0 to
            N - 1 by default.
        device: "cpu" or "reference".

    Returns:
        spikes ``[T, N, ...]``, uint8.

    Raises:
        ValueError: values outside [0, 1]; indices that are not N whole numbers in [0, 2^24); steps below 1.
    """
    x = _unit("poisson", x)
    whole("poisson: steps", steps)
    seed = whole("poisson: seed", seed, 0)
    indices = np.arange(len(x)) if indices is None else np.asarray(indices)
    if indices.shape != (len(x),) or indices.dtype.kind not in "iu":
        raise ValueError(
            f"poisson: indices must be {len(x)} whole numbers, one a sample; got {indices.dtype} of shape "
            f"{indices.shape}"
        )
    if indices.min() < 0 or indices.max() >= SAMPLES:
        raise ValueError(f"poisson: indices must lie in 0..{SAMPLES - 1}; got {indices.min()}..{indices.max()}")
    kernels = for_device(device)
    spikes = kernels.empty((steps, *x.shape), np.uint8)
    flat = kernels.from_host(x.reshape(len(x), -1), x.dtype)
    kernels.poisson(flat, kernels.from_host(indices, np.int64), 0, seed, spikes.reshape(steps, *flat.shape))
    return kernels.to_host(spikes)


def latency(
    x,
    steps: int,
    tau: float = 1.0,
    threshold: float = 0.01,
    linear: bool = False,
    normalize: bool = False,
    clip: bool = False,
) -> np.ndarray:
    """Latency coding: every feature fires once, large values first (docs/method.md, E1, E2).

        logarithmic    t = tau ln(x / (x - threshold))      when a membrane charged by the current x meets the threshold
        linear         t = tau (1 - x)

    and the step is t rounded (halves to even). Values below the threshold fire as those at it do, at the latest time.
    A time beyond the last step is no spike.

    Args:
        x: ``[N, ...]`` in [0, 1].
        steps: T.
        tau: time constant in steps. Default 1.
        threshold: in (0, 1). Default 0.01.
        linear: the linear code. Default False, the logarithmic one.
        normalize: stretch times over the steps, whatever tau: in the logarithmic code so that the latest possible time
            (not the batch's latest) is T - 1, in the linear one by tau = T - 1. Default False.
        clip: values below the threshold do not fire at all. Default False.

    Returns:
        spikes ``[T, N, ...]``, uint8, at most one a feature.

    Raises:
        ValueError: values outside [0, 1], a threshold outside (0, 1), tau not positive, steps below 1.
    """
    x = _unit("latency", x).astype(np.float64)
    steps, tau = whole("latency: steps", steps), positive("latency: tau", tau)
    threshold = within("latency: threshold", positive("latency: threshold", threshold), 0, 1, open_high=True)
    flag("latency: linear", linear), flag("latency: normalize", normalize), flag("latency: clip", clip)
    times = 1 - np.maximum(x, threshold) if linear else _charging_time(x - threshold, threshold)
    latest = 1 if linear else _charging_time(0.0, threshold)
    times *= (steps - 1) / latest if normalize else tau
    if clip:
        times[x < threshold] = np.inf
    every = np.arange(steps).reshape(-1, *(1,) * x.ndim)
    return (np.rint(times) == every).astype(np.uint8)


def _charging_time(above, threshold):
    """ln(x / (x - threshold)) for x - threshold = above."""
    return np.log1p(threshold / np.maximum(above, LATENCY_MARGIN))


def delta(x, threshold: float = 0.1, padding: bool = False, off_spikes: str | None = None) -> np.ndarray:
    """Change coding: a spike where a sequence grows by the threshold or more from one step to the next
    (docs/method.md, E3).

    Args:
        x: a sequence ``[T, N, ...]``, any finite values.
        threshold: positive. Default 0.1.
        padding: the first step is compared with itself, so that it is silent; otherwise (default) with zeros.
        off_spikes: what becomes of a fall by the threshold or more: None (default): nothing; "channels": it fires in
            channels of its own, behind the others on the last axis; "sign": it is a -1.

    Returns:
        spikes of x's shape, uint8; with "channels" the last axis is twice as long (rises, then falls); with "sign"
        float32 of -1, 0 and 1, as uint8 has no sign.

    Raises:
        ValueError: NaN or inf, no axis beside time and samples for "channels", a threshold that is not positive.
    """
    x = _numbers("delta", x)
    threshold = positive("delta: threshold", threshold)
    choice("delta: off_spikes", off_spikes, (None, "channels", "sign"))
    if off_spikes == "channels" and x.ndim < 3:
        raise ValueError(f"delta: off_spikes='channels' needs x as [T, N, ..., C]; got shape {x.shape}")
    before = x[:1] if flag("delta: padding", padding) else np.zeros_like(x[:1])
    change = np.diff(x.astype(np.float64), axis=0, prepend=before.astype(np.float64))
    rises, falls = change >= threshold, change <= -threshold
    if off_spikes == "sign":
        return rises.astype(np.float32) - falls
    if off_spikes == "channels":
        return np.concatenate([rises, falls], axis=-1).astype(np.uint8)
    return rises.astype(np.uint8)


def receptive_fields(x, neurons: int = 8, beta: float = 1.5) -> np.ndarray:
    """How strongly each neuron of a population responds to a value: Gaussian receptive fields (Bohte, Kok and La Poutré
    2002, doi:10.1016/S0925-2312(01)00658-0).

    Neuron i = 1..m responds with exp(-(x - c_i)^2 / (2 sigma^2)), c_i = (2i - 3) / (2 (m - 2)), sigma = 1 /
    (beta (m - 2)) (docs/method.md, E4): the centres are spread evenly, the outermost two lie just outside [0, 1].

    Args:
        x: ``[N, ..., C]`` in [0, 1].
        neurons: m, neurons a feature, at least 3. Default 8.
        beta: how narrow the fields are; 1 to 2 is usual. Default 1.5.

    Returns:
        responses ``[N, ..., C m]`` in [0, 1], float (x's dtype, or float32), the neurons of a feature side by side.

    Raises:
        ValueError: values outside [0, 1], fewer than 3 neurons, beta not positive.
    """
    x = _unit("receptive_fields", x)
    m = whole("receptive_fields: neurons", neurons, 3)
    beta = positive("receptive_fields: beta", beta)
    centres = (2 * np.arange(1, m + 1) - 3) / (2 * (m - 2))
    distance = (x[..., None] - centres) * (beta * (m - 2))
    return np.exp(-(distance**2) / 2).astype(x.dtype).reshape(*x.shape[:-1], -1)


def population(
    x, steps: int, neurons: int = 8, beta: float = 1.5, code: str = "rate", seed: int = 0, indices=None
) -> np.ndarray:
    """Population coding: every feature is seen by several neurons, each of which answers to values of its own.

    Args:
        x: ``[N, ..., C]`` in [0, 1].
        steps: T.
        neurons, beta: of `receptive_fields`.
        code: "rate" (default): `poisson` of the responses; "latency": their linear `latency`, stretched over the steps
            and silent for responses below 0.1, after Bohte et al.
        seed, indices: of `poisson`.

    Returns:
        spikes ``[T, N, ..., C m]``, uint8, the neurons of a feature side by side.

    Raises:
        ValueError: as for `receptive_fields`, `poisson` and `latency`; an unknown code.
    """
    responses = receptive_fields(x, neurons, beta)
    if choice("population: code", code, ("rate", "latency")) == "rate":
        return poisson(responses, steps, seed, indices)
    return latency(responses, steps, threshold=SMALLEST_RESPONSE, linear=True, normalize=True, clip=True)


def _numbers(what, x):
    """x as an array of finite numbers, samples first."""
    x = np.asarray(x)
    if x.dtype.kind not in "biuf" or x.ndim < 1:
        raise ValueError(f"{what}: x must be an array of real numbers, samples first; got {x.dtype} of shape {x.shape}")
    if not x.size:
        raise ValueError(f"{what}: x is empty: shape {x.shape}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise ValueError(f"{what}: x must be finite; got NaN or inf in it")
    return x


def _unit(what, x):
    """x as floats in [0, 1]."""
    x = _numbers(what, x)
    outside = (x < 0) | (x > 1)
    if outside.any():
        at = tuple(int(k) for k in np.argwhere(outside)[0])
        raise ValueError(f"{what}: x must lie in [0, 1]; got {x[at]} at index {at}. Scale it first")
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float32)
