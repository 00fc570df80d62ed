"""The lines of docs/migration.md that take over the weights of a network of snnTorch give its spikes."""

import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
snntorch = pytest.importorskip("snntorch")

pytestmark = pytest.mark.peers

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"


def spikes_of(net, x):
    """Spikes [T, N, K] of a Sequential of snnTorch, whose neurons are called with their membrane."""
    found, membranes = [], {}
    for step in torch.from_numpy(x):
        for k, layer in enumerate(net):
            if isinstance(layer, snntorch.Leaky):
                step, membranes[k] = layer(step, membranes.get(k, layer.init_leaky()))
            else:
                step = layer(step)
        found.append(step)
    return torch.stack(found).detach().numpy()


def test_the_page_gives_equal_spikes():
    torch.manual_seed(0)
    nn = torch.nn
    theirs = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        snntorch.Leaky(0.9),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
        snntorch.Leaky(0.8),
    )
    with torch.no_grad():
        theirs[0].weight.mul_(3)
        theirs[4].weight.mul_(6)
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    (block,) = (text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "4.weight" in text)
    made_up = re.search(r"^state = .*$", block, re.M).group()
    names = {"given": state}
    exec(block.replace(made_up, "state = given"), names)
    x = np.random.default_rng(1).random((40, 6, 1, 8, 8)).astype(np.float32)
    mine = names["net"](np.ascontiguousarray(x.transpose(0, 1, 3, 4, 2)))
    want = spikes_of(theirs, x)
    assert 0.05 < want.mean() < 0.95
    assert np.count_nonzero(mine != want) == 0
