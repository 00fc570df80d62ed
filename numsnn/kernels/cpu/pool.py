"""Sum, average and max pooling, compiled. `reference.pool` documents them.

A tile is a number of rows of the array that is written: of the output in the forward pass, and of the input in the
backward pass, where every position sums the gradients of the filter windows that contain it.
"""

from ..compile import kernel
from .inline.access import read, write
from .inline.runs import clear_run
from .run.launch import count_tiles, launch, rows_per_tile


def _launch_rows(range_kernel, written, *arguments):
    """Launch a kernel over the rows (image and vertical position) of the array that it writes, ``[B, H, W, C]``."""
    images, height, width, channels = written.shape
    rows = rows_per_tile(width * channels)
    launch(range_kernel, count_tiles(images * height, rows), *arguments, rows)


@kernel
def _sum_forward(x, kernel_size, stride, padding, inverse, y, rows, lo, hi):
    # Windows of 2x2, which are frequent, are summed at once, if all of the row stand within the input.
    _, source_height, source_width, channels = x.shape
    images, height, width, _ = y.shape
    across = (width - 1) * stride[1] - padding[1] + 2 <= source_width and padding[1] == 0
    for row in range(lo * rows, min(images * height, hi * rows)):
        image, oy = row // height, row % height
        top = oy * stride[0] - padding[0]
        if kernel_size == (2, 2) and across and 0 <= top <= source_height - 2:
            for ox in range(width):
                left = ox * stride[1]
                for c in range(channels):
                    total = type(inverse)(read(x, "value", (image, top, left, c)))
                    total += type(inverse)(read(x, "value", (image, top, left + 1, c)))
                    total += type(inverse)(read(x, "value", (image, top + 1, left, c)))
                    total += type(inverse)(read(x, "value", (image, top + 1, left + 1, c)))
                    write(y, "output", (image, oy, ox, c), total * inverse)
            continue
        clear_run(y, (image, oy, 0, 0), width * channels)
        for ox in range(width):
            for ky in range(kernel_size[0]):
                iy = top + ky
                if 0 <= iy < source_height:
                    for kx in range(kernel_size[1]):
                        ix = ox * stride[1] - padding[1] + kx
                        if 0 <= ix < source_width:
                            for c in range(channels):
                                value = type(inverse)(read(x, "value", (image, iy, ix, c)))
                                total = read(y, "output", (image, oy, ox, c)) + value
                                write(y, "output", (image, oy, ox, c), total)
            for c in range(channels):
                write(y, "output", (image, oy, ox, c), read(y, "output", (image, oy, ox, c)) * inverse)


def sum_pool2d_forward(x, window, divisor, y):
    """See `reference.pool.sum_pool2d_forward`."""
    _launch_rows(_sum_forward, y, x, *window, y.dtype.type(1 / divisor), y)


@kernel
def _sum_backward(dy, kernel_size, stride, padding, inverse, dx, rows, lo, hi):
    # Output row oy reads input row iy through tap ky if the stride divides the distance. Where windows overlap, the
    # outputs of a row go from right to left, so that every input sums its taps from left to right. Where they stand
    # alone, an input has one tap at most and is written once; done counts the inputs of the row that have their number.
    _, height, width, channels = dy.shape
    images, source_height, source_width, _ = dx.shape
    alone = kernel_size[0] <= stride[0] and kernel_size[1] <= stride[1]
    for row in range(lo * rows, min(images * source_height, hi * rows)):
        image, iy, done = row // source_height, row % source_height, 0
        if not alone:
            clear_run(dx, (image, iy, 0, 0), source_width * channels)
            done = source_width
        for ky in range((iy + padding[0]) % stride[0], kernel_size[0], stride[0]):
            oy = (iy + padding[0] - ky) // stride[0]
            if 0 <= oy < height:
                for k in range(width):
                    ox = k if alone else width - 1 - k
                    left = ox * stride[1] - padding[1]
                    first, last = max(0, left), min(source_width, left + kernel_size[1])
                    if done < first:
                        clear_run(dx, (image, iy, done, 0), (first - done) * channels)
                    done = max(done, last)
                    for ix in range(first, last):
                        for c in range(channels):
                            share = read(dy, "gradient", (image, oy, ox, c)) * inverse
                            if not alone:
                                share += read(dx, "input gradient", (image, iy, ix, c))
                            write(dx, "input gradient", (image, iy, ix, c), share)
        if done < source_width:
            clear_run(dx, (image, iy, done, 0), (source_width - done) * channels)


