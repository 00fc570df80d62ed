"""Encoders that turn numbers into spike trains, time first.

Most functions take samples ``[N, ...]`` with values in [0, 1] and return uint8 spikes ``[T, N, ...]``; `direct` repeats
the values, and `delta` takes a sequence. Each sample is encoded by itself, and random numbers are a function of (seed,
sample, step, feature): the result does not depend on the batch. `numsnn.Repeat` and `numsnn.Poisson` do the same as
`direct` and `poisson` inside a network.

Overview: Eshraghian et al. 2023 (arXiv:2109.12894). Names are those of their library snnTorch where the meaning is the
same.
"""

import numpy as np

from .capacity import need_memory
from .kernels import for_device
from .names import choice
from .shown import shown
from .validate import flag, positive, real_array, whole, within

SAMPLES = 2**24
"""Number of samples with different random numbers, each for 2^40 steps times features."""

LATENCY_MARGIN = 1e-7
"""Smallest distance from the threshold in the logarithmic code, because a value at the threshold would never fire."""

SMALLEST_RESPONSE = 0.1
"""Smallest response of a receptive field for which the latency code of a population fires."""


def direct(x, steps: int) -> np.ndarray:
    """Return the values themselves at every step.

    Args:
        x: ``[N, ...]``, any values and dtype.
        steps: T.

    Returns:
        ``[T, N, ...]`` of x's dtype, C-contiguous.

    Raises:
        ValueError: x is not an array of numbers, or steps is below 1.
    """
    x, steps = _numbers("direct", x), whole("direct: steps", steps)
    need_memory(f"direct: {steps} steps", steps * x.nbytes)
    return np.ascontiguousarray(np.broadcast_to(x, (steps, *x.shape)))


