"""Results of a comparison as text for people."""

from numsnn.bench.table import bytes_text, ratio_text, table, time_text

OWN = "numsnn"
TITLES = {"train": "training step", "infer": "inference"}


def report(results) -> str:
    """Everything that was measured, in Markdown."""
    parts = [heading(results)]
    if results["workloads"]:
        parts += [times(results["workloads"]), memory(results["workloads"]), checks(results["workloads"])]
    parts += [notes(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(results):
    machine = results["machine"]
    lines = [
        f"# numsnn {results['version']} and its peers",
        f"{machine['processor']}, {machine['cores']} cores, {results['threads']} threads a side; {machine['system']}. "
        f"Load before the run {results['load_before']}. BLAS of numsnn: {', '.join(machine['blas'])}. "
        f"Surrogate: {results['surrogate']}. {'TINY SHAPES: no measurement.' if results['quick'] else ''}".strip(),
        "\n".join(
            f"- {side}: {', '.join(f'{name} {version}' for name, version in versions.items())}"
            for side, versions in results["versions"].items()
        ),
    ]
    return "\n\n".join(lines)


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
            rows.append([f"{workload['name']} {TITLES[what]}", *cells, ratio, spread])
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
        rows.append([f"{workload['name']} {TITLES[what]}", *cells])
    return "## Peak memory: growth since the libraries were loaded (and in all)\n\n" + table(["workload", *sides], rows)


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
                name = f"{workload['name']} {TITLES[what]}"
                rows.append([name, side, differ, tie, gradients, size if gradients else "", verdict])
    header = ["workload", "peer", "spikes that differ", "farthest tie", "gradients", "steps x samples", ""]
    return "## The same computation\n\n" + table(header, rows)


def notes(results):
    lines = [f"- {side} was not there: {reason}" for side, reason in results["missing"].items()]
    for workload in results["workloads"]:
        for side, passes in workload["left_out"].items():
            lines += [f"- {workload['name']} {TITLES[what]}: {side} {reason}" for what, reason in passes.items()]
    return "## Left out\n\n" + "\n".join(lines) if lines else ""
