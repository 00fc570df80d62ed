"""Shapes: checks of the inputs of layers, and the forms that kernels take."""

from ..errors import ShapeError


def refuse(layer, shape, expected: str):
    """Raise the ShapeError for an input whose shape does not fit a layer."""
    raise ShapeError(f"{layer.path} ({type(layer).__name__}): input must be {expected}; got {tuple(shape)}")


POSITIONS = {3: "", 4: "L, ", 5: "H, W, "}
"""Number of axes of an input -> its positions between samples and channels, as an error shows them."""


def need_channels(layer, shape, channels: int, ranks: tuple[int, ...]) -> None:
    """Refuse an input whose rank is not one of ranks, or whose number of channels differs."""
    forms = " or ".join(f"[T, N, {POSITIONS[rank]}{channels}]" for rank in ranks)
    if len(shape) not in ranks or shape[-1] != channels:
        without_time = len(shape) not in ranks and len(shape) + 1 in ranks
        hint = ". Add a time axis (x[None]) or a Repeat" if without_time else ""
        refuse(layer, shape, forms + hint)


def need_features(layer, shape, ranks: tuple[int, ...], values: dict) -> None:
    """Refuse an input whose rank is not one of ranks, one whose channels do not fit values per channel, and one whose
    number of channels differs from that of the build.

    Args:
        layer, shape: the layer, and the shape of its input.
        ranks: allowed numbers of axes, of 3, 4 and 5.
        values: for every name of a value, an array of one number or of one number per channel.
    """
    if len(shape) not in ranks:
        *forms, last = (f"[T, N, {POSITIONS[rank]}C]" for rank in ranks)
        refuse(layer, shape, f"{', '.join(forms)} or {last}" if forms else last)
    for what, value in values.items():
        if value.ndim and value.shape != (shape[-1],):
            refuse(layer, shape, f"[..., {len(value)}]: there is one {what} per channel")
    keep_channels(layer, shape)


def keep_channels(layer, shape) -> None:
    """Refuse an input whose number of channels differs from the one that the layer was built for."""
    if layer.built and shape[-1] != layer.input_shape[-1]:
        refuse(layer, shape, f"[..., {layer.input_shape[-1]}], the channels the layer was built for")


def rows(x):
    """``[..., C]`` -> ``[M, C]``."""
    return x.reshape(-1, x.shape[-1])


def concatenate(kernels, parts, y) -> None:
    """Write arrays that differ in the number of channels into y, one after the other along the channels."""
    first = 0
    for part in parts:
        kernels.concat(rows(part), first, rows(y))
        first += part.shape[-1]


def pictures(x):
    """``[T, N, H, W, C]`` -> ``[T N, H, W, C]``; sequences ``[T, N, L, C]`` -> ``[T N, 1, L, C]``."""
    shape = x.shape
    if len(shape) == 5:
        return x.reshape(shape[0] * shape[1], *shape[2:])
    return x.reshape(-1, *[1] * (5 - len(shape)), *shape[2:])


def window_extent(layer, shape):
    """Return (Ho, Wo) for pictures or (Lo,) for sequences, for a layer with a ``window`` (kernel size, stride,
    padding). Refuse a window that is larger than the padded input."""
    positions = shape[2:-1]
    kernels, strides, paddings = (part[-len(positions) :] for part in layer.window)
    sizes = []
    for extent, kernel, stride, padding in zip(positions, kernels, strides, paddings, strict=True):
        if kernel > extent + 2 * padding:
            if len(positions) == 1:
                least, what = f"{kernel} positions with padding {padding}", "sequence"
            else:
                least, what = f"{kernels[0]} x {kernels[1]} pixels with padding {paddings}", "picture"
            refuse(layer, shape, f"at least {least}: the kernel is larger than the {what}")
        sizes.append((extent + 2 * padding - kernel) // stride + 1)
    return tuple(sizes)
