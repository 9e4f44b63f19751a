"""The identity of a model trained here: its architecture and everything that its weights depend on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ktlight.errors import UserError
from ktlight.models.checkpoint import find_checkpoint, weights_file
from ktlight.models.libraries.library import library_of
from ktlight.models.libraries.transformers_files import PROCESSOR
from ktlight.models.names import file_name
from ktlight.models.spec import HUB_PREFIX, ModelConfig

SCRATCH = "scratch"
RECORDS = ("config.json", *PROCESSOR)
"""Files of an exported folder that say what its weights are for."""


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
        """The library's name, with its tag."""
        return str(self.model["architecture"])

    @property
    def data_identity(self) -> str:
        """See :attr:`ktlight.data.dataset.ImageDataset.identity`."""
        return str(self.data["identity"])

    @property
    def name(self) -> str:
        """Name of the model in the zoo: the architecture and a digest of the rest, independent of key order."""
        digest = hashlib.sha256(json.dumps(plain(asdict(self)), sort_keys=True).encode()).hexdigest()
        return f"{file_name(self.architecture)}-{digest[:8]}"


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
    own = library_of(model.architecture).identity(model.architecture)
    facts = {**own, "kwargs": model.kwargs, "preprocessing": model.preprocessing}
    return Recipe(plain(facts), plain({"identity": identity, **data}), plain(training), start)


def initial_weights(model: ModelConfig, init: str) -> str:
    """Return an identifier of the weights that training starts from.

    This is the SHA-256 of the checkpoint's weights file, plus that of the record in a folder; the name of the
    library's weights; or ``scratch``.

    Raises:
        UserError: If the checkpoint does not exist.
    """
    if model.checkpoint is None and init == SCRATCH:
        return SCRATCH
    if (model.checkpoint or "").startswith(HUB_PREFIX):
        return str(model.checkpoint)
    location = model.checkpoint
    if location is None or library_of(location).prefix:  # a name, and the weights that it stands for
        own = library_of(location or model.architecture).weights(location or model.architecture)
        if own is None or own.source != "checkpoint":
            return location or f"{init}:{model.architecture}"
        location = own.location
    path = find_checkpoint(location)
    records = [path / name for name in RECORDS if (path / name).is_file()]
    files = [weights_file(path), *records] if path.is_dir() else [path]
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
