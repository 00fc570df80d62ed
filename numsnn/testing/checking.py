"""Running the checks of a layer: all at once with a report, or one by one as the parameters of a test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..kernels import DEVICES
from ..layers import Layer
from ..names import choice
from ..shown import shown
from ..tables import Table, html_tables, text_tables
from ..validate import listed, positive, whole
from . import sequences, states, values
from .subject import CheckFailed, Draw, Subject, maker, normal

CHECKS = values.CHECKS | sequences.CHECKS | states.CHECKS
"""All checks by name, in the order in which they run."""

COMPARED = ("reference", "cpu")

PASSED = "passed"


@dataclass(frozen=True, repr=False)
class LayerReport:
    """The result of `check_layer`, which prints as a table.

    Attributes:
        name: class of the layer.
        results: name of every check -> "passed", "not run: " and the reason, or the message of the check that failed.
    """

    name: str
    results: dict[str, str]

    @property
    def failed(self) -> dict[str, str]:
        """The messages of the checks that failed, by name."""
        return {
            name: told for name, told in self.results.items() if told != PASSED and not told.startswith("not run: ")
        }

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    def __repr__(self):
        return f"LayerReport({self._verdict()})"

    def __str__(self):
        return text_tables([self._table()], [self._verdict()])

    def _repr_html_(self):
        return html_tables([self._table()], [self._verdict()])

    def _table(self):
        return Table(["check", "result"], [[name, told] for name, told in self.results.items()], left=2)

    def _verdict(self):
        if self.ok:
            run = sum(told == PASSED for told in self.results.values())
            return f"{self.name}: all {run} checks passed"
        return f"{self.name}: {_counted(self.failed)} failed: {', '.join(self.failed)}"


def check_layer(
    layer: Layer | Callable[[], Layer],
    shape,
    *,
    output_shape=None,
    devices: Sequence[str] = COMPARED,
    skip: Sequence[str] = (),
    draw: Draw | None = None,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> LayerReport:
    """Check whether a layer or neuron keeps the whole contract of a layer, and say which parts it does not keep.

    The checks are those of `layer_checks`, in float64 where numbers are compared. The layer itself is not changed.

    Args:
        layer: a layer, built or not, of which every check uses a copy; or a function without arguments that makes one.
        shape: shape of an input, ``[T, N, ...]``, or without T for a layer that takes pictures. Small numbers of steps,
            samples and channels that all differ show most mistakes, such as (4, 3, 5). For several inputs, a dict.
        output_shape: expected shape of the output. Default None: the one that the layer infers.
        devices: the targets that must agree: "reference", "cpu" and "cuda". Default: reference and cpu.
        skip: names of checks that do not apply. Default: none.
        draw: function of a ``numpy.random.Generator`` and a shape that returns an input. Default None: normal numbers.
        tolerance: largest relative difference between gradients and finite differences. Default 1e-6.
        seed: determines all random numbers. Default 0.

    Returns:
        a `LayerReport`, which prints as a table. All checks passed, unless the error below is raised.

    Raises:
        CheckFailed: at least one check failed. The message has a line per check that failed, and the error has the
            report as its attribute ``report``.
        TypeError: layer is neither a layer nor a function that returns one.
        ValueError: a device or the name of a check is unknown.
        ShapeError: the layer cannot be built for the shape.
    """
    subject, chosen = _prepared("check_layer", layer, shape, output_shape, devices, skip, draw, tolerance, seed)
    results = {}
    for name, (_, needs) in CHECKS.items():
        reason = "it is in skip" if name not in chosen else needs(subject)
        results[name] = f"not run: {reason}" if reason is not None else _result(subject, name)
    report = LayerReport(subject.kind, results)
    if not report.ok:
        error = CheckFailed("\n".join([f"{_counted(report.failed)} failed", *report.failed.values()]))
        error.report = report  # type: ignore[attr-defined]
        raise error
    return report


def layer_checks(
    layer: Layer | Callable[[], Layer],
    shape,
    *,
    output_shape=None,
    devices: Sequence[str] = COMPARED,
    skip: Sequence[str] = (),
    draw: Draw | None = None,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> dict[str, Callable[[], None]]:
    """Return the checks of `check_layer` that apply to a layer, by name. Each is a function without arguments.

        CHECKS = snn.testing.layer_checks(Scale(), (4, 3, 5))

        @pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
        def test_scale(check):
            check()

    Arguments and errors are those of `check_layer`; a check raises a `CheckFailed` with its own message.
    """
    subject, chosen = _prepared("layer_checks", layer, shape, output_shape, devices, skip, draw, tolerance, seed)
    return {name: partial(_run, subject, name) for name in chosen if CHECKS[name].needs(subject) is None}


def _prepared(who, layer, shape, output_shape, devices, skip, draw, tolerance, seed) -> tuple[Subject, list[str]]:
    """Check the arguments, and return the subject and the names of the checks that are wanted."""
    if not isinstance(layer, Layer) and not callable(layer):
        raise TypeError(f"{who}: layer must be a layer, or a function that makes one; got {shown(layer)}")
    make = maker(layer)
    try:
        made: Any = make()
    except TypeError as error:
        raise TypeError(f"{who}: layer must be a layer, or a function without arguments: {error}") from error
    if not isinstance(made, Layer):
        raise TypeError(f"{who}: layer must make a layer; it returned {type(made).__name__}")
    devices = (devices,) if isinstance(devices, str) else tuple(listed(f"{who}: devices", devices, "names of targets"))
    for device in devices:
        choice(f"{who}: devices", device, DEVICES)
    skip = (skip,) if isinstance(skip, str) else tuple(listed(f"{who}: skip", skip, "names of checks"))
    for name in skip:
        choice(f"{who}: skip", name, CHECKS)
    if not devices:
        raise ValueError(f"{who}: devices must name at least one target; got {devices!r}")
    if draw is not None and not callable(draw):
        raise TypeError(f"{who}: draw must be a function of a generator and a shape; got {shown(draw)}")
    positive(f"{who}: tolerance", tolerance)
    whole(f"{who}: seed", seed, 0)
    made.build(shape)
    shape = made.input_shape
    expected = None
    if output_shape is not None:
        extents = listed(f"{who}: output_shape", output_shape, "extents")
        expected = tuple(whole(f"{who}: output_shape", extent, 0) for extent in extents)
    subject = Subject(make, shape, expected, devices, draw or normal, tolerance, seed)
    return subject, [name for name in CHECKS if name not in skip]


def _run(subject, name):
    """Run a check; an error that it does not expect is a failure, too."""
    try:
        CHECKS[name].run(subject)
    except CheckFailed:
        raise
    except Exception as error:
        subject.fail(name, f"raised {type(error).__name__}: {error}")


def _result(subject, name):
    try:
        _run(subject, name)
    except CheckFailed as error:
        return str(error)
    return PASSED


def _counted(failed):
    return "1 check" if len(failed) == 1 else f"{len(failed)} checks"
