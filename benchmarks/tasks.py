"""Every task that networks are trained on here: data, network and schedule, each under a name of its own."""

from dataclasses import dataclass, replace

from numsnn.measure.workloads import Workload, small

HIDDEN = 128
"""Neurons of a recurrent network."""


@dataclass(frozen=True)
class Task:
    """What a run of a study trains; `benchmarks.method.runs.Run` can change parts of it.

    Attributes:
        data: "mnist", "digits", "digits-dvs", "cifar10", "cifar10-dvs-sim" or "words", see `benchmarks.datasets`.
        train, test: number of samples, the first ones; None for all.
        valid: number of samples of the training part, those behind the first `train` ones, with which candidates are
            compared (`benchmarks.method.tournament`); 0 if there is no such part.
        classes: number of classes.
        architecture: see `numsnn.models.from_string`.
        blocks: (channels, stride) of the residual blocks of a network that has these instead of an architecture; a
            convolution of as many channels as the first block, and pooling, come before them.
        steps: T.
        epochs, batch, lr: length of the training, samples per update, learning rate.
        events: whether the samples have a time axis of their own.
        recurrent: whether the network is `HIDDEN` recurrent neurons instead of an architecture; they read one row of a
            picture per step.
        tau: time constant of the neurons, in steps.
        recipe: name of a recipe that ships with numsnn and replaces all of this, except the seed.
    """

    data: str
    train: int | None = None
    test: int | None = None
    valid: int = 0
    classes: int = 10
    architecture: str = ""
    blocks: tuple[tuple[int, int], ...] = ()
    steps: int = 4
    epochs: int = 10
    batch: int = 50
    lr: float = 2e-3
    events: bool = False
    recurrent: bool = False
    tau: float = 2.0
    recipe: str = ""


RECIPE = {"optimizer": "AdamW", "lr": 2e-3, "weight_decay": 0.02, "schedule": "cosine", "smoothing": 0.1}
"""Optimiser, schedule and loss of numsnn and its peers."""


@dataclass(frozen=True)
class PeerTask:
    """What numsnn and its peers train alike.

    Attributes:
        data: "mnist" or "cifar10", see `benchmarks.datasets`.
        workload: the network; the number of its samples is the batch.
        epochs: number of epochs of a run.
        train, test: number of pictures of each part, the first ones.
    """

    data: str
    workload: Workload
    epochs: int
    train: int
    test: int

    @property
    def batch(self) -> int:
        """Pictures per training step."""
        return self.workload.shape[1]

    def recipe(self, seed: int, method: str) -> dict:
        """The recipe of one run, as plain data."""
        return RECIPE | {"epochs": self.epochs, "batch": self.batch, "seed": seed, "method": method}

    def quick(self) -> "PeerTask":
        """The same with a few pictures, which show that everything works and teach nothing."""
        return replace(self, epochs=2, train=2 * self.batch + 8, test=32)


STUDY_TASKS = {
    "mnist8k": Task("mnist", architecture="16c3-p2-32c3-p2", epochs=3),
    "digits": Task("digits", architecture="16c3-p2-16c3", epochs=8, lr=4e-3),
    "digits-dvs": Task("digits-dvs", architecture="16c3-p2-32c3-p2", steps=6, epochs=8, lr=4e-3, events=True),
    "cifar10-5k": Task("cifar10", 5000, 2000, architecture="24c3-p2-48c3-p2-96c3-p2", epochs=6),
    "mnist8k-rows": Task("mnist", steps=28, epochs=6, lr=5e-3, recurrent=True),
    "words": Task("words", classes=20, steps=100, epochs=15, batch=32, events=True, recurrent=True, tau=20.0),
    "recipe mnist": Task("mnist", recipe="mnist"),
    "recipe digits": Task("digits", recipe="digits"),
    "recipe digits-dvs": Task("digits-dvs", recipe="digits-dvs"),
}
"""The tasks of the studies (`benchmarks.method`)."""

TOURNAMENT_TASKS = {
    "mnist8k": replace(STUDY_TASKS["mnist8k"], train=6000, valid=1000),
    "digits-dvs": replace(STUDY_TASKS["digits-dvs"], train=1100, valid=337),
    "cifar10-5k T=2": replace(STUDY_TASKS["cifar10-5k"], steps=2, valid=2000),
    "cifar10-5k T=4": replace(STUDY_TASKS["cifar10-5k"], valid=2000),
    "cifar10-5k deep": Task(
        "cifar10", 5000, 2000, 2000, blocks=((16, 1), (32, 2), (32, 1), (64, 2)), steps=2, epochs=6
    ),
    "cifar10-dvs-sim": Task(
        "cifar10-dvs-sim", 5000, 2000, 2000, architecture="16c3-p2-32c3-p2-64c3-p2", steps=5, epochs=6, events=True
    ),
    "mnist8k-rows": replace(STUDY_TASKS["mnist8k-rows"], train=6000, valid=1000),
    "words": replace(STUDY_TASKS["words"], train=640, valid=160),
}
"""The tasks on which candidates for the method meet (`benchmarks.method.tournament`)."""

PEER_TASKS = {
    "peers-mnist8k": PeerTask("mnist", small("32c3-P2-64c3-P2-10", 4, 64), 5, 7000, 1000),
    "peers-cifar10-5k": PeerTask(
        "cifar10",
        small("32c3-P2-64c3-P2-128c3-P2-10", 4, 50, size=32, colours=3, widths=(32, 64, 128)),
        6,
        5000,
        2000,
    ),
}
"""The tasks of the comparison with the peers (`benchmarks.accuracy.compare`)."""