def poisson(x, steps: int, seed: int = 0, indices=None, device: str = "cpu") -> np.ndarray:
    """Encode by rate: at every step a feature fires with its value as probability (snnTorch's ``rate``).

    Args:
        x: firing probabilities ``[N, ...]`` in [0, 1].
        steps: T. The first steps do not depend on T.
        seed: determines the spikes. Default 0.
        indices: numbers of the samples ``[N]``, for example their positions in the dataset; the spikes of a sample
            depend on its number. Default: 0 to N - 1.
        device: "cpu" (default) or "reference".

    Returns:
        spikes ``[T, N, ...]``, uint8.

    Raises:
        ValueError: a value is outside [0, 1], indices are not N whole numbers in [0, 2^24), or steps is below 1.
    """
    x = _unit("poisson", x)
    steps, seed = whole("poisson: steps", steps), whole("poisson: seed", seed, 0)
    need_memory(f"poisson: {steps} steps", steps * x.size)
    given, indices = indices, np.arange(len(x)) if indices is None else real_array(indices)
    if indices is None:
        raise ValueError(f"poisson: indices must be {len(x)} whole numbers, one per sample; got {shown(given)}")
    if indices.shape != (len(x),) or indices.dtype.kind not in "iu":
        raise ValueError(
            f"poisson: indices must be {len(x)} whole numbers, one per sample; got {indices.dtype} of shape "
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
    """Encode by latency: every feature fires once, and larger values fire earlier (docs/method.md, E1, E2).

        logarithmic    t = tau ln(x / (x - threshold))      when a membrane charged by the current x meets the threshold
        linear         t = tau (1 - x)

    The step is t, rounded (halves to even). Values below the threshold fire at the time of the threshold, the latest
    one. If the time is beyond the last step, the feature does not fire.

    Args:
        x: ``[N, ...]`` in [0, 1].
        steps: T.
        tau: time constant in steps. Default 1.
        threshold: number in (0, 1). Default 0.01.
        linear: use the linear code instead of the logarithmic one. Default False.
        normalize: scale the times to the number of steps, for any tau: in the logarithmic code the latest possible time
            (not the latest of the batch) becomes T - 1, and in the linear code tau becomes T - 1. Default False.
        clip: values below the threshold do not fire. Default False.

    Returns:
        spikes ``[T, N, ...]``, uint8, at most one per feature.

    Raises:
        ValueError: a value is outside [0, 1], the threshold outside (0, 1), tau is not positive, or steps is below 1.
    """
    x = _unit("latency", x).astype(np.float64)
    steps, tau = whole("latency: steps", steps), positive("latency: tau", tau)
    need_memory(f"latency: {steps} steps", steps * max(8, 2 * x.size))
    threshold = within("latency: threshold", threshold, 0, 1, open_low=True, open_high=True)
    flag("latency: linear", linear), flag("latency: normalize", normalize), flag("latency: clip", clip)
    times = 1 - np.maximum(x, threshold) if linear else _charging_time(x - threshold, threshold)
    latest = 1 if linear else _charging_time(0.0, threshold)
    times *= (steps - 1) / latest if normalize else tau
    if clip:
        times[x < threshold] = np.inf
    every = np.arange(steps).reshape(-1, *(1,) * x.ndim)
    return (np.rint(times) == every).astype(np.uint8)


def _charging_time(above, threshold):
    """Return ln(x / (x - threshold)), with above = x - threshold."""
    return np.log1p(threshold / np.maximum(above, LATENCY_MARGIN))


def delta(x, threshold: float = 0.1, padding: bool = False, off_spikes: str | None = None, lengths=None) -> np.ndarray:
    """Encode changes: a feature fires if it grows by the threshold or more between two steps (docs/method.md, E3).

    Args:
        x: a sequence ``[T, N, ...]``, any finite values.
        threshold: positive number. Default 0.1.
        padding: compare the first step with itself, so that it has no spikes. Default False: it is compared with zeros.
        off_spikes: what happens if a feature falls by the threshold or more: None (default): nothing; "channels": it
            fires in channels of its own, after the others on the last axis; "sign": the output is -1.
        lengths: number of real steps of each sample, ``[N]`` whole numbers from 1 to T; the output is 0 beyond. Default
            None: all steps are real.

    Returns:
        spikes of x's shape, uint8. With "channels" the last axis is twice as long (rises, then falls). With "sign" the
            output is float32 with -1, 0 and 1, because uint8 has no sign.

    Raises:
        ValueError: x holds NaN or inf, x has no axis besides time and samples for "channels", or the threshold is not
            positive, or lengths are not N whole numbers in 1..T.
    """
    x = _numbers("delta", x)
    threshold = positive("delta: threshold", threshold)
    real = _real_steps("delta", x, lengths)
    choice("delta: off_spikes", off_spikes, (None, "channels", "sign"))
    if off_spikes == "channels" and x.ndim < 3:
        raise ValueError(f"delta: off_spikes='channels' needs x as [T, N, ..., C]; got shape {x.shape}")
    before = x[:1] if flag("delta: padding", padding) else np.zeros_like(x[:1])
    change = np.diff(x.astype(np.float64), axis=0, prepend=before.astype(np.float64))
    rises, falls = real & (change >= threshold), real & (change <= -threshold)
    if off_spikes == "sign":
        return rises.astype(np.float32) - falls
    if off_spikes == "channels":
        return np.concatenate([rises, falls], axis=-1).astype(np.uint8)
    return rises.astype(np.uint8)


def receptive_fields(x, neurons: int = 8, beta: float = 1.5) -> np.ndarray:
    """Return the responses of a population of neurons with Gaussian receptive fields.

    Neuron i = 1..m responds with exp(-(x - c_i)^2 / (2 sigma^2)), c_i = (2i - 3) / (2 (m - 2)), sigma = 1 /
    (beta (m - 2)) (docs/method.md, E4). The centres are evenly spaced, and the first and the last one lie just outside
    [0, 1]. Source: Bohte, Kok and La Poutré 2002, doi:10.1016/S0925-2312(01)00658-0.

    Args:
        x: ``[N, ..., C]`` in [0, 1].
        neurons: m, the number of neurons per feature, at least 3. Default 8.
        beta: the larger, the narrower the fields; 1 to 2 is usual. Default 1.5.

    Returns:
        responses ``[N, ..., C m]`` in [0, 1], float (x's dtype, or float32); the neurons of a feature are side by side.

    Raises:
        ValueError: a value is outside [0, 1], there are fewer than 3 neurons, or beta is not positive.
    """
    x = _unit("receptive_fields", x)
    m = whole("receptive_fields: neurons", neurons, 3)
    beta = positive("receptive_fields: beta", beta)
    need_memory(f"receptive_fields: {m} neurons", 8 * m * x.size)
    centres = (2 * np.arange(1, m + 1) - 3) / (2 * (m - 2))
    distance = (x[..., None] - centres) * (beta * (m - 2))
    return np.exp(-(distance**2) / 2).astype(x.dtype).reshape(*x.shape[:-1], -1)


def population(
    x, steps: int, neurons: int = 8, beta: float = 1.5, code: str = "rate", seed: int = 0, indices=None
) -> np.ndarray:
    """Encode by a population: several neurons per feature, each of which responds to its own range of values.

    Args:
        x: ``[N, ..., C]`` in [0, 1].
        steps: T.
        neurons, beta: as for `receptive_fields`.
        code: "rate" (default): `poisson` of the responses; "latency": linear `latency` of the responses, scaled to the
            number of steps, without spikes for responses below 0.1, after Bohte et al.
        seed, indices: as for `poisson`.

    Returns:
        spikes ``[T, N, ..., C m]``, uint8, with the neurons of a feature side by side.

    Raises:
        ValueError: as for `receptive_fields`, `poisson` and `latency`, or the code is unknown.
    """
    seed = whole("population: seed", seed, 0)
    responses = receptive_fields(x, neurons, beta)
    if choice("population: code", code, ("rate", "latency")) == "rate":
        return poisson(responses, steps, seed, indices)
    return latency(responses, steps, threshold=SMALLEST_RESPONSE, linear=True, normalize=True, clip=True)


def _numbers(what, x):
    """Return x as an array of finite numbers, samples first."""
    given, x = x, real_array(x)
    if x is None or x.ndim < 1:
        known = given if x is None else x
        got = f"{known.dtype} of shape {known.shape}" if isinstance(known, np.ndarray) else shown(given)
        raise ValueError(f"{what}: x must be an array of real numbers, samples first; got {got}")
    if not x.size:
        raise ValueError(f"{what}: x is empty: shape {x.shape}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise ValueError(f"{what}: x must be finite; it holds NaN or inf")
    return x


def _real_steps(what, x, lengths):
    """Return which steps of the sequences x ``[T, N, ...]`` are real, in a form that broadcasts to x."""
    if lengths is None:
        return np.True_
    given, lengths = lengths, real_array(lengths)
    if lengths is None:
        raise ValueError(f"{what}: lengths must be whole numbers, one per sample of x; got {shown(given)}")
    if x.ndim < 2 or lengths.shape != x.shape[1:2] or lengths.dtype.kind not in "iu":
        raise ValueError(
            f"{what}: lengths must be whole numbers, one per sample of x [T, N, ...] with shape {x.shape}; got "
            f"{lengths.dtype} of shape {lengths.shape}"
        )
    if (lengths < 1).any() or (lengths > len(x)).any():
        raise ValueError(f"{what}: lengths must lie in 1..{len(x)}; got {lengths.min()}..{lengths.max()}")
    real = np.arange(len(x))[:, None] < lengths
    return real.reshape(*real.shape, *(1,) * (x.ndim - 2))


def _unit(what, x):
    """Return x as floats in [0, 1]."""
    x = _numbers(what, x)
    outside = (x < 0) | (x > 1)
    if outside.any():
        at = tuple(int(k) for k in np.argwhere(outside)[0])
        raise ValueError(f"{what}: x must lie in [0, 1]; got {x[at]} at index {at}. Scale it first")
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float32)
