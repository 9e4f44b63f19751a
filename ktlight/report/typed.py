"""The options that a run was started with."""

from pathlib import Path

import yaml

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it was compiled


def typed_options(folder: Path) -> dict[str, str]:
    """Return the options that were typed for a run, by name; none where Hydra's record is gone or damaged."""
    try:
        typed = yaml.load((folder / ".hydra" / "overrides.yaml").read_text(), Loader)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    parts = (str(option).lstrip("+").partition("=") for option in typed or ())
    return {name: value for name, _, value in parts}
