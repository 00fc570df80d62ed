"""Sum, average and max pooling, compiled. `reference.pool` documents them.

A tile is a number of rows of the array that is written: of the output in the forward pass, and of the input in the
backward pass, where every position sums the gradients of the filter windows that contain it.
"""

from ..compile import kernel
from .inline.access import read, write
from .run.launch import count_tiles, launch, rows_per_tile


def _launch_rows(range_kernel, written, *arguments):
    """Launch a kernel over the rows (image and vertical position) of the array that it writes, ``[B, H, W, C]``."""
    images, height, width, channels = written.shape
    rows = rows_per_tile(width * channels)
    launch(range_kernel, count_tiles(images * height, rows), *arguments, rows)


@kernel
def _sum_forward(x, kernel_size, stride, padding, inverse, y, rows, lo, hi):
    _, source_height, source_width, channels = x.shape
    images, height, width, _ = y.shape
    for row in range(lo * rows, min(images * height, hi * rows)):
        image, oy = row // height, row % height
        for ox in range(width):
            for c in range(channels):
                y[image, oy, ox, c] = type(inverse)(0)
            for ky in range(kernel_size[0]):
                iy = oy * stride[0] - padding[0] + ky
                if 0 <= iy < source_height:
                    for kx in range(kernel_size[1]):
                        ix = ox * stride[1] - padding[1] + kx
                        if 0 <= ix < source_width:
                            for c in range(channels):
                                y[image, oy, ox, c] += x[image, iy, ix, c]
            for c in range(channels):
                y[image, oy, ox, c] *= inverse


def sum_pool2d_forward(x, window, divisor, y):
    """See `reference.pool.sum_pool2d_forward`."""
    _launch_rows(_sum_forward, y, x, *window, y.dtype.type(1 / divisor), y)


@kernel
def _sum_backward(dy, kernel_size, stride, padding, inverse, dx, rows, lo, hi):
    _, height, width, channels = dy.shape
    images, source_height, source_width, _ = dx.shape
    for row in range(lo * rows, min(images * source_height, hi * rows)):
        image, iy = row // source_height, row % source_height
        top = iy + padding[0]
        for ix in range(source_width):
            # Output (oy, ox) reads this input through tap (ky, kx) if the stride divides the distance. The gradient of
            # the first one is written, and those of the others are added.
            left, found = ix + padding[1], False
            for ky in range(top % stride[0], kernel_size[0], stride[0]):
                oy = (top - ky) // stride[0]
                if 0 <= oy < height:
                    for kx in range(left % stride[1], kernel_size[1], stride[1]):
                        ox = (left - kx) // stride[1]
                        if 0 <= ox < width and found:
                            for c in range(channels):
                                share = read(dy, "gradient", (image, oy, ox, c)) * inverse
                                before = read(dx, "input gradient", (image, iy, ix, c))
                                write(dx, "input gradient", (image, iy, ix, c), before + share)
                        elif 0 <= ox < width:
                            found = True
                            for c in range(channels):
                                share = read(dy, "gradient", (image, oy, ox, c)) * inverse
                                write(dx, "input gradient", (image, iy, ix, c), share)
            if not found:
                for c in range(channels):
                    write(dx, "input gradient", (image, iy, ix, c), type(inverse)(0))


def sum_pool2d_backward(dy, window, divisor, dx):
    """See `reference.pool.sum_pool2d_backward`."""
    _launch_rows(_sum_backward, dx, dy, *window, dy.dtype.type(1 / divisor), dx)


@kernel
def _max_forward(x, kernel_size, stride, padding, y, index, rows, lo, hi):
    _, source_height, source_width, channels = x.shape
    images, height, width, _ = y.shape
    for row in range(lo * rows, min(images * height, hi * rows)):
        image, oy = row // height, row % height
        # index is -1 until a window's first position, so that no start value of y can win.
        for ox in range(width):
            for c in range(channels):
                index[image, oy, ox, c] = -1
            for ky in range(kernel_size[0]):
                iy = oy * stride[0] - padding[0] + ky
                if 0 <= iy < source_height:
                    for kx in range(kernel_size[1]):
                        ix = ox * stride[1] - padding[1] + kx
                        if 0 <= ix < source_width:
                            tap = ky * kernel_size[1] + kx
                            for c in range(channels):
                                value = x[image, iy, ix, c]
                                if index[image, oy, ox, c] < 0 or value > y[image, oy, ox, c]:
                                    y[image, oy, ox, c] = value
                                    index[image, oy, ox, c] = tap


def max_pool2d_forward(x, window, y, index):
    """See `reference.pool.max_pool2d_forward`."""
    _launch_rows(_max_forward, y, x, *window, y, index)


@kernel
def _max_backward(dy, index, kernel_size, stride, padding, dx, rows, lo, hi):
    _, height, width, channels = dy.shape
    images, source_height, source_width, _ = dx.shape
    for row in range(lo * rows, min(images * source_height, hi * rows)):
        image, iy = row // source_height, row % source_height
        for ix in range(source_width):
            # Output (oy, ox) reads this input through tap (ky, kx) if the stride divides the distance.
            for c in range(channels):
                dx[image, iy, ix, c] = type(dy[0, 0, 0, 0])(0)
            for ky in range(kernel_size[0]):
                oy = (iy + padding[0] - ky) // stride[0]
                if oy * stride[0] == iy + padding[0] - ky and 0 <= oy < height:
                    for kx in range(kernel_size[1]):
                        ox = (ix + padding[1] - kx) // stride[1]
                        if ox * stride[1] == ix + padding[1] - kx and 0 <= ox < width:
                            tap = ky * kernel_size[1] + kx
                            for c in range(channels):
                                if index[image, oy, ox, c] == tap:
                                    dx[image, iy, ix, c] += dy[image, oy, ox, c]


def max_pool2d_backward(dy, index, window, dx):
    """See `reference.pool.max_pool2d_backward`."""
    _launch_rows(_max_backward, dx, dy, index, *window, dx)
