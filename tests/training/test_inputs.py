"""Networks with several inputs, and frozen layers, in everything that trains and evaluates."""

import re

import numpy as np
import pytest

import numsnn as snn
from numsnn.data import Batch

T, N = 6, 9
RNG = np.random.default_rng(0)
Y = np.arange(N) % 3
X = {
    "eye": (RNG.normal(0.5, 1, (N, T, 4)) + Y[:, None, None]).astype(np.float32),
    "ear": (RNG.normal(0.5, 1, (N, T, 5)) - Y[:, None, None]).astype(np.float32),
}
LENGTHS = np.array([6, 4, 6, 2, 1, 5, 6, 3, 3])


def network(dropout=0.0):
    eye = snn.Sequential(snn.Linear(4, 8), snn.BatchNorm(8), snn.LIF(pda=snn.PDA(divergence=0.1)))
    nodes = {
        "seen": (eye, "eye"),
        "heard": (snn.Sequential(snn.Linear(5, 6), snn.LIF(v_threshold=0.5)), "ear"),
        "both": ("concat", "seen", "heard"),
        "readout": (snn.Sequential(snn.Dropout(dropout), snn.Linear(14, 3)), "both"),
    }
    return snn.Graph(("eye", "ear"), nodes)


def trainer(net=None, **options):
    return snn.Trainer(net or network(), optimizer=snn.optim.Adam(2e-2), batch_size=4, **options)


def timed(x, rows):
    """The batch of some samples, with time first."""
    return {name: np.ascontiguousarray(part[rows].swapaxes(0, 1)) for name, part in x.items()}


class Source:
    """A source of batches as a user writes it."""

    def __init__(self, x, lengths=None):
        self.x, self.lengths = x, lengths

    def __len__(self):
        return N

    def batch(self, indices):
        lengths = None if self.lengths is None else self.lengths[indices]
        return Batch(timed(self.x, indices), Y[indices], lengths)


class Tuples(Source):
    """A source that gives its arrays without names."""

    def batch(self, indices):
        x, y = super().batch(indices)
        return tuple(x.values()), y


def same(a, b):
    return all(np.array_equal(value, b.state()[name]) for name, value in a.state().items())


def spoilt(x, lengths):
    """The same sequences with other numbers behind their ends."""
    out = {name: part.copy() for name, part in x.items()}
    for part in out.values():
        part[np.arange(T) >= lengths[:, None]] = 7
    return out


# --- several inputs -------------------------------------------------------------------------------------------------


def test_arrays_and_a_source_train_alike():
    first, second, third = trainer(), trainer(), trainer()
    history = first.fit((X, Y), (X, Y), epochs=12, progress=False)
    assert history[-1]["valid_accuracy"] > 0.8 and history[-1]["train_loss"] < history[0]["train_loss"]
    second.fit(Source(X), epochs=12, progress=False)
    third.fit(((X["eye"], X["ear"]), Y), epochs=12, progress=False)  # in the order of the inputs
    assert same(first.net, second.net) and same(first.net, third.net)


def test_evaluate_and_predict():
    net = network().build({"eye": (T, N, 4), "ear": (T, N, 5)})
    own = trainer(net)
    z = net(timed(X, np.arange(N)))
    given = z.mean(0).argmax(1)
    assert len(set(given)) > 1
    for x in (X, (X["eye"], X["ear"]), Source(X)):
        assert np.array_equal(own.predict(x), given)
    assert np.array_equal(own.predict(X, per_step=True), z.argmax(-1).T)
    result = own.evaluate((X, Y))
    losses, _ = snn.losses.RateCrossEntropy()(z, Y)
    assert result.accuracy == (given == Y).mean() and result.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert result.confusion.sum() == result.samples == N


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
def test_samples_of_a_source_that_are_not_finite(wrong):
    """A network may make a finite loss of them."""
    own = trainer(network().build({"eye": (T, N, 4), "ear": (T, N, 5)}))
    ear = X["ear"].copy()
    ear[3, 1] = wrong
    for ask in (own.evaluate, own.predict):
        with pytest.raises(ValueError, match="the samples of a batch must be finite; ear holds NaN or inf"):
            ask(Source(X | {"ear": ear}))


