"""Networks of any size with all kinds of layers, and training steps of them on a device."""

import numpy as np

import numsnn as snn
from numsnn.layers import TRAINING


def dense(steps=20, samples=64, features=512, units=1000):
    """Linear layers, learned leaks, thresholds and widths, a leaky readout: the network and its input's shape."""
    net = snn.Sequential(
        snn.Linear(features, units),
        snn.LIF(v_threshold=0.3, surrogate=snn.PSG("triangle"), learn_threshold=True),
        snn.Linear(units, units),
        snn.LIF(v_reset=None, v_threshold=0.2, learn_tau="channel", surrogate="arctan"),
        snn.Linear(units, 10),
        snn.LI(learn_tau=True),
    )
    return net, (steps, samples, features)


def pictures(steps=4, samples=32, size=32, channels=64):
    """Convolutions, normalisation, PDA, pooling, dropout."""
    net = snn.Sequential(
        snn.Conv2d(3, channels, 3, padding=1),
        snn.BatchNorm(channels),
        snn.LIF(pda=snn.PDA(divergence=0.01)),
        snn.AvgPool2d(2),
        snn.Conv2d(channels, 2 * channels, 3, padding=1),
        snn.BatchNorm(2 * channels),
        snn.LIF(surrogate=snn.PSG("gaussian", per="channel"), pda=snn.PDA()),
        snn.Dropout(0.2),
        snn.MaxPool2d(2),
        snn.Flatten(),
        snn.Linear(2 * channels * (size // 4) ** 2, 10),
    )
    return net, (steps, samples, size, size, 3)


def residual(steps=4, samples=32, size=16, channels=64):
    """A stem and two joins, one strided."""

    def block(before, after, stride):
        branch = (
            snn.Conv2d(before, after, 3, stride, 1),
            snn.BatchNorm(after),
            snn.LIF(),
            snn.Conv2d(after, after, 3, padding=1),
            snn.BatchNorm(after),
        )
        side = snn.Sequential(snn.Conv2d(before, after, 1, stride), snn.BatchNorm(after)) if stride > 1 else None
        return snn.Residual(*branch, shortcut=side)

    net = snn.Sequential(
        snn.Conv2d(3, channels, 3, padding=1),
        snn.BatchNorm(channels),
        snn.LIF(),
        block(channels, channels, 1),
        snn.LIF(pda=snn.PDA()),
        block(channels, 2 * channels, 2),
        snn.LIF(),
        snn.GlobalAvgPool2d(),
        snn.Flatten(),
        snn.Linear(2 * channels, 10),
    )
    return net, (steps, samples, size, size, 3)


def recurrent(steps=50, samples=32, features=200, units=256):
    """Lateral weights with adaptation; synapses and a refractory time."""
    net = snn.Sequential(
        snn.Linear(features, units),
        snn.RecurrentALIF(v_threshold=0.3, learn_adaptation=True),
        snn.Linear(units, units),
        snn.CubaLIF(v_threshold=0.3, refractory=1, learn_tau_synapse=True),
        snn.Linear(units, 10),
    )
    return net, (steps, samples, features)


NETWORKS = {"dense": dense, "pictures": pictures, "residual": residual, "recurrent": recurrent}


def step(name, device, mode=TRAINING, **sizes):
    """A forward and backward pass: the spikes of all layers of neurons, the readout, the input's gradient, and the
    gradients of all parameters in their order, on the host."""
    net, shape = NETWORKS[name](**sizes)
    x = np.random.default_rng(3).uniform(0, 1.5, shape).astype(np.float32)
    net.to(device).build(shape, 1)
    k = net.kernels
    z = net.forward(k.from_host(x, x.dtype), mode)
    spikes = [k.to_host(layer.output).copy() for layer in net.walk() if isinstance(layer, snn.Neuron)]
    _, dz = snn.losses.RateCrossEntropy()(z, np.arange(shape[1]) % 10, k)
    found = [*spikes, k.to_host(z).copy()]
    found.append(k.to_host(net.backward(dz)).copy())
    return found + [k.to_host(p.grad).copy() for _, p in net.parameters()]
