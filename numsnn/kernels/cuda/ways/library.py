"""Convolutions and matrix products by NVIDIA's cuBLAS, through nvmath-python's bindings, for float32 in one group.

A convolution is the product of patches and weights. Patches are gathered for several pictures at a time, whose patches
fit into the GPU's cache (`PATCH_BYTES`), and are multiplied at once. A linear layer and a 1x1 convolution of real
numbers need no patches. The input gradient goes the other way: first the products are computed, and then each input
pixel sums the products that belong to it. The library expects columns to be contiguous. It therefore sees all matrices
transposed, and computes the transpose of the product.

Spikes are converted to float32 when patches are gathered.
"""

import threading
from functools import cache
from importlib.util import find_spec
from math import prod

import numpy as np

from ....errors import DeviceError
from ..array import copy, empty
from ..inline.pixels import flat, inside, launch_pixels, pixel_at, tap_finder, windows
from ..run.api import SIMULATED, cuda
from ..run.compile import kernel
from ..run.launch import scratch
from ..run.stream import work_stream

PATCH_BYTES = 32 << 20
"""Bytes of patches at a time, unless a single picture has more. This is less than the second-level cache of large
GPUs."""

WORKSPACE_BYTES = 32 << 20
"""Bytes of the library's work memory, as NVIDIA recommends. With a fixed work memory and stream, sums are the same in
every run."""

COMPUTE = {"float32": 68, "tf32": 77, "bfloat16": 75, "float16": 74}
"""Precision -> cublasComputeType_t: CUBLAS_COMPUTE_32F, and its variants FAST_TF32, FAST_16BF and FAST_16F."""

AS_IT_IS, TRANSPOSED = 0, 1
"""Values of cublasOperation_t."""

REAL_32, DEFAULT_ALGORITHM, MAJOR_VERSION = 0, -1, 0
"""The library's constants CUDA_R_32F, CUBLAS_GEMM_DEFAULT and MAJOR_VERSION."""

SECTOR = 8
"""Number of threads that take neighbouring channels of a patch: one per float32 number of a sector of memory. Each
thread takes several channels in turn, so that the position of a patch is computed a few times only."""

_FACTORS = np.array([0, 1], np.float32)  # the library reads its factors from the host's memory


@cache
def _load():
    """(NVIDIA's bindings of the library, None), or (None, the reason why the library cannot be used)."""
    if SIMULATED:
        return None, "the device is simulated"
    if find_spec("nvmath") is None:
        return None, "nvmath-python is not installed"
    try:
        from nvmath.bindings import cublas

        cublas.get_property(MAJOR_VERSION)  # loads the library
    except Exception as error:  # if anything is missing or broken, numsnn's own kernels are used
        return None, f"{type(error).__name__}: {' '.join(str(error).split())}"
    return cublas, None


def _bindings():
    """NVIDIA's bindings of the library, or None."""
    return _load()[0]


def reason() -> str | None:
    """The reason why the library cannot be used, or None if it can."""
    return _load()[1]


def available() -> bool:
    """Whether the library can be used."""
    return _bindings() is not None


def version() -> str | None:
    """The library's version, or None if it cannot be used."""
    if not available():
        return None
    number = _call("get_version", _handle())
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _call(name, *arguments):
    """Call a function of the library.

    Raises:
        DeviceError: the function reports an error.
    """
    try:
        return getattr(_bindings(), name)(*arguments)
    except (RuntimeError, _bindings().cuBLASError) as error:
        raise DeviceError(f"device 'cuda': cuBLAS {name}: {' '.join(str(error).split())}") from None


class _Own(threading.local):
    """A thread's handle of the library, and its work memory."""

    handle = workspace = None


_own = _Own()


def _handle():
    if _own.handle is None:
        handle = _call("create")
        _own.workspace = empty((WORKSPACE_BYTES,), np.uint8)
        _call("set_stream", handle, 0 if SIMULATED else int(work_stream()))
        _call("set_workspace", handle, _pointer(_own.workspace), WORKSPACE_BYTES)  # after set_stream, which resets it
        _own.handle = handle
    return _own.handle


