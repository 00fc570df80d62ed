"""A view of a dataset: counts and ranges as text, and a sample as a PNG or an animated GIF."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from . import config as configuration
from . import data
from .data.recordings import Recordings
from .files import replacing
from .names import choice
from .shown import one_line
from .validate import whole

LONGEST_NAME = 60
"""Bytes of a dataset's name in the name of a file."""
MOST_POINTS = 20_000
"""Largest number of events in a 3-D scatter plot; more would only cover each other."""

MOST_FRAMES = 20
ON, OFF = "#D55E00", "#0072B2"
SECONDS_PER_FRAME = 0.1


def find(name: str, part: str = "train", folder: str | None = None):
    """Return a part of a dataset: a Dataset, or recordings if the dataset has them.

    Args:
        name: name of a built-in dataset, path of a store (.h5), or path of a TOML file.
        part: "train" (default), "test" or another part of the store.
        folder: folder with the raw files of a built-in dataset. Default None.

    Raises:
        ValueError: an unknown name or part.
        ConfigError: the dataset needs a folder but none is given, or it or the store takes no folder.
    """
    config = configuration.Config()
    if name.endswith(".toml"):
        config = configuration.read(name)
        name = config.data.file or config.data.name
    if name.endswith((".h5", ".hdf5")):
        configuration.need_store_alone(replace(config.data, file=name, dir=folder or config.data.dir))
        parts = data.open(name).parts
    else:
        choice("dataset", name, data.available(), other="a store or TOML file")
        parts = dict(zip(("train", "test"), _builtin(name, folder or config.data.dir), strict=True))
    if part not in parts:
        raise ValueError(f"{name} has no part {part!r}; its parts are {', '.join(parts)}")
    return parts[part]


def _builtin(name, folder):
    options = configuration.folder_option(name, folder, "give the folder with --data FOLDER")
    return data.load_recordings(name) if name == "digits-dvs" else data.load(name, **options)


def summary(part) -> str:
    """Return counts of samples and targets, and value ranges or event rates, as text."""
    lines = [repr(part), *_targets(part)]
    if isinstance(part, Recordings):
        return "\n".join(lines + _rates(part))
    low, high, total, samples = np.inf, -np.inf, 0.0, 0
    for x, _ in data.Loader(part, 256).epoch():
        low, high = min(low, x.min()), max(high, x.max())
        total, samples = total + x.sum(dtype=np.float64), samples + x.size
    return "\n".join([*lines, f"values {low:g} to {high:g}, mean {total / samples:.4f} (after scaling)"])


def _targets(part):
    """Return lines about targets, lengths and weights."""
    if part.target == "values":
        y = part.y
        lines = [f"targets {y.min():g} to {y.max():g}, mean {y.mean(dtype=np.float64):.4f}"]
    elif part.target == "labels":
        lines = _table(part.classes, part.y.sum(axis=tuple(range(part.y.ndim - 1)), dtype=np.int64))
    else:
        known = part.y[part.y >= 0]
        lines = _table(part.classes, np.bincount(known, minlength=part.n_classes))
        if part.per_step:
            lines.append(f"  steps without a label: {part.y.size - known.size:,}")
    if part.lengths is not None:
        low, high = part.lengths.min(), part.lengths.max()
        lines.append(f"steps per sequence: {low} to {high}, median {int(np.median(part.lengths))}")
    if part.weights is not None:
        lines.append(f"weights {part.weights.min():g} to {part.weights.max():g}")
    return lines