def sum_pool2d_backward(dy, window, divisor, dx):
    """See `reference.pool.sum_pool2d_backward`."""
    _launch_rows(_sum_backward, dx, dy, *window, dy.dtype.type(1 / divisor), dx)


@kernel
def _max_forward(x, kernel_size, stride, padding, y, index, rows, lo, hi):
    _, source_height, source_width, channels = x.shape
    images, height, width, _ = y.shape
    for row in range(lo * rows, min(images * height, hi * rows)):
        image, oy = row // height, row % height
        for ox in range(width):
            found = False
            for ky in range(kernel_size[0]):
                iy = oy * stride[0] - padding[0] + ky
                if 0 <= iy < source_height:
                    for kx in range(kernel_size[1]):
                        ix = ox * stride[1] - padding[1] + kx
                        if 0 <= ix < source_width:
                            tap = ky * kernel_size[1] + kx
                            for c in range(channels):
                                value, at = read(x, "value", (image, iy, ix, c)), index.dtype.type(tap)
                                if found:  # otherwise this is the first position of the window
                                    top, held = (
                                        read(y, "output", (image, oy, ox, c)),
                                        read(index, "tap", (image, oy, ox, c)),
                                    )
                                    value, at = (value, at) if value > top else (top, held)
                                write(y, "output", (image, oy, ox, c), value)
                                write(index, "tap", (image, oy, ox, c), at)
                            found = True


def max_pool2d_forward(x, window, y, index):
    """See `reference.pool.max_pool2d_forward`."""
    _launch_rows(_max_forward, y, x, *window, y, index)


@kernel
def _max_backward(dy, index, kernel_size, stride, padding, dx, rows, lo, hi):
    # The loops are those of `_sum_backward`.
    _, height, width, channels = dy.shape
    images, source_height, source_width, _ = dx.shape
    alone = kernel_size[0] <= stride[0] and kernel_size[1] <= stride[1]
    for row in range(lo * rows, min(images * source_height, hi * rows)):
        image, iy, done = row // source_height, row % source_height, 0
        if not alone:
            clear_run(dx, (image, iy, 0, 0), source_width * channels)
            done = source_width
        for ky in range((iy + padding[0]) % stride[0], kernel_size[0], stride[0]):
            oy = (iy + padding[0] - ky) // stride[0]
            if 0 <= oy < height:
                for k in range(width):
                    ox = k if alone else width - 1 - k
                    left = ox * stride[1] - padding[1]
                    first, last = max(0, left), min(source_width, left + kernel_size[1])
                    if done < first:
                        clear_run(dx, (image, iy, done, 0), (first - done) * channels)
                    done = max(done, last)
                    for ix in range(first, last):
                        tap = index.dtype.type(ky * kernel_size[1] + ix - left)
                        for c in range(channels):
                            share = read(dy, "gradient", (image, oy, ox, c))
                            if read(index, "tap", (image, oy, ox, c)) != tap:
                                share = type(share)(0)
                            if not alone:
                                share += read(dx, "input gradient", (image, iy, ix, c))
                            write(dx, "input gradient", (image, iy, ix, c), share)
        if done < source_width:
            clear_run(dx, (image, iy, done, 0), (source_width - done) * channels)


def max_pool2d_backward(dy, index, window, dx):
    """See `reference.pool.max_pool2d_backward`."""
    _launch_rows(_max_backward, dx, dy, index, *window, dx)
