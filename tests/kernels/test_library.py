"""NVIDIA's library: the requested products, computed by a NumPy replacement, and the bindings themselves."""

import inspect
import sys
from types import ModuleType

import cublas
import numpy as np
import pytest
from bounds import agree, within
from convolutions import CASES, draw, magnitudes, run

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from targets import SIMULATED, reference
from twins import cuda, twin

from numsnn.errors import DeviceError
from numsnn.kernels.cuda import route
from numsnn.kernels.cuda.ways import library
from numsnn.kernels.types import PRECISIONS, Way

PLAIN = [name for name, case in CASES.items() if case[4] == 1]


@pytest.fixture
def stand_in(monkeypatch):
    """The library's stand-in in its place, and handles of its own."""
    if not SIMULATED:
        pytest.skip("the stand-in computes in the host's memory")
    found = cublas.Library()
    monkeypatch.setattr(library, "_bindings", lambda: found)
    monkeypatch.setattr(library, "_own", library._Own())
    return found


def by(precision, x, w, b, dy, geometry):
    """y, dw, dx of the twin at one precision, in memory that held NaN, and the routes taken."""
    y, dw, dx = (np.full(like.shape, np.nan, w.dtype) for like in (dy, w, x))
    taken = (
        twin.conv2d_forward(x, w, b, geometry, y, None, Way(precision=precision)),
        twin.conv2d_backward_weight(x, dy, geometry, dw, None, Way(precision=precision)),
        twin.conv2d_backward_input(dy, w, geometry, dx, Way(precision=precision)),
    )
    return (y, dw, dx), taken


@pytest.mark.parametrize("patch_bytes", [1, 32 << 20], ids=["a picture at a time", "all at once"])
@pytest.mark.parametrize("name", PLAIN)
def test_convolutions_are_the_reference(stand_in, monkeypatch, name, patch_bytes):
    monkeypatch.setattr(library, "PATCH_BYTES", patch_bytes)
    x, w, b, dy, geometry = draw(name, np.float32)
    got, taken = by("float32", x, w, b, dy, geometry)
    assert taken == ("library, float32",) * 3
    want = run(reference, x, w, b, dy, geometry)
    for array, oracle, (terms, scale) in zip(got, want, magnitudes(x, w, b, dy, geometry), strict=True):
        agree(array, oracle, terms, scale)
    parts = 1 if patch_bytes > 1 or (w.shape[:2] == (1, 1) and geometry[0] == (1, 1)) else len(x)
    assert len(stand_in.calls) == 3 * parts
    assert [call[4] for call in stand_in.calls] == [False] * parts + [k > 0 for k in range(parts)] + [False] * parts


@pytest.mark.parametrize("name", ["3x3", "1x1"])
def test_spikes(stand_in, monkeypatch, name):
    """The input consists of spikes, and so does what stands for a gradient in the transposed convolution. There is no
    offset."""
    monkeypatch.setattr(library, "PATCH_BYTES", 1)
    x, w, _, dy, geometry = draw(name, np.float32)
    spikes, others = ((a > 0.5).astype(np.uint8) for a in (x, dy))
    want = run(reference, spikes, w, None, dy, geometry)
    (y, dw, _), _ = by("float32", spikes, w, None, dy, geometry)
    scales = magnitudes(spikes, w, None, dy, geometry)
    for array, oracle, (terms, scale) in zip((y, dw), want[:2], scales[:2], strict=True):
        agree(array, oracle, terms, scale)
    found, expected, scale = (np.full_like(x, np.nan) for _ in range(3))
    assert twin.conv2d_backward_input(others, w, geometry, found) == "library, float32"
    reference.conv2d_backward_input(others, w, geometry, expected)
    reference.conv2d_backward_input(others, np.abs(w), geometry, scale)
    agree(found, expected, w[:, :, 0].size, scale)


