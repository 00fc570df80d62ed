"""Runs and loops on the CUDA device, by default in Numba's simulator, are those of the CPU, in float64: lengths,
weights, callbacks, sums of gradients, and copies."""

import copy
import pickle

import numpy as np
import pytest

import numsnn as snn
from numsnn.training import EarlyStopping, WeightAverage
from numsnn.training.run_state import LAST

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

pytestmark = pytest.mark.usefixtures("quick_simulator")

RNG = np.random.default_rng(0)
SEQUENCES = [RNG.normal(size=(n, 3)).astype(np.float32) for n in (2, 3, 4, 4, 1, 3)]
CLASSES = snn.data.Dataset.padded(SEQUENCES, np.arange(6) % 2, weights=RNG.random(6))


def network():
    return snn.Sequential(snn.Linear(3, 4), snn.LIF(), snn.Linear(4, 2)).to(dtype="float64")


def make(device, loss, out=None, **options):
    options = {"callbacks": [WeightAverage(0.5), EarlyStopping(5)], "clip_norm": 1.0, "batch_size": 3, **options}
    return snn.Trainer(network(), loss, snn.optim.Adam(1e-2), device=device, out=out, **options)


def assert_close(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("loss", "data", "options"),
    [
        (snn.losses.TET(class_weights=(1, 2)) + 0.1 * snn.losses.MembraneMSE(), CLASSES, {"accumulate": 2}),
        (
            snn.losses.StepCrossEntropy(),
            snn.data.Dataset.padded(SEQUENCES, [np.arange(len(x)) % 3 - 1 for x in SEQUENCES]),
            {"truncate": 2},
        ),
        (
            snn.losses.MeanSquaredError("steps"),
            snn.data.Dataset.padded(SEQUENCES, [x[:, :2] for x in SEQUENCES]),
            {"schedule": snn.schedules.Plateau(0.5, 1, min_delta=1.0)},
        ),
    ],
)
def test_a_run_is_the_cpu_s(loss, data, options, tmp_path, assert_same_arrays):
    trainers = [make(device, loss, tmp_path / device, **copy.deepcopy(options)) for device in ("cpu", "cuda")]
    for trainer in trainers:
        trainer.fit(data, data, 2, progress=False, test=data)
    cpu, cuda = trainers
    for mine, theirs in zip(cpu.history, cuda.history, strict=True):
        plain = [{name: row[name] for name in row if name.startswith(("train", "valid"))} for row in (mine, theirs)]
        assert_close(*plain)
    assert_close(cpu.net.state(), cuda.net.state())
    assert_close(cpu.callbacks[0].state()["arrays"], cuda.callbacks[0].state()["arrays"])
    assert_close({"test": cpu.test.loss}, {"test": cuda.test.loss})
    np.testing.assert_allclose(cuda.predict(data), cpu.predict(data), rtol=1e-9, atol=1e-9)
    moved = make("cpu", loss, **copy.deepcopy(options))
    moved.restore(tmp_path / "cuda" / LAST)
    assert_same_arrays(moved.callbacks[0].state()["arrays"], cuda.callbacks[0].state()["arrays"])


def test_a_stopped_run_goes_on(tmp_path, assert_same_arrays):
    loss, options = snn.losses.TET(class_weights=(1, 2)), {"accumulate": 2}
    cuda = make("cuda", loss, tmp_path / "cuda", **options)
    cuda.fit(CLASSES, CLASSES, 2, progress=False)
    stopped = make("cuda", loss, tmp_path / "parts", on_epoch=lambda trainer, metrics: True, **options)
    stopped.fit(CLASSES, CLASSES, 2, progress=False)
    again = make("cuda", loss, tmp_path / "parts", **options)
    again.fit(CLASSES, CLASSES, 2, resume=True, progress=False)
    assert_same_arrays(again.net.state(), cuda.net.state())
    assert_same_arrays(again.callbacks[0].state()["arrays"], cuda.callbacks[0].state()["arrays"])


def test_a_loop_is_the_cpu_s(tmp_path):
    batch, loss, norms = CLASSES.batch(np.arange(6)), snn.losses.RateCrossEntropy(), {}
    for device in ("cpu", "cuda"):
        loop, average = snn.Loop(network().to(device), clip_norm=1.0), WeightAverage(0.5)
        norms[device] = {}
        for k in range(2):
            for part in (slice(0, 2), slice(2, 6)):
                z = loop.forward(np.ascontiguousarray(batch.x[:, part], np.float64), batch.lengths[part])
                _, dz = loss(z, batch.y[part], lengths=batch.lengths[part], weights=batch.weights[part])
                loop.backward(dz)
            norms[device][k] = loop.step()
            average.update(loop.net)
        average.swap(loop.net)
        norms[device]["average"] = loop.net.state()["linear1.weight"]
        average.swap(loop.net)
        loop.save(tmp_path / f"{device}.h5")
        loop.restore(tmp_path / f"{device}.h5")
        loop.backward(loop.net.kernels.to_host(loss(loop.forward(batch.x.astype(np.float64)), batch.y)[1]))
        norms[device]["whole"] = loop.step()
    assert_close(norms["cpu"], norms["cuda"])


def test_copies(assert_same_arrays):
    trainer = make("cuda", snn.losses.TET())
    trainer.fit(CLASSES, CLASSES, 1, progress=False)
    for copied in (copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))):
        copied.fit(CLASSES, CLASSES, 1, progress=False)
    trainer.fit(CLASSES, CLASSES, 1, progress=False)
    assert_same_arrays(copied.net.state(), trainer.net.state())
    assert_same_arrays(copied.callbacks[0].state()["arrays"], trainer.callbacks[0].state()["arrays"])


def test_a_copy_within_a_sum_of_gradients_goes_on():
    batch, loss = CLASSES.batch(np.arange(6)), snn.losses.RateCrossEntropy()
    loop = snn.Loop(network().to("cuda"))

    def go_on(loop):
        loop.backward(loss(loop.forward(batch.x.astype(np.float64)), batch.y)[1])

    for _ in range(2):
        go_on(loop)
    loop.forward(batch.x.astype(np.float64))
    copied = copy.deepcopy(loop)
    with pytest.raises(RuntimeError, match=r"^Loop\.backward: call forward first"):
        copied.backward(np.zeros((4, 6, 2)))
    for each in (loop, copied):
        go_on(each)
    assert loop.step() == copied.step()
