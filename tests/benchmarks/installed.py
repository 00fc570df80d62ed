"""The peers that are installed in this environment."""

import importlib
import warnings

import pytest

JAX = {"jax": "JAX", "jax_unrolled": "JAX", "jaxpike": "jaxpike"}
SIDES = {"spikingjelly": "SpikingJelly", "snntorch": "snnTorch", "norse": "Norse"} | JAX


def side_of(name):
    """The module of a side; skips the test, with a reason, if its library is missing."""
    modules = {"spikingjelly": "spikingjelly.activation_based", "norse": "norse.torch", "jax_unrolled": "jax"}
    library = modules.get(name, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own warnings when they are imported
        pytest.importorskip(library, reason=f"{SIDES[name]} is missing: pip install {library.partition('.')[0]}")
        return importlib.import_module(f"benchmarks.peers.sides.{name}")
