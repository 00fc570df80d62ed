"""The errors numsnn raises on purpose. Every message is one line that names what came and what was expected."""


class ShapeError(ValueError):
    """An array whose shape or dtype does not fit the layer it was given to."""


class ConfigError(ValueError):
    """A configuration file or option that names something unknown or of the wrong type."""


class CheckpointError(ValueError):
    """A file that is not a numsnn checkpoint, is damaged, or belongs to another architecture."""


class DivergenceError(ArithmeticError):
    """A number that is not finite where training needs one."""


class DeviceError(RuntimeError):
    """A device that is not there, cannot be used, or holds something that was looked for on another."""


class DeviceMemoryError(DeviceError, MemoryError):
    """The device has not enough memory."""
