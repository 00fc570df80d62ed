"""The peers that are installed in this environment."""

import importlib
import warnings

import pytest

SIDES = {"spikingjelly": "SpikingJelly", "snntorch": "snnTorch", "norse": "Norse", "jax": "JAX"}


def side_of(name):
    """The module of a side; skips the test, with a reason, if its library is missing."""
    library = {"spikingjelly": "spikingjelly.activation_based", "norse": "norse.torch"}.get(name, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own warnings when they are imported
        pytest.importorskip(library, reason=f"{SIDES[name]} is missing: pip install {name}")
        return importlib.import_module(f"benchmarks.peers.sides.{name}")
