"""The scalar equations of the method, written once and compiled into the kernels of the CPU and of CUDA.

Each function is one equation, and its docstring begins with the id of this equation in docs/method.md. The functions
take and return scalars. The loops around them are in ``kernels/cpu`` and ``kernels/cuda``. ``kernels/reference`` states
the same equations a second time in NumPy, on purpose, because the tests compare these functions with it.

A constant takes the type of the argument (``type(z)(1)``), because a bare Python float would turn float32 arithmetic
into float64.
"""

import math

from .compile import register_jitable
from .exponential import decaying_exp

# --- the neuron ---------------------------------------------------------------------------------------------------


@register_jitable
def charge(v, i, beta, gain):
    """N1: the charged potential, beta v[t-1] + gain i[t]. gain is that of `input_gain`."""
    return beta * v + gain * i


@register_jitable
def input_gain(beta, decay_input):
    """N1: the gain of the input current, which is 1 - beta with ``decay_input`` and otherwise 1."""
    one = type(beta)(1)
    return one - beta if decay_input else one


@register_jitable
def correct(u, d):
    """N1: the correction is subtracted from the charged potential: u[t] = u - d[t]."""
    return u - d


@register_jitable
def fire(x):
    """N2: firing, s[t] = H(x[t]) with x = u - theta and H(0) = 1."""
    return x >= type(x)(0)


@register_jitable
def reset_hard(u, s, v_reset):
    """N3: the hard reset, v[t] = u[t] - s[t] (u[t] - v_reset)."""
    return u - s * (u - v_reset)


@register_jitable
def reset_soft(u, s, theta):
    """N4: the soft reset, v[t] = u[t] - s[t] theta."""
    return u - s * theta


@register_jitable
def before_leak(x, beta):
    """N18: x / beta, the amount of which the leak of the next step leaves x."""
    return x / beta


@register_jitable
def spike_gradient_hard(g, e, u, v_reset):
    """N5: q[t] = g[t] + e[t] (v_reset - u[t]), where the spike in the hard reset has a gradient."""
    return g + e * (v_reset - u)


@register_jitable
def spike_gradient_soft(g, e, theta):
    """N6: q[t] = g[t] - e[t] theta, where the spike in the soft reset has a gradient."""
    return g - e * theta


@register_jitable
def potential_gradient(q, e, s, density, p):
    """N7: delta[t] = q[t] phi(x[t]) + e[t] (1 - s[t]) + p[t]. Without a hard reset the caller passes 0 for s."""
    return q * density + e * (type(s)(1) - s) + p


@register_jitable
def leak_gradient(delta, u, v, beta, d, decay_input):
    """N10: this step's term of dL/dbeta, where the current was not stored. With ``decay_input`` it follows from N1."""
    real = type(u)
    return delta * (v - ((u - beta * v + d) / (real(1) - beta) if decay_input else real(0)))


@register_jitable
def delay_gradient(r, s, fall):
    """N20: this step's term of dL/dbeta through a delayed reset, e[t] s[t] theta / beta^2, with r = e / beta and fall =
    theta / beta."""
    return r * s * fall


# --- normalisation ------------------------------------------------------------------------------------------------


@register_jitable
def inverse_deviation(var, eps):
    """B3: 1 / sqrt(var + eps)."""
    real = type(var)
    return real(1) / real(math.sqrt(var + eps))


@register_jitable
def normalise(x, centre, factor, offset):
    """B4: the normalisation of one channel, (x - centre) factor + offset. factor contains variance and scale."""
    return (x - centre) * factor + offset


@register_jitable
def norm_pull(dy, x, centre, factor, slope, offset):
    """B7: dL/dx, factor dy + slope (x - centre) + offset. The last two terms go through the variance and the mean."""
    return factor * dy + (slope * (x - centre) + offset)


@register_jitable
def group_pull(dy, x, centre, inverse, gamma, mean_slope, mean_projection):
    """B13: dL/dx. The last two arguments are the group's means of G and of G xn."""
    return inverse * (gamma * dy - mean_slope - (x - centre) * inverse * mean_projection)


# --- memory beyond the potential ----------------------------------------------------------------------------------


@register_jitable
def synapse(j, i, gamma):
    """X4: the synapse, j[t] = gamma j[t-1] + i[t]."""
    return gamma * j + i


@register_jitable
def adapted_threshold(theta, kappa, a):
    """X7: the adapted threshold, theta[t] = theta + kappa a[t-1]."""
    return theta + kappa * a


@register_jitable
def adaptation(a, s, rho):
    """X8: the adaptation, a[t] = rho a[t-1] + (1 - rho) s[t]."""
    return rho * a + (type(s)(1) - rho) * s


