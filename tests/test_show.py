"""numsnn show: the numbers, the pictures, and what it says where something is missing."""

import numpy as np
import pytest
from PIL import Image

from numsnn import cli, data
from numsnn import show as show_module
from numsnn.data import Dataset, Events
from numsnn.data.store import writing


def events_store(path, size=(6, 8), polarities=2):
    rng = np.random.default_rng(0)
    made = []
    for n in (200, 0, 50):
        t = np.sort(rng.integers(0, 100_000, n))
        x, y, p = (rng.integers(0, end, n) for end in (size[1], size[0], polarities))
        made.append(Events(x, y, t, p, size, polarities))
    with writing(path, "events", "made", ["left", "right"], size=size, polarities=polarities) as writer:
        writer.append("train", made, [0, 1, 1])
    return str(path)


def show(capsys, *arguments):
    assert cli.main(["show", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def picture(path):
    with Image.open(path) as image:
        image.load()
        return image.copy()


def test_pictures(tmp_path, capsys):
    shown = show(capsys, "digits", "--index", 3, "--part", "test", "--out", tmp_path / "new")
    assert "digits test': 360 samples" in shown and "values 0 to 1, mean 0.30" in shown
    assert "  0: 36   1: 37" in shown
    image = picture(tmp_path / "new" / "digits-test-3.png")
    assert image.width > 300 and len(set(image.convert("L").tobytes())) > 10


@pytest.mark.parametrize("index", [0, 1])
def test_recordings(index, tmp_path, capsys):
    path = events_store(tmp_path / "made.h5")
    shown = show(capsys, path, "--index", index, "--out", tmp_path, "--steps", 12, "--gif")
    assert "left: 1    right: 2" in shown and "events per recording: 0 to 200, median 50" in shown
    assert "events per second" in shown and "% of them ON" in shown
    assert picture(tmp_path / f"made-train-{index}.png").width > 600
    with Image.open(tmp_path / f"made-train-{index}.gif") as animation:
        assert animation.format == "GIF" and animation.n_frames == (12 if index == 0 else 1)  # equal ones are merged


@pytest.mark.parametrize("size", [(48, 64), (1, 40)])
def test_every_event_is_drawn(size):
    """Every event, also at the corners, changes a pixel where its place is projected to."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d import proj3d

    height, width = size
    t, y, x = (grid.ravel() for grid in np.meshgrid([0, 2500, 5000], [0, height - 1], [0, width // 2, width - 1]))
    order = np.argsort(t, kind="stable")
    events = Events(x[order], y[order], t[order], np.arange(len(t)) % 2, size, polarities=2)
    figure = Figure(layout="constrained")
    canvas = FigureCanvasAgg(figure)
    show_module._draw_recording(figure, events, data.to_frames(events, 10), "all of them")
    pictures = []
    for visible in (True, False):
        axes = [one for one in figure.axes if one.collections][-1]
        axes.collections[0].set_visible(visible)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[..., :3].astype(int))
    changed = (pictures[0] != pictures[1]).any(-1)
    places = np.stack([events.t / 1000, events.x], 1)
    if height > 1:
        places = np.stack(proj3d.proj_transform(*places.T, events.y.astype(float), axes.get_proj())[:2], 1)
    assert len(axes.collections[0].get_offsets()) == len(events)
    for column, below in axes.transData.transform(places).astype(int):
        row = len(changed) - 1 - below
        assert changed[row - 1 : row + 2, column - 1 : column + 2].any(), (column, row)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"y": [0.5, 1, 2, 4]}, ["4 samples of 2x3 float64, 1 value", "targets 0.5 to 4, mean 1.8750"]),
        ({"y": np.eye(4, 2) > 0, "classes": ("up", "down")}, ["  up: 1     down: 1"]),
        (
            {"y": [[0, -1], [1, 1], [1, -1], [0, 0]], "lengths": [1, 2, 2, 2], "weights": [1, 2, 1, 0.5]},
            ["  0: 3   1: 3", "steps without a label: 2", "steps per sequence: 1 to 2, median 2", "weights 0.5 to 2"],
        ),
    ],
)
def test_other_targets(options, shown, tmp_path, capsys):
    x = np.arange(24.0).reshape(4, 2, 3)
    data.save(tmp_path / "made.h5", "made", train=Dataset(x, timed=True, **options))
    found = show(capsys, tmp_path / "made.h5", "--index", 1, "--out", tmp_path)
    assert all(line in found for line in shown), found
    assert (tmp_path / "made-train-1.png").is_file()


def test_the_name_of_a_store_chooses_no_folder(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    part = Dataset(np.zeros((2, 3)), [0, 1], ("\x1b[31mred", "blue"))
    data.save(tmp_path / "made.h5", "../../up/" + 80 * "x", train=part)
    found = show(capsys, tmp_path / "made.h5", "--out", tmp_path / "out")
    assert "\x1b" not in found and "?[31mred: 1" in found
    (made,) = (tmp_path / "out").iterdir()
    assert made.name.endswith("-0.png") and len(made.name) < 70


def test_long_names(tmp_path, capsys):
    """They are cut in what is printed and drawn; of a file's name, the end stays, which says which part it is."""
    both = Dataset(np.zeros((2, 3)), [0, 1], ("x" * 10**5, "ä" * 10**5))
    for name in (1000 * "n", 80 * "é"):
        data.save(tmp_path / "made.h5", name, train=both, test=both)
        for part in ("train", "test"):
            found = show(capsys, tmp_path / "made.h5", "--part", part, "--out", tmp_path / "out")
            assert len(found) < 1500
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(made) == 4 and all(len(name.encode()) < 80 for name in made)
    assert sorted(name.partition("-0")[0].rpartition("-")[2] for name in made) == ["test", "test", "train", "train"]


def test_channels(tmp_path, capsys):
    path = events_store(tmp_path / "row.h5", (1, 40), polarities=1)
    assert "ON" not in show(capsys, path, "--out", tmp_path)
    assert (tmp_path / "made-train-0.png").is_file()
    assert cli.main(["show", path, "--out", str(tmp_path / "none"), "--gif"]) == 2
    assert "the frames have one row of channels and are not pictures" in capsys.readouterr().err
    assert list((tmp_path / "none").iterdir()) == []


@pytest.mark.parametrize("shape", [(4, 3, 6, 6, 2), (4, 3, 6, 6, 1), (4, 3, 7), (4, 5, 5, 3)])
def test_stored_samples(shape, tmp_path, capsys):
    x = np.random.default_rng(0).integers(0, 200, shape, np.uint8)
    part = Dataset(x, [0, 1, 0, 1], name="made", timed=shape[1] == 3 and len(shape) != 4, scale=1 / 255)
    data.save(tmp_path / "made.h5", "made", train=part)
    assert "made train" in show(capsys, tmp_path / "made.h5", "--out", tmp_path)
    assert picture(tmp_path / "made-train-0.png").height > 100


def test_a_configuration(tmp_path, capsys):
    path = events_store(tmp_path / "made.h5")
    (tmp_path / "run.toml").write_text(f'[data]\nfile = "{path}"\n')
    assert "Recordings('made train'" in show(capsys, tmp_path / "run.toml", "--out", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "'digits', 'mnist', 'digits-dvs', or a store or TOML file; got 'digit'. Did you mean 'digits'?"),
        (["digits", "--part", "valid"], "digits has no part 'valid'; its parts are train, test"),
        (["digits", "--index", "1437"], "--index must be in 0..1436; got 1437"),
        (["digits", "--index", "-1"], "--index must be a whole number of at least 0; got -1; see numsnn show --help"),
        (["digits", "--steps", "0"], "--steps must be a whole number of at least 1; got 0"),
        (["mnist"], "option 'dir' is missing; give the folder with --data FOLDER"),
        (["digits", "--data", "x"], "the dataset 'digits' takes no folder, because it is part of the package; got 'x'"),
        (["digits-dvs", "--data", "x"], "the dataset 'digits-dvs' takes no folder"),
        (["absent.h5"], "absent.h5"),
    ],
)
def test_errors(arguments, message, tmp_path, capsys):
    assert cli.main(["show", *arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
