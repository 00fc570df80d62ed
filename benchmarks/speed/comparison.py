"""One workload on all sides: draws its numbers once, checks that the sides agree, then measures them in turns."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from numsnn.measure.host import summary
from numsnn.measure.workloads import Workload, leaves

from ..common import OWN
from ..peers import agreement
from ..peers.driver import Worker, alternate
from ..process import ProcessError


class Comparison:
    """Compares numsnn with its peers, workload by workload.

    Args:
        pythons: side -> interpreter; "numsnn" is one of them.
        threads: number of threads of each side.
        folder: where arrays lie that processes exchange.
        budget: seconds of timing per workload and pass.
        say: called with a line of progress.
        device: "cpu" or "cuda".
    """

    def __init__(self, pythons: dict[str, str], threads: int, folder, budget: float, say=print, device="cpu"):
        self.pythons, self.threads, self.budget, self.say, self.device = pythons, threads, budget, say, device
        self.folder = Path(folder)
        self.checkers, self.versions, self.missing = {}, {}, {}
        self.machine = None

    def start(self):
        """Start the processes that check agreement. A side that does not start is left out, see `missing`."""
        for side, python in self.pythons.items():
            worker = Worker(side, python, self.threads, device=self.device)
            try:
                answer = worker.ask("hello")
            except ProcessError as error:
                worker.close()
                if side == OWN:
                    raise
                self.missing[side] = str(error)
                self.say(f"{side} is left out: {error}")
                continue
            self.checkers[side] = worker
            self.versions[side] = answer["versions"]
        self.machine = self.own.ask("machine")["machine"]

    def close(self):
        for worker in self.checkers.values():
            worker.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.close()

    @property
    def own(self) -> Worker:
        """numsnn's checking process."""
        return self.checkers[OWN]

    # --- one workload ------------------------------------------------------------------------------------------------

    def run(self, workload: Workload, seed: int = 0) -> dict:
        """Check and time a workload; returns plain data (see README.md).

        Args:
            workload: what to run.
            seed: seed of all numbers.
        """
        workload, file, able, result = self.check(workload, seed)
        self._time(workload, file, able, result)
        return result

    def check(self, workload: Workload, seed: int = 0):
        """Find out which sides compute the same. The arguments are those of `run`.

        Returns:
            the workload with its thresholds, the file of its numbers, pass -> sides that may be timed, and the result
            without times.
        """
        self.say(f"{workload.name}: numbers")
        file = self.path("arrays")
        answer = self.own.ask("prepare", workload=workload.to_dict(), out=file, seed=seed)
        workload = Workload.from_dict(answer["workload"])
        with np.load(file) as stored:
            arrays = dict(stored)
        self.own.ask("build", workload=workload.to_dict(), arrays=file)
        result = self.empty_result(workload) | {"rates": self.own.ask("rates")["rates"]}
        peers = [side for side in self.checkers if side != OWN]
        passes = ["train", "infer"] if workload.training else ["infer"]
        able = {what: [OWN] for what in passes}
        for side in peers:
            for what in passes:
                reason = self.checkers[side].ask("cannot", workload=workload.to_dict(), what=what)["reason"]
                if reason is None:
                    reason = self._check(side, workload, arrays, what, result["agreement"])
                if reason is None:
                    able[what].append(side)
                else:
                    self.say(f"{workload.name}: {side} takes no part in {what}: {reason}")
                    result["left_out"].setdefault(side, {})[what] = reason
        for checker in self.checkers.values():
            checker.ask("drop")
        return workload, file, able, result

    def empty_result(self, workload) -> dict:
        """A workload's result before anything is known."""
        return {
            "name": workload.name,
            "shape": list(workload.shape),
            "surrogate": workload.surrogate,
            "rates": [],
            "thresholds": [layer[-1] for layer in leaves(workload.layers) if layer[0] in ("lif", "recurrent")],
            "threads": self.threads,
            "agreement": {},
            "left_out": {},
            "passes": {},
            "memory": {},
        }

    def _check(self, side, workload, arrays, what, found):
        """None if the side computes what numsnn computes, otherwise the reason why it takes no part."""
        self.say(f"{workload.name}: does {side} compute the same ({what})?")
        numbers = found.setdefault(side, {})[what] = {}
        try:
            self._compare(side, workload, arrays, what == "train", numbers)
        except (agreement.Disagreement, ProcessError) as error:
            numbers["error"] = str(error)
            return f"does not agree: {error}"
        return None

    def _compare(self, side, workload, arrays, training, found):
        """Fill `found` with how the two sides compare; raises Disagreement if they do not agree."""
        ours, theirs = self._outcomes(side, workload, arrays, training)
        differ, potentials = agreement.compare_spikes(ours, theirs)
        found |= {"different_spikes": differ, "spikes": agreement.spikes_of(ours), "potentials": potentials}
        if training:
            limit = agreement.allowed(differ, found["spikes"])
            gradients = agreement.compare_gradients(ours, theirs)
            found["gradients"] = agreement.judge(gradients, limit, "at full size")
        if any(differ):
            found["farthest_tie"] = self._explain(workload, ours, theirs, differ, training)
            found["part"] = self._compare_part(side, workload, arrays, training)

    def _compare_part(self, side, workload, arrays, training):
        """The same for fewer steps and samples, until no spike differs."""
        steps, samples = workload.shape[:2]
        for t, n in agreement.rungs(steps, samples):
            part = cut(arrays, workload, t, n)
            ours, theirs = self._outcomes(side, workload.cut(t, n), part, training)
            if not any(agreement.compare_spikes(ours, theirs)[0]):
                where = f"for {t} steps and {n} samples"
                found = {"steps": t, "samples": n}
                if training:
                    gradients = agreement.compare_gradients(ours, theirs)
                    found["gradients"] = agreement.judge(gradients, agreement.TOLERANCE, where)
                return found
        raise agreement.Disagreement("even for one step of one sample spikes differ")

    def _outcomes(self, side, workload, arrays, training):
        """What both sides compute."""
        file, g = self.path("checked"), self.path("g", "npy")
        np.savez(file, **arrays)
        shape = (*workload.shape[:2], workload.classes)
        np.save(g, np.random.default_rng(1).standard_normal(shape, np.float32))
        found = []
        for name in (OWN, side):
            worker, out = self.checkers[name], self.path(f"outcome {name}")
            worker.ask("build", workload=workload.to_dict(), arrays=file)
            worker.ask("outcome", out=out, training=training, g=g if training else None)
            with np.load(out) as stored:
                found.append(dict(stored))
        return found

    def _explain(self, workload, ours, theirs, differ, training):
        """The largest distance from the threshold at which a spike of the lowest layer with differences differs first;
        raises Disagreement if it is more than TIE."""
        lowest = next(k for k, count in enumerate(differ) if count)
        out = self.path("potentials")
        self.own.ask("potentials", out=out, k=lowest, training=training)
        with np.load(out) as stored:
            u = stored["u"]
        neurons = [layer for layer in leaves(workload.layers) if layer[0] in ("lif", "recurrent")][lowest]
        distance = agreement.farthest_from_tie(
            ours[f"s{lowest}"], theirs[f"s{lowest}"], u, neurons[-1], neurons[0] == "recurrent"
        )
        if distance > agreement.TIE:
            raise agreement.Disagreement(
                f"in layer {lowest + 1} of neurons a spike differs {distance:.1e} from the threshold, which is no tie"
            )
        return distance

    def _time(self, workload, file, able, result):
        """Times and memory, in fresh processes."""
        with ExitStack() as stack:
            workers = {}
            for side in dict.fromkeys(side for sides in able.values() for side in sides):
                workers[side] = stack.enter_context(Worker(side, self.pythons[side], self.threads))
                workers[side].ask("build", workload=workload.to_dict(), arrays=file)
            for what, sides in able.items():
                self.say(f"{workload.name}: timing {what} on {', '.join(sides)}")
                times = alternate({side: workers[side] for side in sides}, what, self.budget)
                result["passes"][what] = with_ratios({side: summary(values) for side, values in times.items()})
                for side in sides:
                    result["memory"].setdefault(side, {})[what] = workers[side].ask("memory")

    def path(self, name, kind="npz"):
        """The path of a file for arrays that processes exchange."""
        return str(self.folder / f"{name}.{kind}")


def cut(arrays, workload, steps, samples):
    """The arrays of a workload for fewer steps and samples."""
    x = arrays["x"]
    x = x[:samples] if workload.encoding == "picture" else x[:steps, :samples]
    return arrays | {"x": np.ascontiguousarray(x), "y": arrays["y"][:samples]}


def with_ratios(summaries):
    """The summaries of all sides; numsnn's also gets the fastest peer, and that peer's time divided by numsnn's."""
    peers = {side: found["median"] for side, found in summaries.items() if side != OWN}
    if peers:
        fastest = min(peers, key=peers.get)
        summaries[OWN] |= {"fastest_peer": fastest, "ratio": peers[fastest] / summaries[OWN]["median"]}
    return summaries