@register_jitable
def current_gradient(delta, h, gain):
    """X5: dL/dj[t] = gain delta[t] + h, where h = gamma dL/dj[t+1], or 0 without a synapse."""
    return gain * delta + h


@register_jitable
def adaptation_gradient(f, dtheta, rho, kappa):
    """X10: dL/da[t-1] = rho f[t] + kappa dL/dtheta[t]."""
    return rho * f + kappa * dtheta


@register_jitable
def spike_gradient_adaptation(q, f, rho):
    """X11: q[t] + (1 - rho) f[t], where the spike acts on the adaptation."""
    return q + (type(f)(1) - rho) * f


@register_jitable
def adaptation_decay_gradient(f, a, s):
    """X13: this step's term of dL/drho, f[t] (a[t-1] - s[t])."""
    return f * (a - s)


# --- the surrogate families ---------------------------------------------------------------------------------------
# phi(z) is the density and Phi(z) its distribution function, both at width 1. Comparisons are written so that a NaN
# gives a NaN wherever the formula of the family contains z.


@register_jitable
def rectangle_density(z):
    """S2: rectangle, phi(z) = 1 for |z| <= 1/2."""
    return type(z)(0) if abs(z) > type(z)(0.5) else type(z)(1)


@register_jitable
def rectangle_cdf(z):
    """S2: rectangle, Phi(z) = z + 1/2 within the support."""
    return min(max(z + type(z)(0.5), type(z)(0)), type(z)(1))


@register_jitable
def triangle_density(z):
    """S3: triangle, phi(z) = max(0, 1 - |z|)."""
    return type(z)(0) if abs(z) >= type(z)(1) else type(z)(1) - abs(z)


@register_jitable
def triangle_cdf(z):
    """S3: triangle, Phi(z) = (1 + z)^2 / 2 below 0, 1 - (1 - z)^2 / 2 above, within the support."""
    one, half = type(z)(1), type(z)(0.5)
    inside = max(one - abs(z), type(z)(0))
    tail = half * inside * inside
    return tail if z < type(z)(0) else one - tail


@register_jitable
def logistic_density(z):
    """S4: logistic, phi(z) = sigma(z) (1 - sigma(z)), evaluated without overflow."""
    one = type(z)(1)
    decay = decaying_exp(-abs(z))
    return decay / ((one + decay) * (one + decay))


@register_jitable
def logistic_cdf(z):
    """S4: logistic, Phi(z) = sigma(z), evaluated without overflow."""
    one = type(z)(1)
    decay = decaying_exp(-abs(z))
    return (decay if z < type(z)(0) else one) / (one + decay)


@register_jitable
def arctan_density(z):
    """S5: arctan (Cauchy), phi(z) = 1 / (pi (1 + z^2))."""
    return type(z)(1 / math.pi) / (type(z)(1) + z * z)


@register_jitable
def arctan_cdf(z):
    """S5: arctan (Cauchy), Phi(z) = 1/2 + atan(z) / pi."""
    return type(z)(0.5) + math.atan(z) * type(z)(1 / math.pi)


@register_jitable
def gaussian_density(z):
    """S6: Gaussian (erf), phi(z) = exp(-z^2 / 2) / sqrt(2 pi)."""
    return decaying_exp(-type(z)(0.5) * z * z) * type(z)(1 / math.sqrt(2 * math.pi))


@register_jitable
def gaussian_cdf(z):
    """S6: Gaussian (erf), Phi(z) = (1 + erf(z / sqrt 2)) / 2."""
    return type(z)(0.5) * (type(z)(1) + math.erf(z * type(z)(math.sqrt(0.5))))


@register_jitable
def laplace_density(z):
    """S7: Laplace, phi(z) = exp(-|z|) / 2."""
    return type(z)(0.5) * decaying_exp(-abs(z))


@register_jitable
def laplace_cdf(z):
    """S7: Laplace, Phi(z) = exp(z) / 2 below 0, 1 - exp(-z) / 2 above."""
    tail = type(z)(0.5) * decaying_exp(-abs(z))
    return tail if z < type(z)(0) else type(z)(1) - tail


@register_jitable
def fast_sigmoid_density(z):
    """S8: fast sigmoid (SuperSpike), phi(z) = 1 / (2 (1 + |z|)^2)."""
    reach = type(z)(1) + abs(z)
    return type(z)(0.5) / (reach * reach)


@register_jitable
def fast_sigmoid_cdf(z):
    """S8: fast sigmoid (SuperSpike), Phi(z) = 1 / (2 (1 - z)) below 0, 1 - 1 / (2 (1 + z)) above."""
    tail = type(z)(0.5) / (type(z)(1) + abs(z))
    return tail if z < type(z)(0) else type(z)(1) - tail


