"""Shapes: checks of the inputs of layers, and the forms that kernels take."""

from ..errors import ShapeError


def refuse(layer, shape, expected: str):
    """Raise the ShapeError for an input whose shape does not fit a layer."""
    raise ShapeError(f"{layer.path} ({type(layer).__name__}): input must be {expected}; got {tuple(shape)}")


def need_channels(layer, shape, channels: int, ranks: tuple[int, ...]) -> None:
    """Refuse an input whose rank is not one of ranks, or whose number of channels differs."""
    positions = {3: "", 4: "L, ", 5: "H, W, "}
    forms = " or ".join(f"[T, N, {positions[rank]}{channels}]" for rank in ranks)
    if len(shape) not in ranks or shape[-1] != channels:
        without_time = len(shape) not in ranks and len(shape) + 1 in ranks
        hint = ". Add a time axis (x[None]) or a Repeat" if without_time else ""
        refuse(layer, shape, forms + hint)


def keep_channels(layer, shape) -> None:
    """Refuse an input whose number of channels differs from the one that the layer was built for."""
    if layer.built and shape[-1] != layer.input_shape[-1]:
        refuse(layer, shape, f"[..., {layer.input_shape[-1]}], the channels the layer was built for")


def rows(x):
    """``[..., C]`` -> ``[M, C]``."""
    return x.reshape(-1, x.shape[-1])


def pictures(x):
    """``[T, N, H, W, C]`` -> ``[T N, H, W, C]``; sequences ``[T, N, L, C]`` -> ``[T N, 1, L, C]``."""
    return x.reshape(-1, *[1] * (5 - x.ndim), *x.shape[2:])


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
