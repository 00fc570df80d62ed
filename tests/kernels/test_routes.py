"""Every route of a convolution compared with the reference, and the choice of a route."""

import numpy as np
import pytest
from bounds import REALS, agree, within
from convolutions import CASES, draw, magnitudes, run
from targets import cpu, reference

from numsnn.kernels.cpu import costs, route
from numsnn.kernels.cpu.run.launch import SingleThread
from numsnn.kernels.cpu.ways import panels, product, winograd, winograd_gradient
from numsnn.kernels.cpu.ways.active import Active, sampled_share
from numsnn.kernels.types import PRECISIONS, ROUTES, Geometry, Way

PLAIN = [name for name, case in CASES.items() if case[4] == 1]
"""Cases of one group: those that events can take."""


def by(asked, x, w, b, dy, geometry):
    """y, dw, dx of the CPU target by one route, in memory that held NaN, and the routes taken."""
    y, dw, dx = (np.full_like(like, np.nan) for like in (dy, w, np.zeros(x.shape, w.dtype)))
    active = cpu.active_inputs(x, w.dtype)
    taken = (
        cpu.conv2d_forward(x, w, b, geometry, y, active, Way(asked)),
        cpu.conv2d_backward_weight(x, dy, geometry, dw, active, Way(asked)),
        cpu.conv2d_backward_input(dy, w, geometry, dx, Way(asked)),
    )
    return (y, dw, dx), taken


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("asked", ["events", "dense"])
@pytest.mark.parametrize("name", PLAIN)
def test_events_and_dense_are_the_reference(small_tiles, monkeypatch, name, asked, density, real):
    """Weighted inputs, some of them negative; all silent, and none."""
    monkeypatch.setitem(cpu.conv2d_forward.__globals__, "by_input_pixel", lambda *a: False)
    x, w, b, dy, geometry = draw(name, real)
    x = np.where(np.random.default_rng(3).random(x.shape) < density, x, 0).astype(real)
    got, taken = by(asked, x, w, b, dy, geometry)
    assert taken[:2] == (asked, asked)
    want = run(reference, x, w, b, dy, geometry)
    for array, oracle, (terms, scale) in zip(got, want, magnitudes(x, w, b, dy, geometry), strict=True):
        agree(array, oracle, terms, scale)
    if density == 0:
        assert (got[0] == b).all() and not got[1].any()


def test_pixels_that_are_kept_apart_in_the_cache(monkeypatch):
    """With a multiple of 256 channels there are numbers between the pixels of a tile's copy, which nothing reads."""
    monkeypatch.setattr(product.scratch, "get", lambda purpose, shape, dtype: np.full(shape, np.nan, dtype))
    rng = np.random.default_rng(6)
    x, b = rng.normal(size=(2, 3, 4, 256)).astype(np.float32), rng.normal(size=11).astype(np.float32)
    w, y = rng.normal(size=(3, 3, 256, 11)).astype(np.float32), np.empty((2, 3, 4, 11), np.float32)
    packed = panels.pack(w, kept={})
    taps = np.repeat([-1, 0, 1], 3), np.tile([-1, 0, 1], 3)
    with SingleThread():
        product.correlate(x, 0, tuple(tuple(axis.tolist()) for axis in taps), (1, 1), packed, b, y)
    want = np.empty_like(y)
    reference.conv2d_forward(x, w, b, Geometry((1, 1), (1, 1)), want)
    np.testing.assert_allclose(y, want, rtol=1e-3, atol=1e-3)


# (B, H, W, I), outputs, padding: tiles cut short each way, fewer channels than a register holds, more than a panel
THREE_BY_THREE = {
    "one tile": ((1, 4, 4, 3), 2, (1, 1)),
    "cut short": ((3, 5, 7, 5), 6, (1, 1)),
    "no padding": ((2, 9, 8, 17), 33, (0, 0)),
    "much padding": ((1, 3, 4, 16), 40, (2, 3)),
    "many tiles": ((9, 12, 12, 8), 20, (1, 1)),
    "more than a panel is deep": ((1, 4, 5, 300), 4, (1, 1)),
}


