"""A layer that keeps the contract, and layers that are each broken in one way."""

import numpy as np

import numsnn as snn


class PlainScale(snn.Layer):
    """Multiply every channel by a learned factor."""

    carries = False

    def infer(self, shape):
        if len(shape) < 3:
            self.refuse(shape, "[T, N, ...]")
        if self.built and shape[-1] != len(self.factor.value):
            self.refuse(shape, f"[..., {len(self.factor.value)}]")
        return shape

    def create(self, shape, rng):
        self.factor = self.add_parameter(snn.Parameter("factor", np.ones(shape[-1], self.dtype), "norm"))

    def compute(self, x, mode):
        self.kept = x if mode.store else None
        return x * self.factor.value

    def propagate(self, dy, need_dx):
        self.factor.grad = (dy * self.kept).reshape(-1, dy.shape[-1]).sum(0)
        return dy * self.factor.value


class Count(PlainScale):
    """A `PlainScale` that counts the batches that it tracked."""

    def create(self, shape, rng):
        super().create(shape, rng)
        self.count = np.zeros(1, np.int64)

    def compute(self, x, mode):
        if mode.track:
            self.count = self.count + 1
        return super().compute(x, mode)

    def own_statistics(self):
        return {"count": self.count} if self.built else {}

    def set_statistic(self, name, value):
        self.count = np.array(value, np.int64)


class ForgetsOtherSizes(PlainScale):
    def infer(self, shape):
        return self.input_shape if self.built else super().infer(shape)


class KeepsFloat64(PlainScale):
    def create(self, shape, rng):
        self.factor = snn.Parameter("factor", np.ones(shape[-1]), "norm")

    def own_parameters(self):
        return [self.factor] if self.built else []


class WritesIntoInput(PlainScale):
    def compute(self, x, mode):
        y = super().compute(x.copy(), mode)
        x *= 2
        return y


class WritesIntoGradient(PlainScale):
    def propagate(self, dy, need_dx):
        dx = super().propagate(dy, need_dx)
        dy[...] = 0
        return dx


class CountsInBytes(PlainScale):
    def compute(self, x, mode):
        return super().compute(1 - 2 * x, mode)

    def propagate(self, dy, need_dx):
        return -2 * super().propagate(dy, need_dx)


class TakesEverything(PlainScale):
    def infer(self, shape):
        return shape


class DependsOnTarget(PlainScale):
    def compute(self, x, mode):
        return super().compute(x, mode) + 1e-3 * (self.device == "cpu")


class WrongGradient(PlainScale):
    def propagate(self, dy, need_dx):
        return 1.001 * super().propagate(dy, need_dx)


class LeavesEarly(PlainScale):
    def propagate(self, dy, need_dx):
        return super().propagate(dy, need_dx) if need_dx else None


class AddsUp(PlainScale):
    def propagate(self, dy, need_dx):
        before = self.factor.grad.copy()
        dx = super().propagate(dy, need_dx)
        self.factor.grad = self.factor.grad + before
        return dx


class DependsOnThreads(PlainScale):
    def compute(self, x, mode):
        return super().compute(x, mode) + 1e-12 * snn.get_num_threads()


class Accumulates(PlainScale):
    def compute(self, x, mode):
        return np.cumsum(super().compute(x, mode), 0)

    def propagate(self, dy, need_dx):
        return super().propagate(np.cumsum(dy[::-1], 0)[::-1], need_dx)


class Undeclared(PlainScale):
    carries = None


class _Centred(PlainScale):
    """Subtracts a mean over some axes."""

    axes = (0,)

    def compute(self, x, mode):
        y = super().compute(x, mode)
        return y - y.mean(self.axes, keepdims=True)

    def propagate(self, dy, need_dx):
        return super().propagate(dy - dy.mean(self.axes, keepdims=True), need_dx)


class LooksAhead(_Centred):
    axes = (0,)


class ComparesSamples(_Centred):
    axes = (1,)


class IgnoresLengths(_Centred):
    """Subtracts the mean of the batch in training only, as a normalisation does."""

    axes = (0, 1)

    def compute(self, x, mode):
        self.centres = mode.training
        return super().compute(x, mode) if mode.training else PlainScale.compute(self, x, mode)

    def propagate(self, dy, need_dx):
        return super().propagate(dy, need_dx) if self.centres else PlainScale.propagate(self, dy, need_dx)


