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
    from torch import Tensor, nn

PREFIX = "tv:"
_REGISTERED = re.compile(r"^@register_model\(\)\s*\n(?:[@ )].*\n)*def (\w+)", re.MULTILINE)
_SIZED = {"vit": "image_size", "maxvit": "input_size"}
"""Families whose constructors take the input size, and what they call it."""
_LEAST = {"alexnet": 64, "inception_v3": 96, "maxvit_t": 224, "vit_h_14": 224}
"""Input sizes in pixels below which an architecture cannot be trained, where that is more than 32."""
_WITH_AUXILIARY = ("googlenet", "inception_v3")
"""Architectures with further classifiers for training, which are left out, and a second normalisation."""
_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")
"""Names of layers in torchvision's files for DenseNet, which its modules cannot have any more."""

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
        found = _weights(architecture)
        return Provenance("torchvision", found.url.rpartition("/")[2], licence=found.meta.get("license"))

    def training_size(self, architecture: str, native_size: int) -> int:
        """Return a size between the architecture's least and that of its default weights."""
        from ktlight.models.libraries.adapted import training_side

        base = self.untagged(architecture).removeprefix(PREFIX)
        return training_side(native_size, _record(architecture)["input_size"][1], _LEAST.get(base, 32))

    def create(self, config: ModelConfig, num_classes: int, img_size: int | None = None) -> "nn.Module":
        """Return a network with random weights, built for a size if its architecture needs one."""
        record = {**_record(config.architecture), **({"input_size": (3, img_size, img_size)} if img_size else {})}
        return _adapted(config, num_classes, record, init_weights=True)

    def load(self, config: ModelConfig, checkpoint: str | None) -> "nn.Module":
        """Return a network with the weights of an exported folder, a file or torchvision's own."""
        from ktlight.models.checkpoint import find_checkpoint, read_state_dict
        from ktlight.models.download import download

        if checkpoint is not None and checkpoint.startswith(PREFIX):
            _check_architecture(config, self.untagged(self.resolve(checkpoint)), checkpoint)
        if checkpoint is None or checkpoint.startswith(PREFIX):
            weights = _weights(checkpoint or config.architecture)
            path = download(weights.url, config.name)
        elif (path := find_checkpoint(checkpoint)).is_dir():
            return _load_folder(config, path)
        else:
            weights = _recognised(path, config.architecture)
        record = _record(config.architecture, weights)
        if weights:
            record["label_names"] = list(weights.meta["categories"])
            if self.untagged(config.architecture).removeprefix(PREFIX) in _WITH_AUXILIARY:
                record["kwargs"] = {"transform_input": True}
        return _filled(config, record, _of_today(read_state_dict(path)), path)

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


