"""Tables and plots from the logs of the studies; writes the tables into RESULTS.md.

    python -m benchmarks.method.evidence

Every table of RESULTS.md stands between two comments that name it. The table is written anew; the text around it stays
as it is. Plots go to results/ablation and results/cifar10.
"""

import argparse
import json
import re
from collections import defaultdict
from statistics import mean, variance

from numsnn.measure.table import table

from ..accuracy import cifar10
from ..accuracy import report as accuracy_report
from ..accuracy.compare import OUT as ACCURACY
from ..common import HERE, can_plot, read, save_figure, spread
from ..tasks import STUDY_TASKS
from . import cost
from .ablation import OUT
from .runs import Run
from .studies import STUDIES, WIDTHS

RESULTS = HERE / "RESULTS.md"
MODES = {"off": "off", "shift": "tracked shift", "divergence": "divergence", "target": "target 0.9"}


def logs_in(folder=OUT) -> dict[str, list[dict]]:
    """Study -> lines of its log, in the study's order; lines of other settings are left out."""
    found = {}
    for study, (runs_of, seeds) in STUDIES.items():
        lines = {Run.from_dict(line["run"]).key(): line for line in read(folder / f"{study}.jsonl")}
        keys = [run.key() for seed in range(seeds) for run in runs_of(seed)]
        found[study] = [lines[key] for key in keys if key in lines]
    return found


def grouped(lines, *names) -> dict[tuple, list[dict]]:
    """Results by the values of these settings, in the order of the log.

    Args:
        lines: of a log.
        names: of settings, or functions of all settings.
    """
    found = defaultdict(list)
    for line in lines:
        values = (name(line["run"]) if callable(name) else line["run"][name] for name in names)
        found[tuple(tuple(v) if isinstance(v, list) else v for v in values)].append(line["result"])
    return dict(found)


def accuracies(results) -> list[float]:
    """Accuracy of every run in per cent; a run that diverged counts as guessing one of ten classes."""
    return [100 * (0.1 if r["accuracy"] is None else r["accuracy"]) for r in results]


# --- tables ----------------------------------------------------------------------------------------------------------


def recipes(lines):
    rows = []
    for (task,), results in grouped(lines, "task").items():
        found = accuracies(results)
        seconds = f"{mean(r['seconds'] for r in results):.0f} s"
        range_ = f"{min(found):.2f} to {max(found):.2f}"
        rows.append([task.removeprefix("recipe "), spread(found, 2), range_, len(found), seconds])
    return table(["recipe", "test accuracy, %", "from, to", "seeds", "training, one core"], rows)


def start_widths(lines):
    """Accuracy by family and start width, the width fixed and learned."""
    found = grouped(lines, "family", "learn", "width")
    rows = []
    for family in dict.fromkeys(key[0] for key in found):
        means = {}
        for learn, title in (((), "fixed"), (("width",), "learned")):
            cells = {w: accuracies(found[family, learn, w]) for w in WIDTHS if (family, learn, w) in found}
            if not cells:  # a study that is still running
                continue
            means[title] = {w: mean(values) for w, values in cells.items()}
            between = max(means[title].values()) - min(means[title].values())
            row = [f"{family}, {title}", *(f"{means[title][w]:.1f}" if w in cells else "" for w in WIDTHS)]
            rows.append([*row, f"{mean(means[title].values()):.1f}", f"{between:.1f}"])
    return table(["start width", *(f"{w:g}" for w in WIDTHS), "mean", "max - min"], rows)


def end_widths(lines):
    """Where learned widths end, by family and layer: mean over seeds, from the smallest to the largest start."""
    rows = []
    for family in dict.fromkeys(line["run"]["family"] for line in lines):
        found = grouped([x for x in lines if x["run"]["family"] == family and x["run"]["learn"]], "width")
        layers = list(next(iter(found.values()))[0]["widths"][-1])
        for layer in layers:
            ends = {w: mean(r["widths"][-1][layer] for r in found[w,]) for w in WIDTHS if (w,) in found}
            rows.append([f"{family}, {layer}", *(f"{ends[w]:.2f}" if w in ends else "" for w in WIDTHS)])
    return table(["start width", *(f"{w:g}" for w in WIDTHS)], rows)


def verdict(studies):
    """For every study of start widths: accuracy with the best and the worst fixed width, and with learned widths."""
    rows = []
    for study, lines in studies.items():
        found = grouped(lines, "family", "learn", "width")
        for family in dict.fromkeys(key[0] for key in found):
            starts = [w for w in WIDTHS if all((family, learn, w) in found for learn in ((), ("width",)))]
            if not starts:  # a study that is still running
                continue
            fixed, learned = ({w: accuracies(found[family, learn, w]) for w in starts} for learn in ((), ("width",)))
            best = max(starts, key=lambda w: mean(fixed[w]))
            several = [values for values in [*fixed.values(), *learned.values()] if len(values) > 1]
            noise = f"{mean(map(variance, several)) ** 0.5:.1f}" if several else ""
            every, gap = [*learned.values()], mean(map(mean, learned.values())) - mean(fixed[best])
            rows.append(
                [
                    f"{study.removeprefix('psg-')}, {family}",
                    f"{mean(fixed[best]):.1f} ({best:g})",
                    f"{min(map(mean, fixed.values())):.1f}",
                    f"{max(map(mean, every)):.1f}",
                    f"{min(map(mean, every)):.1f}",
                    f"{gap:+.1f}",
                    noise,
                ]
            )
    header = [
        "",
        "best fixed (width)",
        "worst fixed",
        "learned: best start",
        "worst start",
        "mean of starts - best fixed",
        "sd of a run",
    ]
    return table(header, rows)


