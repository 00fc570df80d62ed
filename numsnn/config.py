"""Configurations: what a TOML file may say, checked key by key."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from .errors import ConfigError
from .names import argument, choice


@dataclass
class DataConfig:
    """[data]: `name` of a built-in dataset; `dir` with its raw files, where it does not ship with the package; or
    instead of both `file`, a store made by a script of data_prep.

    Of events, `steps`, `by`, `duration` (0 is none) and `pool` say how they become frames (`numsnn.data.Frames`).
    `augment` is a line like "fliplr-crop4" (`numsnn.data.augment.from_string`) for the training part.
    """

    name: str = "digits"
    dir: str = ""
    file: str = ""
    steps: int = 10
    by: str = "time"
    duration: int = 0
    pool: int = 1
    augment: str = ""


@dataclass
class ModelConfig:
    """[model]: the network (`numsnn.models.from_string`) and its neurons.

    `neuron` is "if", "lif", "plif", "alif" or "cubalif"; `tau_adaptation` and `strength` are those of ALIF,
    `tau_synapse` that of CubaLIF. `reset` is "hard" (to `v_reset`), "soft" (the threshold is subtracted) or "none".
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
    """[method]: PSG (`numsnn.PSG`) and PDA (`numsnn.PDA`); `pda_target` is a mean potential, or "input" for that of the
    input current."""

    surrogate: str = "triangle"
    width: float = 1.0
    learn_width: bool = True
    width_per: str = "layer"
    width_lr: float = 0.1
    width_bounds: list[float] = field(default_factory=list)
    pda: bool = True
    pda_momentum: float = 0.1
    pda_target: float | str = "input"
    divergence: float = 0.0


@dataclass
class TrainingConfig:
    """[training]: loss "rate", "tet", "max_membrane" or "membrane_mse", or, of a spiking readout, "spike_count" or
    "first_spike"; optimizer "adam", "adamw" or "sgd"; schedule "cosine", "step" or "constant". `rate_weight` is that of
    a `numsnn.RateBand` from `rate_low` to `rate_high` behind every hidden neuron layer; 0 puts none there. `clip_norm`
    0 does not clip; `threads` 0 takes every core."""

    epochs: int = 10
    batch_size: int = 64
    loss: str = "rate"
    label_smoothing: float = 0.0
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
    clip_norm: float = 0.0
    seed: int = 0
    device: str = "cpu"
    threads: int = 0


@dataclass
class Config:
    """All sections of a configuration."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_toml(self) -> str:
        """The complete configuration as TOML text; `parse` reads it back to an equal one."""
        lines = []
        for section in fields(self):
            lines.append(f"[{section.name}]")
            values = getattr(self, section.name)
            lines += [f"{key.name} = {_toml(getattr(values, key.name))}" for key in fields(values)]
            lines.append("")
        return "\n".join(lines)


def parse(text: str, source: str = "configuration") -> Config:
    """A configuration from TOML text; what is not said keeps its default.

    Raises:
        ConfigError: text that is not TOML; an unknown section or key (the nearest right one is named); a wrong type.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from error
    config = Config()
    sections = [section.name for section in fields(Config)]
    for section, table in tables.items():
        choice(f"{source}: section", section, sections, error=ConfigError)
        if not isinstance(table, dict):
            raise ConfigError(f"{source}: {section} must be a section [{section}]; got {table!r}")
        for key, value in table.items():
            set_key(config, section, key, value, source)
    return config


def set_key(config: Config, section: str, key: str, value, source: str = "configuration") -> None:
    """Set one key of one section, checked.

    Raises:
        ConfigError: an unknown key (the nearest right one is named), or a value of the wrong type.
    """
    part = getattr(config, section)
    kinds = {key.name: key.type for key in fields(part)}
    argument(f"{source}: [{section}]", key, kinds, kind="key", error=ConfigError)
    setattr(part, key, _typed(f"{source}: {section}.{key}", value, kinds[key]))


def read(path) -> Config:
    """The configuration in a TOML file.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: see `parse`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such configuration")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file: {error}") from error
    return parse(text, str(path))


def _typed(what, value, kind):
    """The value as the annotated type; a whole number may stand for a real one."""
    if kind in (float, _TARGET) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == list[float]:
        numbers = isinstance(value, list) and all(
            isinstance(item, int | float) and not isinstance(item, bool) for item in value
        )
        if not numbers or len(value) not in (0, 2):
            raise ConfigError(f"{what} must be a list of two numbers, or [] for the default; got {value!r}")
        return [float(item) for item in value]
    if kind == _TARGET and (type(value) is float or value == "input"):
        return value
    if type(value) is not kind:
        raise ConfigError(f"{what} must be {_KINDS[kind]}; got {value!r}")
    return value


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
