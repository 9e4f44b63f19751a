"""The protocol of a library of image classifiers, and which library a name belongs to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ktlight.models.libraries.timm_models import TimmModels
from ktlight.models.libraries.torchvision_models import TorchvisionModels
from ktlight.models.libraries.transformers_models import TransformersModels
from ktlight.models.provenance import Provenance
from ktlight.models.spec import ModelConfig

if TYPE_CHECKING:  # names are looked at without torch
    from torch import nn


class ModelLibrary(Protocol):
    """What ktlight asks of a library.

    Networks have the interface of timm's, whichever library they are from: ``forward`` maps images to logits,
    ``num_classes``, ``get_classifier()`` and ``reset_classifier(num_classes)``, and ``pretrained_cfg``, a mapping with
    ``architecture``, timm's preprocessing (``input_size``, ``crop_pct``, ``crop_mode``, ``interpolation``, ``mean``,
    ``std``) and, where they are known, ``label_names``. See `ktlight.models.libraries.adapted` for those that lack it.

    Attributes:
        title: What it is called.
        package: The package to be installed; its version is part of the key of stored outputs.
        prefix: What the names of its models begin with.
    """

    title: str
    package: str
    prefix: str

    def names(self) -> Sequence[str]:
        """Return the names that can be listed, without aliases and tags."""

    def knows(self, name: str) -> bool:
        """Return whether a name is one of the library's, without importing it."""

    def resolve(self, name: str) -> str:
        """Return the architecture that a name stands for, with its tag; both begin with the prefix.

        Raises:
            UserError: It is none of the library's; the message names the nearest ones.
        """

    def untagged(self, architecture: str) -> str:
        """Return an architecture without the tag that chooses among its trained weights."""

    def identity(self, architecture: str) -> Mapping[str, str]:
        """Return what tells an architecture from all others, wherever and however it is named."""

    def weights(self, architecture: str) -> Provenance | None:
        """Return where the trained weights are that a name stands for; None if there are none."""

    def training_size(self, architecture: str, native_size: int) -> int:
        """Return the side in pixels at which to train on images of a size, at most the architecture's own."""

    def create(self, config: ModelConfig, num_classes: int, img_size: int | None = None) -> "nn.Module":
        """Return a network with random weights.

        Raises:
            UserError: It cannot be made like this.
        """

    def load(self, config: ModelConfig, checkpoint: str | None) -> "nn.Module":
        """Return a network with trained weights and the classes that they are for, at the input size of its record.

        Args:
            config: The model.
            checkpoint: As in `ktlight.models.spec.ModelConfig`; None: the weights that its name stands for.

        Raises:
            UserError: The weights cannot be had or read, or are of another architecture.
        """

    def class_names(self, network: Any) -> Sequence[str] | None:
        """Return the names of a network's classes in the order of its logits; None if its record names none."""

    def export(self, network: Any, folder: Path, preprocessing: Mapping[str, Any], class_names: Sequence[str]) -> None:
        """Write a network to a folder that the library itself, and `load`, can read.

        Args:
            network: On the CPU, with contiguous weights; it may be changed.
            folder: An empty folder.
            preprocessing: Settings as timm names them.
            class_names: In the order of the logits; may be empty.
        """

    def usage(self, folder: str) -> str:
        """Return Python that loads an exported folder, as ``model`` and, for a Pillow image, ``transform``."""

    def usage_line(self, folder: str) -> str:
        """Return the expression that loads the network of an exported folder, to be shown in a line."""

    def usage_on_hub(self, repository: str) -> str | None:
        """Return the expression that loads the same folder from the Hugging Face Hub; None if the library cannot."""


LIBRARIES: dict[str, ModelLibrary] = {
    library.prefix: library for library in (TimmModels(), TorchvisionModels(), TransformersModels())
}
"""The libraries by the prefix of their names; that of timm is empty."""


def library_of(name: str) -> ModelLibrary:
    """Return the library that a name or architecture belongs to."""
    start, colon, _ = name.partition(":")
    return LIBRARIES.get(start + colon, LIBRARIES[""])


def library_of_network(network: object) -> ModelLibrary | None:
    """Return the library that a network is from; None for a user's own network."""
    record = getattr(network, "pretrained_cfg", None)
    return library_of(record["architecture"]) if record else None


def is_known(name: str) -> bool:
    """Return whether a name is one of any library's."""
    return library_of(name).knows(name)


def resolve(name: str) -> str:
    """Return the architecture that a name stands for; a tag is kept.

    >>> resolve("vit_b"), resolve("resnet50.a1_in1k")
    ('vit_base_patch16_224', 'resnet50.a1_in1k')

    Raises:
        UserError: If there is no such model; the message names the nearest ones.
    """
    return library_of(name).resolve(name)


def listed_names() -> list[str]:
    """Return every name that can be listed, sorted within its library; none is an alias of another."""
    return [name for library in LIBRARIES.values() for name in sorted(library.names())]
