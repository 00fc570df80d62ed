"""The streams: all kernels run in one, one after the other as they were launched; what is copied to the device for the
next step travels in another meanwhile."""

from functools import cache

from .api import cuda


@cache
def work_stream():
    """The stream of all kernels."""
    return cuda.stream()


@cache
def copy_stream():
    """The stream of copies that kernels need not wait for."""
    return cuda.stream()