def _enum(architecture: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(architecture.partition(".")[0].removeprefix(PREFIX))


def _weights(architecture: str) -> Any:
    """Return the weights of an architecture's tag, or the default ones.

    Raises:
        UserError: It has no weights of that tag for classifying.
    """
    tag, known = architecture.partition(".")[2], _enum(architecture)
    tags = {each.name: each for each in known if each.meta["categories"]}
    if not tag:
        return known.DEFAULT
    if tag not in tags:
        raise UserError(f"torchvision has no weights {architecture}.{nearest(tag, tags)} There are: {', '.join(tags)}.")
    return tags[tag]


def _record(architecture: str, weights: Any = None) -> dict[str, Any]:
    """Return timm's record of an architecture, with the preprocessing of some weights, else of its tag."""
    from ktlight.models.libraries.adapted import share

    transform = (weights or _weights(architecture)).transforms()
    crop, resize = transform.crop_size[0], transform.resize_size[0]
    base = architecture.partition(".")[0]
    return {
        "architecture": base,
        "input_size": (3, crop, crop),
        "fixed_input_size": base.removeprefix(PREFIX).partition("_")[0] in _SIZED,
        "crop_pct": share(crop, resize),
        "crop_mode": "center",
        "interpolation": transform.interpolation.value,
        "mean": tuple(transform.mean),
        "std": tuple(transform.std),
    }


def _adapted(
    config: ModelConfig, num_classes: int, record: dict[str, Any], *, init_weights: bool = False
) -> "nn.Module":
    """Return a network with random weights.

    Raises:
        UserError: It cannot be made with these arguments.
    """
    from torch import nn
    from torchvision.models import get_model

    from ktlight.models.libraries.adapted import Adapted, check_crop_mode, outputs

    check_crop_mode(config, "torchvision")
    base = record["architecture"].removeprefix(PREFIX)
    family, (_, height, width) = base.partition("_")[0], record["input_size"]
    sizes = {"vit": {"image_size": height}, "maxvit": {"input_size": (height, width)}}
    own = {"aux_logits": False} if base in _WITH_AUXILIARY else sizes.get(family, {})
    arguments = {**own, **record.get("kwargs", {}), **config.kwargs}
    start = {"init_weights": init_weights} if base in _WITH_AUXILIARY else {}
    try:
        model = get_model(base, num_classes=num_classes, **{**start, **arguments})
    except (TypeError, ValueError, AssertionError, RuntimeError, ZeroDivisionError) as error:
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise UserError(
            f"torchvision cannot make {base} with {given or 'these arguments'}: {error}. Change img_size= or kwargs=."
        ) from error
    head = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    assert outputs(model.get_submodule(head)) == num_classes
    return Adapted(model, [head], {**record, "kwargs": arguments})


def _check_architecture(config: ModelConfig, found: str, checkpoint: str) -> None:
    if found != config.architecture.partition(".")[0]:
        raise UserError(f"{checkpoint} is a {found}, not a {config.architecture}; name that model instead.")


def _load_folder(config: ModelConfig, folder: Path) -> "nn.Module":
    """Return the network of a folder that `TorchvisionModels.export` wrote."""
    from ktlight.models.checkpoint import read_folder_config, read_state_dict
    from ktlight.models.libraries.adapted import share

    saved = read_folder_config(folder, TorchvisionModels.title)
    _check_architecture(config, PREFIX + saved["architecture"], str(folder))
    squashed, (height, width) = isinstance(saved["resize"], list), saved["crop"]
    resize = saved["resize"][0] if squashed else saved["resize"]
    record = {
        **_record(config.architecture),
        "input_size": (3, height, width),
        "crop_pct": share(min(height, width), resize),
        "crop_mode": "squash" if squashed else "center",
        "interpolation": saved["interpolation"],
        "mean": tuple(saved["mean"]),
        "std": tuple(saved["std"]),
        "kwargs": saved["kwargs"],
        **({"label_names": saved["class_names"]} if saved["class_names"] else {}),
    }
    return _filled(config, record, read_state_dict(folder), folder)


def _filled(config: ModelConfig, record: dict[str, Any], state: Mapping[str, "Tensor"], origin: Path) -> "nn.Module":
    """Return a network with weights, and as many classes as they are for."""
    import torch

    from ktlight.models.checkpoint import compare, load_state

    with torch.device("meta"):
        skeleton: Any = _adapted(config, 1000, record)
    weight = state.get(f"{skeleton.heads[0]}.weight")
    classes = 1000 if weight is None else len(weight)
    network: Any = _adapted(config, classes, record)
    if config.img_size and record["fixed_input_size"] and compare(network.model, state):  # maybe trained at that size
        network = _adapted(config, classes, {**record, "input_size": (3, config.img_size, config.img_size)})
    load_state(network.model, state, origin, record["architecture"])
    return network  # type: ignore[no-any-return]


def _recognised(path: Path, architecture: str) -> Any:
    """Return the weights of torchvision that a file holds, by its content; None if it holds others."""
    from ktlight.models.download import hash_of
    from ktlight.models.recipe import file_digest

    digest = file_digest(path)
    return next((each for each in _enum(architecture) if digest.startswith(hash_of(each.url))), None)


def _of_today(state: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """Return weights without auxiliary classifiers, under the names that torchvision's modules have by now."""
    kept = {name: value for name, value in state.items() if not name.startswith(("aux1.", "aux2.", "AuxLogits."))}
    return {_DENSENET.sub(r"\1\2", name): value for name, value in kept.items()}
