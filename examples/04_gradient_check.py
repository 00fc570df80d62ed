"""Is the backward pass correct? A check of every gradient with finite differences.

    python examples/04_gradient_check.py

A spike is a step function without a useful derivative, so finite differences cannot check a spiking network directly.
In relaxed mode every spike is replaced by Phi((u - theta) / alpha), the distribution function of the surrogate's
density. The network is then smooth, and the formulas of the backward pass are its exact gradient. In float64,
`snn.check_gradients` compares this gradient with finite differences for every parameter: weights, learned thresholds,
leaks and surrogate widths.

The example first checks a network with many kinds of parameters. Then it replaces one layer by a layer with a small
mistake in its backward pass, which the check has to find. Takes about 3 s and prints one table per check, which end in

    gradients agree: worst relative difference 1.1e-08, tolerance 1e-06
    gradients DISAGREE: worst relative difference 9.9e-03, tolerance 1e-06
    found: linear1.weight
"""

import numsnn as snn


class Mistaken(snn.Linear):
    """A linear layer whose weight gradient is one per cent too large."""

    def propagate(self, dy, need_dx):
        dx = super().propagate(dy, need_dx)
        self.weight.grad *= 1.01
        return dx


def network(linear):
    """Return a network with a convolution, plain and recurrent neurons; `linear` is the class of its hidden linear
    layer.
    """
    return snn.Sequential(
        snn.Repeat(3, snn.Conv2d(1, 6, 3, padding=1), snn.BatchNorm(6)),
        snn.LIF(learn_tau="channel", learn_threshold=True, surrogate=snn.PSG("gaussian", width=1.0)),
        snn.AvgPool2d(2),
        snn.Flatten(),
        linear(6 * 4 * 4, 12, name="linear1"),
        snn.RecurrentLIF(tau=4.0, v_reset=None, surrogate=snn.PSG("arctan", width=0.5, per="channel")),
        snn.Linear(12, 10, name="linear2"),
        snn.LI(tau=4.0, learn_tau=True),
    )


def main():
    train, _ = snn.data.load("digits")
    x, y = train.batch(range(8))

    print("A network without mistakes:")
    print(snn.check_gradients(network(snn.Linear), x, y))

    print("\nThe same network with a mistake of one per cent in a weight gradient:")
    report = snn.check_gradients(network(Mistaken), x, y)
    print(report)
    wrong = [row.name for row in report.rows if max(row.worst, row.direction) > report.tolerance]
    print(f"found: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