def _pointer(x) -> int:
    """The address of a device array."""
    return x.handle.ctypes.data if SIMULATED else x.handle.device_ctypes_pointer.value


def multiply(a, b, c, precision, transpose_a=False, transpose_b=False, accumulate=False):
    """Compute c = a b, or with `accumulate` add a b to c.

    Args:
        a: ``[m, k]``, or ``[k, m]`` with transpose_a.
        b: ``[k, n]``, or ``[n, k]`` with transpose_b.
        c: output, ``[m, n]``.
        precision: one of `COMPUTE`, the precision of the factors.
    """
    (m, n), k = c.shape, a.shape[0 if transpose_a else 1]
    factors = _FACTORS.ctypes.data
    operations = [TRANSPOSED if turned else AS_IT_IS for turned in (transpose_b, transpose_a)]
    _call(
        "gemm_ex",
        _handle(),
        *operations,
        n,
        m,
        k,
        factors + _FACTORS.itemsize,
        _pointer(b),
        REAL_32,
        b.shape[1],
        _pointer(a),
        REAL_32,
        a.shape[1],
        factors + (_FACTORS.itemsize if accumulate else 0),
        _pointer(c),
        REAL_32,
        n,
        COMPUTE[precision],
        DEFAULT_ALGORITHM,
    )


# --- patches ---------------------------------------------------------------------------------------------------------


@kernel
def _gather(x, source, target, kernel_size, stride, padding, dilation, channels, patches, pixels):
    """Set patches[m, ky, kx, c] to the input that tap (ky, kx) reads of channel c at output pixel m.

    pixels is the number of output pixels times taps.
    """
    p = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if p < pixels:
        m, ky, kx = pixel_at(p, kernel_size[0], kernel_size[1])
        image, row, column = pixel_at(m, target[0], target[1])
        iy = row * stride[0] - padding[0] + ky * dilation[0]
        ix = column * stride[1] - padding[1] + kx * dilation[1]
        seen = inside(iy, source[0]) and inside(ix, source[1])
        first = ((image * source[0] + iy) * source[1] + ix) * channels
        c = cuda.threadIdx.x
        while c < channels:
            patches[np.uint64(p * channels + c)] = np.float32(x[np.uint64(first + c)]) if seen else np.float32(0)
            c += cuda.blockDim.x


@cache
def _collect_kernel(dilated):
    """The kernel that sums the entries of patches that belong to a pixel. Only dilated filters need divisions."""
    tap_of = tap_finder(dilated)

    @kernel
    def collect(patches, source, target, kernel_size, stride, padding, dilation, channels, dx, pixels):
        """Set dx[pixel, c] to the sum. source is the extent of the output, and target that of dx."""
        m = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        if m < pixels:
            image, row, column = pixel_at(m, target[0], target[1])
            top, bottom = windows(row, (kernel_size[0] - 1) * dilation[0] + 1, stride[0], padding[0], source[0])
            left, right = windows(column, (kernel_size[1] - 1) * dilation[1] + 1, stride[1], padding[1], source[1])
            taps = kernel_size[0] * kernel_size[1]
            c = cuda.threadIdx.x
            while c < channels:
                total = dx.dtype.type(0)
                for oy in range(top, bottom):
                    ky = tap_of(row + padding[0] - oy * stride[0], dilation[0])
                    for ox in range(left, right):
                        kx = tap_of(column + padding[1] - ox * stride[1], dilation[1])
                        if not dilated or (ky >= 0 and kx >= 0):
                            patch = (image * source[0] + oy) * source[1] + ox
                            tap = ky * kernel_size[1] + kx
                            total += patches[np.uint64((patch * taps + tap) * channels + c)]
                dx[np.uint64(m * channels + c)] = total
                c += cuda.blockDim.x

    return collect