def test_linear(stand_in):
    """Several rows a product, no patches."""
    rng = np.random.default_rng(1)
    x, w, b, dy = (rng.normal(size=size).astype(np.float32) for size in ((5, 7), (7, 3), (3,), (5, 3)))
    y, dw, dx = (np.full_like(like, np.nan) for like in (dy, w, x))
    assert twin.linear_forward(x, w, b, y) == "library, float32"
    assert twin.linear_backward_weight(x, dy, dw) == "library, float32"
    assert twin.linear_backward_input(dy, w, dx) == "library, float32"
    ax, aw, ab, ady = map(np.abs, (x, w, b, dy))
    for got, want, terms, scale in (
        (y, x @ w + b, 8, ax @ aw + ab),
        (dw, x.T @ dy, 5, ax.T @ ady),
        (dx, dy @ w.T, 3, ady @ aw.T),
    ):
        agree(got, want, terms, scale)
    assert [call[:3] for call in stand_in.calls] == [(3, 5, 7), (3, 7, 5), (7, 5, 3)]


@pytest.mark.parametrize("asked", PRECISIONS)
def test_rounding_is_the_precisions(stand_in, asked):
    """Every factor is rounded once; sums are float32."""
    x, w, b, dy, geometry = draw("3x3", np.float32)
    got, taken = by(asked, x, w, b, dy, geometry)
    assert taken == (f"library, {asked}",) * 3 and {call[3] for call in stand_in.calls} == {asked}
    step = 2.0 ** -cublas.ROUNDED[asked]
    for array, oracle, (terms, scale) in zip(
        got, run(reference, x, w, b, dy, geometry), magnitudes(x, w, b, dy, geometry), strict=True
    ):
        within(array, oracle, (step + terms * np.finfo(np.float32).eps) * scale)
        distance = np.abs(array.astype(np.float64) - oracle)
        assert asked == "float32" or (distance > 0.01 * step * scale).any()


def test_what_the_library_cannot_is_computed_by_our_own(stand_in):
    """float64, and several groups."""
    for name, real, expected in (("1x1", np.float64, "dense"), ("grouped", np.float32, "grouped")):
        x, w, b, dy, geometry = draw(name, real)
        _, taken = by("tf32", x, w, b, dy, geometry)
        assert taken == (expected,) * 3 and not stand_in.calls


@pytest.mark.parametrize(
    ("asked", "there", "weights", "groups", "expected"),
    [
        ("auto", True, (3, 3, 16, 16), 1, "library"),
        ("auto", False, (3, 3, 16, 16), 1, "dense"),
        ("library", True, (1, 1, 9, 9), 1, "library"),
        ("dense", True, (3, 3, 16, 16), 1, "dense"),
        ("auto", True, (3, 3, 16, 32), 2, "dense"),
        ("library", True, (3, 3, 16, 32), 2, "dense"),
        ("dense", True, (3, 3, 1, 16), 16, "grouped"),
        ("library", False, (3, 3, 1, 16), 16, "grouped"),
    ],
)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_choice(monkeypatch, asked, there, weights, groups, expected, precision):
    monkeypatch.setattr(library, "_bindings", lambda: cublas.Library() if there else None)
    way = Way(asked, precision)
    assert route.choose(way, np.empty(weights, np.float32), groups) == expected
    assert route.choose(way, np.empty(weights, np.float64), groups) == (expected if groups > 1 else "dense")
    assert route.name_of(expected, way) == ("library, " + precision if expected == "library" else expected)


@pytest.mark.parametrize(
    ("way", "real", "there", "missing"),
    [
        (Way(), np.float32, False, None),
        (Way("dense"), np.float64, False, None),
        (Way("library", "float16"), np.float32, True, None),
        (Way("auto", "tf32"), np.float32, True, None),
        (Way("events"), np.float32, True, "device 'cuda' has no route 'events', only 'auto', 'dense', 'library'"),
        (Way("winograd"), np.float32, True, "device 'cuda' has no route 'winograd', only 'auto', 'dense', 'library'"),
        (Way("dense", "tf32"), np.float32, True, "route 'dense' of device 'cuda' has precision 'float32' only"),
        (
            Way("auto", "tf32"),
            np.float64,
            True,
            "device 'cuda' has precision 'tf32' for float32 networks only, not for float64",
        ),
        (
            Way("library"),
            np.float64,
            True,
            "device 'cuda' has route 'library' for float32 networks only, not for float64",
        ),
        (Way("library"), np.float32, False, "route 'library' needs NVIDIA's cuBLAS, which cannot be used: not here"),
        (
            Way("auto", "bfloat16"),
            np.float32,
            False,
            "precision 'bfloat16' needs NVIDIA's cuBLAS, which cannot be used: not here",
        ),
    ],
)
def test_what_is_missing_is_told(monkeypatch, way, real, there, missing):
    monkeypatch.setattr(library, "_load", lambda: (cublas.Library(), None) if there else (None, "not here"))
    assert route.lacks(way, np.dtype(real)) == missing


