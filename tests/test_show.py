"""numsnn show: the numbers, the pictures, and what it says where something is missing."""

import numpy as np
import pytest
from PIL import Image

from numsnn import cli, data
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
        (["digits", "--index", "-1"], "--index must be in 0..1436; got -1"),
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
