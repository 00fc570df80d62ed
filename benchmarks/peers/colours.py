"""The colour of every side in all plots."""

from ..common import OWN

COLOURS = {
    OWN: "#0b5394",
    "spikingjelly": "#e69138",
    "jax": "#6aa84f",
    "jax_unrolled": "#a2c48f",
    "jaxpike": "#274e13",
    "snntorch": "#a64d79",
    "norse": "#999999",
}