def test_the_reason_why_it_cannot_be_used_is_kept(monkeypatch):
    """The reason is that the bindings are missing, or what they raise."""
    if SIMULATED:
        assert library.reason() == "the device is simulated"
    monkeypatch.setattr(library, "SIMULATED", False)
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    assert library._load.__wrapped__() == (None, "nvmath-python is not installed")
    broken = ModuleType("nvmath.bindings")
    broken.cublas = ModuleType("cublas")
    broken.cublas.get_property = lambda what: (_ for _ in ()).throw(OSError("libcublas.so.13:\nnot found"))
    monkeypatch.setattr(library, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "nvmath", ModuleType("nvmath"))
    monkeypatch.setitem(sys.modules, "nvmath.bindings", broken)
    assert library._load.__wrapped__() == (None, "OSError: libcublas.so.13: not found")


def test_the_library_is_told_of(stand_in, monkeypatch):
    assert library.available() and library.version() == "13.10.1"
    monkeypatch.setattr(library, "_bindings", lambda: None)
    assert not library.available() and library.version() is None


def test_its_errors_are_one_line(stand_in):
    a, b, c = (cuda.from_host(np.empty(shape), np.float32) for shape in ((0, 3), (3, 2), (0, 2)))
    with pytest.raises(DeviceError, match=r"^device 'cuda': cuBLAS gemm_ex: CUBLAS_STATUS_INVALID_VALUE .* of zero"):
        library.multiply(a, b, c, "float32")


@pytest.mark.parametrize("asked", PRECISIONS)
@pytest.mark.parametrize("name", ["3x3", "strided", "1x1"])
def test_the_library_itself(name, asked):
    """This runs on a device, where every factor is rounded once, by at most a step."""
    if not library.available():
        pytest.skip("no cuBLAS")
    x, w, b, dy, geometry = draw(name, np.float32)
    got, taken = by(asked, x, w, b, dy, geometry)
    assert taken == (f"library, {asked}",) * 3
    step = 0 if asked == "float32" else 2 * 2.0 ** -cublas.ROUNDED[asked]
    for array, oracle, (terms, scale) in zip(
        got, run(reference, x, w, b, dy, geometry), magnitudes(x, w, b, dy, geometry), strict=True
    ):
        within(array, oracle, (step + terms * np.finfo(np.float32).eps) * scale)
    again, _ = by(asked, x, w, b, dy, geometry)
    assert all(map(np.array_equal, got, again))


def test_bindings_are_what_is_called():
    """NVIDIA's functions have the stand-in's arguments, its numbers their names, and its errors are caught."""
    bindings = pytest.importorskip("nvmath.bindings.cublas", reason="nvmath-python is not installed")
    for name in ("create", "set_stream", "set_workspace", "get_version", "gemm_ex"):
        mine = inspect.signature(getattr(cublas.Library(), name))
        assert list(inspect.signature(getattr(bindings, name)).parameters) == list(mine.parameters), name
    kinds, algorithms = bindings.ComputeType, {int(member) for member in bindings.GemmAlgo}
    assert library.COMPUTE == {
        "float32": kinds.COMPUTE_32F,
        "tf32": kinds.COMPUTE_32F_FAST_TF32,
        "bfloat16": kinds.COMPUTE_32F_FAST_16BF,
        "float16": kinds.COMPUTE_32F_FAST_16F,
    }
    assert (library.AS_IT_IS, library.TRANSPOSED) == (bindings.Operation.N, bindings.Operation.T)
    assert library.DEFAULT_ALGORITHM in algorithms
    nvmath = pytest.importorskip("nvmath")
    assert nvmath.CudaDataType.CUDA_R_32F == library.REAL_32
    assert nvmath.LibraryPropertyType.MAJOR_VERSION == library.MAJOR_VERSION
    assert issubclass(bindings.cuBLASError, Exception)
