"""Small made-up results in the form of `benchmarks.speed.compare` and `benchmarks.accuracy.compare`."""

TIMES = {"median": 2.0, "min": 1.0, "max": 3.0, "count": 5}


def made_up():
    """Every part, every kind of entry."""
    own, peer = TIMES | {"fastest_peer": "jax", "ratio": 2.5}, TIMES | {"median": 5.0}
    workload = {
        "name": "vgg",
        "surrogate": "arctan",
        "shape": [10, 16, 32, 32, 2],
        "rates": [0.03],
        "thresholds": [1.0],
        "threads": 2,
        "agreement": {
            "jax": {"train": {"different_spikes": [0], "spikes": [50], "potentials": 900, "gradients": 2e-6}},
            "spikingjelly": {
                "train": {
                    "different_spikes": [1],
                    "spikes": [50],
                    "potentials": 900,
                    "gradients": 0.1,
                    "farthest_tie": 1e-7,
                    "part": {"steps": 10, "samples": 2, "gradients": 3e-6},
                },
                "infer": {"different_spikes": [9], "spikes": [50], "potentials": 900, "error": "no tie"},
            },
        },
        "left_out": {
            "norse": {"train": "has no arctan surrogate"},
            "spikingjelly": {"infer": "does not agree: no tie"},
        },
        "passes": {"train": {"numsnn": own, "jax": peer, "spikingjelly": peer}, "infer": {"numsnn": dict(TIMES)}},
        "memory": {
            "numsnn": {"train": {"before": 100e6, "peak": 350e6}},
            "jax": {"train": {"before": 1, "peak": None}},
        },
    }
    layers = [
        {
            "name": "conv",
            "density": density,
            "differences": {"forward": 1e-7},
            "passes": {
                what: {"numsnn": TIMES | {"ratio": 1.5, "fastest_peer": "pytorch"}, "pytorch": TIMES}
                for what in ("forward", "weight_gradient", "input_gradient")
            },
        }
        for density in (0.01, 1.0)
    ]
    del layers[1]["passes"]["forward"]
    growth = {key: {"train": TIMES | {"median": float(key)}, "infer": TIMES} for key in ("5", "10")}
    neuron = TIMES | {"bytes": 8, "gigabytes_per_second": 10.0, "share_of_copy": 1.0}
    return {
        "schema": 1,
        "version": "0.0",
        "quick": False,
        "surrogates": ["arctan"],
        "threads": 2,
        "load_before": [0.1],
        "load_after": [0.2],
        "workloads": [workload],
        "layers": layers,
        "neurons": {"copy": neuron},
        "scaling": {"vgg T": growth},
        "scaling_threads": {"vgg": {"1": growth["10"], "2": growth["5"]}},
        "machine": {"processor": "X", "cores": 2, "system": "S", "python": "3", "load": [0.1], "registers": "32"},
        "versions": {"numsnn": {"numsnn": "0.0"}, "jax": {"jax": "1"}},
        "missing": {"snntorch": "no module"},
    }


def made_up_run(variant="numsnn", seed=0, accuracies=(0.5, 0.9), seconds=2.0, **settings):
    """A run as a line of runs.jsonl holds it."""
    peer = not variant.startswith("numsnn")
    step = {"samples": 16, "different_spikes": [0, 1], "potentials": 90, "limit": 0.01, "loss": 1e-7, "gradients": 2e-6}
    return {
        "settings": {
            "task": "peers-mnist8k",
            "network": "32-10",
            "steps": 4,
            "train": 70,
            "test": 10,
            "data": "abc",
            "threads": 2,
            "variant": variant,
            "optimizer": "AdamW",
            "lr": 2e-3,
            "weight_decay": 0.02,
            "schedule": "cosine",
            "smoothing": 0.1,
            "epochs": len(accuracies),
            "batch": 8,
            "seed": seed,
            "method": "fixed",
        }
        | settings,
        "versions": {"numsnn": "0.0"},
        "agreement": step if peer else None,
        "machine": {"processor": "X"},
        "commit": "c0ffee",
        "epochs": [{"seconds": seconds, "loss": 1.0, "accuracy": a} for a in accuracies],
    }
