"""Registered surrogates: they are checked, reach every kernel, and never use outdated machine code."""

import ast
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pytest

import numsnn as snn
from numsnn import config, experiment
from numsnn.kernels import own
from numsnn.machine_code import digest

ROOT = Path(snn.__file__).parents[1]

CELL = """
import math

STEEPNESS = 4.0

def decay(z):
    return math.exp(-STEEPNESS * abs(z))

def density(z):
    return STEEPNESS * decay(z) / (1.0 + decay(z)) ** 2

def cdf(z):
    return (decay(z) if z < 0.0 else 1.0) / (1.0 + decay(z))
"""
"""A notebook's cell: no file, and constants among its globals."""


def cell(steepness=4.0):
    """density and cdf of the cell."""
    names = {"__name__": "__main__"}
    exec(CELL.replace("STEEPNESS = 4.0", f"STEEPNESS = {steepness!r}"), names)
    return names["density"], names["cdf"]


# --- the registration -----------------------------------------------------------------------------------------------


def test_a_cell_of_a_notebook_makes_a_family(families):
    found = snn.register_surrogate("own", *cell())
    assert families["own"] is found
    assert (found.peak, found.compact, found.breaks) == (1.0, False, ())
    assert cell()[0](found.reach) == pytest.approx(0.01, rel=1e-12)
    assert repr(snn.PSG("own", 2.0)) == "PSG(family='own', width=2.0)"
    assert snn.Surrogate("own").reach == found.reach


def cauchy(z):
    return 1.0 / (math.pi * (1.0 + z * z))


def cauchy_cdf(z):
    return 0.5 + math.atan(z) / math.pi


@pytest.mark.parametrize(
    ("density", "cdf", "settings", "message"),
    [
        (lambda z: math.exp(-z), cauchy_cdf, {}, r"density must be symmetric; density\(-0.013\) is 1.01308, .*"),
        (lambda z: 1.0 - z * z, cauchy_cdf, {}, r"density must not be negative; density\(-1.17\) is -0.3689"),
        (lambda z: -1.0, cauchy_cdf, {}, r"density\(0\) must be positive; got -1"),
        (lambda z: 2.0 * cauchy(z), cauchy_cdf, {}, "density must integrate to 1; got 2"),
        (cauchy, lambda z: cauchy_cdf(z) - 0.5, {}, r"cdf must go to 0 far out; cdf\(-1e\+12\) is -0.5"),
        (
            cauchy,
            lambda z: min(max(z + 0.5, 0.0), 1.0),
            {},
            "density must be the derivative of cdf; from 0 to -0.013 .*",
        ),
        (cauchy, lambda z: math.exp(-z), {}, r"cdf\(-1e\+12\) raises OverflowError: math range error"),
        (lambda z: z / z, cauchy_cdf, {}, r"density\(0\) raises ZeroDivisionError: .*"),
        (lambda z: math.nan, cauchy_cdf, {}, r"density\(0\) must be finite; got nan"),
        (lambda: 1.0, cauchy_cdf, {}, r"density\(0\) raises TypeError: .*"),
        (
            lambda z: 1 / (math.pi * (1 + z * z)),
            cauchy_cdf,
            {},
            r"density must return float32 .*, got float64 \(line \d+",
        ),
        (lambda z: json.loads("1") * cauchy(z), cauchy_cdf, {}, "density cannot be compiled: .*"),
        (cauchy, cauchy_cdf, {"compact": True}, "a compact family needs reach, the edge of its support"),
        (cauchy, cauchy_cdf, {"compact": True, "reach": 2}, r"a compact density must be 0 beyond reach 2; .*"),
        (cauchy, cauchy_cdf, {"reach": -1}, "reach must be positive; got -1"),
        (cauchy, cauchy_cdf, {"breaks": (1.0,)}, r"breaks must be symmetric about 0; got \(1.0,\)"),
    ],
)
def test_what_is_refused(families, density, cdf, settings, message):
    with pytest.raises(ValueError, match=rf"^register_surrogate: own: {message}") as refused:
        snn.register_surrogate("own", density, cdf, **settings)
    assert "\n" not in str(refused.value)
    assert "own" not in families


