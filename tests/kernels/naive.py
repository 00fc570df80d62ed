"""An independent oracle: plain loops over Python numbers that follow the equations literally.

Arguments are objects that can be indexed, and results are nested lists. The oracle is slow, shares no code with the
package and does not rearrange formulas.
"""

import math

# --- the seven families and one of a user's own (`parabola`), at width 1 ---------------------------------------


def sigmoid(z):
    return (1 + math.tanh(z / 2)) / 2


DENSITY = {
    "rectangle": lambda z: 1.0 if -0.5 <= z <= 0.5 else 0.0,
    "triangle": lambda z: max(0.0, 1 - abs(z)),
    "logistic": lambda z: sigmoid(z) * (1 - sigmoid(z)),
    "arctan": lambda z: 1 / (math.pi * (1 + z**2)),
    "gaussian": lambda z: math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi),
    "laplace": lambda z: math.exp(-abs(z)) / 2,
    "fast_sigmoid": lambda z: 1 / (2 * (1 + abs(z)) ** 2),
    "parabola": lambda z: max(0.0, 3 / 4 * (1 - z**2)),
}


def _triangle_cdf(z):
    if z <= -1:
        return 0.0
    if z <= 0:
        return (1 + z) ** 2 / 2
    if z <= 1:
        return 1 - (1 - z) ** 2 / 2
    return 1.0


CDF = {
    "rectangle": lambda z: 0.0 if z < -0.5 else 1.0 if z > 0.5 else z + 0.5,
    "triangle": _triangle_cdf,
    "logistic": sigmoid,
    "arctan": lambda z: 0.5 + math.atan(z) / math.pi,
    "gaussian": lambda z: (1 + math.erf(z / math.sqrt(2))) / 2,
    "laplace": lambda z: math.exp(z) / 2 if z < 0 else 1 - math.exp(-z) / 2,
    "fast_sigmoid": lambda z: 1 / (2 * (1 - z)) if z < 0 else 1 - 1 / (2 * (1 + z)),
    "parabola": lambda z: 0.0 if z < -1 else 1.0 if z > 1 else (2 + 3 * z - z**3) / 4,
}

KINKS = {
    "rectangle": (-0.5, 0.5),
    "triangle": (-1.0, 0.0, 1.0),
    "logistic": (),
    "arctan": (),
    "gaussian": (),
    "laplace": (0.0,),
    "fast_sigmoid": (0.0,),
    "parabola": (-1.0, 1.0),
}
"""Points at which a density is not differentiable (rectangle: not continuous). Differences must not cross them."""


# --- the neuron ---------------------------------------------------------------------------------------------


def lif_forward(i, beta, theta, d, v_reset, decay_input, surrogate, alpha, frozen=None):
    """Return potentials and spikes ``[T][M][C]`` for currents i of the same shape.

    frozen: spikes ``[T][M][C]`` that the reset uses in place of the neuron's own spikes. The derivative of the result
    equals the gradient of backpropagation with a detached reset.
    """
    steps, rows, channels = len(i), len(i[0]), len(beta)
    u = [[[0.0] * channels for _ in range(rows)] for _ in range(steps)]
    s = [[[0.0] * channels for _ in range(rows)] for _ in range(steps)]
    for m in range(rows):
        for c in range(channels):
            gain = 1 - beta[c] if decay_input else 1.0
            v = owed = 0.0
            for t in range(steps):
                potential = beta[c] * v - owed + gain * i[t][m][c] - d[t][c]
                if surrogate is None:
                    spike = 1.0 if potential >= theta[c] else 0.0
                else:
                    spike = CDF[surrogate]((potential - theta[c]) / alpha[c])
                resetting = spike if frozen is None else frozen[t][m][c]
                if v_reset == "delayed":
                    v, owed = potential, resetting * theta[c]
                elif v_reset is None:
                    v = potential - resetting * theta[c]
                else:
                    v = potential - resetting * (potential - v_reset)
                u[t][m][c] = potential
                s[t][m][c] = spike
    return u, s


# --- layers over pictures, [B][H][W][C] ---------------------------------------------------------------------


def zeros(*shape):
    """Return nested lists of zeros."""
    return [0.0] * shape[0] if len(shape) == 1 else [zeros(*shape[1:]) for _ in range(shape[0])]


