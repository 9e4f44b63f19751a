"""Location of the config tree: next to the package in a checkout, inside it in an installed wheel."""

from pathlib import Path

BASE = "base"
"""Name of the file that others in a group inherit from; it cannot be chosen itself."""


def config_directory() -> Path:
    """Return the absolute path of the folder ``conf``."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
