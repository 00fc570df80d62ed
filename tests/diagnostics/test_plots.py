"""Plots: readable PNGs with something on them, also for one step, one epoch and numbers that are not finite."""

import dataclasses
import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from numsnn.diagnostics import PlotsUnavailable, diagnose, figures, plots
from numsnn.layers import LIF, TRAINING, Linear, Sequential
from numsnn.psg import PSG

image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")


def rgb(colour):
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)])


BLUE, ORANGE, GREY = map(rgb, (figures.BLUE, figures.ORANGE, figures.GREY))


def entry(epoch, **changes):
    metrics = {
        "epoch": epoch,
        "train_loss": 2 / epoch,
        "train_accuracy": 1 - 0.5 / epoch,
        "test_loss": 2.2 / epoch,
        "test_accuracy": 0.95 - 0.5 / epoch,
        "seconds": 1.5,
        "learning_rate": 1e-3,
        "widths": {"lif1": 1 + 0.1 * epoch, "block.lif1": [0.5, 0.6 * epoch, 0.7]},
    }
    return {**metrics, **changes}


def diagnosis(steps=4, layers=2, tracked=True, spoilt=False):
    layer = {"pda": True, "surrogate": PSG("rectangle", width=1.5)}
    net = Sequential(*[part for _ in range(layers) for part in (Linear(12, 12), LIF(**layer))], Linear(12, 3))
    net.to("reference")
    x = np.random.default_rng(0).normal(size=(steps, 20, 12)).astype(np.float32)
    net.build(x.shape)
    if tracked:
        net.forward(x, TRAINING)
    if spoilt:
        net.layers[0].weight.value[0, 0] = np.nan
        net.layers[1].width.parameter.value[...] = np.nan
    return diagnose(net, x)


def look(path):
    """Check that a picture is a readable PNG, neither blank nor black; return its pixels, 0 to 255, ``[H, W, 3]``."""
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    pixels = np.round(image.imread(path)[..., :3] * 255).astype(int)
    height, width = pixels.shape[:2]
    assert 500 <= width <= 2000
    assert 350 <= height <= 5000
    ink = (pixels.min(2) < 200).mean()
    assert 0.003 < ink < 0.9
    assert (pixels[:4] > 250).all(), "something is cut at the upper edge"
    assert (pixels[:, :4] > 250).all(), "something is cut at the left edge"
    return pixels


def has(pixels, colour):
    return (np.abs(pixels - colour).max(2) < 12).sum() > 15


def regression(epochs):
    return [
        {"epoch": k, "train_mae": 2 / k, "valid_mae": 3 / k, "train_loss": 1 / k, "train_f1": 0.1 * k} for k in epochs
    ]


def panels(figure):
    return {axes.get_title("left"): axes for axes in figure.axes if axes.get_visible()}


def test_learning_curves_of_any_metrics():
    shown = panels(plots.learning_curves(regression(range(1, 5))))
    assert list(shown) == [
        "Loss: train 0.25 at the end",
        "MAE: train 0.5, valid 0.75 at the end",
        "F1: best train 0.4 in epoch 4",
    ]
    _, valid = shown["MAE: train 0.5, valid 0.75 at the end"].lines
    assert valid.get_label() == "valid" and np.allclose(valid.get_ydata(), [3, 1.5, 1, 0.75])
    many = [{f"{part}_m{k}": k for k in range(5) for part in ("train", "valid", "test")} | {"epoch": 1}]
    assert len(panels(plots.learning_curves(many))) == 5
    with pytest.raises(ValueError, match="learning_curves: the history holds no metrics such as 'train_loss'"):
        plots.learning_curves([{"epoch": 1, "seconds": 2.0}])


def test_without_a_path_the_figure_is_returned(tmp_path):
    """A notebook shows it although pyplot is not loaded, and in the style of the files, whatever the user's style."""
    import matplotlib

    drawn = []
    for style in {}, {"font.size": 31, "xtick.color": "red", "axes.facecolor": "red"}:
        figure = plots.learning_curves([entry(1)])
        with matplotlib.rc_context(style):
            drawn.append(figure._repr_png_())
    assert drawn[0] == drawn[1]
    (tmp_path / "shown.png").write_bytes(drawn[0])
    assert has(look(tmp_path / "shown.png"), BLUE)
    for call in (
        lambda: plots.potentials(diagnosis()),
        lambda: plots.widths([entry(1)]),
        lambda: plots.shift(diagnosis()),
        lambda: plots.raster({"lif1": np.eye(3, dtype=np.uint8)}),
        lambda: plots.confusion([[3, 1], [0, 2]]),
    ):
        assert type(call()).__mro__[1].__name__ == "Figure"


