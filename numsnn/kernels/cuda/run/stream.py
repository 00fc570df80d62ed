"""The streams. All kernels run in one stream, one after another, in the order of their launches. The batch for the next
training step is copied to the GPU in a second stream at the same time."""

from functools import cache

from .api import cuda


@cache
def work_stream():
    """The stream of all kernels."""
    return cuda.stream()


@cache
def copy_stream():
    """The stream of copies that run while kernels work."""
    return cuda.stream()
