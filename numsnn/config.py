"""Configurations: the content of a TOML file, checked key by key."""

import tomllib
from dataclasses import dataclass, field, fields

from .data.builtin import takes_folder
from .errors import ConfigError
from .files import read_file
from .names import argument, choice
from .shown import MESSAGE, one_line, shown
from .validate import LARGEST_WHOLE, number, path_of


@dataclass
class DataConfig:
    """[data]: the dataset.

    Attributes:
        name: name of a built-in dataset.
        dir: folder with its raw files, if they are not part of the package.
        file: a store, such as a script of data_prep makes, instead of name and dir.
        steps, by, duration, pool: how events become frames, see `numsnn.data.Frames`. The duration 0 stands for none;
            with a duration, 0 steps stand for as many as the longest recording needs.
        start: time in microseconds at which the first frame of every recording of a store begins, if there is a
            duration. With -1 it is the first event of the recording.
        augment: changes of the training part, such as "fliplr-crop4", see `numsnn.data.augment.from_string`.
        valid_share: share of the training part that is set apart for validation, in [0, 1), if the data have no part
            "valid". The division is always the same. With 0 there is no validation, and no best epoch.
    """

    name: str = "digits"
    dir: str = ""
    file: str = ""
    steps: int = 10
    by: str = "time"
    duration: int = 0
    start: int = -1
    pool: int = 1
    augment: str = ""
    valid_share: float = 0.1


REPLACED_BY_FILE = ("name", "dir")
"""Keys of [data] that a store (file) takes the place of."""


@dataclass
class ModelConfig:
    """[model]: the network and its neurons.

    Attributes:
        architecture: line of text, see `numsnn.models.from_string`.
        steps: T of the direct encoding.
        norm: "bn", "tdbn" or "none".
        neuron: "if", "lif", "plif", "alif" or "cubalif". Keys that this neuron does not use must keep their defaults:
            "if" does not use tau, decay_input and learn_tau, and "plif" does not use decay_input and learn_tau.
        tau, v_threshold, refractory, detach_reset, decay_input, learn_tau, learn_threshold: see `numsnn.LIF`.
        tau_adaptation, strength: only for "alif", see `numsnn.ALIF`.
        tau_synapse: only for "cubalif", see `numsnn.CubaLIF`.
        reset: "hard" (to `v_reset`), "soft" (the threshold is subtracted), "delayed" (the same one step later, as in
            snnTorch) or "none".
        v_reset: potential after a hard reset.
    """

    architecture: str = "32c3-p2-64c3-p2"
    steps: int = 4
    norm: str = "bn"
    neuron: str = "lif"
    tau: float = 2.0
    tau_adaptation: float = 20.0
    strength: float = 1.0
    tau_synapse: float = 2.0
    refractory: int = 0
    v_threshold: float = 1.0
    reset: str = "hard"
    v_reset: float = 0.0
    detach_reset: bool = False
    decay_input: bool = False
    learn_tau: bool = False
    learn_threshold: bool = False


@dataclass
class MethodConfig:
    """[method]: PSG and PDA.

    Attributes:
        surrogate, width, learn_width, width_per, width_lr, width_bounds, width_rule, window_share: see `numsnn.PSG`.
        pda: whether the neurons have a `numsnn.PDA`.
        pda_momentum, divergence: see `numsnn.PDA`.
        pda_target: a mean potential, or "input" for the mean of the input current.
    """

    surrogate: str = "triangle"
    width: float = 1.0
    learn_width: bool = True
    width_per: str = "layer"
    width_lr: float = 0.1
    width_bounds: list[float] = field(default_factory=list)
    width_rule: str = "gradient"
    window_share: float = 0.5
    pda: bool = True
    pda_momentum: float = 0.1
    pda_target: float | str = "input"
    divergence: float = 0.0


@dataclass
class TrainingConfig:
    """[training]: the training.

    Attributes:
        epochs, batch_size, accumulate, seed: see `numsnn.Trainer`.
        loss: for one class per sample "rate", "tet", "max_membrane" or "membrane_mse", with a spiking readout
            "spike_count" or "first_spike"; for one class per step "step"; for several labels "binary"; for values "mse"
            or "membrane_mse". See `numsnn.losses`.
        label_smoothing: share of the label that is spread over all classes.
        balanced: whether rare classes count as much as frequent ones, see `numsnn.losses.balanced`.
        rate_low, rate_high, rate_weight: a `numsnn.RateBand` after every hidden neuron layer; with the weight 0 there
            is none.
        optimizer: "adam", "adamw" or "sgd".
        lr, momentum, nesterov, weight_decay: see `numsnn.optim`.
        clip_norm: largest global norm of the gradients; 0 does not clip.
        recompute: whether passes keep less for the backward pass, which computes it again, see `numsnn.Trainer`.
        schedule: "cosine", "step", "plateau" or "constant".
        warmup, step_every, step_gamma: see `numsnn.schedules`.
        plateau: epochs without an improvement of the validation loss after which the schedule "plateau" multiplies the
            learning rate by step_gamma.
        early_stopping: epochs without an improvement of the validation loss after which the run ends; 0 never ends it.
        average: decay of the moving average of the weights, see `numsnn.training.WeightAverage`; with 0 there is none.
        device: "cpu", "cuda" or "reference".
        threads: number of threads; 0 uses one per core.
    """

    epochs: int = 10
    batch_size: int = 64
    accumulate: int = 1
    loss: str = "rate"
    label_smoothing: float = 0.0
    balanced: bool = False
    rate_low: float = 0.0
    rate_high: float = 1.0
    rate_weight: float = 0.0
    optimizer: str = "adam"
    lr: float = 2e-3
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup: float = 0.0
    step_every: int = 10
    step_gamma: float = 0.1
    plateau: int = 5
    early_stopping: int = 0
    average: float = 0.0
    clip_norm: float = 0.0
    recompute: bool = False
    seed: int = 0
    device: str = "cpu"
    threads: int = 0


