"""Memory of the GPU: its allocation, and the arrays in it."""

from collections import defaultdict
from math import prod

import numpy as np

from ....errors import DeviceError, DeviceMemoryError
from .api import cuda
from .stream import work_stream

GRAIN = 512
"""Sizes of pieces of memory are rounded up to multiples of this number of bytes, and those of large pieces to coarser
multiples, at most an eighth of the size. A piece that is given back can then be used for a slightly smaller one."""


class _Piece:
    """A piece of GPU memory, and Numba's arrays in it.

    The arrays are kept, because making one takes longer than a launch, and every training step needs the same ones.
    """

    def __init__(self, nbytes):
        self._bytes = cuda.device_array(nbytes, np.uint8)
        self._handles = {}

    def handle(self, first, shape, dtype):
        """Numba's array of this shape that begins at byte `first`."""
        key = first, shape, dtype
        if key not in self._handles:
            nbytes = prod(shape) * dtype.itemsize
            if nbytes:
                part = self._bytes[first : first + nbytes]
                self._handles[key] = part.view(dtype).reshape(shape)
            else:
                self._handles[key] = cuda.device_array(shape, dtype)
        return self._handles[key]


class Store:
    """All GPU memory that numsnn has allocated. Memory that is given back is used again, so that a training step with
    the same shapes as the one before allocates nothing.

    Kernels run one after another, so that memory may be used again while the last kernel that uses it still runs.

    Attributes:
        used: bytes of memory in use.
        held: bytes of memory allocated on the GPU.
        peak: largest value of used so far. It may be reset.
        allocations: number of allocations on the GPU.
    """

    def __init__(self):
        self.used = self.held = self.peak = self.allocations = 0
        self._free = defaultdict(list)

    def take(self, nbytes):
        """Return a piece of memory of at least `nbytes` bytes, and its size."""
        grain = max(GRAIN, 1 << max(0, nbytes.bit_length() - 4))
        size = -(-max(1, nbytes) // grain) * grain
        piece = self._free[size].pop() if self._free[size] else self._allocate(size)
        self.used += size
        self.peak = max(self.peak, self.used)
        return piece, size

    def give(self, piece, size):
        """Take back a piece of memory that is no longer used."""
        self.used -= size
        self._free[size].append(piece)

    def _allocate(self, size):
        for attempt in range(2):
            try:
                piece = _Piece(size)
                break
            except Exception as error:
                if "OUT_OF_MEMORY" not in str(error):
                    raise
                if attempt:
                    free, total = cuda.current_context().get_memory_info()
                    raise DeviceMemoryError(
                        f"device 'cuda': no memory for {_size(size)} more; numsnn holds {_size(self.held)}, "
                        f"{_size(free)} of {_size(total)} are free"
                    ) from None
                self.release()
        self.held += size
        self.allocations += 1
        return piece

    def release(self):
        """Return all memory that is not in use to the GPU."""
        work_stream().synchronize()
        self.held -= sum(size * len(pieces) for size, pieces in self._free.items())
        self._free.clear()


store = Store()


class Block:
    """A piece of GPU memory that several arrays may share. It is given back when the last of these is deleted."""

    def __init__(self, nbytes: int):
        self._piece, self._bytes = store.take(nbytes)

    def handle(self, first: int, shape: tuple[int, ...], dtype: np.dtype):
        """Numba's array of this shape that begins at byte `first`."""
        return self._piece.handle(first, shape, dtype)

    def __del__(self, give=store.give):
        if hasattr(self, "_piece"):  # it is missing if the allocation failed
            give(self._piece, self._bytes)


def _size(nbytes):
    return f"{nbytes / 2**30:.2f} GiB" if nbytes >= 2**27 else f"{nbytes / 2**20:.2f} MiB"


class DeviceArray:
    """A C-contiguous array in GPU memory.

    It has the part of NumPy's interface that networks need: reshaping, and slices along the first axis, both without a
    copy. Only kernels do arithmetic, and nothing is copied implicitly. Other libraries can use the array without a copy
    by its ``__cuda_array_interface__``.

    Attributes:
        shape, dtype, size, ndim, nbytes: as in NumPy.
        base: the `Block` whose memory the array uses.
        first: first byte of the array in the block.
    """

    __slots__ = ("base", "dtype", "first", "shape", "size")
    __array_ufunc__ = None

    def __init__(self, base: Block, first: int, shape: tuple[int, ...], dtype: np.dtype):
        self.base, self.first, self.shape, self.dtype = base, first, shape, dtype
        self.size = prod(shape)

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def nbytes(self):
        return self.size * self.dtype.itemsize

    @property
    def handle(self):
        """Numba's array, for a launch."""
        return self.base.handle(self.first, self.shape, self.dtype)

    def reshape(self, *shape) -> "DeviceArray":
        """The same memory as an array of another shape. One extent may be -1."""
        shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        known = prod(extent for extent in shape if extent != -1)
        if shape.count(-1) == 1 and known and self.size % known == 0:
            shape = tuple(self.size // known if extent == -1 else extent for extent in shape)
        if min(shape, default=1) < 0 or prod(shape) != self.size:
            raise ValueError(f"an array of shape {self.shape} cannot be reshaped to {shape}")
        return DeviceArray(self.base, self.first, tuple(int(extent) for extent in shape), self.dtype)

    def view(self, dtype) -> "DeviceArray":
        """The memory of an array with one axis as numbers of another type."""
        dtype = np.dtype(dtype)
        count, rest = divmod(self.nbytes, dtype.itemsize)
        if self.ndim != 1 or rest:
            raise ValueError(f"an array {self.dtype} of shape {self.shape} cannot be viewed as {dtype}")
        return DeviceArray(self.base, self.first, (count,), dtype)

    def __getitem__(self, key) -> "DeviceArray":
        """A view of one element or a slice (of step 1) along the first axis. None adds a new first axis."""
        if key is None:
            return DeviceArray(self.base, self.first, (1, *self.shape), self.dtype)
        if not self.shape:
            raise IndexError("an array without axes has no parts")
        length, rest = self.shape[0], self.shape[1:]
        row = prod(rest) * self.dtype.itemsize
        if isinstance(key, slice) and key.step in (None, 1):
            start, stop, _ = key.indices(length)
            return DeviceArray(self.base, self.first + start * row, (max(0, stop - start), *rest), self.dtype)
        if not isinstance(key, (int, np.integer)):
            raise TypeError(f"a device array takes one index, a range, or None; got {key!r}. Use to_host for more")
        if not -length <= key < length:
            raise IndexError(f"index {key} is out of range for an axis of {length}")
        return DeviceArray(self.base, self.first + int(key) % length * row, rest, self.dtype)

    def __len__(self):
        if not self.shape:
            raise TypeError("an array without axes has no length")
        return self.shape[0]

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __array__(self, dtype=None, copy=None):
        raise DeviceError("this array is on device 'cuda'; numsnn.kernels.for_device('cuda').to_host(x) brings it here")

    @property
    def __cuda_array_interface__(self):
        return self.handle.__cuda_array_interface__

    def __repr__(self):
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"


def empty(shape, dtype):
    """See `reference.array.empty`."""
    shape, dtype = tuple(int(extent) for extent in shape), np.dtype(dtype)
    return DeviceArray(Block(prod(shape) * dtype.itemsize), 0, shape, dtype)
