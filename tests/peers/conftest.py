"""What the parity tests share: layouts, the comparison itself, and a table of the worst differences at the end.

These tests need torch and the peers, which no other test needs; a module whose peer is missing is skipped.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("parity")

RESULTS = pytest.StashKey[list]()


# --- layouts: torch has channels second, [N, C, H, W] and [out, in, kh, kw]; numsnn has them last ---------------------


def channels_first(x):
    """Turn ``[T, N, H, W, C]`` into ``[T, N, C, H, W]``; arrays that are not pictures do not change."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 2)) if x.ndim == 5 else x


def channels_last(x):
    """Turn ``[T, N, C, H, W]`` into ``[T, N, H, W, C]``; arrays that are not pictures do not change."""
    return np.ascontiguousarray(np.moveaxis(x, 2, -1)) if x.ndim == 5 else x


def dense(w):
    """Turn ``[in, out]`` into ``[out, in]``, and back."""
    return np.ascontiguousarray(w.T)


def conv_to_torch(w):
    """Turn ``[kh, kw, in, out]`` into ``[out, in, kh, kw]``."""
    return np.ascontiguousarray(w.transpose(3, 2, 0, 1))


def conv_from_torch(w):
    """Turn ``[out, in, kh, kw]`` into ``[kh, kw, in, out]``."""
    return np.ascontiguousarray(w.transpose(2, 3, 1, 0))


def flattened_to_torch(w, height, width):
    """Turn ``[H W C, out]``, the weights after a flattened picture (H, W, C), into ``[out, C H W]``."""
    channels = len(w) // (height * width)
    return dense(w.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(len(w), -1))


def flattened_from_torch(w, height, width):
    """Turn ``[out, C H W]`` into ``[H W C, out]``."""
    w = dense(w)
    channels = len(w) // (height * width)
    return np.ascontiguousarray(w.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(len(w), -1))


@pytest.fixture
def layout():
    """Conversions between numsnn's layouts and torch's."""
    return SimpleNamespace(
        channels_first=channels_first,
        channels_last=channels_last,
        dense=dense,
        conv_to_torch=conv_to_torch,
        conv_from_torch=conv_from_torch,
        flattened_to_torch=flattened_to_torch,
        flattened_from_torch=flattened_from_torch,
    )


# --- the comparison --------------------------------------------------------------------------------------------------


@pytest.fixture
def report(request):
    """report(differences, near, flipped, potentials) puts a comparison into the table at the end."""
    results = request.config.stash.setdefault(RESULTS, [])
    peer = request.node.module.__name__.rpartition("test_")[2]
    case = request.node.originalname.removeprefix("test_")

    def add(differences, near=0, flipped=0, potentials=0):
        results.append((peer, case, differences, near, flipped, potentials))

    return add


@pytest.fixture
def parity(report):
    """parity(problem, ours, theirs) runs the same network in both programs and compares spikes and all gradients.

    Args of the comparison:
        problem: a `parity.Problem`.
        ours, theirs: functions that construct the neurons of a layer.
        factors: how many times larger the peer's surrogate is, layer by layer.
        extra: see `parity.potential_error`.
        firing: smallest and largest share of spikes, so that something is compared.
        judged: how many samples have a part in the loss. Default None: all.
        ceiling: a bound that no potential may reach; below it the equations are the same.
    """
    import parity as p

    def compare(problem, ours, theirs, factors=(), extra=0.0, firing=(0.05, 0.7), judged=None, ceiling=np.inf):
        if judged is not None:
            problem = problem.without(np.arange(problem.x.shape[1]) >= judged)
        mine, other = p.numsnn_outcome(problem, ours), p.torch_outcome(problem, theirs, dense)
        for s in mine.spikes:
            assert firing[0] < s.mean() < firing[1]
        assert all((layer.recorded["u"] < ceiling).all() for layer in mine.layers)
        ties = p.find_ties(problem, mine, other, extra)
        if ties.spoilt.any():
            problem = problem.without(ties.spoilt)
            mine, other = p.numsnn_outcome(problem, ours), p.torch_outcome(problem, theirs, dense)
        differences = p.compare_gradients(mine, other, factors)
        report(differences, ties.near, ties.flipped, ties.potentials)
        p.assert_agree(differences)
        return mine, other

    return compare


def pytest_terminal_summary(terminalreporter, config):
    """Print one line per test function: the number of its cases, and the worst difference of all of them."""
    results = config.stash.get(RESULTS, [])
    if not results:
        return
    terminalreporter.section("parity with the peers: worst relative differences")
    terminalreporter.write_line(
        f"{'peer':<22}{'case':<52} cases  norm     entry    (in)              ties  flips  potentials"
    )
    for peer, case in dict.fromkeys((r[0], r[1]) for r in results):
        mine = [r for r in results if (r[0], r[1]) == (peer, case)]
        norm = max((pair[0] for r in mine for pair in r[2].values()), default=0.0)
        entry, name = max(((pair[1], name) for r in mine for name, pair in r[2].items()), default=(0.0, "-"))
        near, flipped, potentials = (sum(r[k] for r in mine) for k in (3, 4, 5))
        terminalreporter.write_line(
            f"{peer:<22}{case:<52} {len(mine):5d}  {norm:.1e}  {entry:.1e}  {name:<16}  {near:4d}  {flipped:5d}  "
            f"{potentials:10d}"
        )