DENSITY = {
    "rectangle": rectangle_density,
    "triangle": triangle_density,
    "logistic": logistic_density,
    "arctan": arctan_density,
    "gaussian": gaussian_density,
    "laplace": laplace_density,
    "fast_sigmoid": fast_sigmoid_density,
}
"""Family name -> phi."""

CDF = {
    "rectangle": rectangle_cdf,
    "triangle": triangle_cdf,
    "logistic": logistic_cdf,
    "arctan": arctan_cdf,
    "gaussian": gaussian_cdf,
    "laplace": laplace_cdf,
    "fast_sigmoid": fast_sigmoid_cdf,
}
"""Family name -> Phi."""


@register_jitable
def surrogate(density, x, inverse_width):
    """S1: z = x / alpha and phi_alpha(x) = phi(z) / alpha, for the density phi of a family and x = u - theta."""
    z = x * inverse_width
    return z, density(z) * inverse_width


@register_jitable
def visible(x, inverse_width, reach):
    """D7: whether a potential is within the surrogate's reach, for x = u - theta. A NaN counts as visible."""
    return not abs(x * inverse_width) > reach


@register_jitable
def width_gradient(q, density, z):
    """P1: the term of one potential in dL/dalpha, -q phi_alpha(x) x / alpha, with z = x / alpha."""
    return -q * density * z


@register_jitable
def window_share(gap, dev, half):
    """P4: share of a normal distribution between -half and half, if its mean is gap and its deviation dev."""
    real = type(dev)
    scale = real(math.sqrt(0.5)) / dev
    return real(0.5) * (real(math.erf((half - gap) * scale)) - real(math.erf((-half - gap) * scale)))


# --- potential distribution adjustment ----------------------------------------------------------------------------


@register_jitable
def normal_divergence(mean, var, target_mean, target_var):
    """D4: J, the symmetric Kullback-Leibler divergence of N(mean, var) and N(target_mean, target_var)."""
    half, one = type(mean)(0.5), type(mean)(1)
    gap = (mean - target_mean) * (mean - target_mean)
    return half * ((var + gap) / target_var + (target_var + gap) / var) - one


@register_jitable
def normal_divergence_offset(mean, var, target_mean, target_var):
    """D5: the constant part of n dJ/du_k, its value at u_k = mean: gap (1/w + 1/v)."""
    one = type(mean)(1)
    return (mean - target_mean) * (one / target_var + one / var)


@register_jitable
def normal_divergence_slope(mean, var, target_mean, target_var):
    """D6: the factor of (u_k - mean) in n dJ/du_k: 1/w - (w + gap^2) / v^2."""
    gap = (mean - target_mean) * (mean - target_mean)
    return type(mean)(1) / target_var - (target_var + gap) / (var * var)


@register_jitable
def direct_gradient(u, centre, offset, slope):
    """N7: p[t] = p_offset + p_slope (u[t] - mean), the gradient of a loss that acts on the potential itself (D5, D6).

    centre is the mean. The slope may be very large, so the distance from the mean is taken first: a product with u
    itself would leave only rounding where all potentials are nearly equal.
    """
    return offset + slope * (u - centre)


@register_jitable
def with_direct_gradient(dy, u, centre, offset, slope):
    """A4: dy plus the gradient of a loss that acts on u itself (`direct_gradient`)."""
    return dy + direct_gradient(u, centre, offset, slope)


@register_jitable
def tracked_correction(d, mean, target, momentum):
    """D3: the correction after one update, d + momentum (mean - target)."""
    return d + momentum * (mean - target)


# --- randomness as a function of (seed, index) --------------------------------------------------------------------


@register_jitable
def uniform_bits(seed, index):
    """C1: 24 random bits as a whole number that depends on (seed, index) alone.

    They are the upper 24 bits of SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195) at the state
    number `index`. seed and index are uint64. The result is the same on every device, for any number of threads and in
    any order of calls.
    """
    z = seed + (index + type(seed)(1)) * type(seed)(0x9E3779B97F4A7C15)
    z = (z ^ (z >> type(seed)(30))) * type(seed)(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> type(seed)(27))) * type(seed)(0x94D049BB133111EB)
    z = z ^ (z >> type(seed)(31))
    return z >> type(seed)(40)


@register_jitable
def uniform(seed, index):
    """C2: a random number in [0, 1), `uniform_bits` / 2^24, which float32 represents exactly."""
    return uniform_bits(seed, index) / 16777216.0