def test_a_report_looks_at_the_inputs(tmp_path):
    own = trainer()
    own.fit((X, Y), epochs=1, progress=False)
    page = own.report(tmp_path / "run.html", (X, Y)).read_text()
    assert "seen.lif1" in page and "heard.lif1" in page


def test_targets_per_step_and_an_input_without_time():
    """The targets have the steps of the input that has a time axis."""
    nodes = {
        "shown": (snn.Sequential(snn.Repeat(T, snn.Linear(2, 3), snn.BatchNorm(3)), snn.LIF()), "still"),
        "both": ("concat", "shown", "ear"),
        "readout": (snn.Linear(8, 3), "both"),
    }
    x, y = {"still": X["eye"][:, 0, :2], "ear": X["ear"]}, np.repeat(Y[:, None], T, 1)
    own = snn.Trainer(snn.Graph(("still", "ear"), nodes), snn.losses.StepCrossEntropy(), batch_size=4)
    own.fit((x, y), epochs=2, progress=False)
    z = own.net({"still": x["still"], "ear": x["ear"].swapaxes(0, 1).copy()})
    assert np.array_equal(own.predict(x), z.argmax(-1).T)
    with pytest.raises(ValueError, match="truncate needs inputs with a time axis"):
        snn.Trainer(own.net, truncate=2)


@pytest.mark.parametrize("truncate", [None, 4])
def test_padding_has_no_influence(truncate):
    nets = []
    for x in (X, spoilt(X, LENGTHS)):
        own = trainer(truncate=truncate)
        own.fit(Source(x, LENGTHS), epochs=2, progress=False)
        assert own.optimizer.steps == (6 if truncate is None else 10)  # two chunks hold padding alone
        nets.append(own.net)
        assert np.array_equal(own.predict(Source(x, LENGTHS)), trainer(nets[0]).predict(Source(X, LENGTHS)))
    assert same(*nets)
    alone = [
        trainer(nets[0]).evaluate(({name: part[n : n + 1, : LENGTHS[n]] for name, part in X.items()}, Y[n : n + 1]))
        for n in (1, 3)
    ]
    z = nets[0](timed(X, [1, 3]))
    losses, _ = snn.losses.RateCrossEntropy()(z, Y[[1, 3]], lengths=LENGTHS[[1, 3]])
    assert [one.loss for one in alone] == pytest.approx(losses, rel=1e-5)