@kernel
def _add_offset(b, y, pixels):
    channels = len(b)
    m = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    if m < pixels:
        c = cuda.threadIdx.x
        while c < channels:
            y[np.uint64(m * channels + c)] += b[c]
            c += cuda.blockDim.x


class _Patches:
    """The patches of a convolution, for some pictures at a time.

    Attributes:
        plain: whether the convolution reads single pixels, so that the input itself is used as patches.
        parts: slices of pictures that are processed one after another.
    """

    def __init__(self, x, y, w, stride, padding, dilation):
        """x ``[B, H, W, I]`` and y ``[B, Ho, Wo, O]`` are input and output, or their gradients."""
        self.window = tuple(w.shape[:2]), tuple(stride), tuple(padding), tuple(dilation)
        self.plain = self.window[:3] == ((1, 1), (1, 1), (0, 0))
        self.dilated = self.window[3] != (1, 1)
        self.channels, self.depth = x.shape[3], prod(w.shape[:3])
        self.extents = x.shape[1:3], y.shape[1:3]
        self.pixels = prod(y.shape[1:3])
        whole = self.plain and x.dtype == y.dtype
        size = len(x) if whole else max(1, PATCH_BYTES // (4 * self.pixels * self.depth))
        self.parts = [slice(first, first + size) for first in range(0, len(x), size)]

    def room(self, pictures):
        """A work array ``[pixels, taps I]`` for the patches of `pictures` pictures."""
        return scratch.get("patches", (pictures * self.pixels, self.depth), np.float32)

    def gather(self, x):
        """Gather the patches of some pictures, x, and return them."""
        if self.plain:
            return _real(x)
        patches = self.room(len(x))
        pixels = patches.size // self.channels
        launch_pixels(
            _gather,
            pixels,
            self.channels,
            flat(x),
            *self.extents,
            *self.window,
            self.channels,
            flat(patches),
            most=SECTOR,
        )
        return patches

    def collect(self, patches, dx):
        """Sum patches into dx, the pictures that they belong to."""
        launch_pixels(
            _collect_kernel(self.dilated),
            prod(dx.shape[:3]),
            self.channels,
            flat(patches),
            *self.extents[::-1],
            *self.window,
            self.channels,
            flat(dx),
        )


def _rows(x):
    """x ``[..., C]`` as rows, ``[M, C]``."""
    return x.reshape(-1, x.shape[-1])


def _real(x):
    """Pictures as rows of float32. Spikes are converted."""
    if x.dtype == np.float32:
        return _rows(x)
    numbers = scratch.get("spikes as numbers", x.shape, np.float32)
    copy(x, numbers)
    return _rows(numbers)


# --- convolutions ----------------------------------------------------------------------------------------------------


def forward(x, w, b, stride, padding, dilation, y, precision):
    """See `reference.conv.conv2d_forward`."""
    patches = _Patches(x, y, w, stride, padding, dilation)
    for part in patches.parts:
        multiply(patches.gather(x[part]), _rows(w), _rows(y[part]), precision)
    if b is not None:
        launch_pixels(_add_offset, prod(y.shape[:3]), len(b), b, flat(y))


def backward_weight(x, dy, stride, padding, dilation, dw, precision):
    """See `reference.conv.conv2d_backward_weight`. The sums of slices of pictures are added in order."""
    patches = _Patches(x, dy, dw, stride, padding, dilation)
    for part in patches.parts:
        multiply(
            patches.gather(x[part]), _rows(dy[part]), _rows(dw), precision, transpose_a=True, accumulate=part.start > 0
        )


def backward_input(dy, w, stride, padding, dilation, dx, precision):
    """See `reference.conv.conv2d_backward_input`."""
    patches = _Patches(dx, dy, w, stride, padding, dilation)
    for part in patches.parts:
        slopes = _real(dy[part])
        products = _rows(dx[part]) if patches.plain else patches.room(len(slopes) // patches.pixels)
        multiply(slopes, _rows(w), products, precision, transpose_b=True)
        if not patches.plain:
            patches.collect(products, dx[part])