def _table(classes, counts):
    """Return classes with their counts, in columns."""
    entries = [f"{one_line(label)}: {count}" for label, count in zip(classes, counts, strict=True)]
    width = max(map(len, entries)) + 3
    columns = max(1, 110 // width)
    rows = (entries[k : k + columns] for k in range(0, len(entries), columns))
    return ["  " + "".join(entry.ljust(width) for entry in row).rstrip() for row in rows]


def _rates(part):
    counts = part.counts()
    looked_at = np.unique(np.linspace(0, len(part) - 1, min(len(part), 200)).astype(int))
    events = [part.events(int(k)) for k in looked_at]
    seconds = sum(recording.duration for recording in events) / 1e6
    number = sum(map(len, events))
    lines = [
        f"events per recording: {counts.min():,} to {counts.max():,}, median {int(np.median(counts)):,}",
        f"mean of {len(looked_at)} recordings: {seconds / len(looked_at) * 1000:.0f} ms, "
        f"{number / max(seconds, 1e-6):,.0f} events per second",
    ]
    if part.polarities == 2:
        on = sum(int(recording.p.sum()) for recording in events)
        lines[-1] += f", {100 * on / max(1, number):.1f} % of them ON"
    return lines


# --- pictures ---


def draw(part, index: int = 0, folder: str = ".", steps: int = 10, gif: bool = False) -> list[Path]:
    """Draw a sample.

    Args:
        part: what `find` returns.
        index: number of the sample. Default 0.
        folder: folder for the pictures. Default ".".
        steps: frames per recording. Default 10.
        gif: also write an animation if the sample has a time axis. Default False.

    Returns:
        the files: DATA-INDEX.png and, with `gif`, DATA-INDEX.gif.

    Raises:
        ValueError: the index is out of range.
        RuntimeError: matplotlib is missing.
    """
    if isinstance(index, bool) or not 0 <= index < len(part):
        raise ValueError(f"--index must be in 0..{len(part) - 1}; got {index}")
    whole("--steps", steps)
    try:
        import matplotlib.figure
    except ImportError:
        raise RuntimeError('matplotlib is missing; install it with: pip install "numsnn[plot]"') from None
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_file_name(part.name)}-{index}.png"
    label, name = one_line(_target(part, index)), one_line(part.name)
    figure = matplotlib.figure.Figure(layout="constrained")
    frames = None
    if isinstance(part, Recordings):
        events = part.events(index)
        frames = data.to_frames(events, steps)
        title = f"{name}, recording {index} ({label}): {len(events):,} events in {events.duration / 1000:.0f} ms"
        _draw_recording(figure, events, frames, title)
    else:
        x, _ = part.batch([index])
        sample = x[:, 0] if part.timed else x[0]
        title = f"{name}, sample {index} ({label})"
        frames = sample if part.timed else None
        _draw_sample(figure, sample, part.timed, title)
    if gif and frames is not None and frames.ndim == 2:
        raise ValueError("--gif: the frames have one row of channels and are not pictures; omit --gif")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    return [path, _animate(frames, path.with_suffix(".gif"))] if gif and frames is not None else [path]


def _file_name(name):
    """Return the part of a file's name that stands for a dataset. A store's own name cannot choose a folder."""
    short = name if len(name) <= 200 else f"{name[:100]}{name[-20:]}"
    kept = "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in short)
    written = kept.encode()
    if len(written) > LONGEST_NAME:  # the end says which part it is
        kept = "-".join(some.decode(errors="ignore") for some in (written[: LONGEST_NAME - 16], written[-15:]))
    return kept.lstrip(".") or "data"


def _target(part, index):
    """Return what a title says about the target of a sample."""
    y = part.y[index]
    if part.per_step:
        return "a target per step"
    if part.target == "class":
        return one_line(part.classes[y])
    if part.target == "labels":
        return ", ".join(one_line(part.classes[k]) for k in np.flatnonzero(y)) or "no label"
    values = ", ".join(f"{value:g}" for value in y.flat[:4])
    return values if y.size <= 4 else f"{values}, ..."