def rounding_of_winograd(x, w, dy, padding):
    """Bounds of the error of y, dw and dx: the same transforms of absolute values, which are the largest numbers met on
    the way, times the operations a number goes through."""
    matrices = winograd.INPUT, winograd.WEIGHTS, winograd.PRODUCTS
    to_input, to_weights, back = (np.abs(np.array(m, np.float64)) for m in matrices)

    def cut(a, before, extent, tiles):
        padded = np.pad(np.abs(a).astype(np.float64), ((0, 0), *[(p, 8) for p in before], (0, 0)))
        blocks = [padded[:, 4 * i : 4 * i + extent, 4 * j : 4 * j + extent] for i, j in np.ndindex(*tiles)]
        return np.array(blocks).reshape(*tiles, len(a), extent, extent, -1)

    def forward(x, w, padding, shape):
        tiles = [-(-extent // 4) for extent in shape[1:3]]
        entries = np.einsum("ik,abnklc,jl->abnijc", to_input, cut(x, padding, 6, tiles), to_input)
        weights = np.einsum("ik,klco,jl->ijco", to_weights, np.abs(w).astype(np.float64), to_weights)
        products = np.einsum("abnijc,ijco->abnijo", entries, weights)
        y = np.einsum("ik,abnklo,jl->naibjo", back, products, back)
        return y.reshape(shape[0], 4 * tiles[0], 4 * tiles[1], -1)[:, : shape[1], : shape[2]]

    tiles = [-(-extent // 4) for extent in dy.shape[1:3]]
    entries = np.einsum("ik,abnklc,jl->abnijc", to_input, cut(x, padding, 6, tiles), to_input)
    slopes = np.einsum("ki,abnklc,lj->abnijc", back, cut(dy, (0, 0), 4, tiles), back)
    sums = np.einsum("abnijc,abnijo->ijco", entries, slopes)
    dw = np.einsum("ki,klco,lj->ijco", to_weights, sums, to_weights)
    turned = np.abs(w)[::-1, ::-1].swapaxes(2, 3)
    other = tuple(2 - p for p in padding)
    dx = forward(dy, turned, other, x.shape) if min(other) >= 0 else None
    steps = 30  # additions and multiplications of the three transforms
    scales = forward(x, w, padding, dy.shape), dw, dx
    return list(zip(scales, (n + steps for n in (x.shape[3], np.prod(tiles) * len(x), w.shape[3])), strict=True))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("kind", ["spikes", "numbers"])
@pytest.mark.parametrize("name", THREE_BY_THREE)
def test_winograd_is_the_reference(small_tiles, name, kind, real):
    shape, outputs, padding = THREE_BY_THREE[name]
    rng = np.random.default_rng(4)
    x = (rng.random(shape) < 0.3).astype(np.uint8) if kind == "spikes" else rng.normal(size=shape).astype(real)
    w, b = rng.normal(size=(3, 3, shape[3], outputs)).astype(real), rng.normal(size=outputs).astype(real)
    out = [extent + 2 * p - 2 for extent, p in zip(shape[1:3], padding, strict=True)]
    dy = rng.normal(size=(shape[0], *out, outputs)).astype(real)
    geometry = Geometry((1, 1), padding)
    got, taken = by("winograd", x, w, b, dy, geometry)
    assert taken == ("winograd",) * 3
    want = run(reference, x, w, b, dy, geometry)
    eps = float(np.finfo(real).eps)
    for array, oracle, (scale, ops) in zip(got, want, rounding_of_winograd(x, w, dy, padding), strict=True):
        if scale is not None:
            within(array, oracle, ops * eps * (scale + np.abs(oracle)))
        assert np.linalg.norm(array - oracle) < 100 * eps * np.linalg.norm(oracle)
    silent, _ = by("winograd", np.zeros_like(x), w, b, dy, geometry)
    assert (silent[0] == b).all() and not silent[1].any()


def test_winograd_in_batches_of_few_tiles(monkeypatch):
    """More tiles than a batch takes, in every pass."""
    monkeypatch.setattr(winograd, "BATCH_BYTES", (1, 1))
    monkeypatch.setattr(winograd_gradient, "GRADIENT_BATCH_BYTES", (1, 1))
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(11, 12, 12, 6)), rng.normal(size=(3, 3, 6, 5))
    dy = rng.normal(size=(11, 12, 12, 5))
    geometry = Geometry((1, 1), (1, 1))
    got, _ = by("winograd", x, w, None, dy, geometry)
    for array, oracle in zip(got, run(reference, x, w, None, dy, geometry), strict=True):
        within(array, oracle, 1e-12 * np.abs(oracle).max())


# --- the list of active inputs --------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [1, 4, 9, 32, 159, 160])
@pytest.mark.parametrize("channels", [32, 128, 512])
def test_batches_hold_all_tiles(channels, images):
    """Where the weights are large there are fewer and larger batches, and an even number, so that two threads share
    them."""
    bounds = np.dtype(np.float32), winograd.BATCH_BYTES
    count, _, (in_inputs, *_) = winograd._cut(images, 8, 8, channels, channels, *bounds)
    batch, tiles = len(in_inputs), images * 4
    assert (count - 1) * batch < tiles <= count * batch
    if channels == 512:
        assert batch <= winograd.MOST_TILES
        assert count == -(-tiles // 32) or (batch > 32 and count % 2 == 0)


@pytest.mark.parametrize("dtype", [np.uint8, *REALS])
@pytest.mark.parametrize("channels", [1, 3, 17, 64, 100])
def test_active_inputs(small_tiles, channels, dtype):
    """Active inputs come in order, with their values. An object may be used again for an input of another shape."""
    rng = np.random.default_rng(6)
    real = np.float32 if dtype == np.uint8 else dtype
    memory = None
    for pixels in (7, 30, 4):
        x = (rng.integers(1, 9, (pixels, 2, 3, channels)) * (rng.random((pixels, 2, 3, channels)) < 0.2)).astype(dtype)
        active = memory = cpu.active_inputs(x, real, memory)
        assert active.density == np.count_nonzero(x) / x.size
        active.list(x)
        pixel, channel = np.nonzero(x.reshape(-1, channels))
        assert active.start.tolist() == np.searchsorted(pixel, np.arange(6 * pixels + 1)).tolist()
        assert active.channel[: len(channel)].tolist() == channel.tolist()
        assert np.array_equal(active.value[: len(channel)], x[x != 0].astype(real))


# --- the choice ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "passing", "density", "weights", "stride", "groups", "expected"),
    [
        ("auto", "forward", 0.03, (3, 3, 64, 64), 1, 1, "events"),
        ("auto", "forward", 0.9, (3, 3, 64, 64), 1, 1, "winograd"),
        ("auto", "forward", 0.9, (3, 3, 64, 64), 2, 1, "dense"),
        ("auto", "forward", 0.2, (3, 3, 64, 64), 2, 1, "events"),
        ("auto", "forward", 0.9, (3, 3, 1, 32), 1, 1, "dense"),
        ("auto", "forward", None, (1, 1, 64, 64), 1, 1, "dense"),
        ("auto", "weight", 0.03, (5, 5, 64, 64), 1, 1, "events"),
        ("auto", "input", None, (3, 3, 64, 64), 1, 1, "winograd"),
        ("auto", "input", None, (5, 5, 64, 64), 1, 1, "dense"),
        ("auto", "forward", 0.01, (3, 3, 1, 64), 1, 64, "grouped"),
        ("auto", "forward", 0.01, (3, 3, 64, 128), 1, 2, "events"),
        ("auto", "weight", 0.02, (3, 3, 8, 64), 1, 8, "events"),
        ("auto", "forward", 0.9, (3, 3, 64, 128), 1, 2, "dense"),
        ("auto", "forward", 0.9, (3, 3, 2, 256), 1, 128, "dense"),
        ("dense", "forward", 0.01, (3, 3, 2, 256), 1, 128, "dense"),
        ("auto", "forward", 0.9, (3, 3, 2, 8), 1, 4, "dense"),
        ("auto", "input", None, (3, 3, 1, 2), 1, 2, "dense"),
        ("auto", "input", 0.01, (3, 3, 64, 128), 1, 2, "dense"),
        ("dense", "forward", 0.01, (3, 3, 64, 64), 1, 1, "dense"),
        ("events", "weight", 1.0, (3, 3, 64, 64), 1, 1, "events"),
        ("events", "input", None, (3, 3, 64, 64), 1, 1, "winograd"),
        ("events", "input", 1.0, (3, 3, 64, 64), 1, 1, "events"),
        ("auto", "input", 0.02, (3, 3, 64, 64), 1, 1, "events"),
        ("auto", "input", 0.2, (3, 3, 64, 64), 1, 1, "winograd"),
        ("auto", "input", 0.1, (3, 3, 64, 64), 2, 1, "events"),
        ("winograd", "input", 0.01, (3, 3, 64, 64), 1, 1, "winograd"),
        ("winograd", "forward", 0.01, (3, 3, 1, 2), 1, 1, "winograd"),
        ("winograd", "forward", 0.01, (1, 1, 64, 64), 1, 1, "dense"),
        ("auto", "input", None, (3, 3, 64, 64), 1, 1, "winograd"),
    ],
)
def test_choice(asked, passing, density, weights, stride, groups, expected):
    w = np.empty(weights, np.float32)
    assert route.choose(asked, passing, density, w, (stride, stride), groups, (64, 16, 16)) == expected


@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("passing", ["forward", "weight", "input"])
@pytest.mark.parametrize("weights", [(3, 3, 64, 64), (1, 1, 128, 256)])
def test_shorter_registers_slow_all_routes_alike(monkeypatch, weights, passing, lanes):
    """A row of weights and a block of a product are both that many more instructions."""
    found = []
    for size in (16, lanes):
        monkeypatch.setattr(costs, "LANES", size)
        monkeypatch.setattr(costs, "SHORTER", 16 / size)
        estimates = costs.estimates_of(passing, 0.1, weights, (64, 16, 16))
        found.append([estimates["events"] / estimates["dense"], estimates["winograd"] / estimates["dense"]])
    (events, winograd), others = found
    assert 0.4 < others[0] / events < 1.5 and 0.5 < others[1] / winograd < 1.5


@pytest.mark.parametrize("passing", ["forward", "weight", "input"])
@pytest.mark.parametrize("weights", [(3, 3, 32, 64), (3, 3, 256, 256), (1, 1, 128, 256), (1, 1, 1024, 1024)])
def test_events_up_to_a_density(passing, weights):
    """There is one density, neither tiny nor large, at which the choice changes; the estimates agree with it."""
    w, densities = np.empty(weights, np.float32), np.linspace(0, 1, 401)
    taken = [route.choose("auto", passing, d, w, (1, 1), 1, (64, 16, 16)) for d in densities]
    changes = [k for k in range(1, len(taken)) if taken[k] != taken[k - 1]]
    assert len(changes) == 1 and taken[0] == "events" and taken[-1] != "events"
    assert 0.02 < densities[changes[0]] < 0.7
    estimates = costs.estimates_of(passing, densities[changes[0]], weights, (64, 16, 16))
    other = min(cost for name, cost in estimates.items() if name == taken[-1])
    events = min(cost for name, cost in estimates.items() if name in ("events", "lines"))
    assert events == pytest.approx(other, rel=0.1)


@pytest.mark.parametrize("asked", route.ROUTES)
@pytest.mark.parametrize(
    ("weights", "stride", "groups"),
    [
        ((3, 3, 64, 64), 1, 1),
        ((3, 3, 64, 64), 2, 1),
        ((1, 1, 256, 3), 1, 1),
        ((3, 3, 1, 32), 1, 32),
        ((3, 3, 16, 32), 1, 2),
    ],
)
def test_the_limit_that_is_told_is_the_one_that_decides(weights, stride, groups, asked):
    w, geometry = np.empty(weights, np.float32), Geometry((stride, stride), (1, 1), groups)
    limit = cpu.visible_limit(w, geometry, Way(asked))
    assert reference.visible_limit(w, geometry, Way(asked)) == 1
    for share in (0.0, 0.05, 0.11, 0.2, 0.28, 1.0):
        taken = route.choose(asked, "input", share, w, geometry.stride, groups, (4096, 4, 4))
        assert (taken == "events") == (0 < limit >= share)


@pytest.mark.parametrize("dilation", [(2, 2), (1, 3)])
@pytest.mark.parametrize(("asked", "density"), [("auto", 0.9), ("winograd", 0.03), ("dense", 0.03)])
def test_dilated_filters_are_not_transformed(asked, density, dilation):
    """The route winograd needs neighbouring taps; the route events takes them at any distance."""
    w = np.empty((3, 3, 64, 64), np.float32)
    for passing in ("forward", "weight", "input"):
        assert route.choose(asked, passing, density, w, (1, 1), 1, (64, 16, 16), (), dilation) == "dense"
        assert route.choose("auto", passing, 0.01, w, (1, 1), 1, (64, 16, 16), (), dilation) == "events"
    near, far = (cpu.visible_limit(w, Geometry((1, 1), (1, 1), 1, by)) for by in ((1, 1), dilation))
    assert 0 < near < far


def test_few_outputs_do_not_pay_for_transformed_weights():
    """Unless they are there already."""
    w = np.empty((3, 3, 256, 512), np.float32)
    arguments = "auto", "forward", 0.13, w, (1, 1), 1
    assert route.choose(*arguments, (160, 8, 8)) == "winograd"
    assert route.choose(*arguments, (4, 8, 8)) == "events"
    assert route.choose(*arguments, (4, 8, 8), ("winograd",)) == "winograd"
    for passing in ("forward", "weight", "input"):  # more transformed weights than the caches hold
        assert (
            route.choose("auto", passing, 0.9, np.empty((3, 3, 512, 512), np.float32), (1, 1), 1, (4, 4, 4)) == "dense"
        )
        assert (
            route.choose("auto", passing, 0.9, np.empty((3, 3, 128, 128), np.float32), (1, 1), 1, (64, 4, 4)) != "dense"
        )


def test_more_numbers_than_32_bits_count(monkeypatch):
    """The route by events is not taken where its indices would overflow."""
    monkeypatch.setattr(cpu.conv2d_forward.__globals__["events"], "forward", lambda *a: pytest.fail("events"))
    x = np.zeros((1, 1, 1, 40), np.uint8)
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (1 << 20, 1, 1, 4096), (0, 0, 0, 0))
    density = cpu.conv2d_forward.__globals__["_density"]
    active = Active(np.float32)
    assert density(active, x, huge) is None and density(active, x, x) == 0.0


def test_what_a_target_lacks_is_told():
    dtype = np.dtype(np.float32)
    for asked in ROUTES:
        missing = (
            None
            if asked in route.ROUTES
            else ("device 'cpu' has no route 'library', only 'auto', 'events', 'winograd', 'dense'")
        )
        assert cpu.lacks(Way(asked), dtype) == missing
        assert reference.lacks(Way(asked), dtype) is None
    for k in (cpu, reference):
        for precision in PRECISIONS:
            missing = None if precision == "float32" else f"device '{k.name}' has precision 'float32' only"
            assert k.lacks(Way("dense", precision), dtype) == missing


# --- a single row ---------------------------------------------------------------------------------------------------

ROW_SHAPES = (1, 1), (9, 11), (64, 10), (131, 257), (40, 600)
"""(inputs, outputs): fewer than a register holds, whole registers, and several tiles of columns."""


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("shape", ROW_SHAPES)
def test_a_single_row_is_the_reference(threads, shape, density, real):
    """Spikes and real numbers, with and without a bias; the bits are the same on any number of threads."""
    rng = np.random.default_rng(5)
    w, b, dy = (rng.normal(size=size).astype(real) for size in (shape, shape[1:], (1, shape[1])))
    fired = rng.random((1, shape[0])) < density
    for x in (fired.astype(np.uint8), np.where(fired, rng.normal(size=fired.shape), 0).astype(real)):
        for bias in (b, None):
            found = []
            for count in (1, 3):
                threads(count)
                active, y = cpu.active_inputs(x, w.dtype), np.full_like(dy, np.nan)
                assert active.density == np.count_nonzero(x) / x.size
                assert cpu.linear_forward(x, w, bias, y, active) == "events"
                found.append(y)
            want, scale = np.empty_like(dy), np.empty(dy.shape)
            reference.linear_forward(x, w, bias, want)
            reference.linear_forward(
                np.abs(x.astype(np.float64)), np.abs(w), None if bias is None else np.abs(b), scale
            )
            agree(found[0], want, shape[0] + 1, scale)
            np.testing.assert_array_equal(found[0], found[1])
        dw, want = np.full_like(w, np.nan), np.empty_like(w)
        cpu.linear_backward_weight(x, dy, dw, active)
        reference.linear_backward_weight(x, dy, want)
        agree(dw, want, 1, np.abs(want))


def test_the_list_of_a_row_is_used_again():
    """It holds the inputs of the last pass; one of another kind of input is not used."""
    rng, w = np.random.default_rng(6), np.ones((30, 4), np.float32)
    one, other, many = ((rng.random((rows, 30)) < 0.3).astype(np.uint8) for rows in (1, 1, 5))
    active = cpu.active_inputs(one, w.dtype)
    assert cpu.active_inputs(other, w.dtype, active) is active
    y = np.empty((1, 4), np.float32)
    cpu.linear_forward(other, w, None, y, active)
    assert (y == other.sum()).all()
    listed = cpu.active_inputs(many, w.dtype, active)
    assert listed is not active and listed.density == many.mean()
    assert cpu.active_inputs(one, w.dtype, listed).density == one.mean()


def test_a_row_takes_the_route_that_is_asked_for():
    x, w, y = np.ones((1, 8), np.uint8), np.ones((8, 3), np.float32), np.empty((1, 3), np.float32)
    for asked, taken in (("auto", "events"), ("events", "events"), ("dense", "dense"), ("winograd", "dense")):
        active = cpu.active_inputs(x, w.dtype)
        assert cpu.linear_forward(x, w, None, y, active, Way(asked)) == taken
        assert (y == 8).all()


def test_a_list_has_a_cost():
    """A 1x1 layer of few channels takes the route events if its active inputs are listed already. A transposed layer
    lists its spikes if they are few."""
    w = np.broadcast_to(0.0, (1, 1, 21, 17))
    for listed, expected in ((True, "events"), (False, "dense")):
        assert route.choose("auto", "forward", 0.039, w, (1, 1), 1, (10, 44, 60), listed=listed) == expected
    w = np.broadcast_to(0.0, (4, 4, 32, 64))
    for density, expected in ((0.02, "lines"), (0.9, "dense"), (None, "dense")):
        for passing, other in (("forward", ("input", None)), ("weight", ("weight", 1.0))):
            found = route.choose_transposed("auto", passing, density, other, w, (2, 2), 1, (32, 16, 16), listed=False)
            assert found == expected
    assert route.choose_transposed("events", "forward", 0.9, ("input", None), w, (2, 2), 1, (32, 16, 16)) == "lines"


def test_a_gradient_with_few_active_elements(monkeypatch):
    """It is listed where the sample says that this is faster. A dense one, one too small for the list to gain anything,
    and one for which a route is asked, are not."""
    rng = np.random.default_rng(4)
    dy, w = rng.normal(size=(200, 9, 9, 32)).astype(np.float32), rng.normal(size=(5, 5, 32, 32)).astype(np.float32)
    geometry, dx = Geometry((1, 1), (2, 2)), np.empty((200, 9, 9, 32), np.float32)
    sparse = np.where(rng.random(dy.shape) < 0.1, dy, 0)
    assert cpu.conv2d_backward_input(sparse, w, geometry, dx) == "events"
    want = np.empty_like(dx)
    reference.conv2d_backward_input(sparse, w, geometry, want)
    np.testing.assert_allclose(dx, want, rtol=1e-4, atol=1e-4)
    assert cpu.conv2d_backward_input(dy, w, geometry, dx) == "dense"
    assert cpu.conv2d_backward_input(sparse, w, geometry, dx, Way("dense")) == "dense"
    assert cpu.conv2d_backward_input(sparse[:1], w, geometry, dx[:1]) == "dense"


def test_the_share_of_a_sample():
    """A small array is counted as a whole, but for a rest; of a large one, blocks from its beginning to its end."""
    x = np.zeros((4, 5, 5, 8), np.float32)
    x[..., :2] = -1
    assert sampled_share(x) == 0.25
    x = np.zeros((64, 32, 32, 16), np.float32)
    x[32:] = 1
    assert sampled_share(x) == 0.5
