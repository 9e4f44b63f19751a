"""The identity of a model trained here: its architecture and everything that its weights depend on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ktlight.errors import UserError
from ktlight.models.checkpoint import find_checkpoint, weights_file
from ktlight.models.spec import ModelConfig

SCRATCH = "scratch"
HUB_PREFIX = "hf-hub:"


@dataclass(frozen=True)
class Recipe:
    """The identity of a model trained here: equal recipes give equal weights, different ones different models.

    It excludes software versions: weights remain useful when a library is updated.

    Attributes:
        model: Architecture, constructor arguments and the user's preprocessing options.
        data: Identity of the data set, and the training images that were used.
        training: Every option that changes the weights.
        start: Initial weights; see `initial_weights`.
    """

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    start: str = SCRATCH

    @property
    def architecture(self) -> str:
        """Timm's name, with its tag."""
        return str(self.model["architecture"])

    @property
    def data_identity(self) -> str:
        """See :attr:`ktlight.data.dataset.ImageDataset.identity`."""
        return str(self.data["identity"])

    @property
    def name(self) -> str:
        """Name of the model in the zoo: the architecture and a digest of the rest, independent of key order."""
        digest = hashlib.sha256(json.dumps(plain(asdict(self)), sort_keys=True).encode()).hexdigest()
        return f"{self.architecture}-{digest[:8]}"


def make_recipe(
    model: ModelConfig, *, identity: str, data: Mapping[str, Any], training: Mapping[str, Any], start: str = SCRATCH
) -> Recipe:
    """Return the recipe of a model, which ignores the user's name for it and the location of its weights.

    Args:
        model: The model.
        identity: Identity of the data set.
        data: The training images that are used.
        training: Every option that changes the weights.
        start: Initial weights; see `initial_weights`.
    """
    facts = {"architecture": model.architecture, "kwargs": model.kwargs, "preprocessing": model.preprocessing}
    return Recipe(plain(facts), plain({"identity": identity, **data}), plain(training), start)


def initial_weights(model: ModelConfig, init: str) -> str:
    """Return an identifier of the weights that training starts from.

    This is the SHA-256 of the checkpoint's weights file, plus that of the record in a timm folder; the name of the
    Hub's weights; or ``scratch``.

    Raises:
        UserError: If the checkpoint does not exist.
    """
    if model.checkpoint is None:
        return SCRATCH if init == SCRATCH else f"{init}:{model.architecture}"
    if model.checkpoint.startswith(HUB_PREFIX):
        return model.checkpoint
    path = find_checkpoint(model.checkpoint)
    files = [weights_file(path), path / "config.json"] if path.is_dir() else [path]
    return " ".join(map(file_digest, files))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error})") from error


def plain(value: Any) -> Any:
    """Return a value in canonical JSON form: whole floats become integers, tuples lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