def test_the_ending_of_the_path_decides_on_the_format(tmp_path):
    assert plots.confusion([[1]], path=tmp_path / "c.svg").read_text().startswith("<?xml")
    assert plots.confusion([[1]], path=tmp_path / "c.pdf").read_bytes()[:5] == b"%PDF-"
    with pytest.raises(ValueError, match=r"plots: the ending of path must be one of .*'png'.*; got 'pgn'"):
        plots.confusion([[1]], path=tmp_path / "c.pgn")


def test_learning_curves(tmp_path):
    path = plots.learning_curves([entry(k) for k in range(1, 9)], tmp_path / "a.png")
    assert path == tmp_path / "a.png"
    pixels = look(path)
    assert has(pixels, BLUE)
    assert has(pixels, GREY)


@pytest.mark.parametrize(
    "history",
    [
        [entry(1)],
        [entry(k, test_loss=None, test_accuracy=None) for k in (1, 2)],
        [{"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5}],
        [entry(1, train_loss=float("nan"), test_loss=None)],
        [entry(k, test_accuracy=0.5 if k % 5 == 0 else None) for k in range(1, 41)],
    ],
    ids=["one epoch", "no test", "no test keys", "nan", "sparse tests"],
)
def test_learning_curves_of_odd_histories(tmp_path, history):
    pixels = look(plots.learning_curves(history, tmp_path / "a.png"))
    tested = any(metrics.get("test_accuracy") for metrics in history)
    assert has(pixels, BLUE) == tested


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("layers", [1, 2, 5])
def test_potentials_and_shift(tmp_path, steps, layers):
    start, end = diagnosis(steps, layers, tracked=False), diagnosis(steps, layers)
    pixels = look(plots.potentials(start, end, tmp_path / "p.png"))
    assert has(pixels, BLUE)
    assert has(pixels, ORANGE)
    assert has(pixels, GREY)
    for one_side in ((start, None), (None, end)):
        assert has(look(plots.potentials(*one_side, tmp_path / "p.png")), GREY if one_side[0] else BLUE)
    for one in (start, end):
        assert has(look(plots.shift(one, tmp_path / "s.png")), BLUE)


def test_window_is_drawn_where_the_surrogate_sees(tmp_path):
    """The wider the surrogate, the more of the panel is shaded."""
    report = diagnosis(layers=1)
    shaded = []
    for width in (0.1, 1.0, 3.0):
        row = dataclasses.replace(report.layers[0], width=(width,))
        pixels = look(plots.potentials(None, dataclasses.replace(report, layers=(row,)), tmp_path / "p.png"))
        shaded.append((np.abs(pixels - ORANGE).max(2) < 12).sum())
    assert shaded[0] < shaded[1] < shaded[2]


def test_numbers_that_are_not_finite_are_left_out(tmp_path):
    bad = diagnosis(spoilt=True)
    assert bad.layers[0].mean is None
    look(plots.potentials(bad, bad, tmp_path / "p.png"))
    look(plots.shift(bad, tmp_path / "s.png"))
    look(plots.widths([entry(1, widths={"lif1": float("nan"), "lif2": 1.0})], tmp_path / "w.png"))


@pytest.mark.parametrize("epochs", [1, 6, 60])
@pytest.mark.parametrize("layers", [2, 18])
def test_widths(tmp_path, epochs, layers):
    numbers = range(1, layers + 1)
    history = [
        entry(k, widths={f"lif{n}": [0.1 * n, 0.2 * n, 0.3 * n * k] if n % 2 else 1.0 * n for n in numbers})
        for k in range(1, epochs + 1)
    ]
    look(plots.widths(history, tmp_path / "w.png"))


@pytest.mark.parametrize("highest", [1.0, 1.01, 1.09, 1.9, 4.0, 6.0, 300.0])
def test_a_logarithmic_axis_can_be_read(highest):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    axes.plot([1.0, highest])
    axes.set_yscale("log")
    figures.plain_log_ticks(axes)
    low, high = axes.get_ylim()
    seen = axes.yaxis.get_major_formatter().format_ticks([at for at in axes.get_yticks() if low <= at <= high])
    assert 3 <= len(set(seen)) == len(seen) <= 12


@pytest.mark.parametrize(("steps", "units", "layers"), [(1, 1, 1), (4, 3000, 6), (100, 40, 2)])
def test_raster(tmp_path, steps, units, layers):
    rng = np.random.default_rng(0)
    spikes = {f"lif{k}": (rng.random((steps, units)) < 0.3).astype(np.uint8) for k in range(layers)}
    spikes["lif0"][0, 0] = 1
    pixels = look(plots.raster(spikes, tmp_path / "r.png", title="Sample 3, a seven"))
    assert has(pixels, BLUE)


def test_raster_shows_who_fires_when(tmp_path):
    """Two units fire in two steps each: of the panel's four quarters, the two with spikes are filled."""
    spikes = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.uint8)
    pixels = look(plots.raster({"lif1": spikes}, tmp_path / "r.png"))
    rows, columns = np.nonzero(np.abs(pixels - BLUE).max(2) < 12)
    middle, centre = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    early, upper = columns < centre - 2, rows < middle - 2
    late, lower = columns > centre + 2, rows > middle + 2
    assert (early & upper).sum() > 1000  # the first unit is on top and fires first
    assert (late & lower).sum() > 1000
    assert (early & lower).sum() == (late & upper).sum() == 0


@pytest.mark.parametrize("size", [1, 2, 10, 100])
def test_confusion(tmp_path, size):
    matrix = np.random.default_rng(0).poisson(0.5, (size, size)) + 9 * np.eye(size, dtype=int)
    look(plots.confusion(matrix, [f"class {k}" for k in range(size)], tmp_path / "c.png"))
    look(plots.confusion(np.zeros((size, size), int).tolist(), range(size), tmp_path / "empty.png"))


def test_nothing_to_draw(tmp_path):
    path = tmp_path / "x.png"
    neurons, none = diagnosis(), dataclasses.replace(diagnosis(), layers=())
    for call, message in (
        (lambda: plots.learning_curves([], path), "learning_curves: the history is empty"),
        (lambda: plots.widths([], path), "widths: the history is empty"),
        (lambda: plots.widths([entry(1, widths={})], path), "the history holds no surrogate widths"),
        (lambda: plots.potentials(None, None, path), "potentials: the network has no neuron layer"),
        (lambda: plots.potentials(neurons, none, path), "start and end have different layers"),
        (lambda: plots.shift(none, path), "shift: the network has no neuron layer"),
        (lambda: plots.raster({}, path), "raster: there are no spikes"),
        (lambda: plots.confusion([[1]], ["a", "b"], path), r"one row and one column per class \(2\); got .* \(1, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: plots.learning_curves(3),
            TypeError,
            "learning_curves: history must be what Trainer.fit returns, .*; got 3",
        ),
        (lambda: plots.widths([{"widths": {}}]), TypeError, "widths: history must be what Trainer.fit returns"),
        (lambda: plots.shift({}), TypeError, "shift: must be given what snn.diagnose returns; got dict"),
        (
            lambda: plots.potentials(diagnosis(), 3),
            TypeError,
            "potentials: must be given what snn.diagnose returns; got int",
        ),
        (
            lambda: plots.raster(np.eye(3)),
            TypeError,
            r"raster: must be given layer -> spikes \[T, units\]; got ndarray",
        ),
        (
            lambda: plots.raster({"a": np.zeros((2, 3, 4))}),
            ValueError,
            r"the spikes of 'a' must be \[T, units\] .* of 3 axes",
        ),
        (lambda: plots.confusion(3), ValueError, r"confusion: matrix must be \[K, K\]; got 0 axes"),
    ],
)
def test_other_objects_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_missing_matplotlib_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlotsUnavailable) as caught:
        plots.learning_curves([entry(1)], tmp_path / "a.png")
    assert str(caught.value) == 'matplotlib is missing; install it with: pip install "numsnn[plot]"'