def settings_text(run):
    """PSG's arguments that are not the defaults; "fixed" if the width is not learned."""
    if "width" not in run["learn"]:
        return "fixed"
    return ", ".join(f"{name}={value}" for name, value in run["psg"].items()) or "default"


def means(each) -> str:
    """Mean over runs of every layer's number, as text; `each` holds layer -> number for every run."""
    return ", ".join(f"{mean(values[layer] for values in each):.2f}" for layer in each[0])


def last_widths(results) -> str:
    """Where the widths of every layer ended."""
    return means([r["widths"][-1] for r in results])


def repaired(lines):
    rows = []
    found = grouped(lines, "task", "family", settings_text, "width")
    starts = sorted({key[3] for key in found})
    for task, family, psg in dict.fromkeys(key[:3] for key in found):
        cells = []
        for width in starts:
            results = found.get((task, family, psg, width))
            cells.append("" if results is None else f"{spread(accuracies(results))} ({last_widths(results)})")
        rows.append([f"{task}, {family}", psg, *cells])
    return table(["", "PSG", *(f"from {w:g} (widths)" for w in starts)], rows)


def thresholds(lines):
    names = {(): "neither", ("width",): "width", ("threshold",): "threshold", ("width", "threshold"): "both"}
    rows = []
    found = grouped(lines, "task", "width", "learn")
    for (task, width, learn), results in found.items():
        edges = means([r["thresholds"] for r in results])
        accuracy = spread(accuracies(results))
        rows.append([task, f"{width:g}", names[learn], accuracy, last_widths(results), edges, len(results)])
    header = ["", "start width", "learned", "test accuracy, %", "widths", "thresholds", "seeds"]
    return table(header, rows)


def depth_of(run):
    """Number of layers of neurons."""
    return sum("c" in part for part in run["architecture"].split("-")) if run["architecture"] else 3


def last_shift(layer):
    """Mean of the absolute shift over all steps but the first; with a single step, its absolute shift."""
    steps = layer["shift"][1:] or layer["shift"]
    return mean(abs(s) for s in steps)


def named(run):
    """How the networks of a study of PDA differ: in normalisation and depth; recurrent ones in their task."""
    if STUDY_TASKS[run["task"]].recurrent:
        return run["task"]
    return f"{'normalised' if run['norm'] == 'bn' else 'not normalised'}, {depth_of(run)}"


def steps_of(run):
    """T."""
    return run["steps"] or STUDY_TASKS[run["task"]].steps


def potentials(lines):
    """Shift, undesired share and accuracy by mode, over normalisation, depth and T."""
    found = grouped(lines, named, steps_of, "pda")
    rows = []
    for name, steps in dict.fromkeys(key[:2] for key in found):
        cells = []
        for pda in MODES:
            results = found.get((name, steps, pda))
            if results is None:
                cells += ["", "", ""]
                continue
            layers = [layer for r in results for layer in r.get("layers", ())]
            shift = f"{mean(map(last_shift, layers)):.2f}" if layers else ""
            unseen = f"{100 * mean(mean(layer['undesired']) for layer in layers):.0f}" if layers else ""
            cells += [spread(accuracies(results)), shift, unseen]
        rows.append([name, steps, *cells])
    header = ["layers", "T"]
    for title in MODES.values():
        header += [f"{title}: %", "shift", "undesired"]
    return table(header, rows)


def tables(logs) -> dict[str, str]:
    """Name -> table, of the studies that have been run."""
    made = {}
    if logs["recipes"]:
        made["recipes"] = recipes(logs["recipes"])
    psg = {study: lines for study, lines in logs.items() if study.startswith("psg-") and lines}
    for study, lines in psg.items():
        made[study] = start_widths(lines)
        made[f"{study}-widths"] = end_widths(lines)
    if psg:
        made["psg"] = verdict(psg)
    draws = {"repairs": repaired, "recurrent": repaired, "threshold": thresholds, "recurrent-pda": potentials}
    draws |= {study: potentials for study in logs if study.startswith("pda-")}
    made |= {name: draw(logs[name]) for name, draw in draws.items() if logs[name]}
    return made


def all_tables(logs) -> dict[str, str]:
    """All tables of RESULTS.md: from the studies' logs, and from the other files in results/."""
    made = tables(logs)
    made |= accuracy_report.tables(read(ACCURACY / "runs.jsonl"))
    for name, module, path in (("cost", cost, cost.OUT), ("cifar10", cifar10, cifar10.OUT / "summary.json")):
        if path.exists():
            made[name] = module.report(json.loads(path.read_text()))
    return made


def filled(text: str, made: dict[str, str]) -> str:
    """A document with its tables written in between ``<!-- table: NAME -->`` and ``<!-- end -->``.

    Raises:
        KeyError: the document names an unknown table.
    """

    def put(match):
        return f"{match[1]}\n\n{made[match[2]]}\n\n<!-- end -->"

    return re.sub(r"(<!-- table: (\S+) -->)\n.*?<!-- end -->", put, text, flags=re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.parse_args()
    logs = logs_in()
    RESULTS.write_text(filled(RESULTS.read_text(), all_tables(logs)))
    if not can_plot():
        return
    from .plots import plot_all

    made = plot_all(logs, OUT)
    long = cifar10.OUT
    if (long / "summary.json").exists():
        summary = json.loads((long / "summary.json").read_text())
        made.append(save_figure(cifar10.plot(read(long / "metrics.jsonl"), summary), long / "curve.png"))
    for path in made:
        print(path)


if __name__ == "__main__":
    main()