def _draw_recording(figure, events, frames, title):
    """Draw frames, and below them the events in space and time (for one row of pixels, in channel and time)."""
    from matplotlib.ticker import MaxNLocator

    figure.suptitle(title, fontsize=10)
    chosen = np.linspace(0, len(events) - 1, min(len(events), MOST_POINTS)).astype(int)
    colours = np.where(events.p[chosen] == 1, ON, OFF)
    time = (events.t[chosen] - (events.t[0] if len(events) else 0)) / 1000
    length = max(1, events.duration / 1000)
    if events.size[0] == 1:
        figure.set_size_inches(8, 4)
        axes = figure.subplots()
        axes.scatter(time, events.x[chosen], s=1.5, c=OFF, linewidths=0, clip_on=False, zorder=3)
        axes.set(xlabel="ms", ylabel="channel", xlim=(0, length), ylim=(0, events.size[1]))
        return
    shown = _columns(len(frames))
    figure.set_size_inches(10, 4.6 + 1.7 * shown[0])
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.7 * shown[0], 4.6))
    _draw_frames(upper, frames, shown)
    axes = lower.add_subplot(projection="3d")
    # The box is wider than the square of its axes, at whose border matplotlib would cut off events.
    axes.scatter(time, events.x[chosen], events.y[chosen], s=2, c=colours, linewidths=0, clip_on=False)
    axes.set(xlabel="ms", ylabel="x", zlabel="y", xlim=(0, length))
    axes.set(ylim=(0, events.size[1]), zlim=(events.size[0], 0))
    axes.set_box_aspect((2.2, 1, events.size[0] / events.size[1]), zoom=1.6)
    for axis in (axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True))
    axes.view_init(elev=16, azim=-62)
    axes.set_title("orange: brighter (ON), blue: darker (OFF)", fontsize=8)


def _columns(n):
    """Return the number of rows and columns of a grid of frames."""
    shown = min(n, MOST_FRAMES)
    rows = -(-shown // 10)
    return rows, -(-shown // rows)


def _draw_frames(figure, frames, grid):
    high = max(1.0, float(frames.max()))
    axes = figure.subplots(*grid, squeeze=False)
    for k, place in enumerate(axes.flat):
        if k >= min(len(frames), MOST_FRAMES):
            place.axis("off")
            continue
        place.imshow(_colours(frames[k], high), interpolation="nearest")
        place.set(xticks=[], yticks=[])
        place.spines[:].set_color("#BBBBBB")  # a visible border, because frames and background are white
        place.set_title(f"{k}", fontsize=7, pad=2)


def _colours(frame, high):
    """Return a frame as RGB: white without events, one colour per polarity; other frames are grey or unchanged."""
    if frame.shape[-1] == 3:
        return np.clip(frame / high, 0, 1)
    share = np.sqrt(np.clip(frame / high, 0, 1))
    if frame.shape[-1] == 2:
        inks = [np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255 for colour in (OFF, ON)]
        paper = 1 - sum(share[..., k, None] * (1 - ink) for k, ink in enumerate(inks))
        return np.clip(paper, 0, 1)
    return np.repeat(1 - share[..., :1], 3, axis=-1)


def _draw_sample(figure, sample, timed, title):
    """Draw a picture, a sequence of frames, or features as a raster."""
    figure.suptitle(title, fontsize=10)
    if timed and sample.ndim == 4:
        shown = _columns(len(sample))
        figure.set_size_inches(10, 0.6 + 1.7 * shown[0])
        _draw_frames(figure, sample, shown)
        return
    figure.set_size_inches(4, 4.2)
    axes = figure.subplots()
    if sample.ndim == 3 and sample.shape[-1] in (1, 3):
        axes.imshow(np.clip(sample if sample.shape[-1] == 3 else sample[..., 0], 0, 1), cmap="gray", vmin=0, vmax=1)
        axes.axis("off")
    elif sample.ndim == 1:
        axes.bar(np.arange(len(sample)), sample, color=OFF)
        axes.set(xlabel="feature")
    else:
        axes.imshow(sample.reshape(len(sample), -1).T, aspect="auto", cmap="Greys", interpolation="nearest")
        axes.set(xlabel="step" if timed else "row", ylabel="feature")


def _animate(frames, path):
    """Write the frames one after another to a GIF; small frames are enlarged."""
    from PIL import Image

    high = max(1.0, float(frames.max()))
    scale = max(1, 256 // max(frames.shape[1:3]))
    pictures = [(255 * np.kron(_colours(frame, high), np.ones((scale, scale, 1)))).astype(np.uint8) for frame in frames]
    first, *rest = map(Image.fromarray, pictures)
    with replacing(path) as temporary:
        first.save(
            temporary, format="GIF", save_all=True, append_images=rest, duration=int(1000 * SECONDS_PER_FRAME), loop=0
        )
    return path