def test_the_users_matplotlib_is_left_alone(tmp_path):
    """An import does not load matplotlib. A plot does not load pyplot, nor follow or change the user's style."""
    code = (
        "import sys, numsnn.diagnostics.plots as plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import matplotlib\n"
        "matplotlib.rcParams.update({'font.size': 31, 'text.usetex': True, 'savefig.dpi': 20})\n"
        f"plots.confusion([[3, 1], [0, 2]], 'ab', {str(tmp_path / 'c.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.rcParams['font.size'] == 31 and matplotlib.rcParams['text.usetex']\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "MPLBACKEND": "TkAgg"}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment, timeout=120)
    ours = plots.confusion([[3, 1], [0, 2]], "ab", tmp_path / "d.png")
    assert ours.read_bytes() == (tmp_path / "c.png").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = plots.learning_curves([entry(1)], tmp_path / "a.png")
    old = path.read_bytes()

    def refuse(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        plots.learning_curves([entry(1), entry(2)], path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0.0 %"),
        (1, "100.0 %"),
        (0.175, "17.5 %"),
        (0.0002, "0.02 %"),
        (3e-7, "3e-05 %"),
        (0.0005, "0.1 %"),
        (0.99999, "99.999 %"),
        (0.9994, "99.9 %"),
    ],
)
def test_percent(share, text):
    assert plots.percent(share) == text


def test_plots_take_their_data_first():
    """What is drawn comes first, and the path is called `path` and may be left out everywhere."""
    functions = [one for one in vars(plots).values() if inspect.isfunction(one) and one.__module__ == plots.__name__]
    drawing = {one.__name__: inspect.signature(one).parameters for one in functions if one.__name__[0] != "_"}
    assert {"learning_curves", "potentials", "widths", "shift", "raster", "confusion", "recording"} <= set(drawing)
    for arguments in drawing.values():
        assert list(arguments).index("path") > 0 and arguments["path"].default is None