@dataclass
class Config:
    """A complete configuration."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_toml(self) -> str:
        """Return the complete configuration as TOML text, from which `parse` makes an equal one.

        With a store, the text leaves out the keys that a store takes the place of.
        """
        lines = []
        for section in fields(self):
            lines.append(f"[{section.name}]")
            values = getattr(self, section.name)
            unused = REPLACED_BY_FILE if section.name == "data" and values.file else ()
            keys = [key.name for key in fields(values) if key.name not in unused]
            lines += [f"{key} = {_toml(getattr(values, key))}" for key in keys]
            lines.append("")
        return "\n".join(lines)


def parse(text: str, source: str = "configuration") -> Config:
    """Return the configuration in a TOML text; keys that are not given keep their defaults.

    Args:
        text: TOML text.
        source: name of the text in errors. Default "configuration".

    Raises:
        ConfigError: the text is not TOML, a section or key is unknown (the message names the most similar one), or a
            value has the wrong type.
    """
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{source}: not valid TOML: nested too deeply") from None
    except ValueError as error:  # also a number of too many digits
        raise ConfigError(f"{source}: not valid TOML: {one_line(str(error), MESSAGE)}") from error
    config = Config()
    sections = [section.name for section in fields(Config)]
    for section, table in tables.items():
        choice(f"{source}: section", section, sections, error=ConfigError)
        if not isinstance(table, dict):
            raise ConfigError(f"{source}: {section} must be a section [{section}]; got {shown(table)}")
        for key, value in table.items():
            set_key(config, section, key, value, source)
    return config


def set_key(config: Config, section: str, key: str, value, source: str = "configuration") -> None:
    """Check and set one key of one section.

    Raises:
        ConfigError: the key is unknown (the message names the most similar one), or the value has the wrong type.
    """
    part = getattr(config, section)
    kinds = {key.name: key.type for key in fields(part)}
    argument(f"{source}: [{section}]", key, kinds, kind="key", error=ConfigError)
    setattr(part, key, _typed(f"{source}: {section}.{key}", value, kinds[key]))


def folder_option(name: str, folder: str, advice: str) -> dict[str, str]:
    """Return the option of `numsnn.data.load` that names the folder of a built-in dataset; none if it needs no folder.

    Args:
        name: name of the dataset.
        folder: folder with the raw files, or "".
        advice: how to give the folder; the error for a missing folder ends with it.

    Raises:
        ConfigError: the dataset needs a folder but none is given, or it takes no folder.
        ValueError: the name is unknown.
    """
    if takes_folder(name):
        if not folder:
            raise ConfigError(f"load({name!r}): option 'dir' is missing; {advice}")
        return {"dir": folder}
    if folder:
        raise ConfigError(
            f"the dataset {name!r} takes no folder, because it is part of the package; got {shown(folder)}"
        )
    return {}


def need_store_alone(wanted: DataConfig) -> None:
    """Refuse a key of [data] that the store in it takes the place of.

    Raises:
        ConfigError: the name of a dataset, or a folder, is given beside the store.
    """
    for key in REPLACED_BY_FILE:
        if (got := getattr(wanted, key)) != getattr(DataConfig, key):
            raise ConfigError(f"data.{key}: the store {wanted.file!r} takes its place; got {shown(got)}. Leave it out")


def read(path) -> Config:
    """Return the configuration in a TOML file.

    Raises:
        OSError: the file does not exist or cannot be read.
        ConfigError: it is not text in UTF-8, or as for `parse`.
    """
    path = path_of("configuration", path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such configuration file")
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file: {one_line(str(error), MESSAGE)}") from error
    return parse(text, str(path))


def _typed(what, value, kind):
    """Return the value as the annotated type; a whole number may be given for a real number."""
    if kind in (float, _TARGET) and isinstance(value, int | float) and not isinstance(value, bool):
        return _number(what, value)
    if kind == list[float]:
        numbers = isinstance(value, list) and all(
            isinstance(item, int | float) and not isinstance(item, bool) for item in value
        )
        if not numbers or len(value) not in (0, 2):
            raise ConfigError(f"{what} must be a list of two numbers, or [] for the default; got {shown(value)}")
        return [_number(what, item) for item in value]
    if kind == _TARGET and isinstance(value, str) and value == "input":
        return value
    if type(value) is not kind:
        raise ConfigError(f"{what} must be {_KINDS[kind]}; got {shown(value)}")
    if kind is int and abs(value) > LARGEST_WHOLE:
        raise ConfigError(f"{what} must be a whole number of at most 2^63 - 1; got {shown(value)}")
    return value


def _number(what, value):
    """Return a finite number as float."""
    try:
        return number(what, value)
    except ValueError as error:
        raise ConfigError(str(error)) from None


_TARGET = float | str
_KINDS = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    _TARGET: 'a number or "input"',
}


def _toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = "".join(_ESCAPES.get(c, c) if c.isprintable() else f"\\U{ord(c):08x}" for c in value)
        return f'"{escaped}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


_ESCAPES = {'"': '\\"', "\\": "\\\\"}
