"""A replacement for nvmath.bindings.cublas in the simulator. It checks its arguments as the library would, and computes
with NumPy on the memory that the pointers give."""

import ctypes

import numpy as np

from numsnn.kernels.cuda.ways import library

ROUNDED = {"float32": 23, "tf32": 10, "bfloat16": 7, "float16": 10}
"""Number of bits after the binary point of the factors, by route."""


class cuBLASError(Exception):
    """What the bindings raise."""


def rounded(x, bits):
    """Round float32 numbers to this number of bits after the binary point; halves are rounded away from zero."""
    drop = 23 - bits
    whole = x.view(np.uint32) + np.uint32((1 << drop) >> 1)
    return (whole & ~np.uint32((1 << drop) - 1)).view(np.float32)


def _matrix(pointer, rows, columns, pitch):
    """Return a matrix that is stored column by column; columns begin `pitch` numbers apart."""
    assert pitch >= max(1, rows)
    count = pitch * (columns - 1) + rows
    memory = np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), (count,))
    return np.lib.stride_tricks.as_strided(memory, (rows, columns), (4, 4 * pitch))


class Library:
    """The functions of the bindings that the package uses, with the same arguments.

    Attributes:
        calls: (m, n, k, compute type, whether the product is added to the old result) of every product.
    """

    HANDLE, VERSION = 4711, 131001
    cuBLASError = cuBLASError

    def __init__(self):
        self.calls = []
        self.stream = self.workspace = None

    def create(self):
        return self.HANDLE

    def set_stream(self, handle, stream_id):
        assert handle == self.HANDLE and isinstance(stream_id, int)
        self.stream, self.workspace = stream_id, None  # as the library does

    def set_workspace(self, handle, workspace, workspace_size_in_bytes):
        assert handle == self.HANDLE and self.stream is not None and workspace and workspace_size_in_bytes > 0
        self.workspace = workspace

    def get_version(self, handle):
        assert handle == self.HANDLE
        return self.VERSION

    def gemm_ex(
        self,
        handle,
        transa,
        transb,
        m,
        n,
        k,
        alpha,
        a,
        atype,
        lda,
        b,
        btype,
        ldb,
        beta,
        c,
        ctype,
        ldc,
        compute_type,
        algo,
    ):
        """c = alpha op(a) op(b) + beta c, op(a) being m x k and op(b) k x n."""
        assert handle == self.HANDLE and self.workspace is not None
        assert all(isinstance(number, int) for number in (m, n, k, lda, ldb, ldc, alpha, beta, a, b, c))
        assert (atype, btype, ctype, algo) == (0, 0, 0, -1) and {transa, transb} <= {0, 1}
        if min(m, n, k) < 1:
            raise cuBLASError("CUBLAS_STATUS_INVALID_VALUE (7): a size\nof zero")
        alpha, beta = (ctypes.cast(p, ctypes.POINTER(ctypes.c_float))[0] for p in (alpha, beta))
        left = _matrix(a, k, m, lda).T if transa else _matrix(a, m, k, lda)
        right = _matrix(b, n, k, ldb).T if transb else _matrix(b, k, n, ldb)
        total = _matrix(c, m, n, ldc)
        (route,) = (name for name, number in library.COMPUTE.items() if number == compute_type)
        left, right = (rounded(np.ascontiguousarray(factor), ROUNDED[route]) for factor in (left, right))
        assert (alpha, beta) in ((1, 0), (1, 1))
        total[...] = left @ right + (total if beta else 0)
        self.calls.append((m, n, k, route, bool(beta)))