def test_equal_lengths_are_a_shorter_sequence():
    """Also for layers that are used twice, whose objectives and penalties count per use, and for frozen ones."""
    part = snn.Sequential(
        snn.Linear(4, 5), snn.BatchNorm(5), snn.LIF(pda=snn.PDA(divergence=0.3)), snn.RateBand(0.3, 0.4)
    )
    still = snn.Sequential(snn.Linear(4, 5), snn.BatchNorm(5), snn.LIF(pda=True))
    nodes = {"a": (part, "eye"), "b": ("a", "more"), "c": (still, "eye"), "sum": ("add", "a", "b", "c")}
    found = []
    for steps, lengths in ((4, None), (T, np.full(N, 4))):
        net = snn.Graph(("eye", "more"), nodes | {"readout": (snn.Linear(5, 3), "sum")}).copy().to(dtype="float64")
        x = timed({"eye": X["eye"], "more": X["ear"][..., :4]}, np.arange(N))
        x = {name: array[:steps].astype(np.float64) for name, array in x.items()}
        net.build({name: array.shape for name, array in x.items()})
        net["c"].freeze()
        loop = snn.Loop(net, snn.optim.SGD(0.1))
        for _ in range(2):
            z = loop.forward(x, lengths)
            loop.backward(snn.losses.RateCrossEntropy()(z, Y, lengths=lengths)[1])
            norm = loop.step()
        uses = [net[f"{name}.{kind}"].penalty for name in "ab" for kind in ("lif1", "rateband1")]
        assert len(set(uses)) == 4 and sum(uses) == pytest.approx(loop.penalty) and min(uses) > 0
        found.append((net.state(), norm, loop.penalty))
    assert found[0][1:] == pytest.approx(found[1][1:], rel=1e-9)
    for name, value in found[0][0].items():
        np.testing.assert_allclose(found[1][0][name][: len(value)], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_still_picture_beside_sequences_of_different_length():
    """The layers that look at the picture once have statistics of all pictures; the others, of the real steps."""
    nodes = {
        "shown": (snn.Sequential(snn.Repeat(T, snn.Linear(2, 4), snn.BatchNorm(4)), snn.LIF(pda=True)), "still"),
        "heard": (snn.Sequential(snn.Linear(5, 4), snn.BatchNorm(4), snn.LIF()), "ear"),
        "both": ("add", "shown", "heard"),
        "readout": (snn.Linear(4, 3), "both"),
    }
    found = []
    for x in (X, spoilt(X, LENGTHS)):
        net = snn.Graph(("still", "ear"), nodes).copy().build({"still": (N, 2), "ear": (T, N, 5)})
        still, loop = np.ascontiguousarray(X["eye"][:, 0, :2]), snn.Loop(net)
        mean = (still @ net["shown.repeat1.linear1"].weight.value).mean(0)
        z = loop.forward({"still": still, "ear": timed(x, np.arange(N))["ear"]}, LENGTHS)
        loop.backward(snn.losses.RateCrossEntropy()(z, Y, lengths=LENGTHS)[1])
        loop.step()
        found.append(net)
        np.testing.assert_allclose(net.state()["shown.repeat1.batchnorm1.mean"], 0.1 * mean, rtol=1e-5, atol=1e-6)
    assert same(*found)


def test_bad_data():
    own = trainer()
    flat = np.zeros((N, T, 4), np.float32)
    one = snn.Trainer(snn.Sequential(snn.Linear(4, 3)))
    for run, message in (
        (
            lambda: own.fit(snn.data.Dataset(flat, Y, timed=True)),
            "train: a Dataset holds one array per sample, but",
        ),
        (
            lambda: own.predict(snn.data.Dataset(flat, Y, timed=True)),
            "x: a Dataset holds one array per sample, but",
        ),
        (lambda: own.fit((flat, Y)), "graph: takes 2 inputs; give one array for each of 'eye', 'ear', as a dict or"),
        (lambda: own.evaluate(({"eye": flat}, Y)), "graph: the input 'ear' is missing; got 'eye'"),
        (lambda: own.predict(flat), "graph: takes 2 inputs; give one array for each of 'eye', 'ear', as a dict or"),
        (
            lambda: own.fit((X | {"ear": X["ear"][:5]}, Y)),
            "train: all inputs must have the same number of samples; got",
        ),
        (lambda: own.fit((X | {"ear": X["ear"][:, 0]}, Y)), "Dataset 'train: ear': timed x must be [N, T, F]"),
        (lambda: one.fit((X, Y)), "takes one input; got a dict of 'eye', 'ear'. snn.Graph makes networks with several"),
        (lambda: own.predict({"eye": 3, "ear": 3}), "Dataset 'x: eye': timed x must be [N, T, F]"),
        (lambda: own.fit(Tuples(X)), "train: x of a batch must be a dict of arrays by name; got tuple"),
        (lambda: one.predict(X), "takes one input; got a dict of 'eye', 'ear'. snn.Graph makes networks with several"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            run()
    net = network().build({"eye": (T, N, 4), "ear": (T, N, 5)})
    x = timed(X, np.arange(N))
    with pytest.raises(snn.ShapeError, match=r"inputs with the same steps and samples; got eye \(6, 9, 4\)"):
        snn.Loop(net).forward(x | {"ear": x["ear"][:4]}, LENGTHS)
    with pytest.raises(snn.ShapeError, match="lengths must be 9 whole numbers, one per sample"):
        snn.Loop(net).forward(x, LENGTHS[:4])


# --- loops and frozen layers ----------------------------------------------------------------------------------------


def test_a_loop_is_what_a_trainer_does():
    own, loop = trainer(clip_norm=0.5, schedule=snn.schedules.Constant()), None
    own.fit((X, Y), epochs=2, progress=False)
    loop = snn.Loop(network(), snn.optim.Adam(2e-2), clip_norm=0.5)
    for epoch in range(2):
        for x, y in snn.data.Loader(Source(X), 4, shuffle=True).epoch(epoch):
            loop.backward(snn.losses.RateCrossEntropy()(loop.forward(x), y)[1])
            loop.step()
    assert same(own.net, loop.net)


def step(loop, rows=slice(0, N)):
    loop.backward(snn.losses.TET()(loop.forward(timed(X, rows)), Y[rows])[1])
    loop.step()


def test_a_loop_leaves_frozen_layers_alone_and_takes_them_along(tmp_path):
    def fresh():
        return snn.Loop(network(dropout=0.4), snn.optim.AdamW(1e-2, weight_decay=0.1))

    loop = fresh()
    step(loop)
    loop.net["seen"].freeze()
    before = loop.net.state()
    step(loop, slice(0, 5))
    loop.save(tmp_path / "loop.h5", epoch=1)
    after = loop.net.state()
    changed = {name for name, value in before.items() if not np.array_equal(value, after[name])}
    assert changed == {name for name in before if not name.startswith("seen.")}
    again = fresh()
    assert again.restore(tmp_path / "loop.h5") == {"epoch": 1}
    assert again.net.frozen_layers() == loop.net.frozen_layers() and len(again.net.frozen_layers()) == 3
    for one in (loop, again):
        step(one)
    assert same(loop.net, again.net)
    again.net.unfreeze()
    step(again)
    assert not np.array_equal(again.net["seen.linear1"].weight.value, before["seen.linear1.weight"])


def test_accumulated_gradients_of_a_partly_frozen_network():
    found = []
    for parts in ((slice(0, N),), (slice(0, 4), slice(4, N))):
        net = network().to(dtype="float64").build({"eye": (T, N, 4), "ear": (T, N, 5)})
        net["seen"].freeze()  # its normalisation has no statistics of a batch
        loop = snn.Loop(net, snn.optim.SGD(0.1, momentum=0.0))
        for rows in parts:
            x = {name: part.astype(np.float64) for name, part in timed(X, rows).items()}
            loop.backward(snn.losses.TET()(loop.forward(x), Y[rows])[1])
        loop.step()
        found.append(net.state())
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-12, atol=1e-14)


def test_a_frozen_run_resumes_bit_for_bit(tmp_path):
    """The file tells what is frozen, whatever is frozen in the network that takes the run over."""

    def run(name, stop=None, resume=False):
        own = trainer(network(dropout=0.4), out=tmp_path / name, seed=1, on_epoch=lambda _, m: m["epoch"] == stop)
        if not resume:
            own.net["heard"].freeze()
        own.fit((X, Y), (X, Y), epochs=4, progress=False, resume=resume)
        return own

    whole = run("whole")
    run("parts", stop=2)
    resumed = run("parts", resume=True)
    assert resumed.net.frozen_layers() == whole.net.frozen_layers() == ["heard.linear1", "heard.lif1"]
    assert same(whole.net, resumed.net)
    best = snn.load(tmp_path / "whole" / "checkpoint.h5")
    assert best.frozen_layers() == whole.net.frozen_layers()
    x = timed(X, np.arange(N))
    whole.restore_best()
    assert np.array_equal(best(x), whole.net(x))


def test_save_and_load(tmp_path):
    net = network().build({"eye": (T, N, 4), "ear": (T, N, 5)})
    net["readout"].freeze()
    snn.save(net, tmp_path / "net.h5")
    other, x = snn.load(tmp_path / "net.h5"), timed(X, np.arange(N))
    assert np.array_equal(net(x), other(x)) and other.frozen_layers() == ["readout.dropout1", "readout.linear1"]
    assert snn.Loop(other).net.trainable()[0][0] == "seen.linear1.weight"
