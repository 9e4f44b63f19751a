"""Image classifiers of Hugging Face transformers: ``hf:organisation/name`` on the Hub, or ``hf:FOLDER``.

Weights are read from safetensors only, and code that comes with a model is never run.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ktlight.errors import UserError
from ktlight.models.libraries.transformers_files import HUB_ID, PREFIX, WEIGHTS, definition, folder_of, local_folder
from ktlight.models.provenance import Provenance
from ktlight.models.spec import ModelConfig

USAGE = """\
from transformers import AutoImageProcessor, AutoModelForImageClassification

model = AutoModelForImageClassification.from_pretrained("{folder}").eval()
processor = AutoImageProcessor.from_pretrained("{folder}")


def transform(image):
    return processor(image, return_tensors="pt")["pixel_values"][0]  # model(batch).logits are its answer
"""


class TransformersModels:
    """The image classifiers of transformers; see `ktlight.models.libraries.library.ModelLibrary`."""

    title, package, prefix = "transformers", "transformers", PREFIX

    def names(self) -> Sequence[str]:
        """Return nothing: only the Hub could list them."""
        return []

    def knows(self, name: str) -> bool:
        """Return whether a name is a folder or may be one on the Hub."""
        return folder_of(name) is not None or bool(HUB_ID.fullmatch(name.removeprefix(PREFIX)))

    def resolve(self, name: str) -> str:
        """Return the name itself."""
        if find_spec("transformers") is None:
            raise UserError(f"{name} needs the library transformers: pip install 'ktlight[transformers]'")
        if not self.knows(name):
            raise UserError(f"{name}: there is no such folder, nor can it be an ID of the Hub (organisation/name)")
        return name

    def untagged(self, architecture: str) -> str:
        """Return the name itself: there are no tags."""
        return architecture

    def identity(self, architecture: str) -> Mapping[str, str]:
        """Return the name on the Hub; of a folder its own name, and a digest of what its config defines."""
        return definition(architecture)

    def weights(self, architecture: str) -> Provenance | None:
        """Return the weights on the Hub, or in the folder if there are any."""
        folder = folder_of(architecture)
        if folder is None:
            return Provenance("hub", architecture.removeprefix(PREFIX))
        there = any((folder / file).is_file() for file in WEIGHTS)
        return Provenance("checkpoint", str(folder)) if there else None

    def training_size(self, architecture: str, native_size: int) -> int:
        """Return a size up to the one in the config; that one, if patches or windows do not divide smaller ones."""
        from ktlight.models.libraries import transformers_networks as networks
        from ktlight.models.libraries.adapted import STEP, training_side

        defined = networks.defined_in(local_folder(architecture, architecture, weights=False), {})
        own, patch = networks.own_side(defined), getattr(defined, "patch_size", None)
        fixed = hasattr(defined, "window_size") or (isinstance(patch, int) and STEP % patch)
        return own if fixed else training_side(native_size, own, STEP)

    def create(self, config: ModelConfig, num_classes: int, img_size: int | None = None) -> Any:
        """Return a network with random weights, of the definition in a folder or on the Hub."""
        from ktlight.models.libraries import transformers_networks as networks

        return networks.random_network(
            config, local_folder(config.architecture, config.name, weights=False), num_classes, img_size
        )

    def load(self, config: ModelConfig, checkpoint: str | None) -> Any:
        """Return a network with the weights of a folder, the Hub, or a bare file for the definition that is named."""
        from ktlight.models.checkpoint import find_checkpoint
        from ktlight.models.libraries import transformers_networks as networks

        source = checkpoint or config.architecture
        if source.startswith(PREFIX):
            return networks.pretrained(config, local_folder(source, config.name))
        path = find_checkpoint(source)
        return networks.pretrained(config, path) if path.is_dir() else networks.with_file(config, path)

    def class_names(self, network: Any) -> Sequence[str] | None:
        """Return ``id2label`` of the config, unless it is ``LABEL_0`` and so on."""
        return network.pretrained_cfg.get("label_names")  # type: ignore[no-any-return]

    def export(self, network: Any, folder: Path, preprocessing: Mapping[str, Any], class_names: Sequence[str]) -> None:
        """Write the folder that ``from_pretrained`` of model and image processor reads."""
        from ktlight.models.libraries import transformers_networks as networks
        from ktlight.models.libraries.image_processors import processor_for

        names = class_names or [f"LABEL_{number}" for number in range(network.num_classes)]
        network.model.config.id2label = dict(enumerate(names))
        network.model.config.label2id = {name: number for number, name in enumerate(names)}
        with networks.quiet():
            network.model.save_pretrained(folder)
            processor_for(network.processor, preprocessing).save_pretrained(folder)

    def usage(self, folder: str) -> str:
        """Return Python that loads an exported folder."""
        return USAGE.replace("{folder}", folder)

    def usage_line(self, folder: str) -> str:
        """Return the call that loads the network of an exported folder."""
        return f"AutoModelForImageClassification.from_pretrained('{folder}')"

    def usage_on_hub(self, repository: str) -> str | None:
        """Return the call that loads it from the Hub."""
        return f'AutoModelForImageClassification.from_pretrained("{repository}")'
