"""The configurations that ship with the package, by name."""

from pathlib import Path


def available() -> dict[str, Path]:
    """Name -> TOML file."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
