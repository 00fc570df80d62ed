"""The report of a run: it is complete, self-contained and escaped, and it is written even if something is missing."""

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from numsnn.diagnostics import Diagnosis, diagnose, record_spikes, write_report
from numsnn.diagnostics.report import _duration
from numsnn.layers import LIF, BatchNorm, Linear, Repeat, Sequential
from numsnn.pda import PDA
from numsnn.training import Trainer

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

VOID = {"meta", "img"}
PICTURES = ("learning_curves", "potentials", "widths", "shift", "raster", "confusion")


class Page(HTMLParser):
    """A page that was read: it checks that tags are closed in order, and keeps sources, headings and text."""

    def __init__(self, path):
        super().__init__()
        self.open, self.sources, self.headings, self.text, self.tags = [], [], [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == [], f"not closed: {self.open}"
        self.text = re.sub(r"\s+", " ", " ".join(self.text))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag == "img":
            assert dict(attrs)["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if "style" not in self.open:
            self.text.append(data)


@pytest.fixture(scope="module")
def run():
    """A short real run: everything that a report takes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    x = (rng.normal(size=(60, 8)) + 2 * np.eye(3, 8)[y]).astype(np.float32)
    silent = LIF(v_threshold=50.0)
    net = Sequential(Repeat(3, Linear(8, 16), BatchNorm(16)), LIF(pda=PDA()), Linear(16, 16), silent, Linear(16, 3))
    net.build((60, 8))
    start = diagnose(net, x, y)
    trainer = Trainer(net, device="cpu", batch_size=20)
    history = trainer.fit((x, y), (x, y), epochs=2, progress=False)
    return {
        "history": history,
        "start": start,
        "end": diagnose(net, x, y),
        "confusion": trainer.evaluate((x, y)).confusion,
        "classes": ["cat & dog", "<bird>", "fish"],
        "raster": record_spikes(net, x, 1),
    }


def report(folder, run, **changes):
    options = {"title": "a <b>run</b>", "config_text": 'name = "<&>"\nseed = 0', "version": "1.2.3", **run, **changes}
    return write_report(folder, options.pop("history"), **options)


def test_everything_is_there(tmp_path, run):
    path = report(tmp_path, run)
    assert path == tmp_path / "report.html"
    page = Page(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["report.html", *(f"{n}.png" for n in PICTURES)])
    assert page.headings == [
        "Learning curves",
        "Potentials and surrogates",
        "Surrogate widths",
        "Potential shift",
        "Spikes of one sample",
        "Confusion",
        "Diagnosis",
        "Configuration",
        "Versions",
    ]
    history = run["history"]
    best = max(metrics["valid_accuracy"] for metrics in history)
    for text in (
        f"best valid accuracy {100 * best:.2f} %",
        "last valid accuracy",
        "epochs 2",
        "training time",
        "parameters 501",
        f"hints {len(run['end'].hints)} see Diagnosis",
        "The network after training",
        "a <b>run</b>",
        'name = "<&>" seed = 0',
        "numsnn 1.2.3, Python 3.",
        f"NumPy {np.__version__}",
        "Numba ",
        f"{history[1]['train_loss']:.4g}",
        "lif2 is nearly silent",
        "linear1.weight",
    ):
        assert text in page.text, text


def test_self_contained(tmp_path, run):
    page = Page(report(tmp_path, run))
    assert len(page.sources) == len(PICTURES)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    for outside in ("http:", "https:", "//", "@import", "url("):
        assert outside not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.source), outside
    assert not {"script", "link", "iframe", "b", "bird"} & set(page.tags)
    assert "prefers-color-scheme: dark" in page.source


def test_what_is_missing_is_said(tmp_path, run):
    bare = dict.fromkeys(("start", "end", "confusion", "raster"))
    page = Page(report(tmp_path, run, **bare))
    for text in ("No diagnosis was made.", "No spikes were recorded."):
        assert text in page.text
    assert "Confusion" not in page.headings  # a regression has none
    assert sorted(p.name for p in tmp_path.iterdir()) == ["learning_curves.png", "report.html", "widths.png"]

    page = Page(report(tmp_path, run, **bare, history=[]))
    assert page.sources == []
    assert "No epoch was finished." in page.text
    assert "The history holds no surrogate widths." in page.text


def test_only_the_start(tmp_path, run):
    page = Page(report(tmp_path, run, end=None, classes=None))
    assert "The network before training." in page.text
    assert len(page.sources) == len(PICTURES)


def test_a_network_without_neurons_or_test_set(tmp_path, run):
    history = [
        {key: value for key, value in metrics.items() if not key.startswith("valid")} | {"widths": {}}
        for metrics in run["history"]
    ]
    no_neurons = Diagnosis((), run["end"].parameters, 0.5, ())
    changes = {"start": None, "end": no_neurons, "raster": {}, "confusion": None}
    page = Page(report(tmp_path, run, history=history, **changes))
    assert "The network has no neuron layer." in page.text
    assert "last training accuracy" in page.text
    assert "nothing looks wrong" in page.text
    assert len(page.sources) == 1


def test_without_matplotlib_the_numbers_are_still_written(tmp_path, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = Page(report(tmp_path, run))
    assert page.sources == []
    assert page.text.count('No picture: matplotlib is missing; install it with: pip install "numsnn[plot]"') == 6
    assert "best valid accuracy" in page.text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_again_into_the_same_folder(tmp_path, run):
    first = report(tmp_path, run).read_bytes()
    assert report(tmp_path, run).read_bytes() == first
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_no_such_folder(tmp_path, run):
    with pytest.raises(FileNotFoundError, match=r"write_report: there is no folder '.*nowhere'; make it first"):
        report(tmp_path / "nowhere", run)


def test_any_metric_by_name_and_one_file(tmp_path):
    """A regression: the page has its metrics and no confusion, and with the name of a file there is only this file."""
    history = [
        {"epoch": k, "train_loss": 2 / k, "train_mae": 1 / k, "valid_loss": 3 / k, "valid_mae": 1.5 / k, "note": "<&>"}
        for k in (1, 2)
    ]
    path = write_report(tmp_path / "page.html", history, test={"loss": 0.25, "mae": 0.125})
    assert list(tmp_path.iterdir()) == [path] == [tmp_path / "page.html"]
    page = Page(path)
    for text in ("test loss 0.25", "test mae 0.125", "last valid mae 0.75 epoch 2", "epochs 2", "valid mae", "<&>"):
        assert text in page.text, text
    assert "accuracy" not in page.text and "Confusion" not in page.text and "Configuration" not in page.text
    assert len(page.sources) == 1


def test_the_best_and_the_last_of_an_accuracy(tmp_path):
    history = [
        {"epoch": k, "train_loss": 1.0, "valid_accuracy": v} for k, v in ((1, 0.5), (2, 0.9), (3, 0.7), (4, None))
    ]
    text = Page(write_report(tmp_path / "a.html", history, test={"accuracy": 0.8})).text
    for part in ("test accuracy 80.00 %", "best valid accuracy 90.00 % epoch 2", "last valid accuracy 70.00 % epoch 3"):
        assert part in text


def test_of_equal_epochs_the_one_with_the_lower_loss_is_best(tmp_path):
    rows = [(1, 0.9, 0.5, 0.1), (2, 1.0, 0.4, 0.3), (3, 1.0, 0.2, 0.3), (4, 1.0, 0.3, 0.2)]
    names = "epoch", "valid_accuracy", "valid_loss", "valid_r2"
    history = [dict(zip(names, row, strict=True)) for row in rows]
    text = Page(write_report(tmp_path / "a.html", history)).text
    assert "best valid accuracy 100.00 % epoch 3" in text and "best valid r2 0.3 epoch 3" in text
    assert "best valid loss" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.25 s"),
        (9.94, "9.9 s"),
        (48, "48 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration(seconds, text):
    assert _duration(seconds) == text
