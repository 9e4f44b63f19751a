"""Reading weights from disk, with clear errors if they cannot be used."""

import json
import pickle
import pickletools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ktlight.errors import NotThere, UserError, nearest
from ktlight.models.spec import ModelConfig

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
PICKLED = (".pt", ".pth", ".bin", ".ckpt")
NESTED_KEYS = ("state_dict", "model", "model_state_dict")
IMPORTING = ("GLOBAL", "STACK_GLOBAL", "INST")
WRAPPER_PREFIXES = ("_orig_mod.", "module.")


def find_checkpoint(checkpoint: str) -> Path:
    """Return the path of a local checkpoint, a file or a folder.

    Raises:
        NotThere: It does not exist; the message suggests the nearest name in the same folder.
    """
    path = Path(checkpoint).expanduser()
    if path.exists():
        return path
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    raise NotThere(f"There is no checkpoint at {path}.{nearest(path.name, siblings)}")


def read_folder_config(folder: Path, library: str = "timm") -> dict[str, Any]:
    """Return ``config.json`` of an exported folder.

    Args:
        folder: The folder.
        library: Whose models are expected in it.

    Raises:
        UserError: If the folder has none, or it is not JSON with an ``architecture``, or of another library.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} has no config.json, so it is not a {library} folder; name a weights file."
        ) from error
    except ValueError as error:
        raise UserError(f"{folder / 'config.json'} is not valid JSON ({error}); save the model again.") from error
    if "architecture" not in config:
        raise UserError(f"{folder / 'config.json'} names no architecture, so it is not a {library} folder.")
    if (found := config.get("library", "timm")) != library:
        raise UserError(f"{folder} holds a model of {found}, but one of {library} was named.")
    return config


def check_architecture(config: ModelConfig, found: str, checkpoint: str) -> None:
    """Raise `UserError` unless a checkpoint is of the model that was named, whatever its tag."""
    if found != config.architecture.partition(".")[0]:
        raise UserError(f"{checkpoint} is a {found}, not a {config.architecture}; name that model instead.")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file, or in the weights file of a timm folder.

    A training checkpoint that nests them under ``state_dict``, ``model`` or ``model_state_dict`` is unwrapped, and
    the prefixes that DistributedDataParallel and torch.compile add to names are dropped.

    Raises:
        UserError: If the file is missing, truncated, of an unknown kind, holds code, or holds no weights.
    """
    path = weights_file(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)
    if isinstance(content, Mapping):
        content = next((content[key] for key in NESTED_KEYS if isinstance(content.get(key), Mapping)), content)
    if not (isinstance(content, Mapping) and content and all(isinstance(value, Tensor) for value in content.values())):
        raise UserError(f"{path} does not hold a state dict (names and tensors); save network.state_dict().")
    return {_bare(name): value for name, value in content.items()}


def weights_file(path: Path) -> Path:
    """Return the file that holds the weights of a checkpoint: the path itself, or the file in a timm folder.

    Raises:
        UserError: If the folder has none.
    """
    if not path.is_dir():
        return path
    files = [path / name for name in WEIGHT_FILES if (path / name).is_file()]
    if not files:
        raise UserError(f"{path} holds neither {' nor '.join(WEIGHT_FILES)}.")
    return files[0]


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or not a safetensors file ({error}); copy or save it again.") from error


def _read_pickled(path: Path) -> Any:
    if path.suffix not in PICKLED:
        raise UserError(f"{path} is neither .safetensors nor one of {', '.join(PICKLED)}.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not ("unsupported global" in str(error).lower() or _calls_code(path)):
            raise UserError(f"{path} is truncated or not a PyTorch file; copy or save it again.") from error
        raise UserError(
            f"{path} holds Python objects besides weights. Loading it would run code, so it is refused; "
            "if you trust it, save its network.state_dict() again as safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise UserError(f"{path} is truncated or not a PyTorch file ({error}); copy or save it again.") from error


def _calls_code(path: Path) -> bool:
    """Return whether a file is a plain pickle that imports something, without executing it."""
    with path.open("rb") as file:
        try:
            return any(operation.name in IMPORTING for operation, _, _ in pickletools.genops(file))
        except ValueError:  # not a pickle, or not a whole one
            return False


def _bare(name: str) -> str:
    for prefix in WRAPPER_PREFIXES * 2:  # the two wrappers may be nested either way
        name = name.removeprefix(prefix)
    return name


@dataclass(frozen=True)
class Differences:
    """Differences between a state dict and a network; sorted tensor names."""

    missing: list[str]
    unexpected: list[str]
    reshaped: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        parts = {"missing": self.missing, "unexpected": self.unexpected, "of another shape": self.reshaped}
        return "; ".join(f"{what}: {_first(names)}" for what, names in parts.items() if names)


def compare(network: nn.Module, state: Mapping[str, Tensor]) -> Differences:
    """Return how ``state`` differs from the state dict of ``network``."""
    own = network.state_dict()
    return Differences(
        missing=sorted(own.keys() - state.keys()),
        unexpected=sorted(state.keys() - own.keys()),
        reshaped=sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape),
    )


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a weights file, or that of a timm folder, into ``network``; every tensor must fit.

    Raises:
        UserError: If the file cannot be read (see :func:`read_state_dict`) or belongs to another network.
    """
    load_state(network, read_state_dict(path), path)


def load_state(network: nn.Module, state: Mapping[str, Tensor], origin: Path, architecture: str = "") -> None:
    """Load ``state``, read from ``origin``, into a network; raise `UserError` unless every tensor fits."""
    if differences := compare(network, state):
        recorded = getattr(network, "pretrained_cfg", {}).get("architecture")
        architecture = architecture or recorded or type(network).__name__
        raise UserError(f"{origin} does not hold the weights of {architecture}: {differences}. Is it another model's?")
    network.load_state_dict(state)


def _first(names: Iterable[str], count: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
