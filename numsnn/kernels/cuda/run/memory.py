"""Memory of the device: where it comes from, and the arrays that live in it."""

from collections import defaultdict
from math import prod

import numpy as np

from ....errors import DeviceError, DeviceMemoryError
from .api import cuda
from .stream import work_stream

GRAIN = 512
"""Pieces of memory are cut at multiples of so many bytes, large ones at multiples of a 16th of their size, so that one
that is given back fits the next that is asked for, though it be a little smaller."""


class _Piece:
    """Device memory, and the arrays that Numba makes of it: making them takes longer than a launch, and a training step
    asks for the same ones each time."""

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
    """Device memory in use, and what was given back and waits to be used again: a training step like the one before
    allocates nothing.

    Kernels run one after the other, so that memory may be handed on while the last kernel that uses it still runs.

    Attributes:
        used, held: bytes of arrays that are in use, and of all memory taken from the device.
        peak: the most that was ever in use; may be set back.
        allocations: how often the device was asked for memory.
    """

    def __init__(self):
        self.used = self.held = self.peak = self.allocations = 0
        self._free = defaultdict(list)

    def take(self, nbytes):
        """A piece of memory of at least so many bytes, and its size."""
        grain = max(GRAIN, 1 << max(0, nbytes.bit_length() - 4))
        size = -(-max(1, nbytes) // grain) * grain
        piece = self._free[size].pop() if self._free[size] else self._allocate(size)
        self.used += size
        self.peak = max(self.peak, self.used)
        return piece, size

    def give(self, piece, size):
        """It is used no more."""
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
        """Give back to the device what is not in use."""
        work_stream().synchronize()
        self.held -= sum(size * len(pieces) for size, pieces in self._free.items())
        self._free.clear()


store = Store()


class Block:
    """A lease of device memory, which arrays share that are parts of one another; ends with the last of them."""

    def __init__(self, nbytes: int):
        self._piece, self._bytes = store.take(nbytes)

    def handle(self, first: int, shape: tuple[int, ...], dtype: np.dtype):
        """Numba's array of this shape that begins at byte `first`."""
        return self._piece.handle(first, shape, dtype)

    def __del__(self, give=store.give):
        if hasattr(self, "_piece"):  # not where there was no memory
            give(self._piece, self._bytes)


def _size(nbytes):
    return f"{nbytes / 2**30:.2f} GiB" if nbytes >= 2**27 else f"{nbytes / 2**20:.2f} MiB"


class DeviceArray:
    """A C-contiguous array in device memory, as much of NumPy's as networks need: reshaping, and parts along the first
    axis, which share its memory. Arithmetic is the kernels' alone, and nothing is copied unasked.

    Other libraries take it without a copy by its ``__cuda_array_interface__``.

    Attributes:
        shape, dtype, size, ndim, nbytes: as NumPy's.
        base: the `Block` whose memory it is.
        first: the byte of the block at which it begins.
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
        """The same numbers in another shape; one extent may be -1."""
        shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        known = prod(extent for extent in shape if extent != -1)
        if shape.count(-1) == 1 and known and self.size % known == 0:
            shape = tuple(self.size // known if extent == -1 else extent for extent in shape)
        if min(shape, default=1) < 0 or prod(shape) != self.size:
            raise ValueError(f"an array of shape {self.shape} cannot be reshaped to {shape}")
        return DeviceArray(self.base, self.first, tuple(int(extent) for extent in shape), self.dtype)

    def __getitem__(self, key) -> "DeviceArray":
        """A part along the first axis: one index, a range without steps, or None for a new axis."""
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
