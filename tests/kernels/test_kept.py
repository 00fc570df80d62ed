"""Weights that do not change are prepared once, on every route that prepares them."""

import numpy as np
import pytest
from targets import cpu

from numsnn.kernels.types import Geometry, Way


@pytest.mark.parametrize(("route", "groups"), [("dense", 1), ("dense", 2), ("events", 1), ("winograd", 1)])
def test_kept_weights_are_prepared_once(route, groups):
    """The second pass does not look at the weights again: they are other ones by then, and only it without memory sees
    them."""
    rng, geometry, kept = np.random.default_rng(0), Geometry((1, 1), (1, 1), groups), {}
    x = (rng.random((2, 5, 5, 8)) < 0.5).astype(np.uint8)
    w = rng.normal(size=(3, 3, 8 // groups, 8)).astype(np.float32)
    passes = []
    for memory in (kept, kept, None):
        y = np.empty(x.shape, np.float32)
        assert cpu.conv2d_forward(x, w, None, geometry, y, None, Way(route), memory) == route
        passes.append(y)
        w = -w if memory is kept and len(passes) == 1 else w
    first, second, anew = passes
    np.testing.assert_array_equal(second, first)
    np.testing.assert_array_equal(anew, -first)