@pytest.mark.parametrize("name", ["triangle", "", None])
def test_names_that_are_refused(name):
    with pytest.raises(ValueError, match="name must be a string and not one of rectangle, triangle, "):
        snn.register_surrogate(name, cauchy, cauchy_cdf)


def test_what_is_not_a_function_is_refused():
    with pytest.raises(TypeError, match=r"^register_surrogate: own: density must be a Python function .*; got 3$"):
        snn.register_surrogate("own", 3, cauchy_cdf)


@pytest.mark.parametrize("base", [snn.Surrogate, snn.PSG])
@pytest.mark.parametrize("method", ["density", "cdf"])
def test_a_subclass_with_functions_of_its_own_is_refused(base, method):
    with pytest.raises(
        TypeError, match=rf"^Mine: a subclass cannot define {method}, .*register_surrogate\(name, density"
    ):
        type("Mine", (base,), {method: lambda self, z: z})


# --- in the kernels -------------------------------------------------------------------------------------------------


def network(kind=snn.LIF):
    return snn.Sequential(snn.Linear(4, 6), kind(surrogate=snn.PSG("own"), v_threshold=0.4), snn.Linear(6, 3))


def x(dtype=np.float32):
    return np.random.default_rng(0).normal(size=(3, 2, 4)).astype(dtype)


def gradient(net, device, dtype):
    """The input's gradient of the sum of the readout."""
    net.to(device, dtype)
    z = net.forward(net.admit(x(dtype)), snn.layers.TRAINING)
    dx = net.backward(net.kernels.from_host(np.ones(z.shape, dtype), dtype))
    return net.kernels.to_host(dx)


@pytest.mark.parametrize("kind", [snn.LIF, snn.RecurrentLIF, snn.CubaLIF])
@pytest.mark.parametrize("device", ["reference", "cpu", "cuda"])
def test_functions_registered_again_take_effect(families, request, device, kind):
    """A network that has run takes the new functions on every device, and after them the first ones again."""
    if device == "cuda":
        pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
        request.getfixturevalue("quick_simulator")
    snn.register_surrogate("own", *cell())
    net, found = network(kind).build(x().shape, seed=1), {}
    for steepness in (4.0, 1.0, 4.0):
        snn.register_surrogate("own", *cell(steepness))
        got = gradient(net, device, "float64")
        assert np.array_equal(found.setdefault(steepness, got), got)
        if device != "reference":
            want = gradient(net, "reference", "float64")
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
    assert np.abs(found[4.0] - found[1.0]).max() > 1e-3


def test_the_same_functions_registered_again_are_not_compiled_again(families):
    from numsnn.kernels.cpu import neuron

    snn.register_surrogate("own", *cell())
    gradient(network().build(x().shape), "cpu", "float32")
    made = neuron._backward_kernel.cache_info().currsize
    snn.register_surrogate("own", *cell())
    assert neuron._backward_kernel.cache_info().currsize == made > 0


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_gradients_and_diagnosis(families, device):
    snn.register_surrogate("own", *cell())
    net = network().build(x().shape, seed=1)
    report = snn.check_gradients(net, x(), np.arange(2), device=device)
    assert report.ok, f"\n{report}"
    (row,) = snn.diagnose(net.to(device), x(), np.arange(2)).layers
    assert row.family == "own" and 0 < row.undesired_share < 1


def looks_up_a_family(node):
    """Return whether a node is ``eq.DENSITY[name]`` or ``eq.CDF[name]`` with a name that is not written there."""
    table = isinstance(node, ast.Subscript) and getattr(node.value, "attr", None)
    return table in ("DENSITY", "CDF") and not isinstance(node.slice, ast.Constant)


