"""Recordings: the spikes, potentials and states of any layers while a network processes a batch, for plots."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from ..layers import LI, Layer, Mode, Neuron
from ..layers.stream import Stream
from ..names import choice, nearest
from ..shown import shown
from ..tables import Table, html_tables, text_tables
from ..validate import whole
from .copies import built_copy, need_network
from .text import percent

OF_NEURONS = ("s", "v", "u", "i", "y")
"""What every spiking neuron records; some have states of their own in addition."""


class LayerRecord(Mapping[str, np.ndarray]):
    """What was recorded of one layer: a mapping from names to arrays ``[T, N, ...]``, which are also attributes.

    Attributes:
        name, kind: full name of the layer, and name of its class.
        threshold: ``[C]``, the threshold of a neuron; None for other layers and for a threshold that adapts.
    """

    def __init__(self, name: str, kind: str, arrays: dict[str, np.ndarray], threshold: np.ndarray | None = None):
        self.name, self.kind, self.threshold = name, kind, threshold
        self._arrays = arrays

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in self._arrays:
            raise KeyError(f"{self.name} ({self.kind}): {key!r} was not recorded, only {', '.join(map(repr, self))}")
        return self._arrays[key]

    def __getattr__(self, key: str) -> np.ndarray:
        if key.startswith("_"):
            raise AttributeError(key)
        try:
            return self[key]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __dir__(self):
        return [*super().__dir__(), *self]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self):
        return f"{self.name} ({self.kind}): {', '.join(f'{key} {array.shape}' for key, array in self.items())}"


class Recording(Mapping[str, LayerRecord]):
    """The result of `record`: a mapping from full names of layers to their `LayerRecord`, in the order of the data.

    ``recording["lif1"].v`` and ``recording["lif1"]["v"]`` are the same array.

    Attributes:
        output: ``[T, N, ...]``, the output of the network.
    """

    def __init__(self, layers: dict[str, LayerRecord], output: np.ndarray):
        self._layers, self.output = layers, output

    def __getitem__(self, name: str) -> LayerRecord:
        if not isinstance(name, str):
            raise TypeError(f"Recording: a layer is found by its full name; got {shown(name)}")
        if name not in self._layers:
            raise KeyError(f"{shown(name)} was not recorded, only {', '.join(map(repr, self))}{nearest(name, self)}")
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def samples(self) -> int:
        """N, the number of samples."""
        return self.output.shape[1]

    def of_sample(self, what: str = "s", sample: int = 0) -> dict[str, np.ndarray]:
        """Return name of the layer -> array ``[T, units]`` of one sample, for every layer that recorded it.

        Args:
            what: name of what was recorded. Default "s", the spikes, for `plots.raster`.
            sample: number of the sample. Default 0.

        Raises:
            ValueError: no layer recorded it.
            IndexError: there are fewer samples.
        """
        choice("Recording: what", what, dict.fromkeys(key for layer in self.values() for key in layer))
        if whole("Recording: sample", sample, 0) >= self.samples:
            raise IndexError(f"Recording: sample must be less than {self.samples}, the samples of x; got {sample}")
        found = {name: layer[what] for name, layer in self.items() if what in layer}
        return {name: np.ascontiguousarray(array[:, sample].reshape(len(array), -1)) for name, array in found.items()}

    def plot(self, sample: int = 0, path=None):
        """Draw everything that was recorded of one sample: see `plots.recording`."""
        from . import plots

        return plots.recording(self, sample, path)

    def __repr__(self):
        what = dict.fromkeys(key for layer in self.values() for key in layer)
        return f"Recording({len(self)} layers, {self.samples} samples: {', '.join(map(repr, what))})"

    def __str__(self):
        return text_tables([self._table()])

    def _repr_html_(self):
        return html_tables([self._table()])

    def _table(self):
        table = Table(["layer", "kind", "recorded", "rate"], [], left=3)
        for name, layer in self.items():
            arrays = ", ".join(f"{key} {' x '.join(map(str, array.shape))}" for key, array in layer.items())
            rate = percent(float((layer["s"] != 0).mean())) if "s" in layer else ""
            table.rows.append([name, layer.kind, arrays, rate])
        return table


def record(
    net: Layer | Stream,
    x,
    layers: str | Layer | Sequence[str | Layer] | None = None,
    what: str | Sequence[str] = ("s", "v"),
) -> Recording:
    """Return what layers did while the network processed x at inference.

    A copy of the network makes the pass. The network itself does not change, except that it is built for x if it was
    not built yet: its states, statistics and the results of its last pass remain. The recorded spikes are those of
    ``net(x)``, bit for bit.

    Args:
        net: any network; or a `Stream`, which then goes on from its state and takes the steps of x, as by `feed`.
        x: input as for the network's own call, uint8 or its float dtype.
        layers: full names of layers, such as "lif1" or "residual1.branch.lif2", or the layers themselves. Default None:
            all spiking neurons and all leaky integrators (`LI`) that record something of `what`.
        what: names of what is recorded. A layer records those of them that it has.

            ==================  =====================================================================================
            "s"                 spikes (uint8) of a neuron
            "v"                 potential after the reset; the potential of an `LI`
            "u"                 potential after charging, before the reset; the potential of an `LI`
            "i"                 input current of a neuron, after the normalisation in front of it
            "j", "a", others    synaptic current, adaptation, and the states of a `CustomNeuron`
            "y"                 output of any layer
            ==================  =====================================================================================

            Default: spikes and potentials after the reset.

    Returns:
        a `Recording`, a mapping from the name of the layer to its arrays ``[T, N, ...]``. Layers inside a `Repeat` make
        one step, so their arrays are ``[1, N, ...]``.

    Raises:
        ValueError: a name is unknown, or a named layer has nothing of what is recorded.
        TypeError: net is neither a network nor a stream.
        ShapeError, ValueError: x does not fit the network, as for its own call.
    """
    if isinstance(net, Stream):
        twin = deepcopy(net)
        own, copy = net.net, twin.net
    else:
        own = net
        copy, x = built_copy("record", net, x)
    chosen = _chosen(own, copy, layers, _asked(copy, what))
    for layer, names in chosen.values():
        if isinstance(layer, Neuron):
            layer.record = tuple(dict.fromkeys(key for name in names for key in _needed(layer, name)))
    mode = Mode(
        store=any(isinstance(layer, Neuron) and _stored(layer, names) for layer, names in chosen.values()),
        inspect=any("y" in names and not isinstance(layer, Neuron) for layer, names in chosen.values()),
    )
    with np.errstate(all="ignore"):  # as in a diagnosis, a network whose numbers are not finite can be looked at
        if isinstance(net, Stream):
            output = twin.advance(x, mode)
            net.follow(twin)
        else:
            output = copy.kernels.to_host(copy.forward(x, mode))
    found = {name: _record_of(name, layer, names) for name, (layer, names) in chosen.items()}
    return Recording(found, output)


def record_spikes(net: Layer, x, sample: int = 0) -> dict[str, np.ndarray]:
    """Return the spikes of one sample in every neuron layer, for `plots.raster`. The network does not change.

    Args:
        net, x: as for `record`.
        sample: number of the sample in x. Default 0.

    Returns:
        name of the layer -> uint8 ``[T, units]``, in the order in which the data pass the layers.

    Raises:
        ShapeError, ValueError: as for `record`.
        IndexError: x has fewer samples.
    """
    whole("record_spikes: sample", sample, 0)
    need_network("record_spikes", net)
    neurons = [layer for layer in net.walk() if isinstance(layer, Neuron)]
    return record(net, x, neurons, "s").of_sample("s", sample) if neurons else {}


# --- what is recorded --------------------------------------------------------------------------------------------


def _asked(net, what):
    """Return the names of what is recorded, after a check that some layer of the network has each of them."""
    names = _several("what", what, str)
    if not names:
        raise ValueError("record: what names nothing; the default is ('s', 'v')")
    known = dict.fromkeys([*OF_NEURONS, *(key for layer in net.tree() for key in _has(layer))])
    for name in names:
        choice("record: what", name, known)
    return names


def _several(argument, value, kind):
    """Return an object, or the objects of a sequence, as a tuple."""
    several = isinstance(value, tuple | list | set | Mapping) or (isinstance(value, np.ndarray) and value.ndim)
    values = tuple(value) if several and not isinstance(value, kind) else (value,)
    for one in values:
        if not isinstance(one, kind):
            wanted = "names" if kind is str else "names or layers of the network"
            raise TypeError(f"record: {argument} must be {wanted}; got {shown(one)}")
    return values


def _has(layer) -> tuple[str, ...]:
    """Return the names of what a layer can record."""
    if isinstance(layer, Neuron):
        return (*OF_NEURONS, *layer.recordable())
    return ("v", "u", "y") if isinstance(layer, LI) else ("y",)


def _chosen(net, copy, layers, what) -> dict[str, tuple[Any, list[str]]]:
    """Return full name -> (layer of the copy, names of what it records)."""
    known = dict(copy.named())
    if layers is None:
        asked = [name for name, layer in known.items() if isinstance(layer, Neuron | LI)]
        if not asked:
            raise ValueError("record: the network has no spiking neuron and no LI; name layers, with what='y'")
    else:
        own = {id(layer): name for name, layer in net.named()}
        given = _several("layers", layers, str | Layer)
        if not given:
            raise ValueError("record: layers names nothing; None means all neurons")
        foreign = [one for one in given if isinstance(one, Layer) and id(one) not in own]
        if foreign:
            raise ValueError(f"record: {shown(foreign[0])} is not a layer of the network")
        asked = [own[id(one)] if isinstance(one, Layer) else one for one in given]
        for name in asked:
            if name not in known:
                some = ", ".join(repr(one) for one, layer in known.items() if isinstance(layer, Neuron | LI))
                hint = nearest(name, known) or f"; its neurons are {some}"
                raise ValueError(f"record: the network has no layer {shown(name)}{hint}")
    found = {name: (known[name], [key for key in what if key in _has(known[name])]) for name in asked}
    for name, (layer, names) in found.items():
        if layers is not None and not names:
            raise ValueError(
                f"record: {name} ({type(layer).__name__}) has no {' and no '.join(map(repr, what))}; it has "
                f"{', '.join(map(repr, _has(layer)))}"
            )
    found = {name: pair for name, pair in found.items() if pair[1]}
    if not found:
        raise ValueError(f"record: no layer of the network has {' or '.join(map(repr, what))}")
    return found


def _needed(layer, name) -> tuple[str, ...]:
    """Return the names that a neuron records itself for a name that is asked for."""
    if name == "v" and _falls_by_adapting(layer):
        return "u", "s"
    return () if name in ("i", "y") else (name,)


def _falls_by_adapting(layer):
    """Return whether a spike lowers the potential by a threshold that adapts, which only a stored pass keeps."""
    return layer.adaptive and layer.v_reset is None


def _stored(layer, names):
    return "i" in names or ("v" in names and _falls_by_adapting(layer))


def _record_of(name, layer, names):
    kind, kernels = type(layer).__name__, layer.kernels
    if not isinstance(layer, Neuron):
        output = kernels.to_host(layer.output)
        return LayerRecord(name, kind, dict.fromkeys(names, output))
    recorded = layer.recorded
    shape = layer.output.shape
    arrays = {}
    for key in names:
        if key == "y":
            arrays[key] = kernels.to_host(layer.output)
        elif key == "i":
            arrays[key] = layer.currents().reshape(shape)
        elif key == "v" and _falls_by_adapting(layer):
            arrays[key] = recorded["u"] - recorded["s"] * layer.thresholds().reshape(shape)
        else:
            arrays[key] = recorded[key]
    threshold = None if layer.adaptive else kernels.to_host(layer.threshold.natural)
    return LayerRecord(name, kind, arrays, threshold)
