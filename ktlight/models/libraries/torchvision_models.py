"""torchvision's image classifiers: ``tv:resnet50``, with the tag of its weights ``tv:resnet50.IMAGENET1K_V1``."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlight.errors import UserError, nearest
from ktlight.models.names import found_in_sources
from ktlight.models.provenance import Provenance
from ktlight.models.spec import ModelConfig

if TYPE_CHECKING:
    from torch import nn

PREFIX = "tv:"
_REGISTERED = re.compile(r"^@register_model\(\)\s*\n(?:[@ )].*\n)*def (\w+)", re.MULTILINE)
_LEAST = {"alexnet": 64, "inception_v3": 96, "maxvit_t": 224, "vit_h_14": 224}
"""Input sizes in pixels below which an architecture cannot be trained, where that is more than 32."""

USAGE = """\
import json
from pathlib import Path

from safetensors.torch import load_file
from torchvision import models, transforms

folder = Path("{folder}")
config = json.loads((folder / "config.json").read_text())
model = models.get_model(config["architecture"], num_classes=config["num_classes"], **config["kwargs"]).eval()
model.load_state_dict(load_file(folder / "model.safetensors"))
transform = transforms.Compose([
    transforms.Resize(config["resize"], transforms.InterpolationMode(config["interpolation"])),
    transforms.CenterCrop(config["crop"]),
    transforms.ToTensor(),
    transforms.Normalize(config["mean"], config["std"]),
])
"""


@cache
def classifiers() -> tuple[str, ...]:
    """Return torchvision's image classifiers, found without importing it."""
    return found_in_sources("torchvision", "*.py", _REGISTERED)


@cache
def others() -> tuple[str, ...]:
    """Return torchvision's models for other tasks: detection, segmentation, video and optical flow."""
    return found_in_sources("torchvision", "*/*.py", _REGISTERED)


class TorchvisionModels:
    """The image classifiers of torchvision; see `ktlight.models.libraries.library.ModelLibrary`."""

    title, package, prefix = "torchvision", "torchvision", PREFIX

    def names(self) -> Sequence[str]:
        """Return every classifier."""
        return [PREFIX + name for name in classifiers()]

    def knows(self, name: str) -> bool:
        """Return whether a name, without its tag, is a classifier."""
        return self.untagged(name).removeprefix(PREFIX) in classifiers()

    def resolve(self, name: str) -> str:
        """Return the name itself, with its tag."""
        if self.knows(name):
            return name
        base = self.untagged(name).removeprefix(PREFIX)
        if base in others() or base.startswith("quantized_"):
            kind = "quantised and cannot be trained" if base.startswith("quantized_") else "no image classifier"
            raise UserError(f"{name} is {kind}: give a classifier of torchvision, such as tv:resnet50.")
        raise UserError(f"torchvision has no model {base!r}.{nearest(PREFIX + base, self.names())}")

    def untagged(self, architecture: str) -> str:
        """Return the part in front of the first dot."""
        return architecture.partition(".")[0]

    def identity(self, architecture: str) -> Mapping[str, str]:
        """Return the name itself."""
        return {"architecture": architecture}

    def weights(self, architecture: str) -> Provenance | None:
        """Return the weights of the tag, or torchvision's default ones."""
        from ktlight.models.libraries import torchvision_networks as networks

        found = networks.weights_of(architecture)
        return Provenance("torchvision", found.url.rpartition("/")[2], licence=found.meta.get("license"))

    def training_size(self, architecture: str, native_size: int) -> int:
        """Return a size between the architecture's least and that of its default weights."""
        from ktlight.models.libraries import torchvision_networks as networks
        from ktlight.models.libraries.adapted import training_side

        base = self.untagged(architecture).removeprefix(PREFIX)
        return training_side(native_size, networks.record_of(architecture)["input_size"][1], _LEAST.get(base, 32))

    def create(self, config: ModelConfig, num_classes: int, img_size: int | None = None) -> "nn.Module":
        """Return a network with random weights, built for a size if its architecture needs one."""
        from ktlight.models.libraries import torchvision_networks as networks

        record = {
            **networks.record_of(config.architecture),
            **({"input_size": (3, img_size, img_size)} if img_size else {}),
        }
        return networks.build(config, num_classes, record, init_weights=True)

    def load(self, config: ModelConfig, checkpoint: str | None) -> "nn.Module":
        """Return a network with the weights of an exported folder, a file or torchvision's own."""
        from ktlight.models.checkpoint import check_architecture, find_checkpoint, read_state_dict
        from ktlight.models.download import download
        from ktlight.models.libraries import torchvision_networks as networks

        if checkpoint is not None and checkpoint.startswith(PREFIX):
            check_architecture(config, self.untagged(self.resolve(checkpoint)), checkpoint)
        if checkpoint is None or checkpoint.startswith(PREFIX):
            weights = networks.weights_of(checkpoint or config.architecture)
            path = download(weights.url, config.name)
        elif (path := find_checkpoint(checkpoint)).is_dir():
            return networks.load_folder(config, path)
        else:
            weights = networks.recognised(path, config.architecture)
        record = networks.record_of(config.architecture, weights)
        if weights:
            record["label_names"] = list(weights.meta["categories"])
            if self.untagged(config.architecture).removeprefix(PREFIX) in networks.WITH_AUXILIARY:
                record["kwargs"] = {"transform_input": True}
        return networks.filled(config, record, networks.of_today(read_state_dict(path)), path)

    def class_names(self, network: Any) -> Sequence[str] | None:
        """Return the categories of torchvision's own weights, or the names of an exported folder."""
        return network.pretrained_cfg.get("label_names")  # type: ignore[no-any-return]

    def export(self, network: Any, folder: Path, preprocessing: Mapping[str, Any], class_names: Sequence[str]) -> None:
        """Write the weights under torchvision's names, and a config that says how to build and to prepare."""
        from math import floor

        from safetensors.torch import save_file

        _, height, width = preprocessing["input_size"]
        resized = [floor(side / preprocessing["crop_pct"]) for side in (height, width)]
        config = {
            "library": self.package,
            "architecture": self.untagged(network.pretrained_cfg["architecture"]).removeprefix(PREFIX),
            "num_classes": network.num_classes,
            "kwargs": network.pretrained_cfg["kwargs"],
            "resize": resized if preprocessing["crop_mode"] == "squash" else min(resized),
            "crop": [height, width],
            **{key: preprocessing[key] for key in ("interpolation", "mean", "std")},
            "class_names": list(class_names),
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        state = {name: value.clone() for name, value in network.model.state_dict().items()}
        save_file(state, folder / "model.safetensors")

    def usage(self, folder: str) -> str:
        """Return Python that loads an exported folder."""
        return USAGE.replace("{folder}", folder)

    def usage_line(self, folder: str) -> str:
        """Return where that is said: it takes several lines."""
        return f"{folder}/README.md says how torchvision loads it"

    def usage_on_hub(self, repository: str) -> str | None:
        """Return nothing: torchvision does not read from the Hub."""
        return None
