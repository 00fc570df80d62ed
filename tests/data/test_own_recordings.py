"""The story of the page on data: recordings of one's own are read, stored and trained on as the page says."""

import json
import re
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def blocks(language):
    section = PAGE.read_text(encoding="utf-8").partition("## Recordings of your own")[2].partition("### Files of")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_from_files_to_a_trained_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"np": np, "snn": snn, "rng": np.random.default_rng(0)}
    for code in blocks("python"):
        exec(code, names)
    assert (
        names["trainer"].predict(names["x"]).tolist()
        == names["trainer"].predict(names["test"].select(range(5)).frames(6, pool=4)).tolist()
    )
    (settings,) = blocks("toml")
    Path("balls.toml").write_text(settings)
    assert cli.main(["show", "balls.h5", "--index", "3"]) == 0
    assert "Recordings('balls train': 64 with 96,000 events on 64x48 pixels, 2 classes)" in capsys.readouterr().out
    assert cli.main(["train", "balls.toml", "--out", "run"]) == 0
    epochs = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert len(epochs) == 5 and epochs[-1]["train_accuracy"] > 0.9
    # The same recordings as text make the same store.
    Path("text").mkdir()
    events = []
    for path in names["paths"]:
        np.savetxt(f"text/{path.stem}.csv", np.load(path), "%d", ",", header="t,x,y,p", comments="")
        events.append(snn.data.formats.read_events(f"text/{path.stem}.csv", size=(48, 64)))
    for mine, theirs in zip(events, names["events"], strict=True):
        assert all(np.array_equal(getattr(mine, column), getattr(theirs, column)) for column in "xytp")
