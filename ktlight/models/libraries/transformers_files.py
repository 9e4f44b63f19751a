"""Folders of transformers and their configs, looked at without the library."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktlight.errors import UserError

PREFIX = "hf:"
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")
CONFIG, WEIGHTS = "config.json", ("model.safetensors", "model.safetensors.index.json")
PROCESSOR = ("preprocessor_config.json", "processor_config.json")
"""Files that say how images are prepared."""
FILES = (CONFIG, *PROCESSOR, *WEIGHTS, "model-*-of-*.safetensors")
NOT_OF_THE_ARCHITECTURE = {
    "_name_or_path", "transformers_version", "dtype", "torch_dtype", "id2label", "label2id", "num_labels",
    "architectures",
}  # fmt: skip
"""What a config says besides what a network of random weights is."""


def folder_of(name: str) -> Path | None:
    """Return the folder that a name says, if it is one."""
    path = Path(name.removeprefix(PREFIX)).expanduser()
    return path if path.is_dir() else None


def read_config(folder: Path) -> dict[str, Any]:
    """Return the config in a folder.

    Raises:
        UserError: There is none, or not one of transformers.
    """
    try:
        said: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder} has no config.json, so it is not a folder that transformers saved.") from error
    except ValueError as error:
        raise UserError(f"{folder / CONFIG} is not valid JSON ({error}); save the model again.") from error
    if "model_type" not in said:
        raise UserError(f"{folder / CONFIG} names no model_type, so it is not a model of transformers.")
    return said


def local_folder(name: str, called: str, *, weights: bool = True) -> Path:
    """Return the folder of a name; from the Hub, its files are fetched at most once.

    Args:
        name: The name, with its prefix.
        called: What the user calls it.
        weights: Whether they are needed.
    """
    folder = folder_of(name)
    if folder is not None:
        return folder
    from ktlight.models.hub import snapshot

    files, needed = (FILES, WEIGHTS[:1]) if weights else ((CONFIG,), (CONFIG,))
    return snapshot(name.removeprefix(PREFIX), called, files, needed)


def definition(name: str) -> dict[str, str]:
    """Return the name on the Hub; of a folder its own name, and a digest of what its config defines."""
    folder = folder_of(name)
    if folder is None:
        return {"architecture": name}
    digest = hashlib.sha256(json.dumps(of_the_architecture(read_config(folder)), sort_keys=True).encode()).hexdigest()
    return {"architecture": PREFIX + folder.resolve().name, "definition": digest[:16]}


def of_the_architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config says of the architecture: what a network of random weights is."""
    return {name: value for name, value in config.items() if name not in NOT_OF_THE_ARCHITECTURE}
