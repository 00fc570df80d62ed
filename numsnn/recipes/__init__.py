"""The configurations that are part of the package."""

from pathlib import Path


def available() -> dict[str, Path]:
    """Return name -> TOML file."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