def test_no_cached_factory_looks_up_a_family():
    """A factory gets the function itself. With a name, it would return the kernel of functions that were replaced."""
    looked_up = 0
    for path in sorted((ROOT / "numsnn" / "kernels").glob("c*/*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and any(map(looks_up_a_family, ast.walk(node))):
                assert "cache" not in [getattr(d, "id", None) for d in node.decorator_list], f"{path.name}: {node.name}"
                looked_up += 1
    assert looked_up >= 8


# --- in precision ---------------------------------------------------------------------------------------------------


def test_constants_take_the_precision_wherever_they_stand():
    names = {"math": math, "own_module": ModuleType("own_module")}
    names["own_module"].SCALE = 0.1
    exec("def helper(z, by=0.7):\n    return by * z\ndef make(a):\n    return lambda z: a * z\n", names)
    exec("K = 0.3\ndef f(z):\n    return helper(z) + K * math.pi + own_module.SCALE + inner(z) + z**2 + 1.5\n", names)
    names["inner"] = names["make"](0.2)
    copy = own.in_precision(names["f"], np.float32)
    assert type(copy(np.float32(0.6))) is np.float32
    assert copy(np.float32(0.6)) == pytest.approx(names["f"](0.6), rel=1e-6)
    own.need_single_precision("f", names["f"], 1)
    same = own.in_precision(names["f"], np.float32)
    assert digest(same) == digest(copy) and same.__qualname__ == copy.__qualname__
    digests = {digest(copy), digest(own.in_precision(names["f"], np.float64))}
    for name, value in (("K", 0.4), ("inner", names["make"](0.3)), ("helper", lambda z: 0.8 * z)):
        other = FunctionType(names["f"].__code__, names | {name: value})
        digests.add(digest(own.in_precision(other, np.float32)))
    names["own_module"].SCALE = 0.2
    digests.add(digest(own.in_precision(names["f"], np.float32)))
    assert len(digests) == 6


# --- machine code on disk -------------------------------------------------------------------------------------------

SCRIPT = f"""
import json, sys
import numpy as np
import numsnn as snn
from numsnn import machine_code

exec({CELL!r}.replace("= 4.0", "= " + sys.argv[1]))
snn.register_surrogate("own", density, cdf)
net = snn.Sequential(snn.LIF(surrogate="own", beta=0.0))
x = np.array([[[0.5, 1.2]]], np.float32)
z = net.forward(net.admit(x), snn.layers.TRAINING)
dx = net.backward(np.ones(z.shape, np.float32))
misses = sum(sum(kernel.stats.cache_misses.values()) for kernel in machine_code.KERNELS if kernel.signatures)
print(json.dumps({{"dx": dx.ravel().tolist(), "misses": misses}}))
"""


def test_a_second_process_finds_it_and_changed_functions_are_compiled(tmp_path):
    def run(steepness):
        environment = {key: value for key, value in os.environ.items() if key != "NUMBA_ENABLE_CUDASIM"}
        environment |= {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", SCRIPT, repr(steepness)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        found = json.loads(done.stdout)
        phi = cell(steepness)[0]
        np.testing.assert_allclose(found["dx"], [phi(-0.5), phi(0.2)], rtol=1e-5)
        return found["misses"]

    first = run(4.0)
    assert first > 0 and run(4.0) == 0
    assert 0 < run(2.0) < first  # only the kernel that the functions are compiled into
    assert run(4.0) == run(2.0) == 0


def test_a_file_of_settings_may_name_it(families):
    snn.register_surrogate("own", *cell())
    settings = config.parse('[data]\nname = "digits"\n[method]\nsurrogate = "own"\n')
    net = experiment.build_network(settings, (8, 8, 1), 10)
    assert {layer.surrogate.family for layer in net.walk() if isinstance(layer, snn.LIF)} == {"own"}
