"""The options of every command that runs numsnn beside its peers."""

import sys

from ..common import OWN

JAX = ("jax", "jax_unrolled", "jaxpike")
PEERS = ("spikingjelly", "snntorch", "norse", *JAX)


def add_torch_python(parser) -> None:
    """Add the option that names the interpreter with PyTorch and what is built on it."""
    parser.add_argument("--peers-python", default=sys.executable, metavar="PYTHON", help="interpreter with PyTorch")


def add_peers(parser) -> None:
    """Add the options that choose peers and name their interpreters."""
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS, help="which take part (default: all)")
    add_torch_python(parser)
    parser.add_argument("--jax-python", default=sys.executable, metavar="PYTHON", help="interpreter with JAX")


def interpreters(chosen) -> dict[str, str]:
    """The interpreter of numsnn and of every peer that was chosen."""
    theirs = {peer: chosen.jax_python if peer in JAX else chosen.peers_python for peer in chosen.peers}
    return {OWN: sys.executable} | theirs
