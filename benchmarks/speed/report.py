"""Results of a comparison as Markdown."""

from numsnn.measure.command import neuron_table
from numsnn.measure.table import bytes_text, table, time_text

from ..common import OWN, ratio_text

TITLES = {"train": "training step", "infer": "inference"}
PASSES = {"forward": "Forward", "weight_gradient": "Weight gradient", "input_gradient": "Input gradient"}


def report(results) -> str:
    """Everything that was measured, in Markdown."""
    parts = [heading(results)]
    if results["workloads"]:
        parts += [times(results["workloads"]), memory(results["workloads"])]
    if results["layers"]:
        parts.append(layers(results["layers"]))
    if results["neurons"]:
        parts.append("## The neuron kernel\n\n" + neuron_table(results["neurons"]))
    if results["scaling"]:
        parts.append(growth(results))
    if results["workloads"]:
        parts.append(checks(results["workloads"]))
    parts.append(notes(results))
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(results):
    machine = results["machine"]
    lines = [
        f"# numsnn {results['version']} and its peers",
        f"{machine['processor']}, {machine['cores']} cores, {results['threads']} threads per side; "
        f"{machine['system']}. "
        f"Load before the run {results['load_before']}. Registers numsnn compiles for: {machine['registers']}. "
        f"{'TINY SHAPES: no measurement.' if results['quick'] else ''}".strip(),
        "\n".join(
            f"- {side}: {', '.join(f'{name} {version}' for name, version in versions.items())}"
            for side, versions in results["versions"].items()
        ),
    ]
    return "\n\n".join(lines)


def title(workload, what):
    """What was timed."""
    return f"{workload['name']} ({workload['surrogate']}) {TITLES[what]}"


def sides_of(workloads):
    """All sides that were timed, numsnn first."""
    found = dict.fromkeys(side for w in workloads for times in w["passes"].values() for side in times)
    return [OWN, *[side for side in found if side != OWN]]


def times(workloads):
    sides = sides_of(workloads)
    rows = []
    for workload in workloads:
        for what, found in workload["passes"].items():
            own = found[OWN]
            cells = [time_text(found[side]["median"]) if side in found else "" for side in sides]
            spread = f"{time_text(own['min'])} to {time_text(own['max'])}"
            ratio = f"{ratio_text(own.get('ratio'))} {own.get('fastest_peer', '')}".strip()
            rows.append([title(workload, what), *cells, ratio, spread])
    header = ["workload", *sides, "fastest peer / numsnn", "numsnn from, to"]
    return "## Time (medians)\n\n" + table(header, rows)


def memory(workloads):
    sides = sides_of(workloads)
    rows = []
    for workload in workloads:
        what = next(iter(workload["passes"]))
        cells = []
        for side in sides:
            found = workload["memory"].get(side, {}).get(what)
            if found is None or found["peak"] is None:
                cells.append("")
            else:
                cells.append(f"{bytes_text(found['peak'] - found['before'])} ({bytes_text(found['peak'])})")
        rows.append([title(workload, what), *cells])
    return "## Peak memory: growth since the libraries were loaded (and total)\n\n" + table(["workload", *sides], rows)


def layers(found):
    """The time of PyTorch's dense layer divided by numsnn's, by density."""
    parts = ["## Single layers: PyTorch's dense time / numsnn's (numsnn's time)"]
    densities = list(dict.fromkeys(layer["density"] for layer in found))
    for what, name in PASSES.items():
        rows = []
        for case in dict.fromkeys(layer["name"] for layer in found):
            mine = {layer["density"]: layer["passes"].get(what) for layer in found if layer["name"] == case}
            cells = ["differs" if mine[d] is None else speed(mine[d][OWN]) for d in densities]
            rows.append([case, *cells])
        parts.append(f"### {name}\n\n" + table(["density of the input", *[f"{d:.0%}" for d in densities]], rows))
    return "\n\n".join(parts)


def speed(own):
    """The peer's time divided by numsnn's, and numsnn's time."""
    return f"{ratio_text(own['ratio'])} ({time_text(own['median'])})"


def growth(results):
    """Times along every series, and how the time grows from its first to its last member."""
    rows = []
    for name, members in (results["scaling"] | results["scaling_threads"]).items():
        threads = name in results["scaling_threads"]
        for what in TITLES:
            medians = {key: found[what]["median"] for key, found in members.items()}
            cells = ", ".join(f"{key}: {time_text(median)}" for key, median in medians.items())
            rows.append([f"{name}{' threads' if threads else ''}, {TITLES[what]}", cells, steepness(medians, threads)])
    return "## How time grows (numsnn)\n\n" + table(["series", "times", "from the first to the last"], rows)


def steepness(medians, threads):
    """The last member's time divided by the first one's, beside the ratio of what grows."""
    first, *_, last = medians if len(medians) > 1 else [*medians, *medians]
    if threads:
        return f"{medians[first] / medians[last]:.2f}x faster on {last}"
    return f"{float(last) / float(first):g}x as many: {medians[last] / medians[first]:.2f}x the time"


def checks(workloads):
    rows = []
    for workload in workloads:
        for side, passes in workload["agreement"].items():
            for what, found in passes.items():
                differ = f"{sum(found['different_spikes'])} of {sum(found['spikes'])}" if "spikes" in found else ""
                tie = f"{found['farthest_tie']:.1e}" if "farthest_tie" in found else ""
                part = found.get("part", {})
                strict = part.get("gradients") if part else found.get("gradients")
                size = f"{part['steps']} x {part['samples']}" if part else "all"
                gradients = "" if strict is None else f"{strict:.1e}"
                verdict = found.get("error", "agrees")
                rows.append([title(workload, what), side, differ, tie, gradients, size if gradients else "", verdict])
    header = ["workload", "peer", "spikes that differ", "farthest tie", "gradients", "steps x samples", ""]
    return "## The same computation\n\n" + table(header, rows)


def notes(results):
    lines = [f"- {side} was missing: {reason}" for side, reason in results["missing"].items()]
    for workload in results["workloads"]:
        for side, passes in workload["left_out"].items():
            lines += [f"- {title(workload, what)}: {side} {reason}" for what, reason in passes.items()]
    return "## Left out\n\n" + "\n".join(lines) if lines else ""