def windows(shape, kernel, stride, padding, dilation=(1, 1)):
    """(b, oy, ox, ky, kx, iy, ix) for every output position and every tap that lies inside the picture."""
    images, height, width = shape[:3]
    _, rows, columns, _ = output_shape(shape, kernel, stride, padding, 1, dilation)
    for b in range(images):
        for oy in range(rows):
            for ox in range(columns):
                for ky in range(kernel[0]):
                    for kx in range(kernel[1]):
                        iy = oy * stride[0] - padding[0] + ky * dilation[0]
                        ix = ox * stride[1] - padding[1] + kx * dilation[1]
                        if 0 <= iy < height and 0 <= ix < width:
                            yield b, oy, ox, ky, kx, iy, ix


def output_shape(shape, kernel, stride, padding, channels, dilation=(1, 1)):
    """[B, Ho, Wo, channels]."""
    height = (shape[1] + 2 * padding[0] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    width = (shape[2] + 2 * padding[1] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    return [shape[0], height, width, channels]


def _products(shape, w_shape, stride, padding, groups, dilation):
    """(output index, input index, weight index) of every product a convolution adds up."""
    kh, kw, inputs, channels_out = w_shape
    outputs = channels_out // groups
    for b, oy, ox, ky, kx, iy, ix in windows(shape, (kh, kw), stride, padding, dilation):
        for o in range(channels_out):
            for k in range(inputs):
                yield (b, oy, ox, o), (b, iy, ix, (o // outputs) * inputs + k), (ky, kx, k, o)


def conv2d_forward(x, w, b, stride, padding, groups, dilation=(1, 1)):
    """y = x correlated with w, plus b (None: none). x and w are arrays indexed by tuples."""
    y = zeros(*output_shape(x.shape, w.shape[:2], stride, padding, w.shape[3], dilation))
    for image in y:
        for row in image:
            for pixel in row:
                for o in range(w.shape[3]):
                    pixel[o] = 0.0 if b is None else float(b[o])
    for (n, oy, ox, o), at_x, at_w in _products(x.shape, w.shape, stride, padding, groups, dilation):
        y[n][oy][ox][o] += float(x[at_x]) * float(w[at_w])
    return y


def conv2d_backward(x, w, dy, stride, padding, groups, dilation=(1, 1)):
    """Return dx and dw: every product passes the gradient of the output to both of its factors."""
    dx, dw = zeros(*x.shape), zeros(*w.shape)
    for at_y, at_x, at_w in _products(x.shape, w.shape, stride, padding, groups, dilation):
        (n, iy, ix, i), (ky, kx, k, o) = at_x, at_w
        dx[n][iy][ix][i] += float(dy[at_y]) * float(w[at_w])
        dw[ky][kx][k][o] += float(dy[at_y]) * float(x[at_x])
    return dx, dw


def sum_pool2d_forward(x, kernel, stride, padding, divisor):
    """Sum over each window, divided by a number."""
    y = zeros(*output_shape(x.shape, kernel, stride, padding, x.shape[3]))
    for b, oy, ox, _, _, iy, ix in windows(x.shape, kernel, stride, padding):
        for c in range(x.shape[3]):
            y[b][oy][ox][c] += float(x[b, iy, ix, c]) / divisor
    return y


def sum_pool2d_backward(dy, shape, kernel, stride, padding, divisor):
    """Return dx: every position of a window receives its gradient, divided by a number."""
    dx = zeros(*shape)
    for b, oy, ox, _, _, iy, ix in windows(shape, kernel, stride, padding):
        for c in range(shape[3]):
            dx[b][iy][ix][c] += float(dy[b, oy, ox, c]) / divisor
    return dx


def max_pool2d_forward(x, kernel, stride, padding):
    """Maximum over each window and the number ky kw + kx of the first tap that has it."""
    shape = output_shape(x.shape, kernel, stride, padding, x.shape[3])
    y, index = zeros(*shape), zeros(*shape)
    seen = set()
    for b, oy, ox, ky, kx, iy, ix in windows(x.shape, kernel, stride, padding):
        for c in range(x.shape[3]):
            value = float(x[b, iy, ix, c])
            if (b, oy, ox, c) not in seen or value > y[b][oy][ox][c]:
                y[b][oy][ox][c] = value
                index[b][oy][ox][c] = ky * kernel[1] + kx
                seen.add((b, oy, ox, c))
    return y, index


def max_pool2d_backward(dy, index, shape, kernel, stride, padding):
    """Return dx: the maximum of a window receives the whole gradient of the window."""
    dx = zeros(*shape)
    for b, oy, ox, ky, kx, iy, ix in windows(shape, kernel, stride, padding):
        for c in range(shape[3]):
            if index[b, oy, ox, c] == ky * kernel[1] + kx:
                dx[b][iy][ix][c] += float(dy[b, oy, ox, c])
    return dx
