"""The errors that numsnn raises. Every message is one line that names the given value and what was expected."""

from .shown import printable


class ShapeError(ValueError):
    """The shape or dtype of an array does not fit the layer, loss or method that takes it."""


class ConfigError(ValueError):
    """A configuration file or option holds an unknown name or a value of the wrong type."""


class CheckpointError(ValueError):
    """A file is not a numsnn checkpoint, is damaged, or belongs to another network."""

    def __str__(self):
        return printable(super().__str__())  # which may quote what the file holds


class DivergenceError(ArithmeticError):
    """A number is NaN or infinite, so that training cannot continue."""


class DeviceError(RuntimeError):
    """A device does not exist or cannot be used, or an array is on another device than expected."""


class DeviceMemoryError(DeviceError, MemoryError):
    """The device does not have enough memory."""