class RemembersSamples(PlainScale):
    def create(self, shape, rng):
        super().create(shape, rng)
        self.samples = shape[1]

    def compute(self, x, mode):
        return super().compute(x, mode) / self.samples

    def propagate(self, dy, need_dx):
        return super().propagate(dy / self.samples, need_dx)


class SameNames(PlainScale):
    def create(self, shape, rng):
        super().create(shape, rng)
        self.other = self.add_parameter(snn.Parameter("factor", np.ones(shape[-1], self.dtype), "norm"))

    def compute(self, x, mode):
        return super().compute(x, mode) + self.other.value

    def propagate(self, dy, need_dx):
        self.other.grad = dy.reshape(-1, dy.shape[-1]).sum(0)
        return super().propagate(dy, need_dx)


class TracksAlways(Count):
    def compute(self, x, mode):
        y = super().compute(x, mode)
        if mode.training and not mode.track:
            self.count = self.count + 1
        return y


class SwitchesItself(PlainScale):
    def compute(self, x, mode):
        self.doubled = 1 + mode.store
        return super().compute(self.doubled * x, mode)

    def propagate(self, dy, need_dx):
        return self.doubled * super().propagate(dy, need_dx)


class MovesNothing(Count):
    def move(self, kernels, dtype):
        super().move(kernels, dtype)
        self.count = np.zeros(1, np.int64)


class ChangesArguments(PlainScale):
    def __init__(self, strength: float = 2.0, name: str | None = None):
        super().__init__(name)
        self.strength = 2 * strength


class DrawsItsOwn(PlainScale):
    def create(self, shape, rng):
        super().create(shape, rng)
        self.offset = rng.normal(size=shape[-1])

    def compute(self, x, mode):
        return super().compute(x, mode) + self.offset


class HoldsFunction(PlainScale):
    def __init__(self, name: str | None = None):
        super().__init__(name)
        self.function = lambda x: x


class SharesArrays(Count):
    shared = np.zeros(1, np.int64)

    def create(self, shape, rng):
        super().create(shape, rng)
        self.count = SharesArrays.shared

    def compute(self, x, mode):
        if mode.track:
            SharesArrays.shared += 1
        return PlainScale.compute(self, x, mode)

    def own_statistics(self):
        return {"count": SharesArrays.shared} if self.built else {}

    def set_statistic(self, name, value):
        pass


BROKEN = {
    ForgetsOtherSizes: ("output_shape", "wrong_shape", "one_step", "one_sample", "other_shapes"),
    KeepsFloat64: ("dtype_and_layout", "moving", "save_and_load"),
    WritesIntoInput: ("inputs_unchanged", "gradients"),
    WritesIntoGradient: ("inputs_unchanged",),
    CountsInBytes: ("spikes_as_numbers",),
    TakesEverything: ("wrong_shape",),
    DependsOnTarget: ("targets",),
    WrongGradient: ("gradients",),
    LeavesEarly: ("without_input_gradient",),
    AddsUp: ("repeatable", "without_input_gradient", "other_shapes"),
    DependsOnThreads: ("threads",),
    Accumulates: ("stream",),
    Undeclared: ("stream",),
    LooksAhead: ("one_step", "stream", "lengths"),
    ComparesSamples: ("one_sample", "lengths"),
    IgnoresLengths: ("lengths",),
    RemembersSamples: ("other_shapes",),
    SameNames: ("state", "gradients", "other_shapes", "description", "save_and_load"),
    TracksAlways: ("tracking", "repeatable"),
    SwitchesItself: ("freeze",),
    MovesNothing: ("moving", "targets", "save_and_load"),
    ChangesArguments: ("description",),
    DrawsItsOwn: ("save_and_load", "state", "other_shapes", "description"),
    HoldsFunction: ("copies",),
    SharesArrays: ("copies", "spikes_as_numbers", "targets", "threads", "lengths"),
}
"""Layer -> the checks that find it. The first one is the check of the fault itself; the others see what follows."""
